/* select.select, poll and epoll: CPython's own with a time of 0, then a wait, then again. An epoll is waited
 * for by its own descriptor, and so is the one descriptor that a select or a poll may have; several by an
 * epoll instance that lives as long as the call. */
#include "stdlib/closing.h"

#include "python/python.h"
#include "service/descriptor.h"
#include "stdlib/fair.h"
#include "stdlib/layout.h"
#include "stdlib/limit.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

/* How long until another try where there is no other way to wait. */
#define PAUSE_NS 10000000
/* Above this, CPython says that it is too much. */
#define MOST_SECONDS 9.2e9

#define SELECT_READ (EPOLLIN | EPOLLRDNORM | EPOLLRDBAND)
#define SELECT_WRITE (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)

typedef struct watched {
    int fd;
    uint32_t events;
} watched;

typedef struct attempt {
    const bine__call *call; /* without keywords */
    PyObject *args[4];      /* with a time of 0; borrowed */
    Py_ssize_t nargs;
    bool (*is_empty)(PyObject *result);
    int (*collect)(struct attempt *a); /* fills in `watched` before the first wait; 0 or -1: no memory */
    bine__limit limit;
    watched *watched;
    size_t count;
    int epoll;   /* its descriptor: the script's own, or one for this call alone; -1: there is none yet */
    bool is_own; /* for this call alone */
} attempt;

/* ---- time ---- */

/* Of a time in units of `unit_ns`: nanoseconds, -1 for None and what CPython takes for none. False: CPython
 * is to say what is wrong; no exception is set. */
static bool time_of(PyObject *object, double unit_ns, bool takes_negative, int64_t *ns)
{
    double units = 0;

    *ns = -1;
    if (object == NULL || object == Py_None)
        return true;
    if (PyFloat_Check(object))
        units = PyFloat_AS_DOUBLE(object);
    else if (PyLong_Check(object))
        units = PyLong_AsDouble(object);
    else
        return false;
    if (units == -1 && PyErr_Occurred())
        PyErr_Clear();
    if (units < 0 && takes_negative)
        return true;
    if (!(units >= 0 && units * unit_ns < MOST_SECONDS * 1e9))
        return false;
    *ns = (int64_t)ceil(units * unit_ns);
    return true;
}

/* ---- waiting ---- */

/* What bine_wait_fd() has a word for; 0: nothing. */
static unsigned plain_events(uint32_t events)
{
    unsigned plain = 0;

    if ((events & ~(uint32_t)(SELECT_READ | SELECT_WRITE)) != 0)
        return 0;
    if ((events & EPOLLIN) != 0)
        plain |= BINE_READABLE;
    if ((events & EPOLLOUT) != 0)
        plain |= BINE_WRITABLE;
    return plain;
}

static int hold_off(attempt *a)
{
    int64_t left = bine__limit_left(bine__here, &a->limit);

    if (left == 0)
        return BINE_ETIMEDOUT;
    return bine_sleep_real(left > 0 && left < PAUSE_NS ? left : PAUSE_NS);
}

/* What epoll does not take (a file) is never waited for. False: there is no room for it. */
static bool add(int epoll, watched *w)
{
    struct epoll_event event = {.events = w->events | EPOLLET, .data.fd = w->fd};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event) == 0 || errno == EPERM || errno == EBADF;
}

/* Changes are what counts, since the try before: what does not concern the call (a hang-up, where it asks for
 * something else) does not end the wait again and again. -1: there is none to be had. */
static int open_epoll(const attempt *a)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    bool added = epoll >= 0;

    for (size_t i = 0; added && i < a->count; i++)
        added = add(epoll, &a->watched[i]);
    if (added || epoll < 0)
        return epoll;
    close(epoll);
    return -1;
}

static void drain(int epoll)
{
    struct epoll_event events[64];

    while (epoll_wait(epoll, events, 64, 0) == 64)
        continue;
}

/* A script has closed it: the next try says so, or makes another. Or the kernel has had enough of epolls that
 * watch one descriptor. */
