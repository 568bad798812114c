/* What the files of sdk/python share: the module's objects, and how C meets exceptions. Owner
 * thread with the GIL held, unless said otherwise. */
#ifndef BINE_PYTHON_PYTHON_H
#define BINE_PYTHON_PYTHON_H

#include <Python.h>

#include "core/runtime.h"
#include "data/deferred.h"

#include <bine/python.h>

#define BINE__BORROWERS 8

/* One per runtime; every pointer is owned. */
typedef struct bine__python {
    bine *rt; /* NULL when it is closing */
    PyObject *module;
    PyObject *cancelled; /* exceptions */
    PyObject *exit;
    PyObject *timeout_error;
    PyObject *not_in_micro;
    PyObject *host_error;
    PyObject *pipe_closed;
    PyObject *broken_pipe;
    PyTypeObject *micro_type;
    PyTypeObject *await_type;
    PyTypeObject *timeout_type;
    PyTypeObject *shield_type;
    PyTypeObject *scope_type;
    PyTypeObject *deferred_type;
    PyTypeObject *pipe_hub_type;
    PyTypeObject *pipe_type;
    PyTypeObject *pipe_writer_type;
    PyTypeObject *pipe_reader_type;
    PyTypeObject *function_type;
    PyTypeObject *generator_type;
    PyTypeObject *lock_type;
    PyTypeObject *rlock_type;
    PyTypeObject *simple_queue_type;
    PyObject *host_modules;               /* name -> module made by bine_def() */
    PyObject *set_recursion_limit;        /* CPython's own, where ours stands in for it; or NULL */
    PyObject *sources;                    /* name -> source of the scripts that are strings, for tracebacks */
    PyObject *compile;                    /* the builtin, or ours on small stacks */
    PyObject *borrowers[BINE__BORROWERS]; /* what ours on small stacks stand in for, see smallstack.c */
    PyObject *switch_hook;                /* a script's, or NULL */
    PyObject *library;                    /* name -> namespace of the parts in Python that have been run */
    bine_micro *failed;                   /* ended with an error that nobody has taken yet */
    struct bine__loop *loops;             /* event loops that are open */
    struct bine__generator *generators;   /* that have begun and not ended, the newest first */
    bool closed_generators;               /* none begins any more */
    bine__job call;                       /* wakes the following */
    bool calling;                         /* it is on its way */
    struct bine__ticket *called;          /* micro-threads that other threads have served, see line.c */
    struct bine__ticket *last_called;     /* of them; NULL or stale when there is none */
} bine__python;

/* That of the one runtime, for Python code on whatever thread: module bine's exceptions are
 * raised on OS threads too. It is valid as long as there is an interpreter. */
extern bine__python *bine__python_now;

/* ---- exceptions.c ---- */

int bine__add_exceptions(bine__python *py);

/* dict[key] (borrowed), or NULL: with an exception when memory is out, which PyDict_GetItemString() hides. */
PyObject *bine__get_item(PyObject *dict, const char *key);
/* A module that has been imported (borrowed), or NULL: likewise. */
PyObject *bine__imported(const char *name);

/* Raises class `name` of a module that is imported when it comes to that. Returns NULL. */
PyObject *bine__raise_from(const char *module, const char *name);

/* Takes the exception that is set (normalized, with its traceback); never NULL. */
PyObject *bine__take_exception(void);
/* Raises it again; the reference is taken. */
void bine__raise(PyObject *exception);

/* The exception that is set becomes the message of `status`, or of BINE_ENOMEM: "call: subject:
 * text". Returns the status. */
int bine__fail_with_exception(int status, const char *call, const char *subject);

/* The exception that is set goes into an iterator with a method throw(); as PyIter_Send() otherwise. */
PySendResult bine__throw_into(PyObject *iterator, PyObject **value);

/* Raises class(text); bytes that are no UTF-8 are replaced: text of the host's, or one cut short. */
void bine__raise_text(PyObject *class, const char *text);

/* Raises what `status` means. `message` may be NULL. Returns NULL for convenience. */
PyObject *bine__raise_status(bine *rt, int status, const char *message);
/* Raises bine.HostError: the host has said so. */
void bine__raise_host_error(int status, const char *message);
/* Raises what is pending in the running micro-thread. */
PyObject *bine__raise_pending(bine *rt);
/* A signal handler's exception has cut a wait short, but there is an outcome that comes first: it is raised
 * right behind that, or by the next wait, whatever is first. */
void bine__raise_thrown_soon(void);
/* Whether an exception is the way a micro-thread ends that was told to. */
bool bine__is_farewell(const bine__python *py, PyObject *exception);

/* ---- arguments.c ---- */

/* The arguments of a method that takes up to `count`, by position or name, each into its place in `out`
 * (borrowed; zeros before). -1 with an exception on bad input. */
int bine__arguments(const char *method, const char *const *names, Py_ssize_t count, PyObject *const *args,
                    Py_ssize_t nargs, PyObject *kwnames, PyObject **out);

/* Seconds to nanoseconds: None is no limit (-1). -1 with an exception on bad input. */
int bine__seconds(PyObject *seconds, const char *what, bool none_allowed, int64_t *out);

/* The one argument `timeout` that a method takes, by position or name: nanoseconds, -1 without
 * one. -1 with an exception on bad input. */
int bine__timeout_argument(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *method,
                           int64_t *out);

/* The arguments blocking=True and `timeout` (borrowed, NULL without one) of acquire(). -1 with an exception
 * on bad input. */
int bine__acquire_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, int *blocking,
                            PyObject **timeout);

