"""bine.EventLoop: what asyncio's loops do, over the runtime's reactor."""
import asyncio
import contextlib
import gc
import os
import socket
import threading
import weakref

import bine
from acts import tcp_pair

MS = 0.001
asyncio.constants.THREAD_JOIN_TIMEOUT = None  # 3.12 waits for threads for so long, and the clock is cranked


def runner(**options):
    return asyncio.Runner(loop_factory=bine.EventLoop, **options)


def raised(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_it_is_asyncios_kind_of_loop():
    assert issubclass(bine.EventLoop, asyncio.SelectorEventLoop)
    assert bine.EventLoop.__module__ == "bine"
    assert not hasattr(bine, "EventLoops")


def test_callbacks_run_in_their_order():
    order = []

    async def main():
        loop = asyncio.get_running_loop()
        for i in range(200):
            loop.call_soon(order.append, i)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with runner() as run:
        run.run(main())
    assert order == list(range(200))


def test_timers_fire_in_the_order_of_their_times():
    order = []

    async def main():
        loop = asyncio.get_running_loop()
        now = loop.time()
        for ms in (3, 1, 2):
            loop.call_at(now + ms * MS, order.append, ms)
        never = loop.call_later(2.5 * MS, order.append, "never")
        assert never.when() > now and not never.cancelled()
        never.cancel()
        assert never.cancelled()
        await asyncio.sleep(5 * MS)
    with runner() as run:
        run.run(main())
    assert order == [1, 2, 3]


def test_odd_times_are_taken_or_refused():
    async def main():
        loop = asyncio.get_running_loop()
        ran = []
        loop.call_later(-5, ran.append, 1)
        loop.call_at(-1e300, ran.append, 2)
        far = [loop.call_later(1e300, print), loop.call_at(float("inf"), print), loop.call_later(1e10, print)]
        while len(ran) < 2:
            await asyncio.sleep(0)
        for timer in far:
            timer.cancel()
        assert isinstance(raised(loop.call_later, float("nan"), print), ValueError)
        assert isinstance(raised(loop.call_later, None, print), TypeError)
        assert isinstance(raised(loop.call_at, None, print), TypeError)
        assert isinstance(raised(loop.call_later, "1", print), TypeError)
        assert isinstance(raised(loop.call_later), TypeError)
        assert isinstance(raised(loop.call_soon), TypeError)
        assert isinstance(raised(lambda: loop.call_soon(print, context=None, other=1)), TypeError)
    with runner() as run:
        run.run(main())


def test_a_thread_calls_soon():
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        counts = []

        def call():
            for i in range(500):
                loop.call_soon_threadsafe(counts.append, i)
        threads = [threading.Thread(target=call) for i in range(4)]
        for thread in threads:
            thread.start()
        threading.Thread(target=lambda: ([t.join() for t in threads],
                                         loop.call_soon_threadsafe(future.set_result, 1))).start()
        await future
        return len(counts)
    with runner() as run:
        assert run.run(main()) == 2000


def test_executors_and_threads():
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(threading.get_ident) != threading.get_ident(), \
            await loop.run_in_executor(None, sum, range(10))
    with runner() as run:
        assert run.run(main()) == (True, 45)
    assert bine.run_async(main()) == (True, 45)


def test_an_error_of_a_callback_goes_to_the_handler():
    contexts = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with runner() as run:
        run.run(main())
    assert isinstance(contexts[0]["exception"], ZeroDivisionError)
    assert "lambda" in contexts[0]["message"] and isinstance(contexts[0]["handle"], asyncio.Handle)


def test_a_system_exit_leaves_the_loop():
    def leave():
        raise SystemExit(3)
    loop = bine.EventLoop()
    loop.call_soon(leave)
    loop.call_soon(loop.stop)
    error = raised(loop.run_forever)
    assert isinstance(error, SystemExit)
    loop.run_forever()  # the rest
    loop.close()


def test_a_closed_loop_says_so():
    loop = bine.EventLoop()
    loop.close()
    loop.close()
    for call in (loop.call_soon, loop.call_soon_threadsafe):
        assert "closed" in str(raised(call, print))
    assert "closed" in str(raised(loop.call_later, 1, print))
    assert "closed" in str(raised(loop.run_forever))
    assert "closed" in str(raised(loop.add_reader, 0, print))
    assert loop.remove_reader(0) is False


def test_it_closes_with_all_that_it_has():
    loop = bine.EventLoop()
    r, w = os.pipe()
    loop.add_reader(r, print)
    loop.add_writer(w, print)
    loop.call_later(3600, print)
    loop.call_soon(print)
    loop.close()
    os.close(r)
    os.close(w)


def test_one_that_is_dropped_goes():
    loop = bine.EventLoop()
    r, w = os.pipe()
    loop.add_reader(r, lambda: loop)
    loop.call_later(3600, lambda: loop)
    loop.call_soon(lambda: loop)
    gone = weakref.ref(loop)
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del loop
        gc.collect()
    assert gone() is None
    os.close(r)
    os.close(w)


def test_two_loops_run_at_once():
    async def main(name):
        for i in range(3):
            order.append(name)
            await asyncio.sleep(MS)
        return asyncio.get_running_loop()

    def work(name):
        with runner() as run:
            return run.run(main(name))
    order = []
    first, second = bine.parallel_map(work, "ab")
    assert first is not second
    assert order.count("a") == 3 and order != ["a"] * 3 + ["b"] * 3


def test_it_does_not_run_twice():
    async def main():
        error = raised(asyncio.get_running_loop().run_forever)
        assert isinstance(error, RuntimeError), error
        coroutine = asyncio.sleep(0)
        error = raised(asyncio.get_running_loop().run_until_complete, coroutine)
        coroutine.close()
        assert isinstance(error, RuntimeError), error
    with runner() as run:
        run.run(main())
    loop = bine.EventLoop()
    micro = bine.spawn(loop.run_forever)
    bine.pause()
    assert "running" in str(raised(loop.run_forever))
    loop.call_soon(loop.stop)
    micro.join()
    loop.close()


def test_a_busy_loop_gives_the_others_turns():
    turns = []

    async def spin():
        while len(turns) < 3:
            await asyncio.sleep(0)

    def other():
        for i in range(3):
            turns.append(i)
            bine.pause()
    bine.spawn(other)
    with runner() as run:
        run.run(spin())


def test_debug_mode():
    async def main():
        loop = asyncio.get_running_loop()
        ran = []
        handle = loop.call_soon(ran.append, 1)
        assert "async_loop.py" in repr(handle), repr(handle)
        timer = loop.call_later(MS, ran.append, 2)
        dead = loop.call_later(MS, ran.append, 3)
        dead.cancel()
        assert "async_loop.py" in repr(timer), repr(timer)
        loop.call_soon_threadsafe(ran.append, 4)
        await asyncio.sleep(3 * MS)
        error = raised(loop.call_soon, main)
        assert isinstance(error, TypeError) and "coroutine" in str(error), error
        return ran
    with runner(debug=True) as run:
        assert run.run(main()) == [1, 4, 2]


def test_debug_mode_tells_of_other_threads():
    loop = bine.EventLoop()
    loop.set_debug(True)
    errors = []
    thread = threading.Thread(target=lambda: errors.append(raised(loop.call_soon, print)))
    thread.start()
    thread.join()
    loop.close()
    assert isinstance(errors[0], RuntimeError) and "thread" in str(errors[0]), errors


async def look_round():
    """Returns when the reactor has told of all that had happened before."""
    a, b = socket.socketpair()
    with a, b:
        b.setblocking(False)
        told = asyncio.get_running_loop().create_task(asyncio.get_running_loop().sock_recv(b, 1))
        await asyncio.sleep(0)  # it waits
        a.send(b"x")
        await told


def test_a_reader_is_told_after_much_else_has_happened():
    async def main(a, b):
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        a.setblocking(False)
        loop.add_reader(a, lambda: told.done() or told.set_result(a.recv(10)))
        loop.add_writer(a, lambda: loop.remove_writer(a))
        await look_round()
        for _ in range(8):  # it becomes writable each time
            with contextlib.suppress(BlockingIOError):
                while True:
                    a.send(bytes(1 << 16))
            b.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while b.recv(1 << 20):
                    pass
            await look_round()
        b.send(b"at last")
        return await told
    a, b = socket.socketpair()
    with a, b:
        assert bine.run_async(main(a, b)) == b"at last"


def test_a_reader_is_told_after_a_rest_in_which_much_has_come():
    async def main(a, b):
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        a.setblocking(False)
        loop.add_reader(a, print)
        loop.remove_reader(a)
        for _ in range(8):
            b.send(b"x")
            await look_round()
        loop.add_reader(a, lambda: told.done() or told.set_result(a.recv(10)))
        return await told
    a, b = socket.socketpair()
    with a, b:
        assert bine.run_async(main(a, b)) == b"x" * 8


def test_a_reader_is_told_after_urgent_data():
    async def main(a, b):
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        got = bytearray()

        def read():
            got.extend(a.recv(10))
            if got.endswith(b"at last"):
                told.set_result(True)
        a.setblocking(False)
        loop.add_reader(a, read)
        for _ in range(8):
            b.send(b"!", socket.MSG_OOB)
            await look_round()
        b.send(b"at last")
        return await told
    with tcp_pair() as pair:
        assert bine.run_async(main(*pair))


def test_readers_and_writers():
    async def main():
        loop = asyncio.get_running_loop()
        a, b = socket.socketpair()
        got = loop.create_future()
        wrote = loop.create_future()
        loop.add_writer(a, lambda: (loop.remove_writer(a), a.send(b"x"), wrote.set_result(1)))
        loop.add_reader(b, lambda: (loop.remove_reader(b), got.set_result(b.recv(10))))
        await wrote
        assert loop.remove_writer(a) is False
        data = await got
        assert loop.remove_reader(b) is False
        a.close()
        b.close()
        return data
    with runner() as run:
        assert run.run(main()) == b"x"


def test_bad_descriptors_are_refused():
    loop = bine.EventLoop()
    with open(os.devnull) as file:
        assert isinstance(raised(loop.add_reader, file.fileno(), print), PermissionError)
    for bad in (-1, "x", None):
        assert isinstance(raised(loop.add_reader, bad, print), ValueError)
    r, w = os.pipe()
    os.close(r)
    os.close(w)
    assert isinstance(raised(loop.add_reader, r, print), OSError)
    loop.close()


def test_it_is_made_on_the_runtimes_thread():
    errors = []
    thread = threading.Thread(target=lambda: errors.append(raised(bine.EventLoop)))
    thread.start()
    thread.join()
    assert isinstance(errors[0], RuntimeError), errors


def test_a_cancelled_micro_thread_leaves_its_loop():
    loop = bine.EventLoop()
    micro = bine.spawn(loop.run_forever)
    bine.pause()
    micro.cancel()
    assert isinstance(raised(micro.join), bine.Cancelled)
    assert not loop.is_running()
    loop.close()


def test_it_is_closed_from_another_thread():
    loop = bine.EventLoop()
    r, w = os.pipe()
    loop.add_reader(r, print)
    thread = threading.Thread(target=loop.close)
    thread.start()
    thread.join()
    assert loop.is_closed()
    bine.pause()
    os.close(r)
    os.close(w)


def test_one_that_is_dropped_on_another_thread_goes():
    loop = bine.EventLoop()
    loop._shared = True  # without a warning
    r, w = os.pipe()
    loop.add_reader(r, print)
    loop.remove_reader(r)
    held = [loop]
    gone = weakref.ref(loop)
    del loop
    bine.pause()
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    while gone() is not None:
        bine.pause()
        gc.collect()
    os.close(r)
    os.close(w)


def test_tampering_with_handles_crashes_nothing():
    loop = bine.EventLoop()
    failed = []
    loop.set_exception_handler(lambda loop, context: failed.append(context))

    def tampered(name, value):
        handle = loop.call_soon(print)
        setattr(handle, name, value) if value is not AttributeError else delattr(handle, name)
        loop.call_soon(loop.stop)
        try:
            loop.run_forever()
        except (AttributeError, TypeError):
            pass
        loop.call_soon(loop.stop)
        loop.run_forever()
    for name in ("_args", "_callback", "_context"):
        for value in (5, AttributeError, None):
            tampered(name, value)
    for kind in type(loop).__mro__[:2]:
        raised(kind._push, loop, 5)
    loop._end()
    loop.close()


def test_its_parts_are_not_for_others():
    stream = None

    async def main():
        nonlocal stream
        a, b = socket.socketpair()
        _, protocol = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=b)
        stream = type(_._stream)
        assert isinstance(raised(asyncio.get_running_loop()._end), RuntimeError)
        _.close()
        a.close()
    bine.run_async(main())
    for bad in ((5, 5, 5), (bine.EventLoop, 5, 5), ()):
        assert isinstance(raised(stream, *bad), TypeError)
