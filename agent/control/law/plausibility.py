# SPDX-License-Identifier: Apache-2.0
"""Plausibility of supply and return temperature, flow and dP, by relations of the plant.

Does not read sensors and does not raise alarms. Each signal is a `CheckedSignal`; this module
gives the estimates and finds the signal that does not agree. Temperatures in °C, flows in L/min.

    R1   return - supply = q,  q = C1 (fws_return - fws_supply) / C
    R6   return - supply = e (return - fws_supply)      e: effectiveness, from both flows
    hold return - supply = the last valid value      at the same heat, for `_HOLD_S`
    R4   flow = k sqrt(dP)                              k: learned
    R3   flow = n * pump speed                          n: learned

R1 and R6 without the supply: an error d of the supply shifts both by -d. An error d of the return
shifts R1 by d and R6 by (1 - e) d. Another pair is no proof against one sensor. The shares of R1
and R6 (calibration of the sensors, model) are learned while the row is steady: in the first minute,
and then slowly while R1 agrees. `ua_steady` permits learning of the exchanger: a false sensor value
must not change the model.
"""

from agent.control.law.checked_signal import RELATION, CheckedSignal
from agent.control.law.deterministic_math import sqrt_det

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_PROVE_S = 9.5
_GROSS_S = 19.5
_FLOW_S, _METER_S = 1.5, 1.5
_STEADY_S = 29.5
_UNSTEADY_S, _START_S = 60.0, 30.0
_FILTER_S = 60.0
_HX_S = 8.0
_HOLD_S = 200.0
_FIRST_S, _SLOW_S, _LEARN_S = 59.5, 900.0, 14_400.0
_LONG_LEARNED_S = 300.0
_FINE_K, _GROSS_K = 22 / 100, 15 / 10
_LEARN_K, _RESTORE_K = 20 / 100, 12 / 100
_MOVED_K = 40 / 100
_MIN_RISE_K = 10 / 10
_ALONE_K = 10.0
_SPARE_K = 30 / 10
_SETTLED_S = 5.0
_LEAST_RISE_K = 20 / 10


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
        self.redundant_supply_c: float | None = None


