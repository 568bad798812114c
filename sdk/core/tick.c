/* One turn of the runtime: look up, run what is ready, as far as the budget goes. */
#include "core/runtime.h"

#include "reactor/guest.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

/* How often a busy turn looks up at the world, at the least. */
#define LOOK_UP_NS 100000
/* The clock is read once for a window of jobs. A window is at most this many jobs, and meant
 * to be at most this long, going by the one before. */
#define WINDOW_MAX 128
#define WINDOW_NS 10000
/* How far apart frames are on a loop that has none of its own. */
#define FRAME_NS 16666667
/* In deterministic mode, where a tick must not go by the clock, a job counts for this. */
#define JOB_NS 1000

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
    bine__wake_all(&rt->signalled); /* when that has handled it */
}

/* Takes in what other threads sent, what descriptors and clocks say. Only enqueues. */
static void look_up(bine *rt)
{
    const bine__reactor_kind *reactor = rt->reactor->kind;

    if (reactor->poll != NULL)
        reactor->poll(rt->reactor, 0);
    bine__inbox_drain(rt->inbox, &rt->ready);
    if (rt->timers.count > 0)
        bine__timers_fire(&rt->timers, bine__now(rt));
    if (rt->on_real.count > 0)
        bine__timers_fire(&rt->on_real, bine__real_now(rt));
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
        if (rt->timing)
            bine__job_begins(rt, &rt->host);
        job->run(rt, job);
        if (rt->timing)
            bine__job_ends(rt, NULL);
    }
    return rt->ready.out - start;
}

static size_t next_window(size_t window, uint64_t jobs, int64_t elapsed)
{
    int64_t per_job = jobs == 0 ? 0 : elapsed / (int64_t)jobs;

    if (per_job > WINDOW_NS / (int64_t)window) /* so, for a clock may leap by any time */
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
        now = bine__real_now(rt);
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

/* Runs `most` jobs, whatever time they take. */
static uint64_t run_counted(bine *rt, uint64_t most)
{
    uint64_t done = 0;

    while (rt->ready.head != NULL && done < most) {
        done += run_jobs(rt, most - done);
        if (rt->ready.head == NULL)
            look_up(rt);
    }
    return done;
}

/* `start`: when the turn began; what it took since counts too. */
static uint64_t run_ready(bine *rt, int64_t start, int64_t budget_ns)
{
    if (budget_ns < 0)
        return run_jobs(rt, bine__queue_count(&rt->ready));
    if (rt->config.deterministic)
        return run_counted(rt, budget_ns < JOB_NS ? 1 : (uint64_t)budget_ns / JOB_NS);
    return run_until(rt, bine__real_now(rt), budget_ns > INT64_MAX - start ? INT64_MAX : start + budget_ns);
}

/* How long until what stands on the clock of rt->real_timers is due; -1: for ever. */
static int64_t until_real(bine *rt, int64_t when)
{
    int64_t wait;

    if (rt->real_timers == &rt->timers)
        return bine__gametime_until(&rt->game, when);
    wait = when - bine__real_now(rt);
    return wait > 0 ? wait : 0;
}

/* Lets go who waits for the next frame, if it begins now. */
static void begin_frame(bine *rt, bool by_host)
{
    if (rt->next_frame.first == NULL)
        return;
    if (!by_host && until_real(rt, rt->frame_due) != 0)
        return;
    rt->frame_due += FRAME_NS; /* a late one does not put off the next */
    if (by_host || until_real(rt, rt->frame_due) == 0)
        rt->frame_due = bine__real_deadline(rt, FRAME_NS);
    rt->frames++;
    bine__wake_all(&rt->next_frame);
}

/* A host that polls, or whose loop it is, is to know when the next turn is wanted. */
void bine__plan(bine *rt)
{
    const bine__reactor_kind *reactor = rt->reactor->kind;

    if (reactor->intact != NULL && !reactor->intact(rt->reactor))
        bine__descriptors_lost(rt, false);
    if (reactor->plan != NULL)
        reactor->plan(rt->reactor, bine__wait_ns(rt), rt->alive > 0 || rt->ready.head != NULL);
    if (rt->guest != NULL)
        bine__guest_wait(rt->guest, bine_poll_fd(rt), bine_poll_timeout_ns(rt));
}

uint64_t bine__turn(bine *rt, int64_t budget_ns, bool is_frame)
{
    int64_t start = bine__real_now(rt);
    uint64_t done = 0;

    rt->ticking = true;
    rt->asked = false;
    if (rt->stalls != NULL)
        bine__stalls_turn(rt);
    if (rt->guest != NULL)
        bine__guest_turn(rt->guest);
    look_up(rt);
    begin_frame(rt, is_frame);
    if (rt->ready.head != NULL) {
        bine__gil_take(rt);
        done = run_ready(rt, start, budget_ns);
        bine__gil_give(rt);
    }
    rt->ticking = false;
    if (rt->stalls != NULL)
        bine__stalls_turned(rt);
    bine__plan(rt);
    return done;
}

void bine__turn_on_loop(void *user)
{
    bine *rt = user;

    /* Inside a tick: somebody runs the loop in a callback, against libuv's rules. */
    if (!rt->ticking && rt->gil_depth == 0)
        bine__turn(rt, rt->config.turn_ns, false);
}

/* ---- when the next one is wanted ---- */

static int64_t sooner(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

int64_t bine__wait_ns(bine *rt)
{
    int64_t wait = -1;

    if (rt->ready.head != NULL || atomic_load_explicit(&rt->inbox->full, memory_order_relaxed) ||
        atomic_load_explicit(&rt->interrupted, memory_order_relaxed))
        return 0;
    if (rt->timers.count > 0)
        wait = bine__gametime_until(&rt->game, bine__timers_next(&rt->timers));
    if (rt->on_real.count > 0)
        wait = sooner(wait, until_real(rt, bine__timers_next(&rt->on_real)));
    if (rt->next_frame.first != NULL)
        wait = sooner(wait, until_real(rt, rt->frame_due));
    return wait;
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
    if (rt->alive > 0 && bine__timer_set(rt->real_timers, &rt->grace,
                                         bine__real_deadline(rt, grace_ns < 0 ? 0 : grace_ns)) != 0)
        return bine__fail(BINE_ENOMEM, "bine_shutdown: out of memory");
    rt->shutting_down = true;
    for (bine__micro *micro = rt->newest; micro != NULL; micro = micro->older)
        bine__micro_interrupt(micro, BINE__EXIT);
    bine__ask(rt);
    return BINE_OK;
}
