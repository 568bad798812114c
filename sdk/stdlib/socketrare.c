/* Sockets: what is left to CPython's own methods, called so that they do not wait: those with addresses and
 * ancillary data, accept; and close, which wakes who waits for what is closed. */
#include "stdlib/socket.h"

#include "python/python.h"
#include "service/pool.h"
#include "stdlib/closing.h"
#include "stdlib/fair.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long accept() stays away before it says that there are no descriptors to be had: whoever tries again
 * and again is to leave time to those that could close some. */
#define NO_ROOM_NS 10000000

/* ---- a method that tries, waits, tries again ---- */

#define MOST_ARGUMENTS 4
#define NO_FLAGS (-1)

typedef struct attempt {
    const bine__call *call;
    PyObject *(*try)(struct attempt *a);
    PyObject *args[MOST_ARGUMENTS]; /* borrowed */
    Py_ssize_t nargs;
    Py_ssize_t flags; /* their place, or NO_FLAGS */
    long given;       /* what they are */
    unsigned events;
    bine__look look;
    bine__limit limit;
    int status;     /* why the last wait has ended */
    bine__use *use; /* of one who sends to a stream: begun once it has to wait; else NULL */
} attempt;

/* With MSG_DONTWAIT where that will do: it disturbs nobody else who uses the socket. */
static PyObject *try_once(attempt *a)
{
    PyObject *args[MOST_ARGUMENTS];
    PyObject *result;

    if (a->flags == NO_FLAGS || a->look.timeout_ns >= 0)
        return bine__socket_try(a->call, &a->look, a->args, a->nargs);
    memcpy(args, a->args, sizeof args);
    args[a->flags] = PyLong_FromLong(a->given | MSG_DONTWAIT);
    if (args[a->flags] == NULL)
        return NULL;
    result = bine__call_original_with(a->call, args, a->nargs > a->flags ? a->nargs : a->flags + 1);
    Py_DECREF(args[a->flags]);
    return result;
}

/* Waits if that is what is wanted: true. */
static bool waits(attempt *a)
{
    if (!PyErr_ExceptionMatches(PyExc_BlockingIOError))
        return false;
    PyErr_Clear();
    if (a->use != NULL && a->use->user == NULL)
        bine__use_begin(bine__here, a->use, bine__socket_sending(a->call->self));
    a->status = bine__socket_wait(&a->limit, a->look.fd, a->events);
    return a->status == BINE_OK;
}

/* The flags as they are given; what is none CPython is to judge. */
static void find_flags(attempt *a)
{
    PyObject *flags = a->flags == NO_FLAGS ? bine__call_argument(a->call, MOST_ARGUMENTS, "flags")
                                           : a->args[a->flags];

    a->given = flags == NULL ? 0 : PyLong_Check(flags) ? PyLong_AsLong(flags) : -1;
    if (a->given >= 0 && a->given <= INT_MAX)
        return;
    PyErr_Clear();
    a->given = 0;
    a->flags = NO_FLAGS;
}

/* Not with an iterator that has been used up by looking at it. */
static PyObject *call_at_once(const attempt *a)
{
    if (a->nargs != a->call->nargs)
        return bine__call_original(a->call);
    return bine__call_original_with(a->call, a->args, a->nargs);
}

/* NULL: with an exception, or a->status says why. */
static PyObject *go_on(attempt *a)
{
    PyTypeObject *type = bine__socket_type(a->call->standin);
    PyObject *result;

    do {
        if (bine__socket_look(type, a->call->self, &a->look) != 0)
            return NULL;
        if (!bine__socket_waits(&a->look, (int)a->given))
            return call_at_once(a);
        if (!a->limit.begun)
            a->limit.ns = a->look.timeout_ns;
        result = a->try(a);
    } while (result == NULL && waits(a));
    return result;
}

/* ---- streams: a call goes on until all is moved, on a socket that blocks ---- */

/* Whether that holds for a call that has come to something. */
static bool blocks(const attempt *a)
{
    return a->look.timeout_ns < 0 && (a->given & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)) == 0 &&
           bine__socket_is_stream(a->look.fd);
}

