/* What a script and its host may rely on, whatever drives the runtime: the cases run unchanged over each
 * drive_NAME.c. Real clocks, except where they jump. */
#include "driven.h"

#include "notes.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* ---- time ---- */

TEST(a_script_runs_to_its_end)
{
    open_driven();
    run_driven("done = 1");
    CHECK_EQ(script_int("done"), 1);
    close_driven();
}

TEST(sleeps_end_in_the_order_of_their_times)
{
    open_driven();
    run_driven("import bine\n"
               "seen = []\n"
               "def sleeper(ms):\n"
               "    bine.sleep(ms / 1000)\n"
               "    seen.append(ms)\n"
               "bine.parallel(*[lambda ms=ms: sleeper(ms) for ms in (20, 5, 15, 1, 10)])");
    CHECK_STR(script_str("str(seen)"), "[1, 5, 10, 15, 20]");
    close_driven();
}

TEST(sleeps_in_real_time_end)
{
    open_driven();
    run_driven("import bine\n"
               "for i in range(10): bine.sleep(0.001, real=True)");
    CHECK_EQ(script_int("i"), 9);
    close_driven();
}

TEST(a_sleep_in_real_time_ends_though_game_time_is_paused)
{
    open_driven();
    CHECK_OK(bine_set_time_scale(rt, 0.0));
    run_driven("import bine\n"
               "late = bine.spawn(bine.sleep, 0.001)\n"
               "bine.sleep(0.005, real=True)\n"
               "waits = not late.done\n"
               "late.cancel()");
    CHECK_EQ(script_int("waits"), 1);
    close_driven();
}

TEST(no_sleep_ends_early)
{
    open_driven();
    run_driven("import bine, time\n"
               "early = 0\n"
               "for ns in (0, 1, 999, 1_000, 333_333, 999_999, 1_000_000, 1_000_001, 2_500_000):\n"
               "    begin = time.monotonic_ns()\n"
               "    bine.sleep(ns / 1e9)\n"
               "    early += time.monotonic_ns() - begin < ns");
    CHECK_EQ(script_int("early"), 0);
    close_driven();
}

TEST(a_thousand_sleep_at_once)
{
    open_driven();
    run_driven("import bine\n"
               "ended = 0\n"
               "def sleeper(i):\n"
               "    global ended\n"
               "    bine.sleep(i % 7 / 1000, real=i % 2)\n"
               "    ended += 1\n"
               "with bine.Scope() as scope:\n"
               "    for i in range(1000): scope.spawn(sleeper, i)");
    CHECK_EQ(script_int("ended"), 1000);
    close_driven();
}

TEST(frames_begin_again_and_again)
{
    open_driven();
    run_driven("import bine\n"
               "for i in range(5): bine.next_frame()");
    CHECK_EQ(script_int("i"), 4);
    close_driven();
}

static bine_deferred *promise;
static bine_resolver *promised;

static int owed(bine_call *call, void *user)
{
    (void)user;
    return bine_follow(call, bine_deferred_retain(promise));
}

static void open_with_promise(void)
{
    open_driven();
    CHECK_OK(bine_deferred_new(rt, NULL, NULL, &promise, &promised));
    CHECK_OK(bine_def(rt, "host", "owed() -> object", owed, NULL, NULL));
}

static void release_promise(void)
{
    bine_deferred_release(promise);
    bine_resolver_drop(promised);
}

static void set_timeout(void *unused)
{
    (void)unused;
    CHECK_OK(bine_deferred_timeout(promise, MS));
}

static const char wants_timeout[] = "import bine, host\n"
                                    "try:\n"
                                    "    host.owed()\n"
                                    "except bine.Timeout:\n"
                                    "    timed_out = True";

TEST(a_timer_that_the_host_sets_between_two_turns_is_served)
{
    open_with_promise();
    start_driven(wants_timeout);
    between_turns(set_timeout, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("timed_out"), 1);
    release_promise();
    close_driven();
}

TEST(a_timer_that_the_host_sets_before_the_first_turn_is_served)
{
    open_with_promise();
    set_timeout(NULL);
    run_driven(wants_timeout);
    CHECK_EQ(script_int("timed_out"), 1);
    release_promise();
    close_driven();
}

/* ---- clocks that jump ---- */

#define HOUR (3600 * SECOND)

static _Atomic int64_t jumped;

static int64_t jumping_clock(void *user)
{
    struct timespec t;

    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec + atomic_load(&jumped);
}

static void open_with_jumping_clock(void)
{
    bine_config config;

    bine_config_init(&config);
    config.clock = config.budget_clock = jumping_clock;
    open_driven_with(&config);
}

static void do_nothing(bine *runtime, void *user)
{
    (void)runtime;
    (void)user;
}

/* And something that brings a turn: nobody can wait for a clock to be put forward. */
static void jump(void *ns)
{
    atomic_fetch_add(&jumped, *(const int64_t *)ns);
    CHECK_OK(bine_post(rt, do_nothing, NULL, NULL));
}

static const int64_t hour_ahead = HOUR;
static const int64_t hour_back = -HOUR;

static void jump_when_idle(const int64_t *ns)
{
    between_turns(jump, (void *)(uintptr_t)ns);
}

TEST(when_the_clocks_leap_an_hour_ahead_all_that_is_due_wakes_once)
{
    open_with_jumping_clock();
    start_driven("import bine, os\n"
                 "seen = []\n"
                 "def sleeper(s, real):\n"
                 "    bine.sleep(s, real=real)\n"
                 "    seen.append(s)\n"
                 "def waiter(fd):\n"
                 "    try: bine.wait_readable(fd, timeout=1700)\n"
                 "    except bine.Timeout: seen.append(1700)\n"
                 "later = bine.spawn(bine.sleep, 7300)\n"
                 "bine.parallel(lambda: sleeper(1800, False), lambda: sleeper(1000, False),\n"
                 "    lambda: sleeper(1900, True), lambda: waiter(os.pipe()[0]))\n"
                 "waits = not later.done\n"
                 "later.cancel()");
    jump_when_idle(&hour_ahead);
    driver_run_to_end();
    CHECK_STR(script_str("str(sorted(seen))"), "[1000, 1700, 1800, 1900]");
    CHECK_EQ(script_int("waits"), 1);
    close_driven();
}

