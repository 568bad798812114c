"""Suspends inside C functions that call back: each keeps its own C stack."""
import bine
import functools
import host
import sys


def raises(kind, function, *args):
    try:
        function(*args)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def run_all(function, arguments=range(5)):
    return [t.join() for t in [bine.spawn(function, a) for a in arguments]]


def slow(x):
    bine.pause()
    return x


def test_sorted_with_a_suspending_key():
    assert run_all(lambda n: sorted(range(n, n + 10), key=lambda x: -slow(x))) == [
        list(range(n + 9, n - 1, -1)) for n in range(5)]


def test_sort_with_a_suspending_comparison():
    class Item:
        def __init__(self, x):
            self.x = x

        def __lt__(self, other):
            return slow(self.x) < other.x

    def work(n):
        items = [Item((i * 7 + n) % 20) for i in range(20)]
        items.sort()
        return [i.x for i in items]
    assert run_all(work) == [list(range(20))] * 5


def test_sort_with_cmp_to_key():
    def work(n):
        return sorted([3, 1, 2], key=functools.cmp_to_key(lambda a, b: slow(a) - slow(b)))
    assert run_all(work) == [[1, 2, 3]] * 5


def test_a_list_that_another_sorts_looks_empty_and_its_change_is_noticed():
    items = [3, 1, 2]

    def work():
        items.sort(key=slow)
    t = bine.spawn(work)
    bine.pause()
    assert items == []
    items.append(4)
    assert "modified during sort" in str(raises(ValueError, t.join))


def test_map_filter_reduce_min_max_sum_any():
    def work(n):
        return (list(map(slow, range(n))), list(filter(slow, range(n))), functools.reduce(lambda a, b: slow(a + b), range(n + 1)),
                min([2, 1, 3], key=slow), max([2, 1, 3], key=slow), sum(map(slow, range(n))), any(map(slow, [0, 1])),
                all(map(slow, [1, 0])), dict(map(slow, [(n, n)])), "".join(map(slow, "abc")),
                list(zip(map(slow, "ab"), map(slow, "cd"))), [*map(slow, (n,))])
    for n, got in enumerate(run_all(work)):
        assert got == (list(range(n)), list(range(1, n)), n * (n + 1) // 2, 1, 3, n * (n - 1) // 2, True, False, {n: n},
                       "abc", [("a", "c"), ("b", "d")], [n])


def test_re_sub_with_a_suspending_function():
    import re
    assert run_all(lambda n: re.sub("[a-c]", lambda m: slow(m[0]) + str(n), "abcd")) == [
        f"a{n}b{n}c{n}d" for n in range(5)]


def test_dict_lookups_with_suspending_hash_and_eq():
    class Key:
        def __init__(self, x):
            self.x = x

        def __hash__(self):
            return slow(1)

        def __eq__(self, other):
            return slow(self.x) == other.x
    shared = {}

    def work(n):
        for i in range(3):
            shared[Key((n, i))] = (n, i)
        return [shared[Key((n, i))] for i in range(3)]
    assert run_all(work) == [[(n, i) for i in range(3)] for n in range(5)]
    assert len(shared) == 15


def test_a_dict_changed_while_another_compares_in_it():
    class Key:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            bine.pause()
            return self is other
    shared = {Key(): n for n in range(5)}

    def look(n):
        return shared.get(Key(), "none")

    def change(n):
        shared.clear()
        for i in range(20):
            shared[i] = i
    ts = [bine.spawn(look, 0), bine.spawn(change, 0), bine.spawn(look, 1)]
    assert [t.join() for t in ts] == ["none", None, "none"]


def test_iterating_a_dict_that_another_changes_is_noticed():
    shared = dict.fromkeys(range(5))

    def work():
        for key in shared:
            bine.pause()
    t = bine.spawn(work)
    bine.pause()
    shared[99] = 1
    assert "changed size" in str(raises(RuntimeError, t.join))


