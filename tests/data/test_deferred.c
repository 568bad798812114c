/* Deferreds: settled once, from anywhere; waited for by whoever wants. */
#include "counted.h"
#include "fixture.h"

#include <pthread.h>

static bine_deferred *deferred;
static bine_resolver *resolver;
static int cancels;

static void new_pair(bine *rt, bine_on_cancel on_cancel)
{
    CHECK_OK(bine_deferred_new(rt, on_cancel, &cancels, &deferred, &resolver));
}

/* wait(seconds): bine_wait() in a host function, on the script's stack. Its value, or the name of
 * the status as text. Negative: no limit. */
static int wait_here(bine_call *call, void *user)
{
    double seconds = bine_arg_f64(call, 0);
    bine_value *value = (bine_value *)user;
    int status = bine_wait(deferred, seconds < 0 ? -1 : (int64_t)(seconds * 1e9), &value);

    (void)user;
    if (status != BINE_OK) {
        CHECK(value == NULL);
        return bine_return(call, bine_value_str(bine_err_name(status)));
    }
    return bine_return(call, value);
}

static bine *open_waiting(void)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "wait(seconds: float = -1) -> object", wait_here, NULL, NULL));
    return rt;
}

static void close_waiting(bine *rt)
{
    bine_deferred_release(deferred);
    deferred = NULL;
    close_runtime(rt);
}

/* For tests that leave a rejection behind which nobody takes. */
static void close_with_one_report(bine *rt, const char *type)
{
    bine_deferred_release(deferred);
    deferred = NULL;
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), type);
    forget_errors();
    close_runtime(rt);
}

/* ---- settling ---- */

TEST(a_new_deferred_is_pending)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_EQ(bine_deferred_state(deferred), 0);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    close_waiting(rt);
}

TEST(resolve_reject_and_drop_settle_each_in_its_way)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_resolve(resolver, bine_value_i64(5)));
    CHECK_EQ(bine_deferred_state(deferred), 1);
    bine_deferred_release(deferred);
    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, BINE_EIO, "gone"));
    CHECK_EQ(bine_deferred_state(deferred), BINE_EIO);
    bine_deferred_release(deferred);
    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, -1234, NULL));
    CHECK_EQ(bine_deferred_state(deferred), -1234);
    bine_deferred_release(deferred);
    new_pair(rt, NULL);
    bine_resolver_drop(resolver);
    CHECK_EQ(bine_deferred_state(deferred), BINE_EBROKEN);
    bine_resolver_drop(NULL);
    bine_deferred_release(deferred);
    deferred = NULL;
    settle(rt);
    CHECK_EQ(error_count(), 3); /* each of the rejections, which nobody took */
    CHECK_STR(error_message(0), "gone");
    forget_errors();
    close_waiting(rt);
}

TEST(settling_wakes_nobody_inside_the_call)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    start_script(rt, "import host; got = 0; got = host.wait()");
    settle(rt);
    CHECK_OK(bine_resolve(resolver, bine_value_i64(5)));
    CHECK_EQ(script_int("got"), 0);
    settle(rt);
    CHECK_EQ(script_int("got"), 5);
    close_waiting(rt);
}

TEST(each_of_several_waiters_gets_a_value_of_its_own)
{
    bine *rt = open_waiting();
    bine_value *dict = bine_value_dict();

    new_pair(rt, NULL);
    CHECK_OK(bine_value_set(dict, "a", bine_value_i64(1)));
    start_script(rt, "import bine, host\n"
                     "order = []\n"
                     "def go(i):\n"
                     "    value = host.wait()\n"
                     "    order.append(i)\n"
                     "    return value\n"
                     "all = [bine.spawn(go, i) for i in range(4)]\n"
                     "values = [t.join() for t in all]\n");
    settle(rt);
    CHECK_OK(bine_resolve(resolver, dict));
    settle(rt);
    CHECK(script_true("values == [{'a': 1}] * 4"));
    CHECK(script_true("len(set(map(id, values))) == 4"));
    CHECK(script_true("order == [0, 1, 2, 3]"));
    close_waiting(rt);
}

