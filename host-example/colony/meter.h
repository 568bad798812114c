/* How long things take: a histogram of durations that costs next to nothing to fill.
 *
 * It touches only itself. Buckets are 3 % wide, so a percentile is right to that much, from
 * nanoseconds to minutes; the worst is exact. */
#ifndef COLONY_METER_H
#define COLONY_METER_H

#include <stdint.h>

enum { METER_BUCKETS = 60 * 32 };

/* All zero is empty. */
typedef struct meter {
    uint64_t count;
    int64_t worst_ns;
    uint32_t buckets[METER_BUCKETS];
} meter;

void meter_clear(meter *m);
void meter_add(meter *m, int64_t duration_ns);

/* The duration that `share` (0.0 to 1.0) of all did not exceed; 0 when empty. */
int64_t meter_percentile_ns(const meter *m, double share);

#endif
