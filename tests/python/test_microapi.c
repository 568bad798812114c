/* C functions as micro-threads, the deferreds for their ends, and calls from C into Python. */
#include "fixture.h"

#include <bine/python.h>

/* What a C micro-thread is to do, and what became of it. */
typedef struct probe {
    int turns;
    int released;
    int status;
    bine_value *value;
    bine_deferred *deferred;
    const char *raises;
} probe;

static void release(void *user)
{
    ((probe *)user)->released++;
}

static bine_deferred *deferred;
static bine_resolver *resolver;

static void new_pair(bine *rt)
{
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &deferred, &resolver));
}

/* Answers as told, and leaves an exception if it is to. */
static int answer(bine *rt, void *user, bine_value **result)
{
    probe *p = user;

    (void)rt;
    p->turns++;
    if (p->raises != NULL)
        PyErr_SetString(PyExc_KeyError, p->raises);
    *result = p->value;
    return p->status;
}

/* Waits for what it is given. */
static int wait_for(bine *rt, void *user, bine_value **result)
{
    probe *p = user;

    (void)rt;
    p->turns++;
    p->status = bine_wait(p->deferred, -1, result);
    p->turns++;
    return p->status;
}

static int look(bine *rt, void *user, bine_value **result)
{
    probe *p = user;

    CHECK(result != NULL && *result == NULL);
    CHECK(bine_micro_current() != NULL);
    CHECK_EQ(bine_micro_get_state(bine_micro_current()), BINE_MICRO_RUNNING);
    CHECK_STATUS(bine_tick(rt, 0, NULL), BINE_EBUSY);
    p->turns++;
    return BINE_OK;
}

static bine_micro *spawn(bine_micro_fn function, probe *p)
{
    bine_micro *micro;

    CHECK_OK(bine_spawn(NULL, function, p, release, &micro));
    return micro;
}

/* ---- spawning ---- */

TEST(it_runs_at_a_tick_and_its_user_is_released_once_it_has_ended)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro = spawn(look, &p);

    CHECK_EQ(p.turns, 0);
    CHECK_EQ(bine_micro_get_state(micro), BINE_MICRO_READY);
    CHECK_STATUS(bine_micro_status(micro), BINE_EBUSY);
    settle(rt);
    CHECK_EQ(p.turns, 1);
    CHECK_EQ(p.released, 1);
    CHECK_OK(bine_micro_status(micro));
    bine_micro_release(micro);
    CHECK_EQ(p.released, 1);
    close_runtime(rt);
}

TEST(it_needs_neither_a_handle_nor_a_release)
{
    bine *rt = open_runtime();
    probe p = {0};

    CHECK_OK(bine_spawn(NULL, look, &p, NULL, NULL));
    settle(rt);
    CHECK_EQ(p.turns, 1);
    close_runtime(rt);
}

static void spawn_elsewhere(void *user)
{
    bine_micro *micro = (bine_micro *)user;

    CHECK_STATUS(bine_spawn(NULL, look, user, release, &micro), BINE_ETHREAD);
    CHECK(micro == NULL);
}

TEST(one_that_cannot_be_started_is_released_at_once)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro = (bine_micro *)&p;
    bine_scope *scope;

    CHECK_STATUS(bine_spawn(NULL, NULL, &p, release, &micro), BINE_EINVAL);
    CHECK(micro == NULL);
    CHECK_EQ(p.released, 1);
    in_thread(spawn_elsewhere, &p);
    CHECK_EQ(p.released, 2);
    CHECK_OK(bine_scope_new(rt, NULL, &scope));
    bine_scope_cancel(scope, NULL);
    CHECK_STATUS(bine_spawn(scope, look, &p, release, &micro), BINE_ECLOSED);
    CHECK_EQ(p.released, 3);
    bine_scope_release(scope);
    CHECK_OK(bine_shutdown(rt, 0));
    CHECK_STATUS(bine_spawn(NULL, look, &p, release, &micro), BINE_ECLOSED);
    CHECK(micro == NULL);
    CHECK_EQ(p.released, 4);
    CHECK_EQ(p.turns, 0);
    close_runtime(rt);
}

static int spawn_another(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)result;
    return bine_spawn(NULL, look, user, release, NULL);
}

TEST(a_c_micro_thread_spawns_others)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro = spawn(spawn_another, &p);

    settle(rt);
    CHECK_EQ(p.turns, 1);
    CHECK_EQ(p.released, 2);
    bine_micro_release(micro);
    close_runtime(rt);
}

static int mine;

static int keep_data(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    CHECK(bine_micro_data(bine_micro_current()) == &mine);
    return BINE_OK;
}

static int spawn_with_data(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    bine_micro_set_data(bine_micro_current(), &mine);
    return bine_spawn(NULL, keep_data, NULL, NULL, NULL);
}

TEST(the_hosts_pointer_is_inherited)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_spawn(NULL, spawn_with_data, NULL, NULL, NULL));
    settle(rt);
    close_runtime(rt);
}

/* ---- waiting ---- */

TEST(it_waits_for_a_deferred_and_hands_its_value_on)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro;
    bine_deferred *end;
    const bine_value *value;

    new_pair(rt);
    p.deferred = deferred;
    micro = spawn(wait_for, &p);
    CHECK_OK(bine_micro_result(micro, &end));
    settle(rt);
    CHECK_EQ(p.turns, 1);
    CHECK_EQ(bine_micro_get_state(micro), BINE_MICRO_WAITING);
    CHECK_OK(bine_resolve(resolver, bine_value_str("here")));
    CHECK_EQ(p.turns, 1);
    settle(rt);
    CHECK_EQ(p.turns, 2);
    CHECK_EQ(bine_deferred_peek(end, &value, NULL), 1);
    CHECK_STR(bine_value_as_str(value, NULL), "here");
    bine_deferred_release(end);
    bine_deferred_release(deferred);
    bine_micro_release(micro);
    close_runtime(rt);
}

