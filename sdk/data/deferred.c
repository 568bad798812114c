/* Deferreds: one block holds both ends. It is settled on the owner thread alone; a producer
 * elsewhere leaves what it brings in the block and sends the block through the inbox. */
#include "data/deferred.h"

#include "data/value.h"

#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

/* Listed are those with somebody in line, and those whose rejection nobody has taken: what must be
 * seen to before the end. The list has a hold on each: a producer on another thread may let go of the
 * last one besides. The caller of unlist() has a hold too. */
static void list(bine_deferred *d)
{
    if (d->listed)
        return;
    d->listed = true;
    bine__deferred_hold(d);
    d->older = d->rt->deferreds;
    d->newer = NULL;
    if (d->older != NULL)
        d->older->newer = d;
    d->rt->deferreds = d;
}

static void unlist(bine_deferred *d)
{
    if (!d->listed)
        return;
    d->listed = false;
    if (d->newer != NULL)
        d->newer->older = d->older;
    else
        d->rt->deferreds = d->older;
    if (d->older != NULL)
        d->older->newer = d->newer;
    bine__deferred_let_go(d);
}

/* ---- rejections that nobody takes ---- */

typedef struct report {
    bine__job job; /* first */
    bine_deferred *deferred;
} report;

static void run_report(bine *rt, bine__job *job)
{
    report *r = (report *)(void *)job;

    bine__python_report_rejection(rt, r->deferred);
    bine__deferred_let_go(r->deferred);
    free(r);
}

static void report_later(bine_deferred *d)
{
    report *r = malloc(sizeof *r);

    d->taken = true;
    d->reported = true;
    if (r == NULL) {
        bine__log(d->rt, BINE_LOG_ERROR, "a deferred was rejected, and there is no memory to say how");
        return;
    }
    *r = (report){.job.run = run_report, .deferred = d};
    bine__deferred_hold(d);
    bine__ready(d->rt, &r->job);
}

/* Whoever cancelled it needs no telling that it came to nothing; an error of a script's is another thing. */
static bool is_untaken(const bine_deferred *d)
{
    return d->settled.state < 0 && d->settled.state != BINE_ECANCELED && !d->taken &&
           (!d->asked || d->settled.state == BINE_ESCRIPT);
}

/* It was settled, or its last consumer went. */
static void mind_rejection(bine_deferred *d)
{
    if (!is_untaken(d) || d->rt->closing)
        return;
    if (d->consumers > 0) {
        list(d);
        return;
    }
    unlist(d);
    report_later(d);
}

const bine__result *bine__deferred_take(bine_deferred *d)
{
    if (bine__here == d->rt)
        unlist(d);
    d->taken = true;
    return &d->settled;
}

static void on_deliver(bine *rt, bine__job *job);

void bine__deferred_lost(bine_deferred *d)
{
    if (d->reported || d->settled.state == BINE_ECLOSED)
        return;
    d->taken = false;
    if (is_untaken(d))
        report_later(d);
}

/* What producers elsewhere have brought and no tick has taken in. */
static void take_in(bine *rt)
{
    bine__queue others = {0};
    bine__job *job;

    while ((job = bine__queue_pop(&rt->ready)) != NULL) {
        if (job->run == on_deliver)
            on_deliver(rt, job);
        else
            bine__queue_push(&others, job);
    }
    bine__queue_move(&rt->ready, &others);
}

void bine__deferreds_report(bine *rt)
{
    bine_deferred *older;

    take_in(rt);

    for (bine_deferred *d = rt->deferreds; d != NULL; d = older) {
        older = d->older;
        if (!is_untaken(d))
            continue;
        unlist(d);
        report_later(d);
    }
}

void bine__deferreds_end(bine *rt)
{
    while (rt->deferreds != NULL) {
        bine_deferred *d = rt->deferreds;

        bine__deferred_hold(d);
        unlist(d);
        bine__deferred_settle(d, bine__rejection(BINE_ECLOSED, NULL));
        bine__deferred_let_go(d);
    }
}

/* ---- settling ---- */

/* Its end was wanted, and no more has been said than that it came: why it was wanted says more. */
static void mind_cancel(bine_deferred *d, bine__result *r)
{
    bool dropped = r->state == BINE_EBROKEN && r->message == NULL;

    if (r->state != BINE_ECANCELED && !dropped)
        return;
    if (d->instead.state != 0) {
        bine__result_free(r);
        *r = d->instead;
        d->instead = (bine__result){0};
    } else {
        r->state = BINE_ECANCELED;
    }
}

