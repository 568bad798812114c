/* When the frames of the world are due: sixty a second, however often somebody looks.
 *
 * It touches only itself; what time it is, it is told. */
#ifndef COLONY_PACE_H
#define COLONY_PACE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pace {
    int64_t start_ns;
    uint64_t frames; /* since then */
} pace;

void pace_begin(pace *p, int64_t now_ns);

/* Whether a frame is due; it counts as made then. After a long hold-up the lost time stays lost. */
bool pace_due(pace *p, int64_t now_ns);

/* When the next one is. */
int64_t pace_next_ns(const pace *p);

/* How far it is from the last frame to the next one, 0.0 to 1.0. */
double pace_between(const pace *p, int64_t now_ns);

/* Time stood still since `then_ns`. */
void pace_hold(pace *p, int64_t then_ns, int64_t now_ns);

/* So many frames in time. */
int64_t pace_frames_ns(uint64_t frames);

#endif
