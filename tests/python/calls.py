"""Calling host functions: arguments are checked against the signature, with clear errors."""
import host


def refused(kind, message, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        assert type(error) is kind and str(error) == message, (type(error), str(error))
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def test_arguments_by_position_and_by_name():
    assert host.add(1, d=4) == [1, 2, 3, 4]
    assert host.add(1, 5, d=4) == [1, 5, 3, 4]
    assert host.add(a=1, b=5, c=6, d=7) == [1, 5, 6, 7]
    assert host.add(d=7, c=6, b=5, a=1) == [1, 5, 6, 7]
    assert host.add(*[1], **{"d": 2}) == [1, 2, 3, 2]


def test_a_missing_argument():
    refused(TypeError, "one() missing required argument: 'n'", host.one)
    refused(TypeError, "add() missing required argument: 'd'", host.add, 1)
    refused(TypeError, "add() missing required argument: 'a'", host.add, b=1, d=1)


def test_too_many_arguments():
    refused(TypeError, "one() takes at most 1 positional argument (2 given)", host.one, 1, 2)
    refused(TypeError, "add() takes at most 2 positional arguments (4 given)", host.add, 1, 2, 3, 4)
    refused(TypeError, "nothing() takes at most 0 positional arguments (1 given)", host.nothing, 1)


def test_an_unexpected_keyword():
    refused(TypeError, "one() got an unexpected keyword argument 'm'", host.one, 1, m=2)
    refused(TypeError, "one() got an unexpected keyword argument ''", host.one, 1, **{"": 2})
    refused(TypeError, "nothing() got an unexpected keyword argument 'x'", host.nothing, x=1)


def test_multiple_values():
    refused(TypeError, "one() got multiple values for argument 'n'", host.one, 1, n=2)


def test_keyword_only_and_positional_only():
    assert host.first(1) == [1, 0] and host.first(1, 2) == [1, 2] and host.first(1, b=3) == [1, 3]
    refused(TypeError, "first() got the positional-only argument 'a' passed as keyword", host.first, a=1)
    refused(TypeError, "add() takes at most 2 positional arguments (3 given)", host.add, 1, 2, 3, d=4)


def test_wrong_types_are_named():
    class Thing:
        pass
    for function, name, wanted, wrong in (
            (host.one, "one", "int", ("1", 1.0, None, [], {}, b"1", (), Thing())),
            (host.text, "text", "str", (1, b"x", None, ["x"], Thing())),
            (host.data, "data", "bytes", ("x", 1, None, bytearray(b"x"), memoryview(b"x"))),
            (host.flag, "flag", "bool", (1, 0, "True", None)),
            (host.items, "items", "list", ((), {}, "x", None, range(3))),
            (host.table, "table", "dict", ([], None, "x", [(1, 2)]))):
        for value in wrong:
            kind = "None" if value is None else type(value).__name__
            refused(TypeError, f"{name}() argument '{'n' if name == 'one' else 'x'}' must be {wanted}, not {kind}", function, value)


def test_the_right_types_pass():
    assert host.one(1) == [1] and host.text("x") == ["x"] and host.data(b"x") == [b"x"]
    assert host.flag(True) == [True] and host.items([1]) == [[1]] and host.table({"a": 1}) == [{"a": 1}]
    assert host.nothing() is None and host.anything(None) == [None] and host.anything([1]) == [[1]]


def test_subclasses_pass():
    import enum

    class Text(str):
        pass

    class Level(enum.IntEnum):
        HIGH = 3
    assert host.text(Text("x")) == ["x"] and type(host.text(Text("x"))[0]) is str
    assert host.one(Level.HIGH) == [3] and type(host.one(Level.HIGH)[0]) is int


def test_a_bool_is_an_int_but_an_int_no_bool():
    assert host.one(True)[0] == 1
    refused(TypeError, "flag() argument 'x' must be bool, not int", host.flag, 1)


def test_a_float_takes_an_int():
    assert host.half(3) == 1.5 and host.half(3.0) == 1.5
    refused(TypeError, "half() argument 'x' must be float, not str", host.half, "3")
    refused(OverflowError, "half() argument 'x' does not fit in a float", host.half, 10**400)


def test_a_float_takes_a_bool_as_an_int_does():
    assert host.half(True) == 0.5


def test_floats_of_all_kinds_come_through():
    import math
    inf = float("inf")
    assert host.half(inf) == inf and host.half(-inf) == -inf and math.isnan(host.half(float("nan")))
    assert math.copysign(1, host.half(-0.0)) == -1 and host.half(5e-324) == 0.0


def test_a_result_of_float_takes_an_int():
    result = host.whole(3)
    assert result == 3.0 and type(result) is float


def test_ints_have_64_bits():
    for n in (0, -1, 2**63 - 1, -2**63, 2**31, 2**32):
        assert host.one(n) == [n]
    for n in (2**63, -2**63 - 1, 10**100):
        refused(OverflowError, "one() argument 'n' does not fit in 64 bits", host.one, n)


def test_unions():
    assert host.maybe() == [None] and host.maybe(None) == [None] and host.maybe(5) == [5]
    refused(TypeError, "maybe() argument 'x' must be int | None, not str", host.maybe, "x")
    assert [host.either(v) for v in ("x", 5, None)] == [["x"], [5], [None]]
    refused(TypeError, "either() argument 'x' must be int | str | None, not float", host.either, 1.0)
    refused(OverflowError, "either() argument 'x' does not fit in 64 bits", host.either, 2**64)


def test_text_with_surrogates_is_refused():
    for text in ("\ud800", "abc\udfff"):
        try:
            host.text(text)
        except UnicodeEncodeError as error:
            assert "surrogates not allowed" in str(error)
        else:
            raise AssertionError


def test_text_of_all_kinds_comes_through():
    for text in ("", "\0", "a\0b", "ä€😀", "\uffff", "x" * 10**6):
        assert host.text(text) == [text]


def test_defaults_are_filled_in():
    assert host.first(1) == [1, 0] and host.maybe() == [None]


def test_names_need_not_be_interned():
    name = "".join(["n"])
    assert host.one(**{name: 1}) == [1]


def test_reading_an_argument_as_another_kind_raises():
    assert host.read_as_int(5) == 5
    refused(TypeError, "read_as_int(): the host reads argument 'x' as int, but it is str", host.read_as_int, "5")
    refused(TypeError, "read_as_int(): the host reads argument 'x' as int, but it is NoneType", host.read_as_int, None)
    try:
        host.read_as_int(2**70)
    except OverflowError:
        pass
    else:
        raise AssertionError


def test_the_first_answer_counts():
    assert host.answer_twice() == 1


def test_builtin_exceptions_of_the_host():
    refused(ValueError, "too far", host.raises, "ValueError", "too far")
    refused(ZeroDivisionError, "100 % wrong %s", host.raises, "ZeroDivisionError", "100 % wrong %s")
    refused(SystemError, "raises(): the host raises 'Nonsense', which is no builtin exception: x", host.raises, "Nonsense", "x")
    refused(SystemError, "raises(): the host raises 'print', which is no builtin exception: x", host.raises, "print", "x")


def test_a_positive_status_is_a_systemerror():
    refused(SystemError, "status(): the host returned 7, which is no status", host.status, 7)
    assert host.status(0) is None


def test_calls_from_all_sides():
    import functools
    import operator
    assert list(map(host.one, [1, 2])) == [[1], [2]]
    assert functools.partial(host.add, 1)(d=2) == [1, 2, 3, 2]
    assert operator.call(host.one, 3) == [3] if hasattr(operator, "call") else True
    assert host.one.__call__(4) == [4]

    class Holder:
        one = host.one
    assert Holder().one(5) == [5], "a host function does not bind"


def test_host_functions_cannot_be_made_or_changed_by_scripts():
    kind = type(host.one)
    for bad in (lambda: kind(), lambda: setattr(host.one, "__name__", "x"), lambda: setattr(kind, "x", 1)):
        try:
            bad()
        except (TypeError, AttributeError):
            continue
        raise AssertionError