/* Inlined by force: a result that has just been written field by field is slow to be read as a whole. */
__attribute__((always_inline)) static inline void settle(bine_deferred *d, bine__result r)
{
    if (d->settled.state != BINE__PENDING) {
        bine__result_free(&r);
        return;
    }
    if (d->asked && r.state < 0)
        mind_cancel(d, &r);
    d->settled = r;
    if (d->listed)
        unlist(d);
    if (d->line.first != NULL)
        bine__wake_all(&d->line);
    if (d->settled.state < 0)
        mind_rejection(d);
}

void bine__deferred_settle(bine_deferred *d, bine__result r)
{
    settle(d, r);
}

static void on_deliver(bine *rt, bine__job *job)
{
    bine_deferred *d = (bine_deferred *)(void *)job;

    (void)rt;
    bine__deferred_settle(d, d->incoming);
    bine__deferred_let_go(d);
}

static void on_cancel_job(bine *rt, bine__job *job)
{
    bine_deferred *d = (bine_deferred *)(void *)((char *)job - offsetof(bine_deferred, cancel));

    if (d->settled.state == BINE__PENDING && !rt->closing)
        d->kind->cancel(d);
    if (d->kind->source != NULL)
        d->cancelling = false; /* it has been handed on; what a step begins then can be cancelled too */
    bine__deferred_let_go(d);
}

static void cancel_plain(bine_deferred *d)
{
    if (atomic_load(&d->consumed))
        return; /* a result that is already on its way wins */
    if (d->on_cancel != NULL)
        d->on_cancel((bine_resolver *)d, d->user);
    bine__deferred_settle(d, (bine__result){.state = BINE_ECANCELED});
    atomic_store(&d->cancelled, true);
}

const bine__kind bine__plain = {.cancel = cancel_plain, .name = "a result of the host's"};

bine_deferred *bine__deferred_alloc(bine *rt, const bine__kind *kind, size_t size, bool work)
{
    bine_deferred *d = malloc(size); /* glibc's calloc() goes round its own cache */

    if (d == NULL) {
        bine__fail(BINE_ENOMEM, "out of memory for a deferred");
        return NULL;
    }
    memset(d, 0, size);
    d->deliver.run = on_deliver;
    d->cancel.run = on_cancel_job;
    d->kind = kind;
    d->rt = rt;
    d->inbox = rt->inbox;
    bine__inbox_retain(rt->inbox);
    atomic_init(&d->holds, work ? 2 : 1);
    d->consumers = 1;
    return d;
}

int bine_deferred_new(bine *rt, bine_on_cancel on_cancel, void *user, bine_deferred **d, bine_resolver **r)
{
    int status = bine__check_owner(rt, "bine_deferred_new");
    bine_deferred *block;

    if (d == NULL || r == NULL)
        return bine__fail(BINE_EINVAL, "bine_deferred_new: d or r is NULL");
    *d = NULL;
    *r = NULL;
    if (status != BINE_OK)
        return status;
    block = bine__deferred_alloc(rt, &bine__plain, sizeof *block, true);
    if (block == NULL)
        return BINE_ENOMEM;
    block->on_cancel = on_cancel;
    block->user = user;
    *d = block;
    *r = (bine_resolver *)block;
    return BINE_OK;
}

/* ---- the producer's end ---- */

static bine_deferred *of(bine_resolver *r)
{
    return (bine_deferred *)(void *)r;
}

/* The producer's one act; takes the resolver and `r`. Thread: any. */
__attribute__((always_inline)) static inline int bring(bine_deferred *d, bine__result r)
{
    bool late;

    if (bine__here != NULL && bine__here == d->rt) {
        late = d->settled.state != BINE__PENDING;
        settle(d, r);
        bine__deferred_let_go(d);
        return late ? bine__fail(BINE_ESETTLED, "the deferred has been cancelled") : BINE_OK;
    }
    atomic_store(&d->consumed, true);
    if (atomic_load(&d->cancelled)) {
        bine__result_free(&r);
        bine__deferred_let_go(d);
        return bine__fail(BINE_ESETTLED, "the deferred has been cancelled");
    }
    d->incoming = r;
    if (bine__inbox_push(d->inbox, &d->deliver))
        return BINE_OK;
    bine__result_free(&d->incoming);
    bine__deferred_let_go(d);
    return bine__fail(BINE_ECLOSED, "the runtime is closed");
}

