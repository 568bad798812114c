"""Deferred.then(ok, err): each in a micro-thread of its own, and a Deferred for what comes of it."""
import bine
import gc
import host
import weakref


def raised(wait, kind):
    try:
        wait()
    except kind as error:
        return error
    raise AssertionError("nothing was raised")


def ready(value, key=60):
    d = host.deferred(key)
    host.settle(key, value)
    return d


def failed(code, message, key=60):
    d = host.deferred(key)
    host.fail(key, code, message)
    return d


def test_ok_gets_the_value_and_next_what_it_returns():
    d = host.deferred(1)
    n = d.then(lambda value: value * 2)
    assert isinstance(n, bine.Deferred) and n is not d and not n.done
    host.settle(1, 21)
    assert n.wait() == 42 and n.done
    assert d.wait() == 21, "what others see does not change"


def test_err_gets_the_exception_and_may_recover():
    d = host.deferred(1)
    seen = []

    def err(error):
        seen.append((type(error), error.code, str(error)))
        return "instead"
    n = d.then(None, err)
    host.fail(1, -2000, "no way")
    assert n.wait() == "instead"
    assert seen == [(bine.HostError, -2000, "no way")]


def test_by_name_and_by_place():
    assert ready(1).then(ok=lambda v: v + 1).wait() == 2
    assert ready(1).then(err=print, ok=lambda v: v + 2).wait() == 3
    assert ready(1).then(lambda v: v + 3, print).wait() == 4


def test_none_passes_the_result_on():
    assert ready([1]).then().wait() == [1]
    assert ready([1]).then(None, lambda e: 2).wait() == [1]
    error = raised(failed(-2000, "no").then(lambda v: v).wait, bine.HostError)
    assert error.code == -2000 and str(error) == "no"


def test_nothing_runs_inside_then():
    seen = []
    n = ready(1).then(seen.append)
    assert seen == []
    assert n.wait() is None and seen == [1]


def test_steps_run_in_the_order_they_were_attached():
    d = host.deferred(1)
    seen = []

    def first(value):
        seen.append("first")
        d.then(lambda v: seen.append("late"))
    d.then(first)
    d.then(lambda v: seen.append("second"))
    last = d.then(lambda v: seen.append("third"))
    host.settle(1)
    last.wait()
    bine.sleep(0)
    assert seen == ["first", "second", "third", "late"], seen


def test_a_chain():
    d = host.deferred(1)
    n = d
    for _ in range(100):
        n = n.then(lambda v: v + 1)
    host.settle(1, 0)
    assert n.wait() == 100


def test_a_step_may_wait():
    def slow(value):
        bine.sleep(5)
        return value + host.from_thread(1)
    d = host.deferred(1)
    n = d.then(slow)
    host.settle(1, 1)
    bine.pause()
    bine.pause()
    assert not n.done
    assert n.wait() == 2


def test_one_that_waits_holds_up_no_other():
    d = host.deferred(1)
    order = []
    slow = d.then(lambda v: (bine.sleep(1), order.append("slow")))
    fast = d.then(lambda v: order.append("fast"))
    host.settle(1)
    slow.wait(), fast.wait()
    assert order == ["fast", "slow"]


def test_a_deferred_returned_is_waited_for():
    inner = host.deferred(2)
    n = ready(1).then(lambda v: inner)
    bine.sleep(0)
    assert not n.done
    host.settle(2, "inner")
    assert n.wait() == "inner"


def test_a_micro_thread_returned_is_joined():
    n = ready(1).then(lambda v: bine.spawn(lambda: bine.sleep(1) or "joined"))
    assert n.wait() == "joined"


def test_deferreds_in_micro_threads_in_deferreds():
    def step(value):
        return bine.spawn(lambda: ready("deep").then(lambda v: bine.spawn(lambda: v + "er")))
    assert ready(1).then(step).wait() == "deeper"


