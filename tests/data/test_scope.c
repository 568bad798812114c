/* Scopes in C: one for each object of the host's, cancelled when the object dies. */
#include "fixture.h"

#include <bine/python.h>

static const char setup[] =
    "import bine, host\n"
    "seen = []\n"
    "def rest(n=0):\n"
    "    try: bine.sleep(1000)\n"
    "    except BaseException as e: seen.append((n, type(e).__name__, str(e))); raise\n"
    "    finally: seen.append(n)\n"
    "def fail(n=0): raise ValueError(n)\n"
    "def fail_later(n=0):\n"
    "    bine.sleep(1)\n"
    "    raise ValueError(n)\n"
    "def sour(n=0):\n"
    "    try: bine.sleep(1000)\n"
    "    finally: raise KeyError(n)\n"
    "def stubborn(n=0):\n"
    "    for _ in range(3):\n"
    "        try: bine.sleep(1000)\n"
    "        except bine.Cancelled: seen.append(n)\n"
    "def shielded(n=0):\n"
    "    try: bine.sleep(1000)\n"
    "    finally:\n"
    "        with bine.shield(5): bine.sleep(2)\n"
    "        seen.append('clean')\n"
    "def well(n=0): seen.append(n)\n";

static bine_scope *scope;

static bine *open_scoped(const char *name)
{
    bine *rt = open_runtime();

    add_host_module(rt);
    run_script(rt, setup);
    CHECK_OK(bine_scope_new(rt, name, &scope));
    return rt;
}

static bine_micro *start(bine *rt, const char *function, int64_t n)
{
    bine_value *args = bine_value_list();
    bine_micro *micro;

    CHECK_OK(bine_value_append(args, bine_value_i64(n)));
    CHECK_OK(bine_spawn_named(rt, "__main__", function, args, &micro));
    return micro;
}

/* Spawned by the host and made a child; without a handle. */
static void adopt(bine *rt, const char *function, int64_t n)
{
    bine_micro *micro = start(rt, function, n);

    CHECK_OK(bine_scope_adopt(scope, micro));
    bine_micro_release(micro);
}

static bine_deferred *close_it(void)
{
    bine_deferred *end;

    CHECK_OK(bine_scope_close(scope, &end));
    return end;
}

static void check_end(bine_deferred *end, int state, const char *message)
{
    const char *text;

    CHECK_EQ(bine_deferred_peek(end, NULL, &text), state);
    CHECK_STR(text, message);
    (void)bine_deferred_error(end); /* takes a rejection */
    bine_deferred_release(end);
}

static void close_scoped(bine *rt)
{
    bine_scope_release(scope);
    scope = NULL;
    close_runtime(rt);
}

/* ---- closing ---- */

TEST(an_empty_scope_closes_at_once)
{
    bine *rt = open_scoped(NULL);

    CHECK_EQ(bine_scope_alive(scope), 0);
    check_end(close_it(), 1, "");
    check_end(close_it(), 1, ""); /* and again */
    CHECK_OK(bine_scope_close(scope, NULL));
    close_scoped(rt);
}

TEST(closing_waits_for_every_child)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;

    adopt(rt, "well", 1);
    adopt(rt, "well", 2);
    run_script(rt, "");
    CHECK_EQ(bine_scope_alive(scope), 0);
    run_script(
        rt, "def later(n):\n    bine.sleep(n)\n    seen.append(n)\nimport __main__; __main__.later = later");
    adopt(rt, "well", 3);
    adopt(rt, "rest", 4);
    CHECK_EQ(bine_scope_alive(scope), 2);
    end = close_it();
    settle(rt);
    CHECK_EQ(bine_deferred_state(end), 0);
    CHECK_EQ(bine_scope_alive(scope), 1);
    crank(1000 * SECOND);
    settle(rt);
    CHECK_EQ(bine_scope_alive(scope), 0);
    check_end(end, 1, "");
    CHECK(script_true("seen == [1, 2, 3, 4]"));
    close_scoped(rt);
}

TEST(a_closed_scope_takes_no_more_children)
{
    bine *rt = open_scoped("door 7");
    bine_micro *micro = start(rt, "well", 1);

    adopt(rt, "rest", 0);
    CHECK_OK(bine_scope_close(scope, NULL));
    CHECK_STATUS(bine_scope_adopt(scope, micro), BINE_ECLOSED);
    CHECK_HAS(bine_message(), "door 7 is closed");
    settle(rt);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK(script_true("seen == []"));
    bine_scope_cancel(scope, NULL);
    settle(rt);
    bine_micro_release(micro);
    close_scoped(rt);
}

TEST(a_scope_released_after_its_close_still_tells_of_the_end)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *first;
    bine_deferred *second;

    adopt(rt, "fail_later", 5);
    first = close_it();
    second = close_it();
    bine_scope_release(scope);
    scope = NULL;
    run_to_end(rt);
    CHECK_STR(bine_deferred_error(first)->group[0]->message, "5");
    CHECK_STR(bine_deferred_error(second)->group[0]->message, "5");
    bine_deferred_release(first);
    bine_deferred_release(second);
    close_scoped(rt);
}

TEST(cancelling_the_deferred_of_the_end_cancels_the_scope)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;

    adopt(rt, "rest", 1);
    settle(rt);
    end = close_it();
    CHECK_OK(bine_deferred_cancel(end));
    settle(rt);
    check_end(end, BINE_ECANCELED, "");
    CHECK(script_true("seen == [(1, 'Cancelled', 'the micro-thread was cancelled'), 1]"));
    close_scoped(rt);
}

