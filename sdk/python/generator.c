/* bine.generate(), bine.emit(), bine.Generator: an iterator whose values are emitted by a function, or by
 * whatever that calls. The function runs on a stack of its own, as part of whoever asks for the next
 * value (core/coroutine.h): like a generator of CPython's it has no identity of its own. */
#include "core/coroutine.h"
#include "core/pyframe.h"
#include "python/microthread.h"
#include "python/python.h"

#include <stddef.h>
#include <structmember.h>

typedef enum state {
    FRESH,     /* has not begun */
    SUSPENDED, /* in an emit() */
    RUNNING,   /* or what runs it waits */
    DONE
} state;

typedef struct bine__generator {
    PyObject_HEAD
    bine *rt;
    bine__co *co;    /* its stack; NULL: not begun, or ended */
    PyObject *value; /* on its way in or out */
    state state;
    PyObject *function; /* the last three: until it has ended */
    PyObject *args;     /* a tuple, the values of keyword arguments last */
    PyObject *kwnames;  /* or NULL */
    PyObject *name;
    PyObject *qualname;
    struct bine__generator *older; /* all that have begun and not ended */
    struct bine__generator *newer;
    PyObject *weakrefs;
} generator;

static void clear_call(generator *self)
{
    Py_CLEAR(self->function);
    Py_CLEAR(self->args);
    Py_CLEAR(self->kwnames);
}

static void link_begun(generator *self)
{
    bine__python *py = self->rt->python;

    self->older = py->generators;
    self->newer = NULL;
    if (self->older != NULL)
        self->older->newer = self;
    py->generators = self;
}

static void unlink_begun(generator *self)
{
    if (self->newer != NULL)
        self->newer->older = self->older;
    else
        self->rt->python->generators = self->older;
    if (self->older != NULL)
        self->older->newer = self->newer;
    self->older = self->newer = NULL;
}

/* ---- on its stack ---- */

/* Hands `value` (taken) to whoever asked for one. What they send (new), or NULL: they have an exception
 * raised here. */
static PyObject *emit(bine *rt, generator *self, PyObject *value)
{
    self->value = value;
    self->state = SUSPENDED;
    bine__co_suspend(rt, self->co);
    value = self->value;
    self->value = NULL;
    if (value == NULL && bine__is_handling(rt->tstate)) {
        PyObject *exception = bine__take_exception();

        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception); /* in the context of what is handled */
        Py_DECREF(exception);
    }
    return value;
}

/* The function was one with `yield`: emits what its iterator (taken) yields, as `yield from` does. */
static PyObject *delegate(generator *self, PyObject *iterator)
{
    PyObject *given = Py_NewRef(Py_None);
    PyObject *value;
    PySendResult sent;

    do {
        sent = given != NULL ? PyIter_Send(iterator, given, &value) : bine__throw_into(iterator, &value);
        Py_CLEAR(given);
        if (sent == PYGEN_NEXT)
            given = emit(self->rt, self, value);
    } while (sent == PYGEN_NEXT);
    Py_DECREF(iterator);
    return value;
}

/* The function returned `result` (taken), which cannot be what was meant. */
static PyObject *refuse(generator *self, PyObject *result, const char *what)
{
    PyObject *none = PyCoro_CheckExact(result) ? PyObject_CallMethod(result, "close", NULL) : NULL;

    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "generate() needs a function or a generator function; '%U' is %s",
                 self->qualname, what);
    Py_XDECREF(none);
    Py_DECREF(result);
    return NULL;
}

static PyObject *call(generator *self)
{
    size_t given = (size_t)PyTuple_GET_SIZE(self->args);
    size_t named = self->kwnames == NULL ? 0 : (size_t)PyTuple_GET_SIZE(self->kwnames);
    PyObject *const *args = given == 0 ? NULL : &PyTuple_GET_ITEM(self->args, 0);
    PyObject *result = PyObject_Vectorcall(self->function, args, given - named, self->kwnames);

    if (result != NULL && PyGen_CheckExact(result))
        return delegate(self, result);
    if (result != NULL && PyCoro_CheckExact(result))
        return refuse(self, result, "a coroutine function");
    if (result != NULL && PyAsyncGen_CheckExact(result))
        return refuse(self, result, "an asynchronous generator function");
    return result;
}

