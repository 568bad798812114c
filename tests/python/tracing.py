"""sys.settrace, sys.setprofile, debuggers, profilers: what is a micro-thread's own, what it inherits, and
the hook that is told of switches."""
import bdb
import bine
import contextlib
import cProfile
import gc
import host
import io
import linecache
import pdb
import pstats
import sys
import threading
import types
import weakref


class Recorder:
    """A trace and profile function that notes the functions it was called for."""

    def __init__(self):
        self.calls = []

    def __call__(self, frame, event, arg):
        if event == "call":
            self.calls.append(frame.f_code.co_name)
        return self


@contextlib.contextmanager
def tracing(setter, function):
    setter(function)
    try:
        yield function
    finally:
        setter(None)


SETTERS = (sys.settrace, sys.gettrace), (sys.setprofile, sys.getprofile)


@contextlib.contextmanager
def unraisables():
    """The exceptions that went to sys.unraisablehook."""
    seen = []
    old = sys.unraisablehook
    sys.unraisablehook = lambda u: seen.append(u.exc_value)
    try:
        yield seen
    finally:
        sys.unraisablehook = old


# ---- inheriting


def test_a_spawned_one_has_its_spawners_functions():
    def inner():
        pass

    def work():
        assert get() is recorder
        inner()
        bine.pause()
        assert get() is recorder
        inner()
    for setter, get in SETTERS:
        with tracing(setter, Recorder()) as recorder:
            t = bine.spawn(work)
        t.join()
        assert recorder.calls.count("work") == 1 and recorder.calls.count("inner") == 2, recorder.calls
        assert get() is None


def test_a_spawned_one_has_both_functions():
    trace, profile = Recorder(), Recorder()
    with tracing(sys.settrace, trace), tracing(sys.setprofile, profile):
        t = bine.spawn(lambda: (sys.gettrace(), sys.getprofile()))
    assert t.join() == (trace, profile)
    assert "<lambda>" in trace.calls and "<lambda>" in profile.calls


def test_grandchildren_inherit_too():
    def child():
        return bine.spawn(grandchild).join()

    def grandchild():
        return bine.spawn(get).join()
    for setter, get in SETTERS:
        with tracing(setter, Recorder()) as recorder:
            assert bine.spawn(child).join() is recorder
        assert "child" in recorder.calls and "grandchild" in recorder.calls


def test_those_of_a_scope_and_coroutines_inherit_too():
    async def work():
        return inner()

    def inner():
        return sys.gettrace()
    with tracing(sys.settrace, Recorder()) as recorder:
        with bine.Scope() as scope:
            ts = [scope.spawn(inner), scope.spawn(work)]
    assert [t.join() for t in ts] == [recorder, recorder]
    assert recorder.calls.count("inner") == 2 and "work" in recorder.calls


def test_what_the_spawner_sets_later_is_its_own():
    def work():
        seen.append(get())
        bine.pause()
        seen.append(get())
    for setter, get in SETTERS:
        seen = []
        t = bine.spawn(work)
        with tracing(setter, Recorder()) as recorder:
            t.join()
        assert seen == [None, None] and "work" not in recorder.calls
        with tracing(setter, Recorder()) as recorder:
            t = bine.spawn(work)
            setter(None)
            t.join()
        assert seen[2:] == [recorder, recorder]


def test_what_a_spawned_one_sets_is_its_own():
    def work():
        setter(Recorder())
        bine.pause()
        setter(None)
        bine.pause()
    for setter, get in SETTERS:
        with tracing(setter, Recorder()) as recorder:
            t = bine.spawn(work)
            for _ in range(4):
                bine.pause()
                assert get() is recorder
            t.join()
            assert get() is recorder
        t = bine.spawn(work)
        bine.pause()
        assert get() is None
        t.join()


def test_ending_leaves_neither_function_nor_reference():
    def work():
        if ends_by == "error":
            raise ValueError
        if ends_by == "cancel":
            bine.sleep(100)
    for setter, get in SETTERS:
        for ends_by in ("return", "error", "cancel", "never begun"):
            recorder = Recorder()
            before = sys.getrefcount(recorder)
            setter(recorder)
            t = bine.spawn(work)
            setter(None)
            if ends_by != "never begun":
                bine.pause()
            t.cancel()
            with contextlib.suppress(ValueError, bine.Cancelled):
                t.join()
            del t
            gc.collect()
            assert get() is None
            assert sys.getrefcount(recorder) == before, ends_by


