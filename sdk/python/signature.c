/* The signatures of host functions: compiled by CPython itself, as the head of a def, once; what a
 * call must know is taken from the function object that comes out. */
#include "python/function.h"

static unsigned kind_of_type(PyObject *type)
{
    if (type == Py_None || type == (PyObject *)Py_TYPE(Py_None))
        return KIND_NONE;
    if (type == (PyObject *)&PyBool_Type)
        return KIND_BOOL;
    if (type == (PyObject *)&PyLong_Type)
        return KIND_INT;
    if (type == (PyObject *)&PyFloat_Type)
        return KIND_FLOAT;
    if (type == (PyObject *)&PyUnicode_Type)
        return KIND_STR;
    if (type == (PyObject *)&PyBytes_Type)
        return KIND_BYTES;
    if (type == (PyObject *)&PyList_Type)
        return KIND_LIST;
    if (type == (PyObject *)&PyDict_Type)
        return KIND_DICT;
    if (type == (PyObject *)bine__python_now->pipe_writer_type)
        return KIND_WRITER;
    if (type == (PyObject *)bine__python_now->pipe_reader_type)
        return KIND_READER;
    return type == (PyObject *)&PyBaseObject_Type ? KIND_OBJECT : 0;
}

static unsigned kinds_of_annotation(PyObject *annotation);

/* New, or NULL: with an exception when memory is out. */
static PyObject *attribute(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);

    if (value == NULL && !PyErr_ExceptionMatches(PyExc_MemoryError))
        PyErr_Clear();
    return value;
}

/* The members of int | None. */
static unsigned kinds_of_union(PyObject *members)
{
    unsigned kinds = 0;

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(members); i++) {
        unsigned kind = kinds_of_annotation(PyTuple_GET_ITEM(members, i));

        if (kind == 0)
            return 0;
        kinds |= kind;
    }
    return kinds;
}

/* 0 for one that is not known, with or without an exception. */
static unsigned kinds_of_annotation(PyObject *annotation)
{
    unsigned kinds = kind_of_type(annotation);
    PyObject *origin;
    PyObject *members;

    if (kinds != 0)
        return kinds;
    origin = attribute(annotation, "__origin__"); /* list[int] */
    if (origin != NULL) {
        kinds = kind_of_type(origin);
        Py_DECREF(origin);
        return kinds;
    }
    members = PyErr_Occurred() != NULL ? NULL : attribute(annotation, "__args__");
    if (members != NULL && PyTuple_Check(members))
        kinds = kinds_of_union(members);
    Py_XDECREF(members);
    return kinds;
}

static int refuse_annotation(const bine__function *self, PyObject *where, PyObject *annotation)
{
    if (PyErr_Occurred() != NULL)
        return -1; /* it could not be looked at */
    PyErr_Format(PyExc_TypeError,
                 "the annotation %R of '%U' in %U is none of int, float, bool, str, bytes, list, dict, "
                 "PipeWriter, PipeReader, object, None, nor a union of them",
                 annotation, where, self->name);
    return -1;
}

static int set_param_kinds(bine__function *self, Py_ssize_t index)
{
    PyObject *annotation = PyDict_GetItemWithError(self->annotations,
                                                   bine__param_name(self, index)); /* borrowed */

    if (annotation == NULL) {
        self->kinds[index] = KIND_OBJECT;
        return PyErr_Occurred() ? -1 : 0;
    }
    self->kinds[index] = kinds_of_annotation(annotation);
    return self->kinds[index] != 0 ? 0 : refuse_annotation(self, bine__param_name(self, index), annotation);
}

static int set_result_kinds(bine__function *self)
{
    bine__python *py = self->rt->python;
    PyObject *annotation = bine__get_item(self->annotations, "return"); /* borrowed */
    PyObject *origin;
    PyObject *name;

    self->result_kinds = KIND_OBJECT;
    if (annotation == NULL)
        return PyErr_Occurred() != NULL ? -1 : 0;
    origin = attribute(annotation, "__origin__");
    if (PyErr_Occurred() != NULL)
        return -1;
    self->returns_deferred = annotation == (PyObject *)py->deferred_type ||
                             origin == (PyObject *)py->deferred_type;
    Py_XDECREF(origin);
    if (self->returns_deferred)
        return 0;
    self->result_kinds = kinds_of_annotation(annotation);
    if (self->result_kinds != 0)
        return 0;
    name = PyErr_Occurred() != NULL ? NULL : PyUnicode_FromString("return");
    if (name != NULL)
        refuse_annotation(self, name, annotation);
    Py_XDECREF(name);
    return -1;
}

