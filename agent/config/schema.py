"""The configuration's schema, as data: valid JSON Schema (2020-12), read by people, editors and us.

Not the validator (that is `agent.config.validate`) and not the compiled form (that is
`agent.core.config_records`). Numbers that carry a unit have it in their name (`_ms`, `_s`, `_c`,
`_kpa`, `_pct`). Every number has a range; no key is allowed that is not listed here.
"""

from agent.core.registry import COMPONENTS, schema_module
from agent.core.schema_rules import (
    NAME_PATTERN,
    enum,
    integer,
    list_of,
    name,
    number,
    object_of,
    text,
)
from agent.core.tunable import TUNABLES
from agent.log.schema import LOG
from agent.remote.schema import REMOTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _tunable(path: str, description: str) -> "dict[str, Any]":
    """Give the number rule of a key of `agent.core.tunable`."""
    row = [row for row in TUNABLES if row.path == path][0]  # noqa: RUF015 - MicroPython
    low, high, default = [_from_thousandths(value) for value in (row.low, row.high, row.default)]
    return number(description, low, high, default)


def _whole_tunable(path: str, description: str) -> "dict[str, Any]":
    """Give the rule of a key of `agent.core.tunable` that takes integers only."""
    rule = _tunable(path, description)
    rule["type"] = "integer"
    return rule


def _from_thousandths(value: "int | None") -> "Any":
    """Give the number as the schema shows it: without a fraction where it has none."""
    if value is None:
        return None
    return value / 1000 if value % 1000 else value // 1000


SUPPLY = object_of(
    "the supply temperature loop: one control valve on the facility water",
    ["setpoint_c", "sensor", "valve"],
    {
        "setpoint_c": _tunable(
            "control.supply.setpoint_c", "supply temperature to hold, degrees Celsius"
        ),
        "sensor": name("device that reads SupplyTemperatureCelsius"),
        "valve": name("device that is the control valve"),
        "gain_pct_per_k": _tunable(
            "control.supply.gain_pct_per_k", "proportional gain, percent of stroke per kelvin"
        ),
        "integral_s": _tunable("control.supply.integral_s", "integral time, seconds"),
        "min_pct": _tunable("control.supply.min_pct", "least opening the loop may ask for"),
        "max_pct": _tunable("control.supply.max_pct", "largest opening the loop may ask for"),
        "safe_pct": _tunable(
            "control.supply.safe_pct", "opening when the supply temperature is not known"
        ),
        "rate_pct_per_s": _tunable(
            "control.supply.rate_pct_per_s", "fastest change of the output, percent per second"
        ),
    },
)

PRESSURE = object_of(
    "the differential pressure loop: one or two pumps on variable-speed drives",
    ["setpoint_kpa", "sensor", "pumps"],
    {
        "setpoint_kpa": _tunable(
            "control.dp.setpoint_kpa", "differential pressure to hold, kilopascal"
        ),
        "sensor": name("device that reads the loop's pressures"),
        "pumps": list_of("lead first, then lag", name("device that is a pump's drive"), 1, 2),
        "gain_pct_per_kpa": _tunable(
            "control.dp.gain_pct_per_kpa", "proportional gain, percent of speed per kPa"
        ),
        "integral_s": _tunable("control.dp.integral_s", "integral time, seconds"),
        "min_pct": _tunable("control.dp.min_pct", "least speed"),
        "max_pct": _tunable("control.dp.max_pct", "largest speed"),
        "safe_pct": _tunable(
            "control.dp.safe_pct", "speed when the differential pressure is not known"
        ),
        "rate_pct_per_s": _tunable(
            "control.dp.rate_pct_per_s", "fastest change of the output, percent per second"
        ),
    },
)

DEVICE = object_of(
    "a device",
    ["name", "bus", "unit", "profile"],
    {
        "name": name("name of this device, unique"),
        "bus": name("name of the bus it is on"),
        "unit": integer("Modbus unit (slave) address", 1, 247),
        "profile": name("name of its profile, such as orv3_rpu"),
    },
)

