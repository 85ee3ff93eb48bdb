# SPDX-License-Identifier: Apache-2.0
"""Validation of sensors, in addition to the checks of device and range.

Does not filter: a value passes unchanged or is suspect. The checks run once a cycle:

    rate      it changed faster than the plant can, less than `_STEADY_S` ago
    stuck     no change for `_STUCK_S`, while a related value changed by `_RELATED_CHANGE`
    apart     it differs from its redundant sensor by `max_difference` for `_DISAGREE_S`
    balance   the heat on both sides of the exchanger differs; see `HeatBalanceCheck`

A suspect sensor is replaced by its redundant sensor. If two sensors differ, the one that requests
more cooling is used: overheating has priority over condensation.
"""

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_STEADY_S = 19.5
_STUCK_S = 899.5
_RELATED_CHANGE = 15 / 10
_DISAGREE_S = 29.5
_BALANCE_S = 299.5
_MIN_HEAT_KW = 2.0


class SensorValidator:
    """Checks one sensor. `rate`: largest plausible change per second, in the unit of the sensor."""

    def __init__(self, rate: float, max_difference: float) -> None:
        self.rate = rate
        self.max_difference = max_difference
        self.rate_exceeded = self.stuck = self.sensors_disagree = False
        self._last_value: float | None = None
        self._suspect_left_s = 0.0
        self._unchanged_s = 0.0
        self._related_start: float | None = None
        self._disagree_s = 0.0

    def validate(
        self, value: "float | None", redundant: "float | None", related: "float | None", dt: float
    ) -> "float | None":
        """Return the valid value: `value`, `redundant` or None. `related` must change with it."""
        last, self._last_value = self._last_value, value
        if value is not None and last is not None:
            change = value - last if value > last else last - value
            self._check_rate(change, dt)
            self._check_stuck(change, related, dt)
        self.rate_exceeded = self._suspect_left_s > 0
        if value is None or redundant is None:
            self._disagree_s = 0.0
            self.sensors_disagree = False
        else:
            differs = not -self.max_difference < value - redundant < self.max_difference
            self._disagree_s = self._disagree_s + dt if differs else 0.0
            self.sensors_disagree = self._disagree_s >= _DISAGREE_S
        if value is None or self.rate_exceeded or self.stuck:
            return redundant
        if self.sensors_disagree and redundant is not None and redundant > value:
            return redundant
        return value

    def _check_rate(self, change: float, dt: float) -> None:
        if change > self.rate * dt:
            self._suspect_left_s = _STEADY_S
        elif self._suspect_left_s > 0:
            self._suspect_left_s -= dt

    def _check_stuck(self, change: float, related: "float | None", dt: float) -> None:
        if change > 0 or related is None:
            self._unchanged_s = 0.0
            self._related_start = related
            self.stuck = False
            return
        self._unchanged_s += dt
        if self._related_start is None:
            self._related_start = related
        related_moved = not -_RELATED_CHANGE < related - self._related_start < _RELATED_CHANGE
        if self._unchanged_s >= _STUCK_S and related_moved:
            self.stuck = True


class HeatBalanceCheck:
    """Compares the heat into the exchanger with the heat out of it, from separate sensors."""

    def __init__(self, tolerance_pct: float) -> None:
        self.tolerance = tolerance_pct / 100.0
        self.unbalanced = False
        self.imbalance: float | None = None
        self._unbalanced_s = 0.0
        self._heat_in_w = self._heat_out_w = 0.0

    def check(self, heat_in_w: float, heat_out_w: float, dt: float) -> None:
        """Compare both, in watts, after a filter of 60 s, because the coolant has a transport
        delay.
        """
        k = dt / (dt + 60.0)
        self._heat_in_w += k * (heat_in_w - self._heat_in_w)
        self._heat_out_w += k * (heat_out_w - self._heat_out_w)
        larger_w = self._heat_in_w if self._heat_in_w > self._heat_out_w else self._heat_out_w
        if larger_w < 1000.0 * _MIN_HEAT_KW:
            self._unbalanced_s = 0.0
            self.unbalanced = False
            return
        self.imbalance = (self._heat_in_w - self._heat_out_w) / larger_w
        exceeded = not -self.tolerance < self.imbalance < self.tolerance
        self._unbalanced_s = self._unbalanced_s + dt if exceeded else 0.0
        self.unbalanced = self._unbalanced_s >= _BALANCE_S
