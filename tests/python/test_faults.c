/* Out of memory, at every allocation there is, as scripts and their errors meet it: MemoryError where a
 * script is, BINE_ENOMEM where C is, and nothing is lost. */
#include <bine/python.h> /* before any other */

#include "faults.h"

#include "python/python.h"

#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

/* BINE_ENOMEM where a rejection comes to that: by its code, or as a script's MemoryError. */
static int state_of(bine_deferred *d)
{
    int state = bine_deferred_state(d);
    const bine_error *error = state < 0 ? bine_deferred_error(d) : NULL;

    if (state == BINE_ESCRIPT && error != NULL && faults_only_memory(error))
        return BINE_ENOMEM;
    if (state == BINE_ESCRIPT && error != NULL)
        fprintf(stderr, "%s", error->text);
    return state;
}

/* Runs a function of the script's, which the script has put into __main__, to its end. */
static void call(bine *rt, const char *function)
{
    bine_micro *micro;
    bine_deferred *end = NULL;
    bine_tick_info info = {.struct_size = sizeof info};
    bool asked;

    if (!TRIED(bine_spawn_named(rt, "__main__", function, NULL, &micro))) {
        CHECK(micro == NULL);
        return;
    }
    asked = TRIED(bine_micro_result(micro, &end));
    CHECK((end != NULL) == asked);
    bine_micro_release(micro);
    do {
        settle(rt);
        CHECK_OK(bine_tick(rt, -1, &info));
        if (info.next_wake_ns > 0)
            crank(info.next_wake_ns);
    } while (info.next_wake_ns >= 0);
    CHECK_EQ(info.alive, 0);
    if (end == NULL)
        return;
    CHECK(bine_deferred_state(end) != 0);
    if (bine_deferred_state(end) < 0 && state_of(end) != BINE_ENOMEM)
        FAIL("%s", bine_deferred_error(end) != NULL ? bine_deferred_error(end)->text : "no error");
    CHECK(bine_deferred_state(end) > 0 || fault_injected());
    bine_deferred_release(end);
}

#define CALLS(name)            \
    static void name(bine *rt) \
    {                          \
        call(rt, #name);       \
    }                          \
    static void name(bine *rt)

/* ---- micro-threads ---- */

CALLS(spawn_and_join);
CALLS(join_too_long);
CALLS(await_many);
CALLS(raise_through_join);

TEST(scripts_that_spawn_and_join)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine\n"
                   "class Trouble(Exception): pass\n"
                   "def add(a, b=0): bine.sleep(1); bine.pause(); return a + b\n"
                   "def spawn_and_join():\n"
                   "    both = [bine.spawn(add, 1, b=1000), bine.spawn(add, 2)]\n"
                   "    assert [t.join() for t in both] == [1001, 2]\n"
                   "    assert all(t.done for t in both) and both[0].name and both[0].stack() == []\n"
                   "def join_too_long():\n"
                   "    t = bine.spawn(add, 1)\n"
                   "    try:\n"
                   "        t.join(0.5)\n"
                   "        assert False\n"
                   "    except bine.Timeout: pass\n"
                   "    try:\n"
                   "        with bine.timeout(0.25): t.join()\n"
                   "        assert False\n"
                   "    except bine.Timeout: pass\n"
                   "    t.cancel()\n"
                   "    try:\n"
                   "        t.join()\n"
                   "        assert False\n"
                   "    except bine.Cancelled: pass\n"
                   "async def waiter(): return await bine.spawn(add, 1, 2)\n"
                   "def await_many():\n"
                   "    assert bine.spawn(waiter).join() == 3\n"
                   "def trouble(): raise Trouble('a word')\n"
                   "def raise_through_join():\n"
                   "    try:\n"
                   "        bine.spawn(trouble).join()\n"
                   "        assert False\n"
                   "    except Trouble as e: assert str(e) == 'a word'\n");
    expect_reports_of("Trouble");
    with_all_faults(rt, spawn_and_join);
    with_all_faults(rt, join_too_long);
    with_all_faults(rt, await_many);
    with_all_faults(rt, raise_through_join);
    close_runtime(rt);
}

CALLS(rest);
CALLS(wait_for_descriptors);

TEST(scripts_that_wait_for_real_time_frames_and_descriptors)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine, os\n"
                   "readable, writable = os.pipe()\n"
                   "def rest():\n"
                   "    bine.sleep(1, real=True)\n"
                   "    bine.next_frame()\n"
                   "    assert bine.time() > 0\n"
                   "def wait_for_descriptors():\n"
                   "    t = bine.spawn(bine.wait_readable, readable, timeout=3)\n"
                   "    try:\n"
                   "        bine.wait_readable(readable, 1)\n"
                   "        assert False\n"
                   "    except bine.Timeout: pass\n"
                   "    bine.wait_writable(writable, 1)\n"
                   "    try:\n"
                   "        t.join()\n"
                   "        assert False\n"
                   "    except bine.Timeout: pass\n");
    expect_reports_of("bine.Timeout");
    with_all_faults(rt, rest);
    with_all_faults(rt, wait_for_descriptors);
    close_runtime(rt);
}

