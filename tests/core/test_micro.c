/* Micro-threads as the host holds them. */
#include "fixture.h"

TEST(a_script_goes_through_its_states)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, "import bine; bine.sleep(1)", "x", &micro));
    CHECK_EQ(bine_micro_get_state(micro), BINE_MICRO_READY);
    CHECK_STATUS(bine_micro_status(micro), BINE_EBUSY);
    settle(rt);
    CHECK_EQ(bine_micro_get_state(micro), BINE_MICRO_WAITING);
    CHECK_STATUS(bine_micro_status(micro), BINE_EBUSY);
    run_to_end(rt);
    CHECK_EQ(bine_micro_get_state(micro), BINE_MICRO_DONE);
    CHECK_OK(bine_micro_status(micro));
    bine_micro_release(micro);
    close_runtime(rt);
}

static bine_micro *seen;
static int mine;

static int look(bine_call *call, void *user)
{
    (void)user;
    seen = bine_call_micro(call);
    CHECK(seen != NULL);
    CHECK(seen == bine_micro_current());
    CHECK_EQ(bine_micro_get_state(seen), BINE_MICRO_RUNNING);
    CHECK(bine_micro_data(seen) == &mine);
    return BINE_OK;
}

TEST(a_host_function_sees_who_calls_and_whose_it_is)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_def(rt, "host", "look() -> None", look, NULL, NULL));
    CHECK_OK(bine_run_string(rt, "import bine, host\nbine.spawn(lambda: bine.spawn(host.look).join()).join()",
                             "x", &micro));
    CHECK(bine_micro_data(micro) == NULL);
    bine_micro_set_data(micro, &mine); /* which children inherit */
    run_to_end(rt);
    CHECK(seen != NULL && seen != micro);
    bine_micro_release(micro);
    CHECK(bine_micro_current() == NULL);
    CHECK(bine_micro_data(NULL) == NULL);
    bine_micro_set_data(NULL, &mine);
    bine_micro_release(NULL);
    close_runtime(rt);
}

TEST(cancel_before_the_first_turn_runs_nothing)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    run_script(rt, "turns = 0");
    CHECK_OK(bine_run_string(rt, "import __main__; __main__.turns += 1", "x", &micro));
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_EQ(script_int("turns"), 0);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK_OK(bine_micro_cancel(micro)); /* no effect on one that is done */
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(cancel_raises_where_it_waits_and_counts_as_handled)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt,
                             "import bine\n"
                             "try: bine.sleep(9)\n"
                             "except bine.Cancelled: got = 1; raise\n",
                             "x", &micro));
    settle(rt);
    CHECK_OK(bine_micro_cancel(micro));
    CHECK_EQ(bine_micro_get_state(micro), BINE_MICRO_READY);
    settle(rt);
    CHECK_EQ(script_int("got"), 1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    CHECK_STATUS(bine_micro_cancel(NULL), BINE_EINVAL);
    close_runtime(rt);
}

TEST(one_that_raised_says_so_and_its_error_waits_for_the_handle)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, "1/0", "x", &micro));
    settle(rt);
    CHECK_STATUS(bine_micro_status(micro), BINE_ESCRIPT);
    CHECK_EQ(error_count(), 0);
    bine_micro_release(micro);
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "ZeroDivisionError");
    forget_errors();
    close_runtime(rt);
}

TEST(releasing_a_handle_stops_nothing)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, "import bine; bine.sleep(1); a = 1", "x", &micro));
    bine_micro_release(micro);
    run_to_end(rt);
    CHECK_EQ(script_int("a"), 1);
    close_runtime(rt);
}

TEST(a_name_is_that_of_the_script_and_can_be_changed)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_run_string(rt, "import bine; bine.current().name = 'caf\xc3\xa9'; bine.sleep(1)", "agent",
                             &micro));
    CHECK_STR(bine_micro_name(micro), "agent");
    run_to_end(rt);
    CHECK_STR(bine_micro_name(micro), "caf\xc3\xa9");
    bine_micro_release(micro);
    CHECK_STR(bine_micro_name(NULL), "");
    close_runtime(rt);
}

/* Waits in C: yields twice, sleeps, and says with which statuses. */
static int rest(bine_call *call, void *user)
{
    (void)user;
    CHECK_OK(bine_yield());
    CHECK_OK(bine_yield());
    CHECK_OK(bine_sleep(SECOND));
    CHECK_OK(bine_sleep(0));
    CHECK_OK(bine_sleep(-5));
    return bine_return(call, bine_value_i64(1));
}

TEST(a_c_function_waits_on_its_scripts_stack)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "rest() -> int", rest, NULL, NULL));
    run_script(rt, "import bine, host\n"
                   "order = []\n"
                   "def other():\n"
                   "    for i in range(3): order.append(i); bine.pause()\n"
                   "t = bine.spawn(other)\n"
                   "order.append(host.rest() + 100)\n"
                   "t.join()\n");
    CHECK(script_true("order == [0, 1, 2, 101]"));
    close_runtime(rt);
}

static int sleep_status;

static int sleep_long(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    sleep_status = bine_sleep(1000 * SECOND);
    return sleep_status;
}

TEST(a_cancelled_c_function_gets_the_status_and_the_script_the_exception)
{
    bine *rt = open_runtime();
    bine_micro *micro;

    CHECK_OK(bine_def(rt, "host", "sleep() -> None", sleep_long, NULL, NULL));
    CHECK_OK(bine_run_string(rt,
                             "import bine, host\n"
                             "try: host.sleep()\n"
                             "except bine.Cancelled: got = 1; raise\n",
                             "x", &micro));
    settle(rt);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_STATUS(sleep_status, BINE_ECANCELED);
    CHECK_EQ(script_int("got"), 1);
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(the_time_of_a_sleep_may_be_the_longest)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "t = bine.spawn(bine.sleep, 1e300)\n"
                     "bine.spawn(bine.sleep, 2**62)\n"
                     "bine.sleep(1)\n"
                     "for t in bine.all():\n"
                     "    if t is not bine.current(): t.cancel()\n");
    settle(rt);
    crank(SECOND);
    settle(rt);
    close_runtime(rt);
}
