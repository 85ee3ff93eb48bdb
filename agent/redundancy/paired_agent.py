# SPDX-License-Identifier: Apache-2.0
"""The agent of one controller of a pair: it runs only while this controller has the field bus.

Does not control anything itself, and does not open a port itself; the runtime does. It has the
interface of `agent.agent.Agent` for the runtime. It owns the port of the bus in all roles, and
listens. In the role READ it builds and starts an agent, which polls the devices; its writes wait.
In the role ACTIVE they are released. When the controller gives up the role, the agent is dropped
and its ports are closed. A later takeover is thus the same as a start of the agent, which takes the
positions of the actuators from the devices.

For one RTU bus. The line decides alone: no link between the controllers is needed. With a link the
state of `agent.redundancy.handover` is replicated, and a planned swap is possible.
"""

from agent.core.port_link import PortLink
from agent.port_numbers import CONSOLE, FIRST_BUS
from agent.redundancy.asked_devices import AskedDevices
from agent.redundancy.beacon import PEER
from agent.redundancy.beacon_exchange import TIMEOUT_US, BeaconExchange
from agent.redundancy.handover import (
    RestartRule,
    SwapRule,
    hold_commands,
    reason_of,
    restore_state,
)
from agent.redundancy.line_watch import LineWatch
from agent.redundancy.pair_table import (
    ACTIVE,
    NO_BEACON,
    NO_COMMAND,
    OFFER,
    OUT,
    PROBE_REQUEST,
    READ,
    SILENCE,
    STANDBY,
    SWAP,
    TAKE_OUT,
    WORD_ACTIVE,
    WORD_READY,
    LineEvents,
    may_write,
    request_of,
    start,
    step,
    timers_of,
    word_of,
)
from agent.redundancy.peer_ports import PeerPorts
from protocols.modbus.pdu import read_holding
from protocols.modbus.rtu import build_frame
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.agent import Agent
    from agent.redundancy.pair_settings import PairSettings

    Actions = list[tuple[int, str, bytes]]

ROLE_NAMES = ("listen", "standby", "probe", "read", "active", "offer", "quiet", "out")
"""Names of the roles, by their numbers in `pair_table`."""

_STEP_US = 20 * MILLISECOND
_IDLE_US = 100 * MILLISECOND
"""Silence of the bus after which the active controller sends a request: the peer must notice it."""
_LATE_REPLY_MS = 200
"""After a longer pause the beacons that waited are old: a reply would collide."""
_BUFFERED_US = 50 * MILLISECOND
"""Time in which the runtime reads what waited in the buffer of the port."""
_LINK_GRACE_US = 3 * SECOND
"""Time after the start of the active role in which the link may be down without an alarm."""
_RUNNING = (READ, ACTIVE)
_STORED = (STANDBY, ACTIVE, OUT)
"""Roles that last; the others are not worth a write to flash."""


