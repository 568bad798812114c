#include "stdlib/standin.h"

#include "core/sigpipe.h"
#include "python/library.h"
#include "python/python.h"
#include "stdlib/fair.h"
#include "stdlib/fileio.h"
#include "stdlib/filesystem.h"
#include "stdlib/socket.h"
#include "stdlib/ssl.h"

#include <string.h>

/* ---- CPython's own ---- */

static bool takes_tuple(const bine__standin *s)
{
    return (s->original->ml_flags & METH_VARARGS) != 0;
}

static PyObject *call_as_defined(const bine__call *call)
{
    const bine__standin *s = call->standin;
    PyCFunction function = s->original->ml_meth;
    void (*any)(void) = (void (*)(void))function;

    switch (s->original->ml_flags & ~(METH_CLASS | METH_STATIC | METH_COEXIST)) {
    case METH_VARARGS:
        return function(call->self, call->tuple);
    case METH_VARARGS | METH_KEYWORDS:
        return ((PyCFunctionWithKeywords)any)(call->self, call->tuple, call->dict);
    case METH_FASTCALL:
        return ((_PyCFunctionFast)any)(call->self, call->args, call->nargs);
    case METH_FASTCALL | METH_KEYWORDS:
        return ((_PyCFunctionFastWithKeywords)any)(call->self, call->args, call->nargs, call->kwnames);
    case METH_METHOD | METH_FASTCALL | METH_KEYWORDS:
        return ((PyCMethod)any)(call->self, call->class, call->args, (size_t)call->nargs, call->kwnames);
    case METH_NOARGS:
        return function(call->self, NULL);
    default: /* METH_O */
        return function(call->self, call->args[0]);
    }
}

PyObject *bine__call_original(const bine__call *call)
{
    bool held = call->standin->writes && bine__sigpipe_hold();
    PyObject *result = call_as_defined(call);

    if (held)
        bine__sigpipe_release();
    return result;
}

PyObject *bine__call_at_once(const bine__call *call)
{
    PyObject *result = bine__call_original(call);

    bine__fair(bine__here);
    return result;
}

static PyObject *call_with_tuple(const bine__call *call, PyObject *const *args, Py_ssize_t nargs)
{
    bine__call other = *call;
    PyObject *result;

    other.tuple = bine__tuple_of(args, nargs);
    if (other.tuple == NULL)
        return NULL;
    result = bine__call_original(&other);
    Py_DECREF(other.tuple);
    return result;
}

PyObject *bine__call_original_with(const bine__call *call, PyObject *const *args, Py_ssize_t nargs)
{
    bine__call other = *call;

    if (takes_tuple(call->standin))
        return call_with_tuple(call, args, nargs);
    other.args = args;
    other.nargs = nargs;
    return bine__call_original(&other);
}

PyObject *bine__call_argument(const bine__call *call, Py_ssize_t place, const char *name)
{
    if (place < call->nargs)
        return call->args[place];
    if (call->dict != NULL)
        return PyDict_GetItemString(call->dict, name);
    for (Py_ssize_t i = 0; call->kwnames != NULL && i < PyTuple_GET_SIZE(call->kwnames); i++)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(call->kwnames, i), name) == 0)
            return call->args[call->nargs + i];
    return NULL;
}

/* ---- in place ---- */

static bine__standin *in_place; /* the newest first */

/* The entry for a convention; NULL: none that CPython has had so far. */
static PyCFunction entry_for(const bine__standin *s, int flags)
{
    switch (flags & ~(METH_CLASS | METH_STATIC | METH_COEXIST)) {
    case METH_VARARGS:
        return s->varargs;
    case METH_VARARGS | METH_KEYWORDS:
        return s->varargs_keywords;
    case METH_FASTCALL:
        return s->fastcall;
    case METH_FASTCALL | METH_KEYWORDS:
        return s->fastcall_keywords;
    case METH_METHOD | METH_FASTCALL | METH_KEYWORDS:
        return s->method;
    case METH_NOARGS:
        return s->noargs;
    case METH_O:
        return s->onearg;
    default:
        return NULL;
    }
}

