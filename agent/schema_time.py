"""The configuration's sections about time: pulses, chronyd, what is kept, what is watched.

Part of `agent.schema`; only read when a configuration is loaded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.profile import Profile


def _section(about: str, required: "list[str]", properties: "dict[str, Any]") -> "dict[str, Any]":
    return {
        "type": "object",
        "description": about,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _port(about: str) -> "dict[str, Any]":
    return {"type": "string", "minLength": 1, "maxLength": 200, "description": about}


def _whole(about: str, low: int, high: int, default: int) -> "dict[str, Any]":
    return {
        "type": "integer",
        "description": about,
        "minimum": low,
        "maximum": high,
        "default": default,
    }


_SOURCE = {
    "type": "string",
    "minLength": 3,
    "maxLength": 97,
    "description": "DEVICE.POINT that reads a temperature near it",
}

CLOCK = _section(
    "what is known of time, kept over a restart, and the oscillator's temperature",
    ["port"],
    {
        "port": _port("folder that survives a power cut, such as store:/var/lib/coldloop"),
        "save_s": _whole("how often it is written, seconds", 10, 86_400, 600),
        "temperature": _SOURCE,
    },
)

INTEGRITY = _section(
    "checks of the satellites' signals, which vote against the sky",
    [],
    {
        "temperature": _SOURCE,
        "bound_ms": _whole("an alarm when UTC may be off by more", 1, 100_000, 1_000),
        "desense_db": _whole("an alarm when transmitting costs more", 1, 20, 3),
        "tx_wait_s": _whole("so long the modem may wait while the clock needs the sky", 0, 900, 0),
    },
)

PPS = _section(
    "the receiver's pulse at each second",
    ["port"],
    {"port": _port("a PPS device or a board's pin, such as pps:/dev/pps0 or pps:15?edge=fall")},
)

CHRONY = _section(
    "samples of time for the system's chronyd",
    ["port"],
    {
        "port": _port("the socket of `refclock SOCK PATH`, such as chrony:/run/coldloop.sock"),
        "bound_ms": _whole("nothing is told while UTC may be off by more", 1, 10_000, 100),
    },
)


def check_sources(
    raw: "dict[str, Any]", devices: "dict[str, Profile | None]", errors: "list[str]"
) -> None:
    """Check that the temperatures that the sections name are there; `devices` by name."""
    for section in ("clock", "integrity"):
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
