"""The set-points that cost least: pumps, fans and the chips' own leakage against each other.

Not a loop and never needed for safety: it proposes; limits, dew point and safety are held by those
who take the proposal, and without it the configured set-points stand. How it works, every some
minutes: for each speed of the pumps and each supply temperature of a grid, a steady model gives the
case temperature, the facility water that is needed, the speed of the fans that makes it, and the
power of all; the cheapest point within the limits is refined by half steps around it. The model
adapts: what pumps and cooler really do moves two factors slowly. Where the valve's middle may move,
it is the third thing that is searched: more facility water makes the exchanger and the cooler
better, which is cheaper than fans near their full speed.

    flow goes with the pumps' speed, power with its cube
    case = supply + q / (C (1 - exp(-1 / (R C)))), R = r0 + r1 (V/Vd)^-0.7 per device of 1 kW
    facility = return - rise / share(middle of the valve), see `agent.control.law.exchanger`
    fans: G(n) = heat / (facility return - air), by a table of an air-side effectiveness-NTU model;
    where the cooler's UA is given, G(n, water) of a counter-flow cooler (Kays and London)
    facility pump = facility_w V (0.3 + 0.7 V^2), V the share of its design flow
    leakage = `leak_pct_k` percent of the load for each kelvin of case
"""

from agent.control.law.deterministic_math import exp, power

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.law.exchanger import Exchanger

_SPEEDS = 8
_SUPPLIES = 8
_FAN_POINTS = 21
_LEARN = 1 / 20
_MIDDLE_STEPS = (8.0, -8.0, 4.0, -4.0, 2.0, -2.0)
_REMEMBERED = 12
_NEAR = ((1, 0), (-1, 0), (0, 1), (0, -1), (-1, -1), (1, 1))
"""Neighbours that are tried; the last two go along the limit of the cases' temperature."""
_NO = 1e30


_UA_EXPONENT = 6 / 10
"""How UA of a finned cooler goes with the air's flow (usual for air-side films and fins)."""


class Side:
    """The facility's side with the valve at one opening: flow, what it costs, G at each speed."""

    def __init__(self, model: "dict[str, Any]", exchanger: "Exchanger", valve_pct: float) -> None:
        self.valve_pct, self.scale = valve_pct, exchanger.scale
        self.lpm = exchanger.flow_at(valve_pct)
        self.capacity = exchanger.capacity(self.lpm)
        v = self.lpm / exchanger.fws_design_lpm
        self.watts: float = model.get("facility_w", 0.0) * v * (0.3 + 0.7 * v * v)
        if "cooler_ua_kw_k" in model:
            self.fan_g = _counterflow(model, self.capacity)
        else:
            self.fan_g = _cooler(model)


class Proposal:
    """A point: set-points and what the model expects of it. Power in watts, `feasible` or not."""

    def __init__(self) -> None:
        self.supply_c = 0.0
        self.pump_pct = 0.0
        self.fan_pct = 0.0
        self.case_c = 0.0
        self.middle_pct = 0.0
        self.power_w = _NO


