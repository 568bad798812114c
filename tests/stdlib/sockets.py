"""Sockets on micro-threads: what would block suspends its micro-thread alone."""
import array
import contextlib
import errno
import gc
import os
import resource
import signal
import socket
import struct
import tempfile
import threading

from acts import cancel, later, read_all, tcp_pair
import bine

BIG = bytes(range(256)) * 20_000  # more than any buffer between the two ends
EMPTY = b""


@contextlib.contextmanager
def raises(error, text=None, code=None):
    try:
        yield
    except error as caught:
        assert type(caught) is error or code is not None, repr(caught)
        assert text is None or str(caught) == text, repr(caught)
        assert code is None or caught.errno == code, repr(caught)
    else:
        raise AssertionError(f"no {error.__name__}")


@contextlib.contextmanager
def pair(kind=socket.SOCK_STREAM):
    a, b = socket.socketpair(socket.AF_UNIX, kind)
    with a, b:
        yield a, b


def datagrams():
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for s in made:
        s.bind(("127.0.0.1", 0))
    return made


# ---- receiving ----

def waits_in(receive, kind=socket.SOCK_STREAM):
    with pair(kind) as (a, b):
        later(b.send, b"word\n")
        return receive(a)


def into(method):
    """Of one that receives into a buffer: what came."""
    def receive(s):
        buffer = bytearray(10)
        answer = method(s, buffer)
        count = answer[0] if isinstance(answer, tuple) else answer
        return bytes(buffer[:count])
    return receive


def test_each_way_to_receive_waits():
    for receive in (lambda s: s.recv(10), lambda s: s.recv(1 << 20), lambda s: s.recv(10, socket.MSG_PEEK),
                    lambda s: s.recvfrom(10)[0], lambda s: s.recvfrom(10, 0)[0],
                    lambda s: s.recvmsg(10)[0], lambda s: s.recvmsg(10, 100)[0], lambda s: s.recvmsg(10, 100, 0)[0],
                    into(socket.socket.recv_into), into(lambda s, b: s.recv_into(b, 5)),
                    into(lambda s, b: s.recv_into(buffer=b, nbytes=0, flags=0)),
                    into(socket.socket.recvfrom_into), into(lambda s, b: s.recvfrom_into(b, 5, 0)),
                    into(lambda s, b: s.recvfrom_into(buffer=b, nbytes=5, flags=0)),
                    into(lambda s, b: s.recvmsg_into([b])), into(lambda s, b: s.recvmsg_into([b], 10, 0)),
                    lambda s: s.makefile("rb").readline()):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            assert waits_in(receive, kind) == b"word\n"


def test_the_end_is_empty():
    with pair() as (a, b):
        later(b.close)
        assert a.recv(10) == EMPTY
        assert a.recv_into(bytearray(10)) == 0
        assert a.recvmsg(10)[0] == EMPTY


def test_nothing_is_received_without_being_asked_for():
    with pair() as (a, b):
        b.send(b"abcdef")
        assert a.recv(2) == b"ab"
        assert a.recv(1, socket.MSG_PEEK) == b"c"
        assert a.recv(100) == b"cdef"


def test_waitall_waits_for_all():
    with pair() as (a, b):
        def drip():
            for byte in b"words":
                b.send(bytes([byte]))
                bine.pause()
        bine.spawn(drip)
        assert a.recv(5, socket.MSG_WAITALL) == b"words"
        bine.spawn(drip)
        buffer = bytearray(5)
        assert a.recv_into(buffer, 0, socket.MSG_WAITALL) == 5
        assert buffer == b"words"


def in_pieces(b, data=b"words", last=None):
    for byte in data:
        b.send(bytes([byte]))
        bine.pause()
    if last is not None:
        last()


def test_each_way_to_receive_takes_waitall():
    ways = (lambda s, flags: s.recv(5, flags), into(lambda s, b: s.recv_into(b, 5, socket.MSG_WAITALL)),
            lambda s, flags: s.recvfrom(5, flags)[0], lambda s, flags: s.recvmsg(5, 0, flags)[0],
            lambda s, flags: s.recvmsg(5, 100, flags)[0])
    for make in (pair, tcp_pair):
        with make() as (a, b):
            for way in ways:
                bine.spawn(in_pieces, b)
                got = way(a, socket.MSG_WAITALL) if way is not ways[1] else way(a)
                assert got == b"words", got
            bine.spawn(in_pieces, b, b"wor", b.close)
            assert a.recvmsg(5, 0, socket.MSG_WAITALL)[0] == b"wor"
            assert a.recvfrom(5, socket.MSG_WAITALL)[0] == EMPTY


