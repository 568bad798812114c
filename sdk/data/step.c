/* Steps: deferreds that follow others. Each is a job on the host's stack, one after the other, so
 * that no chain is too long for it. Owner thread. */
#include "data/deferred.h"

#include "data/value.h"

#include <stdlib.h>

/* A step that waits for its turn. */
typedef struct plan {
    struct plan *next;
    bine_step_fn ok;
    bine_step_fn err;
    void *user;
    bine_free release;
} plan;

/* A deferred for the answer of the last of its steps. */
typedef struct derived {
    bine_deferred base;  /* first */
    bine__waiter waiter; /* in the line of `source` */
    bine__job job;
    bine_deferred *source; /* what the next step gets the result of, held; NULL: `between` */
    bine__result between;  /* one step's answer on its way to the next */
    bool cancel_due;       /* a cancel came as a step was about to run: for what that follows */
    bool handed_on;        /* a cancel has gone on to `source`, and nothing has come of it yet */
    plan *steps;           /* still to run, in order */
    plan first;
} derived;

typedef enum answer { NOTHING, RESULT, FOLLOW } answer;

struct bine_step {
    derived *of;
    bine__result in; /* shared */
    answer answer;
    bine__result out;
    bine_deferred *follow; /* held as a consumer */
    plan *pushed;
    plan **pushed_end;
    bine_error *error;
};

static void forget(derived *d, plan *p)
{
    bine__release(p->user, p->release);
    if (p != &d->first)
        free(p);
}

static void forget_all(derived *d)
{
    while (d->steps != NULL) {
        plan *p = d->steps;

        d->steps = p->next;
        forget(d, p);
    }
}

static void leave_source(derived *d)
{
    bine__waiter_unlink(&d->waiter);
    if (d->source != NULL)
        bine__deferred_let_go(d->source);
    d->source = NULL;
}

/* ---- running ---- */

static bine__result take_input(derived *d)
{
    bine__result in;

    if (d->source != NULL) {
        in = bine__result_share(bine__deferred_take(d->source));
        leave_source(d);
    } else {
        in = d->between;
        d->between = (bine__result){0};
    }
    return in;
}

/* Its next turn comes when `source` (the hold is taken) is settled. */
static void attach(derived *d, bine_deferred *source)
{
    d->source = source;
    if (source->settled.state != BINE__PENDING) {
        bine__deferred_take(source);
        bine__ready(d->base.rt, &d->job);
    } else {
        bine__deferred_line(source, &d->waiter);
    }
}

static void on_source(bine__waiter *waiter)
{
    derived *d = (derived *)(void *)((char *)waiter - offsetof(derived, waiter));

    bine__deferred_take(d->source);
    bine__ready(d->base.rt, &d->job);
}

/* The step's function has come back. */
static void judge(bine_step *step, int status)
{
    bine__result failed;

    if (bine__python_take_failure(step->of->base.rt, &failed))
        ; /* an exception of Python's that it left behind is its answer */
    else if (status == BINE_OK && step->answer == NOTHING)
        failed = (bine__result){.state = BINE__RESOLVED, .value = bine_value_nil()};
    else if (status == BINE_OK)
        return;
    else if (status < 0 && status == step->in.state)
        failed = bine__result_share(&step->in);
    else if (status < 0)
        failed = bine__rejection(status, NULL);
    else
        failed = bine__rejection(BINE_EINVAL, "a step returned what is no status");
    bine__result_free(&step->out);
    bine_deferred_release(step->follow);
    step->follow = NULL;
    step->answer = RESULT;
    step->out = failed;
}

/* Calls one step; what it pushed comes before the rest. */
static void call(derived *d, plan *p, bine_step *step)
{
    bine_step_fn fn = step->in.state > 0 ? p->ok : p->err;

    if (fn == NULL) {
        step->answer = RESULT;
        step->out = bine__result_share(&step->in);
        return;
    }
    judge(step, fn(step, p->user));
    *step->pushed_end = d->steps;
    d->steps = step->pushed;
}

