/* bine.Lock and bine.RLock, which are also threading's: see identity.c. Let go of, a lock is handed to the
 * one that has waited longest, micro-thread or OS thread: none is passed by. */
#include "python/lock.h"

#include "python/line.h"
#include "python/microthread.h"
#include "python/python.h"

#include <stddef.h>
#include <structmember.h>

typedef struct lock_object {
    PyObject_HEAD
    bine__line line;
    uint64_t owner; /* who took it; 0: free */
    size_t count;   /* of a RLock: how often */
    PyObject *weakrefs;
} lock_object;

static void take(lock_object *self, uint64_t who)
{
    self->owner = who;
    self->count = 1;
}

/* Hands it to the next in line, or leaves it free. */
static void hand_over(lock_object *self)
{
    bine__ticket *next = self->line.first;

    if (next == NULL) {
        self->owner = 0;
        return;
    }
    take(self, next->who);
    bine__line_serve(&self->line, NULL);
}

/* Takes it, waiting if need be: BINE_OK, BINE_ETIMEDOUT, or a status with an exception. */
static int acquire(lock_object *self, int64_t timeout_ns, bool stubborn)
{
    bine__want want = {.thing = (PyObject *)self,
                       .line = &self->line,
                       .timeout_ns = timeout_ns,
                       .stubborn = stubborn,
                       .held_by_micro = bine__is_micro_id(self->owner)};
    int status;

    if (self->owner == 0) {
        take(self, bine__who());
        return BINE_OK;
    }
    if (timeout_ns == 0)
        return BINE_ETIMEDOUT;
    Py_INCREF(self);
    status = bine__line_wait(&want, NULL);
    Py_DECREF(self);
    return status;
}

/* blocking=True, timeout=-1, by position or name. */
static int parse(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, int64_t *ns)
{
    PyObject *timeout;
    int blocking;

    if (bine__acquire_arguments(args, nargs, kwnames, &blocking, &timeout) != 0)
        return -1;
    return bine__lock_timeout(blocking, timeout, ns);
}

static PyObject *lock_acquire(lock_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    int64_t ns = -1;

    if ((nargs > 0 || kwnames != NULL) && parse(args, nargs, kwnames, &ns) != 0)
        return NULL;
    return bine__line_outcome(acquire(self, ns, false));
}

static PyObject *lock_release(lock_object *self, PyObject *unused)
{
    (void)unused;
    if (self->owner == 0) {
        PyErr_SetString(PyExc_RuntimeError, "release unlocked lock");
        return NULL;
    }
    hand_over(self);
    Py_RETURN_NONE;
}

static PyObject *lock_exit(lock_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)args;
    (void)nargs;
    return lock_release(self, NULL);
}

static PyObject *lock_locked(lock_object *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(self->owner != 0);
}

/* threading.Condition's way to get a lock back. Whatever cancels the micro-thread, it holds the lock when it
 * leaves the wait: its with block lets go of it. */
static PyObject *lock_restore(lock_object *self, PyObject *unused)
{
    (void)unused;
    return acquire(self, -1, true) == BINE_OK ? Py_NewRef(Py_None) : NULL;
}

static PyObject *lock_reinit(lock_object *self, PyObject *unused)
{
    (void)unused;
    bine__line_forget(&self->line);
    self->owner = 0;
    self->count = 0;
    Py_RETURN_NONE;
}

static PyObject *lock_repr(lock_object *self)
{
    return PyUnicode_FromFormat("<%s %s object at %p>", self->owner != 0 ? "locked" : "unlocked",
                                Py_TYPE(self)->tp_name, (void *)self);
}

#define ACQUIRE_DOC(what)                                                                             \
    PyDoc_STR("acquire($self, /, blocking=True, timeout=-1)\n--\n\n"                                  \
              "Take the lock, waiting until it is free; True. " what "With blocking=False, or when\n" \
              "`timeout` seconds are over: False.")
#define ENTER_DOC PyDoc_STR("__enter__($self, /)\n--\n\nacquire().")
#define EXIT_DOC PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\nrelease().")
#define REINIT_DOC PyDoc_STR("_at_fork_reinit($self, /)\n--\n\nMake it free, in the child of a fork.")

