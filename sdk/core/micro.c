/* Switching between micro-threads. The hot path of everything: keep it short. */
#include "core/pystate.h" /* before any other include of Python.h */

#include "core/micro.h"

#include "core/pyframe.h"
#include "core/runtime.h"
#include "core/switch.h"

#include <string.h>

static void outermost(void *arg);

/* Somebody wants to know that control has come to rt->current. */
__attribute__((noinline)) static void switched(bine *rt)
{
    if (rt->timing)
        bine__job_begins(rt, rt->current);
    if (rt->hooks)
        bine__python_switched(rt);
}

/* Leaves the running stack for `to`; returns when somebody switches back. `self` is the one that
 * runs. Inlined by force: a call more shows in the cost of a switch. */
__attribute__((always_inline)) static inline void switch_to(bine *rt, bine__micro *self, bine__micro *to)
{
    PyThreadState *t = rt->tstate;
    bine__pystate saved;
    bine__cxa_state cxa = {0};

    bine__pystate_save(t, &saved, self->recursion_cap);
    self->saved = &saved;
    if (rt->cxa_globals != NULL)
        memcpy(&cxa, rt->cxa_globals(), sizeof cxa);

    rt->current = to;
    bine__fiber_leave(bine__fiber_of(rt, self->slot), bine__fiber_of(rt, to->slot), 0);
    bine__switch(&self->sp, to->sp);
    bine__fiber_enter(bine__fiber_of(rt, self->slot));

    if (rt->cxa_globals != NULL)
        memcpy(rt->cxa_globals(), &cxa, sizeof cxa);
    bine__pystate_load(t, &saved, self->recursion_cap);
    if (rt->hooked)
        switched(rt);
}

/* Gives a micro-thread its stack. False: there is none to be had. */
static bool start(bine *rt, bine__micro *micro)
{
    bine__slot *slot = bine__stack_take(&rt->stacks);

    if (slot == NULL)
        return false;
    micro->slot = slot;
    micro->sp = bine__switch_prepare(bine__stack_high(&rt->stacks, slot), outermost, rt);
    return true;
}

/* Whether it can run right now: it has a stack, or gets one and is still wanted. */
static inline bool runnable(bine *rt, bine__micro *micro)
{
    if (micro->slot != NULL)
        return true;
    return (micro->pending & (BINE__CANCEL | BINE__EXIT)) == 0 && start(rt, micro);
}

/* Who is next: a micro-thread, or the host when it is time to look up or a callback is due. */
static inline bine__micro *next(bine *rt)
{
    bine__job *job = rt->ready.head;
    bine__micro *micro;

    if (job == NULL || job->run != bine__micro_resume || rt->ready.out >= rt->stop)
        return &rt->host;
    micro = bine__micro_of(job);
    if (!runnable(rt, micro))
        return &rt->host; /* which will find the same, and see to it */
    bine__queue_pop(&rt->ready);
    return micro;
}

static void unlink_living(bine *rt, bine__micro *micro)
{
    if (micro->older != NULL)
        micro->older->newer = micro->newer;
    else
        rt->oldest = micro->newer;
    if (micro->newer != NULL)
        micro->newer->older = micro->older;
    else
        rt->newest = micro->older;
    micro->older = NULL;
    micro->newer = NULL;
    rt->alive--;
    if (rt->main == micro)
        rt->main = NULL;
    if (rt->alive == 0)
        bine__timer_stop(&rt->grace); /* nobody is left to be given time */
}

