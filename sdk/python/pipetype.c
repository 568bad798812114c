/* bine.Pipe, and its two ends once they are split: bine.PipeWriter and bine.PipeReader. The pipe itself is
 * the one that C has (data/pipe.c); objects of a script's stand in it as they are.
 *
 * All three types are one struct: what a Pipe can do is what both ends can. Beside the pipe each holds its
 * hub, an object that scripts never see: it tells the collector what stands in the pipe, once for all ends.
 */
#include "data/pipe.h"
#include "data/value.h"
#include "python/python.h"

#include <stddef.h>
#include <structmember.h>

typedef struct pipe_hub {
    PyObject_HEAD
    bine__pipe *pipe; /* a hold */
    unsigned ends;    /* those that scripts have */
} pipe_hub;

typedef struct pipe_object {
    PyObject_HEAD
    bine__pipe *pipe;
    pipe_hub *hub; /* keeps `pipe` */
    bool writes;   /* has a writer's end */
    bool reads;    /* has a reader's end */
    PyObject *weakrefs;
} pipe_object;

/* ---- the hub ---- */

/* Whether scripts have all the ends. What C has an end of can be reached from out of the collector's sight. C
 * gets one only from a script, or from one it has: so while the collector runs this does not cease to be. */
static bool is_whole(const pipe_hub *self)
{
    return bine__pipe_ends(self->pipe) == self->ends;
}

static int hub_traverse(pipe_hub *self, visitproc visit, void *arg)
{
    const bine__pipe *p = self->pipe;

    Py_VISIT(Py_TYPE(self));
    if (!is_whole(self))
        return 0;
    for (size_t i = 0; i < p->ring.count; i++)
        Py_VISIT((PyObject *)bine__item_object(*bine__ring_at(&p->ring, i)));
    if (p->last.value != NULL && bine__value_unshared(p->last.value))
        Py_VISIT(bine__value_object(p->last.value));
    return 0;
}

static int hub_clear(pipe_hub *self)
{
    bine__pipe *p = self->pipe;
    bine__result last;

    if (!is_whole(self))
        return 0;
    last = p->last;
    p->last = (bine__result){.state = BINE_EEND};
    bine__pipe_empty(p);
    bine__result_free(&last);
    return 0;
}

static void hub_dealloc(pipe_hub *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    self->pipe->hub = NULL;
    bine__pipe_let_go(self->pipe);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot hub_slots[] = {
    {Py_tp_traverse, hub_traverse},
    {Py_tp_clear, hub_clear},
    {Py_tp_dealloc, hub_dealloc},
    {0, NULL},
};

static PyType_Spec hub_spec = {
    .name = "bine.PipeHub",
    .basicsize = sizeof(pipe_hub),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = hub_slots,
};

/* The pipe's (new). */
static pipe_hub *hub_of(bine__pipe *p)
{
    pipe_hub *hub = p->hub;

    if (hub != NULL)
        return (pipe_hub *)Py_NewRef((PyObject *)hub);
    hub = PyObject_GC_New(pipe_hub, bine__python_now->pipe_hub_type);
    if (hub == NULL)
        return NULL;
    hub->pipe = p;
    hub->ends = 0;
    bine__pipe_hold(p);
    p->hub = hub;
    PyObject_GC_Track(hub);
    return hub;
}

/* ---- making and ending one ---- */

/* A face of `p` (new) that has no end yet. */
static pipe_object *new_face(PyTypeObject *type, bine__pipe *p)
{
    pipe_hub *hub = hub_of(p);
    pipe_object *self = hub == NULL ? NULL : (pipe_object *)type->tp_alloc(type, 0);

    if (self == NULL) {
        Py_XDECREF(hub);
        return NULL;
    }
    self->pipe = p;
    self->hub = hub;
    return self;
}

static int capacity_from(PyObject *object, size_t *capacity)
{
    PyObject *number;

    *capacity = BINE_UNBOUNDED;
    if (object == Py_None)
        return 0;
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "capacity must be an int or None, not %.100s",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    number = PyNumber_Index(object);
    if (number == NULL)
        return -1;
    *capacity = (size_t)PyLong_AsSsize_t(number);
    Py_DECREF(number);
    if (PyErr_Occurred() != NULL || (Py_ssize_t)*capacity >= 0)
        return PyErr_Occurred() != NULL ? -1 : 0;
    PyErr_Format(PyExc_ValueError, "capacity must be at least 0, not %S", object);
    return -1;
}

static PyObject *pipe_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"capacity", NULL};
    PyObject *object = NULL;
    size_t capacity = 0;
    pipe_object *self;
    bine__pipe *p;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Pipe", names, &object))
        return NULL;
    if (object != NULL && capacity_from(object, &capacity) != 0)
        return NULL;
    if (bine__here == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Pipe() is for the thread that runs the host's loop");
        return NULL;
    }
    p = bine__pipe_new(bine__here, capacity);
    if (p == NULL)
        return PyErr_NoMemory();
    self = new_face(type, p);
    if (self == NULL) {
        bine__pipe_drop_writer(p);
        bine__pipe_drop_reader(p);
        return NULL;
    }
    self->writes = true;
    self->reads = true;
    self->hub->ends = 2;
    return (PyObject *)self;
}

