/* Deferreds: results that will come.
 *
 * bine_deferred_new() makes a pair. The consumer holds the deferred and waits, or attaches
 * steps; the producer holds the resolver and, on whatever thread, resolves, rejects or drops
 * it: once, which consumes it. Settling only enqueues: nobody runs inside the call. When it is
 * settled, all that wait for it, steps and micro-threads, have their turns in the order they came.
 *
 * A rejection that nobody takes (a wait, a step, a group) waits for a taker as long as somebody
 * holds the deferred; when the last one lets go it goes to bine_config.on_unhandled, once.
 * One whose end was asked for (cancel, time out, its scope) does not. */
#ifndef BINE_DEFERRED_H
#define BINE_DEFERRED_H

#include <bine/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Called on the owner thread, in a tick, when the deferred has been cancelled and is not
 * settled: stop the work. `r` must be consumed, here or later. What it is resolved or rejected with
 * here counts; when it is dropped or kept, the deferred is rejected with BINE_ECANCELED. */
typedef void (*bine_on_cancel)(bine_resolver *r, void *user);

/* A new pair. `on_cancel` may be NULL. Release *d with bine_deferred_release(); consume *r.
 * BINE_ENOMEM; BINE_ETHREAD. Thread: owner. */
BINE_API int bine_deferred_new(bine *rt, bine_on_cancel on_cancel, void *user, bine_deferred **d,
                               bine_resolver **r);

/* Settle. The resolver and the value are taken, whatever is returned.
 * BINE_ESETTLED: it had been cancelled; the value is freed. BINE_ECLOSED: the runtime is gone.
 * BINE_ENOMEM: `value` is NULL; the deferred is rejected with BINE_ENOMEM. Thread: any. */
BINE_API int bine_resolve(bine_resolver *r, bine_value *value);

/* `code`: negative, one of BINE_E or a number of the host's own below -1000. `message`
 * (copied, may be NULL) is what the script reads. In Python: bine.HostError with .code, or
 * bine.Timeout for BINE_ETIMEDOUT, MemoryError for BINE_ENOMEM.
 * BINE_EINVAL: `code` is not negative; rejected with that. BINE_ESETTLED, BINE_ECLOSED as above.
 * Thread: any. */
BINE_API int bine_reject(bine_resolver *r, int code, const char *message);

/* No result will come: rejects with BINE_EBROKEN. NULL is fine. Thread: any. */
BINE_API void bine_resolver_drop(bine_resolver *r);

/* Suspends the micro-thread until `d` is settled or `timeout_ns` is over (negative: no limit).
 * The time out abandons the wait, not the work. *out (new, may be NULL) is the caller's; each
 * waiter gets a value of its own.
 *
 * BINE_EMICRO: not inside a micro-thread. BINE_ETIMEDOUT. BINE_ECANCELED: the micro-thread was
 * cancelled: clean up and return. Else the code `d` was rejected with. Thread: micro. */
BINE_API int bine_wait(bine_deferred *d, int64_t timeout_ns, bine_value **out);

/* Asks for the end of the work: the canceller is called once, in a tick to come. One that
 * follows another (bine_then, a group, bine_step_follow) hands this on to what it waits for, where
 * nobody else waits for that too; else it is just rejected itself.
 * BINE_ESETTLED: it has its result. BINE_EINVAL: NULL. Thread: owner. */
BINE_API int bine_deferred_cancel(bine_deferred *d);

/* Cancels it when it is not settled in `ns` from now (negative: at once); it is then rejected with
 * BINE_ETIMEDOUT instead. BINE_ESETTLED; BINE_EINVAL; BINE_ENOMEM. Thread: owner. */
BINE_API int bine_deferred_timeout(bine_deferred *d, int64_t ns);

/* One more hold, one less; NULL is fine. Thread: owner. */
BINE_API bine_deferred *bine_deferred_retain(bine_deferred *d);
BINE_API void bine_deferred_release(bine_deferred *d);

/* Whether it is settled: 0 pending, 1 resolved, or the negative code it was rejected with.
 * Thread: owner. */
BINE_API int bine_deferred_state(const bine_deferred *d);

/* The same with what it was settled with: *value when resolved, else NULL; *message when
 * rejected, else "". Either may be NULL if not wanted; both are borrowed and live as long as `d`.
 * Looking does not count as taking a rejection. Thread: owner. */
