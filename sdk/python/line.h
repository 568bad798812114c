/* Lines of those that wait for something that scripts share: a lock, an event, a queue. Micro-threads and OS
 * threads stand in one line and are served in the order they came; who serves may be either, too. The GIL
 * guards every line: all calls here need it, on whatever thread. */
#ifndef BINE_PYTHON_LINE_H
#define BINE_PYTHON_LINE_H

#include <Python.h>

#include "core/micro.h"

/* One that waits. A micro-thread's lies on its stack, an OS thread's on the heap. */
typedef struct bine__ticket {
    bine__describe describe; /* first, see bine__wait.what */
    PyObject *thing;         /* borrowed */
    struct bine__line *line; /* NULL: in none, or served */
    struct bine__ticket *next;
    struct bine__ticket *before;
    bine__micro *micro;      /* who waits; NULL: an OS thread, at its bell */
    PyThread_type_lock bell; /* held until it is served */
    uint64_t who;            /* see bine__who() */
    PyObject *object;        /* what it brings, or is given; owned */
    bool served;
    bool forever; /* an OS thread's, without a limit of time */
    bool called;  /* by another thread: in the list of those that their owner is to wake */
    struct bine__ticket *next_called;
    struct bine__ticket *next_bell; /* of all OS threads that wait */
} bine__ticket;

typedef struct bine__line {
    bine__ticket *first;
    bine__ticket *last;
} bine__line;

/* What somebody waits for, and how. */
typedef struct bine__want {
    PyObject *thing; /* whose line it is; the caller has a hold on it */
    bine__line *line;
    int64_t timeout_ns; /* negative: no limit. By the runtime's clock for a micro-thread */
    PyObject *object;   /* what it brings (borrowed), or NULL */
    bool stubborn;      /* nothing cuts it short: to get a lock back that must be held */
    bool strict;        /* off a micro-thread, the runtime's thread never waits for it */
    bool held_by_micro; /* a micro-thread has it: nobody else will let go of it */
} bine__want;

/* Who is running: the micro-thread's own number, or the OS thread's identifier. Never 0. */
uint64_t bine__who(void);

/* Waits in line until it is served: BINE_OK, and *object (new, may be NULL) is what it was given, when
 * `object` is not NULL. BINE_ETIMEDOUT. All others with an exception set: cancelled, a signal handler raised,
 * the wait is refused, out of memory. One that was served when something cut it short counts as served. A
 * micro-thread is suspended; an OS thread blocks without the GIL. The runtime's own thread, off a
 * micro-thread, blocks only where CPython would and another Python thread may end it; when the interpreter
 * ends, nowhere. */
int bine__line_wait(const bine__want *want, PyObject **object);

/* Serves the first, with `object` (taken, may be NULL): it goes on at its turn. What it had brought: new, or
 * NULL. */
PyObject *bine__line_serve(bine__line *line, PyObject *object);

/* Serves all, with nothing. */
void bine__line_serve_all(bine__line *line);

/* Moves all of `from` to the end of `to`. */
void bine__line_move(bine__line *to, bine__line *from);

/* What a method that waits returns: True when it was served, False when its time was over, else NULL. */
PyObject *bine__line_outcome(int status);

/* The clock that its timeouts go by on this thread, in ns. */
int64_t bine__line_clock(void);

/* BINE_OK, or a status with an exception: that wait would be refused here. For those who give something up
 * before they wait. */
int bine__line_refuse(const bine__want *want);

/* The OS threads that wait in lines without a limit of time, and have not been served. */
size_t bine__line_listeners(void);

/* On whatever thread: the runtime looks again what there is to do. */
void bine__look_again(void);

/* In the child of a fork: nobody who waited is there. */
void bine__line_forget(bine__line *line);

#endif
