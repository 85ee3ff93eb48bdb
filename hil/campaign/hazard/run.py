# SPDX-License-Identifier: Apache-2.0
"""Runs one case, judges it each 250 ms, and shrinks it to the fewest events.

Does not draw; see `hil.campaign.hazard.case_generator`. An exception of the controller violates I3.
For I4 the case runs again with the components in reverse order. The writes on the field bus must be
the same.
"""

import hashlib
import json
import time
import traceback
from dataclasses import dataclass, field, replace
from typing import Any

from hil.campaign.hazard.case_generator import CaseOptions, HazardCase, generate_case
from hil.campaign.hazard.exemptions import find_exemption
from hil.campaign.hazard.invariants import INVARIANTS
from hil.campaign.hazard.truth import STEP_US, Truth, take_truth
from hil.campaign.shrink import ScenarioEvents, quickxplain
from hil.devices.modbus.requests import WRITE_FUNCTIONS
from hil.errors import BenchError
from hil.kernel.dut import DutFactory, InProcessDut
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.model import Expectation, Scenario
from hil.scenario.toml_writer import write_toml

_ORDER_CHECK_SEEDS = 20
"""I4 doubles the time of a run, so only one seed of this many is run again."""


@dataclass(frozen=True)
class Violation:
    """A violated invariant: its name, the time in s, what was seen, and why it is exempt or ""."""

    invariant: str
    at_s: float
    text: str
    exempt_reason: str = ""


@dataclass
class CaseResult:
    """Result of one case. `shrunk_toml`: the shrunk scenario as TOML, if it was shrunk."""

    seed: int
    fault_count: int
    words: tuple[str, ...]
    title: str
    violations: list[Violation] = field(default_factory=list)
    codes: tuple[str, ...] = ()
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    shrunk_toml: str = ""

    @property
    def unexempt(self) -> list[Violation]:
        """The violations that are not exempt."""
        return [violation for violation in self.violations if not violation.exempt_reason]


def make_reversed_dut(*arguments: Any) -> InProcessDut:
    """Return the agent with its components in reverse order; ports keep their numbers."""
    dut = InProcessDut(*arguments)
    dut.agent.components.reverse()
    return dut


def run_case(seed: int, count: int, options: CaseOptions, dut: str, keep: bool) -> CaseResult:
    """Draw, run and judge one case; shrink it if it fails and `keep` is set."""
    started_s = time.process_time()
    case = generate_case(seed, count, options)
    words = tuple(sorted(fault.word for fault in case.faults))
    result = CaseResult(seed, count, words, case.scenario.title)
    result.virtual_s = case.scenario.seconds
    violations, result.codes = judge(case, DUTS[dut])
    if (
        seed % _ORDER_CHECK_SEEDS == 0
        and dut == "cpython"
        and not any(violation[0] == "I3" for violation in violations)
    ):
        violations += judge_component_order(case)
    for name, at_s, text in violations:
        exemption = find_exemption(name, case, result.codes, text)
        reason = "" if exemption is None else exemption.reason
        result.violations.append(Violation(name, at_s, text, reason))
    if keep and result.unexempt:
        names = {violation.invariant for violation in result.unexempt}
        result.shrunk_toml = write_toml(shrink_case(case, names, DUTS[dut]))
    result.cpu_s = time.process_time() - started_s
    return result


def judge(
    case: HazardCase, make_dut: DutFactory
) -> tuple[list[tuple[str, float, str]], tuple[str, ...]]:
    """Run a case; give the violations as (invariant, time, text), and the raised alarm codes."""
    return judge_run(case, VirtualRun(case.scenario, case.seed, make_dut))


def judge_run(
    case: HazardCase, run: VirtualRun
) -> tuple[list[tuple[str, float, str]], tuple[str, ...]]:
    """Judge a run of a case that has not begun; see `judge`. The run has a digest afterwards."""
    invariants = [invariant(case) for invariant in INVARIANTS]
    violations: list[tuple[str, float, str]] = []
    truth: Truth | None = None
    try:
        for truth in _run_sampled(run):
            for invariant in invariants:
                invariant.step(truth)
    except BenchError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the controller dies of is a finding
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({frame.name}, line {frame.lineno})"
        violations.append(("I3", run.world.now / 1e6, text))
    finally:
        run.dut.close()
    for invariant in invariants:
        if truth is not None:
            invariant.finish(truth)
        if invariant.violation is not None:
            violations.append((invariant.name, *invariant.violation))
    codes = {code.split(":")[0] for _, code, _ in run.testbed.history.raised}
    return violations, tuple(sorted(codes))


def _run_sampled(run: VirtualRun) -> "Any":
    """Run to the end; give a sample of the truth each 250 ms."""
    run.shell.start()
    text, status = b"", None
    for at_us in range(STEP_US, int(run.scenario.seconds) * 1_000_000 + 1, STEP_US):
        run.shell.run(at_us)
        run.testbed.plant.advance(at_us)
        if run.status_text is not text:
            text = run.status_text
            status = json.loads(text) if text else None
        yield take_truth(run.testbed, status, run.shell.is_on)


def judge_component_order(case: HazardCase) -> list[tuple[str, float, str]]:
    """Judge I4: the writes on the field bus do not depend on the order of the components."""
    duts = (InProcessDut, make_reversed_dut)
    digests = [digest_writes(case.scenario, case.seed, make_dut) for make_dut in duts]
    if digests[0] == digests[1]:
        return []
    return [("I4", 0.0, "the order of the components changes the writes on the field bus")]


def digest_writes(scenario: Scenario, seed: int, make_dut: DutFactory) -> str:
    """Run a scenario; hash the requests with a write function that the field bus gets."""
    run = VirtualRun(scenario, seed, make_dut)
    digest = hashlib.sha256()

    def observe(data: bytes) -> None:
        if len(data) > 1 and data[1] in WRITE_FUNCTIONS:
            digest.update(data)

    run.testbed.bus.set_observer(observe)
    try:
        run.run()
    finally:
        run.dut.close()
    return digest.hexdigest()


def shrink_case(case: HazardCase, names: set[str], make_dut: DutFactory) -> Scenario:
    """Give the scenario with the fewest events that still violates one of `names`."""

    def fails(events: ScenarioEvents) -> bool:
        scenario = replace(case.scenario, events=events)
        violations, _ = judge(replace(case, scenario=scenario), make_dut)
        return bool(names & {name for name, _, _ in violations})

    needed = quickxplain(case.scenario.events, fails)
    return replace(
        case.scenario, events=needed, expectations=_expectations(names, case.scenario.seconds)
    )


def _expectations(names: set[str], seconds: float) -> tuple[Expectation, ...]:
    """Give what a kept scenario of `seconds` expects for these invariants, as far as a measure
    exists. I8 is judged at its end.
    """
    table = {
        "I1": Expectation("case_c", "Cel", max=85.0, requirement="HEAT-1"),
        "I2": Expectation("dew_margin_k", "K", min=0.0, requirement="COOL-2"),
        "I3": Expectation("missed_ticks", max=0.0, requirement="SAFE-4"),
        "I5": Expectation("told_off_w", "W", max=5000.0, requirement="HEAT-2"),
        "I6": Expectation("loads_off", max=0.0, requirement="SAFE-1"),
        "I7": Expectation("alarms", max=10.0, requirement="SAFE-1"),
        "I8": Expectation("state", max=0.0, from_s=seconds - 1.0, requirement="SAFE-1"),
        "I9": Expectation("setpoint_c", "Cel", min=15.0, requirement="COOL-4"),
    }
    return tuple(table[name] for name in sorted(names) if name in table)
