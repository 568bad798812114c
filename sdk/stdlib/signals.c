/* Waiting for signals. sigwait() and its kin, for signals that the script has blocked: by a descriptor that
 * tells of them (and takes none); CPython's own then takes the one that has come. pause(): until Python has
 * seen a signal, whosever handler that was for. The host's handlers are left alone. */
#include "python/python.h"
#include "stdlib/fair.h"
#include "stdlib/standin.h"

#include <math.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define GUEST_NAP_NS 20000000

/* ---- sigwait(), sigwaitinfo(), sigtimedwait() ---- */

static bine__standin standin_sigtimedwait;

/* A signal of `set` (a list) that has come, as sigtimedwait() gives it, or None. New, or NULL with an
 * exception: what is wrong with the set. */
static PyObject *take_signal(const bine__call *call, PyObject *set)
{
    PyObject *args[] = {set, PyLong_FromLong(0)};
    bine__call other = {.standin = &standin_sigtimedwait, .self = call->self, .args = args, .nargs = 2};
    PyObject *info = args[1] == NULL ? NULL : bine__call_original(&other);

    Py_XDECREF(args[1]);
    return info;
}

/* Of a set that CPython has taken. -1: no descriptor. */
static int open_signalfd(PyObject *set)
{
    sigset_t signals;

    sigemptyset(&signals);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(set); i++)
        sigaddset(&signals, (int)PyLong_AsLong(PyList_GET_ITEM(set, i)));
    PyErr_Clear();
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* How long to wait at once. A signal that is for the owner thread alone shows at the descriptor in that
 * thread alone: in guest mode, where another waits, it has to be looked for. */
static int64_t next_wait(const bine *rt, int64_t left)
{
    if (rt->guest == NULL || (left >= 0 && left < GUEST_NAP_NS))
        return left;
    return GUEST_NAP_NS;
}

/* Until one of `set` has come, or the time is over: None. NULL: an exception is set, or *status says why. */
static PyObject *wait_at(const bine__call *call, int fd, PyObject *set, int64_t deadline, int *status)
{
    bine *rt = bine__here;

    for (;;) {
        int64_t left = deadline == BINE__NEVER ? -1 : deadline - bine__real_deadline(rt, 0);
        bool over = deadline != BINE__NEVER && left <= 0;
        PyObject *info;

        *status = bine_wait_fd(fd, BINE_READABLE, next_wait(rt, over ? 0 : left));
        if (*status < 0 && *status != BINE_ETIMEDOUT)
            return NULL;
        info = take_signal(call, set);
        if (info != Py_None || over)
            return info;
        Py_DECREF(info); /* somebody else was faster, or the time is not over */
    }
}

static PyObject *await_signal(const bine__call *call, PyObject *set, int64_t deadline)
{
    int fd = open_signalfd(set);
    PyObject *info;
    int status;

    if (fd < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    info = wait_at(call, fd, set, deadline, &status);
    close(fd);
    if (info == NULL && !PyErr_Occurred())
        bine__raise_status(bine__here, status, NULL);
    return info;
}

/* As sigtimedwait(), without a limit for BINE__NEVER. */
static PyObject *wait_for_signal(const bine__call *call, PyObject *given, int64_t deadline)
{
    PyObject *set = PySequence_List(given);
    PyObject *info = set == NULL ? NULL : take_signal(call, set);

    if (info == Py_None) {
        Py_DECREF(info);
        info = await_signal(call, set, deadline);
    } else {
        bine__fair(bine__here);
    }
    Py_XDECREF(set);
    return info;
}

static PyObject *sigwaitinfo_waiting(const bine__call *call)
{
    if (standin_sigtimedwait.original == NULL)
        return bine__call_original(call);
    return wait_for_signal(call, call->args[0], BINE__NEVER);
}

static PyObject *sigwait_waiting(const bine__call *call)
{
    PyObject *info = sigwaitinfo_waiting(call);
    PyObject *number;

    if (info == NULL || PyLong_Check(info)) /* CPython's own has said it */
        return info;
    number = PyObject_GetAttrString(info, "si_signo");
    Py_DECREF(info);
    return number;
}

static PyObject *sigtimedwait_waiting(const bine__call *call)
{
    double seconds = -1;

    if (call->nargs == 2 && (PyFloat_Check(call->args[1]) || PyLong_Check(call->args[1])))
        seconds = PyFloat_AsDouble(call->args[1]);
    PyErr_Clear();
    if (!(seconds > 0 && seconds < 9e9))
        return bine__call_at_once(call);
    return wait_for_signal(call, call->args[0],
                           bine__real_deadline(bine__here, (int64_t)ceil(seconds * 1e9)));
}

/* ---- pause() ---- */

static PyObject *describe_pause(const void *what)
{
    (void)what;
    return PyUnicode_FromString("a signal");
}

static PyObject *pause_waiting(const bine__call *call)
{
    bine *rt = bine__here;
    bine__describe what = describe_pause;
    int status;

    (void)call;
    bine__signals_forget(rt);
    if (PyErr_CheckSignals() != 0)
        return NULL;
    status = bine__await(rt, &rt->signalled, BINE__NEVER, &what);
    if (status != BINE_OK)
        return bine__raise_status(rt, status, NULL);
    if (rt->current->pending != 0 && bine__python_interrupted(rt) != 0)
        return bine__raise_pending(rt);
    Py_RETURN_NONE;
}

#define SIGNALFD "a descriptor that tells of signals"

BINE__STANDIN(standin_sigwait, "_signal", "sigwait", "signal.sigwait", SIGNALFD, sigwait_waiting);
BINE__STANDIN(standin_sigwaitinfo, "_signal", "sigwaitinfo", "signal.sigwaitinfo", SIGNALFD,
              sigwaitinfo_waiting);
BINE__STANDIN(standin_sigtimedwait, "_signal", "sigtimedwait", "signal.sigtimedwait", SIGNALFD,
              sigtimedwait_waiting);
BINE__STANDIN(standin_pause, "_signal", "pause", "signal.pause", "the next signal that Python sees",
              pause_waiting);

bine__standin *const bine__signal_standins[] = {&standin_sigwait, &standin_sigwaitinfo, &standin_sigtimedwait,
                                                &standin_pause, NULL};
