/* What a host that drives the runtime sees and sets: bine_tick_info, game time, frames. */
#include "fixture.h"

#include "core/sanitizer.h"

#include <bine/python.h>

#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

static bine_tick_info tick(bine *rt, int64_t budget_ns)
{
    bine_tick_info info = {.struct_size = sizeof info};

    CHECK_OK(bine_tick(rt, budget_ns, &info));
    return info;
}

static bine *open_with_host(void)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    return rt;
}

/* The milliseconds that a job takes are cranked inside it. */
#define TAKES                            \
    "import bine, host\n"                \
    "def takes(ms, after=None):\n"       \
    "    host.crank(ms / 1000)\n"        \
    "    if after: after()\n"            \
    "def start(name, *args):\n"          \
    "    t = bine.spawn(takes, *args)\n" \
    "    t.name = name\n"                \
    "    return t\n"

static void slow_task(bine *rt, void *user)
{
    (void)rt;
    crank(*(const int64_t *)user);
}

static void post_slow(bine *rt, int64_t *ns)
{
    CHECK_OK(bine_post(rt, slow_task, ns, NULL));
}

/* ---- the longest job ---- */

TEST(the_longest_job_is_named)
{
    bine *rt = open_with_host();
    bine_tick_info info;

    start_script(rt, TAKES "start('short', 1, bine.pause); start('long', 5, bine.pause); start('mid', 3)");
    tick(rt, -1);
    info = tick(rt, -1);
    CHECK_EQ(info.jobs, 3);
    CHECK_EQ(info.elapsed_ns, 9 * MS);
    CHECK_EQ(info.longest_ns, 5 * MS);
    CHECK_STR(info.longest_name, "long");
    info = tick(rt, -1);
    CHECK_EQ(info.jobs, 2);
    CHECK_EQ(info.longest_ns, 0);
    close_runtime(rt);
}

TEST(of_two_jobs_as_long_the_first_is_named)
{
    bine *rt = open_with_host();

    start_script(rt, TAKES "start('one', 2); start('two', 2)");
    tick(rt, -1);
    CHECK_STR(tick(rt, -1).longest_name, "one");
    close_runtime(rt);
}

TEST(the_longest_job_may_be_that_of_one_that_has_ended)
{
    bine *rt = open_with_host();
    bine_tick_info info;

    start_script(rt, TAKES "start('gone', 4); start('other', 1)");
    tick(rt, -1);
    info = tick(rt, -1);
    CHECK_EQ(info.alive, 0);
    CHECK_EQ(info.longest_ns, 4 * MS);
    CHECK_STR(info.longest_name, "gone");
    close_runtime(rt);
}

TEST(the_longest_job_may_be_a_callback)
{
    bine *rt = open_with_host();
    int64_t ns = 7 * MS;
    bine_tick_info info;

    start_script(rt, TAKES "host.crank(0.002)");
    post_slow(rt, &ns);
    start_script(rt, TAKES "host.crank(0.003)");
    info = tick(rt, -1);
    CHECK_EQ(info.jobs, 3);
    CHECK_EQ(info.longest_ns, 7 * MS);
    CHECK_STR(info.longest_name, "");
    close_runtime(rt);
}

TEST(a_callback_between_two_jobs_is_not_counted_as_theirs)
{
    bine *rt = open_with_host();
    int64_t ns = 2 * MS;
    bine_tick_info info;

    start_script(rt, TAKES "host.crank(0.003)");
    post_slow(rt, &ns);
    post_slow(rt, &ns);
    info = tick(rt, -1);
    CHECK_EQ(info.elapsed_ns, 7 * MS);
    CHECK_EQ(info.longest_ns, 3 * MS);
    CHECK_STR(info.longest_name, "<test>");
    close_runtime(rt);
}

TEST(turns_of_the_only_one_are_jobs_of_their_own)
{
    bine *rt = open_with_host();
    bine_tick_info info;

    start_script(rt, TAKES "for _ in range(300): bine.pause()\n" /* so that windows are wide */
                           "for _ in range(4): takes(2, bine.pause)");
    info = tick(rt, SECOND);
    CHECK_EQ(info.alive, 0);
    CHECK_EQ(info.jobs, 305);
    CHECK_EQ(info.longest_ns, 2 * MS);
    close_runtime(rt);
}

TEST(a_wait_inside_a_generator_is_its_askers_job)
{
    bine *rt = open_with_host();
    bine_tick_info info;

    start_script(rt, TAKES "def emits():\n"
                           "    host.crank(0.004)\n"
                           "    bine.pause()\n"
                           "    bine.emit(1)\n"
                           "bine.current().name = 'asker'\n"
                           "assert list(bine.generate(emits)) == [1]\n");
    info = tick(rt, -1);
    CHECK_EQ(info.longest_ns, 4 * MS);
    CHECK_STR(info.longest_name, "asker");
    run_to_end(rt);
    close_runtime(rt);
}