static void drop_writer(pipe_object *self)
{
    if (!self->writes)
        return;
    self->writes = false;
    self->hub->ends--;
    bine__pipe_drop_writer(self->pipe);
}

static void drop_reader(pipe_object *self)
{
    if (!self->reads)
        return;
    self->reads = false;
    self->hub->ends--;
    bine__pipe_drop_reader(self->pipe);
}

static int face_traverse(pipe_object *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)self->hub);
    return 0;
}

static void face_dealloc(pipe_object *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    drop_writer(self);
    drop_reader(self);
    Py_XDECREF((PyObject *)self->hub);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- what goes wrong ---- */

static PyObject *raise_split(void)
{
    PyErr_SetString(PyExc_ValueError, "this pipe was split: use its two ends");
    return NULL;
}

static PyObject *raise_without_writer(const pipe_object *self)
{
    if (Py_IS_TYPE(self, bine__python_now->pipe_type))
        return raise_split();
    PyErr_SetString(bine__python_now->pipe_closed, "this end of the pipe was closed");
    return NULL;
}

static PyObject *raise_without_reader(const pipe_object *self)
{
    if (Py_IS_TYPE(self, bine__python_now->pipe_type))
        return raise_split();
    PyErr_SetString(PyExc_ValueError, "this end of the pipe was closed");
    return NULL;
}

static PyObject *raise_no_micro(const char *call)
{
    PyObject *class = bine__python_now->not_in_micro;

    if (bine__here == NULL)
        PyErr_Format(class, "%s() is for micro-threads: on other threads there is try_put()", call);
    else
        PyErr_Format(class, "%s() has to wait, which only a micro-thread can; try_%s() does not wait", call,
                     call);
    return NULL;
}

/* What a put or get came to that is neither. */
static PyObject *raise_refusal(int status, const char *call)
{
    switch (status) {
    case BINE_EMICRO:
        return raise_no_micro(call);
    case BINE_EEND:
        return bine__raise_status(NULL, status, "the pipe is closed");
    case BINE_EPIPE:
        return bine__raise_status(NULL, status, "the pipe has no reader left");
    default:
        return bine__raise_status(bine__here, status, NULL);
    }
}

/* Nothing more comes: what the pipe was closed with. */
static PyObject *raise_end(bine__pipe *p)
{
    if (!bine__pipe_is_closed(p))
        PyErr_SetString(bine__python_now->pipe_closed, "this end of the pipe was closed meanwhile");
    else if (p->last.state != BINE_EEND)
        bine__raise_rejection(p->rt, &p->last);
    else
        PyErr_SetString(bine__python_now->pipe_closed, "the pipe is closed, and nothing is left in it");
    return NULL;
}

/* ---- putting ---- */

static int put(const pipe_object *self, PyObject *object, int64_t timeout_ns)
{
    bine__item item = bine__item_of_object(Py_NewRef(object));
    int status = bine__here == self->pipe->rt ? bine__pipe_put(self->pipe, item, timeout_ns) : BINE_EMICRO;

    if (status != BINE_OK)
        Py_DECREF(object);
    return status;
}

static int put_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, int64_t *ns)
{
    if (nargs == 1 || nargs == 2)
        return bine__timeout_argument(args + 1, nargs - 1, kwnames, "put", ns);
    PyErr_Format(PyExc_TypeError, "put() takes a value, and maybe a timeout (%zd arguments given)", nargs);
    return -1;
}

