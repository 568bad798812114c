"""bine.generate(), bine.emit(), pipelines: generators whose values come from any depth, and which are otherwise as
CPython's own."""
import bine
import contextlib
import contextvars
import ctypes
import decimal
import functools
import gc
import host
import itertools
import os
import signal
import sys
import threading
import traceback
import types
import weakref


def raised(function, *args):
    """The type and text of what it raises."""
    try:
        result = function(*args)
    except BaseException as error:
        return type(error).__name__, str(error)
    return "returned", result


def count(n):
    for i in range(n):
        bine.emit(i)


def emit_deep(x, depth):
    return bine.emit(x) if depth == 0 else emit_deep(x, depth - 1)


@contextlib.contextmanager
def unraisable():
    """What comes to sys.unraisablehook meanwhile: type, text, object."""
    told = []
    old = sys.unraisablehook
    sys.unraisablehook = lambda u: told.append((u.exc_type.__name__, str(u.exc_value), repr(u.object)))
    try:
        yield told
    finally:
        sys.unraisablehook = old


# ---- values


def test_it_gives_what_the_function_emits():
    assert list(bine.generate(count, 3)) == [0, 1, 2]


def test_it_gives_what_anything_the_function_calls_emits():
    def walk(n):
        if n > 0:
            walk(n - 1)
            bine.emit(n)
            walk(n - 1)
    assert list(bine.generate(walk, 3)) == [1, 2, 1, 3, 1, 2, 1]
    assert list(bine.generate(emit_deep, "x", 20)) == ["x"]


def test_arguments_and_keywords_reach_the_function():
    def work(a, /, b, *rest, c, **others):
        bine.emit((a, b, rest, c, others))
    assert list(bine.generate(work, 1, 2, 3, c=4, d=5)) == [(1, 2, (3,), 4, {"d": 5})]
    assert list(bine.generate(work, 1, b=2, c=3)) == [(1, 2, (), 3, {})]


def test_a_function_that_emits_nothing():
    assert list(bine.generate(lambda: None)) == []
    assert raised(next, bine.generate(lambda: None)) == ("StopIteration", "")


def test_nothing_runs_before_the_first_next():
    ran = []
    g = bine.generate(ran.append, 1)
    assert ran == []
    assert list(g) == [] and ran == [1]


def test_any_callable_will_do():
    class Work:
        def __call__(self, n):
            count(n)

        def method(self, n):
            count(n)

    for work in (Work(), Work().method, functools.partial(count), types.MethodType(count, 2).__func__):
        assert list(bine.generate(work, 2)) == [0, 1]
    assert list(bine.generate(types.MethodType(count, 2))) == [0, 1]
    assert list(bine.generate(bine.emit, 5)) == [5]
    assert list(bine.generate(map(bine.emit, "abc").__next__)) == ["a"]


def test_builtins_that_look_at_their_caller():
    def namespace(g):
        try:
            next(g)
        except StopIteration as stop:
            return stop.value
    assert namespace(bine.generate(globals)) is globals()
    for builtin in (locals, dir, vars):
        assert raised(namespace, bine.generate(builtin))[0] in ("returned", "SystemError")
    frame = namespace(bine.generate(sys._getframe))
    for look in (repr, traceback.format_stack, lambda f: [getattr(f, name) for name in dir(f)]):
        look(frame)
    del frame
    assert namespace(bine.generate(eval, "len('abc')")) == 3
    assert namespace(bine.generate(__import__, "json")).dumps([]) == "[]"
    assert namespace(bine.generate(bine.spawn, len, "abc")).join() == 3


def mappings():
    with open("/proc/self/maps") as file:
        return list(file)


def test_a_million_values_in_constant_memory():
    def resident():
        if any("libasan" in line or "libtsan" in line for line in mappings()):
            return 0  # a sanitizer keeps what was freed
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    def endless():
        for i in itertools.count():
            emit_deep(i, 3)
    g = bine.generate(endless)
    for _ in itertools.islice(g, 10_000):
        pass
    before = resident(), sys.getallocatedblocks()
    assert sum(1 for _ in itertools.islice(g, 1_000_000)) == 1_000_000
    after = resident(), sys.getallocatedblocks()
    assert after[0] < before[0] + 4096 and after[1] < before[1] + 100, (before, after)


# ---- as CPython's own: the same function with `yield` and with bine.emit(), driven in the same way


SOURCES = {
    "sends": """
        got = EMIT(1)
        log.append(got)
        got = EMIT(2)
        log.append(got)
        return got
    """,
    "catches": """
        while True:
            try:
                EMIT('value')
            except ValueError as e:
                log.append(('caught', str(e), repr(e.__context__)))
                EMIT('handling ' + str(sys.exc_info()[1]))
                log.append(repr(sys.exc_info()[1]))
            finally:
                log.append('finally')
    """,
    "raises": """
        EMIT(1)
        raise KeyError('inside')
    """,
    "raises in handler": """
        try:
            EMIT(1)
        except Exception:
            log.append(repr(sys.exc_info()[1]))
            raise KeyError('from handler')
    """,
    "stops": """
        EMIT(1)
        raise StopIteration(5)
    """,
    "ignores": """
        while True:
            try:
                EMIT(1)
            except GeneratorExit:
                log.append('no')
    """,
    "returns a tuple": """
        EMIT(1)
        return (1, 2)
    """,
    "returns an exception": """
        EMIT(1)
        return ValueError('as a value')
    """,
    "returns at close": """
        try:
            EMIT(1)
        except GeneratorExit:
            return 'closed'
    """,
    "raises at close": """
        try:
            EMIT(1)
        finally:
            log.append(repr(sys.exc_info()[1]))
            raise OSError('while closing')
    """,
    "handles while it emits": """
        try:
            raise LookupError('handled')
        except LookupError:
            EMIT(repr(sys.exc_info()[1]))
            EMIT(repr(sys.exc_info()[1]))
        EMIT(repr(sys.exc_info()[1]))
        raise OSError('later')
    """,
    "nests handlers": """
        try:
            raise LookupError('one')
        except LookupError:
            try:
                raise OSError('two')
            except OSError:
                EMIT(repr(sys.exc_info()[1]))
            EMIT(repr(sys.exc_info()[1]))
    """,
}