/* Some is moved: what cut the rest short is for the next call that waits, or meets the error again. */
static void leave_for_later(const attempt *a)
{
    PyErr_Clear();
    if (a->status != BINE_OK)
        bine__raise_thrown_soon();
}

/* How many bytes have come, of as many as were wanted; -1: it is not known. */
static Py_ssize_t count_of(PyObject *result)
{
    PyObject *data = PyTuple_GET_ITEM(result, 0);

    return PyBytes_CheckExact(data) ? PyBytes_GET_SIZE(data) : PyLong_AsSsize_t(data);
}

/* Both in one (new), the addresses and so on as they came with the last; both are taken. NULL with an
 * exception. */
static PyObject *joined(PyObject *first, PyObject *next)
{
    PyObject *all = bine__tuple_of(((PyTupleObject *)next)->ob_item, PyTuple_GET_SIZE(next));
    PyObject *data = PySequence_Concat(PyTuple_GET_ITEM(first, 0), PyTuple_GET_ITEM(next, 0));

    if (all == NULL || data == NULL || PyTuple_SetItem(all, 0, Py_XNewRef(data)) != 0)
        Py_CLEAR(all);
    Py_XDECREF(data);
    Py_DECREF(first);
    Py_DECREF(next);
    return all;
}

/* What comes with descriptors ends a recvmsg(). */
static bool ends_there(PyObject *result)
{
    PyObject *ancillary = PyTuple_GET_SIZE(result) == 4 ? PyTuple_GET_ITEM(result, 1) : NULL;

    return count_of(result) == 0 || (ancillary != NULL && PyList_GET_SIZE(ancillary) > 0);
}

/* recvfrom(), recvmsg() with MSG_WAITALL: takes `result`, new. */
static PyObject *receive_rest(attempt *a, PyObject *result, Py_ssize_t size)
{
    bool ends = ends_there(result);

    while (result != NULL && !ends && count_of(result) < size) {
        PyObject *rest = PyLong_FromSsize_t(size - count_of(result));
        PyObject *next;

        a->args[0] = rest;
        next = rest == NULL ? NULL : go_on(a);
        Py_XDECREF(rest);
        if (next == NULL) {
            leave_for_later(a);
            break;
        }
        ends = ends_there(next);
        result = count_of(next) == 0 ? (Py_DECREF(next), result) : joined(result, next);
    }
    return result;
}

static PyObject *receive_all(attempt *a, PyObject *result)
{
    PyObject *wanted = a->args[0];

    if ((a->given & MSG_WAITALL) == 0 || (a->given & MSG_PEEK) != 0 || !blocks(a) || wanted == NULL ||
        !PyBytes_CheckExact(PyTuple_GET_ITEM(result, 0)))
        return result;
    return receive_rest(a, result, PyLong_AsSsize_t(wanted));
}

/* ---- all of it ---- */

static PyObject *run(attempt *a)
{
    PyObject *result;

    find_flags(a);
    result = go_on(a);
    if (result != NULL && a->events == BINE_READABLE && PyTuple_CheckExact(result))
        result = receive_all(a, result);
    else if (result == NULL && a->status != BINE_OK)
        bine__limit_raise(bine__here, a->status, "timed out");
    bine__fair(bine__here);
    return result;
}

/* How many bytes several buffers have; -1: one is none, which CPython has told by then. */
static Py_ssize_t size_of(PyObject *buffers)
{
    Py_ssize_t sum = 0;

    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(buffers); i++) {
        Py_buffer view;

        if (PyObject_GetBuffer(PySequence_Fast_GET_ITEM(buffers, i), &view, PyBUF_SIMPLE) != 0) {
            PyErr_Clear();
            return -1;
        }
        sum += view.len;
        PyBuffer_Release(&view);
    }
    return sum;
}

/* Goes on behind the first `*done` bytes of `buffers`. What is sent is sent: an exception is for later. */
static void send_rest(const attempt *a, PyObject *buffers, size_t *done)
{
    PyObject *none = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *all = none == NULL ? NULL : PyObject_CallMethod(none, "join", "(O)", buffers);

    if (all == NULL || bine__socket_send_rest(bine__socket_type(a->call->standin), a->call->self,
                                              PyBytes_AS_STRING(all), (size_t)PyBytes_GET_SIZE(all), done,
                                              (int)a->given & ~MSG_FASTOPEN, a->use) != 0)
        PyErr_Clear();
    Py_XDECREF(all);
    Py_XDECREF(none);
}

