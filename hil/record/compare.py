# SPDX-License-Identifier: Apache-2.0
"""Compares records: one bench over time, or several benches.

Does not judge: the verdicts come from the records. A row is one expectation of one run. Rows of two
records correspond if scenario, measure, limits and window are equal. The comparison covers verdict
and worst sample. It also lists differences of the records: firmware, configuration, scenario,
versions, interpreter, key.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from hil.record.provenance import describe_run_verdict
from hil.record.record import Record
from hil.scenario.judge import FAIL, MARGINAL, PASS

ABSENT = "absent"
_VERDICT_RANK = {PASS: 0, MARGINAL: 1, FAIL: 2}
_DEVICE_KEYS = ("kind", "port", "identity")
_HEADER_KEYS = ("serial", "operator", "ended_utc", "verdict")
_HASH_DIGITS = 12


class ExpectationKey(NamedTuple):
    """The values that identify an expectation in each record."""

    scenario: str
    measure: str
    limits: str
    window: str


class RowKey(NamedTuple):
    """An expectation, and its number among equal expectations of one record, from 1."""

    expectation: ExpectationKey
    number: int


@dataclass(frozen=True)
class Cell:
    """Verdict and worst sample of a row in one record; `absent`: the record has no such row."""

    verdict: str = ABSENT
    worst: float | None = None


class _RecordCell(NamedTuple):
    """A cell with the row that it belongs to."""

    key: RowKey
    unit: str
    cell: Cell


@dataclass(frozen=True)
class ComparisonRow:
    """One expectation over all records, in the order of the records."""

    scenario: str
    measure: str
    limits: str
    window: str
    unit: str
    cells: tuple[Cell, ...]

    @property
    def has_changed(self) -> bool:
        """True if any record differs from the first one."""
        return any(cell != self.cells[0] for cell in self.cells)

    @property
    def has_worsened(self) -> bool:
        """True if the last record with this row has a worse verdict than the first one with it."""
        ranks = [
            _VERDICT_RANK[cell.verdict] for cell in self.cells if cell.verdict in _VERDICT_RANK
        ]
        return len(ranks) > 1 and ranks[-1] > ranks[0]


@dataclass(frozen=True)
class Comparison:
    """All rows, and the differences between the records: name -> value of each record."""

    rows: tuple[ComparisonRow, ...]
    differences: dict[str, list[str]]

    @property
    def has_worsened(self) -> bool:
        """True if any row has worsened."""
        return any(row.has_worsened for row in self.rows)


def compare(records: list[Record]) -> Comparison:
    """Compare two or more records in the given order."""
    cells_by_key: dict[RowKey, list[Cell]] = {}
    units: dict[RowKey, str] = {}
    for i, record in enumerate(records):
        for entry in _collect_cells(record):
            units.setdefault(entry.key, entry.unit)
            cells_by_key.setdefault(entry.key, [Cell()] * len(records))[i] = entry.cell
    rows = [
        ComparisonRow(*key.expectation, units[key], tuple(cells))
        for key, cells in cells_by_key.items()
    ]
    return Comparison(tuple(rows), _find_differences(records))


def _collect_cells(record: Record) -> list[_RecordCell]:
    cells = []
    counts: dict[ExpectationKey, int] = {}
    for run in record.get("runs", []):
        for result in run["findings"]:
            expectation = ExpectationKey(
                run["scenario"], result["measure"], result["limits"], result["window"]
            )
            counts[expectation] = counts.get(expectation, 0) + 1
            cell = Cell(result["verdict"], result["worst"])
            key = RowKey(expectation, counts[expectation])
            cells.append(_RecordCell(key, result["unit"], cell))
    return cells


def _find_differences(records: list[Record]) -> dict[str, list[str]]:
    """List the values, apart from the results, that are not equal in all records."""
    facts = [_collect_facts(record) for record in records]
    names = dict.fromkeys(name for fact in facts for name in fact)
    table = {name: [fact.get(name, ABSENT) for fact in facts] for name in names}
    return {name: values for name, values in table.items() if len(set(values)) > 1}


def _collect_facts(record: Record) -> dict[str, str]:
    facts: dict[str, Any] = {name: record.get(name) for name in _HEADER_KEYS}
    facts["firmware"] = str(record.get("firmware_sha256"))[:_HASH_DIGITS]
    facts["bench's key"] = str(record.get("key"))[:_HASH_DIGITS]
    facts |= record.get("versions", {})
    for run in record.get("runs", []):
        name = run["scenario"]
        facts[f"{name}: dut"] = run["dut"]
        facts[f"{name}: seed"] = run["seed"]
        facts[f"{name}: scenario"] = str(run["scenario_sha256"])[:_HASH_DIGITS]
        facts[f"{name}: configuration"] = str(run["config_sha256"])[:_HASH_DIGITS]
        facts[f"{name}: verdict"] = describe_run_verdict(run)
        provenance = run["provenance"]
        facts[f"{name}: time"] = f"{provenance['time']}, {provenance['interpreter']}"
        for device in provenance["devices"]:
            text = ", ".join(str(device[key]) for key in _DEVICE_KEYS)
            facts[f"{name}: device {device['name']}"] = text
    return {name: str(value) for name, value in facts.items()}
