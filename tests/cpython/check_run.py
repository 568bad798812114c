"""run.py tried on sample.py: what it has to find, it finds.

check_run.py BINE PYTHON CASE runs one test_... below (see CMakeLists.txt).
"""
import os
import pathlib
import subprocess
import sys
import tempfile

BINE, PYTHON, CASE = sys.argv[1:]
RUN = pathlib.Path(__file__).with_name("run.py")
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="bine-test-"))


def run(*tests, expected="", options=(), module="sample"):
    """What run.py said about these tests of sample.py, and whether it was content."""
    (FOLDER / "expected").write_text(expected)
    (FOLDER / "runs").touch()
    done = subprocess.run(
        [sys.executable, RUN, BINE, PYTHON, module, *tests, f"--expected={FOLDER / 'expected'}", *options],
        capture_output=True, text=True, env=os.environ | {"BINE_SAMPLE": str(FOLDER / "runs")}, timeout=100)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr, done.returncode == 0


def check(told, *expected):
    for line in expected:
        assert line in told, f"not said: {line}\n{told}"


def refused(*tests, says, **options):
    told, content = run(*tests, **options)
    check(told, *says)
    assert not content, told


def accepted(*tests, says, **options):
    told, content = run(*tests, **options)
    check(told, *says)
    assert content, told


def test_what_is_the_same_outside_is_no_failure():
    accepted("Same", says=["not ours: sample.Same.test_fails: the same outside\n",
                           "3 passed, 1 skipped, 1 failed inside; 0 wrong"])


def test_what_fails_inside_only_is_wrong():
    refused("FailsInside", says=["==== sample.FailsInside.test: failed inside only", "AssertionError: True is not false"])


def test_some_can_be_left_out():
    accepted("Same", "FailsInside", options=["--without=FailsInside", "--without=Same.test_fails"],
             says=["3 passed, 1 skipped, 0 failed inside; 0 wrong"])


def test_what_fails_outside_only_is_well():
    accepted("FailsOutside", says=["1 passed, 0 skipped, 0 failed inside; 0 wrong"])


def test_what_fails_outside_now_and_then_is_told_to_be_flaky():
    accepted("Flaky", "Same.test_passes", says=["sample.Flaky.test: the same outside in 1 of 3 runs: flaky"])


def test_what_depends_on_the_tests_before_it_is_run_behind_them():
    accepted("Later", says=["1 passed, 1 skipped, 0 failed inside; 0 wrong"])


def test_a_skip_does_not_hide():
    refused("SkippedInside", "Same", says=["==== sample.SkippedInside.test: skipped inside only: hidden"])
    refused("SubtestSkippedInside", "Same",
            says=["==== sample.SubtestSkippedInside.test: skipped inside only: (i=1) hidden"])


def test_subtests_are_compared_one_by_one():
    refused("OtherSubtestFailsInside", "Same", says=["==== sample.OtherSubtestFailsInside.test: failed inside only: (i=1"])


def test_the_tests_behind_a_set_up_that_fails_have_failed():
    refused("SetUpFailsInside", "Same", says=["==== sample.SetUpFailsInside.test: failed inside only"])


def test_a_test_that_hangs_is_named_and_the_next_one_is_run():
    refused("Hangs", says=["==== sample.Hangs.test_a: failed inside only: hung", "in wait\n", "1 passed, 0 skipped, 1 failed"],
            options=["--silence=5"])


def test_a_test_that_crashes_is_named_and_the_next_one_is_run():
    refused("Crashes", says=["==== sample.Crashes.test_a: failed inside only: ended the process, with SIGSEGV",
                             "in test_a\n", "1 passed, 0 skipped, 1 failed"])


def test_a_test_that_ends_the_process_is_named_and_the_next_one_is_run():
    refused("Leaves", says=["==== sample.Leaves.test_a: failed inside only: ended the process, as if all was well",
                            "1 passed, 0 skipped, 1 failed"])


def test_what_runs_when_the_time_is_up_is_named():
    refused("Hangs.test_a", says=["==== sample.Hangs.test_a: failed inside only: ran when the time was up"],
            options=["--limit=5"])


def test_a_child_of_a_test_says_nothing():
    accepted("Forks", says=["1 passed, 0 skipped, 0 failed inside; 0 wrong"])


def test_a_test_that_does_not_exist_inside_is_wrong():
    refused("ExistsOutside", "Same", says=["==== sample.ExistsOutside.test: does not exist inside"])


def test_a_module_without_tests_is_wrong():
    refused("NoSuchClass", says=["has no test that passes inside"])
    refused(module="inside.no_such_module", says=["has no test that passes inside"])


def test_a_package_that_is_missing_skips_the_test():
    told, _ = run(module="no_such_package.test_x")
    check(told, "Python's package 'no_such_package' is not installed")


def test_a_module_that_is_missing_skips_the_test():
    told, _ = run(module="test.test_that_nobody_has")
    check(told, "Python's module 'test.test_that_nobody_has' is not installed")


def test_inside_has_to_be_a_micro_thread():
    global BINE
    BINE = PYTHON
    refused("Same.test_passes", says=["did not run in a micro-thread inside"])


def test_company_that_fails_is_wrong():
    refused("SpoilsCompany", says=["==== sample: failed inside only: ended the process, with status 1", "in check\n"])


def test_with_switching_others_have_turns_at_any_time():
    accepted("IsSwitched", says=["1 passed, 0 skipped, 0 failed"], options=["--switching"])
    refused("IsSwitched", says=["==== sample.IsSwitched.test: failed inside only"])


def test_a_listed_failure_is_expected():
    accepted("FailsInside", "Same", expected="sample.FailsInside.test | all | so it is\n",
             says=["as expected: sample.FailsInside.test: so it is", "0 wrong"])


def test_a_listed_test_that_passes_is_wrong():
    refused("Same", expected="sample.Same.test_passes | all | so it was\n",
            says=["==== sample.Same.test_passes: stands in the list of what is expected, but passes"])


def test_a_listed_test_that_does_not_exist_is_wrong():
    refused("Same", expected="sample.Same.test_gone | all | so it was\n",
            says=["==== sample.Same.test_gone: stands in the list of what is expected, but is no test"])


def test_a_listed_test_that_fails_outside_too_is_wrong():
    refused("Same", expected="sample.Same.test_fails | all | so they say\n",
            says=["==== sample.Same.test_fails: stands in the list of what is expected, but is the same outside"])


def test_the_list_is_read_for_one_version_and_for_the_tests_that_run():
    refused("FailsInside", expected="sample.FailsInside.test | 3.1 2.7 | so it was\n", says=["failed inside only"])
    version = "%d.%d" % sys.version_info[:2]
    accepted("FailsInside", "Same", says=["as expected: sample.FailsInside.test: so it is"],
             expected=f"# a comment\n\nsample.FailsInside.test | 2.7 {version} | so it is\nsample.Gone.test | all | elsewhere\n")


def test_a_line_that_is_no_entry_is_named():
    refused("Same", expected="# ...\nsample.Same.test_fails | all\n", says=["expected:2: not 'test | versions | reason'"])


globals()[CASE]()
