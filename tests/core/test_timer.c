/* The heap of timers. */
#include "fixture.h"

#include "core/timer.h"

/* A timer that notes when it fires. */
typedef struct bell {
    bine__timer timer;
    int number;
} bell;

static int rung[20000];
static size_t rung_count;

static void ring(bine__timer *timer)
{
    CHECK(timer->among == NULL); /* it may be set again */
    rung[rung_count++] = ((bell *)(void *)timer)->number;
}

static void set(bine__timers *timers, bell *b, int number, int64_t when)
{
    *b = (bell){.timer.fire = ring, .number = number};
    CHECK_EQ(bine__timer_set(timers, &b->timer, when), 0);
}

TEST(timers_fire_in_the_order_of_their_times)
{
    static const int64_t times[] = {50, 10, 40, 20, 30, -5, 60, 0};
    static const int order[] = {5, 7, 1, 3, 4, 2, 0, 6};
    bine__timers timers = {0};
    bell bells[8];

    CHECK_EQ(bine__timers_next(&timers), BINE__NEVER);
    for (int i = 0; i < 8; i++)
        set(&timers, &bells[i], i, times[i]);
    CHECK_EQ(bine__timers_next(&timers), -5);
    bine__timers_fire(&timers, 1000);
    CHECK_EQ(rung_count, 8);
    for (size_t i = 0; i < 8; i++)
        CHECK_EQ(rung[i], order[i]);
    CHECK_EQ(timers.count, 0);
    bine__timers_deinit(&timers);
}

TEST(only_those_that_are_due_fire)
{
    bine__timers timers = {0};
    bell bells[3];

    for (int i = 0; i < 3; i++)
        set(&timers, &bells[i], i, 10 * i);
    bine__timers_fire(&timers, 9);
    CHECK_EQ(rung_count, 1);
    CHECK_EQ(bine__timers_next(&timers), 10);
    bine__timers_fire(&timers, 10);
    CHECK_EQ(rung_count, 2);
    bine__timers_fire(&timers, 19);
    CHECK_EQ(rung_count, 2);
    bine__timers_deinit(&timers);
}

TEST(timers_of_one_instant_fire_in_the_order_they_were_set)
{
    enum { COUNT = 1000 };
    static bell bells[COUNT];
    bine__timers timers = {0};

    for (int i = 0; i < COUNT; i++)
        set(&timers, &bells[i], i, 7);
    bine__timer_stop(&bells[0].timer); /* what is set anew goes to the end */
    set(&timers, &bells[0], 0, 7);
    bine__timers_fire(&timers, 7);
    CHECK_EQ(rung_count, COUNT);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(rung[i], (i + 1) % COUNT);
    bine__timers_deinit(&timers);
}

TEST(a_stopped_timer_does_not_fire_and_the_others_keep_their_order)
{
    enum { COUNT = 100 };
    static bell bells[COUNT];
    bine__timers timers = {0};

    for (int i = 0; i < COUNT; i++)
        set(&timers, &bells[i], i, i * 37 % COUNT);
    for (int i = 0; i < COUNT; i += 3)
        bine__timer_stop(&bells[i].timer);
    bine__timers_fire(&timers, COUNT);
    CHECK_EQ(rung_count, COUNT - 34);
    for (size_t i = 0; i < rung_count; i++) {
        CHECK(rung[i] % 3 != 0);
        CHECK(i == 0 || rung[i - 1] * 37 % COUNT < rung[i] * 37 % COUNT);
    }
    bine__timers_deinit(&timers);
}

TEST(stopping_one_that_is_not_set_does_nothing)
{
    bine__timers timers = {0};
    bell b = {.timer.fire = ring};

    bine__timer_stop(&b.timer);
    set(&timers, &b, 1, 5);
    bine__timers_fire(&timers, 5);
    bine__timer_stop(&b.timer);
    CHECK_EQ(rung_count, 1);
    CHECK_EQ(timers.count, 0);
    bine__timers_deinit(&timers);
}

static bine__timers own_timers;

static void ring_and_set_again(bine__timer *timer)
{
    ring(timer);
    if (rung_count < 5)
        CHECK_EQ(bine__timer_set(&own_timers, timer, timer->when + 10), 0);
}

TEST(a_timer_can_set_itself_again_while_it_fires)
{
    bell b = {.timer.fire = ring_and_set_again, .number = 9};

    CHECK_EQ(bine__timer_set(&own_timers, &b.timer, 0), 0);
    bine__timers_fire(&own_timers, 25);
    CHECK_EQ(rung_count, 3);
    bine__timers_fire(&own_timers, 1000);
    CHECK_EQ(rung_count, 5);
    bine__timers_deinit(&own_timers);
}

/* ---- against a model: a plain array, searched from end to end ---- */

enum { BELLS = 300, OPERATIONS = 10000 };

typedef struct model {
    bool is_set;
    int64_t when;
    uint64_t seq;
} model;

static bell all[BELLS];
static model expected[BELLS];

/* Numerical Recipes' generator: the same numbers everywhere. */
static unsigned random_below(unsigned bound)
{
    static uint32_t state = 20080331;

    state = state * 1664525u + 1013904223u;
    return (state >> 8) % bound;
}

static int first_of_model(void)
{
    int first = -1;

    for (int i = 0; i < BELLS; i++)
        if (expected[i].is_set &&
            (first < 0 || expected[i].when < expected[first].when ||
             (expected[i].when == expected[first].when && expected[i].seq < expected[first].seq)))
            first = i;
    return first;
}

static void fire_both(bine__timers *timers, int64_t now)
{
    size_t before = rung_count;

    bine__timers_fire(timers, now);
    for (int first = first_of_model(); first >= 0 && expected[first].when <= now; first = first_of_model()) {
        CHECK(before < rung_count);
        CHECK_EQ(rung[before++], first);
        expected[first].is_set = false;
    }
    CHECK_EQ(before, rung_count);
}

TEST(ten_thousand_random_operations_agree_with_a_naive_model)
{
    bine__timers timers = {0};
    uint64_t seq = 0;
    int64_t now = 0;

    for (int i = 0; i < OPERATIONS; i++) {
        unsigned which = random_below(BELLS);
        unsigned what = random_below(10);
        int first;

        if (what < 6 && !expected[which].is_set) {
            int64_t when = now + random_below(200);

            set(&timers, &all[which], (int)which, when);
            expected[which] = (model){true, when, seq++};
        } else if (what < 8) {
            bine__timer_stop(&all[which].timer);
            expected[which].is_set = false;
        } else {
            fire_both(&timers, now += random_below(10));
        }
        first = first_of_model();
        CHECK_EQ(bine__timers_next(&timers), first < 0 ? BINE__NEVER : expected[first].when);
    }
    CHECK(rung_count > 500);
    fire_both(&timers, BINE__NEVER - 1);
    CHECK_EQ(timers.count, 0);
    bine__timers_deinit(&timers);
}
