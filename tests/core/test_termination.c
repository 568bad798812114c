/* The end: told to end, leaving what will not end, and calls that come too late. What a plain shutdown and
 * close do is in test_runtime.c. */
#include "core/sanitizer.h"
#include "fixture.h"

#include <bine/python.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#if BINE__ASAN
/* What abandoned micro-threads hold stays, and is held by memory that LeakSanitizer does not search: their
 * stacks, and Python's objects. For this program alone. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:bine__deferred_alloc\n"
           "leak:bine__scope_new\n"
           "leak:bine__spawn_native\n";
}
#endif

/* ---- what is counted and kept ---- */

static size_t released;
static size_t ran;

static void count_release(void *user)
{
    (void)user;
    released++;
}

static void count_run(bine *rt, void *user)
{
    (void)rt;
    (void)user;
    ran++;
}

static int count_step(bine_step *step, void *user)
{
    (void)step;
    (void)user;
    ran++;
    return BINE_OK;
}

static int return_at_once(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    ran++;
    return BINE_OK;
}

/* ---- shutting down ---- */

TEST(shutdown_refuses_spawns_in_c_and_releases_what_they_were_given)
{
    bine_micro *micro;
    bine_scope *scope;
    bine *rt = open_runtime();

    CHECK_OK(bine_scope_new(rt, "door", &scope));
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_STATUS(bine_spawn(NULL, return_at_once, NULL, count_release, &micro), BINE_ECLOSED);
    CHECK(micro == NULL);
    CHECK_STATUS(bine_spawn(scope, return_at_once, NULL, count_release, NULL), BINE_ECLOSED);
    CHECK_EQ(released, 2);
    bine_scope_release(scope);
    settle(rt);
    CHECK_EQ(ran, 0);
    close_runtime(rt);
}

TEST(shutdown_refuses_spawns_of_scopes)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "names = []\n"
                     "def refused(spawn):\n"
                     "    try: spawn(print)\n"
                     "    except bine.HostError as e: names.append(e.name)\n"
                     "with bine.Scope() as scope:\n"
                     "    try: bine.sleep(1000)\n"
                     "    finally: refused(scope.spawn), refused(bine.spawn)\n");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    CHECK_STR(script_str("repr(names)"), "['BINE_ECLOSED', 'BINE_ECLOSED']");
    close_runtime(rt);
}

static int shut_down(bine_call *call, void *user)
{
    return bine_shutdown(bine_call_runtime(call), *(const int64_t *)user);
}

TEST(one_who_spawns_before_it_has_been_told_to_end_is_told_then)
{
    int64_t grace = SECOND;
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "shut_down()", shut_down, &grace, NULL));
    start_script(rt, "import bine, host\n"
                     "raised = []\n"
                     "def spawn():\n"
                     "    try: bine.spawn(print)\n"
                     "    except BaseException as e: raised.append(type(e).__name__)\n"
                     "host.shut_down()\n"
                     "spawn(), spawn()\n");
    settle(rt);
    CHECK_STR(script_str("repr(raised)"), "['Exit', 'HostError']");
    close_runtime(rt);
}

static int told[8];
static size_t told_count;

/* Waits until it has been told twice. */
static int wait_twice(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    for (int i = 0; i < 2; i++)
        told[told_count++] = bine_sleep(1000 * SECOND);
    return told[told_count - 1];
}

TEST(micro_threads_in_c_are_told_at_each_wait)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_spawn(NULL, wait_twice, NULL, count_release, &micro));
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    CHECK_EQ(told_count, 2);
    CHECK_EQ(told[0], BINE_ECANCELED);
    CHECK_EQ(told[1], BINE_ECANCELED);
    CHECK_EQ(bine_micro_status(micro), BINE_ECANCELED);
    CHECK_EQ(released, 1);
    bine_micro_release(micro);
    close_runtime(rt);
}

static const char *const order_of_end = "['grandchild', 'child', 'scoped', 'main']";

