# SPDX-License-Identifier: Apache-2.0
"""The lowest supply temperature of the coolant that can be in the return, °C.

Does not judge the readings; see `agent.control.law.plausibility`. The racks only warm the coolant,
so the return is never colder than the supply that it was. How long the way is, is not known: the
lowest supply is that of at least one minute at design flow, and of two at most.
"""


class LowestSupply:
    """`lowest_c`: °C; None: not known yet. `design_lpm`: design flow, L/min."""

    def __init__(self, design_lpm: float) -> None:
        self.lowest_c: float | None = None
        self._volume_l = design_lpm
        self._passed_l = 0.0
        self._last_c: float | None = None
        self._present_c: float | None = None

    def restart(self) -> None:
        """Forget all readings: some were not valid."""
        self.lowest_c = self._last_c = self._present_c = None
        self._passed_l = 0.0

    def update(self, supply_c: float, flow_lpm: "float | None", dt: float) -> None:
        """Take a valid reading. `flow_lpm`: L/min; without a flow the coolant stands."""
        present_c = self._present_c
        self._present_c = supply_c if present_c is None else min(present_c, supply_c)
        if self._last_c is not None:
            self.lowest_c = min(self._last_c, self._present_c)
        self._passed_l += (flow_lpm or 0.0) * dt / 60.0
        if self._passed_l >= self._volume_l:
            self._last_c, self._present_c, self._passed_l = self._present_c, None, 0.0
