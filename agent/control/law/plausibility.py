# SPDX-License-Identifier: Apache-2.0
"""Plausibility of supply temperature, return temperature and flow, by relations of the plant.

Does not read sensors and does not raise alarms. Each signal is a `CheckedSignal`; this module
gives the estimates and finds the signal that does not agree. Temperatures in °C, flows in L/min.

    R1   return - supply = q,  q = C1 (fws_return - fws_supply) / C
    R6   return - supply = e (return - fws_supply)      e: effectiveness, from both flows
    hold return - supply = the last valid value      at the same heat, for `_HOLD_S`
    R4   flow = k sqrt(dP)                              k: learned
    R3   flow = n * pump speed                          n: learned

R1 and R6 without the supply: a lie of the supply by d shifts both by -d. A lie of the return by d
shifts R1 by d and R6 by (1 - e) d. Another pair is no proof against one sensor. The share of R1
(calibration of the sensors) is learned while the row is steady and both sides agree. `ua_steady`
permits learning of the exchanger: a lying sensor must not become a model.
"""

from agent.control.law.checked_signal import RELATION, CheckedSignal
from agent.control.law.deterministic_math import sqrt_det

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_PROVE_S = 9.5
_GROSS_S = 19.5
_FLOW_S = 1.5
_STEADY_S = 29.5
_UNSTEADY_S = 90.0
_FILTER_S = 60.0
_HX_S = 8.0
_HOLD_S = 200.0
_LEARN_S = 14_400.0
_FINE_K, _GROSS_K = 25 / 100, 15 / 10
_LEARN_K = 20 / 100
_MOVED_K = 40 / 100
_MIN_RISE_K = 10 / 10
_SPARE_K = 30 / 10


class RowReadings:
    """Readings of a cycle before the checks; None: unknown."""

    def __init__(self) -> None:
        self.supply_c: float | None = None
        self.return_c: float | None = None
        self.flow_lpm: float | None = None
        self.dp_kpa: float | None = None
        self.fws_supply_c: float | None = None
        self.fws_return_c: float | None = None
        self.fws_flow_lpm: float | None = None
        self.pump_pct: float | None = None
        self.spare_c: float | None = None