TEST(an_empty_tick_has_no_longest_job)
{
    bine *rt = open_with_host();
    bine_tick_info info;

    start_script(rt, TAKES "start('x', 5)");
    tick(rt, -1);
    CHECK_EQ(tick(rt, -1).longest_ns, 5 * MS);
    info = tick(rt, -1);
    CHECK_EQ(info.jobs, 0);
    CHECK_EQ(info.longest_ns, 0);
    CHECK_STR(info.longest_name, "");
    close_runtime(rt);
}

static void check_name(const char *python, const char *seen)
{
    bine *rt = open_with_host();
    char source[600];

    snprintf(source, sizeof source, TAKES "start(%s, 5, bine.pause)", python);
    start_script(rt, source);
    tick(rt, -1);
    CHECK_STR(tick(rt, -1).longest_name, seen);
    run_to_end(rt);
    close_runtime(rt);
}

#define TEN "0123456789"

TEST(a_name_that_just_fits_is_kept)
{
    check_name("'0123456789' * 6 + 'abc'", TEN TEN TEN TEN TEN TEN "abc");
}

TEST(a_long_name_is_cut_at_63_bytes)
{
    check_name("'0123456789' * 20", TEN TEN TEN TEN TEN TEN "012");
}

TEST(a_name_is_cut_between_characters_of_two_bytes)
{
    check_name("'0' * 20 + '\\u00e4' * 40", "00000000000000000000äääääääääääääääääääää");
}

TEST(a_name_is_cut_between_characters_of_three_bytes)
{
    check_name("'\\u20ac' * 40", "€€€€€€€€€€€€€€€€€€€€€");
}

TEST(a_name_is_cut_between_characters_of_four_bytes)
{
    check_name("'\\U0001f600' * 40", "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀");
}

TEST(in_the_child_of_a_fork_the_longest_job_is_of_one_that_is_not_there)
{
    bine *rt = open_with_host();
    pid_t parent = getpid();
    bine_tick_info info;

#if BINE__TSAN
    SKIP("ThreadSanitizer allows no threads after a fork");
#endif
    start_script(rt, TAKES "import os\n"
                           "def forks():\n"
                           "    pid = os.fork()\n"
                           "    if pid: assert os.waitpid(pid, 0)[1] == 0\n"
                           "    else: [bine.pause() for _ in range(5)]\n"
                           "start('left', 5, lambda: bine.sleep(1)); bine.spawn(forks)");
    tick(rt, -1);
    info = tick(rt, 100 * MS);
    CHECK_EQ(info.longest_ns, 5 * MS);
    CHECK_STR(info.longest_name, "left");
    if (getpid() != parent)
        _exit(EXIT_SUCCESS);
    run_to_end(rt);
    close_runtime(rt);
}

/* ---- what else bine_tick_info says ---- */

TEST(the_overrun_is_what_goes_beyond_the_budget)
{
    bine *rt = open_with_host();
    bine_tick_info info;

    start_script(rt, TAKES "start('a', 1); start('b', 5); start('c', 1)");
    tick(rt, -1);
    info = tick(rt, 2 * MS);
    CHECK_EQ(info.jobs, 2);
    CHECK_EQ(info.ready, 1);
    CHECK_EQ(info.alive, 1);
    CHECK_EQ(info.elapsed_ns, 6 * MS);
    CHECK_EQ(info.overrun_ns, 4 * MS);
    info = tick(rt, 2 * MS);
    CHECK_EQ(info.elapsed_ns, MS);
    CHECK_EQ(info.overrun_ns, 0);
    close_runtime(rt);
}

/* Looking at it takes three milliseconds. */
static int64_t slow_clock(void *user)
{
    (void)user;
    crank(3 * MS);
    return 0;
}

static void nothing(bine *rt, void *user)
{
    (void)rt;
    (void)user;
}

TEST(what_it_takes_to_look_up_counts_as_well)
{
    bine_config config;
    bine_tick_info info;
    bine *rt;

    bine_config_init(&config);
    config.clock = slow_clock;
    rt = open_runtime_with(&config);
    start_script(rt, "import bine; bine.sleep(1)"); /* so that there is a timer to look for */
    tick(rt, -1);
    for (int i = 0; i < 5; i++)
        CHECK_OK(bine_post(rt, nothing, NULL, NULL));
    info = tick(rt, 2 * MS);
    CHECK_EQ(info.jobs, 1); /* at least one, and there was no time for it */
    CHECK_EQ(info.ready, 4);
    CHECK_EQ(info.overrun_ns, MS);
    CHECK_EQ(tick(rt, 4 * MS).jobs, 4);
    CHECK_OK(bine_step_time(rt, SECOND));
    settle(rt);
    close_runtime(rt);
}

