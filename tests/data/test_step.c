/* Steps: what follows a deferred, in which order, with which answer; each let go of once. */
#include "counted.h"
#include "fixture.h"
#include "notes.h"

#include <bine/python.h>
#include <pthread.h>

/* What a step is given as `user`: the heap tells a second release, `live` a missing one. */
typedef struct thing {
    const char *name;
    bine_deferred *deferred;
    int code;
} thing;

static int live;
static int released;

static thing *new_thing(const char *name)
{
    thing *t = calloc(1, sizeof *t);

    CHECK(t != NULL);
    t->name = name;
    live++;
    return t;
}

static thing *thing_with(const char *name, bine_deferred *d, int code)
{
    thing *t = new_thing(name);

    t->deferred = d;
    t->code = code;
    return t;
}

static void release_thing(void *user)
{
    free(user);
    live--;
    released++;
}

/* ---- steps ---- */

/* Notes its name and what it got: the number, or the code. */
static int say(bine_step *step, void *user)
{
    const thing *t = user;
    const bine_value *value = bine_step_value(step);

    if (value != NULL)
        note("%s%d ", t->name, (int)bine_value_as_i64(value));
    else
        note("%s(%s) ", t->name, bine_err_name(bine_step_code(step)));
    return BINE_OK;
}

/* Notes its name; answers with one more than it got. */
static int add_one(bine_step *step, void *user)
{
    say(step, user);
    return bine_step_return(step, bine_value_i64(bine_value_as_i64(bine_step_value(step)) + 1));
}

/* Notes its name; rejects with the thing's code and its name. */
static int refuse(bine_step *step, void *user)
{
    const thing *t = user;

    say(step, user);
    CHECK_OK(bine_step_reject(step, t->code, t->name));
    return BINE_OK;
}

/* Notes its name; returns the thing's code. */
static int status(bine_step *step, void *user)
{
    say(step, user);
    return ((const thing *)user)->code;
}

/* Notes its name; follows the thing's deferred, the hold of which is the step's. */
static int follow(bine_step *step, void *user)
{
    thing *t = user;
    bine_deferred *d = t->deferred;

    say(step, user);
    t->deferred = NULL;
    t->code = bine_step_follow(step, d);
    note("%s", t->code == BINE_OK ? "" : bine_err_name(t->code));
    return BINE_OK;
}

/* ---- deferreds ---- */

static int cancels;

static void count_cancel(bine_resolver *r, void *user)
{
    (void)user;
    cancels++;
    bine_resolver_drop(r);
}

static bine_deferred *pair(bine *rt, bine_resolver **r)
{
    bine_deferred *d;

    CHECK_OK(bine_deferred_new(rt, count_cancel, NULL, &d, r));
    return d;
}

/* With a number as its result. */
static bine_deferred *resolved(bine *rt, int64_t number)
{
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);

    CHECK_OK(bine_resolve(r, bine_value_i64(number)));
    return d;
}

static bine_deferred *rejected(bine *rt, int code, const char *message)
{
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);

    CHECK_OK(bine_reject(r, code, message));
    return d;
}

static bine_deferred *then(bine_deferred *d, bine_step_fn ok, bine_step_fn err, thing *t)
{
    bine_deferred *next;

    CHECK_OK(bine_then(d, ok, err, t, t == NULL ? NULL : release_thing, &next));
    return next;
}

static int64_t number_of(bine_deferred *d)
{
    const bine_value *value;

    CHECK_EQ(bine_deferred_peek(d, &value, NULL), 1);
    CHECK_EQ(bine_value_kind(value), BINE_I64);
    return bine_value_as_i64(value);
}

static const char *message_of(bine_deferred *d)
{
    const char *message;

    CHECK(bine_deferred_peek(d, NULL, &message) < 0);
    return message;
}

/* Taken: nobody is to be told of its rejection. */
static void drop(bine_deferred *d)
{
    bine_deferred_error(d);
    bine_deferred_release(d);
}

/* Everything was let go of, once. */
static void finish(bine *rt)
{
    settle(rt);
    CHECK_EQ(live, 0);
    CHECK_EQ(counted_destroyed(), counted_made());
    close_runtime(rt);
}

/* ---- which step runs, and when ---- */

TEST(an_ok_step_gets_the_value_and_its_answer_goes_to_next)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 5);
    bine_deferred *next = then(d, add_one, status, new_thing("a"));

    CHECK_EQ(bine_deferred_state(next), 0);
    settle(rt);
    CHECK_STR(notes(), "a5 ");
    CHECK_EQ(number_of(next), 6);
    CHECK_EQ(number_of(d), 5);
    CHECK_EQ(released, 1);
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

static int look_at_rejection(bine_step *step, void *user)
{
    const bine_error *error = bine_step_error(step);

    CHECK(bine_step_value(step) == NULL);
    CHECK_EQ(bine_step_code(step), -1500);
    CHECK_STR(bine_step_message(step), "the door is locked");
    CHECK(error != NULL && error == bine_step_error(step));
    CHECK_EQ(error->code, -1500);
    CHECK_STR(error->type, "bine.HostError");
    CHECK_STR(error->message, "the door is locked");
    note("seen ");
    CHECK(bine_step_runtime(step) == user);
    return bine_step_return(step, bine_value_i64(1));
}

static int never(bine_step *step, void *user)
{
    (void)step;
    (void)user;
    FAIL("this step is for the other case");
}

TEST(an_err_step_gets_code_message_and_data_and_may_recover)
{
    bine *rt = open_runtime();
    bine_deferred *d = rejected(rt, -1500, "the door is locked");
    bine_deferred *next;

    CHECK_OK(bine_then(d, never, look_at_rejection, rt, NULL, &next));
    settle(rt);
    CHECK_STR(notes(), "seen ");
    CHECK_EQ(number_of(next), 1);
    CHECK(bine_deferred_handled(d));
    CHECK(!bine_deferred_handled(next));
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

static int look_at_value(bine_step *step, void *user)
{
    (void)user;
    CHECK_EQ(bine_step_code(step), BINE_OK);
    CHECK_STR(bine_step_message(step), "");
    CHECK(bine_step_error(step) == NULL);
    CHECK_EQ(bine_value_as_i64(bine_step_value(step)), 3);
    return BINE_OK;
}

TEST(an_ok_step_sees_no_rejection_and_answers_nil_by_default)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 3);
    bine_deferred *next;
    const bine_value *value;

    CHECK_OK(bine_then(d, look_at_value, never, NULL, NULL, &next));
    settle(rt);
    CHECK_EQ(bine_deferred_peek(next, &value, NULL), 1);
    CHECK_EQ(bine_value_kind(value), BINE_NIL);
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

TEST(a_missing_step_passes_the_result_on)
{
    bine *rt = open_runtime();
    bine_deferred *good = resolved(rt, 3);
    bine_deferred *bad = rejected(rt, -1500, "no");
    bine_deferred *passed = then(good, NULL, never, new_thing("a"));
    bine_deferred *passed_bad = then(bad, never, NULL, new_thing("b"));
    bine_deferred *copy = then(good, NULL, NULL, NULL);
    bine_deferred *copy_bad = then(bad, NULL, NULL, new_thing("c"));

    settle(rt);
    CHECK_EQ(number_of(passed), 3);
    CHECK_EQ(number_of(copy), 3);
    CHECK_EQ(bine_deferred_state(passed_bad), -1500);
    CHECK_STR(message_of(passed_bad), "no");
    CHECK_STR(message_of(copy_bad), "no");
    CHECK_EQ(released, 3);
    bine_deferred_release(good);
    bine_deferred_release(bad);
    bine_deferred_release(passed);
    bine_deferred_release(copy);
    drop(passed_bad);
    drop(copy_bad);
    finish(rt);
}

