/* The switch hook, and trace functions in C. */
#include "fixture.h"

#include <bine/python.h>

/* ---- the switch hook ---- */

/* One letter per micro-thread told of: the first of its name, '.' for the host. */
static char seen[256];
static size_t seen_count;

static void note(char letter)
{
    CHECK(seen_count < sizeof seen - 1);
    seen[seen_count++] = letter;
    seen[seen_count] = '\0';
}

static void on_switch(bine *rt, bine_micro *now, void *user)
{
    (void)rt;
    CHECK(now == bine_micro_current());
    CHECK(user == seen);
    note(now == NULL ? '.' : *bine_micro_name(now));
}

static int pause_twice(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    for (int i = 0; i < 2; i++)
        CHECK_OK(bine_yield());
    return BINE_OK;
}

static void start_named(const char *name, bine_micro_fn function, void *user)
{
    bine_micro *micro;

    CHECK_OK(bine_spawn(NULL, function, user, NULL, &micro));
    CHECK_OK(bine_micro_set_name(micro, name));
    bine_micro_release(micro);
}

TEST(the_switch_hook_sees_who_runs_and_the_host_as_null)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_set_switch_hook(rt, on_switch, seen));
    start_named("a", pause_twice, NULL);
    start_named("b", pause_twice, NULL);
    CHECK_STR(seen, "");
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_STR(seen, "ab.");
    run_to_end(rt);
    CHECK_STR(seen, "ab.ab.ab.");
    close_runtime(rt);
}

TEST(a_tick_without_micro_threads_switches_nowhere)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_set_switch_hook(rt, on_switch, seen));
    settle(rt);
    CHECK_STR(seen, "");
    close_runtime(rt);
}

TEST(one_that_is_dropped_before_it_began_is_never_told_of)
{
    bine_micro *micro;
    bine *rt = open_runtime();

    CHECK_OK(bine_set_switch_hook(rt, on_switch, seen));
    CHECK_OK(bine_spawn(NULL, pause_twice, NULL, NULL, &micro));
    CHECK_OK(bine_micro_cancel(micro));
    run_to_end(rt);
    CHECK_STR(seen, "");
    bine_micro_release(micro);
    close_runtime(rt);
}

static void set_in_task(bine *rt, void *user)
{
    CHECK_OK(bine_set_switch_hook(rt, user == NULL ? NULL : on_switch, user));
}

static int set_in_micro(bine *rt, void *user, bine_value **result)
{
    (void)result;
    CHECK_OK(bine_set_switch_hook(rt, on_switch, user));
    CHECK_OK(bine_yield());
    CHECK_OK(bine_set_switch_hook(rt, NULL, NULL));
    CHECK_OK(bine_yield());
    return BINE_OK;
}

TEST(the_switch_hook_is_set_in_a_task)
{
    bine *rt = open_runtime();

    start_named("a", pause_twice, NULL);
    CHECK_OK(bine_post(rt, set_in_task, seen, NULL));
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_STR(seen, "");
    CHECK_OK(bine_post(rt, set_in_task, NULL, NULL));
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_STR(seen, "a.");
    run_to_end(rt);
    CHECK_STR(seen, "a.");
    close_runtime(rt);
}

TEST(the_switch_hook_is_set_in_a_micro_thread)
{
    bine *rt = open_runtime();

    start_named("a", set_in_micro, seen);
    start_named("b", pause_twice, NULL);
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_STR(seen, "b.");
    run_to_end(rt);
    CHECK_STR(seen, "b.a");
    close_runtime(rt);
}

static void on_switch_once(bine *rt, bine_micro *now, void *user)
{
    on_switch(rt, now, user);
    CHECK_OK(bine_set_switch_hook(rt, NULL, NULL));
}

TEST(the_switch_hook_takes_itself_out)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_set_switch_hook(rt, on_switch_once, seen));
    start_named("a", pause_twice, NULL);
    run_to_end(rt);
    CHECK_STR(seen, "a");
    close_runtime(rt);
}

static void on_switch_other(bine *rt, bine_micro *now, void *user)
{
    (void)rt;
    (void)now;
    (void)user;
    note('!');
}

static void on_switch_replace(bine *rt, bine_micro *now, void *user)
{
    on_switch(rt, now, user);
    CHECK_OK(bine_set_switch_hook(rt, on_switch_other, NULL));
}