def make_both(source, log):
    """The generator function, and a function that gives a Generator."""
    results = []
    for emit in ("(yield {})", "bine.emit({})"):
        text = "def f():\n" + source.strip("\n") + "\n        if 0: (yield)\n" * (emit[1] == "y")
        out, rest = "", text
        while "EMIT(" in rest:
            before, _, rest = rest.partition("EMIT(")
            depth, end = 1, 0
            while depth:
                depth += {"(": 1, ")": -1}.get(rest[end], 0)
                end += 1
            out, rest = out + before + emit.format(rest[:end - 1]), rest[end:]
        space = {"log": log[len(results)], "sys": sys, "bine": bine}
        exec(out + rest, space)
        results.append(space["f"])
    return results[0], lambda: bine.generate(results[1])


def chain_of(error):
    return error and (repr(error), repr(error.__cause__), chain_of(error.__context__), error.__suppress_context__)


def do(log, what, *args):
    try:
        log.append(("gave", repr(what(*args))))
    except BaseException as error:
        value = getattr(error, "value", None)
        log.append(("raised", chain_of(error), repr(value)))
    log.append(repr(sys.exc_info()[1]))


def throwing(g, log):
    do(log, g.throw, ValueError("thrown"))


DRIVERS = {
    "next to the end": lambda g, log: [do(log, next, g) for _ in range(6)],
    "send": lambda g, log: [do(log, g.send, x) for x in (None, "a", "b", "c", None)],
    "send at first": lambda g, log: [do(log, g.send, x) for x in ("a", None, "b")],
    "throw": lambda g, log: [do(log, next, g), throwing(g, log), throwing(g, log), do(log, next, g)],
    "throw at first": lambda g, log: [throwing(g, log), do(log, next, g), throwing(g, log)],
    "throw a class": lambda g, log: [do(log, next, g), do(log, g.throw, ValueError), do(log, next, g)],
    "throw a StopIteration": lambda g, log: [do(log, next, g), do(log, g.throw, StopIteration(7)), do(log, next, g)],
    "throw what is none": lambda g, log: [do(log, next, g), do(log, g.throw, 5), do(log, g.throw, int)],
    "close": lambda g, log: [do(log, next, g), do(log, g.close), do(log, next, g), do(log, g.close)],
    "close at first": lambda g, log: [do(log, g.close), do(log, next, g), throwing(g, log)],
    "close twice": lambda g, log: [do(log, next, g), do(log, next, g), do(log, g.close), do(log, g.close)],
    "yield from": lambda g, log: [do(log, lambda: [*itertools.islice(relay(g, log), 5)]), do(log, next, g)],
    "yield from, thrown into": lambda g, log: through_relay(g, log),
    "in a handler": lambda g, log: in_handler(g, log),
    "unpacked": lambda g, log: [do(log, lambda: [*itertools.islice(g, 3)]), do(log, next, g, "default")],
}


def relay(g, log):
    log.append(repr((yield from g)))


def through_relay(g, log):
    r = relay(g, log)
    do(log, next, r)
    do(log, r.send, "sent")
    throwing(r, log)
    do(log, r.close)
    do(log, next, g)


def in_handler(g, log):
    try:
        raise RuntimeError("outside")
    except RuntimeError:
        for _ in range(2):
            do(log, next, g)
        throwing(g, log)
    do(log, next, g)
    try:
        raise RuntimeError("outside again")
    except RuntimeError:
        do(log, g.close)


def test_it_behaves_as_a_generator_of_cpythons():
    for name, source in SOURCES.items():
        for how, drive in DRIVERS.items():
            logs = [], []
            for make, log in zip(make_both(source, logs), logs):
                g = make()
                with unraisable() as told:
                    with contextlib.suppress(BaseException):
                        drive(g, log)
                    del g
                log.append([t[:2] for t in told])
            assert logs[0] == logs[1], f"{name}, {how}:\n{logs[0]}\n{logs[1]}"
            assert len(logs[0]) > 3


def test_abandoned_it_behaves_as_a_generator_of_cpythons():
    for name, source in SOURCES.items():
        for steps in range(4):
            logs = [], []
            for make, log in zip(make_both(source, logs), logs):
                with unraisable() as told:
                    g = make()
                    with contextlib.suppress(Exception):
                        for _ in range(steps):
                            next(g)
                    del g
                log.append([t[:2] for t in told])
            assert logs[0] == logs[1], f"{name}, {steps}:\n{logs[0]}\n{logs[1]}"


def test_it_is_an_iterator_and_a_generator_to_isinstance_of_the_abcs():
    import collections.abc
    g = bine.generate(count, 1)
    assert iter(g) is g
    assert isinstance(g, collections.abc.Generator) and isinstance(g, collections.abc.Iterator)


