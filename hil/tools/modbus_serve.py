# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus serve`: play a device from its profile, on a serial line or as a TCP server.

For tests of other masters and for training. Does not emulate the behaviour of a device: values
change only by writes and by --value. With --plant a plant is behind the roles of the profile:
measured points move, and written outputs act on them. The server is
`hil.devices.modbus.profile_server`, on the PDU classes of pymodbus. The acceptance of a unit uses
the same server.
"""

import argparse
import contextlib
import time
from pathlib import Path
from random import Random
from typing import Any

from drivers.ports.address import Address, parse_address
from drivers.ports.base import make_error
from drivers.tools.lib.arguments import (
    GOOD_EXIT,
    UsageError,
    add_json,
    add_number,
    print_json,
    print_line,
    raw_profile,
)
from drivers.tools.lib.modbus_client import port_address
from drivers.tools.lib.open_port import HUNG_UP, OpenPort, monotonic_us
from drivers.tools.modbus_profile import find_errors
from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.profile_server import ProfileServer
from hil.devices.modbus.profile_twin import ProfileTwin, TwinRoles
from hil.devices.modbus.tcp import ModbusTcpHost
from hil.io.real_ports import TcpListener
from hil.kernel.world import World
from hil.plant.plant import Plant
from hil.shells.realtime import RealTimeShell

EXAMPLE = "coldloop modbus serve belimo_valve tcp:127.0.0.1:1502 --unit 20"
CLIENTS = 32
"""Simultaneous connections. For one more, the connection that is silent longest is closed."""
_IDLE_US = 100_000
_BIT_FUNCTIONS = (1, 2)
_LINE_GAP_US = 50_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("profile", metavar="FILE", help="file of a profile, or a shipped name")
    parser.add_argument(
        "port", metavar="PORT", help="tcp:127.0.0.1:1502 to listen, or serial:/dev/ttyUSB0?baud=…"
    )
    add_number(parser, "--unit", 1, 247, 1, "unit address (1)")
    add_number(parser, "--seconds", 1, 1_000_000, None, "end after N seconds")
    parser.add_argument(
        "--value",
        action="append",
        default=[],
        metavar="NAME=RAW",
        help="registers of a point or bit at the start; several words with commas",
    )
    parser.add_argument(
        "--plant",
        action="store_true",
        help="a cooling plant behind the roles of the profile: measured values move",
    )
    add_json(parser)


def _make_server(raw: Any, unit: int, has_plant: bool, start_us: int) -> ProfileServer:
    """Make the server. Raises `KeyError`, `TypeError` or `ValueError` for an invalid entry."""
    if not has_plant:
        return ProfileServer(raw, unit)
    plant = Plant(Random(1), start_us=start_us)
    pumps = list(plant.pumps)
    return ProfileTwin(raw, unit, plant, TwinRoles(True, pumps[0], None, True, pumps))


def _set_values(server: ProfileServer, settings: "list[str]") -> None:
    """Apply the --value options. Raises `UsageError`."""
    for text in settings:
        name, equals, raw = text.partition("=")
        if not equals or name not in server.names:
            raise UsageError(f"--value {text!r}: not NAME=RAW with a name of the profile")
        words = []
        for part in raw.split(","):
            with contextlib.suppress(ValueError):
                words.append(int(part, 0))
        if len(words) != len(raw.split(",")) or not all(0 <= word <= 0xFFFF for word in words):
            raise UsageError(f"--value {text!r}: words are not 0 to 65535")
        function, _, count = server.names[name]
        if len(words) != count:
            raise UsageError(f"--value {text!r}: {name} has {count} word(s), not {len(words)}")
        if function in _BIT_FUNCTIONS and words[0] > 1:
            raise UsageError(f"--value {text!r}: {name} is a bit, 0 or 1")
        server.set_registers(name, words)


def _serve_tcp(server: ProfileServer, address: Address, seconds: "int | None") -> None:
    """Listen on the host and port of the address."""
    shell = RealTimeShell(World(0, 0))
    try:
        host_of_server = ModbusTcpHost([server], CLIENTS, gives_way=True)
        listener = TcpListener(shell, host_of_server, port=address.port, host=address.host)
    except OSError as error:
        shell.close()
        raise UsageError(f"{address.location()}: {error.strerror}; choose another port") from error
    try:
        host, port = listener.address[:2]
        print_line(f"serves unit {server.unit} on tcp:{host}:{port}")
        shell.run(None if seconds is None else shell.now() + seconds * 1_000_000)
    finally:
        listener.close()
        shell.close()


def _serve_line(server: ProfileServer, address: Address, seconds: "int | None") -> None:
    """Answer requests on a serial line until SIGINT or the end."""
    line = ModbusLine([server], gap_us=_LINE_GAP_US)
    open_port = OpenPort(address)
    end = None if seconds is None else monotonic_us() + seconds * 1_000_000
    print_line(f"serves unit {server.unit} on {address}")
    try:
        while end is None or monotonic_us() < end:
            open_port.wait(monotonic_us() + _IDLE_US)
            data = open_port.port.read()
            if data is None:
                raise make_error(address, HUNG_UP)
            for delay_us, reply in line.receive(data, monotonic_us()) if data else ():
                time.sleep(delay_us / 1e6)
                open_port.write(reply)
    finally:
        open_port.port.close()


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or --seconds."""
    is_tcp = arguments.port.startswith("tcp:")
    address = parse_address(arguments.port) if is_tcp else port_address(arguments.port)
    if not is_tcp and address.kind != "serial":
        raise UsageError(f"{address.location()}: serve needs a serial line or tcp:HOST:PORT")
    errors = find_errors(arguments.profile)
    if errors:
        raise UsageError(f"{errors[0]}; see `profile check`")
    raw = raw_profile(arguments.profile)
    try:
        server = _make_server(raw, arguments.unit, arguments.plant, 0 if is_tcp else monotonic_us())
    except (KeyError, TypeError, ValueError) as error:
        name = Path(arguments.profile).name
        raise UsageError(
            f"{name}: entry cannot be served ({error!r}); see `profile check`"
        ) from error
    _set_values(server, arguments.value)
    with contextlib.suppress(KeyboardInterrupt):
        (_serve_tcp if is_tcp else _serve_line)(server, address, arguments.seconds)
    if arguments.json:
        print_json({"requests": server.requests, "writes": server.writes})
    else:
        print_line(f"{server.requests} requests, {server.writes} writes")
    return GOOD_EXIT
