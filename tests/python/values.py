"""Values to the host and back."""
import bine
import host
import math
import sys


def refused(kind, function, *args):
    try:
        function(*args)
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def same(value):
    back = host.echo(value)
    assert back == value and type(back) is type(value), (value, back)


def test_plain_values_come_back():
    for value in (None, True, False, 0, -1, 2**63 - 1, -2**63, 0.0, 1.5, -1e308, 5e-324, "", "x", "ä€😀", b"", b"x", [], {}):
        same(value)


def test_special_floats_come_back():
    assert math.isnan(host.echo(math.nan)) and host.echo(math.inf) == math.inf
    assert math.copysign(1, host.echo(-0.0)) == -1


def test_true_stays_true_and_one_stays_one():
    back = host.echo([True, 1, 1.0, False, 0])
    assert [type(v) for v in back] == [bool, int, float, bool, int]


def test_nul_stays_in_text_and_bytes():
    same("a\0b")
    same(b"a\0b")
    same(["\0", b"\0\0"])


def test_nested_values_come_back():
    same({"a": [1, {"b": [None, [], {}]}], "c": {"d": {"e": b"\xff"}}})


def test_large_values_come_back():
    same(list(range(100000)))
    same({str(n): n for n in range(10000)})
    same("x" * 10**7)
    same(bytes(10**7))


def test_the_order_of_a_dict_is_kept():
    keys = [str(n * 7919 % 1000) for n in range(1000)]
    assert list(host.echo(dict.fromkeys(keys))) == keys


def test_a_tuple_becomes_a_list():
    assert host.echo((1, (2, 3))) == [1, [2, 3]]


def test_values_are_copies():
    value = [[1]]
    back = host.echo(value)
    assert back is not value and back[0] is not value[0]
    back[0].append(2)
    assert value == [[1]]


def test_each_waiter_has_a_copy():
    d = host.deferred(1)
    host.settle(1, [1])
    a, b = d.wait(), d.wait()
    assert a == b == [1] and a is not b


def test_deep_nesting_is_a_clean_error():
    def nest(make):
        value = None
        for _ in range(100000):
            value = make(value)
        return value
    for make in (lambda v: [v], lambda v: (v,), lambda v: {"a": v}):
        refused(RecursionError, host.echo, nest(make))
    sys.setrecursionlimit(10**6)
    refused(RecursionError, host.echo, nest(lambda v: [v]))
    same([1])


def test_moderate_nesting_comes_back():
    value = []
    for _ in range(150):
        value = [value]
    same(value)


def test_a_list_that_contains_itself_is_a_clean_error():
    value = []
    value.append(value)
    refused(RecursionError, host.echo, value)
    table = {}
    table["self"] = table
    refused(RecursionError, host.echo, table)


def test_keys_of_a_dict_are_text():
    for key, kind in ((1, "int"), (None, "NoneType"), (b"x", "bytes"), ((1,), "tuple")):
        assert refused(TypeError, host.echo, {key: 1}) == f"a dict for the host has str keys, not {kind}"
    assert "without NUL" in refused(ValueError, host.echo, {"a\0b": 1})
    refused(UnicodeEncodeError, host.echo, {"\ud800": 1})


def test_other_objects_are_refused():
    class Thing:
        pass
    for value, kind in ((Thing(), "Thing"), (object(), "object"), ({1}, "set"), (1j, "complex"), (bytearray(), "bytearray"),
                        (len, "builtin_function_or_method"), (bine, "module"), (range(3), "range")):
        for nested in (value, [value], {"a": [value]}):
            message = refused(TypeError, host.echo, nested)
            assert message.endswith(f"or one of its own pointers, not {kind}"), message


def test_an_int_of_more_than_64_bits_is_refused():
    for value in (2**63, -2**63 - 1, [10**100]):
        assert "64 bits" in refused(OverflowError, host.echo, value)


def test_text_with_surrogates_is_refused():
    for value in ("\ud800", ["\udfff"]):
        refused(UnicodeEncodeError, host.echo, value)


def test_a_value_that_fails_half_way_leaves_nothing_behind():
    for _ in range(1000):
        refused(TypeError, host.echo, [["x" * 100] * 10, {"a": "b"}, object()])


def test_values_come_from_threads():
    for value in (None, [1, {"a": "ä"}], "x" * 100000):
        assert host.from_thread(value) == value


def test_enum_members_and_subclasses_come_back_plain():
    import collections
    import enum

    class Colour(enum.IntEnum):
        RED = 1
    back = host.echo([Colour.RED, collections.OrderedDict(a=1), collections.namedtuple("P", "x y")(1, 2)])
    assert back == [1, {"a": 1}, [1, 2]] and [type(v) for v in back] == [int, dict, list]
