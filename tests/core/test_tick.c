/* Turns: how much of the queue one tick runs, in which order, and what it says about it. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

static char order[256]; /* what ran, a letter each */

static void note(bine *rt, void *user)
{
    size_t length = strlen(order);

    (void)rt;
    CHECK(length + 1 < sizeof order);
    order[length] = *(const char *)user;
}

/* The same, and it takes a millisecond. */
static void note_slowly(bine *rt, void *user)
{
    note(rt, user);
    crank(MS);
}

static void post(bine *rt, bine_task task, const char *letters)
{
    for (; *letters != '\0'; letters++)
        CHECK_OK(bine_post(rt, task, (void *)(uintptr_t)letters, NULL));
}

static bine_tick_info tick(bine *rt, int64_t budget_ns)
{
    bine_tick_info info = {.struct_size = sizeof info};

    CHECK_OK(bine_tick(rt, budget_ns, &info));
    return info;
}

/* ---- budget ---- */

TEST(with_no_budget_one_job_runs_and_the_others_keep_their_place)
{
    bine *rt = open_runtime();

    post(rt, note_slowly, "abc");
    for (size_t left = 3; left-- > 0;) {
        bine_tick_info info = tick(rt, 0);

        CHECK_EQ(info.jobs, 1);
        CHECK_EQ(info.ready, left);
    }
    CHECK_STR(order, "abc");
    CHECK_EQ(tick(rt, 0).jobs, 0);
    close_runtime(rt);
}

TEST(jobs_run_until_the_budget_is_used_up)
{
    bine *rt = open_runtime();

    post(rt, note_slowly, "abcdef");
    CHECK_EQ(tick(rt, 2 * MS).jobs, 2);
    CHECK_STR(order, "ab");
    CHECK_EQ(tick(rt, 2 * MS + 1).jobs, 3);
    CHECK_STR(order, "abcde");
    CHECK_EQ(tick(rt, 100 * MS).jobs, 1);
    CHECK_STR(order, "abcdef");
    close_runtime(rt);
}

TEST(left_overs_go_before_what_is_posted_after_the_tick)
{
    bine *rt = open_runtime();

    post(rt, note_slowly, "abc");
    tick(rt, MS);
    post(rt, note_slowly, "de");
    tick(rt, -1);
    CHECK_STR(order, "abcde");
    close_runtime(rt);
}

TEST(a_negative_budget_runs_the_whole_batch_however_long_it_takes)
{
    bine *rt = open_runtime();
    bine_tick_info info;

    post(rt, note_slowly, "abcdefgh");
    info = tick(rt, -1);
    CHECK_EQ(info.jobs, 8);
    CHECK_EQ(info.elapsed_ns, 8 * MS);
    CHECK_STR(order, "abcdefgh");
    close_runtime(rt);
}

static void note_and_post(bine *rt, void *user)
{
    note(rt, user);
    post(rt, note, "x");
}

TEST(jobs_made_meanwhile_wait_for_the_next_batch)
{
    bine *rt = open_runtime();
    bine_tick_info info;

    post(rt, note_and_post, "abc");
    info = tick(rt, -1);
    CHECK_EQ(info.jobs, 3);
    CHECK_EQ(info.ready, 3);
    CHECK_STR(order, "abc");
    CHECK_EQ(tick(rt, -1).jobs, 3);
    CHECK_STR(order, "abcxxx");
    close_runtime(rt);
}

TEST(jobs_made_meanwhile_run_in_the_same_tick_while_budget_is_left)
{
    bine *rt = open_runtime();

    post(rt, note_and_post, "abc");
    CHECK_EQ(tick(rt, MS).jobs, 6);
    CHECK_STR(order, "abcxxx");
    close_runtime(rt);
}

static void post_itself(bine *rt, void *user)
{
    note_slowly(rt, user);
    CHECK_OK(bine_post(rt, post_itself, user, NULL));
}

TEST(a_job_that_makes_itself_anew_does_not_starve_the_others)
{
    bine *rt = open_runtime();

    post(rt, post_itself, "ab");
    tick(rt, -1);
    CHECK_STR(order, "ab");
    post(rt, note, "c");
    tick(rt, 3 * MS);
    CHECK(strncmp(order, "ababc", 5) == 0);
    CHECK_OK(bine_close(rt)); /* with two jobs inside */
}

