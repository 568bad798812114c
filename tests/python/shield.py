"""with bine.shield(): clean-up that waits, for a bounded time."""
import bine
import host
from runners import raised


def cleaning(seen, bound, seconds):
    try:
        bine.sleep(1000)
    finally:
        with bine.shield(bound):
            seen.append("begun")
            bine.sleep(seconds)
            seen.append("done")


def cancel_and_join(t):
    bine.pause()
    t.cancel()
    return type(raised(t.join))


def test_waits_behind_it_go_through():
    seen = []

    def work():
        try:
            bine.sleep(1000)
        finally:
            with bine.shield(100):
                bine.sleep(1)
                bine.pause()
                bine.spawn(lambda: bine.sleep(1) or host.settle(1, 5))
                seen.append(host.wait_for(1))
                host.sleep_in_c(1)
                seen.append(bine.spawn(lambda: bine.sleep(1) or 6).join())
    assert cancel_and_join(bine.spawn(work)) is bine.Cancelled
    assert seen == [5, 6]


def test_a_wait_that_has_begun_is_not_cut_short():
    seen = []

    def work():
        with bine.shield(10):
            bine.sleep(5)
            seen.append("whole")
        bine.pause()
        seen.append("never")
    t = bine.spawn(work)
    bine.sleep(1)
    t.cancel()
    bine.sleep(1)
    assert seen == [] and not t.done
    assert type(raised(t.join)) is bine.Cancelled and seen == ["whole"]


def test_what_came_meanwhile_is_raised_afterwards_at_the_next_wait():
    seen = []

    def work():
        with bine.shield(10):
            bine.current().cancel()
            bine.pause()
        seen.append("left")
        for _ in range(2):
            try:
                bine.pause()
            except bine.Cancelled:
                seen.append("refused")
        return 5
    assert bine.spawn(work).join() == 5
    assert seen == ["left", "refused", "refused"]


def test_it_is_bounded():
    seen = []
    assert cancel_and_join(bine.spawn(cleaning, seen, 2, 5)) is bine.Cancelled
    assert seen == ["begun"]
    seen.clear()
    assert cancel_and_join(bine.spawn(cleaning, seen, 5, 2)) is bine.Cancelled
    assert seen == ["begun", "done"]


def test_its_time_goes_on_when_nothing_was_cancelled():
    with bine.shield(2):
        bine.sleep(5)
    bine.sleep(1)


def test_a_cancel_after_its_time_cuts_the_wait_short():
    seen = []

    def work():
        with bine.shield(2):
            try:
                bine.sleep(1000)
            finally:
                seen.append("cut")
    t = bine.spawn(work)
    bine.sleep(5)
    assert cancel_and_join(t) is bine.Cancelled and seen == ["cut"]


def test_no_time_shields_just_until_the_clock_is_looked_at():
    seen = []
    assert cancel_and_join(bine.spawn(cleaning, seen, 0, 1)) is bine.Cancelled
    assert seen == ["begun"]


def test_the_longest_time():
    with bine.shield(1e30), bine.shield(float("inf")):
        bine.sleep(1)


def test_bad_times_are_refused():
    for bad, kind in ((-1, ValueError), (None, TypeError), ("1", TypeError), (float("nan"), ValueError)):
        assert type(raised(bine.shield, bad)) is kind
    assert type(raised(bine.shield)) is TypeError


def test_they_nest_and_the_last_one_counts():
    seen = []

    def work():
        try:
            bine.sleep(1000)
        finally:
            with bine.shield(10):
                with bine.shield(1):
                    bine.sleep(3)
                    seen.append("behind the outer")
                with bine.shield(20):
                    bine.sleep(9)
                    seen.append("behind the inner")
                bine.sleep(1)
                seen.append("never")
    assert cancel_and_join(bine.spawn(work)) is bine.Cancelled
    assert seen == ["behind the outer", "behind the inner"]


def test_one_object_shields_one_block_at_a_time_again_and_again():
    shield = bine.shield(5)
    for _ in range(3):
        with shield as entered:
            assert entered is shield
            assert "in use" in str(raised(shield.__enter__))
    assert shield.__exit__(None, None, None) is False


