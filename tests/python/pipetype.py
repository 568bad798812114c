"""bine.Pipe and its ends: values from micro-threads to micro-threads, in order."""
import bine
import collections
import copy
import gc
import host
import pickle
import queue
import random
import threading
import types
import weakref
from runners import raised


def settle():
    """All that can run does."""
    for _ in range(10):
        bine.pause()


def note(trail, name, function, *args):
    """Spawns function(*args); how it ends goes to the trail."""
    def run():
        try:
            trail.append((name, function(*args)))
        except BaseException as error:
            trail.append((name, type(error)))
    return bine.spawn(run)


def on_thread(function, *args):
    """function(*args) on an OS thread: what it returned or raised."""
    result = []

    def run():
        try:
            result.append(function(*args))
        except BaseException as error:
            result.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


def fill(pipe, count):
    for i in range(count):
        pipe.put(i)


# ---- values ----

def test_values_come_out_in_the_order_they_went_in():
    p = bine.Pipe(3)
    bine.spawn(fill, p, 100)
    assert [p.get() for _ in range(100)] == list(range(100))


def test_any_object_keeps_its_identity():
    p = bine.Pipe(None)
    things = [object(), [], None, True, 1 << 70, "text", p, ValueError("x"), print, NotImplemented]
    for thing in things:
        p.put(thing)
    for thing in things:
        assert p.get() is thing


def test_a_put_waits_for_room_and_a_get_for_a_value():
    p = bine.Pipe(2)
    trail = []
    for i in range(3):
        note(trail, i, p.put, i)
    settle()
    assert trail == [(0, None), (1, None)] and len(p) == 2
    assert p.get() == 0
    settle()
    assert trail[2:] == [(2, None)] and len(p) == 2
    assert p.get() == 1 and p.get() == 2
    note(trail, "get", p.get)
    settle()
    assert len(trail) == 3
    p.put("x")
    settle()
    assert trail[3:] == [("get", "x")]


def test_with_capacity_0_a_put_is_done_when_its_value_is_taken():
    p = bine.Pipe()
    trail = []
    assert not p.try_put(1)
    note(trail, "put", p.put, 1)
    settle()
    assert trail == [] and len(p) == 0 and p.try_get() == 1
    settle()
    assert trail == [("put", None)]
    note(trail, "get", p.get)
    settle()
    assert p.try_put(2) and not p.try_put(3)
    settle()
    assert trail[1:] == [("get", 2)]


def test_a_reader_that_has_given_up_is_no_room():
    p = bine.Pipe()
    trail = []
    t = note(trail, "get", p.get)
    settle()
    t.cancel()
    assert not p.try_put(1)
    settle()
    assert trail == [("get", bine.Cancelled)] and len(p) == 0


def test_without_a_limit_a_put_never_waits():
    p = bine.Pipe(None)
    turns = []
    bine.spawn(turns.append, 1)
    fill(p, 10_000)
    assert turns == [] and len(p) == 10_000
    assert [p.get() for _ in range(10_000)] == list(range(10_000))


def test_readers_are_served_in_the_order_they_came():
    p = bine.Pipe(1)
    trail = []
    for name in "abc":
        note(trail, name, p.get)
    settle()
    for i in range(3):
        p.put(i)
    assert p.try_get("none left") == "none left"
    settle()
    assert trail == [("a", 0), ("b", 1), ("c", 2)]


def test_writers_are_served_in_the_order_they_came():
    p = bine.Pipe(1)
    trail = []
    for name in "abcd":
        note(trail, name, p.put, name)
    settle()
    assert not p.try_put("late")
    assert [p.get() for _ in range(4)] == list("abcd")
    settle()
    assert [name for name, _ in trail] == list("abcd")


def test_try_get_takes_a_default_or_raises_empty():
    p = bine.Pipe(1)
    assert type(raised(p.try_get)) is queue.Empty
    assert p.try_get(None) is None and p.try_get(default=3) == 3
    p.put(1)
    assert p.try_get(None) == 1