static PyObject *face_put(pipe_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    int64_t ns = -1;
    int status;

    if ((nargs != 1 || kwnames != NULL) && put_arguments(args, nargs, kwnames, &ns) != 0)
        return NULL;
    if (!self->writes)
        return raise_without_writer(self);
    status = put(self, args[0], ns);
    return status == BINE_OK ? Py_NewRef(Py_None) : raise_refusal(status, "put");
}

static PyObject *face_try_put(pipe_object *self, PyObject *object)
{
    int status;

    if (!self->writes)
        return raise_without_writer(self);
    status = bine__pipe_try_put(self->pipe, bine__item_of_object(Py_NewRef(object)));
    if (status == BINE_OK)
        Py_RETURN_TRUE;
    Py_DECREF(object);
    if (status == BINE_EAGAIN)
        Py_RETURN_FALSE;
    return raise_refusal(status, "put");
}

/* ---- getting ---- */

/* What an item (taken) is to a script: new. */
static PyObject *object_of(bine__item item)
{
    PyObject *object = bine__item_object(item);

    if (object != NULL)
        return object;
    object = bine_value_to_python(bine__item_value(item));
    bine_value_free(bine__item_value(item));
    return object;
}

static PyObject *get(const pipe_object *self, int64_t timeout_ns)
{
    bine__item item;
    int status = BINE_EMICRO;

    if (bine__here == self->pipe->rt)
        status = bine__pipe_get(self->pipe, timeout_ns, &item);
    if (status == BINE_OK)
        return object_of(item);
    return status == BINE_EEND ? raise_end(self->pipe) : raise_refusal(status, "get");
}

static PyObject *face_get(pipe_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    int64_t ns = -1;

    if ((nargs > 0 || kwnames != NULL) && bine__timeout_argument(args, nargs, kwnames, "get", &ns) != 0)
        return NULL;
    return self->reads ? get(self, ns) : raise_without_reader(self);
}

/* The end of a pipe that was closed ends the loop; all else is raised in it. */
static PyObject *face_next(pipe_object *self)
{
    bine__pipe *p = self->pipe;
    PyObject *object;

    if (!self->reads)
        return raise_without_reader(self);
    object = get(self, -1);
    if (object == NULL && PyErr_ExceptionMatches(bine__python_now->pipe_closed) && bine__pipe_is_closed(p) &&
        p->last.state == BINE_EEND)
        PyErr_Clear();
    return object;
}

static PyObject *face_try_get(pipe_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"default"};
    PyObject *fallback = NULL;
    bine__item item;
    int status;

    if (bine__arguments("try_get", names, 1, args, nargs, kwnames, &fallback) != 0)
        return NULL;
    if (!self->reads)
        return raise_without_reader(self);
    if (bine__here != self->pipe->rt)
        return bine__raise_status(NULL, BINE_ETHREAD,
                                  "try_get() is for the thread that runs the host's loop");
    status = bine__pipe_try_get(self->pipe, &item);
    if (status == BINE_OK)
        return object_of(item);
    if (status == BINE_EEND)
        return raise_end(self->pipe);
    if (status != BINE_EAGAIN)
        return raise_refusal(status, "get");
    return fallback != NULL ? Py_NewRef(fallback) : bine__raise_empty();
}

/* ---- closing ---- */

static PyObject *pipe_close(pipe_object *self, PyObject *unused)
{
    (void)unused;
    if (!self->writes)
        return raise_split();
    bine__pipe_close(self->pipe, (bine__result){.state = BINE_EEND});
    Py_RETURN_NONE;
}

static PyObject *writer_close(pipe_object *self, PyObject *unused)
{
    (void)unused;
    drop_writer(self);
    Py_RETURN_NONE;
}

static PyObject *reader_close(pipe_object *self, PyObject *unused)
{
    (void)unused;
    drop_reader(self);
    Py_RETURN_NONE;
}

/* Readers get `exception`, or MemoryError when there is no memory to keep it: then -1, with that. */
static int fail_with(const pipe_object *self, PyObject *exception)
{
    bine__result last = bine__result_of(self->pipe->rt, exception, exception);
    bool lost = last.state == BINE_ENOMEM;

    if (!bine__pipe_close(self->pipe, last) || !lost)
        return 0;
    PyErr_NoMemory();
    return -1;
}

