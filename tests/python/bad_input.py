"""Arguments that make no sense are refused with a clear message, and nothing else happens."""
import bine
import host


def refused(kind, function, /, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        assert type(error) is kind, error
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def test_spawn_needs_a_function():
    assert refused(TypeError, bine.spawn) == "spawn() needs a function to call"
    assert refused(TypeError, bine.spawn, function=len) == "spawn() needs a function to call"
    for value, kind in ((None, "NoneType"), (5, "int"), ("x", "str"), ([], "list"), ((n for n in ()), "generator")):
        assert refused(TypeError, bine.spawn, value) == f"spawn() needs a function, not {kind}"
    assert bine.all() == [bine.current()]


def test_wrong_arguments_for_the_function_are_its_own_error():
    t = bine.spawn(lambda x: x)
    assert "missing 1 required positional argument: 'x'" in refused(TypeError, t.join)
    t = bine.spawn(lambda: 1, y=1)
    assert "unexpected keyword argument 'y'" in refused(TypeError, t.join)


def test_sleep_takes_a_number():
    for value, kind in (("x", "str"), (None, "NoneType"), ([], "list"), (b"1", "bytes"), ({}, "dict"), (1j, "complex")):
        assert refused(TypeError, bine.sleep, value) == f"the time to sleep must be a number of seconds, not {kind}"


def test_sleep_refuses_what_is_no_number_at_all():
    class Thing:
        pass
    for value in ("x", None, [], b"1", {}, 1j, Thing()):
        refused(TypeError, bine.sleep, value)
    refused(TypeError, bine.sleep)
    refused(TypeError, bine.sleep, 1, 2)
    refused(TypeError, bine.sleep, seconds=1)


def test_sleep_takes_real_by_name_alone():
    refused(TypeError, bine.sleep, 1, True)
    assert refused(TypeError, bine.sleep, 1, really=True) == "sleep() got an unexpected keyword argument 'really'"
    refused(TypeError, bine.sleep, real=True)
    for value in ("x", None, []):
        refused(TypeError, bine.sleep, value, real=True)
    for value in (-1, float("nan")):
        refused(ValueError, bine.sleep, value, real=True)

    class Bad:
        def __bool__(self):
            raise LookupError("mine")
    assert refused(LookupError, bine.sleep, 1, real=Bad()) == "mine"


def test_what_is_no_descriptor_is_refused():
    for wait, name in ((bine.wait_readable, "wait_readable"), (bine.wait_writable, "wait_writable")):
        assert refused(TypeError, wait) == f"{name}() needs a descriptor, or something with a fileno()"
        assert refused(TypeError, wait, 1, 2, 3) == f"{name}() takes at most 2 arguments (3 given)"
        assert refused(TypeError, wait, 1, file=2) == f"{name}() got an unexpected keyword argument 'file'"
        for value in ("x", None, 1.5, [], object()):
            refused(TypeError, wait, value)
        refused(ValueError, wait, -1)
        for value in (2**31, 2**100):
            refused(OverflowError, wait, value)
        for value in (-1, float("nan")):
            assert refused(ValueError, wait, 0, value) == (
                f"timeout must be a non-negative number of seconds, not {value!r}")
        assert refused(TypeError, wait, 0, "x") == "timeout must be a number of seconds or None, not str"

        class Bad:
            def fileno(self):
                return "seven"
        refused(TypeError, wait, Bad())


def test_descriptors_that_cannot_be_watched_are_refused():
    import errno
    import os
    with open(__file__) as regular:
        readable, writable = os.pipe()
        os.close(readable)
        os.close(writable)
        for wait in (bine.wait_readable, bine.wait_writable):
            for fd, code in ((regular, errno.EPERM), (regular.fileno(), errno.EPERM), (readable, errno.EBADF),
                             (10**6, errno.EBADF), (2**31 - 1, errno.EBADF)):
                try:
                    wait(fd, 1)
                    raise AssertionError(fd)
                except OSError as error:
                    assert error.errno == code, (fd, error)


def test_sleep_refuses_negative_and_nan():
    for value in (-1, -0.001, float("nan"), float("-inf"), -10**300):
        assert refused(ValueError, bine.sleep, value) == (
            f"the time to sleep must be a non-negative number of seconds, not {value!r}")


def test_sleep_takes_all_sorts_of_numbers():
    import decimal
    import fractions

    class Index:
        def __index__(self):
            return 2

    class Float:
        def __float__(self):
            return 0.5
    for value in (0, 1, 0.5, True, -0.0, 5e-324, decimal.Decimal("0.1"), fractions.Fraction(1, 3), Index(), Float()):
        bine.sleep(value)


def test_the_error_of_a_numbers_own_conversion_is_kept():
    class Bad:
        def __float__(self):
            raise LookupError("mine")
    assert refused(LookupError, bine.sleep, Bad()) == "'mine'" or True
    assert refused(OverflowError, bine.sleep, 10**400)


def test_a_sleep_for_ever_can_be_cancelled():
    for value in (1e300, float("inf"), 10**18, 9.3e9, 2**63 / 1e9):
        t = bine.spawn(bine.sleep, value)
        bine.pause()
        bine.pause()
        assert not t.done
        t.cancel()
        refused(bine.Cancelled, t.join)


def test_join_takes_one_timeout():
    t = bine.spawn(bine.sleep, 1)
    assert refused(TypeError, t.join, 1, 2) == "join() takes at most 1 argument (2 given)"
    assert refused(TypeError, t.join, 1, timeout=2) == "join() takes at most 1 argument (2 given)"
    assert refused(TypeError, t.join, seconds=1) == "join() got an unexpected keyword argument 'seconds'"
    for value in (-1, float("nan")):
        assert refused(ValueError, t.join, value) == f"timeout must be a non-negative number of seconds, not {value!r}"
    t.join()


def test_join_names_the_wrong_type():
    t = bine.spawn(bine.sleep, 1)
    for value, kind in (("x", "str"), ([], "list"), (1j, "complex")):
        assert refused(TypeError, t.join, value) == f"timeout must be a number of seconds or None, not {kind}"
    t.join()


def test_wait_takes_one_timeout():
    d = host.deferred(1)
    assert refused(TypeError, d.wait, 1, 2) == "wait() takes at most 1 argument (2 given)"
    assert refused(TypeError, d.wait, seconds=1) == "wait() got an unexpected keyword argument 'seconds'"
    refused(ValueError, d.wait, -1)
    host.settle(1)


def test_bad_timeouts_are_refused_even_when_there_is_nothing_to_wait_for():
    t = bine.spawn(len, "")
    t.join()
    refused(ValueError, t.join, -1)
    refused(TypeError, t.join, "x")


def test_join_for_ever_in_seconds():
    t = bine.spawn(lambda: bine.sleep(1) or 5)
    assert t.join(1e300) == 5 and t.join(float("inf")) == 5


def test_timeout_takes_seconds_or_none():
    refused(TypeError, bine.timeout)
    refused(TypeError, bine.timeout, 1, 2)
    refused(TypeError, bine.timeout, limit=1)
    for value in (-1, float("nan")):
        assert refused(ValueError, bine.timeout, value) == f"seconds must be a non-negative number of seconds, not {value!r}"
    with bine.timeout(seconds=5), bine.timeout(1e300), bine.timeout(float("inf")):
        bine.sleep(1)


def test_timeout_names_the_wrong_type():
    for value, kind in (("x", "str"), ([], "list")):
        assert refused(TypeError, bine.timeout, value) == f"seconds must be a number of seconds or None, not {kind}"


def test_functions_without_arguments_take_none():
    for function in (bine.pause, bine.next_frame, bine.time, bine.current, bine.all, bine.current().cancel,
                     bine.current().stack):
        refused(TypeError, function, 1)
        refused(TypeError, function, x=1)


def test_methods_need_their_own_type():
    for function in (bine.MicroThread.join, bine.MicroThread.cancel, bine.MicroThread.stack, bine.Deferred.wait):
        refused(TypeError, function)
        refused(TypeError, function, 5)
    refused(TypeError, bine.Deferred.wait, bine.current())


def test_the_types_cannot_be_changed_or_subclassed():
    for kind in (bine.MicroThread, bine.Deferred, bine.timeout):
        refused(TypeError, setattr, kind, "x", 1)
        refused(TypeError, type, "Sub", (kind,), {})


def test_micro_threads_cannot_be_copied_or_pickled():
    import copy
    import pickle
    t = bine.spawn(len, "")
    refused(TypeError, copy.copy, t)
    refused(TypeError, copy.deepcopy, t)
    refused(TypeError, pickle.dumps, t)
    t.join()
