"""A board's flash as a folder: every portable file of the packages, precompiled by mpy-cross.

Not a benchmark and not a firmware image: just enough for the unix port to import from. A board
that compiles its own sources needs heap for that; one that is flashed with .mpy files does not.
"""

import subprocess
from pathlib import Path

from benchmarks.common import ROOT
from tests.house import portable_files, tool


def compiled(folder: Path) -> Path | None:
    """Fill `folder` and return it; None where mpy-cross is not installed."""
    try:
        compiler = tool("mpy-cross")
    except AssertionError:
        return None
    names = [n for n in portable_files() if not n.startswith("tests/")]
    packages = {str(parent) for n in names for parent in Path(n).parents if parent.name}
    names += [n for n in (f"{package}/__init__.py" for package in packages) if n not in names]
    for name in names:
        target = (folder / name).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, "-s", name, "-o", str(target), str(ROOT / name)], check=True)
    return folder
