"""`coldloop telemetry`: the log of a unit read back, and the codec tried on anybody's figures.

Not a place for logic: each subcommand is a module of `agent.log.tools` (see
`drivers.tools.family`).
"""

from agent.errors import AgentError
from drivers.tools.family import Family

TOOLS = {
    "cat": ("agent.log.tools.cat", "print what a log holds"),
    "stats": ("agent.log.tools.stats", "sum up what a log holds"),
    "codec": ("agent.log.tools.codec", "put a table through the codec: bits a value"),
}
"""Subcommand: its module, and what --help says of it."""


def telemetry(argv: list[str]) -> int:
    """Run a subcommand of `coldloop telemetry`."""
    errors = (AgentError, OSError, UnicodeDecodeError)
    return Family("telemetry", TOOLS, "cat /var/lib/coldloop/log --csv", errors).call(argv)