def test_the_return_value_comes_with_the_end():
    def work():
        bine.emit(1)
        return {"x": 1}
    g = bine.generate(work)
    next(g)
    try:
        next(g)
    except StopIteration as stop:
        assert stop.value == {"x": 1}
    assert raised(next, g) == ("StopIteration", "")


def test_a_context_manager_can_be_made_of_it():
    def work():
        log.append("in")
        try:
            bine.emit("target")
        finally:
            log.append("out")
    log = []
    with contextlib.contextmanager(lambda: bine.generate(work))() as target:
        assert target == "target" and log == ["in"]
    assert log == ["in", "out"]


def test_an_error_in_the_block_of_such_a_context_manager_comes_in():
    def work():
        try:
            bine.emit("target")
        except ValueError as error:
            log.append(str(error))
    log = []
    with contextlib.contextmanager(lambda: bine.generate(work))():
        raise ValueError("in the block")
    assert log == ["in the block"]


def test_what_throw_takes():
    def work():
        while None not in log:
            try:
                bine.emit(1)
            except BaseException as error:
                log.append(error)
    log = []
    g = bine.generate(work)
    next(g)
    error = KeyError("a")
    for args in ((error,), (KeyError,), (KeyError, error), (KeyError, "b"), (KeyError, None, None), (error, None)):
        g.throw(*args)
    assert log[0] is log[2] is log[5] is error and [str(e) for e in log[1:5:2]] == ["", "'b'"], log
    for args in ((), (error, error), (KeyError, 1, 2), (5,), (int,), (KeyError, 1, None, None)):
        assert raised(g.throw, *args)[0] == "TypeError", args
    assert len(log) == 6
    log.append(None)
    with unraisable():
        del g


def test_locals_of_the_function_stay():
    def work():
        a = 1
        bine.emit(a)
        a += 1
        b = [a]
        bine.emit(b)
        b.append(sorted(locals()))
        bine.emit(b)
    assert list(bine.generate(work))[-1] == [2, ["a", "b"]]


# ---- generator functions


def test_a_generator_function_will_do():
    def plain(n):
        for i in range(n):
            bine.emit(("emitted", i))
            got = yield i
            log.append(got)
        return "end"
    log = []
    g = bine.generate(plain, 2)
    assert [next(g), g.send("ignored"), next(g)] == [("emitted", 0), 0, ("emitted", 1)]
    assert g.send("x") == 1 and log == [None]
    assert raised(g.send, "y") == ("StopIteration", "end") and log == [None, "y"]


def test_a_generator_function_gets_what_is_thrown_and_is_closed():
    def plain():
        while True:
            try:
                yield 1
            except ValueError:
                yield "caught"
            finally:
                log.append("finally")
    log = []
    g = bine.generate(plain)
    next(g)
    assert g.throw(ValueError) == "caught"
    g.close()
    assert log == ["finally"] and raised(next, g) == ("StopIteration", "")


def test_a_generator_function_that_ignores_its_end():
    def plain():
        while not enough:
            try:
                yield 1
            except GeneratorExit:
                pass
    enough = []
    g = bine.generate(plain)
    next(g)
    assert raised(g.close) == ("RuntimeError", "generator ignored GeneratorExit")
    enough.append(1)
    assert raised(next, g) == ("StopIteration", "")


def test_coroutines_and_asynchronous_generators_are_refused():
    async def coroutine():
        pass

    async def asynchronous():
        yield 1
    for function, what in ((coroutine, "a coroutine function"),
                           (asynchronous, "an asynchronous generator function")):
        kind, text = raised(next, bine.generate(function))
        assert kind == "TypeError" and function.__qualname__ in text and text.endswith(what), text


# ---- pipelines


def double(source):
    for x in source:
        bine.emit(2 * x)


def evens(source):
    for x in source:
        if x % 2 == 0:
            yield x


def test_a_pipeline_reads_stage_by_stage():
    assert list(bine.generate(count, 4) | double | double) == [0, 4, 8, 12]
    assert list(bine.generate(count, 5) | evens | double) == [0, 4, 8]
    assert isinstance(bine.generate(count, 1) | double, bine.Generator)


def test_a_stage_pulls_one_value_at_a_time():
    def source():
        for i in range(3):
            log.append(("made", i))
            bine.emit(i)
    log = []
    for x in bine.generate(source) | double | double:
        log.append(("got", x))
    assert log == [("made", 0), ("got", 0), ("made", 1), ("got", 4), ("made", 2), ("got", 8)]


def test_a_stage_that_stops_early_abandons_those_before_it():
    def source():
        try:
            count(100)
        finally:
            log.append("source")

    def middle(before):
        try:
            double(before)
        finally:
            del before
            log.append("middle")

    def first_two(before):
        for x in itertools.islice(before, 2):
            bine.emit(x)
    log = []
    assert list(bine.generate(source) | middle | first_two) == [0, 2]
    assert log == ["source", "middle"] or log == ["middle", "source"], log


def test_an_abandoned_pipeline_is_abandoned_throughout():
    def stage(before, name):
        try:
            for x in before:
                bine.emit(x)
        finally:
            log.append(name)
    log = []
    g = bine.generate(count, 10) | functools.partial(stage, name=1) | functools.partial(stage, name=2)
    assert next(g) == 0 and log == []
    del g
    assert log == [2, 1]


def test_a_long_pipeline_in_constant_memory():
    g = bine.generate(count, 50_000)
    for _ in range(10):
        g = g | double
    for _ in itertools.islice(g, 1000):
        pass
    before = sys.getallocatedblocks()
    assert sum(1 for _ in g) == 49_000
    assert sys.getallocatedblocks() < before + 200


