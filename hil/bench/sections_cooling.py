# SPDX-License-Identifier: Apache-2.0
"""The sections `cooling` and `safety` of the emulated unit, as an engineer of a site writes them.

Does not read the plant: the figures of the exchanger are the design figures
(`hil.plant.fluid.parameters`). If a scenario changes the plant (fouling, pressure of the facility
water), the model of the agent is wrong.
"""

from typing import Any

from hil.bench.load_bank_scale import scale_parameters
from hil.bench.testbed_settings import TestbedSettings
from hil.plant.fluid.parameters import PlantParameters

_SLOT_S = 5
_MAINS_POINT = "L1Volts"
_WARNING_BITS = ("LeakInternal", "LeakExternal")


def _design(settings: TestbedSettings) -> PlantParameters:
    """Return the design figures of a row of this size."""
    return scale_parameters(PlantParameters(), settings.size)


def write_cooling(settings: TestbedSettings) -> dict[str, Any]:
    """Write the section `cooling`; with `dew` if the row has humidity sensors."""
    parameters = _design(settings)
    section: dict[str, Any] = {
        "facility": "valve",
        "exchanger": {
            "ua_kw_k": parameters.hx_ua_kw_k,
            "tcs_lpm": parameters.tcs_design_lpm,
            "fws_lpm": parameters.hx_fws_design_lpm,
            "fws_open_lpm": parameters.fws_open_lpm,
            "rangeability": parameters.valve_rangeability,
            "authority": parameters.valve_authority,
        },
        "balance_pct": 30,
        "pumps": {"slot": settings.slot, "slot_s": _SLOT_S} if settings.slot else {},
    }
    if not settings.exchanger_model:
        del section["exchanger"]
    if settings.humidity_sensors:
        sensors = [f"room{i + 1}" for i in range(settings.humidity_sensors)]
        section["dew"] = {"sensors": sensors}
    if settings.proof_store:
        section["port"] = "store:/virtual/proofs"
    if settings.outdoor_sensors:
        section["optimum"] = write_optimum(parameters, settings.size)
    if settings.fans:
        section["fans"] = {"drives": [f"fan{i + 1}" for i in range(settings.fans)]}
    return section


def write_optimum(parameters: PlantParameters, size: int) -> dict[str, Any]:
    """Write `optimum`: for each 100 kW a cooler of 15 kW/K with fans of 3 kW."""
    return {
        "air": "outdoor",
        "every_s": 60,
        "design_kw": 100.0 * size,
        "pump_w": 2000.0 * size,
        "full_lpm": parameters.tcs_design_lpm / 0.7,
        "fan_w": 3000.0 * size,
        "cooler_kw_k": 15.0 * size,
        "plate_r0_k_kw": 1000.0 * parameters.plate_r0_k_w,
        "plate_r1_k_kw": 1000.0 * parameters.plate_r1_k_w,
    }


def write_safety(settings: TestbedSettings) -> dict[str, Any]:
    """Write the section `safety` with the inputs of the RPU."""
    inputs = [
        {"name": "pan", "device": "rpu", "bit": "LeakRackPan", "kind": "leak_critical"},
        {"name": "floor", "device": "rpu", "bit": "LeakRackFloor", "kind": "leak_critical"},
        {"name": "button", "device": "rpu", "bit": "EmergencyStopAlarm", "kind": "emergency_stop"},
        {"name": "level", "device": "rpu", "bit": "ReservoirAlarm", "kind": "contact"},
    ]
    warnings = [
        {"name": bit.lower(), "device": "rpu", "bit": bit, "kind": "leak_warning"}
        for bit in _WARNING_BITS
    ]
    delayed = [dict(entry, delay_s=2) for entry in inputs[:2]]
    section: dict[str, Any] = {"inputs": delayed + inputs[2:] + warnings}
    section["flow_lpm"] = _design(settings).tcs_design_lpm
    if settings.meters:
        section["mains"] = {"device": "meter", "point": _MAINS_POINT}
    return section
