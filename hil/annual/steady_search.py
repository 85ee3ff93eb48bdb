"""The site in a steady state, and its cheapest point found by search: what no controller can beat.

For every pair of flows (secondary, facility) the hottest facility water that keeps supply and case
within their limits is known in closed form; the cheapest fans are those that just make it, and the
cheapest pair wins. Where none does, the load must be shed: as little as the largest flows and all
fans leave. The search is done once for each quarter of a kelvin and hundredth of density, not once
an hour.
"""

from __future__ import annotations

from dataclasses import dataclass

from hil.annual.site import CASE_MAX_C, LEAST_PUMP_PCT, SUPPLY_MAX_C, Site
from hil.plant.air.cooler import Air, fan_w, heat_w_k, intake_c, water_kg_s
from hil.plant.air.weather import Hour
from hil.plant.facility import pump_w
from hil.plant.fluid.exchanger import capacity_w_k, exchanger_w_k, plate_w_k
from hil.plant.fluid.hydraulics import operating_point
from hil.plant.fluid.valve import valve_flow_lpm
from hil.plant.steady_state import shaft_w

_GRID = 24
_HALVINGS = 24
_KELVIN, _DENSITY = 4.0, 100.0
_LEAST_VALVE_PCT = 30.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair of flows: what it costs and how hot the facility water may be."""

    pump_pct: float
    valve_pct: float
    watts: float
    heat_w: float
    water_w_k: float
    hot_c: float
    supply_c: float
    case_c: float


@dataclass(frozen=True, slots=True)
class Best:
    """The cheapest point of an hour: loop power, share of the load that is left, and where."""

    watts: float
    share: float
    fan: float
    pair: Pair


class Search:
    """Finds the cheapest point for any air; remembers what it found."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._pairs = self._all(1.0)
        self._found: dict[tuple[int, int, bool], Best] = {}
        self._less: dict[int, list[Pair]] = {}

    def _all(self, share: float) -> list[Pair]:
        """Every pair of flows, for a share of the load."""
        pairs = []
        for i in range(_GRID + 1):
            pump = LEAST_PUMP_PCT + (100.0 - LEAST_PUMP_PCT) * i / _GRID
            for j in range(_GRID + 1):
                pair = self._pair(share, pump, _LEAST_VALVE_PCT + 70.0 * j / _GRID)
                if pair is not None:
                    pairs.append(pair)
        return pairs

    def _pair(self, share: float, pump_pct: float, valve_pct: float) -> Pair | None:
        p, site = self.site.row, self.site
        point = operating_point(p, [pump_pct, 0.0])
        lpm, fws = point.flow_lpm, valve_flow_lpm(p, valve_pct)
        if lpm <= 0.0:
            return None
        it_w = 1000.0 * site.it_kw * share
        shaft = shaft_w(p, point)
        c1 = capacity_w_k(lpm, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk)
        c2 = capacity_w_k(fws, p.fws_rho_kg_m3, p.fws_cp_j_kgk)
        ec = exchanger_w_k(p, lpm, fws)
        part = 1.0 / p.racks
        case_k = it_w * part / plate_w_k(p, lpm * part, p.tcs_design_lpm * part)
        supply = min(SUPPLY_MAX_C, CASE_MAX_C - case_k)
        cold = supply + it_w / c1 - (it_w + shaft) / ec
        pumped = pump_w(site.water, fws / p.hx_fws_design_lpm, p.hx_fws_design_lpm)
        heat = it_w + shaft + pumped
        return Pair(
            pump_pct,
            valve_pct,
            shaft / p.motor_efficiency + pumped,
            heat,
            c2,
            cold + heat / c2,
            supply,
            supply + case_k,
        )

    def hour(self, hour: Hour) -> Best:
        """The cheapest point in an hour's weather."""
        air = hour.air()
        wet = self.site.wet(air.dry_c)
        intake = intake_c(self.site.cooler, self.site.kind, air, wet)
        key = (round(intake * _KELVIN), round(air.density * _DENSITY), wet)
        best = self._found.get(key)
        if best is None:
            seen = Air(key[0] / _KELVIN, key[0] / _KELVIN, key[1] / _DENSITY)
            best = self._found[key] = self._search(seen, wet)
        return best

    def _search(self, air: Air, wet: bool) -> Best:
        best = self._cheapest(self._pairs, 1.0, air, wet)
        if best is not None:
            return best
        low, high = 0, 200
        while high - low > 1:
            middle = (low + high) // 2
            if self._cheapest(self._at(middle), middle / 200.0, air, wet) is None:
                high = middle
            else:
                low = middle
        best = self._cheapest(self._at(low), low / 200.0, air, wet)
        if best is None:
            return Best(0.0, 0.0, 1.0, self._pairs[-1])
        return best

    def _at(self, two_hundredths: int) -> list[Pair]:
        if two_hundredths not in self._less:
            self._less[two_hundredths] = self._all(max(two_hundredths, 1) / 200.0)
        return self._less[two_hundredths]

    def _cheapest(self, pairs: list[Pair], share: float, air: Air, wet: bool) -> Best | None:
        found: Best | None = None
        for pair in pairs:
            if found is not None and pair.watts >= found.watts:
                continue
            fan = self._fan(pair, air, wet)
            if fan is None:
                continue
            watts = pair.watts + fan_w(self.site.cooler, self.site.kind, fan)
            if found is None or watts < found.watts:
                found = Best(watts, share, fan, pair)
        return found

    def _fan(self, pair: Pair, air: Air, wet: bool) -> float | None:
        """The slowest fans that take the heat at the hottest water allowed; None if none do."""
        cooler, kind = self.site.cooler, self.site.kind
        intake = intake_c(cooler, kind, air, wet)
        if pair.hot_c <= intake:
            return None
        need = pair.heat_w / (pair.hot_c - intake)
        if heat_w_k(cooler, kind, air, wet, pair.water_w_k, 1.0) < need:
            return None
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            if heat_w_k(cooler, kind, air, wet, pair.water_w_k, middle) < need:
                low = middle
            else:
                high = middle
        return high

    def water_kg_s(self, hour: Hour, best: Best) -> float:
        """Water that the cheapest point uses, kg/s."""
        air = hour.air()
        wet = self.site.wet(air.dry_c)
        site = self.site
        heat = best.pair.heat_w
        return water_kg_s(site.cooler, site.kind, air, wet, best.fan, heat)
