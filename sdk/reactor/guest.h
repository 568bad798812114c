/* Guest mode: a thread that waits for the runtime's descriptor and timers in the host's stead, and asks the
 * host for a turn. It runs no Python and takes no GIL. */
#ifndef BINE_REACTOR_GUEST_H
#define BINE_REACTOR_GUEST_H

#include <bine/runtime.h>
#include <stdbool.h>

typedef struct bine__guest bine__guest;

/* Starts the thread; it begins to wait with bine__guest_wait(). NULL: no memory, descriptors or threads.
 * Owner thread, as the others. */
bine__guest *bine__guest_new(bine_request_tick request, void *user);

/* A turn begins: the one that has been requested, if any was. */
void bine__guest_turn(bine__guest *guest);

/* Waits for `fd` to become readable, at most `timeout_ns` (negative: without limit), then calls `request`
 * once; in the place of what it waited for before. Does nothing while a turn is on request. */
void bine__guest_wait(bine__guest *guest, int fd, int64_t timeout_ns);

/* Whether `fd` is its own. */
bool bine__guest_owns(bine__guest *guest, int fd);

/* Ends the thread and waits for that; a `request` that is being made returns first. */
void bine__guest_free(bine__guest *guest);

/* In the child of a fork, where the thread is not. */
void bine__guest_forget(bine__guest *guest);

#endif
