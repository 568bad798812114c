/* bine.timeout: a context manager that raises bine.Timeout inside when its time is over. */
#ifndef BINE_PYTHON_TIMEOUT_H
#define BINE_PYTHON_TIMEOUT_H

#include <Python.h>

#include "core/timer.h"

struct bine_micro;

typedef struct bine__timeout {
    PyObject_HEAD
    bine__timer timer;
    struct bine_micro *micro;    /* whose block it is, while inside: that holds a reference to this */
    struct bine__timeout *outer; /* the one entered before */
    struct bine__timeout *next_due;
    int64_t ns; /* -1: no limit */
    double seconds;
    bool due; /* over, and not raised yet */
    bool expired;
} bine__timeout;

/* Leaves all that an ending micro-thread has entered and not left. */
void bine__timeouts_leave(struct bine_micro *micro);

#endif
