"""Run by `bine`: what put() and get() cost together per value, between two micro-threads, in ns. Prints one JSON
object. peer_gevent.py has the same loops, peer_asyncio.py the same with await."""
import gc
import json
import sys

import bine
from pipe_loops import read, timed, write

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
ITEMS = 100_000


def pass_on(capacity, items):
    pipe = bine.Pipe(capacity)
    for t in [bine.spawn(write, pipe, items), bine.spawn(read, pipe, items)]:
        t.join()


gc.disable()
print(json.dumps({f"pipe, {capacity}": timed(pass_on, capacity, ROUNDS, ITEMS) for capacity in (0, 1, 64)}))
