"""What the schemas of the sections about time share, and what a schema cannot check of them.

Only read when a configuration has one of the sections.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.profile import Profile


def section(about: str, required: "list[str]", properties: "dict[str, Any]") -> "dict[str, Any]":
    """A section with these keys and no others."""
    return {
        "type": "object",
        "description": about,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def port(about: str) -> "dict[str, Any]":
    """The address of a port."""
    return {"type": "string", "minLength": 1, "maxLength": 200, "description": about}


def whole(about: str, low: int, high: int, default: int) -> "dict[str, Any]":
    """A whole number from `low` to `high`."""
    return {
        "type": "integer",
        "description": about,
        "minimum": low,
        "maximum": high,
        "default": default,
    }


SOURCE = {
    "type": "string",
    "minLength": 3,
    "maxLength": 97,
    "description": "DEVICE.POINT that reads a temperature near it",
}


def check_sources(
    raw: "dict[str, Any]", devices: "dict[str, Profile | None]", errors: "list[str]"
) -> None:
    """Check that the temperatures that the sections name are there; `devices` by name."""
    for section in ("timekeeping", "integrity"):
        source = raw.get(section, {}).get("temperature")
        if source is None:
            continue
        device, _, point = source.partition(".")
        if device not in devices:
            errors.append("%s.temperature: no device is named %s" % (section, device))
            continue
        profile = devices[device]
        if profile is not None and not profile.has(point):
            errors.append("%s.temperature: %s reads no %s" % (section, device, point))
