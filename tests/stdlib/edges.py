"""Sockets stay watched between waits, by edges, and a short read of TCP says that nothing is left: whatever
is done to a socket between two waits, nobody waits for what is there already, and no byte is lost."""
import array
import asyncio
import contextlib
import ctypes
import errno
import fcntl
import gc
import io
import os
import random
import select
import socket
import ssl
import struct
import tempfile
import termios
import threading

import acts
from acts import all_wait, cancel, later, read_all
import bine

BIG = bytes(range(256)) * 20_000  # more than any buffer between the two ends
EMPTY = b""
PEM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "localhost.pem")
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: what close() does then


def arrived(s):
    """Something is there to be read; nobody has waited for that."""
    while True:
        with contextlib.suppress(BlockingIOError):
            s.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return
        bine.pause()


def pauses(turns):
    """Of the host's: each time it looks what has come."""
    for _ in range(turns):
        bine.next_frame()


def waited(s, peer):
    """`s` has been waited for and read empty, and stays watched from now on."""
    later(peer.send, b"!")
    assert s.recv(100) == b"!"


def at_once(*sockets):
    """What they send goes when it is sent, or small pieces are told of together."""
    for s in sockets:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextlib.contextmanager
def tcp_pair():
    with acts.tcp_pair() as (a, b):
        at_once(a, b)
        yield a, b


@contextlib.contextmanager
def unix_pair(kind=socket.SOCK_STREAM):
    a, b = socket.socketpair(socket.AF_UNIX, kind)
    with a, b:
        yield a, b


@contextlib.contextmanager
def raises(error):
    try:
        yield
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def watched():
    """What epoll instances of this process know, by numbers."""
    numbers = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:[eventpoll]":
                with open(f"/proc/self/fdinfo/{name}") as file:
                    numbers += [int(line.split()[1]) for line in file if line.startswith("tfd:")]
    return numbers


def test_a_socket_stays_watched():
    with tcp_pair() as (a, b):
        waited(a, b)
        number = a.fileno()
        assert watched().count(number) == 1
        for _ in range(3):
            waited(a, b)
        assert watched().count(number) == 1
        a.close()
        assert number not in watched()


# ---- numbers that are used again ----

def take(number):
    """A new TCP socket with that number."""
    spare = []
    while True:
        s = socket.socket()
        if s.fileno() == number:
            return s
        assert s.fileno() < number, "it is in use"
        spare.append(s)


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def close_number(close):
    """A way to close a socket that is in a box, by its number."""
    def way(box):
        close(box[0].fileno())
        box.pop().detach()
    return way


def in_c(number):
    ctypes.CDLL(None).close(number)


WAYS_TO_CLOSE = (
    lambda box: box.pop().close(),
    lambda box: os.close(box.pop().detach()),
    lambda box: [box.pop(), gc.collect()],
    lambda box: in_thread(box.pop().close),
    lambda box: in_thread(lambda: [box.pop(), gc.collect()]),
    close_number(os.close),
    close_number(socket.close),
    close_number(lambda number: os.closerange(number, number + 1)),
    close_number(lambda number: io.FileIO(number).close()),
    close_number(lambda number: in_thread(os.close, number)),
    close_number(lambda number: in_thread(os.closerange, number, number + 1)),
    close_number(in_c),
)


def check_talk(a, b):
    """Both hear of each other, again and again, whoever waits."""
    for s in a, b:  # or they grow with what is sent
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    for x, y in (a, b), (b, a):
        for _ in range(3):
            waited(x, y)
        writer = bine.spawn(x.sendall, BIG)
        all_wait()
        assert not writer.done
        assert read_all(y.recv, len(BIG)) == BIG
        writer.join()
        waited(x, y)


def connect_again(server, number, close):
    """It waits to write first."""
    close()
    c = take(number)
    c.connect(server.getsockname())
    return c, server.accept()[0]


def accept_again(server, number, close):
    """It waits to read first."""
    d = socket.create_connection(server.getsockname())
    close()
    c, _ = server.accept()
    assert c.fileno() == number
    return c, d


