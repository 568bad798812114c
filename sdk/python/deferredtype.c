/* bine.Deferred: a host's result that will come, in a script's hands. */
#include "python/microthread.h"
#include "python/python.h"

#include "data/value.h"

#include <stddef.h>
#include <stdlib.h>

typedef struct deferred_object {
    PyObject_HEAD
    bine *rt;
    bine_deferred *deferred;
} deferred_object;

PyObject *bine__raise_rejection(bine *rt, const bine__result *r)
{
    const char *message = bine__result_message(r);
    PyObject *exception = bine__result_exception(r);

    if (exception != NULL)
        bine__raise(exception);
    else if (r->state == BINE_ETIMEDOUT || r->state == BINE_ENOMEM)
        bine__raise_status(rt, r->state, message);
    else
        bine__raise_host_error(r->state, *message != '\0' ? message : bine_strerror(r->state));
    return NULL;
}

PyObject *bine__deferred_outcome(bine *rt, bine_deferred *d)
{
    const bine__result *r = bine__deferred_take(d);

    bine__python_saw(r);
    return r->state < 0 ? bine__raise_rejection(rt, r) : bine_value_to_python(r->value);
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
    return bine__raise_status(NULL, status, "cancel() is for the thread that runs the host's loop");
}

/* One without its deferred yet (new). */
static deferred_object *new_object(bine__python *py)
{
    deferred_object *self = PyObject_GC_New(deferred_object, py->deferred_type);

    if (self == NULL)
        return NULL;
    self->rt = bine__here;
    self->deferred = NULL;
    return self;
}