/* The outermost C frame of a micro-thread. */
static void outermost(void *arg)
{
    bine *rt = arg;
    bine__micro *self = rt->current;
    PyThreadState *t = rt->tstate;
    bine__slot *slot = self->slot;
    bine__micro *to;
    void *unused;
    bine__pyroot root;
    bine__pystart begin = {
        .stack_low = slot->low,
        .stack_high = bine__stack_high(&rt->stacks, slot),
        .chunk = bine__stack_high(&rt->stacks, slot),
        .chunk_size = rt->stacks.data_size,
        .context = self->context,
        .id = self->id,
        .recursion_cap = self->recursion_cap,
    };

    bine__fiber_enter(BINE__FIBER(slot));
    if (rt->cxa_globals != NULL)
        memset(rt->cxa_globals(), 0, sizeof(bine__cxa_state));
    self->context = NULL;
    bine__pystate_start(t, &root, &begin);
    if (rt->hooked)
        switched(rt);

    bine__python_run(self);

    self->no_wait++; /* destructors of its thread-locals run here */
    bine__pystate_clear(t);
    self->slot = NULL;
    self->saved = NULL;
    self->done = true;
    unlink_living(rt, self);
    rt->ending.slot = slot;
    rt->ending.recursion_cap = self->recursion_cap;
    rt->current = &rt->ending;
    if (rt->timing)
        bine__job_ends(rt, self);
    bine__python_ended(self); /* `self` may be gone now */
    bine__pystate_clear(t);

    /* First the next one's stack, then give this one away: they must not be the same. */
    to = next(rt);
    bine__stack_give(&rt->stacks, slot);
    rt->current = to;
    bine__fiber_leave(BINE__FIBER(slot), bine__fiber_of(rt, to->slot), 1);
    bine__switch(&unused, to->sp);
    abort();
}

bine_micro_state bine__micro_state(const bine__micro *micro)
{
    if (micro->done)
        return BINE_MICRO_DONE;
    if (micro->rt->current == micro)
        return BINE_MICRO_RUNNING;
    return micro->wait != NULL ? BINE_MICRO_WAITING : BINE_MICRO_READY;
}

int bine__micro_spawn(bine *rt, bine__micro *micro)
{
    static _Atomic uint64_t last_id = BINE__FIRST_ID;

    if (rt->shutting_down)
        return bine__fail(BINE_ECLOSED, "the runtime is shutting down: no new micro-threads");
    micro->job.run = bine__micro_resume;
    micro->rt = rt;
    micro->id = ++last_id;
    micro->recursion_cap = rt->recursion_cap;
    micro->done = false;
    micro->newer = NULL;
    micro->older = rt->newest;
    if (rt->newest != NULL)
        rt->newest->newer = micro;
    else
        rt->oldest = micro;
    rt->newest = micro;
    rt->alive++;
    rt->spawned++;
    bine__ready(rt, &micro->job);
    return BINE_OK;
}

static void enter(bine *rt, bine__micro *micro)
{
    switch_to(rt, &rt->host, micro);
}

void bine__micro_resume(bine *rt, bine__job *job)
{
    bine__micro *micro = bine__micro_of(job);

    if (runnable(rt, micro)) {
        enter(rt, micro);
        return;
    }
    /* Cancelled before its first turn, or no stack: without one, its entry just ends it. */
    bine__python_run(micro);
    Py_CLEAR(micro->context);
    micro->done = true;
    unlink_living(rt, micro);
    if (rt->timing)
        bine__job_ends(rt, micro);
    bine__python_ended(micro);
}

void bine__yield(bine *rt)
{
    bine__micro *self = rt->current;

    if (rt->ready.head == NULL && rt->ready.out < rt->stop) {
        rt->ready.in++; /* nobody else wants a turn: it is its own successor */
        bine__count_up(&rt->ready.out);
        if (rt->timing)
            bine__job_begins(rt, self);
        return;
    }
    bine__ready(rt, &self->job);
    switch_to(rt, self, next(rt));
}

void bine__waiter_unlink(bine__waiter *waiter)
{
    bine__waiters *among = waiter->among;

    if (among == NULL)
        return;
    if (waiter->prev != NULL)
        waiter->prev->next = waiter->next;
    else
        among->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->prev = waiter->prev;
    else
        among->last = waiter->prev;
    waiter->among = NULL;
}

void bine__waiter_link(bine__waiter *waiter, bine__waiters *among)
{
    waiter->among = among;
    waiter->next = NULL;
    waiter->prev = among->last;
    if (among->last != NULL)
        among->last->next = waiter;
    else
        among->first = waiter;
    among->last = waiter;
}

/* Its micro-thread runs at its turn. */
static void resume(bine__micro *micro)
{
    micro->wait = NULL;
    bine__ready(micro->rt, &micro->job);
}

/* Nothing will wake it any more. */
static void end_wait(bine__wait *wait, bine__outcome outcome)
{
    wait->outcome = outcome;
    bine__waiter_unlink(&wait->waiter);
    bine__timer_stop(&wait->timer);
}

