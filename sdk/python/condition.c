/* bine.Condition: to wait, without a lock that one holds, for news of what it guards. */
#include "python/line.h"
#include "python/lock.h"
#include "python/python.h"

#include <stddef.h>
#include <structmember.h>

typedef struct condition_object {
    PyObject_HEAD
    bine__line line;
    PyObject *lock; /* a bine.Lock or RLock */
    PyObject *weakrefs;
} condition_object;

static PyObject *condition_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"lock", NULL};
    PyObject *lock = Py_None;
    condition_object *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Condition", names, &lock))
        return NULL;
    if (lock != Py_None && !bine__is_lock(lock)) {
        PyErr_Format(PyExc_TypeError, "a Condition needs a bine.Lock or bine.RLock, not %.100s",
                     Py_TYPE(lock)->tp_name);
        return NULL;
    }
    self = (condition_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->lock = lock != Py_None ? Py_NewRef(lock)
                                 : PyObject_CallNoArgs((PyObject *)bine__python_now->rlock_type);
    if (self->lock == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* Whether the lock is held, as it must be for `what`; else an exception. */
static bool is_held(const condition_object *self, const char *what)
{
    if (bine__lock_is_taken(self->lock))
        return true;
    PyErr_Format(PyExc_RuntimeError, "cannot %s on un-acquired lock", what);
    return false;
}

/* Waits without the lock until it is notified, or the time is over. BINE_OK, BINE_ETIMEDOUT or another with
 * an exception; the lock is held again, whichever. */
static int wait_once(condition_object *self, int64_t timeout_ns)
{
    bine__want want = {
        .thing = (PyObject *)self, .line = &self->line, .timeout_ns = timeout_ns, .strict = true};
    PyObject *raised = NULL;
    int status = bine__line_refuse(&want);
    size_t count;

    if (status != BINE_OK)
        return status; /* it could not get the lock back */
    count = bine__lock_let_go(self->lock);
    status = timeout_ns == 0 ? BINE_ETIMEDOUT : bine__line_wait(&want, NULL);
    if (PyErr_Occurred())
        raised = bine__take_exception();
    if (bine__lock_get_back(self->lock, count) != 0)
        status = BINE_ENOMEM; /* an exception is set, and tells more than the first */
    else if (raised != NULL)
        bine__raise(Py_NewRef(raised));
    Py_XDECREF(raised);
    return status;
}

static PyObject *condition_wait(condition_object *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames)
{
    int64_t ns;
    int status;

    if (bine__timeout_argument(args, nargs, kwnames, "wait", &ns) != 0 || !is_held(self, "wait"))
        return NULL;
    Py_INCREF(self);
    status = wait_once(self, ns);
    Py_DECREF(self);
    return bine__line_outcome(status);
}

/* What is left of a time that began at `start`; -1 for no limit. */
static int64_t left_of(int64_t ns, int64_t start)
{
    int64_t left = ns - (bine__line_clock() - start);

    return ns < 0 ? -1 : left > 0 ? left : 0;
}

/* predicate() until it is true or the time is over: its last value (new). */
static PyObject *wait_for(condition_object *self, PyObject *predicate, int64_t ns)
{
    int64_t start = bine__line_clock();

    for (;;) {
        PyObject *value = PyObject_CallNoArgs(predicate);
        int true_now = value == NULL ? -1 : PyObject_IsTrue(value);
        int64_t left = left_of(ns, start);
        int status;

        if (true_now != 0 || left == 0) {
            if (true_now < 0)
                Py_CLEAR(value);
            return value;
        }
        Py_DECREF(value);
        if (!is_held(self, "wait"))
            return NULL;
        status = wait_once(self, left);
        if (status != BINE_OK && status != BINE_ETIMEDOUT)
            return NULL;
    }
}

static PyObject *condition_wait_for(condition_object *self, PyObject *const *args, Py_ssize_t nargs,
                                    PyObject *kwnames)
{
    static const char *const names[] = {"predicate", "timeout"};
    PyObject *given[2] = {0};
    PyObject *value;
    int64_t ns = -1;

    if (bine__arguments("wait_for", names, 2, args, nargs, kwnames, given) != 0)
        return NULL;
    if (given[0] == NULL || !PyCallable_Check(given[0])) {
        PyErr_SetString(PyExc_TypeError, "wait_for() needs a function to call");
        return NULL;
    }
    if ((given[1] != NULL && bine__seconds(given[1], "timeout", true, &ns) != 0) || !is_held(self, "wait"))
        return NULL;
    Py_INCREF(self);
    value = wait_for(self, given[0], ns);
    Py_DECREF(self);
    return value;
}

static PyObject *condition_notify(condition_object *self, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *kwnames)
{
    static const char *const names[] = {"n"};
    PyObject *given = NULL;
    Py_ssize_t n = 1;

    if (bine__arguments("notify", names, 1, args, nargs, kwnames, &given) != 0)
        return NULL;
    if (given != NULL)
        n = PyNumber_AsSsize_t(given, NULL);
    if ((n == -1 && PyErr_Occurred()) || !is_held(self, "notify"))
        return NULL;
    for (; n > 0 && self->line.first != NULL; n--)
        bine__line_serve(&self->line, NULL);
    Py_RETURN_NONE;
}

static PyObject *condition_notify_all(condition_object *self, PyObject *unused)
{
    (void)unused;
    if (!is_held(self, "notify"))
        return NULL;
    bine__line_serve_all(&self->line);
    Py_RETURN_NONE;
}

static PyObject *condition_acquire(condition_object *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *kwnames)
{
    PyObject *method = PyObject_GetAttrString(self->lock, "acquire");
    PyObject *result = method == NULL ? NULL : PyObject_Vectorcall(method, args, (size_t)nargs, kwnames);

    Py_XDECREF(method);
    return result;
}

static PyObject *condition_release(condition_object *self, PyObject *unused)
{
    (void)unused;
    return bine__lock_release(self->lock);
}

static PyObject *condition_exit(condition_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)args;
    (void)nargs;
    return bine__lock_release(self->lock);
}

static PyMethodDef condition_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))condition_wait, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait($self, /, timeout=None)\n--\n\n"
               "Free the lock, wait until notified, take the lock again; True. False when `timeout`\n"
               "seconds are over before. The lock is held again whatever ends the wait, a cancel too.")},
    {"wait_for", (PyCFunction)(void (*)(void))condition_wait_for, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("wait_for($self, /, predicate, timeout=None)\n--\n\n"
               "wait() until predicate() is true, or the time is over; what it returned last.")},
    {"notify", (PyCFunction)(void (*)(void))condition_notify, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("notify($self, /, n=1)\n--\n\nHave the `n` that have waited longest go on.")},
    {"notify_all", (PyCFunction)condition_notify_all, METH_NOARGS,
     PyDoc_STR("notify_all($self, /)\n--\n\nHave all that wait go on.")},
    {"acquire", (PyCFunction)(void (*)(void))condition_acquire, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("acquire($self, /, blocking=True, timeout=-1)\n--\n\nTake the lock.")},
    {"release", (PyCFunction)condition_release, METH_NOARGS,
     PyDoc_STR("release($self, /)\n--\n\nFree the lock.")},
    {"__enter__", (PyCFunction)(void (*)(void))condition_acquire, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("__enter__($self, /)\n--\n\nacquire().")},
    {"__exit__", (PyCFunction)(void (*)(void))condition_exit, METH_FASTCALL,
     PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\nrelease().")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef condition_members[] = {
    {"lock", T_OBJECT, offsetof(condition_object, lock), READONLY, PyDoc_STR("The lock.")},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(condition_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int condition_traverse(condition_object *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->lock);
    return 0;
}

static void condition_dealloc(condition_object *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    Py_XDECREF(self->lock);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot condition_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
                    "Condition(lock=None)\n--\n\n"
                    "Waits for news of what a Lock or RLock guards, a new RLock without one; served in the\n"
                    "order they came.")},
    {Py_tp_new, condition_new},
    {Py_tp_traverse, condition_traverse},
    {Py_tp_dealloc, condition_dealloc},
    {Py_tp_methods, condition_methods},
    {Py_tp_members, condition_members},
    {0, NULL},
};

static PyType_Spec condition_spec = {
    .name = "bine.Condition",
    .basicsize = sizeof(condition_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = condition_slots,
};

int bine__add_condition_type(bine__python *py)
{
    return bine__add_type_only(py, &condition_spec);
}
