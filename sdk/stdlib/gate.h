/* Objects that one micro-thread at a time is in: another that comes while it is suspended inside waits in a
 * line, first come, first served. The same one may come again (in a signal handler). OS threads pass, and
 * serve those who wait when they leave.
 *
 * GIL held, on whatever thread. */
#ifndef BINE_STDLIB_GATE_H
#define BINE_STDLIB_GATE_H

#include <Python.h>

#include "core/micro.h"

#include <stdbool.h>

typedef struct bine__door {
    PyObject *object; /* the caller has a hold on it */
    int side;         /* of several that do not exclude one another */
    bool anyhow;      /* who comes while nobody is inside enters, though others wait and have been served */
    /* Whether somebody is inside, an OS thread as well; `with_threads`: there are some in objects of this
     * kind. NULL: OS threads do not count. */
    bool (*taken)(PyObject *object, bool with_threads);
} bine__door;

typedef PyObject *(*bine__door_call)(const void *what);

/* call(what), as soon as there is nobody else inside. NULL also when the wait has been cut short, with an
 * exception. Where waits are refused: at once. */
PyObject *bine__enter(const bine__door *door, bine__door_call call, const void *what);

/* In the child of a fork: only `current` is there; NULL: none. */
void bine__gates_forked(const bine__micro *current);

#endif