static int after_failure(attempt *a)
{
    if (errno != EBADF)
        return hold_off(a);
    if (a->is_own)
        a->epoll = -1;
    a->is_own = false;
    return BINE_OK;
}

static int wait_for_several(attempt *a)
{
    int status;

    if (a->epoll < 0) {
        a->epoll = open_epoll(a);
        a->is_own = a->epoll >= 0;
    }
    if (a->epoll < 0)
        return hold_off(a);
    status = bine__limit_wait(bine__here, &a->limit, a->epoll, BINE_READABLE);
    if (status == BINE_EIO)
        return after_failure(a);
    if (a->is_own)
        drain(a->epoll);
    return status;
}

static int wait_once(attempt *a)
{
    unsigned events;
    int status;

    if (a->collect != NULL && a->watched == NULL && a->collect(a) != 0)
        return BINE_ENOMEM;
    events = a->count == 1 ? plain_events(a->watched[0].events) : 0;
    if (events == 0)
        return wait_for_several(a);
    status = bine__limit_wait(bine__here, &a->limit, a->watched[0].fd, events);
    return status == BINE_EIO ? after_failure(a) : status;
}

static void end(attempt *a)
{
    if (a->is_own) {
        bine__descriptor_closing(bine__here, a->epoll);
        close(a->epoll);
    }
    PyMem_Free(a->watched);
}

/* After a wait that came to nothing, the result is what it is. */
static PyObject *run(attempt *a)
{
    int status = BINE_OK;
    PyObject *result;

    for (;;) {
        result = bine__call_original_with(a->call, a->args, a->nargs);
        if (result == NULL || status != BINE_OK || a->limit.ns == 0 || !a->is_empty(result))
            break;
        status = wait_once(a);
        Py_CLEAR(result);
        if (status != BINE_OK && status != BINE_ETIMEDOUT) {
            bine__limit_raise(bine__here, status, "");
            break;
        }
    }
    end(a);
    bine__fair(bine__here);
    return result;
}

/* The same with a time of 0 at `place`. */
static PyObject *run_with_zero(attempt *a, Py_ssize_t place)
{
    PyObject *zero = PyLong_FromLong(0);
    PyObject *result;

    if (zero == NULL)
        return NULL;
    a->args[place] = zero;
    result = run(a);
    Py_DECREF(zero);
    return result;
}

static bool is_empty_list(PyObject *result)
{
    return PyList_Check(result) && PyList_GET_SIZE(result) == 0;
}

/* ---- select.select ---- */

static bool are_empty_lists(PyObject *result)
{
    for (Py_ssize_t i = 0; i < 3; i++)
        if (!is_empty_list(PyTuple_GET_ITEM(result, i)))
            return false;
    return true;
}

/* One that is there twice has the events of both. */
static void watch(attempt *a, int fd, uint32_t events)
{
    size_t i = 0;

    while (i < a->count && a->watched[i].fd != fd)
        i++;
    if (i == FD_SETSIZE)
        return;
    if (i == a->count)
        a->watched[a->count++] = (watched){.fd = fd};
    a->watched[i].events |= events;
}

/* What has no descriptor any more is found by the next try. A method fileno() may change the list. */
static void watch_list(attempt *a, PyObject *list, uint32_t events)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(list, i));
        int fd = PyObject_AsFileDescriptor(item);

        Py_DECREF(item);
        if (fd >= 0)
            watch(a, fd, events);
        PyErr_Clear();
    }
}

static int collect_lists(attempt *a)
{
    static const uint32_t events[] = {SELECT_READ, SELECT_WRITE, EPOLLPRI};

    a->watched = PyMem_Calloc(FD_SETSIZE, sizeof *a->watched);
    for (size_t i = 0; a->watched != NULL && i < 3; i++)
        watch_list(a, a->args[i], events[i]);
    return a->watched == NULL ? -1 : 0;
}

/* 0, or -1 with an exception. What is given may be used up by looking at it. */
static int take_lists(attempt *a)
{
    for (Py_ssize_t i = 0; i < 3; i++) {
        a->args[i] = PySequence_Fast(a->call->args[i], "");
        if (a->args[i] == NULL)
            return -1;
    }
    return 0;
}

