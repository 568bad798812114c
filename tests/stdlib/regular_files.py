"""Regular files: a slow disk holds up who waits for it, and nobody else."""
import contextlib
import errno
import fcntl
import io
import os
import pathlib
import resource
import sys
import tempfile
import threading
import warnings

import bine

import slowdisk
from slowdisk import CONTENT, SlowDisk


def folder():
    return tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR"))


@contextlib.contextmanager
def file_with(text):
    with folder() as where:
        path = os.path.join(where, "file")
        with open(path, "wb") as file:
            file.write(text)
        yield path


def errno_of(fn, *args):
    try:
        fn(*args)
    except OSError as error:
        return error.errno
    return None


# ---- a slow disk ----

def meets_a_slow_disk(held, act):
    """What act(path) comes to; while the disk has not answered, another goes on."""
    if not slowdisk.is_possible():
        return None
    with SlowDisk(held) as disk:
        if not disk.mounted:
            return None
        user = bine.spawn(act, disk.path)
        assert disk.asked() in held
        turns = []
        other = bine.spawn(lambda: [turns.append(bine.pause()) for _ in range(3)])
        other.join()
        assert len(turns) == 3 and not user.done
        disk.answer()
        while not user.done:
            bine.pause()
        return user.join()


def test_a_slow_read_holds_nobody_up():
    def read(path):
        with open(path, "rb", 0) as file:
            return file.read(len(CONTENT))
    assert meets_a_slow_disk(["read"], read) in (CONTENT, None)


def test_a_slow_os_read_holds_nobody_up():
    def read(path):
        fd = os.open(path, os.O_RDONLY)
        try:
            return os.read(fd, 100)
        finally:
            os.close(fd)
    assert meets_a_slow_disk(["read"], read) in (CONTENT[:100], None)


def test_a_slow_pread_holds_nobody_up():
    def read(path):
        with open(path, "rb", 0) as file:
            return os.pread(file.fileno(), 10, 1000)
    assert meets_a_slow_disk(["read"], read) in (CONTENT[1000:1010], None)


def test_a_slow_open_holds_nobody_up():
    def opened(path):
        with open(path, "rb"):
            return True
    assert meets_a_slow_disk(["open"], opened) in (True, None)


def test_a_slow_stat_holds_nobody_up():
    assert meets_a_slow_disk(["lookup"], os.path.getsize) in (len(CONTENT), None)


def test_a_slow_write_holds_nobody_up():
    def write(path):
        with open(path, "r+b", 0) as file:
            return file.write(b"x" * 1000)
    assert meets_a_slow_disk(["write"], write) in (1000, None)


def test_a_line_flushed_to_a_slow_disk_holds_nobody_up_after_many_to_a_fast_one():
    def write(path):
        with folder() as where, open(os.path.join(where, "fast"), "w") as fast, open(path, "r+") as slow:
            for _ in range(300):
                print("line", file=fast, flush=True)
            print("line", file=slow, flush=True)
        return True
    assert meets_a_slow_disk(["write"], write) in (True, None)


def test_a_slow_search_for_what_is_not_there_holds_nobody_up():
    def lookup(path):
        return os.path.exists(path + "2")
    assert meets_a_slow_disk(["lookup"], lookup) in (False, None)


def test_a_slow_fsync_holds_nobody_up():
    def sync(path):
        with open(path, "r+b", 0) as file:
            return os.fsync(file.fileno()) is None
    assert meets_a_slow_disk(["fsync"], sync) in (True, None)


def test_a_slow_listing_holds_nobody_up():
    def names(path):
        return os.listdir(os.path.dirname(path))
    assert meets_a_slow_disk(["opendir"], names) in (["data"], None)


def is_data(disk, fd):
    try:
        return os.readlink("/proc/self/fd/" + fd) == disk.path
    except OSError:
        return False


