/* The world as a picture, seen from above, with a legend below.
 *
 * It reads the world and paints on canvases of its own. Between two steps of the world it shows agents on
 * their way: `between` is 0.0 where they were before the last step, 1.0 where they are. */
#ifndef COLONY_SCENE_H
#define COLONY_SCENE_H

#include "canvas.h"
#include "world.h"

#define SCENE_NOBODY SIZE_MAX

typedef struct scene scene;

/* Pictures of `w`, or of another world of that size. `zoom`: pixels for a unit of the world; `scale`: of the
 * text. NULL: out of memory. */
scene *scene_new(const world *w, double zoom, int scale);
void scene_free(scene *s);

/* To be called before each step: where all are now. */
void scene_remember(scene *s, const world *w);

/* Paints it; `chosen` (or SCENE_NOBODY) is pointed out. Borrowed, to be painted over, until the next call. */
canvas *scene_paint(scene *s, const world *w, double between, size_t chosen);

/* Where an agent is shown, in pixels; and who is shown at a pixel, or SCENE_NOBODY. */
void scene_place(const scene *s, const world *w, size_t agent, double between, double *x, double *y);
size_t scene_at(const scene *s, const world *w, double between, double x, double y);

#endif
