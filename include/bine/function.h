/* Host functions: C functions that scripts call.
 *
 *     static int heal(bine_call *call, void *world)
 *     {
 *         return bine_return(call, bine_value_i64(world_heal(world, bine_arg_i64(call, 0))));
 *     }
 *     bine_def(rt, "game", "heal(points: int = 1) -> int", heal, world, "Heals; the new health.");
 *
 * The signature is Python's own syntax. Arguments are checked against it before the function
 * is called, inspect.signature() and help() show it, and bine_stubs() writes it out. */
#ifndef BINE_FUNCTION_H
#define BINE_FUNCTION_H

#include <bine/common.h>
#include <bine/deferred.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One call that a script makes. Valid until the function returns. */
typedef struct bine_call bine_call;

/* Answers the call with one of bine_return(), bine_defer(), bine_fail(); with none of them
 * the script gets None. A negative status raises what it means (BINE_EINVAL: ValueError,
 * BINE_ETYPE: TypeError, BINE_ENOMEM: MemoryError, BINE_ETIMEDOUT: bine.Timeout, BINE_EEND:
 * bine.PipeClosed, BINE_EPIPE: bine.BrokenPipe, BINE_ECANCELED: what the micro-thread was cancelled with),
 * any other bine.HostError. Runs on the calling script's stack. */
typedef int (*bine_fn)(bine_call *call, void *user);

/* Makes `module`.name callable for scripts; the module is made on the first use of its name.
 * `signature`: name, parameters with or without defaults, keyword-only after *, positional-only
 * before /, no *args. Annotations: int (64 bit; takes a bool too), float (takes both too), bool, str, bytes,
 * list, dict, PipeWriter, PipeReader (bine/pipe.h), object, None, and unions of them with |; none means
 * object. The result's annotation is checked too; "-> Deferred[T]" hands the script a bine.Deferred instead
 * of making it wait. `doc` may be NULL. All text is copied; `user` is borrowed.
 *
 * BINE_EINVAL: the signature, see bine_message(). BINE_EEXIST: `module` is not made by
 * bine_def(), or has that name. BINE_ECLOSED: it is closing. BINE_ENOMEM. Thread: owner. */
BINE_API int bine_def(bine *rt, const char *module, const char *signature, bine_fn function, void *user,
                      const char *doc);

/* The stub file (.pyi) of a module made by bine_def(), for editors and type checkers. *out is
 * new text: free() it. BINE_EINVAL: no such module. BINE_ECLOSED. Thread: owner. */
BINE_API int bine_stubs(bine *rt, const char *module, char **out);

/* Arguments, in the order of the signature, defaults filled in. Borrowed, valid until the
 * function returns. Reading one as another kind than it has yields 0, NULL, false and makes
 * the call raise TypeError when the function returns. Thread: micro. */
BINE_API int64_t bine_arg_i64(bine_call *call, size_t index);
BINE_API double bine_arg_f64(bine_call *call, size_t index);
BINE_API bool bine_arg_bool(bine_call *call, size_t index);
BINE_API const char *bine_arg_str(bine_call *call, size_t index, size_t *size);
BINE_API const void *bine_arg_bytes(bine_call *call, size_t index, size_t *size);
BINE_API void *bine_arg_pointer(bine_call *call, size_t index, const char *type);
BINE_API bool bine_arg_is_none(bine_call *call, size_t index);

/* Any argument as a new value, lists and dicts with all in them. NULL: it has no such form
 * (the call then raises TypeError) or memory is out. Thread: micro. */
BINE_API bine_value *bine_arg_value(bine_call *call, size_t index);

/* The runtime; the calling micro-thread, NULL when called outside of one. Borrowed. Thread: micro. */
BINE_API bine *bine_call_runtime(bine_call *call);
BINE_API bine_micro *bine_call_micro(bine_call *call);

/* Answers with a value (taken). BINE_EBUSY: already answered. Thread: micro. */
BINE_API int bine_return(bine_call *call, bine_value *value);

/* Answers later: the script waits until *r is settled, on whatever thread, by then with
 * this C function long returned. When the script is cancelled or times out meanwhile,
 * `on_cancel` (may be NULL) is called with the function's `user`, and has been by the time
 * the script sees the exception.
 * BINE_EMICRO: the caller cannot wait; the script sees bine.NotInMicroThread. BINE_EBUSY:
 * already answered. BINE_ECANCELED; BINE_ENOMEM. On any error *r is NULL: return the status.
 * Thread: micro. */
BINE_API int bine_defer(bine_call *call, bine_on_cancel on_cancel, bine_resolver **r);
/* The same with another `user` for the canceller. */
BINE_API int bine_defer_with(bine_call *call, bine_on_cancel on_cancel, void *user, bine_resolver **r);

/* Answers with what `d` will be settled with (the hold is taken, also on an error): bine_all(),
 * bine_micro_result(), a deferred of another part of the host. When the script is cancelled or times out
 * meanwhile, so is `d`. Errors as bine_defer(); BINE_EINVAL: `d` is NULL. Thread: micro. */
BINE_API int bine_follow(bine_call *call, bine_deferred *d);

/* Raises the builtin exception `type` ("ValueError"; SystemError when there is none of that name)
 * in the script. Returns BINE_ESCRIPT, so that a function can end with `return bine_fail(...)`.
 * Thread: micro. */
BINE_API int bine_fail(bine_call *call, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
