/* What CPython keeps per stack: saved when a micro-thread leaves its stack, put back when it
 * returns. One PyThreadState serves the whole runtime; its per-stack fields are exchanged.
 *
 * Only pystate_<minor>.h name private fields of CPython, and only this header, pystate.c and
 * micro.c see them. Everything here needs the GIL and runs on the owner thread.
 *
 * A version file defines
 *   BINE__PYSTATE_FIELDS(X, t)   X(type, name, lvalue) for each field that is just exchanged
 *   BINE__RECURSION_LIMIT/REMAINING(t), and how the depth of the C stack is bounded:
 *     BINE__ONE_RECURSION_COUNTER, BINE__C_RECURSION_LIMIT or BINE__STACK_POINTER_CHECKED
 *   BINE__STACK_DEFAULT_SIZE, BINE__STACK_BYTES_PER_CALL */
#ifndef BINE_CORE_PYSTATE_H
#define BINE_CORE_PYSTATE_H

#include <patchlevel.h>

#if PY_VERSION_HEX >= 0x030D0000
#define Py_BUILD_CORE 1
#endif
#include <Python.h>

#ifdef Py_GIL_DISABLED
#error "Bine: free-threaded builds of CPython are not supported; choose a default build"
#endif

#if PY_VERSION_HEX >= 0x030D0000
#include <internal/pycore_tstate.h>
#endif

#if PY_VERSION_HEX < 0x030B0000
#error "Bine needs CPython 3.11 or newer"
#elif PY_VERSION_HEX < 0x030C0000
#include "pystate_11.h"
#elif PY_VERSION_HEX < 0x030D0000
#include "pystate_12.h"
#elif PY_VERSION_HEX < 0x030E0000
#include "pystate_13.h"
#elif PY_VERSION_HEX < 0x030F0000
#include "pystate_14.h"
#elif PY_VERSION_HEX < 0x03100000
#include "pystate_15.h"
#else
#error "Bine: this version of CPython is not known yet; add sdk/core/pystate_<minor>.h"
#endif

#if BINE__HAS_EXECUTOR && !BINE__STACK_POINTER_CHECKED
#error "the JIT's executor came with the stack pointer checks"
#endif

typedef struct bine__pystate {
#define BINE__DECLARE(type, name, lvalue) type name;
    BINE__PYSTATE_FIELDS(BINE__DECLARE, unused)
#undef BINE__DECLARE
#if BINE__HAS_EXECUTOR
    PyObject *executor;
#endif
    _PyStackChunk *chunk;
    PyObject **chunk_top;
    PyObject **chunk_limit;
    _PyErr_StackItem *handled; /* the innermost exception being handled */
    _PyErr_StackItem handled_base;
    PyObject *context;
    int recursion_used;

    /* What makes a micro-thread look like a thread of its own. */
    PyObject *dict;
    uint64_t id;
    int tracing;
    int coroutine_origin_depth;
    PyObject *async_gen_firstiter;
    PyObject *async_gen_finalizer;
    Py_tracefunc profile;
    Py_tracefunc trace;
    PyObject *profile_arg;
    PyObject *trace_arg;
} bine__pystate;

/* Where a new micro-thread's stacks lie, and how deep it may go. */
typedef struct bine__pystart {
    char *stack_low; /* the C stack is [stack_low, stack_high) and grows down */
    char *stack_high;
    void *chunk; /* the first chunk of the Python data stack */
    size_t chunk_size;
    PyObject *context; /* taken; NULL: an empty one when it is needed */
    uint64_t id;
    int recursion_cap;
} bine__pystart;

#define BINE__NO_CAP INT_MAX

/* The calls a stack may have in progress under its cap and the interpreter's limit. */
static inline int bine__recursion_allowed(PyThreadState *t, int cap)
{
#if BINE__ONE_RECURSION_COUNTER
    return BINE__RECURSION_LIMIT(t) < cap ? BINE__RECURSION_LIMIT(t) : cap;
#else
    (void)cap;
    return BINE__RECURSION_LIMIT(t);
#endif
}

