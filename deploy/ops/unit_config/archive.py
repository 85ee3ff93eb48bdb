# SPDX-License-Identifier: Apache-2.0
"""Archive of published configurations on the operator's computer, for a way back.

Does not change a unit. `coldloop config push` stores the configuration of each unit before it sends
a change. `--archived N` makes a change from the differences to an older one, and the unit verifies
it as any other change. The archive is beside the ledger: a file for each unit, one JSON line for
each configuration: `when`, `hash` (of the report of the unit) and `config` (without secrets).

A unit publishes its configuration itself, and it is not signed. So the operator is asked after all
differences are printed. A damaged line does not stop a push: the file is kept under another name.
"""

import datetime as dt
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.ops.private_file import replace_private

MAX_ENTRIES = 50
"""Configurations that are kept for each unit."""


class ConfigArchive:
    """The archive in `folder`. Raises `OpsError`: a file cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, unit: str, digest: bytes, raw: dict[str, Any]) -> None:
        """Store the configuration of a unit, if it is not the newest one already."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._lock():
                self._add(unit, digest, raw)
        except OSError as error:
            raise OpsError(f"{self._folder}: {error.strerror}") from None

    def _add(self, unit: str, digest: bytes, raw: dict[str, Any]) -> None:
        entries, damaged = self._read(unit)
        if damaged:
            self._set_aside(unit, damaged)
        elif entries and entries[-1]["hash"] == digest.hex():
            return
        when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entries.append({"when": when, "hash": digest.hex(), "config": raw})
        lines = [json.dumps(entry) + "\n" for entry in entries[-MAX_ENTRIES:]]
        replace_private(self._path(unit), "".join(lines))

    def _set_aside(self, unit: str, damaged: list[int]) -> None:
        """Keep a damaged archive under another name; its good lines go on."""
        path = self._path(unit)
        kept = path.with_suffix(f".damaged-{time.time_ns()}")
        path.replace(kept)
        numbers = ", ".join(map(str, damaged))
        print(f"{path}: line {numbers}: damaged; kept as {kept.name}", file=sys.stderr)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with open(self._folder / ".lock", "a", opener=_open_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def earlier(self, unit: str, digest: bytes, back: int) -> dict[str, Any]:
        """Return the configuration `back` changes before the present one, with the hash `digest`.

        A value that was set twice counts twice.
        """
        entries, damaged = self._read(unit)
        if damaged:
            raise OpsError(
                f"{self._path(unit)}: line {damaged[0]} is damaged, so changes cannot be counted; "
                "write PATH=VALUE"
            )
        if entries and entries[-1]["hash"] == digest.hex():
            entries.pop()
        if back > len(entries):
            raise OpsError(
                f"{unit}: the archive has {len(entries)} earlier configurations, not {back}; "
                "`config push` stores one before each change"
            )
        config: dict[str, Any] = entries[-back]["config"]
        return config

    def _path(self, unit: str) -> Path:
        return self._folder / (unit.replace("/", ".") + ".jsonl")

    def _read(self, unit: str) -> tuple[list[dict[str, Any]], list[int]]:
        """Return the good entries, and the numbers of the damaged lines."""
        path = self._path(unit)
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            return [], []
        except OSError as error:
            raise OpsError(f"{path}: {error.strerror}") from None
        entries, damaged = [], []
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                bytes.fromhex(entry["hash"])
                dict(entry["config"])
            except (ValueError, KeyError, TypeError, RecursionError):
                damaged.append(number)
            else:
                entries.append(entry)
        return entries, damaged


def _open_private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW, 0o600)
