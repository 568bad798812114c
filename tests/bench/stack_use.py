"""Recursions through C, each until CPython puts an end to it; see stack_use.c."""
import ctypes
import functools
import json
import pickle
import re
import sqlite3
import sys
import xml.etree.ElementTree as ElementTree

import bine
import stack


def through_sorted():
    return sorted([1], key=lambda x: through_sorted())


def through_list_sort():
    [2, 1].sort(key=functools.cmp_to_key(lambda a, b: len(through_list_sort())))


def through_re_sub():
    return re.sub("a", lambda m: through_re_sub(), "a")


def through_reduce():
    return functools.reduce(lambda a, b: through_reduce(), [1, 2])


def through_map():
    return list(map(lambda x: through_map(), [1]))


def through_partial():
    return functools.partial(through_partial)()


class Attribute:
    def __getattr__(self, name):
        return getattr(self, name + "x" if len(name) < 9 else "y")

    def __repr__(self):
        return "%r" % (self,)

    def __str__(self):
        return f"{self!s}"

    def __eq__(self, other):
        return self == other

    def __hash__(self):
        return hash((self, 1))

    def __len__(self):
        return len(self)

    def __call__(self):
        return Attribute.__call__.__get__(self)()

    def __iter__(self):
        return iter(sum(self))

    def __reduce__(self):
        return (int, (pickle.dumps(self),))

    def __getitem__(self, i):
        return max(self[i + 1], 2)


class New:
    def __new__(cls):
        return New()


class Init:
    def __init__(self):
        self.more = Init()


def through_exec():
    exec(CODE, {"again": through_exec})


CODE = compile("again()", "<code>", "exec")


def through_eval():
    return eval("again()", {"again": through_eval})


def through_import():
    import builtins
    return builtins.__import__("nothing", {"__name__": Attribute()})


def through_json_default():
    return json.dumps(object(), default=lambda o: through_json_default())


def through_json_hook():
    return json.loads("{}", object_hook=lambda d: through_json_hook())


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def through_qsort():
    array = (ctypes.c_int * 2)(2, 1)
    failed = []

    def compare(a, b):
        try:
            through_qsort()
        except BaseException as error:
            failed.append(error)
        return 0
    ctypes.CDLL(None).qsort(array, 2, ctypes.sizeof(ctypes.c_int), CALLBACK(compare))
    if failed:
        raise failed[0].with_traceback(None)


def through_sqlite():
    connection = sqlite3.connect(":memory:")
    failed = []

    def call():
        try:
            return through_sqlite()
        except BaseException as error:
            failed.append(error)
    connection.create_function("again", 0, call)
    connection.execute("select again()").fetchall()
    if failed:
        raise failed[0].with_traceback(None)


def through_xml():
    class Target:
        def start(self, tag, attributes):
            through_xml()

        def end(self, tag):
            pass

        def data(self, data):
            pass

        def close(self):
            pass
    parser = ElementTree.XMLParser(target=Target())
    parser.feed("<a/>")


def nested(make, depth=100_000):
    value = make(None)
    for _ in range(depth):
        value = make(value)
    return value


LIST = nested(lambda v: [v])
TUPLE = nested(lambda v: (v,))
OTHER = nested(lambda v: [v])
DICT = nested(lambda v: {"a": v})

CASES = [
    through_sorted, through_list_sort, through_re_sub, through_reduce, through_map, through_partial,
    lambda: Attribute().a, lambda: repr(Attribute()), lambda: str(Attribute()), lambda: Attribute() == Attribute(),
    lambda: hash(Attribute()), lambda: len(Attribute()), lambda: Attribute()(), lambda: list(Attribute()),
    lambda: pickle.dumps(Attribute()), lambda: Attribute()[0], New, Init, through_exec, through_eval,
    through_json_default, through_json_hook, through_qsort, through_sqlite, through_xml,
    lambda: repr(LIST), lambda: repr(TUPLE), lambda: LIST == OTHER, lambda: LIST < OTHER, lambda: repr(DICT),
    lambda: json.dumps(LIST), lambda: json.dumps(DICT), lambda: json.loads("[" * 100_000),
    lambda: pickle.dumps(LIST), lambda: hash(TUPLE), lambda: isinstance(1, TUPLE),
    lambda: compile("(" * 199 + ")" * 199, "", "eval"), lambda: compile("-" * 100_000 + "1", "", "eval"),
    lambda: compile("not " * 50_000 + "1", "", "eval"), lambda: compile("lambda:" * 50_000 + "1", "", "eval"),
    lambda: compile("x" + ".x" * 100_000, "", "eval"), lambda: compile("1" + "+1" * 100_000, "", "eval"),
    lambda: compile("1" + "**1" * 50_000, "", "eval"), lambda: compile("[" * 199 + "]" * 199, "", "eval"),
    lambda: compile("f(" * 199 + ")" * 199, "", "eval"), lambda: compile("1 if 1 else " * 50_000 + "1", "", "eval"),
    lambda: compile("x = " * 50_000 + "1", "", "exec"), lambda: compile("if 1: pass\n" + "elif 1: pass\n" * 50_000, "", "exec"),
    lambda: compile("\n".join("\t" * i + "if 1:" for i in range(99)) + "\n" + "\t" * 99 + "pass", "", "exec"),
    lambda: compile("await " * 50_000 + "1", "", "eval"), lambda: compile("a[" * 190 + "]" * 190, "", "eval"),
    lambda: compile("{1:" * 190 + "1" + "}" * 190, "", "eval"), lambda: compile("*" * 1 + "a," * 100_000, "", "exec"),
]


def name_of(case, index):
    if case.__name__ != "<lambda>":
        return case.__name__
    import linecache
    return f"#{index} line {case.__code__.co_firstlineno} {','.join(map(str, case.__code__.co_names[:3]))}"


def measure(case):
    sys.setrecursionlimit(1_000_000)
    stack.reset()
    try:
        case()
        outcome = "fine"
    except BaseException as error:
        outcome = type(error).__name__
    return outcome, stack.used()


only = sys.argv[1:] 
print(f"{sys.version.split()[0]}: {stack.cap()} calls on {stack.size()} bytes", flush=True)
for index, case in enumerate(CASES):
    print(f"{name_of(case, index):44}", end="", flush=True)
    outcome, used = bine.spawn(measure, case).join()
    print(f"{outcome:16} {used:10,} {used / stack.cap():8.0f}", flush=True)
