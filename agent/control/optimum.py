"""The set-points that cost least: pumps, fans and the chips' own leakage against each other.

Not a loop and never needed for safety: it proposes; limits, dew point and safety are held by those
who take the proposal, and without it the configured set-points stand. How it works, every some
minutes: for each speed of the pumps and each supply temperature of a grid, a steady model gives the
case temperature, the facility water that is needed, the speed of the fans that makes it, and the
power of all; the cheapest point within the limits is refined by half steps around it. The model
adapts: what pumps and cooler really do moves two factors slowly.

    flow goes with the pumps' speed, power with its cube
    case = supply + q / (C (1 - exp(-1 / (R C)))), R = r0 + r1 (V/Vd)^-0.7 per device of 1 kW
    facility = return - rise / share(middle of the valve), see `agent.control.exchanger`
    fans: G(n) = heat / (facility return - air), by a table of an air-side effectiveness-NTU model
    leakage = `leak_pct_k` percent of the load for each kelvin of case
"""

from agent.control.maths import exp, power

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.exchanger import Exchanger

_SPEEDS = 8
_SUPPLIES = 8
_FAN_POINTS = 21
_LEARN = 1 / 20
_NO = 1e30


class Proposal:
    """A point: set-points and what the model expects of it. Power in watts, `feasible` or not."""

    def __init__(self) -> None:
        self.supply_c = 0.0
        self.pump_pct = 0.0
        self.fan_pct = 0.0
        self.case_c = 0.0
        self.power_w = _NO


class Optimum:
    """Searches the cheapest point. `model` is the section of the configuration:

    `pump_w` (electric, all running pumps at full speed), `full_lpm` (secondary flow there),
    `fan_w` (all fans at full speed), `cooler_kw_k` (G at full speed), `cooler_ntu` (air side, at
    full speed), `middle_pct` (opening that the fans give the valve), `plate_r0_k_kw`,
    `plate_r1_k_kw`, `leak_pct_k`, `case_max_c`, `pump_min_pct`, `fan_min_pct`.
    """

    def __init__(self, model: "dict[str, Any]", exchanger: "Exchanger", design_kw: float) -> None:
        self.model = model
        self.exchanger = exchanger
        self.design_kw = design_kw
        self.pump_factor = 1.0
        self.cooler_factor = 1.0
        self.best = Proposal()
        self._fan_g = _cooler(model)
        self._fws_lpm = exchanger.flow_at(model["middle_pct"])
        self._air_c = 0.0
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
        low_n = model["pump_min_pct"]
        step_n = (100.0 - low_n) / (_SPEEDS - 1)
        step_s = (ceiling_c - floor_c) / (_SUPPLIES - 1)
        best = Proposal()
        for i in range(_SPEEDS):
            for j in range(_SUPPLIES):
                self._try(low_n + i * step_n, floor_c + j * step_s, best)
        for _ in range(4):
            step_n *= 0.5
            step_s *= 0.5
            n, s = best.pump_pct, best.supply_c
            for dn, ds in ((step_n, 0.0), (-step_n, 0.0), (0.0, step_s), (0.0, -step_s)):
                if low_n <= n + dn <= 100.0 and floor_c <= s + ds <= ceiling_c:
                    self._try(n + dn, s + ds, best)
        self.best = best
        return best

    def _try(self, pump_pct: float, supply_c: float, best: Proposal) -> None:
        """Weigh one point; keep it when it is better than the best."""
        model, exchanger, heat = self.model, self.exchanger, self._load_w
        flow = model["full_lpm"] * pump_pct / 100.0
        c = exchanger.tcs_capacity(flow)
        rise = heat / c
        case = supply_c + self._case_k(flow, heat, c)
        over = case - model["case_max_c"]
        share = exchanger.share_at(flow, self._fws_lpm)
        facility = supply_c + rise - rise / share
        back = facility + heat / exchanger.capacity(self._fws_lpm)
        gap = back - self._air_c
        need = heat / gap if gap > 0.05 else _NO
        fan = self._fan(need)
        n = pump_pct / 100.0
        power_w = self.pump_factor * model["pump_w"] * n * n * n
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
            best.fan_pct, best.case_c = fan, case

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
        table = self._fan_g
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

    def learn_cooler(self, heat_w: float, back_c: float, air_c: float, fan_pct: float) -> None:
        """Compare what the cooler does at a calm moment with the model; move the factor slowly."""
        gap = back_c - air_c
        if gap < 1.0 or heat_w <= 0.0:
            return
        x = fan_pct / 100.0 * (_FAN_POINTS - 1)
        i = int(x)
        i = i if i < _FAN_POINTS - 1 else _FAN_POINTS - 2
        model = self._fan_g[i] + (x - i) * (self._fan_g[i + 1] - self._fan_g[i])
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