int bine_resolve(bine_resolver *r, bine_value *value)
{
    if (r == NULL) {
        bine_value_free(value);
        return bine__fail(BINE_EINVAL, "bine_resolve: the resolver is NULL");
    }
    if (value != NULL)
        return bring(of(r), (bine__result){.state = BINE__RESOLVED, .value = value});
    bring(of(r), (bine__result){.state = BINE_ENOMEM});
    return bine__fail(BINE_ENOMEM, "bine_resolve: out of memory for the value");
}

int bine_reject(bine_resolver *r, int code, const char *message)
{
    if (r == NULL)
        return bine__fail(BINE_EINVAL, "bine_reject: the resolver is NULL");
    if (code >= 0) {
        bring(of(r), (bine__result){.state = BINE_EINVAL});
        return bine__fail(BINE_EINVAL, "bine_reject: the code %d is not negative", code);
    }
    return bring(of(r), bine__rejection(code, message));
}

void bine_resolver_drop(bine_resolver *r)
{
    if (r != NULL)
        bring(of(r), (bine__result){.state = BINE_EBROKEN});
}

/* ---- the consumer's end ---- */

int bine_deferred_cancel(bine_deferred *d)
{
    int status;

    if (d == NULL)
        return bine__fail(BINE_EINVAL, "bine_deferred_cancel: the deferred is NULL");
    status = bine__check_owner(d->rt, "bine_deferred_cancel");
    if (status != BINE_OK)
        return status;
    if (d->settled.state != BINE__PENDING)
        return bine__fail(BINE_ESETTLED, "bine_deferred_cancel: it has its result");
    if (d->cancelling)
        return BINE_OK;
    d->cancelling = true;
    d->asked = true;
    bine__deferred_hold(d);
    bine__ready(d->rt, &d->cancel);
    return BINE_OK;
}

int bine__deferred_break(bine_deferred *d, bine__result instead)
{
    if (d->settled.state != BINE__PENDING || d->asked)
        bine__result_free(&instead);
    else
        d->instead = instead;
    return bine_deferred_cancel(d);
}

bine_deferred *bine_deferred_retain(bine_deferred *d)
{
    if (d != NULL)
        d->consumers++;
    return d;
}

void bine_deferred_release(bine_deferred *d)
{
    if (d == NULL)
        return;
    d->consumers--;
    if (d->consumers > 0)
        return;
    if (bine__here == d->rt)
        mind_rejection(d);
    bine__deferred_let_go(d); /* the hold of all consumers */
}

int bine_deferred_state(const bine_deferred *d)
{
    return d == NULL ? BINE_EINVAL : d->settled.state;
}

int bine_deferred_peek(const bine_deferred *d, const bine_value **value, const char **message)
{
    int state = bine_deferred_state(d);

    if (value != NULL)
        *value = state == BINE__RESOLVED ? d->settled.value : NULL;
    if (message != NULL)
        *message = state < 0 && d != NULL ? bine__result_message(&d->settled) : "";
    return state;
}

bool bine_deferred_handled(const bine_deferred *d)
{
    return d != NULL && d->settled.state < 0 && d->taken;
}

/* ---- standing in line ---- */

bool bine__deferred_shared(const bine_deferred *d, const bine__waiter *waiter)
{
    for (const bine__waiter *other = d->line.first; other != NULL; other = other->next)
        if (other != waiter && !other->aside)
            return true;
    return false;
}

void bine__deferred_line(bine_deferred *d, bine__waiter *waiter)
{
    bine__waiter_link(waiter, &d->line);
    list(d);
}

/* ---- time outs ---- */

typedef struct time_limit {
    bine__waiter waiter; /* first: in the deferred's line, as an observer */
    bine__timer timer;
    bine_deferred *deferred; /* held */
} time_limit;

static void end_limit(bine__waiter *waiter)
{
    time_limit *limit = (time_limit *)(void *)waiter;

    bine__timer_stop(&limit->timer);
    bine__deferred_let_go(limit->deferred);
    free(limit);
}

static void on_limit(bine__timer *timer)
{
    time_limit *limit = (time_limit *)(void *)((char *)timer - offsetof(time_limit, timer));

    bine__deferred_break(limit->deferred, (bine__result){.state = BINE_ETIMEDOUT});
}

