/* The reactor on libuv, on a loop of the runtime's own or on the host's: the only file that makes uv_
 * calls for the loop. */
#include "reactor/pollset.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <uv.h>

/* How long a turn is put off when no loop is to be had, before that is tried again. */
#define RETRY_MS 10

/* On the host's loop it is more: `check` takes the turns, after libuv has seen to descriptors and not amidst;
 * `idle` keeps the loop from waiting while a turn is wanted at once. None of them keeps the loop alive, but
 * `watches` while somebody waits. */
typedef struct uv_reactor {
    bine__reactor base; /* first */
    bine__pollset set;
    uv_loop_t *loop;
    uv_poll_t *watches; /* the loop's handle for `set`; NULL: there is none */
    uv_idle_t idle;

    /* On the host's: */
    uv_check_t check;
    void (*turn)(void *user);
    void *user;
    int handles; /* that are not closed yet */
} uv_reactor;

static void wake(bine__reactor *reactor)
{
    bine__pollset_ring(&((uv_reactor *)reactor)->set);
}

/* For a host that waits by itself; 0: it is not to wait. */
static void plan_time(bine__reactor *reactor, int64_t wait_ns)
{
    if (wait_ns != 0 && bine__pollset_time(&((uv_reactor *)reactor)->set, wait_ns) != 0)
        wake(reactor); /* it is made anew then, see intact() */
}

/* ---- watches ---- */

