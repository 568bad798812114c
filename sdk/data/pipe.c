/* Pipes: a ring of items under a lock. Owner's calls serve those that wait, in their order, by handing
 * items from stack to stack; a producer elsewhere leaves its item in the ring and sends the pipe through
 * the inbox. */
#include "data/pipe.h"

#include "data/value.h"

#include <stdlib.h>

/* One that waits with an item to give, or for one. */
typedef struct exchange {
    bine__describe describe;
    bine__item item;
    bool done;
} exchange;

static void lock(bine__pipe *p)
{
    if (p->shared)
        pthread_mutex_lock(&p->lock);
}

static void unlock(bine__pipe *p)
{
    if (p->shared)
        pthread_mutex_unlock(&p->lock);
}

/* Nobody has the items any more. Without the lock: destructors may use the pipe. Off the owner's thread
 * there are no objects among them, or no interpreter. */
static void free_ring(bine *rt, const bine__ring *r)
{
    for (size_t i = 0; i < r->count; i++) {
        bine__item item = *bine__ring_at(r, i);

        if (bine__item_object(item) != NULL)
            bine__python_drop_object(rt, bine__item_object(item));
        else
            bine_value_free(bine__item_value(item));
    }
    free(r->slots);
}

void bine__pipe_hold(bine__pipe *p)
{
    atomic_fetch_add_explicit(&p->holds, 1, memory_order_relaxed);
}

void bine__pipe_let_go(bine__pipe *p)
{
    if (atomic_fetch_sub_explicit(&p->holds, 1, memory_order_acq_rel) != 1)
        return;
    free_ring(p->rt, &p->ring);
    bine__result_free(&p->last);
    bine_error_free(p->error);
    pthread_mutex_destroy(&p->lock);
    bine__inbox_release(p->inbox);
    free(p);
}

/* ---- the ring; the lock is held ---- */

static int grow(bine__ring *r)
{
    size_t size = r->size == 0 ? 8 : r->size * 2;
    bine__item *slots = size < r->size ? NULL : calloc(size, sizeof *slots);

    if (slots == NULL)
        return BINE_ENOMEM;
    for (size_t i = 0; i < r->count; i++)
        slots[i] = *bine__ring_at(r, i);
    free(r->slots);
    r->slots = slots;
    r->size = size;
    r->head = 0;
    return BINE_OK;
}

/* For one more, beyond what is promised. */
static int make_room(bine__ring *r)
{
    return r->count + r->promised < r->size ? BINE_OK : grow(r);
}

static int push(bine__ring *r, bine__item item)
{
    if (make_room(r) != BINE_OK)
        return BINE_ENOMEM;
    *bine__ring_at(r, r->count) = item;
    r->count++;
    return BINE_OK;
}

static bine__item pop(bine__ring *r)
{
    bine__item item = r->slots[r->head];

    r->head = (r->head + 1) & (r->size - 1);
    r->count--;
    return item;
}

/* Into a promised slot. */
static void put_back(bine__ring *r, bine__item item)
{
    r->head = (r->head - 1) & (r->size - 1);
    r->slots[r->head] = item;
    r->count++;
}

/* Whether a put must be refused: BINE_OK, BINE_EEND, BINE_EPIPE, BINE_ECLOSED. */
static int refused(const bine__pipe *p)
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

static void serve(bine__waiters *line, bine__item item)
{
    exchange *x = first_of(line);

    x->item = item;
    x->done = true;
    bine__wake_first(line);
}

static void serve_reader(bine__pipe *p, bine__item item)
{
    p->hungry--;
    serve(&p->getters, item);
}

/* Items go to the readers that wait, and from the writers that wait into the room there is. */
static void move_on(bine__pipe *p)
{
    while (p->getters.first != NULL) {
        const exchange *from = p->closed ? NULL : first_of(&p->putters);

        if (p->ring.count > 0) {
            serve_reader(p, pop(&p->ring));
        } else if (from != NULL) {
            serve_reader(p, from->item);
            serve(&p->putters, 0);
        } else {
            break;
        }
    }
    while (p->putters.first != NULL && p->ring.count < p->capacity && refused(p) == BINE_OK &&
           push(&p->ring, first_of(&p->putters)->item) == BINE_OK)
        serve(&p->putters, 0);
}