TEST(a_value_passes_through_missing_steps_uncopied_and_is_freed_once)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);
    bine_deferred *next = then(d, NULL, NULL, NULL);
    const bine_value *first;
    const bine_value *second;

    CHECK_OK(bine_resolve(r, counted()));
    settle(rt);
    bine_deferred_peek(d, &first, NULL);
    bine_deferred_peek(next, &second, NULL);
    CHECK(first == second);
    bine_deferred_release(d);
    CHECK_EQ(counted_destroyed(), 0);
    bine_deferred_release(next);
    CHECK_EQ(counted_destroyed(), 1);
    finish(rt);
}

TEST(attaching_and_settling_run_no_step_inside_the_call)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);

    CHECK_OK(bine_then(d, say, NULL, new_thing("a"), release_thing, NULL));
    CHECK_OK(bine_resolve(r, bine_value_i64(1)));
    CHECK_OK(bine_then(d, say, NULL, new_thing("b"), release_thing, NULL));
    CHECK_STR(notes(), "");
    bine_deferred_release(d);
    settle(rt);
    CHECK_STR(notes(), "a1 b1 ");
    finish(rt);
}

static bine_deferred *awaited;

static int wait_in_script(bine_call *call, void *user)
{
    int result = bine_wait(awaited, -1, NULL);

    (void)call;
    (void)user;
    note("script ");
    return result;
}

TEST(steps_and_micro_threads_have_their_turns_in_the_order_they_came)
{
    bine *rt = open_runtime();
    bine_resolver *r;

    CHECK_OK(bine_def(rt, "host", "wait()", wait_in_script, NULL, NULL));
    awaited = pair(rt, &r);
    CHECK_OK(bine_then(awaited, say, NULL, new_thing("a"), release_thing, NULL));
    CHECK_OK(bine_then(awaited, say, NULL, new_thing("b"), release_thing, NULL));
    start_script(rt, "import host; host.wait()");
    settle(rt);
    CHECK_OK(bine_then(awaited, say, NULL, new_thing("c"), release_thing, NULL));
    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_STR(notes(), "a0 b0 script c0 ");
    bine_deferred_release(awaited);
    finish(rt);
}

static int attach_another(bine_step *step, void *user)
{
    thing *t = user;

    say(step, user);
    CHECK_OK(bine_then(t->deferred, say, NULL, new_thing("late"), release_thing, NULL));
    return BINE_OK;
}

TEST(a_step_attached_while_one_runs_goes_last)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);

    CHECK_OK(bine_then(d, attach_another, NULL, thing_with("a", d, 0), release_thing, NULL));
    CHECK_OK(bine_then(d, say, NULL, new_thing("b"), release_thing, NULL));
    CHECK_OK(bine_then(d, say, NULL, new_thing("c"), release_thing, NULL));
    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_STR(notes(), "a0 b0 c0 late0 ");
    bine_deferred_release(d);
    finish(rt);
}

TEST(a_chain_hands_each_answer_to_the_next)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *a = then(d, add_one, NULL, new_thing("a"));
    bine_deferred *b = then(a, refuse, NULL, thing_with("b", NULL, -1600));
    bine_deferred *c = then(b, never, NULL, new_thing("c"));
    bine_deferred *e = then(c, never, say, new_thing("e"));

    settle(rt);
    CHECK_STR(notes(), "a1 b2 e(BINE_E?) ");
    CHECK_EQ(bine_deferred_state(e), 1);
    CHECK_STR(message_of(c), "b");
    bine_deferred_release(d);
    bine_deferred_release(a);
    bine_deferred_release(b);
    bine_deferred_release(c);
    bine_deferred_release(e);
    finish(rt);
}

TEST(a_chain_nobody_holds_runs_all_the_same)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);
    bine_deferred *a = then(d, add_one, NULL, new_thing("a"));
    bine_deferred *b = then(a, add_one, NULL, new_thing("b"));

    bine_deferred_release(b);
    bine_deferred_release(a);
    bine_deferred_release(d);
    CHECK_OK(bine_resolve(r, bine_value_i64(1)));
    settle(rt);
    CHECK_STR(notes(), "a1 b2 ");
    finish(rt);
}

static int try_to_wait(bine_step *step, void *user)
{
    bine_deferred *other = user;

    CHECK(bine_micro_current() == NULL);
    CHECK_STATUS(bine_wait(other, 0, NULL), BINE_EMICRO);
    CHECK_STATUS(bine_sleep(0), BINE_EMICRO);
    CHECK_STATUS(bine_tick(bine_step_runtime(step), 0, NULL), BINE_EBUSY);
    CHECK_STATUS(bine_close(bine_step_runtime(step)), BINE_EBUSY);
    note("refused ");
    return BINE_OK;
}

TEST(a_step_cannot_wait_nor_tick)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *other = pair(rt, &r);
    bine_deferred *d = resolved(rt, 1);

    CHECK_OK(bine_then(d, try_to_wait, NULL, other, NULL, NULL));
    settle(rt);
    CHECK_STR(notes(), "refused ");
    CHECK_OK(bine_resolve(r, bine_value_nil()));
    bine_deferred_release(other);
    bine_deferred_release(d);
    finish(rt);
}

/* ---- answers ---- */

static int answer_twice(bine_step *step, void *user)
{
    bine_deferred *other = user;

    CHECK_OK(bine_step_return(step, counted()));
    CHECK_STATUS(bine_step_return(step, counted()), BINE_EBUSY);
    CHECK_EQ(counted_destroyed(), 1); /* the second value is freed */
    CHECK_STATUS(bine_step_reject(step, BINE_EIO, "x"), BINE_EBUSY);
    CHECK_STATUS(bine_step_follow(step, other), BINE_EBUSY); /* takes the hold */
    return BINE_OK;
}

TEST(the_first_answer_counts_and_what_others_brought_is_let_go)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *next;

    CHECK_OK(bine_then(d, answer_twice, NULL, resolved(rt, 2), NULL, &next));
    settle(rt);
    CHECK_EQ(bine_deferred_state(next), 1);
    CHECK_EQ(counted_destroyed(), 1);
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

static int answer_badly(bine_step *step, void *user)
{
    switch (*(const int *)user) {
    case 0:
        CHECK_STATUS(bine_step_return(step, NULL), BINE_ENOMEM);
        break;
    case 1:
        CHECK_STATUS(bine_step_reject(step, 0, "fine"), BINE_EINVAL);
        break;
    case 2:
        CHECK_STATUS(bine_step_reject(step, 7, "fine"), BINE_EINVAL);
        break;
    default:
        CHECK_STATUS(bine_step_follow(step, NULL), BINE_EINVAL);
    }
    return BINE_OK;
}

