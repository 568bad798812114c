/* CPython 3.11: the private fields of PyThreadState that belong to a stack.
 * See pystate.h for what each macro is. Source: Include/cpython/pystate.h of 3.11. */
#define BINE__PYSTATE_VERSION "3.11"

/* One counter serves Python and C calls alike and nothing looks at the stack pointer, so the
 * counter must be bounded by what the stack bears. Most C stack per count that tests/bench/stack_use
 * measured: 1.7 KB, in list.sort(key=). */
#define BINE__ONE_RECURSION_COUNTER 1
#define BINE__STACK_BYTES_PER_CALL 2560
#define BINE__STACK_DEFAULT_SIZE ((size_t)8 << 20)

#define BINE__RECURSION_LIMIT(t) ((t)->recursion_limit)
#define BINE__RECURSION_REMAINING(t) ((t)->recursion_remaining)

#define BINE__PYSTATE_FIELDS(X, t)                                                                 \
    X(_PyCFrame *, cframe, (t)->cframe)                                                            \
    X(int, trash_nesting, (t)->trash_delete_nesting)                                               \
    X(int, event, (t)->tracing_what)                                                               \
    X(PyObject *, error_type, (t)->curexc_type)                                                    \
    X(PyObject *, error_value, (t)->curexc_value)                                                  \
    X(PyObject *, error_traceback, (t)->curexc_traceback)

#define BINE__USES_CFRAME 1
