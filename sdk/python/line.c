#include "python/line.h"

#include "python/library.h"
#include "python/lock.h"
#include "python/python.h"
#include "stdlib/gate.h"

#include <stdlib.h>
#include <time.h>

uint64_t bine__who(void)
{
    const bine *rt = bine__here;

    return rt != NULL && rt->current->id != 0 ? rt->current->id : PyThread_get_thread_ident();
}

/* ---- the line ---- */

static void link_last(bine__line *line, bine__ticket *t)
{
    t->line = line;
    t->next = NULL;
    t->before = line->last;
    if (line->last != NULL)
        line->last->next = t;
    else
        line->first = t;
    line->last = t;
}

static void unlink_ticket(bine__ticket *t)
{
    bine__line *line = t->line;

    if (line == NULL)
        return;
    if (t->before != NULL)
        t->before->next = t->next;
    else
        line->first = t->next;
    if (t->next != NULL)
        t->next->before = t->before;
    else
        line->last = t->before;
    t->line = NULL;
}

void bine__line_move(bine__line *to, bine__line *from)
{
    while (from->first != NULL) {
        bine__ticket *t = from->first;

        unlink_ticket(t);
        link_last(to, t);
    }
}

PyObject *bine__line_outcome(int status)
{
    if (status != BINE_OK && status != BINE_ETIMEDOUT)
        return NULL;
    return PyBool_FromLong(status == BINE_OK);
}

void bine__line_forget(bine__line *line)
{
    while (line->first != NULL)
        unlink_ticket(line->first);
}

/* ---- serving ---- */

/* On the owner's thread: wakes those that other threads have served. */
static void on_called(bine *rt, bine__job *job)
{
    bine__python *py = rt->python;

    (void)job;
    py->calling = false;
    while (py->called != NULL) {
        bine__ticket *t = py->called;

        py->called = t->next_called;
        t->called = false;
        bine__micro_wake(t->micro, t);
    }
}

static void send_call(bine__python *py)
{
    py->call.run = on_called;
    if (!py->calling)
        py->calling = bine__inbox_push(py->rt->inbox, &py->call);
}

void bine__look_again(void)
{
    if (bine__python_now->rt != NULL)
        send_call(bine__python_now);
}

/* A micro-thread is woken on the owner's thread alone. */
static void call(bine__ticket *t)
{
    bine__python *py = t->micro->rt->python;

    t->called = true;
    t->next_called = NULL;
    *(py->called == NULL ? &py->called : &py->last_called->next_called) = t;
    py->last_called = t;
    send_call(py);
}

/* Its micro-thread goes on before it was called. */
static void uncall(bine__ticket *t)
{
    bine__python *py = t->micro->rt->python;
    bine__ticket **at = &py->called;
    bine__ticket *before = NULL;

    if (!t->called)
        return;
    for (; *at != t; at = &before->next_called)
        before = *at;
    *at = t->next_called;
    if (py->last_called == t)
        py->last_called = before;
    t->called = false;
}

PyObject *bine__line_serve(bine__line *line, PyObject *object)
{
    bine__ticket *t = line->first;
    PyObject *brought = t->object;

    unlink_ticket(t);
    t->served = true;
    t->object = object;
    if (t->micro == NULL)
        PyThread_release_lock(t->bell);
    else if (bine__here == t->micro->rt)
        bine__micro_wake(t->micro, t);
    else
        call(t);
    return brought;
}

void bine__line_serve_all(bine__line *line)
{
    while (line->first != NULL)
        Py_XDECREF(bine__line_serve(line, NULL));
}

/* ---- waiting as a micro-thread ---- */

static PyObject *describe(const void *what)
{
    const bine__ticket *t = what;

    return bine__is_lock(t->thing) ? bine__lock_describe(t->thing) : PyObject_Repr(t->thing);
}

void bine__python_left(bine__wait *wait)
{
    bine__ticket *t = wait->what;

    if (t == NULL || t->describe != describe)
        return; /* it waits for something else */
    unlink_ticket(t);
    uncall(t);
}

