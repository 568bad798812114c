/* Clocks: a host's made one that never goes back, and game time, scaled and stepped. */
#include "check.h"

#include "core/clock.h"

#define SECOND INT64_C(1000000000)
#define END (INT64_MAX - 1) /* of time */

static int64_t raw;

static int64_t read_raw(void *user)
{
    CHECK(user == &raw);
    return raw;
}

static bine__clock clock_from(int64_t start)
{
    bine__clock clock;

    raw = start;
    bine__clock_start(&clock, read_raw, &raw);
    return clock;
}

static bine__gametime game_from(int64_t start, double scale)
{
    bine__gametime game;

    raw = start;
    bine__gametime_start(&game, scale, read_raw, &raw);
    return game;
}

/* ---- a clock ---- */

TEST(a_clock_counts_from_its_start)
{
    bine__clock clock = clock_from(-5 * SECOND);

    CHECK_EQ(bine__clock_read(&clock), 0);
    raw += 3;
    CHECK_EQ(bine__clock_read(&clock), 3);
    raw += SECOND;
    CHECK_EQ(bine__clock_read(&clock), SECOND + 3);
}

TEST(a_clock_that_goes_back_stands_still_and_goes_on_from_there)
{
    bine__clock clock = clock_from(1000);

    raw += 10;
    CHECK_EQ(bine__clock_read(&clock), 10);
    raw -= 3600 * SECOND;
    CHECK_EQ(bine__clock_read(&clock), 10);
    raw += 7;
    CHECK_EQ(bine__clock_read(&clock), 17);
}

TEST(a_clock_that_leaps_ahead_has_let_that_time_pass)
{
    bine__clock clock = clock_from(0);

    raw += 3600 * SECOND;
    CHECK_EQ(bine__clock_read(&clock), 3600 * SECOND);
}

TEST(a_clock_at_the_ends_of_its_numbers_stands_at_the_end_of_time)
{
    bine__clock clock = clock_from(INT64_MIN);

    raw = INT64_MAX;
    CHECK_EQ(bine__clock_read(&clock), END);
    raw = INT64_MIN;
    CHECK_EQ(bine__clock_read(&clock), END);
    raw = INT64_MAX;
    CHECK_EQ(bine__clock_read(&clock), END);
}

TEST(a_clock_may_swing_from_end_to_end)
{
    bine__clock clock = clock_from(INT64_MAX);

    raw = INT64_MIN;
    CHECK_EQ(bine__clock_read(&clock), 0);
    raw = INT64_MIN + 5;
    CHECK_EQ(bine__clock_read(&clock), 5);
    raw = -1;
    CHECK_EQ(bine__clock_read(&clock), INT64_MAX - 1);
}

TEST(the_monotonic_clock_does_not_go_back)
{
    int64_t last = bine__monotonic(NULL);

    CHECK(last > 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = bine__monotonic(NULL);

        CHECK(now >= last);
        last = now;
    }
}

/* ---- game time ---- */

TEST(game_time_is_its_clock_at_first)
{
    bine__gametime game = game_from(77, 1.0);

    CHECK_EQ(bine__gametime_read(&game), 0);
    raw += 12345;
    CHECK_EQ(bine__gametime_read(&game), 12345);
}

TEST(a_scale_counts_from_when_it_is_set)
{
    bine__gametime game = game_from(0, 1.0);

    raw += 100;
    bine__gametime_scale(&game, 2.0);
    CHECK_EQ(bine__gametime_read(&game), 100);
    raw += 100;
    CHECK_EQ(bine__gametime_read(&game), 300);
    bine__gametime_scale(&game, 0.5);
    raw += 100;
    CHECK_EQ(bine__gametime_read(&game), 350);
}

TEST(at_scale_zero_only_steps_move_it)
{
    bine__gametime game = game_from(0, 0.0);

    raw += SECOND;
    CHECK_EQ(bine__gametime_read(&game), 0);
    bine__gametime_step(&game, 16);
    CHECK_EQ(bine__gametime_read(&game), 16);
    bine__gametime_scale(&game, 1.0); /* what passed meanwhile is not caught up */
    CHECK_EQ(bine__gametime_read(&game), 16);
    raw += 4;
    CHECK_EQ(bine__gametime_read(&game), 20);
}

TEST(a_step_comes_on_top_of_what_has_passed)
{
    bine__gametime game = game_from(0, 1.0);

    raw += 10;
    bine__gametime_step(&game, 5);
    raw += 10;
    CHECK_EQ(bine__gametime_read(&game), 25);
    bine__gametime_step(&game, 0);
    CHECK_EQ(bine__gametime_read(&game), 25);
}

