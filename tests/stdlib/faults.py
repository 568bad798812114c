"""What goes wrong outside: signals a thousand times a second, cancels at any moment, peers that reset, end one half or go
without a word."""
import contextlib
import errno
import io
import os
import random
import select
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

from acts import all_wait, read_all, tcp_pair
import bine
import host

PEM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "localhost.pem")
BIG = random.Random(1).randbytes(3_000_000)
HUGE = BIG * 5  # more than a connection can hold
RESET = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def tls_pair():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(PEM)
    client = ssl.create_default_context(cafile=PEM)
    a, b = socket.socketpair()
    answering = bine.spawn(server.wrap_socket, b, server_side=True)
    with client.wrap_socket(a, server_hostname="localhost") as one, answering.join() as other:
        yield one, other


# ---- signals ----

@contextlib.contextmanager
def by_a_timer(number):
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def by_a_thread(number):
    """They hit this OS thread, in whatever call it is."""
    stop = threading.Event()
    target = threading.main_thread().ident

    def run():
        while not stop.wait(0.001):
            signal.pthread_kill(target, number)
    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()


def exchange(a, b):
    micro = bine.spawn(a.sendall, BIG)
    assert read_all(b.recv, len(BIG)) == BIG
    micro.join()


def over_tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = bine.spawn(server.accept)
        with socket.create_connection(server.getsockname(), timeout=1000) as a, accepting.join()[0] as b:
            exchange(a, b)
            b.sendmsg([b"x"])
            assert a.recvfrom(10)[0] == b"x"


def over_tls():
    with tls_pair() as (a, b):
        exchange(a, b)


def through_a_pipe():
    r, w = os.pipe()
    micro = bine.spawn(os.write, w, BIG)
    assert read_all(lambda size: os.read(r, size), len(BIG)) == BIG
    assert micro.join() == len(BIG)
    os.close(r)
    os.close(w)


def through_a_file():
    with tempfile.NamedTemporaryFile() as file:
        file.write(BIG)
        file.flush()
        os.fsync(file.fileno())
        with open(file.name, "rb") as again:
            assert again.read() == BIG
        a, b = socket.socketpair()
        with a, b:
            micro = bine.spawn(os.sendfile, a.fileno(), file.fileno(), 0, len(BIG))
            assert read_all(b.recv, len(BIG)) == BIG
            assert micro.join() == len(BIG)


def through_a_program():
    done = subprocess.run(["cat"], input=BIG, stdout=subprocess.PIPE, check=True)
    assert done.stdout == BIG


def by_readiness():
    a, b = socket.socketpair()
    with a, b:
        poll = select.poll()
        poll.register(a, select.POLLIN)
        for wait in poll.poll, lambda: select.select([a, b], [], []):
            bine.spawn(lambda: [all_wait(), b.send(b"x")])
            assert wait()
            a.recv(1)


def by_time():
    for _ in range(20):
        time.sleep(0.001)
        assert select.select([], [], [], 0.001) == ([], [], [])


def by_name():
    assert socket.getaddrinfo("localhost", 80)


def test_a_thousand_signals_a_second_change_nothing():
    jobs = (over_tcp, over_tls, through_a_pipe, through_a_file, through_a_program, by_readiness, by_time, by_name)
    for storm, number in ((by_a_timer, signal.SIGALRM), (by_a_thread, signal.SIGUSR1)):
        came = []
        before = signal.signal(number, lambda *args: came.append(1))
        try:
            with storm(number):
                while len(came) < 500:
                    bine.parallel(*jobs)
                    for job in jobs:
                        job()
        finally:
            signal.signal(number, before)


def test_signals_that_python_does_not_handle_change_nothing():
    """The handler is C code of the host's, and the calls are interrupted all the same."""
    host.handle_usr1()
    with by_a_thread(signal.SIGUSR1):
        while host.usr1_count() < 300:
            bine.parallel(over_tcp, over_tls, through_a_pipe, through_a_file, through_a_program, by_readiness, by_time)


# ---- cancels ----

