"""Pipes, FIFOs, terminals, eventfds: who reads or writes them waits by readiness, and the others go on."""
import errno
import fcntl
import io
import os
import pty
import signal
import threading
import tty

import bine

ROOM = 65536  # of a pipe


def begun(fn, *args):
    """A micro-thread that has come as far as it can."""
    micro = bine.spawn(fn, *args)
    bine.pause()
    return micro


def suspended(fn, *args):
    micro = begun(fn, *args)
    assert not micro.done
    return micro


def cancelled(micro):
    micro.cancel()
    try:
        micro.join()
    except bine.Cancelled:
        return True
    return False


def errno_of(fn, *args):
    try:
        fn(*args)
    except OSError as error:
        return error.errno
    return None


class Pipe:
    def __init__(self):
        self.r, self.w = os.pipe()

    def fill(self):
        """Until it takes no more."""
        os.set_blocking(self.w, False)
        size = 0
        try:
            while True:
                size += os.write(self.w, bytes(4096))
        except BlockingIOError:
            os.set_blocking(self.w, True)
        return size


# ---- reading ----

def reads(read, text=b"hello"):
    pipe = Pipe()
    reader = suspended(read, pipe.r)
    os.write(pipe.w, text)
    return reader.join()


def test_os_read_suspends():
    assert reads(lambda fd: os.read(fd, 100)) == b"hello"


def test_readv_suspends():
    one, two = bytearray(2), bytearray(10)
    assert reads(lambda fd: os.readv(fd, [one, two])) == 5
    assert one + two[:3] == b"hello"


def test_a_file_reads_what_is_there():
    assert reads(lambda fd: io.FileIO(fd).read(100)) == b"hello"


def test_a_file_reads_into_a_buffer():
    buffer = bytearray(10)
    assert reads(lambda fd: io.FileIO(fd).readinto(buffer)) == 5
    assert buffer[:5] == b"hello"


def test_a_buffered_file_reads_a_line():
    assert reads(lambda fd: open(fd, "rb").readline(), b"a line\nand more") == b"a line\n"


def test_a_text_file_is_iterated():
    assert reads(lambda fd: next(open(fd)), b"a line\n") == "a line\n"


def test_reading_to_the_end_waits_for_it():
    pipe = Pipe()
    readers = [suspended(io.FileIO(pipe.r).read)]
    for _ in range(5):
        os.write(pipe.w, bytes(20000))
        bine.pause()
    assert not readers[0].done
    os.close(pipe.w)
    assert len(readers[0].join()) == 100000


def test_the_end_of_a_pipe_is_no_bytes():
    pipe = Pipe()
    reader = suspended(os.read, pipe.r, 10)
    os.close(pipe.w)
    assert reader.join() == b""
    assert os.read(pipe.r, 10) == b""


def test_more_than_there_is_can_be_asked_for():
    pipe = Pipe()
    os.write(pipe.w, b"abc")
    assert os.read(pipe.r, 1 << 26) == b"abc"


def test_a_cancelled_read_loses_no_byte():
    pipe = Pipe()
    for read in (lambda: os.read(pipe.r, 10), io.FileIO(pipe.r, closefd=False).readall):
        reader = suspended(read)
        assert cancelled(reader)
    os.write(pipe.w, b"still here")
    assert os.read(pipe.r, 100) == b"still here"


def test_bytes_that_came_with_the_cancel_are_for_the_next():
    pipe = Pipe()
    reader = suspended(os.read, pipe.r, 10)
    os.write(pipe.w, b"still here")
    assert cancelled(reader)
    assert os.read(pipe.r, 100) == b"still here"


def test_two_readers_share_what_comes():
    pipe = Pipe()
    readers = [suspended(os.read, pipe.r, 1) for _ in range(2)]
    os.write(pipe.w, b"a")
    while not any(r.done for r in readers):
        bine.pause()
    os.write(pipe.w, b"b")
    assert sorted(r.join() for r in readers) == [b"a", b"b"]


# ---- writing ----

