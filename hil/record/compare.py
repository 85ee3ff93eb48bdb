"""Records held against each other: one bench over time, or several benches side by side.

Not a judgement of its own: verdicts are those of the records. A row is one expectation of one run;
the same row in two records has the same scenario, measure, limits and window. What is compared is
the verdict and the worst sample; what is named besides is what differs between the records
themselves: firmware, configuration, scenario, versions, interpreter, key.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from hil.record.record import Record
from hil.scenario.judge import FAIL, MARGINAL, PASS

ABSENT = "absent"
_VERDICT_RANK = {PASS: 0, MARGINAL: 1, FAIL: 2}
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
    """One record's answer to a row; a run that is not in it is `absent`."""

    verdict: str = ABSENT
    worst: float | None = None


class _RecordCell(NamedTuple):
    """A cell with the row that it belongs to."""

    key: RowKey
    unit: str
    cell: Cell


@dataclass(frozen=True)
class ComparisonRow:
    """One expectation over all records, in their order."""

    scenario: str
    measure: str
    limits: str
    window: str
    unit: str
    cells: tuple[Cell, ...]

    @property
    def has_changed(self) -> bool:
        """Whether any record says something else than the first."""
        return any(cell != self.cells[0] for cell in self.cells)

    @property
    def has_worsened(self) -> bool:
        """Whether the last record that has it is worse than the first that has it."""
        ranks = [_VERDICT_RANK[c.verdict] for c in self.cells if c.verdict in _VERDICT_RANK]
        return len(ranks) > 1 and ranks[-1] > ranks[0]


@dataclass(frozen=True)
class Comparison:
    """All rows, and what differs between the records: name -> value of each."""

    rows: tuple[ComparisonRow, ...]
    differences: dict[str, list[str]]

    @property
    def has_worsened(self) -> bool:
        """Whether any row became worse."""
        return any(row.has_worsened for row in self.rows)


def compare(records: list[Record]) -> Comparison:
    """Compare two records or more, in the order given."""
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
    """Name what is not the same in all records, besides the findings."""
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
        facts[f"{name}: verdict"] = run["verdict"]
    return {name: str(value) for name, value in facts.items()}
