"""Recursion to the limit ends in a clean exception, never in a crash, and leaves all others whole."""
import bine
import sys

CLEAN = (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError)


def clean(function, *args):
    """Runs it in a micro-thread; it returns or raises one of CLEAN."""
    other = bine.spawn(lambda: [bine.pause() for _ in range(10)] and "other")
    t = bine.spawn(function, *args)
    try:
        result = t.join()
    except CLEAN as error:
        error.__traceback__ = None
        result = error
    assert other.join() == "other"
    assert bine.spawn(depth, 100).join() == 100, "the stack that was used so works again"
    return result


def with_both_limits(function, *args):
    clean(function, *args)
    sys.setrecursionlimit(10**6)
    try:
        clean(function, *args)
        clean(function, *args)
    finally:
        sys.setrecursionlimit(1000)


def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)


def endless():
    return endless() + 1


def nested(n, make):
    value = None
    for _ in range(n):
        value = make(value)
    return value


def test_endless_recursion_is_a_recursionerror():
    assert isinstance(clean(endless), RecursionError)


def test_the_default_limit_is_there_for_use():
    assert bine.spawn(depth, 900).join() == 900


def test_fifty_thousand_deep_with_the_limit_raised():
    sys.setrecursionlimit(60000)
    result = clean(depth, 50000)
    assert result == 50000 or sys.version_info < (3, 12)
    sys.setrecursionlimit(1000)


def test_the_limit_can_be_lowered_after_it_was_raised():
    for limit in (10**6, 1000, 50000, 500):
        sys.setrecursionlimit(limit)
        assert sys.getrecursionlimit() == limit
    assert isinstance(clean(endless), RecursionError)


def test_the_limit_can_be_changed_inside_recursion():
    def down(n):
        if n == 0:
            sys.setrecursionlimit(5000)
            return depth(1500)
        return down(n - 1)
    assert clean(down, 300) == 1500
    sys.setrecursionlimit(1000)


def test_the_limit_may_go_below_the_depth_of_a_suspended_one():
    def down(n):
        if n > 0:
            return down(n - 1)
        bine.sleep(1)
        try:
            return depth(50)
        except RecursionError:
            return "too deep"
    t = bine.spawn(down, 800)
    bine.pause()
    try:
        sys.setrecursionlimit(200)
    except RecursionError:
        pass  # refused, as for the caller's own depth
    try:
        assert t.join() in ("too deep", 50)
    except RecursionError:
        pass
    assert bine.spawn(depth, 100).join() == 100


def test_too_low_a_limit_is_refused():
    def down(n):
        if n > 0:
            return down(n - 1)
        try:
            sys.setrecursionlimit(50)
        except RecursionError:
            return "refused"
    assert clean(down, 200) == "refused"
    for bad in (0, -1):
        try:
            sys.setrecursionlimit(bad)
        except ValueError:
            continue
        raise AssertionError


def test_the_depth_of_one_does_not_count_for_another():
    def down(n):
        if n > 0:
            return down(n - 1)
        bine.sleep(1)
        return "up"
    ts = [bine.spawn(down, 800) for _ in range(20)]
    assert [t.join() for t in ts] == ["up"] * 20


def test_one_spawned_in_recursion_has_depth_of_its_own():
    def down(n):
        return down(n - 1) if n > 0 else bine.spawn(depth, 900).join()
    assert clean(down, 800) == 900


def test_a_chain_of_deep_micro_threads():
    def down(n, levels):
        if n > 0:
            return down(n - 1, levels)
        return 0 if levels == 0 else 1 + bine.spawn(down, 800, levels - 1).join()
    assert clean(down, 800, 30) == 30


def test_two_at_the_limit_at_once():
    reached = []

    def down():
        try:
            down()
        except RecursionError:
            if not reached or reached[-1] != bine.current().name:
                reached.append(bine.current().name)
            bine.pause()
            raise
    ts = [bine.spawn(down) for _ in range(2)]
    for t in ts:
        try:
            t.join()
        except RecursionError:
            pass
    assert len(set(reached)) == 2


def test_pausing_at_every_depth():
    def down():
        bine.pause()
        return down() + 1
    ts = [bine.spawn(down) for _ in range(3)]
    for t in ts:
        try:
            t.join()
        except RecursionError:
            continue
        raise AssertionError


def test_pausing_at_every_depth_of_c_calls():
    def down(n):
        bine.pause()
        return n + sum(map(down, [n + 1]))
    ts = [bine.spawn(down, 0) for _ in range(3)]
    for t in ts:
        try:
            t.join()
        except RecursionError:
            continue
        raise AssertionError


def test_recursionerror_can_be_caught_at_the_bottom():
    def down():
        try:
            return down() + 1
        except RecursionError:
            return 0
    assert clean(down) > 400


