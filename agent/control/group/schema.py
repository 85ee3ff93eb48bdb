# SPDX-License-Identifier: Apache-2.0
"""Section `group` of the configuration; loaded only if a configuration has it."""

from agent.core.schema.rules import (
    NAME_PATTERN,
    enum,
    hexadecimal,
    integer,
    number,
    object_of,
    text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile

GROUP = object_of(
    "this CDU is one of 2 to 16 on one facility loop",
    ["ports", "key", "capacity_kw", "flow"],
    {
        "ports": {
            "type": "object",
            "description": "address of each unit by its name (`unit`), also of this one: "
            "udp:HOST:PORT, with one port number for all",
            "propertyPattern": NAME_PATTERN,
            "minProperties": 2,
            "maxProperties": 16,
            "values": text("for example udp:10.0.0.1:5247"),
        },
        "key": hexadecimal("secret of the group; equal on all units", 64, 64),
        "capacity_kw": number("heat that this unit can reject, kW", 1, 10_000),
        "flow": text("DEVICE.POINT of the secondary flow, L/min", 97, 3),
        "rotate_h": integer("period of the rotation of the lead, h", 1, 8760, 168),
        "shared": enum(
            "header: all units pump into one header, and one of them controls its pressure",
            ["none", "header"],
            "none",
        ),
    },
)


def check(
    config: "dict[str, Any]", devices: "dict[str, DeviceProfile]", errors: "list[str]"
) -> None:
    """Add the problems of the section to `errors`."""
    group = config["group"]
    if config["unit"] not in group["ports"]:
        errors.append("group.ports: has no address of this unit, %s" % config["unit"])
    device, _, point = group["flow"].partition(".")
    profile = devices.get(device)
    if profile is None:
        errors.append("group.flow: no device is named %s" % device)
    elif not profile.has_point(point):
        errors.append("group.flow: %s reads no %s" % (device, point))
    sensor = config["control"]["supply"].get("sensor")
    profile = devices.get(sensor)
    if profile is None or not profile.has_point("ReturnTemperatureCelsius"):
        errors.append(
            "group: control.supply.sensor must read ReturnTemperatureCelsius, for the heat"
        )