TEST(children_of_scopes_are_told_before_their_parents)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "ended = []\n"
                     "def wait(name):\n"
                     "    try: bine.sleep(1000)\n"
                     "    except bine.Exit: ended.append(name); raise\n"
                     "def child():\n"
                     "    bine.spawn(wait, 'grandchild')\n"
                     "    wait('child')\n"
                     "def scoped():\n"
                     "    with bine.Scope() as scope:\n"
                     "        scope.spawn(child)\n"
                     "        wait('scoped')\n"
                     "bine.spawn(scoped)\n"
                     "wait('main')\n");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    CHECK_STR(script_str("repr(ended)"), order_of_end);
    close_runtime(rt);
}

static int stubborn_in_c(bine *rt, void *user, bine_value **result)
{
    const bool *give_in = user;

    (void)rt;
    (void)result;
    while (!*give_in)
        (void)bine_sleep(1000 * SECOND);
    return BINE_OK;
}

TEST(all_survivors_are_listed_with_their_stacks)
{
    bine_tick_info info = {.struct_size = sizeof info};
    bool give_in = false;
    bine_micro *micro;
    bine *rt = open_runtime();

    CHECK_OK(bine_spawn(NULL, stubborn_in_c, &give_in, NULL, &micro));
    CHECK_OK(bine_micro_set_name(micro, "stubborn in C"));
    start_script(rt, "import bine\n"
                     "give_in = False\n"
                     "def stubborn(name):\n"
                     "    bine.current().name = name\n"
                     "    while not give_in:\n"
                     "        try: waits()\n"
                     "        except bine.Exit: pass\n"
                     "def waits():\n"
                     "    bine.sleep(1000)\n"
                     "def obedient():\n"
                     "    bine.current().name = 'obedient'\n"
                     "    waits()\n"
                     "for name in 'one', 'two': bine.spawn(stubborn, name)\n"
                     "bine.spawn(obedient)\n");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, -1));
    for (int i = 0; i < 5; i++)
        CHECK_OK(bine_tick(rt, -1, &info));
    CHECK_EQ(info.alive, 3);
    CHECK_HAS(log_text(), "'stubborn in C' has not ended");
    CHECK_HAS(log_text(), "'one' has not ended");
    CHECK_HAS(log_text(), "'two' has not ended");
    CHECK_HAS(log_text(), "line 6, in stubborn");
    CHECK(strstr(log_text(), "obedient") == NULL);
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_HAS(bine_message(), "3 micro-threads");
    give_in = true;
    bine_micro_release(micro);
    bine_python_enter(rt);
    CHECK_EQ(PyRun_SimpleString("give_in = True"), 0);
    bine_python_leave(rt);
    for (int i = 0; i < 5; i++)
        CHECK_OK(bine_tick(rt, -1, &info));
    close_runtime(rt);
}

TEST(close_is_refused_inside_a_tick)
{
    bine *rt = open_runtime();

    bine_python_enter(rt);
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_STATUS(bine_close_abandon(rt), BINE_EBUSY);
    CHECK_HAS(bine_message(), "bine_close_abandon");
    bine_python_leave(rt);
    close_runtime(rt);
}

static void close_it(bine *rt, void *user)
{
    (void)user;
    CHECK_STATUS(bine_close_abandon(rt), BINE_EBUSY);
    ran++;
}

TEST(abandoning_is_refused_in_a_task)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_post(rt, close_it, NULL, NULL));
    settle(rt);
    CHECK_EQ(ran, 1);
    close_runtime(rt);
}

static void close_elsewhere(void *rt)
{
    CHECK_STATUS(bine_shutdown(rt, 0), BINE_ETHREAD);
    CHECK_STATUS(bine_close(rt), BINE_ETHREAD);
    CHECK_STATUS(bine_close_abandon(rt), BINE_ETHREAD);
}

TEST(the_end_is_for_the_owner_and_needs_a_runtime)
{
    bine *rt = open_runtime();

    in_thread(close_elsewhere, rt);
    CHECK_STATUS(bine_shutdown(NULL, 0), BINE_EINVAL);
    CHECK_STATUS(bine_close(NULL), BINE_EINVAL);
    CHECK_STATUS(bine_close_abandon(NULL), BINE_EINVAL);
    close_runtime(rt);
}

