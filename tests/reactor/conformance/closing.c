/* The runtime is closed, in every state: refused while a script lives, and all gone afterwards. */
#include "acts.h"
#include "driven.h"

#include "notes.h"

#include <unistd.h>

TEST(it_closes_right_after_it_was_opened)
{
    open_driven();
    CHECK_OK(bine_close(rt));
    end_driven();
}

TEST(it_closes_before_a_task_was_called_and_releases_that)
{
    char *owned = strdup("freed by the close, or LeakSanitizer sees it");

    open_driven();
    CHECK_OK(bine_post(rt, note_task, owned, free));
    CHECK_OK(bine_close(rt));
    CHECK_STR(notes(), "");
    end_driven();
}

TEST(it_is_closed_but_once)
{
    bine *closed;

    open_driven();
    closed = rt;
    CHECK_OK(bine_close(rt));
    CHECK_STATUS(bine_close(closed), BINE_ECLOSED);
    CHECK_STATUS(bine_tick(closed, 0, NULL), BINE_ECLOSED);
    CHECK_STATUS(bine_run(closed, BINE_RUN_DEFAULT), BINE_ECLOSED);
    CHECK_STATUS(bine_poll_fd(closed), BINE_ECLOSED);
    CHECK_EQ(bine_poll_timeout_ns(closed), BINE_ECLOSED);
    CHECK_STATUS(bine_post(closed, note_task, NULL, NULL), BINE_ECLOSED);
    bine_interrupt(closed);
    end_driven();
}

/* With scripts that wait for whatever `source` says: refused, then shut down, then closed. */
static void check_end(const char *source)
{
    open_driven();
    start_driven(source);
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    driver_run_to_end();
    CHECK_EQ(script_int("ended"), 1);
    close_driven();
}

TEST(it_is_not_closed_while_a_script_sleeps)
{
    check_end("import bine\n"
              "try: bine.sleep(3600)\n"
              "finally: ended = 1");
}

TEST(it_is_not_closed_while_a_script_waits_for_a_descriptor)
{
    check_end("import bine, os\n"
              "try: bine.wait_readable(os.pipe()[0], timeout=3600)\n"
              "finally: ended = 1");
}

TEST(it_is_not_closed_while_a_script_waits_for_a_frame)
{
    check_end("import bine\n"
              "try:\n"
              "    while True: bine.next_frame()\n"
              "finally: ended = 1");
}

TEST(it_is_not_closed_while_a_script_runs_and_runs)
{
    open_driven();
    start_script(rt, "import bine, host\n"
                     "host.note('runs')\n"
                     "while True: bine.pause()");
    run_until_noted("runs");
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_OK(bine_shutdown(rt, SECOND));
    close_driven();
}

TEST(it_closes_with_a_timer_of_the_hosts_that_is_not_due)
{
    open_with_promise();
    CHECK_OK(bine_deferred_timeout(promise, HOUR));
    start_driven("pass");
    CHECK_OK(bine_close(rt));
    release_promise();
    end_driven();
}

static void close_here(void *unused)
{
    (void)unused;
    close_runtime(rt);
    rt = NULL;
}

static bool is_closed(void *user)
{
    (void)user;
    return rt == NULL;
}

static void close_after_the_last(void *unused)
{
    open_door(unused);
    driver_call(close_here, NULL);
}

TEST(it_may_be_closed_by_the_loop_itself)
{
    open_driven();
    start_driven(waits_at_door);
    driver_call(close_after_the_last, NULL);
    driver_run_until(is_closed, NULL);
    end_driven();
}

TEST(it_may_be_left_behind_while_scripts_wait)
{
    bine *left;

    open_driven();
    start_driven("import bine, os\n"
                 "bine.spawn(bine.wait_readable, os.pipe()[0], timeout=3600)\n"
                 "bine.spawn(bine.sleep, 3600, real=True)\n"
                 "bine.spawn(bine.next_frame)\n"
                 "bine.sleep(3600)");
    left = rt;
    CHECK_OK(bine_close_abandon(rt));
    CHECK_STATUS(bine_close(left), BINE_ECLOSED);
    end_driven();
    _exit(EXIT_SUCCESS); /* what is left is no leak */
}