TEST(fractions_of_a_nanosecond_are_not_lost_over_a_million_readings)
{
    static const double scales[] = {0.25, 0.5, 1.0 / 3, 0.1, 0.001, 1.0 / 1024, 1.5, 2.7182818284590452};

    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        bine__gametime game = game_from(0, scales[i]);
        double exact;

        for (int n = 0; n < 1000000; n++) {
            raw += 7;
            bine__gametime_read(&game);
        }
        exact = 7000000 * scales[i];
        CHECK((double)game.now > exact - 1.5 && (double)game.now < exact + 0.5);
    }
}

TEST(it_never_goes_back_however_the_scale_changes)
{
    bine__gametime game = game_from(0, 1.0);
    int64_t last = 0;

    for (int n = 0; n < 100000; n++) {
        int64_t now;

        raw += n % 13 - 3;
        if (n % 7 == 0)
            bine__gametime_scale(&game, (n % 91) / 17.0);
        now = bine__gametime_read(&game);
        CHECK(now >= last);
        last = now;
    }
}

TEST(tiny_scales_get_there_in_the_end)
{
    bine__gametime game = game_from(0, 1e-9);

    raw += SECOND - 1;
    CHECK_EQ(bine__gametime_read(&game), 0);
    raw += 2;
    CHECK_EQ(bine__gametime_read(&game), 1);
    bine__gametime_scale(&game, 5e-324);
    raw += END / 2;
    CHECK_EQ(bine__gametime_read(&game), 1);
}

TEST(huge_scales_come_to_the_end_of_time_and_not_beyond)
{
    bine__gametime game = game_from(0, 1e9);

    raw += 1;
    CHECK_EQ(bine__gametime_read(&game), SECOND);
    raw += 3600 * SECOND;
    CHECK_EQ(bine__gametime_read(&game), END);
    raw += 1;
    CHECK_EQ(bine__gametime_read(&game), END);
    bine__gametime_step(&game, INT64_MAX);
    CHECK_EQ(bine__gametime_read(&game), END);
}

TEST(a_step_of_all_time_there_is)
{
    bine__gametime game = game_from(0, 1.0);

    raw += 5;
    bine__gametime_step(&game, INT64_MAX);
    CHECK_EQ(bine__gametime_read(&game), END);
}

/* ---- how long until ---- */

TEST(what_is_due_is_not_waited_for)
{
    bine__gametime game = game_from(0, 0.0);

    bine__gametime_step(&game, 10);
    CHECK_EQ(bine__gametime_until(&game, 10), 0);
    CHECK_EQ(bine__gametime_until(&game, 3), 0);
    CHECK_EQ(bine__gametime_until(&game, INT64_MIN), 0);
}

TEST(paused_it_is_waited_for_for_ever)
{
    bine__gametime game = game_from(0, 0.0);

    CHECK_EQ(bine__gametime_until(&game, 1), -1);
    CHECK_EQ(bine__gametime_until(&game, END), -1);
}

TEST(when_the_wait_is_over_it_is_due_at_every_scale)
{
    static const double scales[] = {1.0, 2.0, 0.5, 3.0, 1.0 / 3, 0.1, 1e-6, 60.0, 1e6, 1e9, 0.7};

    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        for (int64_t ns = 1; ns < 100 * SECOND; ns = ns * 3 + 1) {
            bine__gametime game = game_from(0, scales[i]);
            int64_t due;
            int64_t wait;

            raw += 5;
            due = bine__gametime_read(&game) + ns;
            wait = bine__gametime_until(&game, due);
            CHECK(wait > 0);
            raw += wait;
            CHECK(bine__gametime_until(&game, due) == 0);
        }
}

TEST(a_wait_is_no_longer_than_needed)
{
    bine__gametime game = game_from(0, 2.0);

    CHECK_EQ(bine__gametime_until(&game, 1000), 500);
    CHECK_EQ(bine__gametime_until(&game, 1001), 501);
    bine__gametime_scale(&game, 0.5);
    CHECK_EQ(bine__gametime_until(&game, 1000), 2000);
    bine__gametime_scale(&game, 1.0);
    CHECK_EQ(bine__gametime_until(&game, 1000), 1000);
}

TEST(a_wait_beyond_the_end_of_time_is_until_then)
{
    bine__gametime game = game_from(0, 1e-9);

    CHECK_EQ(bine__gametime_until(&game, END), END);
}
