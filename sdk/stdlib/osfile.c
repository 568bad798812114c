/* Module os: what reads and writes descriptors. */
#include "stdlib/standin.h"

#include "python/python.h"
#include "stdlib/transfer.h"

#include <limits.h>

/* ---- arguments: false: none that these functions take, or nothing to wait for ---- */

static bool get_fd(PyObject *object, int *fd)
{
    long value = PyLong_CheckExact(object) ? PyLong_AsLong(object) : -1;

    PyErr_Clear();
    *fd = (int)value;
    return value >= 0 && value <= INT_MAX;
}

static bool get_size(PyObject *object, Py_ssize_t *size)
{
    *size = PyLong_CheckExact(object) ? PyLong_AsSsize_t(object) : -1;
    PyErr_Clear();
    return *size > 0;
}

static bool get_offset(PyObject *object, int64_t *offset)
{
    *offset = PyLong_CheckExact(object) ? PyLong_AsLongLong(object) : -1;
    PyErr_Clear();
    return *offset >= 0;
}

/* `flags` of preadv() and pwritev(), which may be left out. */
static bool get_flags(const bine__call *call, int *flags)
{
    long value = call->nargs > 3 ? PyLong_AsLong(call->args[3]) : 0;

    PyErr_Clear();
    *flags = (int)value;
    return value >= 0 && value <= INT_MAX;
}

/* ---- one piece ---- */

/* What `out` means for a transfer whose outcome is a number. */
static PyObject *count_or(const bine__call *call, bine__moved out, const bine__transfer *t)
{
    if (out == BINE__WOULD_WAIT)
        return bine__call_original(call);
    return out == BINE__MOVED ? PyLong_FromSize_t(t->done) : NULL;
}

static PyObject *read_bytes(const bine__call *call, int fd, Py_ssize_t size, int64_t offset)
{
    bine__transfer t = {.fd = fd, .offset = offset};
    bine__moved out;
    PyObject *bytes = bine__transfer_bytes(bine__here, &t, size, &out);

    return out == BINE__WOULD_WAIT ? bine__call_original(call) : bytes;
}

static PyObject *os_read(const bine__call *call)
{
    Py_ssize_t size;
    int fd;

    if (call->nargs != 2 || !get_fd(call->args[0], &fd) || !get_size(call->args[1], &size))
        return bine__call_original(call);
    return read_bytes(call, fd, size, -1);
}

static PyObject *os_pread(const bine__call *call)
{
    int64_t offset;
    Py_ssize_t size;
    int fd;

    if (call->nargs != 3 || !get_fd(call->args[0], &fd) || !get_size(call->args[1], &size) ||
        !get_offset(call->args[2], &offset))
        return bine__call_original(call);
    return read_bytes(call, fd, size, offset);
}

static PyObject *write_object(const bine__call *call, int fd, PyObject *object, int64_t offset)
{
    bine__transfer t = {.fd = fd, .writes = true, .count = 1, .offset = offset};
    struct iovec part;
    Py_buffer view;
    PyObject *result;

    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) {
        PyErr_Clear();
        return bine__call_original(call);
    }
    part = (struct iovec){.iov_base = view.buf, .iov_len = (size_t)view.len};
    t.parts = &part;
    result = view.len == 0 ? bine__call_original(call)
                           : count_or(call, bine__transfer_run(bine__here, &t), &t);
    PyBuffer_Release(&view);
    return result;
}

static PyObject *os_write(const bine__call *call)
{
    int fd;

    if (call->nargs != 2 || !get_fd(call->args[0], &fd))
        return bine__call_original(call);
    return write_object(call, fd, call->args[1], -1);
}

static PyObject *os_pwrite(const bine__call *call)
{
    int64_t offset;
    int fd;

    if (call->nargs != 3 || !get_fd(call->args[0], &fd) || !get_offset(call->args[2], &offset))
        return bine__call_original(call);
    return write_object(call, fd, call->args[1], offset);
}

/* ---- several pieces ---- */

typedef struct pieces {
    Py_buffer *views;
    struct iovec *parts;
    Py_ssize_t count; /* of views to be released */
    size_t size;
} pieces;

static void release_pieces(pieces *p)
{
    for (Py_ssize_t i = 0; i < p->count; i++)
        PyBuffer_Release(&p->views[i]);
    PyMem_Free(p->views);
    PyMem_Free(p->parts);
}

/* False: not to be had; no exception is set. */
static bool get_pieces(PyObject *sequence, int access, pieces *p)
{
    Py_ssize_t count = PyList_Check(sequence) || PyTuple_Check(sequence) ? PySequence_Fast_GET_SIZE(sequence)
                                                                         : 0;

    *p = (pieces){0};
    if (count == 0 || count > IOV_MAX)
        return false;
    p->views = PyMem_Calloc((size_t)count, sizeof *p->views);
    p->parts = PyMem_Calloc((size_t)count, sizeof *p->parts);
    while (p->views != NULL && p->parts != NULL && p->count < count) {
        Py_buffer *view = &p->views[p->count];

        /* To get a buffer may run a script, which may change the list. */
        if (p->count >= PySequence_Fast_GET_SIZE(sequence) ||
            PyObject_GetBuffer(PySequence_Fast_GET_ITEM(sequence, p->count), view, access) != 0)
            break;
        p->parts[p->count++] = (struct iovec){.iov_base = view->buf, .iov_len = (size_t)view->len};
        p->size += (size_t)view->len;
    }
    PyErr_Clear();
    if (p->count == count && p->size > 0)
        return true;
    release_pieces(p);
    return false;
}

