/* bine/adapter/epoll.h: the host waits by bine_epoll_wait() for the descriptors of a set of its own. */
#include "driven.h"
#include "host_calls.h"

#include <bine/adapter/epoll.h>
#include <errno.h>
#include <unistd.h>

const driver_pace driver_rests = DRIVER_SLEEPS;

static int set;
static bine *scripts;

void driver_configure(bine_config *config)
{
    struct epoll_event calls = {.events = EPOLLIN};

    (void)config;
    set = epoll_create1(EPOLL_CLOEXEC);
    CHECK(set >= 0);
    CHECK_EQ(epoll_ctl(set, EPOLL_CTL_ADD, host_calls_fd(), &calls), 0);
}

void driver_start(bine *runtime)
{
    scripts = runtime;
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user)) {
        struct epoll_event event;
        int count = bine_epoll_wait(scripts, set, &event, 1, -1);

        CHECK(count >= 0 || errno == EINTR);
        if (count > 0)
            host_calls_run();
    }
}

void driver_run_to_end(void)
{
    run_until_over();
}

void driver_call(void (*function)(void *user), void *user)
{
    host_calls_add(function, user);
}

/* Nothing in the set but what the host has put there, which has nothing to tell. */
void driver_close(void)
{
    struct epoll_event event;

    CHECK_EQ(epoll_wait(set, &event, 1, 0), 0);
    close(set);
}