static void wake_if_over(bine__pipe *p)
{
    if (refused(p) != BINE_OK)
        bine__wake_all(&p->putters);
    if (p->closed || p->gone || p->readers == 0)
        bine__wake_all(&p->getters);
}

/* What nobody will get any more; the caller frees it, without the lock. */
static bine__ring take_ring(bine__pipe *p)
{
    bine__ring all = p->ring;

    p->ring = (bine__ring){.promised = p->ring.promised};
    return all;
}

static void on_deliver(bine *rt, bine__job *job)
{
    bine__pipe *p = (bine__pipe *)(void *)job;
    bine__ring rest = {0};

    lock(p);
    p->sent = false;
    p->gone = rt->closing;
    if (p->readers == 0)
        rest = take_ring(p);
    move_on(p);
    wake_if_over(p);
    unlock(p);
    free_ring(rt, &rest);
    bine__pipe_let_go(p);
}

/* Has the owner look at it. The lock is held. False: the runtime is closed. Thread: any. */
static bool send(bine__pipe *p)
{
    if (p->sent)
        return true;
    bine__pipe_hold(p);
    p->sent = bine__inbox_push(p->inbox, &p->deliver);
    if (!p->sent) {
        p->gone = true;
        atomic_fetch_sub_explicit(&p->holds, 1, memory_order_relaxed); /* the caller has one */
    }
    return p->sent;
}

static bool is_owner(const bine__pipe *p)
{
    return bine__here != NULL && bine__here == p->rt;
}

/* Something has changed: at once on the owner's thread, else by way of the inbox. The lock is held. */
static void changed(bine__pipe *p)
{
    if (!is_owner(p)) {
        send(p);
        return;
    }
    move_on(p);
    wake_if_over(p);
}

/* ---- making one ---- */

bine__pipe *bine__pipe_new(bine *rt, size_t capacity)
{
    bine__pipe *p = calloc(1, sizeof *p);

    if (p == NULL || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p);
        return NULL;
    }
    p->deliver.run = on_deliver;
    p->rt = rt;
    p->inbox = rt->inbox;
    bine__inbox_retain(rt->inbox);
    atomic_init(&p->holds, 2);
    p->capacity = capacity;
    p->writers = 1;
    p->readers = 1;
    p->last.state = BINE_EEND;
    return p;
}

void bine__pipe_share(bine__pipe *p)
{
    p->shared = true;
}

int bine_pipe_new(bine *rt, size_t capacity, bine_writer **w, bine_reader **r)
{
    int status = bine__check_owner(rt, "bine_pipe_new");
    bine__pipe *p;

    if (w == NULL || r == NULL)
        return bine__fail(BINE_EINVAL, "bine_pipe_new: w or r is NULL");
    *w = NULL;
    *r = NULL;
    if (status != BINE_OK)
        return status;
    if (rt->shutting_down)
        return bine__fail(BINE_ECLOSED, "bine_pipe_new: the runtime is shutting down");
    p = bine__pipe_new(rt, capacity);
    if (p == NULL)
        return bine__fail(BINE_ENOMEM, "bine_pipe_new: out of memory");
    p->shared = true;
    *w = (bine_writer *)p;
    *r = (bine_reader *)p;
    return BINE_OK;
}

/* ---- putting ---- */

/* Puts without waiting, behind those that wait. Owner, lock held. */
static int put_here(bine__pipe *p, bine__item item)
{
    int status = refused(p);

    if (status != BINE_OK)
        return status;
    if (p->ring.count > 0 && p->getters.first != NULL)
        move_on(p); /* what came from elsewhere came first */
    if (p->getters.first != NULL) {
        serve_reader(p, item);
        return BINE_OK;
    }
    if (p->ring.count >= p->capacity || p->putters.first != NULL)
        return BINE_EAGAIN;
    return push(&p->ring, item);
}

/* Leaves it for the owner. Lock held. Thread: any. */
static int put_from_elsewhere(bine__pipe *p, bine__item item)
{
    size_t room = p->capacity == 0 ? p->hungry : p->capacity;
    int status = refused(p);

    if (status != BINE_OK)
        return status;
    if (p->ring.count >= room)
        return bine__inbox_is_closed(p->inbox) ? BINE_ECLOSED : BINE_EAGAIN;
    status = push(&p->ring, item);
    if (status == BINE_OK && !send(p)) {
        p->ring.count--; /* the last one in: nobody will come for it */
        status = BINE_ECLOSED;
    }
    return status;
}

