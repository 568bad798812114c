/* Pipes: a ring of values under a lock. Owner's calls serve those that wait, in their order, by handing
 * values from stack to stack; a producer elsewhere leaves its value in the ring and sends the pipe through
 * the inbox. */
#include "core/runtime.h"
#include "data/value.h"

#include <bine/pipe.h>

#include <pthread.h>
#include <stdlib.h>

/* One that waits with a value to give, or for one. */
typedef struct exchange {
    bine__describe describe;
    bine_value *value;
    bool done;
} exchange;

/* Values in their order. */
typedef struct ring {
    bine_value **slots;
    size_t size; /* a power of two, or 0 */
    size_t head;
    size_t count;
} ring;

typedef struct pipe_block {
    bine__job deliver; /* first */
    bine *rt;
    bine__inbox *inbox;
    atomic_uint holds; /* the writers together, the readers together, `deliver` under way, calls that wait */
    size_t capacity;

    pthread_mutex_t lock; /* for what follows */
    ring ring;
    size_t hungry; /* readers that wait and have not been served */
    unsigned writers;
    unsigned readers;
    bool sent;   /* `deliver` is on its way */
    bool closed; /* no more puts */
    bool gone;   /* the runtime is closed */
    int code;    /* what readers get at the end */
    bine_value *message;

    bine__waiters putters; /* the owner's */
    bine__waiters getters;
} pipe_block;

static pipe_block *of_writer(const bine_writer *w)
{
    return (pipe_block *)(uintptr_t)w;
}

static pipe_block *of_reader(const bine_reader *r)
{
    return (pipe_block *)(uintptr_t)r;
}

static void hold(pipe_block *p)
{
    atomic_fetch_add_explicit(&p->holds, 1, memory_order_relaxed);
}

/* Nobody will get what is in the ring, or nobody else has it any more. */
static void free_ring(const ring *r)
{
    for (size_t i = 0; i < r->count; i++)
        bine_value_free(r->slots[(r->head + i) & (r->size - 1)]);
    free(r->slots);
}

static void let_go(pipe_block *p)
{
    if (atomic_fetch_sub_explicit(&p->holds, 1, memory_order_acq_rel) != 1)
        return;
    free_ring(&p->ring);
    bine_value_free(p->message);
    pthread_mutex_destroy(&p->lock);
    bine__inbox_release(p->inbox);
    free(p);
}

/* ---- the ring; the lock is held ---- */

static int grow(ring *r)
{
    size_t size = r->size == 0 ? 8 : r->size * 2;
    bine_value **slots = size < r->size ? NULL : calloc(size, sizeof *slots);

    if (slots == NULL)
        return BINE_ENOMEM;
    for (size_t i = 0; i < r->count; i++)
        slots[i] = r->slots[(r->head + i) & (r->size - 1)];
    free(r->slots);
    *r = (ring){.slots = slots, .size = size, .count = r->count};
    return BINE_OK;
}

static int push(ring *r, bine_value *value)
{
    if (r->count == r->size && grow(r) != BINE_OK)
        return BINE_ENOMEM;
    r->slots[(r->head + r->count) & (r->size - 1)] = value;
    r->count++;
    return BINE_OK;
}

static bine_value *pop(ring *r)
{
    bine_value *value = r->slots[r->head];

    r->head = (r->head + 1) & (r->size - 1);
    r->count--;
    return value;
}

/* Whether a put must be refused: BINE_OK, BINE_EEND, BINE_EPIPE, BINE_ECLOSED. */
static int refused(const pipe_block *p)
{
    if (p->gone)
        return BINE_ECLOSED;
    if (p->readers == 0)
        return BINE_EPIPE;
    return p->closed ? BINE_EEND : BINE_OK;
}

/* ---- serving those that wait. Owner, lock held ---- */

static exchange *first_of(const bine__waiters *line)
{
    return line->first == NULL ? NULL : ((bine__wait *)(void *)line->first)->what;
}

static void serve(bine__waiters *line, bine_value *value)
{
    exchange *x = first_of(line);

    x->value = value;
    x->done = true;
    bine__wake_first(line);
}

static void serve_reader(pipe_block *p, bine_value *value)
{
    p->hungry--;
    serve(&p->getters, value);
}