/* `blocking` and `timeout` (seconds, -1 or NULL for none) as threading's locks take them: nanoseconds, 0 for
 * a call that must not wait, -1 without a limit. -1 with an exception on bad input. */
int bine__lock_timeout(int blocking, PyObject *timeout, int64_t *ns);

/* A new tuple of `count` objects, or NULL with an exception. */
static inline PyObject *bine__tuple_of(PyObject *const *items, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);

    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(items[i]));
    return tuple;
}

/* ---- convert.c ---- */

/* The object that a value of kind BINE_OBJECT holds (borrowed), or NULL. */
PyObject *bine__value_object(bine_value *value);
/* As bine_value_from_object(), on whatever thread has the GIL. */
bine_value *bine__value_holding(bine *rt, PyObject *object);

/* ---- queue.c ---- */

/* Raises queue.Empty. Returns NULL. */
PyObject *bine__raise_empty(void);

/* ---- smallstack.c ---- */

/* Has the functions that no small stack has room for run on larger ones. */
int bine__replace_borrowers(bine *rt);

/* ---- the types ---- */

int bine__add_micro_type(bine__python *py);
int bine__add_timeout_type(bine__python *py);
int bine__add_shield_type(bine__python *py);
int bine__add_scope_type(bine__python *py);
int bine__add_deferred_type(bine__python *py);
int bine__add_pipe_types(bine__python *py);
int bine__add_function_type(bine__python *py);
int bine__add_lock_types(bine__python *py);
int bine__add_event_type(bine__python *py);
int bine__add_semaphore_type(bine__python *py);
int bine__add_condition_type(bine__python *py);
int bine__add_barrier_type(bine__python *py);
int bine__add_queue_types(bine__python *py);
int bine__add_generator_type(bine__python *py);

/* bine.spawn(), to the vectorcall convention. */
PyObject *bine__py_spawn(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

/* bine.generate(), to the vectorcall convention; bine.emit(). */
PyObject *bine__py_generate(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *bine__py_emit(PyObject *module, PyObject *value);

/* Raises what `r`, a rejection, means to a script. Returns NULL. */
PyObject *bine__raise_rejection(bine *rt, const bine__result *r);
/* How a settled deferred appears to a script: its value (new), or an exception. */
PyObject *bine__deferred_outcome(bine *rt, bine_deferred *d);
/* A bine.Deferred (new) for `d`, whose hold is taken. */
PyObject *bine__deferred_object(bine__python *py, bine_deferred *d);
/* What `await` on `target` iterates over (new): it waits by calling `finish`. */
PyObject *bine__await_object(bine__python *py, PyObject *target, PyObject *(*finish)(PyObject *target));

/* A timeout of the running micro-thread is over: raises bine.Timeout for it. */
void bine__raise_timeout(bine_micro *micro);

/* The last handle has gone, on whatever thread: calls release(object), on another than the owner's in a tick
 * to come. */
void bine__release_on_owner(bine *rt, void *object, bine_free release);
/* The same, and not before that tick on the owner's thread either. */
void bine__release_later(bine *rt, void *object, bine_free release);

/* Makes a type from `spec` and adds it to the module under its last name. */
PyTypeObject *bine__add_type(bine__python *py, PyType_Spec *spec);
/* The same for a type that nobody else needs to know. 0, or -1. */
int bine__add_type_only(bine__python *py, PyType_Spec *spec);

/* tp_new of a type that takes no arguments; a subclass's __init__ may. */
PyObject *bine__new_plain(PyTypeObject *type, PyObject *args, PyObject *kwargs);
/* tp_dealloc of a type whose objects own nothing, and are none of the collector's. */
void bine__dealloc_plain(PyObject *self);

/* ---- identity.c ---- */

/* Puts the SDK's locks, queues and identities into _thread, threading and queue, and into what has taken
 * theirs already. At open. 0, or -1 with an exception. */
int bine__replace_threads(bine *rt);

/* ---- idle.c ---- */

/* Whether another thread than the calling one has to do with the interpreter. */
bool bine__other_threads_exist(void);
/* Whether there is one, the runtime's not counted, that does not wait in a line for somebody else. */
bool bine__other_threads_act(void);

/* ---- tracing.c ---- */

/* The trace and profile functions that one spawned now inherits, into *tracers (zeros; owned by the caller
 * then, also on failure). 0, or -1 with an exception. Makes the running micro-thread's its own. */
int bine__tracing_inherit(bine *rt, bine__tracers *tracers);
/* Makes them those of the running micro-thread. */
void bine__tracing_begin(const bine__tracers *tracers);
/* bine.set_switch_hook() */
PyObject *bine__py_set_switch_hook(PyObject *module, PyObject *hook);

/* ---- nowait.c ---- */

/* Has waits refused in destructors and in what the collector calls. 0, or -1 with an exception. */
int bine__refuse_waits(void);
/* After finalisation: type, which outlives it, is as it was. */
void bine__admit_waits(void);

/* ---- frames.c ---- */

/* Has tracebacks show the lines of scripts that are strings. Exceptions are kept out. */
void bine__publish_sources(bine__python *py);

/* ---- report.c ---- */

/* A rejection for `exception`, which `holder` is or has: a micro-thread. */
bine__result bine__result_of(bine *rt, PyObject *holder, PyObject *exception);
/* The exception of a rejection that comes from a script (new), or NULL: none is set. */
PyObject *bine__result_exception(const bine__result *r);

/* An exception is set that has no script to go to: logs and clears it. */
void bine__python_log_exception(bine *rt, const char *where);

/* Has `exception` (taken), which ended `micro`, told to the host, at a turn of its own. */
void bine__report_later(bine *rt, bine_micro *micro, PyObject *exception);

#endif
