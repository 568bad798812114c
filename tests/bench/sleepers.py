"""sleepers.py COUNT: so many micro-threads in time.sleep(), due one after another within one second, in no order. Prints
one JSON object, in us: how late they go on, and how long the processor was busy with that."""
import json
import random
import sys
import time

import bine

LEAD_S = 4  # until the first is due: all sleep by then
SPAN_S = 1

late = []
all_woken = bine.Event()


def sleep_until(due, count):
    time.sleep(max(0, due - time.monotonic()))
    late.append(time.monotonic() - due)
    if len(late) == count:
        all_woken.set()


def main(count):
    begin = time.monotonic() + LEAD_S
    dues = [begin + SPAN_S * i / count for i in range(count)]
    random.Random(1).shuffle(dues)
    for due in dues:
        bine.spawn(sleep_until, due, count)
    bine.pause()
    if time.monotonic() > begin:
        sys.exit("it takes too long to start them")
    busy = time.process_time()
    all_woken.wait()  # not by a join of each: those of many that have ended take milliseconds, in which nobody else runs
    busy = time.process_time() - busy
    late.sort()
    assert len(late) == count and late[0] >= 0
    print(json.dumps({p: late[int(count * q)] * 1e6 for p, q in (("p50", .5), ("p99", .99), ("p99.9", .999))}
                     | {"max": late[-1] * 1e6, "busy": busy * 1e6}))


main(int(sys.argv[1]))
