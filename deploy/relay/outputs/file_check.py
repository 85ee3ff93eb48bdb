# SPDX-License-Identifier: Apache-2.0
"""Checks for `coldloop relay --check`: can a file or a folder be written? They leave nothing.

A test by the rights alone is not enough: a disk can be read-only or full, and the user `root` has
all rights.
"""

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from deploy.relay.outputs.base import OutputError

_PROBE_BYTES = 4096


def check_folder(path: Path, may_be_made: bool = False) -> None:
    """Write a file without a name in a folder. Raises OutputError.

    `may_be_made`: the output makes the folder and those above it.
    """
    while may_be_made and not path.exists() and path != path.parent:
        path = path.parent
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None


def check_file(path: Path) -> None:
    """Open a file for writing, if there is one; its folder must take files. Raises OutputError."""
    check_folder(path.parent)
    try:
        if path.exists():
            with open(path, "ab"):
                pass
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None


def check_sqlite(path: Path, is_known: Callable[[sqlite3.Connection], bool], kind: str) -> None:
    """Begin a transaction in a file, if there is one. Raises OutputError.

    `is_known`: whether it is a file of this kind.
    """
    check_file(path)
    if not path.exists() or not path.stat().st_size:
        return
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)) as db:
            if not is_known(db):
                raise OutputError(f"{path}: not {kind}")
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise OutputError(f"{path}: {error}") from None
