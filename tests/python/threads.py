"""What module threading and its like tell of micro-threads, and do inside them: lib/threads.py, identity.c."""
import bine
import concurrent.futures
import gc
import host
import queue
import signal
import sys
import threading
import time
import weakref
from runners import KINDS, Run, fails_with, in_turns


# ---- who


def test_identifiers_differ():
    """Of those that live at once, and from the host's."""
    end = bine.Event()

    def work():
        before = threading.get_ident()
        end.wait()
        assert threading.get_ident() == before
        return before
    runs = [Run(kind, work) for kind in KINDS for _ in range(3)]
    bine.pause()
    end.set()
    idents = [run.outcome() for run in runs] + [threading.get_ident()]
    assert len(set(idents)) == 7 and all(isinstance(i, int) and i > 0 for i in idents)


def test_the_ways_to_ask_agree():
    import _thread

    def work():
        return threading.get_ident(), _thread.get_ident(), threading.current_thread().ident
    for kind in KINDS:
        assert len(set(Run(kind, work).outcome())) == 1


def test_current_thread_is_the_same_as_long_as_it_lives():
    def work():
        first = threading.current_thread()
        bine.pause()
        assert threading.current_thread() is first
        return first
    ts = [bine.spawn(work) for _ in range(3)]
    assert len({id(t.join()) for t in ts}) == 3


def test_it_has_the_micro_threads_name():
    def work():
        me = threading.current_thread()
        assert me.name == bine.current().name == "fred"
        me.name = "joe"
        assert bine.current().name == "joe" and "joe" in repr(me)
        bine.current().name = "ann"
        return me
    t = bine.spawn(work)
    t.name = "fred"
    me = t.join()
    assert me.name == "ann" and me.daemon and not me.is_alive() and "stopped" in repr(me)
    del t
    gc.collect()
    assert me.name == "ann" and me.join() is None
    me.name = "late"
    assert me.name == "late"


def test_who_asks_does_not_hold_the_micro_thread():
    def fail():
        threading.current_thread()
        raise ValueError("unseen")
    bine.spawn(fail)
    bine.sleep(1)
    assert host.unhandled() == ["ValueError"]


def test_a_micro_threads_thread_can_be_joined():
    box = []

    def work():
        box.append(threading.current_thread())
        bine.sleep(5)
        return 1
    t = bine.spawn(work)
    bine.pause()
    assert box[0].is_alive()
    box[0].join(1)
    assert box[0].is_alive() and not t.done
    box[0].join(-1)
    box[0].join()
    assert not box[0].is_alive() and t.join() == 1
    assert "current" in fails_with(RuntimeError, bine.spawn(lambda: threading.current_thread().join()).join)


def test_its_error_is_not_its_joiners():
    box = []

    def work():
        box.append(threading.current_thread())
        bine.pause()
        raise KeyError("mine")
    t = bine.spawn(work)
    bine.pause()
    box[0].join()
    fails_with(KeyError, t.join)


def test_locals_are_each_ones_own_and_go_with_it():
    local = threading.local()

    class Thing:
        pass

    def work():
        assert not hasattr(local, "x")
        local.x = Thing()
        bine.pause()
        return weakref.ref(local.x)
    for run in [Run(kind, work) for kind in ("micro",) * 3]:
        assert run.outcome()() is None


def test_enumerate_and_active_count_know_os_threads():
    before = threading.active_count()
    end = bine.Event()
    run = Run("thread", end.wait)
    t = bine.spawn(end.wait)
    bine.pause()
    assert threading.active_count() == before + 1 and run.thread in threading.enumerate()
    end.set()
    run.outcome(), t.join()
    assert threading.active_count() == before


# ---- threads


def test_join_suspends_the_micro_thread_alone():
    in_turns()
    go = bine.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    ts = [bine.spawn(thread.join) for _ in range(3)]
    for _ in range(5):
        bine.pause()
    assert not any(t.done for t in ts) and thread.is_alive()
    go.set()
    for t in ts:
        t.join()
    assert not thread.is_alive()
    thread.join()


def test_a_join_whose_time_is_over_or_that_is_cancelled():
    in_turns()
    go = bine.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    thread.join(1)
    assert thread.is_alive()
    thread.join(0), thread.join(-1)
    t = bine.spawn(thread.join)
    bine.pause()
    t.cancel()
    fails_with(bine.Cancelled, t.join)
    go.set()
    thread.join()
    assert not thread.is_alive()


def test_joins_that_python_refuses_are_refused():
    fails_with(RuntimeError, threading.Thread(target=len).join)
    fails_with(RuntimeError, threading.current_thread().join)
    assert Run("thread", lambda: fails_with(RuntimeError, threading.current_thread().join)).outcome()


def test_a_thread_that_fails_is_joined_too():
    told = []
    threading.excepthook = lambda args: told.append(args.exc_type)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert told == [ZeroDivisionError] and not thread.is_alive()


def test_many_short_threads():
    for _ in range(100):
        box = []
        thread = threading.Thread(target=box.append, args=(1,))
        thread.start()
        bine.spawn(thread.join).join()
        assert box == [1] and not thread.is_alive()


def test_the_main_thread_is_the_main_script():
    assert threading.current_thread() is threading.main_thread()
    fails_with(RuntimeError, threading.main_thread().join)
    joins = bine.spawn(threading.main_thread().join)
    assert bine.spawn(threading.main_thread().join, 1).join() is None
    assert not joins.done
    joins.cancel()


