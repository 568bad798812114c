/* CPython 3.13: the private fields of PyThreadState that belong to a stack.
 * See pystate.h for what each macro is. Source: Include/cpython/pystate.h and
 * Include/internal/pycore_tstate.h of 3.13. */
/* C calls have a counter of their own, started at what the stack bears. Most C stack per count
 * that tests/bench/stack_use measured: 1.7 KB, in list.sort(key=). */
#define BINE__STACK_BYTES_PER_CALL 2560
#define BINE__STACK_DEFAULT_SIZE ((size_t)8 << 20)
/* Its trashcan defers what is freed with fewer than 100 calls left, for good on a stack that never
 * has more: so a small stack must bear some more than these. */
#define BINE__STACK_SMALL_BYTES_PER_CALL 1792
#define BINE__STACK_SMALL_RESERVE ((size_t)12 * 1024)
#define BINE__STACK_SMALL_SIZE ((size_t)256 * 1024)
#define BINE__C_RECURSION_LIMIT Py_C_RECURSION_LIMIT

#define BINE__RECURSION_LIMIT(t) ((t)->py_recursion_limit)
#define BINE__RECURSION_REMAINING(t) ((t)->py_recursion_remaining)

/* calls: current_frame, the profile and trace functions with their objects,
 * current_exception, exc_info, dict. trace: recursion_headroom, tracing and the
 * event being traced. async: the coroutine and
 * async generator hooks, context, context_ver, id. data: the data stack, exc_state. */
#define BINE__PYSTATE_BLOCKS(X)                       \
    X(calls, current_frame, dict, 64)                 \
    X(trace, recursion_headroom, what_event, 12)      \
    X(async, coroutine_origin_tracking_depth, id, 48) \
    X(data, datastack_chunk, exc_state, 40)

#define BINE__PYSTATE_FIELDS(X, t)                               \
    X(int, c_recursion, (t)->c_recursion_remaining)              \
    X(uintptr_t, critical_section, (t)->critical_section)        \
    X(PyObject *, local_key, (t)->threading_local_key)           \
    X(PyObject *, local_sentinel, (t)->threading_local_sentinel) \
    X(PyObject *, asyncio_loop, ((_PyThreadStateImpl *)(t))->asyncio_running_loop)

/* See pystack.h. */
#define BINE__PYSTACK_FIELDS(X, t)                             \
    X(struct _PyInterpreterFrame *, frame, (t)->current_frame) \
    X(_PyStackChunk *, chunk, (t)->datastack_chunk)            \
    X(PyObject **, chunk_top, (t)->datastack_top)              \
    X(PyObject **, chunk_limit, (t)->datastack_limit)          \
    X(_PyErr_StackItem *, handled, (t)->exc_info)              \
    X(int, c_recursion, (t)->c_recursion_remaining)            \
    X(uintptr_t, critical_section, (t)->critical_section)

#define BINE__FIRST_FRAME(t) NULL
#define BINE__HAS_LOCAL_KEY 1
#define BINE__HAS_ASYNCIO_LOOP 1

#define BINE__SAVED_FRAME(s) \
    (*(struct _PyInterpreterFrame *const *)(const void *)(s)->calls) /* comes first there */