TEST(when_the_clocks_go_an_hour_back_sleepers_wake_after_the_rest_of_their_time)
{
    open_with_jumping_clock();
    start_driven("import bine, os\n"
                 "def waiter(fd):\n"
                 "    try: bine.wait_readable(fd, timeout=0.02)\n"
                 "    except bine.Timeout: return 'Timeout'\n"
                 "seen = bine.parallel(lambda: bine.sleep(0.02), lambda: bine.sleep(0.02, real=True),\n"
                 "    lambda: waiter(os.pipe()[0]))");
    jump_when_idle(&hour_back);
    driver_run_to_end();
    CHECK_STR(script_str("str(seen)"), "[None, None, 'Timeout']");
    close_driven();
}

static int64_t job_count(void)
{
    bine_stats stats = {.struct_size = sizeof stats};

    CHECK_OK(bine_get_stats(rt, &stats));
    return (int64_t)stats.jobs;
}

TEST(clocks_that_jump_to_and_fro_make_nothing_run_that_is_not_due)
{
    int64_t jobs;

    open_with_jumping_clock();
    start_driven("import bine\nbine.sleep(100_000)\nwoke = 1");
    jobs = job_count();
    for (int i = 0; i < 10; i++) {
        atomic_fetch_add(&jumped, i % 2 == 0 ? HOUR : -HOUR);
        run_until_idle();
        CHECK_OK(bine_post(rt, do_nothing, NULL, NULL));
        run_until_idle();
    }
    CHECK(job_count() - jobs <= 10);
    atomic_fetch_add(&jumped, 30 * HOUR);
    CHECK_OK(bine_post(rt, do_nothing, NULL, NULL));
    driver_run_to_end();
    CHECK_EQ(script_int("woke"), 1);
    close_driven();
}

/* Inside a turn, too: the budget's clock must not make it the last one, nor one without end. */
static int jump_here(bine_call *call, void *user)
{
    (void)user;
    atomic_fetch_add(&jumped, bine_arg_i64(call, 0) * SECOND);
    return BINE_OK;
}

TEST(clocks_that_jump_inside_a_turn_leave_all_running)
{
    open_with_jumping_clock();
    CHECK_OK(bine_def(rt, "host", "jump(seconds: int)", jump_here, NULL, NULL));
    run_driven("import bine, host\n"
               "def busy():\n"
               "    for i in range(200):\n"
               "        host.jump(3600 if i % 2 else -3600)\n"
               "        bine.pause()\n"
               "def sleepy():\n"
               "    for i in range(10):\n"
               "        bine.sleep(0.001, real=i % 2)\n"
               "bine.parallel(busy, busy, sleepy)\n"
               "done = 1");
    CHECK_EQ(script_int("done"), 1);
    close_driven();
}

/* ---- descriptors ---- */

TEST(a_pipe_becomes_readable)
{
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "def writer():\n"
               "    bine.sleep(0.001)\n"
               "    os.write(w, b'x')\n"
               "bine.spawn(writer)\n"
               "bine.wait_readable(r)\n"
               "got = os.read(r, 10).decode()");
    CHECK_STR(script_str("got"), "x");
    close_driven();
}

TEST(a_full_pipe_becomes_writable)
{
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "os.set_blocking(w, False)\n"
               "try:\n"
               "    while True: os.write(w, bytes(4096))\n"
               "except BlockingIOError: pass\n"
               "def reader():\n"
               "    bine.sleep(0.001)\n"
               "    os.read(r, 1 << 20)\n"
               "bine.spawn(reader)\n"
               "bine.wait_writable(w)\n"
               "wrote = os.write(w, b'x')");
    CHECK_EQ(script_int("wrote"), 1);
    close_driven();
}

TEST(a_descriptor_that_is_ready_before_the_wait_ends_it)
{
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "os.write(w, b'x')\n"
               "for i in range(3):\n"
               "    bine.wait_readable(r)\n"
               "    bine.wait_writable(w)");
    CHECK_EQ(script_int("i"), 2);
    close_driven();
}

TEST(the_two_ends_of_a_socketpair_talk)
{
    open_driven();
    run_driven("import bine, socket\n"
               "a, b = socket.socketpair()\n"
               "def echo():\n"
               "    while True:\n"
               "        bine.wait_readable(b)\n"
               "        data = b.recv(100)\n"
               "        if not data: return\n"
               "        bine.wait_writable(b)\n"
               "        b.send(data.upper())\n"
               "def ask(text):\n"
               "    a.send(text)\n"
               "    bine.wait_readable(a)\n"
               "    return a.recv(100)\n"
               "t = bine.spawn(echo)\n"
               "got = b''.join(ask(b'ab') for i in range(200)).decode()\n"
               "a.shutdown(socket.SHUT_WR)\n"
               "t.join()\n"
               "a.close(), b.close()");
    CHECK_EQ(script_int("got == 'AB' * 200"), 1);
    close_driven();
}

TEST(a_connection_is_made_and_taken)
{
    open_driven();
    run_driven("import bine, socket\n"
               "server = socket.create_server(('127.0.0.1', 0))\n"
               "def take():\n"
               "    bine.wait_readable(server)\n"
               "    with server.accept()[0] as peer: peer.send(b'hello')\n"
               "bine.spawn(take)\n"
               "with socket.socket() as client:\n"
               "    client.setblocking(False)\n"
               "    client.connect_ex(server.getsockname())\n"
               "    bine.wait_writable(client)\n"
               "    error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)\n"
               "    bine.wait_readable(client)\n"
               "    got = client.recv(10).decode()\n"
               "server.close()");
    CHECK_EQ(script_int("error"), 0);
    CHECK_STR(script_str("got"), "hello");
    close_driven();
}

TEST(a_refused_connection_ends_the_wait)
{
    open_driven();
    run_driven("import bine, socket, errno\n"
               "with socket.create_server(('127.0.0.1', 0)) as server: address = server.getsockname()\n"
               "with socket.socket() as client:\n"
               "    client.setblocking(False)\n"
               "    client.connect_ex(address)\n"
               "    bine.wait_writable(client)\n"
               "    error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNREFUSED\n"
               "right = error == errno.ECONNREFUSED");
    CHECK_EQ(script_int("right"), 1);
    close_driven();
}

TEST(a_wait_for_a_descriptor_times_out)
{
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "late = 0\n"
               "for timeout in (0, 0.001, 0.002):\n"
               "    try: bine.wait_readable(r, timeout=timeout)\n"
               "    except bine.Timeout: late += 1\n"
               "os.write(w, b'x')\n"
               "bine.wait_readable(r, timeout=3600)");
    CHECK_EQ(script_int("late"), 3);
    close_driven();
}

