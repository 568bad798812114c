/* Out of memory, at every allocation there is: deferreds, steps, groups, scopes, values, C
 * micro-threads. Each path says BINE_ENOMEM, and leaks nothing. */
#include "faults.h"

#include <unistd.h>

static bine_deferred *deferred;
static bine_resolver *resolver;

static bool new_pair(bine *rt)
{
    return TRIED(bine_deferred_new(rt, NULL, NULL, &deferred, &resolver));
}

/* BINE_ENOMEM where a rejection comes to that: by its code, or as a script's MemoryError. */
static int state_of(bine_deferred *d)
{
    int state = bine_deferred_state(d);
    const bine_error *error = state < 0 ? bine_deferred_error(d) : NULL;

    if (state == BINE_ESCRIPT && error != NULL && faults_only_memory(error))
        return BINE_ENOMEM;
    CHECK(state >= 0 || error != NULL || fault_injected());
    return state;
}

/* Whether it was resolved. */
static bool resolved(bine_deferred *d)
{
    int state = state_of(d);

    CHECK(state != 0); /* something has come of it */
    return TRIED(state > 0 ? BINE_OK : state);
}

/* Resolved with what was owed; releases it. */
static void check_debt(bine_deferred *d)
{
    const bine_value *value;

    if (d == NULL)
        return;
    if (resolved(d)) {
        bine_deferred_peek(d, &value, NULL);
        CHECK(bine_value_as_pointer(value, "debt") != NULL);
    }
    bine_deferred_release(d);
}

/* ---- C micro-threads that wait ---- */

static struct errand {
    bine_deferred *deferred; /* borrowed */
    int64_t timeout_ns;
    bool released;
    int status;
} errand;

static void release_errand(void *user)
{
    CHECK(user == &errand && !errand.released);
    errand.released = true;
}

static int run_errand(bine *rt, void *user, bine_value **result)
{
    struct errand *e = user;

    (void)rt;
    e->status = bine_wait(e->deferred, e->timeout_ns, result);
    return e->status;
}

/* One that waits for `deferred`. Its end, or NULL. */
static bine_deferred *send_errand(int64_t timeout_ns, bine_micro **out)
{
    bine_deferred *end = NULL;
    bine_micro *micro;

    errand = (struct errand){deferred, timeout_ns, false, BINE_EBUSY};
    if (out != NULL)
        *out = NULL;
    if (!TRIED(bine_spawn(NULL, run_errand, &errand, release_errand, &micro))) {
        CHECK(micro == NULL && errand.released);
        return NULL;
    }
    if (!TRIED(bine_micro_result(micro, &end)))
        CHECK(end == NULL);
    if (out != NULL)
        *out = micro;
    else
        bine_micro_release(micro);
    return end;
}

static void resolve(void)
{
    bine_value *value = owed_value();

    TRIED(bine_resolve(resolver, value));
}

static void wait_for_it(bine *rt, int64_t timeout_ns)
{
    bine_deferred *end;

    if (!new_pair(rt))
        return;
    end = send_errand(timeout_ns, NULL);
    settle(rt);
    resolve();
    settle(rt);
    check_debt(end);
    bine_deferred_release(deferred);
}

static void new_resolve_and_wait(bine *rt)
{
    wait_for_it(rt, -1);
    if (!fault_injected())
        CHECK(errand.released && errand.status == BINE_OK);
}

TEST(a_deferred_made_resolved_and_waited_for)
{
    bine *rt = open_to_faults();

    expect_reports_of("MemoryError");
    with_all_faults(rt, new_resolve_and_wait);
    close_runtime(rt);
}

static void wait_within_time(bine *rt)
{
    wait_for_it(rt, SECOND);
}

static void wait_out_of_time(bine *rt)
{
    bine_deferred *end;

    if (!new_pair(rt))
        return;
    end = send_errand(SECOND, NULL);
    settle(rt);
    crank(SECOND);
    settle(rt);
    if (!fault_injected())
        CHECK(errand.status == BINE_ETIMEDOUT && bine_deferred_state(end) == BINE_ESCRIPT);
    if (end != NULL)
        CHECK(bine_deferred_error(end) != NULL || fault_injected());
    bine_deferred_release(end);
    resolve();
    bine_deferred_release(deferred);
}

