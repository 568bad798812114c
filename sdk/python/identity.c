/* How micro-threads are threads to Python's own modules: _thread and threading get the SDK's locks, and an
 * identity for each micro-thread. What is built on them (Condition, Event, queue.Queue, the import lock,
 * concurrent.futures) follows by itself.
 *
 * The main script has the identity of the thread that runs it: it is threading.main_thread(). All other
 * micro-threads have their own numbers, which no OS thread has. */
#include "python/library.h"
#include "python/line.h"
#include "python/python.h"

#include <errno.h>

/* ---- who ---- */

static unsigned long python_ident(void)
{
    const bine *rt = bine__here;

    if (rt == NULL || rt->current == rt->main)
        return PyThread_get_thread_ident();
    return (unsigned long)bine__who();
}

static PyObject *py_get_ident(PyObject *unused, PyObject *none)
{
    (void)unused;
    (void)none;
    return PyLong_FromUnsignedLong(python_ident());
}

/* ---- calls that want the identifier of an OS thread ---- */

static PyObject *original_kill;
static PyObject *original_clock;

/* A micro-thread has no signals and no clock of its own: its OS thread's count. The C library trusts any
 * number; NULL with an exception unless a Python thread has it. */
static PyObject *os_thread(PyObject *ident)
{
    unsigned long id = PyLong_AsUnsignedLong(ident);
    const bine *rt = bine__python_now->rt;
    PyThreadState *t;

    if (id == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    if (rt != NULL && (bine__is_micro_id(id) || id == rt->tstate->thread_id))
        return PyLong_FromUnsignedLong(rt->tstate->thread_id);
    t = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    while (t != NULL && t->thread_id != id)
        t = PyThreadState_Next(t);
    if (t != NULL && id != 0) /* 0: one that is about to start */
        return PyLong_FromUnsignedLong(id);
    errno = ESRCH;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* The original with its first argument, an identifier, made that of an OS thread. */
static PyObject *call_with_thread(PyObject *original, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *given[2] = {0};
    PyObject *result;

    if (nargs < 1 || nargs > 2 || !PyLong_Check(args[0]))
        return PyObject_Vectorcall(original, args, (size_t)nargs, NULL); /* which knows what is wrong */
    given[0] = os_thread(args[0]);
    if (given[0] == NULL)
        return NULL;
    given[1] = nargs > 1 ? args[1] : NULL;
    result = PyObject_Vectorcall(original, given, (size_t)nargs, NULL);
    Py_DECREF(given[0]);
    return result;
}

static PyObject *py_pthread_kill(PyObject *unused, PyObject *const *args, Py_ssize_t nargs)
{
    (void)unused;
    return call_with_thread(original_kill, args, nargs);
}

static PyObject *py_pthread_clock(PyObject *unused, PyObject *const *args, Py_ssize_t nargs)
{
    (void)unused;
    return call_with_thread(original_clock, args, nargs);
}

static PyMethodDef get_ident_def = {
    "get_ident", py_get_ident, METH_NOARGS,
    PyDoc_STR("get_ident($module, /)\n--\n\n"
              "A number that tells the running micro-thread or thread from all others that live.")};
static PyMethodDef kill_def = {
    "pthread_kill", (PyCFunction)(void (*)(void))py_pthread_kill, METH_FASTCALL,
    PyDoc_STR("pthread_kill($module, thread_id, signalnum, /)\n--\n\n"
              "Send a signal to a thread; to the one that runs it, for a micro-thread.")};
static PyMethodDef clock_def = {
    "pthread_getcpuclockid", (PyCFunction)(void (*)(void))py_pthread_clock, METH_FASTCALL,
    PyDoc_STR("pthread_getcpuclockid($module, thread_id, /)\n--\n\n"
              "The clock of a thread; of the one that runs it, for a micro-thread.")};

/* ---- putting ours in place ---- */

/* What was, and what is instead. */
typedef struct exchange {
    PyObject *old;
    PyObject *ours;
} exchange;

#define EXCHANGES_MAX 16

typedef struct exchanges {
    exchange pairs[EXCHANGES_MAX]; /* owned */
    int count;
    PyTypeObject *lock_type; /* CPython's: locks that modules have made already are exchanged too */
    PyTypeObject *rlock_type;
} exchanges;

/* Sets module.name to `ours` (borrowed), noting what was there. A name that is not there is let be. */
static int set_in(PyObject *module, const char *name, PyObject *ours, exchanges *all)
{
    PyObject *old = module == NULL ? NULL : PyObject_GetAttrString(module, name);

    if (old == NULL) {
        PyErr_Clear();
        return 0;
    }
    if (old == ours || all->count == EXCHANGES_MAX) {
        Py_DECREF(old);
        return 0;
    }
    all->pairs[all->count++] = (exchange){old, Py_NewRef(ours)};
    return PyObject_SetAttrString(module, name, ours);
}

static int set_function(PyObject *module, PyMethodDef *def, PyObject **original, exchanges *all)
{
    PyObject *name = module == NULL ? NULL : PyModule_GetNameObject(module);
    PyObject *ours = name == NULL ? NULL : PyCFunction_NewEx(def, NULL, name);
    int status = ours == NULL ? -1 : 0;

    if (ours != NULL && original != NULL)
        *original = PyObject_GetAttrString(module, def->ml_name);
    if (ours != NULL && (original == NULL || *original != NULL))
        status = set_in(module, def->ml_name, ours, all);
    PyErr_Clear(); /* one that this Python has not */
    Py_XDECREF(ours);
    Py_XDECREF(name);
    return module == NULL ? 0 : status;
}

/* What stands instead of `object` (new), or NULL: nothing does. At open, nobody has taken a lock. */
static PyObject *instead_of(PyObject *object, const exchanges *all, bine__python *py)
{
    for (int i = 0; i < all->count; i++)
        if (all->pairs[i].old == object)
            return Py_NewRef(all->pairs[i].ours);
    if (Py_IS_TYPE(object, all->lock_type))
        return PyObject_CallNoArgs((PyObject *)py->lock_type);
    if (Py_IS_TYPE(object, all->rlock_type))
        return PyObject_CallNoArgs((PyObject *)py->rlock_type);
    return NULL;
}

/* All that a module has taken of the originals. */
static int exchange_in(PyObject *module, const exchanges *all, bine__python *py)
{
    PyObject *dict = PyModule_Check(module) ? PyModule_GetDict(module) : NULL;
    PyObject *names = dict == NULL ? NULL : PyDict_Keys(dict);
    int status = dict != NULL && names == NULL ? -1 : 0;

    for (Py_ssize_t i = 0; names != NULL && status == 0 && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i);
        PyObject *object = PyDict_GetItemWithError(dict, name);
        PyObject *ours = object == NULL ? NULL : instead_of(object, all, py);

        if (ours != NULL)
            status = PyDict_SetItem(dict, name, ours);
        else if (PyErr_Occurred())
            status = -1;
        Py_XDECREF(ours);
    }
    Py_XDECREF(names);
    return status;
}

static int exchange_everywhere(const exchanges *all, bine__python *py)
{
    PyObject *modules = PyDict_Values(PyImport_GetModuleDict());
    int status = modules == NULL ? -1 : 0;

    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(modules); i++)
        status = exchange_in(PyList_GET_ITEM(modules, i), all, py);
    Py_XDECREF(modules);
    return status;
}