class Optimum:
    """Searches the cheapest point. `model` is the section of the configuration:

    `pump_w` (electric, all running pumps at full speed), `full_lpm` (secondary flow there),
    `fan_w` (all fans at full speed), `cooler_kw_k` (G at full speed), `cooler_ntu` (air side, at
    full speed), `middle_pct` (opening that the fans give the valve), `plate_r0_k_kw`,
    `plate_r1_k_kw`, `leak_pct_k`, `case_max_c`, `pump_min_pct`, `fan_min_pct`.
    May be absent: `zero_pct` (speed at which flow begins, static head), `facility_w` (its pump at
    the design flow), `cooler_ua_kw_k` with `cooler_air_kw_k` (UA and the air's heat capacity rate
    at full speed; then `cooler_kw_k` and `cooler_ntu` do not count), `middle_min_pct` and
    `middle_max_pct` (the openings between which the middle may move; without them it stays).
    """

    def __init__(self, model: "dict[str, Any]", exchanger: "Exchanger", design_kw: float) -> None:
        self.model = model
        self.exchanger = exchanger
        self.design_kw = design_kw
        self.pump_factor = 1.0
        self.cooler_factor = 1.0
        self.best = Proposal()
        self._sides: list[Side] = []
        self._side = self._with(model["middle_pct"])
        self._zero: float = model.get("zero_pct", 0.0)
        self._air_c = 0.0
        self._between = (0.0, 0.0)
        self._load_w = 0.0

    def search(self, load_kw: float, air_c: float, floor_c: float, ceiling_c: float) -> Proposal:
        """Find the cheapest point for a load, the air that the cooler takes in, and the limits.

        When none is feasible, the one with the coldest cases that the cooler can make is given.
        """
        model = self.model
        self._load_w = 1000.0 * (load_kw if load_kw > 0.0 else 0.0)
        self._air_c = air_c
        if ceiling_c < floor_c:
            ceiling_c = floor_c
        self._between = (floor_c, ceiling_c)
        low_n = model["pump_min_pct"]
        step_n = (100.0 - low_n) / (_SPEEDS - 1)
        step_s = (ceiling_c - floor_c) / (_SUPPLIES - 1)
        best = Proposal()
        self._take_side(self.best.middle_pct or model["middle_pct"])
        for i in range(_SPEEDS):
            for j in range(_SUPPLIES):
                self._try(low_n + i * step_n, floor_c + j * step_s, best)
        for _ in range(4):
            step_n *= 0.5
            step_s *= 0.5
            n, s = best.pump_pct, best.supply_c
            for kn, ks in _NEAR:
                self._inside(n + kn * step_n, s + ks * step_s, best)
            self._move_middle(best, step_n, step_s)
        self.best = best
        return best

    def flow_lpm(self, pump_pct: float) -> float:
        """Give the secondary flow that the pumps' speed makes, L/min."""
        part = (pump_pct - self._zero) / (100.0 - self._zero)
        flow: float = self.model["full_lpm"] * part
        return flow if flow > 1.0 else 1.0

    def _inside(self, pump_pct: float, supply_c: float, best: Proposal) -> None:
        """Weigh a point if it is within the limits."""
        low, high = self._between
        if self.model["pump_min_pct"] <= pump_pct <= 100.0 and low <= supply_c <= high:
            self._try(pump_pct, supply_c, best)

    def _move_middle(self, best: Proposal, step_n: float, step_s: float) -> None:
        """Try the best point with the valve's middle further open and further shut."""
        low, high = self.model.get("middle_min_pct"), self.model.get("middle_max_pct")
        if low is None or high is None:
            return
        for step in _MIDDLE_STEPS:
            middle = best.middle_pct + step
            if low <= middle <= high:
                self._take_side(middle)
                n, s = best.pump_pct, best.supply_c
                self._try(n, s, best)
                for kn, ks in _NEAR:
                    self._inside(n + kn * step_n, s + ks * step_s, best)
        self._take_side(best.middle_pct)

    def _take_side(self, valve_pct: float) -> None:
        self._side = self._with(valve_pct)

    def _with(self, valve_pct: float) -> Side:
        """The facility's side at an opening; the last few are remembered."""
        scale = self.exchanger.scale
        for side in self._sides:
            if side.valve_pct == valve_pct and side.scale == scale:
                return side
        made = Side(self.model, self.exchanger, valve_pct)
        self._sides = (self._sides + [made])[-_REMEMBERED:]
        return made

    def _try(self, pump_pct: float, supply_c: float, best: Proposal) -> None:
        """Weigh one point; keep it when it is better than the best."""
        model, exchanger, heat = self.model, self.exchanger, self._load_w
        side = self._side
        flow = self.flow_lpm(pump_pct)
        c = exchanger.tcs_capacity(flow)
        rise = heat / c
        case = supply_c + self._case_k(flow, heat, c)
        over = case - model["case_max_c"]
        share = exchanger.share_at(flow, side.lpm)
        facility = supply_c + rise - rise / share
        back = facility + heat / side.capacity
        gap = back - self._air_c
        need = heat / gap if gap > 0.05 else _NO
        fan = self._fan(need)
        n = pump_pct / 100.0
        power_w = self.pump_factor * model["pump_w"] * n * n * n + side.watts
        if fan > 100.0:
            power_w += 1e9 + 1e6 * (fan - 100.0)
            fan = 100.0
        f = fan / 100.0
        power_w += model["fan_w"] * f * f * f
        power_w += heat * model["leak_pct_k"] / 100.0 * case
        if over > 0.0:
            power_w += 1e8 * over + 1e7
        if power_w < best.power_w:
            best.power_w, best.supply_c, best.pump_pct = power_w, supply_c, pump_pct
            best.fan_pct, best.case_c, best.middle_pct = fan, case, side.valve_pct

    def _case_k(self, flow: float, heat: float, c: float) -> float:
        """How much warmer the cases are than the supply, kelvin."""
        model = self.model
        r = model["plate_r0_k_kw"] + model["plate_r1_k_kw"] * power(
            flow / self.exchanger.design_lpm, -7 / 10
        )
        conductance = 1000.0 * self.design_kw / r
        return heat / (c * (1.0 - exp(-conductance / c)))

    def _fan(self, need_w_k: float) -> float:
        """The fans' speed that gives `need_w_k`, percent; above 100 when none does."""
        need = need_w_k / self.cooler_factor
        table = self._side.fan_g
        if need > table[-1]:
            return 100.0 + 100.0 * (need - table[-1]) / table[-1]
        low, high = 0, _FAN_POINTS - 1
        while high - low > 1:
            middle = (low + high) // 2
            if table[middle] < need:
                low = middle
            else:
                high = middle
        span = table[high] - table[low]
        at = low + ((need - table[low]) / span if span > 0.0 else 0.0)
        speed = at * 100.0 / (_FAN_POINTS - 1)
        least: float = self.model["fan_min_pct"]
        return speed if speed > least else least

    def learn_cooler(
        self, heat_w: float, back_c: float, air_c: float, fan_pct: float, valve_pct: float
    ) -> None:
        """Compare what the cooler does at a calm moment with the model; move the factor slowly."""
        gap = back_c - air_c
        if gap < 1.0 or heat_w <= 0.0:
            return
        x = fan_pct / 100.0 * (_FAN_POINTS - 1)
        i = int(x)
        i = i if i < _FAN_POINTS - 1 else _FAN_POINTS - 2
        table = self._side.fan_g
        if "cooler_ua_kw_k" in self.model:
            table = Side(self.model, self.exchanger, valve_pct).fan_g
        model = table[i] + (x - i) * (table[i + 1] - table[i])
        if model > 0.0:
            self.cooler_factor = _learned(self.cooler_factor, heat_w / gap / model)

    def learn_pumps(self, watts: float, pump_pct: float) -> None:
        """Compare the pumps' power with the model's; move the factor slowly."""
        n = pump_pct / 100.0
        model = self.model["pump_w"] * n * n * n
        if model > 0.0:
            self.pump_factor = _learned(self.pump_factor, watts / model)


