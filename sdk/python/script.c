/* Starting scripts: files, strings, functions of modules. What a script runs it also compiles
 * and imports, inside its micro-thread, so that its syntax errors are its own. */
#include "python/microthread.h"
#include "python/python.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* run(source, name, namespace): the function of a script's micro-thread. */
static PyObject *run_script(PyObject *unused, PyObject *args)
{
    PyObject *source;
    PyObject *name;
    PyObject *namespace;
    PyObject *code;
    PyObject *result;

    (void)unused;
    if (!PyArg_ParseTuple(args, "OOO", &source, &name, &namespace))
        return NULL;
    /* The compile() that we found at the start: a script may have put its own in its place. */
    code = PyObject_CallFunction(bine__python_now->compile, "OOsii", source, name, "exec", 0, 1);
    if (code == NULL)
        return NULL;
    result = PyEval_EvalCode(code, namespace, namespace);
    Py_DECREF(code);
    return result;
}

/* call(module, function, *args) */
static PyObject *run_named(PyObject *unused, PyObject *args)
{
    PyObject *module = PyImport_Import(PyTuple_GET_ITEM(args, 0));
    PyObject *function = NULL;
    PyObject *rest = NULL;
    PyObject *result = NULL;

    (void)unused;
    if (module != NULL)
        function = PyObject_GetAttr(module, PyTuple_GET_ITEM(args, 1));
    if (function != NULL)
        rest = PyTuple_GetSlice(args, 2, PyTuple_GET_SIZE(args));
    if (rest != NULL)
        result = PyObject_CallObject(function, rest);
    Py_XDECREF(rest);
    Py_XDECREF(function);
    Py_XDECREF(module);
    return result;
}

static PyMethodDef run_script_def = {"script", run_script, METH_VARARGS, NULL};
static PyMethodDef run_named_def = {"named", run_named, METH_VARARGS, NULL};

/* A namespace of its own (new): the module __main__ for the first script, then further ones. */
static PyObject *new_namespace(bine *rt, PyObject *file)
{
    PyObject *module = rt->started ? PyModule_New("__main__") : Py_XNewRef(PyImport_AddModule("__main__"));
    PyObject *namespace = module == NULL ? NULL : Py_NewRef(PyModule_GetDict(module));

    Py_XDECREF(module);
    if (namespace == NULL)
        return NULL;
    if (PyDict_SetItemString(namespace, "__builtins__", PyEval_GetBuiltins()) != 0 ||
        (file != NULL && PyDict_SetItemString(namespace, "__file__", file) != 0))
        Py_CLEAR(namespace);
    return namespace;
}

static int hand_out(bine_micro *micro, bine_micro **out)
{
    if (out != NULL)
        *out = micro;
    else
        Py_DECREF(micro);
    return BINE_OK;
}

/* Spawns `def` with args (taken, may be NULL for failed) under `name` (borrowed). */
static bine_micro *launch(bine *rt, PyMethodDef *def, PyObject *args, PyObject *name)
{
    PyObject *function = args == NULL ? NULL : PyCFunction_New(def, NULL);
    bine_micro *micro = function == NULL ? NULL : bine__spawn(rt, function, args, Py_NewRef(name));

    Py_XDECREF(function);
    Py_XDECREF(args);
    if (micro != NULL && rt->main == NULL && !rt->started)
        rt->main = &micro->core;
    return micro;
}

static bine_micro *start_script(bine *rt, PyObject *source, PyObject *name, PyObject *file)
{
    PyObject *namespace = source == NULL || name == NULL ? NULL : new_namespace(rt, file);
    PyObject *args = namespace == NULL ? NULL : PyTuple_Pack(3, source, name, namespace);
    bine_micro *micro = launch(rt, &run_script_def, args, name);

    Py_XDECREF(namespace);
    if (micro != NULL)
        rt->started = true;
    return micro;
}

static int check(bine *rt, const char *call, const void *text, bine_micro **out)
{
    int status = bine__check_owner(rt, call);

    if (out != NULL)
        *out = NULL;
    if (status != BINE_OK)
        return status;
    if (text == NULL)
        return bine__fail(BINE_EINVAL, "%s: a text is NULL", call);
    if (rt->shutting_down)
        return bine__fail(BINE_ECLOSED, "%s: the runtime is shutting down", call);
    return BINE_OK;
}

int bine_run_string(bine *rt, const char *source, const char *name, bine_micro **out)
{
    int status = check(rt, "bine_run_string", source, out);
    PyObject *text;
    PyObject *label;
    bine_micro *micro = NULL;

    if (status != BINE_OK)
        return status;
    bine__gil_take(rt);
    text = PyBytes_FromString(source);
    label = PyUnicode_DecodeFSDefault(name != NULL ? name : "<string>");
    if (text != NULL && label != NULL && PyDict_SetItem(rt->python->sources, label, text) == 0)
        micro = start_script(rt, text, label, NULL);
    status = micro != NULL ? hand_out(micro, out)
                           : bine__fail_with_exception(BINE_ESCRIPT, "bine_run_string",
                                                       name != NULL ? name : "<string>");
    Py_XDECREF(label);
    Py_XDECREF(text);
    bine__gil_give(rt);
    return status;
}