/* Once it has been served, a signal is left to the interpreter: its handler's exception comes right after the
 * wait, and not instead of it. The handler itself may serve it. */
static int mind(bine *rt, const void *what)
{
    const bine__ticket *t = what;
    int status = t->served ? -1 : bine__python_interrupted(rt);

    return t->served ? -1 : status;
}

/* One stretch of the wait: BINE_OK to look again. */
static int wait_once(bine *rt, bine__ticket *t, int64_t deadline, bool stubborn)
{
    int status = stubborn ? BINE_OK : bine__may_wait(rt); /* which may run Python, and so serve it */
    bine__outcome outcome;

    if (status != BINE_OK || t->served)
        return status;
    outcome = bine__park_minding(rt, NULL, deadline, t, stubborn ? NULL : mind);
    if (t->served || (stubborn && outcome == BINE__INTERRUPTED))
        return BINE_OK;
    return bine__park_status(rt, outcome);
}

static int wait_as_micro(bine *rt, const bine__want *want, PyObject **object)
{
    bine__ticket t = {.describe = describe,
                      .thing = want->thing,
                      .micro = rt->current,
                      .who = rt->current->id,
                      .object = Py_XNewRef(want->object)};
    int64_t deadline = bine__deadline(rt, want->timeout_ns);
    int status = BINE_OK;

    link_last(want->line, &t);
    while (!t.served && status == BINE_OK)
        status = wait_once(rt, &t, deadline, want->stubborn);
    unlink_ticket(&t);
    uncall(&t);
    if (!t.served)
        Py_CLEAR(t.object);
    else if (object != NULL)
        *object = t.object;
    if (t.served || status == BINE_ETIMEDOUT)
        return t.served ? BINE_OK : status;
    bine__raise_status(rt, status, NULL);
    return status;
}

/* ---- waiting as an OS thread ---- */

/* After so long the runtime's own thread looks again who may end its wait: the other threads may have ended,
 * and those of the pool, which are Python's for the length of a call alone, have nothing to do with it. */
#define LOOK_AGAIN_NS INT64_C(20000000)

static bine__ticket *bells; /* those of all OS threads that wait */

static int64_t stretch(int64_t left)
{
    if (bine__here == NULL || (left >= 0 && left < LOOK_AGAIN_NS))
        return left;
    return LOOK_AGAIN_NS;
}

/* Until the bell has rung or `end` (INT64_MAX: never) is there. BINE_OK to look whether it is served. What is
 * stubborn leaves signals to the interpreter. */
static int listen(bine__ticket *t, int64_t end, bool stubborn)
{
    int64_t left = end == INT64_MAX ? -1 : end - bine__monotonic(NULL);
    int64_t now = stretch(left);
    PyLockStatus rung;

    if (end != INT64_MAX && left <= 0)
        return BINE_ETIMEDOUT;
    Py_BEGIN_ALLOW_THREADS;
    rung = PyThread_acquire_lock_timed(t->bell, now < 0 ? -1 : (now + 999) / 1000, !stubborn);
    Py_END_ALLOW_THREADS;
    if (rung == PY_LOCK_INTR && Py_MakePendingCalls() != 0)
        return BINE_ESCRIPT;
    return BINE_OK;
}

static int raise_again(void *exception)
{
    bine__raise(exception);
    return -1;
}

/* A signal's handler has raised, but the wait was served meanwhile: the exception comes right after it. */
static void raise_later(void)
{
    PyObject *exception = bine__take_exception();

    if (Py_AddPendingCall(raise_again, exception) == 0)
        return;
    bine__raise(exception);
    PyErr_WriteUnraisable(NULL);
}

static bine__ticket *new_bell_ticket(PyObject *object)
{
    bine__ticket *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->bell = PyThread_allocate_lock();
    if (t->bell == NULL) {
        free(t);
        return NULL;
    }
    PyThread_acquire_lock(t->bell, NOWAIT_LOCK);
    t->who = bine__who();
    t->object = Py_XNewRef(object);
    t->next_bell = bells;
    bells = t;
    return t;
}

