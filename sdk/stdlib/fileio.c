/* io.FileIO, by which all files of module io read and write. */
#include "stdlib/fileio.h"

#include "python/python.h"
#include "stdlib/buffered.h"
#include "stdlib/closing.h"
#include "stdlib/iolayout.h"
#include "stdlib/path.h"
#include "stdlib/transfer.h"
#include "stdlib/typeslot.h"

#include <unistd.h>

/* As FileIO has it. */
#define SMALL_CHUNK 8192
#define LARGE_BUFFER 65536

static const int *still(PyObject *self)
{
    return bine__knows_fileio ? &((bine__fileio *)self)->fd : NULL;
}

static bine__transfer reading(PyObject *self, int fd)
{
    return (bine__transfer){.fd = fd, .still = still(self), .count = 1, .offset = -1};
}

/* ---- to the end ---- */

/* How many bytes to ask for first: what is left of a file, and one more to see its end. */
static size_t first_size(bine__transfer *t)
{
    uint64_t size;
    off_t at;

    t->kind = bine__file_kind_of(t->fd, &t->mount, &size);
    if (t->kind == BINE__STREAM || size == 0)
        return SMALL_CHUNK;
    at = lseek(t->fd, 0, SEEK_CUR);
    if (at < 0 || (uint64_t)at > size)
        return SMALL_CHUNK;
    return size - (uint64_t)at < PY_SSIZE_T_MAX ? (size_t)(size - (uint64_t)at) + 1 : PY_SSIZE_T_MAX;
}

static size_t more(size_t size)
{
    if (size > LARGE_BUFFER)
        return size / 8;
    return size < SMALL_CHUNK ? SMALL_CHUNK : size;
}

/* One more read, behind `*have` bytes. */
static bine__moved read_on(bine__transfer *t, PyObject **bytes, size_t *have)
{
    size_t size = (size_t)PyBytes_GET_SIZE(*bytes);
    struct iovec part;
    bine__moved out;

    if (*have == size) {
        if (size > PY_SSIZE_T_MAX - more(size)) {
            PyErr_SetString(PyExc_OverflowError,
                            "unbounded read returned more bytes than a Python bytes object can hold");
            return BINE__RAISED;
        }
        size += more(size);
        if (_PyBytes_Resize(bytes, (Py_ssize_t)size) != 0)
            return BINE__RAISED;
    }
    part = (struct iovec){.iov_base = PyBytes_AS_STRING(*bytes) + *have, .iov_len = size - *have};
    t->parts = &part;
    t->count = 1;
    t->done = 0;
    t->at_end = t->over = false;
    out = bine__transfer_run(bine__here, t);
    *have += t->done;
    return out;
}

/* What has been read so far is lost when an exception ends it, as CPython's is by that of a signal
 * handler. */
static PyObject *read_all(const bine__call *call, int fd)
{
    bine__transfer t = reading(call->self, fd);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)first_size(&t));
    bine__moved out = bytes == NULL ? BINE__RAISED : BINE__MOVED;
    size_t have = 0;

    while (out == BINE__MOVED && !t.at_end)
        out = read_on(&t, &bytes, &have);
    if (out == BINE__RAISED || (out == BINE__WOULD_WAIT && have == 0)) {
        Py_XDECREF(bytes);
        return out == BINE__RAISED ? NULL : Py_NewRef(Py_None);
    }
    if (have < (size_t)PyBytes_GET_SIZE(bytes))
        _PyBytes_Resize(&bytes, (Py_ssize_t)have);
    return bytes;
}

static PyObject *fileio_readall(const bine__call *call)
{
    int fd = call->nargs == 0 && call->kwnames == NULL ? bine__fileio_descriptor(call->self, false) : -1;

    return fd < 0 ? bine__call_original(call) : read_all(call, fd);
}

/* ---- some bytes ---- */

static PyObject *read_some(const bine__call *call, int fd, Py_ssize_t size)
{
    bine__transfer t = reading(call->self, fd);
    bine__moved out;
    PyObject *bytes = bine__transfer_bytes(bine__here, &t, size, &out);

    return out == BINE__WOULD_WAIT ? bine__call_original(call) : bytes;
}

static PyObject *fileio_read(const bine__call *call)
{
    int fd = call->nargs <= 1 && call->kwnames == NULL ? bine__fileio_descriptor(call->self, false) : -1;
    PyObject *limit = fd >= 0 && call->nargs == 1 ? call->args[0] : Py_None;
    Py_ssize_t size;

    if (fd < 0 || (limit != Py_None && !PyLong_CheckExact(limit)))
        return bine__call_original(call);
    size = limit == Py_None ? -1 : PyLong_AsSsize_t(limit);
    if (size == 0 || PyErr_Occurred()) {
        PyErr_Clear();
        return bine__call_original(call);
    }
    return size < 0 ? read_all(call, fd) : read_some(call, fd, size);
}

/* ---- a buffer ---- */

static PyObject *move_buffer(const bine__call *call, bool writes)
{
    int fd = call->nargs == 1 && call->kwnames == NULL ? bine__fileio_descriptor(call->self, writes) : -1;
    bine__transfer t = reading(call->self, fd);
    struct iovec part;
    bine__moved out = BINE__WOULD_WAIT;
    Py_buffer view;

    if (fd < 0)
        return bine__call_original(call);
    if (PyObject_GetBuffer(call->args[0], &view, writes ? PyBUF_SIMPLE : PyBUF_WRITABLE) != 0) {
        PyErr_Clear();
        return bine__call_original(call); /* which says what is wrong */
    }
    part = (struct iovec){.iov_base = view.buf, .iov_len = (size_t)view.len};
    t.writes = writes;
    t.parts = &part;
    if (view.len > 0)
        out = bine__transfer_run(bine__here, &t);
    PyBuffer_Release(&view);
    if (out == BINE__WOULD_WAIT)
        return bine__call_original(call);
    return out == BINE__MOVED ? PyLong_FromSize_t(t.done) : NULL;
}

