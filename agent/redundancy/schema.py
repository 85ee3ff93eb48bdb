# SPDX-License-Identifier: Apache-2.0
"""Section `redundancy` of the configuration: two controllers on one RS-485 bus.

A part of `agent.config.schema`, loaded only with a configuration that has it. `check` refuses what
the pair cannot do.
"""

from agent.core.schema.rules import enum, hexadecimal, integer, object_of, text
from agent.redundancy.beacon import UNITS
from drivers.errors import AddressError
from drivers.ports.address import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile

REDUNDANCY = object_of(
    "two controllers on one RS-485 bus, of which one is active",
    ["node", "key"],
    {
        "node": enum("this controller; file: the letter stands in `node_file`", ["a", "b", "file"]),
        "key": hexadecimal("secret of the pair; equal on both controllers", 64, 64),
        "node_file": text("file with the letter a or b, so that both share one configuration"),
        "port": text(
            "folder of its own that survives a power cut, for the epoch; "
            "for example store:/var/lib/coldloop/pair"
        ),
        "ports": object_of(
            "link between the controllers: `link` for a serial line, or `a` and `b` with the "
            "addresses of both controllers for datagrams",
            [],
            {
                "link": text("serial line to the other controller, 57,600 bit/s or more"),
                "a": text("address of controller a, for example udp:10.0.0.1:5246"),
                "b": text("address of controller b, for example udp:10.0.0.2:5246"),
            },
        ),
        "rotate_h": integer("planned swap after this time as a proof test, h", 1, 8760),
    },
)

_LONGEST_TIMEOUT_MS = 200
"""Longest time between two replies in READ (300 ms) less one request to another device; see
`pair_table`."""
_LEAST_BAUD = 57600
_KINDS = ("serial:", "uart:")
_NO_MODEM = (
    "both controllers would use one subscription. Remove modem, and send telemetry by the broker"
)


def check(config: "dict[str, Any]", _: "dict[str, DeviceProfile]", errors: "list[str]") -> None:
    """Add the problems of the section to `errors`."""
    _check_buses(config["buses"], errors)
    if config["bus_timeout_ms"] > _LONGEST_TIMEOUT_MS:
        errors.append(
            "redundancy: bus_timeout_ms is %d, at most %d: the active controller must not be "
            "silent longer" % (config["bus_timeout_ms"], _LONGEST_TIMEOUT_MS)
        )
    _check_link(config["redundancy"], errors)
    if config["redundancy"]["node"] == "file" and "node_file" not in config["redundancy"]:
        errors.append("redundancy: node is file, and node_file is missing")
    for device in config["devices"]:
        if device["unit"] in UNITS.values():
            errors.append(
                "redundancy: %s has unit %d, the address of a controller of the pair"
                % (device["name"], device["unit"])
            )
    if config.get("safety", {}).get("port", "").startswith("watchdog:"):
        errors.append(
            "redundancy: not together with safety.port %s: a standby does not run the protection, "
            "so the watchdog would restart it" % config["safety"]["port"]
        )
    if "modem" in config:
        errors.append("redundancy: not together with modem: " + _NO_MODEM)
    if "remote" in config:
        _check_remote(config["redundancy"], errors)


def _check_buses(buses: "dict[str, str]", errors: "list[str]") -> None:
    """Check that there is one serial line: each controller must receive the frames of the other."""
    if len(buses) != 1:
        errors.append(
            "redundancy: buses has %s; a pair shares one RS-485 line: move the devices to one bus, "
            "or remove redundancy" % ", ".join(sorted(buses))
        )
    for name in sorted(buses):
        if not buses[name].startswith(_KINDS):
            errors.append(
                "redundancy: buses.%s is %s; over a network a controller does not receive the "
                "frames of the other one, so both could write. Use a line that both share, serial: "
                "or uart:, or remove redundancy and keep the other controller off as a spare"
                % (name, buses[name])
            )


def _check_remote(section: "dict[str, Any]", errors: "list[str]") -> None:
    """Check what confirmed changes need: a link, and one file for both controllers."""
    if not section.get("ports"):
        errors.append(
            "redundancy: remote needs redundancy.ports: without a link the other controller would "
            "not have a confirmed change after a takeover"
        )
    if section["node"] != "file":
        errors.append(
            "redundancy.node: with remote it is file: a change is for one configuration file that "
            "both controllers have"
        )


def _is_fast(text: str) -> bool:
    try:
        return parse_address(text).baud >= _LEAST_BAUD
    except AddressError:  # the compiler tells it
        return True


def _check_link(section: "dict[str, Any]", errors: "list[str]") -> None:
    """Check the link: one serial line, or datagrams between both addresses; with a store."""
    ports = section.get("ports", {})
    names = sorted(ports)
    if names not in ([], ["link"], ["a", "b"]):
        errors.append("redundancy.ports: has %s, not link alone, or a and b" % ", ".join(names))
    for name in names:
        is_line = ports[name].startswith(_KINDS)
        if is_line != (name == "link"):
            errors.append(
                "redundancy.ports.%s: %s" % (name, "is udp:" if is_line else "is serial: or uart:")
            )
        elif is_line and not _is_fast(ports[name]):
            errors.append("redundancy.ports.link: needs baud=%d or more" % _LEAST_BAUD)
    if names and "port" not in section:
        errors.append(
            "redundancy.ports: needs redundancy.port: the link counts the starts of a controller"
        )
    if "rotate_h" in section and not names:
        errors.append("redundancy.rotate_h: needs redundancy.ports: a planned swap uses the link")
