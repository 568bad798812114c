"""What pipe.py and peer_gevent.py run alike: the loops at both ends, which cost little themselves, as timeit's, and
the clock around them."""
import itertools
import statistics
import time


def write(pipe, count):
    put = pipe.put
    for _ in itertools.repeat(None, count):
        put(None)


def read(pipe, count):
    get = pipe.get
    for _ in itertools.repeat(None, count):
        get()


def timed(pass_on, capacity, rounds, items):
    """Of pass_on(capacity, items), in ns per item: the median of so many rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        pass_on(capacity, items)
        times.append((time.perf_counter_ns() - start) / items)
    return statistics.median(times)
