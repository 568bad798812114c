"""TLS on micro-threads: ssl.SSLContext, both sides."""
import contextlib
import os
import random
import socket
import ssl
import struct
import threading

from acts import all_wait, cancel, read_all
import bine

PEM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "localhost.pem")
BIG = bytes(range(256)) * 20_000
EMPTY = b""


def contexts(version=None):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(PEM)
    client = ssl.create_default_context(cafile=PEM)
    if version is not None:
        client.maximum_version = version
    return server, client


@contextlib.contextmanager
def raises(error, text=None):
    try:
        yield
    except error as caught:
        assert text is None or text in str(caught), repr(caught)
    else:
        raise AssertionError(f"no {error.__name__}")


def wrap(context, raw, **options):
    return context.wrap_socket(raw, **options)


@contextlib.contextmanager
def raw_pair():
    a, b = socket.socketpair()
    with a, b:
        yield a, b


@contextlib.contextmanager
def pair(version=None, seconds=None):
    """A client and a server that have shaken hands, with that timeout."""
    server, client = contexts(version)
    with raw_pair() as (a, b):
        a.settimeout(seconds)
        b.settimeout(seconds)
        answering = bine.spawn(wrap, server, b, server_side=True)
        one = wrap(client, a, server_hostname="localhost")
        with one, answering.join() as other:
            yield one, other


def test_both_sides_shake_hands():
    for seconds in (None, 10):
        with pair(seconds=seconds) as (a, b):
            assert a.version() == b.version() == "TLSv1.3"
            for s in (a, b):
                assert s.gettimeout() == seconds
                assert os.get_blocking(s.fileno()) == (seconds is None)


def test_reads_wait():
    with pair() as (a, b):
        for read in (lambda: a.recv(10), lambda: a.read(10), lambda: a.makefile("rb").readline()):
            micro = bine.spawn(read)
            all_wait()
            b.sendall(b"word\n")
            assert micro.join() == b"word\n"
        buffer = bytearray(10)
        micro = bine.spawn(a.recv_into, buffer)
        all_wait()
        b.sendall(b"word\n")
        assert micro.join() == 5 and buffer[:5] == b"word\n"


def test_writes_wait():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with pair(version) as (a, b):
            micro = bine.spawn(a.sendall, BIG)
            all_wait()
            assert not micro.done
            assert read_all(b.recv, len(BIG)) == BIG
            micro.join()


def test_one_reads_while_another_writes():
    with pair() as (a, b):
        writes = bine.spawn(a.sendall, BIG)
        reads = bine.spawn(a.recv, 10)
        all_wait()
        b.sendall(b"x")
        assert reads.join() == b"x"
        assert read_all(b.recv, len(BIG)) == BIG
        writes.join()


def test_both_sides_write_more_than_there_is_room_for():
    with pair() as (a, b):
        tasks = [bine.spawn(s.sendall, BIG) for s in (a, b)] + [bine.spawn(read_all, s.recv, len(BIG)) for s in (a, b)]
        assert [task.join() for task in tasks] == [None, None, BIG, BIG]


def test_writers_stand_in_line():
    with pair() as (a, b):
        writers = [bine.spawn(a.sendall, bytes([letter]) * 1_000_000) for letter in b"abc"]
        got = read_all(b.recv, 3_000_000)
        assert [got.count(letter) for letter in (b"a", b"b", b"c")] == [1_000_000] * 3
        for writer in writers:
            writer.join()


def test_a_read_before_the_handshake_shakes_hands():
    server, client = contexts()
    with raw_pair() as (a, b):
        other = wrap(server, b, server_side=True, do_handshake_on_connect=False)
        one = wrap(client, a, server_hostname="localhost", do_handshake_on_connect=False)
        reads = bine.spawn(one.recv, 10)
        all_wait()
        other.sendall(b"x")
        assert reads.join() == b"x"
        one.close()
        other.close()


def test_unwrap_ends_both():
    with pair() as (a, b):
        def answer():
            assert b.recv(10) == EMPTY
            return b.unwrap()
        answers = bine.spawn(answer)
        plain, other = a.unwrap(), answers.join()
        other.sendall(b"plain")
        assert plain.recv(10) == b"plain"
        plain.close()
        other.close()


