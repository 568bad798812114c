"""bine.Event; what it shares with the others is in line.py."""
import bine
import gc
import weakref
from runners import KINDS, Run, at_end, fails_with


def test_all_that_wait_go_on_in_order():
    event = bine.Event()
    order = []

    def work(n):
        order.append((n, event.wait()))
    ts = [bine.spawn(work, n) for n in range(5)]
    bine.pause()
    assert order == []
    event.set()
    assert order == []
    for t in ts:
        t.join()
    assert order == [(n, True) for n in range(5)]


def test_one_that_is_set_is_not_waited_for():
    event = bine.Event()
    event.set()
    for wait in event.wait, lambda: event.wait(0), lambda: event.wait(timeout=None):
        assert wait() is True
    assert event.is_set()
    event.clear()
    assert not event.is_set() and event.wait(0) is False and event.wait(1) is False


def test_those_that_were_served_go_on_though_it_is_cleared_at_once():
    event = bine.Event()
    ts = [bine.spawn(event.wait) for _ in range(3)]
    bine.pause()
    event.set()
    event.clear()
    late = bine.spawn(event.wait)
    assert [t.join() for t in ts] == [True] * 3
    bine.pause()
    assert not late.done
    event.set()
    late.join()


def test_it_can_be_set_anywhere():
    for kind in KINDS:
        event = bine.Event()
        t = bine.spawn(event.wait)
        bine.pause()
        Run(kind, event.set).outcome()
        assert t.join() is True
    event = bine.Event()
    t = bine.spawn(event.wait)
    bine.pause()
    at_end(event.set)
    assert t.join() is True


def test_bad_input_is_told():
    event = bine.Event()
    fails_with(TypeError, bine.Event, 1)
    fails_with(TypeError, event.wait, "long")
    fails_with(TypeError, event.wait, 1, 2)
    fails_with(TypeError, event.wait, limit=1)
    fails_with(ValueError, event.wait, -1)
    fails_with(ValueError, event.wait, float("nan"))


def test_its_repr_tells_whether_it_is_set():
    event = bine.Event()
    assert repr(event).endswith(": unset>")
    event.set()
    assert repr(event).endswith(": set>")


def test_it_goes_with_its_last_holder():
    event = bine.Event()
    gone = weakref.ref(event)
    t = bine.spawn(event.wait)
    bine.pause()
    event.set()
    del event
    t.join()
    del t
    bine.pause()
    gc.collect()
    assert gone() is None
