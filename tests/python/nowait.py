"""Where waiting is refused: destructors, whatever class they are of, and what the collector calls."""
import abc
import bine
import collections
import contextlib
import ctypes
import dataclasses
import enum
import functools
import gc
import host
import io
import sys
import threading
import types
import typing
import weakref

REFUSED_IN_DEL = "waiting is not possible inside a destructor (__del__)"
REFUSED_IN_COLLECTION = "waiting is not possible inside what the garbage collector calls"

seen = []


def try_to_wait(wait=bine.pause):
    try:
        wait()
        seen.append("waited")
    except RuntimeError as error:
        seen.append(str(error))


def on_del(self):
    try_to_wait()


class Before:
    """A class made before any test: as those of the modules that scripts import."""

    def __del__(self):
        try_to_wait()


def check_refused(make, times=1):
    """The destructor of what `make` returns may not wait; afterwards everybody may."""
    seen.clear()
    make()
    assert seen == [REFUSED_IN_DEL] * times, seen
    bine.pause()
    bine.sleep(1)
    assert bine.spawn(lambda: bine.pause() or 5).join() == 5


# ---- __del__


def test_a_destructor_may_not_wait():
    check_refused(Before)


def test_every_wait_is_refused_in_a_destructor():
    waits = [bine.pause, lambda: bine.sleep(1), bine.spawn(bine.sleep, 1).join, lambda: host.wait_for(1),
             host.deferred(2).wait, lambda: host.sleep_in_c(1), lambda: host.wait_in_c(3)]

    class Thing:
        def __del__(self):
            for wait in waits:
                try_to_wait(wait)
    check_refused(Thing, len(waits))
    host.settle(2)
    host.settle(3)


def test_a_scope_is_not_left_in_a_destructor():
    class Thing:
        def __del__(self):
            try:
                with bine.Scope() as scope:
                    scope.spawn(bine.pause)
                seen.append("waited")
            except RuntimeError as error:
                seen.append(str(error))
    seen.clear()
    Thing()
    assert seen and "waited" not in seen, seen
    bine.pause()


def test_a_destructor_may_spawn_and_cancel():
    class Thing:
        def __del__(self):
            ts.append(bine.spawn(lambda: bine.pause() or 5))
            bine.spawn(bine.sleep, 100).cancel()
    ts = []
    Thing()
    assert ts[0].join() == 5


def test_what_a_destructor_spawned_may_wait():
    class Thing:
        def __del__(self):
            bine.spawn(try_to_wait)
    seen.clear()
    Thing()
    bine.sleep(1)
    assert seen == ["waited"]


def test_inherited_destructors_may_not_wait():
    class Child(Before):
        pass

    class Grandchild(Child):
        def __del__(self):
            super().__del__()

    class Mixed(dict, Child):
        __slots__ = ()
    for make in Child, Grandchild, Mixed:
        check_refused(make)


def test_destructors_of_all_kinds_of_functions():
    class Static:
        @staticmethod
        def __del__():
            try_to_wait()

    class ByClass:
        @classmethod
        def __del__(cls):
            try_to_wait()

    class Partial:
        __del__ = functools.partialmethod(lambda self: try_to_wait())

    class Callable:
        class Function:
            def __call__(self):
                try_to_wait()
        __del__ = Function()
    for make in Static, ByClass, Partial, Callable:
        check_refused(make)


def test_destructors_that_nest():
    class Outer:
        def __init__(self):
            self.inner = Before()

        def __del__(self):
            self.inner = None
            try_to_wait()
    check_refused(Outer, 2)


def test_a_chain_of_thousands_of_destructors():
    class Link:
        def __init__(self, next):
            self.next = next

        def __del__(self):
            try_to_wait()
    for length in 1000, 5000:
        chain = None
        for _ in range(length):
            chain = Link(chain)
        seen.clear()
        del chain
        assert seen == [REFUSED_IN_DEL] * length
        bine.pause()


def test_a_destructor_that_raises_leaves_waits_as_they_were():
    class Thing:
        def __del__(self):
            try_to_wait()
            raise ValueError("in __del__")
    old, sys.unraisablehook = sys.unraisablehook, lambda unraisable: try_to_wait()
    try:
        check_refused(Thing, 2)
    finally:
        sys.unraisablehook = old