TEST(without_a_budget_there_is_no_overrun)
{
    bine *rt = open_with_host();

    start_script(rt, "import host; host.crank(3600)");
    CHECK_EQ(tick(rt, -1).overrun_ns, 0);
    start_script(rt, "import host; host.crank(1)");
    CHECK_EQ(tick(rt, 0).overrun_ns, SECOND);
    close_runtime(rt);
}

TEST(a_job_of_a_hundred_years_overflows_nothing)
{
    bine *rt = open_with_host();
    bine_tick_info info;

    start_script(rt, TAKES "for _ in range(300): bine.pause()\n" /* so that windows are wide */
                           "host.crank(3.2e9)\n");
    info = tick(rt, INT64_MAX);
    CHECK_EQ(info.alive, 0);
    CHECK(info.longest_ns > INT64_C(3199999999) * SECOND && info.longest_ns < INT64_C(3200000001) * SECOND);
    close_runtime(rt);
}

TEST(the_next_turn_is_wanted_for_the_first_of_all_that_is_waited_for)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "bine.spawn(bine.sleep, 3)\n"
                     "bine.spawn(bine.sleep, 2, real=True)\n"
                     "bine.sleep(5)\n");
    tick(rt, -1);
    CHECK_EQ(tick(rt, -1).next_wake_ns, 2 * SECOND);
    CHECK_OK(bine_set_time_scale(rt, 2.0));
    CHECK_EQ(tick(rt, -1).next_wake_ns, 3 * SECOND / 2);
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    CHECK_EQ(tick(rt, -1).next_wake_ns, 2 * SECOND);
    CHECK_EQ(bine_poll_timeout_ns(rt), 2 * SECOND);
    crank(2 * SECOND);
    CHECK_EQ(tick(rt, -1).next_wake_ns, -1);
    CHECK_OK(bine_set_time_scale(rt, 1.0));
    run_to_end(rt);
    close_runtime(rt);
}

/* ---- together with switch hooks ---- */

static int switches;

static void count_switch(bine *rt, bine_micro *now, void *user)
{
    (void)rt;
    (void)now;
    (void)user;
    switches++;
}

TEST(a_switch_hook_and_the_longest_job_do_not_disturb_each_other)
{
    bine *rt = open_with_host();
    bine_tick_info info;
    int with_info;

    CHECK_OK(bine_set_switch_hook(rt, count_switch, NULL));
    start_script(rt, TAKES
                 "for _ in range(3): start('loop', 0, lambda: [takes(1, bine.pause) for _ in range(9)])");
    tick(rt, -1);
    switches = 0;
    info = tick(rt, -1);
    with_info = switches;
    CHECK(with_info > 0);
    CHECK_EQ(info.longest_ns, MS);
    CHECK_STR(info.longest_name, "loop");
    switches = 0;
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK_EQ(switches, with_info);
    CHECK_OK(bine_set_switch_hook(rt, NULL, NULL));
    CHECK_EQ(tick(rt, -1).longest_ns, MS);
    CHECK_EQ(switches, with_info);
    run_to_end(rt);
    close_runtime(rt);
}

static void set_hook(bine *rt, void *user)
{
    CHECK_OK(bine_set_switch_hook(rt, user != NULL ? count_switch : NULL, NULL));
}

TEST(a_switch_hook_may_come_and_go_inside_a_tick_with_info)
{
    bine *rt = open_with_host();
    static int64_t on = 1;
    bine_tick_info info;

    start_script(rt, TAKES "for _ in range(4): takes(1, bine.pause)");
    CHECK_OK(bine_post(rt, set_hook, &on, NULL));
    start_script(rt, TAKES "takes(2)");
    info = tick(rt, -1);
    CHECK_EQ(info.longest_ns, 2 * MS);
    CHECK(switches > 0);
    switches = 0;
    CHECK_OK(bine_tick(rt, -1, NULL));
    CHECK(switches > 0);
    CHECK_OK(bine_post(rt, set_hook, NULL, NULL));
    CHECK_EQ(tick(rt, -1).longest_ns, MS);
    switches = 0;
    CHECK_OK(bine_tick(rt, -1, NULL));
    run_to_end(rt);
    CHECK_EQ(switches, 0);
    close_runtime(rt);
}

/* ---- game time ---- */