static char order[64];

static int take_turns(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)result;
    for (int i = 0; i < 3; i++) {
        strncat(order, user, 1);
        CHECK_OK(bine_yield());
    }
    return BINE_OK;
}

static int sleep_long(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)result;
    CHECK_OK(bine_sleep((int64_t)strlen(user) * SECOND));
    strncat(order, user, 1);
    return BINE_OK;
}

TEST(yields_take_turns_with_scripts)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_spawn(NULL, take_turns, "a", NULL, NULL));
    CHECK_OK(bine_spawn(NULL, take_turns, "b", NULL, NULL));
    settle(rt);
    CHECK_STR(order, "ababab");
    close_runtime(rt);
}

TEST(sleeps_end_in_the_order_of_their_times)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_spawn(NULL, sleep_long, "ccc", NULL, NULL));
    CHECK_OK(bine_spawn(NULL, sleep_long, "a", NULL, NULL));
    CHECK_OK(bine_spawn(NULL, sleep_long, "bb", NULL, NULL));
    run_to_end(rt);
    CHECK_STR(order, "abc");
    close_runtime(rt);
}

/* Waits at each depth on the way down and on the way up. */
static int descend(int depth)
{
    volatile char used[256];
    int status = depth % 2 == 0 ? bine_yield() : bine_sleep(MS);

    used[0] = (char)depth;
    if (status == BINE_OK && depth > 0)
        status = descend(depth - 1);
    if (status == BINE_OK)
        status = bine_yield();
    CHECK_EQ(used[0], (char)depth);
    return status;
}

static int go_deep(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    ((probe *)user)->status = descend(100);
    *result = bine_value_bool(true);
    return ((probe *)user)->status;
}

TEST(it_waits_at_every_depth_of_its_stack)
{
    bine *rt = open_runtime();
    probe p[3] = {0};

    for (int i = 0; i < 3; i++)
        CHECK_OK(bine_spawn(NULL, go_deep, &p[i], release, NULL));
    run_to_end(rt);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(p[i].status);
        CHECK_EQ(p[i].released, 1);
    }
    close_runtime(rt);
}

TEST(a_cancel_reaches_the_depth_of_its_stack)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro = spawn(go_deep, &p);

    for (int i = 0; i < 20; i++) {
        CHECK_OK(bine_tick(rt, -1, NULL));
        crank(MS);
    }
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_EQ(p.status, BINE_ECANCELED);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    close_runtime(rt);
}

/* ---- ending ---- */

/* Joins in Python what C spawned. */
static int start(bine_call *call, void *user)
{
    bine *rt = bine_call_runtime(call);
    probe *p = user;
    bine_micro *micro = spawn(p->deferred != NULL ? wait_for : answer, p);
    bine_value *object = bine_value_from_object(rt, (PyObject *)micro);

    bine_micro_release(micro);
    return bine_return(call, object);
}

static bine *open_starting(probe *p)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "start() -> object", start, p, NULL));
    return rt;
}

static bine_value *one_of_each(void)
{
    bine_value *list = bine_value_list();
    bine_value *dict = bine_value_dict();

    bine_value_set(dict, "k", bine_value_bytes("\0\1", 2));
    bine_value_append(list, bine_value_nil());
    bine_value_append(list, bine_value_bool(true));
    bine_value_append(list, bine_value_i64(INT64_MIN));
    bine_value_append(list, bine_value_f64(0.5));
    bine_value_append(list, bine_value_str("caf\xc3\xa9"));
    bine_value_append(list, dict);
    return list;
}

TEST(join_in_python_returns_what_it_answered)
{
    probe p = {0};
    bine *rt = open_starting(&p);

    p.value = one_of_each();
    run_script(rt, "import host, bine\n"
                   "t = host.start()\n"
                   "assert type(t) is bine.MicroThread and not t.done and t in bine.all()\n"
                   "assert t.join() == [None, True, -2**63, 0.5, 'caf\\xe9', {'k': b'\\0\\1'}], t.join()\n"
                   "assert t.join() is t.join() and t.done and t.stack() == []\n");
    CHECK_EQ(p.released, 1);
    close_runtime(rt);
}

TEST(without_an_answer_join_returns_none)
{
    probe p = {0};
    bine *rt = open_starting(&p);

    run_script(rt, "import host; assert host.start().join() is None");
    close_runtime(rt);
}

TEST(a_script_sees_it_wait_cancels_it_and_times_its_join_out)
{
    probe p = {0};
    bine *rt = open_starting(&p);

    new_pair(rt);
    p.deferred = deferred;
    run_script(rt, "import bine, host\n"
                   "t = host.start()\n"
                   "try: t.join(timeout=1)\n"
                   "except bine.Timeout: pass\n"
                   "assert repr(t).endswith('waiting>'), repr(t)\n"
                   "assert t.stack() == []\n"
                   "t.cancel()\n"
                   "try: t.join()\n"
                   "except bine.Cancelled: got = 1\n");
    CHECK_EQ(script_int("got"), 1);
    CHECK_EQ(p.status, BINE_ECANCELED);
    CHECK_EQ(p.released, 1);
    bine_resolver_drop(resolver);
    bine_deferred_release(deferred);
    settle(rt);
    CHECK_EQ(error_count(), 1); /* the drop, which nobody waited for any more */
    forget_errors();
    close_runtime(rt);
}

static int destroyed;

