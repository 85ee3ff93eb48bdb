# SPDX-License-Identifier: Apache-2.0
"""Contained faults: what the agent does when a piece of it raises an exception.

Loaded at the first exception only; see `agent.core.fault.guard`. Does not find the cause. It is a
provider of conditions of the supervisor.

    piece      reaction                                            alarm
    port       the input is dropped. 3 faults in 60 s: the port    port_fault:PORT
               is closed for 1, 2, 4 .. 60 s
    component  off; its safe claims count from this cycle on. A    part_off:SECTION
               stand-in makes them in the next ones. It starts
               again after 1, 2, 4 .. 300 s. 5 faults in one
               hour: off until an operator acknowledges.
               An essential one starts again after 8 s at most
    loop       the safe output in this cycle; the next cycle       loop_fault:LOOP
               is normal
    device     the result is dropped                               port_fault:BUS
    listener   it gets no more calls                               -
    report     status, telemetry row and console line are lost     -

Input of a port still reaches a component that is off, so that its view of the port stays right.
"""

from agent.core.alarm_record import DEGRADED, SAFE, AlarmRecord, alarm_text
from agent.core.fault.stand_in import StandIn
from agent.core.fault.text import describe
from agent.core.json_writer import JsonObject
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.alarm_record import Condition
    from agent.core.component.base import Component

PORT_FAULT = AlarmRecord(
    "port_fault", DEGRADED, "its input raised an exception: port", "port", True
)
PART_OFF = AlarmRecord("part_off", DEGRADED, "is off after an exception: part", "part", True)
LOOP_FAULT = AlarmRecord(
    "loop_fault", SAFE, "raised an exception, its safe output is requested: loop", "loop", True
)

_MINUTE_US = 60 * SECOND
_PORT_FAULTS = 3
_LONGEST_CLOSED = 60
_PART_FAULTS = 5
_LONGEST_OFF, _ESSENTIAL_OFF = 300, 8
_HOUR_US = 3600 * SECOND
_MAX_TIMES = 10
_WAKE_PAUSE_US = 10 * MILLISECOND
_MAX_LOGGED = 16
_LOOPS = ("supply", "pressure", "fans")