class PairedAgent:
    """One controller of a pair; `build` makes the agent.

    `takeovers` counts the times that this controller became active. `reason` tells why it took the
    line the last time: silence, or the reason of the planned swap (see `handover`); empty: never.
    `guarded_port`: the runtime sends nothing late there.
    """

    guarded_port = FIRST_BUS

    def __init__(self, settings: "PairSettings", build: "Callable[[], Agent]") -> None:
        node = self.node = settings.node
        self.agent: Agent | None = None
        self.state = start()
        self.takeovers = 0
        self.reason = ""
        self._taken_state = b""
        self._timers = timers_of(node)
        self._build = build
        self._devices = AskedDevices(settings.reads)
        # Both probes differ in length, so that a reply to one is not a reply to the other.
        self._probe_pdu = read_holding(0, 1 if node == "a" else 2)
        self.beacons = BeaconExchange(node, settings.key)
        self.ports = PeerPorts(node, settings.key, settings.store, settings.link)
        if settings.remote is not None:
            from agent.redundancy.config_mirror import ConfigMirror  # noqa: PLC0415 - few pairs have it

            mirror = ConfigMirror(settings.remote, node + PEER[node], settings.key)
            self.ports.set_mirror(mirror)
        self._restart = RestartRule()
        self._closed_ports = settings.link_ports
        self._swaps = SwapRule(settings.rotate_us)
        self._active_at: int | None = None
        self._read_reason = ""
        self._watch = LineWatch(settings.char_us, self.beacons.unit, self.beacons.peer_unit)
        self._link = PortLink(FIRST_BUS, "bus", settings.bus_address)
        self._out: Actions = []
        self._open_ports: set[int] = set()
        self._stepped_at = self._now = self._sent_at = self._idle_request_at = 0
        self._has_read = self._has_same_node = False
        self._late_until = 0

    @property
    def role(self) -> str:
        """The role by its name."""
        return ROLE_NAMES[self.state.role]

    @property
    def can_write(self) -> bool:
        """Whether this controller may write to actuators now."""
        return may_write(self.state, self._timers)

    @property
    def watched_step(self) -> "int | None":
        """Time of the last complete work for a watchdog, µs; see `Agent.watched_step`."""
        return self._stepped_at if self.agent is None else self.agent.watched_step

    def status_fields(self) -> "list[tuple[str, Any]]":
        """Return the fields of the status."""
        peer_role = self.beacons.peer_role
        active_at = self._active_at
        return [
            ("node", self.node),
            ("role", self.role),
            ("takeovers", self.takeovers),
            ("epoch", self.beacons.epoch),
            ("rejected", self.beacons.rejected),
            ("peer", ROLE_NAMES[peer_role] if 0 <= peer_role < len(ROLE_NAMES) else None),
            ("reason", self.reason),
            ("active_s", None if active_at is None else (self._now - active_at) // SECOND),
            ("fit", self.ports.is_fit()),
        ] + self.ports.link_fields(self._now)

    def is_flapping(self) -> bool:
        """Return whether this controller took over too often in the last hour."""
        return self._swaps.is_flapping(self._now)

    def link_lost(self) -> bool:
        """Return whether a link is configured and messages are lost, in one direction at least."""
        ports, now, since = self.ports, self._now, self._active_at
        if since is None or now - since <= _LINK_GRACE_US:
            return False
        return ports.has_link and not ports.peer.is_up(now)

    def is_stale(self) -> bool:
        """Return whether the other controller misses remote changes for longer than it needs."""
        mirror = self.ports.mirror
        return mirror is not None and mirror.is_stale(self._now)

    def standby_lost(self) -> bool:
        """Return whether no standby replies to this active controller."""
        return self.beacons.standby_lost(self._now)

    # The interface for the runtime.

    def start(self, now: int) -> None:
        """Open the bus and begin to listen. `now` is monotonic time in µs, here and below."""
        self._stepped_at = self._now = now
        self._link.connect(now)
        self.ports.start(now)

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Handle bytes from `port`."""
        self._now = now
        if port == FIRST_BUS:
            self._watch.receive(data, now)
            self._step(now)
        elif self.ports.receive_shared(port, data):
            return
        elif self.ports.owns(port) and not self.ports.is_shared(port):
            beacons = self.beacons
            beacons.epoch = max(beacons.epoch, self.ports.receive(port, data, beacons.epoch, now))
            return
        if self.agent is not None:
            self.agent.receive(port, data, now)

    def event(self, port: int, kind: str, now: int) -> None:
        """Handle an event of `port`."""
        self._now = now
        if port == FIRST_BUS:
            self._link.event(kind, now)
            self._restart_roles(now)
        elif self.ports.owns(port) and not self.ports.event(port, kind, now):
            return
        if self.agent is not None:
            self.agent.event(port, kind, now)

    def wake(self, now: int) -> None:
        """Do all work that is due at `now`."""
        self._now = now
        self._link.wake(now)
        self.ports.wake(now)
        self._watch.wake(now)
        if now >= self._stepped_at + _STEP_US:
            self._step(now)
        agent = self.agent
        if agent is not None and now >= agent.deadline():
            if self._taken_state and agent.fieldbus.polls_complete():  # before the first loop
                hold_commands(agent, self._taken_state)
                self._taken_state = b""
            agent.wake(now)

    def deadline(self) -> int:
        """Return the time of the next `wake`."""
        due = min(self._stepped_at + _STEP_US, self._link.wake_at, self._watch.deadline())
        due = min(due, self.ports.deadline())
        return min(due, self.agent.deadline() if self.agent is not None else NEVER)

    def outbox(self) -> "Actions":
        """Return the requests for the ports, in order: (port, operation, data)."""
        agent = self.agent
        if agent is not None:
            for port, operation, data in agent.outbox():
                self._forward(port, operation, data)
        out = self._out + self._link.outbox() + self.ports.outbox()
        self._out = []
        return out

    def _forward(self, port: int, operation: str, data: bytes) -> None:
        if port == FIRST_BUS:
            if operation == "write" and not self._watch.is_babbling:
                self._watch.sent(data, self._now)
                self._sent_at = self._now
                self._out.append((port, operation, data))
            # The bus stays open; the agent got the event when it started.
            return
        if port == CONSOLE and operation == "set":
            has_peer = self.ports.has_link and self.ports.peer.is_up(self._now)
            if self._restart.take(data, has_peer, self._now):
                return
        if self.ports.forward(port, operation, data) or port in self._closed_ports:
            return
        if operation == "open":
            self._open_ports.add(port)
        self._out.append((port, operation, data))

    # Roles.

    def _restart_roles(self, now: int) -> None:
        """Begin in LISTEN: without the port nothing was received, so nothing was silent.

        A controller that was taken out stays out: a person works at its port.
        """
        before, self._stepped_at = self.state.role, now
        self.state = start()
        if before == OUT:
            self._step_command(TAKE_OUT)
        if before != self.state.role:
            self._enter(before, now)

    def _step(self, now: int) -> None:
        if not self._link.is_open:
            self._stepped_at = now
            self._step_without_line(now)
            return
        elapsed_ms = (now - self._stepped_at) // MILLISECOND
        self._stepped_at += elapsed_ms * MILLISECOND
        before = self.state
        if elapsed_ms >= _LATE_REPLY_MS:
            self._late_until = now + _BUFFERED_US
        beacon = self._take_beacons(now, now >= self._late_until)
        ports = self.ports
        command = self._take_command(now)
        events = self._watch.take_events(beacon, ports.take_word(), command, self._is_ready())
        self.state = step(before, events, elapsed_ms, self._timers)
        if self.state.role != before.role:
            self._enter(before.role, now)
        if self.state.role in _STORED:
            ports.epoch.store_role(self.role, self.beacons.epoch)
        word = word_of(self.state, self._timers)
        ports.send(word, self.beacons.epoch, ports.is_fit(), now)
        self._restart_if_due(now)
        agent = self.agent
        if agent is not None:
            bus = agent.fieldbus.buses[0]
            bus.hold_writes(not self.can_write, now)
            if now - max(self._sent_at, self._idle_request_at) >= _IDLE_US:
                self._idle_request_at = now
                # The polls leave the line idle for most of a cycle. The peer must receive
                # frames of this controller, and the replies show that the devices receive them too.
                pdu = self.beacons.next_request(now) if self.state.role == ACTIVE else b""
                if pdu:
                    unit = self.beacons.peer_unit
                    if bus.unit_health(unit).offline:
                        bus.limit_timeout(unit, TIMEOUT_US)
                    bus.submit(unit, pdu, None, retries=0)
                else:
                    bus.submit(*self._replying(), None, retries=0)

    def _step_without_line(self, now: int) -> None:
        """Take commands, records of the peer and restarts; tell it that this controller is there.

        Its words must not count later, and the table must not count a silence.
        """
        ports, before = self.ports, self.state.role
        ports.take_word()
        self._step_command(ports.take_command())
        if self.state.role != before:
            self._enter(before, now)
        word = word_of(self.state, self._timers)
        ports.send(word, self.beacons.epoch, ports.is_fit(), now)
        self._restart_if_due(now)

    def _step_command(self, command: int) -> None:
        events = LineEvents(*SILENCE[:5], command, SILENCE.ready)
        self.state = step(self.state, events, 0, self._timers)

    def _restart_if_due(self, now: int) -> None:
        """Follow the records of the peer; start again for another configuration, or as asked."""
        mirror, role = self.ports.mirror, self.state.role
        has_role = role in (READ, ACTIVE, OFFER)
        request = self._restart.due(has_role, now)
        is_used = (
            role in (ACTIVE, OUT) or self.state.word == WORD_ACTIVE or self.beacons.has_received
        )
        self.beacons.has_received = False
        if mirror is not None:
            mirror.step(role in (STANDBY, OUT) or not self._link.is_open, is_used, now)
            if mirror.needs_start() and not has_role and role != OUT:
                request = b"restart"
        if request:
            self._out.append((CONSOLE, "set", request))

    def _take_command(self, now: int) -> int:
        """Return the command of a person, or the swap that is due; replicate the state."""
        ports = self.ports
        command = ports.take_command()
        if self._watch.is_babbling:
            self._watch.is_babbling = False
            self._print("out: it sent without end")
            return TAKE_OUT
        agent = self.agent
        if self.state.role != ACTIVE or agent is None:
            return command if command != SWAP else NO_COMMAND
        if not ports.has_link:
            return command
        is_ready = ports.peer.peer_fit and self.state.word == WORD_READY
        command = self._swaps.step(command, self._restart.is_asked, ports.is_fit(), is_ready, now)
        if self._swaps.begins:
            self._print("swap by %s" % self._swaps.reason)
        state = self._swaps.next_state(agent, now)
        if state is not None:
            ports.peer.set_state(state)
        if command == TAKE_OUT or not self._swaps.is_asked(now):
            return command
        # The swap begins when the peer has the last state; it is dropped when the peer cannot.
        return SWAP if ports.peer.is_in_sync() else NO_COMMAND

    def _take_beacons(self, now: int, is_fresh: bool) -> int:
        """Reply to the last beacon if it `is_fresh`; return its constant for the table."""
        beacon = NO_BEACON
        for frame in self._watch.beacons:
            beacon, reply = self.beacons.take_request(frame, self.state.role)
            if reply and is_fresh and frame is self._watch.beacons[-1]:
                self._watch.sent(reply, now)
                self._out.append((FIRST_BUS, "write", reply))
        for frame in self._watch.beacon_replies:
            self.beacons.take_reply(frame, now)
        self._watch.beacons.clear()
        self._watch.beacon_replies.clear()
        if self._watch.has_same_node and not self._has_same_node:
            self._has_same_node = True
            self._print("the other controller is %s, too: give it the other letter" % self.node)
        return beacon

    def _print(self, text: str) -> None:
        self._out.append((CONSOLE, "write", ("pair %s: %s" % (self.node, text)).encode()))

    def _enter(self, before: int, now: int) -> None:
        role = self.state.role
        self._print(self.role)
        if role == ACTIVE:
            self.takeovers += 1
            self._active_at = now
            self.reason = self._read_reason
            self.beacons.begin_active(now)
            self._swaps.begin_active(now)
        elif role == OFFER:
            self._swaps.count_swap(now)
        elif role == READ:
            is_offered = before == STANDBY
            replica = self.ports.peer.replica(now)
            self._read_reason = reason_of(replica) if is_offered else "silence"
        if before == ACTIVE:
            self.beacons.end_active()
        if role in _RUNNING:
            if self.agent is None:
                self._start_agent(now)
        elif before in _RUNNING:
            self._drop_agent()
        if request_of(self.state) == PROBE_REQUEST and self._link.is_open:
            self._probe(now)

    def _probe(self, now: int) -> None:
        frame = build_frame(self._devices.next_unit(), self._probe_pdu)
        self._watch.sent(frame, now)
        self._out.append((FIRST_BUS, "write", frame))

    def _ask_another(self) -> None:
        """Ask a device that replies, because one did not: it comes before the next try."""
        if self.agent is not None:
            self.agent.fieldbus.buses[0].submit_first(*self._replying())

    def _replying(self) -> "tuple[int, bytes]":
        """Return unit and read of a device that replied. In READ most are not known yet."""
        bus = None if self.agent is None else self.agent.fieldbus.buses[0]
        return self._devices.replying(
            bus if self.state.role == ACTIVE else None, self._watch.replied_unit
        )

    def _start_agent(self, now: int) -> None:
        self._has_read = False
        mirror = self.ports.mirror
        if mirror is not None:
            mirror.prepare(now)
        agent = self.agent = self._build()
        queue = agent.service("write_queue")
        if queue is not None:
            queue.mirror = mirror
        component = agent.service("redundancy")
        if component is not None:
            component.set_source(self)
        sender = agent.service("sender")
        if sender is not None:
            sender.record_store.set_node(int(self.node == "b"))
        agent.alarms.add_listener(self._on_alarm)
        agent.start(now)
        self._taken_state = self.ports.peer.replica(now)
        if self._taken_state:
            restore_state(agent, self._taken_state, now)
        for port in self.ports.open_ports():
            agent.event(port, "opened", now)
        bus = agent.fieldbus.buses[0]
        bus.hold_writes(True, now)
        bus.limit_timeout(self.beacons.peer_unit, TIMEOUT_US)
        bus.set_timeout_listener(self._ask_another)
        agent.event(FIRST_BUS, "opened", now)

    def _on_alarm(self, now: int, change: str, code: str, text: str) -> None:
        """Replicate the state immediately: a cause that latches must not wait for a second."""
        self._swaps.note_change()

    def _drop_agent(self) -> None:
        self.agent = None
        if self.ports.mirror is not None:
            self.ports.mirror.end_agent()
        self._out.extend([(port, "close", b"") for port in sorted(self._open_ports)])
        self._open_ports.clear()

    def _is_ready(self) -> bool:
        """Return whether all polls of the first cycle are done, and the next epoch is durable."""
        if not self._has_read and self.agent is not None:
            self._has_read = self.agent.fieldbus.polls_complete()
        if self.state.role != READ:
            return self._has_read
        return self.ports.epoch.is_durable(self.beacons.next_epoch) and self._has_read
