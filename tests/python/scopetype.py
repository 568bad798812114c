"""with bine.Scope(): left when all that was spawned in it has ended."""
import bine
import gc
import host
import weakref
from runners import raised


def rest(seen=None, name=None):
    try:
        bine.sleep(1000)
    finally:
        if seen is not None:
            seen.append(name)


def fail(error, after=0):
    if after:
        bine.sleep(after)
    raise error


def sour(error):
    try:
        bine.sleep(1000)
    finally:
        raise error


# ---- leaving ----

def test_the_block_is_left_when_all_have_ended():
    seen = []
    with bine.Scope() as s:
        for n in 3, 1, 2:
            s.spawn(lambda n: (bine.sleep(n), seen.append(n)), n)
        seen.append("body")
    assert seen == ["body", 1, 2, 3] and s.alive == 0 and not s.cancelled


def test_an_empty_block_is_left_at_once():
    turns = []
    bine.spawn(turns.append, 1)
    with bine.Scope() as s:
        pass
    assert turns == [] and s.alive == 0


def test_children_are_micro_threads_like_any_other():
    with bine.Scope() as s:
        t = s.spawn(divmod, 7, 2)
        u = s.spawn(lambda *, k: k, k=3)
        assert type(t) is bine.MicroThread and t in bine.all() and s.alive == 2
        assert t.join() == (3, 1)
    assert u.result == 3


def test_it_is_left_by_return_break_and_continue():
    seen = []

    def early():
        with bine.Scope() as s:
            s.spawn(lambda: bine.sleep(1) or seen.append(1))
            return 5
    assert early() == 5 and seen == [1]
    for _ in range(2):
        with bine.Scope() as s:
            s.spawn(lambda: bine.sleep(1) or seen.append(2))
            continue
    assert seen == [1, 2, 2]


def test_a_child_spawns_siblings():
    seen = []
    with bine.Scope() as s:
        def grow(n):
            bine.pause()
            if n:
                s.spawn(grow, n - 1)
            seen.append(n)
        s.spawn(grow, 5)
    assert seen == [5, 4, 3, 2, 1, 0]


def test_the_last_to_end_may_be_spawned_while_the_block_waits():
    seen = []
    with bine.Scope() as s:
        first = s.spawn(bine.sleep, 1)
        outsider = bine.spawn(lambda: (first.join(), s.spawn(lambda: (bine.sleep(1), seen.append(1)))))
    assert outsider.done and seen == [1]


def test_what_children_spawn_by_bine_spawn_is_not_its_own():
    seen = []
    with bine.Scope() as s:
        s.spawn(lambda: bine.spawn(lambda: bine.sleep(5) or seen.append(1)))
    assert seen == []
    bine.sleep(6)
    assert seen == [1]


def test_a_thousand_children():
    with bine.Scope() as s:
        children = [s.spawn(lambda n: (bine.sleep(n % 7), n)[1], n) for n in range(1000)]
        assert s.alive == 1000
    assert sum(t.result for t in children) == 499500


# ---- errors ----

def test_the_first_error_cancels_the_others_and_the_block():
    seen = []
    error = ValueError(1)

    def work():
        with bine.Scope() as s:
            s.spawn(rest, seen, "sibling")
            s.spawn(fail, error, 1)
            rest(seen, "body")
    group = raised(work)
    assert type(group) is ExceptionGroup and group.exceptions == (error,), repr(group)
    assert sorted(seen) == ["body", "sibling"]
    bine.pause()
    assert host.unhandled() == []


def test_the_first_error_comes_first_and_the_rest_after_it():
    def work():
        with bine.Scope(name="bridge") as s:
            s.spawn(sour, KeyError("k"))
            s.spawn(fail, ValueError(1), 1)
            s.spawn(sour, IndexError("i"))
            try:
                bine.sleep(100)
            finally:
                raise OSError("body")
    group = raised(work)
    assert [type(e) for e in group.exceptions][0] is ValueError
    assert {type(e) for e in group.exceptions} == {ValueError, KeyError, IndexError, OSError}, group.exceptions
    assert len(group.exceptions) == 4 and "bridge failed" in str(group)


def test_an_error_of_the_body_comes_first_when_it_was():
    def work():
        with bine.Scope() as s:
            s.spawn(sour, KeyError("k"))
            bine.pause()
            raise OSError("body")
    group = raised(work)
    assert [type(e) for e in group.exceptions] == [OSError, KeyError]


