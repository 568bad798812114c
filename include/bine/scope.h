/* Scopes: micro-threads that end together.
 *
 * A scope has children. It is closed when all of them have ended. The first that fails, or a
 * deadline, or bine_scope_cancel() cancels them all; their finally blocks run. Give one to each
 * object of yours that scripts live in or wait for, and cancel it when the object dies: its scripts
 * end, and whoever waits for something of the object wakes with an error.
 *
 * What a child spawns belongs to the scope too: it is cancelled with it and waited for, but its error
 * goes where it would go without. In Python a scope is bine.Scope, a context manager. */
#ifndef BINE_SCOPE_H
#define BINE_SCOPE_H

#include <bine/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A new, open scope. `name` (copied, may be NULL) says in errors what it stands for: "door 7". End it with
 * bine_scope_release(). BINE_ENOMEM; BINE_ECLOSED; BINE_ETHREAD. Thread: owner. */
BINE_API int bine_scope_new(bine *rt, const char *name, bine_scope **out);

/* Makes a micro-thread a child, whoever started it: bine_run_file(), bine_spawn_named(). It leaves the
 * scope that it is in because of who started it. BINE_EBUSY: it is some scope's child already, or has ended.
 * BINE_ECLOSED: the scope was cancelled or closed; the micro-thread is cancelled too. BINE_EINVAL: NULL.
 * Thread: owner. */
BINE_API int bine_scope_adopt(bine_scope *scope, bine_micro *micro);

/* Binds a deferred, by its resolver (borrowed), to the scope: when that is cancelled before it is settled,
 * its canceller is called and it is rejected with BINE_EBROKEN and the reason. BINE_ECLOSED: the scope was
 * cancelled already, and this is on its way. BINE_EINVAL; BINE_ENOMEM. Thread: owner. */
BINE_API int bine_scope_bind(bine_scope *scope, bine_resolver *r);

/* Cancels all children, now and for good: what is spawned into it from now on is refused. `reason` (copied,
 * may be NULL) stands in the exceptions and rejections: "door 7 was destroyed". No effect on one that is
 * cancelled. Thread: owner. */
BINE_API void bine_scope_cancel(bine_scope *scope, const char *reason);

/* Cancels the scope `ns` from now; closing it then says BINE_ETIMEDOUT. Replaces the deadline before;
 * negative: none. BINE_ENOMEM; BINE_ECLOSED: it was cancelled or closed. Thread: owner. */
BINE_API int bine_scope_set_deadline(bine_scope *scope, int64_t ns);

/* No further children but those that its children spawn. *out (new, NULL if not wanted) is settled when
 * all have ended: resolved with nil; or rejected with BINE_ESCRIPT when some failed (the error is an
 * ExceptionGroup, the first failure first), BINE_ETIMEDOUT, BINE_ECANCELED and the reason. Cancelling it
 * cancels the scope. BINE_ENOMEM. Thread: owner. */
BINE_API int bine_scope_close(bine_scope *scope, bine_deferred **out);

/* Its micro-threads that have not ended, children and what those spawned. Thread: owner. */
BINE_API size_t bine_scope_alive(const bine_scope *scope);

/* Lets go of it: cancelled first if it has not been closed. Errors of children that no close has told
 * of go to bine_config.on_unhandled. NULL is fine. Thread: owner. */
BINE_API void bine_scope_release(bine_scope *scope);

#ifdef __cplusplus
}
#endif
#endif
