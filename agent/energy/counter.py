# SPDX-License-Identifier: Apache-2.0
"""Meter readings to energy or water: counters with rollover and reset, and integrated rates.

All values are integers: energy in mWh, water in mL. The remainder of a division is kept, so small
steps lose nothing over a year.

A counter (kWh, m3) gives the difference of two readings, also over a restart of the controller. An
implausible step (more than `max_rate` permits in the time between the readings) is not counted:
    backwards, plausible with `rollover_raw` added      rollover: counted
    backwards to at most half of the last reading      reset to 0: only the present reading counts
    backwards otherwise                                the meter has lost counts: not counted
    forwards by too much                               jump (new meter): not counted
Rollovers, resets and jumps have counters; lost counts are jumps. A rate (W, L/min) is multiplied by
the time since the last reading; below 0 it is 0. A gap longer than `MAX_GAP_US` counts nothing. So
no result is negative: an account below 0 could not be stored.
"""

from collections import namedtuple

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.device.device import Reading
    from drivers.device.profile import Point

MAX_GAP_US = 30 * SECOND
_HOUR_US = 3600 * SECOND
_MINUTE_US = 60 * SECOND
_SLACK = 20_000_000
"""mWh (20 kWh) or mL above the limit of `max_rate`, because counters have coarse steps."""

MeterUnit = namedtuple("MeterUnit", ("unit", "is_counter", "numerator", "denominator"))
"""A UCUM unit. One unit is numerator / denominator mWh or mL; for a rate, one unit in 1 µs."""

UNITS = (
    MeterUnit("kW.h", True, 1_000_000, 1),
    MeterUnit("W.h", True, 1_000, 1),
    MeterUnit("m3", True, 1_000_000, 1),
    MeterUnit("L", True, 1_000, 1),
    MeterUnit("W", False, 1_000, _HOUR_US),
    MeterUnit("kW", False, 1_000_000, _HOUR_US),
    MeterUnit("L/min", False, 1_000, _MINUTE_US),
)


class MeterReader:
    """One meter. `last_raw` is the last reading of a counter, None before the first.

    `rollover_at`: in the unit of the point, 0 if unknown; `rollover_raw`: in its counts.
    `max_rate`: of plausible readings, W (water: mL/h).
    """

    def __init__(self, point: "Point", rollover_at: int, max_rate: int) -> None:
        meter_unit = next(row for row in UNITS if row.unit == point.unit)
        self.is_counter: bool = meter_unit.is_counter
        self.numerator: int = point.numerator * meter_unit.numerator
        self.denominator: int = point.denominator * meter_unit.denominator
        self.rollover_raw = rollover_at * point.denominator // point.numerator
        self.max_rate = max_rate
        self.last_raw: int | None = None
        self.last_read_at = 0
        self.rollovers = self.resets = self.jumps = 0
        self._remainder = 0

    def restore(self, last_raw: int) -> None:
        """Set the last reading from before a restart."""
        self.last_raw = last_raw

    def add_reading(self, reading: "Reading", now: int) -> int:
        """Return the mWh or mL since the last call; 0 without a good new reading."""
        if reading.quality != "good" or reading.read_at == self.last_read_at:
            return 0
        previous_at, self.last_read_at = self.last_read_at, reading.read_at
        if not self.is_counter:
            elapsed_us = reading.read_at - previous_at
            return (
                self._to_base_units(max(reading.raw, 0) * elapsed_us)
                if previous_at and elapsed_us <= MAX_GAP_US
                else 0
            )
        last, self.last_raw = self.last_raw, reading.raw
        if last is None:
            return 0
        return self._count_step(
            reading.raw, last, reading.read_at - previous_at if previous_at else None
        )

    def _count_step(self, raw: int, last: int, elapsed_us: "int | None") -> int:
        step = raw - last
        if step >= 0 and self._is_plausible(step, elapsed_us):
            return self._to_base_units(step)
        if step >= 0:
            self.jumps += 1
            return 0
        if (
            self.rollover_raw
            and step + self.rollover_raw >= 0
            and self._is_plausible(step + self.rollover_raw, elapsed_us)
        ):
            self.rollovers += 1
            return self._to_base_units(step + self.rollover_raw)
        if not 0 <= 2 * raw <= last:
            self.jumps += 1
            return 0
        self.resets += 1
        return self._to_base_units(raw) if self._is_plausible(raw, elapsed_us) else 0

    def _is_plausible(self, step: int, elapsed_us: "int | None") -> bool:
        """Return whether the meter can have made a step in `elapsed_us` microseconds.

        An unknown time, as after a restart, counts as one day.
        """
        gap_us = 24 * _HOUR_US if elapsed_us is None else elapsed_us
        return (
            step * self.numerator
            <= (self.max_rate * gap_us // (_HOUR_US // 1000) + _SLACK) * self.denominator
        )

    def _to_base_units(self, amount: int) -> int:
        total = amount * self.numerator + self._remainder
        self._remainder = total % self.denominator
        return total // self.denominator
