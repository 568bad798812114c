/* Several deferreds as one: all, any, settle. Owner thread. */
#include "data/deferred.h"

#include "data/value.h"

typedef enum mode { ALL, ANY, SETTLE } mode;

struct group;

typedef struct member {
    bine__waiter waiter; /* in the line of `deferred` */
    bine__job job;
    struct group *group;
    bine_deferred *deferred; /* held */
} member;

/* Each member in a line or with a job under way has a hold on the group. */
typedef struct group {
    bine_deferred base; /* first */
    mode mode;
    size_t pending;
    bool incomplete;     /* one has been left behind */
    size_t first_failed; /* index + 1 */
    size_t count;
    member members[];
} group;

static group *group_of(bine_deferred *base)
{
    return (group *)(void *)base;
}

/* A member that no longer matters: its rejection is nobody's loss. */
static void detach(member *m)
{
    if (m->waiter.among == NULL)
        return;
    bine__waiter_unlink(&m->waiter);
    m->deferred->taken = true;
    m->group->pending--;
    m->group->incomplete = true;
    bine__deferred_let_go(&m->group->base);
}

/* Settles the group, which lets go of its members: all at once, so that groups of groups do not
 * free each other in ever deeper calls. The caller has a hold. */
static void conclude(group *g, bine__result r)
{
    bine__deferred_settle(&g->base, r);
    for (size_t i = 0; i < g->count; i++) {
        detach(&g->members[i]);
        bine__deferred_let_go(g->members[i].deferred);
    }
    g->count = 0;
}

/* ---- results ---- */

static bine_value *entry_of(const bine__result *r)
{
    bine_value *dict = bine_value_dict();
    int status;

    if (r->state == BINE__RESOLVED) {
        status = bine_value_set(dict, "value", bine__value_share(r->value));
    } else {
        status = bine_value_set(dict, "code", bine_value_i64(r->state));
        if (status == BINE_OK)
            status = bine_value_set(dict, "message", bine_value_str(bine__result_message(r)));
    }
    if (status == BINE_OK)
        return dict;
    bine_value_free(dict);
    return NULL;
}

static bine__result list_of(const group *g)
{
    bine_value *list = bine_value_list();

    for (size_t i = 0; i < g->count; i++) {
        const bine__result *r = &g->members[i].deferred->settled;
        bine_value *item = g->mode == ALL ? bine__value_share(r->value) : entry_of(r);

        if (bine_value_append(list, item) == BINE_OK)
            continue;
        bine_value_free(list);
        return bine__rejection(BINE_ENOMEM, NULL);
    }
    if (list == NULL)
        return bine__rejection(BINE_ENOMEM, NULL);
    return (bine__result){.state = BINE__RESOLVED, .value = list};
}

/* ---- as members are settled ---- */

/* Whether this member decides. */
static bool decides(group *g, const bine__result *r, size_t index)
{
    if (r->state < 0 && g->first_failed == 0)
        g->first_failed = index + 1;
    if (g->mode == ALL && r->state < 0)
        return true;
    if (g->mode == ANY && r->state == BINE__RESOLVED)
        return true;
    return g->pending == 0;
}

static bine__result outcome(const group *g, const bine__result *r)
{
    if (g->pending == 0 && g->incomplete)
        return (bine__result){.state = BINE_ECANCELED};
    if (g->mode == ANY && r->state < 0)
        return bine__result_share(&g->members[g->first_failed - 1].deferred->settled);
    if (g->mode == ANY || (g->mode == ALL && r->state < 0))
        return bine__result_share(r);
    return list_of(g);
}

static void on_member(bine__waiter *waiter)
{
    member *m = (member *)(void *)waiter;

    bine__deferred_take(m->deferred);
    bine__ready(m->group->base.rt, &m->job);
}

