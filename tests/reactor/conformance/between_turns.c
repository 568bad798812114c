/* What the host does on its loop between two turns is noticed: it brings the next one. */
#include "acts.h"
#include "driven.h"

#include "notes.h"

TEST(a_result_between_two_turns_ends_the_wait)
{
    open_driven();
    start_driven(waits_at_door);
    between_turns(open_door, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("got"), "open");
    close_driven();
}

TEST(a_task_between_two_turns_is_called)
{
    open_driven();
    start_driven(waits_at_door);
    between_turns(post_note, NULL);
    run_until_noted("task");
    open_door(NULL);
    close_driven();
}

static void run_another(void *unused)
{
    (void)unused;
    start_script(rt, "import host\nhost.note('another')");
}

TEST(a_script_started_between_two_turns_runs)
{
    open_driven();
    start_driven(waits_at_door);
    between_turns(run_another, NULL);
    run_until_noted("another");
    open_door(NULL);
    close_driven();
}

static bine_micro *micro;

static void cancel_micro(void *unused)
{
    (void)unused;
    CHECK_OK(bine_micro_cancel(micro));
}

static void interrupt_micro(void *unused)
{
    (void)unused;
    CHECK_OK(bine_micro_interrupt(micro));
}

static void start_micro(const char *source)
{
    CHECK_OK(bine_run_string(rt, source, "<micro>", &micro));
    run_until_idle();
}

TEST(a_cancel_between_two_turns_ends_the_wait)
{
    open_driven();
    start_micro("import bine\n"
                "try: bine.sleep(3600)\n"
                "finally: seen = 1");
    between_turns(cancel_micro, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("seen"), 1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    close_driven();
}

TEST(an_interrupt_of_one_between_two_turns_ends_its_wait)
{
    open_driven();
    start_micro("import bine\n"
                "try: bine.sleep(3600)\n"
                "except KeyboardInterrupt: seen = 1");
    between_turns(interrupt_micro, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("seen"), 1);
    bine_micro_release(micro);
    close_driven();
}

TEST(a_shutdown_between_two_turns_ends_all_waits)
{
    open_driven();
    start_driven("import bine, os\n"
                 "ended = 0\n"
                 "def end(wait, *args):\n"
                 "    global ended\n"
                 "    try: wait(*args)\n"
                 "    finally: ended += 1\n"
                 "bine.spawn(end, bine.sleep, 3600)\n"
                 "bine.spawn(end, bine.wait_readable, os.pipe()[0])\n"
                 "end(bine.Event().wait)");
    between_turns(shut_down, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("ended"), 3);
    close_driven();
}

static void step_an_hour(void *unused)
{
    (void)unused;
    CHECK_OK(bine_step_time(rt, HOUR));
}

TEST(a_step_of_game_time_between_two_turns_wakes_who_is_due)
{
    open_driven();
    start_driven("import bine\nbine.sleep(3599)\nwoke = 1");
    between_turns(step_an_hour, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("woke"), 1);
    close_driven();
}

static void hurry(void *unused)
{
    (void)unused;
    CHECK_OK(bine_set_time_scale(rt, 1e9));
}

TEST(a_faster_game_time_between_two_turns_wakes_who_is_due)
{
    open_driven();
    start_driven("import bine\nbine.sleep(3600)\nwoke = 1");
    between_turns(hurry, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("woke"), 1);
    close_driven();
}