def test_one_that_has_not_begun_is_collected_with_its_functions():
    class Holder:
        pass
    holder = Holder()

    def trace(frame, event, arg):
        return holder and None
    sys.settrace(trace)
    holder.t = bine.spawn(len, "")
    sys.settrace(None)
    ref = weakref.ref(holder)
    holder.t.join()
    del holder, trace
    gc.collect()
    assert ref() is None


def test_what_a_trace_function_spawns_is_not_traced():
    seen = []

    def trace(frame, event, arg):
        if not seen:
            seen.append(bine.spawn(lambda: (sys.gettrace(), sys.getprofile())))
        return None
    for setter, _ in SETTERS:
        seen.clear()
        with tracing(setter, trace):
            (lambda: 1)()
        assert seen[0].join() == (None, None)


def test_a_trace_function_that_raises_ends_the_tracing_of_one():
    def trace(frame, event, arg):
        if frame.f_code.co_name == "bad":
            raise ValueError("in the tracer")
        return trace

    def bad():
        pass

    def caught():
        with contextlib.suppress(ValueError):
            bad()
        return sys.gettrace()
    with tracing(sys.settrace, trace):
        assert bine.spawn(caught).join() is None
        assert bine.spawn(sys.gettrace).join() is trace


def test_exceptions_and_returns_of_a_spawned_one_are_traced():
    events = []

    def trace(frame, event, arg):
        if frame.f_code.co_name == "fails":
            events.append(event)
        return trace

    def fails():
        bine.pause()
        raise ValueError
    with tracing(sys.settrace, trace):
        t = bine.spawn(fails)
        with contextlib.suppress(ValueError):
            t.join()
    assert events == ["call", "line", "line", "exception", "return"], events


# ---- the hooks for threads


def test_the_hook_for_threads_is_used_when_there_is_one():
    def start(frame, event, arg):
        started.append(bine.current())
        setter(own)
        return own(frame, event, arg)

    def work():
        bine.pause()
        return get()

    def spawner():
        return bine.spawn(work).join()
    for (setter, get), hook in zip(SETTERS, (threading.settrace, threading.setprofile)):
        started, own = [], Recorder()
        with tracing(setter, Recorder()) as recorder, tracing(hook, start):
            t = bine.spawn(spawner)
            assert t.join() is own
        assert len(started) == 2 and started[0] is t, "each has been started by itself, grandchildren too"
        assert "work" in own.calls and "work" not in recorder.calls


def test_the_hook_for_threads_does_not_trace_what_an_untraced_one_spawns():
    for (setter, get), hook in zip(SETTERS, (threading.settrace, threading.setprofile)):
        with tracing(hook, Recorder()) as recorder:
            assert bine.spawn(get).join() is None
        assert recorder.calls == []


def test_one_hook_leaves_the_other_function_as_it_is():
    trace, profile, hook = Recorder(), Recorder(), Recorder()
    with tracing(sys.settrace, trace), tracing(sys.setprofile, profile), tracing(threading.settrace, hook):
        assert bine.spawn(lambda: (sys.gettrace(), sys.getprofile())).join() == (hook, profile)
    with tracing(sys.settrace, trace), tracing(sys.setprofile, profile), tracing(threading.setprofile, hook):
        assert bine.spawn(lambda: (sys.gettrace(), sys.getprofile())).join() == (trace, hook)


def test_threads_and_micro_threads_are_traced_by_the_same_hook():
    def work():
        seen.append(sys.gettrace())
    seen = []
    with tracing(sys.settrace, Recorder()), tracing(threading.settrace, Recorder()) as hook:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        bine.spawn(work).join()
    assert seen == [hook, hook]


def test_a_hook_that_is_no_function_is_the_error_of_the_one_it_was_for():
    def work():
        pass
    with tracing(sys.settrace, Recorder()), tracing(threading.settrace, 5):
        t = bine.spawn(work)
        try:
            t.join()
            assert False, "5 was called"
        except TypeError as error:
            assert "not callable" in str(error)


def test_a_threading_module_without_hooks_will_do():
    old = threading.__dict__.pop("_trace_hook")
    with tracing(sys.settrace, Recorder()) as recorder:
        assert bine.spawn(sys.gettrace).join() is recorder
    threading._trace_hook = old


