"""The configuration's schema, as data: valid JSON Schema (2020-12), read by people, editors and us.

Not the validator (that is `agent.validate`) and not the compiled form (that is `agent.config`).
Numbers that carry a unit have it in their name (`_ms`, `_s`, `_c`, `_kpa`, `_pct`). Every number
has a range; no key is allowed that is not listed here.
"""

from agent.parts import PARTS
from agent.schema_log import LOG
from agent.schema_remote import REMOTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _text(about: str, longest: int = 200) -> "dict[str, Any]":
    return {"type": "string", "minLength": 1, "maxLength": longest, "description": about}


def _name(about: str) -> "dict[str, Any]":
    return {"type": "string", "pattern": NAME_PATTERN, "description": about}


def _number(
    about: str, low: float, high: float, default: "float | None" = None
) -> "dict[str, Any]":
    rule = {"type": "number", "minimum": low, "maximum": high, "description": about}
    if default is not None:
        rule["default"] = default
    return rule


def _whole(about: str, low: int, high: int, default: "int | None" = None) -> "dict[str, Any]":
    rule = _number(about, low, high, default)
    rule["type"] = "integer"
    return rule


def _object(about: str, required: "list[str]", properties: "dict[str, Any]") -> "dict[str, Any]":
    return {
        "type": "object",
        "description": about,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


NAME_PATTERN = "^[a-z0-9][a-z0-9_-]{0,31}$"
"""Names of sites, units, buses and devices: they become MQTT topic levels and file names."""

_PERCENT_RATE = _number("fastest change of the output, percent per second", 0.1, 100, 5)

SUPPLY = _object(
    "the supply temperature loop: one control valve on the facility water",
    ["setpoint_c", "sensor", "valve"],
    {
        "setpoint_c": _number("supply temperature to hold, degrees Celsius", 15, 45),
        "sensor": _name("device that reads SupplyTemperatureCelsius"),
        "valve": _name("device that is the control valve"),
        "gain_pct_per_k": _number("proportional gain, percent of stroke per kelvin", 0.1, 50, 5),
        "integral_s": _number("integral time, seconds", 5, 3600, 15),
        "min_pct": _number("least opening the loop may ask for", 0, 100, 5),
        "max_pct": _number("largest opening the loop may ask for", 0, 100, 100),
        "safe_pct": _number("opening when the supply temperature is not known", 0, 100, 60),
        "rate_pct_per_s": _PERCENT_RATE,
    },
)

PRESSURE = _object(
    "the differential pressure loop: one or two pumps on variable-speed drives",
    ["setpoint_kpa", "sensor", "pumps"],
    {
        "setpoint_kpa": _number("differential pressure to hold, kilopascal", 5, 400),
        "sensor": _name("device that reads the loop's pressures"),
        "pumps": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": _name("device that is a pump's drive"),
            "description": "lead first, then lag",
        },
        "gain_pct_per_kpa": _number("proportional gain, percent of speed per kPa", 0.001, 10, 0.2),
        "integral_s": _number("integral time, seconds", 1, 3600, 4),
        "min_pct": _number("least speed", 10, 100, 25),
        "max_pct": _number("largest speed", 10, 100, 100),
        "safe_pct": _number("speed when the differential pressure is not known", 10, 100, 80),
        "rate_pct_per_s": _PERCENT_RATE,
    },
)