def test_waitall_and_peek_take_nothing():
    for make in (pair, tcp_pair):
        with make() as (a, b):
            bine.spawn(in_pieces, b)
            assert a.recv(5, socket.MSG_WAITALL | socket.MSG_PEEK) == b"words"
            assert a.recv(5) == b"words"
            bine.spawn(in_pieces, b, b"wor", b.close)
            assert a.recv(5, socket.MSG_WAITALL | socket.MSG_PEEK) == b"wor"
            assert a.recv(5) == b"wor"


def test_waitall_means_nothing_to_datagrams():
    with pair(socket.SOCK_DGRAM) as (a, b):
        for word in (b"one", b"two"):
            b.send(word)
        assert a.recv(10, socket.MSG_WAITALL) == b"one"
        assert a.recvfrom(10, socket.MSG_WAITALL)[0] == b"two"


def test_waitall_stops_where_descriptors_come():
    with pair() as (a, b), tempfile.TemporaryFile() as file:
        passed = array.array("i", [file.fileno()])
        b.send(b"ab")
        bine.spawn(lambda: b.sendmsg([b"cd"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)]) and b.send(b"ef"))
        data, ancillary, _, _ = a.recvmsg(6, 100, socket.MSG_WAITALL)
        assert data == b"abcd" and len(ancillary) == 1, (data, ancillary)
        os.close(array.array("i", ancillary[0][2])[0])
        assert a.recv(10) == b"ef"


def test_waitall_that_is_cancelled_tells_what_has_come():
    for way in (lambda s: s.recv(5, socket.MSG_WAITALL), lambda s: s.recvmsg(5, 0, socket.MSG_WAITALL)[0]):
        with pair() as (a, b):
            micro = bine.spawn(way, a)
            b.send(b"ab")
            for _ in range(5):
                bine.pause()
            micro.cancel()
            assert micro.join() == b"ab"


def test_waitall_that_a_signal_handler_ends_tells_what_has_come_and_raises():
    def handler(*args):
        raise ZeroDivisionError

    def receive():
        try:
            got.append(way(a))
            bine.sleep(0)  # at the latest
        except ZeroDivisionError:
            got.append("raised")
    for way in (lambda s: s.recv(5, socket.MSG_WAITALL), lambda s: s.recvmsg(5, 0, socket.MSG_WAITALL)[0]):
        got = []
        with on_alarm(handler), pair() as (a, b):
            b.send(b"ab")
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            receive()
            assert got[-1] == "raised" and got[:-1] in ([], [b"ab"]), got
            assert b.send(b"c") == 1 and a.recv(5) == b"c"


def test_a_buffer_that_is_received_into_cannot_be_resized():
    with pair() as (a, b):
        buffer = bytearray(10)
        micro = bine.spawn(a.recv_into, buffer)
        bine.pause()
        with raises(BufferError):
            buffer.clear()
        b.send(b"x")
        assert micro.join() == 1
        buffer.clear()


# ---- sending ----

def sends_all(send, make=pair):
    with make() as (a, b):
        micro = bine.spawn(send, a)
        got = read_all(b.recv, len(BIG))
        micro.join()
        assert got == BIG


def send_parts(send):
    def run(s):
        rest = memoryview(BIG)
        while rest:
            rest = rest[send(s, rest):]
    return run


def test_each_way_to_send_waits():
    for make in (pair, tcp_pair):
        sends_all(lambda s: s.sendall(BIG), make)
        sends_all(lambda s: s.sendall(memoryview(BIG), 0), make)
        sends_all(send_parts(lambda s, data: s.send(data)), make)
        sends_all(send_parts(lambda s, data: s.send(data, 0)), make)
        sends_all(send_parts(lambda s, data: s.sendmsg([data])), make)
        sends_all(send_parts(lambda s, data: s.sendmsg([data], [], 0)), make)


def test_buffers_may_come_from_an_iterator():
    with pair() as (a, b):
        later(lambda: b.sendmsg(iter([b"wo", b"rd"]), iter([])))
        buffers = [bytearray(2), bytearray(2)]
        assert a.recvmsg_into(iter(buffers))[0] == 4
        assert buffers == [b"wo", b"rd"]
    sends_all(send_parts(lambda s, data: s.sendmsg(iter([data]))))
    with pair() as (a, b):
        a.setblocking(False)
        b.setblocking(False)
        assert b.sendmsg(iter([b"wo", b"rd"]), iter([])) == 4
        assert a.recvmsg_into(iter(buffers))[0] == 4


def test_send_on_a_socket_that_blocks_sends_all():
    with pair() as (a, b):
        micro = bine.spawn(a.send, BIG)
        assert read_all(b.recv, len(BIG)) == BIG
        assert micro.join() == len(BIG)