TEST(a_wait_with_a_time_out)
{
    bine *rt = open_to_faults();

    expect_reports_of("bine.Timeout");
    with_all_faults(rt, wait_within_time);
    with_all_faults(rt, wait_out_of_time);
    close_runtime(rt);
}

static void resolve_here(void *user)
{
    (void)user;
    CHECK_OK(bine_resolve(resolver, owed_value()));
}

static void resolve_elsewhere(bine *rt)
{
    bine_deferred *end;

    if (!new_pair(rt))
        return;
    end = send_errand(SECOND, NULL);
    settle(rt);
    faults_pause();
    in_thread(resolve_here, NULL);
    faults_resume();
    settle(rt);
    check_debt(end);
    bine_deferred_release(deferred);
}

TEST(a_result_from_another_thread)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, resolve_elsewhere);
    close_runtime(rt);
}

/* ---- rejections ---- */

static void reject_for_nobody(bine *rt)
{
    if (!new_pair(rt))
        return;
    CHECK_OK(bine_reject(resolver, BINE_EIO, "the disk is gone"));
    CHECK_EQ(bine_deferred_state(deferred), BINE_EIO);
    bine_deferred_release(deferred);
    settle(rt);
    CHECK_EQ(faults_told(), 1); /* never in silence */
}

TEST(a_rejection_that_nobody_takes_is_told_of_once)
{
    bine *rt = open_to_faults();

    expect_reports_of("bine.HostError");
    with_all_faults(rt, reject_for_nobody);
    close_runtime(rt);
}

static void look_at_rejection(bine *rt)
{
    const bine_error *error;

    if (!new_pair(rt))
        return;
    CHECK_OK(bine_reject(resolver, -2000, "no such door"));
    error = bine_deferred_error(deferred);
    CHECK(error != NULL || fault_injected());
    if (error != NULL) {
        CHECK_EQ(error->code, -2000);
        CHECK(error->message != NULL && error->text != NULL);
    }
    bine_deferred_release(deferred);
    settle(rt);
    CHECK_EQ(faults_told(), 0);
}

TEST(a_rejection_as_data)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, look_at_rejection);
    close_runtime(rt);
}

/* ---- steps ---- */

static void pay_step(void *user)
{
    pay(user);
}

static int pass_debt(bine_step *step, void *user)
{
    (void)user;
    (void)step;
    return bine_step_return(step, owed_value());
}

static int push_two(bine_step *step, void *user)
{
    int status = bine_step_push(step, pass_debt, NULL, owe(), pay_step);

    (void)user;
    if (status == BINE_OK)
        status = bine_step_push(step, pass_debt, NULL, owe(), pay_step);
    if (status == BINE_OK)
        status = bine_step_return(step, bine_value_i64(5));
    return status;
}

static int follow_another(bine_step *step, void *user)
{
    bine_deferred *d;
    bine_resolver *r;
    int status = bine_deferred_new(bine_step_runtime(step), NULL, NULL, &d, &r);

    (void)user;
    if (status != BINE_OK)
        return status;
    bine_resolve(r, owed_value());
    return bine_step_follow(step, d);
}

/* Attaches to *d, which is then the next. */
static void then(bine_deferred **d, bine_step_fn ok, bine_step_fn err)
{
    bine_deferred *next;

    if (TRIED(bine_then(*d, ok, err, owe(), pay_step, &next))) {
        bine_deferred_release(*d);
        *d = next;
    } else {
        CHECK(next == NULL);
    }
}

static void chain(bine *rt)
{
    if (!new_pair(rt))
        return;
    then(&deferred, pass_debt, NULL);
    then(&deferred, push_two, NULL);
    then(&deferred, NULL, NULL);
    resolve();
    settle(rt);
    then(&deferred, follow_another, NULL);
    settle(rt);
    check_debt(deferred);
    settle(rt);
}

TEST(steps_that_return_push_and_follow)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, chain);
    close_runtime(rt);
}

