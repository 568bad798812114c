/* Waiting for descriptors: one watch for each, however many micro-threads wait for it. What a descriptor has
 * here stays until the runtime is closed: its number will be used again.
 *
 * A watch is set for one wait, since nobody knows whether the number is the same file's at the next. Of a
 * script's socket it is known: scripts close it, and make another, by calls that say so here. Its watch stays
 * set, by edges: who waits for it has tried before. Owner thread. */
#include "service/descriptor.h"

#include "reactor/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* So many events by edges in a row for which nobody waits, and they are told of no more. */
#define UNCLAIMED_MAX 64

typedef struct descriptor {
    bine_watch watch;      /* first */
    bine__waiters waiters; /* each with a wish as what it waits for */
    unsigned came;         /* by edges, when nobody waited for that */
    unsigned unclaimed;    /* so many times since somebody waited */
    bool same;             /* `watch` is set by edges, and for the file that it is now. With the GIL */
    bool is_tcp;           /* that file: a read that comes to less than it asked for has emptied it */
    bool empty;            /* it has, and nothing has come since */
} descriptor;

/* What one micro-thread waits for; on its stack. */
typedef struct wish {
    bine__describe describe; /* first */
    bine__micro *micro;
    bine__timer timer; /* real time */
    uint64_t number;   /* of all waits; the first is 1 */
    int fd;
    unsigned events;
    unsigned ready; /* of those; 0: not yet */
    bool socket;    /* see bine__wait_socket() */
    bool late;
    bool closed; /* the descriptor, by a script */
} wish;

struct bine__descriptors {
    descriptor **by_fd;
    size_t size;
    size_t waiting; /* micro-threads, for all of them. With the GIL */
    uint64_t waits; /* so many have begun. With the GIL */
};

/* ---- the table ---- */

static int grow(struct bine__descriptors *all, size_t size)
{
    descriptor **by_fd = realloc(all->by_fd, size * sizeof(descriptor *));

    if (by_fd == NULL)
        return -1;
    memset(by_fd + all->size, 0, (size - all->size) * sizeof(descriptor *));
    all->by_fd = by_fd;
    all->size = size;
    return 0;
}

static struct bine__descriptors *table_for(bine *rt, size_t fd)
{
    if (rt->descriptors == NULL)
        rt->descriptors = calloc(1, sizeof *rt->descriptors);
    if (rt->descriptors != NULL && fd >= rt->descriptors->size &&
        grow(rt->descriptors, fd + fd / 2 + 16) != 0)
        return NULL;
    return rt->descriptors;
}

void bine__descriptors_free(bine *rt)
{
    struct bine__descriptors *all = rt->descriptors;

    rt->descriptors = NULL;
    if (all == NULL)
        return;
    for (size_t i = 0; i < all->size; i++) {
        if (all->by_fd[i] != NULL)
            bine__watch_set(&all->by_fd[i]->watch, 0);
        free(all->by_fd[i]);
    }
    free(all->by_fd);
    free(all);
}

bool bine__descriptors_awaited(const bine *rt)
{
    return rt->descriptors != NULL && rt->descriptors->waiting > 0;
}

/* ---- one of them ---- */

static wish *wish_of(const bine__waiter *waiter)
{
    return ((const bine__wait *)(const void *)waiter)->what;
}

/* What is waited for. */
static unsigned wanted(const descriptor *d)
{
    unsigned events = 0;

    for (bine__waiter *waiter = d->waiters.first; waiter != NULL; waiter = waiter->next)
        events |= wish_of(waiter)->events;
    return events;
}

/* After somebody has gone. By edges the watch stays as it is. */
static void adjust(descriptor *d)
{
    d->watch.idle = d->waiters.first == NULL;
    if (!d->watch.edges)
        (void)bine__watch_set(&d->watch, wanted(d)); /* fewer than before, which cannot fail */
}

/* Too much comes that nobody waits for: a peer that goes on and on is not to wake the host each time; nor is
 * one of whom nobody will ever want to know. */
