/* A loop of the host's own, over poll(): the runtime has it by bine/reactor.h, and uses nothing of libuv. */
#include "acts.h"
#include "driven.h"
#include "host_calls.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define FDS_MAX 1024
#define BUDGET_NS (2 * MS)

const driver_pace driver_rests = DRIVER_SLEEPS;

/* They stand before libuv's, see tests/CMakeLists.txt. */
int __wrap_uv_loop_init(uv_loop_t *loop);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);

int __wrap_uv_loop_init(uv_loop_t *loop)
{
    (void)loop;
    FAIL("a loop of libuv's is made");
}

int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    (void)loop;
    (void)mode;
    FAIL("a loop of libuv's is run");
}

/* ---- the loop ---- */

static struct {
    struct {
        bine_watch *watch; /* NULL: none */
        unsigned events;
    } fds[FDS_MAX];
    int64_t when; /* the timer; -1: none */
    int woken;    /* an eventfd */
    bool turn;    /* the runtime is to have one */
} loop = {.when = -1, .woken = -1};

static int64_t now(void *user)
{
    struct timespec t;

    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void timer(void *user, int64_t when_ns)
{
    (void)user;
    loop.when = when_ns;
}

/* poll() takes regular files, and says that they are always ready. */
static int watch(void *user, int fd, unsigned events, bine_watch *w)
{
    struct stat about;

    (void)user;
    if (fd < 0 || fd >= FDS_MAX)
        return -EMFILE;
    if (events != 0 && fstat(fd, &about) != 0)
        return -errno;
    if (events != 0 && (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode)))
        return -EPERM;
    loop.fds[fd].watch = events != 0 ? w : NULL;
    loop.fds[fd].events = events;
    return 0;
}

static void wake(void *user)
{
    (void)user;
    (void)eventfd_write(loop.woken, 1);
}

static void new_woken(void)
{
    loop.woken = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(loop.woken >= 0);
}

static void forked(void *user)
{
    (void)user;
    close(loop.woken);
    new_woken();
}

void driver_configure(bine_config *config)
{
    static bine_reactor reactor;

    new_woken();
    bine_reactor_init(&reactor);
    reactor.now = now;
    reactor.timer = timer;
    reactor.watch = watch;
    reactor.wake = wake;
    reactor.forked = forked;
    config->reactor = &reactor;
}

void driver_start(bine *runtime)
{
    (void)runtime;
}

static short poll_events(unsigned events)
{
    short wanted = 0;

    if (events & BINE_READABLE)
        wanted |= POLLIN;
    if (events & BINE_WRITABLE)
        wanted |= POLLOUT;
    return wanted;
}

static unsigned ready_events(short events)
{
    unsigned ready = 0;

    if (events & ~POLLOUT)
        ready |= BINE_READABLE;
    if (events & ~POLLIN)
        ready |= BINE_WRITABLE;
    return ready;
}

static nfds_t fill(struct pollfd *fds)
{
    nfds_t count = 0;

    fds[count++] = (struct pollfd){.fd = host_calls_fd(), .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = loop.woken, .events = POLLIN};
    for (int fd = 0; fd < FDS_MAX; fd++)
        if (loop.fds[fd].watch != NULL)
            fds[count++] = (struct pollfd){.fd = fd, .events = poll_events(loop.fds[fd].events)};
    return count;
}

/* One of them may end another. */
static bool tell_ready(const struct pollfd *fds, nfds_t count)
{
    bool any = false;

    for (nfds_t i = 0; i < count; i++) {
        bine_watch *w = loop.fds[fds[i].fd].watch;

        if (fds[i].revents == 0 || w == NULL)
            continue;
        bine_watch_ready(w, ready_events(fds[i].revents));
        any = true;
    }
    return any;
}

static int poll_until_timer(struct pollfd *fds, nfds_t count)
{
    int64_t left = loop.when < 0 ? -1 : loop.when - now(NULL);
    struct timespec limit = {0, 0};
    int ready;

    if (left > 0)
        limit = (struct timespec){left / SECOND, left % SECOND};
    ready = ppoll(fds, count, loop.when < 0 ? NULL : &limit, NULL);
    CHECK(ready >= 0 || errno == EINTR);
    for (nfds_t i = 0; ready < 0 && i < count; i++)
        fds[i].revents = 0;
    return ready;
}

/* Notes whether the runtime is to have a turn. */
static void wait_for_all(void)
{
    struct pollfd fds[FDS_MAX + 2];
    nfds_t count = fill(fds);
    eventfd_t wakes;

    poll_until_timer(fds, count);
    if (tell_ready(fds + 2, count - 2))
        loop.turn = true;
    if (fds[1].revents != 0 && eventfd_read(loop.woken, &wakes) == 0)
        loop.turn = true;
    if (loop.when >= 0 && now(NULL) >= loop.when)
        loop.turn = true;
}

static void take_turn(void)
{
    loop.turn = false;
    CHECK_OK(bine_tick(rt, BUDGET_NS, NULL));
}

void driver_run_until(bool (*done)(void *user), void *user)
{
    while (!done(user)) {
        if (!loop.turn)
            wait_for_all();
        if (host_calls_run() && done(user))
            return;
        if (loop.turn)
            take_turn();
    }
}

void driver_run_to_end(void)
{
    run_until_over();
}

void driver_call(void (*function)(void *user), void *user)
{
    host_calls_add(function, user);
}

void driver_close(void)
{
    CHECK_EQ(loop.when, -1);
    for (int fd = 0; fd < FDS_MAX; fd++)
        CHECK(loop.fds[fd].watch == NULL);
    close(loop.woken);
}

TEST(what_needs_a_loop_of_the_runtimes_own_is_refused)
{
    try_a_loop_of_its_own();
}
