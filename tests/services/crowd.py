"""What the tests of real libraries share: where the servers are, and a crowd that works at once.

    python3 with_redis.py test_...      shows what plain Python makes of a test, with OS threads

None of them looks at the clock: that nobody is held up is shown by work that ends only when all of the crowd have
begun it.
"""
import os
import resource
import select
import sys
import threading

try:
    import bine
except ImportError:
    bine = None

COUNT = 200


def on_thread(work, done, i):
    try:
        done[i] = work(i)
    except BaseException as error:
        done[i] = error


def on_threads(work, count):
    done = [None] * count
    threads = [threading.Thread(target=on_thread, args=(work, done, i), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return done


def crowd(work, count=COUNT):
    """What work(0), work(1), ... return that run at once, one micro-thread each; or raises the first error."""
    return on_threads(work, count) if bine is None else bine.parallel_map(work, range(count))


class Begun:
    """A function that runs meanwhile; end() gives what it returns."""

    def __init__(self, work, *args):
        self.outcome = []
        self.thread = threading.Thread(target=self.work, args=(work, args), daemon=True) if bine is None else None
        self.micro = None if bine is None else bine.spawn(work, *args)
        if bine is None:
            self.thread.start()

    def work(self, work, args):
        self.outcome.append(work(*args))

    def end(self):
        if bine is not None:
            return self.micro.join()
        self.thread.join()
        return self.outcome[0]


def services():
    """Where the servers are: what services.sh has written. Ends the test as not run where there are none."""
    path = os.environ.get("BINE_SERVICES", "")
    if not os.path.exists(path):
        not_run("the servers do not run: see services.sh; BINE_SERVICES names its file")
    with open(path) as file:
        names = dict(line.rstrip("\n").split("=", 1) for line in file)
    return {name: int(value) if name.endswith("_port") else value for name, value in names.items()}


def not_run(why):
    print(f"not run: {why}", file=sys.stderr)
    sys.exit(77)


def need(name):
    """The module with that name; ends the test as not run where it is missing, or was built for another Python."""
    try:
        return __import__(name, fromlist=["*"])
    except ImportError as error:
        not_run(error)


def until(condition):
    """Asks again and again, giving the others turns. A test that waits in vain ends by its time limit."""
    while not condition():
        if bine is not None:
            bine.pause()


def wait_readable(file):
    """Until there is something to read, as a program would write it that knows nothing of bine."""
    select.select([file], [], [])


def main(tests):
    """Runs the test that the command line names."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    tests[sys.argv[1]]()