int bine__pipe_try_put(bine__pipe *p, bine__item item)
{
    int status;

    lock(p);
    status = is_owner(p) ? put_here(p, item) : put_from_elsewhere(p, item);
    unlock(p);
    return status;
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
static int wait_in(bine__pipe *p, bine__waiters *line, exchange *x, int64_t deadline)
{
    int status = bine__await(p->rt, line, deadline, x);

    return x->done ? BINE_OK : status; /* served at the last moment counts */
}

static int put_waiting(bine__pipe *p, bine__item item, int64_t timeout_ns)
{
    int64_t deadline = bine__deadline(p->rt, timeout_ns);
    exchange x = {.describe = describe_put, .item = item};
    int status = BINE_EAGAIN;

    while (status == BINE_EAGAIN) {
        status = wait_in(p, &p->putters, &x, deadline);
        if (status != BINE_OK || x.done)
            break;
        lock(p);
        status = put_here(p, item);
        unlock(p);
    }
    return status;
}

int bine__pipe_put(bine__pipe *p, bine__item item, int64_t timeout_ns)
{
    int status;

    lock(p);
    status = put_here(p, item);
    unlock(p);
    return status == BINE_EAGAIN ? put_waiting(p, item, timeout_ns) : status;
}

static int check_put(const bine_writer *w, bine_value *value, const char *call)
{
    if (w == NULL) {
        bine_value_free(value);
        return bine__fail(BINE_EINVAL, "%s: the writer is NULL", call);
    }
    return value == NULL ? bine__fail(BINE_ENOMEM, "%s: out of memory for the value", call) : BINE_OK;
}

int bine_try_put(bine_writer *w, bine_value *value)
{
    int status = check_put(w, value, "bine_try_put");

    if (status != BINE_OK)
        return status;
    status = bine__pipe_try_put(bine__pipe_of_writer(w), (bine__item)value);
    if (status == BINE_OK)
        return BINE_OK;
    bine_value_free(value);
    return bine__fail(status, "bine_try_put: %s", bine_strerror(status));
}

int bine_put(bine_writer *w, bine_value *value, int64_t timeout_ns)
{
    bine__pipe *p = bine__pipe_of_writer(w);
    int status = check_put(w, value, "bine_put");

    if (status != BINE_OK)
        return status;
    bine__pipe_hold(p); /* the writer may be released meanwhile */
    status = is_owner(p) ? bine__pipe_put(p, (bine__item)value, timeout_ns) : BINE_EMICRO;
    bine__pipe_let_go(p);
    if (status == BINE_OK)
        return BINE_OK;
    bine_value_free(value);
    return bine__explain_wait("bine_put", status);
}

/* ---- closing ---- */

bool bine__pipe_close(bine__pipe *p, bine__result last)
{
    bool first;

    lock(p);
    first = !p->closed;
    if (first) {
        p->closed = true;
        p->last = last;
        changed(p);
    }
    unlock(p);
    if (!first)
        bine__result_free(&last);
    return first;
}

bool bine__pipe_is_closed(bine__pipe *p)
{
    bool closed;

    lock(p);
    closed = p->closed;
    unlock(p);
    return closed;
}

int bine_writer_close(bine_writer *w)
{
    if (w == NULL)
        return bine__fail(BINE_EINVAL, "bine_writer_close: the writer is NULL");
    bine__pipe_close(bine__pipe_of_writer(w), (bine__result){.state = BINE_EEND});
    return BINE_OK;
}

int bine_writer_fail(bine_writer *w, int code, const char *message)
{
    if (w == NULL)
        return bine__fail(BINE_EINVAL, "bine_writer_fail: the writer is NULL");
    if (code >= 0)
        return bine__fail(BINE_EINVAL, "bine_writer_fail: the code %d is not negative", code);
    bine__pipe_close(bine__pipe_of_writer(w), bine__rejection(code, message));
    return BINE_OK;
}

void bine__pipe_add_writer(bine__pipe *p)
{
    lock(p);
    p->writers++;
    unlock(p);
}

void bine__pipe_drop_writer(bine__pipe *p)
{
    bool last;

    lock(p);
    p->writers--;
    last = p->writers == 0;
    if (last && !p->closed) {
        p->closed = true;
        changed(p);
    }
    unlock(p);
    if (last)
        bine__pipe_let_go(p);
}

bine_writer *bine_writer_retain(bine_writer *w)
{
    if (w != NULL)
        bine__pipe_add_writer(bine__pipe_of_writer(w));
    return w;
}

void bine_writer_release(bine_writer *w)
{
    if (w != NULL)
        bine__pipe_drop_writer(bine__pipe_of_writer(w));
}

/* ---- getting ---- */

/* Gets without waiting, behind those that wait. Owner, lock held. */
static int get_here(bine__pipe *p, bine__item *out)
{
    const exchange *from;

    if (p->getters.first != NULL)
        move_on(p);
    if (p->ring.count > 0) {
        *out = pop(&p->ring);
        if (p->putters.first != NULL)
            move_on(p);
        return BINE_OK;
    }
    from = p->closed ? NULL : first_of(&p->putters);
    if (from != NULL) {
        *out = from->item;
        serve(&p->putters, 0);
        return BINE_OK;
    }
    if (p->gone)
        return BINE_ECLOSED;
    return p->closed || p->readers == 0 ? BINE_EEND : BINE_EAGAIN; /* without readers: over its head */
}

int bine__pipe_try_get(bine__pipe *p, bine__item *out)
{
    int status;

    lock(p);
    status = get_here(p, out);
    unlock(p);
    return status;
}

/* Waits as one that writers elsewhere may count on: what they have left meanwhile is looked for once more
 * when its time is over. */
static int wait_hungry(bine__pipe *p, exchange *x, int64_t deadline)
{
    int status;

    lock(p);
    p->hungry++;
    unlock(p);
    status = wait_in(p, &p->getters, x, deadline);
    if (x->done)
        return status;
    lock(p);
    p->hungry--;
    if (status == BINE_OK || status == BINE_ETIMEDOUT) {
        int found = get_here(p, &x->item);

        status = found == BINE_EAGAIN && status != BINE_OK ? status : found;
    }
    unlock(p);
    return status;
}

static int get_waiting(bine__pipe *p, int64_t timeout_ns, bine__item *out)
{
    int64_t deadline = bine__deadline(p->rt, timeout_ns);
    exchange x = {.describe = describe_get};
    int status = BINE_EAGAIN;

    while (status == BINE_EAGAIN)
        status = wait_hungry(p, &x, deadline);
    *out = x.item;
    return status;
}

int bine__pipe_get(bine__pipe *p, int64_t timeout_ns, bine__item *out)
{
    int status = bine__pipe_try_get(p, out);

    return status == BINE_EAGAIN ? get_waiting(p, timeout_ns, out) : status;
}

/* ---- getting values ---- */

/* A slot for what may have to be put back: a script's object that there is no memory to make a value of. */
static int promise_slot(bine__pipe *p)
{
    int status;

    lock(p);
    status = make_room(&p->ring);
    if (status == BINE_OK)
        p->ring.promised++;
    unlock(p);
    return status;
}

static void end_promise(bine__pipe *p)
{
    lock(p);
    p->ring.promised--;
    unlock(p);
}

/* Into the promised slot, unless no reader is left and the ring has gone. */
static void return_object(bine__pipe *p, void *object)
{
    bool kept;

    lock(p);
    kept = p->readers > 0;
    if (kept) {
        put_back(&p->ring, bine__item_of_object(object));
        move_on(p);
    }
    unlock(p);
    if (!kept)
        bine__python_drop_object(p->rt, object);
}

/* The value that an item stands for; what an object comes to is made here. */
static int take_value(bine__pipe *p, bine__item item, bine_value **value)
{
    void *object = bine__item_object(item);

    *value = object == NULL ? bine__item_value(item) : bine__python_value_of(p->rt, object);
    if (*value == NULL)
        return_object(p, object);
    else if (object != NULL)
        bine__python_drop_object(p->rt, object);
    return *value == NULL ? BINE_ENOMEM : BINE_OK;
}

static int explain_get(bine__pipe *p, const char *call, int status)
{
    bine__result last = {0};

    if (status == BINE_EEND && bine__pipe_is_closed(p))
        last = p->last; /* once there, it stays */
    if (last.message != NULL)
        return bine__fail(last.state, "%s", bine__result_message(&last));
    return bine__explain_wait(call, last.state != 0 ? last.state : status);
}

static int check_get(const bine_reader *r, bine_value **value, const char *call)
{
    if (value == NULL || r == NULL)
        return bine__fail(BINE_EINVAL, "%s: the reader or value is NULL", call);
    *value = NULL;
    return BINE_OK;
}

int bine_try_get(bine_reader *r, bine_value **value)
{
    bine__pipe *p = bine__pipe_of_reader(r);
    int status = check_get(r, value, "bine_try_get");
    bine__item item;

    if (status != BINE_OK)
        return status;
    if (!is_owner(p))
        return bine__fail(BINE_ETHREAD,
                          "bine_try_get: only the thread that called bine_open() may call this");
    status = promise_slot(p);
    if (status != BINE_OK)
        return explain_get(p, "bine_try_get", status);
    status = bine__pipe_try_get(p, &item);
    if (status == BINE_OK)
        status = take_value(p, item, value);
    end_promise(p);
    return status == BINE_OK ? BINE_OK : explain_get(p, "bine_try_get", status);
}

int bine_get(bine_reader *r, int64_t timeout_ns, bine_value **value)
{
    bine__pipe *p = bine__pipe_of_reader(r);
    int status = check_get(r, value, "bine_get");
    bine__item item;

    if (status != BINE_OK)
        return status;
    if (!is_owner(p))
        return bine__explain_wait("bine_get", BINE_EMICRO);
    bine__pipe_hold(p); /* the reader may be released meanwhile */
    status = promise_slot(p);
    if (status == BINE_OK) {
        status = bine__pipe_get(p, timeout_ns, &item);
        if (status == BINE_OK)
            status = take_value(p, item, value);
        end_promise(p);
    }
    if (status != BINE_OK)
        status = explain_get(p, "bine_get", status);
    bine__pipe_let_go(p);
    return status;
}

const bine_error *bine_reader_error(bine_reader *r)
{
    bine__pipe *p = bine__pipe_of_reader(r);

    if (r == NULL || !is_owner(p) || !bine__pipe_is_closed(p) || p->last.state == BINE_EEND)
        return NULL;
    if (p->error == NULL)
        p->error = bine__python_error_of(p->rt, &p->last);
    return p->error;
}

void bine__pipe_add_reader(bine__pipe *p)
{
    lock(p);
    p->readers++;
    unlock(p);
}

void bine__pipe_drop_reader(bine__pipe *p)
{
    bine__ring rest = {0};
    bool last;

    lock(p);
    p->readers--;
    last = p->readers == 0;
    if (last && is_owner(p))
        rest = take_ring(p);
    if (last)
        changed(p);
    unlock(p);
    free_ring(p->rt, &rest);
    if (last)
        bine__pipe_let_go(p);
}

void bine__pipe_empty(bine__pipe *p)
{
    bine__ring rest;

    lock(p);
    rest = take_ring(p);
    unlock(p);
    free_ring(p->rt, &rest);
}

bine_reader *bine_reader_retain(bine_reader *r)
{
    if (r != NULL)
        bine__pipe_add_reader(bine__pipe_of_reader(r));
    return r;
}

void bine_reader_release(bine_reader *r)
{
    if (r != NULL)
        bine__pipe_drop_reader(bine__pipe_of_reader(r));
}

unsigned bine__pipe_ends(bine__pipe *p)
{
    unsigned ends;

    lock(p);
    ends = p->writers + p->readers;
    unlock(p);
    return ends;
}

size_t bine__pipe_count(bine__pipe *p)
{
    size_t count;

    lock(p);
    count = p->ring.count;
    unlock(p);
    return count;
}

size_t bine_reader_count(const bine_reader *r)
{
    return r == NULL ? 0 : bine__pipe_count(bine__pipe_of_reader(r));
}

/* ---- ends as values ---- */

static const char writer_type[] = "bine_writer";
static const char reader_type[] = "bine_reader";

static void release_writer(void *w)
{
    bine_writer_release(w);
}

static void release_reader(void *r)
{
    bine_reader_release(r);
}

bine_value *bine_value_writer(bine_writer *w)
{
    return w == NULL ? NULL : bine_value_pointer(w, writer_type, release_writer);
}

bine_value *bine_value_reader(bine_reader *r)
{
    return r == NULL ? NULL : bine_value_pointer(r, reader_type, release_reader);
}

bine_writer *bine_value_as_writer(const bine_value *v)
{
    return bine_value_as_pointer(v, writer_type);
}

bine_reader *bine_value_as_reader(const bine_value *v)
{
    return bine_value_as_pointer(v, reader_type);
}