# ---- waiting


def test_waiting_in_a_trace_or_profile_function_is_refused():
    waits = [bine.pause, lambda: bine.sleep(1), bine.spawn(bine.sleep, 1).join, lambda: host.wait_for(1),
             host.deferred(2).wait, lambda: host.sleep_in_c(1)]
    seen = []

    def trace(frame, event, arg):
        while waits_left:
            try:
                waits_left.pop()()
                seen.append("waited")
            except RuntimeError as error:
                seen.append(str(error))
        return None
    for setter, _ in SETTERS:
        waits_left = list(waits)
        seen.clear()
        with tracing(setter, trace):
            (lambda: 1)()
        assert len(seen) == len(waits) and all("trace or profile function" in s for s in seen), seen
        bine.pause()
    host.settle(2)


# ---- debuggers


class Debugger(pdb.Pdb):
    """pdb driven by a list of commands; notes where it stopped as (micro-thread's name, line)."""

    def __init__(self, *commands):
        super().__init__(stdin=io.StringIO("\n".join(commands) + "\ncontinue\n" * 5), stdout=io.StringIO(),
                         nosigint=True, readrc=False)
        self.stops = []

    def user_line(self, frame):
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        self.stops.append((bine.current().name, line.partition("  #")[0]))
        super().user_line(frame)


def named(name, function, *args):
    t = bine.spawn(function, *args)
    t.name = name
    return t


def line_of(function, text):
    lines = linecache.getlines(__file__)
    first = function.__code__.co_firstlineno
    return next(n for n in range(first, first + 40) if lines[n - 1].strip().startswith(text))


def debug(debugger, function):
    """The lines at which it stopped in a micro-thread "main" that runs `function`."""
    named("main", debugger.runcall, function).join()
    return debugger.stops


def busy():
    for _ in range(3):
        bine.pause()
    a = 1
    return a


def spawns_and_joins():
    t = named("busy", busy)
    bine.pause()
    t.join()
    return t


def test_next_over_a_wait_stays_in_its_micro_thread():
    assert debug(Debugger("next", "next", "next", "next"), spawns_and_joins) == [
        ("main", 't = named("busy", busy)'),
        ("main", "bine.pause()"),
        ("main", "t.join()"),
        ("main", "return t"),
    ]


def test_step_over_a_wait_stays_in_its_micro_thread():
    def main():
        t = bine.spawn(busy)
        bine.pause()
        t.join()
    assert debug(Debugger("step", "step", "step"), main) == [
        ("main", "t = bine.spawn(busy)"),
        ("main", "bine.pause()"),
        ("main", "t.join()"),
    ]


def test_step_into_a_function_that_waits():
    def main():
        bine.spawn(busy)
        inner()
        last = 1
        return last

    def inner():
        bine.pause()
        bine.pause()
    assert [line for _, line in debug(Debugger("next", "step", "step", "step", "step", "step", "step"), main)] == [
        "bine.spawn(busy)", "inner()", "bine.pause()", "bine.pause()", "last = 1", "return last"]


def test_a_breakpoint_in_a_spawned_one_is_hit_and_next_goes_on_there():
    debugger = Debugger("continue", "next", "next", "continue")
    assert debugger.set_break(__file__, line_of(busy, "bine.pause()")) is None
    debugger.get_all_breaks()
    bdb.Breakpoint.bpbynumber[-1].temporary = True
    stops = debug(debugger, spawns_and_joins)
    assert stops == [
        ("main", 't = named("busy", busy)'),
        ("busy", "bine.pause()"),
        ("busy", "for _ in range(3):"),
        ("busy", "bine.pause()"),
    ], stops
    debugger.clear_all_breaks()


def test_a_breakpoint_is_hit_in_each_that_comes_along():
    def main():
        ts = [named(name, busy) for name in "abc"]
        return [t.join() for t in ts]
    debugger = Debugger("continue", "continue", "continue", "continue")
    debugger.set_break(__file__, line_of(busy, "a = 1"))
    assert debug(debugger, main)[1:] == [("a", "a = 1"), ("b", "a = 1"), ("c", "a = 1")]
    debugger.clear_all_breaks()


def test_until_over_waits_stays_in_its_micro_thread():
    def main():
        t = named("busy", busy)
        for _ in range(3):
            bine.pause()
        return t.join()
    stops = debug(Debugger("next", "next", "until"), main)
    assert {name for name, _ in stops} == {"main"}, stops
    assert stops[-1] == ("main", "return t.join()")
    assert len(stops) == 4, "the loop ran without a stop"