/* Values go to the readers that wait, and from the writers that wait into the room there is. */
static void move_on(pipe_block *p)
{
    while (p->getters.first != NULL) {
        exchange *from = p->closed ? NULL : first_of(&p->putters);

        if (p->ring.count > 0) {
            serve_reader(p, pop(&p->ring));
        } else if (from != NULL) {
            serve_reader(p, from->value);
            serve(&p->putters, NULL);
        } else {
            break;
        }
    }
    while (p->putters.first != NULL && p->ring.count < p->capacity && refused(p) == BINE_OK &&
           push(&p->ring, first_of(&p->putters)->value) == BINE_OK)
        serve(&p->putters, NULL);
}

static void wake_if_over(pipe_block *p)
{
    if (refused(p) != BINE_OK)
        bine__wake_all(&p->putters);
    if (p->closed || p->gone || p->readers == 0)
        bine__wake_all(&p->getters);
}

static void on_deliver(bine *rt, bine__job *job)
{
    pipe_block *p = (pipe_block *)(void *)job;

    pthread_mutex_lock(&p->lock);
    p->sent = false;
    p->gone = rt->closing;
    move_on(p);
    wake_if_over(p);
    pthread_mutex_unlock(&p->lock);
    let_go(p);
}

/* Has the owner look at it. The lock is held. False: the runtime is closed. Thread: any. */
static bool send(pipe_block *p)
{
    if (p->sent)
        return true;
    hold(p);
    p->sent = bine__inbox_push(p->inbox, &p->deliver);
    if (!p->sent) {
        p->gone = true;
        atomic_fetch_sub_explicit(&p->holds, 1, memory_order_relaxed); /* the caller has one */
    }
    return p->sent;
}

static bool is_owner(const pipe_block *p)
{
    return bine__here != NULL && bine__here == p->rt;
}

/* Something has changed: at once on the owner's thread, else by way of the inbox. The lock is held. */
static void changed(pipe_block *p)
{
    if (!is_owner(p)) {
        send(p);
        return;
    }
    move_on(p);
    wake_if_over(p);
}

/* ---- making one ---- */

int bine_pipe_new(bine *rt, size_t capacity, bine_writer **w, bine_reader **r)
{
    int status = bine__check_owner(rt, "bine_pipe_new");
    pipe_block *p;

    if (w == NULL || r == NULL)
        return bine__fail(BINE_EINVAL, "bine_pipe_new: w or r is NULL");
    *w = NULL;
    *r = NULL;
    if (status != BINE_OK)
        return status;
    if (rt->shutting_down)
        return bine__fail(BINE_ECLOSED, "bine_pipe_new: the runtime is shutting down");
    p = calloc(1, sizeof *p);
    if (p == NULL || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p);
        return bine__fail(BINE_ENOMEM, "bine_pipe_new: out of memory");
    }
    p->deliver.run = on_deliver;
    p->rt = rt;
    p->inbox = rt->inbox;
    bine__inbox_retain(rt->inbox);
    atomic_init(&p->holds, 2);
    p->capacity = capacity;
    p->writers = 1;
    p->readers = 1;
    p->code = BINE_EEND;
    *w = (bine_writer *)p;
    *r = (bine_reader *)p;
    return BINE_OK;
}

/* ---- putting ---- */

static int put_failed(const char *call, int status, bine_value *value)
{
    bine_value_free(value);
    return bine__fail(status, "%s: %s", call, bine_strerror(status));
}

static int check_put(const bine_writer *w, bine_value *value, const char *call)
{
    if (w == NULL) {
        bine_value_free(value);
        return bine__fail(BINE_EINVAL, "%s: the writer is NULL", call);
    }
    return value == NULL ? bine__fail(BINE_ENOMEM, "%s: out of memory for the value", call) : BINE_OK;
}

/* Puts without waiting, behind those that wait. The lock is held. */
static int put_now(pipe_block *p, bine_value *value)
{
    size_t room = p->capacity == 0 ? p->hungry : p->capacity;
    int status = refused(p);

    if (status != BINE_OK)
        return status;
    if (is_owner(p))
        move_on(p); /* what came from elsewhere came first */
    if (p->ring.count >= room || (p->putters.first != NULL && is_owner(p)))
        return !is_owner(p) && bine__inbox_is_closed(p->inbox) ? BINE_ECLOSED : BINE_EAGAIN;
    status = push(&p->ring, value);
    if (status == BINE_OK && is_owner(p))
        move_on(p);
    else if (status == BINE_OK && !send(p)) {
        p->ring.count--; /* the last one in: nobody will come for it */
        status = BINE_ECLOSED;
    }
    return status;
}