def test_sendmsg_and_sendto_on_a_socket_that_blocks_send_all():
    parts = [BIG[:10], memoryview(BIG)[10:3_000_000], bytearray(BIG[3_000_000:])]
    numbers = array.array("i", range(1_000_000))
    for make in (pair, tcp_pair):
        with make() as (a, b):
            micro = bine.spawn(a.sendmsg, parts)
            assert read_all(b.recv, len(BIG)) == BIG
            assert micro.join() == len(BIG)
            micro = bine.spawn(a.sendmsg, (numbers,))
            assert read_all(b.recv, 4_000_000) == numbers.tobytes()
            assert micro.join() == 4_000_000
    with tcp_pair() as (a, b):
        micro = bine.spawn(a.sendto, BIG, b.getsockname())
        assert read_all(b.recv, len(BIG)) == BIG
        assert micro.join() == len(BIG)


def test_descriptors_go_with_the_first_of_many_bytes():
    with pair() as (a, b), tempfile.TemporaryFile() as file:
        passed = array.array("i", [file.fileno()])
        micro = bine.spawn(a.sendmsg, [BIG], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        data, ancillary, _, _ = b.recvmsg(100_000, 1000)
        assert len(ancillary) == 1
        os.close(array.array("i", ancillary[0][2])[0])
        assert data + read_all(b.recv, len(BIG) - len(data)) == BIG
        assert micro.join() == len(BIG)


def test_a_cancelled_sendmsg_says_how_much_it_sent():
    with pair() as (a, b):
        micro = bine.spawn(a.sendmsg, [BIG])
        for _ in range(3):
            bine.pause()
        micro.cancel()
        count = micro.join()
        assert 0 < count < len(BIG)
        assert read_all(b.recv, count) == BIG[:count]
        a.close()
        assert b.recv(1) == EMPTY


def test_send_with_a_timeout_sends_what_there_is_room_for():
    with pair() as (a, b):
        a.settimeout(10)
        assert 0 < a.send(BIG) < len(BIG)


def test_two_that_send_all_do_not_mix_their_bytes():
    with pair() as (a, b):
        words = [bytes([letter]) * 1_000_000 for letter in b"abcdef"]
        for word in words[::2]:
            bine.spawn(a.sendall, word)
            bine.spawn(a.sendmsg, [words[words.index(word) + 1]])
        assert read_all(b.recv, 6_000_000) == EMPTY.join(words)


def test_in_the_child_of_a_fork_nobody_else_sends():
    with pair() as (a, b):
        micro = bine.spawn(a.sendall, BIG)
        bine.pause()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.read(reader, 1)  # the parent's has ended
                with contextlib.suppress(BlockingIOError):
                    while True:
                        b.recv(100_000, socket.MSG_DONTWAIT)
                a.sendall(b"x")
            finally:
                os._exit(b.recv(1) == b"x")
        cancel(micro)
        os.write(writer, b"!")
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 1
        os.close(reader)
        os.close(writer)


def test_one_reads_while_another_writes():
    with pair() as (a, b):
        reads = bine.spawn(read_all, a.recv, 3)
        writes = bine.spawn(a.sendall, BIG)
        bine.pause()
        b.send(b"abc")
        assert reads.join() == b"abc"
        assert not writes.done
        read_all(b.recv, len(BIG))
        writes.join()


def test_who_reads_is_told_after_much_else_has_happened():
    with pair() as (a, b):
        writes = bine.spawn(a.sendall, BIG)
        read_all(b.recv, len(BIG))
        writes.join()
        reader = bine.spawn(a.recv, 10)
        bine.pause()
        for _ in range(200):  # it becomes writable each time
            a.send(b"x", socket.MSG_DONTWAIT)
            b.recv(1)
            bine.pause()
        b.send(b"at last")
        assert reader.join() == b"at last"


def test_two_readers_of_one_socket_get_a_message_each():
    with pair(socket.SOCK_DGRAM) as (a, b):
        readers = [bine.spawn(a.recv, 10) for _ in range(2)]
        bine.pause()
        b.send(b"x")
        b.send(b"y")
        assert sorted(reader.join() for reader in readers) == [b"x", b"y"]


def test_a_datagram_waits_for_room():
    with pair(socket.SOCK_DGRAM) as (a, b):
        def fill():
            for number in range(200):
                a.send(b"%d" % number)
        micro = bine.spawn(fill)
        assert [int(b.recv(10)) for _ in range(200)] == list(range(200))
        micro.join()


def test_datagrams_have_their_sender():
    a, b = datagrams()
    with a, b:
        later(a.sendto, b"one", b.getsockname())
        assert b.recvfrom(10) == (b"one", a.getsockname())
        later(a.sendto, b"two", 0, b.getsockname())
        assert b.recvmsg(10)[3] == a.getsockname()
        later(a.sendmsg, [b"th", b"ree"], [], 0, b.getsockname())
        buffer = bytearray(10)
        assert b.recvfrom_into(buffer) == (5, a.getsockname())
        assert a.sendto(b"by name", ("localhost", b.getsockname()[1])) == 7
        assert b.recv(10) == b"by name"


def test_descriptors_go_from_one_to_another():
    with pair() as (a, b), pair() as (c, d):
        later(lambda: socket.send_fds(b, [b"fd"], [c.fileno()]))
        data, ancillary, _, _ = a.recvmsg(10, socket.CMSG_SPACE(4))
        assert data == b"fd"
        assert ancillary[0][:2] == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        number, = array.array("i", ancillary[0][2])
        with socket.socket(fileno=number) as same:
            same.send(b"x")
        assert d.recv(1) == b"x"


# ---- timeouts ----

def test_each_call_times_out():
    for call in (lambda s: s.recv(1), lambda s: s.recv_into(bytearray(1)), lambda s: s.recvfrom(1),
                 lambda s: s.recvfrom_into(bytearray(1)), lambda s: s.recvmsg(1),
                 lambda s: s.recvmsg_into([bytearray(1)]), lambda s: s.sendall(BIG),
                 send_parts(lambda s, data: s.send(data)), send_parts(lambda s, data: s.sendmsg([data]))):
        for seconds in (0.01, 1):
            with pair() as (a, b):
                a.settimeout(seconds)
                with raises(TimeoutError, "timed out"):
                    call(a)
                assert a.gettimeout() == seconds
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        with raises(TimeoutError, "timed out"):
            server.accept()


def test_a_default_timeout_holds():
    socket.setdefaulttimeout(0.01)
    try:
        with pair() as (a, b), raises(TimeoutError, "timed out"):
            a.recv(1)
    finally:
        socket.setdefaulttimeout(None)


def test_one_that_does_not_block_does_not_wait():
    for call in (lambda s: s.recv(1), lambda s: s.recv_into(bytearray(1)), lambda s: s.recvfrom(1),
                 lambda s: s.recvmsg(1), lambda s: s.sendall(BIG)):
        with pair() as (a, b):
            a.setblocking(False)
            with raises(BlockingIOError):
                call(a)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        with raises(BlockingIOError):
            server.accept()


def test_one_whose_descriptor_does_not_block_does_not_wait():
    with pair() as (a, b):
        os.set_blocking(a.fileno(), False)
        for call in (lambda: a.recv(1), lambda: a.recvmsg(1), lambda: a.sendall(BIG)):
            with raises(BlockingIOError):
                call()
        assert a.gettimeout() is None and not os.get_blocking(a.fileno())
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as s:
        os.set_blocking(server.fileno(), False)
        os.set_blocking(s.fileno(), False)
        with raises(BlockingIOError):
            server.accept()
        with raises(BlockingIOError):
            s.connect(server.getsockname())


def test_what_does_not_wait_takes_iterators_too():
    with pair() as (a, b):
        for s in a, b:
            s.setblocking(False)
        for flags in 0, socket.MSG_DONTWAIT:
            assert a.sendmsg(iter([b"wo", b"rd"]), iter([]), flags) == 4
            buffers = [bytearray(2), bytearray(3)]
            assert b.recvmsg_into(iter(buffers))[0] == 4 and buffers == [b"wo", b"rd\0"]


def test_a_call_with_msg_dontwait_does_not_wait():
    flag = socket.MSG_DONTWAIT
    with pair() as (a, b):
        for call in (lambda: a.recv(1, flag), lambda: a.recv_into(bytearray(1), 0, flag),
                     lambda: a.recv_into(bytearray(1), flags=flag), lambda: a.recvfrom(1, flag),
                     lambda: a.recvfrom_into(bytearray(1), flags=flag), lambda: a.recvmsg(1, 0, flag),
                     lambda: a.recv(1, flag | socket.MSG_WAITALL), lambda: a.sendall(BIG, flag),
                     lambda: a.sendmsg([b"x"], [], flag), lambda: a.send(b"x", flag)):
            with raises(BlockingIOError):
                call()
        b.recv(len(BIG))
        assert 0 < a.send(BIG, flag) < len(BIG)


def test_what_is_there_comes_before_a_timeout():
    with pair() as (a, b):
        a.settimeout(1e-9)
        b.send(b"xy")
        assert a.recv(1) == b"x"
        assert a.recvmsg(1)[0] == b"y"


# ---- connections ----

def test_a_server_takes_one_after_the_other():
    def serve(server):
        for _ in range(3):
            connection, address = server.accept()
            with connection:
                assert connection.getpeername() == address
                assert connection.gettimeout() is None and os.get_blocking(connection.fileno())
                assert not os.get_inheritable(connection.fileno())
                connection.sendall(connection.recv(100))
    for seconds in (None, 10):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(seconds)
            serving = bine.spawn(serve, server)
            for word in (b"a", b"b", b"c"):
                with socket.create_connection(server.getsockname()) as client:
                    client.sendall(word)
                    assert client.recv(10) == word
            serving.join()
            assert os.get_blocking(server.fileno()) == (seconds is None)


def test_accept_waits():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = later(socket.create_connection, server.getsockname())
        connection, _ = server.accept()
        client.join().close()
        connection.close()


def refused_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_connect_tells_why_not():
    port = refused_port()
    for seconds in (None, 10):
        with socket.socket() as s:
            s.settimeout(seconds)
            with raises(ConnectionRefusedError):
                s.connect(("127.0.0.1", port))
        with socket.socket() as s:
            s.settimeout(seconds)
            assert s.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
            assert os.get_blocking(s.fileno()) == (seconds is None)
    with tcp_pair() as (a, b):
        with raises(OSError, code=errno.EISCONN):
            a.connect(("127.0.0.1", port))


def test_create_connection_tries_one_address_after_the_other():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        real = socket.getaddrinfo
        socket.getaddrinfo = lambda *args: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", refused_port())),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        try:
            with socket.create_connection(("several", port)) as client:
                assert client.getpeername()[1] == port
        finally:
            socket.getaddrinfo = real


def full_unix_server(folder):
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.join(folder, "s"))
    server.listen(0)
    first = socket.socket(socket.AF_UNIX)
    first.connect(server.getsockname())
    return server, first