def use_again(close, before=lambda box: None, after=lambda *args: None):
    """The number of a socket that was waited for is that of another, once close([it]) has been called."""
    for again in connect_again, accept_again:
        with socket.create_server(("127.0.0.1", 0)) as server:
            box = [socket.create_connection(server.getsockname())]
            b, _ = server.accept()
            at_once(b)
            waited(box[0], b)
            kept = before(box)
            c, d = again(server, box[0].fileno(), lambda: close(box))
            with b, c, d:
                after(b, c, d, kept)
                check_talk(c, d)


def test_a_number_is_used_again_after_each_way_to_close():
    for close in WAYS_TO_CLOSE:
        use_again(close)


def test_a_number_is_used_again_while_the_file_that_it_was_stays_open():
    def use_both(b, c, d, kept):
        with socket.socket(fileno=kept) as old:
            reads = [bine.spawn(old.recv, 10), bine.spawn(c.recv, 10)]
            all_wait()
            b.send(b"old")
            assert reads[0].join() == b"old"
            all_wait()
            assert not reads[1].done
            d.send(b"new")
            assert reads[1].join() == b"new"
            check_talk(old, b)
    for close in WAYS_TO_CLOSE:
        use_again(close, lambda box: os.dup(box[0].fileno()), use_both)


def test_a_file_that_nobody_can_take_out_is_told_of_for_a_while_only():
    def flood(b, c, d, kept):
        waited(c, d)
        for _ in range(100):
            b.send(b"x")
            bine.next_frame()
        all_wait()
        assert watched().count(c.fileno()) == 1, watched()
        os.close(kept)
    for close in WAYS_TO_CLOSE:
        use_again(close, lambda box: os.dup(box[0].fileno()), flood)


def test_a_number_is_used_again_while_a_child_has_the_file_that_it_was():
    def fork(box):
        until, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(until, 1)
            os._exit(0)
        os.close(until)
        return child, go

    def flood(b, c, d, kept):
        child, go = kept
        waited(c, d)
        for _ in range(100):
            b.send(b"x")
            bine.next_frame()
        check_talk(c, d)
        assert watched().count(c.fileno()) == 1, watched()
        os.close(go)
        assert os.waitpid(child, 0)[1] == 0
    for close in WAYS_TO_CLOSE:
        use_again(close, fork, flood)


def test_a_child_waits_for_its_parents_socket_and_the_parent_after():
    with tcp_pair() as (a, b):
        waited(a, b)
        child = os.fork()
        if child == 0:
            try:
                got = a.recv(100)
                a.sendall(got.upper())
            finally:
                os._exit(0)
        b.send(b"child")
        assert b.recv(100) == b"CHILD"
        assert os.waitpid(child, 0)[1] == 0
        check_talk(a, b)


def test_another_file_is_put_in_the_place_of_a_socket():
    for dup2 in os.dup2, lambda *args: in_thread(os.dup2, *args):
        for waits in False, True:
            with tcp_pair() as (a, b), tcp_pair() as (c, d):
                waited(a, b)
                if waits:
                    waited(c, d)
                dup2(c.fileno(), a.fileno())
                check_talk(a, d)
                check_talk(c, d)


def test_another_file_is_put_in_the_place_of_a_socket_that_is_waited_for():
    for dup2 in os.dup2, lambda *args: in_thread(os.dup2, *args):
        with tcp_pair() as (a, b), tcp_pair() as (c, d):
            waited(a, b)
            reader = bine.spawn(a.recv, 10)
            all_wait()
            dup2(c.fileno(), a.fileno())
            try:
                reader.join()
            except OSError as error:
                assert error.errno == errno.EBADF
            else:
                raise AssertionError("it was not told")
            check_talk(a, d)


def test_a_number_becomes_a_pipes_and_a_sockets_again():
    with socket.create_server(("127.0.0.1", 0)) as server:
        a = socket.create_connection(server.getsockname())
        b, _ = server.accept()
        waited(a, b)
        number = a.fileno()
        for _ in range(3):
            a.close()
            r, w = os.pipe()
            os.dup2(r, number)
            later(os.write, w, b"word")
            bine.wait_readable(number)
            assert os.read(number, 10) == b"word"
            for fd in {r, w, number}:
                os.close(fd)
            b.close()
            a = take(number)
            a.connect(server.getsockname())
            b, _ = server.accept()
            check_talk(a, b)
        a.close()
        b.close()