def cut_short(function, draw):
    """Runs it in a micro-thread that is cancelled after some turns. Whether that came in time."""
    micro = bine.spawn(function)
    for _ in range(draw.randrange(4)):
        bine.pause()
    micro.cancel()
    try:
        micro.join()
    except bine.Cancelled:
        return True
    return False


def cancelled_at_random(read, write, size=400_000, exact=False):
    """Reads what is written, each read cancelled sooner or later; every byte arrives once. `exact`: a read goes on until
    it has all that it asked for, so more is written than is looked at."""
    draw = random.Random(7)
    got = bytearray()
    cancels = 0

    def read_once():
        part = read(draw.randrange(1, 20_000))
        assert part, "the end"
        got.extend(part)

    def write_all():
        rest = memoryview(BIG)[:size + exact * 5000]
        while rest:
            some = draw.randrange(1, 10_000)
            write(rest[:some])
            rest = rest[some:]
            for _ in range(draw.randrange(8)):
                bine.pause()
    writing = bine.spawn(write_all)
    while len(got) < size:
        cancels += cut_short(read_once, draw)
    writing.join()
    assert got[:size] == BIG[:size]
    assert exact or len(got) == size
    assert cancels > 3, cancels


def into(method):
    def read(size):
        buffer = bytearray(size)
        return bytes(buffer[:method(buffer)])
    return read


def test_a_cancelled_read_of_a_socket_loses_no_byte():
    with tcp_pair() as (a, b):
        for read in (a.recv, into(a.recv_into), lambda size: a.recvfrom(size)[0], lambda size: a.recvmsg(size)[0],
                     lambda size: a.recv(size, socket.MSG_WAITALL), a.makefile("rb", buffering=0).read):
            cancelled_at_random(read, b.sendall, 100_000)


def test_a_cancelled_read_of_a_tls_connection_loses_no_byte():
    with tls_pair() as (a, b):
        cancelled_at_random(a.recv, b.sendall)


def test_a_cancelled_read_of_a_pipe_loses_no_byte():
    r, w = os.pipe()
    with open(r, "rb", 0) as file, open(w, "wb", 0) as writer:
        for read in (lambda size: os.read(r, size), file.read, into(file.readinto), into(lambda b: os.readv(r, [b]))):
            cancelled_at_random(read, lambda data: os.write(w, data), 100_000)
        assert writer.fileno() == w


def lines_of(data):
    """With an end of line every thousand bytes or so."""
    return data.replace(b"\n", b" ").replace(b"\x41", b"\n").replace(b"\x42", b"\n")


def cancelled_lines(file, write, next_line):
    draw = random.Random(5)
    data = lines_of(BIG[:60_000]) + b"\n"
    got = []
    cancels = 0

    def write_all():
        for start in range(0, len(data), 97):
            write(data[start:start + 97])
            for _ in range(draw.randrange(8)):
                bine.pause()
    writing = bine.spawn(write_all)
    while sum(map(len, got)) < len(data):
        cancels += cut_short(lambda: got.append(next_line(file)), draw)
    writing.join()
    assert got == [line + b"\n" for line in data.split(b"\n")[:-1]]
    assert cancels > 10, cancels


def line_by_line():
    yield lambda file: file.readline()
    yield lambda file: file.readline(65537)
    yield lambda file: file.readline(3000)
    yield next


def test_a_cancelled_readline_loses_no_byte():
    for way in line_by_line():
        with tcp_pair() as (a, b), a.makefile("rb") as file:
            cancelled_lines(file, b.sendall, way)
        with tls_pair() as (a, b), a.makefile("rb") as file:
            cancelled_lines(file, b.sendall, way)
        r, w = os.pipe()
        with open(r, "rb") as file, open(w, "wb", 0) as writer:
            cancelled_lines(file, writer.write, way)


def test_a_cancelled_buffered_read_loses_no_byte():
    for way in (lambda file, size: file.read(size % 5000 + 1), lambda file, size: into(file.readinto)(size % 5000 + 1),
                lambda file, size: file.read1(size)):
        with tcp_pair() as (a, b), a.makefile("rb") as file:
            cancelled_at_random(lambda size: way(file, size), b.sendall, 100_000, exact=True)


