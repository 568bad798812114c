/* A host that has left SIGPIPE as it was: no write of a script's to somebody who has gone ends it. */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each way to write, to an end that nobody reads; how often it was told so. */
static const char ways[] =
    "import os, socket, tempfile, threading\n"
    "def pipe():\n"
    "    r, w = os.pipe()\n"
    "    os.close(r)\n"
    "    return w\n"
    "def gone(kind=socket.AF_UNIX, timeout=None):\n"
    "    a, b = socket.socketpair()\n"
    "    b.close()\n"
    "    a.settimeout(timeout)\n"
    "    return a\n"
    "def tcp(timeout=None):\n"
    "    server = socket.create_server(('127.0.0.1', 0))\n"
    "    a = socket.create_connection(server.getsockname())\n"
    "    server.accept()[0].close()\n"
    "    server.close()\n"
    "    a.settimeout(timeout)\n"
    "    for i in range(2):\n" /* the first is answered by a reset */
    "        try: a.send(b'x')\n"
    "        except OSError: pass\n"
    "    return a\n"
    "def flush(w):\n"
    "    file = open(w, 'wb', closefd=False)\n"
    "    file.write(b'x')\n"
    "    try: file.flush()\n"
    "    finally:\n"
    "        try: file.close()\n"
    "        except OSError: pass\n"
    "def nonblocking(w):\n"
    "    os.set_blocking(w, False)\n"
    "    return w\n"
    "def from_file(to):\n"
    "    with tempfile.TemporaryFile() as file:\n"
    "        file.write(b'x')\n"
    "        file.flush()\n"
    "        os.sendfile(to, file.fileno(), 0, 1)\n"
    "def from_pipe(to):\n"
    "    r, w = os.pipe()\n"
    "    os.write(w, b'x')\n"
    "    try: os.splice(r, to, 1)\n"
    "    finally:\n"
    "        os.close(r)\n"
    "        os.close(w)\n"
    "ways = [\n"
    "    lambda: os.write(pipe(), b'x'), lambda: os.writev(pipe(), [b'x', b'y']),\n"
    "    lambda: os.write(nonblocking(pipe()), b'x'), lambda: flush(pipe()), lambda: "
    "flush(nonblocking(pipe())),\n"
    "    lambda: print('x', file=open(pipe(), 'w'), flush=True),\n"
    "    lambda: from_file(pipe()), lambda: from_pipe(pipe())]\n"
    "for make in gone, tcp:\n"
    "    for time in None, 5, 0:\n"
    "        def way(f, make=make, time=time):\n"
    "            s = make(timeout=time)\n"
    "            return lambda: f(s)\n"
    "        ways += [way(f) for f in (\n"
    "            lambda s: s.send(b'x'), lambda s: s.sendall(b'x'), lambda s: s.sendmsg([b'x']),\n"
    "            lambda s: s.sendto(b'x', s.getpeername()) if s.family == socket.AF_INET else s.send(b'x'),\n"
    "            lambda s: s.makefile('wb', buffering=0).write(b'x'), lambda s: os.write(s.fileno(), b'x'),\n"
    "            lambda s: from_file(s.fileno()), lambda s: from_pipe(s.fileno()))]\n"
    "def try_all():\n"
    "    told = 0\n"
    "    for i, way in enumerate(ways):\n"
    "        try: way()\n"
    "        except (BrokenPipeError, ConnectionResetError): told += 1\n"
    "        except OSError as error:\n"
    "            assert error.errno == 107, (i, error)\n" /* no getpeername() any more */
    "            told += 1\n"
    "        else: raise AssertionError(f'way {i} was not told')\n"
    "    return told == len(ways)\n";

static void *host_handler(void)
{
    struct sigaction now;

    CHECK_EQ(sigaction(SIGPIPE, NULL, &now), 0);
    return (void *)now.sa_handler;
}

