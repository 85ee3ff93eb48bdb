# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet export`: the rows of units as CSV or JSON lines, in the order of time."""

import argparse
import csv
import json
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from deploy.ops.fleet.store_reader import FleetReader, add_common, format_time, parse_time
from deploy.relay.terminal_text import printable

EXAMPLE = "coldloop fleet export s1/u1 --since 2h --store relay.db.fleet > rows.csv"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_common(parser)
    parser.add_argument("--since", default="0", metavar="TIME", help="first time, or 2h (all)")
    parser.add_argument("--until", metavar="TIME", help="last time (now)")
    parser.add_argument("--undated", action="store_true", help="the rows without UTC instead")


def _blocks(reader: FleetReader, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    since = 0 if arguments.since == "0" else parse_time(arguments.since)
    until = parse_time(arguments.until) if arguments.until else 1 << 62
    for block in reader.query(
        "SELECT data FROM block WHERE unit GLOB ? AND dated=? AND last_ms>=? AND first_ms<=?"
        " ORDER BY unit, first_ms",
        *(arguments.pattern, int(not arguments.undated), since, until),
    ):
        content: dict[str, Any] = json.loads(zlib.decompress(block["data"]))
        content["rows"] = [row for row in content["rows"] if since <= row[0] <= until]
        yield content


def _format_ms(at: int) -> str:
    text = format_time(at)
    return f"{text[:-1]}.{at % 1000:03}Z" if text.endswith("Z") else text


def run(arguments: argparse.Namespace) -> int:
    """Print the rows. Exit 1: there is none."""
    reader = FleetReader(arguments.store)
    count = 0
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if not arguments.json:
        writer.writerow(("unit", "time", "signal", "value"))
    try:
        for content in _blocks(reader, arguments):
            count += len(content["rows"])
            if arguments.json:
                print(json.dumps(content))
                continue
            for at, *values in content["rows"]:
                moment = at if arguments.undated else _format_ms(at)
                for name, value in zip(content["names"], values, strict=True):
                    if value is not None:
                        unit = printable(content["unit"])
                        writer.writerow((unit, moment, printable(name), value))
    finally:
        reader.close()
    return 0 if count else 1