int bine_deferred_timeout(bine_deferred *d, int64_t ns)
{
    time_limit *limit;
    int status;

    if (d == NULL)
        return bine__fail(BINE_EINVAL, "bine_deferred_timeout: the deferred is NULL");
    status = bine__check_owner(d->rt, "bine_deferred_timeout");
    if (status != BINE_OK)
        return status;
    if (d->settled.state != BINE__PENDING)
        return bine__fail(BINE_ESETTLED, "bine_deferred_timeout: it has its result");
    limit = calloc(1, sizeof *limit);
    if (limit == NULL)
        return bine__fail(BINE_ENOMEM, "bine_deferred_timeout: out of memory");
    limit->timer.fire = on_limit;
    if (bine__timer_set(&d->rt->timers, &limit->timer, bine__deadline(d->rt, ns < 0 ? 0 : ns)) != 0) {
        free(limit);
        return bine__fail(BINE_ENOMEM, "bine_deferred_timeout: out of memory");
    }
    limit->deferred = d;
    limit->waiter.wake = end_limit;
    limit->waiter.aside = true;
    bine__deferred_hold(d);
    bine__deferred_line(d, &limit->waiter);
    bine__ask(d->rt);
    return BINE_OK;
}

/* ---- waiting ---- */

typedef struct awaited {
    bine__describe describe; /* first */
    const bine_deferred *deferred;
} awaited;

static PyObject *describe(const void *what)
{
    const awaited *a = what;

    return PyUnicode_FromString(a->deferred->kind->name);
}

static bool is_expected(const bine_deferred *d)
{
    return d->kind == &bine__plain && d->settled.state == BINE__PENDING;
}

/* A micro-thread's wait does not put its deferred on the list. */
static bool expects(const bine__micro *micro)
{
    const awaited *what = micro->wait == NULL ? NULL : micro->wait->what;

    return what != NULL && what->describe == describe && is_expected(what->deferred);
}

bool bine__deferreds_expected(const bine *rt)
{
    for (const bine__micro *micro = rt->oldest; micro != NULL; micro = micro->newer)
        if (expects(micro))
            return true;
    for (const bine_deferred *d = rt->deferreds; d != NULL; d = d->older)
        if (is_expected(d) && d->line.first != NULL)
            return true;
    return false;
}

int bine__deferred_await(bine_deferred *d, int64_t timeout_ns)
{
    awaited what = {describe, d};
    int64_t deadline;
    int status = BINE_OK;

    if (bine__here != d->rt)
        return BINE_EMICRO; /* also when the runtime has gone: look at nothing of it */
    if (d->settled.state != BINE__PENDING)
        return BINE_OK;
    deadline = bine__deadline(d->rt, timeout_ns);
    while (status == BINE_OK && d->settled.state == BINE__PENDING)
        status = bine__await(d->rt, &d->line, deadline, &what);
    if (d->settled.state != BINE__PENDING && status == BINE_ETIMEDOUT)
        status = BINE_OK; /* both at once: the result counts */
    return status;
}

void bine__deferred_stop(bine_deferred *d)
{
    awaited what = {describe, d};
    bool told = false;

    if (bine_deferred_cancel(d) != BINE_OK)
        return;
    /* Where others come before the end (steps, groups), being told once more to end is enough. */
    while (d->settled.state == BINE__PENDING && !told)
        told = bine__park(d->rt, &d->line, BINE__NEVER, &what) == BINE__INTERRUPTED &&
               d->kind->source != NULL;
}

static int read_result(bine_deferred *d, bine_value **out)
{
    const bine__result *r = bine__deferred_take(d);

    if (r->state == BINE_ESCRIPT)
        bine__python_saw(r);
    if (r->state != BINE__RESOLVED)
        return bine__fail(r->state, "%s",
                          r->message != NULL ? bine__result_message(r) : bine_strerror(r->state));
    if (out != NULL)
        *out = bine__value_share(r->value);
    return BINE_OK;
}

int bine_wait(bine_deferred *d, int64_t timeout_ns, bine_value **out)
{
    int status;

    if (out != NULL)
        *out = NULL;
    if (d == NULL)
        return bine__fail(BINE_EINVAL, "bine_wait: the deferred is NULL");
    if (bine__here != d->rt)
        return bine__explain_wait("bine_wait", BINE_EMICRO);
    if (d->settled.state != BINE__PENDING)
        return read_result(d, out);
    bine_deferred_retain(d); /* the host may drop it meanwhile */
    status = bine__deferred_await(d, timeout_ns);
    if (status != BINE_OK)
        bine__explain_wait("bine_wait", status);
    else
        status = read_result(d, out);
    bine_deferred_release(d);
    return status;
}