static void on_watches(uv_poll_t *poll, int status, int events)
{
    uv_reactor *r = poll->data;

    (void)status;
    (void)events;
    bine__pollset_tell(&r->set);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* Has the loop watch the set. 0, or a negative errno. */
static int begin_watches(uv_reactor *r)
{
    int status;

    if (r->loop == NULL)
        return UV_EBADF;
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
    if (r->turn != NULL) /* the host's loop is kept going by plan_host() alone */
        uv_unref((uv_handle_t *)r->watches);
    return 0;
}

static void end_watches(uv_reactor *r)
{
    if (r->watches != NULL)
        uv_close((uv_handle_t *)r->watches, free_handle);
    r->watches = NULL;
}

/* 0, or a negative errno; then it is not intact. */
static int renew_watches(uv_reactor *r, bool forked)
{
    int status;

    end_watches(r);
    status = bine__pollset_renew(&r->set, forked);
    return status != 0 ? status : begin_watches(r);
}

static int watch(bine__reactor *reactor, bine_watch *w, unsigned events)
{
    return bine__pollset_watch(&((uv_reactor *)reactor)->set, w, events);
}

static int watch_edges(bine__reactor *reactor, bine_watch *w, unsigned events)
{
    return bine__pollset_watch_edges(&((uv_reactor *)reactor)->set, w, events);
}

static bool owns(const bine__reactor *reactor, int fd)
{
    const uv_reactor *r = (const uv_reactor *)reactor;
    const uv_loop_t *loop = r->loop;

    if (fd == r->set.fd || fd == r->set.bell || fd == r->set.timer)
        return true;
    return loop != NULL && (fd == loop->backend_fd || fd == loop->async_io_watcher.fd ||
                            fd == loop->signal_pipefd[0] || fd == loop->signal_pipefd[1]);
}

static bool intact(const bine__reactor *reactor)
{
    const uv_reactor *r = (const uv_reactor *)reactor;

    return r->watches != NULL && !bine__pollset_strays(&r->set) && bine__pollset_intact(&r->set);
}

/* ---- a loop of its own ---- */

/* Loops whose descriptors are not theirs any more: in the child of a fork, or closed by somebody, their
 * numbers perhaps other files'. libuv cannot let go of one without touching them, so it stays. */
static struct lost_loop {
    uv_loop_t *loop;
    uv_poll_t *watches;
    struct lost_loop *next;
} * lost_loops;

static void lose_loop(uv_reactor *r)
{
    struct lost_loop *lost = malloc(sizeof *lost);

    if (lost != NULL) { /* only so that leak checkers know of it */
        *lost = (struct lost_loop){r->loop, r->watches, lost_loops};
        lost_loops = lost;
    }
    r->loop = NULL;
    r->watches = NULL;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* that it is there keeps the loop from waiting */
}

/* libuv has epoll know of a descriptor when the loop next runs, and ends the process when that one has been
 * closed by then. So it tells epoll of those that the loop was made with now. */
static void settle_loop(uv_reactor *r)
{
    uv_idle_start(&r->idle, on_idle); /* without anything to do it would not look at descriptors */
    uv_run(r->loop, UV_RUN_NOWAIT);
    uv_idle_stop(&r->idle);
}

static bool is_epoll(int fd)
{
    struct epoll_event event;

    return epoll_wait(fd, &event, 1, 0) >= 0; /* takes nothing away: all are level-triggered */
}

/* A loop whose epoll instance somebody has closed must not be run. Looked at before that, and not in each
 * turn, which needs none. */
static void check_loop(uv_reactor *r)
{
    if (r->loop != NULL && !is_epoll(uv_backend_fd(r->loop)))
        lose_loop(r);
}

static void close_loop(uv_reactor *r)
{
    check_loop(r);
    if (r->loop == NULL)
        return;
    uv_close((uv_handle_t *)&r->idle, NULL);
    end_watches(r);
    uv_run(r->loop, UV_RUN_DEFAULT); /* until every handle is closed */
    uv_loop_close(r->loop);
    free(r->loop);
    r->loop = NULL;
}

/* 0, or a negative errno: then there is none. */
static int open_loop(uv_reactor *r)
{
    int status;

    r->loop = malloc(sizeof *r->loop);
    status = r->loop == NULL ? UV_ENOMEM : uv_loop_init(r->loop);
    if (status != 0) {
        free(r->loop);
        r->loop = NULL;
        return status;
    }
    uv_idle_init(r->loop, &r->idle); /* cannot fail */
    settle_loop(r);
    status = begin_watches(r);
    if (status != 0)
        close_loop(r);
    return status;
}

static bool can_wait(uv_reactor *r)
{
    check_loop(r);
    return r->watches != NULL || (r->loop == NULL && open_loop(r) == 0);
}

static void poll_own(bine__reactor *reactor, int64_t timeout_ns)
{
    uv_reactor *r = (uv_reactor *)reactor;

    if (timeout_ns != 0 && (!can_wait(r) || bine__pollset_time(&r->set, timeout_ns) != 0)) {
        poll(NULL, 0, RETRY_MS);
        timeout_ns = 0;
    }
    if (timeout_ns == 0) /* there is nothing else on the loop */
        bine__pollset_tell(&r->set);
    else
        uv_run(r->loop, UV_RUN_ONCE);
}

static int renew_own(bine__reactor *reactor, bool forked)
{
    uv_reactor *r = (uv_reactor *)reactor;
    int status;

    if (!forked && r->watches != NULL && is_epoll(uv_backend_fd(r->loop)) && bine__pollset_intact(&r->set))
        return renew_watches(r, false); /* only to be rid of strays */
    if (r->loop != NULL)
        lose_loop(r);
    status = bine__pollset_renew(&r->set, forked);
    return status != 0 ? status : open_loop(r);
}

static void free_own(bine__reactor *reactor)
{
    uv_reactor *r = (uv_reactor *)reactor;

    close_loop(r);
    bine__pollset_deinit(&r->set);
    free(r);
}

/* ---- a loop of its own, whose descriptor the host polls ---- */

/* How long it does is up to the kernel, which may make too much of it. */
static void plan_polled(bine__reactor *reactor, int64_t wait_ns, bool waits)
{
    (void)waits;
    plan_time(reactor, wait_ns);
}

static int poll_fd_polled(bine__reactor *reactor)
{
    return ((uv_reactor *)reactor)->set.fd;
}

static const bine__reactor_kind polled_kind = {
    .poll = poll_own,
    .wake = wake,
    .ask = wake,
    .plan = plan_polled,
    .watch = watch,
    .watch_edges = watch_edges,
    .poll_fd = poll_fd_polled,
    .owns = owns,
    .intact = intact,
    .renew = renew_own,
    .free = free_own,
};

static int poll_fd_own(bine__reactor *reactor)
{
    reactor->kind = &polled_kind;
    return poll_fd_polled(reactor);
}

/* Nobody has to ask a host that gives turns in its own time. */
static void no_need(bine__reactor *reactor)
{
    (void)reactor;
}

static const bine__reactor_kind own_kind = {
    .poll = poll_own,
    .wake = wake,
    .ask = no_need,
    .watch = watch,
    .watch_edges = watch_edges,
    .poll_fd = poll_fd_own,
    .owns = owns,
    .intact = intact,
    .renew = renew_own,
    .free = free_own,
};

bine__reactor *bine__uv_new(void)
{
    uv_reactor *r = calloc(1, sizeof *r);
    int status;

    if (r == NULL)
        return NULL;
    r->base.kind = &own_kind;
    status = bine__pollset_init(&r->set);
    if (status == 0)
        status = open_loop(r);
    if (status == 0)
        return &r->base;
    free_own(&r->base);
    errno = -status;
    return NULL;
}

/* ---- the host's loop ---- */

static void on_check(uv_check_t *check)
{
    uv_reactor *r = check->data;

    r->turn(r->user);
}

static void keep_alive(uv_reactor *r, bool alive)
{
    if (r->watches == NULL)
        return;
    if (alive)
        uv_ref((uv_handle_t *)r->watches);
    else
        uv_unref((uv_handle_t *)r->watches);
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
    plan_time(reactor, wait_ns);
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

    uv_close((uv_handle_t *)&r->check, on_closed);
    uv_close((uv_handle_t *)&r->idle, on_closed);
    end_watches(r);
    bine__pollset_deinit(&r->set);
}

static int renew_on_host(bine__reactor *reactor, bool forked)
{
    uv_reactor *r = (uv_reactor *)reactor;
    int status = forked ? uv_loop_fork(r->loop) : 0;

    return status != 0 ? status : renew_watches(r, forked);
}

static const bine__reactor_kind host_kind = {
    .wake = wake,
    .ask = ask_host,
    .plan = plan_host,
    .watch = watch,
    .watch_edges = watch_edges,
    .poll_fd = no_poll_fd,
    .owns = owns,
    .intact = intact,
    .renew = renew_on_host,
    .free = free_on_host,
};

bine__reactor *bine__uv_on(uv_loop_t *loop, void (*turn)(void *user), void *user)
{
    uv_reactor *r = calloc(1, sizeof *r);
    int status;

    if (r == NULL)
        return NULL;
    *r = (uv_reactor){.base.kind = &host_kind, .loop = loop, .turn = turn, .user = user, .handles = 2};
    status = bine__pollset_init(&r->set);
    if (status == 0)
        status = begin_watches(r);
    if (status != 0) {
        bine__pollset_deinit(&r->set);
        free(r);
        errno = -status;
        return NULL;
    }
    uv_check_init(loop, &r->check); /* these cannot fail */
    uv_idle_init(loop, &r->idle);
    r->check.data = r->idle.data = r;
    uv_check_start(&r->check, on_check);
    uv_unref((uv_handle_t *)&r->check);
    uv_unref((uv_handle_t *)&r->idle);
    return &r->base;
}