def test_descriptors_and_attribute_hooks():
    class Slow:
        def __get__(self, instance, owner):
            return slow(owner.__name__)

        def __set__(self, instance, value):
            slow(None)
            instance.__dict__["value"] = value

        def __set_name__(self, owner, name):
            slow(None)

    class C:
        d = Slow()

        def __getattr__(self, name):
            return slow(name)

        def __setattr__(self, name, value):
            slow(None)
            object.__setattr__(self, name, value)

        def __getattribute__(self, name):
            bine.pause()
            return object.__getattribute__(self, name)

    def work(n):
        c = C()
        c.x = n
        c.d = n
        return c.d, c.x, c.missing, c.__dict__["value"], getattr(c, "other", None)
    assert run_all(work) == [("C", n, "missing", n, "other") for n in range(5)]


def test_metaclasses():
    class Meta(type):
        @classmethod
        def __prepare__(cls, name, bases):
            return slow({"prepared": True})

        def __new__(cls, name, bases, names):
            bine.pause()
            return super().__new__(cls, name, bases, names)

        def __call__(cls, *args):
            bine.pause()
            return super().__call__(*args)

        def __instancecheck__(cls, instance):
            return slow(True)

    def work(n):
        class C(metaclass=Meta):
            def __init_subclass__(cls):
                bine.pause()

            def __init__(self, x):
                self.x = slow(x)

        class D(C):
            pass
        return D(n).x, D.prepared, isinstance(n, C)
    assert run_all(work) == [(n, True, True) for n in range(5)]


def test_operators_and_conversions():
    class Number:
        def __add__(self, other):
            return slow(other)

        def __index__(self):
            return slow(3)

        def __len__(self):
            return slow(2)

        def __bool__(self):
            return slow(True)

        def __str__(self):
            return slow("s")

        def __format__(self, spec):
            return slow(spec)

        def __contains__(self, x):
            return slow(True)

        def __call__(self, x):
            return slow(x)

        def __iter__(self):
            yield slow(1)

        def __getitem__(self, i):
            return slow(i)
    number = Number()

    def work(n):
        return (number + n, [0, 1, 2, 3][number], len(number), not number, f"{number}{number:spec}", n in number, number(n),
                list(number), number[n], "%s" % number, int(range(9)[number]), hex(number))
    assert run_all(work) == [(n, 3, 2, False, "spec", True, n, [1], n, "s", 3, "0x3") for n in range(5)]


def test_json_and_pickle_hooks():
    import json
    import pickle

    class Thing:
        def __reduce__(self):
            return slow, (7,)

    def work(n):
        return (json.loads(json.dumps([{n} if n else 0], default=lambda s: slow(list(s))), parse_int=lambda s: slow(int(s))),
                pickle.loads(pickle.dumps(Thing())))
    assert run_all(work) == [([[n] if n else 0], 7) for n in range(5)]


def test_a_module_whose_body_suspends():
    import os
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "slow_module.py"), "w") as file:
            file.write("import bine\nbine.sleep(1)\nx = 1\nbine.sleep(1)\ny = 2\n")
        sys.path.insert(0, folder)
        try:
            def work():
                import slow_module
                return slow_module.x, slow_module.y
            t = bine.spawn(work)
            bine.sleep(5)
            assert t.join() == (1, 2)
            assert sys.modules["slow_module"].y == 2
        finally:
            sys.path.remove(folder)


def test_modules_that_fail_after_a_suspend():
    import os
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "broken_module.py"), "w") as file:
            file.write("import bine\nbine.sleep(1)\n1 / 0\n")
        sys.path.insert(0, folder)
        try:
            def work():
                import broken_module  # noqa: F401
            raises(ZeroDivisionError, bine.spawn(work).join)
            raises(ZeroDivisionError, bine.spawn(work).join)
            assert "broken_module" not in sys.modules
        finally:
            sys.path.remove(folder)