TEST(a_reader_and_a_writer_wait_for_one_descriptor)
{
    open_driven();
    run_driven("import bine, socket\n"
               "a, b = socket.socketpair()\n"
               "seen = []\n"
               "a.setblocking(False)\n"
               "try:\n"
               "    while True: a.send(bytes(4096))\n"
               "except BlockingIOError: pass\n"
               "def reads():\n"
               "    bine.wait_readable(a)\n"
               "    seen.append('readable')\n"
               "def writes():\n"
               "    bine.wait_writable(a)\n"
               "    seen.append('writable')\n"
               "def peer():\n"
               "    bine.sleep(0.001)\n"
               "    b.send(b'x')\n"
               "    while not seen: bine.sleep(0.001)\n"
               "    while len(seen) < 2:\n"
               "        b.recv(1 << 20)\n"
               "        bine.sleep(0.001)\n"
               "bine.parallel(writes, reads, peer)");
    CHECK_STR(script_str("str(seen)"), "['readable', 'writable']");
    close_driven();
}

TEST(two_readers_wait_for_one_descriptor)
{
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "def writer():\n"
               "    bine.sleep(0.001)\n"
               "    os.write(w, b'x')\n"
               "bine.parallel(lambda: bine.wait_readable(r), lambda: bine.wait_readable(r), writer)\n"
               "done = 1");
    CHECK_EQ(script_int("done"), 1);
    close_driven();
}

TEST(one_of_two_readers_goes_and_the_other_is_served)
{
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "first = bine.spawn(bine.wait_readable, r)\n"
               "second = bine.spawn(bine.wait_readable, r, timeout=0.001)\n"
               "third = bine.spawn(bine.wait_readable, r)\n"
               "bine.sleep(0.002)\n"
               "first.cancel()\n"
               "bine.sleep(0.001)\n"
               "os.write(w, b'x')\n"
               "third.join()\n"
               "try: second.join()\n"
               "except bine.Timeout: timed_out = 1");
    CHECK_EQ(script_int("timed_out"), 1);
    close_driven();
}

TEST(a_cancelled_wait_for_a_descriptor_ends)
{
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "seen = []\n"
               "def waiter():\n"
               "    try: bine.wait_readable(r)\n"
               "    finally: seen.append('finally')\n"
               "t = bine.spawn(waiter)\n"
               "bine.sleep(0.001)\n"
               "t.cancel()\n"
               "bine.pause()\n"
               "bine.sleep(0.001)\n"
               "os.write(w, b'x')\n"
               "bine.wait_readable(r)");
    CHECK_STR(script_str("str(seen)"), "['finally']");
    close_driven();
}

TEST(a_hang_up_ends_the_wait)
{
    open_driven();
    run_driven("import bine, os, socket\n"
               "r, w = os.pipe()\n"
               "a, b = socket.socketpair()\n"
               "def hang_up():\n"
               "    bine.sleep(0.001)\n"
               "    os.close(w)\n"
               "    b.close()\n"
               "bine.parallel(lambda: bine.wait_readable(r), lambda: bine.wait_readable(a), hang_up)\n"
               "got = os.read(r, 1) + a.recv(1)\n"
               "a.close()");
    CHECK_EQ(script_int("len(got)"), 0);
    close_driven();
}

TEST(a_pipe_whose_reader_goes_ends_the_wait_of_its_writer)
{
    signal(SIGPIPE, SIG_IGN);
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "os.set_blocking(w, False)\n"
               "try:\n"
               "    while True: os.write(w, bytes(4096))\n"
               "except BlockingIOError: pass\n"
               "def go():\n"
               "    bine.sleep(0.001)\n"
               "    os.close(r)\n"
               "bine.spawn(go)\n"
               "bine.wait_writable(w)\n"
               "try: os.write(w, b'x')\n"
               "except BrokenPipeError: broken = 1");
    CHECK_EQ(script_int("broken"), 1);
    close_driven();
}

TEST(what_cannot_be_watched_is_an_os_error)
{
    open_driven();
    run_driven("import bine, os, errno, tempfile\n"
               "def error_of(fd):\n"
               "    try: bine.wait_readable(fd)\n"
               "    except OSError as e: return errno.errorcode[e.errno]\n"
               "r, w = os.pipe()\n"
               "os.close(r)\n"
               "closed = error_of(r)\n"
               "with tempfile.TemporaryFile() as file: regular = error_of(file)\n"
               "folder = error_of(os.open('/', os.O_RDONLY))\n"
               "far = error_of(2**31 - 1)");
    CHECK_STR(script_str("regular"), "EPERM");
    CHECK_STR(script_str("folder"), "EPERM");
    CHECK_STR(script_str("closed"), "EBADF");
    CHECK_STR(script_str("far"), "EBADF");
    close_driven();
}

TEST(a_number_that_is_used_again_after_a_wait_is_a_new_descriptor)
{
    open_driven();
    run_driven("import bine, os\n"
               "def ready(r, w): os.write(w, b'x'); bine.wait_readable(r)\n"
               "def timed_out(r, w):\n"
               "    try: bine.wait_readable(r, timeout=0.001)\n"
               "    except bine.Timeout: pass\n"
               "def cancelled(r, w):\n"
               "    t = bine.spawn(bine.wait_readable, r)\n"
               "    bine.pause()\n"
               "    t.cancel()\n"
               "    bine.sleep(0.001)\n"
               "def later(w): bine.sleep(0.001); os.write(w, b'y')\n"
               "got = b''\n"
               "numbers = set()\n"
               "for before in (ready, timed_out, cancelled) * 3:\n"
               "    r, w = os.pipe()\n"
               "    numbers |= {r, w}\n"
               "    before(r, w)\n"
               "    os.close(r), os.close(w)\n"
               "    r, w = os.pipe()\n"
               "    numbers |= {r, w}\n"
               "    bine.spawn(later, w)\n"
               "    bine.wait_readable(r)\n"
               "    got += os.read(r, 10)\n"
               "    os.close(r), os.close(w)");
    CHECK_EQ(script_int("got == b'y' * 9"), 1);
    CHECK_EQ(script_int("len(numbers)"), 2);
    close_driven();
}

