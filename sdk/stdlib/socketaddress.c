/* Addresses with a host's name: CPython looks them up inside connect(), sendto() and bind(), where nobody
 * could suspend. */
#include "stdlib/socket.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

/* Whether looking `host` up would be asking somebody. */
static bool is_name(PyObject *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    const char *text = PyUnicode_Check(host) ? PyUnicode_AsUTF8(host) : NULL;

    if (text == NULL || *text == '\0' || strcmp(text, "<broadcast>") == 0) {
        PyErr_Clear();
        return false;
    }
    return inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1;
}

/* The first address of a host (new), as CPython has it. */
static PyObject *look_up(PyObject *host, int family)
{
    PyObject *module = PyImport_ImportModule("_socket");
    PyObject *infos = module == NULL
                          ? NULL
                          : PyObject_CallMethod(module, "getaddrinfo", "OOi", host, Py_None, family);
    PyObject *info = infos == NULL ? NULL : PySequence_GetItem(infos, 0);
    PyObject *address = info == NULL ? NULL : PySequence_GetItem(info, 4);
    PyObject *literal = address == NULL ? NULL : PySequence_GetItem(address, 0);

    Py_XDECREF(address);
    Py_XDECREF(info);
    Py_XDECREF(infos);
    Py_XDECREF(module);
    return literal;
}

/* AF_INET or AF_INET6 when `address` is one with a name; else 0. */
static int family_of_name(PyObject *socket, PyObject *address)
{
    PyObject *family;
    long number;

    if (!PyTuple_Check(address) || PyTuple_GET_SIZE(address) < 2 || !is_name(PyTuple_GET_ITEM(address, 0)))
        return 0;
    family = PyObject_GetAttrString(socket, "family");
    number = family == NULL ? 0 : PyLong_AsLong(family);
    Py_XDECREF(family);
    PyErr_Clear();
    return number == AF_INET || number == AF_INET6 ? (int)number : 0;
}

PyObject *bine__socket_address(PyObject *socket, PyObject *address)
{
    int family = family_of_name(socket, address);
    PyObject *literal;
    PyObject *result;

    if (family == 0)
        return Py_NewRef(address);
    literal = look_up(PyTuple_GET_ITEM(address, 0), family);
    result = literal == NULL ? NULL : PySequence_List(address);
    if (result != NULL && PyList_SetItem(result, 0, Py_NewRef(literal)) == 0)
        Py_SETREF(result, PyList_AsTuple(result));
    Py_XDECREF(literal);
    return result;
}