SCHEMA: "dict[str, Any]" = _object(
    "configuration of one coldloop agent",
    ["version", "site", "unit", "buses", "devices", "control"],
    {
        "version": {"type": "integer", "enum": [1], "description": "version of this format"},
        "site": _name("name of the site"),
        "unit": _name("name of this controller with its CDU"),
        "receiver": _object(
            "the BeiDou receiver",
            ["port"],
            {
                "port": _text("address of its port, such as serial:/dev/ttyUSB0?baud=115200"),
                "latency_ms": _number(
                    "mean time from the second to the first byte that names it", 0, 1000, 0
                ),
                "drift_ppm": _number(
                    "how far the controller's oscillator may be off", 0.1, 500, 50
                ),
                "ppm_per_c": _number(
                    "how much a degree changes the oscillator: crystal 1, TCXO 0.05", 0.001, 10, 1
                ),
                "latitude": _number("where the antenna is, degrees; learned if absent", -90, 90),
                "longitude": _number("where the antenna is, degrees", -180, 180),
                "radius_m": _whole("a fix farther away is not believed", 10, 10_000, 100),
            },
        ),
        "buses": {
            "type": "object",
            "description": "field buses by name: the address of each one's port",
            "propertyPattern": NAME_PATTERN,
            "minProperties": 1,
            "maxProperties": 4,
            "values": _text("such as serial:/dev/ttyUSB1?baud=19200&parity=E or tcp:HOST:502"),
        },
        "bus_timeout_ms": _whole("time a device has to begin its reply", 10, 5000, 200),
        "broker": _object(
            "the MQTT broker that takes the telemetry",
            ["address"],
            {
                "address": _text("tcp:HOST:PORT or tls:HOST:PORT?ca=FILE"),
                "keepalive_s": _whole("MQTT keep-alive", 5, 3600, 30),
                "version": {
                    "type": "string",
                    "enum": ["3.1.1", "5"],
                    "default": "3.1.1",
                    "description": "MQTT's version",
                },
                "expiry_s": _whole(
                    "MQTT 5: how long the broker keeps telemetry for a relay, 0: for ever",
                    0,
                    1 << 30,
                    0,
                ),
                "username": _text("user name", 64),
                "password": _text("password", 128),
            },
        ),
        "state": _text("folder for what the agent leaves behind, such as store:/run/coldloop"),
        "devices": {
            "type": "array",
            "minItems": 1,
            "maxItems": 16,
            "description": "the devices on the buses, in the order they are polled",
            "items": _object(
                "a device",
                ["name", "bus", "unit", "profile"],
                {
                    "name": _name("name of this device, unique"),
                    "bus": _name("name of the bus it is on"),
                    "unit": _whole("Modbus unit (slave) address", 1, 247),
                    "profile": _name("name of its profile, such as orv3_rpu"),
                },
            ),
        },
        "control": _object(
            "ticks and loops",
            ["supply", "dp"],
            {
                "tick_ms": _whole("period of the ticks; divides 1000", 20, 1000, 100),
                "slot_ms": _whole("offset of this unit's ticks in the second", 0, 999, 0),
                "cycle_ms": _whole(
                    "period of the bus cycle; a multiple of tick_ms", 100, 10000, 1000
                ),
                "supply": SUPPLY,
                "dp": PRESSURE,
            },
        ),
        "log": LOG,
        "remote": REMOTE,
        "limits": _object(
            "what is reported and acted on",
            [],
            {
                "supply_max_c": _number("supply temperature that raises an alarm", 20, 60, 40),
                "stale_s": _number("age at which a reading is not used any more", 2, 60, 5),
            },
        ),
        "telemetry": _object(
            "what is published",
            [],
            {
                "period_ms": _whole("period of the telemetry rows", 100, 3600000, 1000),
                "queue": _whole(
                    "rows kept in memory while the broker is away, about 250 bytes each",
                    1,
                    10000,
                    120,
                ),
            },
        ),
    },
)


def with_parts(names: "list[str]") -> "dict[str, Any]":
    """Give the schema with the sections of those optional parts that are among `names`.

    The schema of a part stands in `agent.schema_NAME` as `NAME`; what is not asked for is not
    loaded. The sections come in the order of `PARTS`, after those that every agent has.
    """
    properties = SCHEMA["properties"].copy()
    for section, _, _, _ in PARTS:
        if section in names and section not in properties:
            name = section.upper()
            module = __import__("agent.schema_" + section, None, None, (name,))
            properties[section] = getattr(module, name)
    whole = SCHEMA.copy()
    whole["properties"] = properties
    return whole