def test_return_over_waits_ends_in_its_micro_thread():
    def main():
        t = named("busy", busy)
        inner()
        return t.join()

    def inner():
        bine.pause()
        bine.pause()
        return 5
    debugger = Debugger("next", "step", "step", "return", "next", "continue")
    stops = debug(debugger, main)
    assert {name for name, _ in stops} == {"main"}, stops
    assert "--Return--" in debugger.stdout.getvalue() and "->5" in debugger.stdout.getvalue()
    assert stops[-1] == ("main", "return t.join()")


def test_continue_stops_nowhere():
    assert debug(Debugger("continue"), spawns_and_joins) == [("main", 't = named("busy", busy)')]


def test_set_trace_in_a_spawned_one_stops_there_alone():
    def debugged():
        debugger.set_trace()
        bine.pause()
        bine.pause()
        return 5
    debugger = Debugger("next", "next", "next", "next", "continue")
    others = [bine.spawn(busy) for _ in range(3)]
    assert named("debugged", debugged).join() == 5
    for t in others:
        t.join()
    assert {name for name, _ in debugger.stops} == {"debugged"}
    assert ("debugged", "return 5") in debugger.stops


def test_two_debuggers_step_in_two_micro_threads():
    def first():
        bine.pause()
        a = 1
        bine.pause()
        return a

    def second():
        bine.pause()
        b = 2
        bine.pause()
        return b

    def third():
        bine.spawn(busy)
        first()
    debuggers = [Debugger(*["next"] * 4), Debugger(*["next"] * 4)]
    ts = [named(n, d.runcall, f) for n, d, f in zip("ab", debuggers, (first, second))]
    assert [t.join() for t in ts] == [1, 2]
    assert [line for _, line in debuggers[0].stops] == ["bine.pause()", "a = 1", "bine.pause()", "return a"]
    assert [line for _, line in debuggers[1].stops] == ["bine.pause()", "b = 2", "bine.pause()", "return b"]
    assert {name for name, _ in debuggers[1].stops} == {"b"}


def test_quitting_the_debugger_ends_the_debugged_alone():
    def main():
        ts.append(bine.spawn(busy))
        bine.pause()
        return 5
    ts = []
    debugger = Debugger("next", "quit")
    assert named("main", debugger.runcall, main).join() is None
    assert ts[0].join() == 1


def test_debuggers_are_changed_once():
    debug(Debugger("next"), spawns_and_joins)
    stop_here, set_stopinfo = bdb.Bdb.stop_here, bdb.Bdb._set_stopinfo
    for _ in range(3):
        debug(Debugger("next", "next"), spawns_and_joins)
    assert bdb.Bdb.stop_here is stop_here and bdb.Bdb._set_stopinfo is set_stopinfo


def test_a_debugger_of_ones_own_may_override_what_is_changed():
    class Own(Debugger):
        def stop_here(self, frame):
            asked.append(frame.f_code.co_name)
            return super().stop_here(frame)
    asked = []
    stops = debug(Own("next", "next", "next"), spawns_and_joins)
    assert {name for name, _ in stops} == {"main"} and "busy" in asked


def test_debuggers_work_on_other_os_threads_too():
    def main():
        a = 1
        return a

    class Threaded(Debugger):
        def user_line(self, frame):
            self.stops.append(frame.f_lineno)
            pdb.Pdb.user_line(self, frame)
    debug(Debugger("next"), spawns_and_joins)  # has bdb changed
    debugger = Threaded("next", "next")
    thread = threading.Thread(target=debugger.runcall, args=(main,))
    thread.start()
    thread.join()
    assert len(debugger.stops) == 2


def test_the_error_of_a_debugged_one_is_reported_while_its_debugger_lives():
    def fails():
        bine.pause()
        raise ValueError("unhandled")
    debug(Debugger("next"), spawns_and_joins)  # has bdb changed
    debugger = Debugger("next", "next")
    bine.spawn(debugger.runcall, fails)
    bine.sleep(1)
    assert len(debugger.stops) == 2
    assert host.unhandled() == ["ValueError"]