TEST(one_who_comes_late_finds_the_result_at_once)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_resolve(resolver, bine_value_str("there")));
    run_script(rt, "import host; a = host.wait(); b = host.wait(0)");
    CHECK_STR(script_str("a + b"), "therethere");
    close_waiting(rt);
}

static void settle_elsewhere(void *user)
{
    const int *how = user;

    switch (*how) {
    case 0:
        CHECK_OK(bine_resolve(resolver, bine_value_str("from afar")));
        break;
    case 1:
        CHECK_OK(bine_reject(resolver, BINE_EIO, "lost"));
        break;
    default:
        bine_resolver_drop(resolver);
    }
}

TEST(another_thread_settles_and_the_owner_sees_it_at_a_tick)
{
    static const char *const said[] = {"from afar", "BINE_EIO", "BINE_EBROKEN"};
    bine *rt = open_waiting();

    for (int how = 0; how < 3; how++) {
        new_pair(rt, NULL);
        start_script(rt, "import host, __main__; __main__.got = None; __main__.got = host.wait()");
        settle(rt);
        in_thread(settle_elsewhere, &how);
        CHECK_EQ(bine_deferred_state(deferred), 0);
        CHECK(script_true("got is None"));
        settle(rt);
        CHECK_STR(script_str("got"), said[how]);
        bine_deferred_release(deferred);
    }
    deferred = NULL;
    close_waiting(rt);
}

TEST(a_value_without_memory_rejects)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_STATUS(bine_resolve(resolver, NULL), BINE_ENOMEM);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ENOMEM);
    close_with_one_report(rt, "MemoryError");
}

TEST(a_code_that_is_not_negative_rejects_with_einval)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_STATUS(bine_reject(resolver, 0, "fine"), BINE_EINVAL);
    CHECK_EQ(bine_deferred_state(deferred), BINE_EINVAL);
    close_with_one_report(rt, "bine.HostError");
}

TEST(null_arguments_are_refused)
{
    bine *rt = open_waiting();
    bine_value *value = NULL;
    bine_deferred *d;
    bine_resolver *r;

    CHECK_STATUS(bine_resolve(NULL, counted()), BINE_EINVAL);
    CHECK_EQ(counted_destroyed(), 1);
    CHECK_STATUS(bine_reject(NULL, BINE_EIO, "x"), BINE_EINVAL);
    CHECK_STATUS(bine_wait(NULL, 0, &value), BINE_EINVAL);
    CHECK_STATUS(bine_deferred_cancel(NULL), BINE_EINVAL);
    CHECK_STATUS(bine_deferred_new(NULL, NULL, NULL, &d, &r), BINE_EINVAL);
    CHECK(d == NULL && r == NULL);
    CHECK_STATUS(bine_deferred_new(rt, NULL, NULL, NULL, &r), BINE_EINVAL);
    bine_deferred_release(NULL);
    close_waiting(rt);
}

TEST(a_value_nobody_fetched_is_freed_with_the_deferred)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_resolve(resolver, counted()));
    CHECK_EQ(counted_destroyed(), 0);
    bine_deferred_release(deferred);
    CHECK_EQ(counted_destroyed(), 1);
    new_pair(rt, NULL);
    bine_deferred_release(deferred); /* before its result */
    CHECK_OK(bine_resolve(resolver, counted()));
    CHECK_EQ(counted_destroyed(), 2);
    deferred = NULL;
    close_waiting(rt);
}

static void resolve_counted(void *user)
{
    (void)user;
    CHECK_OK(bine_resolve(resolver, counted()));
}

TEST(a_value_under_way_at_the_close_is_freed)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    in_thread(resolve_counted, NULL);
    bine_deferred_release(deferred);
    deferred = NULL;
    CHECK_OK(bine_close(rt));
    CHECK_EQ(counted_destroyed(), 1);
}

/* ---- waiting ---- */

TEST(off_a_micro_thread_nobody_can_wait)
{
    bine *rt = open_waiting();
    bine_value *value = (bine_value *)rt;

    new_pair(rt, NULL);
    CHECK_STATUS(bine_wait(deferred, 0, &value), BINE_EMICRO);
    CHECK(value == NULL);
    CHECK_STATUS(bine_sleep(0), BINE_EMICRO);
    CHECK_STATUS(bine_yield(), BINE_EMICRO);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    close_waiting(rt);
}