static PyObject *move_pieces(const bine__call *call, bool writes, int64_t offset, int flags)
{
    bine__transfer t = {.writes = writes, .offset = offset, .flags = flags};
    PyObject *result;
    pieces p;

    if (!get_fd(call->args[0], &t.fd) ||
        !get_pieces(call->args[1], writes ? PyBUF_SIMPLE : PyBUF_WRITABLE, &p))
        return bine__call_original(call);
    t.parts = p.parts;
    t.count = (int)p.count;
    result = count_or(call, bine__transfer_run(bine__here, &t), &t);
    release_pieces(&p);
    return result;
}

static PyObject *os_readv(const bine__call *call)
{
    return call->nargs == 2 ? move_pieces(call, false, -1, 0) : bine__call_original(call);
}

static PyObject *os_writev(const bine__call *call)
{
    return call->nargs == 2 ? move_pieces(call, true, -1, 0) : bine__call_original(call);
}

static PyObject *move_at(const bine__call *call, bool writes)
{
    int64_t offset;
    int flags;

    if (call->nargs < 3 || !get_offset(call->args[2], &offset) || !get_flags(call, &flags))
        return bine__call_original(call);
    return move_pieces(call, writes, offset, flags);
}

static PyObject *os_preadv(const bine__call *call)
{
    return move_at(call, false);
}

static PyObject *os_pwritev(const bine__call *call)
{
    return move_at(call, true);
}

/* ---- eventfd ---- */

/* Its counter as eight bytes. */
static bine__moved move_counter(int fd, bool writes, uint64_t *value)
{
    struct iovec part = {.iov_base = value, .iov_len = sizeof *value};
    bine__transfer t = {.fd = fd, .writes = writes, .parts = &part, .count = 1, .offset = -1};

    return bine__transfer_run(bine__here, &t);
}

static PyObject *os_eventfd_read(const bine__call *call)
{
    uint64_t value = 0;
    bine__moved out;
    int fd;

    if (call->nargs != 1 || call->kwnames != NULL || !get_fd(call->args[0], &fd))
        return bine__call_original(call);
    out = move_counter(fd, false, &value);
    if (out == BINE__WOULD_WAIT)
        return bine__call_original(call);
    return out == BINE__MOVED ? PyLong_FromUnsignedLongLong(value) : NULL;
}

static PyObject *os_eventfd_write(const bine__call *call)
{
    uint64_t value;
    bine__moved out;
    int fd;

    if (call->nargs != 2 || call->kwnames != NULL || !get_fd(call->args[0], &fd))
        return bine__call_original(call);
    value = PyLong_CheckExact(call->args[1]) ? PyLong_AsUnsignedLongLong(call->args[1]) : UINT64_MAX;
    PyErr_Clear();
    out = value == UINT64_MAX ? BINE__WOULD_WAIT : move_counter(fd, true, &value);
    if (out == BINE__WOULD_WAIT)
        return bine__call_original(call);
    return out == BINE__MOVED ? Py_NewRef(Py_None) : NULL;
}

#define READY_OR_POOL "a descriptor that is ready; a thread for files"

BINE__STANDIN(standin_read, "posix", "read", "os.read", READY_OR_POOL, os_read);
BINE__STANDIN(standin_readv, "posix", "readv", "os.readv", READY_OR_POOL, os_readv);
BINE__STANDIN(standin_pread, "posix", "pread", "os.pread", "a thread", os_pread);
BINE__STANDIN(standin_preadv, "posix", "preadv", "os.preadv", "a thread", os_preadv);
BINE__STANDIN_WRITES(standin_write, "posix", "write", "os.write", READY_OR_POOL, os_write);
BINE__STANDIN_WRITES(standin_writev, "posix", "writev", "os.writev", READY_OR_POOL, os_writev);
BINE__STANDIN_WRITES(standin_pwrite, "posix", "pwrite", "os.pwrite", "a thread", os_pwrite);
BINE__STANDIN_WRITES(standin_pwritev, "posix", "pwritev", "os.pwritev", "a thread", os_pwritev);
BINE__STANDIN(standin_eventfd_read, "posix", "eventfd_read", "os.eventfd_read", "a descriptor that is ready",
              os_eventfd_read);
BINE__STANDIN(standin_eventfd_write, "posix", "eventfd_write", "os.eventfd_write",
              "a descriptor that is ready", os_eventfd_write);

bine__standin *const bine__osfile_standins[] = {
    &standin_read,
    &standin_readv,
    &standin_pread,
    &standin_preadv,
    &standin_write,
    &standin_writev,
    &standin_pwrite,
    &standin_pwritev,
    &standin_eventfd_read,
    &standin_eventfd_write,
    NULL,
};
