/* One turn of the runtime: look up, run what is ready, as far as the budget goes. */
#include "core/runtime.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

/* How often a busy turn looks up at the world, at the least. */
#define LOOK_UP_NS 100000
/* The clock is read once for a window of jobs. A window is at most this many jobs, and meant
 * to be at most this long, going by the one before. */
#define WINDOW_MAX 128
#define WINDOW_NS 10000
/* bine_run() gives Python's other threads a chance this often. */
#define SLICE_NS 10000000

static int count_objects(struct dl_phdr_info *info, size_t size, void *out)
{
    (void)size;
    *(unsigned long long *)out = info->dlpi_adds;
    return 1; /* the first one knows it all */
}

/* C++ exceptions must be kept per stack as soon as there is C++ in the process. An extension
 * module may bring it in at any time. */
static void notice_cxx(bine *rt)
{
    unsigned long long objects = 0;
    void *library;
    void *symbol;

    if (rt->cxa_globals != NULL)
        return;
    dl_iterate_phdr(count_objects, &objects);
    if (objects == rt->loaded_objects)
        return;
    rt->loaded_objects = objects;
    /* A C++ host has its own, of whatever library; else an extension module has brought one in. */
    symbol = dlsym(RTLD_DEFAULT, "__cxa_get_globals");
    library = symbol != NULL ? NULL : dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (library != NULL)
        symbol = dlsym(library, "__cxa_get_globals");
    *(void **)&rt->cxa_globals = symbol;
    /* The handle stays open: the address must stay good. */
}

/* Python has a signal to handle: the main script does it, else the oldest one. */
static void deliver_interrupt(bine *rt)
{
    bine__micro *micro = rt->main != NULL ? rt->main : rt->oldest;

    if (micro != NULL && micro != rt->current)
        bine__micro_interrupt(micro, BINE__SIGNAL);
}

/* Takes in what other threads sent, what descriptors and clocks say. Only enqueues. */
static void look_up(bine *rt)
{
    if (!bine__reactor_intact(rt->reactor))
        bine__descriptors_lost(rt, false);
    bine__reactor_poll(rt->reactor, 0);
    bine__inbox_drain(rt->inbox, &rt->ready);
    if (rt->timers.count > 0)
        bine__timers_fire(&rt->timers, bine__now(rt));
    if (atomic_load_explicit(&rt->interrupted, memory_order_relaxed) &&
        atomic_exchange(&rt->interrupted, false))
        deliver_interrupt(rt);
    notice_cxx(rt);
}

/* Runs at most `most` jobs; micro-threads hand over to each other meanwhile. */
static uint64_t run_jobs(bine *rt, size_t most)
{
    uint64_t start = rt->ready.out;

    rt->stop = start + most;
    while (rt->ready.out < rt->stop) {
        bine__job *job = bine__queue_pop(&rt->ready);

        if (job == NULL)
            break;
        job->run(rt, job);
    }
    return rt->ready.out - start;
}

static size_t next_window(size_t window, uint64_t jobs, int64_t elapsed)
{
    int64_t per_job = jobs == 0 ? 0 : elapsed / (int64_t)jobs;

    if (per_job * (int64_t)window > WINDOW_NS)
        return window > 1 ? window / 2 : 1;
    if (per_job * (int64_t)window * 2 > WINDOW_NS || window == WINDOW_MAX)
        return window;
    return window * 2;
}

/* Runs jobs until none is ready or the clock has reached `end`. */
static uint64_t run_until(bine *rt, int64_t now, int64_t end)
{
    int64_t looked_up = now;
    uint64_t done = 0;
    size_t window = 1;

    while (rt->ready.head != NULL) {
        int64_t before = now;
        uint64_t jobs = run_jobs(rt, window);

        done += jobs;
        now = bine__budget_now(rt);
        if (now >= end)
            break;
        if (rt->ready.head == NULL || now - looked_up >= LOOK_UP_NS) {
            look_up(rt);
            looked_up = now;
        }
        window = next_window(window, jobs, now - before);
    }
    return done;
}

static uint64_t turn(bine *rt, int64_t budget_ns)
{
    uint64_t done;
    int64_t now;

    rt->ticking = true;
    look_up(rt);
    if (rt->ready.head == NULL) {
        rt->ticking = false;
        return 0;
    }
    bine__gil_take(rt);
    if (budget_ns < 0) {
        done = run_jobs(rt, bine__queue_count(&rt->ready));
    } else {
        now = bine__budget_now(rt);
        done = run_until(rt, now, budget_ns > INT64_MAX - now ? INT64_MAX : now + budget_ns);
    }
    bine__gil_give(rt);
    rt->ticking = false;
    return done;
}

static int check_turn(const bine *rt, const char *call)
{
    int status = bine__check_owner(rt, call);

    if (status == BINE_OK && rt->ticking)
        status = bine__fail(BINE_EBUSY, "%s: called from inside a tick", call);
    if (status == BINE_OK && rt->gil_depth != 0)
        status = bine__fail(BINE_EBUSY, "%s: called between bine_python_enter() and bine_python_leave()",
                            call);
    return status;
}