def test_a_destructor_that_resurrects_its_object():
    class Thing:
        def __del__(self):
            try_to_wait()
            kept.append(self)
    kept = []
    check_refused(Thing)
    assert len(kept) == 1
    kept.clear()
    bine.pause()


def test_destructors_of_local_variables_of_one_that_is_cancelled():
    def work():
        thing = Before()
        bine.sleep(100)
        return thing
    seen.clear()
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    with contextlib.suppress(bine.Cancelled):
        t.join()
    del t
    gc.collect()
    assert len(seen) == 1 and seen != ["waited"], seen


def test_a_wait_refused_in_one_does_not_hinder_others():
    def work(n):
        for _ in range(n):
            Before()
            bine.pause()
        return n
    seen.clear()
    assert [t.join() for t in [bine.spawn(work, n) for n in range(20)]] == list(range(20))
    assert set(seen) == {REFUSED_IN_DEL} and len(seen) == 190


def test_destructors_on_the_hosts_stack_and_off_it():
    class Thing:
        def __del__(self):
            try_to_wait()
    seen.clear()
    thread = threading.Thread(target=Thing)
    thread.start()
    thread.join()
    assert len(seen) == 1 and "waited" not in seen and "micro-thread" in seen[0], seen


# ---- classes however they are made


class MetaBefore(type):
    def __new__(mcs, name, bases, namespace, **kwargs):
        return super().__new__(mcs, name, bases, namespace)


class MetaPlain(type):
    pass


def test_classes_of_metaclasses_made_before_and_after():
    class MetaAfter(type):
        def __new__(mcs, name, bases, namespace):
            return super().__new__(mcs, name, bases, namespace)

    class MetaOfMeta(MetaBefore):
        def __new__(mcs, name, bases, namespace):
            return type.__new__(mcs, name, bases, namespace)

    class MetaCall(type):
        def __call__(cls, *args):
            return super().__call__(*args)

    class MetaMeta(type):
        def __call__(mcs, *args, **kwargs):
            return super().__call__(*args, **kwargs)

    class MetaByMeta(type, metaclass=MetaMeta):
        pass

    class MetaDict(type):
        @classmethod
        def __prepare__(mcs, name, bases):
            return collections.OrderedDict()
    for meta in (type, MetaBefore, MetaPlain, MetaAfter, MetaOfMeta, MetaCall, MetaByMeta, MetaDict, abc.ABCMeta):
        class Thing(metaclass=meta):
            def __del__(self):
                try_to_wait()

        class Child(Thing):
            pass
        check_refused(Thing)
        check_refused(Child)
        assert type(Thing) is meta and type(Child) is meta


def test_a_function_as_metaclass():
    def meta(name, bases, namespace):
        return type(name, bases, namespace)

    class Thing(metaclass=meta):
        def __del__(self):
            try_to_wait()
    check_refused(Thing)


def test_classes_made_by_calls():
    check_refused(type("Thing", (), {"__del__": on_del}))
    check_refused(type("Thing", (dict,), {"__del__": on_del}))
    check_refused(type.__new__(type, "Thing", (), {"__del__": on_del}))
    check_refused(type.__call__(type, "Thing", (), {"__del__": on_del}))
    check_refused(types.new_class("Thing", (), {}, lambda ns: ns.update(__del__=on_del)))
    check_refused(types.new_class("Thing", (), {"metaclass": MetaBefore}, lambda ns: ns.update(__del__=on_del)))
    check_refused(functools.partial(type, "Thing", (), {"__del__": on_del})())


def test_enumerations():
    class Color(enum.Enum):
        RED = 1

        def __del__(self):
            try_to_wait()
    seen.clear()
    assert Color.RED is Color(1) and Color["RED"].value == 1
    del Color
    gc.collect()
    assert len(seen) == 1 and "waited" not in seen, seen


def test_abstract_classes():
    class Abstract(abc.ABC):
        @abc.abstractmethod
        def work(self): ...

        def __del__(self):
            try_to_wait()

    class Concrete(Abstract):
        def work(self):
            return 5
    try:
        Abstract()
        assert False, "it is abstract"
    except TypeError:
        pass
    check_refused(Concrete)
    Abstract.register(int)
    assert isinstance(5, Abstract)