/* PEP 479: a StopIteration would look like the generator's end. */
static void explain_stop(void)
{
    PyObject *stop = bine__take_exception();
    PyObject *error;

    PyErr_SetString(PyExc_RuntimeError, "generator raised StopIteration");
    error = bine__take_exception();
    PyException_SetCause(error, Py_NewRef(stop));
    PyException_SetContext(error, stop);
    bine__raise(error);
}

static void run(void *user)
{
    generator *self = user;

    Py_CLEAR(self->value); /* the first that is sent: None */
    self->value = call(self);
    if (self->value == NULL && PyErr_Occurred() == NULL)
        PyErr_NoMemory(); /* CPython has lost it, as it does when memory is out */
    if (self->value == NULL && PyErr_ExceptionMatches(PyExc_StopIteration))
        explain_stop();
    self->state = DONE;
}

/* ---- on that of whoever asks ---- */

static void ended(generator *self)
{
    self->co = NULL;
    unlink_begun(self);
    clear_call(self);
}

/* Lets it go on with `value` (taken); NULL: with the exception that is set. */
static PySendResult go_on(generator *self, PyObject *value, PyObject **out)
{
    bine__co_way way;

    self->value = value;
    self->state = RUNNING;
    way = bine__co_resume(self->rt, self->co);
    *out = self->value;
    self->value = NULL;
    if (way == BINE__CO_SUSPENDED)
        return PYGEN_NEXT;
    if (way == BINE__CO_ENDED) {
        ended(self);
        return *out != NULL ? PYGEN_RETURN : PYGEN_ERROR;
    }
    self->state = SUSPENDED;
    Py_CLEAR(*out);
    PyErr_SetString(PyExc_RecursionError,
                    "maximum recursion depth exceeded by a generator's calls on top of its caller's");
    return PYGEN_ERROR;
}

static int check_thread(const generator *self)
{
    if (self->rt == bine__here)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "a bine.Generator belongs to the thread that runs the host's loop");
    return -1;
}

/* Whether it can be told anything: on its thread, and not running. 0, or -1 with an exception. */
static int check_free(const generator *self)
{
    if (check_thread(self) != 0)
        return -1;
    if (self->state != RUNNING)
        return 0;
    PyErr_SetString(PyExc_ValueError, "generator already executing");
    return -1;
}

static int begin(generator *self)
{
    if (self->rt->python->closed_generators) {
        PyErr_SetString(PyExc_RuntimeError, "the runtime is closing: no generator begins any more");
        return -1;
    }
    self->co = bine__co_new(self->rt, run, self);
    if (self->co == NULL) {
        PyErr_SetString(PyExc_MemoryError, "no address space or no mapping left for a generator's stack");
        return -1;
    }
    self->state = SUSPENDED;
    link_begun(self);
    return 0;
}

/* The same as go_on() of one that is FRESH or RUNNING or DONE, or another thread's. `value` is taken. */
static PySendResult go_on_unlikely(generator *self, PyObject *value, PyObject **out)
{
    *out = NULL;
    if (check_free(self) == 0 && self->state == DONE) {
        *out = Py_NewRef(Py_None);
    } else if (PyErr_Occurred() == NULL && self->state == FRESH && value != Py_None) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started generator");
    } else if (PyErr_Occurred() == NULL && begin(self) == 0) {
        return go_on(self, value, out);
    }
    Py_DECREF(value);
    return *out != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

static inline PySendResult send(generator *self, PyObject *value, PyObject **out)
{
    if (self->state == SUSPENDED && self->rt == bine__here)
        return go_on(self, Py_NewRef(value), out);
    return go_on_unlikely(self, Py_NewRef(value), out);
}

static PySendResult generator_am_send(PyObject *self, PyObject *value, PyObject **out)
{
    return send((generator *)self, value, out);
}

/* How a return looks to who asked for a value: StopIteration, with the value (taken) if it is one. */
static void stop_with(PyObject *value)
{
    /* By hand: a tuple must stay one value. */
    PyObject *stop = value == Py_None ? PyObject_CallNoArgs(PyExc_StopIteration)
                                      : PyObject_CallOneArg(PyExc_StopIteration, value);

    Py_DECREF(value);
    if (stop != NULL)
        PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
}

