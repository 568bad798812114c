/* bine.Deferred: a host's result that will come, in a script's hands. */
#include "python/python.h"

#include <stddef.h>

typedef struct deferred_object {
    PyObject_HEAD
    bine *rt;
    bine_deferred *deferred;
} deferred_object;

PyObject *bine__deferred_outcome(bine *rt, bine_deferred *d)
{
    int state = bine_deferred_state(d);
    const char *message = bine__deferred_message(d);

    if (state == BINE_ETIMEDOUT || state == BINE_ENOMEM)
        return bine__raise_status(rt, state, message);
    if (state < 0) {
        bine__raise_host_error(state, *message != '\0' ? message : bine_strerror(state));
        return NULL;
    }
    return bine_value_to_python(bine__deferred_value(d));
}

static PyObject *wait_for(deferred_object *self, int64_t timeout_ns)
{
    int status = bine__deferred_await(self->deferred, timeout_ns);

    if (status != BINE_OK)
        return bine__raise_status(self->rt, status, NULL);
    return bine__deferred_outcome(self->rt, self->deferred);
}

static PyObject *deferred_wait(deferred_object *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames)
{
    PyObject *result;
    int64_t ns;

    if (bine__timeout_argument(args, nargs, kwnames, "wait", &ns) != 0)
        return NULL;
    Py_INCREF(self);
    result = wait_for(self, ns);
    Py_DECREF(self);
    return result;
}

static PyObject *finish_wait(PyObject *self)
{
    return wait_for((deferred_object *)self, -1);
}

static PyObject *deferred_await(PyObject *self)
{
    return bine__await_object(((deferred_object *)self)->rt->python, self, finish_wait);
}

static PyObject *deferred_cancel(deferred_object *self, PyObject *unused)
{
    int status = bine_deferred_cancel(self->deferred);

    (void)unused;
    if (status == BINE_OK || status == BINE_ESETTLED)
        return PyBool_FromLong(status == BINE_OK);
    return bine__raise_status(self->rt, status, bine_message());
}

static PyObject *get_done(deferred_object *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(bine_deferred_state(self->deferred) != 0);
}

static PyObject *deferred_repr(deferred_object *self)
{
    int state = bine_deferred_state(self->deferred);

    return PyUnicode_FromFormat("<bine.Deferred %s>", state == 0  ? "pending"
                                                      : state > 0 ? "resolved"
                                                                  : "rejected");
}

static void deferred_dealloc(deferred_object *self)
{
    PyTypeObject *type = Py_TYPE(self);

    bine_deferred_release(self->deferred);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *bine__deferred_object(bine__python *py, bine_deferred *d)
{
    deferred_object *self = PyObject_New(deferred_object, py->deferred_type);

    if (self == NULL) {
        bine_deferred_release(d);
        return NULL;
    }
    self->rt = bine__here;
    self->deferred = d;
    return (PyObject *)self;
}

static PyMethodDef deferred_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))deferred_wait, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Wait for the result and return it, or raise what it was rejected with. After\n"
               "`timeout` seconds raise bine.Timeout; the work goes on.")},
    {"cancel", (PyCFunction)deferred_cancel, METH_NOARGS,
     PyDoc_STR("cancel($self, /)\n--\n\n"
               "Ask the host to stop the work. False when the result is there already.")},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     PyDoc_STR("__class_getitem__($type, item, /)\n--\n\nDeferred[T], for annotations.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef deferred_getset[] = {
    {"done", (getter)get_done, NULL, PyDoc_STR("Whether it has its result."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot deferred_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A result that the host will bring. It can be awaited, which is wait().")},
    {Py_tp_dealloc, deferred_dealloc},
    {Py_tp_repr, deferred_repr},
    {Py_tp_methods, deferred_methods},
    {Py_tp_getset, deferred_getset},
    {Py_am_await, deferred_await},
    {0, NULL},
};

static PyType_Spec deferred_spec = {
    .name = "bine.Deferred",
    .basicsize = sizeof(deferred_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = deferred_slots,
};

int bine__add_deferred_type(bine__python *py)
{
    py->deferred_type = bine__add_type(py, &deferred_spec);
    return py->deferred_type == NULL ? -1 : 0;
}
