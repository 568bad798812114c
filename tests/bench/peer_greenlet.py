"""Run by python3 with greenlet: the same loops as switch.py. Prints one JSON object."""
import gc
import json
import statistics
import sys
import time

import greenlet

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5


def calls(function, count):
    for _ in range(count):
        function()


def timed(function, per):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        function()
        times.append((time.perf_counter_ns() - start) / per)
    return statistics.median(times)


def ping_pong(turns):
    """Two greenlets that switch to each other."""
    other = None

    def first():
        switch = other.switch
        for _ in range(turns):
            switch()

    def second():
        switch = one.switch
        while True:
            switch()

    one = greenlet.greenlet(first)
    other = greenlet.greenlet(second)
    one.switch()


def nothing():
    pass


def spawn_and_run(count):
    for _ in range(count):
        greenlet.greenlet(nothing).switch()


gc.disable()
print(json.dumps({
    "version": greenlet.__version__,
    "no-op call": timed(lambda: calls(gc.isenabled, 500_000), 500_000),
    "switch, 2": timed(lambda: ping_pong(250_000), 500_000),
    "spawn + run + end": timed(lambda: spawn_and_run(20_000), 20_000),
}))
