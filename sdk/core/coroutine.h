/* A coroutine: a C stack that runs as part of whoever resumes it, until it suspends and its resumer goes
 * on. It is no micro-thread: it stands in no queue, and the micro-thread that resumes it (or the host)
 * stays the one that runs, with its identity, its context, its tracers. When code on it waits, that
 * micro-thread is parked there. Generators are made of it (sdk/python/generator.c), and the larger
 * stacks that small ones borrow. Knows no Python type. Owner thread, GIL held. */
#ifndef BINE_CORE_COROUTINE_H
#define BINE_CORE_COROUTINE_H

#include "core/runtime.h"

typedef struct bine__co {
    void *user;
    void *sp;             /* suspended: where it stands */
    void *back;           /* running: where its resumer stands */
    bine__slot *at;       /* suspended: the stack it stands on; running: its resumer's (NULL: the host's) */
    bine__micro *resumer; /* who has resumed it; NULL: it is suspended */
    int tracing;          /* when it was resumed: trace functions in progress, */
    uint16_t no_wait;     /* and the resumer's no_wait */
    bool passing;         /* what suspends on it suspends who resumed it, along with it */
} bine__co;

typedef enum bine__co_way { BINE__CO_SUSPENDED, BINE__CO_ENDED, BINE__CO_TOO_DEEP } bine__co_way;

/* One that will call run(user) when it is first resumed, or NULL when there is no stack to be had. It
 * lies on that stack: when run() has returned, both are gone. One that is suspended is never freed:
 * there is no way to do so under its frames. */
bine__co *bine__co_new(bine *rt, void (*run)(void *user), void *user);

/* Goes on on its stack. An exception that is set goes along, either way. TOO_DEEP: the calls in progress
 * here and there together are too many; nothing has run. */
bine__co_way bine__co_resume(bine *rt, bine__co *co);

/* Whether that is what it would say. */
bool bine__co_too_deep(bine *rt, const bine__co *co);

/* Back to the resumer of `co`, which is bine__co_running(). Returns when it is resumed. */
void bine__co_suspend(bine *rt, bine__co *co);

/* Whether it can: nothing that must not be suspended has begun on its stack since it was resumed. */
bool bine__co_may_suspend(bine *rt, const bine__co *co);

/* The innermost frame (new, or NULL) of one that is suspended; of its resumer while it runs. */
PyFrameObject *bine__co_frame(bine *rt, const bine__co *co);

/* For the collector: visits what the variables of one that is suspended hold. */
int bine__co_traverse(const bine__co *co, visitproc visit, void *arg);

/* The innermost one that the running code is part of, or NULL. */
static inline bine__co *bine__co_running(const bine *rt)
{
    const bine__slot *slot = rt->current->slot;

    while (slot != NULL && slot->co != NULL && slot->co->passing)
        slot = slot->co->at;
    return slot != NULL ? slot->co : NULL;
}

/* Calls fn(arg) on a stack of the default class lent to the running code, which may suspend meanwhile.
 * Plain calls when it has such a stack already, and on the host's. 0, or -1 when there is no stack to be
 * had: fn was not called. */
int bine__on_large_stack(bine *rt, void (*fn)(void *), void *arg);

#endif
