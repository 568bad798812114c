/* Descriptors that a script closes, or puts another file in the place of, on whatever thread: who waits for
 * them is woken with EBADF. Those that the runtime stands on are none to a script. Any thread with the GIL.
 */
#ifndef BINE_STDLIB_CLOSING_H
#define BINE_STDLIB_CLOSING_H

#include "stdlib/standin.h"

/* CPython's own function, which lets go of the descriptors `first` to `last`; a negative `last`: of none. */
PyObject *bine__let_go(const bine__call *call, int first, int last);

/* The same for one that closes it: the runtime's own is refused, with an OSError (EBADF). */
PyObject *bine__close(const bine__call *call, int fd);

/* os.closerange(first, end), which leaves out the runtime's own. */
PyObject *bine__close_range(const bine__call *call, int first, int end);

#endif