CALLS(in_a_decimal_context);

TEST(a_spawn_hands_down_its_contexts_or_fails)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine, decimal, contextvars\n"
                   "who = contextvars.ContextVar('who')\n"
                   "def change():\n"
                   "    assert who.get() == 'spawner' and decimal.getcontext().prec == 7\n"
                   "    decimal.getcontext().prec = 3\n"
                   "    who.set('spawned')\n"
                   "def in_a_decimal_context():\n"
                   "    who.set('spawner')\n"
                   "    decimal.getcontext().prec = 7\n"
                   "    t = bine.spawn(change)\n"
                   "    t.join()\n"
                   "    assert decimal.getcontext().prec == 7 and who.get() == 'spawner'\n");
    with_all_faults(rt, in_a_decimal_context);
    close_runtime(rt);
}

CALLS(traced);

TEST(a_spawn_hands_down_its_tracers_or_fails)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine, sys, threading\n"
                   "seen = []\n"
                   "def other(frame, event, arg):\n"
                   "    seen.append('threads')\n"
                   "def own(frame, event, arg):\n"
                   "    if frame.f_code.co_name == 'child': seen.append('own')\n"
                   "def child(): pass\n"
                   "def traced():\n"
                   "    del seen[:]\n"
                   "    threading.settrace(other)\n"
                   "    sys.settrace(own)\n"
                   "    try: t = bine.spawn(child)\n"
                   "    finally: sys.settrace(None)\n"
                   "    t.join()\n"
                   "    assert seen == ['threads'] or not seen, seen\n");
    with_all_faults(rt, traced);
    close_runtime(rt);
}

static int switches;

static void on_switch(bine *rt, bine_micro *now, void *user)
{
    (void)rt;
    (void)now;
    (void)user;
    switches++;
}

CALLS(hooked);

static void hooked_by_both(bine *rt)
{
    CHECK_OK(bine_set_switch_hook(rt, on_switch, NULL));
    hooked(rt);
    CHECK_OK(bine_set_switch_hook(rt, NULL, NULL));
}

TEST(switch_hooks)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine\n"
                   "def hook(micro): hook.last = micro and micro.name\n"
                   "def hooked():\n"
                   "    bine.set_switch_hook(hook)\n"
                   "    try: bine.sleep(1); bine.spawn(bine.pause).join()\n"
                   "    finally: bine.set_switch_hook(None)\n");
    with_all_faults(rt, hooked_by_both);
    CHECK(switches > 0);
    close_runtime(rt);
}

/* ---- scopes, shields ---- */

CALLS(scope);
CALLS(scope_out_of_time);
CALLS(scope_with_failures);
CALLS(scope_cancelled);
CALLS(shield);

TEST(scopes_of_scripts)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine\n"
                   "class Trouble(Exception): pass\n"
                   "def child(log):\n"
                   "    try: bine.sleep(1)\n"
                   "    finally: log.append(1)\n"
                   "def fail():\n"
                   "    bine.pause()\n"
                   "    raise Trouble\n"
                   "def scope():\n"
                   "    log = []\n"
                   "    with bine.Scope(name='door 7') as s:\n"
                   "        s.spawn(child, log)\n"
                   "        s.spawn(child, log)\n"
                   "    assert log == [1, 1] and s.alive == 0\n"
                   "def scope_out_of_time():\n"
                   "    log = []\n"
                   "    try:\n"
                   "        with bine.Scope(timeout=0.5) as s:\n"
                   "            s.spawn(child, log)\n"
                   "        assert False\n"
                   "    except bine.Timeout: assert log == [1]\n"
                   "    except ExceptionGroup as e: assert e.split((bine.Timeout, MemoryError))[1] is None\n"
                   "def only_trouble(group):\n"
                   "    left = group.split((Trouble, MemoryError))[1]\n"
                   "    assert left is None, left\n"
                   "def scope_with_failures():\n"
                   "    log = []\n"
                   "    try:\n"
                   "        with bine.Scope() as s:\n"
                   "            s.spawn(child, log)\n"
                   "            s.spawn(fail)\n"
                   "            s.spawn(fail)\n"
                   "        assert False\n"
                   "    except ExceptionGroup as e:\n"
                   "        only_trouble(e)\n"
                   "    assert s.alive == 0\n"
                   "def scope_cancelled():\n"
                   "    log = []\n"
                   "    with bine.Scope() as s:\n"
                   "        s.spawn(child, log)\n"
                   "        bine.pause()\n"
                   "        s.cancel('enough')\n"
                   "    assert s.alive == 0 and log == [1], log\n"
                   "def shielded(log):\n"
                   "    try: bine.sleep(5)\n"
                   "    finally:\n"
                   "        with bine.shield(2): bine.sleep(1); log.append(1)\n"
                   "def shield():\n"
                   "    log = []\n"
                   "    t = bine.spawn(shielded, log)\n"
                   "    bine.pause()\n"
                   "    t.cancel()\n"
                   "    try: t.join(); assert False\n"
                   "    except bine.Cancelled: assert log == [1], log\n");
    expect_reports_of("Trouble");
    with_all_faults(rt, scope);
    with_all_faults(rt, scope_out_of_time);
    with_all_faults(rt, scope_with_failures);
    with_all_faults(rt, scope_cancelled);
    with_all_faults(rt, shield);
    close_runtime(rt);
}

