/* A loop's timers: asyncio's TimerHandles, each with a timer of the runtime's. The loop holds one from when
 * it is set until it has run, or is cancelled. */
#include "asyncio/loop.h"

#include <math.h>
#include <stddef.h>

/* More than this is as good as never: a thousand years. */
#define MOST_SECONDS 3.2e10

PyObject *bine__loop_time(bine__loop *loop, PyObject *none)
{
    (void)none;
    if (loop->rt == NULL || bine__here != loop->rt)
        return PyFloat_FromDouble((double)bine__monotonic(NULL) / 1e9);
    return PyFloat_FromDouble((double)bine__real_deadline(loop->rt, 0) / 1e9);
}

/* ---- those that the loop holds ---- */

static void hold(bine__loop *loop, bine__due *due)
{
    Py_INCREF(bine__timer_of(due));
    due->loop = loop;
    due->prev = NULL;
    due->next = loop->dues;
    if (loop->dues != NULL)
        loop->dues->prev = due;
    loop->dues = due;
}

/* Its hold goes to the caller. */
static PyObject *let_go(bine__due *due)
{
    PyObject *timer = bine__timer_of(due);

    bine__timer_stop(&due->timer);
    if (due->prev != NULL)
        due->prev->next = due->next;
    else
        due->loop->dues = due->next;
    if (due->next != NULL)
        due->next->prev = due->prev;
    due->loop = NULL;
    Py_XSETREF(*bine__slot_at(timer, bine__handles.scheduled), Py_NewRef(Py_False));
    return timer;
}

void bine__dues_drop(bine__loop *loop)
{
    while (loop->dues != NULL)
        Py_DECREF(let_go(loop->dues));
}

/* ---- firing ---- */

static int run_due(bine__loop *loop, bine__arrival *arrival)
{
    PyObject *timer = let_go((bine__due *)(void *)arrival);
    int status = bine__loop_run_handle(loop, timer);

    Py_DECREF(timer);
    return status;
}

static void on_due(bine__timer *timer)
{
    bine__due *due = (bine__due *)(void *)((char *)timer - offsetof(bine__due, timer));

    if (due->loop != NULL)
        bine__loop_arrived(due->loop, &due->arrival);
}

/* ---- setting ---- */

static PyObject *call_at(bine__loop *loop, int64_t when_ns, double when, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *context)
{
    PyObject *timer = bine__handle_new(bine__handles.timer, loop, args[0], args + 1, nargs - 1, context);
    PyObject *seconds = timer == NULL ? NULL : PyFloat_FromDouble(when);
    bine__due *due;

    if (seconds == NULL) {
        Py_XDECREF(timer);
        return NULL;
    }
    *bine__slot_at(timer, bine__handles.when) = seconds;
    *bine__slot_at(timer, bine__handles.scheduled) = Py_NewRef(Py_True);
    due = bine__due_of(timer);
    due->arrival.run = run_due;
    due->timer.fire = on_due;
    if (bine__timer_set(loop->rt->real_timers, &due->timer, when_ns) != 0) {
        Py_DECREF(timer);
        return PyErr_NoMemory();
    }
    hold(loop, due);
    bine__ask(loop->rt);
    if (loop->runner == NULL)
        bine__loop_wake(loop);
    return timer;
}

/* Timers are for the loop's thread alone: they belong to no queue that another may touch. */
static int check(bine__loop *loop, const char *method, Py_ssize_t nargs)
{
    if (bine__loop_check(loop) != 0)
        return -1;
    if (nargs < 2) {
        PyErr_Format(PyExc_TypeError, "%s() needs a time and a callback", method);
        return -1;
    }
    if (bine__here == loop->rt)
        return 0;
    PyErr_Format(PyExc_RuntimeError,
                 "Non-thread-safe operation invoked on an event loop other than the current one: %s()",
                 method);
    return -1;
}

static PyObject *in_debug(bine__loop *loop, const char *method, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames)
{
    PyObject *function = PyObject_GetAttrString((PyObject *)loop, method);
    PyObject *result = function == NULL ? NULL : PyObject_Vectorcall(function, args, (size_t)nargs, kwnames);

    Py_XDECREF(function);
    return result;
}

static double seconds_of(PyObject *object)
{
    double seconds = PyFloat_AsDouble(object);

    if (seconds == -1.0 && PyErr_Occurred())
        return NAN;
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError, "the time of a timer is not a number");
        return NAN;
    }
    return fmin(fmax(seconds, -MOST_SECONDS), MOST_SECONDS);
}

static PyObject *set_timer(bine__loop *loop, const char *method, bool later, PyObject *const *args,
                           Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *context;
    double seconds;
    int64_t now;
    int64_t ns;

    if (check(loop, method, nargs) != 0 ||
        bine__context_argument(method, args + nargs, kwnames, &context) != 0)
        return NULL;
    if (args[0] == Py_None) {
        PyErr_Format(PyExc_TypeError, later ? "delay must not be None" : "when cannot be None");
        return NULL;
    }
    seconds = seconds_of(args[0]);
    if (isnan(seconds))
        return NULL;
    now = bine__real_deadline(loop->rt, 0);
    if (seconds >= MOST_SECONDS / 2 || fabs(seconds) * 1e9 >= (double)(INT64_MAX / 2))
        ns = seconds < 0 ? 0 : INT64_MAX / 2;
    else
        ns = (int64_t)ceil(seconds * 1e9) + (later ? now : 0);
    if (later)
        seconds += (double)now / 1e9;
    return call_at(loop, ns, seconds, args + 1, nargs - 1, context);
}

PyObject *bine__loop_call_later(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (loop->debug)
        return in_debug(loop, "_call_later_debug", args, nargs, kwnames);
    return set_timer(loop, "call_later", true, args, nargs, kwnames);
}

PyObject *bine__loop_call_at(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (loop->debug)
        return in_debug(loop, "_call_at_debug", args, nargs, kwnames);
    return set_timer(loop, "call_at", false, args, nargs, kwnames);
}

/* TimerHandle.cancel() calls it. */
PyObject *bine__loop_timer_cancelled(bine__loop *loop, PyObject *timer)
{
    bine__due *due;

    if (!Py_IS_TYPE(timer, bine__handles.timer))
        Py_RETURN_NONE;
    due = bine__due_of(timer);
    if (due->loop == loop && !due->arrival.listed && bine__here == loop->rt)
        Py_DECREF(let_go(due)); /* the caller has it */
    Py_RETURN_NONE;
}
