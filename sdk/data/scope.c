/* Scopes: who belongs to one, what cancels it, when it has ended. What its errors are to Python
 * lies above (sdk/python/scopetype.c). */
#include "data/scope.h"

#include "data/value.h"

#include <stdlib.h>
#include <string.h>

/* A deferred that is rejected when the scope is cancelled. */
typedef struct binding {
    bine__waiter waiter; /* first: in the deferred's line, aside */
    bine_scope *scope;
    bine_deferred *deferred; /* held */
    struct binding *before;
    struct binding *after;
} binding;

/* A deferred for the end of a scope. */
typedef struct closer {
    bine_deferred base; /* first */
    bine_scope *scope;  /* while pending */
    struct closer *next;
} closer;

static void on_deadline(bine__timer *timer)
{
    bine_scope *scope = (bine_scope *)(void *)((char *)timer - offsetof(bine_scope, deadline));

    scope->timed_out = true;
    bine__scope_stop(scope);
}

bine_scope *bine__scope_new(bine *rt, const char *name)
{
    bine_scope *scope = calloc(1, sizeof *scope);

    if (scope != NULL && name != NULL) {
        scope->name = strdup(name);
        if (scope->name == NULL) {
            free(scope);
            scope = NULL;
        }
    }
    if (scope == NULL) {
        bine__fail(BINE_ENOMEM, "out of memory for a scope");
        return NULL;
    }
    scope->rt = rt;
    scope->holds = 1;
    scope->deadline.fire = on_deadline;
    return scope;
}

/* ---- deferreds bound to it ---- */

static void free_binding(binding *b)
{
    bine__waiter_unlink(&b->waiter);
    bine__deferred_let_go(b->deferred);
    free(b);
}

static void on_settled(bine__waiter *waiter)
{
    binding *b = (binding *)(void *)waiter;

    if (b->before != NULL)
        b->before->after = b->after;
    else
        b->scope->bindings = b->after;
    if (b->after != NULL)
        b->after->before = b->before;
    free_binding(b);
}

/* The first of them, out of the list; NULL: none. */
static binding *take_binding(bine_scope *scope)
{
    binding *b = scope->bindings;

    if (b == NULL)
        return NULL;
    scope->bindings = b->after;
    if (b->after != NULL)
        b->after->before = NULL;
    return b;
}

static bine__result broken(const bine_scope *scope)
{
    const char *what = scope->name != NULL ? scope->name : "the scope it belongs to was cancelled";

    return bine__rejection(BINE_EBROKEN, scope->reason != NULL ? scope->reason : what);
}

static void break_bindings(bine_scope *scope)
{
    binding *b;

    while ((b = take_binding(scope)) != NULL) {
        bine__deferred_break(b->deferred, broken(scope));
        free_binding(b);
    }
}

int bine_scope_bind(bine_scope *scope, bine_resolver *r)
{
    bine_deferred *d = (bine_deferred *)(void *)r;
    binding *b;
    int status;

    if (scope == NULL || r == NULL)
        return bine__fail(BINE_EINVAL, "bine_scope_bind: the scope or the resolver is NULL");
    status = bine__check_owner(scope->rt, "bine_scope_bind");
    if (status != BINE_OK)
        return status;
    if (d->settled.state != BINE__PENDING)
        return BINE_OK; /* nobody can be left waiting for it */
    if (scope->cancelled) {
        bine__deferred_break(d, broken(scope));
        return bine__fail(BINE_ECLOSED, "bine_scope_bind: the scope was cancelled");
    }
    b = calloc(1, sizeof *b);
    if (b == NULL)
        return bine__fail(BINE_ENOMEM, "bine_scope_bind: out of memory");
    b->waiter.wake = on_settled;
    b->waiter.aside = true;
    b->scope = scope;
    b->deferred = d;
    b->after = scope->bindings;
    if (b->after != NULL)
        b->after->before = b;
    scope->bindings = b;
    bine__deferred_hold(d);
    bine__deferred_line(d, &b->waiter);
    return BINE_OK;
}

/* ---- its own end ---- */

static void destroy(bine_scope *scope)
{
    bine__micro *micro;
    binding *b;

    while ((micro = bine__scope_take_failed(scope)) != NULL)
        bine__python_drop_failed(micro);
    while ((b = take_binding(scope)) != NULL)
        free_binding(b);
    bine__result_free(&scope->outcome);
    free(scope->name);
    free(scope->reason);
    free(scope);
}

