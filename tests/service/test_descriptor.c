/* Descriptors that are about to be closed, and those that must not be. */
#include "fixture.h"

#include "service/descriptor.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char waits[] = "import bine, errno\n"
                            "ends = []\n"
                            "def wait(how, fd):\n"
                            "    try: how(fd)\n"
                            "    except OSError as error: ends.append(errno.errorcode[error.errno])\n"
                            "    else: ends.append('ready')\n"
                            "fd = %d\n"
                            "for how in bine.wait_readable, bine.wait_readable:\n"
                            "    bine.spawn(wait, how, fd)\n";

static void start_waits(bine *rt, int fd)
{
    char source[sizeof waits + 16];

    snprintf(source, sizeof source, waits, fd);
    start_script(rt, source);
    settle(rt);
}

TEST(who_waits_for_one_that_is_closed_is_told)
{
    bine *rt = open_runtime();
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    start_waits(rt, ends[0]);
    bine__descriptor_closing(rt, ends[1]);
    settle(rt);
    CHECK(script_true("ends == []"));
    bine__descriptor_closing(rt, ends[0]);
    close(ends[0]);
    settle(rt);
    CHECK(script_true("ends == ['EBADF', 'EBADF']"));
    close_runtime(rt);
}

TEST(a_range_of_them_tells_all_in_it_and_no_others)
{
    bine *rt = open_runtime();
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    start_waits(rt, ends[0]);
    bine__descriptors_closing(rt, ends[0] + 1, INT32_MAX);
    bine__descriptors_closing(rt, INT32_MIN, ends[0] - 1);
    bine__descriptors_closing(rt, INT32_MIN, -1);
    settle(rt);
    CHECK(script_true("ends == []"));
    bine__descriptors_closing(rt, INT32_MIN, INT32_MAX);
    settle(rt);
    CHECK(script_true("ends == ['EBADF', 'EBADF']"));
    close_runtime(rt);
}

/* What another thread has closed: told by the number of the waits that had begun by then. */
TEST(later_waits_for_the_same_number_go_on)
{
    bine *rt = open_runtime();
    uint64_t before;
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    before = bine__descriptors_waits(rt);
    start_waits(rt, ends[0]);
    CHECK_EQ(bine__descriptors_waits(rt), before + 2);
    bine__descriptors_closed(rt, ends[0], ends[0], before);
    settle(rt);
    CHECK(script_true("ends == []"));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    settle(rt);
    CHECK(script_true("ends == ['ready', 'ready']"));
    close_runtime(rt);
}

TEST(one_who_began_to_wait_just_before_it_was_closed_is_told)
{
    bine *rt = open_runtime();
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    start_waits(rt, ends[0]);
    close(ends[0]);
    bine__descriptors_closed(rt, ends[0], ends[0], 0);
    settle(rt);
    CHECK(script_true("ends == ['EBADF', 'EBADF']"));
    close_runtime(rt);
}

TEST(one_that_has_become_another_file_is_watched_as_that)
{
    bine *rt = open_runtime();
    int ends[2], others[2];

    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(pipe(others), 0);
    start_waits(rt, ends[0]);
    CHECK_EQ(dup2(others[0], ends[0]), ends[0]);
    bine__descriptors_closed(rt, ends[0], ends[0], 0);
    settle(rt);
    CHECK(script_true("ends == []"));
    CHECK_EQ(write(others[1], "x", 1), 1);
    settle(rt);
    CHECK(script_true("ends == ['ready', 'ready']"));
    close_runtime(rt);
}

TEST(the_runtimes_own_are_known)
{
    bine *rt = open_runtime();
    int own = bine_poll_fd(rt);
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    CHECK(bine__descriptor_is_own(rt, own));
    CHECK(bine__descriptor_is_own(rt, rt->signal_pipe[0]));
    CHECK(bine__descriptor_is_own(rt, rt->signal_pipe[1]));
    CHECK(!bine__descriptor_is_own(rt, ends[0]));
    CHECK(!bine__descriptor_is_own(rt, -1));
    close_runtime(rt);
}

/* ---- sockets that stay watched ---- */

static const char reads_twice[] = "import bine, socket\n"
                                  "s = socket.socket(fileno=%d)\n"
                                  "got = [s.recv(1)]\n"
                                  "bine.wait_readable(%d)\n"
                                  "got.append(s.recv(1000))\n"
                                  "got.append(s.recv(1000))\n"
                                  "s.close()\n";

/* A script that has waited for the socket `fd`, and goes on reading when `door` is readable. */
static void start_reader(bine *rt, int fd, int door)
{
    char source[sizeof reads_twice + 32];

    snprintf(source, sizeof source, reads_twice, fd, door);
    start_script(rt, source);
    do
        settle(rt);
    while (anybody_waits_for_file(rt)); /* an import */
    CHECK(bine__descriptors_awaited(rt));
}

static void put(bine *rt, int fd)
{
    CHECK_EQ(write(fd, "x", 1), 1);
    settle(rt);
}

#define FLOOD 200

/* Turns that a host gives whose poll() says that one is wanted, while that comes which nobody reads. */
static int count_turns(bine *rt, int into)
{
    struct pollfd wanted = {.fd = bine_poll_fd(rt), .events = POLLIN};
    int turns = 0;

    settle(rt);
    for (int i = 0; i < FLOOD; i++) {
        CHECK_EQ(write(into, "x", 1), 1);
        if (poll(&wanted, 1, 0) > 0) {
            settle(rt);
            turns++;
        }
        CHECK_EQ(poll(&wanted, 1, 0), 0); /* once for each that comes, at the most */
    }
    return turns;
}

TEST(a_peer_that_goes_on_while_nobody_reads_soon_wakes_the_host_no_more)
{
    bine *rt = open_runtime();
    int ends[2], door[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQ(pipe(door), 0);
    start_reader(rt, ends[0], door[0]);
    put(rt, ends[1]);
    CHECK(script_true("got == [b'x']"));
    CHECK(count_turns(rt, ends[1]) < FLOOD / 2);
    put(rt, door[1]);
    CHECK_EQ(script_int("len(got[1])"), FLOOD);
    put(rt, ends[1]);
    CHECK(script_true("got[2] == b'x'"));
    run_to_end(rt);
    close_runtime(rt);
}
