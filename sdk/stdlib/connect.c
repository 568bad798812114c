/* Sockets: connect, connect_ex. CPython's own connect_ex() begins it without waiting; that it has come about
 * is seen by readiness, or, at a Unix socket that has as many as it takes, by trying again. */
#include "stdlib/socket.h"

#include "python/python.h"
#include "stdlib/fair.h"

#include <errno.h>
#include <sys/socket.h>

/* Between two tries at a full backlog: doubled each time, up to the most. */
#define FIRST_PAUSE_NS 1000000
#define MOST_PAUSE_NS 50000000

static bine__standin standin_connect_ex;

typedef struct attempt {
    const bine__call *call;
    PyObject *address;
    bine__look look;
    bine__limit limit;
    int64_t pause_ns;
} attempt;

/* What is wrong with an address is said by the method that was called. */
static void explain(const attempt *a)
{
    if (a->call->standin == &standin_connect_ex)
        return;
    PyErr_Clear();
    Py_XDECREF(bine__socket_try(a->call, &a->look, &a->address, 1));
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "connect(): the address has changed meanwhile");
}

/* The errno, or -1 with an exception. */
static int begin(const attempt *a)
{
    bine__call call = {.standin = &standin_connect_ex, .self = a->call->self};
    PyObject *answer = bine__socket_try(&call, &a->look, &a->address, 1);
    int error = answer == NULL ? -1 : (int)PyLong_AsLong(answer);

    Py_XDECREF(answer);
    if (error < 0)
        explain(a);
    return error;
}

/* An errno that a wait has come to, or -1 with an exception. */
static int error_of(int status)
{
    if (status == BINE_ETIMEDOUT)
        return ETIMEDOUT;
    if (status == BINE_EIO)
        return errno;
    bine__raise_status(bine__here, status, NULL);
    return -1;
}

/* The kernel takes a connection for one under way until somebody asks how it went: on a socket that blocks,
 * connect() itself does. One that has failed is let go, or the next connect() would only be told of that. */
static void settle(int fd, int error)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof peer;

    if (error != 0 || getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
        (void)connect(fd, (struct sockaddr *)&peer, size);
}

/* The errno of a connection that has begun, or -1 with an exception. `*late`: the time is over. */
static int finish(attempt *a, bool *late)
{
    int status = bine__limit_wait(bine__here, &a->limit, a->look.fd, BINE_WRITABLE);
    socklen_t size = sizeof(int);
    int error = 0;

    *late = status == BINE_ETIMEDOUT;
    if (status != BINE_OK)
        return error_of(status);
    if (getsockopt(a->look.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return errno;
    if (a->look.timeout_ns < 0)
        settle(a->look.fd, error);
    return error;
}

/* A while until the next try. 0, or -1 with an exception. */
static int hold_off(attempt *a)
{
    int status = bine_sleep_real(a->pause_ns);

    a->pause_ns = 2 * a->pause_ns < MOST_PAUSE_NS ? 2 * a->pause_ns : MOST_PAUSE_NS;
    if (status == BINE_OK)
        return 0;
    bine__raise_status(bine__here, status, NULL);
    return -1;
}

/* As CPython's own on a socket that blocks: the errno, or -1 with an exception. */
static int connect_now(attempt *a, bool *late)
{
    PyTypeObject *type = bine__socket_type(&standin_connect_ex);
    int error;

    for (;;) {
        error = begin(a);
        if (error == EINPROGRESS || (error == EALREADY && a->look.timeout_ns < 0))
            return finish(a, late);
        if (error != EAGAIN || a->look.timeout_ns >= 0)
            return error;
        if (hold_off(a) != 0 || bine__socket_look(type, a->call->self, &a->look) != 0)
            return -1;
    }
}

/* The errno; 0: it is connected, -1: an exception is set. */
static int run(const bine__call *call, bine__look look, bool *late)
{
    attempt a = {.call = call, .look = look, .limit.ns = look.timeout_ns, .pause_ns = FIRST_PAUSE_NS};
    int error;

    *late = false;
    a.address = bine__socket_address(call->self, call->args[0]);
    if (a.address == NULL)
        return -1;
    error = connect_now(&a, late);
    Py_DECREF(a.address);
    bine__fair(bine__here);
    return error;
}

static PyObject *socket_connect(const bine__call *call)
{
    bine__look look;
    bool late;
    int error;

    if (bine__socket_look(bine__socket_type(call->standin), call->self, &look) != 0)
        return NULL;
    if (!bine__socket_waits(&look, 0) || standin_connect_ex.object == NULL)
        return bine__call_original(call);
    error = run(call, look, &late);
    if (error == 0)
        Py_RETURN_NONE;
    errno = error;
    if (late)
        PyErr_SetString(PyExc_TimeoutError, "timed out");
    else if (error > 0)
        PyErr_SetFromErrno(PyExc_OSError);
    return NULL;
}

static PyObject *socket_connect_ex(const bine__call *call)
{
    bine__look look;
    bool late;
    int error;

    if (bine__socket_look(bine__socket_type(call->standin), call->self, &look) != 0)
        return NULL;
    if (!bine__socket_waits(&look, 0))
        return bine__call_original(call);
    error = run(call, look, &late);
    return error < 0 ? NULL : PyLong_FromLong(late ? EWOULDBLOCK : error);
}

BINE__STANDIN(standin_connect, "_socket", "socket.connect", "socket.socket.connect",
              "readiness; a timer while a Unix socket's backlog is full", socket_connect);
BINE__STANDIN(standin_connect_ex, "_socket", "socket.connect_ex", "socket.socket.connect_ex",
              "readiness; a timer while a Unix socket's backlog is full", socket_connect_ex);

bine__standin *const bine__connect_standins[] = {&standin_connect, &standin_connect_ex, NULL};