static void destroy(void *pointer)
{
    (void)pointer;
    destroyed++;
}

TEST(a_pointer_it_answered_with_lives_as_long_as_the_script_has_it)
{
    probe p = {0};
    bine *rt = open_starting(&p);

    p.value = bine_value_pointer(&p, "door", destroy);
    run_script(rt,
               "import host\nt = host.start()\nx = t.join()\ny = t.join()\ndel t\nassert 'door' in repr(x)");
    CHECK_EQ(destroyed, 0);
    run_script(rt, "import __main__, bine; del __main__.x; bine.pause()");
    CHECK_EQ(destroyed, 0);
    run_script(rt, "import __main__, bine; del __main__.y; bine.pause()");
    CHECK_EQ(destroyed, 1);
    close_runtime(rt);
}

static const struct ending {
    int status;
    const char *type;
    const char *message;
} endings[] = {
    {BINE_EINVAL, "ValueError", "domain"},
    {BINE_ETYPE, "TypeError", "kind"},
    {BINE_ENOMEM, "MemoryError", "memory"},
    {BINE_EBUSY, "RuntimeError", ""},
    {BINE_ETHREAD, "RuntimeError", "thread"},
    {BINE_EMICRO, "bine.NotInMicroThread", ""},
    {BINE_ETIMEDOUT, "bine.Timeout", "timed out"},
    {BINE_ECLOSED, "bine.HostError", "closed"},
    {BINE_EBROKEN, "bine.HostError", "dropped"},
    {BINE_EIO, "bine.HostError", "operating system"},
    {BINE_ECANCELED, "bine.HostError", "cancelled"}, /* though nobody did */
    {BINE_ESCRIPT, "SystemError", "without an exception"},
    {-2000, "bine.HostError", ""},
    {7, "SystemError", "returned 7"},
};

TEST(every_status_is_an_error_that_is_reported_once)
{
    bine *rt = open_runtime();
    size_t count = sizeof endings / sizeof endings[0];

    for (size_t i = 0; i < count; i++) {
        probe p = {.status = endings[i].status, .value = bine_value_pointer(&p, "x", destroy)};
        bine_micro *micro = spawn(answer, &p);

        settle(rt);
        CHECK_EQ(p.released, 1);
        CHECK_EQ(destroyed, i + 1); /* an answer beside an error is freed */
        CHECK_STATUS(bine_micro_status(micro), BINE_ESCRIPT);
        CHECK_EQ(error_count(), 0);
        bine_micro_release(micro);
        settle(rt);
        CHECK_EQ(error_count(), 1);
        CHECK_STR(error_type(0), endings[i].type);
        CHECK_HAS(error_message(0), endings[i].message);
        forget_errors();
    }
    close_runtime(rt);
}

TEST(an_exception_left_set_is_its_error_whatever_it_returns)
{
    static const int statuses[] = {BINE_OK, BINE_ESCRIPT, BINE_EIO, BINE_ECANCELED, 3};
    bine *rt = open_runtime();

    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        probe p = {.status = statuses[i], .raises = "lost", .value = bine_value_pointer(&p, "x", destroy)};

        CHECK_OK(bine_spawn(NULL, answer, &p, release, NULL));
        settle(rt);
        CHECK_EQ(p.released, 1);
        CHECK_EQ(destroyed, i + 1);
        CHECK_EQ(error_count(), 1);
        CHECK_STR(error_type(0), "KeyError");
        CHECK_STR(error_message(0), "'lost'");
        forget_errors();
    }
    close_runtime(rt);
}

static int wait_with_exception(bine *rt, void *user, bine_value **result)
{
    const probe *p = user;

    (void)rt;
    (void)result;
    PyErr_SetString(PyExc_KeyError, p->raises);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(bine_yield());
        CHECK_OK(bine_sleep(MS));
    }
    return BINE_ESCRIPT;
}

TEST(an_exception_stays_with_its_micro_thread_across_waits)
{
    bine *rt = open_runtime();
    probe p[2] = {{.raises = "first"}, {.raises = "second"}};

    for (int i = 0; i < 2; i++)
        CHECK_OK(bine_spawn(NULL, wait_with_exception, &p[i], release, NULL));
    start_script(rt, "import bine\nfor i in range(9): bine.pause()");
    run_to_end(rt);
    CHECK_EQ(error_count(), 2);
    CHECK_STR(error_message(0), "'first'");
    CHECK_STR(error_message(1), "'second'");
    forget_errors();
    close_runtime(rt);
}

static int use_python(bine *rt, void *user, bine_value **result)
{
    PyObject *module = PyImport_ImportModule("json");
    PyObject *text = module == NULL ? NULL : PyObject_CallMethod(module, "dumps", "[ii]", 1, 2);

    (void)rt;
    (void)user;
    *result = text == NULL ? NULL : bine_value_from_python(text);
    CHECK_OK(bine_yield());
    Py_XDECREF(text);
    Py_XDECREF(module);
    return BINE_OK;
}

TEST(it_uses_all_of_cpythons_api)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_deferred *end;
    const bine_value *value;

    CHECK_OK(bine_spawn(NULL, use_python, NULL, NULL, &micro));
    CHECK_OK(bine_micro_result(micro, &end));
    settle(rt);
    CHECK_EQ(bine_deferred_peek(end, &value, NULL), 1);
    CHECK_STR(bine_value_as_str(value, NULL), "[1, 2]");
    bine_deferred_release(end);
    bine_micro_release(micro);
    close_runtime(rt);
}

/* ---- told to end ---- */

TEST(cancelled_before_its_first_turn_it_never_runs)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro = spawn(look, &p);

    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_EQ(p.turns, 0);
    CHECK_EQ(p.released, 1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    close_runtime(rt);
}

