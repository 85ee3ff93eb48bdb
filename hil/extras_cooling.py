"""The sections `cooling` and `safety` of the emulated unit: what a site's engineer would write.

The figures of the exchanger are those of the plant's design (`hil.plant.parameters`); a run whose
plant differs (fouling, pressure of the facility water) is one whose model is wrong.
"""

from typing import Any

from hil.plant.parameters import PlantParameters
from hil.setting import Setting

_WARNING = ("LeakInternal", "LeakExternal")


def cooling(setting: Setting) -> dict[str, Any]:
    """Write the section `cooling`; the dew point where there are humidity sensors."""
    p = PlantParameters()
    section: dict[str, Any] = {
        "facility": "valve",
        "exchanger": {
            "ua_kw_k": p.hx_ua_kw_k,
            "tcs_lpm": p.tcs_design_lpm,
            "fws_lpm": p.hx_fws_design_lpm,
            "fws_open_lpm": p.fws_open_lpm,
            "rangeability": p.valve_rangeability,
            "authority": p.valve_authority,
        },
        "balance_pct": 30,
        "pumps": {},
    }
    if setting.humidity_sensors:
        sensors = [f"room{i + 1}" for i in range(setting.humidity_sensors)]
        section["dew"] = {"sensors": sensors}
    return section


def safety(_: Setting) -> dict[str, Any]:
    """Write the section `safety` with the RPU's own inputs."""
    inputs = [
        {"name": "pan", "device": "rpu", "bit": "LeakRackPan", "kind": "leak_critical"},
        {"name": "floor", "device": "rpu", "bit": "LeakRackFloor", "kind": "leak_critical"},
        {"name": "button", "device": "rpu", "bit": "EmergencyStopAlarm", "kind": "emergency_stop"},
        {"name": "level", "device": "rpu", "bit": "ReservoirAlarm", "kind": "contact"},
    ]
    warnings = [
        {"name": bit.lower(), "device": "rpu", "bit": bit, "kind": "leak_warning"}
        for bit in _WARNING
    ]
    slow = [dict(one, delay_s=2) for one in inputs[:2]]
    return {"inputs": slow + inputs[2:] + warnings}
