"""Imports by several micro-threads and OS threads at once: onimport.c, importlock.c."""
import bine
import host
import importlib.machinery
import os
import sys
import tempfile
from runners import KINDS, Run, fails_with, in_turns

FOLDER = tempfile.mkdtemp(prefix="bine-imports-")
sys.path.insert(0, FOLDER)
sys.dont_write_bytecode = True


def module(name, text):
    with open(os.path.join(FOLDER, name + ".py"), "w") as file:
        file.write(text)
    importlib.invalidate_caches()


def until_it_runs(name):
    """A module's file is looked for and read first, by a thread."""
    while name not in sys.modules:
        bine.pause()


def test_two_that_import_one_slow_module_get_the_whole_of_it():
    module("slow", "import bine\nfirst = 1\nbine.sleep(5)\nlast = 2\n")

    def work():
        import slow
        return slow.first, slow.last
    ts = [bine.spawn(work) for _ in range(5)]
    assert [t.join() for t in ts] == [(1, 2)] * 5


def test_it_is_run_once():
    module("once", "import bine, sys\nsys.once = getattr(sys, 'once', 0) + 1\nbine.pause()\n")

    def work():
        import once
        return once
    assert len({id(t.join()) for t in [bine.spawn(work) for _ in range(5)]}) == 1 and sys.once == 1


def test_from_imports_get_the_whole_too():
    module("slowfrom", "import bine\nbine.sleep(5)\nname = 'there'\n")

    def work():
        from slowfrom import name
        return name
    assert [t.join() for t in [bine.spawn(work) for _ in range(3)]] == ["there"] * 3


def test_others_import_other_modules_meanwhile():
    module("long", "import bine\nbine.sleep(50)\n")
    module("short", "x = 1\n")

    def long():
        import long

    def short():
        import short
        return short.x
    t = bine.spawn(long)
    bine.pause()
    assert bine.spawn(short).join() == 1 and not t.done
    t.join()


def test_a_cycle_across_micro_threads_resolves():
    module("cycle_a", "import bine\nbine.sleep(1)\nimport cycle_b\nx = 1\n")
    module("cycle_b", "import bine\nbine.sleep(1)\nimport cycle_a\ny = 2\n")

    def a():
        import cycle_a
        return cycle_a

    def b():
        import cycle_b
        return cycle_b
    ta, tb = bine.spawn(a), bine.spawn(b)
    a, b = ta.join(), tb.join()
    assert a.x == 1 and b.y == 2 and a.cycle_b is b and b.cycle_a is a


def test_a_cycle_of_three():
    for n in range(3):
        module(f"ring{n}", f"import bine\nbine.sleep(1)\nimport ring{(n + 1) % 3}\nx = {n}\n")

    def work(n):
        return __import__(f"ring{n}")
    ts = [bine.spawn(work, n) for n in range(3)]
    for t in ts:
        t.join()
    assert [sys.modules[f"ring{n}"].x for n in range(3)] == [0, 1, 2]


def test_an_os_thread_and_a_micro_thread_import_the_same():
    """Whoever comes first waits inside for the other to be on its way."""
    in_turns()
    for first in KINDS:
        name = f"both_{first}"
        module(name, "import bine, sys\nsys.at_it.set()\nsys.go_on.wait()\nx = 5\n")
        sys.at_it, sys.go_on = bine.Event(), bine.Event()

        def work():
            return __import__(name).x
        runs = [Run(first, work)]
        sys.at_it.wait()
        runs += [Run(kind, work) for kind in KINDS * 2]
        for _ in range(3):
            bine.pause()
        assert not any(run.done for run in runs)
        sys.go_on.set()
        assert [run.outcome() for run in runs] == [5] * 5, first


def test_an_import_that_fails_is_tried_anew_by_the_next():
    """Those that waited for it go on with what there is of the module, as in CPython's threads."""
    module("fails", "import bine, sys\nsys.tries = getattr(sys, 'tries', 0) + 1\nbine.sleep(1)\n1/0\n")

    def work():
        try:
            import fails
        except ZeroDivisionError:
            return "failed"
    ts = [bine.spawn(work)]
    until_it_runs("fails")
    ts += [bine.spawn(work) for _ in range(2)]
    assert ts[0].join() == "failed"
    ts[1].join(), ts[2].join()
    assert "fails" not in sys.modules
    assert work() == "failed" and sys.tries == 2


def test_a_cancelled_importer_leaves_the_module_to_the_next():
    module("cut", "import bine\nbine.sleep(10)\nwhole = True\n")

    def work():
        import cut
        return cut.whole
    first = bine.spawn(work)
    bine.sleep(1)
    first.cancel()
    fails_with(bine.Cancelled, first.join)
    assert [t.join() for t in [bine.spawn(work) for _ in range(3)]] == [True] * 3


