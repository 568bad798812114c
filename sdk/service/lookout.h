/* Looking out for what another thread does within microseconds: to be woken takes longer than that. Any
 * thread. */
#ifndef BINE_SERVICE_LOOKOUT_H
#define BINE_SERVICE_LOOKOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether two threads can run at once: else there is nothing to look out for. */
bool bine__has_processors(void);

/* Until `*value` is not `old` any more, but no longer than that. False: it still is. */
bool bine__look_out(const atomic_uint *value, unsigned old, int64_t ns);

#endif
