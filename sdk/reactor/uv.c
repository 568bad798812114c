/* The reactor on libuv, on a loop of the runtime's own or on the host's: the only file that makes uv_
 * calls for the loop. */
#include "reactor/pollset.h"

#include <stdlib.h>
#include <uv.h>

/* On the host's loop it is more: `check` takes the turns, after libuv has seen to descriptors and not amidst;
 * `idle` keeps the loop from waiting while a turn is wanted at once. None of them keeps the loop alive, but
 * `async` while somebody waits. */
typedef struct uv_reactor {
    bine__reactor base; /* first */
    uv_loop_t *loop;
    uv_async_t async; /* wakes the loop */
    uv_timer_t timer; /* bounds a wait */
    bine__pollset set;
    uv_poll_t *watches; /* the loop's handle for it; NULL: there is none */

    /* On a loop of its own: */
    uv_loop_t own;
    bool polled;   /* the host polls its descriptor */
    bool unlisted; /* libuv has yet to tell the kernel of the watches */

    /* On the host's: */
    uv_check_t check;
    uv_idle_t idle;
    void (*turn)(void *user);
    void *user;
    int handles; /* that are not closed yet */
} uv_reactor;

static void renew_watches(uv_reactor *r);

static void on_async(uv_async_t *async)
{
    (void)async; /* the wake itself is all there is to it */
}

static void wake(bine__reactor *reactor)
{
    uv_async_send(&((uv_reactor *)reactor)->async);
}

/* `fire` is called in a wait, `ns` from now. libuv counts in milliseconds from what it thinks the time is:
 * round up, so as not to spin through the last one. */
