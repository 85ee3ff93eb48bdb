# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet show`: a unit with its alarms and the newest value of each signal."""

import argparse
import json
from collections.abc import Iterator

from deploy.errors import DeployError
from deploy.ops.fleet.store_reader import (
    FleetReader,
    Record,
    add_common,
    format_cell,
    format_time,
)
from deploy.relay.terminal_text import printable

EXAMPLE = "coldloop fleet show s1/u1 --store relay.db.fleet"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one unit."""
    with FleetReader(arguments.store) as reader:
        unit = _read_unit(reader, arguments.pattern)
        lines = [json.dumps(unit)] if arguments.json else list(_lines(unit))
    print("\n".join(lines))
    return 0


def _read_unit(reader: FleetReader, pattern: str) -> Record:
    """Return a unit with its alarms and newest values. Raises DeployError."""
    units = reader.units(pattern)
    if len(units) != 1:
        raise DeployError(f"{pattern}: {len(units)} units, not one")
    unit = units[0]
    own = "(SELECT text FROM measure AS m WHERE m.unit=latest.unit AND m.signal=s.id)"
    if not reader.query("SELECT 1 FROM sqlite_master WHERE name='measure'"):
        own = "NULL"  # a file of an earlier version
    unit["values"] = reader.query(
        f"SELECT s.name, value, COALESCE({own}, s.unit) AS unit, t_ms"
        " FROM latest JOIN signal AS s ON s.id=signal WHERE latest.unit=? ORDER BY s.name",
        unit["unit"],
    )
    unit["active"] = reader.query(
        "SELECT code, priority, number, t_ms, text FROM alarm WHERE unit=? ORDER BY priority, t_ms",
        unit["unit"],
    )
    return unit


def _lines(unit: Record) -> Iterator[str]:
    for name, value in unit.items():
        if not isinstance(value, list):
            yield f"{name.removesuffix('_s').replace('_', ' '):14} {format_cell(name, value)}"
    for alarm in unit["active"]:
        line = f"alarm          {alarm['code']}, {format_time(alarm['t_ms'])}: {alarm['text']}"
        yield printable(line)
    for row in unit["values"]:
        line = f"{row['name']:40} {row['value']:>12.6g} {row['unit']:8} {format_time(row['t_ms'])}"
        yield printable(line)
