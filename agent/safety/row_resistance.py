# SPDX-License-Identifier: Apache-2.0
"""Hydraulic resistance of the row: differential pressure over the square of the flow.

Does not react; see `agent.safety.protection`. Pump, filter and speed do not change it. It rises if
a branch is shut (a kinked hose, a rack valve), and changes if the pressure sensor or the flow meter
is false. The usual value is a mean of minutes. A change of more than `_BAND` in `_CHANGED_AFTER`
readings is reported, also one from the mean of hours: a sensor can drift, and the first mean
follows it. The flow meter follows with a lag: while the flow moves towards the usual resistance,
nothing is reported. A changed row becomes the usual one in hours. In the first `_LEARN_COUNT`
readings after a start, the state that lasts longer is the usual one: the unit may have started
while a sensor was false. If the state of before comes back within `_FORMER_COUNT` readings, for
`_BACK_COUNT` of them, it is the usual one again: the longer state was the false one.

A flow that is far below the largest usual one says too little about the resistance and is not used.

`is_shut`: flow and pressure against the speed of the pumps show it too (`confirm`), so no sensor is
false: a branch is shut. This ends only when the resistance returns, or a person accepts the row as
it is. No time makes it the usual row. A pressure that no pump can give, for `_FALSE_COUNT`
readings, shows that the sensor is false (`use_false_pressure`): then nothing is certain until the
resistance is the usual one again.

A restart keeps the usual resistance and a shut branch (`words`, `restore`): a branch that is shut
soon after the start must not be taken as usual. Work on the row while the unit is off can change
the resistance, so after a restart the present one is the usual one sooner.
"""

from agent.core.alarm_record import DEGRADED, AlarmRecord

ROW_RESISTANCE = AlarmRecord(
    "row_resistance",
    DEGRADED,
    "flow does not fit the pressure: a branch is shut, or a gauge is false",
    "",
    True,
)

_BAND, _END_BAND, _LEARN_BAND, _SLOW_LEARN_BAND = 0.25, 0.15, 0.1, 0.2
_CHANGED_AFTER = 3
_MIN_FLOW_FRACTION, _MIN_KPA = 0.15, 3.0
_MOVING_FRACTION = 0.01
_FALSE_COUNT = 3
_SCALE, _DIGITS = 1_000_000_000, 12
_LEARN_COUNT, _ADOPT_COUNT, _RESTORED_COUNT = 300, 30_000, 150
"""Readings of the mean in the usual state, while the resistance differs, and after a restart."""
_FORMER_COUNT, _BACK_COUNT = 3600, 60
_KEEP_COUNT = 60
_KEPT_BAND = 0.05


def has_moved(value: float, kept: float) -> bool:
    """Return whether a usual value differs enough from the kept one to be worth a write."""
    return abs(value - kept) > _KEPT_BAND * kept