def test_repr_of_nested_lists():
    with_both_limits(lambda: repr(nested(100000, lambda v: [v])))


def test_repr_of_nested_dicts_and_tuples():
    with_both_limits(lambda: repr(nested(100000, lambda v: {0: (v,)})))


def test_comparing_nested_lists():
    def compare():
        return nested(100000, lambda v: [v]) == nested(100000, lambda v: [v])
    with_both_limits(compare)


def test_hashing_nested_tuples():
    with_both_limits(lambda: hash(nested(100000, lambda v: (v,))))


def test_freeing_nested_containers():
    def free():
        for make in (lambda v: [v], lambda v: (v,), lambda v: {0: v}, lambda v: iter([v])):
            del make
            nested(100000, lambda v: [v])
        return "freed"
    assert clean(free) == "freed"


def test_sorted_with_a_recursive_key():
    def key(x):
        return sorted([1], key=key)
    with_both_limits(key, 0)


def test_json():
    import json
    with_both_limits(lambda: json.dumps(nested(100000, lambda v: [v])))
    with_both_limits(lambda: json.loads("[" * 100000 + "]" * 100000))
    with_both_limits(lambda: json.loads('{"a":' * 100000))


def test_re_sub_with_a_recursive_function():
    import re

    def sub(match=None):
        return re.sub("a", sub, "a")
    with_both_limits(sub)


def test_functools_reduce():
    import functools

    def step(a, b):
        return functools.reduce(step, [1, 2])
    with_both_limits(step, 1, 2)


def test_getattr_that_asks_itself():
    class Asks:
        def __getattr__(self, name):
            return getattr(self, name + "x")
    with_both_limits(lambda: Asks().a)


def test_operators_that_call_themselves():
    class Loop:
        def __eq__(self, other):
            return self == other

        def __add__(self, other):
            return self + other

        def __call__(self):
            return self()

        def __len__(self):
            return len(self)

        def __iter__(self):
            return iter(self)

        def __str__(self):
            return str(self)

        def __repr__(self):
            return f"{self!r}"

        def __hash__(self):
            return hash(self)

        def __bool__(self):
            return bool(self)
    loop = Loop()
    for function in (lambda: loop == loop, lambda: loop + 1, loop, lambda: len(loop), lambda: iter(loop),
                     lambda: str(loop), lambda: repr(loop), lambda: hash(loop), lambda: bool(loop)):
        with_both_limits(function)


def test_properties_and_class_calls_that_call_themselves():
    class Loop:
        @property
        def p(self):
            return self.p

        def __init__(self):
            Loop.again()

        @classmethod
        def again(cls):
            return cls()
    with_both_limits(Loop)
    with_both_limits(lambda: object.__new__(Loop).p)


def test_type_calls_with_a_metaclass():
    class Meta(type):
        def __call__(cls):
            return cls()
    Loop = Meta("Loop", (), {})
    with_both_limits(lambda: Loop())


def test_deepcopy_and_pickle():
    import copy
    import pickle
    with_both_limits(lambda: copy.deepcopy(nested(100000, lambda v: [v])))
    with_both_limits(lambda: pickle.dumps(nested(100000, lambda v: [v])))


def test_generators_that_delegate_to_themselves():
    def steps():
        yield from steps()
    with_both_limits(lambda: list(steps()))


def test_generators_that_iterate_themselves():
    def steps():
        for x in steps():
            yield x
    with_both_limits(lambda: list(steps()))


def test_coroutines_that_await_themselves():
    async def down():
        return await down()
    with_both_limits(down)


def test_eval_and_exec_nested():
    def down():
        return eval("down()", {"down": down})

    def deeper():
        exec("deeper()", {"deeper": deeper})
    with_both_limits(down)
    with_both_limits(deeper)


def test_compile_nested_parentheses():
    for n in (50, 199, 5000):
        with_both_limits(compile, "(" * n + ")" * n, "x", "eval")
        with_both_limits(compile, "[" * n + "]" * n, "x", "eval")
    assert clean(lambda: eval("(" * 50 + "1" + ")" * 50)) == 1


def test_compile_many_signs():
    with_both_limits(compile, "-" * 100000 + "1", "x", "eval")
    with_both_limits(compile, "~" * 1000 + "1", "x", "eval")


def test_compile_many_nots():
    with_both_limits(compile, "not " * 50000 + "1", "x", "eval")


def test_compile_nested_lambdas():
    with_both_limits(compile, "lambda:" * 5000 + "1", "x", "eval")
    with_both_limits(compile, "lambda:" * 100 + "1", "x", "eval")