static PyObject *generator_next(PyObject *self)
{
    PyObject *value;
    PySendResult sent = send((generator *)self, Py_None, &value);

    if (sent != PYGEN_RETURN)
        return value;
    if (value != Py_None)
        stop_with(value);
    else
        Py_DECREF(value);
    return NULL; /* no exception: an iterator's plain end */
}

static PyObject *generator_send(generator *self, PyObject *given)
{
    PyObject *value;

    if (send(self, given, &value) != PYGEN_RETURN)
        return value;
    stop_with(value);
    return NULL;
}

/* The exception (new) that `what` and `value` (may be NULL) name, as in throw(type, value): which callers
 * written for generators of 3.11 still use, contextlib among them. NULL with an exception. */
static PyObject *exception_of(PyObject *what, PyObject *value)
{
    if (value == Py_None)
        value = NULL;
    if (PyExceptionInstance_Check(what) && value == NULL)
        return Py_NewRef(what);
    if (PyExceptionInstance_Check(what)) {
        PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
        return NULL;
    }
    if (!PyExceptionClass_Check(what)) {
        PyErr_Format(PyExc_TypeError,
                     "exceptions must be classes or instances deriving from BaseException, not %.100s",
                     Py_TYPE(what)->tp_name);
        return NULL;
    }
    if (value != NULL && PyExceptionInstance_Check(value))
        return Py_NewRef(value);
    return value == NULL ? PyObject_CallNoArgs(what) : PyObject_CallOneArg(what, value);
}

/* Raises what the arguments of throw() say. -1: they say nothing that can be raised. */
static int raise_any(PyObject *const *args, Py_ssize_t count)
{
    PyObject *exception;

    if (count < 1 || count > 3) {
        PyErr_Format(PyExc_TypeError, "throw() takes an exception (%zd arguments given)", count);
        return -1;
    }
    exception = exception_of(args[0], count > 1 ? args[1] : NULL);
    if (exception == NULL)
        return -1;
    if (!PyExceptionInstance_Check(exception) ||
        (count > 2 && args[2] != Py_None && PyException_SetTraceback(exception, args[2]) != 0)) {
        if (PyErr_Occurred() == NULL)
            PyErr_SetString(PyExc_TypeError, "calling the exception's class has not given an exception");
        Py_DECREF(exception);
        return -1;
    }
    bine__raise(exception);
    return 0;
}

/* One that has not begun never will. */
static void drop(generator *self)
{
    self->state = DONE;
    clear_call(self);
}

static PyObject *generator_throw(generator *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *value;
    PySendResult sent;

    if (check_free(self) != 0 || raise_any(args, count) != 0)
        return NULL;
    if (self->state == FRESH)
        drop(self);
    if (self->state == DONE)
        return NULL;
    sent = go_on(self, NULL, &value);
    if (sent != PYGEN_RETURN)
        return value;
    stop_with(value);
    return NULL;
}

/* What close() returns when the function has returned `value` (taken) at its emit(). */
static PyObject *closed_with(PyObject *value)
{
#if PY_VERSION_HEX < 0x030D0000
    Py_DECREF(value);
    return Py_NewRef(Py_None);
#else
    return value;
#endif
}

/* Of one that is suspended. New, or NULL with an exception. */
static PyObject *close_begun(generator *self)
{
    PyObject *value;
    PySendResult sent;

    PyErr_SetNone(PyExc_GeneratorExit);
    sent = go_on(self, NULL, &value);
    if (sent == PYGEN_RETURN)
        return closed_with(value);
    if (sent == PYGEN_NEXT) {
        Py_XDECREF(value);
        PyErr_SetString(PyExc_RuntimeError, "generator ignored GeneratorExit");
        return NULL;
    }
    if (!PyErr_ExceptionMatches(PyExc_GeneratorExit))
        return NULL;
    PyErr_Clear();
    return Py_NewRef(Py_None);
}

static PyObject *generator_close(generator *self, PyObject *unused)
{
    (void)unused;
    if (check_free(self) != 0)
        return NULL;
    if (self->state == SUSPENDED)
        return close_begun(self);
    drop(self);
    Py_RETURN_NONE;
}

/* ---- abandoning ---- */

