#include "service/pool.h"

#include "core/clock.h"
#include "core/sanitizer.h"
#include "service/lookout.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

/* A thread that has had nothing to do for so long ends. */
#define IDLE_SECONDS 10
/* Enough for name servers' plug-ins, and for an audit hook. */
#define STACK_SIZE ((size_t)1 << 20)
#define MOST_THREADS 16

/* Works that are brief. To wake a thread, and the loop in return, takes longer than they do. */
#define LOOK_NS 20000     /* so long the owner thread looks out for one's end */
#define LINGER_NS 50000   /* so long a thread looks out for the next, when they come */
#define CLOSELY_NS 200000 /* in such distances */

static const struct lane_kind {
    const char *thread_name;
    unsigned threads;
} kinds[BINE__LANES] = {
    [BINE__FILES] = {"bine files", 4},
    [BINE__NAMES] = {"bine names", MOST_THREADS},
    [BINE__CHILDREN] = {"bine children", MOST_THREADS},
    [BINE__REST] = {"bine rest", 8},
};

typedef struct lane lane;

/* Of a work. */
enum stage {
    SENT,       /* its end comes by the inbox */
    LOOKED_FOR, /* the owner thread looks out for it */
    OVER        /* it need not look any more */
};

typedef struct thread {
    pthread_t id;
    lane *of;
    bool lives;       /* and is to be joined, unless it is left behind */
    bool ended;       /* likewise: joining does not wait */
    bine__work *work; /* that it does; stays, for all to see whose it is, where that ends the thread */
    int64_t done_at;  /* its own: when the last one was done; */
    bool closely;     /* brief works come closely one behind another */
} thread;

struct lane {
    struct bine__pool *pool;
    const struct lane_kind *kind;
    bine__work *first;
    bine__work *last; /* meaningless while there is no first */
    unsigned queued;
    unsigned idle;    /* threads that wait for work */
    bool lingers;     /* another one looks out for work, and need not be woken */
    atomic_uint sent; /* changes with each work; without the lock */
    pthread_cond_t news;
    thread threads[MOST_THREADS];
};

struct bine__pool {
    bine *rt;
    pthread_mutex_t lock; /* for what is below, and the works' `next` and `begun` */
    bool over;
    bool dismissed; /* idle threads are to end */
    lane lanes[BINE__LANES];
    bine__work *lost;    /* done when nobody was there to take it any more */
    size_t awaited;      /* owner thread: works that somebody waits for; */
    struct wish *wishes; /* those who do so */
};

static unsigned generation; /* of works; another in the child of a fork. Owner thread */

/* ---- lines ---- */

static void push(lane *l, bine__work *work)
{
    work->next = NULL;
    if (l->first == NULL)
        l->first = work;
    else
        l->last->next = work;
    l->last = work;
    l->queued++;
}

static bine__work *pop(lane *l)
{
    bine__work *work = l->first;

    l->first = work->next;
    l->queued--;
    work->begun = true;
    return work;
}

static void unlink_work(lane *l, const bine__work *work)
{
    bine__work **link = &l->first;
    bine__work *before = NULL;

    while (*link != work) {
        before = *link;
        link = &before->next;
    }
    *link = work->next;
    if (l->last == work)
        l->last = before;
    l->queued--;
}

/* ---- the threads ---- */

/* Looks out for work, under the lock, which it leaves meanwhile. */
static void linger(lane *l)
{
    unsigned sent = atomic_load(&l->sent);

    if (l->lingers || l->first != NULL)
        return;
    l->lingers = true;
    pthread_mutex_unlock(&l->pool->lock);
    bine__look_out(&l->sent, sent, LINGER_NS);
    pthread_mutex_lock(&l->pool->lock);
    l->lingers = false;
}

/* Under the lock. False: it is over, or there was nothing for long, or nothing while idle threads are to end.
 */
static bool await_work(thread *self)
{
    lane *l = self->of;
    struct timespec limit;
    int status = 0;

    if (self->closely)
        linger(l);
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += IDLE_SECONDS;
    l->idle++;
    while (l->first == NULL && !l->pool->over && !l->pool->dismissed && status != ETIMEDOUT)
        status = pthread_cond_timedwait(&l->news, &l->pool->lock, &limit);
    l->idle--;
    return l->first != NULL && !l->pool->over;
}

/* Where nobody takes it, nobody frees it: it is kept to be found. */
static void hand_back(struct bine__pool *pool, bine__work *work)
{
    if (bine__inbox_push(pool->rt->inbox, &work->job))
        return;
    pthread_mutex_lock(&pool->lock);
    work->next = pool->lost;
    pool->lost = work;
    pthread_mutex_unlock(&pool->lock);
}