def test_a_stage_must_be_callable():
    g = bine.generate(count, 1)
    for stage, name in ((5, "int"), (None, "NoneType"), (bine.generate(count, 1), "bine.Generator")):
        kind, text = raised(lambda: g | stage)
        assert kind == "TypeError" and text.endswith("not " + name), text
    for left in (5, [], count):
        assert raised(lambda: left | g)[0] == "TypeError"


def test_an_error_of_a_stage_comes_through():
    def fail(source):
        next(source)
        raise ValueError("in the middle")
    assert raised(list, bine.generate(count, 5) | double | fail | double) == ("ValueError", "in the middle")


# ---- through C


def test_emit_through_c_functions():
    def key(x):
        bine.emit(x)
        return -x
    assert list(bine.generate(lambda: [bine.emit(x) for x in sorted([3, 1, 2], key=key)])) == [3, 1, 2, 3, 2, 1]
    assert list(bine.generate(functools.reduce, lambda a, b: bine.emit(a + b) or a + b, range(4))) == [1, 3, 6]
    assert list(bine.generate(lambda: list(map(bine.emit, "xyz")))) == ["x", "y", "z"]
    assert list(bine.generate(lambda: "".join(bine.emit(c) or c for c in "ab"))) == ["a", "b"]


def test_emit_through_a_ctypes_callback():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))

    def compare(a, b):
        bine.emit((a[0], b[0]))
        return a[0] - b[0]

    def work():
        numbers = (ctypes.c_int * 5)(5, 2, 4, 1, 3)
        ctypes.CDLL(None).qsort(numbers, 5, ctypes.sizeof(ctypes.c_int), kind(compare))
        return list(numbers)
    g = bine.generate(work)
    pairs = []
    while True:
        try:
            pairs.append(next(g))
        except StopIteration as stop:
            assert stop.value == [1, 2, 3, 4, 5]
            break
    assert len(pairs) >= 4


def test_emit_through_a_host_function_that_calls_back():
    def through_c(function):
        host.callback = function
        return host.call_back()

    def work():
        log.append(through_c(lambda: bine.emit(1)))
        log.append(through_c(lambda: through_c(lambda: bine.emit(2))))
    log = []
    g = bine.generate(work)
    assert [next(g), g.send("a")] == [1, 2]
    assert raised(g.send, "b") == ("StopIteration", "")
    assert log == ["a", "b"], log


def test_exceptions_through_c_functions():
    def key(x):
        try:
            bine.emit(x)
        except ValueError:
            log.append("key saw it")
            raise

    def work():
        host.callback = lambda: sorted([1, 2], key=key)
        try:
            host.call_back()
        except ValueError as error:
            log.append(str(error))
            bine.emit("handled")
    log = []
    g = bine.generate(work)
    assert next(g) == 1
    assert g.throw(ValueError("through")) == "handled"
    assert log == ["key saw it", "through"]


def test_emit_from_exec_and_eval():
    def work():
        exec("for i in range(3): bine.emit(i)", {"bine": bine})
        return eval("bine.emit('e')", {"bine": bine})
    g = bine.generate(work)
    assert [next(g) for _ in range(4)] == [0, 1, 2, "e"]
    assert raised(g.send, 5) == ("StopIteration", "5")


def test_a_generator_suspended_in_exec_goes_from_one_micro_thread_to_another():
    def deep(g, n):
        return next(g) if n == 0 else deep(g, n - 1)

    def work():
        exec("for i in range(6): bine.emit(i)", {"bine": bine})
        bine.emit("after")
        bine.emit(emit_deep("deep", 8))
    g = bine.generate(work)
    got = [bine.spawn(deep, g, n).join() for n in (0, 6, 2, 8, 1, 4)]
    got.append(next(g))
    got += [bine.spawn(deep, g, n).join() for n in (5, 0)]
    assert got == [0, 1, 2, 3, 4, 5, "after", "deep", None], got


def test_what_is_left_of_the_calls_stays_the_same_whoever_asks():
    def room(n=0):
        try:
            return room(n + 1)
        except RecursionError:
            return n

    def work():
        bine.emit(room())
        exec("bine.emit(0)", {"bine": bine})
        bine.emit(room())

    def deep(n):
        return next(g) if n == 0 else deep(n - 1)
    g = bine.generate(work)
    before = deep(15)
    assert next(g) == 0
    after = deep(15)
    assert abs(before - after) <= 3, (before, after)  # how a call is made decides whether it counts once or twice


# ---- whose part it is


def test_it_runs_as_part_of_whoever_asks():
    def who():
        while True:
            bine.emit((bine.current(), threading.get_ident(), threading.current_thread()))
    g = bine.generate(who)

    def ask():
        return next(g) == (bine.current(), threading.get_ident(), threading.current_thread())
    assert ask()
    assert bine.spawn(ask).join() and bine.spawn(ask).join()


def test_context_variables_are_the_askers():
    var = contextvars.ContextVar("var", default="none")

    def work():
        while True:
            bine.emit(var.get())
            var.set(var.get() + "+")
    g = bine.generate(work)
    assert next(g) == "none"
    var.set("mine")
    assert next(g) == "mine+" and var.get() == "mine+"

    def ask():
        var.set("other")
        return next(g), var.get()
    assert bine.spawn(ask).join() == ("other+", "other+")
    assert var.get() == "mine+"
    assert contextvars.copy_context().run(lambda: next(g)) == "mine++" and var.get() == "mine+"