def test_connect_waits_for_room_in_a_unix_backlog():
    with tempfile.TemporaryDirectory() as folder:
        server, first = full_unix_server(folder)
        with server, first, socket.socket(socket.AF_UNIX) as second:
            connects = bine.spawn(second.connect, server.getsockname())
            for _ in range(5):
                bine.pause()
            assert not connects.done
            server.accept()[0].close()
            connects.join()


def test_connect_with_a_timeout_and_a_full_unix_backlog_is_refused_at_once():
    with tempfile.TemporaryDirectory() as folder:
        server, first = full_unix_server(folder)
        with server, first, socket.socket(socket.AF_UNIX) as second:
            second.settimeout(10)
            with raises(BlockingIOError):
                second.connect(server.getsockname())


def full_backlog():
    """A server that answers nobody any more, and those that fill it."""
    server = socket.create_server(("127.0.0.1", 0), backlog=0)
    filling = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(server.getsockname())
        filling.append(s)
    return server, filling


def test_connect_times_out():
    server, filling = full_backlog()
    with server, socket.socket() as s, socket.socket() as t:
        s.settimeout(0.01)
        with raises(TimeoutError, "timed out"):
            s.connect(server.getsockname())
        t.settimeout(0.01)
        assert t.connect_ex(server.getsockname()) == errno.EAGAIN
    for other in filling:
        other.close()


