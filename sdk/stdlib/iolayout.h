/* What of FileIO and the Buffered types of module _io is read without a call. Their structs are CPython's
 * own affair, the same from 3.11 to 3.13; at open it is looked whether this CPython has them so too. Where it
 * has not, FileIO is asked by its methods, and the lock of Buffered is left alone.
 *
 * GIL held. */
#ifndef BINE_STDLIB_IOLAYOUT_H
#define BINE_STDLIB_IOLAYOUT_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct bine__fileio {
    PyObject_HEAD
    int fd; /* -1: closed */
    unsigned created : 1;
    unsigned readable : 1;
    unsigned writable : 1;
    unsigned appending : 1;
    signed seekable : 2;
    unsigned closefd : 1;
} bine__fileio;

typedef struct bine__buffered {
    PyObject_HEAD
    PyObject *raw;
    int ok; /* it is initialised */
    int detached;
    int readable;
    int writable;
    char finalizing;
    int fast_closed_checks;
    int64_t abs_pos; /* of raw; -1: not known */
    char *buffer;
    int64_t pos;      /* of the next byte to be read */
    int64_t raw_pos;  /* where raw stands, in the buffer */
    int64_t read_end; /* of what has been read; -1: nothing */
    int64_t write_pos;
    int64_t write_end;
    PyThread_type_lock lock;
    volatile unsigned long owner; /* the OS thread that has the lock; 0: none */
    Py_ssize_t buffer_size;
} bine__buffered;

/* At open: looks, `io` is module _io. 0, or -1 with an exception. */
int bine__io_layout_check(PyObject *io);

extern bool bine__knows_fileio;
extern bool bine__knows_buffered; /* raw, lock, owner, buffer_size */
extern bool bine__knows_buffers;  /* and all else */

/* The descriptor of a FileIO that is open for that; -1: it is not. No exception is set. */
int bine__fileio_descriptor(PyObject *fileio, bool writes);

#endif
