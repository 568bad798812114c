/* bine.Queue, shaped like queue.Queue, and bine.SimpleQueue, which is also queue's: see identity.c. An item
 * goes straight to whoever waits for one, in the order they came. */
#include "python/library.h"
#include "python/line.h"
#include "python/python.h"

#include <stddef.h>
#include <structmember.h>

typedef struct queue_object {
    PyObject_HEAD
    PyObject **items; /* a ring; items_size is a power of two, or 0 */
    size_t items_size;
    size_t head;
    size_t count;
    Py_ssize_t maxsize; /* 0 or less: no limit */
    bine__line getters; /* while somebody is in it, there is no item */
    bine__line putters; /* with their items; while somebody is in it, there is no room */
    bine__line joiners;
    size_t unfinished;
    bool simple;
    PyObject *weakrefs;
} queue_object;

/* ---- items ---- */

static int grow(queue_object *self)
{
    size_t size = self->items_size == 0 ? 8 : self->items_size * 2;
    PyObject **items = PyMem_Calloc(size, sizeof *items);

    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < self->count; i++)
        items[i] = self->items[(self->head + i) & (self->items_size - 1)];
    PyMem_Free(self->items);
    self->items = items;
    self->items_size = size;
    self->head = 0;
    return 0;
}

/* Takes over `item`. There is room. */
static void push(queue_object *self, PyObject *item)
{
    self->items[(self->head + self->count) & (self->items_size - 1)] = item;
    self->count++;
}

static PyObject *pop(queue_object *self)
{
    PyObject *item = self->items[self->head];

    self->head = (self->head + 1) & (self->items_size - 1);
    self->count--;
    return item;
}

static bool is_full(const queue_object *self)
{
    return self->maxsize > 0 && self->count >= (size_t)self->maxsize;
}

/* ---- errors ---- */

/* queue.Empty, once module _queue has been imported. */
static PyObject *empty_error;

/* give_queue(module): module _queue has been imported, and gets ours. One that is imported anew has the same.
 */
PyObject *bine__give_queue(PyObject *unused, PyObject *module)
{
    int status = PyObject_SetAttrString(module, "SimpleQueue",
                                        (PyObject *)bine__python_now->simple_queue_type);

    (void)unused;
    if (status == 0 && empty_error == NULL)
        empty_error = PyObject_GetAttrString(module, "Empty");
    else if (status == 0)
        status = PyObject_SetAttrString(module, "Empty", empty_error);
    return status != 0 || empty_error == NULL ? NULL : Py_NewRef(Py_None);
}

static PyObject *raise_full(void)
{
    return bine__raise_from("queue", "Full");
}

PyObject *bine__raise_empty(void)
{
    if (empty_error == NULL)
        return bine__raise_from("_queue", "Empty"); /* where module queue has it from */
    PyErr_SetNone(empty_error);
    return NULL;
}

/* block=True, timeout=None: nanoseconds, 0 for no wait, -1 without a limit. */
static int parse_wait(PyObject *block, PyObject *timeout, int64_t *ns)
{
    int blocks = block == NULL ? 1 : PyObject_IsTrue(block);
    double seconds;

    *ns = blocks ? -1 : 0;
    if (blocks < 0)
        return -1;
    if (!blocks || timeout == NULL || timeout == Py_None)
        return 0;
    seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (seconds < 0) {
        PyErr_SetString(PyExc_ValueError, "'timeout' must be a non-negative number");
        return -1;
    }
    return bine__seconds(timeout, "timeout", false, ns);
}

/* ---- put and get ---- */

/* An item has been put, by whatever way. */
static PyObject *put_done(queue_object *self)
{
    self->unfinished++;
    Py_RETURN_NONE;
}

static PyObject *put(queue_object *self, PyObject *item, int64_t ns)
{
    bine__want want = {.thing = (PyObject *)self,
                       .line = &self->putters,
                       .timeout_ns = ns,
                       .object = item,
                       .strict = !self->simple};
    int status;

    if (self->getters.first != NULL) {
        bine__line_serve(&self->getters, Py_NewRef(item));
        return put_done(self);
    }
    if (!is_full(self)) {
        if (self->count == self->items_size && grow(self) != 0)
            return NULL;
        push(self, Py_NewRef(item));
        return put_done(self);
    }
    if (ns == 0)
        return raise_full();
    status = bine__line_wait(&want, NULL);
    if (status == BINE_OK)
        Py_RETURN_NONE; /* who made room has counted it */
    return status == BINE_ETIMEDOUT ? raise_full() : NULL;
}