/* A micro-thread that sleeps for ten seconds of game time. */
static bine *open_asleep(void)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine; bine.sleep(10)");
    CHECK_EQ(tick(rt, -1).next_wake_ns, 10 * SECOND);
    return rt;
}

static void check_asleep(bine *rt, bool asleep)
{
    CHECK_EQ(tick(rt, -1).alive, asleep);
}

TEST(at_twice_the_speed_a_sleep_is_half_as_long)
{
    bine *rt = open_asleep();

    CHECK_OK(bine_set_time_scale(rt, 2.0));
    CHECK_EQ(tick(rt, -1).next_wake_ns, 5 * SECOND);
    crank(5 * SECOND - 1);
    check_asleep(rt, true);
    crank(1);
    check_asleep(rt, false);
    CHECK_EQ(bine_time(rt), 10 * SECOND);
    close_runtime(rt);
}

TEST(at_half_the_speed_a_sleep_is_twice_as_long)
{
    bine *rt = open_asleep();

    CHECK_OK(bine_set_time_scale(rt, 0.5));
    CHECK_EQ(bine_poll_timeout_ns(rt), 20 * SECOND);
    crank(20 * SECOND - 1);
    check_asleep(rt, true);
    crank(1);
    check_asleep(rt, false);
    close_runtime(rt);
}

TEST(paused_a_sleep_does_not_end_but_by_a_step)
{
    bine *rt = open_asleep();

    CHECK_OK(bine_set_time_scale(rt, 0.0));
    crank(3600 * SECOND);
    CHECK_EQ(tick(rt, -1).next_wake_ns, -1);
    CHECK_EQ(bine_poll_timeout_ns(rt), -1);
    CHECK_EQ(bine_time(rt), 0);
    CHECK_OK(bine_step_time(rt, 10 * SECOND - 1));
    check_asleep(rt, true);
    CHECK_OK(bine_step_time(rt, 1));
    CHECK_EQ(bine_poll_timeout_ns(rt), 0);
    check_asleep(rt, false);
    close_runtime(rt);
}

TEST(time_steps_ahead_as_it_runs)
{
    bine *rt = open_asleep();

    crank(2 * SECOND);
    CHECK_OK(bine_step_time(rt, 3 * SECOND));
    CHECK_EQ(tick(rt, -1).next_wake_ns, 5 * SECOND);
    CHECK_EQ(bine_time(rt), 5 * SECOND);
    crank(5 * SECOND);
    check_asleep(rt, false);
    close_runtime(rt);
}

TEST(the_scale_may_change_in_the_middle_of_a_sleep)
{
    bine *rt = open_asleep();

    crank(5 * SECOND);
    CHECK_OK(bine_set_time_scale(rt, 5.0));
    CHECK_EQ(tick(rt, -1).next_wake_ns, SECOND);
    crank(SECOND / 5);
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    crank(SECOND);
    CHECK_OK(bine_set_time_scale(rt, 1.0));
    CHECK_EQ(tick(rt, -1).next_wake_ns, 4 * SECOND);
    crank(4 * SECOND);
    check_asleep(rt, false);
    close_runtime(rt);
}

TEST(a_sleep_by_real_time_is_as_long_at_every_scale)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine; bine.sleep(10, real=True)");
    tick(rt, -1);
    CHECK_OK(bine_set_time_scale(rt, 100.0));
    CHECK_OK(bine_step_time(rt, 3600 * SECOND));
    check_asleep(rt, true);
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    crank(10 * SECOND - 1);
    check_asleep(rt, true);
    crank(1);
    check_asleep(rt, false);
    close_runtime(rt);
}

TEST(scripts_see_game_time)
{
    bine *rt = open_runtime();

    run_script(rt, "import bine; a = bine.time()");
    CHECK_OK(bine_set_time_scale(rt, 0.5));
    crank(3 * SECOND);
    CHECK_OK(bine_step_time(rt, SECOND));
    run_script(rt, "import bine, __main__; __main__.b = bine.time()");
    CHECK(script_true("(a, b) == (0.0, 2.5)"));
    CHECK_EQ(bine_time(rt), 5 * SECOND / 2);
    close_runtime(rt);
}

