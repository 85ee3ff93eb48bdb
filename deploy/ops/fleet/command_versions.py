# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet versions`: configuration and trial of each unit, and how many have each."""

import argparse
import json
from collections import Counter

from deploy.ops.fleet.store_reader import FleetReader, Record, add_common, print_rows
from deploy.relay.terminal_text import printable

EXAMPLE = "coldloop fleet versions --store relay.db.fleet"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_common(parser)


def _report(text: str | None) -> Record:
    """Return a stored report; {}: there is none, or it cannot be read."""
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _row(unit: Record) -> Record:
    report = _report(unit["report"])
    return {
        "unit": unit["unit"],
        "version": unit["version"],
        "configuration": report.get("version"),
        "hash": str(report.get("hash") or "")[:12],
        "phase": report.get("phase"),
        "update": None if report.get("update") is None else json.dumps(report["update"]),
    }


def run(arguments: argparse.Namespace) -> int:
    """Print the versions. Exit 1: no unit matches."""
    with FleetReader(arguments.store) as reader:
        rows = [_row(unit) for unit in reader.units(arguments.pattern)]
    columns = ("unit", "version", "configuration", "hash", "phase", "update")
    code = print_rows(rows, columns, arguments.json)
    if not arguments.json:
        for hash_text, count in Counter(row["hash"] for row in rows).most_common():
            print(f"{count} with configuration {printable(hash_text) or 'unknown'}")
    return code