def test_a_name_is_looked_up():
    with socket.create_server(("localhost", 0)) as server, socket.socket() as s:
        s.connect(("localhost", server.getsockname()[1]))
        with raises(socket.gaierror), socket.socket() as t:
            t.connect(("no.such.host.invalid", 1))


# ---- makefile, sendfile ----

def test_lines_come_as_they_are_written():
    with pair() as (a, b):
        def write():
            with b.makefile("w", newline="\n") as file:
                for number in range(100):
                    print(number, file=file, flush=True)
            b.shutdown(socket.SHUT_WR)
        bine.spawn(write)
        with a.makefile() as file:
            assert [int(line) for line in file] == list(range(100))


def test_sendfile_sends_all():
    with tempfile.TemporaryFile() as file:
        file.write(BIG)
        for seconds in (None, 100):
            with tcp_pair() as (a, b):
                a.settimeout(seconds)
                file.seek(0)
                sends = bine.spawn(a.sendfile, file)
                assert read_all(b.recv, len(BIG)) == BIG
                assert sends.join() == len(BIG)
                assert file.tell() == len(BIG)


def test_os_sendfile_to_a_socket_that_blocks_sends_all():
    with tempfile.TemporaryFile() as file:
        file.write(BIG)
        file.flush()
        with pair() as (a, b):
            sends = bine.spawn(os.sendfile, a.fileno(), file.fileno(), 10, len(BIG) - 10)
            assert read_all(b.recv, len(BIG) - 10) == BIG[10:]
            assert sends.join() == len(BIG) - 10
            assert os.sendfile(a.fileno(), file.fileno(), len(BIG), 10) == 0
            file.seek(4)
            assert os.sendfile(a.fileno(), file.fileno(), None, 3) == 3
            assert b.recv(10) == BIG[4:7] and os.lseek(file.fileno(), 0, os.SEEK_CUR) == 7
            with raises(OSError, code=errno.EBADF):
                os.sendfile(a.fileno(), 999_999, 0, 1)