/* It must stay open, and a script that does not know that is no end of the host. */
TEST(a_descriptor_closed_while_it_is_waited_for_harms_nobody_else)
{
    open_driven();
    run_driven("import bine, os, gc\n"
               "def wait(fd):\n"
               "    try: bine.wait_readable(fd, timeout=0.005)\n"
               "    except (bine.Timeout, OSError): pass\n"
               "def close_at_once(r): os.close(r)\n"
               "def close_later(r): bine.sleep(0.001); os.close(r)\n"
               "for close in (close_at_once, close_later) * 3:\n"
               "    r, w = os.pipe()\n"
               "    t = bine.spawn(wait, r)\n"
               "    bine.pause()\n"
               "    close(r)\n"
               "    t.join()\n"
               "    os.close(w)\n"
               "r, w = os.pipe()\n"
               "os.write(w, b'x')\n"
               "bine.wait_readable(r)\n"
               "done = 1");
    CHECK_EQ(script_int("done"), 1);
    close_driven();
}

TEST(a_descriptor_closed_and_made_anew_while_it_is_waited_for_harms_nobody_else)
{
    open_driven();
    run_driven("import bine, os, tempfile\n"
               "def wait(fd):\n"
               "    try: bine.wait_readable(fd, timeout=0.005)\n"
               "    except (bine.Timeout, OSError): pass\n"
               "def regular(): return os.open(os.devnull, os.O_RDONLY), os.open('/', os.O_RDONLY)\n"
               "for late in (False, True):\n"
               "    for again in (os.pipe, regular):\n"
               "        r, w = os.pipe()\n"
               "        t = bine.spawn(wait, r)\n"
               "        bine.pause()\n"
               "        if late: bine.sleep(0.001)\n"
               "        os.close(r), os.close(w)\n"
               "        a, b = again()\n"
               "        t.join()\n"
               "        os.close(a), os.close(b)\n"
               "r, w = os.pipe()\n"
               "os.write(w, b'x')\n"
               "bine.wait_readable(r)\n"
               "done = 1");
    CHECK_EQ(script_int("done"), 1);
    close_driven();
}

TEST(a_descriptor_blocks_as_before_while_it_is_waited_for_and_after)
{
    open_driven();
    run_driven("import bine, os\n"
               "r, w = os.pipe()\n"
               "seen = []\n"
               "def look():\n"
               "    bine.sleep(0.001)\n"
               "    seen.append(os.get_blocking(r))\n"
               "    os.write(w, b'x')\n"
               "for blocking in (True, False):\n"
               "    os.set_blocking(r, blocking)\n"
               "    bine.parallel(lambda: bine.wait_readable(r), look)\n"
               "    seen.append(os.get_blocking(r))\n"
               "    os.read(r, 1)");
    CHECK_STR(script_str("str(seen)"), "[True, True, False, False]");
    close_driven();
}

TEST(many_descriptors_are_waited_for_at_once)
{
    open_driven();
    run_driven("import bine, os\n"
               "got = 0\n"
               "def reader(r, w):\n"
               "    global got\n"
               "    for i in range(3):\n"
               "        bine.wait_readable(r)\n"
               "        got += len(os.read(r, 1))\n"
               "        bine.wait_writable(w)\n"
               "pipes = [os.pipe() for i in range(100)]\n"
               "with bine.Scope() as scope:\n"
               "    for r, w in pipes: scope.spawn(reader, r, w)\n"
               "    for i in range(3):\n"
               "        for r, w in pipes: os.write(w, b'x')\n"
               "        bine.sleep(0.001)");
    CHECK_EQ(script_int("got"), 300);
    close_driven();
}

/* In C; the ends are in `user`. */
static int wait_in_c(bine *runtime, void *user, bine_value **result)
{
    const int *ends = user;

    (void)runtime;
    (void)result;
    CHECK_EQ(bine_wait_fd(ends[1], BINE_WRITABLE, -1), BINE_WRITABLE);
    CHECK_STATUS(bine_wait_fd(ends[0], BINE_READABLE, 0), BINE_ETIMEDOUT);
    CHECK_STATUS(bine_wait_fd(ends[0], BINE_READABLE, MS), BINE_ETIMEDOUT);
    note("waits ");
    CHECK_EQ(bine_wait_fd(ends[0], BINE_READABLE | BINE_WRITABLE, -1), BINE_READABLE);
    note("ready ");
    CHECK_STATUS(bine_wait_fd(ends[0], 0, -1), BINE_EINVAL);
    CHECK_STATUS(bine_wait_fd(ends[0], 8, -1), BINE_EINVAL);
    CHECK_STATUS(bine_wait_fd(-1, BINE_READABLE, -1), BINE_EIO);
    return BINE_OK;
}

static void write_one(void *fd)
{
    CHECK_EQ(write(*(const int *)fd, "x", 1), 1);
}

TEST(a_wait_in_c_ends_when_another_thread_writes)
{
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    open_driven();
    CHECK_OK(bine_spawn(NULL, wait_in_c, ends, NULL, NULL));
    run_until_noted("waits");
    when_idle(write_one, &ends[1]);
    driver_run_to_end();
    CHECK_STR(notes(), "waits ready ");
    close_driven();
    close(ends[0]);
    close(ends[1]);
}

/* ---- other threads ---- */

static const char waits_at_door[] = "import host\ngot = host.door()";

TEST(a_result_from_another_thread_ends_the_wait)
{
    open_driven();
    start_driven(waits_at_door);
    when_idle(open_door, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("got"), "open");
    close_driven();
}

static void drop_door(void *unused)
{
    (void)unused;
    bine_resolver_drop(take_door());
}

TEST(a_resolver_dropped_by_another_thread_ends_the_wait)
{
    open_driven();
    start_driven("import bine, host\n"
                 "try: host.door()\n"
                 "except bine.HostError as error: name = error.name");
    when_idle(drop_door, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("name"), "BINE_EBROKEN");
    close_driven();
}

static void note_task(bine *runtime, void *user)
{
    (void)runtime;
    (void)user;
    note("task ");
}

static void post_note(void *unused)
{
    (void)unused;
    CHECK_OK(bine_post(rt, note_task, NULL, NULL));
}

TEST(a_task_from_another_thread_ends_the_wait)
{
    open_driven();
    start_driven(waits_at_door);
    when_idle(post_note, NULL);
    run_until_noted("task");
    open_door(NULL);
    close_driven();
}

#define ROUNDS 500

/* As soon as there is one: about when the loop begins to wait. */
static void open_doors(void *unused)
{
    for (int i = 0; i < ROUNDS; i++)
        open_door(unused);
}

