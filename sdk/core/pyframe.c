#define BINE__NEEDS_CORE 1
#include "core/pystate.h" /* before any other include of Python.h */

#include "core/pyframe.h"

#include "core/runtime.h"

#include <internal/pycore_interp.h> /* the collector's state; up to 3.12 another thread's signal is not looked for */
#if PY_VERSION_HEX < 0x030D0000
#include <internal/pycore_frame.h> /* 3.11 has no public way from a frame to its code */
#endif

/* Kept free below any recursion for what is not counted: the parser, which has a limit of its
 * own (0.9 MB were measured), the host's functions, signal handlers. Small stacks borrow for the
 * parser (sdk/python/smallstack.c). */
#define RESERVE ((size_t)1 << 20)

int bine__recursion_cap(size_t size)
{
#if BINE__STACK_POINTER_CHECKED
    (void)size;
    return BINE__NO_CAP;
#else
    size_t cap = size > 2 * RESERVE ? (size - RESERVE) / BINE__STACK_BYTES_PER_CALL
                                    : (size - BINE__STACK_SMALL_RESERVE) / BINE__STACK_SMALL_BYTES_PER_CALL;

#ifdef BINE__C_RECURSION_LIMIT
    if (cap > BINE__C_RECURSION_LIMIT)
        cap = BINE__C_RECURSION_LIMIT;
#endif
    return (int)cap;
#endif
}

size_t bine__small_stack_size(void)
{
    return BINE__STACK_SMALL_SIZE;
}

size_t bine__default_stack_size(void)
{
    return BINE__STACK_DEFAULT_SIZE;
}

void bine__pystate_clear(PyThreadState *t)
{
    if (t->c_tracefunc != NULL)
        PyEval_SetTrace(NULL, NULL);
    if (t->c_profilefunc != NULL)
        PyEval_SetProfile(NULL, NULL);
    Py_CLEAR(t->async_gen_firstiter);
    Py_CLEAR(t->async_gen_finalizer);
#if BINE__HAS_ASYNCIO_LOOP
    Py_CLEAR(((_PyThreadStateImpl *)t)->asyncio_running_loop);
#endif
#if BINE__HAS_ASYNCIO_TASK
    Py_CLEAR(((_PyThreadStateImpl *)t)->asyncio_running_task);
#endif
#if BINE__HAS_LOCAL_KEY
    Py_CLEAR(t->threading_local_key);
    Py_CLEAR(t->threading_local_sentinel);
#endif
    Py_CLEAR(t->dict);
#if BINE__HAS_LOCAL_KEY
    /* A destructor may have made new ones. */
    Py_CLEAR(t->threading_local_key);
    Py_CLEAR(t->threading_local_sentinel);
#endif
    Py_CLEAR(t->context);
    t->context_ver++;
    if (BINE__ERROR(t) != NULL)
        PyErr_Clear();
}

PyFrameObject *bine__suspended_frame(PyThreadState *t, const bine__micro *micro)
{
    PyFrameObject *frame;
    int collecting;

    if (micro->saved == NULL)
        return NULL;
    /* A collection must not see the exchanged pointer. */
    collecting = PyGC_Disable();
#if BINE__USES_CFRAME
    _PyCFrame *mine = t->cframe;

    t->cframe = BINE__SAVED_FRAME(micro->saved);
    frame = PyThreadState_GetFrame(t);
    t->cframe = mine;
#else
    struct _PyInterpreterFrame *mine = t->current_frame;

    t->current_frame = BINE__SAVED_FRAME(micro->saved);
    frame = PyThreadState_GetFrame(t);
    t->current_frame = mine;
#endif
    if (collecting)
        PyGC_Enable();
    return frame;
}

PyCodeObject *bine__running_code(PyThreadState *t, int *offset)
{
#if PY_VERSION_HEX < 0x030C0000
    _PyInterpreterFrame *frame = t->cframe->current_frame;

    /* A frame that is still being built has no instruction yet. */
    while (frame != NULL && _PyFrame_IsIncomplete(frame))
        frame = frame->previous;
    if (frame == NULL)
        return NULL;
    *offset = _PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT);
    return (PyCodeObject *)Py_NewRef((PyObject *)frame->f_code);
