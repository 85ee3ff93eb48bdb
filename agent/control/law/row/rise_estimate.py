# SPDX-License-Identifier: Apache-2.0
"""Estimate of the rise of a row (return minus supply, K), by relations of the plant.

Does not judge the readings: `agent.control.law.plausibility` compares them with R1 and R6, and uses
the estimate if one temperature is not valid. In this order:

    R6   e (return - fws_supply), with the lag of the exchanger: the return is valid
    R1   C1 (fws_return - fws_supply) / C, slowly if the supply is valid
    the last valid rise, for the same heat at another flow, for `_HOLD_S`

C and C1 are the heat capacities of row and facility water, W/K; e is the effectiveness of the
exchanger, from both flows.
"""

from collections import namedtuple

from agent.control.law.row.rise_factors import RiseFactors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger
    from agent.control.law.row.readings import RowReadings

EXCHANGER_LAG_S = 8.0
SHUT_EFFECTIVENESS = 5 / 100
"""Up to this, the exchanger takes no heat that readings can show."""
_FILTER_S = 60.0
_RISE_LAG_S = 30.0
"""A step of the valve is in the facility flow immediately, and in its return later: the estimate
from both would move the valve again.
"""
_HOLD_S = 200.0
_LOW_FLOW = 15 / 100
"""What a filter of the bench that is 95 % clogged leaves at full speed."""


HeldRise = namedtuple("HeldRise", ("rise_k", "flow_lpm", "age_s"))
"""The last valid return minus supply, the flow of that time, and the time since then."""


class RiseEstimate:
    """`exchanger`: None without a model. `by_heat_k`: the rise by R1, K; `effectiveness`: e of R6;
    None: unknown. `heat_share`: C1 / C. `low_flow_k`: by how much the supply is below its estimate
    if a filter is clogged that no reading can show, K.
    """

    def __init__(self, exchanger: "Exchanger | None", design_lpm: float) -> None:
        self.factors = RiseFactors()
        self.by_heat_k: float | None = None
        self.effectiveness: float | None = None
        self.heat_share = 1.0
        self.low_flow_k = 0.0
        self._exchanger = exchanger
        self._least_lpm = design_lpm / 20.0
        self._lagged_k: float | None = None
        self._smooth_k: float | None = None
        self._model_offset_k = 0.0
        self._held = HeldRise(0.0, 0.0, _HOLD_S)

    @property
    def is_shut(self) -> bool:
        """Return whether the exchanger takes no heat: the valve is shut."""
        return self.effectiveness is not None and self.effectiveness <= SHUT_EFFECTIVENESS

    def update(self, r: "RowReadings", flow: "float | None") -> None:
        """Update `by_heat_k` and `effectiveness` with the readings of a cycle. `flow`: L/min."""
        self.by_heat_k = self.effectiveness = None
        exchanger, fws_supply_c, fws_lpm = self._exchanger, r.fws_supply_c, r.fws_flow_lpm
        if exchanger is None or flow is None or fws_lpm is None or flow < self._least_lpm:
            return
        exchanger.update_table(flow)
        self.effectiveness = self.factors.model * exchanger.effectiveness_of(fws_lpm)
        if r.fws_return_c is not None and fws_supply_c is not None:
            heat_w = exchanger.fws_capacity(fws_lpm) * (r.fws_return_c - fws_supply_c)
            self.by_heat_k = self.factors.heat * heat_w / exchanger.tcs_capacity(flow)
            capacity_w = self.factors.heat * exchanger.fws_capacity(fws_lpm)
            self.heat_share = capacity_w / exchanger.tcs_capacity(flow)

    def hold(self, rise_k: float, flow: "float | None") -> None:
        """Keep a rise of valid readings, K, at a flow, L/min."""
        if flow is not None and flow > 0.0:
            self._held = HeldRise(rise_k, flow, 0.0)

    def estimate(
        self,
        r: "RowReadings",
        supply: "float | None",
        return_c: "float | None",
        flow: "float | None",
        may_be_low: bool,
        dt: float,
    ) -> "tuple[float | None, float]":
        """Return the rise and its uncertainty, K; None: unknown. `supply`, `return_c`: °C, None if
        not valid. `may_be_low`: the flow can be lower than `flow`.
        """
        held = self._held
        self._held = HeldRise(held.rise_k, held.flow_lpm, held.age_s + dt)
        q, e, fws_supply_c = self.by_heat_k, self.effectiveness, r.fws_supply_c
        self.low_flow_k = 0.0
        if e is not None and fws_supply_c is not None and return_c is not None:
            model_k = e * (return_c - fws_supply_c)
            lagged = model_k if self._lagged_k is None else self._lagged_k
            self._lagged_k = lagged = lagged + dt / (dt + EXCHANGER_LAG_S) * (model_k - lagged)
            if q is not None:
                self._model_offset_k += dt / (dt + _FILTER_S) * (lagged - q - self._model_offset_k)
            self._smooth_k = None
            return lagged, 5 / 10 + abs(self._model_offset_k)
        self._lagged_k = None
        if q is not None and supply is not None:
            last = q if self._smooth_k is None else self._smooth_k
            self._smooth_k = last + dt / (dt + _RISE_LAG_S) * (q - last)
            return self._smooth_k, 1.0
        self._smooth_k = None
        if q is not None:
            if may_be_low:
                self._update_low_flow(r, flow or 0.0)
            return q, 2.0
        if flow is None or flow <= 0.0 or held.age_s >= _HOLD_S:
            return None, 0.0
        return held.rise_k * held.flow_lpm / flow, 1.0 + held.age_s / 50.0

    def _update_low_flow(self, r: "RowReadings", flow: float) -> None:
        """Update `low_flow_k`: the same heat leaves at a larger rise, from a supply that is nearer
        to the water.
        """
        q, e, exchanger = self.by_heat_k, self.effectiveness, self._exchanger
        if q is None or e is None or self.is_shut or exchanger is None:
            return
        low = exchanger.effectiveness_at(_LOW_FLOW * flow, r.fws_flow_lpm or 0.0)
        self.low_flow_k = max(q * (1.0 / e - 1.0 - (1.0 / low - 1.0) / _LOW_FLOW), 0.0)
