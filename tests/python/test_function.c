/* Host functions: signatures, arguments, answers, stubs. */
#include "fixture.h"

#include <bine/python.h>

static int nothing(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    return BINE_OK;
}

static int def(bine *rt, const char *signature, bine_fn function)
{
    return bine_def(rt, "host", signature, function, NULL, NULL);
}

/* `source` runs after "import host" and must raise `type` with `part` in its message. */
static void expect(bine *rt, const char *source, const char *type, const char *part)
{
    char script[1024];

    snprintf(script, sizeof script, "import bine, host\n%s\n", source);
    start_script(rt, script);
    settle(rt);
    if (error_count() != 1)
        FAIL("%s raised nothing", source);
    if (strcmp(error_type(0), type) != 0 || strstr(error_message(0), part) == NULL)
        FAIL("%s raised %s: %s", source, error_type(0), error_message(0));
    forget_errors();
}

/* ---- bine_def ---- */

static void check_bad(bine *rt, const char *signature, const char *part)
{
    int status = def(rt, signature, nothing);

    if (status != BINE_EINVAL)
        FAIL("%s: %s", signature, bine_err_name(status));
    CHECK_HAS(bine_message(), part);
}

TEST(a_bad_signature_is_refused_with_the_reason)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "good()", nothing));
    check_bad(rt, "", "bine_def");
    check_bad(rt, "f", "f");
    check_bad(rt, "f(", "f(");
    check_bad(rt, "f(x: )", "f(x: )");
    check_bad(rt, "1f()", "1f()");
    check_bad(rt, "f(x, x)", "x");
    check_bad(rt, "f(x=1, y)", "default");
    check_bad(rt, "f(\xff)", "");
    check_bad(rt, "f(x: set)", "set");
    check_bad(rt, "f(x: int | set)", "set");
    check_bad(rt, "f(x: no_such_type)", "no_such_type");
    check_bad(rt, "f(x: 5)", "5");
    check_bad(rt, "f() -> set", "set");
    check_bad(rt, "f(*args)", "*args");
    check_bad(rt, "f(**kwargs)", "**kwargs");
    check_bad(rt, "f(x: int = 'a')", "must be int");
    check_bad(rt, "f(x: int = None)", "must be int");
    check_bad(rt, "f(*, x: str = 1)", "must be str");
    check_bad(rt, "f(x: int = 2**70)", "64 bits");
    check_bad(rt, "f(x: int = 1/0)", "zero");
    run_script(rt, "import host\nassert [n for n in dir(host) if n[0] != '_'] == ['good']\n");
    close_runtime(rt);
}

TEST(a_refused_signature_leaves_no_module_behind)
{
    bine *rt = open_runtime();

    CHECK_STATUS(bine_def(rt, "json", "f(", nothing, NULL, NULL), BINE_EINVAL);
    run_script(rt, "import json; json.loads('1')"); /* Python's own */
    close_runtime(rt);
}

TEST(more_parameters_than_there_is_room_for_are_refused)
{
    char signature[1024] = "f(p0";
    bine *rt = open_runtime();

    for (int i = 1; i < 64; i++)
        sprintf(signature + strlen(signature), ", p%d=%d", i, i);
    strcat(signature, ")");
    CHECK_OK(def(rt, signature, nothing));
    signature[0] = 'g';
    signature[strlen(signature) - 1] = '\0';
    strcat(signature, ", p64=64)");
    check_bad(rt, signature, "64");
    close_runtime(rt);
}

TEST(names_are_defined_once)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "f()", nothing));
    CHECK_STATUS(def(rt, "f(x)", nothing), BINE_EEXIST);
    CHECK_STATUS(bine_def(rt, "sys", "f()", nothing, NULL, NULL), BINE_EEXIST);
    CHECK_STATUS(bine_def(rt, "bine", "f()", nothing, NULL, NULL), BINE_EEXIST);
    CHECK_OK(bine_def(rt, "other", "f()", nothing, NULL, NULL));
    close_runtime(rt);
}

