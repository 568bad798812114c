/* Who watches: trace and profile functions handed down to what is spawned, debuggers that keep to
 * their micro-thread, and the hook that tells which one runs. */
#include "core/pyframe.h"
#include "python/microthread.h"
#include "python/python.h"

/* ---- inheriting ---- */

/* threading.settrace() and setprofile() name what starts the tracing of a thread that is new: what counts
 * frames per thread (coverage) needs a tracer of its own for each. Borrowed, or NULL: perhaps with an
 * exception. */
static PyObject *hook_for_threads(const char *name)
{
    PyObject *threading = bine__imported("threading"); /* borrowed */
    PyObject *hook = threading == NULL || !PyModule_Check(threading)
                         ? NULL
                         : bine__get_item(PyModule_GetDict(threading), name);

    return hook == Py_None ? NULL : hook;
}

/* A hook for threads comes instead of the spawner's own function: kept without a C function, it is handed to
 * sys.settrace() or sys.setprofile() at the start. */
static void replace(Py_tracefunc *function, PyObject **arg, PyObject *hook)
{
    if (*function == NULL || hook == NULL)
        return;
    *function = NULL;
    Py_XSETREF(*arg, Py_NewRef(hook));
}

/* ---- debuggers ---- */

static PyObject *original_stop_here;
static PyObject *original_set_stopinfo;

static uint64_t current_id(void)
{
    const bine_micro *micro = bine_micro_current();

    return micro == NULL ? 0 : micro->core.id;
}

/* Whether `debugger` steps somewhere else than here: 1, 0, or -1 when it is not known. It keeps the id of
 * the micro-thread, 0 for the host, and no hold on it: that would count as a handle. */
static int steps_elsewhere(PyObject *debugger)
{
    PyObject *id = PyObject_GetAttrString(debugger, "_bine_stepping");
    int elsewhere = id == NULL || !PyLong_Check(id) ? -1 : PyLong_AsUnsignedLongLong(id) != current_id();

    PyErr_Clear();
    Py_XDECREF(id);
    return elsewhere;
}

/* Its steps are this micro-thread's. 0, or -1 with an exception. */
static int step_here(PyObject *debugger)
{
    PyObject *id = PyLong_FromUnsignedLongLong(current_id());
    int status = id == NULL ? -1 : PyObject_SetAttrString(debugger, "_bine_stepping", id);

    Py_XDECREF(id);
    return status;
}

/* Bdb.stop_here(self, frame): a step stops in the micro-thread it was asked for in, nowhere else. */
static PyObject *stop_here(PyObject *unused, PyObject *args)
{
    (void)unused;
    if (PyTuple_GET_SIZE(args) > 0 && steps_elsewhere(PyTuple_GET_ITEM(args, 0)) == 1)
        Py_RETURN_FALSE;
    return PyObject_CallObject(original_stop_here, args);
}

/* Bdb._set_stopinfo(self, ...), by which step, next, return, until and continue all go. */
static PyObject *set_stopinfo(PyObject *unused, PyObject *args, PyObject *kwargs)
{
    (void)unused;
    if (PyTuple_GET_SIZE(args) > 0 && step_here(PyTuple_GET_ITEM(args, 0)) != 0)
        return NULL;
    return PyObject_Call(original_set_stopinfo, args, kwargs);
}

static PyMethodDef stop_here_def = {"stop_here", stop_here, METH_VARARGS, NULL};
static PyMethodDef set_stopinfo_def = {"_set_stopinfo", (PyCFunction)(void (*)(void))set_stopinfo,
                                       METH_VARARGS | METH_KEYWORDS, NULL};

/* Puts `def` in place of a method; *original (new) is what was there. */
static int replace_method(PyObject *type, PyMethodDef *def, PyObject **original)
{
    PyObject *method = PyObject_GetAttrString(type, def->ml_name);
    PyObject *function = method == NULL ? NULL : PyCFunction_New(def, NULL);
    PyObject *bound = function == NULL ? NULL : PyInstanceMethod_New(function);
    int status = bound == NULL ? -1 : PyObject_SetAttrString(type, def->ml_name, bound);

    if (status == 0)
        *original = Py_NewRef(method);
    Py_XDECREF(bound);
    Py_XDECREF(function);
    Py_XDECREF(method);
    return status;
}

/* Once; a second try would put ours in place of ours. */
static int tame_debuggers(PyObject *type)
{
    if (original_stop_here != NULL)
        return 0;
    if (!PyObject_HasAttrString(type, set_stopinfo_def.ml_name) ||
        replace_method(type, &stop_here_def, &original_stop_here) != 0)
        return -1;
    return replace_method(type, &set_stopinfo_def, &original_set_stopinfo);
}

/* When the trace function is a method of a bdb.Bdb, its steps are this micro-thread's. What is no such
 * debugger, though it is called so, is let be. 0, or -1 with an exception: memory is out. */