/* `error` as an instance (new). */
static PyObject *exception_from(PyObject *error)
{
    PyObject *made;

    if (PyExceptionInstance_Check(error))
        return Py_NewRef(error);
    if (!PyExceptionClass_Check(error)) {
        PyErr_Format(PyExc_TypeError, "fail() takes an exception or a class of one, not %.100s",
                     Py_TYPE(error)->tp_name);
        return NULL;
    }
    made = PyObject_CallNoArgs(error);
    if (made == NULL || PyExceptionInstance_Check(made))
        return made;
    PyErr_Format(PyExc_TypeError, "%.100s() has made a %.100s, which is no exception",
                 ((PyTypeObject *)error)->tp_name, Py_TYPE(made)->tp_name);
    Py_DECREF(made);
    return NULL;
}

/* Whether readers may get it as it is: what ends its thrower alone, or just a loop, is no news of theirs. */
static bool is_for_readers(PyObject *exception)
{
    return PyErr_GivenExceptionMatches(exception, PyExc_Exception) &&
           !PyErr_GivenExceptionMatches(exception, PyExc_StopIteration);
}

static PyObject *face_fail(pipe_object *self, PyObject *error)
{
    PyObject *exception;
    int status;

    if (!self->writes)
        return raise_without_writer(self);
    exception = exception_from(error);
    if (exception == NULL)
        return NULL;
    if (PyErr_GivenExceptionMatches(exception, PyExc_StopIteration)) {
        Py_DECREF(exception);
        PyErr_SetString(PyExc_TypeError, "StopIteration would end the readers' loops as if all were well");
        return NULL;
    }
    status = fail_with(self, exception);
    Py_DECREF(exception);
    return status == 0 ? Py_NewRef(Py_None) : NULL;
}

/* What readers get when a writer's block is left by `error` (new). */
static PyObject *as_readers_see(PyObject *error)
{
    const bine__python *py = bine__python_now;
    PyObject *text;
    PyObject *broken;

    if (is_for_readers(error))
        return Py_NewRef(error);
    if (bine__is_farewell(py, error) || PyErr_GivenExceptionMatches(error, PyExc_GeneratorExit))
        text = PyUnicode_FromString("the writer was cancelled");
    else
        text = PyUnicode_FromFormat("the writer was ended by %.100s", Py_TYPE(error)->tp_name);
    broken = text == NULL ? NULL : PyObject_CallOneArg(py->broken_pipe, text);
    Py_XDECREF(text);
    return broken;
}

static PyObject *face_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

/* A writer's block is left by an exception: readers are told, if need be that memory is out. */
static void fail_by(pipe_object *self, PyObject *error)
{
    PyObject *told = as_readers_see(error);

    if (told == NULL)
        bine__pipe_close(self->pipe, (bine__result){.state = BINE_ENOMEM});
    else
        fail_with(self, told);
    PyErr_Clear();
    Py_XDECREF(told);
}

static PyObject *face_exit(pipe_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *error = nargs > 1 && args[1] != Py_None ? args[1] : NULL;

    if (error != NULL && self->writes)
        fail_by(self, error);
    if (self->writes && self->reads)
        bine__pipe_close(self->pipe, (bine__result){.state = BINE_EEND});
    else
        drop_writer(self);
    if (Py_IS_TYPE(self, bine__python_now->pipe_reader_type))
        drop_reader(self);
    Py_RETURN_FALSE;
}

/* ---- ends ---- */

static PyObject *pipe_split(pipe_object *self, PyObject *unused)
{
    const bine__python *py = bine__python_now;
    pipe_object *w;
    pipe_object *r;
    PyObject *both;

    (void)unused;
    if (!self->writes)
        return raise_split();
    w = new_face(py->pipe_writer_type, self->pipe);
    r = new_face(py->pipe_reader_type, self->pipe);
    both = w == NULL || r == NULL ? NULL : PyTuple_Pack(2, w, r);
    if (both != NULL && self->writes) {
        w->writes = true;
        r->reads = true;
        self->writes = false;
        self->reads = false;
    } else if (both != NULL) {
        raise_split(); /* by what the collector called meanwhile */
        Py_CLEAR(both);
    }
    Py_XDECREF(w);
    Py_XDECREF(r);
    return both;
}

