# SPDX-License-Identifier: Apache-2.0
"""The last steps of `coldloop commission`: acceptance with twins, on the devices, signed reports.

Does not contain the scenarios; see `hil.run.unit.unit_suite`. There are two reports, because a
record must not mix what was emulated with what was real: `report-twin` (virtual time, twins) and
`report` (live values, gauges, write test and, if permitted, the agent on the real devices).
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from drivers.tools.terminal.activity_line import ActivityLine
from hil.bench.testbed_settings import TestbedSettings
from hil.errors import BenchError
from hil.io.progress import ProgressLine
from hil.record.provenance import REAL, REAL_TIME, DeviceOrigin, Provenance, SerialCheck
from hil.record.record import worst_verdict
from hil.report.write import Labels, check_report, write_all
from hil.run.provenance_recorder import ProvenanceRecorder
from hil.run.recorded import RecordedRun
from hil.run.unit.real_unit import AgentWatch
from hil.run.unit.record_unit import record_real_unit, record_twin
from hil.run.unit.shown_response import add_responses
from hil.run.unit.unit_file import UnitFile, basis_of, load_unit
from hil.run.unit.unit_suite import build_suite
from hil.run.virtual import RunResult
from hil.scenario.channels import Channel, Series
from hil.scenario.judge import FAIL, MARGINAL, PASS, ExpectationResult
from hil.scenario.model import Prompt, Scenario
from hil.scenario.questions import Answer, make_answer, make_unanswered
from hil.scenario.suite import Suite
from hil.scenario.toml_writer import write_toml
from hil.tools.commission.findings import (
    count_gauges,
    indistinct_gauges,
    no_gauge,
    sensor_problems,
    value_problems,
)
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.write_test import DONE, NOT_TESTED
from hil.tools.commission.tuning.loop_tuning import describe_tuning
from hil.tools.commission.tuning.tuning_record import record_tuning

_TITLE = "live values, comparison with gauges, write test"


def run_twins(unit_file: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the suite with twins and write `report-twin`; return verdict and failures."""
    unit = load_unit(unit_file)
    check_report(folder / "report-twin", arguments.key)
    move_away(folder / "report-twin")
    suite = build_suite(unit, is_real=False)
    recorded = []
    with ProgressLine(len(suite.scenarios), "scenarios") as progress:
        for scenario in suite.scenarios:
            recorded.append(record_twin(unit, scenario, 1, "cpython").complete())
            progress.update(len(recorded))
    return _write(suite, recorded, folder / "report-twin", arguments)


def run_real(
    unit: UnitFile,
    folder: Path,
    arguments: argparse.Namespace,
    journal: Journal,
    follow: Callable[[dict[str, Any] | None], None] | None,
    settle: Callable[[list[RecordedRun]], list[RecordedRun]] = list,
    watch: AgentWatch | None = None,
) -> dict[str, Any]:
    """Write `report`; with `follow` first run the agent on the real devices.

    `follow` gets each status of the agent. `settle` gets the runs before the report is written, and
    returns them with the outputs. `watch`: see `AgentWatch`.
    """
    on_devices = follow is not None
    suite = build_suite(unit, is_real=True, real_s=arguments.seconds)
    qualifier = describe_extent(journal, on_devices)
    check_report(folder / "report", arguments.key)
    move_away(folder / "report")
    recorded = [_record_facts(unit, journal, arguments.operator)]
    if journal.get("tune"):
        provenance = _provenance(unit, journal.done_at("tune"), journal.get("values"))
        tuning = record_tuning(journal.get("tune"), unit.whole, provenance)
        recorded.append(replace(tuning, basis=basis_of(unit)))
    first = len(recorded)
    if on_devices:
        for scenario in suite.scenarios:
            with ActivityLine(f"{scenario.name}, of {scenario.seconds:.0f} s"):
                recorded.append(record_real_unit(unit, scenario, None, follow, watch).complete())
        shown = tuple(r["loop"] for r in journal.get("tune") or [] if r.get("process"))
        recorded = [*recorded[:first], *add_responses(unit, recorded[first:], shown)]
    suite = replace(suite, name="commission", title=f"Commissioning, {qualifier}: {suite.title}")
    recorded = settle(recorded)
    return {**_write(suite, recorded, folder / "report", arguments), "extent": qualifier}


def describe_extent(journal: Journal, on_devices: bool) -> str:
    """Return what a verdict on the devices covers; it is part of the verdict and of the title."""
    control = "controlled by the agent" if on_devices else "not controlled by the agent"
    parts = control, count_gauges(journal.get("values")), describe_tuning(journal.get("tune"))
    return ", ".join(part for part in parts if part)


def move_away(folder: Path) -> Path | None:
    """Rename an earlier report, so that it is never taken for that of this run.

    Return its new path; None: there was none.
    """
    if not folder.exists():
        return None
    number = 1
    while (folder.parent / f"{folder.name}-old{number}").exists():
        number += 1
    try:
        return folder.rename(folder.parent / f"{folder.name}-old{number}")
    except OSError as error:
        raise BenchError(f"{folder}: {error.strerror}") from None