static int task_status;

static void wait_in_task(bine *rt, void *user)
{
    (void)rt;
    (void)user;
    task_status = bine_wait(deferred, -1, NULL);
}

TEST(a_task_cannot_wait)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_post(rt, wait_in_task, NULL, NULL));
    settle(rt);
    CHECK_STATUS(task_status, BINE_EMICRO);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    close_waiting(rt);
}

TEST(a_time_out_abandons_the_wait_and_not_the_work)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    start_script(rt, "import host; first = host.wait(2); second = host.wait()");
    settle(rt);
    crank(2 * SECOND);
    settle(rt);
    CHECK_STR(script_str("first"), "BINE_ETIMEDOUT");
    CHECK_EQ(bine_deferred_state(deferred), 0);
    CHECK_OK(bine_resolve(resolver, bine_value_str("late")));
    settle(rt);
    CHECK_STR(script_str("second"), "late");
    close_waiting(rt);
}

TEST(a_wait_of_no_time_looks_and_goes_on)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    run_script(rt, "import host; a = host.wait(0)");
    CHECK_STR(script_str("a"), "BINE_ETIMEDOUT");
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    close_waiting(rt);
}

TEST(a_result_and_the_time_out_in_one_tick_count_as_the_result)
{
    bine *rt = open_waiting();
    int how = 0;

    new_pair(rt, NULL);
    start_script(rt, "import host; a = host.wait(2)");
    settle(rt);
    crank(2 * SECOND);
    in_thread(settle_elsewhere, &how);
    settle(rt);
    CHECK_STR(script_str("a"), "from afar");
    close_waiting(rt);
}

TEST(cancelling_the_waiter_leaves_the_deferred_alone)
{
    bine *rt = open_waiting();
    bine_micro *micro;

    new_pair(rt, NULL);
    CHECK_OK(bine_run_string(rt, "import host; a = host.wait()", "x", &micro));
    settle(rt);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_STR(script_str("a"), "BINE_ECANCELED");
    CHECK_EQ(bine_deferred_state(deferred), 0);
    bine_micro_release(micro);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    close_waiting(rt);
}

TEST(the_waiter_keeps_the_deferred_alive)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    start_script(rt, "import host; a = host.wait()");
    settle(rt);
    bine_deferred_release(deferred);
    deferred = NULL;
    CHECK_OK(bine_resolve(resolver, bine_value_i64(9)));
    settle(rt);
    CHECK_EQ(script_int("a"), 9);
    close_waiting(rt);
}

/* ---- cancelling ---- */

static void count_cancel(bine_resolver *r, void *user)
{
    CHECK(r == resolver);
    CHECK(user == &cancels);
    CHECK(bine_micro_current() == NULL);
    cancels++;
}

static void count_task(bine *rt, void *user)
{
    (void)rt;
    (void)user;
    task_status = 7;
}

TEST(cancelling_twice_disturbs_no_one_in_line)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_cancel(deferred));
    CHECK_OK(bine_post(rt, count_task, NULL, NULL));
    CHECK_OK(bine_deferred_cancel(deferred));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(task_status, 7);
    bine_resolver_drop(resolver);
    close_waiting(rt);
}

TEST(cancel_calls_the_canceller_once_in_a_tick_and_rejects)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    start_script(rt, "import host; a = host.wait()");
    settle(rt);
    CHECK_OK(bine_deferred_cancel(deferred));
    CHECK_OK(bine_deferred_cancel(deferred));
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(deferred), 0);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ECANCELED);
    CHECK_STR(script_str("a"), "BINE_ECANCELED");
    CHECK_STATUS(bine_deferred_cancel(deferred), BINE_ESETTLED);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_STATUS(bine_resolve(resolver, counted()), BINE_ESETTLED);
    CHECK_EQ(counted_destroyed(), 1);
    close_waiting(rt);
}

TEST(cancel_without_a_canceller_rejects)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_deferred_cancel(deferred));
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ECANCELED);
    bine_resolver_drop(resolver);
    close_waiting(rt);
}

