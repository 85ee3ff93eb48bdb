# SPDX-License-Identifier: Apache-2.0
"""Data of tests: a file of the data folder, or its small stand-in in the repository.

The data folder is COLDLOOP_DATA, by default `../shared/data`. A stand-in has the same columns with
few rows, so a test checks the same rules on less data. The tests of complete files ask
`is_complete`.
"""

import os
from pathlib import Path

from tests.support.repository import ROOT

STAND_INS = ROOT / "tests" / "support" / "facts"


def data_folder() -> Path:
    """Return the data folder; it may be absent."""
    return Path(os.environ.get("COLDLOOP_DATA", ROOT.parent / "shared" / "data"))


def data_file(name: str) -> Path:
    """Return a file of the data folder, or its stand-in if the folder does not have it."""
    path = data_folder() / name
    return path if path.exists() else STAND_INS / name


def is_complete(path: Path) -> bool:
    """Return whether a file is that of the data folder, with all its rows."""
    return path.parent != STAND_INS