def test_a_cancelled_open_leaves_no_descriptor():
    if not slowdisk.is_possible():
        return
    with SlowDisk(["open"]) as disk:
        if not disk.mounted:
            return
        user = bine.spawn(open, disk.path)
        assert disk.asked() == "open"
        before = os.listdir("/proc/self/fd")
        user.cancel()
        try:
            user.join()
        except bine.Cancelled:
            pass
        disk.answer()
        os.stat(disk.path)  # is answered after that
        while any(is_data(disk, fd) for fd in os.listdir("/proc/self/fd")):
            bine.pause()
        while len(os.listdir("/proc/self/fd")) != len(before):  # it was opened this very moment
            bine.pause()


# ---- what is read and written ----

def test_what_is_written_is_read():
    text = os.urandom(3_000_000)
    with file_with(text) as path:
        with open(path, "rb") as file:
            assert file.read() == text
        with open(path, "rb", 0) as file:
            assert file.read(len(text)) == text
            assert file.read(1) == b""
            assert file.read() == b""
        fd = os.open(path, os.O_RDONLY)
        buffers = [bytearray(1000), bytearray(2_000_000), bytearray(2_000_000)]
        assert os.readv(fd, buffers) == len(text)
        assert b"".join(buffers)[:len(text)] == text
        assert os.pread(fd, 100, len(text) - 50) == text[-50:]
        assert os.pread(fd, 100, len(text)) == b""
        assert os.preadv(fd, [bytearray(10)], 5) == 10
        os.close(fd)


def test_a_file_in_memory_too():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as where:
        path = os.path.join(where, "file")
        for _ in range(2):
            with open(path, "wb") as file:
                file.write(b"x" * 1_000_000)
            with open(path, "rb") as file:
                assert len(file.read()) == 1_000_000


def test_holes_read_as_zeros():
    with file_with(b"") as path:
        with open(path, "r+b") as file:
            file.truncate(10_000_000)
            file.seek(9_999_999)
            file.write(b"x")
        with open(path, "rb") as file:
            text = file.read()
        assert len(text) == 10_000_000 and text.count(0) == 9_999_999


def test_a_file_without_a_size_is_read_to_its_end():
    """The kernel gives a page of it at a time."""
    with open("/proc/self/maps") as file:
        *_, last = file
    for mode, buffering in ("r", -1), ("rb", -1), ("rb", 0):
        with open("/proc/self/maps", mode, buffering) as file:
            text = file.read()
        assert len(text) > 4096 and text.splitlines()[-1] in (last.strip(), last.strip().encode())
    with open("/proc/self/status", "rb") as file:
        assert file.read().startswith(b"Name:")
    with open("/proc/self/status") as file:
        assert "VmSize" in file.read()


def test_appends_of_several_come_one_behind_another():
    with file_with(b"") as path:
        def append(name):
            with open(path, "ab", 0) as file:
                for _ in range(50):
                    file.write(name * 100 + b"\n")
        bine.parallel(*[lambda name=name: append(name) for name in (b"a", b"b", b"c")])
        with open(path, "rb") as file:
            lines = file.read().splitlines()
        assert sorted(lines) == sorted(name * 100 for name in (b"a", b"b", b"c") for _ in range(50))


def test_every_mode_opens_as_ever():
    with folder() as where:
        path = os.path.join(where, "new")
        with open(path, "x") as file:
            file.write("one")
        with open(path, "a") as file:
            file.write("two")
        with open(path, "r+") as file:
            assert file.read() == "onetwo"
        with open(path, "w") as file:
            assert file.name == path and file.mode == "w"
        assert os.path.getsize(path) == 0
        assert os.stat(path).st_mode & 0o777 == 0o666 & ~umask()
        with io.FileIO(path, opener=lambda name, flags: os.open(name, flags)) as file:
            assert not os.get_inheritable(file.fileno())
        with open(path) as file:
            assert not os.get_inheritable(file.fileno())


def umask():
    now = os.umask(0)
    os.umask(now)
    return now


def test_a_subclass_opens_as_ever():
    class Mine(io.FileIO):
        def __init__(self, name):
            super().__init__(name, mode="r")
    with file_with(b"text") as path, Mine(path) as file:
        assert file.read() == b"text"


# ---- errors ----

