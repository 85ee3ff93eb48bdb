# SPDX-License-Identifier: Apache-2.0
"""Pairs of hazard words on control and plant without buses, for thousands of hours.

Does not run the whole controller: no bus, no protection, no alarms. The control code gets its
readings through the checks of the sensors (`agent.control.law.plausibility`) and has the guard of
the dew point. The limits of the loads come from the agent's detector of hot devices
(`agent.power.detector.device_heat`) and from the power cap of `hil.annual`. Each hour can begin one
or two faults of `WORDS`, with the values of `hil.campaign.hazard.injected_faults`. They end
together after whole hours. Judged on the truth of the plant:

    I1       the hottest case is at most 95 °C, and not above 85 °C for more than `_HOT_S`
    I2       the supply is not below the dew point of the room for more than `_WET_S`
    balance  energy and mass of the plant close
"""

import random
from types import SimpleNamespace
from typing import Any

from agent.control.law.cooling import ControlReadings
from agent.control.law.dew_guard import DewGuard
from agent.power.detector.device_heat import DeviceHeat
from agent.power.limit.limit_ramp import LimitRamp
from agent.power.load import Load
from agent.power.load_class import LoadClass, find_class
from hil.annual.energy_account import AnnualAccount
from hil.annual.policy import ColdloopPolicy
from hil.annual.run import AnnualRun
from hil.annual.site import DEW_MARGIN_K, AnnualSite
from hil.annual.words import CLIMATES, KINDS
from hil.campaign.hazard.injected_faults import InjectedFault, faults_by_word
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.plant.air.weather import load_weather

WORDS = (
    "supply_offset",
    "supply_drift",
    "supply_noise",
    "supply_stuck",
    "return_offset",
    "dp_offset",
    "dp_stuck",
    "flow_stuck",
    "filter_clog",
    "hx_fouling",
    "valve_stiction",
    "valve_stuck",
    "fws_pressure",
    "rack_blocked",
)
"""Words that act on the plant or its sensors only, and that have an end."""
_CASE_C, _CASE_MAX_C = 85.0, 95.0
_HOT_S, _WET_S = 60.0, 120.0
_MAX_REST_H, _MAX_FAULT_H = 2, 2
_RAMP = (60_000_000, 10, 15_000_000)
"""The defaults of `throttle`: hold time, µs; step, %; period of steps, µs."""