/* ---- pipes ---- */

CALLS(pass_values);
CALLS(split_and_fail);
CALLS(leave_by_error);
CALLS(put_too_long);

TEST(pipes_of_scripts)
{
    bine *rt = open_to_faults();

    run_script(
        rt, "import bine\n"
            "class Trouble(Exception): pass\n"
            "def write(pipe, count):\n"
            "    with pipe:\n"
            "        for i in range(1000, 1000 + count): pipe.put(i)\n"
            "def pass_values():\n"
            "    for capacity in 0, 2, None:\n"
            "        p = bine.Pipe(capacity)\n"
            "        with bine.Scope() as s:\n"
            "            s.spawn(write, p, 20)\n"
            "            assert list(p) == list(range(1000, 1020))\n"
            "def split_and_fail():\n"
            "    w, r = bine.Pipe(3).split()\n"
            "    v, s = w.clone(), r.clone()\n"
            "    v.put([w]); w.close()\n"
            "    v.fail(Trouble('a word'))\n"
            "    assert s.get() == [w]\n"
            "    try: r.get(); assert False\n"
            "    except Trouble as e: assert str(e) == 'a word'\n"
            "def break_off(pipe):\n"
            "    with pipe: raise KeyboardInterrupt\n"
            "def leave_by_error():\n"
            "    p = bine.Pipe()\n"
            "    try: break_off(p)\n"
            "    except KeyboardInterrupt: pass\n"
            "    assert p.closed\n"
            "    try: p.get(); assert False\n"
            "    except bine.BrokenPipe as e: assert str(e) == 'the writer was ended by KeyboardInterrupt'\n"
            "def put_too_long():\n"
            "    p = bine.Pipe(0)\n"
            "    try: p.put(1, 0.5); assert False\n"
            "    except bine.Timeout: pass\n"
            "    assert p.try_get(None) is None\n");
    with_all_faults(rt, pass_values);
    with_all_faults(rt, split_and_fail);
    with_all_faults(rt, leave_by_error);
    with_all_faults(rt, put_too_long);
    close_runtime(rt);
}

static bine_reader *results_of_script;

static int give_writer(bine_call *call, void *user)
{
    bine_writer *w;
    int status = bine_pipe_new(bine_call_runtime(call), 4, &w, &results_of_script);

    (void)user;
    return status == BINE_OK ? bine_return(call, bine_value_writer(w)) : status;
}

CALLS(put_for_c);

/* What there was no memory to take is still there. */
static void take_for_c(bine *rt)
{
    bine_value *value = NULL;

    put_for_c(rt);
    if (results_of_script == NULL)
        return;
    for (size_t left = bine_reader_count(results_of_script); left > 0; left--) {
        if (!TRIED(bine_try_get(results_of_script, &value))) {
            CHECK(value == NULL);
            CHECK_EQ(bine_reader_count(results_of_script), left);
            CHECK_OK(bine_try_get(results_of_script, &value));
        }
        CHECK_EQ(bine_value_count(value), left == 2 ? 3 : 0);
        bine_value_free(value);
    }
    bine_reader_release(results_of_script);
    results_of_script = NULL;
}

TEST(a_value_of_a_scripts_that_c_has_no_memory_for_stays_in_the_pipe)
{
    bine *rt = open_to_faults();

    CHECK_OK(bine_def(rt, "pipes", "writer() -> PipeWriter", give_writer, NULL, NULL));
    run_script(rt, "import pipes\n"
                   "def put_for_c():\n"
                   "    with pipes.writer() as w:\n"
                   "        w.put(['a text', 1 << 40, {'a': 1.5}])\n"
                   "        w.put(put_for_c)\n");
    with_all_faults(rt, take_for_c);
    close_runtime(rt);
}

/* ---- generators ---- */

CALLS(generate);
CALLS(generate_and_drive);
CALLS(generate_and_abandon);

