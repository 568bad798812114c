/* Bine in an SDL2 application that waits for events. (One that draws frame by frame needs none of this: it
 * calls bine_tick() in each.)
 *
 *     bine_sdl_start(rt);
 *     while (!over && SDL_WaitEvent(&event)) {
 *         if (!bine_sdl_event(rt, &event)) // scripts have their turns here
 *             handle(&event);
 *     }
 *     bine_sdl_stop(rt);
 *
 * SDL waits for its own events and nothing else, so this is guest mode: a thread of the runtime's waits for
 * what scripts wait for, and puts an event into SDL's queue when a turn is wanted.
 *
 * This header and sdk/adapter/sdl2.c may be copied into a host. With CMake the file is compiled into whatever
 * links bine::sdl2; SDL2 is the host's to find, so that Bine itself does not need it:
 *
 *     pkg_check_modules(sdl2 REQUIRED IMPORTED_TARGET sdl2)
 *     target_link_libraries(host PRIVATE bine::bine bine::sdl2 PkgConfig::sdl2) */
#ifndef BINE_ADAPTER_SDL2_H
#define BINE_ADAPTER_SDL2_H

#include <SDL_events.h>
#include <bine/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From here on turns come by events. BINE_EIO: SDL's events are not initialised, or it has no number left for
 * one more kind (SDL_GetError()). Else as bine_guest_start(). Thread: owner, which is SDL's main thread. */
int bine_sdl_start(bine *rt);

/* Hand it every event. True: it was one that the runtime had put there, nothing for the host. Gives the
 * scripts a turn, bine_run(rt, BINE_RUN_NOWAIT), when one has been asked for; by an event of another kind
 * only where the one that asks could not be put into a full queue, or was flushed out of it. False, and no
 * turn, inside a tick, after bine_sdl_stop() and after bine_close(). Thread: owner. */
bool bine_sdl_event(bine *rt, const SDL_Event *event);

/* No more turns by events, until the next start. bine_close() does it, too. Thread: owner, outside of ticks.
 */
void bine_sdl_stop(bine *rt);

#ifdef __cplusplus
}
#endif
#endif
