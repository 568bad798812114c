/* Pipes: values in order, bounded, between micro-threads and from any thread. */
#include "counted.h"
#include "fixture.h"
#include "notes.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static bine *rt;
static bine_writer *writer;
static bine_reader *reader;

static void open_pipe(size_t capacity)
{
    rt = open_runtime();
    CHECK_OK(bine_pipe_new(rt, capacity, &writer, &reader));
}

static void close_pipe(void)
{
    bine_writer_release(writer);
    bine_reader_release(reader);
    settle(rt);
    close_runtime(rt);
}

static bine_micro *start(bine_micro_fn function, void *user)
{
    bine_micro *micro;

    CHECK_OK(bine_spawn(NULL, function, user, NULL, &micro));
    return micro;
}

/* put N: puts 1 to N, noting each. */
static int put_many(bine *unused, void *user, bine_value **result)
{
    (void)unused;
    (void)result;
    for (intptr_t i = 1; i <= (intptr_t)user; i++) {
        int status = bine_put(writer, bine_value_i64(i), -1);

        if (status != BINE_OK) {
            note("%s ", bine_err_name(status));
            return status == BINE_ECANCELED ? status : BINE_OK;
        }
        note("+%d ", (int)i);
    }
    return BINE_OK;
}

/* get N: gets N times, noting each. */
static int get_many(bine *unused, void *user, bine_value **result)
{
    (void)unused;
    (void)result;
    for (intptr_t i = 0; i < (intptr_t)user; i++) {
        bine_value *value;
        int status = bine_get(reader, -1, &value);

        if (status != BINE_OK) {
            note("%s ", bine_err_name(status));
            return status == BINE_ECANCELED ? status : BINE_OK;
        }
        note("-%d ", (int)bine_value_as_i64(value));
        bine_value_free(value);
    }
    return BINE_OK;
}

static void run(bine_micro_fn function, intptr_t count)
{
    bine_micro_release(start(function, (void *)count));
}

TEST(values_come_out_in_the_order_they_went_in)
{
    open_pipe(10);
    run(put_many, 4);
    run(get_many, 4);
    settle(rt);
    CHECK_STR(notes(), "+1 +2 +3 +4 -1 -2 -3 -4 ");
    close_pipe();
}

TEST(a_put_waits_for_room)
{
    open_pipe(2);
    run(put_many, 4);
    settle(rt);
    CHECK_STR(notes(), "+1 +2 ");
    CHECK_EQ(bine_reader_count(reader), 2);
    run(get_many, 4);
    settle(rt);
    CHECK_STR(notes(), "+1 +2 -1 -2 -3 +3 +4 -4 ");
    close_pipe();
}

TEST(with_no_capacity_a_put_is_done_when_its_value_is_taken)
{
    open_pipe(0);
    CHECK_STATUS(bine_try_put(writer, bine_value_i64(9)), BINE_EAGAIN);
    run(put_many, 2);
    settle(rt);
    CHECK_STR(notes(), "");
    CHECK_EQ(bine_reader_count(reader), 0);
    run(get_many, 1);
    settle(rt);
    CHECK_STR(notes(), "-1 +1 ");
    run(get_many, 2);
    settle(rt);
    CHECK_STR(notes(), "-1 +1 -2 +2 ");
    CHECK_OK(bine_try_put(writer, bine_value_i64(7))); /* one waits for it */
    CHECK_STATUS(bine_try_put(writer, bine_value_i64(8)), BINE_EAGAIN);
    settle(rt);
    CHECK_STR(notes(), "-1 +1 -2 +2 -7 ");
    close_pipe();
}

TEST(readers_are_served_in_the_order_they_came_and_no_late_one_steals)
{
    bine_value *value;

    open_pipe(4);
    run(get_many, 1);
    run(get_many, 1);
    settle(rt);
    CHECK_OK(bine_try_put(writer, bine_value_i64(1)));
    CHECK_OK(bine_try_put(writer, bine_value_i64(2)));
    CHECK_STATUS(bine_try_get(reader, &value), BINE_EAGAIN);
    CHECK(value == NULL);
    settle(rt);
    CHECK_STR(notes(), "-1 -2 ");
    close_pipe();
}

