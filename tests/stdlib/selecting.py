"""select, poll and epoll on micro-threads, and what stands on them: selectors."""
import contextlib
import errno
import os
import resource
import select
import selectors
import signal
import socket
import tempfile
import threading

from acts import later
import bine


@contextlib.contextmanager
def raises(error, text=None):
    try:
        yield
    except error as caught:
        assert text is None or str(caught) == text, repr(caught)
    else:
        raise AssertionError(f"no {error.__name__}")


@contextlib.contextmanager
def pairs(count):
    made = [socket.socketpair() for _ in range(count)]
    try:
        yield made
    finally:
        for pair in made:
            for end in pair:
                end.close()


def fill(s):
    """Writes until there is no room."""
    s.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            s.send(bytes(100_000))


def empty(s):
    s.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while s.recv(1_000_000):
            pass


def made_poll(*wanted):
    poll = select.poll()
    for s, events in wanted:
        poll.register(s, events)
    return poll


def made_epoll(*wanted):
    epoll = select.epoll()
    for s, events in wanted:
        epoll.register(s, events)
    return epoll


# ---- select ----

def test_select_waits_for_one():
    with pairs(1) as [(a, b)]:
        later(b.send, b"x")
        assert select.select([a], [], []) == ([a], [], [])
        assert select.select([a.fileno()], [a], []) == ([a.fileno()], [a], [])


def test_select_waits_for_several():
    with pairs(3) as made:
        ends = [a for a, b in made]
        later(made[1][1].send, b"x")
        assert select.select(ends, [], ends) == ([ends[1]], [], [])


def test_select_waits_for_room():
    with pairs(2) as [(a, b), (c, d)]:
        fill(a)
        later(empty, b)
        assert select.select([c], [a], [a]) == ([], [a], [])
        fill(a)
        later(empty, b)
        assert select.select([], [a], []) == ([], [a], [])


def test_select_knows_one_that_is_there_twice():
    with pairs(2) as [(a, b), (c, d)]:
        fill(a)
        later(b.send, b"x")
        assert select.select([a, c, a], [a], [c]) == ([a, a], [], [])


def test_select_sees_urgent_data():
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_connection(server.getsockname()) as a, server.accept()[0] as b:
        later(b.send, b"x", socket.MSG_OOB)
        assert select.select([], [], [a]) == ([], [], [a])


def test_what_ends_without_urgent_data_does_not_end_a_wait_for_it():
    with pairs(1) as [(a, b)]:
        later(b.close)
        assert select.select([], [], [a], 0.05) == ([], [], [])


def test_select_times_out():
    with pairs(2) as [(a, b), (c, d)]:
        for seconds in (0, 0.0, 0.01, 1, True):
            assert select.select([a], [], [], seconds) == ([], [], [])
            assert select.select([a, c], [], [], seconds) == ([], [], [])
        assert select.select([], [], [], 0.01) == ([], [], [])


def test_select_takes_what_can_be_iterated_over_once():
    with pairs(1) as [(a, b)]:
        later(b.send, b"x")
        assert select.select(iter([a]), (), set()) == ([a], [], [])


def test_a_file_is_always_ready():
    with tempfile.TemporaryFile() as file, pairs(1) as [(a, b)]:
        assert select.select([file, a], [file], []) == ([file], [file], [])
        assert select.select([], [], [file, a], 0.01) == ([], [], [])


def test_select_names_what_is_wrong_as_ever():
    def texts(run):
        said = []
        for args in ((), ([], []), ([], [], [], []), ([], [], [], "1"), ([], [], [], -1), ([], [], [], float("nan")),
                     ([], [], [], 1e300), (1, [], []), (["x"], [], []), ([-1], [], [], 1), ([999], [], [], 1),
                     ([100_000], [], [], 1), ([], [], [], 0, 0)):
            try:
                run(args)
            except Exception as error:
                said.append(f"{args}: {error!r}")
            else:
                said.append(f"{args}: fine")
        return said

    def in_a_thread(args):
        caught = []

        def run():
            try:
                select.select(*args)
            except Exception as error:
                caught.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if caught:
            raise caught[0]
    for here, there in zip(texts(lambda args: select.select(*args)), texts(in_a_thread)):
        assert here == there, (here, there)