TEST(bad_names_of_modules_and_nulls_are_refused)
{
    bine *rt = open_runtime();

    CHECK_STATUS(bine_def(rt, "", "f()", nothing, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_def(rt, "no good", "f()", nothing, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_def(rt, "a.b", "f()", nothing, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_def(rt, "\xff", "f()", nothing, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_def(rt, NULL, "f()", nothing, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_def(rt, "host", NULL, nothing, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_def(rt, "host", "f()", NULL, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_def(NULL, "host", "f()", nothing, NULL, NULL), BINE_EINVAL);
    close_runtime(rt);
}

TEST(text_is_copied_and_python_sees_a_function)
{
    char signature[] = "walk(x: float, y: int | None = None, /, *, fast: bool = False) -> bool";
    char doc[] = "Walks there.";
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", signature, nothing, NULL, doc));
    memset(doc, 'x', 6);
    memset(signature, 'x', 6);
    run_script(rt, "import host, inspect\n"
                   "s = str(inspect.signature(host.walk))\n"
                   "assert inspect.getdoc(host.walk) == 'Walks there.'\n"
                   "assert host.walk.__name__ == 'walk' and host.walk.__module__ == 'host'\n"
                   "assert callable(host.walk) and inspect.isroutine(host.walk)\n");
    CHECK_STR(script_str("s"), "(x: float, y: int | None = None, /, *, fast: bool = False) -> bool");
    close_runtime(rt);
}

/* ---- arguments ---- */

static int64_t got_i;
static double got_f;
static bool got_b;
static char got_s[32];
static size_t got_size;
static bool got_none;

static int take_all(bine_call *call, void *user)
{
    (void)user;
    got_i = bine_arg_i64(call, 0);
    got_f = bine_arg_f64(call, 1);
    got_b = bine_arg_bool(call, 2);
    snprintf(got_s, sizeof got_s, "%s", bine_arg_str(call, 3, &got_size));
    got_none = bine_arg_is_none(call, 4);
    if (!got_none) {
        size_t size;

        CHECK(memcmp(bine_arg_bytes(call, 4, &size), "\0x", 2) == 0);
        CHECK_EQ(size, 2);
    }
    return BINE_OK;
}

TEST(arguments_arrive_by_position_and_name_with_defaults_filled_in)
{
    bine *rt = open_runtime();

    CHECK_OK(def(
        rt, "f(i: int, f: float = 2.5, b: bool = True, *, s: str = 'text', d: bytes | None = None) -> None",
        take_all));
    run_script(rt, "import host; host.f(-7)");
    CHECK_EQ(got_i, -7);
    CHECK(got_f == 2.5 && got_b && got_none);
    CHECK_STR(got_s, "text");
    run_script(rt, "import host; host.f(b=False, i=2**63-1, f=3, s='\xc3\xa9', d=b'\\0x')");
    CHECK_EQ(got_i, INT64_MAX);
    CHECK(got_f == 3.0 && !got_b && !got_none);
    CHECK_STR(got_s, "\xc3\xa9");
    CHECK_EQ(got_size, 2);
    expect(rt, "host.f()", "TypeError", "missing required argument: 'i'");
    expect(rt, "host.f(1, 2, True, 'x')", "TypeError", "at most 3 positional");
    expect(rt, "host.f(1, i=2)", "TypeError", "multiple values for argument 'i'");
    expect(rt, "host.f(1, nope=2)", "TypeError", "unexpected keyword argument 'nope'");
    expect(rt, "host.f('1')", "TypeError", "argument 'i' must be int, not str");
    expect(rt, "host.f(1.0)", "TypeError", "argument 'i' must be int, not float");
    expect(rt, "host.f(None)", "TypeError", "not None");
    expect(rt, "host.f(1, b=1)", "TypeError", "argument 'b' must be bool");
    expect(rt, "host.f(2**63)", "OverflowError", "64 bits");
    expect(rt, "host.f(1, 10**400)", "OverflowError", "float");
    expect(rt, "host.f(1, s='\\udc80')", "UnicodeEncodeError", "surrogates");
    expect(rt, "host.f(1, d='x')", "TypeError", "must be bytes | None");
    close_runtime(rt);
}

static int misread(bine_call *call, void *user)
{
    size_t size = 9;

    switch ((int)(intptr_t)user) {
    case 0:
        CHECK_EQ(bine_arg_i64(call, 0), 0);
        break;
    case 1:
        CHECK(bine_arg_f64(call, 0) == 0.0);
        break;
    case 2:
        CHECK(!bine_arg_bool(call, 0));
        break;
    case 3:
        CHECK(bine_arg_bytes(call, 0, &size) == NULL && size == 0);
        break;
    case 4:
        CHECK(bine_arg_pointer(call, 0, "door") == NULL);
        break;
    case 5:
        CHECK_EQ(bine_arg_i64(call, 1), 0); /* there is no second one */
        break;
    default:
        CHECK(bine_arg_value(call, 99) == NULL);
    }
    CHECK_OK(bine_return(call, bine_value_i64(1)));
    return BINE_OK;
}

TEST(reading_an_argument_as_what_it_is_not_raises)
{
    bine *rt = open_runtime();

    for (int i = 0; i < 7; i++) {
        char signature[32];
        char source[32];

        snprintf(signature, sizeof signature, "f%d(x)", i);
        snprintf(source, sizeof source, "host.f%d('text')", i);
        CHECK_OK(bine_def(rt, "host", signature, misread, (void *)(intptr_t)i, NULL));
        expect(rt, source, i <= 4 ? "TypeError" : "SystemError", "");
    }
    close_runtime(rt);
}

TEST(an_int_too_large_for_64_bits_reads_as_zero)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "f(x)", misread, (void *)0, NULL));
    expect(rt, "host.f(2**64)", "OverflowError", "");
    close_runtime(rt);
}

static int destroyed;

static void destroy(void *pointer)
{
    (void)pointer;
    destroyed++;
}

static int door;

static int make_door(bine_call *call, void *user)
{
    (void)user;
    return bine_return(call, bine_value_pointer(&door, "door", destroy));
}

static int open_door(bine_call *call, void *user)
{
    void *pointer = bine_arg_pointer(call, 0, user);

    return pointer == NULL ? BINE_OK : bine_return(call, bine_value_bool(pointer == &door));
}

TEST(a_pointer_comes_back_as_its_type_only)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "door() -> object", make_door));
    CHECK_OK(bine_def(rt, "host", "open(d)", open_door, (void *)(uintptr_t) "door", NULL));
    CHECK_OK(bine_def(rt, "host", "open_window(d)", open_door, (void *)(uintptr_t) "window", NULL));
    run_script(rt, "import host\nassert host.open(host.door()) is True\n");
    CHECK_EQ(destroyed, 1);
    expect(rt, "host.open_window(host.door())", "TypeError", "must be a pointer of type window");
    expect(rt, "host.open(5)", "TypeError", "must be a pointer of type door");
    CHECK_EQ(destroyed, 2);
    close_runtime(rt);
}

/* ---- answers ---- */

static int answer(bine_call *call, void *user)
{
    return bine_return(call, *(const char *)user == 'i'   ? bine_value_i64(3)
                             : *(const char *)user == 's' ? bine_value_str("text")
                             : *(const char *)user == 'n' ? bine_value_nil()
                                                          : bine_value_list());
}

static void def_answer(bine *rt, const char *signature, const char *kind)
{
    CHECK_OK(bine_def(rt, "host", signature, answer, (void *)(uintptr_t)kind, NULL));
}

TEST(the_answer_must_be_what_is_declared)
{
    bine *rt = open_runtime();

    def_answer(rt, "i() -> int", "i");
    def_answer(rt, "f() -> float", "i");
    def_answer(rt, "any()", "l");
    def_answer(rt, "maybe() -> str | None", "n");
    def_answer(rt, "l() -> list[int]", "l");
    def_answer(rt, "bad() -> int", "s");
    def_answer(rt, "bad_none() -> int", "n");
    def_answer(rt, "bad_union() -> str | None", "i");
    CHECK_OK(def(rt, "silent()", nothing));
    CHECK_OK(def(rt, "silent_int() -> int", nothing));
    run_script(rt, "import host\n"
                   "assert host.i() == 3\n"
                   "f = host.f(); assert f == 3.0 and type(f) is float\n"
                   "assert host.any() == host.l() == []\n"
                   "assert host.maybe() is host.silent() is None\n");
    expect(rt, "host.bad()", "TypeError", "answered with str, but is declared -> int");
    expect(rt, "host.bad_none()", "TypeError", "answered with None");
    expect(rt, "host.bad_union()", "TypeError", "declared -> str | None");
    expect(rt, "host.silent_int()", "TypeError", "answered with None");
    close_runtime(rt);
}

static int answer_twice(bine_call *call, void *user)
{
    bine_resolver *r = (bine_resolver *)user;

    CHECK_OK(bine_return(call, bine_value_i64(1)));
    CHECK_STATUS(bine_return(call, bine_value_pointer(&door, "door", destroy)), BINE_EBUSY);
    CHECK_STATUS(bine_defer(call, NULL, &r), BINE_EBUSY);
    CHECK(r == NULL);
    return BINE_OK;
}

TEST(the_first_answer_counts_and_others_are_refused)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "f() -> int", answer_twice));
    run_script(rt, "import host\nassert host.f() == 1\n");
    CHECK_EQ(destroyed, 1);
    close_runtime(rt);
}