static PyMethodDef lock_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))lock_acquire, METH_FASTCALL | METH_KEYWORDS, ACQUIRE_DOC("")},
    {"release", (PyCFunction)lock_release, METH_NOARGS,
     PyDoc_STR("release($self, /)\n--\n\n"
               "Free it, whoever has taken it; the one that has waited longest has it then.")},
    {"locked", (PyCFunction)lock_locked, METH_NOARGS,
     PyDoc_STR("locked($self, /)\n--\n\nWhether it is taken.")},
    {"__enter__", (PyCFunction)(void (*)(void))lock_acquire, METH_FASTCALL | METH_KEYWORDS, ENTER_DOC},
    {"__exit__", (PyCFunction)(void (*)(void))lock_exit, METH_FASTCALL, EXIT_DOC},
    {"acquire_lock", (PyCFunction)(void (*)(void))lock_acquire, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("acquire_lock($self, /, blocking=True, timeout=-1)\n--\n\nThe old name of acquire().")},
    {"release_lock", (PyCFunction)lock_release, METH_NOARGS,
     PyDoc_STR("release_lock($self, /)\n--\n\nThe old name of release().")},
    {"locked_lock", (PyCFunction)lock_locked, METH_NOARGS,
     PyDoc_STR("locked_lock($self, /)\n--\n\nThe old name of locked().")},
    {"_release_save", (PyCFunction)lock_release, METH_NOARGS,
     PyDoc_STR("_release_save($self, /)\n--\n\nFor threading.Condition: release().")},
    {"_acquire_restore", (PyCFunction)lock_restore, METH_O,
     PyDoc_STR(
         "_acquire_restore($self, state, /)\n--\n\nFor threading.Condition: take it, whatever happens.")},
    {"_at_fork_reinit", (PyCFunction)lock_reinit, METH_NOARGS, REINIT_DOC},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef lock_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(lock_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot lock_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("Lock()\n--\n\n"
                       "One at a time, micro-threads and OS threads alike, in the order they came. It is\n"
                       "threading.Lock too.")},
    {Py_tp_new, bine__new_plain},
    {Py_tp_dealloc, bine__dealloc_plain},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, lock_methods},
    {Py_tp_members, lock_members},
    {0, NULL},
};

static PyType_Spec lock_spec = {
    .name = "bine.Lock",
    .basicsize = sizeof(lock_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lock_slots,
};

/* ---- RLock ---- */

static bool is_owned(const lock_object *self)
{
    return self->owner != 0 && self->owner == bine__who();
}

/* As acquire(), or once more when it is ours already. */
static int acquire_again(lock_object *self, int64_t timeout_ns)
{
    if (!is_owned(self))
        return acquire(self, timeout_ns, false);
    self->count++;
    return BINE_OK;
}

/* Undoes one of those. It is ours. */
static void release_once(lock_object *self)
{
    self->count--;
    if (self->count == 0)
        hand_over(self);
}

static PyObject *rlock_acquire(lock_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    int64_t ns = -1;

    if ((nargs > 0 || kwnames != NULL) && parse(args, nargs, kwnames, &ns) != 0)
        return NULL;
    return bine__line_outcome(acquire_again(self, ns));
}

static PyObject *not_owned(void)
{
    PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
    return NULL;
}

static PyObject *rlock_release(lock_object *self, PyObject *unused)
{
    (void)unused;
    if (!is_owned(self))
        return not_owned();
    release_once(self);
    Py_RETURN_NONE;
}

static PyObject *rlock_exit(lock_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)args;
    (void)nargs;
    return rlock_release(self, NULL);
}

static PyObject *rlock_is_owned(lock_object *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(is_owned(self));
}

static PyObject *rlock_count(lock_object *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(is_owned(self) ? self->count : 0);
}

static PyObject *rlock_save(lock_object *self, PyObject *unused)
{
    PyObject *state;

    (void)unused;
    if (!is_owned(self))
        return not_owned();
    state = Py_BuildValue("(KK)", (unsigned long long)self->count, (unsigned long long)self->owner);
    if (state == NULL)
        return NULL;
    hand_over(self);
    return state;
}

static PyObject *rlock_restore(lock_object *self, PyObject *state)
{
    unsigned long long count;
    unsigned long long owner;

    if (!PyTuple_Check(state) || !PyArg_ParseTuple(state, "KK:_acquire_restore", &count, &owner)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "_acquire_restore() needs what _release_save() returned");
        return NULL;
    }
    if (bine__lock_get_back((PyObject *)self, (size_t)count) != 0)
        return NULL;
    self->owner = owner;
    Py_RETURN_NONE;
}

static PyObject *rlock_repr(lock_object *self)
{
    return PyUnicode_FromFormat("<%s %s object owner=%llu count=%zu at %p>",
                                self->owner != 0 ? "locked" : "unlocked", Py_TYPE(self)->tp_name,
                                (unsigned long long)self->owner, self->owner != 0 ? self->count : 0,
                                (void *)self);
}

static PyMethodDef rlock_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))rlock_acquire, METH_FASTCALL | METH_KEYWORDS,
     ACQUIRE_DOC("At once when\nit is ours already. ")},
    {"release", (PyCFunction)rlock_release, METH_NOARGS,
     PyDoc_STR("release($self, /)\n--\n\n"
               "Undo one acquire(); after the last, the one that has waited longest has it.")},
    {"__enter__", (PyCFunction)(void (*)(void))rlock_acquire, METH_FASTCALL | METH_KEYWORDS, ENTER_DOC},
    {"__exit__", (PyCFunction)(void (*)(void))rlock_exit, METH_FASTCALL, EXIT_DOC},
    {"_is_owned", (PyCFunction)rlock_is_owned, METH_NOARGS,
     PyDoc_STR("_is_owned($self, /)\n--\n\nFor threading.Condition: whether it is ours.")},
    {"_recursion_count", (PyCFunction)rlock_count, METH_NOARGS,
     PyDoc_STR("_recursion_count($self, /)\n--\n\nHow often we have taken it.")},
    {"_release_save", (PyCFunction)rlock_save, METH_NOARGS,
     PyDoc_STR("_release_save($self, /)\n--\n\nFor threading.Condition: free it; what to get it back with.")},
    {"_acquire_restore", (PyCFunction)rlock_restore, METH_O,
     PyDoc_STR(
         "_acquire_restore($self, state, /)\n--\n\nFor threading.Condition: take it, whatever happens.")},
    {"_at_fork_reinit", (PyCFunction)lock_reinit, METH_NOARGS, REINIT_DOC},
    {NULL, NULL, 0, NULL},
};