static void narrow(descriptor *d)
{
    d->unclaimed = 0;
    if (d->waiters.first == NULL)
        (void)bine__watch_set(&d->watch, 0);
    else
        (void)bine__watch_edges(&d->watch, wanted(d) | BINE__UNUSUAL); /* it is open: it has been told of */
}

static void on_ready(bine_watch *watch, unsigned events)
{
    descriptor *d = (descriptor *)(void *)watch;
    unsigned left = events & ~BINE__UNUSUAL;
    bine__waiter *next;

    d->empty = false;
    if ((events & BINE__UNUSUAL) != 0)
        d->is_tcp = false; /* there may be an end, or a mark, at which reads stop */

    for (bine__waiter *waiter = d->waiters.first; waiter != NULL; waiter = next) {
        wish *w = wish_of(waiter);

        next = waiter->next;
        w->ready = events & w->events;
        if (w->ready == 0)
            continue;
        left &= ~w->ready;
        bine__waiter_unlink(waiter);
        waiter->wake(waiter);
    }
    adjust(d);
    if (!d->watch.edges)
        return;
    d->came |= left; /* who tries next may have that already */
    if (left != 0 && left == (events & ~BINE__UNUSUAL) && ++d->unclaimed >= UNCLAIMED_MAX)
        narrow(d);
}

/* NULL: nobody has waited for that one so far. */
static descriptor *known(const bine *rt, int fd)
{
    const struct bine__descriptors *all = rt->descriptors;

    return all == NULL || fd < 0 || (size_t)fd >= all->size ? NULL : all->by_fd[fd];
}

/* NULL: `status` says why, a negative errno. What is not open may be any number, and has no place. */
static descriptor *make(bine *rt, int fd, int *status)
{
    bool open = fcntl(fd, F_GETFD) >= 0;
    struct bine__descriptors *all = open ? table_for(rt, (size_t)fd) : NULL;
    descriptor *d = all == NULL ? NULL : calloc(1, sizeof *d);

    *status = open ? -ENOMEM : -EBADF;
    if (d == NULL)
        return NULL;
    d->watch = (bine_watch){.reactor = rt->reactor, .fd = fd, .ready = on_ready};
    all->by_fd[fd] = d;
    return d;
}

/* ---- waiting ---- */

static PyObject *describe(const void *what)
{
    const wish *w = what;
    static const char *const states[] = {"", "readable", "writable", "readable or writable"};

    return PyUnicode_FromFormat("descriptor %d to become %s", w->fd, states[w->events]);
}

static void on_late(bine__timer *timer)
{
    wish *w = (wish *)(void *)((char *)timer - offsetof(wish, timer));

    w->late = true;
    bine__micro_wake(w->micro, w);
}

/* Nobody who waits for it has not tried before. */
static bool is_for_edges(const descriptor *d, const wish *w)
{
    const bine__waiter *waiter = w->socket ? d->waiters.first : NULL;

    while (waiter != NULL && wish_of(waiter)->socket)
        waiter = waiter->next;
    return w->socket && waiter == NULL;
}

bool bine__is_plain_tcp(int fd)
{
    socklen_t size = sizeof(int);
    char upper[16] = "";
    socklen_t upper_size = sizeof upper;
    int protocol = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) != 0 || protocol != IPPROTO_TCP)
        return false;
    return getsockopt(fd, IPPROTO_TCP, TCP_ULP, upper, &upper_size) != 0 || upper_size == 0;
}

/* The same, if it is not so already; -ENOTSUP: not by edges. */
static int set_edges(descriptor *d, unsigned events)
{
    int status;

    events |= d->watch.edges ? d->watch.events : BINE__UNUSUAL;
    if (d->same && d->watch.edges && events == d->watch.events)
        return 0;
    status = bine__watch_edges(&d->watch, events);
    d->same = status == 0;
    d->came = 0;
    d->is_tcp = d->same && bine__is_plain_tcp(d->watch.fd);
    d->empty = false;
    return status;
}