# ---- poll ----

def test_poll_waits():
    with pairs(2) as [(a, b), (c, d)]:
        for poll in (made_poll((a, select.POLLIN)), made_poll((a, select.POLLIN), (c, select.POLLIN)),
                     made_poll((a, select.POLLIN | select.POLLPRI))):
            later(b.send, b"x")
            assert poll.poll() == [(a.fileno(), select.POLLIN)]
            a.recv(1)
        later(b.close)
        events = dict(made_poll((a, 0), (c, select.POLLIN)).poll(None))
        assert events == {a.fileno(): select.POLLHUP}


def test_poll_times_out():
    with pairs(2) as [(a, b), (c, d)]:
        for poll in (made_poll((a, select.POLLIN)), made_poll((a, select.POLLIN), (c, select.POLLIN)), made_poll()):
            for ms in (0, 1, 0.5, 10):
                assert poll.poll(ms) == []


def test_a_negative_time_is_no_limit():
    with pairs(1) as [(a, b)]:
        later(b.send, b"x")
        assert made_poll((a, select.POLLIN)).poll(-1) == [(a.fileno(), select.POLLIN)]
        a.recv(1)
        later(b.send, b"x")
        assert made_epoll((a, select.EPOLLIN)).poll(-1) == [(a.fileno(), select.EPOLLIN)]


def test_a_closed_descriptor_is_told_by_poll():
    with pairs(1) as [(a, b)]:
        poll = made_poll((a, select.POLLIN))
        micro = bine.spawn(poll.poll)
        bine.pause()
        number = a.fileno()
        a.close()
        assert micro.join() == [(number, select.POLLNVAL)]


def test_poll_refuses_what_it_always_has():
    poll = made_poll()
    for bad in ("1", 1e300, 1 << 80):
        with raises((TypeError, OverflowError)):
            poll.poll(bad)
    with raises(TypeError):
        poll.poll(1, 2)


# ---- epoll ----

def test_epoll_waits():
    with pairs(2) as [(a, b), (c, d)], made_epoll((a, select.EPOLLIN), (c, select.EPOLLIN)) as epoll:
        later(b.send, b"x")
        assert epoll.poll() == [(a.fileno(), select.EPOLLIN)]
        assert epoll.poll(None, 1) == [(a.fileno(), select.EPOLLIN)]
        assert epoll.poll(timeout=1.0, maxevents=5) == [(a.fileno(), select.EPOLLIN)]
        a.recv(1)
        for seconds in (0, 0.01, 1):
            assert epoll.poll(seconds) == []
            assert epoll.poll(timeout=seconds) == []


def test_two_wait_for_one_epoll():
    with pairs(1) as [(a, b)], made_epoll((a, select.EPOLLIN)) as epoll:
        waiting = [bine.spawn(epoll.poll) for _ in range(2)]
        later(b.send, b"x")
        assert [micro.join() for micro in waiting] == [[(a.fileno(), select.EPOLLIN)]] * 2


def test_what_is_registered_meanwhile_counts():
    with pairs(1) as [(a, b)], made_epoll() as epoll:
        micro = bine.spawn(epoll.poll)
        bine.pause()
        b.send(b"x")
        epoll.register(a, select.EPOLLIN)
        assert micro.join() == [(a.fileno(), select.EPOLLIN)]


def test_a_closed_epoll_wakes_who_waits():
    epoll = made_epoll()
    micro = bine.spawn(epoll.poll)
    bine.pause()
    epoll.close()
    with raises(ValueError, "I/O operation on closed epoll object"):
        micro.join()
    with raises(ValueError, "I/O operation on closed epoll object"):
        epoll.poll()


