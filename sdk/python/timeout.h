/* bine.timeout: a context manager that raises bine.Timeout inside when its time is over. */
#ifndef BINE_PYTHON_TIMEOUT_H
#define BINE_PYTHON_TIMEOUT_H

#include <Python.h>

#include "core/timer.h"
#include "python/microthread.h"

typedef struct bine__timeout {
    PyObject_HEAD
    bine__timer timer;
    bine__block block; /* while inside, that is a reference to this */
    struct bine__timeout *next_due;
    int64_t ns; /* -1: no limit */
    double seconds;
    bool due; /* over, and not raised yet */
    bool expired;
} bine__timeout;

#endif
