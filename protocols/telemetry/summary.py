"""Rows summed up for a thin link: the mean, or mean, least and most, of each signal per interval.

Lossy, and said so by the names: `P1~mean`, `P1~min`, `P1~max`. A mean is rounded to a whole count,
halves up; of a signal that was not there in the interval nothing is there. Time, clock and state
are those of the interval's last row. Not a filter: intervals do not overlap.
"""

from protocols.telemetry.schema import CLOCK, STATE, TIME, Schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = list["int | None"]

_LAST = (TIME, CLOCK, STATE)


class Summary:
    """Sums up rows of `schema`; `schema_out` is what comes out. `bounds`: least and most, too."""

    def __init__(self, schema: Schema, bounds: bool) -> None:
        self._bounds = bounds
        entries = []
        self._last = []
        for name, unit, numerator, denominator in schema.entries:
            self._last.append(name in _LAST)
            if name in _LAST:
                entries.append((name, unit, numerator, denominator))
                continue
            words = ("~mean", "~min", "~max") if bounds else ("~mean",)
            entries.extend([(name + word, unit, numerator, denominator) for word in words])
        self.schema_out = Schema(entries)
        self._clear()

    def _clear(self) -> None:
        width = len(self._last)
        self.rows = 0
        self._sums = [0] * width
        self._counts = [0] * width
        self._least: Row = [None] * width
        self._most: Row = [None] * width

    def add(self, row: "Sequence[int | None]") -> None:
        """Take a row."""
        self.rows += 1
        for at, value in enumerate(row):
            if value is None:
                continue
            if self._last[at]:
                self._least[at] = value
                continue
            self._sums[at] += value
            self._counts[at] += 1
            least, most = self._least[at], self._most[at]
            if least is None or value < least:
                self._least[at] = value
            if most is None or value > most:
                self._most[at] = value

    def take(self) -> "Row":
        """Give the interval's row, and begin the next interval."""
        out: Row = []
        for at, last in enumerate(self._last):
            count = self._counts[at]
            if last:
                out.append(self._least[at])
                continue
            out.append((2 * self._sums[at] + count) // (2 * count) if count else None)
            if self._bounds:
                out.append(self._least[at])
                out.append(self._most[at])
        self._clear()
        return out
