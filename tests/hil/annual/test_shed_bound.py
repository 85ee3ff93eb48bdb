# SPDX-License-Identifier: Apache-2.0
"""The bound where load is shed: no state of the plant serves more than it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hil.annual.bound.steady_search import SteadySearch
from hil.annual.limits import PLATFORMS
from hil.annual.site import AnnualSite
from hil.plant.air.weather import Hour, Weather


def make_search(air: Hour, platform: str, kind: str) -> SteadySearch:
    weather = Weather("constant", "test", [air] * 8760)
    return SteadySearch(AnnualSite(weather, kind, limits=PLATFORMS[platform]))


@pytest.mark.parametrize(
    ("air", "platform", "kind"),
    [
        (Hour(38.0, 20.0, 101_000.0), "W45", "dry"),
        (Hour(43.25, 10.0, 101_000.0), "W45", "dry"),
        (Hour(34.0, 24.0, 84_000.0), "W32", "adiabatic"),
    ],
)
def test_no_state_serves_more_than_the_bound(air: Hour, platform: str, kind: str) -> None:
    search = make_search(air, platform, kind)
    best = search.find_optimum(air)
    assert 0.3 < best.load_fraction < 0.999
    conditions = search.conditions(air, 1.0, kind == "adiabatic")

    def serves(load: float) -> bool:
        work_w = 1000.0 * search.site.it_kw * load - search.chip_leakage_w
        reduced = replace(conditions, work_w=work_w, min_supply_c=-100.0)
        pumps = [search.site.min_pump_pct + 0.25 * i for i in range(200)]
        return any(
            search.evaluate(search.make_flows(pump, valve), 1.0, reduced) is not None
            for pump in pumps
            if pump <= 100.0
            for valve in (60.0, 80.0, 90.0, 95.0, 100.0)
        )

    assert not serves(best.load_fraction)
    assert serves(best.load_fraction - 0.002)
