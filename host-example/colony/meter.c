/* A bucket for each of 32 steps of each power of two. See meter.h. */
#include "meter.h"

#include <string.h>

enum { STEPS = 32 };

static int bucket_of(uint64_t ns)
{
    int shift = 0;

    while ((ns >> shift) >= 2 * STEPS)
        shift++;
    return shift * STEPS + (int)(ns >> shift);
}

static int64_t bucket_middle(int bucket)
{
    int shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
    int64_t low = (int64_t)(bucket - shift * STEPS) << shift;

    return low + (((int64_t)1 << shift) >> 1);
}

void meter_clear(meter *m)
{
    memset(m, 0, sizeof *m);
}

void meter_add(meter *m, int64_t duration_ns)
{
    int64_t ns = duration_ns > 0 ? duration_ns : 0;

    m->count++;
    m->buckets[bucket_of((uint64_t)ns)]++;
    if (ns > m->worst_ns)
        m->worst_ns = ns;
}

int64_t meter_percentile_ns(const meter *m, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)m->count);
    uint64_t seen = 0;

    if (m->count == 0)
        return 0;
    for (int b = 0; b < METER_BUCKETS; b++) {
        seen += m->buckets[b];
        if (seen > wanted)
            return bucket_middle(b) < m->worst_ns ? bucket_middle(b) : m->worst_ns;
    }
    return m->worst_ns;
}
