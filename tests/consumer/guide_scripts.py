"""guide_scripts.py PAGE BINE: runs each program in Python on a page of docs/guide with the command BINE, and compares what
it prints with the text that stands behind it."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

page, bine = Path(sys.argv[1]), sys.argv[2]
programs = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
assert len(programs) == page.read_text().count("```python") > 0, "a program without its text"

with tempfile.TemporaryDirectory() as folder:
    for number, (source, expected) in enumerate(programs, 1):
        script = Path(folder, f"program{number}.py")
        script.write_text(source)
        done = subprocess.run([bine, script], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"program {number}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.stdout == expected, f"program {number} prints\n{done.stdout}\nnot\n{expected}"