static void settle_late_elsewhere(void *user)
{
    (void)user;
    CHECK_STATUS(bine_resolve(resolver, counted()), BINE_ESETTLED);
}

TEST(settling_after_the_cancel_on_another_thread_frees_the_value)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_deferred_cancel(deferred));
    settle(rt);
    in_thread(settle_late_elsewhere, NULL);
    CHECK_EQ(counted_destroyed(), 1);
    close_waiting(rt);
}

static void resolve_in_canceller(bine_resolver *r, void *user)
{
    (void)user;
    cancels++;
    CHECK_OK(bine_resolve(r, bine_value_str("what there was so far")));
}

TEST(a_result_given_in_the_canceller_wins)
{
    bine *rt = open_waiting();

    new_pair(rt, resolve_in_canceller);
    start_script(rt, "import host; a = host.wait()");
    settle(rt);
    CHECK_OK(bine_deferred_cancel(deferred));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(deferred), 1);
    CHECK_STR(script_str("a"), "what there was so far");
    close_waiting(rt);
}

static void reject_in_canceller(bine_resolver *r, void *user)
{
    (void)user;
    CHECK_OK(bine_reject(r, -2000, "stopped"));
}

TEST(a_rejection_given_in_the_canceller_wins)
{
    bine *rt = open_waiting();

    new_pair(rt, reject_in_canceller);
    CHECK_OK(bine_deferred_cancel(deferred));
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), -2000);
    close_waiting(rt);
}

TEST(a_result_before_the_cancels_turn_wins_and_the_canceller_is_not_called)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_cancel(deferred));
    CHECK_OK(bine_resolve(resolver, bine_value_i64(1)));
    settle(rt);
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(deferred), 1);
    close_waiting(rt);
}

TEST(a_result_on_its_way_from_another_thread_wins_over_a_cancel)
{
    bine *rt = open_waiting();
    int how = 0;

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_cancel(deferred));
    in_thread(settle_elsewhere, &how);
    settle(rt);
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(deferred), 1);
    close_waiting(rt);
}

TEST(cancelling_what_has_its_result_is_refused)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_resolve(resolver, bine_value_i64(1)));
    CHECK_STATUS(bine_deferred_cancel(deferred), BINE_ESETTLED);
    settle(rt);
    CHECK_EQ(cancels, 0);
    close_waiting(rt);
}

TEST(a_cancel_outstanding_at_the_close_frees_everything)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_cancel(deferred));
    bine_deferred_release(deferred);
    CHECK_OK(bine_close(rt));
    CHECK_EQ(cancels, 0); /* no callback of a closing runtime */
    CHECK(bine_resolve(resolver, counted()) != BINE_OK);
    CHECK_EQ(counted_destroyed(), 1);
}

/* ---- many ---- */

enum { MANY = 10000, THREADS = 8 };

static bine_resolver *many[MANY];

static void resolve_share(size_t index)
{
    for (size_t i = index; i < MANY; i += THREADS)
        CHECK_OK(bine_resolve(many[i], bine_value_i64((int64_t)i)));
}

static int64_t next_one;

/* The next of the ten thousand. */
static int take_one(bine_call *call, void *user)
{
    (void)user;
    return bine_defer(call, NULL, &many[next_one++]);
}

static void *resolve_all(void *user)
{
    (void)user;
    in_threads(THREADS, resolve_share);
    return NULL;
}

TEST(eight_threads_resolve_ten_thousand_deferreds)
{
    bine_tick_info info = {.struct_size = sizeof info};
    pthread_t thread;
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "take() -> Deferred[int]", take_one, NULL, NULL));
    start_script(rt, "import bine, host\n"
                     "got = []\n"
                     "all = [host.take() for i in range(10000)]\n"
                     "def go(first):\n"
                     "    for i in range(first, 10000, 100):\n"
                     "        got.append((i, all[i].wait()))\n"
                     "        all[i] = None\n"
                     "for i in range(100): bine.spawn(go, i)\n");
    settle(rt);
    CHECK_EQ(next_one, MANY);
    CHECK_EQ(pthread_create(&thread, NULL, resolve_all, NULL), 0);
    do
        CHECK_OK(bine_tick(rt, 0, &info));
    while (info.alive > 0);
    pthread_join(thread, NULL);
    CHECK_EQ(script_int("sum(a == b for a, b in got)"), MANY);
    close_runtime(rt);
}