def test_a_timer_runs():
    box = []
    timer = threading.Timer(0, box.append, [1])
    timer.start()
    timer.join()
    assert box == [1]
    timer = threading.Timer(1000, box.append, [2])
    timer.start()
    timer.cancel()
    timer.join()
    assert box == [1]


# ---- what is built on locks


def test_an_rlock_of_threadings_belongs_to_its_micro_thread():
    for make in threading.RLock, threading._PyRLock:
        lock = make()
        with lock, lock:
            t = bine.spawn(lock.acquire, False)
            assert t.join() is False
            fails_with(RuntimeError, bine.spawn(lock.release).join)
        assert bine.spawn(lock.acquire, False).join() is True


def test_a_contended_lock_suspends_the_micro_thread_alone():
    for make in threading.Lock, threading.RLock, threading._PyRLock:
        lock = make()
        order = []

        def work(n):
            with lock:
                order.append(n)
                bine.pause()
        ts = [bine.spawn(work, n) for n in range(4)]
        for t in ts:
            t.join()
        assert order == [0, 1, 2, 3]


def test_conditions_events_semaphores_and_barriers_are_fair():
    condition, event = threading.Condition(), threading.Event()
    semaphore, barrier = threading.BoundedSemaphore(1), threading.Barrier(4)
    order, second, third = [], [], []

    def work(n):
        with condition:
            condition.wait()
        order.append(n)
        event.wait()
        second.append(n)
        with semaphore:
            third.append(n)
            bine.pause()
        barrier.wait()
    ts = [bine.spawn(work, n) for n in range(4)]
    for _ in range(4):
        bine.pause()
        with condition:
            condition.notify()
    for _ in range(10):
        bine.pause()
    assert order == [0, 1, 2, 3], order
    event.set()
    for t in ts:
        t.join()
    assert second == third == [0, 1, 2, 3], (second, third)


def test_a_queue_of_queues_between_micro_threads_and_threads():
    for make in queue.Queue, queue.LifoQueue, queue.PriorityQueue:
        q = make(2)
        runs = [Run(kind, lambda: [q.put(n) for n in range(50)] and None) for kind in KINDS]
        got = [q.get() for _ in range(100)]
        for run in runs:
            assert run.outcome() is None
        assert sorted(got) == sorted(list(range(50)) * 2) and q.empty()
        for _ in range(100):
            q.task_done()
        q.join()


def test_a_cancelled_wait_for_a_condition_of_threadings_loses_no_lock():
    condition = threading.Condition()

    def waits():
        with condition:
            condition.wait()
    for _ in range(20):
        ts = [bine.spawn(waits) for _ in range(3)]
        bine.pause()
        with condition:
            ts[1].cancel()
            bine.pause()
        fails_with(bine.Cancelled, ts[1].join)
        with condition:
            condition.notify(2)
        ts[0].join(), ts[2].join()
    assert not condition._waiters


def test_executors_map_and_wait():
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        ts = [bine.spawn(lambda n=n: list(pool.map(pow, range(5), [n] * 5))) for n in range(4)]
        assert [t.join() for t in ts] == [[i**n for i in range(5)] for n in range(4)]
        futures = [pool.submit(pow, 2, n) for n in range(8)]
        assert sorted(f.result() for f in concurrent.futures.as_completed(futures)) == [2**n for n in range(8)]


def test_a_lock_that_a_module_has_made_before_is_ours():
    """Those that CPython's start has made are exchanged."""
    import _thread
    import os
    assert type(threading._active_limbo_lock) in (_thread.LockType, type(threading.RLock()))
    assert type(threading._active_limbo_lock).__module__ in ("_thread", "bine")


# ---- identifiers that others trust


def test_a_signal_to_a_micro_thread_goes_to_its_os_thread():
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *args: seen.append(1))

    def work():
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        for _ in range(100):
            pass
    bine.spawn(work).join()
    bine.pause()
    signal.signal(signal.SIGUSR1, before)
    assert seen == [1]


def test_silly_identifiers_are_refused():
    for ident in 0, 1, 12345, 2**40 + 10**9, 2**64 - 2, 2**63, threading.get_ident() + 1, id(object()):
        try:
            signal.pthread_kill(ident, 0)
        except OSError:
            continue
        assert 2**40 <= ident < 2**41, ident  # no one's now, but a micro-thread's
    for ident in -1, 2**64, "1", None, 1.5:
        try:
            signal.pthread_kill(ident, 0)
        except (OSError, OverflowError, TypeError):
            continue
        raise AssertionError(ident)
    fails_with(TypeError, signal.pthread_kill)
    fails_with(TypeError, signal.pthread_kill, threading.get_ident())
    fails_with(OSError, signal.pthread_kill, threading.get_ident(), 10000)


def test_a_thread_that_is_over_is_no_ones():
    run = Run("thread", threading.get_ident)
    ident = run.outcome()
    try:
        signal.pthread_kill(ident, 0)
    except ProcessLookupError:
        pass
    else:  # its number is another's
        assert ident in [t.ident for t in threading.enumerate()]


def test_the_clock_of_a_micro_thread_is_its_os_threads():
    clock = bine.spawn(lambda: time.pthread_getcpuclockid(threading.get_ident())).join()
    assert clock == time.pthread_getcpuclockid(threading.get_ident())
    assert time.clock_gettime(clock) > 0
    for ident in 0, 5, 2**63:
        try:
            time.pthread_getcpuclockid(ident)
        except OSError:
            continue
        raise AssertionError(ident)


def test_an_async_exception_for_a_micro_threads_identifier_finds_nobody():
    import ctypes
    ident = bine.spawn(threading.get_ident).join()
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(KeyError)) == 0