/* sendto(), sendmsg() of `buffers` (a list or a tuple; borrowed). On a stream they stand in line with all
 * that send. */
static PyObject *run_sending(attempt *a, PyObject *buffers)
{
    bine__use use = {0};
    PyObject *result;
    size_t done;

    if (bine__socket_look(bine__socket_type(a->call->standin), a->call->self, &a->look) != 0)
        return NULL;
    if (!bine__socket_is_stream(a->look.fd))
        return run(a);
    a->limit.ns = a->look.timeout_ns;
    a->use = &use;
    a->status = a->look.timeout_ns == 0
                    ? BINE_OK
                    : bine__use_wait(bine__here, bine__socket_sending(a->call->self), &a->limit);
    if (a->status != BINE_OK)
        return bine__limit_raise(bine__here, a->status, "timed out");
    result = run(a);
    done = result == NULL || !PyLong_Check(result) ? 0 : PyLong_AsSize_t(result);
    if (done > 0 && (Py_ssize_t)done < size_of(buffers) && blocks(a)) {
        send_rest(a, buffers, &done);
        Py_SETREF(result, PyLong_FromSize_t(done));
    }
    bine__use_end(&use);
    return result;
}

/* What holds several things may be used up by looking at it. False: it holds none; no exception is set. */
static bool hold(PyObject **several)
{
    PyObject *held = PySequence_Fast(*several, "");

    if (held == NULL)
        PyErr_Clear();
    else
        *several = held;
    return held != NULL;
}

/* How the arguments of a method are: each that may be left out has a place, up to the flags. */
typedef struct shape {
    unsigned events;
    Py_ssize_t flags;   /* their place, or NO_FLAGS */
    Py_ssize_t several; /* so many of the first hold several things */
} shape;

/* `filler` is what the arguments between the first and the flags are when they are not given (borrowed). */
static PyObject *transfer(const bine__call *call, const shape *form, PyObject *filler)
{
    attempt a = {
        .call = call, .try = try_once, .nargs = call->nargs, .flags = form->flags, .events = form->events};
    Py_ssize_t held = 0;
    PyObject *result;

    if (call->nargs > MOST_ARGUMENTS)
        return bine__call_original(call);
    for (Py_ssize_t i = 0; i < MOST_ARGUMENTS; i++)
        a.args[i] = i < call->nargs ? call->args[i] : i < form->flags ? filler : NULL;
    if (call->nargs == 0 || (call->dict != NULL && PyDict_GET_SIZE(call->dict) > 0))
        a.flags = NO_FLAGS; /* they may be among the keywords */
    while (held < form->several && held < call->nargs && hold(&a.args[held]))
        held++;
    result = held > 0 && form->events == BINE_WRITABLE ? run_sending(&a, a.args[0]) : run(&a);
    while (held > 0)
        Py_DECREF(a.args[--held]);
    return result;
}

static PyObject *receive(const bine__call *call, const shape *form)
{
    PyObject *zero = PyLong_FromLong(0);
    PyObject *result = zero == NULL ? NULL : transfer(call, form, zero);

    Py_XDECREF(zero);
    return result;
}

static PyObject *socket_recvfrom(const bine__call *call)
{
    return receive(call, &(shape){.events = BINE_READABLE, .flags = 1});
}

/* recvfrom_into, recvmsg */
static PyObject *socket_receive(const bine__call *call)
{
    return receive(call, &(shape){.events = BINE_READABLE, .flags = 2});
}

static PyObject *socket_recvmsg_into(const bine__call *call)
{
    return receive(call, &(shape){.events = BINE_READABLE, .flags = 2, .several = 1});
}