TEST(generators_of_scripts)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine\n"
                   "class Trouble(Exception): pass\n"
                   "def deep(x, n): return bine.emit(x) if n == 0 else deep(x, n - 1)\n"
                   "def count(n, *, by=1):\n"
                   "    for i in range(n): deep(i * by, 3)\n"
                   "def double(source):\n"
                   "    for x in source: yield 2 * x\n"
                   "def generate():\n"
                   "    assert list(bine.generate(count, 3, by=5) | double | list) == []\n"
                   "    assert list(bine.generate(count, 3, by=5) | double) == [0, 10, 20]\n"
                   "    assert list(bine.generate(bine.emit, 5)) == [5]\n"
                   "def answer(log):\n"
                   "    try: log.append(deep(1, 2))\n"
                   "    except Trouble: return (bine.emit(2), bine.sleep(1))\n"
                   "def generate_and_drive():\n"
                   "    log = []\n"
                   "    g = bine.generate(answer, log)\n"
                   "    assert next(g) == 1 and repr(g) and g.stack() is not None\n"
                   "    assert g.throw(Trouble) == 2\n"
                   "    try: g.send(5); assert False\n"
                   "    except StopIteration as stop: assert stop.value == (5, None)\n"
                   "    try: g.throw(Trouble('a word')); assert False\n"
                   "    except Trouble: pass\n"
                   "    for how, args in ('close', ()), ('send', ('x',)):\n"
                   "        g = bine.generate(answer, log)\n"
                   "        next(g)\n"
                   "        try: getattr(g, how)(*args)\n"
                   "        except StopIteration: pass\n"
                   "def note(log):\n"
                   "    try: deep(1, 2)\n"
                   "    finally: log[0] += 1\n"
                   "def generate_and_abandon():\n"
                   "    log = [0]\n"
                   "    for _ in bine.generate(note, log): break\n"
                   "    kept = [bine.generate(note, log) | double]\n"
                   "    assert next(kept[0]) == 2\n"
                   "    kept.clear()\n"
                   "    assert log == [2], log\n");
    expect_reports_of("Trouble");
    with_all_faults(rt, generate);
    with_all_faults(rt, generate_and_drive);
    with_all_faults(rt, generate_and_abandon);
    close_runtime(rt);
}

/* ---- host functions ---- */

static bine_resolver *kept;

static int answer_later(bine_call *call, void *user)
{
    (void)user;
    return bine_defer(call, NULL, &kept);
}

static int answer_with_all(bine_call *call, void *user)
{
    bine_value *list = bine_arg_value(call, 0);
    int status;

    (void)user;
    if (list == NULL)
        return BINE_ENOMEM;
    status = bine_value_append(list, owed_value());
    if (status == BINE_OK)
        return bine_return(call, list);
    bine_value_free(list);
    return status;
}

static int answer_with_arguments(bine_call *call, void *user)
{
    size_t size;
    const char *text = bine_arg_str(call, 2, &size);
    char all[100];

    (void)user;
    snprintf(all, sizeof all, "%lld %g %s %d", (long long)bine_arg_i64(call, 0), bine_arg_f64(call, 1), text,
             bine_arg_bool(call, 3));
    return bine_return(call, bine_value_str(all));
}

static int refuse(bine_call *call, void *user)
{
    (void)user;
    return bine_fail(call, "KeyError", "no %s", "such thing");
}

CALLS(call_all_kinds);
CALLS(call_and_wait);
CALLS(call_then);

static void resolve_kept(bine *rt, void *user)
{
    bine_resolver *r = kept;
    int status;

    (void)rt;
    (void)user;
    kept = NULL;
    if (r == NULL)
        return;
    status = bine_resolve(r, bine_value_str("late"));
    if (status != BINE_ESETTLED) /* its script has given up */
        TRIED(status);
}

static int settle_kept(bine_call *call, void *user)
{
    (void)user;
    return bine_post(bine_call_runtime(call), resolve_kept, NULL, NULL);
}

static void drop_kept(void)
{
    bine_resolver_drop(kept);
    kept = NULL;
}

static void waiting_call(bine *rt)
{
    call_and_wait(rt);
    drop_kept();
}

static void call_with_steps(bine *rt)
{
    call_then(rt);
    drop_kept();
}

TEST(host_functions)
{
    bine *rt = open_to_faults();

    CHECK_OK(bine_def(rt, "host", "later() -> str", answer_later, NULL, NULL));
    CHECK_OK(bine_def(rt, "host", "promise() -> Deferred[str]", answer_later, NULL, NULL));
    CHECK_OK(bine_def(rt, "host", "settle()", settle_kept, NULL, NULL));
    CHECK_OK(bine_def(rt, "host", "all(x: list) -> list", answer_with_all, NULL, NULL));
    CHECK_OK(bine_def(rt, "host",
                      "args(i: int, f: float = 0.5, s: str = 'x', *, b: bool | None = None) -> str",
                      answer_with_arguments, NULL, NULL));
    CHECK_OK(bine_def(rt, "host", "refuse()", refuse, NULL, NULL));
    /* Functions are made outside: from 3.12 on CPython crashes where there is no memory for one. */
    run_script(
        rt, "import bine, host\n"
            "wrongs = [lambda: host.args('x'), lambda: host.args(c=1), lambda: host.args(1, b=1)]\n"
            "shout_later = lambda x: bine.spawn(shout, x)\n"
            "excuse = lambda e: 'LATE'\n"
            "def call_all_kinds():\n"
            "    tree = [None, True, 1 << 40, 0.25, 'text \\u20ac', b'bytes', [1, [2]], {'a': {'b': 3000}}]\n"
            "    back = host.all(tree)\n"
            "    assert back[:-1] == tree and len(back) == 9, back\n"
            "    del back\n"
            "    assert host.args(1 << 40, s='\\u20ac', b=True) == f'{1 << 40} 0.5 \\u20ac 1'\n"
            "    for wrong in wrongs:\n"
            "        try: wrong(); assert False\n"
            "        except TypeError: pass\n"
            "    try: host.refuse(); assert False\n"
            "    except KeyError as e: assert e.args in (('no such thing',), ())\n"
            "def call_and_wait():\n"
            "    bine.spawn(host.settle)\n"
            "    try: \n"
            "        with bine.timeout(1): assert host.later() == 'late'\n"
            "    except (bine.HostError, bine.Timeout): host.settle()\n"
            "def shout(text): return text.upper()\n"
            "def call_then():\n"
            "    try:\n"
            "        d = host.promise().then(shout).then(shout_later)\n"
            "        d = d.then(None, excuse)\n"
            "    finally: host.settle()\n"
            "    assert d.wait() == 'LATE'\n"
            "    assert d.done\n");
    expect_reports_of("bine.HostError");
    with_all_faults(rt, call_all_kinds);
    with_all_faults(rt, waiting_call);
    with_all_faults(rt, call_with_steps);
    close_runtime(rt);
}

