/* bine/adapter/glib.h: the host runs GLib's default main context, where the runtime is a source. */
#include "driven.h"
#include "host_calls.h"

#include <bine/adapter/glib.h>
#include <glib-unix.h>

const driver_pace driver_rests = DRIVER_SLEEPS;

static GSource *calls;
static GSource *scripts;

static gboolean on_calls(gint fd, GIOCondition condition, gpointer user)
{
    (void)fd;
    (void)condition;
    (void)user;
    host_calls_run();
    return G_SOURCE_CONTINUE;
}

void driver_configure(bine_config *config)
{
    (void)config;
    calls = g_unix_fd_source_new(host_calls_fd(), G_IO_IN);
    g_source_set_callback(calls, G_SOURCE_FUNC(on_calls), NULL, NULL);
    g_source_attach(calls, NULL);
}

void driver_start(bine *runtime)
{
    scripts = bine_glib_source_new(runtime);
    CHECK(scripts != NULL);
    g_source_attach(scripts, NULL);
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user))
        g_main_context_iteration(NULL, TRUE);
}

void driver_run_to_end(void)
{
    run_until_over();
}

void driver_call(void (*function)(void *user), void *user)
{
    host_calls_add(function, user);
}

/* The source notices by itself that the runtime is closed, and goes. */
void driver_close(void)
{
    while (!g_source_is_destroyed(scripts))
        CHECK(g_main_context_iteration(NULL, FALSE));
    g_source_unref(scripts);
    g_source_destroy(calls);
    g_source_unref(calls);
    CHECK(!g_main_context_pending(NULL));
}
