# SPDX-License-Identifier: Apache-2.0
"""Reader of the fleet store, and what the commands of `coldloop fleet` share.

Does not write; `deploy.relay.outputs.fleet_store` has the schema. The store is opened read-only, so
a command runs beside the relay.
"""

import argparse
import itertools
import json
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from deploy.errors import DeployError
from deploy.relay.decode.dating import MAX_AHEAD_MS
from deploy.relay.outputs.fleet_store import open_store
from deploy.relay.terminal_text import printable

Record = dict[str, Any]
_PRINTED_LOT = 10_000
_LOT = 200
"""Rows that are read together."""
_HEADS = {"t_ms": "time"}
_MAX_DURATION_CHARS = 11
DAMAGE = (ValueError, TypeError, LookupError, RecursionError, zlib.error)
"""What a value raises that a damaged file has in the place of another one."""


class FleetReader:
    """Queries of the store at `path`. Raises DeployError, also at the end of a `with` block in
    which a value of the store could not be read.
    """

    def __init__(self, path: str) -> None:
        if not Path(path).exists():
            raise DeployError(
                f"{path}: there is no such file; `coldloop relay --fleet FILE` makes it"
            )
        try:
            self._db = open_store(path, read_only=True)
        except sqlite3.Error as error:
            hint = f"; try {path}.fleet" if Path(f"{path}.fleet").exists() else ""
            raise DeployError(f"{path}: {error}{hint}") from None
        self._path = path
        self._db.row_factory = sqlite3.Row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close()
        if isinstance(error, DAMAGE):
            raise DeployError(f"{self._path}: the file is damaged: {error}") from None

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def pages(
        self, statement: str, place: tuple[object, ...], *arguments: object
    ) -> Iterator[Record]:
        """Return the rows of a statement, read in lots: a reader in the middle would keep the
        relay from shortening its log of changes (WAL), for example while `less` waits.

        The last columns are the order; `place` is one before the first. The statement gets
        `arguments`, the last place and the size of a lot. Raises DeployError.
        """
        while lot := self.query(statement, *arguments, *place, _LOT):
            place = tuple(lot[-1].values())[-len(place) :]
            yield from lot

    def query(self, statement: str, *arguments: object) -> list[Record]:
        """Return the rows of a statement. Raises DeployError."""
        return list(self.rows(statement, *arguments))

    def rows(self, statement: str, *arguments: object) -> Iterator[Record]:
        """Return the rows of a statement one by one. Raises DeployError."""
        try:
            for row in self._db.execute(statement, arguments):
                yield dict(row)
        except sqlite3.Error as error:
            raise DeployError(f"{self._path}: {error}") from None
        except OverflowError:
            raise DeployError("a number of the arguments is out of range") from None
        except UnicodeEncodeError:
            raise DeployError("an argument is not UTF-8") from None

    def units(self, pattern: str) -> list[Record]:
        """Return the units whose SITE/UNIT matches a pattern with * and ?."""
        rows = self.query(
            "SELECT unit.*, (SELECT COUNT(*) FROM alarm WHERE alarm.unit=unit.unit) AS alarms,"
            " (SELECT MIN(priority) FROM alarm WHERE alarm.unit=unit.unit) AS priority"
            " FROM unit WHERE unit GLOB ? ORDER BY unit",
            pattern,
        )
        now = time.time()
        for row in rows:
            newest, message = row.pop("newest_ms"), row.pop("message_ms")
            # An earlier version took rows from the future; the relay counts them as undated.
            is_dated = newest and newest <= now * 1000 + MAX_AHEAD_MS
            row["data_age_s"] = round(now - newest / 1000) if is_dated else None
            row["message_age_s"] = round(now - message / 1000) if message else None
            row["online"] = None if row["online"] is None else bool(row["online"])
        return rows


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that all commands have."""
    parser.add_argument("pattern", nargs="?", default="*", help="SITE/UNIT with * and ? (all)")
    parser.add_argument("--store", required=True, metavar="FILE", help="fleet store of the relay")
    parser.add_argument("--json", action="store_true", help="one JSON object on each line")


def print_rows(rows: Iterable[Record], columns: tuple[str, ...], as_json: bool) -> int:
    """Print rows as a table or as JSON; return 0, or 1 if there is none.

    Each column is as wide as the first lot of rows needs it; a later one can need more.
    """
    widths = [0] * len(columns)
    is_empty = True
    heads = [_HEADS.get(name) or name.removesuffix("_s").replace("_", " ") for name in columns]
    remaining = iter(rows)
    while lot := list(itertools.islice(remaining, _PRINTED_LOT)):
        if as_json:
            for row in lot:
                print(json.dumps(row))
        else:
            lines = [[format_cell(name, row.get(name)) for name in columns] for row in lot]
            _print_lines([heads, *lines] if is_empty else lines, widths)
        is_empty = False
    if is_empty and not as_json:
        _print_lines([heads], widths)
    return int(is_empty)


def _print_lines(lines: list[list[str]], widths: list[int]) -> None:
    """Print lines of cells; `widths` become those of the widest ones so far."""
    for cells in lines:
        widths[:] = map(max, widths, map(len, cells))
    for cells in lines:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        print("  ".join(padded).rstrip())


def format_cell(name: str, value: object) -> str:
    """Format a value for a terminal: ages in the largest unit, times as ISO 8601."""
    if value is None or value == "" or (value == 0 and name.endswith("_ms")):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("age_s") and isinstance(value, int):
        return format_age(value)
    if name.endswith("_ms") and isinstance(value, int):
        return format_time(value)
    return printable(value)


def format_age(seconds: int) -> str:
    """Format a duration in s."""
    if seconds < 120:
        return f"{seconds} s"
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 120:
        return f"{minutes} min"
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"


def format_time(time_ms: int) -> str:
    """Format UTC in ms; a time that no calendar has, as a number."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"


def parse_time(text: str) -> int:
    """Parse ISO 8601 or a duration before now (`2h`, `3d`) to UTC in ms. Raises DeployError."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if (
        text[-1:] in units
        and text.isascii()
        and text[:-1].isdecimal()
        and len(text) <= _MAX_DURATION_CHARS
    ):
        return round((time.time() - int(text[:-1]) * units[text[-1]]) * 1000)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise DeployError(f"{text}: not a time such as 2026-11-28T06:00Z or 2h") from None
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
