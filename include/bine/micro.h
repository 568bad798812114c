/* Micro-threads: functions that take turns on the host's main loop.
 *
 * A micro-thread runs only inside bine_tick() or bine_run(), and only until it waits. A
 * handle holds the object, not its life: releasing it stops nothing. The error of a
 * micro-thread that ended badly waits for a joiner as long as a handle exists, and goes to
 * bine_config.on_unhandled when the last one goes. */
#ifndef BINE_MICRO_H
#define BINE_MICRO_H

#include <bine/common.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bine_micro_state {
    BINE_MICRO_READY,   /* takes a turn at a tick to come */
    BINE_MICRO_RUNNING, /* this is it */
    BINE_MICRO_WAITING, /* sleeping, or owed something */
    BINE_MICRO_DONE     /* returned, raised or was cancelled */
} bine_micro_state;

/* Starts `function` of `module` with the items of `args` (a list, taken; NULL: none) as a
 * new micro-thread, which also does the import: whatever fails there is its error. `out` may
 * be NULL. BINE_ECLOSED; BINE_ENOMEM; BINE_ETYPE: args is not a list; BINE_EINVAL: a name is NULL;
 * BINE_ESCRIPT: an argument does not convert. Thread: owner. */
BINE_API int bine_spawn_named(bine *rt, const char *module, const char *function, bine_value *args,
                              bine_micro **out);

/* Raises bine.Cancelled where it waits, and again at each later wait, until it ends; one that
 * has not started is dropped. No effect on one that is done. Thread: owner. */
BINE_API int bine_micro_cancel(bine_micro *micro);

/* BINE_MICRO_DONE for NULL. Thread: owner. */
BINE_API bine_micro_state bine_micro_get_state(const bine_micro *micro);

/* How one that is done ended: BINE_OK, BINE_ESCRIPT (it raised), BINE_ECANCELED (as it was
 * told to); BINE_EBUSY while it lives. Asking does not count as handling. Thread: owner. */
BINE_API int bine_micro_status(const bine_micro *micro);

/* Borrowed, valid until it is renamed or released. Thread: owner. */
BINE_API const char *bine_micro_name(const bine_micro *micro);

/* A pointer of the host's, which spawned micro-threads inherit: whose script this is. NULL at
 * first. Borrowed. Thread: owner. */
BINE_API void bine_micro_set_data(bine_micro *micro, void *data);
BINE_API void *bine_micro_data(const bine_micro *micro);

/* The micro-thread that runs now, NULL outside of any. Borrowed. Thread: any. */
BINE_API bine_micro *bine_micro_current(void);

/* Lets go of a handle. NULL is fine. Thread: owner. */
BINE_API void bine_micro_release(bine_micro *micro);

/* Gives the others a turn; suspends for `ns` (negative: as 0). BINE_EMICRO; BINE_EBUSY: just
 * ending; BINE_ECANCELED: clean up and return; BINE_ENOMEM. Thread: micro. */
BINE_API int bine_yield(void);
BINE_API int bine_sleep(int64_t ns);

#ifdef __cplusplus
}
#endif
#endif
