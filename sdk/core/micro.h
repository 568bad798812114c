/* The moving part of a micro-thread: its stack, its place in the scheduler, what it waits for.
 * Knows CPython's thread state, but no Python type: what a micro-thread runs, returns and is
 * called lies above (sdk/python/microthread.c). Owner thread, GIL held, unless said otherwise. */
#ifndef BINE_CORE_MICRO_H
#define BINE_CORE_MICRO_H

#include "core/pyframe.h"
#include "core/sched.h"
#include "core/stack.h"
#include "core/timer.h"

#include <Python.h>
#include <bine/common.h>
#include <bine/micro.h>

struct bine__pystate;
struct bine__wait;
struct bine__waiters;

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
    bine__slot
        *slot; /* the stack it is on, a coroutine's perhaps; NULL: not started, done, or the host's own */
    struct bine__wait *wait;     /* what it is parked on */
    struct bine__wait *left_off; /* what it was, until a signal's handler is done; the innermost */
    bine *rt;
    PyObject *context;         /* to start with; NULL: empty */
    struct bine__micro *older; /* all that live, in the order of spawning */
    struct bine__micro *newer;
    bine_scope *scope; /* whose member it is, held; NULL: none */
    struct bine__micro *sibling_before;
    struct bine__micro *sibling_after;
    uint64_t id;
    int recursion_cap;
    uint16_t no_wait;          /* counts reasons why it must not wait now; the host's is never 0 */
    uint16_t shields;          /* that keep back a cancel and the end */
    uint16_t scopes_cancelled; /* of those whose body it runs in */
    uint8_t pending;           /* BINE__CANCEL and so on */
    uint8_t kept_back;         /* the same, behind shields */
    bool cancelled : 1;        /* it, not just a scope's body */
    bool is_child : 1;         /* its error is its scope's */
    bool left : 1;             /* it stayed in the parent of a fork: here it only ends */
    bool told;                 /* what is pending has been raised in it before */
    bool done;                 /* it has ended, or was never spawned */
} bine__micro;

/* The first one's id. Thread states count from 1, and the C library's threads are addresses. */
#define BINE__FIRST_ID ((uint64_t)1 << 40)

static inline bool bine__is_micro_id(uint64_t id)
{
    return id >= BINE__FIRST_ID && id < 2 * BINE__FIRST_ID;
}

/* In no_wait: the collector has begun on its stack, and may have ended by now. */
#define BINE__COLLECTS ((uint16_t)1 << 15)

typedef enum bine__outcome {
    BINE__WAITING,
    BINE__ARRIVED, /* what was waited for is there */
    BINE__TIMED_OUT,
    BINE__SIGNALLED,   /* while it sees to a signal; it stands in line as before */
    BINE__INTERRUPTED, /* see bine__micro.pending */
    BINE__NO_MEMORY    /* for a timer: it did not wait */
} bine__outcome;

/* One that stands in line for something: a micro-thread's wait, a step. */
typedef struct bine__waiter {
    struct bine__waiters *among; /* NULL: in no line */
    struct bine__waiter *next;
    struct bine__waiter *prev;
    void (*wake)(struct bine__waiter *waiter); /* it has left the line: only enqueues; runs no script */
    bool aside;                                /* looks on: the thing may be cancelled over its head */
} bine__waiter;

/* All that wait for one thing, in the order they came. */
typedef struct bine__waiters {
    bine__waiter *first;
    bine__waiter *last;
} bine__waiters;

/* Puts into words what is waited for; first in what bine__wait.what points to. New, or NULL with an
 * exception. */
typedef PyObject *(*bine__describe)(const void *what);

/* A micro-thread's wait; lives on the waiting stack. */
typedef struct bine__wait {
    bine__waiter waiter; /* first; in no line: it waits for time alone, or for bine__micro_wake() */
    bine__micro *micro;
    void *what; /* begins with a bine__describe; NULL: time */
    bine__timer timer;
    bine__outcome outcome;
    struct bine__wait *outer; /* left off: the one amidst which it was made */
} bine__wait;

/* Makes a new micro-thread ready to run for the first time; the caller fills in context before. BINE_ECLOSED
 * when the runtime is shutting down. */
int bine__micro_spawn(bine *rt, bine__micro *micro);

bine_micro_state bine__micro_state(const bine__micro *micro);

/* Whether the running code may suspend: BINE_OK, BINE_EMICRO (no micro-thread runs), BINE_EBUSY
 * (a wait is refused here), BINE_ECANCELED (pending says why). */
