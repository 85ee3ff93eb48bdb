"""`coldloop telemetry`: read the log of a unit, and test the codec with a table of values.

Does not contain logic: each subcommand is a module of `agent.tools`; see
`drivers.tools.lib.command_group`.
"""

from agent.core.errors import AgentError
from drivers.tools.lib.command_group import CommandGroup

TOOLS = {
    "cat": ("agent.tools.log_cat", "print what a log holds"),
    "stats": ("agent.tools.log_stats", "sum up what a log holds"),
    "codec": ("agent.tools.log_codec", "put a table through the codec: bits a value"),
}
"""Subcommand: its module and its help text."""


def telemetry(argv: list[str]) -> int:
    """Run a subcommand of `coldloop telemetry`."""
    errors = (AgentError, OSError, UnicodeDecodeError)
    return CommandGroup("telemetry", TOOLS, "cat /var/lib/coldloop/log --csv", errors).run(argv)