static int see_error(bine_step *step, void *user)
{
    const bine_error *error = bine_step_error(step);

    (void)user;
    CHECK(error != NULL || fault_injected());
    return bine_step_reject(step, bine_step_code(step), error != NULL ? error->message : "?");
}

static int leave_exception(bine_step *step, void *user)
{
    (void)user;
    return bine_call_named(bine_step_runtime(step), "builtins", "int", NULL, NULL, NULL) != BINE_OK
               ? BINE_ESCRIPT
               : -2001;
}

static void rejected_chain(bine *rt)
{
    int state;

    if (!new_pair(rt))
        return;
    then(&deferred, NULL, see_error);
    then(&deferred, pass_debt, NULL);
    then(&deferred, NULL, leave_exception);
    bine_reject(resolver, -2000, "no such door");
    settle(rt);
    state = bine_deferred_state(deferred);
    CHECK(state == -2001 || (fault_injected() && state < 0));
    CHECK(bine_deferred_error(deferred) != NULL || fault_injected());
    bine_deferred_release(deferred);
}

TEST(steps_of_rejections)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, rejected_chain);
    close_runtime(rt);
}

/* ---- several ---- */

typedef int (*combiner)(bine *, bine_deferred *const *, size_t, bine_deferred **);

static bool combine(bine *rt, combiner how, bine_deferred **out)
{
    bine_deferred *members[3] = {NULL, NULL, NULL};
    bine_resolver *resolvers[3];
    size_t count = 0;

    *out = NULL;
    while (count < 3 && TRIED(bine_deferred_new(rt, NULL, NULL, &members[count], &resolvers[count])))
        count++;
    if (count == 3 && !TRIED(how(rt, members, 3, out)))
        CHECK(*out == NULL);
    for (size_t i = 0; i < count; i++) {
        bine_value *value = owed_value();

        if (how == bine_settle && i == 1) {
            bine_value_free(value);
            bine_reject(resolvers[i], BINE_EIO, "gone");
            continue;
        }
        TRIED(bine_resolve(resolvers[i], value));
    }
    settle(rt);
    for (size_t i = 0; i < count; i++)
        bine_deferred_release(members[i]);
    settle(rt);
    return *out != NULL;
}

static void all(bine *rt)
{
    bine_deferred *d;
    const bine_value *list;

    if (!combine(rt, bine_all, &d))
        return;
    if (resolved(d)) {
        bine_deferred_peek(d, &list, NULL);
        CHECK_EQ(bine_value_count(list), 3);
    }
    bine_deferred_release(d);
}

static void any(bine *rt)
{
    bine_deferred *d;

    if (combine(rt, bine_any, &d))
        check_debt(d);
}

static void each(bine *rt)
{
    bine_deferred *d;
    const bine_value *list;

    if (!combine(rt, bine_settle, &d))
        return;
    if (resolved(d)) {
        bine_deferred_peek(d, &list, NULL);
        CHECK_EQ(bine_value_count(list), 3);
        CHECK(bine_value_as_i64(bine_value_get(bine_value_at(list, 1), "code")) == BINE_EIO);
        if (!fault_injected()) /* else it may go without a message */
            CHECK_STR(bine_value_as_str(bine_value_get(bine_value_at(list, 1), "message"), NULL), "gone");
    }
    bine_deferred_release(d);
}

TEST(all_any_and_settle)
{
    bine *rt = open_to_faults();

    expect_reports_of("bine.HostError"); /* that of a member of a group that could not be made */
    with_all_faults(rt, all);
    with_all_faults(rt, any);
    with_all_faults(rt, each);
    close_runtime(rt);
}

/* ---- time outs, cancels ---- */

static int cancels;

static void count_cancel(bine_resolver *r, void *user)
{
    (void)r;
    (void)user;
    cancels++;
}

static void time_out(bine *rt)
{
    bine_deferred *end;
    bool limited;

    cancels = 0;
    if (!TRIED(bine_deferred_new(rt, count_cancel, NULL, &deferred, &resolver)))
        return;
    end = send_errand(-1, NULL);
    limited = TRIED(bine_deferred_timeout(deferred, SECOND));
    settle(rt);
    crank(SECOND);
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), limited ? BINE_ETIMEDOUT : 0);
    CHECK_EQ(cancels, limited);
    bine_resolver_drop(resolver);
    bine_deferred_release(deferred);
    settle(rt);
    bine_deferred_error(end); /* takes it */
    bine_deferred_release(end);
}