int bine_try_put(bine_writer *w, bine_value *value)
{
    pipe_block *p = of_writer(w);
    int status = check_put(w, value, "bine_try_put");

    if (status != BINE_OK)
        return status;
    pthread_mutex_lock(&p->lock);
    status = put_now(p, value);
    pthread_mutex_unlock(&p->lock);
    return status == BINE_OK ? BINE_OK : put_failed("bine_try_put", status, value);
}

static PyObject *describe_put(const void *what)
{
    (void)what;
    return PyUnicode_FromString("room in a pipe");
}

static PyObject *describe_get(const void *what)
{
    (void)what;
    return PyUnicode_FromString("a value from a pipe");
}

/* Waits in `line` until served. BINE_OK: served, or something has changed: look again. */
static int wait_in(pipe_block *p, bine__waiters *line, exchange *x, int64_t deadline)
{
    int status = bine__await(p->rt, line, deadline, x);

    return x->done ? BINE_OK : status; /* served at the last moment counts */
}

int bine_put(bine_writer *w, bine_value *value, int64_t timeout_ns)
{
    pipe_block *p = of_writer(w);
    exchange x = {describe_put, value, false};
    int64_t deadline;
    int status = check_put(w, value, "bine_put");

    if (status != BINE_OK)
        return status;
    if (!is_owner(p)) {
        bine_value_free(value);
        return bine__explain_wait("bine_put", BINE_EMICRO);
    }
    deadline = bine__deadline(p->rt, timeout_ns);
    hold(p);
    do {
        pthread_mutex_lock(&p->lock);
        status = put_now(p, value);
        pthread_mutex_unlock(&p->lock);
        x.done = status == BINE_OK;
        if (status == BINE_EAGAIN)
            status = wait_in(p, &p->putters, &x, deadline);
    } while (status == BINE_OK && !x.done);
    let_go(p);
    if (status == BINE_OK)
        return BINE_OK;
    bine_value_free(value);
    return bine__explain_wait("bine_put", status);
}

/* ---- closing ---- */

static int close_with(bine_writer *w, int code, const char *message)
{
    pipe_block *p = of_writer(w);
    bine_value *text = message == NULL ? NULL : bine_value_str(message);

    pthread_mutex_lock(&p->lock);
    if (!p->closed) {
        p->closed = true;
        p->code = code;
        p->message = text;
        text = NULL;
        changed(p);
    }
    pthread_mutex_unlock(&p->lock);
    bine_value_free(text);
    return BINE_OK;
}

int bine_writer_close(bine_writer *w)
{
    if (w == NULL)
        return bine__fail(BINE_EINVAL, "bine_writer_close: the writer is NULL");
    return close_with(w, BINE_EEND, NULL);
}

int bine_writer_fail(bine_writer *w, int code, const char *message)
{
    if (w == NULL)
        return bine__fail(BINE_EINVAL, "bine_writer_fail: the writer is NULL");
    if (code >= 0)
        return bine__fail(BINE_EINVAL, "bine_writer_fail: the code %d is not negative", code);
    return close_with(w, code, message);
}

bine_writer *bine_writer_retain(bine_writer *w)
{
    pipe_block *p = of_writer(w);

    if (w == NULL)
        return NULL;
    pthread_mutex_lock(&p->lock);
    p->writers++;
    pthread_mutex_unlock(&p->lock);
    return w;
}

