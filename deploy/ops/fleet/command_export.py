# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet export`: the rows of units as CSV or JSON lines.

CSV has the rows of a unit in the order of time, JSON its blocks in the order of their first row. A
block that is damaged is left out and reported. A name that a spreadsheet would take as a formula
has an apostrophe before it in CSV: the units choose the names.
"""

import argparse
import csv
import heapq
import json
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from deploy.errors import DeployError
from deploy.ops.fleet.store_reader import (
    DAMAGE,
    FleetReader,
    Record,
    add_common,
    format_time,
    parse_time,
)
from deploy.relay.terminal_text import printable, report

EXAMPLE = "coldloop fleet export s1/u1 --since 2h --store relay.db.fleet > rows.csv"
_COLUMNS = "unit, run, record, first_ms, data"
_DATED = (
    f"SELECT {_COLUMNS}, first_ms AS a, log AS b, record AS c FROM block"
    " WHERE unit=? AND dated=1 AND last_ms>=? AND first_ms<=? AND (first_ms, log, record)>(?,?,?)"
    " ORDER BY first_ms, log, record LIMIT ?"
)
_UNDATED = (
    f"SELECT {_COLUMNS}, run AS a, first_ms AS b, log AS c, record AS d FROM block"
    " WHERE unit=? AND dated=0 AND last_ms>=? AND first_ms<=?"
    " AND (run, first_ms, log, record)>(?,?,?,?) ORDER BY run, first_ms, log, record LIMIT ?"
)
_LOWEST = -1 << 63
_FORMULA = ("=", "+", "-", "@")
"""SOURCE: OWASP, "CSV Injection"; control characters are escapes already."""
Row = tuple[int, int, list[Any], Record]
"""Time in ms, place of its block, values, block."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_common(parser)
    parser.add_argument("--since", metavar="TIME", help="first time, or 2h (all)")
    parser.add_argument("--until", metavar="TIME", help="last time (now)")
    parser.add_argument("--undated", action="store_true", help="the rows without UTC instead")


def run(arguments: argparse.Namespace) -> int:
    """Print the rows. Exit 1: there is none; 2: a block is damaged."""
    if arguments.undated and (arguments.since, arguments.until) != (None, None):
        raise DeployError("--since and --until are for rows with UTC, not for --undated")
    since = 0 if arguments.since is None else parse_time(arguments.since)
    until = 1 << 62 if arguments.until is None else parse_time(arguments.until)
    if since > until:
        raise DeployError("--since is later than --until")
    with FleetReader(arguments.store) as reader:
        blocks = _StoredBlocks(reader, arguments, since, until)
        count = _print_json(blocks) if arguments.json else _print_csv(blocks, arguments.undated)
    return 2 if blocks.damaged else 0 if count else 1


class _StoredBlocks:
    """The blocks of the store that the arguments select; `damaged`: how many were left out."""

    def __init__(
        self, reader: FleetReader, arguments: argparse.Namespace, since: int, until: int
    ) -> None:
        self.damaged = 0
        self._reader = reader
        self._pattern = arguments.pattern
        self._undated = arguments.undated
        self._span = (since, until)

    def _stored(self) -> Iterator[Record]:
        """Return the blocks of the units in turn, in the order of their first row."""
        found = self._reader.query("SELECT unit FROM unit WHERE unit GLOB ?", self._pattern)
        for unit in sorted(row["unit"] for row in found):
            if self._undated:
                place: tuple[object, ...] = (_LOWEST, _LOWEST, "", _LOWEST)
                yield from self._reader.pages(_UNDATED, place, unit, *self._span)
            else:
                yield from self._reader.pages(_DATED, (_LOWEST, "", _LOWEST), unit, *self._span)

    def __iter__(self) -> Iterator[Record]:
        since, until = self._span
        for stored in self._stored():
            try:
                content = json.loads(zlib.decompress(stored["data"]))
                width = 1 + len(content["names"])
                if any(len(row) != width for row in content["rows"]):
                    raise ValueError("a row of another length")
                content["rows"] = [row for row in content["rows"] if since <= row[0] <= until]
            except DAMAGE as error:
                self.damaged += 1
                report(f"block {stored['record']} of {stored['unit']} is damaged: {error}")
                continue
            yield {**stored, "content": content}


def _print_json(blocks: _StoredBlocks) -> int:
    count = 0
    for block in blocks:
        count += len(block["content"]["rows"])
        print(json.dumps(block["content"]))
    return count


def _print_csv(blocks: _StoredBlocks, undated: bool) -> int:
    count = 0
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("unit", "time", "signal", "value"))
    for at, _, values, block in _in_order(blocks):
        count += 1
        moment = at if undated else _format_ms(at)
        unit = printable(block["unit"])
        for name, value in zip(block["content"]["names"], values, strict=True):
            if value is not None:
                writer.writerow((unit, moment, _csv_text(name), value))
    return count


def _csv_text(name: str) -> str:
    text = printable(name)
    return "'" + text if text.startswith(_FORMULA) else text


def _in_order(blocks: _StoredBlocks) -> Iterator[Row]:
    """Return the rows of each unit in the order of time. Blocks can overlap: a late one, a summary.

    Uptimes of two starts of a unit have no order.
    """
    waiting: list[Row] = []
    group: object = None
    for place, block in enumerate(blocks):
        start = (block["unit"], block["content"].get("run", 0))
        while waiting and (start != group or waiting[0][0] < block["first_ms"]):
            yield heapq.heappop(waiting)
        group = start
        for at, *values in block["content"]["rows"]:
            heapq.heappush(waiting, (at, place, values, block))
    while waiting:
        yield heapq.heappop(waiting)


def _format_ms(at: int) -> str:
    text = format_time(at)
    return f"{text[:-1]}.{at % 1000:03}Z" if text.endswith("Z") else text