/* Every wait after the first refusal is refused too. */
static int insist(bine *rt, void *user, bine_value **result)
{
    probe *p = user;
    bine_value *value = (bine_value *)p;

    (void)rt;
    (void)result;
    CHECK_STATUS(bine_wait(p->deferred, -1, &value), BINE_ECANCELED);
    CHECK(value == NULL);
    CHECK_HAS(bine_message(), "bine_wait");
    CHECK_STATUS(bine_sleep(SECOND), BINE_ECANCELED);
    CHECK_STATUS(bine_yield(), BINE_ECANCELED);
    CHECK_STATUS(bine_wait(p->deferred, 0, NULL), BINE_ECANCELED);
    CHECK_STATUS(bine_call_named(rt, "bine", "pause", NULL, NULL, NULL), BINE_ECANCELED);
    CHECK(PyErr_Occurred() == NULL);
    p->turns++;
    return p->status;
}

static void insist_until_told(bine *rt, probe *p, bine_micro **micro)
{
    new_pair(rt);
    p->deferred = deferred;
    *micro = spawn(insist, p);
    settle(rt);
}

static void end_insisting(bine *rt, bine_micro *micro)
{
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    bine_deferred_release(deferred);
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(a_cancel_is_the_status_of_each_wait_until_it_ends)
{
    bine *rt = open_runtime();
    probe p = {.status = BINE_ECANCELED};
    bine_micro *micro;

    insist_until_told(rt, &p, &micro);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_EQ(p.turns, 1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK_EQ(p.released, 1);
    end_insisting(rt, micro);
}

TEST(one_that_ends_well_though_it_was_cancelled_has_ended_well)
{
    bine *rt = open_runtime();
    probe p = {.status = BINE_OK};
    bine_micro *micro;

    insist_until_told(rt, &p, &micro);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_OK(bine_micro_status(micro));
    end_insisting(rt, micro);
}

TEST(one_that_fails_while_cleaning_up_is_reported)
{
    bine *rt = open_runtime();
    probe p = {.status = BINE_EIO};
    bine_micro *micro;

    insist_until_told(rt, &p, &micro);
    CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    CHECK_STATUS(bine_micro_status(micro), BINE_ESCRIPT);
    bine_micro_release(micro);
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "bine.HostError");
    forget_errors();
    end_insisting(rt, NULL);
}

TEST(the_end_of_the_runtime_is_a_cancel_too)
{
    bine *rt = open_runtime();
    probe p = {.status = BINE_ECANCELED};
    probe never = {0};
    bine_micro *micro;
    bine_micro *dropped;
    bine_deferred *end;

    insist_until_told(rt, &p, &micro);
    dropped = spawn(look, &never);
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_OK(bine_micro_result(micro, &end));
    settle(rt);
    CHECK_EQ(p.turns, 1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK_EQ(bine_deferred_state(end), BINE_ECANCELED);
    CHECK_EQ(never.turns, 0);
    CHECK_EQ(never.released, 1);
    CHECK_STATUS(bine_micro_status(dropped), BINE_ECANCELED);
    CHECK_STR(log_text(), "");
    bine_deferred_release(end);
    bine_micro_release(dropped);
    end_insisting(rt, micro);
}

TEST(waits_outside_of_any_micro_thread_are_refused)
{
    bine *rt = open_runtime();

    CHECK_STATUS(bine_yield(), BINE_EMICRO);
    CHECK_STATUS(bine_sleep(SECOND), BINE_EMICRO);
    CHECK_STATUS(bine_call_named(rt, "bine", "pause", NULL, NULL, NULL), BINE_EMICRO);
    CHECK_STATUS(bine_shield_begin(SECOND), BINE_EMICRO);
    bine_shield_end();
    close_runtime(rt);
}

/* ---- names ---- */

TEST(a_name_can_be_given_and_stands_in_the_report)
{
    bine *rt = open_runtime();
    probe p = {.status = BINE_EIO};
    bine_micro *micro = spawn(answer, &p);
    bine_error *error;

    CHECK_HAS(bine_micro_name(micro), "c-");
    CHECK_OK(bine_micro_set_name(micro, "g\xc3\xa4rtner"));
    CHECK_STR(bine_micro_name(micro), "g\xc3\xa4rtner");
    CHECK_STATUS(bine_micro_set_name(micro, "\xff"), BINE_EINVAL);
    CHECK_STATUS(bine_micro_set_name(micro, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_micro_set_name(NULL, "x"), BINE_EINVAL);
    CHECK_STR(bine_micro_name(micro), "g\xc3\xa4rtner");
    settle(rt);
    CHECK_STR(bine_micro_name(micro), "g\xc3\xa4rtner");
    CHECK_OK(bine_micro_error(micro, &error));
    CHECK_STR(error->micro_name, "g\xc3\xa4rtner");
    CHECK_STR(error->spawn_file, "");
    CHECK_EQ(error->spawn_line, 0);
    bine_error_free(error);
    CHECK_OK(bine_micro_set_name(micro, "late"));
    CHECK_STR(bine_micro_name(micro), "late");
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(without_a_name_it_is_one_that_ran_c_also_when_it_has_ended)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro = spawn(look, &p);

    settle(rt);
    CHECK_HAS(bine_micro_name(micro), "c-");
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(a_script_gives_and_sees_the_name)
{
    probe p = {0};
    bine *rt = open_starting(&p);

    new_pair(rt);
    p.deferred = deferred;
    run_script(rt, "import host\n"
                   "t = host.start()\n"
                   "assert t.name.startswith('c-'), t.name\n"
                   "t.name = 'walker'\n"
                   "t.cancel()\n"
                   "assert 'walker' in repr(t)\n");
    settle(rt);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    bine_deferred_release(deferred);
    close_runtime(rt);
}

/* ---- errors as data ---- */

TEST(its_error_as_data_counts_as_taken)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_error *error;

    start_script(rt, "import bine\ndef f(): raise ValueError('no')\n");
    settle(rt);
    CHECK_OK(bine_spawn_named(rt, "__main__", "f", NULL, &micro));
    CHECK_STATUS(bine_micro_error(micro, &error), BINE_EINVAL);
    CHECK(error == NULL);
    settle(rt);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(bine_micro_error(micro, &error));
        CHECK_STR(error->type, "ValueError");
        CHECK_STR(error->message, "no");
        CHECK_EQ(error->code, BINE_ESCRIPT);
        CHECK_STR(error->frames[error->frame_count - 1].function, "f");
        bine_error_free(error);
    }
    bine_micro_release(micro);
    CHECK_STATUS(bine_micro_error(NULL, &error), BINE_EINVAL);
    CHECK_STATUS(bine_micro_error(NULL, NULL), BINE_EINVAL);
    close_runtime(rt);
}

TEST(one_that_ended_well_has_no_error)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro = spawn(look, &p);
    bine_error *error;

    settle(rt);
    CHECK_STATUS(bine_micro_error(micro, &error), BINE_EINVAL);
    CHECK(error == NULL);
    bine_micro_release(micro);
    close_runtime(rt);
}

/* ---- results ---- */

static int join(bine *rt, void *user, bine_value **result)
{
    probe *p = user;
    bine_deferred *end;

    (void)rt;
    CHECK_OK(bine_micro_result((bine_micro *)(void *)p->deferred, &end));
    p->status = bine_wait(end, -1, result);
    bine_deferred_release(end);
    p->turns++;
    return BINE_OK;
}

TEST(c_joins_c_by_waiting_for_its_result)
{
    bine *rt = open_runtime();
    probe p = {.value = bine_value_i64(41)};
    bine_micro *micro = spawn(answer, &p);
    probe early = {.deferred = (bine_deferred *)(void *)micro};
    probe late = early;
    bine_micro *joiner = spawn(join, &early);
    bine_deferred *end;
    const bine_value *value;

    settle(rt);
    CHECK_EQ(early.turns, 1);
    CHECK_OK(early.status);
    CHECK_OK(bine_spawn(NULL, join, &late, NULL, NULL)); /* asked after it ended */
    settle(rt);
    CHECK_EQ(late.turns, 1);
    CHECK_OK(late.status);
    CHECK_OK(bine_micro_result(joiner, &end));
    CHECK_EQ(bine_deferred_peek(end, &value, NULL), 1);
    CHECK_EQ(bine_value_as_i64(value), 41);
    bine_deferred_release(end);
    bine_micro_release(joiner);
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(the_result_outlives_the_handle)
{
    bine *rt = open_runtime();
    probe p = {.value = bine_value_str("kept")};
    bine_micro *micro = spawn(answer, &p);
    bine_deferred *first;
    bine_deferred *second;
    const bine_value *value;

    CHECK_OK(bine_micro_result(micro, &first));
    CHECK_OK(bine_micro_result(micro, &second));
    bine_micro_release(micro);
    settle(rt);
    CHECK_EQ(bine_deferred_peek(first, &value, NULL), 1);
    CHECK_STR(bine_value_as_str(value, NULL), "kept");
    CHECK_EQ(bine_deferred_peek(second, &value, NULL), 1);
    CHECK_STR(bine_value_as_str(value, NULL), "kept");
    bine_deferred_release(first);
    bine_deferred_release(second);
    CHECK_STATUS(bine_micro_result(NULL, &first), BINE_EINVAL);
    CHECK(first == NULL);
    CHECK_STATUS(bine_micro_result(NULL, NULL), BINE_EINVAL);
    close_runtime(rt);
}

static bine_deferred *result_of(bine *rt, const char *function, bine_micro **micro)
{
    bine_deferred *end;
    bine_micro *m;

    CHECK_OK(bine_spawn_named(rt, "__main__", function, NULL, &m));
    CHECK_OK(bine_micro_result(m, &end));
    if (micro != NULL)
        *micro = m;
    else
        bine_micro_release(m);
    run_to_end(rt);
    return end;
}

TEST(what_python_returned_arrives_as_a_value_or_as_its_object)
{
    bine *rt = open_runtime();
    const bine_value *value;
    bine_deferred *end;

    run_script(rt, "class Thing: pass\n"
                   "def data(): return {'a': [1, (2.5, None)], 'b': b'x'}\n"
                   "def thing(): return Thing()\n"
                   "def mixed(): return [1, Thing()]\n"
                   "def huge(): return 1 << 64\n"
                   "def nothing(): pass\n");
    end = result_of(rt, "data", NULL);
    CHECK_EQ(bine_deferred_peek(end, &value, NULL), 1);
    CHECK_EQ(bine_value_as_i64(bine_value_at(bine_value_get(value, "a"), 0)), 1);
    CHECK_EQ(bine_value_count(bine_value_at(bine_value_get(value, "a"), 1)), 2);
    bine_deferred_release(end);
    end = result_of(rt, "nothing", NULL);
    CHECK_EQ(bine_deferred_peek(end, &value, NULL), 1);
    CHECK_EQ(bine_value_kind(value), BINE_NIL);
    bine_deferred_release(end);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"thing", "mixed", "huge"};

        end = result_of(rt, names[i], NULL);
        CHECK_EQ(bine_deferred_peek(end, &value, NULL), 1);
        CHECK_EQ(bine_value_kind(value), BINE_OBJECT);
        bine_deferred_release(end);
    }
    close_runtime(rt);
}

