"""`coldloop hil compare`: records of one bench over time, or of several benches, side by side.

Exit 0: nothing became worse from the first record that has it to the last; 1: something did, or a
record was changed after it was written.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from hil.errors import BenchError
from hil.record.compare import Cell, Comparison, Row, compare
from hil.record.record import FILE, Record, problems, read

EXAMPLE = "coldloop hil compare out/monday out/tuesday"
_WIDTH = 18


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "record", type=Path, nargs="+", metavar="RECORD", help="two or more: files or folders"
    )
    parser.add_argument("--all", action="store_true", help="also what is the same in all")
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Compare; print what differs."""
    places = [p / FILE if p.is_dir() else p for p in arguments.record]
    if len(places) < 2:
        raise BenchError("one record alone has nothing to be compared with; name two or more")
    records = [read(place) for place in places]
    bad = {str(p): wrong for p, r in zip(places, records, strict=True) if (wrong := problems(r))}
    found = compare(records)
    if arguments.json:
        print(json.dumps(_record(places, records, found, bad)))
    else:
        _show(places, found, bad, arguments.all)
    return 1 if found.worse or bad else 0


def _record(
    places: list[Path], records: list[Record], found: Comparison, bad: dict[str, list[str]]
) -> dict[str, object]:
    heads = [
        {"file": str(place), **{k: record.get(k) for k in ("suite", "serial", "ended_utc")}}
        for place, record in zip(places, records, strict=True)
    ]
    rows = [{**asdict(row), "changed": row.changed, "worse": row.worse} for row in found.rows]
    return {
        "records": heads,
        "bad": bad,
        "differs": found.differs,
        "rows": rows,
        "worse": found.worse,
    }


def _show(places: list[Path], found: Comparison, bad: dict[str, list[str]], whole: bool) -> None:
    for number, place in enumerate(places, 1):
        print(f"[{number}] {place}")
    for place_text, wrong in bad.items():
        print(f"BAD  {place_text}: {wrong[0]}")
    for name, values in found.differs.items():
        print(f"differs  {name}: " + "  ".join(f"[{i}] {v}" for i, v in enumerate(values, 1)))
    shown = [row for row in found.rows if whole or row.changed]
    scenario = ""
    for row in shown:
        if row.scenario != scenario:
            scenario = row.scenario
            print(scenario)
        print(_line(row))
    same = len(found.rows) - sum(row.changed for row in found.rows)
    worse = sum(row.worse for row in found.rows)
    print(f"{len(found.rows)} findings, {same} the same in all, {worse} became worse")


def _line(row: Row) -> str:
    what = f"{row.measure} {row.limits} {row.unit}".strip()
    cells = "".join(f"{_cell(cell):<{_WIDTH}}" for cell in row.cells)
    return f"  {'!' if row.worse else ' '} {what:<36} {row.window:<24} {cells}".rstrip()


def _cell(cell: Cell) -> str:
    return cell.verdict if cell.worst is None else f"{cell.verdict} {cell.worst:.6g}"
