#include "reactor/pollset.h"

#include "core/clock.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How many are taken in at once; the others are next. */
#define BATCH 64

/* So many events of strays, and the instance is renewed, which is a call for each descriptor. */
#define STRAYS_MAX 16

/* What epoll calls the bell and the timer; descriptors are not negative. */
#define BELL UINT64_MAX
#define TIMER (UINT64_MAX - 1)

/* Those who are due closely one after another are woken together: it may be so much later than asked for. */
#define SLACK_NS 50000

/* A bell, where there is none yet. 0, or a negative errno. */
static int open_bell(bine__pollset *set)
{
    if (set->bell >= 0)
        return 0;
    atomic_store(&set->bell, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return set->bell < 0 ? -errno : 0;
}

/* What is not open any more is no matter. */
static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_set(bine__pollset *set)
{
    close_one(&set->fd);
    close_one(&set->timer);
}

static void close_all(bine__pollset *set)
{
    int bell = atomic_exchange(&set->bell, -1);

    close_set(set);
    close_one(&bell);
}

/* EPOLL_CTL_ADD puts it in; EPOLL_CTL_MOD changes nothing, but fails if the kernel does not know it there. */
static int control_bell(const bine__pollset *set, int how)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = BELL};

    return epoll_ctl(set->fd, how, set->bell, &event);
}

static int control_timer(const bine__pollset *set, int how)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = TIMER};

    return epoll_ctl(set->fd, how, set->timer, &event);
}

/* 0, or a negative errno; then there is no set, but perhaps a bell. */
static int open_set(bine__pollset *set)
{
    int status = open_bell(set);

    if (status != 0)
        return status;
    set->due = 0;
    set->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    set->fd = set->timer < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (set->fd >= 0 && control_timer(set, EPOLL_CTL_ADD) == 0) {
        if (control_bell(set, EPOLL_CTL_ADD) == 0)
            return 0;
        status = -errno;
        atomic_store(&set->bell, -1); /* it has been closed by somebody */
    }
    status = status != 0 ? status : -errno;
    close_set(set);
    return status;
}

int bine__pollset_init(bine__pollset *set)
{
    int status;

    *set = (bine__pollset){.fd = -1, .timer = -1, .bell = -1};
    status = open_set(set);
    if (status != 0)
        close_all(set);
    return status;
}

static int reserve(bine__pollset *set, size_t fd)
{
    size_t size = fd + fd / 2 + 16;
    struct bine__polled *by_fd;

    if (fd < set->size)
        return 0;
    by_fd = realloc(set->by_fd, size * sizeof *by_fd);
    if (by_fd == NULL)
        return -ENOMEM;
    memset(by_fd + set->size, 0, (size - set->size) * sizeof *by_fd);
    set->by_fd = by_fd;
    set->size = size;
    return 0;
}

static int change(const bine__pollset *set, int how, int fd, uint32_t mode, unsigned events)
{
    uint64_t serial = set->by_fd[fd].serial;
    struct epoll_event event = {.events = mode, .data.u64 = serial << 32 | (uint32_t)fd};

    if (events & BINE_READABLE)
        event.events |= EPOLLIN;
    if (events & BINE_WRITABLE)
        event.events |= EPOLLOUT;
    if (events & BINE__UNUSUAL)
        event.events |= EPOLLRDHUP | EPOLLPRI;
    return epoll_ctl(set->fd, how, fd, &event);
}

/* The kernel is to tell when one of `events` has come: once, or each time. Whether it has the descriptor in
 * the set already is for it to say: the number may stand for another file by now. */
