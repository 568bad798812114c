"""Run by `bine`: what a switch, a spawn, a deferred cost, in ns. Prints one JSON object."""
import gc
import json
import statistics
import sys
import time

import bine

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5


def calls(function, count):
    for _ in range(count):
        function()


def timed(function, per):
    """The median of ROUNDS runs, in ns per item."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        function()
        times.append((time.perf_counter_ns() - start) / per)
    return statistics.median(times)


def ring(micros, turns):
    for t in [bine.spawn(calls, bine.pause, turns) for _ in range(micros)]:
        t.join()


def nothing():
    pass


def spawn_and_run(count):
    for _ in range(count // 100):
        for t in [bine.spawn(nothing) for _ in range(100)]:
            t.join()


gc.disable()
spawn_and_run(2_000)
print(json.dumps({
    "no-op call": timed(lambda: calls(gc.isenabled, 500_000), 500_000),
    "switch, 2": timed(lambda: ring(2, 250_000), 500_000),
    "switch, ring of 100": timed(lambda: ring(100, 5_000), 500_000),
    "spawn + run + end": timed(lambda: spawn_and_run(100_000), 100_000),
    "plain call": timed(lambda: calls(nothing, 500_000), 500_000),
}))
