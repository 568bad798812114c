/* Clocks: a host's, which may jump, made into one that never goes back; and game time, which the host
 * scales and steps. Both count ns from the start of the runtime. Owner thread only. */
#ifndef BINE_CORE_CLOCK_H
#define BINE_CORE_CLOCK_H

#include <bine/runtime.h>

typedef struct bine__clock {
    bine_clock read;
    void *user;
    int64_t raw; /* what `read` said last */
    int64_t now; /* how far it has come; while `read` goes back, it stands still */
} bine__clock;

/* CLOCK_MONOTONIC. */
int64_t bine__monotonic(void *user);

void bine__clock_start(bine__clock *clock, bine_clock read, void *user);
int64_t bine__clock_read(bine__clock *clock);

/* Time that passes `scale` times as fast as a clock. */
typedef struct bine__gametime {
    bine__clock base;
    int64_t base_seen;
    int64_t now;
    double scale;
    double rest; /* the fraction of a nanosecond that `now` lacks */
} bine__gametime;

void bine__gametime_start(bine__gametime *game, double scale, bine_clock read, void *user);
int64_t bine__gametime_read(bine__gametime *game);

/* From now on. */
void bine__gametime_scale(bine__gametime *game, double scale);
/* Ahead at once. */
void bine__gametime_step(bine__gametime *game, int64_t ns);

/* How long the base takes until game time has reached `when`; -1: for ever. */
int64_t bine__gametime_until(bine__gametime *game, int64_t when);

#endif