/* Once more after a failure: what has failed has left nothing behind that is in its way. */
static void define(bine *rt)
{
    PyObject *modules;
    static const char signature[] = "f(a: int, b: float | None = None, *, c: list[int] = []) -> dict";
    char *stubs;
    int status = bine_def(rt, "fresh", signature, refuse, NULL, "Does it.");

    if (!TRIED(status))
        CHECK_OK(bine_def(rt, "fresh", signature, refuse, NULL, "Does it."));
    if (TRIED(bine_stubs(rt, "fresh", &stubs))) {
        CHECK_HAS(stubs, signature);
        free(stubs);
    }
    faults_pause();
    bine_python_enter(rt);
    PyRun_SimpleString("import fresh; assert fresh.f.__annotations__['return'] is dict\n"
                       "try: fresh.f('x'); assert False, 'it takes a str'\n"
                       "except TypeError: pass\n"
                       "try: fresh.f(1); assert False\n"
                       "except KeyError: pass\n"
                       "del fresh\n");
    modules = PyImport_GetModuleDict();
    CHECK_EQ(PyDict_DelItemString(modules, "fresh"), 0);
    CHECK_EQ(PyDict_DelItemString(rt->python->host_modules, "fresh"), 0);
    bine_python_leave(rt);
    faults_resume();
}

TEST(defining_functions_and_stubs)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, define);
    close_runtime(rt);
}

/* ---- scripts and their errors ---- */

static void run_string(bine *rt)
{
    bine_micro *micro;
    bine_deferred *end = NULL;

    if (!TRIED(bine_run_string(rt, "assert [1000] + [str(2000)] == [1000, '2000']\n", "<one>", &micro))) {
        CHECK(micro == NULL);
        return;
    }
    TRIED(bine_micro_result(micro, &end));
    settle(rt);
    if (end != NULL && bine_deferred_state(end) < 0)
        TRIED(state_of(end));
    bine_deferred_release(end);
    bine_micro_release(micro);
}

static char *file_path;

static void run_file(bine *rt)
{
    bine_micro *micro;

    if (!TRIED(bine_run_file(rt, file_path, &micro))) {
        CHECK(micro == NULL);
        return;
    }
    settle(rt);
    CHECK(bine_micro_status(micro) == BINE_OK || fault_injected());
    bine_micro_release(micro);
}

TEST(scripts_from_strings_and_files)
{
    static const char source[] = "assert __file__.endswith('one.py')\n";
    bine *rt = open_to_faults();
    char *folder = temporary_folder();

    write_file(folder, "one.py", source, sizeof source - 1);
    CHECK(asprintf(&file_path, "%s/one.py", folder) > 0);
    with_all_faults(rt, run_string);
    with_all_faults(rt, run_file);
    free(file_path);
    free(folder);
    close_runtime(rt);
}

/* A failure with all that can hang on one; nobody joins it. */
static void fail_richly(bine *rt)
{
    if (!TRIED(bine_spawn_named(rt, "__main__", "fail", NULL, NULL)))
        return;
    settle(rt);
    CHECK_EQ(faults_told(), 1);
}

static bine *open_to_fail(void)
{
    bine *rt = open_to_faults();

    run_script(rt, "class Trouble(Exception): pass\n"
                   "def deep(n):\n"
                   "    if n: deep(n - 1)\n"
                   "    raise Trouble('at the bottom')\n"
                   "def fail():\n"
                   "    try: deep(20)\n"
                   "    except Trouble as e:\n"
                   "        try: raise ExceptionGroup('both', [Trouble('one'), e]) from e\n"
                   "        except ExceptionGroup: raise Trouble('last')\n");
    expect_reports_of("Trouble");
    expect_reports_of("ExceptionGroup"); /* one whose members there was no memory for */
    return rt;
}