def test_compile_long_chains():
    with_both_limits(compile, "a" + ".b" * 100000, "x", "eval")
    with_both_limits(compile, "a" + "()" * 100000, "x", "eval")
    with_both_limits(compile, "a" + "[0]" * 100000, "x", "eval")
    with_both_limits(compile, "1" + "+1" * 100000, "x", "eval")
    with_both_limits(compile, "1" + "**1" * 20000, "x", "eval")
    with_both_limits(compile, "1" + " if 1 else 1" * 20000, "x", "eval")


def test_compile_deep_if_else():
    n = 5000
    source = "if a: pass\n" + "elif a: pass\n" * n + "else: pass\n"
    with_both_limits(compile, source, "x", "exec")


def test_compile_deep_blocks():
    for n in (90, 99, 101):
        source = "".join(" " * i + "if a:\n" for i in range(n)) + " " * n + "pass\n"
        with_both_limits(compile, source, "x", "exec")


def test_compile_nested_functions_and_classes():
    for word in ("def f():", "class C:"):
        source = "".join(" " * i + word + "\n" for i in range(80)) + " " * 80 + "pass\n"
        with_both_limits(compile, source, "x", "exec")


def test_compile_nested_f_strings():
    text = "1"
    for _ in range(3):
        text = "f'{" + text.replace("'", '"') + "}'"
    with_both_limits(compile, text, "x", "eval")


def test_ast_nested_by_hand():
    import ast
    place = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}

    def build():
        node = nested(100000, lambda v: ast.UnaryOp(ast.USub(), v or ast.Constant(1, **place), **place))
        compile(ast.Expression(node), "x", "eval")
    with_both_limits(build)


def test_ast_literal_eval_and_parse():
    import ast
    with_both_limits(lambda: ast.literal_eval("(" * 150 + ")" * 150))
    with_both_limits(lambda: ast.dump(ast.parse("a" + ".b" * 5000)))


def test_isinstance_with_nested_tuples():
    with_both_limits(lambda: isinstance(1, nested(100000, lambda v: (v,)) or ()))


def test_str_join_and_format_that_recurse():
    class Loop:
        def __format__(self, spec):
            return f"{self:{spec}}"
    with_both_limits(lambda: f"{Loop()}")
    with_both_limits(lambda: "{}".format(Loop()))


def test_exceptions_chained_deeply_are_printed():
    import traceback

    def build():
        error = None
        for n in range(50000):
            e = ValueError(n)
            e.__context__ = error
            error = e
        return len("".join(traceback.format_exception(error)))
    with_both_limits(build)


def test_spawn_from_the_deepest_point():
    def down():
        try:
            return down()
        except RecursionError:
            return bine.spawn(depth, 500)
    t = clean(down)
    assert isinstance(t, RecursionError) or t.join() == 500


def test_destructors_that_recurse():
    class Node:
        def __init__(self, next):
            self.next = next

        def __del__(self):
            pass

    def build():
        node = None
        for _ in range(100000):
            node = Node(node)
        del node
        return "freed"
    assert clean(build) == "freed"


# ---- generators: their calls count on top of those of whoever asks for a value


def emit_deep(x, depth):
    return bine.emit(x) if depth == 0 else emit_deep(x, depth - 1)


def raised(function, *args):
    try:
        return "returned", function(*args)
    except BaseException as error:
        return type(error).__name__, str(error)


def test_a_generators_calls_count_on_top_of_its_askers():
    def ask(n):
        return next(g) if n == 0 else ask(n - 1)

    def work():
        while True:
            emit_deep(1, 400)
    g = bine.generate(work)
    assert next(g) == 1
    assert ask(400) == 1
    too_deep = raised(ask, 800)
    assert too_deep[0] == "RecursionError", too_deep
    assert next(g) == 1, "it is as it was"


def test_in_calls_too_deep_for_it_an_abandoned_generator_ends_later():
    def work():
        try:
            emit_deep(1, 400)
        finally:
            log.append("ended")

    def down(n):
        if n > 0:
            return down(n - 1)
        box.clear()
        return list(log)
    log = []
    box = [bine.generate(work)]
    next(box[0])
    assert down(800) == []
    bine.pause()
    assert log == ["ended"]


def test_deep_recursion_in_a_generator_with_the_limit_raised():
    def depth(n):
        return bine.emit("bottom") if n == 0 else depth(n - 1)
    sys.setrecursionlimit(20_000)
    try:
        g = bine.generate(depth, 2500)
        assert next(g) == "bottom"
        sys.setrecursionlimit(1000)
        assert raised(next, g)[0] == "RecursionError"
        sys.setrecursionlimit(20_000)
        assert raised(next, g) == ("StopIteration", "")
    finally:
        sys.setrecursionlimit(1000)
