"""bine.spawn() and what it gives: join, done, result, name, stack, current, all."""
import bine
import functools
import host
import inspect
import weakref


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def test_spawn_runs_nothing_before_the_spawner_waits():
    ran = []
    t = bine.spawn(ran.append, 1)
    assert ran == [] and not t.done
    bine.pause()
    assert ran == [1] and t.done


def test_spawn_hands_over_positional_and_keyword_arguments():
    def f(*args, **kwargs):
        return args, kwargs
    assert bine.spawn(f, 1, 2, a=3, b=4).join() == ((1, 2), {"a": 3, "b": 4})
    assert bine.spawn(f).join() == ((), {})
    assert bine.spawn(f, function=1).join() == ((), {"function": 1})


def test_spawn_takes_any_callable():
    class Caller:
        def __call__(self, x):
            return x + 1

        def method(self, x):
            return x + 2

        @classmethod
        def of_class(cls, x):
            return cls, x
    assert bine.spawn(Caller(), 1).join() == 2
    assert bine.spawn(Caller().method, 1).join() == 3
    assert bine.spawn(Caller.of_class, 1).join() == (Caller, 1)
    assert bine.spawn(functools.partial(pow, 2), 10).join() == 1024
    assert bine.spawn(len, "abc").join() == 3
    assert bine.spawn(dict, a=1).join() == {"a": 1}
    assert bine.spawn(host.echo, 5).join() == 5


def test_a_micro_thread_may_be_the_function_of_none():
    t = bine.spawn(lambda: None)
    raises(TypeError, bine.spawn, t)
    raises(TypeError, type(t))


def test_join_gives_what_the_function_returned_again_and_again():
    result = object()
    t = bine.spawn(lambda: result)
    assert t.join() is result
    assert t.join() is result and t.join(0) is result and t.result is result


def test_join_raises_what_the_function_raised():
    error = ValueError("no")

    def fail():
        raise error
    t = bine.spawn(fail)
    assert raises(ValueError, t.join) is error
    assert raises(ValueError, t.join) is error


def test_the_traceback_of_a_joined_error_names_both_sides():
    import traceback

    def deep():
        raise ValueError("no")

    def outer():
        deep()
    t = bine.spawn(outer)
    error = raises(ValueError, t.join)
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-2:] == ["outer", "deep"], names
    assert "raises" in names


def test_all_joiners_get_the_result():
    t = bine.spawn(lambda: bine.sleep(1) or "done")
    joiners = [bine.spawn(t.join) for _ in range(10)]
    assert [j.join() for j in joiners] == ["done"] * 10


def test_all_joiners_get_the_error():
    def fail():
        bine.sleep(1)
        raise LookupError("no")
    t = bine.spawn(fail)
    joiners = [bine.spawn(t.join) for _ in range(10)]
    errors = {id(raises(LookupError, j.join)) for j in joiners}
    assert len(errors) == 1
    del t, joiners
    assert host.unhandled() == []


def test_joiners_wake_in_the_order_they_came():
    order = []
    t = bine.spawn(bine.sleep, 1)

    def wait(n):
        t.join()
        order.append(n)
    for j in [bine.spawn(wait, n) for n in range(5)]:
        j.join()
    assert order == [0, 1, 2, 3, 4]


def test_joining_oneself_is_refused():
    t = bine.spawn(lambda: bine.current().join())
    error = raises(RuntimeError, t.join)
    assert str(error) == "a micro-thread cannot join itself"


def test_a_join_that_times_out_leaves_it_running():
    t = bine.spawn(lambda: bine.sleep(10) or "late")
    for timeout in (1, 0.5, 0):
        error = raises(bine.Timeout, t.join, timeout)
        assert isinstance(error, TimeoutError)
    raises(bine.Timeout, t.join, timeout=1)
    assert not t.done
    assert t.join(None) == "late"


def test_a_join_in_time_leaves_no_timer_behind():
    t = bine.spawn(lambda: "early")
    assert t.join(100) == "early"
    assert t.join(timeout=100) == "early"


def test_join_with_timeout_none_waits_without_limit():
    t = bine.spawn(lambda: bine.sleep(1e6) or 1)
    assert t.join(timeout=None) == 1


def test_done_tells_whether_it_has_ended():
    t = bine.spawn(lambda: bine.sleep(1))
    assert t.done is False
    bine.pause()
    assert t.done is False
    t.join()
    assert t.done is True


def test_result_of_one_that_lives_is_refused():
    t = bine.spawn(lambda: bine.sleep(1))
    error = raises(RuntimeError, lambda: t.result)
    assert "join()" in str(error)
    t.join()
    assert t.result is None


def test_result_of_a_failed_one_raises_its_error():
    t = bine.spawn(lambda: 1 / 0)
    bine.pause()
    raises(ZeroDivisionError, lambda: t.result)
    del t
    assert host.unhandled() == []


def test_names_come_from_the_function_and_differ():
    def walk():
        pass
    a, b = bine.spawn(walk), bine.spawn(walk)
    prefix = walk.__qualname__
    assert a.name.startswith(prefix) and b.name.startswith(prefix)
    assert a.name != b.name and a.name == a.name


def test_a_name_can_be_set():
    t = bine.spawn(lambda: bine.current().name)
    t.name = "fred"
    assert t.join() == "fred" and t.name == "fred"
    for bad in (None, 1, b"x"):
        raises(TypeError, setattr, t, "name", bad)
    raises(TypeError, delattr, t, "name")
    assert t.name == "fred"