class RowPlausibility:
    """Checks the four signals once a cycle. `exchanger`: None without a model."""

    def __init__(self, exchanger: "Exchanger | None", design_lpm: float) -> None:
        self.supply = CheckedSignal(5.0, 75.0, 1.0, _RESTORE_K)
        self.return_signal = CheckedSignal(5.0, 90.0, 1.0, _RESTORE_K)
        tolerance = design_lpm / 10.0
        self.flow = CheckedSignal(-0.5, 16 * tolerance, tolerance, tolerance)
        self.dp = CheckedSignal(-100.0, 1600.0, 10.0, 10.0)
        self.ua_steady = True
        self.heat_share = self.model_share = 1.0
        self.heat_rise_k: float | None = None
        self.effectiveness: float | None = None
        self._exchanger = exchanger
        self._design_lpm = design_lpm
        self._dp_factor = self._pump_factor = 0.0
        self._damped: list[float | None] = [None, None]
        self._flow_s = self._dp_s = self._fine_s = self._gross_s = self._steady_s = 0.0
        self._unsteady_s = _START_S
        self._moving_s = self._learned_s = self._alone_s = 0.0
        self._mean: list[float] = []
        self._fine = [0.0, 0.0]
        self._gross = [0.0, 0.0]
        self._lagged_k: float | None = None
        self._spread_k = 0.0
        self._held = (0.0, 0.0, _HOLD_S)

    def step(self, r: RowReadings, dt: float) -> None:
        """Check the readings of a cycle; then `value` of each signal is valid for it."""
        self._check_flow(r, dt)
        flow = self.flow.value
        slow = 1.0 if self._moving_s <= 0.0 else 6.0
        supply = self.supply.read(r.supply_c, 8 / 10 * slow, 5 / 10 * slow, 17 / 10 * slow, dt)
        return_c = self.return_signal.read(r.return_c, 15 / 10 * slow, slow, slow, dt)
        self._update_model(r, flow)
        if supply is not None and return_c is not None:
            self._compare(r, flow, supply, return_c, dt)
        else:
            self._compare_facility(r, supply, dt)
        self._settle(r, flow, dt)

    # Over a restart; see `agent.control.watch.learned_store`.

    def learned(self) -> "tuple[list[float], list[int]]":
        """Return the factors of dP and pump speed, the shares of R1 and R6, and the numbers of the
        suspect signals: supply, return, flow, dP.
        """
        factors = [self._dp_factor, self._pump_factor, self.heat_share, self.model_share]
        return factors, [i for i, signal in enumerate(self._signals()) if signal.suspect]

    def restore(self, factors: "list[float]", suspects: "list[int]") -> None:
        """Take over the result of `learned` from before a restart."""
        self._dp_factor, self._pump_factor = factors[:2]
        self.heat_share, self.model_share = _share(factors[2]), _share(factors[3])
        for i, signal in enumerate(self._signals()):
            if i in suspects:
                signal.mark_suspect(RELATION)

    def _signals(self) -> "tuple[CheckedSignal, ...]":
        return self.supply, self.return_signal, self.flow, self.dp

    # Flow.

    def _check_flow(self, r: RowReadings, dt: float) -> None:
        """Compare the flow, dP and the speed of the pumps: the third of three is suspect."""
        tolerance = self._design_lpm / 10.0
        any_rate = 100.0 * tolerance
        flow = self.flow.read(r.flow_lpm, any_rate, any_rate, 0.0, dt)
        dp = self.dp.read(r.dp_kpa, 1e4, 1e4, 0.0, dt)
        by_dp = by_pump = None
        if dp is not None and self._dp_factor > 0.0:
            by_dp = self._damp(0, self._dp_factor * sqrt_det(dp), dt)
        if r.pump_pct is not None and self._pump_factor > 0.0:
            by_pump = self._damp(1, self._pump_factor * r.pump_pct, dt)
        estimate = by_pump if by_dp is None else by_dp
        if self.dp.suspect or self.flow.suspect:
            # Values of a faulty sensor say nothing about the time after the fault.
            self._flow_s = self._dp_s = 0.0
            if self.dp.suspect:
                self._damped[0] = None
        if flow is not None and by_dp is not None and by_pump is not None:
            flow_apart = _is_third(flow, by_dp, by_pump, tolerance)
            dp_apart = _is_third(by_dp, flow, by_pump, tolerance)
            self._flow_s = self._flow_s + dt if flow_apart else 0.0
            self._dp_s = self._dp_s + dt if dp_apart else 0.0
            if self._flow_s >= _FLOW_S:
                self.flow.mark_suspect(RELATION)
            if self._dp_s >= _FLOW_S:
                self.dp.mark_suspect(RELATION)
        source = by_pump if flow is None or self.flow.suspect else flow
        root = None if source is None or self._dp_factor <= 0.0 else source / self._dp_factor
        self.dp.settle(r.dp_kpa, None if root is None else root * root, 10.0, dt)
        last = self.flow.value
        self.flow.settle(r.flow_lpm, estimate, tolerance, dt)
        now = self.flow.value
        moved = last is not None and (now is None or not -tolerance < now - last < tolerance)
        self._moving_s = _FILTER_S if moved else self._moving_s - dt
        if flow is not None and not (self.flow.suspect or self.dp.suspect):
            self._learn_flow(flow, r, dt)

    def _damp(self, i: int, lpm: float, dt: float) -> float:
        """Return an estimate of the flow with the damping of a flow meter."""
        last = self._damped[i]
        self._damped[i] = lpm = lpm if last is None else last + dt / (dt + _METER_S) * (lpm - last)
        return lpm

    def _learn_flow(self, flow: float, r: RowReadings, dt: float) -> None:
        k = dt / (dt + _FILTER_S)
        if flow < self._design_lpm / 5.0:
            return
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
        self.effectiveness = self.model_share * exchanger.effectiveness_of(v1)
        if r.fws_return_c is not None and t1 is not None:
            heat_w = exchanger.fws_capacity(v1) * (r.fws_return_c - t1)
            self.heat_rise_k = self.heat_share * heat_w / exchanger.tcs_capacity(flow)

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
            if self._gross_s >= _PROVE_S:  # they are swapped, or both false
                self.supply.mark_suspect(RELATION)
                self.return_signal.mark_suspect(RELATION)
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
            self._learn_shares(rise_k, q, e * (return_c - t1), dt)
        else:
            self._steady_s = 0.0
        steady = self._steady_s >= _STEADY_S and self._learned_s > _FIRST_S
        self.ua_steady = steady and -_RESTORE_K < self._fine[0] < _RESTORE_K
        self._fine_s = (
            self._fine_s + dt if steady and self._find_suspect(self._fine, _FINE_K, e) else 0.0
        )
        larger = rise_k if rise_k > q else q
        gross = self._find_suspect(self._gross, _GROSS_K + 15 / 100 * larger, e)
        self._gross_s = self._gross_s + dt if gross else 0.0
        if self._fine_s >= _PROVE_S or self._gross_s >= _GROSS_S:
            suspect = self._find_suspect(self._fine, _FINE_K, e) if steady else gross
            (self.supply if suspect == "supply" else self.return_signal).mark_suspect(RELATION)
            self._steady_s = self._fine_s = self._gross_s = 0.0

    def _compare_facility(self, r: RowReadings, supply: "float | None", dt: float) -> None:
        """Compare a supply whose return is suspect with the facility side, by R1 and R6: the wrong
        one of both may have become valid. The band has the error of the model at a small flow.
        """
        q, e, t1 = self.heat_rise_k, self.effectiveness, r.fws_supply_c
        known = supply is not None and q is not None and t1 is not None and self._moving_s <= 0.0
        if not known or e is None or e < 5 / 100:
            self._alone_s = 0.0
            return
        apart = (supply or 0.0) - ((t1 or 0.0) + (q or 0.0) / e - (q or 0.0))
        self._alone_s = 0.0 if -_ALONE_K < apart < _ALONE_K else self._alone_s + dt
        if self._alone_s >= _GROSS_S:
            self.supply.mark_suspect(RELATION)

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

    def _learn_shares(self, rise_k: float, q: float, model_k: float, dt: float) -> None:
        """Learn the shares: their means in the first minute, then slowly while R1 agrees."""
        if q < _LEAST_RISE_K or model_k < _LEAST_RISE_K:
            return
        time_s = self._learned_s = self._learned_s + dt
        if time_s > _FIRST_S:
            if not -_LEARN_K < self._fine[0] < _LEARN_K:
                return
            time_s = time_s + _SLOW_S if time_s < _LEARN_S else _LEARN_S
        k = dt / time_s
        self.heat_share = _share(self.heat_share * (1.0 + k * (rise_k - q) / q))
        self.model_share = _share(self.model_share * (1.0 + k * (rise_k - model_k) / model_k))

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
        return_c = None if self.return_signal.suspect else r.return_c
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
        spare = r.redundant_supply_c
        if spare is not None and (by_return is None or -_SPARE_K < spare - by_return < _SPARE_K):
            by_return, uncertainty = spare, 5 / 10
        # Coolant without flow does not change its temperature.
        flows = flow is not None and flow > self._design_lpm / 3.0
        flows = flows and self._moving_s < _FILTER_S - _SETTLED_S
        for signal in (self.supply, self.return_signal):
            if signal.note_age(self._learned_s < _LONG_LEARNED_S):
                self._learned_s = self._steady_s = 0.0
                self._fine[:] = self._gross[:] = [0.0, 0.0]
        self.return_signal.watch_still(r.return_c, by_supply if flows else None, dt)
        self.supply.watch_still(r.supply_c, by_return if flows else None, dt)
        self.return_signal.settle(r.return_c, by_supply, uncertainty, dt)
        self.supply.settle(r.supply_c, by_return, uncertainty, dt)
        if self.supply.suspect or self.return_signal.suspect:
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
            if q is not None:
                self._spread_k += dt / (dt + _FILTER_S) * (lagged - q - self._spread_k)
            return lagged, 5 / 10 + (self._spread_k if self._spread_k > 0.0 else -self._spread_k)
        self._lagged_k = None
        if q is not None:
            return q, 1.0 if supply is not None else 2.0
        if flow is None or flow <= 0.0 or age_s >= _HOLD_S:
            return None, 0.0
        return rise_k * flow_then / flow, 1.0 + age_s / 50.0


def _share(share: float) -> float:
    return 85 / 100 if share < 85 / 100 else 115 / 100 if share > 115 / 100 else share


def _is_third(value: float, first: float, second: float, tolerance: float) -> bool:
    """Return whether `first` and `second` agree, and `value` does not agree with them."""
    low, high = (first, second) if first < second else (second, first)
    apart = value < low - 2.0 * tolerance or value > high + 2.0 * tolerance
    return apart and high - low < tolerance


def _follow(filtered: "list[float]", first: float, second: float, k: float) -> None:
    filtered[0] += k * (first - filtered[0])
    filtered[1] += k * (second - filtered[1])