TEST(timeouts_follow_game_time)
{
    bine *rt = open_with_host();

    start_script(rt, "import bine, host\n"
                     "late = []\n"
                     "def within(seconds, wait):\n"
                     "    try:\n"
                     "        with bine.timeout(seconds): wait()\n"
                     "    except bine.Timeout: late.append('timeout')\n"
                     "def joins():\n"
                     "    t = bine.spawn(bine.Event().wait)\n"
                     "    try: t.join(1)\n"
                     "    except bine.Timeout: late.append('join'); t.cancel()\n"
                     "def waits():\n"
                     "    d = host.deferred(1)\n"
                     "    try: d.wait(1)\n"
                     "    except bine.Timeout: late.append('wait'); d.cancel()\n"
                     "def locks():\n"
                     "    lock = bine.Lock(); lock.acquire()\n"
                     "    if not lock.acquire(timeout=1): late.append('lock')\n"
                     "bine.spawn(within, 1, bine.Event().wait)\n"
                     "for f in joins, waits, locks: bine.spawn(f)\n");
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    settle(rt);
    crank(3600 * SECOND);
    settle(rt);
    CHECK_STR(script_str("str(late)"), "[]");
    CHECK_OK(bine_step_time(rt, SECOND));
    settle(rt);
    CHECK_STR(script_str("str(sorted(late))"), "['join', 'lock', 'timeout', 'wait']");
    close_runtime(rt);
}

TEST(the_grace_is_over_though_the_game_is_paused)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "try: bine.sleep(1)\n"
                     "except bine.Exit:\n"
                     "    with bine.shield(60): bine.sleep(1)\n");
    tick(rt, -1);
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_EQ(tick(rt, -1).next_wake_ns, SECOND);
    crank(SECOND);
    tick(rt, -1);
    CHECK_HAS(log_text(), "has not ended within the grace");
    CHECK_EQ(tick(rt, -1).next_wake_ns, 59 * SECOND);
    crank(59 * SECOND); /* the shield's time is over */
    tick(rt, -1);
    CHECK_EQ(tick(rt, -1).alive, 0);
    close_runtime(rt);
}

TEST(a_shield_is_not_longer_though_the_game_is_paused)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, "import bine\nwith bine.shield(5): bine.sleep(1)\n", "x", &micro));
    tick(rt, -1);
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    CHECK_OK(bine_micro_cancel(micro));
    CHECK_OK(bine_step_time(rt, SECOND / 2));
    CHECK_EQ(tick(rt, -1).next_wake_ns, 5 * SECOND);
    crank(5 * SECOND);
    tick(rt, -1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(bad_scales_and_steps_are_refused)
{
    static const double bad[] = {-1.0, -0.0001, 1.0000001e9, INFINITY, -INFINITY, NAN};
    bine *rt = open_runtime();

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_STATUS(bine_set_time_scale(rt, bad[i]), BINE_EINVAL);
    CHECK_STATUS(bine_set_time_scale(rt, 2e9), BINE_EINVAL);
    CHECK_HAS(bine_message(), "2e+09");
    CHECK_STATUS(bine_step_time(rt, -1), BINE_EINVAL);
    CHECK_HAS(bine_message(), "-1 ns");
    CHECK_STATUS(bine_step_time(rt, INT64_MIN), BINE_EINVAL);
    CHECK_OK(bine_set_time_scale(rt, -0.0));
    CHECK_OK(bine_set_time_scale(rt, 1e9));
    CHECK_OK(bine_set_time_scale(rt, 5e-324));
    CHECK_OK(bine_step_time(rt, 0));
    CHECK_EQ(bine_time(rt), 0);
    close_runtime(rt);
}

TEST(at_the_end_of_time_sleeps_end_and_nothing_hangs)
{
    bine *rt = open_asleep();

    CHECK_OK(bine_step_time(rt, INT64_MAX));
    CHECK_OK(bine_step_time(rt, INT64_MAX));
    check_asleep(rt, false);
    run_script(rt, "import bine\n"
                   "for _ in range(3): bine.sleep(1)\n"
                   "try:\n"
                   "    with bine.timeout(5): bine.Event().wait()\n"
                   "except bine.Timeout: pass\n");
    close_runtime(rt);
}

static void change_time(bine *rt, void *user)
{
    (void)user;
    CHECK_OK(bine_step_time(rt, 10 * SECOND));
    CHECK_OK(bine_set_time_scale(rt, 3.0));
    CHECK_EQ(bine_time(rt), 10 * SECOND);
}

TEST(a_task_may_change_the_time)
{
    bine *rt = open_asleep();

    CHECK_OK(bine_post(rt, change_time, NULL, NULL));
    tick(rt, -1);
    check_asleep(rt, false);
    close_runtime(rt);
}

/* ---- frames ---- */

#define FRAMES                     \
    "import bine\n"                \
    "seen = []\n"                  \
    "def frames(name, count):\n"   \
    "    for _ in range(count):\n" \
    "        bine.next_frame()\n"  \
    "        seen.append(name)\n"

TEST(each_tick_is_a_frame)
{
    bine *rt = open_runtime();

    start_script(rt, FRAMES "frames('a', 5)");
    CHECK_EQ(tick(rt, MS).alive, 1);
    for (int i = 1; i <= 5; i++) {
        CHECK_EQ(tick(rt, MS).alive, i < 5);
        CHECK_EQ(script_int("len(seen)"), i);
    }
    close_runtime(rt);
}

TEST(in_a_frame_they_go_on_in_the_order_they_came)
{
    bine *rt = open_runtime();

    start_script(rt, FRAMES "for c in 'cab': bine.spawn(frames, c, 2)");
    tick(rt, -1);
    tick(rt, -1);
    CHECK_EQ(tick(rt, MS).jobs, 3);
    CHECK_STR(script_str("''.join(seen)"), "cab");
    tick(rt, MS);
    CHECK_STR(script_str("''.join(seen)"), "cabcab");
    run_to_end(rt);
    close_runtime(rt);
}

TEST(who_has_just_come_waits_for_the_next_frame)
{
    bine *rt = open_runtime();

    start_script(rt, FRAMES "bine.spawn(frames, 'a', 2)\nbine.next_frame()\nbine.spawn(frames, 'b', 2)");
    tick(rt, MS); /* both wait */
    tick(rt, SECOND);
    CHECK_STR(script_str("''.join(seen)"), "a"); /* 'b' has begun in this frame */
    tick(rt, SECOND);
    CHECK_STR(script_str("''.join(seen)"), "aab");
    tick(rt, SECOND);
    CHECK_STR(script_str("''.join(seen)"), "aabb");
    run_to_end(rt);
    close_runtime(rt);
}

TEST(left_over_jobs_do_not_make_a_frame_longer)
{
    bine *rt = open_runtime();

    start_script(rt, FRAMES "for c in 'abc': bine.spawn(frames, c, 2)");
    tick(rt, SECOND);
    for (int i = 1; i <= 3; i++) { /* one job for each; those who waited were let go together */
        CHECK_EQ(tick(rt, 0).jobs, 1);
        CHECK_EQ(script_int("len(seen)"), i);
    }
    CHECK_STR(script_str("''.join(seen)"), "abc");
    CHECK_EQ(tick(rt, 0).jobs, 1);
    CHECK_STR(script_str("''.join(seen)"), "abca");
    run_to_end(rt);
    close_runtime(rt);
}

TEST(a_wait_for_the_next_frame_can_be_cancelled)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, "import bine\nbine.next_frame()\n", "x", &micro));
    start_script(rt, FRAMES "frames('b', 1)");
    CHECK_OK(bine_run(rt, BINE_RUN_NOWAIT) == 1 ? BINE_OK : BINE_EINVAL);
    CHECK_OK(bine_micro_cancel(micro));
    tick(rt, MS);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    run_to_end(rt);
    close_runtime(rt);
}

