/* What the scripts of an agent are about: the stack of each of its micro-threads, to look at.
 *
 * It asks the runtime and paints on a canvas that it is given. Owner thread, outside of ticks. */
#ifndef COLONY_PANEL_H
#define COLONY_PANEL_H

#include "canvas.h"
#include "world.h"

#include <bine/bine.h>
#include <stdio.h>

typedef struct panel panel;

/* What those micro-threads of `rt` stand at whose data is `data` (see game_agent_data()), the oldest first.
 * *out: new. A status of Bine. */
int panel_look(bine *rt, const void *data, panel **out);
void panel_free(panel *p); /* NULL is fine */

/* Paints it into the map, `width` times `height` pixels, on the side where `x` is not. */
void panel_paint(const panel *p, canvas *c, int width, int height, double x, const char *title,
                 const char *subtitle);

/* A line for each micro-thread. */
void panel_print(const panel *p, FILE *stream);

#endif
