/* Deferreds: one block holds both ends. It is settled on the owner thread alone; a producer
 * elsewhere leaves what it brings in the block and sends the block through the inbox. */
#include "data/deferred.h"

#include "data/value.h"

#include <stdlib.h>
#include <string.h>

enum { PENDING = 0, RESOLVED = 1 };

typedef struct result {
    int state; /* RESOLVED or a negative code */
    bine_value *value;
    char *message;
} result;

struct bine_deferred {
    bine__job deliver; /* first: brings `incoming` in */
    bine__job cancel;
    bine *rt;
    bine__inbox *inbox;
    atomic_uint holds;     /* consumers, the resolver, jobs under way */
    atomic_bool consumed;  /* the resolver has been used */
    atomic_bool cancelled; /* settled by a cancel: spare the producer the way */
    result incoming;       /* the producer's, until delivered */
    /* The rest is the owner's. */
    result settled;
    bine__waiters waiters;
    bine_on_cancel on_cancel;
    void *user;
    bool cancelling;
};

static bine_deferred *of(bine_resolver *r)
{
    return (bine_deferred *)(void *)r;
}

static void free_result(result *r)
{
    bine_value_free(r->value);
    free(r->message);
    *r = (result){0};
}

static void let_go(bine_deferred *d)
{
    if (atomic_fetch_sub_explicit(&d->holds, 1, memory_order_acq_rel) != 1)
        return;
    free_result(&d->settled);
    bine__inbox_release(d->inbox);
    free(d);
}

static void settle(bine_deferred *d, result r)
{
    if (d->settled.state != PENDING) {
        free_result(&r);
        return;
    }
    d->settled = r;
    bine__wake_all(&d->waiters);
}

static void on_deliver(bine *rt, bine__job *job)
{
    bine_deferred *d = (bine_deferred *)(void *)job;

    (void)rt;
    settle(d, d->incoming);
    let_go(d);
}

static void on_cancel_job(bine *rt, bine__job *job)
{
    bine_deferred *d = (bine_deferred *)(void *)((char *)job - offsetof(bine_deferred, cancel));

    /* A result that is already on its way wins. */
    if (d->settled.state == PENDING && !atomic_load(&d->consumed)) {
        if (d->on_cancel != NULL && !rt->closing)
            d->on_cancel((bine_resolver *)d, d->user);
        settle(d, (result){.state = BINE_ECANCELED});
        atomic_store(&d->cancelled, true);
    }
    let_go(d);
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
    block = calloc(1, sizeof *block);
    if (block == NULL)
        return bine__fail(BINE_ENOMEM, "bine_deferred_new: out of memory");
    block->deliver.run = on_deliver;
    block->cancel.run = on_cancel_job;
    block->rt = rt;
    block->inbox = rt->inbox;
    bine__inbox_retain(rt->inbox);
    atomic_init(&block->holds, 2);
    block->on_cancel = on_cancel;
    block->user = user;
    *d = block;
    *r = (bine_resolver *)block;
    return BINE_OK;
}

/* The producer's one act; takes the resolver and `r`. Thread: any. */
static int bring(bine_deferred *d, result r)
{
    bool late;

    atomic_store(&d->consumed, true);
    if (bine__here != NULL && bine__here == d->rt) {
        late = d->settled.state != PENDING;
        settle(d, r);
        let_go(d);
        return late ? bine__fail(BINE_ESETTLED, "the deferred has been cancelled") : BINE_OK;
    }
    if (atomic_load(&d->cancelled)) {
        free_result(&r);
        let_go(d);
        return bine__fail(BINE_ESETTLED, "the deferred has been cancelled");
    }
    d->incoming = r;
    if (bine__inbox_push(d->inbox, &d->deliver))
        return BINE_OK;
    free_result(&d->incoming);
    let_go(d);
    return bine__fail(BINE_ECLOSED, "the runtime is closed");
}

int bine_resolve(bine_resolver *r, bine_value *value)
{
    if (r == NULL) {
        bine_value_free(value);
        return bine__fail(BINE_EINVAL, "bine_resolve: the resolver is NULL");
    }
    if (value != NULL)
        return bring(of(r), (result){.state = RESOLVED, .value = value});
    bring(of(r), (result){.state = BINE_ENOMEM});
    return bine__fail(BINE_ENOMEM, "bine_resolve: out of memory for the value");
}

int bine_reject(bine_resolver *r, int code, const char *message)
{
    if (r == NULL)
        return bine__fail(BINE_EINVAL, "bine_reject: the resolver is NULL");
    if (code >= 0) {
        bring(of(r), (result){.state = BINE_EINVAL});
        return bine__fail(BINE_EINVAL, "bine_reject: the code %d is not negative", code);
    }
    return bring(of(r), (result){.state = code, .message = message == NULL ? NULL : strdup(message)});
}