TEST(an_error_is_the_rejection_of_its_result_with_all_there_is_to_say)
{
    bine *rt = open_runtime();
    bine_deferred *end;
    const bine_error *error;
    bine_micro *micro;

    run_script(rt, "def f():\n    raise ValueError('no') from KeyError('k')\n");
    end = result_of(rt, "f", &micro);
    CHECK_EQ(bine_deferred_state(end), BINE_ESCRIPT);
    CHECK(!bine_deferred_handled(end));
    error = bine_deferred_error(end);
    CHECK_STR(error->type, "ValueError");
    CHECK_STR(error->cause->type, "KeyError");
    CHECK_HAS(error->micro_name, "f");
    CHECK_HAS(error->text, "line 2, in f");
    CHECK(bine_deferred_handled(end));
    bine_micro_release(micro);
    bine_deferred_release(end);
    close_runtime(rt);
}

static int spawn_host_function(bine_call *call, void *user)
{
    bine_micro *micro;
    int status = bine_spawn(NULL, answer, user, release, &micro);

    if (status == BINE_OK)
        status = bine_micro_result(micro, &deferred);
    bine_micro_release(micro);
    (void)call;
    return status;
}

static char *unhandled_text;

static void on_unhandled(bine *rt, const bine_error *error, void *user)
{
    size_t size = 0;
    FILE *stream = open_memstream(&unhandled_text, &size);

    (void)rt;
    CHECK(unhandled_text == NULL);
    bine_error_print(error, stream);
    fclose(stream);
    ++*(int *)user;
}

