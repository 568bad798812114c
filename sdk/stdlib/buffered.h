/* Buffered files that several micro-threads use: see buffered.c. Owner thread, GIL held. */
#ifndef BINE_STDLIB_BUFFERED_H
#define BINE_STDLIB_BUFFERED_H

#include <Python.h>

/* At open and at close; `io` is module _io. */
void bine__buffered_open(PyObject *io);
void bine__buffered_close(PyObject *io);

#endif