static PyObject *fill(deferred_object *self, bine_deferred *d)
{
    self->deferred = d;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

PyObject *bine__deferred_object(bine__python *py, bine_deferred *d)
{
    deferred_object *self = new_object(py);

    if (self != NULL)
        return fill(self, d);
    bine_deferred_cancel(d); /* nobody will ever see it */
    bine_deferred_release(d);
    return NULL;
}

/* ---- then ---- */

typedef struct steps {
    PyObject *ok;  /* or NULL */
    PyObject *err; /* or NULL */
} steps;

static void free_steps(void *user)
{
    steps *s = user;
    bine *rt = bine__here;

    if (rt != NULL && rt->python != NULL) {
        bine__gil_take(rt);
        Py_XDECREF(s->ok);
        Py_XDECREF(s->err);
        bine__gil_give(rt);
    }
    free(s);
}

/* Whether a step may wait for what it returned: a new error if that would be for ever. */
static int check_returned(const bine__python *py, PyObject *result)
{
    if (!Py_IS_TYPE(result, py->deferred_type) ||
        !bine__micro_awaited_by(bine_micro_current(), ((deferred_object *)result)->deferred))
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the Deferred that the step returned waits for the step itself");
    return -1;
}

/* step(function, argument): what a step's micro-thread runs. A deferred or micro-thread that the function
 * returns is waited for. */
static PyObject *run_step(PyObject *unused, PyObject *const *args, Py_ssize_t nargs)
{
    const bine__python *py = bine__python_now;
    PyObject *result = PyObject_CallOneArg(args[0], args[1]);

    (void)unused;
    (void)nargs;
    while (result != NULL && (Py_IS_TYPE(result, py->deferred_type) || Py_IS_TYPE(result, py->micro_type))) {
        const char *wait = Py_IS_TYPE(result, py->deferred_type) ? "wait" : "join";

        if (check_returned(py, result) != 0) {
            Py_DECREF(result);
            return NULL;
        }
        Py_SETREF(result, PyObject_CallMethod(result, wait, NULL));
    }
    return result;
}

static PyMethodDef run_step_def = {"step", (PyCFunction)(void (*)(void))run_step, METH_FASTCALL, NULL};

/* What a step's function is called with (new). */
static PyObject *step_argument(bine *rt, const bine__result *in)
{
    if (in->state > 0)
        return bine_value_to_python(in->value);
    bine__raise_rejection(rt, in);
    return bine__take_exception();
}

/* Spawns function(argument); the step's answer is how that ends. */
static int follow_call(bine_step *step, PyObject *function)
{
    bine *rt = bine_step_runtime(step);
    PyObject *argument = step_argument(rt, bine__step_input(step));
    PyObject *args = argument == NULL ? NULL : PyTuple_Pack(2, function, argument);
    PyObject *runner = args == NULL ? NULL : PyCFunction_New(&run_step_def, NULL);
    bine_micro *micro = runner == NULL ? NULL : bine__spawn(rt, runner, args, NULL);
    bine_deferred *end = micro == NULL ? NULL : bine__micro_ending(micro, true);
    int status = PyErr_Occurred() != NULL ? BINE_ESCRIPT : BINE_ENOMEM;

    if (end != NULL)
        status = bine_step_follow(step, end);
    else if (micro != NULL)
        bine__micro_cancel(&micro->core); /* nobody would ever hear of it */
    Py_XDECREF(micro);
    Py_XDECREF(runner);
    Py_XDECREF(args);
    Py_XDECREF(argument);
    return status;
}

static int py_ok(bine_step *step, void *user)
{
    return follow_call(step, ((steps *)user)->ok);
}

static int py_err(bine_step *step, void *user)
{
    return follow_call(step, ((steps *)user)->err);
}

static int check_step(PyObject *function, const char *name)
{
    if (function == Py_None || PyCallable_Check(function))
        return 0;
    PyErr_Format(PyExc_TypeError, "then() argument '%s' must be a function or None, not %.100s", name,
                 Py_TYPE(function)->tp_name);
    return -1;
}

static PyObject *deferred_then(deferred_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"ok", "err", NULL};
    PyObject *ok = Py_None;
    PyObject *err = Py_None;
    deferred_object *object;
    bine_deferred *next;
    steps *s;
    int status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:then", names, &ok, &err))
        return NULL;
    if (check_step(ok, "ok") != 0 || check_step(err, "err") != 0)
        return NULL;
    if (bine__here != self->rt)
        return bine__raise_status(NULL, BINE_ETHREAD, "then() is for the thread that runs the host's loop");
    object = new_object(self->rt->python);
    s = object == NULL ? NULL : malloc(sizeof *s);
    if (s == NULL) {
        if (object != NULL)
            fill(object, NULL);
        Py_XDECREF(object);
        return PyErr_NoMemory();
    }
    s->ok = ok == Py_None ? NULL : Py_NewRef(ok);
    s->err = err == Py_None ? NULL : Py_NewRef(err);
    status = bine_then(self->deferred, s->ok == NULL ? NULL : py_ok, s->err == NULL ? NULL : py_err, s,
                       free_steps, &next);
    fill(object, next);
    if (status == BINE_OK)
        return (PyObject *)object;
    Py_DECREF(object);
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

/* An exception raised here holds the frames it went through, and they often this. What it was settled with
 * is seen by the collector when this object is its only holder; one with a rejection that nobody took yet
 * is not: that will be reported. */
static int deferred_traverse(deferred_object *self, visitproc visit, void *arg)
{
    const bine_deferred *d = self->deferred;

    Py_VISIT(Py_TYPE(self));
    if (d != NULL && d->consumers == 1 && atomic_load(&d->holds) == 1 && d->settled.value != NULL &&
        bine__value_unshared(d->settled.value))
        Py_VISIT(bine__value_object(d->settled.value));
    return 0;
}

static void release(void *deferred)
{
    bine_deferred_release(deferred);
}

static void deferred_dealloc(deferred_object *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (self->deferred != NULL)
        bine__release_on_owner(self->rt, self->deferred, release);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef deferred_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))deferred_wait, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Wait for the result and return it, or raise what it was rejected with. After\n"
               "`timeout` seconds raise bine.Timeout; the work goes on.")},
    {"then", (PyCFunction)(void (*)(void))deferred_then, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("then($self, /, ok=None, err=None)\n--\n\n"
               "When the result is there call ok(value), or err(exception), in a micro-thread of its\n"
               "own, and return a Deferred for what that returns; a Deferred or MicroThread it returns\n"
               "is waited for. None passes the result on.")},
    {"cancel", (PyCFunction)deferred_cancel, METH_NOARGS,
     PyDoc_STR("cancel($self, /)\n--\n\n"
               "Ask the host to stop the work. False when the result is there already. Who waits for it\n"
               "then sees a bine.HostError named BINE_ECANCELED, unless the host brings something else.")},
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
    {Py_tp_traverse, deferred_traverse},
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
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = deferred_slots,
};

int bine__add_deferred_type(bine__python *py)
{
    py->deferred_type = bine__add_type(py, &deferred_spec);
    return py->deferred_type == NULL ? -1 : 0;
}