static int wait_for_end(bine *rt, void *user, bine_value **result)
{
    bine_deferred *end;

    (void)rt;
    (void)result;
    CHECK_OK(bine_scope_close(scope, &end));
    *(int *)user = bine_wait(end, -1, NULL);
    bine_deferred_release(end);
    return BINE_OK;
}

TEST(c_waits_for_the_end)
{
    bine *rt = open_scoped(NULL);
    int status = 1;

    adopt(rt, "well", 1);
    CHECK_OK(bine_spawn(NULL, wait_for_end, &status, NULL, NULL));
    settle(rt);
    CHECK_EQ(status, BINE_OK);
    close_scoped(rt);
}

/* ---- errors ---- */

TEST(the_first_error_cancels_the_rest_and_comes_first)
{
    bine *rt = open_scoped("door 7");
    bine_deferred *end;
    const bine_error *error;

    adopt(rt, "rest", 1);
    adopt(rt, "sour", 2);
    adopt(rt, "fail_later", 3);
    adopt(rt, "sour", 4);
    end = close_it();
    run_to_end(rt);
    CHECK_EQ(bine_deferred_state(end), BINE_ESCRIPT);
    error = bine_deferred_error(end);
    CHECK_STR(error->type, "ExceptionGroup");
    CHECK_HAS(error->message, "door 7 failed");
    CHECK_EQ(error->group_count, 3);
    CHECK_STR(error->group[0]->type, "ValueError");
    CHECK_STR(error->group[0]->message, "3");
    CHECK_STR(error->group[1]->type, "KeyError");
    CHECK_STR(error->group[2]->type, "KeyError");
    CHECK(script_true("seen[-1] == 1"));
    bine_deferred_release(end);
    close_scoped(rt);
}

TEST(a_group_that_nobody_takes_is_reported_once)
{
    bine *rt = open_scoped(NULL);

    adopt(rt, "fail", 1);
    adopt(rt, "rest", 2);
    settle(rt);
    bine_deferred_release(close_it());
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "ExceptionGroup");
    forget_errors();
    close_scoped(rt);
}

TEST(an_error_also_waits_for_whoever_has_a_handle)
{
    bine *rt = open_scoped(NULL);
    bine_micro *micro = start(rt, "fail", 1);
    bine_error *error;

    CHECK_OK(bine_scope_adopt(scope, micro));
    settle(rt);
    CHECK_OK(bine_micro_error(micro, &error));
    CHECK_STR(error->type, "ValueError");
    bine_error_free(error);
    bine_micro_release(micro);
    close_scoped(rt); /* not reported: somebody has seen it */
}

TEST(errors_that_no_close_has_told_of_are_reported)
{
    bine *rt = open_scoped(NULL);

    adopt(rt, "fail", 1);
    adopt(rt, "sour", 2);
    adopt(rt, "sour", 3);
    CHECK_OK(bine_tick(rt, -1, NULL));
    settle(rt);
    CHECK_EQ(error_count(), 0);
    bine_scope_release(scope);
    scope = NULL;
    settle(rt);
    CHECK(error_count() >= 1);
    CHECK_STR(error_type(0), "ValueError");
    forget_errors();
    close_scoped(rt);
}

TEST(errors_after_the_release_are_reported_too)
{
    bine *rt = open_scoped(NULL);

    adopt(rt, "sour", 1);
    settle(rt);
    bine_scope_release(scope);
    scope = NULL;
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "KeyError");
    forget_errors();
    close_scoped(rt);
}

TEST(an_error_that_follows_a_cancel_of_the_end_is_reported)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;

    adopt(rt, "sour", 1);
    settle(rt);
    end = close_it();
    CHECK_OK(bine_deferred_cancel(end));
    settle(rt);
    CHECK_EQ(bine_deferred_state(end), BINE_ESCRIPT);
    bine_deferred_release(end);
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "ExceptionGroup");
    forget_errors();
    close_scoped(rt);
}

static int fail_in_c(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    return BINE_EIO;
}

static void release_scope(void *user)
{
    bine_scope_release(user);
    scope = NULL;
}

TEST(a_scope_is_released_by_its_own_child)
{
    bine *rt = open_scoped(NULL);

    CHECK_OK(bine_spawn(scope, fail_in_c, scope, release_scope, NULL));
    settle(rt);
    CHECK(scope == NULL);
    CHECK_EQ(error_count(), 1);
    forget_errors();
    close_scoped(rt);
}

TEST(an_interrupt_ends_the_children_of_the_main_script_before_it)
{
    bine *rt = open_runtime();

    start_script(rt, "import bine\n"
                     "seen = []\n"
                     "def rest():\n"
                     "    try: bine.sleep(1000)\n"
                     "    finally: seen.append('child')\n"
                     "try:\n"
                     "    with bine.Scope() as s: s.spawn(rest)\n"
                     "except KeyboardInterrupt: seen.append('main')\n"
                     "bine.sleep(1)\n");
    settle(rt);
    bine_interrupt(rt);
    run_to_end(rt);
    CHECK(script_true("seen == ['child', 'main']"));
    close_runtime(rt);
}

/* ---- cancelling ---- */

