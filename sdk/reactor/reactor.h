/* The contract of a reactor: it tells the runtime that time has passed, that a descriptor is
 * ready, that another thread has called. It only tells: callbacks given here record and
 * enqueue, and never run a script nor switch stacks. Owner thread, without the GIL, unless said
 * otherwise. */
#ifndef BINE_REACTOR_REACTOR_H
#define BINE_REACTOR_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bine__reactor bine__reactor;

/* A watch on a descriptor. */
typedef struct bine__watch bine__watch;
typedef void (*bine__on_readable)(int fd, void *user);

/* A reactor of its own on libuv. NULL: out of memory or descriptors. */
bine__reactor *bine__reactor_new(void);

/* Takes in what has happened, waiting for it up to `timeout_ns` (0: not at all, negative: without limit). */
void bine__reactor_poll(bine__reactor *reactor, int64_t timeout_ns);

/* Ends a poll that waits, or the next one. Thread: any, and safe in a signal handler. */
void bine__reactor_wake(bine__reactor *reactor);

/* Calls `on_readable` in a poll whenever `fd` is readable. NULL: not watchable. Does not keep
 * bine_run() going by itself. */
bine__watch *bine__reactor_watch(bine__reactor *reactor, int fd, bine__on_readable on_readable, void *user);
void bine__reactor_unwatch(bine__watch *watch);

/* False: the descriptors that the reactor stands on have been closed by somebody. */
bool bine__reactor_intact(const bine__reactor *reactor);

/* Makes new descriptors: after a fork, in the child, which shares them with its parent; or when
 * they have been closed. Watches stay and must be made anew, if their own descriptors are new. */
void bine__reactor_renew(bine__reactor *reactor);

/* All watches must be gone. */
void bine__reactor_free(bine__reactor *reactor);

#endif