class RowResistance:
    """`is_changed`: the resistance is not the usual one. `is_higher`: the last one is above it.
    `is_shut`: a branch is shut. `is_usual`: the last one is so near to the usual one that the mean
    follows it.
    """

    def __init__(self) -> None:
        self.is_changed = self.is_higher = self.is_shut = False
        self.is_usual = True
        self._mean = self._slow_mean = 0.0
        self._mean_count = self._change_count = self._changed_readings = 0
        self._last_flow = self._max_flow = 0.0
        self._false_count = 0
        self._kept = self._former = 0.0
        self._former_left = self._back_count = 0

    def add(self, flow: "float | None", kpa: "float | None") -> bool:
        """Add a new reading: L/min, kPa. Return whether a changed state became the usual one."""
        if flow is None or kpa is None or kpa < _MIN_KPA:
            self._change_count = 0
            return False
        if flow < _MIN_FLOW_FRACTION * self._max_flow:
            self._change_count = 0
            self._max_flow -= self._max_flow / _LEARN_COUNT  # it may have been a false reading
            return False
        if flow < 1.0:
            return False
        last, self._last_flow = self._last_flow, flow
        value = kpa / (flow * flow)
        if not self._mean_count:
            self._mean = value
        change, slow_change = value / self._mean - 1.0, self._follow_slowly(value)
        self.is_usual = abs(change) < _LEARN_BAND and abs(slow_change) < _SLOW_LEARN_BAND
        if self.is_usual:
            self._max_flow = max(self._max_flow, flow)
        self.is_higher = change >= _END_BAND
        change = max(change, slow_change, key=abs)
        band = _END_BAND if self.is_changed else _BAND
        is_settling = (
            flow > last * (1.0 + _MOVING_FRACTION)
            if change > 0
            else flow < last * (1.0 - _MOVING_FRACTION)
        )
        if -band < change < band:
            self._change_count, self.is_changed, self.is_shut = 0, False, False
            self._false_count = 0
        elif not is_settling:
            self._change_count += 1
            self.is_changed = self.is_changed or self._change_count >= _CHANGED_AFTER
        self._changed_readings = self._changed_readings + 1 if self.is_changed else 0
        if self.is_shut:
            return False
        is_longer = self._mean_count < min(self._changed_readings, _LEARN_COUNT)
        if is_longer or self._is_former_back(value):
            self._former, self._former_left = self._mean, _FORMER_COUNT if is_longer else 0
            self._mean, self._mean_count, self.is_changed = value, 1, False
            self._max_flow = flow
            self.is_usual = True
            return True
        if self.is_changed:
            self._mean += (value - self._mean) / _ADOPT_COUNT
        elif self.is_usual:
            self._mean_count = min(self._mean_count + 1, _LEARN_COUNT)
            self._mean += (value - self._mean) / self._mean_count
        self._keep()
        return False

    def _is_former_back(self, value: float) -> bool:
        """Return whether the state that was usual before the present one has come back."""
        self._former_left -= 1
        is_former = self.is_changed and self._former_left > 0
        is_former = is_former and abs(value - self._former) < _LEARN_BAND * self._former
        self._back_count = self._back_count + 1 if is_former else 0
        return self._back_count >= _BACK_COUNT

    def _follow_slowly(self, value: float) -> float:
        """Update the mean of hours; return the change from it."""
        if self._mean_count < _LEARN_COUNT:
            self._slow_mean = self._mean
        self._slow_mean += (value - self._slow_mean) / _ADOPT_COUNT
        return value / self._slow_mean - 1.0

    def _keep(self) -> None:
        """Take the usual resistance for a restart, after a minute, if it has moved."""
        if self._mean_count >= _KEEP_COUNT and has_moved(self._mean, self._kept):
            self._kept = self._mean

    def confirm(self, is_throttled: bool) -> None:
        """Use what flow and pressure against the speed show; see `PumpCurve.is_throttled`."""
        is_false = self._false_count >= _FALSE_COUNT
        if is_throttled and self.is_changed and self.is_higher and not is_false:
            self.is_shut = True

    def use_false_pressure(self, is_false: bool) -> None:
        """Use whether the pressure is too high for the pumps; see `PumpCurve.is_false_pressure`."""
        if self._false_count < _FALSE_COUNT:
            self._false_count = self._false_count + 1 if is_false else 0

    def accept(self) -> bool:
        """Take the row as it is as the usual one. Return False if no branch is shut."""
        was_shut = self.is_shut
        if was_shut:
            self._mean_count = self._change_count = self._changed_readings = 0
            self._kept = 0.0
            self.is_changed = self.is_higher = self.is_shut = False
            self.is_usual = True
        return was_shut

    def words(self) -> str:
        """Return "shut" or "usual" and the usual resistance, kPa/(L/min)² / 10⁹; "": not known."""
        if self.is_shut:
            return "shut %d" % int(self._mean * _SCALE)
        return "usual %d" % int(self._kept * _SCALE) if self._kept else ""

    def restore(self, words: "list[str]") -> bool:
        """Continue as before the restart, with the words of `words`."""
        if len(words) != 2 or not words[1].isdigit() or len(words[1]) > _DIGITS:
            return False
        if not int(words[1]) or words[0] not in ("shut", "usual"):
            return False
        self._mean = self._slow_mean = int(words[1]) / _SCALE
        if words[0] == "usual":
            self._kept, self._mean_count = self._mean, _RESTORED_COUNT
            return True
        self._mean_count = _LEARN_COUNT
        self.is_changed = self.is_higher = self.is_shut = True
        self.is_usual = False
        return True
