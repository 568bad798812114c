/* Stand-ins for CPython's built-in functions and methods that block. On a micro-thread that may wait, the
 * call goes to ours, which suspends; everywhere else (another thread, the host, where waits are refused) to
 * CPython's own, with its arguments untouched.
 *
 * The function object stays the same: only the definition that it calls is another, with the same calling
 * convention (CPython has chosen by that how to call it). So every reference that somebody has taken before
 * is covered, and repr(), pickle and inspect show what they always did. PyCFunctionObject.m_ml and
 * PyMethodDescrObject.d_method are in CPython's public headers, and read at each call (3.11 to 3.13, by all
 * specialised instructions).
 *
 * Owner thread with the GIL held; the entries of a stand-in, any thread with the GIL. */
#ifndef BINE_STDLIB_STANDIN_H
#define BINE_STDLIB_STANDIN_H

#include <Python.h>

#include "core/runtime.h"

typedef struct bine__standin bine__standin;

/* One call, in the convention in which it came. All borrowed. */
typedef struct bine__call {
    const bine__standin *standin;
    PyObject *self;
    PyTypeObject *class;    /* METH_METHOD: that defines it; else NULL */
    PyObject *const *args;  /* by position */
    Py_ssize_t nargs;       /* of them */
    PyObject *kwnames;      /* METH_FASTCALL: the names of those that follow; may be NULL */
    PyObject *tuple, *dict; /* METH_VARARGS: as they came; `dict` may be NULL */
} bine__call;

struct bine__standin {
    const char *module; /* where it is found, as sys.modules has it */
    const char *path;   /* from there, dotted: "socket.recv"; a step that ends in () is called for its type */
    const char *public; /* as bine.patched() shows it: "socket.socket.recv" */
    const char *how;    /* what it waits by: a few words, as bine.patched() and the docs show them */

    /* On a micro-thread that may wait. New, or NULL with an exception. */
    PyObject *(*call)(const bine__call *call);
    bool everywhere; /* call() has the calls of all threads, and sees to that itself */
    bool writes;     /* CPython's own may cause a SIGPIPE, on whatever thread */

    /* The entry of each convention. See BINE__STANDIN. */
    PyCFunction varargs, varargs_keywords, fastcall, fastcall_keywords, method, noargs, onearg;

    PyObject *object;      /* the function or method (owned); NULL: not in place */
    PyMethodDef *original; /* CPython's own definition */
    PyMethodDef def;       /* what stands in its place */
    struct bine__standin *next;
};

/* CPython's own, as it was called. */
PyObject *bine__call_original(const bine__call *call);

/* CPython's own, which does not wait here, or says what is wrong: one more call of that kind, see fair.h. On
 * a micro-thread that may wait. */
PyObject *bine__call_at_once(const bine__call *call);

/* CPython's own with other arguments, by position; keywords as they came. */
PyObject *bine__call_original_with(const bine__call *call, PyObject *const *args, Py_ssize_t nargs);

/* The argument at `place`, or with that name (borrowed); NULL: not given. */
PyObject *bine__call_argument(const bine__call *call, Py_ssize_t place, const char *name);

/* At open: those of modules that have been imported are put in place now, the others when they are, if the
 * config wants them. What this CPython does not have is left out. 0, or -1 with an exception. */
int bine__standins_open(bine *rt);
/* At close. */
void bine__standins_close(void);

/* patched(): see module.c. */
PyObject *bine__py_patched(PyObject *module, PyObject *none);

/* Whether the running code is on a micro-thread that may be suspended here. Not where C code has taken the
 * GIL once more (bine_python_enter(), a report that reads a script's source): that would be held on to by one
 * who waits. */
static inline bool bine__stands_in(bine *rt)
{
    if (rt == NULL)
        return false;
    if ((rt->current->no_wait & BINE__COLLECTS) != 0)
        bine__forget_collection(rt); /* if it is over */
    return rt->current->no_wait == 0 && rt->gil_depth == 1 && !bine__is_tracing(rt->tstate);
}

/* ---- entries ---- */

static inline PyObject *bine__enter_varargs(bine__standin *s, PyObject *self, PyObject *tuple, PyObject *dict)
{
    bine__call call = {.standin = s,
                       .self = self,
                       .args = ((PyTupleObject *)tuple)->ob_item,
                       .nargs = PyTuple_GET_SIZE(tuple),
                       .tuple = tuple,
                       .dict = dict};

    return s->everywhere || bine__stands_in(bine__here) ? s->call(&call) : bine__call_original(&call);
}

