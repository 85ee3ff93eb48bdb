# SPDX-License-Identifier: Apache-2.0
"""`coldloop alarms history`: the last 1,000 changes of alarms, from the store of section `retain`.

Needs no agent. Does not show the active alarms; see `coldloop status`.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from agent.alarms.catalogue import catalogue
from agent.core.errors import AgentError
from agent.retain.alarm_history import LINES, SEGMENTS, segment_key

EXAMPLE = "coldloop alarms history --store /var/lib/coldloop/retain --last 20"


class AlarmChange(NamedTuple):
    """One change. `utc_s`: None if UTC was unknown."""

    number: int
    utc_s: int | None
    change: str
    code: str
    text: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop alarms history`."""
    parser.add_argument(
        "--store",
        metavar="FOLDER",
        default="/var/lib/coldloop/retain",
        help="folder of the section `retain`",
    )
    parser.add_argument("--last", type=int, metavar="N", help="only the last N changes")
    parser.add_argument("--code", metavar="CODE", help="only this alarm code, of all sources")
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def read_history(folder: Path) -> list[AlarmChange]:
    """Read all changes, oldest first. A damaged line is skipped. Raises AgentError."""
    if not folder.is_dir():
        raise AgentError(f"{folder}: no such folder; name the store of the section `retain`")
    changes = []
    for segment in range(SEGMENTS):
        path = folder / segment_key(segment * LINES)
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            changes += [change for change in map(_parse_line, lines) if change is not None]
    return sorted(changes, key=lambda change: change.number)


def _parse_line(line: str) -> AlarmChange | None:
    number, _, remaining = line.partition(" ")
    utc_s, _, remaining = remaining.partition(" ")
    change, _, remaining = remaining.partition(" ")
    code, _, text = remaining.partition(" ")
    if change not in ("raised", "cleared") or not code:
        return None
    if not (number + utc_s).isdecimal() or len(number) > 12 or not 0 < len(utc_s) <= 12:
        return None
    return AlarmChange(int(number), int(utc_s) or None, change, code, text)


def run(arguments: argparse.Namespace) -> int:
    """Print the changes, oldest first."""
    changes = read_history(Path(arguments.store))
    if arguments.code is not None:
        changes = [c for c in changes if arguments.code in (c.code, c.code.partition(":")[0])]
    if arguments.last is not None:
        changes = changes[-arguments.last :] if arguments.last > 0 else []
    if arguments.json:
        print(json.dumps([change._asdict() for change in changes]))
        return 0
    for change in changes:
        time = "UTC unknown         "
        if change.utc_s is not None:
            time = datetime.fromtimestamp(change.utc_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        priority = catalogue().priority(change.code)
        sys.stdout.write(
            f"{time:20}  P{priority}  {change.change:<8} {change.code}  {change.text}\n"
        )
    return 0