static void run_closing(derived *d)
{
    if (d->source != NULL)
        bine__deferred_lost(d->source);
    leave_source(d);
    forget_all(d);
    if (d->between.state < 0) {
        bine__deferred_settle(&d->base, d->between);
        bine__deferred_lost(&d->base);
    } else {
        bine__result_free(&d->between);
        bine__deferred_settle(&d->base, bine__rejection(BINE_ECLOSED, NULL));
    }
    bine__deferred_let_go(&d->base);
}

static void cancel(bine_deferred *base);

static void run(bine *rt, bine__job *job)
{
    derived *d = (derived *)(void *)((char *)job - offsetof(derived, job));
    bine_step step = {.of = d, .pushed_end = &step.pushed};
    plan *p = d->steps;

    if (rt->closing) {
        run_closing(d);
        return;
    }
    step.in = take_input(d);
    if (d->handed_on && step.in.state > 0)
        d->cancel_due = true; /* it ended nothing: it is for what the step follows */
    d->handed_on = false;
    if (p != NULL) {
        d->steps = p->next;
        call(d, p, &step);
        forget(d, p);
    } else {
        step.answer = RESULT;
        step.out = bine__result_share(&step.in);
    }
    bine__result_free(&step.in);
    bine_error_free(step.error);
    if (step.answer == FOLLOW) {
        bine__deferred_hold(step.follow);
        attach(d, step.follow);
        bine_deferred_release(step.follow);
        if (d->cancel_due)
            cancel(&d->base);
    } else if (d->steps != NULL) {
        d->between = step.out;
        bine__ready(rt, &d->job);
    } else {
        bine__deferred_settle(&d->base, step.out);
        bine__deferred_let_go(&d->base); /* the hold of its work */
    }
}

/* ---- a kind of its own ---- */

static void cancel(bine_deferred *base)
{
    derived *d = (derived *)(void *)base;

    d->cancel_due = d->waiter.among == NULL;
    if (d->cancel_due)
        return; /* a step is about to run: it decides */
    if (!bine__deferred_shared(d->source, &d->waiter)) {
        d->handed_on = true;
        bine_deferred_cancel(d->source);
        return;
    }
    leave_source(d);
    forget_all(d);
    bine__deferred_settle(base, (bine__result){.state = BINE_ECANCELED});
    bine__deferred_let_go(base);
}

static bine_deferred *source(bine_deferred *base, size_t index)
{
    return index == 0 ? ((derived *)(void *)base)->source : NULL;
}

static const bine__kind following = {
    .cancel = cancel, .source = source, .name = "what a step makes of a result"};

/* ---- attaching ---- */

static int check(bine_deferred *d)
{
    int status;

    if (d == NULL)
        return bine__fail(BINE_EINVAL, "bine_then: the deferred is NULL");
    status = bine__check_owner(d->rt, "bine_then");
    if (status == BINE_OK && d->rt->closing)
        status = bine__fail(BINE_ECLOSED, "bine_then: the runtime is closing");
    return status;
}

int bine_then(bine_deferred *d, bine_step_fn ok, bine_step_fn err, void *user, bine_free release,
              bine_deferred **next)
{
    int status = check(d);
    derived *new;

    if (next != NULL)
        *next = NULL;
    if (status != BINE_OK) {
        bine__release(user, release);
        return status;
    }
    new = (derived *)(void *)bine__deferred_alloc(d->rt, &following, sizeof *new, true);
    if (new == NULL)
        return bine__refuse(BINE_ENOMEM, user, release, "bine_then", "out of memory");
    new->first = (plan){.ok = ok, .err = err, .user = user, .release = release};
    new->steps = &new->first;
    new->job.run = run;
    new->waiter.wake = on_source;
    bine__deferred_hold(d);
    attach(new, d);
    if (next != NULL)
        *next = &new->base;
    else
        bine_deferred_release(&new->base);
    return BINE_OK;
}

/* ---- inside a step ---- */

bine *bine_step_runtime(bine_step *step)
{
    return step->of->base.rt;
}