static int return_status(bine_call *call, void *user)
{
    (void)user;
    return (int)bine_arg_i64(call, 0);
}

TEST(a_status_becomes_an_exception)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "f(status: int)", return_status));
    expect(rt, "host.f(-16)", "bine.HostError", "operating system");
    expect(rt, "host.f(-1234)", "bine.HostError", "unknown status");
    expect(rt, "host.f(-1)", "ValueError", "");
    expect(rt, "host.f(-2)", "MemoryError", "");
    expect(rt, "host.f(-11)", "bine.Timeout", "");
    expect(rt, "host.f(-14)", "TypeError", "");
    expect(rt, "host.f(5)", "SystemError", "5");
    run_script(rt, "import bine, host\n"
                   "try: host.f(-1234)\n"
                   "except bine.HostError as e: code, name = e.code, e.name\n"
                   "try: host.f(-13)\n"
                   "except bine.HostError as e: code2, name2 = e.code, e.name\n"
                   "assert (code, name, code2, name2) == (-1234, '', -13, 'BINE_EBROKEN')\n");
    close_runtime(rt);
}

TEST(a_status_after_an_answer_drops_the_answer)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "f(status: int)", return_status, NULL, NULL));
    expect(rt, "host.f(-9)", "bine.HostError", "");  /* a script's exception without any */
    expect(rt, "host.f(-10)", "bine.HostError", ""); /* cancelled without being so */
    close_runtime(rt);
}

