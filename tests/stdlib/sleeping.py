"""time.sleep() on a micro-thread suspends that alone; everywhere else it is CPython's own."""
import threading
import time
from time import sleep as taken_before

import bine

MS = 0.001


def order(sleep):
    """Who comes back first, of two that sleep at the same time."""
    ends = []

    def doze(name, seconds):
        sleep(seconds)
        ends.append(name)
    long, short = bine.spawn(doze, "long", 20 * MS), bine.spawn(doze, "short", 1 * MS)
    long.join()
    short.join()
    return ends


def test_it_suspends_its_micro_thread_alone():
    assert order(time.sleep) == ["short", "long"]


def test_so_does_one_that_was_taken_before():
    assert order(taken_before) == ["short", "long"]


def test_zero_gives_the_others_a_turn():
    turns = []
    micro = bine.spawn(turns.append, 1)
    time.sleep(0)
    assert turns == [1]
    micro.join()


def test_it_takes_what_cpython_takes():
    class Index:
        def __index__(self):
            return 0

    time.sleep(True - 1)
    time.sleep(Index())
    for bad, error in ((-1, ValueError), ("1", TypeError), (None, TypeError), (float("nan"), ValueError),
                       (1e300, OverflowError)):
        try:
            time.sleep(bad)
        except error as caught:
            assert "bine" not in str(caught), caught
        else:
            raise AssertionError(f"sleep({bad!r}) is taken")


def test_an_os_thread_sleeps_by_itself():
    woken = []
    thread = threading.Thread(target=lambda: (time.sleep(MS), woken.append(1)))
    thread.start()
    thread.join()
    assert woken == [1]


def test_a_destructor_sleeps_as_ever():
    class Slow:
        def __del__(self):
            time.sleep(MS)
            ended.append(1)
    ended = []
    Slow()
    assert ended == [1]


def test_it_can_be_cancelled():
    micro = bine.spawn(time.sleep, 3600)
    bine.pause()
    micro.cancel()
    try:
        micro.join()
    except bine.Cancelled:
        pass
    assert micro.done


def test_it_looks_as_ever():
    assert repr(time.sleep) == "<built-in function sleep>", repr(time.sleep)
    assert time.sleep.__module__ == "time"


def test_it_is_among_the_patched():
    assert bine.patched()["time.sleep"] == "a timer"


def test_the_collector_has_run_on_its_stack_and_is_done():
    import gc
    gc.collect()
    assert order(time.sleep) == ["short", "long"]

    def collect_first():
        gc.collect()
        time.sleep(20 * MS)
        ends.append("long")
    ends = []
    long = bine.spawn(collect_first)
    bine.pause()
    ends.append("meanwhile")
    long.join()
    assert ends == ["meanwhile", "long"], ends