def test_named_tuples_dataclasses_and_protocols():
    class Point(collections.namedtuple("Point", "x y")):
        def __del__(self):
            try_to_wait()

    @dataclasses.dataclass
    class Data:
        x: int = 0

        def __del__(self):
            try_to_wait()

    @dataclasses.dataclass(slots=True, frozen=True)
    class Slotted:
        x: int = 0

        def __del__(self):
            try_to_wait()

    class Proto(typing.Protocol):
        def __del__(self):
            try_to_wait()

    class ByProto(Proto):
        pass

    T = typing.TypeVar("T")

    class Generic(typing.Generic[T]):
        def __del__(self):
            try_to_wait()
    for make in (lambda: Point(1, 2), Data, Slotted, ByProto, Generic, Generic[int]):
        check_refused(make)


def test_classes_that_derive_from_those_of_c():
    class Pair(ctypes.Structure):
        _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_int)]

        def __del__(self):
            try_to_wait()

    class Either(ctypes.Union):
        _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_char)]

        def __del__(self):
            try_to_wait()

    class File(io.StringIO):
        def __del__(self):
            try_to_wait()

    class Raw(io.RawIOBase):
        def __del__(self):
            try_to_wait()

    class Failure(Exception):
        def __del__(self):
            try_to_wait()

    class Module(types.ModuleType):
        def __del__(self):
            try_to_wait()

    class Local(threading.local):
        def __del__(self):
            try_to_wait()

    class Default(collections.defaultdict):
        def __del__(self):
            try_to_wait()

    class Slots:
        __slots__ = "a", "__weakref__"

        def __del__(self):
            try_to_wait()
    for make in (Pair, Either, File, Raw, Failure, lambda: Module("x"), Local, Default, Slots):
        check_refused(make)
    for base in (int, float, str, bytes, tuple, list, dict, set, frozenset, bytearray, complex, collections.deque,
                 collections.OrderedDict):
        check_refused(type("Thing", (base,), {"__del__": on_del}))


def test_what_type_does_is_what_it_did():
    assert type.__new__(type, "A", (), {}).__name__ == "A"
    assert type(5) is int
    for bad in ((), (1, 2), ("A", (), {}, 1)):
        try:
            type(*bad)
            assert False, bad
        except TypeError:
            pass
    try:
        object.__new__(type, "A", (), {})
        assert False, "is not safe"
    except TypeError as error:
        assert "not safe" in str(error)
    try:
        type.__new__(int, "A", (), {})
        assert False, "int is no metaclass"
    except TypeError:
        pass
    try:
        class Meta(type):
            pass

        class A(metaclass=Meta):
            pass

        class B(metaclass=MetaBefore):
            pass

        class C(A, B):
            pass
        assert False, "a conflict of metaclasses"
    except TypeError as error:
        assert "metaclass conflict" in str(error)
    assert isinstance(type.__new__, types.BuiltinFunctionType)
    assert type.__new__.__self__ is type and MetaPlain.__new__ == type.__new__


def test_classes_are_collected_with_what_holds_them():
    def make():
        class Thing:
            def __del__(self):
                pass
        Thing.self = Thing
        return weakref.ref(Thing)
    refs = [make() for _ in range(10)]
    gc.collect()
    assert not any(ref() for ref in refs)


# ---- the collector


@contextlib.contextmanager
def gc_callback(function):
    gc.callbacks.append(function)
    try:
        yield
    finally:
        gc.callbacks.remove(function)


def make_cycle(cls, **kwargs):
    thing = cls()
    thing.self = thing
    for name, value in kwargs.items():
        setattr(thing, name, value)
    return thing


class Plain:
    pass


def check_collection(times, collect=gc.collect):
    seen.clear()
    collect()
    assert len(seen) == times and all(s.startswith(REFUSED_IN_COLLECTION) for s in seen), seen
    bine.pause()
    bine.sleep(1)
    assert bine.spawn(lambda: bine.pause() or 5).join() == 5


def test_a_gc_callback_may_not_wait():
    with gc_callback(lambda phase, info: try_to_wait()):
        check_collection(2)
        check_collection(2)


def test_every_wait_is_refused_in_a_gc_callback():
    waits = [bine.pause, lambda: bine.sleep(1), bine.spawn(bine.sleep, 1).join, lambda: host.wait_for(1),
             host.deferred(2).wait, lambda: host.sleep_in_c(1), lambda: host.wait_in_c(3)]

    def callback(phase, info):
        if phase == "start":
            for wait in waits:
                try_to_wait(wait)
    with gc_callback(callback):
        check_collection(len(waits))
    host.settle(2)
    host.settle(3)


