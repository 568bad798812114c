"""bine.Lock and bine.RLock; what they share with the others is in line.py."""
import bine
import gc
import os
import signal
import threading
import warnings
import weakref
from runners import KINDS, Run, at_end, fails_with, in_turns

BOTH = bine.Lock, bine.RLock


def test_a_lock_is_held_by_one_at_a_time():
    lock = bine.Lock()
    order = []

    def work(n):
        with lock:
            order.append(("in", n))
            bine.pause()
            order.append(("out", n))
    for t in [bine.spawn(work, n) for n in range(5)]:
        t.join()
    assert order == [(what, n) for n in range(5) for what in ("in", "out")]


def test_it_is_handed_to_the_one_that_has_waited_longest():
    """Who lets go of it and wants it again at once stands behind the others."""
    for make in BOTH:
        lock = make()
        order = []

        def work(n):
            for _ in range(3):
                with lock:
                    order.append(n)
                    bine.pause()
        for t in [bine.spawn(work, n) for n in range(3)]:
            t.join()
        assert order == [0, 1, 2] * 3, order


def test_none_is_passed_by():
    lock = bine.Lock()
    lock.acquire()
    t = bine.spawn(lock.acquire)
    bine.pause()
    lock.release()
    assert lock.locked() and lock.acquire(False) is False
    assert t.join() is True
    lock.release()
    assert not lock.locked()


def test_a_lock_may_be_released_by_anybody():
    lock = bine.Lock()
    lock.acquire()
    bine.spawn(lock.release).join()
    assert not lock.locked()
    lock.acquire()
    Run("thread", lock.release).outcome()
    assert not lock.locked()


def test_the_old_names_are_there():
    lock = bine.Lock()
    assert lock.acquire_lock() is True and lock.locked_lock()
    lock.release_lock()
    assert not lock.locked_lock()


def test_releasing_what_is_free_is_an_error():
    assert "unlocked" in fails_with(RuntimeError, bine.Lock().release)
    assert "un-acquired" in fails_with(RuntimeError, bine.RLock().release)
    assert "un-acquired" in fails_with(RuntimeError, bine.RLock()._release_save)
    with bine.Lock() as got:
        assert got is True


def test_an_rlock_belongs_to_its_micro_thread():
    lock = bine.RLock()
    lock.acquire()
    assert lock.acquire() is True and lock._recursion_count() == 2 and lock._is_owned()
    for kind in KINDS:
        one = Run(kind, lambda: (lock.acquire(False), lock._is_owned(), lock._recursion_count()))
        assert one.outcome() == (False, False, 0), (kind, one.value)
        assert isinstance(Run(kind, lock.release).outcome(), RuntimeError)
    lock.release()
    assert Run("micro", lock.acquire, False).outcome() is False
    lock.release()
    assert Run("micro", lambda: lock.acquire(False) and lock.release()).outcome() is None
    fails_with(RuntimeError, lock.release)


def test_an_rlocks_state_can_be_saved_and_restored():
    lock = bine.RLock()
    for _ in range(3):
        lock.acquire()
    state = lock._release_save()
    assert lock._recursion_count() == 0 and Run("thread", lambda: lock.acquire() and lock.release()).outcome() is None
    lock._acquire_restore(state)
    assert lock._recursion_count() == 3
    for _ in range(3):
        lock.release()
    for nonsense in None, (), (1,), (1, 2, 3), ("a", "b"), [1, 2], (-1.5, 0):
        fails_with(TypeError, lock._acquire_restore, nonsense)
    assert not lock._is_owned()


def test_a_state_out_of_thin_air_does_no_harm():
    for state in (0, 0), (0, 5), (5, 0), (2**64 - 1, 2**64 - 1):
        lock = bine.RLock()
        lock._acquire_restore(state)
        repr(lock)
        try:
            lock.release()
        except RuntimeError:
            pass
        bine.spawn(lock.acquire, False).join()


def test_bad_input_is_told():
    fails_with(TypeError, bine.Lock, 1)
    for make in BOTH:
        lock = make()
        fails_with(ValueError, lock.acquire, False, 1)
        fails_with(ValueError, lock.acquire, timeout=-2)
        fails_with(ValueError, lock.acquire, timeout=float("nan"))
        fails_with(OverflowError, lock.acquire, timeout=1e100)
        fails_with(TypeError, lock.acquire, timeout="1")
        assert "3" in fails_with(TypeError, lock.acquire, 1, 2, 3)
        assert "when" in fails_with(TypeError, lock.acquire, when=1)
        assert not lock.__repr__().startswith("<locked")
        assert lock.acquire(True, -1)
        assert repr(lock).startswith("<locked")


