/* The parts of module bine in Python, as C sees them. Owner thread or any other, GIL held. */
#ifndef BINE_PYTHON_LIBRARY_H
#define BINE_PYTHON_LIBRARY_H

#include <Python.h>

#include <stdbool.h>

/* Made from sdk/python/lib/ by sdk/CMakeLists.txt; the last has no name. */
typedef struct bine__library_part {
    const char *name;
    const char *source;
} bine__library_part;

extern const bine__library_part bine__library_parts[];

struct bine__python;

/* The namespace of a part (new), which is run once. NULL with an exception. */
PyObject *bine__library(struct bine__python *py, const char *part);

/* Calls a function of a part, by vectorcall's convention. New, or NULL with an exception. */
PyObject *bine__library_call(const char *part, const char *name, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames);

/* on_import(name, function): has function(module) called whenever module `name` has been imported, and now
 * when it has been. See onimport.c. */
PyObject *bine__on_import(PyObject *unused, PyObject *args);

/* guard(object, names): has calls of these methods look whether somebody has the object for himself. See
 * guard.c. */
PyObject *bine__guard(PyObject *unused, PyObject *args);
/* The locks of objects that somebody has, by their ids (new). */
PyObject *bine__guard_locks(void);

/* See queue.c. */
PyObject *bine__give_queue(PyObject *unused, PyObject *module);

/* Has imports looked at. At open. 0, or -1 with an exception. */
int bine__watch_imports(void);
/* See importlock.c. 0, or -1 with an exception. */
int bine__mend_import_locks(PyObject *bootstrap);
/* Whether this thread stands in line for a module that a micro-thread imports. */
bool bine__micro_imports_it(void);

#endif
