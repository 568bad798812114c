"""files.py: what common calls on files cost when all is in the kernel's cache. Prints one JSON object, in ns. For the
command bine, and for plain_python. TMPDIR says on which file system."""
import importlib
import json
import logging
import os
import sys
import tempfile
import time

ROUNDS = 7
LINE = b"x" * 49 + b"\n"
MODULES = 200


def best(function, count):
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter_ns()
        function(count)
        times.append((time.perf_counter_ns() - begin) / count)
    return min(times)


def repeat(call):
    def run(count):
        for _ in range(count):
            call()
    return run


def write_raw(count):
    with open(path, "ab", buffering=0) as file:
        for _ in range(count):
            file.write(LINE)


def write_os(count):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    for _ in range(count):
        os.write(fd, LINE)
    os.close(fd)


def print_flushing(count):
    with open(path, "w") as file:
        for _ in range(count):
            print("x" * 49, file=file, flush=True)


def log(count):
    logger, handler = logging.getLogger("bench"), logging.FileHandler(path, "w")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    for _ in range(count):
        logger.info("a record, %s", count)
    logger.removeHandler(handler)
    handler.close()


def write_buffered(count):
    with open(path, "wb") as file:
        for _ in range(count):
            file.write(LINE)


def iterate(mode):
    def run(count):
        with open(lines, mode) as file:
            for _ in file:
                pass
    return run


def read_lines(mode):
    def run(count):
        with open(lines, mode) as file:
            while file.readline():
                pass
    return run


def read_small(mode):
    with open(small, mode) as file:
        return file.read()


def load():
    with open(small) as file:
        return json.load(file)


def create():
    open(path + "new", "w").close()
    os.unlink(path + "new")


def import_all(count):
    importlib.invalidate_caches()
    for i in range(count):
        importlib.import_module(f"bench_module_{i}")
    for i in range(count):
        del sys.modules[f"bench_module_{i}"]


with tempfile.TemporaryDirectory() as folder:
    path, lines, small = (os.path.join(folder, name) for name in ("file", "lines", "small"))
    with open(lines, "wb") as file:
        file.write(LINE * 20_000)
    with open(small, "w") as file:
        json.dump({"a": list(range(100)), "b": "x" * 100}, file)
    open(path, "w").close()
    for i in range(MODULES):
        with open(os.path.join(folder, f"bench_module_{i}.py"), "w") as file:
            file.write(f"x = {i}\ndef f():\n    return x\n")
    sys.path.insert(0, folder)
    import_all(MODULES)
    print(json.dumps({
        "write 50 bytes, raw": best(write_raw, 3000),
        "os.write 50 bytes": best(write_os, 3000),
        "print(flush=True)": best(print_flushing, 3000),
        "logging.FileHandler": best(log, 2000),
        "write 50 bytes, buffered": best(write_buffered, 20_000),
        "a line, binary": best(iterate("rb"), 20_000),
        "a line, text": best(iterate("r"), 20_000),
        "readline(), binary": best(read_lines("rb"), 20_000),
        "readline(), text": best(read_lines("r"), 20_000),
        "open and read 600 bytes": best(repeat(lambda: read_small("rb")), 2000),
        "the same, text": best(repeat(lambda: read_small("r")), 2000),
        "json.load() of that": best(repeat(load), 1000),
        "create and unlink": best(repeat(create), 500),
        "os.stat": best(repeat(lambda: os.stat(small)), 3000),
        "os.path.exists: no": best(repeat(lambda: os.path.exists(path + "none")), 3000),
        "os.listdir": best(repeat(lambda: os.listdir("/usr")), 1000),
        "import a small module": best(import_all, MODULES),
    }))
