/* Deferreds: results that will come.
 *
 * bine_deferred_new() makes a pair. The consumer holds the deferred and waits; the producer
 * holds the resolver and, on whatever thread, resolves, rejects or drops it: once, which
 * consumes it. Settling only enqueues: nobody runs inside the call. */
#ifndef BINE_DEFERRED_H
#define BINE_DEFERRED_H

#include <bine/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Called on the owner thread, in a tick, when the deferred has been cancelled and is not
 * settled: stop the work. `r` may be settled here or later; either way it must be consumed.
 * When it is not settled here, the deferred is rejected with BINE_ECANCELED. */
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

/* Asks for the end of the work: the canceller is called once, in a tick to come.
 * BINE_ESETTLED: it has its result. BINE_EINVAL: NULL. Thread: owner. */
BINE_API int bine_deferred_cancel(bine_deferred *d);

/* One more hold, one less. Thread: owner. */
BINE_API bine_deferred *bine_deferred_retain(bine_deferred *d);
BINE_API void bine_deferred_release(bine_deferred *d);

/* Whether it is settled: 0 pending, 1 resolved, or the negative code it was rejected with.
 * Thread: owner. */
BINE_API int bine_deferred_state(const bine_deferred *d);

#ifdef __cplusplus
}
#endif
#endif
