/* Timers: what is to happen when a clock has reached a time. A heap of nodes that their users
 * own; setting and stopping never allocate but for the heap's own growth. Owner thread only. */
#ifndef BINE_CORE_TIMER_H
#define BINE_CORE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bine__timer {
    int64_t when;                            /* ns, on the heap's clock */
    uint64_t seq;                            /* timers of one instant fire in the order they were set */
    struct bine__timers *among;              /* NULL: not set */
    size_t slot;                             /* its place in the heap */
    void (*fire)(struct bine__timer *timer); /* enqueues; runs no script */
} bine__timer;

typedef struct bine__timers {
    bine__timer **heap;
    size_t count;
    size_t capacity;
    uint64_t seq;
} bine__timers;

#define BINE__NEVER INT64_MAX

/* `timer` must not be set (among is NULL); its fields but `fire` are filled in. 0, or -1 when out of memory.
 */
int bine__timer_set(bine__timers *timers, bine__timer *timer, int64_t when);

/* No effect on one that is not set. */
void bine__timer_stop(bine__timer *timer);

/* Fires all that are due at `now`. */
void bine__timers_fire(bine__timers *timers, int64_t now);

/* When the next one is due, or BINE__NEVER. */
static inline int64_t bine__timers_next(const bine__timers *timers)
{
    return timers->count == 0 ? BINE__NEVER : timers->heap[0]->when;
}

void bine__timers_deinit(bine__timers *timers);

#endif
