"""A test module that run.py is tried on, see check_run.py: what can become of a test inside and outside."""
import os
import pathlib
import signal
import threading
import unittest

import inside

INSIDE = inside.in_micro_thread()


class Same(unittest.TestCase):
    def setUp(self):
        self.id = "what a test may have"

    def test_passes(self):
        pass

    def test_case(self):
        pass

    def test_fails(self):
        self.fail("everywhere")

    @unittest.skip("everywhere")
    def test_skipped(self):
        pass

    @unittest.expectedFailure
    def test_fails_as_it_says(self):
        self.fail("everywhere")


class FailsInside(unittest.TestCase):
    def test(self):
        self.assertFalse(INSIDE)


class FailsOutside(unittest.TestCase):
    def test(self):
        self.assertTrue(INSIDE)


class Flaky(unittest.TestCase):
    def test(self):
        """Fails inside, and outside at the third time."""
        runs = pathlib.Path(os.environ["BINE_SAMPLE"])
        runs.write_text(runs.read_text() + "x")
        self.assertFalse(INSIDE or len(runs.read_text()) == 4)


class Later(unittest.TestCase):
    came_first = False

    def test_a(self):
        Later.came_first = True

    def test_b(self):
        if Later.came_first:
            self.skipTest("after test_a")


class SkippedInside(unittest.TestCase):
    @unittest.skipIf(INSIDE, "hidden")
    def test(self):
        pass


class SubtestSkippedInside(unittest.TestCase):
    def test(self):
        for i in range(3):
            with self.subTest(i=i):
                if i == 1 and INSIDE:
                    self.skipTest("hidden")


class OtherSubtestFailsInside(unittest.TestCase):
    def test(self):
        for i in range(3):
            with self.subTest(i=i, what=object()):  # its address tells no subtest from another
                self.assertNotEqual(i, int(INSIDE))


class SetUpFailsInside(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        assert not INSIDE

    def test(self):
        pass


class Hangs(unittest.TestCase):
    def test_a(self):
        if INSIDE:
            threading.Event().wait()

    def test_b(self):
        pass


class Crashes(unittest.TestCase):
    def test_a(self):
        if INSIDE:
            os.kill(os.getpid(), signal.SIGSEGV)

    def test_b(self):
        pass


class Leaves(unittest.TestCase):
    def test_a(self):
        if INSIDE:
            os._exit(0)

    def test_b(self):
        pass


class Forks(unittest.TestCase):
    def test(self):
        """The child comes back from the test like its parent."""
        child = os.fork()
        if child > 0:
            os.waitpid(child, 0)
        else:
            self.fail("not the test's verdict")


class SpoilsCompany(unittest.TestCase):
    def test(self):
        if INSIDE:
            import company
            company.depth = str
            inside.bine.sleep(0.01)


class IsSwitched(unittest.TestCase):
    def test(self):
        """Does not wait, and still another has a turn."""
        turns = []
        if INSIDE:
            inside.bine.spawn(turns.append, 1)
            for _ in range(10_000_000):
                if turns:
                    break
            self.assertEqual(turns, [1])


if not INSIDE:
    class ExistsOutside(unittest.TestCase):
        def test(self):
            pass
