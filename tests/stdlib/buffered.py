"""One buffered file, several micro-threads: they take turns, line by line, as OS threads do."""
import io
import os
import signal
import threading

import bine

ROOM = 65536


def suspended(fn, *args):
    micro = bine.spawn(fn, *args)
    bine.pause()
    assert not micro.done
    return micro


def drain(fd, micros):
    """All that is written until they have ended."""
    got = b""
    os.set_blocking(fd, False)
    while True:
        ended = all(m.done for m in micros)
        try:
            got += os.read(fd, 1 << 20)
        except BlockingIOError:
            bine.pause()
        if ended:
            return got


def test_readers_take_their_lines_in_turn():
    r, w = os.pipe()
    file = open(r, "rb")
    readers = [suspended(file.readline) for _ in range(3)]
    os.write(w, b"one\ntwo\nthree\n")
    assert [m.join() for m in readers] == [b"one\n", b"two\n", b"three\n"]


def test_every_way_to_read_waits_outside():
    for way in (lambda f: f.read(2), lambda f: f.read1(2), lambda f: f.peek(2)[:2], lambda f: f.readline(),
                next, lambda f: f.readinto(bytearray(2)), lambda f: f.readinto1(bytearray(2)),
                lambda f: f.readlines(1)):
        r, w = os.pipe()
        file = open(r, "rb")
        first, second = suspended(file.readline), suspended(way, file)
        os.write(w, b"a\nb\n")
        assert first.join() == b"a\n"
        assert second.join() in (b"b\n", 2, [b"b\n"])
        file.close()
        os.close(w)


def test_text_is_read_line_by_line():
    r, w = os.pipe()
    file = open(r)
    got = []

    def read():
        for line in file:
            got.append(line)
    readers = [suspended(read) for _ in range(4)]
    lines = [f"line {i}\n" for i in range(5000)]
    data = "".join(lines).encode()
    while data:
        data = data[os.write(w, data[:777]):]
        bine.pause()
    os.close(w)
    for m in readers:
        m.join()
    assert sorted(got) == sorted(lines)


def test_writers_take_turns():
    r, w = os.pipe()
    file = open(w, "wb", buffering=1000)
    texts = [bytes([c]) * (2 * ROOM) for c in b"abc"]
    writers = [suspended(file.write, text) for text in texts]
    got = drain(r, writers)
    file.flush()
    got += drain(r, writers)
    assert got == b"".join(texts)


def test_printed_lines_come_out_whole():
    r, w = os.pipe()
    out = open(w, "w", buffering=1)

    def chat(name):
        for i in range(200):
            print(name * 50, i, file=out)
    micros = [bine.spawn(chat, name) for name in "abcdefgh"]
    got = drain(r, micros).decode().splitlines()
    assert sorted(got) == sorted(f"{name * 50} {i}" for name in "abcdefgh" for i in range(200))


def test_long_texts_are_not_lost_among_others():
    r, w = os.pipe()
    out = open(w, "w")

    def chat(name):
        for i in range(50):
            out.write(f"{name}{i}:" + name * 3000 + "\n")
    micros = [bine.spawn(chat, name) for name in "abcd"]
    got = drain(r, micros)
    closer = bine.spawn(out.close)
    got += drain(r, [closer])
    lines = got.decode().splitlines()
    assert sorted(lines) == sorted(f"{name}{i}:" + name * 3000 for name in "abcd" for i in range(50))


def test_a_reader_that_is_cancelled_gives_way():
    r, w = os.pipe()
    file = open(r, "rb")
    first, second, third = (suspended(file.readline) for _ in range(3))
    second.cancel()
    first.cancel()
    os.write(w, b"a line\n")
    assert third.join() == b"a line\n"
    assert first.done and second.done


def test_a_signal_handler_meets_the_same_error_as_ever():
    r, w = os.pipe()
    file = open(r, "rb")
    told = []

    def handler(*_):
        try:
            file.readline()
        except RuntimeError as error:
            told.append(str(error))
        os.write(w, b"x\n")
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    assert file.readline() == b"x\n"
    assert len(told) == 1 and told[0].startswith("reentrant call inside"), told
    signal.signal(signal.SIGALRM, before)


def test_an_os_thread_waits_for_a_micro_thread():
    r, w = os.pipe()
    file = open(r, "rb")
    first = suspended(file.readline)
    got = []
    thread = threading.Thread(target=lambda: got.append(file.readline()))
    thread.start()
    os.write(w, b"one\n")
    assert first.join() == b"one\n"
    os.write(w, b"two\n")
    thread.join()
    assert got == [b"two\n"]


def test_a_micro_thread_waits_for_an_os_thread():
    r, w = os.pipe()
    inside = threading.Event()
    go = threading.Event()

    class Slow(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            inside.set()
            go.wait()
            data = os.read(r, 4)
            buffer[:len(data)] = data
            return len(data)
    file = io.BufferedReader(Slow())
    got = []
    thread = threading.Thread(target=lambda: got.append(file.readline()))
    thread.start()
    inside.wait()
    micros = [suspended(file.readline) for _ in range(2)]
    os.write(w, b"one\ntwo\nsix\n")
    go.set()
    assert [m.join() for m in micros] == [b"two\n", b"six\n"]
    thread.join()
    assert got == [b"one\n"]


def test_threads_of_both_kinds_write():
    r, w = os.pipe()
    file = open(w, "wb", buffering=100)

    def chat(name):
        for _ in range(100):
            file.write(name * 500 + b"\n")
    threads = [threading.Thread(target=chat, args=(name,)) for name in (b"A", b"B")]
    for t in threads:
        t.start()
    micros = [bine.spawn(chat, name) for name in (b"c", b"d")]
    micros.append(bine.spawn(lambda: [t.join() for t in threads]))
    got = drain(r, micros)
    closer = bine.spawn(file.close)
    got += drain(r, [closer])
    lines = got.splitlines()
    assert sorted(lines) == sorted(name * 500 for name in (b"A", b"B", b"c", b"d") for _ in range(100))


def test_one_reads_and_one_writes_the_same_text_file():
    r, w = os.pipe()
    r2, w2 = os.pipe()
    file = io.TextIOWrapper(io.BufferedRWPair(io.FileIO(r), io.FileIO(w2, "w")), write_through=True)
    reader = suspended(file.readline)
    file.write("question\n")
    file.flush()
    assert os.read(r2, 100) == b"question\n"
    os.write(w, b"answer\n")
    assert reader.join() == "answer\n"


def test_a_class_made_before_and_after_is_covered():
    class Reader(io.BufferedReader):
        pass
    r, w = os.pipe()
    file = Reader(io.FileIO(r))
    readers = [suspended(next, file) for _ in range(2)]
    os.write(w, b"one\ntwo\n")
    assert [m.join() for m in readers] == [b"one\n", b"two\n"]
    assert io.BufferedReader.__next__(Reader(io.BytesIO(b"x\n"))) == b"x\n"
