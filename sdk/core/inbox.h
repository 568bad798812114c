/* The inbox: jobs that other threads hand to the owner. Outlives the runtime as long as a
 * resolver does, so that a late call meets a closed inbox and not freed memory. */
#ifndef BINE_CORE_INBOX_H
#define BINE_CORE_INBOX_H

#include "core/sched.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct bine__inbox {
    pthread_mutex_t lock;
    bine__queue jobs; /* under the lock */
    bool closed;      /* under the lock */
    atomic_bool full; /* a hint that spares the owner the lock */
    atomic_size_t holds;
    void (*wake)(void *user); /* any thread; called under the lock, so not after closing */
    void *user;
} bine__inbox;

bine__inbox *bine__inbox_new(void (*wake)(void *), void *user);

/* Adds a job and wakes the owner. False: it is closed, nothing was added. Thread: any. */
bool bine__inbox_push(bine__inbox *inbox, bine__job *job);

/* Whether it takes no more jobs. Thread: any. */
bool bine__inbox_is_closed(bine__inbox *inbox);

/* Moves all jobs to the end of `queue`. Thread: owner. */
void bine__inbox_drain(bine__inbox *inbox, bine__queue *queue);

/* No job enters from now on; what is inside goes to `queue`. Thread: owner. */
void bine__inbox_close(bine__inbox *inbox, bine__queue *queue);

/* In the child of a fork: a thread that is not there may have held the lock. */
void bine__inbox_renew(bine__inbox *inbox);

/* Thread: any. */
void bine__inbox_retain(bine__inbox *inbox);
void bine__inbox_release(bine__inbox *inbox);

#endif