static inline void bine__pystate_save(PyThreadState *t, bine__pystate *s, int cap)
{
#define BINE__SAVE(type, name, lvalue) s->name = lvalue;
    BINE__PYSTATE_FIELDS(BINE__SAVE, t)
#undef BINE__SAVE
#if BINE__HAS_EXECUTOR
    /* The collector frees executors that no running thread state names: hold it. */
    s->executor = t->current_executor;
    Py_XINCREF(s->executor);
#endif
    s->chunk = t->datastack_chunk;
    s->chunk_top = t->datastack_top;
    s->chunk_limit = t->datastack_limit;
    s->handled = t->exc_info;
    s->handled_base = t->exc_state;
    s->context = t->context;
    s->recursion_used = bine__recursion_allowed(t, cap) - BINE__RECURSION_REMAINING(t);
    s->dict = t->dict;
    s->id = t->id;
    s->tracing = t->tracing;
    s->coroutine_origin_depth = t->coroutine_origin_tracking_depth;
    s->async_gen_firstiter = t->async_gen_firstiter;
    s->async_gen_finalizer = t->async_gen_finalizer;
    s->profile = t->c_profilefunc;
    s->trace = t->c_tracefunc;
    s->profile_arg = t->c_profileobj;
    s->trace_arg = t->c_traceobj;
}

static inline void bine__pystate_load(PyThreadState *t, const bine__pystate *s, int cap)
{
#define BINE__LOAD(type, name, lvalue) lvalue = s->name;
    BINE__PYSTATE_FIELDS(BINE__LOAD, t)
#undef BINE__LOAD
    t->datastack_chunk = s->chunk;
    t->datastack_top = s->chunk_top;
    t->datastack_limit = s->chunk_limit;
    t->exc_info = s->handled;
    t->exc_state = s->handled_base;
    t->context = s->context;
    t->context_ver++; /* context variables cache their last look-up under it */
    BINE__RECURSION_REMAINING(t) = bine__recursion_allowed(t, cap) - s->recursion_used;
    t->dict = s->dict;
    t->id = s->id;
    t->tracing = s->tracing;
    t->coroutine_origin_tracking_depth = s->coroutine_origin_depth;
    t->async_gen_firstiter = s->async_gen_firstiter;
    t->async_gen_finalizer = s->async_gen_finalizer;
    t->c_profilefunc = s->profile;
    t->c_tracefunc = s->trace;
    t->c_profileobj = s->profile_arg;
    t->c_traceobj = s->trace_arg;
#if BINE__HAS_EXECUTOR
    /* First set, then let go of our hold: the order keeps it alive throughout. */
    t->current_executor = s->executor;
    Py_XDECREF(s->executor);
#endif
#if BINE__HAS_PROFILED_FRAME
    t->last_profiled_frame = NULL;
#endif
}

/* Storage that must live on the new stack as long as it runs. */
typedef struct bine__pyroot {
#if BINE__USES_CFRAME
    _PyCFrame cframe;
#endif
    char unused;
} bine__pyroot;

/* Sets the thread state up for a new stack, which must be the running one. */
static inline void bine__pystate_start(PyThreadState *t, bine__pyroot *root, const bine__pystart *start)
{
    _PyStackChunk *chunk = (_PyStackChunk *)start->chunk;
    bine__pystate s = {0};

#if BINE__USES_CFRAME
    root->cframe = (_PyCFrame){.previous = &t->root_cframe};
    s.cframe = &root->cframe;
#else
    (void)root;
    s.frame = BINE__FIRST_FRAME(t);
#endif
#ifdef BINE__C_RECURSION_LIMIT
    s.c_recursion = start->recursion_cap;
#endif
#if BINE__STACK_POINTER_CHECKED
    s.stack_top = (uintptr_t)start->stack_high;
    s.stack_hard_limit = (uintptr_t)start->stack_low + _PyOS_STACK_MARGIN_BYTES;
    s.stack_soft_limit = (uintptr_t)start->stack_low + 2 * _PyOS_STACK_MARGIN_BYTES;
#endif
    chunk->previous = NULL;
    chunk->size = start->chunk_size;
    chunk->top = 0;
    s.chunk = chunk;
    s.chunk_top = &chunk->data[1]; /* as CPython does: a root chunk is never popped */
    s.chunk_limit = (PyObject **)((char *)chunk + start->chunk_size);
    s.handled = &t->exc_state;
    s.context = start->context;
    s.id = start->id;
    bine__pystate_load(t, &s, start->recursion_cap);
}

#endif