static bine_deferred *loose[MANY];

TEST(ten_thousand_deferreds_are_settled_while_their_consumers_go)
{
    pthread_t thread;
    bine *rt = open_runtime();

    for (size_t i = 0; i < MANY; i++)
        CHECK_OK(bine_deferred_new(rt, NULL, NULL, &loose[i], &many[i]));
    CHECK_EQ(pthread_create(&thread, NULL, resolve_all, NULL), 0);
    for (size_t i = 0; i < MANY; i++) {
        if (i % 100 == 0)
            CHECK_OK(bine_tick(rt, 0, NULL));
        bine_deferred_release(loose[i]);
    }
    pthread_join(thread, NULL);
    close_runtime(rt);
}

/* ---- late, while it closes ---- */

static void post_nothing(bine *rt, void *user)
{
    (void)rt;
    (void)user;
    FAIL("no task runs at the close");
}

static void settle_too_late(void *user)
{
    (void)user;
    CHECK_STATUS(bine_resolve(resolver, counted()), BINE_ECLOSED);
}

static void settle_in_release(void *user)
{
    in_thread(settle_too_late, user);
}

static void post_elsewhere(void *user)
{
    CHECK_OK(bine_post(user, post_nothing, NULL, settle_in_release));
}

TEST(a_result_that_comes_while_it_closes_finds_everything_in_its_place)
{
    bine *rt = open_waiting();
    bine_deferred *both[2];
    bine_deferred *group;
    bine_resolver *r;

    new_pair(rt, NULL);
    both[0] = deferred;
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &both[1], &r));
    CHECK_OK(bine_all(rt, both, 2, &group));
    CHECK_OK(bine_reject(r, BINE_EIO, "no"));
    settle(rt); /* the group lets go of the other */
    CHECK(bine_deferred_error(group) != NULL);
    bine_deferred_release(group);
    bine_deferred_release(both[0]); /* its resolver alone holds it now */
    bine_deferred_release(both[1]);
    in_thread(post_elsewhere, rt); /* what is in the inbox at the close is released without a call */
    CHECK_OK(bine_close(rt));
    CHECK_EQ(counted_destroyed(), 1);
}

/* ---- time limits ---- */

static void stop_with_echo(bine_resolver *r, void *user)
{
    (void)user;
    cancels++;
    CHECK_OK(bine_reject(r, BINE_ECANCELED, "the canceller's words"));
}

static size_t timers(bine *rt)
{
    bine_stats stats = {.struct_size = sizeof stats};

    CHECK_OK(bine_get_stats(rt, &stats));
    return stats.timers;
}

TEST(a_time_limit_cancels_the_work_and_rejects_with_etimedout)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_timeout(deferred, 2 * SECOND));
    start_script(rt, "import host; a = host.wait()");
    crank(2 * SECOND - 1);
    settle(rt);
    CHECK_EQ(cancels, 0);
    crank(1);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ETIMEDOUT);
    CHECK_STR(script_str("a"), "BINE_ETIMEDOUT");
    CHECK_STATUS(bine_resolve(resolver, counted()), BINE_ESETTLED);
    CHECK_EQ(counted_destroyed(), 1);
    close_waiting(rt);
}

TEST(a_canceller_that_rejects_as_cancelled_says_etimedout_at_a_time_limit)
{
    bine *rt = open_waiting();

    new_pair(rt, stop_with_echo);
    CHECK_OK(bine_deferred_timeout(deferred, SECOND));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ETIMEDOUT);
    CHECK(bine_deferred_error(deferred) != NULL);
    CHECK_STR(bine_deferred_error(deferred)->type, "bine.Timeout");
    close_waiting(rt);
}

