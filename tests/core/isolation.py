"""What a micro-thread has for itself: contextvars, threading.local, decimal, tracing, its identity."""
import bine
import contextvars
import gc
import host
import sys
import threading
import weakref

var = contextvars.ContextVar("var", default="default")


def test_a_spawned_one_sees_its_spawners_values():
    var.set("spawner's")
    assert bine.spawn(var.get).join() == "spawner's"


def test_the_copy_is_made_at_spawn():
    var.set("at spawn")
    t = bine.spawn(var.get)
    var.set("later")
    assert t.join() == "at spawn" and var.get() == "later"


def test_changes_stay_inside():
    def work(n):
        var.set(n)
        bine.pause()
        assert var.get() == n
        bine.sleep(1)
        return var.get()
    ts = [bine.spawn(work, n) for n in range(10)]
    assert [t.join() for t in ts] == list(range(10))
    assert var.get() == "default"


def test_grandchildren_inherit():
    def child():
        var.set("child's")
        return bine.spawn(var.get).join()
    assert bine.spawn(child).join() == "child's"


def test_context_run_suspends():
    context = contextvars.copy_context()
    context.run(var.set, "inside")

    def work():
        assert var.get() == "inside"
        bine.sleep(1)
        var.set("changed")
        return var.get()
    t = bine.spawn(context.run, work)
    bine.pause()
    assert var.get() == "default"
    assert t.join() == "changed"
    assert context[var] == "changed" and var.get() == "default"


def test_a_context_that_is_entered_cannot_be_entered_by_another():
    context = contextvars.copy_context()
    t = bine.spawn(context.run, bine.sleep, 1)
    bine.pause()
    try:
        context.run(len, "")
    except RuntimeError as error:
        assert "already entered" in str(error)
    else:
        raise AssertionError
    t.join()
    context.run(len, "")


def test_contexts_nest_across_suspends():
    def nest(n):
        if n == 0:
            bine.pause()
            return var.get()
        context = contextvars.copy_context()
        context.run(var.set, n)
        got = context.run(nest, n - 1)
        bine.pause()
        return got
    ts = [bine.spawn(nest, n) for n in (5, 20)]
    assert [t.join() for t in ts] == [1, 1]


def test_tokens_belong_to_their_context():
    token = var.set("x")

    def work():
        try:
            var.reset(token)
        except ValueError:
            return "refused"
    assert bine.spawn(work).join() == "refused"
    bine.pause()
    var.reset(token)
    assert var.get() == "default"


def test_values_of_a_finished_one_are_freed():
    class Thing:
        pass

    def work():
        thing = Thing()
        var.set(thing)
        bine.pause()
        return weakref.ref(thing)
    t = bine.spawn(work)
    assert t.join()() is None


def test_cached_lookups_are_not_mixed_up():
    def work(n):
        var.set(n)
        for _ in range(100):
            assert var.get() == n
            bine.pause()
    for t in [bine.spawn(work, n) for n in range(3)]:
        t.join()


def test_decimal_contexts_are_isolated():
    import decimal
    decimal.getcontext().prec = 10

    def work(prec):
        assert decimal.getcontext().prec == 10
        decimal.getcontext().prec = prec
        bine.pause()
        assert len(str(decimal.Decimal(1) / 3)) == prec + 2
        with decimal.localcontext() as local:
            local.prec = 50
            bine.pause()
            assert decimal.getcontext().prec == 50
        assert decimal.getcontext().prec == prec
    for t in [bine.spawn(work, p) for p in (5, 20, 30)]:
        t.join()
    assert decimal.getcontext().prec == 10


def test_the_decimal_context_is_copied_at_spawn():
    import decimal
    decimal.getcontext().prec = 10
    t = bine.spawn(lambda: decimal.getcontext().prec)
    decimal.getcontext().prec = 20
    assert t.join() == 10


def test_decimal_flags_are_isolated():
    import decimal
    decimal.getcontext().clear_flags()

    def work():
        decimal.Decimal(1) / 3
        return decimal.getcontext().flags[decimal.Inexact]
    assert bine.spawn(work).join()
    assert not decimal.getcontext().flags[decimal.Inexact]


def test_thread_locals_are_ones_own():
    class Local(threading.local):
        made = 0

        def __init__(self):
            Local.made += 1
            self.x = None
    local = Local()
    plain = threading.local()

    def work(n):
        assert local.x is None and not hasattr(plain, "x")
        local.x = plain.x = n
        bine.pause()
        assert local.x == plain.x == n
        bine.sleep(1)
        return local.x
    assert [t.join() for t in [bine.spawn(work, n) for n in range(5)]] == list(range(5))
    assert local.x is None and Local.made == 6


