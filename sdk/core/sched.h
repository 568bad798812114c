/* The scheduler's data: jobs, and the one FIFO of them that a runtime has. */
#ifndef BINE_CORE_SCHED_H
#define BINE_CORE_SCHED_H

#include <bine/common.h>

/* Something to do on the owner thread. Embedded in what it is about; a job stands in one
 * queue at a time. */
typedef struct bine__job {
    struct bine__job *next;
    void (*run)(bine *rt, struct bine__job *job); /* on the host's stack, GIL held */
} bine__job;

typedef struct bine__queue {
    bine__job *head;
    bine__job *tail; /* meaningless while head is NULL */
    uint64_t in;     /* jobs that ever came, and that ever left: two counters, so that a switch, */
    uint64_t out;    /* which does one of each, does not wait for itself */
} bine__queue;

/* One more; another thread may look (see python/stall.c). */
static inline void bine__count_up(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static inline size_t bine__queue_count(const bine__queue *queue)
{
    return (size_t)(queue->in - queue->out);
}

static inline void bine__queue_push(bine__queue *queue, bine__job *job)
{
    job->next = NULL;
    if (queue->head == NULL)
        queue->head = job;
    else
        queue->tail->next = job;
    queue->tail = job;
    queue->in++;
}

/* Its turn is the next one. */
static inline void bine__queue_push_first(bine__queue *queue, bine__job *job)
{
    job->next = queue->head;
    if (queue->head == NULL)
        queue->tail = job;
    queue->head = job;
    queue->in++;
}

static inline bine__job *bine__queue_pop(bine__queue *queue)
{
    bine__job *job = queue->head;

    if (job != NULL) {
        queue->head = job->next;
        bine__count_up(&queue->out);
    }
    return job;
}

/* Moves all of `from` to the end of `to`. */
static inline void bine__queue_move(bine__queue *to, bine__queue *from)
{
    if (from->head == NULL)
        return;
    if (to->head == NULL)
        to->head = from->head;
    else
        to->tail->next = from->head;
    to->tail = from->tail;
    to->in += from->in - from->out;
    from->head = NULL;
    from->out = from->in;
}

#endif
