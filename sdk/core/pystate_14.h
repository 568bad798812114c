/* CPython 3.14: the private fields of PyThreadState that belong to a stack.
 * See pystate.h for what each macro is. Written from a table of the fields; neither compiled nor run yet.
 * Source: Include/cpython/pystate.h, Include/internal/pycore_tstate.h. */
/* The interpreter compares the stack pointer with limits in the thread state: an overflow is a
 * clean RecursionError on any size. */
#define BINE__STACK_POINTER_CHECKED 1
#define BINE__STACK_DEFAULT_SIZE ((size_t)4 << 20)
#define BINE__STACK_SMALL_SIZE ((size_t)128 * 1024)

#define BINE__RECURSION_LIMIT(t) ((t)->py_recursion_limit)
#define BINE__RECURSION_REMAINING(t) ((t)->py_recursion_remaining)

#define BINE__IMPL(t) ((_PyThreadStateImpl *)(t))

/* Field by field: the layout has not been looked at here. */
#define BINE__PYSTATE_BLOCKS(X)

#define BINE__PYSTATE_FIELDS(X, t)                                       \
    X(int, headroom, (t)->recursion_headroom)                            \
    X(int, tracing, (t)->tracing)                                        \
    X(int, event, (t)->what_event)                                       \
    X(struct _PyInterpreterFrame *, frame, (t)->current_frame)           \
    X(Py_tracefunc, profile, (t)->c_profilefunc)                         \
    X(Py_tracefunc, trace, (t)->c_tracefunc)                             \
    X(PyObject *, profile_arg, (t)->c_profileobj)                        \
    X(PyObject *, trace_arg, (t)->c_traceobj)                            \
    X(PyObject *, error, (t)->current_exception)                         \
    X(_PyErr_StackItem *, handled, (t)->exc_info)                        \
    X(PyObject *, dict, (t)->dict)                                       \
    X(_PyStackChunk *, chunk, (t)->datastack_chunk)                      \
    X(PyObject **, chunk_top, (t)->datastack_top)                        \
    X(PyObject **, chunk_limit, (t)->datastack_limit)                    \
    X(_PyErr_StackItem, handled_base, (t)->exc_state)                    \
    X(PyObject *, context, (t)->context)                                 \
    X(uint64_t, id, (t)->id)                                             \
    X(int, coroutine_origin_depth, (t)->coroutine_origin_tracking_depth) \
    X(PyObject *, async_gen_firstiter, (t)->async_gen_firstiter)         \
    X(PyObject *, async_gen_finalizer, (t)->async_gen_finalizer)         \
    X(uintptr_t, critical_section, (t)->critical_section)                \
    X(PyObject *, local_key, (t)->threading_local_key)                   \
    X(PyObject *, local_sentinel, (t)->threading_local_sentinel)         \
    X(PyObject *, asyncio_loop, BINE__IMPL(t)->asyncio_running_loop)     \
    X(PyObject *, asyncio_task, BINE__IMPL(t)->asyncio_running_task)     \
    X(uintptr_t, stack_top, BINE__IMPL(t)->c_stack_top)                  \
    X(uintptr_t, stack_soft_limit, BINE__IMPL(t)->c_stack_soft_limit)    \
    X(uintptr_t, stack_hard_limit, BINE__IMPL(t)->c_stack_hard_limit)

/* See pystack.h. */
#define BINE__PYSTACK_FIELDS(X, t)                              \
    X(struct _PyInterpreterFrame *, frame, (t)->current_frame)  \
    X(_PyStackChunk *, chunk, (t)->datastack_chunk)             \
    X(PyObject **, chunk_top, (t)->datastack_top)               \
    X(PyObject **, chunk_limit, (t)->datastack_limit)           \
    X(_PyErr_StackItem *, handled, (t)->exc_info)               \
    X(uintptr_t, critical_section, (t)->critical_section)       \
    X(uintptr_t, stack_top, BINE__IMPL(t)->c_stack_top)         \
    X(uintptr_t, soft_limit, BINE__IMPL(t)->c_stack_soft_limit) \
    X(uintptr_t, hard_limit, BINE__IMPL(t)->c_stack_hard_limit)

#define BINE__FIRST_FRAME(t) NULL
#define BINE__HAS_LOCAL_KEY 1
#define BINE__HAS_ASYNCIO_LOOP 1
#define BINE__HAS_ASYNCIO_TASK 1
#define BINE__HAS_EXECUTOR 1

#define BINE__SAVED_FRAME(s) ((s)->frame)
