# SPDX-License-Identifier: Apache-2.0
"""Guard against condensation: closes the valve near the dew point, and finds a wet supply.

Does not set the set-point; see `agent.control.law.dew_point`. Does not move the valve: `closing`
and `approaching` request it from the caller.

    closing   the supply is below dew point + `_CLOSE_K`; after a step of the dew point, and at the
              start and after a gap (`restart`), below dew point + `_OPEN_K`. It ends above dew
              point + `_OPEN_K`
    approaching  the supply is, or will be in `_LEAD_S`, below dew point + `_OPEN_K`
    level     NEAR after `_ALARM_S` below dew point + `_CLOSE_K`, WET after `_ALARM_S` below a
              measured dew point; it ends after `_CLEAR_S` above dew point + `_OPEN_K`. For NEAR and
              for the end, a supply that falls counts as it will be in `_LEAD_S`: the lag of a
              sensor in a pocket (about 4 s) and a part of `_ALARM_S`. A step of the dew point, or
              a gap, is NEAR immediately
"""

_CLOSE_K, _OPEN_K, _STEP_K = 1.0, 2.0, 5 / 10
# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_ALARM_S, _CLEAR_S = 5.5, 59.5
_LEAD_S, _RATE_S, _FALLS_K_S = 6.0, 4.0, -5 / 100
DRY, NEAR, WET = 0, 1, 2


class DewGuard:
    """Call `step` once a cycle; temperatures in °C."""

    def __init__(self) -> None:
        self.closing = self.below = self.approaching = False
        self.level = DRY
        self._dew_c: float | None = None
        self._near_s = self._wet_s = self._clear_s = 0.0
        self._supply_c: float | None = None
        self._rate = 0.0

    def restart(self) -> None:
        """Compare the next supply as at the start: it was unknown, and may be wet for some time."""
        self._dew_c = self._supply_c = None
        self._rate = 0.0

    def mark_near(self) -> None:
        """Count an unknown supply as near the dew point, until it was above it for `_CLEAR_S`."""
        self.level, self._clear_s = max(self.level, NEAR), 0.0

    def step(self, supply_c: float, dew_c: float, measured: bool, dt: float) -> None:
        """Compare the supply with the dew point. `measured`: False for an assumed dew point."""
        stepped = self._dew_c is None or dew_c - self._dew_c > _STEP_K
        self._dew_c = dew_c
        margin_k, fall_k = supply_c - dew_c, self._fall(supply_c, dt)
        if self.closing:
            self.closing = margin_k <= _OPEN_K
        else:
            self.closing = margin_k < (_OPEN_K if stepped else _CLOSE_K)
        self.below = margin_k < 0.0
        self.approaching = margin_k + fall_k < _OPEN_K
        if stepped and margin_k < _CLOSE_K:
            self._near_s = _ALARM_S
        self._update_level(margin_k, fall_k, measured, dt)

    def _fall(self, supply_c: float, dt: float) -> float:
        """Return the change of the supply in `_LEAD_S`, K, if it falls; 0 otherwise."""
        last_c, self._supply_c = self._supply_c, supply_c
        if last_c is None or dt <= 0.0:
            return 0.0
        self._rate += dt / (dt + _RATE_S) * ((supply_c - last_c) / dt - self._rate)
        return _LEAD_S * self._rate if self._rate < _FALLS_K_S else 0.0

    def _update_level(self, margin_k: float, fall_k: float, measured: bool, dt: float) -> None:
        ahead_k, wet = margin_k + fall_k, measured and margin_k < 0.0
        near = ahead_k < _CLOSE_K
        self._near_s = self._near_s + dt if near else 0.0
        self._wet_s = self._wet_s + dt if wet else 0.0
        self._clear_s = 0.0 if ahead_k <= _OPEN_K else self._clear_s + dt
        if self._wet_s >= _ALARM_S:
            self.level = WET
        elif self._near_s >= _ALARM_S and self.level == DRY:
            self.level = NEAR
        elif self._clear_s >= _CLEAR_S:
            self.level = DRY