/* One that sees to a signal meanwhile runs anyway, and will look. */
static void wake(bine__wait *wait, bine__outcome outcome)
{
    end_wait(wait, outcome);
    if (wait->micro->wait == wait)
        resume(wait->micro);
}

static void on_arrival(bine__waiter *waiter)
{
    wake((bine__wait *)(void *)waiter, BINE__ARRIVED);
}

static void on_deadline(bine__timer *timer)
{
    bine__wait *wait = (bine__wait *)(void *)((char *)timer - offsetof(bine__wait, timer));

    wake(wait, BINE__TIMED_OUT);
}

bine__outcome bine__park(bine *rt, bine__waiters *among, int64_t deadline, void *what)
{
    return bine__park_minding(rt, among, deadline, what, NULL);
}

/* For a signal it has left off waiting, and kept its place: sees to that, and waits on. Inlined nowhere: it
 * is rare. */
__attribute__((noinline)) static void mind_signals(bine *rt, bine__wait *wait, bine__mind mind)
{
    while (wait->outcome == BINE__SIGNALLED) {
        bool go_on = mind != NULL && mind(rt, wait->what) == 0;

        wait->micro->left_off = wait->outer;
        if (wait->outcome != BINE__SIGNALLED)
            return; /* woken over it */
        if (!go_on) {
            end_wait(wait, BINE__INTERRUPTED);
            return;
        }
        wait->outcome = BINE__WAITING;
        wait->micro->wait = wait;
        switch_to(rt, wait->micro, next(rt));
    }
}

bine__outcome bine__park_minding(bine *rt, bine__waiters *among, int64_t deadline, void *what,
                                 bine__mind mind)
{
    bine__micro *self = rt->current;
    bine__wait wait;

    wait.waiter.among = NULL;
    wait.waiter.wake = on_arrival;
    wait.waiter.aside = false;
    wait.micro = self;
    wait.what = what;
    wait.outcome = BINE__WAITING;
    wait.timer.among = NULL;
    wait.timer.fire = on_deadline;
    if (deadline != BINE__NEVER && bine__timer_set(&rt->timers, &wait.timer, deadline) != 0)
        return BINE__NO_MEMORY;
    if (among != NULL)
        bine__waiter_link(&wait.waiter, among);
    self->wait = &wait;
    switch_to(rt, self, next(rt));
    if (wait.outcome == BINE__SIGNALLED)
        mind_signals(rt, &wait, mind);
    return wait.outcome;
}

void bine__micro_wake(bine__micro *micro, const void *what)
{
    bine__wait *wait = micro->wait;

    if (wait == NULL || wait->what != what)
        for (wait = micro->left_off; wait != NULL && wait->what != what;)
            wait = wait->outer;
    if (wait != NULL)
        wake(wait, BINE__ARRIVED);
}

void bine__wake_first(bine__waiters *among)
{
    bine__waiter *first = among->first;

    bine__waiter_unlink(first);
    first->wake(first);
}

void bine__wake_all(bine__waiters *among)
{
    while (among->first != NULL)
        bine__wake_first(among);
}

void bine__micro_interrupt(bine__micro *micro, unsigned pending)
{
    if (micro->shields > 0) {
        micro->kept_back |= (uint8_t)(pending & (BINE__CANCEL | BINE__EXIT));
        pending &= ~(unsigned)(BINE__CANCEL | BINE__EXIT);
    }
    if (pending == 0)
        return;
    micro->pending = (uint8_t)(micro->pending | pending);
    if (micro->wait == NULL)
        return;
    if (pending != BINE__SIGNAL) {
        wake(micro->wait, BINE__INTERRUPTED);
        return;
    }
    /* First of all: whoever ran before it would have Python's signal handlers run in it. */
    micro->wait->outcome = BINE__SIGNALLED;
    micro->wait->outer = micro->left_off;
    micro->left_off = micro->wait;
    micro->wait = NULL;
    bine__queue_push_first(&micro->rt->ready, &micro->job);
    bine__ask(micro->rt);
}

void bine__micro_leave(bine__micro *micro)
{
    if (micro->wait != NULL) {
        bine__python_left(micro->wait);
        wake(micro->wait, BINE__INTERRUPTED);
    }
    micro->left = true;
    micro->pending |= BINE__EXIT;
    micro->slot = NULL; /* it stays as it is: objects point there */
    micro->saved = NULL;
}