static void run_work(thread *self, bine__work *work)
{
    bool brief = work->brief && bine__has_processors();
    int64_t begun = brief ? bine__monotonic(NULL) : 0;

    work->run(work);
    if (brief) {
        bool closely = begun - self->done_at < CLOSELY_NS;

        self->done_at = bine__monotonic(NULL);
        brief = closely && self->done_at - begun < LOOK_NS;
    }
    self->closely = brief;
}

/* True: then whose it was has it back already. */
static bool is_looked_for(bine__work *work)
{
    unsigned stage = LOOKED_FOR;

    return atomic_compare_exchange_strong(&work->stage, &stage, OVER);
}

static void serve(thread *self)
{
    struct bine__pool *pool = self->of->pool;

    pthread_mutex_lock(&pool->lock);
    while (await_work(self)) {
        bine__work *work = pop(self->of);

        self->work = work;
        pthread_mutex_unlock(&pool->lock);
        run_work(self, work);
        pthread_mutex_lock(&pool->lock);
        self->work = NULL;
        if (is_looked_for(work))
            continue;
        pthread_mutex_unlock(&pool->lock);
        hand_back(pool, work);
        pthread_mutex_lock(&pool->lock);
    }
    self->ended = true;
    pthread_mutex_unlock(&pool->lock);
}

static void *run_thread(void *self)
{
    pthread_cleanup_push(bine__thread_exits, NULL); /* by CPython, when the interpreter has gone */
    serve(self);
    pthread_cleanup_pop(false);
    return NULL;
}

static int create_thread(thread *t)
{
    pthread_attr_t attr;
    sigset_t all;
    sigset_t before;
    int status = pthread_attr_init(&attr);

    if (status != 0)
        return status;
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the host's signals are for its own threads */
    status = pthread_create(&t->id, &attr, run_thread, t);
    if (status == 0)
        pthread_setname_np(t->id, t->of->kind->thread_name);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return status;
}

/* Under the lock: a place for another thread; NULL: there are as many as may be. */
static thread *free_place(lane *l)
{
    for (unsigned i = 0; i < l->kind->threads; i++) {
        thread *t = &l->threads[i];

        if (t->ended)
            pthread_join(t->id, NULL);
        if (t->ended || !t->lives) {
            *t = (thread){.of = l};
            return t;
        }
    }
    return NULL;
}

static bool has_threads(const lane *l)
{
    for (unsigned i = 0; i < l->kind->threads; i++)
        if (l->threads[i].lives && !l->threads[i].ended)
            return true;
    return false;
}

/* Under the lock: sees to it that somebody takes what stands in line. False: nobody ever will. */
static bool find_hands(lane *l)
{
    unsigned awake = l->lingers ? 1 : 0;
    thread *t = l->queued > l->idle + awake ? free_place(l) : NULL;

    if (t != NULL)
        t->lives = create_thread(t) == 0;
    if (l->queued > awake)
        pthread_cond_signal(&l->news);
    return has_threads(l);
}

/* ---- the pool ---- */

/* Both sides have it for moments only. */
static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

static void init_locks(struct bine__pool *pool)
{
    pthread_condattr_t attr;

    init_lock(&pool->lock);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (unsigned i = 0; i < BINE__LANES; i++) {
        pool->lanes[i] = (lane){.pool = pool, .kind = &kinds[i]};
        pthread_cond_init(&pool->lanes[i].news, &attr);
    }
    pthread_condattr_destroy(&attr);
}

static struct bine__pool *pool_of(bine *rt)
{
    if (rt->pool == NULL) {
        rt->pool = calloc(1, sizeof *rt->pool);
        if (rt->pool == NULL)
            return NULL;
        rt->pool->rt = rt;
        init_locks(rt->pool);
    }
    return rt->pool;
}

bool bine__pool_awaited(const bine *rt)
{
    return rt->pool != NULL && rt->pool->awaited > 0;
}

static void dismiss_idle(lane *l)
{
    for (unsigned i = 0; i < MOST_THREADS; i++) {
        thread *t = &l->threads[i];
        bool ends;

        pthread_mutex_lock(&l->pool->lock);
        ends = t->lives && t->work == NULL && l->first == NULL;
        pthread_cond_broadcast(&l->news);
        pthread_mutex_unlock(&l->pool->lock);
        if (!ends)
            continue;
        pthread_join(t->id, NULL);
        *t = (thread){.of = l};
    }
}