def test_each_call_times_out():
    with pair() as (a, b):
        a.settimeout(0.01)
        with raises(TimeoutError, "The read operation timed out"):
            a.recv(1)
        with raises(TimeoutError, "The read operation timed out"):
            a.unwrap()
    with pair() as (a, b):
        a.settimeout(0.01)
        with raises(TimeoutError, "The write operation timed out"):
            a.sendall(BIG)
        assert a.gettimeout() == 0.01 and not os.get_blocking(a.fileno())
    _, client = contexts()
    with raw_pair() as (a, b):
        a.settimeout(0.01)
        with raises(TimeoutError, "The handshake operation timed out"):
            wrap(client, a, server_hostname="localhost")


def test_one_that_does_not_block_does_not_wait():
    with pair() as (a, b):
        a.setblocking(False)
        with raises(ssl.SSLWantReadError):
            a.recv(1)
        with raises(ssl.SSLWantWriteError):
            while True:
                a.send(BIG)


def test_a_connection_over_bios_is_left_alone():
    _, client = contexts()
    made = client.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    with raises(ssl.SSLWantReadError):
        made.do_handshake()


def test_a_certificate_that_is_not_trusted_is_told():
    server, _ = contexts()
    strict = ssl.create_default_context()
    with raw_pair() as (a, b):
        def answer():
            with raises(ssl.SSLError):
                wrap(server, b, server_side=True)
        answers = bine.spawn(answer)
        with raises(ssl.SSLCertVerificationError):
            wrap(strict, a, server_hostname="localhost")
        answers.join()


def test_a_callback_of_openssl_may_wait():
    names = []

    def on_name(connection, name, context):
        bine.sleep(0.001)
        names.append(name)
    server, client = contexts()
    server.sni_callback = on_name
    with raw_pair() as (a, b):
        answering = bine.spawn(wrap, server, b, server_side=True)
        with wrap(client, a, server_hostname="localhost") as one, answering.join() as other:
            other.sendall(b"x")
            assert one.recv(1) == b"x"
            assert other.gettimeout() is None
    assert names == ["localhost"]


def test_closing_wakes_who_waits():
    for wait in (lambda s: s.recv(1), lambda s: s.sendall(BIG)):
        with pair() as (a, b):
            micro = bine.spawn(wait, a)
            all_wait()
            a.close()
            with raises(OSError):
                micro.join()


def test_a_reset_while_writing():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server, client = contexts()
        answering = bine.spawn(lambda: wrap(server, listening.accept()[0], server_side=True))
        a = wrap(client, socket.create_connection(listening.getsockname()), server_hostname="localhost")
        b = answering.join()
        micro = bine.spawn(a.sendall, BIG)
        all_wait()
        b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        b.close()
        with raises(OSError):
            micro.join()
        a.close()


def test_a_peer_that_goes_without_a_word():
    with pair() as (a, b):
        micro = bine.spawn(a.recv, 1)
        all_wait()
        os.close(b.detach())
        assert micro.join() == EMPTY


def test_a_cancelled_read_loses_nothing():
    with pair() as (a, b):
        micro = bine.spawn(a.recv, 10)
        all_wait()
        b.sendall(b"word")
        cancel(micro)
        assert a.recv(10) == b"word"


VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def pattern(size, seed=0):
    return random.Random(seed).randbytes(size)


def writes_until_full(a, data):
    """A micro-thread that has no room for all of it."""
    micro = bine.spawn(a.sendall, data)
    all_wait()
    assert not micro.done
    return micro


def check_start(got, data, end):
    """A beginning of the data, and the end."""
    assert got.endswith(end)
    begun = got[:-len(end)]
    assert data.startswith(begun), (len(begun), len(data))
    return len(begun)


def read_until(s, end):
    got = bytearray()
    while not got.endswith(end):
        data = s.recv(100_000)
        assert data, f"the end after {len(got)} bytes"
        got += data
    return bytes(got)


def test_a_write_after_a_cancelled_one_comes_behind_what_was_begun_of_it():
    data = pattern(2_000_000)
    for version in VERSIONS:
        for end in (b"the end", pattern(100_000, 1)):
            with pair(version) as (a, b):
                cancel(writes_until_full(a, data))
                micro = bine.spawn(a.sendall, end)
                got = read_until(b, end)
                micro.join()
                assert check_start(got, data, end) > 16384
                b.sendall(b"and back")
                assert a.recv(100) == b"and back"


def test_writers_in_line_come_behind_a_cancelled_one():
    data = pattern(2_000_000)
    with pair() as (a, b):
        first = writes_until_full(a, data)
        others = [bine.spawn(a.sendall, word) for word in (b"1" * 50_000, b"2" * 50_000)]
        cancel(first)
        end = b"1" * 50_000 + b"2" * 50_000
        check_start(read_until(b, end), data, end)
        for other in others:
            other.join()