def test_a_write_goes_on_until_all_is_written():
    pipe = Pipe()
    text = os.urandom(5 * ROOM)
    writer = suspended(os.write, pipe.w, text)
    got = b""
    while len(got) < len(text):
        got += os.read(pipe.r, 10000)
    assert writer.join() == len(text)
    assert got == text


def test_so_does_a_files():
    pipe = Pipe()
    text = os.urandom(3 * ROOM)
    out = io.FileIO(pipe.w, "w")
    writer = suspended(out.write, text)
    got = b""
    while len(got) < len(text):
        got += os.read(pipe.r, 10000)
    assert writer.join() == len(text)
    assert got == text


def test_writev_goes_on_through_its_pieces():
    pipe = Pipe()
    pieces = [os.urandom(n) for n in (1, ROOM, 0, 7, 2 * ROOM)]
    writer = suspended(os.writev, pipe.w, pieces)
    size = sum(map(len, pieces))
    got = b""
    while len(got) < size:
        got += os.read(pipe.r, 10000)
    assert writer.join() == size
    assert got == b"".join(pieces)


def test_a_cancelled_write_says_how_much_it_wrote():
    pipe = Pipe()
    told = []
    writer = suspended(lambda: told.append(os.write(pipe.w, bytes(2 * ROOM))))
    writer.cancel()
    writer.join()
    assert told == [ROOM]


def test_a_cancelled_write_that_wrote_nothing_raises():
    pipe = Pipe()
    pipe.fill()
    assert cancelled(suspended(os.write, pipe.w, b"x"))


def test_a_reader_that_goes_ends_a_write():
    pipe = Pipe()
    pipe.fill()
    writer = suspended(lambda: errno_of(os.write, pipe.w, b"x"))
    os.close(pipe.r)
    assert writer.join() == errno.EPIPE


# ---- those that never wait ----

def test_a_nonblocking_pipe_is_as_ever():
    pipe = Pipe()
    os.set_blocking(pipe.r, False)
    os.set_blocking(pipe.w, False)
    try:
        os.read(pipe.r, 1)
    except BlockingIOError as error:
        assert error.errno == errno.EAGAIN
    else:
        raise AssertionError("it reads nothing")
    assert io.FileIO(pipe.r, closefd=False).read(1) is None
    assert io.FileIO(pipe.r, closefd=False).readall() is None
    assert io.FileIO(pipe.r, closefd=False).readinto(bytearray(1)) is None
    assert os.write(pipe.w, bytes(2 * ROOM)) == ROOM
    assert io.FileIO(pipe.w, "w", closefd=False).write(b"x") is None


def test_descriptors_that_are_none():
    assert errno_of(os.read, 99999, 1) == errno.EBADF
    assert errno_of(os.write, 99999, b"x") == errno.EBADF
    pipe = Pipe()
    assert errno_of(os.read, pipe.w, 1) == errno.EBADF
    assert errno_of(os.write, pipe.r, b"x") == errno.EBADF
    assert errno_of(os.pread, pipe.r, 1, 0) == errno.ESPIPE
    assert errno_of(os.pwrite, pipe.w, b"x", 0) == errno.ESPIPE


def test_bad_arguments_are_told_by_cpython():
    pipe = Pipe()
    for call, error in ((lambda: os.read("1", 1), TypeError), (lambda: os.read(pipe.r, -1), OSError),
                        (lambda: os.write(pipe.w, "text"), TypeError), (lambda: os.read(pipe.r), TypeError),
                        (lambda: os.readv(pipe.r, [b"fixed"]), BufferError),
                        (lambda: io.FileIO(pipe.w, "w", closefd=False).read(), io.UnsupportedOperation),
                        (lambda: io.FileIO(pipe.r, closefd=False).write(b"x"), io.UnsupportedOperation)):
        try:
            call()
        except error as caught:
            assert "bine" not in str(caught)
        else:
            raise AssertionError(f"no {error.__name__}")


def test_a_closed_file_says_so():
    pipe = Pipe()
    file = io.FileIO(pipe.r)
    file.close()
    for call in (file.read, file.readall, lambda: file.readinto(bytearray(1)), lambda: file.read(1)):
        try:
            call()
        except ValueError as error:
            assert "closed file" in str(error)
        else:
            raise AssertionError("it reads a closed file")


