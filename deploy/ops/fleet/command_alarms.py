# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet alarms`: active alarms of all units, or their history."""

import argparse
import json

from deploy.ops.fleet.store_reader import (
    FleetReader,
    Record,
    add_common,
    parse_time,
    print_rows,
)
from deploy.relay.outputs.alarm_output import catalogue_fields

EXAMPLE = "coldloop fleet alarms --priority 2 --store relay.db.fleet"
_COLUMNS = ("unit", "priority", "number", "t_ms", "code", "text")
_PRIORITY_OF_UNKNOWN = 1
"""Of a code that the catalogue does not have."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_common(parser)
    parser.add_argument(
        "--priority", type=int, default=4, metavar="N", help="this priority and more urgent ones"
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="the history since then, for example 2d; changes without a time come first",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the alarms. Exit 1: there is none."""
    since = None if arguments.since is None else parse_time(arguments.since)
    with FleetReader(arguments.store) as reader:
        if since is not None:
            history = _history(reader, arguments.pattern, since, arguments.priority)
            return print_rows(history, ("unit", "t_ms", "change", "code", "text"), arguments.json)
        rows = reader.query(
            "SELECT unit, priority, number, t_ms, code, text FROM alarm"
            " WHERE unit GLOB ? AND COALESCE(priority, ?)<=? ORDER BY priority, t_ms",
            *(arguments.pattern, _PRIORITY_OF_UNKNOWN, arguments.priority),
        )
        return print_rows(rows, _COLUMNS, arguments.json)


def _history(reader: FleetReader, pattern: str, since: int, priority: int) -> list[Record]:
    """Return the changes since a time, and those without a time."""
    history = []
    for note in reader.rows(
        "SELECT unit, t_ms, text FROM note WHERE unit GLOB ? AND (t_ms>=? OR t_ms=0) ORDER BY t_ms",
        *(pattern, since),
    ):
        content = json.loads(note["text"])
        if "alarm" not in content:
            continue
        known = catalogue_fields(content).get("priority")
        if (_PRIORITY_OF_UNKNOWN if known is None else int(known)) > priority:
            continue
        fields = {"change": content["alarm"], "code": content.get("code")}
        row = {"unit": note["unit"], "t_ms": note["t_ms"] or None, **fields}
        history.append({**row, "text": content.get("text", "")})
    return history
