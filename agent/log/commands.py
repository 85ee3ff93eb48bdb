"""`coldloop telemetry`: the log of a unit read back, and the codec tried on anybody's figures.

Not a place for logic: each subcommand is a module of `agent.log.tools`, imported only when called.
"""

import importlib
import sys

from drivers.tools.parser import Parser

TOOLS = {
    "cat": ("agent.log.tools.cat", "print what a log holds"),
    "stats": ("agent.log.tools.cat", "sum up what a log holds"),
    "codec": ("agent.log.tools.codec", "put a table through the codec: bits a value"),
}
"""Subcommand: its module, and what --help says of it."""


def telemetry(argv: list[str]) -> int:
    """Run a subcommand of `coldloop telemetry`."""
    parser = Parser(
        prog="coldloop telemetry",
        description="Read a unit's telemetry log, or try the codec on a table of figures.",
        epilog="example: coldloop telemetry cat /var/lib/coldloop/log --csv",
    )
    parts = parser.add_subparsers(dest="what", required=True, metavar="SUBCOMMAND")
    for name, (path, text) in TOOLS.items():
        module = importlib.import_module(path)
        part = parts.add_parser(name, help=text, description=text, epilog=module.EXAMPLES[name])
        module.configure(part, name)
    arguments = parser.parse_args(argv)
    module = importlib.import_module(TOOLS[arguments.what][0])
    try:
        return int(module.run(arguments))
    except (OSError, UnicodeDecodeError, module.ProblemError) as error:
        sys.stderr.write(f"coldloop telemetry {arguments.what}: {error}\n")
        return 2
