/* The watches of a reactor on libuv, on a loop of its own and on a host's: what libuv itself would end the
 * process for. */
#include "fixture.h"

#include "reactor/pollset.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
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

/* ---- watches by edges ---- */

/* A reactor of nothing but a set. */
static struct bare {
    bine__reactor base; /* first */
    bine__pollset set;
} bare;

static int watch_bare(bine__reactor *reactor, bine_watch *watch, unsigned events)
{
    return bine__pollset_watch(&((struct bare *)reactor)->set, watch, events);
}

static int watch_bare_edges(bine__reactor *reactor, bine_watch *watch, unsigned events)
{
    return bine__pollset_watch_edges(&((struct bare *)reactor)->set, watch, events);
}

static const bine__reactor_kind bare_kind = {.watch = watch_bare, .watch_edges = watch_bare_edges};

static bine__pollset *open_bare(void)
{
    bare.base.kind = &bare_kind;
    CHECK_EQ(bine__pollset_init(&bare.set), 0);
    return &bare.set;
}

/* What is told of now. */
static unsigned tell(void)
{
    told = 0;
    bine__pollset_tell(&bare.set);
    return told;
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    return poll(&readable, 1, timeout_ms) == 1;
}

static bine_watch on_bare(int fd)
{
    return (bine_watch){.reactor = &bare.base, .fd = fd, .ready = keep};
}

/* On the read end of a new pipe. */
static bine_watch on_pipe(int ends[2])
{
    open_pipe(ends);
    return on_bare(ends[0]);
}

static void close_bare(bine_watch *watch)
{
    bine__watch_set(watch, 0);
    bine__pollset_deinit(&bare.set);
}

static void put(int fd)
{
    CHECK_EQ(write(fd, "x", 1), 1);
}

TEST(an_edge_is_told_of_once)
{
    bine__pollset *set = open_bare();
    int ends[2];
    bine_watch watch;

    watch = on_pipe(ends);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    CHECK_EQ(tell(), 0);
    put(ends[1]);
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(tell(), 0);
    CHECK(!is_readable(set->fd, 0));
    put(ends[1]); /* though the first is still there */
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(tell(), 0);
    close_bare(&watch);
}

TEST(who_asks_anew_is_told_of_what_is_there)
{
    int ends[2];
    bine_watch watch;

    (void)open_bare();
    watch = on_pipe(ends);
    put(ends[1]);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
        CHECK_EQ(tell(), BINE_READABLE);
        CHECK_EQ(tell(), 0);
    }
    close_bare(&watch);
}

TEST(the_end_of_the_other_side_is_unusual)
{
    int ends[2];
    bine_watch watch, plain;

    (void)open_bare();
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    watch = on_bare(ends[0]);
    plain = on_bare(ends[1]);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE | BINE__UNUSUAL), 0);
    CHECK_EQ(bine__watch_edges(&plain, BINE_READABLE), 0);
    put(ends[1]);
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(shutdown(ends[1], SHUT_WR), 0);
    CHECK_EQ(tell(), BINE_READABLE | BINE__UNUSUAL);
    CHECK_EQ(shutdown(ends[0], SHUT_WR), 0);
    bine__watch_set(&watch, 0);
    CHECK_EQ(tell(), BINE_READABLE); /* who has not asked for that is not told of it */
    close_bare(&plain);
}

TEST(a_watch_by_edges_becomes_an_ordinary_one_and_back)
{
    int ends[2];
    bine_watch watch;

    (void)open_bare();
    watch = on_pipe(ends);
    put(ends[1]);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(bine__watch_renew(&watch, BINE_READABLE), 0);
    CHECK(!watch.edges);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(tell(), 0);
    close_bare(&watch);
}

TEST(one_whose_watch_has_ended_is_told_of_no_more)
{
    bine__pollset *set = open_bare();
    int ends[2];
    bine_watch watch;

    watch = on_pipe(ends);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    CHECK_EQ(bine__watch_set(&watch, 0), 0);
    CHECK(!watch.edges);
    put(ends[1]);
    CHECK(!is_readable(set->fd, 0)); /* not even once */
    CHECK_EQ(tell(), 0);
    CHECK(!bine__pollset_strays(set));
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    CHECK_EQ(tell(), BINE_READABLE);
    close_bare(&watch);
}

/* ---- numbers that are used again ---- */

/* `watch` was set for a pipe whose read end is open elsewhere now; its number stands for that of `after`, for
 * which it is set as well. The write end of the first one. */
