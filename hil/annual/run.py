"""A controlled year: weather moves, the control code steps, the plant follows, the ledger counts.

The control code steps once a second while something moves (the supply is off its set-point, or the
set-point, the load or a limit moves); when nothing has for a minute, both it and the plant go in
steps of `coarse_s`. The weather moves once a minute, along straight lines between its hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hil.annual.energy_account import Ledger
from hil.annual.policy import Policy
from hil.annual.sampled_sensors import Senses
from hil.annual.site import DEW_MARGIN_K, Site
from hil.errors import BenchError
from hil.plant.air.weather import Hour
from hil.plant.plant import Plant

_SECOND = 1_000_000
_MINUTE = 60
_DAY = 24
_CALM_K = 0.6
_ROOM_C = 27.0
_REVERSAL_PCT = 0.5
_BALANCE = 0.001
_MONTHS = (31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)

Progress = Callable[[int, int, Ledger], None]


class Year:
    """One policy on one site; `run` it for some hours."""

    def __init__(self, site: Site, policy: Policy, faults: str = "none", coarse_s: int = 5) -> None:
        self.site, self.policy = site, policy
        self.plant: Plant = site.plant()
        self.senses = Senses(self.plant, faults)
        self.ledger = Ledger(site)
        self.coarse_s = coarse_s
        self._now_s = 0
        self._quiet_s = 0
        self._step_s = 1
        self._direction = 0
        self._turned_at = self.plant.valve.position_pct

    def run(
        self,
        hours: int,
        start_hour: int = 0,
        progress: Progress | None = None,
        every: int = 1,
    ) -> Ledger:
        """Run `hours` from the weather's hour `start_hour` on; the first hour is not counted.

        With `every` above 1 only one day in so many is run, each after an hour that is not counted.
        """
        valve, travel = self.plant.valve, 0.0
        for i in range(hours):
            if i // _DAY % every != 0:
                continue
            if i == 0 or (every > 1 and i % _DAY == 0):
                self._hour(start_hour + i, count=False)
            before = valve.travel_pct
            self._hour(start_hour + i, count=True)
            travel += valve.travel_pct - before
            if progress is not None:
                progress(i + 1, hours, self.ledger)
        self.ledger.travel_pct = travel
        return self.ledger

    def assert_balances(self) -> None:
        """Raise `BenchError` unless energy and mass close to 0.1 % over all steps so far."""
        plant, facility = self.plant, self.plant.facility
        energy = plant.energy()
        shares = [abs(energy.residual_j) / max(energy.in_j, 1.0)]
        if facility is not None:
            shares.append(abs(facility.residual_j) / max(facility.through_j, 1.0))
        shares.append(abs(plant.missing_l) / plant.parameters.supply_pipe_l)
        if max(shares) > _BALANCE:
            raise BenchError(f"the plant's balances do not close: {max(shares):.2%} is missing")

    def _hour(self, hour: int, count: bool) -> None:
        """Sixty minutes, then the books."""
        ledger = self.ledger
        before = (ledger.it_j, ledger.pump_j, ledger.facility_j, ledger.fan_j, ledger.water_kg)
        facility = self.plant.facility
        water = facility.water_kg if facility is not None else 0.0
        for minute in range(_MINUTE):
            self._minute(self.site.weather.at(hour + minute / _MINUTE), count)
        self.assert_balances()
        if not count:
            return
        if facility is not None:
            ledger.water_kg += facility.water_kg - water
        watts = (
            (ledger.it_j - before[0]) / 3600.0,
            (ledger.pump_j - before[1]) / 3600.0,
            (ledger.facility_j - before[2]) / 3600.0,
            (ledger.fan_j - before[3]) / 3600.0,
        )
        day = hour // 24 % 365
        ledger.close_hour(next(i for i, end in enumerate(_MONTHS) if day < end), watts)
        if hour % 24 == 12:
            self._note(self.site.weather.at(hour))

    def _note(self, at: Hour) -> None:
        """What the plot shows of a day, at noon."""
        plant = self.plant
        self.ledger.days.append(
            {
                "dry_c": at.dry_c,
                "dew_c": at.dew_c,
                "supply_c": plant.supply_true_c,
                "setpoint_c": self.policy.setpoint_c,
                "case_c": plant.case_c,
                "fan_pct": plant.facility.fan_pct if plant.facility is not None else 0.0,
                "pump_pct": plant.pumps[0].speed_pct,
                "valve_pct": plant.valve.position_pct,
            }
        )

    def _minute(self, at: Hour, count: bool) -> None:
        """A minute of one weather."""
        plant, policy, ledger = self.plant, self.policy, self.ledger
        facility = plant.facility
        if facility is None:
            return
        facility.weather(at.air())
        room_c = max(_ROOM_C, at.dew_c + 1.0)
        self.senses.look_at_room(policy, room_c, at.dew_c, self._now_s * _SECOND)
        floor_c = at.dew_c + DEW_MARGIN_K
        look, valve, pump, load = self.senses.look, plant.valve, plant.pumps[0], plant.load
        it_w = 1000.0 * self.site.it_kw
        left = _MINUTE
        while left > 0:
            dt = self._pace(left)
            left -= dt
            self._now_s += dt
            now = self._now_s * _SECOND
            policy.step(look(), plant.case_c, now, dt)
            valve.command(policy.valve_pct)
            pump.command(policy.pump_pct, 10.0)
            facility.fan_command_pct = policy.fan_pct
            facility.wet = policy.wet
            load.limit_kw = policy.limit_kw
            plant.advance(now)
            if not count:
                self._turned_at = valve.position_pct
                continue
            self._count_reversal(valve.position_pct)
            ledger.seconds += dt
            ledger.it_j += 1000.0 * plant.it_kw * dt
            ledger.wanted_j += it_w * dt
            ledger.pump_j += plant.pump_electric_w * dt
            ledger.facility_j += facility.pump_w * dt
            ledger.fan_j += facility.fan_w * dt
            if policy.limit_kw is not None:
                ledger.shed_s += dt
            margin = plant.supply_true_c - floor_c
            if margin < 0.0:
                ledger.below_s += dt
            if margin < ledger.least_margin_k:
                ledger.least_margin_k = margin
            if plant.case_c > ledger.worst_c:
                ledger.worst_c = plant.case_c

    def _pace(self, left: int) -> int:
        """Seconds of the next step."""
        plant, policy = self.plant, self.policy
        error = plant.supply_c - policy.setpoint_c
        moving = not -_CALM_K < error < _CALM_K or policy.limit_kw is not None
        if moving or not -_CALM_K < policy.error_k < _CALM_K:
            self._quiet_s = 0
        else:
            self._quiet_s += self._step_s
        wanted = self.coarse_s if self._quiet_s >= _MINUTE else 1
        wanted = min(wanted, left)
        if wanted != self._step_s:
            self._step_s = wanted
            plant.retime(wanted * _SECOND)
            plant.begin(self._now_s * _SECOND)
        return wanted

    def _count_reversal(self, position: float) -> None:
        """Count a turn of the valve of more than half a percent."""
        moved = position - self._turned_at
        if self._direction >= 0:
            if moved > 0.0:
                self._turned_at, self._direction = position, 1
            elif moved < -_REVERSAL_PCT:
                self._turned_at = position
                self.ledger.reversals += self._direction
                self._direction = -1
        elif moved < 0.0:
            self._turned_at = position
        elif moved > _REVERSAL_PCT:
            self._turned_at, self._direction = position, 1
            self.ledger.reversals += 1


def timed(year: Year, hours: int, progress: Progress | None = None) -> tuple[Ledger, float]:
    """Run and say how many seconds it took."""
    began = time.perf_counter()
    ledger = year.run(hours, progress=progress)
    return ledger, time.perf_counter() - began
