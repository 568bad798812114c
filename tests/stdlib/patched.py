"""bine.patched() and the table in docs/guide/blocking.md are one."""
import importlib
import operator
import pathlib
import re

import bine

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "guide" / "blocking.md"


def table():
    return dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", GUIDE.read_text(), re.M))


def is_here(name):
    """Whether this CPython has it; imports its module."""
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:i]))
        except ImportError:
            continue
        try:
            operator.attrgetter(".".join(parts[i:]))(module)
        except AttributeError:
            return False
        return True
    return False


def test_what_the_guide_says_is_so():
    here = {name: how for name, how in table().items() if is_here(name)}
    assert here, "the guide has no table"
    assert bine.patched() == here


def test_what_the_guide_names_is_somewhere():
    missing = [name for name in table() if not is_here(name)]
    assert len(missing) < 5, missing
