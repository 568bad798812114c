/* asyncio's own handles, made and read in C: their classes are Python's, and each field is a slot, whose
 * place CPython tells (PyMemberDescrObject is public). */
#include "asyncio/loop.h"

#include <structmember.h>

bine__handle_layout bine__handles;

static int find_slot(PyTypeObject *type, const char *name, Py_ssize_t *offset)
{
    PyObject *slot = PyObject_GetAttrString((PyObject *)type, name);
    int status = slot == NULL ? -1 : 0;

    if (status == 0 && Py_IS_TYPE(slot, &PyMemberDescr_Type))
        *offset = ((PyMemberDescrObject *)slot)->d_member->offset;
    else if (status == 0) {
        PyErr_Format(PyExc_SystemError, "asyncio's %.50s keeps no slot %s", type->tp_name, name);
        status = -1;
    }
    Py_XDECREF(slot);
    return status;
}

static PyTypeObject *class_of(const char *module, const char *name)
{
    PyObject *events = PyImport_ImportModule(module);
    PyObject *class = events == NULL ? NULL : PyObject_GetAttrString(events, name);

    Py_XDECREF(events);
    return (PyTypeObject *)class;
}

/* TimerHandle with a timer of the runtime's behind. */
static PyTypeObject *new_timer_type(PyTypeObject *base)
{
    PyType_Slot slots[] = {{0, NULL}};
    PyType_Spec spec = {
        .name = "bine.TimerHandle",
        .basicsize = (int)(base->tp_basicsize + (Py_ssize_t)sizeof(bine__due)),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };

    return (PyTypeObject *)PyType_FromSpecWithBases(&spec, (PyObject *)base);
}

int bine__handles_open(void)
{
    bine__handle_layout *l = &bine__handles;
    PyTypeObject *handle;
    PyTypeObject *timer;

    if (l->timer != NULL)
        return 0;
    handle = class_of("asyncio.events", "Handle");
    if (l->future == NULL)
        l->future = (PyObject *)class_of("asyncio.futures", "Future");
    timer = handle == NULL || l->future == NULL ? NULL : class_of("asyncio.events", "TimerHandle");
    if (timer != NULL && find_slot(handle, "_callback", &l->callback) == 0 &&
        find_slot(handle, "_args", &l->args) == 0 && find_slot(handle, "_cancelled", &l->cancelled) == 0 &&
        find_slot(handle, "_loop", &l->loop) == 0 &&
        find_slot(handle, "_source_traceback", &l->traceback) == 0 &&
        find_slot(handle, "_repr", &l->repr) == 0 && find_slot(handle, "_context", &l->context) == 0 &&
        find_slot(timer, "_when", &l->when) == 0 && find_slot(timer, "_scheduled", &l->scheduled) == 0) {
        l->due = timer->tp_basicsize;
        l->handle = handle;
        l->timer = new_timer_type(timer);
    }
    Py_XDECREF(timer);
    if (l->timer == NULL)
        Py_XDECREF(handle);
    return l->timer == NULL ? -1 : 0;
}

static void put(PyObject *object, Py_ssize_t offset, PyObject *value)
{
    *bine__slot_at(object, offset) = Py_NewRef(value);
}

PyObject *bine__handle_new(PyTypeObject *type, bine__loop *loop, PyObject *callback, PyObject *const *args,
                           Py_ssize_t nargs, PyObject *context)
{
    const bine__handle_layout *l = &bine__handles;
    PyObject *tuple = bine__tuple_of(args, nargs);
    PyObject *own = context == NULL || context == Py_None ? PyContext_CopyCurrent() : Py_NewRef(context);
    PyObject *handle = tuple == NULL || own == NULL ? NULL : type->tp_alloc(type, 0);

    if (handle == NULL) {
        Py_XDECREF(tuple);
        Py_XDECREF(own);
        return NULL;
    }
    put(handle, l->callback, callback);
    put(handle, l->loop, (PyObject *)loop);
    put(handle, l->cancelled, Py_False);
    put(handle, l->traceback, Py_None);
    put(handle, l->repr, Py_None);
    *bine__slot_at(handle, l->args) = tuple;
    *bine__slot_at(handle, l->context) = own;
    return handle;
}

void bine__handle_cancel(PyObject *handle)
{
    PyObject *none;

    if (bine__handle_is_cancelled(handle))
        return;
    if (!Py_IS_TYPE(handle, bine__handles.handle)) {
        none = PyObject_CallMethod(handle, "cancel", NULL);
        if (none == NULL)
            PyErr_WriteUnraisable(handle);
        Py_XDECREF(none);
        return;
    }
    Py_XSETREF(*bine__slot_at(handle, bine__handles.cancelled), Py_NewRef(Py_True));
    Py_XSETREF(*bine__slot_at(handle, bine__handles.callback), Py_NewRef(Py_None));
    Py_XSETREF(*bine__slot_at(handle, bine__handles.args), Py_NewRef(Py_None));
}