def test_put_and_try_put_keep_their_order():
    p = bine.Pipe(4)
    assert p.try_put(1) is True
    p.put(2)
    assert p.try_put(3) is True
    assert [p.try_get() for _ in range(3)] == [1, 2, 3]


# ---- time ----

def test_a_put_and_a_get_time_out():
    p = bine.Pipe(1)
    assert type(raised(p.get, timeout=1)) is bine.Timeout
    p.put(1)
    assert type(raised(p.put, 2, timeout=1)) is bine.Timeout
    assert type(raised(p.put, 3, 1)) is bine.Timeout
    assert p.get(1) == 1
    assert p.try_get("empty") == "empty"  # what timed out was not delivered


def test_a_timeout_of_none_is_no_limit():
    p = bine.Pipe(1)
    bine.spawn(lambda: (bine.sleep(100), p.put(1)))
    assert p.get(None) == 1
    p.put(2, None)
    assert p.get(timeout=None) == 2


def test_served_at_the_last_moment_counts():
    p = bine.Pipe()
    trail = []
    t = note(trail, "get", p.get, 1)
    settle()
    assert p.try_put("in time")
    host.crank(1)
    t.cancel()
    t.join()
    assert trail == [("get", "in time")]


def test_a_block_with_a_time_bounds_a_get():
    p = bine.Pipe()

    def wait():
        with bine.timeout(1):
            p.get()
    assert type(raised(wait)) is bine.Timeout


# ---- closing ----

def test_a_closed_pipe_is_drained_and_ends():
    p = bine.Pipe(3)
    fill(p, 3)
    p.close()
    p.close()
    assert p.closed and len(p) == 3
    error = raised(p.put, 4)
    assert type(error) is bine.PipeClosed and str(error) == "the pipe is closed"
    assert type(raised(p.try_put, 4)) is bine.PipeClosed
    assert list(p) == [0, 1, 2]
    assert type(raised(p.get)) is bine.PipeClosed
    assert type(raised(p.try_get, None)) is bine.PipeClosed
    assert list(p) == []


def test_closing_wakes_all_that_wait():
    p = bine.Pipe(1)
    trail = []
    for name in "ab":
        note(trail, name, p.get)
    settle()
    p.close()
    settle()
    assert trail == [("a", bine.PipeClosed), ("b", bine.PipeClosed)]
    p = bine.Pipe(1)
    p.put(0)
    for name in "cd":
        note(trail, name, p.put, name)
    settle()
    p.close()
    settle()
    assert trail[2:] == [("c", bine.PipeClosed), ("d", bine.PipeClosed)]
    assert list(p) == [0]  # what was refused was not delivered


def test_a_pipe_that_failed_is_drained_and_raises_that_very_exception():
    p = bine.Pipe(2)
    error = ValueError("no more")
    fill(p, 2)
    p.fail(error)
    p.fail(KeyError("the first counts"))
    p.close()
    assert p.closed and type(raised(p.put, 1)) is bine.PipeClosed
    seen = []

    def loop():
        for x in p:
            seen.append(x)
    assert raised(loop) is error and seen == [0, 1]
    assert raised(p.get) is error and raised(p.try_get, None) is error


def test_a_failure_wakes_readers_and_refuses_writers():
    p = bine.Pipe(1)
    trail = []
    note(trail, "get", p.get)
    settle()
    p.fail(KeyError)
    settle()
    assert trail == [("get", KeyError)]
    p = bine.Pipe(0)
    note(trail, "put", p.put, 1)
    settle()
    p.fail(KeyError)
    settle()
    assert trail[1:] == [("put", bine.PipeClosed)]


def test_fail_takes_exceptions_alone():
    p = bine.Pipe()
    for wrong in "text", None, 3, int, StopIteration(1), StopIteration:
        assert type(raised(p.fail, wrong)) is TypeError, wrong

    class Odd(Exception):
        def __new__(cls):
            return 3

    class Sour(Exception):
        def __init__(self):
            raise LookupError("in the making")
    assert type(raised(p.fail, Odd)) is TypeError
    assert type(raised(p.fail, Sour)) is LookupError
    assert not p.closed


