# SPDX-License-Identifier: Apache-2.0
"""Optional components of the agent: the base class and the declarations of a component.

Does not contain the control loops, the clock or the supervisor; each agent has them. The agent
imports a component only if the configuration has its section, because code costs heap on a board.
`agent.core.component.registry` lists all components. The agent calls the methods of a component in
this order:

    start -> (receive | event | tick | wake)* ; deadline and outbox after each; status once a second

The class attributes are the declarations. `agent.core.component.declarations` rejects two
components that declare the same command, the same service or the same rank on one actuator:

    PORTS      kinds of address that its `port` can have
    CLAIMS     its claims on actuators (`agent.core.actuator`), used from `before_control`
    PROVIDES   services: names of its attributes that others get by `Context.service`; an attribute
               is None if the settings do not include the service
    REQUIRES   services that it uses; each of them can be absent
    COMMANDS   operator commands that it executes (roles: `agent.remote.message.command`)
    ESSENTIAL  True: after faults it always starts again, without an operator
    SERVES_OFF True: its ports are served while it is off after an exception
    POINTS     telemetry points: (name, UCUM unit, numerator, denominator)

A section can name one `port`. The agent keeps it open (`agent.core.port_link`) and forwards its
bytes and events. A section can name further streams as `ports` (`{"bmc1": "tcp:HOST:80"}`). Each is
a `PortLink` in `Component.links`, in the order of the names. A component must not delay a tick. It
does long work in slices.
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
    """A component without functions. A subclass overrides the methods that it needs.

    `agent` is the context of the component. `port` is -1 if the section has no port.
    """

    PORTS: "tuple[str, ...]" = ()
    CLAIMS: "tuple[ClaimSpec, ...]" = ()
    PROVIDES: "tuple[str, ...]" = ()
    REQUIRES: "tuple[str, ...]" = ()
    COMMANDS: "tuple[str, ...]" = ()
    ESSENTIAL = False
    SERVES_OFF = False
    POINTS: "tuple[Point, ...]" = ()

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        self.agent = agent
        self.settings = settings
        self.port = port
        self.links: list[PortLink] = []

    def add_link(self, link: "PortLink") -> None:
        """Add the link of a further port. The agent calls this before `start`."""
        self.links.append(link)

    def start(self, now: int) -> None:
        """Start the component. `now` is monotonic time in µs, here and below."""

    def receive(self, data: bytes, now: int) -> None:
        """Handle bytes from the port. `now` is the arrival time of the last byte."""

    def event(self, kind: str, now: int) -> None:
        """Handle the event `opened`, `closed`, `failed` or `drained` of the port of the component.

        If a store has no space, it sends `full` before `failed`.
        """

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Handle bytes from the port of `links[index]`."""

    def link_event(self, index: int, kind: str, now: int) -> None:
        """Handle an event of the port of `links[index]`."""

    def read_inputs(self, now: int, dt: float) -> None:
        """Take the readings of the control cycle that other components use too. The agent calls
        this for all components before `before_control`. `dt` is in seconds.
        """

    def before_control(self, now: int, dt: float) -> None:
        """Prepare the control cycle and make claims; called before the loops step.

        The order of the components must not change an output. A component therefore uses no result
        of another component from the same cycle, except those of `read_inputs`.
        """

    def while_off(self, now: int, dt: float) -> None:
        """Make the claims while the component is off after an exception, instead of
        `before_control`; also in the cycle in which `before_control` has raised it. It uses as
        little of the component as possible.
        """

    def retain(self, now: int) -> "list[str]":
        """Return the state that must survive a restart, as lines; see `agent.retain`."""
        return []

    def restore(self, line: str, now: int) -> bool:
        """Take a line of `retain` of before the restart. Return whether it is in force now. The
        stricter of both states applies. An unknown line has no effect.
        """
        return False

    def protect(self, now: int) -> None:
        """Evaluate the protection. The agent calls this first in each tick, before the loops and
        before `tick` of all components. So the protection acts in the tick of its reading.
        """

    def tick(self, now: int) -> None:
        """Do the work of one tick; called after the loops. The order of the components must not
        change an output. A component therefore uses a result of another component only if it comes
        from an earlier call: `read_inputs`, `before_control` or `protect`.
        """

    def wake(self, now: int) -> None:
        """Do the work that is due at `deadline`."""

    def deadline(self) -> int:
        """Return the time of the next `wake` in monotonic µs. Ticks do not need it."""
        return NEVER

    def outbox(self) -> "Actions":
        """Return the requests for the ports, in order: (port, operation, data)."""
        return []

    def active_conditions(self, now: int) -> "list[Condition] | None":
        """Return the active conditions: (record of the alarm, its source, its text). None: the
        last ones stay.
        """
        return []

    def values(self, now: int) -> "list[int | None]":
        """Return the value of each point in `POINTS`, in order. None: unknown."""
        return []

    def handle_command(self, name: str, arguments: "Map", now: int) -> "str | None":
        """Execute a command of `COMMANDS` and return its result.

        The agent calls this between two ticks, so it must return quickly. None: the component does
        not have this command. Raises `agent.core.errors.CommandError` if the arguments are invalid.
        """
        return None

    def status(self, now: int) -> "object":
        """Return the status for `coldloop status`; see `agent.core.json_writer`."""
        return None