TEST(another_answer_in_the_canceller_wins_over_the_time_limit)
{
    bine *rt = open_waiting();

    new_pair(rt, resolve_in_canceller);
    CHECK_OK(bine_deferred_timeout(deferred, SECOND));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), 1);
    bine_deferred_release(deferred);
    new_pair(rt, reject_in_canceller);
    CHECK_OK(bine_deferred_timeout(deferred, SECOND));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), -2000);
    close_waiting(rt);
}

TEST(a_result_in_time_ends_the_time_limit)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_timeout(deferred, SECOND));
    CHECK_OK(bine_deferred_timeout(deferred, 2 * SECOND));
    CHECK_EQ(timers(rt), 2);
    CHECK_OK(bine_resolve(resolver, bine_value_i64(1)));
    CHECK_EQ(timers(rt), 0);
    crank(5 * SECOND);
    settle(rt);
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(deferred), 1);
    close_waiting(rt);
}

TEST(of_several_time_limits_the_earliest_counts)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_timeout(deferred, 3 * SECOND));
    CHECK_OK(bine_deferred_timeout(deferred, SECOND));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ETIMEDOUT);
    CHECK_EQ(timers(rt), 0);
    CHECK(bine_deferred_error(deferred) != NULL);
    bine_resolver_drop(resolver);
    close_waiting(rt);
}

TEST(a_time_limit_below_zero_is_over_at_once)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_timeout(deferred, -1));
    CHECK_EQ(bine_deferred_state(deferred), 0);
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ETIMEDOUT);
    CHECK(bine_deferred_error(deferred) != NULL);
    bine_resolver_drop(resolver);
    close_waiting(rt);
}

TEST(a_time_limit_of_all_the_time_there_is_never_ends)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_timeout(deferred, INT64_MAX));
    crank(INT64_MAX / 2);
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), 0);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    close_waiting(rt);
}

TEST(what_is_settled_takes_no_time_limit)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    CHECK_STATUS(bine_deferred_timeout(deferred, SECOND), BINE_ESETTLED);
    CHECK_STATUS(bine_deferred_timeout(NULL, SECOND), BINE_EINVAL);
    CHECK_EQ(timers(rt), 0);
    close_waiting(rt);
}

TEST(what_was_cancelled_before_its_time_limit_stays_cancelled)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_timeout(deferred, SECOND));
    CHECK_OK(bine_deferred_cancel(deferred));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ECANCELED);
    bine_resolver_drop(resolver);
    close_waiting(rt);
}

TEST(a_time_limit_does_its_work_when_nobody_holds_the_deferred)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_timeout(deferred, SECOND));
    bine_deferred_release(deferred);
    deferred = NULL;
    crank(SECOND);
    settle(rt);
    CHECK_EQ(cancels, 1);
    bine_resolver_drop(resolver);
    settle(rt);
    forget_errors();
    close_waiting(rt);
}

TEST(a_time_limit_outstanding_at_the_close_is_freed)
{
    bine *rt = open_waiting();

    new_pair(rt, count_cancel);
    CHECK_OK(bine_deferred_timeout(deferred, SECOND));
    CHECK_OK(bine_close(rt));
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ECLOSED);
    CHECK_STATUS(bine_resolve(resolver, counted()), BINE_ECLOSED);
    CHECK_EQ(counted_destroyed(), 1);
    bine_deferred_release(deferred);
}

/* ---- looking ---- */

TEST(peek_shows_what_it_was_settled_with)
{
    bine *rt = open_waiting();
    const bine_value *value = (const bine_value *)rt;
    const char *message = NULL;

    new_pair(rt, NULL);
    CHECK_EQ(bine_deferred_peek(deferred, &value, &message), 0);
    CHECK(value == NULL);
    CHECK_STR(message, "");
    CHECK_OK(bine_resolve(resolver, bine_value_str("found")));
    CHECK_EQ(bine_deferred_peek(deferred, &value, &message), 1);
    CHECK_STR(bine_value_as_str(value, NULL), "found");
    CHECK_STR(message, "");
    CHECK_EQ(bine_deferred_peek(deferred, NULL, NULL), 1);
    bine_deferred_release(deferred);
    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, -1500, "lost"));
    CHECK_EQ(bine_deferred_peek(deferred, &value, &message), -1500);
    CHECK(value == NULL);
    CHECK_STR(message, "lost");
    CHECK(!bine_deferred_handled(deferred)); /* looking is not taking */
    CHECK_EQ(bine_deferred_peek(NULL, &value, &message), BINE_EINVAL);
    CHECK(value == NULL);
    CHECK_STR(message, "");
    close_with_one_report(rt, "bine.HostError");
}

