# SPDX-License-Identifier: Apache-2.0
"""Steady-state model of the plate exchanger and its valve: a table from position to effectiveness.

Not a controller, and independent of the plant model of the bench, which uses the same textbook. For
a counter-flow exchanger the temperature effectiveness of the secondary side is

    effectiveness = (return - supply) / (return - fws_supply) = eps * Cmin / C(secondary)

with eps of the effectiveness-NTU method (Kays and London, Compact Heat Exchangers) and

    UA = UA(design) * 2 / (V1^-0.8 + V2^-0.8)

V1 and V2 are the flows divided by their design values. No temperature is an input. So the table is
computed again only after a change of the secondary flow or of one of the two learned factors
(`ua_factor`, `valve_flow_factor`).

The valve is equal-percentage: R^(x-1) of Kvs at stroke x, in a pipe with authority a. Its flow is
F / sqrt(1 - a + a / (R^(x-1))^2) (sizing guides of two-way valves). The real flow is this flow
times `valve_flow_factor` and a shape factor at the stroke; both are learned
(`agent.control.watch.valve_curve`). So the inverse characteristic follows the real valve.
"""

from agent.control.law.deterministic_math import exp, pow_det, sqrt_det

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_POINTS = 26
_STEP = 100.0 / (_POINTS - 1)
_SHAPE_POINTS = 6
_SHAPE_STEP = (_POINTS - 1) // (_SHAPE_POINTS - 1)
_FLOW_TOLERANCE = 1 / 100
_LEAST_RISE = 1001 / 1000
_UA_TOLERANCE = 1 / 200
_MIN_LPM = 1.0


