# SPDX-License-Identifier: Apache-2.0
"""Rows summarised for a slow link: the mean, or mean, minimum and maximum, of each signal.

The summary is lossy; the names say so: `P1~mean`, `P1~min`, `P1~max`. A mean is rounded to an
integer count, halves up. A signal that was absent in the whole interval is absent in the summary.
Time, clock and state are those of the last row. Does not filter: intervals do not overlap.
"""

from protocols.telemetry.schema import CLOCK, STATE, TIME, Schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = list["int | None"]

_LAST_VALUE_COLUMNS = (TIME, CLOCK, STATE)


class Summary:
    """Summarises rows of `schema`; `schema_out` is the schema of the result. `bounds` adds min and
    max.
    """

    def __init__(self, schema: Schema, bounds: bool) -> None:
        self._bounds = bounds
        entries = []
        self._keeps_last = []
        for name, unit, numerator, denominator in schema.entries:
            self._keeps_last.append(name in _LAST_VALUE_COLUMNS)
            if name in _LAST_VALUE_COLUMNS:
                entries.append((name, unit, numerator, denominator))
                continue
            suffixes = ("~mean", "~min", "~max") if bounds else ("~mean",)
            entries.extend([(name + suffix, unit, numerator, denominator) for suffix in suffixes])
        self.schema_out = Schema(entries)
        self._clear()

    def _clear(self) -> None:
        width = len(self._keeps_last)
        self.rows = 0
        self._sums = [0] * width
        self._counts = [0] * width
        self._minimum: Row = [None] * width
        self._maximum: Row = [None] * width

    def add(self, row: "Sequence[int | None]") -> None:
        """Add a row."""
        self.rows += 1
        for at, value in enumerate(row):
            if value is None:
                continue
            if self._keeps_last[at]:
                self._minimum[at] = value
                continue
            self._sums[at] += value
            self._counts[at] += 1
            minimum, maximum = self._minimum[at], self._maximum[at]
            if minimum is None or value < minimum:
                self._minimum[at] = value
            if maximum is None or value > maximum:
                self._maximum[at] = value

    def take_row(self) -> "Row":
        """Return the row of the interval, and start the next interval."""
        out: Row = []
        for at, keeps_last in enumerate(self._keeps_last):
            count = self._counts[at]
            if keeps_last:
                out.append(self._minimum[at])
                continue
            out.append((2 * self._sums[at] + count) // (2 * count) if count else None)
            if self._bounds:
                out.append(self._minimum[at])
                out.append(self._maximum[at])
        self._clear()
        return out