class HotRowLimit:
    """Limits the row while its hottest case is hot, as the agent limits a load.

    `step` returns the limit in kW, or None without one.
    """

    def __init__(self, it_kw: float) -> None:
        watts = round(1000.0 * it_kw)
        self._load = Load("row", _load_class(), 1, watts // 10, watts)
        self._target = SimpleNamespace(
            case_c=None,
            read_at=0,
            asked_at=0,
            power_w=None,
            answered_at=0,
            deferred=False,
            is_in_force=True,
        )
        service: Any = SimpleNamespace(targets=[self._target])
        self._load.use_service(service, 0)
        self._heat = DeviceHeat(self._load)
        self._ramp = LimitRamp(*_RAMP)

    def step(self, case_c: float, supply_c: float | None, load_kw: float, now: int) -> float | None:
        """Step to `now` with the case, the supply and the power of the row."""
        load, target = self._load, self._target
        target.case_c, target.power_w = case_c, round(1000.0 * load_kw)
        target.read_at = target.asked_at = now
        self._heat.step(supply_c, now)
        self._ramp.step_limit(load, load.min_w if load.is_hot else load.max_w, True, now)
        return None if load.limit_w >= load.max_w else load.limit_w / 1000.0


def _load_class() -> LoadClass:
    found = find_class("gpu", [])
    if found is None:
        raise BenchError("the load class gpu is missing")
    return found


class CheckedPolicy(ColdloopPolicy):
    """The control code behind the checks of its sensors, with the guard of the dew point and the
    limit of a hot row.
    """

    def __init__(self, site: AnnualSite) -> None:
        super().__init__(site)
        self._guard = DewGuard()
        self._hot_row = HotRowLimit(site.it_kw)

    def step(self, readings: ControlReadings, case_c: float, now: int, dt: float) -> None:
        """Step the control code, and limit a hot row."""
        super().step(readings, case_c, now, dt)
        load_kw = self.site.it_kw if readings.load_kw is None else readings.load_kw
        hot_kw = self._hot_row.step(case_c, readings.supply_c, load_kw, now)
        if hot_kw is not None:
            self.limit_kw = hot_kw if self.limit_kw is None else min(hot_kw, self.limit_kw)

    def update_outputs(self, readings: ControlReadings, now: int, dt: float) -> None:
        """Step the control code, and shut the valve near the dew point."""
        super().update_outputs(readings, now, dt)
        cooling, row = self.cooling, self._row
        limit, supply_c = cooling.dew_limit, readings.supply_c
        if limit is None or limit.guard_c is None or supply_c is None:
            return
        self._guard.step(
            supply_c - row.supply.uncertainty, limit.guard_c, limit.dew_c is not None, dt
        )
        if self._guard.closing and supply_c < cooling.settings["supply"]["high_c"]:
            self.shut_valve()


class HazardAccount(AnnualAccount):
    """Judges each step; `failures` has the first of each kind in an hour."""

    def __init__(self, site: AnnualSite) -> None:
        super().__init__(site)
        self.failures: list[str] = []
        self.where = ""
        self._hot_s = self._wet_s = 0.0
        self._reported: set[str] = set()

    def begin_hour(self, where: str) -> None:
        """Name the hour and its faults for the failures."""
        self.where = where
        self._reported.clear()

    def add_extremes(self, dt: float, dew_margin_k: float, case_c: float) -> None:
        """Judge a step of `dt` seconds."""
        super().add_extremes(dt, dew_margin_k, case_c)
        above_k = dew_margin_k + DEW_MARGIN_K
        self._hot_s = self._hot_s + dt if case_c > _CASE_C else 0.0
        self._wet_s = self._wet_s + dt if above_k < 0.0 else 0.0
        if case_c > _CASE_MAX_C or self._hot_s > _HOT_S:
            self._report("I1", f"case {case_c:.1f} C for {self._hot_s:.0f} s")
        if self._wet_s > _WET_S:
            self._report("I2", f"{-above_k:.1f} K below the dew point for {self._wet_s:.0f} s")

    def _report(self, name: str, text: str) -> None:
        if name not in self._reported:
            self._reported.add(name)
            self.failures.append(f"{name}: {text}, {self.where}")


class PairInjector:
    """Changes the load and injects one or two faults, hour by hour."""

    def __init__(self, annual_run: AnnualRun, account: HazardAccount, rng: random.Random) -> None:
        self._annual_run, self._account, self._rng = annual_run, account, rng
        plant = annual_run.plant
        world = SimpleNamespace(now=0)
        self._testbed: Any = SimpleNamespace(plant=plant, world=world, valve=plant.valve)
        self._load_fraction = 0.6
        self._active: list[InjectedFault] = []
        self._change_at = 1

    def after_hour(self, hours_done: int, _: int, account: AnnualAccount) -> None:
        """Draw load and faults of the next hour."""
        rng, annual_run = self._rng, self._annual_run
        self._load_fraction = min(max(self._load_fraction + rng.uniform(-0.3, 0.3), 0.2), 1.0)
        annual_run.plant.set_load(self._load_fraction * annual_run.site.it_kw)
        if hours_done >= self._change_at:
            if self._active:
                self._end_faults()
                self._change_at = hours_done + rng.randint(1, _MAX_REST_H)
            else:
                self._begin_faults()
                self._change_at = hours_done + rng.randint(1, _MAX_FAULT_H)
        words = " and ".join(fault.text() for fault in self._active) or "no fault"
        self._account.begin_hour(f"hour {hours_done + 1}, {words}")

    def _begin_faults(self) -> None:
        groups = faults_by_word()
        for word in self._rng.sample(WORDS, self._rng.randint(1, 2)):
            fault = self._rng.choice([fault for fault in groups[word] if fault.for_s is None])
            EVENTS[word].do(self._testbed, fault.value or 0.0)
            self._active.append(fault)

    def _end_faults(self) -> None:
        for fault in self._active:
            undo = EVENTS[fault.word].undo
            if undo is not None:
                undo(self._testbed)
        self._active.clear()


def run_plant_pairs(seed: int, hours: int) -> list[str]:
    """Run the hours of a seed; return the violations."""
    rng = random.Random(f"hazard/plant/{seed}/{hours}")
    weather = load_weather(rng.choice(CLIMATES))
    site = AnnualSite(weather, rng.choice(KINDS), float(rng.randint(100, 1000)), seed)
    account = HazardAccount(site)
    policy = CheckedPolicy(site)
    annual_run = AnnualRun(site, policy, account=account)
    policy.use_plant(annual_run.plant)
    injector = PairInjector(annual_run, account, rng)
    try:
        annual_run.run(hours, rng.randrange(len(weather.hours)), injector.after_hour)
    except BenchError as error:
        account.failures.append(f"balance: {error}, {account.where}")
    return account.failures
