"""Python threads beside the micro-threads: they take the GIL meanwhile, and may not wait as these do."""
import bine
import gc
import host
import threading


def on_a_thread(function, *args):
    """What it returned, or the exception it raised, on an OS thread."""
    box = []

    def run():
        try:
            box.append(function(*args))
        except BaseException as error:
            box.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        bine.pause()
    thread.join()
    return box.pop()


def test_threads_work_while_micro_threads_switch():
    stop = False
    counts = [0, 0]

    def work(n):
        while not stop:
            counts[n] += 1
            sorted([3, 2, 1])
    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for t in threads:
        t.start()

    def switch(n):
        for i in range(20000):
            bine.pause()
        return n
    assert [t.join() for t in [bine.spawn(switch, n) for n in range(5)]] == list(range(5))
    while min(counts) == 0:
        bine.pause()
    stop = True
    for t in threads:
        t.join()


def test_threads_raise_and_catch_while_micro_threads_do():
    stop = False
    failed = []

    def raiser():
        for n in range(100):
            try:
                raise ValueError(n)
            except ValueError as error:
                bine.pause() if bine.current() else None
                if error.args != (n,):
                    failed.append(error)

    def work():
        while not stop:
            raiser()
    thread = threading.Thread(target=work)
    thread.start()
    for t in [bine.spawn(raiser) for _ in range(20)]:
        t.join()
    stop = True
    thread.join()
    assert failed == []


def test_threads_collect_garbage_while_micro_threads_are_suspended():
    def hold(n):
        kept = [object(), {n: [n]}]
        kept.append(kept)
        bine.sleep(1)
        return kept[1][n][0]
    ts = [bine.spawn(hold, n) for n in range(100)]
    bine.pause()
    for _ in range(5):
        on_a_thread(gc.collect)
    assert [t.join() for t in ts] == list(range(100))


def test_current_is_none_on_a_thread():
    assert on_a_thread(bine.current) is None


def test_pause_on_a_thread_is_refused():
    error = on_a_thread(bine.pause)
    assert isinstance(error, bine.NotInMicroThread), repr(error)


def test_sleep_on_a_thread_is_refused():
    error = on_a_thread(bine.sleep, 1)
    assert isinstance(error, bine.NotInMicroThread), repr(error)


def test_join_on_a_thread_is_refused():
    end = bine.Event()
    t = bine.spawn(end.wait)
    error = on_a_thread(t.join)
    assert isinstance(error, bine.NotInMicroThread), repr(error)
    end.set()
    t.join()


def test_join_of_a_done_one_on_a_thread_gives_its_result():
    t = bine.spawn(lambda: 5)
    t.join()
    assert on_a_thread(t.join) == 5


def test_wait_on_a_thread_is_refused():
    d = host.deferred(1)
    error = on_a_thread(d.wait)
    assert isinstance(error, bine.NotInMicroThread), repr(error)
    host.settle(1, 5)
    assert d.wait() == 5


def test_timeout_on_a_thread_is_refused():
    error = on_a_thread(bine.timeout(1).__enter__)
    assert isinstance(error, bine.NotInMicroThread), repr(error)


def test_spawn_on_a_thread_is_refused():
    error = on_a_thread(bine.spawn, len, "")
    assert isinstance(error, RuntimeError) and "thread" in str(error), repr(error)


def test_cancel_on_a_thread_is_refused():
    t = bine.spawn(bine.sleep, 1)
    error = on_a_thread(t.cancel)
    assert isinstance(error, RuntimeError) and "thread" in str(error), repr(error)
    t.join()
    d = host.deferred(1)
    error = on_a_thread(d.cancel)
    assert isinstance(error, RuntimeError) and "thread" in str(error), repr(error)
    host.settle(1)


def test_stack_on_a_thread_is_refused():
    t = bine.spawn(bine.sleep, 1)
    bine.pause()
    error = on_a_thread(t.stack)
    assert isinstance(error, RuntimeError), repr(error)
    t.join()


def test_host_functions_on_a_thread_are_refused():
    error = on_a_thread(host.echo, 1)
    assert isinstance(error, RuntimeError) and "echo()" in str(error), repr(error)


def test_looking_at_one_from_a_thread_is_fine():
    end = bine.Event()
    t = bine.spawn(end.wait)
    t.name = "fred"
    bine.pause()
    assert on_a_thread(lambda: (t.done, t.name, repr(t))) == (False, "fred", "<bine.MicroThread 'fred' waiting>")
    end.set()
    t.join()
    assert on_a_thread(lambda: t.done) is True


def test_the_last_handle_may_go_on_a_thread():
    def fail():
        raise ValueError("no")
    for _ in range(50):
        box = [bine.spawn(fail)]
        bine.pause()
        on_a_thread(box.clear)
    bine.pause()
    bine.pause()
    assert host.unhandled() == ["ValueError"] * 50


def test_a_deferred_may_go_on_a_thread():
    box = [host.deferred(1)]
    on_a_thread(box.clear)
    host.settle(1)


def test_what_a_deferred_was_rejected_with_is_told_though_its_last_holder_was_a_thread():
    for _ in range(10):
        box = [host.deferred(1)]
        host.fail(1, -2000, "nobody asks")
        on_a_thread(box.clear)
    bine.sleep(1)  # it comes by the way of other threads
    assert host.unhandled() == ["bine.HostError"] * 10


def test_what_failed_in_a_scope_is_told_though_its_last_holder_was_a_thread():
    def fail():
        try:
            bine.sleep(60)
        finally:
            raise ValueError("late")

    def enters():
        scope = bine.Scope()
        box.append(scope)
        scope.__enter__()
        scope.spawn(fail)
        bine.pause()
    box = []
    bine.spawn(enters).join()  # it ends inside the block
    on_a_thread(box.clear)
    bine.sleep(1)  # it comes by the way of other threads
    assert host.unhandled() == ["ValueError"]


def test_thread_locals_differ_between_micro_threads_and_threads():
    local = threading.local()
    local.x = "main"

    def work(n):
        assert not hasattr(local, "x")
        local.x = n
        if bine.current():
            bine.sleep(1)
        return local.x
    ts = [bine.spawn(work, n) for n in range(10)]
    bine.pause()
    assert on_a_thread(work, "thread") == "thread"
    assert [t.join() for t in ts] == list(range(10))
    assert local.x == "main"


def test_a_switch_interval_of_a_microsecond():
    import sys
    stop = False

    def work():
        while not stop:
            sum(range(50))
    thread = threading.Thread(target=work)
    sys.setswitchinterval(1e-6)
    thread.start()
    ts = [bine.spawn(lambda: [bine.pause() or sum(range(50)) for _ in range(300)] and 1) for _ in range(20)]
    assert sum(t.join() for t in ts) == 20
    stop = True
    thread.join()
