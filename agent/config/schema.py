# SPDX-License-Identifier: Apache-2.0
"""The configuration's schema as data, in the form of JSON Schema (2020-12).

Does not validate (see `agent.config.validate`) and does not hold the compiled form (see
`agent.core.config_records`). A key of a number ends with its unit (`_ms`, `_s`, `_c`, `_kpa`,
`_pct`). Every number has a range. Keys that are not listed here are errors.
"""

from agent.core.component.registry import COMPONENTS, schema_module
from agent.core.schema.rules import (
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
    """Return the number rule of a key in `agent.core.tunable`."""
    row = [row for row in TUNABLES if row.path == path][0]  # noqa: RUF015 - MicroPython
    low, high, default = [_from_thousandths(value) for value in (row.low, row.high, row.default)]
    return number(description, low, high, default)


def _whole_tunable(path: str, description: str) -> "dict[str, Any]":
    """Return the rule of a key in `agent.core.tunable` that takes only integers."""
    rule = _tunable(path, description)
    rule["type"] = "integer"
    return rule


def _from_thousandths(value: "int | None") -> "Any":
    """Convert thousandths to a number, to an integer if possible."""
    if value is None:
        return None
    return value / 1000 if value % 1000 else value // 1000


SUPPLY = object_of(
    "supply temperature: controlled by one valve on the facility water, or by the CDU itself, or "
    "only monitored",
    ["sensor"],
    {
        "setpoint_c": _tunable("control.supply.setpoint_c", "supply temperature set-point, °C"),
        "sensor": name("device that reads SupplyTemperatureCelsius"),
        "valve": name("the control valve"),
        "cdu": name("instead of valve: a CDU that controls itself and gets the set-point"),
        "gain_pct_per_k": _tunable(
            "control.supply.gain_pct_per_k", "proportional gain, % of stroke per K"
        ),
        "integral_s": _tunable("control.supply.integral_s", "integral time, s"),
        "min_pct": _tunable("control.supply.min_pct", "smallest valve opening, %"),
        "max_pct": _tunable("control.supply.max_pct", "largest valve opening, %"),
        "safe_pct": _tunable(
            "control.supply.safe_pct", "fail-safe opening, without a supply temperature, %"
        ),
        "rate_pct_per_s": _tunable(
            "control.supply.rate_pct_per_s", "largest change of the output, % per second"
        ),
    },
)

PRESSURE = object_of(
    "differential pressure: controlled by one or two pumps on variable-speed drives, or by the "
    "CDU itself, or only monitored",
    ["sensor"],
    {
        "setpoint_kpa": _tunable("control.dp.setpoint_kpa", "differential pressure set-point, kPa"),
        "sensor": name("device that reads DeltaPressurekPa, or both pressures"),
        "pumps": list_of("drives of the pumps: lead, then lag", name("drive of a pump"), 1, 2),
        "cdu": name("instead of pumps: a CDU that controls itself and gets the set-point"),
        "gain_pct_per_kpa": _tunable(
            "control.dp.gain_pct_per_kpa", "proportional gain, % of speed per kPa"
        ),
        "integral_s": _tunable("control.dp.integral_s", "integral time, s"),
        "min_pct": _tunable("control.dp.min_pct", "lowest speed, %"),
        "max_pct": _tunable("control.dp.max_pct", "highest speed, %"),
        "safe_pct": _tunable(
            "control.dp.safe_pct", "fail-safe speed, without a differential pressure, %"
        ),
        "rate_pct_per_s": _tunable(
            "control.dp.rate_pct_per_s", "largest change of the output, % per second"
        ),
    },
)

DEVICE = object_of(
    "a device",
    ["name", "bus", "unit", "profile"],
    {
        "name": name("name of this device, unique"),
        "bus": name("name of its bus"),
        "unit": integer("Modbus unit (slave) address; above 247 only on TCP or units=255", 1, 255),
        "profile": name("name of its profile, for example orv3_rpu"),
        "part_of": name("the other device with the same unit, for example its second pump"),
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
            "the GNSS receiver",
            ["port"],
            {
                "port": text("address of its port, for example serial:/dev/ttyUSB0?baud=115200"),
                "latency_ms": _tunable(
                    "receiver.latency_ms",
                    "mean delay from a second to the first byte of its sentence, ms; 0: unknown",
                ),
                "latency_error_ms": number(
                    "largest error of latency_ms, ms, measured against pulses or another clock",
                    0.1,
                    1000,
                    10,
                ),
                "host_slew_ppm": number(
                    "how fast a service can slew the monotonic clock, ppm; 0 with a raw clock",
                    0,
                    100_000,
                    0,
                ),
                "drift_ppm": number(
                    "largest frequency error of the controller's oscillator, ppm", 0.1, 500, 50
                ),
                "ppm_per_c": number(
                    "change of the oscillator per kelvin, ppm: crystal 1, TCXO 0.05", 0.001, 10, 1
                ),
                "latitude": number(
                    "latitude of the antenna, degrees; without it the agent learns the position",
                    -90,
                    90,
                ),
                "longitude": number("longitude of the antenna, degrees", -180, 180),
                "radius_m": integer(
                    "largest distance of a valid fix from the antenna, m", 10, 10_000, 100
                ),
            },
        ),
        "buses": {
            "type": "object",
            "description": "field buses: name and port of each",
            "propertyPattern": NAME_PATTERN,
            "minProperties": 1,
            "maxProperties": 4,
            "values": text(
                "port, for example serial:/dev/ttyUSB1?baud=19200&parity=E or tcp:HOST:502"
            ),
        },
        "bus_timeout_ms": integer("time-out for the start of a reply, ms", 10, 5000, 200),
        "broker": object_of(
            "the MQTT broker",
            ["address"],
            {
                "address": text("tcp:HOST:PORT or tls:HOST:PORT?ca=FILE"),
                "keepalive_s": integer("MQTT keep-alive, s", 5, 3600, 30),
                "version": enum("MQTT version", ["3.1.1", "5"], "3.1.1"),
                "expiry_s": integer(
                    "MQTT 5: time for which the broker keeps telemetry for a relay, s; 0: no limit",
                    0,
                    1 << 30,
                    0,
                ),
                "username": text("user name", 64),
                "password": text("password", 128),
            },
        ),
        "state": text("store of the status file, for example store:/run/coldloop"),
        "devices": list_of("devices on the buses, in the order of the polls", DEVICE, 1, 16),
        "control": object_of(
            "ticks and control loops",
            [],
            {
                "tick_ms": integer("period of the ticks, ms; must divide 1000", 20, 1000, 100),
                "slot_ms": _whole_tunable(
                    "control.slot_ms", "offset of the ticks of this unit in the second, ms"
                ),
                "cycle_ms": integer(
                    "period of the bus cycle, ms; must be a multiple of tick_ms", 100, 10000, 1000
                ),
                "supply": SUPPLY,
                "dp": PRESSURE,
            },
        ),
        "log": LOG,
        "remote": REMOTE,
        "limits": object_of(
            "limits of readings",
            [],
            {
                "supply_max_c": _tunable(
                    "limits.supply_max_c", "supply temperature alarm limit, °C"
                ),
                "stale_s": _tunable("limits.stale_s", "largest age of a reading in use, s"),
            },
        ),
        "telemetry": object_of(
            "telemetry rows",
            [],
            {
                "period_ms": _whole_tunable(
                    "telemetry.period_ms", "period of the rows, ms; must be a multiple of tick_ms"
                ),
                "queue": _whole_tunable(
                    "telemetry.queue",
                    "rows kept in memory while the broker is offline, about 250 bytes each",
                ),
            },
        ),
    },
)


def with_components(names: "list[str]") -> "dict[str, Any]":
    """Return the schema with the sections of the optional components in `names`.

    The schema of a section NAME is the constant `NAME` in the schema module of its record in
    `agent.core.component.registry`. A schema module of another section is not imported. The
    sections follow those of every agent, in the order of `COMPONENTS`.
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
