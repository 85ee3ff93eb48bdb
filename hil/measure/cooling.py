# SPDX-License-Identifier: Apache-2.0
"""Measures of the cooling control: set-points, limits, pumps, fans, valve travel, proof tests.

They come from the status of the components `cooling` and `safety`, and from the plant.
"""

from hil.bench.testbed import Testbed
from hil.measure.base import Measure, Status, component_status


def _setpoint_c(_: Testbed, status: Status, __: str) -> float | None:
    supply = component_status(status, "supply")
    return float(supply["setpoint_milli_c"]) / 1000 if supply else None


def _min_setpoint_c(_: Testbed, status: Status, __: str) -> float:
    minimum = component_status(status, "cooling").get("floor_milli_c")
    return 0.0 if minimum is None else float(minimum) / 1000


def _pump_output_pct(_: Testbed, status: Status, __: str) -> float:
    pressure = component_status(status, "dp")
    commands = [pump or 0 for pump in pressure.get("pumps_asked_milli_pct", [])]
    return (
        float(component_status(status, "cooling").get("output_milli_pct", max(commands, default=0)))
        / 1000
    )


def _dew_margin_k(testbed: Testbed, _: Status, __: str) -> float:
    return float(testbed.plant.supply_true_c - testbed.surroundings.room.dew_c)


def _fan_command_pct(_: Testbed, status: Status, __: str) -> float:
    return float(component_status(status, "cooling").get("fans_milli_pct", 0)) / 1000


def _fan_speed_pct(testbed: Testbed, _: Status, __: str) -> float:
    return 0.0 if testbed.surroundings.fan_bank is None else testbed.surroundings.fan_bank.fan_pct


def _count_latched(_: Testbed, status: Status, __: str) -> float:
    return float(
        sum(cause["latched"] for cause in component_status(status, "safety").get("causes", []))
    )


def _read_valve_curve(_: Testbed, status: Status, __: str) -> float:
    cooling = component_status(status, "cooling")
    shape: list[int] = cooling.get("curve_milli", [1000])
    return float(cooling.get("scale_milli", 1000)) / 1000 * sum(shape) / len(shape) / 1000


def _count_proposals(_: Testbed, status: Status, __: str) -> float:
    return float(len(component_status(status, "cooling").get("autotune", {}).get("propose", [])))


def _count_passed_proofs(_: Testbed, status: Status, __: str) -> float:
    tests = component_status(status, "cooling").get("proofs", [])
    return float(sum(test["result"] == "passed" for test in tests))


COOLING_MEASURES = {
    "setpoint_c": Measure("Cel", "supply set-point in use", _setpoint_c),
    "floor_c": Measure("Cel", "lowest set-point by the dew-point limit, 0: none", _min_setpoint_c),
    "pump_output_pct": Measure("%", "output of the pump control loop", _pump_output_pct),
    "dew_margin_k": Measure(
        "K", "true supply temperature minus true dew point of the room", _dew_margin_k
    ),
    "fan_asked_pct": Measure("%", "commanded speed of the fans", _fan_command_pct),
    "fan_pct": Measure("%", "true speed of the fans, mean", _fan_speed_pct),
    "fws_c": Measure(
        "Cel", "true temperature of the facility water", lambda testbed, _, __: testbed.plant.fws_c
    ),
    "latched": Measure("", "latched conditions", _count_latched),
    "local_writes": Measure(
        "",
        "writes to drives while they are in local mode",
        lambda testbed, _, __: float(sum(drive.local_writes for drive in testbed.drives)),
    ),
    "valve_travel_pct": Measure(
        "%",
        "travel of the valve since the start",
        lambda testbed, _, __: testbed.plant.valve.travel_pct,
    ),
    "valve_curve": Measure(
        "",
        "learned flow of the valve over its design value, mean of all positions",
        _read_valve_curve,
    ),
    "tuning_proposed": Measure("", "changes that the automatic tuning proposes", _count_proposals),
    "proofs_passed": Measure("", "passed proof tests", _count_passed_proofs),
    "proofs_kept": Measure(
        "",
        "proof records in the store",
        lambda _, s, __: float(len(component_status(s, "cooling").get("kept", []))),
    ),
    "rotations": Measure(
        "",
        "changes of the lead pump",
        lambda _, s, __: float(component_status(s, "cooling").get("rotations", 0)),
    ),
}
"""Merged into `hil.measure.registry.MEASURES`."""
