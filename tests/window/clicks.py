"""host-example/qt in a real window: its script waits for clicks, and cleans up when the window is closed.

Run by CTest: clicks.py PROGRAM CASE.
"""
import sys

from xvfb import Display, Program, wait_until


class Person:
    """Who sits in front of the window."""

    def __init__(self, display, program):
        self.display = display
        self.program = program
        self.window = display.window("Clicks")
        self.geometry = display.geometry(self.window)
        self.clicks = 0

    def click(self):
        """On the button, which is at the bottom; elsewhere each time, for xdotool waits for the mouse to move."""
        _, _, width, height = self.geometry
        self.clicks += 1
        self.display.click(self.window, width / 2 + self.clicks, height - 25)

    def labels(self):
        """The pixels above the button."""
        x, y, width, height = self.geometry
        picture = self.display.picture()
        return [picture.at(x + column, y + row) for row in range(height - 45) for column in range(width)]

    def close(self):
        self.display.close(self.window)
        assert self.program.end() == 0, self.program.text()
        assert self.program.text().splitlines()[-1] == "the window was closed", self.program.text()


def with_person(test):
    with Display() as display, Program([PROGRAM], display) as program:
        test(Person(display, program))


def test_the_script_goes_on_at_each_click():
    def test(person):
        for _ in range(3):
            wait_until(lambda: len(set(person.labels())) > 1, "something to read")
            person.click()
            person.program.line("^clicked$")
        person.close()
    with_person(test)


def test_the_seconds_are_counted_meanwhile():
    def test(person):
        wait_until(lambda: len(set(person.labels())) > 1, "something to read")
        before = person.labels()
        wait_until(lambda: person.labels() != before, "the next second")
        person.close()
    with_person(test)


def test_closing_the_window_ends_a_script_that_waits():
    def test(person):
        wait_until(lambda: len(set(person.labels())) > 1, "something to read")
        person.close()
        assert "clicked" not in person.program.text()
    with_person(test)


if __name__ == "__main__":
    PROGRAM = sys.argv[1]
    globals()[sys.argv[2]]()
