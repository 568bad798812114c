#define BINE__NEEDS_CORE 1
#include "core/pystack.h" /* before any other include of Python.h */

#include "core/pyframe.h"

#include "core/runtime.h"

#include <internal/pycore_interp.h> /* the collector's state; up to 3.12 another thread's signal is not looked for */

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

/* What `top` names, a thread state's way to its innermost frame, seen from outside (new, or NULL). */
#if BINE__USES_CFRAME
static PyFrameObject *frame_of(PyThreadState *t, _PyCFrame *top)
{
    _PyCFrame **at = &t->cframe;
    _PyCFrame *mine = *at;
#else
static PyFrameObject *frame_of(PyThreadState *t, struct _PyInterpreterFrame *top)
{
    struct _PyInterpreterFrame **at = &t->current_frame;
    struct _PyInterpreterFrame *mine = *at;
#endif
    int collecting = PyGC_Disable(); /* a collection must not see the exchanged pointer */
    PyFrameObject *frame;

    *at = top;
    frame = PyThreadState_GetFrame(t);
    *at = mine;
    if (collecting)
        PyGC_Enable();
    return frame;
}

PyFrameObject *bine__suspended_frame(PyThreadState *t, const bine__micro *micro)
{
    return micro->saved == NULL ? NULL : frame_of(t, BINE__SAVED_FRAME(micro->saved));
}

PyFrameObject *bine__pystack_frame(PyThreadState *t, const bine__pystack *py)
{
#if BINE__USES_CFRAME
    return frame_of(t, py->cframe);
#else
    return frame_of(t, py->frame);
#endif
}

/* The innermost frame that is not still being built, and none of the interpreter's own or of ours. */
static struct _PyInterpreterFrame *complete_frame(PyThreadState *t)
{
    struct _PyInterpreterFrame *frame = BINE__TOP_FRAME(t);

    while (frame != NULL && _PyFrame_IsIncomplete(frame))
        frame = frame->previous;
    return frame;
}

PyCodeObject *bine__running_code(PyThreadState *t, int *offset)
{
    struct _PyInterpreterFrame *frame = complete_frame(t);
    PyObject *code;

    if (frame == NULL)
        return NULL;
#if PY_VERSION_HEX < 0x030C0000
    *offset = _PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT);
    code = Py_NewRef((PyObject *)frame->f_code);
#else
    *offset = PyUnstable_InterpreterFrame_GetLasti(frame);
    code = PyUnstable_InterpreterFrame_GetCode(frame);
#endif
    return (PyCodeObject *)code;
}

/* ---- the seams of coroutines ---- */

static PyCodeObject *seam_code;

int bine__prepare_seams(void)
{
    seam_code = PyCode_NewEmpty("<bine>", "generate", 1);
    return seam_code == NULL ? -1 : 0;
}

/* It passes for a frame that is still being built, and from 3.12 on for one of the interpreter's own between
 * C and Python. C functions that look at the innermost frame without asking meet it: its namespaces are those
 * of who begins. */
static void init_seam_frame(PyThreadState *t, struct _PyInterpreterFrame *frame)
{
    const struct _PyInterpreterFrame *caller = complete_frame(t);

#if PY_VERSION_HEX < 0x030D0000
    frame->f_code = seam_code;
    frame->prev_instr = _PyCode_CODE(seam_code) - 1;
#else
    frame->f_executable = (PyObject *)seam_code;
    frame->instr_ptr = _PyCode_CODE(seam_code);
#endif
    frame->f_globals = caller == NULL ? NULL : Py_XNewRef(caller->f_globals);
    frame->f_builtins = Py_XNewRef(caller == NULL ? t->interp->builtins : caller->f_builtins);
#if PY_VERSION_HEX < 0x030C0000
    frame->is_entry = true;
    frame->owner = FRAME_OWNED_BY_THREAD;
#else
    frame->owner = FRAME_OWNED_BY_CSTACK;
#endif
}

/* Somebody holds a frame object for it: that gets the frame for its own, as CPython does when a call
 * returns, and the namespaces with it. */
