# SPDX-License-Identifier: Apache-2.0
"""The year of the policy `optimum`: the cheapest steady state of each hour, found by search.

Has no controller and no dynamics: it knows the weather, the load and the plant exactly and moves
immediately. The difference to a controller is the cost of control, sensors and delay. A load that
changes within an hour counts in each minute.

Two conditions of a unit can be added (`SiteBound`): its margins below the limits of case and
supply, and the thermostat of the pads. The rest of the difference is then the cost of control.

With `window_h` above 1 it is also clairvoyant: in each block of so many hours it moves the work
freely, and stores heat without loss. Each hour then has the mean load of its block and the cheapest
air of it. This is a bound because the cost is convex in the load: at the same air, equal loads cost
least. It says what a store and a scheduler could save at most, not how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hil.annual.bound.proof import SearchProof
from hil.annual.bound.steady_search import SteadyPoint, SteadySearch
from hil.annual.energy_account import AnnualAccount, StepPowers
from hil.annual.site import DEW_MARGIN_K, AnnualSite
from hil.annual.unit_file import CASE_MARGIN_K, SUPPLY_MARGIN_K
from hil.plant.air.weather import Hour
from hil.plant.fluid.exchanger import capacity_w_k

_HOUR_S = 3600.0
_LEVELS_PER_HOUR = 60
"""The load changes once a minute."""
_PROVEN_HOURS = 24
_PROOF_TOLERANCE = 0.003  # of the cost
_LOAD_ROUNDING = 0.0101  # of the load: the search has steps of 1 %


def sum_optimum(
    site: AnnualSite,
    hours: int,
    start_hour: int = 0,
    progress: Callable[[int, int, AnnualAccount], None] | None = None,
    every: int = 1,
    window_h: int = 1,
    conditions: str = "free",
) -> AnnualAccount:
    """Sum the cheapest points of `hours` hours, or of one day in `every` days.

    `window_h`: hours of a block, a divisor of 24; 1: no clairvoyance. `conditions`: one of
    `hil.annual.words.BOUNDS`.
    """
    account, search = AnnualAccount(site), SiteBound(site, conditions)
    for i in range(hours):
        if i // 24 % every == 0:
            first = i - i % window_h
            block = [start_hour + n for n in range(first, min(first + window_h, hours))]
            _add_hour(account, search, start_hour + i, block)
        if progress is not None:
            progress(i + 1, hours, account)
    return account


@dataclass
class SiteBound:
    """The search with the conditions of a unit: `conditions` is one of `hil.annual.words.BOUNDS`.

    Pads that follow the thermostat keep their state from hour to hour.
    """

    site: AnnualSite
    conditions: str = "free"
    _search: SteadySearch = field(init=False)
    _is_wet: bool = False

    def __post_init__(self) -> None:
        limits = self.site.limits
        if self.conditions != "free":
            limits = limits._replace(
                case_max_c=limits.case_max_c - CASE_MARGIN_K,
                supply_max_c=limits.supply_max_c - SUPPLY_MARGIN_K,
            )
        self._search = SteadySearch(replace(self.site, limits=limits))

    def find(self, air: Hour, load: float, room_dew_c: float) -> SteadyPoint:
        """Return the cheapest point; see `SteadySearch.find_optimum`."""
        if self.conditions != "thermostat" or self.site.kind != "adiabatic":
            return self._search.find_optimum(air, load, room_dew_c)
        self._is_wet = self.site.is_wet(air.dry_c, self._is_wet)
        return self._search.find_optimum(air, load, room_dew_c, self._is_wet)


def prove_hours(site: AnnualSite, hours: int, start_hour: int = 0) -> dict[str, float]:
    """Prove the search in some hours at full load; return how many, and the largest error, %."""
    search = SteadySearch(site)
    proof, proven, gap = SearchProof(search), 0, 0.0
    for i in range(0, hours, max(hours // _PROVEN_HOURS, 1)):
        hour = site.weather.at(start_hour + i + 0.5)
        for wet in (False, True) if site.kind == "adiabatic" else (site.kind == "tower",):
            conditions = search.conditions(hour, 1.0, wet)
            result = proof.prove(replace(conditions, min_supply_c=-100.0), _PROOF_TOLERANCE)
            if result is not None:
                proven, gap = proven + 1, max(gap, result.gap)
    return {"searches_proven": proven, "largest_error_pct": round(100.0 * gap, 2)}


def _levels(site: AnnualSite, block: list[int]) -> list[float]:
    """Return the loads of an hour; in a block of several hours its mean."""
    if site.load.name == "constant":
        return [1.0]
    levels = [n for number in block for n in site.load.hour_levels(number, _LEVELS_PER_HOUR)]
    return levels if len(block) == 1 else [sum(levels) / len(levels)]


def _add_hour(account: AnnualAccount, search: SiteBound, number: int, block: list[int]) -> None:
    """Add one hour of the year; its weather is the mean of both ends. `block`: its hours."""
    site, hour = account.site, account.site.weather.at(number + 0.5)
    levels = _levels(site, block)
    airs = [site.weather.at(n + 0.5) for n in block]
    it = pump = facility = fan = 0.0
    lpm_w_k = capacity_w_k(1.0, site.row.tcs_rho_kg_m3, site.row.tcs_cp_j_kgk)
    point: SteadyPoint | None = None
    for load in levels:
        point = min((search.find(air, load, hour.dew_c) for air in airs), key=_order)
        flows, dt = point.flows, _HOUR_S / len(levels)
        unserved_fraction = load - point.load_fraction
        shed_w = (
            1000.0 * site.it_kw * unserved_fraction if unserved_fraction > _LOAD_ROUNDING else 0.0
        )
        powers = StepPowers(
            point.it_w, point.chip_leakage_w, shed_w, flows.pump_w, flows.facility_w, point.fan_w
        )
        account.add_step(dt, powers)
        account.add_water(point.water_kg_s * dt)
        account.add_extremes(dt, point.supply_c - hour.dew_c - DEW_MARGIN_K, point.case_c)
        account.add_coolant(dt, point.supply_c, flows.tcs_w_k / lpm_w_k)
        it, pump = it + point.it_w * dt, pump + flows.pump_w * dt
        facility, fan = facility + flows.facility_w * dt, fan + point.fan_w * dt
    month = site.weather.month(number)
    account.add_hour(month, (it / _HOUR_S, pump / _HOUR_S, facility / _HOUR_S, fan / _HOUR_S))
    if number % 24 == 12 and point is not None:
        account.add_day(_noon(hour, point))


def _order(point: SteadyPoint) -> tuple[float, float]:
    """Return the order of points: more load first, then less cost."""
    return -point.load_fraction, point.cost_w


def _noon(hour: Hour, point: SteadyPoint) -> dict[str, float]:
    return {
        "dry_c": hour.dry_c,
        "dew_c": hour.dew_c,
        "supply_c": point.supply_c,
        "setpoint_c": point.supply_c,
        "case_c": point.case_c,
        "fan_pct": 100.0 * point.fan_speed,
        "pump_pct": point.flows.pump_pct,
        "valve_pct": point.flows.valve_pct,
    }
