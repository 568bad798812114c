#include "reactor/guest.h"

#include "core/clock.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What the thread is to do. */
typedef struct order {
    bool waits; /* for `fd` or `deadline`; else a turn is due, or has been asked for */
    bool over;
    int fd;
    int64_t deadline; /* of CLOCK_MONOTONIC; -1: none */
} order;

struct bine__guest {
    bine_request_tick request;
    void *user;
    pthread_t thread;
    pthread_mutex_t lock; /* for all these: */
    int news;             /* an eventfd: there is another order. Made anew by the thread alone */
    order order;
    bool requested; /* a turn, which has not been given yet */
};

static int open_news(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* Somebody has closed it. Where no other is to be had, orders wait for what the one before waits for. */
static void renew_news(bine__guest *guest)
{
    pthread_mutex_lock(&guest->lock);
    guest->news = open_news();
    pthread_mutex_unlock(&guest->lock);
}

/* Until what it waits for is there (then true) or there is another order. */
static bool wait_for(bine__guest *guest, const order *o)
{
    struct pollfd fds[2] = {{.fd = guest->news, .events = POLLIN}, {.fd = o->fd, .events = POLLIN}};
    int64_t left = o->deadline - bine__monotonic(NULL);
    bool bounded = o->waits && o->deadline >= 0;
    struct timespec limit = {0, 0};
    eventfd_t count;

    if (bounded && left > 0)
        limit = (struct timespec){left / 1000000000, left % 1000000000};
    if (ppoll(fds, o->waits ? 2 : 1, bounded ? &limit : NULL, NULL) < 0)
        return false; /* the kernel is out of memory for a moment */
    if (fds[0].revents & POLLNVAL)
        renew_news(guest);
    else if (fds[0].revents != 0)
        (void)eventfd_read(guest->news, &count);
    return fds[0].revents == 0 && o->waits;
}

/* Whether it was the last order: then the turn is asked for. */
static bool is_still(bine__guest *guest, const order *o)
{
    bool still;

    pthread_mutex_lock(&guest->lock);
    still = guest->order.waits && !guest->order.over && guest->order.fd == o->fd &&
            guest->order.deadline == o->deadline;
    if (still) {
        guest->order.waits = false;
        guest->requested = true;
    }
    pthread_mutex_unlock(&guest->lock);
    return still;
}

static order current_order(bine__guest *guest)
{
    order o;

    pthread_mutex_lock(&guest->lock);
    o = guest->order;
    pthread_mutex_unlock(&guest->lock);
    return o;
}

static void *poll_on(void *arg)
{
    bine__guest *guest = arg;

    for (;;) {
        order o = current_order(guest);

        if (o.over)
            return NULL;
        if (wait_for(guest, &o) && is_still(guest, &o))
            guest->request(guest->user);
    }
}

/* The host's signals are for its own threads. */
static int start_thread(bine__guest *guest)
{
    sigset_t all;
    sigset_t before;
    int status;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(&guest->thread, NULL, poll_on, guest);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

bine__guest *bine__guest_new(bine_request_tick request, void *user)
{
    bine__guest *guest = calloc(1, sizeof *guest);

    if (guest == NULL)
        return NULL;
    *guest = (bine__guest){.request = request, .user = user, .order.fd = -1};
    guest->news = open_news();
    if (guest->news < 0) {
        free(guest);
        return NULL;
    }
    pthread_mutex_init(&guest->lock, NULL);
    if (start_thread(guest) == 0)
        return guest;
    bine__guest_forget(guest);
    return NULL;
}

static void give_order(bine__guest *guest, order o)
{
    pthread_mutex_lock(&guest->lock);
    if (!guest->requested || o.over) { /* else the turn that comes brings another */
        guest->order = o;
        (void)eventfd_write(guest->news, 1);
    }
    pthread_mutex_unlock(&guest->lock);
}

void bine__guest_turn(bine__guest *guest)
{
    pthread_mutex_lock(&guest->lock);
    guest->requested = false;
    pthread_mutex_unlock(&guest->lock);
}

void bine__guest_wait(bine__guest *guest, int fd, int64_t timeout_ns)
{
    order o = {.waits = true, .fd = fd, .deadline = -1};

    if (timeout_ns >= 0 && __builtin_add_overflow(bine__monotonic(NULL), timeout_ns, &o.deadline))
        o.deadline = -1;
    give_order(guest, o);
}

bool bine__guest_owns(bine__guest *guest, int fd)
{
    bool own;

    pthread_mutex_lock(&guest->lock);
    own = fd == guest->news;
    pthread_mutex_unlock(&guest->lock);
    return own;
}

void bine__guest_free(bine__guest *guest)
{
    give_order(guest, (order){.over = true});
    pthread_join(guest->thread, NULL);
    bine__guest_forget(guest);
}

void bine__guest_forget(bine__guest *guest)
{
    close(guest->news);
    pthread_mutex_destroy(&guest->lock);
    free(guest);
}
