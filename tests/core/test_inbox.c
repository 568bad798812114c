/* The inbox: jobs from other threads. */
#include "fixture.h"

#include "core/inbox.h"

enum { PRODUCERS = 8, JOBS = 10000 };

typedef struct parcel {
    bine__job job; /* first */
    size_t producer;
    size_t number;
} parcel;

static parcel parcels[PRODUCERS][JOBS];
static bine__inbox *inbox;
static atomic_size_t wakes;
static atomic_size_t refused;
static atomic_size_t ended;

static void count_wake(void *user)
{
    CHECK(user == &wakes);
    atomic_fetch_add(&wakes, 1);
}

static void open_inbox(void)
{
    inbox = bine__inbox_new(count_wake, &wakes);
    CHECK(inbox != NULL);
}

static void push_all(size_t producer)
{
    for (size_t i = 0; i < JOBS; i++) {
        parcels[producer][i] = (parcel){.producer = producer, .number = i};
        if (!bine__inbox_push(inbox, &parcels[producer][i].job))
            atomic_fetch_add(&refused, 1);
    }
    atomic_fetch_add(&ended, 1);
}

static size_t next_number[PRODUCERS];

/* Each producer's parcels come in their order, none is missing. */
static size_t unpack(bine__queue *queue)
{
    size_t count = 0;

    for (bine__job *job = bine__queue_pop(queue); job != NULL; job = bine__queue_pop(queue)) {
        const parcel *p = (const parcel *)(const void *)job;

        CHECK_EQ(p->number, next_number[p->producer]);
        next_number[p->producer]++;
        count++;
    }
    CHECK_EQ(bine__queue_count(queue), 0);
    return count;
}

TEST(nothing_is_lost_and_each_producer_keeps_its_order)
{
    bine__queue queue = {0};

    open_inbox();
    in_threads(PRODUCERS, push_all);
    bine__inbox_drain(inbox, &queue);
    CHECK_EQ(bine__queue_count(&queue), PRODUCERS * JOBS);
    CHECK_EQ(unpack(&queue), PRODUCERS * JOBS);
    CHECK_EQ(atomic_load(&refused), 0);
    CHECK_EQ(atomic_load(&wakes), 1); /* it was never empty again */
    bine__inbox_release(inbox);
}

static void push_or_drain(size_t index)
{
    bine__queue queue = {0};
    size_t got = 0;

    if (index > 0) {
        push_all(index - 1);
        return;
    }
    while (got < PRODUCERS * JOBS) {
        bine__inbox_drain(inbox, &queue);
        got += unpack(&queue);
    }
}

TEST(draining_meanwhile_gets_every_job_once)
{
    open_inbox();
    in_threads(PRODUCERS + 1, push_or_drain);
    for (size_t i = 0; i < PRODUCERS; i++)
        CHECK_EQ(next_number[i], JOBS);
    CHECK(atomic_load(&wakes) >= 1);
    bine__inbox_release(inbox);
}

TEST(what_is_drained_goes_to_the_end_of_the_queue)
{
    static parcel early = {.number = 1};
    static parcel late = {.number = 2};
    bine__queue queue = {0};

    open_inbox();
    bine__queue_push(&queue, &early.job);
    CHECK(bine__inbox_push(inbox, &late.job));
    bine__inbox_drain(inbox, &queue);
    CHECK(bine__queue_pop(&queue) == &early.job);
    CHECK(bine__queue_pop(&queue) == &late.job);
    CHECK(bine__queue_pop(&queue) == NULL);
    bine__inbox_release(inbox);
}

TEST(each_filling_of_an_empty_inbox_wakes_once)
{
    static parcel p[3];
    bine__queue queue = {0};

    open_inbox();
    for (size_t round = 1; round <= 3; round++) {
        for (size_t i = 0; i < 3; i++)
            CHECK(bine__inbox_push(inbox, &p[i].job));
        CHECK_EQ(atomic_load(&wakes), round);
        bine__inbox_drain(inbox, &queue);
        CHECK_EQ(bine__queue_count(&queue), 3 * round);
    }
    bine__inbox_release(inbox);
}

TEST(a_closed_inbox_refuses_and_does_not_wake)
{
    static parcel inside;
    static parcel outside;
    bine__queue queue = {0};

    open_inbox();
    CHECK(bine__inbox_push(inbox, &inside.job));
    bine__inbox_close(inbox, &queue);
    CHECK_EQ(bine__queue_count(&queue), 1);
    CHECK(queue.head == &inside.job);
    CHECK(!bine__inbox_push(inbox, &outside.job));
    CHECK_EQ(atomic_load(&wakes), 1);
    bine__inbox_release(inbox);
}

static void push_or_close(size_t index)
{
    bine__queue queue = {0};

    if (index > 0) {
        push_all(index - 1);
        return;
    }
    while (atomic_load(&ended) == 0 && atomic_load(&wakes) == 0)
        ;
    bine__inbox_close(inbox, &queue);
    unpack(&queue);
}

TEST(closing_meanwhile_takes_or_refuses_each_job)
{
    size_t taken = 0;

    open_inbox();
    in_threads(PRODUCERS + 1, push_or_close);
    for (size_t i = 0; i < PRODUCERS; i++)
        taken += next_number[i];
    CHECK_EQ(taken + atomic_load(&refused), PRODUCERS * JOBS);
    bine__inbox_release(inbox);
}

static void release_inbox(size_t index)
{
    (void)index;
    bine__inbox_release(inbox);
}

TEST(the_last_hold_frees_it_on_whatever_thread)
{
    open_inbox();
    for (size_t i = 1; i < PRODUCERS; i++)
        bine__inbox_retain(inbox);
    in_threads(PRODUCERS, release_inbox); /* a sanitizer sees when it is freed twice, or not at all */
}
