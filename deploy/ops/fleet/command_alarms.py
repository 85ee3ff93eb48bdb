# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet alarms`: active alarms of all units, or their history."""

import argparse
import itertools
import json
from collections.abc import Generator

from deploy.errors import DeployError
from deploy.ops.fleet.store_reader import (
    FleetReader,
    add_common,
    parse_time,
    print_rows,
)
from deploy.relay.outputs.alarm_output import catalogue_fields

EXAMPLE = "coldloop fleet alarms --priority 2 --store relay.db.fleet"
_CHANGE = ("unit", "t_ms", "change", "code", "text")
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
    parser.add_argument(
        "--limit", type=_parse_count, metavar="N", help="the newest N changes of the history"
    )


def _parse_count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("not above 0")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Print the alarms. Exit 1: there is none."""
    since = None if arguments.since is None else parse_time(arguments.since)
    if arguments.limit and since is None:
        raise DeployError("--limit needs --since")
    with FleetReader(arguments.store) as reader:
        if since is not None:
            history = _history(reader, arguments.pattern, since, arguments.priority)
            changes = list(itertools.islice(history, arguments.limit))
            history.close()
            rows = (dict(zip(_CHANGE, change, strict=True)) for change in reversed(changes))
            return print_rows(rows, _CHANGE, arguments.json)
        active = reader.query(
            "SELECT unit, priority, number, t_ms, code, text FROM alarm"
            " WHERE unit GLOB ? AND COALESCE(priority, ?)<=? ORDER BY priority, t_ms",
            *(arguments.pattern, _PRIORITY_OF_UNKNOWN, arguments.priority),
        )
        return print_rows(active, _COLUMNS, arguments.json)


def _history(
    reader: FleetReader, pattern: str, since: int, priority: int
) -> Generator[tuple[object, ...]]:
    """Return the changes since a time, the newest first, then those without a time.

    All are read before the first line: see `FleetReader.pages`.
    """
    for note in reader.rows(
        "SELECT unit, t_ms, text FROM note WHERE unit GLOB ? AND (t_ms>=? OR t_ms=0)"
        " ORDER BY t_ms DESC, unit DESC, log DESC, record DESC",
        *(pattern, since),
    ):
        content = json.loads(note["text"])
        if "alarm" not in content:
            continue
        known = catalogue_fields(content).get("priority")
        if (_PRIORITY_OF_UNKNOWN if known is None else int(known)) > priority:
            continue
        code, text = content.get("code"), content.get("text", "")
        yield note["unit"], note["t_ms"] or None, content["alarm"], code, text
