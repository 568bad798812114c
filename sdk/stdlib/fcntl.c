/* What module fcntl does that concerns who waits.
 *
 * Locks on files: flock(), lockf(), fcntl(F_SETLKW), os.lockf(). Nothing tells when such a lock is free but a
 * thread that waits for it, and as many threads as there are waiters there cannot be: if who holds it needs
 * one, too, they would wait for each other. So it is tried again and again, seldom, by a timer.
 *
 * What makes a descriptor one that does not block: fcntl(F_SETFL), ioctl(FIONBIO), os.set_blocking(). Who
 * waits for a socket asks for that only once, and after these. */
#include "stdlib/standin.h"

#include "python/python.h"
#include "service/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FIRST_PAUSE_NS 500000
#define LONGEST_PAUSE_NS 16000000

/* The exception that is set says that somebody else has the lock; it is cleared then. */
static bool is_held(void)
{
    PyObject *exception;
    PyObject *number;
    long error;

    if (!PyErr_ExceptionMatches(PyExc_OSError))
        return false;
    exception = bine__take_exception();
    number = PyObject_GetAttrString(exception, "errno");
    error = number == NULL ? 0 : PyLong_AsLong(number);
    Py_XDECREF(number);
    PyErr_Clear();
    if (error == EAGAIN || error == EACCES) {
        Py_DECREF(exception);
        return true;
    }
    bine__raise(exception);
    return false;
}

/* The call with `how`, which does not wait, in the place of its second argument. */
static PyObject *try_with(const bine__call *call, PyObject *how)
{
    PyObject *args[8];

    for (Py_ssize_t i = 0; i < call->nargs; i++)
        args[i] = i == 1 ? how : call->args[i];
    return bine__call_original_with(call, args, call->nargs);
}

static PyObject *try_again_and_again(const bine__call *call, int without_wait)
{
    bine *rt = bine__here;
    PyObject *how = PyLong_FromLong(without_wait);
    PyObject *result = how == NULL ? NULL : try_with(call, how);
    int64_t pause = FIRST_PAUSE_NS;

    while (how != NULL && result == NULL && is_held()) {
        int status = bine_sleep_real(pause);

        if (status != BINE_OK) {
            bine__raise_status(rt, status, NULL);
            break;
        }
        if (pause < LONGEST_PAUSE_NS)
            pause *= 2;
        result = try_with(call, how);
    }
    Py_XDECREF(how);
    return result;
}

/* The second argument of a call that is worth looking at; -1: none. */
static int second_of(const bine__call *call)
{
    long value = call->kwnames == NULL && call->nargs >= 2 && call->nargs <= 8 &&
                         PyLong_CheckExact(call->args[1])
                     ? PyLong_AsLong(call->args[1])
                     : -1;

    PyErr_Clear();
    return value >= 0 && value < 1 << 20 ? (int)value : -1;
}

/* flock() and lockf() of module fcntl have the same words. */
static PyObject *lock_whole(const bine__call *call)
{
    int how = second_of(call);

    if (how < 0 || (how & (LOCK_NB | LOCK_UN)) != 0)
        return bine__call_original(call);
    return try_again_and_again(call, how | LOCK_NB);
}

/* Of whichever descriptor: it may have been given as an object. */
static PyObject *change_flags(const bine__call *call)
{
    PyObject *result = bine__call_original(call);

    if (bine__python_now->rt != NULL)
        bine__descriptors_changed(bine__python_now->rt, 0, INT_MAX);
    return result;
}

static PyObject *fcntl_fcntl(const bine__call *call)
{
    int how = second_of(call);

    if (how == F_SETFL)
        return change_flags(call);
    if ((how != F_SETLKW && how != F_OFD_SETLKW) || !bine__stands_in(bine__here))
        return bine__call_original(call);
    return try_again_and_again(call, how == F_SETLKW ? F_SETLK : F_OFD_SETLK);
}

static PyObject *fcntl_ioctl(const bine__call *call)
{
    return second_of(call) == FIONBIO ? change_flags(call) : bine__call_original(call);
}

static PyObject *os_lockf(const bine__call *call)
{
    return second_of(call) == F_LOCK ? try_again_and_again(call, F_TLOCK) : bine__call_original(call);
}

#define BY_TIMER "a timer: it is tried again"
#define NOTED "at once; that a socket does not block any more is noted"

BINE__STANDIN(standin_flock, "fcntl", "flock", "fcntl.flock", BY_TIMER, lock_whole);
BINE__STANDIN(standin_lockf, "fcntl", "lockf", "fcntl.lockf", BY_TIMER, lock_whole);
BINE__STANDIN_EVERYWHERE(standin_fcntl, "fcntl", "fcntl", "fcntl.fcntl", BY_TIMER, fcntl_fcntl);
BINE__STANDIN(standin_os_lockf, "posix", "lockf", "os.lockf", BY_TIMER, os_lockf);
BINE__STANDIN_EVERYWHERE(standin_ioctl, "fcntl", "ioctl", "fcntl.ioctl", NOTED, fcntl_ioctl);
BINE__STANDIN_EVERYWHERE(standin_set_blocking, "posix", "set_blocking", "os.set_blocking", NOTED,
                         change_flags);

bine__standin *const bine__fcntl_standins[] = {
    &standin_flock, &standin_lockf,        &standin_fcntl, &standin_os_lockf,
    &standin_ioctl, &standin_set_blocking, NULL,
};
