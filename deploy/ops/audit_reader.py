"""The log of a unit (agent.remote.storage.audit), joined from its segments and checked.

Not a reader of files or topics. The hashes say that nothing was changed, taken out or put in
between the oldest entry that is left (the ring goes round) and the newest. Whether the newest is
missing, only a number and hash that the unit reported earlier can say.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agent.remote.storage.audit import AuditReader


@dataclass
class History:
    """Entries, oldest first, what is wrong with them, and the hash after the newest."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    head: str = ""


def join_segments(segments: Iterable[bytes], reported: tuple[int, str] | None = None) -> History:
    """Join segments in any order; `reported`: number and hash that the unit told."""
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
            _entry_record(e)
            for e in reader.entries
            if previous is None or e[0] > _last_number(previous)
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
        return  # an append that the store had failed to confirm, made again
    history.faults.append(f"entry {first} does not follow entry {_last_number(before)}")


def _check_end(history: History, reported: tuple[int, str]) -> None:
    number, head = reported
    last = history.entries[-1]["number"] if history.entries else 0
    if last < number:
        history.faults.append(f"cut short: the unit told of entry {number}, here is {last}")
    elif last == number and number and history.head != head:
        history.faults.append(f"entry {number} has another hash than the unit told")


def _entry_record(entry: list[Any]) -> dict[str, Any]:
    number, utc_s, signers, action, counter, result = entry
    time_text = None
    if isinstance(utc_s, int):
        time_text = dt.datetime.fromtimestamp(utc_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = ("number", "when", "keys", "what", "counter", "result")
    return dict(zip(names, (number, time_text, signers, action, counter, result), strict=True))