/* The watch is to have the events of `w` among its own. 0, or a negative errno. */
static int set_watch(descriptor *d, const wish *w)
{
    unsigned events = wanted(d) | w->events;
    int status = is_for_edges(d, w) ? set_edges(d, events) : -ENOTSUP;

    return status == -ENOTSUP ? bine__watch_renew(&d->watch, events) : status;
}

/* NULL: `status` says why, a negative errno. */
static descriptor *watch_for(bine *rt, const wish *w, int *status)
{
    descriptor *d = known(rt, w->fd);

    if (d == NULL)
        d = make(rt, w->fd, status);
    if (d == NULL)
        return NULL;
    *status = set_watch(d, w);
    if (*status == 0)
        return d;
    adjust(d);
    return NULL;
}

/* errno says it too. */
static int refuse(int fd, int error)
{
    bine__fail(error == ENOMEM ? BINE_ENOMEM : BINE_EIO, "bine_wait_fd: descriptor %d: %s", fd,
               strerror(error));
    errno = error;
    return error == ENOMEM ? BINE_ENOMEM : BINE_EIO;
}

/* Stands in line once. What it was woken for may have been taken back: then the caller looks again. */
static int wait_once(bine *rt, wish *w)
{
    int status = bine__may_wait(rt); /* others may run meanwhile */
    int error;
    descriptor *d;

    if (status != BINE_OK)
        return bine__explain_wait("bine_wait_fd", status);
    d = watch_for(rt, w, &error);
    if (d == NULL)
        return refuse(w->fd, -error);
    d->unclaimed = 0;
    w->ready = d->watch.edges ? d->came & w->events : 0;
    d->came &= ~w->events;
    if (w->ready != 0)
        return BINE_OK;
    if (w->number == 0)
        w->number = ++rt->descriptors->waits;
    rt->descriptors->waiting++;
    d->watch.idle = false;
    status = bine__stand(rt, &d->waiters, BINE__NEVER, w);
    rt->descriptors->waiting--;
    adjust(d);
    if (w->closed)
        return refuse(w->fd, EBADF);
    return status == BINE_OK ? BINE_OK : bine__explain_wait("bine_wait_fd", status);
}

static int wait_for(bine *rt, wish *w, int64_t timeout_ns)
{
    int status = BINE_OK;

    if (timeout_ns >= 0 &&
        bine__timer_set(rt->real_timers, &w->timer, bine__real_deadline(rt, timeout_ns)) != 0)
        return bine__explain_wait("bine_wait_fd", BINE_ENOMEM);
    while (status == BINE_OK && w->ready == 0 && !w->late)
        status = wait_once(rt, w);
    bine__timer_stop(&w->timer);
    if (w->ready != 0)
        return (int)w->ready;
    return w->late ? bine__explain_wait("bine_wait_fd", BINE_ETIMEDOUT) : status;
}

static int wait_by(int fd, unsigned events, int64_t timeout_ns, bool socket)
{
    bine *rt = bine__here;
    wish w = {.describe = describe, .timer.fire = on_late, .fd = fd, .events = events, .socket = socket};
    int status;

    if (events == 0 || (events & ~(BINE_READABLE | BINE_WRITABLE)) != 0)
        return bine__fail(BINE_EINVAL, "bine_wait_fd: no such events: %u", events);
    status = bine__may_wait(rt);
    if (status != BINE_OK)
        return bine__explain_wait("bine_wait_fd", status);
    w.micro = rt->current;
    return wait_for(rt, &w, timeout_ns);
}

int bine_wait_fd(int fd, unsigned events, int64_t timeout_ns)
{
    return wait_by(fd, events, timeout_ns, false);
}

int bine__wait_socket(int fd, unsigned events, int64_t timeout_ns)
{
    return wait_by(fd, events, timeout_ns, true);
}

/* ---- what is known of a socket ---- */

bool bine__socket_is_known(const bine *rt, int fd)
{
    const descriptor *d = known(rt, fd);

    return d != NULL && d->same && d->watch.edges;
}

