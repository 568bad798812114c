"""All of it at once, at random but the same each time."""
import bine
import contextvars
import gc
import host
import sys
import threading

var = contextvars.ContextVar("var")
local = threading.local()


class Dice:
    """A linear congruential generator: as good as needed, and the same everywhere."""

    def __init__(self, seed):
        self.state = seed

    def roll(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def check_identity(n):
    assert var.get() == n and local.n == n


def act(dice, n, depth):
    """One random thing that waits or does not; whatever it raises is one of the known."""
    what = dice.roll(9)
    if what == 0:
        bine.sleep(dice.roll(20) / 10)
    elif what == 1:
        bine.pause()
    elif what == 2 and depth < 4:
        child = bine.spawn(life, dice.roll(2**32), depth + 1)
        if dice.roll(3) == 0:
            child.cancel()
        child.join(dice.roll(30) / 10)
    elif what == 3:
        with bine.timeout(dice.roll(10) / 10):
            bine.sleep(dice.roll(20) / 10)
    elif what == 4:
        try:
            raise KeyError(n)
        except KeyError as error:
            bine.pause()
            assert sys.exc_info()[1] is error and error.args == (n,)
            raise
    elif what == 5:
        assert sorted([3, 1, 2], key=lambda x: bine.pause() or x) == [1, 2, 3]
    elif what == 6:
        if depth == 0 and dice.roll(8) == 0:
            assert host.from_thread([depth]) == [depth]
    elif what == 7:
        living = bine.all()
        living[dice.roll(len(living))].stack()
    else:
        steps = (bine.pause() or x for x in range(3))
        assert list(steps) == [0, 1, 2]


def life(seed, depth=0):
    dice = Dice(seed)
    n = object()
    var.set(n)
    local.n = n
    for _ in range(10):
        check_identity(n)
        try:
            act(dice, n, depth)
        except (KeyError, bine.Timeout):
            pass
        except bine.Cancelled:
            if bine.current().name == "cancelled" or dice.roll(2):
                raise
        check_identity(n)
    if dice.roll(5) == 0:
        raise ValueError("at its end")
    return n


def outlive(lives, kill):
    ts = [bine.spawn(life, seed) for seed in range(lives)]
    dice = Dice(99)
    while not all(t.done for t in ts):
        bine.sleep(0.5)
        if kill:
            living = [t for t in bine.all() if t is not bine.current()]
            if living:
                living[dice.roll(len(living))].cancel()
        if dice.roll(10) == 0:
            gc.collect()
        host.unhandled()
    for t in ts:
        try:
            t.join()
        except (ValueError, bine.Cancelled):
            pass
    del ts, t
    while len(bine.all()) > 1:
        bine.sleep(1)
        host.unhandled()
    living = None
    reports = ["the first"]
    while reports:  # an error that goes may be the last to hold another
        gc.collect()
        bine.pause()
        reports = host.unhandled()
        assert set(reports) <= {"ValueError", "bine.Timeout"}, reports


def test_three_hundred_lives():
    outlive(300, kill=False)


def test_three_hundred_lives_and_a_killer():
    outlive(300, kill=True)


def test_lives_while_threads_take_the_gil():
    stop = False

    def work():
        while not stop:
            gc.get_count()
            sorted(range(100), key=lambda x: -x)
    threads = [threading.Thread(target=work) for _ in range(2)]
    sys.setswitchinterval(1e-5)
    for t in threads:
        t.start()
    outlive(60, kill=True)
    stop = True
    for t in threads:
        t.join()


def test_a_pipeline_of_micro_threads():
    def stage(previous, n):
        return previous.join() + n if previous else n
    t = None
    for n in range(2000):
        t = bine.spawn(stage, t, n)
    assert t.join() == sum(range(2000))


def test_all_wait_for_all():
    ts = []

    def work(n):
        bine.sleep((n * 7) % 10)
        for t in ts:
            if t is not bine.current() and ts.index(t) < n:
                t.join()
        return n
    ts.extend(bine.spawn(work, n) for n in range(60))
    assert [t.join() for t in ts] == list(range(60))
    ts.clear()


def test_a_deadlock_is_broken_by_a_cancel():
    ts = []
    ts.append(bine.spawn(lambda: ts[1].join()))
    ts.append(bine.spawn(lambda: ts[0].join()))
    bine.sleep(5)
    assert not ts[0].done and not ts[1].done
    ts[0].cancel()
    for t in ts:
        try:
            t.join()
        except bine.Cancelled:
            continue
        raise AssertionError
    ts.clear()


def test_stacks_are_used_again():
    def deep(n):
        return bine.pause() if n == 0 else deep(n - 1)
    for round in range(20):
        ts = [bine.spawn(deep, (round * 13 + n) % 15) for n in range(200)]
        for t in ts:
            t.join()


def test_containers_are_freed_as_they_go():
    def work():
        for n in range(20000):
            _ = [n], {"a": (n,)}
        return sys.getallocatedblocks()
    before = sys.getallocatedblocks()
    assert bine.spawn(work).join() - before < 1000
