"""Run by python3 with gevent: pipe.py over gevent's queues. Prints one JSON object."""
import gc
import json
import sys

import gevent
import gevent.queue
from pipe_loops import read, timed, write

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
ITEMS = 20_000


def pass_on(capacity, items):
    """gevent's queue without room is a Channel."""
    queue = gevent.queue.Queue(capacity) if capacity else gevent.queue.Channel()
    gevent.joinall([gevent.spawn(write, queue, items), gevent.spawn(read, queue, items)], raise_error=True)


gc.disable()
figures = {f"pipe, {capacity}": timed(pass_on, capacity, ROUNDS, ITEMS) for capacity in (0, 1, 64)}
print(json.dumps({"version": gevent.__version__, **figures}))
