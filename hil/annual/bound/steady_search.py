# SPDX-License-Identifier: Apache-2.0
"""The cheapest steady state of the site, found by global search: the bound for every controller.

Cost = pumps + facility pump + fans + leakage of the chips + water at its price, W. Variables are
the pump speed, the valve and the fan speed, and whether an adiabatic cooler is wet. For given flows
and fans the temperatures follow in closed form, with the leakage by Newton's method:

    case = intake + (Q + S + F) (1/Gc - 1/Cf) + (Q + S)/Gx - Q/Ct + Q/Gp

Q is the IT power with its leakage, S the shaft power of the pumps, F the power of the facility
pump. Gc, Gx and Gp are the conductances of cooler, exchanger and cold plates, Cf and Ct the
capacity rates. A coarse grid of flows is refined around its best points down to 1/64 of each range.
For each of these flows the fans are searched continuously. `proof` bounds the error of the search.

If no state holds the limits, load is shed: as little as the largest flows and full fans allow.
Results are cached for 0.25 K of intake, 0.01 of density, 0.5 K of the pads and 1 % of load. All are
rounded to the cheap side, so that the result stays a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, exp, floor

from hil.annual.site import DEW_MARGIN_K, AnnualSite
from hil.plant.air.cooler import (
    EVAPORATION_J_KG,
    Air,
    cooler_conductance_w_k,
    fan_w,
    intake_c,
)
from hil.plant.air.weather import Hour
from hil.plant.facility import facility_pump_w
from hil.plant.fluid.exchanger import capacity_w_k, exchanger_conductance_w_k, plate_conductance_w_k
from hil.plant.fluid.hydraulics import operating_point
from hil.plant.fluid.valve import valve_flow_lpm
from hil.plant.power.server import LEAK_AT_C
from hil.plant.steady_state import pump_electric_w, shaft_w

LATTICE = 64
_COARSE = 8
_KEPT = 3  # coarse points from which the search is refined
_SHED_STEPS = 2000.0  # of the load that is shed
_HARD_STEP = 2  # of the pumps, where load is shed: more flow cools cases and warms the supply
_BISECTIONS = 18
_GOLDEN = 0.381966
_GOLDEN_STEPS = 14
MIN_VALVE_PCT = 20.0
_MAX_CASE_C = 200.0
_WATER_STEPS = 2.0
_KELVIN_STEPS, _DENSITY_STEPS = 4.0, 100.0


@dataclass(frozen=True, slots=True)
class FlowState:
    """Flows of both circuits: power, capacity rates, conductances. No temperature changes them."""

    pump_pct: float
    valve_pct: float
    pump_w: float
    facility_w: float
    shaft_w: float
    tcs_w_k: float
    fws_w_k: float
    exchange_w_k: float
    plate_w_k: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a search depends on: work of the chips W, air at the cooler, price of water."""

    work_w: float
    intake_c: float
    density: float
    wet: bool
    pads_k: float
    min_supply_c: float


@dataclass(frozen=True, slots=True)
class SteadyPoint:
    """A steady state and its cost; powers in W, water in kg/s."""

    cost_w: float
    load_fraction: float
    fan_speed: float
    wet: bool
    flows: FlowState
    it_w: float
    chip_leakage_w: float
    fan_w: float
    water_kg_s: float
    supply_c: float
    case_c: float

    @property
    def loop_w(self) -> float:
        """Power of pumps, facility pump and fans, W."""
        return self.flows.pump_w + self.flows.facility_w + self.fan_w


