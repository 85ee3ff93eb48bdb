# SPDX-License-Identifier: Apache-2.0
"""Audit log of a unit (`agent.remote.storage.audit`): joins its segments and checks the hash chain.

Does not read files or topics. The log is a ring: new entries overwrite the oldest. A valid chain
proves that no entry between the oldest and the newest was changed, removed or inserted. It does not
prove that the newest entry is present. For that the reader needs the number and the hash that the
unit has reported.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agent.remote.storage.audit import AuditReader


@dataclass
class History:
    """Entries, oldest first; the faults of the chain; the hash after the newest entry."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    head: str = ""


def join_segments(segments: Iterable[bytes], reported: tuple[int, str] | None = None) -> History:
    """Join segments, in any order. `reported`: number and hash from the unit's report."""
    readers = sorted(
        (candidate for candidate in map(AuditReader, segments) if candidate.entries),
        key=lambda candidate: candidate.entries[0][0],
    )
    history = History()
    previous: AuditReader | None = None
    for reader in readers:
        if previous is not None:
            _check_continuity(previous, reader, history)
        history.entries += [
            _entry_record(entry)
            for entry in reader.entries
            if previous is None or entry[0] > _last_number(previous)
        ]
        previous = reader
    if previous is not None:
        history.head = previous.head.hex()
    if reported is not None:
        _check_end(history, reported)
    return history


def _last_number(reader: AuditReader) -> int:
    number: int = reader.entries[-1][0]
    return number


def _check_continuity(before: AuditReader, after: AuditReader, history: History) -> None:
    first = after.entries[0][0]
    if first == _last_number(before) + 1 and after.start_hash == before.head:
        return
    if first == _last_number(before) and after.entries[0] == before.entries[-1]:
        return  # the store did not confirm the append, so the unit made it again
    history.faults.append(f"entry {first} does not follow entry {_last_number(before)}")


def _check_end(history: History, reported: tuple[int, str]) -> None:
    number, head = reported
    last = history.entries[-1]["number"] if history.entries else 0
    if last < number:
        history.faults.append(
            f"truncated: the unit reported entry {number}, the log ends at {last}"
        )
    elif last == number and number and history.head != head:
        history.faults.append(f"entry {number} has another hash than the unit reported")


def _entry_record(entry: list[Any]) -> dict[str, Any]:
    number, utc_s, signers, action, counter, result = entry
    time_text = None
    if isinstance(utc_s, int):
        time_text = dt.datetime.fromtimestamp(utc_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = ("number", "when", "keys", "what", "counter", "result")
    return dict(zip(names, (number, time_text, signers, action, counter, result), strict=True))