def test_except_star_takes_its_part():
    seen = []
    try:
        with bine.Scope() as s:
            s.spawn(sour, KeyError(2))
            s.spawn(fail, ValueError(1))
    except* ValueError as group:
        seen += group.exceptions
    except* KeyError as group:
        seen += group.exceptions
    assert [type(e) for e in seen] == [ValueError, KeyError]


def test_an_error_of_the_body_alone_passes_unchanged():
    seen = []
    error = ValueError("body")

    def work():
        with bine.Scope() as s:
            s.spawn(rest, seen, 1)
            bine.pause()
            raise error
    assert raised(work) is error and seen == [1] and error.__context__ is None


def test_system_exit_and_keyboard_interrupt_come_bare():
    for kind in SystemExit, KeyboardInterrupt:
        def child():
            with bine.Scope() as s:
                s.spawn(rest)
                s.spawn(sour, ValueError(1))
                s.spawn(fail, kind(3), 1)

        def body():
            with bine.Scope() as s:
                s.spawn(sour, ValueError(1))
                bine.pause()
                raise kind(3)
        for work in child, body:
            error = raised(work)
            assert type(error) is kind and error.args == (3,), repr(error)
    bine.pause()
    assert host.unhandled() == []


def test_base_exceptions_make_a_base_exception_group():
    class Odd(BaseException):
        pass

    def work():
        with bine.Scope() as s:
            s.spawn(fail, Odd())
    assert type(raised(work)) is BaseExceptionGroup


def test_a_child_that_is_cancelled_alone_is_no_failure():
    seen = []
    with bine.Scope() as s:
        t = s.spawn(rest, seen, 1)
        u = s.spawn(lambda: bine.sleep(2) or seen.append(2))
        bine.pause()
        t.cancel()
    assert seen == [1, 2] and not s.cancelled and u.done


def test_errors_are_raised_once_and_reported_never():
    def work():
        with bine.Scope() as s:
            for n in range(3):
                s.spawn(sour, ValueError(n))
            bine.pause()
            s.cancel()
    assert len(raised(work).exceptions) == 3
    gc.collect()
    bine.pause()
    assert host.unhandled() == []


def test_a_group_that_nobody_catches_is_reported_once():
    def work():
        with bine.Scope() as s:
            s.spawn(fail, ValueError("inside"))
    bine.spawn(work)
    bine.sleep(1)
    gc.collect()
    bine.sleep(1)
    (kind, _, text), = host.reports()
    assert kind == "ExceptionGroup" and "ValueError: inside" in text


def test_a_child_joined_outside_too_fails_in_both_places():
    def work():
        with bine.Scope() as s:
            box.append(s.spawn(fail, ValueError(1), 1))
    box = []
    t = bine.spawn(work)
    bine.pause()
    assert type(raised(box[0].join)) is ValueError
    assert type(raised(t.join)) is ExceptionGroup


def test_an_error_that_the_body_joined_stands_in_the_group_once():
    error = ValueError(1)

    def work():
        with bine.Scope() as s:
            s.spawn(sour, KeyError("k"))
            s.spawn(fail, error, 1).join()
    group = raised(work)
    assert group.exceptions[0] is error and [type(e) for e in group.exceptions] == [ValueError, KeyError]


def test_groups_nest_with_scopes():
    def inner():
        with bine.Scope() as s:
            s.spawn(fail, ValueError(1))

    def work():
        with bine.Scope() as s:
            s.spawn(inner)
            s.spawn(rest)
    group = raised(work)
    assert type(group.exceptions[0]) is ExceptionGroup
    assert type(group.exceptions[0].exceptions[0]) is ValueError


# ---- cancelling ----

def test_cancel_leaves_the_block_quietly():
    seen = []
    with bine.Scope() as s:
        s.spawn(rest, seen, 1)
        bine.pause()
        s.cancel()
        assert s.cancelled and seen == []
        bine.sleep(1000)
        seen.append("never")
    assert seen == [1] and s.alive == 0
    bine.sleep(1), bine.pause()  # the micro-thread itself is not cancelled


def test_waits_in_the_body_are_refused_until_it_is_left():
    count = 0
    with bine.Scope() as s:
        s.cancel("enough")
        for wait in (bine.pause, lambda: bine.sleep(1), lambda: host.wait_for(1), bine.spawn(bine.sleep, 1).join,
                     lambda: host.sleep_in_c(1), lambda: host.wait_in_c(2)):
            try:
                wait()
            except bine.Cancelled:
                count += 1
    assert count == 6
    bine.sleep(5)


