/* Pipes, for the files of sdk: the block behind both ends.
 *
 * What stands in a pipe is an item: a value, or a script's object just as it is. Scripts' own pipes are under
 * the GIL, which whoever uses them holds; from when C has had an end in hand they have a lock as well. */
#ifndef BINE_DATA_PIPE_H
#define BINE_DATA_PIPE_H

#include "core/runtime.h"
#include "data/deferred.h"

#include <bine/pipe.h>

#include <pthread.h>

/* A bine_value *, or an object of the layer above (a reference of the pipe's) with its lowest bit set. */
typedef uintptr_t bine__item;

static inline bine__item bine__item_of_object(void *object)
{
    return (uintptr_t)object | 1;
}

/* The object, or NULL: it is a value. */
static inline void *bine__item_object(bine__item item)
{
    return (item & 1) != 0 ? (void *)(item - 1) : NULL;
}

static inline bine_value *bine__item_value(bine__item item)
{
    return (bine_value *)item;
}

/* Items in their order. */
typedef struct bine__ring {
    bine__item *slots;
    size_t size; /* a power of two, or 0 */
    size_t head;
    size_t count;
    size_t promised; /* slots kept for who may have to put an item back */
} bine__ring;

/* Where the item at `index` stands, counted from the head; at `count`, where the next one goes. */
static inline bine__item *bine__ring_at(const bine__ring *r, size_t index)
{
    return &r->slots[(r->head + index) & (r->size - 1)];
}

typedef struct bine__pipe {
    bine__job deliver; /* first */
    bine *rt;
    bine__inbox *inbox;
    atomic_uint
        holds; /* the writers together, the readers together, the hub, `deliver` under way, C's waits */
    size_t capacity;
    bool shared; /* C has had an end in hand: `lock` is for what follows. Never taken back */

    pthread_mutex_t lock;
    bine__ring ring;
    size_t hungry; /* readers that wait and have not been served */
    unsigned writers;
    unsigned readers;
    bool sent;         /* `deliver` is on its way */
    bool closed;       /* no more puts */
    bool gone;         /* the runtime is closed */
    bine__result last; /* what readers get at the end; fixed from when it is closed */

    bine__waiters putters; /* the owner's */
    bine__waiters getters;
    bine_error *error; /* `last` as data, when asked for */
    void *hub; /* what the layer above keeps for all ends that scripts have, or NULL. Owner, GIL held */
} bine__pipe;

/* A new pipe with one writer and one reader; not shared. NULL when memory is out. Thread: owner. */
bine__pipe *bine__pipe_new(bine *rt, size_t capacity);

/* From now on C has an end. Thread: owner, GIL held. */
void bine__pipe_share(bine__pipe *p);

/* All below: the GIL is held when the pipe is not shared. */

/* As bine_put() and bine_get(), but silent, and an item is taken only with BINE_OK. At the end get() says
 * BINE_EEND, whatever `last` is. The caller holds the pipe, not just an end that may be given up meanwhile.
 * Thread: owner. */
int bine__pipe_put(bine__pipe *p, bine__item item, int64_t timeout_ns);
int bine__pipe_get(bine__pipe *p, int64_t timeout_ns, bine__item *out);

/* As bine_try_put(), bine_try_get(): the same. Thread: any; owner. */
int bine__pipe_try_put(bine__pipe *p, bine__item item);
int bine__pipe_try_get(bine__pipe *p, bine__item *out);

/* The first one counts; `last` is taken. False: it was closed already. Thread: any. */
bool bine__pipe_close(bine__pipe *p, bine__result last);

/* One end more, one less. Thread: any. */
void bine__pipe_add_writer(bine__pipe *p);
void bine__pipe_add_reader(bine__pipe *p);
void bine__pipe_drop_writer(bine__pipe *p);
void bine__pipe_drop_reader(bine__pipe *p);

/* One hold more and less, of whoever is neither. Thread: any. */
void bine__pipe_hold(bine__pipe *p);
void bine__pipe_let_go(bine__pipe *p);

/* Whether nothing more may be put. How many items are in it. Thread: any. */
bool bine__pipe_is_closed(bine__pipe *p);
size_t bine__pipe_count(bine__pipe *p);

/* How many ends there are, of both kinds. Thread: any. */
unsigned bine__pipe_ends(bine__pipe *p);

/* Lets go of all that is in it. Thread: owner. */
void bine__pipe_empty(bine__pipe *p);

static inline bine__pipe *bine__pipe_of_writer(const bine_writer *w)
{
    return (bine__pipe *)(uintptr_t)w;
}

static inline bine__pipe *bine__pipe_of_reader(const bine_reader *r)
{
    return (bine__pipe *)(uintptr_t)r;
}

#endif
