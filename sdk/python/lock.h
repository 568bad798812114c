/* bine.Lock and bine.RLock, for what is built on them. GIL held. */
#ifndef BINE_PYTHON_LOCK_H
#define BINE_PYTHON_LOCK_H

#include <Python.h>
#include <stdbool.h>
#include <stddef.h>

bool bine__is_lock(PyObject *object);

/* Whether it is taken; a RLock: by who is running. */
bool bine__lock_is_taken(PyObject *lock);

/* Itself and who has it, for a report: new, or NULL with an exception. */
PyObject *bine__lock_describe(PyObject *lock);

/* As the methods of a RLock. acquire: 0, or -1 with an exception. */
int bine__rlock_acquire(PyObject *lock);
void bine__rlock_release(PyObject *lock);

/* Its release(), which takes no memory: None, or NULL with an exception. */
PyObject *bine__lock_release(PyObject *lock);

/* Frees it altogether, however often it was taken: how often. */
size_t bine__lock_let_go(PyObject *lock);

/* Takes it again as often, whatever happens meanwhile. -1 with an exception when it could not wait. */
int bine__lock_get_back(PyObject *lock, size_t count);

#endif