static int fail(bine_call *call, void *user)
{
    return bine_fail(call, user, "it is %d too %s", 3, "deep");
}

static int fail_after_answer(bine_call *call, void *user)
{
    (void)user;
    CHECK_OK(bine_return(call, bine_value_pointer(&door, "door", destroy)));
    return bine_fail(call, "ValueError", "%s", "no");
}

static int fail_and_forget(bine_call *call, void *user)
{
    (void)user;
    bine_fail(call, "ValueError", "forgotten");
    return BINE_OK;
}

static int fail_at_length(bine_call *call, void *user)
{
    char text[1001];

    (void)user;
    for (size_t i = 0; i < sizeof text - 1; i += 2)
        memcpy(text + i, "\xd0\xb9", 2);
    text[sizeof text - 1] = '\0';
    return bine_fail(call, "ValueError", "%s%s", bine_arg_i64(call, 0) != 0 ? "-" : "", text);
}

static int reject_in_latin1(bine_call *call, void *user)
{
    bine_resolver *r;
    int status = bine_defer(call, NULL, &r);

    (void)user;
    return status != BINE_OK ? status : bine_reject(r, -2000, "caf\xe9 closed");
}

/* Cut short where it may be, or no UTF-8 at all: the exception is what the host says. */
TEST(messages_of_any_bytes_reach_the_script)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "long(odd: int)", fail_at_length));
    CHECK_OK(def(rt, "latin1()", reject_in_latin1));
    expect(rt, "host.long(0)", "ValueError", "\xd0\xb9\xd0\xb9");
    expect(rt, "host.long(1)", "ValueError", "\xd0\xb9\xd0\xb9");
    expect(rt, "host.latin1()", "bine.HostError", "caf\xef\xbf\xbd closed");
    close_runtime(rt);
}

