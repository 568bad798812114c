/* Module bine, as scripts import it, and its life with the runtime. */
#include "python/python.h"
#include "stdlib/offload.h"
#include "stdlib/standin.h"

#include "asyncio/loop.h"
#include "core/pyframe.h"
#include "python/library.h"
#include "python/microthread.h"
#include "python/stall.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* Takes its no arguments by METH_FASTCALL: the interpreter has a faster way for such calls than
 * for METH_NOARGS. */
static PyObject *py_pause(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    bine *rt = bine__here;

    (void)module;
    (void)args;
    if (nargs != 0) {
        PyErr_Format(PyExc_TypeError, "pause() takes no arguments (%zd given)", nargs);
        return NULL;
    }
    if (!BINE__MAY_WAIT(rt)) {
        int status = bine_yield();

        return status == BINE_OK ? Py_NewRef(Py_None) : bine__raise_status(rt, status, NULL);
    }
    bine__yield(rt);
    if (rt->current->pending != 0 && bine__python_interrupted(rt) != 0)
        return bine__raise_pending(rt);
    Py_RETURN_NONE;
}

static PyObject *none_or_raise(int status)
{
    return status == BINE_OK ? Py_NewRef(Py_None) : bine__raise_status(bine__here, status, NULL);
}

static PyObject *py_sleep(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"real"};
    PyObject *given = NULL;
    int real;
    int64_t ns;

    (void)module;
    if (nargs != 1) {
        PyErr_Format(PyExc_TypeError, "sleep() takes exactly one argument, the time to sleep (%zd given)",
                     nargs);
        return NULL;
    }
    if (bine__arguments("sleep", names, 1, args + nargs, 0, kwnames, &given) != 0)
        return NULL;
    real = given == NULL ? 0 : PyObject_IsTrue(given);
    if (real < 0 || bine__seconds(args[0], "the time to sleep", false, &ns) != 0)
        return NULL;
    return none_or_raise(real ? bine_sleep_real(ns) : bine_sleep(ns));
}

static PyObject *py_next_frame(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return none_or_raise(bine_next_frame());
}

static PyObject *py_time(PyObject *module, PyObject *unused)
{
    bine *rt = bine__here;

    (void)module;
    (void)unused;
    if (rt == NULL)
        return bine__raise_status(NULL, BINE_ETHREAD, "time() is for the thread that runs the host's loop");
    return PyFloat_FromDouble((double)bine__now(rt) / 1e9);
}

/* ---- descriptors ---- */

static PyObject *wait_for(const char *function, unsigned events, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames)
{
    static const char *const names[] = {"fd", "timeout"};
    PyObject *given[2] = {NULL, NULL};
    int64_t ns = -1;
    int status;
    int fd;

    if (bine__arguments(function, names, 2, args, nargs, kwnames, given) != 0)
        return NULL;
    if (given[0] == NULL) {
        PyErr_Format(PyExc_TypeError, "%s() needs a descriptor, or something with a fileno()", function);
        return NULL;
    }
    fd = PyObject_AsFileDescriptor(given[0]);
    if (fd < 0 || (given[1] != NULL && bine__seconds(given[1], "timeout", true, &ns) != 0))
        return NULL;
    status = bine_wait_fd(fd, events, ns);
    if (status == BINE_EIO)
        return PyErr_SetFromErrno(PyExc_OSError);
    return none_or_raise(status > 0 ? BINE_OK : status);
}

static PyObject *py_wait_readable(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *kwnames)
{
    (void)module;
    return wait_for("wait_readable", BINE_READABLE, args, nargs, kwnames);
}

static PyObject *py_wait_writable(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *kwnames)
{
    (void)module;
    return wait_for("wait_writable", BINE_WRITABLE, args, nargs, kwnames);
}

/* ---- micro-threads ---- */

static PyObject *py_current(PyObject *module, PyObject *unused)
{
    bine_micro *micro = bine_micro_current();

    (void)module;
    (void)unused;
    return Py_NewRef(micro != NULL ? (PyObject *)micro : Py_None);
}

static PyObject *py_all(PyObject *module, PyObject *unused)
{
    bine *rt = bine__here;
    PyObject *list = PyList_New(0);

    (void)module;
    (void)unused;
    for (bine__micro *core = rt == NULL ? NULL : rt->oldest; core != NULL && list != NULL; core = core->newer)
        if (PyList_Append(list, (PyObject *)bine__of_core(core)) != 0)
            Py_CLEAR(list);
    return list;
}