def test_a_body_that_need_not_wait_goes_on_to_its_end():
    seen = []
    with bine.Scope() as s:
        s.cancel()
        seen.append("goes on")
    assert seen == ["goes on"]


def test_a_child_cancels_all_and_itself():
    seen = []
    with bine.Scope() as s:
        def child():
            s.cancel()
            seen.append("goes on")
            bine.pause()
            seen.append("never")
        s.spawn(rest, seen, "sibling")
        s.spawn(child)
    assert sorted(seen) == ["goes on", "sibling"]


def test_the_reason_stands_in_the_exception():
    seen = []

    def child():
        try:
            bine.sleep(9)
        except bine.Cancelled as error:
            seen.append(str(error))
            raise
    with bine.Scope() as s:
        s.spawn(child)
        bine.pause()
        s.cancel("the door is gone")
        s.cancel("and again")
    assert seen == ["the door is gone"]


def test_children_that_never_began_are_dropped():
    seen = []
    with bine.Scope() as s:
        children = [s.spawn(seen.append, n) for n in range(3)]
        s.cancel()
    assert seen == [] and all(type(raised(t.join)) is bine.Cancelled for t in children)


def test_children_that_refuse_to_end_are_waited_for():
    seen = []

    def stubborn():
        for n in range(4):
            try:
                bine.sleep(1000)
            except bine.Cancelled:
                seen.append(n)

    def slow():
        try:
            bine.sleep(1000)
        finally:
            with bine.shield(9):
                bine.sleep(7)
                seen.append("slow")
    with bine.Scope() as s:
        s.spawn(stubborn)
        s.spawn(slow)
        bine.pause()
        s.cancel()
    assert seen == [0, 1, 2, 3, "slow"]


def test_after_the_cancel_nothing_is_spawned():
    with bine.Scope(name="bridge") as s:
        s.cancel()
        error = raised(s.spawn, rest)
        assert type(error) is RuntimeError and "bridge was cancelled" in str(error), error
    assert "has been left" in str(raised(s.spawn, rest))


def test_an_error_of_the_body_after_a_cancel_is_raised():
    def work():
        with bine.Scope() as s:
            s.cancel()
            try:
                bine.sleep(1)
            finally:
                raise ValueError("while cleaning up")
    assert type(raised(work)) is ValueError


def test_cancelled_raised_by_hand_is_no_quiet_end():
    def work():
        with bine.Scope():
            raise bine.Cancelled("mine")
    error = raised(work)
    assert type(error) is bine.Cancelled and str(error) == "mine"


# ---- the micro-thread of the block is cancelled ----

def test_a_cancelled_parent_ends_its_children_first():
    seen = []

    def parent():
        try:
            with bine.Scope() as s:
                s.spawn(rest, seen, 1)
                s.spawn(rest, seen, 2)
        except bine.Cancelled:
            seen.append("parent")
            raise
    t = bine.spawn(parent)
    bine.pause(), bine.pause()
    t.cancel()
    assert type(raised(t.join)) is bine.Cancelled and seen[2] == "parent" and sorted(seen[:2]) == [1, 2]


def test_a_parent_cancelled_in_its_body_ends_its_children_first():
    seen = []

    def parent():
        with bine.Scope() as s:
            s.spawn(rest, seen, 1)
            rest(seen, "body")
    t = bine.spawn(parent)
    bine.pause(), bine.pause()
    t.cancel()
    assert type(raised(t.join)) is bine.Cancelled and seen == ["body", 1]


def test_a_parent_cancelled_twice_still_waits_for_slow_children():
    seen = []

    def slow():
        try:
            bine.sleep(1000)
        finally:
            with bine.shield(9):
                bine.sleep(5)
            seen.append("slow")

    def parent():
        with bine.Scope() as s:
            s.spawn(slow)
    t = bine.spawn(parent)
    bine.pause(), bine.pause()
    t.cancel()
    bine.sleep(1)
    t.cancel()
    bine.sleep(1)
    assert not t.done
    assert type(raised(t.join)) is bine.Cancelled and seen == ["slow"]


