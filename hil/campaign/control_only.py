# SPDX-License-Identifier: Apache-2.0
"""A random campaign of control and plant without buses: weather, loads and faults.

Does not run the whole controller, only its control code (`agent.control`) through `hil.annual`:
no bus, no ticks, no telemetry. A virtual hour takes a hundredth of the time of a full run. The seed
determines site, weather, hour of the year, load, and faults of `FAULTS`. A fault lasts whole hours,
and two faults never overlap. After each hour the invariants are checked:

- case temperatures stay within their limit plus an allowance
- the supply temperature stays above the dew point
- the balances of the plant close
"""

import random
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

from hil.annual.energy_account import AnnualAccount
from hil.annual.policy import make_policy
from hil.annual.run import AnnualRun
from hil.annual.site import AnnualSite
from hil.annual.words import CLIMATES, KINDS
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.plant.air.weather import load_weather

HOURS = 100
ALLOWANCE_K = 10.0
"""Allowed excess of case temperatures during a fault and the response to it."""
DEW_ALLOWANCE_K = -2.0
"""Lowest margin: the margin above the dew point can be used up, the dew point is never reached."""
_MAX_REST_H = 3
_MAX_FAULT_H = 4
"""Longest time between two faults, and of a fault, h."""


@dataclass(frozen=True)
class PlantFault:
    """A fault of `hil.fault.registry` that acts on the plant only, with the limits of its value."""

    fault: str
    low: float = 0.0
    high: float = 0.0


FAULTS: tuple[PlantFault, ...] = (
    PlantFault("supply_offset", -1.0, 1.0),
    PlantFault("supply_noise", 0.0, 0.5),
    PlantFault("return_offset", -3.0, 3.0),
    PlantFault("dp_offset", -10.0, 10.0),
    PlantFault("filter_clog", 5.0, 40.0),
    PlantFault("hx_fouling", 1.0, 20.0),
    PlantFault("valve_stiction", 0.5, 2.0),
)


class FaultInjector:
    """Changes the load and injects faults hour by hour; checks the invariants."""

    def __init__(self, annual_run: AnnualRun, rng: random.Random) -> None:
        self.failures: list[str] = []
        self.max_case_c, self.min_margin_k = 0.0, 99.0
        self._annual_run = annual_run
        self._rng = rng
        self._testbed: Any = SimpleNamespace(plant=annual_run.plant, world=SimpleNamespace(now=0))
        self._load_fraction = 0.6
        self._active: PlantFault | None = None
        self._active_until = 0
        self._next_fault = _MAX_REST_H

    def after_hour(self, hours_done: int, _: int, account: AnnualAccount) -> None:
        """Check the past hour, then draw load and fault of the next."""
        self._check_invariants(hours_done, account)
        rng, annual_run = self._rng, self._annual_run
        self._load_fraction = min(max(self._load_fraction + rng.uniform(-0.3, 0.3), 0.2), 1.0)
        annual_run.plant.set_load(self._load_fraction * annual_run.site.it_kw)
        if self._active is not None and hours_done >= self._active_until:
            undo = EVENTS[self._active.fault].undo
            if undo is not None:
                undo(self._testbed)
            self._active, self._next_fault = None, hours_done + rng.randint(1, _MAX_REST_H)
        elif self._active is None and hours_done >= self._next_fault:
            self._active = rng.choice(FAULTS)
            value = round(rng.uniform(self._active.low, self._active.high), 2)
            EVENTS[self._active.fault].do(self._testbed, value)
            self._active_until = hours_done + rng.randint(1, _MAX_FAULT_H)

    def _check_invariants(self, hours_done: int, account: AnnualAccount) -> None:
        self.max_case_c = max(self.max_case_c, account.max_case_c)
        self.min_margin_k = min(self.min_margin_k, account.min_margin_k)
        fault_name = "no fault" if self._active is None else self._active.fault
        if account.max_case_c > self._annual_run.site.limits.case_max_c + ALLOWANCE_K:
            self.failures.append(
                f"case_c: {account.max_case_c:.1f} in hour {hours_done}, {fault_name}"
            )
        if account.min_margin_k < DEW_ALLOWANCE_K:
            shortfall_k = -account.min_margin_k
            self.failures.append(
                f"dew margin: {shortfall_k:.2f} K short in hour {hours_done}, {fault_name}"
            )
        account.reset_extremes()


class ControlRun(NamedTuple):
    """Result of a run: the violated invariants, and the wall time in s."""

    failures: list[str]
    wall_s: float


def run_control_only(seed: int, hours: int) -> ControlRun:
    """Run the hours of a seed."""
    started_s = time.perf_counter()
    rng = random.Random(f"plant/{seed}/{hours}")
    weather = load_weather(rng.choice(CLIMATES))
    site = AnnualSite(weather, rng.choice(KINDS), float(rng.randint(100, 1000)), seed)
    start = rng.randrange(len(weather.hours))
    failures: list[str]
    try:
        annual_run = AnnualRun(site, make_policy("coldloop", site))
        injector = FaultInjector(annual_run, rng)
        annual_run.run(hours, start, injector.after_hour)
        failures = injector.failures
    except BenchError as error:
        failures = [str(error)]
    return ControlRun(failures, time.perf_counter() - started_s)