class SteadySearch:
    """Finds the cheapest point for any air and load; caches the results."""

    def __init__(self, site: AnnualSite) -> None:
        self.site = site
        p = site.row
        self.chip_leakage_w = 1000.0 * p.leak_fraction * p.rack_design_kw * p.racks
        self._flows_cache: dict[tuple[int, int], FlowState] = {}
        self._cache: dict[Conditions, SteadyPoint | None] = {}
        self._shed_cache: dict[tuple[float, ...], SteadyPoint] = {}

    # The plant in steady state.

    def flows(self, i: int, j: int) -> FlowState:
        """Return the flows at a point of the lattice (0 to `LATTICE` on each axis)."""
        flows = self._flows_cache.get((i, j))
        if flows is None:
            low = self.site.min_pump_pct
            pump_pct = low + (100.0 - low) * i / LATTICE
            valve_pct = MIN_VALVE_PCT + (100.0 - MIN_VALVE_PCT) * j / LATTICE
            flows = self._flows_cache[i, j] = self.make_flows(pump_pct, valve_pct)
        return flows

    def make_flows(self, pump_pct: float, valve_pct: float) -> FlowState:
        """Return the flows of a pump speed and a valve position, %."""
        p, site = self.site.row, self.site
        speeds = (pump_pct, 0.0)
        point = operating_point(p, list(speeds))
        tcs_lpm, fws_lpm = point.flow_lpm, valve_flow_lpm(p, valve_pct)
        shaft = shaft_w(p, point, speeds)
        share = 1.0 / p.racks
        return FlowState(
            pump_pct,
            valve_pct,
            pump_electric_w(p, shaft),
            facility_pump_w(site.water, fws_lpm / p.hx_fws_design_lpm, p.hx_fws_design_lpm),
            shaft,
            capacity_w_k(tcs_lpm, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk),
            capacity_w_k(fws_lpm, p.fws_rho_kg_m3, p.fws_cp_j_kgk),
            exchanger_conductance_w_k(p, tcs_lpm, fws_lpm, site.deviations.exchanger_ua),
            p.racks * plate_conductance_w_k(p, tcs_lpm * share, p.tcs_design_lpm * share),
        )

    def evaluate(self, flows: FlowState, fan: float, c: Conditions) -> SteadyPoint | None:
        """Return the steady state at these flows and fans; None if it breaks a limit."""
        cooler, kind = self.site.cooler, self.site.kind
        air = Air(c.intake_c, c.intake_c, c.density)
        # the intake is given: recirculation and pads are already in it
        g = cooler_conductance_w_k(cooler, kind, air, c.wet, flows.fws_w_k, fan)
        cold_k_w = 1.0 / g - 1.0 / flows.fws_w_k
        fixed_w = flows.shaft_w + flows.facility_w
        offset = c.intake_c + fixed_w * cold_k_w + flows.shaft_w / flows.exchange_w_k
        supply_k_w = cold_k_w + 1.0 / flows.exchange_w_k - 1.0 / flows.tcs_w_k
        case_k_w = supply_k_w + 1.0 / flows.plate_w_k
        case = self.solve_case(offset, case_k_w, c.work_w)
        if case is None:
            return None
        leakage_w = self.leakage_at_w(case)
        it_w = c.work_w + leakage_w
        supply = offset + it_w * supply_k_w
        limits = self.site.limits
        if case > limits.case_max_c or supply > limits.supply_max_c or supply < c.min_supply_c:
            return None
        fans = fan_w(cooler, kind, fan, c.density)
        water = self.water_kg_s(c, fan, it_w + fixed_w)
        cost = flows.pump_w + flows.facility_w + fans + leakage_w + self.site.water_j(water)
        return SteadyPoint(cost, 1.0, fan, c.wet, flows, it_w, leakage_w, fans, water, supply, case)

    def leakage_at_w(self, case_c: float) -> float:
        """Return the leakage of all chips, W."""
        return self.chip_leakage_w * exp(self.site.row.leak_per_k * (case_c - LEAK_AT_C))

    def solve_case(self, offset_c: float, k_w: float, work_w: float) -> float | None:
        """Return the case temperature: T = offset + k (work + leakage(T)); None: no solution."""
        case, rate = offset_c + k_w * (work_w + self.chip_leakage_w), self.site.row.leak_per_k
        for _ in range(6):
            if case > _MAX_CASE_C:
                return None
            leakage_w = self.leakage_at_w(case)
            slope = 1.0 - k_w * leakage_w * rate
            if slope <= 0.05:
                return None
            step = (case - offset_c - k_w * (work_w + leakage_w)) / slope
            case -= step
            if -1e-4 < step < 1e-4:
                break
        return case

    def water_kg_s(self, c: Conditions, fan: float, heat_w: float) -> float:
        """Return the water consumption, kg/s, as in `hil.plant.air.cooler`."""
        cooler, kind = self.site.cooler, self.site.kind
        if not c.wet or kind == "dry":
            return 0.0
        if kind == "tower":
            evaporated = max(heat_w, 0.0) * 0.9 / EVAPORATION_J_KG
        else:
            n = max(fan, cooler.natural_draught) * c.density
            evaporated = 1000.0 * cooler.air_kw_k * n * c.pads_k / EVAPORATION_J_KG
        return evaporated * (1.0 + 1.0 / (cooler.cycles - 1.0) + cooler.drift_fraction)

    # The search.

    def find_optimum(
        self,
        hour: Hour,
        load: float = 1.0,
        room_dew_c: float | None = None,
        is_wet: bool | None = None,
    ) -> SteadyPoint:
        """Return the cheapest point in the weather of an hour at a fraction of the load.

        `room_dew_c`: dew point of the room; None: that of the hour. `is_wet`: state of the pads of
        an adiabatic cooler; None: the cheaper one.
        """
        load = floor(100.0 * load + 1e-6) / 100.0
        kinds = {"dry": (False,), "tower": (True,)}.get(self.site.kind, (False, True))
        if is_wet is not None:
            kinds = (is_wet,)
        best: SteadyPoint | None = None
        for wet in kinds:
            conditions = self.conditions(hour, load, wet)
            if room_dew_c is not None:
                conditions = replace(conditions, min_supply_c=floor(room_dew_c + DEW_MARGIN_K))
            point = self._cached(conditions)
            if point is not None and (best is None or point.cost_w < best.cost_w):
                best = point
        if best is not None:
            return replace(best, load_fraction=load)
        return self._shed(self.conditions(hour, load, kinds[-1]), load)

    def conditions(self, hour: Hour, load: float, wet: bool) -> Conditions:
        """Return the conditions of an hour, rounded to the cheap side."""
        air, cooler = hour.air(), self.site.cooler
        intake = floor(_KELVIN_STEPS * intake_c(cooler, self.site.kind, air, wet)) / _KELVIN_STEPS
        pads = air.dry_c + cooler.recirculation_k - intake_c(cooler, self.site.kind, air, wet)
        return Conditions(
            1000.0 * self.site.it_kw * load - self.chip_leakage_w,
            intake,
            ceil(_DENSITY_STEPS * air.density) / _DENSITY_STEPS,
            wet,
            floor(_WATER_STEPS * pads) / _WATER_STEPS if wet else 0.0,
            floor(hour.dew_c + DEW_MARGIN_K),
        )

    def _cached(self, c: Conditions) -> SteadyPoint | None:
        """Search without the dew point first: it rarely matters, and then fewer results differ."""
        point = self._searched(replace(c, min_supply_c=-100.0))
        if point is None or point.supply_c >= c.min_supply_c:
            return point
        return self._searched(c)

    def _searched(self, c: Conditions) -> SteadyPoint | None:
        if c not in self._cache:
            self._cache[c] = self.search(c)
        return self._cache[c]

    def search(self, c: Conditions) -> SteadyPoint | None:
        """Return the cheapest point within the limits; None if there is none."""
        found: dict[tuple[int, int], SteadyPoint | None] = {}

        def cheapest(i: int, j: int) -> float:
            if (i, j) not in found:
                found[i, j] = self.best_fans(self.flows(i, j), c)
            point = found[i, j]
            return point.cost_w if point is not None else 1e30

        coarse = range(0, LATTICE + 1, LATTICE // _COARSE)
        starts = sorted((cheapest(i, j), i, j) for i in coarse for j in coarse)[:_KEPT]
        for _, i, j in starts:
            _refine(cheapest, i, j)
        points = [point for point in found.values() if point is not None]
        return min(points, key=lambda point: point.cost_w, default=None)

    def best_fans(self, flows: FlowState, c: Conditions) -> SteadyPoint | None:
        """Return the cheapest state at these flows: from the slowest fans that hold the limits."""
        low = self._slowest_fans(flows, c)
        if low is None:
            return None
        a, b = low, 1.0
        best = self.evaluate(flows, low, c)
        x1, x2 = a + _GOLDEN * (b - a), b - _GOLDEN * (b - a)
        p1, p2 = self.evaluate(flows, x1, c), self.evaluate(flows, x2, c)
        for _ in range(_GOLDEN_STEPS):
            c1 = p1.cost_w if p1 is not None else 1e30
            c2 = p2.cost_w if p2 is not None else 2e30
            for point in (p1, p2):
                if point is not None and (best is None or point.cost_w < best.cost_w):
                    best = point
            if c1 < c2:
                b, x2, p2 = x2, x1, p1
                x1 = a + _GOLDEN * (b - a)
                p1 = self.evaluate(flows, x1, c)
            else:
                a, x1, p1 = x1, x2, p2
                x2 = b - _GOLDEN * (b - a)
                p2 = self.evaluate(flows, x2, c)
        return best

    def _slowest_fans(self, flows: FlowState, c: Conditions) -> float | None:
        """Return the slowest fans that hold case and supply; None if full speed does not."""
        free = replace(c, min_supply_c=-100.0)
        if self.evaluate(flows, 1.0, free) is None:
            return None
        low, high = 0.0, 1.0
        if self.evaluate(flows, low, free) is not None:
            return low
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            if self.evaluate(flows, middle, free) is None:
                low = middle
            else:
                high = middle
        return high

    def _shed(self, c: Conditions, load: float) -> SteadyPoint:
        """Return the point with the largest load that full flows and fans can take.

        Its `load_fraction` is the first step above it, so that no controller can serve more.
        """
        key = (c.work_w, c.intake_c, c.density, c.pads_k, c.wet)
        if key in self._shed_cache:
            return self._shed_cache[key]
        full_w = 1000.0 * self.site.it_kw
        low, high = 0, ceil(_SHED_STEPS * load - 1e-6)
        point: SteadyPoint | None = None
        while high - low > 1:
            middle = (low + high) // 2
            reduced = replace(
                c, work_w=full_w * middle / _SHED_STEPS - self.chip_leakage_w, min_supply_c=-100.0
            )
            found = self._hardest(reduced)
            if found is None:
                high = middle
            else:
                low, point = middle, found
        point = self._off() if point is None else replace(point, load_fraction=high / _SHED_STEPS)
        self._shed_cache[key] = point
        return point

    def _off(self) -> SteadyPoint:
        """Return the row without load: in this air the cooler takes none within the limits."""
        flows, limits = self.flows(0, 0), self.site.limits
        cost_w = flows.pump_w + flows.facility_w
        ends = (limits.supply_max_c, limits.case_max_c)
        return SteadyPoint(cost_w, 0.0, 0.0, False, flows, 0.0, 0.0, 0.0, 0.0, *ends)

    def _hardest(self, c: Conditions) -> SteadyPoint | None:
        """Return a state with full fans that holds the limits; None if there is none."""
        for i in range(LATTICE, -1, -_HARD_STEP):
            for j in range(LATTICE, LATTICE // 2 - 1, -LATTICE // _COARSE):
                point = self.evaluate(self.flows(i, j), 1.0, c)
                if point is not None:
                    return point
        return None


def _refine(cost: Callable[[int, int], float], i: int, j: int) -> None:
    """Move to cheaper neighbours on the lattice, then halve the step, down to one."""
    step = LATTICE // _COARSE // 2
    while step >= 1:
        moved = False
        here = cost(i, j)
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            x, y = i + di * step, j + dj * step
            if 0 <= x <= LATTICE and 0 <= y <= LATTICE and cost(x, y) < here:
                i, j, here, moved = x, y, cost(x, y), True
        if not moved:
            step //= 2