static void set_timer(uv_reactor *r, uv_timer_cb fire, int64_t ns)
{
    uint64_t due_ms = (uv_hrtime() + (uint64_t)ns + 999999u) / 1000000u;
    uint64_t now_ms = uv_now(r->loop);

    uv_timer_start(&r->timer, fire, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* ---- watches ---- */

static void on_watches(uv_poll_t *poll, int status, int events)
{
    uv_reactor *r = poll->data;

    (void)status;
    (void)events;
    if (!bine__pollset_tell(&r->set))
        renew_watches(r);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* Has the loop watch the set. 0, or a negative errno. */
static int begin_watches(uv_reactor *r)
{
    int status;

    r->watches = malloc(sizeof *r->watches);
    if (r->watches == NULL)
        return UV_ENOMEM;
    status = uv_poll_init(r->loop, r->watches, r->set.fd);
    if (status != 0) {
        free(r->watches);
        r->watches = NULL;
        return status;
    }
    r->watches->data = r;
    uv_poll_start(r->watches, UV_READABLE, on_watches);
    uv_unref((uv_handle_t *)r->watches);
    r->unlisted = true;
    return 0;
}

static void end_watches(uv_reactor *r)
{
    if (r->watches != NULL)
        uv_close((uv_handle_t *)r->watches, free_handle);
    r->watches = NULL;
}

/* Where no descriptor is to be had, waiting for one is an error from now on. */
static void renew_watches(uv_reactor *r)
{
    end_watches(r);
    if (bine__pollset_renew(&r->set) == 0)
        (void)begin_watches(r);
}

static int watch(bine__reactor *reactor, bine_watch *w, unsigned events)
{
    return bine__pollset_watch(&((uv_reactor *)reactor)->set, w, events);
}

static void renew(bine__reactor *reactor)
{
    uv_reactor *r = (uv_reactor *)reactor;

    uv_loop_fork(r->loop); /* first: what comes after must not change what is shared with a parent */
    renew_watches(r);
}

/* ---- a loop of its own ---- */

/* libuv looks at its timers before it waits for descriptors: one that is due by then must keep it from that,
 * for nothing else would. (libuv 1.44, uv_run().) */
static void end_wait(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void poll_own(bine__reactor *reactor, int64_t timeout_ns)
{
    uv_reactor *r = (uv_reactor *)reactor;

    r->unlisted = false;
    if (timeout_ns == 0) {
        uv_run(r->loop, UV_RUN_NOWAIT);
        return;
    }
    if (timeout_ns > 0)
        set_timer(r, end_wait, timeout_ns);
    uv_run(r->loop, UV_RUN_ONCE);
    uv_timer_stop(&r->timer);
}

static int poll_fd_own(bine__reactor *reactor)
{
    uv_reactor *r = (uv_reactor *)reactor;

    r->polled = true;
    return uv_backend_fd(r->loop);
}

/* Nobody has to ask a host that gives turns in its own time. */
static void ask_own(bine__reactor *reactor)
{
    if (((uv_reactor *)reactor)->polled)
        wake(reactor);
}

static void flush_own(bine__reactor *reactor)
{
    if (((uv_reactor *)reactor)->unlisted)
        poll_own(reactor, 0);
}

static bool intact_own(const bine__reactor *reactor)
{
    const uv_reactor *r = (const uv_reactor *)reactor;

    return bine__is_epoll(uv_backend_fd(r->loop)) && bine__is_epoll(r->set.fd);
}

static void free_own(bine__reactor *reactor)
{
    uv_reactor *r = (uv_reactor *)reactor;

    uv_close((uv_handle_t *)&r->async, NULL);
    uv_close((uv_handle_t *)&r->timer, NULL);
    end_watches(r);
    bine__pollset_deinit(&r->set);
    uv_run(r->loop, UV_RUN_DEFAULT); /* until every handle is closed */
    uv_loop_close(r->loop);
    free(r);
}

static const bine__reactor_kind own_kind = {
    .poll = poll_own,
    .wake = wake,
    .ask = ask_own,
    .watch = watch,
    .poll_fd = poll_fd_own,
    .flush = flush_own,
    .intact = intact_own,
    .renew = renew,
    .free = free_own,
};

bine__reactor *bine__uv_new(void)
{
    uv_reactor *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->base.kind = &own_kind;
    r->loop = &r->own;
    if (uv_loop_init(r->loop) != 0)
        goto no_loop;
    if (uv_async_init(r->loop, &r->async, on_async) != 0)
        goto no_async;
    uv_timer_init(r->loop, &r->timer); /* cannot fail */
    if (bine__pollset_init(&r->set) == 0 && begin_watches(r) == 0)
        return &r->base;
    free_own(&r->base);
    return NULL;

no_async:
    uv_loop_close(r->loop);
no_loop:
    free(r);
    return NULL;
}

/* ---- the host's loop ---- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* that it is there keeps the loop from waiting */
}

static void on_timer(uv_timer_t *timer)
{
    uv_reactor *r = timer->data;

    uv_idle_start(&r->idle, on_idle); /* as end_wait() */
}

static void on_check(uv_check_t *check)
{
    uv_reactor *r = check->data;

    r->turn(r->user);
}

static void keep_alive(uv_reactor *r, bool alive)
{
    if (alive)
        uv_ref((uv_handle_t *)&r->async);
    else
        uv_unref((uv_handle_t *)&r->async);
}

static void ask_host(bine__reactor *reactor)
{
    uv_reactor *r = (uv_reactor *)reactor;

    uv_idle_start(&r->idle, on_idle);
    keep_alive(r, true);
}

static void plan_host(bine__reactor *reactor, int64_t wait_ns, bool waits)
{
    uv_reactor *r = (uv_reactor *)reactor;

    if (wait_ns == 0)
        uv_idle_start(&r->idle, on_idle);
    else
        uv_idle_stop(&r->idle);
    if (wait_ns > 0)
        set_timer(r, on_timer, wait_ns);
    else
        uv_timer_stop(&r->timer);
    keep_alive(r, waits);
}

static int no_poll_fd(bine__reactor *reactor)
{
    (void)reactor;
    return -1;
}

static void on_closed(uv_handle_t *handle)
{
    uv_reactor *r = handle->data;

    if (--r->handles == 0)
        free(r);
}

/* The loop finishes this when the host next runs it. */
static void free_on_host(bine__reactor *reactor)
{
    uv_reactor *r = (uv_reactor *)reactor;

    uv_close((uv_handle_t *)&r->async, on_closed);
    uv_close((uv_handle_t *)&r->timer, on_closed);
    uv_close((uv_handle_t *)&r->check, on_closed);
    uv_close((uv_handle_t *)&r->idle, on_closed);
    end_watches(r);
    bine__pollset_deinit(&r->set);
}

static const bine__reactor_kind host_kind = {
    .wake = wake,
    .ask = ask_host,
    .plan = plan_host,
    .watch = watch,
    .poll_fd = no_poll_fd,
    .renew = renew,
    .free = free_on_host,
};

bine__reactor *bine__uv_on(uv_loop_t *loop, void (*turn)(void *user), void *user)
{
    uv_reactor *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    *r = (uv_reactor){.base.kind = &host_kind, .loop = loop, .turn = turn, .user = user, .handles = 4};
    if (uv_async_init(loop, &r->async, on_async) != 0) {
        free(r);
        return NULL;
    }
    uv_timer_init(loop, &r->timer); /* these cannot fail */
    uv_check_init(loop, &r->check);
    uv_idle_init(loop, &r->idle);
    r->async.data = r->timer.data = r->check.data = r->idle.data = r;
    uv_check_start(&r->check, on_check);
    uv_unref((uv_handle_t *)&r->async);
    uv_unref((uv_handle_t *)&r->timer);
    uv_unref((uv_handle_t *)&r->check);
    uv_unref((uv_handle_t *)&r->idle);
    if (bine__pollset_init(&r->set) == 0 && begin_watches(r) == 0)
        return &r->base;
    free_on_host(&r->base);
    return NULL;
}
