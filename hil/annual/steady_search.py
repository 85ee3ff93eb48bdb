# SPDX-License-Identifier: Apache-2.0
"""The cheapest steady state of the site, found by search: the bound for every controller.

For each pair of flows (secondary, facility) a closed form gives the hottest facility water that
keeps supply and case within their limits. The slowest fans that reach this temperature are the
cheapest, and the cheapest pair is the result. If no pair is possible, load is shed: as little as
the largest flows and full fans allow. Results are cached for each 0.25 K and each 0.01 of density.
"""

from __future__ import annotations

from dataclasses import dataclass

from hil.annual.site import CASE_MAX_C, MIN_PUMP_PCT, SUPPLY_MAX_C, AnnualSite
from hil.plant.air.cooler import Air, cooler_conductance_w_k, fan_w, intake_c, water_kg_s
from hil.plant.air.weather import Hour
from hil.plant.facility import facility_pump_w
from hil.plant.fluid.exchanger import capacity_w_k, exchanger_conductance_w_k, plate_conductance_w_k
from hil.plant.fluid.hydraulics import operating_point
from hil.plant.fluid.valve import valve_flow_lpm
from hil.plant.steady_state import shaft_w

_GRID_STEPS = 24
_BISECTIONS = 24
_STEPS_PER_KELVIN, _STEPS_PER_DENSITY = 4.0, 100.0
"""Resolution of the cache: 0.25 K, and 0.01 of the relative air density."""
_MIN_VALVE_PCT = 30.0


@dataclass(frozen=True, slots=True)
class FlowPair:
    """A pair of flows: its power and the hottest facility water that it allows."""

    pump_pct: float
    valve_pct: float
    watts: float
    heat_w: float
    water_w_k: float
    max_water_c: float
    supply_c: float
    case_c: float


@dataclass(frozen=True, slots=True)
class SteadyOptimum:
    """The cheapest point of an hour: loop power, remaining fraction of the load, fans and flows."""

    watts: float
    load_fraction: float
    fan_speed: float
    pair: FlowPair


