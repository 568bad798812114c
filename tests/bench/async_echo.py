"""async_echo.py BINE ECHO_CLIENT [PYTHON]: the same echo in asyncio on Bine's loop, on the stock loop and, where it is
installed, on uvloop; one client in C. Each row is the best of three runs that take turns. The server's own
time a round trip (user and system) says more than the rate where the machine has other things to do."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = os.environ.get("BINE_BENCH_SECONDS", "2")
WARM_UP = 0.2  # seconds of the client's that it does not count
RUNS = int(os.environ.get("BINE_BENCH_RUNS", "3"))
CONNECTIONS = [int(n) for n in os.environ.get("BINE_BENCH_CONNECTIONS", "1 10 100 1000").split()]


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def rate(program, loop, kind, client, connections):
    with subprocess.Popen([program, os.path.join(HERE, "echo_asyncio.py"), loop, kind], stdout=subprocess.PIPE,
                          text=True) as server:
        try:
            port = server.stdout.readline().strip()
            before = cpu_seconds(server)
            line = subprocess.run([client, port, str(connections), SECONDS], capture_output=True, text=True,
                                  check=True).stdout.strip()
            used = cpu_seconds(server) - before
        finally:
            server.kill()
    number = int(re.match(r"\d+", line)[0])
    return number, used / (number * (float(SECONDS) + WARM_UP)) * 1e6, line


def main():
    bine, client, *python = sys.argv[1:]
    python = python[0] if python else "/usr/bin/python3"
    loops = {"bine": bine, "stock": python}
    if subprocess.run([python, "-c", "import uvloop"], capture_output=True).returncode == 0:
        loops["uvloop"] = python
    for kind in "protocol", "streams":
        for connections in CONNECTIONS:
            best = {}
            for _ in range(RUNS):
                for loop, program in loops.items():
                    best.setdefault(loop, []).append(rate(program, loop, kind, client, connections))
            rates = {loop: max(runs)[0] for loop, runs in best.items()}
            costs = {loop: min(run[1] for run in runs) for loop, runs in best.items()}
            for loop, runs in best.items():
                print(f"{kind:8} {connections:4}  {loop:6} {max(runs)[2]}  {costs[loop]:.1f} us of the server's; bine: "
                      f"{rates['bine'] / rates[loop]:.2f} times the rate, {costs[loop] / costs['bine']:.2f} by its time",
                      flush=True)


main()
