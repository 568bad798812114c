/* Waits for descriptors: they end by what happens to it, by time, by a cancel; and nothing a script does to
 * a descriptor harms another wait. */
#include "driven.h"

#include "notes.h"

#include <signal.h>
#include <unistd.h>

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

TEST(the_end_of_a_child_process_ends_the_wait_for_it)
{
    open_driven();
    run_driven("import bine, os, signal, subprocess\n"
               "children = [subprocess.Popen(['/bin/sleep', '1000'], process_group=0) for i in range(3)]\n"
               "waits = [bine.spawn(child.wait) for child in children[:2]]\n"
               "waits.append(bine.spawn(os.waitpid, -children[2].pid, os.WUNTRACED))\n"
               "def end():\n"
               "    for child in children: child.kill()\n"
               "bine.spawn(end)\n"
               "codes = [wait.join() for wait in waits[:2]]\n"
               "codes.append(waits[2].join()[1])\n"
               "children[2].returncode = -9\n");
    CHECK(script_true("codes == [-9, -9, 9]"));
    close_driven();
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
