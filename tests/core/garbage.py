"""The collector and suspended micro-threads: what they hold lives, what nobody holds goes."""
import bine
import gc
import host
import sys
import weakref


class Thing:
    pass


def test_what_only_a_suspended_frame_holds_survives():
    def work():
        thing = Thing()
        thing.cycle = [thing]
        ref = weakref.ref(thing)
        refs.append(ref)
        bine.sleep(1)
        assert ref() is thing and thing.cycle[0] is thing
        return "alive"
    refs = []
    ts = [bine.spawn(work) for _ in range(100)]
    bine.pause()
    for _ in range(3):
        gc.collect()
    assert all(ref() for ref in refs)
    assert [t.join() for t in ts] == ["alive"] * 100
    gc.collect()
    assert not any(ref() for ref in refs)


def test_what_a_suspended_c_function_holds_survives():
    def key(thing):
        bine.pause()
        gc.collect()
        return thing.n

    def work():
        things = []
        for n in (3, 1, 2):
            thing = Thing()
            thing.n, thing.self = n, thing
            things.append(thing)
            del thing
        return [t.n for t in sorted(things, key=key)]
    assert [t.join() for t in [bine.spawn(work) for _ in range(3)]] == [[1, 2, 3]] * 3


def test_arguments_of_one_that_has_not_started_survive():
    thing = Thing()
    thing.cycle = thing
    ref = weakref.ref(thing)
    t = bine.spawn(lambda thing: thing is ref(), thing)
    del thing
    gc.collect()
    assert t.join()
    del t
    gc.collect()
    assert ref() is None


def test_suspended_generators_and_their_cycles_survive_as_long_as_they_are_held():
    def steps():
        thing = Thing()
        thing.g = g
        refs.append(weakref.ref(thing))
        bine.sleep(1)
        yield thing
    refs = []
    g = steps()
    t = bine.spawn(next, g)
    bine.pause()
    gc.collect()
    assert refs[0]() is not None
    t.join()
    del g, t
    gc.collect()
    assert refs[0]() is None


def test_a_cycle_through_a_finished_one_is_collected():
    def work():
        thing = Thing()
        thing.t = bine.current()
        refs.append(weakref.ref(thing))
        return thing
    refs = []
    t = bine.spawn(work)
    t.join()
    ref = weakref.ref(t)
    del t
    assert ref() is not None
    gc.collect()
    assert ref() is None and refs[0]() is None


def test_a_cycle_through_a_joined_error_is_collected():
    def work():
        me = bine.current()
        raise ValueError(me)
    t = bine.spawn(work)
    try:
        t.join()
    except ValueError:
        pass
    ref = weakref.ref(t)
    del t
    gc.collect()
    assert ref() is None
    assert host.unhandled() == []


def test_a_cycle_through_a_closure_is_collected():
    def work():
        return bine.sleep(1) or t
    t = bine.spawn(work)
    t.join()
    ref = weakref.ref(t)
    del t, work
    gc.collect()
    assert ref() is None


def test_one_that_lives_is_not_collected():
    seen = []

    def work():
        me = [bine.current()]
        me.append(me)
        bine.sleep(1)
        seen.append(1)
    bine.spawn(work)
    bine.pause()
    gc.collect()
    bine.sleep(2)
    assert seen == [1]


def test_function_and_arguments_are_let_go_when_it_ends():
    def work(thing):
        pass
    thing = Thing()
    refs = [weakref.ref(thing), weakref.ref(work)]
    t = bine.spawn(work, thing)
    t.join()
    del thing, work
    assert [r() for r in refs] == [None, None]
    assert t.done


def test_collections_while_thousands_are_suspended():
    def work(n):
        kept = {n: [n]}
        kept["self"] = kept
        bine.sleep(1)
        return kept[n][0]
    ts = [bine.spawn(work, n) for n in range(5000)]
    bine.pause()
    gc.collect()
    assert sum(t.join() for t in ts) == sum(range(5000))


def test_get_objects_and_referrers_among_suspended_ones():
    def work():
        thing = Thing()
        bine.sleep(1)
        return thing
    ts = [bine.spawn(work) for _ in range(10)]
    bine.pause()
    assert sum(type(o) is Thing for o in gc.get_objects()) in (0, 10)
    for t in ts:
        gc.get_referrers(t), gc.get_referents(t)
        assert isinstance(t.join(), Thing)


def test_a_destructor_runs_in_whichever_micro_thread_drops_the_last_hold():
    dropped = []

    class Noisy:
        def __del__(self):
            dropped.append(bine.current())
    box = [Noisy()]
    t = bine.spawn(box.clear)
    t.join()
    assert dropped == [t]