def test_a_rejected_deferred_returned_rejects_next():
    n = ready(1).then(lambda v: failed(-2000, "inner", 2))
    assert raised(n.wait, bine.HostError).code == -2000


def test_an_exception_goes_through_to_the_next_err():
    def bad(value):
        raise KeyError("lost")
    seen = []
    n = ready(1).then(bad).then(seen.append).then(seen.append, lambda e: (type(e), e.args))
    assert n.wait() == (KeyError, ("lost",)) and seen == []


def test_an_exception_is_raised_where_next_is_waited_for_with_its_frames():
    def bad(value):
        raise KeyError("lost")
    error = raised(ready(1).then(bad).then().wait, KeyError)
    names = []
    tb = error.__traceback__
    while tb is not None:
        names.append(tb.tb_frame.f_code.co_name)
        tb = tb.tb_next
    assert "bad" in names, names


def test_err_may_raise_again_or_another():
    def again(error):
        raise error

    def another(error):
        raise ValueError("another") from error
    assert raised(failed(-2000, "no").then(None, again).wait, bine.HostError).code == -2000
    error = raised(failed(-2000, "no").then(None, another).wait, ValueError)
    assert error.__cause__.code == -2000


def test_time_outs_and_lost_memory_are_what_they_are_elsewhere():
    assert failed(-11, "late").then(None, lambda e: type(e).__name__).wait() == "Timeout"
    assert failed(-2, "none left").then(None, lambda e: type(e).__name__).wait() == "MemoryError"


def test_a_rejection_handled_is_not_reported():
    n = failed(-2000, "no").then(None, lambda e: None)
    n.wait()
    del n
    gc.collect()
    bine.sleep(1)
    assert host.unhandled() == []


def test_a_rejection_nobody_takes_is_reported_once():
    def bad(value):
        raise KeyError("lost")
    ready(1).then(bad)
    failed(-2000, "no", 2).then(print)
    bine.sleep(1)
    bine.sleep(1)
    assert sorted(host.unhandled()) == ["KeyError", "bine.HostError"]


def test_one_still_held_is_not_reported_when_it_is_waited_for_late():
    def bad(value):
        raise KeyError("lost")
    n = ready(1).then(bad)
    bine.sleep(5)
    assert host.unhandled() == []
    raised(n.wait, KeyError)
    del n
    bine.sleep(1)
    assert host.unhandled() == []


def test_cancelling_next_cancels_the_work():
    d = host.deferred(1)
    ran = []
    n = d.then(ran.append, lambda e: ran.append(type(e)))
    assert n.cancel() is True
    bine.sleep(1)
    assert host.cancelled() == 1 and ran == [bine.HostError] and n.done


def test_cancelling_next_leaves_work_that_others_wait_for():
    d = host.deferred(1)
    other = d.then(lambda v: v)
    n = d.then(lambda v: v)
    n.cancel()
    assert raised(n.wait, bine.HostError).name == "BINE_ECANCELED"
    assert host.cancelled() == 0
    host.settle(1, 3)
    assert other.wait() == 3


def test_cancelling_next_cancels_a_step_that_waits():
    seen = []

    def slow(value):
        try:
            bine.sleep(100)
        except bine.Cancelled:
            seen.append("cancelled")
            raise
    n = ready(1).then(slow)
    bine.sleep(1)
    assert n.cancel() is True
    raised(n.wait, BaseException)
    assert seen == ["cancelled"]
    del n
    bine.sleep(1)
    assert host.unhandled() == []


def test_cancelling_what_is_done_says_false():
    n = ready(1).then()
    n.wait()
    assert n.cancel() is False


def test_bad_arguments():
    d = ready(1)
    for args, kwargs in [((1,), {}), ((None, 2), {}), ((), {"ok": "x"}), ((), {"error": print}),
                         ((print, print, print), {})]:
        raised(lambda: d.then(*args, **kwargs), TypeError)
    assert "ok" in str(raised(lambda: d.then(1), TypeError))
    assert "err" in str(raised(lambda: d.then(None, 1), TypeError))
    raised(lambda: bine.Deferred.then(1, print), TypeError)
    assert d.wait() == 1