def test_repr_shows_name_and_state():
    t = bine.spawn(lambda: bine.sleep(1))
    t.name = "fred"
    assert repr(t) == "<bine.MicroThread 'fred' ready>"
    bine.pause()
    assert repr(t) == "<bine.MicroThread 'fred' waiting>"
    t.join()
    assert repr(t) == "<bine.MicroThread 'fred' done>"
    assert bine.spawn(lambda: repr(bine.current())).join().endswith("running>")


def test_attributes_cannot_be_added_or_overwritten():
    t = bine.spawn(lambda: None)
    for name in ("done", "result", "join", "other"):
        raises(AttributeError, setattr, t, name, 1)


def test_stack_shows_the_frames_of_a_suspended_one():
    def inner():
        bine.sleep(1)

    def outer():
        inner()
    t = bine.spawn(outer)
    assert t.stack() == []
    bine.pause()
    assert [f.f_code.co_name for f in t.stack()] == ["outer", "inner"]
    t.join()
    assert t.stack() == []


def test_stack_shows_lines_and_locals():
    def waiting():
        secret = 42
        bine.sleep(1)
        return secret
    t = bine.spawn(waiting)
    bine.pause()
    frame, = t.stack()
    assert frame.f_locals["secret"] == 42
    assert frame.f_lineno == waiting.__code__.co_firstlineno + 2
    assert frame.f_back is None
    t.join()
    assert frame.f_locals["secret"] == 42


def test_stack_reaches_through_c_functions():
    def key(x):
        bine.sleep(1)
        return x
    t = bine.spawn(lambda: sorted([2, 1], key=key))
    bine.pause()
    assert [f.f_code.co_name for f in t.stack()] == ["<lambda>", "key"]
    assert t.join() == [1, 2]


def test_stack_of_the_running_one_is_its_own():
    def outer():
        return [f.f_code.co_name for f in bine.current().stack()]
    assert bine.spawn(outer).join() == ["outer"]


def test_stack_shows_one_whose_generator_waits():
    def steps():
        yield bine.sleep(1)
    t = bine.spawn(lambda: list(steps()))
    bine.pause()
    assert [f.f_code.co_name for f in t.stack()] == ["<lambda>", "steps"]
    t.join()


def test_frames_of_a_stack_outlive_their_micro_thread():
    def waiting(n):
        if n > 0:
            return waiting(n - 1)
        bine.sleep(1)
    t = bine.spawn(waiting, 20)
    bine.pause()
    frames = t.stack()
    t.join()
    del t
    assert [f.f_locals["n"] for f in frames] == list(range(20, -1, -1))


def test_current_is_the_running_one():
    t = bine.spawn(lambda: (bine.current(), bine.sleep(1), bine.current()))
    first, _, second = t.join()
    assert first is t and second is t
    assert bine.current() is not t


def test_all_lists_the_living_oldest_first():
    me = bine.current()
    assert bine.all() == [me]
    a = bine.spawn(bine.sleep, 2)
    b = bine.spawn(bine.sleep, 1)
    assert bine.all() == [me, a, b]
    b.join()
    assert bine.all() == [me, a]
    a.join()
    assert bine.all() == [me]


def test_sleep_goes_by_the_hosts_clock():
    order = []

    def nap(seconds):
        bine.sleep(seconds)
        order.append(seconds)
    for t in [bine.spawn(nap, s) for s in (3, 1, 2, 1e-9, 2.5)]:
        t.join()
    assert order == [1e-9, 1, 2, 2.5, 3]


def test_sleep_zero_lets_the_others_have_a_turn():
    ran = []
    bine.spawn(ran.append, 1)
    bine.sleep(0)
    assert ran == [1]


def test_pause_alone_returns():
    for _ in range(1000):
        assert bine.pause() is None


def test_a_micro_thread_lives_on_without_a_handle():
    seen = []

    def work():
        bine.sleep(1)
        seen.append(1)
    bine.spawn(work)
    bine.sleep(2)
    assert seen == [1]


def test_spawns_may_nest_deeply():
    def chain(n):
        return 0 if n == 0 else 1 + bine.spawn(chain, n - 1).join()
    assert chain(300) == 300


def test_ten_thousand_at_once():
    ts = [bine.spawn(lambda n=n: (bine.sleep(1), bine.pause(), n)[2]) for n in range(10000)]
    assert sum(t.join() for t in ts) == sum(range(10000))


def test_weak_references_die_with_the_last_hold():
    t = bine.spawn(bine.sleep, 1)
    gone = []
    ref = weakref.ref(t, lambda _: gone.append(1))
    assert ref() is t
    del t
    assert ref() is not None, "the runtime holds those that live"
    bine.sleep(2)
    assert ref() is None and gone == [1]


def test_micro_threads_are_keys_by_identity():
    a, b = bine.spawn(len, ""), bine.spawn(len, "")
    assert a != b and {a: 1, b: 2}[a] == 1
    assert not inspect.isawaitable(len) and inspect.isawaitable(a)


def test_its_repr_tells_a_cancelled_one_from_a_failed_one():
    def fail():
        raise ValueError
    cancelled = bine.spawn(bine.sleep, 1)
    failed = bine.spawn(fail)
    cancelled.name = failed.name = "t"
    cancelled.cancel()
    bine.sleep(1)
    assert repr(cancelled) == "<bine.MicroThread 't' cancelled>"
    assert repr(failed) == "<bine.MicroThread 't' failed>"
    try:
        failed.join()
    except ValueError:
        pass