TEST(a_cancel_reaches_every_child_with_the_reason)
{
    bine *rt = open_scoped("door 7");
    bine_deferred *end;

    adopt(rt, "rest", 1);
    adopt(rt, "rest", 2);
    settle(rt);
    adopt(rt, "well", 3); /* has not begun */
    bine_scope_cancel(scope, "door 7 was destroyed");
    bine_scope_cancel(scope, "and again"); /* no effect */
    CHECK(script_true("seen == []"));
    end = close_it();
    settle(rt);
    CHECK(script_true("sorted(map(str, seen)) == ['(1, \\'Cancelled\\', \\'door 7 was destroyed\\')', "
                      "'(2, \\'Cancelled\\', \\'door 7 was destroyed\\')', '1', '2']"));
    check_end(end, BINE_ECANCELED, "door 7 was destroyed");
    close_scoped(rt);
}

TEST(a_reason_that_is_no_utf8_is_still_a_cancel)
{
    bine *rt = open_scoped("\xff");
    bine_micro *micro = start(rt, "rest", 1);

    CHECK_OK(bine_scope_adopt(scope, micro));
    settle(rt);
    bine_scope_cancel(scope, "caf\xe9");
    settle(rt);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK(script_true("seen[0] == (1, 'Cancelled', 'caf\\ufffd')"));
    bine_micro_release(micro);
    close_scoped(rt);
}

TEST(finally_blocks_may_wait_behind_a_shield_and_the_close_waits_for_them)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;

    adopt(rt, "shielded", 1);
    adopt(rt, "stubborn", 2);
    settle(rt);
    bine_scope_cancel(scope, NULL);
    end = close_it();
    settle(rt);
    CHECK_EQ(bine_deferred_state(end), 0);
    CHECK(script_true("seen == [2, 2, 2]"));
    crank(2 * SECOND);
    settle(rt);
    CHECK(script_true("seen == [2, 2, 2, 'clean']"));
    check_end(end, BINE_ECANCELED, "");
    close_scoped(rt);
}

static int count(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)result;
    ++*(int *)user;
    return BINE_OK;
}

static void count_release(void *user)
{
    *(int *)user += 100;
}

TEST(nothing_is_spawned_into_one_that_was_cancelled)
{
    bine *rt = open_scoped("door 7");
    bine_micro *micro = start(rt, "well", 1);
    int counted = 0;

    bine_scope_cancel(scope, "gone");
    CHECK_STATUS(bine_spawn(scope, count, &counted, count_release, NULL), BINE_ECLOSED);
    CHECK_HAS(bine_message(), "door 7 was cancelled");
    CHECK_EQ(counted, 100);
    CHECK_STATUS(bine_scope_adopt(scope, micro), BINE_ECLOSED);
    settle(rt);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK(script_true("seen == []"));
    bine_micro_release(micro);
    close_scoped(rt);
}

TEST(c_micro_threads_are_children_too)
{
    bine *rt = open_scoped(NULL);
    int counted = 0;

    CHECK_OK(bine_spawn(scope, count, &counted, count_release, NULL));
    CHECK_EQ(bine_scope_alive(scope), 1);
    settle(rt);
    CHECK_EQ(counted, 101);
    CHECK_OK(bine_spawn(scope, count, &counted, count_release, NULL));
    bine_scope_cancel(scope, NULL);
    settle(rt);
    CHECK_EQ(counted, 201); /* dropped before its first turn */
    CHECK_EQ(bine_scope_alive(scope), 0);
    close_scoped(rt);
}

TEST(a_child_belongs_to_one_scope_only)
{
    bine *rt = open_scoped(NULL);
    bine_micro *micro = start(rt, "rest", 1);
    bine_scope *other;

    CHECK_OK(bine_scope_new(rt, NULL, &other));
    CHECK_OK(bine_scope_adopt(scope, micro));
    CHECK_STATUS(bine_scope_adopt(other, micro), BINE_EBUSY);
    CHECK_STATUS(bine_scope_adopt(scope, micro), BINE_EBUSY);
    settle(rt);
    bine_scope_cancel(other, NULL);
    settle(rt);
    CHECK_EQ(bine_micro_get_state(micro), BINE_MICRO_WAITING);
    bine_scope_cancel(scope, NULL);
    settle(rt);
    CHECK_STATUS(bine_scope_adopt(other, micro), BINE_EBUSY); /* it has ended */
    bine_micro_release(micro);
    bine_scope_release(other);
    close_scoped(rt);
}

TEST(one_that_runs_already_can_be_adopted)
{
    bine *rt = open_scoped(NULL);
    bine_micro *micro = start(rt, "rest", 1);

    settle(rt);
    CHECK_OK(bine_scope_adopt(scope, micro));
    bine_micro_release(micro);
    bine_scope_cancel(scope, "late");
    settle(rt);
    CHECK(script_true("seen[0] == (1, 'Cancelled', 'late')"));
    close_scoped(rt);
}

/* ---- what members spawn ---- */

TEST(what_a_child_spawns_is_cancelled_with_it_and_waited_for)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;

    run_script(rt, "import __main__ as m\n"
                   "def family(depth):\n"
                   "    if depth: m.bine.spawn(family, depth - 1)\n"
                   "    m.rest(depth)\n"
                   "m.family = family\n");
    adopt(rt, "family", 3);
    end = close_it(); /* its children may still spawn */
    settle(rt);
    CHECK_EQ(bine_scope_alive(scope), 4);
    CHECK_EQ(bine_deferred_state(end), 0);
    bine_scope_cancel(scope, "over");
    settle(rt);
    CHECK(script_true("sorted(x for x in seen if type(x) is int) == [0, 1, 2, 3]"));
    CHECK(script_true("all(x[2] == 'over' for x in seen if type(x) is tuple)"));
    check_end(end, BINE_ECANCELED, "over");
    close_scoped(rt);
}

