# SPDX-License-Identifier: Apache-2.0
"""I/O loop of every runtime: ports to the agent, the agent's outbox to the ports.

Does not make system calls, does not depend on a platform and does not retry. The agent receives
"failed" or "closed" and decides when to open the port again.

    runtime  waits until a port is ready or the deadline passes, then calls `step(ready)`
    loop     passes the inputs to the agent: at equal times in the order of the ports, then wake;
             after each call it executes the outbox
    ports    created by an opener from an address; see drivers/ports/base.py for their interface

The agent can rely on these rules:

- "opened", "failed" (could not open, broke, or accepted no more data) and "closed" (the peer ended
  it) come in the step after the cause, never during the call whose outbox caused it;
- "close" closes immediately, without an event; data that is not written yet is lost;
- "open" takes effect immediately; with `opens_in_turn` each step opens one port;
- "open" on an open port closes it first; "write", "set" and "close" on a port that is not open do
  nothing;
- data that a port does not accept waits, up to MAX_BACKLOG bytes; beyond that the port fails. When
  all waiting data is written, "drained" follows. A store sends "drained" when the data is durable;
- data for the `guarded_port` of an agent is dropped if it is not written within LATE_WRITE: the
  other controller of a pair can have the line then;
- "append", "delete", "get" and "list" are requests to stores (see
  drivers/ports/store_request.py). They are executed in order. One "receive" answers each "get" and
  "list", before "drained". A store without space sends "full" before "failed";
- an edge at a port of kind `pps` is the event "pulse"; its `now` is the time of the edge;
- an exception of the agent leaves `run`, and all ports are closed. The runtime restarts the agent
  (`agent.runtime.crash_limit`);
- "set" with "restart" or "leave" on the console ends the loop: the runtime restarts the agent.
"""

from agent.runtime.port_slot import PortSlot, read_text
from drivers.errors import AddressError, FullError, PortError
from drivers.ports.base import CHUNK, CONNECT_TIMEOUT, LATE_WRITE, MAX_BACKLOG, make_error
from drivers.ports.store_request import OPERATIONS
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.runtime.loop_interfaces import AgentInterface, PollerInterface
    from drivers.ports.base import Opener


MAX_WAIT = 250_000  # longest time between two calls of `until`, us
FLUSH_TIME = 2_000_000  # longest time for the last writes at the stop, us
MAX_CHUNKS = 16  # chunks read from one port before the next port
RESTART = -1  # return value of `run` if the agent requests a restart
LEAVE_BOOT_LOOP = -2  # the same, and a person leaves the boot loop (`agent.runtime.boot_loop`)
MAX_PORTS = 64  # an agent that opens more has an error
GO, TICK_DUE, NO_MEMORY = 0, 1, 2  # results of `work_limit`


