/* What CPython keeps per C stack, and no more: exchanged when the running micro-thread goes on on
 * another stack and back (coroutine.c). It stays who it is, so of what pystate.h exchanges all that is
 * a thread's (dict, context, tracers, the exception on its way) is left alone.
 *
 * For pyframe.c and coroutine.c. Owner thread, GIL held. */
#ifndef BINE_CORE_PYSTACK_H
#define BINE_CORE_PYSTACK_H

#include "core/pystate.h" /* before any other include of Python.h */

#include <internal/pycore_frame.h>

typedef struct bine__pystack {
#define BINE__DECLARE(type, name, lvalue) type name;
    BINE__PYSTACK_FIELDS(BINE__DECLARE, unused)
#undef BINE__DECLARE
#if BINE__HAS_EXECUTOR
    PyObject *executor;
#endif
} bine__pystack;

/* Where a stack is sewn to that of its resumer, as CPython's generators are: an exception being handled
 * is looked for there too, and its frames are called from there. The frame is none that anybody sees;
 * it is there to be linked anew, however deep the stack is. */
typedef struct bine__pyseam {
#if BINE__USES_CFRAME
    _PyCFrame cframe;
#endif
    _PyErr_StackItem handled;
    struct _PyInterpreterFrame frame;
} bine__pyseam;

#if BINE__USES_CFRAME
#define BINE__TOP_FRAME(t) ((t)->cframe->current_frame)
#else
#define BINE__TOP_FRAME(t) ((t)->current_frame)
#endif

/* Sets *py and *seam up for a stack that has not begun. Of *start, what says where it lies and its cap. */
void bine__pystack_init(PyThreadState *t, bine__pystack *py, bine__pyseam *seam, const bine__pystart *start);
/* Its calls have all returned. May run Python. */
void bine__pyseam_clear(bine__pyseam *seam);
/* The innermost frame of *py (new), or NULL when it has none. */
PyFrameObject *bine__pystack_frame(PyThreadState *t, const bine__pystack *py);
/* For the collector, of a suspended stack: visits what its frames' variables hold. */
int bine__pystack_traverse(const bine__pystack *py, const bine__pyseam *seam, visitproc visit, void *arg);

__attribute__((always_inline)) static inline void bine__pystack_swap(PyThreadState *t, bine__pystack *py)
{
    bine__pystack other;
#if BINE__CFRAME_TRACES
    uint8_t tracing = t->cframe->use_tracing; /* goes by the thread's trace functions, which stay */
#endif

#define BINE__SWAP(type, name, lvalue) \
    other.name = lvalue;               \
    lvalue = py->name;                 \
    py->name = other.name;
    BINE__PYSTACK_FIELDS(BINE__SWAP, t)
#undef BINE__SWAP
#if BINE__CFRAME_TRACES
    t->cframe->use_tracing = tracing;
#endif
#if BINE__HAS_EXECUTOR
    /* As in pystate.h: a suspended stack's is held, and let go of after it has been set. */
    other.executor = t->current_executor;
    Py_XINCREF(other.executor);
    t->current_executor = py->executor;
    Py_XDECREF(py->executor);
    py->executor = other.executor;
#endif
#if BINE__HAS_PROFILED_FRAME
    t->last_profiled_frame = NULL;
#endif
}

/* Before the switch to the stack of *py, and after the one back. Meanwhile *py is the resumer's. */
__attribute__((always_inline)) static inline void bine__pystack_enter(PyThreadState *t, bine__pystack *py,
                                                                      bine__pyseam *seam)
{
    seam->frame.previous = BINE__TOP_FRAME(t);
    seam->handled.previous_item = t->exc_info;
    bine__pystack_swap(t, py);
}

__attribute__((always_inline)) static inline void bine__pystack_leave(PyThreadState *t, bine__pystack *py,
                                                                      bine__pyseam *seam)
{
    bine__pystack_swap(t, py);
    seam->frame.previous = NULL;
    seam->handled.previous_item = NULL;
}

#endif