TEST(the_error_of_what_a_child_spawned_goes_where_it_would_go_without)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;

    run_script(rt, "import __main__ as m\n"
                   "def parent(n):\n"
                   "    m.bine.spawn(m.fail, 1)\n"
                   "    m.bine.sleep(2)\n"
                   "    m.seen.append('lived on')\n"
                   "m.parent = parent\n");
    adopt(rt, "parent", 0);
    end = close_it();
    run_to_end(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "ValueError");
    forget_errors();
    CHECK(script_true("seen == ['lived on']"));
    check_end(end, 1, "");
    close_scoped(rt);
}

TEST(members_of_a_cancelled_scope_spawn_nothing)
{
    bine *rt = open_scoped("door 7");

    run_script(rt, "import __main__ as m\n"
                   "def late(n):\n"
                   "    try: m.bine.sleep(9)\n"
                   "    finally:\n"
                   "        try: m.bine.spawn(m.well, 1)\n"
                   "        except m.bine.HostError as e: m.seen.append((e.name, str(e)))\n"
                   "m.late = late\n");
    adopt(rt, "late", 0);
    settle(rt);
    bine_scope_cancel(scope, NULL);
    settle(rt);
    CHECK(
        script_true("seen == [('BINE_ECLOSED', 'spawn: door 7 was cancelled: no new micro-threads in it')]"));
    close_scoped(rt);
}

TEST(a_scope_of_python_inside_a_child_ends_with_it)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;

    run_script(rt, "import __main__ as m\n"
                   "def nested(n):\n"
                   "    try:\n"
                   "        with m.bine.Scope() as s:\n"
                   "            s.spawn(m.rest, 1)\n"
                   "            s.spawn(lambda: m.bine.spawn(m.rest, 2).join())\n"
                   "    finally: m.seen.append('left')\n"
                   "m.nested = nested\n");
    adopt(rt, "nested", 0);
    end = close_it();
    settle(rt);
    bine_scope_cancel(scope, "gone");
    settle(rt);
    CHECK(script_true("sorted(x for x in seen if type(x) is int) == [1, 2]"));
    CHECK(script_true("seen[-1] == 'left'"));
    CHECK_EQ(bine_scope_alive(scope), 0);
    check_end(end, BINE_ECANCELED, "gone");
    close_scoped(rt);
}

/* ---- deferreds bound to it ---- */

static bine_resolver *kept;
static int cancels;

static void on_cancel(bine_resolver *r, void *user)
{
    (void)user;
    CHECK(r == kept);
    kept = NULL;
    cancels++;
    bine_resolver_drop(r);
}

/* walk(): defers, bound to the scope. */
static int walk(bine_call *call, void *user)
{
    int status = bine_defer(call, user == NULL ? on_cancel : NULL, &kept);

    return status == BINE_OK ? bine_scope_bind(scope, kept) : status;
}

static void new_bound(bine *rt, bine_on_cancel canceller, bine_deferred **d, bine_resolver **r)
{
    CHECK_OK(bine_deferred_new(rt, canceller, NULL, d, r));
    CHECK_OK(bine_scope_bind(scope, *r));
}

TEST(whoever_waits_for_a_bound_deferred_wakes_with_the_reason)
{
    bine *rt = open_scoped("door 7");

    CHECK_OK(bine_def(rt, "door", "walk() -> None", walk, NULL, NULL));
    start_script(rt, "import bine, door, __main__ as m\n"
                     "try: door.walk()\n"
                     "except bine.HostError as e: m.seen.append((e.name, str(e)))\n");
    settle(rt);
    CHECK(kept != NULL);
    bine_scope_cancel(scope, "door 7 was destroyed");
    CHECK_EQ(cancels, 0);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK(script_true("seen == [('BINE_EBROKEN', 'door 7 was destroyed')]"));
    close_scoped(rt);
}

TEST(a_child_that_waits_for_a_bound_deferred_is_cancelled_with_the_reason)
{
    bine *rt = open_scoped("door 7");
    bine_micro *micro;

    CHECK_OK(bine_def(rt, "door", "walk() -> None", walk, NULL, NULL));
    CHECK_OK(bine_run_string(rt,
                             "import bine, door, __main__ as m\n"
                             "try: door.walk()\n"
                             "except bine.Cancelled as e: m.seen.append(str(e)); raise\n",
                             "x", &micro));
    CHECK_OK(bine_scope_adopt(scope, micro));
    settle(rt);
    bine_scope_cancel(scope, "gone");
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK(script_true("seen == ['gone']"));
    bine_micro_release(micro);
    close_scoped(rt);
}

TEST(a_bound_deferred_without_reason_says_whose_it_was)
{
    bine *rt = open_scoped("door 7");
    bine_deferred *d;
    bine_resolver *r;

    new_bound(rt, NULL, &d, &r);
    bine_scope_cancel(scope, NULL);
    settle(rt);
    check_end(d, BINE_EBROKEN, "door 7");
    CHECK_STATUS(bine_resolve(r, bine_value_nil()), BINE_ESETTLED);
    close_scoped(rt);
}

