"""The commands of deploy: `coldloop config` is the operators' side of a fleet."""

import importlib
import sys
from typing import Any

from deploy.errors import DeployError
from drivers.tools.parser import Parser
from protocols.errors import ProtocolError

WRONG_USE = 2

CONFIG: dict[str, tuple[str, str]] = {
    "check": ("deploy.ops.config_check", "is a configuration file good"),
    "keygen": ("deploy.ops.config_keygen", "make an operator's key"),
    "sign": ("deploy.ops.config_sign", "a signed change as a file"),
    "push": ("deploy.ops.config_push", "a signed change to units, canaries first"),
    "show": ("deploy.ops.config_show", "what a unit runs, and what is on trial"),
    "diff": ("deploy.ops.config_diff", "what a unit runs, beside a file"),
    "confirm": ("deploy.ops.config_confirm", "make what is on trial the confirmed one"),
    "rollback": ("deploy.ops.config_rollback", "give up what is on trial"),
    "pki": ("deploy.ops.config_pki", "certificates: create, issue, revoke, rotate"),
    "history": ("deploy.ops.config_history", "who did what on a unit, when, with what result"),
    "command": ("deploy.ops.config_command", "a signed command"),
}


def config(argv: list[str]) -> int:
    """Operators: keys, changes, rollouts."""
    if not argv or argv[0] in ("-h", "--help"):
        rows = "\n".join(f"  {name:<10}{text}" for name, (_, text) in CONFIG.items())
        sys.stdout.write(
            "usage: coldloop config SUBCOMMAND [OPTION]...   (SUBCOMMAND --help tells more)\n\n"
            f"subcommands:\n{rows}\n\nexample: coldloop config check unit.json\n"
        )
        return 0 if argv else WRONG_USE
    if argv[0] not in CONFIG:
        sys.stderr.write(
            f"coldloop config: no subcommand {argv[0]!r}; there are {', '.join(CONFIG)}\n"
        )
        return WRONG_USE
    return _run(f"coldloop config {argv[0]}", *CONFIG[argv[0]], argv[1:])


def _run(prog: str, module: str, text: str, argv: list[str]) -> int:
    tool: Any = importlib.import_module(module)
    parser = Parser(
        prog=prog, description=text[0].upper() + text[1:] + ".", epilog=f"example: {tool.EXAMPLE}"
    )
    tool.configure(parser)
    try:
        return int(tool.run(parser.parse_args(argv)))
    except (DeployError, ProtocolError) as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return WRONG_USE
