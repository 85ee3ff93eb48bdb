"""Optional rooms of the agent, each imported only when the configuration has its section.

Not the loops, the clock or the safety table: those are in every agent. Code costs heap on a board,
so what a site does not use is never loaded. A part is built from its section once the rest of the
agent stands, and is then turned like the agent itself:

    start -> (receive | event | tick | wake)* ; deadline and outbox after each; status once a second

Its section may name one `port`; the agent keeps that port open (see `agent.core.port_link`) and
gives the part what comes from it. It may name more as `ports`, streams by name (`{"bmc1":
"tcp:HOST:80"}`); each is a `PortLink` in `Component.links`, in the order of their names. A part may
have points in the telemetry: what `points` describes once, `values` gives for every row. A part
must never stand in the way of a tick: slow work is done in slices.
"""

from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.core.port_link import PortLink
    from protocols.cbor import Map

    Actions = list[tuple[int, str, bytes]]
    Point = tuple[str, str, int, int]


class Component:
    """A part that does nothing; others override what they need. `port` is -1 without a port."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        self.agent = agent
        self.settings = settings
        self.port = port
        self.links: list[PortLink] = []

    def start(self, now: int) -> None:
        """Begin."""

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes from the part's port; `now` is when the last of them arrived."""

    def event(self, kind: str, now: int) -> None:
        """Take `opened`, `closed`, `failed` or `drained` from the part's port.

        A store says `full` before `failed` when it has no room.
        """

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Take bytes from the port of `links[index]`."""

    def link_event(self, index: int, kind: str, now: int) -> None:
        """Take an event of the port of `links[index]`."""

    def before_control(self, now: int, dt: float) -> None:
        """Run once a cycle, before the loops; `dt` is in seconds. Later parts outrank earlier."""

    def tick(self, now: int) -> None:
        """Run once a tick, after the loops."""

    def wake(self, now: int) -> None:
        """Take the passing of `deadline`."""

    def deadline(self) -> int:
        """Give the time at which `wake` wants to be called next, besides the ticks."""
        return NEVER

    def outbox(self) -> "Actions":
        """Hand over what ports are asked to do, in order: (port, operation, data)."""
        return []

    def points(self) -> "list[Point]":
        """Describe the part's points in telemetry: (name, UCUM unit, numerator, denominator)."""
        return []

    def values(self, now: int) -> "list[int | None]":
        """Give the value of every point, in their order; None is "not known"."""
        return []

    def handle_command(self, name: str, arguments: "Map", now: int) -> "str | None":
        """Do what an operator commands, between two ticks and quickly; say what was done.

        None: this part does not know the command. Raises `agent.core.errors.OrderError` for
        arguments that cannot be. Names and roles are in `agent.remote.message.command`.
        """
        return None

    def status(self, now: int) -> "object":
        """Give what `coldloop status` shows of this part, for `agent.core.json_writer`."""
        return None
