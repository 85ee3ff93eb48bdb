# SPDX-License-Identifier: Apache-2.0
"""Check of the supply temperature before it limits a load.

Independent of the checks of the loops (`agent.control.law.sensor_check`): a fault there must not
disturb the power limits, and the reverse.

The true supply moves by at most +0.66 and -0.31 K/s. A reading that moves faster, or that is
outside of the plausible range, is suspect. Water that warms shows in the return: with flow, the
supply is the return minus the heat of the loads over the flow. While a reading is suspect, this
estimate replaces it; without flow, the last good reading does. After a start or a gap there is no
last good reading. Then a supply above the return is one false reading of two, and the warmer one of
supply and estimate is used: a value that is too low hides a loss of heat rejection. A suspect
reading is used again after it has agreed with the estimate for `_AGREE_US`, or continues where the
last good reading was.
"""

from agent.power.detector.headroom import C_W_PER_K_LPM

_LOWEST_C, _HIGHEST_C = 3.0, 95.0
_RISE_K_S, _FALL_K_S = 8 / 10, 5 / 10
_NOISE_K = 15 / 10
_AGREE_K = 3.0
_AGREE_US = 10_000_000
_LONGEST_GAP_S = 5.0
_MIN_LPM = 5.0


class SupplyCheck:
    """`value`: °C to use, None: unknown. `suspect_since`: time in µs, None: the sensor is good."""

    def __init__(self) -> None:
        self.value: float | None = None
        self.suspect_since: int | None = None
        self._good_at = 0
        self._agree_since: int | None = None

    def step(
        self,
        supply_c: "float | None",
        return_c: "float | None",
        flow_lpm: "float | None",
        load_w: int,
        now: int,
    ) -> "float | None":
        """Check the reading at `now`. Return the temperature to use."""
        estimate_c = None
        if return_c is not None and flow_lpm is not None and flow_lpm > _MIN_LPM:
            estimate_c = return_c - load_w / (C_W_PER_K_LPM * flow_lpm)
        if supply_c is None:
            self.value = self.suspect_since = None
            return None
        if self._is_good(supply_c, return_c, estimate_c, now):
            self.value, self._good_at, self.suspect_since = supply_c, now, None
            self._agree_since = None
            return supply_c
        if self.suspect_since is None:
            self.suspect_since = now
        if estimate_c is not None and _LOWEST_C <= estimate_c <= _HIGHEST_C:
            if self.value is None and supply_c <= _HIGHEST_C:
                return max(supply_c, estimate_c)
            return estimate_c
        return self.value

    def _is_good(
        self, supply_c: float, return_c: "float | None", estimate_c: "float | None", now: int
    ) -> bool:
        if not _LOWEST_C <= supply_c <= _HIGHEST_C:
            self._agree_since = None
            return False
        last_c = self.value
        if last_c is None:
            return return_c is None or supply_c <= return_c + _AGREE_K
        elapsed_s = min((now - self._good_at) / 1_000_000, _LONGEST_GAP_S)
        low = last_c - _NOISE_K - _FALL_K_S * elapsed_s
        if low <= supply_c <= last_c + _NOISE_K + _RISE_K_S * elapsed_s:
            return True
        if estimate_c is None or not -_AGREE_K <= supply_c - estimate_c <= _AGREE_K:
            self._agree_since = None
            return False
        if self._agree_since is None:
            self._agree_since = now
        return now - self._agree_since >= _AGREE_US
