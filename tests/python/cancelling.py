"""MicroThread.cancel(): bine.Cancelled where it waits, and again at each later wait."""
import bine
import gc
import host


def cancelled(t):
    try:
        t.join()
    except bine.Cancelled:
        return True
    return False


def test_cancelled_is_no_exception_that_scripts_catch_by_chance():
    assert issubclass(bine.Cancelled, BaseException) and not issubclass(bine.Cancelled, Exception)
    assert issubclass(bine.Exit, BaseException) and not issubclass(bine.Exit, Exception)


def test_cancel_is_raised_where_it_waits():
    seen = []

    def work():
        try:
            bine.sleep(100)
        except bine.Cancelled as error:
            seen.append(str(error))
            raise
    t = bine.spawn(work)
    bine.pause()
    assert t.cancel() is None
    assert seen == [] and not t.done, "nothing runs inside cancel()"
    assert cancelled(t) and seen == ["the micro-thread was cancelled"]


def test_cancel_is_raised_at_each_later_wait():
    seen = []

    def stubborn():
        for wait in (lambda: bine.sleep(1), bine.pause, lambda: bine.sleep(0), bine.spawn(bine.sleep, 9).join,
                     lambda: host.wait_for(1), host.deferred(2).wait, lambda: host.sleep_in_c(1),
                     lambda: host.wait_in_c(3)):
            try:
                wait()
            except bine.Cancelled:
                seen.append(1)
        return "ended by itself"
    t = bine.spawn(stubborn)
    bine.pause()
    t.cancel()
    assert t.join() == "ended by itself"
    assert len(seen) == 8
    host.settle(2)


def test_finally_blocks_run_and_may_not_wait():
    seen = []

    def work():
        try:
            bine.sleep(100)
        finally:
            seen.append("cleaned")
            try:
                bine.sleep(1)
            finally:
                seen.append("no wait")
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    assert cancelled(t) and seen == ["cleaned", "no wait"]


def test_one_that_was_never_started_is_dropped():
    ran = []
    t = bine.spawn(ran.append, 1)
    t.cancel()
    assert not t.done
    assert cancelled(t) and ran == [] and t.done


def test_one_that_was_dropped_frees_its_arguments():
    import weakref

    class Thing:
        pass
    thing = Thing()
    ref = weakref.ref(thing)
    t = bine.spawn(id, thing)
    del thing
    t.cancel()
    assert cancelled(t) and ref() is None


def test_one_in_pause_is_cancelled():
    seen = []

    def work():
        try:
            while True:
                bine.pause()
        except bine.Cancelled:
            seen.append(1)
            raise
    t = bine.spawn(work)
    for _ in range(3):
        bine.pause()
    t.cancel()
    assert cancelled(t) and seen == [1]


def test_one_that_is_ready_to_go_on_takes_its_result_first():
    def work():
        value = host.wait_for(1)
        try:
            bine.pause()
        except bine.Cancelled:
            return value
    t = bine.spawn(work)
    bine.pause()
    host.settle(1, "here")
    t.cancel()
    assert t.join() == "here"


def test_cancelling_a_finished_one_does_nothing():
    t = bine.spawn(lambda: 5)
    t.join()
    t.cancel()
    t.cancel()
    assert t.join() == 5 and t.result == 5


def test_cancelling_twice_is_cancelling_once():
    t = bine.spawn(bine.sleep, 10)
    bine.pause()
    t.cancel()
    t.cancel()
    assert cancelled(t)


def test_cancelling_oneself_ends_at_the_next_wait():
    seen = []

    def work():
        bine.current().cancel()
        seen.append("goes on")
        bine.pause()
        seen.append("never")
    t = bine.spawn(work)
    assert cancelled(t) and seen == ["goes on"]


def test_a_cancelled_joiner_leaves_the_joined_running():
    t = bine.spawn(lambda: bine.sleep(10) or "done")
    joiner = bine.spawn(t.join)
    bine.pause()
    joiner.cancel()
    assert cancelled(joiner) and not t.done
    assert t.join() == "done"


def test_a_cancelled_one_is_not_reported():
    t = bine.spawn(bine.sleep, 10)
    bine.pause()
    t.cancel()
    bine.pause()
    bine.pause()
    assert t.done
    del t
    gc.collect()
    bine.pause()
    assert host.unhandled() == []


def test_an_error_raised_while_cancelled_is_reported():
    def work():
        try:
            bine.sleep(10)
        finally:
            raise ValueError("while cleaning up")
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    del t
    bine.sleep(1)
    assert host.unhandled() == ["ValueError"]


def test_one_that_swallows_the_cancel_may_return():
    def work():
        try:
            bine.sleep(10)
        except bine.Cancelled:
            return "swallowed"
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    assert t.join() == "swallowed"


def test_a_canceller_has_run_before_the_script_goes_on():
    def work():
        try:
            host.wait_for(1)
        except bine.Cancelled:
            return host.cancelled()
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    assert t.join() == 1
    try:
        host.settle(1)
    except LookupError:
        pass
    else:
        raise AssertionError("the host still has the resolver")


def test_waits_in_c_are_cancelled():
    for wait in (lambda: host.sleep_in_c(10), lambda: host.wait_in_c(4)):
        t = bine.spawn(wait)
        bine.pause()
        assert not t.done
        t.cancel()
        assert cancelled(t)
    bine.pause()
    assert host.cancelled() == 1


def test_sleep_in_c_is_a_sleep():
    order = []
    t = bine.spawn(lambda: (host.sleep_in_c(2), order.append(2)))
    u = bine.spawn(lambda: (bine.sleep(1), order.append(1)))
    t.join(), u.join()
    assert order == [1, 2]