def check_leaks(function, rounds):
    """Memory stays flat over that many rounds, but for free lists that fill slowly."""
    for _ in range(200):
        function()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(rounds):
        function()
    gc.collect()
    grown = sys.getallocatedblocks() - before
    assert grown < rounds // 5, f"{grown} blocks more after {rounds} rounds"


def test_spawning_and_joining_leaks_nothing():
    check_leaks(lambda: bine.spawn(len, "").join(), 20000)


def test_cancelling_leaks_nothing():
    def once():
        t = bine.spawn(bine.sleep, 5)
        bine.pause()
        t.cancel()
        try:
            t.join()
        except bine.Cancelled:
            pass
    check_leaks(once, 20000)


def test_dropping_before_the_start_leaks_nothing():
    def once():
        bine.spawn(bine.sleep, 5).cancel()
        bine.pause()
    check_leaks(once, 20000)


def test_errors_leak_nothing():
    def fail():
        raise ValueError("no")

    def once():
        try:
            bine.spawn(fail).join()
        except ValueError:
            pass
    check_leaks(once, 5000)


def test_unhandled_errors_leak_nothing():
    def fail():
        raise ValueError("no")

    def once():
        bine.spawn(fail)
        bine.pause()
        bine.pause()
        assert host.unhandled() == ["ValueError"]
    check_leaks(once, 5000)


def test_timeouts_leak_nothing():
    def once():
        try:
            with bine.timeout(1):
                bine.sleep(5)
        except bine.Timeout:
            pass
    check_leaks(once, 5000)


def test_host_calls_leak_nothing():
    def once():
        t = bine.spawn(host.wait_for, 1)
        bine.pause()
        host.settle(1, ["a", {"b": [1, 2.5, None]}])
        t.join()
        host.echo({"a": [1, "x", b"y"]})
        d = host.deferred(2)
        host.fail(2, -1500, "no")
        try:
            d.wait()
        except bine.HostError:
            pass
        for bad in (object(), "\ud800", 2**64):
            try:
                host.one(bad)
            except (TypeError, OverflowError):
                pass
    check_leaks(once, 3000)


def test_coroutines_leak_nothing():
    async def work():
        return await bine.spawn(len, "")

    def once():
        bine.spawn(work).join()
    check_leaks(once, 5000)


def test_names_stacks_and_locals_leak_nothing():
    import threading
    local = threading.local()

    def work():
        local.x = []
        bine.sleep(1)

    def once():
        t = bine.spawn(work)
        bine.pause()
        t.stack()
        repr(t)
        t.name = "x"
        t.join()
    check_leaks(once, 5000)


def test_traced_ones_leak_nothing():
    def trace(frame, event, arg):
        return None

    def once():
        sys.settrace(trace)
        sys.setprofile(trace)
        t = bine.spawn(bine.pause)
        dropped = bine.spawn(bine.pause)
        sys.setprofile(None)
        sys.settrace(None)
        dropped.cancel()
        t.join()
    check_leaks(once, 5000)


def test_switch_hooks_leak_nothing():
    def fail(micro):
        raise ValueError

    def once():
        bine.set_switch_hook(lambda micro: micro)
        bine.spawn(bine.pause).join()
        bine.set_switch_hook(fail)
        bine.spawn(bine.pause).join()
        bine.set_switch_hook(None)
    old, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        check_leaks(once, 5000)
    finally:
        sys.unraisablehook = old


def test_refused_waits_leak_nothing():
    class Noisy:
        def __del__(self):
            try:
                bine.pause()
            except RuntimeError:
                pass

    def once():
        Noisy()
        noisy = Noisy()
        noisy.self = noisy
    check_leaks(once, 5000)


def test_classes_with_destructors_leak_nothing():
    def once():
        thing = type("Noisy", (), {"__del__": lambda self: None})()
        del thing
    check_leaks(once, 2000)


def test_collections_and_waits_take_turns_in_many():
    def work(n):
        for _ in range(20):
            thing = Thing()
            thing.self, thing.n = thing, n
            bine.pause()
            assert gc.collect(0) >= 0
            bine.sleep(n)
            assert thing.n == n
        return n
    assert [t.join() for t in [bine.spawn(work, n) for n in range(50)]] == list(range(50))


def test_a_collection_waits_for_nobody_though_another_stands_in_a_destructor():
    class Noisy:
        def __del__(self):
            bine.spawn(gc.collect)
            gc.collect()
            seen.append(bine.current())
    seen = []
    for _ in range(5):
        noisy = Noisy()
        noisy.self = noisy
        del noisy
        gc.collect()
    bine.pause()
    assert seen == [bine.current()] * 5