static inline PyObject *bine__enter_fastcall(bine__standin *s, PyObject *self, PyTypeObject *class,
                                             PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    bine__call call = {
        .standin = s, .self = self, .class = class, .args = args, .nargs = nargs, .kwnames = kwnames};

    return s->everywhere || bine__stands_in(bine__here) ? s->call(&call) : bine__call_original(&call);
}

#define BINE__ENTRY(function) ((PyCFunction)(void (*)(void))(function))

/* BINE__STANDIN(id, module, path, public, how, call): defines the static variable `id`, and its entries. */
#define BINE__STANDIN(id, module, path, public, how, call) \
    BINE__STANDIN_OF(id, module, path, public, how, call, false, false)
#define BINE__STANDIN_EVERYWHERE(id, module, path, public, how, call) \
    BINE__STANDIN_OF(id, module, path, public, how, call, true, false)
#define BINE__STANDIN_WRITES(id, module, path, public, how, call) \
    BINE__STANDIN_OF(id, module, path, public, how, call, false, true)

#define BINE__STANDIN_OF(id, module_, path_, public_, how_, call_, everywhere_, writes_)                  \
    static bine__standin id;                                                                              \
    static PyObject *id##_v(PyObject *self, PyObject *args)                                               \
    {                                                                                                     \
        return bine__enter_varargs(&id, self, args, NULL);                                                \
    }                                                                                                     \
    static PyObject *id##_vk(PyObject *self, PyObject *args, PyObject *kwargs)                            \
    {                                                                                                     \
        return bine__enter_varargs(&id, self, args, kwargs);                                              \
    }                                                                                                     \
    static PyObject *id##_f(PyObject *self, PyObject *const *args, Py_ssize_t nargs)                      \
    {                                                                                                     \
        return bine__enter_fastcall(&id, self, NULL, args, nargs, NULL);                                  \
    }                                                                                                     \
    static PyObject *id##_fk(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)  \
    {                                                                                                     \
        return bine__enter_fastcall(&id, self, NULL, args, nargs, kwnames);                               \
    }                                                                                                     \
    static PyObject *id##_m(PyObject *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t nargs, \
                            PyObject *kwnames)                                                            \
    {                                                                                                     \
        return bine__enter_fastcall(&id, self, class, args, nargs, kwnames);                              \
    }                                                                                                     \
    static PyObject *id##_n(PyObject *self, PyObject *none)                                               \
    {                                                                                                     \
        (void)none;                                                                                       \
        return bine__enter_fastcall(&id, self, NULL, NULL, 0, NULL);                                      \
    }                                                                                                     \
    static PyObject *id##_o(PyObject *self, PyObject *arg)                                                \
    {                                                                                                     \
        return bine__enter_fastcall(&id, self, NULL, &arg, 1, NULL);                                      \
    }                                                                                                     \
    static bine__standin id = {                                                                           \
        .module = (module_),                                                                              \
        .path = (path_),                                                                                  \
        .public = (public_),                                                                              \
        .how = (how_),                                                                                    \
        .call = (call_),                                                                                  \
        .everywhere = (everywhere_),                                                                      \
        .writes = (writes_),                                                                              \
        .varargs = id##_v,                                                                                \
        .varargs_keywords = BINE__ENTRY(id##_vk),                                                         \
        .fastcall = BINE__ENTRY(id##_f),                                                                  \
        .fastcall_keywords = BINE__ENTRY(id##_fk),                                                        \
        .method = BINE__ENTRY(id##_m),                                                                    \
        .noargs = id##_n,                                                                                 \
        .onearg = id##_o,                                                                                 \
    }

/* The lists, each ends with NULL. */
extern bine__standin *const bine__process_standins[];
extern bine__standin *const bine__rare_standins[];
extern bine__standin *const bine__resolve_standins[];
extern bine__standin *const bine__select_standins[];
extern bine__standin *const bine__socket_standins[];
extern bine__standin *const bine__socket_rare_standins[];
extern bine__standin *const bine__connect_standins[];
extern bine__standin *const bine__sendfile_standins[];
extern bine__standin *const bine__ssl_standins[];
extern bine__standin *const bine__semaphore_standins[];
extern bine__standin *const bine__signal_standins[];
extern bine__standin *const bine__time_standins[];
extern bine__standin *const bine__osfile_standins[];
extern bine__standin *const bine__fileio_standins[];
extern bine__standin *const bine__buffered_standins[];
extern bine__standin *const bine__fcntl_standins[];
extern bine__standin *const bine__filesystem_standins[];
extern bine__standin *const bine__change_standins[];
extern bine__standin *const bine__input_standins[];

#endif