class FaultRecord:
    """The faults of one port or component. `times`: monotonic µs, in the last minute or hour."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.times: list[int] = []
        self.closings = 0
        self.active_until = 0
        self.stand_in: StandIn | None = None

    def add(self, now: int, window: int) -> int:
        """Record a fault; return the number of faults in the last `window` us."""
        self.times = [time for time in self.times if now - time < window][-_MAX_TIMES:] + [now]
        return len(self.times)

    def set_active(self, until: int) -> None:
        """Set the end of the fault."""
        self.active_until = until

    def next_pause(self) -> int:
        """Return the time for which the port is closed now, and forget its faults."""
        pause = min(1 << self.closings, _LONGEST_CLOSED) * SECOND
        self.closings = min(self.closings + 1, 6)
        self.times.clear()
        return pause

    def set_stand_in(self, stand_in: "StandIn | None") -> None:
        """Set what stands in for the component; None: the component runs."""
        self.stand_in = stand_in

    def recovered(self) -> None:
        """Begin with the shortest pause again."""
        self.closings = 0


class Containment:
    """All contained faults of `agent`. `counts`: faults by kind of piece.

    `hold_until`: until then the agent wakes for its ticks only, so that a piece with a deadline in
    the past and a permanent fault does not take all time.
    """

    def __init__(self, agent: "Any") -> None:
        self._agent = agent
        self.counts = {"port": 0, "part": 0, "loop": 0, "device": 0, "listener": 0}
        self.hold_until = 0
        self._ports: dict[int, FaultRecord] = {}
        self._parts: dict[str, FaultRecord] = {}
        self._loops: dict[str, int] = {}
        self._logged: list[str] = []
        self._closing = False
        agent.supervisor.providers.append(self)

    def handle(self, piece: "Any", error: Exception, now: int, data: bytes) -> None:
        """Contain `error` of `piece`; see the module."""
        agent = self._agent
        self.hold_until = now + _WAKE_PAUSE_US
        if piece in agent.fieldbus.buses:
            piece = piece.port
        elif piece is agent.uplink:
            piece = piece.link.port
        if type(piece) is int:
            self._count("port", agent.port_names()[piece], error, data)
            self._port_failed(piece, now)
        elif piece in agent.components:
            section = agent.config.components[agent.components.index(piece)][0]
            self._count("part", section, error, data)
            self._part_failed(piece, section, now)
        elif self._loop_name(piece):
            name = self._loop_name(piece)
            self._count("loop", name, error, data)
            self._loops[name] = now + _MINUTE_US
            try:
                piece.request_safe()
            except Exception as second:
                self._count("loop", name, second, b"")
        elif piece in agent.fieldbus.sessions:
            self._count("device", piece.name, error, data)
            self._record_port(piece.bus.port).set_active(now + _MINUTE_US)
        else:
            self._count("listener", "", error, data)
            for listeners in (agent.port_listeners, agent.alarms.listeners):
                if piece in listeners:
                    listeners.remove(piece)

    def _loop_name(self, piece: "Any") -> str:
        agent = self._agent
        loops = (agent.supply_loop, agent.pressure_loop, agent.service("fan_group"))
        return _LOOPS[loops.index(piece)] if piece in loops else ""

    def _count(self, kind: str, name: str, error: Exception, data: bytes) -> None:
        """Count a fault, and write its first occurrence to the console."""
        self.counts[kind] += 1
        try:
            text = "fault %s %s: %s" % (kind, name, describe(error))
            if text not in self._logged and len(self._logged) < _MAX_LOGGED:
                self._logged.append(text)
                text += "; input " + data[:64].hex() if data else ""
                self._agent.write_console(text)
        except MemoryError:
            pass  # the count must do

    # Ports.

    def _record_port(self, port: int) -> FaultRecord:
        if port not in self._ports:
            self._ports[port] = FaultRecord(self._agent.port_names()[port])
        return self._ports[port]

    def _port_failed(self, port: int, now: int) -> None:
        agent, record = self._agent, self._record_port(port)
        for bus in agent.fieldbus.buses:
            if bus.port == port:
                bus.drop_input(now)
        if record.add(now, _MINUTE_US) < _PORT_FAULTS or self._closing:
            return
        if now >= record.active_until:
            record.recovered()
        pause = record.next_pause()
        record.set_active(now + pause + _MINUTE_US)
        self._closing = True
        links = agent.links if agent.uplink is None else agent.links + [agent.uplink.link]
        for link in links:
            if link.port == port and link.is_open:
                link.requests.append((port, "close", b""))
                agent.event(port, "closed", now)
                link.retry_now(now + pause)
        self._closing = False

    # Components.

    def _part_failed(self, part: "Component", section: str, now: int) -> None:
        record = self._parts.get(section)
        if record is None:
            record = self._parts[section] = FaultRecord(section)
        if isinstance(part, StandIn):
            return
        count = record.add(now, _HOUR_US)
        stand_in = StandIn(self._agent, part, section)
        record.set_stand_in(stand_in)
        longest = _ESSENTIAL_OFF if part.ESSENTIAL else _LONGEST_OFF
        pause = min(1 << min(count - 1, 9), longest) * SECOND
        waits = count >= _PART_FAULTS and not part.ESSENTIAL
        record.set_active(NEVER if waits else now + pause)
        self._replace(part, stand_in)

    def _replace(self, old: "Component", new: "Component") -> None:
        """Replace a component by its stand-in, or the stand-in by the component."""
        agent = self._agent
        lists: list[list[Any]] = [agent.components, agent.with_deadline, agent.with_outbox]
        lists.append(agent.with_protection)
        for components in lists + [agent.supervisor.providers, agent.telemetry.components]:
            if old in components:
                components[components.index(old)] = new

    def tick(self, now: int) -> None:
        """Start the components again whose pause has ended."""
        for section in self._parts:
            record = self._parts[section]
            if record.stand_in is not None and now >= record.active_until:
                part = record.stand_in.part
                self._replace(record.stand_in, part)
                record.set_stand_in(None)
                if part in self._agent.not_started:  # a start that succeeded is not repeated
                    self._agent.not_started.remove(part)
                    self._agent.start_component(part, now)

    def acknowledge(self, code: "str | None") -> str:
        """Let the components that wait for an operator start again: one code, or None for all.

        Return their codes; empty if there is none.
        """
        found = []
        for section in self._parts:
            record = self._parts[section]
            own_code = PART_OFF.code + ":" + section
            if record.stand_in is not None and code in (None, own_code):
                record.times.clear()
                record.set_active(0)
                found.append(own_code)
        return " ".join(found)

    def status(self) -> JsonObject:
        """Return the number of faults by kind of piece."""
        return JsonObject([(kind, self.counts[kind]) for kind in sorted(self.counts)])

    # Alarms.

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the active conditions for the supervisor."""
        found: list[Condition] = []
        for port in sorted(self._ports):
            record = self._ports[port]
            if now < record.active_until:
                found.append((PORT_FAULT, record.name, alarm_text(PORT_FAULT, record.name)))
        for section, _, _ in self._agent.config.components:
            part = self._parts.get(section)
            if part is not None and part.stand_in is not None:
                found.append((PART_OFF, section, alarm_text(PART_OFF, section)))
        return found + [
            (LOOP_FAULT, name, alarm_text(LOOP_FAULT, name))
            for name in _LOOPS
            if now < self._loops.get(name, 0)
        ]
