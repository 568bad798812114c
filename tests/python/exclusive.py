"""bine.exclusive(): a file or a socket for oneself; tracebacks and log records that stay together."""
import io
import logging
import os
import socket
import sys
import tempfile
import threading
import traceback

import bine
import host
from runners import raised


class Slow(io.StringIO):
    """Each piece of each write has a turn of its own."""

    def write(self, text):
        for at in range(0, len(text), 5):
            super().write(text[at:at + 5])
            bine.pause()
        return len(text)


def lines(file, name, count=3):
    for n in range(count):
        print(name, n, file=file)
        bine.pause()


def test_two_blocks_do_not_mix():
    file = io.StringIO()

    def talk(name):
        with bine.exclusive(file):
            lines(file, name)
    bine.parallel(lambda: talk("a"), lambda: talk("b"))
    assert file.getvalue() == "a 0\na 1\na 2\nb 0\nb 1\nb 2\n"


def test_without_it_they_do():
    file = io.StringIO()
    bine.parallel(lambda: lines(file, "a"), lambda: lines(file, "b"))
    assert file.getvalue() == "a 0\nb 0\na 1\nb 1\na 2\nb 2\n"


def test_who_does_not_ask_for_it_waits_too():
    file = io.StringIO()

    def talk():
        with bine.exclusive(file):
            lines(file, "a")
    bine.parallel(talk, lambda: lines(file, "b", 1), lambda: file.writelines(["c 0\n"]))
    assert file.getvalue() == "a 0\na 1\na 2\nb 0\nc 0\n"


def test_other_files_are_not_kept_waiting():
    held, other = io.StringIO(), io.StringIO()
    with bine.exclusive(held):
        bine.spawn(other.write, "now").join(1)
    assert other.getvalue() == "now"


def test_it_nests():
    file = io.StringIO()
    with bine.exclusive(file):
        with bine.exclusive(file) as same:
            assert same is file
            file.write("in")
        t = bine.spawn(file.write, "out")
        bine.pause()
        assert file.getvalue() == "in"
    t.join()
    assert file.getvalue() == "inout"


def test_the_buffer_and_the_raw_file_belong_to_it():
    with tempfile.TemporaryFile("w+") as file:
        def talk():
            with bine.exclusive(file):
                file.write("a")
                bine.pause()
                file.write("a")
                file.flush()
        def below():
            file.buffer.write(b"b")
            file.buffer.flush()
        def raw():
            file.buffer.raw.write(b"c")
        bine.parallel(talk, below, raw)
        assert os.pread(file.fileno(), 10, 0) in (b"aabc", b"aacb")  # two threads of the pool write at once


def test_sockets():
    a, b = socket.socketpair()
    with a, b:
        def talk():
            with bine.exclusive(a):
                a.sendall(b"1")
                bine.pause()
                a.send(b"2")
        bine.parallel(talk, lambda: a.sendall(b"3"), lambda: a.send(b"4"), lambda: a.sendmsg([b"5"]))
        assert b.recv(10) == b"12345"


def test_a_python_class_that_writes():
    log = []

    class File:
        def write(self, text):
            log.append(text)
    file = File()

    def talk():
        with bine.exclusive(file):
            file.write("1")
            bine.pause()
            file.write("2")
    bine.parallel(talk, lambda: file.write("3"))
    assert log == ["1", "2", "3"]


def test_they_are_served_in_the_order_they_came():
    file = io.StringIO()

    def talk(name):
        with bine.exclusive(file):
            file.write(name)
            bine.pause()
    bine.parallel(*[lambda n=n: talk(n) for n in "abcdef"])
    assert file.getvalue() == "abcdef"


def test_an_os_thread_waits_too():
    file = io.StringIO()
    begun = threading.Event()

    def other():
        begun.set()
        file.write("thread")
    thread = threading.Thread(target=other)
    with bine.exclusive(file):
        file.write("micro ")
        thread.start()
        begun.wait()
        for _ in range(100):
            bine.pause()
        assert file.getvalue() == "micro "
    thread.join()
    assert file.getvalue() == "micro thread"


