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
        "uvloop": (python, HERE / "echo_streams.py", "uvloop"),
        "asyncio": (python, HERE / "echo_streams.py"),
        "C": (folder / "echo_server",),
    }


def print_table(figures):
    names = list(dict.fromkeys(name for name, _ in figures))
    print(f"\n{'echo: requests/s; p50, p99, processor us':40}" + "".join(f"{name:>34}" for name in names))
    for connections in CONNECTIONS:
        cells = [figures.get((name, connections)) for name in names]
        print(f"  {connections:>5} connections{'':22}"
              + "".join(f"{f['rate']:>11,.0f}{f['p50']:>8,.0f}{f['p99']:>8,.0f}{f['cpu']:>7.1f}" if f else f"{'':34}"
                        for f in cells))
    print()


def ratios(figures, peer, what="rate"):
    """{connections: how many times the peer's rate Bine's is; or how many times its processor time the peer's}."""
    both = {n: (figures["Bine", n][what], figures[peer, n][what]) for n in CONNECTIONS if (peer, n) in figures}
    return {n: own / theirs if what == "rate" else theirs / own for n, (own, theirs) in both.items()}


if __name__ == "__main__":
    import sys
    bine, folder = sys.argv[1], Path(sys.argv[2])
    measured = measure(folder / "echo_client", servers_of(bine, folder),
                       int(sys.argv[3]) if len(sys.argv) > 3 else ROUNDS)
    print_table(measured)
    for peer in ("gevent", "uvloop", "asyncio", "C"):
        for what in ("rate", "cpu"):
            print(peer, what, {n: round(r, 2) for n, r in ratios(measured, peer, what).items()})
