/* Questions about Python frames that need CPython's private fields. Owner thread, GIL held. */
#ifndef BINE_CORE_PYFRAME_H
#define BINE_CORE_PYFRAME_H

#include <Python.h>
#include <bine/common.h>
#include <stdbool.h>
#include <stdint.h>

struct bine__micro;

/* How deep a micro-thread's calls may go on a C stack of `size` bytes: CPython's own counters
 * are started so that the stack cannot overflow. */
int bine__recursion_cap(size_t size);

/* The sizes of the default and of the small class for this version of CPython, in bytes. */
size_t bine__default_stack_size(void);
size_t bine__small_stack_size(void);

/* Lets go of all that the ending micro-thread has put into the thread state; may run Python. */
void bine__pystate_clear(PyThreadState *t);

/* The innermost frame of a suspended micro-thread (new), or NULL when it has none. */
PyFrameObject *bine__suspended_frame(PyThreadState *t, const struct bine__micro *micro);

/* The code object (new) and instruction offset of the running frame, or NULL when C called. */
PyCodeObject *bine__running_code(PyThreadState *t, int *offset);

/* A copy of the running context to start a micro-thread with (new); *out may become NULL for
 * an empty one. -1 with an exception when memory is out. */
int bine__copy_context(PyThreadState *t, PyObject **out);

/* Whether a trace or profile function is being called. */
static inline bool bine__is_tracing(const PyThreadState *t)
{
    return t->tracing != 0;
}

/* How many such calls are inside one another. */
static inline int bine__tracing_depth(const PyThreadState *t)
{
    return t->tracing;
}

/* Whether the collector runs, on whatever thread. */
bool bine__is_collecting(void);

/* The trace and profile functions of a stack, with their objects. */
typedef struct bine__tracers {
    Py_tracefunc trace;
    Py_tracefunc profile;
    PyObject *trace_arg; /* new */
    PyObject *profile_arg;
} bine__tracers;

/* Whether the running stack has any. */
static inline bool bine__is_traced(const PyThreadState *t)
{
    return t->c_tracefunc != NULL || t->c_profilefunc != NULL;
}

/* Those of the running stack; sets them for it. */
void bine__tracers_get(PyThreadState *t, bine__tracers *out);
void bine__tracers_set(const bine__tracers *tracers);

/* After PyErr_SetInterrupt(): makes the evaluation loop look at once. Any thread, without the
 * GIL, and safe in a signal handler. */
void bine__hurry(PyThreadState *t);

/* Before the first coroutine: 0, or -1 with an exception. */
int bine__prepare_seams(void);

/* Whether the innermost function or generator on the stack is handling an exception. */
bool bine__is_handling(PyThreadState *t);

/* Has a dying threading.local take its values from suspended micro-threads too. 0, or -1. */
int bine__mind_locals(bine *rt);

/* Tells whether sys.setrecursionlimit() must go through bine__set_recursion_limit(). */
int bine__recursion_limit_needs_care(void);
/* Sets the interpreter's limit by its own function while the running stack keeps its cap. A
 * limit below the depth of a suspended stack is refused: 3.11 aborts when that goes on. -1:
 * exception set. */
int bine__set_recursion_limit(bine *rt, PyObject *original, PyObject *limit);

#endif