def test_a_function_that_does_not_take_the_value():
    assert "argument" in str(raised(ready(1).then(lambda: 1).wait, TypeError))


def test_each_gets_a_value_of_its_own():
    d = ready({"a": []})
    one = d.then(lambda v: v["a"].append(1) or v)
    two = d.then(lambda v: v["a"].append(2) or v)
    assert one.wait() == {"a": [1]} and two.wait() == {"a": [2]} and d.wait() == {"a": []}


def test_objects_of_pythons_own_pass_through():
    class Thing:
        pass
    thing = Thing()
    assert ready(1).then(lambda v: thing).then().then(lambda t: t).wait() is thing


def test_steps_that_have_run_are_let_go():
    class Step:
        def __call__(self, value):
            return value
    step, other = Step(), Step()
    refs = weakref.ref(step), weakref.ref(other)
    n = ready(1).then(step, other)
    del step, other
    n.wait()
    bine.pause()
    assert refs[0]() is None and refs[1]() is None


def test_steps_that_never_run_are_let_go():
    class Step:
        def __call__(self, value):
            raise AssertionError
    step = Step()
    ref = weakref.ref(step)
    d = host.deferred(1)
    other = d.then()
    n = d.then(step)
    del step
    n.cancel()
    bine.pause()
    bine.pause()
    gc.collect()
    assert ref() is None
    host.settle(1)
    other.wait()


def test_next_can_be_awaited():
    async def go():
        return await ready(1).then(lambda v: v + 1)
    assert bine.spawn(go).join() == 2


def test_a_coroutine_function_is_a_step_like_any():
    async def step(value):
        await bine.spawn(bine.sleep, 1)
        return value + 1
    d = ready(1)
    n = d.then(lambda v: bine.spawn(step, v))
    assert n.wait() == 2


def test_a_step_has_a_micro_thread_of_its_own():
    me = bine.current()
    assert ready(1).then(lambda v: bine.current() is me).wait() is False


def test_a_step_that_waits_when_it_shuts_down_sees_the_end():
    seen = []

    def slow(value):
        try:
            bine.sleep(1000)
        finally:
            seen.append(1)
            host.settle(1, len(seen))
    host.deferred(1)
    ready(1).then(slow)
    bine.pause()
    bine.pause()


def test_steps_in_other_threads_are_refused():
    import threading
    d = ready(1)
    seen = []

    def go():
        try:
            d.then(print)
        except RuntimeError as error:
            seen.append(str(error))
        except BaseException as error:
            seen.append(type(error).__name__)
    t = threading.Thread(target=go)
    t.start()
    t.join()
    assert len(seen) == 1 and "thread" in seen[0], seen


def test_ten_thousand_steps_of_one_deferred():
    d = host.deferred(1)
    seen = []
    last = [d.then(seen.append) for _ in range(1000)][-1]
    host.settle(1, 5)
    last.wait()
    assert seen == [5] * 1000


def test_a_step_that_returns_what_waits_for_it_is_rejected():
    n = ready(1).then(lambda v: n)
    assert "itself" in str(raised(n.wait, RuntimeError))
    m = ready(1).then(lambda v: k)
    k = m.then(lambda v: v)
    del m
    assert "itself" in str(raised(k.wait, RuntimeError))


def test_an_exception_does_not_keep_the_frames_it_went_through():
    class Thing:
        pass

    def bad(value):
        raise KeyError("lost")

    def look(wait):
        thing = Thing()
        refs.append(weakref.ref(thing))
        n = wait()
        try:
            n.wait()
        except KeyError:
            pass
    refs = []
    look(lambda: ready(1).then(bad))
    look(lambda: ready(1).then(bad).then())
    bine.pause()
    gc.collect()
    assert [r() for r in refs] == [None, None]