BINE_API int bine_deferred_peek(const bine_deferred *d, const bine_value **value, const char **message);

/* Whether somebody has taken its rejection, or the host has been told. Thread: owner. */
BINE_API bool bine_deferred_handled(const bine_deferred *d);

/* What it was rejected with as data, NULL when it was not or memory is out; of a script's error all
 * of it. Borrowed, lives as long as `d`. Asking counts as taking. Thread: owner. */
BINE_API const bine_error *bine_deferred_error(bine_deferred *d);

/* ---- steps ---- */

/* One run of a step. Valid until the step's function returns. */
typedef struct bine_step bine_step;

/* Answers with one of bine_step_return(), bine_step_reject(), bine_step_follow(); with none of
 * them *next is resolved with nil. A negative status rejects it with that; the very code that the
 * step was given passes the whole rejection on. Runs in a tick, on the host's stack: it must
 * not wait. */
typedef int (*bine_step_fn)(bine_step *step, void *user);

/* Attaches a step: when `d` is resolved `ok` is called, when it is rejected `err`. Either may
 * be NULL: then *next gets the same as `d`. *next (new, NULL if not wanted) is a deferred for the
 * step's own answer; what others see of `d` does not change. `release` (may be NULL) frees `user`
 * once, when the step has run or never will, also on an error.
 * BINE_EINVAL: d is NULL. BINE_ECLOSED; BINE_ENOMEM; BINE_ETHREAD. Thread: owner. */
BINE_API int bine_then(bine_deferred *d, bine_step_fn ok, bine_step_fn err, void *user, bine_free release,
                       bine_deferred **next);

/* What the step was given: the value (borrowed, NULL in an err step); BINE_OK or the code and message
 * of the rejection; that as data (borrowed; NULL in an ok step or when memory is out).
 * Thread: owner, inside the step. */
BINE_API bine *bine_step_runtime(bine_step *step);
BINE_API const bine_value *bine_step_value(bine_step *step);
BINE_API int bine_step_code(bine_step *step);
BINE_API const char *bine_step_message(bine_step *step);
BINE_API const bine_error *bine_step_error(bine_step *step);

/* Answers with a value (taken); with a rejection (`message` is copied, may be NULL); with whatever
 * `d` will be settled with (the hold is taken, also on an error).
 * BINE_EBUSY: already answered. BINE_EINVAL: the code is not negative; `d` is NULL; `d` waits for this
 * very step, so that nothing could ever come: *next is then rejected with BINE_EINVAL. BINE_ENOMEM:
 * value is NULL. Thread: owner, inside the step. */
BINE_API int bine_step_return(bine_step *step, bine_value *value);
BINE_API int bine_step_reject(bine_step *step, int code, const char *message);
BINE_API int bine_step_follow(bine_step *step, bine_deferred *d);

/* Puts one more step between this one and all that come after it: it gets this step's answer, and
 * its own goes on from there. Those pushed in one run keep their order. So where A called B called C
 * called D, which deferred, and all left a step behind (D' C' B' A'), D' may call what defers
 * again and leaves F' E': they run D' F' E' C' B' A'. BINE_ENOMEM: `user` has been
 * released. Thread: owner, inside the step. */
BINE_API int bine_step_push(bine_step *step, bine_step_fn ok, bine_step_fn err, void *user,
                            bine_free release);

/* ---- several ---- */

/* New deferreds for `count` others (borrowed; none may be NULL). Rejections of those count as taken.
 *
 * all:    resolved with a list of all values, in the order given; rejected as soon as one is.
 * any:    resolved as soon as one is, with its value; rejected when all are, with the first rejection.
 * settle: resolved when all are settled, with a list of dicts, {"value": v} or
 *         {"code": c, "message": m}. It is never rejected.
 *
 * None of them cancels the rest; cancelling *out cancels all that are pending.
 * BINE_EINVAL: one is NULL; any of none. BINE_ECLOSED; BINE_ENOMEM; BINE_ETHREAD. Thread: owner. */
BINE_API int bine_all(bine *rt, bine_deferred *const *deferreds, size_t count, bine_deferred **out);
BINE_API int bine_any(bine *rt, bine_deferred *const *deferreds, size_t count, bine_deferred **out);
BINE_API int bine_settle(bine *rt, bine_deferred *const *deferreds, size_t count, bine_deferred **out);

#ifdef __cplusplus
}
#endif
#endif