/* ---- SystemExit ---- */

TEST(no_system_exit_of_a_script_ends_the_host)
{
    static const char *const sources[] = {
        "import sys; sys.exit(3)",
        "raise SystemExit('with words')",
        "import bine, sys; bine.spawn(sys.exit, 4); bine.sleep(1)",
        "exit = SystemExit(); raise exit",
        "import bine\n"
        "with bine.Scope() as scope:\n"
        "    raise SystemExit(5)",
    };
    bine *rt = open_runtime();

    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        start_script(rt, sources[i]);
        run_to_end(rt);
        CHECK_EQ(error_count(), 1);
        CHECK_STR(error_type(0), "SystemExit");
        forget_errors();
    }
    start_script(rt, "import bine, sys, weakref\n"
                     "class Thing:\n"
                     "    def __del__(self): sys.exit(6)\n"
                     "Thing()\n"
                     "bine.set_switch_hook(lambda micro: sys.exit(7))\n"
                     "bine.pause()\n"
                     "bine.set_switch_hook(None)\n");
    run_to_end(rt);
    close_runtime(rt);
}

static bine_resolver *cancelled_resolver;

static void keep_resolver(bine_resolver *r, void *user)
{
    (void)user;
    cancelled_resolver = r;
}

TEST(a_canceller_may_keep_its_resolver_beyond_the_shutdown_and_the_close)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d;

    CHECK_OK(bine_deferred_new(rt, keep_resolver, NULL, &d, &r));
    CHECK_OK(bine_deferred_cancel(d));
    CHECK_OK(bine_shutdown(rt, 0));
    settle(rt);
    CHECK(cancelled_resolver == r);
    CHECK_EQ(bine_deferred_state(d), BINE_ECANCELED);
    bine_deferred_release(d);
    CHECK_OK(bine_close(rt));
    CHECK(bine_resolve(r, bine_value_nil()) < 0);
}

/* ---- leaving what will not end ---- */

/* Micro-threads with finally blocks, destructors, generators, context managers; suspended in all ways. */
static const char suspended[] = "import bine, host\n"
                                "class Thing:\n"
                                "    def __del__(self): print('destructor')\n"
                                "def finally_block():\n"
                                "    thing = Thing()\n"
                                "    try: bine.sleep(1000)\n"
                                "    finally: print('finally')\n"
                                "def generator():\n"
                                "    thing = Thing()\n"
                                "    try:\n"
                                "        bine.sleep(1000)\n"
                                "        yield\n"
                                "    finally: print('generator')\n"
                                "def scope():\n"
                                "    with bine.Scope() as s, bine.timeout(500):\n"
                                "        s.spawn(finally_block)\n"
                                "        bine.sleep(1000)\n"
                                "def shielded():\n"
                                "    with bine.shield(500): bine.sleep(1000)\n"
                                "async def coroutine():\n"
                                "    await bine.spawn(bine.sleep, 1000)\n"
                                "bine.spawn(finally_block)\n"
                                "bine.spawn(list, generator())\n"
                                "bine.spawn(scope)\n"
                                "bine.spawn(shielded)\n"
                                "bine.spawn(coroutine)\n"
                                "bine.spawn(host.wait_for, 1)\n"
                                "bine.spawn(host.wait_in_c, 2)\n"
                                "bine.spawn(sorted, [3, 1, 2], key=lambda x: bine.sleep(1000))\n"
                                "bine.spawn(host.deferred(3).wait)\n"
                                "bine.spawn(bine.spawn(bine.sleep, 1000).join)\n";

/* What the scripts print goes there. */
static int output[2];

static void catch_output(void)
{
    CHECK_EQ(pipe2(output, O_NONBLOCK), 0);
    CHECK(dup2(output[1], STDOUT_FILENO) >= 0);
}

static const char *printed(void)
{
    static char text[4096];
    ssize_t size = read(output[0], text, sizeof text - 1);

    text[size < 0 ? 0 : size] = '\0';
    return text;
}

