/* Going on on another stack and back, as the same micro-thread. next() and emit() of generators are
 * little more than this: keep it short. */
#define BINE__NEEDS_CORE 1
#include "core/pystack.h" /* before any other include of Python.h */

#include "core/coroutine.h"

#include "core/pyframe.h"
#include "core/switch.h"

#include <stdlib.h>
#include <string.h>

/* Lies at the upper end of its stack. */
typedef struct own {
    bine__co co; /* first */
    bine__pystack py;
    bine__cxa_state cxa;
    int depth; /* calls in progress on it, while it is suspended */
    int room;  /* as many may be; one counter alone: 3.11 */
    bool ended;
    bine__stacks *stacks; /* where its stack is from */
    bine__slot *slot;
    bine *rt;
    void (*run)(void *user);
    bine__pyseam seam;
} own;

static own *own_of(bine__co *co)
{
    return (own *)(void *)co;
}

/* Its outermost C frame. */
static void outermost(void *arg)
{
    own *self = arg;
    bine *rt = self->rt;
    void *unused;

    bine__fiber_enter(BINE__FIBER(self->slot));
    self->run(self->co.user);
    bine__pyseam_clear(&self->seam);
    self->ended = true;
    bine__fiber_leave(BINE__FIBER(self->slot), bine__fiber_of(rt, self->co.at), 1);
    bine__switch(&unused, self->co.back);
    abort();
}

static bine__co *new_co(bine *rt, bine__stacks *stacks, void (*run)(void *user), void *user)
{
    bine__slot *slot = bine__stack_take(stacks);
    bine__pystart start;
    char *high;
    own *self;

    if (slot == NULL)
        return NULL;
    high = bine__stack_high(stacks, slot);
    self = (own *)(void *)(high - (sizeof *self + 63) / 64 * 64);
    start = (bine__pystart){
        .stack_low = slot->low,
        .stack_high = (char *)self,
        .chunk = high,
        .chunk_size = stacks->data_size,
        .recursion_cap = bine__recursion_cap(bine__stack_c_size(stacks)),
    };
    memset(self, 0, sizeof *self);
    self->co.user = user;
    self->co.at = slot;
    self->room = start.recursion_cap;
    self->stacks = stacks;
    self->slot = slot;
    self->rt = rt;
    self->run = run;
    bine__pystack_init(rt->tstate, &self->py, &self->seam, &start);
    self->co.sp = bine__switch_prepare(self, outermost, self);
    slot->co = &self->co;
    return &self->co;
}

bine__co *bine__co_new(bine *rt, void (*run)(void *user), void *user)
{
    return new_co(rt, &rt->stacks, run, user);
}

/* ---- how deep ---- */

/* The calls that count against the limit, on all the stacks that the running code is part of. */
static inline int depth_now(PyThreadState *t, const bine__micro *micro)
{
    return bine__recursion_allowed(t, micro->recursion_cap) - BINE__RECURSION_REMAINING(t);
}

/* The calls that may still come on its stack, on top of `depth` at its resumer's and its own. Where the
 * stack bounds them, too, it is this one that does. */
static inline int calls_left(PyThreadState *t, const own *self, int depth)
{
    return bine__recursion_allowed(t, depth + self->room) - depth - self->depth;
}

/* The calls go on counting where the resumer stands. False, and nothing has changed: there are too many. */
static inline bool go_down(PyThreadState *t, bine__micro *micro, const own *self, int depth)
{
    int left = calls_left(t, self, depth);

    if (self->depth > 0 && left <= 0)
        return false;
    BINE__RECURSION_REMAINING(t) = left;
#if BINE__ONE_RECURSION_COUNTER
    micro->recursion_cap = depth + self->room;
#else
    (void)micro;
#endif
    return true;
}

bool bine__co_too_deep(bine *rt, const bine__co *co)
{
    const own *self = (const own *)(const void *)co;

    return self->depth > 0 && calls_left(rt->tstate, self, depth_now(rt->tstate, rt->current)) <= 0;
}

/* And back. `depth` and `room` are the resumer's. One that only passes may have another's calls under it than
 * those it began on; but it comes back when it has ended, with none of its own. */
