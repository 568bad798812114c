/* importlib's locks, one a module, where micro-threads wait amidst an import: for its files, or in its code.
 *
 * - Whoever imports `pack.one` locks it first, and then waits for `pack`, whose code may import `pack.one`.
 *   In threads that is a rare race, which ends with a _DeadlockError (CPython 3.11 to 3.13). Who holds a
 *   lock that way has not begun with the module, and looks whether it is there when it goes on; so the other
 *   one does without.
 * - importlib notes for what each thread waits, by its ident. The first micro-thread shares one with the
 *   host's stack, which may import meanwhile, as a destructor may in threads: CPython 3.11 then forgets the
 *   outer wait, and ends it with a KeyError (mended in 3.12, gh-106176).
 * - Who waits does so at a lock of his own, which does not tell that a micro-thread has the module. */
#include "python/library.h"
#include "python/line.h"
#include "python/python.h"

/* ---- one that is on its way ---- */

static PyObject *deadlock_error;
static PyObject *original_enter, *original_exit;

/* _ModuleLockManager.__enter__() */
static PyObject *enter(PyObject *manager, PyObject *none)
{
    PyObject *entered = PyObject_CallOneArg(original_enter, manager);

    (void)none;
    if (entered != NULL || bine__here == NULL || !PyErr_ExceptionMatches(deadlock_error))
        return entered;
    PyErr_Clear();
    return PyObject_SetAttrString(manager, "_lock", Py_None) == 0 ? Py_NewRef(Py_None) : NULL;
}

/* _ModuleLockManager.__exit__(...) */
static PyObject *leave(PyObject *manager, PyObject *unused)
{
    PyObject *lock = PyObject_GetAttrString(manager, "_lock");
    PyObject *left = NULL;

    (void)unused;
    if (lock == Py_None)
        left = Py_NewRef(Py_None);
    else if (lock != NULL)
        left = PyObject_CallOneArg(original_exit, manager);
    Py_XDECREF(lock);
    return left;
}

static PyMethodDef enter_def = {"__enter__", enter, METH_NOARGS, NULL};
static PyMethodDef leave_def = {"__exit__", leave, METH_VARARGS, NULL};

/* 0, or -1 with an exception. */
static int replace(PyObject *class, PyMethodDef *def, PyObject **original)
{
    PyObject *method = PyDescr_NewMethod((PyTypeObject *)class, def);
    int status = -1;

    *original = PyObject_GetAttrString(class, def->ml_name);
    if (method != NULL && *original != NULL)
        status = PyObject_SetAttrString(class, def->ml_name, method);
    Py_XDECREF(method);
    return status;
}

static int do_without(PyObject *bootstrap)
{
    PyObject *manager = PyObject_GetAttrString(bootstrap, "_ModuleLockManager");
    int status = -1;

    deadlock_error = PyObject_GetAttrString(bootstrap, "_DeadlockError");
    if (manager != NULL && deadlock_error != NULL && PyType_Check(manager) &&
        replace(manager, &enter_def, &original_enter) == 0)
        status = replace(manager, &leave_def, &original_exit);
    Py_XDECREF(manager);
    return status;
}

/* ---- waits, one within the other ---- */

static PyObject *outer; /* list of (ident, lock): waits amidst which another one is made */

/* The newest one of `ident`, removed (new). NULL: none, or an exception. */
static PyObject *take_outer(PyObject *ident)
{
    for (Py_ssize_t i = PyList_GET_SIZE(outer); i-- > 0;) {
        PyObject *pair = PyList_GET_ITEM(outer, i);
        int same = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), ident, Py_EQ);
        PyObject *lock;

        if (same < 0)
            return NULL;
        if (same == 0)
            continue;
        lock = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
        if (PySequence_DelItem(outer, i) != 0)
            Py_CLEAR(lock);
        return lock;
    }
    return NULL;
}

static int begin_wait(PyObject *blocking, PyObject *ident, PyObject *lock)
{
    PyObject *before = PyDict_GetItemWithError(blocking, ident);
    PyObject *pair = before == NULL ? NULL : PyTuple_Pack(2, ident, before);
    int status = pair == NULL ? 0 : PyList_Append(outer, pair);

    Py_XDECREF(pair);
    if (status != 0 || PyErr_Occurred())
        return -1;
    return PyDict_SetItem(blocking, ident, lock);
}

static int end_wait(PyObject *blocking, PyObject *ident)
{
    PyObject *lock = take_outer(ident);
    int status;

    if (lock == NULL)
        return PyErr_Occurred() ? -1 : PyDict_DelItem(blocking, ident);
    status = PyDict_SetItem(blocking, ident, lock);
    Py_DECREF(lock);
    return status;
}

static int assign(PyObject *blocking, PyObject *ident, PyObject *lock)
{
    return lock == NULL ? end_wait(blocking, ident) : begin_wait(blocking, ident, lock);
}

static int nest_waits(PyObject *bootstrap)
{
    PyType_Slot slots[] = {{Py_mp_ass_subscript, (void *)assign}, {0, NULL}};
    PyType_Spec spec = {.name = "bine._blocking_on", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
    PyObject *class = PyType_FromSpecWithBases(&spec, (PyObject *)&PyDict_Type);
    PyObject *before = PyObject_GetAttrString(bootstrap, "_blocking_on");
    PyObject *blocking = class == NULL || before == NULL ? NULL : PyObject_CallOneArg(class, before);
    int status = -1;

    outer = PyList_New(0);
    if (blocking != NULL && outer != NULL)
        status = PyObject_SetAttrString(bootstrap, "_blocking_on", blocking);
    Py_XDECREF(blocking);
    Py_XDECREF(before);
    Py_XDECREF(class);
    return status;
}

/* ---- whose they are ---- */

/* The module's lock that this thread stands in line for: new, or NULL. 3.12 and later keep a list of them. */
static PyObject *awaited_lock(void)
{
    PyObject *bootstrap = bine__imported("_frozen_importlib"); /* borrowed */
    PyObject *table = bootstrap == NULL ? NULL : PyObject_GetAttrString(bootstrap, "_blocking_on");
    PyObject *entry = table == NULL ? NULL
                                    : PyObject_CallMethod(table, "get", "K", (unsigned long long)bine__who());

    Py_XDECREF(table);
    if (entry != NULL && PyList_Check(entry))
        Py_SETREF(entry, PySequence_GetItem(entry, -1));
    return entry;
}

bool bine__micro_imports_it(void)
{
    PyObject *lock = awaited_lock();
    PyObject *owner = lock == NULL ? NULL : PyObject_GetAttrString(lock, "owner");
    unsigned long long id = owner == NULL ? 0 : PyLong_AsUnsignedLongLong(owner);
    bool micro = !PyErr_Occurred() && bine__is_micro_id(id);

    PyErr_Clear(); /* it waits for no module */
    Py_XDECREF(owner);
    Py_XDECREF(lock);
    return micro;
}

/* ---- at open ---- */

int bine__mend_import_locks(PyObject *bootstrap)
{
    if (do_without(bootstrap) != 0)
        return -1;
    return Py_Version < 0x030C0000 ? nest_waits(bootstrap) : 0;
}
