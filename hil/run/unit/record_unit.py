# SPDX-License-Identifier: Apache-2.0
"""Runs the acceptance suite of a unit and keeps all data for its record.

Does not write the record; see `hil.report.write`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from drivers.tools.lib.identify import compares_contents
from hil.record.provenance import MATCHES, NO_IDENTIFICATION, REAL_TIME, VIRTUAL_TIME, Provenance
from hil.run.provenance_recorder import ProvenanceRecorder
from hil.run.recorded import DUTS, RecordedRun, ended_s, run_interruptibly
from hil.run.unit.real_unit import AgentWatch, RealUnitRun
from hil.run.unit.twin_pair import TwinPairRun
from hil.run.unit.twin_run import TwinRun
from hil.run.unit.unit_file import UnitFile, basis_of
from hil.run.unit.unit_measures import Status
from hil.run.unit.unit_suite import TAKEOVER
from hil.scenario.channels import PAIR_CHANNELS, Channel, Series
from hil.scenario.model import Scenario


def unit_channels(unit: UnitFile, is_emulated: bool) -> tuple[Channel, ...]:
    """Return the curves of a unit: as the agent reads them, set-points, and the true values."""
    supply, dp = (unit.raw["control"].get(loop, {}) for loop in ("supply", "dp"))
    found = []
    if "sensor" in supply:
        found.append(Channel("supply_c", "temperature", "°C", "supply, as read"))
    if "setpoint_c" in supply:
        found.append(Channel("supply_set_c", "temperature", "°C", "set-point"))
    if is_emulated:
        found.append(Channel("true_supply_c", "temperature", "°C", "supply, true"))
    if "sensor" in dp:
        found.append(Channel("dp_kpa", "pressure", "kPa", "differential pressure, as read"))
    if "setpoint_kpa" in dp:
        found.append(Channel("dp_set_kpa", "pressure", "kPa", "set-point"))
    if "valve" in supply:
        found.append(Channel("valve_pct", "actuators", "%", "valve, as read"))
    found += [
        Channel(f"pump_pct:{i}", "actuators", "%", f"pump {i}, as read")
        for i in range(1, len(dp.get("pumps", [])) + 1)
    ]
    found.append(Channel("devices_lost", "bus", "devices", "lost devices"))
    return tuple(found)


def _open_twin_run(
    unit: UnitFile, scenario: Scenario, seed: int, dut: str
) -> TwinRun | TwinPairRun:
    """Make the run of one controller, or of two for the takeover; these are on CPython."""
    if scenario.name == TAKEOVER:
        return TwinPairRun(unit, scenario, seed)
    return TwinRun(unit, scenario, seed, DUTS[dut])


def record_twin(unit: UnitFile, scenario: Scenario, seed: int, dut: str) -> RecordedRun:
    """Run a scenario in virtual time with emulated twins."""
    origin = ProvenanceRecorder(VIRTUAL_TIME, dut)
    run = _open_twin_run(unit, scenario, seed, dut)
    channels = unit_channels(unit, True)
    if isinstance(run, TwinPairRun):
        dut, channels = "cpython", (*channels, *PAIR_CHANNELS)
    series = Series(channels)
    try:
        result = run.make_result(dut, run_interruptibly(run, series))
    finally:
        run.close()
    provenance = _name_unidentified(unit, origin.finish(run.config, run.status))
    results = run.evaluator.results(ended_s(scenario, result))
    return RecordedRun(
        scenario, result, results, series, run.console, run.config, [], provenance, basis_of(unit)
    )


def record_real_unit(
    unit: UnitFile,
    scenario: Scenario,
    log: Path | None = None,
    follow: Callable[[Status | None], None] | None = None,
    watch: AgentWatch | None = None,
) -> RecordedRun:
    """Run a scenario in real time with the devices of the configuration.

    `follow` gets each status of the agent; `watch`: see `AgentWatch`.
    """
    origin = ProvenanceRecorder(REAL_TIME, "cpython")
    series = Series(unit_channels(unit, False))
    run = RealUnitRun(unit, scenario, series, follow, watch)
    result = run.run(log)
    real_devices = [
        {"port": device["bus"], "unit": device["unit"], "real": unit.raw["buses"][device["bus"]]}
        for device in unit.raw["devices"]
    ]
    provenance = _name_unidentified(unit, origin.finish(run.config, run.status, real_devices))
    results = run.evaluator.results(ended_s(scenario, result))
    return RecordedRun(
        scenario, result, results, series, [], run.config, [], provenance, basis_of(unit)
    )


def _name_unidentified(unit: UnitFile, provenance: Provenance) -> Provenance:
    """Say of a device without identification that it has none: nothing matched its profile."""
    unidentified = {
        device["name"]
        for device in unit.raw["devices"]
        if not compares_contents(unit.compiled[device["name"]])
    }
    devices = tuple(
        replace(device, identity=NO_IDENTIFICATION)
        if device.name in unidentified and device.identity.startswith(MATCHES)
        else device
        for device in provenance.devices
    )
    return replace(provenance, devices=devices)