int bine__can_wait(bine *rt);

/* Whether bine__can_wait() would say BINE_OK, in few instructions. */
#define BINE__MAY_WAIT(rt)                                                     \
    ((rt) != NULL && ((rt)->current->pending | (rt)->current->no_wait) == 0 && \
     !bine__is_tracing((rt)->tstate))

/* Suspends the running micro-thread until it is woken, the runtime's clock reaches `deadline` or
 * something is pending. Only after bine__can_wait(). `among` may be NULL. Whoever serves it finds `what` (may
 * be NULL, see bine__wait) in the wait. */
bine__outcome bine__park(bine *rt, bine__waiters *among, int64_t deadline, void *what);

/* The same; when a signal comes it calls mind(rt, what) and, if that says 0, waits on in its old place. */
typedef int (*bine__mind)(bine *rt, const void *what);
bine__outcome bine__park_minding(bine *rt, bine__waiters *among, int64_t deadline, void *what,
                                 bine__mind mind);

/* Stands last in line; leaves it (no effect when in none). */
void bine__waiter_link(bine__waiter *waiter, bine__waiters *among);
void bine__waiter_unlink(bine__waiter *waiter);

/* Wakes the one that waits longest; all of them, in order. They run at their turn. */
void bine__wake_first(bine__waiters *among);
void bine__wake_all(bine__waiters *among);

/* Wakes one that is parked in no line, on `what`, or will be again once it has seen to a signal; no effect
 * when it is not. */
void bine__micro_wake(bine__micro *micro, const void *what);

/* What a park came to: BINE_OK to look again, BINE_ETIMEDOUT, BINE_ECANCELED, BINE_ENOMEM. Sees to signals.
 */
int bine__park_status(bine *rt, bine__outcome outcome);

/* Gives the others a turn. Only after bine__can_wait(). */
void bine__yield(bine *rt);

/* Before a wait: BINE_OK, BINE_EMICRO, BINE_EBUSY or BINE_ECANCELED. Sees to signals. One that
 * goes on waiting though it has been told to end gives the others a turn each time: it may be
 * stubborn, but it does not hold the host. */
int bine__may_wait(bine *rt);

/* Suspends the running micro-thread until `among` (NULL: nothing) is woken, seeing to signals
 * meanwhile; `what` is as bine__park() has it. BINE_OK, BINE_EMICRO, BINE_EBUSY, BINE_ECANCELED,
 * BINE_ETIMEDOUT, BINE_ENOMEM. The caller looks whether what it waits for has come before it calls, and again
 * after. */
int bine__await(bine *rt, bine__waiters *among, int64_t deadline, void *what);

/* The same for a caller that has asked bine__may_wait(), since when nobody else ran. */
int bine__stand(bine *rt, bine__waiters *among, int64_t deadline, void *what);

/* Makes `status` of one of the above the message of `call`. Returns it. */
int bine__explain_wait(const char *call, int status);

/* Why a wait is refused with BINE_EBUSY: static text. */
const char *bine__why_no_wait(bine *rt);

/* BINE__COLLECTS of the running one goes by what is. */
void bine__forget_collection(bine *rt);

/* Something is pending: ends its wait. */
void bine__micro_interrupt(bine__micro *micro, unsigned pending);

/* In the child of a fork: it is another's stack that was copied. It ends at its turn, and nothing of it runs.
 */
void bine__micro_leave(bine__micro *micro);

/* Cancels it for good; for as long as it is in the body of a cancelled scope: begin and end. */
void bine__micro_cancel(bine__micro *micro);
void bine__body_cancel_begin(bine__micro *body);
void bine__body_cancel_end(bine__micro *body);

/* Keeps a cancel and the end back from one micro-thread, until its time is over or it is lowered. */
typedef struct bine__shield {
    bine__timer timer;
    bine__micro *micro; /* NULL: lowered, or its time is over */
} bine__shield;

/* For the running micro-thread, at most `ns`. 0, or -1 when out of memory. */
int bine__shield_raise(bine *rt, bine__shield *shield, int64_t ns);
void bine__shield_lower(bine__shield *shield);

/* bine__job.run of every micro-thread: runs it from the host's stack, until something leads
 * back there. */
void bine__micro_resume(bine *rt, bine__job *job);

static inline bine__micro *bine__micro_of(bine__job *job)
{
    return (bine__micro *)(void *)job; /* job is the first member */
}

#endif