TEST(the_switch_hook_puts_another_in_its_place)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_set_switch_hook(rt, on_switch_replace, seen));
    start_named("a", pause_twice, NULL);
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_STR(seen, "a!");
    run_to_end(rt);
    close_runtime(rt);
}

static void set_elsewhere(void *rt)
{
    CHECK_STATUS(bine_set_switch_hook(rt, on_switch, NULL), BINE_ETHREAD);
}

TEST(the_switch_hook_is_the_owners)
{
    bine *rt = open_runtime();

    in_thread(set_elsewhere, rt);
    CHECK_STATUS(bine_set_switch_hook(NULL, on_switch, NULL), BINE_EINVAL);
    close_runtime(rt);
}

TEST(the_hosts_switch_hook_comes_before_the_scripts)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_set_switch_hook(rt, on_switch, seen));
    start_script(rt, "import bine\n"
                     "bine.current().name = 'main'\n"
                     "told = []\n"
                     "bine.set_switch_hook(lambda m: told.append(m and m.name))\n"
                     "bine.sleep(1)\n"
                     "bine.set_switch_hook(None)\n"
                     "bine.sleep(1)\n");
    run_to_end(rt);
    CHECK_STR(script_str("repr(told)"), "[None, 'main']");
    CHECK_STR(seen, "<.m.m.");
    close_runtime(rt);
}

static int raise_and_wait(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    PyErr_SetString(PyExc_ValueError, "in flight");
    CHECK_OK(bine_yield());
    CHECK(PyErr_ExceptionMatches(PyExc_ValueError));
    return BINE_ESCRIPT;
}

TEST(an_exception_in_flight_in_c_survives_the_switch)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_set_switch_hook(rt, on_switch, seen));
    start_script(rt, "import bine\n"
                     "def hook(micro):\n"
                     "    try: 1/0\n"
                     "    except ZeroDivisionError: pass\n"
                     "bine.set_switch_hook(hook)\n");
    settle(rt);
    start_named("a", raise_and_wait, NULL);
    start_named("b", raise_and_wait, NULL);
    run_to_end(rt);
    CHECK_EQ(error_count(), 2);
    CHECK_STR(error_type(0), "ValueError");
    CHECK_STR(error_message(0), "in flight");
    forget_errors();
    run_script(rt, "import bine; bine.set_switch_hook(None)");
    close_runtime(rt);
}

TEST(a_hook_is_forgotten_at_the_close)
{
    bine *rt = open_runtime();

    run_script(rt, "import bine\n"
                   "def hook(micro): raise SystemError('after the end')\n");
    CHECK_OK(bine_set_switch_hook(rt, on_switch, seen));
    close_runtime(rt);
}

/* ---- time per micro-thread ---- */

typedef struct account {
    int64_t spent;
} account;

static account host_account;
static account *running = &host_account;
static int64_t since;
static int64_t time_now;

static void on_switch_book(bine *rt, bine_micro *now, void *user)
{
    (void)rt;
    (void)user;
    running->spent += time_now - since;
    since = time_now;
    running = now == NULL ? &host_account : bine_micro_data(now);
}

static int burn(bine *rt, void *user, bine_value **result)
{
    int64_t ns = *(const int64_t *)user;

    (void)rt;
    (void)result;
    for (int i = 0; i < 3; i++) {
        time_now += ns;
        CHECK_OK(bine_yield());
    }
    time_now += ns;
    return BINE_OK;
}

TEST(time_is_booked_to_micro_threads_by_the_switch_hook)
{
    static const int64_t costs[] = {1, 20, 300};
    account accounts[3] = {{0}, {0}, {0}};
    bine *rt = open_runtime();

    CHECK_OK(bine_set_switch_hook(rt, on_switch_book, NULL));
    for (size_t i = 0; i < 3; i++) {
        bine_micro *micro;

        CHECK_OK(bine_spawn(NULL, burn, (void *)(uintptr_t)&costs[i], NULL, &micro));
        bine_micro_set_data(micro, &accounts[i]);
        bine_micro_release(micro);
    }
    time_now += 5000; /* the host's own */
    run_to_end(rt);
    CHECK_EQ(accounts[0].spent, 4);
    CHECK_EQ(accounts[1].spent, 80);
    CHECK_EQ(accounts[2].spent, 1200);
    CHECK_EQ(host_account.spent, 5000);
    close_runtime(rt);
}