void bine__scope_let_go(bine_scope *scope)
{
    while (scope != NULL && --scope->holds == 0) {
        bine_scope *outer = scope->outer;

        destroy(scope);
        scope = outer;
    }
}

/* ---- the end of its members ---- */

static bine__result outcome(bine_scope *scope)
{
    bine__result r = {.state = BINE__RESOLVED};

    if (scope->failed != NULL) {
        bine__python_scope_failed(scope, &r);
        return r;
    }
    if (scope->timed_out)
        return bine__rejection(BINE_ETIMEDOUT, NULL);
    if (scope->cancelled)
        return bine__rejection(BINE_ECANCELED, scope->reason);
    r.value = bine_value_nil();
    return r;
}

/* There is one at least. */
static void settle_closers(bine_scope *scope)
{
    bool told = scope->outcome.state != BINE__PENDING; /* by a close before */

    if (!told)
        scope->outcome = outcome(scope);
    while (scope->closers != NULL) {
        closer *c = scope->closers;

        scope->closers = c->next;
        c->base.taken = told || c->next != NULL; /* of several, one answers for the errors */
        bine__deferred_settle(&c->base, bine__result_share(&scope->outcome));
        bine__deferred_let_go(&c->base);
    }
}

/* No member is left. The caller has a hold. The errors may drop what closes the scope once more, or
 * releases it: a host's object in a script's hands. */
static void ended(bine_scope *scope)
{
    bine__wake_all(&scope->waiting);
    if (!scope->closed)
        return;
    bine__timer_stop(&scope->deadline);
    if (scope->closers == NULL || scope->telling)
        return;
    scope->telling = true;
    settle_closers(scope);
    scope->telling = false;
    scope->holds--; /* that of all closers; the caller's is left */
}

/* ---- members ---- */

int bine__scope_check_member(const bine_scope *scope, bool child, const char *call)
{
    const char *name = scope->name != NULL ? scope->name : "the scope";

    if (scope->cancelled)
        return bine__fail(BINE_ECLOSED, "%s: %s was cancelled: no new micro-threads in it", call, name);
    if (scope->closed && (child || scope->alive == 0))
        return bine__fail(BINE_ECLOSED, "%s: %s is closed: no new micro-threads in it", call, name);
    return BINE_OK;
}

void bine__scope_enter(bine_scope *scope, bine__micro *micro, bool child)
{
    micro->scope = scope;
    micro->is_child = child;
    micro->sibling_before = NULL;
    micro->sibling_after = scope->members;
    if (scope->members != NULL)
        scope->members->sibling_before = micro;
    scope->members = micro;
    scope->alive++;
    scope->holds++;
}

static void unlink_member(bine_scope *scope, bine__micro *micro)
{
    if (micro->sibling_before != NULL)
        micro->sibling_before->sibling_after = micro->sibling_after;
    else
        scope->members = micro->sibling_after;
    if (micro->sibling_after != NULL)
        micro->sibling_after->sibling_before = micro->sibling_before;
    micro->sibling_before = NULL;
    micro->sibling_after = NULL;
    scope->alive--;
}

static void keep_failed(bine_scope *scope, bine__micro *micro)
{
    if (scope->last_failed != NULL)
        scope->last_failed->sibling_after = micro;
    else
        scope->failed = micro;
    scope->last_failed = micro;
}

bool bine__scope_leave(bine__micro *micro, bool failed)
{
    bine_scope *scope = micro->scope;
    bool kept = failed && micro->is_child;

    unlink_member(scope, micro);
    micro->scope = NULL;
    if (kept) {
        keep_failed(scope, micro);
        bine__scope_stop(scope);
    }
    if (scope->alive == 0)
        ended(scope);
    bine__scope_let_go(scope);
    return kept;
}

bine__micro *bine__scope_take_failed(bine_scope *scope)
{
    bine__micro *first = scope->failed;

    if (first == NULL)
        return NULL;
    scope->failed = first->sibling_after;
    if (scope->failed == NULL)
        scope->last_failed = NULL;
    first->sibling_after = NULL;
    return first;
}

bine_scope *bine__scope_inherited(const bine__micro *spawner)
{
    bine_scope *scope = spawner->scope;

    while (scope != NULL && !scope->passes_on)
        scope = scope->outer;
    return scope;
}

/* ---- cancelling ---- */

