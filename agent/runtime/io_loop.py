"""The crank that every real shell turns: ports in, the agent, ports out.

    shell    waits until a port is ready or the deadline passes, then calls `turn(ready)`
    crank    gives the agent what came: at equal times ports in order, then wake; after every call
             it drains the outbox and does what it says
    ports    made by an opener from an address; see drivers/ports/base.py for their shape

What it is not: it makes no system call, knows no platform and does not retry. The agent hears
"failed" or "closed" and asks again when it likes. Rules that the agent can rely on:

- "opened", "failed" (could not open, broke, or took no more), "closed" (the other side ended it)
  come in the turn after the cause, never from inside the call whose outbox caused it;
- "close" closes at once, without an event; what could not be written by then is lost;
- "open" on an open port closes it first; "write", "set" and "close" on a port that is not open do
  nothing;
- what a port does not take at once waits, up to BACKLOG bytes; beyond that the port is failed. When
  everything waiting has gone, "drained" comes. A store sends "drained" when it is durable;
- "append", "delete", "get" and "list" are for stores (see drivers/ports/store_request.py). They are
  done
  in the order of asking; "get" and "list" are answered by one "receive" each, before "drained". A
  store without room says "full" before "failed";
- an edge of a port of kind `pps` is the event "pulse", whose `now` is the edge's own microsecond;
- "set" with `restart_requested` on the console ends the turning: the shell starts the agent anew.
"""

from agent.runtime.port_log import PortLog
from drivers.errors import AddressError, FullError, PortError
from drivers.ports.address import parse_address
from drivers.ports.base import BACKLOG, CONNECT_TIMEOUT, make_error
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from drivers.ports.base import Opener, Port

    class AgentInterface(Protocol):
        """Anything that copies the agent's interface."""

        def receive(self, port: int, data: bytes, now: int) -> None: ...  # noqa: D102
        def event(self, port: int, kind: str, now: int) -> None: ...  # noqa: D102
        def wake(self, now: int) -> None: ...  # noqa: D102
        def deadline(self) -> int: ...  # noqa: D102
        def outbox(self) -> "list[tuple[int, str, bytes]]": ...  # noqa: D102

    class PollerInterface(Protocol):
        """What the platform offers: a clock, and a wait for watched ports until a deadline."""

        def clock(self) -> int: ...  # noqa: D102
        def wait(self, deadline: int) -> "list[int]": ...  # noqa: D102
        def wake(self) -> None: ...  # noqa: D102

        def watch(self, number: int, pollable: object, write: bool) -> None: ...  # noqa: D102
        def unwatch(self, number: int) -> None: ...  # noqa: D102


MAX_WAIT = 250_000  # us between two looks at `until`
FLUSH_TIME = 2_000_000  # us that the last writes may take when the shell stops
MAX_CHUNKS = 16  # chunks read from one port before the next port has its turn
RESTART = -1  # what a shell's `run` returns when the agent wants to be started anew
MAX_PORTS = 64  # an agent that asks for more has a bug
_STORE_OPERATIONS = ("append", "delete", "get", "list")
SLICE = 4096  # bytes of a backlog offered to a port at a time


class PortSlot:
    """One port number: the port behind it, what waits for it, what the agent has yet to hear."""

    def __init__(self, number: int, out: "Callable[[str], None]") -> None:
        """Start closed."""
        self.number = number
        self.address = ""
        self.log = PortLog(number, out)
        self.port: Port | None = None
        self.opening = False
        self.open_deadline = NEVER
        self.backlog = bytearray()
        self.drain_event_due = False
        self.read_again = False
        self.is_pps = False
        self.events: list[str] = []
        self.watched: tuple[object, bool] | None = None

    def is_open(self) -> bool:
        """Tell whether bytes can flow."""
        return self.port is not None and not self.opening