void bine__pool_before_fork(bine *rt)
{
    if (rt->pool == NULL)
        return;
    pthread_mutex_lock(&rt->pool->lock);
    rt->pool->dismissed = true;
    pthread_mutex_unlock(&rt->pool->lock);
    for (unsigned i = 0; i < BINE__LANES; i++)
        dismiss_idle(&rt->pool->lanes[i]);
    pthread_mutex_lock(&rt->pool->lock);
    rt->pool->dismissed = false;
    pthread_mutex_unlock(&rt->pool->lock);
}

/* True: it is waited for. False: it is busy, and stays behind. */
static bool let_go(struct bine__pool *pool, thread *t)
{
    bool busy;

    pthread_mutex_lock(&pool->lock);
    busy = t->work != NULL;
    pthread_mutex_unlock(&pool->lock);
    if (busy)
        pthread_detach(t->id);
    else
        pthread_join(t->id, NULL);
    t->lives = false;
    return !busy;
}

static bool let_all_go(struct bine__pool *pool)
{
    bool all = true;

    for (unsigned i = 0; i < BINE__LANES; i++)
        for (unsigned j = 0; j < MOST_THREADS; j++)
            if (pool->lanes[i].threads[j].lives && !let_go(pool, &pool->lanes[i].threads[j]))
                all = false;
    return all;
}

void bine__pool_close(bine *rt)
{
    struct bine__pool *pool = rt->pool;

    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->over = true;
    for (unsigned i = 0; i < BINE__LANES; i++)
        pthread_cond_broadcast(&pool->lanes[i].news);
    pthread_mutex_unlock(&pool->lock);
    if (!let_all_go(pool))
        return; /* it stays, with the runtime's remains, for those that are behind */
    for (unsigned i = 0; i < BINE__LANES; i++)
        pthread_cond_destroy(&pool->lanes[i].news);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
    rt->pool = NULL;
}

/* ---- one that waits ---- */

typedef struct wish {
    bine__describe describe; /* first */
    bine__work *work;
    bine__micro *micro;
    bine__timer timer; /* real time */
    struct wish *next, **link;
    bool late;
    bool forsaken; /* in the child of a fork: the thread is the parent's */
} wish;

static PyObject *describe(const void *what)
{
    const wish *w = what;

    return PyUnicode_FromString(w->work->what != NULL ? w->work->what : "a thread of the pool");
}

static void on_late(bine__timer *timer)
{
    wish *w = (wish *)(void *)((char *)timer - offsetof(wish, timer));

    w->late = true;
    bine__micro_wake(w->micro, w);
}

/* bine__job.run: it is back on the owner thread. */
static void take_back(bine *rt, bine__job *job)
{
    bine__work *work = (bine__work *)(void *)((char *)job - offsetof(bine__work, job));

    (void)rt;
    if (work->generation != generation)
        return; /* the parent's, before a fork */
    work->done = true;
    if (work->micro != NULL)
        bine__micro_wake(work->micro, work->wish);
    else
        work->drop(work);
}

static void run_here(bine *rt, bine__work *work)
{
    PyEval_SaveThread();
    work->run(work);
    PyEval_RestoreThread(rt->tstate);
    work->done = true;
}

/* Whether it is in line, or done; false: it has to be done here. */
static bool submit(lane *l, bine__work *work)
{
    bool taken;

    pthread_mutex_lock(&l->pool->lock);
    if (work->brief && work->micro != NULL && l->lingers && l->first == NULL)
        atomic_store(&work->stage, LOOKED_FOR);
    push(l, work);
    taken = find_hands(l);
    if (!taken)
        unlink_work(l, work);
    pthread_mutex_unlock(&l->pool->lock);
    atomic_fetch_add(&l->sent, 1);
    return taken;
}

/* Whether it has been done before anybody had to wait for it. */
static bool is_done_soon(bine__work *work)
{
    unsigned stage = LOOKED_FOR;

    if (atomic_load(&work->stage) == SENT)
        return false;
    work->done = bine__look_out(&work->stage, LOOKED_FOR, LOOK_NS) ||
                 !atomic_compare_exchange_strong(&work->stage, &stage, SENT);
    return work->done;
}

/* Out of the line. False: it has begun. */
static bool take_out(lane *l, bine__work *work)
{
    bool queued;

    pthread_mutex_lock(&l->pool->lock);
    queued = !work->begun;
    if (queued)
        unlink_work(l, work);
    pthread_mutex_unlock(&l->pool->lock);
    return queued;
}

/* It is not waited for to its end, if that can be. False: it must be. */
static bool give_up(lane *l, bine__work *work)
{
    if (take_out(l, work)) {
        if (work->drop != NULL)
            work->drop(work);
        return true;
    }
    if (work->drop == NULL)
        return false;
    work->micro = NULL;
    return true;
}