TEST(micro_threads_take_turns_and_a_batch_gives_each_one)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "seen = ''\n"
                     "def go(letter):\n"
                     "    global seen\n"
                     "    for _ in range(3):\n"
                     "        seen += letter\n"
                     "        bine.pause()\n"
                     "all = [bine.spawn(go, c) for c in 'abc']\n");
    CHECK_EQ(tick(rt, -1).ready, 3);
    CHECK_STR(script_str("seen"), "");
    CHECK_EQ(tick(rt, -1).jobs, 3);
    CHECK_STR(script_str("seen"), "abc");
    CHECK_EQ(tick(rt, 0).jobs, 1);
    CHECK_STR(script_str("seen"), "abca");
    CHECK_EQ(tick(rt, -1).jobs, 3);
    CHECK_STR(script_str("seen"), "abcabca");
    run_to_end(rt);
    CHECK_STR(script_str("seen"), "abcabcabc");
    close_runtime(rt);
}

TEST(tasks_and_micro_threads_stand_in_one_line)
{
    bine *rt = open_runtime();

    start_script(rt, "a = 1");
    post(rt, note, "b");
    start_script(rt, "c = 1");
    post(rt, note, "d");
    CHECK_EQ(tick(rt, 0).jobs, 1);
    CHECK_EQ(script_int("a"), 1);
    CHECK_STR(order, "");
    CHECK_EQ(tick(rt, 0).jobs, 1);
    CHECK_STR(order, "b");
    CHECK_EQ(tick(rt, 0).alive, 0);
    CHECK_STR(order, "b");
    CHECK_EQ(tick(rt, 0).jobs, 1);
    CHECK_STR(order, "bd");
    close_runtime(rt);
}

/* ---- what it says ---- */

TEST(an_idle_tick_says_that_nothing_is_to_be_done)
{
    bine *rt = open_runtime();
    bine_tick_info info = tick(rt, SECOND);

    CHECK_EQ(info.jobs, 0);
    CHECK_EQ(info.ready, 0);
    CHECK_EQ(info.alive, 0);
    CHECK_EQ(info.elapsed_ns, 0);
    CHECK_EQ(info.next_wake_ns, -1);
    close_runtime(rt);
}

TEST(next_wake_is_the_time_to_the_next_timer)
{
    bine *rt = open_runtime();
    bine_tick_info info;

    start_script(rt, "import bine\n"
                     "bine.spawn(bine.sleep, 5)\n"
                     "bine.sleep(2)\n");
    CHECK_EQ(tick(rt, 0).next_wake_ns, 0); /* the child is ready */
    info = tick(rt, 0);
    CHECK_EQ(info.next_wake_ns, 2 * SECOND);
    CHECK_EQ(info.alive, 2);
    crank(SECOND);
    CHECK_EQ(tick(rt, 0).next_wake_ns, SECOND);
    crank(SECOND);
    info = tick(rt, 0);
    CHECK_EQ(info.alive, 1);
    CHECK_EQ(info.next_wake_ns, 3 * SECOND);
    crank(4 * SECOND);
    info = tick(rt, 0);
    CHECK_EQ(info.alive, 0);
    CHECK_EQ(info.next_wake_ns, -1);
    close_runtime(rt);
}

TEST(next_wake_is_never_negative_for_a_timer_that_is_due)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine; bine.sleep(1)");
    tick(rt, 0);
    post(rt, note_slowly, "ab");
    crank(SECOND - MS);
    CHECK_EQ(tick(rt, -1).next_wake_ns, 0); /* the tasks took the time that was left */
    run_to_end(rt);
    close_runtime(rt);
}

TEST(the_info_may_be_missing_but_not_of_another_size)
{
    bine_tick_info info = {.struct_size = 3};
    bine *rt = open_runtime();

    post(rt, note, "a");
    CHECK_STATUS(bine_tick(rt, 0, &info), BINE_EINVAL);
    CHECK_STR(order, "");
    CHECK_OK(bine_tick(rt, 0, NULL));
    CHECK_STR(order, "a");
    close_runtime(rt);
}

TEST(stats_count_what_happened_since_the_opening)
{
    bine_stats stats = {.struct_size = sizeof stats};
    bine *rt = open_runtime();

    run_script(rt, "import bine\n"
                   "for _ in range(5): bine.spawn(bine.sleep, 1)\n");
    start_script(rt, "bine.sleep(1)");
    post(rt, note, "a");
    CHECK_OK(bine_get_stats(rt, &stats));
    CHECK_EQ(stats.spawned, 7);
    CHECK_EQ(stats.alive, 1);
    CHECK_EQ(stats.jobs, 1 + 5 + 5);
    CHECK_EQ(stats.timers, 0);
    stats.struct_size = 1;
    CHECK_STATUS(bine_get_stats(rt, &stats), BINE_EINVAL);
    CHECK_STATUS(bine_get_stats(rt, NULL), BINE_EINVAL);
    settle(rt);
    CHECK_STR(error_type(0), "NameError"); /* scripts do not share their names */
    forget_errors();
    close_runtime(rt);
}