class Exchanger:
    """The exchanger and its valve. `model` is a section of the configuration.

    Keys: `ua_kw_k` (kW/K at the design flows), `tcs_lpm`, `fws_lpm` (design flows, L/min),
    `tcs_j_lk`, `fws_j_lk` (heat capacity, J/(L K)), `fws_open_lpm` (flow with the valve open,
    L/min), `rangeability`, `authority`. `ua_factor`: real UA over UA of a clean exchanger.
    `valve_flow_factor`: real facility water flow over the flow of the characteristic. `shape`: its
    local correction at 0, 20 ... 100 %. `real_flows`: flow at each position of the table.
    `may_learn_ua`: the readings permit learning of `ua_factor`. `table_lpm`: secondary flow of the
    table. `most_size`: a flow of so many times that of the characteristic can be a larger valve.
    """

    most_size = 5.0

    def __init__(self, model: "dict[str, Any]") -> None:
        self._ua = 1000.0 * model["ua_kw_k"]
        self.design_lpm: float = model["tcs_lpm"]
        self.fws_design_lpm: float = model["fws_lpm"]
        self._tcs_w: float = model["tcs_j_lk"] / 60.0
        self._fws_w: float = model["fws_j_lk"] / 60.0
        self.ua_factor = 1.0
        self.may_learn_ua = True
        self.valve_flow_factor = 1.0
        self.shape = [1.0] * _SHAPE_POINTS
        self._curve_changed = False
        self._table_flow_factor = 1.0
        self.flows = _flows(model)
        self.real_flows = list(self.flows)
        self._film_terms = [
            pow_det(lpm / model["fws_lpm"], -8 / 10) if lpm > 0 else 0.0 for lpm in self.flows
        ]
        self.effectiveness_table = [0.0] * _POINTS
        self.table_lpm = 0.0
        self._table_ua_factor = 1.0
        self._last_index = 0
        self.update_table(self.design_lpm)

    def set_flow_factor(self, factor: float) -> None:
        """Set the ratio of the real flow through the valve to the flow of the model."""
        self.valve_flow_factor = factor

    def set_shape(self, i: int, factor: float) -> None:
        """Set the shape factor at `20 * i` percent; see `update_table`."""
        self.shape[i] = factor
        self._curve_changed = True

    def shape_at(self, i: int) -> float:
        """Return the shape factor at position `i` of the table."""
        k, part = i // _SHAPE_STEP, (i % _SHAPE_STEP) / _SHAPE_STEP
        if part == 0.0:
            return self.shape[k]
        return self.shape[k] + part * (self.shape[k + 1] - self.shape[k])

    def _update_flows(self) -> bool:
        """Update `real_flows`. Return True if one differs by more than `_FLOW_TOLERANCE`.

        The flows always rise with the position, also if the learned curve does not.
        """
        self._curve_changed = False
        is_moved, last = False, 0.0
        for i in range(1, _POINTS):
            last = self._real_flow(i, last)
            change = last - self.real_flows[i]
            is_moved = is_moved or not -_FLOW_TOLERANCE * last < change < _FLOW_TOLERANCE * last
        if is_moved:
            for i in range(1, _POINTS):
                self.real_flows[i] = self._real_flow(i, self.real_flows[i - 1])
        return is_moved

    def _real_flow(self, i: int, last: float) -> float:
        """Return the flow at position `i`; `last`: the flow at the position before."""
        lpm = self.flows[i] * self.valve_flow_factor * self.shape_at(i)
        return max(lpm, _LEAST_RISE * last)

    def permit_ua_learning(self, is_permitted: bool) -> None:
        """Permit or stop the learning of `ua_factor`."""
        self.may_learn_ua = is_permitted

    def set_ua_factor(self, factor: float) -> None:
        """Set the ratio of the real UA to the UA of a clean exchanger."""
        self.ua_factor = factor

    def update_table(self, tcs_lpm: float) -> None:
        """Update the table for a secondary flow, L/min, if an input has changed."""
        tcs_lpm = max(tcs_lpm, _MIN_LPM)
        flow_change = tcs_lpm - self.table_lpm
        ua_change = self.ua_factor - self._table_ua_factor
        flow_unchanged = -_FLOW_TOLERANCE * tcs_lpm < flow_change < _FLOW_TOLERANCE * tcs_lpm
        if self._table_flow_factor != self.valve_flow_factor:
            self._table_flow_factor, self._curve_changed = self.valve_flow_factor, True
        curve_moved = self._curve_changed and self._update_flows()
        if flow_unchanged and -_UA_TOLERANCE < ua_change < _UA_TOLERANCE and not curve_moved:
            return
        self.table_lpm, self._table_ua_factor = tcs_lpm, self.ua_factor
        c1 = tcs_lpm * self._tcs_w
        film = pow_det(tcs_lpm / self.design_lpm, -8 / 10)
        ua = 2.0 * self._ua * self.ua_factor
        factors = [pow_det(self.valve_flow_factor * factor, -8 / 10) for factor in self.shape]
        for i in range(1, _POINTS):
            k, part = i // _SHAPE_STEP, (i % _SHAPE_STEP) / _SHAPE_STEP
            factor = factors[k] + (part * (factors[k + 1] - factors[k]) if part else 0.0)
            self.effectiveness_table[i] = _effectiveness(
                ua / (film + factor * self._film_terms[i]), c1, self.real_flows[i] * self._fws_w
            )

    def effectiveness_at(
        self, tcs_lpm: float, fws_lpm: float, ua_factor: "float | None" = None
    ) -> float:
        """Return the effectiveness for two flows above 0, L/min, without the table. `ua_factor`:
        instead of the present one.
        """
        ua_factor = self.ua_factor if ua_factor is None else ua_factor
        film = pow_det(tcs_lpm / self.design_lpm, -8 / 10)
        film += pow_det(fws_lpm / self.fws_design_lpm, -8 / 10)
        c1, c2 = tcs_lpm * self._tcs_w, fws_lpm * self._fws_w
        return _effectiveness(2.0 * self._ua * ua_factor / film, c1, c2)

    def flow_at(self, valve_pct: float) -> float:
        """Return the facility water flow at a valve position (0 to 100 %), L/min, with the present
        factors.
        """
        x = valve_pct / _STEP
        i = int(x)
        i = i if i < _POINTS - 1 else _POINTS - 2
        design_lpm = self.flows[i] + (x - i) * (self.flows[i + 1] - self.flows[i])
        k = i // _SHAPE_STEP
        part = x / _SHAPE_STEP - k
        shape = self.shape[k] + part * (self.shape[k + 1] - self.shape[k])
        return self.valve_flow_factor * shape * design_lpm

    def fws_capacity(self, fws_lpm: float) -> float:
        """Return the heat capacity rate of a facility water flow, W/K."""
        return fws_lpm * self._fws_w

    def tcs_capacity(self, tcs_lpm: float) -> float:
        """Return the heat capacity rate of a secondary flow, W/K."""
        return tcs_lpm * self._tcs_w

    def valve_for_effect(self, effectiveness: float) -> float:
        """Return the valve position (0 to 100 %) for `effectiveness`, or the nearest end."""
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

    def effectiveness_of(self, fws_lpm: float) -> float:
        """Return the effectiveness at a facility water flow, L/min, from the table."""
        flows, i = self.real_flows, 0
        while i < _POINTS - 2 and flows[i + 1] < fws_lpm:
            i += 1
        return self.effectiveness(_STEP * (i + (fws_lpm - flows[i]) / (flows[i + 1] - flows[i])))

    def effectiveness(self, valve_pct: float) -> float:
        """Return the effectiveness at a valve position (0 to 100 %)."""
        x = max(valve_pct / _STEP, 0.0)
        i = int(x)
        if i >= _POINTS - 1:
            return self.effectiveness_table[_POINTS - 1]
        return self.effectiveness_table[i] + (x - i) * (
            self.effectiveness_table[i + 1] - self.effectiveness_table[i]
        )


def _flows(model: "dict[str, Any]") -> "list[float]":
    """Return the facility water flow at each position of the table, L/min."""
    r, a, open_lpm = model["rangeability"], model["authority"], model["fws_open_lpm"]
    flows = [0.0]
    for i in range(1, _POINTS):
        inherent = pow_det(r, i * _STEP / 100.0 - 1.0)
        flows.append(open_lpm / sqrt_det(1.0 - a + a / (inherent * inherent)))
    return flows


def _effectiveness(ua: float, c1: float, c2: float) -> float:
    """Return eps times Cmin divided by the heat capacity rate of the secondary side."""
    low, high = (c1, c2) if c1 < c2 else (c2, c1)
    ntu, ratio = ua / low, low / high
    gap = 1.0 - ratio
    if gap < 1 / 1000:
        effectiveness = ntu / (1.0 + ntu)
    else:
        e = exp(-ntu * gap)
        effectiveness = (1.0 - e) / (1.0 - ratio * e)
    return effectiveness * low / c1