def test_eval_exec_and_compile():
    def work(n):
        names = {"slow": slow, "n": n}
        exec("x = slow(n)\nfor i in range(3): slow(i)", names)
        return names["x"] + eval("slow(n) + slow(1)", names)
    assert run_all(work) == [2 * n + 1 for n in range(5)]


def test_functools_caches_and_partials():
    @functools.lru_cache(maxsize=2)
    def cached(n):
        return slow(n)

    class C:
        @functools.cached_property
        def p(self):
            return slow(self)

    def work(n):
        return cached(n % 3), functools.partial(slow, n)()
    assert run_all(work) == [(n % 3, n) for n in range(5)]
    assert run_all(lambda c: c.p is c, [C() for _ in range(3)]) == [True] * 3


def test_itertools_chains():
    import itertools

    def work(n):
        return (list(itertools.takewhile(lambda x: slow(x) < n, range(9))), list(itertools.accumulate(range(4), lambda a, b: slow(a + b))),
                [(k, list(g)) for k, g in itertools.groupby([n, n, 9], slow)], list(itertools.starmap(pow, map(slow, [(2, n)]))))
    assert run_all(work) == [(list(range(n)), [0, 1, 3, 6], [(n, [n, n]), (9, [9])], [2 ** n]) for n in range(5)]


def test_ctypes_qsort_with_a_comparison_that_suspends():
    import ctypes
    libc = ctypes.CDLL(None)
    compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    inside = set()
    most = [0]

    def work(n):
        def compare(a, b):
            x, y = a[0], b[0]
            inside.add(n)
            most[0] = max(most[0], len(inside))
            bine.pause()
            return x - y
        numbers = (ctypes.c_int * 16)(*[(i * 7 + n) % 16 for i in range(16)])
        libc.qsort(numbers, 16, ctypes.sizeof(ctypes.c_int), compare_type(compare))
        inside.discard(n)
        return list(numbers)
    assert run_all(work, range(10)) == [list(range(16))] * 10
    assert most[0] == 10


def test_ctypes_callbacks_in_callbacks():
    import ctypes
    libc = ctypes.CDLL(None)
    compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))

    def sort(depth):
        def compare(a, b):
            if depth > 0:
                sort(depth - 1)
            bine.pause()
            return a[0] - b[0]
        numbers = (ctypes.c_int * 3)(3, 1, 2)
        libc.qsort(numbers, 3, 4, compare_type(compare))
        return list(numbers)
    assert run_all(sort, [3, 2, 3]) == [[1, 2, 3]] * 3


def test_ctypes_callbacks_that_raise():
    import ctypes
    libc = ctypes.CDLL(None)
    compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    seen = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda info: seen.append(type(info.exc_value))
    try:
        def work(n):
            def compare(a, b):
                bine.pause()
                raise ValueError(n)
            numbers = (ctypes.c_int * 3)(3, 1, 2)
            libc.qsort(numbers, 3, 4, compare_type(compare))
            return n
        assert run_all(work) == list(range(5))
    finally:
        sys.unraisablehook = hook
    assert seen and set(seen) == {ValueError}


def test_a_cancel_inside_a_ctypes_callback():
    import ctypes
    libc = ctypes.CDLL(None)
    compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    hook = sys.unraisablehook
    sys.unraisablehook = lambda info: None
    try:
        def work():
            numbers = (ctypes.c_int * 3)(3, 1, 2)
            libc.qsort(numbers, 3, 4, compare_type(lambda a, b: bine.sleep(5) or 0))
            bine.pause()
        t = bine.spawn(work)
        bine.pause()
        t.cancel()
        raises(bine.Cancelled, t.join)
    finally:
        sys.unraisablehook = hook


def test_sqlite3_functions_that_suspend():
    import sqlite3

    def work(n):
        db = sqlite3.connect(":memory:")
        db.create_function("slow", 1, lambda x: slow(x) * 2)
        db.execute("create table t(x)")
        db.executemany("insert into t values (?)", [(i + n,) for i in range(10)])
        got = [row[0] for row in db.execute("select slow(x) from t order by x")]
        db.close()
        return got
    assert run_all(work) == [[2 * (i + n) for i in range(10)] for n in range(5)]


