# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil year`: sensors of the row that give nothing, and the conditions of the bound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.control.law.cooling import ControlReadings
from hil.annual.bound.optimum import sum_optimum
from hil.annual.bound.steady_search import SteadySearch
from hil.annual.load_profile import YearLoad
from hil.annual.policy import Policy, make_policy
from hil.annual.run import AnnualRun
from hil.annual.site import AnnualSite
from hil.annual.unit_file import CASE_MARGIN_K, compile_unit, write_unit
from hil.annual.words import BOUNDS, SILENT
from hil.plant.air.weather import load_weather

SUMMER = 4800


def make_site(load: str = "constant") -> AnnualSite:
    return AnnualSite(load_weather("dubai"), "adiabatic", load=YearLoad(load))


@pytest.mark.parametrize("silent", SILENT)
def test_the_valve_rests_and_cases_stay_cool_without_a_sensor_of_the_row(silent: str) -> None:
    site = make_site()
    annual_run = AnnualRun(site, make_policy("coldloop", site), silent=silent)
    annual_run.run(2, SUMMER)  # the start of the plant
    travel_pct = annual_run.plant.valve.travel_pct
    record = annual_run.run(4, SUMMER + 2).record("coldloop", 0.0)
    travel_pct = annual_run.plant.valve.travel_pct - travel_pct
    assert travel_pct < 3000.0 * 5 / 168
    assert record["worst_case_c"] <= 75.0


def test_each_condition_of_the_unit_makes_the_bound_dearer() -> None:
    site = make_site()
    costs = [sum_optimum(site, 24, SUMMER, conditions=bound).cost_j for bound in BOUNDS]
    assert costs[0] < costs[1] < costs[2]
    account = AnnualRun(site, make_policy("coldloop", site)).run(24, SUMMER)
    assert costs[2] < account.cost_j < 1.01 * costs[2]


def test_the_bound_chooses_the_pads_and_the_controller_follows_their_thermostat() -> None:
    """So no threshold of the thermostat makes the ratio of controller and bound better."""
    site = make_site()
    hours = [site.weather.at(n + 0.5) for n in range(SUMMER - 3 * 24, SUMMER, 4)]
    chosen = []
    for threshold_c in (20.0, 40.0):
        search = SteadySearch(replace(site, wet_above_c=threshold_c))
        points = [search.find_optimum(hour) for hour in hours]
        for hour, free in zip(hours, points, strict=True):
            other = search.find_optimum(hour, is_wet=not free.wet)
            assert other.load_fraction < 1.0 or free.cost_w <= other.cost_w
        chosen.append([(point.wet, point.cost_w) for point in points])
    assert chosen[0] == chosen[1]
    assert {wet for wet, _ in chosen[0]} == {False, True}


def test_the_bound_has_the_load_of_each_minute() -> None:
    """A job of `training` pauses for one minute in 30."""
    site = make_site("training")
    demand_j = sum(60e6 * site.load.at(60.0 * minute) for minute in range(180))
    bound = sum_optimum(site, 3)
    work_j = bound.it_j - bound.leak_j
    assert work_j == pytest.approx(demand_j * 0.96, rel=0.004)


@pytest.mark.parametrize(("before", "after"), [(0.7, 0.95), (0.82, 1.0), (0.9, 1.0), (0.3, 1.0)])
def test_a_step_of_the_load_leaves_the_cases_cool(before: float, after: float) -> None:
    site = make_site("steps")
    object.__setattr__(site.load, "_starts", [0, 3600 * (SUMMER + 2)])
    object.__setattr__(site.load, "_levels", [before, after])
    account = AnnualRun(site, make_policy("coldloop", site)).run(3, SUMMER)
    assert account.max_case_c < 75.0
    assert account.not_served_j < 0.3e6  # 1 s of the power cap, which acts from 74.9 degC


def test_a_step_leaves_the_cases_cool_without_a_meter_of_the_load() -> None:
    """Two steps, as at the start of a job in a checkpoint: within the limit of the optimiser.

    With the reserve of a unit that has a meter they were 0.2 K above it.
    """
    site = make_site("steps")
    seconds = 3600 * (SUMMER + 2)
    object.__setattr__(site.load, "_starts", [0, seconds, seconds + 60])
    object.__setattr__(site.load, "_levels", [0.3, 0.5, 1.0])
    raw = write_unit(site)
    for meter in ("it_meter", "pump_meter"):
        del raw["cooling"]["optimum"][meter]
    policy = make_policy("coldloop", site, compile_unit(raw, "no meters"))
    account = AnnualRun(site, policy).run(3, SUMMER)
    assert account.max_case_c < site.limits.case_max_c - CASE_MARGIN_K
    assert account.not_served_j == 0.0


def test_without_a_flow_sensor_the_fans_use_the_data_sheet_of_the_pumps() -> None:
    """In winter the flow is 60 % of the design flow: at that of the table they ran at 100 %."""
    site = make_site()
    loops = []
    for silent in ("none", "flow"):
        annual_run = AnnualRun(site, make_policy("coldloop", site), silent=silent)
        loops.append(annual_run.run(3, 24).loop_j)
    assert loops[1] < 1.1 * loops[0]


class _StepLengths(Policy):
    """Fixed outputs; records each step. Its set-point is the supply: all is steady."""

    def __init__(self, site: AnnualSite) -> None:
        super().__init__(site)
        self.lengths: list[tuple[int, float]] = []

    def update_outputs(self, readings: ControlReadings, now: int, dt: float) -> None:
        self.setpoint_c = readings.supply_c or self.setpoint_c
        self.lengths.append((now // 1_000_000 - int(dt), dt))


def test_a_load_that_steps_is_followed_second_by_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a coarse step the limit of the load would come some seconds late."""
    step_at = 2 * 3600
    monkeypatch.setattr(YearLoad, "at", lambda _self, second: 0.5 if second < step_at else 0.8)
    site = make_site("steps")
    policy = _StepLengths(site)
    AnnualRun(site, policy).run(3)
    first = {at // 60: dt for at, dt in reversed(policy.lengths)}
    fine = [minute for minute, dt in first.items() if minute > 63 and dt == 1]
    assert fine == [180]  # an hour that is not counted comes first