TEST(fail_raises_a_builtin_exception)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "value()", fail, (void *)(uintptr_t) "ValueError", NULL));
    CHECK_OK(bine_def(rt, "host", "unknown()", fail, (void *)(uintptr_t) "NoSuchError", NULL));
    CHECK_OK(bine_def(rt, "host", "no_exception()", fail, (void *)(uintptr_t) "len", NULL));
    CHECK_OK(def(rt, "after()", fail_after_answer));
    CHECK_OK(def(rt, "forget()", fail_and_forget));
    expect(rt, "host.value()", "ValueError", "it is 3 too deep");
    expect(rt, "host.unknown()", "SystemError",
           "'NoSuchError', which is no builtin exception: it is 3 too deep");
    expect(rt, "host.no_exception()", "SystemError", "'len'");
    expect(rt, "host.after()", "ValueError", "no");
    CHECK_EQ(destroyed, 1);
    expect(rt, "host.forget()", "ValueError", "forgotten");
    close_runtime(rt);
}

/* ---- deferring ---- */

static bine_resolver *resolver;
static int cancels;

static void on_cancel(bine_resolver *r, void *user)
{
    CHECK(r == resolver);
    CHECK(user == &cancels);
    cancels++;
    bine_resolver_drop(r);
}

static int later(bine_call *call, void *user)
{
    (void)user;
    return bine_defer(call, on_cancel, &resolver);
}

static bine *open_later(const char *signature)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", signature, later, &cancels, NULL));
    return rt;
}

TEST(a_deferred_answer_is_checked_too)
{
    bine *rt = open_later("later() -> int");

    run_script(rt, "kinds = []");
    for (int i = 0; i < 3; i++) {
        start_script(rt, "import host, __main__ as m\n"
                         "try: m.kinds.append(host.later())\n"
                         "except Exception as e: m.kinds.append(type(e).__name__)\n");
        settle(rt);
        if (i == 0)
            CHECK_OK(bine_resolve(resolver, bine_value_i64(1)));
        else if (i == 1)
            CHECK_OK(bine_resolve(resolver, bine_value_str("no int")));
        else
            CHECK_OK(bine_reject(resolver, -1002, "no"));
        settle(rt);
    }
    CHECK(script_true("kinds == [1, 'TypeError', 'HostError']"));
    close_runtime(rt);
}

TEST(a_function_declared_deferred_hands_out_the_deferred)
{
    bine *rt = open_later("later() -> Deferred[int]");

    start_script(rt, "import bine, host\n"
                     "d = host.later()\n"
                     "assert isinstance(d, bine.Deferred) and not d.done\n"
                     "got = d.wait()\n"
                     "del d\n");
    settle(rt);
    CHECK_OK(bine_resolve(resolver, bine_value_i64(8)));
    settle(rt);
    CHECK_EQ(script_int("got"), 8);
    close_runtime(rt);
}

TEST(deferred_functions_can_be_called_outside_of_micro_threads)
{
    bine *rt = open_later("later() -> Deferred[int]");

    bine_python_enter(rt);
    CHECK_EQ(PyRun_SimpleString("import host; d = host.later()"), 0);
    bine_python_leave(rt);
    CHECK_OK(bine_resolve(resolver, bine_value_i64(8)));
    CHECK(script_true("d.wait() == 8"));
    run_script(rt, "import __main__; del __main__.d");
    close_runtime(rt);
}

