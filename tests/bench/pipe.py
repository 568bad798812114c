"""Run by `bine`: what put() and get() cost together per value, between two micro-threads, in ns. Prints one JSON
object. The loops are those of peer_gevent.py and peer_asyncio.py, and cost little themselves, as timeit's."""
import gc
import itertools
import json
import statistics
import sys
import time

import bine

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
ITEMS = 100_000


def write(pipe, count):
    put = pipe.put
    for _ in itertools.repeat(None, count):
        put(None)


def read(pipe, count):
    get = pipe.get
    for _ in itertools.repeat(None, count):
        get()


def pass_on(capacity):
    pipe = bine.Pipe(capacity)
    for t in [bine.spawn(write, pipe, ITEMS), bine.spawn(read, pipe, ITEMS)]:
        t.join()


def timed(capacity):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        pass_on(capacity)
        times.append((time.perf_counter_ns() - start) / ITEMS)
    return statistics.median(times)


gc.disable()
print(json.dumps({f"pipe, {capacity}": timed(capacity) for capacity in (0, 1, 64)}))