void bine__socket_emptied(const bine *rt, int fd)
{
    descriptor *d = known(rt, fd);

    if (d != NULL && d->is_tcp && (d->came & BINE_READABLE) == 0)
        d->empty = true;
}

bool bine__socket_is_empty(const bine *rt, int fd)
{
    return bine__socket_is_known(rt, fd) && known(rt, fd)->empty;
}

/* ---- closing ---- */

/* The waits up to number `last`. */
static void tell_closed(descriptor *d, uint64_t last)
{
    bine__waiter *next;

    for (bine__waiter *waiter = d->waiters.first; waiter != NULL; waiter = next) {
        next = waiter->next;
        if (wish_of(waiter)->number > last)
            continue;
        wish_of(waiter)->closed = true;
        bine__waiter_unlink(waiter);
        waiter->wake(waiter);
    }
    adjust(d);
}

/* The first from `fd` on that somebody has waited for; NULL: there is none up to `last`. */
static descriptor *next_known(const bine *rt, int fd, int last)
{
    const struct bine__descriptors *all = rt->descriptors;
    size_t i = fd < 0 ? 0 : (size_t)fd;

    if (all == NULL || last < 0)
        return NULL;
    while (i < all->size && i <= (size_t)last && all->by_fd[i] == NULL)
        i++;
    return i < all->size && i <= (size_t)last ? all->by_fd[i] : NULL;
}

#define FOR_ALL_KNOWN(d, rt, first, last) \
    for (descriptor *d = next_known(rt, first, last); d != NULL; d = next_known(rt, d->watch.fd + 1, last))

/* The file may be open under another number as well: then the reactor would go on. */
void bine__descriptors_closing(bine *rt, int first, int last)
{
    FOR_ALL_KNOWN(d, rt, first, last)
    {
        if (d->watch.edges && d->same)
            (void)bine__watch_set(&d->watch, 0);
        d->same = false;
        tell_closed(d, UINT64_MAX);
    }
}

void bine__descriptors_changed(const bine *rt, int first, int last)
{
    FOR_ALL_KNOWN(d, rt, first, last)
    d->same = false;
}

/* ---- closed by another thread ---- */

typedef struct notice {
    bine__job job; /* first */
    int first, last;
    uint64_t waits;
} notice;

/* Those that began to wait just before it was closed, or for what has the number now; the kernel knows. */
static void renew(descriptor *d)
{
    if (d->waiters.first != NULL && bine__watch_renew(&d->watch, wanted(d)) != 0)
        tell_closed(d, UINT64_MAX);
}

static void run_notice(bine *rt, bine__job *job)
{
    const notice *n = (const notice *)(void *)job;

    FOR_ALL_KNOWN(d, rt, n->first, n->last)
    {
        tell_closed(d, n->waits);
        renew(d);
    }
    free(job);
}

uint64_t bine__descriptors_waits(const bine *rt)
{
    return rt->descriptors == NULL ? 0 : rt->descriptors->waits;
}

/* Without memory they are waited for in vain. */
void bine__descriptors_closed(bine *rt, int first, int last, uint64_t waits)
{
    notice *n = bine__descriptors_awaited(rt) ? malloc(sizeof *n) : NULL;

    bine__descriptors_changed(rt, first, last);
    if (n == NULL)
        return;
    *n = (notice){.job.run = run_notice, .first = first < 0 ? 0 : first, .last = last, .waits = waits};
    if (!bine__inbox_push(rt->inbox, &n->job))
        free(n);
}

bool bine__descriptor_is_own(const bine *rt, int fd)
{
    const bine__reactor_kind *kind = rt->reactor->kind;

    if (fd < 0)
        return false;
    return fd == rt->signal_pipe[0] || fd == rt->signal_pipe[1] ||
           (rt->guest != NULL && bine__guest_owns(rt->guest, fd)) ||
           (kind->owns != NULL && kind->owns(rt->reactor, fd));
}
