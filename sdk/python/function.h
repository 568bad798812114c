/* Host functions, for the files that make them: what a bine.HostFunction holds. Owner thread,
 * GIL held. */
#ifndef BINE_PYTHON_FUNCTION_H
#define BINE_PYTHON_FUNCTION_H

#include "python/python.h"

#define BINE__PARAMS_MAX 64

/* The kinds an annotation admits. */
enum {
    KIND_NONE = 1,
    KIND_BOOL = 2,
    KIND_INT = 4,
    KIND_FLOAT = 8,
    KIND_STR = 16,
    KIND_BYTES = 32,
    KIND_LIST = 64,
    KIND_DICT = 128,
    KIND_WRITER = 256, /* ends of pipes */
    KIND_READER = 512,
    KIND_OBJECT = 1024 /* anything */
};

typedef struct bine__function {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    bine *rt;
    bine_fn function;
    void *user;
    PyObject *name;
    PyObject *module;
    PyObject *doc;
    PyObject *signature; /* as given */
    PyObject *code;      /* these four make inspect.signature() see a function */
    PyObject *defaults;
    PyObject *kwdefaults;
    PyObject *annotations;
    PyObject *params; /* a tuple of names */
    Py_ssize_t count;
    Py_ssize_t positional;      /* how many can be given by position */
    Py_ssize_t positional_only; /* how many only so */
    bool returns_deferred;
    unsigned result_kinds;
    unsigned kinds[BINE__PARAMS_MAX];
    PyObject *fallback[BINE__PARAMS_MAX]; /* default values, NULL: required */
} bine__function;

/* An empty one (new), not yet tracked by the collector: bine__function_fill() comes next. */
bine__function *bine__function_new(bine *rt);

/* Compiles `signature` (signature.c). 0, or -1 with an exception: what is there may be freed. */
int bine__function_fill(bine__function *self, const char *module, const char *signature, const char *doc);

/* Whether `object` is what parameter `index` admits: 0, or -1 with an exception. */
int bine__check_argument(const bine__function *self, Py_ssize_t index, PyObject *object);

/* The name of a parameter, borrowed. */
static inline PyObject *bine__param_name(const bine__function *self, Py_ssize_t index)
{
    return PyTuple_GET_ITEM(self->params, index);
}

#endif