class IoLoop:
    """The agent and its ports on one platform; see `run`."""

    def __init__(
        self,
        agent: "AgentInterface",
        openers: "dict[str, Opener]",
        poller: "PollerInterface",
        out: "Callable[[str], None]",
        console: int = -1,
    ) -> None:
        """Connect the agent with the platform.

        `openers`: one for each kind of address. `poller`: its `clock` returns monotonic µs, its
        `wait` the numbers of ready ports, its `wake` ends a wait early, from any thread. `out`
        prints a line. `console`: a port number that is never opened; its writes are lines for
        `out`.
        """
        self._agent = agent
        self._openers = openers
        self._poller = poller
        self._clock = poller.clock
        self._out = out
        self._console = console
        self.restart_requested = self.leave_requested = False
        """The agent has requested a restart; the loop has ended."""
        self.opens_in_turn = False
        """A board takes 8 ms to open a port, and a tick must not wait for all of them."""
        self.has_time: Callable[[], bool] | None = None
        """Whether a port can open before the next tick; None: at any time."""
        self.work_limit: Callable[[], int] | None = None
        """Asked before each port and before the deadline: GO, TICK_DUE (no other port in this step)
        or NO_MEMORY (nothing more). None: GO. A port takes 12 ms of a board."""
        self._last_agent_time = 0
        """Last time that was passed to the agent."""
        self._slots: list[PortSlot] = []
        self._ops = {
            "write": self._write,
            "open": self._open,
            "close": self._close,
            "set": self._set,
        }
        self._guarded_port: int = getattr(agent, "guarded_port", -1)
        if self._guarded_port >= 0:
            self._ops["write"] = self._write_in_time

    def run(self, until: "Callable[[], bool]") -> bool:
        """Step until `until()`; then execute the last outbox and close all ports.

        `until` is called after each step, at least every MAX_WAIT. Ctrl-C ends the loop too. Return
        True after Ctrl-C.
        """
        interrupted = False
        try:
            try:
                self._step_until(until)
            except KeyboardInterrupt:
                interrupted = True
            self._run_outbox()
            self._finish_writes()
        finally:
            for slot in self._slots:
                self._close_port(slot)
        return interrupted

    def result(self) -> int:
        """Return RESTART or LEAVE_BOOT_LOOP if the agent has requested it, else 0."""
        return LEAVE_BOOT_LOOP if self.leave_requested else RESTART if self.restart_requested else 0

    def start(self) -> None:
        """Execute the first outbox of the agent."""
        self._run_outbox()
        self._update_watches()

    def _step_until(self, until: "Callable[[], bool]") -> None:
        """Start, then step."""
        self.start()
        while not (until() or self.restart_requested):
            deadline = min(self.deadline(), self._clock() + MAX_WAIT)
            self.step(self._poller.wait(deadline))

    def step(self, ready: "list[int]") -> None:
        """Handle the ports that are ready or have events, in order, then the deadline.

        Pulses come first: the second that a sentence names began before the sentence.
        """
        if self.opens_in_turn and (self.has_time is None or self.has_time()):
            self.open_next()
        for slot in self._slots:
            if slot.is_pps:
                self._read_pulse(slot)
        for slot in self._slots:
            if slot.number in ready or self._needs_step(slot):
                if self._limit() != GO:
                    break
                self._serve(slot)
        limit = self._limit()
        now = self._clock()
        if limit != NO_MEMORY and self._agent.deadline() <= now:
            self._last_agent_time = now
            self._agent.wake(now)
            self._run_outbox()
        self._update_watches()

    def _limit(self) -> int:
        return GO if self.work_limit is None else self.work_limit()

    def deadline(self) -> int:
        """Return the time of the next `step` without a ready port. 0: immediately."""
        deadline = self._agent.deadline()
        for slot in self._slots:
            if slot.events or slot.read_again or slot.requested:
                return 0
            deadline = min(deadline, slot.open_deadline)
        return deadline

    def _finish_writes(self) -> None:
        """Write the waiting data, without the agent, for at most FLUSH_TIME."""
        limit = self._clock() + FLUSH_TIME
        while self._clock() < limit:
            unfinished = [slot for slot in self._slots if not self._is_flushed(slot)]
            if not unfinished:
                return
            self._update_watches()
            self._poller.wait(min(limit, self._clock() + MAX_WAIT))

    def _is_flushed(self, slot: PortSlot) -> bool:
        """Write. Return True if no data of this port waits or can be written any more.

        A cut MQTT packet on a serial link makes its other end take the next CONNECT as its rest.
        """
        port = slot.port
        try:
            return port is None or not slot.is_open() or (self._push(slot) and port.is_sent())
        except PortError as error:
            slot.log.report("failed: %s" % error, self._clock())
            self._close_port(slot)
            return True

    # Ports.

    def _needs_step(self, slot: PortSlot) -> bool:
        """Return whether a port needs a step although its descriptor is not ready, or has none."""
        if slot.events or slot.read_again or (slot.drain_event_due and not slot.backlog):
            return True
        port = slot.port
        if port is None or not slot.opening:
            return False
        return port.pollable is None or slot.open_deadline <= self._clock()

    def _serve(self, slot: PortSlot) -> None:
        """Handle one port."""
        if slot.events:  # one in each step: the reaction of the agent can make the others obsolete
            self._last_agent_time = self._clock()
            self._agent.event(slot.number, slot.events.pop(0), self._last_agent_time)
            self._run_outbox()
        try:
            if slot.opening:
                self._step_open(slot)
            if slot.is_open():
                self._flush(slot)
                if not slot.is_pps:
                    self._read(slot)
        except PortError as error:
            self._fail(slot, error)

    def _step_open(self, slot: PortSlot) -> None:
        """Advance a connection; notify the agent when it is open."""
        port = slot.port
        if port is None:
            return
        if port.continue_open():
            self._mark_open(slot)
        elif slot.open_deadline <= self._clock():
            seconds = CONNECT_TIMEOUT // 1_000_000
            raise PortError("%s: no reply for %d s: check host and link" % (slot.address, seconds))

    def _mark_open(self, slot: PortSlot) -> None:
        """Mark a port as open."""
        slot.opening = False
        slot.open_deadline = NEVER
        slot.events.append("opened")
        slot.log.report("opened: %s" % slot.address, self._clock())

    def _read(self, slot: PortSlot) -> None:
        """Pass on the received data, up to MAX_CHUNKS chunks."""
        slot.read_again = False
        for _ in range(MAX_CHUNKS):
            port = slot.port
            if port is None or slot.opening or slot.events:
                return
            data = port.read()
            if data is None:
                self._close_with_event(slot, "closed", "closed by the peer: %s" % slot.address)
                return
            if not data:
                return
            now = self._clock()
            if port.age_us:  # the time of the agent never goes back
                now = max(now - port.age_us, self._last_agent_time)
            self._last_agent_time = now
            self._agent.receive(slot.number, data, now)
            self._run_outbox()
            if port.read_empties_input and len(data) < CHUNK:
                return
        slot.read_again = True

    def _read_pulse(self, slot: PortSlot) -> None:
        """Pass on an edge with its own time."""
        port = slot.port
        if port is None or slot.opening or slot.events:
            return
        try:
            data = port.read()
        except PortError as error:
            self._fail(slot, error)
            return
        if data is None:
            self._close_with_event(slot, "closed", "closed by the peer: %s" % slot.address)
        elif data:
            self._agent.event(slot.number, "pulse", int.from_bytes(data, "big"))
            self._run_outbox()

    def _flush(self, slot: PortSlot) -> None:
        """Write waiting data, as far as the port accepts it; send "drained" when all is written."""
        if self._push(slot) and slot.drain_event_due:
            slot.drain_event_due = False
            self._last_agent_time = self._clock()
            self._agent.event(slot.number, "drained", self._last_agent_time)
            self._run_outbox()

    def _push(self, slot: PortSlot) -> bool:
        """Write waiting data. Return True if all data has left the port."""
        port = slot.port
        while port is not None and slot.backlog:
            if slot.not_after != NEVER and self._clock() > slot.not_after:
                slot.backlog = []
                break
            count = port.write(slot.next_piece(port.max_write))
            if not count:
                return False
            slot.remove_written(count)
        return port is not None and port.is_drained()

    def _fail(self, slot: PortSlot, error: Exception) -> None:
        """Close a failed port. A store without space first sends "full"."""
        self._close_with_event(slot, "failed", "failed: %s" % error)
        if isinstance(error, FullError):
            slot.events.insert(0, "full")

    def _close_with_event(self, slot: PortSlot, kind: str, text: str) -> None:
        """Close a port, log the reason, and queue the event for the next step."""
        self._close_port(slot)
        slot.events.append(kind)
        slot.log.report(text, self._clock())

    def _close_port(self, slot: PortSlot) -> None:
        """Close a port and drop its state."""
        port = slot.port
        if slot.watched is not None:
            self._poller.unwatch(slot.number)
            slot.watched = None
        slot.port = None
        slot.requested = b""
        slot.opening = False
        slot.open_deadline = NEVER
        slot.backlog = []
        slot.drain_event_due = False
        slot.read_again = False
        slot.events = []
        if port is not None:
            port.close()

    def _update_watches(self) -> None:
        """Pass the changes to the poller."""
        for slot in self._slots:
            port = slot.port
            watch: tuple[object, bool] | None = None
            if port is not None and port.pollable is not None:
                watch = (port.pollable, bool(port.wants_write or slot.backlog))
            if watch == slot.watched:
                continue
            if slot.watched is not None:
                self._poller.unwatch(slot.number)
            if watch is not None:
                self._poller.watch(slot.number, watch[0], watch[1])
            slot.watched = watch

    # The agent.

    def _run_outbox(self) -> None:
        """Execute all requests in the outbox."""
        for number, op, data in self._agent.outbox():
            if number == self._console:
                self._write_console(op, data)
                continue
            slot = self._slot(number)
            try:
                if op in OPERATIONS:
                    self._request_store(slot, op, data)
                else:
                    self._ops[op](slot, data)
            except (PortError, AddressError) as error:
                self._fail(slot, error)

    def _write_console(self, op: str, data: bytes) -> None:
        """Print a line. A "set" is a request to the runtime itself: "restart" or "leave"."""
        if op == "set":
            self.leave_requested = self.leave_requested or data == b"leave"
            self.restart_requested = self.restart_requested or data in (b"restart", b"leave")
        else:
            self._out(_printable(data))

    def _slot(self, number: int) -> PortSlot:
        """Return the slot of a port number; the first use creates it."""
        for slot in self._slots:
            if slot.number == number:
                return slot
        if len(self._slots) >= MAX_PORTS:
            raise ValueError("the agent uses more than %d ports" % MAX_PORTS)
        slot = PortSlot(number, self._out)
        self._slots = sorted(self._slots + [slot], key=lambda each: each.number)
        return slot

    def _open(self, slot: PortSlot, data: bytes) -> None:
        """Open the address, now or in one of the next steps."""
        self._close_port(slot)
        slot.requested = data
        if not self.opens_in_turn:
            self._open_now(slot)

    def open_next(self) -> None:
        """Open one requested port, the last first: a field bus before receiver and broker."""
        for slot in reversed(self._slots):
            if slot.requested:
                try:
                    self._open_now(slot)
                except (PortError, AddressError) as error:
                    self._fail(slot, error)
                return

    def _open_now(self, slot: PortSlot) -> None:
        """Open the address, or begin to."""
        address = slot.take_request()
        opener = self._openers.get(address.kind)
        if opener is None:
            raise make_error(address, "this platform has no ports of the kind %s" % address.kind)
        slot.port = opener(address, self._poller.wake)
        slot.opening = True
        slot.is_pps = address.kind == "pps"
        slot.open_deadline = self._clock() + CONNECT_TIMEOUT
        if slot.port.continue_open():
            self._mark_open(slot)

    def _write(self, slot: PortSlot, data: bytes) -> None:
        """Write; queue the data that the port does not accept now."""
        port = slot.port
        if port is None or slot.opening:
            return
        taken = 0 if slot.backlog else port.write(data)
        if not port.is_drained():
            slot.drain_event_due = True
        if taken < len(data):
            self._queue(slot, data, taken)

    def _write_in_time(self, slot: PortSlot, data: bytes) -> None:
        """Write if it is not late."""
        if slot.number == self._guarded_port:
            slot.not_after = self._last_agent_time + LATE_WRITE
            if self._clock() > slot.not_after:
                return
        self._write(slot, data)

    def _request_store(self, slot: PortSlot, op: str, data: bytes) -> None:
        """Send a request to a store. Its answer is read in a later step."""
        port = slot.port
        if port is not None and not slot.opening:
            port.request(op, data)
            slot.drain_event_due = True

    def _queue(self, slot: PortSlot, data: bytes, written: int) -> None:
        """Queue data, up to MAX_BACKLOG bytes."""
        if not slot.queue(data, written, MAX_BACKLOG):
            raise PortError(
                "%s: the peer accepts no data (%d bytes wait)" % (slot.address, MAX_BACKLOG)
            )
        slot.drain_event_due = True

    def _close(self, slot: PortSlot, data: bytes) -> None:
        """Close without an event, because the agent requested it."""
        slot.requested = b""
        if slot.port is not None:
            self._close_port(slot)
            slot.log.report("closed: %s" % slot.address, self._clock())

    def _set(self, slot: PortSlot, data: bytes) -> None:
        """Change the options of a line."""
        if slot.port is not None and not slot.opening:
            slot.port.set_options(read_text(data))


def _printable(data: bytes) -> str:
    """Return a line of the console."""
    try:
        return str(data, "utf-8")
    except ValueError:
        return repr(data)
