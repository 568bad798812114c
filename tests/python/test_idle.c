/* bine_why_idle(): why nothing runs, and what it says of those that wait. */
#include "fixture.h"

static bine_idle why_idle(bine *rt)
{
    bine_idle why = (bine_idle)-1;

    CHECK_OK(bine_why_idle(rt, &why, NULL));
    return why;
}

/* Valid until the next call. */
static const char *report_of(bine *rt)
{
    static char text[16384];
    bine_idle why;
    bine_value *report;

    CHECK_OK(bine_why_idle(rt, &why, &report));
    snprintf(text, sizeof text, "%s", bine_value_as_str(report, NULL));
    bine_value_free(report);
    return text;
}

static void end_all(bine *rt)
{
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    close_runtime(rt);
}

TEST(nothing_lives)
{
    bine *rt = open_runtime();

    CHECK_EQ(why_idle(rt), BINE_IDLE_DONE);
    CHECK_STR(report_of(rt), "");
    run_script(rt, "pass");
    CHECK_EQ(why_idle(rt), BINE_IDLE_DONE);
    close_runtime(rt);
}

TEST(one_is_to_run)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\nbine.pause()");
    CHECK_EQ(why_idle(rt), BINE_IDLE_BUSY);
    CHECK_HAS(report_of(rt), "is to run:");
    bine_tick(rt, -1, NULL);
    CHECK_EQ(why_idle(rt), BINE_IDLE_BUSY);
    CHECK_HAS(report_of(rt), "File \"<test>\", line 2, in <module>");
    run_to_end(rt);
    close_runtime(rt);
}

static void nothing(bine *rt, void *user)
{
    (void)rt;
    (void)user;
}

TEST(a_task_is_to_run)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\nbine.Event().wait()");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    CHECK_OK(bine_post(rt, nothing, NULL, NULL));
    CHECK_EQ(why_idle(rt), BINE_IDLE_BUSY);
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    end_all(rt);
}

TEST(a_timer_comes)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\nbine.spawn(bine.Event().wait)\nbine.sleep(5)");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_TIME);
    CHECK_HAS(report_of(rt), "waits for its time:\n  File \"<test>\", line 3, in <module>");
    crank(5 * SECOND);
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    end_all(rt);
}

TEST(a_wait_with_a_limit_ends_by_time)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\nbine.Event().wait(3)\nbine.Lock().acquire()\nlock = bine.Lock()\n"
                     "lock.acquire()\nlock.acquire()");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_TIME);
    crank(3 * SECOND);
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    end_all(rt);
}

TEST(a_result_of_the_hosts_may_come)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    start_script(rt, "import bine, host\nbine.spawn(bine.Event().wait)\nhost.wait_for(1)");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_OUTSIDE);
    end_all(rt);
}

TEST(a_result_may_come_that_a_step_or_c_waits_for)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    start_script(rt, "import bine, host\nt = [bine.spawn(host.wait_in_c, 1)]\n"
                     "d = host.deferred(2).then(len)\n"
                     "try: d.wait()\nfinally: d.cancel(); del d");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_OUTSIDE);
    CHECK(script_true("t.pop().cancel() is None"));
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_OUTSIDE);
    end_all(rt);
}

TEST(a_result_that_nobody_waits_for_ends_no_wait)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    start_script(rt, "import bine, host\nd = host.deferred(1)\n"
                     "try: bine.Event().wait()\nfinally: d.cancel(); del d");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    end_all(rt);
}

TEST(another_thread_may_end_it_until_it_has_ended)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine, os, threading\n"
                     "r, w = os.pipe()\n"
                     "thread = threading.Thread(target=os.read, args=(r, 1))\n"
                     "thread.start()\n"
                     "bine.Event().wait()\n");
    settle(rt);
    while (why_idle(rt) == BINE_IDLE_BUSY)
        settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_OUTSIDE);
    CHECK(script_true("os.write(w, b'x') == 1"));
    settle_threads(rt); /* the thread's end is told: no wait for ever */
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    CHECK(script_true("os.close(r) is os.close(w)"));
    end_all(rt);
}

TEST(a_thread_that_waits_for_somebody_else_ends_nothing)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine, threading\n"
                     "threading.Thread(target=bine.Event().wait, daemon=True).start()\n"
                     "bine.Event().wait()\n");
    settle_threads(rt); /* that it begins to wait is told, too */
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    end_all(rt);
}

TEST(a_script_that_handles_signals_may_be_woken_by_one)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine, signal\nsignal.signal(signal.SIGUSR1, lambda *a: end.set())\n"
                     "end = bine.Event()\nend.wait()");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_OUTSIDE);
    end_all(rt);
}

TEST(a_handler_that_is_ignored_default_or_pythons_own_wakes_nobody)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine, signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
                     "signal.signal(signal.SIGUSR2, signal.SIG_DFL)\n"
                     "signal.signal(signal.SIGINT, signal.default_int_handler)\nbine.Event().wait()");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    end_all(rt);
}

TEST(an_interrupt_is_on_its_way)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\ntry:\n    bine.Event().wait()\nexcept KeyboardInterrupt:\n    pass");
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    bine_interrupt(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_BUSY);
    run_to_end(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DONE);
    close_runtime(rt);
}

static const char *const deadlock = "import bine\n"
                                    "a, b = bine.Lock(), bine.Lock()\n"
                                    "def first():\n"
                                    "    with a:\n"
                                    "        bine.pause()\n"
                                    "        b.acquire()\n"
                                    "def second():\n"
                                    "    with b:\n"
                                    "        bine.pause()\n"
                                    "        a.acquire()\n"
                                    "one, two = bine.spawn(first), bine.spawn(second)\n"
                                    "one.name, two.name = 'one', 'two'\n"
                                    "one.join()\n";

