# SPDX-License-Identifier: Apache-2.0
"""What opening of the valve gives what supply temperature: the plate exchanger, steady, as a table.

Not a controller and not the bench's plant: the same textbook in a second hand. Of a counter-flow
exchanger, the share of the way from return to facility water that the supply is cooled is

    share = (return - supply) / (return - facility) = effectiveness * Cmin / C(secondary)

by the effectiveness-NTU method (Kays and London, Compact Heat Exchangers), with UA = UAd * [0.5
(V1^-0.8 + V2^-0.8)]^-1 of the flows over their design values. No temperature enters, so the table
from opening to share is computed again only when the secondary flow, or what has been learned of UA
and of the facility water's flow, has moved. The valve is equal-percentage, R^(x-1) of Kvs at stroke
x, in pipework with authority a: the flow is F / sqrt(1 - a + a / (R^(x-1))^2) (sizing guides of
two-way valves).
"""

from agent.control.law.deterministic_math import exp, pow_det, sqrt_det

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_POINTS = 26
_STEP = 100.0 / (_POINTS - 1)
_FLOW_TOLERANCE = 1 / 100
_UA_TOLERANCE = 1 / 200
_MIN_LPM = 1.0


class Exchanger:
    """The exchanger and its valve by the figures of `model`, a section of the configuration.

    Keys: `ua_kw_k` (kW/K at the design flows), `tcs_lpm`, `fws_lpm` (design flows), `tcs_j_lk`,
    `fws_j_lk` (J per litre and kelvin), `fws_open_lpm` (flow with the valve wide open),
    `rangeability`, `authority`. `ua_factor` is the share of UA that is there, `valve_flow_factor`
    the facility water's flow over the table's.
    """

    def __init__(self, model: "dict[str, Any]") -> None:
        self._ua = 1000.0 * model["ua_kw_k"]
        self.design_lpm: float = model["tcs_lpm"]
        self.fws_design_lpm: float = model["fws_lpm"]
        self._tcs_w: float = model["tcs_j_lk"] / 60.0
        self._fws_w: float = model["fws_j_lk"] / 60.0
        self.ua_factor = 1.0
        self.valve_flow_factor = 1.0
        self._table_flow_factor = 1.0
        self.flows = _flows(model)
        self._film_terms = [
            pow_det(lpm / model["fws_lpm"], -8 / 10) if lpm > 0 else 0.0 for lpm in self.flows
        ]
        self.effectiveness_table = [0.0] * _POINTS
        self._table_lpm = 0.0
        self._table_ua_factor = 1.0
        self._last_index = 0
        self.update_table(self.design_lpm)

    def set_flow_factor(self, factor: float) -> None:
        """Set the ratio of the real flow through the valve to the flow of the model."""
        self.valve_flow_factor = factor

    def set_ua_factor(self, factor: float) -> None:
        """Set the ratio of the real UA to the UA of a clean exchanger."""
        self.ua_factor = factor

    def update_table(self, tcs_lpm: float) -> None:
        """Make the table ready for a secondary flow, L/min."""
        if tcs_lpm < _MIN_LPM:
            tcs_lpm = _MIN_LPM
        flow_change = tcs_lpm - self._table_lpm
        ua_change = self.ua_factor - self._table_ua_factor
        flow_unchanged = -_FLOW_TOLERANCE * tcs_lpm < flow_change < _FLOW_TOLERANCE * tcs_lpm
        factor_change = self.valve_flow_factor - self._table_flow_factor
        if (
            flow_unchanged
            and -_UA_TOLERANCE < ua_change < _UA_TOLERANCE
            and -_FLOW_TOLERANCE < factor_change < _FLOW_TOLERANCE
        ):
            return
        self._table_lpm, self._table_ua_factor = tcs_lpm, self.ua_factor
        self._table_flow_factor = self.valve_flow_factor
        c1 = tcs_lpm * self._tcs_w
        film = pow_det(tcs_lpm / self.design_lpm, -8 / 10)
        fws_film_factor = pow_det(self.valve_flow_factor, -8 / 10)
        ua = 2.0 * self._ua * self.ua_factor
        for i in range(1, _POINTS):
            c2 = self.flows[i] * self.valve_flow_factor * self._fws_w
            self.effectiveness_table[i] = _effectiveness(
                ua / (film + fws_film_factor * self._film_terms[i]), c1, c2
            )

    def effectiveness_at(self, tcs_lpm: float, fws_lpm: float) -> float:
        """Give the share at any pair of flows above 0, without the table."""
        film = pow_det(tcs_lpm / self.design_lpm, -8 / 10)
        film += pow_det(fws_lpm / self.fws_design_lpm, -8 / 10)
        c1, c2 = tcs_lpm * self._tcs_w, fws_lpm * self._fws_w
        return _effectiveness(2.0 * self._ua * self.ua_factor / film, c1, c2)

    def flow_at(self, valve_pct: float) -> float:
        """Give the facility water's flow at an opening (%), L/min."""
        x = valve_pct / _STEP
        i = int(x)
        i = i if i < _POINTS - 1 else _POINTS - 2
        return self.valve_flow_factor * (
            self.flows[i] + (x - i) * (self.flows[i + 1] - self.flows[i])
        )

    def fws_capacity(self, fws_lpm: float) -> float:
        """Heat capacity rate of a flow of facility water, W/K."""
        return fws_lpm * self._fws_w

    def tcs_capacity(self, tcs_lpm: float) -> float:
        """Heat capacity rate of a secondary flow, W/K."""
        return tcs_lpm * self._tcs_w

    def valve_for_effect(self, effectiveness: float) -> float:
        """Give the opening (0 to 100 %) that cools by `effectiveness`; the end if none does."""
        table = self.effectiveness_table
        i = self._last_index
        while i < _POINTS - 2 and table[i + 1] < effectiveness:
            i += 1
        while i > 0 and table[i] > effectiveness:
            i -= 1
        self._last_index = i
        low, high = table[i], table[i + 1]
        if effectiveness <= low:
            return i * _STEP
        if effectiveness >= high:
            return (i + 1) * _STEP
        return (i + (effectiveness - low) / (high - low)) * _STEP

    def effectiveness(self, valve_pct: float) -> float:
        """Give the share of the way that an opening (%) cools by."""
        x = valve_pct / _STEP
        i = int(x)
        if i >= _POINTS - 1:
            return self.effectiveness_table[_POINTS - 1]
        return self.effectiveness_table[i] + (x - i) * (
            self.effectiveness_table[i + 1] - self.effectiveness_table[i]
        )


def _flows(model: "dict[str, Any]") -> "list[float]":
    """The facility water's flow at each opening of the table, L/min."""
    r, a, open_lpm = model["rangeability"], model["authority"], model["fws_open_lpm"]
    flows = [0.0]
    for i in range(1, _POINTS):
        inherent = pow_det(r, i * _STEP / 100.0 - 1.0)
        flows.append(open_lpm / sqrt_det(1.0 - a + a / (inherent * inherent)))
    return flows


def _effectiveness(ua: float, c1: float, c2: float) -> float:
    """Effectiveness times Cmin over the secondary's capacity rate."""
    low, high = (c1, c2) if c1 < c2 else (c2, c1)
    ntu, ratio = ua / low, low / high
    gap = 1.0 - ratio
    if gap < 1 / 1000:
        effectiveness = ntu / (1.0 + ntu)
    else:
        e = exp(-ntu * gap)
        effectiveness = (1.0 - e) / (1.0 - ratio * e)
    return effectiveness * low / c1
