/* A window that shows a canvas, and what the person does with it: all of SDL is in here.
 *
 * Owner thread. Tells what goes wrong on stderr. Built without SDL2, window_open() says just that. */
#ifndef COLONY_WINDOW_H
#define COLONY_WINDOW_H

#include "canvas.h"

typedef struct window window;

typedef enum window_act {
    WINDOW_NOTHING,
    WINDOW_CLICK,
    WINDOW_ESCAPE,
    WINDOW_SPACE,
    WINDOW_CLOSE /* or Q */
} window_act;

typedef struct window_input {
    window_act act;
    double x, y; /* of a click, in pixels of the canvas */
} window_input;

/* For canvases of that size. `paced`: window_show() may wait until the screen is ready for a picture. NULL:
 * after telling why. */
window *window_open(const char *title, int width, int height, bool paced);
void window_close(window *w); /* NULL is fine */

/* What the person did next; WINDOW_NOTHING: nothing since. Never waits. */
window_input window_next(window *w);

/* Whether window_show() waits for the screen. */
bool window_is_paced(const window *w);

/* 0, or -1 after telling why not. */
int window_show(window *w, const canvas *c);

#endif
