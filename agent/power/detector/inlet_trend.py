# SPDX-License-Identifier: Apache-2.0
"""Trend of the facility water: a fast rise shows that the coolers have failed.

Does not limit loads; see `agent.power.component`. The supply follows the facility water by minutes.
If its inlet rises by more than 1 K/min over `_SPAN_US`, the supply `_AHEAD_MIN` later is predicted:
the inlet then, and the present distance from the inlet to the supply. The trend ends when the inlet
has not risen for `_SPAN_US`. A jump is no trend: the sensor is faulty, or the supply shows it soon.

Fans of the unit's own cooler that are not near full speed have not failed: they save energy, and
the water warms by design. Then there is no prediction and no alarm.

A missing reading, a jump and water that stands end the prediction, but not the alarm `inlet_rises`:
they do not show that the water has stopped to warm. Only readings over `_SPAN_US` do.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from protocols.time_units import SECOND

INLET_RISES = AlarmRecord("inlet_rises", NORMAL, "facility water warms fast", "", True)

_SPAN_US, _STEP_US = 40 * SECOND, 5 * SECOND
_SAMPLES = _SPAN_US // _STEP_US + 1
_RISE_K_MIN = 1.0
_AHEAD_MIN = 9.0
_LEAST_DISTANCE_K = 3.0
_JUMP_K = 15 / 10


class InletTrend:
    """The trend. `predicted_c`: supply to expect, None: no fast rise. `is_rising`: the alarm."""

    def __init__(self) -> None:
        self.is_rising = False
        self.predicted_c: float | None = None
        self._samples: list[tuple[int, float]] = []

    def add(
        self,
        inlet_c: "float | None",
        supply_c: "float | None",
        now: int,
        have_fans_reserve: bool = False,
    ) -> None:
        """Add the temperatures at `now`; °C. `have_fans_reserve`: the cooler can reject more."""
        if have_fans_reserve:
            self.is_rising, self.predicted_c = False, None
        samples = self._samples
        if inlet_c is None or supply_c is None:
            self.predicted_c = None
            samples.clear()
            return
        if samples and now - samples[-1][0] < _STEP_US:
            return
        if samples and not -_JUMP_K < inlet_c - samples[-1][1] < _JUMP_K:
            samples.clear()
        samples.append((now, inlet_c))
        if len(samples) > _SAMPLES:
            samples.pop(0)
        elapsed = now - samples[0][0]
        if elapsed < _SPAN_US or have_fans_reserve:
            self.predicted_c = None
            return
        rate = (inlet_c - samples[0][1]) * 60_000_000 / elapsed
        middle_c = samples[len(samples) // 2][1]
        rises = samples[0][1] < middle_c < inlet_c
        self.is_rising = self.is_rising and rises
        if rate < (_RISE_K_MIN if self.predicted_c is None else 0.0) or not rises:
            self.predicted_c = None
            return
        self.is_rising = True
        self.predicted_c = inlet_c + rate * _AHEAD_MIN + max(_LEAST_DISTANCE_K, supply_c - inlet_c)