def test_a_socket_connects_again_after_it_was_refused():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        for _ in range(3):
            with socket.socket() as a:
                for _ in range(3):
                    with raises(ConnectionRefusedError):
                        a.connect(nobody.getsockname())
                a.connect(server.getsockname())
                b, _ = server.accept()
                with b:
                    check_talk(a, b)


# ---- ends ----

def read_to_end(s, size):
    """And how it ends."""
    got = bytearray()
    while True:
        try:
            data = s.recv(size)
        except ConnectionResetError as error:
            return bytes(got), type(error)
        if not data:
            return bytes(got), EMPTY
        got += data


def check_ends(finish, end):
    """`finish(b, pauses)` sends "words" and ends."""
    for size in 1, 2, 5, 6, 100, 100_000:
        for waits in False, True:
            for turns in range(4):
                with tcp_pair() as (a, b):
                    waited(a, b)
                    if waits:
                        reader = bine.spawn(read_to_end, a, size)
                        all_wait()
                        finish(b, turns)
                        assert reader.join() == (b"words", end)
                    else:
                        finish(b, turns)
                        assert read_to_end(a, size) == (b"words", end)




def test_an_end_right_behind_data():
    def finish(b, turns):
        b.send(b"words")
        pauses(turns)
        b.close()
    check_ends(finish, EMPTY)


def test_an_end_right_behind_data_in_pieces():
    def finish(b, turns):
        for piece in b"wo", b"r", b"ds":
            b.send(piece)
            pauses(turns)
        b.shutdown(socket.SHUT_WR)
    check_ends(finish, EMPTY)


def test_a_reset_right_behind_data():
    def finish(b, turns):
        b.send(b"words")
        pauses(turns)
        b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        b.close()
    check_ends(finish, ConnectionResetError)


def test_a_half_that_has_ended_leaves_the_other_as_it_was():
    with tcp_pair() as (a, b):
        waited(a, b)
        waited(b, a)
        reader = bine.spawn(read_to_end, a, 100)
        all_wait()
        b.send(b"words")
        b.shutdown(socket.SHUT_WR)
        assert reader.join() == (b"words", EMPTY)
        for _ in range(3):
            later(a.send, b"!")
            assert b.recv(100) == b"!"
        writer = bine.spawn(a.sendall, BIG)
        all_wait()
        assert not writer.done
        assert read_all(b.recv, len(BIG)) == BIG
        writer.join()
        assert a.recv(10) == a.recv(10) == EMPTY
        later(a.close)
        assert b.recv(10) == EMPTY


def test_ones_own_end_is_noticed_when_all_was_read():
    with tcp_pair() as (a, b):
        waited(a, b)
        a.shutdown(socket.SHUT_RD)
        assert a.recv(10) == EMPTY


# ---- urgent data ----

def test_a_read_stops_at_a_mark_and_all_behind_it_is_read():
    for turns in range(4):
        for size in 1, 3, 6, 100:
            for waits in False, True:
                with tcp_pair() as (a, b):
                    waited(a, b)
                    reader = bine.spawn(read_all, lambda _: a.recv(size), 6)
                    if waits:
                        all_wait()
                    b.send(b"abc")
                    pauses(turns)
                    b.send(b"!", socket.MSG_OOB)
                    b.send(b"def")
                    assert reader.join() == b"abcdef"
                    waited(a, b)


def test_marks_in_line():
    with tcp_pair() as (a, b):
        a.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        waited(a, b)
        reader = bine.spawn(read_all, a.recv, 50)
        all_wait()
        for i in range(10):
            b.send(b"ab")
            b.send(b"!", socket.MSG_OOB)
            b.send(b"cd")
            pauses(i % 3)
        assert reader.join() == b"ab!cd" * 10
        waited(a, b)


# ---- ways to read ----

def into(method):
    """A way to read by one that receives into a buffer."""
    def read(s, size):
        buffer = bytearray(size)
        answer = method(s, buffer)
        return bytes(buffer[:answer[0] if isinstance(answer, tuple) else answer])
    return read


