/* The world in a window, with a panel for the agent that was clicked.
 *
 * It reads the world and the runtime, and prints on stdout what the person did. Owner thread, outside of
 * ticks. */
#ifndef COLONY_VIEW_H
#define COLONY_VIEW_H

#include "game.h"
#include "world.h"

#include <bine/bine.h>

typedef struct view view;

typedef struct view_config {
    const world *world; /* this and the next two: borrowed until view_close() */
    game *game;
    bine *rt;
    bool paced;   /* no more pictures than the screen can show */
    bool live;    /* there is an unfinished line on stdout, to be written over */
    bool quiet;   /* print nothing but what is asked for by `watch` */
    size_t watch; /* print where this agent is in each picture; SIZE_MAX: nobody */
} view_config;

/* NULL: after telling why on stderr. */
view *view_open(const view_config *config);
void view_close(view *v); /* NULL is fine */

/* Sees to what the person did. False: the window is to close. */
bool view_listen(view *v);

bool view_is_paused(const view *v);

/* Whether view_show() waits for the screen. */
bool view_is_paced(const view *v);

/* To be called before each step of the world. */
void view_step(view *v);

/* Shows the world `between` the last two steps, see scene.h. 0, or -1 after telling why not. */
int view_show(view *v, double between);

#endif
