"""Turns: one FIFO. Spawning, settling and cancelling only enqueue."""
import bine
import host


def run_all(ts):
    for t in ts:
        t.join()


def test_turns_go_in_the_order_of_spawning():
    order = []
    run_all([bine.spawn(order.append, n) for n in range(100)])
    assert order == list(range(100))


def test_pausing_goes_round():
    order = []

    def work(name):
        for _ in range(3):
            order.append(name)
            bine.pause()
    run_all([bine.spawn(work, name) for name in "abc"])
    assert "".join(order) == "abcabcabc"


def test_nobody_has_two_turns_before_another_has_one():
    counts = [0] * 50

    def work(n):
        for _ in range(40):
            counts[n] += 1
            assert max(counts) - min(counts) <= 1
            bine.pause()
    run_all([bine.spawn(work, n) for n in range(50)])


def test_one_that_is_spawned_waits_behind_those_in_line():
    order = []

    def first():
        bine.spawn(order.append, "child")
        order.append("first")
    run_all([bine.spawn(first), bine.spawn(order.append, "second")])
    bine.pause()
    assert order == ["first", "second", "child"]


def test_sleepers_with_one_deadline_wake_in_order():
    order = []

    def work(n):
        bine.sleep(1)
        order.append(n)
    run_all([bine.spawn(work, n) for n in range(100)])
    assert order == list(range(100))


def test_sleepers_wake_by_deadline():
    order = []

    def work(seconds):
        bine.sleep(seconds)
        order.append(seconds)
    run_all([bine.spawn(work, (n * 37) % 100) for n in range(100)])
    assert order == list(range(100))


def test_sleepers_who_are_all_due_wake_by_deadline():
    order = []

    def work(seconds):
        bine.sleep(seconds)
        order.append(seconds)
    ts = [bine.spawn(work, s) for s in (3, 1, 2)]
    bine.pause()
    host.crank(10)
    run_all(ts)
    assert order == [1, 2, 3]


def test_answers_arrive_in_the_order_they_were_given():
    order = []

    def work(key):
        host.wait_for(key)
        order.append(key)
    ts = [bine.spawn(work, key) for key in range(10)]
    bine.pause()
    for key in (7, 2, 9, 0, 1, 3, 8, 4, 6, 5):
        host.settle(key)
    run_all(ts)
    assert order == [7, 2, 9, 0, 1, 3, 8, 4, 6, 5]


def test_those_who_wait_for_one_deferred_wake_in_order():
    order = []
    d = host.deferred(1)

    def work(n):
        d.wait()
        order.append(n)
    ts = [bine.spawn(work, n) for n in range(20)]
    bine.pause()
    host.settle(1)
    run_all(ts)
    assert order == list(range(20))


def test_nothing_runs_inside_settle():
    seen = []
    t = bine.spawn(lambda: seen.append(host.wait_for(1)))
    bine.pause()
    host.settle(1, "x")
    assert seen == [] and not t.done
    bine.pause()
    assert seen == ["x"]


def test_nothing_runs_inside_cancel():
    seen = []

    def work():
        try:
            bine.sleep(9)
        finally:
            seen.append(1)
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    assert seen == []
    bine.pause()
    assert seen == [1]


def test_no_canceller_runs_inside_cancel():
    d = host.deferred(1)
    assert d.cancel() is True
    assert host.cancelled() == 0 and not d.done
    bine.pause()
    assert host.cancelled() == 1 and d.done


def test_settled_cancelled_and_spawned_keep_their_order():
    order = []

    def waiter():
        host.wait_for(1)
        order.append("settled")

    def sleeper():
        try:
            bine.sleep(9)
        except bine.Cancelled:
            order.append("cancelled")
    a, b = bine.spawn(waiter), bine.spawn(sleeper)
    bine.pause()
    b.cancel()
    c = bine.spawn(order.append, "spawned")
    host.settle(1)
    run_all([a, b, c])
    assert order == ["cancelled", "spawned", "settled"]


def test_a_busy_pauser_does_not_starve_answers_from_threads():
    done = []
    t = bine.spawn(lambda: done.append(host.from_thread(1)))
    while not done:
        bine.pause()
    t.join()


def test_a_busy_pauser_does_not_starve_sleepers():
    t = bine.spawn(bine.sleep, 1)
    bine.pause()
    host.crank(2)
    for _ in range(100):
        bine.pause()
    assert t.done


def test_two_hundred_answers_from_threads():
    ts = [bine.spawn(host.from_thread, n) for n in range(200)]
    assert [t.join() for t in ts] == list(range(200))


def test_a_nested_tick_is_refused():
    assert host.nested_tick() == "BINE_EBUSY"
    assert bine.spawn(host.nested_tick).join() == "BINE_EBUSY"
