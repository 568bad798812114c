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
