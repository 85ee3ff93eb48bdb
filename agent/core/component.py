# SPDX-License-Identifier: Apache-2.0
"""Optional components of the agent: the base class and what a component declares.

Does not contain the control loops, the clock or the supervisor; each agent has them. A component is
imported only if the configuration has its section, because code costs heap on a board.
`agent.core.registry` lists all components. The agent calls a component in this order:

    start -> (receive | event | tick | wake)* ; deadline and outbox after each; status once a second

The class attributes are its declarations. The registry refuses two components that declare the same
command, the same service or the same rank on an actuator:

    PORTS      kinds of address that its `port` can have
    CLAIMS     its ranks on actuators (`agent.core.actuator`), used from `before_control`
    PROVIDES   services: names of its attributes that others get by `Context.service`; an attribute
               is None if the settings leave the service out
    REQUIRES   services that it uses; each of them can be absent
    COMMANDS   commands of operators that it executes (roles: `agent.remote.message.command`)
    POINTS     points of the telemetry: (name, UCUM unit, numerator, denominator)

A section can name one `port`. The agent keeps it open (`agent.core.port_link`) and passes on its
bytes and events. It can name further streams as `ports` (`{"bmc1": "tcp:HOST:80"}`). Each is a
`PortLink` in `Component.links`, in the order of the names. A component must not delay a tick: it
does slow work in slices.
"""

from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.actuator import ClaimSpec
    from agent.core.alarm_record import Condition
    from agent.core.context import Context
    from agent.core.port_link import PortLink
    from protocols.cbor import Map

    Actions = list[tuple[int, str, bytes]]
    Point = tuple[str, str, int, int]


class Component:
    """A component that does nothing; others override what they need.

    `agent` is the agent as a component sees it, `port` is -1 without a port.
    """

    PORTS: "tuple[str, ...]" = ()
    CLAIMS: "tuple[ClaimSpec, ...]" = ()
    PROVIDES: "tuple[str, ...]" = ()
    REQUIRES: "tuple[str, ...]" = ()
    COMMANDS: "tuple[str, ...]" = ()
    POINTS: "tuple[Point, ...]" = ()

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        self.agent = agent
        self.settings = settings
        self.port = port
        self.links: list[PortLink] = []

    def add_link(self, link: "PortLink") -> None:
        """Take the link of one more port; the agent calls this before `start`."""
        self.links.append(link)

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
        """Run once a cycle, before the loops; make claims here. `dt` is in seconds."""

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

    def active_conditions(self, now: int) -> "list[Condition]":
        """Name the active conditions: (record of the alarm, its source, its text)."""
        return []

    def values(self, now: int) -> "list[int | None]":
        """Give the value of each of `POINTS`, in their order; None: not known."""
        return []

    def handle_command(self, name: str, arguments: "Map", now: int) -> "str | None":
        """Execute a command of `COMMANDS`, between two ticks and quickly; give the result.

        None: the component does not know the command. Raises `agent.core.errors.CommandError` for
        wrong arguments.
        """
        return None

    def status(self, now: int) -> "object":
        """Give what `coldloop status` shows of this part, for `agent.core.json_writer`."""
        return None