def test_epoll_refuses_what_it_always_has():
    with made_epoll() as epoll:
        for bad in (lambda: epoll.poll("1"), lambda: epoll.poll(1, 0), lambda: epoll.poll(1, -2),
                    lambda: epoll.poll(no=1), lambda: epoll.poll(1, 2, 3), lambda: epoll.poll(0, timeout=1)):
            with raises((TypeError, ValueError)):
                bad()


# ---- what all of them do ----

def each_wait(a, c):
    yield lambda: select.select([a], [], [])
    yield lambda: select.select([a, c], [], [])
    yield made_poll((a, select.POLLIN)).poll
    yield made_poll((a, select.POLLIN), (c, select.POLLIN)).poll
    yield made_epoll((a, select.EPOLLIN)).poll


def test_a_cancel_ends_each_and_leaves_no_descriptor():
    with pairs(2) as [(a, b), (c, d)]:
        waits = list(each_wait(a, c))
        before = os.listdir("/proc/self/fd")
        for wait in waits:
            micro = bine.spawn(wait)
            bine.pause()
            micro.cancel()
            with raises(bine.Cancelled):
                micro.join()
        assert os.listdir("/proc/self/fd") == before


def test_a_signal_handlers_exception_ends_each():
    def handler(*args):
        raise ZeroDivisionError
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pairs(2) as [(a, b), (c, d)]:
            for wait in each_wait(a, c):
                signal.setitimer(signal.ITIMER_REAL, 0.01)
                with raises(ZeroDivisionError):
                    wait()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_signals_come_and_go():
    came = []
    before = signal.signal(signal.SIGALRM, lambda *args: came.append(1))
    try:
        with pairs(2) as [(a, b), (c, d)]:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            for wait in each_wait(a, c):
                for _ in range(200):
                    later(b.send, b"x")
                    assert wait()
                    a.recv(1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert came


def test_without_a_descriptor_to_be_had_it_still_waits():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pairs(2) as [(a, b), (c, d)]:
        used = os.dup(0)
        os.close(used)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        try:
            later(b.send, b"x")
            assert select.select([a, c], [], []) == ([a], [], [])
            assert select.select([c], [d], [a], 0.01) == ([], [d], [])
            assert made_poll((c, select.POLLIN), (d, select.POLLIN)).poll(1) == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_that_never_waits_gives_the_others_turns():
    turns = []

    def others():
        while not stop:
            turns.append(1)
            bine.pause()
    stop = []
    micro = bine.spawn(others)
    with pairs(1) as [(a, b)]:
        for _ in range(1000):
            select.select([], [a], [])
    stop.append(1)
    micro.join()
    assert len(turns) > 10, len(turns)


def test_other_threads_have_cpythons_own():
    with pairs(1) as [(a, b)]:
        got = []
        thread = threading.Thread(target=lambda: got.append(select.select([a], [], [])))
        thread.start()
        b.send(b"x")
        thread.join()
        assert got == [([a], [], [])]


def test_selectors_wait():
    with pairs(2) as [(a, b), (c, d)]:
        for kind in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
            with kind() as selector:
                key = selector.register(a, selectors.EVENT_READ, "data")
                selector.register(c, selectors.EVENT_READ)
                assert selector.select(0.01) == selector.select(0) == []
                later(b.send, b"x")
                assert selector.select() == [(key, selectors.EVENT_READ)]
                a.recv(1)


def test_a_thousand_wait_at_once():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with pairs(1000) as made:
        def wait(a, c):
            poll = made_poll((a, select.POLLIN), (c, select.POLLIN))
            events = poll.poll()
            assert events == [(a.fileno(), select.POLLIN)], events
        waiting = [bine.spawn(wait, a, made[0][0]) for a, b in made[1:]]
        for _ in range(3):
            bine.pause()
        for a, b in made[1:]:
            b.send(b"x")
        for micro in waiting:
            micro.join()
