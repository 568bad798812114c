/* Sockets: recv, recv_into, send, sendall. Each tries with MSG_DONTWAIT, waits for readiness, tries again.
 * What concerns a socket that does not block is CPython's own. */
#include "stdlib/socket.h"

#include "python/python.h"
#include "service/descriptor.h"
#include "stdlib/fair.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

/* Up to this, what is received comes into a buffer for all first: who waits has none of his own. */
#define AT_ONCE 65536

int bine__socket_ask(PyTypeObject *type, PyObject *socket, bine__look *out)
{
    PyObject *fd = PyObject_CallMethod((PyObject *)type, "fileno", "O", socket);
    PyObject *seconds = fd == NULL ? NULL : PyObject_CallMethod((PyObject *)type, "gettimeout", "O", socket);

    *out = (bine__look){.fd = -1};
    if (seconds != NULL) {
        out->fd = (int)PyLong_AsLong(fd);
        out->timeout_ns = seconds == Py_None ? -1 : (int64_t)(PyFloat_AsDouble(seconds) * 1e9);
    }
    Py_XDECREF(seconds);
    Py_XDECREF(fd);
    return PyErr_Occurred() ? -1 : 0;
}

bool bine__socket_waits(const bine__look *look, int flags)
{
    int status;

    if (look->timeout_ns >= 0)
        return look->timeout_ns > 0;
    if ((flags & MSG_DONTWAIT) != 0)
        return false;
    if (bine__socket_is_known(bine__here, look->fd))
        return true; /* it has been asked before */
    status = fcntl(look->fd, F_GETFL);
    return status < 0 || (status & O_NONBLOCK) == 0;
}

