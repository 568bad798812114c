/* The any-thread side of deferreds: eight threads at once that settle, drop and post, also while the
 * runtime shuts down and closes. */
#include "counted.h"
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { THREADS = 8, EACH = 2000, ALL = THREADS * EACH };

static bine *runtime;
static bine_deferred *deferreds[ALL];
static bine_resolver *resolvers[ALL];
static atomic_int posted;
static atomic_int post_releases;

/* Runs in_threads(THREADS, run) beside the owner. */
static void (*beside)(size_t index);
static pthread_t leader;
static atomic_bool all_ended;

static void *lead(void *unused)
{
    (void)unused;
    in_threads(THREADS, beside);
    atomic_store(&all_ended, true);
    return NULL;
}

static void begin(void (*run)(size_t index))
{
    beside = run;
    atomic_store(&all_ended, false);
    CHECK_EQ(pthread_create(&leader, NULL, lead, NULL), 0);
}

static void join(void)
{
    CHECK_EQ(pthread_join(leader, NULL), 0);
}

static void tick_until_all_ended(void)
{
    while (!atomic_load(&all_ended))
        CHECK_OK(bine_tick(runtime, 0, NULL));
    join();
    settle(runtime);
}

static void make_all(void)
{
    runtime = open_runtime();
    for (size_t i = 0; i < ALL; i++)
        CHECK_OK(bine_deferred_new(runtime, NULL, NULL, &deferreds[i], &resolvers[i]));
}

/* ---- order ---- */

static int64_t steps_of[THREADS]; /* how many of each producer's have come */
static int64_t tasks_of[THREADS];

static int step_arrives(bine_step *step, void *user)
{
    size_t at = (size_t)((bine_deferred **)user - deferreds);

    CHECK((at % 3 == 0) == (bine_step_code(step) == BINE_OK));
    CHECK_EQ(at % EACH, steps_of[at / EACH]++);
    return BINE_OK;
}

/* What its thread settled before it posted is settled. */
static void task_arrives(bine *rt, void *user)
{
    size_t at = (size_t)((bine_deferred **)user - deferreds);

    CHECK(rt == runtime);
    CHECK(bine_deferred_state(deferreds[at]) != 0);
    CHECK_EQ(at % EACH, tasks_of[at / EACH]++);
}

static void release_post(void *user)
{
    (void)user;
    atomic_fetch_add(&post_releases, 1);
}

static int settle_one(size_t at)
{
    switch (at % 3) {
    case 0:
        return bine_resolve(resolvers[at], counted());
    case 1:
        return bine_reject(resolvers[at], -1500, "from afar");
    default:
        bine_resolver_drop(resolvers[at]);
        return BINE_OK;
    }
}

static void settle_and_post(size_t index)
{
    for (size_t i = 0; i < EACH; i++) {
        size_t at = index * EACH + i;

        CHECK_OK(settle_one(at));
        CHECK_OK(bine_post(runtime, task_arrives, &deferreds[at], release_post));
    }
}

TEST(what_one_thread_sends_arrives_in_its_order)
{
    make_all();
    for (size_t i = 0; i < ALL; i++)
        CHECK_OK(bine_then(deferreds[i], step_arrives, step_arrives, &deferreds[i], NULL, NULL));
    begin(settle_and_post);
    tick_until_all_ended();
    for (size_t i = 0; i < THREADS; i++) {
        CHECK_EQ(steps_of[i], EACH);
        CHECK_EQ(tasks_of[i], EACH);
    }
    CHECK_EQ(atomic_load(&post_releases), ALL);
    for (size_t i = 0; i < ALL; i++)
        bine_deferred_release(deferreds[i]);
    CHECK_EQ(counted_destroyed(), counted_made());
    close_runtime(runtime);
}

/* ---- wake-ups ---- */

enum { ROUNDS = 300 };

static _Atomic(bine_resolver *) asked[THREADS];
static atomic_bool no_more;

/* Answers what it is asked, at once. */
static void answer(size_t index)
{
    while (!atomic_load(&no_more)) {
        bine_resolver *r = atomic_exchange(&asked[index], NULL);

        if (r == NULL)
            sched_yield();
        else
            CHECK_OK(bine_resolve(r, bine_value_i64((int64_t)index)));
    }
}

/* ask(index) -> int: the thread of that index answers. */
static int ask(bine_call *call, void *user)
{
    size_t index = (size_t)bine_arg_i64(call, 0);
    bine_resolver *r;

    (void)user;
    CHECK_OK(bine_defer(call, NULL, &r));
    CHECK(atomic_exchange(&asked[index], r) == NULL);
    return BINE_OK;
}

