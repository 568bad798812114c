/* Bine in a server that waits by epoll_wait().
 *
 *     for (;;) {
 *         int count = bine_epoll_wait(rt, epoll_fd, events, MAX, -1); // in the place of epoll_wait()
 *         for (int i = 0; i < count; i++)
 *             serve(&events[i]);
 *     }
 *
 * Nothing of the runtime's is in the host's epoll set, so no event of it can be taken for one of the host's,
 * and a set that is shared with a child process stays the host's own.
 *
 * This header and sdk/adapter/epoll.c may be copied into a host. With CMake the file is compiled into
 * whatever links bine::epoll. */
#ifndef BINE_ADAPTER_EPOLL_H
#define BINE_ADAPTER_EPOLL_H

#include <bine/common.h>
#include <sys/epoll.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As epoll_wait(), and the scripts have a turn, bine_run(rt, BINE_RUN_NOWAIT), when one is wanted: at most
 * one in each call. After a turn it returns at once: 0 where the host's descriptors have nothing to tell,
 * although `timeout_ms` is not over. So a host sees what its scripts did, and busy scripts hold nothing up.
 *
 * -1 with errno as epoll_wait(): a signal handler that has run makes it EINTR. Where no turn can be given it
 * is epoll_wait() and nothing else: inside a tick, after bine_close(), on another thread, when the loop is
 * the host's own. Thread: owner. */
int bine_epoll_wait(bine *rt, int epoll_fd, struct epoll_event *events, int max, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