TEST(abandoning_with_nothing_alive_is_a_close)
{
    bine *rt;

    catch_output();
    rt = open_runtime();
    run_script(rt, "import atexit; atexit.register(print, 'closed')");
    CHECK_OK(bine_close_abandon(rt));
    CHECK_STR(printed(), "closed\n");
    CHECK(!Py_IsInitialized());
}

TEST(abandoning_runs_nothing_of_what_lives_and_tells_of_it)
{
    bine *rt;

    catch_output();
    rt = open_runtime();
    add_host_module(rt);
    start_script(rt, suspended);
    start_script(rt, "print('unflushed', end='')");
    settle(rt);
    CHECK_OK(bine_close_abandon(rt));
    CHECK_STR(printed(), "unflushed");
    CHECK_HAS(log_text(), "in finally_block");
    CHECK_HAS(log_text(), "in generator");
    CHECK_HAS(log_text(), "in shielded");
}

TEST(abandoning_after_a_shutdown_whose_grace_is_over)
{
    bine *rt;

    catch_output();
    rt = open_runtime();
    start_script(rt, "import bine\n"
                     "while True:\n"
                     "    try: bine.sleep(1000)\n"
                     "    except bine.Exit: print('told', end=' ')\n");
    settle(rt);
    CHECK_OK(bine_shutdown(rt, -1));
    for (int i = 0; i < 3; i++)
        CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_OK(bine_close_abandon(rt));
    CHECK_HAS(printed(), "told");
    CHECK_HAS(log_text(), "has not ended");
}

TEST(abandoning_what_has_not_begun)
{
    bine *rt = open_runtime();

    for (int i = 0; i < 10; i++)
        start_script(rt, "raise SystemError('it ran')");
    CHECK_OK(bine_spawn(NULL, return_at_once, NULL, count_release, NULL));
    CHECK_OK(bine_close_abandon(rt));
    CHECK_EQ(ran, 0);
    CHECK_EQ(error_count(), 0);
    CHECK_EQ(released, 1);
}

TEST(errors_that_nobody_took_are_reported_before_abandoning)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_deferred *d;
    bine_resolver *r;

    start_script(rt, "import bine; bine.sleep(1000)");
    CHECK_OK(bine_run_string(rt, "1/0", "bad.py", &micro));
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
    CHECK_OK(bine_reject(r, BINE_EIO, "no answer"));
    settle(rt);
    CHECK_EQ(error_count(), 0);
    CHECK_OK(bine_close_abandon(rt));
    CHECK_EQ(error_count(), 2);
    CHECK_STR(error_type(0), "ZeroDivisionError");
    CHECK_STR(error_message(1), "no answer");
    bine_deferred_release(d);
    bine_micro_release(micro);
}

static bool destroyed;

static void destroy(void *pointer)
{
    (void)pointer;
    destroyed = true;
}

static bine_deferred *pending[4];
static bine_resolver *resolvers[4];

/* Deferreds that somebody waits for in every way: steps, groups, scripts, nobody. */
static void make_pending(bine *rt)
{
    bine_deferred *all;
    bine_deferred *next;

    for (size_t i = 0; i < 4; i++)
        CHECK_OK(bine_deferred_new(rt, NULL, NULL, &pending[i], &resolvers[i]));
    CHECK_OK(bine_then(pending[0], count_step, count_step, NULL, count_release, NULL));
    CHECK_OK(bine_then(pending[0], count_step, count_step, NULL, count_release, &next));
    CHECK_OK(bine_then(next, count_step, count_step, NULL, count_release, NULL));
    bine_deferred_release(next);
    CHECK_OK(bine_all(rt, pending, 3, &all));
    CHECK_OK(bine_then(all, count_step, count_step, NULL, count_release, NULL));
    bine_deferred_release(all);
}

TEST(releases_of_posts_and_steps_run_when_abandoning)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine; bine.sleep(1000)");
    settle(rt);
    make_pending(rt);
    CHECK_OK(bine_post(rt, count_run, NULL, count_release));
    CHECK_OK(bine_post(rt, count_run, NULL, count_release));
    CHECK_OK(bine_close_abandon(rt));
    CHECK_EQ(released, 6);
    CHECK_EQ(ran, 0);
    for (size_t i = 0; i < 4; i++) {
        CHECK_STATUS(bine_resolve(resolvers[i], bine_value_pointer(&destroyed, "flag", destroy)),
                     BINE_ECLOSED);
        CHECK(destroyed);
        destroyed = false;
        bine_deferred_release(pending[i]);
    }
}

