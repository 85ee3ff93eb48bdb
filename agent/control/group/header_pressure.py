# SPDX-License-Identifier: Apache-2.0
"""Compares the readings of the pressure of one header: which unit of a group has a false one.

Does not measure and does not control; see `agent.control.group.component`. All units with a flow
measure the same pressure. The median of three or more tells it. A unit whose reading has been apart
from it for `APART_S` does not control the pressure, until it has agreed for as long.

Of two readings the one is false that the speed of the pumps does not explain: the pressure follows
the square of the speed (affinity law), by the ratio of the last seconds in which both agreed. If
this does not decide, the unit with the lower reading controls, because too much flow is safer than
too little. Both units have the alarm then.
"""

from agent.control.group.report import RUNNING, pressure_of
from agent.control.group.rules import lower_median

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.group.rules import Reports

APART_S = 5
"""Time of a difference in which a report can be late, and the speeds can change."""
_APART_PERMILLE = 125
"""Largest difference, thousandths of the set-point. Sensors differ by less than 1 %, and the
pressure moves by less than this in most seconds."""
_LEARN = 0.2
"""Part of a new ratio of pressure and squared speed that is learned in a second."""


def readings_of(reports: "Reports") -> "dict[int, int]":
    """Return the pressure that each running unit measures, Pa."""
    found = {}
    for unit, report in reports.items():
        pressure = pressure_of(report)
        if pressure is not None and report.flags & RUNNING:
            found[unit] = pressure
    return found


class HeaderPressure:
    """The comparison of one unit, number `own`, whose set-point is `setpoint_pa`.

    `is_suspect`: the own reading is not used. `differs`: the own sensor, or that of the only other
    unit, is false. `pressure_pa`: by the readings that are not suspect; None: fewer than two.
    """

    def __init__(self, own: int, setpoint_pa: int) -> None:
        self._own = own
        self._limit_pa = setpoint_pa * _APART_PERMILLE // 1000
        self.is_suspect = self.differs = False
        self.pressure_pa: int | None = None
        self._suspect_s = self._differs_s = 0
        self._ratio: float | None = None
        self._units: list[int] = []
        self._false = 0

    def step(self, reports: "Reports") -> None:
        """Take the reports of this second. Without a second reading, nothing changes."""
        readings = readings_of(reports)
        self.pressure_pa = None
        if len(readings) < 2 or self._own not in readings:
            return
        spread_pa = max(readings.values()) - min(readings.values())
        if sorted(readings) != self._units:
            self._units, self._ratio, self._false = sorted(readings), None, 0
        self._compare_two(readings, spread_pa, max([r.pump_milli for r in reports.values()]))
        self.pressure_pa = lower_median(
            [value for unit, value in readings.items() if unit != self._false]
        )
        is_apart = abs(readings[self._own] - self.pressure_pa) > self._limit_pa
        differs = is_apart or (len(readings) == 2 and spread_pa > self._limit_pa)
        self._suspect_s, self.is_suspect = _held(is_apart, self.is_suspect, self._suspect_s)
        self._differs_s, self.differs = _held(differs, self.differs, self._differs_s)

    def _compare_two(self, readings: "dict[int, int]", spread_pa: int, pump_milli: int) -> None:
        """Learn the ratio while both agree; select the false one of two when they part."""
        if len(readings) > 2 or spread_pa <= self._limit_pa // 2:
            self._false = 0
            if pump_milli:
                ratio = lower_median(list(readings.values())) / pump_milli**2
                before = ratio if self._ratio is None else self._ratio
                self._ratio = before + _LEARN * (ratio - before)
        elif spread_pa > self._limit_pa and not self._false and self._ratio and pump_milli:
            expected_pa = self._ratio * pump_milli**2
            ways = sorted([(abs(pa - expected_pa), unit) for unit, pa in readings.items()])
            if ways[1][0] - ways[0][0] > self._limit_pa // 2:
                self._false = ways[1][1]


def _held(condition: bool, state: bool, count_s: int) -> "tuple[int, bool]":
    """Return the new count and state: a state changes after `APART_S` of another condition."""
    if condition == state:
        return 0, state
    if count_s + 1 >= APART_S:
        return 0, condition
    return count_s + 1, state
