/* The reactor on libuv: the only file that makes uv_ calls for the loop. */
#include "reactor/reactor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <uv.h>

struct bine__reactor {
    uv_loop_t loop;
    uv_async_t async; /* wakes the loop */
    uv_timer_t timer; /* bounds a wait */
};

struct bine__watch {
    uv_poll_t poll;
    int fd;
    bine__on_readable on_readable;
    void *user;
};

static void on_async(uv_async_t *async)
{
    (void)async; /* the wake itself is all there is to it */
}

/* libuv looks at its timers before it waits for descriptors: one that is due by then must keep it from that,
 * for nothing else would. (libuv 1.44, uv_run().) */
static void on_timer(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

bine__reactor *bine__reactor_new(void)
{
    bine__reactor *reactor = calloc(1, sizeof *reactor);

    if (reactor == NULL)
        return NULL;
    if (uv_loop_init(&reactor->loop) != 0)
        goto no_loop;
    if (uv_async_init(&reactor->loop, &reactor->async, on_async) != 0)
        goto no_async;
    uv_timer_init(&reactor->loop, &reactor->timer); /* cannot fail */
    return reactor;

no_async:
    uv_loop_close(&reactor->loop);
no_loop:
    free(reactor);
    return NULL;
}

/* libuv counts in milliseconds: round up, so as not to spin through the last one. */
static uint64_t to_ms(int64_t ns)
{
    return ((uint64_t)ns + 999999u) / 1000000u;
}

void bine__reactor_poll(bine__reactor *reactor, int64_t timeout_ns)
{
    if (timeout_ns == 0) {
        uv_run(&reactor->loop, UV_RUN_NOWAIT);
        return;
    }
    if (timeout_ns > 0) {
        uv_update_time(&reactor->loop);
        uv_timer_start(&reactor->timer, on_timer, to_ms(timeout_ns), 0);
    }
    uv_run(&reactor->loop, UV_RUN_ONCE);
    uv_timer_stop(&reactor->timer);
}

void bine__reactor_wake(bine__reactor *reactor)
{
    uv_async_send(&reactor->async);
}

bool bine__reactor_intact(const bine__reactor *reactor)
{
    return fcntl(uv_backend_fd(&reactor->loop), F_GETFD) >= 0;
}

void bine__reactor_renew(bine__reactor *reactor)
{
    uv_loop_fork(&reactor->loop);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    bine__watch *watch = poll->data;

    (void)status;
    (void)events;
    watch->on_readable(watch->fd, watch->user);
}

bine__watch *bine__reactor_watch(bine__reactor *reactor, int fd, bine__on_readable on_readable, void *user)
{
    bine__watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL)
        return NULL;
    watch->fd = fd;
    watch->on_readable = on_readable;
    watch->user = user;
    watch->poll.data = watch;
    if (uv_poll_init(&reactor->loop, &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    uv_poll_start(&watch->poll, UV_READABLE, on_poll);
    return watch;
}

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

void bine__reactor_unwatch(bine__watch *watch)
{
    uv_close((uv_handle_t *)&watch->poll, free_watch);
}

void bine__reactor_free(bine__reactor *reactor)
{
    uv_close((uv_handle_t *)&reactor->async, NULL);
    uv_close((uv_handle_t *)&reactor->timer, NULL);
    uv_run(&reactor->loop, UV_RUN_DEFAULT); /* until every handle is closed */
    uv_loop_close(&reactor->loop);
    free(reactor);
}