def test_several_cancelled_one_after_the_other_corrupt_nothing():
    with pair() as (a, b):
        data = [pattern(1_000_000, seed) for seed in range(5)]
        for part in data:
            cancel(writes_until_full(a, part))
        micro = bine.spawn(a.sendall, b"the end")
        got = read_until(b, b"the end")
        micro.join()
        assert check_start(got, data[0], b"the end") > 16384  # nothing of the others was begun


def test_the_same_write_again_after_a_timeout_goes_on():
    data = pattern(2_000_000)
    for version in VERSIONS:
        with pair(version) as (a, b):
            a.settimeout(0.01)
            with raises(TimeoutError, "The write operation timed out"):
                a.send(data)
            a.settimeout(None)
            micro = bine.spawn(a.send, data)
            assert read_all(b.recv, len(data)) == data
            assert micro.join() == len(data)


def test_another_write_after_a_timeout_comes_behind_what_was_begun():
    data = pattern(2_000_000)
    with pair() as (a, b):
        a.settimeout(0.01)
        with raises(TimeoutError, "The write operation timed out"):
            a.sendall(data)
        with raises(TimeoutError, "The write operation timed out"):
            a.sendall(b"the end")
        a.settimeout(None)
        micro = bine.spawn(a.sendall, b"the end")
        check_start(read_until(b, b"the end"), data, b"the end")
        micro.join()


def test_a_write_without_blocking_after_a_cancelled_one_comes_behind_it():
    data = pattern(2_000_000)
    with pair() as (a, b):
        cancel(writes_until_full(a, data))
        a.setblocking(False)
        with raises(ssl.SSLWantWriteError):
            a.send(b"the end")
        reader = bine.spawn(read_until, b, b"the end")
        while True:
            try:
                a.send(b"the end")
                break
            except ssl.SSLWantWriteError:
                bine.wait_writable(a.fileno())
        check_start(reader.join(), data, b"the end")


def test_a_write_that_was_begun_without_blocking_is_given_again_as_a_whole():
    with pair() as (a, b):
        a.setblocking(False)
        with raises(ssl.SSLWantWriteError):
            a.send(BIG)
        a.setblocking(True)
        micro = bine.spawn(a.send, BIG)
        assert read_all(b.recv, len(BIG)) == BIG
        micro.join()
        micro = bine.spawn(a.sendall, BIG)
        assert read_all(b.recv, len(BIG)) == BIG
        micro.join()


def test_unwrap_after_a_cancelled_write_ends_well():
    data = pattern(2_000_000)
    with pair() as (a, b):
        cancel(writes_until_full(a, data))
        ends = bine.spawn(a.unwrap)
        got = bytearray()
        while part := b.recv(100_000):
            got += part
        assert data.startswith(got) and len(got) > 16384
        plain = b.unwrap()
        ends.join().close()
        plain.close()


def test_a_cancelled_write_that_nobody_follows_is_forgotten():
    for _ in range(3):
        with pair() as (a, b):
            cancel(writes_until_full(a, pattern(1_000_000)))


def test_reads_and_writes_that_are_cancelled_at_random_lose_no_byte():
    draw = random.Random(4)
    data = pattern(1_000_000)
    got = bytearray()

    def read(size):
        part = b.recv(size)
        assert part
        got.extend(part)
    with pair() as (a, b):
        writing = bine.spawn(a.sendall, data)
        while len(got) < len(data):
            micro = bine.spawn(read, draw.randrange(1, 50_000))
            for _ in range(draw.randrange(3)):
                bine.pause()
            micro.cancel()
            with contextlib.suppress(bine.Cancelled):
                micro.join()
        writing.join()
    assert got == data


def test_other_threads_have_cpythons_own():
    with pair() as (a, b):
        got = []
        thread = threading.Thread(target=lambda: got.append(a.recv(10)))
        thread.start()
        b.sendall(b"x")
        thread.join()
        assert got == [b"x"]


def test_a_hundred_connections():
    server, client = contexts()

    def serve(raw):
        with wrap(server, raw, server_side=True) as s:
            while True:
                data = s.recv(100)
                if not data:
                    return
                s.sendall(data)

    def talk(number):
        with wrap(client, socket.create_connection(listening.getsockname()), server_hostname="localhost") as s:
            for turn in range(3):
                word = b"%d %d" % (number, turn)
                s.sendall(word)
                assert s.recv(100) == word
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        def accept():
            for _ in range(100):
                bine.spawn(serve, listening.accept()[0])
        accepting = bine.spawn(accept)
        for talks in [bine.spawn(talk, number) for number in range(100)]:
            talks.join()
        accepting.join()