TEST(errors_with_causes_and_groups_are_told_of_once)
{
    bine *rt = open_to_fail();

    with_all_faults(rt, fail_richly);
    close_runtime(rt);
}

/* Python's modules take many thousand allocations to write a traceback. */
TEST(errors_in_full_are_told_of_once)
{
    bine *rt = open_to_fail();

    if (PY_VERSION_HEX >= 0x030C0000)
        SKIP("from 3.12 on CPython itself crashes where there is no memory to make a function");
    run_script(rt, "import traceback, linecache, __main__\n"
                   "traceback.format_exception, linecache.getline = __main__.in_full\n");
    with_some_faults(rt, PYTHON_MEMORY, fail_richly, 101);
    close_runtime(rt);
}

static const char *const results[] = {"text", "number", "tree", "object"};
static const bine_kind kinds[] = {BINE_STR, BINE_I64, BINE_LIST, BINE_OBJECT};

/* What a micro-thread returned has the kind it has, or memory was out. */
static void take_results(bine *rt)
{
    for (size_t i = 0; i < 4; i++) {
        bine_deferred *end = NULL;
        bine_micro *micro;
        const bine_value *value;

        if (!TRIED(bine_spawn_named(rt, "__main__", results[i], NULL, &micro)))
            continue;
        TRIED(bine_micro_result(micro, &end));
        bine_micro_release(micro);
        settle(rt);
        if (end != NULL && TRIED(state_of(end) > 0 ? BINE_OK : state_of(end))) {
            bine_deferred_peek(end, &value, NULL);
            CHECK_EQ(bine_value_kind(value), kinds[i]);
        }
        bine_deferred_release(end);
    }
}

TEST(results_of_micro_threads)
{
    bine *rt = open_to_faults();

    run_script(rt, "def text(): return 'text' * 100\n"
                   "def number(): return 1 << 40\n"
                   "def tree(): return [{'a': [1.5]}, 'x']\n"
                   "def object(): return tree\n");
    with_all_faults(rt, take_results);
    close_runtime(rt);
}

static int never_called(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    FAIL("it has begun");
}

/* They end on the host's stack. */
static void cancel_before_it_began(bine *rt)
{
    bine_micro *micros[2] = {NULL, NULL};

    TRIED(bine_spawn_named(rt, "__main__", "text", NULL, &micros[0]));
    TRIED(bine_spawn(NULL, never_called, owe(), pay, &micros[1]));
    for (size_t i = 0; i < 2; i++)
        if (micros[i] != NULL)
            CHECK_OK(bine_micro_cancel(micros[i]));
    settle(rt);
    bine_python_enter(rt);
    CHECK(PyErr_Occurred() == NULL);
    bine_python_leave(rt);
    for (size_t i = 0; i < 2; i++) {
        CHECK(bine_micro_name(micros[i]) != NULL);
        bine_micro_release(micros[i]);
    }
}

TEST(micro_threads_that_never_begin)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, cancel_before_it_began);
    close_runtime(rt);
}

/* ---- C that calls Python ---- */

static int calling(bine *rt, void *user, bine_value **result)
{
    bine_value *args = bine_value_list();
    bine_value *value = NULL;
    bine_error *error = NULL;
    int status = bine_value_append(args, bine_value_str("abc"));

    (void)user;
    (void)result;
    if (status != BINE_OK) {
        bine_value_free(args);
        return status;
    }
    status = bine_call_named(rt, "__main__", "shout", args, &value, &error);
    if (status == BINE_ESCRIPT && faults_only_memory(error))
        status = BINE_ENOMEM;
    if (TRIED(status))
        CHECK_STR(bine_value_as_str(value, NULL), "ABC");
    else
        CHECK(value == NULL);
    bine_value_free(value);
    bine_error_free(error);
    error = NULL;
    status = bine_call_named(rt, "__main__", "fail", NULL, &value, &error);
    if (error == NULL || faults_only_memory(error))
        TRIED(error == NULL ? status : BINE_ENOMEM);
    else
        CHECK(strcmp(error->message, "of mine") == 0 ||
              fault_injected()); /* else it may go without its text */
    bine_error_free(error);
    return BINE_OK;
}

static void call_from_c(bine *rt)
{
    TRIED(bine_spawn(NULL, calling, owe(), pay, NULL));
    settle(rt);
}

TEST(calls_from_c)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine\n"
                   "def shout(text): bine.pause(); return text.upper()\n"
                   "def fail(): raise KeyboardInterrupt if not shout else ValueError('of mine')\n");
    with_all_faults(rt, call_from_c);
    close_runtime(rt);
}

/* ---- the beginning and the end ---- */

#define WITH_FAILURE 3

/* CPython 3.13 takes a frozen module that it has no memory to read for an invalid one. */
static bool says_invalid;

static void show_log(bine *rt, bine_log_level level, const char *line, void *user)
{
    (void)rt;
    (void)level;
    (void)user;
    says_invalid |= strstr(line, "Frozen object named") != NULL;
    fprintf(stderr, "%s\n", line);
}