def test_thread_locals_are_freed_at_the_end_of_their_micro_thread():
    local = threading.local()
    gone = []

    class Thing:
        def __init__(self, n):
            self.n = n

        def __del__(self):
            gone.append(self.n)

    def work(n):
        local.thing = Thing(n)
        bine.sleep(n)
    ts = [bine.spawn(work, n) for n in (1, 2)]
    ts[0].join()
    assert gone == [1]
    ts[1].join()
    assert gone == [1, 2]


def test_a_thread_local_dies_while_others_have_values_in_it():
    local = threading.local()
    gone = []

    def work(n):
        local.thing = n
        bine.sleep(1)
    ts = [bine.spawn(work, n) for n in range(5)]
    bine.pause()
    ref = weakref.ref(local, lambda _: gone.append(1))
    del local, work
    gc.collect()
    for t in ts:
        t.join()
    ts.clear()
    gc.collect()
    assert ref() is None and gone == [1]


def test_a_destructor_of_a_thread_local_cannot_wait():
    local = threading.local()
    seen = []

    class Thing:
        def __del__(self):
            try:
                bine.pause()
            except RuntimeError as error:
                seen.append(str(error))

    def work():
        local.thing = Thing()
    bine.spawn(work).join()
    assert len(seen) == 1 and "destructor" in seen[0], seen



def test_settrace_is_ones_own():
    mine, other = [], []

    def tracer(seen):
        def trace(frame, event, arg):
            if event == "line":
                seen.append(frame.f_code.co_name)
            return trace
        return trace

    def traced():
        sys.settrace(tracer(mine))
        try:
            inner()
        finally:
            sys.settrace(None)

    def inner():
        bine.pause()
        return 1

    def untraced():
        for _ in range(5):
            assert sys.gettrace() is None
            bine.pause()
            inner()
            other.append(1)
    ts = [bine.spawn(traced), bine.spawn(untraced), bine.spawn(traced)]
    for t in ts:
        t.join()
    assert mine.count("inner") == 4 and "untraced" not in mine, mine
    assert sys.gettrace() is None


def test_setprofile_is_ones_own():
    events = []

    def work():
        pass

    def profiled():
        sys.setprofile(lambda frame, event, arg: events.append((event, frame.f_code.co_name)))
        work()
        bine.pause()
        work()
        sys.setprofile(None)

    def unprofiled():
        for _ in range(5):
            assert sys.getprofile() is None
            work()
            bine.pause()
    ts = [bine.spawn(profiled), bine.spawn(unprofiled)]
    for t in ts:
        t.join()
    assert events.count(("call", "work")) == 2
    assert "unprofiled" not in [name for _, name in events]


def test_one_that_ends_while_traced_leaves_no_trace():
    def trace(frame, event, arg):
        return trace
    for _ in range(100):
        bine.spawn(sys.settrace, trace).join()
        bine.spawn(sys.setprofile, lambda *_: None).join()
    assert sys.gettrace() is None and sys.getprofile() is None



def test_waiting_inside_a_trace_function_is_refused():
    seen = []

    def trace(frame, event, arg):
        try:
            bine.pause()
            seen.append("waited")
        except RuntimeError as error:
            seen.append(str(error))
        return None

    def work():
        sys.settrace(trace)
        len.__call__("")
        (lambda: 1)()
        sys.settrace(None)
    bine.spawn(work).join()
    assert seen and all("trace" in s for s in seen), seen


def test_exceptions_in_a_trace_function_end_the_tracing_only():
    def trace(frame, event, arg):
        raise ValueError("in the tracer")

    def work():
        sys.settrace(trace)
        try:
            (lambda: bine.pause())()
        except ValueError:
            return sys.gettrace()
    assert bine.spawn(work).join() is None


def test_async_generator_hooks_are_ones_own():
    def hook(generator):
        pass

    def work():
        sys.set_asyncgen_hooks(firstiter=hook)
        bine.pause()
        assert sys.get_asyncgen_hooks().firstiter is hook

    def other():
        bine.pause()
        assert sys.get_asyncgen_hooks().firstiter is None
    for t in [bine.spawn(work), bine.spawn(other)]:
        t.join()
    assert sys.get_asyncgen_hooks().firstiter is None


def test_coroutine_origin_tracking_is_ones_own():
    def work():
        sys.set_coroutine_origin_tracking_depth(3)
        bine.pause()
        assert sys.get_coroutine_origin_tracking_depth() == 3

    def other():
        bine.pause()
        assert sys.get_coroutine_origin_tracking_depth() == 0
    for t in [bine.spawn(work), bine.spawn(other)]:
        t.join()


def test_an_exception_set_aside_by_a_host_call_is_not_lost():
    t = bine.spawn(host.wait_for, 1)
    bine.pause()
    try:
        raise ValueError("mine")
    except ValueError:
        host.settle(1, 5)
        assert t.join() == 5
        assert sys.exc_info()[1].args == ("mine",)
