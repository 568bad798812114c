"""asyncio's side of deferred.c, wake.c and pipe.py. Prints one JSON object, in ns."""
import asyncio
import gc
import itertools
import json
import statistics
import sys
import threading
import time

ROUNDS = int(sys.argv[1])
WAKES = int(sys.argv[2])
COUNT = 20_000
BATCH = 100
IDLE = 0.0002


async def resolve_and_wait(loop):
    for i in range(COUNT):
        future = loop.create_future()
        future.set_result(i)
        await future


async def suspended(loop):
    for i in range(COUNT):
        future = loop.create_future()
        loop.call_soon(future.set_result, i)
        await future


async def callbacks(loop):
    for i in range(COUNT):
        future = loop.create_future()
        future.add_done_callback(asyncio.Future.result)
        future.set_result(i)
        if i % BATCH == BATCH - 1:
            await asyncio.sleep(0)


async def median_of(function, loop):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        await function(loop)
        times.append((time.perf_counter_ns() - start) / COUNT)
    return statistics.median(times)


async def wakes(loop):
    handed = threading.Semaphore(0)
    futures = []

    def resolve_all():
        for i in range(WAKES):
            handed.acquire()
            time.sleep(IDLE)
            loop.call_soon_threadsafe(futures[i].set_result, time.monotonic_ns())

    worker = threading.Thread(target=resolve_all)
    worker.start()
    times = []
    for _ in range(WAKES):
        futures.append(loop.create_future())
        handed.release()
        start = await futures[-1]
        times.append(time.monotonic_ns() - start)
    worker.join()
    return sorted(times)


async def write(queue, count):
    for _ in itertools.repeat(None, count):
        await queue.put(None)


async def read(queue, count):
    for _ in itertools.repeat(None, count):
        await queue.get()


async def pass_on(capacity):
    queue = asyncio.Queue(capacity)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        await asyncio.gather(write(queue, COUNT), read(queue, COUNT))
        times.append((time.perf_counter_ns() - start) / COUNT)
    return statistics.median(times)


async def main():
    loop = asyncio.get_running_loop()
    figures = {
        "version": sys.version.split()[0],
        "resolve + wait": await median_of(resolve_and_wait, loop),
        "resolve + wait, suspended": await median_of(suspended, loop),
        "resolve + callback": await median_of(callbacks, loop),
        "pipe, 1": await pass_on(1),
        "pipe, 64": await pass_on(64),
    }
    times = await wakes(loop)
    figures["wake, in a script"] = times[WAKES // 2]
    figures["wake, in a script, p90"] = times[WAKES * 9 // 10]
    print(json.dumps(figures))


gc.disable()
asyncio.run(main())