TEST(no_wake_up_of_a_loop_that_sleeps_is_lost)
{
    runtime = open_runtime();
    CHECK_OK(bine_def(runtime, "host", "ask(index: int) -> int", ask, NULL, NULL));
    start_script(runtime, "import bine, host\n"
                          "def go(index, rounds):\n"
                          "    return sum(host.ask(index) == index for _ in range(rounds))\n"
                          "count = go(0, 300)\n" /* alone: the loop sleeps each time */
                          "count += sum(t.join() for t in [bine.spawn(go, i, 300) for i in range(8)])\n");
    begin(answer);
    CHECK_EQ(bine_run(runtime, BINE_RUN_DEFAULT), 0); /* a wake-up lost is a hang */
    atomic_store(&no_more, true);
    join();
    CHECK_EQ(script_int("count"), ROUNDS * (THREADS + 1));
    close_runtime(runtime);
}

/* ---- while consumers go, cancel, follow ---- */

static void settle_some_late(size_t index)
{
    for (size_t i = index; i < ALL; i += THREADS) {
        int status = settle_one(i);

        CHECK(status == BINE_OK || status == BINE_ESETTLED);
    }
}

static int pass(bine_step *step, void *user)
{
    (void)user;
    return bine_step_code(step); /* the same again */
}

TEST(consumers_cancel_follow_group_and_let_go_meanwhile)
{
    enum { SPAN = 8 };

    make_all();
    begin(settle_some_late);
    for (size_t i = 0; i + SPAN <= ALL; i += SPAN) {
        bine_deferred *group;
        bine_deferred *next;

        CHECK_OK(bine_settle(runtime, &deferreds[i], SPAN, &group));
        CHECK_OK(bine_then(deferreds[i], NULL, pass, NULL, NULL, &next));
        bine_deferred_timeout(deferreds[i + 1], i % 3 == 0 ? -1 : SECOND);
        bine_deferred_cancel(deferreds[i + 2]);
        if (i % 5 == 0)
            bine_deferred_cancel(group);
        if (i % 7 == 0)
            bine_deferred_cancel(next);
        if (i % (SPAN * 4) == 0)
            CHECK_OK(bine_tick(runtime, 0, NULL));
        for (size_t k = 0; k < SPAN; k++)
            bine_deferred_release(deferreds[i + k]);
        bine_deferred_release(group);
        bine_deferred_release(next);
    }
    tick_until_all_ended();
    crank(SECOND);
    settle(runtime);
    CHECK_EQ(counted_destroyed(), counted_made());
    for (size_t i = 0; i < error_count(); i++)
        CHECK_STR(error_type(i), "bine.HostError"); /* of `next`, which nobody took */
    forget_errors();
    close_runtime(runtime);
}

/* ---- who drops a value last ---- */

static _Atomic(bine_value *) shared[ALL];

static void resolve_with_things(size_t index)
{
    for (size_t i = index; i < ALL; i += THREADS) {
        bine_value *list = bine_value_list();

        CHECK_OK(bine_value_append(list, counted()));
        CHECK_OK(bine_value_append(list, counted()));
        CHECK_OK(bine_resolve(resolvers[i], list));
    }
}

/* Frees what the owner hands over, as the owner lets go of the deferreds. */
static void free_shares(size_t index)
{
    for (size_t i = index; i < ALL; i += THREADS) {
        bine_value *value;

        while ((value = atomic_exchange(&shared[i], NULL)) == NULL)
            sched_yield();
        CHECK(is_counted(bine_value_at(value, 0)));
        bine_value_free(value);
    }
}

static int wait_for_shares(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    for (size_t i = 0; i < ALL; i++) {
        bine_value *value;

        CHECK_OK(bine_wait(deferreds[i], -1, &value));
        atomic_store(&shared[i], value);
        bine_deferred_release(deferreds[i]); /* either side may be the last */
    }
    return BINE_OK;
}

TEST(a_value_is_freed_once_whichever_thread_drops_it_last)
{
    bine_tick_info info = {.struct_size = sizeof info, .alive = 1};

    make_all();
    begin(resolve_with_things);
    CHECK_OK(bine_spawn(NULL, wait_for_shares, NULL, NULL, NULL));
    while (!atomic_load(&all_ended))
        CHECK_OK(bine_tick(runtime, 0, &info));
    join();
    begin(free_shares);
    while (info.alive > 0 || !atomic_load(&all_ended))
        CHECK_OK(bine_tick(runtime, 0, &info));
    join();
    CHECK_EQ(counted_made(), 2 * ALL);
    CHECK_EQ(counted_destroyed(), 2 * ALL);
    close_runtime(runtime);
}

