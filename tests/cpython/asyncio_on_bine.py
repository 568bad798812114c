"""CPython's test_asyncio with bine.EventLoop wherever it would make a selector loop: for run.py, which runs it
outside too, on CPython's own."""
import asyncio
import importlib
import unittest
from asyncio import unix_events

try:
    import bine
except ImportError:
    bine = None

# Those about loops of other kinds are left out, and those that replace the insides of the stock one by mocks.
INSIDES = {"SelectorEventLoopSignalTests"}
MODULES = [
    "buffered_proto", "context", "events", "futures", "locks", "protocols", "queues", "runners", "sendfile", "server",
    "sock_lowlevel", "ssl", "sslproto", "streams", "subprocess", "taskgroups", "tasks", "threads", "timeouts",
    "transports", "unix_events", "waitfor"]


def use_bine():
    class Loop(bine.EventLoop):
        def __init__(self, selector=None):
            if selector is not None:
                selector.close()
            super().__init__()

    stock = asyncio.SelectorEventLoop

    def new_loop():
        """On other threads asyncio has its own."""
        return stock() if bine.current() is None else Loop()
    asyncio.SelectorEventLoop = unix_events.SelectorEventLoop = Loop
    asyncio.DefaultEventLoopPolicy._loop_factory = staticmethod(new_loop)
    if hasattr(asyncio, "EventLoop"):
        asyncio.EventLoop = unix_events.EventLoop = Loop


if bine is not None:
    use_bine()


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite()
    for name in MODULES:
        try:
            module = importlib.import_module("test.test_asyncio.test_" + name)
        except ImportError:  # of another version
            continue
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == module.__name__ \
                    and value.__name__ not in INSIDES:
                suite.addTests(loader.loadTestsFromTestCase(value))
    return suite