static PyObject *get(queue_object *self, int64_t ns)
{
    bine__want want = {
        .thing = (PyObject *)self, .line = &self->getters, .timeout_ns = ns, .strict = !self->simple};
    PyObject *item;
    int status;

    if (self->count > 0) {
        item = pop(self);
        if (self->putters.first != NULL) {
            push(self, bine__line_serve(&self->putters, NULL));
            self->unfinished++;
        }
        return item;
    }
    if (ns == 0)
        return bine__raise_empty();
    status = bine__line_wait(&want, &item);
    if (status == BINE_OK)
        return item;
    return status == BINE_ETIMEDOUT ? bine__raise_empty() : NULL;
}

static PyObject *queue_put(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"item", "block", "timeout"};
    PyObject *given[3] = {0};
    PyObject *result;
    int64_t ns;

    if (bine__arguments("put", names, 3, args, nargs, kwnames, given) != 0)
        return NULL;
    if (given[0] == NULL) {
        PyErr_SetString(PyExc_TypeError, "put() missing required argument 'item' (pos 1)");
        return NULL;
    }
    if (parse_wait(given[1], given[2], &ns) != 0)
        return NULL;
    Py_INCREF(self);
    result = put(self, given[0], ns);
    Py_DECREF(self);
    return result;
}

static PyObject *queue_get(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"block", "timeout"};
    PyObject *given[2] = {0};
    PyObject *result;
    int64_t ns = -1;

    if (nargs > 0 || kwnames != NULL) {
        if (bine__arguments("get", names, 2, args, nargs, kwnames, given) != 0 ||
            parse_wait(given[0], given[1], &ns) != 0)
            return NULL;
    }
    Py_INCREF(self);
    result = get(self, ns);
    Py_DECREF(self);
    return result;
}

static PyObject *queue_put_nowait(queue_object *self, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *kwnames)
{
    static const char *const names[] = {"item"};
    PyObject *item = NULL;

    if (bine__arguments("put_nowait", names, 1, args, nargs, kwnames, &item) != 0)
        return NULL;
    if (item != NULL)
        return put(self, item, 0);
    PyErr_SetString(PyExc_TypeError, "put_nowait() missing required argument 'item' (pos 1)");
    return NULL;
}

static PyObject *queue_get_nowait(queue_object *self, PyObject *unused)
{
    (void)unused;
    return get(self, 0);
}

static PyObject *queue_qsize(queue_object *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(self->count);
}

static PyObject *queue_empty(queue_object *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(self->count == 0);
}

static PyObject *queue_full(queue_object *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(is_full(self));
}

/* ---- tasks ---- */

static PyObject *queue_task_done(queue_object *self, PyObject *unused)
{
    (void)unused;
    if (self->unfinished == 0) {
        PyErr_SetString(PyExc_ValueError, "task_done() called too many times");
        return NULL;
    }
    self->unfinished--;
    if (self->unfinished == 0)
        bine__line_serve_all(&self->joiners);
    Py_RETURN_NONE;
}

static PyObject *queue_join(queue_object *self, PyObject *unused)
{
    bine__want want = {.thing = (PyObject *)self, .line = &self->joiners, .timeout_ns = -1, .strict = true};
    int status = BINE_OK;

    (void)unused;
    Py_INCREF(self);
    if (self->unfinished > 0)
        status = bine__line_wait(&want, NULL);
    Py_DECREF(self);
    return status == BINE_OK ? Py_NewRef(Py_None) : NULL;
}

/* ---- the objects ---- */

static PyObject *queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"maxsize", NULL};
    Py_ssize_t maxsize = 0;
    queue_object *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:Queue", names, &maxsize))
        return NULL;
    self = (queue_object *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->maxsize = maxsize;
    return (PyObject *)self;
}

static PyObject *simple_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    queue_object *self = (queue_object *)bine__new_plain(type, args, kwargs);

    if (self != NULL)
        self->simple = true;
    return (PyObject *)self;
}

static int queue_traverse(queue_object *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (size_t i = 0; i < self->count; i++)
        Py_VISIT(self->items[(self->head + i) & (self->items_size - 1)]);
    return 0;
}

static int queue_clear(queue_object *self)
{
    while (self->count > 0)
        Py_DECREF(pop(self));
    return 0;
}

