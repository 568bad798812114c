/* The runtime's own loop: the host calls bine_run(). */
#include "driven.h"
#include "host_calls.h"

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

/* While no script lives bine_run() returns at once: the host rests, and tries again. */
static void rest(void)
{
    struct pollfd input = {.fd = host_calls_fd(), .events = POLLIN};

    (void)poll(&input, 1, 1);
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user)) {
        if (host_calls_run())
            continue;
        if (bine_run(rt, BINE_RUN_ONCE) == 0 && !done(user))
            rest();
    }
}

void driver_run_to_end(void)
{
    do
        CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    while (host_calls_run());
}

static void nothing(bine *runtime, void *user)
{
    (void)runtime;
    (void)user;
}

/* Between two calls of bine_run(): the task, with which one of them ends, is no more than that. */
void driver_call(void (*function)(void *user), void *user)
{
    host_calls_add(function, user);
    (void)bine_post(rt, nothing, NULL, NULL);
}

void driver_close(void)
{
}
