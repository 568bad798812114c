/* A loop's descriptors: one watch of the reactor's for each that has a reader or a writer. It is by edges
 * where the reactor can: then a stream that has read all there is needs no call to be told of more. For other
 * readers, which are to be told as long as something is there, it is set anew when they have run. */
#include "asyncio/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned wanted(const bine__endpoint *e)
{
    return (e->reader != NULL ? BINE_READABLE : 0u) | (e->writer != NULL ? BINE_WRITABLE : 0u);
}

/* NULL: it has had no reader nor writer so far. */
static bine__endpoint *find(const bine__loop *loop, int fd)
{
    return (size_t)fd < loop->endpoints_size ? loop->endpoints[fd] : NULL;
}

/* 0, or a negative errno. What is there by now is told again. */
static int arm(bine__endpoint *e)
{
    int status = bine__watch_edges(&e->watch, wanted(e) | BINE__UNUSUAL);

    e->told = 0;
    return status == -ENOTSUP ? bine__watch_renew(&e->watch, wanted(e)) : status;
}

/* ---- what the reactor says ---- */

/* It says so again as long as nobody has seen to it. A runner that is held up is told no more after a while;
 * not at once, for a loop looks twice round each wait. */
#define TOLD_ENOUGH 4

/* It told of what nobody wants any more. */
static void narrow(bine__endpoint *e)
{
    if ((e->watch.events & ~BINE__UNUSUAL) != wanted(e))
        (void)arm(e); /* fails when the descriptor has been closed, of which nothing is told anyway */
}

static void hold_back(bine__endpoint *e, unsigned events)
{
    unsigned left = e->watch.edges ? 0 : e->watch.events & ~events;

    (void)bine__watch_set(&e->watch, left); /* fewer, which cannot fail */
}

static void on_ready(bine_watch *watch, unsigned events)
{
    bine__endpoint *e = (bine__endpoint *)(void *)((char *)watch - offsetof(bine__endpoint, watch));
    unsigned happened = events & wanted(e);

    e->unusual |= (events & BINE__UNUSUAL) != 0;
    e->arrived |= happened;
    if (happened == 0 && wanted(e) != 0) {
        narrow(e);
        return;
    }
    if (happened != 0 && !e->arrival.listed)
        bine__loop_arrived(e->loop, &e->arrival);
    if (++e->told >= TOLD_ENOUGH)
        hold_back(e, events);
}

static int run_one(bine__loop *loop, PyObject *handle, bool happened)
{
    return handle != NULL && happened ? bine__loop_run_handle(loop, handle) : 0;
}

/* It may have been held back. 0, or a negative errno. */
static int restore(bine__endpoint *e)
{
    return e->watch.edges || e->watch.events == wanted(e) ? 0 : arm(e);
}

/* Of `events`, some may be there still that somebody is to be told of. */
static bool is_left(const bine__endpoint *e, unsigned events)
{
    unsigned left = events & wanted(e);

    return left != 0 && (left != BINE_READABLE || !e->emptied);
}

static int run_endpoint(bine__loop *loop, bine__arrival *arrival)
{
    bine__endpoint *e = (bine__endpoint *)(void *)arrival;
    unsigned events = e->arrived;
    PyObject *reader = Py_XNewRef(e->reader);
    PyObject *writer = Py_XNewRef(e->writer);
    int status;

    e->arrived = 0;
    e->told = 0;
    e->emptied = false;
    if (restore(e) != 0) /* the descriptor has gone */
        events |= wanted(e);
    status = run_one(loop, reader, (events & BINE_READABLE) != 0);
    if (status == 0)
        status = run_one(loop, writer, (events & BINE_WRITABLE) != 0);
    if ((e->watch.edges || status != 0) && is_left(e, events))
        (void)arm(e);
    Py_XDECREF(reader);
    Py_XDECREF(writer);
    return status;
}

void bine__endpoint_begin(const bine__loop *loop, int fd)
{
    bine__endpoint *e = find(loop, fd);

    if (e != NULL)
        e->unusual = false;
}

void bine__endpoint_emptied(const bine__loop *loop, int fd, bool by_size)
{
    bine__endpoint *e = find(loop, fd);

    if (e != NULL && (!by_size || !e->unusual))
        e->emptied = true;
}

/* ---- the table ---- */

static int grow(bine__loop *loop, size_t fd)
{
    size_t size = fd + fd / 2 + 16;
    bine__endpoint **all = realloc(loop->endpoints, size * sizeof(bine__endpoint *));

    if (all == NULL)
        return -1;
    memset(all + loop->endpoints_size, 0, (size - loop->endpoints_size) * sizeof(bine__endpoint *));
    loop->endpoints = all;
    loop->endpoints_size = size;
    return 0;
}

