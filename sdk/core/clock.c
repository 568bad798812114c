#include "core/clock.h"

#include <math.h>
#include <time.h>

/* As far as any of them goes: 292 years, with room for what is added to it. */
#define END_OF_TIME (INT64_MAX - 1)

int64_t bine__monotonic(void *user)
{
    struct timespec t;

    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t later(int64_t now, int64_t ns)
{
    return now > END_OF_TIME - ns ? END_OF_TIME : now + ns;
}

void bine__clock_start(bine__clock *clock, bine_clock read, void *user)
{
    *clock = (bine__clock){.read = read, .user = user, .raw = read(user)};
}

int64_t bine__clock_read(bine__clock *clock)
{
    int64_t raw = clock->read(clock->user);
    int64_t passed;

    if (__builtin_sub_overflow(raw, clock->raw, &passed))
        passed = raw > clock->raw ? INT64_MAX : 0;
    if (passed > 0)
        clock->now = later(clock->now, passed);
    clock->raw = raw;
    return clock->now;
}

void bine__gametime_start(bine__gametime *game, double scale, bine_clock read, void *user)
{
    *game = (bine__gametime){.scale = scale};
    bine__clock_start(&game->base, read, user);
}

static int64_t scaled(bine__gametime *game, int64_t ns)
{
    double exact = (double)ns * game->scale + game->rest;
    double whole = floor(exact);

    if (whole >= (double)END_OF_TIME)
        return END_OF_TIME;
    game->rest = exact - whole;
    return (int64_t)whole;
}

int64_t bine__gametime_read(bine__gametime *game)
{
    int64_t base = bine__clock_read(&game->base);
    int64_t passed = base - game->base_seen;

    game->base_seen = base;
    game->now = later(game->now, game->scale == 1.0 ? passed : scaled(game, passed));
    return game->now;
}

void bine__gametime_scale(bine__gametime *game, double scale)
{
    bine__gametime_read(game);
    game->scale = scale;
}

void bine__gametime_step(bine__gametime *game, int64_t ns)
{
    bine__gametime_read(game);
    game->now = later(game->now, ns);
}

int64_t bine__gametime_until(bine__gametime *game, int64_t when)
{
    int64_t now = bine__gametime_read(game);
    double wait;

    if (when <= now)
        return 0;
    if (game->scale == 1.0)
        return when - now;
    if (game->scale == 0.0)
        return -1;
    wait = ceil((double)(when - now) / game->scale);
    return wait >= (double)END_OF_TIME ? END_OF_TIME : (int64_t)wait;
}