/* ---- while it ends ---- */

static atomic_int late;

static void settle_to_the_end(size_t index)
{
    for (size_t i = index; i < ALL; i += THREADS) {
        int status = settle_one(i);

        CHECK(status == BINE_OK || status == BINE_ESETTLED || status == BINE_ECLOSED);
        if (status == BINE_ECLOSED)
            atomic_fetch_add(&late, 1);
        if (i % 64 == index)
            sched_yield();
    }
}

static int do_nothing(bine_step *step, void *user)
{
    (void)step;
    (void)user;
    return BINE_OK;
}

static int step_releases;

static void release_step(void *user)
{
    (void)user;
    step_releases++;
}

/* Some waited for by steps, some in groups, some held by their resolver alone, though they once had
 * been waited for. */
static void attach_all(void)
{
    for (size_t i = 0; i < ALL; i += 8) {
        bine_deferred *group;
        bine_deferred *first;

        for (size_t k = 0; k < 4; k++)
            CHECK_OK(bine_then(deferreds[i + k], do_nothing, do_nothing, NULL, release_step, NULL));
        CHECK_OK(bine_then(deferreds[i], NULL, NULL, NULL, NULL, &first));
        CHECK_OK(bine_any(runtime, &deferreds[i + 4], 4, &group));
        CHECK_OK(bine_deferred_cancel(first)); /* leaves the line */
        bine_deferred_release(first);
        bine_deferred_release(group);
        for (size_t k = 0; k < 8; k++)
            bine_deferred_release(deferreds[i + k]);
    }
}

TEST(threads_settle_while_it_shuts_down_and_closes)
{
    make_all();
    attach_all();
    start_script(runtime, "import bine\n"
                          "bine.sleep(1000)\n");
    settle(runtime);
    begin(settle_to_the_end);
    for (int i = 0; i < 20; i++)
        CHECK_OK(bine_tick(runtime, 0, NULL));
    CHECK_OK(bine_shutdown(runtime, 0));
    while (bine_close(runtime) == BINE_EBUSY)
        CHECK_OK(bine_tick(runtime, 0, NULL));
    join();
    CHECK_EQ(step_releases, ALL / 2);
    CHECK_EQ(counted_destroyed(), counted_made());
}

static void post_task(bine *rt, void *user)
{
    (void)rt;
    (void)user;
    atomic_fetch_add(&posted, 1);
}

static atomic_int posts;
static atomic_int refused;

/* Until it is refused. */
static void post_to_the_end(size_t index)
{
    (void)index;
    for (;;) {
        int status = bine_post(runtime, post_task, NULL, release_post);

        atomic_fetch_add(&posts, 1);
        if (status == BINE_ECLOSED)
            break;
        CHECK_OK(status);
        sched_yield();
    }
    atomic_fetch_add(&refused, 1);
}

/* At the close, when the inbox no longer takes anything: nobody may post when bine_close() has returned. */
static void join_posters(void *user)
{
    (void)user;
    join();
}

static void post_the_join(void *user)
{
    CHECK_OK(bine_post(user, post_task, NULL, join_posters));
}

TEST(posts_that_come_while_it_closes_are_refused_and_released)
{
    runtime = open_runtime();
    begin(post_to_the_end);
    while (atomic_load(&posts) < 100)
        CHECK_OK(bine_tick(runtime, 0, NULL));
    in_thread(post_the_join, runtime);
    CHECK_OK(bine_close(runtime));
    CHECK_EQ(atomic_load(&refused), THREADS);
    CHECK_EQ(atomic_load(&post_releases), atomic_load(&posts));
    CHECK(atomic_load(&posted) <= atomic_load(&posts));
}

static void settle_after(size_t index)
{
    for (size_t i = index; i < ALL; i += THREADS) {
        switch (i % 3) {
        case 0:
            CHECK_STATUS(bine_resolve(resolvers[i], counted()), BINE_ECLOSED);
            break;
        case 1:
            CHECK_STATUS(bine_reject(resolvers[i], -1500, "late"), BINE_ECLOSED);
            break;
        default:
            bine_resolver_drop(resolvers[i]);
        }
    }
}

TEST(resolvers_are_consumed_after_the_close_while_handles_go)
{
    make_all();
    CHECK_OK(bine_close(runtime));
    begin(settle_after);
    for (size_t i = 0; i < ALL; i++)
        bine_deferred_release(deferreds[i]);
    join();
    CHECK_EQ(counted_destroyed(), counted_made());
}