# ---- what goes wrong ----

def test_bad_arguments_are_cpythons_to_name():
    def texts(run):
        said = []
        for call in (lambda s: s.recv(), lambda s: s.recv("1"), lambda s: s.recv(-1), lambda s: s.recv(1, 2, 3),
                     lambda s: s.recv(1 << 80), lambda s: s.recv(1.5), lambda s: s.recv_into(b"x"),
                     lambda s: s.recv_into(bytearray(1), 2), lambda s: s.recv_into(bytearray(1), -1),
                     lambda s: s.recv_into(bytearray(1), nbytes=2), lambda s: s.recv_into(bytearray(1), no=2),
                     lambda s: s.recv_into(), lambda s: s.send("x"), lambda s: s.send(), lambda s: s.sendall(None),
                     lambda s: s.sendall(b"x", "y"), lambda s: s.sendto(b"x"), lambda s: s.sendto(b"x", 1),
                     lambda s: s.sendto(b"x", 0, 0, 0), lambda s: s.recvfrom(-1), lambda s: s.recvmsg(-1),
                     lambda s: s.recvmsg(1, -1), lambda s: s.recvmsg_into(1), lambda s: s.sendmsg(1),
                     lambda s: s.sendmsg([b"x"], 1), lambda s: s.connect(1), lambda s: s.connect_ex(("a",)),
                     lambda s: s.connect(("127.0.0.1", 1 << 40)), lambda s: s._accept(1), lambda s: s._accept()):
            try:
                run(call)
            except Exception as error:
                said.append(repr(error))
            else:
                said.append("fine")
        return said

    def in_a_thread(call):
        caught = []

        def run():
            try:
                call(socket.socket())
            except Exception as error:
                caught.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if caught:
            raise caught[0]
    inside, outside = texts(lambda call: call(socket.socket())), texts(in_a_thread)
    for here, there in zip(inside, outside):
        assert here == there, (here, there)


def test_a_closed_socket_is_a_bad_descriptor():
    s = socket.socket()
    s.close()
    for call in (lambda: s.recv(1), lambda: s.recv_into(bytearray(1)), lambda: s.send(b"x"),
                 lambda: s.sendall(b"x"), lambda: s.recvfrom(1), lambda: s.recvmsg(1), lambda: s.sendmsg([b"x"]),
                 lambda: s.accept(), lambda: s.connect(("127.0.0.1", 1))):
        with raises(OSError, code=errno.EBADF):
            call()
    assert s.connect_ex(("127.0.0.1", 1)) == errno.EBADF


def test_closing_wakes_who_waits():
    for close in (lambda s: s.close(), lambda s: socket.close(s.detach()),
                  lambda s: s.shutdown(socket.SHUT_RDWR) or s.close()):
        for wait in (lambda s: s.recv(1), lambda s: s.recvmsg(1), lambda s: s.sendall(BIG)):
            with pair() as (a, b):
                micro = bine.spawn(wait, a)
                for _ in range(3):
                    bine.pause()
                close(a)
                try:
                    assert micro.join() in (EMPTY, (EMPTY, [], 0, None))
                except OSError as error:
                    assert error.errno in (errno.EBADF, errno.EPIPE), error
    server = socket.create_server(("127.0.0.1", 0))
    micro = bine.spawn(server.accept)
    bine.pause()
    server.close()
    with raises(OSError, code=errno.EBADF):
        micro.join()


def closing_ways(path):
    """Each way to close a socket's descriptor."""
    yield lambda s: s.close()
    yield lambda s: socket.close(s.detach())
    yield lambda s: os.close(s.fileno())
    yield lambda s: os.closerange(s.fileno(), s.fileno() + 1)
    yield lambda s: os.dup2(path, s.fileno())
    yield lambda s: open(s.detach(), "rb", 0).close()


def test_closing_on_another_thread_wakes_who_waits():
    with tempfile.TemporaryFile() as file:
        for close in closing_ways(file.fileno()):
            for wait, count in ((lambda s: s.recv(1), 2), (lambda s: s.recvmsg(1), 2), (lambda s: s.sendall(BIG), 1),
                                (lambda s: bine.wait_readable(s.fileno()), 2)):
                a, b = socket.socketpair()
                waiting = [bine.spawn(wait, a) for _ in range(count)]
                for _ in range(3):
                    bine.pause()
                thread = threading.Thread(target=close, args=(a,))
                thread.start()
                thread.join()
                for micro in waiting:
                    with raises(OSError, code=errno.EBADF):
                        micro.join()
                b.close()
                with contextlib.suppress(OSError):
                    a.close()