static int watch_number_again(bine_watch *watch, int after[2])
{
    int before[2];

    open_pipe(before);
    open_pipe(after);
    *watch = on_bare(before[0]);
    CHECK_EQ(bine__watch_edges(watch, BINE_READABLE), 0);
    CHECK(dup(before[0]) >= 0);
    CHECK_EQ(dup2(after[0], before[0]), before[0]);
    CHECK_EQ(bine__watch_edges(watch, BINE_READABLE), 0);
    return before[1];
}

TEST(a_number_that_is_used_again_is_not_taken_for_the_file_that_it_was)
{
    bine__pollset *set = open_bare();
    int after[2];
    bine_watch watch;
    int before = watch_number_again(&watch, after);

    put(before);
    CHECK_EQ(tell(), 0);
    CHECK_EQ(set->strays, 1);
    put(after[1]);
    CHECK_EQ(tell(), BINE_READABLE);
    put(before);
    put(after[1]);
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(set->strays, 2);
    close_bare(&watch);
}

/* Nor when it is used many times, each of them still open. */
TEST(none_of_many_files_that_had_a_number_is_taken_for_the_last)
{
    bine__pollset *set = open_bare();
    int number = dup(0);
    bine_watch watch = on_bare(number);
    int ends[8][2];

    for (int i = 0; i < 8; i++) {
        open_pipe(ends[i]);
        CHECK_EQ(dup2(ends[i][0], number), number);
        CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    }
    for (int i = 0; i < 7; i++)
        put(ends[i][1]);
    CHECK_EQ(tell(), 0);
    CHECK_EQ(set->strays, 7);
    put(ends[7][1]);
    CHECK_EQ(tell(), BINE_READABLE);
    close_bare(&watch);
}

/* The same for a watch that is set anew for each event. */
TEST(an_ordinary_watch_of_a_number_that_is_used_again_is_not_told_of_the_file_that_it_was)
{
    int after[2];
    bine_watch watch;
    int before;

    (void)open_bare();
    before = watch_number_again(&watch, after);
    CHECK_EQ(bine__watch_renew(&watch, BINE_READABLE), 0);
    put(before);
    CHECK_EQ(tell(), 0);
    put(after[1]);
    CHECK_EQ(tell(), BINE_READABLE);
    close_bare(&watch);
}

TEST(a_file_that_is_closed_everywhere_is_no_stray)
{
    bine__pollset *set = open_bare();
    int before[2], after[2];
    bine_watch watch;

    open_pipe(before);
    open_pipe(after);
    watch = on_bare(before[0]);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    put(before[1]);
    CHECK_EQ(dup2(after[0], before[0]), before[0]);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    CHECK_EQ(tell(), 0);
    put(after[1]);
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(set->strays, 0);
    close_bare(&watch);
}

/* Until it says that they are many. */
static void stray(bine__pollset *set, int before)
{
    for (int i = 0; i < 1000 && !bine__pollset_strays(set); i++) {
        put(before);
        CHECK_EQ(tell(), 0);
    }
    CHECK(bine__pollset_strays(set));
}

TEST(a_renewal_rids_of_strays)
{
    bine__pollset *set = open_bare();
    int after[2];
    bine_watch watch;
    int before = watch_number_again(&watch, after);

    put(before);
    CHECK_EQ(tell(), 0);
    CHECK(!bine__pollset_strays(set)); /* not for one */
    stray(set, before);
    CHECK_EQ(bine__pollset_renew(set, false), 0);
    CHECK(!bine__pollset_strays(set));
    CHECK_EQ(tell(), 0); /* the bell */
    put(before);
    CHECK(!is_readable(set->fd, 0));
    put(after[1]);
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(tell(), 0); /* by edges still */
    put(after[1]);
    CHECK_EQ(tell(), BINE_READABLE);
    close_bare(&watch);
}

TEST(a_reactor_with_many_strays_is_not_intact_until_it_is_renewed)
{
    bine__reactor *reactor = bine__uv_new();
    int before[2], after[2];
    bine_watch watch = {.reactor = reactor, .ready = keep};

    open_pipe(before);
    open_pipe(after);
    watch.fd = before[0];
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    CHECK(dup(before[0]) >= 0);
    CHECK_EQ(dup2(after[0], before[0]), before[0]);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    for (int i = 0; i < 1000 && reactor->kind->intact(reactor); i++) {
        put(before[1]);
        reactor->kind->poll(reactor, 0);
    }
    CHECK(!reactor->kind->intact(reactor));
    CHECK_EQ(told, 0);
    CHECK_EQ(reactor->kind->renew(reactor, false), 0);
    CHECK(reactor->kind->intact(reactor));
    put(after[1]);
    while (told == 0)
        reactor->kind->poll(reactor, -1);
    CHECK_EQ(told, BINE_READABLE);
    bine__watch_set(&watch, 0);
    reactor->kind->free(reactor);
}

