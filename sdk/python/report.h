/* Errors as data: what a Python exception says, copied out of Python. Owner thread, GIL held. */
#ifndef BINE_PYTHON_REPORT_H
#define BINE_PYTHON_REPORT_H

#include <Python.h>

#include <bine/error.h>

/* `exception` as data; the texts may be NULL. NULL when memory is out. */
bine_error *bine__error_new(PyObject *exception, const char *micro_name, const char *spawn_file,
                            int spawn_line);
void bine__error_free(bine_error *error);

#endif
