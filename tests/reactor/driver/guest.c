/* Guest mode: the host's loop is a queue of calls, which it can wait for and nothing else. */
#include "acts.h"
#include "driven.h"
#include "host_calls.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

const driver_pace driver_rests = DRIVER_SLEEPS;

static pid_t process;

void driver_configure(bine_config *config)
{
    (void)config;
}

static void take_turn(void *user)
{
    (void)user;
    if (rt != NULL)
        CHECK(bine_run(rt, BINE_RUN_NOWAIT) >= 0);
}

static void request(void *user)
{
    host_calls_add(take_turn, user);
}

void driver_start(bine *runtime)
{
    process = getpid();
    CHECK_OK(bine_guest_start(runtime, request, NULL));
}

/* The runtime's thread is not there in the child of a fork, nor is what it has asked for. */
static void start_again(void)
{
    if (process == getpid())
        return;
    host_calls_renew();
    driver_start(rt);
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user)) {
        struct pollfd queue;

        start_again();
        queue = (struct pollfd){.fd = host_calls_fd(), .events = POLLIN};
        CHECK(poll(&queue, 1, -1) >= 0 || errno == EINTR);
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

/* A turn may have been asked for that the runtime did not live to see. */
void driver_close(void)
{
    host_calls_run();
}

TEST(after_the_stop_no_turn_is_asked_for)
{
    open_driven();
    start_driven("import host\nassert host.door() == 'open'");
    CHECK_OK(bine_guest_stop(rt));
    host_calls_run();
    open_door(NULL);
    CHECK(!host_calls_run());
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    close_runtime(rt);
    end_driven();
}

TEST(it_can_be_stopped_and_started_again_at_any_time)
{
    open_driven();
    start_script(rt, "import bine\nfor i in range(20): bine.sleep(0.001)");
    for (int i = 0; i < 20; i++) {
        CHECK_OK(bine_guest_stop(rt));
        CHECK_OK(bine_guest_stop(rt));
        CHECK_OK(bine_guest_start(rt, request, NULL));
        CHECK_STATUS(bine_guest_start(rt, request, NULL), BINE_EEXIST);
        host_calls_run();
    }
    close_driven();
}

TEST(what_happens_before_the_start_is_asked_for_at_the_start)
{
    open_driven();
    CHECK_OK(bine_guest_stop(rt));
    host_calls_run();
    start_script(rt, "import host\nhost.note('ran')");
    CHECK(!host_calls_run());
    driver_start(rt);
    run_until_noted("ran");
    close_driven();
}

TEST(it_needs_a_request)
{
    open_driven();
    CHECK_OK(bine_guest_stop(rt));
    CHECK_STATUS(bine_guest_start(rt, NULL, NULL), BINE_EINVAL);
    close_runtime(rt);
    end_driven();
}
