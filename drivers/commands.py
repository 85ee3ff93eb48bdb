# SPDX-License-Identifier: Apache-2.0
"""The diagnostic commands of the drivers: `coldloop modbus` and `coldloop nmea`.

Holds the tables only. Each subcommand is a module of `drivers.tools`; see
`drivers.tools.lib.command_group`.
"""

from drivers.errors import DriverError
from drivers.tools.lib.command_group import CommandGroup
from protocols.errors import ProtocolError

# Command -> subcommand -> (module, text of --help).
TOOLS = {
    "modbus": {
        "scan": ("drivers.tools.modbus_scan", "find and identify the devices on a port"),
        "read": ("drivers.tools.modbus_read", "read registers or bits of a unit"),
        "write": ("drivers.tools.modbus_write", "write a value after confirmation, read it back"),
        "raw": ("drivers.tools.modbus_raw", "send a request as hexadecimal digits"),
        "poll": ("drivers.tools.modbus_poll", "show the values of a device by its profile, live"),
        "sniff": ("drivers.tools.modbus_sniff", "decode the traffic on a line, with its timing"),
        "serve": ("hil.tools.modbus_serve", "play a device from its profile"),
        "commission": ("drivers.tools.modbus_commission", "scan, identify, write a configuration"),
        "profile": ("drivers.tools.modbus_profile", "check a profile file, or show a profile"),
    },
    "nmea": {
        "decode": ("agent.tools.clock.nmea_command", "print each epoch of a capture or port"),
        "monitor": ("drivers.tools.nmea_monitor", "show the satellites in view, live"),
        "setup": ("drivers.tools.nmea_setup", "set up a receiver and verify the result"),
    },
}

# Command -> example for its --help.
EXAMPLES = {
    "modbus": "scan serial:/dev/ttyUSB0?baud=19200\\&parity=E --json",
    "nmea": "decode capture.nmea --json",
}

_ERRORS = (DriverError, ProtocolError)


def modbus(argv: list[str]) -> int:
    """Run a subcommand of `coldloop modbus`."""
    return CommandGroup("modbus", TOOLS["modbus"], EXAMPLES["modbus"], _ERRORS).run(argv)


def nmea(argv: list[str]) -> int:
    """Run a subcommand of `coldloop nmea`."""
    return CommandGroup("nmea", TOOLS["nmea"], EXAMPLES["nmea"], _ERRORS).run(argv)
