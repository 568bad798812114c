/* The watches of a reactor on libuv, on a loop of its own and on a host's: what libuv itself would end the
 * process for. */
#include "fixture.h"

#include "reactor/pollset.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

static unsigned told;

static void keep(bine_watch *watch, unsigned events)
{
    (void)watch;
    told |= events;
}

static void end(bine_watch *watch, unsigned events)
{
    told |= events;
    CHECK_EQ(bine__watch_set(watch, 0), 0);
}

static void open_pipe(int ends[2])
{
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
}

/* A new pipe, whose read end `watch` waits for. */
static void watch_pipe(bine_watch *watch, int ends[2])
{
    open_pipe(ends);
    watch->fd = ends[0];
    CHECK_EQ(bine__watch_set(watch, BINE_READABLE), 0);
}

TEST(a_descriptor_that_is_closed_before_the_poll_is_no_harm)
{
    bine__reactor *reactor = bine__uv_new();
    int ends[2];
    bine_watch watch = {.reactor = reactor, .ready = keep};

    watch_pipe(&watch, ends);
    close(ends[0]);
    close(ends[1]);
    reactor->kind->poll(reactor, 0);
    CHECK_EQ(told, 0);
    CHECK_EQ(bine__watch_set(&watch, 0), 0);
    reactor->kind->free(reactor);
}

TEST(a_number_that_stands_for_another_file_by_now_can_be_watched_for_more)
{
    bine__reactor *reactor = bine__uv_new();
    int before[2];
    int after[2];
    bine_watch watch = {.reactor = reactor, .ready = end};

    open_pipe(before);
    open_pipe(after);
    watch.fd = before[0];
    CHECK_EQ(bine__watch_set(&watch, BINE_READABLE), 0);
    reactor->kind->poll(reactor, 0);
    CHECK_EQ(dup2(after[1], before[0]), before[0]);
    CHECK_EQ(bine__watch_set(&watch, BINE_READABLE | BINE_WRITABLE), 0);
    reactor->kind->poll(reactor, 0);
    CHECK_EQ(told, BINE_WRITABLE);
    reactor->kind->free(reactor);
}

