/* CPython's own methods of a socket that blocks, called so that they do not. */
#include "stdlib/socket.h"

#include "python/python.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>

/* Another object for the same socket (new), which does not block: so that nobody else finds the real one in
 * that state. */
static PyObject *double_of(PyTypeObject *type, PyObject *socket)
{
    bine__socket_object *made = (bine__socket_object *)(void *)type->tp_alloc(type, 0);
    size_t from = offsetof(bine__socket_object, fd);

    if (made == NULL)
        return NULL;
    memcpy((char *)made + from, (char *)socket + from, (size_t)type->tp_basicsize - from);
    made->timeout_ns = 0;
    return (PyObject *)made;
}

/* The descriptor is not its own. */
static void drop_double(PyObject *made)
{
    ((bine__socket_object *)made)->fd = -1;
    Py_DECREF(made);
}

static PyObject *try_double(const bine__call *call, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *made = double_of(bine__socket_type(call->standin), call->self);
    bine__call other = *call;
    PyObject *result;

    if (made == NULL)
        return NULL;
    other.self = made;
    result = bine__call_original_with(&other, args, nargs);
    drop_double(made);
    return result;
}

/* 0, or -1 with an exception. */
static int set_timeout(PyTypeObject *type, PyObject *socket, int64_t ns)
{
    PyObject *seconds = ns < 0 ? Py_NewRef(Py_None) : PyFloat_FromDouble((double)ns / 1e9);
    PyObject *none = seconds == NULL
                         ? NULL
                         : PyObject_CallMethod((PyObject *)type, "settimeout", "OO", socket, seconds);

    Py_XDECREF(seconds);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* By public calls alone. */
static PyObject *try_set(const bine__call *call, const bine__look *look, PyObject *const *args,
                         Py_ssize_t nargs)
{
    PyTypeObject *type = bine__socket_type(call->standin);
    PyObject *result;
    PyObject *exception;

    if (set_timeout(type, call->self, 0) != 0)
        return NULL;
    result = bine__call_original_with(call, args, nargs);
    exception = result == NULL ? bine__take_exception() : NULL;
    if (set_timeout(type, call->self, look->timeout_ns) != 0)
        PyErr_Clear();
    if (exception != NULL)
        bine__raise(exception);
    return result;
}

PyObject *bine__socket_try(const bine__call *call, const bine__look *look, PyObject *const *args,
                           Py_ssize_t nargs)
{
    PyTypeObject *type = bine__socket_type(call->standin);
    PyObject *result;
    int flags;

    if (!bine__knows_sockets(type))
        return try_set(call, look, args, nargs);
    if (look->timeout_ns > 0) /* CPython has set O_NONBLOCK by itself */
        return try_double(call, args, nargs);
    flags = fcntl(look->fd, F_GETFL);
    fcntl(look->fd, F_SETFL, flags | O_NONBLOCK);
    result = try_double(call, args, nargs);
    fcntl(look->fd, F_SETFL, flags);
    return result;
}
