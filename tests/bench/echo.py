"""Measures echo servers in turns: Bine, a micro-thread a connection, its peers, and one in C, whose time is the
kernel's, which nobody can go below; with one client in C. Used by bench.py."""
import json
import os
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
CONNECTIONS = (1, 10, 100, 1000)
SECONDS = 1
ROUNDS = 5


class Server:
    """Ends with the block. `port` is None when it cannot run here."""

    def __init__(self, command):
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        line = self.process.stdout.readline()
        self.port = int(line) if line else None

    def cpu_us(self):
        """The processor time it has had so far."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) * 1e6 / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def ask(client, command, connections):
    with Server(command) as server:
        if server.port is None:
            return None
        before = server.cpu_us()
        done = subprocess.run([client, str(server.port), str(connections), str(SECONDS)], capture_output=True,
                              text=True, check=True)
        figures = json.loads(done.stdout)
        figures["cpu"] = (server.cpu_us() - before) / figures["requests"]
    return figures


def measure(client, servers, rounds=ROUNDS):
    """{(server, connections): the medians of its figures}, one server after the other in each round."""
    runs = {}
    for _ in range(rounds):
        for connections in CONNECTIONS:
            for name, command in servers.items():
                figures = ask(client, command, connections)
                if figures is not None:
                    runs.setdefault((name, connections), []).append(figures)
    return {key: {what: statistics.median(run[what] for run in all) for what in all[0]} for key, all in runs.items()}


def servers_of(bine, folder):
    python = folder / "plain_python"
    return {
        "Bine": (bine, HERE / "echo_bine.py"),
        "gevent": (python, HERE / "echo_gevent.py"),
        "uvloop": (python, HERE / "echo_asyncio.py", "uvloop", "streams"),
        "C": (folder / "echo_server",),
        "Bine, streams": (bine, HERE / "echo_asyncio.py", "bine", "streams"),
        "stock, streams": (python, HERE / "echo_asyncio.py", "stock", "streams"),
        "Bine, protocol": (bine, HERE / "echo_asyncio.py", "bine", "protocol"),
        "stock, protocol": (python, HERE / "echo_asyncio.py", "stock", "protocol"),
    }


def print_table(figures):
    names = list(dict.fromkeys(name for name, _ in figures))
    print(f"\n{'echo':18}{'connections':>12}{'requests/s':>12}{'p50 us':>10}{'p99 us':>10}{'processor us':>14}")
    for connections in CONNECTIONS:
        for name in names:
            f = figures[name, connections]
            print(f"  {name:16}{connections:>12,}{f['rate']:>12,.0f}{f['p50']:>10,.0f}{f['p99']:>10,.0f}{f['cpu']:>14.1f}")
    print()


# Ours, the peer's, and how many times its rate ours is to be; None: just to know.
COMPARED = [("Bine", "gevent", 2), ("Bine", "uvloop", 1), ("Bine", "C", None), ("Bine, streams", "stock, streams", 2),
            ("Bine, protocol", "stock, protocol", 2)]


def ratios(figures):
    """For each of COMPARED and each number of connections: (ours, the peer's, target, connections, by rate, by
    processor time a request)."""
    for ours, peer, target in COMPARED:
        for connections in CONNECTIONS:
            if (peer, connections) in figures:
                a, b = figures[ours, connections], figures[peer, connections]
                yield ours, peer, target, connections, a["rate"] / b["rate"], b["cpu"] / a["cpu"]


if __name__ == "__main__":
    import sys
    bine, folder = sys.argv[1], Path(sys.argv[2])
    measured = measure(folder / "echo_client", servers_of(bine, folder), int(sys.argv[3]) if len(sys.argv) > 3 else ROUNDS)
    print_table(measured)
    for ours, peer, _, connections, rate, cpu in ratios(measured):
        print(f"{ours} / {peer}, {connections:,} connections: {rate:.2f} by rate, {cpu:.2f} by processor time")
