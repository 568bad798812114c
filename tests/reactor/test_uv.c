/* The reactor on libuv: it tells what has happened, and ends waits. */
#include "fixture.h"

#include "reactor/reactor.h"

#include <signal.h>
#include <unistd.h>
#include <uv.h>

static char seen[64];

static void read_all(int fd, void *user)
{
    ssize_t size = read(fd, seen + strlen(seen), 16);

    CHECK(user == seen);
    CHECK(size > 0);
}

TEST(a_poll_without_time_does_not_wait)
{
    bine__reactor *reactor = bine__reactor_new();

    CHECK(reactor != NULL);
    bine__reactor_poll(reactor, 0);
    bine__reactor_free(reactor);
}

TEST(a_poll_ends_when_its_time_is_over)
{
    bine__reactor *reactor = bine__reactor_new();

    bine__reactor_poll(reactor, 1);
    bine__reactor_poll(reactor, MS);
    bine__reactor_free(reactor);
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
    bine__reactor *reactor = bine__reactor_new();

    lost_ns = 3 * MS;
    bine__reactor_poll(reactor, MS);
    bine__reactor_free(reactor);
}

TEST(a_wake_before_the_poll_ends_it)
{
    bine__reactor *reactor = bine__reactor_new();

    bine__reactor_wake(reactor);
    bine__reactor_wake(reactor);
    bine__reactor_poll(reactor, -1);
    bine__reactor_free(reactor);
}

static void wake(void *user)
{
    bine__reactor_wake(user);
}

TEST(a_wake_from_another_thread_ends_a_poll)
{
    bine__reactor *reactor = bine__reactor_new();

    in_thread(wake, reactor);
    bine__reactor_poll(reactor, -1);
    bine__reactor_free(reactor);
}

static bine__reactor *signalled;

static void on_signal(int number)
{
    (void)number;
    bine__reactor_wake(signalled);
}

TEST(a_wake_in_a_signal_handler_ends_a_poll)
{
    signalled = bine__reactor_new();
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    bine__reactor_poll(signalled, -1);
    bine__reactor_free(signalled);
}

TEST(a_readable_descriptor_is_told_of_in_a_poll)
{
    bine__reactor *reactor = bine__reactor_new();
    bine__watch *watch;
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    watch = bine__reactor_watch(reactor, ends[0], read_all, seen);
    CHECK(watch != NULL);
    bine__reactor_poll(reactor, 0);
    CHECK_STR(seen, "");
    CHECK_EQ(write(ends[1], "ab", 2), 2);
    CHECK_STR(seen, "");
    bine__reactor_poll(reactor, -1);
    CHECK_STR(seen, "ab");
    CHECK_EQ(write(ends[1], "c", 1), 1);
    bine__reactor_poll(reactor, -1);
    CHECK_STR(seen, "abc");
    bine__reactor_unwatch(watch);
    CHECK_EQ(write(ends[1], "d", 1), 1);
    bine__reactor_poll(reactor, 0);
    CHECK_STR(seen, "abc");
    bine__reactor_free(reactor);
}

TEST(what_cannot_be_watched_is_null)
{
    bine__reactor *reactor = bine__reactor_new();
    FILE *file = tmpfile();

    CHECK(file != NULL);
    CHECK(bine__reactor_watch(reactor, fileno(file), read_all, seen) == NULL); /* a plain file */
    bine__reactor_poll(reactor, 0);
    bine__reactor_free(reactor);
}