/* NULL with an exception. */
static bine__endpoint *find_or_make(bine__loop *loop, int fd)
{
    bine__endpoint *e = find(loop, fd);

    if (e != NULL)
        return e;
    if ((size_t)fd < loop->endpoints_size || grow(loop, (size_t)fd) == 0)
        e = calloc(1, sizeof *e);
    if (e == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    e->arrival.run = run_endpoint;
    e->loop = loop;
    e->watch = (bine_watch){.reactor = loop->rt->reactor, .fd = fd, .ready = on_ready};
    loop->endpoints[fd] = e;
    return e;
}

void bine__endpoints_drop(bine__loop *loop)
{
    bine__endpoint **all = loop->endpoints;
    size_t size = loop->endpoints_size;

    loop->endpoints = NULL;
    loop->endpoints_size = 0;
    if (loop->rt != NULL)
        loop->rt->watched -= loop->watched;
    loop->watched = 0;
    for (size_t i = 0; i < size; i++) {
        bine__endpoint *e = all[i];

        if (e == NULL)
            continue;
        (void)bine__watch_set(&e->watch, 0);
        Py_CLEAR(e->reader);
        Py_CLEAR(e->writer);
        free(e);
    }
    free(all);
}

/* ---- readers and writers ---- */

/* -1 with an exception, as selectors raise it. */
static int descriptor_of(PyObject *object)
{
    int fd = PyObject_AsFileDescriptor(object);

    if (fd < 0 && !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "Invalid file object: %R", object);
    }
    return fd;
}

static void count(bine__loop *loop, bine__endpoint *e, bool was)
{
    bool is = wanted(e) != 0;

    if (is == was)
        return;
    loop->watched += is ? 1 : (size_t)-1;
    loop->rt->watched += is ? 1 : (size_t)-1;
}

/* Puts `handle` (taken; NULL: none) in place of what is there; the events that the watch is to have follow.
 * What was there is cancelled: true if it was. */
static int replace(bine__loop *loop, bine__endpoint *e, PyObject **place, PyObject *handle)
{
    bool was = wanted(e) != 0;
    PyObject *old = *place;
    int status;

    *place = handle;
    status = handle != NULL ? arm(e) : e->watch.edges ? 0 : bine__watch_set(&e->watch, wanted(e));
    e->watch.idle = wanted(e) == 0;
    if (status != 0) {
        *place = old;
        Py_XDECREF(handle);
        errno = -status;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    count(loop, e, was);
    if (old == NULL)
        return 0;
    bine__handle_cancel(old);
    Py_DECREF(old);
    return 1;
}

static PyObject *add(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs, bool reads)
{
    bine__endpoint *e;
    PyObject *handle;
    int fd;

    if (nargs < 2) {
        PyErr_SetString(PyExc_TypeError, "a descriptor and a callback are needed");
        return NULL;
    }
    if (bine__loop_check(loop) != 0)
        return NULL;
    fd = descriptor_of(args[0]);
    e = fd < 0 ? NULL : find_or_make(loop, fd);
    if (e == NULL)
        return NULL;
    if (loop->debug)
        handle = PyObject_CallMethod((PyObject *)loop, "_handle_in_debug", "ON", args[1],
                                     bine__tuple_of(args + 2, nargs - 2));
    else
        handle = bine__handle_new(bine__handles.handle, loop, args[1], args + 2, nargs - 2, NULL);
    if (handle == NULL || replace(loop, e, reads ? &e->reader : &e->writer, Py_NewRef(handle)) < 0) {
        Py_XDECREF(handle);
        return NULL;
    }
    if (loop->runner == NULL)
        bine__loop_wake(loop);
    return handle;
}

static PyObject *remove_one(bine__loop *loop, PyObject *object, bool reads)
{
    bine__endpoint *e;
    PyObject **place;
    int fd;

    if (loop->closed || loop->rt == NULL)
        Py_RETURN_FALSE;
    fd = descriptor_of(object);
    if (fd < 0)
        return NULL;
    e = find(loop, fd);
    place = e == NULL ? NULL : reads ? &e->reader : &e->writer;
    if (place == NULL || *place == NULL)
        Py_RETURN_FALSE;
    return PyBool_FromLong(replace(loop, e, place, NULL) == 1);
}

PyObject *bine__loop_add_reader(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs)
{
    return add(loop, args, nargs, true);
}

PyObject *bine__loop_add_writer(bine__loop *loop, PyObject *const *args, Py_ssize_t nargs)
{
    return add(loop, args, nargs, false);
}

PyObject *bine__loop_remove_reader(bine__loop *loop, PyObject *fd)
{
    return remove_one(loop, fd, true);
}

PyObject *bine__loop_remove_writer(bine__loop *loop, PyObject *fd)
{
    return remove_one(loop, fd, false);
}

/* (reader, writer), each None without one: what stands in for asyncio's selector shows it. */
PyObject *bine__loop_handles_of(bine__loop *loop, PyObject *object)
{
    int fd = descriptor_of(object);
    const bine__endpoint *e = fd < 0 ? NULL : find(loop, fd);

    if (fd < 0)
        return NULL;
    return Py_BuildValue("(OO)", e != NULL && e->reader != NULL ? e->reader : Py_None,
                         e != NULL && e->writer != NULL ? e->writer : Py_None);
}
