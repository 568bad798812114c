/* Turns by events of SDL's: see bine/adapter/sdl2.h. */
#include <bine/adapter/sdl2.h>
#include <bine/runtime.h>
#include <SDL.h>

/* There is one runtime in a process, and one queue. */
static Uint32 kind; /* of our events; 0: not registered */

/* A turn has been asked for and was not given. This is what counts; the event only ends SDL's wait. */
static SDL_atomic_t wanted;

/* On the runtime's thread. Not SDL_PushEvent(), which would ask a filter of the host's there. A queue that is
 * full takes no event, but then the host has others to handle, see is_lost(). */
static void ask_for_turn(void *user)
{
    SDL_Event event = {.user = {.type = kind, .timestamp = SDL_GetTicks()}};

    (void)user;
    SDL_AtomicSet(&wanted, 1);
    SDL_PeepEvents(&event, 1, SDL_ADDEVENT, 0, 0);
}

int bine_sdl_start(bine *rt)
{
    if (SDL_WasInit(SDL_INIT_EVENTS) == 0) {
        SDL_SetError("bine_sdl_start: SDL_Init() comes first");
        return BINE_EIO;
    }
    if (kind == 0)
        kind = SDL_RegisterEvents(1);
    if (kind == (Uint32)-1) {
        kind = 0;
        SDL_SetError("bine_sdl_start: SDL has no kind of event left");
        return BINE_EIO;
    }
    return bine_guest_start(rt, ask_for_turn, NULL);
}

/* A turn is wanted, and no event of ours will come to tell. */
static bool is_lost(void)
{
    return SDL_AtomicGet(&wanted) != 0 && !SDL_HasEvent(kind);
}

static void turn(bine *rt)
{
    int status;

    if (SDL_AtomicSet(&wanted, 0) == 0)
        return; /* it was given before this event's time */
    status = bine_run(rt, BINE_RUN_NOWAIT);
    if (status == BINE_EBUSY)
        SDL_AtomicSet(&wanted, 1);
    else if (status < 0 && status != BINE_ECLOSED)
        SDL_LogError(SDL_LOG_CATEGORY_APPLICATION, "bine_sdl_event: %s", bine_message());
}

bool bine_sdl_event(bine *rt, const SDL_Event *event)
{
    bool ours = kind != 0 && event->type == kind;

    if (ours || is_lost())
        turn(rt);
    return ours;
}

void bine_sdl_stop(bine *rt)
{
    if (bine_guest_stop(rt) == BINE_OK) {
        SDL_AtomicSet(&wanted, 0);
        SDL_FlushEvent(kind);
    }
}