def test_errors_are_cpythons():
    with folder() as where:
        missing = os.path.join(where, "missing")
        for call, error, name in ((lambda: open(missing), FileNotFoundError, missing),
                                  (lambda: io.FileIO(missing), FileNotFoundError, missing),
                                  (lambda: open(missing.encode()), FileNotFoundError, missing.encode()),
                                  (lambda: open(where), IsADirectoryError, where),
                                  (lambda: open(where, "w"), IsADirectoryError, where),
                                  (lambda: open(__file__ + "/x"), NotADirectoryError, __file__ + "/x"),
                                  (lambda: open(__file__, "x"), FileExistsError, __file__),
                                  (lambda: os.open(missing, os.O_RDONLY), FileNotFoundError, missing),
                                  (lambda: os.stat(missing), FileNotFoundError, missing),
                                  (lambda: os.listdir(missing), FileNotFoundError, missing),
                                  (lambda: os.scandir(missing), FileNotFoundError, missing),
                                  (lambda: os.unlink(missing), FileNotFoundError, missing),
                                  (lambda: os.rename(missing, where), FileNotFoundError, missing)):
            for _ in range(2):
                try:
                    call()
                except error as caught:
                    assert caught.filename == name, caught.filename
                    assert os.strerror(caught.errno) in str(caught)
                else:
                    raise AssertionError(error)
        for call, error in ((lambda: open("a\0b"), ValueError), (lambda: os.stat("a\0b"), ValueError),
                            (lambda: os.listdir("a\0b"), ValueError), (lambda: open(3.5), TypeError),
                            (lambda: open(-1), ValueError), (lambda: os.open(), TypeError),
                            (lambda: os.fsync(99999), OSError), (lambda: os.listdir(1, 2), TypeError)):
            try:
                call()
            except error as caught:
                assert "bine" not in str(caught)
            else:
                raise AssertionError(error)


def test_a_full_disk_says_so():
    with open("/dev/full", "wb", 0) as file:
        assert errno_of(file.write, b"x") == errno.ENOSPC
    with file_with(b"") as path, open(path, "wb", 0) as file:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            assert file.write(b"x" * 2000) == 1000
            assert errno_of(file.write, b"x") == errno.EFBIG
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_more_descriptors_says_so():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with file_with(b"") as path:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 3, before[1]))
        files = []
        try:
            error = errno_of(lambda: [files.append(open(path)) for _ in range(100)])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert error == errno.EMFILE
        for file in files:
            file.close()


def test_directories_are_not_read():
    fd = os.open("/", os.O_RDONLY)
    assert errno_of(os.read, fd, 10) == errno.EISDIR
    assert errno_of(os.pread, fd, 10, 0) == errno.EISDIR
    os.close(fd)


# ---- names ----

def test_names_are_handled_as_ever():
    with folder() as where:
        one, two = os.path.join(where, "one"), os.path.join(where, "two")
        os.mkdir(one)
        os.rename(one, two)
        os.rmdir(two)
        with open(one, "w") as file:
            file.write("text")
        os.symlink("one", two)
        assert os.readlink(two) == "one"
        assert os.path.islink(two) and os.lstat(two).st_size == 3
        assert os.stat(two).st_size == 4 and os.stat(two, follow_symlinks=False).st_size == 3
        os.link(one, os.path.join(where, "three"))
        assert os.stat(one).st_nlink == 2
        assert sorted(os.listdir(where)) == ["one", "three", "two"]
        assert sorted(os.listdir(where.encode())) == [b"one", b"three", b"two"]
        assert sorted((e.name, e.is_file(), e.is_dir(), e.stat().st_size) for e in os.scandir(where)) == [
            ("one", True, False, 4), ("three", True, False, 4), ("two", True, False, 4)]
        os.chmod(one, 0o400)
        os.utime(one, (1, 2))
        assert os.stat(one).st_mtime == 2 and os.stat(one).st_mode & 0o777 == 0o400
        assert os.access(one, os.R_OK) and not os.access(one + "x", os.F_OK)
        os.truncate(os.path.join(where, "three"), 1)
        assert os.stat(one).st_size == 1
        fd = os.open("one", os.O_RDONLY, dir_fd=os.open(where, os.O_RDONLY))
        assert os.fstat(fd).st_size == 1 and os.read(fd, 10) == b"t"
        os.replace(one, two)
        os.unlink(two)