void bine_resolver_drop(bine_resolver *r)
{
    if (r != NULL)
        bring(of(r), (result){.state = BINE_EBROKEN});
}

int bine_deferred_cancel(bine_deferred *d)
{
    int status;

    if (d == NULL)
        return bine__fail(BINE_EINVAL, "bine_deferred_cancel: the deferred is NULL");
    status = bine__check_owner(d->rt, "bine_deferred_cancel");
    if (status != BINE_OK)
        return status;
    if (d->settled.state != PENDING)
        return bine__fail(BINE_ESETTLED, "bine_deferred_cancel: it has its result");
    if (d->cancelling)
        return BINE_OK;
    d->cancelling = true;
    atomic_fetch_add_explicit(&d->holds, 1, memory_order_relaxed);
    bine__ready(d->rt, &d->cancel);
    return BINE_OK;
}

bine_deferred *bine_deferred_retain(bine_deferred *d)
{
    atomic_fetch_add_explicit(&d->holds, 1, memory_order_relaxed);
    return d;
}

void bine_deferred_release(bine_deferred *d)
{
    if (d != NULL)
        let_go(d);
}

int bine_deferred_state(const bine_deferred *d)
{
    return d->settled.state;
}

bine_value *bine__deferred_value(const bine_deferred *d)
{
    return d->settled.value;
}

const char *bine__deferred_message(const bine_deferred *d)
{
    return d->settled.message != NULL ? d->settled.message : "";
}

/* ---- waiting ---- */

int bine__may_wait(bine *rt)
{
    int status = bine__can_wait(rt);

    if (status != BINE_ECANCELED)
        return status;
    if (bine__python_interrupted(rt) == 0)
        return BINE_OK;
    if (rt->current->told)
        bine__yield(rt);
    rt->current->told = true;
    return BINE_ECANCELED;
}

int bine__await(bine *rt, bine__waiters *among, int64_t deadline)
{
    int status = bine__may_wait(rt);

    if (status != BINE_OK)
        return status;
    switch (bine__park(rt, among, deadline)) {
    case BINE__TIMED_OUT:
        return BINE_ETIMEDOUT;
    case BINE__NO_MEMORY:
        return BINE_ENOMEM;
    case BINE__INTERRUPTED:
        return bine__python_interrupted(rt) == 0 ? BINE_OK : BINE_ECANCELED;
    default:
        return BINE_OK;
    }
}

int bine__deferred_await(bine_deferred *d, int64_t timeout_ns)
{
    int64_t deadline;
    int status = BINE_OK;

    if (bine__here != d->rt)
        return BINE_EMICRO; /* also when the runtime has gone: look at nothing of it */
    if (d->settled.state != PENDING)
        return BINE_OK;
    deadline = bine__deadline(d->rt, timeout_ns);
    while (status == BINE_OK && d->settled.state == PENDING)
        status = bine__await(d->rt, &d->waiters, deadline);
    if (d->settled.state != PENDING && status == BINE_ETIMEDOUT)
        status = BINE_OK; /* both at once: the result counts */
    return status;
}

void bine__deferred_stop(bine_deferred *d)
{
    if (bine_deferred_cancel(d) != BINE_OK)
        return;
    while (d->settled.state == PENDING)
        bine__park(d->rt, &d->waiters, BINE__NEVER);
}

static int read_result(bine_deferred *d, bine_value **out)
{
    int state = d->settled.state;

    if (state != RESOLVED)
        return bine__fail(state, "%s",
                          d->settled.message != NULL ? d->settled.message : bine_strerror(state));
    if (out != NULL)
        *out = bine__value_share(d->settled.value);
    return BINE_OK;
}

static int explain(int status)
{
    switch (status) {
    case BINE_EMICRO:
        return bine__fail(status, "bine_wait: no micro-thread is running here");
    case BINE_EBUSY:
        return bine__fail(status, "bine_wait: waiting is not possible here");
    default:
        return bine__fail(status, "bine_wait: %s", bine_strerror(status));
    }
}

int bine_wait(bine_deferred *d, int64_t timeout_ns, bine_value **out)
{
    int status;

    if (out != NULL)
        *out = NULL;
    if (d == NULL)
        return bine__fail(BINE_EINVAL, "bine_wait: the deferred is NULL");
    bine_deferred_retain(d); /* the host may drop it meanwhile */
    status = bine__deferred_await(d, timeout_ns);
    if (status != BINE_OK)
        explain(status);
    else
        status = read_result(d, out);
    let_go(d);
    return status;
}
