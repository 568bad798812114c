/* What comes up between two turns, and turns that are refused: whoever gives the next one is told. */
#include "fixture.h"

#include <bine/python.h>
#include <semaphore.h>
#include <stdint.h>

static sem_t requests;

static void on_request(void *user)
{
    (void)user;
    sem_post(&requests);
}

static void on_host_stack(bine *rt, void *user)
{
    (void)rt;
    ++*(int *)user;
}

TEST(a_guest_asks_again_for_a_turn_that_was_refused_while_python_was_entered)
{
    bine *rt = open_runtime();
    int ran = 0;

    sem_init(&requests, 0, 0);
    CHECK_OK(bine_guest_start(rt, on_request, NULL));
    CHECK_OK(bine_python_enter(rt));
    CHECK_OK(bine_post(rt, on_host_stack, &ran, NULL));
    sem_wait(&requests);
    CHECK_STATUS(bine_run(rt, BINE_RUN_NOWAIT), BINE_EBUSY);
    bine_python_leave(rt);
    sem_wait(&requests);
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 0);
    CHECK_EQ(ran, 1);
    CHECK_OK(bine_guest_stop(rt));
    close_runtime(rt);
}

TEST(a_guest_asks_once_for_a_turn_however_often_python_is_entered)
{
    bine *rt = open_runtime();
    int asked = -1;

    sem_init(&requests, 0, 0);
    start_script(rt, "import bine\nbine.pause()\nbine.pause()");
    CHECK_OK(bine_guest_start(rt, on_request, NULL));
    sem_wait(&requests);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(bine_python_enter(rt));
        bine_python_leave(rt);
    }
    CHECK_OK(bine_guest_stop(rt)); /* what it was about to ask, it has asked */
    sem_getvalue(&requests, &asked);
    CHECK_EQ(asked, 0);
    settle(rt);
    close_runtime(rt);
}

TEST(the_smallest_of_all_steps_is_refused_as_others_are)
{
    bine *rt = open_runtime();

    CHECK_STATUS(bine_step_time(rt, INT64_MIN), BINE_EINVAL);
    CHECK(strstr(bine_message(), "-9223372036854775808 ns") != NULL);
    close_runtime(rt);
}

static int64_t stands_still(void *user)
{
    (void)user;
    return 0;
}

static int64_t real_ns;

static int64_t real_time(void *user)
{
    (void)user;
    return real_ns;
}

TEST(in_deterministic_mode_frames_on_demand_go_by_game_time)
{
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.deterministic = true;
    config.clock = stands_still;
    config.budget_clock = real_time;
    rt = open_runtime_with(&config);
    start_script(rt, "import bine\n"
                     "for n in range(3):\n"
                     "    bine.next_frame()\n");
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    CHECK_EQ(script_int("n"), 1);
    real_ns += SECOND;
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    CHECK_EQ(script_int("n"), 1);
    CHECK_OK(bine_step_time(rt, SECOND));
    CHECK_EQ(bine_poll_timeout_ns(rt), 0);
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 1);
    CHECK_EQ(script_int("n"), 2);
    CHECK_OK(bine_step_time(rt, SECOND));
    CHECK_EQ(bine_run(rt, BINE_RUN_NOWAIT), 0);
    close_runtime(rt);
}
