"""The log of a unit (agent.remote.storage.audit), joined from its segments and checked.

Not a reader of files or topics. The hashes say that nothing was changed, taken out or put in
between the oldest entry that is left (the ring goes round) and the newest. Whether the newest is
missing, only a number and hash that the unit reported earlier can say.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agent.remote.storage.audit import Walk


@dataclass
class History:
    """Entries, oldest first, what is wrong with them, and the hash after the newest."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    head: str = ""


def joined(segments: Iterable[bytes], reported: tuple[int, str] | None = None) -> History:
    """Join segments in any order; `reported`: number and hash that the unit told."""
    walks = sorted((w for w in map(Walk, segments) if w.entries), key=lambda w: w.entries[0][0])
    history = History()
    known: Walk | None = None
    for walk in walks:
        if known is not None:
            _check_seam(known, walk, history)
        history.entries += [_shown(e) for e in walk.entries if known is None or e[0] > _last(known)]
        known = walk
    if known is not None:
        history.head = known.head.hex()
    if reported is not None:
        _check_end(history, reported)
    return history


def _last(walk: Walk) -> int:
    number: int = walk.entries[-1][0]
    return number


def _check_seam(before: Walk, after: Walk, history: History) -> None:
    first = after.entries[0][0]
    if first == _last(before) + 1 and after.first == before.head:
        return
    if first == _last(before) and after.entries[0] == before.entries[-1]:
        return  # an append that the store had failed to confirm, made again
    history.faults.append(f"entry {first} does not follow entry {_last(before)}")


def _check_end(history: History, reported: tuple[int, str]) -> None:
    number, head = reported
    last = history.entries[-1]["number"] if history.entries else 0
    if last < number:
        history.faults.append(f"cut short: the unit told of entry {number}, here is {last}")
    elif last == number and number and history.head != head:
        history.faults.append(f"entry {number} has another hash than the unit told")


def _shown(entry: list[Any]) -> dict[str, Any]:
    number, utc_s, who, what, counter, result = entry
    when = None
    if isinstance(utc_s, int):
        when = dt.datetime.fromtimestamp(utc_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = ("number", "when", "keys", "what", "counter", "result")
    return dict(zip(names, (number, when, who, what, counter, result), strict=True))
