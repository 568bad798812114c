/* There is no turn inside a turn: whatever the runtime calls is refused one. */
#include "acts.h"
#include "driven.h"

#include "notes.h"

static void ignore_request(void *user)
{
    (void)user;
}

static void check_refusals(void)
{
    bine_tick_info info = {.struct_size = sizeof info};

    CHECK_STATUS(bine_tick(rt, -1, NULL), BINE_EBUSY);
    CHECK_STATUS(bine_tick(rt, MS, &info), BINE_EBUSY);
    CHECK_STATUS(bine_run(rt, BINE_RUN_DEFAULT), BINE_EBUSY);
    CHECK_STATUS(bine_run(rt, BINE_RUN_ONCE), BINE_EBUSY);
    CHECK_STATUS(bine_run(rt, BINE_RUN_NOWAIT), BINE_EBUSY);
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_STATUS(bine_close_abandon(rt), BINE_EBUSY);
    CHECK_STATUS(bine_guest_start(rt, ignore_request, NULL), BINE_EBUSY);
    CHECK_STATUS(bine_guest_stop(rt), BINE_EBUSY);
    CHECK_EQ(bine_poll_timeout_ns(rt), -1);
    note("refused ");
}

static int refuse_in_call(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    check_refusals();
    return BINE_OK;
}

static void refuse_in_task(bine *runtime, void *user)
{
    (void)runtime;
    (void)user;
    check_refusals();
}

static int refuse_in_step(bine_step *step, void *user)
{
    (void)step;
    (void)user;
    check_refusals();
    return BINE_OK;
}

TEST(a_host_function_is_refused_a_turn_and_nothing_runs_meanwhile)
{
    open_driven();
    CHECK_OK(bine_def(rt, "host", "refused()", refuse_in_call, NULL, NULL));
    run_driven("import bine, host\n"
               "other = bine.spawn(host.note, 'other')\n"
               "bine.spawn(bine.sleep, 0)\n"
               "host.refused()\n"
               "host.note('after')\n"
               "other.join()");
    CHECK_STR(notes(), "refused after other ");
    close_driven();
}

TEST(a_task_is_refused_a_turn_and_nothing_runs_meanwhile)
{
    open_driven();
    CHECK_OK(bine_post(rt, refuse_in_task, NULL, NULL));
    CHECK_OK(bine_post(rt, note_task, NULL, NULL));
    run_driven("import host\nhost.note('script')");
    CHECK_STR(notes(), "refused task script ");
    close_driven();
}

TEST(a_step_is_refused_a_turn)
{
    open_with_promise();
    CHECK_OK(bine_then(promise, refuse_in_step, NULL, NULL, NULL, NULL));
    start_driven(waits_at_door);
    CHECK_OK(bine_resolve(promised, bine_value_i64(1)));
    run_until_noted("refused");
    bine_deferred_release(promise);
    open_door(NULL);
    close_driven();
}
