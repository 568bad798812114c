"""What all that can be waited for has in common: bine's primitives and threading's, served by micro-threads and OS
threads, for either, in the order they came."""
import bine
import host
import queue
import random
import sys
import threading
from runners import KINDS, Run, at_end, in_turns


class Case:
    """One thing to wait for. hold() and serve() run as the waker, wait(timeout) as the waiter: whether it was
    served. again() tells whether what was served when nobody waited is there to take."""
    kept = True  # what is served when nobody waits is kept

    def hold(self):
        pass


class LockCase(Case):
    def __init__(self, make):
        self.lock = make()

    def hold(self):
        self.lock.acquire()

    def serve(self):
        self.lock.release()

    def wait(self, timeout=-1):
        got = self.lock.acquire(timeout=timeout)
        if got:
            self.lock.release()
        return got


class EventCase(Case):
    def __init__(self, make):
        self.event = make()

    def serve(self):
        self.event.set()

    def wait(self, timeout=None):
        return self.event.wait(timeout)


class SemaphoreCase(Case):
    def __init__(self, make):
        self.semaphore = make(0)

    def serve(self):
        self.semaphore.release()

    def wait(self, timeout=None):
        return self.semaphore.acquire(timeout=timeout)


class ConditionCase(Case):
    kept = False

    def __init__(self, make):
        self.condition = make()

    def serve(self):
        with self.condition:
            self.condition.notify()

    def wait(self, timeout=None):
        with self.condition:
            return self.condition.wait(timeout)


class BarrierCase(Case):
    kept = False

    def __init__(self, make):
        self.barrier = make(2)

    def serve(self):
        try:
            self.barrier.wait()
        except threading.BrokenBarrierError:
            pass

    def wait(self, timeout=None):
        try:
            return self.barrier.wait(timeout) in (0, 1)
        except threading.BrokenBarrierError:
            return False


class GetCase(Case):
    def __init__(self, make):
        self.queue = make()

    def serve(self):
        self.queue.put("item")

    def wait(self, timeout=None):
        try:
            return self.queue.get(timeout=timeout) == "item"
        except queue.Empty:
            return False


class PutCase(Case):
    def __init__(self, make):
        self.queue = make(1)
        self.queue.put("first")

    def serve(self):
        self.queue.get()

    def wait(self, timeout=None):
        try:
            self.queue.put("second", timeout=timeout)
            return True
        except queue.Full:
            return False


class JoinCase(Case):
    timed = False

    def __init__(self, make):
        self.queue = make()
        self.queue.put("item")

    def serve(self):
        self.queue.task_done()

    def wait(self, timeout=None):
        self.queue.join()
        return True


CASES = {
    "Lock": lambda: LockCase(bine.Lock),
    "RLock": lambda: LockCase(bine.RLock),
    "Event": lambda: EventCase(bine.Event),
    "Semaphore": lambda: SemaphoreCase(bine.Semaphore),
    "Condition": lambda: ConditionCase(bine.Condition),
    "Condition of a Lock": lambda: ConditionCase(lambda: bine.Condition(bine.Lock())),
    "Barrier": lambda: BarrierCase(bine.Barrier),
    "Queue.get": lambda: GetCase(bine.Queue),
    "Queue.put": lambda: PutCase(bine.Queue),
    "Queue.join": lambda: JoinCase(bine.Queue),
    "SimpleQueue.get": lambda: GetCase(bine.SimpleQueue),
    "threading.Lock": lambda: LockCase(threading.Lock),
    "threading.RLock": lambda: LockCase(threading.RLock),
    "threading.Event": lambda: EventCase(threading.Event),
    "threading.Semaphore": lambda: SemaphoreCase(threading.Semaphore),
    "threading.Condition": lambda: ConditionCase(threading.Condition),
    "threading.Condition of a Lock": lambda: ConditionCase(lambda: threading.Condition(threading.Lock())),
    "threading.Barrier": lambda: BarrierCase(threading.Barrier),
    "queue.Queue.get": lambda: GetCase(queue.Queue),
    "queue.Queue.put": lambda: PutCase(queue.Queue),
    "queue.Queue.join": lambda: JoinCase(queue.Queue),
    "queue.PriorityQueue.get": lambda: GetCase(queue.PriorityQueue),
    "queue.SimpleQueue.get": lambda: GetCase(queue.SimpleQueue),
}


class Waker(Run):
    """Holds, and serves when it is told to."""

    def __init__(self, kind, case):
        self.go = bine.Event()
        super().__init__(kind, self.hold_and_serve, case)

    def hold_and_serve(self, case):
        case.hold()
        self.go.wait()
        case.serve()

    def serve(self):
        self.go.set()
        assert self.outcome() is None, self.value


