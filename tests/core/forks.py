"""os.fork(): the child has the micro-thread that called it, and no other."""
import os
import threading

import bine
import host


def in_child(function):
    """What function() returns, a bytes, in a child made by the calling micro-thread."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, function())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_the_others_do_not_run_in_the_child():
    turns = []

    def work():
        try:
            while True:
                turns.append(1)
                bine.pause()
        finally:
            turns.append("finally")
    t = bine.spawn(work)
    bine.pause()

    def look():
        before = len(turns)
        for _ in range(10):
            bine.pause()
        return repr((len(turns) - before, t.done, len(bine.all()))).encode()
    assert in_child(look) == b"(0, True, 1)"
    assert not t.done
    t.cancel()


def test_one_that_slept_does_not_wake_in_the_child():
    log = []

    def work():
        bine.sleep(1)
        log.append("woke")
    t = bine.spawn(work)
    bine.pause()

    def look():
        bine.sleep(2)
        return repr((log, t.done)).encode()
    assert in_child(look) == b"([], True)"
    t.join()
    assert log == ["woke"]


def test_joining_one_that_stayed_returns_none_in_the_child():
    t = bine.spawn(bine.sleep, 1)
    bine.pause()
    assert in_child(lambda: repr(t.join()).encode()) == b"None"
    t.join()


def test_its_clean_up_is_the_parents():
    log = []

    def work():
        try:
            bine.sleep(1)
        finally:
            log.append("finally")
    t = bine.spawn(work)
    bine.pause()

    def look():
        t.cancel()
        bine.sleep(1)
        return repr((log, t.done)).encode()
    assert in_child(look) == b"([], True)"
    t.join()
    assert log == ["finally"]


def test_a_lock_is_not_handed_to_one_that_stayed():
    for lock in bine.Lock(), threading.RLock(), bine.Semaphore():
        lock.acquire()
        t = bine.spawn(lock.acquire)
        bine.pause()

        def look():
            lock.release()
            return repr(bine.spawn(lock.acquire).join(1)).encode()
        assert in_child(look) == b"True"
        lock.release()
        t.join()


def test_a_queue_serves_nobody_that_stayed():
    queue = bine.Queue()
    t = bine.spawn(queue.get)
    bine.pause()

    def look():
        queue.put(1)
        return repr(queue.get(timeout=1)).encode()
    assert in_child(look) == b"1"
    queue.put(2)
    assert t.join() == 2


def test_a_scope_in_the_child_does_not_wait_for_them():
    def look():
        return b"left"
    with bine.Scope() as scope:
        t = scope.spawn(bine.sleep, 1)
        bine.pause()
        read, write = os.pipe()
        child = os.fork()
    if child == 0:
        os.write(write, look() if t.done else b"?")
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        assert pipe.read() == b"left"
    os.waitpid(child, 0)


def test_a_fork_of_another_than_the_main_script():
    def fork():
        return in_child(lambda: repr((threading.current_thread() is threading.main_thread(), len(bine.all()))).encode())
    assert bine.spawn(fork).join() == b"(True, 2)"  # the main script ends at its next turn


def test_one_that_has_not_begun_does_not():
    ran = []
    t = bine.spawn(ran.append, 1)

    def look():
        bine.pause()
        return repr((ran, t.done)).encode()
    assert in_child(look) == b"([], True)"
    t.join()
    assert ran == [1]


def test_when_the_host_forks_the_child_has_all():
    def fork():
        child = os.fork()
        if child == 0:
            os._exit(0 if len(bine.all()) == 2 and not any(m.done for m in bine.all()) else 1)
        return os.waitpid(child, 0)[1]
    t = bine.spawn(bine.sleep, 1)
    bine.pause()
    assert host.on_host(fork) == 0
    t.join()


def test_in_a_child_that_the_host_made_nobody_waits_for_the_parents_children():
    read, write = os.pipe()
    other = os.posix_spawn("/bin/cat", ["cat"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)])
    os.close(read)
    waits = bine.spawn(os.wait)
    for _ in range(3):
        bine.pause()
    child = host.on_host(os.fork)
    if child == 0:
        try:
            waits.join()
        except ChildProcessError:
            os._exit(0)
        finally:
            os._exit(1)
    assert waits.join() == (child, 0)
    os.close(write)
    assert os.wait()[0] == other