/* Stands in for sys.setrecursionlimit() where a stack must keep a limit of its own. */
static PyObject *py_setrecursionlimit(PyObject *module, PyObject *limit)
{
    bine *rt = PyCapsule_GetPointer(module, NULL);

    if (rt == NULL || rt->python == NULL)
        return NULL;
    if (bine__set_recursion_limit(rt, rt->python->set_recursion_limit, limit) != 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- written in Python ---- */

static PyObject *py_parallel(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *functions = bine__tuple_of(args, nargs);
    PyObject *results;

    (void)module;
    if (functions == NULL)
        return NULL;
    results = bine__library_call("parallel", "parallel", &functions, 1, NULL);
    Py_DECREF(functions);
    return results;
}

static PyObject *py_parallel_map(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"function", "items", "limit", "executor"};
    PyObject *given[4] = {NULL, NULL, NULL, NULL};

    (void)module;
    if (bine__arguments("parallel_map", names, 4, args, nargs, kwnames, given) != 0)
        return NULL;
    if (given[0] == NULL || given[1] == NULL) {
        PyErr_SetString(PyExc_TypeError, "parallel_map() needs a function and items");
        return NULL;
    }
    for (int i = 2; i < 4; i++)
        if (given[i] == NULL)
            given[i] = Py_None;
    return bine__library_call("parallel", "parallel_map", given, 4, NULL);
}

static PyObject *py_exclusive(PyObject *module, PyObject *file)
{
    (void)module;
    return bine__library_call("exclusive", "Exclusive", &file, 1, NULL);
}

static PyObject *py_run_async(PyObject *module, PyObject *awaitable)
{
    (void)module;
    return bine__library_call("eventloop", "run_async", &awaitable, 1, NULL);
}

/* What importing asyncio for would cost everybody. */
static PyObject *py_getattr(PyObject *module, PyObject *name)
{
    if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "EventLoop") == 0)
        return bine__library_call("eventloop", "give_class", NULL, 0, NULL);
    PyErr_Format(PyExc_AttributeError, "module 'bine' has no attribute %R", name);
    (void)module;
    return NULL;
}