/* Nobody will ask any more: runs the function's finally blocks. Keeps the exception that is set. */
static void abandon(generator *self)
{
    PyObject *in_flight = PyErr_Occurred() != NULL ? bine__take_exception() : NULL;
    PyObject *result = close_begun(self);

    if (result == NULL)
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(result);
    if (in_flight != NULL)
        bine__raise(in_flight);
}

static void abandon_later(void *object)
{
    generator *self = object;

    if (self->rt != bine__here)
        return; /* there is no turn for it any more: what it holds stays as it is */
    if (self->state == SUSPENDED)
        abandon(self);
    Py_DECREF(self);
}

/* As the last reference goes or the collector comes; where that is on another thread, or in calls too deep
 * for it, at a turn of its own. */
static void generator_finalize(PyObject *object)
{
    generator *self = (generator *)object;

    if (self->state != SUSPENDED)
        return;
    if (self->rt == bine__here && !bine__co_too_deep(self->rt, self->co))
        abandon(self);
    else
        bine__release_later(self->rt, Py_NewRef(object), abandon_later);
}

void bine__python_close_generators(bine *rt)
{
    bine__python *py = rt->python;

    py->closed_generators = true;
    while (py->generators != NULL) {
        generator *self = (generator *)Py_NewRef((PyObject *)py->generators);

        if (self->state == SUSPENDED)
            abandon(self);
        if (self->state == SUSPENDED) {
            const char *name = PyUnicode_AsUTF8(self->qualname);

            bine__log(rt, BINE_LOG_WARNING,
                      "bine_close: generator '%s' ignored GeneratorExit; its stack is left behind",
                      name != NULL ? name : "?");
            PyErr_Clear();
        }
        if (py->generators == self)
            unlink_begun(self); /* it ignored that, or is part of what a fork has left behind */
        Py_DECREF(self);
    }
}

/* ---- the object ---- */

static int name_it(generator *self)
{
    PyObject *function = self->function;

    if (PyFunction_Check(function)) {
        self->name = Py_NewRef(((PyFunctionObject *)function)->func_name);
        self->qualname = Py_NewRef(((PyFunctionObject *)function)->func_qualname);
        return 0;
    }
    self->name = bine__name_of(function, "__name__");
    self->qualname = self->name == NULL ? NULL : bine__name_of(function, "__qualname__");
    return self->qualname == NULL ? -1 : 0;
}

/* For function(*args), args being `count` objects of which those named by `kwnames` (may be NULL) come last.
 * New, or NULL with an exception. */
static PyObject *new_generator(bine *rt, PyObject *function, PyObject *const *args, Py_ssize_t count,
                               PyObject *kwnames)
{
    generator *self = PyObject_GC_New(generator, rt->python->generator_type);

    if (self == NULL)
        return NULL;
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    self->rt = rt;
    self->function = Py_NewRef(function);
    self->kwnames = Py_XNewRef(kwnames);
    self->args = bine__tuple_of(args, count);
    PyObject_GC_Track(self);
    if (self->args != NULL && name_it(self) == 0)
        return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

PyObject *bine__py_generate(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    bine *rt = bine__here;

    (void)module;
    if (rt == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "generate() is for the thread that runs the host's loop");
        return NULL;
    }
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "generate() needs a function to call");
        return NULL;
    }
    if (!PyCallable_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "generate() needs a function, not %.100s", Py_TYPE(args[0])->tp_name);
        return NULL;
    }
    return new_generator(rt, args[0], args + 1, nargs - 1 + named, kwnames);
}

PyObject *bine__py_emit(PyObject *module, PyObject *value)
{
    bine *rt = bine__here;
    bine__co *co = rt == NULL ? NULL : bine__co_running(rt);

    (void)module;
    if (co == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "emit() outside of a generator: it is for a function that bine.generate() has "
                        "called, and for what that calls");
        return NULL;
    }
    if (!bine__co_may_suspend(rt, co)) {
        PyErr_Format(PyExc_RuntimeError, "emit() has to suspend, and %s", bine__why_no_wait(rt));
        return NULL;
    }
    return emit(rt, co->user, Py_NewRef(value));
}