static PyObject *select_select(const bine__call *call)
{
    attempt a = {
        .call = call, .nargs = 4, .is_empty = are_empty_lists, .collect = collect_lists, .epoll = -1};
    PyObject *result = NULL;

    if (call->nargs < 3 || call->nargs > 4 ||
        !time_of(call->nargs == 4 ? call->args[3] : NULL, 1e9, false, &a.limit.ns))
        return bine__call_original(call);
    if (take_lists(&a) == 0)
        result = run_with_zero(&a, 3);
    else if (PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        result = bine__call_original(call);
    }
    for (Py_ssize_t i = 0; i < 3; i++)
        Py_XDECREF(a.args[i]);
    return result;
}

/* ---- select.poll ---- */

static int collect_dict(attempt *a)
{
    PyObject *events = ((bine__poll_object *)a->call->self)->events;
    PyObject *key, *value;
    Py_ssize_t place = 0;

    a->watched = PyMem_Calloc((size_t)PyDict_GET_SIZE(events) + 1, sizeof *a->watched);
    if (a->watched == NULL)
        return -1;
    while (PyDict_Next(events, &place, &key, &value)) {
        a->watched[a->count++] = (watched){.fd = (int)PyLong_AsLong(key),
                                           .events = (uint32_t)PyLong_AsLong(value) &
                                                     ~(uint32_t)(EPOLLERR | EPOLLHUP) & 0xffff};
    }
    PyErr_Clear();
    return 0;
}

static PyObject *poll_poll(const bine__call *call)
{
    attempt a = {.call = call, .nargs = 1, .is_empty = is_empty_list, .collect = collect_dict, .epoll = -1};

    if (call->nargs > 1 || !time_of(call->nargs == 1 ? call->args[0] : NULL, 1e6, true, &a.limit.ns) ||
        !bine__knows_polls(call->self))
        return bine__call_original(call);
    return run_with_zero(&a, 0);
}

/* ---- select.epoll ---- */

/* Its descriptor, or -1: closed. */
static int descriptor_of(PyObject *epoll)
{
    PyObject *fd = PyObject_CallMethod(epoll, "fileno", NULL);
    int number = fd == NULL ? -1 : (int)PyLong_AsLong(fd);

    Py_XDECREF(fd);
    PyErr_Clear();
    return number;
}

static PyObject *epoll_poll(const bine__call *call)
{
    PyObject *time = bine__call_argument(call, 0, "timeout");
    PyObject *most = bine__call_argument(call, 1, "maxevents");
    Py_ssize_t given = call->nargs + (call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames));
    bine__call by_position = *call;
    attempt a = {
        .call = &by_position, .nargs = most == NULL ? 1 : 2, .args[1] = most, .is_empty = is_empty_list};

    a.epoll = descriptor_of(call->self);
    if (a.epoll < 0 || given != (time != NULL) + (most != NULL) || !time_of(time, 1e9, true, &a.limit.ns))
        return bine__call_original(call);
    by_position.kwnames = NULL;
    return run_with_zero(&a, 0);
}

static PyObject *epoll_close(const bine__call *call)
{
    int fd = descriptor_of(call->self);

    return bine__let_go(call, fd, fd);
}

BINE__STANDIN(standin_select, "select", "select", "select.select", "readiness", select_select);
BINE__STANDIN(standin_poll, "select", "poll().poll", "select.poll", "readiness of what is registered",
              poll_poll);
BINE__STANDIN(standin_epoll, "select", "epoll.poll", "select.epoll.poll", "readiness", epoll_poll);
BINE__STANDIN_EVERYWHERE(standin_epoll_close, "select", "epoll.close", "select.epoll.close",
                         "at once: who waits for it is woken", epoll_close);

bine__standin *const bine__select_standins[] = {&standin_select, &standin_poll, &standin_epoll,
                                                &standin_epoll_close, NULL};