TEST(what_was_settled_before_keeps_its_result)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *d;
    bine_resolver *r;

    new_bound(rt, NULL, &d, &r);
    CHECK_OK(bine_resolve(r, bine_value_i64(1)));
    bine_scope_cancel(scope, "gone");
    settle(rt);
    check_end(d, 1, "");
    close_scoped(rt);
}

TEST(one_that_was_cancelled_before_stays_cancelled)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *d;

    CHECK_OK(bine_deferred_new(rt, on_cancel, NULL, &d, &kept));
    CHECK_OK(bine_scope_bind(scope, kept));
    CHECK_OK(bine_deferred_cancel(d));
    bine_scope_cancel(scope, "gone");
    settle(rt);
    CHECK_EQ(cancels, 1);
    check_end(d, BINE_ECANCELED, "");
    close_scoped(rt);
}

TEST(binding_to_a_cancelled_scope_breaks_it_at_once)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *d;
    bine_resolver *r;

    bine_scope_cancel(scope, "gone");
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
    CHECK_STATUS(bine_scope_bind(scope, r), BINE_ECLOSED);
    CHECK_EQ(bine_deferred_state(d), 0);
    settle(rt);
    check_end(d, BINE_EBROKEN, "gone");
    bine_resolver_drop(r);
    close_scoped(rt);
}

TEST(a_deferred_may_be_bound_to_several_scopes)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *d;
    bine_resolver *r;
    bine_scope *other;

    CHECK_OK(bine_scope_new(rt, NULL, &other));
    new_bound(rt, NULL, &d, &r);
    CHECK_OK(bine_scope_bind(scope, r));
    CHECK_OK(bine_scope_bind(other, r));
    bine_scope_cancel(other, "other");
    bine_scope_cancel(scope, "first");
    settle(rt);
    check_end(d, BINE_EBROKEN, "other");
    bine_resolver_drop(r);
    bine_scope_release(other);
    close_scoped(rt);
}

static bine_resolver *elsewhere;

static void resolve_elsewhere(void *user)
{
    (void)user;
    CHECK_OK(bine_resolve(elsewhere, bine_value_i64(1)));
}

TEST(a_result_on_its_way_from_another_thread_wins)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *d;

    new_bound(rt, NULL, &d, &elsewhere);
    in_thread(resolve_elsewhere, NULL);
    bine_scope_cancel(scope, "gone");
    settle(rt);
    check_end(d, 1, "");
    close_scoped(rt);
}

TEST(a_bound_deferred_that_nobody_holds_is_broken_too)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *d;

    CHECK_OK(bine_deferred_new(rt, on_cancel, NULL, &d, &kept));
    CHECK_OK(bine_scope_bind(scope, kept));
    bine_deferred_release(d);
    bine_scope_cancel(scope, "gone");
    settle(rt);
    CHECK_EQ(cancels, 1);
    close_scoped(rt);
}

TEST(releasing_the_scope_breaks_what_is_bound)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *d;
    bine_resolver *r;

    new_bound(rt, NULL, &d, &r);
    bine_scope_release(scope);
    scope = NULL;
    settle(rt);
    check_end(d, BINE_EBROKEN, "the scope it belongs to was cancelled");
    bine_resolver_drop(r);
    close_scoped(rt);
}

TEST(closing_the_scope_leaves_what_is_bound)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *d;
    bine_resolver *r;

    new_bound(rt, NULL, &d, &r);
    check_end(close_it(), 1, "");
    bine_scope_release(scope);
    scope = NULL;
    settle(rt);
    CHECK_EQ(bine_deferred_state(d), 0);
    CHECK_OK(bine_resolve(r, bine_value_nil()));
    bine_deferred_release(d);
    close_scoped(rt);
}

/* ---- deadlines ---- */

TEST(after_the_deadline_all_are_cancelled)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;
    bine_deferred *d;
    bine_resolver *r;

    adopt(rt, "rest", 1);
    new_bound(rt, NULL, &d, &r);
    CHECK_OK(bine_scope_set_deadline(scope, 5 * SECOND));
    CHECK_OK(bine_scope_set_deadline(scope, 2 * SECOND)); /* replaces it */
    end = close_it();
    settle(rt);
    crank(2 * SECOND - 1);
    settle(rt);
    CHECK_EQ(bine_deferred_state(end), 0);
    crank(1);
    settle(rt);
    CHECK(script_true("seen[-1] == 1"));
    check_end(end, BINE_ETIMEDOUT, "");
    CHECK_EQ(bine_deferred_state(d), BINE_EBROKEN);
    bine_deferred_release(d);
    bine_resolver_drop(r);
    close_scoped(rt);
}

TEST(a_deadline_is_taken_back_or_over_with_the_scope)
{
    bine *rt = open_scoped(NULL);

    CHECK_OK(bine_scope_set_deadline(scope, SECOND));
    CHECK_OK(bine_scope_set_deadline(scope, -1));
    crank(2 * SECOND);
    settle(rt);
    adopt(rt, "well", 1);
    CHECK_OK(bine_scope_set_deadline(scope, SECOND));
    check_end(close_it(), 0, "");
    settle(rt);
    check_end(close_it(), 1, "");
    CHECK_STATUS(bine_scope_set_deadline(scope, SECOND), BINE_ECLOSED);
    close_scoped(rt); /* which looks that no timer is left */
}

