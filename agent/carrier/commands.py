"""`coldloop link`: a satellite modem watched, and the windows ahead.

Not a place for logic: each subcommand is a module of `agent.tools`, imported only when called.
"""

import importlib
import sys

from drivers.tools.parser import Parser

TOOLS = {
    "watch": ("agent.tools.link_watch", "signal, registration, windows, queue and budget, live"),
    "passes": ("agent.tools.link_passes", "the windows of the next hours, as a table and a plot"),
}
"""Subcommand: its module, and what --help says of it."""


def link(argv: list[str]) -> int:
    """Run a subcommand of `coldloop link`."""
    parser = Parser(
        prog="coldloop link",
        description="Watch a satellite modem, or look at the windows ahead.",
        epilog="example: coldloop link passes --config /etc/coldloop/unit.json --hours 12",
    )
    parts = parser.add_subparsers(dest="what", required=True, metavar="SUBCOMMAND")
    for name, (path, text) in TOOLS.items():
        module = importlib.import_module(path)
        part = parts.add_parser(name, help=text, description=text, epilog=module.EXAMPLE)
        module.configure(part)
    arguments = parser.parse_args(argv)
    module = importlib.import_module(TOOLS[arguments.what][0])
    try:
        return int(module.run(arguments))
    except module.ProblemError as error:
        sys.stderr.write(f"coldloop link {arguments.what}: {error}\n")
        return 2