SCHEMA: "dict[str, Any]" = object_of(
    "configuration of one coldloop agent",
    ["version", "site", "unit", "buses", "devices", "control"],
    {
        "version": {"type": "integer", "enum": [1], "description": "version of this format"},
        "site": name("name of the site"),
        "unit": name("name of this controller with its CDU"),
        "receiver": object_of(
            "the BeiDou receiver",
            ["port"],
            {
                "port": text("address of its port, such as serial:/dev/ttyUSB0?baud=115200"),
                "latency_ms": _tunable(
                    "receiver.latency_ms",
                    "mean time from the second to the first byte that names it",
                ),
                "drift_ppm": number("how far the controller's oscillator may be off", 0.1, 500, 50),
                "ppm_per_c": number(
                    "how much a degree changes the oscillator: crystal 1, TCXO 0.05", 0.001, 10, 1
                ),
                "latitude": number("where the antenna is, degrees; learned if absent", -90, 90),
                "longitude": number("where the antenna is, degrees", -180, 180),
                "radius_m": integer("a fix farther away is not believed", 10, 10_000, 100),
            },
        ),
        "buses": {
            "type": "object",
            "description": "field buses by name: the address of each one's port",
            "propertyPattern": NAME_PATTERN,
            "minProperties": 1,
            "maxProperties": 4,
            "values": text("such as serial:/dev/ttyUSB1?baud=19200&parity=E or tcp:HOST:502"),
        },
        "bus_timeout_ms": integer("time a device has to begin its reply", 10, 5000, 200),
        "broker": object_of(
            "the MQTT broker that takes the telemetry",
            ["address"],
            {
                "address": text("tcp:HOST:PORT or tls:HOST:PORT?ca=FILE"),
                "keepalive_s": integer("MQTT keep-alive", 5, 3600, 30),
                "version": enum("MQTT's version", ["3.1.1", "5"], "3.1.1"),
                "expiry_s": integer(
                    "MQTT 5: how long the broker keeps telemetry for a relay, 0: for ever",
                    0,
                    1 << 30,
                    0,
                ),
                "username": text("user name", 64),
                "password": text("password", 128),
            },
        ),
        "state": text("folder for what the agent leaves behind, such as store:/run/coldloop"),
        "devices": list_of("the devices on the buses, in the order they are polled", DEVICE, 1, 16),
        "control": object_of(
            "ticks and loops",
            ["supply", "dp"],
            {
                "tick_ms": integer("period of the ticks; divides 1000", 20, 1000, 100),
                "slot_ms": _whole_tunable(
                    "control.slot_ms", "offset of this unit's ticks in the second"
                ),
                "cycle_ms": integer(
                    "period of the bus cycle; a multiple of tick_ms", 100, 10000, 1000
                ),
                "supply": SUPPLY,
                "dp": PRESSURE,
            },
        ),
        "log": LOG,
        "remote": REMOTE,
        "limits": object_of(
            "what is reported and acted on",
            [],
            {
                "supply_max_c": _tunable(
                    "limits.supply_max_c", "supply temperature that raises an alarm"
                ),
                "stale_s": _tunable(
                    "limits.stale_s", "age at which a reading is not used any more"
                ),
            },
        ),
        "telemetry": object_of(
            "what is published",
            [],
            {
                "period_ms": _whole_tunable("telemetry.period_ms", "period of the telemetry rows"),
                "queue": _whole_tunable(
                    "telemetry.queue",
                    "rows kept in memory while the broker is away, about 250 bytes each",
                ),
            },
        ),
    },
)


def with_components(names: "list[str]") -> "dict[str, Any]":
    """Give the schema with the sections of those optional parts that are among `names`.

    The schema of a section NAME is the constant `NAME` in the module that its record in
    `agent.core.registry` names. A schema that `names` does not hold is not loaded. The sections
    come in the order of `COMPONENTS`, after those that every agent has.
    """
    properties = SCHEMA["properties"].copy()
    for spec in COMPONENTS:
        section_name = spec.section
        if section_name in names and section_name not in properties:
            module = schema_module(spec, section_name.upper())
            properties[section_name] = getattr(module, section_name.upper())
    schema = SCHEMA.copy()
    schema["properties"] = properties
    return schema
