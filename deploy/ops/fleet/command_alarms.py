# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet alarms`: active alarms of all units, or their history."""

import argparse
import json

from deploy.ops.fleet.store_reader import FleetReader, add_common, parse_time, print_rows

EXAMPLE = "coldloop fleet alarms --priority 2 --store relay.db.fleet"
_COLUMNS = ("unit", "priority", "number", "t_ms", "code", "text")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_common(parser)
    parser.add_argument(
        "--priority", type=int, default=4, metavar="N", help="this priority and more urgent ones"
    )
    parser.add_argument("--since", metavar="TIME", help="the history since then, for example 2d")


def run(arguments: argparse.Namespace) -> int:
    """Print the alarms. Exit 1: there is none."""
    reader = FleetReader(arguments.store)
    try:
        if arguments.since is None:
            rows = reader.query(
                "SELECT unit, priority, number, t_ms, code, text FROM alarm"
                " WHERE unit GLOB ? AND COALESCE(priority, 1)<=? ORDER BY priority, t_ms",
                *(arguments.pattern, arguments.priority),
            )
            return print_rows(rows, _COLUMNS, arguments.json)
        notes = reader.query(
            "SELECT unit, t_ms, text FROM note WHERE unit GLOB ? AND t_ms>=? ORDER BY t_ms",
            *(arguments.pattern, parse_time(arguments.since)),
        )
    finally:
        reader.close()
    history = []
    for note in notes:
        content = json.loads(note["text"])
        if "alarm" in content:
            fields = {"change": content["alarm"], "code": content.get("code")}
            row = {"unit": note["unit"], "t_ms": note["t_ms"], **fields}
            history.append({**row, "text": content.get("text", "")})
    return print_rows(history, ("unit", "t_ms", "change", "code", "text"), arguments.json)
