"""The configuration's section `ledger`: which meter counts what.

Loaded only when a configuration has the section, or when the whole schema is asked for.
"""

from agent.core.schema_rules import many, name, one_of, section, text, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import Profile

_ROLES = ["it", "facility", "loop", "air", "electrical", "other", "reuse", "water"]


_METER = section(
    "a meter: a counter (kWh, m3), or a rate (W, L/min) that is integrated",
    ["role", "device", "point"],
    {
        "role": one_of(
            "what it measures; facility is all energy, reuse is heat that is used", _ROLES
        ),
        "device": name("device that reads it"),
        "point": {"type": "string", "maxLength": 64, "description": "its point"},
        "rolls_at": whole("where the counter starts again, in its unit; 0: nowhere", 0, 10**9, 0),
        "most_w": whole("more than it can measure, W (mL/h of water)", 1, 10**9, 10**7),
    },
)

LEDGER = section(
    "energy and water by what they were used for; PUE, WUE, ERF",
    ["meters"],
    {
        "port": text("store that keeps it over a power cut, such as store:/var/lib/x"),
        "category": whole(
            "of ISO/IEC 30134-2: IT is measured at 1 the UPS, 2 the PDU, 3 the equipment", 1, 3, 1
        ),
        "save_s": whole("time between two writes of the store", 10, 3600, 60),
        "meters": many("the meters", _METER, 1, 24),
    },
)

_COUNTED = ("kW.h", "W.h", "W", "kW")
_WATER = ("m3", "L", "L/min")


def check(whole: "dict[str, Any]", known: "dict[str, Profile]", errors: "list[str]") -> None:
    """Add what is wrong with the section to `errors`; `known`: profiles by their devices' names."""
    roles = [meter["role"] for meter in whole["ledger"]["meters"]]
    if "it" not in roles:
        errors.append("ledger.meters: none has the role it; nothing can be divided by it")
    for i, meter in enumerate(whole["ledger"]["meters"]):
        path = "ledger.meters[%d]" % i
        profile = known.get(meter["device"])
        if profile is None:
            errors.append("%s.device: no device is named %s" % (path, meter["device"]))
            continue
        if not profile.has(meter["point"]):
            errors.append("%s.point: %s has no point %s" % (path, profile.model, meter["point"]))
            continue
        unit = profile.points[profile.index(meter["point"])].unit
        allowed = _WATER if meter["role"] == "water" else _COUNTED
        if unit not in allowed:
            errors.append("%s.point: its unit is %s, not %s" % (path, unit, " or ".join(allowed)))
