"""CPython's own tests inside a micro-thread: nothing may fail there that passes outside.

    run.py BINE PYTHON MODULE [TEST ...] [--without=TEST] [--switching | --alone] [--limit=SECONDS]
        [--silence=SECONDS] [--expected=FILE]

runs MODULE, as in test.test_queue, of Python's installed package `test` in the main script of the command
BINE (see inside.py). What fails or is skipped there is run again by PYTHON, which must be of the same
version: what fails there too is not ours. A failure is looked for five times outside, once behind the tests
it came after, so that flaky tests are told from ours; inside nothing is given a second try. With TESTs, which are ids without the module's
name or what those begin with, as a class, only these are run; --without leaves some out. With --switching, other micro-threads have
turns between any two bytecodes of the tests, two thousand times a second. With --alone there are no others: for
tests that mean to have the exceptions of signal handlers, which come to whoever runs.

A test that hangs (--silence) or crashes has failed, and is named; those behind it run in a new process.
What exists or runs outside and does not inside has failed as well.

expected.txt lists the tests that do not do inside what they do outside, and why that has to be so:

    test.test_x.Class.test_y | versions | reason

`versions` are those of Python it holds for, as in "3.11 3.12", or "all". The list is checked both ways: a
listed test that passes inside, that does not exist, or that fails outside too, fails the run. A bug of
Bine's is no reason.

To add a module, add it to CMakeLists.txt here. Exits with 77, which CTest counts as skipped, when the
package `test` is not installed (Debian: libpython3.11-testsuite), or has not that module.
"""
import argparse
import collections
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from choice import is_chosen

HERE = pathlib.Path(__file__).resolve().parent
RANKS = ["passed", "skipped", "failed"]
TRIES_OUTSIDE = 5
SKIPPED_BY_CTEST = 77


def rank(part):
    return RANKS.index(part[0])


@dataclasses.dataclass
class Outcome:
    """What came of one test: parts as inside.py writes them."""
    parts: dict
    seconds: float = 0

    def worst(self):
        return RANKS[max(map(rank, self.parts.values()), default=0)]

    def text(self):
        bad = {name: part[1] for name, part in self.parts.items() if part[0] != "passed"}
        return "\n".join(f"{name} {text}".strip() for name, text in bad.items())

    def explains(self, other):
        """Whether no part of this one, which ran outside, is better than the other's."""
        good = ("passed", "")
        return all(rank(self.parts.get(name, good)) >= rank(part) for name, part in other.parts.items())


class Outcomes(dict):
    """By test id. Of a test that ran more than once, the worst of each part."""

    def add(self, test, parts, seconds=0):
        known = self.setdefault(test, Outcome({}))
        known.seconds += seconds
        for name, part in parts.items():
            if name not in known.parts or rank(part) > rank(known.parts[name]):
                known.parts[name] = part

    def spread(self, tests):
        """What became of the set-up of a class or a module became of its tests."""
        for name in list(self):
            fixture = re.fullmatch(r"setUp(?:Class|Module) \((.+)\)", name)
            if fixture:
                parts = self.pop(name).parts
                for test in tests:
                    if test.startswith(fixture[1] + ".") and test not in self:
                        self.add(test, parts)


def how_it_ended(status):
    """What is wrong with an exit status, or None."""
    if status == 0:
        return None
    return "ended the process, with " + (signal.Signals(-status).name if status < 0 else f"status {status}")


def watch(process, report, silence, deadline):
    """Waits for the end. What is wrong with it, or None."""
    size, since = 0, time.monotonic()
    while True:
        try:
            return how_it_ended(process.wait(timeout=0.2))
        except subprocess.TimeoutExpired:
            now, grown = time.monotonic(), report.stat().st_size
        if now > deadline:
            return "ran when the time was up"
        if grown != size:
            size, since = grown, now
        elif now - since > silence:
            return "hung"


def end(process):
    """Has it say where it is when it still runs: inside.py for what waits, faulthandler for what does not get there. Ends
    what its tests have left behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class Program:
    """One of the two that run tests: the command bine, or python3."""

    def __init__(self, path, order, deadline):
        self.path = path
        self.order = order
        self.deadline = deadline
        self.tests = []  # all that the module has
        self.is_micro = False
        self.output = ""  # of the last process

    def run(self, chosen):
        """Runs the chosen tests, in a new process after each that ended one."""
        outcomes = Outcomes()
        while True:
            records, trouble = self.run_process(chosen)
            culprit = self.take(records, outcomes)
            if trouble is not None:
                text = f"{trouble}\n{self.output[-4000:]}"
                outcomes.add(culprit or self.order.module, {"": ["failed", text]})
                chosen = [test for test in self.tests if is_chosen(test, chosen) and test not in outcomes]
            if trouble is None or culprit is None or not chosen or time.monotonic() > self.deadline:
                outcomes.spread(self.tests)
                return outcomes

    def run_process(self, chosen):
        """The records of one process, and what was wrong with it or None."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="bine-cpython-"))
        report, output, work = folder / "report", folder / "output", folder / "work"
        report.touch()
        work.mkdir()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with open(output, "wb") as file:
            process = subprocess.Popen(
                [self.path, HERE / "inside.py", report, self.order.mode, self.order.module, *chosen], cwd=work,
                env=environment | {"TMPDIR": str(work)}, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True)
            try:
                trouble = watch(process, report, self.order.silence, self.deadline)
            finally:
                end(process)
        records = [json.loads(line) for line in report.read_text().splitlines()]
        self.output = output.read_text(errors="replace")
        shutil.rmtree(folder, ignore_errors=True)
        if trouble is None and records[-1:] != [{"end": True}]:
            trouble = "ended the process, as if all was well"
        return records, trouble

    def take(self, records, outcomes):
        """The test that did not end, if any."""
        running = None
        for record in records:
            if "micro" in record:
                self.is_micro = record["micro"]
            elif "tests" in record:
                self.tests = self.tests or record["tests"]
            elif "start" in record:
                running = record["start"]
            elif "test" in record:
                outcomes.add(record["test"], record["parts"], record["seconds"])
                running = None
        return running


