"""The drivers' commands, a technician's probes: `coldloop modbus` and `coldloop nmea`.

Not a place for logic: each subcommand is a module of `drivers.tools`, imported only when called,
with three names:

    EXAMPLE                  the line under its --help
    configure(parser)        adds its arguments
    run(arguments) -> code   0 good, 1 judged bad or nothing found, 2 wrong use
"""

import importlib
import signal
import sys
from types import FrameType
from typing import Any

from drivers.errors import DriverError

WRONG_USE = 2
INTERRUPTED = 130

# Family: subcommand: its module, and what --help says of it.
TOOLS = {
    "modbus": {
        "scan": ("drivers.tools.modbus_scan", "find the devices on a port, and their models"),
        "read": ("drivers.tools.modbus_read", "read registers or bits of a unit"),
        "write": ("drivers.tools.modbus_write", "write a value: asks, writes, reads back"),
        "poll": ("drivers.tools.modbus_poll", "a device's values by its profile, live"),
        "sniff": ("drivers.tools.modbus_sniff", "decode the traffic of others, with its timing"),
        "commission": ("drivers.tools.modbus_commission", "scan, identify, write a configuration"),
        "profile": ("drivers.tools.modbus_profile", "check a profile's file, or show a profile"),
    },
    "nmea": {
        "decode": ("drivers.tools.nmea_decode", "each epoch of a capture or port as a line"),
        "monitor": ("drivers.tools.nmea_monitor", "a live sky on the terminal"),
    },
}

# Family: an example for its --help.
EXAMPLES = {
    "modbus": "scan serial:/dev/ttyUSB0?baud=19200\\&parity=E --json",
    "nmea": "decode capture.nmea --json",
}


def modbus(argv: list[str]) -> int:
    """Run a subcommand of `coldloop modbus`."""
    return _family("modbus", argv)


def nmea(argv: list[str]) -> int:
    """Run a subcommand of `coldloop nmea`."""
    return _family("nmea", argv)


def _family(family: str, argv: list[str]) -> int:
    tools = TOOLS[family]
    prog = f"coldloop {family}"
    if argv and argv[0] in ("-h", "--help"):
        sys.stdout.write(_overview(family))
        return 0
    if not argv or argv[0] not in tools:
        what = f"no subcommand {argv[0]!r}" if argv else "no subcommand"
        sys.stderr.write(f"{prog}: {what}; there are {', '.join(tools)}\n")
        return WRONG_USE
    return _run(f"{prog} {argv[0]}", *tools[argv[0]], argv[1:])


def _overview(family: str) -> str:
    rows = "\n".join(f"  {name:<12}{text}" for name, (_, text) in TOOLS[family].items())
    return (
        f"usage: coldloop {family} SUBCOMMAND [OPTION]...   (SUBCOMMAND --help tells more)\n\n"
        f"subcommands:\n{rows}\n\n"
        f"example: coldloop {family} {EXAMPLES[family]}\n"
    )


def _run(prog: str, module: str, text: str, argv: list[str]) -> int:
    from drivers.tools.parser import Parser
    from protocols.errors import ProtocolError

    tool: Any = importlib.import_module(module)
    parser = Parser(
        prog=prog, description=text[0].upper() + text[1:] + ".", epilog=f"example: {tool.EXAMPLE}"
    )
    tool.configure(parser)
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(tool.run(arguments))
    except (DriverError, ProtocolError) as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return WRONG_USE


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