TEST(no_result_comes_too_late_or_too_early_to_be_noticed)
{
    open_driven();
    start_driven("import host\n"
                 "for i in range(500): host.door()");
    when_idle(open_doors, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("i"), ROUNDS - 1);
    close_driven();
}

#define PRODUCERS 4
#define POSTS 1000

static int posts_seen[PRODUCERS];
static int posts_in_all;

static void take_post(bine *runtime, void *user)
{
    uintptr_t number = (uintptr_t)user;
    size_t producer = number / POSTS;

    (void)runtime;
    CHECK_EQ(posts_seen[producer], number % POSTS);
    posts_seen[producer]++;
    posts_in_all++;
}

static void post_all(void *producer)
{
    uintptr_t first = (uintptr_t)producer * POSTS;

    for (uintptr_t i = 0; i < POSTS; i++)
        CHECK_OK(bine_post(rt, take_post, (void *)(first + i), NULL));
}

static void produce(void)
{
    for (uintptr_t i = 0; i < PRODUCERS; i++)
        meanwhile(post_all, (void *)i);
}

static bool all_posts_are_in(void *user)
{
    (void)user;
    return posts_in_all == PRODUCERS * POSTS;
}

TEST(tasks_of_four_threads_keep_the_order_of_each)
{
    open_driven();
    start_driven(waits_at_door);
    produce();
    driver_run_until(all_posts_are_in, NULL);
    open_door(NULL);
    close_driven();
}

/* ---- between two turns ---- */

TEST(a_result_between_two_turns_ends_the_wait)
{
    open_driven();
    start_driven(waits_at_door);
    between_turns(open_door, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("got"), "open");
    close_driven();
}

TEST(a_task_between_two_turns_is_called)
{
    open_driven();
    start_driven(waits_at_door);
    between_turns(post_note, NULL);
    run_until_noted("task");
    open_door(NULL);
    close_driven();
}

static void run_another(void *unused)
{
    (void)unused;
    start_script(rt, "import host\nhost.note('another')");
}

TEST(a_script_started_between_two_turns_runs)
{
    open_driven();
    start_driven(waits_at_door);
    between_turns(run_another, NULL);
    run_until_noted("another");
    open_door(NULL);
    close_driven();
}

static bine_micro *micro;

static void cancel_micro(void *unused)
{
    (void)unused;
    CHECK_OK(bine_micro_cancel(micro));
}

static void interrupt_micro(void *unused)
{
    (void)unused;
    CHECK_OK(bine_micro_interrupt(micro));
}

static void start_micro(const char *source)
{
    CHECK_OK(bine_run_string(rt, source, "<micro>", &micro));
    run_until_idle();
}

TEST(a_cancel_between_two_turns_ends_the_wait)
{
    open_driven();
    start_micro("import bine\n"
                "try: bine.sleep(3600)\n"
                "finally: seen = 1");
    between_turns(cancel_micro, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("seen"), 1);
    CHECK_STATUS(bine_micro_status(micro), BINE_ECANCELED);
    bine_micro_release(micro);
    close_driven();
}

TEST(an_interrupt_of_one_between_two_turns_ends_its_wait)
{
    open_driven();
    start_micro("import bine\n"
                "try: bine.sleep(3600)\n"
                "except KeyboardInterrupt: seen = 1");
    between_turns(interrupt_micro, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("seen"), 1);
    bine_micro_release(micro);
    close_driven();
}

static void shut_down(void *unused)
{
    (void)unused;
    CHECK_OK(bine_shutdown(rt, SECOND));
}

TEST(a_shutdown_between_two_turns_ends_all_waits)
{
    open_driven();
    start_driven("import bine, os\n"
                 "ended = 0\n"
                 "def end(wait, *args):\n"
                 "    global ended\n"
                 "    try: wait(*args)\n"
                 "    finally: ended += 1\n"
                 "bine.spawn(end, bine.sleep, 3600)\n"
                 "bine.spawn(end, bine.wait_readable, os.pipe()[0])\n"
                 "end(bine.Event().wait)");
    between_turns(shut_down, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("ended"), 3);
    close_driven();
}

static void step_an_hour(void *unused)
{
    (void)unused;
    CHECK_OK(bine_step_time(rt, HOUR));
}

TEST(a_step_of_game_time_between_two_turns_wakes_who_is_due)
{
    open_driven();
    start_driven("import bine\nbine.sleep(3599)\nwoke = 1");
    between_turns(step_an_hour, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("woke"), 1);
    close_driven();
}

static void hurry(void *unused)
{
    (void)unused;
    CHECK_OK(bine_set_time_scale(rt, 1e9));
}

TEST(a_faster_game_time_between_two_turns_wakes_who_is_due)
{
    open_driven();
    start_driven("import bine\nbine.sleep(3600)\nwoke = 1");
    between_turns(hurry, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("woke"), 1);
    close_driven();
}

/* ---- turns in turns ---- */

static void ignore_request(void *user)
{
    (void)user;
}

static void check_refusals(void)
{
    bine_tick_info info = {.struct_size = sizeof info};

    CHECK_STATUS(bine_tick(rt, -1, NULL), BINE_EBUSY);
    CHECK_STATUS(bine_tick(rt, MS, &info), BINE_EBUSY);
    CHECK_STATUS(bine_run(rt, BINE_RUN_DEFAULT), BINE_EBUSY);
    CHECK_STATUS(bine_run(rt, BINE_RUN_ONCE), BINE_EBUSY);
    CHECK_STATUS(bine_run(rt, BINE_RUN_NOWAIT), BINE_EBUSY);
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_STATUS(bine_close_abandon(rt), BINE_EBUSY);
    CHECK_STATUS(bine_guest_start(rt, ignore_request, NULL), BINE_EBUSY);
    CHECK_STATUS(bine_guest_stop(rt), BINE_EBUSY);
    CHECK_EQ(bine_poll_timeout_ns(rt), -1);
    note("refused ");
}

static int refuse_in_call(bine_call *call, void *user)
{
    (void)call;
    (void)user;
    check_refusals();
    return BINE_OK;
}

static void refuse_in_task(bine *runtime, void *user)
{
    (void)runtime;
    (void)user;
    check_refusals();
}

static int refuse_in_step(bine_step *step, void *user)
{
    (void)step;
    (void)user;
    check_refusals();
    return BINE_OK;
}

