/* bine.MicroThread, which is bine_micro to C: what a micro-thread runs, returned and is called. */
#ifndef BINE_PYTHON_MICROTHREAD_H
#define BINE_PYTHON_MICROTHREAD_H

#include <Python.h>

#include "core/micro.h"

#include <stddef.h>

struct bine__timeout;

struct bine_micro {
    PyObject_HEAD
    bine__micro core;   /* when it has ended, older and newer link those with an error to take */
    PyObject *function; /* until it has ended */
    PyObject *args;     /* a tuple, the values of keyword arguments last; NULL: none */
    PyObject *kwnames;  /* their names, or NULL */
    PyObject *decimal;  /* the decimal context to start with, or NULL */
    PyObject *result;
    PyObject *error;    /* what it raised */
    PyObject *thrown;   /* to be raised at its wait, see BINE__THROW */
    PyObject *name;     /* when not `named`: what to make it from when asked for, or NULL */
    PyCodeObject *site; /* who spawned it; NULL: the host */
    int site_offset;
    bool named;
    bool error_taken;                   /* somebody has seen `error` */
    bool farewell;                      /* it ended as it was told to */
    struct bine__timeout *timeouts;     /* entered, the innermost first; a hold on each */
    struct bine__timeout *timeouts_due; /* those that are over, in that order */
    bine__waiters joiners;
    void *data; /* the host's */
    PyObject *weakrefs;
};

static inline bine_micro *bine__of_core(bine__micro *core)
{
    return (bine_micro *)(void *)((char *)core - offsetof(bine_micro, core));
}

/* Spawns function(*args) (both borrowed; args may be NULL) under `name` (taken, may be NULL). New. */
bine_micro *bine__spawn(bine *rt, PyObject *function, PyObject *args, PyObject *name);

/* Its name: new, never NULL but with an exception. */
PyObject *bine__micro_name(bine_micro *micro);

/* Where it was spawned: a new file name, or NULL (no exception), and the line. */
PyObject *bine__micro_site(const bine_micro *micro, int *line);

/* The frames of one that is suspended, outermost first (a new list). */
PyObject *bine__micro_stack(bine_micro *micro);

/* Its error counts as seen from now on. */
void bine__micro_take_error(bine_micro *micro);

#endif
