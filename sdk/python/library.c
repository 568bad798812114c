/* The parts of module bine that are written in Python: sdk/python/lib/, compiled when they are first needed.
 * Each runs in a namespace of its own, with module bine's names and a few calls of C that are for it alone.
 */
#include "python/library.h"

#include "asyncio/loop.h"
#include "core/coroutine.h"
#include "stdlib/process.h"
#include "python/line.h"
#include "python/microthread.h"
#include "python/python.h"

/* ---- calls for them ---- */

/* wait_for_end(micro, timeout): False when the time is over. */
static PyObject *wait_for_end(PyObject *unused, PyObject *const *args, Py_ssize_t nargs)
{
    int64_t ns;
    int status;

    (void)unused;
    if (nargs != 2 || !Py_IS_TYPE(args[0], bine__python_now->micro_type)) {
        PyErr_SetString(PyExc_TypeError, "wait_for_end() needs a MicroThread and a timeout");
        return NULL;
    }
    if (bine__seconds(args[1], "timeout", true, &ns) != 0)
        return NULL;
    status = bine__micro_await_end((bine_micro *)args[0], ns);
    if (status == BINE_ETIMEDOUT)
        PyErr_Clear();
    else if (status != BINE_OK)
        return NULL;
    return PyBool_FromLong(status == BINE_OK);
}

/* main(): the main script's MicroThread while it lives, else None. */
static PyObject *main_micro(PyObject *unused, PyObject *none)
{
    const bine *rt = bine__here;

    (void)unused;
    (void)none;
    return Py_NewRef(rt == NULL || rt->main == NULL ? Py_None : (PyObject *)bine__of_core(rt->main));
}

/* can_wait(): whether a micro-thread runs that may wait here. */
static PyObject *can_wait(PyObject *unused, PyObject *none)
{
    int status = bine__can_wait(bine__here);

    (void)unused;
    (void)none;
    return PyBool_FromLong(status == BINE_OK || status == BINE_ECANCELED);
}

/* part(name): the namespace of another part. */
static PyObject *part(PyObject *unused, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);

    (void)unused;
    return text == NULL ? NULL : bine__library(bine__python_now, text);
}

static PyObject *guard_locks(PyObject *unused, PyObject *none)
{
    (void)unused;
    (void)none;
    return bine__guard_locks();
}

/* on_owner(): whether this is the thread of the runtime. */
static PyObject *on_owner(PyObject *unused, PyObject *none)
{
    (void)unused;
    (void)none;
    return PyBool_FromLong(bine__here != NULL);
}

/* look_again(): a thread is about to end, and may have been the last that somebody could wait for. */
static PyObject *look_again(PyObject *unused, PyObject *none)
{
    (void)unused;
    (void)none;
    bine__look_again();
    Py_RETURN_NONE;
}

/* shutting_down(): nothing is spawned any more. */
static PyObject *shutting_down(PyObject *unused, PyObject *none)
{
    (void)unused;
    (void)none;
    return PyBool_FromLong(bine__here == NULL || bine__here->shutting_down);
}

/* config_seed(): bine_config.seed. */
static PyObject *config_seed(PyObject *unused, PyObject *none)
{
    (void)unused;
    (void)none;
    return PyLong_FromUnsignedLongLong(bine__python_now->rt == NULL ? 0 : bine__python_now->rt->config.seed);
}

