"""bine.run_async(): coroutines and asyncio's futures, from plain code in micro-threads."""
import asyncio
import contextvars
import gc
import threading
import traceback

import bine

MS = 0.001


async def double(x):
    await asyncio.sleep(MS)
    return 2 * x


def raised(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_it_returns_what_the_coroutine_does():
    assert bine.run_async(double(21)) == 42


def test_it_suspends_its_micro_thread_alone():
    ends = []
    micro = bine.spawn(lambda: (bine.run_async(asyncio.sleep(20 * MS)), ends.append("async")))
    bine.sleep(MS, real=True)
    ends.append("this")
    micro.join()
    assert ends == ["this", "async"]


def test_many_share_one_loop():
    async def loop():
        return asyncio.get_running_loop()
    micros = [bine.spawn(bine.run_async, loop()) for i in range(10)]
    assert len({micro.join() for micro in micros}) == 1


def test_tasks_of_different_micro_threads_meet():
    async def server(queue):
        return await queue.get()

    async def client(queue):
        await queue.put("word")
    queue = asyncio.Queue()
    waits = bine.spawn(bine.run_async, server(queue))
    bine.spawn(bine.run_async, client(queue))
    assert waits.join() == "word"


def test_an_error_has_both_tracebacks():
    async def fails():
        await asyncio.sleep(0)
        raise KeyError("async")

    def calls():
        bine.run_async(fails())
    error = raised(calls)
    assert isinstance(error, KeyError)
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-1] == "fails" and "calls" in names, names


def test_a_future_is_waited_for():
    async def make():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(MS, future.set_result, 7)
        return future
    assert bine.run_async(bine.run_async(make())) == 7


def test_a_task_that_has_ended_is_no_wait():
    async def make():
        task = asyncio.ensure_future(double(1))
        await task
        return task
    task = bine.run_async(make())
    assert bine.run_async(task) == 2 and bine.run_async(task) == 2


def test_a_future_of_a_loop_on_another_thread_is_waited_for():
    made = []
    ready = threading.Event()

    async def main():
        future = asyncio.get_running_loop().create_future()
        made.append((future, asyncio.get_running_loop()))
        ready.set()
        return await future
    thread = threading.Thread(target=asyncio.run, args=[main()])
    thread.start()
    ready.wait()
    future, loop = made[0]
    loop.call_soon_threadsafe(loop.call_later, MS, future.set_result, "far")
    assert bine.run_async(future) == "far"
    thread.join()


def test_whatever_can_be_awaited_will_do():
    class Awaitable:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return 5
    assert bine.run_async(Awaitable()) == 5


def test_what_cannot_is_refused():
    for bad in (5, None, "x", lambda: 1, double):
        error = raised(bine.run_async, bad)
        assert isinstance(error, TypeError) and type(bad).__name__ in str(error), error


def test_in_async_code_it_is_refused():
    async def calls():
        bine.run_async(double(1))
    error = raised(bine.run_async, calls())
    assert isinstance(error, RuntimeError) and "await" in str(error), error


def test_context_variables_are_the_callers():
    var = contextvars.ContextVar("var", default="none")

    async def look():
        seen = var.get()
        var.set("changed")
        return seen
    var.set("mine")
    assert bine.run_async(look()) == "mine"
    assert var.get() == "mine"
    assert bine.spawn(lambda: (var.set("theirs"), bine.run_async(look()))[1]).join() == "theirs"


def test_a_background_task_goes_on():
    done = []

    async def later():
        await asyncio.sleep(2 * MS)
        done.append(1)

    async def begin():
        begin.task = asyncio.create_task(later())
    bine.run_async(begin())
    assert done == []
    while not done:
        bine.sleep(MS, real=True)


def test_the_loops_micro_thread_ends_with_its_work():
    bine.run_async(double(1))
    while len(bine.all()) > 1:
        bine.pause()
    assert bine.run_async(double(2)) == 4


def test_blocking_code_in_a_coroutine_holds_up_the_loop_alone():
    order = []

    async def blocks():
        bine.sleep(20 * MS, real=True)
        order.append("async")
    micro = bine.spawn(bine.run_async, blocks())
    bine.sleep(MS, real=True)
    order.append("this")
    micro.join()
    assert order == ["this", "async"]


def test_a_descriptor_that_waits_while_the_loop_is_held_up_does_not_spin():
    import os
    r, w = os.pipe()
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def on_readable():
            seen.append(os.read(r, 10))
            if len(seen) == 2:
                done.set_result(None)
        loop.add_reader(r, on_readable)
        os.write(w, b"one")
        for i in range(20):
            bine.sleep(MS, real=True)  # readable all the while, and nobody can read
        assert seen == []
        loop.call_later(2 * MS, os.write, w, b"two")
        await done
        loop.remove_reader(r)
    bine.run_async(main())
    os.close(r)
    os.close(w)
    assert seen == [b"one", b"two"]


def test_each_micro_thread_has_its_own_running_loop():
    seen = []

    async def waits():
        seen.append(asyncio.get_running_loop())
        await asyncio.sleep(5 * MS)
        assert asyncio.get_running_loop() is seen[0]
    micro = bine.spawn(bine.run_async, waits())
    while not seen:
        bine.pause()
    assert asyncio._get_running_loop() is None
    micro.join()


def test_async_generators_are_closed_by_the_loop():
    closed = []

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(1)

    async def main():
        async for n in numbers():
            break
        gc.collect()
        while not closed:
            await asyncio.sleep(0)
    bine.run_async(main())


def test_off_a_micro_thread_it_is_refused():
    errors = []

    def on_thread():
        coroutine = double(1)
        errors.append(raised(bine.run_async, coroutine))
        coroutine.close()
    thread = threading.Thread(target=on_thread)
    thread.start()
    thread.join()
    assert isinstance(errors[0], bine.NotInMicroThread), errors


def test_who_stops_the_shared_loop_stops_nobody():
    async def stops():
        loop = asyncio.get_running_loop()
        loop.stop()
        await asyncio.sleep(0)
        loop.stop()
        return await double(2)
    assert bine.run_async(stops()) == 4


def test_a_system_exit_in_a_callback_leaves_the_others_theirs():
    def leave():
        raise KeyboardInterrupt

    async def main():
        asyncio.get_running_loop().call_soon(leave)
        return await double(2)
    try:
        result = bine.run_async(main())
    except KeyboardInterrupt:  # it has come to the main script
        result = 4
    assert result == 4
    assert bine.run_async(double(3)) == 6
