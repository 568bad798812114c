/* Arguments of methods, by vectorcall's convention, and the two ways of Python to give a timeout. */
#include "python/python.h"

#include <math.h>

static Py_ssize_t find_name(const char *const *names, Py_ssize_t count, PyObject *name)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0)
            return i;
    return -1;
}

int bine__arguments(const char *method, const char *const *names, Py_ssize_t count, PyObject *const *args,
                    Py_ssize_t nargs, PyObject *kwnames, PyObject **out)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    if (nargs + named > count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd argument%s (%zd given)", method, count,
                     count == 1 ? "" : "s", nargs + named);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        out[i] = args[i];
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        Py_ssize_t at = find_name(names, count, name);

        if (at < 0 || out[at] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         at < 0 ? "%s() got an unexpected keyword argument '%U'"
                                : "%s() got multiple values for argument '%U'",
                         method, name);
            return -1;
        }
        out[at] = args[nargs + i];
    }
    return 0;
}

int bine__seconds(PyObject *seconds, const char *what, bool none_allowed, int64_t *out)
{
    double s;

    *out = -1;
    if (none_allowed && seconds == Py_None)
        return 0;
    if (!PyNumber_Check(seconds) || PyComplex_Check(seconds)) {
        PyErr_Format(PyExc_TypeError, "%s must be a number of seconds%s, not %.100s", what,
                     none_allowed ? " or None" : "", Py_TYPE(seconds)->tp_name);
        return -1;
    }
    s = PyFloat_AsDouble(seconds);
    if (s == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(s) || s < 0) {
        PyErr_Format(PyExc_ValueError, "%s must be a non-negative number of seconds, not %R", what, seconds);
        return -1;
    }
    *out = s >= 9.2e9 ? INT64_MAX / 2 : (int64_t)ceil(s * 1e9);
    return 0;
}

int bine__timeout_argument(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *method,
                           int64_t *out)
{
    static const char *const names[] = {"timeout"};
    PyObject *timeout = NULL;

    *out = -1;
    if (bine__arguments(method, names, 1, args, nargs, kwnames, &timeout) != 0)
        return -1;
    return timeout == NULL ? 0 : bine__seconds(timeout, "timeout", true, out);
}

int bine__acquire_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, int *blocking,
                            PyObject **timeout)
{
    static const char *const names[] = {"blocking", "timeout"};
    PyObject *given[2] = {0};

    if (bine__arguments("acquire", names, 2, args, nargs, kwnames, given) != 0)
        return -1;
    *blocking = given[0] == NULL ? 1 : PyObject_IsTrue(given[0]);
    *timeout = given[1];
    return *blocking < 0 ? -1 : 0;
}

int bine__lock_timeout(int blocking, PyObject *timeout, int64_t *ns)
{
    double seconds = timeout == NULL ? -1.0 : PyFloat_AsDouble(timeout);

    *ns = blocking ? -1 : 0;
    if (seconds == -1.0)
        return PyErr_Occurred() != NULL ? -1 : 0;
    if (!blocking) {
        PyErr_SetString(PyExc_ValueError, "can't specify a timeout for a non-blocking call");
        return -1;
    }
    if (!(seconds >= 0)) {
        PyErr_SetString(PyExc_ValueError, "timeout value must be a non-negative number");
        return -1;
    }
    if (seconds > (double)PY_TIMEOUT_MAX / 1e6) {
        PyErr_SetString(PyExc_OverflowError, "timeout value is too large");
        return -1;
    }
    *ns = seconds >= 9.2e9 ? INT64_MAX / 2 : (int64_t)ceil(seconds * 1e9);
    return 0;
}
