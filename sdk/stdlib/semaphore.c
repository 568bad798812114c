/* multiprocessing's semaphores and locks, which other processes release: nothing tells of that, so they are
 * asked for again and again, 10 ms apart at the most. */
#include "python/python.h"
#include "stdlib/standin.h"

#include <math.h>

#define FIRST_NAP_NS 100000
#define LONGEST_NAP_NS 10000000

static bine__standin standin_acquire;

/* acquire(False): new, or NULL with an exception. */
static PyObject *try_to_acquire(PyObject *self)
{
    PyObject *args[] = {Py_False};
    bine__call call = {.standin = &standin_acquire, .self = self, .args = args, .nargs = 1};

    return bine__call_original(&call);
}

/* True; or False when the time is over. New, or NULL with an exception. */
static PyObject *acquire_until(PyObject *self, int64_t deadline)
{
    bine *rt = bine__here;
    int64_t nap = FIRST_NAP_NS;

    for (;;) {
        PyObject *got = try_to_acquire(self);
        int64_t left = deadline == BINE__NEVER ? nap : deadline - bine__real_deadline(rt, 0);
        int status;

        if (got != Py_False || left <= 0)
            return got;
        Py_DECREF(got);
        status = bine_sleep_real(left < nap ? left : nap);
        if (status != BINE_OK)
            return bine__raise_status(rt, status, NULL);
        nap = nap * 2 > LONGEST_NAP_NS ? LONGEST_NAP_NS : nap * 2;
    }
}

/* In ns; -1: none; 0: it is for CPython's own to say what that is. */
static int64_t seconds_of(PyObject *timeout)
{
    double seconds;

    if (timeout == NULL || timeout == Py_None)
        return -1;
    seconds = PyFloat_Check(timeout) || PyLong_Check(timeout) ? PyFloat_AsDouble(timeout) : -1;
    PyErr_Clear();
    return seconds > 0 && seconds < 9e9 ? (int64_t)ceil(seconds * 1e9) : 0;
}

/* acquire(block=True, timeout=None) */
static PyObject *acquire_waiting(const bine__call *call)
{
    PyObject *block = bine__call_argument(call, 0, "block");
    PyObject *timeout = bine__call_argument(call, 1, "timeout");
    int64_t ns = seconds_of(timeout);
    Py_ssize_t count = call->nargs + (call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames));

    if (count != (block != NULL) + (timeout != NULL) || (block != NULL && block != Py_True) || ns == 0)
        return bine__call_original(call);
    return acquire_until(call->self, bine__real_deadline(bine__here, ns));
}

static PyObject *enter_waiting(const bine__call *call)
{
    return acquire_until(call->self, BINE__NEVER);
}

#define NAPS "naps of 10 ms at most"

BINE__STANDIN(standin_acquire, "_multiprocessing", "SemLock.acquire", "_multiprocessing.SemLock.acquire",
              NAPS, acquire_waiting);
BINE__STANDIN(standin_enter, "_multiprocessing", "SemLock.__enter__", "_multiprocessing.SemLock.__enter__",
              NAPS, enter_waiting);

bine__standin *const bine__semaphore_standins[] = {&standin_acquire, &standin_enter, NULL};