def test_a_bool_for_a_descriptor_is_warned_of_where_it_stands():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in (lambda: os.stat("missing", dir_fd=True), lambda: os.open("missing", 0, dir_fd=False),
                     lambda: os.listdir(True), lambda: os.rename("missing", "x", src_dir_fd=True)):
            with contextlib.suppress(OSError):
                call()
    ours = [warning.filename for warning in caught]
    assert ours == [__file__] * (4 if sys.version_info >= (3, 13) else 0), ours


def outcome(call, *args, **kwargs):
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return type(error), error.args, getattr(error, "filename", None), getattr(error, "filename2", None)


def on_os_thread(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def test_names_come_go_and_move_as_on_os_threads():
    events = []

    def heard(event, args):
        if event in ("os.remove", "os.rmdir", "os.mkdir", "os.rename"):
            events.append((event, args))

    def change(where, top):
        events.clear()
        a, b, file = os.path.join(where, "a"), os.path.join(where, "b").encode(), os.path.join(where, "file")
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY))
        results = [outcome(os.mkdir, a), outcome(os.mkdir, a), outcome(os.mkdir, b, 0o700), os.stat(b).st_mode,
                   outcome(os.mkdir, "c", dir_fd=top), outcome(os.mkdir, path=a), outcome(os.mkdir, a, "x"),
                   outcome(os.mkdir, "c", mode=0o700, dir_fd=top), outcome(os.mkdir, "a\0b"), outcome(os.mkdir, 3),
                   outcome(os.rename, a, b), outcome(os.rename, a, b), outcome(os.replace, b, file),
                   outcome(os.rename, b, "d", dst_dir_fd=top), outcome(os.rename, a), outcome(os.rename, 1, 2),
                   outcome(os.unlink, "c", dir_fd=top), outcome(os.rmdir, "c", dir_fd=top),
                   outcome(os.rmdir, "c", dir_fd=top), outcome(os.rmdir, "d", dir_fd=None),
                   outcome(os.rmdir, "d", dir_fd=top), outcome(os.rmdir, file), outcome(os.unlink, where),
                   outcome(os.unlink, pathlib.Path(file)), outcome(os.unlink, pathlib.Path(file)),
                   outcome(os.remove, file), outcome(os.unlink, ""), outcome(os.unlink), outcome(os.unlink, file, 1)]
        return results, list(events), os.listdir(where)
    sys.addaudithook(heard)
    with folder() as where:
        top = os.open(where, os.O_RDONLY)
        ours = change(where, top)
        theirs = on_os_thread(lambda: change(where, top))
        os.close(top)
        for one, other in zip(ours, theirs):
            assert one == other, (one, other)
        assert ours[2] == [] and len(ours[1]) > 10


def test_a_hook_that_refuses_is_heard():
    def refuse(event, args):
        if refused and event in ("os.remove", "os.mkdir", "os.rename"):
            raise ZeroDivisionError(event)
    refused = False
    sys.addaudithook(refuse)
    with folder() as where:
        refused = True
        for call, args in ((os.mkdir, ("a",)), (os.unlink, ("a",)), (os.rename, ("a", "b"))):
            assert outcome(call, *[os.path.join(where, arg) for arg in args])[0] is ZeroDivisionError
        refused = False
        assert os.listdir(where) == []


