/* Modules of the host's: bine_def() puts functions in, bine_stubs() writes out what is there. */
#include "python/function.h"

#include <stdlib.h>

static PyObject *new_module(bine__python *py, PyObject *modules, PyObject *name)
{
    PyObject *module = PyModule_NewObject(name);
    int status = module == NULL ? -1 : PyDict_SetItem(py->host_modules, name, module);
    PyObject *exception;

    Py_XDECREF(module);
    if (status != 0)
        return NULL;
    if (PyDict_SetItem(modules, name, module) == 0)
        return module;
    exception = bine__take_exception(); /* the next try is to find nothing */
    if (PyDict_DelItem(py->host_modules, name) != 0)
        PyErr_Clear();
    bine__raise(exception);
    return NULL;
}

static PyObject *find_module(bine__python *py, PyObject *name)
{
    PyObject *module = PyDict_GetItemWithError(py->host_modules, name);
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */

    if (module != NULL || PyErr_Occurred() != NULL)
        return module;
    if (PyDict_GetItemWithError(modules, name) != NULL)
        PyErr_Format(PyExc_ImportError, "the module '%U' exists, and is not the host's", name);
    return PyErr_Occurred() != NULL ? NULL : new_module(py, modules, name);
}

/* The module of that name that bine_def() made (borrowed), making it if need be. */
static PyObject *host_module(bine__python *py, const char *name)
{
    PyObject *text = PyUnicode_FromString(name);
    PyObject *module = text == NULL ? NULL : find_module(py, text);

    Py_XDECREF(text);
    return module;
}

static int add_function(bine *rt, const char *module_name, bine__function *self, const char *signature)
{
    PyObject *module = host_module(rt->python, module_name);

    if (module == NULL)
        return bine__fail_with_exception(BINE_EEXIST, "bine_def", module_name);
    if (PyDict_Contains(PyModule_GetDict(module), self->name) != 0)
        return bine__fail(BINE_EEXIST, "bine_def: %s: the module '%s' has that name", signature, module_name);
    if (PyObject_SetAttr(module, self->name, (PyObject *)self) != 0)
        return bine__fail_with_exception(BINE_ENOMEM, "bine_def", signature);
    return BINE_OK;
}

static bine__function *new_function(bine *rt, const char *module, const char *signature, const char *doc)
{
    bine__function *self = bine__function_new(rt);

    if (self != NULL && bine__function_fill(self, module, signature, doc) != 0) {
        PyObject_GC_Track(self); /* as the deallocator expects */
        Py_CLEAR(self);
    }
    return self;
}

static int define(bine *rt, const char *module_name, const char *signature, bine_fn function, void *user,
                  const char *doc)
{
    bine__function *self = new_function(rt, module_name, signature, doc);
    int status;

    if (self == NULL)
        return bine__fail_with_exception(BINE_EINVAL, "bine_def", signature);
    self->function = function;
    self->user = user;
    PyObject_GC_Track(self); /* now that it is whole */
    status = add_function(rt, module_name, self, signature);
    Py_DECREF(self);
    return status;
}

static int check_name(const char *name)
{
    PyObject *text = PyUnicode_FromString(name);
    bool no_memory = text == NULL && PyErr_ExceptionMatches(PyExc_MemoryError);
    bool is_name = text != NULL && PyUnicode_IsIdentifier(text) == 1;

    PyErr_Clear();
    Py_XDECREF(text);
    if (no_memory)
        return bine__fail(BINE_ENOMEM, "bine_def: out of memory");
    return is_name ? BINE_OK : bine__fail(BINE_EINVAL, "bine_def: '%s' is no name for a module", name);
}

/* Also called from host functions: those that run while the interpreter ends come too late. */
static int check_open(const bine *rt, const char *call)
{
    int status = bine__check_owner(rt, call);

    if (status == BINE_OK && rt->closing)
        status = bine__fail(BINE_ECLOSED, "%s: the runtime is closing", call);
    return status;
}

int bine_def(bine *rt, const char *module, const char *signature, bine_fn function, void *user,
             const char *doc)
{
    int status = check_open(rt, "bine_def");

    if (status != BINE_OK)
        return status;
    if (module == NULL || signature == NULL || function == NULL)
        return bine__fail(BINE_EINVAL, "bine_def: module, signature or function is NULL");
    if (strpbrk(signature, "\n\r") != NULL)
        return bine__fail(BINE_EINVAL, "bine_def: %s: a signature is one line", signature);
    bine__gil_take(rt);
    status = check_name(module);
    if (status == BINE_OK)
        status = define(rt, module, signature, function, user, doc);
    bine__gil_give(rt);
    return status;
}

/* ---- stubs ---- */

static int add_stub(PyObject *lines, const bine__function *self)
{
    PyObject *line;
    int status;

    if (self->doc == Py_None)
        line = PyUnicode_FromFormat("def %U: ...\n", self->signature);
    else
        line = PyUnicode_FromFormat("def %U:\n    %R\n    ...\n", self->signature, self->doc);
    status = line == NULL ? -1 : PyList_Append(lines, line);
    Py_XDECREF(line);
    return status;
}

/* A list of lines, new. */
static PyObject *stub_lines(bine__python *py, PyObject *module)
{
    PyObject *lines = Py_BuildValue("[s]",
                                    "import bine\nfrom bine import Deferred, PipeReader, PipeWriter\n\n");
    PyObject *key;
    PyObject *item;
    Py_ssize_t at = 0;

    while (lines != NULL && PyDict_Next(PyModule_GetDict(module), &at, &key, &item))
        if (Py_IS_TYPE(item, py->function_type) && add_stub(lines, (bine__function *)item) != 0)
            Py_CLEAR(lines);
    return lines;
}

static char *stub_text(bine__python *py, PyObject *module)
{
    PyObject *lines = stub_lines(py, module);
    PyObject *empty = PyUnicode_FromString("");
    PyObject *text = lines == NULL || empty == NULL ? NULL : PyUnicode_Join(empty, lines);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    char *copy = utf8 == NULL ? NULL : strdup(utf8);

    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    return copy;
}

int bine_stubs(bine *rt, const char *module, char **out)
{
    int status = check_open(rt, "bine_stubs");
    PyObject *object;
    bool no_memory;

    if (out == NULL)
        return bine__fail(BINE_EINVAL, "bine_stubs: out is NULL");
    *out = NULL;
    if (status != BINE_OK)
        return status;
    bine__gil_take(rt);
    object = module == NULL ? NULL : bine__get_item(rt->python->host_modules, module);
    no_memory = PyErr_ExceptionMatches(PyExc_MemoryError);
    PyErr_Clear();
    if (object != NULL)
        *out = stub_text(rt->python, object);
    bine__gil_give(rt);
    if (object == NULL && !no_memory)
        return bine__fail(BINE_EINVAL, "bine_stubs: '%s' is no module of bine_def()",
                          module == NULL ? "" : module);
    return *out != NULL ? BINE_OK : bine__fail(BINE_ENOMEM, "bine_stubs: out of memory");
}
