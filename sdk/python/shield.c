/* Shields: bine.shield, a context manager, and the same for C. */
#include "python/microthread.h"
#include "python/python.h"

#include <stddef.h>
#include <stdlib.h>

/* ---- for C ---- */

typedef struct c_shield {
    bine__block block;
    bine__shield shield;
} c_shield;

static void end_c_shield(bine__block *block)
{
    c_shield *s = (c_shield *)(void *)block;

    bine__block_leave(block);
    bine__shield_lower(&s->shield);
    free(s);
}

int bine_shield_begin(int64_t ns)
{
    bine_micro *micro = bine_micro_current();
    c_shield *s;

    if (micro == NULL)
        return bine__fail(BINE_EMICRO, "bine_shield_begin: no micro-thread is running here");
    if (ns < 0)
        return bine__fail(BINE_EINVAL, "bine_shield_begin: a shield is bounded, and %lld ns is no bound",
                          (long long)ns);
    s = calloc(1, sizeof *s);
    if (s == NULL || bine__shield_raise(micro->core.rt, &s->shield, ns) != 0) {
        free(s);
        return bine__fail(BINE_ENOMEM, "bine_shield_begin: out of memory");
    }
    s->block.abandon = end_c_shield;
    bine__block_enter(&s->block, micro);
    return BINE_OK;
}

void bine_shield_end(void)
{
    bine_micro *micro = bine_micro_current();
    bine__block *block = micro == NULL ? NULL : micro->blocks;

    while (block != NULL && block->abandon != end_c_shield)
        block = block->outer;
    if (block != NULL)
        end_c_shield(block);
}

/* ---- for Python ---- */

typedef struct shield_object {
    PyObject_HEAD
    bine__block block; /* while inside, that is a reference to this */
    bine__shield shield;
    int64_t ns;
} shield_object;

static shield_object *object_of(bine__block *block)
{
    return (shield_object *)(void *)((char *)block - offsetof(shield_object, block));
}

static void leave(bine__block *block)
{
    shield_object *self = object_of(block);

    bine__block_leave(block);
    bine__shield_lower(&self->shield);
    Py_DECREF(self);
}

static PyObject *shield_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"seconds", NULL};
    PyObject *seconds;
    shield_object *self;
    int64_t ns;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:shield", names, &seconds))
        return NULL;
    if (bine__seconds(seconds, "seconds", false, &ns) != 0)
        return NULL;
    self = (shield_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->ns = ns;
    self->block.abandon = leave;
    return (PyObject *)self;
}

static PyObject *shield_enter(shield_object *self, PyObject *unused)
{
    bine_micro *micro = bine_micro_current();

    (void)unused;
    if (micro == NULL)
        return bine__raise_status(bine__here, BINE_EMICRO,
                                  "bine.shield() is for a micro-thread, and none is running here");
    if (self->block.micro != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this shield is in use; make one for each with block");
        return NULL;
    }
    if (bine__shield_raise(micro->core.rt, &self->shield, self->ns) != 0)
        return PyErr_NoMemory();
    bine__block_enter(&self->block, micro);
    Py_INCREF(self);
    return Py_NewRef((PyObject *)self);
}

static PyObject *shield_exit(shield_object *self, PyObject *args)
{
    (void)args;
    return bine__block_exit(&self->block, "a shield is left on the thread that entered it");
}

static PyMethodDef shield_methods[] = {
    {"__enter__", (PyCFunction)shield_enter, METH_NOARGS,
     PyDoc_STR("__enter__($self, /)\n--\n\nKeep a cancel and the end back from here on.")},
    {"__exit__", (PyCFunction)shield_exit, METH_VARARGS,
     PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\nNo longer. Exceptions pass.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot shield_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
                    "shield(seconds)\n--\n\n"
                    "For clean-up that waits:\n\n"
                    "    finally:\n"
                    "        with bine.shield(2.0):\n"
                    "            door.close()\n\n"
                    "Inside, for at most so many seconds, neither cancel() nor the end of the runtime cuts\n"
                    "a wait short or refuses one. What came meanwhile is raised at the next wait after.")},
    {Py_tp_new, shield_new},
    {Py_tp_dealloc, bine__dealloc_plain},
    {Py_tp_methods, shield_methods},
    {0, NULL},
};

static PyType_Spec shield_spec = {
    .name = "bine.shield",
    .basicsize = sizeof(shield_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shield_slots,
};

int bine__add_shield_type(bine__python *py)
{
    py->shield_type = bine__add_type(py, &shield_spec);
    return py->shield_type == NULL ? -1 : 0;
}