def test_thread_locals_and_the_decimal_context_are_the_askers():
    local = threading.local()

    def work():
        while True:
            bine.emit((local.x, decimal.getcontext().prec))

    def ask(x):
        local.x = x
        decimal.getcontext().prec = x
        return next(g)
    g = bine.generate(work)
    assert ask(7) == (7, 7)
    assert bine.spawn(ask, 9).join() == (9, 9)
    assert next(g) == (7, 7)
    decimal.getcontext().prec = 28


def test_an_rlock_taken_inside_is_the_askers():
    lock = threading.RLock()

    def work():
        with lock:
            bine.emit(1)
            with lock:
                bine.emit(2)
    for _ in bine.generate(work):
        with lock:
            pass


def test_emit_is_refused_outside():
    outside = ("RuntimeError", "emit() outside of a generator: it is for a function that bine.generate() has called, "
               "and for what that calls")
    assert raised(bine.emit, 1) == outside
    assert bine.spawn(raised, bine.emit, 1).join() == outside

    def work():
        bine.emit(bine.spawn(raised, bine.emit, 1).join())
        bine.emit(raised(bine.spawn(bine.emit, 2).join))
    assert list(bine.generate(work)) == [outside, outside]
    assert raised(bine.emit, 1) == outside
    seen = []
    thread = threading.Thread(target=lambda: seen.append(raised(bine.emit, 1)))
    thread.start()
    thread.join()
    assert seen == [outside]


def test_a_consumer_of_one_generator_is_inside_of_another():
    def outer():
        for x in bine.generate(count, 3):
            bine.emit(("outer", x))
    assert list(bine.generate(outer)) == [("outer", 0), ("outer", 1), ("outer", 2)]


# ---- where emit is refused


def refused(place):
    return "RuntimeError", f"emit() has to suspend, and waiting is not possible inside {place}"


def test_emit_is_refused_in_a_destructor():
    class Thing:
        def __del__(self):
            seen.append(raised(bine.emit, 1))

    def work():
        Thing()
        bine.emit("on")
    seen = []
    assert list(bine.generate(work)) == ["on"]
    assert seen == [refused("a destructor (__del__)")]


def test_emit_is_refused_in_what_the_collector_calls():
    def on_collect(phase, info):
        if phase == "start":
            seen.append(raised(bine.emit, 1))

    def work():
        gc.collect()
        bine.emit("on")
    seen = []
    gc.collect()
    gc.callbacks.append(on_collect)
    try:
        assert list(bine.generate(work)) == ["on"]
    finally:
        gc.callbacks.remove(on_collect)
    assert seen and set(seen) == {refused("what the garbage collector calls: a gc callback, a destructor (__del__)")}


def test_emit_is_refused_in_a_trace_function():
    def trace(frame, event, arg):
        seen.append(raised(bine.emit, 1))

    def work():
        sys.settrace(trace)
        len("")
        (lambda: 1)()
        sys.settrace(None)
        bine.emit("on")
    seen = []
    assert list(bine.generate(work)) == ["on"]
    assert seen and set(seen) == {refused("a trace or profile function")}


def test_emit_is_refused_in_a_switch_hook():
    def hook(micro):
        seen.append(raised(bine.emit, 1))

    def work():
        bine.set_switch_hook(hook)
        bine.pause()
        bine.set_switch_hook(None)
        bine.emit("on")
    seen = []
    assert list(bine.generate(work)) == ["on"]
    assert seen and refused("a switch hook") in seen and {t[0] for t in seen} == {"RuntimeError"}


def test_a_generator_may_be_read_in_a_destructor_a_trace_function_and_a_collection():
    class Thing:
        def __del__(self):
            seen.append(next(g))

    def trace(frame, event, arg):
        seen.append(next(g))

    def on_collect(phase, info):
        seen.append(next(g))
    seen = []
    g = bine.generate(count, 100)
    Thing()
    sys.settrace(trace)
    (lambda: 1)()
    sys.settrace(None)
    gc.callbacks.append(on_collect)
    gc.collect()
    gc.callbacks.remove(on_collect)
    seen.append(next(g))
    assert seen == list(range(len(seen))) and len(seen) >= 5


# ---- waiting, cancelling


def test_it_may_wait_and_its_asker_waits():
    def work():
        for i in range(3):
            bine.sleep(1)
            bine.emit(i)
    log = []

    def ask(name):
        for x in bine.generate(work):
            log.append((name, x))
    ts = [bine.spawn(ask, name) for name in "ab"]
    for t in ts:
        t.join()
    assert sorted(log) == [(n, x) for n in "ab" for x in range(3)] and [x for _, x in log] == [0, 0, 1, 1, 2, 2]


def test_a_cancel_reaches_the_wait_inside_and_goes_through_the_asker():
    def work():
        try:
            bine.sleep(100)
        except bine.Cancelled:
            log.append("inside")
            raise

    def ask():
        try:
            next(g)
        except bine.Cancelled:
            log.append("asker")
            raise
    log = []
    g = bine.generate(work)
    t = bine.spawn(ask)
    bine.pause()
    t.cancel()
    assert raised(t.join)[0] == "Cancelled" and log == ["inside", "asker"]
    assert raised(next, g) == ("StopIteration", "")


def test_a_timeout_of_the_asker_reaches_the_wait_inside():
    def work():
        try:
            bine.sleep(100)
        except bine.Timeout:
            bine.emit("late")
        bine.sleep(1)
        bine.emit("on time")
    g = bine.generate(work)
    with bine.timeout(1):
        assert next(g) == "late"
    assert next(g) == "on time"


