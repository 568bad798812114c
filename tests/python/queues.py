"""bine.Queue and bine.SimpleQueue; what they share with the others is in line.py."""
import bine
import gc
import host
import queue
import threading
import weakref
from runners import Run, at_end, fails_with, in_turns

BOTH = bine.Queue, bine.SimpleQueue


def test_items_come_in_the_order_they_were_put():
    for make in BOTH:
        q = make()
        for n in range(100):
            q.put(n)
        assert q.qsize() == 100 and not q.empty()
        assert [q.get() for _ in range(50)] == list(range(50))
        for n in range(100, 150):
            q.put(n)
        assert [q.get() for _ in range(100)] == list(range(50, 150)) and q.empty()


def test_a_get_waits_for_a_put():
    for make in BOTH:
        q = make()
        t = bine.spawn(q.get)
        bine.pause()
        assert not t.done
        q.put("x")
        assert t.join() == "x" and q.empty()


def test_a_put_waits_for_room_and_keeps_its_place():
    q = bine.Queue(2)
    order = []

    def puts(n):
        q.put(n)
        order.append(n)
    ts = [bine.spawn(puts, n) for n in range(5)]
    bine.pause()
    assert order == [0, 1] and q.full() and q.qsize() == 2
    assert [q.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    for t in ts:
        t.join()
    assert order == [0, 1, 2, 3, 4]


def test_what_cannot_wait_is_refused_with_the_standard_exceptions():
    q = bine.Queue(1)
    fails_with(queue.Empty, q.get, block=False)
    fails_with(queue.Empty, q.get_nowait)
    fails_with(queue.Empty, q.get, True, 0)
    fails_with(queue.Empty, q.get, timeout=0.5)
    q.put(1)
    fails_with(queue.Full, q.put, 2, False)
    fails_with(queue.Full, q.put_nowait, 2)
    fails_with(queue.Full, q.put, 2, timeout=0.5)
    assert q.get() == 1 and q.empty()
    s = bine.SimpleQueue()
    fails_with(queue.Empty, s.get, block=False)
    fails_with(queue.Empty, s.get_nowait)
    fails_with(queue.Empty, s.get, timeout=0.5)


def test_the_exceptions_are_there_though_nobody_has_imported_module_queue():
    import sys
    for name in "queue", "_queue":
        sys.modules.pop(name, None)
    for make in BOTH:
        try:
            make().get_nowait()
        except Exception as error:
            import queue as again
            assert isinstance(error, again.Empty) and type(error) is queue.Empty, type(error).__mro__
        else:
            raise AssertionError


def test_bad_input_is_told():
    q = bine.Queue()
    fails_with(ValueError, q.get, timeout=-1)
    fails_with(ValueError, q.put, 1, timeout=-1)
    fails_with(ValueError, q.get, timeout=float("nan"))
    assert "item" in fails_with(TypeError, q.put)
    assert "item" in fails_with(TypeError, q.put_nowait)
    assert "3" in fails_with(TypeError, q.put, 1, 2, 3, 4)
    assert "what" in fails_with(TypeError, q.get, what=1)
    assert "item" in fails_with(TypeError, q.put, 1, item=2)
    fails_with(TypeError, q.get, timeout="soon")
    fails_with(TypeError, bine.Queue, "big")
    fails_with(OverflowError, bine.Queue, 2**70)
    fails_with(TypeError, bine.SimpleQueue, 1)
    assert q.empty()

    class Hostile:
        def __bool__(self):
            raise KeyError("no")
        __float__ = __bool__
    fails_with(KeyError, q.get, Hostile())
    fails_with(KeyError, q.get, True, Hostile())
    fails_with(KeyError, q.put, 1, Hostile())


def test_zero_or_less_is_no_limit():
    for size in 0, -1:
        q = bine.Queue(size)
        for n in range(1000):
            q.put_nowait(n)
        assert q.maxsize == size and not q.full() and q.qsize() == 1000


def test_task_done_and_join():
    q = bine.Queue()
    q.join()
    q.put(1)
    q.put(2)
    waiting = [bine.spawn(q.join) for _ in range(3)]
    for _ in range(2):
        bine.pause()
        assert not any(t.done for t in waiting)
        q.get()
        q.task_done()
    for t in waiting:
        t.join()
    assert "too many" in fails_with(ValueError, q.task_done)


def test_what_was_handed_over_directly_counts_as_a_task():
    q = bine.Queue(1)
    t = bine.spawn(q.get)
    bine.pause()
    q.put("straight")
    t.join()
    waits = bine.spawn(q.join)
    bine.pause()
    assert not waits.done
    q.task_done()
    waits.join()
    q.put(1)
    late = bine.spawn(q.put, 2)
    bine.pause()
    q.get(), q.task_done()
    late.join()
    waits = bine.spawn(q.join)
    bine.pause()
    assert not waits.done
    q.get(), q.task_done()
    waits.join()


def test_a_put_that_was_cut_short_was_not_put():
    q = bine.Queue(1)
    q.put(1)
    t = bine.spawn(q.put, 2)
    bine.pause()
    t.cancel()
    fails_with(bine.Cancelled, t.join)
    fails_with(queue.Full, q.put, 3, timeout=1)
    assert q.get() == 1 and q.empty()
    q.task_done()
    q.join()


def test_it_holds_no_item_longer_than_it_must():
    class Item:
        pass
    for make in BOTH:
        q = make()
        item = Item()
        gone = weakref.ref(item)
        q.put(item)
        del item
        assert gone() is not None
        q.get()
        assert gone() is None
        item = Item()
        gone = weakref.ref(item)
        q.put(item)
        del item, q
        assert gone() is None


def test_one_in_a_cycle_is_collected():
    for make in BOTH:
        q = make()
        gone = weakref.ref(q)
        q.put(q)
        del q
        gc.collect()
        assert gone() is None


def test_queues_in_queues_go_however_deep():
    for make in BOTH:
        q = make()
        for _ in range(200_000):
            outer = make()
            outer.put(q)
            q = outer
        del q, outer


def test_a_subclass_of_simplequeue():
    class Mine(bine.SimpleQueue):
        def __init__(self, name):
            self.name = name
    for _ in range(10):
        q = Mine("x")
        q.put(q)
        gone = weakref.ref(q)
        assert q.get() is q and q.name == "x"
        q.put(q)
        del q
        gc.collect()
        assert gone() is None


def test_a_put_in_a_destructor_wakes_a_getter():
    for make in BOTH:
        q = make()
        t = bine.spawn(q.get)
        bine.pause()
        assert at_end(lambda: q.put("from there")) is None
        assert t.join() == "from there"


def test_a_destructor_of_an_item_may_use_the_queue():
    for make in BOTH:
        q = make()
        seen = []

        class Item:
            def __del__(self):
                seen.append(q.qsize())
                q.put("last words")
        q.put(Item())
        q.get()
        assert seen == [0] and q.get() == "last words"


def test_it_is_queues_own_simplequeue():
    import _queue
    assert queue.SimpleQueue is bine.SimpleQueue is _queue.SimpleQueue
    assert issubclass(queue.Empty, Exception) and queue.Empty is _queue.Empty


def test_annotations():
    assert bine.Queue[int].__origin__ is bine.Queue and bine.SimpleQueue[int].__args__ == (int,)


def test_a_thread_pool_works_beside_micro_threads():
    from concurrent.futures import ThreadPoolExecutor, wait
    with ThreadPoolExecutor(2) as pool:
        ticks = []
        ticker = bine.spawn(lambda: [ticks.append(bine.pause()) for _ in range(10)])
        futures = [pool.submit(pow, 2, n) for n in range(20)]
        ts = [bine.spawn(f.result) for f in futures]
        assert [t.join() for t in ts] == [2**n for n in range(20)]
        assert wait(futures).not_done == set()
        ticker.join()
    assert len(ticks) == 10


def test_a_cancel_ends_the_wait_for_a_future():
    from concurrent.futures import Future
    future = Future()
    t = bine.spawn(future.result)
    bine.pause()
    t.cancel()
    fails_with(bine.Cancelled, t.join)
    future.set_result(5)
    assert bine.spawn(future.result).join() == 5
