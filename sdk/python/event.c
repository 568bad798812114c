/* bine.Event: a flag that micro-threads and OS threads wait for. */
#include "python/line.h"
#include "python/python.h"

#include <stddef.h>
#include <structmember.h>

typedef struct event_object {
    PyObject_HEAD
    bine__line line;
    bool is_set;
    PyObject *weakrefs;
} event_object;

static PyObject *event_wait(event_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    bine__want want = {.thing = (PyObject *)self, .line = &self->line, .strict = true};
    int status = BINE_OK;

    if (bine__timeout_argument(args, nargs, kwnames, "wait", &want.timeout_ns) != 0)
        return NULL;
    if (self->is_set)
        Py_RETURN_TRUE;
    Py_INCREF(self);
    status = want.timeout_ns == 0 ? BINE_ETIMEDOUT : bine__line_wait(&want, NULL);
    Py_DECREF(self);
    return bine__line_outcome(status);
}

static PyObject *event_set(event_object *self, PyObject *unused)
{
    (void)unused;
    self->is_set = true;
    bine__line_serve_all(&self->line);
    Py_RETURN_NONE;
}

static PyObject *event_clear(event_object *self, PyObject *unused)
{
    (void)unused;
    self->is_set = false;
    Py_RETURN_NONE;
}

static PyObject *event_is_set(event_object *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(self->is_set);
}

static PyObject *event_repr(event_object *self)
{
    return PyUnicode_FromFormat("<bine.Event at %p: %s>", (void *)self, self->is_set ? "set" : "unset");
}

static PyMethodDef event_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))event_wait, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Wait until the flag is set; True. False when `timeout` seconds are over before.")},
    {"set", (PyCFunction)event_set, METH_NOARGS,
     PyDoc_STR("set($self, /)\n--\n\nSet the flag; all that wait go on. On any thread.")},
    {"clear", (PyCFunction)event_clear, METH_NOARGS, PyDoc_STR("clear($self, /)\n--\n\nTake the flag back.")},
    {"is_set", (PyCFunction)event_is_set, METH_NOARGS,
     PyDoc_STR("is_set($self, /)\n--\n\nWhether it is set.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef event_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(event_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot event_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Event()\n--\n\nA flag that micro-threads and OS threads can wait for.")},
    {Py_tp_new, bine__new_plain},
    {Py_tp_dealloc, bine__dealloc_plain},
    {Py_tp_repr, event_repr},
    {Py_tp_methods, event_methods},
    {Py_tp_members, event_members},
    {0, NULL},
};

static PyType_Spec event_spec = {
    .name = "bine.Event",
    .basicsize = sizeof(event_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = event_slots,
};

int bine__add_event_type(bine__python *py)
{
    return bine__add_type_only(py, &event_spec);
}