def test_arguments_of_a_rlock_are_dropped_with_a_warning():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert not bine.RLock(1, a=2)._is_owned()
    assert [w.category for w in told] == [DeprecationWarning]


def test_it_lives_as_long_as_somebody_waits():
    lock = bine.Lock()
    gone = weakref.ref(lock)
    lock.acquire()
    t = bine.spawn(lock.acquire)
    bine.pause()
    del lock
    gc.collect()
    assert gone() is not None
    gone().release()
    assert t.join() is True
    del t
    bine.pause()
    gc.collect()
    assert gone() is None


def test_reinit_while_others_wait_does_no_harm():
    for make in BOTH:
        lock = make()
        bine.spawn(lock.acquire).join()
        t = bine.spawn(lock.acquire)
        bine.pause()
        lock._at_fork_reinit()
        assert lock.acquire(False) is True
        lock.release()
        t.cancel()
        fails_with(bine.Cancelled, t.join)


def test_a_lock_is_no_base_but_an_rlock_is():
    fails_with(TypeError, type, "Mine", (bine.Lock,), {})

    class Mine(bine.RLock):
        def __init__(self, name):
            self.name = name
    lock = Mine("x")
    lock.self = lock
    gone = weakref.ref(lock)
    with lock:
        assert lock.name == "x"
    del lock
    gc.collect()
    assert gone() is None


def test_they_are_threadings():
    import _thread
    assert threading.Lock is _thread.allocate_lock is bine.Lock and type(threading.RLock()) is bine.RLock
    assert isinstance(threading.Lock(), _thread.LockType)


def test_a_lock_of_a_shielded_clean_up():
    lock = bine.Lock()
    lock.acquire()
    seen = []

    def work():
        try:
            bine.sleep(100)
        finally:
            with bine.shield(10):
                with lock:
                    seen.append("cleaned")
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    bine.pause()
    assert seen == []
    lock.release()
    fails_with(bine.Cancelled, t.join)
    assert seen == ["cleaned"]


def test_a_handler_that_serves_and_raises_loses_neither():
    """The runtime's own thread blocks in a destructor, for an OS thread."""
    in_turns()
    lock, held, go = bine.Lock(), bine.Event(), threading.Lock()
    go.acquire()
    ident = threading.get_ident()
    seen = []

    def handler(*unused):
        raise ZeroDivisionError("from the handler")

    def holds():
        with lock:
            held.set()
            go.acquire()
            signal.pthread_kill(ident, signal.SIGUSR1)
    before = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=holds)
    thread.start()
    held.wait()

    def take():
        go.release()
        try:
            seen.append(lock.acquire())
            for _ in range(1000):
                pass
        except ZeroDivisionError:
            seen.append("raised")
    error = at_end(take)
    thread.join()
    signal.signal(signal.SIGUSR1, before)
    assert error is None, repr(error)
    assert seen[-1] == "raised" and lock.locked(), seen


def exit_status(work):
    """Of a child that runs work()."""
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:
            os.write(2, (repr(error) + "\n").encode())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_after_a_fork_nobody_who_is_not_there_is_served():
    in_turns()
    lock, q = bine.Lock(), bine.SimpleQueue()
    lock.acquire()
    runs = [Run("thread", lock.acquire), Run("thread", q.get)]

    def in_child():
        lock.release()
        assert lock.acquire(False)
        q.put(1)
        assert q.get_nowait() == 1
    assert exit_status(in_child) == 0
    lock.release()
    q.put("x")
    assert [run.outcome() for run in runs] == [True, "x"]


def test_after_a_fork_by_an_os_thread_no_micro_thread_is_served():
    in_turns()
    lock, q = bine.Lock(), bine.SimpleQueue()
    lock.acquire()
    runs = [Run("micro", lock.acquire), Run("micro", q.get)]
    bine.pause()

    def in_child():
        lock.release()
        assert lock.acquire(False)
        q.put(1)
        assert q.get_nowait() == 1
    assert Run("thread", exit_status, in_child).outcome() == 0
    lock.release()
    q.put("x")
    assert [run.outcome() for run in runs] == [True, "x"]
