# SPDX-License-Identifier: Apache-2.0
"""The records of the bench for its page: a list, and the curves of a run to be drawn over others.

Does not verify a record (`coldloop hil verify` does) and sends no other file. A file that is no
record is left out of the list.
"""

from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.page.curves import MEASURE_CURVES
from hil.record.record import RECORD_FILE, read

_MAX_RECORDS = 50


def list_records(folder: Path, serial: str) -> list[dict[str, Any]]:
    """List the newest records of a folder; `serial` limits them to one serial number."""
    records: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"*/{RECORD_FILE}"), reverse=True):
        row = _read_row(path)
        if row is not None and serial in ("", row["serial"]):
            records.append(row)
        if len(records) == _MAX_RECORDS:
            break
    return records


def _read_row(path: Path) -> dict[str, Any] | None:
    """Return the head of a record for the list; None: the file is no record."""
    try:
        record = read(path)
        keys = ("suite", "serial", "operator", "ended_utc", "verdict")
        return {"report": path.parent.name, **{key: str(record[key]) for key in keys}}
    except (BenchError, KeyError):
        return None


def read_curves(folder: Path, report: str, scenario: str) -> dict[str, Any]:
    """Return the curves of a run of a record: name, times in s, and values by the key of the curve.

    The run is that of `scenario`, or else the first with curves. Raises BenchError.
    """
    known = {path.parent.name: path for path in folder.glob(f"*/{RECORD_FILE}")}
    if report not in known:
        raise BenchError(f"report: no record {report[:80]!r}")
    try:
        runs = [run for run in read(known[report])["runs"] if _find_curves(run["series"])]
        chosen = next((run for run in runs if run["scenario"] == scenario), runs[0])
        series = chosen["series"]
        return {
            "name": str(chosen["scenario"]),
            "at_s": [float(at_s) for at_s in series["at_s"]],
            "curves": {
                MEASURE_CURVES[measure]: series[measure] for measure in _find_curves(series)
            },
        }
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise BenchError(f"report: {report[:80]} has no curves of this page") from None


def _find_curves(series: dict[str, Any]) -> list[str]:
    """Return the measures of a run that the page has a curve for."""
    count = len(series["at_s"])
    return [
        measure for measure in MEASURE_CURVES if count and len(series.get(measure, ())) == count
    ]