def test_what_is_no_debugger_but_is_called_bdb_is_let_be():
    class Tracer:
        def trace(self, frame, event, arg):
            return None

    class Half(Tracer):
        def stop_here(self, frame):
            return True
    old = sys.modules["bdb"]
    for name, value in (("other", None), ("Bdb", 5), ("Bdb", Tracer), ("Bdb", Half)):
        sys.modules["bdb"] = types.ModuleType("bdb")
        setattr(sys.modules["bdb"], name, value)
        tracer = Half()
        with tracing(sys.settrace, tracer.trace):
            assert bine.spawn(len, "").join() == bine.spawn(len, "").join() == 0
        assert tracer.stop_here(None) is True
    sys.modules["bdb"] = old
    debug(Debugger("next"), spawns_and_joins)


# ---- profilers


def leaf():
    return 1


def worker(n):
    for _ in range(n):
        leaf()
        bine.pause()
    return sys.getprofile()


def calls(profiler):
    """Function name -> how often it was called."""
    return {name: stat[1] for (_, _, name), stat in pstats.Stats(profiler).stats.items()}


def test_cprofile_counts_the_calls_of_what_is_spawned():
    profiler = cProfile.Profile()
    profiler.enable()
    ts = [bine.spawn(worker, 5) for _ in range(3)]
    for t in ts:
        t.join()
    profiler.disable()
    counts = calls(profiler)
    assert counts["worker"] == 3 and counts["leaf"] == 15, counts
    assert counts["<built-in method bine.pause>"] == 15, counts


def test_cprofile_disabled_while_profiled_ones_live():
    for _ in range(20):
        profiler = cProfile.Profile()
        profiler.enable()
        ts = [bine.spawn(worker, 5) for _ in range(3)]
        bine.pause()
        profiler.disable()
        counts = calls(profiler)
        assert counts["worker"] == 3 and counts["leaf"] == 3, counts
        profiler.clear()
        del profiler
        gc.collect()
        for t in ts:
            t.join()
    assert sys.getprofile() is None


def test_cprofile_enabled_inside_a_spawned_one():
    def work():
        profiler = cProfile.Profile()
        profiler.enable()
        bine.spawn(worker, 3).join()
        worker(2)
        profiler.disable()
        return calls(profiler)
    others = [bine.spawn(worker, 3) for _ in range(3)]
    counts = bine.spawn(work).join()
    assert counts["leaf"] >= 5, counts
    for t in others:
        t.join()


def test_monitoring_sees_all_of_them():
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return  # up to 3.11
    seen = []
    old = bine.spawn(worker, 2)
    bine.pause()
    monitoring.use_tool_id(4, "test")
    monitoring.register_callback(4, monitoring.events.PY_START,
                                 lambda code, offset: seen.append((code.co_name, bine.current())))
    monitoring.set_events(4, monitoring.events.PY_START)
    new = bine.spawn(worker, 2)
    old.join()
    new.join()
    monitoring.set_events(4, 0)
    monitoring.free_tool_id(4)
    assert seen.count(("leaf", old)) == 1 and seen.count(("leaf", new)) == 2, seen
    assert seen.count(("worker", new)) == 1 and ("worker", old) not in seen


# ---- the switch hook


@contextlib.contextmanager
def hooked(hook):
    bine.set_switch_hook(hook)
    try:
        yield
    finally:
        bine.set_switch_hook(None)


def test_the_switch_hook_is_told_who_runs():
    def work():
        ran.append(bine.current())
        bine.pause()
        ran.append(bine.current())
    ran, told = [], []
    me = bine.current()
    ts = [bine.spawn(work) for _ in range(2)]
    with hooked(told.append):
        for t in ts:
            t.join()
    assert [m for m in told if m is not None and m is not me] == ran
    assert told[-1] is me


def test_the_switch_hook_is_told_of_the_host():
    told = []
    with hooked(told.append):
        bine.sleep(1)
    assert told == [None, bine.current()], told


def test_the_switch_hook_runs_as_the_one_it_is_told_of():
    told = []
    with hooked(lambda m: told.append(m is bine.current())):
        bine.spawn(worker, 3).join()
        bine.sleep(1)
    assert len(told) > 3 and all(told)


