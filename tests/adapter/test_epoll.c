/* bine_epoll_wait(): the host's events as epoll_wait() tells them, and turns for scripts. What scripts may
 * rely on, whatever the loop: see ../reactor/conformance. */
#include "fixture.h"

#include <bine/adapter/epoll.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static bine *rt;
static int set; /* the host's */
static struct epoll_event event;
static bine_resolver *door;

static int door_opens(bine_call *call, void *user)
{
    (void)user;
    return bine_defer(call, NULL, &door);
}

static void open_all(void)
{
    bine_config config;

    bine_config_init(&config);
    rt = open_runtime_in_real_time(&config);
    CHECK_OK(bine_def(rt, "host", "door_opens() -> str", door_opens, NULL, NULL));
    set = epoll_create1(EPOLL_CLOEXEC);
    CHECK(set >= 0);
}

static void close_all(void)
{
    close_runtime(rt);
    close(set);
}

static int wait_ms(int timeout_ms)
{
    event.events = 0;
    return bine_epoll_wait(rt, set, &event, 1, timeout_ms);
}

static void turn_until_ended(void)
{
    while (count_alive(rt) > 0)
        CHECK_EQ(wait_ms(-1), 0);
}

/* Turns until everything waits. */
static void turn_until_idle(void)
{
    bine_idle why = BINE_IDLE_BUSY;

    while (why == BINE_IDLE_BUSY) {
        CHECK_EQ(wait_ms(0), 0);
        CHECK_OK(bine_why_idle(rt, &why, NULL));
    }
}

/* A descriptor in the host's set that is readable at once, or in `ms`. */
static int add_event(unsigned kind)
{
    int fd = eventfd(1, EFD_CLOEXEC);
    struct epoll_event wanted = {.events = kind, .data.ptr = rt};

    CHECK(fd >= 0);
    CHECK_EQ(epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted), 0);
    return fd;
}

static int add_timer(int ms)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec due = {.it_value.tv_nsec = ms * MS};
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = fd};

    CHECK(fd >= 0);
    CHECK_EQ(timerfd_settime(fd, 0, &due, NULL), 0);
    CHECK_EQ(epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted), 0);
    return fd;
}

static void open_door(void)
{
    bine_resolve(door, bine_value_str("a cat"));
}

TEST(the_hosts_events_come_as_from_epoll_wait)
{
    int fd;

    open_all();
    fd = add_event(EPOLLIN);
    CHECK_EQ(wait_ms(-1), 1);
    CHECK_EQ(event.events, EPOLLIN);
    CHECK(event.data.ptr == rt); /* whatever the host has put there */
    close(fd);
    close_all();
}

TEST(an_edge_is_told_once)
{
    int fd;

    open_all();
    fd = add_event(EPOLLIN | EPOLLET);
    CHECK_EQ(wait_ms(-1), 1);
    CHECK_EQ(wait_ms(0), 0);
    close(fd);
    close_all();
}

TEST(while_scripts_are_idle_the_wait_is_not_ended)
{
    int fd;

    open_all();
    start_script(rt, "import host\nhost.door_opens()");
    turn_until_idle();
    fd = add_timer(50);
    CHECK_EQ(wait_ms(-1), 1);
    close(fd);
    open_door();
    turn_until_ended();
    close_all();
}

TEST(a_sleep_that_is_over_ends_one_wait_and_no_other)
{
    int fd;

    open_all();
    start_script(rt, "import bine, host\nbine.sleep(0.001)\nhost.door_opens()");
    while (door == NULL)
        CHECK_EQ(wait_ms(-1), 0);
    turn_until_idle();
    fd = add_timer(50);
    CHECK_EQ(wait_ms(-1), 1);
    close(fd);
    open_door();
    turn_until_ended();
    close_all();
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

TEST(without_scripts_it_returns_when_the_time_is_over)
{
    int64_t before = now();

    open_all();
    CHECK_EQ(wait_ms(20), 0);
    CHECK(now() - before >= 20 * MS);
    close_all();
}

TEST(a_busy_script_does_not_keep_the_hosts_events_back)
{
    int fd;

    open_all();
    start_script(rt, "import bine\nstop = False\nwhile not stop: bine.pause()");
    fd = add_event(EPOLLIN);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(wait_ms(-1), 1);
    close(fd);
    bine_shutdown(rt, 0);
    turn_until_ended();
    close_all();
}

TEST(a_busy_host_does_not_keep_scripts_from_their_turns)
{
    int fd;

    open_all();
    start_script(rt, "import bine\nfor i in range(10): bine.pause()\nbine.sleep(0.001)");
    fd = add_event(EPOLLIN);
    while (count_alive(rt) > 0)
        CHECK_EQ(wait_ms(-1), 1);
    close(fd);
    close_all();
}

/* ---- signals ---- */

static void on_alarm(int number)
{
    (void)number;
}

static void alarm_every(int ms)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec due = {.it_value.tv_nsec = ms * MS, .it_interval.tv_nsec = ms * MS};
    timer_t timer;

    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &how, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &due, NULL), 0);
}

TEST(a_signal_ends_the_wait_with_eintr)
{
    open_all();
    alarm_every(5);
    CHECK_EQ(wait_ms(-1), -1);
    CHECK_EQ(errno, EINTR);
    close_all();
}

/* ---- where there are no turns ---- */

static int status_inside;

static int wait_inside(bine_call *call, void *user)
{
    int fd = add_timer(1);

    (void)call;
    (void)user;
    open_door(); /* a turn is wanted and cannot be given */
    status_inside = wait_ms(-1);
    close(fd);
    return BINE_OK;
}

TEST(inside_a_tick_it_is_epoll_wait)
{
    open_all();
    CHECK_OK(bine_def(rt, "host", "wait_inside()", wait_inside, NULL, NULL));
    start_script(rt, "import bine, host\n"
                     "seen = []\n"
                     "other = bine.spawn(lambda: seen.append(host.door_opens()))\n"
                     "bine.pause()\n"
                     "host.wait_inside()\n"
                     "seen.append('inside')");
    turn_until_ended();
    CHECK_EQ(status_inside, 1);
    CHECK_STR(script_str("' '.join(seen)"), "inside a cat");
    close_all();
}

TEST(after_the_close_it_is_epoll_wait)
{
    int fd;

    open_all();
    close_runtime(rt);
    fd = add_timer(1);
    CHECK_EQ(wait_ms(-1), 1);
    CHECK_EQ(event.data.fd, fd);
    close(fd);
    close(set);
}

static void wait_elsewhere(void *user)
{
    *(int *)user = wait_ms(0);
}

TEST(on_another_thread_it_is_epoll_wait)
{
    int status = -1;

    open_all();
    start_script(rt, "pass");
    in_thread(wait_elsewhere, &status);
    CHECK_EQ(status, 0);
    CHECK_EQ(count_alive(rt), 1);
    turn_until_ended();
    close_all();
}

TEST(what_is_no_set_is_refused_as_by_epoll_wait)
{
    open_all();
    CHECK_EQ(bine_epoll_wait(rt, -1, &event, 1, -1), -1);
    CHECK_EQ(errno, EBADF);
    CHECK_EQ(bine_epoll_wait(rt, set, &event, 0, -1), -1);
    CHECK_EQ(errno, EINVAL);
    close_all();
}