static void hand_over(struct _PyInterpreterFrame *frame, PyFrameObject *object)
{
    struct _PyInterpreterFrame *copy = (struct _PyInterpreterFrame *)(void *)object->_f_frame_data;

    memcpy(copy, frame, offsetof(struct _PyInterpreterFrame, localsplus));
    Py_INCREF(seam_code);
    copy->owner = FRAME_OWNED_BY_FRAME_OBJECT;
    copy->previous = NULL;
    copy->stacktop = 0;
    object->f_frame = copy;
    PyObject_GC_Track(object);
}

static void clear_seam_frame(struct _PyInterpreterFrame *frame)
{
    PyFrameObject *object = frame->frame_obj;

    frame->frame_obj = NULL;
    if (object != NULL && Py_REFCNT(object) > 1) {
        hand_over(frame, object);
    } else {
        Py_CLEAR(frame->f_globals);
        Py_CLEAR(frame->f_builtins);
        Py_CLEAR(frame->f_locals);
    }
    Py_XDECREF(object);
}

void bine__pystack_init(PyThreadState *t, bine__pystack *py, bine__pyseam *seam, const bine__pystart *start)
{
    _PyStackChunk *chunk = bine__chunk_init(start);

    memset(py, 0, sizeof *py);
    memset(seam, 0, sizeof *seam);
    init_seam_frame(t, &seam->frame);
#if BINE__USES_CFRAME
    seam->cframe.previous = &t->root_cframe;
    seam->cframe.current_frame = &seam->frame;
    py->cframe = &seam->cframe;
#else
    py->frame = &seam->frame;
#endif
#ifdef BINE__C_RECURSION_LIMIT
    py->c_recursion = start->recursion_cap;
#endif
#if BINE__STACK_POINTER_CHECKED
    py->stack_top = (uintptr_t)start->stack_high;
    py->hard_limit = (uintptr_t)start->stack_low + _PyOS_STACK_MARGIN_BYTES;
    py->soft_limit = (uintptr_t)start->stack_low + 2 * _PyOS_STACK_MARGIN_BYTES;
#endif
    py->chunk = chunk;
    py->chunk_top = BINE__CHUNK_TOP(chunk);
    py->chunk_limit = BINE__CHUNK_LIMIT(chunk);
    py->handled = &seam->handled;
}

void bine__pyseam_clear(bine__pyseam *seam)
{
    Py_CLEAR(seam->handled.exc_value);
    clear_seam_frame(&seam->frame);
}

#if BINE__STACK_POINTER_CHECKED
/* From 3.14 on a variable may hold a reference that is not counted: what frames hold is left alone. */
int bine__pystack_traverse(const bine__pystack *py, const bine__pyseam *seam, visitproc visit, void *arg)
{
    (void)py;
    (void)seam;
    (void)visit;
    (void)arg;
    return 0;
}
#else
/* All that it visits is counted once, as this frame's own. What lies on its evaluation stack is not to be
 * known while a call is in progress, and counts as held from outside. */
static int traverse_frame(struct _PyInterpreterFrame *frame, visitproc visit, void *arg)
{
#if PY_VERSION_HEX < 0x030D0000
    const PyCodeObject *code = frame->f_code;
#else
    const PyCodeObject *code = _PyFrame_GetCode(frame);
#endif

    Py_VISIT(frame->frame_obj);
    Py_VISIT(frame->f_locals);
    for (int i = 0; i < code->co_nlocalsplus; i++)
        Py_VISIT(frame->localsplus[i]);
    return 0;
}

int bine__pystack_traverse(const bine__pystack *py, const bine__pyseam *seam, visitproc visit, void *arg)
{
#if BINE__USES_CFRAME
    struct _PyInterpreterFrame *frame = py->cframe->current_frame;
#else
    struct _PyInterpreterFrame *frame = py->frame;
#endif
    int status = 0;

    /* A generator visits its frame itself. */
    for (; frame != &seam->frame && status == 0; frame = frame->previous)
        if (frame->owner == FRAME_OWNED_BY_THREAD && !_PyFrame_IsIncomplete(frame))
            status = traverse_frame(frame, visit, arg);
    return status;
}
#endif

bool bine__is_handling(PyThreadState *t)
{
    PyObject *value = t->exc_info->exc_value;

    return value != NULL && value != Py_None;
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
