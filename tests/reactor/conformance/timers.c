/* Time passes: sleeps, frames and time outs end, in their order and never early. */
#include "acts.h"
#include "driven.h"

TEST(a_script_runs_to_its_end)
{
    open_driven();
    run_driven("done = 1");
    CHECK_EQ(script_int("done"), 1);
    close_driven();
}

static void resume_time(void *unused)
{
    (void)unused;
    CHECK_OK(bine_set_time_scale(rt, 1.0));
}

/* All begin at one time, however long the machine takes to begin them. */
TEST(sleeps_end_in_the_order_of_their_times)
{
    open_driven();
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    start_driven("import bine\n"
                 "seen = []\n"
                 "def sleeper(ms):\n"
                 "    bine.sleep(ms / 1000)\n"
                 "    seen.append(ms)\n"
                 "bine.parallel(*[lambda ms=ms: sleeper(ms) for ms in (20, 5, 15, 1, 10)])");
    between_turns(resume_time, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("str(seen)"), "[1, 5, 10, 15, 20]");
    close_driven();
}

TEST(sleeps_in_real_time_end)
{
    open_driven();
    run_driven("import bine\n"
               "for i in range(10): bine.sleep(0.001, real=True)");
    CHECK_EQ(script_int("i"), 9);
    close_driven();
}

TEST(a_sleep_in_real_time_ends_though_game_time_is_paused)
{
    open_driven();
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    run_driven("import bine\n"
               "late = bine.spawn(bine.sleep, 0.001)\n"
               "bine.sleep(0.005, real=True)\n"
               "waits = not late.done\n"
               "late.cancel()");
    CHECK_EQ(script_int("waits"), 1);
    close_driven();
}

TEST(no_sleep_ends_early)
{
    open_driven();
    run_driven("import bine, time\n"
               "early = 0\n"
               "for ns in (0, 1, 999, 1_000, 333_333, 999_999, 1_000_000, 1_000_001, 2_500_000):\n"
               "    begin = time.monotonic_ns()\n"
               "    bine.sleep(ns / 1e9)\n"
               "    early += time.monotonic_ns() - begin < ns");
    CHECK_EQ(script_int("early"), 0);
    close_driven();
}

TEST(a_thousand_sleep_at_once)
{
    open_driven();
    run_driven("import bine\n"
               "ended = 0\n"
               "def sleeper(i):\n"
               "    global ended\n"
               "    bine.sleep(i % 7 / 1000, real=i % 2)\n"
               "    ended += 1\n"
               "with bine.Scope() as scope:\n"
               "    for i in range(1000): scope.spawn(sleeper, i)");
    CHECK_EQ(script_int("ended"), 1000);
    close_driven();
}

TEST(frames_begin_again_and_again)
{
    open_driven();
    run_driven("import bine\n"
               "for i in range(5): bine.next_frame()");
    CHECK_EQ(script_int("i"), 4);
    close_driven();
}

static void set_timeout(void *unused)
{
    (void)unused;
    CHECK_OK(bine_deferred_timeout(promise, MS));
}

static const char wants_timeout[] = "import bine, host\n"
                                    "try:\n"
                                    "    host.owed()\n"
                                    "except bine.Timeout:\n"
                                    "    timed_out = True";

TEST(a_timer_that_the_host_sets_between_two_turns_is_served)
{
    open_with_promise();
    start_driven(wants_timeout);
    between_turns(set_timeout, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("timed_out"), 1);
    release_promise();
    close_driven();
}

TEST(a_timer_that_the_host_sets_before_the_first_turn_is_served)
{
    open_with_promise();
    set_timeout(NULL);
    run_driven(wants_timeout);
    CHECK_EQ(script_int("timed_out"), 1);
    release_promise();
    close_driven();
}
