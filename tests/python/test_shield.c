/* Shields of C functions: bine_shield_begin(), bine_shield_end(). */
#include "fixture.h"

static char seen[64];

static void note(const char *what)
{
    strncat(seen, what, sizeof seen - strlen(seen) - 1);
}

/* Runs `function` as a micro-thread, cancels it where it waits first, and returns its status. */
static int cancel_in(bine *rt, bine_micro_fn function, void *user)
{
    bine_micro *micro;
    int status;

    CHECK_OK(bine_spawn(NULL, function, user, NULL, &micro));
    settle(rt);
    CHECK_OK(bine_micro_cancel(micro));
    run_to_end(rt);
    status = bine_micro_status(micro);
    bine_micro_release(micro);
    settle(rt);
    return status;
}

static int clean_up(bine *rt, void *user, bine_value **result)
{
    int status = bine_sleep(SECOND);

    (void)rt;
    (void)user;
    (void)result;
    CHECK_STATUS(status, BINE_ECANCELED);
    CHECK_OK(bine_shield_begin(5 * SECOND));
    CHECK_OK(bine_sleep(SECOND));
    CHECK_OK(bine_yield());
    CHECK_OK(bine_call_named(rt, "bine", "pause", NULL, NULL, NULL));
    note("clean ");
    bine_shield_end();
    CHECK_STATUS(bine_sleep(SECOND), BINE_ECANCELED);
    CHECK_STATUS(bine_yield(), BINE_ECANCELED);
    return status;
}

TEST(waits_behind_it_go_through_and_are_refused_afterwards)
{
    bine *rt = open_runtime();

    CHECK_STATUS(cancel_in(rt, clean_up, NULL), BINE_ECANCELED);
    CHECK_STR(seen, "clean ");
    close_runtime(rt);
}

static int nest(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    CHECK_STATUS(bine_sleep(SECOND), BINE_ECANCELED);
    CHECK_OK(bine_shield_begin(9 * SECOND));
    CHECK_OK(bine_shield_begin(SECOND));
    CHECK_OK(bine_sleep(3 * SECOND)); /* the outer still stands */
    bine_shield_end();
    CHECK_OK(bine_sleep(SECOND));
    bine_shield_end();
    CHECK_STATUS(bine_yield(), BINE_ECANCELED);
    return BINE_ECANCELED;
}

TEST(shields_of_c_nest)
{
    bine *rt = open_runtime();

    CHECK_STATUS(cancel_in(rt, nest, NULL), BINE_ECANCELED);
    close_runtime(rt);
}

static int outstay(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    CHECK_STATUS(bine_sleep(SECOND), BINE_ECANCELED);
    CHECK_OK(bine_shield_begin(2 * SECOND));
    CHECK_STATUS(bine_sleep(5 * SECOND), BINE_ECANCELED);
    bine_shield_end();
    bine_shield_end(); /* none is left */
    return BINE_ECANCELED;
}

TEST(a_shield_of_c_is_bounded)
{
    bine *rt = open_runtime();

    CHECK_STATUS(cancel_in(rt, outstay, NULL), BINE_ECANCELED);
    close_runtime(rt);
}

static int leave_up(bine *rt, void *user, bine_value **result)
{
    int status = bine_sleep(SECOND);

    (void)rt;
    (void)user;
    (void)result;
    CHECK_OK(bine_shield_begin(100 * SECOND));
    CHECK_OK(bine_shield_begin(100 * SECOND));
    CHECK_OK(bine_sleep(SECOND));
    return status;
}

TEST(one_left_up_ends_with_the_micro_thread_which_ends_as_it_was_told_to)
{
    bine *rt = open_runtime();

    CHECK_STATUS(cancel_in(rt, leave_up, NULL), BINE_ECANCELED);
    CHECK_EQ(error_count(), 0);
    close_runtime(rt); /* which looks that no timer is left */
}

static int unbalanced(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    bine_shield_end();
    CHECK_STATUS(bine_shield_begin(-1), BINE_EINVAL);
    CHECK_OK(bine_shield_begin(0));
    bine_shield_end();
    bine_shield_end();
    CHECK_OK(bine_shield_begin(INT64_MAX));
    bine_shield_end();
    CHECK_STATUS(bine_sleep(SECOND), BINE_ECANCELED); /* nothing shields any more */
    return BINE_ECANCELED;
}

