"""Runs the tests of one of CPython's own test modules and writes down what came of each.

    inside.py REPORT (plain | switching | alone) MODULE [all | TEST ...] [-TEST ...]

run.py starts it, inside a micro-thread as the main script of the command bine, and outside as that of
python3. Inside, the tests have company (company.py): micro-threads that take turns when the tests let
them, or at any time when switching. REPORT gets one JSON record a line, the moment it is known, so that a
hang or a crash leaves behind what ran until then:

    {"micro": true}                                whether this is a micro-thread
    {"tests": [id, ...]}                           all that the module has
    {"start": id}                                  this test runs now
    {"test": id, "parts": {...}, "seconds": 0.1}   it has ended
    {"end": true}                                  all tests have, and nothing was wrong with the company

Parts are "" for the test itself and the description of each subtest that did not pass, with outcome and
text: ["failed", "Traceback ..."]. A set-up of a class or module that fails or skips is a test by the name
unittest gives it, "setUpClass (test.test_x.C)". A module that skips itself, or cannot be imported, is a
test by its own name. A test is chosen by its id, or by what its id begins with: a class, a module.
"""
import contextlib
import faulthandler
import importlib
import json
import os
import re
import signal
import sys
import time
import traceback
import unittest

from choice import is_chosen

PASSED, SKIPPED, FAILED = "passed", "skipped", "failed"

# Kept, because tests replace what stands in their modules.
os_open, os_write, os_close, os_getpid, dumps, clock = os.open, os.write, os.close, os.getpid, json.dumps, time.monotonic


class Report:
    """The file, opened for each record: some tests close every descriptor that they find."""

    def __init__(self, path):
        self.path = path
        self.process = os_getpid()

    def write(self, **record):
        if os_getpid() != self.process:
            return  # a test's child got here: its parent tells how the test went
        file = os_open(self.path, os.O_WRONLY | os.O_APPEND)
        os_write(file, dumps(record).encode() + b"\n")
        os_close(file)


def name_of(test):
    return type(test).id(test)  # some have an id of their own that is something else


def without_addresses(text):
    return re.sub(r"\b0x[0-9a-f]+", "0x", text)


class Recorder(unittest.TestResult):
    """Writes a record for each test."""

    company = None  # the module, where there is one

    def __init__(self, report):
        super().__init__()
        self.report = report
        self.parts = None  # of the test that runs

    def startTest(self, test):
        super().startTest(test)
        if self.company is not None:
            self.company.test_begins(name_of(test))
        self.parts = {}
        self.began = clock()
        self.report.write(start=name_of(test))

    def stopTest(self, test):
        super().stopTest(test)
        if self.parts is not None:  # 3.12.1 stops tests that it skips without having started them
            self.report.write(test=name_of(test), parts=self.parts, seconds=clock() - self.began)
        self.parts = None
        if self.company is not None:
            self.company.test_ends(name_of(test))

    def note(self, test, outcome, text="", part=""):
        """Also called for what is no test that runs: a class's set-up, a subtest that skips."""
        if isinstance(test, unittest.case._SubTest):
            part = without_addresses(test._subDescription())
        if self.parts is not None:
            self.parts[part] = [outcome, text]
        else:
            self.report.write(test=name_of(test), parts={part: [outcome, text]}, seconds=0)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note(test, PASSED)

    def addError(self, test, err):
        super().addError(test, err)
        self.note(test, FAILED, self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(test, FAILED, self.failures[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, SKIPPED, reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.note(test, PASSED)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, FAILED, "unexpected success")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(subtest, FAILED, self._exc_info_to_string(err, test))


def each_test(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each_test(test)
        else:
            yield test


class Listed(Exception):
    """The tests are known, and none was to run."""


class Run:
    def __init__(self, report, module, chosen):
        self.report = report
        self.module = module
        self.chosen = chosen

    def run_suite(self, suite):
        self.report.write(tests=[name_of(test) for test in each_test(suite)])
        if not self.chosen:
            raise Listed
        if self.chosen != ["all"]:
            suite = unittest.TestSuite(test for test in each_test(suite) if is_chosen(name_of(test), self.chosen))
        suite(Recorder(self.report))

    def run_module(self):
        from test import support
        support.use_resources = ["network"]  # of this machine alone: there may be no other
        support.verbose = False
        module = importlib.import_module(self.module)
        if hasattr(module, "test_main"):  # calls support.run_unittest() with a suite of its own making
            support._run_suite = self.run_suite
            module.test_main()
        else:
            self.run_suite(unittest.defaultTestLoader.loadTestsFromModule(module))

    def run(self):
        try:
            self.run_module()
        except Listed:
            pass
        except unittest.SkipTest as skip:
            self.report.write(test=self.module, parts={"": [SKIPPED, str(skip)]}, seconds=0)
        except Exception:
            self.report.write(test=self.module, parts={"": [FAILED, traceback.format_exc()]}, seconds=0)


try:
    import bine
except ImportError:
    bine = None


def in_micro_thread():
    return bine is not None and bine.current() is not None


def beside(mode):
    if not in_micro_thread() or mode == "alone":
        return contextlib.nullcontext()
    Recorder.company = importlib.import_module("company")
    return Recorder.company.company(mode == "switching")


def show_stacks(signum, frame):
    """What faulthandler cannot see: where micro-threads wait."""
    for micro in bine.all():
        print(f"micro-thread {micro.name!r}:", file=sys.stderr)
        for at in micro.stack():
            print(f"  File {at.f_code.co_filename!r}, line {at.f_lineno} in {at.f_code.co_name}", file=sys.stderr)
    sys.stderr.flush()


def main():
    path, mode, module, *chosen = sys.argv[1:]
    del sys.argv[1:]
    faulthandler.enable()
    report = Report(path)
    report.write(micro=in_micro_thread())
    if in_micro_thread():
        signal.signal(signal.SIGQUIT, show_stacks)
    with beside(mode):
        Run(report, module, chosen).run()
    report.write(end=True)


if __name__ == "__main__":  # and not in a child of multiprocessing
    main()