TEST(a_bad_answer_rejects)
{
    static const int codes[] = {BINE_ENOMEM, BINE_EINVAL, BINE_EINVAL, BINE_EINVAL};
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);

    for (int how = 0; how < 4; how++) {
        bine_deferred *next;

        CHECK_OK(bine_then(d, answer_badly, NULL, &how, NULL, &next));
        settle(rt);
        CHECK_EQ(bine_deferred_state(next), codes[how]);
        drop(next);
    }
    bine_deferred_release(d);
    finish(rt);
}

TEST(a_negative_status_rejects)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *next = then(d, status, NULL, thing_with("a", NULL, -1700));

    settle(rt);
    CHECK_EQ(bine_deferred_state(next), -1700);
    CHECK_STR(message_of(next), "");
    drop(next);
    bine_deferred_release(d);
    finish(rt);
}

TEST(a_positive_status_is_none_and_rejects)
{
    static const int wrong[] = {1, 2, 1000};
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);

    for (size_t i = 0; i < 3; i++) {
        bine_deferred *next = then(d, status, NULL, thing_with("a", NULL, wrong[i]));

        settle(rt);
        CHECK_EQ(bine_deferred_state(next), BINE_EINVAL);
        drop(next);
    }
    bine_deferred_release(d);
    finish(rt);
}

/* Answers in one of three ways, then fails. */
static int answer_and_fail(bine_step *step, void *user)
{
    bine_deferred *d = user;

    if (d != NULL)
        CHECK_OK(bine_step_follow(step, d));
    else if (bine_value_as_i64(bine_step_value(step)) == 1)
        CHECK_OK(bine_step_return(step, counted()));
    else
        CHECK_OK(bine_step_reject(step, -1800, "not this"));
    return -1900;
}

TEST(a_negative_status_counts_more_than_an_answer_given_before)
{
    bine *rt = open_runtime();
    bine_deferred *one = resolved(rt, 1);
    bine_deferred *two = resolved(rt, 2);
    bine_deferred *next[3];

    CHECK_OK(bine_then(one, answer_and_fail, NULL, NULL, NULL, &next[0]));
    CHECK_OK(bine_then(two, answer_and_fail, NULL, NULL, NULL, &next[1]));
    CHECK_OK(bine_then(two, answer_and_fail, NULL, resolved(rt, 3), NULL, &next[2]));
    settle(rt);
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQ(bine_deferred_state(next[i]), -1900);
        CHECK_STR(message_of(next[i]), "");
        drop(next[i]);
    }
    bine_deferred_release(one);
    bine_deferred_release(two);
    finish(rt);
}

TEST(the_code_that_a_step_was_given_passes_the_whole_rejection_on)
{
    bine *rt = open_runtime();
    bine_deferred *d = rejected(rt, -1500, "the first words");
    bine_deferred *same = then(d, NULL, status, thing_with("a", NULL, -1500));
    bine_deferred *other = then(d, NULL, status, thing_with("b", NULL, -1501));

    settle(rt);
    CHECK_EQ(bine_deferred_state(same), -1500);
    CHECK_STR(message_of(same), "the first words");
    CHECK_EQ(bine_deferred_state(other), -1501);
    CHECK_STR(message_of(other), "");
    drop(same);
    drop(other);
    bine_deferred_release(d);
    finish(rt);
}

TEST(an_exception_passed_on_stays_the_exception_that_it_was)
{
    bine *rt = open_runtime();
    bine_micro *micro;
    bine_deferred *end;
    bine_deferred *next;
    const bine_error *error;

    CHECK_OK(bine_run_string(rt, "def fall(): raise KeyError('gone')\nfall()", "<test>", &micro));
    CHECK_OK(bine_micro_result(micro, &end));
    next = then(end, never, status, thing_with("a", NULL, BINE_ESCRIPT));
    settle(rt);
    CHECK_STR(notes(), "a(BINE_ESCRIPT) ");
    CHECK_EQ(bine_deferred_state(next), BINE_ESCRIPT);
    error = bine_deferred_error(next);
    CHECK(error != NULL);
    CHECK_STR(error->type, "KeyError");
    CHECK_EQ(error->frame_count, 2);
    CHECK_STR(error->frames[1].function, "fall");
    bine_micro_release(micro);
    bine_deferred_release(end);
    bine_deferred_release(next);
    finish(rt);
}

static int raise_in_step(bine_step *step, void *user)
{
    (void)step;
    PyErr_SetString(PyExc_LookupError, "from a step");
    return *(const int *)user;
}

TEST(an_exception_left_behind_is_the_answer_whatever_the_status)
{
    static const int statuses[] = {BINE_OK, BINE_ESCRIPT, BINE_EIO};
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);

    for (size_t i = 0; i < 3; i++) {
        bine_deferred *next;
        const bine_error *error;

        CHECK_OK(bine_then(d, raise_in_step, NULL, (void *)&statuses[i], NULL, &next));
        settle(rt);
        CHECK_EQ(bine_deferred_state(next), BINE_ESCRIPT);
        error = bine_deferred_error(next);
        CHECK_STR(error->type, "LookupError");
        CHECK_STR(error->message, "from a step");
        bine_deferred_release(next);
    }
    bine_deferred_release(d);
    finish(rt);
}

/* ---- following ---- */

TEST(a_step_that_follows_answers_with_what_that_is_settled_with)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *later = pair(rt, &r);
    bine_deferred *next[3];

    next[0] = then(d, follow, NULL, thing_with("a", resolved(rt, 10), 0));
    next[1] = then(d, follow, NULL, thing_with("b", rejected(rt, -1500, "words"), 0));
    next[2] = then(d, follow, NULL, thing_with("c", later, 0));
    settle(rt);
    CHECK_STR(notes(), "a1 b1 c1 ");
    CHECK_EQ(number_of(next[0]), 10);
    CHECK_EQ(bine_deferred_state(next[1]), -1500);
    CHECK_STR(message_of(next[1]), "words");
    CHECK_EQ(bine_deferred_state(next[2]), 0);
    CHECK_EQ(released, 3); /* the third has run, though its answer has not come */
    CHECK_OK(bine_resolve(r, bine_value_i64(30)));
    settle(rt);
    CHECK_EQ(number_of(next[2]), 30);
    bine_deferred_release(next[0]);
    drop(next[1]);
    bine_deferred_release(next[2]);
    bine_deferred_release(d);
    finish(rt);
}

TEST(what_is_followed_counts_as_taken)
{
    bine *rt = open_runtime();
    bine_deferred *bad = rejected(rt, -1500, "words");
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *next = then(d, follow, NULL, thing_with("a", bine_deferred_retain(bad), 0));

    settle(rt);
    CHECK(bine_deferred_handled(bad));
    CHECK(!bine_deferred_handled(next));
    bine_deferred_release(bad);
    bine_deferred_release(d);
    bine_deferred_release(next);
    settle(rt);
    CHECK_EQ(error_count(), 1); /* that of `next`, which nobody took */
    forget_errors();
    finish(rt);
}

/* ---- pushing ---- */

static int push_two(bine_step *step, void *user)
{
    say(step, user);
    CHECK_OK(bine_step_push(step, add_one, NULL, new_thing("F'"), release_thing));
    CHECK_OK(bine_step_push(step, add_one, NULL, new_thing("E'"), release_thing));
    return bine_step_return(step, bine_value_i64(bine_value_as_i64(bine_step_value(step)) + 1));
}

