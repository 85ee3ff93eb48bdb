"""From a meter's readings to what was used between them: counters that wrap and start again.

Whole numbers only: energy in mWh, water in mL; what a division leaves over is kept, so that nothing
is lost in a year of small steps.

A counter (kWh, m3) counts between two readings, also over a restart of the controller. A step that
the meter cannot have made (`max_w`, in the time between the readings) is not counted:
    backwards, and right when `rollover_at` is added      the counter rolled over: counted
    backwards otherwise                                the meter started from 0: what it shows now
                                                       is counted, what it had before is unknown
    forwards by too much                               the meter was replaced: nothing is counted
Each of the three is counted by itself. A rate (W, L/min) is taken times the time since the last
reading, but for no longer than `_MAX_GAP`: a gap is not filled with guesses.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.device.device import Reading
    from drivers.device.profile import Point

_MAX_GAP = 30 * SECOND
_HOUR_US = 3600 * SECOND
_MINUTE_US = 60 * SECOND
_SLACK = 20_000_000
"""mWh (20 kWh) or mL that a step may be above what `max_w` allows: counters have coarse steps."""

UNITS: "tuple[tuple[str, bool, int, int], ...]" = (
    ("kW.h", True, 1_000_000, 1),
    ("W.h", True, 1_000, 1),
    ("m3", True, 1_000_000, 1),
    ("L", True, 1_000, 1),
    ("W", False, 1_000, _HOUR_US),
    ("kW", False, 1_000_000, _HOUR_US),
    ("L/min", False, 1_000, _MINUTE_US),
)
"""UCUM unit, whether it is a counter, then mWh or mL in one of it, as numerator and denominator; of
a rate, in one microsecond of it."""


class CounterInput:
    """One meter. `last_raw` is the counter's last reading, None before the first."""

    def __init__(self, point: "Point", rollover_at: int, max_w: int) -> None:
        _, self.is_counter, num, den = next(row for row in UNITS if row[0] == point.unit)
        self.num = point.num * num
        self.den = point.den * den
        self.rollover_at = rollover_at * point.den // point.num
        self.max_w = max_w
        self.last_raw: int | None = None
        self.last_read_at = 0
        self.rollovers = self.resets = self.jumps = 0
        self._remainder = 0

    def add_reading(self, reading: "Reading", now: int) -> int:
        """What was used since the last call, mWh or mL; 0 while there is no good, new reading."""
        if reading.quality != "good" or reading.read_at == self.last_read_at:
            return 0
        before, self.last_read_at = self.last_read_at, reading.read_at
        if not self.is_counter:
            elapsed = reading.read_at - before
            return (
                self._to_base_units(reading.raw * elapsed) if before and elapsed <= _MAX_GAP else 0
            )
        last, self.last_raw = self.last_raw, reading.raw
        if last is None:
            return 0
        return self._count_step(reading.raw, last, reading.read_at - before if before else None)

    def _count_step(self, raw: int, last: int, elapsed: "int | None") -> int:
        step = raw - last
        if step >= 0 and self._is_plausible(step, elapsed):
            return self._to_base_units(step)
        if step >= 0:
            self.jumps += 1
            return 0
        if (
            self.rollover_at
            and step + self.rollover_at >= 0
            and self._is_plausible(step + self.rollover_at, elapsed)
        ):
            self.rollovers += 1
            return self._to_base_units(step + self.rollover_at)
        self.resets += 1
        return self._to_base_units(raw) if self._is_plausible(raw, elapsed) else 0

    def _is_plausible(self, step: int, elapsed: "int | None") -> bool:
        """Whether a step is not more than the meter can have counted; a gap of unknown length, as
        over a restart, may be a day.
        """
        gap_us = 24 * _HOUR_US if elapsed is None else elapsed
        return step * self.num <= (self.max_w * gap_us // (_HOUR_US // 1000) + _SLACK) * self.den

    def _to_base_units(self, amount: int) -> int:
        total = amount * self.num + self._remainder
        self._remainder = total % self.den
        return total // self.den
