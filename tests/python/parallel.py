"""bine.parallel() and bine.parallel_map(): order, limits, errors, executors."""
import concurrent.futures
import threading

import bine
import host
from runners import raised


# ---- parallel ----

def test_parallel_returns_what_each_returned_in_order():
    def slow(n):
        bine.sleep(10 - n)
        return n
    assert bine.parallel(lambda: slow(1), lambda: slow(2), lambda: slow(3)) == [1, 2, 3]


def test_parallel_of_nothing_is_nothing():
    assert bine.parallel() == []


def test_parallel_takes_functions_alone():
    error = raised(bine.parallel, print, 3)
    assert isinstance(error, TypeError) and str(error) == "parallel() needs functions, not int"


def test_the_calls_are_micro_threads_of_their_own():
    assert len({m.name for m in bine.parallel(*[bine.current] * 3)} - {bine.current().name}) == 3


def test_the_first_error_cancels_the_rest_and_is_raised_as_it_is():
    log = []

    def wait(n):
        try:
            bine.sleep(1000)
        except bine.Cancelled:
            log.append(n)
            raise

    def fail():
        bine.sleep(1)
        raise ValueError("first")
    error = raised(bine.parallel, lambda: wait(1), fail, lambda: wait(2))
    assert type(error) is ValueError and error.args == ("first",) and error.__cause__ is None
    assert sorted(log) == [1, 2]


def test_further_errors_hang_on_the_first():
    def late():
        try:
            bine.sleep(1000)
        finally:
            raise KeyError("second")

    def fail():
        bine.sleep(1)
        raise ValueError("first")
    error = raised(bine.parallel, late, fail)
    assert type(error) is ValueError
    assert [type(e) for e in error.__cause__.exceptions] == [ValueError, KeyError]


def test_an_error_keeps_its_own_cause_and_context():
    def chained(unused):
        raise ValueError("what came of it") from KeyError("the cause")

    def within(unused):
        try:
            raise KeyError("before")
        except KeyError:
            raise ValueError("what came of it")
    assert isinstance(raised(bine.parallel_map, chained, [1]).__cause__, KeyError)
    error = raised(bine.parallel_map, within, [1])
    assert isinstance(error.__context__, KeyError) and not error.__suppress_context__


def test_a_call_that_was_cancelled_on_its_own_is_an_error():
    def work(n):
        if n == 1:
            bine.current().cancel()
        bine.pause()
        return n
    before = len(bine.all())
    for limit in (None, 1, 2):
        assert isinstance(raised(bine.parallel_map, work, range(3), limit=limit), bine.Cancelled), limit
        assert len(bine.all()) == before
    bine.pause()  # nobody has cancelled this one


def test_the_rest_has_ended_when_the_error_is_raised():
    ended = []

    def wait():
        try:
            bine.sleep(1000)
        finally:
            with bine.shield(5):
                bine.sleep(2)
            ended.append(1)

    def fail():
        bine.pause()
        raise ValueError
    assert type(raised(bine.parallel, wait, fail)) is ValueError
    assert ended == [1]


def test_exit_and_interrupt_come_bare():
    def leave():
        raise SystemExit(4)

    def interrupt():
        raise KeyboardInterrupt
    assert raised(bine.parallel, leave, lambda: bine.sleep(9)).code == 4
    assert type(raised(bine.parallel, interrupt, lambda: bine.sleep(9))) is KeyboardInterrupt


def test_cancelling_the_caller_cancels_the_calls():
    log = []

    def wait():
        try:
            bine.sleep(1000)
        finally:
            log.append(1)
    t = bine.spawn(bine.parallel, wait, wait)
    bine.sleep(1)
    t.cancel()
    assert isinstance(raised(t.join), bine.Cancelled)
    assert log == [1, 1]


def test_a_timeout_of_the_caller_cancels_the_calls():
    log = []

    def wait():
        try:
            bine.sleep(1000)
        finally:
            log.append(1)

    def bounded():
        with bine.timeout(5):
            bine.parallel(wait, wait)
    assert isinstance(raised(bounded), bine.Timeout)
    assert log == [1, 1]


# ---- parallel_map ----

