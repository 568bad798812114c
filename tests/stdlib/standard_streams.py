"""sys.stdin, sys.stdout and sys.stderr, print() and input(): who uses them waits by readiness."""
import contextlib
import os
import pty
import sys
import tty

import bine


def suspended(fn, *args):
    micro = bine.spawn(fn, *args)
    bine.pause()
    assert not micro.done
    return micro


@contextlib.contextmanager
def standing_for(numbers):
    """Each descriptor in the place of the standard one with that number; sys's files are new."""
    kept = {n: os.dup(n) for n in numbers}
    files = sys.stdin, sys.stdout
    for n, fd in numbers.items():
        os.dup2(fd, n)
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", closefd=False, buffering=1)
    try:
        yield
    finally:
        sys.stdin, sys.stdout = files
        for n, fd in kept.items():
            os.dup2(fd, n)
            os.close(fd)


def test_input_from_a_pipe_suspends():
    r, w = os.pipe()
    with standing_for({0: r}):
        reader = suspended(input)
        os.write(w, b"a line\n")
        assert reader.join() == "a line"
        os.write(w, b"one\ntwo\n")
        os.close(w)
        assert [line for line in sys.stdin] == ["one\n", "two\n"]
        try:
            input()
        except EOFError as error:
            assert str(error) == "EOF when reading a line"
        else:
            raise AssertionError("no end")


def test_input_at_a_terminal_suspends():
    master, slave = pty.openpty()
    with standing_for({0: slave, 1: slave}):
        reader = suspended(input, "name? ")
        assert os.read(master, 100) == b"name? "
        os.write(master, b"bine\n")
        assert reader.join() == "bine"
        os.write(master, b"\x04")
        try:
            input()
        except EOFError:
            pass
        else:
            raise AssertionError("no end")
    os.close(master)
    os.close(slave)


def test_reading_all_of_standard_input_suspends():
    r, w = os.pipe()
    with standing_for({0: r}):
        reader = suspended(sys.stdin.read)
        os.write(w, b"some")
        bine.pause()
        os.write(w, b" text")
        os.close(w)
        assert reader.join() == "some text"


def test_a_full_standard_output_suspends_who_prints():
    r, w = os.pipe()
    with standing_for({1: w}):
        writer = suspended(lambda: [print("x" * 99) for _ in range(2000)])
        size = 0
        while size < 200_000:
            size += len(os.read(r, 100_000))
        writer.join()


def test_a_terminal_prints_line_by_line():
    master, slave = pty.openpty()
    tty.setraw(slave)
    with standing_for({1: slave}):
        def chat(name):
            for i in range(20):
                print(name * 30, i)
        micros = [bine.spawn(chat, name) for name in "abc"]
        got = b""
        while got.count(b"\n") < 60:
            got += os.read(master, 10000)
        for m in micros:
            m.join()
    assert sorted(got.decode().splitlines()) == sorted(f"{n * 30} {i}" for n in "abc" for i in range(20))
    os.close(master)
    os.close(slave)


def test_standard_error_suspends_too():
    r, w = os.pipe()
    errors = open(w, "w", buffering=1)
    writer = suspended(lambda: [print("x" * 99, file=errors) for _ in range(2000)])
    size = 0
    while size < 200_000:
        size += len(os.read(r, 100_000))
    writer.join()