TEST(a_closed_pipe_is_drained_and_then_ends)
{
    bine_value *value;

    open_pipe(4);
    CHECK_OK(bine_try_put(writer, bine_value_i64(1)));
    CHECK_OK(bine_writer_close(writer));
    CHECK_OK(bine_writer_fail(writer, BINE_EIO, "too late")); /* the first close counts */
    CHECK_STATUS(bine_try_put(writer, bine_value_i64(2)), BINE_EEND);
    run(get_many, 2);
    settle(rt);
    CHECK_STR(notes(), "-1 BINE_EEND ");
    CHECK_STATUS(bine_try_get(reader, &value), BINE_EEND);
    close_pipe();
}

TEST(closing_wakes_all_that_wait)
{
    open_pipe(1);
    run(get_many, 1);
    run(get_many, 1);
    settle(rt);
    CHECK_OK(bine_writer_close(writer));
    settle(rt);
    CHECK_STR(notes(), "BINE_EEND BINE_EEND ");
    close_pipe();
}

TEST(blocked_writers_are_refused_when_the_pipe_is_closed)
{
    open_pipe(1);
    run(put_many, 3);
    settle(rt);
    CHECK_OK(bine_writer_close(writer));
    settle(rt);
    CHECK_STR(notes(), "+1 BINE_EEND ");
    run(get_many, 2);
    settle(rt);
    CHECK_STR(notes(), "+1 BINE_EEND -1 BINE_EEND "); /* what was refused was not delivered */
    close_pipe();
}

TEST(releasing_the_last_writer_closes)
{
    bine_writer *second;

    open_pipe(4);
    second = bine_writer_retain(writer);
    run(get_many, 2);
    settle(rt);
    bine_writer_release(second);
    settle(rt);
    CHECK_STR(notes(), "");
    CHECK_OK(bine_try_put(writer, bine_value_i64(5)));
    bine_writer_release(writer);
    writer = NULL;
    settle(rt);
    CHECK_STR(notes(), "-5 BINE_EEND ");
    close_pipe();
}

TEST(releasing_the_last_reader_ends_the_waits_of_readers)
{
    open_pipe(1);
    run(get_many, 2);
    run(get_many, 2);
    settle(rt);
    bine_reader_release(bine_reader_retain(reader));
    settle(rt);
    CHECK_STR(notes(), "");
    bine_reader_release(reader);
    reader = NULL;
    settle(rt);
    CHECK_STR(notes(), "BINE_EEND BINE_EEND ");
    close_pipe();
}

TEST(without_readers_puts_are_refused_and_values_freed)
{
    open_pipe(1);
    run(put_many, 3);
    CHECK_OK(bine_try_put(writer, counted()));
    settle(rt);
    bine_reader_release(reader);
    reader = NULL;
    CHECK_EQ(counted_destroyed(), 1);
    settle(rt);
    CHECK_STR(notes(), "BINE_EPIPE ");
    CHECK_STATUS(bine_try_put(writer, counted()), BINE_EPIPE);
    CHECK_EQ(counted_destroyed(), 2);
    close_pipe();
}

TEST(a_failed_pipe_hands_its_error_to_readers)
{
    bine_value *value;

    open_pipe(4);
    CHECK_STATUS(bine_writer_fail(writer, 3, NULL), BINE_EINVAL);
    CHECK_OK(bine_try_put(writer, bine_value_i64(1)));
    CHECK_OK(bine_writer_fail(writer, -2000, "the disk is full"));
    CHECK_OK(bine_try_get(reader, &value));
    bine_value_free(value);
    CHECK_STATUS(bine_try_get(reader, &value), -2000);
    CHECK_STR(bine_message(), "the disk is full");
    close_pipe();
}

static int time_out(bine *unused, void *user, bine_value **result)
{
    bine_value *value;

    (void)unused;
    (void)user;
    (void)result;
    note("%s ", bine_err_name(bine_get(reader, SECOND, &value)));
    CHECK_OK(bine_put(writer, bine_value_i64(1), SECOND));
    note("%s ", bine_err_name(bine_put(writer, counted(), SECOND)));
    return BINE_OK;
}

TEST(waits_time_out_and_what_was_not_put_is_freed)
{
    open_pipe(1);
    run(time_out, 0);
    run_to_end(rt);
    CHECK_STR(notes(), "BINE_ETIMEDOUT BINE_ETIMEDOUT ");
    CHECK_EQ(counted_destroyed(), 1);
    CHECK_EQ(bine_reader_count(reader), 1);
    close_pipe();
}

