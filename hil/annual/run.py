# SPDX-License-Identifier: Apache-2.0
"""A controlled year: the weather changes, the control code steps, the plant follows.

The control code steps once a second during a transient: the supply is off its set-point, or the
set-point, the load or a limit moves. After a minute without a transient, control code and plant use
steps of `coarse_s`. The weather changes once a minute, linear between its hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hil.annual.energy_account import AnnualAccount, StepPowers
from hil.annual.policy import Policy
from hil.annual.sampled_sensors import DROPOUT_PCT, SampledSensors
from hil.annual.site import DEW_MARGIN_K, AnnualSite
from hil.errors import BenchError
from hil.plant.air.weather import Hour
from hil.plant.plant import Plant

_SECOND = 1_000_000
_MINUTE = 60
_DAY = 24
_STEADY_K = 0.6
_ROOM_C = 27.0
_REVERSAL_PCT = 0.5
_LOAD_STEP = 0.02
"""A change of the load in a minute, of the design, that is followed second by second."""
_BALANCE = 0.001

Progress = Callable[[int, int, AnnualAccount], None]


class AnnualRun:
    """One policy on one site; `run` runs it for some hours."""

    def __init__(
        self,
        site: AnnualSite,
        policy: Policy,
        faults: str = "none",
        coarse_s: int = 5,
        account: AnnualAccount | None = None,
        dropout_pct: float = DROPOUT_PCT,
        silent: str = "none",
    ) -> None:
        self.site, self.policy = site, policy
        self.plant: Plant = site.build_plant()
        policy.use_plant(self.plant)
        self.sensors = SampledSensors(self.plant, policy, faults, site.seed, dropout_pct, silent)
        self.account = account or AnnualAccount(site)
        self.coarse_s = coarse_s
        self._now_s = 0
        self._steady_s = 0
        self._step_s = 1
        self._wet = False
        self._direction = 0
        self._extreme_pct = self.plant.valve.position_pct

    def run(
        self,
        hours: int,
        start_hour: int = 0,
        progress: Progress | None = None,
        every: int = 1,
    ) -> AnnualAccount:
        """Run `hours` hours from the weather's hour `start_hour`; the first hour is not counted.

        With `every` above 1, only one day in `every` days is run, each after an hour that is not
        counted.
        """
        valve, travel = self.plant.valve, 0.0
        for i in range(hours):
            if i // _DAY % every != 0:
                continue
            if i == 0 or (every > 1 and i % _DAY == 0):
                self._run_hour(start_hour + i, count=False)
            before = valve.travel_pct
            self._run_hour(start_hour + i, count=True)
            travel += valve.travel_pct - before
            self.account.set_travel(travel)
            if progress is not None:
                progress(i + 1, hours, self.account)
        return self.account

    def assert_balances(self) -> None:
        """Raise `BenchError` if the error of energy or mass so far is above 0.1 %."""
        plant, facility = self.plant, self.plant.facility
        energy = plant.energy()
        residuals = [abs(energy.residual_j) / max(energy.in_j, 1.0)]
        if facility is not None:
            residuals.append(abs(facility.residual_j) / max(facility.input_j, 1.0))
        residuals.append(abs(plant.missing_l) / plant.parameters.supply_pipe_l)
        if max(residuals) > _BALANCE:
            raise BenchError(
                f"balances of the plant: error {max(residuals):.2%}, limit {_BALANCE:.1%}"
            )

    def _run_hour(self, hour: int, count: bool) -> None:
        """Run sixty minutes, then add them to the account."""
        account = self.account
        before = (account.it_j, account.pump_j, account.facility_j, account.fan_j, account.water_kg)
        facility = self.plant.facility
        water = facility.water_kg if facility is not None else 0.0
        for minute in range(_MINUTE):
            self._set_load(3600 * hour + 60 * minute)
            self._run_minute(self.site.weather.at(hour + minute / _MINUTE), count, hour)
        self.assert_balances()
        if not count:
            return
        if facility is not None:
            account.add_water(facility.water_kg - water)
        watts = (
            (account.it_j - before[0]) / 3600.0,
            (account.pump_j - before[1]) / 3600.0,
            (account.facility_j - before[2]) / 3600.0,
            (account.fan_j - before[3]) / 3600.0,
        )
        account.add_hour(self.site.weather.month(hour), watts)
        if hour % 24 == 12:
            self._record_noon(self.site.weather.at(hour))

    def _set_load(self, second: int) -> None:
        """Set the demand of a minute; a constant load keeps what others have set."""
        if self.site.load.name == "constant":
            return
        load_kw = self.site.it_kw * self.site.load.at(second)
        if abs(load_kw - self.plant.load.demand_kw) > _LOAD_STEP * self.site.it_kw:
            self._steady_s = 0  # a limit of the load must not come a coarse step late
        self.plant.set_load(load_kw)

    def _record_noon(self, weather: Hour) -> None:
        """Record the values of a day for the plot, at noon."""
        plant = self.plant
        self.account.add_day(
            {
                "dry_c": weather.dry_c,
                "dew_c": weather.dew_c,
                "supply_c": plant.supply_true_c,
                "setpoint_c": self.policy.setpoint_c,
                "case_c": plant.case_c,
                "fan_pct": plant.facility.fan_pct if plant.facility is not None else 0.0,
                "pump_pct": plant.pumps[0].speed_pct,
                "valve_pct": plant.valve.position_pct,
            }
        )

    def _run_minute(self, weather: Hour, count: bool, hour: int) -> None:
        """Run one minute of an hour with constant weather."""
        plant, policy, account = self.plant, self.policy, self.account
        facility = plant.facility
        if facility is None:
            return
        facility.set_air(weather.air())
        room_c = max(_ROOM_C, weather.dew_c + 1.0)
        self.sensors.begin_minute(self._now_s * _SECOND)
        self.sensors.sample_room(policy, room_c, weather.dew_c, self._now_s * _SECOND, hour)
        dew_limit_c = weather.dew_c + DEW_MARGIN_K
        sample, valve, pump, load = self.sensors.sample, plant.valve, plant.pumps[0], plant.load
        self._wet = self.site.is_wet(weather.dry_c, self._wet)
        remaining_s = _MINUTE
        while remaining_s > 0:
            dt = self._choose_step(remaining_s)
            remaining_s -= dt
            self._now_s += dt
            now = self._now_s * _SECOND
            policy.step(sample(now), plant.case_c, now, dt)
            valve.command(policy.valve_pct)
            pump.command(policy.pump_pct, 10.0)
            facility.command(policy.fan_pct, self._wet)
            load.set_limit(policy.limit_kw)
            plant.advance(now)
            if not count:
                self._extreme_pct = valve.position_pct
                continue
            self._count_reversal(valve.position_pct)
            limit_kw, shed_kw = policy.limit_kw, 0.0
            if limit_kw is not None and limit_kw < load.demand_kw:
                shed_kw = load.demand_kw - limit_kw
            powers_w = StepPowers(
                1000.0 * plant.it_kw,
                1000.0 * plant.leak_kw,
                1000.0 * shed_kw,
                plant.pump_electric_w,
                facility.pump_w,
                facility.fan_w,
            )
            account.add_step(dt, powers_w)
            account.add_extremes(dt, plant.supply_true_c - dew_limit_c, plant.case_c)
            account.add_coolant(dt, plant.supply_true_c, plant.flow_true_lpm)

    def _choose_step(self, remaining_s: int) -> int:
        """Return the length of the next step, s."""
        plant, policy = self.plant, self.policy
        error = plant.supply_c - policy.setpoint_c
        moving = not -_STEADY_K < error < _STEADY_K or policy.limit_kw is not None
        if moving or not -_STEADY_K < policy.setpoint_error_k < _STEADY_K:
            self._steady_s = 0
        else:
            self._steady_s += self._step_s
        step_s = self.coarse_s if self._steady_s >= _MINUTE else 1
        step_s = min(step_s, remaining_s)
        if step_s != self._step_s:
            self._step_s = step_s
            plant.set_step(step_s * _SECOND)
            plant.resume_at(self._now_s * _SECOND)
        return step_s

    def _count_reversal(self, position: float) -> None:
        """Count a reversal of the valve of more than 0.5 %."""
        moved = position - self._extreme_pct
        if self._direction >= 0:
            if moved > 0.0:
                self._extreme_pct, self._direction = position, 1
            elif moved < -_REVERSAL_PCT:
                self._extreme_pct = position
                self.account.add_reversals(self._direction)
                self._direction = -1
        elif moved < 0.0:
            self._extreme_pct = position
        elif moved > _REVERSAL_PCT:
            self._extreme_pct, self._direction = position, 1
            self.account.add_reversals(1)


def run_timed(
    annual_run: AnnualRun, hours: int, progress: Progress | None = None
) -> tuple[AnnualAccount, float]:
    """Run; return the account and the elapsed time, s."""
    start = time.perf_counter()
    account = annual_run.run(hours, progress=progress)
    return account, time.perf_counter() - start