bool bine__socket_is_stream(int fd)
{
    socklen_t size = sizeof(int);
    int type = 0;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* ---- arguments ---- */

/* The whole number at `place`, or `otherwise` without one. False: it is none; no exception is set. */
static bool number_at(const bine__call *call, Py_ssize_t place, const char *name, Py_ssize_t otherwise,
                      Py_ssize_t *out)
{
    PyObject *argument = bine__call_argument(call, place, name);

    *out = argument == NULL ? otherwise : PyNumber_AsSsize_t(argument, PyExc_OverflowError);
    if (*out != -1 || PyErr_Occurred() == NULL)
        return true;
    PyErr_Clear();
    return false;
}

/* Likewise, an int. */
static bool flags_at(const bine__call *call, Py_ssize_t place, int *out)
{
    Py_ssize_t flags;

    if (!number_at(call, place, "flags", 0, &flags) || flags != (int)flags)
        return false;
    *out = (int)flags;
    return true;
}

/* Whether recv_into() is given arguments that it has, each once. */
static bool are_known(const bine__call *call)
{
    static const char *const names[] = {"buffer", "nbytes", "flags"};
    Py_ssize_t known = 0;

    for (Py_ssize_t i = 0; i < 3; i++)
        known += bine__call_argument(call, i, names[i]) != NULL;
    return known == call->nargs + (call->dict == NULL ? 0 : PyDict_GET_SIZE(call->dict));
}

/* ---- moving bytes ---- */

/* What a call is to move. */
typedef struct task {
    PyTypeObject *type;
    PyObject *socket;
    char *bytes;
    size_t size;
    int flags;
    bool all;    /* it goes on until all is moved */
    bool counts; /* its answer is how much was */
    size_t done;
    bine__limit limit;
    bine__use *use; /* of one who sends: begun once it has to wait */
} task;

/* 0, or -1 with an exception. `out` is what the socket says when the call begins. */
static int begin(task *t, const bine__call *call, bine__look *out)
{
    t->type = bine__socket_type(call->standin);
    t->socket = call->self;
    if (bine__socket_look(t->type, t->socket, out) != 0)
        return -1;
    t->limit = (bine__limit){.ns = out->timeout_ns};
    return 0;
}

/* 0 when some is done that the caller is to be told of: what has ended the call is raised by the next one
 * that waits. Else -1 with an exception. */
static int give_up(const task *t, int status)
{
    if (t->counts && t->done > 0 && !PyErr_Occurred()) {
        bine__raise_thrown_soon();
        return 0;
    }
    if (status != BINE_OK)
        bine__limit_raise(bine__here, status, "timed out");
    else if (!PyErr_Occurred())
        PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* Whether an errno is that of a call that has to wait, which it does then. */
static bool waits(task *t, int fd, unsigned events, int *status)
{
    bine__look look;

    if (errno == EINTR)
        return true;
    if (errno != EAGAIN || bine__socket_look(t->type, t->socket, &look) != 0)
        return false;
    if (!bine__socket_waits(&look, t->flags)) {
        errno = EAGAIN;
        return false;
    }
    *status = bine__socket_wait(&t->limit, fd, events);
    return *status == BINE_OK;
}

/* As recv(), but what is known to be empty is not asked. */
static ssize_t take(const task *t, int fd)
{
    size_t size = t->size - t->done;
    ssize_t got;

    if (t->flags == 0 && bine__socket_is_empty(bine__here, fd)) {
        errno = EAGAIN;
        return -1;
    }
    got = recv(fd, t->bytes + t->done, size, t->flags | MSG_DONTWAIT);
    if (t->flags == 0 && got > 0 && (size_t)got < size)
        bine__socket_emptied(bine__here, fd);
    return got;
}

/* 0, or -1 with an exception. */
static int receive(task *t)
{
    int status = BINE_OK;
    bine__look look;
    ssize_t got;

    do {
        if (bine__socket_look(t->type, t->socket, &look) != 0)
            return -1;
        got = take(t, look.fd);
        if (got < 0 && !waits(t, look.fd, BINE_READABLE, &status))
            break;
        t->done += got > 0 ? (size_t)got : 0;
    } while (got < 0 || (t->all && got > 0 && t->done < t->size));
    return got >= 0 ? 0 : give_up(t, status);
}

/* ---- recv ---- */

/* Between two looks whether there is more, which is ready already. */
#define PEEK_PAUSE_NS 5000000

/* The kernel goes on until all is there, if the socket is a stream that waits. */
static bool wants_all(int flags, const bine__look *look)
{
    return (flags & MSG_WAITALL) != 0 && (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)) == 0 &&
           look->timeout_ns < 0 && bine__socket_is_stream(look->fd);
}

/* No more will come. */
static bool has_ended(const task *t)
{
    struct pollfd ask = {.events = POLLRDHUP};
    bine__look look;

    if (bine__socket_look(t->type, t->socket, &look) != 0)
        PyErr_Clear();
    ask.fd = look.fd;
    return look.fd < 0 || (poll(&ask, 1, 0) > 0 && (ask.revents & ~POLLIN) != 0);
}

/* All, without taking it: each look begins anew. 0, or -1 with an exception. */
static int peek_all(task *t)
{
    int status = BINE_OK;
    bool last;

    t->all = false;
    do {
        last = has_ended(t);
        t->done = 0;
        if (receive(t) != 0)
            return -1;
        if (!last && t->done > 0 && t->done < t->size)
            status = bine_sleep_real(PEEK_PAUSE_NS);
    } while (!last && status == BINE_OK && t->done > 0 && t->done < t->size);
    return status == BINE_OK ? 0 : give_up(t, status);
}

static int receive_as_asked(task *t)
{
    return t->all && (t->flags & MSG_PEEK) != 0 ? peek_all(t) : receive(t);
}

static PyObject *receive_at_once(task *t)
{
    static char buffer[AT_ONCE];

    t->bytes = buffer;
    if (receive(t) != 0)
        return NULL;
    return PyBytes_FromStringAndSize(buffer, (Py_ssize_t)t->done);
}

static PyObject *receive_bytes(task *t)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)t->size);

    if (bytes == NULL)
        return NULL;
    t->bytes = PyBytes_AS_STRING(bytes);
    if (receive_as_asked(t) != 0)
        Py_CLEAR(bytes);
    else
        _PyBytes_Resize(&bytes, (Py_ssize_t)t->done);
    return bytes;
}

static PyObject *socket_recv(const bine__call *call)
{
    PyObject *result;
    Py_ssize_t size;
    bine__look look;
    task t = {.counts = true};

    if (call->nargs < 1 || call->nargs > 2 || !number_at(call, 0, "", 0, &size) || size < 0 ||
        !flags_at(call, 1, &t.flags))
        return bine__call_original(call);
    if (begin(&t, call, &look) != 0)
        return NULL;
    if (look.timeout_ns == 0)
        return bine__call_original(call);
    t.size = (size_t)size;
    t.all = wants_all(t.flags, &look);
    result = t.size <= AT_ONCE && !t.all ? receive_at_once(&t) : receive_bytes(&t);
    bine__fair(bine__here);
    return result;
}

static PyObject *receive_into(task *t, Py_buffer *buffer)
{
    int status;

    t->bytes = buffer->buf;
    status = receive_as_asked(t);
    PyBuffer_Release(buffer);
    bine__fair(bine__here);
    return status == 0 ? PyLong_FromSize_t(t->done) : NULL;
}