/* A called B, B called C, C called D, which deferred: each left its step behind. */
static bine_deferred *layers(bine *rt, bine_step_fn innermost, bine_resolver **r, int code)
{
    bine_deferred *d = pair(rt, r);
    bine_deferred *c = then(d, innermost, NULL, thing_with("D'", d, code));
    bine_deferred *b = then(c, add_one, NULL, new_thing("C'"));
    bine_deferred *a = then(b, add_one, NULL, new_thing("B'"));
    bine_deferred *end = then(a, add_one, say, new_thing("A'"));

    bine_deferred_release(d);
    bine_deferred_release(c);
    bine_deferred_release(b);
    bine_deferred_release(a);
    return end;
}

TEST(pushed_steps_run_before_those_of_the_callers)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *end = layers(rt, push_two, &r, 0);

    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_STR(notes(), "D'0 F'1 E'2 C'3 B'4 A'5 ");
    CHECK_EQ(number_of(end), 6);
    bine_deferred_release(end);
    finish(rt);
}

static int push_then_follow(bine_step *step, void *user)
{
    say(step, user);
    CHECK_OK(bine_step_push(step, add_one, NULL, new_thing("F'"), release_thing));
    CHECK_OK(bine_step_push(step, add_one, NULL, new_thing("E'"), release_thing));
    return bine_step_follow(step, bine_deferred_retain(awaited));
}

TEST(pushed_steps_get_what_their_step_follows)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_resolver *second;
    bine_deferred *end = layers(rt, push_then_follow, &r, 0);

    awaited = pair(rt, &second);
    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_STR(notes(), "D'0 ");
    CHECK_OK(bine_resolve(second, bine_value_i64(50)));
    settle(rt);
    CHECK_STR(notes(), "D'0 F'50 E'51 C'52 B'53 A'54 ");
    bine_deferred_release(awaited);
    bine_deferred_release(end);
    finish(rt);
}

static int push_then_refuse(bine_step *step, void *user)
{
    CHECK_OK(bine_step_push(step, never, NULL, new_thing("F'"), release_thing));
    CHECK_OK(bine_step_push(step, never, say, new_thing("E'"), release_thing));
    return refuse(step, user);
}

TEST(pushed_steps_get_their_steps_rejection)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *end = layers(rt, push_then_refuse, &r, BINE_EIO);

    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_STR(notes(), "D'0 E'(BINE_EIO) C'0 B'1 A'2 ");
    bine_deferred_release(end);
    finish(rt);
}

static int push_then_fail(bine_step *step, void *user)
{
    say(step, user);
    CHECK_OK(bine_step_push(step, never, say, new_thing("F'"), release_thing));
    return BINE_EIO;
}

TEST(steps_pushed_by_one_that_fails_run_all_the_same)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *end = layers(rt, push_then_fail, &r, 0);

    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_STR(notes(), "D'0 F'(BINE_EIO) C'0 B'1 A'2 ");
    bine_deferred_release(end);
    finish(rt);
}

static int push_nested(bine_step *step, void *user)
{
    thing *t = user;

    say(step, user);
    if (t->code > 0) {
        static const char *const names[] = {"", "c", "b", "a"};

        CHECK_OK(bine_step_push(step, push_nested, NULL, thing_with(names[t->code], NULL, t->code - 1),
                                release_thing));
        CHECK_OK(bine_step_push(step, say, NULL, new_thing("-"), release_thing));
    }
    return BINE_OK;
}

TEST(pushes_nest)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *end = layers(rt, push_nested, &r, 3);

    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_STR(notes(), "D'0 a0 b0 c0 -0 -0 -0 C'0 B'1 A'2 ");
    bine_deferred_release(end);
    finish(rt);
}

TEST(other_steps_of_the_deferred_do_not_see_what_was_pushed)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 0);

    CHECK_OK(bine_then(d, push_two, NULL, new_thing("a"), release_thing, NULL));
    CHECK_OK(bine_then(d, say, NULL, new_thing("b"), release_thing, NULL));
    settle(rt);
    CHECK_STR(notes(), "a0 b0 F'1 E'2 ");
    bine_deferred_release(d);
    finish(rt);
}

TEST(pushed_steps_that_never_run_are_released)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_resolver *second;
    bine_deferred *end = layers(rt, push_then_follow, &r, 0);

    awaited = pair(rt, &second);
    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_EQ(live, 5);
    bine_deferred_release(awaited);
    bine_deferred_release(end);
    CHECK_OK(bine_close(rt));
    CHECK_EQ(live, 0);
    CHECK_EQ(released, 6);
    CHECK_STR(notes(), "D'0 ");
    CHECK_STATUS(bine_resolve(second, counted()), BINE_ECLOSED);
    CHECK_EQ(counted_destroyed(), 1);
}

/* ---- cancelling ---- */

static void end_as_cancelled(bine_resolver *r, void *user)
{
    (void)user;
    cancels++;
    CHECK_OK(bine_reject(r, BINE_ECANCELED, "stopped"));
}

static bine_deferred *cancellable(bine *rt, bine_resolver **r)
{
    bine_deferred *d;

    CHECK_OK(bine_deferred_new(rt, end_as_cancelled, NULL, &d, r));
    return d;
}

TEST(cancelling_the_last_of_a_chain_cancels_the_work_at_its_head)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = cancellable(rt, &r);
    bine_deferred *a = then(d, never, NULL, new_thing("a"));
    bine_deferred *b = then(a, never, say, new_thing("b"));
    bine_deferred *c = then(b, say, never, new_thing("c"));

    CHECK_OK(bine_deferred_cancel(c));
    CHECK_EQ(cancels, 0);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(d), BINE_ECANCELED);
    CHECK_STR(message_of(a), "stopped");
    CHECK_STR(notes(), "b(BINE_ECANCELED) c0 ");
    CHECK_EQ(bine_deferred_state(c), 1); /* b took the rejection, so c has a result */
    bine_deferred_release(d);
    bine_deferred_release(a);
    bine_deferred_release(b);
    bine_deferred_release(c);
    finish(rt);
}

TEST(cancelling_one_of_several_followers_rejects_that_one_alone)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = cancellable(rt, &r);
    bine_deferred *a = then(d, never, never, new_thing("a"));
    bine_deferred *b = then(d, say, never, new_thing("b"));
    bine_deferred *after = then(a, never, say, new_thing("after"));

    CHECK_OK(bine_deferred_cancel(a));
    settle(rt);
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(a), BINE_ECANCELED);
    CHECK_STR(notes(), "after(BINE_ECANCELED) ");
    CHECK_EQ(released, 2);
    CHECK_OK(bine_resolve(r, bine_value_i64(4)));
    settle(rt);
    CHECK_STR(notes(), "after(BINE_ECANCELED) b4 ");
    bine_deferred_release(d);
    bine_deferred_release(a);
    bine_deferred_release(b);
    bine_deferred_release(after);
    finish(rt);
}

