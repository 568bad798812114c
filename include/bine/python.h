/* Bridges to CPython's own C API, for hosts that want it. The only header that needs Python.h.
 *
 * Call these on the owner thread inside a tick, in a task or in a host function: there the
 * GIL is held. Elsewhere on the owner thread, stand between bine_python_enter() and _leave(). */
#ifndef BINE_PYTHON_H
#define BINE_PYTHON_H

#include <Python.h>
#include <bine/bine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Take the GIL and give it back; they nest, also inside a tick. BINE_ETHREAD: do not go on. Thread:
 * owner. */
BINE_API int bine_python_enter(bine *rt);
BINE_API void bine_python_leave(bine *rt);

/* Argument `index` of a host function: borrowed. Thread: micro. */
BINE_API PyObject *bine_arg_object(bine_call *call, size_t index);

/* A value that holds `object` (a new reference is made). It may be dropped on any thread.
 * Thread: owner, GIL held. */
BINE_API bine_value *bine_value_from_object(bine *rt, PyObject *object);

/* Conversions, by copy. NULL with a Python exception set on failure. The first borrows the
 * value; a capsule shares its pointer. Thread: owner, GIL held. */
BINE_API PyObject *bine_value_to_python(bine_value *value);
BINE_API bine_value *bine_value_from_python(PyObject *object);

/* Ends of pipes. To a script: a bine.PipeWriter or PipeReader (new), with a hold of its own. From one: its
 * end (new), which the script keeps too. NULL with a Python exception set on failure. Thread: owner, GIL
 * held. */
BINE_API PyObject *bine_writer_to_python(bine_writer *w);
BINE_API PyObject *bine_reader_to_python(bine_reader *r);
BINE_API bine_writer *bine_writer_from_python(PyObject *object);
BINE_API bine_reader *bine_reader_from_python(PyObject *object);

/* The exception that ended a micro-thread (new), or NULL. Reading it counts as handling it.
 * Thread: owner, GIL held. */
BINE_API PyObject *bine_micro_exception(bine_micro *micro);

#ifdef __cplusplus
}
#endif
#endif
