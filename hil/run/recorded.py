# SPDX-License-Identifier: Apache-2.0
"""Runs a scenario in virtual or real time and keeps all data for its record.

Does not contain the runs (see `hil.run.virtual`, `hil.run.real`) and does not write the record (see
`hil.record.record`).
"""

import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from hil.io.progress import ProgressLine
from hil.io.regular_file import write_output, write_whole
from hil.kernel.dut import DutFactory, InProcessDut
from hil.record.provenance import REAL_TIME, VIRTUAL_TIME, Provenance
from hil.record.record import Record, build_run_record, judge_run
from hil.run.capture import CapturingDut, RunCapture
from hil.run.dut_float32 import UnixF32
from hil.run.provenance_recorder import ProvenanceRecorder
from hil.run.real import RealRun
from hil.run.several.open_run import open_run
from hil.run.virtual import RunResult
from hil.scenario.channels import Series, list_channels, select_channels
from hil.scenario.judge import ExpectationResult
from hil.scenario.model import Scenario
from hil.scenario.questions import Answer, make_unanswered
from hil.shells.dut_rp2040 import Rp2040Dut
from hil.shells.lockstep import LockStepDut

DUTS: dict[str, DutFactory] = {
    "cpython": InProcessDut,
    "micropython": LockStepDut,
    "unix-f32": UnixF32,
    "rp2040": Rp2040Dut,
}
"""Controllers under test for virtual time."""


@dataclass
class RecordedRun:
    """A completed run with all data for its record."""

    scenario: Scenario
    run_result: RunResult
    results: list[ExpectationResult]
    series: Series
    console: list[str]
    config: dict[str, Any]
    answers: list[Answer]
    provenance: Provenance
    basis: dict[str, dict[str, str]] | None = None
    """Hashes of the configuration of a unit (`hil.run.unit.unit_file.basis_of`)."""

    @property
    def is_interrupted(self) -> bool:
        """Whether the run ended before its scenario."""
        return ended_s(self.scenario, self.run_result) is not None

    def complete(self) -> Self:
        """Return this run. Raises KeyboardInterrupt if it was interrupted."""
        if self.is_interrupted:
            raise KeyboardInterrupt
        return self

    @property
    def verdict(self) -> str:
        """The verdict of limits, failures and questions."""
        verdicts = [result.verdict for result in self.results]
        return judge_run(self.run_result.failures, verdicts, self.answers)

    def record(self) -> Record:
        """Build the run's part of the record."""
        facts = {
            **self.run_result.record(),
            "verdict": self.verdict,
            "provenance": asdict(self.provenance),
            "answers": self.answers,
        }
        if self.basis is not None:
            facts["basis"] = self.basis
        return build_run_record(
            self.scenario,
            facts,
            self.results,
            self.series,
            self.console,
            self.config,
        )


def ended_s(scenario: Scenario, run_result: RunResult) -> float | None:
    """Return the time at which a run was interrupted; None: it has reached its end."""
    return run_result.virtual_s if run_result.virtual_s < int(scenario.seconds) else None


def list_unanswered(scenario: Scenario) -> list[Answer]:
    """Return the questions of a run without a technician: none is answered."""
    return [make_unanswered(prompt, prompt.at_s) for prompt in scenario.prompts]


def record_virtual(
    scenario: Scenario, seed: int, dut: str, capture_file: Path | None = None
) -> RecordedRun:
    """Run a scenario in virtual time; with `capture_file`, also write a capture.

    Ctrl-C ends the run (see `run_interruptibly`); the capture then has its inputs until then.
    """
    origin = ProvenanceRecorder(VIRTUAL_TIME, dut)
    capture = RunCapture({}, note=f"{scenario.name}, seed {seed}, {dut}")
    make_dut = DUTS[dut] if capture_file is None else _make_capturing_factory(DUTS[dut], capture)
    run = open_run(scenario, seed, make_dut)
    series = Series(list_channels(scenario.settings))
    try:
        with ProgressLine(int(scenario.seconds), f"s of {scenario.name}") as progress:
            run_result = run.make_result(dut, run_interruptibly(run, series, progress.update))
    finally:
        run.close()
    if capture_file is not None:
        capture.set_config(run.config)
        write_output(capture_file, capture.to_text())
    return RecordedRun(
        scenario,
        run_result,
        run.evaluator.results(ended_s(scenario, run_result)),
        series,
        run.console,
        run.config,
        list_unanswered(scenario),
        origin.finish(run.config, run.status),
    )


class _SteppedRun(Protocol):
    """A run in virtual time that counts its seconds."""

    seconds: int

    def run(self, on_second: Callable[[int], None]) -> float: ...

    def sample(self, name: str) -> float | None: ...


def run_interruptibly(
    run: _SteppedRun, series: Series, progress: Callable[[int], None] | None = None
) -> float:
    """Run to the end or to Ctrl-C, with samples for `series`; give the wall time in s.

    `progress` gets each second that is done. Raises KeyboardInterrupt in the first second: there
    is no result yet.
    """
    started_s = time.perf_counter()

    def on_second(second: int) -> None:
        series.sample(second, run.sample)
        if progress is not None:
            progress(second)

    try:
        return run.run(on_second)
    except KeyboardInterrupt:
        if not run.seconds:
            raise
        return time.perf_counter() - started_s


def record_until_interrupted(
    scenarios: Sequence[Scenario], record: Callable[[Scenario], RecordedRun]
) -> Iterator[RecordedRun]:
    """Run the scenarios one after the other; the last result can be that of a part of a run.

    Raises KeyboardInterrupt if there is no result at all.
    """
    for number, scenario in enumerate(scenarios):
        try:
            run = record(scenario)
        except KeyboardInterrupt:
            if number == 0:
                raise
            return
        yield run
        if run.is_interrupted:
            return


def _make_capturing_factory(make_dut: DutFactory, capture: RunCapture) -> DutFactory:
    return lambda *setting: CapturingDut(make_dut(*setting), capture, *setting[2:])


def record_real(
    scenario: Scenario, seed: int, dut: str, real_devices: dict[str, str], log: Path | None = None
) -> RecordedRun:
    """Run a scenario in real time; `real_devices` replace emulated devices."""
    series = Series(select_channels(scenario.settings.pumps, scenario.settings.parts))
    origin = ProvenanceRecorder(REAL_TIME, dut)
    with ProgressLine(int(scenario.seconds), f"s of {scenario.name}") as progress:
        run = RealRun(scenario, seed, dut, real_devices, series, progress.update)
        run_result = run.run(log)
    return RecordedRun(
        scenario,
        run_result,
        run.evaluator.results(ended_s(scenario, run_result)),
        series,
        [],
        run.config,
        list_unanswered(scenario),
        origin.finish(run.config, run.status, run.devices),
    )


def repeat_command(
    name: str, seed: int, dut: str, real_time: bool, real_devices: Sequence[str] = ()
) -> str:
    """Return the command line that repeats a run; `real_devices`: each as NAME=PORT."""
    real = " --real-time" if real_time else ""
    devices = "".join(f" --real {shlex.quote(device)}" for device in real_devices)
    return f"coldloop hil run {shlex.quote(name)} --seed {seed} --dut {dut}{real}{devices}"


def write_json(path: Path, value: object) -> None:
    """Write an indented JSON file as a whole; raises BenchError."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, text.encode("utf-8", "surrogatepass"))