void bine__scope_stop(bine_scope *scope)
{
    if (scope->cancelled)
        return;
    scope->cancelled = true;
    bine__timer_stop(&scope->deadline);
    for (bine__micro *micro = scope->members; micro != NULL; micro = micro->sibling_after)
        bine__micro_cancel(micro);
    if (scope->body != NULL)
        bine__body_cancel_begin(scope->body);
    break_bindings(scope);
}

const char *bine__scope_reason(const bine__micro *micro)
{
    for (const bine_scope *scope = micro->scope; scope != NULL; scope = scope->outer)
        if (scope->cancelled && scope->reason != NULL)
            return scope->reason;
    return NULL;
}

void bine_scope_cancel(bine_scope *scope, const char *reason)
{
    if (scope == NULL || bine__check_owner(scope->rt, "bine_scope_cancel") != BINE_OK || scope->cancelled)
        return;
    if (reason != NULL)
        scope->reason = strdup(reason); /* without memory, without a reason */
    bine__scope_stop(scope);
}

/* ---- the rest of the C API ---- */

int bine_scope_new(bine *rt, const char *name, bine_scope **out)
{
    int status;

    if (out == NULL)
        return bine__fail(BINE_EINVAL, "bine_scope_new: out is NULL");
    *out = NULL;
    status = bine__check_owner(rt, "bine_scope_new");
    if (status != BINE_OK)
        return status;
    if (rt->shutting_down)
        return bine__fail(BINE_ECLOSED, "bine_scope_new: the runtime is shutting down");
    *out = bine__scope_new(rt, name);
    if (*out == NULL)
        return BINE_ENOMEM;
    (*out)->passes_on = true;
    return BINE_OK;
}

int bine_scope_set_deadline(bine_scope *scope, int64_t ns)
{
    int status;

    if (scope == NULL)
        return bine__fail(BINE_EINVAL, "bine_scope_set_deadline: the scope is NULL");
    status = bine__check_owner(scope->rt, "bine_scope_set_deadline");
    if (status != BINE_OK)
        return status;
    if (scope->cancelled || (scope->closed && scope->alive == 0))
        return bine__fail(BINE_ECLOSED, "bine_scope_set_deadline: the scope was cancelled or closed");
    bine__timer_stop(&scope->deadline);
    if (ns >= 0 && bine__timer_set(&scope->rt->timers, &scope->deadline, bine__deadline(scope->rt, ns)) != 0)
        return bine__fail(BINE_ENOMEM, "bine_scope_set_deadline: out of memory");
    bine__ask(scope->rt);
    return BINE_OK;
}

static void cancel_closer(bine_deferred *d)
{
    bine__scope_stop(((closer *)(void *)d)->scope);
}

static const bine__kind closing = {.cancel = cancel_closer, .name = "the end of a scope"};

static int add_closer(bine_scope *scope, bine_deferred **out)
{
    closer *c = (closer *)(void *)bine__deferred_alloc(scope->rt, &closing, sizeof *c, true);

    if (c == NULL)
        return BINE_ENOMEM;
    if (scope->closers == NULL)
        scope->holds++; /* of all closers together */
    c->scope = scope;
    c->next = scope->closers;
    scope->closers = c;
    *out = &c->base;
    return BINE_OK;
}

int bine_scope_close(bine_scope *scope, bine_deferred **out)
{
    int status;

    if (out != NULL)
        *out = NULL;
    if (scope == NULL)
        return bine__fail(BINE_EINVAL, "bine_scope_close: the scope is NULL");
    status = bine__check_owner(scope->rt, "bine_scope_close");
    if (status == BINE_OK && out != NULL)
        status = add_closer(scope, out);
    if (status != BINE_OK)
        return status;
    scope->closed = true;
    if (scope->alive == 0)
        ended(scope);
    return BINE_OK;
}

size_t bine_scope_alive(const bine_scope *scope)
{
    return scope == NULL ? 0 : scope->alive;
}

void bine_scope_release(bine_scope *scope)
{
    if (scope == NULL)
        return;
    if (scope->rt != bine__here) { /* the runtime has gone, and its micro-threads with it */
        scope->failed = NULL;
        bine__scope_let_go(scope);
        return;
    }
    if (!scope->closed)
        bine__scope_stop(scope);
    scope->closed = true;
    if (scope->alive == 0)
        ended(scope);
    bine__scope_let_go(scope);
}