#else
#if BINE__USES_CFRAME
    struct _PyInterpreterFrame *frame = t->cframe->current_frame;
#else
    struct _PyInterpreterFrame *frame = t->current_frame;
#endif

    PyObject *code;

    if (frame == NULL)
        return NULL;
    *offset = PyUnstable_InterpreterFrame_GetLasti(frame);
    code = PyUnstable_InterpreterFrame_GetCode(frame);
    if (PyCode_Check(code))
        return (PyCodeObject *)code;
    Py_DECREF(code); /* a frame of the interpreter's own */
    return NULL;
#endif
}

int bine__copy_context(PyThreadState *t, PyObject **out)
{
    *out = NULL;
    if (t->context == NULL)
        return 0;
    *out = PyContext_CopyCurrent();
    return *out == NULL ? -1 : 0;
}

int bine__recursion_limit_needs_care(void)
{
#if BINE__ONE_RECURSION_COUNTER
    return 1;
#else
    return 0;
#endif
}

static int deepest_suspended(const bine *rt)
{
    int deepest = rt->current != &rt->host && rt->host.saved != NULL ? rt->host.saved->recursion_used : 0;

    for (const bine__micro *micro = rt->oldest; micro != NULL; micro = micro->newer)
        if (micro != rt->current && micro->saved != NULL && micro->saved->recursion_used > deepest)
            deepest = micro->saved->recursion_used;
    return deepest;
}