def test_a_cancelled_parent_whose_children_fail_raises_the_group():
    def parent():
        with bine.Scope() as s:
            s.spawn(sour, ValueError(1))
    t = bine.spawn(parent)
    bine.pause(), bine.pause()
    t.cancel()
    error = raised(t.join)
    assert type(error) is ExceptionGroup and type(error.exceptions[0]) is ValueError


def test_a_cancelled_parent_stays_cancelled_after_a_scope_that_was_cancelled_itself():
    seen = []

    def parent():
        with bine.Scope() as s:
            s.cancel()
            bine.current().cancel()
        seen.append("left")
        bine.pause()
        seen.append("never")
    assert type(raised(bine.spawn(parent).join)) is bine.Cancelled and seen == ["left"]


def test_a_scope_inside_a_cancelled_parent_drops_its_children():
    seen = []

    def parent():
        try:
            bine.sleep(1000)
        finally:
            try:
                with bine.Scope() as s:
                    s.spawn(seen.append, "child")
            finally:
                seen.append("left")
    t = bine.spawn(parent)
    bine.pause()
    t.cancel()
    assert type(raised(t.join)) is bine.Cancelled and seen == ["left"]


def test_a_scope_behind_a_shield_in_a_cancelled_parent_runs():
    seen = []

    def parent():
        try:
            bine.sleep(1000)
        finally:
            with bine.shield(10):
                with bine.Scope() as s:
                    s.spawn(lambda: bine.sleep(2) or seen.append("child"))
                seen.append("left")
    t = bine.spawn(parent)
    bine.pause()
    t.cancel()
    assert type(raised(t.join)) is bine.Cancelled and seen == ["child", "left"]


def test_an_interrupted_join_in_the_body_leaves_the_child_to_the_scope():
    seen = []

    def parent():
        with bine.Scope() as s:
            s.spawn(rest, seen, "child").join()
    t = bine.spawn(parent)
    bine.pause(), bine.pause()
    t.cancel()
    assert type(raised(t.join)) is bine.Cancelled and seen == ["child"]


# ---- nested scopes ----

def test_the_outer_scope_cancels_the_inner():
    seen = []
    with bine.Scope() as outer:
        outer.spawn(lambda: bine.sleep(1) or outer.cancel())
        with bine.Scope() as inner:
            inner.spawn(rest, seen, "inner child")
            rest(seen, "body")
        seen.append("never")
    assert seen == ["body", "inner child"] and inner.cancelled and outer.cancelled
    bine.pause()


def test_the_inner_scope_leaves_the_outer_be():
    seen = []
    with bine.Scope() as outer:
        outer.spawn(lambda: bine.sleep(3) or seen.append("outer child"))
        with bine.Scope() as inner:
            inner.cancel()
            bine.pause()
        bine.sleep(1)
        seen.append("goes on")
    assert seen == ["goes on", "outer child"]


def test_both_cancelled_are_both_left_quietly():
    seen = []
    with bine.Scope() as outer:
        with bine.Scope() as inner:
            inner.cancel()
            outer.cancel()
            bine.pause()
        seen.append("after the inner")
        bine.pause()
        seen.append("never")
    bine.pause()
    assert seen in ([], ["after the inner"])


def test_an_error_in_the_outer_cancels_the_inner_block():
    seen = []

    def work():
        with bine.Scope() as outer:
            outer.spawn(fail, ValueError(1), 1)
            with bine.Scope() as inner:
                inner.spawn(rest, seen, 1)
    group = raised(work)
    assert type(group) is ExceptionGroup and seen == [1]
    assert [type(e) for e in group.exceptions] == [ValueError]


def test_scopes_a_hundred_deep_are_cancelled_at_once():
    seen = []

    def nest(depth):
        with bine.Scope() as s:
            s.spawn(rest, seen, depth)
            if depth:
                s.spawn(nest, depth - 1)
            rest()
    with bine.Scope() as s:
        s.spawn(nest, 100)
        for _ in range(110):
            bine.pause()
        s.cancel()
    assert sorted(seen) == list(range(101))


# ---- time ----

def test_after_its_time_all_are_cancelled_and_timeout_is_raised():
    seen = []

    def work():
        with bine.Scope(timeout=2, name="bridge") as s:
            s.spawn(rest, seen, 1)
    error = raised(work)
    assert type(error) is bine.Timeout and "the time of bridge is over" in str(error) and seen == [1]
    bine.sleep(5)


