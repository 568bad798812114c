/* How a host drives the runtime: frame by frame, on the runtime's own loop, by its descriptor, as a guest;
 * and how it has time pass. */
#include "core/runtime.h"

#include "reactor/guest.h"

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

/* The same for a call that gives one: refused, it has still answered a guest's request. */
static int check_given(const bine *rt, const char *call)
{
    int status = check_turn(rt, call);

    if (status == BINE_EBUSY && rt->guest != NULL)
        bine__guest_turn(rt->guest);
    return status;
}

/* ---- by frames ---- */

static void set_timing(bine *rt, bool on)
{
    rt->timing = on;
    rt->hooked = rt->hooks || on;
}

static int check_info(const bine_tick_info *info)
{
    if (info != NULL && info->struct_size != sizeof *info)
        return bine__fail(BINE_EINVAL, "bine_tick: info->struct_size is not set");
    return BINE_OK;
}

static void tick_with_info(bine *rt, int64_t budget_ns, bine_tick_info *info)
{
    int64_t start = bine__real_now(rt);
    int64_t first = bine__job_stamp(rt);
    int64_t stamps;

    rt->jobs = (struct bine__jobtimes){.owner = NULL};
    set_timing(rt, true);
    *info = (bine_tick_info){.struct_size = sizeof *info, .jobs = bine__turn(rt, budget_ns, true)};
    set_timing(rt, false);
    stamps = bine__job_stamp(rt) - first;
    bine__job_keep_name(rt);
    info->ready = bine__queue_count(&rt->ready);
    info->alive = rt->alive;
    info->elapsed_ns = bine__real_now(rt) - start;
    info->overrun_ns = budget_ns >= 0 && info->elapsed_ns > budget_ns ? info->elapsed_ns - budget_ns : 0;
    if (stamps > 0)
        info->longest_ns = (int64_t)((double)rt->jobs.longest * (double)info->elapsed_ns / (double)stamps);
    info->longest_name = rt->jobs.name;
    info->next_wake_ns = bine__wait_ns(rt);
}

int bine_tick(bine *rt, int64_t budget_ns, bine_tick_info *info)
{
    int status = check_given(rt, "bine_tick");

    if (status == BINE_OK)
        status = check_info(info);
    if (status != BINE_OK)
        return status;
    if (info != NULL)
        tick_with_info(rt, budget_ns, info);
    else
        bine__turn(rt, budget_ns, true);
    return BINE_OK;
}

/* ---- the loop of its own ---- */

static bool all_done(bine *rt)
{
    bine__inbox_drain(rt->inbox, &rt->ready);
    return rt->alive == 0 && rt->ready.head == NULL;
}

static int check_run(const bine *rt, bine_run_mode mode)
{
    int status = check_given(rt, "bine_run");

    if (status != BINE_OK)
        return status;
    if (mode != BINE_RUN_DEFAULT && mode != BINE_RUN_ONCE && mode != BINE_RUN_NOWAIT)
        return bine__fail(BINE_EINVAL, "bine_run: unknown mode %d", (int)mode);
    if (mode != BINE_RUN_NOWAIT && rt->reactor->kind->poll == NULL)
        return bine__fail(BINE_ENOTSUP,
                          "bine_run: the loop is the host's own: run that, and the scripts have their turns");
    return BINE_OK;
}

static void wait_for_work(bine *rt)
{
    int64_t wait = bine__wait_ns(rt);

    if (wait == 0)
        return;
    bine__signals_attend(rt);
    rt->reactor->kind->poll(rt->reactor, wait);
    bine__signals_release(rt);
}

int bine_run(bine *rt, bine_run_mode mode)
{
    int status = check_run(rt, mode);

    if (status != BINE_OK)
        return status;
    if (mode == BINE_RUN_NOWAIT)
        bine__turn(rt, rt->config.turn_ns, false);
    while (mode != BINE_RUN_NOWAIT && !all_done(rt)) {
        wait_for_work(rt);
        if (bine__turn(rt, rt->config.turn_ns, false) > 0 && mode == BINE_RUN_ONCE)
            break;
    }
    return all_done(rt) ? 0 : 1;
}

/* ---- by polling ---- */

int64_t bine_poll_timeout_ns(bine *rt)
{
    int status = check_turn(rt, "bine_poll_timeout_ns");

    if (status != BINE_OK)
        return status == BINE_EBUSY ? -1 : status;
    return bine__wait_ns(rt);
}

int bine_poll_fd(bine *rt)
{
    int status = bine__check_owner(rt, "bine_poll_fd");
    int fd;

    if (status != BINE_OK)
        return status;
    fd = rt->reactor->kind->poll_fd(rt->reactor);
    if (fd < 0)
        return bine__fail(BINE_ENOTSUP, "bine_poll_fd: the loop is the host's own: that is what to poll");
    return fd;
}

/* ---- guest mode ---- */

int bine_guest_start(bine *rt, bine_request_tick request, void *user)
{
    int status = check_turn(rt, "bine_guest_start");

    if (status != BINE_OK)
        return status;
    if (request == NULL)
        return bine__fail(BINE_EINVAL, "bine_guest_start: the function is NULL");
    if (rt->guest != NULL)
        return bine__fail(BINE_EEXIST, "bine_guest_start: it is on; bine_guest_stop() first");
    if (rt->reactor->kind->poll == NULL)
        return bine__fail(BINE_ENOTSUP, "bine_guest_start: the loop is the host's own, and needs no guest");
    rt->guest = bine__guest_new(request, user);
    if (rt->guest == NULL)
        return bine__fail(BINE_ENOMEM, "bine_guest_start: no memory, descriptor or thread to be had");
    bine__plan(rt);
    return BINE_OK;
}

int bine_guest_stop(bine *rt)
{
    int status = check_turn(rt, "bine_guest_stop");

    if (status != BINE_OK)
        return status;
    if (rt->guest != NULL)
        bine__guest_free(rt->guest);
    rt->guest = NULL;
    return BINE_OK;
}

/* ---- game time ---- */

int bine_set_time_scale(bine *rt, double scale)
{
    int status = bine__check_owner(rt, "bine_set_time_scale");

    if (status != BINE_OK)
        return status;
    if (!(scale >= 0.0) || scale > 1e9)
        return bine__fail(BINE_EINVAL, "bine_set_time_scale: %g is not from 0 to 1e9", scale);
    if (rt->config.deterministic && rt->config.clock == NULL && scale != 0.0)
        return bine__fail(BINE_EINVAL,
                          "bine_set_time_scale: in deterministic mode time does not pass by itself: "
                          "bine_step_time()");
    bine__gametime_scale(&rt->game, scale);
    bine__ask(rt);
    return BINE_OK;
}

int bine_step_time(bine *rt, int64_t ns)
{
    int status = bine__check_owner(rt, "bine_step_time");

    if (status != BINE_OK)
        return status;
    if (ns < 0)
        return bine__fail(BINE_EINVAL, "bine_step_time: time does not go back: %lld ns", (long long)ns);
    bine__gametime_step(&rt->game, ns);
    bine__ask(rt);
    return BINE_OK;
}

int64_t bine_time(bine *rt)
{
    int status = bine__check_owner(rt, "bine_time");

    return status == BINE_OK ? bine__now(rt) : status;
}
