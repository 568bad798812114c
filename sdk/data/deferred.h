/* Deferreds, for the files of sdk. Owner thread. */
#ifndef BINE_DATA_DEFERRED_H
#define BINE_DATA_DEFERRED_H

#include "core/runtime.h"

#include <bine/deferred.h>

/* Suspends the running micro-thread until `d`, on which the caller has a hold, is settled.
 * BINE_OK: it is (rejected, maybe). Else as bine_wait(). */
int bine__deferred_await(bine_deferred *d, int64_t timeout_ns);

/* Cancels `d`, which the running micro-thread has been waiting for, and suspends it until that is
 * done, whatever is pending: when the script sees the exception, the canceller has run. */
void bine__deferred_stop(bine_deferred *d);

/* What it was settled with: borrowed, and NULL when it was rejected; "" for no message. */
bine_value *bine__deferred_value(const bine_deferred *d);
const char *bine__deferred_message(const bine_deferred *d);

/* Before a wait: BINE_OK, BINE_EMICRO, BINE_EBUSY or BINE_ECANCELED. Sees to signals. One that
 * goes on waiting though it has been told to end gives the others a turn each time: it may be
 * stubborn, but it does not hold the host. */
int bine__may_wait(bine *rt);

/* Suspends the running micro-thread until `among` is woken, seeing to signals meanwhile. BINE_OK,
 * BINE_EMICRO, BINE_EBUSY, BINE_ECANCELED, BINE_ETIMEDOUT, BINE_ENOMEM. The caller looks whether
 * what it waits for has come before it calls, and again after. */
int bine__await(bine *rt, bine__waiters *among, int64_t deadline);

#endif
