/* SIGPIPE. What is written to somebody who has gone is an error here, and no signal: that would end a host
 * which has left it as it was. Where a call can be told so (MSG_NOSIGNAL) it is. For all others the calling
 * thread has the signal blocked as long as the call lasts, and takes the one that came. The host's handlers,
 * and what its children inherit, stay as they are. Any thread. */
#ifndef BINE_CORE_SIGPIPE_H
#define BINE_CORE_SIGPIPE_H

#include <stdbool.h>

/* Before a call that writes. True: bine__sigpipe_release() is wanted after it. Several may be under way at
 * once on one thread: micro-threads that have been suspended in the midst of it. */
bool bine__sigpipe_hold(void);

/* errno stays. */
void bine__sigpipe_release(void);

#endif