TEST(a_rejection_as_data_counts_as_taken_and_lives_as_long_as_the_deferred)
{
    bine *rt = open_waiting();
    const bine_error *error;

    new_pair(rt, NULL);
    CHECK(bine_deferred_error(deferred) == NULL); /* pending */
    CHECK(bine_deferred_error(NULL) == NULL);
    CHECK_OK(bine_reject(resolver, -1500, "lost"));
    CHECK(!bine_deferred_handled(deferred));
    error = bine_deferred_error(deferred);
    CHECK(error != NULL && error == bine_deferred_error(deferred));
    CHECK(bine_deferred_handled(deferred));
    CHECK_EQ(error->code, -1500);
    CHECK_STR(error->type, "bine.HostError");
    CHECK_STR(error->message, "lost");
    CHECK_EQ(error->frame_count, 0);
    settle(rt);
    CHECK_STR(error->message, "lost");
    close_waiting(rt);
}

TEST(a_resolved_deferred_has_no_error_and_is_not_handled)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    CHECK(bine_deferred_error(deferred) == NULL);
    CHECK(!bine_deferred_handled(deferred));
    CHECK(!bine_deferred_handled(NULL));
    close_waiting(rt);
}

TEST(each_hold_keeps_the_deferred)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK(bine_deferred_retain(deferred) == deferred);
    CHECK(bine_deferred_retain(NULL) == NULL);
    CHECK_OK(bine_resolve(resolver, counted()));
    bine_deferred_release(deferred);
    settle(rt);
    CHECK_EQ(counted_destroyed(), 0);
    CHECK_EQ(bine_deferred_state(deferred), 1);
    bine_deferred_release(deferred);
    CHECK_EQ(counted_destroyed(), 1);
    deferred = NULL;
    close_waiting(rt);
}

/* ---- rejections that nobody takes ---- */

TEST(a_rejection_nobody_took_is_reported_once_when_the_last_holder_goes)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    bine_deferred_retain(deferred);
    CHECK_OK(bine_reject(resolver, -1500, "lost"));
    settle(rt);
    bine_deferred_release(deferred);
    settle(rt);
    CHECK_EQ(error_count(), 0);
    bine_deferred_release(deferred);
    CHECK_EQ(error_count(), 0); /* nothing runs inside the call */
    settle(rt);
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_message(0), "lost");
    CHECK_HAS(error_text(0), "lost");
    forget_errors();
    deferred = NULL;
    close_waiting(rt);
}

TEST(a_rejection_that_comes_when_nobody_holds_it_is_reported_once)
{
    bine *rt = open_waiting();
    int how = 1;

    new_pair(rt, NULL);
    bine_deferred_release(deferred);
    CHECK_OK(bine_reject(resolver, -1500, "lost"));
    settle(rt);
    CHECK_EQ(error_count(), 1);
    new_pair(rt, NULL);
    bine_deferred_release(deferred);
    in_thread(settle_elsewhere, &how);
    settle(rt);
    settle(rt);
    CHECK_EQ(error_count(), 2);
    forget_errors();
    deferred = NULL;
    close_waiting(rt);
}

TEST(one_who_takes_it_late_spares_the_report)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, BINE_EIO, "lost"));
    settle(rt);
    settle(rt);
    CHECK(!bine_deferred_handled(deferred));
    run_script(rt, "import host; a = host.wait()");
    CHECK_STR(script_str("a"), "BINE_EIO");
    CHECK(bine_deferred_handled(deferred));
    close_waiting(rt);
}

TEST(a_waiter_that_gave_up_has_taken_nothing)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    start_script(rt, "import host; a = host.wait(1)");
    settle(rt);
    crank(SECOND);
    settle(rt);
    CHECK_OK(bine_reject(resolver, BINE_EIO, "lost"));
    CHECK(!bine_deferred_handled(deferred));
    close_with_one_report(rt, "bine.HostError");
}