def test_waiting_in_the_switch_hook_is_refused():
    def hook(micro):
        try:
            bine.pause()
            seen.append((micro, "waited"))
        except RuntimeError as error:
            seen.append((micro, type(error).__name__ if micro is None else str(error)))
    seen = []
    with hooked(hook):
        t = bine.spawn(len, "")
        t.join()
        bine.sleep(1)
    assert (None, "NotInMicroThread") in seen
    assert (t, "waiting is not possible inside a switch hook") in seen, seen
    assert "waited" not in [what for _, what in seen]
    bine.pause()


def test_spawning_in_the_switch_hook():
    def hook(micro):
        if len(ts) < 5:
            ts.append(bine.spawn(lambda: 5))
    ts = []
    with hooked(hook):
        bine.pause()
        bine.sleep(1)
        assert [t.join() for t in ts] == [5] * len(ts)
    assert len(ts) == 5


def test_a_switch_hook_that_raises_is_taken_out():
    def hook(micro):
        told.append(micro)
        raise ValueError("in the hook")
    told = []
    with unraisables() as seen, hooked(hook):
        t = bine.spawn(lambda: 5)
        assert t.join() == 5
        bine.pause()
    assert len(told) == 1
    assert [str(e) for e in seen] == ["in the hook"]


def test_a_switch_hook_may_take_itself_out():
    def hook(micro):
        told.append(micro)
        bine.set_switch_hook(None)
    told = []
    bine.set_switch_hook(hook)
    bine.spawn(worker, 3).join()
    assert len(told) == 1
    ref = weakref.ref(hook)
    del hook
    assert ref() is None


def test_a_switch_hook_may_put_another_in_its_place():
    def first(micro):
        bine.set_switch_hook(second)
        told.append(1)

    def second(micro):
        told.append(2)
    told = []
    with hooked(first):
        bine.spawn(worker, 2).join()
    assert told[0] == 1 and told.count(1) == 1 and told.count(2) > 1


def test_an_exception_in_flight_survives_the_switch_hook():
    def hook(micro):
        try:
            raise KeyError("the hook's own")
        except KeyError:
            pass

    def work(n):
        try:
            raise ValueError(n)
        except ValueError as error:
            bine.pause()
            assert sys.exc_info()[1] is error
            try:
                raise
            except ValueError as again:
                assert again is error and again.__context__ is None
        try:
            bine.sleep(100)
        except bine.Cancelled as error:
            assert error.__context__ is None
            raise
    with hooked(hook):
        ts = [bine.spawn(work, n) for n in range(3)]
        bine.pause()
        bine.pause()
        for t in ts:
            t.cancel()
            try:
                t.join()
                assert False, "was to be cancelled"
            except bine.Cancelled:
                pass


def test_the_switch_hook_is_not_traced():
    def hook(micro):
        inner()

    def inner():
        told.append(sys.gettrace())
    told = []
    with tracing(sys.settrace, Recorder()) as trace, tracing(sys.setprofile, Recorder()) as profile:
        with hooked(hook):
            bine.spawn(worker, 2).join()
    assert len(told) > 2
    assert "worker" in trace.calls and "worker" in profile.calls
    assert not {"hook", "inner"} & {*trace.calls, *profile.calls}


def test_the_switch_hook_needs_a_function():
    for bad in 5, "x", object():
        try:
            bine.set_switch_hook(bad)
            assert False, bad
        except TypeError as error:
            assert "function" in str(error)
    bine.set_switch_hook(None)
    bine.set_switch_hook(None)


def test_the_switch_hook_is_for_the_owner_thread():
    def work():
        try:
            bine.set_switch_hook(print)
        except RuntimeError as error:
            seen.append(str(error))
    seen = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(seen) == 1 and "set_switch_hook" in seen[0]


def test_the_switch_hook_under_a_crowd():
    told = []
    with hooked(told.append):
        ts = [bine.spawn(worker, 3) for _ in range(500)]
        for t in ts:
            t.join()
    for t in ts:
        assert told.count(t) == 4


def test_time_per_micro_thread_by_the_switch_hook():
    spent = {}
    last = [bine.current(), 0]
    clock = 0

    def hook(micro):
        spent[last[0]] = spent.get(last[0], 0) + clock - last[1]
        last[:] = [micro, clock]

    def work(steps):
        nonlocal clock
        for n in steps:
            clock += n
            bine.pause()
    with hooked(hook):
        ts = [bine.spawn(work, steps) for steps in ([1, 2, 3], [10, 20], [100])]
        for t in ts:
            t.join()
    assert [spent[t] for t in ts] == [6, 30, 100]