/* Whose loop: what the config is to say, and how the loop is to be afterwards. */
typedef struct opening {
    void (*set)(bine_config *config);
    void (*check)(void);
} opening;

/* Opens in a process of its own, where allocation `nth` fails. False: nothing had to. */
static bool open_with_failure(fault_source source, unsigned nth, const opening *how)
{
    bine_config config;
    int status;
    pid_t child = fork();
    bine *rt;

    CHECK(child >= 0);
    if (child > 0) {
        CHECK(waitpid(child, &status, 0) == child);
        if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != WITH_FAILURE))
            FAIL("ended with %d when allocation %u of %s failed", status, nth,
                 source == SDK_MEMORY ? "the SDK" : "Python");
        return WEXITSTATUS(status) == WITH_FAILURE;
    }
    bine_config_init(&config);
    config.on_log = show_log;
    if (how != NULL)
        how->set(&config);
    if (source == SDK_MEMORY)
        faults_arm(source, nth);
    else
        faults_arm_after_python(nth);
    status = bine_open(&config, &rt);
    if (status != BINE_EPYTHON || !says_invalid)
        TRIED(status);
    CHECK(rt != NULL || fault_injected());
    if (rt != NULL)
        CHECK_OK(bine_close(rt));
    if (how != NULL)
        how->check();
    status = faults_disarm() ? WITH_FAILURE : 0;
    CHECK_EQ(faults_leaks(), rt != NULL ? 2 : 0); /* a closed runtime and its inbox stay, for late calls */
    _exit(status);                                /* what stands in the parent's buffers is the parent's */
}

TEST(opening_and_closing)
{
    unsigned nth = 1;

    while (open_with_failure(SDK_MEMORY, nth, NULL))
        nth++;
    printf("the SDK: %u\n", nth);
    CHECK(nth > 3);
}

static uv_loop_t uv_loop;

static void set_uv_loop(bine_config *config)
{
    CHECK_EQ(uv_loop_init(&uv_loop), 0);
    config->uv_loop = &uv_loop;
}

static void check_uv_loop(void)
{
    CHECK_EQ(uv_run(&uv_loop, UV_RUN_DEFAULT), 0);
    CHECK_EQ(uv_loop_close(&uv_loop), 0);
}

/* A loop that never says anything. */
static int watches;

static int64_t silent_now(void *user)
{
    (void)user;
    return 0;
}

static void silent_timer(void *user, int64_t when_ns)
{
    (void)user;
    (void)when_ns;
}

static int silent_watch(void *user, int fd, unsigned events, bine_watch *watch)
{
    (void)user;
    (void)fd;
    (void)watch;
    watches += events != 0 ? 1 : -1;
    return 0;
}

static void silent_wake(void *user)
{
    (void)user;
}

static void set_reactor(bine_config *config)
{
    static bine_reactor reactor;

    bine_reactor_init(&reactor);
    reactor.now = silent_now;
    reactor.timer = silent_timer;
    reactor.watch = silent_watch;
    reactor.wake = silent_wake;
    config->reactor = &reactor;
    config->deterministic = true;
}

static void check_reactor(void)
{
    CHECK_EQ(watches, 0);
}

TEST(opening_on_a_loop_of_the_hosts)
{
    static const opening how[] = {{set_uv_loop, check_uv_loop}, {set_reactor, check_reactor}};

    for (size_t i = 0; i < 2; i++) {
        unsigned nth = 1;

        while (open_with_failure(SDK_MEMORY, nth, &how[i]))
            nth++;
        printf("the SDK: %u\n", nth);
        CHECK(nth > 3);
    }
}

/* The parts of it that are not CPython's own start. */
TEST(opening_above_python)
{
    static const opening deterministic = {set_reactor, check_reactor};
    unsigned nth = 1;

    if (BINE__ASAN)
        SKIP("under AddressSanitizer bine_open() chooses Python's allocator itself");
    while (open_with_failure(PYTHON_MEMORY, nth, &deterministic))
        nth += nth < 40 ? 3 : 1 + nth / 8;
    printf("Python: %u\n", nth);
    CHECK(nth > 100);
}

CALLS(share_a_lock);
CALLS(share_a_condition);
CALLS(share_a_semaphore_and_an_event);
CALLS(share_a_barrier);
CALLS(share_a_queue);
CALLS(share_threadings);