TEST(a_wait_for_the_next_frame_can_time_out)
{
    bine *rt = open_runtime();

    start_script(rt, FRAMES "try:\n"
                            "    with bine.timeout(0.001): bine.next_frame(); bine.next_frame()\n"
                            "except bine.Timeout: seen.append('late')\n");
    bine_run(rt, BINE_RUN_NOWAIT);
    bine_run(rt, BINE_RUN_NOWAIT);
    crank(MS);
    bine_run(rt, BINE_RUN_NOWAIT);
    CHECK_STR(script_str("''.join(seen)"), "late");
    close_runtime(rt);
}

TEST(turns_that_are_no_frames_begin_one_each_sixtieth_of_a_second)
{
    bine *rt = open_runtime();

    start_script(rt, FRAMES "frames('a', 100)");
    bine_run(rt, BINE_RUN_NOWAIT);
    bine_run(rt, BINE_RUN_NOWAIT); /* there was none before */
    CHECK_EQ(script_int("len(seen)"), 1);
    CHECK_EQ(bine_poll_timeout_ns(rt), 16666667);
    CHECK_OK(bine_set_time_scale(rt, 0.0)); /* the game is paused, and drawn nevertheless */
    for (int i = 0; i < 60; i++) {
        crank(16666666);
        bine_run(rt, BINE_RUN_NOWAIT);
        CHECK_EQ(script_int("len(seen)"), 1 + i);
        crank(1);
        bine_run(rt, BINE_RUN_NOWAIT);
        CHECK_EQ(script_int("len(seen)"), 2 + i);
    }
    crank(SECOND); /* those that are missed are not made up for */
    bine_run(rt, BINE_RUN_NOWAIT);
    bine_run(rt, BINE_RUN_NOWAIT);
    CHECK_EQ(script_int("len(seen)"), 62);
    CHECK_OK(bine_shutdown(rt, 0));
    settle(rt);
    close_runtime(rt);
}

