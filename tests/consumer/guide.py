"""guide.py PAGE INCLUDE LIBRARY COMPILER: runs the programs of a page of docs/guide, Bine's in C with its script and
Twisted's where the page has one, and compares what they print with each other and with what the page says."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

page, include, library, compiler = map(Path, sys.argv[1:5])


def find_twisted():
    """The system's python3, to which tests/run.sh adds Twisted; else the one on the PATH."""
    for python in ("/usr/bin/python3", "python3"):
        try:
            if subprocess.run([python, "-c", "import twisted"], capture_output=True).returncode == 0:
                return python
        except FileNotFoundError:
            pass
    sys.exit("guide.py: no python3 here can import twisted; on Debian: apt-get install python3-twisted")


blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def program(language):
    return "\n\n".join(text for word, text in blocks if word == language)


def output(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command[-1]}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.splitlines()


def check_equal(one, lines, other, others):
    for number, (a, b) in enumerate(zip(lines, others), 1):
        assert a == b, f"line {number}: {one} {a!r}, {other} {b!r}"
    assert len(lines) == len(others), f"{one} {len(lines)} lines, {other} {len(others)}"


with tempfile.TemporaryDirectory() as folder:
    Path(folder, "bine.c").write_text(program("c"))
    Path(folder, "wait.py").write_text(program("py"))
    Path(folder, "twisted_side.py").write_text(program("python"))
    subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", "-pthread", "-I", include, "bine.c", "-o", "bine", library,
                    f"-Wl,-rpath,{library.parent}"], cwd=folder, check=True)
    bine = output("./bine", folder=folder)
    if program("python"):
        check_equal("Bine prints", bine, "Twisted", output(find_twisted(), "twisted_side.py", folder=folder))

check_equal("Bine prints", bine, "the page says", program("text").splitlines())
