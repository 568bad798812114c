/* Where a micro-thread must not wait: in a destructor (__del__), and in what the collector calls. To
 * suspend there would keep a half-dead object about, and the collector from running for all.
 *
 * CPython says nowhere that a destructor runs. But every class with a __del__ has the same
 * function in its tp_finalize; this file puts one in its place that counts, for the classes that there are
 * and, by way of type's own tp_new, for those to come. (Not for one that is given a __del__ after it was
 * made.) */
#include "python/python.h"

static destructor slot_finalize; /* CPython's, which calls __del__ */
static newfunc type_new;

static void finalize(PyObject *object)
{
    bine *rt = bine__here;

    if (rt == NULL) {
        slot_finalize(object);
        return;
    }
    rt->current->no_wait++;
    rt->finalizing++;
    slot_finalize(object);
    rt->finalizing--;
    rt->current->no_wait--;
}

static PyObject *new_type(PyTypeObject *meta, PyObject *args, PyObject *kwargs)
{
    PyObject *type = type_new(meta, args, kwargs);

    if (type != NULL && PyType_Check(type) && ((PyTypeObject *)type)->tp_finalize == slot_finalize)
        ((PyTypeObject *)type)->tp_finalize = finalize;
    return type;
}

/* A class that has been there before, and all that derive from it. Metaclasses have inherited type's own
 * tp_new, and CPython insists that they go on having the same. -1 with an exception. */
static int guard(PyTypeObject *type)
{
    PyObject *subclasses = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    int status = subclasses == NULL ? -1 : 0;

    if (type->tp_finalize == slot_finalize)
        type->tp_finalize = finalize;
    if (type->tp_new == type_new)
        type->tp_new = new_type;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(subclasses); i++)
        status = guard((PyTypeObject *)PyList_GET_ITEM(subclasses, i));
    Py_XDECREF(subclasses);
    return status;
}

/* The function that a class with a __del__ has. */
static destructor find_slot_finalize(void)
{
    PyObject *class = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){sO}", "probe", "__del__", Py_None);
    destructor found = class == NULL ? NULL : ((PyTypeObject *)class)->tp_finalize;

    Py_XDECREF(class);
    return found;
}

/* What all collections begin with, on whatever thread. */
static PyObject *on_collect(PyObject *unused, PyObject *const *args, Py_ssize_t nargs)
{
    bine *rt = bine__python_now->rt;
    bool starts = nargs > 0 && PyUnicode_Check(args[0]) &&
                  PyUnicode_CompareWithASCIIString(args[0], "start") == 0;

    (void)unused;
    if (starts && rt != NULL) {
        rt->collects_here = bine__here == rt;
        if (rt->collects_here)
            rt->current->no_wait |= BINE__COLLECTS;
    }
    Py_RETURN_NONE;
}

static PyMethodDef on_collect_def = {"mind_collections", (PyCFunction)(void (*)(void))on_collect,
                                     METH_FASTCALL,
                                     PyDoc_STR("Have waits refused while the collector runs.")};

static int mind_collector(void)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *callbacks = gc == NULL ? NULL : PyObject_GetAttrString(gc, "callbacks");
    PyObject *function = callbacks == NULL ? NULL : PyCFunction_New(&on_collect_def, NULL);
    int status = function == NULL ? -1 : PyList_Insert(callbacks, 0, function);

    Py_XDECREF(function);
    Py_XDECREF(callbacks);
    Py_XDECREF(gc);
    return status;
}

int bine__refuse_waits(void)
{
    slot_finalize = find_slot_finalize();
    type_new = PyType_Type.tp_new;
    if (slot_finalize == NULL || guard(&PyBaseObject_Type) != 0)
        return -1;
    return mind_collector();
}

void bine__admit_waits(void)
{
    if (type_new != NULL)
        PyType_Type.tp_new = type_new;
}