/* Defaults of the positional ones are the last of them; of the keyword-only ones, by name. */
static void set_fallbacks(bine__function *self)
{
    Py_ssize_t defaults = self->defaults == Py_None ? 0 : PyTuple_GET_SIZE(self->defaults);

    for (Py_ssize_t i = 0; i < defaults; i++)
        self->fallback[self->positional - defaults + i] = Py_NewRef(PyTuple_GET_ITEM(self->defaults, i));
    for (Py_ssize_t i = self->positional; i < self->count && self->kwdefaults != Py_None; i++)
        self->fallback[i] = Py_XNewRef(PyDict_GetItem(self->kwdefaults, bine__param_name(self, i)));
}

static int check_fallbacks(const bine__function *self)
{
    for (Py_ssize_t i = 0; i < self->count; i++)
        if (self->fallback[i] != NULL && bine__check_argument(self, i, self->fallback[i]) != 0)
            return -1;
    return 0;
}

static int set_params(bine__function *self)
{
    PyCodeObject *code = (PyCodeObject *)self->code;
    PyObject *names;

    if (code->co_flags & (CO_VARARGS | CO_VARKEYWORDS)) {
        PyErr_Format(PyExc_TypeError, "%U has *args or **kwargs, which a host function cannot have",
                     self->signature);
        return -1;
    }
    self->positional_only = code->co_posonlyargcount;
    self->positional = code->co_argcount;
    self->count = code->co_argcount + code->co_kwonlyargcount;
    if (self->count > BINE__PARAMS_MAX) {
        PyErr_Format(PyExc_TypeError, "%U has more than %d parameters", self->name, BINE__PARAMS_MAX);
        return -1;
    }
    names = PyObject_GetAttrString(self->code, "co_varnames");
    if (names == NULL)
        return -1;
    self->params = names;
    for (Py_ssize_t i = 0; i < self->count; i++)
        if (set_param_kinds(self, i) != 0)
            return -1;
    set_fallbacks(self);
    if (set_result_kinds(self) != 0)
        return -1;
    return check_fallbacks(self);
}

/* `def SIGNATURE: ...`, run: the function object that CPython makes of it (new). */
static PyObject *compiled(bine__python *py, const char *signature)
{
    PyObject *source = PyUnicode_FromFormat("def %s: ...", signature);
    PyObject *names = source == NULL ? NULL : PyDict_New();
    const char *text = names == NULL ? NULL : PyUnicode_AsUTF8(source);
    PyObject *done = NULL;
    PyObject *function = NULL;
    PyObject *key;
    Py_ssize_t at = 0;

    if (text != NULL && PyDict_SetItemString(names, "Deferred", (PyObject *)py->deferred_type) == 0 &&
        PyDict_SetItemString(names, "PipeWriter", (PyObject *)py->pipe_writer_type) == 0 &&
        PyDict_SetItemString(names, "PipeReader", (PyObject *)py->pipe_reader_type) == 0 &&
        PyDict_SetItemString(names, "bine", py->module) == 0 &&
        PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) == 0)
        done = PyRun_String(text, Py_file_input, names, names);
    if (done != NULL)
        while (PyDict_Next(names, &at, &key, &function) && !PyFunction_Check(function))
            function = NULL;
    if (done != NULL && function == NULL)
        PyErr_SetString(PyExc_SyntaxError, "it defines no function");
    Py_XINCREF(function);
    Py_XDECREF(done);
    Py_XDECREF(names);
    Py_XDECREF(source);
    return function;
}

static int fill(bine__function *self, PyObject *function, const char *module, const char *signature,
                const char *doc)
{
    self->name = PyObject_GetAttrString(function, "__name__");
    self->module = PyUnicode_FromString(module);
    self->signature = PyUnicode_FromString(signature);
    self->doc = doc == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(doc);
    self->code = PyObject_GetAttrString(function, "__code__");
    self->defaults = PyObject_GetAttrString(function, "__defaults__");
    self->kwdefaults = PyObject_GetAttrString(function, "__kwdefaults__");
    self->annotations = PyObject_GetAttrString(function, "__annotations__");
    if (self->name == NULL || self->module == NULL || self->signature == NULL || self->doc == NULL ||
        self->code == NULL || self->defaults == NULL || self->kwdefaults == NULL || self->annotations == NULL)
        return -1;
    return set_params(self);
}

int bine__function_fill(bine__function *self, const char *module, const char *signature, const char *doc)
{
    PyObject *function = compiled(self->rt->python, signature);
    int status = function == NULL ? -1 : fill(self, function, module, signature, doc);

    Py_XDECREF(function);
    return status;
}
