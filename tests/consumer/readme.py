"""readme.py README INCLUDE LIBRARY COMPILER: compiles the README's host, runs it with the README's
script, and compares what it prints with what the README says."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

readme, include, library, compiler = map(Path, sys.argv[1:5])
blocks = re.findall(r"```(\w*)\n(.*?)```", readme.read_text(), re.DOTALL)
host, script, printed = (next(text for language, text in blocks if language == wanted) for wanted in ("c", "python", ""))

with tempfile.TemporaryDirectory() as folder:
    Path(folder, "host.c").write_text(host)
    Path(folder, "door.py").write_text(script)
    subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", "-I", include, "host.c", "-o", "host", library,
                    f"-Wl,-rpath,{library.parent}"], cwd=folder, check=True)
    done = subprocess.run(["./host"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert done.stdout == printed, f"it prints\n{done.stdout}\nthe README says\n{printed}"
