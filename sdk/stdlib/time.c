/* time.sleep(): by real time, as module time has it. */
#include "stdlib/standin.h"

#include "python/python.h"

#include <math.h>

/* Above this, CPython says that it is too much. */
#define MOST_SECONDS 9.2e9

/* -1: none that sleep() takes; no exception is set. */
static double seconds_of(PyObject *object)
{
    PyObject *index = NULL;
    double seconds;

    if (PyFloat_Check(object))
        seconds = PyFloat_AS_DOUBLE(object);
    else {
        index = PyNumber_Index(object);
        seconds = index == NULL ? -1 : PyLong_AsDouble(index);
        Py_XDECREF(index);
        PyErr_Clear();
    }
    return seconds >= 0 && seconds < MOST_SECONDS ? seconds : -1;
}

static PyObject *sleep_for(const bine__call *call)
{
    double seconds = seconds_of(call->args[0]);
    int status;

    if (seconds < 0)
        return bine__call_original(call); /* which says what is wrong */
    status = bine_sleep_real((int64_t)ceil(seconds * 1e9));
    return status == BINE_OK ? Py_NewRef(Py_None) : bine__raise_status(bine__here, status, NULL);
}

BINE__STANDIN(standin_sleep, "time", "sleep", "time.sleep", "a timer", sleep_for);

bine__standin *const bine__time_standins[] = {&standin_sleep, NULL};
