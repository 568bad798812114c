/* What every Bine header shares: visibility, status codes, versions.
 *
 * Conventions, kept by every header of this folder:
 *  - Functions that can fail return BINE_OK (0) or a negative BINE_E code. bine_message()
 *    then tells in words what was wrong. Outputs come last and are NULL on error.
 *  - Each comment names the thread a function is for. "owner": the thread that called
 *    bine_open(). "micro": code running inside a micro-thread, which is on the owner
 *    thread too. "any": every thread, without Python's GIL; such functions lock, enqueue
 *    and wake, and never run Python nor a callback.
 *  - "taken": the callee owns the pointer from now on, even when it fails.
 *    "borrowed": the caller keeps it. "new": the caller releases it.
 *  - Units stand in the names: _ns, _ms. Sizes are in bytes. Text is UTF-8.
 *  - No header here needs Python.h, but for bine/python.h. */
#ifndef BINE_COMMON_H
#define BINE_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BINE_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

#define BINE_VERSION_MAJOR 0
#define BINE_VERSION_MINOR 1
#define BINE_VERSION_PATCH 0

/* The runtime: one embedded interpreter on one OS thread, its owner. */
typedef struct bine bine;

/* A Python or C function with its own stack, scheduled by the runtime. */
typedef struct bine_micro bine_micro;

/* A result that will come, and the end that brings it. */
typedef struct bine_deferred bine_deferred;
typedef struct bine_resolver bine_resolver;

/* Micro-threads that end together: see scope.h. */
typedef struct bine_scope bine_scope;

/* Data on its way between C and Python. */
typedef struct bine_value bine_value;

/* What went wrong in a script, as data. */
typedef struct bine_error bine_error;

/* Frees what `user` points to. Called exactly once. */
typedef void (*bine_free)(void *user);

enum {
    BINE_OK = 0,
    BINE_EINVAL = -1,     /* an argument is out of its domain */
    BINE_ENOMEM = -2,     /* out of memory or of address space */
    BINE_EBUSY = -3,      /* not now: nested call, or something still lives */
    BINE_ETHREAD = -4,    /* called from a thread other than the owner */
    BINE_EMICRO = -5,     /* would have to wait, but not inside a micro-thread */
    BINE_ECLOSED = -6,    /* the runtime is shutting down or closed */
    BINE_ESTARTED = -7,   /* this process has already started its one interpreter */
    BINE_EPYTHON = -8,    /* the interpreter did not start */
    BINE_ESCRIPT = -9,    /* a Python exception */
    BINE_ECANCELED = -10, /* cancelled */
    BINE_ETIMEDOUT = -11, /* the time given is over */
    BINE_ESETTLED = -12,  /* the deferred already has its result */
    BINE_EBROKEN = -13,   /* the resolver was dropped: no result will come */
    BINE_ETYPE = -14,     /* a value is of another kind than asked for */
    BINE_EEXIST = -15,    /* the name is taken */
    BINE_EIO = -16,       /* the operating system said no */
    BINE_EAGAIN = -17,    /* a pipe has no room, or nothing in it, right now */
    BINE_EEND = -18,      /* the pipe was closed: nothing more comes */
    BINE_EPIPE = -19,     /* the pipe has no reader left */
    BINE_ENOTSUP = -20    /* not with this kind of loop */
};

/* The name ("BINE_EBUSY") and the meaning ("not now: ...") of a status code. Static text,
 * "BINE_E?" and "unknown status" for others. Thread: any. */
BINE_API const char *bine_err_name(int status);
BINE_API const char *bine_strerror(int status);

/* What went wrong in the calling thread's last failed call, in one line that names the
 * culprit. Valid until this thread's next failing call; "" before the first. Thread: any. */
BINE_API const char *bine_message(void);

/* "0.1.0 (CPython 3.11.2)": this library and the Python it was built for. Static. Thread: any. */
BINE_API const char *bine_version(void);

#ifdef __cplusplus
}
#endif
#endif
