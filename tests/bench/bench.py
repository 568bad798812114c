"""bench.py BINE FOLDER: measures Bine and its peers in turns on this machine and prints a table. BINE is the
command, FOLDER has the programs of this folder, all of one build: the peers (greenlet, gevent, asyncio, Twisted; those
that are installed for it) run on the same interpreter."""
import json
import statistics
import subprocess
import sys
from pathlib import Path

import echo

HERE = Path(__file__).parent
ROUNDS = 9
WAKES = 2000


def run(*command):
    """What the program measured, or None when it cannot run here."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def measure(programs):
    """The medians of ROUNDS runs of each, one program after the other in each round."""
    runs = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, command in programs.items():
            runs[name].append(run(*command))
    return {name: medians(list(filter(None, results))) for name, results in runs.items()}


def medians(runs):
    return {k: statistics.median(r[k] for r in runs) if isinstance(v, (int, float)) else v
            for k, v in (runs[0] if runs else {}).items()}


def print_figures(own, peers):
    print(f"{'ns':28}{'Bine':>10}" + "".join(f"{name:>10}" for name in peers))
    for what in own:
        figures = [own[what], *(peer.get(what) for peer in peers.values())]
        print(f"  {what:26}" + "".join(f"{'' if ns is None else format(ns, ',.1f'):>10}" for ns in figures))
    print()


def row(what, value, target, holds):
    print(f"{what:58} {value:>12}   {target:28} {'holds' if holds else 'MISSED'}")


def row_of_overruns(frames):
    """Beside the peer, which does nothing but wait for the end of the budget: what that is late by, nobody can help."""
    print(f"\n{'beyond a budget of 2 ms, us':28}{'p50':>10}{'p99':>10}{'p99.9':>10}{'max':>10}{'frames':>10}")
    for name, what in (("tick", "bine_tick"), ("spin", "a loop that reads the clock"),
                       ("tick, kept", "bine_tick, not interrupted"), ("spin, kept", "the loop, not interrupted")):
        f = frames[name]
        print(f"  {what:26}" + "".join(f"{f[p] / 1000:>10,.1f}" for p in ("p50", "p99", "p99.9", "max"))
              + f"{f['frames']:>10}")
    print()
    late = frames["tick, kept"]["p99.9"] / 1000
    row(f"tick overrun, p99.9, {frames['agents']:,} agents, not interrupted", f"{late:.0f} us", "at most 100 us",
        late <= 100)


def print_files(files):
    """A free processor is what makes small writes cheap: see docs/guide/blocking.md."""
    print(f"\n{'files in the cache, ns':28}{'Bine':>10}{'python3':>10}{'times':>8}")
    for what, ours in files["bine"].items():
        plain = files["python3"][what]
        print(f"  {what:26}{ours:>10,.0f}{plain:>10,.0f}{ours / plain:>8.2f}")
    print()


def rows_of_echo(bine, folder):
    figures = echo.measure(folder / "echo_client", echo.servers_of(bine, folder))
    echo.print_table(figures)
    for ours, peer, target, connections, rate, cpu in echo.ratios(figures):
        if target is not None:
            row(f"echo, {ours} / {peer}, {connections:,} connections", f"{rate:.2f}", f"at least {target}", rate >= target)


def main(bine, folder):
    version = subprocess.run([bine, "--version"], capture_output=True, text=True).stdout.strip()
    folder = Path(folder)
    python = folder / "plain_python"
    figures = measure({
        "switch": (bine, HERE / "switch.py", 3),
        "emit": (bine, HERE / "emit.py", 3),
        "greenlet": (python, HERE / "peer_greenlet.py", 3),
        "deferred": (folder / "deferred", 3),
        "wake": (folder / "wake", WAKES),
        "asyncio": (python, HERE / "peer_asyncio.py", 3, WAKES),
        "pipe": (bine, HERE / "pipe.py", 3),
        "gevent": (python, HERE / "peer_gevent.py", 3),
        "Twisted": (python, HERE / "peer_twisted.py", 3, WAKES),
    })
    own = {k: v for name in ("switch", "emit", "deferred", "wake", "pipe") for k, v in figures[name].items()}
    peers = {name: figures[name] for name in ("greenlet", "gevent", "asyncio", "Twisted")}
    memory = run(folder / "parked", 100_000)
    tick = run(folder / "tick", 21)
    frames = run(folder / "frames", 10_000, 10_000)
    names = run(folder / "names", 64)
    spawns = run(bine, HERE / "spawns.py", 10_000)
    faults = run(bine, HERE / "no_descriptors.py", 5)
    files = {"bine": run(bine, HERE / "files.py"), "python3": run(python, HERE / "files.py")}
    sleepers = run(bine, HERE / "sleepers.py", 100_000)
    idle = {mode: run(folder / "idle", mode, 2) for mode in ("owned", "uv", "guest", "glib")}

    print(version + "; " + ", ".join(f"{name} {peer['version']}" if peer else f"{name} is not installed for it"
                                     for name, peer in peers.items()))
    print_figures(own, peers)
    ratio = own["switch, 2"] / own["no-op call"]
    row("switch / no-op C call in the same loop", f"{ratio:.2f}", "at most 1.6", ratio <= 1.6)
    if peers["greenlet"]:
        times = peers["greenlet"]["switch, 2"] / own["switch, 2"]
        row("greenlet's switch / ours", f"{times:.1f}", "at least 4", times >= 4)
    spawn = own["spawn + run + end"]
    row("spawn + run + end (join included), pooled", f"{spawn:.0f} ns", "at most 200 ns", spawn <= 200)
    kib = (memory["resident"] + memory["page tables"]) / 1024
    row("parked, small class, 100,000", f"{kib:.2f} KiB", "at most 4.8 KiB", kib <= 4.8)
    switches = own["resolve + wait"] / own["switch, 2"]
    row("deferred: create + resolve + wait / switch", f"{switches:.2f}", "at most 3", switches <= 3)
    for name, target in (("gevent", 5), ("asyncio", 10)):
        for capacity in (0, 1, 64):
            theirs = peers[name].get(f"pipe, {capacity}")
            if theirs is not None:
                times = theirs / own[f"pipe, {capacity}"]
                row(f"{name}'s put + get / ours, capacity {capacity}", f"{times:.1f}", f"at least {target}",
                    times >= target)
    for deep in ("", ", 10 deep"):
        times = own["emit" + deep] / own["yield"]
        row(f"emit{deep} / yield of a plain generator", f"{times:.2f}", "at most 4", times <= 4)
    for who in ("in C", "in a script"):
        wake = own["wake, " + who] / 1000
        row(f"resolve on another thread to resumption, {who}", f"{wake:.1f} us", "at most 20 us", wake <= 20)
    more = tick["idle tick, 100,000 parked"] - tick["idle tick"]
    row("idle tick with 100,000 parked micro-threads, more", f"{more:.0f} ns", "at most 1,000 ns", more <= 1000)
    print(f"{'  idle tick with none':58} {tick['idle tick']:>9.0f} ns")
    info = tick["job, with info"] - tick["job"]
    print(f"{'bine_tick_info, more for each job':58} {info:>9.0f} ns   (a job: {tick['job']:.0f} ns)")
    for mode, used in idle.items():
        if used:  # one wait, which ends with the measurement; a guest's thread has two more
            wakes = used["wakes"] - (3 if mode == "guest" else 1)
            row(f"idle for 2 s, {mode}: woken", f"{wakes}", "never", wakes <= 0)
            row(f"idle for 2 s, {mode}: processor time", f"{used['cpu']} us", "at most 1,000 us", used["cpu"] <= 1000)
    late = names["p99"] / 1000
    row("a file read, p99, while 64 names hang", f"{late:.0f} us", "at most 10,000 us", late <= 10_000)
    if sleepers:
        row(f"100,000 sleepers due within 1 s: late, p99 ({sleepers['busy'] / 1000:.0f} ms of processor time)",
            f"{sleepers['p99']:.0f} us", "at most 2,000 us", sleepers["p99"] <= 2000)
    left = spawns["zombies"] + spawns["descriptors"]
    row(f"10,000 programs at {spawns['each'] / 1000:.1f} ms, and 1,000 time outs: left behind", f"{left}", "nothing",
        left == 0)
    for server in ("accept", "socketserver", "asyncio"):
        row(f"no descriptor left, 50 clients in line, {server}: processor", f"{faults[server]:.1f} %", "at most 5 %",
            faults[server] <= 5)
        print(f"{'  a connection that it has answers meanwhile, p99':58} {faults[f'{server}, p99'] / 1000:>9,.0f} us")
    row_of_overruns(frames)
    print_files(files)
    rows_of_echo(bine, folder)


if __name__ == "__main__":
    main(*sys.argv[1:3])