static PyMethodDef calls[] = {
    {"wait_for_end", (PyCFunction)(void (*)(void))wait_for_end, METH_FASTCALL, NULL},
    {"main", main_micro, METH_NOARGS, NULL},
    {"on_owner", on_owner, METH_NOARGS, NULL},
    {"can_wait", can_wait, METH_NOARGS, NULL},
    {"look_again", look_again, METH_NOARGS, NULL},
    {"part", part, METH_O, NULL},
    {"guard", bine__guard, METH_VARARGS, NULL},
    {"guard_locks", guard_locks, METH_NOARGS, NULL},
    {"give_queue", bine__give_queue, METH_O, NULL},
    {"on_import", bine__on_import, METH_VARARGS, NULL},
    {"shutting_down", shutting_down, METH_NOARGS, NULL},
    {"await_child", (PyCFunction)(void (*)(void))bine__await_child, METH_FASTCALL, NULL},
    {"loop_types", bine__loop_types, METH_NOARGS, NULL},
    {"config_seed", config_seed, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int add_calls(PyObject *names)
{
    for (PyMethodDef *def = calls; def->ml_name != NULL; def++) {
        PyObject *function = PyCFunction_New(def, NULL);
        int status = function == NULL ? -1 : PyDict_SetItemString(names, def->ml_name, function);

        Py_XDECREF(function);
        if (status != 0)
            return -1;
    }
    return 0;
}

/* ---- running them ---- */

static const bine__library_part *find_part(const char *name)
{
    for (const bine__library_part *part = bine__library_parts; part->name != NULL; part++)
        if (strcmp(part->name, name) == 0)
            return part;
    PyErr_Format(PyExc_SystemError, "the library has no part '%s'", name);
    return NULL;
}

/* A namespace (new) in which classes and functions belong to module bine. */
static PyObject *new_names(bine__python *py)
{
    PyObject *names = PyDict_New();
    PyObject *name = PyUnicode_FromString("bine");
    int status = names == NULL || name == NULL ? -1 : PyDict_SetItemString(names, "__name__", name);

    if (status == 0)
        status = PyDict_SetItemString(names, "bine", py->module);
    if (status == 0)
        status = PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins());
    if (status == 0)
        status = add_calls(names);
    Py_XDECREF(name);
    if (status != 0)
        Py_CLEAR(names);
    return names;
}

/* Its lines are to stand in tracebacks. */
static PyObject *compile_part(bine__python *py, const bine__library_part *part)
{
    PyObject *file = PyUnicode_FromFormat("<bine/%s.py>", part->name);
    PyObject *source = PyBytes_FromString(part->source); /* as bine__publish_sources() has it */
    PyObject *code = NULL;

    if (file != NULL && source != NULL && PyDict_SetItem(py->sources, file, source) == 0)
        code = Py_CompileString(part->source, PyUnicode_AsUTF8(file), Py_file_input);
    Py_XDECREF(source);
    Py_XDECREF(file);
    return code;
}

typedef struct running {
    bine__python *py;
    const bine__library_part *part;
    PyObject *names;
} running;

/* With a stack that the compiler fits on. */
static void run_part(void *arg)
{
    running *r = arg;
    PyObject *code = compile_part(r->py, r->part);
    PyObject *none = code == NULL ? NULL : PyEval_EvalCode(code, r->names, r->names);

    if (none == NULL)
        Py_CLEAR(r->names);
    Py_XDECREF(none);
    Py_XDECREF(code);
}

PyObject *bine__library(bine__python *py, const char *part)
{
    PyObject *known = py->library == NULL ? NULL : bine__get_item(py->library, part);
    running r = {.py = py};

    if (known != NULL || PyErr_Occurred())
        return Py_XNewRef(known);
    if (py->library == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the runtime is closed");
        return NULL;
    }
    r.part = find_part(part);
    r.names = r.part == NULL ? NULL : new_names(py);
    if (r.names != NULL && bine__here != NULL && bine__on_large_stack(bine__here, run_part, &r) != 0)
        PyErr_SetString(PyExc_MemoryError, "no larger stack to be had");
    else if (r.names != NULL && bine__here == NULL)
        run_part(&r);
    if (r.names != NULL && !PyErr_Occurred() && PyDict_SetItemString(py->library, part, r.names) == 0)
        return r.names;
    Py_XDECREF(r.names);
    return NULL;
}

PyObject *bine__library_call(const char *part, const char *name, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    PyObject *names = bine__library(bine__python_now, part);
    PyObject *function = names == NULL ? NULL : Py_XNewRef(bine__get_item(names, name));
    PyObject *result = function == NULL ? NULL : PyObject_Vectorcall(function, args, (size_t)nargs, kwnames);

    if (function == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_SystemError, "part '%s' of the library has no %s", part, name);
    Py_XDECREF(function);
    Py_XDECREF(names);
    return result;
}