TEST(a_rejection_that_nobody_takes_is_reported_once_with_name_and_spawn_site)
{
    probe p = {.status = BINE_EIO};
    int reports = 0;
    bine_config config;
    bine *rt;

    bine_config_init(&config);
    config.on_unhandled = on_unhandled;
    config.user = &reports;
    rt = open_runtime_with(&config);
    CHECK_OK(bine_def(rt, "host", "start() -> None", spawn_host_function, &p, NULL));
    run_script(rt, "import host\n\nhost.start()\n");
    CHECK_EQ(reports, 0);
    bine_deferred_release(deferred);
    settle(rt);
    CHECK_EQ(reports, 1);
    CHECK_HAS(unhandled_text, "Exception in micro-thread 'c-");
    CHECK_HAS(unhandled_text, "(spawned at <test>:3)");
    CHECK_HAS(unhandled_text, "HostError");
    free(unhandled_text);
    close_runtime(rt);
    CHECK_EQ(reports, 1);
}

TEST(a_waiter_takes_the_rejection)
{
    bine *rt = open_runtime();
    probe p = {.status = BINE_EIO};
    bine_micro *micro = spawn(answer, &p);
    probe joiner = {.deferred = (bine_deferred *)(void *)micro};

    CHECK_OK(bine_spawn(NULL, join, &joiner, NULL, NULL));
    settle(rt);
    CHECK_EQ(joiner.status, BINE_ESCRIPT);
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(cancelling_the_result_cancels_the_micro_thread)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_deferred *end;

    run_script(rt, "import bine\n"
                   "ended = 0\n"
                   "def f():\n"
                   "    global ended\n"
                   "    try: bine.sleep(9)\n"
                   "    finally: ended = 1\n");
    CHECK_OK(bine_spawn_named(rt, "__main__", "f", NULL, &micro));
    CHECK_OK(bine_micro_result(micro, &end));
    settle(rt);
    CHECK_OK(bine_deferred_cancel(end));
    CHECK_EQ(bine_deferred_state(end), 0);
    settle(rt);
    CHECK_EQ(script_int("ended"), 1);
    CHECK_EQ(bine_deferred_state(end), BINE_ECANCELED);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    CHECK_STATUS(bine_deferred_cancel(end), BINE_ESETTLED);
    bine_deferred_release(end);
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(one_that_returns_though_its_result_was_cancelled_resolves_it)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_deferred *end;

    run_script(rt, "import bine\n"
                   "def f():\n"
                   "    try: bine.sleep(9)\n"
                   "    except bine.Cancelled: return 5\n");
    CHECK_OK(bine_spawn_named(rt, "__main__", "f", NULL, &micro));
    CHECK_OK(bine_micro_result(micro, &end));
    bine_micro_release(micro);
    settle(rt);
    CHECK_OK(bine_deferred_cancel(end));
    settle(rt);
    CHECK_EQ(bine_deferred_state(end), 1);
    bine_deferred_release(end);
    close_runtime(rt);
}

TEST(an_error_of_one_whose_result_was_cancelled_is_reported)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_deferred *end;

    run_script(rt, "import bine\n"
                   "def f():\n"
                   "    try: bine.sleep(9)\n"
                   "    finally: raise KeyError('while cleaning up')\n");
    CHECK_OK(bine_spawn_named(rt, "__main__", "f", NULL, &micro));
    CHECK_OK(bine_micro_result(micro, &end));
    bine_micro_release(micro);
    settle(rt);
    CHECK_OK(bine_deferred_cancel(end));
    settle(rt);
    CHECK_EQ(bine_deferred_state(end), BINE_ESCRIPT);
    bine_deferred_release(end);
    settle(rt);
    CHECK_EQ(error_count(), 1);
    CHECK_STR(error_type(0), "KeyError");
    forget_errors();
    close_runtime(rt);
}

