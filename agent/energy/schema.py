"""Schema of the section `ledger`: the meters and their roles.

Loaded only if a configuration has the section, or for the whole schema.
"""

from agent.core.schema_rules import enum, integer, list_of, name, object_of, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile

_ROLES = ["it", "facility", "loop", "air", "electrical", "other", "reuse", "water"]


_METER = object_of(
    "a meter: a counter (kWh, m3), or a rate (W, L/min) that is integrated",
    ["role", "device", "point"],
    {
        "role": enum("what it measures; facility: all energy; reuse: reused heat", _ROLES),
        "device": name("device that reads it"),
        "point": {"type": "string", "maxLength": 64, "description": "its point"},
        "rolls_at": integer(
            "value at which the counter rolls over, in its unit; 0: none", 0, 10**9, 0
        ),
        "most_w": integer("highest rate that it can measure, W (mL/h for water)", 1, 10**9, 10**7),
    },
)

LEDGER = object_of(
    "energy and water accounts by role; PUE, WUE, ERF",
    ["meters"],
    {
        "port": text("store of the accounts, such as store:/var/lib/x"),
        "category": integer(
            "category of ISO/IEC 30134-2: IT measured at 1 the UPS, 2 the PDU, 3 its input", 1, 3, 1
        ),
        "save_s": integer("time between two writes of the store", 10, 3600, 60),
        "meters": list_of("the meters", _METER, 1, 24),
    },
)

_ENERGY_UNITS = ("kW.h", "W.h", "W", "kW")
_WATER_UNITS = ("m3", "L", "L/min")


def check(
    config: "dict[str, Any]", profiles: "dict[str, DeviceProfile]", errors: "list[str]"
) -> None:
    """Add the errors of the section to `errors`; `profiles` maps devices to their profiles."""
    roles = [meter["role"] for meter in config["ledger"]["meters"]]
    if "it" not in roles:
        errors.append("ledger.meters: none has the role it; nothing can be divided by it")
    for i, meter in enumerate(config["ledger"]["meters"]):
        path = "ledger.meters[%d]" % i
        profile = profiles.get(meter["device"])
        if profile is None:
            errors.append("%s.device: no device is named %s" % (path, meter["device"]))
            continue
        if not profile.has_point(meter["point"]):
            errors.append("%s.point: %s has no point %s" % (path, profile.model, meter["point"]))
            continue
        unit = profile.points[profile.point_index(meter["point"])].unit
        allowed = _WATER_UNITS if meter["role"] == "water" else _ENERGY_UNITS
        if unit not in allowed:
            errors.append("%s.point: its unit is %s, not %s" % (path, unit, " or ".join(allowed)))