TEST(the_last_of_several_followers_to_be_cancelled_cancels_the_work)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = cancellable(rt, &r);
    bine_deferred *a = then(d, never, NULL, new_thing("a"));
    bine_deferred *b = then(d, never, NULL, new_thing("b"));

    CHECK_OK(bine_deferred_cancel(a));
    CHECK_OK(bine_deferred_cancel(b));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(a), BINE_ECANCELED);
    CHECK_EQ(bine_deferred_state(b), BINE_ECANCELED);
    bine_deferred_release(d);
    bine_deferred_release(a);
    bine_deferred_release(b);
    finish(rt);
}

TEST(a_script_that_waits_for_the_same_is_left_its_work)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *a;

    CHECK_OK(bine_def(rt, "host", "wait()", wait_in_script, NULL, NULL));
    awaited = cancellable(rt, &r);
    a = then(awaited, never, never, new_thing("a"));
    start_script(rt, "import host; host.wait()");
    settle(rt);
    CHECK_OK(bine_deferred_cancel(a));
    settle(rt);
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(a), BINE_ECANCELED);
    CHECK_OK(bine_resolve(r, bine_value_nil()));
    settle(rt);
    CHECK_STR(notes(), "script ");
    bine_deferred_release(awaited);
    bine_deferred_release(a);
    finish(rt);
}

TEST(a_time_limit_is_nobody_who_waits)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = cancellable(rt, &r);
    bine_deferred *a;

    CHECK_OK(bine_deferred_timeout(d, 5 * SECOND));
    a = then(d, never, NULL, new_thing("a"));
    CHECK_OK(bine_deferred_cancel(a));
    settle(rt);
    CHECK_EQ(cancels, 1);
    bine_deferred_release(d);
    bine_deferred_release(a);
    finish(rt);
}

static void resolve_in_canceller(bine_resolver *r, void *user)
{
    (void)user;
    CHECK_OK(bine_resolve(r, bine_value_i64(40)));
}

TEST(a_result_given_in_the_canceller_goes_to_the_steps)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d;
    bine_deferred *next;

    CHECK_OK(bine_deferred_new(rt, resolve_in_canceller, NULL, &d, &r));
    next = then(d, add_one, never, new_thing("a"));
    CHECK_OK(bine_deferred_cancel(next));
    settle(rt);
    CHECK_STR(notes(), "a40 ");
    CHECK_EQ(number_of(next), 41);
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

TEST(cancelling_goes_on_to_what_a_step_follows)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *next = then(d, follow, NULL, thing_with("a", cancellable(rt, &r), 0));

    settle(rt);
    CHECK_STR(notes(), "a1 ");
    CHECK_OK(bine_deferred_cancel(next));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(next), BINE_ECANCELED);
    CHECK_STR(message_of(next), "stopped");
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

TEST(a_step_whose_turn_has_come_runs_in_spite_of_a_cancel)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *next = then(d, add_one, never, new_thing("a"));

    CHECK_OK(bine_deferred_cancel(next));
    settle(rt);
    CHECK_STR(notes(), "a1 ");
    CHECK_EQ(number_of(next), 2);
    CHECK_STATUS(bine_deferred_cancel(next), BINE_ESETTLED);
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

TEST(a_cancel_that_finds_a_step_about_to_run_reaches_what_the_step_follows)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_resolver *second;
    bine_deferred *d = pair(rt, &r);
    bine_deferred *next = then(d, follow, NULL, thing_with("a", cancellable(rt, &second), 0));

    CHECK_OK(bine_deferred_cancel(next));
    CHECK_OK(bine_resolve(r, bine_value_i64(1))); /* before the cancel's turn */
    settle(rt);
    CHECK_STR(notes(), "a1 ");
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(next), BINE_ECANCELED);
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

TEST(what_a_step_begins_anew_after_a_cancel_can_be_cancelled_too)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_resolver *second;
    bine_deferred *d = cancellable(rt, &r);
    bine_deferred *next = then(d, never, follow, thing_with("again", cancellable(rt, &second), 0));

    CHECK_OK(bine_deferred_cancel(next));
    settle(rt);
    CHECK_STR(notes(), "again(BINE_ECANCELED) ");
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(next), 0);
    CHECK_OK(bine_deferred_cancel(next));
    settle(rt);
    CHECK_EQ(cancels, 2);
    CHECK_EQ(bine_deferred_state(next), BINE_ECANCELED);
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish(rt);
}

/* ---- time limits ---- */

TEST(a_time_limit_on_next_ends_the_work_and_rejects_with_etimedout)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = cancellable(rt, &r);
    bine_deferred *a = then(d, never, NULL, new_thing("a"));
    bine_deferred *b = then(a, never, NULL, new_thing("b"));

    CHECK_OK(bine_deferred_timeout(b, 2 * SECOND));
    crank(2 * SECOND - 1);
    settle(rt);
    CHECK_EQ(cancels, 0);
    crank(1);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(d), BINE_ECANCELED);
    CHECK_EQ(bine_deferred_state(a), BINE_ECANCELED);
    CHECK_EQ(bine_deferred_state(b), BINE_ETIMEDOUT);
    bine_deferred_release(d);
    bine_deferred_release(a);
    drop(b);
    finish(rt);
}

TEST(a_time_limit_on_one_of_several_followers_ends_that_one_alone)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = cancellable(rt, &r);
    bine_deferred *a = then(d, never, NULL, new_thing("a"));
    bine_deferred *b = then(d, say, NULL, new_thing("b"));

    CHECK_OK(bine_deferred_timeout(a, SECOND));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(cancels, 0);
    CHECK_EQ(bine_deferred_state(a), BINE_ETIMEDOUT);
    CHECK_OK(bine_resolve(r, bine_value_i64(1)));
    settle(rt);
    CHECK_STR(notes(), "b1 ");
    bine_deferred_release(d);
    drop(a);
    bine_deferred_release(b);
    finish(rt);
}

TEST(a_time_limit_that_ends_as_a_step_begins_ends_what_the_step_follows)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_resolver *second;
    bine_deferred *d = pair(rt, &r);
    bine_deferred *next = then(d, follow, NULL, thing_with("a", cancellable(rt, &second), 0));

    CHECK_OK(bine_deferred_timeout(next, SECOND));
    CHECK_OK(bine_resolve(r, bine_value_i64(1)));
    crank(SECOND);
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(next), BINE_ETIMEDOUT);
    drop(next);
    bine_deferred_release(d);
    finish(rt);
}

TEST(a_time_limit_whose_cancel_is_answered_with_a_result_ends_what_the_step_follows)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_resolver *second;
    bine_deferred *d;
    bine_deferred *next;

    CHECK_OK(bine_deferred_new(rt, resolve_in_canceller, NULL, &d, &r));
    next = then(d, follow, NULL, thing_with("a", cancellable(rt, &second), 0));
    CHECK_OK(bine_deferred_timeout(next, SECOND));
    crank(SECOND);
    settle(rt);
    CHECK_STR(notes(), "a40 ");
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(next), BINE_ETIMEDOUT);
    drop(next);
    bine_deferred_release(d);
    finish(rt);
}

/* ---- cycles ---- */

static bine_deferred *self;

static int follow_self(bine_step *step, void *user)
{
    (void)user;
    CHECK_STATUS(bine_step_follow(step, bine_deferred_retain(self)), BINE_EINVAL);
    CHECK_STATUS(bine_step_return(step, bine_value_nil()), BINE_EBUSY);
    return BINE_OK;
}

