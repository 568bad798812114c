"""The colony in a window: smooth agents, clicks, keys, and its end.

colony.py COLONY CASE runs one test_... below, see tests/CMakeLists.txt. Agents do what the scripts here say;
where they are on the window and what the colony makes of clicks and keys, it prints itself.
"""
import contextlib
import math
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

from xvfb import Display, Program, need, wait_until

COLONY = os.path.abspath(sys.argv[1])
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="bine-window-"))
WIDTH, HEIGHT, LEGEND = 1200, 707, 32
PIXELS_PER_FRAME = 0.75  # of one that walks

# Each agent walks to a place of its own, near their homes as each frame costs a picture, and stays there, as deep in
# calls as its number says.
APART = """\
import bine, game

def live(agent):
    game.walk_to(740 + 40 * agent, 400)
    print("arrived", agent, flush=True)
    wait(agent)

def wait(deep):
    if deep > 0:
        wait(deep - 1)
    else:
        game.wait_for("midnight")
"""

TWO_AT_ONCE = """\
import bine, game

def live(agent):
    if agent == 1:
        bine.spawn(sing, "la").name = "singer"
    game.walk_to(740 + 40 * agent, 400)
    print("arrived", agent, flush=True)
    bine.Event().wait()

def sing(text):
    bine.Pipe().get()
"""

FAR = """\
import game

def live(agent):
    game.walk_to(0, 0)
    game.walk_to(1600, 900)
"""

CLEANS_UP = """\
import bine, game

def live(agent):
    try:
        game.walk_to(0, 0)
    finally:
        with bine.shield(1):
            bine.sleep(0.1)
        print("cleaned up", agent, flush=True)
"""


def script(text):
    path = FOLDER / "agents.py"
    path.write_text(text)
    return path


def has_window():
    """Ends the case as not run where the colony was built without SDL2."""
    need()
    done = subprocess.run([COLONY, "--window", "--frames", "0"], env=dict(os.environ, DISPLAY="", SDL_VIDEODRIVER="x11"),
                          capture_output=True, text=True, timeout=60, cwd=FOLDER)
    if "built without SDL2" in done.stderr:
        print(done.stderr, file=sys.stderr)
        sys.exit(77)


class Colony(Program):
    """The colony in a window of its own. With --no-pace its agents arrive sooner."""

    def __init__(self, display, text, *options):
        super().__init__([COLONY, "--window", "--script", script(text), "--picture", FOLDER / "end.png", *options],
                         display, FOLDER)
        self.display = display
        self.line(f"^window ready {WIDTH}x{HEIGHT}$")
        self.window = display.window("Colony")

    def arrive(self, agents):
        """Waits until so many have printed that they have arrived."""
        for _ in range(agents):
            self.line("^arrived")

    def click(self, x, y):
        """What it says of a click there, the first line."""
        self.display.click(self.window, x, y)
        return self.line("^clicked .*$")[0]

    def close(self):
        self.display.close(self.window)
        return self.end()


def spot(agent):
    """Where the scripts above send it, on the window."""
    return (740 + 40 * agent) * 0.75, 400 * 0.75


# ---- what is shown


def test_the_window_shows_the_world():
    with Display() as display, Colony(display, APART, "--no-pace", "--agents", "3") as colony:
        colony.arrive(3)
        x, y, width, height = display.geometry(colony.window)
        assert (width, height) == (WIDTH, HEIGHT)
        picture = display.picture()
        assert len(picture.colours(x, y, width, height - LEGEND)) > 1000  # grass, bushes, huts
        panel, ink = 0x20262c, 0xe8e4d8
        assert {panel, ink} <= picture.colours(x, y + height - LEGEND, width, LEGEND)
        assert colony.close() == 0


def test_an_agent_is_painted_where_it_is():
    with Display() as display, Colony(display, APART, "--no-pace", "--agents", "3") as colony:
        colony.arrive(3)
        left, top, _, _ = display.geometry(colony.window)
        x, y = spot(2)
        blue = 0x9fc8f0  # of one that rests
        wait_until(lambda: blue in display.picture().colours(int(left + x) - 1, int(top + y) - 1, 3, 3),
                   "an agent to be painted")
        assert blue not in display.picture().colours(int(left + x) + 50, int(top + y) - 30, 60, 60)
        assert colony.close() == 0


def watched(colony, count):
    """The next pictures: (frame, x, y) each."""
    found = []
    for _ in range(count):
        match = colony.line(r"^picture \d+ at frame ([-.\d]+): agent 1 at ([-.\d]+),([-.\d]+)$")
        found.append(tuple(float(text) for text in match.groups()))
    return found


def test_agents_move_smoothly():
    with Display() as display, Colony(display, FAR, "--agents", "3", "--watch", "1") as colony:
        watched(colony, 10)  # it has begun to walk
        pictures = watched(colony, 60)
        for (frame, x, y), (next_frame, next_x, next_y) in zip(pictures, pictures[1:]):
            moved = math.hypot(next_x - x, next_y - y)
            assert frame < next_frame and abs(moved - PIXELS_PER_FRAME * (next_frame - frame)) < 0.01, pictures
        assert any(frame % 1 != 0 for frame, _, _ in pictures)  # between two steps, too
        assert colony.close() == 0


def test_without_a_pace_there_is_a_picture_for_each_frame():
    with Display() as display, Colony(display, FAR, "--agents", "3", "--watch", "1", "--no-pace") as colony:
        frames = [frame for frame, _, _ in watched(colony, 50)]
        assert frames == [frames[0] + i for i in range(50)], frames
        assert colony.close() == 0


