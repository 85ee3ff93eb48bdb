# SPDX-License-Identifier: Apache-2.0
"""Row formats: rows of a unit in physical units, and their texts for other systems.

A time is UTC in ms. If a row has no UTC, a later row of the same block dates it. If no row of the
block has UTC, the rows are discarded and counted.
"""

import json
from dataclasses import dataclass

from protocols.telemetry import block
from protocols.telemetry.schema import CLOCK, STATE, TIME, Schema


@dataclass(frozen=True, slots=True)
class Rows:
    """A block in physical units: time and values of each row, in the order of `names`."""

    unit: str
    number: int
    seq: int
    names: tuple[str, ...]
    values: list[tuple[int, list[float | None]]]
    undated: int = 0


def _scale(raw: int | None, numerator: int, denominator: int) -> float | None:
    return None if raw is None else raw * numerator / denominator


def read(unit: str, number: int, schema: Schema, data: bytes) -> Rows:
    """Decode a block. Raises DecodeError."""
    decoded = block.decode(data, len(schema.entries))
    names = schema.column_names()
    times: list[int | None] = (
        decoded.columns[names.index(TIME)] if TIME in names else [None] * len(decoded.columns[0])
    )
    times = _date_rows(times)
    value_columns = [at for at, name in enumerate(names) if name != TIME]
    values = []
    for row_index, time_ms in enumerate(times):
        if time_ms is None:
            continue
        row = [
            _scale(decoded.columns[at][row_index], schema.entries[at][2], schema.entries[at][3])
            for at in value_columns
        ]
        values.append((time_ms, row))
    missing = len(times) - len(values)
    return Rows(
        unit, number, decoded.seq, tuple(names[at] for at in value_columns), values, missing
    )


def _date_rows(times: list[int | None]) -> list[int | None]:
    """Date the rows before the first row with UTC by the period of the rows with UTC."""
    known = [(at, time_ms) for at, time_ms in enumerate(times) if time_ms is not None]
    if len(known) < 2 or known[0][0] == 0:
        return times
    (first, first_ms), (second, second_ms) = known[:2]
    step = (second_ms - first_ms) // (second - first)
    return [
        first_ms - (first - at) * step if at < first else time_ms
        for at, time_ms in enumerate(times)
    ]


def rows_to_json(rows: Rows) -> bytes:
    """Format a block as one JSON object: the names once, then a list for each row."""
    return json.dumps(
        {
            "unit": rows.unit,
            "record": rows.number,
            "seq": rows.seq,
            "names": rows.names,
            "rows": [[at, *values] for at, values in rows.values],
        },
        separators=(",", ":"),
    ).encode()


def _escape(text: str) -> str:
    for char in ", =":
        text = text.replace(char, "\\" + char)
    return text


def rows_to_lines(rows: Rows) -> str:
    """Format a block in InfluxDB's line protocol: tags site and unit, a field for each name.

    The measurement is `coldloop`. A repeated line changes nothing in the database. SOURCE:
    InfluxDB, line protocol reference.
    """
    site, _, unit = rows.unit.partition("/")
    head = f"coldloop,site={_escape(site)},unit={_escape(unit)} "
    lines = []
    for at, values in rows.values:
        fields = [
            f"{_escape(name)}={value!r}"
            for name, value in zip(rows.names, values, strict=True)
            if value is not None
        ]
        if fields:
            lines.append(f"{head}{','.join(fields)} {at * 1_000_000}\n")
    return "".join(lines)


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def format_metrics(latest: dict[str, dict[str, float]], counts: dict[str, int]) -> str:
    """Format OpenMetrics: the newest value of each signal, and the counters of the relay.

    SOURCE: OpenMetrics 1.0.
    """
    lines = ["# TYPE coldloop_value gauge", "# HELP coldloop_value Newest value of a signal."]
    for unit in sorted(latest):
        site, _, name = unit.partition("/")
        for signal, value in sorted(latest[unit].items()):
            labels = f'site="{_label(site)}",unit="{_label(name)}",signal="{_label(signal)}"'
            lines.append(f"coldloop_value{{{labels}}} {value!r}")
    for name, count in sorted(counts.items()):
        lines += [f"# TYPE coldloop_relay_{name} counter", f"coldloop_relay_{name}_total {count}"]
    return "\n".join([*lines, "# EOF", ""])


META = (CLOCK, STATE)
"""Columns with an index into a list instead of a measured value."""