static void cancel(bine *rt)
{
    bine_deferred *end;
    bine_micro *micro;

    cancels = 0;
    if (!TRIED(bine_deferred_new(rt, count_cancel, NULL, &deferred, &resolver)))
        return;
    end = send_errand(SECOND, &micro);
    settle(rt);
    if (micro != NULL)
        CHECK_OK(bine_micro_cancel(micro));
    settle(rt);
    if (end != NULL && !fault_injected())
        CHECK_EQ(bine_deferred_state(end), BINE_ECANCELED);
    bine_deferred_error(end);
    bine_deferred_release(end);
    bine_micro_release(micro);
    CHECK_OK(bine_deferred_cancel(deferred));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(deferred), BINE_ECANCELED);
    CHECK_STATUS(bine_resolve(resolver, bine_value_nil()), BINE_ESETTLED);
    bine_deferred_release(deferred);
}

TEST(a_time_limit_and_a_cancel)
{
    bine *rt = open_to_faults();

    expect_reports_of("bine.HostError"); /* where a waiter's end could not be asked for */
    expect_reports_of("bine.Timeout");
    with_all_faults(rt, time_out);
    with_all_faults(rt, cancel);
    close_runtime(rt);
}

static void many_timers(bine *rt)
{
    enum { MANY = 70 }; /* the heap grows at 64 */
    bine_deferred *all_of_them[MANY];
    bine_resolver *resolvers[MANY];
    size_t count = 0;

    faults_pause();
    for (size_t i = 0; i < MANY; i++)
        CHECK_OK(bine_deferred_new(rt, NULL, NULL, &all_of_them[i], &resolvers[i]));
    faults_resume();
    for (size_t i = 0; i < MANY; i++)
        count += TRIED(bine_deferred_timeout(all_of_them[i], SECOND));
    CHECK(count >= MANY - 1);
    crank(SECOND);
    settle(rt);
    faults_pause();
    for (size_t i = 0; i < MANY; i++) {
        count -= bine_deferred_state(all_of_them[i]) == BINE_ETIMEDOUT;
        bine_resolver_drop(resolvers[i]);
        bine_deferred_error(all_of_them[i]);
        bine_deferred_release(all_of_them[i]);
    }
    CHECK_EQ(count, 0);
    faults_resume();
}

TEST(more_timers_than_there_is_room_for)
{
    bine *rt = open_to_faults();

    with_faults(rt, SDK_MEMORY, many_timers);
    close_runtime(rt);
}

/* ---- tasks ---- */

static int tasks;

static void task(bine *rt, void *user)
{
    (void)rt;
    (void)user;
    tasks++;
}

static void post(bine *rt)
{
    int posted = 0;

    tasks = 0;
    for (int i = 0; i < 3; i++)
        posted += TRIED(bine_post(rt, task, owe(), pay));
    settle(rt);
    CHECK_EQ(tasks, posted);
}

TEST(posted_tasks)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, post);
    close_runtime(rt);
}

/* ---- values ---- */

static void check_tree(const bine_value *tree)
{
    CHECK_EQ(bine_value_count(tree), 12);
    CHECK_STR(bine_value_as_str(bine_value_get(tree, "k3"), NULL), "text");
    CHECK_EQ(bine_value_count(bine_value_get(tree, "list")), 6);
}

static void grow_tree(bine *rt)
{
    bine_value *dict = bine_value_dict();
    bine_value *list = bine_value_list();
    char key[8];
    int set = 0;
    int appended = 0;

    (void)rt;
    for (int i = 0; i < 6; i++)
        appended += TRIED(bine_value_append(list, i == 5 ? owed_value() : bine_value_i64(i)));
    CHECK_EQ(bine_value_count(list), appended);
    for (int i = 0; i < 11; i++) {
        snprintf(key, sizeof key, "k%d", i);
        set += TRIED(bine_value_set(dict, key, i == 3 ? bine_value_str("text") : owed_value()));
    }
    set += TRIED(bine_value_set(dict, "list", list));
    CHECK_EQ(bine_value_count(dict), set);
    TRIED(bine_value_set(dict, "k0", bine_value_f64(0.5))); /* in place of another */
    for (int i = 0; i < 11 && dict != NULL; i++) {
        snprintf(key, sizeof key, "k%d", i);
        CHECK(bine_value_get(dict, key) != NULL || fault_injected());
    }
    if (!fault_injected())
        check_tree(dict);
    bine_value_free(dict);
}