/* The whole file as a bytes object; NULL with errno, or an exception. */
static PyObject *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    PyObject *bytes = NULL;
    char *data = NULL;
    size_t size = 0;
    size_t capacity = 0;
    int error = 0;

    if (file == NULL)
        return NULL;
    do {
        char *grown = size == capacity ? realloc(data, capacity * 2 + 65536) : data;

        if (grown == NULL) {
            PyErr_NoMemory();
            goto done;
        }
        data = grown;
        if (size == capacity)
            capacity = capacity * 2 + 65536;
        size += fread(data + size, 1, capacity - size, file);
    } while (!feof(file) && !ferror(file));
    error = ferror(file) ? errno : 0;
    if (error == 0)
        bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
done:
    free(data);
    fclose(file);
    errno = error;
    return bytes;
}

/* A script's imports are searched in its own folder first: the real one, as python3 has it. */
static int add_folder(const char *path)
{
    PyObject *sys_path = PySys_GetObject("path"); /* borrowed */
    char *real = realpath(path, NULL);
    char *slash = real == NULL ? NULL : strrchr(real, '/');
    PyObject *folder;
    int known;

    if (sys_path == NULL || !PyList_Check(sys_path) || slash == NULL) {
        free(real);
        return 0;
    }
    folder = PyUnicode_DecodeFSDefaultAndSize(real, slash == real ? 1 : slash - real);
    free(real);
    if (folder == NULL)
        return -1;
    known = PySequence_Contains(sys_path, folder);
    if (known == 0)
        known = PyList_Insert(sys_path, 0, folder);
    Py_DECREF(folder);
    return known < 0 ? -1 : 0;
}

/* The absolute name of a file, links left as they are: what __file__ and tracebacks say. New. */
static PyObject *absolute(const char *path)
{
    char *here = *path == '/' ? NULL : getcwd(NULL, 0);
    PyObject *name = PyUnicode_DecodeFSDefault(path);

    if (here != NULL && name != NULL) {
        PyObject *folder = PyUnicode_DecodeFSDefault(here);

        Py_XSETREF(name, folder == NULL ? NULL : PyUnicode_FromFormat("%U/%U", folder, name));
        Py_XDECREF(folder);
    }
    free(here);
    return name;
}

int bine_run_file(bine *rt, const char *path, bine_micro **out)
{
    int status = check(rt, "bine_run_file", path, out);
    PyObject *source;
    PyObject *name = NULL;
    bine_micro *micro = NULL;

    if (status != BINE_OK)
        return status;
    bine__gil_take(rt);
    source = read_file(path);
    if (source == NULL && !PyErr_Occurred()) {
        status = bine__fail(BINE_EIO, "bine_run_file: %s: %s", path, strerror(errno));
        bine__gil_give(rt);
        return status;
    }
    if (source != NULL && add_folder(path) == 0)
        name = absolute(path);
    if (name != NULL)
        micro = start_script(rt, source, name, name);
    status = micro != NULL ? hand_out(micro, out)
                           : bine__fail_with_exception(BINE_ESCRIPT, "bine_run_file", path);
    Py_XDECREF(name);
    Py_XDECREF(source);
    bine__gil_give(rt);
    return status;
}

/* (module, function, *args), new. */
static PyObject *named_args(const char *module, const char *function, bine_value *args)
{
    PyObject *all = PyTuple_New(2 + (Py_ssize_t)bine_value_count(args));
    PyObject *item;

    for (Py_ssize_t i = 0; all != NULL && i < PyTuple_GET_SIZE(all); i++) {
        if (i < 2)
            item = PyUnicode_FromString(i == 0 ? module : function);
        else
            item = bine_value_to_python((bine_value *)bine_value_at(args, (size_t)i - 2));
        if (item == NULL)
            Py_CLEAR(all);
        else
            PyTuple_SET_ITEM(all, i, item);
    }
    return all;
}

int bine_spawn_named(bine *rt, const char *module, const char *function, bine_value *args, bine_micro **out)
{
    int status = check(rt, "bine_spawn_named", module == NULL ? NULL : function, out);
    PyObject *name;
    bine_micro *micro = NULL;

    if (status == BINE_OK && args != NULL && bine_value_kind(args) != BINE_LIST)
        status = bine__fail(BINE_ETYPE, "bine_spawn_named: args is no list");
    if (status != BINE_OK) {
        bine_value_free(args);
        return status;
    }
    bine__gil_take(rt);
    name = PyUnicode_FromFormat("%s.%s", module, function);
    if (name != NULL)
        micro = launch(rt, &run_named_def, named_args(module, function, args), name);
    status = micro != NULL ? hand_out(micro, out)
                           : bine__fail_with_exception(BINE_ESCRIPT, "bine_spawn_named", function);
    Py_XDECREF(name);
    bine__gil_give(rt);
    bine_value_free(args);
    return status;
}

PyObject *bine_micro_exception(bine_micro *micro)
{
    if (micro == NULL || micro->error == NULL)
        return NULL;
    bine__micro_take_error(micro);
    micro->told = true;
    bine__publish_sources(bine__python_now);
    return Py_NewRef(micro->error);
}