TEST(a_deadline_that_passes_before_the_close_counts)
{
    bine *rt = open_scoped(NULL);

    CHECK_OK(bine_scope_set_deadline(scope, 0));
    settle(rt);
    CHECK_STATUS(bine_scope_set_deadline(scope, SECOND), BINE_ECLOSED);
    check_end(close_it(), BINE_ETIMEDOUT, "");
    close_scoped(rt);
}

TEST(errors_after_the_deadline_come_after_its_own)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *end;

    adopt(rt, "sour", 1);
    CHECK_OK(bine_scope_set_deadline(scope, SECOND));
    end = close_it();
    run_to_end(rt);
    CHECK_EQ(bine_deferred_state(end), BINE_ESCRIPT);
    CHECK_EQ(bine_deferred_error(end)->group_count, 2);
    CHECK_STR(bine_deferred_error(end)->group[0]->type, "bine.Timeout");
    CHECK_STR(bine_deferred_error(end)->group[1]->type, "KeyError");
    bine_deferred_release(end);
    close_scoped(rt);
}

/* ---- bad use, and the end ---- */

static void use_elsewhere(void *user)
{
    bine_deferred *d;

    CHECK_STATUS(bine_scope_new(user, NULL, (bine_scope **)&d), BINE_ETHREAD);
    CHECK_STATUS(bine_scope_close(scope, &d), BINE_ETHREAD);
    CHECK(d == NULL);
    CHECK_STATUS(bine_scope_set_deadline(scope, 0), BINE_ETHREAD);
    bine_scope_cancel(scope, "not from here");
}

TEST(bad_use_is_refused)
{
    bine *rt = open_scoped(NULL);
    bine_scope *other = scope;
    bine_deferred *d;
    bine_resolver *r;

    CHECK_STATUS(bine_scope_new(NULL, NULL, &other), BINE_EINVAL);
    CHECK(other == NULL);
    CHECK_STATUS(bine_scope_new(rt, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_scope_adopt(scope, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_scope_close(NULL, &d), BINE_EINVAL);
    CHECK_STATUS(bine_scope_set_deadline(NULL, 1), BINE_EINVAL);
    CHECK_STATUS(bine_scope_bind(scope, NULL), BINE_EINVAL);
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
    CHECK_STATUS(bine_scope_bind(NULL, r), BINE_EINVAL);
    CHECK_OK(bine_resolve(r, bine_value_nil()));
    bine_deferred_release(d);
    bine_scope_cancel(NULL, NULL);
    CHECK_EQ(bine_scope_alive(NULL), 0);
    bine_scope_release(NULL);
    in_thread(use_elsewhere, rt);
    check_end(close_it(), 1, "");
    close_scoped(rt);
}

TEST(scopes_are_released_in_any_order_also_with_children_inside)
{
    bine *rt = open_runtime();
    bine_scope *scopes[4];

    add_host_module(rt);
    run_script(rt, setup);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(bine_scope_new(rt, NULL, &scopes[i]));
        scope = scopes[i];
        adopt(rt, "rest", i);
    }
    settle(rt);
    bine_scope_release(scopes[2]);
    bine_scope_release(scopes[0]);
    settle(rt);
    CHECK(script_true("sorted(x for x in seen if type(x) is int) == [0, 2]"));
    bine_scope_release(scopes[3]);
    bine_scope_release(scopes[1]);
    settle(rt);
    CHECK(script_true("sorted(x for x in seen if type(x) is int) == [0, 1, 2, 3]"));
    scope = NULL;
    close_scoped(rt);
}

TEST(at_the_end_of_the_runtime_children_get_exit)
{
    bine *rt = open_scoped(NULL);
    bine_scope *other = NULL;
    bine_deferred *end;

    adopt(rt, "rest", 1);
    settle(rt);
    end = close_it();
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_STATUS(bine_scope_new(rt, NULL, &other), BINE_ECLOSED);
    settle(rt);
    CHECK(script_true("seen[0][1] == 'Exit'"));
    check_end(end, 1, "");
    close_scoped(rt);
}

TEST(handles_may_be_released_after_the_runtime_has_gone)
{
    bine *rt = open_scoped("door 7");
    bine_scope *other;
    bine_deferred *end;
    bine_deferred *d;
    bine_resolver *r;

    CHECK_OK(bine_scope_new(rt, NULL, &other));
    CHECK_OK(bine_scope_set_deadline(other, SECOND));
    adopt(rt, "fail", 1);
    adopt(rt, "rest", 2);
    settle(rt);
    end = close_it();
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
    CHECK_OK(bine_scope_bind(other, r));
    settle(rt);
    CHECK_OK(bine_close(rt));
    CHECK_STATUS(bine_resolve(r, bine_value_nil()), BINE_ECLOSED);
    bine_scope_cancel(scope, "late");
    bine_scope_cancel(other, "late");
    CHECK_STATUS(bine_scope_close(other, NULL), BINE_ECLOSED);
    bine_scope_release(scope);
    bine_scope_release(other);
    bine_deferred_release(end);
    bine_deferred_release(d);
    CHECK_EQ(error_count(), 1); /* that of the one that failed */
}

TEST(an_error_nobody_asked_for_is_reported_at_the_close_of_the_runtime)
{
    bine *rt = open_scoped(NULL);

    adopt(rt, "fail", 1);
    settle(rt);
    CHECK_EQ(error_count(), 0);
    CHECK_OK(bine_close(rt));
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "ValueError");
    bine_scope_release(scope);
}