def test_what_is_not_there_is_missed_as_ever():
    with folder() as where:
        for name in "none", "none/", "none/none", "none/../none", "dangling", "dangling/none":
            path = os.path.join(where, name)
            if name == "dangling":
                os.symlink("nowhere", path)
            for _ in range(3):  # not known; known
                assert not os.path.exists(path)
                assert errno_of(os.stat, path) == errno_of(open, path) == errno_of(os.listdir, path) == errno.ENOENT
            try:
                open(path)
            except FileNotFoundError as error:
                assert error.filename == path
        with open(os.path.join(where, "none"), "w"):
            assert os.path.exists(os.path.join(where, "none"))
        os.symlink("none", os.path.join(where, "link"))
        assert os.path.exists(os.path.join(where, "link"))
        before = os.getcwd()
        os.chdir(where)
        try:
            assert errno_of(os.stat, "nothing") == errno.ENOENT and errno_of(os.stat, "") == errno.ENOENT
            os.rmdir(tempfile.mkdtemp(dir="."))
        finally:
            os.chdir(before)


def test_what_never_has_to_wait_gives_the_others_turns():
    with file_with(b"text") as path:
        for call in (lambda: os.stat(path)), (lambda: os.path.exists(path + "2")), (lambda: open(path).close()):
            turns = []
            other = bine.spawn(lambda: [turns.append(bine.pause()) for _ in range(3)])
            for _ in range(64 * 4):
                call()
            assert len(turns) == 3, call
            other.join()


def test_what_os_can_do_is_known_as_ever():
    assert {os.stat, os.open, os.unlink} <= os.supports_dir_fd
    assert os.listdir in os.supports_fd and os.utime in os.supports_follow_symlinks
    assert os.access in os.supports_effective_ids
    assert len(os.supports_dir_fd) == len(set(os.supports_dir_fd))


def test_a_fifo_waits_for_its_other_end():
    with folder() as where:
        path = os.path.join(where, "fifo")
        os.mkfifo(path)
        reader = bine.spawn(lambda: open(path).read())
        bine.pause()
        assert not reader.done

        def write():
            with open(path, "w") as file:
                file.write("hello")
        writer = bine.spawn(write)
        assert reader.join() == "hello"
        writer.join()
        writers = [bine.spawn(write) for _ in range(40)]  # more than there are threads
        bine.pause()
        assert not any(w.done for w in writers)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        for w in writers:
            w.join()
        assert os.read(fd, 1000) == b"hello" * 40
        os.close(fd)


def test_a_cancelled_fifo_leaves_no_descriptor():
    with folder() as where:
        path = os.path.join(where, "fifo")
        os.mkfifo(path)
        before = len(os.listdir("/proc/self/fd"))
        for mode in "rw":
            opener = bine.spawn(open, path, mode)
            bine.sleep(0.001)
            assert not opener.done
            opener.cancel()
            try:
                opener.join()
            except bine.Cancelled:
                pass
        assert len(os.listdir("/proc/self/fd")) == before


# ---- locks ----

def test_a_lock_on_a_file_suspends():
    with file_with(b"") as path:
        one, two = open(path, "w"), open(path, "w")
        fcntl.flock(one, fcntl.LOCK_EX)
        try:
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            raise AssertionError("two have it")
        waiter = bine.spawn(fcntl.flock, two, fcntl.LOCK_EX)
        cancelled = bine.spawn(fcntl.flock, two, fcntl.LOCK_EX)
        bine.pause()
        assert not waiter.done
        cancelled.cancel()
        fcntl.flock(one, fcntl.LOCK_UN)
        waiter.join()
        one.close()
        two.close()


# ---- closing ----

def test_a_file_that_is_closed_wakes_who_waits_for_it():
    for close in (lambda file: file.close(), lambda file: os.close(file.fileno()),
                  lambda file: os.closerange(file.fileno(), file.fileno() + 1),
                  lambda file: os.dup2(other, file.fileno())):
        r, w = os.pipe()
        other = os.dup(r)
        file = io.FileIO(r)
        reader = bine.spawn(lambda: errno_of(file.read, 10))
        bine.pause()
        close(file)
        assert reader.join() == errno.EBADF
        os.close(w)
        os.close(other)
        with contextlib.suppress(OSError):
            file.close()


# ---- elsewhere ----

def test_os_threads_have_their_own():
    with file_with(b"text") as path:
        got = []

        def read():
            with open(path) as file:
                got.append((file.read(), os.stat(path).st_size, os.listdir(os.path.dirname(path))))
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        assert got == [("text", 4, ["file"])]
