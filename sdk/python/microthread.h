/* bine.MicroThread, which is bine_micro to C: what a micro-thread runs, returned and is called. */
#ifndef BINE_PYTHON_MICROTHREAD_H
#define BINE_PYTHON_MICROTHREAD_H

#include <Python.h>

#include "core/micro.h"

#include <stddef.h>

struct bine__timeout;
struct bine_micro;
struct bine__ending;

/* A with block that a micro-thread is inside of: what is to be undone when it ends without leaving. */
typedef struct bine__block {
    struct bine__block *outer;
    struct bine_micro *micro;                   /* NULL: not inside */
    void (*abandon)(struct bine__block *block); /* it has been left: undo what entering did */
} bine__block;

/* What a C function's micro-thread runs. */
typedef struct bine__native {
    bine_micro_fn function; /* NULL: it runs no C function */
    void *user;
    bine_free release;
} bine__native;

/* What only some need: made for those, kept as long as they are. */
typedef struct bine__extra {
    bine__native native;
    bine__tracers tracers;        /* trace and profile functions to start with */
    PyObject *kwnames;            /* the names of keyword arguments, or NULL */
    PyObject *decimal;            /* the decimal context to start with, or NULL */
    struct bine__ending *endings; /* deferreds for its end */
    struct bine__timeout *due;    /* timeouts it is inside of that are over, in that order */
} bine__extra;

struct bine_micro {
    PyObject_HEAD
    bine__micro core;   /* when it has ended, older and newer link those with an error to take */
    PyObject *function; /* until it has ended; NULL: it runs a C function */
    PyObject *args;     /* a tuple, the values of keyword arguments last; NULL: none */
    bine__extra *extra; /* or NULL */
    PyObject *result;
    PyObject *error;    /* what it raised */
    PyObject *thrown;   /* to be raised at its wait, see BINE__THROW */
    PyObject *name;     /* when not `named`: what to make it from when asked for, or NULL */
    PyCodeObject *site; /* who spawned it; NULL: the host */
    int site_offset;
    bool named;
    bool told;           /* of its error: somebody has got it, or the host has heard */
    bool error_taken;    /* somebody has seen `error` */
    bool farewell;       /* it ended as it was told to */
    bool exits;          /* bine.Exit has been raised in it */
    bine__block *blocks; /* entered, the innermost first */
    bine__waiters joiners;
    void *data; /* the host's */
    PyObject *weakrefs;
};

/* Its extra, made now if it had none; NULL when memory is out (no exception). */
bine__extra *bine__extra_of(bine_micro *micro);

static inline bool bine__has_timeouts_due(const bine_micro *micro)
{
    return micro->extra != NULL && micro->extra->due != NULL;
}

static inline bool bine__is_native(const bine_micro *micro)
{
    return micro->extra != NULL && micro->extra->native.function != NULL;
}

static inline bine_micro *bine__of_core(bine__micro *core)
{
    return (bine_micro *)(void *)((char *)core - offsetof(bine_micro, core));
}

/* Raises KeyboardInterrupt where it waits, once. 0, or -1 when out of memory. */
int bine__throw_interrupt(bine_micro *micro);

void bine__block_enter(bine__block *block, bine_micro *micro);
void bine__block_leave(bine__block *block);

/* __exit__() of one that lets exceptions pass: abandons it if it is still entered, and returns False.
 * `elsewhere`: what is raised on a thread other than the owner's. */
PyObject *bine__block_exit(bine__block *block, const char *elsewhere);

/* What it ended with, as a result: of objects as such, or as values where they have such a form. */
struct bine__result bine__micro_outcome(bine_micro *micro, bool as_object);

/* A deferred for its end (new), or NULL with a message when memory is out. */
bine_deferred *bine__micro_ending(bine_micro *micro, bool as_object);

/* Whether `d` waits, by steps and groups, for the end of `micro`. */
bool bine__micro_awaited_by(bine_micro *micro, bine_deferred *d);
/* It has ended: settles those. */
void bine__endings_settle(bine_micro *micro);

/* The next three: new, or NULL with an exception. */

/* Spawns a C function; the last three are taken, also on failure. */
bine_micro *bine__spawn_native(bine *rt, bine_scope *scope, bine_micro_fn function, void *user,
                               bine_free release);
/* Spawns args[0](*args[1:nargs], **kwargs) as a child of `scope` (may be NULL), by vectorcall's convention.
 */
bine_micro *bine__spawn_call(bine *rt, bine_scope *scope, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames);

/* Spawns function(*args) (both borrowed; args may be NULL) under `name` (taken, may be NULL). New. */
bine_micro *bine__spawn(bine *rt, PyObject *function, PyObject *args, PyObject *name);

/* `attribute` of the function if it is a str, else the name of its type: new, or NULL with an exception. */
PyObject *bine__name_of(PyObject *function, const char *attribute);

/* Its name: new, never NULL but with an exception. */
PyObject *bine__micro_name(bine_micro *micro);

/* Where it was spawned: a new file name, or NULL (no exception), and the line. */
PyObject *bine__micro_site(const bine_micro *micro, int *line);

/* The frames of one that is suspended, outermost first (a new list). */
PyObject *bine__micro_stack(bine_micro *micro);

/* What it waits for, in words (new), or NULL: for its turn, or with an exception. */
PyObject *bine__awaited(const bine__micro *core);

/* Waits until it has ended, in whatever way: BINE_OK, or a status with an exception. Its error is nobody's by
 * that. */
int bine__micro_await_end(bine_micro *micro, int64_t timeout_ns);

/* The frames from the innermost one (taken, may be NULL) to `end` (exclusive; NULL: all), outermost first (a
 * new list). */
PyObject *bine__frames(PyFrameObject *frame, const PyFrameObject *end);

/* Its error counts as seen from now on. */
void bine__micro_take_error(bine_micro *micro);

#endif