static void post_again(void *rt)
{
    released++;
    (void)bine_post(rt, count_run, NULL, count_release);
}

TEST(a_post_made_by_a_release_while_abandoning_is_released_too)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine; bine.sleep(1000)");
    settle(rt);
    CHECK_OK(bine_post(rt, count_run, rt, post_again));
    CHECK_OK(bine_close_abandon(rt));
    CHECK_EQ(released, 2);
    CHECK_EQ(ran, 0);
}

TEST(resolvers_of_waiting_scripts_are_consumed_after_abandoning)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    start_script(rt, "import bine, host\n"
                     "for n in range(3): bine.spawn(host.from_thread, n)\n"
                     "for n in range(3, 6): bine.spawn(host.wait_in_c, n)\n");
    CHECK_OK(bine_tick(rt, 0, NULL)); /* the script, not what it spawned */
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_OK(bine_close_abandon(rt));
    join_host_threads(); /* they may resolve only now */
}

TEST(steps_that_wait_for_micro_threads_and_scopes_are_released_when_abandoning)
{
    bine *rt = open_runtime();
    bine_deferred *ended;
    bine_deferred *closed;
    bine_scope *door;
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, "import bine; bine.sleep(1000)", "x", &micro));
    settle(rt);
    CHECK_OK(bine_micro_result(micro, &ended));
    CHECK_OK(bine_then(ended, count_step, count_step, NULL, count_release, NULL));
    CHECK_OK(bine_scope_new(rt, "door", &door));
    CHECK_OK(bine_scope_adopt(door, micro));
    CHECK_OK(bine_scope_close(door, &closed));
    CHECK_OK(bine_then(closed, count_step, count_step, NULL, count_release, NULL));
    CHECK_OK(bine_close_abandon(rt));
    CHECK_EQ(released, 2);
    CHECK_EQ(ran, 0);
    CHECK_EQ(bine_deferred_state(ended), BINE_ECLOSED);
    CHECK_EQ(bine_deferred_state(closed), BINE_ECLOSED);
    bine_deferred_release(ended);
    bine_deferred_release(closed);
    bine_scope_release(door);
    bine_micro_release(micro);
}

TEST(a_standard_output_that_waits_or_fails_does_not_keep_the_runtime_from_being_abandoned)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine, sys\n"
                     "class Waits:\n"
                     "    def flush(self): bine.sleep(1)\n"
                     "class Fails:\n"
                     "    def flush(self): raise SystemExit(3)\n"
                     "sys.stdout, sys.stderr = Waits(), Fails()\n"
                     "bine.sleep(1000)\n");
    settle(rt);
    CHECK_OK(bine_close_abandon(rt));
}

/* ---- Python's own threads ---- */

static void abandon_with_threads(const char *daemon)
{
    char source[1024];
    bine *rt;

    catch_output();
    rt = open_runtime();
    snprintf(source, sizeof source,
             "import bine, threading, time\n"
             "def spin():\n"
             "    while True: pass\n"
             "def block(): lock.acquire()\n"
             "def sleep(): time.sleep(1000)\n"
             "def end():\n"
             "    try: lock.acquire()\n"
             "    finally: print('finally')\n"
             "lock = threading.Lock(); lock.acquire()\n"
             "for f in spin, block, sleep, end: threading.Thread(target=f, daemon=%s).start()\n"
             "print('unflushed', end='')\n"
             "bine.sleep(1000)\n",
             daemon);
    start_script(rt, source);
    settle_threads(rt);
    CHECK_OK(bine_close_abandon(rt));
    CHECK_STR(printed(), "unflushed");
}

TEST(abandoning_leaves_python_threads_that_are_no_daemons)
{
    abandon_with_threads("False");
}

