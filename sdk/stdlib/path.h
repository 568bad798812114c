/* Files by their names, without holding the loop: what the kernel has at hand (RESOLVE_CACHED) on a file
 * system that no server stands behind is done at once, the rest by a thread of the pool.
 *
 * On a micro-thread that may wait. */
#ifndef BINE_STDLIB_PATH_H
#define BINE_STDLIB_PATH_H

#include "core/runtime.h"

/* As open(2) with O_CLOEXEC. The descriptor, or -1 with an exception. `name` is what an error
 * says. A FIFO's other end is waited for. */
int bine__open_file(bine *rt, PyObject *name, const char *path, int flags, unsigned mode);

/* Whether stat(2) of it can be had at once; `follow`: of what a link leads to. */
bool bine__is_at_hand(bine *rt, const char *path, bool follow);

/* Whether no server is asked about the file that `fd` is open for. */
bool bine__is_local(int fd);

#endif