static pipe_object *new_writer(bine__pipe *p)
{
    pipe_object *self = new_face(bine__python_now->pipe_writer_type, p);

    if (self == NULL)
        return NULL;
    bine__pipe_add_writer(p);
    self->writes = true;
    self->hub->ends++;
    return self;
}

static pipe_object *new_reader(bine__pipe *p)
{
    pipe_object *self = new_face(bine__python_now->pipe_reader_type, p);

    if (self == NULL)
        return NULL;
    bine__pipe_add_reader(p);
    self->reads = true;
    self->hub->ends++;
    return self;
}

static PyObject *writer_clone(pipe_object *self, PyObject *unused)
{
    (void)unused;
    if (!self->writes)
        return raise_without_writer(self);
    return (PyObject *)new_writer(self->pipe);
}

static PyObject *reader_clone(pipe_object *self, PyObject *unused)
{
    (void)unused;
    if (!self->reads)
        return raise_without_reader(self);
    return (PyObject *)new_reader(self->pipe);
}

/* ---- looking at one ---- */

static Py_ssize_t face_length(pipe_object *self)
{
    return (Py_ssize_t)bine__pipe_count(self->pipe);
}

/* It is there, however empty: `if pipe:` means whether there is one. */
static int face_bool(PyObject *self)
{
    (void)self;
    return 1;
}

static PyObject *get_capacity(pipe_object *self, void *unused)
{
    (void)unused;
    return self->pipe->capacity == BINE_UNBOUNDED ? Py_NewRef(Py_None)
                                                  : PyLong_FromSize_t(self->pipe->capacity);
}

static bool is_closed(const pipe_object *self)
{
    if (Py_IS_TYPE(self, bine__python_now->pipe_reader_type))
        return !self->reads;
    return !self->writes || bine__pipe_is_closed(self->pipe);
}

static PyObject *get_closed(pipe_object *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(is_closed(self));
}

static PyObject *face_repr(pipe_object *self)
{
    const char *name = Py_TYPE(self)->tp_name;
    const char *state = is_closed(self) ? ", closed" : "";
    size_t count = bine__pipe_count(self->pipe);

    if (!self->writes && Py_IS_TYPE(self, bine__python_now->pipe_type))
        return PyUnicode_FromFormat("<%s, split>", name);
    if (self->pipe->capacity == BINE_UNBOUNDED)
        return PyUnicode_FromFormat("<%s %zu, unbounded%s>", name, count, state);
    return PyUnicode_FromFormat("<%s %zu of %zu%s>", name, count, self->pipe->capacity, state);
}

static PyObject *face_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyErr_Format(PyExc_TypeError, "a %s cannot be pickled or copied: it is a way to who waits here",
                 Py_TYPE(self)->tp_name);
    return NULL;
}

/* ---- the types ---- */

static const char put_doc[] = PyDoc_STR(
    "put($self, x, /, timeout=None)\n--\n\n"
    "Put x in, waiting for room; in one without room of its own, until a reader takes it.\n"
    "After `timeout` seconds raise bine.Timeout. What is not put, whatever the reason, is not\n"
    "delivered. bine.PipeClosed: the pipe is closed. bine.BrokenPipe: no reader is left.");

static const char try_put_doc[] = PyDoc_STR(
    "try_put($self, x, /)\n--\n\n"
    "Put x in if there is room for it right now, and tell whether it was. May be called on\n"
    "any thread. With capacity 0 there is room when a reader waits.");

static const char fail_doc[] = PyDoc_STR(
    "fail($self, error, /)\n--\n\n"
    "Close the pipe with an exception (or a class of one): when readers have got what is\n"
    "left, it is raised in them. The first close counts. May be called on any thread.");

static const char get_doc[] = PyDoc_STR(
    "get($self, /, timeout=None)\n--\n\n"
    "The next value, waited for; readers are served in the order they came. After `timeout`\n"
    "seconds raise bine.Timeout. When the pipe is closed and nothing is left in it, raise\n"
    "bine.PipeClosed, or what it failed with.");

static const char try_get_doc[] = PyDoc_STR(
    "try_get($self, /, *default)\n--\n\n"
    "The next value if there is one right now, else `default`; without one raise\n"
    "queue.Empty. At the end of the pipe as get().");