def _learned(factor: float, seen: float) -> float:
    seen = 0.5 if seen < 0.5 else 2.0 if seen > 2.0 else seen
    return factor + _LEARN * (seen - factor)


def _cooler(model: "dict[str, Any]") -> "list[float]":
    """G of the cooler at each speed of the table, W/K: n (1 - exp(-NTU n^-0.4)), scaled."""
    ntu = model["cooler_ntu"]
    full = 1.0 - exp(-ntu)
    table = [0.0]
    for i in range(1, _FAN_POINTS):
        n = i / (_FAN_POINTS - 1)
        effectiveness = 1.0 - exp(-ntu * power(n, -4 / 10))
        table.append(1000.0 * model["cooler_kw_k"] * n * effectiveness / full)
    return table


def _counterflow(model: "dict[str, Any]", water: float) -> "list[float]":
    """G of a counter-flow cooler at each speed, with `water` W/K going through it, W/K."""
    table = [0.0]
    for i in range(1, _FAN_POINTS):
        n = i / (_FAN_POINTS - 1)
        air = 1000.0 * model["cooler_air_kw_k"] * n
        ua = 1000.0 * model["cooler_ua_kw_k"] * power(n, _UA_EXPONENT)
        low, high = (air, water) if air < water else (water, air)
        gap = 1.0 - low / high
        if gap < 1 / 1000:
            table.append(low * ua / (low + ua))
        else:
            e = exp(-ua / low * gap)
            table.append(low * (1.0 - e) / (1.0 - low / high * e))
    return table
