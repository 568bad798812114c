#include "python/line.h"

#include "python/python.h"

#include <stdlib.h>
#include <time.h>

uint64_t bine__who(void)
{
    const bine *rt = bine__here;

    return rt != NULL && rt->current->id != 0 ? rt->current->id : PyThread_get_thread_ident();
}

bool bine__is_micro(void)
{
    return bine__here != NULL && bine__here->current->id != 0;
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

size_t bine__line_count(const bine__line *line)
{
    size_t count = 0;

    for (const bine__ticket *t = line->first; t != NULL; t = t->next)
        count++;
    return count;
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

/* A micro-thread is woken on the owner's thread alone. */
static void call(bine__ticket *t)
{
    bine__python *py = t->micro->rt->python;

    t->called = true;
    t->next_called = NULL;
    *(py->called == NULL ? &py->called : &py->last_called->next_called) = t;
    py->last_called = t;
    py->call.run = on_called;
    if (!py->calling)
        py->calling = bine__inbox_push(py->rt->inbox, &py->call);
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

    return PyObject_Repr(t->thing);
}

/* One stretch of the wait: BINE_OK to look again. When it has been served, a signal that came too is left to
 * the interpreter: its handler's exception comes right after the wait, and not instead. */
static int wait_once(bine *rt, bine__ticket *t, int64_t deadline, bool stubborn)
{
    int status = stubborn ? BINE_OK : bine__may_wait(rt); /* which may run Python, and so serve it */
    bine__outcome outcome;

    if (status != BINE_OK || t->served)
        return status;
    outcome = bine__park(rt, NULL, deadline, t);
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

static int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Until the bell has rung or `end` (INT64_MAX: never) is there. BINE_OK to look whether it is served. */
static int listen(bine__ticket *t, int64_t end)
{
    int64_t left = end == INT64_MAX ? -1 : end - monotonic_ns();
    PyLockStatus rung;

    if (end != INT64_MAX && left <= 0)
        return BINE_ETIMEDOUT;
    Py_BEGIN_ALLOW_THREADS;
    rung = PyThread_acquire_lock_timed(t->bell, left < 0 ? -1 : (left + 999) / 1000, 1);
    Py_END_ALLOW_THREADS;
    if (rung == PY_LOCK_INTR && Py_MakePendingCalls() != 0)
        return BINE_ESCRIPT;
    return BINE_OK;
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
    return t;
}

/* A thread that ends while it listens, with the interpreter, leaves its ticket behind, and so it is no part
 * of its stack. */
static int wait_as_thread(const bine__want *want, PyObject **object)
{
    bine__ticket *t = new_bell_ticket(want->object);
    int64_t now = monotonic_ns();
    int64_t end = want->timeout_ns < 0 || want->timeout_ns > INT64_MAX - now ? INT64_MAX
                                                                             : now + want->timeout_ns;
    int status = BINE_OK;

    if (t == NULL) {
        PyErr_NoMemory();
        return BINE_ENOMEM;
    }
    link_last(want->line, t);
    while (!t->served && (status == BINE_OK || (want->stubborn && status == BINE_ESCRIPT)))
        status = listen(t, end);
    unlink_ticket(t);
    if (t->served)
        status = BINE_OK;
    if (t->served && object != NULL)
        *object = t->object;
    else if (!t->served)
        Py_XDECREF(t->object);
    PyThread_free_lock(t->bell);
    free(t);
    return status;
}

/* ---- which of both ---- */

/* The runtime's own thread, where no micro-thread can be suspended. CPython would block it; here it does so
 * only if that cannot be for ever, nor for a micro-thread. */
static int wait_as_owner(bine *rt, int why, const bine__want *want, PyObject **object)
{
    if (rt->python->rt != NULL && (want->strict || want->held_by_micro || !bine__other_threads_exist())) {
        bine__raise_status(rt, why, NULL);
        return why;
    }
    return wait_as_thread(want, object);
}

int bine__line_wait(const bine__want *want, PyObject **object)
{
    bine *rt = bine__here;
    int can;

    if (object != NULL)
        *object = NULL;
    if (rt == NULL)
        return wait_as_thread(want, object);
    can = bine__can_wait(rt);
    if (can == BINE_EMICRO || can == BINE_EBUSY)
        return wait_as_owner(rt, can, want, object);
    return wait_as_micro(rt, want, object);
}

int64_t bine__line_clock(void)
{
    return bine__here != NULL ? bine__now(bine__here) : monotonic_ns();
}
