#include "reactor/pollset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* How many are taken in at once; the others are next. */
#define BATCH 64

int bine__pollset_init(bine__pollset *set)
{
    *set = (bine__pollset){.fd = epoll_create1(EPOLL_CLOEXEC)};
    return set->fd < 0 ? -errno : 0;
}

static int reserve(bine__pollset *set, size_t fd)
{
    size_t size = fd + fd / 2 + 16;
    bine_watch **by_fd;

    if (fd < set->size)
        return 0;
    by_fd = realloc(set->by_fd, size * sizeof(bine_watch *));
    if (by_fd == NULL)
        return -ENOMEM;
    memset(by_fd + set->size, 0, (size - set->size) * sizeof(bine_watch *));
    set->by_fd = by_fd;
    set->size = size;
    return 0;
}

/* Whether it is in there already is for the kernel to say: a number may stand for another file by now. */
static int list(const bine__pollset *set, int fd, unsigned events)
{
    struct epoll_event event = {.data.fd = fd};

    if (events & BINE_READABLE)
        event.events |= EPOLLIN;
    if (events & BINE_WRITABLE)
        event.events |= EPOLLOUT;
    if (epoll_ctl(set->fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    if (errno == EEXIST && epoll_ctl(set->fd, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    return -errno;
}

int bine__pollset_watch(bine__pollset *set, bine_watch *watch, unsigned events)
{
    int status = watch->fd < 0 ? -EBADF : reserve(set, (size_t)watch->fd);

    if (status != 0)
        return status;
    if (set->by_fd[watch->fd] != NULL && set->by_fd[watch->fd] != watch)
        return -EEXIST; /* the runtime's own, say */
    if (events == 0) {
        (void)epoll_ctl(set->fd, EPOLL_CTL_DEL, watch->fd, NULL); /* it may have been closed */
        set->by_fd[watch->fd] = NULL;
        return 0;
    }
    status = list(set, watch->fd, events);
    if (status == 0)
        set->by_fd[watch->fd] = watch;
    return status;
}

static unsigned ready_for(unsigned happened)
{
    unsigned ready = happened & (EPOLLERR | EPOLLHUP) ? BINE_READABLE | BINE_WRITABLE : 0;

    if (happened & EPOLLIN)
        ready |= BINE_READABLE;
    if (happened & EPOLLOUT)
        ready |= BINE_WRITABLE;
    return ready;
}

bool bine__pollset_tell(const bine__pollset *set)
{
    struct epoll_event events[BATCH];
    int count = epoll_wait(set->fd, events, BATCH, 0);
    bool known = true;

    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        bine_watch *watch = set->by_fd[fd];

        if (watch != NULL)
            bine_watch_ready(watch, ready_for(events[i].events));
        else
            known = false;
    }
    return known;
}

bool bine__is_epoll(int fd)
{
    struct epoll_event event;

    return epoll_wait(fd, &event, 1, 0) >= 0; /* takes nothing away: all are level-triggered */
}

int bine__pollset_renew(bine__pollset *set)
{
    if (bine__is_epoll(set->fd))
        close(set->fd);
    set->fd = epoll_create1(EPOLL_CLOEXEC);
    if (set->fd < 0)
        return -errno;
    for (size_t fd = 0; fd < set->size; fd++) {
        bine_watch *watch = set->by_fd[fd];

        if (watch != NULL && list(set, (int)fd, watch->events) != 0)
            bine_watch_ready(watch, BINE_READABLE | BINE_WRITABLE);
    }
    return 0;
}

void bine__pollset_deinit(bine__pollset *set)
{
    if (set->fd >= 0)
        close(set->fd);
    free(set->by_fd);
    *set = (bine__pollset){.fd = -1};
}
