# SPDX-License-Identifier: Apache-2.0
"""Reads the files of a dossier and recognises each by its content.

Does not judge the evidence; see `hil.report.dossier.sections`. A simulated year
(`coldloop hil year`) is refused: a dossier holds what was measured, and no forecast. So is a figure
that no measurement can give (`hil.report.dossier.figures`).

    record       `record.json` of the bench or of an acceptance, with hash and signature
    ledger       `coldloop ledger report --json`
    annual       `coldloop ledger annual --json`
    rows         CSV of `coldloop fleet export`
    coexistence  `coldloop link coexistence --json`
    latency      `coldloop link latency --json`
    footprint    `python -m benchmarks.firmware.heap --json`, and that of `image`
    unit         the configuration of the unit
"""

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.io.regular_file import REPORT_BYTES, read_regular
from hil.io.strict_json import parse_strict, sha256
from hil.record.record import RECORD_FILE, find_problems
from hil.report.dossier.figures import check_figures

Content = dict[str, Any]
_MARKS: tuple[tuple[str, frozenset[str]], ...] = (
    ("annual", frozenset(("by_month", "figures", "missing"))),
    ("ledger", frozenset(("intervals", "category", "meters"))),
    ("coexistence", frozenset(("bands", "fixes_pct", "epochs"))),
    ("latency", frozenset(("latency",))),
    ("footprint", frozenset(("peak_kib",))),
    ("footprint", frozenset(("peaks", "code_kib"))),
    ("unit", frozenset(("site", "unit", "buses"))),
)
_SIMULATED = frozenset(("climate", "policy", "pue_parts", "loop_pct_of_it", "cost_mwh"))
"""Keys of a simulated year. One of them is enough, also in a file without `format`."""
_ROW_HEAD = ["unit", "time", "signal", "value"]


@dataclass(frozen=True, slots=True)
class DossierInput:
    """A file: its kind, name, hash and content. `rows` have lists under the key `rows`."""

    kind: str
    name: str
    sha256: str
    content: Content


@dataclass(frozen=True, slots=True)
class SuppliedEvidence:
    """A document from elsewhere for one clause, such as the report of a laboratory."""

    clause: str
    name: str
    sha256: str


def read_input(path: Path) -> DossierInput:
    """Read a file, or the record in a folder. Raises BenchError."""
    path = path / RECORD_FILE if path.is_dir() else path
    data = read_regular(path, REPORT_BYTES, follow_links=True)
    found = _recognise(data, path)
    try:
        check_figures(found.kind, found.content)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BenchError(f"{path}: the form of the file is wrong: {error!r}") from None
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from None
    return found


def _recognise(data: bytes, path: Path) -> DossierInput:
    if data.startswith(",".join(_ROW_HEAD).encode()):
        return DossierInput("rows", path.name, sha256(data), {"rows": _read_rows(data, path)})
    content = parse_strict(_first_object(data), path)
    form = str(content.get("format", ""))
    if form.startswith("coldloop-record"):
        problems = find_problems(content)
        if problems:
            raise BenchError(f"{path}: {problems[0]}")
        return DossierInput("record", f"{path.parent.name}/{path.name}", sha256(data), content)
    if form.startswith("coldloop-year") or _SIMULATED & content.keys():
        raise BenchError(f"{path}: a simulated year is no measurement, so no dossier contains it")
    for kind, keys in _MARKS:
        if not form and keys <= content.keys():
            return DossierInput(kind, path.name, sha256(data), content)
    raise BenchError(f"{path}: not one of the kinds of files that a dossier contains")


def read_evidence(text: str) -> SuppliedEvidence:
    """Read `CLAUSE=FILE`. Raises BenchError."""
    clause, separator, name = text.partition("=")
    if not separator or not clause.strip() or not name:
        raise BenchError(f"{text!r} is not CLAUSE=FILE, such as 'EN 55032 A.4=report.pdf'")
    path = Path(name)
    data = read_regular(path, REPORT_BYTES, follow_links=True)
    if not data.strip():
        raise BenchError(f"{path}: empty, so it supports no clause")
    return SuppliedEvidence(clause.strip(), path.name, sha256(data))


def _first_object(data: bytes) -> bytes:
    """Return the object of a file; a benchmark can write lines of text before it."""
    start = data.find(b"{")
    return data[start:] if start > 0 and not data[:start].strip() else data


def _read_rows(data: bytes, path: Path) -> list[list[Any]]:
    """Return (unit, time in ms, signal, value); rows without UTC are left out."""
    try:
        reader = csv.reader(io.StringIO(data.decode()))
        next(reader)
        return [
            [unit, _parse_ms(moment), signal, float(value)]
            for unit, moment, signal, value in reader
            if moment.endswith("Z")
        ]
    except (ValueError, csv.Error) as error:
        raise BenchError(f"{path}: not rows of `coldloop fleet export`: {error}") from None


def _parse_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
