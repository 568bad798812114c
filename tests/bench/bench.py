"""bench.py BINE PARKED PYTHON: measures Bine and greenlet in turns on this machine and prints a
table. BINE is the command, PARKED the program of parked.c, PYTHON that of plain_python.c, all
of one build: greenlet, when it is installed, runs on the same interpreter."""
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROUNDS = 9


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout)


def medians(runs):
    runs = [r for r in runs if r]
    return {k: statistics.median(r[k] for r in runs) if isinstance(v, (int, float)) else v
            for k, v in (runs[0] if runs else {}).items()}


def row(what, value, target, holds):
    print(f"{what:52} {value:>12}   {target:28} {'holds' if holds else 'MISSED'}")


def main(bine, parked, python):
    version = subprocess.run([bine, "--version"], capture_output=True, text=True).stdout.strip()
    own, peer = [], []
    for _ in range(ROUNDS):
        own.append(run(bine, HERE / "switch.py", 3))
        peer.append(run(python, HERE / "peer_greenlet.py", 3))
    own, peer = medians(own), medians(peer)
    memory = run(parked, 100_000)

    print(f"{version}; peer: {'greenlet ' + peer['version'] if peer else 'greenlet is not installed for it'}")
    for name, ns in own.items():
        print(f"  {name:24} {ns:8.1f} ns" + (f"   greenlet {peer[name]:8.1f} ns" if name in peer else ""))
    print()
    ratio = own["switch, 2"] / own["no-op call"]
    row("switch / no-op C call in the same loop", f"{ratio:.2f}", "at most 1.6", ratio <= 1.6)
    if peer:
        times = peer["switch, 2"] / own["switch, 2"]
        row("greenlet's switch / ours", f"{times:.1f}", "at least 4", times >= 4)
    spawn = own["spawn + run + end"]
    row("spawn + run + end (join included), pooled", f"{spawn:.0f} ns", "at most 200 ns", spawn <= 200)
    kib = (memory["resident"] + memory["page tables"]) / 1024
    row("parked, small class, 100,000", f"{kib:.2f} KiB", "at most 4.8 KiB", kib <= 4.8)


if __name__ == "__main__":
    main(*sys.argv[1:4])
