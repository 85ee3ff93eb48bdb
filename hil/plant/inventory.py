# SPDX-License-Identifier: Apache-2.0
"""Coolant inventory of the loop: reservoir, leaks, make-up, and air in the loop.

The reservoir feeds a leak. When the reservoir is empty, air enters the loop. While the reservoir is
not empty, the air is vented slowly and coolant replaces it. Volumes balance to rounding
(`residual_l`). Air reduces the head of a pump by 3 % per 1 % of air up to 5 %. Above 5 % the head
falls to 0 at 12 %, where a centrifugal pump loses its prime. These figures are assumed, after the
usual rules of pump handbooks. Does not model the effect of bubbles on heat transfer, or the place
of the air in the loop.
"""

from __future__ import annotations

from math import exp

from hil.plant.fluid.parameters import PlantParameters

_MILD_AIR_PCT, _PRIME_LOST_PCT = 5.0, 12.0
_HEAD_LOSS_PER_PCT = 0.03
_VENTED_PCT = 0.1


def head_fraction(air_pct: float) -> float:
    """Return the remaining fraction (0 to 1) of the pumps' head at `air_pct` % of air by volume."""
    fraction = 1.0 - _HEAD_LOSS_PER_PCT * min(air_pct, _MILD_AIR_PCT)
    if air_pct <= _MILD_AIR_PCT:
        return fraction
    return max(0.0, fraction * (_PRIME_LOST_PCT - air_pct) / (_PRIME_LOST_PCT - _MILD_AIR_PCT))


class Inventory:
    """Coolant in the loop and its reservoir, litres; inputs are leak and make-up.

    `lost_l`: coolant that has left by a leak, or that air has displaced.
    """

    def __init__(self, p: PlantParameters) -> None:
        """Start with a full loop, the reservoir at its start level, and no air."""
        self.loop_l = p.supply_pipe_l + p.return_pipe_l + p.cdu_volume_l
        self.capacity_l = p.reservoir_volume_l
        self.reservoir_volume_l = p.reservoir_volume_l
        self.leak_lpm = self.makeup_lpm = 0.0
        self.lost_l = self.made_up_l = self.air_l = 0.0
        self._vent_tau_s = p.air_separator_s
        self._start_l = self.loop_l + self.reservoir_volume_l
        self._air_admitted = self._is_refilled = False

    @property
    def level_pct(self) -> float:
        """Reservoir level, %."""
        return 100.0 * self.reservoir_volume_l / self.capacity_l

    @property
    def air_pct(self) -> float:
        """Air in the loop by volume, %."""
        return 100.0 * self.air_l / self.loop_l

    @property
    def residual_l(self) -> float:
        """Return held + lost - made up - held at the start, L: 0 if no mass is lost."""
        stored_l = self.loop_l - self.air_l + self.reservoir_volume_l
        return stored_l + self.lost_l - self.made_up_l - self._start_l

    def set_leak(self, lpm: float) -> None:
        """Set the leak to `lpm` L/min (0 or more)."""
        self.leak_lpm = lpm

    def set_makeup(self, lpm: float) -> None:
        """Set the make-up to `lpm` L/min (0 or more)."""
        self.makeup_lpm = lpm

    def refill(self) -> None:
        """Fill the reservoir up now, and keep it full until the loop has vented its air."""
        self._is_refilled = True
        self._fill_up()

    def _fill_up(self) -> None:
        self.made_up_l += self.capacity_l - self.reservoir_volume_l
        self.reservoir_volume_l = self.capacity_l

    def admit_air(self, percent: float) -> None:
        """Replace `percent` of the loop's coolant with air; the coolant is lost."""
        litres = min(self.loop_l * percent / 100.0, self.loop_l - self.air_l)
        self.air_l += litres
        self.lost_l += litres
        self._air_admitted = True

    def step(self, dt_s: float) -> bool:
        """Step by `dt_s`; return whether the air in the loop changed (flows must be updated)."""
        before = self.air_l
        out = min(self.leak_lpm * dt_s / 60.0, self.reservoir_volume_l + self.loop_l - self.air_l)
        self.lost_l += out
        from_reservoir = min(out, self.reservoir_volume_l)
        self.reservoir_volume_l -= from_reservoir
        self.air_l += out - from_reservoir
        made_up = min(self.makeup_lpm * dt_s / 60.0, self.capacity_l - self.reservoir_volume_l)
        self.reservoir_volume_l += made_up
        self.made_up_l += made_up
        if self.air_l > 0.0 and self.reservoir_volume_l > 0.0:
            vented = min(
                self.air_l * (1.0 - exp(-dt_s / self._vent_tau_s)), self.reservoir_volume_l
            )
            self.air_l -= vented
            self.reservoir_volume_l -= vented
        if self._is_refilled:
            self._fill_up()
            self._is_refilled = self.air_pct > _VENTED_PCT
        changed = self._air_admitted or abs(self.air_l - before) > 1e-9
        self._air_admitted = False
        return changed