static bine_deferred *in_a_group(bine *rt, bine_deferred *d)
{
    bine_deferred *group;

    CHECK_OK(bine_all(rt, &d, 1, &group));
    return group;
}

TEST(what_waits_for_the_step_itself_cannot_be_followed)
{
    bine *rt = open_runtime();

    for (int how = 0; how < 4; how++) {
        bine_deferred *d = resolved(rt, 1);
        bine_deferred *next;
        bine_deferred *derived;
        bine_deferred *group;
        bine_deferred *ways[4];

        CHECK_OK(bine_then(d, follow_self, NULL, NULL, NULL, &next));
        derived = then(next, never, NULL, NULL);
        group = in_a_group(rt, derived);
        ways[0] = next;
        ways[1] = derived;
        ways[2] = group;
        ways[3] = then(group, never, NULL, NULL);
        self = ways[how];
        settle(rt);
        CHECK_EQ(bine_deferred_state(next), BINE_EINVAL);
        CHECK_HAS(message_of(next), "waits for this very step");
        CHECK_EQ(bine_deferred_state(ways[3]), BINE_EINVAL);
        bine_deferred_release(d);
        bine_deferred_release(next);
        bine_deferred_release(derived);
        bine_deferred_release(group);
        drop(ways[3]);
    }
    finish(rt);
}

TEST(two_steps_that_follow_each_other_are_a_cycle)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);
    thing *a = new_thing("a");
    thing *b = new_thing("b");
    bine_deferred *next_a = then(d, follow, NULL, a);
    bine_deferred *next_b = then(d, follow, NULL, b);

    a->deferred = bine_deferred_retain(next_b);
    b->deferred = bine_deferred_retain(next_a);
    settle(rt);
    CHECK_STR(notes(), "a1 b1 BINE_EINVAL");
    CHECK_EQ(bine_deferred_state(next_b), BINE_EINVAL);
    CHECK_EQ(bine_deferred_state(next_a), BINE_EINVAL);
    bine_deferred_release(d);
    bine_deferred_release(next_b);
    drop(next_a);
    finish(rt);
}

static int push_follow(bine_step *step, void *user)
{
    (void)user;
    return bine_step_push(step, follow_self, NULL, NULL, NULL);
}

TEST(a_pushed_step_cannot_follow_what_waits_for_its_deferred)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *next;

    CHECK_OK(bine_then(d, push_follow, NULL, NULL, NULL, &next));
    self = then(next, never, NULL, NULL);
    settle(rt);
    CHECK_EQ(bine_deferred_state(next), BINE_EINVAL);
    CHECK_EQ(bine_deferred_state(self), BINE_EINVAL);
    bine_deferred_release(next);
    drop(self);
    bine_deferred_release(d);
    finish(rt);
}

TEST(what_is_settled_waits_for_nothing_and_can_be_followed)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *a = then(d, add_one, NULL, new_thing("a"));
    bine_deferred *b = then(a, follow, NULL, thing_with("b", bine_deferred_retain(a), 0));

    settle(rt);
    CHECK_EQ(number_of(b), 2);
    bine_deferred_release(a);
    bine_deferred_release(b);
    bine_deferred_release(d);
    finish(rt);
}

/* ---- release ---- */

TEST(a_step_is_released_on_every_error)
{
    bine *rt = open_runtime();
    bine_deferred *next = (bine_deferred *)rt;

    CHECK_STATUS(bine_then(NULL, say, say, new_thing("a"), release_thing, &next), BINE_EINVAL);
    CHECK(next == NULL);
    CHECK_EQ(released, 1);
    finish(rt);
}

static void attach_elsewhere(void *user)
{
    bine_deferred *next = user;

    CHECK_STATUS(bine_then(user, say, say, new_thing("a"), release_thing, &next), BINE_ETHREAD);
    CHECK(next == NULL);
}

TEST(another_thread_attaches_no_step)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);

    in_thread(attach_elsewhere, d);
    CHECK_EQ(released, 1);
    bine_deferred_release(d);
    finish(rt);
}

TEST(a_step_not_wanted_for_the_case_is_released_once)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 1);
    bine_deferred *next = then(d, NULL, never, new_thing("a"));

    settle(rt);
    CHECK_EQ(released, 1);
    bine_deferred_release(next);
    CHECK_EQ(released, 1);
    bine_deferred_release(d);
    finish(rt);
}

static int late_released;

static void attach_at_release(void *user)
{
    bine_deferred *d = user;

    CHECK_STATUS(bine_then(d, never, never, new_thing("late"), release_thing, NULL), BINE_ECLOSED);
    late_released++;
}

TEST(steps_that_never_ran_are_released_at_the_close)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);
    bine_deferred *ready = resolved(rt, 1);
    bine_deferred *a = then(d, never, never, new_thing("a"));
    bine_deferred *b = then(a, never, never, new_thing("b"));
    bine_deferred *c = then(ready, never, never, new_thing("c"));

    CHECK_OK(bine_then(b, never, never, d, attach_at_release, NULL));
    CHECK_OK(bine_deferred_timeout(b, SECOND));
    CHECK_OK(bine_close(rt));
    CHECK_EQ(live, 0);
    CHECK_EQ(released, 4);
    CHECK_EQ(late_released, 1);
    CHECK_EQ(error_count(), 0);
    CHECK_EQ(bine_deferred_state(b), BINE_ECLOSED);
    CHECK_STATUS(bine_resolve(r, counted()), BINE_ECLOSED);
    CHECK_EQ(counted_destroyed(), 1);
    bine_deferred_release(d);
    bine_deferred_release(ready);
    bine_deferred_release(a);
    bine_deferred_release(b);
    bine_deferred_release(c);
}

/* ---- long ---- */

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { LONG = 100000, LITTLE_STACK = 2 << 20 };
#else
enum { LONG = 1000000, LITTLE_STACK = 256 << 10 };
#endif

static char *shallowest;
static char *deepest;
static int64_t runs;

static void measure(void)
{
    char *at = (char *)__builtin_frame_address(0);

    if (shallowest == NULL || at > shallowest)
        shallowest = at;
    if (deepest == NULL || at < deepest)
        deepest = at;
}

static int count(bine_step *step, void *user)
{
    (void)user;
    measure();
    runs++;
    return bine_step_return(step, bine_value_i64(bine_value_as_i64(bine_step_value(step)) + 1));
}

static void count_release(void *user)
{
    (void)user;
    released++;
}

/* A million in one chain; only its ends are held. */
static bine_deferred *long_chain(bine_deferred *d)
{
    bine_deferred *last = bine_deferred_retain(d);

    for (int i = 0; i < LONG; i++) {
        bine_deferred *next;

        CHECK_OK(bine_then(last, count, NULL, NULL, count_release, &next));
        bine_deferred_release(last);
        last = next;
    }
    return last;
}

static void finish_long(bine *rt)
{
    settle(rt);
    CHECK_EQ(released, LONG);
    close_runtime(rt);
}

TEST(a_chain_of_a_million_steps_needs_no_deeper_stack)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);
    bine_deferred *last = long_chain(d);

    bine_deferred_release(d);
    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_EQ(runs, LONG);
    CHECK_EQ(number_of(last), LONG);
    CHECK_EQ(shallowest - deepest, 0);
    bine_deferred_release(last);
    finish_long(rt);
}

