# SPDX-License-Identifier: Apache-2.0
"""Component `northbound`: writes the record of all points, takes signed messages of the site.

    points.json ◀── once a second ── agent ◀── socket: signed changes and commands of a site key

Does not serve a protocol: processes of their own do that (`deploy.northbound`). The agent never
waits for them. The port is `drivers/ports/cpython/local.py`: a folder with the record and a
datagram socket. A message goes to `agent.remote`, which verifies it, runs its trial and writes the
audit log, as for a message over MQTT. `agent.northbound.site_writes` limits what a site key can do.

A record follows the readings of a control cycle in the next tick, so a reading is not a second old
when it is written. Without control, or with longer cycles, there is a record each second too.

The component passes on one message in `_MESSAGE_US`; it drops others while `_MAX_WAITING` wait. So
a process that sends without end does not displace the messages over MQTT.
"""

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from agent.northbound import point_record
from agent.northbound.alarm_states import AlarmStates
from agent.northbound.point_sources import Sources
from agent.northbound.site_writes import SiteWrites
from protocols.signed_message import MAX_BYTES
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.component.base import Actions
    from agent.core.context import Context

_MESSAGE_US = 500 * MILLISECOND
_MAX_WAITING = 4


class NorthboundComponent(Component):
    """The component; see the module. `sequence`: number of the next record."""

    PORTS = ("local",)
    PROVIDES = ("alarm_states", "site_writes")
    COMMANDS = ("shelve", "unshelve")

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.alarm_states = AlarmStates(agent.alarms, agent.clock, urgent_codes())
        self.site_writes = SiteWrites(agent, settings)
        self.sources: Sources | None = None
        self.sequence = 0
        self.started_at = 0
        self.received = self.dropped = 0
        self._message: Callable[[bytes, int], None] | None = None
        self._waiting: list[bytes] = []
        self._next_message = 0
        self._open = False
        self._due = self._latest = 0
        self._has_inputs = False
        self._out: Actions = []

    def start(self, now: int) -> None:
        """Find the sources of the points."""
        self.started_at = now
        self.sources = Sources(self.agent, self.settings)
        self.alarm_states.start(now)
        self._message = self.agent.service("message")

    def permitted_commands(self) -> "list[str]":
        """Return the commands that the site can send: permitted, and a component can do them."""
        if self._message is None:
            return []
        able = point_record.able_commands(self.agent)
        permitted = self.settings.get("writes", {}).get("commands", [])
        return sorted([name for name in permitted if name in able])

    # The port.

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the port. After each opening the layout is written again."""
        self._open = kind == "opened" or (self._open and kind == "drained")
        if kind == "opened":
            layout = point_record.build_layout(self.agent)
            self._write(point_record.LAYOUT_KEY, layout)
            self._due = self._latest = now

    def receive(self, data: bytes, now: int) -> None:
        """Queue a message of the socket."""
        self.received += 1
        if self._message is None or len(data) > MAX_BYTES or len(self._waiting) >= _MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(bytes(data))

    def _write(self, key: str, data: bytes) -> None:
        self._out.append((self.port, "write", key.encode() + b"\0" + data))

    def read_inputs(self, now: int, dt: float) -> None:
        """Note that the devices are read."""
        self._has_inputs = True

    def tick(self, now: int) -> None:
        """Write the record once a second; pass on a message."""
        self.site_writes.set_time(now)
        self.alarm_states.end_shelvings(now)
        if self._waiting and now >= self._next_message and self._message is not None:
            self._next_message = now + _MESSAGE_US
            self._message(self._waiting.pop(0), now)
        if not self._open or now < (self._due if self._has_inputs else self._latest):
            return
        self._set_next(now)
        self.sequence += 1
        self._write(point_record.KEY, point_record.build(self, now))

    def _set_next(self, now: int) -> None:
        """Set the times of the next record: at the earliest after readings, and without them.

        Readings of a cycle of a second come up to half a cycle earlier or later than those before.
        """
        ticks = self.agent.ticks
        second = SECOND - ticks.period // 2
        is_each = ticks.per_cycle * ticks.period == SECOND
        self._due = now + (SECOND // 2 if is_each else second)
        self._latest = now + second + (SECOND // 2 if is_each else 0)
        self._has_inputs = False

    def outbox(self) -> "Actions":
        """Return the requests for the port."""
        out, self._out = self._out, []
        return out

    # Commands.

    def handle_command(self, name: str, arguments: "Any", now: int) -> "str | None":
        """Execute `shelve` (`code`, `minutes`) or `unshelve` (`code`)."""
        if name == "shelve":
            return self.alarm_states.shelve(
                arguments.get("code"), arguments.get("minutes", 60), now
            )
        if name == "unshelve":
            return self.alarm_states.unshelve(arguments.get("code"))
        return None

    def retain(self, now: int) -> "list[str]":
        """Return the shelved alarms."""
        return self.alarm_states.shelvings(now)

    def restore(self, line: str, now: int) -> bool:
        """Take a line of `retain`."""
        return self.alarm_states.shelve_again(line, now)

    def status(self, now: int) -> JsonObject:
        """Return the number of records and messages."""
        return JsonObject(
            [
                ("records", self.sequence),
                ("received", self.received),
                ("dropped", self.dropped),
                ("unacknowledged", _unacknowledged(self.alarm_states)),
            ]
        )


def _unacknowledged(states: AlarmStates) -> int:
    return len([entry for entry in states.entries if not entry.acknowledged])


def urgent_codes() -> "list[str] | None":
    """Return the codes of priority 1; None without the catalogue, as on a board."""
    try:
        from agent.alarms.catalogue import catalogue  # noqa: PLC0415 - a board does not have it
    except ImportError:
        return None
    return [entry.code for entry in catalogue().entries.values() if entry.priority == 1]