/* No signal is left behind, and none is blocked. */
static void check_signals(void)
{
    sigset_t set;

    CHECK(host_handler() == (void *)SIG_DFL);
    CHECK_EQ(sigpending(&set), 0);
    CHECK_EQ(sigismember(&set, SIGPIPE), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
    CHECK_EQ(sigismember(&set, SIGPIPE), 0);
}

/* Beside this file. */
static void name_certificate(void)
{
    char path[] = __FILE__;

    strcpy(strrchr(path, '/'), "/localhost.pem"); /* shorter than the name of this file */
    setenv("BINE_TEST_PEM", path, 1);
}

/* Goes on as a process of its own that has SIGPIPE as it was; the parent checks that it ends well. */
static void be_a_host(void)
{
    pid_t host = fork();
    int status;

    CHECK(host >= 0);
    if (host == 0) {
        signal(SIGPIPE, SIG_DFL);
        return;
    }
    CHECK_EQ(waitpid(host, &status, 0), host);
    if (WIFSIGNALED(status))
        FAIL("the host has ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    exit(WEXITSTATUS(status));
}

static void run_as_host(const char *source)
{
    bine_config config;
    bine *rt;

    be_a_host();
    name_certificate();
    bine_config_init(&config);
    rt = open_runtime_in_real_time(&config);
    run_script(rt, ways);
    start_script(rt, source);
    CHECK_EQ(bine_run(rt, BINE_RUN_DEFAULT), 0);
    CHECK_EQ(error_count(), 0);
    CHECK_EQ(script_int("done"), 1);
    check_signals();
    close_runtime(rt);
    check_signals();
}

TEST(no_write_of_a_micro_thread_ends_the_host)
{
    run_as_host("import __main__; __main__.done = int(__main__.try_all())");
}

TEST(no_write_of_an_os_thread_ends_the_host)
{
    run_as_host("import __main__, threading\n"
                "def run(): __main__.done = int(__main__.try_all())\n"
                "thread = threading.Thread(target=run)\n"
                "thread.start()\n"
                "thread.join()\n");
}

TEST(no_write_where_waits_are_refused_ends_the_host)
{
    run_as_host("import __main__\n"
                "class Last:\n"
                "    def __del__(self): __main__.done = int(__main__.try_all())\n"
                "Last()\n");
}

/* asyncio sends later what the socket does not take at once. */
TEST(what_asyncio_sends_later_does_not_end_the_host)
{
    run_as_host(
        "import __main__, asyncio, bine, os, socket\n"
        "class Protocol(asyncio.Protocol):\n"
        "    def connection_made(self, transport): self.transport = transport\n"
        "    def connection_lost(self, error): self.lost.set_result(error)\n"
        "async def sockets():\n"
        "    a, b = socket.socketpair()\n"
        "    protocol = Protocol()\n"
        "    protocol.lost = asyncio.get_running_loop().create_future()\n"
        "    transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=a)\n"
        "    transport.pause_reading()\n"
        "    transport.write(bytes(10_000_000))\n"
        "    await asyncio.sleep(0.01)\n"
        "    b.close()\n"
        "    return await protocol.lost\n"
        "async def pipes():\n"
        "    r, w = os.pipe()\n"
        "    loop = asyncio.get_running_loop()\n"
        "    protocol = Protocol()\n"
        "    protocol.lost = loop.create_future()\n"
        "    transport, _ = await loop.connect_write_pipe(lambda: protocol, open(w, 'wb', 0))\n"
        "    transport.write(bytes(10_000_000))\n"
        "    await asyncio.sleep(0.01)\n"
        "    os.close(r)\n"
        "    return await protocol.lost\n"
        "async def echo():\n"
        "    process = await asyncio.create_subprocess_exec('/bin/true', stdin=-1)\n"
        "    await process.wait()\n"
        "    await process.communicate(bytes(10_000_000))\n"
        "for run in asyncio.run, bine.run_async:\n"
        "    for f in sockets, pipes:\n"
        "        error = run(f())\n"
        "        assert error is None or isinstance(error, ConnectionError), error\n"
        "    run(echo())\n"
        "__main__.done = 1\n");
}

TEST(what_openssl_writes_does_not_end_the_host)
{
    run_as_host(
        "import __main__, bine, os, socket, ssl\n"
        "pem = os.environ['BINE_TEST_PEM']\n"
        "server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "server.load_cert_chain(pem)\n"
        "client = ssl.create_default_context(cafile=pem)\n"
        "def pair(seconds):\n"
        "    a, b = socket.socketpair()\n"
        "    a.settimeout(seconds)\n"
        "    answering = bine.spawn(server.wrap_socket, b, server_side=True)\n"
        "    one = client.wrap_socket(a, server_hostname='localhost')\n"
        "    other = answering.join()\n"
        "    other.close()\n"
        "    return one\n"
        "def hello(seconds):\n"
        "    a, b = socket.socketpair()\n"
        "    b.close()\n"
        "    a.settimeout(seconds)\n"
        "    client.wrap_socket(a, server_hostname='localhost')\n"
        "for seconds in None, 5:\n"
        "    for f in (lambda s: s.sendall(bytes(1000)), lambda s: s.unwrap(), lambda s: s.write(b'x')):\n"
        "        try: f(pair(seconds))\n"
        "        except OSError: pass\n"
        "        else: raise AssertionError\n"
        "    try: hello(seconds)\n"
        "    except OSError: pass\n"
        "    else: raise AssertionError\n"
        "s = pair(None)\n"
        "s.setblocking(False)\n"
        "try: s.send(b'x')\n"
        "except OSError: pass\n"
        "else: raise AssertionError\n"
        "__main__.done = 1\n");
}

/* What a child inherits is what it always has. */
TEST(children_have_sigpipe_as_ever)
{
    run_as_host(
        "import __main__, subprocess\n"
        "__main__.try_all()\n"
        "lines = subprocess.run(['cat', '/proc/self/status'], capture_output=True, "
        "text=True).stdout.split('\\n')\n"
        "masks = {line.split()[0]: int(line.split()[1], 16) for line in lines if line.startswith('Sig')\n"
        "         and '/' not in line}\n"
        "pipe = 1 << 12\n"
        "assert not masks['SigBlk:'] & pipe and not masks['SigIgn:'] & pipe and not masks['SigPnd:'] & pipe\n"
        "__main__.done = 1\n");
}

/* What is left in sys.stdout is written when the runtime closes. */
TEST(a_standard_output_that_has_gone_does_not_end_the_host_at_close)
{
    int ends[2];
    bine_config config;
    bine *rt;

    be_a_host();
    CHECK_EQ(pipe(ends), 0);
    close(ends[0]);
    CHECK(dup2(ends[1], 1) == 1);
    bine_config_init(&config);
    rt = open_runtime_in_real_time(&config);
    run_script(rt, "print('x')");
    (void)bine_close(rt); /* it may say that there was an error */
    check_signals();
}

/* One of the host's own, which it has blocked, is for the host. */
TEST(one_that_was_pending_before_stays)
{
    sigset_t set;
    bine_config config;
    bine *rt;

    be_a_host();
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_kill(pthread_self(), SIGPIPE);
    bine_config_init(&config);
    rt = open_runtime_in_real_time(&config);
    run_script(rt, ways);
    run_script(rt, "import __main__; __main__.done = int(__main__.try_all())");
    CHECK_EQ(sigpending(&set), 0);
    CHECK_EQ(sigismember(&set, SIGPIPE), 1);
    close_runtime(rt);
}