static PyMethodDef functions[] = {
    {"spawn", (PyCFunction)(void (*)(void))bine__py_spawn, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("spawn($module, function, /, *args, **kwargs)\n--\n\n"
               "Start function(*args, **kwargs) as a micro-thread and return it, a MicroThread.\n\n"
               "It first runs when its turn comes, with a copy of the caller's context variables.\n"
               "A coroutine function may be given too.")},
    {"sleep", (PyCFunction)(void (*)(void))py_sleep, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "sleep($module, seconds, /, *, real=False)\n--\n\n"
         "Suspend this micro-thread for so long; the others go on. It is game time, which the host may\n"
         "scale, pause and step, or with `real` real time.")},
    {"next_frame", py_next_frame, METH_NOARGS,
     PyDoc_STR(
         "next_frame($module, /)\n--\n\n"
         "Suspend this micro-thread until the host begins its next frame; where the host has none, for\n"
         "1/60 s after the last.")},
    {"time", py_time, METH_NOARGS,
     PyDoc_STR("time($module, /)\n--\n\n"
               "Game time in seconds, which sleep() and timeouts go by: from the start of the runtime.")},
    {"wait_readable", (PyCFunction)(void (*)(void))py_wait_readable, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "wait_readable($module, /, fd, timeout=None)\n--\n\n"
         "Suspend this micro-thread until a descriptor, or what has a fileno(), can be read from: data,\n"
         "its end, an error. Timeout when `timeout` seconds of real time are over. It must stay open\n"
         "meanwhile. OSError when it is none that can be watched: a regular file.")},
    {"wait_writable", (PyCFunction)(void (*)(void))py_wait_writable, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait_writable($module, /, fd, timeout=None)\n--\n\n"
               "The same until it can be written to, or a socket is connected.")},
    {"pause", (PyCFunction)(void (*)(void))py_pause, METH_FASTCALL,
     PyDoc_STR("pause($module, /)\n--\n\n"
               "Let every other micro-thread that is ready have its turn first.")},
    {"current", py_current, METH_NOARGS,
     PyDoc_STR("current($module, /)\n--\n\n"
               "The MicroThread that is running; None outside of any.")},
    {"all", py_all, METH_NOARGS,
     PyDoc_STR("all($module, /)\n--\n\n"
               "A list of the MicroThreads that have not ended, the oldest first.")},
    {"generate", (PyCFunction)(void (*)(void))bine__py_generate, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("generate($module, function, /, *args, **kwargs)\n--\n\n"
               "An iterator, a Generator, over what function(*args, **kwargs) emits: it, or whatever it\n"
               "calls, calls bine.emit(). It runs as part of whoever asks for the next value.\n"
               "A generator function may be given too.")},
    {"emit", bine__py_emit, METH_O,
     PyDoc_STR("emit($module, value, /)\n--\n\n"
               "Hand `value` to whoever iterates over the generator that this is called in, and go on when\n"
               "they ask for the next one. Return what they send(), else None.")},
    {"parallel", (PyCFunction)(void (*)(void))py_parallel, METH_FASTCALL,
     PyDoc_STR("parallel($module, /, *functions)\n--\n\n"
               "Call each function in a micro-thread of its own; the list of what they returned. The first\n"
               "error cancels the others and is raised when they have ended; of several, it has them all\n"
               "as its cause.")},
    {"parallel_map", (PyCFunction)(void (*)(void))py_parallel_map, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "parallel_map($module, /, function, items, limit=None, executor=None)\n--\n\n"
         "The list of function(item) for each item, in their order, each called in a micro-thread\n"
         "of its own, at most `limit` at a time. An item is taken when there is room for its call. Errors\n"
         "are as parallel() has them.\n\n"
         "With `executor`, a concurrent.futures.Executor or what looks like one, that makes the calls;\n"
         "this micro-thread waits. An error cancels those that it has not begun.")},
    {"run_async", py_run_async, METH_O,
     PyDoc_STR(
         "run_async($module, awaitable, /)\n--\n\n"
         "Run a coroutine on the event loop that this runtime's micro-threads share, and return its result;\n"
         "of an asyncio.Future or Task wait for that. The other micro-threads go on. When the wait is cut\n"
         "short, by a cancel, a timeout, the end, it is cancelled and its end waited for.")},
    {"__getattr__", py_getattr, METH_O,
     PyDoc_STR("__getattr__($module, name, /)\n--\n\nEventLoop, made when it is first asked for.")},
    {"patched", bine__py_patched, METH_NOARGS,
     PyDoc_STR(
         "patched($module, /)\n--\n\n"
         "Return what of Python's own modules suspends only its micro-thread though it blocks elsewhere: a\n"
         "dict of names and what each waits by. In it is also what cannot be replaced: its text begins with\n"
         "'blocks'. Functions of modules that nobody has imported yet are not in it.")},
    {"exclusive", py_exclusive, METH_O,
     PyDoc_STR(
         "exclusive($module, file_or_socket, /)\n--\n\n"
         "Keep others from writing to a file or a socket for as long as a with block:\n\n"
         "    with bine.exclusive(sys.stdout):\n"
         "        print(title)\n"
         "        bine.sleep(1)\n"
         "        print(text)\n\n"
         "Whoever else writes meanwhile, micro-thread or OS thread, waits; those that want it so are\n"
         "served in the order they came. What is written beside Python's own object (another one for the\n"
         "same descriptor, os.write()) is not seen. What cannot wait, the host and destructors, writes.")},
    {"set_switch_hook", bine__py_set_switch_hook, METH_O,
     PyDoc_STR("set_switch_hook($module, hook, /)\n--\n\n"
               "Have hook(micro) called at each switch, with the MicroThread that runs from then on, or\n"
               "None for the host: for profilers. It must not wait. None takes it out; so does an\n"
               "exception of its own.")},
    {NULL, NULL, 0, NULL},
};

/* Run for each import; one that is not the first (somebody took bine out of sys.modules) gets the
 * same types and exceptions. */
static int exec_module(PyObject *module)
{
    const bine__python *py = bine__python_now;

    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "bine lives in the main interpreter alone");
        return -1;
    }
    if (py == NULL || py->module == NULL || py->module == module)
        return 0;
    return PyDict_Merge(PyModule_GetDict(module), PyModule_GetDict(py->module), 0);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "bine",
    .m_doc = PyDoc_STR(
        "Micro-threads on the host's main loop.\n\n"
        "A script is plain, blocking-style Python. It runs as a micro-thread: a call that has to\n"
        "wait suspends the script, never the host."),
    .m_methods = functions,
    .m_slots = slots,
};

static PyObject *init_module(void)
{
    return PyModuleDef_Init(&definition);
}

PyTypeObject *bine__add_type(bine__python *py, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(py->module, spec, NULL);

    if (type != NULL && PyModule_AddType(py->module, type) != 0)
        Py_CLEAR(type);
    return type;
}

