/* The reactor on a loop that the host supplies, by the functions of bine/reactor.h. */
#include "reactor/reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

typedef struct custom {
    bine__reactor base; /* first */
    bine_reactor host;
} custom;

static void wake(bine__reactor *reactor)
{
    custom *c = (custom *)reactor;

    c->host.wake(c->host.user);
}

static void ask(bine__reactor *reactor)
{
    wake(reactor);
}

static void plan(bine__reactor *reactor, int64_t wait_ns, bool waits)
{
    custom *c = (custom *)reactor;
    int64_t when = -1;

    (void)waits; /* whether its loop goes on is the host's business */
    if (wait_ns == 0) {
        wake(reactor);
        return;
    }
    if (wait_ns > 0 && __builtin_add_overflow(c->host.now(c->host.user), wait_ns, &when))
        when = INT64_MAX;
    c->host.timer(c->host.user, when);
}

static int watch(bine__reactor *reactor, bine_watch *w, unsigned events)
{
    custom *c = (custom *)reactor;

    if (events != 0 && fcntl(w->fd, F_GETFD) < 0)
        return -errno; /* the host need not know */
    return c->host.watch(c->host.user, w->fd, events, w);
}

static int no_poll_fd(bine__reactor *reactor)
{
    (void)reactor;
    return -1;
}

static int renew(bine__reactor *reactor, bool forked)
{
    custom *c = (custom *)reactor;

    if (forked && c->host.forked != NULL)
        c->host.forked(c->host.user);
    return 0;
}

static void free_custom(bine__reactor *reactor)
{
    custom *c = (custom *)reactor;

    c->host.timer(c->host.user, -1);
    free(c);
}

static const bine__reactor_kind kind = {
    .wake = wake,
    .ask = ask,
    .plan = plan,
    .watch = watch,
    .poll_fd = no_poll_fd,
    .renew = renew,
    .free = free_custom,
};

bine__reactor *bine__custom_new(const bine_reactor *host)
{
    custom *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->base.kind = &kind;
    c->host = *host;
    return &c->base;
}
