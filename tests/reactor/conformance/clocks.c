/* Clocks that leap an hour ahead or back: who is due wakes once, nobody else does. */
#include "driven.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t jumped;

static int64_t jumping_clock(void *user)
{
    struct timespec t;

    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec + atomic_load(&jumped);
}

static void open_with_jumping_clock(void)
{
    bine_config config;

    bine_config_init(&config);
    config.clock = config.budget_clock = jumping_clock;
    open_driven_with(&config);
}

static void do_nothing(bine *runtime, void *user)
{
    (void)runtime;
    (void)user;
}

/* And something that brings a turn: nobody can wait for a clock to be put forward. */
static void jump(void *ns)
{
    atomic_fetch_add(&jumped, *(const int64_t *)ns);
    CHECK_OK(bine_post(rt, do_nothing, NULL, NULL));
}

static const int64_t hour_ahead = HOUR;
static const int64_t hour_back = -HOUR;

static void jump_when_idle(const int64_t *ns)
{
    between_turns(jump, (void *)(uintptr_t)ns);
}

TEST(when_the_clocks_leap_an_hour_ahead_all_that_is_due_wakes_once)
{
    open_with_jumping_clock();
    start_driven("import bine, os\n"
                 "seen = []\n"
                 "def sleeper(s, real):\n"
                 "    bine.sleep(s, real=real)\n"
                 "    seen.append(s)\n"
                 "def waiter(fd):\n"
                 "    try: bine.wait_readable(fd, timeout=1700)\n"
                 "    except bine.Timeout: seen.append(1700)\n"
                 "later = bine.spawn(bine.sleep, 7300)\n"
                 "bine.parallel(lambda: sleeper(1800, False), lambda: sleeper(1000, False),\n"
                 "    lambda: sleeper(1900, True), lambda: waiter(os.pipe()[0]))\n"
                 "waits = not later.done\n"
                 "later.cancel()");
    jump_when_idle(&hour_ahead);
    driver_run_to_end();
    CHECK_STR(script_str("str(sorted(seen))"), "[1000, 1700, 1800, 1900]");
    CHECK_EQ(script_int("waits"), 1);
    close_driven();
}

TEST(when_the_clocks_go_an_hour_back_sleepers_wake_after_the_rest_of_their_time)
{
    open_with_jumping_clock();
    start_driven("import bine, os\n"
                 "def waiter(fd):\n"
                 "    try: bine.wait_readable(fd, timeout=0.02)\n"
                 "    except bine.Timeout: return 'Timeout'\n"
                 "seen = bine.parallel(lambda: bine.sleep(0.02), lambda: bine.sleep(0.02, real=True),\n"
                 "    lambda: waiter(os.pipe()[0]))");
    jump_when_idle(&hour_back);
    driver_run_to_end();
    CHECK_STR(script_str("str(seen)"), "[None, None, 'Timeout']");
    close_driven();
}

TEST(clocks_that_jump_to_and_fro_make_nothing_run_that_is_not_due)
{
    int64_t jobs;

    open_with_jumping_clock();
    start_driven("import bine\nbine.sleep(100_000)\nwoke = 1");
    jobs = job_count();
    for (int i = 0; i < 10; i++) {
        atomic_fetch_add(&jumped, i % 2 == 0 ? HOUR : -HOUR);
        run_until_idle();
        CHECK_OK(bine_post(rt, do_nothing, NULL, NULL));
        run_until_idle();
    }
    CHECK(job_count() - jobs <= 10);
    atomic_fetch_add(&jumped, 30 * HOUR);
    CHECK_OK(bine_post(rt, do_nothing, NULL, NULL));
    driver_run_to_end();
    CHECK_EQ(script_int("woke"), 1);
    close_driven();
}

/* Inside a turn, too: the budget's clock must not make it the last one, nor one without end. */
static int jump_here(bine_call *call, void *user)
{
    (void)user;
    atomic_fetch_add(&jumped, bine_arg_i64(call, 0) * SECOND);
    return BINE_OK;
}

TEST(clocks_that_jump_inside_a_turn_leave_all_running)
{
    open_with_jumping_clock();
    CHECK_OK(bine_def(rt, "host", "jump(seconds: int)", jump_here, NULL, NULL));
    run_driven("import bine, host\n"
               "def busy():\n"
               "    for i in range(200):\n"
               "        host.jump(3600 if i % 2 else -3600)\n"
               "        bine.pause()\n"
               "def sleepy():\n"
               "    for i in range(10):\n"
               "        bine.sleep(0.001, real=i % 2)\n"
               "bine.parallel(busy, busy, sleepy)\n"
               "done = 1");
    CHECK_EQ(script_int("done"), 1);
    close_driven();
}