def test_an_exception_whose_str_fails_or_closes_the_pipe_does_no_harm():
    p = bine.Pipe()

    class Sour(Exception):
        def __str__(self):
            (p or w).close()
            raise KeyError
    p.fail(Sour())
    assert type(raised(p.get)) is bine.PipeClosed  # the first close counts
    w, r = bine.Pipe().split()
    p = None
    w.fail(Sour())
    assert type(raised(r.get)) is bine.PipeClosed


def test_iterating_ends_when_the_pipe_is_closed():
    p = bine.Pipe(2)
    bine.spawn(lambda: (fill(p, 10), p.close()))
    assert [x for x in p] == list(range(10))


def test_several_iterate_over_one_pipe():
    p = bine.Pipe(1)
    seen = []

    def work(name):
        for x in p:
            seen.append(x)
    workers = [bine.spawn(work, n) for n in range(3)]
    fill(p, 100)
    p.close()
    for t in workers:
        t.join()
    assert sorted(seen) == list(range(100))


# ---- blocks ----

def test_a_block_left_well_closes():
    with bine.Pipe(3) as p:
        p.put(1)
    assert p.closed and list(p) == [1]


def test_a_block_left_by_an_exception_fails():
    error = ValueError("spilt")

    def write(p):
        with p:
            p.put(1)
            raise error
    p = bine.Pipe(3)
    assert raised(write, p) is error
    assert p.get() == 1 and raised(p.get) is error


def test_the_readers_of_a_writer_that_is_cancelled_are_told():
    def rest(p):
        with p:
            bine.sleep(100)
    for leave in bine.Cancelled, bine.Exit, GeneratorExit:
        p = bine.Pipe()

        def write():
            with p:
                raise leave
        raised(write)
        error = raised(p.get)
        assert type(error) is bine.BrokenPipe and str(error) == "the writer was cancelled", leave
    p = bine.Pipe()
    t = bine.spawn(rest, p)
    settle()
    t.cancel()
    assert type(raised(p.get)) is bine.BrokenPipe


def test_what_ends_the_writer_alone_does_not_end_its_readers():
    for leave in KeyboardInterrupt, SystemExit, StopIteration:
        p = bine.Pipe()

        def write():
            with p:
                raise leave
        raised(write)
        error = raised(p.get)
        assert type(error) is bine.BrokenPipe and str(error) == f"the writer was ended by {leave.__name__}"
        assert type(raised(lambda: list(p))) is bine.BrokenPipe


def test_a_block_round_an_end_gives_it_up():
    w, r = bine.Pipe(3).split()
    other = w.clone()
    with w:
        w.put(1)
    assert w.closed and not other.closed
    with other as o:
        o.put(2)
    assert list(r) == [1, 2]
    w, r = bine.Pipe(3).split()
    assert type(raised(lambda: r.__enter__().__exit__(KeyError, KeyError(), None))) is type(None)
    assert r.closed and type(raised(w.put, 1)) is bine.BrokenPipe


def test_a_writers_block_left_by_an_exception_fails_for_all():
    w, r = bine.Pipe(3).split()
    other = w.clone()
    error = ValueError("spilt")

    def write():
        with w:
            w.put(1)
            raise error
    assert raised(write) is error
    assert type(raised(other.put, 2)) is bine.PipeClosed
    assert r.get() == 1 and raised(r.get) is error


def test_a_block_whose_pipe_was_split_meanwhile_leaves_the_ends_alone():
    with bine.Pipe(1) as p:
        w, r = p.split()
    w.put(1)
    assert r.get() == 1


# ---- ends ----

def test_split_moves_the_ends():
    p = bine.Pipe(1)
    w, r = p.split()
    assert type(w) is bine.PipeWriter and type(r) is bine.PipeReader
    for call in (lambda: p.put(1), lambda: p.try_put(1), p.get, p.try_get, p.close, p.split, lambda: next(p),
                 lambda: p.fail(KeyError)):
        error = raised(call)
        assert type(error) is ValueError and "was split" in str(error)
    w.put(1)
    assert r.get() == 1 and not hasattr(w, "get") and not hasattr(r, "put")