static void run_member(bine *rt, bine__job *job)
{
    member *m = (member *)(void *)((char *)job - offsetof(member, job));
    group *g = m->group;

    if (rt->closing) {
        if (g->count > 0)
            bine__deferred_lost(m->deferred);
        conclude(g, bine__rejection(BINE_ECLOSED, NULL)); /* it may be settled, and hold its members still */
    } else if (g->base.settled.state == BINE__PENDING) {
        g->pending--;
        if (decides(g, &m->deferred->settled, (size_t)(m - g->members)))
            conclude(g, outcome(g, &m->deferred->settled));
    }
    bine__deferred_let_go(&g->base);
}

/* ---- a kind of its own ---- */

static void cancel(bine_deferred *base)
{
    group *g = group_of(base);
    bool left = false;

    for (size_t i = 0; i < g->count; i++) {
        member *m = &g->members[i];

        if (m->waiter.among == NULL)
            continue;
        if (bine__deferred_shared(m->deferred, &m->waiter))
            detach(m);
        else
            left = bine_deferred_cancel(m->deferred) == BINE_OK || left;
    }
    if (!left && g->pending == 0) /* else results are on their way, and decide */
        conclude(g, (bine__result){.state = BINE_ECANCELED});
}

static bine_deferred *source(bine_deferred *base, size_t index)
{
    group *g = group_of(base);

    return index < g->count ? g->members[index].deferred : NULL;
}

static const bine__kind several = {.cancel = cancel, .source = source, .name = "several deferreds"};

/* ---- making one ---- */

static void join(group *g, size_t index, bine_deferred *d)
{
    member *m = &g->members[index];

    m->group = g;
    m->deferred = d;
    m->waiter.wake = on_member;
    m->job.run = run_member;
    bine__deferred_hold(d);
    bine__deferred_hold(&g->base);
    if (d->settled.state == BINE__PENDING)
        bine__deferred_line(d, &m->waiter);
    else
        on_member(&m->waiter);
}

static int check(bine *rt, bine_deferred *const *deferreds, size_t count, const char *call)
{
    int status = bine__check_owner(rt, call);

    if (status != BINE_OK)
        return status;
    if (rt->closing)
        return bine__fail(BINE_ECLOSED, "%s: the runtime is closing", call);
    if (count > 0 && deferreds == NULL)
        return bine__fail(BINE_EINVAL, "%s: the array is NULL", call);
    for (size_t i = 0; i < count; i++)
        if (deferreds[i] == NULL || deferreds[i]->rt != rt)
            return bine__fail(BINE_EINVAL, "%s: deferred %zu of %zu is NULL", call, i, count);
    return BINE_OK;
}

static int combine(bine *rt, mode how, bine_deferred *const *deferreds, size_t count, bine_deferred **out,
                   const char *call)
{
    int status;
    group *g;

    if (out == NULL)
        return bine__fail(BINE_EINVAL, "%s: out is NULL", call);
    *out = NULL;
    status = check(rt, deferreds, count, call);
    if (status != BINE_OK)
        return status;
    if (count > (SIZE_MAX - sizeof *g) / sizeof *g->members)
        return bine__fail(BINE_ENOMEM, "%s: out of memory", call);
    g = (group *)(void *)bine__deferred_alloc(rt, &several, sizeof *g + count * sizeof *g->members, false);
    if (g == NULL)
        return BINE_ENOMEM;
    g->mode = how;
    g->count = g->pending = count;
    for (size_t i = 0; i < count; i++)
        join(g, i, deferreds[i]);
    if (count == 0)
        conclude(g, list_of(g));
    *out = &g->base;
    return BINE_OK;
}

int bine_all(bine *rt, bine_deferred *const *deferreds, size_t count, bine_deferred **out)
{
    return combine(rt, ALL, deferreds, count, out, "bine_all");
}

int bine_any(bine *rt, bine_deferred *const *deferreds, size_t count, bine_deferred **out)
{
    if (count == 0) {
        if (out != NULL)
            *out = NULL;
        return bine__fail(BINE_EINVAL, "bine_any: of none, none can be resolved");
    }
    return combine(rt, ANY, deferreds, count, out, "bine_any");
}

int bine_settle(bine *rt, bine_deferred *const *deferreds, size_t count, bine_deferred **out)
{
    return combine(rt, SETTLE, deferreds, count, out, "bine_settle");
}