def test_one_that_waits_is_executing():
    def work():
        bine.sleep(1)
        bine.emit(1)
    g = bine.generate(work)
    t = bine.spawn(next, g)
    bine.pause()
    busy = ("ValueError", "generator already executing")
    assert g.running and repr(g).endswith("running>")
    assert raised(next, g) == busy and raised(g.send, 1) == busy
    assert raised(g.throw, ValueError) == busy and raised(g.close) == busy
    assert t.join() == 1 and not g.running


def test_one_that_runs_is_executing():
    def work():
        bine.emit([raised(next, g), raised(g.send, None), raised(g.throw, KeyError), raised(g.close), g.running])
    g = bine.generate(work)
    assert next(g) == [("ValueError", "generator already executing")] * 4 + [True]


def test_handed_from_one_micro_thread_to_another():
    def work():
        with contextlib.suppress(ValueError):
            for i in range(100):
                bine.sleep(i % 2)
                emit_deep((i, bine.current()), i % 7)

    def ask(depth):
        return next(g) if depth == 0 else ask(depth - 1)
    g = bine.generate(work)
    for i in range(100):
        t = bine.spawn(ask, i % 11)
        assert t.join() == (i, t)


def test_a_thread_of_the_operating_system_may_not_ask():
    g = bine.generate(count, 3)
    fresh = bine.generate(count, 3)
    next(g)
    seen = []

    def ask():
        for one in (g, fresh):
            for call in (lambda: next(one), lambda: one.send(None), lambda: one.throw(ValueError), one.close, one.stack):
                seen.append(raised(call))
        seen.append(raised(bine.generate, count, 1))
        seen.append(raised(lambda: g | double)[:1])
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    belongs = ("RuntimeError", "a bine.Generator belongs to the thread that runs the host's loop")
    assert seen[:10] == [belongs] * 10
    assert seen[10] == ("RuntimeError", "generate() is for the thread that runs the host's loop")
    assert seen[11] == ("TypeError",)
    assert list(g) == [1, 2] and list(fresh) == [0, 1, 2]


def test_scopes_shields_and_timeouts_inside():
    def work():
        with bine.Scope() as scope:
            t = scope.spawn(bine.sleep, 1)
            bine.emit("in scope")
            t.join()
        with bine.shield(5):
            bine.emit("shielded")
        with bine.timeout(5):
            bine.emit("timed")
    assert list(bine.generate(work)) == ["in scope", "shielded", "timed"]


# ---- depth


def test_recursion_inside_ends_in_a_recursionerror():
    def down():
        return down() + 1
    for _ in range(3):
        assert raised(next, bine.generate(down))[0] == "RecursionError"
    assert list(bine.generate(count, 2)) == [0, 1]


def test_recursion_through_c_inside_ends_in_an_error():
    def down(x):
        return sorted([1], key=down)

    class Loop:
        def __repr__(self):
            return repr(self)
    assert raised(next, bine.generate(down, 1))[0] == "RecursionError"
    assert raised(next, bine.generate(repr, Loop()))[0] == "RecursionError"


def test_recursion_of_generators_ends_in_a_recursionerror():
    def nest():
        for x in bine.generate(nest):
            bine.emit(x)
    assert raised(next, bine.generate(nest))[0] == "RecursionError"

    def nest_by_yield_from():
        yield from bine.generate(nest_by_yield_from)
    assert raised(next, bine.generate(nest_by_yield_from))[0] == "RecursionError"
    assert list(bine.generate(count, 2)) == [0, 1]


def test_the_limit_may_be_raised_inside():
    def depth(n):
        return n and depth(n - 1)

    def work():
        sys.setrecursionlimit(10**6)
        try:
            depth(10**5)
        except (RecursionError, MemoryError):
            pass
        bine.emit(1)
    try:
        g = bine.generate(work)
        assert next(g) == 1
        sys.setrecursionlimit(1000)
        assert list(g) == [] and list(bine.generate(count, 2)) == [0, 1]
    finally:
        sys.setrecursionlimit(1000)


def test_ten_thousand_at_once():
    generators = [bine.generate(count, 3) for _ in range(10_000)]
    assert [next(g) for g in generators] == [0] * 10_000
    assert [next(g) for g in generators] == [1] * 10_000
    for g in generators[::2]:
        g.close()
    del g, generators


def test_one_that_has_not_begun_takes_no_stack():
    def stacks():
        """The address space that all mappings take, but for a sanitizer's own."""
        if any("libasan" in line or "libtsan" in line for line in mappings()):
            return 0
        ends = [line.split()[0].split("-") for line in mappings()]
        return sum(int(high, 16) - int(low, 16) for low, high in ends)
    before = stacks()
    generators = [bine.generate(count, 3) for _ in range(10_000)]
    assert stacks() < before + 100_000_000
    for g in generators[:1000]:
        next(g)
    assert stacks() >= before + 1000 * 64 * 1024 * (before > 0)
    del g, generators


def test_stacks_are_given_back():
    for _ in range(30_000):
        for _ in bine.generate(count, 5):
            break


# ---- abandoning


def test_abandoned_its_finally_blocks_run_at_once():
    def work():
        try:
            emit_deep(1, 5)
        finally:
            log.append(sys.exc_info()[0])
    log = []
    for _ in bine.generate(work):
        break
    assert log == [GeneratorExit]


def test_an_error_while_it_is_abandoned_is_unraisable():
    def work():
        try:
            bine.emit(1)
        finally:
            raise KeyError("late")
    with unraisable() as told:
        g = bine.generate(work)
        next(g)
        del g
    assert [t[:2] for t in told] == [("KeyError", "'late'")] and "bine.Generator" in told[0][2]


