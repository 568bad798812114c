/* Threads for what can only block: file systems, name servers. In lanes, each with a number of threads of its
 * own, so that names that nobody answers for do not hold up files. A lane is a FIFO. Its threads are started
 * when there is something to do and end when there has been nothing for long; they run no script and have all
 * signals blocked. What is done comes back by the runtime's inbox, so on every loop.
 *
 * Owner thread, unless said otherwise. */
#ifndef BINE_SERVICE_POOL_H
#define BINE_SERVICE_POOL_H

#include "core/runtime.h"

#include <stdatomic.h>

typedef enum bine__lane { BINE__FILES, BINE__NAMES, BINE__CHILDREN, BINE__REST, BINE__LANES } bine__lane;

/* A piece of work; embeds in what it needs. All but the first four is the pool's own. */
typedef struct bine__work {
    /* On a thread of the pool, or on the owner's when there is no thread to be had; without the GIL. */
    void (*run)(struct bine__work *work);
    /* NULL: who waits for it waits to the end, also when cancelled meanwhile (its memory may be on that
     * stack). Else it may be left behind, and this frees it, on the owner thread with the GIL: when it is
     * done, or never where the runtime has ended before. */
    void (*drop)(struct bine__work *work);
    const char *what; /* "the name example.org": for reports of who waits for what; lives as long as the
                         work; may be NULL */
    bool brief;       /* mostly done in some microseconds, and does not enter the interpreter: while such
                         works follow one another closely, the owner thread looks out for the end of each, for
                         20 us at most, before it suspends anybody */

    bine__job job; /* brings it back */
    struct bine__work *next;
    bine__micro *micro; /* that waits for it; NULL: left behind */
    const void *wish;   /* what that is parked on */
    unsigned generation;
    atomic_uint stage; /* who is told of its end, see pool.c */
    bool begun;        /* under the pool's lock */
    bool done;         /* the owner thread's */
} bine__work;

/* Has the work done on a thread of `lane`, and suspends the running micro-thread meanwhile. BINE_OK: it is
 * done. Else it has not begun, or goes on without anybody: BINE_ECANCELED, BINE_ETIMEDOUT (`deadline` as
 * bine__real_deadline() has it, also over while it stood in line), BINE_ENOMEM, BINE_EMICRO, BINE_EBUSY; then
 * it is the pool's, and drop() is called once, now or later; without a drop(), it is the caller's again.
 * BINE_EIO, with an OSError set: likewise, in the child of a fork that the host has made meanwhile.
 *
 * Without a drop(), a cancel that came while it ran is raised by the micro-thread's next wait. */
int bine__offload(bine *rt, bine__lane lane, bine__work *work, int64_t deadline);

/* The same for work that nobody waits for, or many do: drop() is all that comes of it. False: there is no
 * thread to be had, or no memory; it is the caller's again. */
bool bine__pool_send(bine *rt, bine__lane lane, bine__work *work);

/* As bine__stand(), for something that such work brings. */
int bine__pool_stand(bine *rt, bine__waiters *among, void *what);

#endif