def test_a_cancelled_accept_loses_no_connection():
    draw = random.Random(3)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        clients, accepted = [], []

        def connect():
            for _ in range(50):
                clients.append(socket.create_connection(server.getsockname()))
                for _ in range(draw.randrange(3)):
                    bine.pause()
        connecting = bine.spawn(connect)
        while len(accepted) < 50:
            micro = bine.spawn(lambda: accepted.append(server.accept()[0]))
            for _ in range(draw.randrange(3)):
                bine.pause()
            micro.cancel()
            with contextlib.suppress(bine.Cancelled):
                micro.join()
        connecting.join()
        assert {s.getpeername() for s in accepted} == {s.getsockname() for s in clients}
        for s in clients + accepted:
            s.close()


# ---- peers ----

def told_of_reset(micro):
    try:
        micro.join()
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def test_a_reset_ends_every_way_to_write():
    with tempfile.TemporaryFile() as file:
        file.write(HUGE)
        for write in (lambda s: s.sendall(HUGE), lambda s: s.makefile("wb", buffering=0).write(HUGE) and s.sendall(HUGE),
                      lambda s: s.sendfile(file), lambda s: [s.sendmsg([HUGE]) for _ in range(2)],
                      lambda s: [s.send(HUGE) for _ in range(2)],
                      lambda s: [os.write(s.fileno(), HUGE) for _ in range(2)]):
            with tcp_pair() as (a, b):
                micro = bine.spawn(write, a)
                all_wait()
                b.recv(1000)
                b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                b.close()
                assert told_of_reset(micro)


def test_a_reset_ends_those_that_read_and_write_at_once():
    with tcp_pair() as (a, b):
        reading, writing = bine.spawn(a.recv, 1), bine.spawn(a.sendall, HUGE)
        polling = bine.spawn(select.select, [a], [], [])
        all_wait()
        b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        b.close()
        assert polling.join() == ([a], [], [])
        ends = []
        for micro in reading, writing:
            try:
                ends.append(micro.join())
            except OSError as error:
                ends.append(error.errno)
        assert errno.ECONNRESET in ends, ends


def test_a_half_that_is_ended_leaves_the_other():
    with tcp_pair() as (a, b):
        reading = bine.spawn(a.recv, 10)
        all_wait()
        b.shutdown(socket.SHUT_WR)
        assert reading.join() == bytes()
        writing = bine.spawn(a.sendall, BIG)
        assert read_all(b.recv, len(BIG)) == BIG
        writing.join()
        a.shutdown(socket.SHUT_WR)
        assert b.recv(1) == bytes()
        try:
            a.send(b"x")
        except BrokenPipeError:
            return
        raise AssertionError("written behind the end")


def test_ones_own_shutdown_wakes_who_waits():
    with tcp_pair() as (a, b):
        reading, writing = bine.spawn(a.recv, 1), bine.spawn(a.sendall, HUGE)
        all_wait()
        a.shutdown(socket.SHUT_RDWR)
        assert reading.join() == bytes()
        assert told_of_reset(writing)


def go_without_a_word(s):
    """No FIN, no RST. False: only a mighty user may."""
    repair = 19  # TCP_REPAIR
    try:
        s.setsockopt(socket.IPPROTO_TCP, repair, 1)
    except PermissionError:
        return False
    s.close()
    return True


def test_a_peer_that_is_gone_without_a_word_is_found_out_by_keepalive():
    with tcp_pair() as (a, b):
        a.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
        if not go_without_a_word(b):
            os._exit(77)
        try:
            a.recv(1)
        except (ConnectionResetError, TimeoutError):
            return
        raise AssertionError("an end, though the peer has said nothing")


def test_a_peer_that_is_gone_without_a_word_is_given_up_after_the_timeout():
    with tcp_pair() as (a, b):
        if not go_without_a_word(b):
            os._exit(77)
        a.settimeout(0.01)
        for wait in (lambda: a.recv(1), lambda: a.recvmsg(1), lambda: a.makefile("rb").readline()):
            try:
                wait()
            except TimeoutError:
                continue
            raise AssertionError("no time out")


# ---- silly arguments ----