static int arm(bine__pollset *set, int fd, unsigned events, bool edges)
{
    struct bine__polled *polled = &set->by_fd[fd];
    uint32_t mode = edges ? EPOLLET : EPOLLONESHOT;
    bool listed = polled->listed;

    polled->listed = polled->armed = true;
    if (listed && change(set, EPOLL_CTL_MOD, fd, mode, events) == 0)
        return 0;
    if (!listed || errno == ENOENT) {
        polled->serial++;
        if (change(set, EPOLL_CTL_ADD, fd, mode, events) == 0)
            return 0;
        if (errno == EEXIST && change(set, EPOLL_CTL_MOD, fd, mode, events) == 0)
            return 0;
    }
    polled->listed = polled->armed = false;
    return -errno;
}

/* Takes one out that is told of without end otherwise. */
static void take_out(bine__pollset *set, int fd)
{
    struct epoll_event none = {0};

    set->by_fd[fd].listed = false;
    if (epoll_ctl(set->fd, EPOLL_CTL_DEL, fd, &none) != 0)
        set->strays = STRAYS_MAX;
}

/* Whether `watch` may have the descriptor; another one that is idle is over then. */
static bool may_have(struct bine__polled *polled, const bine_watch *watch)
{
    bine_watch *other = polled->watch;

    if (other == NULL || other == watch)
        return true;
    if (!other->edges || !other->idle)
        return false; /* the runtime's own, say */
    other->edges = false;
    other->events = 0;
    polled->watch = NULL;
    return true;
}

static int begin(bine__pollset *set, bine_watch *watch, unsigned events, bool edges)
{
    int status = watch->fd < 0 ? -EBADF : reserve(set, (size_t)watch->fd);

    if (status == 0 && !may_have(&set->by_fd[watch->fd], watch))
        status = -EEXIST;
    if (status == 0)
        status = arm(set, watch->fd, events, edges);
    if (status == 0)
        set->by_fd[watch->fd].watch = watch;
    return status;
}

/* The kernel may tell once more of one that is not watched by edges. */
static void end(bine__pollset *set, const bine_watch *watch)
{
    size_t fd = (size_t)watch->fd;

    if (watch->fd < 0 || fd >= set->size || set->by_fd[fd].watch != watch)
        return;
    set->by_fd[fd].watch = NULL;
    if (watch->edges)
        take_out(set, watch->fd);
}

int bine__pollset_watch(bine__pollset *set, bine_watch *watch, unsigned events)
{
    if (events != 0)
        return begin(set, watch, events, false);
    end(set, watch);
    return 0;
}

int bine__pollset_watch_edges(bine__pollset *set, bine_watch *watch, unsigned events)
{
    return begin(set, watch, events, true);
}

static unsigned ready_for(unsigned happened)
{
    unsigned ready = happened & (EPOLLERR | EPOLLHUP) ? BINE_READABLE | BINE_WRITABLE : 0;

    if (happened & EPOLLIN)
        ready |= BINE_READABLE;
    if (happened & EPOLLOUT)
        ready |= BINE_WRITABLE;
    if (happened & (EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLPRI))
        ready |= BINE__UNUSUAL;
    return ready;
}

/* ---- time ---- */

static int set_timer(bine__pollset *set, int64_t due)
{
    struct itimerspec at = {.it_value = {due / 1000000000, due % 1000000000}};

    if (timerfd_settime(set->timer, TFD_TIMER_ABSTIME, &at, NULL) != 0) {
        set->timer = -1; /* the number is not a timer's any more */
        return -errno;
    }
    set->due = due;
    return 0;
}

int bine__pollset_time(bine__pollset *set, int64_t ns)
{
    int64_t begin = ns < 0 ? 0 : bine__monotonic(NULL);
    int64_t due = ns < 0 ? 0 : ns > INT64_MAX - begin - SLACK_NS ? INT64_MAX : begin + ns + SLACK_NS;
    int64_t apart = due - set->due;

    if (due != 0 && set->due > begin && apart > -SLACK_NS / 2 && apart < SLACK_NS / 2)
        return 0; /* as before, but for what the clock went on since it was asked */
    return due == set->due ? 0 : set_timer(set, due);
}

