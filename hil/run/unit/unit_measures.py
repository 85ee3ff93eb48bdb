# SPDX-License-Identifier: Apache-2.0
"""The measures of a unit: what the agent reads and does, and what the plant shows if emulated.

Does not judge; see `hil.scenario.judge`. `read` takes the last status of the agent. The measures:

    supply_c, dp_kpa             as the agent reads them, °C and kPa
    supply_set_c, dp_set_kpa     the set-points
    supply_error_k, dp_error_pct distance from the set-point, K and % of it
    valve_pct, pump_pct:N        as the device reports them, %; pump 1 is the lead
    valve_command_pct, pump_command_pct:N   what the agent requests, %
    devices_lost                 number of devices that do not answer
    state                        0 normal, 1 degraded, 2 safe, 3 stopped
    alarm:CODE                   1 while an alarm with this code, or code and source, is active
    alarms                       number of active alarms
    true_supply_c, true_dp_kpa   of the plant; only if it is emulated
    output_error_pct, shown:DEVICE.POINT    registers of a twin; see `hil.run.unit.twin_run`
    role:N, writers, writer_gap_s, step_pct, takeovers   of two controllers; see
        `hil.measure.several`
    loads_limited, load_limit_pct           servers of the loads; see `hil.run.unit.twin_loads`
"""

from typing import Any

from agent.core.alarm_record import STATES
from hil.plant.plant import Plant

Status = dict[str, Any]
PAIR = {
    "role": "role",
    "writers": "writers",
    "writer_gap_s": "gap",
    "step_pct": "step",
    "takeovers": "takeovers",
}
"""Measures of two controllers, and their names in `hil.run.several.pair_measures`."""


def _milli(value: Any) -> float | None:
    return None if value is None else float(value) / 1000.0


def _item(values: list[Any], number: int) -> float | None:
    return _milli(values[number - 1]) if 0 < number <= len(values) else None


def _error(value: float | None, setpoint: float | None) -> float | None:
    return None if value is None or setpoint is None else abs(value - setpoint)


def read(name: str, status: Status | None, plant: Plant | None) -> float | None:
    """Return the value of a measure now; None if it is not known."""
    if plant is not None and name == "true_supply_c":
        return plant.supply_true_c
    if plant is not None and name == "true_dp_kpa":
        return plant.dp_kpa
    if status is None:
        return None
    measure, _, source = name.partition(":")
    if measure == "alarm":
        codes = [alarm["code"] for alarm in status["alarms"]]
        return float(any(code == source or code.partition(":")[0] == source for code in codes))
    if measure in ("pump_pct", "pump_command_pct"):
        key = "pumps_milli_pct" if measure == "pump_pct" else "pumps_asked_milli_pct"
        return _item(status["dp"][key], int(source))
    return _read_plain(measure, status)


def _read_plain(measure: str, status: Status) -> float | None:
    supply, dp = status["supply"], status["dp"]
    supply_c, supply_set = _milli(supply["milli_c"]), _milli(supply["setpoint_milli_c"])
    dp_kpa, dp_set = _milli(dp["milli_kpa"]), _milli(dp["setpoint_milli_kpa"])
    dp_error = _error(dp_kpa, dp_set)
    values = {
        "supply_c": supply_c,
        "supply_set_c": supply_set,
        "supply_error_k": _error(supply_c, supply_set),
        "dp_kpa": dp_kpa,
        "dp_set_kpa": dp_set,
        "dp_error_pct": None if dp_error is None or not dp_set else 100.0 * dp_error / dp_set,
        "valve_pct": _milli(supply["valve_milli_pct"]),
        "valve_command_pct": _milli(supply["valve_asked_milli_pct"]),
        "devices_lost": float(len(status["modbus"]["lost"])),
        "state": float(STATES.index(status["state"])),
        "alarms": float(len(status["alarms"])),
    }
    return values[measure]
