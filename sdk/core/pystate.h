/* What CPython keeps per stack: saved when a micro-thread leaves its stack, put back when it
 * returns. One PyThreadState serves the whole runtime; its per-stack fields are exchanged.
 *
 * Only pystate_<minor>.h and pyframe.c name private fields of CPython, and only this header,
 * pyframe.c and micro.c see them. Everything here needs the GIL and runs on the owner thread.
 *
 * A version file defines
 *   BINE__PYSTATE_FIELDS(X, t)   X(type, name, lvalue) for each field that is just exchanged
 *   BINE__PYSTATE_BLOCKS(X)      X(name, first, last, size) for runs of such fields: a switch is
 *                                little more than these copies
 *   BINE__PYSTACK_FIELDS(X, t)   the fields of one C stack alone, see pystack.h
 *   BINE__RECURSION_LIMIT/REMAINING(t), and how the depth of the C stack is bounded:
 *     BINE__ONE_RECURSION_COUNTER, BINE__C_RECURSION_LIMIT or BINE__STACK_POINTER_CHECKED
 *   BINE__STACK_DEFAULT_SIZE, BINE__STACK_SMALL_SIZE and, where calls are counted, what a counted
 *   call takes at most: BINE__STACK_BYTES_PER_CALL, and for small stacks
 *   BINE__STACK_SMALL_BYTES_PER_CALL beyond BINE__STACK_SMALL_RESERVE */
#ifndef BINE_CORE_PYSTATE_H
#define BINE_CORE_PYSTATE_H

#include <patchlevel.h>

#if PY_VERSION_HEX >= 0x030D0000 || defined(BINE__NEEDS_CORE)
#define Py_BUILD_CORE 1
#endif
#include <Python.h>

#ifdef Py_GIL_DISABLED
#error "Bine: free-threaded builds of CPython are not supported; choose a default build"
#endif

#if PY_VERSION_HEX >= 0x030D0000
#include <internal/pycore_tstate.h>
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_pythonrun.h> /* _PyOS_STACK_MARGIN_BYTES */
#endif

#include <stddef.h>
#include <string.h>

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

/* A run of fields has the size that the version file was written for. */
#define BINE__RUN(first, last) \
    (offsetof(PyThreadState, last) + sizeof(((PyThreadState *)0)->last) - offsetof(PyThreadState, first))
#define BINE__CHECK_RUN(name, first, last, size) \
    _Static_assert(BINE__RUN(first, last) == (size), "PyThreadState is not laid out as expected");
BINE__PYSTATE_BLOCKS(BINE__CHECK_RUN)
#undef BINE__CHECK_RUN

typedef struct bine__pystate {
#define BINE__DECLARE(name, first, last, size) _Alignas(8) unsigned char name[size];
    BINE__PYSTATE_BLOCKS(BINE__DECLARE)
#undef BINE__DECLARE
#define BINE__DECLARE(type, name, lvalue) type name;
    BINE__PYSTATE_FIELDS(BINE__DECLARE, unused)
#undef BINE__DECLARE
#if BINE__HAS_EXECUTOR
    PyObject *executor;
#endif
    int recursion_used;
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

/* The exception that is set, or NULL: PyErr_Occurred() without a call. */
#if PY_VERSION_HEX < 0x030C0000
#define BINE__ERROR(t) ((t)->curexc_type)
#else
#define BINE__ERROR(t) ((t)->current_exception)
#endif

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
#define BINE__SAVE(name, first, last, size) memcpy(s->name, &t->first, size);
    BINE__PYSTATE_BLOCKS(BINE__SAVE)
#undef BINE__SAVE
#define BINE__SAVE(type, name, lvalue) s->name = lvalue;
    BINE__PYSTATE_FIELDS(BINE__SAVE, t)
#undef BINE__SAVE
#if BINE__HAS_EXECUTOR
    /* The collector frees executors that no running thread state names: hold it. */
    s->executor = t->current_executor;
    Py_XINCREF(s->executor);
#endif
    s->recursion_used = bine__recursion_allowed(t, cap) - BINE__RECURSION_REMAINING(t);
}

static inline void bine__pystate_load(PyThreadState *t, const bine__pystate *s, int cap)
{
    uint64_t context_ver = t->context_ver;

#define BINE__LOAD(name, first, last, size) memcpy(&t->first, s->name, size);
    BINE__PYSTATE_BLOCKS(BINE__LOAD)
#undef BINE__LOAD
#define BINE__LOAD(type, name, lvalue) lvalue = s->name;
    BINE__PYSTATE_FIELDS(BINE__LOAD, t)
#undef BINE__LOAD
    t->context_ver = context_ver + 1; /* context variables cache their last look-up under it */
    BINE__RECURSION_REMAINING(t) = bine__recursion_allowed(t, cap) - s->recursion_used;
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

#if BINE__STACK_POINTER_CHECKED
/* By the formulas of CPython's own tstate_set_stack(). */
static inline void bine__set_stack_limits(PyThreadState *t, const char *low, const char *high)
{
    BINE__IMPL(t)->c_stack_top = (uintptr_t)high;
    BINE__IMPL(t)->c_stack_hard_limit = (uintptr_t)low + _PyOS_STACK_MARGIN_BYTES;
    BINE__IMPL(t)->c_stack_soft_limit = (uintptr_t)low + 2 * _PyOS_STACK_MARGIN_BYTES;
}
#endif

/* A data stack's first chunk. As CPython does: a root chunk is never popped. */
#define BINE__CHUNK_TOP(chunk) (&(chunk)->data[1])
#define BINE__CHUNK_LIMIT(chunk) ((PyObject **)((char *)(chunk) + (chunk)->size))

static inline _PyStackChunk *bine__chunk_init(const bine__pystart *start)
{
    _PyStackChunk *chunk = (_PyStackChunk *)start->chunk;

    chunk->previous = NULL;
    chunk->size = start->chunk_size;
    chunk->top = 0;
    return chunk;
}

/* Sets the thread state up for a new stack, which must be the running one. */
static inline void bine__pystate_start(PyThreadState *t, bine__pyroot *root, const bine__pystart *start)
{
    static const bine__pystate empty;
    _PyStackChunk *chunk = bine__chunk_init(start);

    bine__pystate_load(t, &empty, start->recursion_cap);
#if BINE__USES_CFRAME
    root->cframe = (_PyCFrame){.previous = &t->root_cframe};
    t->cframe = &root->cframe;
#else
    (void)root;
    t->current_frame = BINE__FIRST_FRAME(t);
#endif
#ifdef BINE__C_RECURSION_LIMIT
    t->c_recursion_remaining = start->recursion_cap;
#endif
#if BINE__STACK_POINTER_CHECKED
    bine__set_stack_limits(t, start->stack_low, start->stack_high);
#endif
    t->datastack_chunk = chunk;
    t->datastack_top = BINE__CHUNK_TOP(chunk);
    t->datastack_limit = BINE__CHUNK_LIMIT(chunk);
    t->exc_info = &t->exc_state;
    t->context = start->context;
    t->id = start->id;
}

#endif
