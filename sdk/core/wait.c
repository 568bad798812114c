/* Waiting, as the layers above do it: whether it is allowed, what cuts it short, how long that can be
 * put off. Owner thread. */
#include "core/micro.h"

#include "core/coroutine.h"
#include "core/pyframe.h"
#include "core/runtime.h"

/* The collector runs on this stack: it has begun here, and nobody has begun since. */
static bool collects(bine *rt)
{
    if ((rt->current->no_wait & BINE__COLLECTS) == 0)
        return false;
    if (rt->collects_here && bine__is_collecting())
        return true;
    rt->current->no_wait &= (uint16_t)~BINE__COLLECTS;
    return false;
}

void bine__forget_collection(bine *rt)
{
    (void)collects(rt);
}

bool bine__co_may_suspend(bine *rt, const bine__co *co)
{
    if (bine__tracing_depth(rt->tstate) != co->tracing)
        return false;
    if ((co->no_wait & BINE__COLLECTS) == 0 && collects(rt))
        return false;
    return rt->current->no_wait == co->no_wait;
}

const char *bine__why_no_wait(bine *rt)
{
    if (rt->hooking)
        return "waiting is not possible inside a switch hook";
    if (bine__is_tracing(rt->tstate))
        return "waiting is not possible inside a trace or profile function";
    if (collects(rt))
        return "waiting is not possible inside what the garbage collector calls: a gc callback, a destructor "
               "(__del__)";
    if (rt->finalizing > 0)
        return "waiting is not possible inside a destructor (__del__)";
    return "waiting is not possible here: the micro-thread is just ending";
}

static bool is_refused(bine *rt)
{
    if (bine__is_tracing(rt->tstate))
        return true;
    if (rt->current->no_wait == 0)
        return false;
    return collects(rt) || rt->current->no_wait != 0;
}

int bine__can_wait(bine *rt)
{
    if (rt == NULL || rt->current == &rt->host || rt->current->done)
        return BINE_EMICRO;
    if (is_refused(rt))
        return BINE_EBUSY;
    if (rt->current->pending != 0)
        return BINE_ECANCELED;
    return BINE_OK;
}

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

int bine__park_status(bine *rt, bine__outcome outcome)
{
    switch (outcome) {
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

static int mind(bine *rt, const void *what)
{
    (void)what;
    return bine__python_interrupted(rt);
}

int bine__stand(bine *rt, bine__waiters *among, int64_t deadline, void *what)
{
    return bine__park_status(rt, bine__park_minding(rt, among, deadline, what, mind));
}

int bine__await(bine *rt, bine__waiters *among, int64_t deadline, void *what)
{
    int status = bine__may_wait(rt);

    return status != BINE_OK ? status : bine__stand(rt, among, deadline, what);
}

int bine__explain_wait(const char *call, int status)
{
    if (status == BINE_EMICRO)
        return bine__fail(status, "%s: no micro-thread is running here", call);
    if (status == BINE_EBUSY)
        return bine__fail(status, "%s: %s", call, bine__why_no_wait(bine__here));
    return bine__fail(status, "%s: %s", call, bine_strerror(status));
}

/* ---- cancelling ---- */

void bine__micro_cancel(bine__micro *micro)
{
    if (micro->done)
        return;
    micro->cancelled = true;
    bine__micro_interrupt(micro, BINE__CANCEL);
}

/* So many scopes, one inside another, that nobody can count them: from then on it stays cancelled. */
#define COUNTLESS UINT16_MAX

void bine__body_cancel_begin(bine__micro *body)
{
    if (body->scopes_cancelled < COUNTLESS)
        body->scopes_cancelled++;
    bine__micro_interrupt(body, BINE__CANCEL);
}

void bine__body_cancel_end(bine__micro *body)
{
    if (body->scopes_cancelled < COUNTLESS)
        body->scopes_cancelled--;
    if (body->scopes_cancelled > 0 || body->cancelled)
        return;
    body->pending &= (uint8_t)~BINE__CANCEL;
    body->kept_back &= (uint8_t)~BINE__CANCEL;
    body->told = body->pending != 0 && body->told;
}

/* ---- shields ---- */

static void lower(bine__shield *shield)
{
    bine__micro *micro = shield->micro;
    unsigned late;

    shield->micro = NULL;
    micro->shields--;
    if (micro->shields > 0)
        return;
    late = micro->kept_back;
    micro->kept_back = 0;
    bine__micro_interrupt(micro, late);
}

static void on_shield_over(bine__timer *timer)
{
    lower((bine__shield *)(void *)timer);
}

int bine__shield_raise(bine *rt, bine__shield *shield, int64_t ns)
{
    bine__micro *micro = rt->current;

    if (micro->shields == UINT16_MAX)
        return -1; /* so many, one inside another, that nobody can count them */
    shield->timer.among = NULL;
    shield->timer.fire = on_shield_over;
    if (bine__timer_set(rt->real_timers, &shield->timer, bine__real_deadline(rt, ns)) != 0)
        return -1;
    shield->micro = micro;
    micro->shields++;
    micro->kept_back |= (uint8_t)(micro->pending & (BINE__CANCEL | BINE__EXIT));
    micro->pending &= (uint8_t) ~(BINE__CANCEL | BINE__EXIT);
    return 0;
}

void bine__shield_lower(bine__shield *shield)
{
    if (shield->micro == NULL)
        return;
    bine__timer_stop(&shield->timer);
    lower(shield);
}
