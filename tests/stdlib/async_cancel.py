"""Cancelling what is waited for by bine.run_async(), from either side."""
import asyncio

import bine

MS = 0.001


def raised(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


class Work:
    """A coroutine whose clean-up waits."""

    def __init__(self):
        self.log = []
        self.begun = bine.Event()

    async def run(self):
        self.begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            await asyncio.sleep(2 * MS)
            self.log.append("cleaned")
            raise


def test_a_cancelled_micro_thread_cancels_the_task_and_waits_for_it():
    work = Work()
    micro = bine.spawn(bine.run_async, work.run())
    work.begun.wait()
    micro.cancel()
    assert isinstance(raised(micro.join), bine.Cancelled)
    assert work.log == ["cancelled", "cleaned"]


def test_a_timeout_does_too():
    work = Work()

    def limited():
        with bine.timeout(5 * MS):
            bine.run_async(work.run())
    assert isinstance(raised(limited), bine.Timeout)
    assert work.log == ["cancelled", "cleaned"]


def test_a_cancelled_scope_does_too():
    work = Work()

    def fails():
        work.begun.wait()
        raise KeyError("sibling")

    def in_scope():
        with bine.Scope() as scope:
            scope.spawn(bine.run_async, work.run())
            scope.spawn(fails)
    assert isinstance(raised(in_scope), ExceptionGroup)
    assert work.log == ["cancelled", "cleaned"]


def test_an_error_of_the_clean_up_is_not_lost():
    begun = bine.Event()

    async def fails():
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            raise KeyError("clean-up")
    micro = bine.spawn(bine.run_async, fails())
    begun.wait()
    micro.cancel()
    error = raised(micro.join)
    assert isinstance(error, bine.Cancelled) and isinstance(error.__context__, KeyError), repr(error)


def test_a_cancelled_task_raises_cancelled_error():
    async def main():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
    assert isinstance(raised(bine.run_async, main()), asyncio.CancelledError)


def test_one_that_waits_for_a_task_may_be_cancelled_before_it_ran():
    micro = bine.spawn(bine.run_async, asyncio.sleep(0))
    micro.cancel()
    assert isinstance(raised(micro.join), bine.Cancelled)


def test_a_stubborn_task_is_waited_for():
    begun = bine.Event()

    async def stubborn():
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
        await asyncio.sleep(2 * MS)
        return "ended"
    micro = bine.spawn(bine.run_async, stubborn())
    begun.wait()
    micro.cancel()
    assert isinstance(raised(micro.join), bine.Cancelled)


def test_the_loops_micro_thread_can_be_cancelled():
    work = Work()
    waits = bine.spawn(bine.run_async, work.run())
    work.begun.wait()
    for micro in bine.all():
        if micro.name == "asyncio":
            micro.cancel()
    assert isinstance(raised(waits.join), asyncio.CancelledError)
    assert work.log == ["cancelled", "cleaned"]
    assert bine.run_async(asyncio.sleep(0, 5)) == 5  # on another


def test_blocking_code_in_a_task_is_cancelled_with_the_loop():
    begun = bine.Event()
    ended = []

    async def blocks():
        begun.set()
        try:
            bine.sleep(3600)
        except BaseException as error:
            ended.append(type(error))
            raise
    waits = bine.spawn(bine.run_async, blocks())
    begun.wait()
    for micro in bine.all():
        if micro.name == "asyncio":
            micro.cancel()
    raised(waits.join)
    assert ended == [bine.Cancelled]