TEST(a_function_that_has_to_wait_refuses_outside_of_micro_threads)
{
    bine *rt = open_later("later() -> int");

    resolver = (bine_resolver *)rt;
    bine_python_enter(rt);
    CHECK(PyRun_SimpleString("import bine, host\n"
                             "try: host.later()\n"
                             "except bine.NotInMicroThread: pass\n"
                             "else: raise SystemError\n") == 0);
    bine_python_leave(rt);
    CHECK(resolver == NULL);
    close_runtime(rt);
}

TEST(cancelling_the_script_calls_the_canceller_before_the_script_sees_it)
{
    bine *rt = open_later("later() -> int");
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt,
                             "import bine, host\n"
                             "try: host.later()\n"
                             "finally: done = 1\n",
                             "x", &micro));
    settle(rt);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(script_int("done"), 1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    close_runtime(rt);
}

static int defer_and_fail(bine_call *call, void *user)
{
    (void)user;
    CHECK_OK(bine_defer_with(call, on_cancel, &cancels, &resolver));
    return bine_fail(call, "ValueError", "after all");
}

TEST(failing_after_deferring_cancels)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "f()", defer_and_fail));
    expect(rt, "host.f()", "ValueError", "after all");
    settle(rt);
    CHECK_EQ(cancels, 1);
    close_runtime(rt);
}

static int settle_at_once(bine_call *call, void *user)
{
    bine_resolver *r;

    (void)user;
    CHECK_OK(bine_defer(call, NULL, &r));
    CHECK_OK(bine_resolve(r, bine_value_i64(4)));
    return BINE_OK;
}

TEST(a_deferred_settled_inside_the_function_answers_at_once)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "f() -> int", settle_at_once));
    run_script(rt, "import host; a = host.f()");
    CHECK_EQ(script_int("a"), 4);
    close_runtime(rt);
}

TEST(a_python_thread_cannot_call_a_host_function)
{
    bine *rt = open_later("later() -> Deferred[int]");

    CHECK_OK(def(rt, "f()", nothing));
    run_script(rt, "import host, threading\n"
                   "said = []\n"
                   "def go():\n"
                   "    for f in host.f, host.later:\n"
                   "        try: f()\n"
                   "        except RuntimeError as e: said.append(str(e))\n"
                   "t = threading.Thread(target=go, daemon=True)\n"
                   "t.start()\n"
                   "while t.is_alive(): t.join()\n");
    CHECK_EQ(script_int("len(said)"), 2);
    CHECK_HAS(script_str("said[0]"), "f() is for the thread that runs the host's loop");
    close_runtime(rt);
}

/* ---- stubs ---- */

TEST(stubs_are_python_and_list_every_function)
{
    char *text;
    bine *rt = open_runtime();
    PyObject *code;

    CHECK_OK(bine_def(rt, "game", "heal(points: int = 1) -> int", nothing, NULL,
                      "Heals; 'the' \"new\" health.\n\nTwo lines."));
    CHECK_OK(bine_def(rt, "game",
                      "walk_to(x: float, y: float | None = None, /, *, fast: bool = False) -> Deferred[bool]",
                      nothing, NULL, NULL));
    CHECK_OK(bine_def(rt, "game", "names() -> list[str]", nothing, NULL, NULL));
    CHECK_OK(bine_stubs(rt, "game", &text));
    CHECK_HAS(text, "def heal(points: int = 1) -> int:");
    CHECK_HAS(
        text,
        "def walk_to(x: float, y: float | None = None, /, *, fast: bool = False) -> Deferred[bool]: ...");
    CHECK_HAS(text, "def names() -> list[str]: ...");
    bine_python_enter(rt);
    code = Py_CompileString(text, "game.pyi", Py_file_input);
    if (code == NULL)
        PyErr_Print();
    CHECK(code != NULL);
    Py_DECREF(code);
    bine_python_leave(rt);
    free(text);
    CHECK_STATUS(bine_stubs(rt, "sys", &text), BINE_EINVAL);
    CHECK(text == NULL);
    CHECK_STATUS(bine_stubs(rt, NULL, &text), BINE_EINVAL);
    CHECK_STATUS(bine_stubs(rt, "game", NULL), BINE_EINVAL);
    close_runtime(rt);
}