static inline void go_up(PyThreadState *t, bine__micro *micro, own *self, int depth, int room)
{
    int now = depth_now(t, micro);

    if (self->ended)
        depth = now;
    self->depth = now - depth;
#if BINE__ONE_RECURSION_COUNTER
    self->room = micro->recursion_cap - depth;
    micro->recursion_cap = depth + room;
#else
    (void)room;
#endif
    BINE__RECURSION_REMAINING(t) = bine__recursion_allowed(t, micro->recursion_cap) - depth;
}

/* ---- there and back ---- */

static void give_back(own *self)
{
    self->slot->co = NULL;
    bine__stack_give(self->stacks, self->slot);
}

bine__co_way bine__co_resume(bine *rt, bine__co *co)
{
    PyThreadState *t = rt->tstate;
    own *self = own_of(co);
    bine__micro *micro = rt->current;
    bine__slot *slot = micro->slot;
    int depth = depth_now(t, micro);
    int room = micro->recursion_cap - depth;
    bine__cxa_state cxa = {0};

    if (!go_down(t, micro, self, depth))
        return BINE__CO_TOO_DEEP;
    if ((micro->no_wait & BINE__COLLECTS) != 0)
        bine__forget_collection(rt);
    bine__pystack_enter(t, &self->py, &self->seam);
    if (rt->cxa_globals != NULL) {
        memcpy(&cxa, rt->cxa_globals(), sizeof cxa);
        memcpy(rt->cxa_globals(), &self->cxa, sizeof cxa);
    }
    co->no_wait = micro->no_wait;
    co->tracing = t->tracing;
    co->resumer = micro;
    micro->slot = co->at;
    co->at = slot;

    bine__fiber_leave(bine__fiber_of(rt, slot), BINE__FIBER(micro->slot), 0);
    bine__switch(&co->back, co->sp);
    bine__fiber_enter(bine__fiber_of(rt, slot));

    micro = rt->current; /* another than before, when that was the resumer of one that this passes to */
    co->at = micro->slot;
    co->resumer = NULL;
    micro->slot = slot;
    if (rt->cxa_globals != NULL) {
        memcpy(&self->cxa, rt->cxa_globals(), sizeof cxa);
        memcpy(rt->cxa_globals(), &cxa, sizeof cxa);
    }
    bine__pystack_leave(t, &self->py, &self->seam);
    go_up(t, micro, self, depth, room);
    if (!self->ended)
        return BINE__CO_SUSPENDED;
    give_back(self);
    return BINE__CO_ENDED;
}

void bine__co_suspend(bine *rt, bine__co *co)
{
    bine__slot *slot = rt->current->slot; /* its own, or one lent */

    bine__fiber_leave(BINE__FIBER(slot), bine__fiber_of(rt, co->at), 0);
    bine__switch(&co->sp, co->back);
    bine__fiber_enter(BINE__FIBER(slot));
}

PyFrameObject *bine__co_frame(bine *rt, const bine__co *co)
{
    return bine__pystack_frame(rt->tstate, &((const own *)(const void *)co)->py);
}

int bine__co_traverse(const bine__co *co, visitproc visit, void *arg)
{
    const own *self = (const own *)(const void *)co;

    return co->resumer != NULL ? 0 : bine__pystack_traverse(&self->py, &self->seam, visit, arg);
}

/* ---- a larger stack for a while ---- */

static bool is_large(bine *rt, const bine__slot *slot)
{
    return slot->co != NULL && own_of(slot->co)->stacks == &rt->large;
}

int bine__on_large_stack(bine *rt, void (*fn)(void *), void *arg)
{
    const bine__slot *slot = rt->current->slot;
    bine__co *co;

    if (rt->large.slot_size <= rt->stacks.slot_size || slot == NULL || is_large(rt, slot)) {
        fn(arg);
        return 0;
    }
    co = new_co(rt, &rt->large, fn, arg);
    if (co == NULL)
        return -1;
    co->passing = true;
    bine__co_resume(rt, co);
    return 0;
}