int bine__add_type_only(bine__python *py, PyType_Spec *spec)
{
    PyTypeObject *type = bine__add_type(py, spec);

    Py_XDECREF(type); /* the module has it */
    return type == NULL ? -1 : 0;
}

PyObject *bine__new_plain(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    bool is_own = type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE;

    if (is_own && (PyTuple_GET_SIZE(args) > 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0))) {
        PyErr_Format(PyExc_TypeError, "%s() takes no arguments", type->tp_name);
        return NULL;
    }
    return type->tp_alloc(type, 0);
}

void bine__dealloc_plain(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (PyType_SUPPORTS_WEAKREFS(type))
        PyObject_ClearWeakRefs(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static void do_nothing(bine *rt, void *user)
{
    (void)rt;
    (void)user;
}

void bine__release_later(bine *rt, void *object, bine_free release)
{
    bine_post(rt, do_nothing, object, release);
}

void bine__release_on_owner(bine *rt, void *object, bine_free release)
{
    if (bine__here == rt)
        release(object);
    else
        bine__release_later(rt, object, release);
}

int bine__python_register(void)
{
    return PyImport_AppendInittab("bine", init_module);
}

static int replace_recursion_limit(bine *rt)
{
    static PyMethodDef def = {
        "setrecursionlimit", py_setrecursionlimit, METH_O,
        PyDoc_STR("setrecursionlimit($module, limit, /)\n--\n\n"
                  "Set the maximum depth of calls. A micro-thread keeps to what its stack\n"
                  "bears, whatever the limit.")};
    PyObject *capsule;
    PyObject *function;
    int status;

    if (!bine__recursion_limit_needs_care())
        return 0;
    rt->python->set_recursion_limit = Py_XNewRef(PySys_GetObject("setrecursionlimit"));
    capsule = PyCapsule_New(rt, NULL, NULL);
    function = capsule == NULL ? NULL : PyCFunction_New(&def, capsule);
    status = function == NULL ? -1 : PySys_SetObject("setrecursionlimit", function);
    Py_XDECREF(function);
    Py_XDECREF(capsule);
    return status;
}

static int start_from_seed(bine *rt)
{
    PyObject *names;

    if (!rt->config.deterministic)
        return 0;
    names = bine__library(rt->python, "deterministic");
    Py_XDECREF(names);
    return names == NULL ? -1 : 0;
}

static int fill(bine *rt)
{
    bine__python *py = rt->python;

    py->module = PyImport_ImportModule("bine");
    py->host_modules = PyDict_New();
    py->sources = PyDict_New();
    py->library = PyDict_New();
    if (py->module == NULL || py->host_modules == NULL || py->sources == NULL || py->library == NULL ||
        bine__add_exceptions(py) != 0)
        return -1;
    if (bine__add_micro_type(py) != 0 || bine__add_timeout_type(py) != 0 || bine__add_shield_type(py) != 0 ||
        bine__add_scope_type(py) != 0 || bine__add_deferred_type(py) != 0 || bine__add_pipe_types(py) != 0 ||
        bine__add_function_type(py) != 0 || bine__add_generator_type(py) != 0 ||
        bine__add_lock_types(py) != 0 || bine__add_event_type(py) != 0 || bine__add_semaphore_type(py) != 0 ||
        bine__add_condition_type(py) != 0 || bine__add_barrier_type(py) != 0 ||
        bine__add_queue_types(py) != 0)
        return -1;
    if (bine__watch_imports() != 0 || bine__replace_threads(rt) != 0 || start_from_seed(rt) != 0)
        return -1;
    if (bine__refuse_waits() != 0 || bine__standins_open(rt) != 0)
        return -1;
    if (bine__stalls_open(rt) != 0)
        return PyErr_NoMemory() == NULL ? -1 : 0;
    if (bine__mind_locals(rt) != 0)
        return -1;
    if (rt->config.stack_class == BINE_STACK_SMALL && bine__replace_borrowers(rt) != 0)
        return -1;
    py->compile = Py_XNewRef(bine__get_item(PyEval_GetBuiltins(), "compile"));
    if (py->compile == NULL)
        return -1;
    return replace_recursion_limit(rt);
}

bine__python *bine__python_now;

int bine__python_open(bine *rt)
{
    int status;

    rt->python = calloc(1, sizeof *rt->python);
    bine__python_now = rt->python;
    if (rt->python == NULL)
        return bine__fail(BINE_ENOMEM, "bine_open: out of memory");
    rt->python->rt = rt;
    if (fill(rt) == 0)
        return BINE_OK;
    /* Without one, CPython has lost it: it does so when memory is out. */
    status = PyErr_Occurred() == NULL || PyErr_ExceptionMatches(PyExc_MemoryError) ? BINE_ENOMEM
                                                                                   : BINE_EPYTHON;
    bine__python_log_exception(rt, "bine_open");
    bine__python_close(rt);
    return bine__fail(status, "bine_open: module bine could not be made");
}

void bine__python_closed(bine *rt)
{
    bine__admit_waits();
    free(rt->python);
    rt->python = NULL;
}

static void restore_recursion_limit(bine__python *py)
{
    if (py->set_recursion_limit == NULL)
        return;
    if (PySys_SetObject("setrecursionlimit", py->set_recursion_limit) != 0)
        PyErr_Clear(); /* the reference stays: somebody may have kept ours */
}

void bine__python_close(bine *rt)
{
    /* The types and exceptions stay: scripts' last destructors, which finalisation runs, may
     * still meet them. */
    bine__stalls_close(rt);
    bine__offload_close();
    bine__standins_close();
    bine__loops_close(rt->python);
    restore_recursion_limit(rt->python);
    rt->python->rt = NULL;
    rt->hooked = rt->hooks = false;
    Py_CLEAR(rt->python->switch_hook);
    Py_CLEAR(rt->python->host_modules);
    Py_CLEAR(rt->python->sources);
    Py_CLEAR(rt->python->library);
    Py_CLEAR(rt->python->module);
}

/* Whether a thread has to be waited for; its name goes to `name`. */
static bool is_living(PyObject *thread, PyObject *main, char *name, size_t size)
{
    PyObject *daemon = PyObject_GetAttrString(thread, "daemon");
    bool unknown = daemon == NULL && PyErr_ExceptionMatches(PyExc_MemoryError);
    PyObject *label = daemon == NULL ? NULL : PyObject_GetAttrString(thread, "name");
    const char *text = label != NULL && PyUnicode_Check(label) ? PyUnicode_AsUTF8(label) : NULL;
    bool living = thread != main && (daemon == Py_False || unknown);

    if (living)
        snprintf(name, size, "%s", text != NULL ? text : "?");
    PyErr_Clear();
    Py_XDECREF(label);
    Py_XDECREF(daemon);
    return living;
}

const char *bine__python_living_thread(bine *rt)
{
    static char name[64];
    PyObject *threading = bine__imported("threading"); /* borrowed */
    PyObject *all = threading == NULL ? NULL : PyObject_CallMethod(threading, "enumerate", NULL);
    PyObject *threads = all == NULL ? NULL : PySequence_Tuple(all); /* of ours: looking runs code */
    PyObject *main = threads == NULL ? NULL : PyObject_CallMethod(threading, "main_thread", NULL);
    bool found = false;

    (void)rt;
    for (Py_ssize_t i = 0; main != NULL && i < PyTuple_GET_SIZE(threads) && !found; i++)
        found = is_living(PyTuple_GET_ITEM(threads, i), main, name, sizeof name);
    if (!found && PyErr_ExceptionMatches(PyExc_MemoryError)) {
        found = true; /* not to be known: nobody is to wait for it */
        snprintf(name, sizeof name, "?");
    }
    PyErr_Clear();
    Py_XDECREF(main);
    Py_XDECREF(threads);
    Py_XDECREF(all);
    return found ? name : NULL;
}

static void flush(const char *name)
{
    PyObject *file = PySys_GetObject(name); /* borrowed */
    PyObject *none = file == NULL || file == Py_None ? NULL : PyObject_CallMethod(file, "flush", NULL);

    PyErr_Clear();
    Py_XDECREF(none);
}

void bine__python_flush(void)
{
    flush("stderr");
    flush("stdout");
}

int bine_python_enter(bine *rt)
{
    int status = bine__check_owner(rt, "bine_python_enter");

    if (status == BINE_OK)
        bine__gil_take(rt);
    return status;
}

/* A turn that was asked for meanwhile has been refused: it is asked for again. */
void bine_python_leave(bine *rt)
{
    if (bine__check_owner(rt, "bine_python_leave") != BINE_OK || rt->gil_depth == 0)
        return;
    bine__gil_give(rt);
    if (rt->gil_depth == 0 && !rt->ticking)
        bine__plan(rt);
}
