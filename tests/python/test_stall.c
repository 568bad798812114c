/* Stall reports. What holds the loop here does so until that has been noticed: nothing goes by the clock. */
#include "fixture.h"

#include "python/stall.h"

#include <sched.h>

#define HOUR (3600 * SECOND)

static bine *runtime;

static bine *open_watched(int64_t stall_ns)
{
    bine_config config;

    bine_config_init(&config);
    config.stall_ns = stall_ns;
    runtime = open_runtime_with(&config);
    return runtime;
}

static void hold_until_noticed(void)
{
    while (!bine__stalls_asked(runtime))
        sched_yield();
}

static int hold(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    hold_until_noticed();
    return BINE_OK;
}

/* told() -> int: how many lines of the log tell of a stall. */
static int told(bine_call *call, void *user)
{
    int64_t count = 0;

    (void)user;
    for (const char *at = strstr(log_text(), "held the loop"); at != NULL;
         at = strstr(at + 1, "held the loop"))
        count++;
    return bine_return(call, bine_value_i64(count));
}

static void define_calls(bine *rt)
{
    CHECK_OK(bine_def(rt, "host", "hold() -> None", hold, NULL, NULL));
    CHECK_OK(bine_def(rt, "host", "told() -> int", told, NULL, NULL));
}

TEST(a_native_call_is_told_of_when_it_returns_with_the_line_that_made_it)
{
    bine *rt = open_watched(5 * MS);

    define_calls(rt);
    run_script(rt, "import bine, host\n"
                   "def work():\n"
                   "    host.hold()\n"
                   "    told.append(host.told())\n"
                   "told = []\n"
                   "micro = bine.spawn(work)\n"
                   "micro.name = 'worker'\n"
                   "micro.join()\n");
    CHECK(strstr(log_text(), "micro-thread 'worker' has held the loop for ") != NULL);
    CHECK(strstr(log_text(), " ms: <test>:3, in work\n") != NULL);
    CHECK(script_int("told[0]") >= 1);
    close_runtime(rt);
}

TEST(a_script_that_computes_is_told_of_while_it_does_and_again_when_it_goes_on)
{
    bine *rt = open_watched(5 * MS);

    define_calls(rt);
    run_script(rt, "import host\n"
                   "while host.told() < 3:\n"
                   "    pass\n");
    CHECK(strstr(log_text(), " ms: <test>:2, in <module>\n") != NULL ||
          strstr(log_text(), " ms: <test>:3, in <module>\n") != NULL);
    close_runtime(rt);
}

static void hold_in_task(bine *rt, void *user)
{
    (void)rt;
    (void)user;
    hold_until_noticed();
}

TEST(what_runs_no_script_is_told_of_when_the_next_script_runs)
{
    bine *rt = open_watched(5 * MS);

    define_calls(rt);
    CHECK_OK(bine_post(rt, hold_in_task, NULL, NULL));
    settle(rt);
    CHECK(strstr(log_text(), "held the loop") == NULL);
    run_script(rt, "import host\n"
                   "while host.told() < 1: pass\n");
    CHECK(strstr(log_text(), "something that ran no script has held the loop for ") != NULL);
    close_runtime(rt);
}

TEST(what_lasts_less_is_not_told_of)
{
    bine *rt = open_watched(HOUR);

    define_calls(rt);
    run_script(rt, "import bine\n"
                   "for i in range(100000): pass\n"
                   "for i in range(1000): bine.pause()\n");
    CHECK_STR(log_text(), "");
    CHECK(!bine__stalls_asked(rt));
    close_runtime(rt);
}

TEST(nobody_looks_unless_the_config_says_so)
{
    bine *rt = open_runtime();

    CHECK(rt->stalls == NULL);
    close_runtime(rt);
}

TEST(it_looks_again_after_long_idleness)
{
    bine *rt = open_watched(MS);

    define_calls(rt);
    run_script(rt, "pass");
    while (!bine__stalls_asleep(rt))
        sched_yield();
    run_script(rt, "import host; host.hold()");
    CHECK(strstr(log_text(), "has held the loop for ") != NULL);
    close_runtime(rt);
}

TEST(the_child_of_a_fork_looks_too)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.stall_ns = 5 * MS;
    rt = runtime = open_runtime_in_real_time(&config);
    define_calls(rt);
    start_script(rt, "import bine, host, os\n"
                     "pid = os.fork()\n"
                     "if pid == 0:\n"
                     "    bine.sleep(0.001)\n" /* a turn later */
                     "    host.hold()\n"
                     "    os._exit(0 if host.told() else 1)\n"
                     "code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n");
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    CHECK_EQ(script_int("code"), 0);
    close_runtime(rt);
}

TEST(abandoning_ends_the_watch)
{
    bine *rt = open_watched(5 * MS);

    start_script(rt, "import bine; bine.sleep(3600)");
    settle(rt);
    CHECK_OK(bine_close_abandon(rt));
    CHECK(rt->stalls == NULL);
}