/* ---- other threads ---- */

void bine__pollset_ring(bine__pollset *set)
{
    if (!atomic_exchange(&set->rung, true))
        (void)eventfd_write(set->bell, 1); /* has somebody closed it, the next turn finds that out */
}

/* Emptied first: were it to be rung between the two, its count would be taken and `rung` would stay, and
 * nobody would ever be heard again. Who rings before the exchange, and so does not add to the count, has said
 * what for by then; the turn that follows looks at that. */
static void silence(bine__pollset *set)
{
    eventfd_t count;

    (void)eventfd_read(set->bell, &count);
    (void)atomic_exchange(&set->rung, false);
}

/* Those that go on are armed anew; if that fails, its number has been closed, and they see to it when they
 * next ask. */
static void tell_one(bine__pollset *set, const struct epoll_event *event)
{
    struct bine__polled *polled;
    uint32_t fd = (uint32_t)event->data.u64;

    if (event->data.u64 == TIMER) {
        set->due = 0;
        return;
    }
    if (event->data.u64 == BELL) {
        silence(set);
        return;
    }
    if (fd >= set->size)
        return;
    polled = &set->by_fd[fd];
    if (event->data.u64 >> 32 != polled->serial) {
        set->strays++;
        return;
    }
    polled->armed = false;
    if (polled->watch == NULL)
        return;
    bine_watch_ready(polled->watch, ready_for(event->events));
    polled = &set->by_fd[fd]; /* the table may have grown */
    if (polled->watch != NULL && !polled->armed && !polled->watch->edges)
        (void)arm(set, (int)fd, polled->watch->events, false);
}

void bine__pollset_tell(bine__pollset *set)
{
    struct epoll_event events[BATCH];
    int count = epoll_wait(set->fd, events, BATCH, 0);

    for (int i = 0; i < count; i++)
        tell_one(set, &events[i]);
}

/* The kernel knows that bell in that set. */
static bool has_bell(const bine__pollset *set)
{
    return control_bell(set, EPOLL_CTL_MOD) == 0;
}

/* And that timer. */
static bool has_timer(const bine__pollset *set)
{
    return control_timer(set, EPOLL_CTL_MOD) == 0;
}

bool bine__pollset_intact(const bine__pollset *set)
{
    return set->timer >= 0 && has_bell(set) && (set->due == 0 || has_timer(set));
}

bool bine__pollset_strays(const bine__pollset *set)
{
    return set->strays >= STRAYS_MAX;
}

/* What is ours still goes; what is not was lost. */
static void give_up(bine__pollset *set, bool forked)
{
    bool timer = has_timer(set);
    bool bell = set->fd < 0 || has_bell(set);

    if (!timer)
        set->timer = -1;
    if (!timer && !bell)
        set->fd = -1;
    if (bell && forked)
        close_all(set);
    else
        close_set(set);
    if (!bell)
        atomic_store(&set->bell, -1);
}

int bine__pollset_renew(bine__pollset *set, bool forked)
{
    int status;

    give_up(set, forked);
    status = open_set(set);
    if (status != 0)
        return status;
    for (size_t fd = 0; fd < set->size; fd++) {
        bine_watch *watch = set->by_fd[fd].watch;

        set->by_fd[fd].listed = false;
        if (watch == NULL || arm(set, (int)fd, watch->events, watch->edges) == 0)
            continue;
        watch->edges = false; /* who asks next asks the kernel */
        bine_watch_ready(watch, BINE_READABLE | BINE_WRITABLE);
    }
    set->strays = 0;
    atomic_store(&set->rung, false);
    bine__pollset_ring(set); /* who rang meanwhile was not heard */
    return 0;
}

void bine__pollset_deinit(bine__pollset *set)
{
    give_up(set, true);
    free(set->by_fd);
    *set = (bine__pollset){.fd = -1, .timer = -1, .bell = -1};
}
