"""bine.Barrier; what it shares with the others is in line.py."""
import bine
import gc
import threading
import weakref
from runners import KINDS, Run, at_end, fails_with, in_turns

Broken = threading.BrokenBarrierError


def outcome(t):
    try:
        return t.join()
    except BaseException as error:
        return type(error)


def test_all_go_on_when_the_last_has_come():
    barrier = bine.Barrier(3)
    for _ in range(3):
        ts = [bine.spawn(barrier.wait) for _ in range(2)]
        bine.pause()
        assert barrier.n_waiting == 2 and not any(t.done for t in ts)
        assert barrier.wait() == 2 and [t.join() for t in ts] == [0, 1] and barrier.n_waiting == 0


def test_across():
    in_turns()
    barrier = bine.Barrier(4)
    runs = [Run(kind, barrier.wait) for kind in KINDS * 2]
    assert sorted(run.outcome() for run in runs) == [0, 1, 2, 3]


def test_one_party_never_waits():
    barrier = bine.Barrier(1, action=lambda: called.append(1))
    called = []
    assert [barrier.wait() for _ in range(3)] == [0, 0, 0] and called == [1] * 3
    assert at_end(barrier.wait) == 0


def test_the_last_calls_the_action_before_the_others_go_on():
    order = []

    def act():
        order.append("acting")
        bine.pause()
        order.append("acted")
    barrier = bine.Barrier(2, act)

    def work():
        barrier.wait()
        order.append("on")
    t = bine.spawn(work)
    bine.pause()
    barrier.wait()
    t.join()
    assert order == ["acting", "acted", "on"]


def test_an_action_that_fails_breaks_it():
    barrier = bine.Barrier(2, action=lambda: 1 / 0)
    t = bine.spawn(barrier.wait)
    bine.pause()
    fails_with(ZeroDivisionError, barrier.wait)
    assert outcome(t) is Broken and barrier.broken and "broken" in repr(barrier)
    fails_with(Broken, barrier.wait)
    barrier.reset()
    assert not barrier.broken and "0/2" in repr(barrier)


def test_a_cancelled_one_breaks_it_for_all():
    barrier = bine.Barrier(4)
    ts = [bine.spawn(barrier.wait) for _ in range(3)]
    bine.pause()
    ts[1].cancel()
    assert [outcome(t) for t in ts] == [Broken, bine.Cancelled, Broken]
    assert barrier.broken and barrier.n_waiting == 0


def test_one_whose_time_is_over_breaks_it_for_all():
    barrier = bine.Barrier(3)
    t = bine.spawn(barrier.wait)
    bine.pause()
    fails_with(Broken, barrier.wait, 1)
    assert outcome(t) is Broken
    barrier.reset()
    fails_with(Broken, barrier.wait, 0)


def test_its_own_limit_is_for_all_that_give_none():
    for args in (), (None,):
        barrier = bine.Barrier(2, timeout=5)
        fails_with(Broken, barrier.wait, *args)


def test_a_refused_one_has_not_come():
    barrier = bine.Barrier(2)
    t = bine.spawn(barrier.wait)
    bine.pause()
    assert barrier.n_waiting == 1
    other = bine.Barrier(2)
    assert isinstance(at_end(other.wait), RuntimeError)
    assert not other.broken and other.n_waiting == 0
    barrier.wait()
    t.join()


def test_reset_and_abort_release_those_that_wait():
    for how in "reset", "abort":
        barrier = bine.Barrier(3)
        ts = [bine.spawn(barrier.wait) for _ in range(2)]
        bine.pause()
        getattr(barrier, how)()
        assert [outcome(t) for t in ts] == [Broken] * 2
        assert barrier.broken is (how == "abort") and barrier.n_waiting == 0


def test_a_round_is_let_go_by_its_own_action():
    """More come than there are parties, while the first round's action goes on: the second round's end does not let
    the first one's go."""
    gates = [bine.Event(), bine.Event()]
    order = []
    barrier = bine.Barrier(2, action=lambda: gates[len(order)].wait() if not order.append("act") else None)
    gates.insert(0, None)

    def work(n):
        barrier.wait()
        order.append(n)
    ts = [bine.spawn(work, n) for n in range(4)]
    for _ in range(3):
        bine.pause()
    assert order == ["act", "act"]
    gates[2].set()
    for _ in range(3):
        bine.pause()
    assert sorted(order[2:]) == [2, 3], order
    gates[1].set()
    for t in ts:
        t.join()
    assert sorted(order[4:]) == [0, 1]


def test_an_action_may_abort_or_reset():
    for how in "abort", "reset":
        barrier = bine.Barrier(2, action=lambda: getattr(barrier, how)())
        t = bine.spawn(barrier.wait)
        bine.pause()
        fails_with(Broken, barrier.wait)
        assert outcome(t) is Broken and barrier.broken is (how == "abort")


def test_an_action_that_waits_and_one_of_the_round_that_is_cancelled_meanwhile():
    gate = bine.Event()
    barrier = bine.Barrier(3, action=gate.wait)
    ts = [bine.spawn(barrier.wait) for _ in range(3)]
    bine.pause()
    ts[0].cancel()
    bine.pause()
    gate.set()
    assert [outcome(t) for t in ts] == [bine.Cancelled, Broken, Broken]
    assert barrier.broken


def test_bad_input_is_told():
    fails_with(ValueError, bine.Barrier, 0)
    fails_with(ValueError, bine.Barrier, -3)
    fails_with(TypeError, bine.Barrier)
    fails_with(TypeError, bine.Barrier, "x")
    fails_with(TypeError, bine.Barrier, 2, action=5)
    fails_with(ValueError, bine.Barrier, 2, timeout=-1)
    fails_with(TypeError, bine.Barrier, 2, timeout="x")
    barrier = bine.Barrier(2)
    fails_with(ValueError, barrier.wait, -1)
    fails_with(TypeError, barrier.wait, 1, 2)
    assert barrier.n_waiting == 0 and not barrier.broken and barrier.parties == 2


def test_one_in_a_cycle_is_collected():
    class Acts:
        def __call__(self):
            pass
    acts = Acts()
    acts.barrier = bine.Barrier(2, acts)
    gone = weakref.ref(acts.barrier)
    del acts
    gc.collect()
    assert gone() is None