static void drop_cancelled(bine_resolver *r, void *user)
{
    (void)user;
    cancels++;
    bine_resolver_drop(r);
}

/* Answers with two deferreds as one. */
static int follow_both(bine_call *call, void *user)
{
    bine_resolver **rs = (bine_resolver **)user;
    bine_deferred *ds[2];
    bine_deferred *both;

    for (int i = 0; i < 2; i++)
        CHECK_OK(bine_deferred_new(bine_call_runtime(call), drop_cancelled, NULL, &ds[i], &rs[i]));
    CHECK_OK(bine_all(bine_call_runtime(call), ds, 2, &both));
    for (int i = 0; i < 2; i++)
        bine_deferred_release(ds[i]);
    return bine_follow(call, both);
}

static int follow_null(bine_call *call, void *user)
{
    (void)user;
    CHECK_STATUS(bine_follow(call, NULL), BINE_EINVAL);
    return BINE_OK;
}

TEST(a_call_is_answered_with_a_deferred_that_is_there)
{
    bine *rt = open_runtime();
    bine_resolver *rs[2];

    CHECK_OK(bine_def(rt, "host", "both() -> list", follow_both, rs, NULL));
    CHECK_OK(bine_def(rt, "host", "null() -> None", follow_null, NULL, NULL));
    start_script(rt, "import host\nhost.null()\ntotal = sum(host.both())\n");
    settle(rt);
    CHECK_OK(bine_resolve(rs[0], bine_value_i64(3)));
    CHECK_OK(bine_resolve(rs[1], bine_value_i64(4)));
    settle(rt);
    CHECK_EQ(script_int("total"), 7);
    close_runtime(rt);
}

TEST(cancelling_the_script_cancels_the_deferred_that_answers)
{
    bine *rt = open_runtime();
    bine_resolver *rs[2];
    bine_micro *micro;

    CHECK_OK(bine_def(rt, "host", "both() -> list", follow_both, rs, NULL));
    CHECK_OK(bine_run_string(rt, "import host\nhost.both()\n", "x", &micro));
    settle(rt);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_EQ(cancels, 2);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    close_runtime(rt);
}

static int return_without_memory(bine_call *call, void *user)
{
    (void)user;
    CHECK_STATUS(bine_return(call, NULL), BINE_ENOMEM);
    return BINE_OK; /* a host that does not look */
}

TEST(an_answer_without_memory_is_a_memory_error_though_the_host_does_not_look)
{
    bine *rt = open_runtime();

    CHECK_OK(def(rt, "f()", return_without_memory));
    expect(rt, "host.f()", "MemoryError", "");
    close_runtime(rt);
}

static bine_resolver *never;

/* The step of a cancelled deferred follows what never comes. */
static int follow_for_ever(bine_step *step, void *user)
{
    bine_deferred *d;

    (void)user;
    CHECK_OK(bine_deferred_new(bine_step_runtime(step), NULL, NULL, &d, &never));
    return bine_step_follow(step, d);
}

static int answer_with_steps(bine_call *call, void *user)
{
    bine_deferred *d;
    bine_deferred *next;

    (void)user;
    CHECK_OK(bine_deferred_new(bine_call_runtime(call), drop_cancelled, NULL, &d, &resolver));
    CHECK_OK(bine_then(d, NULL, follow_for_ever, NULL, NULL, &next));
    bine_deferred_release(d);
    return bine_follow(call, next);
}

TEST(the_end_of_the_runtime_reaches_a_script_whose_cancelled_work_does_not_end)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(def(rt, "f()", answer_with_steps));
    CHECK_OK(bine_run_string(rt, "import host\nhost.f()\n", "x", &micro));
    settle(rt);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    bine_resolver_drop(never);
    settle(rt);
    forget_errors();
    CHECK_OK(bine_close(rt));
}
