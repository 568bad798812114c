#include "stdlib/layout.h"

#include <sys/socket.h>

bine__trust bine__socket_trust, bine__poll_trust;

/* An exception, which is cleared: it could not be tried this time. */
static bool conclude(bine__trust *trust, bool as_known)
{
    if (PyErr_Occurred() != NULL)
        PyErr_Clear();
    else
        *trust = as_known ? BINE__AS_KNOWN : BINE__FOREIGN;
    return *trust == BINE__AS_KNOWN;
}

/* What a method without arguments says, as a number; -1 with an exception. */
static long ask(PyObject *object, const char *method)
{
    PyObject *answer = PyObject_CallMethod(object, method, NULL);
    long number = answer == NULL ? -1 : PyLong_AsLong(answer);

    Py_XDECREF(answer);
    return number;
}

/* ---- sockets ---- */

static bool has_timeout(PyObject *socket, double seconds, int64_t ns)
{
    PyObject *none = seconds < 0 ? PyObject_CallMethod(socket, "settimeout", "O", Py_None)
                                 : PyObject_CallMethod(socket, "settimeout", "d", seconds);

    Py_XDECREF(none);
    return none != NULL && ((const bine__socket_object *)socket)->timeout_ns == ns;
}

static bool is_as_known(PyObject *socket)
{
    const bine__socket_object *o = (const bine__socket_object *)socket;

    return o->fd == ask(socket, "fileno") && o->family == AF_UNIX && o->type == SOCK_DGRAM && o->proto == 0 &&
           has_timeout(socket, 1.25, 1250000000) && has_timeout(socket, -1, -1000000000) &&
           has_timeout(socket, 0, 0);
}

/* The smallest of them ends behind the last field that is known. */
bool bine__look_at_sockets(PyTypeObject *type)
{
    bool fits = (size_t)type->tp_basicsize >= sizeof(bine__socket_object);
    PyObject *socket = fits ? PyObject_CallFunction((PyObject *)type, "iii", AF_UNIX, SOCK_DGRAM, 0) : NULL;
    bool as_known = socket != NULL && is_as_known(socket);
    PyObject *none = socket == NULL ? NULL : PyObject_CallMethod(socket, "close", NULL);

    Py_XDECREF(none);
    Py_XDECREF(socket);
    return conclude(&bine__socket_trust, as_known);
}

/* ---- polls ---- */

static bool says(const PyObject *events, int fd, long expected)
{
    PyObject *key = PyLong_FromLong(fd);
    PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError((PyObject *)events, key);

    Py_XDECREF(key);
    return value != NULL && PyLong_AsLong(value) == expected;
}

bool bine__look_at_polls(PyObject *poll)
{
    PyTypeObject *type = Py_TYPE(poll);
    bool fits = (size_t)type->tp_basicsize >= sizeof(bine__poll_object);
    PyObject *select = fits ? PyImport_ImportModule("select") : NULL;
    PyObject *other = select == NULL ? NULL : PyObject_CallMethod(select, "poll", NULL);
    PyObject *none = other == NULL ? NULL : PyObject_CallMethod(other, "register", "ii", 12345, 1);
    const PyObject *events = none == NULL ? NULL : ((const bine__poll_object *)other)->events;
    bool as_known = events != NULL && PyDict_CheckExact(events) && PyDict_Size((PyObject *)events) == 1 &&
                    says(events, 12345, 1);

    Py_XDECREF(none);
    Py_XDECREF(other);
    Py_XDECREF(select);
    return conclude(&bine__poll_trust, as_known);
}
