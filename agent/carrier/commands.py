"""`coldloop link`: a satellite modem watched, and the windows ahead.

Not a place for logic: each subcommand is a module of `agent.tools` (see `drivers.tools.lib.command_group`).
"""

from agent.core.errors import AgentError
from drivers.tools.lib.command_group import Family

TOOLS = {
    "watch": ("agent.tools.satcom_watch", "signal, registration, windows, queue and budget, live"),
    "passes": ("agent.tools.satcom_passes", "the windows of the next hours, as a table and a plot"),
}
"""Subcommand: its module, and what --help says of it."""


def link(argv: list[str]) -> int:
    """Run a subcommand of `coldloop link`."""
    example = "passes --config /etc/coldloop/unit.json --hours 12"
    return Family("link", TOOLS, example, (AgentError,)).call(argv)
