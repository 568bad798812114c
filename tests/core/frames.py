"""Frames and time, as scripts see them: next_frame(), time(), sleep(real=True). Each turn of the runner is a frame."""
import bine
import host


def test_next_frame_returns_none_and_time_has_not_to_pass():
    before = bine.time()
    assert bine.next_frame() is None
    assert bine.time() - before <= 1 / 60


def test_all_see_the_same_frames():
    frame = 0

    def count():
        nonlocal frame
        while True:
            bine.next_frame()
            frame += 1

    def animate():
        seen = []
        for _ in range(10):
            bine.next_frame()
            seen.append(frame)
        return seen
    counter = bine.spawn(count)
    animations = [bine.spawn(animate) for _ in range(5)]
    for t in animations:
        assert t.join() == list(range(1, 11))
    counter.cancel()


def test_pauses_do_not_end_a_frame():
    t = bine.spawn(bine.next_frame)
    bine.pause()
    for _ in range(3):
        bine.pause()  # a negative budget: each is a tick, and so a frame
    assert t.done


def test_a_frame_goes_well_with_all_other_waits():
    event = bine.Event()

    def setter():
        bine.next_frame()
        event.set()
    bine.spawn(setter)
    with bine.timeout(5):
        event.wait()
    with bine.Scope() as s:
        for _ in range(3):
            s.spawn(bine.next_frame)


def test_a_cancel_ends_the_wait_for_a_frame():
    came = []

    def wait():
        try:
            bine.next_frame()
        except bine.Cancelled:
            came.append("cancelled")
            raise
    t = bine.spawn(lambda: [wait() for _ in range(1000)])
    bine.pause()
    bine.pause()
    t.cancel()
    try:
        t.join()
        raise AssertionError
    except bine.Cancelled:
        assert came == ["cancelled"]


def test_many_wait_for_the_same_frame_and_half_of_them_are_cancelled():
    ended = []

    def wait(i):
        bine.next_frame()
        ended.append(i)
    all_of_them = [bine.spawn(wait, i) for i in range(1000)]
    bine.pause()  # they wait
    for t in all_of_them[::2]:
        t.cancel()
    for t in all_of_them[1::2]:
        t.join()
    assert ended == list(range(1, 1000, 2))


def test_time_goes_on_in_sleeps():
    start = bine.time()
    assert isinstance(start, float) and start >= 0
    bine.sleep(2.5)
    assert abs(bine.time() - start - 2.5) < 1e-6
    host.crank(4)
    assert abs(bine.time() - start - 6.5) < 1e-6


def test_a_sleep_by_real_time():
    start = bine.time()
    assert bine.sleep(1, real=True) is None
    assert bine.sleep(1.5, real=1) is None
    assert bine.sleep(0, real=True) is None
    assert bine.sleep(1, real=False) is None
    assert abs(bine.time() - start - 3.5) < 1e-6


def test_sleeps_of_both_kinds_end_in_their_order():
    ended = []

    def sleep(seconds, real):
        bine.sleep(seconds, real=real)
        ended.append(seconds)
    all_of_them = [bine.spawn(sleep, s, s % 2 == 0) for s in (5, 2, 4, 1, 3, 6)]
    for t in all_of_them:
        t.join()
    assert ended == [1, 2, 3, 4, 5, 6]


def test_a_sleep_by_real_time_is_cancelled_and_times_out():
    t = bine.spawn(bine.sleep, 100, real=True)
    bine.pause()
    bine.pause()
    t.cancel()
    try:
        t.join()
        raise AssertionError
    except bine.Cancelled:
        pass
    start = bine.time()
    try:
        with bine.timeout(2):
            bine.sleep(100, real=True)
        raise AssertionError
    except bine.Timeout:
        assert abs(bine.time() - start - 2) < 1e-6


def test_a_sleep_for_ever_by_real_time_can_be_cancelled():
    for seconds in (1e300, float("inf")):
        t = bine.spawn(bine.sleep, seconds, real=True)
        bine.pause()
        bine.pause()
        assert not t.done
        t.cancel()


def test_the_stack_of_one_that_rests_is_seen():
    def rest_for_a_frame():
        bine.next_frame()

    def rest_for_long():
        bine.sleep(50, real=True)
    for function in (rest_for_long, rest_for_a_frame):
        t = bine.spawn(function)
        bine.pause()
        assert [frame.f_code.co_name for frame in t.stack()] == [function.__name__]
        t.cancel()


def in_a_destructor(function):
    errors = []

    class Thing:
        def __del__(self):
            try:
                function()
            except BaseException as error:
                errors.append(error)
    Thing()
    return errors[0]


def test_waits_for_frames_and_real_time_are_refused_in_a_destructor():
    for function in (bine.next_frame, lambda: bine.sleep(1, real=True), lambda: bine.wait_readable(0)):
        assert "destructor" in str(in_a_destructor(function)), function


def test_waits_are_refused_on_the_hosts_stack():
    def refused(function, *args):
        try:
            function(*args)
        except bine.NotInMicroThread:
            return True
        return False
    assert host.on_host(lambda: refused(bine.next_frame))
    assert host.on_host(lambda: refused(lambda: bine.sleep(1, real=True)))
    assert host.on_host(lambda: refused(bine.wait_readable, 0))
    assert host.on_host(lambda: bine.time()) == bine.time()


def test_on_another_thread_they_are_refused():
    import threading
    errors = []

    def refused():
        for function in (bine.next_frame, bine.time, lambda: bine.sleep(1, real=True), lambda: bine.wait_readable(0)):
            try:
                function()
            except RuntimeError as error:
                errors.append(str(error))
    thread = threading.Thread(target=refused)
    thread.start()
    thread.join()
    assert len(errors) == 4 and all(errors), errors
