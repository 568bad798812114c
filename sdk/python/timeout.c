#include "python/timeout.h"

#include "python/python.h"

#include <structmember.h>

/* In the order they became due: of two nested ones the outer goes first, if it was. */
static void make_due(bine__timeout *self)
{
    bine__timeout **at = &self->block.micro->extra->due;

    while (*at != NULL)
        at = &(*at)->next_due;
    self->next_due = NULL;
    self->due = true;
    *at = self;
}

static void unmake_due(bine__timeout *self)
{
    bine__timeout **at = &self->block.micro->extra->due;

    while (*at != self)
        at = &(*at)->next_due;
    *at = self->next_due;
    self->due = false;
    if (!bine__has_timeouts_due(self->block.micro) && self->block.micro->thrown == NULL)
        self->block.micro->core.pending &= (uint8_t)~BINE__THROW;
}

/* Runs without the GIL: only flags. */
static void on_time(bine__timer *timer)
{
    bine__timeout *self = (bine__timeout *)(void *)((char *)timer - offsetof(bine__timeout, timer));

    self->expired = true;
    make_due(self);
    bine__micro_interrupt(&self->block.micro->core, BINE__THROW);
}

void bine__raise_timeout(bine_micro *micro)
{
    bine__timeout *self = micro->extra->due;
    PyObject *seconds = PyFloat_FromDouble(self->seconds);

    unmake_due(self);
    if (seconds != NULL)
        PyErr_Format(micro->core.rt->python->timeout_error, "timed out after %R s", seconds);
    Py_XDECREF(seconds);
}

static PyObject *timeout_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"seconds", NULL};
    PyObject *seconds;
    bine__timeout *self;
    int64_t ns;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:timeout", names, &seconds))
        return NULL;
    if (bine__seconds(seconds, "seconds", true, &ns) != 0)
        return NULL;
    self = (bine__timeout *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->ns = ns;
    self->seconds = (double)ns / 1e9;
    self->timer.fire = on_time;
    return (PyObject *)self;
}

static void leave(bine__block *block)
{
    bine__timeout *self = (bine__timeout *)(void *)((char *)block - offsetof(bine__timeout, block));

    if (self->due)
        unmake_due(self);
    bine__timer_stop(&self->timer);
    bine__block_leave(block);
    Py_DECREF(self);
}

static PyObject *timeout_enter(bine__timeout *self, PyObject *unused)
{
    bine_micro *micro = bine_micro_current();
    bine *rt = bine__here;

    (void)unused;
    if (micro == NULL)
        return bine__raise_status(
            rt, BINE_EMICRO, "bine.timeout() bounds the waits of a micro-thread, and none is running here");
    if (self->block.micro != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this timeout is in use; make one for each with block");
        return NULL;
    }
    if (bine__extra_of(micro) == NULL)
        return PyErr_NoMemory();
    if (self->ns >= 0 && bine__timer_set(&rt->timers, &self->timer, bine__deadline(rt, self->ns)) != 0)
        return PyErr_NoMemory();
    self->expired = false;
    self->block.abandon = leave;
    bine__block_enter(&self->block, micro);
    Py_INCREF(self);
    return Py_NewRef((PyObject *)self);
}

static PyObject *timeout_exit(bine__timeout *self, PyObject *args)
{
    (void)args;
    return bine__block_exit(&self->block, "a timeout is left on the thread that entered it");
}

static PyMethodDef timeout_methods[] = {
    {"__enter__", (PyCFunction)timeout_enter, METH_NOARGS,
     PyDoc_STR("__enter__($self, /)\n--\n\nStart the time.")},
    {"__exit__", (PyCFunction)timeout_exit, METH_VARARGS,
     PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\nStop the time. Exceptions pass.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef timeout_members[] = {
    {"expired", T_BOOL, offsetof(bine__timeout, expired), READONLY,
     PyDoc_STR("Whether the time was over before the block was left.")},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *get_seconds(bine__timeout *self, void *unused)
{
    (void)unused;
    return self->ns < 0 ? Py_NewRef(Py_None) : PyFloat_FromDouble(self->seconds);
}

static PyGetSetDef timeout_getset[] = {
    {"seconds", (getter)get_seconds, NULL, PyDoc_STR("The time given, or None."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot timeout_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("timeout(seconds)\n--\n\n"
                       "Bounds the time its with block may wait:\n\n"
                       "    with bine.timeout(2.0):\n"
                       "        game.walk_to(3, 4)\n\n"
                       "raises bine.Timeout, once, at the wait inside that goes on for longer. None sets no\n"
                       "limit.")},
    {Py_tp_new, timeout_new},
    {Py_tp_dealloc, bine__dealloc_plain}, /* never while inside its block */
    {Py_tp_methods, timeout_methods},
    {Py_tp_members, timeout_members},
    {Py_tp_getset, timeout_getset},
    {0, NULL},
};

static PyType_Spec timeout_spec = {
    .name = "bine.timeout",
    .basicsize = sizeof(bine__timeout),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = timeout_slots,
};

int bine__add_timeout_type(bine__python *py)
{
    py->timeout_type = bine__add_type(py, &timeout_spec);
    return py->timeout_type == NULL ? -1 : 0;
}
