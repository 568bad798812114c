/* What other threads bring, a result or a task, ends the wait of the loop: never too late, in the order of
 * each thread. */
#include "acts.h"
#include "driven.h"

TEST(a_result_from_another_thread_ends_the_wait)
{
    open_driven();
    start_driven(waits_at_door);
    when_idle(open_door, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("got"), "open");
    close_driven();
}

static void drop_door(void *unused)
{
    (void)unused;
    bine_resolver_drop(take_door());
}

TEST(a_resolver_dropped_by_another_thread_ends_the_wait)
{
    open_driven();
    start_driven("import bine, host\n"
                 "try: host.door()\n"
                 "except bine.HostError as error: name = error.name");
    when_idle(drop_door, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("name"), "BINE_EBROKEN");
    close_driven();
}

TEST(a_task_from_another_thread_ends_the_wait)
{
    open_driven();
    start_driven(waits_at_door);
    when_idle(post_note, NULL);
    run_until_noted("task");
    open_door(NULL);
    close_driven();
}

TEST(no_result_comes_too_late_or_too_early_to_be_noticed)
{
    open_driven();
    start_driven("import host\n"
                 "for i in range(500): host.door()");
    when_idle(open_doors, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("i"), ROUNDS - 1);
    close_driven();
}

TEST(what_a_thread_of_the_pool_has_done_ends_the_wait)
{
    open_driven();
    run_driven("import pwd\n"
               "for i in range(200): name = pwd.getpwuid(0).pw_name");
    CHECK_STR(script_str("name"), "root");
    close_driven();
}

TEST(tasks_of_four_threads_keep_the_order_of_each)
{
    open_driven();
    start_driven(waits_at_door);
    produce();
    driver_run_until(all_posts_are_in, NULL);
    open_door(NULL);
    close_driven();
}