TEST(what_was_closed_but_is_open_under_another_number_is_not_told_of_for_ever)
{
    bine__reactor *reactor = bine__uv_new();
    int ends[2];
    int other;
    bine_watch watch = {.reactor = reactor, .ready = keep};
    bine_watch next = {.reactor = reactor, .ready = end};

    open_pipe(ends);
    other = dup(ends[0]);
    watch.fd = ends[0];
    next.fd = other;
    CHECK_EQ(bine__watch_set(&watch, BINE_READABLE), 0);
    close(ends[0]);
    CHECK_EQ(bine__watch_set(&watch, 0), 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    reactor->kind->poll(reactor, 0);  /* finds it */
    reactor->kind->poll(reactor, MS); /* its time ends this one */
    CHECK_EQ(told, 0);
    CHECK_EQ(bine__watch_set(&next, BINE_READABLE), 0);
    reactor->kind->poll(reactor, -1);
    CHECK_EQ(told, BINE_READABLE);
    reactor->kind->free(reactor);
}

TEST(a_second_watch_does_not_take_the_place_of_the_first)
{
    bine__reactor *reactor = bine__uv_new();
    int ends[2];
    bine_watch first = {.reactor = reactor, .ready = end};
    bine_watch second = {.reactor = reactor, .ready = keep};

    open_pipe(ends);
    first.fd = second.fd = ends[0];
    CHECK_EQ(bine__watch_set(&first, BINE_READABLE), 0);
    CHECK_EQ(bine__watch_set(&second, BINE_READABLE), -EEXIST);
    CHECK_EQ(bine__watch_set(&second, 0), 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    reactor->kind->poll(reactor, 0);
    CHECK_EQ(first.events, 0);
    CHECK_EQ(told, BINE_READABLE);
    reactor->kind->free(reactor);
}

TEST(watches_survive_a_renewal)
{
    bine__reactor *reactor = bine__uv_new();
    int ends[2];
    bine_watch watch = {.reactor = reactor, .ready = end};

    watch_pipe(&watch, ends);
    reactor->kind->renew(reactor, false);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    reactor->kind->poll(reactor, -1);
    CHECK_EQ(told, BINE_READABLE);
    reactor->kind->free(reactor);
}

TEST(what_a_child_of_a_fork_does_changes_nothing_in_its_parent)
{
    bine__reactor *reactor = bine__uv_new();
    int ends[2];
    int status = -1;
    bine_watch watch = {.reactor = reactor, .ready = end};
    pid_t child;

    watch_pipe(&watch, ends);
    reactor->kind->poll(reactor, 0);
    child = fork();
    if (child == 0) {
        CHECK_EQ(reactor->kind->renew(reactor, true), 0);
        CHECK_EQ(bine__watch_set(&watch, 0), 0);
        reactor->kind->free(reactor);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    reactor->kind->poll(reactor, 0);
    CHECK_EQ(told, BINE_READABLE);
    reactor->kind->free(reactor);
}

TEST(whose_descriptor_has_gone_is_told_in_a_renewal)
{
    bine__reactor *reactor = bine__uv_new();
    int ends[2];
    bine_watch watch = {.reactor = reactor, .ready = end};

    watch_pipe(&watch, ends);
    close(ends[0]);
    reactor->kind->renew(reactor, false);
    CHECK_EQ(told, BINE_READABLE);
    reactor->kind->free(reactor);
}

TEST(a_reactor_whose_number_is_another_files_by_now_is_not_intact)
{
    bine__reactor *reactor = bine__uv_new();
    int fd = reactor->kind->poll_fd(reactor);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    CHECK(reactor->kind->intact(reactor));
    CHECK_EQ(dup2(file, fd), fd);
    CHECK(!reactor->kind->intact(reactor));
    reactor->kind->renew(reactor, false);
    CHECK(reactor->kind->intact(reactor));
    reactor->kind->free(reactor);
}

static void no_turn(void *user)
{
    (void)user;
}

TEST(on_a_hosts_loop_a_closed_descriptor_is_no_harm_and_the_loop_is_left_as_it_was)
{
    uv_loop_t loop;
    bine__reactor *reactor;
    int ends[2];
    bine_watch watch = {.ready = keep};

    CHECK_EQ(uv_loop_init(&loop), 0);
    reactor = bine__uv_on(&loop, no_turn, NULL);
    CHECK(reactor != NULL);
    watch.reactor = reactor;
    watch_pipe(&watch, ends);
    close(ends[0]);
    uv_run(&loop, UV_RUN_NOWAIT);
    CHECK_EQ(bine__watch_set(&watch, 0), 0);
    reactor->kind->free(reactor);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

static void never(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    FAIL("the host was told of %d", events);
}

TEST(a_descriptor_that_the_host_watches_itself_can_be_waited_for)
{
    uv_loop_t loop;
    bine__reactor *reactor;
    uv_poll_t own;
    int ends[2];
    bine_watch watch = {.ready = end};

    CHECK_EQ(uv_loop_init(&loop), 0);
    open_pipe(ends);
    CHECK_EQ(uv_poll_init(&loop, &own, ends[0]), 0);
    CHECK_EQ(uv_poll_start(&own, UV_DISCONNECT, never), 0);
    reactor = bine__uv_on(&loop, no_turn, NULL);
    watch.reactor = reactor;
    watch.fd = ends[0];
    CHECK_EQ(bine__watch_set(&watch, BINE_READABLE), 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    while (told == 0)
        uv_run(&loop, UV_RUN_NOWAIT);
    CHECK_EQ(told, BINE_READABLE);
    uv_close((uv_handle_t *)&own, NULL);
    reactor->kind->free(reactor);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

/* ---- descriptors of its own that somebody closes ---- */

#define OWN_DESCRIPTORS 8 /* or less */

/* A reactor, whose nth descriptor is then closed. */
static bine__reactor *open_and_close(int nth)
{
    int first = dup(0); /* the lowest that is free */
    bine__reactor *reactor;

    close(first);
    reactor = bine__uv_new();
    CHECK(reactor != NULL);
    (void)close(first + nth);
    return reactor;
}

TEST(whichever_descriptor_of_its_own_is_closed_it_can_be_freed)
{
    for (int i = 0; i < OWN_DESCRIPTORS; i++) {
        bine__reactor *reactor = open_and_close(i);

        reactor->kind->free(reactor);
    }
}

TEST(whichever_descriptor_of_its_own_is_closed_a_wake_ends_the_next_wait)
{
    for (int i = 0; i < OWN_DESCRIPTORS; i++) {
        bine__reactor *reactor = open_and_close(i);

        if (!reactor->kind->intact(reactor))
            CHECK_EQ(reactor->kind->renew(reactor, false), 0);
        reactor->kind->wake(reactor);
        reactor->kind->poll(reactor, -1);
        reactor->kind->free(reactor);
    }
}

TEST(a_bell_that_another_thread_may_be_ringing_stays)
{
    bine__pollset set;
    eventfd_t count;
    int bell;

    CHECK_EQ(bine__pollset_init(&set), 0);
    bell = dup(set.bell);
    CHECK_EQ(bine__pollset_renew(&set, false), 0);
    bine__pollset_tell(&set);
    bine__pollset_ring(&set);
    CHECK_EQ(eventfd_read(bell, &count), 0);
    close(bell);
    bine__pollset_deinit(&set);
}

static bine__pollset *amidst; /* is rung just before the count is taken, as another thread may do */

int __real_eventfd_read(int fd, eventfd_t *count);
int __wrap_eventfd_read(int fd, eventfd_t *count);

int __wrap_eventfd_read(int fd, eventfd_t *count)
{
    if (amidst != NULL)
        bine__pollset_ring(amidst);
    return __real_eventfd_read(fd, count);
}

TEST(who_rings_while_the_bell_is_silenced_is_not_the_last_to_be_heard)
{
    bine__pollset set;
    struct pollfd readable = {.events = POLLIN};

    CHECK_EQ(bine__pollset_init(&set), 0);
    bine__pollset_ring(&set);
    amidst = &set;
    bine__pollset_tell(&set);
    amidst = NULL;
    bine__pollset_ring(&set);
    readable.fd = set.fd;
    CHECK_EQ(poll(&readable, 1, 0), 1);
    bine__pollset_deinit(&set);
}
