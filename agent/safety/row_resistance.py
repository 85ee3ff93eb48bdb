# SPDX-License-Identifier: Apache-2.0
"""Hydraulic resistance of the row: differential pressure over the square of the flow.

Does not react; see `agent.safety.protection`. Pump, filter and speed do not change it. It rises if
a branch is shut (a kinked hose, a rack valve), and changes if the pressure sensor or the flow meter
is false. The usual value is a slow mean. A change of more than `_BAND` in `_CHANGED_AFTER` readings
is reported. The flow meter follows with a lag: while the flow moves towards the usual resistance,
nothing is reported. A changed row becomes the usual one in hours. In the first `_LEARN_COUNT`
readings after a start, the state that lasts longer is the usual one: the unit may have started
while a sensor was false.
"""

from agent.core.alarm_record import DEGRADED, AlarmRecord

ROW_RESISTANCE = AlarmRecord(
    "row_resistance",
    DEGRADED,
    "flow does not fit the pressure: a branch is shut, or a gauge is false",
    "",
    True,
)

_BAND, _END_BAND, _LEARN_BAND = 0.25, 0.15, 0.1
_CHANGED_AFTER = 3
_MIN_FLOW_FRACTION, _MIN_KPA = 0.15, 3.0
_MOVING_FRACTION = 0.01
_LEARN_COUNT, _ADOPT_COUNT = 300, 30_000
"""Readings of the mean in the usual state, and while the resistance differs."""


class RowResistance:
    """`is_changed`: the resistance is not the usual one. `is_higher`: the last one is above it."""

    def __init__(self) -> None:
        self.is_changed = self.is_higher = False
        self._mean = 0.0
        self._mean_count = self._change_count = self._changed_readings = 0
        self._last_flow = self._max_flow = 0.0

    def add(self, flow: "float | None", kpa: "float | None") -> bool:
        """Add a new reading: L/min, kPa. Return whether a changed state became the usual one."""
        if (
            flow is None
            or kpa is None
            or kpa < _MIN_KPA
            or flow < _MIN_FLOW_FRACTION * self._max_flow
        ):
            self._change_count = 0
            return False
        if flow < 1.0:
            return False
        last, self._last_flow = self._last_flow, flow
        self._max_flow = max(self._max_flow, flow)
        value = kpa / (flow * flow)
        if not self._mean_count:
            self._mean = value
        change = value / self._mean - 1.0
        self.is_higher = change >= _END_BAND
        band = _END_BAND if self.is_changed else _BAND
        is_settling = (
            flow > last * (1.0 + _MOVING_FRACTION)
            if change > 0
            else flow < last * (1.0 - _MOVING_FRACTION)
        )
        if -band < change < band:
            self._change_count, self.is_changed = 0, False
        elif not is_settling:
            self._change_count += 1
            self.is_changed = self.is_changed or self._change_count >= _CHANGED_AFTER
        self._changed_readings = self._changed_readings + 1 if self.is_changed else 0
        if self._mean_count < min(self._changed_readings, _LEARN_COUNT):
            self._mean, self._mean_count, self.is_changed = value, 1, False
            return True
        if self.is_changed:
            self._mean += (value - self._mean) / _ADOPT_COUNT
        elif -_LEARN_BAND < change < _LEARN_BAND:
            self._mean_count = min(self._mean_count + 1, _LEARN_COUNT)
            self._mean += (value - self._mean) / self._mean_count
        return False
