"""Run by python3 with gevent: the loops of pipe.py over gevent's queues. Prints one JSON object."""
import gc
import itertools
import json
import statistics
import sys
import time

import gevent
import gevent.queue

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
ITEMS = 20_000


def write(queue, count):
    put = queue.put
    for _ in itertools.repeat(None, count):
        put(None)


def read(queue, count):
    get = queue.get
    for _ in itertools.repeat(None, count):
        get()


def pass_on(capacity):
    """gevent's queue without room is a Channel."""
    queue = gevent.queue.Queue(capacity) if capacity else gevent.queue.Channel()
    gevent.joinall([gevent.spawn(write, queue, ITEMS), gevent.spawn(read, queue, ITEMS)], raise_error=True)


def timed(capacity):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        pass_on(capacity)
        times.append((time.perf_counter_ns() - start) / ITEMS)
    return statistics.median(times)


gc.disable()
print(json.dumps({"version": gevent.__version__, "pipe, 0": timed(0), "pipe, 1": timed(1), "pipe, 64": timed(64)}))
