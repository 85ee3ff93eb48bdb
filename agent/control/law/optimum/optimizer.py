# SPDX-License-Identifier: Apache-2.0
"""Search for the set-points of least power: pumps, fans and chip leakage power.

Does not apply its result and is not necessary for safety. The caller applies limits, dew point and
safety. Without this module the configured set-points apply.

`peak_load` gives the load. Every `every_s` seconds, a steady-state model evaluates a grid of pump
speeds and supply temperatures. For each point it computes the case temperature, the necessary
facility water, the necessary fan speed, and the total power. Steps around the cheapest point,
halved five times, refine it. Factors adapt the model slowly to the measured pumps and cooler.

The supply is a distance below the highest supply at the same pump speed, which follows from the
limits of case and supply. In hot hours the optimum is at the case limit. A step of the pump speed
then moves along this limit, so the search does not stop beside it.

If the mid-range position of the valve can move, it is the third variable. More facility water
improves exchanger and cooler. This costs less than fans near their full speed.

    flow is proportional to pump speed, power to its cube
    case = supply + q / (C (1 - exp(-1 / (R C)))), R = r0 + r1 (V/Vd)^-0.7 per device of 1 kW
    fws_supply = return - rise / effectiveness(mid-range position); see
    `agent.control.law.exchanger`
    facility pump, and the cooler's G(n) = heat / (fws_return - air): see `facility_side`
    fans in air of density d over that at 15 degC: G(n d), shaft power d n^3, and the losses of
    motor and converter at part load; the cooler factor has the altitude
    chip leakage = `leak_pct_k` percent of the design power per kelvin of case temperature
    water of wetted pads = `water_w_k` W for each kelvin of their cooling, proportional to n d
"""

from agent.control.law.deterministic_math import exp, pow_det
from agent.control.law.optimum.facility_side import FAN_POINTS, FacilitySide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.law.exchanger import Exchanger

_SPEEDS = 6
_ADAPT_RATE = 1 / 20
_COARSE_BELOW_K = (0.0, 3.0, 6.0, 10.0, 15.0, 21.0, -2.0, -5.0, -10.0, -20.0)
"""Supplies of the grid, K below the highest at the same pump speed. Those above it are for the
hours in which no other point is feasible.
"""
_BELOW_STEP_K, _VALVE_STEP_PCT, _MIN_VALVE_STEP_PCT = 2.0, 8.0, 1.0
_HALVINGS, _MOVES = 5, 4
"""Halvings of the steps of the refinement, and the most moves with one step."""
_CACHED_SIDES = 12
_NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (-1, -1), (1, 1))
"""Tested neighbours: steps of the pump speed and of the supply below its highest. The last two
keep the supply.
"""
_VALVE_NEIGHBOURS = ((0, 1), (0, -1), (1, 1), (-1, -1))
"""The same for the pump speed and the valve."""
_STEP_REACH_PCT, _STEP_LEAKAGE = 10.0, 101 / 100
"""Pump speed that drives of 2 % a second gain before the cases follow a step of the load; the
design load with the leakage of warm chips. From 10 % no step exceeds the limit, from 15 % one does.
Without a meter of the load the heat shows the step when the cases are hot, so the pumps gain none.
"""
_INFEASIBLE_W = 1e30
_PENALTY_W = 1e7
"""Least addition to the power of a point beyond a limit."""
_ROUNDING_K = 1 / 1000000
_KEEP_RATIO = 1001 / 1000
"""Power of the last point over that of the best up to which the last is kept."""
_MIN_GAP_K = 5 / 100
"""Least temperature difference at which the cooler can reject heat."""
_FAN_CUBIC, _FAN_SQUARE, _FAN_LINEAR = 1187 / 1000, -325 / 1000, 133 / 1000
"""Electric over rated power of fans with converters, of x with x^3 the shaft load: from 20 % speed
within 3 % of the curves MotorPartLoad and VFDPartLoad of EnergyPlus (Input Output Reference,
example of `Fan:ComponentModel`). The no-load loss of the motor falls with the square of the speed.
"""
_KELVIN_0C, _KELVIN_15C = 27315 / 100, 28815 / 100