def test_one_that_is_cancelled_while_it_waits_for_another_leaves_no_mark():
    module("awaited", "import bine\nbine.sleep(10)\nwhole = True\n")

    def work():
        import awaited
        return awaited.whole
    ts = [bine.spawn(work) for _ in range(4)]
    bine.sleep(1)
    ts[1].cancel()
    ts[2].cancel()
    fails_with(bine.Cancelled, ts[1].join)
    fails_with(bine.Cancelled, ts[2].join)
    assert ts[0].join() is True and ts[3].join() is True
    assert work() is True


def test_a_timeout_around_an_import_that_waits():
    module("limited", "import bine\nbine.sleep(10)\nwhole = True\n")

    def work():
        import limited
        return limited.whole

    def soon():
        with bine.timeout(2):
            return work()
    t = bine.spawn(work)
    until_it_runs("limited")
    fails_with(bine.Timeout, soon)
    assert t.join() is True


def test_a_module_may_spawn_and_join_importers_of_itself():
    """A deadlock in plain threads too: Python finds it, and gives them what there is."""
    module("selfish", "import bine\nbefore = 1\nt = bine.spawn(lambda: __import__('selfish'))\nbine.pause()\n"
           "t.cancel()\nafter = 2\n")
    import selfish
    assert selfish.after == 2


def test_packages_and_their_modules():
    os.mkdir(os.path.join(FOLDER, "pack"))
    module("pack/__init__", "import bine\nbine.pause()\nfrom . import one, two\n")
    module("pack/one", "import bine\nbine.sleep(1)\nfrom . import two\nx = 1\n")
    module("pack/two", "import bine\nbine.sleep(1)\nimport pack.one\ny = 2\n")

    def work(name):
        __import__(name)
        return sys.modules[name]
    ts = [bine.spawn(work, name) for name in ("pack", "pack.one", "pack.two") * 2]
    for t in ts:
        t.join()
    import pack
    assert pack.one.x == 1 and pack.two.y == 2 and pack.two.pack is pack


def test_many_modules_by_many():
    for n in range(20):
        module(f"m{n}", f"import bine\nbine.pause()\n" + (f"import m{n - 1}\n" if n else "") + "x = 1\n")
    runs = [Run(kind, lambda: [__import__(f"m{n}").x for n in reversed(range(20))]) for kind in ("micro",) * 10]
    for run in runs:
        assert run.outcome() == [1] * 20, run.value


def test_tracebacks_of_imports_are_as_python_has_them():
    import traceback
    module("broken", "def f():\n    1/0\nf()\n")
    try:
        import broken
    except ZeroDivisionError as error:
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert names == ["test_tracebacks_of_imports_are_as_python_has_them", "<module>", "f"], names
    try:
        import not_to_be_found
    except ModuleNotFoundError as error:
        assert len(traceback.extract_tb(error.__traceback__)) == 1


def test_module_queue_that_is_imported_anew_has_the_same():
    import queue
    empty = queue.Empty
    for name in "queue", "_queue":
        del sys.modules[name]
    import queue
    assert queue.Empty is empty and queue.SimpleQueue is bine.SimpleQueue


def test_a_spec_without_a_name_does_no_harm():
    import importlib._bootstrap as bootstrap
    for spec in None, 5, object():
        try:
            bootstrap._load_unlocked(spec)
        except AttributeError:
            continue
        raise AssertionError(spec)


class Slowly:
    """Finds modules of FOLDER, but takes its time."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path or [FOLDER], target)
        if spec is not None and (spec.origin or "").startswith(FOLDER):
            bine.sleep(1)
        return spec


def test_a_package_and_its_module_that_are_imported_while_both_are_looked_for():
    """Each has what the other one needs: CPython's threads have a _DeadlockError then."""
    os.mkdir(os.path.join(FOLDER, "both"))
    module("both/__init__", "import both.one\n")
    module("both/one", "import sys\nsys.ones = getattr(sys, 'ones', 0) + 1\nx = 1\n")
    sys.meta_path.insert(0, Slowly)
    ts = [bine.spawn(__import__, name) for name in ("both", "both.one", "both.one", "both")]
    for t in ts:
        assert t.join().one.x == 1
    assert sys.ones == 1


def nobody_waits():
    table = sys.modules["_frozen_importlib"]._blocking_on
    return not getattr(table, "data", table)  # 3.12's is no dict


def test_nobody_has_the_lock_of_a_module_afterwards():
    test_a_package_and_its_module_that_are_imported_while_both_are_looked_for()
    bootstrap = sys.modules["_frozen_importlib"]
    for name in "both", "both.one":
        lock = bootstrap._get_module_lock(name)
        assert lock.owner is None and not lock.count
    assert nobody_waits()


def test_the_hosts_stack_imports_while_the_first_micro_thread_waits_for_an_import():
    """The two have one ident."""
    module("hosts", "x = 1\n")
    module("waits", "import bine, host\nbine.sleep(1)\nhost.on_host(lambda: __import__('hosts'))\nbine.sleep(1)\ny = 2\n")
    t = bine.spawn(__import__, "waits")
    until_it_runs("waits")
    assert __import__("waits").y == 2 and "hosts" in sys.modules
    assert t.join().y == 2 and nobody_waits()
