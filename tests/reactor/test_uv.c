/* The reactor on libuv: it tells what has happened, and ends waits. */
#include "fixture.h"

#include "reactor/reactor.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

static char seen[64];

static void read_all(bine_watch *watch, unsigned events)
{
    ssize_t size = read(watch->fd, seen + strlen(seen), 16);

    CHECK_EQ(events, BINE_READABLE);
    CHECK(size > 0);
}

TEST(a_poll_without_time_does_not_wait)
{
    bine__reactor *reactor = bine__uv_new();

    CHECK(reactor != NULL);
    reactor->kind->poll(reactor, 0);
    reactor->kind->free(reactor);
}

TEST(a_poll_ends_when_its_time_is_over)
{
    bine__reactor *reactor = bine__uv_new();

    reactor->kind->poll(reactor, 1);
    reactor->kind->poll(reactor, MS);
    reactor->kind->free(reactor);
}

/* Stands before libuv's (see tests/CMakeLists.txt): this thread may lose the processor at any time. */
static int64_t lost_ns;
int __real_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);

int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    uint64_t begin = uv_hrtime();

    while (uv_hrtime() - begin < (uint64_t)lost_ns)
        ;
    return __real_uv_run(loop, mode);
}

TEST(a_poll_whose_time_is_over_before_it_begins_does_not_wait)
{
    bine__reactor *reactor = bine__uv_new();

    lost_ns = 3 * MS;
    reactor->kind->poll(reactor, MS);
    reactor->kind->free(reactor);
}

TEST(a_wake_before_the_poll_ends_it)
{
    bine__reactor *reactor = bine__uv_new();

    bine__reactor_wake(reactor);
    bine__reactor_wake(reactor);
    reactor->kind->poll(reactor, -1);
    reactor->kind->free(reactor);
}

static void wake(void *user)
{
    bine__reactor_wake(user);
}

TEST(a_wake_from_another_thread_ends_a_poll)
{
    bine__reactor *reactor = bine__uv_new();

    in_thread(wake, reactor);
    reactor->kind->poll(reactor, -1);
    reactor->kind->free(reactor);
}

static bine__reactor *signalled;

static void on_signal(int number)
{
    (void)number;
    bine__reactor_wake(signalled);
}

TEST(a_wake_in_a_signal_handler_ends_a_poll)
{
    signalled = bine__uv_new();
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    signalled->kind->poll(signalled, -1);
    signalled->kind->free(signalled);
}

TEST(a_readable_descriptor_is_told_of_in_a_poll)
{
    bine__reactor *reactor = bine__uv_new();
    bine_watch watch = {.reactor = reactor, .ready = read_all};
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    watch.fd = ends[0];
    CHECK_EQ(bine__watch_set(&watch, BINE_READABLE), 0);
    reactor->kind->poll(reactor, 0);
    CHECK_STR(seen, "");
    CHECK_EQ(write(ends[1], "ab", 2), 2);
    CHECK_STR(seen, "");
    reactor->kind->poll(reactor, -1);
    CHECK_STR(seen, "ab");
    CHECK_EQ(write(ends[1], "c", 1), 1);
    reactor->kind->poll(reactor, -1);
    CHECK_STR(seen, "abc");
    CHECK_EQ(bine__watch_set(&watch, 0), 0);
    CHECK_EQ(write(ends[1], "d", 1), 1);
    reactor->kind->poll(reactor, 0);
    CHECK_STR(seen, "abc");
    reactor->kind->free(reactor);
}

TEST(what_cannot_be_watched_is_an_error)
{
    bine__reactor *reactor = bine__uv_new();
    bine_watch watch = {.reactor = reactor, .ready = read_all};
    FILE *file = tmpfile();

    CHECK(file != NULL);
    watch.fd = fileno(file); /* a plain one */
    CHECK_EQ(bine__watch_set(&watch, BINE_READABLE), -EPERM);
    CHECK_EQ(watch.events, 0);
    reactor->kind->poll(reactor, 0);
    reactor->kind->free(reactor);
}