TEST(lists_and_dicts)
{
    bine *rt = open_to_faults();

    with_faults(rt, SDK_MEMORY, grow_tree);
    close_runtime(rt);
}

/* ---- C micro-threads ---- */

static int sum(bine *rt, void *user, bine_value **result)
{
    int status = bine_sleep(SECOND);

    (void)rt;
    (void)user;
    if (status == BINE_OK)
        status = bine_yield();
    if (status == BINE_OK)
        *result = owed_value();
    return status != BINE_OK || *result != NULL ? status : BINE_ENOMEM;
}

static int fail(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    *result = owed_value();
    return -2000;
}

static void spawn_in_c(bine *rt)
{
    bine_deferred *end = NULL;
    bine_micro *micro;

    if (!TRIED(bine_spawn(NULL, sum, owe(), pay, &micro))) {
        CHECK(micro == NULL);
        return;
    }
    TRIED(bine_micro_set_name(micro, "worker"));
    CHECK(bine_micro_name(micro) != NULL);
    TRIED(bine_micro_result(micro, &end));
    settle(rt);
    crank(SECOND);
    settle(rt);
    CHECK_EQ(bine_micro_get_state(micro), BINE_MICRO_DONE);
    check_debt(end);
    bine_micro_release(micro);
}

static void fail_in_c(bine *rt)
{
    bine_error *error;
    bine_micro *micro;

    if (!TRIED(bine_spawn(NULL, fail, owe(), pay, &micro)))
        return;
    settle(rt);
    CHECK_EQ(bine_micro_status(micro), BINE_ESCRIPT);
    if (TRIED(bine_micro_error(micro, &error)))
        CHECK(error->type != NULL && error->text != NULL && error->micro_name != NULL);
    else
        CHECK(error == NULL);
    bine_error_free(error);
    bine_micro_release(micro);
    settle(rt);
    CHECK_EQ(faults_told(), 0); /* asking has handled it */
}

static void fail_unheard(bine *rt)
{
    if (!TRIED(bine_spawn(NULL, fail, owe(), pay, NULL)))
        return;
    settle(rt);
    CHECK_EQ(faults_told(), 1);
}

TEST(micro_threads_in_c)
{
    bine *rt = open_to_faults();

    expect_reports_of("bine.HostError");
    with_all_faults(rt, spawn_in_c);
    with_all_faults(rt, fail_in_c);
    with_all_faults(rt, fail_unheard);
    close_runtime(rt);
}

static int park(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)result;
    return bine_wait(user, -1, NULL);
}

/* More than one region of stacks bears. */
static void many_stacks(bine *rt)
{
    enum { MANY = 40 };
    bine_micro *micros[MANY];
    size_t ended_well = 0;

    if (!new_pair(rt))
        return;
    for (size_t i = 0; i < MANY; i++)
        TRIED(bine_spawn(NULL, park, deferred, NULL, &micros[i]));
    settle(rt);
    CHECK_OK(bine_resolve(resolver, bine_value_nil()));
    settle(rt);
    for (size_t i = 0; i < MANY; i++) {
        ended_well += micros[i] != NULL && bine_micro_status(micros[i]) == BINE_OK;
        bine_micro_release(micros[i]);
    }
    CHECK(ended_well >= MANY - 1); /* one has met the failure: no stack, or no object */
    bine_deferred_release(deferred);
}

TEST(stacks_of_micro_threads)
{
    bine *rt = open_to_faults();

    with_faults(rt, SDK_MEMORY, many_stacks);
    close_runtime(rt);
}

