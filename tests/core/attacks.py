"""What silly or hostile scripts did to their host. Each must end well."""
import bine
import gc
import host
import sys
import threading
import weakref


def test_a_thread_local_freed_while_another_that_used_it_is_suspended():
    def use():
        box[0].x = "old"
        bine.pause()
        bine.pause()
        assert not hasattr(box[0], "x")
        box[0].x = "new"

    def replace():
        old = id(box[0])
        box.clear()
        others = []
        while not box and len(others) < 10000:
            new = threading.local()
            (box if id(new) == old else others).append(new)
        box or box.append(new)
    box = [threading.local()]
    t = bine.spawn(use)
    bine.spawn(replace)
    t.join()


def test_the_last_destructors_of_an_ending_one():
    local = threading.local()
    seen = []

    class Evil:
        def __del__(self):
            seen.append((bine.spawn(int), bine.current()))
            try:
                bine.pause()
            except RuntimeError:
                seen.append("refused")

    class Result:
        def __del__(self):
            local.x = Evil()
    bine.spawn(Result)
    for _ in range(5):
        bine.pause()
    assert seen[0][1] is None and seen[1:] == ["refused"]


def test_threading_enumerate_replaced():
    threading.enumerate = lambda: (1.5, 2.5, 3.5)  # bine_close() looks at it


def test_a_kept_setrecursionlimit_at_exit():
    import atexit
    atexit.register(sys.setrecursionlimit, 500)


def test_descriptors_closed_under_the_loop():
    import os
    os.closerange(3, 256)
    bine.sleep(0.01)


def test_a_subinterpreter_that_imports_bine():
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        import _interpreters as interpreters
    try:
        i = interpreters.create(isolated=False)
    except TypeError:
        i = interpreters.create("legacy")
    bine.spawn(bine.pause)
    try:
        interpreters.run_string(i, "try: import bine\nexcept ImportError: pass\nelse: bine.spawn(int); bine.pause()")
    except Exception:
        pass
    bine.pause()
    interpreters.destroy(i)
    bine.pause()


def test_defaults_of_host_functions_are_their_own():
    kwdefaults = host.add.__kwdefaults__
    kwdefaults["c"] = "no int"
    del kwdefaults["c"]
    assert host.add(1, d=4) == [1, 2, 3, 4]


def test_a_function_that_goes_while_its_name_is_asked_for():
    def make():
        class Callable:
            def __getattr__(self, name):
                bine.pause()
                bine.pause()
                raise AttributeError(name)

            def __call__(self):
                pass
        return Callable()
    t = bine.spawn(make())
    assert "done" in repr(t)


def test_source_that_goes_round_compile():
    import symtable
    try:
        symtable.symtable("(" * 190 + ")" * 190, "f", "exec")
    except (MemoryError, RecursionError):
        pass


def test_marshal_deep():
    import marshal
    assert marshal.loads(b"[\x01\0\0\0" * 1500 + b"N")


def test_compile_in_a_last_destructor():
    class Result:
        def __del__(self):
            compile("(" * 150 + "1" + ")" * 150, "f", "eval")
    bine.spawn(Result)
    bine.pause()
    bine.pause()


def test_bine_imported_again():
    del sys.modules["bine"]
    import bine as again
    assert again.Timeout is bine.Timeout


def test_a_cycle_through_await_is_collected():
    def work():
        return bine.current().__await__()
    t = bine.spawn(work)
    t.join()
    ref = weakref.ref(t)
    del t
    gc.collect()
    assert ref() is None


def test_an_overflow_while_another_makes_an_exception():
    class Slow(Exception):
        def __init__(self, *args):
            bine.sleep(1)

    def waiting():
        try:
            yield 1
        except Slow:
            yield 2

    def throw():
        generator = waiting()
        next(generator)
        return generator.throw(Slow)

    def deep(n):
        return deep(n + 1)

    def overflow():
        try:
            deep(0)
        except RecursionError:
            return "clean"
    thrower = bine.spawn(throw)
    assert bine.spawn(overflow).join() == "clean"
    assert thrower.join() == 2


def test_a_fork_leaves_the_parents_loop_alone():
    import os
    child = os.fork()
    if child == 0:
        os._exit(0 if host.from_thread(1) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert host.from_thread(2) == 2