/* It is nobody's any more. */
static int refuse(bine__work *work, int status)
{
    if (work->drop != NULL)
        work->drop(work);
    return status;
}

/* As with an error of the system: whether it has been done, nobody knows here. */
static int tell_forsaken(bine__work *work)
{
    PyObject *error = Py_BuildValue("is", ECANCELED,
                                    "the thread that was to do this stayed in the parent of a fork");

    if (error != NULL)
        PyErr_SetObject(PyExc_OSError, error);
    Py_XDECREF(error);
    return refuse(work, BINE_EIO);
}

static int wait_for(bine *rt, lane *l, wish *w)
{
    int status = BINE_OK;

    while (!w->work->done && !w->forsaken && status == BINE_OK) {
        status = bine__stand(rt, NULL, BINE__NEVER, w);
        if (!w->work->done && !w->forsaken && status == BINE_OK && w->late)
            status = BINE_ETIMEDOUT;
    }
    if (!w->work->done && !w->forsaken && give_up(l, w->work))
        return status;
    while (!w->work->done && !w->forsaken)
        bine__park(rt, NULL, BINE__NEVER, w); /* whatever is pending */
    return w->work->done ? BINE_OK : tell_forsaken(w->work);
}

static void link_wish(struct bine__pool *pool, wish *w)
{
    w->next = pool->wishes;
    w->link = &pool->wishes;
    if (w->next != NULL)
        w->next->link = &w->next;
    pool->wishes = w;
    pool->awaited++;
}

static void unlink_wish(struct bine__pool *pool, const wish *w)
{
    *w->link = w->next;
    if (w->next != NULL)
        w->next->link = w->link;
    pool->awaited--;
}

/* When the host forks, those that wait are here, too. */
static void forsake_all(struct bine__pool *pool)
{
    for (wish *w = pool->wishes; w != NULL; w = w->next) {
        w->forsaken = true;
        bine__micro_wake(w->micro, w);
    }
}

void bine__pool_forked(bine *rt)
{
    struct bine__pool *pool = rt->pool;

    if (pool == NULL)
        return;
    init_locks(pool); /* what was there is the parent's */
    pool->lost = NULL;
    generation++;
    if (rt->current == &rt->host) {
        forsake_all(pool);
        return;
    }
    pool->awaited = 0;
    pool->wishes = NULL;
}

/* When a thread has done its work is no matter of game time: there, files are read while the world stands
 * still. */
static bool is_deterministic(const bine *rt, const lane *l)
{
    return rt->real_timers == &rt->timers && l == &l->pool->lanes[BINE__FILES];
}

static int stand_in_line(bine *rt, lane *l, wish *w)
{
    int status;

    if (is_deterministic(rt, l) || !submit(l, w->work)) {
        run_here(rt, w->work);
        return BINE_OK;
    }
    if (is_done_soon(w->work))
        return BINE_OK;
    link_wish(l->pool, w);
    status = wait_for(rt, l, w);
    unlink_wish(l->pool, w);
    return status;
}

static void prepare(bine__work *work, bine__micro *micro, const void *parked_on)
{
    work->job.run = take_back;
    work->micro = micro;
    work->wish = parked_on;
    work->generation = generation;
    atomic_init(&work->stage, SENT);
    work->begun = false;
    work->done = false;
}

int bine__offload(bine *rt, bine__lane which, bine__work *work, int64_t deadline)
{
    wish w = {.describe = describe, .work = work, .timer.fire = on_late};
    int status = bine__may_wait(rt);
    struct bine__pool *pool;

    if (status != BINE_OK)
        return refuse(work, status);
    pool = pool_of(rt);
    if (pool == NULL)
        return refuse(work, BINE_ENOMEM);
    prepare(work, rt->current, &w);
    w.micro = rt->current;
    if (deadline != BINE__NEVER && bine__timer_set(rt->real_timers, &w.timer, deadline) != 0)
        return refuse(work, BINE_ENOMEM);
    status = stand_in_line(rt, &pool->lanes[which], &w);
    bine__timer_stop(&w.timer);
    return status;
}

bool bine__pool_send(bine *rt, bine__lane which, bine__work *work)
{
    struct bine__pool *pool = pool_of(rt);

    if (pool == NULL)
        return false;
    prepare(work, NULL, NULL);
    return submit(&pool->lanes[which], work);
}

int bine__pool_stand(bine *rt, bine__waiters *among, void *what)
{
    struct bine__pool *pool = rt->pool;
    int status;

    pool->awaited++;
    status = bine__stand(rt, among, BINE__NEVER, what);
    pool->awaited--;
    return status;
}