def peek_first(s, size):
    seen = s.recv(size, socket.MSG_PEEK)
    got = s.recv(size)
    assert got.startswith(seen)
    return got


def peek_more(s, size):
    """Short, but it takes nothing."""
    seen = s.recv(100, socket.MSG_PEEK)
    got = s.recv(size)
    assert seen.startswith(got) or got.startswith(seen)
    return got


WAYS_TO_READ = (
    lambda s, size: s.recv(size),
    lambda s, size: s.recv(size, socket.MSG_WAITALL) if size == 1 else s.recv(size),
    lambda s, size: s.recvfrom(size)[0],
    lambda s, size: s.recvmsg(size)[0],
    lambda s, size: s.recvmsg(size, 100)[0],
    lambda s, size: os.read(s.fileno(), size),
    into(lambda s, buffer: s.recv_into(buffer)),
    into(lambda s, buffer: s.recvfrom_into(buffer)),
    into(lambda s, buffer: s.recvmsg_into([buffer])),
    peek_first,
    peek_more,
)


def test_whatever_the_size_of_a_read_the_next_one_reads_the_rest():
    for pair in tcp_pair, unix_pair:
        for read in WAYS_TO_READ:
            for sizes in (10, 10), (4, 4, 4), (9, 9), (11, 11), (1,) * 10, (5, 5, 5), (3, 100):
                with pair() as (a, b):
                    waited(a, b)
                    reader = bine.spawn(read_all, lambda _: read(a, sizes[0]), 30)
                    all_wait()
                    b.send(b"0123456789")
                    all_wait()
                    b.send(b"0123456789")
                    b.send(b"0123456789")
                    assert reader.join() == b"0123456789" * 3
                    b.send(b"0123456789")
                    got = EMPTY
                    for size in sizes:
                        got += read(a, size) if len(got) < 10 else EMPTY
                    assert got == b"0123456789"
                    waited(a, b)


def test_ways_to_read_take_turns():
    rng = random.Random(1)
    for pair in tcp_pair, unix_pair:
        with pair() as (a, b):
            data = rng.randbytes(20_000)

            def send():
                rest = memoryview(data)
                while rest:
                    size = rng.choice([1, 7, 64, 100, 1000])
                    b.sendall(rest[:size])
                    rest = rest[size:]
                    pauses(rng.randrange(3))
            writer = bine.spawn(send)
            read = lambda _: rng.choice(WAYS_TO_READ)(a, rng.choice([1, 7, 64, 100, 1000]))
            assert read_all(read, len(data)) == data
            writer.join()


def test_waitall_after_a_short_read_and_before():
    for pair in tcp_pair, unix_pair:
        with pair() as (a, b):
            for _ in range(3):
                waited(a, b)
                reader = bine.spawn(a.recv, 6, socket.MSG_WAITALL)
                all_wait()
                for piece in b"ab", b"cd", b"ef+":
                    b.send(piece)
                    bine.next_frame()
                assert reader.join() == b"abcdef"
                assert a.recv(100) == b"+"


def test_lines():
    with tcp_pair() as (a, b):
        waited(a, b)
        with a.makefile("rb") as lines:
            for _ in range(3):
                reader = bine.spawn(lines.readline)
                all_wait()
                b.send(b"one\ntwo\nth")
                assert reader.join() == b"one\n"
                assert lines.readline() == b"two\n"
                later(b.send, b"ree\n")
                assert lines.readline() == b"three\n"
            reader = bine.spawn(lines.readlines)
            all_wait()
            b.send(b"four\nfive")
            b.close()
            assert reader.join() == [b"four\n", b"five"]


def test_a_plain_wait_beside_a_read():
    for first in True, False:
        with tcp_pair() as (a, b):
            waited(a, b)
            for _ in range(3):
                calls = [lambda: a.recv(100), lambda: bine.wait_readable(a)]
                micros = [bine.spawn(call) for call in (calls if first else calls[::-1])]
                all_wait()
                b.send(b"words")
                assert {micro.join() for micro in micros} == {b"words", None}
                waited(a, b)