static void queue_dealloc(queue_object *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, queue_dealloc); /* queues may lie in queues, ever so deep */
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    queue_clear(self);
    PyMem_Free(self->items);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

#define SHARED_METHODS                                                                                   \
    {"get", (PyCFunction)(void (*)(void))queue_get, METH_FASTCALL | METH_KEYWORDS,                       \
     PyDoc_STR("get($self, /, block=True, timeout=None)\n--\n\n"                                         \
               "Take the next item, waiting for one. queue.Empty: with block=False, or when `timeout`\n" \
               "seconds are over.")},                                                                    \
        {"get_nowait", (PyCFunction)queue_get_nowait, METH_NOARGS,                                       \
         PyDoc_STR("get_nowait($self, /)\n--\n\nget(block=False).")},                                    \
        {"put_nowait", (PyCFunction)(void (*)(void))queue_put_nowait, METH_FASTCALL | METH_KEYWORDS,     \
         PyDoc_STR("put_nowait($self, /, item)\n--\n\nput(item, block=False).")},                        \
        {"qsize", (PyCFunction)queue_qsize, METH_NOARGS,                                                 \
         PyDoc_STR("qsize($self, /)\n--\n\nHow many items there are.")},                                 \
        {"empty", (PyCFunction)queue_empty, METH_NOARGS,                                                 \
         PyDoc_STR("empty($self, /)\n--\n\nWhether there is no item.")},                                 \
    {                                                                                                    \
        "__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,                                       \
            PyDoc_STR("__class_getitem__($type, item, /)\n--\n\nFor annotations.")                       \
    }

static PyMethodDef queue_methods[] = {
    SHARED_METHODS,
    {"put", (PyCFunction)(void (*)(void))queue_put, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("put($self, /, item, block=True, timeout=None)\n--\n\n"
               "Put an item, waiting for room. queue.Full: with block=False, or when `timeout` seconds\n"
               "are over; then it was not put.")},
    {"full", (PyCFunction)queue_full, METH_NOARGS,
     PyDoc_STR("full($self, /)\n--\n\nWhether there is no room.")},
    {"task_done", (PyCFunction)queue_task_done, METH_NOARGS,
     PyDoc_STR("task_done($self, /)\n--\n\nWhat was to be done with an item that was got is done.")},
    {"join", (PyCFunction)queue_join, METH_NOARGS,
     PyDoc_STR("join($self, /)\n--\n\nWait until task_done() was called for every item that was put.")},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef simple_methods[] = {
    SHARED_METHODS,
    {"put", (PyCFunction)(void (*)(void))queue_put, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("put($self, /, item, block=True, timeout=None)\n--\n\n"
               "Put an item. Never waits; the other arguments are as Queue.put() has them.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef queue_members[] = {
    {"maxsize", T_PYSSIZET, offsetof(queue_object, maxsize), READONLY,
     PyDoc_STR("Room for so many; 0: no limit.")},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(queue_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef simple_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(queue_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR(
                    "Queue(maxsize=0)\n--\n\n"
                    "Items in their order, between micro-threads and OS threads: queue.Queue's methods, and\n"
                    "its exceptions. Those that wait are served in the order they came.")},
    {Py_tp_new, queue_new},
    {Py_tp_traverse, queue_traverse},
    {Py_tp_clear, queue_clear},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_members, queue_members},
    {0, NULL},
};

static PyType_Slot simple_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR(
         "SimpleQueue()\n--\n\n"
         "Items in their order, without a limit: a put never waits, and is safe in destructors and\n"
         "signal handlers. It is queue.SimpleQueue too.")},
    {Py_tp_new, simple_new},
    {Py_tp_traverse, queue_traverse},
    {Py_tp_clear, queue_clear},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_methods, simple_methods},
    {Py_tp_members, simple_members},
    {0, NULL},
};

#define QUEUE_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE)

static PyType_Spec queue_spec = {
    .name = "bine.Queue",
    .basicsize = sizeof(queue_object),
    .flags = QUEUE_FLAGS,
    .slots = queue_slots,
};

static PyType_Spec simple_spec = {
    .name = "bine.SimpleQueue",
    .basicsize = sizeof(queue_object),
    .flags = QUEUE_FLAGS | Py_TPFLAGS_BASETYPE,
    .slots = simple_slots,
};

int bine__add_queue_types(bine__python *py)
{
    py->simple_queue_type = bine__add_type(py, &simple_spec);
    return py->simple_queue_type == NULL ? -1 : bine__add_type_only(py, &queue_spec);
}