def test_abandoned_while_an_exception_is_on_its_way():
    def work():
        try:
            bine.emit(1)
        finally:
            log.append("finally")

    def fail():
        g = bine.generate(work)
        next(g)
        del g
        h = bine.generate(work)
        next(h)
        raise ValueError("first")
    log = []
    try:
        fail()
    except ValueError as error:
        assert str(error) == "first" and error.__context__ is None
        error.__traceback__ = None
    assert log == ["finally", "finally"]


def test_one_that_ignores_its_end_keeps_its_stack():
    def work(n):
        while True:
            try:
                bine.emit(n)
            except GeneratorExit:
                pass
    with unraisable() as told:
        for n in range(10):
            g = bine.generate(work, n)
            next(g)
            frames = g.stack()
            del g
            assert frames[0].f_locals == {"n": n} and frames[0].f_back is None
    assert [t[:2] for t in told] == [("RuntimeError", "generator ignored GeneratorExit")] * 10
    assert list(bine.generate(count, 3)) == [0, 1, 2]


def test_one_taken_up_again_while_it_is_abandoned():
    def work():
        while not enough:
            try:
                bine.emit(1)
            except GeneratorExit:
                pass
    enough = []
    kept = []
    old, sys.unraisablehook = sys.unraisablehook, lambda u: kept.append(u.object)
    try:
        g = bine.generate(work)
        next(g)
        del g
        assert next(kept[0]) == 1
        enough.append(1)
        assert list(kept.pop()) == []
    finally:
        sys.unraisablehook = old


def test_abandoned_on_another_thread_it_ends_on_its_own():
    def work():
        try:
            bine.emit(1)
        finally:
            log.append((threading.get_ident(), bine.current()))
    log = []
    box = [bine.generate(work)]
    next(box[0])
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    while not log:
        bine.pause()
        bine.sleep(0.001)
    assert log == [(threading.get_ident(), None)]


def test_abandoned_its_finally_blocks_may_wait():
    def work():
        try:
            bine.emit(1)
        finally:
            bine.sleep(1)
            log.append("waited")
    log = []
    g = bine.generate(work)
    next(g)
    other = bine.spawn(lambda: bine.sleep(0.5) or log.append("other"))
    del g
    assert log == ["other", "waited"]
    other.join()


def test_a_cycle_of_one_that_has_not_begun_is_collected():
    box = []
    g = bine.generate(count, box)
    box.append(g)
    ref = weakref.ref(g)
    del g, box
    gc.collect()
    assert ref() is None


def test_a_cycle_through_what_holds_it_is_collected_and_it_ends():
    def work():
        try:
            bine.emit(1)
        finally:
            log.append("ended")
    log = []
    box = [bine.generate(work)]
    box.append(box)
    next(box[0])
    ref = weakref.ref(box[0])
    del box
    gc.collect()
    assert log == ["ended"] and ref() is None


def test_a_cycle_through_its_own_frames_is_collected_and_it_ends():
    def work(box):
        mine = box
        try:
            emit_deep(mine[0] and 1, 3)
        finally:
            log.append("ended")
    log = []
    box = []
    box.append(bine.generate(work, box))
    next(box[0])
    ref = weakref.ref(box[0])
    del box
    gc.collect()
    assert log == ["ended"] and ref() is None


def test_what_its_frames_hold_lives_as_long_as_it():
    class Thing:
        pass

    def work():
        thing = Thing()
        thing.self = thing
        refs.append(weakref.ref(thing))
        bine.emit(1)
        bine.emit(thing.self is thing)
    refs = []
    g = bine.generate(work)
    next(g)
    gc.collect()
    assert refs[0]() is not None and next(g) is True
    del g
    gc.collect()
    assert refs[0]() is None


def test_function_and_arguments_are_let_go_at_its_end():
    class Thing:
        pass

    def work(thing, other=None):
        bine.emit(1)
    for end in (list, lambda g: [next(g), g.close()], lambda g: raised(g.throw, ValueError), lambda g: g.close(),
                lambda g: raised(g.throw, ValueError())):
        thing = Thing()
        ref = weakref.ref(thing)
        g = bine.generate(work, thing, other=thing)
        del thing
        end(g)
        gc.collect()
        assert ref() is None and repr(g).endswith("done>")


def test_weak_references():
    g = bine.generate(count, 2)
    ref = weakref.ref(g)
    assert ref() is g and next(ref()) == 0
    del g
    assert ref() is None


def test_left_over_for_the_runtimes_end():
    """Those that nobody has closed end with the runtime, before Python does."""
    def work(path):
        try:
            bine.emit(1)
        finally:
            open(path, "w").close()
    keep = types.ModuleType("keep")
    sys.modules["keep"] = keep
    keep.generators = [bine.generate(count, 3) for _ in range(10)]
    for g in keep.generators:
        next(g)
    keep.fresh = bine.generate(count, 3)
    keep.self = keep


# ---- what one sees of it


def test_names_and_repr():
    class Unnamed:
        def __call__(self):
            pass
    g = bine.generate(count, 1)
    assert g.__name__ == "count" and g.__qualname__ == "count" and repr(g) == "<bine.Generator 'count' new>"
    next(g)
    assert repr(g) == "<bine.Generator 'count' suspended>"
    list(g)
    assert repr(g) == "<bine.Generator 'count' done>"
    local = bine.generate(lambda: 1)
    assert local.__name__ == "<lambda>" and local.__qualname__.endswith("<locals>.<lambda>")
    assert bine.generate(len).__name__ == "len"
    assert bine.generate(Unnamed()).__name__ == "Unnamed"


