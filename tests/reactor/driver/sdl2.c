/* bine/adapter/sdl2.h: the host waits for SDL's events, and turns come by those. */
#include "driven.h"
#include "host_calls.h"

#include <SDL.h>
#include <bine/adapter/sdl2.h>
#include <unistd.h>

/* Without a window SDL_WaitEvent() looks into its queue every millisecond. */
const driver_pace driver_rests = DRIVER_LOOKS_UP;

static bine *scripts;
static Uint32 bell; /* the kind of event that tells of calls */
static pid_t process;

/* SDL would turn SIGINT into an event. Cases say how signals are handled, in the host's stead. */
void driver_configure(bine_config *config)
{
    (void)config;
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    CHECK_EQ(SDL_Init(SDL_INIT_EVENTS), 0);
    bell = SDL_RegisterEvents(1);
    CHECK(bell != (Uint32)-1);
}

void driver_start(bine *runtime)
{
    scripts = runtime;
    process = getpid();
    CHECK_OK(bine_sdl_start(runtime));
}

/* The runtime's thread is not there in the child of a fork. */
static void start_again(void)
{
    if (process != getpid())
        driver_start(scripts);
}

static void handle(const SDL_Event *event)
{
    if (bine_sdl_event(scripts, event))
        CHECK(event->type != bell);
    else if (event->type == bell)
        host_calls_run();
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user)) {
        SDL_Event event;

        start_again();
        CHECK_EQ(SDL_WaitEvent(&event), 1);
        handle(&event);
    }
}

void driver_run_to_end(void)
{
    run_until_over();
}

void driver_call(void (*function)(void *user), void *user)
{
    SDL_Event event = {.type = bell};

    host_calls_add(function, user);
    CHECK_EQ(SDL_PushEvent(&event), 1);
}

/* Events of the runtime's may be left, and do nothing. */
void driver_close(void)
{
    SDL_Event event;

    while (SDL_PollEvent(&event))
        handle(&event);
    SDL_Quit();
}
