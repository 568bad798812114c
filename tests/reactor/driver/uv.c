/* The host's libuv loop: it runs that, and the scripts have their turns. */
#include "acts.h"
#include "driven.h"
#include "host_calls.h"

#include <uv.h>

const driver_pace driver_rests = DRIVER_SLEEPS;

static uv_loop_t loop;
static uv_poll_t calls;

static void on_calls(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    host_calls_run();
}

void driver_configure(bine_config *config)
{
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_EQ(uv_poll_init(&loop, &calls, host_calls_fd()), 0);
    CHECK_EQ(uv_poll_start(&calls, UV_READABLE, on_calls), 0);
    config->uv_loop = &loop;
}

void driver_start(bine *runtime)
{
    (void)runtime;
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user))
        uv_run(&loop, UV_RUN_ONCE);
}

/* Nothing of the host's keeps the loop alive: it ends when no script waits any more. */
void driver_run_to_end(void)
{
    uv_unref((uv_handle_t *)&calls);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    uv_ref((uv_handle_t *)&calls);
    CHECK(!any_alive());
}

void driver_call(void (*function)(void *user), void *user)
{
    host_calls_add(function, user);
}

/* Closing its handles is the runtime's business, libuv finishes it when it is run next. */
void driver_close(void)
{
    uv_close((uv_handle_t *)&calls, NULL);
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

TEST(what_needs_a_loop_of_the_runtimes_own_is_refused)
{
    try_a_loop_of_its_own();
}

TEST(the_loop_does_not_go_on_for_a_runtime_in_which_nothing_waits)
{
    open_driven();
    uv_unref((uv_handle_t *)&calls);
    CHECK(!uv_loop_alive(&loop));
    CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
    uv_ref((uv_handle_t *)&calls);
    close_driven();
}

/* Looked at between turns, without the host's own handle. */
static bool kept_alive(void)
{
    bool alive;

    uv_unref((uv_handle_t *)&calls);
    alive = uv_loop_alive(&loop);
    uv_ref((uv_handle_t *)&calls);
    return alive;
}

TEST(the_loop_goes_on_while_a_script_waits_whatever_for)
{
    open_driven();
    start_driven("import host\nhost.door()");
    CHECK(kept_alive());
    start_driven("import bine\nbine.sleep(3600)");
    CHECK(kept_alive());
    start_driven("import bine, os\nbine.wait_readable(os.pipe()[0])");
    CHECK(kept_alive());
    bine_shutdown(rt, SECOND);
    CHECK(kept_alive());
    driver_run_to_end();
    CHECK(!kept_alive());
    bine_resolver_drop(take_door());
    close_driven();
}

TEST(the_loop_goes_on_for_a_script_that_has_not_begun)
{
    open_driven();
    start_script(rt, "import host\nhost.note('ran')");
    CHECK(kept_alive());
    driver_run_to_end();
    run_until_noted("ran");
    close_driven();
}

static int nested_run(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    uv_run(&loop, UV_RUN_NOWAIT);
    return BINE_OK;
}

TEST(a_loop_run_inside_a_host_function_takes_no_turn)
{
    open_driven();
    CHECK_OK(bine_def(rt, "host", "nested_run()", nested_run, NULL, NULL));
    run_driven("import bine, host\n"
               "seen = []\n"
               "bine.spawn(lambda: seen.append('other'))\n"
               "host.nested_run()\n"
               "seen.append('nested')\n"
               "bine.sleep(0.001)\n"
               "seen.append('end')");
    CHECK_STR(script_str("' '.join(seen)"), "nested other end");
    close_driven();
}

static int fired;

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    fired++;
}

static bool fired_three_times(void *user)
{
    (void)user;
    return fired >= 3;
}

TEST(the_hosts_own_handles_go_on_beside_a_busy_script)
{
    uv_timer_t timer;

    open_driven();
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, 1, 1);
    start_script(rt, "import bine\nstop = False\nwhile not stop: bine.pause()");
    driver_run_until(fired_three_times, NULL);
    bine_shutdown(rt, SECOND);
    uv_unref((uv_handle_t *)&timer);
    driver_run_to_end();
    uv_close((uv_handle_t *)&timer, NULL);
    close_driven();
}

TEST(the_hosts_own_handles_go_on_after_the_close)
{
    uv_timer_t timer;

    open_driven();
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, 1, 1);
    close_runtime(rt);
    driver_run_until(fired_three_times, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    end_driven();
}

static void close_here(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
    close_runtime(rt);
    rt = NULL;
}

static bool is_closed(void *user)
{
    (void)user;
    return rt == NULL;
}

TEST(the_runtime_may_be_closed_in_a_callback_of_libuvs)
{
    uv_timer_t timer;

    open_driven();
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, close_here, 0, 0);
    driver_run_until(is_closed, NULL);
    end_driven();
}
