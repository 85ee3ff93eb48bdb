"""A run that is recorded: the scenario, its series and findings, in virtual or in real time.

Not the run itself (`hil.run.virtual`, `hil.run.real`) and not the file (`hil.record.record`).
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.kernel.dut import InProcess, MakeDut
from hil.record.record import Record, run_record
from hil.run.capture import Capture, Listener
from hil.run.dut_float32 import UnixF32
from hil.run.real import RealRun
from hil.run.virtual import Outcome, VirtualRun
from hil.scenario.channels import Series, channels
from hil.scenario.judge import Finding
from hil.scenario.model import Scenario
from hil.shells.lockstep import LockStep

DUTS: dict[str, MakeDut] = {
    "cpython": InProcess,
    "micropython": LockStep,
    "unix-f32": UnixF32,
}
"""Controllers that can be turned in virtual time."""


@dataclass
class Recorded:
    """How a run came out, with all that its record needs."""

    scenario: Scenario
    outcome: Outcome
    findings: list[Finding]
    series: Series
    console: list[str]
    config: dict[str, Any]
    answers: list[dict[str, Any]]

    def record(self) -> Record:
        """Give the run's part of the record."""
        return run_record(
            self.scenario,
            self.outcome.record(),
            self.findings,
            self.series,
            self.console,
            self.config,
            self.answers,
        )


def taken_as_confirmed(scenario: Scenario) -> list[dict[str, Any]]:
    """Answer the prompts where there is no technician."""
    return [
        {"at_s": p.at_s, "text": p.text, "answer": None, "by": "nobody: taken as confirmed"}
        for p in scenario.prompts
    ]


def record_virtual(
    scenario: Scenario, seed: int, dut: str, capture_file: Path | None = None
) -> Recorded:
    """Run a scenario in virtual time and keep its series; all bytes too, when a file is named."""
    capture = Capture({}, note=f"{scenario.name}, seed {seed}, {dut}")
    make = DUTS[dut] if capture_file is None else _listening(DUTS[dut], capture)
    run = VirtualRun(scenario, seed, make)
    series = Series(channels(scenario.row.pumps))
    try:
        outcome = run.outcome(dut, run.run(lambda second: series.sample(second, run.sample)))
    finally:
        run.dut.close()
    if capture_file is not None:
        capture.config = run.config
        capture_file.write_text(capture.text(), encoding="utf-8")
    findings, answers = run.judge.findings(), taken_as_confirmed(scenario)
    return Recorded(scenario, outcome, findings, series, run.console, run.config, answers)


def _listening(make: MakeDut, capture: Capture) -> MakeDut:
    return lambda *setting: Listener(make(*setting), capture, *setting[2:])


def record_real(
    scenario: Scenario, seed: int, dut: str, real: dict[str, str], log: Path | None = None
) -> Recorded:
    """Run a scenario in real time over real ports; `real` puts devices in emulated ones' places."""
    run = RealRun(scenario, seed, dut, real)
    run.series = Series(channels(scenario.row.pumps))
    outcome = run.run(log)
    findings, answers = run.judge.findings(), taken_as_confirmed(scenario)
    return Recorded(scenario, outcome, findings, run.series, [], run.config, answers)


def again(name: str, seed: int, dut: str, real_time: bool) -> str:
    """Write the line that repeats a run."""
    real = " --real-time" if real_time else ""
    return f"coldloop hil run {shlex.quote(name)} --seed {seed} --dut {dut}{real}"


def write_json(path: Path, value: object) -> None:
    """Write a file of JSON that a person can read too."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