# ---- clicks and keys


def test_a_click_on_an_agent_shows_the_stack_of_its_script():
    with Display() as display, Colony(display, APART, "--no-pace", "--agents", "4") as colony:
        colony.arrive(4)
        for agent in 2, 0, 3:
            assert colony.click(*spot(agent)) == f"clicked agent {agent}"
            stack = colony.line("^  '(.*)' waits for (.*): live agents.py:6(.*)$")
            assert stack[1] == "agents.live" and "result of the host" in stack[2], stack[0]
            assert stack[3] == " > wait agents.py:10" * agent + " > wait agents.py:12", stack[0]
        assert colony.close() == 0


def test_every_micro_thread_of_the_agent_is_told():
    with Display() as display, Colony(display, TWO_AT_ONCE, "--no-pace", "--agents", "2") as colony:
        colony.arrive(2)
        assert colony.click(*spot(1)) == "clicked agent 1"
        colony.line("^  'agents.live' waits for .*bine.Event.*: live agents.py:8$")
        colony.line("^  'singer' waits for .*: sing agents.py:11$")
        assert colony.click(*spot(0)) == "clicked agent 0"
        colony.line("^  'agents.live' waits for")
        assert colony.close() == 0
        assert colony.text().count("singer") == 1


def test_an_agent_that_walks_can_be_clicked_while_all_is_paused():
    with Display() as display, Colony(display, FAR, "--agents", "2", "--watch", "1") as colony:
        watched(colony, 30)
        display.key(colony.window, "space")
        colony.line("^paused$")
        (frame, x, y), (last, _, _) = watched(colony, 2)
        assert last - frame < 0.5
        assert colony.click(x, y) == "clicked agent 1"
        colony.line(r"^  'agents.live' waits for .*: live agents.py:4$")
        display.key(colony.window, "space")
        colony.line("^goes on$")
        wait_until(lambda: watched(colony, 1)[0][0] > frame + 5, "the world to go on")
        assert colony.close() == 0


def panel_is_open(display, window):
    """By its upper edge, on whatever side: the only thing of that colour so near to the edge."""
    left, top, width, _ = display.geometry(window)
    return 0xffd23f in display.picture().colours(left, top + 16, width, 3)


def test_escape_closes_the_panel():
    with Display() as display, Colony(display, APART, "--no-pace", "--agents", "2") as colony:
        colony.arrive(2)
        assert not panel_is_open(display, colony.window)
        colony.click(*spot(1))
        wait_until(lambda: panel_is_open(display, colony.window), "the panel")
        display.key(colony.window, "Escape")
        colony.line("^closed the panel$")
        wait_until(lambda: not panel_is_open(display, colony.window), "the panel to close")
        assert colony.close() == 0


def test_a_click_elsewhere_closes_the_panel():
    with Display() as display, Colony(display, APART, "--no-pace", "--agents", "2") as colony:
        colony.arrive(2)
        colony.click(*spot(0))
        wait_until(lambda: panel_is_open(display, colony.window), "the panel")
        assert colony.click(600, 600) == "clicked nobody"
        wait_until(lambda: not panel_is_open(display, colony.window), "the panel to close")
        assert colony.close() == 0


def test_the_window_fits_when_it_is_resized():
    with Display() as display, Colony(display, APART, "--no-pace", "--agents", "2") as colony:
        colony.arrive(2)
        display.xdotool("windowsize", "--sync", colony.window, WIDTH // 2, HEIGHT // 2)
        x, y = spot(1)
        wait_until(lambda: colony.click(x / 2, y / 2) == "clicked agent 1", "a click to be where the agent is")
        assert colony.close() == 0


# ---- the end


def saved(path):
    """(frame, agents) of the saved world."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("select frame, (select count(*) from agents) from meta").fetchone()


def ends_well(end):
    world = FOLDER / "world.db"
    with Display() as display, Colony(display, CLEANS_UP, "--agents", "5", "--save", world,
                                      "--save-every", "1000000", "--watch", "1") as colony:
        watched(colony, 40)
        end(display, colony.window)
        assert colony.end() == 0, colony.text()
        assert not display.has(colony.window)
        assert sorted(re.findall("^cleaned up ([0-9])$", colony.text(), re.M)) == list("01234")
        last = int(re.search("in all: frame ([0-9]+),", colony.text())[1])
        assert saved(world) == (last, 5)
        assert (FOLDER / "end.png").stat().st_size > 1000


def test_closing_the_window_ends_the_scripts_and_saves_the_world():
    ends_well(lambda display, window: display.close(window))


def test_q_ends_it_as_well():
    ends_well(lambda display, window: display.key(window, "q"))


def test_the_window_closes_when_no_frames_are_left():
    with Display() as display, Colony(display, FAR, "--agents", "2", "--no-pace", "--frames", "100") as colony:
        assert colony.end() == 0
        assert "in all: frame 100," in colony.text()


def test_without_a_display_it_says_so():
    with Display() as display:
        environment = dict(display.environment, DISPLAY=":no such display")
    done = subprocess.run([COLONY, "--window", "--picture", FOLDER / "end.png"], env=environment, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("colony: --window: starting SDL: "), done


if __name__ == "__main__":
    try:
        has_window()
        globals()[sys.argv[2]]()
    finally:
        shutil.rmtree(FOLDER)