/* ---- refusals ---- */

static int inner[4];

static void call_all(bine *rt, void *user)
{
    (void)user;
    inner[0] = bine_tick(rt, 0, NULL);
    inner[1] = bine_run(rt, BINE_RUN_NOWAIT);
    inner[2] = bine_close(rt);
    inner[3] = bine_run(rt, BINE_RUN_DEFAULT);
}

TEST(a_tick_inside_a_tick_is_refused)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_post(rt, call_all, NULL, NULL));
    tick(rt, 0);
    for (size_t i = 0; i < 4; i++)
        CHECK_STATUS(inner[i], BINE_EBUSY);
    close_runtime(rt);
}

TEST(a_tick_inside_a_host_function_is_refused)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    run_script(rt, "import host\n"
                   "assert host.nested_tick() == 'BINE_EBUSY'\n");
    close_runtime(rt);
}

static void call_elsewhere(void *user)
{
    bine *rt = user;
    bine_stats stats = {.struct_size = sizeof stats};
    bine_micro *micro = (bine_micro *)user;
    bine_deferred *d;
    bine_resolver *r;
    char *text;

    CHECK_STATUS(bine_tick(rt, 0, NULL), BINE_ETHREAD);
    CHECK_STATUS(bine_run(rt, BINE_RUN_NOWAIT), BINE_ETHREAD);
    CHECK_STATUS(bine_shutdown(rt, 0), BINE_ETHREAD);
    CHECK_STATUS(bine_close(rt), BINE_ETHREAD);
    CHECK_STATUS(bine_get_stats(rt, &stats), BINE_ETHREAD);
    CHECK_STATUS(bine_run_string(rt, "1", "x", &micro), BINE_ETHREAD);
    CHECK(micro == NULL);
    CHECK_STATUS(bine_run_file(rt, "x.py", NULL), BINE_ETHREAD);
    CHECK_STATUS(bine_spawn_named(rt, "os", "getpid", bine_value_list(), NULL), BINE_ETHREAD);
    CHECK_STATUS(bine_def(rt, "host", "f()", NULL, NULL, NULL), BINE_ETHREAD);
    CHECK_STATUS(bine_stubs(rt, "host", &text), BINE_ETHREAD);
    CHECK_STATUS(bine_deferred_new(rt, NULL, NULL, &d, &r), BINE_ETHREAD);
    CHECK(d == NULL && r == NULL);
    CHECK_HAS(bine_message(), "bine_deferred_new");
    CHECK_STATUS(bine_sleep(1), BINE_EMICRO);
    CHECK_STATUS(bine_yield(), BINE_EMICRO);
    CHECK(bine_micro_current() == NULL);
}

TEST(another_thread_is_refused)
{
    bine *rt = open_runtime();

    in_thread(call_elsewhere, rt);
    CHECK_STATUS(bine_tick(NULL, 0, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_close(NULL), BINE_EINVAL);
    close_runtime(rt);
}

TEST(a_message_is_the_threads_own)
{
    bine *rt = open_runtime();

    CHECK_STATUS(bine_run(rt, (bine_run_mode)77), BINE_EINVAL);
    CHECK_HAS(bine_message(), "77");
    in_thread(call_elsewhere, rt);
    CHECK_HAS(bine_message(), "77");
    close_runtime(rt);
}

/* ---- bine_run ---- */

static int64_t running_time;

/* A clock on which looking takes a millisecond: so waits end by themselves. */
static int64_t running_clock(void *user)
{
    (void)user;
    return running_time += MS;
}

TEST(run_goes_on_until_no_micro_thread_lives_and_no_job_is_left)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.clock = running_clock;
    rt = open_runtime_with(&config);
    start_script(rt, "import bine\n"
                     "done = []\n"
                     "def go(i):\n"
                     "    bine.sleep(i / 1000)\n"
                     "    done.append(i)\n"
                     "for i in range(5): bine.spawn(go, i)\n");
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    CHECK_STR(script_str("str(done)"), "[0, 1, 2, 3, 4]");
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    close_runtime(rt);
}

TEST(run_nowait_takes_one_turn_and_says_whether_something_lives)
{
    bine *rt = open_runtime();

    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 0);
    start_script(rt, "import bine; bine.sleep(1); a = 1");
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    crank(SECOND);
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 0);
    CHECK_EQ(script_int("a"), 1);
    close_runtime(rt);
}