TEST(a_host_function_is_refused_a_turn_and_nothing_runs_meanwhile)
{
    open_driven();
    CHECK_OK(bine_def(rt, "host", "refused()", refuse_in_call, NULL, NULL));
    run_driven("import bine, host\n"
               "other = bine.spawn(host.note, 'other')\n"
               "bine.spawn(bine.sleep, 0)\n"
               "host.refused()\n"
               "host.note('after')\n"
               "other.join()");
    CHECK_STR(notes(), "refused after other ");
    close_driven();
}

TEST(a_task_is_refused_a_turn_and_nothing_runs_meanwhile)
{
    open_driven();
    CHECK_OK(bine_post(rt, refuse_in_task, NULL, NULL));
    CHECK_OK(bine_post(rt, note_task, NULL, NULL));
    run_driven("import host\nhost.note('script')");
    CHECK_STR(notes(), "refused task script ");
    close_driven();
}

TEST(a_step_is_refused_a_turn)
{
    open_with_promise();
    CHECK_OK(bine_then(promise, refuse_in_step, NULL, NULL, NULL, NULL));
    start_driven(waits_at_door);
    CHECK_OK(bine_resolve(promised, bine_value_i64(1)));
    run_until_noted("refused");
    bine_deferred_release(promise);
    open_door(NULL);
    close_driven();
}

/* ---- the end ---- */

TEST(it_closes_right_after_it_was_opened)
{
    open_driven();
    CHECK_OK(bine_close(rt));
    end_driven();
}

TEST(it_closes_before_a_task_was_called_and_releases_that)
{
    char *owned = strdup("freed by the close, or LeakSanitizer sees it");

    open_driven();
    CHECK_OK(bine_post(rt, note_task, owned, free));
    CHECK_OK(bine_close(rt));
    CHECK_STR(notes(), "");
    end_driven();
}

TEST(it_is_closed_but_once)
{
    bine *closed;

    open_driven();
    closed = rt;
    CHECK_OK(bine_close(rt));
    CHECK_STATUS(bine_close(closed), BINE_ECLOSED);
    CHECK_STATUS(bine_tick(closed, 0, NULL), BINE_ECLOSED);
    CHECK_STATUS(bine_run(closed, BINE_RUN_DEFAULT), BINE_ECLOSED);
    CHECK_STATUS(bine_poll_fd(closed), BINE_ECLOSED);
    CHECK_EQ(bine_poll_timeout_ns(closed), BINE_ECLOSED);
    CHECK_STATUS(bine_post(closed, note_task, NULL, NULL), BINE_ECLOSED);
    bine_interrupt(closed);
    end_driven();
}

/* With scripts that wait for whatever `source` says: refused, then shut down, then closed. */
static void check_end(const char *source)
{
    open_driven();
    start_driven(source);
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_OK(bine_shutdown(rt, SECOND));
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    driver_run_to_end();
    CHECK_EQ(script_int("ended"), 1);
    close_driven();
}

TEST(it_is_not_closed_while_a_script_sleeps)
{
    check_end("import bine\n"
              "try: bine.sleep(3600)\n"
              "finally: ended = 1");
}

TEST(it_is_not_closed_while_a_script_waits_for_a_descriptor)
{
    check_end("import bine, os\n"
              "try: bine.wait_readable(os.pipe()[0], timeout=3600)\n"
              "finally: ended = 1");
}

TEST(it_is_not_closed_while_a_script_waits_for_a_frame)
{
    check_end("import bine\n"
              "try:\n"
              "    while True: bine.next_frame()\n"
              "finally: ended = 1");
}

TEST(it_is_not_closed_while_a_script_runs_and_runs)
{
    open_driven();
    start_script(rt, "import bine, host\n"
                     "host.note('runs')\n"
                     "while True: bine.pause()");
    run_until_noted("runs");
    CHECK_STATUS(bine_close(rt), BINE_EBUSY);
    CHECK_OK(bine_shutdown(rt, SECOND));
    close_driven();
}

TEST(it_closes_with_a_timer_of_the_hosts_that_is_not_due)
{
    open_with_promise();
    CHECK_OK(bine_deferred_timeout(promise, HOUR));
    start_driven("pass");
    CHECK_OK(bine_close(rt));
    release_promise();
    end_driven();
}

static void close_here(void *unused)
{
    (void)unused;
    close_runtime(rt);
    rt = NULL;
}

static bool is_closed(void *user)
{
    (void)user;
    return rt == NULL;
}

static void close_after_the_last(void *unused)
{
    open_door(unused);
    driver_call(close_here, NULL);
}

TEST(it_may_be_closed_by_the_loop_itself)
{
    open_driven();
    start_driven(waits_at_door);
    driver_call(close_after_the_last, NULL);
    driver_run_until(is_closed, NULL);
    end_driven();
}

TEST(it_may_be_left_behind_while_scripts_wait)
{
    bine *left;

    open_driven();
    start_driven("import bine, os\n"
                 "bine.spawn(bine.wait_readable, os.pipe()[0], timeout=3600)\n"
                 "bine.spawn(bine.sleep, 3600, real=True)\n"
                 "bine.spawn(bine.next_frame)\n"
                 "bine.sleep(3600)");
    left = rt;
    CHECK_OK(bine_close_abandon(rt));
    CHECK_STATUS(bine_close(left), BINE_ECLOSED);
    end_driven();
    _exit(EXIT_SUCCESS); /* what is left is no leak */
}

/* ---- signals ---- */

static void count_alarm(int number)
{
    (void)number;
}

static void set_alarms(long every_us)
{
    struct itimerval period = {.it_interval.tv_usec = every_us, .it_value.tv_usec = every_us};
    struct sigaction action = {.sa_handler = count_alarm}; /* no SA_RESTART */

    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &period, NULL), 0);
}

TEST(a_thousand_signals_a_second_change_nothing)
{
    open_driven();
    start_script(
        rt, "import bine, host, os\n"
            "def sleeps():\n"
            "    for i in range(20): bine.sleep(0.005, real=i % 2)\n"
            "    return i\n"
            "def talks(r, w):\n"
            "    for i in range(200):\n"
            "        bine.wait_writable(w)\n"
            "        os.write(w, b'x')\n"
            "        bine.wait_readable(r)\n"
            "        os.read(r, 1)\n"
            "    return i\n"
            "def at_doors():\n"
            "    for i in range(500): host.door()\n"
            "    return i\n"
            "a, b = os.pipe(), os.pipe()\n"
            "got = bine.parallel(sleeps, lambda: talks(a[0], b[1]), lambda: talks(b[0], a[1]), at_doors)");
    set_alarms(1000);
    meanwhile(open_doors, NULL);
    produce();
    driver_run_to_end();
    set_alarms(0);
    CHECK_STR(script_str("str(got)"), "[19, 199, 199, 499]");
    CHECK(all_posts_are_in(NULL));
    close_driven();
}