def test_bad_calls_are_named():
    assert raised(bine.generate) == ("TypeError", "generate() needs a function to call")
    assert raised(bine.generate, 5) == ("TypeError", "generate() needs a function, not int")
    assert raised(bine.emit)[0] == raised(bine.emit, 1, 2)[0] == "TypeError"
    assert raised(bine.Generator)[0] == "TypeError"
    assert raised(next, bine.generate(count))[0] == "TypeError"


def names(frames):
    return [f.f_code.co_name for f in frames]


def test_the_stack_of_one_that_is_suspended():
    g = bine.generate(emit_deep, 1, 2)
    assert g.stack() == []
    next(g)
    assert names(g.stack()) == ["emit_deep"] * 3 and g.stack()[0].f_back is None
    list(g)
    assert g.stack() == []


def test_the_stack_of_one_that_runs_or_waits_is_its_own_part():
    def work():
        inner()

    def inner():
        log.append(names(g.stack()))
        bine.sleep(1)
        bine.emit(1)

    def ask():
        return next(g)
    log = []
    g = bine.generate(work)
    t = bine.spawn(ask)
    bine.pause()
    assert log == [["work", "inner"]] and names(g.stack()) == ["work", "inner"]
    assert names(t.stack()) == ["ask", "work", "inner"]
    t.join()


def test_the_stack_of_a_micro_thread_shows_the_whole_chain():
    def outer():
        for x in bine.generate(middle):
            bine.emit(x)

    def middle():
        yield from bine.generate(innermost)

    def innermost():
        bine.sleep(1)
        bine.emit(5)

    def ask():
        return next(bine.generate(outer))
    t = bine.spawn(ask)
    bine.pause()
    assert names(t.stack()) == ["ask", "outer", "middle", "innermost"]
    assert t.join() == 5


def test_tracebacks_go_through():
    def work():
        bine.emit(1)
        inner()

    def inner():
        raise ValueError("here")

    def ask():
        list(bine.generate(work))
    try:
        ask()
    except ValueError as error:
        frames = [f.name for f in traceback.extract_tb(error.__traceback__)]
        assert frames == ["test_tracebacks_go_through", "ask", "work", "inner"], frames
    reached = []
    list(bine.generate(lambda: reached.extend(f.name for f in traceback.extract_stack())))
    assert reached[-2:] == ["test_tracebacks_go_through", "<lambda>"], reached


def test_frames_that_outlive_it():
    def work():
        kept.append(sys._getframe())
        bine.emit(sys._getframe())
        kept.append(sys._getframe())

    def ask():
        return next(g)
    kept = []
    g = bine.generate(work)
    frame = ask()
    assert frame.f_back is None, "suspended, it has no caller"
    list(g)
    assert kept == [frame, frame]
    del g
    assert frame.f_code.co_name == "work" and "kept" in frame.f_locals
    seen = []
    list(bine.generate(lambda: seen.append(sys._getframe(1).f_code.co_name)))
    assert seen == ["test_frames_that_outlive_it"]


def test_a_trace_function_sees_its_lines():
    def trace(frame, event, arg):
        if frame.f_code in (work.__code__, deep.__code__):
            seen.append((frame.f_code.co_name, event, frame.f_lineno - frame.f_code.co_firstlineno))
        return trace

    def deep():
        bine.emit(1)
        return 5

    def work():
        deep()
        bine.emit(2)
    seen = []
    sys.settrace(trace)
    try:
        assert list(bine.generate(work)) == [1, 2]
    finally:
        sys.settrace(None)
    assert seen == [("work", "call", 0), ("work", "line", 1), ("deep", "call", 0), ("deep", "line", 1),
                    ("deep", "line", 2), ("deep", "return", 2), ("work", "line", 2), ("work", "return", 2)], seen


def test_tracing_that_begins_or_ends_between_two_values():
    def trace(frame, event, arg):
        if frame.f_code is called.__code__:
            seen.append(event)

    def called():
        pass

    def work():
        for i in range(3):
            called()
            emit_deep(i, 2)
    seen = []
    g = bine.generate(work)
    next(g)
    sys.settrace(trace)
    next(g)
    sys.settrace(None)
    next(g)
    assert seen == ["call"]

    def traced():
        sys.settrace(trace)
        bine.emit(1)
        called()
        sys.settrace(None)
        bine.emit(2)
    g = bine.generate(traced)
    next(g)
    called()
    assert seen == ["call", "call"] and sys.gettrace() is trace
    next(g)
    called()
    assert seen == ["call", "call", "call"] and sys.gettrace() is None


def test_a_profile_function_sees_it():
    def profile(frame, event, arg):
        if event == "c_call":
            seen.append(arg.__name__)

    def work():
        bine.emit(1)
        len("")
    seen = []
    sys.setprofile(profile)
    try:
        list(bine.generate(work))
    finally:
        sys.setprofile(None)
    assert seen.count("emit") == 1 and seen.count("len") == 1


def test_a_signal_is_handled_inside():
    def work():
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(1000):
            if got:
                break
        bine.emit(got)
    got = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
    try:
        assert next(bine.generate(work)) == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, old)


# ---- fork


def test_in_the_child_of_a_fork_it_goes_on():
    def work():
        try:
            for i in range(3):
                emit_deep(i, 3)
        finally:
            log.append("ended")
    log = []
    g = bine.generate(work)
    abandoned = bine.generate(work)
    next(g), next(abandoned)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            del abandoned
            os._exit(0 if log == ["ended"] and list(g) == [1, 2] and log == ["ended"] * 2 else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert list(g) == [1, 2] and log == ["ended"]
