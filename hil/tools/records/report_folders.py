# SPDX-License-Identifier: Apache-2.0
"""Finds the reports in a folder and its subfolders, so that `coldloop hil verify` leaves none out.

Does not check a report. A folder with any file of a report counts as a report, so a missing record
is seen. A symbolic link to a folder is not followed. It is listed, and so is a folder that cannot
be read: there can be reports behind it.
"""

import os
from pathlib import Path

from hil.errors import BenchError
from hil.record.record import RECORD_FILE
from hil.report.write import REPORT_FILES


def list_reports(location: Path) -> list[Path]:
    """Return the path of each record, also if it is missing, and of each entry not looked into.

    Raises `BenchError` if a folder has no report.
    """
    if not location.is_dir():
        return [location]
    unread: list[OSError] = []
    paths: set[Path] = set()
    for root, folders, files in os.walk(location, onerror=unread.append):
        folder = Path(root)
        if not REPORT_FILES.isdisjoint((*folders, *files)):
            paths.add(folder / RECORD_FILE)
        paths |= {folder / name for name in (*folders, *files) if _is_hidden(folder / name)}
    paths |= {Path(error.filename) for error in unread}
    if not paths:
        raise BenchError(f"{location}: no report in it")
    return sorted(paths)


def _is_hidden(path: Path) -> bool:
    """Return whether a path is a symbolic link to a folder, or to something that is not there."""
    return path.is_symlink() and not path.is_file()