def test_timeouts_are_not_kept_back():
    def work():
        with bine.shield(10):
            with bine.timeout(2):
                bine.sleep(5)
    assert type(raised(work)) is bine.Timeout
    assert type(raised(lambda: in_timeout(2))) is bine.Timeout


def in_timeout(seconds):
    with bine.timeout(seconds):
        with bine.shield(10):
            bine.sleep(5)


def test_errors_pass():
    def work():
        with bine.shield(10):
            raise KeyError("mine")
    assert type(raised(work)) is KeyError


def test_the_end_of_the_runtime_is_kept_back():
    # The runner shuts down while this waits; its clock stands still by then, so the wait has to
    # be one that turns alone bring to an end.
    def work():
        try:
            bine.sleep(1000)
        except bine.Exit:
            with bine.shield(10):
                for _ in range(20):
                    bine.pause()
            assert type(raised(bine.pause)) is bine.Exit
            raise
    bine.spawn(work)
    bine.pause()


def test_in_a_scope_it_keeps_the_scopes_cancel_back():
    seen = []
    with bine.Scope() as s:
        s.spawn(cleaning, seen, 10, 5)
        bine.pause()
        with bine.shield(20):
            s.cancel()
            bine.sleep(2)
            seen.append("body")
        bine.pause()
        seen.append("never")
    assert seen == ["begun", "body", "done"]
    bine.sleep(1)


def test_a_scope_entered_and_cancelled_behind_it_is_left_quietly():
    seen = []
    with bine.shield(10):
        with bine.Scope() as s:
            s.spawn(bine.sleep, 1000)
            s.cancel()
            bine.sleep(1)
            seen.append("body")
    bine.sleep(1)
    assert seen == ["body"]


def test_its_time_ends_a_scope_that_waits_behind_it():
    seen = []

    def work():
        try:
            bine.sleep(1000)
        finally:
            with bine.shield(3):
                with bine.Scope() as s:
                    s.spawn(lambda: cleaning(seen, 10, 4))
    t = bine.spawn(work)
    assert cancel_and_join(t) is bine.Cancelled
    assert seen == ["begun", "done"]


def test_a_child_that_fails_behind_it_does_not_cut_the_body_short():
    seen = []

    def work():
        with bine.Scope() as s:
            s.spawn(lambda: 1 / 0)
            with bine.shield(10):
                bine.sleep(5)
                seen.append("body")
    assert type(raised(work)) is ExceptionGroup and seen == ["body"]
    bine.sleep(1)


def test_one_abandoned_in_a_generator_is_lowered():
    seen = []

    def generate():
        with bine.shield(1000):
            yield 1

    def work():
        g = generate()
        next(g)
        bine.current().cancel()
        bine.pause()
        seen.append("behind it")
        g.close()
        bine.pause()
        seen.append("never")
    assert type(raised(bine.spawn(work).join)) is bine.Cancelled and seen == ["behind it"]


def test_one_whose_micro_thread_has_ended_is_lowered():
    def generate():
        with bine.shield(1000):
            yield 1

    def work():
        keep.append(generate())
        next(keep[0])
    keep = []
    bine.spawn(work).join()
    keep[0].close()


def test_one_closed_by_another_micro_thread_is_lowered_for_who_entered_it():
    def generate():
        with bine.shield(1000):
            yield 1

    def work():
        keep.append(generate())
        next(keep[0])
        bine.sleep(1000)
    keep = []
    t = bine.spawn(work)
    bine.pause()
    t.cancel()
    bine.pause(), bine.pause()
    assert not t.done
    keep[0].close()
    assert type(raised(t.join)) is bine.Cancelled


def test_outside_of_any_micro_thread_there_is_nothing_to_shield():
    import threading
    errors = []
    thread = threading.Thread(target=lambda: errors.append(raised(bine.shield(1).__enter__)))
    thread.start()
    thread.join()
    assert type(errors[0]) is bine.NotInMicroThread
