# SPDX-License-Identifier: Apache-2.0
"""An emulated ABB ACH580 drive on a fan of the row's cooler.

It is the drive of `abb_acs580` on another shaft. After a loss of communication it goes to full
speed: too much air costs power, too little air costs cooling.
"""

from __future__ import annotations

from collections.abc import Mapping

from hil.devices.drives.abb_acs580 import ACS580_IDENTITY, AbbAcs580
from hil.plant.fan_bank import FanBank
from hil.plant.plant import Plant

_RAMP_S = 30.0


class AbbAch580Fan(AbbAcs580):
    """Drive of fan number `fan` of `bank`."""

    identity: Mapping[int, str] = {**ACS580_IDENTITY, 4: "ACH580"}

    def __init__(self, plant: Plant, bank: FanBank, fan: int, unit: int) -> None:
        self._bank = bank
        super().__init__(plant, unit=unit, ramp_s=_RAMP_S, safe_pct=100.0, shaft=bank.shafts[fan])

    def watts(self, speed: float) -> float:
        """Return the electric power at a speed, W."""
        full = 1000.0 * self._bank.cooler.fan_kw / len(self._bank.shafts)
        return full * (speed / 100.0) ** 3
