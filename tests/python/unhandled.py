"""Where a micro-thread's exception goes: to a joiner, or to the host, exactly once."""
import bine
import gc
import host
import linecache
import sys


def fail(error=ValueError("no")):
    raise error


def test_a_joined_error_is_not_reported():
    t = bine.spawn(fail)
    try:
        t.join()
    except ValueError:
        pass
    del t
    gc.collect()
    bine.pause()
    assert host.unhandled() == []


def test_an_error_is_reported_once_when_the_last_handle_goes():
    t = bine.spawn(fail)
    u = t
    bine.sleep(1)
    assert t.done and host.unhandled() == []
    del t
    bine.pause()
    assert host.unhandled() == []
    del u
    assert host.unhandled() == [], "only at a turn to come"
    bine.pause()
    assert host.unhandled() == ["ValueError"]
    bine.sleep(1)
    assert host.unhandled() == []


def test_without_a_handle_an_error_is_reported_when_it_ends():
    bine.spawn(fail)
    bine.pause()
    bine.pause()
    assert host.unhandled() == ["ValueError"]


def test_a_join_that_timed_out_does_not_handle_the_error():
    def late():
        bine.sleep(5)
        raise ValueError("late")
    t = bine.spawn(late)
    try:
        t.join(1)
    except bine.Timeout:
        pass
    bine.sleep(10)
    del t
    gc.collect()
    bine.pause()
    assert host.unhandled() == ["ValueError"]


def test_an_awaited_error_is_not_reported():
    async def main():
        try:
            await bine.spawn(fail)
        except ValueError:
            return "caught"
    assert bine.spawn(main).join() == "caught"
    gc.collect()
    bine.pause()
    assert host.unhandled() == []


def test_a_report_tells_type_message_and_frames():
    class Mine(Exception):
        pass

    def outer():
        fail(Mine("the message"))
    t = bine.spawn(outer)
    bine.pause()
    del t
    bine.pause()
    (kind, message, text), = host.reports()
    assert kind.endswith("Mine") and message == "the message"
    assert "in outer" in text and "in fail" in text and text.endswith("Mine: the message\n"), text


def test_a_report_tells_causes_and_notes():
    def outer():
        try:
            1 / 0
        except ZeroDivisionError as error:
            e = ValueError("no")
            e.add_note("a note")
            raise e from error
    bine.spawn(outer)
    bine.sleep(1)
    (_, _, text), = host.reports()
    assert "ZeroDivisionError" in text and "direct cause" in text and "a note" in text


def test_an_error_whose_frames_hold_the_micro_thread_is_reported_whole():
    def holds_itself():
        me = bine.current()
        raise ValueError(f"in {me.name}")
    bine.spawn(holds_itself)
    bine.sleep(1)
    gc.collect()
    bine.pause()
    (kind, message, text), = host.reports()
    assert kind == "ValueError" and message.startswith("in ")
    assert "in holds_itself" in text, text


def test_errors_are_reported_in_the_order_they_were_dropped():
    for kind in (KeyError, IndexError, ValueError):
        bine.spawn(fail, kind("x"))
    bine.sleep(1)
    assert host.unhandled() == ["KeyError", "IndexError", "ValueError"]


def test_systemexit_ends_only_its_micro_thread_and_is_reported():
    bine.spawn(sys.exit, 3)
    bine.sleep(1)
    assert host.unhandled() == ["SystemExit"]


def test_systemexit_reaches_a_joiner():
    t = bine.spawn(sys.exit, 3)
    try:
        t.join()
    except SystemExit as error:
        assert error.code == 3
    else:
        raise AssertionError
    assert host.unhandled() == []


def test_generatorexit_and_stopiteration_are_errors_like_others():
    for kind in (GeneratorExit, StopIteration, StopAsyncIteration):
        t = bine.spawn(fail, kind("x"))
        try:
            t.join()
        except kind as error:
            assert error.args == ("x",)
        else:
            raise AssertionError(kind)


