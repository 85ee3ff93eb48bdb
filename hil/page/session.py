# SPDX-License-Identifier: Apache-2.0
"""A session of the bench under the page: without a scenario, or through one scenario.

Does not select the next session; see `hil.page.session_manager`. It runs in the bench's thread:
frames at 10 Hz, evaluation and state once a second. A session without a scenario runs until it is
stopped.
"""

import functools
from typing import Any, NamedTuple

from hil.bench.testbed import SITE_E7
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.gnss.basic_sky import BasicSky
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.measure.registry import MEASURES, read
from hil.page.curves import CURVE_OF_MEASURE, read_frame
from hil.page.hub import BroadcastHub
from hil.page.layout import find_layout
from hil.record.provenance import REAL_TIME
from hil.report.next_steps import next_step
from hil.run.provenance_recorder import ProvenanceRecorder
from hil.run.real_bench import RealBench
from hil.run.recorded import RecordedRun
from hil.run.virtual import RunResult
from hil.scenario.channels import Series, select_channels
from hil.scenario.fault_parts import find_limits, find_refusal, find_unit
from hil.scenario.judge import Evaluator
from hil.scenario.model import Prompt, Scenario, ScenarioEvent
from hil.scenario.questions import Answer, find_answer_problem, make_answer, make_unanswered
from hil.scenario.semantic_check import find_problem
from hil.scenario.timeline import schedule

_SECOND = 1_000_000
_FRAME_US = _SECOND // 10


class _ShownPrompt(NamedTuple):
    """A prompt and the second at which it was shown."""

    prompt: Prompt
    at_s: int


