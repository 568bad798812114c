/* Descriptors that micro-threads wait for, and those of the runtime's own. Owner thread, unless said
 * otherwise. */
#ifndef BINE_SERVICE_DESCRIPTOR_H
#define BINE_SERVICE_DESCRIPTOR_H

#include "core/runtime.h"

/* Before a script closes the descriptors `first` to `last`: who waits for one of them has BINE_EIO, errno
 * EBADF. (What is closed without this is waited for in vain, or until the time is over.) */
void bine__descriptors_closing(bine *rt, int first, int last);

/* How many waits have begun so far. Any thread with the GIL. */
uint64_t bine__descriptors_waits(const bine *rt);

/* After another thread has closed them: the same for those that waited when bine__descriptors_waits() said
 * `waits`; by now the numbers may be those of other files. Any thread with the GIL. */
void bine__descriptors_closed(bine *rt, int first, int last, uint64_t waits);

static inline void bine__descriptor_closing(bine *rt, int fd)
{
    bine__descriptors_closing(rt, fd, fd);
}

/* Whether the runtime, or the loop that it runs on, stands on `fd`: closing it would leave them deaf. Any
 * thread with the GIL. */
bool bine__descriptor_is_own(const bine *rt, int fd);

#endif
