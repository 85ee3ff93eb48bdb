# SPDX-License-Identifier: Apache-2.0
"""Archive of published configurations on the operator's computer, for a way back.

Does not change a unit. `coldloop config push` stores the configuration of each unit before it sends
a change. `--archived N` makes a change from the differences to an older one, and the unit verifies
it as any other change. The archive is beside the ledger: a file for each unit, one JSON line for
each configuration: `when`, `hash` (of the report of the unit) and `config` (without secrets).

A unit publishes its configuration itself, and it is not signed. So the operator sees all
differences before they are sent.
"""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.ops.private_file import write_private

_MAX_ENTRIES = 50
"""Configurations that are kept for each unit."""


class ConfigArchive:
    """The archive in `folder`. Raises `OpsError`: a file cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, unit: str, digest: bytes, raw: dict[str, Any]) -> None:
        """Store the configuration of a unit, if it is not the newest one already."""
        entries = self._read(unit)
        if entries and entries[-1]["hash"] == digest.hex():
            return
        when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entries.append({"when": when, "hash": digest.hex(), "config": raw})
        lines = [json.dumps(entry) + "\n" for entry in entries[-_MAX_ENTRIES:]]
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OpsError(f"{self._folder}: {error.strerror}") from None
        path = self._path(unit)
        new = path.with_suffix(".new")
        write_private(new, "".join(lines).encode())
        new.replace(path)

    def earlier(self, unit: str, digest: bytes, back: int) -> dict[str, Any]:
        """Return the configuration `back` changes before the one with the hash `digest`."""
        entries = [entry for entry in self._read(unit) if entry["hash"] != digest.hex()]
        if not 1 <= back <= len(entries):
            raise OpsError(
                f"{unit}: the archive has {len(entries)} other configurations, not {back}; "
                "`config push` stores one before each change"
            )
        config: dict[str, Any] = entries[-back]["config"]
        return config

    def _path(self, unit: str) -> Path:
        return self._folder / (unit.replace("/", ".") + ".jsonl")

    def _read(self, unit: str) -> list[dict[str, Any]]:
        path = self._path(unit)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise OpsError(f"{path}: {error}") from None
        entries = []
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                bytes.fromhex(entry["hash"])
                dict(entry["config"])
            except (ValueError, KeyError, TypeError, RecursionError):
                raise OpsError(f"{path}: line {number} is damaged; remove it") from None
            entries.append(entry)
        return entries