static int shielded(bine *rt, void *user, bine_value **result)
{
    bool outer = TRIED(bine_shield_begin(SECOND));
    bool inner = TRIED(bine_shield_begin(SECOND));
    int status;

    (void)rt;
    status = bine_wait(user, -1, result);
    if (inner)
        bine_shield_end();
    if (outer)
        bine_shield_end();
    return status;
}

static void shield(bine *rt)
{
    bine_micro *micro;

    if (!new_pair(rt))
        return;
    if (TRIED(bine_spawn(NULL, shielded, deferred, NULL, &micro))) {
        settle(rt);
        bine_micro_cancel(micro);
        settle(rt);
        CHECK(fault_injected() || bine_micro_get_state(micro) == BINE_MICRO_WAITING);
        resolve();
        settle(rt);
        CHECK(fault_injected() || bine_micro_status(micro) == BINE_OK);
        bine_micro_release(micro);
    } else {
        bine_resolver_drop(resolver);
        bine_deferred_error(deferred);
    }
    bine_deferred_release(deferred);
}

TEST(shields_in_c)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, shield);
    close_runtime(rt);
}

/* ---- scopes ---- */

static int child(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    return bine_sleep(SECOND);
}

static void close_scope(bine *rt)
{
    bine_scope *scope;
    bine_deferred *end = NULL;
    bine_deferred *same_end = NULL;
    bine_micro *micro;

    if (!TRIED(bine_scope_new(rt, "door 7", &scope))) {
        CHECK(scope == NULL);
        return;
    }
    TRIED(bine_spawn(scope, child, owe(), pay, NULL));
    if (TRIED(bine_spawn(NULL, child, owe(), pay, &micro)))
        CHECK_OK(bine_scope_adopt(scope, micro));
    bine_micro_release(micro);
    TRIED(bine_scope_set_deadline(scope, 10 * SECOND));
    TRIED(bine_scope_close(scope, &end));
    TRIED(bine_scope_close(scope, &same_end));
    settle(rt);
    crank(SECOND);
    settle(rt);
    CHECK_EQ(bine_scope_alive(scope), 0);
    if (end != NULL)
        resolved(end);
    if (same_end != NULL)
        resolved(same_end);
    bine_deferred_release(end);
    bine_deferred_release(same_end);
    bine_scope_release(scope);
}

static void cancel_scope(bine *rt)
{
    bine_scope *scope;
    bine_deferred *end = NULL;
    bool bound;

    cancels = 0;
    if (!TRIED(bine_scope_new(rt, "door 7", &scope)))
        return;
    if (!TRIED(bine_deferred_new(rt, count_cancel, NULL, &deferred, &resolver))) {
        bine_scope_release(scope);
        return;
    }
    TRIED(bine_spawn(scope, child, owe(), pay, NULL));
    bound = TRIED(bine_scope_bind(scope, resolver));
    settle(rt);
    TRIED(bine_scope_close(scope, &end));
    bine_scope_cancel(scope, "door 7 was destroyed");
    settle(rt);
    CHECK_EQ(bine_deferred_state(deferred), bound ? BINE_EBROKEN : 0);
    CHECK_EQ(cancels, bound);
    if (end != NULL && !fault_injected())
        CHECK_EQ(bine_deferred_state(end), BINE_ECANCELED);
    bine_resolver_drop(resolver);
    bine_deferred_error(deferred);
    bine_deferred_release(deferred);
    bine_deferred_error(end);
    bine_deferred_release(end);
    bine_scope_release(scope);
}

static int fail_when_cancelled(bine *rt, void *user, bine_value **result)
{
    (void)rt;
    (void)user;
    (void)result;
    return bine_sleep(SECOND) == BINE_ECANCELED ? -2001 : BINE_ENOMEM;
}