class RowPlausibility:
    """Checks the three signals once a cycle. `exchanger`: None without a model."""

    def __init__(self, exchanger: "Exchanger | None", design_lpm: float) -> None:
        self.supply = CheckedSignal(5.0, 75.0, 1.0)
        self.returned = CheckedSignal(5.0, 90.0, 1.0)
        self.flow = CheckedSignal(-0.5, 16 / 10 * design_lpm, design_lpm / 10.0)
        self.ua_steady = True
        self.share = 1.0
        self.heat_rise_k: float | None = None
        self.effectiveness: float | None = None
        self._exchanger = exchanger
        self._design_lpm = design_lpm
        self._dp_factor = self._pump_factor = 0.0
        self._flow_s = self._fine_s = self._gross_s = self._steady_s = 0.0
        self._unsteady_s = _UNSTEADY_S
        self._moving_s = 0.0
        self._learned_s = _FILTER_S
        self._mean: list[float] = []
        self._fine = [0.0, 0.0]
        self._gross = [0.0, 0.0]
        self._lagged_k: float | None = None
        self._held = (0.0, 0.0, _HOLD_S)

    def step(self, r: RowReadings, dt: float) -> None:
        """Check the readings of a cycle; then `value` of each signal is valid for it."""
        self._check_flow(r, dt)
        flow = self.flow.value
        slow = 1.0 if self._moving_s <= 0.0 else 6.0
        supply = self.supply.read(r.supply_c, 8 / 10 * slow, 5 / 10 * slow, 17 / 10 * slow, dt)
        return_c = self.returned.read(r.return_c, 15 / 10 * slow, slow, slow, dt)
        self._update_model(r, flow)
        if supply is not None and return_c is not None:
            self._compare(r, flow, supply, return_c, dt)
        self._settle(r, flow, dt)

    # Flow.

    def _check_flow(self, r: RowReadings, dt: float) -> None:
        """Compare the flow with dP and with the speed of the pumps: two of three."""
        design = self._design_lpm
        flow = self.flow.read(r.flow_lpm, 2 / 3 * design, 2 / 3 * design, design / 20.0, dt)
        by_dp = by_pump = None
        if r.dp_kpa is not None and self._dp_factor > 0.0:
            by_dp = self._dp_factor * sqrt_det(r.dp_kpa)
        if r.pump_pct is not None and self._pump_factor > 0.0:
            by_pump = self._pump_factor * r.pump_pct
        estimate = by_pump if by_dp is None else by_dp
        tolerance = design / 10.0
        if flow is not None and by_dp is not None and by_pump is not None:
            low, high = (by_dp, by_pump) if by_dp < by_pump else (by_pump, by_dp)
            apart = flow < low - 2.0 * tolerance or flow > high + 2.0 * tolerance
            self._flow_s = self._flow_s + dt if apart and high - low < tolerance else 0.0
            if self._flow_s >= _FLOW_S:
                self.flow.accuse(RELATION)
        last = self.flow.value
        self.flow.settle(r.flow_lpm, estimate, tolerance, dt)
        now = self.flow.value
        moved = now is None or last is None or not -tolerance < now - last < tolerance
        self._moving_s = _FILTER_S if moved else self._moving_s - dt
        if flow is not None and not self.flow.suspect and flow > design / 5.0:
            self._learn_flow(flow, r, dt)

    def _learn_flow(self, flow: float, r: RowReadings, dt: float) -> None:
        k = dt / (dt + _FILTER_S)
        if r.dp_kpa is not None and r.dp_kpa > 1.0:
            factor = flow / sqrt_det(r.dp_kpa)
            self._dp_factor += (k if self._dp_factor > 0.0 else 1.0) * (factor - self._dp_factor)
        if r.pump_pct is not None and r.pump_pct > 5.0:
            factor = flow / r.pump_pct
            k = k if self._pump_factor > 0.0 else 1.0
            self._pump_factor += k * (factor - self._pump_factor)

    # Temperatures.

    def _update_model(self, r: RowReadings, flow: "float | None") -> None:
        """Update the rise by R1 and the effectiveness of R6; None: not known."""
        self.heat_rise_k = self.effectiveness = None
        exchanger, t1, v1 = self._exchanger, r.fws_supply_c, r.fws_flow_lpm
        if exchanger is None or flow is None or v1 is None or flow < self._design_lpm / 20.0:
            return
        exchanger.update_table(flow)
        self.effectiveness = exchanger.effectiveness_of(v1)
        if r.fws_return_c is not None and t1 is not None:
            heat_w = exchanger.fws_capacity(v1) * (r.fws_return_c - t1)
            self.heat_rise_k = self.share * heat_w / exchanger.tcs_capacity(flow)

    def _compare(
        self, r: RowReadings, flow: "float | None", supply: float, return_c: float, dt: float
    ) -> None:
        """Compare both valid temperatures with R1 and R6."""
        rise_k = return_c - supply
        if flow is not None and flow > 0.0:
            self._held = (rise_k, flow, 0.0)
        q, e, t1 = self.heat_rise_k, self.effectiveness, r.fws_supply_c
        if rise_k < -_MIN_RISE_K and q is not None and q > _MIN_RISE_K:
            self._gross_s += dt
            if self._gross_s >= _PROVE_S:  # they are swapped, or both lie
                self.supply.accuse(RELATION)
                self.returned.accuse(RELATION)
            return
        if q is None or e is None or t1 is None or self._moving_s > 0.0:
            self._gross_s = self._fine_s = 0.0
            self.ua_steady = q is None
            return
        by_heat, by_model = rise_k - q, rise_k - e * (return_c - t1)
        self._update_steady(return_c, r.fws_flow_lpm or 0.0, dt)
        k = dt / (dt + _FILTER_S)
        _follow(self._gross, by_heat, by_model, k)
        if self._unsteady_s <= 0.0:
            self._steady_s += dt
            _follow(self._fine, by_heat, by_model, max(k, dt / (self._steady_s + dt)))
            self._learn_share(rise_k, q, dt)
        else:
            self._steady_s = 0.0
        steady = self._steady_s >= _STEADY_S
        self.ua_steady = steady and -_LEARN_K < self._fine[0] < _LEARN_K
        self._fine_s = (
            self._fine_s + dt if steady and self._find_suspect(self._fine, _FINE_K, e) else 0.0
        )
        larger = rise_k if rise_k > q else q
        gross = self._find_suspect(self._gross, _GROSS_K + 15 / 100 * larger, e)
        self._gross_s = self._gross_s + dt if gross else 0.0
        if self._fine_s >= _PROVE_S or self._gross_s >= _GROSS_S:
            suspect = self._find_suspect(self._fine, _FINE_K, e) if steady else gross
            (self.supply if suspect == "supply" else self.returned).accuse(RELATION)
            self._steady_s = self._fine_s = self._gross_s = 0.0

    def _update_steady(self, return_c: float, v1: float, dt: float) -> None:
        """Find out whether return and facility flow are steady."""
        mean = self._mean
        if not mean:
            mean[:] = [return_c, v1]
        k = dt / (dt + _FILTER_S)
        mean[0] += k * (return_c - mean[0])
        mean[1] += k * (v1 - mean[1])
        limit = 6 / 100 * mean[1] + 1.0
        if not -_MOVED_K < return_c - mean[0] < _MOVED_K or not -limit < v1 - mean[1] < limit:
            self._unsteady_s = _UNSTEADY_S
        elif self._unsteady_s > 0.0:
            self._unsteady_s -= dt

    def _learn_share(self, rise_k: float, q: float, dt: float) -> None:
        """Learn the share of R1 while it nearly agrees."""
        self._learned_s += dt if self._learned_s < _LEARN_S else 0.0
        if q > 2.0 and -_LEARN_K < self._fine[0] < _LEARN_K:
            share = self.share * (1.0 + dt / self._learned_s * (rise_k - q) / q)
            if 7 / 10 < share < 13 / 10:
                self.share = share

    @staticmethod
    def _find_suspect(residuals: "list[float]", limit: float, e: float) -> str:
        """Return the signal that explains both residuals, `supply` or `return`; empty: none."""
        by_heat, by_model = residuals
        size = by_heat if by_heat > 0.0 else -by_heat
        if size < limit:
            return ""
        by_supply, by_return = by_heat - by_model, by_heat - by_model - e * by_heat
        by_supply = by_supply if by_supply > 0.0 else -by_supply
        by_return = by_return if by_return > 0.0 else -by_return
        if (by_supply if by_supply < by_return else by_return) > 5 / 100 + 12 / 100 * size:
            return ""
        return "supply" if by_supply < by_return else "return"

    def _settle(self, r: RowReadings, flow: "float | None", dt: float) -> None:
        """Set the value of both temperatures: the readings, or their estimates."""
        supply = None if self.supply.suspect else r.supply_c
        return_c = None if self.returned.suspect else r.return_c
        rise_k, uncertainty = self._rise(r, supply, return_c, flow, dt)
        t1, e, q = r.fws_supply_c, self.effectiveness, self.heat_rise_k
        by_supply = by_return = None
        if rise_k is not None:
            if supply is not None:
                by_supply = supply + rise_k
            elif q is not None and e is not None and e > 5 / 100 and t1 is not None:
                by_supply = t1 + q / e
            source = by_supply if return_c is None else return_c
            by_return = None if source is None else source - rise_k
        spare = r.spare_c
        if spare is not None and (by_return is None or -_SPARE_K < spare - by_return < _SPARE_K):
            by_return, uncertainty = spare, 5 / 10
        self.returned.settle(r.return_c, by_supply, uncertainty, dt)
        self.supply.settle(r.supply_c, by_return, uncertainty, dt)
        if self.supply.suspect or self.returned.suspect:
            self.ua_steady = False

    def _rise(
        self,
        r: RowReadings,
        supply: "float | None",
        return_c: "float | None",
        flow: "float | None",
        dt: float,
    ) -> "tuple[float | None, float]":
        """Return the estimate of return minus supply, and its uncertainty, K."""
        rise_k, flow_then, age_s = self._held
        self._held = (rise_k, flow_then, age_s + dt)
        q, e, t1 = self.heat_rise_k, self.effectiveness, r.fws_supply_c
        if e is not None and t1 is not None and return_c is not None:
            model_k = e * (return_c - t1)
            lagged = model_k if self._lagged_k is None else self._lagged_k
            self._lagged_k = lagged = lagged + dt / (dt + _HX_S) * (model_k - lagged)
            difference = 0.0 if q is None else lagged - q
            return lagged, 5 / 10 + (difference if difference > 0.0 else -difference)
        self._lagged_k = None
        if q is not None:
            return q, 1.0 if supply is not None else 2.0
        if flow is None or flow <= 0.0 or age_s >= _HOLD_S:
            return None, 0.0
        return rise_k * flow_then / flow, 1.0 + age_s / 50.0


def _follow(filtered: "list[float]", first: float, second: float, k: float) -> None:
    filtered[0] += k * (first - filtered[0])
    filtered[1] += k * (second - filtered[1])
