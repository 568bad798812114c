/* Descriptors that micro-threads wait for, and those of the runtime's own. Owner thread, unless said
 * otherwise. */
#ifndef BINE_SERVICE_DESCRIPTOR_H
#define BINE_SERVICE_DESCRIPTOR_H

#include "core/runtime.h"

/* bine_wait_fd() for one who has tried, and found that he has to wait, on a descriptor that is a script's
 * socket: it stays watched between the waits. He tries again after: it may have been for nothing. The running
 * micro-thread waits. */
int bine__wait_socket(int fd, unsigned events, int64_t timeout_ns);

/* The same, for who is not to find out by trying: a read has just come to less than it asked for, so nothing
 * is left until more comes. (epoll(7) promises that for streams; here it goes for plain TCP.) */
void bine__socket_emptied(const bine *rt, int fd);
bool bine__socket_is_empty(const bine *rt, int fd);

/* Whether that goes for `fd`: a read stops at what is there and at an end, but not at the end of a record, as
 * with TLS in the kernel. Of ends and the like a watch by edges tells as BINE__UNUSUAL. Any thread. */
bool bine__is_plain_tcp(int fd);

/* Whether somebody has waited by bine__wait_socket() for what `fd` is now, and as it is now. */
bool bine__socket_is_known(const bine *rt, int fd);

/* What is known of `first` to `last` is not to be relied upon: there is a new socket with that number, or a
 * script has changed O_NONBLOCK. Any thread with the GIL. */
void bine__descriptors_changed(const bine *rt, int first, int last);

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