TEST(a_result_let_go_of_early_leaves_the_error_to_the_handle)
{
    bine *rt = open_runtime();
    probe p = {.status = BINE_EIO};
    bine_micro *micro = spawn(answer, &p);
    bine_deferred *end;
    bine_error *error;

    CHECK_OK(bine_micro_result(micro, &end));
    bine_deferred_release(end);
    settle(rt);
    CHECK_EQ(error_count(), 0);
    CHECK_OK(bine_micro_error(micro, &error));
    bine_error_free(error);
    bine_micro_release(micro);
    close_runtime(rt);
}

TEST(a_result_times_out_and_takes_the_micro_thread_with_it)
{
    bine *rt = open_runtime();
    probe p = {0};
    bine_micro *micro;
    bine_deferred *end;

    new_pair(rt);
    p.deferred = deferred;
    micro = spawn(wait_for, &p);
    CHECK_OK(bine_micro_result(micro, &end));
    CHECK_OK(bine_deferred_timeout(end, SECOND));
    settle(rt);
    crank(SECOND);
    settle(rt);
    CHECK_EQ(bine_deferred_state(end), BINE_ETIMEDOUT);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_deferred_release(end);
    bine_micro_release(micro);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    bine_deferred_release(deferred);
    close_runtime(rt);
}

TEST(a_result_asked_for_after_a_failure_or_a_cancel_is_settled_at_once)
{
    bine *rt = open_runtime();
    probe p = {.status = BINE_EIO};
    bine_micro *failed = spawn(answer, &p);
    bine_micro *cancelled = spawn(look, &p);
    bine_deferred *end;

    CHECK_OK(bine_micro_cancel(cancelled));
    settle(rt);
    CHECK_OK(bine_micro_result(failed, &end));
    CHECK_EQ(bine_deferred_state(end), BINE_ESCRIPT);
    CHECK_STR(bine_deferred_error(end)->type, "bine.HostError");
    bine_deferred_release(end);
    bine_micro_release(failed);
    CHECK_OK(bine_micro_result(cancelled, &end));
    CHECK_EQ(bine_deferred_state(end), BINE_ECANCELED);
    bine_deferred_release(end);
    bine_micro_release(cancelled);
    close_runtime(rt);
}

/* ---- calls into Python ---- */

/* call(function, args): bine_call_named() in a host function, on the script's stack. */
static int call_here(bine_call *call, void *user)
{
    bine *rt = bine_call_runtime(call);
    bine_error *error = NULL;
    bine_value *value = NULL;
    int status = bine_call_named(rt, "__main__", bine_arg_str(call, 0, NULL), bine_arg_value(call, 1), &value,
                                 user == NULL ? NULL : &error);

    CHECK((status == BINE_OK) == (value != NULL));
    CHECK((error != NULL) == (status == BINE_ESCRIPT && user != NULL));
    if (user == NULL && status != BINE_OK)
        return status; /* hands the exception on */
    if (error != NULL) {
        value = bine_value_str(error->type);
        bine_error_free(error);
    }
    return bine_return(call, value != NULL ? value : bine_value_i64(status));
}

static bine *open_calling(void)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_def(rt, "host", "call(function: str, args: list = []) -> object", call_here, NULL, NULL));
    CHECK_OK(
        bine_def(rt, "host", "safely(function: str, args: list = []) -> object", call_here, &mine, NULL));
    add_host_module(rt);
    return rt;
}

TEST(a_call_takes_arguments_waits_and_returns_the_value)
{
    bine *rt = open_calling();

    run_script(rt, "import bine, host\n"
                   "def add(a, b):\n"
                   "    bine.sleep(1)\n"
                   "    return a + b\n"
                   "def one(): return 1\n"
                   "assert host.call('add', [1, 2]) == 3\n"
                   "assert host.call('add', [[1], ['x']]) == [1, 'x']\n"
                   "assert host.call('one') == 1\n"
                   "ts = [bine.spawn(host.call, 'add', [i, i]) for i in range(5)]\n"
                   "assert [t.join() for t in ts] == [0, 2, 4, 6, 8]\n");
    close_runtime(rt);
}

TEST(an_error_comes_as_data_or_is_handed_on)
{
    bine *rt = open_calling();

    run_script(rt, "import host\n"
                   "error = ValueError('mine')\n"
                   "def fail(): raise error\n"
                   "class Thing: pass\n"
                   "def unfit(): return Thing()\n"
                   "assert host.safely('fail') == 'ValueError'\n"
                   "assert host.safely('unfit') == 'TypeError'\n"
                   "assert host.safely('missing') == 'AttributeError'\n"
                   "assert host.safely('fail', [1]) == 'TypeError'\n"
                   "try: host.call('fail')\n"
                   "except ValueError as e: assert e is error\n"
                   "else: raise AssertionError\n");
    close_runtime(rt);
}

TEST(calls_nest_through_host_functions_and_wait_in_the_innermost)
{
    bine *rt = open_calling();

    run_script(rt, "import bine, host\n"
                   "def down(n):\n"
                   "    if n: return [n, host.call('down', [n - 1])]\n"
                   "    return host.wait_in_c(1)\n"
                   "def fail(n):\n"
                   "    if n: host.call('fail', [n - 1])\n"
                   "    host.wait_in_c(2)\n"
                   "t = bine.spawn(host.call, 'down', [5])\n"
                   "bine.pause()\n"
                   "host.settle(1, 'deep')\n"
                   "assert t.join() == [5, [4, [3, [2, [1, 'deep']]]]]\n"
                   "t = bine.spawn(host.call, 'fail', [5])\n"
                   "bine.pause()\n"
                   "host.fail(2, -3000, 'no')\n"
                   "try: t.join()\n"
                   "except bine.HostError as e: assert e.code == -3000\n"
                   "else: raise AssertionError\n");
    close_runtime(rt);
}