TEST(run_once_waits_for_something_to_do)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    CHECK_EQ(bine_run(rt, BINE_RUN_ONCE), 0); /* there is nothing to wait for */
    start_script(rt, "import host; a = host.from_thread(42)");
    while (bine_run(rt, BINE_RUN_ONCE) == 1)
        ; /* its call, and the answer */
    CHECK_EQ(script_int("a"), 42);
    join_host_threads();
    close_runtime(rt);
}

TEST(run_once_ends_at_a_task_from_another_thread)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    start_script(rt, "import host; host.wait_for(1)");
    CHECK_EQ(bine_run(rt, BINE_RUN_ONCE), 1);
    CHECK_OK(bine_post(rt, note, (void *)(uintptr_t) "a", NULL));
    CHECK_EQ(bine_run(rt, BINE_RUN_ONCE), 1);
    CHECK_STR(order, "a");
    start_script(rt, "import host; host.settle(1)");
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    close_runtime(rt);
}

/* ---- bine_post ---- */

static bine *target;
static size_t next_of[8];
static atomic_size_t released;
static size_t ran;

enum { POSTS = 2000 };

typedef struct letter {
    size_t producer;
    size_t number;
} letter;

static void deliver(bine *rt, void *user)
{
    const letter *l = user;

    CHECK(rt == target);
    CHECK(bine_micro_current() == NULL);
    CHECK_EQ(l->number, next_of[l->producer]);
    next_of[l->producer]++;
    ran++;
}

static void release_letter(void *user)
{
    atomic_fetch_add(&released, 1);
    free(user);
}

static void post_letters(size_t producer)
{
    for (size_t i = 0; i < POSTS; i++) {
        letter *l = malloc(sizeof *l);

        CHECK(l != NULL);
        *l = (letter){producer, i};
        CHECK_OK(bine_post(target, deliver, l, release_letter));
    }
}

TEST(posts_of_eight_threads_keep_the_order_of_each)
{
    target = open_runtime();
    in_threads(8, post_letters);
    CHECK_EQ(tick(target, -1).jobs, 8 * POSTS);
    CHECK_EQ(ran, 8 * POSTS);
    CHECK_EQ(atomic_load(&released), 8 * POSTS);
    close_runtime(target);
}

static void *post_meanwhile(void *user)
{
    (void)user;
    in_threads(8, post_letters);
    return NULL;
}

TEST(posts_arrive_while_the_owner_ticks)
{
    pthread_t thread;

    target = open_runtime();
    CHECK_EQ(pthread_create(&thread, NULL, post_meanwhile, NULL), 0);
    while (ran < 8 * POSTS)
        tick(target, 0);
    pthread_join(thread, NULL);
    CHECK_EQ(atomic_load(&released), 8 * POSTS);
    close_runtime(target);
}

TEST(a_post_in_line_at_the_close_is_released_and_not_run)
{
    target = open_runtime();
    post_letters(0);
    in_threads(1, post_letters);
    CHECK_OK(bine_close(target));
    CHECK_EQ(ran, 0);
    CHECK_EQ(atomic_load(&released), 2 * POSTS);
}

static int late_status = 1;

static void post_again(void *user)
{
    atomic_fetch_add(&released, 1);
    if (user != NULL) /* as a destructor may */
        late_status = bine_post(target, deliver, NULL, post_again);
}

TEST(a_post_made_by_a_release_during_the_close_is_released_too)
{
    target = open_runtime();
    CHECK_OK(bine_post(target, deliver, &late_status, post_again));
    CHECK_OK(bine_close(target));
    CHECK_EQ(atomic_load(&released), 2);
    CHECK_EQ(ran, 0);
    CHECK(late_status == BINE_OK || late_status == BINE_ECLOSED);
}

TEST(a_refused_post_is_released_at_once)
{
    bine *rt = open_runtime();

    CHECK_STATUS(bine_post(rt, NULL, NULL, post_again), BINE_EINVAL);
    CHECK_STATUS(bine_post(NULL, deliver, NULL, post_again), BINE_EINVAL);
    CHECK_EQ(atomic_load(&released), 2);
    CHECK_STATUS(bine_post(rt, NULL, NULL, NULL), BINE_EINVAL);
    close_runtime(rt);
}

static void spawn(bine *rt, void *user)
{
    start_script(rt, user);
}

TEST(a_task_may_spawn_and_the_script_runs_in_a_later_batch)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_post(rt, spawn, (void *)(uintptr_t) "a = 1", NULL));
    CHECK_EQ(tick(rt, -1).alive, 1);
    CHECK_EQ(tick(rt, -1).alive, 0);
    CHECK_EQ(script_int("a"), 1);
    close_runtime(rt);
}