def test_the_last_writer_to_go_closes():
    w, r = bine.Pipe(3).split()
    second = w.clone()
    w.put(1)
    w.close()
    w.close()
    error = raised(w.put, 2)
    assert type(error) is bine.PipeClosed and str(error) == "this end of the pipe was closed"
    second.put(2)
    assert r.get() == 1 and r.get() == 2 and type(raised(r.get, 1)) is bine.Timeout
    del second
    assert type(raised(r.get)) is bine.PipeClosed and list(r) == []


def test_the_last_reader_to_go_breaks_the_pipe():
    w, r = bine.Pipe(1).split()
    second = r.clone()
    r.close()
    r.close()
    assert r.closed and type(raised(r.get)) is ValueError and type(raised(next, r)) is ValueError
    assert type(raised(r.try_get)) is ValueError and type(raised(r.clone)) is ValueError
    w.put(1)
    trail = []
    note(trail, "put", w.put, 2)
    settle()
    second.close()
    settle()
    assert trail == [("put", bine.BrokenPipe)] and len(w) == 0
    error = raised(w.put, 3)
    assert type(error) is bine.BrokenPipe and isinstance(error, BrokenPipeError)
    assert str(error) == "the pipe has no reader left"
    assert type(raised(w.try_put, 3)) is bine.BrokenPipe


def test_what_is_left_is_dropped_with_the_last_reader():
    class Thing:
        pass
    w, r = bine.Pipe(3).split()
    thing = Thing()
    gone = weakref.ref(thing)
    w.put(thing)
    del thing
    assert gone() is not None
    del r
    assert gone() is None


def test_a_reader_is_told_when_its_end_is_closed_while_it_waits():
    w, r = bine.Pipe(3).split()
    trail = []
    note(trail, "get", r.get)
    note(trail, "loop", list, r)
    settle()
    r.close()
    settle()
    assert trail == [("get", bine.PipeClosed), ("loop", bine.PipeClosed)]


def test_a_destructor_may_use_the_pipe_it_lay_in():
    seen = []

    class Thing:
        def __del__(self):
            seen.append((len(w), type(raised(w.try_put, Thing))))
    w, r = bine.Pipe(3).split()
    w.put(Thing())
    w.put(Thing())
    r.close()
    assert seen == [(0, bine.BrokenPipe)] * 2
    p = bine.Pipe(1)
    p.put(1)

    class Waits:
        def __del__(self):
            for call in (lambda: p.put(1), p.get, p.get):
                try:
                    seen.append(call())
                except RuntimeError as error:
                    seen.append(str(error))
    del seen[:]
    Waits()
    assert "destructor" in seen[0] and seen[1] == 1 and "destructor" in seen[2]


# ---- who may ----

def test_on_an_os_thread_try_put_close_and_fail_work():
    p = bine.Pipe(2)
    assert on_thread(p.try_put, 1) is True
    assert on_thread(p.try_put, 2) is True
    assert on_thread(p.try_put, 3) is False
    assert p.get() == 1
    assert on_thread(len, p) == 1
    on_thread(p.close)
    assert type(on_thread(p.try_put, 4)) is bine.PipeClosed
    assert list(p) == [2]
    p = bine.Pipe()
    on_thread(p.fail, KeyError("afar"))
    error = raised(p.get)
    assert type(error) is KeyError and error.args == ("afar",)


def test_an_os_thread_wakes_a_reader():
    p = bine.Pipe()
    trail = []
    note(trail, "get", p.get)
    settle()
    thread = threading.Thread(target=p.try_put, args=["afar"])
    thread.start()
    while not trail:
        bine.pause()
    thread.join()
    assert trail == [("get", "afar")]


def test_on_an_os_thread_waiting_is_refused_with_a_hint():
    p = bine.Pipe(3)
    for call in (lambda: p.put(1)), p.get:
        error = on_thread(call)
        assert type(error) is bine.NotInMicroThread and "try_put()" in str(error), error
    assert type(on_thread(p.try_get)) is RuntimeError
    assert type(on_thread(bine.Pipe)) is RuntimeError
    assert len(p) == 0