TEST(a_cancelled_put_was_not_delivered)
{
    bine_micro *putting;

    open_pipe(1);
    putting = start(put_many, (void *)2);
    settle(rt);
    CHECK_OK(bine_micro_cancel(putting));
    run(get_many, 2);
    settle(rt);
    CHECK_STR(notes(), "+1 BINE_ECANCELED -1 ");
    CHECK_OK(bine_try_put(writer, bine_value_i64(3)));
    settle(rt);
    CHECK_STR(notes(), "+1 BINE_ECANCELED -1 -3 ");
    bine_micro_release(putting);
    close_pipe();
}

TEST(a_reader_cancelled_after_it_was_served_has_its_value)
{
    bine_micro *getting;

    open_pipe(1);
    getting = start(get_many, (void *)2);
    settle(rt);
    CHECK_OK(bine_try_put(writer, bine_value_i64(6)));
    CHECK_OK(bine_micro_cancel(getting));
    settle(rt);
    CHECK_STR(notes(), "-6 BINE_ECANCELED ");
    bine_micro_release(getting);
    close_pipe();
}

TEST(bad_arguments_are_refused_by_name)
{
    bine_value *value;

    open_pipe(1);
    CHECK_STATUS(bine_try_put(NULL, counted()), BINE_EINVAL);
    CHECK_EQ(counted_destroyed(), 1);
    CHECK_STATUS(bine_try_put(writer, NULL), BINE_ENOMEM);
    CHECK_STATUS(bine_try_get(NULL, &value), BINE_EINVAL);
    CHECK_STATUS(bine_get(reader, -1, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_get(reader, -1, &value), BINE_EMICRO);
    CHECK_HAS(bine_message(), "bine_get");
    CHECK_OK(bine_put(writer, bine_value_nil(), -1)); /* there is room: nobody has to wait */
    CHECK_STATUS(bine_put(writer, counted(), -1), BINE_EMICRO);
    CHECK_EQ(counted_destroyed(), 2);
    CHECK_STATUS(bine_writer_close(NULL), BINE_EINVAL);
    bine_writer_release(NULL);
    bine_reader_release(NULL);
    close_pipe();
}

/* ---- from other threads ---- */

#define PRODUCERS 8

static int64_t items; /* of each producer */
static atomic_size_t running;

static void produce(size_t index)
{
    for (int64_t i = 0; i < items; i++) {
        int status;

        while ((status = bine_try_put(writer, bine_value_i64((int64_t)index * items + i))) == BINE_EAGAIN)
            sched_yield();
        CHECK_OK(status);
    }
    if (atomic_fetch_sub(&running, 1) == 1)
        CHECK_OK(bine_writer_close(writer));
}

static void *all_producers(void *unused)
{
    (void)unused;
    in_threads(PRODUCERS, produce);
    return NULL;
}

/* Gets until the end; each producer's values must come in its order. */
static int consume(bine *unused, void *user, bine_value **result)
{
    int64_t next[PRODUCERS] = {0};
    size_t *total = user;
    bine_value *value;
    int status;

    (void)unused;
    (void)result;
    while ((status = bine_get(reader, -1, &value)) == BINE_OK) {
        int64_t n = bine_value_as_i64(value);

        CHECK_EQ(n % items, next[n / items]);
        next[n / items]++;
        (*total)++;
        bine_value_free(value);
    }
    CHECK_EQ(status, BINE_EEND);
    return BINE_OK;
}

static void eight_producers(size_t capacity, int64_t each)
{
    pthread_t thread;
    size_t total = 0;

    items = each;
    open_pipe(capacity);
    atomic_store(&running, PRODUCERS);
    run(consume, (intptr_t)&total);
    CHECK_EQ(pthread_create(&thread, NULL, all_producers, NULL), 0);
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0); /* a lost wake-up would leave it waiting */
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(total, PRODUCERS * items);
    close_pipe();
}

TEST(eight_threads_put_and_each_keeps_its_order)
{
    eight_producers(64, 20000);
}

TEST(eight_threads_meet_one_reader)
{
    eight_producers(0, 40); /* few: all eight spin while one can put */
}