def test_its_time_ends_the_body_too():
    seen = []

    def work():
        with bine.Scope(2) as s:
            s.spawn(rest, seen, "child")
            rest(seen, "body")
    assert type(raised(work)) is bine.Timeout and seen in (["child", "body"], ["body", "child"])


def test_in_time_nothing_is_raised():
    with bine.Scope(timeout=5) as s:
        s.spawn(bine.sleep, 4)
    bine.sleep(5)
    assert not s.cancelled


def test_no_time_at_all():
    seen = []

    def work():
        with bine.Scope(timeout=0) as s:
            s.spawn(rest, seen, 1)
    assert type(raised(work)) is bine.Timeout
    with bine.Scope(timeout=0):
        pass  # nothing waits
    with bine.Scope(timeout=None) as s:
        s.spawn(bine.sleep, 1e6)


def test_errors_after_its_time_come_after_the_timeout():
    def work():
        with bine.Scope(timeout=1) as s:
            s.spawn(sour, ValueError(1))
    group = raised(work)
    assert [type(e) for e in group.exceptions] == [bine.Timeout, ValueError]


def test_an_error_of_the_body_after_its_time_comes_after_the_timeout_too():
    def work():
        with bine.Scope(timeout=1):
            try:
                bine.sleep(5)
            finally:
                raise ValueError(1)
    group = raised(work)
    assert [type(e) for e in group.exceptions] == [bine.Timeout, ValueError]


def test_nested_scopes_whose_time_is_over_at_once_raise_one_timeout():
    def work():
        with bine.Scope(timeout=2):
            with bine.Scope(timeout=2) as s:
                s.spawn(rest)
    assert type(raised(work)) is bine.Timeout
    bine.sleep(5)


def test_an_error_before_its_time_stops_the_clock():
    def slow():
        try:
            bine.sleep(1000)
        finally:
            with bine.shield(9):
                bine.sleep(5)

    def work():
        with bine.Scope(timeout=2) as s:
            s.spawn(slow)
            s.spawn(fail, ValueError(1), 1)
    assert [type(e) for e in raised(work).exceptions] == [ValueError]


def test_a_body_that_swallows_the_cancel_of_its_time_meets_the_timeout():
    def work():
        with bine.Scope(timeout=1):
            try:
                bine.sleep(5)
            except bine.Cancelled:
                pass
    assert type(raised(work)) is bine.Timeout


def test_bad_times_are_refused():
    for bad, kind in ((-1, ValueError), ("1", TypeError), (float("nan"), ValueError), (1j, TypeError)):
        assert type(raised(bine.Scope, bad)) is kind


def test_a_timeout_round_it_ends_its_children():
    seen = []

    def work():
        with bine.timeout(2):
            with bine.Scope() as s:
                s.spawn(rest, seen, 1)
    error = raised(work)
    assert type(error) is bine.Timeout and "2.0 s" in str(error) and seen == [1]
    bine.pause()


def test_a_timeout_inside_it_is_an_error_like_any_other():
    def child():
        with bine.timeout(1):
            bine.sleep(5)

    def work():
        with bine.Scope() as s:
            s.spawn(rest)
            s.spawn(child)
    assert [type(e) for e in raised(work).exceptions] == [bine.Timeout]


def test_of_both_times_the_earlier_counts():
    def work(scope, limit):
        with bine.timeout(limit):
            with bine.Scope(timeout=scope) as s:
                s.spawn(rest)
    assert "2.0 s" in str(raised(work, 5, 2))
    assert "time of the scope" in str(raised(work, 2, 5))
    assert type(raised(work, 2, 2)) is bine.Timeout


# ---- use and misuse ----

def test_a_scope_is_entered_once():
    with bine.Scope() as s:
        assert type(raised(s.__enter__)) is RuntimeError
    assert type(raised(s.__enter__)) is RuntimeError
    assert s.__exit__(None, None, None) is False


def test_it_is_entered_before_anything_is_spawned():
    assert "enter it first" in str(raised(bine.Scope().spawn, rest))
    with bine.Scope() as s:
        assert type(raised(s.spawn)) is TypeError
        assert type(raised(s.spawn, 5)) is TypeError
        assert s.alive == 0


def test_one_cancelled_before_it_is_entered_has_a_cancelled_body():
    seen = []
    for s in bine.Scope(), bine.Scope(timeout=5):
        s.cancel("early")
        with s:
            bine.pause()
            seen.append("never")
    assert seen == []
    bine.sleep(9)


