/* asyncio's event loop over the runtime's reactor: the hot parts of bine.EventLoop. All else is CPython's own
 * asyncio.SelectorEventLoop, which sdk/python/lib/eventloop.py derives from.
 *
 * A loop's callbacks run in one micro-thread, its runner: the one that calls run_forever(), or for the loop
 * that a runtime's micro-threads share one that is made when there is something to do. The runner parks
 * when nothing is. What the reactor tells (a descriptor is ready, a timer is due) is only noted, without the
 * GIL, in `arrived`; what Python calls for stands in `ready`, under the GIL, whatever thread it is from.
 *
 * Handles are asyncio's own objects, whose slots C reads and writes where they lie. Owner thread, GIL held,
 * unless said otherwise. */
#ifndef BINE_ASYNCIO_LOOP_H
#define BINE_ASYNCIO_LOOP_H

#include "python/python.h"

#include "core/runtime.h"

typedef struct bine__loop bine__loop;

/* Something of the reactor's has come; embedded in what it is about. */
typedef struct bine__arrival {
    struct bine__arrival *next;
    int (*run)(bine__loop *loop, struct bine__arrival *arrival); /* -1: an exception ends the loop's run */
    bool listed;
} bine__arrival;

/* What a loop knows of one descriptor. It stays in the table until the loop is closed. */
typedef struct bine__endpoint {
    bine__arrival arrival; /* first */
    bine_watch watch;
    bine__loop *loop;
    PyObject *reader; /* asyncio.Handle, or NULL */
    PyObject *writer;
    unsigned arrived; /* events that the runner has not seen yet */
    unsigned told;    /* how often it has been told of them */
    bool unusual;     /* there may be an end or a mark at which reads stop */
    bool emptied;     /* the reader that has just run says that nothing is left */
} bine__endpoint;

/* A timer's own part, behind the slots of asyncio.TimerHandle. */
typedef struct bine__due {
    bine__arrival arrival; /* first */
    bine__timer timer;
    bine__loop *loop; /* NULL: not among those that the loop holds */
    struct bine__due *next, *prev;
} bine__due;

struct bine__loop {
    PyObject_HEAD
    bine *rt;                /* NULL: closed, or the runtime is */
    bine__describe describe; /* its place is what the runner parks on */
    bine__waiters parked;    /* the runner, when it has nothing to do */
    bine__micro *runner;     /* NULL: nobody runs it */
    PyObject **ready;        /* a ring of handles (owned) */
    size_t capacity;         /* a power of two, or 0 */
    size_t head, count;
    bine__arrival *arrived, **arrived_end;
    size_t arrivals;
    bine__endpoint **endpoints; /* by descriptor */
    size_t endpoints_size;
    size_t watched;  /* of them, that have a reader or a writer */
    bine__due *dues; /* that are set, or have arrived and not run */
    bine__job call;  /* wakes the runner, or makes one */
    bool calling;    /* it is on its way, and holds the loop */
    bool shared;     /* a runner is made when there is something to do, and ends when there is not */
    bool debug, stopping, closed; /* asyncio's own _debug, _stopping, _closed */
    Py_ssize_t held;              /* while not 0 a runner that has nothing to do stays */
    char *buffer;                 /* what streams receive into */
    bine__loop *next, **here;     /* all that are open */
};

/* How much a stream receives at once, as asyncio has it. */
#define BINE__RECEIVE_SIZE ((size_t)256 * 1024)

/* ---- loop.c ---- */

/* The types that the library's part in Python derives from (new tuple). */
PyObject *bine__loop_types(PyObject *unused, PyObject *none);

bool bine__is_loop(PyObject *object);

/* At close: those that are open end to be. */
void bine__loops_close(bine__python *py);

/* Wakes the runner, or makes one if it is to be made. Owner thread, with or without the GIL when there is a
 * runner. */
void bine__loop_wake(bine__loop *loop);

/* Something has arrived. Owner thread, without the GIL. */
void bine__loop_arrived(bine__loop *loop, bine__arrival *arrival);

/* Runs a handle; -1: an exception ends the loop's run. */
int bine__loop_run_handle(bine__loop *loop, PyObject *handle);

/* ---- handle.c ---- */

/* Where asyncio.Handle and TimerHandle keep what they have. */
typedef struct bine__handle_layout {
    PyTypeObject *handle, *timer;
    PyObject *future;                                                     /* asyncio.Future */
    Py_ssize_t callback, args, cancelled, loop, traceback, repr, context; /* of Handle */
    Py_ssize_t when, scheduled;                                           /* of TimerHandle */
    Py_ssize_t due;                                                       /* of ours */
} bine__handle_layout;

extern bine__handle_layout bine__handles;

/* Looks at asyncio's classes, once. 0, or -1 with an exception. */
int bine__handles_open(void);

/* events.Handle(callback, args, loop, context) (new); `context` may be NULL or None. */
PyObject *bine__handle_new(PyTypeObject *type, bine__loop *loop, PyObject *callback, PyObject *const *args,
                           Py_ssize_t nargs, PyObject *context);
/* handle.cancel() */
void bine__handle_cancel(PyObject *handle);

static inline PyObject **bine__slot_at(PyObject *object, Py_ssize_t offset)
{
    return (PyObject **)(void *)((char *)object + offset);
}

static inline bool bine__handle_is_cancelled(PyObject *handle)
{
    return *bine__slot_at(handle, bine__handles.cancelled) == Py_True;
}

static inline bine__due *bine__due_of(PyObject *timer)
{
    return (bine__due *)(void *)((char *)timer + bine__handles.due);
}

static inline PyObject *bine__timer_of(bine__due *due)
{
    return (PyObject *)(void *)((char *)due - bine__handles.due);
}

/* ---- due.c: timers ---- */

PyObject *bine__loop_time(bine__loop *loop, PyObject *none);
PyObject *bine__loop_call_later(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *bine__loop_call_at(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *bine__loop_timer_cancelled(bine__loop *loop, PyObject *timer);
void bine__dues_drop(bine__loop *loop);

/* ---- endpoint.c: descriptors ---- */

PyObject *bine__loop_add_reader(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs);
PyObject *bine__loop_add_writer(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs);
PyObject *bine__loop_remove_reader(bine__loop *loop, PyObject *fd);
PyObject *bine__loop_remove_writer(bine__loop *loop, PyObject *fd);
PyObject *bine__loop_handles_of(bine__loop *loop, PyObject *fd);
void bine__endpoints_drop(bine__loop *loop);

/* A stream begins on `fd`: what the reactor has told of a file that had that number before is over. */
void bine__endpoint_begin(const bine__loop *loop, int fd);

/* A reader that runs has found nothing more to read from `fd`: it tried in vain, or what it read from a plain
 * TCP connection (`by_size`) was less than it asked for. */
void bine__endpoint_emptied(const bine__loop *loop, int fd, bool by_size);

/* ---- stream.c ---- */

extern PyType_Spec bine__stream_spec;

/* The keyword `context` of call_soon() and its like (borrowed; NULL: none). -1 with an exception. */
int bine__context_argument(const char *method, PyObject *const *named, PyObject *kwnames, PyObject **context);

/* 0, or -1 with the RuntimeError of a loop that is closed. */
int bine__loop_check(const bine__loop *loop);

#endif
