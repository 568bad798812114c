/* bine.exclusive()'s hold on others: while somebody has a file or socket for himself, calls of its writing
 * methods by others wait. Those methods are stood in for in the type that defines them, from the first time
 * that one of its objects is wanted so. */
#include "python/library.h"
#include "python/lock.h"
#include "python/python.h"

static PyObject *held; /* id -> RLock, of the objects that somebody has, or waits for */

/* The lock of `object` (new), or NULL: nobody has it, or an exception. */
static PyObject *lock_of(PyObject *object)
{
    PyObject *id;
    PyObject *lock;

    if (PyDict_GET_SIZE(held) == 0)
        return NULL;
    id = PyLong_FromVoidPtr(object);
    lock = id == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(held, id));
    Py_XDECREF(id);
    return lock;
}

/* What must not wait writes all the same. */
static bool must_not_wait(void)
{
    int can = bine__here == NULL ? BINE_OK : bine__can_wait(bine__here);

    return can == BINE_EMICRO || can == BINE_EBUSY;
}

/* What stands in for a method: it is bound to the original. */
static PyObject *guarded(PyObject *original, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *lock = nargs > 0 && !must_not_wait() ? lock_of(args[0]) : NULL;
    PyObject *result = NULL;

    if (lock == NULL)
        return PyErr_Occurred() ? NULL : PyObject_Vectorcall(original, args, (size_t)nargs, kwnames);
    if (bine__rlock_acquire(lock) == 0) {
        result = PyObject_Vectorcall(original, args, (size_t)nargs, kwnames);
        bine__rlock_release(lock);
    }
    Py_DECREF(lock);
    return result;
}

static PyMethodDef guarded_def = {"guarded", (PyCFunction)(void (*)(void))guarded,
                                  METH_FASTCALL | METH_KEYWORDS, NULL};

/* The names that a type itself defines (new). */
static PyObject *own_names(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyType_GetDict(type);
#else
    return Py_XNewRef(type->tp_dict);
#endif
}

static bool is_guarded(PyObject *method)
{
    PyObject *function = PyInstanceMethod_Check(method) ? PyInstanceMethod_GET_FUNCTION(method) : NULL;

    return function != NULL && PyCFunction_Check(function) &&
           PyCFunction_GET_FUNCTION(function) == guarded_def.ml_meth;
}

/* Whether it can be called with the object first; static and class methods cannot. */
static bool is_method(PyObject *method)
{
    return PyFunction_Check(method) || Py_IS_TYPE(method, &PyMethodDescr_Type) ||
           PyInstanceMethod_Check(method);
}

/* 1: the type defines the method, and it is guarded now; 0: it does not; -1: exception. */
static int guard_in(PyTypeObject *type, PyObject *name)
{
    PyObject *names = own_names(type);
    PyObject *original = names == NULL ? NULL : PyDict_GetItemWithError(names, name);
    PyObject *function = NULL;
    PyObject *method = NULL;
    int status = original == NULL ? 0 : 1;

    if (original != NULL && is_method(original) && !is_guarded(original)) {
        function = PyCFunction_New(&guarded_def, original);
        method = function == NULL ? NULL : PyInstanceMethod_New(function);
        if (method == NULL || PyDict_SetItem(names, name, method) != 0)
            status = -1;
        PyType_Modified(type);
    }
    Py_XDECREF(method);
    Py_XDECREF(function);
    Py_XDECREF(names);
    return PyErr_Occurred() ? -1 : status;
}

/* Where the type of an object finds the method. */
static int guard_method(PyTypeObject *type, PyObject *name)
{
    int found = 0;

    for (Py_ssize_t i = 0; found == 0 && i < PyTuple_GET_SIZE(type->tp_mro); i++)
        found = guard_in((PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, i), name);
    return found < 0 ? -1 : 0;
}

PyObject *bine__guard(PyObject *unused, PyObject *args)
{
    PyObject *object;
    PyObject *names;

    (void)unused;
    if (!PyArg_ParseTuple(args, "OO!:guard", &object, &PyTuple_Type, &names))
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++)
        if (guard_method(Py_TYPE(object), PyTuple_GET_ITEM(names, i)) != 0)
            return NULL;
    Py_RETURN_NONE;
}

PyObject *bine__guard_locks(void)
{
    if (held == NULL)
        held = PyDict_New();
    return Py_XNewRef(held);
}
