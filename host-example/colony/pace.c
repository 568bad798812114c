/* Frames counted from a start, so that being late does not add up. See pace.h. */
#include "pace.h"

#include "world.h"

enum { SECOND_NS = 1000000000, BEHIND_MOST_NS = 250000000 };

int64_t pace_frames_ns(uint64_t frames)
{
    uint64_t seconds = frames / WORLD_FRAMES_PER_SECOND;
    uint64_t rest = frames % WORLD_FRAMES_PER_SECOND;

    return (int64_t)(seconds * SECOND_NS + rest * SECOND_NS / WORLD_FRAMES_PER_SECOND);
}

void pace_begin(pace *p, int64_t now_ns)
{
    *p = (pace){.start_ns = now_ns};
}

int64_t pace_next_ns(const pace *p)
{
    return p->start_ns + pace_frames_ns(p->frames + 1);
}

bool pace_due(pace *p, int64_t now_ns)
{
    int64_t behind = now_ns - pace_next_ns(p);

    if (behind < 0)
        return false;
    if (behind > BEHIND_MOST_NS)
        pace_begin(p, now_ns);
    else
        p->frames++;
    return true;
}

double pace_between(const pace *p, int64_t now_ns)
{
    int64_t last = p->start_ns + pace_frames_ns(p->frames);
    double between = (double)(now_ns - last) / (double)pace_frames_ns(1);

    if (between < 0.0)
        return 0.0;
    return between < 1.0 ? between : 1.0;
}

void pace_hold(pace *p, int64_t then_ns, int64_t now_ns)
{
    p->start_ns += now_ns - then_ns;
}