static int64_t running_time;

/* A clock on which looking takes a millisecond: so waits end by themselves. */
static int64_t running_clock(void *user)
{
    (void)user;
    return running_time += MS;
}

TEST(bine_run_goes_from_frame_to_frame)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.budget_clock = running_clock;
    rt = open_runtime_with(&config);
    start_script(rt, FRAMES "frames('a', 5)");
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    CHECK_EQ(script_int("len(seen)"), 5);
    CHECK(running_time > 4 * 16 * MS);
    close_runtime(rt);
}

/* ---- why nothing runs ---- */

static void check_idle(const char *source, bine_idle expected, const char *words)
{
    bine *rt = open_runtime();
    bine_value *report;
    bine_idle why;

    start_script(rt, source);
    tick(rt, -1);
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    CHECK_OK(bine_why_idle(rt, &why, &report));
    CHECK_EQ(why, expected);
    CHECK_HAS(bine_value_as_str(report, NULL), words);
    bine_value_free(report);
    CHECK_OK(bine_shutdown(rt, 0));
    settle(rt);
    close_runtime(rt);
}

TEST(one_that_waits_for_a_frame_is_idle_until_then)
{
    check_idle("import bine; bine.next_frame()", BINE_IDLE_TIME, "the next frame");
}

TEST(one_that_sleeps_by_real_time_is_idle_until_then)
{
    check_idle("import bine; bine.sleep(1, real=True)", BINE_IDLE_TIME, "real time to pass");
}

TEST(one_that_sleeps_in_a_paused_game_is_idle_until_then)
{
    check_idle("import bine; bine.sleep(1)", BINE_IDLE_TIME, "");
}

TEST(one_that_waits_for_a_descriptor_is_idle_until_something_comes)
{
    check_idle("import bine, os; bine.wait_readable(os.pipe()[0])", BINE_IDLE_OUTSIDE, "to become readable");
}

/* ---- refusals ---- */

static void request(void *user)
{
    (void)user;
}

static int64_t inside[12];

static void call_all_inside(bine *rt, void *user)
{
    (void)user;
    inside[0] = bine_guest_start(rt, request, NULL);
    inside[1] = bine_guest_stop(rt);
    inside[2] = bine_poll_timeout_ns(rt);
    inside[3] = bine_poll_fd(rt);
    inside[4] = bine_sleep_real(1);
    inside[5] = bine_next_frame();
    inside[6] = bine_wait_fd(0, BINE_READABLE, -1);
}

TEST(what_is_refused_inside_a_tick)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_post(rt, call_all_inside, NULL, NULL));
    tick(rt, 0);
    CHECK_STATUS((int)inside[0], BINE_EBUSY);
    CHECK_STATUS((int)inside[1], BINE_EBUSY);
    CHECK_EQ(inside[2], -1);
    CHECK(inside[3] >= 0);
    for (int i = 4; i < 7; i++)
        CHECK_STATUS((int)inside[i], BINE_EMICRO);
    close_runtime(rt);
}

TEST(what_is_refused_between_enter_and_leave)
{
    bine *rt = open_runtime();

    bine_python_enter(rt);
    CHECK_STATUS(bine_tick(rt, 0, NULL), BINE_EBUSY);
    CHECK_STATUS(bine_run(rt, BINE_RUN_NOWAIT), BINE_EBUSY);
    CHECK_STATUS(bine_guest_start(rt, request, NULL), BINE_EBUSY);
    CHECK_OK(bine_step_time(rt, 1));
    bine_python_leave(rt);
    close_runtime(rt);
}

static void check_all(bine *rt, int status)
{
    CHECK_STATUS(bine_set_time_scale(rt, 1.0), status);
    CHECK_STATUS(bine_step_time(rt, 1), status);
    CHECK_STATUS((int)bine_time(rt), status);
    CHECK_STATUS(bine_poll_fd(rt), status);
    CHECK_STATUS((int)bine_poll_timeout_ns(rt), status);
    CHECK_STATUS(bine_guest_start(rt, request, NULL), status);
    CHECK_STATUS(bine_guest_stop(rt), status);
    CHECK_STATUS(bine_sleep_real(1), BINE_EMICRO);
    CHECK_STATUS(bine_next_frame(), BINE_EMICRO);
    CHECK_STATUS(bine_wait_fd(0, BINE_READABLE, 0), BINE_EMICRO);
}

static void call_elsewhere(void *user)
{
    check_all(user, BINE_ETHREAD);
}

