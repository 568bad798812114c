/* How long a call may go on, as CPython's have it: a time for the call as a whole, which is real time and
 * begins with its first wait. On a micro-thread that may wait. */
#ifndef BINE_STDLIB_LIMIT_H
#define BINE_STDLIB_LIMIT_H

#include <Python.h>

#include "core/runtime.h"

typedef struct bine__limit {
    int64_t ns;  /* negative: none */
    int64_t end; /* on the clock of rt->real_timers, once `begun` */
    bool begun;
} bine__limit;

/* What is left, in nanoseconds: -1 without a limit, 0 when it is over. */
int64_t bine__limit_left(bine *rt, bine__limit *limit);

/* bine_wait_fd() within the limit. BINE_OK: it is ready. */
int bine__limit_wait(bine *rt, bine__limit *limit, int fd, unsigned events);

/* Raises what a wait within a limit has come to; `late` is the text of the TimeoutError. Returns NULL. */
PyObject *bine__limit_raise(bine *rt, int status, const char *late);

#endif
