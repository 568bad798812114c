"""bine.Condition; what it shares with the others is in line.py."""
import bine
import gc
import host
import threading
import weakref
from runners import KINDS, Run, at_end, fails_with, in_turns


def waits(condition, *args):
    with condition:
        return condition.wait(*args)


def test_notify_has_the_first_go_on():
    condition = bine.Condition()
    order = []

    def work(n):
        with condition:
            order.append((n, condition.wait()))
    ts = [bine.spawn(work, n) for n in range(6)]
    bine.pause()
    with condition:
        condition.notify()
    ts[0].join()
    assert order == [(0, True)]
    with condition:
        condition.notify(2)
    ts[2].join()
    assert [n for n, _ in order] == [0, 1, 2]
    with condition:
        condition.notify_all()
    for t in ts:
        t.join()
    assert [n for n, _ in order] == list(range(6))


def test_it_needs_its_lock():
    for lock in None, bine.Lock(), bine.RLock():
        condition = bine.Condition(lock)
        fails_with(RuntimeError, condition.wait)
        fails_with(RuntimeError, condition.wait_for, lambda: True)
        fails_with(RuntimeError, condition.notify)
        fails_with(RuntimeError, condition.notify_all)
        assert lock is None or condition.lock is lock
        assert condition.acquire() is True
        condition.notify(0), condition.notify(-5), condition.notify(2**70)
        condition.release()
        fails_with(RuntimeError, condition.release)


def test_an_rlock_is_held_as_often_afterwards():
    lock = bine.RLock()
    condition = bine.Condition(lock)
    with lock, lock:
        with condition:
            t = bine.spawn(lambda: [condition.acquire(), condition.notify(), condition.release()])
            assert condition.wait() is True
            assert lock._recursion_count() == 3
    assert not lock._is_owned()
    t.join()


def test_wait_for():
    condition = bine.Condition()
    box = []

    def work():
        with condition:
            return condition.wait_for(lambda: len(box) == 3 and "three")
    t = bine.spawn(work)
    for n in range(3):
        bine.pause()
        assert not t.done
        with condition:
            box.append(n)
            condition.notify_all()
    assert t.join() == "three"
    with condition:
        assert condition.wait_for(lambda: [], timeout=2) == []
        assert condition.wait_for(list, 0) == []
        fails_with(KeyError, condition.wait_for, {}.__getitem__.__call__ if False else lambda: {}["x"])
        fails_with(TypeError, condition.wait_for)
        fails_with(TypeError, condition.wait_for, 5)
        fails_with(ValueError, condition.wait_for, list, -1)


def test_the_limit_of_wait_for_is_for_all_its_waits():
    condition = bine.Condition()

    def work():
        with condition:
            return condition.wait_for(lambda: False, timeout=10)
    t = bine.spawn(work)
    for n in range(3):
        bine.sleep(3)
        with condition:
            condition.notify()
        assert not t.done
    bine.sleep(2)
    assert t.done and t.join() is False


def test_a_predicate_may_let_go_of_the_lock_or_be_hostile():
    condition = bine.Condition()

    def lets_go():
        condition.release()
    condition.acquire()
    assert "un-acquired" in fails_with(RuntimeError, condition.wait_for, lets_go)

    class Neither:
        def __bool__(self):
            raise KeyError("neither")
    with condition:
        fails_with(KeyError, condition.wait_for, Neither)


def test_one_whose_time_is_over_holds_the_lock_again():
    for lock in bine.Lock(), bine.RLock():
        condition = bine.Condition(lock)
        with condition:
            assert condition.wait(1) is False
            assert condition.wait(0) is False
            assert Run("thread", lock.acquire, False).outcome() is False
        assert Run("thread", lock.acquire, False).outcome() is True


def test_wait_0_gives_the_others_the_lock():
    condition = bine.Condition()
    ready = []

    def work():
        with condition:
            ready.append(1)
    t = bine.spawn(work)
    with condition:
        while not ready:
            bine.pause()
            condition.wait(0)
    t.join()