def test_keyboardinterrupt_passes_to_the_main_script():
    bine.spawn(fail, KeyboardInterrupt())
    try:
        bine.sleep(100)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("it did not come")
    bine.sleep(1)
    assert host.unhandled() == []


def test_keyboardinterrupt_takes_its_way_through_a_joiner():
    t = bine.spawn(fail, KeyboardInterrupt("x"))
    try:
        t.join()
    except KeyboardInterrupt as error:
        assert error.args == ("x",)
    else:
        raise AssertionError


def test_an_error_whose_str_fails_is_reported_all_the_same():
    class Bad(Exception):
        def __str__(self):
            raise RuntimeError("in __str__")
    bine.spawn(fail, Bad())
    bine.sleep(1)
    (kind, _, _), = host.reports()
    assert kind.endswith("Bad")


def test_an_error_with_surrogates_and_nul_is_reported():
    bine.spawn(fail, ValueError("\ud800 and \0 end"))
    bine.sleep(1)
    (kind, message, text), = host.reports()
    assert kind == "ValueError" and "and" in message and "ValueError" in text


def test_an_exception_group_is_reported_with_its_members():
    bine.spawn(fail, ExceptionGroup("several", [KeyError("a"), ValueError("b")]))
    bine.sleep(1)
    (kind, _, text), = host.reports()
    assert kind == "ExceptionGroup" and "KeyError" in text and "ValueError: b" in text


def test_a_result_is_dropped_with_its_micro_thread():
    import weakref

    class Thing:
        pass
    t = bine.spawn(Thing)
    ref = weakref.ref(t.join())
    assert ref() is not None
    del t
    assert ref() is None


def test_dropping_a_failed_one_while_an_exception_unwinds():
    def holds():
        t = bine.spawn(fail, KeyError("of the micro-thread"))
        bine.sleep(1)
        assert t.done
        raise LookupError("of the holder")
    try:
        holds()
    except LookupError as error:
        assert str(error) == "of the holder"
        error.__traceback__ = None
        error = None
    gc.collect()
    bine.pause()
    assert host.unhandled() == ["KeyError"]


def test_the_last_handle_may_go_while_an_exception_is_on_its_way():
    class Holder:
        def __init__(self):
            self.t = bine.spawn(fail, KeyError("of the micro-thread"))

    def fails():
        return len(ready.pop())  # sets its exception, then drops its argument, the last holder
    holder = Holder()
    bine.sleep(1)
    ready = [holder]
    del holder
    try:
        fails()
    except TypeError as error:
        assert "has no len()" in str(error)
    else:
        raise AssertionError
    bine.pause()
    assert host.unhandled() == ["KeyError"]


def test_the_collector_may_run_while_the_last_handle_goes():
    def failed():
        t = bine.spawn(fail, ValueError("nobody took it"))
        bine.sleep(1)
        return t

    def drops_one_with_an_exception_on_its_way():
        try:
            print(failed(), {}["no such key"])
        except KeyError:
            pass
    rounds = 0
    thresholds = gc.get_threshold()
    for threshold in range(1, 10):  # one of them collects where the exception's object is made
        for i in range(4):
            rounds += 1
            gc.set_threshold(threshold)
            young = [[] for _ in range(i)]
            drops_one_with_an_exception_on_its_way()
            del young
    gc.set_threshold(*thresholds)
    bine.pause()
    assert host.unhandled() == ["ValueError"] * rounds


def test_a_traceback_may_be_taken_apart_while_it_is_reported():
    def deep(n):
        if n > 0:
            deep(n - 1)
        errors.append(ValueError("deep"))
        raise errors[0]

    def takes_apart(*_):
        asked.append(1)
        tb = errors[0].__traceback__ if len(asked) == 3 else None
        while tb is not None:
            tb.tb_next, tb = None, tb.tb_next
        return ""
    errors = []
    asked = []
    getline, linecache.getline = linecache.getline, takes_apart
    bine.spawn(deep, 10)
    bine.sleep(1)
    bine.pause()
    linecache.getline = getline
    assert host.unhandled() == ["ValueError"] and len(asked) >= 3
