"""spawns.py COUNT: runs COUNT programs with subprocess, 20 at a time; then a tenth of that with a timeout that is over.
Prints one JSON object: us each, and what is left behind: zombies, descriptors. For the command bine, and for python3."""
import json
import os
import subprocess
import sys
import time

try:
    from bine import parallel_map
except ImportError:
    from concurrent.futures import ThreadPoolExecutor

    def parallel_map(function, items, limit):
        with ThreadPoolExecutor(limit) as pool:
            return list(pool.map(function, items))


def run(i):
    assert subprocess.run(["/bin/true"]).returncode == 0


def time_out(i):
    try:
        subprocess.run(["/bin/sleep", "60"], timeout=0.01, capture_output=True)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError("it has ended")


def zombies():
    try:
        return int(os.waitpid(-1, os.WNOHANG)[0] != -1)
    except ChildProcessError:
        return 0


count = int(sys.argv[1])
run(0)
descriptors = len(os.listdir("/proc/self/fd"))
begin = time.perf_counter()
parallel_map(run, range(count), limit=20)
each = (time.perf_counter() - begin) / count
parallel_map(time_out, range(count // 10), limit=20)
print(json.dumps({"each": each * 1e6, "zombies": zombies(),
                  "descriptors": len(os.listdir("/proc/self/fd")) - descriptors}))