static void send_signal(void *number)
{
    CHECK_EQ(kill(getpid(), *(const int *)number), 0);
}

/* In this thread: no call of the owner thread's is interrupted. */
static void raise_here(void *number)
{
    CHECK_EQ(raise(*(const int *)number), 0);
}

static const int usr1 = SIGUSR1;

static void check_script_handles(void (*send)(void *user))
{
    open_driven();
    start_driven("import bine, signal\n"
                 "came = bine.Event()\n"
                 "signal.signal(signal.SIGUSR1, lambda *args: came.set())\n"
                 "came.wait()");
    when_idle(send, (void *)(uintptr_t)&usr1);
    driver_run_to_end();
    close_driven();
}

TEST(a_scripts_signal_handler_runs_though_all_wait)
{
    check_script_handles(send_signal);
}

TEST(a_scripts_handler_runs_for_a_signal_that_another_thread_gets)
{
    check_script_handles(raise_here);
}

static void interrupt(void *unused)
{
    (void)unused;
    bine_interrupt(rt);
}

static const char catches_interrupt[] = "import bine\n"
                                        "try: bine.sleep(3600)\n"
                                        "except KeyboardInterrupt: caught = 1";

TEST(an_interrupt_by_another_thread_is_raised_though_all_wait)
{
    open_driven();
    start_driven(catches_interrupt);
    when_idle(interrupt, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("caught"), 1);
    close_driven();
}

TEST(an_interrupt_between_two_turns_is_raised)
{
    open_driven();
    start_driven(catches_interrupt);
    between_turns(interrupt, NULL);
    driver_run_to_end();
    CHECK_EQ(script_int("caught"), 1);
    close_driven();
}

static void on_sigint(int number)
{
    (void)number;
    bine_interrupt(rt);
}

static const int sigint = SIGINT;

TEST(an_interrupt_in_the_hosts_signal_handler_is_raised_though_all_wait)
{
    struct sigaction action = {.sa_handler = on_sigint};

    CHECK_EQ(sigaction(SIGINT, &action, NULL), 0);
    open_driven();
    start_driven(catches_interrupt);
    when_idle(send_signal, (void *)(uintptr_t)&sigint);
    driver_run_to_end();
    CHECK_EQ(script_int("caught"), 1);
    close_driven();
}

static void interrupt_at_door(void *unused)
{
    bine_resolver *r = take_door();

    interrupt(unused);
    bine_resolver_drop(r);
}

TEST(an_interrupt_reaches_a_script_that_never_waits)
{
    open_driven();
    meanwhile(interrupt_at_door, NULL);
    run_driven("import bine, host\n"
               "def sees_that_it_breaks():\n"
               "    try: host.door()\n"
               "    except bine.HostError: pass\n"
               "t = bine.spawn(sees_that_it_breaks)\n"
               "try:\n"
               "    bine.pause()\n"
               "    while True: pass\n"
               "except KeyboardInterrupt: caught = 1\n"
               "t.join()");
    CHECK_EQ(script_int("caught"), 1);
    close_driven();
}

#define SIGNALS 65

static struct sigaction actions_before[SIGNALS];

/* Two numbers belong to the C library, which does not say. */
static void read_actions(struct sigaction *actions)
{
    memset(actions, 0, SIGNALS * sizeof *actions);
    for (int i = 1; i < SIGNALS; i++)
        (void)sigaction(i, NULL, &actions[i]);
}

static bool same_action(const struct sigaction *a, const struct sigaction *b)
{
    const int restorer = 0x04000000; /* the C library's own, which it adds to what it is given */

    for (int i = 1; i < SIGNALS; i++)
        if (sigismember(&a->sa_mask, i) != sigismember(&b->sa_mask, i))
            return false;
    return a->sa_sigaction == b->sa_sigaction && (a->sa_flags | restorer) == (b->sa_flags | restorer);
}

/* SIGRTMAX is the watchdog's. */
static void check_actions(const char *when)
{
    struct sigaction now[SIGNALS];

    read_actions(now);
    for (int i = 1; i < SIGRTMAX; i++)
        if (!same_action(&now[i], &actions_before[i]))
            FAIL("%s, signal %d (%s) is handled in another way", when, i, strsignal(i));
}

/* A mixture: an own handler, ignored, default. */
static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = count_alarm, .sa_flags = SA_RESTART};

    sigaddset(&action.sa_mask, SIGUSR2);
    for (int i = 1; i < SIGNALS; i += 3)
        (void)sigaction(i, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    read_actions(actions_before);
}

static const char imports_all[] = "import host, sys, importlib, warnings\n"
                                  "warnings.simplefilter('ignore')\n"
                                  "silly = {'antigravity', 'this', 'idlelib', 'turtle', 'turtledemo'}\n"
                                  "failed = 0\n"
                                  "for name in sorted(sys.stdlib_module_names - silly):\n"
                                  "    if name.startswith('_test') or name.startswith('_xx'): continue\n"
                                  "    try: importlib.import_module(name)\n"
                                  "    except ImportError: failed += 1\n"
                                  "    host.check(f'after the import of {name}')";

static int check_now(bine_call *call, void *user)
{
    (void)user;
    check_actions(bine_arg_str(call, 0, NULL));
    return BINE_OK;
}

static void open_among_handlers(void)
{
    handle_signals();
    open_driven();
    check_actions("after bine_open()");
    CHECK_OK(bine_def(rt, "host", "check(when: str)", check_now, NULL, NULL));
}

TEST(the_hosts_signal_handlers_are_as_they_were_after_any_import)
{
    open_among_handlers();
    start_script(rt, imports_all);
    driver_run_to_end();
    check_actions("after all imports");
    close_driven();
    check_actions("after bine_close()");
}

TEST(the_hosts_signal_handlers_are_as_they_were_after_asyncio_and_processes)
{
    open_among_handlers();
    run_driven("import asyncio, host, subprocess, multiprocessing, concurrent.futures\n"
               "asyncio.run(asyncio.sleep(0.001))\n"
               "host.check('after asyncio.run()')\n"
               "subprocess.run(['true'], check=True)\n"
               "host.check('after subprocess.run()')\n"
               "with concurrent.futures.ThreadPoolExecutor() as pool: pool.submit(len, 'a').result()\n"
               "host.check('after a ThreadPoolExecutor')\n"
               "done = 1");
    CHECK_EQ(script_int("done"), 1);
    check_actions("after it");
    close_driven();
    check_actions("after bine_close()");
}