def test_order_is_kept():
    def work(n):
        bine.sleep(20 - n)
        return n * n
    assert bine.parallel_map(work, range(10)) == [n * n for n in range(10)]


def test_limit_bounds_how_many_run():
    running = most = 0

    def work(n):
        nonlocal running, most
        running += 1
        most = max(most, running)
        bine.sleep(1 + n % 3)
        running -= 1
    bine.parallel_map(work, range(50), limit=4)
    assert most == 4


def test_without_a_limit_all_run_at_once():
    running = most = 0

    def work(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        bine.sleep(1)
        running -= 1
    bine.parallel_map(work, range(50))
    assert most == 50


def test_an_item_is_taken_when_there_is_room_for_its_call():
    taken = ended = 0
    ahead = []

    def items():
        nonlocal taken
        while taken < 40:
            taken += 1
            ahead.append(taken - ended)
            yield taken

    def work(n):
        nonlocal ended
        bine.sleep(1)
        ended += 1
        return n
    assert bine.parallel_map(work, items(), limit=3) == list(range(1, 41))
    assert max(ahead) <= 3


def test_a_generator_that_waits_lets_the_calls_run():
    log = []

    def items():
        for n in range(3):
            bine.sleep(10)
            log.append(("item", n))
            yield n

    def work(n):
        bine.sleep(1)
        log.append(("done", n))
    bine.parallel_map(work, items())
    assert log == [("item", 0), ("done", 0), ("item", 1), ("done", 1), ("item", 2), ("done", 2)]


def test_an_endless_generator_ends_with_the_first_error():
    taken = 0

    def items():
        nonlocal taken
        while True:
            yield taken
            taken += 1

    def work(n):
        bine.sleep(1)
        if n == 100:
            raise ValueError(n)
    assert raised(bine.parallel_map, work, items(), limit=5).args == (100,)
    assert 100 <= taken <= 105


def test_an_error_of_the_generator_cancels_the_calls_and_is_raised():
    log = []

    def items():
        yield 1
        bine.sleep(1)
        raise LookupError("no more")

    def work(_):
        try:
            bine.sleep(1000)
        finally:
            log.append("ended")
    assert isinstance(raised(bine.parallel_map, work, items()), LookupError)
    assert log == ["ended"]


def test_a_group_that_the_generator_raises_is_raised_as_it_is():
    group = ExceptionGroup("of the items", [KeyError(1), KeyError(2)])

    def items():
        yield 1
        raise group
    assert raised(bine.parallel_map, str, items()) is group


def test_memory_is_that_of_the_results():
    live = most = 0

    class Item:
        def __init__(self):
            nonlocal live, most
            live += 1
            most = max(most, live)

        def __del__(self):
            nonlocal live
            live -= 1
    bine.parallel_map(lambda item: bine.pause(), (Item() for _ in range(1000)), limit=8)
    assert most <= 10 and live == 0


def test_arguments_are_checked():
    for args, error in [((3, []), "parallel_map() needs a function, not int"),
                        ((print, 3), "'int' object is not iterable"),
                        ((print, [], "x"), "limit must be an int or None, not str"),
                        ((print, [], None, 3), "executor must have submit(), as concurrent.futures.Executor; int has not")]:
        got = raised(bine.parallel_map, *args)
        assert isinstance(got, TypeError) and str(got) == error, got
    assert str(raised(bine.parallel_map, print, [], 0)) == "limit must be 1 or more, not 0"
    assert isinstance(raised(bine.parallel_map, print), TypeError)
    assert bine.parallel_map(function=str, items=[1], limit=None, executor=None) == ["1"]


# ---- executors ----

def test_an_executor_makes_the_calls():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        here = threading.get_ident()
        found = bine.parallel_map(lambda n: (n, threading.get_ident() != here), range(20), executor=pool)
    assert found == [(n, True) for n in range(20)]


def test_the_loop_goes_on_while_an_executor_works():
    go = threading.Event()
    turns = 0

    def others():
        nonlocal turns
        while turns < 10:
            turns += 1
            bine.pause()
        go.set()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        bine.spawn(others)
        assert bine.parallel_map(lambda n: go.wait(), range(2), executor=pool) == [True, True]
    assert turns == 10


class Engine(concurrent.futures.Executor):
    """An executor whose calls are made when the test says so."""

    def __init__(self):
        self.calls = []
        self.most = 0

    def submit(self, function, *args):
        future = concurrent.futures.Future()
        self.calls.append((future, function, args))
        self.most = max(self.most, len(self.calls))
        return future

    def run_last(self):
        future, function, args = self.calls.pop()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)