def test_ends_may_go_on_an_os_thread():
    w, r = bine.Pipe(3).split()
    ends = [w]
    del w
    on_thread(ends.clear)
    assert list(r) == []
    w, r = bine.Pipe(3).split()
    w.put(object())
    ends = [r]
    del r
    on_thread(ends.clear)
    settle()
    assert type(raised(w.put, 1)) is bine.BrokenPipe and len(w) == 0
    ends = [bine.Pipe(1)]
    ends[0].put(object())
    on_thread(ends.clear)
    settle()


def test_cancelling_ends_a_wait_and_nothing_is_delivered():
    p = bine.Pipe(0)
    trail = []
    t = note(trail, "put", p.put, "never")
    u = note(trail, "next", p.put, "then")
    settle()
    t.cancel()
    assert p.get() == "then"
    settle()
    assert trail == [("put", bine.Cancelled), ("next", None)] and p.try_get(None) is None
    u.join()


# ---- bad input ----

def test_bad_arguments_are_named():
    for wrong in "3", 1.5, [], b"1":
        error = raised(bine.Pipe, wrong)
        assert type(error) is TypeError and "capacity must be an int or None" in str(error)
    error = raised(bine.Pipe, -1)
    assert type(error) is ValueError and str(error) == "capacity must be at least 0, not -1"
    assert type(raised(bine.Pipe, 1 << 70)) is OverflowError
    assert type(raised(bine.Pipe, 1, 2)) is TypeError and type(raised(bine.Pipe, size=1)) is TypeError
    p = bine.Pipe(capacity=1)
    for call in (lambda: p.put(), lambda: p.put(1, 2, 3), lambda: p.put(1, wait=2), lambda: p.put(1, "x"),
                 lambda: p.put(x=1), lambda: p.get(1, 2), lambda: p.get(wait=1), lambda: p.try_get(1, 2),
                 lambda: p.try_get(fallback=1), lambda: p.try_put(), lambda: p.fail(), bine.PipeWriter,
                 bine.PipeReader):
        assert type(raised(call)) is TypeError
    assert type(raised(p.get, -1)) is ValueError
    assert len(p) == 0 and not p.closed


def test_a_capacity_may_be_anything_with_an_index():
    class Three:
        def __index__(self):
            return 3
    assert bine.Pipe(Three()).capacity == 3 and bine.Pipe(True).capacity == 1
    assert bine.Pipe().capacity == 0 and bine.Pipe(None).capacity is None


def test_what_it_looks_like():
    p = bine.Pipe(8)
    p.put(1)
    assert repr(p) == "<bine.Pipe 1 of 8>"
    w, r = p.split()
    assert (repr(p), repr(w), repr(r)) == ("<bine.Pipe, split>", "<bine.PipeWriter 1 of 8>",
                                           "<bine.PipeReader 1 of 8>")
    w.close()
    assert repr(w) == "<bine.PipeWriter 1 of 8, closed>" and not r.closed
    assert repr(bine.Pipe(None)) == "<bine.Pipe 0, unbounded>"
    assert isinstance(bine.Pipe[int], types.GenericAlias)
    assert isinstance(bine.PipeReader[int], types.GenericAlias)


def test_an_empty_pipe_is_not_false():
    p = bine.Pipe(1)
    assert p and len(p) == 0 and all(bine.Pipe().split())


def test_pipes_are_not_pickled_nor_copied():
    p = bine.Pipe(1)
    for thing in p, *p.split():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert type(raised(pickle.dumps, thing, protocol)) is TypeError
        assert type(raised(copy.copy, thing)) is TypeError


# ---- garbage ----

def test_a_pipe_that_lies_in_itself_is_garbage():
    p = bine.Pipe(None)
    p.put([p])
    p.put(p)
    gone = weakref.ref(p)
    del p
    gc.collect()
    assert gone() is None