static int mind_debugger(PyObject *trace)
{
    PyObject *bdb = bine__imported("bdb"); /* borrowed */
    PyObject *self = trace != NULL && PyMethod_Check(trace) ? PyMethod_GET_SELF(trace) : NULL;
    PyObject *type = bdb == NULL || self == NULL ? NULL : PyObject_GetAttrString(bdb, "Bdb");

    if (type != NULL && PyObject_IsInstance(self, type) == 1 && tame_debuggers(type) == 0 &&
        steps_elsewhere(self) < 0)
        (void)step_here(self);
    Py_XDECREF(type);
    if (PyErr_Occurred() != NULL && PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    PyErr_Clear();
    return 0;
}

/* ---- at spawn, at the start ---- */

int bine__tracing_inherit(bine *rt, bine__tracers *tracers)
{
    if (bine__is_tracing(rt->tstate))
        return 0; /* a trace function spawns: that is not traced either */
    bine__tracers_get(rt->tstate, tracers);
    replace(&tracers->trace, &tracers->trace_arg, hook_for_threads("_trace_hook"));
    if (PyErr_Occurred() == NULL)
        replace(&tracers->profile, &tracers->profile_arg, hook_for_threads("_profile_hook"));
    if (PyErr_Occurred() != NULL)
        return -1;
    return tracers->trace == NULL ? 0 : mind_debugger(tracers->trace_arg);
}

static void call_setter(const char *name, PyObject *function)
{
    PyObject *setter = PySys_GetObject(name); /* borrowed */
    PyObject *none = setter == NULL ? NULL : PyObject_CallOneArg(setter, function);

    if (none == NULL)
        PyErr_WriteUnraisable(function);
    Py_XDECREF(none);
}

void bine__tracing_begin(const bine__tracers *tracers)
{
    if (tracers->profile == NULL && tracers->profile_arg != NULL)
        call_setter("setprofile", tracers->profile_arg);
    bine__tracers_set(tracers);
    if (tracers->trace == NULL && tracers->trace_arg != NULL)
        call_setter("settrace", tracers->trace_arg);
}

/* ---- the switch hook ---- */

static PyObject *current_or_none(void)
{
    bine_micro *micro = bine_micro_current();

    return micro == NULL ? Py_None : (PyObject *)micro;
}

static void update_hooked(bine *rt)
{
    rt->hooks = rt->switch_hook != NULL || rt->python->switch_hook != NULL;
    rt->hooked = rt->hooks || rt->timing;
}

int bine_set_switch_hook(bine *rt, bine_switch_hook hook, void *user)
{
    int status = bine__check_owner(rt, "bine_set_switch_hook");

    if (status != BINE_OK)
        return status;
    rt->switch_hook = hook;
    rt->switch_user = user;
    update_hooked(rt);
    return BINE_OK;
}

/* Calls the script's hook, unseen by tracers; one that fails is taken out. */
static void call_hook(bine *rt)
{
    PyObject *in_flight = PyErr_Occurred() != NULL ? bine__take_exception() : NULL;
    PyObject *hook = Py_NewRef(rt->python->switch_hook);
    PyObject *none;

    PyThreadState_EnterTracing(rt->tstate);
    rt->hooking = true;
    rt->current->no_wait++;
    none = PyObject_CallOneArg(hook, current_or_none());
    if (none == NULL) {
        Py_CLEAR(rt->python->switch_hook);
        update_hooked(rt);
        PyErr_WriteUnraisable(hook);
    }
    rt->current->no_wait--;
    rt->hooking = false;
    PyThreadState_LeaveTracing(rt->tstate);
    Py_XDECREF(none);
    Py_DECREF(hook);
    if (in_flight != NULL)
        bine__raise(in_flight);
}

void bine__python_switched(bine *rt)
{
    if (rt->switch_hook != NULL)
        rt->switch_hook(rt, bine_micro_current(), rt->switch_user);
    if (rt->python->switch_hook != NULL && !rt->hooking)
        call_hook(rt);
}

PyObject *bine__py_set_switch_hook(PyObject *module, PyObject *hook)
{
    bine *rt = bine__here;

    (void)module;
    if (rt == NULL)
        return bine__raise_status(NULL, BINE_ETHREAD,
                                  "set_switch_hook() is for the thread that runs the host's loop");
    if (hook != Py_None && !PyCallable_Check(hook)) {
        PyErr_Format(PyExc_TypeError, "set_switch_hook() needs a function or None, not %.100s",
                     Py_TYPE(hook)->tp_name);
        return NULL;
    }
    Py_XSETREF(rt->python->switch_hook, hook == Py_None ? NULL : Py_NewRef(hook));
    update_hooked(rt);
    Py_RETURN_NONE;
}