/* sendto(data, [flags,] address) */
static PyObject *socket_sendto(const bine__call *call)
{
    bool short_form = call->nargs == 2;
    attempt a = {.call = call, .try = try_once, .nargs = 3, .flags = 1, .events = BINE_WRITABLE};
    PyObject *zero;
    PyObject *address;
    PyObject *buffers;
    PyObject *result;

    if (call->nargs < 2 || call->nargs > 3)
        return bine__call_original(call);
    address = bine__socket_address(call->self, call->args[call->nargs - 1]);
    if (address == NULL)
        return NULL;
    zero = PyLong_FromLong(0);
    buffers = PyTuple_Pack(1, call->args[0]);
    a.args[0] = call->args[0];
    a.args[1] = short_form ? zero : call->args[1];
    a.args[2] = address;
    result = zero == NULL || buffers == NULL ? NULL : run_sending(&a, buffers);
    Py_XDECREF(buffers);
    Py_XDECREF(zero);
    Py_DECREF(address);
    return result;
}

static PyObject *socket_sendmsg(const bine__call *call)
{
    PyObject *none = PyTuple_New(0);
    PyObject *result = none == NULL
                           ? NULL
                           : transfer(call, &(shape){.events = BINE_WRITABLE, .flags = 2, .several = 2},
                                      none);

    Py_XDECREF(none);
    return result;
}

static PyObject *socket_sendmsg_afalg(const bine__call *call)
{
    return transfer(call, &(shape){.events = BINE_WRITABLE, .flags = NO_FLAGS}, NULL);
}

static PyObject *socket_bind(const bine__call *call)
{
    PyObject *address = bine__socket_address(call->self, call->args[0]);
    PyObject *result = address == NULL ? NULL : bine__call_original_with(call, &address, 1);

    Py_XDECREF(address);
    return result;
}

/* ---- accept ---- */

