/* Deferreds, for the files of sdk: the block behind both ends, and its kinds. Owner thread, unless
 * said otherwise. */
#ifndef BINE_DATA_DEFERRED_H
#define BINE_DATA_DEFERRED_H

#include "core/runtime.h"

#include <bine/deferred.h>
#include <bine/error.h>

enum { BINE__PENDING = 0, BINE__RESOLVED = 1 };

/* What a deferred is settled with. */
typedef struct bine__result {
    int state;           /* BINE__RESOLVED or a negative code */
    bine_value *value;   /* resolved: the value; BINE_ESCRIPT: an object, the exception or the micro-thread */
    bine_value *message; /* of a rejection: text, or NULL */
} bine__result;

/* What tells the kinds of deferreds apart: those of a resolver, those that follow others. */
typedef struct bine__kind {
    /* Asks for the end of what it waits for, in a tick; settles it if nothing else will. */
    void (*cancel)(bine_deferred *d);
    /* The index-th of those that it waits for, NULL past the last. NULL: it waits for none. */
    bine_deferred *(*source)(bine_deferred *d, size_t index);
    const char *name; /* what is waited for, in words */
} bine__kind;

/* First in the block of every kind. */
struct bine_deferred {
    bine__job deliver; /* first: brings `incoming` in */
    bine__job cancel;
    const bine__kind *kind;
    bine *rt;
    bine__inbox *inbox;
    atomic_uint holds;     /* all consumers together, the resolver, jobs and lines that it stands in */
    atomic_bool consumed;  /* the resolver has been used */
    atomic_bool cancelled; /* settled by a cancel: spare the producer the way */
    bine__result incoming; /* the producer's, until delivered */
    /* The rest is the owner's. */
    unsigned consumers;
    bool cancelling; /* a cancel is under way */
    bool asked;      /* somebody wanted its end: its rejection is no news */
    bool taken;      /* somebody has seen its rejection, or will */
    bool reported;   /* the host has heard of its rejection, or will */
    bool listed;     /* see bine__deferreds_end() */
    bine__result settled;
    bine__result instead; /* of BINE_ECANCELED: why it was cancelled; state 0: for no other reason */
    bine__waiters line;
    struct bine_deferred *newer; /* those listed */
    struct bine_deferred *older;
    bine_error *error;          /* its rejection as data, when asked for */
    struct bine_deferred *walk; /* for bine__depends() */
    uint64_t walked;
    bine_on_cancel on_cancel;
    void *user;
};

/* A new block of `size` bytes, zeroed but for the base, with one consumer and, when `work`, a hold for
 * whoever will settle it. NULL with a message when memory is out. */
bine_deferred *bine__deferred_alloc(bine *rt, const bine__kind *kind, size_t size, bool work);

/* The kind of those that have a resolver. */
extern const bine__kind bine__plain;

/* At the end: whoever stood in its line will not take its rejection after all. */
void bine__deferred_lost(bine_deferred *d);

/* Settles it once; `r` is taken. All in line are woken. */
void bine__deferred_settle(bine_deferred *d, bine__result r);

/* The last hold has gone. Thread: any. */
void bine__deferred_free(bine_deferred *d);

/* One hold more and less. Thread: any. */
static inline void bine__deferred_hold(bine_deferred *d)
{
    atomic_fetch_add_explicit(&d->holds, 1, memory_order_relaxed);
}

static inline void bine__deferred_let_go(bine_deferred *d)
{
    /* Who has the only hold needs no locked instruction to see it. */
    if (atomic_load_explicit(&d->holds, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&d->holds, 1, memory_order_acq_rel) == 1)
        bine__deferred_free(d);
}

/* Cancels it for a reason: rejected with `instead` (taken) where it would be with BINE_ECANCELED. Returns
 * as bine_deferred_cancel(). */
int bine__deferred_break(bine_deferred *d, bine__result instead);

/* Puts `waiter` into its line, and sees to it that it is woken before the end. It is pending. */
void bine__deferred_line(bine_deferred *d, bine__waiter *waiter);

/* Whether another than `waiter` waits for it, those aside not counted. */
bool bine__deferred_shared(const bine_deferred *d, const bine__waiter *waiter);

/* Whether `d` waits, by whatever way, for `target`. */
bool bine__depends(bine_deferred *d, bine_deferred *target);

/* Whether somebody waits for a deferred that its resolver, in whoever's hands, may settle yet. */
bool bine__deferreds_expected(const bine *rt);

/* What a step was given: valid inside the step. */
const bine__result *bine__step_input(bine_step *step);

/* Results: a copy that shares what it holds; letting go of it. Any thread. */
bine__result bine__result_share(const bine__result *r);
void bine__result_free(bine__result *r);
/* A rejection; `message` (copied) may be NULL. */
bine__result bine__rejection(int code, const char *message);
/* The text of its message, "" for none. */
const char *bine__result_message(const bine__result *r);

/* Suspends the running micro-thread until `d`, on which the caller has a hold, is settled.
 * BINE_OK: it is (rejected, maybe). Else as bine_wait(). */
int bine__deferred_await(bine_deferred *d, int64_t timeout_ns);

/* Cancels `d`, which the running micro-thread has been waiting for, and suspends it until that is done,
 * whatever is pending: when the script sees the exception, the canceller has run. One that follows others is
 * waited for until the micro-thread is told again to end. */
void bine__deferred_stop(bine_deferred *d);

/* What it was settled with; a rejection then counts as taken. Valid as long as `d`. */
const bine__result *bine__deferred_take(bine_deferred *d);

#endif
