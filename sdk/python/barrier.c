/* bine.Barrier: so many that wait for each other. */
#include "python/line.h"
#include "python/python.h"

#include <stddef.h>
#include <structmember.h>

typedef struct barrier_object {
    PyObject_HEAD
    bine__line line; /* those of this round */
    Py_ssize_t parties;
    Py_ssize_t waiting; /* in `line` */
    PyObject *action;   /* or NULL */
    int64_t timeout_ns;
    bool broken;
    size_t breaks; /* how often a round was */
    PyObject *weakrefs;
} barrier_object;

static PyObject *barrier_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"parties", "action", "timeout", NULL};
    Py_ssize_t parties;
    PyObject *action = Py_None;
    PyObject *timeout = Py_None;
    barrier_object *self;
    int64_t ns;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|OO:Barrier", names, &parties, &action, &timeout))
        return NULL;
    if (parties < 1) {
        PyErr_Format(PyExc_ValueError, "a barrier needs one party or more, not %zd", parties);
        return NULL;
    }
    if (action != Py_None && !PyCallable_Check(action)) {
        PyErr_Format(PyExc_TypeError, "action must be a function or None, not %.100s",
                     Py_TYPE(action)->tp_name);
        return NULL;
    }
    if (bine__seconds(timeout, "timeout", true, &ns) != 0)
        return NULL;
    self = (barrier_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->parties = parties;
    self->action = action == Py_None ? NULL : Py_NewRef(action);
    self->timeout_ns = ns;
    return (PyObject *)self;
}

static PyObject *raise_broken(void)
{
    return bine__raise_from("threading", "BrokenBarrierError");
}

/* All in `line` go on: the round is complete, or it never will be. */
static void let_go(bine__line *line, bool broken)
{
    while (line->first != NULL)
        Py_XDECREF(bine__line_serve(line, Py_NewRef(broken ? Py_True : Py_False)));
}

static void break_round(barrier_object *self)
{
    self->breaks++;
    self->waiting = 0;
    let_go(&self->line, true);
}

static void break_it(barrier_object *self)
{
    self->broken = true;
    break_round(self);
}

/* The last one has come: calls the action, then lets the others go. Meanwhile the next round may begin, and
 * what breaks the barrier breaks this round too. */
static PyObject *complete(barrier_object *self)
{
    bine__line leaving = {0};
    Py_ssize_t index = self->waiting;
    size_t breaks = self->breaks;
    PyObject *none;
    bool is_broken;

    bine__line_move(&leaving, &self->line);
    self->waiting = 0;
    none = self->action == NULL ? Py_NewRef(Py_None) : PyObject_CallNoArgs(self->action);
    if (none == NULL) {
        PyObject *error = bine__take_exception();

        break_it(self);
        let_go(&leaving, true);
        bine__raise(error);
        return NULL;
    }
    Py_DECREF(none);
    is_broken = self->breaks != breaks;
    let_go(&leaving, is_broken);
    return is_broken ? raise_broken() : PyLong_FromSsize_t(index);
}

/* Waits for the rest of the round. */
static PyObject *wait_for_rest(barrier_object *self, int64_t ns)
{
    bine__want want = {.thing = (PyObject *)self, .line = &self->line, .timeout_ns = ns, .strict = true};
    Py_ssize_t index = self->waiting;
    PyObject *broken = NULL;
    bool is_broken;
    int status;

    if (bine__line_refuse(&want) != BINE_OK)
        return NULL; /* it has not come at all */
    self->waiting++;
    status = ns == 0 ? BINE_ETIMEDOUT : bine__line_wait(&want, &broken);
    is_broken = broken == Py_True;
    Py_XDECREF(broken);
    if (status == BINE_OK)
        return is_broken ? raise_broken() : PyLong_FromSsize_t(index);
    if (PyErr_Occurred()) {
        PyObject *error = bine__take_exception();

        break_it(self);
        bine__raise(error);
        return NULL;
    }
    break_it(self);
    return raise_broken();
}

static PyObject *barrier_wait(barrier_object *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    int64_t ns;
    PyObject *result;

    if (bine__timeout_argument(args, nargs, kwnames, "wait", &ns) != 0)
        return NULL;
    if (ns < 0)
        ns = self->timeout_ns;
    if (self->broken)
        return raise_broken();
    Py_INCREF(self);
    result = self->waiting + 1 == self->parties ? complete(self) : wait_for_rest(self, ns);
    Py_DECREF(self);
    return result;
}

static PyObject *barrier_reset(barrier_object *self, PyObject *unused)
{
    (void)unused;
    break_round(self);
    self->broken = false;
    Py_RETURN_NONE;
}

static PyObject *barrier_abort(barrier_object *self, PyObject *unused)
{
    (void)unused;
    break_it(self);
    Py_RETURN_NONE;
}

static PyObject *barrier_repr(barrier_object *self)
{
    if (self->broken)
        return PyUnicode_FromFormat("<bine.Barrier at %p: broken>", (void *)self);
    return PyUnicode_FromFormat("<bine.Barrier at %p: waiters=%zd/%zd>", (void *)self, self->waiting,
                                self->parties);
}

static PyMethodDef barrier_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))barrier_wait, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Wait until all parties do; then all go on, each with a number of its own, from 0. The one\n"
               "that comes last calls `action` first. When one of them is cancelled, or its time is over,\n"
               "the barrier is broken: threading.BrokenBarrierError for all.")},
    {"reset", (PyCFunction)barrier_reset, METH_NOARGS,
     PyDoc_STR("reset($self, /)\n--\n\nAs new. Those that wait get threading.BrokenBarrierError.")},
    {"abort", (PyCFunction)barrier_abort, METH_NOARGS,
     PyDoc_STR(
         "abort($self, /)\n--\n\nBreak it: those that wait, or will, get threading.BrokenBarrierError.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef barrier_members[] = {
    {"parties", T_PYSSIZET, offsetof(barrier_object, parties), READONLY,
     PyDoc_STR("How many wait for each other.")},
    {"n_waiting", T_PYSSIZET, offsetof(barrier_object, waiting), READONLY, PyDoc_STR("How many wait now.")},
    {"broken", T_BOOL, offsetof(barrier_object, broken), READONLY, PyDoc_STR("Whether it is broken.")},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(barrier_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int barrier_traverse(barrier_object *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->action);
    return 0;
}

static int barrier_clear(barrier_object *self)
{
    Py_CLEAR(self->action);
    return 0;
}

static void barrier_dealloc(barrier_object *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    barrier_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot barrier_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Barrier(parties, action=None, timeout=None)\n--\n\n"
                                  "A place where `parties` of them wait for each other, again and again.")},
    {Py_tp_new, barrier_new},
    {Py_tp_traverse, barrier_traverse},
    {Py_tp_clear, barrier_clear},
    {Py_tp_dealloc, barrier_dealloc},
    {Py_tp_repr, barrier_repr},
    {Py_tp_methods, barrier_methods},
    {Py_tp_members, barrier_members},
    {0, NULL},
};

static PyType_Spec barrier_spec = {
    .name = "bine.Barrier",
    .basicsize = sizeof(barrier_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = barrier_slots,
};

int bine__add_barrier_type(bine__python *py)
{
    return bine__add_type_only(py, &barrier_spec);
}
