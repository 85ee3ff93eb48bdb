# SPDX-License-Identifier: Apache-2.0
"""The year of the policy `optimum`: the cheapest steady state of each hour, found by search.

Has no controller and no dynamics: it knows the weather and the plant exactly and moves immediately.
The difference to a controller is the cost of control, sensors and delay.
"""

from __future__ import annotations

from collections.abc import Callable

from hil.annual.energy_account import AnnualAccount
from hil.annual.site import DEW_MARGIN_K, AnnualSite
from hil.annual.steady_search import SteadySearch
from hil.plant.air.cooler import fan_w
from hil.plant.facility import facility_pump_w
from hil.plant.fluid.valve import valve_flow_lpm

_HOUR_S = 3600.0
_MONTHS = (31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)


def sum_optimum(
    site: AnnualSite,
    hours: int,
    start_hour: int = 0,
    progress: Callable[[int, int, AnnualAccount], None] | None = None,
    every: int = 1,
) -> AnnualAccount:
    """Sum the cheapest points of `hours` hours, or of one day in `every` days."""
    account, search, p = AnnualAccount(site), SteadySearch(site), site.row
    for i in range(hours):
        if i // 24 % every != 0:
            continue
        hour = site.weather.at(start_hour + i)
        point = search.find_optimum(hour)
        pair, it_w = point.pair, 1000.0 * site.it_kw * point.load_fraction
        fan = fan_w(site.cooler, site.kind, point.fan_speed)
        fws = valve_flow_lpm(p, pair.valve_pct)
        facility = facility_pump_w(site.water, fws / p.hx_fws_design_lpm, p.hx_fws_design_lpm)
        pump = pair.watts - facility
        powers_w = (it_w, 1000.0 * site.it_kw, pump, facility, fan)
        account.add_step(_HOUR_S, powers_w, point.load_fraction < 1.0)
        account.add_water(search.water_kg_s(hour, point) * _HOUR_S)
        account.add_extremes(_HOUR_S, pair.supply_c - hour.dew_c - DEW_MARGIN_K, pair.case_c)
        day = (start_hour + i) // 24 % 365
        month = next(m for m, end in enumerate(_MONTHS) if day < end)
        account.add_hour(month, (it_w, pump, facility, fan))
        if (start_hour + i) % 24 == 12:
            account.add_day(
                {
                    "dry_c": hour.dry_c,
                    "dew_c": hour.dew_c,
                    "supply_c": pair.supply_c,
                    "setpoint_c": pair.supply_c,
                    "case_c": pair.case_c,
                    "fan_pct": 100.0 * point.fan_speed,
                    "pump_pct": pair.pump_pct,
                    "valve_pct": pair.valve_pct,
                }
            )
        if progress is not None:
            progress(i + 1, hours, account)
    return account