def test_repr_tells_its_state():
    with bine.Scope(name="bridge") as s:
        s.spawn(bine.pause)
        assert repr(s) == "<bine.Scope bridge open, 1 alive>"
    assert repr(s) == "<bine.Scope bridge closed, 0 alive>"
    s = bine.Scope()
    s.cancel()
    assert repr(s) == "<bine.Scope cancelled, 0 alive>"


def test_one_that_is_never_entered_is_freed():
    for _ in range(10):
        bine.Scope(timeout=5)
        bine.Scope().cancel()


def test_a_generator_that_is_closed_ends_its_children():
    seen = []

    def generate():
        with bine.Scope() as s:
            s.spawn(rest, seen, 1)
            yield 1
            yield 2
    g = generate()
    assert next(g) == 1
    bine.pause()
    g.close()
    assert seen == [1]
    bine.pause()


def test_a_generator_that_is_dropped_ends_its_children():
    seen = []

    def generate():
        with bine.Scope() as s:
            s.spawn(rest, seen, 1)
            yield 1
    for _ in generate():
        bine.pause()
        break
    bine.sleep(1)
    assert seen == [1]


def test_a_micro_thread_that_ends_inside_a_generators_block_ends_its_children():
    seen = []
    box = []

    def generate():
        with bine.Scope() as s:
            box.append(s)
            s.spawn(rest, seen, 1)
            yield 1

    def work():
        box.append(generate())
        next(box[-1])
        bine.pause()
    bine.spawn(work).join()
    bine.sleep(1)
    g, s = box
    assert seen == [1] and s.cancelled and s.alive == 0
    g.close()
    assert "cancelled" in repr(s)
    assert "entered before" in str(raised(s.__enter__))


def test_children_of_an_abandoned_block_that_fail_are_reported():
    def generate():
        with bine.Scope() as s:
            s.spawn(sour, ValueError("left alone"))
            yield 1

    def work():
        keep.append(generate())
        next(keep[0])
        bine.pause()
    keep = []
    bine.spawn(work).join()
    bine.sleep(1)
    keep.clear()
    gc.collect()
    bine.sleep(1)
    assert host.unhandled() == ["ValueError"]


def test_a_block_left_by_another_micro_thread_leaves_who_entered_it_alone():
    seen = []

    def generate():
        with bine.Scope() as s:
            s.spawn(rest, seen, 1)
            yield 1
    g = generate()
    next(g)
    bine.pause()
    bine.spawn(g.close).join()
    assert seen == [1]
    bine.sleep(1)


def test_who_belongs_to_a_scope_cannot_wait_for_its_end():
    seen = []

    def generate():
        with bine.Scope() as s:
            box.append(s)
            yield s

    def inside(depth):
        if depth:
            with bine.Scope() as s:
                s.spawn(inside, depth - 1)
            return
        seen.append(str(raised(box[0].__exit__, None, None, None)))
        seen.append(type(raised(g.close)))
        bine.pause()
    for depth in range(3):
        box = []
        g = generate()
        t = next(g).spawn(inside, depth)
        t.join()
        box[0].__exit__(None, None, None)
    assert seen == ["a scope's end is not to be waited for by who belongs to it", RuntimeError] * 3


def test_a_scope_in_a_coroutine():
    seen = []

    async def work():
        with bine.Scope() as s:
            t = s.spawn(lambda: bine.sleep(1) or 5)
            seen.append(await t)
            s.spawn(rest, seen, "child")
            bine.pause()
            s.cancel()
            bine.pause()
        return "left"
    assert bine.spawn(work).join() == "left" and seen == [5, "child"]


def test_a_scope_and_what_it_held_is_freed():
    class Thing:
        pass
    things = []

    def work():
        with bine.Scope() as s:
            for _ in range(5):
                thing = Thing()
                things.append(weakref.ref(thing))
                s.spawn(lambda thing: bine.sleep(1000), thing)
                del thing
            s.cancel()
    for _ in range(3):
        work()
    gc.collect()
    assert things and all(ref() is None for ref in things)


def test_at_the_end_of_the_runtime_children_and_block_get_exit():
    # Nothing to check from in here: the runner's shutdown has to end all of these.
    def nest(depth):
        with bine.Scope() as s:
            s.spawn(rest)
            if depth:
                s.spawn(nest, depth - 1)
    bine.spawn(nest, 5)
    for _ in range(10):
        bine.pause()
    assert len(bine.all()) == 13