static PyObject *fileio_readinto(const bine__call *call)
{
    return move_buffer(call, false);
}

static PyObject *fileio_write(const bine__call *call)
{
    return move_buffer(call, true);
}

/* ---- closing: on all threads ---- */

static PyObject *fileio_close(const bine__call *call)
{
    const bine__fileio *file = (bine__fileio *)call->self;

    if (!bine__knows_fileio || file->fd < 0 || !file->closefd)
        return bine__call_original(call);
    return bine__close(call, file->fd);
}

/* ---- opening: FileIO() is given an opener of ours ---- */

static int init(PyObject *self, PyObject *args, PyObject *kwargs);

static bine__typeslot init_slot = {"FileIO", "__init__", offsetof(PyTypeObject, tp_init),
                                   BINE__SLOT_FUNCTION(init), NULL};

/* open_file(name, flags) */
static PyObject *open_file(PyObject *unused, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *path = NULL;
    int fd = -1;

    (void)unused;
    if (nargs == 2 && PyUnicode_FSConverter(args[0], &path))
        fd = bine__open_file(bine__here, args[0], PyBytes_AS_STRING(path), (int)PyLong_AsLong(args[1]), 0666);
    Py_XDECREF(path);
    return fd < 0 ? NULL : PyLong_FromLong(fd);
}

static PyMethodDef open_file_def = {"open_file", BINE__ENTRY(open_file), METH_FASTCALL, NULL};
static PyObject *opener;

enum { FILE_PLACE = 0, OPENER_PLACE = 3 };

static PyObject *argument(PyObject *args, PyObject *kwargs, Py_ssize_t place, const char *name)
{
    if (place < PyTuple_GET_SIZE(args))
        return PyTuple_GET_ITEM(args, place);
    return kwargs == NULL ? NULL : PyDict_GetItemString(kwargs, name);
}

/* By a name, and nobody else opens it. */
static bool opens_itself(PyObject *args, PyObject *kwargs)
{
    PyObject *file = argument(args, kwargs, FILE_PLACE, "file");
    PyObject *its_opener = argument(args, kwargs, OPENER_PLACE, "opener");

    return file != NULL && !PyIndex_Check(file) && !PyFloat_Check(file) &&
           (its_opener == NULL || its_opener == Py_None);
}

static int init_by_place(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *all = bine__tuple_of(((PyTupleObject *)args)->ob_item, PyTuple_GET_SIZE(args));
    int status = -1;

    if (all != NULL && PyTuple_SetItem(all, OPENER_PLACE, Py_NewRef(opener)) == 0)
        status = ((initproc)init_slot.original)(self, all, kwargs);
    Py_XDECREF(all);
    return status;
}

static int init_by_name(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *all = kwargs == NULL ? PyDict_New() : PyDict_Copy(kwargs);
    int status = -1;

    if (all != NULL && PyDict_SetItemString(all, "opener", opener) == 0)
        status = ((initproc)init_slot.original)(self, args, all);
    Py_XDECREF(all);
    return status;
}

static int init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (!bine__stands_in(bine__here) || opener == NULL || !opens_itself(args, kwargs))
        return ((initproc)init_slot.original)(self, args, kwargs);
    if (PyTuple_GET_SIZE(args) > OPENER_PLACE)
        return init_by_place(self, args, kwargs);
    return init_by_name(self, args, kwargs);
}

#define READY_OR_POOL "a descriptor that is ready; a thread for files"

BINE__STANDIN(standin_read, "_io", "FileIO.read", "io.FileIO.read", READY_OR_POOL, fileio_read);
BINE__STANDIN(standin_readall, "_io", "FileIO.readall", "io.FileIO.readall", READY_OR_POOL, fileio_readall);
BINE__STANDIN(standin_readinto, "_io", "FileIO.readinto", "io.FileIO.readinto", READY_OR_POOL,
              fileio_readinto);
BINE__STANDIN_WRITES(standin_write, "_io", "FileIO.write", "io.FileIO.write", READY_OR_POOL, fileio_write);
BINE__STANDIN_EVERYWHERE(standin_close, "_io", "FileIO.close", "io.FileIO.close",
                         "at once; who waits for the descriptor has EBADF", fileio_close);

bine__standin *const bine__fileio_standins[] = {
    &standin_read, &standin_readall, &standin_readinto, &standin_write, &standin_close, NULL,
};

int bine__fileio_open(void)
{
    PyObject *io = PyImport_ImportModule("_io");
    int status = io == NULL ? -1 : bine__io_layout_check(io);

    if (status == 0 && opener == NULL)
        opener = PyCFunction_New(&open_file_def, NULL);
    if (status == 0 && opener != NULL) {
        bine__typeslot_fill(&init_slot, io);
        bine__buffered_open(io);
    }
    Py_XDECREF(io);
    return PyErr_Occurred() ? -1 : status;
}

void bine__fileio_close(void)
{
    PyObject *io = PyImport_ImportModule("_io");

    if (io != NULL) {
        bine__typeslot_restore(&init_slot, io);
        bine__buffered_close(io);
    }
    Py_CLEAR(opener);
    PyErr_Clear();
    Py_XDECREF(io);
}
