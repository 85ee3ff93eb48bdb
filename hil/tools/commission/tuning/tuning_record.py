# SPDX-License-Identifier: Apache-2.0
"""The step tests as a run of the record: curves of output and value, gains, failures.

Does not test; see `hil.tools.commission.tuning.loop_tuning`. A loop that was not tuned has a line
in the console of the run, and no result: it keeps gains that fit the standard plant.
"""

from dataclasses import replace
from typing import Any

from hil.bench.testbed_settings import TestbedSettings
from hil.record.provenance import Provenance
from hil.run.recorded import RecordedRun
from hil.run.virtual import RunResult
from hil.scenario.channels import Channel, Series
from hil.scenario.judge import PASS, ExpectationResult
from hil.scenario.model import Scenario
from hil.scenario.toml_writer import write_toml
from hil.tools.commission.tuning.loop_tuning import GAIN_KEYS, describe, find_range, tune_problems

_TITLE = "step test of each loop, and the gains from its response"
_UNITS = {"supply": ("°C", "%/K"), "dp": ("kPa", "%/kPa")}
"""Loop: units of its value and of its gain."""


def record_tuning(
    results: list[dict[str, Any]], config: dict[str, Any], provenance: Provenance
) -> RecordedRun:
    """Return the run of the tests that were made."""
    scenario = Scenario("tuning", _TITLE, 1.0, TestbedSettings())
    scenario = replace(scenario, text=write_toml(scenario))
    series = _series(results)
    seconds = max([1.0, *series.at_s])
    failures = tuple(tune_problems(results))
    run_result = RunResult(
        scenario.name,
        seed=0,
        dut="cpython",
        failures=failures,
        digest=None,
        virtual_s=seconds,
        wall_s=seconds,
    )
    found = [_gain_result(result) for result in results if "gains" in result]
    console = [describe(result) for result in results]
    return RecordedRun(scenario, run_result, found, series, console, config, [], provenance)


def _gain_result(result: dict[str, Any]) -> ExpectationResult:
    loop, key = result["loop"], GAIN_KEYS[result["loop"]]
    low, high = find_range(loop, key)
    measure = f"tuning of the {loop} loop: {key}, integral_s {result['gains']['integral_s']:g}"
    gain, unit = result["gains"][key], _UNITS[loop][1]
    limits = f"{low:g} to {high:g}"
    return ExpectationResult(
        measure=measure,
        unit=unit,
        limits=limits,
        window="step test",
        requirement="",
        verdict=PASS,
        worst=gain,
        worst_at_s=0.0,
        took_s=None,
        failure=None,
    )


def _series(results: list[dict[str, Any]]) -> Series:
    """Return the samples of all tests on one time axis, one test after the other."""
    channels: list[Channel] = []
    rows: list[tuple[float, str, float, float]] = []
    shift_s = 0.0
    for result in results:
        samples = result.get("samples", [])
        if not samples:
            continue
        loop, unit = result["loop"], _UNITS[result["loop"]][0]
        channels.append(Channel(f"{loop}.value", f"{loop} loop", unit, f"{loop}, as read"))
        channels.append(Channel(f"{loop}.output", f"{loop} loop", "%", result["point"]))
        rows += [(round(shift_s + at_s, 2), loop, value, output) for at_s, output, value in samples]
        shift_s = rows[-1][0] + 1.0
    columns: dict[str, list[float | None]] = {channel.measure: [] for channel in channels}
    for _, loop, value, output in rows:
        for name, column in columns.items():
            is_own = name.startswith(f"{loop}.")
            number = value if name.endswith(".value") else output
            column.append(round(number, 4) if is_own else None)
    return Series(tuple(channels), [row[0] for row in rows], columns)