TEST(what_was_cancelled_is_not_reported)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_deferred_cancel(deferred));
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ECANCELED);
    CHECK(!bine_deferred_handled(deferred));
    bine_resolver_drop(resolver);
    bine_deferred_release(deferred);
    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, BINE_ECANCELED, "by the host")); /* whoever it was */
    close_waiting(rt);
}

TEST(rejections_still_held_are_reported_at_the_close_once)
{
    bine *rt = open_waiting();
    const bine_error *error;
    bine_deferred *taken;
    bine_resolver *r;

    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, -1500, "lost"));
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &taken, &r));
    CHECK_OK(bine_reject(r, -1501, "seen"));
    error = bine_deferred_error(taken);
    CHECK_OK(bine_close(rt));
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_message(0), "lost");
    CHECK(bine_deferred_handled(deferred)); /* the host has been told */
    CHECK_EQ(bine_deferred_state(deferred), -1500);
    CHECK_STR(error->message, "seen"); /* lives as long as the deferred */
    bine_deferred_release(taken);
    bine_deferred_release(deferred);
    CHECK_EQ(error_count(), 1);
}

TEST(many_rejections_are_each_reported_once_in_their_order)
{
    bine *rt = open_waiting();
    char text[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "number %d", i);
        new_pair(rt, NULL);
        CHECK_OK(bine_reject(resolver, -1500, text));
        bine_deferred_release(deferred);
    }
    settle(rt);
    CHECK_EQ(error_count(), 1000);
    for (size_t i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "number %zu", i);
        CHECK_STR(error_message(i), text);
    }
    forget_errors();
    deferred = NULL;
    close_waiting(rt);
}

static void reject_when_told(bine *rt, const bine_error *error, void *user)
{
    (void)error;
    (*(int *)user)++;
    if (*(int *)user > 3)
        return;
    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, -1500, "again"));
    bine_deferred_release(deferred);
}

TEST(a_host_that_is_told_may_reject_another)
{
    int told = 0;
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.on_unhandled = reject_when_told;
    config.user = &told;
    rt = open_runtime_with(&config);
    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, -1500, "first"));
    bine_deferred_release(deferred);
    settle(rt);
    CHECK_EQ(told, 4);
    deferred = NULL;
    close_runtime(rt);
}

/* ---- at the close ---- */

static void reject_it(void *unused)
{
    (void)unused;
    CHECK_OK(bine_reject(resolver, BINE_EIO, "brought late"));
}

/* Closes it; what it tells then is to be one rejection. */
static void close_with_a_late_report(bine *rt, const char *message)
{
    CHECK_OK(bine_close(rt));
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_message(0), message);
    forget_errors();
}

TEST(a_rejection_that_no_tick_has_taken_in_is_reported_at_the_close)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    in_thread(reject_it, NULL);
    close_with_a_late_report(rt, "brought late");
    bine_deferred_release(deferred);
}

static int never_runs(bine_step *step, void *runs)
{
    (void)step;
    ++*(int *)runs;
    return BINE_OK;
}

TEST(a_rejection_whose_steps_have_not_run_is_reported_once_at_the_close)
{
    bine *rt = open_waiting();
    int runs = 0;

    new_pair(rt, NULL);
    for (int i = 0; i < 3; i++)
        CHECK_OK(bine_then(deferred, never_runs, never_runs, &runs, NULL, NULL));
    CHECK_OK(bine_reject(resolver, BINE_EIO, "too late for steps"));
    close_with_a_late_report(rt, "too late for steps");
    CHECK_EQ(runs, 0);
    bine_deferred_release(deferred);
}

TEST(an_error_that_was_asked_for_lives_as_long_as_its_deferred)
{
    bine *rt = open_waiting();

    new_pair(rt, NULL);
    CHECK_OK(bine_reject(resolver, BINE_EIO, "gone"));
    CHECK_STR(bine_deferred_error(deferred)->message, "gone");
    CHECK_OK(bine_close(rt));
    CHECK_STR(bine_deferred_error(deferred)->message, "gone");
    bine_deferred_release(deferred);
}
