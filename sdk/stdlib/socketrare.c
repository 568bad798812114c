/* Sockets: what is left to CPython's own methods, called so that they do not wait: those with addresses and
 * ancillary data, accept; and close, which wakes who waits for what is closed. */
#include "stdlib/socket.h"

#include "python/python.h"
#include "service/descriptor.h"
#include "stdlib/fair.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

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
    int status;

    if (!PyErr_ExceptionMatches(PyExc_BlockingIOError))
        return false;
    PyErr_Clear();
    status = bine__limit_wait(bine__here, &a->limit, a->look.fd, a->events);
    if (status != BINE_OK)
        bine__limit_raise(bine__here, status, "timed out");
    return status == BINE_OK;
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

static PyObject *go_on(attempt *a)
{
    PyTypeObject *type = bine__socket_type(a->call->standin);
    PyObject *result;

    find_flags(a);
    do {
        if (bine__socket_look(type, a->call->self, &a->look) != 0)
            return NULL;
        if (!bine__socket_waits(&a->look, (int)a->given))
            return call_at_once(a);
        if (!a->limit.begun)
            a->limit.ns = a->look.timeout_ns;
        result = a->try(a);
    } while (result == NULL && waits(a));
    bine__fair(bine__here);
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
    result = go_on(&a);
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
    PyObject *result;

    if (call->nargs < 2 || call->nargs > 3)
        return bine__call_original(call);
    address = bine__socket_address(call->self, call->args[call->nargs - 1]);
    if (address == NULL)
        return NULL;
    zero = PyLong_FromLong(0);
    a.args[0] = call->args[0];
    a.args[1] = short_form ? zero : call->args[1];
    a.args[2] = address;
    result = zero == NULL ? NULL : go_on(&a);
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
    return go_on(&(attempt){.call = call, .try = accept_ready, .flags = NO_FLAGS, .events = BINE_READABLE});
}

/* ---- closing ---- */

/* close, detach */
static PyObject *socket_close(const bine__call *call)
{
    bine__look look;

    if (bine__socket_look(bine__socket_type(call->standin), call->self, &look) != 0)
        return NULL;
    bine__descriptor_closing(bine__here, look.fd);
    return bine__call_original(call);
}

/* _socket.close(fd) */
static PyObject *close_descriptor(const bine__call *call)
{
    int overflow;
    long fd = PyLong_CheckExact(call->args[0]) ? PyLong_AsLongAndOverflow(call->args[0], &overflow) : -1;

    if (fd >= 0 && fd <= INT_MAX)
        bine__descriptor_closing(bine__here, (int)fd);
    return bine__call_original(call);
}

/* ---- the list ---- */

#define METHOD(id, name, public, how, call) \
    BINE__STANDIN(id, "_socket", "socket." name, "socket.socket." public, how, call)

METHOD(standin_accept, "_accept", "accept", "readiness", socket_accept);
METHOD(standin_bind, "bind", "bind", "`socket.getaddrinfo`, for a name", socket_bind);
METHOD(standin_close, "close", "close", "at once: who waits for it is woken", socket_close);
METHOD(standin_detach, "detach", "detach", "at once: who waits for it is woken", socket_close);
METHOD(standin_recvfrom, "recvfrom", "recvfrom", "readiness", socket_recvfrom);
METHOD(standin_recvfrom_into, "recvfrom_into", "recvfrom_into", "readiness", socket_receive);
METHOD(standin_recvmsg, "recvmsg", "recvmsg", "readiness", socket_receive);
METHOD(standin_recvmsg_into, "recvmsg_into", "recvmsg_into", "readiness", socket_recvmsg_into);
METHOD(standin_sendmsg, "sendmsg", "sendmsg", "readiness", socket_sendmsg);
METHOD(standin_sendmsg_afalg, "sendmsg_afalg", "sendmsg_afalg", "readiness", socket_sendmsg_afalg);
METHOD(standin_sendto, "sendto", "sendto", "readiness", socket_sendto);
BINE__STANDIN(standin_close_fd, "_socket", "close", "socket.close", "at once: who waits for it is woken",
              close_descriptor);

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