def left_as_it_was(waker, case, what):
    """The one that did not wait to the end is not served in another's place."""
    if isinstance(case, BarrierCase):
        case.barrier.abort()
    waker.serve()
    if not isinstance(case, JoinCase):
        assert case.wait(0.001) is case.kept, what


def is_ours(name):
    return not name.startswith(("threading.", "queue."))


def all_cases():
    in_turns()
    for name in CASES:
        for waker in KINDS:
            for waiter in KINDS:
                yield f"{name}: {waker} serves {waiter}", CASES[name](), waker, waiter


def test_each_is_served_by_each():
    for what, case, waker, waiter in all_cases():
        w = Waker(waker, case)
        one = Run(waiter, case.wait)
        bine.pause()
        assert not one.done, what
        w.serve()
        assert one.outcome() is True, (what, one.value)


def test_a_wait_without_a_limit_of_time_can_be_given_one_and_is_served():
    """With a limit that is far away, on an OS thread: a micro-thread's clock would go on."""
    for what, case, waker, waiter in all_cases():
        if waiter != "thread" or isinstance(case, JoinCase):
            continue
        w = Waker(waker, case)
        one = Run(waiter, case.wait, 1000)
        w.serve()
        assert one.outcome() is True, (what, one.value)


def test_each_ends_when_its_time_is_over():
    for what, case, waker, waiter in all_cases():
        if isinstance(case, JoinCase):
            continue
        w = Waker(waker, case)
        one = Run(waiter, case.wait, 0.001)
        assert one.outcome() is False, (what, one.value)
        left_as_it_was(w, case, what)


def test_each_is_cut_short_by_a_cancel():
    for what, case, waker, waiter in all_cases():
        if waiter != "micro":
            continue
        w = Waker(waker, case)
        one = Run(waiter, case.wait)
        bine.pause()
        one.micro.cancel()
        assert isinstance(one.outcome(), bine.Cancelled), (what, one.value)
        left_as_it_was(w, case, what)


def test_each_is_cut_short_by_a_timeout_around_it():
    def limited(case):
        with bine.timeout(1):
            return case.wait()
    for what, case, waker, waiter in all_cases():
        if waiter != "micro":
            continue
        w = Waker(waker, case)
        one = Run(waiter, limited, case)
        assert isinstance(one.outcome(), bine.Timeout), (what, one.value)
        left_as_it_was(w, case, what)


def test_one_that_was_served_when_it_was_cancelled_counts_as_served():
    """It is told so at its next wait."""
    def waits(case):
        served = case.wait()
        try:
            bine.pause()
        except bine.Cancelled:
            return served
    for name in CASES:
        if not is_ours(name):
            continue
        case = CASES[name]()
        case.hold()
        one = Run("micro", waits, case)
        bine.pause()
        if isinstance(case, BarrierCase):
            case.barrier.wait()
        else:
            case.serve()
        one.micro.cancel()
        assert one.outcome() is True, (name, one.value)


def test_one_that_is_cancelled_before_it_waits_leaves_nothing_behind():
    for name in CASES:
        case = CASES[name]()
        case.hold()
        ran = []

        def waits():
            try:
                bine.pause()
            except bine.Cancelled:
                pass
            ran.append(1)
            case.wait()
        one = Run("micro", waits)
        bine.pause()
        one.micro.cancel()
        assert isinstance(one.outcome(), bine.Cancelled) and ran, name
        if not isinstance(case, BarrierCase):
            case.serve()
        if not isinstance(case, JoinCase):
            assert case.wait(0.001) is case.kept, name


def test_the_end_of_the_runtime_reaches_each():
    """What script_runner does when this has returned; it fails when one lives on."""
    for name in CASES:
        case = CASES[name]()
        case.hold() if "RLock" not in name else bine.spawn(case.hold).join()
        bine.spawn(case.wait)
    bine.pause()


def served_in_order(kinds, name="SimpleQueue"):
    """Who gets what, in which order they go on, when an item is put for each at once by `server`."""
    in_turns()
    order = []
    q = bine.SimpleQueue()

    def gets(n):
        order.append((n, q.get()))
    runs = []
    for n, kind in enumerate(kinds):
        runs.append(Run(kind, gets, n))
        bine.pause()
    return q, order, runs