TEST(another_thread_and_no_runtime_are_refused)
{
    bine *rt = open_runtime();

    in_thread(call_elsewhere, rt);
    check_all(NULL, BINE_EINVAL);
    close_runtime(rt);
}

static void call_closed_elsewhere(void *user)
{
    check_all(user, BINE_ECLOSED);
}

TEST(a_closed_runtime_is_refused)
{
    bine *rt = open_runtime();

    close_runtime(rt);
    check_all(rt, BINE_ECLOSED);
    in_thread(call_closed_elsewhere, rt);
}

TEST(a_guest_needs_a_function_and_is_one_at_a_time)
{
    bine *rt = open_runtime();

    CHECK_STATUS(bine_guest_start(rt, NULL, NULL), BINE_EINVAL);
    CHECK_OK(bine_guest_stop(rt));
    CHECK_OK(bine_guest_start(rt, request, NULL));
    CHECK_STATUS(bine_guest_start(rt, request, NULL), BINE_EEXIST);
    CHECK_OK(bine_guest_stop(rt));
    CHECK_OK(bine_guest_start(rt, request, NULL));
    close_runtime(rt);
}

/* ---- C micro-threads ---- */

static int rest(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    CHECK_OK(bine_sleep_real(-5));
    CHECK_STATUS(bine_wait_fd(0, 0, 0), BINE_EINVAL);
    CHECK_STATUS(bine_wait_fd(0, 4, 0), BINE_EINVAL);
    CHECK_STATUS(bine_wait_fd(-1, BINE_READABLE, 0), BINE_EIO);
    CHECK_OK(bine_next_frame());
    CHECK_STATUS(bine_next_frame(), BINE_ECANCELED);
    CHECK_STATUS(bine_sleep_real(1), BINE_ECANCELED);
    CHECK_STATUS(bine_wait_fd(0, BINE_READABLE, -1), BINE_ECANCELED);
    CHECK_HAS(bine_message(), "bine_wait_fd");
    return BINE_ECANCELED;
}

TEST(c_micro_threads_rest_and_are_cancelled)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_spawn(NULL, rest, NULL, NULL, &micro));
    for (int i = 0; i < 3; i++)
        tick(rt, -1);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    close_runtime(rt);
}

/* ---- the config ---- */

static int64_t host_now(void *user)
{
    (void)user;
    return 0;
}

static void host_timer(void *user, int64_t when_ns)
{
    (void)user;
    (void)when_ns;
}

static int host_watch(void *user, int fd, unsigned events, bine_watch *watch)
{
    (void)user;
    (void)fd;
    (void)events;
    (void)watch;
    return 0;
}

static void host_wake(void *user)
{
    (void)user;
}

static void check_config_refused(const bine_config *config, const char *words)
{
    bine *rt;

    CHECK_STATUS(bine_open(config, &rt), BINE_EINVAL);
    CHECK(rt == NULL);
    CHECK_HAS(bine_message(), words);
}

TEST(bad_configs_of_loops_are_refused_and_a_good_one_can_follow)
{
    static bine_reactor whole;
    bine_reactor reactor;
    bine_config config;
    bine *rt;

    bine_reactor_init(&whole);
    whole.now = host_now;
    whole.timer = host_timer;
    whole.watch = host_watch;
    whole.wake = host_wake;
    bine_config_init(&config);
    config.reactor = &whole;
    config.uv_loop = (struct uv_loop_s *)(void *)&whole;
    check_config_refused(&config, "not both");
    config.uv_loop = NULL;
    config.reactor = &reactor;
    reactor = whole;
    reactor.struct_size = 8;
    check_config_refused(&config, "bine_reactor_init()");
    for (int missing = 0; missing < 4; missing++) {
        reactor = whole;
        if (missing == 0)
            reactor.now = NULL;
        if (missing == 1)
            reactor.timer = NULL;
        if (missing == 2)
            reactor.watch = NULL;
        if (missing == 3)
            reactor.wake = NULL;
        check_config_refused(&config, "must have now, timer, watch and wake");
    }
    config.reactor = NULL;
    for (int64_t turn = -1; turn <= 0; turn++) {
        config.turn_ns = turn;
        check_config_refused(&config, "turn_ns must be positive");
    }
    config.turn_ns = 1;
    config.reactor = &whole;
    rt = open_runtime_with(&config);
    CHECK_STATUS(bine_run(rt, BINE_RUN_DEFAULT), BINE_ENOTSUP);
    CHECK_STATUS(bine_poll_fd(rt), BINE_ENOTSUP);
    CHECK_STATUS(bine_guest_start(rt, request, NULL), BINE_ENOTSUP);
    run_script(rt, "import bine; bine.sleep(1)");
    close_runtime(rt);
}
