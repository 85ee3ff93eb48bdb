# SPDX-License-Identifier: Apache-2.0
"""A replay as a run of a record: each device is "replayed", from a capture that its hash names.

Does not play a capture; see `hil.run.capture`. The bench cannot know whether the devices behind a
capture were real, so the record does not say it. A capture with inputs only gives nothing to
compare, and one without `stop` was cut: the record is then not complete.
"""

from dataclasses import replace

from hil.bench.testbed_settings import TestbedSettings
from hil.io.strict_json import sha256
from hil.record.provenance import REPLAYED, Provenance
from hil.run.capture import RunCapture
from hil.run.provenance_recorder import ProvenanceRecorder
from hil.run.recorded import RecordedRun
from hil.run.virtual import RunResult
from hil.scenario.channels import Series
from hil.scenario.judge import FAIL, PASS, ExpectationResult
from hil.scenario.model import Prompt, Scenario
from hil.scenario.questions import make_unanswered
from hil.scenario.suite import Suite
from hil.scenario.toml_writer import write_toml

_SECOND = 1_000_000
_TITLE = "the controller gets the inputs of a capture"


def build_replay(
    capture: RunCapture,
    name: str,
    difference_text: str | None,
    origin: ProvenanceRecorder,
    dut: str,
    wall_s: float,
) -> tuple[Suite, RecordedRun]:
    """Return the suite and its run. `name`: of the file; `origin`: begun before the replay."""
    digest = sha256(capture.to_text().encode())
    seconds = max(1.0, capture.lines[-1][0] / _SECOND) if capture.lines else 1.0
    scenario = Scenario("replay", _TITLE, seconds, TestbedSettings())
    missing = [] if capture.outputs else ["operations of a controller in the capture, to compare"]
    if not capture.is_complete:
        missing.append("end of the capture (stop): it was cut")
    prompts = tuple(Prompt(0.0, text) for text in missing)
    text = f"# capture {name}, SHA-256 {digest}\n{write_toml(scenario)}"
    scenario = replace(scenario, text=text, prompts=prompts)
    failures = () if difference_text is None else (difference_text,)
    run_result = RunResult(scenario.name, 0, dut, failures, None, seconds, wall_s)
    found = [_compare_result(len(capture.outputs), difference_text)] if capture.outputs else []
    provenance = _name_replayed(origin.finish(capture.config, None), f"capture {name}")
    suite = Suite("replay", f"Replay of {name}", (scenario,))
    answers = [make_unanswered(prompt, 0.0) for prompt in prompts]
    return suite, RecordedRun(
        scenario, run_result, found, Series(()), [], capture.config, answers, provenance
    )


def _name_replayed(provenance: Provenance, source: str) -> Provenance:
    devices = tuple(replace(device, kind=REPLAYED, port=source) for device in provenance.devices)
    return replace(provenance, devices=devices)


def _compare_result(count: int, difference_text: str | None) -> ExpectationResult:
    verdict = PASS if difference_text is None else FAIL
    limits = f"all {count} as captured"
    measure = "operations of the controller"
    return ExpectationResult(
        measure=measure,
        unit="",
        limits=limits,
        window="capture",
        requirement="",
        verdict=verdict,
        worst=None,
        worst_at_s=None,
        took_s=None,
        failure=difference_text,
    )
