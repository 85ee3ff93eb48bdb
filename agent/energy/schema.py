# SPDX-License-Identifier: Apache-2.0
"""The section `ledger` of the configuration: the meters and their roles.

Loaded only if a configuration has the section, or for the complete schema.
"""

from agent.core.schema.rules import enum, integer, list_of, name, object_of, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile

_ROLES = ["it", "facility", "loop", "air", "electrical", "other", "reuse", "water"]


_METER = object_of(
    "a meter: a counter (kWh, m3), or a rate (W, L/min) that is integrated",
    ["role", "device", "point"],
    {
        "role": enum("role; facility is all energy, reuse is heat that is used elsewhere", _ROLES),
        "device": name("device that measures it"),
        "point": {"type": "string", "maxLength": 64, "description": "its point"},
        "rolls_at": integer(
            "value at which the counter rolls over, in its unit; 0: no rollover", 0, 10**9, 0
        ),
        "most_w": integer("upper limit of plausible readings, W (water: mL/h)", 1, 10**9, 10**7),
    },
)

LEDGER = object_of(
    "energy account: energy and water by role; PUE, WUE, ERF",
    ["meters"],
    {
        "port": text("store of the account, for example store:/var/lib/x"),
        "category": integer(
            "category of ISO/IEC 30134-2: point of the IT measurement; 1 UPS, 2 PDU, 3 equipment",
            1,
            3,
            1,
        ),
        "save_s": integer("period of the writes to the store, s", 10, 3600, 60),
        "meters": list_of("the meters", _METER, 1, 24),
    },
)

_ENERGY_UNITS = ("kW.h", "W.h", "W", "kW")
_WATER_UNITS = ("m3", "L", "L/min")


def check(
    config: "dict[str, Any]", profiles: "dict[str, DeviceProfile]", errors: "list[str]"
) -> None:
    """Add the faults of the section to `errors`. `profiles` maps device names to profiles."""
    roles = [meter["role"] for meter in config["ledger"]["meters"]]
    if "it" not in roles:
        errors.append("ledger.meters: none has the role it; nothing can be divided by it")
    seen: set[tuple[str, str, str]] = set()
    for i, meter in enumerate(config["ledger"]["meters"]):
        path = "ledger.meters[%d]" % i
        key = (meter["role"], meter["device"], meter["point"])
        if key in seen:
            errors.append("%s: %s.%s counts twice for %s" % ((path,) + key[1:] + key[:1]))
        seen.add(key)
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
