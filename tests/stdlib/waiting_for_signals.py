"""Waiting for signals suspends the micro-thread alone."""
import os
import signal
import threading

import bine


def turns(count=5):
    for i in range(count):
        bine.pause()


class blocked:
    def __init__(self, *signals):
        self.signals = signals

    def __enter__(self):
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)

    def __exit__(self, *error):
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)


def test_sigwait_suspends_its_micro_thread_alone():
    with blocked(signal.SIGUSR1, signal.SIGUSR2):
        micro = bine.spawn(signal.sigwait, {signal.SIGUSR1, signal.SIGUSR2})
        turns()
        assert not micro.done
        os.kill(os.getpid(), signal.SIGUSR2)
        number = micro.join()
        assert number == signal.SIGUSR2 and isinstance(number, signal.Signals), number


def test_one_that_is_pending_needs_no_wait():
    with blocked(signal.SIGUSR1):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.sigwait(iter([signal.SIGUSR1])) == signal.SIGUSR1


def test_one_for_the_thread_itself_is_taken_too():
    with blocked(signal.SIGUSR1):
        micro = bine.spawn(signal.sigwait, [signal.SIGUSR1])
        turns()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        assert micro.join() == signal.SIGUSR1


def test_sigwaitinfo_tells_who_sent_it():
    with blocked(signal.SIGUSR1):
        micro = bine.spawn(signal.sigwaitinfo, [signal.SIGUSR1])
        turns()
        os.kill(os.getpid(), signal.SIGUSR1)
        info = micro.join()
        assert (info.si_signo, info.si_pid) == (signal.SIGUSR1, os.getpid())


def test_sigtimedwait_takes_it_or_times_out():
    with blocked(signal.SIGUSR1):
        assert signal.sigtimedwait([signal.SIGUSR1], 3600) is None
        assert signal.sigtimedwait([signal.SIGUSR1], 0) is None
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.sigtimedwait([signal.SIGUSR1], 3600).si_signo == signal.SIGUSR1


def test_a_cancelled_wait_takes_nothing():
    with blocked(signal.SIGUSR1):
        micro = bine.spawn(signal.sigwait, [signal.SIGUSR1])
        turns()
        os.kill(os.getpid(), signal.SIGUSR1)
        micro.cancel()
        try:
            micro.join()
        except bine.Cancelled:
            pass
        assert signal.sigpending() == {signal.SIGUSR1}
        signal.sigwait([signal.SIGUSR1])


def test_bad_arguments_are_told_of_as_ever():
    for call, args, error in ((signal.sigwait, (3,), TypeError), (signal.sigwait, ([0],), ValueError),
                              (signal.sigwait, (["x"],), TypeError), (signal.sigwaitinfo, ([999],), ValueError),
                              (signal.sigtimedwait, ([1], -1), ValueError), (signal.sigwait, (), TypeError),
                              (signal.sigtimedwait, ([1],), TypeError), (signal.sigtimedwait, ([1], "1"), TypeError),
                              (signal.pause, (1,), TypeError), (signal.sigtimedwait, ([99], 5), ValueError)):
        try:
            call(*args)
        except error as caught:
            assert "bine" not in str(caught), caught
        else:
            raise AssertionError(f"{call}{args} is taken")


def test_pause_waits_for_a_handler():
    seen = []

    def wait():
        signal.pause()
        seen.append("after")
    before = signal.signal(signal.SIGUSR1, lambda *args: seen.append("handler"))
    micro = bine.spawn(wait)
    turns()
    assert not micro.done
    os.kill(os.getpid(), signal.SIGUSR1)
    micro.join()
    assert seen == ["handler", "after"], seen
    signal.signal(signal.SIGUSR1, before)


def test_pause_takes_no_signal_that_came_before():
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *args: seen.append(1))
    os.kill(os.getpid(), signal.SIGUSR1)
    assert seen == [1]
    micro = bine.spawn(signal.pause)
    turns()
    assert not micro.done
    os.kill(os.getpid(), signal.SIGUSR1)
    micro.join()
    assert seen == [1, 1]
    signal.signal(signal.SIGUSR1, before)


def test_a_pause_can_be_cancelled():
    micro = bine.spawn(signal.pause)
    turns()
    micro.cancel()
    try:
        micro.join()
    except bine.Cancelled:
        pass
    assert micro.done