static void free_bell_ticket(bine__ticket *t)
{
    bine__ticket **at = &bells;

    while (*at != t)
        at = &(*at)->next_bell;
    *at = t->next_bell;
    PyThread_free_lock(t->bell);
    free(t);
}

size_t bine__line_listeners(void)
{
    size_t count = 0;

    for (const bine__ticket *t = bells; t != NULL; t = t->next_bell)
        count += t->forever && !t->served;
    return count;
}

/* A thread that ends while it listens, with the interpreter, leaves its ticket behind, and so it is no part
 * of its stack. */
static int wait_as_thread(const bine__want *want, PyObject **object)
{
    bine__ticket *t = new_bell_ticket(want->object);
    int64_t now = bine__monotonic(NULL);
    int64_t end = want->timeout_ns < 0 || want->timeout_ns > INT64_MAX - now ? INT64_MAX
                                                                             : now + want->timeout_ns;
    int status = BINE_OK;

    if (t == NULL) {
        PyErr_NoMemory();
        return BINE_ENOMEM;
    }
    link_last(want->line, t);
    t->forever = end == INT64_MAX;
    if (t->forever && bine__here == NULL && !bine__other_threads_act())
        bine__look_again(); /* this was the last that could end what micro-threads wait for */
    while (!t->served && status == BINE_OK) {
        status = listen(t, end, want->stubborn);
        if (!t->served && status == BINE_OK)
            status = bine__line_refuse(want);
    }
    unlink_ticket(t);
    if (t->served && status == BINE_ESCRIPT)
        raise_later();
    if (t->served && object != NULL)
        *object = t->object;
    else if (!t->served)
        Py_XDECREF(t->object);
    status = t->served ? BINE_OK : status;
    free_bell_ticket(t);
    return status;
}

/* ---- which of both ---- */

static bool is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

static bool has_micro(const bine__line *line)
{
    for (const bine__ticket *t = line->first; t != NULL; t = t->next)
        if (t->micro != NULL)
            return true;
    return false;
}

/* The runtime's own thread, where no micro-thread can be suspended, nor run meanwhile. CPython would block
 * it; here that must not be for ever, nor for a micro-thread. */
static bool may_block(const bine *rt, const bine__want *want)
{
    if (is_finalizing() || !bine__other_threads_exist() || want->held_by_micro || bine__micro_imports_it())
        return false;
    return rt->python->rt == NULL || (!want->strict && !has_micro(want->line));
}

int bine__line_refuse(const bine__want *want)
{
    bine *rt = bine__here;
    int can = bine__can_wait(rt);

    if (rt == NULL || can == BINE_OK || can == BINE_ECANCELED || may_block(rt, want))
        return BINE_OK;
    bine__raise_status(rt, can, NULL);
    return can;
}

int bine__line_wait(const bine__want *want, PyObject **object)
{
    int can = bine__can_wait(bine__here);
    int status;

    if (object != NULL)
        *object = NULL;
    if (can == BINE_OK || can == BINE_ECANCELED)
        return wait_as_micro(bine__here, want, object);
    status = bine__line_refuse(want);
    return status != BINE_OK ? status : wait_as_thread(want, object);
}

/* ---- after a fork ---- */

void bine__python_forked(void)
{
    const bine *rt = bine__here == NULL ? bine__python_now->rt : NULL;
    bine__ticket **at = &bells;

    while (*at != NULL) {
        bine__ticket *t = *at;

        if (t->who == bine__who()) { /* its signal handler has forked */
            at = &t->next_bell;
            continue;
        }
        unlink_ticket(t);
        *at = t->next_bell;
    }
    for (const bine__micro *micro = rt == NULL ? NULL : rt->oldest; micro != NULL; micro = micro->newer)
        if (micro->wait != NULL)
            bine__python_left(micro->wait);
    bine__gates_forked(bine__here == NULL ? NULL : bine__here->current);
}

int64_t bine__line_clock(void)
{
    return bine__here != NULL ? bine__now(bine__here) : bine__monotonic(NULL);
}
