# SPDX-License-Identifier: Apache-2.0
"""Section `northbound` of the configuration: name plate, points, writes, servers.

A part of `agent.config.schema`, loaded only with a configuration that has it. `check` covers rules
that a schema cannot express. The agent uses `port`, `points` and `writes`; the other keys belong to
the servers (`deploy.northbound`).
"""

from agent.core.schema.rules import NAME_PATTERN, enum, integer, list_of, number, object_of, text
from agent.northbound.point_sources import UNITS, factor
from agent.northbound.site_writes import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.schema.rules import Rule
    from drivers.device.profile import DeviceProfile

IDENTITY = (
    ("manufacturer", "manufacturer of the unit"),
    ("model", "model of the unit"),
    ("part_number", "part number"),
    ("serial_number", "serial number; the QR code of the panel has it"),
    ("production_date", "date of production, ISO 8601"),
    ("location", "place of the unit: hall, row, rack"),
    ("asset_tag", "asset tag of the site"),
)
"""Keys of `northbound.identity` and their meaning."""

_OID_PATTERN = "^1.3.6.1.4.1(.[1-9][0-9]*)+$"
"""MicroPython's `re` has no counted repeats; the server checks the numbers."""


def _setpoint(quantity: str, low: int, high: int, step: int) -> "Rule":
    return object_of(
        "permitted set-points of the " + quantity,
        ["low", "high"],
        {
            "low": number("lowest value", low, high),
            "high": number("highest value", low, high),
            "step": number("largest difference of one change", 0.1, step, step / 5),
        },
    )


_WRITES = object_of(
    "writes from the site, signed by a key of remote.keys with the role site; absent: none",
    [],
    {
        "supply_c": _setpoint("supply temperature, °C", 15, 45, 5),
        "dp_kpa": _setpoint("differential pressure, kPa", 5, 400, 50),
        "every_s": integer("least time between two set-point changes, s", 1, 86_400, 60),
        "commands": list_of(
            "permitted commands", enum("command", list(COMMANDS)), 0, len(COMMANDS)
        ),
        "override_min": integer("longest time of manual control, min", 1, 240, 15),
        "key": text("file of the site key, for the servers; only they read it"),
    },
)


def _address() -> "Rule":
    return text("address of this machine, for example 10.0.0.5; 0.0.0.0: all interfaces", 64)


def _port(number: int) -> "Rule":
    return integer("port", 1, 65_535, number)


def _oid() -> "Rule":
    rule = text(
        "object identifier of the MIB, below the enterprise number of the owner: "
        "1.3.6.1.4.1.NUMBER.N; absent: 1.3.6.1.4.1.8072.9999.9999.4710 (netSnmpPlaygroundOID)",
        128,
    )
    rule["pattern"] = _OID_PATTERN
    return rule


def _clients(description: str) -> "Rule":
    return list_of(description, text("network, for example 10.0.0.0/24", 64), 0, 16)


_HTTP = object_of(
    "Redfish, metrics and the panel over HTTPS; absent: off",
    ["address"],
    {
        "address": _address(),
        "port": _port(8443),
        "certificate": text("file of the certificate, PEM"),
        "key": text("file of its private key, PEM"),
        "serves": list_of(
            "services; empty: all of redfish, metrics, panel",
            enum("service", ["redfish", "metrics", "panel"]),
            0,
            3,
        ),
        "networks": _clients("networks that can connect; empty: all"),
        "discovery": enum("Redfish discovery in the network of address", ["off", "ssdp"], "off"),
        "event_networks": _clients("networks to which Redfish events are sent; empty: none"),
    },
)
_MODBUS = object_of(
    "Modbus TCP server; absent: off",
    ["address"],
    {
        "address": _address(),
        "port": _port(1502),
        "unit": integer("unit identifier", 1, 247, 1),
        "networks": _clients("networks that can read; empty: all"),
        "writers": _clients("networks that can write set-points; empty: none"),
        "certificate": text("file of the certificate of Modbus/TCP Security, PEM"),
        "key": text("file of its private key, PEM"),
        "client_ca": text("file of the CA of the clients' certificates, PEM"),
    },
)
_BACNET = object_of(
    "BACnet/IP device; absent: off",
    ["address", "device"],
    {
        "address": text("address of this machine with prefix length, such as 10.0.0.5/24", 64),
        "port": _port(47_808),
        "device": integer("device instance", 0, 4_194_302),
        "vendor": integer("vendor identifier of ASHRAE; 999: none", 0, 65_535, 999),
        "networks": _clients("networks that can acknowledge alarms and write; empty: none"),
        "recipients": _clients("receivers of event notifications: HOST:PORT"),
        "foreign": text("address of a BBMD with which the device registers: HOST:PORT", 64),
    },
)
_SNMP = object_of(
    "SNMPv3 sub-agent of net-snmp; absent: off",
    ["address"],
    {
        "address": _address(),
        "port": _port(1161),
        "user": text("user name of SNMPv3", 32),
        "keys": text("file of the keys of SNMPv3, for snmpd"),
        "oid": _oid(),
        "receivers": _clients("receivers of informs: HOST:PORT"),
    },
)

NORTHBOUND = object_of(
    "servers for the site: Redfish, metrics, panel, Modbus, BACnet, SNMP; writes of the site",
    ["port"],
    {
        "port": text(
            "folder of the record of points and of the socket for signed messages, on a tmpfs: "
            "local:/run/coldloop"
        ),
        "state": text("folder of the servers: accounts, sessions, audit log, certificates"),
        "identity": object_of(
            "name plate of the unit",
            [],
            {key: text(meaning, 64) for key, meaning in IDENTITY},
        ),
        "points": {
            "type": "object",
            "description": "points of devices, DEVICE.POINT, instead of those found by name; keys: "
            + ", ".join(sorted(UNITS)),
            "propertyPattern": NAME_PATTERN,
            "minProperties": 0,
            "maxProperties": 32,
            "values": text("DEVICE.POINT", 97),
        },
        "writes": _WRITES,
        "http": _HTTP,
        "modbus": _MODBUS,
        "bacnet": _BACNET,
        "snmp": _SNMP,
    },
)


def check(raw: "dict[str, Any]", profiles: "dict[str, DeviceProfile]", errors: "list[str]") -> None:
    """Check that the named points exist and fit, and the limits; append to `errors`."""
    section = raw["northbound"]
    _check_points(section.get("points", {}), profiles, errors)
    writes = section.get("writes")
    if writes is None:
        return
    for name in ("supply_c", "dp_kpa"):
        if name in writes and not writes[name]["low"] < writes[name]["high"]:
            errors.append("northbound.writes.%s: low is not below high" % name)
    keys = raw.get("remote", {}).get("keys", [])
    if not [key for key in keys if key["role"] == "site"]:
        errors.append("northbound.writes: remote.keys has no key with the role site")


def _check_points(
    points: "dict[str, str]", profiles: "dict[str, DeviceProfile]", errors: "list[str]"
) -> None:
    for key in sorted(points):
        path = "northbound.points.%s" % key
        device, _, point = points[key].partition(".")
        profile = profiles.get(device)
        if key not in UNITS:
            errors.append("%s: one of %s" % (path, ", ".join(sorted(UNITS))))
        elif profile is None:
            errors.append("%s: no device is named %s" % (path, device))
        elif not profile.has_point(point):
            errors.append("%s: %s reads no %s" % (path, device, point))
        elif factor(profile.points[profile.point_index(point)].unit, UNITS[key]) is None:
            errors.append("%s: %s has not the unit %s" % (path, points[key], UNITS[key]))