TEST(one_that_ends_when_its_number_has_gone_leaves_a_stray)
{
    bine__pollset *set = open_bare();
    int ends[2];
    bine_watch watch;

    watch = on_pipe(ends);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    CHECK(dup(ends[0]) >= 0);
    close(ends[0]);
    CHECK_EQ(bine__watch_set(&watch, 0), 0);
    CHECK(bine__pollset_strays(set));
    put(ends[1]);
    CHECK_EQ(tell(), 0);
    CHECK_EQ(bine__pollset_renew(set, false), 0);
    (void)tell();
    put(ends[1]);
    CHECK(!is_readable(set->fd, 0));
    bine__pollset_deinit(set);
}

TEST(a_watch_by_edges_whose_descriptor_has_gone_is_told_in_a_renewal)
{
    bine__pollset *set = open_bare();
    int ends[2];
    bine_watch watch;

    watch = on_pipe(ends);
    CHECK_EQ(bine__watch_edges(&watch, BINE_READABLE), 0);
    close(ends[0]);
    told = 0;
    CHECK_EQ(bine__pollset_renew(set, false), 0);
    CHECK_EQ(told, BINE_READABLE);
    close_bare(&watch);
}

/* ---- two for one descriptor ---- */

static unsigned told_other;

static void keep_other(bine_watch *watch, unsigned events)
{
    (void)watch;
    told_other |= events;
}

TEST(an_idle_watch_by_edges_gives_way)
{
    static int (*const ways[])(bine_watch *, unsigned) = {bine__watch_set, bine__watch_edges};
    bine__pollset *set = open_bare();

    for (int i = 0; i < 2; i++) {
        int ends[2];
        bine_watch first, second;

        open_pipe(ends);
        first = second = on_bare(ends[0]);
        second.ready = keep_other;
        told_other = 0;
        CHECK_EQ(bine__watch_edges(&first, BINE_READABLE), 0);
        first.idle = true;
        CHECK_EQ(ways[i](&second, BINE_READABLE), 0);
        CHECK(!first.edges);
        CHECK_EQ(first.events, 0);
        CHECK_EQ(bine__watch_renew(&first, 0), 0); /* is not the second's end */
        put(ends[1]);
        CHECK_EQ(tell(), 0);
        CHECK_EQ(told_other, BINE_READABLE);
        CHECK_EQ(bine__watch_set(&second, 0), 0);
        CHECK_EQ(bine__watch_edges(&first, BINE_READABLE), 0);
        CHECK_EQ(tell(), BINE_READABLE);
        CHECK_EQ(bine__watch_set(&first, 0), 0);
    }
    bine__pollset_deinit(set);
}

static void check_refused(bine_watch *first, int into)
{
    bine_watch second = *first;

    second.ready = keep_other;
    second.events = 0;
    second.edges = false;
    CHECK_EQ(bine__watch_set(&second, BINE_READABLE), -EEXIST);
    CHECK_EQ(bine__watch_edges(&second, BINE_READABLE), -EEXIST);
    CHECK_EQ(second.events, 0);
    put(into);
    CHECK_EQ(tell(), BINE_READABLE);
    CHECK_EQ(told_other, 0);
}

TEST(a_watch_that_is_not_idle_or_not_by_edges_does_not_give_way)
{
    int ends[2];
    bine_watch first;

    (void)open_bare();
    first = on_pipe(ends);
    CHECK_EQ(bine__watch_edges(&first, BINE_READABLE), 0);
    check_refused(&first, ends[1]);
    CHECK_EQ(bine__watch_renew(&first, BINE_READABLE), 0);
    first.idle = true;
    check_refused(&first, ends[1]);
    close_bare(&first);
}

/* ---- time ---- */

#define LONG_MS 100000 /* a wait that should end before */
#define HOUR (3600 * SECOND)

/* How long until the timer of the set: 0 when it is not set. */
static int64_t left(const bine__pollset *set)
{
    struct itimerspec at;

    CHECK_EQ(timerfd_gettime(set->timer, &at), 0);
    return at.it_value.tv_sec * SECOND + at.it_value.tv_nsec;
}

