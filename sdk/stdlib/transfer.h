/* Bytes from and to descriptors, without holding the loop. What is there at once is taken at once
 * (RWF_NOWAIT). What is not: a pipe, a socket, a terminal is waited for by readiness; a file is left to a
 * thread of the pool. One with O_NONBLOCK is CPython's own matter.
 *
 * On a micro-thread that may wait. */
#ifndef BINE_STDLIB_TRANSFER_H
#define BINE_STDLIB_TRANSFER_H

#include "core/runtime.h"

#include <sys/uio.h>

typedef enum bine__file_kind {
    BINE__UNKNOWN,
    BINE__STREAM, /* becomes ready */
    BINE__MEMORY, /* a file that no disk stands behind; a directory, whose bytes nobody gets */
    BINE__FILE    /* any other */
} bine__file_kind;

/* What is to be moved; on the caller's stack. */
typedef struct bine__transfer {
    int fd;
    const int *still; /* where it is that `fd` while the file is open, or NULL: not known */
    bool writes;
    int64_t offset;      /* negative: where the descriptor stands, which moves that */
    struct iovec *parts; /* are used up */
    int count;           /* of them */
    int flags;           /* RWF_..., when the script gives some: all is left to the pool */

    size_t done; /* bytes so far */
    bool at_end; /* of what is read */
    bool over;   /* no more for now */
    bine__file_kind kind;
    uint64_t mount; /* whose file it is; 0: not known */
} bine__transfer;

typedef enum bine__moved {
    BINE__MOVED,      /* `done` bytes: when reading at least one or `at_end`; when writing all that can be */
    BINE__WOULD_WAIT, /* nothing; it has O_NONBLOCK */
    BINE__RAISED      /* nothing; an exception is set */
} bine__moved;

/* A pipe's write goes on until all is written; what ends it midway is raised by the next wait, and `done`
 * tells how much was. */
bine__moved bine__transfer_run(bine *rt, bine__transfer *t);

/* Likewise, a read of up to `size` bytes: these (new), or NULL, and `*out` says why. */
PyObject *bine__transfer_bytes(bine *rt, bine__transfer *t, Py_ssize_t size, bine__moved *out);

/* Suspends until `fd` is ready: 0. -1 with an exception, and `error` is 0 or the errno that it tells. */
int bine__wait_ready(bine *rt, int fd, unsigned events, int *error);

/* What a descriptor is; asks no server. `size` (NULL: not asked for) is 0 when it is not known. */
bine__file_kind bine__file_kind_of(int fd, uint64_t *mount, uint64_t *size);

#endif
