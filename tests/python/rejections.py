"""What the host rejects, and how a script sees it."""
import bine
import host

NAMES = {-1: "BINE_EINVAL", -3: "BINE_EBUSY", -4: "BINE_ETHREAD", -5: "BINE_EMICRO", -6: "BINE_ECLOSED", -7: "BINE_ESTARTED",
         -8: "BINE_EPYTHON", -9: "BINE_ESCRIPT", -10: "BINE_ECANCELED", -12: "BINE_ESETTLED", -13: "BINE_EBROKEN",
         -14: "BINE_ETYPE", -15: "BINE_EEXIST", -16: "BINE_EIO"}


def answer(act, *args):
    """What a script that waits for key 1 sees when the host does that."""
    t = bine.spawn(host.wait_for, 1)
    bine.pause()
    assert act(1, *args) == 0 or act is host.drop
    try:
        return t.join()
    except Exception as error:
        return error


def test_codes_of_the_hosts_own():
    error = answer(host.fail, -1234, "the door is locked")
    assert type(error) is bine.HostError
    assert error.code == -1234 and error.name == "" and str(error) == "the door is locked"
    assert error.args == ("the door is locked",)


def test_codes_of_bine():
    for code in (-6, -7, -8, -10, -12, -13, -15, -16):
        error = answer(host.fail, code, "so")
        assert type(error) is bine.HostError, (code, error)
        assert error.code == code and error.name == NAMES[code] and str(error) == "so"


def test_every_code_is_a_hosterror_but_two():
    for code in NAMES:
        error = answer(host.fail, code, "so")
        assert type(error) is bine.HostError, (code, error)
        assert error.code == code and error.name == NAMES[code] and str(error) == "so"


def test_etimedout_is_a_timeout():
    error = answer(host.fail, -11, "took too long")
    assert type(error) is bine.Timeout and str(error) == "took too long"


def test_enomem_is_a_memoryerror():
    assert type(answer(host.fail, -2, "no room")) is MemoryError


def test_without_a_message_the_code_is_explained():
    error = answer(host.fail, -16, "")
    assert type(error) is bine.HostError and str(error) == "the operating system said no"


def test_a_dropped_resolver_is_ebroken():
    error = answer(host.drop)
    assert type(error) is bine.HostError and error.code == -13 and error.name == "BINE_EBROKEN"
    assert "no result will come" in str(error)


def test_a_message_in_any_script():
    assert str(answer(host.fail, -1234, "größer 😀")) == "größer 😀"


def test_each_waiter_sees_the_rejection():
    d = host.deferred(1)
    ts = [bine.spawn(d.wait) for _ in range(3)]
    bine.pause()
    host.fail(1, -1234, "no")
    for t in ts:
        try:
            t.join()
        except bine.HostError as error:
            assert error.code == -1234
        else:
            raise AssertionError
    assert d.done and repr(d) == "<bine.Deferred rejected>"


def test_a_status_returned_from_c_is_a_hosterror():
    for code in (-1234, -16, -6):
        try:
            host.status(code)
        except bine.HostError as error:
            assert error.code == code and error.name == NAMES.get(code, "")
        else:
            raise AssertionError


def test_a_deferred_whose_canceller_drops_the_resolver_is_cancelled():
    d = host.deferred(1)
    assert repr(d) == "<bine.Deferred pending>" and not d.done
    assert d.cancel() is True and d.cancel() is True
    try:
        d.wait()
    except bine.HostError as error:
        assert error.name == "BINE_ECANCELED"
    else:
        raise AssertionError
    assert host.cancelled() == 1
    assert d.cancel() is False


def test_a_cancelled_deferred_without_a_canceller_is_rejected_with_ecanceled():
    d = host.uncancellable(1)
    assert d.cancel() is True
    try:
        d.wait()
    except bine.HostError as error:
        assert error.name == "BINE_ECANCELED" and str(error) == "cancelled"
    else:
        raise AssertionError
    assert host.settle(1, "late") == -12, "BINE_ESETTLED"
    assert d.done and d.cancel() is False


def test_a_result_that_is_on_its_way_goes_before_a_cancel():
    d = host.uncancellable(1)
    d.cancel()
    assert host.settle(1, "just in time") == 0
    assert d.wait() == "just in time"


def test_cancelling_a_resolved_one_is_false():
    d = host.deferred(1)
    host.settle(1, 5)
    assert d.done and d.cancel() is False and d.wait() == 5
    assert repr(d) == "<bine.Deferred resolved>"


def test_a_wait_that_times_out_leaves_the_deferred():
    d = host.deferred(1)
    for timeout in (0, 1, 0.5):
        try:
            d.wait(timeout)
        except bine.Timeout as error:
            assert str(error) == "timed out"
        else:
            raise AssertionError
    host.settle(1, 5)
    assert d.wait(timeout=1) == 5 and d.wait(None) == 5 and host.cancelled() == 0


def test_settling_after_a_cancel_says_esettled():
    t = bine.spawn(host.wait_for, 1)
    bine.pause()
    host.settle(1, "first")
    t.cancel()
    assert t.join() == "first" and host.cancelled() == 0


def test_a_rejection_that_nobody_waits_for_is_reported_once():
    host.deferred(1)
    assert host.settle(1, [1]) == 0
    host.deferred(1)
    assert host.fail(1, -1234, "no") == 0
    host.deferred(1)
    host.drop(1)
    bine.pause()
    assert [r[:2] for r in host.reports()] == [
        ["bine.HostError", "no"], ["bine.HostError", "the resolver was dropped: no result will come"]]
    bine.pause()
    assert host.reports() == []


def test_the_error_is_ones_own_even_with_an_exception_in_hand():
    try:
        raise KeyError("mine")
    except KeyError as mine:
        error = answer(host.fail, -1234, "no")
        assert isinstance(error, bine.HostError)
        assert mine.args == ("mine",)


def test_hosterror_is_an_exception_with_a_plain_life():
    error = bine.HostError("made by a script")
    assert isinstance(error, Exception) and str(error) == "made by a script"
    error.code = 5
    assert error.code == 5


def test_hosterror_made_by_a_script_has_a_code_and_a_name():
    error = bine.HostError("made by a script")
    assert error.code == 0 and error.name == ""