TEST(a_chain_of_a_million_steps_is_rejected_cancelled_and_closed_as_easily)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);
    bine_deferred *last = long_chain(d);

    bine_deferred_release(d);
    CHECK_OK(bine_reject(r, -1500, "far away"));
    settle(rt);
    CHECK_STR(message_of(last), "far away");
    drop(last);
    CHECK_EQ(released, LONG);

    released = 0;
    d = cancellable(rt, &r);
    last = long_chain(d);
    CHECK_OK(bine_deferred_cancel(last));
    settle(rt);
    CHECK_EQ(cancels, 1);
    CHECK_EQ(bine_deferred_state(last), BINE_ECANCELED);
    bine_deferred_release(last);
    bine_deferred_release(d);
    CHECK_EQ(released, LONG);

    released = 0;
    d = pair(rt, &r);
    last = long_chain(d);
    bine_deferred_release(d);
    bine_deferred_release(last);
    CHECK_OK(bine_close(rt));
    CHECK_EQ(released, LONG);
    CHECK_EQ(runs, 0);
    bine_resolver_drop(r);
}

TEST(a_million_steps_on_one_deferred_run_in_their_order)
{
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = pair(rt, &r);

    for (int i = 0; i < LONG; i++)
        CHECK_OK(bine_then(d, count, NULL, NULL, count_release, NULL));
    bine_deferred_release(d);
    CHECK_OK(bine_resolve(r, bine_value_i64(0)));
    settle(rt);
    CHECK_EQ(runs, LONG);
    finish_long(rt);
}

/* Each step begins the next and follows that: a loop, as steps write it. */
static int begin_next(bine_step *step, void *user)
{
    bine *rt = bine_step_runtime(step);
    bine_deferred *d;
    bine_deferred *next;
    bine_resolver *r;

    measure();
    released++;
    if (++runs == LONG)
        return bine_step_return(step, counted());
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &d, &r));
    CHECK_OK(bine_then(d, begin_next, NULL, user, NULL, &next));
    bine_deferred_release(d);
    CHECK_OK(bine_step_follow(step, next));
    CHECK_OK(bine_resolve(r, bine_value_nil())); /* resolved inside a step */
    return BINE_OK;
}

TEST(a_million_follows_in_a_row_need_no_deeper_stack)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 0);
    bine_deferred *next;

    CHECK_OK(bine_then(d, begin_next, NULL, NULL, NULL, &next));
    bine_deferred_release(d);
    settle(rt);
    CHECK_EQ(runs, LONG);
    CHECK_EQ(bine_deferred_state(next), 1);
    CHECK_EQ(shallowest - deepest, 0);
    bine_deferred_release(next);
    CHECK_EQ(counted_destroyed(), 1);
    finish_long(rt);
}

/* One step pushes the next: a chain that is never longer than one. */
static int push_next(bine_step *step, void *user)
{
    measure();
    if (++runs == LONG)
        return bine_step_return(step, counted());
    return bine_step_push(step, push_next, NULL, user, count_release);
}

TEST(a_million_pushes_in_a_row_need_no_deeper_stack)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 0);
    bine_deferred *next;

    CHECK_OK(bine_then(d, push_next, NULL, NULL, count_release, &next));
    settle(rt);
    CHECK_EQ(runs, LONG);
    CHECK_EQ(bine_deferred_state(next), 1);
    CHECK_EQ(shallowest - deepest, 0);
    bine_deferred_release(next);
    bine_deferred_release(d);
    CHECK_EQ(counted_destroyed(), 1);
    finish_long(rt);
}

static int push_all(bine_step *step, void *user)
{
    (void)user;
    for (int i = 0; i < LONG; i++)
        CHECK_OK(bine_step_push(step, count, NULL, NULL, count_release));
    return bine_step_return(step, bine_value_i64(0));
}

TEST(one_step_pushes_a_million)
{
    bine *rt = open_runtime();
    bine_deferred *d = resolved(rt, 0);
    bine_deferred *next;

    CHECK_OK(bine_then(d, push_all, NULL, NULL, NULL, &next));
    settle(rt);
    CHECK_EQ(runs, LONG);
    CHECK_EQ(number_of(next), LONG);
    CHECK_EQ(shallowest - deepest, 0);
    bine_deferred_release(next);
    bine_deferred_release(d);
    finish_long(rt);
}

/* Each follows the one made before it, which follows: whether that is a cycle takes no longer each time. */
TEST(following_what_follows_takes_no_longer_each_time)
{
    enum { FOLLOWS = 200000 };
    bine *rt = open_runtime();
    bine_resolver *r;
    bine_deferred *d = resolved(rt, 0);
    bine_deferred *last = pair(rt, &r);

    for (int i = 0; i < FOLLOWS; i++) {
        forget_notes();
        last = then(d, follow, NULL, thing_with("", last, 0));
        CHECK_OK(bine_tick(rt, -1, NULL));
    }
    CHECK_OK(bine_resolve(r, bine_value_i64(7)));
    settle(rt);
    CHECK_EQ(number_of(last), 7);
    bine_deferred_release(last);
    bine_deferred_release(d);
    finish(rt);
}

static void on_a_small_stack(void (*run)(void))
{
    pthread_attr_t attr;
    pthread_t thread;

    /* about twice what CPython's own start needs */
    CHECK_EQ(pthread_attr_init(&attr), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attr, LITTLE_STACK), 0);
    CHECK_EQ(pthread_create(&thread, &attr, (void *(*)(void *))(void (*)(void))run, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attr);
}

static void chain_and_follow(void)
{
    test_a_chain_of_a_million_steps_needs_no_deeper_stack();
}

static void reject_cancel_close(void)
{
    test_a_chain_of_a_million_steps_is_rejected_cancelled_and_closed_as_easily();
}

static void follows(void)
{
    test_a_million_follows_in_a_row_need_no_deeper_stack();
}

TEST(a_hosts_thread_with_little_stack_runs_a_long_chain)
{
    on_a_small_stack(chain_and_follow);
}

TEST(a_hosts_thread_with_little_stack_ends_a_long_chain)
{
    on_a_small_stack(reject_cancel_close);
}

TEST(a_hosts_thread_with_little_stack_follows_and_follows)
{
    on_a_small_stack(follows);
}

/* ---- at random ---- */

enum { SLOTS = 48, PRODUCERS = 48, ROUNDS = 400, OPERATIONS = 400 };

/* A handle; when it is let go of, it is known whether that is to be reported. */
typedef struct slot {
    bine_deferred *deferred;
    int state;  /* as it was last seen */
    bool asked; /* for its end: what it is rejected with may be news or not */
} slot;

typedef struct producer {
    bine_resolver *resolver;
} producer;

static slot slots[SLOTS];
static producer producers[PRODUCERS];
static uint64_t seed = 20081117;
static size_t to_report;
static bool quiet; /* the round ends: nothing new begins */

static unsigned below(unsigned limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((seed >> 33) % limit);
}

static int swallow(bine_step *step, void *user)
{
    (void)step;
    (void)user;
    return BINE_OK;
}