int bine__set_recursion_limit(bine *rt, PyObject *original, PyObject *limit)
{
    PyThreadState *t = rt->tstate;
    int cap = rt->current->recursion_cap;
    int used = bine__recursion_allowed(t, cap) - BINE__RECURSION_REMAINING(t);
    int deepest = deepest_suspended(rt);
    long wanted = PyLong_Check(limit) ? PyLong_AsLong(limit) : -1;
    PyObject *none;

    PyErr_Clear();
    if (wanted > 0 && wanted <= deepest) {
        PyErr_Format(
            PyExc_RecursionError,
            "cannot set the recursion limit to %ld: a micro-thread is suspended at the recursion depth %d",
            wanted, deepest);
        return -1;
    }
    /* The original reckons the depth from the limit, knowing nothing of the cap. */
    BINE__RECURSION_REMAINING(t) = BINE__RECURSION_LIMIT(t) - used;
    none = PyObject_CallOneArg(original, limit);
    BINE__RECURSION_REMAINING(t) = bine__recursion_allowed(t, cap) - used;
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

bool bine__is_collecting(void)
{
    return PyInterpreterState_Get()->gc.collecting != 0;
}

void bine__tracers_get(PyThreadState *t, bine__tracers *out)
{
    out->trace = t->c_tracefunc;
    out->trace_arg = Py_XNewRef(t->c_traceobj);
    out->profile = t->c_profilefunc;
    out->profile_arg = Py_XNewRef(t->c_profileobj);
}

void bine__tracers_set(const bine__tracers *tracers)
{
    if (tracers->trace != NULL)
        PyEval_SetTrace(tracers->trace, tracers->trace_arg);
    if (tracers->profile != NULL)
        PyEval_SetProfile(tracers->profile, tracers->profile_arg);
}

void bine__hurry(PyThreadState *t)
{
#if PY_VERSION_HEX < 0x030D0000
    /* PyErr_SetInterrupt() on a thread that cannot handle signals leaves the evaluation loop
     * unaware of them. One word, stored atomically: safe on any thread and in a signal handler. */
    _Py_atomic_store_relaxed(&t->interp->ceval.eval_breaker, 1);
#else
    (void)t;
#endif
}

#if BINE__ONE_RECURSION_COUNTER
/* Gives the running stack another cap; what is in progress stays counted. */
static void set_cap(PyThreadState *t, bine__micro *micro, int cap)
{
    int used = bine__recursion_allowed(t, micro->recursion_cap) - BINE__RECURSION_REMAINING(t);

    micro->recursion_cap = cap;
    BINE__RECURSION_REMAINING(t) = bine__recursion_allowed(t, cap) - used;
}
#endif

void bine__loan_begin(PyThreadState *t, bine__micro *micro, const char *low, const char *high,
                      bine__loan *loan)
{
    int cap = bine__recursion_cap((size_t)(high - low));

#if BINE__ONE_RECURSION_COUNTER
    loan->recursion = micro->recursion_cap;
    set_cap(t, micro, micro->recursion_cap + cap);
#elif defined(BINE__C_RECURSION_LIMIT)
    (void)micro;
    loan->recursion = t->c_recursion_remaining;
    t->c_recursion_remaining = cap;
#else
    (void)micro;
    (void)cap;
    loan->limits[0] = BINE__IMPL(t)->c_stack_top;
    loan->limits[1] = BINE__IMPL(t)->c_stack_soft_limit;
    loan->limits[2] = BINE__IMPL(t)->c_stack_hard_limit;
    bine__set_stack_limits(t, low, high);
#endif
}

void bine__loan_end(PyThreadState *t, bine__micro *micro, const bine__loan *loan)
{
#if BINE__ONE_RECURSION_COUNTER
    set_cap(t, micro, loan->recursion);
#elif defined(BINE__C_RECURSION_LIMIT)
    (void)micro;
    t->c_recursion_remaining = loan->recursion;
#else
    (void)micro;
    BINE__IMPL(t)->c_stack_top = loan->limits[0];
    BINE__IMPL(t)->c_stack_soft_limit = loan->limits[1];
    BINE__IMPL(t)->c_stack_hard_limit = loan->limits[2];
#endif
}

#if PY_VERSION_HEX < 0x030D0000

/* Up to 3.12, a threading.local that dies takes its values out of the dict of every thread state,
 * found by its address; a value left behind would be taken for that of the next local there. So
 * the dicts of suspended micro-threads must be seen to as well. */
static destructor original_local_dealloc;
static bine *local_runtime;

static PyObject *saved_dict(const bine__micro *micro)
{
    return micro == micro->rt->current || micro->saved == NULL ? NULL : BINE__SAVED_DICT(micro->saved);
}

/* Moves micro's value under `key` to `grave`: what dies with it may run any code. */
static void bury_local(const bine__micro *micro, PyObject *key, PyObject *grave)
{
    PyObject *dict = saved_dict(micro);
    PyObject *value = dict == NULL ? NULL : PyDict_GetItemWithError(dict, key); /* borrowed */

    if (value == NULL || PyList_Append(grave, value) != 0 || PyDict_DelItem(dict, key) != 0)
        PyErr_Clear();
}

static void bury_locals(const bine *rt, PyObject *local)
{
    PyObject *key = PyUnicode_FromFormat("thread.local.%p", local);
    PyObject *grave = key == NULL ? NULL : PyList_New(0);

    if (grave != NULL) {
        bury_local(&rt->host, key, grave);
        for (const bine__micro *micro = rt->oldest; micro != NULL; micro = micro->newer)
            bury_local(micro, key, grave);
    }
    PyErr_Clear();
    Py_XDECREF(grave);
    Py_XDECREF(key);
}

static void local_dealloc(PyObject *self)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    if (local_runtime != NULL && local_runtime->alive > 0) {
        PyErr_Fetch(&type, &value, &traceback);
        bury_locals(local_runtime, self);
        PyErr_Restore(type, value, traceback);
    }
    original_local_dealloc(self);
}

int bine__mind_locals(bine *rt)
{
    PyObject *module = PyImport_ImportModule("_thread");
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, "_local");

    local_runtime = rt;
    if (type != NULL && PyType_Check(type)) {
        original_local_dealloc = ((PyTypeObject *)type)->tp_dealloc;
        ((PyTypeObject *)type)->tp_dealloc = local_dealloc; /* subclasses look it up here */
    }
    Py_XDECREF(type);
    Py_XDECREF(module);
    return original_local_dealloc != NULL ? 0 : -1;
}

#else

int bine__mind_locals(bine *rt)
{
    (void)rt; /* from 3.13 on, a local's values die with the local */
    return 0;
}

#endif