def test_items_go_to_those_that_wait_in_the_order_they_came():
    for server in KINDS:
        for kinds in ("micro",) * 5, ("thread",) * 5, ("micro", "thread") * 3:
            q, order, runs = served_in_order(kinds)
            Run(server, lambda: [q.put(n) for n in range(len(kinds))]).outcome()
            for run in runs:
                assert run.outcome() is None
            assert sorted(order) == [(n, n) for n in range(len(kinds))], (server, kinds, order)


def test_micro_threads_go_on_in_the_order_they_were_served():
    """Also those that an OS thread has served in one go."""
    for server in KINDS:
        q, order, runs = served_in_order(("micro",) * 10)
        Run(server, lambda: [q.put(n) for n in range(10)]).outcome()
        for run in runs:
            run.outcome()
        assert order == [(n, n) for n in range(10)], (server, order)


def test_an_event_of_an_os_threads_wakes_in_order():
    in_turns()
    event = bine.Event()
    order = []
    runs = [Run("micro", lambda n=n: event.wait() and order.append(n)) for n in range(10)]
    bine.pause()
    Run("thread", event.set).outcome()
    for run in runs:
        run.outcome()
    assert order == list(range(10)), order


def test_served_by_an_os_thread_and_cancelled_before_the_news_comes():
    """It goes on by the cancel, and is out of the list of those to be called."""
    in_turns()
    for n in range(20):
        q = bine.SimpleQueue()
        runs = [Run("micro", q.get) for _ in range(5)]
        bine.pause()

        def serve():
            for i in range(5):
                q.put(i)
        thread = threading.Thread(target=serve)
        thread.start()
        for run in runs[n % 5:]:
            run.micro.cancel()
        got = [run.outcome() for run in runs]
        thread.join()
        assert all(g == i or isinstance(g, bine.Cancelled) for i, g in enumerate(got)), got
        left = [q.get() for _ in range(q.qsize())]
        assert sorted([g for g in got if isinstance(g, int)] + left) == list(range(5)), (got, left)


def test_waits_are_refused_in_destructors():
    """Where no micro-thread can be suspended, and only one could end the wait."""
    for name in CASES:
        case = CASES[name]()
        case.hold() if "RLock" not in name else bine.spawn(case.hold).join()
        error = at_end(case.wait)
        assert isinstance(error, RuntimeError), (name, error)


def test_a_refused_wait_changes_nothing():
    for name in CASES:
        if not is_ours(name):
            continue
        case = CASES[name]()
        case.hold() if name != "RLock" else None
        if name != "RLock":
            at_end(case.wait)
        one = Run("micro", case.wait)
        bine.pause()
        if isinstance(case, BarrierCase):
            case.barrier.wait()
        elif name != "RLock":
            case.serve()
        assert one.outcome() is True, (name, one.value)


def test_what_is_free_can_be_taken_in_a_destructor():
    for name in CASES:
        case = CASES[name]()
        if case.kept and not isinstance(case, JoinCase):
            if isinstance(case, LockCase):
                case.hold()
            case.serve()
            assert at_end(case.wait) is True, name


def test_a_destructor_waits_for_an_os_threads_lock_as_in_cpython():
    in_turns()
    lock = bine.Lock()
    held = bine.Event()

    def holds():
        with lock:
            held.set()
            bine_free.acquire()  # gives the GIL away
    bine_free = threading.Lock()
    bine_free.acquire()
    thread = threading.Thread(target=holds)
    thread.start()
    held.wait()

    def take():
        bine_free.release()
        with lock:
            return "had it"
    assert at_end(take) == "had it"
    thread.join()


def test_a_destructor_is_refused_a_lock_that_a_micro_thread_would_have_before():
    """An OS thread has it, but hands it to a micro-thread, which cannot run meanwhile."""
    in_turns()
    lock = bine.Lock()
    held = bine.Event()
    let_go = threading.Lock()
    let_go.acquire()

    def holds():
        with lock:
            held.set()
            let_go.acquire()
    thread = threading.Thread(target=holds)
    thread.start()
    held.wait()
    one = Run("micro", lambda: lock.acquire() and lock.release())
    bine.pause()

    def take():
        let_go.release()
        return lock.acquire()
    error = at_end(take)
    assert isinstance(error, RuntimeError), error
    one.outcome()
    thread.join()
    assert not lock.locked()