def test_closing_in_a_destructor_wakes_who_waits():
    class Last:
        def __del__(self):
            a.close()
    with pair() as (a, b):
        micro = bine.spawn(a.recv, 1)
        bine.pause()
        Last()
        with raises(OSError, code=errno.EBADF):
            micro.join()


def test_a_number_that_another_thread_has_closed_and_that_is_used_again_belongs_to_the_new_one():
    def replace():
        a.close()
        made.extend(socket.socketpair())
        begun.set()
        ended.wait()
    for _ in range(50):
        made = []
        begun, ended = bine.Event(), threading.Event()
        a, b = socket.socketpair()
        number = a.fileno()
        micro = bine.spawn(a.recv, 1)
        bine.pause()
        thread = threading.Thread(target=replace)
        thread.start()
        begun.wait()
        c, d = made if made[0].fileno() == number else made[::-1]
        assert c.fileno() == number
        later(d.send, b"x")
        assert c.recv(1) == b"x"
        with raises(OSError, code=errno.EBADF):
            micro.join()
        ended.set()
        thread.join()
        for s in (b, c, d):
            s.close()


# ---- lingering ----

@contextlib.contextmanager
def lingering(seconds):
    """One whose peer has taken nothing of what it was sent, and the peer."""
    with tcp_pair() as (a, b):
        a.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                a.send(BIG)
        a.setblocking(True)
        a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
        yield a, b


def drain(s):
    while s.recv(1 << 20):
        pass


def test_one_that_lingers_is_closed_by_a_thread():
    with lingering(100) as (a, b):
        micro = bine.spawn(a.close)
        for _ in range(10):
            bine.pause()
        assert not micro.done and a.fileno() == -1
        drain(b)
        micro.join()


def test_a_cancelled_close_closes_all_the_same():
    with lingering(100) as (a, b):
        micro = bine.spawn(a.close)
        for _ in range(10):
            bine.pause()
        cancel(micro)
        drain(b)
    with lingering(100) as (a, b):
        micro = bine.spawn(lambda: bine.current().cancel() or a.close())
        with contextlib.suppress(bine.Cancelled):
            micro.join()
        assert a.fileno() == -1
        drain(b)


def test_one_that_is_used_by_two_is_closed_when_the_first_lingers():
    with lingering(100) as (a, b):
        micro = bine.spawn(a.recv, 1)
        bine.pause()
        closing = bine.spawn(a.close)
        with raises(OSError, code=errno.EBADF):
            micro.join()
        drain(b)
        closing.join()


def test_a_number_that_is_used_again_belongs_to_the_new_one():
    with pair() as (a, b):
        number = a.fileno()
        micro = bine.spawn(a.recv, 1)
        bine.pause()
        a.close()
        c, d = socket.socketpair()
        with c, d:
            assert number in (c.fileno(), d.fileno())
            later(d.send, b"x")
            assert c.recv(1) == b"x"
        with raises(OSError, code=errno.EBADF):
            micro.join()


def test_a_reset_while_writing():
    with tcp_pair() as (a, b):
        micro = bine.spawn(a.sendall, BIG)
        bine.pause()
        b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        b.close()
        try:
            micro.join()
        except (ConnectionResetError, BrokenPipeError):
            pass
        else:
            raise AssertionError("nothing was told of the reset")
        with raises(BrokenPipeError):
            a.send(b"x")


def test_a_reset_while_reading():
    with tcp_pair() as (a, b):
        micro = bine.spawn(a.recv, 1)
        bine.pause()
        b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        b.close()
        with raises(ConnectionResetError):
            micro.join()


def test_a_peer_that_has_ended_its_half_is_still_written_to():
    with tcp_pair() as (a, b):
        b.shutdown(socket.SHUT_WR)
        assert a.recv(1) == EMPTY
        micro = bine.spawn(a.sendall, BIG)
        assert read_all(b.recv, len(BIG)) == BIG
        micro.join()
        assert a.recv(1) == EMPTY


def test_a_silent_peer_is_given_up_after_the_timeout():
    with tcp_pair() as (a, b):
        a.settimeout(0.01)
        with raises(TimeoutError, "timed out"):
            a.makefile("rb").readline()


def test_a_cancel_loses_nothing():
    for receive in (lambda s: s.recv(1), lambda s: s.recvmsg(1)[0]):
        with pair() as (a, b):
            micro = bine.spawn(receive, a)
            bine.pause()
            b.send(b"xy")
            cancel(micro)
            assert a.recv(10) == b"xy"
    with socket.create_server(("127.0.0.1", 0)) as server:
        micro = bine.spawn(server.accept)
        bine.pause()
        with socket.socket() as client:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            cancel(micro)
            connection, address = server.accept()
            with connection:
                assert address == client.getsockname()


