"""The configuration's sections about time: pulses, chronyd, what is kept, what is watched.

Part of `agent.schema`; only read when a configuration is loaded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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