def test_a_plain_wait_tells_of_what_is_there_though_its_edge_has_passed():
    with tcp_pair() as (a, b):
        waited(a, b)
        b.send(b"words")
        all_wait()
        for _ in range(3):
            bine.wait_readable(a)
            assert select.select([a], [], [])[0] == [a]
        assert a.recv(2) == b"wo"
        bine.wait_readable(a)
        assert a.recv(100) == b"rds"
        waited(a, b)


# ---- where a short read leaves more ----

def test_records_of_a_unix_socket_end_reads_and_leave_more():
    with tempfile.TemporaryFile() as file:
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))]
        for turns in range(3):
            for read in WAYS_TO_READ:
                with unix_pair() as (a, b):
                    waited(a, b)
                    reader = bine.spawn(read_all, lambda _: read(a, 100), 8)
                    all_wait()
                    for piece in b"ab", b"cd", b"ef":
                        b.sendmsg([piece], passed)
                        pauses(turns)
                    b.send(b"gh")
                    assert reader.join() == b"abcdefgh"
                    waited(a, b)


def test_datagrams_are_short_and_leave_more():
    def udp_pair():
        a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for s in a, b:
            s.bind(("127.0.0.1", 0))
        a.connect(b.getsockname())
        b.connect(a.getsockname())
        return contextlib.nullcontext((a, b))
    words = [b"one", b"", b"three", b"four"]
    for pair in udp_pair, lambda: unix_pair(socket.SOCK_DGRAM), lambda: unix_pair(socket.SOCK_SEQPACKET):
        with pair() as (a, b), a, b:
            waited(a, b)
            for _ in range(3):
                reader = bine.spawn(lambda: [a.recv(100) for _ in words])
                all_wait()
                for word in words:
                    b.send(word)
                assert reader.join() == words
            assert a.type != socket.SOCK_DGRAM or b.send(b"long") and a.recv(2) == b"lo"
            waited(a, b)


def test_connections_that_come_together_are_taken_one_after_the_other():
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(3):
            taken = bine.spawn(lambda: [server.accept()[0] for _ in range(5)])
            all_wait()
            clients = [socket.create_connection(server.getsockname()) for _ in range(5)]
            for s in taken.join() + clients:
                s.close()


# ---- O_NONBLOCK ----

def by_fcntl(number, blocking):
    flags = fcntl.fcntl(number, fcntl.F_GETFL)
    fcntl.fcntl(number, fcntl.F_SETFL, flags & ~os.O_NONBLOCK if blocking else flags | os.O_NONBLOCK)


def by_ioctl(number, blocking):
    fcntl.ioctl(number, termios.FIONBIO, struct.pack("i", not blocking))


def under_another_number(number, blocking):
    other = os.dup(number)
    os.set_blocking(other, blocking)
    os.close(other)


WAYS_TO_BLOCK = (
    lambda s, blocking: s.setblocking(blocking),
    lambda s, blocking: s.settimeout(None if blocking else 0),
    lambda s, blocking: [s.settimeout(1000), s.settimeout(None if blocking else 0)],
    lambda s, blocking: os.set_blocking(s.fileno(), blocking),
    lambda s, blocking: by_fcntl(s.fileno(), blocking),
    lambda s, blocking: by_fcntl(s, blocking),
    lambda s, blocking: by_ioctl(s.fileno(), blocking),
    lambda s, blocking: under_another_number(s.fileno(), blocking),
    lambda s, blocking: in_thread(os.set_blocking, s.fileno(), blocking),
    lambda s, blocking: in_thread(by_fcntl, s.fileno(), blocking),
    lambda s, blocking: in_thread(by_ioctl, s.fileno(), blocking),
)


def test_whether_a_socket_waits_may_change_between_waits():
    for pair in tcp_pair, unix_pair:
        for block in WAYS_TO_BLOCK:
            with pair() as (a, b):
                for _ in range(3):
                    waited(a, b)
                    block(a, False)
                    for _ in range(3):
                        with raises(BlockingIOError):
                            a.recv(100)
                    b.send(b"words")
                    arrived(a)
                    assert a.recv(100) == b"words"
                    with raises(BlockingIOError):
                        a.recv(100)
                    with raises(BlockingIOError):
                        while True:
                            a.send(BIG)
                    read_until_nothing(b)
                    block(a, True)
                    waited(a, b)
                check_talk(a, b)