static const char enter_doc[] = PyDoc_STR("__enter__($self, /)\n--\n\nBegin.");

static const char reduce_doc[] = PyDoc_STR("__reduce__($self, /)\n--\n\nRefuse to be pickled or copied.");

static const char of_doc[] = PyDoc_STR("__class_getitem__($type, item, /)\n--\n\nOf what: for annotations.");

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef pipe_methods[] = {
    {"put", FAST(face_put), METH_FASTCALL | METH_KEYWORDS, put_doc},
    {"try_put", (PyCFunction)face_try_put, METH_O, try_put_doc},
    {"fail", (PyCFunction)face_fail, METH_O, fail_doc},
    {"get", FAST(face_get), METH_FASTCALL | METH_KEYWORDS, get_doc},
    {"try_get", FAST(face_try_get), METH_FASTCALL | METH_KEYWORDS, try_get_doc},
    {"__enter__", face_enter, METH_NOARGS, enter_doc},
    {"__reduce__", face_reduce, METH_NOARGS, reduce_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, of_doc},
    {"__exit__", FAST(face_exit), METH_FASTCALL,
     PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\n"
               "close(), or fail() with the exception that leaves the block. When its micro-thread was\n"
               "cancelled, readers get a bine.BrokenPipe.")},
    {"close", (PyCFunction)pipe_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\n"
               "No more puts: readers get what is left, and then the end. May be called on any thread.")},
    {"split", (PyCFunction)pipe_split, METH_NOARGS,
     PyDoc_STR("split($self, /)\n--\n\n"
               "Move the two ends into a PipeWriter and a PipeReader, and return both. This is of no use\n"
               "from then on.")},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef writer_methods[] = {
    {"put", FAST(face_put), METH_FASTCALL | METH_KEYWORDS, put_doc},
    {"try_put", (PyCFunction)face_try_put, METH_O, try_put_doc},
    {"fail", (PyCFunction)face_fail, METH_O, fail_doc},
    {"__enter__", face_enter, METH_NOARGS, enter_doc},
    {"__reduce__", face_reduce, METH_NOARGS, reduce_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, of_doc},
    {"__exit__", FAST(face_exit), METH_FASTCALL,
     PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\n"
               "close(), after fail() with the exception that leaves the block, if any. When its\n"
               "micro-thread was cancelled, readers get a bine.BrokenPipe.")},
    {"close", (PyCFunction)writer_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\n"
               "Give this end up. When the last one is, or is gone, readers get what is left and then\n"
               "the end. May be called on any thread.")},
    {"clone", (PyCFunction)writer_clone, METH_NOARGS,
     PyDoc_STR("clone($self, /)\n--\n\nOne more writer's end of the same pipe.")},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef reader_methods[] = {
    {"get", FAST(face_get), METH_FASTCALL | METH_KEYWORDS, get_doc},
    {"try_get", FAST(face_try_get), METH_FASTCALL | METH_KEYWORDS, try_get_doc},
    {"__enter__", face_enter, METH_NOARGS, enter_doc},
    {"__reduce__", face_reduce, METH_NOARGS, reduce_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, of_doc},
    {"__exit__", FAST(face_exit), METH_FASTCALL,
     PyDoc_STR("__exit__($self, type, value, traceback, /)\n--\n\nclose().")},
    {"close", (PyCFunction)reader_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\n"
               "Give this end up. When the last one is, or is gone, what is left is dropped, and writers\n"
               "get bine.BrokenPipe. May be called on any thread.")},
    {"clone", (PyCFunction)reader_clone, METH_NOARGS,
     PyDoc_STR("clone($self, /)\n--\n\nOne more reader's end of the same pipe.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef writer_getset[] = {
    {"capacity", (getter)get_capacity, NULL, PyDoc_STR("How many values it holds; None: no limit."), NULL},
    {"closed", (getter)get_closed, NULL, PyDoc_STR("Whether nothing more can be put in here."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef reader_getset[] = {
    {"capacity", (getter)get_capacity, NULL, PyDoc_STR("How many values it holds; None: no limit."), NULL},
    {"closed", (getter)get_closed, NULL, PyDoc_STR("Whether this end was given up."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pipe_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot pipe_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("Pipe(capacity=0)\n--\n\n"
                       "Hands values from micro-threads to micro-threads, in order:\n\n"
                       "    with pipe:                    for job in pipe:\n"
                       "        pipe.put(job)                 work(job)\n\n"
                       "It holds up to `capacity` values, and put() waits for room; with 0 until a reader\n"
                       "has taken the value, with None never. split() gives each side an end of its own.")},
    {Py_tp_new, pipe_new},
    {Py_tp_methods, pipe_methods},
    {Py_tp_getset, writer_getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, face_next},
    {Py_tp_traverse, face_traverse},
    {Py_tp_dealloc, face_dealloc},
    {Py_tp_repr, face_repr},
    {Py_tp_members, members},
    {Py_nb_bool, face_bool},
    {Py_sq_length, face_length},
    {0, NULL},
};

static PyType_Slot writer_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A writer's end of a pipe, from Pipe.split() or the host.")},
    {Py_tp_methods, writer_methods},
    {Py_tp_getset, writer_getset},
    {Py_tp_traverse, face_traverse},
    {Py_tp_dealloc, face_dealloc},
    {Py_tp_repr, face_repr},
    {Py_tp_members, members},
    {Py_nb_bool, face_bool},
    {Py_sq_length, face_length},
    {0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("A reader's end of a pipe, from Pipe.split() or the host. Iterating over it\n"
                       "gets values until the pipe is closed and empty.")},
    {Py_tp_methods, reader_methods},
    {Py_tp_getset, reader_getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, face_next},
    {Py_tp_traverse, face_traverse},
    {Py_tp_dealloc, face_dealloc},
    {Py_tp_repr, face_repr},
    {Py_tp_members, members},
    {Py_nb_bool, face_bool},
    {Py_sq_length, face_length},
    {0, NULL},
};

#define FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE)

static PyType_Spec pipe_spec = {
    .name = "bine.Pipe",
    .basicsize = sizeof(pipe_object),
    .flags = FLAGS,
    .slots = pipe_slots,
};

static PyType_Spec writer_spec = {
    .name = "bine.PipeWriter",
    .basicsize = sizeof(pipe_object),
    .flags = FLAGS | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = writer_slots,
};

static PyType_Spec reader_spec = {
    .name = "bine.PipeReader",
    .basicsize = sizeof(pipe_object),
    .flags = FLAGS | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = reader_slots,
};

int bine__add_pipe_types(bine__python *py)
{
    py->pipe_hub_type = (PyTypeObject *)PyType_FromSpec(&hub_spec);
    py->pipe_type = bine__add_type(py, &pipe_spec);
    py->pipe_writer_type = bine__add_type(py, &writer_spec);
    py->pipe_reader_type = bine__add_type(py, &reader_spec);
    return py->pipe_hub_type == NULL || py->pipe_type == NULL || py->pipe_writer_type == NULL ||
                   py->pipe_reader_type == NULL
               ? -1
               : 0;
}

/* ---- ends that C has ---- */

PyObject *bine_writer_to_python(bine_writer *w)
{
    return (PyObject *)new_writer(bine__pipe_of_writer(w));
}

PyObject *bine_reader_to_python(bine_reader *r)
{
    return (PyObject *)new_reader(bine__pipe_of_reader(r));
}

static bine__pipe *end_from(PyObject *object, PyTypeObject *type, bool writer)
{
    const pipe_object *self = (pipe_object *)object;

    if (!Py_IS_TYPE(object, type)) {
        PyErr_Format(PyExc_TypeError, "a %s is wanted, not %.100s", type->tp_name, Py_TYPE(object)->tp_name);
        return NULL;
    }
    if (!(writer ? self->writes : self->reads)) {
        PyErr_Format(PyExc_ValueError, "this %s was closed", type->tp_name);
        return NULL;
    }
    bine__pipe_share(self->pipe);
    return self->pipe;
}

bine_writer *bine_writer_from_python(PyObject *object)
{
    return bine_writer_retain((bine_writer *)end_from(object, bine__python_now->pipe_writer_type, true));
}

bine_reader *bine_reader_from_python(PyObject *object)
{
    return bine_reader_retain((bine_reader *)end_from(object, bine__python_now->pipe_reader_type, false));
}