class IoLoop:
    """The agent and its ports on one platform; `run` is the whole life of it."""

    def __init__(
        self,
        agent: "AgentInterface",
        openers: "dict[str, Opener]",
        poller: "PollerInterface",
        out: "Callable[[str], None]",
        console: int = -1,
    ) -> None:
        """Take the agent and the platform.

        `openers`: one for each kind of address; `poller`: its `clock` returns monotonic us, its
        `wait` the numbers of ready ports, its `wake` ends a wait early (from a thread, too);
        `out` prints a line; `console`: the port number whose writes are lines for `out`, and which
        is never opened.
        """
        self._agent = agent
        self._openers = openers
        self._poller = poller
        self._clock = poller.clock
        self._out = out
        self._console = console
        self.restart_requested = False
        """The agent has asked to be started anew; the crank has stopped turning."""
        self._last_agent_time = 0
        """The time that the agent was told last."""
        self._slots: list[PortSlot] = []
        self._ops = {
            "write": self._write,
            "open": self._open,
            "close": self._close,
            "set": self._set,
        }

    def run(self, until: "Callable[[], bool]") -> bool:
        """Turn until `until()`; then do what the agent has asked for last, and close every port.

        `until` is looked at after every turn, at least every MAX_WAIT. Ctrl-C ends the turning in
        the same way; the return value tells whether it did.
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

    def start(self) -> None:
        """Do what the agent asks for before anything has come in."""
        self._run_outbox()
        self._update_watches()

    def _step_until(self, until: "Callable[[], bool]") -> None:
        """Start, then turn."""
        self.start()
        while not (until() or self.restart_requested):
            deadline = min(self.deadline(), self._clock() + MAX_WAIT)
            self.step(self._poller.wait(deadline))

    def step(self, ready: "list[int]") -> None:
        """Serve the ports that are ready or have something to say, in order, then the deadline.

        Pulses go first: the second that a sentence names began before the sentence did.
        """
        for slot in self._slots:
            if slot.is_pps:
                self._read_pulse(slot)
        for slot in self._slots:
            if slot.number in ready or self._needs_step(slot):
                self._serve(slot)
        now = self._clock()
        if self._agent.deadline() <= now:
            self._last_agent_time = now
            self._agent.wake(now)
            self._run_outbox()
        self._update_watches()

    def deadline(self) -> int:
        """Return when `step` wants to be called even if no port is ready; 0: at once."""
        deadline = self._agent.deadline()
        for slot in self._slots:
            if slot.events or slot.read_again:
                return 0
            deadline = min(deadline, slot.open_deadline)
        return deadline

    def _finish_writes(self) -> None:
        """Push out what waits, without the agent, for no longer than GRACE."""
        limit = self._clock() + FLUSH_TIME
        while self._clock() < limit:
            unfinished = [slot for slot in self._slots if not self._is_flushed(slot)]
            if not unfinished:
                return
            self._update_watches()
            self._poller.wait(min(limit, self._clock() + MAX_WAIT))

    def _is_flushed(self, slot: PortSlot) -> bool:
        """Push, and tell whether nothing of this port waits any more (or ever will go)."""
        try:
            return not slot.is_open() or self._push(slot)
        except PortError as error:
            slot.log.report("failed: %s" % error, self._clock())
            self._close_port(slot)
            return True

    # The ports' side

    def _needs_step(self, slot: PortSlot) -> bool:
        """Tell whether a port needs a turn although its descriptor is quiet (or it has none)."""
        if slot.events or slot.read_again or (slot.drain_event_due and not slot.backlog):
            return True
        port = slot.port
        if port is None or not slot.opening:
            return False
        return port.pollable is None or slot.open_deadline <= self._clock()

    def _serve(self, slot: PortSlot) -> None:
        """Give one port its turn."""
        if slot.events:  # one a turn: the agent's answer may make the rest obsolete
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
        """Let a connection take its next step; tell the agent when it stands."""
        port = slot.port
        if port is None:
            return
        if port.continue_open():
            self._mark_open(slot)
        elif slot.open_deadline <= self._clock():
            seconds = CONNECT_TIMEOUT // 1_000_000
            raise PortError("%s: no answer for %d s: check host and link" % (slot.address, seconds))

    def _mark_open(self, slot: PortSlot) -> None:
        """Note that a port stands."""
        slot.opening = False
        slot.open_deadline = NEVER
        slot.events.append("opened")
        slot.log.report("opened: %s" % slot.address, self._clock())

    def _read(self, slot: PortSlot) -> None:
        """Hand over what has come, up to FAIR chunks."""
        slot.read_again = False
        for _ in range(MAX_CHUNKS):
            port = slot.port
            if port is None or slot.opening or slot.events:
                return
            data = port.read()
            if data is None:
                self._close_with_event(
                    slot, "closed", "closed by the other side: %s" % slot.address
                )
                return
            if not data:
                return
            now = self._clock()
            if port.age_us:  # but time never goes back for the agent
                now = max(now - port.age_us, self._last_agent_time)
            self._last_agent_time = now
            self._agent.receive(slot.number, data, now)
            self._run_outbox()
        slot.read_again = True

    def _read_pulse(self, slot: PortSlot) -> None:
        """Hand over an edge with the microsecond that it carries."""
        port = slot.port
        if port is None or slot.opening or slot.events:
            return
        try:
            data = port.read()
        except PortError as error:
            self._fail(slot, error)
            return
        if data is None:
            self._close_with_event(slot, "closed", "closed by the other side: %s" % slot.address)
        elif data:
            self._agent.event(slot.number, "pulse", int.from_bytes(data, "big"))
            self._run_outbox()

    def _flush(self, slot: PortSlot) -> None:
        """Write what waits, as far as the port takes it; say "drained" when all is gone."""
        if self._push(slot) and slot.drain_event_due:
            slot.drain_event_due = False
            self._last_agent_time = self._clock()
            self._agent.event(slot.number, "drained", self._last_agent_time)
            self._run_outbox()

    def _push(self, slot: PortSlot) -> bool:
        """Write what waits; tell whether nothing is left on its way."""
        port = slot.port
        while port is not None and slot.backlog:
            count = port.write(bytes(slot.backlog[:SLICE]))
            if not count:
                return False
            slot.backlog = slot.backlog[count:]
        return port is not None and port.is_drained()

    def _fail(self, slot: PortSlot, error: Exception) -> None:
        """End a port that broke; of a store without room the agent hears "full" first."""
        self._close_with_event(slot, "failed", "failed: %s" % error)
        if isinstance(error, FullError):
            slot.events.insert(0, "full")

    def _close_with_event(self, slot: PortSlot, kind: str, text: str) -> None:
        """Close a port, say why, and let the agent hear of it in the next turn."""
        self._close_port(slot)
        slot.events.append(kind)
        slot.log.report(text, self._clock())

    def _close_port(self, slot: PortSlot) -> None:
        """Close a port and forget all that belongs to it."""
        port = slot.port
        if slot.watched is not None:
            self._poller.unwatch(slot.number)
            slot.watched = None
        slot.port = None
        slot.opening = False
        slot.open_deadline = NEVER
        slot.backlog = bytearray()
        slot.drain_event_due = False
        slot.read_again = False
        slot.events = []
        if port is not None:
            port.close()

    def _update_watches(self) -> None:
        """Tell the poller what changed."""
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

    # The agent's side

    def _run_outbox(self) -> None:
        """Do everything that stands in the outbox."""
        for number, op, data in self._agent.outbox():
            if number == self._console:
                self._write_console(op, data)
                continue
            slot = self._slot(number)
            try:
                if op in _STORE_OPERATIONS:
                    self._request_store(slot, op, data)
                else:
                    self._ops[op](slot, data)
            except (PortError, AddressError) as error:
                self._fail(slot, error)

    def _write_console(self, op: str, data: bytes) -> None:
        """Print a line; a "set" is a wish to the shell itself, and `restart_requested` the only
        one.
        """
        if op == "set":
            self.restart_requested = self.restart_requested or data == b"restart"
        else:
            self._out(_printable(data))

    def _slot(self, number: int) -> PortSlot:
        """Return the slot of a port number; the first use makes it."""
        for slot in self._slots:
            if slot.number == number:
                return slot
        if len(self._slots) >= MAX_PORTS:
            raise ValueError("the agent uses more than %d ports" % MAX_PORTS)
        slot = PortSlot(number, self._out)
        self._slots = sorted(self._slots + [slot], key=lambda each: each.number)
        return slot

    def _open(self, slot: PortSlot, data: bytes) -> None:
        """Open the address, or begin to."""
        self._close_port(slot)
        address = parse_address(_text(data))
        slot.address = str(address)
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
        """Write, or keep what the port does not take now."""
        port = slot.port
        if port is None or slot.opening:
            return
        taken = 0 if slot.backlog else port.write(data)
        if not port.is_drained():
            slot.drain_event_due = True
        if taken < len(data):
            self._queue(slot, data[taken:])

    def _request_store(self, slot: PortSlot, op: str, data: bytes) -> None:
        """Ask a store; what it answers is read in a later turn."""
        port = slot.port
        if port is not None and not slot.opening:
            port.request(op, data)
            slot.drain_event_due = True

    def _queue(self, slot: PortSlot, rest: bytes) -> None:
        """Let bytes wait, within the bound."""
        if len(slot.backlog) + len(rest) > BACKLOG:
            raise PortError(
                "%s: the other side takes no data (%d bytes wait)" % (slot.address, BACKLOG)
            )
        slot.backlog.extend(rest)
        slot.drain_event_due = True

    def _close(self, slot: PortSlot, data: bytes) -> None:
        """Close without an event: the agent knows."""
        if slot.port is not None:
            self._close_port(slot)
            slot.log.report("closed: %s" % slot.address, self._clock())

    def _set(self, slot: PortSlot, data: bytes) -> None:
        """Change a line's options."""
        if slot.port is not None and not slot.opening:
            slot.port.set_options(_text(data))


def _printable(data: bytes) -> str:
    """Return a line of the console."""
    try:
        return str(data, "utf-8")
    except ValueError:
        return repr(data)


def _text(data: bytes) -> str:
    """Return the text of an "open" or "set"."""
    try:
        return str(data, "utf-8")
    except ValueError:  # UnicodeError on both interpreters is one
        raise AddressError("an address is not UTF-8")