def read_until_nothing(b):
    b.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            b.recv(1 << 20)
    b.setblocking(True)


def test_whether_a_socket_waits_may_change_while_it_is_waited_for():
    with tcp_pair() as (a, b):
        waited(a, b)
        for block in WAYS_TO_BLOCK[3:]:
            reader = bine.spawn(a.recv, 100)
            all_wait()
            block(a, False)
            all_wait()
            assert not reader.done
            b.send(b"words")
            assert reader.join() == b"words"
            block(a, True)
            waited(a, b)


# ---- who waits, and who does not ----

def test_a_peer_that_goes_on_while_nobody_reads_is_told_of_for_a_while_only():
    with unix_pair() as (a, b):  # TCP waits for acknowledgements
        for _ in range(3):
            waited(a, b)
            for i in range(200):
                b.send(b"%03d" % i)
                bine.next_frame()
            assert a.fileno() not in watched()
            assert read_all(a.recv, 600) == b"".join(b"%03d" % i for i in range(200))
            waited(a, b)
            assert a.fileno() in watched()


def test_who_reads_now_and_then_stays_watched():
    with unix_pair() as (a, b):
        waited(a, b)
        for _ in range(20):
            for _ in range(20):
                b.send(b"x")
                bine.next_frame()
            assert read_all(a.recv, 20) == b"x" * 20
            waited(a, b)
        assert a.fileno() in watched()


def test_two_readers_and_a_writer_of_one_socket():
    for pair in tcp_pair, unix_pair:
        with pair() as (a, b):
            waited(a, b)
            got = [[], []]

            def read(pieces):
                while data := a.recv(3):
                    pieces.append(data)
            readers = [bine.spawn(read, pieces) for pieces in got]
            writer = bine.spawn(a.sendall, BIG)
            for i in range(200):
                b.send(b"%02d" % (i % 100))
                pauses(i % 3)
            assert read_all(b.recv, len(BIG)) == BIG
            writer.join()
            b.shutdown(socket.SHUT_WR)
            for reader in readers:
                reader.join()
            sent = [b"%02d" % (i % 100) for i in range(200)]
            assert sorted(b"".join(got[0] + got[1])) == sorted(b"".join(sent))


def test_what_a_cancelled_reader_leaves_is_for_the_next():
    for pair in tcp_pair, unix_pair:
        with pair() as (a, b):
            for waits in range(4):
                waited(a, b)
                reader = bine.spawn(a.recv, 100)
                all_wait()
                cancel(reader)
                b.send(b"wo")
                pauses(waits)
                b.send(b"rds")
                assert read_all(a.recv, 5) == b"words"


def test_what_comes_while_a_reader_is_cancelled_is_not_lost():
    for pair in tcp_pair, unix_pair:
        with pair() as (a, b):
            for turns in range(5):
                waited(a, b)
                reader = bine.spawn(a.recv, 100)
                all_wait()
                b.send(b"words")
                pauses(turns)
                reader.cancel()
                try:
                    got = reader.join()
                except bine.Cancelled:
                    got = EMPTY
                b.send(b"+")
                assert got + read_all(a.recv, 6 - len(got)) == b"words+"


def test_what_comes_after_a_timeout_is_for_the_next():
    with tcp_pair() as (a, b):
        waited(a, b)
        for _ in range(3):
            a.settimeout(0.001)
            with raises(TimeoutError):
                a.recv(100)
            b.send(b"words")
            arrived(a)
            assert a.recv(100) == b"words"
            with raises(TimeoutError):
                a.recv(100)
            a.settimeout(None)
            later(b.send, b"words")
            assert a.recv(100) == b"words"


def test_another_thread_reads_between():
    with tcp_pair() as (a, b):
        for _ in range(3):
            waited(a, b)
            got = []
            b.send(b"words")
            in_thread(lambda: got.append(a.recv(2)))
            assert got == [b"wo"] and a.recv(100) == b"rds"
            b.send(b"words")
            in_thread(lambda: got.append(a.recv(100)))
            assert got[1] == b"words"


# ---- much ----