TEST(a_set_is_readable_when_it_is_time_until_it_was_told)
{
    bine__pollset *set = open_bare();

    for (int i = 0; i < 3; i++) {
        CHECK_EQ(bine__pollset_time(set, i * MS), 0);
        CHECK(is_readable(set->fd, LONG_MS));
        CHECK(is_readable(set->fd, 0));
        CHECK_EQ(tell(), 0);
        CHECK(!is_readable(set->fd, 0));
    }
    bine__pollset_deinit(set);
}

TEST(a_time_that_is_taken_back_is_none)
{
    bine__pollset *set = open_bare();

    CHECK_EQ(bine__pollset_time(set, HOUR), 0);
    CHECK(left(set) > 0);
    CHECK_EQ(bine__pollset_time(set, -1), 0);
    CHECK_EQ(left(set), 0);
    CHECK_EQ(bine__pollset_time(set, -1), 0);
    CHECK_EQ(bine__pollset_time(set, 0), 0);
    CHECK(is_readable(set->fd, LONG_MS));
    CHECK_EQ(bine__pollset_time(set, -1), 0); /* it was over, but nobody was told */
    CHECK(!is_readable(set->fd, 0));
    bine__pollset_deinit(set);
}

TEST(a_time_is_set_nearer_and_farther)
{
    bine__pollset *set = open_bare();

    CHECK_EQ(bine__pollset_time(set, HOUR), 0);
    CHECK_EQ(bine__pollset_time(set, MS), 0);
    CHECK(is_readable(set->fd, LONG_MS));
    CHECK_EQ(bine__pollset_time(set, HOUR), 0);
    CHECK(!is_readable(set->fd, 0));
    CHECK(left(set) > HOUR / 2);
    CHECK_EQ(bine__pollset_time(set, INT64_MAX), 0);
    CHECK(left(set) > HOUR);
    CHECK(!is_readable(set->fd, 0));
    CHECK_EQ(bine__pollset_time(set, 0), 0);
    CHECK(is_readable(set->fd, LONG_MS));
    CHECK_EQ(tell(), 0);
    CHECK_EQ(bine__pollset_time(set, HOUR), 0); /* after it was told it is set again */
    CHECK(left(set) > HOUR / 2);
    bine__pollset_deinit(set);
}

static void check_healed(bine__pollset *set)
{
    CHECK(!bine__pollset_intact(set));
    CHECK_EQ(bine__pollset_renew(set, false), 0);
    CHECK(bine__pollset_intact(set));
    (void)tell(); /* the bell */
    CHECK_EQ(bine__pollset_time(set, MS), 0);
    CHECK(is_readable(set->fd, LONG_MS));
    bine__pollset_deinit(set);
}

TEST(a_timer_that_somebody_has_closed_is_made_anew)
{
    bine__pollset *set = open_bare();

    CHECK_EQ(bine__pollset_time(set, HOUR), 0);
    CHECK(bine__pollset_intact(set));
    close(set->timer);
    check_healed(set);
}

/* Nobody looks for it before. */
TEST(a_timer_that_was_closed_while_it_was_not_set_is_missed_when_it_is)
{
    bine__pollset *set = open_bare();

    close(set->timer);
    CHECK_EQ(bine__pollset_time(set, -1), 0);
    CHECK_EQ(bine__pollset_time(set, HOUR), -EBADF);
    check_healed(set);
}

TEST(a_timer_whose_number_is_another_files_is_made_anew_and_that_left_alone)
{
    for (int is_set = 0; is_set < 2; is_set++) {
        bine__pollset *set = open_bare();
        int ends[2];
        int number = set->timer;

        open_pipe(ends);
        CHECK_EQ(bine__pollset_time(set, is_set ? HOUR : -1), 0);
        CHECK_EQ(dup2(ends[1], number), number);
        if (!is_set)
            CHECK_EQ(bine__pollset_time(set, HOUR), -EINVAL);
        check_healed(set);
        put(number);
    }
}

/* "anon_inode:[timerfd]", say. */
static const char *name_of(int fd)
{
    static char name[64];
    char path[32];
    ssize_t size;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    size = readlink(path, name, sizeof name - 1);
    name[size < 0 ? 0 : size] = '\0';
    return name;
}

TEST(the_timer_is_one_that_a_reactor_stands_on)
{
    bine__reactor *reactor = bine__uv_new();
    int timers = 0;
    int ends[2];

    open_pipe(ends);
    for (int fd = 3; fd < 64; fd++) {
        if (strcmp(name_of(fd), "anon_inode:[timerfd]") != 0)
            continue;
        timers++;
        CHECK(reactor->kind->owns(reactor, fd));
    }
    CHECK_EQ(timers, 1);
    CHECK(!reactor->kind->owns(reactor, ends[0]));
    reactor->kind->free(reactor);
}
