#include "python/stall.h"

#include "core/clock.h"
#include "python/python.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* How often it looks within the time that is too long, and how often in vain before it sleeps. */
#define LOOKS 8
#define VAIN_LOOKS 16

struct bine__stalls {
    bine *rt;
    pthread_t thread;
    bool started;      /* owner thread */
    atomic_uint turns; /* odd: one is given */
    atomic_bool urged; /* the interpreter, to see to that soon */
    atomic_bool asked; /* to be told, of: */
    _Atomic uint64_t job;
    _Atomic int64_t since;
    _Atomic int64_t until; /* when it was over, if the looks have seen that; else 0 */
    pthread_mutex_t lock;
    pthread_cond_t news;
    atomic_bool asleep; /* set under the lock */
    bool over;          /* under the lock */
};

/* The job that runs, or has last run: by its number. */
static uint64_t running_job(const bine *rt)
{
    return __atomic_load_n(&rt->ready.out, __ATOMIC_RELAXED);
}

/* ---- telling ---- */

/* New, UTF-8, or NULL. */
static PyObject *place_of(PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *text = PyUnicode_FromFormat("%U:%d, in %U", code->co_filename, PyFrame_GetLineNumber(frame),
                                          code->co_qualname);
    PyObject *utf8 = text == NULL ? NULL : PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");

    Py_DECREF(code);
    Py_XDECREF(text);
    PyErr_Clear();
    return utf8;
}

/* It still runs: the caller is part of it. */
static void tell_running(bine *rt, int64_t ms)
{
    PyFrameObject *frame = PyEval_GetFrame();
    PyObject *place = frame == NULL ? NULL : place_of(frame);
    const char *where = place == NULL ? "no script" : PyBytes_AS_STRING(place);

    if (rt->current == &rt->host)
        bine__log(rt, BINE_LOG_WARNING, "a callback has held the loop for %lld ms: %s", (long long)ms, where);
    else
        bine__log(rt, BINE_LOG_WARNING, "micro-thread '%s' has held the loop for %lld ms: %s",
                  bine__python_name(rt->current), (long long)ms, where);
    Py_XDECREF(place);
}

static void tell(bine *rt, struct bine__stalls *s)
{
    int64_t since = atomic_load(&s->since);
    int64_t until = atomic_load(&s->until);

    if (running_job(rt) == atomic_load(&s->job) && atomic_load(&s->turns) % 2 == 1)
        tell_running(rt, (bine__monotonic(NULL) - since) / 1000000);
    else
        bine__log(rt, BINE_LOG_WARNING, "something that ran no script has held the loop for %lld ms",
                  (long long)(((until != 0 ? until : bine__monotonic(NULL)) - since) / 1000000));
    atomic_store(&s->asked, false);
}

/* A pending call of the interpreter's: on the owner thread, GIL held, between two instructions. */
static int on_pending(void *unused)
{
    bine *rt = bine__here;

    (void)unused;
    if (rt != NULL && rt->stalls != NULL && atomic_load(&rt->stalls->asked))
        tell(rt, rt->stalls);
    return 0;
}

/* ---- the thread ---- */

/* What was seen at a look. */
typedef struct look {
    unsigned turn;
    uint64_t job;
    int64_t since;
    int64_t limit; /* when it lasts longer it is to be told */
    int vain;      /* looks between turns, one after another */
} look;

static void ask(struct bine__stalls *s, const look *l)
{
    atomic_store(&s->job, l->job);
    atomic_store(&s->since, l->since);
    atomic_store(&s->until, 0);
    atomic_store(&s->urged, false);
    atomic_store(&s->asked, true);
    if (Py_AddPendingCall(on_pending, NULL) == 0) {
        bine__hurry(s->rt->tstate);
        atomic_store(&s->urged, true);
    } else {
        atomic_store(&s->asked, false); /* there are too many: at the next look */
    }
}

static void look_again(struct bine__stalls *s, look *l)
{
    int64_t now = bine__monotonic(NULL);
    unsigned turn = atomic_load(&s->turns);
    uint64_t job = running_job(s->rt);

    l->vain = turn % 2 == 0 ? l->vain + 1 : 0;
    if (turn != l->turn || job != l->job || turn % 2 == 0) {
        if (atomic_load(&s->asked) && atomic_load(&s->until) == 0 && atomic_load(&s->job) != job)
            atomic_store(&s->until, now);
        *l = (look){turn, job, now, s->rt->config.stall_ns, l->vain};
        return;
    }
    if (now - l->since < l->limit || atomic_load(&s->asked))
        return;
    ask(s, l);
    l->limit *= 2;
}

/* Under the lock. */
static void rest(struct bine__stalls *s, look *l)
{
    int64_t next = bine__monotonic(NULL) + s->rt->config.stall_ns / LOOKS + 1;
    struct timespec limit = {next / 1000000000, next % 1000000000};

    if (l->vain < VAIN_LOOKS) {
        pthread_cond_timedwait(&s->news, &s->lock, &limit);
        return;
    }
    atomic_store(&s->asleep, true);
    if (atomic_load(&s->turns) % 2 == 0)
        pthread_cond_wait(&s->news, &s->lock);
    atomic_store(&s->asleep, false);
    l->vain = 0;
}

static void *watch(void *arg)
{
    struct bine__stalls *s = arg;
    look l = {0};

    pthread_setname_np(pthread_self(), "bine stalls");
    pthread_mutex_lock(&s->lock);
    while (!s->over) {
        look_again(s, &l);
        rest(s, &l);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void init_lock(struct bine__stalls *s)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->news, &attr);
    pthread_condattr_destroy(&attr);
    atomic_store(&s->asleep, false);
}

/* The host's signals are for its own threads. */
static void start(struct bine__stalls *s)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->started = pthread_create(&s->thread, NULL, watch, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- turns ---- */

void bine__stalls_turn(bine *rt)
{
    struct bine__stalls *s = rt->stalls;

    if (!s->started)
        start(s);
    atomic_fetch_add(&s->turns, 1);
    if (!atomic_load(&s->asleep))
        return;
    pthread_mutex_lock(&s->lock);
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
}

void bine__stalls_turned(bine *rt)
{
    atomic_fetch_add(&rt->stalls->turns, 1);
}

int bine__stalls_open(bine *rt)
{
    if (rt->config.stall_ns <= 0)
        return 0;
    rt->stalls = calloc(1, sizeof *rt->stalls);
    if (rt->stalls == NULL)
        return -1;
    rt->stalls->rt = rt;
    init_lock(rt->stalls);
    return 0;
}

void bine__stalls_close(bine *rt)
{
    struct bine__stalls *s = rt->stalls;

    rt->stalls = NULL;
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->over = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
    if (s->started)
        pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->news);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void bine__stalls_forked(bine *rt)
{
    if (rt->stalls == NULL)
        return;
    init_lock(rt->stalls);
    rt->stalls->started = false;
    atomic_store(&rt->stalls->asked, false);
}

bool bine__stalls_asked(const bine *rt)
{
    return atomic_load(&rt->stalls->asked) && atomic_load(&rt->stalls->urged);
}

bool bine__stalls_asleep(const bine *rt)
{
    return atomic_load(&rt->stalls->asleep);
}
