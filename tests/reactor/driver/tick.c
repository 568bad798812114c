/* Frames: the host calls bine_tick() in each, whatever happens. */
#include "driven.h"
#include "host_calls.h"

#include <poll.h>

#define BUDGET_NS (2 * MS)
#define FRAME_NS MS /* a fast one: the cases have many */

const driver_pace driver_rests = DRIVER_HAS_FRAMES;

void driver_configure(bine_config *config)
{
    (void)config;
}

void driver_start(bine *runtime)
{
    (void)runtime;
}

/* The rest of the frame, less when a script is to have its turn before. */
static void nap(int64_t wanted_ns)
{
    struct pollfd input = {.fd = host_calls_fd(), .events = POLLIN};
    struct timespec rest = {.tv_nsec = FRAME_NS};

    if (wanted_ns >= 0 && wanted_ns < FRAME_NS)
        rest.tv_nsec = wanted_ns;
    (void)ppoll(&input, 1, &rest, NULL);
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user)) {
        bine_tick_info info = {.struct_size = sizeof info};

        if (host_calls_run() && done(user))
            return;
        CHECK_OK(bine_tick(rt, BUDGET_NS, &info));
        if (done(user))
            return;
        nap(info.next_wake_ns);
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
