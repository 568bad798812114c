"""bine.Semaphore; what it shares with the others is in line.py."""
import bine
import sys
from runners import KINDS, Run, fails_with


def test_so_many_at_a_time():
    semaphore = bine.Semaphore(3)
    inside, most = set(), []

    def work(n):
        with semaphore:
            inside.add(n)
            bine.pause()
            most.append(len(inside))
            inside.remove(n)
    for t in [bine.spawn(work, n) for n in range(10)]:
        t.join()
    assert max(most) == 3 and semaphore.value == 3


def test_they_come_in_order():
    semaphore = bine.Semaphore(0)
    order = []

    def work(n):
        semaphore.acquire()
        order.append(n)
    ts = [bine.spawn(work, n) for n in range(6)]
    bine.pause()
    semaphore.release(2)
    semaphore.release()
    assert semaphore.acquire(False) is False
    semaphore.release(n=5)
    for t in ts:
        t.join()
    assert order == list(range(6)) and semaphore.value == 2


def test_it_may_be_released_by_anybody():
    for kind in KINDS:
        semaphore = bine.Semaphore(0)
        Run(kind, semaphore.release, 2).outcome()
        assert semaphore.value == 2 and semaphore.acquire() and semaphore.acquire(timeout=0)
        assert semaphore.acquire(blocking=False) is False and semaphore.acquire(True, 1) is False


def test_bad_input_is_told():
    fails_with(ValueError, bine.Semaphore, -1)
    fails_with(TypeError, bine.Semaphore, "many")
    fails_with(OverflowError, bine.Semaphore, 10**30)
    semaphore = bine.Semaphore()
    assert semaphore.value == 1
    fails_with(ValueError, semaphore.release, 0)
    fails_with(ValueError, semaphore.release, -1)
    fails_with(TypeError, semaphore.release, "x")
    fails_with(OverflowError, semaphore.release, 10**30)
    fails_with(ValueError, semaphore.acquire, False, 1)
    fails_with(ValueError, semaphore.acquire, timeout=-1)
    fails_with(TypeError, semaphore.acquire, timeout="x")
    fails_with(AttributeError, setattr, semaphore, "value", 5)
    assert semaphore.value == 1


def test_it_does_not_count_further_than_it_can():
    semaphore = bine.Semaphore(sys.maxsize)
    fails_with(OverflowError, semaphore.release)
    fails_with(OverflowError, semaphore.__exit__, None, None, None)
    assert semaphore.value == sys.maxsize and str(sys.maxsize) in repr(semaphore)
