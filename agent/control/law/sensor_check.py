# SPDX-License-Identifier: Apache-2.0
"""Checks of one sensor against its own past, its redundant sensor and the heat of both sides.

Does not filter: a value passes unchanged or not at all. Does not know the plant; see
`agent.control.law.plausibility`. The checks run once a cycle:

    stuck     no change for `_STUCK_S`, while a related value changed by `_RELATED_CHANGE`
    apart     it differs from its redundant sensor by `max_difference` for `_DISAGREE_S`
    balance   the heat on both sides of the exchanger differs; see `HeatBalanceCheck`

A stuck sensor is replaced by its redundant sensor. If two sensors differ, the one nearer to the
estimate is used. Without an estimate it is the warmer one: overheating has priority over
condensation.
"""

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_STUCK_S = 899.5
_RELATED_CHANGE = 15 / 10
_DISAGREE_S = 29.5
_BALANCE_S = 299.5
_FILTER_S = 60.0
_MIN_HEAT_KW = 2.0


class SensorValidator:
    """Checks one sensor. `max_difference`: from its redundant sensor, in the unit of both."""

    def __init__(self, max_difference: float) -> None:
        self.max_difference = max_difference
        self.stuck = self.sensors_disagree = False
        self._last_value: float | None = None
        self._unchanged_s = 0.0
        self._related_start: float | None = None
        self._disagree_s = 0.0

    def validate(
        self,
        value: "float | None",
        redundant: "float | None",
        related: "float | None",
        estimate: "float | None",
        dt: float,
    ) -> "float | None":
        """Return the valid value: `value`, `redundant` or None.

        `related` is a value that changes with it, such as the return for a supply sensor. A limit
        is written as `not -limit < x < limit`, which is True also for not-a-number.
        """
        last, self._last_value = self._last_value, value
        if value is not None and last is not None:
            self._check_stuck(value != last, related, dt)
        if value is None or redundant is None:
            self._disagree_s = 0.0
            self.sensors_disagree = False
        else:
            differs = not -self.max_difference < value - redundant < self.max_difference
            self._disagree_s = self._disagree_s + dt if differs else 0.0
            self.sensors_disagree = self._disagree_s >= _DISAGREE_S
        if value is None or self.stuck:
            return redundant
        if self.sensors_disagree and redundant is not None:
            if estimate is None:
                return redundant if redundant > value else value
            middle = (value + redundant) / 2.0
            return redundant if (redundant > middle) == (estimate > middle) else value
        return value

    def _check_stuck(self, changed: bool, related: "float | None", dt: float) -> None:
        if changed or related is None:
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
        """Compare both, in watts, after a filter of `_FILTER_S`, because the coolant has a
        transport delay.
        """
        k = dt / (dt + _FILTER_S)
        self._heat_in_w += k * (heat_in_w - self._heat_in_w)
        self._heat_out_w += k * (heat_out_w - self._heat_out_w)
        larger_w = max(self._heat_in_w, self._heat_out_w)
        if larger_w < 1000.0 * _MIN_HEAT_KW:
            self._unbalanced_s = 0.0
            self.unbalanced = False
            return
        self.imbalance = (self._heat_in_w - self._heat_out_w) / larger_w
        exceeded = not -self.tolerance < self.imbalance < self.tolerance
        self._unbalanced_s = self._unbalanced_s + dt if exceeded else 0.0
        self.unbalanced = self._unbalanced_s >= _BALANCE_S
