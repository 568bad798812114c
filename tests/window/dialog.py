"""host-example/dialog in a real window: what the scripts receive from a person and from a server.

Run by CTest: dialog.py PROGRAM CASE.
"""
import http.server
import os
import socket
import sys
import threading

from xvfb import Display, Program, wait_until

TITLE = "A new world"
GAP = 12  # between two buttons, see build_window() in dialog.c


class Page(http.server.BaseHTTPRequestHandler):
    """Answers when the server says so."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.answers.wait()
        page = b"<html><head><title>Fog on the hills, sun by noon</title></head></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *unused):
        pass


class Server(http.server.ThreadingHTTPServer):
    """A web server on a free port."""

    daemon_threads = True

    def __init__(self, answers=True):
        super().__init__(("127.0.0.1", 0), Page)
        self.asked = []
        self.answers = threading.Event()
        if answers:
            self.answers.set()
        self.address = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *unused):
        self.answers.set()
        self.shutdown()
        super().__exit__(*unused)

    def handle_error(self, request, client_address):
        pass  # the window was closed before the answer


def is_blue(pixel):
    return pixel >> 16 < 0x60 and pixel & 0xff > 0xc0


def blue_span(picture, y, left, right):
    """(first, last) blue pixel of a part of a row, or None."""
    found = [x for x in range(left, right) if is_blue(picture.at(x, y))]
    return (found[0], found[-1]) if found else None


def blue_box(picture, geometry):
    """(left, top, right, bottom) of what is blue in the middle of the window: the first button."""
    x, y, width, height = geometry
    rows = {}
    for row in range(y + height * 3 // 10, y + height * 8 // 10):
        span = blue_span(picture, row, x, x + width)
        if span is not None:
            rows[row] = span
    if not rows:
        return None
    middle = sorted(rows)[len(rows) // 2]
    return rows[middle][0], min(rows), rows[middle][1], max(rows)


class Person:
    """Who sits in front of the dialog."""

    def __init__(self, display, program):
        self.display = display
        self.program = program
        self.window = display.window(TITLE)
        self.geometry = display.geometry(self.window)

    def button(self, index, count):
        """The middle of the one of `count` buttons, or None while they are not to be seen. They are equally
        wide and stand in the middle of the window, the first one blue."""
        box = blue_box(self.display.picture(), self.geometry)
        if box is None or box[3] - box[1] < 20:
            return None
        left, top, right, bottom = box
        pitch = right - left + 1 + GAP
        middle = self.geometry[0] + self.geometry[2] / 2
        if abs(left + (count * pitch - GAP) / 2 - middle) > count + 3:
            return None
        return (left + right) / 2 + index * pitch - self.geometry[0], (top + bottom) / 2 - self.geometry[1]

    def click(self, index, count):
        """On the index-th of `count` buttons, when they are there."""
        self.display.click(self.window, *wait_until(lambda: self.button(index, count), f"{count} buttons"))

    def entry(self):
        """Whether there is something to type into: it is white, the window is not."""
        x, y, width, height = self.geometry
        return 0xffffff in self.display.picture().colours(x + 10, y + height // 2, width - 20, height // 5)

    def type(self, text):
        wait_until(self.entry, "something to type into")
        self.display.type(self.window, text)
        self.display.key(self.window, "Return")

    def bar(self):
        """How long the blue part of the progress bar is, in pixels."""
        picture = self.display.picture()
        x, y, width, height = self.geometry
        spans = (blue_span(picture, row, x, x + width) for row in range(y + height * 8 // 10, y + height))
        return max((last - first + 1 for first, last in filter(None, spans)), default=0)

    def headline(self):
        """The pixels where the news stand."""
        picture = self.display.picture()
        x, y, width, _ = self.geometry
        columns = range(x + 10, x + width - 10)
        return [picture.at(column, row) for row in range(y + 60, y + 100) for column in columns]

    def close(self):
        """Closes the window; all that the program has said, when it has ended well."""
        self.display.close(self.window)
        status = self.program.end()
        said = self.program.text()
        assert status == 0, (status, said)
        assert "Traceback" not in said, said
        assert "CRITICAL" not in said, said
        return said


def with_person(test, *args):
    with Display() as display, Program([PROGRAM, *args], display) as program:
        test(Person(display, program), program)


def over(said):
    """The scripts whose finally blocks have run."""
    return [script for script in ("the conversation is over", "the building ends at", "the news are over")
            if script in said]


def test_the_script_gets_what_is_typed_and_clicked():
    def test(person, program):
        person.type("Ada")
        program.line("^name: Ada$")
        person.click(1, 2)
        program.line("^rain: False$")
        person.click(2, 4)
        program.line("^season: autumn$")
        person.close()
    with_person(test)


def test_the_keyboard_answers_every_question():
    def test(person, program):
        person.type("Ada Lovelace")
        program.line("^name: Ada Lovelace$")
        wait_until(lambda: person.button(0, 2), "yes and no")
        person.display.key(person.window, "Return")
        program.line("^rain: True$")
        wait_until(lambda: person.button(0, 4), "the seasons")
        person.display.key(person.window, "Tab", "space")
        program.line("^season: summer$")
        person.close()
    with_person(test)


def test_an_empty_answer_is_an_answer():
    def test(person, program):
        person.type("")
        program.line("^name: $")
        person.close()
    with_person(test)


def test_the_bar_moves_while_a_question_is_open():
    def test(person, program):
        first = wait_until(person.bar, "a bar")
        wait_until(lambda: person.bar() >= first + 5, "a longer bar")
        person.type("Ada")
        program.line("^name: Ada$")
        person.close()
    with_person(test)


def test_a_page_is_fetched_while_a_question_is_open():
    def test(person, program):
        wait_until(lambda: server.asked == ["/"], "a request")
        first = wait_until(person.bar, "a bar")
        wait_until(lambda: person.bar() >= first + 5, "a bar that moves while the server takes its time")
        before = person.headline()
        server.answers.set()
        program.line("^news: Fog on the hills, sun by noon$")
        wait_until(lambda: person.headline() != before, "the page's title in the window")
        person.type("Ada")
        program.line("^name: Ada$")
        person.close()
    with Server(answers=False) as server:
        with_person(test, server.address)


def test_a_server_that_is_not_there_is_told():
    def test(person, program):
        program.line("^the news are over$")
        person.type("Ada")
        program.line("^name: Ada$")
        person.close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with_person(test, f"127.0.0.1:{port}")


def test_closing_in_the_middle_of_a_question_runs_all_finally_blocks():
    def test(person, program):
        wait_until(lambda: server.asked, "a request")
        wait_until(person.bar, "a bar")
        said = person.close()
        assert len(over(said)) == 3, said
        assert "name:" not in said and "news:" not in said, said
    with Server(answers=False) as server:
        with_person(test, server.address)


def test_closing_after_the_first_answer_runs_all_finally_blocks():
    def test(person, program):
        person.type("Ada")
        program.line("^name: Ada$")
        said = person.close()
        assert len(over(said)) == 3, said
        assert "rain:" not in said, said
    with Server(answers=False) as server:
        with_person(test, server.address)


def test_closing_right_at_the_start_ends_well():
    """A script that has not had its first turn has nothing to clean up."""
    def test(person, program):
        person.close()
    with Server(answers=False) as server:
        with_person(test, server.address)


def test_closing_when_all_scripts_have_ended():
    def test(person, program):
        program.line("^the news are over$")
        person.type("Ada")
        person.click(0, 2)
        person.click(3, 4)
        program.line("^season: winter$")
        program.line("^the conversation is over$")
        said = person.close()
        assert "the building ends at 100%" in said, said
    with Server() as server:
        with_person(test, server.address, "0.5")


if __name__ == "__main__":
    os.environ.update(GSK_RENDERER="cairo", GDK_DEBUG="gl-disable", GTK_A11Y="none")
    os.environ.pop("GTK_THEME", None)
    PROGRAM = sys.argv[1]
    globals()[sys.argv[2]]()