static void put_late(size_t index)
{
    int status;

    (void)index;
    do {
        status = bine_try_put(writer, counted());
        CHECK(status == BINE_OK || status == BINE_EAGAIN || status == BINE_ECLOSED);
    } while (status != BINE_ECLOSED);
}

static void *all_late(void *unused)
{
    (void)unused;
    in_threads(PRODUCERS, put_late);
    return NULL;
}

TEST(threads_that_put_while_the_runtime_closes_are_told)
{
    pthread_t thread;

    open_pipe(1000);
    CHECK_EQ(pthread_create(&thread, NULL, all_late, NULL), 0);
    while (bine_reader_count(reader) < 1000)
        CHECK_OK(bine_tick(rt, 0, NULL));
    CHECK_OK(bine_close(rt));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    bine_writer_release(writer);
    bine_reader_release(reader);
}

static void look_on(bine *unused, void *user)
{
    (void)unused;
    (void)user;
}

/* What it posts stands behind the pipe in the inbox. */
static void *put_until_refused(void *unused)
{
    int status = BINE_OK;

    (void)unused;
    while (status == BINE_OK) {
        status = bine_try_put(writer, counted());
        CHECK_OK(bine_post(rt, look_on, NULL, NULL));
    }
    CHECK_EQ(status, BINE_EPIPE);
    return NULL;
}

TEST(a_thread_puts_while_the_last_reader_goes)
{
    rt = open_runtime();
    for (int round = 0; round < 30; round++) {
        pthread_t thread;
        size_t count;

        CHECK_OK(bine_pipe_new(rt, BINE_UNBOUNDED, &writer, &reader));
        CHECK_EQ(pthread_create(&thread, NULL, put_until_refused, NULL), 0);
        while (bine_reader_count(reader) < 100)
            CHECK_OK(bine_tick(rt, -1, NULL));
        count = bine_reader_count(reader);
        while (bine_reader_count(reader) == count)
            sched_yield();
        bine_reader_release(reader);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        bine_writer_release(writer);
        settle(rt);
    }
    close_runtime(rt);
}

static void *fail_pipe(void *unused)
{
    (void)unused;
    CHECK_OK(bine_writer_fail(writer, -1001, "the cable is cut"));
    return NULL;
}

TEST(a_reader_that_looks_while_a_thread_fails_the_pipe_is_told_all)
{
    bine_value *value;
    pthread_t thread;
    int status;

    open_pipe(1);
    CHECK_EQ(pthread_create(&thread, NULL, fail_pipe, NULL), 0);
    do
        status = bine_try_get(reader, &value);
    while (status == BINE_EAGAIN);
    CHECK_EQ(status, -1001);
    CHECK_STR(bine_message(), "the cable is cut");
    CHECK_EQ(pthread_join(thread, NULL), 0);
    close_pipe();
}

static int get_in_a_millisecond(bine *unused, void *user, bine_value **result)
{
    bine_value *value;
    int status = bine_get(reader, MS, &value);

    (void)unused;
    (void)user;
    (void)result;
    note("%s %d", bine_err_name(status), (int)bine_value_as_i64(value));
    bine_value_free(value);
    return BINE_OK;
}

static void put_seven(void *unused)
{
    (void)unused;
    CHECK_OK(bine_try_put(writer, bine_value_i64(7)));
}

TEST(what_a_thread_has_left_for_a_reader_is_got_though_its_time_is_over)
{
    open_pipe(0);
    run(get_in_a_millisecond, 0);
    settle(rt);
    in_thread(put_seven, NULL); /* the reader's wait ends in the tick that brings it */
    crank(MS);
    settle(rt);
    CHECK_STR(notes(), "BINE_OK 7");
    close_pipe();
}

static int get_one_late(bine *unused, void *user, bine_value **result)
{
    CHECK_OK(bine_sleep(MS));
    return get_many(unused, user, result);
}

TEST(values_that_threads_left_come_before_those_put_on_the_owners_thread)
{
    open_pipe(2);
    run(get_one_late, 2);
    run(get_many, 1);
    settle(rt);
    in_thread(put_seven, NULL);
    CHECK_OK(bine_try_put(writer, bine_value_i64(8)));
    CHECK_OK(bine_try_put(writer, bine_value_i64(9)));
    settle(rt);
    CHECK_STR(notes(), "-7 ");
    crank(MS);
    settle(rt);
    CHECK_STR(notes(), "-7 -8 -9 ");
    close_pipe();
}