def test_an_os_thread_may_have_it():
    file = io.StringIO()
    inside, go = threading.Event(), threading.Event()

    def other():
        with bine.exclusive(file):
            inside.set()
            go.wait()
            file.write("thread ")
    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    t = bine.spawn(file.write, "micro")
    bine.pause()
    assert file.getvalue() == ""
    go.set()
    t.join()
    thread.join()
    assert file.getvalue() == "thread micro"


def test_one_that_is_cancelled_while_it_waits_leaves_nothing_behind():
    file = io.StringIO()
    with bine.exclusive(file):
        t = bine.spawn(file.write, "never")
        u = bine.spawn(bine.exclusive(file).__enter__)
        bine.pause()
        t.cancel()
        u.cancel()
        bine.pause()
    assert isinstance(raised(t.join), bine.Cancelled) and isinstance(raised(u.join), bine.Cancelled)
    bine.spawn(file.write, "later").join(1)
    assert file.getvalue() == "later"


def test_an_error_in_the_block_lets_the_others_write():
    file = io.StringIO()

    def fail():
        with bine.exclusive(file):
            raise ValueError
    assert type(raised(fail)) is ValueError
    bine.spawn(file.write, "x").join(1)
    assert file.getvalue() == "x"


def test_one_for_each_block():
    block = bine.exclusive(io.StringIO())
    with block:
        assert isinstance(raised(block.__enter__), RuntimeError)
    with block:
        pass


def test_what_is_no_file_is_refused():
    assert str(raised(bine.exclusive, 3)) == "exclusive() needs a file or a socket, not int"


def test_a_detached_and_a_hostile_file():
    file = io.TextIOWrapper(io.BytesIO())
    file.detach()
    with bine.exclusive(file):
        pass

    class Endless:
        write = print

        def __getattr__(self, name):
            return Endless()
    with bine.exclusive(Endless()):
        pass


def test_the_host_writes_all_the_same():
    file = io.StringIO()
    with bine.exclusive(file):
        host.on_host(lambda: file.write("host"))
        assert file.getvalue() == "host"


def test_a_destructor_writes_all_the_same():
    file = io.StringIO()

    class Noisy:
        def __del__(self):
            file.write("gone")

    def drop():
        noisy = Noisy()
        del noisy
    with bine.exclusive(file):
        bine.spawn(drop).join()
        assert file.getvalue() == "gone"


def test_tracebacks_do_not_mix():
    file = Slow()

    def fail(text):
        try:
            raise ValueError(text)
        except ValueError:
            traceback.print_exc(file=file)
    bine.parallel(lambda: fail("one"), lambda: fail("two"))
    nothing, *both = file.getvalue().split("Traceback")
    both.sort()  # the first may have waited longer for its lines of source
    assert nothing == "" and len(both) == 2 and both[0].endswith("ValueError: one\n")
    assert both[0].replace("one", "two") == both[1]


def test_stacks_do_not_mix():
    file = Slow()
    bine.parallel(lambda: traceback.print_stack(file=file), lambda: traceback.print_stack(file=file))
    text = file.getvalue()
    assert text[:len(text) // 2].count("File") == text.count("File") // 2
    assert text[:len(text) // 2].endswith("print_stack(file=file))\n")


def test_log_records_do_not_mix():
    file = Slow()
    log = logging.getLogger("mix")
    log.addHandler(logging.StreamHandler(file))
    log.propagate = False
    bine.parallel(lambda: log.warning("the first record"), lambda: log.warning("the second record"))
    assert file.getvalue() == "the first record\nthe second record\n"


def test_a_log_record_names_its_micro_thread():
    file = io.StringIO()
    log = logging.getLogger("names")
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(threadName)s: %(message)s"))
    log.addHandler(handler)
    t = bine.spawn(log.warning, "hello")
    t.name = "fred"
    t.join()
    assert file.getvalue() == "fred: hello\n"


def test_nothing_is_kept():
    import weakref

    class File(io.StringIO):
        pass
    file = File()
    gone = weakref.ref(file)
    with bine.exclusive(file):
        pass
    del file
    assert gone() is None