TEST(scripts_that_share)
{
    bine *rt = open_to_faults();

    run_script(rt, "import bine, queue, threading, _queue\n"
                   "def yes(): return True\n" /* no lambda below: 3.12 frees its code twice without memory */
                   "def both(f, *args):\n"
                   "    with bine.Scope() as s:\n"
                   "        for n in range(2): s.spawn(f, *args)\n"
                   "def held(lock):\n"
                   "    with lock: bine.sleep(1)\n"
                   "def tried(lock):\n"
                   "    if lock.acquire(timeout=0.5): lock.release()\n"
                   "def share_a_lock():\n"
                   "    for lock in bine.Lock(), bine.RLock():\n"
                   "        both(held, lock); both(tried, lock); repr(lock)\n"
                   "        assert lock.acquire(False)\n"
                   "def told(c):\n"
                   "    with c: c.wait(1); c.notify_all()\n"
                   "    with c: c.wait_for(yes)\n"
                   "def share_a_condition():\n"
                   "    for c in bine.Condition(), bine.Condition(bine.Lock()):\n"
                   "        both(told, c)\n"
                   "        with c: pass\n"
                   "def share_a_semaphore_and_an_event():\n"
                   "    s, e = bine.Semaphore(1), bine.Event()\n"
                   "    both(held, s)\n"
                   "    assert s.value == 1\n"
                   "    both(e.wait, 1); e.set(); both(e.wait)\n"
                   "def meet(b):\n"
                   "    try: b.wait(1)\n"
                   "    except threading.BrokenBarrierError: b.reset()\n"
                   "def share_a_barrier():\n"
                   "    both(meet, bine.Barrier(2, yes)); both(meet, bine.Barrier(3))\n"
                   "def exchange(q):\n"
                   "    q.put([1], timeout=1)\n"
                   "    for _ in range(20):\n"
                   "        try: q.put([2], False)\n"
                   "        except queue.Full: break\n"
                   "    bine.pause()\n"
                   "    try:\n"
                   "        while True: q.get(timeout=1)\n"
                   "    except queue.Empty: pass\n"
                   "def share_a_queue():\n"
                   "    for q in bine.Queue(3), bine.SimpleQueue(): both(exchange, q)\n"
                   "def share_threadings():\n"
                   "    both(told, threading.Condition()); both(exchange, queue.Queue(3))\n"
                   "    both(threading.current_thread)\n");

    with_all_faults(rt, share_a_lock);
    with_all_faults(rt, share_a_condition);
    with_all_faults(rt, share_a_semaphore_and_an_event);
    with_all_faults(rt, share_a_barrier);
    with_all_faults(rt, share_a_queue);
    with_faults(rt, SDK_MEMORY, share_threadings); /* CPython itself loses locks when memory is out */
    close_runtime(rt);
}

static void ask_why_idle(bine *rt)
{
    bine_idle why;
    bine_value *report = NULL;

    if (TRIED(bine_why_idle(rt, &why, &report)))
        CHECK_HAS(bine_value_as_str(report, NULL), "waits for");
    else
        CHECK(report == NULL);
    bine_value_free(report);
}

TEST(asking_why_nothing_runs)
{
    bine *rt = open_to_faults();

    start_script(rt, "import bine\nbine.spawn(bine.Event().wait)\n"
                     "try: bine.Lock().acquire() and bine.Event().wait()\n"
                     "except bine.Exit: pass");
    settle(rt);
    for (unsigned nth = 1;; nth++) {
        faults_arm(nth % 2 == 0 ? SDK_MEMORY : PYTHON_MEMORY, (nth + 1) / 2);
        ask_why_idle(rt);
        if (!faults_disarm() && nth > 4)
            break;
    }
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    close_runtime(rt);
}

static void look_at_a_stack(bine *rt)
{
    bine_stack *stack = NULL;

    if (TRIED(bine_micro_stack(bine_micro_next(rt, NULL), &stack)))
        CHECK_EQ(stack->frame_count, 4);
    else
        CHECK(stack == NULL);
    bine_stack_free(stack);
}

TEST(looking_at_a_stack)
{
    bine *rt = open_to_faults();

    start_script(rt, "import bine\ndef deep(n):\n    if n > 0: deep(n - 1)\n    bine.sleep(1)\ndeep(2)");
    settle(rt);
    for (unsigned nth = 1;; nth++) {
        faults_arm(nth % 2 == 0 ? SDK_MEMORY : PYTHON_MEMORY, (nth + 1) / 2);
        look_at_a_stack(rt);
        if (!faults_disarm() && nth > 4)
            break;
    }
    run_to_end(rt);
    close_runtime(rt);
}

static void close_with_a_thread(bine *rt)
{
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
}

TEST(a_close_waits_for_no_thread)
{
    bine *rt = open_to_faults();

    run_script(rt, "import threading\n"
                   "end = threading.Event()\n"
                   "thread = threading.Thread(target=end.wait)\n"
                   "thread.start()\n");
    with_all_faults(rt, close_with_a_thread);
    run_script(rt, "import __main__\n"
                   "__main__.end.set()\n"
                   "__main__.thread.join()\n");
    close_runtime(rt);
}

TEST(a_shutdown_without_memory_has_not_happened)
{
    bine *rt = open_to_faults();

    start_script(rt, "import bine; bine.sleep(1)");
    faults_arm(SDK_MEMORY, 1);
    CHECK_STATUS(bine_shutdown(rt, SECOND), BINE_ENOMEM);
    CHECK(faults_disarm());
    CHECK_OK(bine_run_string(rt, "pass", "x", NULL));
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    close_runtime(rt);
}