TEST(an_end_too_many_does_nothing)
{
    bine *rt = open_runtime();

    CHECK_STATUS(cancel_in(rt, unbalanced, NULL), BINE_ECANCELED);
    close_runtime(rt);
}

/* clean(): a host function's own shield, on a script's stack. */
static int clean(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    CHECK_OK(bine_shield_begin(SECOND));
    CHECK_OK(bine_sleep(MS));
    bine_shield_end();
    return BINE_OK;
}

TEST(a_host_function_shields_its_script_and_leaves_the_scripts_own_shields_be)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "clean() -> None", clean, NULL, NULL));
    run_script(rt, "import bine, host\n"
                   "seen = []\n"
                   "def work():\n"
                   "    try: bine.sleep(100)\n"
                   "    finally:\n"
                   "        host.clean()\n"
                   "        seen.append(1)\n"
                   "        with bine.shield(5):\n"
                   "            host.clean()\n"
                   "            bine.pause()\n"
                   "            seen.append(2)\n"
                   "        try: bine.pause()\n"
                   "        except bine.Cancelled: seen.append(3)\n"
                   "t = bine.spawn(work)\n"
                   "bine.pause()\n"
                   "t.cancel()\n"
                   "try: t.join()\n"
                   "except bine.Cancelled: pass\n");
    CHECK(script_true("seen == [1, 2, 3]"));
    close_runtime(rt);
}

static int end_of_another(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    bine_shield_end(); /* not the script's: that is a with block of its own */
    return BINE_OK;
}

TEST(c_does_not_end_a_shield_of_pythons)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "end() -> None", end_of_another, NULL, NULL));
    run_script(rt, "import bine, host\n"
                   "with bine.shield(5):\n"
                   "    host.end()\n"
                   "    bine.current().cancel()\n"
                   "    bine.pause()\n"
                   "    bine.pause()\n"
                   "got = 1\n");
    CHECK_EQ(script_int("got"), 1);
    close_runtime(rt);
}

static int survive(bine *rt, void *user, bine_value **result)
{
    (void)result;
    CHECK_STATUS(bine_wait(user, -1, NULL), BINE_ECANCELED);
    CHECK_OK(bine_shield_begin(5 * SECOND));
    CHECK_OK(bine_sleep(2 * SECOND));
    CHECK_STATUS(bine_spawn(NULL, survive, NULL, NULL, NULL), BINE_ECLOSED);
    note("clean ");
    bine_shield_end();
    CHECK_STATUS(bine_call_named(rt, "bine", "pause", NULL, NULL, NULL), BINE_ECANCELED);
    return BINE_ECANCELED;
}

TEST(the_end_of_the_runtime_waits_behind_it)
{
    bine *rt = open_runtime();
    bine_deferred *d;
    bine_resolver *r;
    bine_micro *micro;

    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
    CHECK_OK(bine_spawn(NULL, survive, d, NULL, &micro));
    settle(rt);
    CHECK_OK(bine_shutdown(rt, 10 * SECOND));
    settle(rt);
    CHECK_STR(seen, "");
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    crank(2 * SECOND);
    settle(rt);
    CHECK_STR(seen, "clean ");
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK_STR(log_text(), "");
    bine_micro_release(micro);
    CHECK_OK(bine_resolve(r, bine_value_nil()));
    bine_deferred_release(d);
    close_runtime(rt);
}

TEST(one_that_outstays_the_grace_is_reported)
{
    bine *rt = open_runtime();
    bine_deferred *d;
    bine_resolver *r;

    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
    CHECK_OK(bine_spawn(NULL, survive, d, NULL, NULL));
    settle(rt);
    CHECK_OK(bine_shutdown(rt, SECOND));
    settle(rt);
    crank(SECOND);
    settle(rt);
    CHECK_HAS(log_text(), "has not ended within the grace");
    crank(SECOND);
    settle(rt);
    CHECK_STR(seen, "clean ");
    CHECK_OK(bine_resolve(r, bine_value_nil()));
    bine_deferred_release(d);
    close_runtime(rt);
}
