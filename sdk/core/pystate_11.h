/* CPython 3.11: the private fields of PyThreadState that belong to a stack.
 * See pystate.h for what each macro is. Source: Include/cpython/pystate.h of 3.11. */
/* One counter serves Python and C calls alike and nothing looks at the stack pointer, so the
 * counter must be bounded by what the stack bears. Most C stack per count that tests/bench/stack_use
 * measured: 1.7 KB, in list.sort(key=). */
#define BINE__ONE_RECURSION_COUNTER 1
#define BINE__STACK_BYTES_PER_CALL 2560
#define BINE__STACK_DEFAULT_SIZE ((size_t)8 << 20)
#define BINE__STACK_SMALL_BYTES_PER_CALL 2560
#define BINE__STACK_SMALL_RESERVE ((size_t)32 * 1024)
#define BINE__STACK_SMALL_SIZE ((size_t)128 * 1024)

#define BINE__RECURSION_LIMIT(t) ((t)->recursion_limit)
#define BINE__RECURSION_REMAINING(t) ((t)->recursion_remaining)

/* calls: cframe, the profile and trace functions with their objects,
 * curexc_type, curexc_value, curexc_traceback, exc_info, dict. trace: recursion_headroom, tracing and the
 * event being traced. async: the coroutine and
 * async generator hooks, context, context_ver, id. data: the data stack, exc_state. */
#define BINE__PYSTATE_BLOCKS(X)                       \
    X(calls, cframe, dict, 80)                        \
    X(trace, recursion_headroom, tracing_what, 12)    \
    X(async, coroutine_origin_tracking_depth, id, 48) \
    X(data, datastack_chunk, exc_state, 40)

#define BINE__PYSTATE_FIELDS(X, t) X(int, trash_nesting, (t)->trash_delete_nesting)

/* See pystack.h. */
#define BINE__PYSTACK_FIELDS(X, t)                    \
    X(_PyCFrame *, cframe, (t)->cframe)               \
    X(_PyStackChunk *, chunk, (t)->datastack_chunk)   \
    X(PyObject **, chunk_top, (t)->datastack_top)     \
    X(PyObject **, chunk_limit, (t)->datastack_limit) \
    X(_PyErr_StackItem *, handled, (t)->exc_info)     \
    X(int, trash_nesting, (t)->trash_delete_nesting)

#define BINE__USES_CFRAME 1
#define BINE__CFRAME_TRACES 1

#define BINE__SAVED_FRAME(s) (*(_PyCFrame *const *)(const void *)(s)->calls) /* comes first there */
#define BINE__SAVED_DICT(s)                                                          \
    (*(PyObject *const *)(const void *)((s)->calls + offsetof(PyThreadState, dict) - \
                                        offsetof(PyThreadState, cframe)))