TEST(a_cancel_comes_out_of_a_call_as_its_status)
{
    bine *rt = open_calling();

    run_script(rt, "import bine, host\n"
                   "seen = []\n"
                   "def rest():\n"
                   "    try: bine.sleep(9)\n"
                   "    finally: seen.append(1)\n"
                   "def stubborn():\n"
                   "    try: bine.sleep(9)\n"
                   "    except bine.Cancelled: return 7\n"
                   "def sour():\n"
                   "    try: bine.sleep(9)\n"
                   "    except bine.Cancelled: raise KeyError\n"
                   "t = bine.spawn(host.safely, 'rest')\n"
                   "u = bine.spawn(host.call, 'rest')\n"
                   "v = bine.spawn(host.safely, 'stubborn')\n"
                   "w = bine.spawn(host.safely, 'sour')\n"
                   "bine.pause()\n"
                   "for x in t, u, v, w: x.cancel()\n"
                   "assert t.join() == -10\n" /* BINE_ECANCELED */
                   "try: u.join()\n"
                   "except bine.Cancelled: pass\n"
                   "else: raise AssertionError\n"
                   "assert v.join() == 7 and w.join() == 'KeyError' and seen == [1, 1]\n");
    close_runtime(rt);
}

TEST(the_cancel_of_another_is_an_error_of_the_call)
{
    bine *rt = open_calling();

    run_script(rt, "import bine, host\n"
                   "other = bine.spawn(bine.sleep, 9)\n"
                   "other.cancel()\n"
                   "def join(): other.join()\n"
                   "assert host.safely('join') == 'bine.Cancelled'\n");
    close_runtime(rt);
}

static int call_badly(bine *rt, void *user, bine_value **result)
{
    bine_value *value = (bine_value *)&mine;
    bine_error *error = (bine_error *)&mine;

    (void)user;
    (void)result;
    CHECK_STATUS(bine_call_named(rt, NULL, "pause", bine_value_list(), &value, &error), BINE_EINVAL);
    CHECK(value == NULL && error == NULL);
    CHECK_STATUS(bine_call_named(rt, "bine", NULL, NULL, NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_call_named(NULL, "bine", "pause", bine_value_list(), NULL, NULL), BINE_EINVAL);
    CHECK_STATUS(bine_call_named(rt, "bine", "pause", bine_value_i64(1), NULL, NULL), BINE_ETYPE);
    CHECK_STATUS(bine_call_named(rt, "no_such_module", "f", NULL, &value, &error), BINE_ESCRIPT);
    CHECK_STR(error->type, "ModuleNotFoundError");
    bine_error_free(error);
    CHECK_STATUS(bine_call_named(rt, "bine", "no_such_function", NULL, NULL, &error), BINE_ESCRIPT);
    CHECK_STR(error->type, "AttributeError");
    bine_error_free(error);
    CHECK_STATUS(bine_call_named(rt, "\xff", "f", NULL, NULL, &error), BINE_ESCRIPT);
    bine_error_free(error);
    CHECK(PyErr_Occurred() == NULL);
    /* An exception that is not handed on does not stand in the way of the next call. */
    CHECK_STATUS(bine_call_named(rt, "bine", "no_such_function", NULL, NULL, NULL), BINE_ESCRIPT);
    CHECK(PyErr_Occurred() != NULL);
    CHECK_OK(bine_call_named(rt, "bine", "pause", NULL, NULL, NULL));
    CHECK(PyErr_Occurred() == NULL);
    return BINE_OK;
}

TEST(bad_arguments_of_a_call_are_refused_and_freed)
{
    bine *rt = open_runtime();

    CHECK_OK(bine_spawn(NULL, call_badly, NULL, NULL, NULL));
    settle(rt);
    close_runtime(rt);
}

static int hand_on(bine *rt, void *user, bine_value **result)
{
    return bine_call_named(rt, "__main__", user, NULL, result, NULL);
}

TEST(a_c_micro_thread_hands_an_exception_on)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_error *error;

    run_script(rt, "def fail(): raise LookupError('where')");
    CHECK_OK(bine_spawn(NULL, hand_on, "fail", NULL, &micro));
    settle(rt);
    CHECK_OK(bine_micro_error(micro, &error));
    CHECK_STR(error->type, "LookupError");
    CHECK_STR(error->message, "where");
    CHECK_STR(error->frames[error->frame_count - 1].function, "fail");
    bine_error_free(error);
    bine_micro_release(micro);
    close_runtime(rt);
}

static void call_in_task(bine *rt, void *user)
{
    bine_error *error;
    bine_value *value;

    CHECK_OK(bine_call_named(rt, "__main__", "one", NULL, &value, &error));
    CHECK_EQ(bine_value_as_i64(value), 1);
    bine_value_free(value);
    CHECK_STATUS(bine_call_named(rt, "bine", "pause", NULL, NULL, &error), BINE_ESCRIPT);
    CHECK_STR(error->type, "bine.NotInMicroThread");
    bine_error_free(error);
    ++*(int *)user;
    CHECK_STATUS(bine_call_named(rt, "__main__", "fail", NULL, NULL, NULL), BINE_ESCRIPT);
}

TEST(a_task_calls_python_that_cannot_wait_and_what_it_leaves_is_logged)
{
    bine *rt = open_runtime();
    int calls = 0;

    run_script(rt, "def one(): return 1\ndef fail(): raise KeyError('left behind')\n");
    CHECK_OK(bine_post(rt, call_in_task, &calls, NULL));
    settle(rt);
    CHECK_EQ(calls, 1);
    CHECK_HAS(log_text(), "left behind");
    close_runtime(rt);
}
