#include "host.h"

#include <SDL.h>
#include <bine/adapter/sdl2.h>

int main(int argc, char **argv)
{
    SDL_Event event;
    bine *rt = open_host();

    (void)argc;
    (void)argv;
    SDL_Init(SDL_INIT_EVENTS);
    must(bine_sdl_start(rt));
    while (lives(rt) && SDL_WaitEvent(&event))
        bine_sdl_event(rt, &event);
    must(bine_close(rt));
    SDL_Quit();
    return 0;
}
