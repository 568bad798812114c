"""A display that nobody sees, a program on it, and a person who clicks and types.

    with Display() as display, Program([DIALOG], display) as program:
        window = display.window("Bine dialog")
        program.line(r"asks: (.*)")
        display.type(window, "Ada")
        display.key(window, "Return")
        display.close(window)
        assert program.end() == 0

Needs Xvfb and xdotool; need() ends the case as not run where they are missing. Nothing sleeps for a
fixed time: each wait is for something to happen, and fails after TIMEOUT seconds, telling what did not.
There is no window manager: a window stands where it was put, and has the keyboard when display.window()
has found it.
"""
import ctypes
import os
import pathlib
import queue
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

TIMEOUT = 60  # seconds: for a loaded machine and a slow build of the program


def need(*programs):
    """Ends the case as not run where a program is missing."""
    for program in programs or ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            print(f"{program} is not installed", file=sys.stderr)
            sys.exit(77)


def wait_until(condition, what):
    """What `condition()` returns once it is true."""
    deadline = time.monotonic() + TIMEOUT
    result = condition()
    while not result:
        assert time.monotonic() < deadline, f"waited {TIMEOUT} s in vain for {what}"
        time.sleep(0.01)
        result = condition()
    return result


def end_with_us():
    """In a child: it is killed when the test is, be it by ctest's timeout."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class ClientMessage(ctypes.Structure):
    """Xlib's XClientMessageEvent, as large as its XEvent."""

    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int),
                ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong),
                ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("rest", ctypes.c_long * 12)]


