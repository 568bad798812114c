"""with bine.timeout(): bounds the waits inside."""
import bine
import host


def timed_out(function, *args):
    try:
        function(*args)
    except bine.Timeout as error:
        return str(error)
    return None


def test_timeout_is_a_timeouterror():
    assert issubclass(bine.Timeout, TimeoutError)


def test_a_wait_that_goes_on_for_longer_raises():
    with_message = None
    try:
        with bine.timeout(2) as limit:
            bine.sleep(5)
    except bine.Timeout as error:
        with_message = str(error)
    assert with_message == "timed out after 2.0 s" and limit.expired and limit.seconds == 2.0


def test_a_block_in_time_does_not_raise():
    with bine.timeout(5) as limit:
        bine.sleep(2)
        bine.sleep(2)
    assert not limit.expired
    bine.sleep(100)
    assert not limit.expired


def test_it_raises_once():
    with bine.timeout(1) as limit:
        try:
            bine.sleep(5)
        except bine.Timeout:
            pass
        bine.sleep(5)
        bine.pause()
    assert limit.expired


def test_none_sets_no_limit():
    with bine.timeout(None) as limit:
        bine.sleep(1e6)
    assert not limit.expired


def test_zero_raises_at_the_first_wait_that_lasts():
    assert timed_out(limited_sleep, 0, 1) == "timed out after 0.0 s"


def limited_sleep(limit, seconds):
    with bine.timeout(limit):
        bine.sleep(seconds)


def test_the_inner_of_two_raises_when_it_is_due_first():
    with bine.timeout(10) as outer:
        assert timed_out(limited_sleep, 1, 5)
    assert not outer.expired


def test_the_outer_of_two_raises_when_it_is_due_first():
    inner_caught = []

    def work():
        with bine.timeout(1):
            try:
                limited_sleep(10, 5)
            except bine.Timeout as error:
                inner_caught.append(str(error))
                raise
    assert timed_out(work) == "timed out after 1.0 s"
    assert inner_caught == ["timed out after 1.0 s"]


def test_of_two_that_are_due_at_once_the_outer_raises_and_so_leaves_the_inner():
    seen = []
    with bine.timeout(1) as outer:
        try:
            with bine.timeout(1) as inner:
                bine.sleep(5)
        except bine.Timeout:
            seen.append("once")
            bine.sleep(5)
    assert outer.expired and inner.expired and seen == ["once"]


def test_many_nested():
    def nest(n):
        with bine.timeout(1000 - n):
            if n == 0:
                bine.sleep(5000)
            nest(n - 1)
    assert timed_out(nest, 100) == "timed out after 900.0 s"
    bine.sleep(10000)


def test_time_that_is_over_without_a_wait_does_not_raise():
    with bine.timeout(1) as limit:
        host.crank(5)
    assert not limit.expired
    bine.sleep(5)


def test_one_that_is_due_when_the_block_is_left_does_not_raise_later():
    with bine.timeout(1) as limit:
        try:
            bine.sleep(5)
        except bine.Timeout:
            pass
    bine.sleep(5)
    assert limit.expired


def test_a_timeout_is_for_one_block_at_a_time():
    limit = bine.timeout(5)
    with limit:
        try:
            with limit:
                raise AssertionError("entered twice")
        except RuntimeError as error:
            assert "in use" in str(error)
    with limit:
        bine.sleep(1)


def test_a_timeout_that_was_left_can_be_used_again():
    limit = bine.timeout(2)
    for _ in range(3):
        try:
            with limit:
                bine.sleep(5)
        except bine.Timeout:
            pass
        assert limit.expired
    with limit:
        bine.sleep(1)
    assert not limit.expired


def test_it_bounds_joins():
    t = bine.spawn(lambda: bine.sleep(10) or "done")

    def join():
        with bine.timeout(1):
            t.join()
    assert timed_out(join) == "timed out after 1.0 s"
    assert t.join() == "done"


def test_it_bounds_joins_with_a_timeout_of_their_own():
    t = bine.spawn(lambda: bine.sleep(10) or "done")
    with bine.timeout(5) as limit:
        assert timed_out(t.join, 1) == "timed out"
    assert not limit.expired
    t.join()


def test_it_bounds_pauses():
    def spin():
        with bine.timeout(1):
            while True:
                bine.pause()
                host.crank(0.1)
    assert timed_out(spin) == "timed out after 1.0 s"


def test_it_bounds_host_calls_whose_canceller_has_run_by_then():
    try:
        with bine.timeout(1):
            host.wait_for(1)
    except bine.Timeout:
        assert host.cancelled() == 1
    else:
        raise AssertionError


def test_it_bounds_waits_in_c():
    def work():
        with bine.timeout(1):
            host.sleep_in_c(5)

    def wait():
        with bine.timeout(1):
            host.wait_in_c(1)
    assert timed_out(work) == "timed out after 1.0 s"
    assert timed_out(wait) == "timed out after 1.0 s"


def test_it_bounds_the_wait_for_a_deferred_not_the_work():
    d = host.deferred(1)
    try:
        with bine.timeout(1):
            d.wait()
    except bine.Timeout:
        pass
    else:
        raise AssertionError
    assert host.cancelled() == 0
    host.settle(1, "late")
    assert d.wait() == "late"


def test_it_does_not_reach_those_spawned_inside():
    with bine.timeout(1):
        t = bine.spawn(lambda: bine.sleep(5) or "in peace")
    assert t.join() == "in peace"


def test_a_cancel_goes_before_a_timeout():
    seen = []

    def work():
        try:
            with bine.timeout(1):
                bine.sleep(5)
        except BaseException as error:
            seen.append(type(error))
            raise
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    host.crank(2)
    bine.sleep(1)
    assert seen == [bine.Cancelled]


def test_an_exception_passes_through():
    try:
        with bine.timeout(1):
            raise KeyError("mine")
    except KeyError:
        pass
    bine.sleep(5)


def test_a_generator_may_carry_a_timeout_out_of_its_block():
    def steps():
        with bine.timeout(1):
            yield 1
            yield 2
    g = steps()
    assert next(g) == 1
    try:
        bine.sleep(5)
    except bine.Timeout:
        pass
    else:
        raise AssertionError("the block is still open")
    g.close()
    bine.sleep(5)


def test_a_timeout_dies_with_the_generator_that_carries_it():
    def steps():
        with bine.timeout(1):
            yield 1
    g = steps()
    next(g)
    del g
    bine.sleep(5)


def test_one_left_open_when_its_micro_thread_ends_does_no_harm():
    kept = []

    def work():
        limit = bine.timeout(1)
        limit.__enter__()
        kept.append(limit)
    bine.spawn(work).join()
    bine.sleep(5)
    kept.clear()
    bine.sleep(5)


def test_expired_and_seconds_are_read_only():
    limit = bine.timeout(3)
    assert limit.seconds == 3.0 and limit.expired is False
    for name in ("seconds", "expired"):
        try:
            setattr(limit, name, 1)
        except AttributeError:
            continue
        raise AssertionError(name)


def test_seconds_of_one_without_a_limit_is_none():
    assert bine.timeout(None).seconds is None


def test_leaving_one_that_was_not_entered_does_nothing():
    assert not bine.timeout(1).__exit__(None, None, None)