/* generator | function: a stage that reads the one before. */
static PyObject *generator_or(PyObject *left, PyObject *right)
{
    bine *rt = bine__here;

    if (rt == NULL || !Py_IS_TYPE(left, rt->python->generator_type))
        Py_RETURN_NOTIMPLEMENTED;
    if (PyCallable_Check(right))
        return new_generator(rt, right, &left, 1, NULL);
    PyErr_Format(PyExc_TypeError,
                 "the next stage of a pipeline must be a function that takes the generator, not %.100s",
                 Py_TYPE(right)->tp_name);
    return NULL;
}

static int generator_traverse(generator *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->value);
    Py_VISIT(self->function);
    Py_VISIT(self->args);
    Py_VISIT(self->kwnames);
    return self->co == NULL ? 0 : bine__co_traverse(self->co, visit, arg);
}

static int generator_clear(generator *self)
{
    if (self->co == NULL)
        clear_call(self);
    return 0;
}

static void generator_dealloc(generator *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0)
        return; /* somebody has taken it up again */
    PyObject_GC_UnTrack(self);
    if (self->co != NULL && (self->older != NULL || self->rt->python->generators == self))
        unlink_begun(self); /* it would not end: its frames and their stack stay for ever */
    clear_call(self);
    Py_CLEAR(self->name);
    Py_CLEAR(self->qualname);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *generator_repr(generator *self)
{
    static const char *const states[] = {"new", "suspended", "running", "done"};

    return PyUnicode_FromFormat("<bine.Generator %R %s>", self->qualname, states[self->state]);
}

/* From the innermost frame of the micro-thread that runs it, or is suspended in it. */
static PyFrameObject *innermost_of(generator *self)
{
    bine *rt = self->rt;
    const bine__micro *micro = self->co->resumer;

    if (micro == NULL)
        return bine__co_frame(rt, self->co);
    if (micro == rt->current)
        return PyThreadState_GetFrame(rt->tstate);
    return bine__suspended_frame(rt->tstate, micro);
}

static PyObject *generator_stack(generator *self, PyObject *unused)
{
    PyFrameObject *outer = NULL;
    PyObject *frames;

    (void)unused;
    if (check_thread(self) != 0)
        return NULL;
    if (self->co == NULL)
        return PyList_New(0);
    if (self->co->resumer != NULL)
        outer = bine__co_frame(self->rt, self->co);
    frames = bine__frames(innermost_of(self), outer);
    Py_XDECREF(outer);
    return frames;
}

static PyObject *get_running(generator *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->state == RUNNING);
}

static PyMethodDef methods[] = {
    {"send", (PyCFunction)generator_send, METH_O,
     PyDoc_STR("send($self, value, /)\n--\n\n"
               "Have emit() return `value`, and return what is emitted next.")},
    {"throw", (PyCFunction)(void (*)(void))generator_throw, METH_FASTCALL,
     PyDoc_STR("throw($self, exception, /)\n--\n\n"
               "Have emit() raise `exception`, and return what is emitted next.")},
    {"close", (PyCFunction)generator_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\n"
               "Have emit() raise GeneratorExit, so that the function's finally blocks run.")},
    {"stack", (PyCFunction)generator_stack, METH_NOARGS,
     PyDoc_STR("stack($self, /)\n--\n\n"
               "The frames of the function and of what it has called, the outermost first; [] before it\n"
               "begins and when it is done.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"running", (getter)get_running, NULL, PyDoc_STR("Whether its function runs, or waits."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"__name__", T_OBJECT_EX, offsetof(generator, name), READONLY, PyDoc_STR("The name of its function.")},
    {"__qualname__", T_OBJECT_EX, offsetof(generator, qualname), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(generator, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("The values that a function emits, one at a time; made by bine.generate().\n\n"
                       "generator | function is a Generator for function(generator).")},
    {Py_tp_traverse, generator_traverse},
    {Py_tp_clear, generator_clear},
    {Py_tp_finalize, generator_finalize},
    {Py_tp_dealloc, generator_dealloc},
    {Py_tp_repr, generator_repr},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, generator_next},
    {Py_am_send, generator_am_send},
    {Py_nb_or, generator_or},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "bine.Generator",
    .basicsize = sizeof(generator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int bine__add_generator_type(bine__python *py)
{
    py->generator_type = bine__add_type(py, &spec);
    return py->generator_type == NULL || bine__prepare_seams() != 0 ? -1 : 0;
}
