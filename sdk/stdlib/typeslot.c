#include "stdlib/typeslot.h"

typedef void (*function)(void);

static function *place_in(PyTypeObject *type, size_t offset)
{
    return (function *)(void *)((char *)type + offset);
}

/* In all subclasses that have inherited it. */
static void hand_down(PyTypeObject *type, size_t offset, function from, function to)
{
    PyObject *subclasses = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);

    for (Py_ssize_t i = 0; subclasses != NULL && i < PyList_GET_SIZE(subclasses); i++) {
        PyTypeObject *subclass = (PyTypeObject *)PyList_GET_ITEM(subclasses, i);

        if (*place_in(subclass, offset) != from)
            continue;
        *place_in(subclass, offset) = to;
        hand_down(subclass, offset, from, to);
    }
    PyErr_Clear();
    Py_XDECREF(subclasses);
}

static void exchange(PyTypeObject *type, const bine__typeslot *slot, function from, function to)
{
    PyObject *wrapper = type->tp_dict == NULL ? NULL : PyDict_GetItemString(type->tp_dict, slot->name);

    if (wrapper != NULL && Py_IS_TYPE(wrapper, &PyWrapperDescr_Type) &&
        ((PyWrapperDescrObject *)wrapper)->d_wrapped == (void *)from)
        ((PyWrapperDescrObject *)wrapper)->d_wrapped = (void *)to;
    *place_in(type, slot->offset) = to;
    hand_down(type, slot->offset, from, to);
    PyType_Modified(type);
}

/* New; NULL: there is none, no exception is set. */
static PyTypeObject *type_of(const bine__typeslot *slot, PyObject *module)
{
    PyObject *type = PyObject_GetAttrString(module, slot->type);

    PyErr_Clear();
    if (type != NULL && !PyType_Check(type))
        Py_CLEAR(type);
    return (PyTypeObject *)type;
}

void bine__typeslot_fill(bine__typeslot *slot, PyObject *module)
{
    PyTypeObject *type = type_of(slot, module);
    function original = type == NULL ? NULL : *place_in(type, slot->offset);

    if (original != NULL && original != slot->ours) {
        slot->original = original;
        exchange(type, slot, original, slot->ours);
    }
    Py_XDECREF(type);
}

/* slot->original stays: a call may be under way. */
void bine__typeslot_restore(bine__typeslot *slot, PyObject *module)
{
    PyTypeObject *type = type_of(slot, module);

    if (type != NULL && slot->original != NULL && *place_in(type, slot->offset) == slot->ours)
        exchange(type, slot, slot->ours, slot->original);
    Py_XDECREF(type);
}
