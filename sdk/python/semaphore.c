/* bine.Semaphore: so many at a time, in the order they came. */
#include "python/line.h"
#include "python/python.h"

#include <stddef.h>
#include <structmember.h>

typedef struct semaphore_object {
    PyObject_HEAD
    bine__line line;
    Py_ssize_t value; /* while somebody waits: 0 */
    PyObject *weakrefs;
} semaphore_object;

static PyObject *semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"value", NULL};
    Py_ssize_t value = 1;
    semaphore_object *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:Semaphore", names, &value))
        return NULL;
    if (value < 0) {
        PyErr_Format(PyExc_ValueError, "a semaphore begins with 0 or more, not %zd", value);
        return NULL;
    }
    self = (semaphore_object *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->value = value;
    return (PyObject *)self;
}

static int parse(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, int64_t *ns)
{
    PyObject *timeout;
    int blocking;

    *ns = -1;
    if (bine__acquire_arguments(args, nargs, kwnames, &blocking, &timeout) != 0)
        return -1;
    if (timeout != NULL && bine__seconds(timeout, "timeout", true, ns) != 0)
        return -1;
    if (!blocking && *ns >= 0) {
        PyErr_SetString(PyExc_ValueError, "can't specify a timeout for a non-blocking call");
        return -1;
    }
    if (!blocking)
        *ns = 0;
    return 0;
}

static PyObject *semaphore_acquire(semaphore_object *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *kwnames)
{
    bine__want want = {.thing = (PyObject *)self, .line = &self->line, .strict = true};
    int status;

    if (parse(args, nargs, kwnames, &want.timeout_ns) != 0)
        return NULL;
    if (self->value > 0) {
        self->value--;
        Py_RETURN_TRUE;
    }
    Py_INCREF(self);
    status = want.timeout_ns == 0 ? BINE_ETIMEDOUT : bine__line_wait(&want, NULL);
    Py_DECREF(self);
    return bine__line_outcome(status);
}

static void release(semaphore_object *self, Py_ssize_t n)
{
    while (n > 0 && self->line.first != NULL) {
        bine__line_serve(&self->line, NULL);
        n--;
    }
    self->value += n;
}

static PyObject *semaphore_release(semaphore_object *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *kwnames)
{
    static const char *const names[] = {"n"};
    PyObject *given = NULL;
    Py_ssize_t n = 1;

    if (bine__arguments("release", names, 1, args, nargs, kwnames, &given) != 0)
        return NULL;
    if (given != NULL)
        n = PyNumber_AsSsize_t(given, PyExc_OverflowError);
    if (n == -1 && PyErr_Occurred())
        return NULL;
    if (n < 1) {
        PyErr_Format(PyExc_ValueError, "n must be one or more, not %zd", n);
        return NULL;
    }
    if (n > PY_SSIZE_T_MAX - self->value) {
        PyErr_Format(PyExc_OverflowError, "a semaphore counts to %zd", PY_SSIZE_T_MAX);
        return NULL;
    }
    release(self, n);
    Py_RETURN_NONE;
}

static PyObject *semaphore_enter(semaphore_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)args;
    (void)nargs;
    return semaphore_acquire(self, NULL, 0, NULL);
}

static PyObject *semaphore_exit(semaphore_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)args;
    (void)nargs;
    return semaphore_release(self, NULL, 0, NULL);
}

static PyObject *semaphore_repr(semaphore_object *self)
{
    return PyUnicode_FromFormat("<bine.Semaphore at %p: value=%zd>", (void *)self, self->value);
}

static PyMethodDef semaphore_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))semaphore_acquire, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("acquire($self, /, blocking=True, timeout=None)\n--\n\n"
               "Take one, waiting until there is one; True. With blocking=False, or when `timeout`\n"
               "seconds are over: False.")},
    {"release", (PyCFunction)(void (*)(void))semaphore_release, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("release($self, /, n=1)\n--\n\n"
               "Give `n` back; those that have waited longest have them then. On any thread.")},
    {"__enter__", (PyCFunction)(void (*)(void))semaphore_enter, METH_FASTCALL,
     PyDoc_STR("__enter__($self, /)\n--\n\nacquire().")},
    {"__exit__", (PyCFunction)(void (*)(void))semaphore_exit, METH_FASTCALL,
     PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\nrelease().")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef semaphore_members[] = {
    {"value", T_PYSSIZET, offsetof(semaphore_object, value), READONLY,
     PyDoc_STR("How many there are to take.")},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(semaphore_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot semaphore_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("Semaphore(value=1)\n--\n\n"
                       "`value` at a time, micro-threads and OS threads alike, in the order they came.")},
    {Py_tp_new, semaphore_new},
    {Py_tp_dealloc, bine__dealloc_plain},
    {Py_tp_repr, semaphore_repr},
    {Py_tp_methods, semaphore_methods},
    {Py_tp_members, semaphore_members},
    {0, NULL},
};

static PyType_Spec semaphore_spec = {
    .name = "bine.Semaphore",
    .basicsize = sizeof(semaphore_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = semaphore_slots,
};

int bine__add_semaphore_type(bine__python *py)
{
    return bine__add_type_only(py, &semaphore_spec);
}
