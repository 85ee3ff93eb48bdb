"""The configuration's section `modem`: the satellite link by datagrams.

Part of `agent.schema`; only read when a configuration is loaded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _text(about: str, longest: int = 200, least: int = 1) -> "dict[str, Any]":
    return {"type": "string", "minLength": least, "maxLength": longest, "description": about}


def _word(about: str, words: "list[str]", default: "str | None" = None) -> "dict[str, Any]":
    rule: dict[str, Any] = {"type": "string", "enum": words, "description": about}
    if default is not None:
        rule["default"] = default
    return rule


def _whole(about: str, low: int, high: int, default: "int | None" = None) -> "dict[str, Any]":
    rule: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    rule["description"] = about
    if default is not None:
        rule["default"] = default
    return rule


def _section(about: str, required: "list[str]", properties: "dict[str, Any]") -> "dict[str, Any]":
    return {
        "type": "object",
        "description": about,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


_CONSTELLATION = _section(
    "evenly spread circular orbits (a Walker pattern)",
    ["planes", "per_plane", "altitude_km", "inclination_mdeg"],
    {
        "planes": _whole("orbital planes", 1, 32),
        "per_plane": _whole("satellites in each", 1, 64),
        "altitude_km": _whole("height of the orbits, km", 200, 2000),
        "inclination_mdeg": _whole("inclination, 1/1000 degree", 0, 180_000),
        "spread_deg": _whole("what the planes are spread over: 180 or 360 degrees", 90, 360, 180),
        "phasing_half": _whole("plane to plane, half slots of the pattern", 0, 4096, 0),
        "node_mdeg": _whole("node of the first satellite, 1/1000 degree", 0, 360_000, 0),
        "phase_mdeg": _whole("its place from the node, 1/1000 degree", 0, 360_000, 0),
        "epoch_s": _whole("UTC of that, seconds since 1970", 0, 4_000_000_000, 0),
    },
)

MODEM = _section(
    "a satellite modem and the carrier that uses it",
    ["port", "kind", "region"],
    {
        "port": _text("the modem's port, such as serial:/dev/ttyUSB2?baud=19200"),
        "kind": _word(
            "sbd Iridium 9602/9603, imt Iridium 9704, ntn NB-IoT by satellite, "
            "ip a network interface, rdss BeiDou short messages",
            ["sbd", "imt", "ntn", "ip", "rdss"],
        ),
        "region": _word("whose rules hold", ["uae", "south_africa", "bench"]),
        "licence": _text("the licence or approval under which it transmits", 64),
        "key": {
            "type": "string",
            "minLength": 64,
            "maxLength": 64,
            "pattern": "^([0-9a-f][0-9a-f])+$",
            "description": "32 bytes shared with the relay, 64 hexadecimal digits",
        },
        "day_bytes": _whole("billed bytes a UTC day, never exceeded", 0, 1_000_000_000, 5_000),
        "window_bytes": _whole(
            "billed bytes a window, alarms apart; 0: no limit", 0, 10_000_000, 0
        ),
        "alarm_reserve_pct": _whole("share of the day that only alarms may use, %", 0, 90, 20),
        "bill_least": _whole("bytes that the shortest datagram is billed as", 1, 1_000, 50),
        "bill_step": _whole("billed bytes go in such steps", 1, 1_000, 50),
        "overhead_bytes": _whole("bytes that are billed besides, each datagram", 0, 100, 0),
        "min_signal": _whole("bars from which on others than alarms are sent", 0, 5, 1),
        "live_s": _whole("seconds between rows of all readings; 0: none", 0, 86_400, 900),
        "ack_s": _whole("seconds to wait for the ground's acknowledgement", 30, 604_800, 21_600),
        "power": _word(
            "the radio is on always, in windows and for alarms, or for alarms alone (battery)",
            ["always", "windows", "alarms"],
            "windows",
        ),
        "constellation": _CONSTELLATION,
        "elements": {
            "type": "array",
            "minItems": 2,
            "maxItems": 48,
            "items": {
                "type": "string",
                "minLength": 69,
                "maxLength": 69,
                "description": "a line of two-line elements",
            },
            "description": "two-line elements, in pairs, of a few satellites",
        },
        "mask_deg": {
            "type": "array",
            "minItems": 1,
            "maxItems": 36,
            "default": [8],
            "items": _whole("lowest open elevation of a sector, degrees", 0, 85),
            "description": "obstruction: equal sectors of azimuth, from north over east",
        },
        "topic": _whole("imt: topic that messages go to", 64, 65_535, 244),
        "address": _text("ntn: HOST:PORT for UDP; without it, NIDD", 100),
        "peer": _whole("rdss: address that messages go to", 0, 9_999_999, 0),
    },
)