# ---- trees ----

def test_random_trees_end_whole():
    import random
    for seed in range(400):
        tree = Tree(random.Random(seed))
        t = bine.spawn(tree.node, 4)
        killer = bine.spawn(tree.kill, bine.current()) if seed % 2 else None
        bine.sleep(tree.random.choice([0, 1, 2, 5]))
        if tree.random.random() < 0.5:
            t.cancel()
        error = raised(t.join)
        if killer is not None:
            killer.join()
        assert tree.open == 0, (seed, tree.open)
        assert bine.all() == [bine.current()], (seed, bine.all())
        tree.check(error, seed)
        del error
    gc.collect()
    bine.pause()
    assert host.unhandled() == []


class Tree:
    """Scopes in scopes whose children sleep, fail, cancel and clean up, as the dice fall."""

    def __init__(self, dice):
        self.random = dice
        self.open = 0
        self.raised = []

    def leaf(self):
        self.open += 1
        try:
            self.random.choice([bine.sleep, host.sleep_in_c, self.sleep])(self.random.choice([0, 1, 2, 3]))
            if self.random.random() < 0.05:
                raise ValueError("leaf")
        except BaseException as error:
            if self.random.random() < 0.3:
                with bine.shield(2):
                    bine.sleep(self.random.choice([0, 1, 2]))
            if isinstance(error, ValueError):
                self.raised.append(error)
            raise
        finally:
            self.open -= 1

    def sleep(self, seconds):
        """In a generator's scope, which is closed or dropped with a child inside."""
        def generate():
            with bine.Scope() as s:
                s.spawn(bine.sleep, seconds + 1)
                yield bine.sleep(seconds)
        for _ in generate():
            break

    def kill(self, spared):
        for _ in range(6):
            bine.sleep(self.random.choice([0, 0.5, 1]))
            victim = self.random.choice(bine.all())
            if victim is not spared and victim is not bine.current():
                victim.cancel()

    def node(self, depth):
        self.open += 1
        dice = self.random
        try:
            with bine.Scope(timeout=dice.choice([None, None, 1, 4])) as s:
                for _ in range(1 + dice.randrange(6)):
                    child = s.spawn(self.node, depth - 1) if depth and dice.random() < 0.5 else s.spawn(self.leaf)
                    if dice.random() < 0.05:
                        child.cancel()
                if dice.random() < 0.3:
                    bine.sleep(dice.choice([0, 1, 2]))
                if dice.random() < 0.05:
                    s.cancel("dice")
                if dice.random() < 0.05:
                    self.raised.append(ValueError("body"))
                    raise self.raised[-1]
                if dice.random() < 0.2:
                    with bine.timeout(1):
                        bine.sleep(dice.choice([0, 3]))
            assert s.alive == 0
        finally:
            self.open -= 1

    def check(self, error, seed):
        """No error is lost, none comes twice."""
        leaves = []

        def walk(error):
            if isinstance(error, BaseExceptionGroup):
                for e in error.exceptions:
                    walk(e)
            elif error is not None:
                leaves.append(error)
        walk(error)
        values = [e for e in leaves if isinstance(e, ValueError)]
        assert len(values) == len({id(e) for e in values}), (seed, values)
        assert all(isinstance(e, (ValueError, bine.Timeout, bine.Cancelled)) for e in leaves), (seed, leaves)
        assert {id(e) for e in values} == {id(e) for e in self.raised}, (seed, values, self.raised)


def test_a_scope_cancelled_by_what_runs_inside_spawn_refuses_the_child():
    import bdb
    import sys

    class Debugger(bdb.Bdb):
        @property
        def _bine_stepping(self):  # asked for when what is traced spawns
            scope.cancel("by the debugger")
            return 0

        @_bine_stepping.setter
        def _bine_stepping(self, value):
            pass

    def spawns():
        try:
            scope.spawn(bine.sleep, 60)
        except bine.HostError as error:
            return error.name
    with bine.Scope() as scope:
        debugger = Debugger()
        debugger.reset()
        sys.settrace(debugger.trace_dispatch)
        refused = spawns()
        sys.settrace(None)
    assert scope.cancelled and scope.alive == 0
    assert refused == "BINE_ECLOSED", refused