/* As CPython's takes arguments, and drops them. */
static PyObject *rlock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if ((PyTuple_GET_SIZE(args) > 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)) &&
        PyErr_WarnEx(PyExc_DeprecationWarning, "RLock() takes no arguments", 1) != 0)
        return NULL;
    return type->tp_alloc(type, 0);
}

static PyType_Slot rlock_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR(
         "RLock()\n--\n\n"
         "A Lock that its micro-thread or OS thread may take again, and must free as often. It is\n"
         "threading.RLock too.")},
    {Py_tp_new, rlock_new},
    {Py_tp_dealloc, bine__dealloc_plain},
    {Py_tp_repr, rlock_repr},
    {Py_tp_methods, rlock_methods},
    {Py_tp_members, lock_members},
    {0, NULL},
};

static PyType_Spec rlock_spec = {
    .name = "bine.RLock",
    .basicsize = sizeof(lock_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = rlock_slots,
};

/* ---- for Condition ---- */

bool bine__is_lock(PyObject *object)
{
    return PyObject_TypeCheck(object, bine__python_now->lock_type) ||
           PyObject_TypeCheck(object, bine__python_now->rlock_type);
}

bool bine__lock_is_taken(PyObject *lock)
{
    const lock_object *self = (lock_object *)lock;

    return PyObject_TypeCheck(lock, bine__python_now->rlock_type) ? is_owned(self) : self->owner != 0;
}

/* The name of the micro-thread of that number (new), or NULL: none that lives. */
static PyObject *name_of(uint64_t who)
{
    const bine *rt = bine__python_now->rt;
    bine__micro *core = rt == NULL ? NULL : rt->oldest;

    while (core != NULL && core->id != who)
        core = core->newer;
    return core == NULL ? NULL : bine__micro_name(bine__of_core(core));
}

PyObject *bine__lock_describe(PyObject *lock)
{
    const lock_object *self = (lock_object *)lock;
    PyObject *name = name_of(self->owner);
    const char *type = Py_TYPE(lock)->tp_name;
    PyObject *text = NULL;

    if (name != NULL)
        text = PyUnicode_FromFormat("a %s that '%U' has", type, name);
    else if (!PyErr_Occurred())
        text = PyUnicode_FromFormat("a %s that %s has", type,
                                    bine__is_micro_id(self->owner) ? "a micro-thread that has ended"
                                                                   : "a thread");
    Py_XDECREF(name);
    return text;
}

int bine__rlock_acquire(PyObject *lock)
{
    return acquire_again((lock_object *)lock, -1) == BINE_OK ? 0 : -1;
}

void bine__rlock_release(PyObject *lock)
{
    release_once((lock_object *)lock);
}

PyObject *bine__lock_release(PyObject *lock)
{
    lock_object *self = (lock_object *)lock;

    return PyObject_TypeCheck(lock, bine__python_now->rlock_type) ? rlock_release(self, NULL)
                                                                  : lock_release(self, NULL);
}

size_t bine__lock_let_go(PyObject *lock)
{
    lock_object *self = (lock_object *)lock;
    size_t count = self->count;

    hand_over(self);
    return count;
}

int bine__lock_get_back(PyObject *lock, size_t count)
{
    lock_object *self = (lock_object *)lock;

    if (acquire(self, -1, true) != BINE_OK)
        return -1;
    self->count = count;
    return 0;
}

/* Pickled by reference, it must mean a lock to a python3 too, which has no module bine: multiprocessing sends
 * threading.Lock to its servers. */
static int name_as_threads(PyTypeObject *type)
{
    PyObject *module = PyUnicode_FromString("_thread");
    PyObject *name = PyUnicode_FromString("allocate_lock");
    int status = module == NULL || name == NULL ? -1
                                                : PyDict_SetItemString(type->tp_dict, "__module__", module);

    if (status == 0)
        Py_XSETREF(((PyHeapTypeObject *)type)->ht_qualname, Py_NewRef(name));
    PyType_Modified(type);
    Py_XDECREF(name);
    Py_XDECREF(module);
    return status;
}

int bine__add_lock_types(bine__python *py)
{
    py->lock_type = bine__add_type(py, &lock_spec);
    py->rlock_type = bine__add_type(py, &rlock_spec);
    return py->lock_type == NULL || py->rlock_type == NULL ? -1 : name_as_threads(py->lock_type);
}
