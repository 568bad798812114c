"""loops.py PAGE NAME SOURCE LIBRARY CC CXX: builds and runs one program of docs/guide/loops.md, and compares what it
prints with what the page says.

In the page `<!-- file: walk.py -->` stands before a block that is a file of all programs, and
`<!-- program: uv libuv -->` before a program: its name, and the libraries it needs, as pkg-config knows them. What it
prints is in the next block of text; where none comes before the next program, it is in the first one of the page."""
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

page, wanted, source, library, *compilers = sys.argv[1:]
source, library = Path(source), Path(library)
SKIPPED = 77


def find_blocks(text):
    """(what the comment before it says, the language, the text) of each block."""
    block = r"(?:^<!-- (\w+: [^\n]*) -->\n)?^```(\w+)\n(.*?)^```$"
    return re.findall(block, text, re.DOTALL | re.MULTILINE)


def find_program(blocks):
    """Its libraries, language and text, and what it prints."""
    marks = [mark.split() for mark, _, _ in blocks]
    place = next(i for i, mark in enumerate(marks) if mark[:2] == ["program:", wanted])
    printed = next(text for _, language, text in blocks if language == "text")
    for mark, language, text in blocks[place + 1:]:
        if mark.startswith("program: "):
            break
        if language == "text":
            printed = text
            break
    return marks[place][2:], *blocks[place][1:], printed


def pkg_config(packages):
    if not packages:
        return []
    done = subprocess.run(["pkg-config", "--cflags", "--libs", *packages], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"skipped: {done.stderr}")
        sys.exit(SKIPPED)
    return shlex.split(done.stdout)


def build(language, text, packages, folder):
    flags = pkg_config(packages)
    c, cxx = compilers
    common = ["-Wall", "-Wextra", "-Werror", "-g", "-pthread", "-fPIC", "-I", source / "include"]
    sources = [source / "sdk/adapter" / f"{name}.c" for name in re.findall(r"#include <bine/adapter/(\w+)\.h>", text)]
    if language == "cpp":
        c, common = cxx, [*common, "-std=gnu++17", "-I", source / "host-example/qt"]
        sources.append(source / "host-example/qt/bine_qt.cpp")
    else:
        common.append("-std=gnu11")
    Path(folder, f"main.{language}").write_text(text)
    subprocess.run([c, *common, f"main.{language}", *sources, "-o", "main", library, f"-Wl,-rpath,{library.parent}", *flags],
                   cwd=folder, check=True)


def main():
    blocks = find_blocks(Path(page).read_text())
    packages, language, text, printed = find_program(blocks)
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "QT_QPA_PLATFORM": "offscreen"}
    with tempfile.TemporaryDirectory() as folder:
        for mark, _, content in blocks:
            if mark.startswith("file: "):
                Path(folder, mark.removeprefix("file: ")).write_text(content)
        build(language, text, packages, folder)
        done = subprocess.run(["./main"], cwd=folder, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, f"{wanted}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stdout == printed, f"{wanted} prints\n{done.stdout}\nthe page says\n{printed}"


main()