def test_ends_that_lie_in_their_pipe_are_garbage_when_both_are():
    w, r = bine.Pipe(None).split()
    w.put([r, w])
    gone = weakref.ref(r)
    del r
    gc.collect()
    assert gone() is not None  # the writer's end is at hand, and what stands in the pipe may be got
    other = gone()
    assert other.get() == [other, w]
    w.put([other, w])
    del w, other
    gc.collect()
    assert gone() is None


def test_a_failure_that_knows_the_pipe_is_garbage_with_it():
    def fail(p):
        try:
            raise ValueError
        except ValueError as error:
            p.fail(error)
    p = bine.Pipe()
    fail(p)
    raised(p.get)
    gone = weakref.ref(p)
    del p
    gc.collect()
    assert gone() is None


def test_nothing_is_collected_from_a_pipe_that_is_waited_at():
    class Thing:
        pass
    w, r = bine.Pipe(3).split()
    things = []
    reader = bine.spawn(lambda r: things.extend(r), r)
    del r
    settle()
    for _ in range(3):
        w.put(Thing())
        gc.collect()
        settle()
    w.close()
    reader.join()
    assert [type(thing) for thing in things] == [Thing] * 3


# ---- many ----

def test_a_pipe_does_what_a_deque_does():
    chance = random.Random(7)
    for capacity in 1, 3, 64, None:
        p = bine.Pipe(capacity)
        model = collections.deque()
        for i in range(10_000):
            if chance.random() < 0.5:
                room = capacity is None or len(model) < capacity
                assert p.try_put(i) is room
                if room:
                    model.append(i)
            else:
                assert p.try_get(None) == (model.popleft() if model else None)
            assert len(p) == len(model)


def storm(capacity, seed, operations):
    """Writers and readers at random: each value that was put is got once, in order, and no other."""
    chance = random.Random(seed)
    p = bine.Pipe(capacity)
    put, got, left = set(), [], [operations]
    numbers = iter(range(1 << 60))
    living = []

    def write():
        while left[0] > 0:
            left[0] -= 1
            n = next(numbers)
            how = chance.random()
            try:
                if how < 0.3:
                    if p.try_put(n):
                        put.add(n)
                    else:
                        bine.pause()
                else:
                    p.put(n, None if how < 0.8 else chance.random() * 3)
                    put.add(n)
            except bine.Timeout:
                pass
            assert capacity is None or len(p) <= capacity

    def read():
        last = -1
        while True:
            how = chance.random()
            left[0] -= 1
            try:
                n = p.try_get(None) if how < 0.3 else p.get(None if how < 0.8 else chance.random() * 3)
            except bine.Timeout:
                continue
            if n is None:
                bine.pause()
                continue
            assert n > last, (n, last)
            last = n
            got.append(n)

    def guarded(function):
        while left[0] > 0:
            try:
                function()
            except bine.PipeClosed:
                return
            except bine.Cancelled:
                living.append(bine.spawn(guarded, function))
                return

    living = [bine.spawn(guarded, f) for f in [write] * 4 + [read] * 4]
    while left[0] > 0:
        bine.sleep(chance.random())
        chance.choice(living).cancel()
    for x in iter(lambda: p.try_get(None), None):
        got.append(x)
    p.close()
    for t in living:
        raised(t.join)
    assert sorted(got) == sorted(put)


def test_storms_of_readers_writers_cancels_and_time_outs_lose_and_double_nothing():
    for seed, capacity in enumerate([0, 1, 2, 64, None]):
        storm(capacity, seed, 20_000)


def test_os_threads_and_micro_threads_put_into_one_pipe():
    p = bine.Pipe(16)
    got = []

    def produce(who):
        for i in range(500):
            while not p.try_put((who, i)):
                pass

    def write():
        for i in range(500):
            p.put(("script", i))
    threads = [threading.Thread(target=produce, args=[n]) for n in range(3)]
    for t in threads:
        t.start()
    bine.spawn(write)
    for _ in range(2000):
        got.append(p.get())
    for t in threads:
        t.join()
    for who in "script", 0, 1, 2:
        assert [i for w, i in got if w == who] == list(range(500))
