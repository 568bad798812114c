/* multiprocessing's semaphores and locks, which other processes release: nothing tells of that, so they are
 * asked for again and again, 10 ms apart at the most.
 *
 * To multiprocessing an RLock is its OS thread's, so every micro-thread's: whose it really is, is kept here.
 */
#include "python/python.h"
#include "stdlib/standin.h"

#include <math.h>

#define FIRST_NAP_NS 100000
#define LONGEST_NAP_NS 10000000

static bine__standin standin_acquire;

/* ---- recursive ones ---- */

static PyObject *owners; /* address -> the id of the micro-thread that has had it last */

/* -1 with an exception. */
static long number_of(PyObject *value)
{
    long number = value == NULL ? -1 : PyLong_AsLong(value);

    Py_XDECREF(value);
    return number;
}

/* It has just been acquired, for the first time. 0, or -1 with an exception. */
static int note_owner(PyObject *key, PyObject *me)
{
    if (owners == NULL)
        owners = PyDict_New();
    return owners == NULL ? -1 : PyDict_SetItem(owners, key, me);
}

/* Whether one that has been acquired again is the caller's own. -1 with an exception. */
static int is_owner(PyObject *key, PyObject *me)
{
    PyObject *owner = owners == NULL ? NULL : PyDict_GetItemWithError(owners, key);

    if (owner == NULL)
        return PyErr_Occurred() ? -1 : 1;
    return PyObject_RichCompareBool(owner, me, Py_EQ);
}

/* It is acquired, `count` times by now. 1: rightly. 0: not, it is another's. -1 with an exception. */
static int judge(PyObject *self, long count)
{
    PyObject *key = PyLong_FromVoidPtr(self);
    PyObject *me = key == NULL ? NULL : PyLong_FromUnsignedLongLong(bine__here->current->id);
    int mine = -1;

    if (me != NULL && count == 1)
        mine = note_owner(key, me) == 0 ? 1 : -1;
    else if (me != NULL)
        mine = is_owner(key, me);
    Py_XDECREF(me);
    Py_XDECREF(key);
    return mine;
}

/* It has been acquired: True, or False when it has been given back. New, or NULL with an exception. */
static PyObject *keep_if_mine(PyObject *self)
{
    long kind = number_of(PyObject_GetAttrString(self, "kind"));
    long count = kind == 0 ? number_of(PyObject_CallMethod(self, "_count", NULL)) : 0;
    int mine = kind < 0 || count < 0 ? -1 : 1;
    PyObject *none;

    if (mine > 0 && kind == 0)
        mine = judge(self, count);
    if (mine != 0)
        return mine > 0 ? Py_NewRef(Py_True) : NULL;
    none = PyObject_CallMethod(self, "release", NULL);
    Py_XDECREF(none);
    return none == NULL ? NULL : Py_NewRef(Py_False);
}

/* ---- all of them ---- */

/* acquire(False): new, or NULL with an exception. */
static PyObject *try_to_acquire(PyObject *self)
{
    PyObject *args[] = {Py_False};
    bine__call call = {.standin = &standin_acquire, .self = self, .args = args, .nargs = 1};
    PyObject *got;

    got = bine__call_original(&call);
    if (got != Py_True)
        return got;
    Py_DECREF(got);
    return keep_if_mine(self);
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

    if (count != (block != NULL) + (timeout != NULL) || (block != NULL && !PyBool_Check(block)) || ns == 0)
        return bine__call_original(call);
    if (block == Py_False)
        return try_to_acquire(call->self);
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