def test_select_takes_no_descriptor_above_its_most_and_poll_does():
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        os._exit(77)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    a, b = socket.socketpair()
    high = 1500
    os.dup2(a.fileno(), high)
    try:
        for lists in (([high], [], []), ([a, high], [], [b]), ([], [high], []), ([], [], [high])):
            try:
                select.select(*lists, 0.01)
            except ValueError as error:
                assert str(error) == "filedescriptor out of range in select()", error
            else:
                raise AssertionError("select() has taken it")
        poll = select.poll()
        poll.register(high, select.POLLIN)
        micro = bine.spawn(poll.poll)
        all_wait()
        b.send(b"x")
        assert micro.join() == [(high, select.POLLIN)]
        with open(high, "rb", 0) as file:
            assert file.read(10) == b"x"
    finally:
        a.close()
        b.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_than_a_thousand_wait_for_one_descriptor():
    a, b = socket.socketpair()

    def by_select():
        return select.select([a], [], []) == ([a], [], [])

    def by_two():
        return a in select.select([a, b], [], [])[0]

    def by_poll():
        poll = select.poll()
        poll.register(a, select.POLLIN)
        poll.register(b, select.POLLIN)
        return bool(poll.poll())
    with a, b:
        waiting = [bine.spawn(wait) for wait in (by_select, by_two, by_poll) * 400]
        all_wait()
        b.send(b"x")
        assert all(micro.join() for micro in waiting)
        a.recv(1)
        c, d = socket.socketpair()
        waiting = [bine.spawn(select.select, [a, c], [], []) for _ in range(600)]
        all_wait()
        for micro in waiting:
            micro.cancel()
        for micro in waiting:
            with contextlib.suppress(bine.Cancelled):
                micro.join()
        c.close()
        d.close()
    assert len(os.listdir("/proc/self/fd")) < 100


def test_silly_arguments_are_told_of():
    a, b = socket.socketpair()
    huge = 1 << 70
    with a, b:
        for call in (lambda: a.recv(-1), lambda: a.recv(huge), lambda: a.recv_into(bytearray(1), 5),
                     lambda: a.recv_into(b"fixed"), lambda: a.recvmsg(-1), lambda: a.recvmsg(1, -1),
                     lambda: a.recvfrom(-1), lambda: a.send("text"), lambda: a.send(), lambda: a.sendmsg(b"x"),
                     lambda: a.sendmsg([1]), lambda: a.sendmsg([b"x"], [(1, 2)]), lambda: a.sendto(b"x"),
                     lambda: a.sendto(b"x", 0, huge), lambda: a.send(b"x", huge), lambda: a.recv(1, huge),
                     lambda: os.write(-1, b"x"), lambda: os.write(1 << 30, b"x"), lambda: os.read(huge, 1),
                     lambda: os.close(-1), lambda: os.close(huge), lambda: os.close("x"), lambda: os.dup2(-1, 5),
                     lambda: os.dup2(a.fileno(), -1), lambda: os.dup2(a.fileno(), huge), lambda: os.closerange(1),
                     lambda: os.closerange("x", "y"), lambda: os.closerange(0, huge), lambda: socket.close(-1),
                     lambda: socket.close(huge), lambda: os.sendfile(a.fileno(), -1, 0, 1),
                     lambda: os.sendfile(-1, a.fileno(), 0, 1), lambda: os.sendfile(a.fileno(), b.fileno(), 0, huge),
                     lambda: select.select([huge], [], []), lambda: select.select([-1], [], []),
                     lambda: select.select([a], [], [], -1), lambda: select.poll().poll(huge),
                     lambda: select.poll().register(-1), lambda: io.FileIO(-1), lambda: io.FileIO(huge),
                     lambda: a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, huge), lambda: a.shutdown(99),
                     lambda: bine.wait_readable(-1), lambda: bine.wait_readable(huge)):
            try:
                call()
            except (OSError, ValueError, TypeError, OverflowError, MemoryError):
                continue
            raise AssertionError(f"line {call.__code__.co_firstlineno} has a call that was taken")
        assert b.send(b"x") == 1 and a.recv(10) == b"x"
