# SPDX-License-Identifier: Apache-2.0
"""An emulated row of 100 kW whose load is what the jobs of a real Slurm draw.

Not a real hall: plant, devices and power limits are emulated; the agent is the real one, in virtual
time, `speed` times as fast as the wall clock. Each running job on a node adds its licences in kW to
the idle power of the nodes. The loads of the row follow the limits of the agent. A file `speed` has
the part of its full work that a job can do: the power that the row draws above idle, divided by
what the jobs ask for. So a limit makes jobs longer. This linear model has no gain from a lower
clock rate of processors.
"""

import json
import math
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.orchestrate.slurm.client import SlurmClient, SlurmError
from hil.bench.testbed_settings import TestbedSettings
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario, ScenarioEvent

_SECOND = 1_000_000
LEAKAGE_PART, LEAKAGE_PER_K, LEAKAGE_AT_C = 0.04, 0.012, 60.0
"""Leakage of chips as in `hil.plant.power.server` (assumed): 4 % at 60 degC, e-fold in 83 K."""


@dataclass(slots=True)
class HallTotals:
    """Sums of a run. Energies in kWh, times in virtual s."""

    it_kwh: float = 0.0
    pump_kwh: float = 0.0
    leakage_kwh: float = 0.0
    derated_s: int = 0
    limited_s: int = 0
    case_c: float = 0.0
    supply_c: float = 0.0
    lost_work_kwh: float = 0.0
    series: list[list[float]] = field(default_factory=list)


class CoupledHall:
    """The row; `start` runs it in a thread, `speed` virtual seconds in a wall second."""

    def __init__(
        self, client: SlurmClient, folder: Path, speed: float, base_kw: float,
        events: tuple[ScenarioEvent, ...],
    ) -> None:  # fmt: skip
        settings = TestbedSettings(it_kw=base_kw, parts="throttle")
        scenario = Scenario("coupled", "jobs of a scheduler", 1e6, settings, events, ())
        self._run = VirtualRun(scenario, 1)
        self._client = client
        self._folder = folder
        self._speed = speed
        self._base_kw = base_kw
        self._stop = threading.Event()
        self.totals = HallTotals()
        self.second = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._write("speed", "1.0")
        self._run.shell.start()

    def start(self) -> None:
        """Begin at virtual second 0."""
        self._thread.start()

    def close(self) -> None:
        """Stop the row."""
        self._stop.set()
        self._thread.join()
        self._run.dut.close()

    def demand_kw(self) -> float:
        """Return what the running jobs and the idle nodes ask for, kW."""
        try:
            jobs = self._client.jobs()
        except SlurmError:
            return self._base_kw
        running = [job for job in jobs if "RUNNING" in job.states]
        return self._base_kw + sum(job.licences.get("coolkw", 0) for job in running)

    def _serve(self) -> None:
        started = time.monotonic()
        while not self._stop.wait(0.1):
            due = int((time.monotonic() - started) * self._speed)
            demand_kw = self.demand_kw()
            self._run.testbed.plant.load.set_power(demand_kw)
            while self.second < due:
                self._step(demand_kw)
            self._write_status()

    def _step(self, demand_kw: float) -> None:
        self.second += 1
        run, totals = self._run, self.totals
        run.shell.run(self.second * _SECOND)
        plant = run.testbed.plant
        plant.advance(self.second * _SECOND)
        run.status = json.loads(run.status_text) if run.status_text else None
        limits: dict[str, Any] = (run.status or {}).get("throttle", {})
        totals.it_kwh += plant.it_kw / 3600
        totals.pump_kwh += plant.pump_electric_w / 3.6e6
        mean_c = sum(plant.rack_case_c) / len(plant.rack_case_c)
        leakage_kw = LEAKAGE_PART * plant.it_kw * math.exp(LEAKAGE_PER_K * (mean_c - LEAKAGE_AT_C))
        totals.leakage_kwh += leakage_kw / 3600
        totals.derated_s += limits.get("state", "free") != "free"
        totals.limited_s += demand_kw > plant.it_kw + 0.5
        totals.lost_work_kwh += max(0.0, demand_kw - plant.it_kw) / 3600
        totals.case_c = max(totals.case_c, *plant.rack_case_c)
        totals.supply_c = max(totals.supply_c, plant.supply_true_c)
        if self.second % 10 == 0:
            entry = [demand_kw, plant.it_kw, plant.supply_true_c, max(plant.rack_case_c)]
            totals.series.append([self.second, *(round(value, 1) for value in entry)])
        asked_kw = demand_kw - self._base_kw
        part = (plant.it_kw - self._base_kw) / asked_kw if asked_kw > 0.0 else 1.0
        self._part = min(1.0, max(0.0, part))

    def _write_status(self) -> None:
        if self._run.status_text:
            self._write("status.json", self._run.status_text.decode())
        self._write("speed", f"{getattr(self, '_part', 1.0):.4f}")

    def _write(self, name: str, text: str) -> None:
        new = self._folder / (name + ".new")
        new.write_text(text)
        os.replace(new, self._folder / name)
