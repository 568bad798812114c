/* Waiting for child processes. Owner thread. */
#ifndef BINE_STDLIB_PROCESS_H
#define BINE_STDLIB_PROCESS_H

#include <Python.h>

/* await_child(pid, seconds): waits until the child ends, but no longer. False: it has not ended. True: it may
 * have, see for yourself; also where there is nothing to wait by, or no micro-thread runs that may wait. */
PyObject *bine__await_child(PyObject *unused, PyObject *const *args, Py_ssize_t nargs);

#endif
