/* The contract of a reactor: it tells the runtime that time has passed, that a descriptor is
 * ready, that another thread has called. It only tells: what it calls records and enqueues, and
 * never runs a script nor switches stacks. Owner thread, without the GIL or with it, unless said
 * otherwise.
 *
 * There are three: a libuv loop of the runtime's own, a libuv loop of the host's (both uv.c), and
 * what a host supplies (custom.c). On the first the runtime polls, in bine_tick() and bine_run(); a
 * host may wait for its descriptor, or have guest.c do that. On the others the host polls. */
#ifndef BINE_REACTOR_REACTOR_H
#define BINE_REACTOR_REACTOR_H

#include <bine/reactor.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct bine__reactor bine__reactor;

/* One more event, of a watch by edges: the other end has closed its side, or there is an error or urgent
 * data. */
#define BINE__UNUSUAL 4u

/* The interest in one descriptor; one that has it embeds this. */
struct bine_watch {
    bine__reactor *reactor;
    int fd;
    unsigned events; /* asked for: BINE_READABLE, BINE_WRITABLE, BINE__UNUSUAL */
    bool edges;      /* see bine__watch_edges() */
    bool idle; /* with `edges`: nobody is to be told just now, and another watch may have the descriptor */
    void (*ready)(struct bine_watch *watch, unsigned events); /* only enqueues; may end the watch */
};

typedef struct bine__reactor_kind {
    /* Takes in what has happened, waiting for it up to `timeout_ns` (0: not at all, negative: without
     * limit). NULL: the host polls, and tells by itself. */
    void (*poll)(bine__reactor *reactor, int64_t timeout_ns);

    /* Ends a poll that waits, or the next one; a host that polls is to take a turn. Thread: any, and safe
     * in a signal handler. */
    void (*wake)(bine__reactor *reactor);

    /* Something has come up between two turns: the host is to take one, and its loop not to end before. */
    void (*ask)(bine__reactor *reactor);

    /* After each turn: the next one is wanted in `wait_ns` (0: at once, negative: when woken). `waits`: the
     * host's loop should not end, somebody waits. NULL: nobody has to know. */
    void (*plan)(bine__reactor *reactor, int64_t wait_ns, bool waits);

    /* watch->events is to become `events`; 0: it ends, and `watch` is not touched again. 0, or a negative
     * errno, such as EBADF; never for 0. */
    int (*watch)(bine__reactor *reactor, bine_watch *watch, unsigned events);

    /* The same, for bine__watch_edges(). NULL: it cannot. */
    int (*watch_edges)(bine__reactor *reactor, bine_watch *watch, unsigned events);

    /* Readable when poll() has something to take in, or a turn is wanted: from the first call on; the kernel
     * knows of all watches. Negative: there is none. */
    int (*poll_fd)(bine__reactor *reactor);

    /* Whether `fd` is one that it stands on: scripts must not close it. May be NULL. */
    bool (*owns)(const bine__reactor *reactor, int fd);

    /* False: a descriptor that it stands on has been closed by somebody, or was not to be had. Asked after
     * each turn. May be NULL. */
    bool (*intact)(const bine__reactor *reactor);

    /* Makes new descriptors: in the child of a fork, which shares them with its parent (`forked`), or when it
     * is not intact. Watches stay; those whose own descriptors have gone are told. 0, or a negative errno. */
    int (*renew)(bine__reactor *reactor, bool forked);

    /* All watches must be gone. */
    void (*free)(bine__reactor *reactor);
} bine__reactor_kind;

struct bine__reactor {
    const bine__reactor_kind *_Atomic kind; /* another one when the host begins to poll; read by any thread */
};

struct uv_loop_s;

/* NULL: errno says why. `turn(user)` is called on the host's loop when a turn is due. */
bine__reactor *bine__uv_new(void);
bine__reactor *bine__uv_on(struct uv_loop_s *loop, void (*turn)(void *user), void *user);
bine__reactor *bine__custom_new(const bine_reactor *host);

static inline void bine__reactor_wake(bine__reactor *reactor)
{
    reactor->kind->wake(reactor);
}

/* 0, or a negative errno, and then it is as it was. The other one tells the reactor though nothing changes:
 * the number may stand for another file by now. */
int bine__watch_set(bine_watch *watch, unsigned events);
int bine__watch_renew(bine_watch *watch, unsigned events);

/* As bine__watch_renew(), but what is watched stays watched, and is told of when it comes anew: to be asked
 * for once, by one who tries before he waits. When another watch takes the descriptor over, `events` and
 * `edges` are 0 again; when the descriptor is closed nobody says so. -ENOTSUP: this reactor cannot. */
int bine__watch_edges(bine_watch *watch, unsigned events);

#endif