static int64_t next_wake(const bine *rt)
{
    int64_t next;
    int64_t now;

    if (rt->ready.head != NULL)
        return 0;
    next = bine__timers_next(&rt->timers);
    if (next == BINE__NEVER)
        return -1;
    now = bine__now(rt);
    return next > now ? next - now : 0;
}

int bine_tick(bine *rt, int64_t budget_ns, bine_tick_info *info)
{
    int status = check_turn(rt, "bine_tick");
    int64_t start;
    uint64_t jobs;

    if (status != BINE_OK)
        return status;
    if (info != NULL && info->struct_size != sizeof *info)
        return bine__fail(BINE_EINVAL, "bine_tick: info->struct_size is not set");
    start = info != NULL ? bine__budget_now(rt) : 0;
    jobs = turn(rt, budget_ns);
    if (info != NULL)
        *info = (bine_tick_info){
            .struct_size = sizeof *info,
            .jobs = jobs,
            .ready = bine__queue_count(&rt->ready),
            .alive = rt->alive,
            .elapsed_ns = bine__budget_now(rt) - start,
            .next_wake_ns = next_wake(rt),
        };
    return BINE_OK;
}

static bool all_done(bine *rt)
{
    bine__inbox_drain(rt->inbox, &rt->ready);
    return rt->alive == 0 && rt->ready.head == NULL;
}

int bine_run(bine *rt, bine_run_mode mode)
{
    int status = check_turn(rt, "bine_run");

    if (status != BINE_OK)
        return status;
    if (mode != BINE_RUN_DEFAULT && mode != BINE_RUN_ONCE && mode != BINE_RUN_NOWAIT)
        return bine__fail(BINE_EINVAL, "bine_run: unknown mode %d", (int)mode);
    while (!all_done(rt)) {
        uint64_t jobs;
        int64_t wait = mode == BINE_RUN_NOWAIT ? 0 : next_wake(rt);

        if (wait != 0) {
            bine__signals_attend(rt);
            bine__reactor_poll(rt->reactor, wait);
            bine__signals_release(rt);
        }
        jobs = turn(rt, SLICE_NS);
        if (mode == BINE_RUN_NOWAIT || (mode == BINE_RUN_ONCE && jobs > 0))
            return all_done(rt) ? 0 : 1;
    }
    return 0;
}

/* ---- posted tasks ---- */

typedef struct post {
    bine__job job; /* first */
    bine_task task;
    void *user;
    bine_free release;
} post;

static void run_post(bine *rt, bine__job *job)
{
    post *p = (post *)(void *)job;

    if (!rt->closing) {
        p->task(rt, p->user);
        bine__python_end_callback(rt, "a task");
    }
    bine__release(p->user, p->release);
    free(p);
}

int bine_post(bine *rt, bine_task task, void *user, bine_free release)
{
    post *p;

    if (rt == NULL || task == NULL)
        return bine__refuse(BINE_EINVAL, user, release, "bine_post", "the runtime or the task is NULL");
    p = malloc(sizeof *p);
    if (p == NULL)
        return bine__refuse(BINE_ENOMEM, user, release, "bine_post", "out of memory");
    *p = (post){.job.run = run_post, .task = task, .user = user, .release = release};
    if (rt == bine__here && !rt->closing) {
        bine__ready(rt, &p->job);
        return BINE_OK;
    }
    if (bine__inbox_push(rt->inbox, &p->job))
        return BINE_OK;
    free(p);
    return bine__refuse(BINE_ECLOSED, user, release, "bine_post", "the runtime is closed");
}

/* ---- shutting down ---- */

static void tell_survivors(bine *rt, bine__job *job)
{
    (void)job;
    if (rt->alive > 0 && !rt->closing)
        bine__python_report_survivors(rt, "has not ended within the grace");
}

static void on_grace_over(bine__timer *timer)
{
    bine *rt = (bine *)(void *)((char *)timer - offsetof(bine, grace));

    bine__ready(rt, &rt->grace_over);
}

int bine_shutdown(bine *rt, int64_t grace_ns)
{
    int status = bine__check_owner(rt, "bine_shutdown");

    if (status != BINE_OK)
        return status;
    if (rt->shutting_down)
        return BINE_OK;
    rt->grace.fire = on_grace_over;
    rt->grace_over.run = tell_survivors;
    if (rt->alive > 0 &&
        bine__timer_set(&rt->timers, &rt->grace, bine__deadline(rt, grace_ns < 0 ? 0 : grace_ns)) != 0)
        return bine__fail(BINE_ENOMEM, "bine_shutdown: out of memory");
    rt->shutting_down = true;
    for (bine__micro *micro = rt->newest; micro != NULL; micro = micro->older)
        bine__micro_interrupt(micro, BINE__EXIT);
    return BINE_OK;
}