static void fail_in_scope(bine *rt)
{
    const bine_error *error;
    bine_scope *scope;
    bine_deferred *end = NULL;
    int spawned = 0;

    if (!TRIED(bine_scope_new(rt, NULL, &scope)))
        return;
    spawned += TRIED(bine_spawn(scope, fail_when_cancelled, owe(), pay, NULL));
    spawned += TRIED(bine_spawn(scope, fail, owe(), pay, NULL));
    TRIED(bine_scope_close(scope, &end));
    settle(rt);
    crank(SECOND); /* for one without the other */
    settle(rt);
    if (end != NULL && spawned > 0) {
        int state = bine_deferred_state(end);

        CHECK(state == BINE_ESCRIPT || (fault_injected() && state == BINE_ENOMEM));
        error = bine_deferred_error(end);
        CHECK(error != NULL || fault_injected());
        if (!fault_injected())
            CHECK_EQ(error->group_count, 2);
    }
    bine_deferred_release(end);
    bine_scope_release(scope);
    settle(rt);
    CHECK(end != NULL || spawned == 0 || faults_told() > 0);
}

static void let_scope_go(bine *rt)
{
    bine_scope *scope;

    if (!TRIED(bine_scope_new(rt, "left", &scope)))
        return;
    TRIED(bine_spawn(scope, child, owe(), pay, NULL));
    TRIED(bine_scope_set_deadline(scope, SECOND));
    settle(rt);
    bine_scope_release(scope);
}

TEST(scopes_that_close)
{
    bine *rt = open_to_faults();

    with_all_faults(rt, close_scope);
    close_runtime(rt);
}

TEST(scopes_that_are_cancelled_or_let_go)
{
    bine *rt = open_to_faults();

    expect_reports_of("bine.HostError");
    with_all_faults(rt, cancel_scope);
    with_all_faults(rt, let_scope_go);
    close_runtime(rt);
}

TEST(scopes_whose_children_fail)
{
    bine *rt = open_to_faults();

    expect_reports_of("bine.HostError");
    with_all_faults(rt, fail_in_scope);
    close_runtime(rt);
}

/* ---- waits for real time, frames and descriptors ---- */

static int pipe_ends[2];

static int rest(bine *rt, void *user, bine_value **result)
{
    int status = bine_sleep_real(SECOND);

    (void)result;
    if (status == BINE_OK)
        status = bine_next_frame();
    if (status == BINE_OK) {
        status = bine_wait_fd(pipe_ends[0], BINE_READABLE, SECOND);
        CHECK(status == BINE_ETIMEDOUT || status == BINE_ENOMEM);
    }
    if (status == BINE_ETIMEDOUT)
        status = bine_wait_fd(pipe_ends[1], BINE_WRITABLE, SECOND);
    if (status == BINE_WRITABLE && user != NULL)
        *(int64_t *)user = bine_time(rt);
    return status > 0 ? BINE_OK : status;
}

static void rest_twice(bine *rt)
{
    int64_t ended[2] = {-1, -1};
    bine_deferred *ends[2] = {NULL, NULL};

    for (int i = 0; i < 2; i++) {
        bine_micro *micro;

        if (!TRIED(bine_spawn(NULL, rest, &ended[i], NULL, &micro)))
            continue;
        TRIED(bine_micro_result(micro, &ends[i]));
        bine_micro_release(micro);
    }
    run_to_end(rt);
    for (int i = 0; i < 2; i++) {
        if (ends[i] != NULL && resolved(ends[i]))
            CHECK(ended[i] >= 0);
        bine_deferred_release(ends[i]);
    }
    CHECK(fault_injected() || (ended[0] >= 0 && ended[1] >= 0));
}

TEST(waits_for_real_time_frames_and_descriptors)
{
    bine *rt = open_to_faults();

    CHECK_EQ(pipe(pipe_ends), 0);
    with_all_faults(rt, rest_twice);
    close_runtime(rt);
}

static void request(void *user)
{
    (void)user;
}

static void be_a_guest(bine *rt)
{
    if (!TRIED(bine_guest_start(rt, request, NULL)))
        CHECK_OK(bine_guest_start(rt, request, NULL)); /* nothing is left of the first attempt */
    TRIED(bine_spawn(NULL, rest, NULL, NULL, NULL));
    run_to_end(rt);
    CHECK_OK(bine_guest_stop(rt));
}

TEST(guest_mode)
{
    bine *rt = open_to_faults();

    CHECK_EQ(pipe(pipe_ends), 0);
    with_all_faults(rt, be_a_guest);
    close_runtime(rt);
}
