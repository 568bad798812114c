/* CPython's own function, called on a thread of the pool, which takes the GIL for it: for what is rare. What
 * it does with its arguments, its errors and audit events are CPython's. Owner thread, on a micro-thread that
 * may wait. */
#ifndef BINE_STDLIB_OFFLOAD_H
#define BINE_STDLIB_OFFLOAD_H

#include "service/pool.h"
#include "stdlib/standin.h"

/* New, or NULL with an exception. `may_leave`: when cancelled, the micro-thread goes at once; the call goes
 * on, and what it returns is dropped. Else it is waited for. */
PyObject *bine__offload_call(const bine__call *call, bine__lane lane, bool may_leave);

/* The same for a call that may be left behind, until `deadline` of real time; `what` (static) is what reports
 * say that it waits for. BINE_OK: *result is new, or NULL with an exception. BINE_ETIMEDOUT and the others of
 * bine__offload(): it is left behind; no exception is set. */
int bine__offload_call_until(const bine__call *call, bine__lane lane, int64_t deadline, const char *what,
                             PyObject **result);

/* Before finalisation, GIL held: from now on no call begins. */
void bine__offload_close(void);

#endif