void bine_writer_release(bine_writer *w)
{
    pipe_block *p = of_writer(w);
    bool last;

    if (w == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->writers--;
    last = p->writers == 0;
    if (last && !p->closed) {
        p->closed = true;
        changed(p);
    }
    pthread_mutex_unlock(&p->lock);
    if (last)
        let_go(p);
}

/* ---- getting ---- */

/* Gets without waiting, behind those that wait. The lock is held. */
static int get_now(pipe_block *p, bine_value **value)
{
    exchange *from;

    move_on(p);
    from = p->closed ? NULL : first_of(&p->putters);
    if (p->ring.count > 0) {
        *value = pop(&p->ring);
        move_on(p);
        return BINE_OK;
    }
    if (from != NULL) {
        *value = from->value;
        serve(&p->putters, NULL);
        return BINE_OK;
    }
    if (p->gone)
        return BINE_ECLOSED;
    if (p->readers == 0)
        return BINE_EEND; /* released over the head of one that waited */
    return p->closed ? p->code : BINE_EAGAIN;
}

static int explain_get(pipe_block *p, const char *call, int status)
{
    const bine_value *message;

    pthread_mutex_lock(&p->lock); /* a writer elsewhere may be closing it; once there, it stays */
    message = status == p->code ? p->message : NULL;
    pthread_mutex_unlock(&p->lock);
    if (message != NULL)
        return bine__fail(status, "%s", bine_value_as_str(message, NULL));
    return bine__explain_wait(call, status);
}

int bine_try_get(bine_reader *r, bine_value **value)
{
    pipe_block *p = of_reader(r);
    int status;

    if (value == NULL || r == NULL)
        return bine__fail(BINE_EINVAL, "bine_try_get: the reader or value is NULL");
    *value = NULL;
    if (!is_owner(p))
        return bine__fail(BINE_ETHREAD,
                          "bine_try_get: only the thread that called bine_open() may call this");
    pthread_mutex_lock(&p->lock);
    status = get_now(p, value);
    pthread_mutex_unlock(&p->lock);
    return status == BINE_OK ? BINE_OK : explain_get(p, "bine_try_get", status);
}

/* Waits as one that writers elsewhere may count on. */
static int wait_hungry(pipe_block *p, exchange *x, int64_t deadline)
{
    int status;

    pthread_mutex_lock(&p->lock);
    p->hungry++;
    pthread_mutex_unlock(&p->lock);
    status = wait_in(p, &p->getters, x, deadline);
    if (x->done)
        return status;
    pthread_mutex_lock(&p->lock);
    p->hungry--;
    pthread_mutex_unlock(&p->lock);
    return status;
}

int bine_get(bine_reader *r, int64_t timeout_ns, bine_value **value)
{
    pipe_block *p = of_reader(r);
    exchange x = {.describe = describe_get};
    int64_t deadline;
    int status;

    if (value == NULL || r == NULL)
        return bine__fail(BINE_EINVAL, "bine_get: the reader or value is NULL");
    *value = NULL;
    if (!is_owner(p))
        return bine__explain_wait("bine_get", BINE_EMICRO);
    deadline = bine__deadline(p->rt, timeout_ns);
    hold(p);
    do {
        pthread_mutex_lock(&p->lock);
        status = get_now(p, &x.value);
        pthread_mutex_unlock(&p->lock);
        x.done = status == BINE_OK;
        if (status == BINE_EAGAIN)
            status = wait_hungry(p, &x, deadline);
    } while (status == BINE_OK && !x.done);
    if (status == BINE_OK)
        *value = x.value;
    else
        explain_get(p, "bine_get", status);
    let_go(p);
    return status;
}

bine_reader *bine_reader_retain(bine_reader *r)
{
    pipe_block *p = of_reader(r);

    if (r == NULL)
        return NULL;
    pthread_mutex_lock(&p->lock);
    p->readers++;
    pthread_mutex_unlock(&p->lock);
    return r;
}

void bine_reader_release(bine_reader *r)
{
    pipe_block *p = of_reader(r);
    ring rest = {0};
    bool last;

    if (r == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->readers--;
    last = p->readers == 0;
    if (last) {
        rest = p->ring;
        p->ring = (ring){0};
        changed(p);
    }
    pthread_mutex_unlock(&p->lock);
    free_ring(&rest); /* without the lock: destructors may use the pipe */
    if (last)
        let_go(p);
}

size_t bine_reader_count(const bine_reader *r)
{
    pipe_block *p = of_reader(r);
    size_t count;

    if (r == NULL)
        return 0;
    pthread_mutex_lock(&p->lock);
    count = p->ring.count;
    pthread_mutex_unlock(&p->lock);
    return count;
}