def test_results_that_come_out_of_order_are_put_in_order():
    engine = Engine()
    t = bine.spawn(bine.parallel_map, str, range(6), None, engine)
    bine.pause()
    while not t.done:
        engine.run_last()
        bine.pause()
    assert t.join() == list("012345")


def test_limit_bounds_what_an_executor_is_given():
    engine = Engine()
    taken = []
    t = bine.spawn(bine.parallel_map, str, (taken.append(n) or n for n in range(30)), 4, engine)
    bine.pause()
    assert taken == [0, 1, 2, 3]
    while not t.done:
        engine.run_last()
        bine.pause()
    assert engine.most == 4 and t.join() == [str(n) for n in range(30)]


def test_an_error_from_an_executor_cancels_what_it_has_not_begun():
    engine = Engine()

    def fail(n):
        raise ValueError(n)
    t = bine.spawn(bine.parallel_map, fail, range(4), None, engine)
    bine.pause()
    futures = [future for future, _, _ in engine.calls]
    engine.run_last()
    assert raised(t.join).args == (3,)
    assert [f.cancelled() for f in futures] == [True, True, True, False]


def test_an_interrupt_in_an_executor_is_an_error():
    engine = Engine()

    def interrupt(_):
        raise KeyboardInterrupt
    t = bine.spawn(bine.parallel_map, interrupt, [1], None, engine)
    bine.pause()
    engine.run_last()
    assert isinstance(raised(t.join), KeyboardInterrupt)


def test_an_executor_that_is_shut_down_is_an_error():
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    assert isinstance(raised(bine.parallel_map, str, [1], executor=pool), RuntimeError)


def test_a_cancelled_future_is_an_error():
    engine = Engine()
    t = bine.spawn(bine.parallel_map, str, [1], None, engine)
    bine.pause()
    engine.calls[0][0].cancel()
    assert isinstance(raised(t.join), concurrent.futures.CancelledError)


def test_cancelling_the_caller_cancels_the_futures():
    engine = Engine()
    t = bine.spawn(bine.parallel_map, str, range(3), None, engine)
    bine.pause()
    t.cancel()
    assert isinstance(raised(t.join), bine.Cancelled)
    assert all(future.cancelled() for future, _, _ in engine.calls)


# ---- futures ----

def test_any_future_can_be_waited_for():
    future = concurrent.futures.Future()
    t = bine.spawn(future.result)
    bine.pause()
    future.set_result(5)
    assert t.join() == 5


def test_a_future_settled_on_an_os_thread_wakes_its_micro_thread():
    future = concurrent.futures.Future()
    thread = threading.Thread(target=future.set_result, args=(5,))
    t = bine.spawn(future.result)
    bine.pause()
    thread.start()
    assert t.join() == 5
    thread.join()


def test_wait_and_as_completed_suspend_the_micro_thread():
    futures = [concurrent.futures.Future() for _ in range(3)]
    first = bine.spawn(concurrent.futures.wait, futures, None, concurrent.futures.FIRST_COMPLETED)
    every = bine.spawn(lambda: [f.result() for f in concurrent.futures.as_completed(futures)])
    bine.pause()
    for n in 2, 0, 1:
        futures[n].set_result(n)
        bine.sleep(1)
    assert first.join().done == {futures[2]}
    assert every.join() == [2, 0, 1]


def test_a_futures_timeout_goes_by_the_runtimes_clock():
    future = concurrent.futures.Future()
    assert isinstance(raised(future.result, 3600), TimeoutError)


def test_off_a_micro_thread_it_is_refused():
    error = host.on_host(lambda: raised(bine.parallel_map, str, [1], executor=Engine()))
    assert isinstance(error, bine.NotInMicroThread), repr(error)
