"""A million micro-threads spawned and cancelled, and scopes by the thousand: nothing is left behind."""
import bine
import gc
import host
import os
import sys

# What may come on top after the warm-up, free lists and the allocators' own slack: less than one for
# each cycle. Memory in KiB.
SLACK = {"objects": 10, "mappings": 4, "blocks": 600, "resident": 2048}


def resident():
    """In KiB; nothing to go by when a sanitizer keeps what was freed."""
    with open("/proc/self/maps") as file:
        if any("libasan" in line or "libtsan" in line for line in file):
            return 0
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def mappings():
    """Without those of ThreadSanitizer's shadow, which lie where no program's do: it cuts them up as it goes."""
    with open("/proc/self/maps") as file:
        starts = [int(line.split("-")[0], 16) for line in file]
    return sum(not 0x10000000000 <= start < 0x550000000000 for start in starts)


def census(shared):
    """All that must stay as it is."""
    gc.collect()
    return {
        "references": [sys.getrefcount(o) for o in shared],
        "objects": len(gc.get_objects()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "micro-threads": len(bine.all()),
        "mappings": mappings(),
        "blocks": sys.getallocatedblocks(),
        "resident": resident(),
    }


def flat(cycle, rounds, warm_up, shared=()):
    """Runs cycle() so often; checks that what it takes it gives back."""
    for _ in range(warm_up):
        cycle()
    before = census(shared)
    before = census(shared)  # of a world that has one census in it, as there will be then
    for _ in range(rounds):
        cycle()
    after = census(shared)
    for key, slack in SLACK.items():
        assert after[key] <= before[key] + slack, (key, before, after)
    for key in set(before) - set(SLACK):
        assert before[key] == after[key], (key, before, after)
    assert host.unhandled() == []


def test_a_million_cycles_leave_nothing_behind():
    """Of 1,000 at a time, half never started, the rest parked, each in one of several ways."""
    argument = object()
    pause, sleep, spawn = bine.pause, bine.sleep, bine.spawn
    never = spawn(sleep, 1e9)

    def rest(argument):
        try:
            sleep(1e6)
        finally:
            argument = None

    def generate():
        yield sleep(1e6)

    def iterate(argument):
        for _ in generate():
            pass

    def cycle():
        parked = [spawn(rest, argument) for _ in range(200)]
        parked += [spawn(never.join) for _ in range(100)]
        parked += [spawn(iterate, argument) for _ in range(100)]
        parked += [spawn(sleep, 5e5) for _ in range(100)]
        pause()
        for t in parked:
            t.cancel()
        for _ in range(500):
            spawn(rest, argument).cancel()
        pause()
        pause()
    flat(cycle, 1000, 20, [argument, rest, iterate, bine.Cancelled, bine.MicroThread, never])
    never.cancel()


def test_cancelled_waits_for_the_host_leave_nothing_behind():
    def in_c(key):
        host.wait_in_c(key)

    def cycle():
        waiting = [bine.spawn(host.wait_for, key) for key in range(20)]
        waiting += [bine.spawn(in_c, key) for key in range(20, 40)]
        deferreds = [host.deferred(key) for key in range(40, 60)]
        bine.pause()
        for t in waiting + deferreds:
            t.cancel()
        bine.pause()
        bine.pause()
        bine.pause()
    flat(cycle, 1000, 20)


def test_cancelled_scopes_leave_nothing_behind():
    error = ValueError("shared")
    argument = object()

    def fail():
        raise error

    def rest(argument):
        bine.sleep(1e6)

    def nest(depth):
        with bine.Scope(timeout=1e6) as s:
            s.spawn(rest, argument)
            s.spawn(nest, depth - 1) if depth else s.spawn(bine.pause)
            with bine.timeout(1e6), bine.shield(1e6):
                bine.pause()

    def cycle():
        t = bine.spawn(nest, 4)
        for _ in range(8):
            bine.pause()
        t.cancel()
        with bine.Scope() as s:
            for _ in range(10):
                s.spawn(rest, argument)
            bine.pause()
            s.cancel("enough")
        try:
            with bine.Scope() as s:
                s.spawn(rest, argument)
                s.spawn(fail)
        except* ValueError:
            pass
        error.__traceback__ = error.__context__ = None
        while len(bine.all()) > 1:
            bine.pause()
    flat(cycle, 1000, 50, [error, argument, bine.Scope])


def test_abandoned_blocks_leave_nothing_behind():
    def generate():
        with bine.Scope() as s, bine.timeout(1e6), bine.shield(1e6):
            s.spawn(bine.sleep, 1e6)
            yield 1

    def work(box):
        box.append(generate())
        next(box[0])

    def cycle():
        box = []
        bine.spawn(work, box)
        while len(bine.all()) > 1:
            bine.pause()
        box.clear()
        for _ in generate():
            break
        while len(bine.all()) > 1:
            bine.pause()
    flat(cycle, 1000, 50)
