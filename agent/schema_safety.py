"""The configuration's section `safety`: what stops the unit, and what feeds the watchdog.

Part of `agent.schema`; only read when a configuration is loaded. `check` is what a schema cannot
say: the devices and bits exist.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.profile import Profile

_NAME = "^[a-z0-9][a-z0-9_-]{0,31}$"
KINDS = ["emergency_stop", "leak_critical", "leak_warning", "contact"]
REACTIONS = ["stop", "shut_valve", "cool", "report"]


def _number(about: str, low: float, high: float, default: float) -> "dict[str, Any]":
    return {
        "type": "number",
        "minimum": low,
        "maximum": high,
        "default": default,
        "description": about,
    }


_INPUT: "dict[str, Any]" = {
    "type": "object",
    "description": "one input: a bit of a device",
    "required": ["name", "device", "bit", "kind"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": _NAME, "description": "name of the input"},
        "device": {"type": "string", "pattern": _NAME, "description": "device that reads it"},
        "bit": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "description": "name of the bit in the device's profile; 1 is the alarm",
        },
        "kind": {"type": "string", "enum": KINDS, "description": "what it means"},
        "reaction": {
            "type": "string",
            "enum": REACTIONS,
            "description": "what is done; if absent as the kind says: emergency_stop and "
            "leak_critical stop, the others report",
        },
        "delay_s": _number("how long it must be on without a pause", 0, 600, 0),
        "when_lost": {
            "type": "string",
            "enum": ["report", "act"],
            "default": "report",
            "description": "what to do when the device does not answer",
        },
    },
}

SAFETY: "dict[str, Any]" = {
    "type": "object",
    "description": "inputs that stop the unit, limits of its own, and the watchdog",
    "required": [],
    "additionalProperties": False,
    "properties": {
        "port": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "what is fed each good cycle: watchdog:/dev/watchdog, "
            "watchdog:systemd, on a board watchdog:board",
        },
        "inputs": {
            "type": "array",
            "minItems": 0,
            "maxItems": 32,
            "default": [],
            "items": _INPUT,
            "description": "leak detectors, stop buttons, dry contacts",
        },
        "overheat_c": _number("supply at which all is opened and run, whatever else", 30, 90, 55),
        "overheat_s": _number("how long it must be that hot", 0, 600, 10),
        "dry_run_kpa": _number("less dP than this while pumps turn is a pump run dry", 0, 100, 3),
        "dry_run_s": _number("how long; 0: no dry-run guard", 0, 600, 15),
    },
}


def check(raw: "dict[str, Any]", profiles: "dict[str, Profile]", errors: "list[str]") -> None:
    """Hold the inputs against the devices of the unit."""
    names: list[str] = []
    for i, one in enumerate(raw["safety"]["inputs"]):
        path = "safety.inputs[%d]" % i
        if one["name"] in names:
            errors.append("%s.name: %s is named twice" % (path, one["name"]))
        names.append(one["name"])
        profile = profiles.get(one["device"])
        if profile is None:
            errors.append("%s.device: no device is named %s" % (path, one["device"]))
        elif one["bit"] not in [bit.name for bit in profile.bits]:
            errors.append("%s.bit: profile %s has no bit %s" % (path, profile.model, one["bit"]))
