/* A GSource that gives a runtime its turns: see bine/adapter/glib.h. */
#include <bine/adapter/glib.h>
#include <bine/runtime.h>
#include <glib-unix.h>

/* GLib ends a wait when it is told of another time: for less than this it is not worth it. */
#define SLACK_US 100
/* How often a turn is tried while none can be had. */
#define BUSY_US 10000

typedef struct bine_source {
    GSource base; /* first: GLib made it */
    bine *rt;
    int fd; /* that it waits for; -1: none */
    gpointer watch;
    gboolean busy; /* a nested main loop inside a tick: no turn before that has ended */
} bine_source;

/* The descriptor is another one in the child of a fork. */
static void watch_fd(bine_source *source, int fd)
{
    if (fd == source->fd)
        return;
    if (source->watch != NULL)
        g_source_remove_unix_fd(&source->base, source->watch);
    source->watch = fd < 0 ? NULL : g_source_add_unix_fd(&source->base, fd, G_IO_IN);
    source->fd = fd;
}

/* When the next turn is wanted, on GLib's clock in microseconds; 0: now, -1: nobody knows. Rounded up: a
 * turn that comes early finds nothing to do. */
static gint64 wanted_at(bine *rt)
{
    int64_t wait_ns = bine_poll_timeout_ns(rt);

    if (wait_ns <= 0)
        return wait_ns < 0 ? -1 : 0;
    return g_get_monotonic_time() + (wait_ns - 1) / 1000 + 1;
}

/* dispatch() has told GLib the time, which costs nothing there. Here it ends the coming wait, so only an
 * earlier one is told: somebody else has taken a turn, or moved the clock. */
static gboolean prepare(GSource *base, gint *timeout_ms)
{
    bine_source *source = (bine_source *)base;
    gint64 told = g_source_get_ready_time(base);
    gint64 wanted;

    *timeout_ms = -1;
    if (source->busy)
        return FALSE;
    watch_fd(source, bine_poll_fd(source->rt));
    if (source->fd < 0)
        return TRUE; /* closed: dispatch() sees to it */
    wanted = wanted_at(source->rt);
    if (wanted > 0 && (told < 0 || wanted < told - SLACK_US))
        g_source_set_ready_time(base, wanted);
    return wanted == 0;
}

static gboolean dispatch(GSource *base, GSourceFunc callback, gpointer user)
{
    bine_source *source = (bine_source *)base;
    int status = bine_run(source->rt, BINE_RUN_NOWAIT);

    (void)callback;
    (void)user;
    source->busy = status == BINE_EBUSY;
    if (source->busy) {
        watch_fd(source, -1);
        g_source_set_ready_time(base, g_get_monotonic_time() + BUSY_US);
        return G_SOURCE_CONTINUE;
    }
    if (status < 0) {
        if (status != BINE_ECLOSED)
            g_critical("%s", bine_message());
        return G_SOURCE_REMOVE;
    }
    g_source_set_ready_time(base, wanted_at(source->rt));
    return G_SOURCE_CONTINUE;
}

/* No check(): GLib itself looks at the descriptor and at the time. */
static GSourceFuncs functions = {.prepare = prepare, .dispatch = dispatch};

GSource *bine_glib_source_new(bine *rt)
{
    GSource *base;
    bine_source *source;

    if (bine_poll_fd(rt) < 0)
        return NULL;
    base = g_source_new(&functions, sizeof *source);
    g_source_set_name(base, "bine");
    g_source_set_priority(base, G_PRIORITY_DEFAULT_IDLE);
    source = (bine_source *)base;
    source->rt = rt;
    source->fd = -1;
    return base;
}
