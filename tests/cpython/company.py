"""Other micro-threads beside CPython's tests, each in the middle of something that must stay its own.

    with company(): ...            they have their turns when the tests let them
    with company(switching=True):  and whenever a signal comes, between any two bytecodes of the tests

One that finds its own state changed fails, and with it the process.

Tests that interrupt the main thread want the exception there: it comes to whichever micro-thread runs, so the
company stands back meanwhile.
"""
import contextlib
import contextvars
import decimal
import signal
import sys
import threading

import bine

SWITCH_EVERY = 0.0005  # seconds

INTERRUPTS = ("test.test_threading.InterruptMainTests.", "test.test_io.CSignalsTest.", "test.test_io.PySignalsTest.")

may_work = bine.Event()
may_work.set()
at_rest = []  # those that stand back
workers = []


def parked():
    """Waits in a generator, with an exception in hand and a decimal context of its own."""
    def generator():
        try:
            raise KeyError
        except KeyError:
            yield bine.sleep(1e6)
    with decimal.localcontext(prec=3):
        next(generator())


def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)


def errors(count):
    for number in range(count):
        try:
            raise KeyError(number)
        except KeyError as error:
            yield number
            assert sys.exc_info()[1] is error


NUMBER = contextvars.ContextVar("NUMBER")
LOCAL = threading.local()


def check(number):
    """What belongs to a thread in python3 belongs to a micro-thread here."""
    assert NUMBER.get() == LOCAL.number == number
    assert decimal.getcontext().prec == number and str(decimal.Decimal(1) / 3) == "0." + "3" * number
    assert sys.gettrace() is None and sys.getprofile() is None
    assert sys.get_asyncgen_hooks() == (None, None) and sys.get_coroutine_origin_tracking_depth() == 0
    assert depth(5) == 5  # no more: some tests lower the limit, which is everybody's
    assert sum(errors(50)) == 1225
    assert sorted(range(50), key=lambda number: -number)[0] == 49


def wait(number):
    try:
        raise ValueError(number)
    except ValueError as error:
        bine.sleep(0.001)
        assert sys.exc_info()[1] is error


def at_work(number):
    NUMBER.set(number)
    LOCAL.number = number
    with decimal.localcontext(prec=number):
        while True:
            if not may_work.is_set():
                at_rest.append(number)
                may_work.wait()
                at_rest.remove(number)
            check(number)
            wait(number)
            contextvars.copy_context().run(wait, number)


def switch(signum, frame):
    try:
        bine.pause()
    except RuntimeError:  # where no one may wait: in a trace function, in __del__
        pass


def test_begins(name):
    if name.startswith(INTERRUPTS):
        may_work.clear()
        while len(at_rest) < len(workers):
            bine.pause()


def test_ends(name):
    may_work.set()


@contextlib.contextmanager
def company(switching=False):
    workers[:] = [bine.spawn(at_work, 5), bine.spawn(at_work, 7)]
    others = [bine.spawn(parked), *workers]
    bine.pause()
    if switching:
        signal.signal(signal.SIGALRM, switch)
        signal.setitimer(signal.ITIMER_REAL, SWITCH_EVERY, SWITCH_EVERY)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    workers.clear()
    for other in others:
        other.cancel()
        try:
            other.join()
        except bine.Cancelled:
            pass
