"""colony_company.py COLONY [FRAMES]: what the colony's frames take, in ms, without and with 200 micro-threads beside its
settlers that ask Redis and nginx, at a gentle pace and as fast as they can. The colony gives its scripts 4 ms of a
frame's 16.7 ms. Runs on the Python that Bine was built for. The servers are started for it (../services.sh)."""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CLIENTS = 200
WARM_UP = 180  # frames: modules are imported, connections made


def services(folder):
    with open(f"{folder}/services") as file:
        return dict(line.rstrip("\n").split("=", 1) for line in file)


def frames(colony, count, place, folder, clients, again):
    """The figures of its last line, and the answers a second that clients had."""
    answers = f"{folder}/answers"
    environment = dict(os.environ, COLONY=str(HERE.parents[1] / "host-example/colony"), CLIENTS=str(clients),
                       ASK_AGAIN=str(again), REDIS=place["redis_port"], ANSWERS=answers,
                       NGINX=f"http://127.0.0.1:{place['nginx_port']}", PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([colony, "--script", HERE / "colony_clients.py", "--frames", str(WARM_UP + count), "--warm-up",
                           str(WARM_UP), "--picture", f"{folder}/colony.png"], env=environment, capture_output=True, text=True)
    if done.returncode != 0 or done.stderr:
        sys.exit(f"the colony fails:\n{done.stderr}")
    line = done.stdout.splitlines()[-1]
    figures = re.search(r"frame p50 (\S+) p99 (\S+) p99.9 (\S+) worst (\S+) ms", line).groups()
    with open(answers) as file:
        counts = [int(count) for count in file]
    return [float(figure) for figure in figures], (counts[-1] - counts[0]) / max(len(counts) - 1, 1)


def main(colony, count="1200"):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([HERE.parent / "services.sh", "start", folder], check=True)
        try:
            place = services(folder)
            print(f"{'ms':34}{'p50':>8}{'p99':>8}{'p99.9':>8}{'worst':>8}{'answers/s':>12}")
            for name, clients, again in (("the colony alone", 0, 0), ("200 clients, 2 answers/s each", CLIENTS, 0.5),
                                         ("200 clients as fast as they can", CLIENTS, 0)):
                figures, rate = frames(colony, int(count), place, folder, clients, again)
                print(f"{name:34}" + "".join(f"{figure:8.2f}" for figure in figures) + f"{rate:12,.0f}")
        finally:
            subprocess.run([HERE.parent / "services.sh", "stop", folder], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
