"""Exceptions in flight, generators and frames across suspends: each micro-thread has its own."""
import bine
import contextlib
import sys


def run_all(function, names="abc"):
    return [t.join() for t in [bine.spawn(function, n) for n in names]]


def raises(kind, function, *args):
    try:
        function(*args)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def test_sys_exc_info_is_ones_own_across_suspends():
    def work(name):
        assert sys.exc_info() == (None, None, None)
        for _ in range(3):
            try:
                raise ValueError(name)
            except ValueError as error:
                for _ in range(3):
                    bine.pause()
                    assert sys.exc_info()[1] is error and error.args == (name,)
            bine.pause()
            assert sys.exc_info() == (None, None, None)
    run_all(work)


def test_a_spawned_one_does_not_see_its_spawners_exception():
    try:
        raise ValueError
    except ValueError:
        assert bine.spawn(sys.exc_info).join() == (None, None, None)
        assert sys.exc_info()[0] is ValueError


def test_an_error_raised_in_a_spawned_one_has_no_foreign_context():
    try:
        raise ValueError
    except ValueError:
        t = bine.spawn(lambda: 1 / 0)
        bine.pause()
        assert sys.exc_info()[0] is ValueError
    error = raises(ZeroDivisionError, t.join)
    assert error.__context__ is None


def test_a_bare_raise_after_a_suspend_raises_ones_own():
    def work(name):
        try:
            try:
                raise ValueError(name)
            except ValueError:
                bine.pause()
                raise
        except ValueError as error:
            return error.args[0]
    assert run_all(work) == ["a", "b", "c"]


def test_contexts_chain_right_across_suspends():
    def work(name):
        try:
            try:
                raise KeyError(name)
            except KeyError:
                bine.pause()
                raise IndexError(name)
        except IndexError as error:
            bine.pause()
            assert error.__context__.args == (name,)
            assert error.__context__.__context__ is None
    run_all(work)


def test_finally_blocks_suspend_with_an_exception_on_its_way():
    done = []

    def work(name):
        try:
            try:
                raise ValueError(name)
            finally:
                for _ in range(3):
                    bine.pause()
                assert sys.exc_info()[1].args == (name,)
                done.append(name)
        except ValueError as error:
            assert error.args == (name,)
    run_all(work)
    assert done == ["a", "b", "c"]


def test_nested_handlers_suspend():
    def work(name):
        try:
            raise KeyError(name, 1)
        except KeyError:
            bine.pause()
            try:
                raise KeyError(name, 2)
            except KeyError:
                bine.pause()
                try:
                    raise KeyError(name, 3)
                except KeyError:
                    bine.pause()
                    assert sys.exc_info()[1].args == (name, 3)
                assert sys.exc_info()[1].args == (name, 2)
            bine.pause()
            assert sys.exc_info()[1].args == (name, 1)
    run_all(work)


def test_handlers_in_deep_calls_suspend():
    def work(name, depth=50):
        try:
            raise ValueError(name, depth)
        except ValueError:
            bine.pause()
            if depth > 0:
                work(name, depth - 1)
            bine.pause()
            assert sys.exc_info()[1].args == (name, depth)
    run_all(work)


def test_exception_groups_split_across_suspends():
    def work(name):
        seen = []
        try:
            raise ExceptionGroup(name, [ValueError(name), KeyError(name), OSError(name)])
        except* ValueError as group:
            bine.pause()
            seen.append(group.exceptions[0].args)
        except* (KeyError, OSError) as group:
            bine.pause()
            assert len(group.exceptions) == 2
            seen.append(group.exceptions[0].args)
        return seen
    assert run_all(work) == [[(n,), (n,)] for n in "abc"]


def test_exit_methods_suspend():
    class Manager:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            bine.pause()
            return self

        def __exit__(self, kind, error, traceback):
            bine.pause()
            assert sys.exc_info()[1] is error and error.args == (self.name,)
            bine.pause()
            return True

    def work(name):
        with Manager(name) as m:
            raise ValueError(name)
        assert sys.exc_info() == (None, None, None)
        return m.name
    assert run_all(work) == ["a", "b", "c"]


def test_contextmanagers_and_exitstacks_suspend():
    @contextlib.contextmanager
    def manager(name):
        bine.pause()
        try:
            yield name
        except ValueError as error:
            bine.pause()
            assert error.args == (name,)
            raise KeyError(name)

    def work(name):
        with contextlib.ExitStack() as stack:
            stack.callback(bine.pause)
            try:
                with manager(name):
                    raise ValueError(name)
            except KeyError as error:
                bine.pause()
                assert error.__context__.args == (name,)
                return name
    assert run_all(work) == ["a", "b", "c"]


def test_locals_stay_across_many_suspends():
    def work(name):
        a, b, c = name, [name], {name: name}
        for n in range(200):
            bine.pause()
            assert a == name and b == [name] * (n + 1) and c == {name: name}
            b.append(a)
    run_all(work)


