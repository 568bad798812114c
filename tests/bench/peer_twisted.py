"""Twisted's side of deferred.c and wake.c. Prints one JSON object, in ns."""
import gc
import json
import statistics
import sys
import threading
import time

import twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import react

ROUNDS = int(sys.argv[1])
WAKES = int(sys.argv[2])
COUNT = 20_000
IDLE = 0.0002


@inlineCallbacks
def resolve_and_wait():
    for i in range(COUNT):
        d = Deferred()
        d.callback(i)
        yield d


@inlineCallbacks
def suspended():
    for i in range(COUNT):
        d = Deferred()
        reactor.callLater(0, d.callback, i)
        yield d


def take(value):
    pass


def callbacks():
    for i in range(COUNT):
        d = Deferred()
        d.addCallback(take)
        d.callback(i)


@inlineCallbacks
def median_of(function):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        yield function()
        times.append((time.perf_counter_ns() - start) / COUNT)
    return statistics.median(times)


@inlineCallbacks
def wakes():
    handed = threading.Semaphore(0)
    deferreds = []

    def resolve_all():
        for i in range(WAKES):
            handed.acquire()
            time.sleep(IDLE)
            reactor.callFromThread(deferreds[i].callback, time.monotonic_ns())

    worker = threading.Thread(target=resolve_all)
    worker.start()
    times = []
    for _ in range(WAKES):
        deferreds.append(Deferred())
        handed.release()
        start = yield deferreds[-1]
        times.append(time.monotonic_ns() - start)
    worker.join()
    return sorted(times)


@inlineCallbacks
def main(reactor):
    figures = {
        "version": twisted.__version__,
        "resolve + wait": (yield median_of(resolve_and_wait)),
        "resolve + wait, suspended": (yield median_of(suspended)),
        "resolve + callback": (yield median_of(callbacks)),
    }
    times = yield wakes()
    figures["wake, in a script"] = times[WAKES // 2]
    figures["wake, in a script, p90"] = times[WAKES * 9 // 10]
    print(json.dumps(figures))


gc.disable()
react(main)