/* Where a function or a method says what it calls; NULL: it is neither. */
static PyMethodDef **place_of(PyObject *object)
{
    if (PyCFunction_Check(object))
        return &((PyCFunctionObject *)object)->m_ml;
    if (Py_IS_TYPE(object, &PyMethodDescr_Type) || Py_IS_TYPE(object, &PyClassMethodDescr_Type))
        return &((PyMethodDescrObject *)object)->d_method;
    return NULL;
}

/* One step of a path (new), or NULL with an exception. */
static PyObject *step(PyObject *from, const char *name, size_t size)
{
    bool called = size > 2 && memcmp(name + size - 2, "()", 2) == 0;
    PyObject *key = PyUnicode_FromStringAndSize(name, (Py_ssize_t)(called ? size - 2 : size));
    PyObject *found = key == NULL ? NULL : PyObject_GetAttr(from, key);
    PyObject *made;

    Py_XDECREF(key);
    if (!called || found == NULL)
        return found;
    made = PyObject_CallNoArgs(found);
    Py_SETREF(found, made == NULL ? NULL : Py_NewRef((PyObject *)Py_TYPE(made)));
    Py_XDECREF(made);
    return found;
}

/* What stands at the end of a path (new), or NULL with an exception. */
static PyObject *find(PyObject *module, const char *path)
{
    PyObject *found = Py_NewRef(module);

    while (found != NULL && *path != '\0') {
        size_t size = strcspn(path, ".");

        Py_SETREF(found, step(found, path, size));
        path += path[size] == '.' ? size + 1 : size;
    }
    return found;
}

/* What this CPython has not, or calls in a way of its own, is left out. */
static void put_in_place(bine__standin *s, PyObject *module)
{
    PyObject *object = find(module, s->path);
    PyMethodDef **place = object == NULL ? NULL : place_of(object);
    PyCFunction entry = place == NULL ? NULL : entry_for(s, (*place)->ml_flags);

    PyErr_Clear();
    if (entry == NULL || s->object != NULL) {
        Py_XDECREF(object);
        return;
    }
    s->object = object;
    s->original = *place;
    s->def = *s->original;
    s->def.ml_meth = entry;
    *place = &s->def;
    s->next = in_place;
    in_place = s;
}

/* s->original stays: on another thread a call may be under way. */
static void take_away(bine__standin *s)
{
    *place_of(s->object) = s->original;
    Py_CLEAR(s->object);
    s->next = NULL;
}

/* ---- all of them ---- */

static bine__standin *const *const lists[] = {
    bine__buffered_standins,  bine__change_standins,     bine__connect_standins, bine__fcntl_standins,
    bine__fileio_standins,    bine__filesystem_standins, bine__input_standins,   bine__osfile_standins,
    bine__process_standins,   bine__rare_standins,       bine__resolve_standins, bine__select_standins,
    bine__semaphore_standins, bine__sendfile_standins,   bine__signal_standins,  bine__socket_rare_standins,
    bine__socket_standins,    bine__ssl_standins,        bine__time_standins,
};

static void fill_from(bine__standin *const *list, PyObject *module, const char *name)
{
    for (; *list != NULL; list++)
        if (strcmp((*list)->module, name) == 0)
            put_in_place(*list, module);
}

