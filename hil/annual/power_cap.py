# SPDX-License-Identifier: Apache-2.0
"""The power cap of the annual runs: load shedding that holds case and supply limits.

An integral controller caps the row's power, only as far as the hottest case and the supply require.
It is slow relative to the loop's time constants of one minute. So it settles at the largest load
that the cooler can take. Above full load the same integral first moves valve and fans (`boost`) and
the pumps (`flow_trim`, -1 to 1), until both limits are reached together. So no load is shed while
an actuator has a reserve. After a step of the load the case rises faster than any actuator: then
the load that the case permits within `_LEAD_S` counts for some seconds.

A cold case does not show what the cooler can take if the load is low, or was low a minute ago. So
the integral rises slowly, and not at all in a short pause of the load; the flow stays.
"""

from __future__ import annotations

_RELEASED_FRACTION, _LEAST_FRACTION = 1.2, 0.1
_CASE_MARGIN_K = 0.15
_SUPPLY_SWING_K = 0.2  # the loop can swing this far around its highest set-point
_GAIN = 0.012  # fraction of the load for 1 K
_INTEGRAL_S = 300.0
_FLOW_K_S = 0.0012
_FAST_GAIN, _LEAD_S = 0.6, 1.0  # for 1 K of the case that is expected in this time
_FAST_MARGIN_K = 0.1
_RELEASE_K = 1.5
_RELEASE_S = 0.0002  # fraction of the load for 1 s
_RISE_K = 0.1  # distance to the limits that counts at most when the integral rises
_PART_LOAD = 0.01
_PAUSE_S, _AFTER_PAUSE_S = 300.0, 120.0  # longest short pause; time for the coolant after it
_TRIM_K = 1.0  # difference of the distances to both limits that counts at most


class PowerCap:
    """`step` returns the cap in kW, or None without a cap."""

    def __init__(self, it_kw: float, case_max_c: float, supply_max_c: float) -> None:
        self._it_kw = it_kw
        self._case_limit_c = case_max_c - _CASE_MARGIN_K
        self._supply_limit_c = supply_max_c + _SUPPLY_SWING_K
        self._load_fraction = _RELEASED_FRACTION
        self.case_over_k = self.supply_over_k = 0.0
        self.flow_trim = 0.0
        self._fast_limit_c = case_max_c - _FAST_MARGIN_K
        self._last_case_c: float | None = None
        self._pause_s = self._after_s = 0.0

    @property
    def boost(self) -> float:
        """How far valve and fans must move to their limits, 0 to 1."""
        return min((_RELEASED_FRACTION - self._load_fraction) / (_RELEASED_FRACTION - 1.0), 1.0)

    def step(
        self,
        case_c: float,
        supply_c: float,
        dt: float,
        is_saturated: bool = False,
        demand_fraction: float = 1.0,
    ) -> float | None:
        """Step by `dt` seconds with the hottest case and the supply, degC; return the cap.

        `is_saturated`: valve, fans and pumps are at their limits, so the load must fall now.
        `demand_fraction`: load that the row wants, over its design.
        """
        self.case_over_k = case_c - self._case_limit_c
        self.supply_over_k = supply_c - self._supply_limit_c
        excess_k = max(self.case_over_k, self.supply_over_k)
        is_pause = self._is_short_pause(demand_fraction, dt)
        self._trim_flow(0.0 if is_pause else dt)
        fast_fraction = self._fast_fraction(case_c, dt)
        if self._load_fraction >= _RELEASED_FRACTION and excess_k <= 0.0:
            return None if fast_fraction >= 1.0 else self._it_kw * fast_fraction
        if is_saturated and excess_k > 0.0:
            self._load_fraction = min(self._load_fraction, 1.0)
        change = -_GAIN * 60.0 / _INTEGRAL_S * max(excess_k, -_RISE_K) * dt
        if excess_k < -_RELEASE_K:
            change += _RELEASE_S * dt
        if is_pause:
            change = min(change, 0.0)
        self._load_fraction += change
        self._load_fraction = min(max(self._load_fraction, _LEAST_FRACTION), _RELEASED_FRACTION)
        cap_fraction = self._load_fraction - _GAIN * max(excess_k, 0.0)
        cap_fraction = min(cap_fraction, fast_fraction)
        return None if cap_fraction >= 1.0 else self._it_kw * cap_fraction

    def _is_short_pause(self, demand_fraction: float, dt: float) -> bool:
        """Return whether the load is below the cap for a short time, or was so a moment ago."""
        if demand_fraction < min(self._load_fraction, 1.0) - _PART_LOAD:
            self._pause_s += dt
            self._after_s = 0.0
        else:
            self._after_s += dt
            if self._after_s >= _AFTER_PAUSE_S:
                self._pause_s = 0.0
        return 0.0 < self._pause_s < _PAUSE_S

    def _fast_fraction(self, case_c: float, dt: float) -> float:
        """Return the load at which the case stops at its limit after a step of the load."""
        last_c = case_c if self._last_case_c is None else self._last_case_c
        self._last_case_c = case_c
        expected_c = case_c + _LEAD_S * max(case_c - last_c, 0.0) / dt
        return max(1.0 - _FAST_GAIN * max(expected_c - self._fast_limit_c, 0.0), _LEAST_FRACTION)

    def _trim_flow(self, dt: float) -> None:
        """Move the flow so that case and supply reach their limits together.

        More flow cools the cases and warms the supply, because it unbalances the exchanger.
        """
        if self._load_fraction >= _RELEASED_FRACTION:
            self.flow_trim = 0.0
            return
        difference_k = self.case_over_k - self.supply_over_k
        difference_k = min(max(difference_k, -_TRIM_K), _TRIM_K)
        self.flow_trim = min(max(self.flow_trim + _FLOW_K_S * difference_k * dt, -1.0), 1.0)