/* There is no room for a connection. */
static bool has_no_room(void)
{
    PyObject *error;
    PyObject *code;
    long number;

    if (!PyErr_ExceptionMatches(PyExc_OSError))
        return false;
    error = bine__take_exception();
    code = PyObject_GetAttrString(error, "errno");
    number = code == NULL ? -1 : PyLong_AsLong(code);
    Py_XDECREF(code);
    PyErr_Clear();
    bine__raise(error);
    return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

/* Says so late: it comes up again until somebody closes one. A cancel takes its place. */
static void hold_back(void)
{
    PyObject *error = bine__take_exception();
    int status = bine_sleep_real(NO_ROOM_NS);

    if (status == BINE_ECANCELED) {
        Py_DECREF(error);
        bine__raise_status(bine__here, status, NULL);
    } else {
        bine__raise(error);
    }
}

static PyObject *accept_ready(attempt *a)
{
    struct pollfd ready = {.fd = a->look.fd, .events = POLLIN};
    PyObject *result;

    if (a->look.fd >= 0 && poll(&ready, 1, 0) == 0) {
        PyErr_SetNone(PyExc_BlockingIOError); /* at a tenth of what it takes accept() to find out */
        return NULL;
    }
    result = bine__socket_try(a->call, &a->look, NULL, 0);
    if (result == NULL && has_no_room())
        hold_back();
    return result;
}

static PyObject *socket_accept(const bine__call *call)
{
    return run(&(attempt){.call = call, .try = accept_ready, .flags = NO_FLAGS, .events = BINE_READABLE});
}

/* ---- closing ---- */

static PyObject *socket_detach(const bine__call *call)
{
    bine__look look;

    if (bine__socket_look(bine__socket_type(call->standin), call->self, &look) != 0)
        return NULL;
    return bine__let_go(call, look.fd, look.fd);
}

/* It waits until the peer has taken what was sent (SO_LINGER), whether the socket blocks or not. */
static bool lingers(int fd)
{
    struct linger linger = {0};
    socklen_t size = sizeof linger;

    return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 && linger.l_onoff != 0 &&
           linger.l_linger > 0;
}

typedef struct farewell {
    bine__work work; /* first */
    int fd;          /* -1: it is closed */
    int error;
} farewell;

static void close_slowly(bine__work *work)
{
    farewell *f = (farewell *)(void *)work;

    f->error = close(f->fd) == 0 ? 0 : errno;
    f->fd = -1;
}

/* When no thread has begun with it: the kernel sends the rest by itself. */
static void drop_farewell(bine__work *work)
{
    const farewell *f = (const farewell *)(const void *)work;
    const struct linger off = {0};

    if (f->fd >= 0) {
        (void)setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
        close(f->fd);
    }
    free(work);
}

/* By a thread; a cancel leaves that to it. A reset is no error of close(), as CPython has it. */
static PyObject *close_by_thread(int fd)
{
    farewell *f = calloc(1, sizeof *f);
    int status;

    if (f == NULL) {
        close(fd);
        return PyErr_NoMemory();
    }
    *f = (farewell){.work = {.run = close_slowly, .drop = drop_farewell, .what = "a socket that lingers"},
                    .fd = fd};
    status = bine__offload(bine__here, BINE__REST, &f->work, BINE__NEVER);
    if (status != BINE_OK)
        return bine__raise_status(bine__here, status, NULL);
    errno = f->error;
    free(f);
    if (errno == 0 || errno == ECONNRESET)
        Py_RETURN_NONE;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *socket_close(const bine__call *call)
{
    PyTypeObject *type = bine__socket_type(call->standin);
    PyObject *detached;
    bine__look look;

    if (bine__socket_look(type, call->self, &look) != 0)
        return NULL;
    if (look.fd < 0 || !bine__stands_in(bine__here) || !lingers(look.fd))
        return bine__let_go(call, look.fd, look.fd);
    detached = PyObject_CallMethod((PyObject *)type, "detach", "O", call->self);
    Py_XDECREF(detached);
    return detached == NULL ? NULL : close_by_thread(look.fd);
}

/* _socket.close(fd) */
static PyObject *close_descriptor(const bine__call *call)
{
    int overflow;
    long fd = PyLong_CheckExact(call->args[0]) ? PyLong_AsLongAndOverflow(call->args[0], &overflow) : -1;

    if (fd < 0 || fd > INT_MAX)
        return bine__call_original(call);
    return bine__close(call, (int)fd);
}

/* ---- the list ---- */

#define METHOD(id, name, public, how, call) \
    BINE__STANDIN(id, "_socket", "socket." name, "socket.socket." public, how, call)
#define CLOSES(id, path, public, call) \
    BINE__STANDIN_EVERYWHERE(id, "_socket", path, public, "at once: who waits for it is woken", call)
#define SENDS(id, name, call) \
    BINE__STANDIN_WRITES(id, "_socket", "socket." name, "socket.socket." name, "readiness", call)

METHOD(standin_accept, "_accept", "accept", "readiness", socket_accept);
METHOD(standin_bind, "bind", "bind", "`socket.getaddrinfo`, for a name", socket_bind);
CLOSES(standin_close, "socket.close", "socket.socket.close", socket_close);
CLOSES(standin_detach, "socket.detach", "socket.socket.detach", socket_detach);
CLOSES(standin_close_fd, "close", "socket.close", close_descriptor);
METHOD(standin_recvfrom, "recvfrom", "recvfrom", "readiness", socket_recvfrom);
METHOD(standin_recvfrom_into, "recvfrom_into", "recvfrom_into", "readiness", socket_receive);
METHOD(standin_recvmsg, "recvmsg", "recvmsg", "readiness", socket_receive);
METHOD(standin_recvmsg_into, "recvmsg_into", "recvmsg_into", "readiness", socket_recvmsg_into);
SENDS(standin_sendmsg, "sendmsg", socket_sendmsg);
SENDS(standin_sendmsg_afalg, "sendmsg_afalg", socket_sendmsg_afalg);
SENDS(standin_sendto, "sendto", socket_sendto);

bine__standin *const bine__socket_rare_standins[] = {&standin_accept,
                                                     &standin_bind,
                                                     &standin_close,
                                                     &standin_close_fd,
                                                     &standin_detach,
                                                     &standin_recvfrom,
                                                     &standin_recvfrom_into,
                                                     &standin_recvmsg,
                                                     &standin_recvmsg_into,
                                                     &standin_sendmsg,
                                                     &standin_sendto,
                                                     &standin_sendmsg_afalg,
                                                     NULL};