def test_wait_in_c_gives_its_value():
    t = bine.spawn(host.wait_in_c, 5)
    bine.pause()
    host.settle(5, {"a": [1]})
    assert t.join() == {"a": [1]}


def test_wait_in_c_hands_on_a_rejection():
    t = bine.spawn(host.wait_in_c, 5)
    bine.pause()
    host.fail(5, -2000, "no way")
    try:
        t.join()
    except bine.HostError as error:
        assert error.code == -2000
    else:
        raise AssertionError


def test_cancel_reaches_through_c_functions():
    t = bine.spawn(lambda: sorted([1, 2, 3], key=lambda x: bine.sleep(1)))
    bine.pause()
    t.cancel()
    assert cancelled(t)


def test_a_cancelled_tree_ends():
    def leaf():
        bine.sleep(1000)

    def branch():
        children = [bine.spawn(leaf) for _ in range(10)]
        try:
            for c in children:
                c.join()
        finally:
            for c in children:
                c.cancel()
    root = bine.spawn(branch)
    bine.pause()
    bine.pause()
    root.cancel()
    assert cancelled(root)
    bine.sleep(1)
    assert bine.all() == [bine.current()]


def test_cancel_from_within_the_joiner_chain():
    def work():
        target.cancel()
        bine.pause()
        return "cancelled it"
    target = bine.spawn(bine.sleep, 100)
    bine.pause()
    assert bine.spawn(work).join() == "cancelled it"
    assert cancelled(target)


def test_cancel_is_raised_again_at_each_wait_of_a_generator():
    seen = []

    def generate():
        for n in range(3):
            try:
                bine.sleep(10)
            except bine.Cancelled:
                seen.append(n)
                yield n

    def work():
        for n in generate():
            seen.append(("got", n))
        return "through"
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    assert t.join() == "through"
    assert seen == [0, ("got", 0), 1, ("got", 1), 2, ("got", 2)]


def test_a_cancel_that_leaves_a_generator_closes_it():
    seen = []

    def inner():
        try:
            yield 1
            bine.sleep(10)
        finally:
            seen.append("inner")

    def outer():
        try:
            yield from inner()
        finally:
            seen.append("outer")

    def work():
        g = outer()
        next(g)
        try:
            next(g)
        except bine.Cancelled:
            seen.append(next(g, "exhausted"))
            raise
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    assert cancelled(t) and seen == ["inner", "outer", "exhausted"]


def test_with_blocks_are_left_from_the_inside_out():
    seen = []

    class Block:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            return self

        def __exit__(self, kind, error, traceback):
            seen.append((self.name, kind.__name__))
            try:
                bine.sleep(1)
            except bine.Cancelled:
                seen.append("refused")

    def work():
        with Block("a"), Block("b"):
            bine.sleep(10)
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    assert cancelled(t)
    assert seen == [("b", "Cancelled"), "refused", ("a", "Cancelled"), "refused"]


def test_a_with_block_that_swallows_it_goes_on_to_the_next_wait():
    import contextlib
    seen = []

    def work():
        for n in range(3):
            with contextlib.suppress(bine.Cancelled):
                bine.sleep(10)
                seen.append("never")
            seen.append(n)
        bine.pause()
        seen.append("never")
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    assert cancelled(t) and seen == [0, 1, 2]


def test_a_cancel_meets_each_callback_of_a_c_library_and_the_caller_after_it():
    import ctypes
    import sys
    libc = ctypes.CDLL(None)
    compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    seen = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda info: seen.append(info.exc_type)

    def work():
        numbers = (ctypes.c_int * 4)(3, 1, 4, 2)
        libc.qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), compare_type(lambda a, b: bine.sleep(5) or 0))
        seen.append("sorted")
        bine.pause()
        seen.append("never")
    try:
        other = bine.spawn(lambda: [bine.sleep(1) for _ in range(3)] and "other")
        t = bine.spawn(work)
        bine.sleep(1)
        t.cancel()
        assert cancelled(t) and other.join() == "other"
    finally:
        sys.unraisablehook = hook
    assert seen[-1] == "sorted" and len(seen) > 3 and set(seen[:-1]) == {bine.Cancelled}


def test_a_callback_of_a_c_library_that_swallows_the_cancel_sorts_on():
    import ctypes
    libc = ctypes.CDLL(None)
    compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))

    def compare(a, b):
        try:
            bine.sleep(5)
        except bine.Cancelled:
            pass
        return a[0] - b[0]

    def work(n):
        numbers = (ctypes.c_int * 8)(*[(i * 5 + n) % 8 for i in range(8)])
        libc.qsort(numbers, 8, ctypes.sizeof(ctypes.c_int), compare_type(compare))
        return list(numbers)
    sorting = [bine.spawn(work, n) for n in range(4)]
    bine.sleep(7)
    for t in sorting[::2]:
        t.cancel()
    assert [t.join() for t in sorting] == [list(range(8))] * 4


def test_one_in_a_coroutine_is_cancelled_where_that_awaits():
    seen = []

    async def inner():
        try:
            await host.deferred(6)
        finally:
            seen.append("inner")

    async def outer():
        try:
            await inner()
        except bine.Cancelled:
            seen.append("outer")
            await inner_wait()

    async def inner_wait():
        bine.pause()
        seen.append("never")
    t = bine.spawn(outer)
    bine.pause()
    t.cancel()
    assert cancelled(t) and seen == ["inner", "outer"]
    host.settle(6)
