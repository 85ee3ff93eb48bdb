# SPDX-License-Identifier: Apache-2.0
"""The facility water supply of a row without a facility model: its temperature over time.

Does not model a cooler; see `hil.plant.facility`. The temperature ramps to a target, with a slow
swing around the ramp. If the heat rejection is lost, the water circulates and the row heats it.
"""

from __future__ import annotations

from math import pi, sin

from hil.plant.fluid.parameters import PlantParameters

_SECOND_US = 1_000_000


class FacilitySupply:
    """Facility water at the row's inlet. Inputs: `set_target`, `set_rejection_lost`."""

    def __init__(self, p: PlantParameters, start_us: int) -> None:
        """Start at the parameters' temperature; `start_us` is the zero of the swing's phase."""
        self.base_c = self.target_c = p.fws_c
        self._rate_k_min = 0.0
        self._rejection_lost = False
        self._p = p
        self._start_us = start_us

    def set_target(self, celsius: float, rate_k_min: float) -> None:
        """Ramp to `celsius` at `rate_k_min` K/min; a rate of 0 or below steps."""
        self.target_c = celsius
        self._rate_k_min = rate_k_min

    def set_rejection_lost(self, is_lost: bool) -> None:
        """Set or clear the fault: the coolers are stopped and the water only circulates."""
        self._rejection_lost = is_lost

    def step(self, now: int, dt_s: float, heat_w: float) -> float:
        """Step by `dt_s` (1 s at least) to `now`, µs; return the temperature, degC."""
        p = self._p
        if self._rejection_lost:
            mass = 0.001 * p.fws_volume_l * p.fws_rho_kg_m3 * p.fws_cp_j_kgk
            self.base_c += heat_w * dt_s / mass
            return self.base_c
        difference = self.target_c - self.base_c
        if difference != 0.0:
            max_step = self._rate_k_min / 60.0 * dt_s
            if self._rate_k_min <= 0.0 or abs(difference) <= max_step:
                self.base_c = self.target_c
            else:
                self.base_c += max_step if difference > 0.0 else -max_step
        phase = 2.0 * pi * (now - self._start_us) / _SECOND_US / p.fws_swing_period_s
        return self.base_c + p.fws_swing_k * sin(phase)
