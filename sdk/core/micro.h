/* The moving part of a micro-thread: its stack, its place in the scheduler, what it waits for.
 * Knows CPython's thread state, but no Python type: what a micro-thread runs, returns and is
 * called lies above (sdk/python/microthread.c). Owner thread, GIL held, unless said otherwise. */
#ifndef BINE_CORE_MICRO_H
#define BINE_CORE_MICRO_H

#include "core/sched.h"
#include "core/stack.h"
#include "core/timer.h"

#include <Python.h>
#include <bine/common.h>
#include <bine/micro.h>

struct bine__pystate;
struct bine__wait;

/* Why a wait must end, or be refused, before what it waits for has come. */
enum {
    BINE__CANCEL = 1, /* stays: every later wait is refused too */
    BINE__EXIT = 2,   /* stays: the runtime is shutting down */
    BINE__THROW = 4,  /* once: the layer above has an exception to raise */
    BINE__SIGNAL = 8  /* once: run Python's signal handlers */
};

typedef struct bine__micro {
    bine__job job;                     /* its resumption */
    void *sp;                          /* its C stack while suspended */
    const struct bine__pystate *saved; /* lies on that stack */
    bine__slot *slot;                  /* NULL: not started, done, or the host */
    bine__slot *loan;                  /* the larger stack it is on for a while, or NULL */
    struct bine__wait *wait;           /* what it is parked on */
    bine *rt;
    PyObject *context;         /* to start with; NULL: empty */
    struct bine__micro *older; /* all that live, in the order of spawning */
    struct bine__micro *newer;
    uint64_t id;
    int recursion_cap;
    uint8_t pending; /* BINE__CANCEL and so on */
    uint8_t no_wait; /* counts reasons why it must not wait now; the host's is never 0 */
    bool told;       /* what is pending has been raised in it before */
    bool done;       /* it has ended, or was never spawned */
} bine__micro;

typedef enum bine__outcome {
    BINE__WAITING,
    BINE__ARRIVED, /* what was waited for is there */
    BINE__TIMED_OUT,
    BINE__INTERRUPTED, /* see bine__micro.pending */
    BINE__NO_MEMORY    /* for a timer: it did not wait */
} bine__outcome;

/* All that wait for one thing, in the order they came. */
typedef struct bine__waiters {
    struct bine__wait *first;
    struct bine__wait *last;
} bine__waiters;

/* One wait; lives on the waiting stack. */
typedef struct bine__wait {
    bine__micro *micro;
    bine__waiters *among; /* NULL: waits for time alone */
    struct bine__wait *next;
    struct bine__wait *prev;
    bine__timer timer;
    bine__outcome outcome;
} bine__wait;

/* Makes a new micro-thread ready to run for the first time; the caller fills in context before. BINE_ECLOSED
 * when the runtime is shutting down. */
int bine__micro_spawn(bine *rt, bine__micro *micro);

bine_micro_state bine__micro_state(const bine__micro *micro);

/* Whether the running code may suspend: BINE_OK, BINE_EMICRO (no micro-thread runs), BINE_EBUSY
 * (a wait is refused here), BINE_ECANCELED (pending says why). */
int bine__can_wait(const bine *rt);

/* Whether bine__can_wait() would say BINE_OK, in few instructions. */
#define BINE__MAY_WAIT(rt) ((rt) != NULL && ((rt)->current->pending | (rt)->current->no_wait) == 0)

/* Suspends the running micro-thread until it is woken, the runtime's clock reaches `deadline` or
 * something is pending. Only after bine__can_wait(). `among` may be NULL. */
bine__outcome bine__park(bine *rt, bine__waiters *among, int64_t deadline);

/* Wakes the one that waits longest, or all of them. They run at their turn. */
void bine__wake_all(bine__waiters *among);

/* Gives the others a turn. Only after bine__can_wait(). */
void bine__yield(bine *rt);

/* Something is pending: ends its wait. */
void bine__micro_interrupt(bine__micro *micro, unsigned pending);

/* Calls fn(arg) on a stack of the default class lent to the running micro-thread, which may
 * suspend meanwhile. Plain calls when it has such a stack already, and outside of any. 0, or
 * -1 when there is no stack to be had: fn was not called. */
int bine__on_large_stack(bine *rt, void (*fn)(void *), void *arg);

/* bine__job.run of every micro-thread: runs it from the host's stack, until something leads
 * back there. */
void bine__micro_resume(bine *rt, bine__job *job);

static inline bine__micro *bine__micro_of(bine__job *job)
{
    return (bine__micro *)(void *)job; /* job is the first member */
}

#endif
