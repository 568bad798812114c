/* What all reactors share: watches. */
#include "reactor/reactor.h"

#include <errno.h>

void bine_reactor_init(bine_reactor *reactor)
{
    *reactor = (bine_reactor){.struct_size = sizeof *reactor};
}

void bine_watch_ready(bine_watch *w, unsigned events)
{
    events &= w->events;
    if (events != 0)
        w->ready(w, events);
}

int bine__watch_renew(bine_watch *w, unsigned events)
{
    int status = w->reactor->kind->watch(w->reactor, w, events);

    if (status != 0)
        return status;
    w->events = events;
    w->edges = false;
    return 0;
}

int bine__watch_edges(bine_watch *w, unsigned events)
{
    const bine__reactor_kind *kind = w->reactor->kind;
    int status = kind->watch_edges == NULL ? -ENOTSUP : kind->watch_edges(w->reactor, w, events);

    if (status != 0)
        return status;
    w->events = events;
    w->edges = true;
    return 0;
}

int bine__watch_set(bine_watch *w, unsigned events)
{
    return events == w->events ? 0 : bine__watch_renew(w, events);
}
