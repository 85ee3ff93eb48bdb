# SPDX-License-Identifier: Apache-2.0
"""Is a reported power that fell possible? Then the device becomes colder.

Does not limit loads; see `agent.power.detector.device_heat`. Powers are shares of the rating,
temperature differences are in K.

A fall that no lower limit explains is used when the rise of the case above the supply has
fallen by 1/`_FALL_DIVISOR` of what it must fall, or is as small as the power needs. Until then the
power from before counts. Else a service that shows too little power would make its device look hot,
and its limit would take the heat from the row. Behind a shut branch a device stays hot at a small
power, so each power is used.

The power from before falls with a lag (`follow_down`), so that many small falls are one. The rise
that it is compared with has the same lag: a case that has followed its power is not asked again.
"""

FOLLOW_S = 20.0
"""Time constant with which an expectation falls: longer than that of a case."""
_FALL_DIVISOR = 6
_SMALL_K = 4.0
"""A fall of the power that changes the rise by less than this makes no device hot."""


class PowerCheck:
    """`suspect_us`: the time for which the reported power is not used, 0 while it is."""

    def __init__(self) -> None:
        self.suspect_us = self._suspect_from = self._read_at = 0
        self._before: float | None = None
        self._rise_k: float | None = None

    def forget(self) -> None:
        """Use the next power."""
        self._before = self._rise_k = None
        self.suspect_us = 0

    def step(
        self,
        power: float,
        last: float,
        limit: float,
        rise_k: "float | None",
        full_k: float,
        now_us: int,
    ) -> float:
        """Return the power to use for the reported `power`. `last`: the power that the device shows
        now, `limit`: the limit of the load, `rise_k`: case minus the last supply, None behind a
        shut branch or without both, `full_k`: that at the rating.
        """
        if rise_k is None:
            self.forget()
            return power
        dt = (now_us - self._read_at) / 1_000_000
        self._read_at = now_us
        if self._rise_k is None:
            self._rise_k = rise_k
        if self._before is None:
            self._before, self._suspect_from = last, now_us
        before = min(self._before, limit)
        missing_k, fallen_k = (before - power) * full_k, self._rise_k - rise_k
        has_fallen = fallen_k * _FALL_DIVISOR >= missing_k or rise_k <= power * full_k
        if missing_k <= _SMALL_K or has_fallen:
            self._rise_k = follow_down(self._rise_k, rise_k, dt)
            self._before, self.suspect_us = None, 0
            return power
        self.suspect_us = now_us - self._suspect_from
        return before


def follow_down(value: "float | None", new: float, dt: float) -> float:
    """Return `new`, or the `value` that falls towards it with a lag if it is higher."""
    if value is None or new >= value:
        return new
    return value + (new - value) * min(1.0, dt / FOLLOW_S)
