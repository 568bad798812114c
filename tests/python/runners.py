"""For tests: functions that run on a micro-thread or on an OS thread, as asked for; what functions raise."""
import bine
import sys
import threading

KINDS = "micro", "thread"


def in_turns():
    """An OS thread that has the GIL keeps it until it blocks: what it has done before, it has done in one go."""
    sys.setswitchinterval(1000)


class Run:
    """function(*args) on a micro-thread or an OS thread; begun() before it, so that who sees it begun knows that it
    waits by now (see in_turns)."""

    def __init__(self, kind, function, *args):
        self.kind = kind
        self.ended = bine.Event()
        self.begun = False
        self.work = function, args
        if kind == "micro":
            self.micro = bine.spawn(self.run)
        else:
            self.thread = threading.Thread(target=self.run)
            self.thread.start()
        while not self.begun:
            bine.pause()

    def run(self):
        function, args = self.work
        self.begun = True
        try:
            self.value = function(*args)
        except BaseException as error:
            self.value = error
        self.ended.set()

    def outcome(self):
        """What it returned, or the exception that it raised."""
        self.ended.wait()
        if self.kind == "thread":
            self.thread.join()
        return self.value

    @property
    def done(self):
        return self.ended.is_set()


def raised(function, *args, **kwargs):
    """What it raises; None if nothing."""
    try:
        function(*args, **kwargs)
    except BaseException as error:
        return error


def fails_with(kind, function, *args, **kwargs):
    """The message."""
    try:
        function(*args, **kwargs)
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


def at_end(function):
    """function() inside a destructor, where no wait is allowed: its value or exception."""
    box = []

    class Ends:
        def __del__(self):
            try:
                box.append(function())
            except BaseException as error:
                box.append(error)
    Ends()
    return box.pop()