const bine__result *bine__step_input(bine_step *step)
{
    return &step->in;
}

const bine_value *bine_step_value(bine_step *step)
{
    return step->in.state == BINE__RESOLVED ? step->in.value : NULL;
}

int bine_step_code(bine_step *step)
{
    return step->in.state < 0 ? step->in.state : BINE_OK;
}

const char *bine_step_message(bine_step *step)
{
    return step->in.state < 0 ? bine__result_message(&step->in) : "";
}

const bine_error *bine_step_error(bine_step *step)
{
    if (step->in.state < 0 && step->error == NULL)
        step->error = bine__python_error_of(step->of->base.rt, &step->in);
    return step->error;
}

static int answer_with(bine_step *step, const char *call, bine__result r)
{
    if (step->answer != NOTHING) {
        bine__result_free(&r);
        return bine__fail(BINE_EBUSY, "%s: the step has its answer already", call);
    }
    step->answer = RESULT;
    step->out = r;
    return BINE_OK;
}

int bine_step_return(bine_step *step, bine_value *value)
{
    if (value != NULL)
        return answer_with(step, "bine_step_return", (bine__result){.state = BINE__RESOLVED, .value = value});
    answer_with(step, "bine_step_return", bine__rejection(BINE_ENOMEM, NULL));
    return bine__fail(BINE_ENOMEM, "bine_step_return: out of memory for the value");
}

int bine_step_reject(bine_step *step, int code, const char *message)
{
    if (code < 0)
        return answer_with(step, "bine_step_reject", bine__rejection(code, message));
    answer_with(step, "bine_step_reject", bine__rejection(BINE_EINVAL, NULL));
    return bine__fail(BINE_EINVAL, "bine_step_reject: the code %d is not negative", code);
}

int bine_step_follow(bine_step *step, bine_deferred *d)
{
    static const char cycle[] = "bine_step_follow: the deferred waits for this very step";

    if (step->answer != NOTHING) {
        bine_deferred_release(d);
        return bine__fail(BINE_EBUSY, "bine_step_follow: the step has its answer already");
    }
    if (d == NULL) {
        answer_with(step, "bine_step_follow", bine__rejection(BINE_EINVAL, "there is no deferred to follow"));
        return bine__fail(BINE_EINVAL, "bine_step_follow: the deferred is NULL");
    }
    if (bine__depends(d, &step->of->base)) {
        bine_deferred_release(d);
        answer_with(step, "bine_step_follow", bine__rejection(BINE_EINVAL, cycle));
        return bine__fail(BINE_EINVAL, "%s", cycle);
    }
    step->answer = FOLLOW;
    step->follow = d;
    return BINE_OK;
}

int bine_step_push(bine_step *step, bine_step_fn ok, bine_step_fn err, void *user, bine_free release)
{
    plan *p = malloc(sizeof *p);

    if (p == NULL)
        return bine__refuse(BINE_ENOMEM, user, release, "bine_step_push", "out of memory");
    *p = (plan){.ok = ok, .err = err, .user = user, .release = release};
    *step->pushed_end = p;
    step->pushed_end = &p->next;
    return BINE_OK;
}

/* ---- cycles ---- */

bool bine__depends(bine_deferred *d, bine_deferred *target)
{
    bine *rt = target->rt;
    uint64_t now = ++rt->walks;
    bine_deferred *todo = d;
    bool found = false;

    if (d != target && !bine__deferred_shared(target, NULL))
        return false; /* nobody waits for it: no need to walk far */
    d->walk = NULL;
    d->walked = now;
    while (todo != NULL && !found) {
        bine_deferred *at = todo;
        bine_deferred *next;

        todo = at->walk;
        found = at == target;
        if (at->settled.state != BINE__PENDING || at->kind->source == NULL)
            continue;
        for (size_t i = 0; (next = at->kind->source(at, i)) != NULL; i++) {
            if (next->walked == now)
                continue;
            next->walked = now;
            next->walk = todo;
            todo = next;
        }
    }
    return found;
}