def contended(make_condition, make_lock, end):
    """One waits; another has the lock when `end` cuts the wait short. Whether the first holds it when it leaves."""
    lock = make_lock()
    condition = make_condition(lock)
    seen = []

    def work():
        condition.acquire()
        try:
            condition.wait()
        except BaseException as error:
            seen.append(type(error))
            seen.append(lock.acquire(False) if isinstance(lock, bine.Lock) else not lock._is_owned())
            condition.release()
            raise
    t = bine.spawn(work)
    bine.pause()
    with condition:
        end(t)
        for _ in range(3):
            bine.pause()
        assert seen == [] and not t.done
    fails_with(bine.Cancelled, t.join)
    assert seen == [bine.Cancelled, False], seen
    with condition:
        pass


def test_a_cancelled_wait_holds_the_lock_when_it_leaves():
    for condition in bine.Condition, threading.Condition:
        for lock in bine.Lock, bine.RLock:
            contended(condition, lock, lambda t: t.cancel())
            contended(condition, lock, lambda t: (t.cancel(), bine.pause(), t.cancel()))


def test_a_notify_after_a_cancel_goes_to_the_next():
    """The cancelled one is on its way to get the lock back, which the notifier has."""
    condition = bine.Condition()
    first = bine.spawn(waits, condition)
    bine.pause()
    second = bine.spawn(waits, condition)
    bine.pause()
    with condition:
        first.cancel()
        bine.pause()
        condition.notify()
    fails_with(bine.Cancelled, first.join)
    assert second.join() is True


def test_a_notify_before_a_cancel_is_the_first_ones():
    condition = bine.Condition()
    first = bine.spawn(waits, condition)
    second = bine.spawn(waits, condition)
    bine.pause()
    with condition:
        condition.notify()
        first.cancel()
        bine.pause()
    assert first.join() is True
    assert not second.done
    with condition:
        condition.notify()
    second.join()


def test_a_refused_wait_does_not_give_the_lock_away():
    for lock in bine.Lock(), bine.RLock():
        condition = bine.Condition(lock)
        condition.acquire()
        t = bine.spawn(lambda: condition.acquire() and condition.release())
        bine.pause()
        for wait in condition.wait, lambda: condition.wait(0), lambda: condition.wait_for(list):
            assert isinstance(at_end(wait), RuntimeError)
        assert not t.done
        condition.release()
        t.join()


def test_it_is_notified_across():
    in_turns()
    for waiter in KINDS:
        for notifier in KINDS:
            condition = bine.Condition()
            one = Run(waiter, waits, condition)
            bine.pause()

            def notify():
                with condition:
                    condition.notify()
            Run(notifier, notify).outcome()
            assert one.outcome() is True


def test_bad_input_is_told():
    fails_with(TypeError, bine.Condition, 5)
    fails_with(TypeError, bine.Condition, threading.Event())
    fails_with(TypeError, bine.Condition, bine.Lock(), 5)
    with bine.Condition() as got:
        assert got is True
    condition = bine.Condition()
    with condition:
        fails_with(TypeError, condition.wait, "x")
        fails_with(ValueError, condition.wait, -1)
        fails_with(TypeError, condition.notify, "x")
        fails_with(TypeError, condition.notify, n=None)


def test_one_in_a_cycle_is_collected():
    class Mine(bine.RLock):
        pass
    lock = Mine()
    lock.condition = bine.Condition(lock)
    gone = weakref.ref(lock.condition)
    del lock
    gc.collect()
    assert gone() is None


def test_a_bounded_buffer():
    """What conditions are for: both kinds of thread, one lock, two conditions."""
    lock = bine.Lock()
    room, items = bine.Condition(lock), bine.Condition(lock)
    buffer, got = [], []

    def put(n):
        for i in range(300):
            with lock:
                room.wait_for(lambda: len(buffer) < 4)
                buffer.append((n, i))
                items.notify()

    def get():
        for i in range(300):
            with lock:
                items.wait_for(lambda: buffer)
                got.append(buffer.pop(0))
                room.notify()
    runs = [Run(kind, put, kind) for kind in KINDS] + [Run(kind, get) for kind in KINDS]
    for run in runs:
        assert run.outcome() is None, run.value
    for kind in KINDS:
        assert [i for n, i in got if n == kind] == list(range(300))