def ask_to_close(display, window):
    """What a window manager sends for the close button; xdotool of Debian 12 has no command for it."""
    x = ctypes.CDLL("libX11.so.6")  # xdotool needs it too
    x.XOpenDisplay.restype = ctypes.c_void_p
    x.XInternAtom.restype = ctypes.c_ulong
    client_message = 33
    connection = ctypes.c_void_p(x.XOpenDisplay(display.encode()))
    assert connection.value is not None, f"no display {display}"
    protocols, delete = (x.XInternAtom(connection, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    event = ClientMessage(type=client_message, window=window, message_type=protocols, format=32)
    event.data[0] = delete
    sent = x.XSendEvent(connection, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    x.XCloseDisplay(connection)  # which sends what is queued
    assert sent, f"no message to window {window}"


class Picture:
    """Pixels of a display, read once."""

    def __init__(self, xwd):
        header = struct.unpack(">25I", xwd[:100])
        size, self.width, self.height, self.pixel_bytes = header[0], header[4], header[5], header[11] // 8
        self.row_bytes, colours = header[12], header[19]
        assert self.pixel_bytes == 4 and header[7] == 0, "not 32 bits, lowest byte first"
        self.pixels = xwd[size + 12 * colours:]

    def at(self, x, y):
        """0xRRGGBB."""
        (pixel,) = struct.unpack_from("<I", self.pixels, y * self.row_bytes + 4 * x)
        return pixel & 0xffffff

    def colours(self, x, y, width, height):
        """The set of those in a part of the picture."""
        found = set()
        for row in range(y, y + height):
            start = row * self.row_bytes + 4 * x
            found.update(struct.unpack(f"<{width}I", self.pixels[start:start + 4 * width]))
        return {pixel & 0xffffff for pixel in found}


class Display:
    """An X server of its own on a free number, with a screen of `width` times `height` pixels."""

    def __init__(self, width=1280, height=960):
        need()
        self.folder = tempfile.mkdtemp(prefix="bine-xvfb-")
        self.log = open(os.path.join(self.folder, "log"), "w+")
        reading, writing = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24", "-fbdir", self.folder,
             "-noreset", "-nolisten", "tcp"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=[writing], preexec_fn=end_with_us)
        os.close(writing)
        with open(reading) as file:
            number = file.readline().strip()  # at the end of the server: ''
        self.environment = dict(os.environ, DISPLAY=f":{number}", SDL_VIDEODRIVER="x11", SDL_AUDIODRIVER="dummy",
                                SDL_RENDER_DRIVER="software", SDL_FRAMEBUFFER_ACCELERATION="0",
                                GDK_BACKEND="x11", QT_QPA_PLATFORM="xcb", NO_AT_BRIDGE="1")
        self.environment.pop("WAYLAND_DISPLAY", None)
        if number == "":
            said = self.said()
            self.__exit__()
            raise AssertionError(f"Xvfb does not start: {said}")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.terminate()
        self.server.wait(TIMEOUT)
        self.log.close()
        shutil.rmtree(self.folder)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def xdotool(self, *args, check=True):
        """What it prints."""
        words = [str(arg) for arg in args]
        done = subprocess.run(["xdotool", *words], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=TIMEOUT)
        assert not check or done.returncode == 0, (words, done.returncode, done.stderr)
        return done.stdout.strip()

    def window(self, title):
        """Waits for a window whose title contains `title`, gives it the keyboard; its id."""
        pattern = re.escape(title)
        found = wait_until(lambda: self.xdotool("search", "--onlyvisible", "--name", pattern, check=False),
                           f"a window '{title}'")
        window = found.split()[0]
        self.xdotool("windowfocus", "--sync", window)
        return window

    def has(self, window):
        """Whether the window is there, and seen."""
        return window in self.xdotool("search", "--onlyvisible", "--name", "", check=False).split()

    def geometry(self, window):
        """(x, y, width, height) on the screen."""
        lines = self.xdotool("getwindowgeometry", "--shell", window).splitlines()
        values = dict(line.split("=") for line in lines)
        return tuple(int(values[name]) for name in ("X", "Y", "WIDTH", "HEIGHT"))

    def click(self, window, x, y, button=1):
        """At a point of the window, as a mouse does it."""
        self.xdotool("mousemove", "--sync", "--window", window, round(x), round(y))
        self.xdotool("click", button)

    def key(self, window, *names):
        """Presses keys, as in "Return", "ctrl+a"."""
        self.xdotool("windowfocus", "--sync", window)
        self.xdotool("key", *names)

    def type(self, window, text):
        self.xdotool("windowfocus", "--sync", window)
        self.xdotool("type", "--delay", "1", text)

    def close(self, window):
        """Asks the program to close the window, as its close button does."""
        ask_to_close(self.environment["DISPLAY"], int(window))

    def picture(self):
        """Of the whole screen, now."""
        return Picture(pathlib.Path(self.folder, "Xvfb_screen0").read_bytes())


class Program:
    """A program on a display. Its lines are read while it runs: see line(), end()."""

    def __init__(self, command, display, folder=None):
        self.lines = []  # all so far
        self.seen = 0    # how many of them line() is through with
        self.arriving = queue.SimpleQueue()
        self.process = subprocess.Popen([str(word) for word in command], env=display.environment, cwd=folder,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors="replace", preexec_fn=end_with_us)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)
        self.reader.join(TIMEOUT)

    def read(self):
        for line in self.process.stdout:
            self.arriving.put(line.rstrip("\n"))
        self.process.stdout.close()
        self.arriving.put(None)

    def take(self, wanted):
        """The next line, or None at the end."""
        try:
            line = self.arriving.get(timeout=TIMEOUT)
        except queue.Empty:
            raise AssertionError(f"waited {TIMEOUT} s in vain for {wanted}; it said:\n{self.text()}") from None
        if line is not None:
            self.lines.append(line)
        return line

    def line(self, pattern):
        """Waits for a line that the regular expression is found in, behind the last one found; the match."""
        while True:
            while self.seen < len(self.lines):
                match = re.search(pattern, self.lines[self.seen])
                self.seen += 1
                if match is not None:
                    return match
            assert self.take(f"the line '{pattern}'") is not None, \
                f"it ended without the line '{pattern}'; it said:\n{self.text()}"

    def text(self):
        """All it has said that was waited for."""
        return "\n".join(self.lines)

    def end(self):
        """Waits for its end; its status, negative for a signal."""
        while self.take("its end") is not None:
            pass
        return self.process.wait(TIMEOUT)