TEST(those_that_wait_for_each_other_are_told_with_every_stack)
{
    bine *rt = open_runtime();
    const char *text;

    start_script(rt, deadlock);
    settle(rt);
    CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    text = report_of(rt);
    CHECK_HAS(text, "micro-thread 'one' waits for a bine.Lock that 'two' has:\n");
    CHECK_HAS(text, "micro-thread 'two' waits for a bine.Lock that 'one' has:\n");
    CHECK_HAS(text, "line 6, in first");
    CHECK_HAS(text, "line 10, in second");
    CHECK_HAS(text, "line 13, in <module>");
    end_all(rt);
}

TEST(every_kind_of_wait_has_words)
{
    bine *rt = open_runtime();
    const char *text;

    add_host_module(rt);
    start_script(rt, "import bine, host, threading\n"
                     "q = bine.Queue(1)\nq.put(1)\n"
                     "c = bine.Condition()\nl = threading.Condition()\n"
                     "def wait(c):\n    with c: c.wait()\n"
                     "for w in (bine.Event().wait, bine.Semaphore(0).acquire, bine.Barrier(2).wait,\n"
                     "    bine.Queue().get, lambda: q.put(2), q.join, bine.SimpleQueue().get,\n"
                     "    lambda: wait(c), lambda: wait(l), lambda: host.wait_for(1), lambda: main.join()):\n"
                     "    bine.spawn(w)\n"
                     "main = bine.current()\n"
                     "bine.Event().wait()");
    settle(rt);
    text = report_of(rt);
    for (const char *what =
             "Event\0Semaphore\0Barrier\0Queue\0SimpleQueue\0Condition\0end of\0result of the host\0";
         *what != '\0'; what += strlen(what) + 1)
        CHECK_HAS(text, what);
    end_all(rt);
}

TEST(what_a_script_waits_for_may_have_any_repr)
{
    bine *rt = open_runtime();
    const char *text;

    start_script(rt, "import bine\n"
                     "class Hostile(bine.SimpleQueue):\n"
                     "    def __repr__(self): return say()\n"
                     "def fails(): raise SystemExit(1)\n"
                     "def waits(): bine.sleep(1)\n"
                     "def spawns(): return 'spawned %d' % bine.spawn(len, '').done\n"
                     "def number(): return 5\n"
                     "def odd(): return '\\ud800 \\0 %s %n'\n"
                     "def cancels():\n    for t in bine.all(): t.cancel()\n    return 'cancelled'\n"
                     "say = str\n"
                     "t = bine.spawn(Hostile().get)\n"
                     "bine.spawn(bine.Event().wait).name = 'after \\udcff'");
    settle(rt);
    for (const char *say = "fails\0waits\0number\0"; *say != '\0'; say += strlen(say) + 1) {
        char set[64];

        snprintf(set, sizeof set, "globals().__setitem__('say', %s) is None", say);
        CHECK(script_true(set));
        text = report_of(rt);
        CHECK_HAS(text, "<its repr() failed>");
        CHECK_HAS(text, "'after \\udcff' waits for <bine.Event");
    }
    CHECK(script_true("globals().__setitem__('say', odd) is None"));
    CHECK_HAS(report_of(rt), "waits for \\ud800 ");
    CHECK(script_true("globals().__setitem__('say', spawns) is None"));
    CHECK_HAS(report_of(rt), "waits for spawned 0");
    CHECK(script_true("globals().__setitem__('say', cancels) is None"));
    CHECK_HAS(report_of(rt), "waits for cancelled");
    CHECK_EQ(why_idle(rt), BINE_IDLE_BUSY);
    run_to_end(rt);
    close_runtime(rt);
}

static int asks(bine_call *call, void *user)
{
    bine_idle why;
    bine_value *report;
    int status = bine_why_idle(bine_call_runtime(call), &why, &report);

    (void)user;
    if (status != BINE_OK)
        return status;
    return bine_return(call, report);
}

TEST(a_host_function_may_ask_of_the_one_that_calls_it)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "asker", "ask() -> str", asks, NULL, NULL));
    run_script(rt, "import asker, bine\nt = bine.spawn(bine.Event().wait)\nbine.pause()\nsaid = asker.ask()\n"
                   "t.cancel()");
    CHECK_HAS(script_str("said"), "is to run:\n  File \"<test>\", line 4, in <module>");
    CHECK_HAS(script_str("said"), "waits for <bine.Event");
    close_runtime(rt);
}

static void ask_elsewhere(void *user)
{
    bine_idle why;

    CHECK_STATUS(bine_why_idle(user, &why, NULL), BINE_ETHREAD);
}

TEST(bad_input_is_told)
{
    bine *rt = open_runtime();
    bine_value *report = (bine_value *)rt;
    bine_idle why;

    CHECK_STATUS(bine_why_idle(rt, NULL, &report), BINE_EINVAL);
    CHECK(report == NULL);
    CHECK_HAS(bine_message(), "bine_why_idle: why is NULL");
    CHECK_STATUS(bine_why_idle(NULL, &why, NULL), BINE_EINVAL);
    in_thread(ask_elsewhere, rt);
    close_runtime(rt);
}

TEST(asking_many_times_leaks_nothing)
{
    bine *rt = open_runtime();

    start_script(rt, deadlock);
    settle(rt);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(why_idle(rt), BINE_IDLE_DEADLOCK);
    for (int i = 0; i < 100; i++)
        CHECK_HAS(report_of(rt), "in first");
    end_all(rt);
}