static void let_go(slot *s)
{
    bine_deferred *d = s->deferred;
    int state;

    s->deferred = NULL;
    if (d == NULL)
        return;
    state = bine_deferred_state(d);
    if (state == 0 || s->asked)
        CHECK_OK(bine_then(d, swallow, swallow, new_thing("end"), release_thing, NULL));
    else if (state < 0 && state != BINE_ECANCELED && !bine_deferred_handled(d))
        to_report++;
    bine_deferred_release(d);
}

/* Into a slot, the one there is let go of. */
static void keep(bine_deferred *d)
{
    slot *s = &slots[below(SLOTS)];

    let_go(s);
    *s = (slot){.deferred = d};
}

static void settle_producer(producer *p)
{
    bine_resolver *r = p->resolver;
    int result = BINE_OK;

    p->resolver = NULL;
    if (r == NULL)
        return;
    switch (below(4)) {
    case 0:
        result = bine_reject(r, -1500 - (int)below(3), "at random");
        break;
    case 1:
        bine_resolver_drop(r);
        break;
    case 2:
        result = bine_resolve(r, bine_value_i64(1));
        break;
    default:
        result = bine_resolve(r, counted());
    }
    CHECK(result == BINE_OK || result == BINE_ESETTLED);
}

static void cancel_at_random(bine_resolver *r, void *user)
{
    producer *p = user;

    CHECK(p->resolver == r);
    switch (below(4)) {
    case 0:
        break; /* the resolver is consumed later */
    case 1:
        p->resolver = NULL;
        CHECK_OK(bine_reject(r, BINE_ECANCELED, "as it was told"));
        break;
    default:
        settle_producer(p);
    }
}

static bine_deferred *new_plain(bine *rt)
{
    producer *p = &producers[below(PRODUCERS)];
    bine_deferred *d;

    settle_producer(p);
    CHECK_OK(bine_deferred_new(rt, cancel_at_random, p, &d, &p->resolver));
    return d;
}

static bine_deferred *some(void)
{
    for (size_t i = below(SLOTS), n = 0; n < SLOTS; n++, i = (i + 1) % SLOTS)
        if (slots[i].deferred != NULL)
            return slots[i].deferred;
    return NULL;
}

static void operate(bine *rt);

static int act(bine_step *step, void *user)
{
    bine *rt = bine_step_runtime(step);
    bine_deferred *d;
    int result;

    CHECK(((const thing *)user)->name != NULL);
    for (unsigned i = below(3); i > 0 && !quiet; i--)
        operate(rt);
    for (unsigned i = below(8) == 0 && !quiet ? 1 + below(3) : 0; i > 0; i--)
        CHECK_OK(bine_step_push(step, below(4) ? act : NULL, below(4) ? act : NULL, new_thing("pushed"),
                                release_thing));
    switch (below(8)) {
    case 0:
        return bine_step_return(step, counted());
    case 1:
        return bine_step_reject(step, -1600, "a step's");
    case 2:
        return bine_step_code(step);
    case 3:
        return -1700;
    case 4:
        CHECK_OK(bine_step_return(step, counted()));
        return -1800;
    case 5:
    case 6:
        d = below(4) == 0 && !quiet ? new_plain(rt) : bine_deferred_retain(some());
        if (d == NULL)
            return BINE_OK;
        result = bine_step_follow(step, d);
        CHECK(result == BINE_OK || result == BINE_EINVAL);
        return BINE_OK;
    default:
        return BINE_OK;
    }
}

static void make_group(bine *rt)
{
    bine_deferred *members[5];
    bine_deferred *group;
    size_t count = 0;

    for (unsigned i = 1 + below(5); i > 0; i--)
        if ((members[count] = some()) != NULL)
            count++;
    if (count == 0)
        return;
    switch (below(3)) {
    case 0:
        CHECK_OK(bine_all(rt, members, count, &group));
        break;
    case 1:
        CHECK_OK(bine_any(rt, members, count, &group));
        break;
    default:
        CHECK_OK(bine_settle(rt, members, count, &group));
    }
    keep(group);
}

static void operate(bine *rt)
{
    slot *s = &slots[below(SLOTS)];

    switch (below(10)) {
    case 0:
    case 1:
        keep(new_plain(rt));
        break;
    case 2:
        settle_producer(&producers[below(PRODUCERS)]);
        break;
    case 3:
    case 4:
    case 5:
        if (s->deferred != NULL)
            keep(then(s->deferred, below(5) ? act : NULL, below(5) ? act : NULL, new_thing("then")));
        break;
    case 6:
        make_group(rt);
        break;
    case 7:
        let_go(s);
        break;
    case 8:
        if (s->deferred != NULL && bine_deferred_cancel(s->deferred) == BINE_OK)
            s->asked = true;
        break;
    default:
        if (s->deferred != NULL && bine_deferred_timeout(s->deferred, (int)below(20) - 2) == BINE_OK)
            s->asked = true;
    }
}

/* A result once there stays. */
static void look_at_slots(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        slot *s = &slots[i];

        if (s->deferred == NULL)
            continue;
        CHECK(s->state == 0 || s->state == bine_deferred_state(s->deferred));
        s->state = bine_deferred_state(s->deferred);
    }
}

static void end_round(bine *rt)
{
    quiet = true;
    for (size_t i = 0; i < PRODUCERS; i++)
        settle_producer(&producers[i]);
    settle(rt);
    crank(100);
    settle(rt);
    look_at_slots();
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK(slots[i].deferred == NULL || slots[i].state != 0);
        let_go(&slots[i]);
    }
    settle(rt);
    quiet = false;
}

TEST(whatever_is_done_everything_settles_and_is_let_go_of_once)
{
    bine *rt = open_runtime();
    bine_stats stats = {.struct_size = sizeof stats};

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < OPERATIONS; i++) {
            operate(rt);
            if (below(4) == 0) {
                CHECK_OK(bine_tick(rt, below(2) ? -1 : 0, NULL));
                look_at_slots();
            }
            crank(below(3));
        }
        end_round(rt);
        CHECK_OK(bine_get_stats(rt, &stats));
        CHECK_EQ(stats.deferreds, 0);
        CHECK_EQ(stats.timers, 0);
        CHECK_EQ(live, 0);
        CHECK_EQ(counted_destroyed(), counted_made());
        CHECK_EQ(error_count(), to_report);
    }
    CHECK(to_report > 0);
    forget_errors();
    finish(rt);
}

TEST(whatever_is_under_way_is_let_go_of_once_at_the_close)
{
    bine *rt = open_runtime();

    for (int i = 0; i < 20 * OPERATIONS; i++) {
        operate(rt);
        if (below(16) == 0)
            CHECK_OK(bine_tick(rt, -1, NULL));
        crank(below(2));
    }
    CHECK_OK(bine_close(rt));
    CHECK_EQ(live, 0);
    for (size_t i = 0; i < PRODUCERS; i++) {
        int result = BINE_ECLOSED;

        if (producers[i].resolver != NULL)
            result = bine_resolve(producers[i].resolver, counted());
        CHECK(result == BINE_ECLOSED || result == BINE_ESETTLED); /* one that was cancelled before */
    }
    for (size_t i = 0; i < SLOTS; i++)
        bine_deferred_release(slots[i].deferred);
    CHECK_EQ(counted_destroyed(), counted_made());
}
