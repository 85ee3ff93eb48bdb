# SPDX-License-Identifier: Apache-2.0
"""Runs a unit's configuration in real time on its real devices: the agent as a process.

Does not emulate anything and injects no fault. The agent controls the real devices, as it will in
operation. It gets the configuration without broker, receiver and stores.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agent.telemetry.status import STATUS_FILE
from drivers.tools.terminal.end_signals import deferred_end_signals
from hil.errors import BenchError
from hil.run.agent_process import AgentSubprocess, agent_command
from hil.run.unit import unit_measures
from hil.run.unit.unit_file import UnitFile
from hil.run.virtual import RunResult, name_interruption
from hil.scenario.channels import Series
from hil.scenario.judge import Evaluator
from hil.scenario.model import Scenario

_TRACED = "hil.run.unit.traced_agent"


class AgentWatch(NamedTuple):
    """What is watched of the process of the agent.

    `trace`: the file that gets its writes (`hil.io.write_trace`), an absolute path. `identities`:
    the probes of each device that names itself, as in a profile. The agent makes them before its
    first write and each two seconds; its alarm `identity` fails the run. `check_names`: compares
    the names before the agent starts; raises BenchError.
    """

    trace: Path
    identities: dict[str, list[dict[str, Any]]]
    check_names: Callable[[], None]


class RealUnitRun:
    """One scenario on real devices, ready to `run`."""

    def __init__(
        self,
        unit: UnitFile,
        scenario: Scenario,
        series: Series,
        follow: Callable[[unit_measures.Status | None], None] | None = None,
        watch: AgentWatch | None = None,
    ) -> None:
        self.unit = unit
        self.scenario = scenario
        self.evaluator = Evaluator(scenario)
        self.config: dict[str, Any] = {}
        self.status: dict[str, Any] | None = None
        self.seconds = 0
        self._series = series
        self._follow = follow
        self._watch = watch

    def run(self, log: Path | None = None) -> RunResult:
        """Run the agent for the duration of the scenario. Raises BenchError if the agent ends.

        Ctrl-C ends the run: the result is that of the seconds until then. Raises KeyboardInterrupt
        in the first second.
        """
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="coldloop-unit-") as name:
            folder = Path(name)
            self.config = {**self.unit.raw, "state": f"store:{folder}"}
            for section in ("cooling", "safety"):
                if "port" in self.config.get(section, {}):
                    (folder / section).mkdir()
                    port = f"store:{folder}/{section}"
                    self.config[section] = {**self.config[section], "port": port}
            path = folder / "unit.json"
            self._write_files(path)
            if self._watch is not None:
                self._watch.check_names()
            agent = AgentSubprocess("cpython", self._command(path), log)
            try:
                self._sample(folder, agent)
            except KeyboardInterrupt:
                if not self.seconds:
                    raise
            finally:
                with deferred_end_signals():
                    agent.stop()
                    self._read_status(folder)
        wall_s = time.perf_counter() - started
        failures = name_interruption(self.scenario, self.seconds) or self.evaluator.failures()
        seconds = float(self.seconds)
        return RunResult(self.scenario.name, 0, "cpython", tuple(failures), None, seconds, wall_s)

    def _write_files(self, path: Path) -> None:
        """Write the configuration and its profiles. A device that names itself has its own one."""
        folder = path.parent / "profiles"
        folder.mkdir()
        devices = []
        for number, device in enumerate(self.config["devices"]):
            model = device["profile"]
            raw = self.unit.raw_profiles[model]
            probes = self._watch.identities.get(device["name"]) if self._watch else None
            if probes:
                model = f"{model}_{number}"
                raw = {**raw, "model": model, "identity": [*raw.get("identity", []), *probes]}
            (folder / f"{model}.json").write_text(json.dumps(raw), encoding="utf-8")
            devices.append({**device, "profile": model})
        text = json.dumps({**self.config, "devices": devices})
        path.write_text(text, encoding="utf-8")

    def _command(self, config: Path) -> list[str]:
        if self._watch is None:
            return [*agent_command("cpython", True), str(config)]
        return [sys.executable, "-m", _TRACED, str(self._watch.trace), str(config)]

    def _sample(self, folder: Path, agent: AgentSubprocess) -> None:
        """Take one sample a second."""
        start = time.monotonic()
        for second in range(1, int(self.scenario.seconds) + 1):
            time.sleep(max(0.0, start + second - time.monotonic()))
            code = agent.exit_code()
            if code is not None:
                raise BenchError(f"{self.scenario.name}: the agent has ended with code {code}")
            self._read_status(folder)
            self.evaluator.sample(second, self.sample)
            self._series.sample(second, self.sample)
            self.seconds = second

    def _read_status(self, folder: Path) -> None:
        try:
            self.status = json.loads((folder / STATUS_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.status = None
        if self._follow is not None:
            self._follow(self.status)

    def sample(self, name: str) -> float | None:
        """Read one measure now."""
        return unit_measures.read(name, self.status, None)
