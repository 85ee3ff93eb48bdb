"""A board's flash as a folder: every portable file of the packages, precompiled by mpy-cross,
with the profiles.

Not a benchmark and not a firmware image: just enough for the unix port to import from. A board
that compiles its own sources needs heap for that; one that is flashed with .mpy files does not.
"""

import shutil
from pathlib import Path

from tests.support.repository import ROOT, compile_to, find_tool, portable_files


def compile_flash(folder: Path) -> Path | None:
    """Fill `folder` and return it; None where mpy-cross is not installed."""
    try:
        find_tool("mpy-cross")
    except AssertionError:
        return None
    compile_to(folder, [n for n in portable_files() if not n.startswith("tests/")])
    profiles = folder / "drivers" / "profiles"
    profiles.mkdir(exist_ok=True)
    for source in (ROOT / "drivers" / "profiles").glob("*.json"):
        shutil.copyfile(source, profiles / source.name)
    return folder