/* ---- as the dice fall ---- */

#define OBJECTS 8

/* An object of the host's that scripts live in and wait for. */
typedef struct object {
    bine_scope *scope; /* NULL: it is not there */
    bine_deferred *end;
    bine_deferred *bound;
    bine_resolver *resolver;
} object;

static uint64_t dice_state = 12345;
static int started;
static int ended_c;

static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(dice_state >> 33) % sides;
}

static void has_ended(void *user)
{
    (void)user;
    ended_c++;
}

/* Waits for the thing of the object, and cleans up. */
static int wait_and_clean(bine *rt, void *user, bine_value **result)
{
    int status = bine_wait(user, dice(2) == 0 ? -1 : (int64_t)dice(3) * SECOND, NULL);

    (void)rt;
    (void)result;
    if (status == BINE_ECANCELED && dice(2) == 0) {
        CHECK_OK(bine_shield_begin(2 * SECOND));
        CHECK_OK(bine_sleep((int64_t)dice(2) * SECOND));
        if (dice(2) == 0)
            bine_shield_end();
    }
    return status == BINE_ETIMEDOUT || status == BINE_EBROKEN ? BINE_OK : status;
}

static void free_bound(void *user)
{
    bine_deferred_release(user);
    has_ended(NULL);
}

static void make_object(bine *rt, object *o)
{
    CHECK_OK(bine_scope_new(rt, dice(2) == 0 ? "thing" : NULL, &o->scope));
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &o->bound, &o->resolver));
    CHECK_OK(bine_scope_bind(o->scope, o->resolver));
}

static void populate(bine *rt, object *o)
{
    static const char *const functions[] = {"rest",     "fail",     "fail_later", "sour",
                                            "stubborn", "shielded", "well"};
    bine_micro *micro;

    if (dice(3) == 0) {
        started++;
        bine_spawn(o->scope, wait_and_clean, bine_deferred_retain(o->bound), free_bound, NULL);
        return;
    }
    micro = start(rt, functions[dice(7)], 0);
    (void)bine_scope_adopt(o->scope, micro);
    if (dice(4) == 0)
        CHECK_OK(bine_micro_cancel(micro));
    bine_micro_release(micro);
}

/* Lets go of all, in whatever order. */
static void drop(object *o)
{
    switch (dice(3)) {
    case 0:
        bine_resolver_drop(o->resolver);
        bine_scope_release(o->scope);
        break;
    case 1:
        bine_scope_release(o->scope);
        (void)bine_resolve(o->resolver, bine_value_nil());
        break;
    default:
        bine_scope_cancel(o->scope, "gone");
        bine_resolver_drop(o->resolver);
        bine_scope_release(o->scope);
    }
    bine_deferred_release(o->end);
    bine_deferred_release(o->bound);
    *o = (object){0};
}

static void play(bine *rt, object *o)
{
    if (o->scope == NULL) {
        make_object(rt, o);
        return;
    }
    switch (dice(12)) {
    case 0:
        drop(o);
        break;
    case 1:
        if (o->end == NULL)
            CHECK_OK(bine_scope_close(o->scope, &o->end));
        break;
    case 2:
        bine_scope_cancel(o->scope, dice(2) == 0 ? "dice" : NULL);
        break;
    case 3:
        (void)bine_scope_set_deadline(o->scope, (int64_t)dice(4) * SECOND - SECOND);
        break;
    case 4:
        if (o->end != NULL)
            (void)bine_deferred_cancel(o->end);
        break;
    case 5:
        crank((int64_t)dice(3) * SECOND);
        break;
    case 6:
    case 7:
        CHECK_OK(bine_tick(rt, dice(2) == 0 ? -1 : 0, NULL));
        break;
    default:
        populate(rt, o);
    }
}

TEST(objects_come_and_go_as_the_dice_fall)
{
    bine *rt = open_scoped(NULL);
    object objects[OBJECTS] = {0};

    for (int i = 0; i < 20000; i++)
        play(rt, &objects[dice(OBJECTS)]);
    for (int i = 0; i < OBJECTS; i++)
        if (objects[i].scope != NULL)
            drop(&objects[i]);
    run_to_end(rt);
    CHECK_EQ(started, ended_c);
    bine_python_enter(rt);
    PyGC_Collect();
    bine_python_leave(rt);
    settle(rt);
    for (size_t i = 0; i < error_count(); i++)
        CHECK(strstr("ExceptionGroup ValueError KeyError bine.HostError bine.Timeout", error_type(i)) !=
              NULL);
    CHECK(error_count() > 100);
    forget_errors();
    close_scoped(rt);
}

/* ---- one error, one report ---- */

/* Two deferreds for the end of one that fails. */
static bine_micro *fail_with_two_results(bine *rt, bine_deferred *ends[2])
{
    bine_micro *micro = start(rt, "fail", 1);

    for (int i = 0; i < 2; i++)
        CHECK_OK(bine_micro_result(micro, &ends[i]));
    settle(rt);
    return micro;
}

TEST(an_error_with_two_results_that_nobody_takes_is_reported_once)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *ends[2];
    bine_micro *micro = fail_with_two_results(rt, ends);

    bine_deferred_release(ends[0]);
    bine_deferred_release(ends[1]);
    bine_micro_release(micro);
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "ValueError");
    forget_errors();
    close_scoped(rt);
}