def _write(
    suite: Suite, recorded: list[RecordedRun], folder: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    labels = Labels(SerialCheck(arguments.serial), arguments.operator, arguments.key)
    paths = write_all(suite, recorded, folder, labels)
    return {
        "verdict": worst_verdict([run.verdict for run in recorded]),
        "failures": {
            run.scenario.name: list(run.run_result.failures)
            for run in recorded
            if run.run_result.failures
        },
        "open": [
            answer["text"] for run in recorded for answer in run.answers if answer["answer"] is None
        ],
        "files": [str(path) for path in paths],
    }


def _record_facts(unit: UnitFile, journal: Journal, operator: str) -> RecordedRun:
    """Return the facts of the dialogue as a run: values, gauges, write test."""
    values, writes = journal.get("values"), journal.get("write-test")
    results, failures, prompts, answers = [], [], [], []
    for gauge in values["gauges"]:
        kind = "text" if isinstance(gauge["gauge"], str) else "number"
        prompt = Prompt(0.0, f"{gauge['point']}: value of the gauge", kind, gauge["unit"])
        prompts.append(prompt)
        answers.append(_answer(prompt, gauge["gauge"], operator))
        if isinstance(gauge["gauge"], float):
            results.append(_gauge_result(gauge, indistinct_gauges(values).get(gauge["point"])))
    for write in writes:
        if write["state"] == NOT_TESTED:
            prompt = Prompt(0.0, f"{write['point']}: write test")
            prompts.append(prompt)
            answers.append(make_unanswered(prompt, 0.0))
    results += [_write_result(write) for write in writes if write["state"] != NOT_TESTED]
    if no_gauge(values):
        prompt = Prompt(0.0, "at least one value, compared with a gauge")
        prompts.append(prompt)
        answers.append(make_unanswered(prompt, 0.0))
    failures += value_problems(values) + sensor_problems(unit.raw["control"], values)
    failures += [result.failure for result in results if result.failure is not None]
    scenario = Scenario("commission", _TITLE, 1.0, TestbedSettings(), prompts=tuple(prompts))
    scenario = replace(scenario, text=write_toml(scenario))
    run_result = RunResult(
        scenario.name,
        seed=0,
        dut="cpython",
        failures=tuple(failures),
        digest=None,
        virtual_s=1.0,
        wall_s=1.0,
    )
    origin = _provenance(unit, journal.done_at("values"), values)
    series = _series(values)
    basis = basis_of(unit)
    return RecordedRun(
        scenario, run_result, results, series, [], unit.whole, answers, origin, basis
    )


def _provenance(unit: UnitFile, started_utc: str, values: dict[str, Any]) -> Provenance:
    """Return the origin of a step of the dialogue: all devices are real."""
    origin = ProvenanceRecorder(REAL_TIME, "cpython").finish(unit.whole, None)
    devices = tuple(_origin(unit, device, values) for device in unit.raw["devices"])
    return replace(origin, started_utc=started_utc, devices=devices)


def _answer(prompt: Prompt, value: float | str | None, operator: str) -> Answer:
    if value is None:
        return make_unanswered(prompt, 0.0)
    text = "there is no gauge" if isinstance(value, str) else f"{value:g}"
    return make_answer(prompt, text, operator or "not named", 0.0)


def _origin(unit: UnitFile, device: dict[str, Any], values: dict[str, Any]) -> DeviceOrigin:
    identity = next(d["identity"] for d in values["devices"] if d["name"] == device["name"])
    port = unit.raw["buses"][device["bus"]]
    return DeviceOrigin(device["name"], REAL, port, device["unit"], device["profile"], identity)


def _gauge_result(gauge: dict[str, Any], near: str | None) -> ExpectationResult:
    """`near`: why a wrong register would agree with the gauge, too; None: it would not."""
    tolerance, difference = gauge["tolerance"], abs(gauge["read"] - gauge["gauge"])
    unit, limits = gauge["unit"], f"at most {gauge['tolerance']:g}"
    failure = None
    if difference > tolerance:
        failure = f"{gauge['point']}: differs from the gauge by {difference:.2f} {unit}, {limits}"
    measure = f"difference to the gauge: {gauge['point']}"
    return _result(measure, unit, limits, difference, failure, near)


def _write_result(write: dict[str, Any]) -> ExpectationResult:
    state = write["state"]
    failure = (
        None if state == DONE else f"write test of {write['point']}: {state} {write['reason']}"
    )
    worst = float(state == DONE)
    measure = f"write test: {write['point']}"
    return _result(measure, "", "read back, and returned to the old value", worst, failure)


def _result(
    measure: str,
    unit: str,
    limits: str,
    worst: float,
    failure: str | None,
    near: str | None = None,
) -> ExpectationResult:
    verdict = MARGINAL if near else PASS
    verdict = FAIL if failure is not None else verdict
    return ExpectationResult(
        measure=measure,
        unit=unit,
        limits=limits,
        window="commissioning",
        requirement="",
        verdict=verdict,
        worst=worst,
        worst_at_s=0.0,
        took_s=None,
        failure=None if failure is None else failure.rstrip(),
        near=near if verdict == MARGINAL else None,
    )


def _series(values: dict[str, Any]) -> Series:
    """Return the samples of the live values as curves."""
    channels, columns, length = [], {}, 0
    for device in values["devices"]:
        for name in device["samples"][0] if device["samples"] else ():
            key = f"{device['name']}.{name}"
            channels.append(Channel(key, key, "", name))
            columns[key] = [
                sample[name][0] if sample[name][1] == "good" else None
                for sample in device["samples"]
            ]
            length = max(length, len(columns[key]))
    return Series(tuple(channels), [0.2 * i for i in range(length)], columns)