def test_a_destructor_run_by_the_collector_may_not_wait():
    for _ in range(3):
        make_cycle(Before)
    check_collection(3)


def test_a_weakref_callback_run_by_the_collector_may_not_wait():
    thing = make_cycle(Plain)
    kept = [weakref.ref(thing, lambda ref: try_to_wait())]
    weakref.finalize(thing, try_to_wait)
    del thing
    check_collection(2)
    assert kept[0]() is None


def test_a_generator_closed_by_the_collector_may_not_wait():
    def steps():
        holder = [g]
        try:
            yield holder
        finally:
            try_to_wait()
    g = steps()
    next(g)
    del g
    check_collection(1)


def test_collections_that_begin_by_themselves():
    gc.collect()
    make_cycle(Before)

    def collect():
        old = gc.get_threshold()
        gc.set_threshold(10, 1, 1)
        for _ in range(50):
            [make_cycle(Plain) for _ in range(50)]
            if seen:
                break
        gc.set_threshold(*old)
    check_collection(1, collect)


def test_a_collection_inside_a_destructor():
    class Thing:
        def __del__(self):
            gc.collect()
            try_to_wait()
    make_cycle(Before)
    seen.clear()
    Thing()
    assert len(seen) == 2 and seen[0].startswith(REFUSED_IN_COLLECTION) and seen[1] == REFUSED_IN_DEL, seen
    bine.pause()


def test_a_destructor_inside_a_collection_collects():
    class Thing:
        def __del__(self):
            gc.collect()
            try_to_wait()
    make_cycle(Thing)
    make_cycle(Before)
    check_collection(2)


def test_waits_right_after_a_collection():
    def work():
        make_cycle(Plain)
        gc.collect()
        bine.pause()
        gc.collect()
        bine.sleep(1)
        gc.collect()
        host.sleep_in_c(1)
        gc.collect()
        assert bine.spawn(gc.collect).join() == 0
        gc.collect()
        return bine.spawn(lambda: 5).join()
    assert [t.join() for t in [bine.spawn(work) for _ in range(5)]] == [5] * 5


def test_a_micro_thread_that_ends_right_after_a_collection():
    ts = [bine.spawn(gc.collect) for _ in range(10)]
    for t in ts:
        t.join()
    bine.pause()


def test_a_collection_that_raises_in_a_callback():
    def callback(phase, info):
        raise ValueError("in the callback")
    old, sys.unraisablehook = sys.unraisablehook, lambda unraisable: try_to_wait()
    try:
        with gc_callback(callback):
            check_collection(2)
    finally:
        sys.unraisablehook = old


def test_a_collection_on_another_thread_refuses_nothing_here():
    """The other thread stands inside its collection while micro-threads wait here."""
    def callback(phase, info):
        if threading.current_thread() is thread and phase == "start":
            inside.set()
            go_on.wait()
    inside, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=gc.collect)
    gc.collect()  # this one has collected before
    with gc_callback(callback):
        thread.start()
        inside.wait()
        bine.pause()
        bine.sleep(1)
        assert bine.spawn(lambda: bine.pause() or 5).join() == 5
        seen.clear()
        Before()
        assert seen == [REFUSED_IN_DEL]
        bine.pause()
        go_on.set()
        thread.join()
    bine.pause()
    make_cycle(Before)
    check_collection(1)


def test_many_threads_collect_while_micro_threads_wait():
    def collector():
        while not stop:
            make_cycle(Plain)
            gc.collect(0)

    def work():
        for _ in range(200):
            bine.pause()
            bine.sleep(0)
    stop = []
    threads = [threading.Thread(target=collector) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for t in [bine.spawn(work) for _ in range(5)]:
            t.join()
    finally:
        stop.append(1)
        for thread in threads:
            thread.join()


def test_a_destructor_may_not_wait_though_callbacks_are_cleared():
    old = gc.callbacks[:]
    gc.callbacks.clear()
    try:
        make_cycle(Before)
        seen.clear()
        gc.collect()
        assert seen == [REFUSED_IN_DEL], seen
    finally:
        gc.callbacks[:] = old
