/* epoll_wait() with turns for scripts: see bine/adapter/epoll.h.
 *
 * A set of epoll can itself be polled. So the set and the runtime's descriptor are waited for side by side,
 * to the nanosecond, and neither has to know of the other. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll() */
#endif
#include <bine/adapter/epoll.h>
#include <bine/runtime.h>
#include <poll.h>
#include <time.h>

/* Waits until the set has events, the runtime's descriptor is readable or the shorter time is over; negative
 * times do not end. 1: the descriptor is readable. 0: it is not. -1 with errno. */
static int wait_for_both(int epoll_fd, int fd, int64_t turn_ns, int timeout_ms)
{
    struct pollfd both[2] = {{.fd = epoll_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int64_t wait_ns = timeout_ms < 0 ? -1 : timeout_ms * INT64_C(1000000);
    struct timespec limit;

    if (turn_ns >= 0 && (wait_ns < 0 || turn_ns < wait_ns))
        wait_ns = turn_ns;
    limit = (struct timespec){.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    if (ppoll(both, 2, wait_ns < 0 ? NULL : &limit, NULL) < 0)
        return -1;
    return both[1].revents != 0;
}

int bine_epoll_wait(bine *rt, int epoll_fd, struct epoll_event *events, int max, int timeout_ms)
{
    int fd = bine_poll_fd(rt);
    int asked;

    if (fd < 0 || epoll_fd < 0 || max <= 0) /* poll() would take no offence */
        return epoll_wait(epoll_fd, events, max, timeout_ms);
    asked = wait_for_both(epoll_fd, fd, bine_poll_timeout_ns(rt), timeout_ms);
    if (asked < 0)
        return -1;
    if ((asked || bine_poll_timeout_ns(rt) == 0) && bine_run(rt, BINE_RUN_NOWAIT) < 0)
        return epoll_wait(epoll_fd, events, max, timeout_ms);
    return epoll_wait(epoll_fd, events, max, 0);
}
