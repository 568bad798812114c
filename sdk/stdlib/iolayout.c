#include "stdlib/iolayout.h"

#include <stddef.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool bine__knows_fileio;
bool bine__knows_buffered;
bool bine__knows_buffers;

_Static_assert(sizeof(void *) != 8 ||
                   (offsetof(bine__buffered, lock) == 104 && offsetof(bine__buffered, buffer_size) == 120),
               "as CPython has it");

/* An unusual size, to be found again. */
#define SIZE 4321

static bool is_as_known(const bine__fileio *file, int fd, bool writes)
{
    return Py_TYPE(file)->tp_basicsize >= (Py_ssize_t)sizeof(bine__fileio) && file->fd == fd &&
           file->readable == !writes && file->writable == writes && file->closefd == 0;
}

static bool is_buffered_as_known(bine__buffered *buffered, const PyObject *raw)
{
    if (Py_TYPE(buffered)->tp_basicsize < (Py_ssize_t)sizeof(bine__buffered) || buffered->raw != raw ||
        buffered->buffer_size != SIZE || buffered->owner != 0 || buffered->lock == NULL)
        return false;
    if (!PyThread_acquire_lock(buffered->lock, NOWAIT_LOCK))
        return false;
    PyThread_release_lock(buffered->lock);
    return true;
}

/* `to` is the other end of the pipe that it reads. */
static bool has_buffer_as_known(bine__buffered *b, int to)
{
    bool fits = b->ok == 1 && b->detached == 0 && b->readable == 1 && b->writable == 0 && b->buffer != NULL &&
                b->abs_pos == 0 && b->pos == 0 && b->read_end == -1;
    PyObject *byte = fits && write(to, "xyz", 3) == 3 ? PyObject_CallMethod((PyObject *)b, "read", "i", 1)
                                                      : NULL;

    fits = byte != NULL && b->pos == 1 && b->read_end == 3 && b->raw_pos == 3 && b->abs_pos == 3 &&
           memcmp(b->buffer, "xyz", 3) == 0;
    Py_XDECREF(byte);
    return fits;
}

static int check_with(PyObject *io, const int *ends)
{
    PyObject *in = PyObject_CallMethod(io, "FileIO", "isO", ends[0], "rb", Py_False);
    PyObject *out = in == NULL ? NULL : PyObject_CallMethod(io, "FileIO", "isO", ends[1], "wb", Py_False);
    PyObject *buffered = out == NULL ? NULL : PyObject_CallMethod(io, "BufferedReader", "Oi", in, SIZE);
    int status = buffered == NULL ? -1 : 0;

    if (status == 0) {
        bine__knows_fileio = is_as_known((bine__fileio *)in, ends[0], false) &&
                             is_as_known((bine__fileio *)out, ends[1], true);
        bine__knows_buffered = is_buffered_as_known((bine__buffered *)buffered, in);
        bine__knows_buffers = bine__knows_buffered &&
                              has_buffer_as_known((bine__buffered *)buffered, ends[1]);
        status = PyErr_Occurred() ? -1 : 0;
    }
    Py_XDECREF(buffered);
    Py_XDECREF(out);
    Py_XDECREF(in);
    return status;
}

int bine__io_layout_check(PyObject *io)
{
    int ends[2];
    int status;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    status = check_with(io, ends);
    close(ends[0]);
    close(ends[1]);
    return status;
}

/* By its methods. */
static int ask(PyObject *fileio, bool writes)
{
    PyObject *can = PyObject_CallMethod(fileio, writes ? "writable" : "readable", NULL);
    PyObject *number = can == Py_True ? PyObject_CallMethod(fileio, "fileno", NULL) : NULL;
    int fd = number == NULL ? -1 : (int)PyLong_AsLong(number);

    Py_XDECREF(number);
    Py_XDECREF(can);
    PyErr_Clear();
    return fd;
}

int bine__fileio_descriptor(PyObject *fileio, bool writes)
{
    const bine__fileio *file = (bine__fileio *)fileio;

    if (!bine__knows_fileio)
        return ask(fileio, writes);
    return (writes ? file->writable : file->readable) ? file->fd : -1;
}
