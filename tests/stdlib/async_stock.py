"""asyncio.run() as it stands: in each micro-thread a loop of its own with a selector, several at once. Skipped where
selectors hold the host."""
import asyncio
import os

import bine

if "select.epoll.poll" not in bine.patched():
    os._exit(77)

MS = 0.001


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def talk():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"word")
        word = await reader.readexactly(4)
        writer.close()
        await asyncio.sleep(MS)
    return word, asyncio.get_running_loop()


def test_several_run_at_once():
    results = bine.parallel_map(lambda n: asyncio.run(talk()), range(5))
    assert [word for word, loop in results] == [b"word"] * 5
    assert len({loop for word, loop in results}) == 5


def test_it_suspends_its_micro_thread_alone():
    order = []
    micro = bine.spawn(lambda: (asyncio.run(asyncio.sleep(30 * MS)), order.append("async")))
    bine.sleep(MS, real=True)
    order.append("this")
    micro.join()
    assert order == ["this", "async"]


def test_a_micro_thread_is_awaited_on_it():
    async def main():
        return await bine.spawn(lambda: (bine.sleep(MS, real=True), 7)[1])
    assert asyncio.run(main()) == 7


def test_the_shared_loop_runs_beside_it():
    async def main():
        return await asyncio.sleep(MS, 7)
    assert bine.parallel(lambda: asyncio.run(main()), lambda: bine.run_async(main())) == [7, 7]


def test_plain_code_waits_for_a_future_of_it():
    made = []

    async def main():
        future = asyncio.get_running_loop().create_future()
        made.append(future)
        return await future

    def finish():
        made[0].get_loop().call_soon_threadsafe(made[0].set_result, 7)
    running = bine.spawn(asyncio.run, main())
    while not made:
        bine.sleep(MS, real=True)
    waits = bine.spawn(bine.run_async, made[0])
    bine.spawn(finish)
    assert running.join() == waits.join() == 7


def test_a_cancel_ends_it():
    begun = bine.Event()

    async def main():
        begun.set()
        await asyncio.sleep(3600)
    micro = bine.spawn(asyncio.run, main())
    begun.wait()
    micro.cancel()
    try:
        micro.join()
    except bine.Cancelled:
        pass
    assert micro.done