def test_sqlite3_aggregates_and_collations_that_suspend():
    import sqlite3

    class Total:
        def __init__(self):
            self.total = slow(0)

        def step(self, x):
            self.total += slow(x)

        def finalize(self):
            return slow(self.total)

    def work(n):
        db = sqlite3.connect(":memory:")
        db.create_aggregate("total_of", 1, Total)
        db.create_collation("backwards", lambda a, b: slow((a < b) - (a > b)))
        db.execute("create table t(x, s)")
        db.executemany("insert into t values (?, ?)", [(i, chr(97 + (i * 7 + n) % 10)) for i in range(10)])
        got = (db.execute("select total_of(x) from t").fetchone()[0],
               "".join(r[0] for r in db.execute("select s from t order by s collate backwards")))
        db.close()
        return got
    assert run_all(work) == [(45, "jihgfedcba")] * 5


def test_sqlite3_functions_that_raise_after_a_suspend():
    import sqlite3

    def work(n):
        db = sqlite3.connect(":memory:")

        def fail(x):
            bine.pause()
            raise ValueError(n)
        db.create_function("fail", 1, fail)
        try:
            db.execute("select fail(1)").fetchall()
        except sqlite3.OperationalError as error:
            return "user-defined function raised exception" in str(error)
        finally:
            db.close()
    assert run_all(work) == [True] * 5


def test_sqlite3_progress_and_trace_hooks_that_suspend():
    import sqlite3

    def work(n):
        db = sqlite3.connect(":memory:")
        seen = []
        db.set_progress_handler(lambda: seen.append(1) or bine.pause() or 0, 10)
        db.set_trace_callback(lambda text: bine.pause())
        got = db.execute("with recursive c(x) as (select 1 union all select x + 1 from c where x < 50) select sum(x) from c").fetchone()
        db.close()
        return got[0], bool(seen)
    assert run_all(work) == [(1275, True)] * 5


def test_xml_parser_callbacks_that_suspend():
    from xml.parsers import expat

    def work(n):
        seen = []
        parser = expat.ParserCreate()
        parser.StartElementHandler = lambda name, attributes: seen.append(slow(name))
        parser.Parse("<a><b/><c><d/></c></a>", True)
        return "".join(seen)
    assert run_all(work) == ["abcd"] * 5


def test_files_in_python_whose_methods_suspend():
    import io

    class Raw(io.RawIOBase):
        def __init__(self):
            self.left = b"abc\ndef\n"

        def readable(self):
            return True

        def readinto(self, buffer):
            bine.pause()
            chunk, self.left = self.left[:3], self.left[3:]
            buffer[:len(chunk)] = chunk
            return len(chunk)

    def work(n):
        return list(io.TextIOWrapper(io.BufferedReader(Raw(), 4), encoding="ascii"))
    assert run_all(work) == [["abc\n", "def\n"]] * 5


def test_weakref_callbacks_and_finalizers():
    import weakref

    class Thing:
        pass
    seen = []

    def work(n):
        thing = Thing()
        weakref.finalize(thing, seen.append, n)
        bine.pause()
        del thing
        bine.pause()
        return n in seen
    assert run_all(work) == [True] * 5


def test_host_calls_inside_callbacks():
    def work(n):
        return sorted([2, 1], key=lambda x: host.from_thread(x))
    assert run_all(work) == [[1, 2]] * 5


def test_deep_c_stacks_interleave():
    def nest(n):
        if n == 0:
            bine.pause()
            return 1
        return sorted([1], key=lambda x: nest(n - 1))[0] + max([0], key=lambda x: bine.pause() or 0)
    assert run_all(nest, [1, 20, 40, 5, 60]) == [1] * 5