class SteadySearch:
    """Finds the cheapest point for any air; caches the results."""

    def __init__(self, site: AnnualSite) -> None:
        self.site = site
        self._pairs = self._list_pairs(1.0)
        self._cache: dict[tuple[int, int, bool], SteadyOptimum] = {}
        self._reduced_pairs: dict[int, list[FlowPair]] = {}

    def _list_pairs(self, load_fraction: float) -> list[FlowPair]:
        """Return every pair of flows for a fraction of the load."""
        pairs = []
        for i in range(_GRID_STEPS + 1):
            pump = MIN_PUMP_PCT + (100.0 - MIN_PUMP_PCT) * i / _GRID_STEPS
            for j in range(_GRID_STEPS + 1):
                valve = _MIN_VALVE_PCT + 70.0 * j / _GRID_STEPS
                pair = self._evaluate_pair(load_fraction, pump, valve)
                if pair is not None:
                    pairs.append(pair)
        return pairs

    def _evaluate_pair(
        self, load_fraction: float, pump_pct: float, valve_pct: float
    ) -> FlowPair | None:
        p, site = self.site.row, self.site
        point = operating_point(p, [pump_pct, 0.0])
        tcs_lpm, fws_lpm = point.flow_lpm, valve_flow_lpm(p, valve_pct)
        if tcs_lpm <= 0.0:
            return None
        it_w = 1000.0 * site.it_kw * load_fraction
        shaft = shaft_w(p, point)
        tcs_w_k = capacity_w_k(tcs_lpm, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk)
        fws_w_k = capacity_w_k(fws_lpm, p.fws_rho_kg_m3, p.fws_cp_j_kgk)
        exchange_w_k = exchanger_conductance_w_k(p, tcs_lpm, fws_lpm)
        share = 1.0 / p.racks  # of one rack
        case_k = it_w * share / plate_conductance_w_k(p, tcs_lpm * share, p.tcs_design_lpm * share)
        supply = min(SUPPLY_MAX_C, CASE_MAX_C - case_k)
        max_fws_inlet_c = supply + it_w / tcs_w_k - (it_w + shaft) / exchange_w_k
        pump_heat = facility_pump_w(site.water, fws_lpm / p.hx_fws_design_lpm, p.hx_fws_design_lpm)
        heat = it_w + shaft + pump_heat
        return FlowPair(
            pump_pct,
            valve_pct,
            shaft / p.motor_efficiency + pump_heat,
            heat,
            fws_w_k,
            max_fws_inlet_c + heat / fws_w_k,
            supply,
            supply + case_k,
        )

    def find_optimum(self, hour: Hour) -> SteadyOptimum:
        """Return the cheapest point in the weather of an hour."""
        air = hour.air()
        wet = self.site.is_wet(air.dry_c)
        intake = intake_c(self.site.cooler, self.site.kind, air, wet)
        key = (round(intake * _STEPS_PER_KELVIN), round(air.density * _STEPS_PER_DENSITY), wet)
        optimum = self._cache.get(key)
        if optimum is None:
            intake_step_c = key[0] / _STEPS_PER_KELVIN
            rounded_air = Air(intake_step_c, intake_step_c, key[1] / _STEPS_PER_DENSITY)
            optimum = self._cache[key] = self._search(rounded_air, wet)
        return optimum

    def _search(self, air: Air, wet: bool) -> SteadyOptimum:
        optimum = self._cheapest(self._pairs, 1.0, air, wet)
        if optimum is not None:
            return optimum
        low, high = 0, 200
        while high - low > 1:
            middle = (low + high) // 2
            if self._cheapest(self._pairs_for(middle), middle / 200.0, air, wet) is None:
                high = middle
            else:
                low = middle
        optimum = self._cheapest(self._pairs_for(low), low / 200.0, air, wet)
        if optimum is None:
            return SteadyOptimum(0.0, 0.0, 1.0, self._pairs[-1])
        return optimum

    def _pairs_for(self, half_percents: int) -> list[FlowPair]:
        if half_percents not in self._reduced_pairs:
            self._reduced_pairs[half_percents] = self._list_pairs(max(half_percents, 1) / 200.0)
        return self._reduced_pairs[half_percents]

    def _cheapest(
        self, pairs: list[FlowPair], load_fraction: float, air: Air, wet: bool
    ) -> SteadyOptimum | None:
        cheapest: SteadyOptimum | None = None
        for pair in pairs:
            if cheapest is not None and pair.watts >= cheapest.watts:
                continue
            fan = self._min_fan_speed(pair, air, wet)
            if fan is None:
                continue
            watts = pair.watts + fan_w(self.site.cooler, self.site.kind, fan)
            if cheapest is None or watts < cheapest.watts:
                cheapest = SteadyOptimum(watts, load_fraction, fan, pair)
        return cheapest

    def _min_fan_speed(self, pair: FlowPair, air: Air, wet: bool) -> float | None:
        """Return the slowest fans for the heat at the hottest allowed water; None if impossible."""
        cooler, kind = self.site.cooler, self.site.kind
        intake = intake_c(cooler, kind, air, wet)
        if pair.max_water_c <= intake:
            return None
        required_w_k = pair.heat_w / (pair.max_water_c - intake)
        if cooler_conductance_w_k(cooler, kind, air, wet, pair.water_w_k, 1.0) < required_w_k:
            return None
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            if (
                cooler_conductance_w_k(cooler, kind, air, wet, pair.water_w_k, middle)
                < required_w_k
            ):
                low = middle
            else:
                high = middle
        return high

    def water_kg_s(self, hour: Hour, optimum: SteadyOptimum) -> float:
        """Return the water consumption of the cheapest point, kg/s."""
        air = hour.air()
        wet = self.site.is_wet(air.dry_c)
        site = self.site
        heat = optimum.pair.heat_w
        return water_kg_s(site.cooler, site.kind, air, wet, optimum.fan_speed, heat)
