"""async functions given to bine.spawn(); await on MicroThread and Deferred."""
import bine
import contextvars
import functools
import host
import types


def raises(kind, function, *args):
    try:
        function(*args)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def test_a_coroutine_function_is_run_to_its_end():
    async def work(x, *, y):
        return x + y
    assert bine.spawn(work, 1, y=2).join() == 3
    assert bine.spawn(functools.partial(work, 3), y=4).join() == 7


def test_an_async_method_is_run_to_its_end():
    class Agent:
        async def act(self):
            bine.sleep(1)
            return self
    agent = Agent()
    assert bine.spawn(agent.act).join() is agent


def test_await_on_a_micro_thread_is_join():
    async def main():
        return await bine.spawn(lambda: bine.sleep(1) or "done")
    assert bine.spawn(main).join() == "done"


def test_await_on_one_that_has_ended():
    t = bine.spawn(lambda: (1, 2))
    t.join()

    async def main():
        return [await t, await t]
    assert bine.spawn(main).join() == [(1, 2), (1, 2)]


def test_await_raises_what_it_raised():
    async def main():
        try:
            await bine.spawn(lambda: 1 / 0)
        except ZeroDivisionError:
            return "caught"
    assert bine.spawn(main).join() == "caught"


def test_await_on_a_deferred_is_wait():
    async def main():
        return await host.deferred(1)
    t = bine.spawn(main)
    bine.pause()
    host.settle(1, [1, 2])
    assert t.join() == [1, 2]


def test_await_on_a_rejected_deferred_raises():
    async def main():
        await host.deferred(1)
    t = bine.spawn(main)
    bine.pause()
    host.fail(1, -1500, "broken")
    assert raises(bine.HostError, t.join).code == -1500


def test_results_of_every_kind_come_through_await():
    async def main():
        got = []
        for value in ((), (1, 2), None, StopIteration(3), ValueError("not raised"), [1]):
            got.append((await bine.spawn(lambda v=value: v)) is value)
        return got
    assert bine.spawn(main).join() == [True] * 6


def test_coroutines_await_coroutines():
    async def leaf(n):
        bine.sleep(n)
        return n

    async def branch():
        return [await leaf(1), await leaf(2), await bine.spawn(leaf, 3)]
    assert bine.spawn(branch).join() == [1, 2, 3]


def test_async_generators_and_async_with_run():
    class Manager:
        async def __aenter__(self):
            return await bine.spawn(lambda: "in")

        async def __aexit__(self, *args):
            bine.sleep(1)

    async def numbers():
        for n in range(3):
            bine.sleep(1)
            yield await bine.spawn(lambda: n)

    async def main():
        async with Manager() as m:
            return m, [n async for n in numbers()]
    assert bine.spawn(main).join() == ("in", [0, 1, 2])


def test_a_bare_yield_is_a_pause():
    order = []

    @types.coroutine
    def step():
        yield

    async def work(name):
        for _ in range(2):
            order.append(name)
            await step()
    ts = [bine.spawn(work, n) for n in "ab"]
    for t in ts:
        t.join()
    assert "".join(order) == "abab"


def test_a_foreign_awaitable_gives_a_clear_error():
    class Foreign:
        def __await__(self):
            yield self

    async def main():
        await Foreign()
    error = raises(RuntimeError, bine.spawn(main).join)
    assert "awaits a Foreign" in str(error) and "MicroThread and Deferred" in str(error)


def test_an_asyncio_future_gives_a_clear_error():
    import asyncio

    async def main():
        loop = asyncio.new_event_loop()
        try:
            await loop.create_future()
        finally:
            loop.close()
    error = raises(RuntimeError, bine.spawn(main).join)
    assert "Future" in str(error) and "event loop" in str(error)


def test_the_error_for_a_foreign_awaitable_shows_the_await():
    import traceback

    class Foreign:
        def __await__(self):
            yield self

    async def main():
        await Foreign()
    error = raises(RuntimeError, bine.spawn(main).join)
    assert "main" in [f.name for f in traceback.extract_tb(error.__traceback__)]


def test_a_coroutine_is_cancelled_where_it_waits():
    seen = []

    async def main():
        try:
            await bine.spawn(bine.sleep, 9)
        except bine.Cancelled:
            seen.append("cancelled")
            raise
    t = bine.spawn(main)
    bine.pause()
    t.cancel()
    raises(bine.Cancelled, t.join)
    assert seen == ["cancelled"]


def test_a_coroutine_is_cancelled_at_a_bare_yield():
    seen = []

    @types.coroutine
    def step():
        yield

    async def main():
        try:
            while True:
                await step()
        except bine.Cancelled:
            seen.append("cancelled")
            raise
    t = bine.spawn(main)
    bine.pause()
    t.cancel()
    raises(bine.Cancelled, t.join)
    assert seen == ["cancelled"]


def test_a_timeout_is_raised_at_a_bare_yield():
    @types.coroutine
    def step():
        yield

    async def main():
        try:
            with bine.timeout(1):
                while True:
                    await step()
                    host.crank(0.25)
        except bine.Timeout:
            return "timed out"
    assert bine.spawn(main).join() == "timed out"


def test_a_coroutine_object_is_no_function():
    async def main():
        pass
    c = main()
    error = raises(TypeError, bine.spawn, c)
    assert str(error) == "spawn() needs a function, not coroutine"
    c.close()


def test_two_micro_threads_cannot_drive_one_coroutine():
    async def main():
        bine.sleep(5)
        return 1
    c = main()

    def send():
        try:
            c.send(None)
        except StopIteration as stop:
            return stop.value
    t = bine.spawn(send)
    bine.pause()
    error = raises(ValueError, c.send, None)
    assert "already executing" in str(error)
    assert t.join() == 1


def test_a_coroutine_that_was_not_begun_gives_no_warning():
    import warnings

    async def main():
        pass
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        t = bine.spawn(main)
        t.cancel()
        raises(bine.Cancelled, t.join)
    assert caught == []


def test_coroutines_share_their_micro_threads_context():
    v = contextvars.ContextVar("v", default=0)

    async def inner():
        v.set(v.get() + 1)

    async def main():
        await inner()
        await inner()
        return v.get()
    assert bine.spawn(main).join() == 2
    assert v.get() == 0


def test_asyncio_run_works_inside_one_micro_thread():
    import asyncio

    async def main():
        await asyncio.sleep(0)
        return await asyncio.gather(*(asyncio.sleep(0, n) for n in range(3)))
    assert bine.spawn(asyncio.run, main()).join() == [0, 1, 2]


def test_asyncio_of_two_micro_threads_does_not_mix():
    import asyncio

    async def main(n):
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        for _ in range(3):
            await asyncio.sleep(0)
            bine.pause()
            assert asyncio.get_running_loop() is loop and asyncio.current_task() is task
        return n
    ts = [bine.spawn(asyncio.run, main(n)) for n in range(3)]
    assert [t.join() for t in ts] == [0, 1, 2]