class OptimalPoint:
    """Set-points and the values that the model predicts for them. Power in watts, °C, percent."""

    def __init__(self) -> None:
        self.supply_c = 0.0
        self.pump_pct = 0.0
        self.fan_pct = 0.0
        self.case_c = 0.0
        self.valve_target_pct = 0.0
        self.power_w = _INFEASIBLE_W


class SetpointOptimizer:
    """Searches the point of least power. `model` is a section of the configuration:

    `pump_w` (electric power of all running pumps at full speed), `full_lpm` (secondary flow there),
    `fan_w` (all fans at full speed), `cooler_kw_k` (G at full speed), `cooler_ntu` (air side, at
    full speed), `middle_pct` (mid-range position of the valve), `plate_r0_k_kw`, `plate_r1_k_kw`,
    `leak_pct_k`, `case_max_c`, `pump_min_pct`, `fan_min_pct`.

    Optional: `zero_pct` (pump speed at which flow begins, static head), `facility_w` (power of the
    facility pump at the design flow), `cooler_ua_kw_k` with `cooler_air_kw_k` (UA and heat capacity
    rate of the air at full speed; they replace `cooler_kw_k` and `cooler_ntu`), `middle_min_pct`
    and `middle_max_pct` (range of the mid-range position; without them it is constant),
    `water_w_k` (price of the water as power), `it_meter` (name of a meter of the load).
    """

    def __init__(self, model: "dict[str, Any]", exchanger: "Exchanger", design_kw: float) -> None:
        self.model = model
        self.exchanger = exchanger
        self.design_kw = design_kw
        self.pump_factors = [1.0, 1.0]
        self.cooler_factor = 1.0
        self.best = OptimalPoint()
        self._sides: list[FacilitySide] = []
        self._side = self._side_at(model["middle_pct"])
        self._flow_start_pct: float = model.get("zero_pct", 0.0)
        self._air_c = 0.0
        self._density = self._density_root = 1.0
        self._supply_limits = (0.0, 0.0)
        self._least_below_k = 0.0
        self._step_table: list[float] = []
        self._load_w = self._water_w = self._pads_k = 0.0
        self._leakage_w_k: float = 10.0 * design_kw * model["leak_pct_k"]

    def set_pads(self, kelvin: float) -> None:
        """Set by how much wetted pads cool the air, K; 0: they are dry."""
        self._pads_k = kelvin if kelvin > 0.0 else 0.0
        self._water_w = self.model.get("water_w_k", 0.0) * self._pads_k

    def find_optimum(
        self, load_kw: float, air_c: float, min_supply_c: float, max_supply_c: float
    ) -> OptimalPoint:
        """Return the cheapest point for a load in kW, the inlet air of the cooler and the limits.

        If no point is feasible, return the point with the coldest cases that the cooler can reach.
        If the air is too warm at each point, return the point that is nearest to a heat flow.
        """
        model = self.model
        self._load_w = 1000.0 * (load_kw if load_kw > 0.0 else 0.0)
        self._air_c = air_c
        self._density = _relative_density(air_c + self._pads_k)
        self._density_root = pow_det(self._density, 1 / 3)
        if max_supply_c < min_supply_c:
            max_supply_c = min_supply_c
        self._supply_limits = (min_supply_c, max_supply_c)
        min_pump_pct = model["pump_min_pct"]
        pump_step_pct = (100.0 - min_pump_pct) / (_SPEEDS - 1)
        best = OptimalPoint()
        self._set_side(self.best.valve_target_pct or model["middle_pct"])
        self._least_below_k = 0.0
        for below_k in _COARSE_BELOW_K:
            if below_k < 0.0:
                if best.power_w < _PENALTY_W:
                    break
                self._least_below_k = _COARSE_BELOW_K[-1]  # warmer cases than the limit
            for i in range(_SPEEDS):
                self._evaluate_below(min_pump_pct + i * pump_step_pct, below_k, best)
        below_step_k, valve_step_pct = _BELOW_STEP_K, _VALVE_STEP_PCT
        for _ in range(_HALVINGS):
            pump_step_pct *= 0.5
            for _ in range(_MOVES):
                if not self._move_once(pump_step_pct, below_step_k, valve_step_pct, best):
                    break
            below_step_k *= 0.5
            valve_step_pct *= 0.5
            if valve_step_pct < _MIN_VALVE_STEP_PCT:
                valve_step_pct = _MIN_VALVE_STEP_PCT
        self.best = best = self._keep_last(best)
        return best

    def target_c(self, best: OptimalPoint) -> float:
        """Return the supply to aim at, °C. If no point is feasible, it is that of the case limit:
        the model may be wrong, and valve and fans then stay at their limits.
        """
        excess_k: float = best.case_c - self.model["case_max_c"]
        return best.supply_c - (excess_k if excess_k > _ROUNDING_K else 0.0)

    def _move_once(
        self, pump_step_pct: float, below_step_k: float, valve_step_pct: float, best: OptimalPoint
    ) -> bool:
        """Evaluate the neighbours of the best point. Return whether one of them is cheaper."""
        before_w, valve_pct = best.power_w, best.valve_target_pct
        n = best.pump_pct
        case_k = self._case_k(self.flow_lpm(n), self._load_w)
        below_k = self._highest_supply_c(case_k, n) - best.supply_c
        self._set_side(valve_pct)
        for pump_steps, below_steps in _NEIGHBOURS:
            self._evaluate_below(
                n + pump_steps * pump_step_pct, below_k + below_steps * below_step_k, best
            )
        low, high = self.model.get("middle_min_pct"), self.model.get("middle_max_pct")
        if low is not None and high is not None:
            for pump_steps, valve_steps in _VALVE_NEIGHBOURS:
                tried_pct = valve_pct + valve_steps * valve_step_pct
                if low <= tried_pct <= high:
                    self._set_side(tried_pct)
                    self._evaluate_below(n + pump_steps * pump_step_pct, below_k, best)
        return best.power_w < before_w

    def _highest_supply_c(self, case_k: float, pump_pct: float) -> float:
        """Return the highest supply within the limits of supply and case, °C. At part load it
        leaves the reserve for a step to the design load, too.
        """
        high: float = self._supply_limits[1]
        highest_c: float = self.model["case_max_c"] - case_k
        if self._load_w < 1000.0 * self.design_kw:
            step_c = self._step_supply_c(pump_pct)
            highest_c = step_c if step_c < highest_c else highest_c
        return high if highest_c > high else highest_c

    def _step_supply_c(self, pump_pct: float) -> float:
        """Return the highest supply from which the pumps catch a step to the design load, °C.

        It is linear between `_SPEEDS` pump speeds: always a little too low.
        """
        table = self._step_table
        if not table:
            low = self.model["pump_min_pct"]
            reach_pct = _STEP_REACH_PCT if "it_meter" in self.model else 0.0
            for i in range(_SPEEDS):
                pct = low + i * (100.0 - low) / (_SPEEDS - 1) + reach_pct
                flow = self.flow_lpm(pct if pct < 100.0 else 100.0)
                case_k = self._case_k(flow, _STEP_LEAKAGE * 1000.0 * self.design_kw)
                table.append(self.model["case_max_c"] - case_k)
        position = self._pump_share(pump_pct) * (_SPEEDS - 1)
        i = int(position)
        if i >= _SPEEDS - 1:
            return table[-1]
        return table[i] + (position - i) * (table[i + 1] - table[i])

    def _evaluate_below(self, pump_pct: float, below_k: float, best: OptimalPoint) -> None:
        """Evaluate the supply `below_k` below the highest at this pump speed, within the limits."""
        low, high = self._supply_limits
        if below_k < self._least_below_k:
            below_k = self._least_below_k
        if not self.model["pump_min_pct"] <= pump_pct <= 100.0:
            return
        flow = self.flow_lpm(pump_pct)
        case_k = self._case_k(flow, self._load_w)
        supply_c = self._highest_supply_c(case_k, pump_pct) - below_k
        supply_c = low if supply_c < low else high if supply_c > high else supply_c
        self._evaluate(pump_pct, flow, case_k, supply_c, best)

    def _keep_last(self, best: OptimalPoint) -> OptimalPoint:
        """Return the last point with its present values if the best is hardly cheaper: each move
        of the set-points costs travel of the valve.
        """
        last, kept = self.best, OptimalPoint()
        if not last.valve_target_pct:
            return best
        self._set_side(last.valve_target_pct)
        self._evaluate_inside(last.pump_pct, last.supply_c, kept)
        return kept if kept.power_w < best.power_w * _KEEP_RATIO else best

    def flow_lpm(self, pump_pct: float) -> float:
        """Return the secondary flow at a pump speed in percent, L/min; at least 1."""
        fraction = (pump_pct - self._flow_start_pct) / (100.0 - self._flow_start_pct)
        flow: float = self.model["full_lpm"] * fraction
        return flow if flow > 1.0 else 1.0

    def _evaluate_inside(self, pump_pct: float, supply_c: float, best: OptimalPoint) -> None:
        """Evaluate a point if it is within the limits."""
        low, high = self._supply_limits
        if self.model["pump_min_pct"] <= pump_pct <= 100.0 and low <= supply_c <= high:
            flow = self.flow_lpm(pump_pct)
            self._evaluate(pump_pct, flow, self._case_k(flow, self._load_w), supply_c, best)

    def _set_side(self, valve_pct: float) -> None:
        self._side = self._side_at(valve_pct)

    def _side_at(self, valve_pct: float) -> FacilitySide:
        """Return the facility side at a valve position; the last `_CACHED_SIDES` are cached."""
        factor = self.exchanger.valve_flow_factor
        for side in self._sides:
            if side.valve_pct == valve_pct and side.valve_flow_factor == factor:
                return side
        new_side = FacilitySide(self.model, self.exchanger, valve_pct)
        self._sides = (self._sides + [new_side])[-_CACHED_SIDES:]
        return new_side

    def _evaluate(
        self, pump_pct: float, flow: float, case_k: float, supply_c: float, best: OptimalPoint
    ) -> None:
        """Evaluate one point. Store it in `best` if its power is lower. `case_k`: `_case_k`."""
        model, exchanger, heat = self.model, self.exchanger, self._load_w
        side = self._side
        rise_k = heat / exchanger.tcs_capacity(flow)
        case_c = supply_c + case_k
        excess_k = case_c - model["case_max_c"]
        effectiveness = exchanger.effectiveness_at(flow, side.lpm)
        fws_supply_c = supply_c + rise_k - rise_k / effectiveness
        fws_return_c = fws_supply_c + heat / side.capacity
        approach_k = fws_return_c - self._air_c
        # Below the least gap it grows on, so that a warmer point is better than a colder one.
        required_w_k = heat / (approach_k if approach_k > _MIN_GAP_K else _MIN_GAP_K)
        if approach_k < _MIN_GAP_K:
            required_w_k += 1000.0 * required_w_k * (_MIN_GAP_K - approach_k)
        fan = self._fan_speed(required_w_k)
        n = pump_pct / 100.0
        power_w = self.pump_factor(pump_pct) * model["pump_w"] * n * n * n + side.watts
        if fan > 100.0:
            power_w += 1e9 + 1e6 * (fan - 100.0)
            fan = 100.0
        f = fan / 100.0
        power_w += self._fan_w(f) + self._water_w * f * self._density
        power_w += self._leakage_w_k * case_c
        if excess_k > _ROUNDING_K:
            power_w += 1e8 * excess_k + _PENALTY_W
        if power_w < best.power_w:
            best.power_w, best.supply_c, best.pump_pct = power_w, supply_c, pump_pct
            best.fan_pct, best.case_c, best.valve_target_pct = fan, case_c, side.valve_pct

    def case_excess_k(self, supply_c: float, load_kw: float, flow: float) -> float:
        """Return by how much the cases will exceed their limit at a supply, load and flow, K."""
        limit_c: float = self.model["case_max_c"]
        return supply_c + self._case_k(flow, 1000.0 * load_kw) - limit_c

    def _case_k(self, flow: float, load_w: float) -> float:
        """Return case temperature minus supply temperature at a secondary flow, K."""
        model, c = self.model, self.exchanger.tcs_capacity(flow)
        r = model["plate_r0_k_kw"] + model["plate_r1_k_kw"] * pow_det(
            flow / self.exchanger.design_lpm, -7 / 10
        )
        conductance = 1000.0 * self.design_kw / r
        return load_w / (c * (1.0 - exp(-conductance / c)))

    def _fan_w(self, fan: float) -> float:
        """Return the electric power of the fans at a speed of 0 to 1, W."""
        x = fan * self._density_root
        power_w: float = self.model["fan_w"] * x
        return power_w * (_FAN_LINEAR + x * (_FAN_SQUARE + x * _FAN_CUBIC))

    def _fan_speed(self, required_w_k: float) -> float:
        """Return the fan speed for G of `required_w_k`, percent; above 100: not possible."""
        required = required_w_k / self.cooler_factor
        table = self._side.fan_conductance
        if required > table[-1]:
            return 100.0 + 100.0 * (required - table[-1]) / table[-1]
        low, high = 0, FAN_POINTS - 1
        while high - low > 1:
            middle = (low + high) // 2
            if table[middle] < required:
                low = middle
            else:
                high = middle
        span = table[high] - table[low]
        position = low + ((required - table[low]) / span if span > 0.0 else 0.0)
        speed = position * 100.0 / (FAN_POINTS - 1) / self._density
        min_pct: float = self.model["fan_min_pct"]
        return speed if speed > min_pct else min_pct

    def pump_factor(self, pump_pct: float) -> float:
        """Return the real pump power over that of the model at a speed in percent.

        `pump_factors` has it at the least and at full speed; it is linear between them.
        """
        low, high = self.pump_factors
        return low + self._pump_share(pump_pct) * (high - low)

    def _pump_share(self, pump_pct: float) -> float:
        """Return the place of a speed between the least (0) and full speed (1)."""
        low = self.model["pump_min_pct"]
        if pump_pct <= low or low >= 100.0:
            return 0.0
        share: float = (pump_pct - low) / (100.0 - low)
        return share if share < 1.0 else 1.0

    def adapt_cooler(
        self, heat_w: float, fws_return_c: float, air_c: float, fan_pct: float, valve_pct: float
    ) -> None:
        """Adapt the cooler factor slowly to a steady measurement."""
        approach_k = fws_return_c - air_c
        if approach_k < 1.0 or heat_w <= 0.0:
            return
        model = self._conductance(fan_pct, air_c, valve_pct)
        if model > 0.0:
            self.cooler_factor = _adapt(self.cooler_factor, heat_w / approach_k / model)

    def inlet_air_c(
        self, heat_w: float, fws_return_c: float, air_c: float, fan_pct: float, valve_pct: float
    ) -> float:
        """Return the air behind the pads that explains a steady heat, °C; `air_c`: outdoors."""
        inlet_c = air_c - self._pads_k
        conductance = self._conductance(fan_pct, inlet_c, valve_pct) * self.cooler_factor
        return fws_return_c - heat_w / conductance if conductance > 0.0 else fws_return_c

    def _conductance(self, fan_pct: float, air_c: float, valve_pct: float) -> float:
        """Return G of the model at a fan speed in air of `air_c` behind the pads, W/K."""
        x = fan_pct / 100.0 * _relative_density(air_c + self._pads_k) * (FAN_POINTS - 1)
        i = int(x)
        i = i if i < FAN_POINTS - 1 else FAN_POINTS - 2
        table = self._side.fan_conductance
        if "cooler_ua_kw_k" in self.model:
            table = FacilitySide(self.model, self.exchanger, valve_pct).fan_conductance
        return table[i] + (x - i) * (table[i + 1] - table[i])

    def adapt_pumps(self, watts: float, pump_pct: float) -> None:
        """Adapt the pump factors slowly to the measured pump power.

        Each takes its share of the difference, so that a day of different speeds gives the slope.
        """
        n = pump_pct / 100.0
        model = self.model["pump_w"] * n * n * n
        if model <= 0.0:
            return
        high = self._pump_share(pump_pct)
        low = 1.0 - high
        change = _adapt(self.pump_factor(pump_pct), watts / model) - self.pump_factor(pump_pct)
        change /= low * low + high * high
        factors = self.pump_factors
        factors[0] = _bounded(factors[0] + low * change)
        factors[1] = _bounded(factors[1] + high * change)


def _relative_density(air_c: float) -> float:
    """Return the density of air over that at 15 degC and the same pressure."""
    return _KELVIN_15C / (_KELVIN_0C + air_c)


def _adapt(factor: float, measured: float) -> float:
    return factor + _ADAPT_RATE * (_bounded(measured) - factor)


def _bounded(factor: float) -> float:
    return 0.5 if factor < 0.5 else 2.0 if factor > 2.0 else factor
