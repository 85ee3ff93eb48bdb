# SPDX-License-Identifier: Apache-2.0
"""The records of the bench for its page: a list, and the curves of a run to be drawn over others.

Does not check the other files of a report (`coldloop hil verify` does) and sends no other file. A
file that is no record is left out of the list, and so is a folder whose name is not UTF-8. A record
with a wrong hash or signature, or of a bench that is not known, is listed with its problem, and its
curves are not drawn. Texts of records are cut, and characters that cannot be printed are shown as
escapes.
"""

from functools import lru_cache
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from hil.errors import BenchError
from hil.page.curves import CURVE_OF_MEASURE
from hil.record import trust_store
from hil.record.label import escape_text
from hil.record.record import RECORD_FILE, Record, find_problems, read

_MAX_RECORDS = 50
_MAX_CHARS = 80
_CACHED_ROWS = 256
UNKNOWN = "its bench is not known; see `coldloop hil verify`"


def list_records(folder: Path, serial: str, own_key: str = "") -> list[dict[str, Any]]:
    """List the records of a folder, newest first; `serial` limits them to one serial number.

    `own_key`: the key with which the page itself signs.

    Only the newest files are read. The end of the run in the record gives the order.
    """
    found = []
    for path in folder.glob(f"*/{RECORD_FILE}"):
        try:
            path.parent.name.encode()
            status = path.stat()
        except (OSError, UnicodeEncodeError):
            continue
        found.append((status.st_mtime_ns, path, status.st_size))
    rows: list[dict[str, Any]] = []
    known = _known_keys() | {own_key}
    for mtime_ns, path, size in sorted(found, reverse=True):
        row = _read_row(path, mtime_ns, size)
        if row is not None and serial in ("", row.serial):
            rows.append(row.shown if row.key in known or row.shown["problem"] else row.unknown())
        if len(rows) == _MAX_RECORDS:
            break
    return sorted(rows, key=lambda row: (row["ended_utc"], row["report"]), reverse=True)


class _Row(NamedTuple):
    """Serial number and key of a record, and its row of the list."""

    serial: str
    key: str
    shown: dict[str, Any]

    def unknown(self) -> dict[str, Any]:
        """Return the row for a bench that is not known."""
        return {**self.shown, "problem": UNKNOWN, "curves": False}


def _known_keys() -> set[str]:
    """Return the keys of known benches; none if their file cannot be read."""
    try:
        return trust_store.known_keys()
    except BenchError:
        return set()


@lru_cache(maxsize=_CACHED_ROWS)
def _read_row(path: Path, _mtime_ns: int, _size: int) -> _Row | None:
    """Return the row of a record; None: the file is no record."""
    try:
        record = read(path)
        keys = ("suite", "serial", "operator", "ended_utc", "verdict")
        texts = {key: _shorten(str(record[key])) for key in keys}
    except (BenchError, KeyError):
        return None
    problem = (_problems(record) or [""])[0]
    shown = {
        "report": path.parent.name,
        "folder": _shorten(path.parent.name),
        **texts,
        "problem": _shorten(problem),
        "curves": not problem and bool(_runs_with_curves(record)),
    }
    return _Row(str(record["serial"]), str(record.get("key")), shown)


def _shorten(text: str) -> str:
    shown = escape_text(text)
    return shown if len(shown) <= _MAX_CHARS else shown[: _MAX_CHARS - 1] + "…"


def _problems(record: Record) -> list[str]:
    """Return the problems of a record, also of one that is made to fail the check."""
    try:
        return find_problems(record)
    except (ValueError, RecursionError):
        return ["the form of the record is wrong"]


def read_curves(folder: Path, report: str, scenario: str, own_key: str = "") -> dict[str, Any]:
    """Return the curves of a run of a record: name, times in s, and values by the key of the curve.

    The run is that of `scenario`, or else the first with curves. Raises BenchError, also for a
    record with a wrong hash or signature.
    """
    known = {path.parent.name: path for path in folder.glob(f"*/{RECORD_FILE}")}
    if report not in known:
        raise BenchError(f"report: no record {report[:80]!r}")
    record = read(known[report])
    runs = _runs_with_curves(record)
    if not runs:
        raise BenchError(f"report: {_shorten(report)} has no curves of this page")
    problems = _problems(record)
    if not problems and record.get("key") not in _known_keys() | {own_key}:
        problems = [UNKNOWN]
    if problems:
        raise BenchError(f"report: {_shorten(report)}: {problems[0]}")
    chosen = next((run for run in runs if run["scenario"] == scenario), runs[0])
    series = chosen["series"]
    return {
        "name": _shorten(str(chosen["scenario"])),
        "at_s": series["at_s"],
        "curves": {CURVE_OF_MEASURE[measure]: series[measure] for measure in _find_curves(series)},
    }


def _runs_with_curves(record: Record) -> list[dict[str, Any]]:
    runs = record.get("runs")
    return [
        run
        for run in (runs if isinstance(runs, list) else [])
        if isinstance(run, dict) and "scenario" in run and _find_curves(run.get("series"))
    ]


def _find_curves(series: object) -> list[str]:
    """Return the measures of a run that the page has a curve for, if its times increase."""
    times = series.get("at_s") if isinstance(series, dict) else None
    if not isinstance(series, dict) or not isinstance(times, list) or not times:
        return []
    if not all(map(_is_number, times)) or any(b <= a for a, b in pairwise(times)):
        return []
    return [measure for measure in CURVE_OF_MEASURE if _is_curve(series.get(measure), len(times))]


def _is_curve(values: object, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(value is None or _is_number(value) for value in values)
    )


def _is_number(value: object) -> bool:
    """Return whether a value is a finite number that JavaScript can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and isfinite(value)