/* ---- trace functions in C ---- */

static int64_t calls;

/* Counts the calls of functions named work, of whatever micro-thread. */
static int count_calls(PyObject *arg, PyFrameObject *frame, int what, PyObject *unused)
{
    PyCodeObject *code = PyFrame_GetCode(frame);

    (void)unused;
    CHECK(PyUnicode_Check(arg));
    if (what == PyTrace_CALL && PyUnicode_CompareWithASCIIString(code->co_name, "work") == 0)
        calls++;
    Py_DECREF(code);
    return 0;
}

/* trace(on) and profile(on) */
static int set_tracer(bine_call *call, void *user)
{
    void (*set)(Py_tracefunc, PyObject *) = user == NULL ? PyEval_SetTrace : PyEval_SetProfile;
    PyObject *arg = PyUnicode_FromString("the tracer's own");

    CHECK(arg != NULL);
    if (bine_arg_bool(call, 0))
        set(count_calls, arg);
    else
        set(NULL, NULL);
    Py_DECREF(arg);
    return BINE_OK;
}

static bine *open_with_tracers(void)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "trace(on: bool) -> None", set_tracer, NULL, NULL));
    CHECK_OK(bine_def(rt, "host", "profile(on: bool) -> None", set_tracer, (void *)1, NULL));
    return rt;
}

static const char family[] = "import bine, host\n"
                             "def work(): bine.pause()\n"
                             "def child():\n"
                             "    work()\n"
                             "    bine.spawn(work).join()\n"
                             "host.%s(True)\n"
                             "t = bine.spawn(child)\n"
                             "host.%s(False)\n"
                             "bine.spawn(work)\n"
                             "work()\n"
                             "t.join()\n"
                             "work()\n";

static void check_inherited(const char *setter)
{
    char source[512];
    bine *rt = open_with_tracers();

    snprintf(source, sizeof source, family, setter, setter);
    run_script(rt, source);
    CHECK_EQ(calls, 2);
    close_runtime(rt);
}

TEST(a_trace_function_in_c_is_inherited)
{
    check_inherited("trace");
}

TEST(a_profile_function_in_c_is_inherited)
{
    check_inherited("profile");
}

static int call_work(bine *rt, void *user, bine_value **result)
{
    (void)user;
    (void)result;
    return bine_call_named(rt, "__main__", "work", NULL, NULL, NULL);
}

static int spawn_traced(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    return bine_spawn(NULL, call_work, NULL, NULL, NULL);
}

TEST(a_micro_thread_in_c_inherits_too)
{
    bine *rt = open_with_tracers();

    CHECK_OK(bine_def(rt, "host", "spawn_traced() -> None", spawn_traced, NULL, NULL));
    run_script(rt, "import bine, host\n"
                   "def work(): bine.pause()\n"
                   "host.spawn_traced()\n"
                   "host.trace(True)\n"
                   "host.spawn_traced()\n"
                   "host.spawn_traced()\n"
                   "host.trace(False)\n");
    CHECK_EQ(calls, 2);
    close_runtime(rt);
}

static int fail_to_trace(PyObject *arg, PyFrameObject *frame, int what, PyObject *unused)
{
    (void)arg;
    (void)frame;
    (void)what;
    (void)unused;
    PyErr_SetString(PyExc_ValueError, "in the tracer");
    return -1;
}

static int trace_badly(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    PyEval_SetTrace(fail_to_trace, NULL);
    return BINE_OK;
}

TEST(a_trace_function_in_c_that_fails_ends_its_micro_thread_alone)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "trace_badly() -> None", trace_badly, NULL, NULL));
    start_script(rt, "import bine, host\n"
                     "def work(): pass\n"
                     "def traced():\n"
                     "    host.trace_badly()\n"
                     "    work()\n"
                     "t = bine.spawn(traced)\n"
                     "try: t.join()\n"
                     "except ValueError as e: got = str(e)\n"
                     "work()\n");
    run_to_end(rt);
    CHECK_EQ(error_count(), 0);
    CHECK_STR(script_str("got"), "in the tracer");
    close_runtime(rt);
}