/* ---- fairness ---- */

TEST(a_busy_script_keeps_nothing_else_from_being_served)
{
    open_driven();
    start_script(rt, "import bine, host, os\n"
                     "stop = False\n"
                     "seen = []\n"
                     "r, w = os.pipe()\n"
                     "def busy():\n"
                     "    while not stop: bine.pause()\n"
                     "def reads():\n"
                     "    for i in range(10):\n"
                     "        bine.wait_readable(r)\n"
                     "        os.read(r, 1)\n"
                     "        os.write(w, b'x')\n"
                     "    seen.append('descriptor')\n"
                     "def sleeps():\n"
                     "    for i in range(10): bine.sleep(0.001, real=i % 2)\n"
                     "    seen.append('timer')\n"
                     "def opens():\n"
                     "    host.note('asked')\n"
                     "    host.door()\n"
                     "    seen.append('door')\n"
                     "bine.spawn(busy), bine.spawn(busy)\n"
                     "os.write(w, b'x')\n"
                     "bine.parallel(reads, sleeps, opens)\n"
                     "stop = True");
    in_thread(post_note, NULL);
    run_until_noted("task");
    run_until_noted("asked");
    between_busy_turns(open_door, NULL);
    driver_run_to_end();
    CHECK_STR(script_str("str(sorted(seen))"), "['descriptor', 'door', 'timer']");
    close_driven();
}

TEST(a_busy_script_does_not_keep_the_hosts_loop_from_its_own_work)
{
    open_driven();
    start_script(rt, "import bine, host\n"
                     "host.note('runs')\n"
                     "while True: bine.pause()");
    run_until_noted("runs");
    between_busy_turns(shut_down, NULL);
    close_driven();
}

TEST(a_busy_descriptor_keeps_no_script_from_running)
{
    open_driven();
    run_driven("import bine, os\n"
               "stop = False\n"
               "r, w = os.pipe()\n"
               "def busy():\n"
               "    while not stop: bine.wait_writable(w)\n"
               "bine.spawn(busy), bine.spawn(busy)\n"
               "for i in range(100): bine.pause()\n"
               "for i in range(5): bine.sleep(0.001, real=i % 2)\n"
               "stop = True");
    CHECK_EQ(script_int("i"), 4);
    close_driven();
}

/* ---- rest ---- */

#define REST_MS 100

static int64_t on_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* In a thread of its own, while the loop waits: what the process has computed meanwhile. */
static void measure_rest(void *ns)
{
    struct timespec rest = {.tv_nsec = REST_MS * MS};
    int64_t before = on_clock(CLOCK_PROCESS_CPUTIME_ID);

    while (nanosleep(&rest, &rest) != 0)
        ;
    *(int64_t *)ns = on_clock(CLOCK_PROCESS_CPUTIME_ID) - before;
    open_door(NULL);
}

static long waits_of_owner(void)
{
    char line[128];
    long waits = -1;
    FILE *file = fopen("/proc/self/status", "r"); /* of the main thread */

    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "voluntary_ctxt_switches: %ld", &waits);
    fclose(file);
    return waits;
}

static void check_rest(const char *source)
{
    int64_t computed = -1;
    int64_t jobs;
    long waits;

    if (driver_has_frames)
        SKIP("frames come at any time");
    open_driven();
    start_driven(source);
    jobs = job_count();
    waits = waits_of_owner();
    when_idle(measure_rest, &computed);
    driver_run_to_end();
    waits = waits_of_owner() - waits;
    CHECK(computed >= 0);
    CHECK(computed < REST_MS * MS / 10);
    CHECK(job_count() - jobs < 20);
    CHECK(waits < 30);
    close_driven();
}

TEST(nothing_is_computed_while_all_wait)
{
    check_rest(waits_at_door);
}

TEST(nothing_is_computed_while_all_wait_for_a_time_far_off)
{
    check_rest("import bine, host\n"
               "t = bine.spawn(bine.sleep, 3600)\n"
               "host.door()\n"
               "t.cancel()");
}

TEST(nothing_is_computed_while_all_wait_for_descriptors)
{
    check_rest("import bine, host, os\n"
               "ends = os.pipe()\n"
               "t = [bine.spawn(bine.wait_readable, ends[0], timeout=3600) for i in range(3)]\n"
               "host.door()\n"
               "for each in t: each.cancel()");
}

TEST(nothing_is_computed_while_a_descriptor_is_ready_that_nobody_waits_for_any_more)
{
    check_rest("import bine, host, os\n"
               "ends = os.pipe()\n"
               "os.write(ends[1], b'x')\n"
               "bine.wait_readable(ends[0])\n"
               "bine.wait_writable(ends[1])\n"
               "host.door()");
}

TEST(nothing_is_computed_when_game_time_is_paused_before_sleeps_are_over)
{
    check_rest("import bine, host\n"
               "bine.sleep(0.001)\n"
               "for i in range(3): bine.next_frame()\n"
               "host.door()");
}

/* ---- forks ---- */

static const char forks[] = "import bine, os, signal, threading\n"
                            "r, w = os.pipe()\n"
                            "said, tell = os.pipe()\n"
                            "other = bine.spawn(bine.wait_readable, r)\n"
                            "bine.sleep(0.001)\n"
                            "child = os.fork()\n"
                            "if child == 0:\n"
                            "    signal.alarm(60)\n"
                            "    a, b = os.pipe()\n"
                            "    threading.Timer(0.005, os.write, (b, b'x')).start()\n"
                            "    bine.wait_readable(a)\n"
                            "    bine.sleep(0.002)\n"
                            "    bine.sleep(0.002, real=True)\n"
                            "    os.write(tell, b'child')\n"
                            "    os._exit(7)\n"
                            "bine.wait_readable(said)\n"
                            "word = os.read(said, 10).decode()\n"
                            "status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
                            "waits = not other.done\n"
                            "os.write(w, b'x')\n"
                            "other.join()\n"
                            "bine.sleep(0.001)";

TEST(a_fork_leaves_both_loops_in_order)
{
    open_driven();
    run_driven(forks);
    CHECK_STR(script_str("word"), "child");
    CHECK_EQ(script_int("status"), 7);
    CHECK_EQ(script_int("waits"), 1);
    close_driven();
}
