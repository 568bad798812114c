#include "core/inbox.h"

#include <stdlib.h>

bine__inbox *bine__inbox_new(void (*wake)(void *), void *user)
{
    bine__inbox *inbox = calloc(1, sizeof *inbox);

    if (inbox == NULL)
        return NULL;
    if (pthread_mutex_init(&inbox->lock, NULL) != 0) {
        free(inbox);
        return NULL;
    }
    atomic_init(&inbox->full, false);
    atomic_init(&inbox->holds, 1);
    inbox->wake = wake;
    inbox->user = user;
    return inbox;
}

bool bine__inbox_push(bine__inbox *inbox, bine__job *job)
{
    bool open;

    pthread_mutex_lock(&inbox->lock);
    open = !inbox->closed;
    if (open) {
        bool was_empty = inbox->jobs.head == NULL;

        bine__queue_push(&inbox->jobs, job);
        atomic_store_explicit(&inbox->full, true, memory_order_release);
        if (was_empty)
            inbox->wake(inbox->user);
    }
    pthread_mutex_unlock(&inbox->lock);
    return open;
}

bool bine__inbox_is_closed(bine__inbox *inbox)
{
    bool closed;

    pthread_mutex_lock(&inbox->lock);
    closed = inbox->closed;
    pthread_mutex_unlock(&inbox->lock);
    return closed;
}

void bine__inbox_drain(bine__inbox *inbox, bine__queue *queue)
{
    if (!atomic_load_explicit(&inbox->full, memory_order_acquire))
        return;
    pthread_mutex_lock(&inbox->lock);
    bine__queue_move(queue, &inbox->jobs);
    atomic_store_explicit(&inbox->full, false, memory_order_relaxed);
    pthread_mutex_unlock(&inbox->lock);
}

void bine__inbox_close(bine__inbox *inbox, bine__queue *queue)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->closed = true;
    bine__queue_move(queue, &inbox->jobs);
    pthread_mutex_unlock(&inbox->lock);
}

void bine__inbox_renew(bine__inbox *inbox)
{
    pthread_mutex_init(&inbox->lock, NULL);
}

void bine__inbox_retain(bine__inbox *inbox)
{
    atomic_fetch_add_explicit(&inbox->holds, 1, memory_order_relaxed);
}

void bine__inbox_release(bine__inbox *inbox)
{
    if (atomic_fetch_sub_explicit(&inbox->holds, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}