TEST(abandoning_leaves_daemon_threads)
{
    abandon_with_threads("True");
}

TEST(abandoning_leaves_python_threads_alone)
{
    bine *rt = open_runtime();

    run_script(rt, "import threading\n"
                   "hold = threading.Lock(); hold.acquire()\n"
                   "threading.Thread(target=hold.acquire, name='worker').start()\n");
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_OK(bine_close_abandon(rt));
}

/* ---- late calls ---- */

static bine *old;
static bine_micro *alive_micro;
static bine_micro *ended_micro;
static bine_deferred *deferreds[3];
static bine_resolver *late[3];
static bine_scope *scope;
static bine_value *object;
static bine_error *kept_error;

static void make_handles(void)
{
    bine_deferred *result;

    CHECK_OK(bine_run_string(old, "1/0", "bad.py", &ended_micro));
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(bine_deferred_new(old, NULL, NULL, &deferreds[i], &late[i]));
    CHECK_OK(bine_scope_new(old, "door", &scope));
    CHECK_OK(bine_scope_bind(scope, late[1]));
    settle(old);
    CHECK_OK(bine_micro_error(ended_micro, &kept_error));
    CHECK_OK(bine_micro_result(ended_micro, &result));
    settle(old);
    bine_deferred_release(result);
    bine_python_enter(old);
    object = bine_value_from_object(old, PyModule_GetDict(PyImport_AddModule("__main__")));
    bine_python_leave(old);
}

static void call_late(void *unused)
{
    bine_tick_info info = {.struct_size = sizeof info};
    bine_stats stats = {.struct_size = sizeof stats};
    bine_micro *micro;

    (void)unused;
    CHECK_STATUS(bine_tick(old, 0, &info), BINE_ECLOSED);
    CHECK_STATUS(bine_run(old, BINE_RUN_NOWAIT), BINE_ECLOSED);
    CHECK_STATUS(bine_shutdown(old, 0), BINE_ECLOSED);
    CHECK_STATUS(bine_close(old), BINE_ECLOSED);
    CHECK_STATUS(bine_close_abandon(old), BINE_ECLOSED);
    CHECK_STATUS(bine_get_stats(old, &stats), BINE_ECLOSED);
    CHECK_STATUS(bine_python_enter(old), BINE_ECLOSED);
    CHECK_STATUS(bine_set_switch_hook(old, NULL, NULL), BINE_ECLOSED);
    CHECK_STATUS(bine_run_string(old, "1", "x", &micro), BINE_ECLOSED);
    CHECK_STATUS(bine_spawn_named(old, "os", "getpid", NULL, NULL), BINE_ECLOSED);
    CHECK_STATUS(bine_spawn(NULL, return_at_once, NULL, count_release, NULL), BINE_ETHREAD);
    CHECK_STATUS(bine_def(old, "host", "late() -> int", NULL, NULL, NULL), BINE_ECLOSED);
    CHECK_STATUS(bine_call_named(old, "os", "getpid", NULL, NULL, NULL), BINE_ECLOSED);
    CHECK_EQ(released, 1);
    CHECK(bine_micro_current() == NULL);
    CHECK(bine_yield() == BINE_EMICRO && bine_sleep(1) == BINE_EMICRO);
    CHECK(bine_shield_begin(1) == BINE_EMICRO);
}

static void consume_late(void *unused)
{
    (void)unused;
    CHECK_STATUS(bine_resolve(late[0], bine_value_str("nobody is left")), BINE_ECLOSED);
    CHECK_STATUS(bine_reject(late[1], BINE_EIO, "nobody is left"), BINE_ECLOSED);
    bine_resolver_drop(late[2]);
    CHECK_EQ(bine_value_kind(object), BINE_OBJECT);
    bine_value_free(object);
    CHECK_STR(kept_error->type, "ZeroDivisionError");
    bine_error_free(kept_error);
}

static void release_handles(void)
{
    bine_value *value;

    for (size_t i = 0; i < 3; i++) {
        CHECK(bine_wait(deferreds[i], -1, &value) < 0);
        CHECK(bine_deferred_error(deferreds[i]) == NULL);
        bine_deferred_release(deferreds[i]);
    }
    bine_scope_release(scope);
    bine_micro_release(ended_micro);
}

