"""Descriptors that are closed, or stand for another file, while somebody waits for them: whoever waits is told, and the
host is not harmed."""
import errno
import io
import os
import socket
import threading

import bine

MS = 0.001


def waiter(wait, fd, ends):
    try:
        wait(fd, 20 * MS)
        ends.append("ready")
    except (OSError, bine.Timeout) as error:
        ends.append(type(error).__name__)


def test_one_that_is_closed_in_the_turn_in_which_the_wait_begins():
    r, w = os.pipe()
    ends = []
    micro = bine.spawn(waiter, bine.wait_readable, r, ends)
    bine.pause()
    os.close(r)
    micro.join()
    os.close(w)
    assert ends == ["OSError"], ends


def test_one_that_becomes_a_regular_file():
    r, w = os.pipe()
    ends = []
    first = bine.spawn(waiter, bine.wait_readable, r, ends)
    bine.sleep(5 * MS)
    file = os.open("/proc/self/exe", os.O_RDONLY)
    os.dup2(file, r)
    bine.spawn(waiter, bine.wait_writable, r, ends).join()
    first.join()
    for fd in (r, w, file):
        os.close(fd)
    assert ends == ["OSError", "PermissionError"], ends


def test_one_whose_file_stays_open_under_another_number():
    r, w = os.pipe()
    other = os.dup(r)
    ends = []
    micro = bine.spawn(waiter, bine.wait_readable, r, ends)
    bine.sleep(5 * MS)
    os.close(r)
    micro.join()
    os.write(w, b"x")
    for _ in range(3):
        bine.sleep(5 * MS)
    micro = bine.spawn(waiter, bine.wait_readable, other, ends)
    micro.join()
    os.close(other)
    os.close(w)
    assert ends == ["OSError", "ready"], ends


def test_all_of_them_while_somebody_waits_and_their_numbers_are_taken_at_once():
    r, w = os.pipe()
    ends = []
    micro = bine.spawn(waiter, bine.wait_readable, r, ends)
    bine.sleep(5 * MS)
    os.closerange(3, 64)
    files = [os.open("/proc/self/exe", os.O_RDONLY) for _ in range(8)]
    bine.sleep(5 * MS)
    micro.join()
    r, w = os.pipe()
    os.write(w, b"x")
    bine.spawn(waiter, bine.wait_readable, r, ends).join()
    for fd in files:
        try:
            os.close(fd)
        except OSError:
            pass  # the runtime took it for its own, and closed it
    assert ends[-1] == "ready", ends


def ask_another_thread(times):
    """Each answer comes from outside, while nothing else is to be done."""
    asked, answered = bine.Queue(), bine.Queue()

    def answer():
        for _ in range(times):
            answered.put(asked.get())
    thread = threading.Thread(target=answer)
    thread.start()
    for i in range(times):
        asked.put(i)
        assert answered.get() == i
    thread.join()


def opened():
    """The number and what it stands for, of each from 3 on."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.path.islink(f"/proc/self/fd/{name}"):  # that of listdir() is closed by now
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def refused(call, *args):
    try:
        call(*args)
    except OSError as error:
        return error.errno == errno.EBADF
    return False


def test_the_runtimes_own_are_not_for_scripts_to_close():
    own = {fd: target for fd, target in opened().items() if refused(os.close, fd)}
    assert any("eventpoll" in target for target in own.values()), own
    file = os.open("/proc/self/exe", os.O_RDONLY)

    def check():
        for fd in own:
            assert refused(os.close, fd)
            assert refused(os.dup2, file, fd)
            assert refused(io.FileIO(fd).close)
            assert refused(socket.close, fd)
    check()
    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    os.closerange(3, 1 << 30)
    os.closerange(-5, -1)
    os.closerange(5, 5)
    assert opened() == own


def test_other_threads_are_heard_after_all_were_closed():
    os.closerange(3, 64)
    ask_another_thread(20)


def test_other_threads_are_heard_after_any_was_closed():
    for fd in range(3, 32):
        os.closerange(fd, fd + 1)
        ask_another_thread(5)
        bine.sleep(MS)
        r, w = os.pipe()
        os.write(w, b"x")
        bine.wait_readable(r, 1)
        os.close(r)
        os.close(w)