/* An instance's type (new), by calling module.name. */
static PyTypeObject *type_made_by(PyObject *module, const char *name)
{
    PyObject *object = PyObject_CallMethod(module, name, NULL);
    PyTypeObject *type = object == NULL ? NULL : (PyTypeObject *)Py_NewRef((PyObject *)Py_TYPE(object));

    Py_XDECREF(object);
    return type;
}

static int replace_all(bine__python *py, PyObject *thread, exchanges *all)
{
    static const char *const locks[] = {"allocate_lock", "allocate", "LockType", "lock"};
    PyObject *signal = bine__imported("_signal"); /* borrowed, as the next one */
    PyObject *time = bine__imported("time");

    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        if (set_in(thread, locks[i], (PyObject *)py->lock_type, all) != 0)
            return -1;
    if (set_in(thread, "RLock", (PyObject *)py->rlock_type, all) != 0 ||
        set_function(thread, &get_ident_def, NULL, all) != 0 ||
        set_function(signal, &kill_def, &original_kill, all) != 0 ||
        set_function(time, &clock_def, &original_clock, all) != 0)
        return -1;
    return exchange_everywhere(all, py);
}

/* threading comes first: what it has taken of _thread is exchanged, and its main thread is this one. */
int bine__replace_threads(bine *rt)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *thread = PyImport_ImportModule("_thread");
    PyObject *library = NULL;
    exchanges all = {0};
    int status = -1;

    if (threading != NULL && thread != NULL) {
        all.lock_type = type_made_by(thread, "allocate_lock");
        all.rlock_type = type_made_by(thread, "RLock");
    }
    if (all.lock_type != NULL && all.rlock_type != NULL)
        status = replace_all(rt->python, thread, &all);
    for (int i = 0; i < all.count; i++) {
        Py_DECREF(all.pairs[i].old);
        Py_DECREF(all.pairs[i].ours);
    }
    if (status == 0)
        library = bine__library(rt->python, "threads");
    Py_XDECREF(library);
    Py_XDECREF(all.lock_type);
    Py_XDECREF(all.rlock_type);
    Py_XDECREF(thread);
    Py_XDECREF(threading);
    return library == NULL ? -1 : 0;
}
