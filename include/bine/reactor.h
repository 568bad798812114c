/* A loop of the host's own: what the runtime needs of it, when there is neither a libuv loop to share nor a
 * descriptor to wait for. Hand it in as bine_config.reactor; nothing of libuv is used then.
 *
 * The host's loop gives a turn when the timer is due, when it has said bine_watch_ready(), and when it was
 * woken: bine_run(rt, BINE_RUN_NOWAIT), or bine_tick() where that is a frame. All calls are made on the owner
 * thread but wake(); they may come from inside a turn, and must not give one themselves. See
 * docs/guide/loops.md for a complete one. */
#ifndef BINE_REACTOR_H
#define BINE_REACTOR_H

#include <bine/common.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BINE_READABLE 1u /* or at its end, or broken: reading does not wait */
#define BINE_WRITABLE 2u /* or broken */

/* The runtime's interest in one descriptor. There is one for each at a time. */
typedef struct bine_watch bine_watch;

typedef struct bine_reactor {
    size_t struct_size; /* set by bine_reactor_init() */

    /* Nanoseconds, never negative, on a clock that does not go back (one that does is taken to stand still).
     * It is the clock of the runtime where the config names no other. */
    int64_t (*now)(void *user);

    /* Give a turn when now() has reached `when_ns`; takes the place of the timer before. -1: none. */
    void (*timer)(void *user, int64_t when_ns);

    /* Watch `fd`: call bine_watch_ready() whenever it is ready for one of `events` (bits; as long as it is,
     * level-triggered). Called again with others they change; with 0 it ends, and `watch` must not be used
     * after. Returns 0, or a negative errno (-EPERM: not of a kind that can be watched). */
    int (*watch)(void *user, int fd, unsigned events, bine_watch *watch);

    /* Give a turn soon: ends the loop's wait, or the next one. Thread: any, and in a signal handler; a
     * write to an eventfd or a pipe will do. */
    void (*wake)(void *user);

    /* In the child of an os.fork() that a script has made: descriptors of the loop's own (epoll) are shared
     * with the parent, and to be made anew, with what they watch. May be NULL. */
    void (*forked)(void *user);

    void *user; /* handed to all; borrowed */
} bine_reactor;

/* Sets struct_size, all else to NULL. Thread: any. */
BINE_API void bine_reactor_init(bine_reactor *reactor);

/* The descriptor of `watch` is ready for `events`; both bits for an error. Only records: the next turn does
 * the rest. May call reactor.watch() for this watch before it returns. Thread: owner, outside of ticks. */
BINE_API void bine_watch_ready(bine_watch *watch, unsigned events);

#ifdef __cplusplus
}
#endif
#endif