TEST(an_error_that_was_got_by_one_of_two_results_is_not_reported)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *ends[2];
    bine_micro *micro = fail_with_two_results(rt, ends);

    CHECK(bine_deferred_error(ends[1]) != NULL);
    bine_deferred_release(ends[0]);
    bine_deferred_release(ends[1]);
    bine_micro_release(micro);
    settle(rt);
    CHECK_EQ(error_count(), 0);
    close_scoped(rt);
}

TEST(a_close_after_the_error_was_told_does_not_report_it_again)
{
    bine *rt = open_scoped(NULL);

    adopt(rt, "fail", 1);
    bine_deferred_release(close_it());
    settle(rt);
    CHECK_EQ(error_count(), 1);
    forget_errors();
    check_end(close_it(), BINE_ESCRIPT, "ExceptionGroup: micro-threads of a scope failed (1 sub-exception)");
    bine_deferred_release(close_it());
    settle(rt);
    CHECK_EQ(error_count(), 0);
    close_scoped(rt);
}

/* ---- released by its own errors ---- */

static bine_deferred *second_end;

static void end_scope(void *doomed)
{
    CHECK_OK(bine_scope_close(doomed, &second_end));
    bine_scope_release(doomed);
}

/* Fails with the host's object in hand, with which the scope goes. */
static int fail_with_object(bine *rt, void *doomed, bine_value **result)
{
    bine_value *value = bine_value_pointer(doomed, "door", end_scope);
    PyObject *thing = bine_value_to_python(value);

    (void)rt;
    (void)result;
    bine_value_free(value);
    PyErr_SetObject(PyExc_ValueError, thing);
    Py_DECREF(thing);
    return BINE_ESCRIPT;
}

static int exit_when_cancelled(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    CHECK_STATUS(bine_sleep(SECOND), BINE_ECANCELED);
    PyErr_SetString(PyExc_SystemExit, "enough");
    return BINE_ESCRIPT;
}

TEST(a_scope_may_be_closed_again_and_released_by_what_its_errors_drop)
{
    bine *rt = open_scoped("door 7");
    bine_deferred *end;

    CHECK_OK(bine_spawn(scope, exit_when_cancelled, NULL, NULL, NULL));
    CHECK_OK(bine_spawn(scope, fail_with_object, scope, NULL, NULL));
    end = close_it();
    settle(rt); /* SystemExit comes bare: the other error goes, and the object with it */
    CHECK(second_end != NULL);
    check_end(second_end, BINE_ESCRIPT, "SystemExit: enough");
    check_end(end, BINE_ESCRIPT, "SystemExit: enough");
    settle(rt);
    CHECK_EQ(error_count(), 0);
    close_runtime(rt);
}

TEST(two_closes_that_nobody_takes_are_reported_once)
{
    bine *rt = open_scoped(NULL);
    bine_deferred *first;
    bine_deferred *second;

    adopt(rt, "fail", 1);
    first = close_it();
    second = close_it();
    settle(rt);
    bine_deferred_release(first);
    bine_deferred_release(second);
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "ExceptionGroup");
    forget_errors();
    close_scoped(rt);
}

/* ---- moving ---- */

static bine_scope *other_door;

/* A script of one door starts one for another. */
static int start_elsewhere(bine_call *call, void *user)
{
    bine_micro *micro = start(bine_call_runtime(call), "rest", 2);

    (void)user;
    CHECK_EQ(bine_scope_alive(scope), 2); /* by who started it */
    CHECK_OK(bine_scope_adopt(other_door, micro));
    CHECK_STATUS(bine_scope_adopt(scope, micro), BINE_EBUSY);
    bine_micro_release(micro);
    return BINE_OK;
}

TEST(what_a_script_of_one_scope_starts_can_be_adopted_by_another)
{
    bine *rt = open_scoped("door 7");

    CHECK_OK(bine_scope_new(rt, "door 8", &other_door));
    CHECK_OK(bine_def(rt, "doors", "start_elsewhere() -> None", start_elsewhere, NULL, NULL));
    run_script(rt, "import bine, doors, __main__\n"
                   "__main__.call = lambda n: (doors.start_elsewhere(), bine.sleep(9))\n");
    adopt(rt, "call", 0);
    settle(rt);
    CHECK_EQ(bine_scope_alive(scope), 1);
    CHECK_EQ(bine_scope_alive(other_door), 1);
    bine_scope_cancel(scope, NULL);
    settle(rt);
    CHECK_EQ(bine_scope_alive(other_door), 1);
    bine_scope_cancel(other_door, "door 8 was walled up");
    settle(rt);
    CHECK_STR(script_str("seen[0][2]"), "door 8 was walled up");
    bine_scope_release(other_door);
    close_scoped(rt);
}

TEST(the_reason_reaches_those_of_scopes_inside)
{
    bine *rt = open_scoped("door 7");

    run_script(rt, "import bine, __main__\n"
                   "def nest(n):\n"
                   "    with bine.Scope() as inner: inner.spawn(__main__.rest, 5)\n"
                   "__main__.nest = nest\n");
    adopt(rt, "nest", 0);
    settle(rt);
    bine_scope_cancel(scope, "the house burnt down");
    settle(rt);
    CHECK_STR(script_str("seen[0][2]"), "the house burnt down");
    close_scoped(rt);
}