def compare(inside, outside, chosen, expected):
    """The outcomes inside; which of them are wrong and which are the same outside, each with why."""
    outcomes = inside.run(chosen)
    suspects = {test: outcome for test, outcome in outcomes.items() if outcome.worst() != "passed"}
    wrong, same = {}, {}
    for attempt in range(1, TRIES_OUTSIDE + 1):
        again = [test for test in suspects if test not in same and (attempt == 1 or test not in expected)]
        if attempt > 1 and not again:
            break
        # The second time with all the others, because some need what came before them.
        theirs = outside.run(chosen if attempt == 2 else again)
        if time.monotonic() > outside.deadline:
            print("The time was up before all of it could be run outside.")
            break
        for test in again:
            if test in theirs and theirs[test].explains(suspects[test]):
                same[test] = "the same outside" if attempt <= 2 else f"the same outside in 1 of {attempt} runs: flaky"
    for test, outcome in suspects.items():
        if test not in same:
            wrong[test] = f"{outcome.worst()} inside only: {outcome.text()}"
    for test in outside.tests:
        if is_chosen(test, chosen) and test not in outcomes:
            wrong[test] = "was not run inside" if test in inside.tests else "does not exist inside"
    if not any(outcome.worst() == "passed" for outcome in outcomes.values()):
        wrong[inside.order.module] = "has no test that passes inside"
    return outcomes, wrong, same


def read_expected(path, version):
    """{test: reason} for this version of Python."""
    expected = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|", 2)]
        if len(fields) != 3 or not all(fields):
            sys.exit(f"{path.name}:{number}: not 'test | versions | reason'")
        test, versions, reason = fields
        if versions == "all" or version in versions.split():
            expected[test] = reason
    return expected


def check_expected(expected, outcomes, wrong, same):
    """What stays wrong when the list is taken into account, the list's own errors among it."""
    for test in expected:
        if test in wrong:
            print(f"as expected: {test}: {expected[test]}")
        elif test in same:
            wrong[test] = f"stands in the list of what is expected, but is {same[test]}"
        else:
            wrong[test] = f"stands in the list of what is expected, but {'passes' if test in outcomes else 'is no test'}"
    return {test: why for test, why in wrong.items()
            if test not in expected or why.startswith("stands in the list")}


def tell(outcomes, wrong, same, output):
    slowest = sorted(outcomes.items(), key=lambda item: -item[1].seconds)[:5]
    for test, outcome in slowest:
        if outcome.seconds > 1:
            print(f"{outcome.seconds:6.1f} s  {test}")
    for test, why in same.items():
        if outcomes[test].worst() == "failed":
            print(f"not ours: {test}: {why}")
    if wrong and output:
        print(f"\n==== the end of what was printed inside\n{output[-4000:]}")
    for test, why in sorted(wrong.items()):
        print(f"\n==== {test}: {why}")
    counts = collections.Counter(outcome.worst() for outcome in outcomes.values())
    print(", ".join(f"{counts[rank]} {rank}" for rank in RANKS) + f" inside; {len(wrong)} wrong")


def ask(python, code):
    return subprocess.run([python, "-c", code], cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()


def missing(python, module):
    """What is not there of Python's installed tests, in words, or None. 3.12.1 installs them without
    test_concurrent_futures."""
    package = module.split(".")[0]
    for what, name in ("package", package), ("module", module if package == "test" else package):
        if ask(python, f"import importlib.util; print(importlib.util.find_spec('{name}') is None)") == "True":
            return f"{what} '{name}'"
    return None


def parse():
    parser = argparse.ArgumentParser(usage="run.py BINE PYTHON MODULE [TEST ...] [options]; see its first comment")
    parser.add_argument("bine", type=os.path.abspath)
    parser.add_argument("python", type=os.path.abspath)
    parser.add_argument("module")
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--alone", dest="mode", action="store_const", const="alone", default="plain")
    parser.add_argument("--switching", dest="mode", action="store_const", const="switching", default="plain")
    parser.add_argument("--limit", type=float, default=1200, help="seconds for all of it")
    parser.add_argument("--silence", type=float, default=120, help="seconds after which a test hangs")
    parser.add_argument("--expected", type=pathlib.Path, default=HERE / "expected.txt")
    return parser.parse_args()


def main():
    order = parse()
    absent = missing(order.python, order.module)
    if absent:
        print(f"Python's {absent} is not installed (Debian: libpython3.11-testsuite)")
        sys.exit(SKIPPED_BY_CTEST)
    chosen = [f"{order.module}.{test}" for test in order.tests] or ["all"]
    mine = [order.module] if chosen == ["all"] else chosen
    chosen += [f"-{order.module}.{test}" for test in order.without]
    version = ask(order.python, "import sys; print('%d.%d' % sys.version_info[:2])")
    expected = {test: reason for test, reason in read_expected(order.expected, version).items() if is_chosen(test, mine)}
    deadline = time.monotonic() + order.limit
    inside, outside = Program(order.bine, order, deadline), Program(order.python, order, deadline)
    outcomes, wrong, same = compare(inside, outside, chosen, expected)
    wrong = check_expected(expected, outcomes, wrong, same)
    if not inside.is_micro or outside.is_micro:
        wrong[order.module] = "did not run in a micro-thread inside, or ran in one outside"
    tell(outcomes, wrong, same, inside.output)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