/* fill(module): when it has been imported. Bound to the name that it was imported by: _io calls itself io. */
static PyObject *fill(PyObject *bound, PyObject *module)
{
    const char *name = PyUnicode_AsUTF8(bound);

    if (name == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        fill_from(lists[i], module, name);
    Py_RETURN_NONE;
}

static PyMethodDef fill_def = {"fill", fill, METH_O, NULL};

/* The names of the modules (new), each once. */
static PyObject *modules_of_all(void)
{
    PyObject *names = PySet_New(NULL);

    for (size_t i = 0; names != NULL && i < sizeof lists / sizeof *lists; i++) {
        for (bine__standin *const *s = lists[i]; names != NULL && *s != NULL; s++) {
            PyObject *name = PyUnicode_InternFromString((*s)->module);

            if (name == NULL || PySet_Add(names, name) != 0)
                Py_CLEAR(names);
            Py_XDECREF(name);
        }
    }
    return names;
}

static int wish_for(PyObject *name, PyMethodDef *fill_it)
{
    PyObject *function = PyCFunction_New(fill_it, name);
    PyObject *args = function == NULL ? NULL : PyTuple_Pack(2, name, function);
    PyObject *none = args == NULL ? NULL : bine__on_import(NULL, args);

    Py_XDECREF(function);
    Py_XDECREF(args);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* fill_sockets(module): the same for what is no function. */
static PyObject *fill_sockets(PyObject *unused, PyObject *module)
{
    (void)unused;
    bine__sockets_open(module);
    Py_RETURN_NONE;
}

static PyMethodDef fill_sockets_def = {"fill_sockets", fill_sockets, METH_O, NULL};

/* fill_subprocess(module): for subprocess, which is written in Python. */
static PyObject *fill_subprocess(PyObject *unused, PyObject *module)
{
    (void)unused;
    (void)module;
    return bine__library(bine__python_now, "processes");
}

static PyMethodDef fill_subprocess_def = {"fill_subprocess", fill_subprocess, METH_O, NULL};

static int wish_by_name(const char *module, PyMethodDef *fill_it)
{
    PyObject *name = PyUnicode_FromString(module);
    int status = name == NULL ? -1 : wish_for(name, fill_it);

    Py_XDECREF(name);
    return status;
}

int bine__standins_open(bine *rt)
{
    PyObject *names = rt->config.cooperative_stdlib ? modules_of_all() : NULL;
    PyObject *each = names == NULL ? NULL : PyObject_GetIter(names);
    PyObject *name;
    int status = rt->config.cooperative_stdlib ? bine__fileio_open() : 0;

    while (status == 0 && each != NULL && (name = PyIter_Next(each)) != NULL) {
        status = wish_for(name, &fill_def);
        Py_DECREF(name);
    }
    if (each != NULL && status == 0)
        status = wish_by_name("subprocess", &fill_subprocess_def);
    if (each != NULL && status == 0)
        status = wish_by_name("_socket", &fill_sockets_def);
    if (each != NULL && status == 0)
        status = bine__filesystem_rehash();
    Py_XDECREF(each);
    Py_XDECREF(names);
    return PyErr_Occurred() ? -1 : status;
}

void bine__standins_close(void)
{
    bine__fileio_close();
    bine__ssl_close();
    bine__sockets_close();
    while (in_place != NULL) {
        bine__standin *s = in_place;

        in_place = s->next;
        take_away(s);
    }
    if (bine__filesystem_rehash() != 0)
        PyErr_Clear();
}

/* ---- what there is ---- */

/* What holds all others up, and why nothing stands in for it. */
static const struct left {
    const char *name;
    const char *why;
} left[] = {
    {"mmap.mmap", "blocks: memory that is read from a file when it is touched"},
    {"sqlite3.Connection", "blocks: the library reads and waits in C"},
    {"ssl.SSLContext.load_cert_chain", "blocks: OpenSSL reads the file"},
    {"ssl.SSLContext.load_verify_locations", "blocks: OpenSSL reads the files"},
    {"ctypes.CDLL", "blocks: a foreign function is left alone"},
    {"os.fork", "blocks: the kernel copies the process"},
    {"subprocess.Popen", "blocks until the program has been started, about 0.1 ms"},
};

static int put_text(PyObject *dict, const char *name, const char *text)
{
    PyObject *value = PyUnicode_FromString(text);
    int status = value == NULL ? -1 : PyDict_SetItemString(dict, name, value);

    Py_XDECREF(value);
    return status;
}

PyObject *bine__py_patched(PyObject *unused, PyObject *none)
{
    PyObject *all = PyDict_New();
    int status = all == NULL ? -1 : 0;

    (void)unused;
    (void)none;
    for (const bine__standin *s = in_place; status == 0 && s != NULL; s = s->next)
        status = put_text(all, s->public, s->how);
    for (size_t i = 0; status == 0 && i < sizeof left / sizeof *left; i++)
        status = put_text(all, left[i].name, left[i].why);
    if (status != 0)
        Py_CLEAR(all);
    return all;
}
