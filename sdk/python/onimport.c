/* What is to be done when a module has been imported: threading's stand-ins and so on are put in place then,
 * and not at open, where each module would cost its time. And what a module has done to signals is undone.
 *
 * importlib loads every module by one function of its own, which this file stands in for. A function in C: it
 * leaves no frame in the tracebacks of imports, from which CPython cuts its own. */
#include "python/library.h"
#include "python/python.h"

#include <signal.h>

static PyObject *wishes; /* name -> list of function(module) */
static PyObject *original_load;

/* What goes wrong is no matter of whoever imports. */
static void fulfil(PyObject *function, PyObject *module)
{
    PyObject *none = PyObject_CallOneArg(function, module);

    if (none == NULL)
        PyErr_WriteUnraisable(function);
    Py_XDECREF(none);
}

/* Calls what was wished for once `module` is there. */
static void fulfil_all(PyObject *name, PyObject *module)
{
    PyObject *functions = Py_XNewRef(PyDict_GetItemWithError(wishes, name));

    for (Py_ssize_t i = 0; functions != NULL && i < PyList_GET_SIZE(functions); i++)
        fulfil(PyList_GET_ITEM(functions, i), module);
    if (functions == NULL && PyErr_Occurred())
        PyErr_WriteUnraisable(name);
    Py_XDECREF(functions);
}

static int add_wish(PyObject *name, PyObject *function)
{
    PyObject *functions = Py_XNewRef(PyDict_GetItemWithError(wishes, name));
    int status;

    if (functions != NULL) {
        status = PyList_Append(functions, function);
        Py_DECREF(functions);
        return status;
    }
    functions = PyErr_Occurred() ? NULL : PyList_New(0);
    status = functions == NULL ? -1 : PyList_Append(functions, function);
    if (status == 0)
        status = PyDict_SetItem(wishes, name, functions);
    Py_XDECREF(functions);
    return status;
}

/* Whether a module is of machine code, which may do to signals what it likes. */
static bool is_native(PyObject *spec)
{
    PyObject *origin = PyObject_GetAttrString(spec, "origin");
    const char *text = origin != NULL && PyUnicode_Check(origin) ? PyUnicode_AsUTF8(origin) : NULL;
    size_t size = text == NULL ? 0 : strlen(text);
    bool native = text != NULL &&
                  (strcmp(text, "built-in") == 0 || (size > 3 && strcmp(text + size - 3, ".so") == 0));

    PyErr_Clear();
    Py_XDECREF(origin);
    return native;
}

/* The host's signal handlers are as they were after any import: readline, for one, takes SIGWINCH. */
static PyObject *load_native(PyObject *spec)
{
    struct sigaction before[NSIG];
    bool known[NSIG];
    PyObject *module;

    for (int i = 1; i < NSIG; i++)
        known[i] = sigaction(i, NULL, &before[i]) == 0;
    module = PyObject_CallOneArg(original_load, spec);
    for (int i = 1; i < NSIG; i++) {
        struct sigaction now;

        if (known[i] && sigaction(i, NULL, &now) == 0 && now.sa_sigaction != before[i].sa_sigaction)
            sigaction(i, &before[i], NULL);
    }
    return module;
}

static PyObject *load_module(PyObject *spec)
{
    const bine *rt = bine__python_now->rt;

    if (rt == NULL || rt->config.install_signal_handlers || !is_native(spec))
        return PyObject_CallOneArg(original_load, spec);
    return load_native(spec);
}

/* _load_unlocked(spec) */
static PyObject *load(PyObject *unused, PyObject *spec)
{
    PyObject *module = load_module(spec);
    PyObject *name;

    (void)unused;
    if (module == NULL || bine__python_now->rt == NULL)
        return module; /* as it is: what is imported while the interpreter ends stays CPython's */
    name = PyObject_GetAttrString(spec, "name");
    if (name != NULL && PyUnicode_Check(name) && PyDict_Contains(wishes, name) == 1)
        fulfil_all(name, module);
    PyErr_Clear();
    Py_XDECREF(name);
    return module;
}

static PyMethodDef load_def = {"_load_unlocked", load, METH_O, NULL};

PyObject *bine__on_import(PyObject *unused, PyObject *args)
{
    PyObject *name;
    PyObject *function;
    PyObject *module;

    (void)unused;
    if (!PyArg_ParseTuple(args, "UO:on_import", &name, &function) || add_wish(name, function) != 0)
        return NULL;
    module = PyDict_GetItemWithError(PyImport_GetModuleDict(), name);
    if (module != NULL)
        fulfil(function, module);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

int bine__watch_imports(void)
{
    PyObject *bootstrap = PyImport_ImportModule("_frozen_importlib");
    PyObject *function = PyCFunction_New(&load_def, NULL);
    int status = -1;

    wishes = PyDict_New();
    if (bootstrap != NULL)
        original_load = PyObject_GetAttrString(bootstrap, "_load_unlocked");
    if (original_load != NULL && function != NULL && wishes != NULL)
        status = PyObject_SetAttrString(bootstrap, "_load_unlocked", function);
    if (status == 0)
        status = bine__mend_import_locks(bootstrap);
    Py_XDECREF(function);
    Py_XDECREF(bootstrap);
    return status;
}
