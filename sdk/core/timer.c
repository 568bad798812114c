#include "core/timer.h"

#include <stdlib.h>

/* Four children per node: half the levels of a binary heap, and they share a cache line. */
#define ARITY 4

static bool before(const bine__timer *a, const bine__timer *b)
{
    if (a->when != b->when)
        return a->when < b->when;
    return a->seq < b->seq;
}

static void place(bine__timers *timers, size_t index, bine__timer *timer)
{
    timers->heap[index] = timer;
    timer->slot = index;
}

static void sift_up(bine__timers *timers, size_t index, bine__timer *timer)
{
    while (index > 0) {
        size_t parent = (index - 1) / ARITY;

        if (!before(timer, timers->heap[parent]))
            break;
        place(timers, index, timers->heap[parent]);
        index = parent;
    }
    place(timers, index, timer);
}

static size_t earliest_child(const bine__timers *timers, size_t index)
{
    size_t first = index * ARITY + 1;
    size_t last = first + ARITY < timers->count ? first + ARITY : timers->count;
    size_t best = first;

    for (size_t child = first + 1; child < last; child++)
        if (before(timers->heap[child], timers->heap[best]))
            best = child;
    return best;
}

static void sift_down(bine__timers *timers, size_t index, bine__timer *timer)
{
    while (index * ARITY + 1 < timers->count) {
        size_t child = earliest_child(timers, index);

        if (!before(timers->heap[child], timer))
            break;
        place(timers, index, timers->heap[child]);
        index = child;
    }
    place(timers, index, timer);
}

static int grow(bine__timers *timers)
{
    size_t capacity = timers->capacity == 0 ? 64 : timers->capacity * 2;
    bine__timer **heap = realloc(timers->heap, capacity * sizeof(bine__timer *));

    if (heap == NULL)
        return -1;
    timers->heap = heap;
    timers->capacity = capacity;
    return 0;
}

int bine__timer_set(bine__timers *timers, bine__timer *timer, int64_t when)
{
    if (timers->count == timers->capacity && grow(timers) != 0)
        return -1;
    timer->when = when;
    timer->seq = timers->seq++;
    timer->among = timers;
    sift_up(timers, timers->count++, timer);
    return 0;
}

void bine__timer_stop(bine__timer *timer)
{
    bine__timers *timers = timer->among;
    size_t index = timer->slot;
    bine__timer *last;

    if (timers == NULL)
        return;
    timer->among = NULL;
    last = timers->heap[--timers->count];
    if (last == timer)
        return;
    if (index > 0 && before(last, timers->heap[(index - 1) / ARITY]))
        sift_up(timers, index, last);
    else
        sift_down(timers, index, last);
}

void bine__timers_fire(bine__timers *timers, int64_t now)
{
    while (timers->count > 0 && timers->heap[0]->when <= now) {
        bine__timer *timer = timers->heap[0];

        bine__timer_stop(timer);
        timer->fire(timer);
    }
}

void bine__timers_deinit(bine__timers *timers)
{
    free(timers->heap);
    *timers = (bine__timers){0};
}