TEST(late_calls_after_a_close_are_refused)
{
    old = open_runtime();
    make_handles();
    CHECK_OK(bine_close(old));
    call_late(NULL);
    consume_late(NULL);
    release_handles();
    released = 0;
    in_thread(call_late, NULL);
}

TEST(late_calls_after_abandoning_are_refused)
{
    bine *again;
    bine_config config;

    old = open_runtime();
    make_handles();
    CHECK_OK(bine_run_string(old, "import bine; bine.sleep(1000)", "x", &alive_micro));
    settle(old);
    CHECK_OK(bine_close_abandon(old));
    call_late(NULL);
    CHECK_STATUS(bine_micro_cancel(alive_micro), BINE_ECLOSED);
    CHECK_STATUS(bine_micro_set_name(alive_micro, "x"), BINE_ECLOSED);
    CHECK_EQ(bine_micro_get_state(alive_micro), BINE_MICRO_WAITING);
    CHECK_STR(bine_micro_name(alive_micro), "");
    bine_micro_release(alive_micro);
    in_thread(consume_late, NULL);
    release_handles();
    released = 0;
    in_thread(call_late, NULL);
    bine_config_init(&config);
    CHECK_STATUS(bine_open(&config, &again), BINE_ESTARTED);
}

static void post_late(void *unused)
{
    (void)unused;
    CHECK_STATUS(bine_post(old, count_run, NULL, count_release), BINE_ECLOSED);
    bine_interrupt(old);
}

TEST(late_posts_and_interrupts_after_abandoning_are_refused)
{
    old = open_runtime();
    start_script(old, "import bine; bine.sleep(1000)");
    settle(old);
    CHECK_OK(bine_close_abandon(old));
    post_late(NULL);
    CHECK_EQ(released, 1);
    in_thread(post_late, NULL);
    CHECK_EQ(released, 2);
    CHECK_EQ(ran, 0);
}

TEST(a_late_interrupt_after_the_close_does_nothing)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_close(rt));
    bine_interrupt(rt);
}

static void open_and_abandon(void *unused)
{
    (void)unused;
    old = open_runtime();
    make_handles();
    start_script(old, "import bine; bine.sleep(1000)");
    settle(old);
    CHECK_OK(bine_close_abandon(old));
}

TEST(an_owner_thread_may_end_after_abandoning)
{
    in_thread(open_and_abandon, NULL);
    call_late(NULL);
    consume_late(NULL);
    release_handles();
}

#define PRODUCERS 4
#define EACH 200

static bine_resolver *produced[PRODUCERS][EACH];

static void resolve_all(size_t index)
{
    if (index == PRODUCERS)
        return;
    for (size_t i = 0; i < EACH; i++)
        (void)bine_resolve(produced[index][i], bine_value_i64((int64_t)i));
}

static pthread_barrier_t start;

static void *resolve_in_thread(void *index)
{
    pthread_barrier_wait(&start);
    resolve_all((size_t)index);
    return NULL;
}

TEST(producers_resolve_while_the_runtime_is_abandoned)
{
    pthread_t threads[PRODUCERS];
    bine *rt = open_runtime();

    for (size_t i = 0; i < PRODUCERS; i++)
        for (size_t j = 0; j < EACH; j++) {
            bine_deferred *d;

            CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &produced[i][j]));
            if (j % 2 == 0)
                CHECK_OK(bine_then(d, count_step, NULL, NULL, count_release, NULL));
            bine_deferred_release(d);
        }
    start_script(rt, "import bine; bine.sleep(1000)");
    settle(rt);
    CHECK_EQ(pthread_barrier_init(&start, NULL, PRODUCERS + 1), 0);
    for (size_t i = 0; i < PRODUCERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, resolve_in_thread, (void *)i), 0);
    pthread_barrier_wait(&start);
    CHECK_OK(bine_close_abandon(rt));
    CHECK_EQ(released, PRODUCERS * EACH / 2);
    for (size_t i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
}
