/* Bine on a GLib main loop, and so in every GTK application.
 *
 *     GSource *source = bine_glib_source_new(rt);
 *     g_source_attach(source, NULL); // scripts have their turns whenever the main loop turns
 *     g_source_unref(source);        // the loop keeps it until bine_close()
 *
 * An idle runtime costs the loop nothing: it is woken by the runtime's descriptor and by the next
 * timer, and polls for nothing. A frame (bine.next_frame()) is 1/60 s, as with bine_run().
 *
 * This header and sdk/adapter/glib.c may be copied into a host. With CMake the file is compiled into
 * whatever links bine::glib; GLib is the host's to find, so that Bine itself does not need it:
 *
 *     pkg_check_modules(glib REQUIRED IMPORTED_TARGET glib-2.0)
 *     target_link_libraries(host PRIVATE bine::bine bine::glib PkgConfig::glib) */
#ifndef BINE_ADAPTER_GLIB_H
#define BINE_ADAPTER_GLIB_H

#include <bine/common.h>
#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A source that gives the runtime a turn, bine_run(rt, BINE_RUN_NOWAIT), when one is wanted. New:
 * g_source_attach() it to a context that the owner thread runs, g_source_unref() it. It may be destroyed
 * at any time, and removes itself after bine_close().
 *
 * Its priority is G_PRIORITY_DEFAULT_IDLE: events are handled and windows drawn however busy the scripts
 * are. g_source_set_priority() gives it another.
 *
 * Scripts go on in a nested main loop, too, but not in one that a host function, a task or a step of the
 * runtime's runs: they wait until that has ended.
 *
 * NULL: bine_poll_fd() says no (the loop is the host's own; closed; not the owner), see bine_message().
 * Thread: owner. */
GSource *bine_glib_source_new(bine *rt);

#ifdef __cplusplus
}
#endif
#endif
