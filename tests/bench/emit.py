"""Run by `bine`: what a value costs, in ns, that a generator yields or a function emits, by itself and ten calls
down. Prints one JSON object."""
import gc
import json
import statistics
import sys
import time

import bine

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
COUNT = 300_000


def plain(depth):
    if depth > 1:
        yield from plain(depth - 1)
        return
    for i in range(COUNT):
        yield i


def emitting(depth):
    if depth > 1:
        emitting(depth - 1)
        return
    emit = bine.emit
    for i in range(COUNT):
        emit(i)


def per_value(iterator):
    start = time.perf_counter_ns()
    for _ in iterator:
        pass
    return (time.perf_counter_ns() - start) / COUNT


def medians(makers):
    """One after the other in each round: what else the machine does meets them all."""
    times = {name: [] for name in makers}
    for _ in range(ROUNDS):
        for name, make in makers.items():
            times[name].append(per_value(make()))
    return {name: statistics.median(t) for name, t in times.items()}


gc.disable()
print(json.dumps(medians({
    "yield": lambda: plain(1),
    "yield from, 10 deep": lambda: plain(10),
    "emit": lambda: bine.generate(emitting, 1),
    "emit, 10 deep": lambda: bine.generate(emitting, 10),
})))