def test_what_need_not_wait_does_not_look_for_cancels():
    def run():
        bine.current().cancel()
        a.send(b"x")
        return b.recv(1)
    with pair() as (a, b):
        assert bine.spawn(run).join() == b"x"


def test_a_cancelled_sendall_leaves_the_stream_to_the_next():
    with pair() as (a, b):
        first, second = bine.spawn(a.sendall, BIG), bine.spawn(a.sendall, b"end")
        for _ in range(3):
            bine.pause()
        cancel(first)
        got = bytearray()
        while not got.endswith(b"end"):
            got += b.recv(1 << 20)
        second.join()
        assert BIG.startswith(got[:-3])


def test_one_that_never_waits_gives_the_others_turns():
    turns = []

    def others():
        while not stop:
            turns.append(1)
            bine.pause()
    stop = []
    micro = bine.spawn(others)
    with pair() as (a, b):
        for _ in range(1000):
            a.send(b"x")
            b.recv(1)
    stop.append(1)
    micro.join()
    assert len(turns) > 10, len(turns)


@contextlib.contextmanager
def on_alarm(handler):
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_signals_come_and_go():
    came = []
    with on_alarm(lambda *args: came.append(1)), tcp_pair() as (a, b):
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(20):
            micro = bine.spawn(a.sendall, BIG)
            assert read_all(b.recv, len(BIG)) == BIG
            micro.join()
        echo = bine.spawn(lambda: [b.sendall(b.recv(1)) for _ in range(2000)])
        for _ in range(2000):
            a.sendall(b"x")
            assert a.recv(1) == b"x"
        echo.join()
    assert came


def test_what_a_signal_handler_raises_ends_the_wait():
    def handler(*args):
        raise ZeroDivisionError
    with on_alarm(handler), pair() as (a, b):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with raises(ZeroDivisionError):
            a.recv(1)


def test_a_signal_handler_sends_in_the_midst_of_a_sendall():
    came = bine.Event()
    sender = bine.current()

    def handler(*args):
        if bine.current() is not sender:  # it would stand in line
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            return
        a.sendall(EMPTY)
        came.set()

    def read():
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        came.wait()
        return read_all(b.recv, len(BIG))
    with on_alarm(handler), pair() as (a, b):
        reader = bine.spawn(read)
        a.sendall(BIG)
        assert reader.join() == BIG


@contextlib.contextmanager
def no_descriptors_left():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = os.dup(0)
    os.close(used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_accept_without_a_descriptor_backs_off():
    tries = []

    def serve():
        while True:
            try:
                return server.accept()[0]
            except OSError as error:
                assert error.errno == errno.EMFILE, error
                tries.append(1)
    with socket.create_server(("127.0.0.1", 0)) as server, pair() as (a, b), socket.socket() as client:
        client.connect(server.getsockname())
        with no_descriptors_left():
            serving = bine.spawn(serve)
            for _ in range(100):
                a.send(b"x")
                assert b.recv(1) == b"x"
                bine.pause()
            assert len(tries) <= 1, tries
        serving.join().close()


def test_other_threads_have_cpythons_own():
    with pair() as (a, b):
        got = []
        thread = threading.Thread(target=lambda: got.append(a.recv(10)))
        thread.start()
        b.send(b"x")
        thread.join()
        assert got == [b"x"]


def test_a_destructor_blocks_as_ever():
    class Last:
        def __del__(self):
            got.append(a.recv(10))
    got = []
    with pair() as (a, b):
        b.send(b"x")
        Last()
        assert got == [b"x"]


def test_a_collection_that_is_over_makes_no_difference():
    gc.collect()
    assert waits_in(lambda s: s.recv(10)) == b"word\n"
    gc.collect()
    assert waits_in(lambda s: s.recvmsg(10)[0]) == b"word\n"


def test_it_looks_as_ever():
    assert repr(socket.socket.recv) == "<method 'recv' of '_socket.socket' objects>"
    with pair() as (a, b):
        assert repr(a.recv).startswith("<built-in method recv of socket object")
        assert a.recv.__doc__.startswith("recv(buffersize[, flags]) -> data")


def test_a_thousand_connections():
    def serve(connection):
        with connection:
            while True:
                data = connection.recv(100)
                if not data:
                    return
                connection.sendall(data)

    def talk(number):
        with socket.create_connection(server.getsockname()) as client:
            for turn in range(3):
                word = b"%d %d" % (number, turn)
                client.sendall(word)
                assert client.recv(100) == word
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        def accept():
            for _ in range(1000):
                bine.spawn(serve, server.accept()[0])
        accepting = bine.spawn(accept)
        for talks in [bine.spawn(talk, number) for number in range(1000)]:
            talks.join()
        accepting.join()
