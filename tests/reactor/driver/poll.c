/* The host polls: its own descriptors, and the runtime's. */
#include "driven.h"
#include "host_calls.h"

#include <errno.h>
#include <poll.h>

const driver_pace driver_rests = DRIVER_SLEEPS;

void driver_configure(bine_config *config)
{
    (void)config;
}

void driver_start(bine *runtime)
{
    (void)runtime;
}

/* Whether the runtime wants a turn. */
static bool wait_for_both(struct pollfd *input)
{
    int64_t wait_ns = bine_poll_timeout_ns(rt);
    struct timespec limit = {wait_ns / SECOND, wait_ns % SECOND};
    struct pollfd fds[2] = {*input, {.fd = bine_poll_fd(rt), .events = POLLIN}};
    int ready;

    CHECK(fds[1].fd >= 0);
    ready = ppoll(fds, 2, wait_ns < 0 ? NULL : &limit, NULL);
    CHECK(ready >= 0 || errno == EINTR);
    *input = fds[0];
    if (ready < 0)
        input->revents = 0;
    return ready == 0 || (ready > 0 && fds[1].revents != 0);
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user)) {
        struct pollfd input = {.fd = host_calls_fd(), .events = POLLIN};
        bool turn = wait_for_both(&input);

        if (input.revents != 0 && host_calls_run() && done(user))
            return;
        if (turn)
            CHECK(bine_run(rt, BINE_RUN_NOWAIT) >= 0);
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

void driver_close(void)
{
}
