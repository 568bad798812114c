"""What is rare is done on a thread of the pool, by CPython's own function."""
import os
import threading

import bine


def threads():
    """Of the pool."""
    names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
    return names.count("bine rest\n")


def test_users_and_groups_are_looked_up_by_a_thread():
    import grp
    import pwd
    before = threads()
    assert pwd.getpwuid(0).pw_name == pwd.getpwnam("root").pw_name == "root"
    assert threads() == before + 1
    assert grp.getgrgid(0).gr_name == grp.getgrnam("root").gr_name == "root"
    assert pwd.getpwuid(0) in pwd.getpwall()
    assert grp.getgrgid(0) in grp.getgrall()
    assert 0 in os.getgrouplist("root", 0)
    assert threads() == before + 1


def test_errors_are_as_ever():
    import pwd
    for args, error, text in ((("no such user",), KeyError, "getpwnam(): name not found: 'no such user'"),
                              ((1,), TypeError, "getpwnam() argument must be str, not int"),
                              ((), TypeError, "pwd.getpwnam() takes exactly one argument (0 given)")):
        try:
            pwd.getpwnam(*args)
        except error as caught:
            assert caught.args == (text,), caught
        else:
            raise AssertionError(f"{args} is taken")


def test_a_terminal_is_set_and_drained():
    import pty
    import termios
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSADRAIN, attributes)
    assert termios.tcgetattr(slave) == attributes
    termios.tcdrain(slave)
    try:
        termios.tcdrain(-1)
    except ValueError:
        pass
    else:
        raise AssertionError("-1 is taken")
    os.close(master)
    os.close(slave)


def test_syslog_takes_what_it_takes():
    import syslog
    syslog.syslog("a test of Bine's")
    syslog.syslog(syslog.LOG_DEBUG, "another")
    try:
        syslog.syslog(1, 2)
    except TypeError:
        pass
    else:
        raise AssertionError("a message of 2 is taken")


def test_an_os_thread_calls_by_itself():
    import pwd
    seen = []
    before = threads()
    thread = threading.Thread(target=lambda: seen.append((pwd.getpwuid(0).pw_name, threads())))
    thread.start()
    thread.join()
    assert seen == [("root", before)], seen


def test_a_semaphore_of_multiprocessing_suspends_its_micro_thread_alone():
    import multiprocessing
    lock = multiprocessing.Semaphore(1)
    assert lock.acquire()
    micro = bine.spawn(lock.acquire)
    for i in range(5):
        bine.pause()
    assert not micro.done
    assert not lock.acquire(False)
    assert not lock.acquire(timeout=5)
    lock.release()
    assert micro.join() is True
    lock.release()
    with lock:
        assert not lock.acquire(block=False)
    for args in ((1, 2, 3), (True, "x")):
        try:
            lock.acquire(*args)
        except TypeError:
            pass
        else:
            raise AssertionError(f"{args} is taken")


def test_an_rlock_of_multiprocessing_is_one_micro_threads():
    import multiprocessing
    lock = multiprocessing.RLock()
    with lock:
        assert lock.acquire()
        assert lock.acquire(False)
        lock.release()
        lock.release()
        micro = bine.spawn(lock.acquire)
        assert bine.spawn(lock.acquire, False).join() is False
        for i in range(5):
            bine.pause()
        assert not micro.done
    assert micro.join() is True
    assert not lock.acquire(timeout=1)