def test_a_generator_may_be_resumed_by_another():
    def steps():
        for n in range(100):
            bine.pause()
            yield n, bine.current()
    g = steps()

    def one_by_one(name):
        return [next(g) for _ in range(25)]
    got = []

    def turns(name):
        got.append(next(g))
    for name in range(100):
        t = bine.spawn(turns, name)
        t.join()
        assert got[-1][1] is t
    assert [n for n, _ in got] == list(range(100))


def test_a_running_generator_cannot_be_resumed_by_another():
    def steps():
        bine.sleep(1)
        yield 1
    g = steps()
    t = bine.spawn(next, g)
    bine.pause()
    for function in (lambda: next(g), lambda: g.send(None), lambda: g.throw(ValueError), g.close):
        assert str(raises(ValueError, function)) == "generator already executing"
    assert g.gi_running
    assert t.join() == 1
    assert list(g) == []


def test_a_generator_handling_an_exception_may_change_hands():
    def steps():
        try:
            raise KeyError("of the generator")
        except KeyError:
            yield 1
            assert sys.exc_info()[0] is KeyError
            bine.pause()
            assert sys.exc_info()[0] is KeyError
            yield 2
    g = steps()
    assert bine.spawn(next, g).join() == 1
    try:
        raise ValueError
    except ValueError:
        assert sys.exc_info()[0] is ValueError
        assert next(g) == 2
        assert sys.exc_info()[0] is ValueError
    assert bine.spawn(list, g).join() == []


def test_an_exception_thrown_into_a_generator_by_another():
    def steps():
        try:
            yield 1
        except ValueError:
            bine.pause()
            yield "caught"
    g = steps()
    bine.spawn(next, g).join()
    assert bine.spawn(g.throw, ValueError()).join() == "caught"


def test_a_generator_dropped_by_another_is_closed():
    closed = []

    def steps():
        try:
            yield 1
        finally:
            closed.append(bine.current())
    box = [steps()]
    bine.spawn(next, box[0]).join()
    t = bine.spawn(box.clear)
    t.join()
    assert closed == [t]


def test_a_generator_outlives_its_micro_thread():
    def steps():
        for n in range(3):
            bine.pause()
            yield n

    def make():
        g = steps()
        next(g)
        return g
    assert list(bine.spawn(make).join()) == [1, 2]


def test_generators_suspend_in_delegation():
    def inner(name):
        try:
            yield bine.pause() or name
        finally:
            bine.pause()

    def outer(name):
        yield from inner(name)
        bine.pause()
        yield from inner(name * 2)
    assert run_all(lambda name: list(outer(name))) == [["a", "aa"], ["b", "bb"], ["c", "cc"]]


def test_comprehensions_suspend():
    def work(name):
        return ([bine.pause() or name for _ in range(5)], {bine.pause() or name for _ in range(5)},
                {n: bine.pause() for n in range(5)}, list(bine.pause() or n for n in range(3)))
    assert run_all(work) == [([n] * 5, {n}, dict.fromkeys(range(5)), [0, 1, 2]) for n in "abc"]


def test_class_bodies_and_decorators_suspend():
    def decorate(cls):
        bine.pause()
        return cls

    def work(name):
        @decorate
        class C:
            bine.pause()
            x = name
            bine.pause()
            y = [x, x]

            def method(self):
                return self.y
        return C().method()
    assert run_all(work) == [[n, n] for n in "abc"]


def test_lambdas_defaults_and_unpacking_suspend():
    def slow(x):
        bine.pause()
        return x

    def work(name):
        f = lambda a=slow(name), *b, **c: (slow(a), b, c)  # noqa: E731
        return f(*map(slow, [name, 1]), **{slow("k"): slow(2)})
    assert run_all(work) == [(n, (1,), {"k": 2}) for n in "abc"]


def test_tracebacks_show_the_lines_of_suspended_calls():
    import traceback

    def inner(name):
        bine.pause()
        raise ValueError(name)

    def work(name):
        inner(name)
    ts = [bine.spawn(work, n) for n in "abc"]
    for t in ts:
        error = raises(ValueError, t.join)
        names = [f.name for f in traceback.extract_tb(error.__traceback__)]
        assert names[-2:] == ["work", "inner"], names


def test_match_statements_and_assignment_expressions_suspend():
    class Point:
        __match_args__ = ("x", "y")

        @property
        def x(self):
            bine.pause()
            return 1
        y = 2

    def work(name):
        match Point():
            case Point(1, y) if (z := (bine.pause() or name)):
                return y, z
    assert run_all(work) == [(2, "a"), (2, "b"), (2, "c")]


def test_interleaved_handlers_at_random():
    def work(seed):
        state = seed
        for _ in range(300):
            state = (state * 1103515245 + 12345) % 2**31
            try:
                if state % 3:
                    raise ValueError(seed, state)
                bine.pause()
            except ValueError as error:
                if state % 2:
                    bine.pause()
                assert sys.exc_info()[1] is error and error.args == (seed, state)
                try:
                    raise KeyError(seed)
                except KeyError as other:
                    bine.pause()
                    assert other.__context__ is error
            assert sys.exc_info() == (None, None, None)
        return seed
    assert run_all(work, range(1, 31)) == list(range(1, 31))