def test_random_operations_on_a_lock_and_a_semaphore():
    """100,000 of them, by micro-threads and OS threads, with cancels: never more inside than are allowed."""
    inside = [0, 0]
    lock, semaphore = bine.Lock(), bine.Semaphore(3)
    wrong = []

    def enter(which, most, wait):
        inside[which] += 1
        if inside[which] > most:
            wrong.append(inside[:])
        wait()
        inside[which] -= 1

    def work(seed, count, wait):
        rand = random.Random(seed)
        for _ in range(count):
            choice = rand.random()
            if choice < 0.4:
                with lock:
                    enter(0, 1, wait)
            elif choice < 0.8:
                with semaphore:
                    enter(1, 3, wait)
            elif choice < 0.9:
                if lock.acquire(timeout=0.0001):
                    try:
                        enter(0, 1, wait)
                    finally:
                        lock.release()
            elif semaphore.acquire(False):
                try:
                    enter(1, 3, wait)
                finally:
                    semaphore.release()
        return count

    def on_micro(seed):
        done = 0
        rand = random.Random(seed)
        while done < 8000:
            def part():
                work(rand.random(), 50, lambda: None)
            t = bine.spawn(part)
            bine.pause()
            done += 50
            try:
                t.join()
            except bine.Cancelled:
                pass
    sys.setswitchinterval(1e-5)
    runs = [Run("micro", on_micro, n) for n in range(8)]
    runs += [Run("thread", work, n, 9000, lambda: None) for n in range(4)]
    runs += [Run("micro", work, 100 + n, 500, bine.pause) for n in range(4)]
    for run in runs:
        assert not isinstance(run.outcome(), BaseException), run.value
    assert wrong == [] and inside == [0, 0] and not lock.locked() and semaphore.value == 3


def test_random_cancels_lose_nothing():
    """Those that are cancelled anywhere between the wait and its end leave locks free and counts right."""
    lock, semaphore, q = bine.Lock(), bine.Semaphore(2), bine.Queue(3)
    rand = random.Random(5)
    got, put = [], []

    def locks():
        while True:
            with lock:
                bine.pause()

    def counts():
        while True:
            with semaphore:
                bine.pause()

    def puts(n):
        while True:
            put.append(n)  # none is lost on the way: what a cancelled put had is taken back
            try:
                q.put(n)
            except BaseException:
                put.pop(put.index(n))
                raise
            bine.pause()

    def gets():
        while True:
            got.append(q.get())
    live = []
    for step in range(3000):
        work = rand.choice([locks, counts, gets, lambda step=step: puts(step)])
        live.append(bine.spawn(work))
        for _ in range(rand.randrange(4)):
            bine.pause()
        if len(live) > 12:
            live.pop(rand.randrange(len(live))).cancel()
    for t in live:
        t.cancel()
    for _ in range(10):
        bine.pause()
    left = [q.get_nowait() for _ in range(q.qsize())]
    assert not lock.locked() and semaphore.value == 2
    assert sorted(got + left) == sorted(put), (len(got), len(left), len(put))


def test_random_items_through_a_queue_arrive_once_in_order():
    q = bine.Queue(7)
    seen = {}
    sys.setswitchinterval(1e-5)

    def puts(who, count):
        for n in range(count):
            q.put((who, n))

    def gets():
        while True:
            item = q.get()
            q.task_done()
            if item is None:
                return
            seen.setdefault(item[0], []).append(item[1])
    putters = [Run(kind, puts, (kind, i), 6000) for kind in KINDS for i in range(3)]
    getter = Run("micro", gets)
    for run in putters:
        assert run.outcome() is None, run.value
    q.put(None)
    assert getter.outcome() is None, getter.value
    assert len(seen) == 6 and all(s == list(range(6000)) for s in seen.values())
    q.join()


def test_many_getters_of_both_kinds_lose_nothing():
    q = bine.SimpleQueue()
    sys.setswitchinterval(1e-5)

    def gets():
        got = []
        while True:
            item = q.get()
            if item is None:
                return got
            got.append(item)
    getters = [Run(kind, gets) for kind in KINDS for _ in range(4)]

    def puts(who):
        for n in range(2500):
            q.put((who, n))
    putters = [Run(kind, puts, (kind, i)) for kind in KINDS for i in range(2)]
    for run in putters:
        assert run.outcome() is None, run.value
    for _ in getters:
        q.put(None)
    got = [item for run in getters for item in run.outcome()]
    assert sorted(got) == sorted(((kind, i), n) for kind in KINDS for i in range(2) for n in range(2500))


def test_a_thousand_wait_for_one():
    event = bine.Event()
    ts = [bine.spawn(event.wait) for _ in range(1000)]
    bine.pause()
    for t in ts[::2]:
        t.cancel()
    Run("thread", event.set).outcome()
    for t in ts[1::2]:
        assert t.join() is True