def test_one_who_never_waits_does_not_starve_the_others():
    pipe = Pipe()
    turns = []
    other = bine.spawn(turns.append, 1)
    for _ in range(1000):
        os.write(pipe.w, b"x")
        os.read(pipe.r, 1)
    assert turns == [1]
    other.join()


# ---- signals ----

def test_a_signal_does_not_end_a_read():
    pipe = Pipe()
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    reader = suspended(os.read, pipe.r, 10)
    os.kill(os.getpid(), signal.SIGUSR1)
    bine.sleep(0.001)
    os.write(pipe.w, b"x")
    assert reader.join() == b"x"
    assert seen == [1]
    signal.signal(signal.SIGUSR1, before)


# ---- other threads ----

def test_an_os_thread_blocks_by_itself():
    pipe = Pipe()
    got = []
    thread = threading.Thread(target=lambda: got.append(os.read(pipe.r, 10)))
    thread.start()
    os.write(pipe.w, b"x")
    thread.join()
    assert got == [b"x"]


def test_a_destructor_reads_as_ever():
    class Reader:
        def __del__(self):
            got.append(os.read(pipe.r, 10))
    pipe = Pipe()
    got = []
    os.write(pipe.w, b"x")
    Reader()
    assert got == [b"x"]


# ---- FIFOs ----

def test_a_fifo_waits_by_readiness():
    folder = os.environ.get("TMPDIR", "/tmp")
    path = os.path.join(folder, f"fifo-{os.getpid()}")
    os.mkfifo(path)
    try:
        r = os.open(path, os.O_RDWR)
        w = os.open(path, os.O_WRONLY)
    finally:
        os.unlink(path)
    reader = suspended(os.read, r, 100)
    os.write(w, b"hello")
    assert reader.join() == b"hello"
    text = bytes(3 * ROOM)
    writer = suspended(os.write, w, text)
    size = 0
    while size < len(text):
        size += len(os.read(r, 100000))
    assert writer.join() == len(text)
    os.close(r)
    os.close(w)


# ---- eventfds ----

def test_an_eventfd_waits():
    fd = os.eventfd(0)
    reader = suspended(os.eventfd_read, fd)
    os.eventfd_write(fd, 3)
    assert reader.join() == 3
    os.eventfd_write(fd, 2**64 - 2)
    writer = suspended(os.eventfd_write, fd, 1)
    assert os.eventfd_read(fd) == 2**64 - 2
    writer.join()
    assert os.eventfd_read(fd) == 1
    os.close(fd)


def test_a_nonblocking_eventfd_is_as_ever():
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    assert errno_of(os.eventfd_read, fd) == errno.EAGAIN
    os.close(fd)


# ---- terminals ----

def test_a_terminal_waits_for_its_line():
    master, slave = pty.openpty()
    reader = suspended(os.read, slave, 100)
    os.write(master, b"typed")
    bine.pause()
    assert not reader.done
    os.write(master, b"\n")
    assert reader.join() == b"typed\n"
    assert os.read(master, 100) == b"typed\r\n"
    os.close(master)
    os.close(slave)


def test_a_terminal_that_nobody_reads_suspends_its_writer():
    master, slave = pty.openpty()
    tty.setraw(slave)
    text = b"0123456789" * 10000
    writer = suspended(os.write, slave, text)
    got = b""
    while len(got) < len(text):
        got += os.read(master, 100000)
    assert got == text
    assert writer.join() == len(text)
    os.close(master)
    os.close(slave)


def test_the_end_of_a_terminal_is_an_error():
    master, slave = pty.openpty()
    reader = suspended(lambda: errno_of(os.read, master, 100))
    os.close(slave)
    assert reader.join() == errno.EIO
    os.close(master)


def test_flags_are_left_as_they_are():
    pipe = Pipe()
    before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (pipe.r, pipe.w)]
    reader = suspended(os.read, pipe.r, 10)
    assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (pipe.r, pipe.w)] == before
    os.write(pipe.w, b"x")
    reader.join()
