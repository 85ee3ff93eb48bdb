# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil compare`: compare records of one bench over time, or of several benches.

Exit 0: no row is worse in its last record than in its first. Exit 1: a row has worsened, or a
record was changed after it was written.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from hil.errors import BenchError
from hil.record.compare import Cell, Comparison, ComparisonRow, compare
from hil.record.label import escape_text
from hil.record.record import FORMAT, RECORD_FILE, Record, find_problems, read
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil compare out/monday out/tuesday"
_WIDTH = 18


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "record",
        type=path_argument,
        nargs="+",
        metavar="RECORD",
        help="two or more files or folders, by time; the last is judged against the first",
    )
    parser.add_argument("--all", action="store_true", help="print equal rows too")
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Compare the records; print the differences."""
    paths = [
        record_path / RECORD_FILE if record_path.is_dir() else record_path
        for record_path in arguments.record
    ]
    if len(paths) < 2:
        raise BenchError("one record cannot be compared; name two or more")
    records = [read(path) for path in paths]
    invalid = {
        str(record_path): messages
        for record_path, record in zip(paths, records, strict=True)
        if (messages := find_problems(record))
    }
    for path, record in zip(paths, records, strict=True):
        if record.get("format") != FORMAT:
            raise BenchError(f"{path}: {invalid[str(path)][0]}")
    comparison = compare(records)
    if arguments.json:
        print(json.dumps(_json_record(paths, records, comparison, invalid)))
    else:
        _print_rows(paths, comparison, invalid, arguments.all)
    return 1 if comparison.has_worsened or invalid else 0


def _json_record(
    paths: list[Path], records: list[Record], comparison: Comparison, invalid: dict[str, list[str]]
) -> dict[str, object]:
    heads = [
        {"file": str(path), **{k: record.get(k) for k in ("suite", "serial", "ended_utc")}}
        for path, record in zip(paths, records, strict=True)
    ]
    rows = [
        {**asdict(row), "changed": row.has_changed, "worse": row.has_worsened}
        for row in comparison.rows
    ]
    return {
        "records": heads,
        "bad": invalid,
        "differs": comparison.differences,
        "rows": rows,
        "worse": comparison.has_worsened,
    }


def _print_rows(
    paths: list[Path], comparison: Comparison, invalid: dict[str, list[str]], show_all: bool
) -> None:
    for number, path in enumerate(paths, 1):
        print(f"[{number}] {path}")
    for path_text, messages in invalid.items():
        print(escape_text(f"BAD  {path_text}: {messages[0]}"))
    for name, values in comparison.differences.items():
        cells = "  ".join(f"[{index}] {value}" for index, value in enumerate(values, 1))
        print(escape_text(f"differs  {name}: {cells}"))
    rows = [row for row in comparison.rows if show_all or row.has_changed]
    scenario = ""
    for row in rows:
        if row.scenario != scenario:
            scenario = row.scenario
            print(escape_text(scenario))
        print(escape_text(_row_text(row)))
    same_count = len(comparison.rows) - sum(row.has_changed for row in comparison.rows)
    worse_count = sum(row.has_worsened for row in comparison.rows)
    print(
        f"{len(comparison.rows)} expectations, {same_count} equal in all records, "
        f"{worse_count} worsened"
    )


def _row_text(row: ComparisonRow) -> str:
    text = f"{row.measure} {row.limits} {row.unit}".strip()
    cells = "".join(f"{_cell_text(cell):<{_WIDTH}}" for cell in row.cells)
    return f"  {'!' if row.has_worsened else ' '} {text:<36} {row.window:<24} {cells}".rstrip()


def _cell_text(cell: Cell) -> str:
    return cell.verdict if cell.worst is None else f"{cell.verdict} {cell.worst:.6g}"
