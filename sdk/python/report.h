/* Errors as data: what a Python exception says, copied out of Python. Owner thread, GIL held. */
#ifndef BINE_PYTHON_REPORT_H
#define BINE_PYTHON_REPORT_H

#include <Python.h>

#include <bine/error.h>

/* `exception` as data, new; the texts may be NULL. NULL when memory is out. Freed with bine_error_free(). */
bine_error *bine__error_new(PyObject *exception, const char *micro_name, const char *spawn_file,
                            int spawn_line);

/* That of a micro-thread which has failed. */
bine_error *bine__error_of_micro(bine_micro *micro);

#endif