def test_much_goes_both_ways_at_once():
    rng = random.Random(2)
    there, back = rng.randbytes(20 << 20), rng.randbytes(20 << 20)
    with tcp_pair() as (a, b):
        waited(a, b)
        waited(b, a)
        writers = [bine.spawn(a.sendall, there), bine.spawn(b.sendall, back)]
        reader = bine.spawn(read_all, b.recv, len(there))
        assert read_all(a.recv, len(back)) == back
        assert reader.join() == there
        for writer in writers:
            writer.join()


# ---- in other hands ----

def test_asyncio_has_a_socket_for_a_while():
    async def talk(s):
        loop = asyncio.get_running_loop()
        got = bytearray()
        while len(got) < len(BIG):
            got += await loop.sock_recv(s, 100_000)
        await loop.sock_sendall(s, BIG)
        return bytes(got)
    for pair in tcp_pair, unix_pair:
        with pair() as (a, b):
            for _ in range(3):
                waited(a, b)
                a.setblocking(False)
                writer = bine.spawn(b.sendall, BIG)
                reader = bine.spawn(lambda: [writer.join(), read_all(b.recv, len(BIG))][1])
                assert bine.run_async(talk(a)) == BIG
                assert reader.join() == BIG
                a.setblocking(True)
                check_talk(a, b)


def test_asyncios_streams_take_over_a_socket_that_was_waited_for():
    async def echo(s):
        reader, writer = await asyncio.open_connection(sock=s)
        while data := await reader.read(100_000):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    for pair in tcp_pair, unix_pair:
        with pair() as (a, b):
            waited(a, b)
            number = a.fileno()
            a.setblocking(False)
            runner = bine.spawn(bine.run_async, echo(a))
            for size in 1, 10, 100_000, len(BIG):
                writer = bine.spawn(b.sendall, BIG[:size])
                assert read_all(b.recv, size) == BIG[:size]
                writer.join()
                all_wait()
            b.shutdown(socket.SHUT_WR)
            assert b.recv(10) == EMPTY
            runner.join()
        with take(number) as c, socket.create_server(("127.0.0.1", 0)) as server:
            c.connect(server.getsockname())
            with server.accept()[0] as d:
                check_talk(c, d)


def read_by_asyncio(a, size, send):
    """What a stream has read when it waited while send() was called, up to `size`: -1, to the end."""
    async def read():
        reader, writer = await asyncio.open_connection(sock=a)
        got = await (reader.read() if size < 0 else reader.readexactly(size))
        writer.close()
        return got
    a.setblocking(False)
    runner = bine.spawn(bine.run_async, read())
    all_wait()
    send()
    return runner.join()


def test_asyncio_is_told_of_an_end_right_behind_data():
    for pair in tcp_pair, unix_pair:
        for turns in range(4):
            with pair() as (a, b):
                waited(a, b)
                got = read_by_asyncio(a, -1, lambda: [b.send(b"words"), pauses(turns), b.close()])
                assert got == b"words"


def test_asyncio_is_told_of_what_is_behind_a_mark():
    for turns in range(4):
        with tcp_pair() as (a, b):
            waited(a, b)
            assert read_by_asyncio(a, 6, lambda: [
                b.send(b"abc"), pauses(turns), b.send(b"!", socket.MSG_OOB), b.send(b"def")]) == b"abcdef"


def test_asyncio_is_told_of_what_is_behind_a_record():
    with tempfile.TemporaryFile() as file:
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))]
        for turns in range(3):
            with unix_pair() as (a, b):
                def send():
                    for piece in b"ab", b"cd", b"ef":
                        b.sendmsg([piece], passed)
                        pauses(turns)
                waited(a, b)
                assert read_by_asyncio(a, 6, send) == b"abcdef"


def test_tls_begins_and_ends_on_connections_that_were_waited_for():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(PEM)
    client = ssl.create_default_context(cafile=PEM)
    with tcp_pair() as (a, b):
        waited(a, b)
        waited(b, a)
        b.send(b"go on\n")
        assert a.recv(100) == b"go on\n"
        answer = bine.spawn(server.wrap_socket, b, server_side=True)
        one = client.wrap_socket(a, server_hostname="localhost")
        with one, answer.join() as other:
            check_talk(one, other)
            answer = bine.spawn(other.unwrap)
            one, other = one.unwrap(), answer.join()
            check_talk(one, other)
