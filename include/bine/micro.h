/* Micro-threads: functions that take turns on the host's main loop.
 *
 * A micro-thread runs only inside bine_tick() or bine_run(), and only until it waits. A
 * handle holds the object, not its life: releasing it stops nothing. The error of a
 * micro-thread that ended badly waits for a joiner as long as a handle exists, and goes to
 * bine_config.on_unhandled when the last one goes. */
#ifndef BINE_MICRO_H
#define BINE_MICRO_H

#include <bine/error.h>

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

/* A C function as a micro-thread. It runs on a stack of its own, inside ticks, and may bine_wait(),
 * bine_sleep(), bine_yield(), bine_call_named(); with bine/python.h, use all of CPython's API. Answers with
 * BINE_OK and *result (new, may stay NULL: nil; taken), or a negative status: a micro-thread that failed.
 * Told to end (BINE_ECANCELED from a wait), it cleans up and returns that. */
typedef int (*bine_micro_fn)(bine *rt, void *user, bine_value **result);

/* Starts `function` in the runtime of the calling thread. `scope` (may be NULL): whose child it is, see
 * scope.h. `release` (may be NULL) frees `user` once: when it has ended, was dropped before its first
 * turn, or could not be started. `out` may be NULL. BINE_EINVAL: function is NULL. BINE_ETHREAD: no runtime
 * here. BINE_ECLOSED: the runtime or the scope is closed; BINE_ENOMEM. Thread: owner. */
BINE_API int bine_spawn(bine_scope *scope, bine_micro_fn function, void *user, bine_free release,
                        bine_micro **out);

/* Calls `function` of `module` with the items of `args` (a list, taken; NULL: none) on the running
 * stack, which waits where the function waits. *value (new) may be NULL if not wanted.
 *
 * BINE_ESCRIPT: it raised, or what it returned has no form as a value. *error (new; bine_error_free())
 * says all; with `error` NULL the exception stays set, and a host function, a C micro-thread or a step
 * that returns BINE_ESCRIPT hands it on. BINE_ECANCELED: the running micro-thread was told to end: clean
 * up and return. BINE_ETYPE: args is not a list. BINE_EMICRO: not inside a tick. BINE_EINVAL; BINE_ENOMEM.
 * Thread: micro; in a task or a step, on the host's stack, too, where the function cannot wait. */
BINE_API int bine_call_named(bine *rt, const char *module, const char *function, bine_value *args,
                             bine_value **value, bine_error **error);

/* *out (new): a deferred for its end. Resolved with what it returned (an object of Python's own as
 * BINE_OBJECT), rejected with BINE_ESCRIPT and its error, or with BINE_ECANCELED when it ended as it was
 * told to. So bine_wait() on it is a join (of oneself: it waits until cancelled). It counts as a handle.
 * Cancelling it cancels the micro-thread. BINE_EINVAL; BINE_ENOMEM; BINE_ECLOSED; BINE_ETHREAD. Thread:
 * owner. */
BINE_API int bine_micro_result(bine_micro *micro, bine_deferred **out);

/* *out (new; bine_error_free()): how it failed, as data. Asking counts as handling. BINE_EINVAL: it has
 * not ended, or not failed; BINE_ENOMEM. Thread: owner. */
BINE_API int bine_micro_error(bine_micro *micro, bine_error **out);

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

/* `name` (copied) stands in reports of errors. BINE_EINVAL: NULL or no UTF-8; BINE_ENOMEM. Thread: owner. */
BINE_API int bine_micro_set_name(bine_micro *micro, const char *name);

/* A pointer of the host's, which spawned micro-threads inherit: whose script this is. NULL at
 * first. Borrowed. Thread: owner. */
BINE_API void bine_micro_set_data(bine_micro *micro, void *data);
BINE_API void *bine_micro_data(const bine_micro *micro);

/* The micro-thread that runs now, NULL outside of any. Borrowed. Thread: any. */
BINE_API bine_micro *bine_micro_current(void);

/* The micro-threads that live, one after the other, the oldest first: the one after `after`; NULL gives the
 * first. NULL: there is none, or `after` has ended. Borrowed, valid until the next tick. Thread: owner. */
BINE_API bine_micro *bine_micro_next(bine *rt, const bine_micro *after);

/* Where a micro-thread stands. Read-only; every pointer lives as long as it. Text is never NULL. */
typedef struct bine_stack {
    const bine_frame *frames; /* outermost call first, as in a traceback; C functions have none */
    size_t frame_count;       /* 0 before its first turn, and when it has ended */
    const char *waits_for;    /* in words, as in the report of bine_why_idle(); "" when it does not wait */
    const char *spawn_file;   /* where it was spawned, "" when by the host */
    int spawn_line;
} bine_stack;

/* *out (new; bine_stack_free()): where it stands now, copied. It may be waiting, ready or the one that runs.
 * Looking changes nothing. BINE_EINVAL: a pointer is NULL; BINE_ENOMEM. Thread: owner. */
BINE_API int bine_micro_stack(bine_micro *micro, bine_stack **out);

/* NULL is fine. Thread: any. */
BINE_API void bine_stack_free(bine_stack *stack);

/* Lets go of a handle. NULL is fine. Thread: owner. */
BINE_API void bine_micro_release(bine_micro *micro);

/* Gives the others a turn; suspends for `ns` (negative: as 0). BINE_EMICRO; BINE_EBUSY: just
 * ending; BINE_ECANCELED: clean up and return; BINE_ENOMEM. Thread: micro. */
BINE_API int bine_yield(void);
BINE_API int bine_sleep(int64_t ns);

/* The same by real time, whatever the host does to game time. */
BINE_API int bine_sleep_real(int64_t ns);

/* Suspends until the next frame begins: with the next bine_tick(), or, where turns are given by bine_run(),
 * on a loop of libuv's or on demand, 1/60 s after the last frame. Errors as above. Thread: micro. */
BINE_API int bine_next_frame(void);

/* Suspends until `fd` is ready for one of `events` (BINE_READABLE, BINE_WRITABLE), at most `timeout_ns` of
 * real time (negative: without limit). Returns for which, as bits. `fd` must stay open meanwhile. BINE_EIO:
 * the system cannot watch it (EPERM: a regular file; EBADF: none that is open), as errno says too.
 * BINE_ETIMEDOUT; BINE_EMICRO; BINE_EBUSY; BINE_ECANCELED; BINE_ENOMEM; BINE_EINVAL: no events. Thread:
 * micro. */
BINE_API int bine_wait_fd(int fd, unsigned events, int64_t timeout_ns);

/* Ctrl-C for one: raises KeyboardInterrupt where it waits, or at its next wait. bine_interrupt() chooses by
 * itself. No effect on one that is done. BINE_EINVAL: NULL. BINE_ENOMEM. Thread: owner. */
BINE_API int bine_micro_interrupt(bine_micro *micro);

/* Clean-up that must not be cut short: until the matching bine_shield_end(), but at most for `ns`, a
 * cancel or the end of the runtime neither ends nor refuses the waits of the running micro-thread; what
 * comes meanwhile is raised afterwards. They nest. BINE_EMICRO; BINE_EINVAL: ns is negative; BINE_ENOMEM.
 * Thread: micro. */
BINE_API int bine_shield_begin(int64_t ns);
BINE_API void bine_shield_end(void);

#ifdef __cplusplus
}
#endif
#endif
