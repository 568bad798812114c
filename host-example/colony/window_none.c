/* In place of window.c where there is no SDL2. */
#include "window.h"

#include <stdio.h>

window *window_open(const char *title, int width, int height, bool paced)
{
    (void)title, (void)width, (void)height, (void)paced;
    fputs("colony: --window: the colony was built without SDL2; install libsdl2-dev and build it again\n",
          stderr);
    return NULL;
}

void window_close(window *w)
{
    (void)w;
}

window_input window_next(window *w)
{
    (void)w;
    return (window_input){.act = WINDOW_NOTHING};
}

bool window_is_paced(const window *w)
{
    (void)w;
    return false;
}

int window_show(window *w, const canvas *c)
{
    (void)w, (void)c;
    return -1;
}