static PyObject *socket_recv_into(const bine__call *call)
{
    PyObject *into = bine__call_argument(call, 0, "buffer");
    Py_buffer buffer;
    Py_ssize_t size;
    bine__look look;
    task t = {.counts = true};

    if (into == NULL || !are_known(call) || !number_at(call, 1, "nbytes", 0, &size) || size < 0 ||
        !flags_at(call, 2, &t.flags))
        return bine__call_original(call);
    if (begin(&t, call, &look) != 0)
        return NULL;
    if (look.timeout_ns == 0 || PyObject_GetBuffer(into, &buffer, PyBUF_WRITABLE) != 0) {
        PyErr_Clear();
        return bine__call_original(call);
    }
    if (size > buffer.len) {
        PyBuffer_Release(&buffer);
        return bine__call_original(call);
    }
    t.size = size > 0 ? (size_t)size : (size_t)buffer.len;
    t.all = wants_all(t.flags, &look);
    return receive_into(&t, &buffer);
}

/* ---- send ---- */

bine__purpose bine__socket_sending(PyObject *socket)
{
    return (bine__purpose){.thing = socket};
}

/* 0, or -1 with an exception. */
static int push(task *t)
{
    int status = BINE_OK;
    bine__look look;
    ssize_t sent;

    do {
        if (bine__socket_look(t->type, t->socket, &look) != 0)
            return -1;
        sent = send(look.fd, t->bytes + t->done, t->size - t->done, t->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        t->done += sent > 0 ? (size_t)sent : 0;
        if (sent >= 0 && (!t->all || t->done == t->size))
            return 0;
        if (t->use->user == NULL)
            bine__use_begin(bine__here, t->use, bine__socket_sending(t->socket));
    } while (sent >= 0 || waits(t, look.fd, BINE_WRITABLE, &status));
    return give_up(t, status);
}

int bine__socket_send_rest(PyTypeObject *type, PyObject *socket, char *bytes, size_t size, size_t *done,
                           int flags, bine__use *use)
{
    task t = {.type = type,
              .socket = socket,
              .bytes = bytes,
              .size = size,
              .done = *done,
              .flags = flags,
              .all = true,
              .counts = true,
              .limit.ns = -1,
              .use = use};
    int status = push(&t);

    *done = t.done;
    return status;
}

/* The bytes of one call follow each other, whoever else sends meanwhile. */
static int push_in_turn(task *t)
{
    int status = bine__use_wait(bine__here, bine__socket_sending(t->socket), &t->limit);
    bine__use use = {0};

    if (status != BINE_OK) {
        bine__limit_raise(bine__here, status, "timed out");
        return -1;
    }
    t->use = &use;
    status = push(t);
    t->use = NULL;
    bine__use_end(&use);
    t->use = NULL;
    bine__fair(bine__here);
    return status;
}

/* -1 with an exception; what is wrong with an argument says CPython: `*own` is what that says. */
static int send_argument(const bine__call *call, task *t, PyObject **own)
{
    bine__look look;
    Py_buffer buffer;
    int status;

    *own = NULL;
    if (call->nargs < 1 || call->nargs > 2 || !flags_at(call, 1, &t->flags)) {
        *own = bine__call_original(call);
        return -1;
    }
    if (begin(t, call, &look) != 0)
        return -1;
    if (look.timeout_ns == 0 || PyObject_GetBuffer(call->args[0], &buffer, PyBUF_SIMPLE) != 0) {
        PyErr_Clear();
        *own = bine__call_original(call);
        return -1;
    }
    t->bytes = buffer.buf;
    t->size = (size_t)buffer.len;
    /* As the kernel does it on a socket that waits. */
    t->all = !t->counts || (look.timeout_ns < 0 && (t->flags & MSG_DONTWAIT) == 0);
    status = push_in_turn(t);
    PyBuffer_Release(&buffer);
    return status;
}

static PyObject *socket_send(const bine__call *call)
{
    task t = {.counts = true};
    PyObject *own;

    return send_argument(call, &t, &own) == 0 ? PyLong_FromSize_t(t.done) : own;
}

static PyObject *socket_sendall(const bine__call *call)
{
    task t = {0};
    PyObject *own;

    return send_argument(call, &t, &own) == 0 ? Py_NewRef(Py_None) : own;
}

BINE__STANDIN(standin_recv, "_socket", "socket.recv", "socket.socket.recv", "readiness", socket_recv);
BINE__STANDIN(standin_recv_into, "_socket", "socket.recv_into", "socket.socket.recv_into", "readiness",
              socket_recv_into);
BINE__STANDIN_WRITES(standin_send, "_socket", "socket.send", "socket.socket.send", "readiness", socket_send);
BINE__STANDIN_WRITES(standin_sendall, "_socket", "socket.sendall", "socket.socket.sendall", "readiness",
                     socket_sendall);

PyTypeObject *bine__socket_class(void)
{
    return standin_recv.object == NULL ? NULL : bine__socket_type(&standin_recv);
}

bine__standin *const bine__socket_standins[] = {&standin_recv, &standin_recv_into, &standin_send,
                                                &standin_sendall, NULL};