class BenchSession:
    """Runs a bench. `scenario` None: no scenario. `active_faults`: name -> value of each."""

    def __init__(
        self, bench: RealBench, hub: BroadcastHub, scenario: Scenario | None, seed: int
    ) -> None:
        self.bench = bench
        self.scenario = scenario
        self.seed = seed
        self.status: dict[str, Any] | None = None
        self.seconds = 0
        self.active_faults: dict[str, float | None] = {}
        self.answers: list[Answer] = []
        self._prompts: list[_ShownPrompt] = []
        self.aborted = False
        self._hub = hub
        self._started_utc_s: float | None = None
        self._origin = ProvenanceRecorder(REAL_TIME, "cpython")
        self._frame_count = 0
        self._evaluator = Evaluator(scenario) if scenario is not None else None
        self._series = Series(select_channels(self.settings.pumps, self.settings.parts))
        latitude, longitude = (coordinate / 1e7 for coordinate in SITE_E7)
        self._sky = BasicSky(latitude, longitude, bench.world.random("page/sky"))

    @functools.cached_property
    def layout(self) -> dict[str, Any]:
        """The parts of the row for the diagram."""
        return find_layout(self.bench.config())

    @property
    def settings(self) -> TestbedSettings:
        """The settings of the row."""
        return self.scenario.settings if self.scenario is not None else TestbedSettings()

    def run(self, dut: str) -> None:
        """Run to the end of the scenario, or until the shell is stopped.

        The scenario begins with the first status of the agent, as in `hil.run.real`. The session
        ends after the last prompt is answered.
        """
        bench, shell = self.bench, self.bench.shell
        self._origin = ProvenanceRecorder(REAL_TIME, dut)
        self.start_frames()
        bench.start_agent(dut, bench.folder / "agent.log")
        if self.scenario is None:
            shell.run()
            return
        while self.status is None and self._is_running():
            shell.run(shell.now() + _FRAME_US)
        if self._is_running():
            shell.run(self._schedule(self.scenario))
        while self.open_prompt is not None and self._is_running():
            shell.run(shell.now() + _FRAME_US)

    def abort(self) -> None:
        """Abort the run; its record gives it as failed."""
        self.aborted = True
        self.bench.shell.stop_run()

    def _is_running(self) -> bool:
        return not self.aborted and not self.bench.shell.stopped

    def _schedule(self, scenario: Scenario) -> int:
        """Schedule the scenario from now on; give the world time of its end, µs."""
        world, start = self.bench.world, self.bench.shell.now()
        self._started_utc_s = world.utc(start) / _SECOND
        schedule(scenario, self.bench.testbed, start)
        for prompt in scenario.prompts:
            world.schedule(start + int(prompt.at_s * _SECOND), self._show_prompt, prompt)
        for second in range(1, int(scenario.seconds) + 1):
            world.schedule(start + second * _SECOND, self._sample_second)
        return start + int(scenario.seconds * _SECOND) + _SECOND // 2

    def start_frames(self) -> None:
        """Start to take frames."""
        self.bench.world.schedule(self.bench.world.now + _FRAME_US, self._take_frame)

    def _take_frame(self) -> None:
        self._frame_count += 1
        is_whole_second = self._frame_count % 10 == 0
        if is_whole_second:
            self._check_agent()
            if self.scenario is None:
                self._sample_second()
        world = self.bench.world
        values = read_frame(self.bench.testbed, self.status, self._find_real_names())
        self._hub.publish_frame(world.utc(world.now) / _SECOND, values, is_whole_second)
        self.bench.world.schedule((self._frame_count + 1) * _FRAME_US, self._take_frame)

    def _find_real_names(self) -> frozenset[str]:
        return frozenset(row["name"] for row in self.bench.device_swap.devices() if row["real"])

    def describe_run(self) -> dict[str, Any] | None:
        """Describe the scenario for the plots: start in Unix s, events and limits; None: none."""
        scenario = self.scenario
        if scenario is None or self._started_utc_s is None:
            return None
        limits = [
            {
                "curve": CURVE_OF_MEASURE[expectation.measure],
                "min": expectation.min,
                "max": expectation.max,
                "from_s": expectation.from_s + (expectation.within_s or 0.0),
                "until_s": expectation.until_s or scenario.seconds,
            }
            for expectation in scenario.expectations
            if expectation.measure in CURVE_OF_MEASURE and not expectation.never
        ]
        events = [{"at_s": event.at_s, "text": event.do} for event in scenario.events]
        return {
            "name": scenario.name,
            "started": self._started_utc_s,
            "seconds": scenario.seconds,
            "events": events,
            "limits": limits,
        }

    def _check_agent(self) -> None:
        exit_code = self.bench.agent_exit_code()
        if exit_code is not None:
            raise BenchError(f"the agent ended with exit code {exit_code} after {self.seconds} s")
        self.status = self.bench.status()

    def _sample_second(self) -> None:
        """Evaluate one second of the scenario, or sample one second without a scenario."""
        self.seconds += 1
        self.status = self.bench.status()
        if self._evaluator is not None:
            self._evaluator.sample(self.seconds, self._read)
        self._series.sample(self.seconds, self._read)

    def _read(self, name: str) -> float | None:
        return read(self.bench.testbed, self.status, name)

    def _show_prompt(self, prompt: Prompt) -> None:
        """Show a prompt, or queue it behind an open one."""
        self._prompts.append(_ShownPrompt(prompt, self.seconds))

    @property
    def open_prompt(self) -> dict[str, Any] | None:
        """The prompt that waits for an answer, for the page; None: there is none."""
        if not self._prompts:
            return None
        prompt, at_s = self._prompts[0]
        keys = ("text", "ask", "unit", "min", "max")
        return {**{key: getattr(prompt, key) for key in keys}, "at_s": at_s}

    def answer_prompt(self, text: str, operator: str) -> None:
        """Store the technician's answer; the answer `no` makes the run fail.

        Raises BenchError if no prompt is open, or if the text is no answer to it.
        """
        if not self._prompts:
            raise BenchError("no prompt is open")
        prompt, at_s = self._prompts[0]
        problem = find_answer_problem(prompt, text)
        if problem:
            raise BenchError(problem)
        self._prompts.pop(0)
        self.answers.append(make_answer(prompt, text, operator or "technician", at_s))

    def set_fault(self, name: str, value: float | None, is_on: bool) -> None:
        """Start or end a fault of `hil.fault.registry`; raises BenchError if it is not possible."""
        fault_type = EVENTS.get(name)
        if fault_type is None:
            raise BenchError(f"{name}: no such fault")
        if not is_on:
            if name in self.active_faults and fault_type.undo is not None:
                fault_type.undo(self.bench.testbed)
            self.active_faults.pop(name, None)
            return
        self._check_fault(name, value)
        fault_type.do(self.bench.testbed, value if value is not None else 0.0)
        if fault_type.undo is not None:
            self.active_faults[name] = value

    def _check_fault(self, name: str, value: float | None) -> None:
        refusal = find_refusal(name, self.settings, in_real_time=True)
        if refusal:
            raise BenchError(f"{name}: {refusal}")
        limits = find_limits(name, self.settings)
        if value is None and limits is not None:
            unit = find_unit(EVENTS[name].description)
            raise BenchError(f"a value is needed: {limits[0]:g} to {limits[1]:g} {unit}".rstrip())
        scenario = Scenario("page", "page", 10, self.settings, (ScenarioEvent(0, name, value),))
        problem = find_problem(scenario)
        if problem is not None:
            raise BenchError(f"{problem.text} {find_unit(EVENTS[name].description)}".rstrip())

    def list_satellites(self) -> list[list[Any]]:
        """Return the satellites over the site: system, number, elevation, azimuth (deg), dBHz."""
        loss = float(getattr(self.bench.testbed.receiver, "jam_db", 0.0))
        satellites = self._sky.visible(
            self.bench.world.utc(self.bench.world.now) // _SECOND, 5.0, loss
        )
        return [
            [
                satellite.system,
                satellite.number,
                satellite.elevation,
                satellite.azimuth,
                satellite.cn0,
            ]
            for satellite in satellites
        ]

    def list_results(self) -> list[dict[str, Any]]:
        """Return the present results: limits, worst value and verdict of each expectation."""
        if self._evaluator is None or self.scenario is None:
            return []
        entries = []
        for expectation, result in zip(
            self.scenario.expectations, self._evaluator.results(), strict=True
        ):
            has_begun = self.seconds >= expectation.from_s
            entry = {
                "measure": result.measure,
                "unit": result.unit,
                "limits": result.limits,
                "window": result.window,
                "min": expectation.min,
                "max": expectation.max,
                "band": expectation.marginal,
                "about": MEASURES[result.measure.partition(":")[0]].description,
                "worst": result.worst,
                "worst_at_s": result.worst_at_s,
                "value": self._read(result.measure) if self.status is not None else None,
                "verdict": result.verdict if has_begun and result.worst is not None else "waiting",
                "next": next_step(result.measure) if result.failure else "",
            }
            entries.append(entry)
        return entries

    def make_recorded_run(self, dut: str) -> RecordedRun:
        """Return the completed run for the record."""
        scenario, evaluator = self.scenario, self._evaluator
        if scenario is None or evaluator is None:
            raise BenchError("a bench without a scenario has no record")
        shown = [entry.prompt for entry in self._prompts]
        due = [prompt for prompt in scenario.prompts if prompt.at_s > self.seconds]
        missing = [make_unanswered(prompt, prompt.at_s) for prompt in [*shown, *due]]
        run_result = RunResult(
            scenario.name,
            self.seed,
            dut,
            (*(["aborted"] if self.aborted else []), *evaluator.failures()),
            None,
            float(self.seconds),
            max(self.bench.shell.now() / _SECOND, 0.001),
        )
        config = self.bench.config()
        return RecordedRun(
            scenario,
            run_result,
            evaluator.results(run_result.virtual_s if self.aborted else None),
            self._series,
            [],
            config,
            [*self.answers, *missing],
            self._origin.finish(config, self.status, self.bench.device_swap.devices()),
        )
