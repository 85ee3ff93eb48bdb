"""What every modem has in common: its shape, and how commands follow one another.

    send(content, tag, now) -> bool    begin to send one datagram; False while busy or not ready
    fetch(now) -> bool                 collect what waits at the gateway (may cost money)
    radio(on, now)                     transmit and listen, or sleep
    events() -> list                   what happened since the last call, in order:

        ("ready", True | False)            it answers and is set up, or it is lost
        ("signal", bars) ("service", bool) 0 to 5 bars; the network can be used
        ("onair", begins: bool)            it transmits from now on, or has stopped
        ("sent", tag)                      the gateway has the datagram
        ("unsent", tag, word, why, paid)   word of protocols.modem.sbd; paid: may have been billed
        ("fetched", good, why, paid)       the end of a `fetch`
        ("down", size)                     a datagram of `size` bytes comes, and is billed
        ("received", content)              a datagram from the ground
        ("ring",)                          the modem says that something waits
        ("waiting", count)                 the gateway says how many datagrams wait
        ("time", utc_us, mono_us)          what the network says of time

Not here: when to send, and what it may cost (agent.satcom). A modem never gives up: what does not
answer is set up anew, for ever, with pauses. `AtModem` is the base of those with AT commands: one
command at a time, each with its own limit; three without an answer mean that the modem is lost.
"""

from protocols.modem.at import AtReader
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Actions = list[tuple[int, str, bytes]]
    Done = Callable[[bool, int], None]

_MAX_EVENTS = 64
_MAX_TIMEOUTS = 3
_SETUP_PAUSE = 5 * SECOND
_ANSWER_LIMIT = 3 * SECOND


class ModemDriver:
    """The shape above. `max_bytes`: bytes of a datagram, 0: none; `approx_utc_us`: UTC, as
    believed.
    """

    max_bytes = 0

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        self.port = port
        self.settings = settings
        self.ready = False
        self.busy = False
        self.approx_utc_us = 0
        self.resets = 0
        self.faults = 0
        self._is_open = False
        self._radio_on = True
        self._events: list[tuple[Any, ...]] = []
        self._output: list[bytes] = []
        self._wake_at = NEVER

    def take_events(self) -> "list[tuple[Any, ...]]":
        """Hand over what happened."""
        events, self._events = self._events, []
        return events

    def outbox(self) -> "Actions":
        """Hand over what is to be written."""
        output, self._output = self._output, []
        return [(self.port, "write", data) for data in output]

    def deadline(self) -> int:
        """Give the time at which `wake` is wanted."""
        return self._wake_at

    def emit(self, *event: "Any") -> None:
        """Note an event; the oldest goes when nobody fetches them."""
        self._events.append(event)
        if len(self._events) > _MAX_EVENTS:
            self._events.pop(0)

    def event(self, kind: str, now: int) -> None:
        """Take `opened`, `closed` or `failed` of the port."""

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes of the modem."""

    def wake(self, now: int) -> None:
        """Take the passing of the deadline."""

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Begin to send."""
        return False

    def fetch(self, now: int) -> bool:
        """Begin to collect."""
        return False

    def set_radio(self, on: bool, now: int) -> None:
        """Wake or sleep."""


class AtCommand:
    """One command: its bytes, its limit in microseconds, who is told how it ended."""

    def __init__(self, text: bytes, limit: int, done: "Done | None") -> None:
        self.text = text
        self.limit = limit
        self.done = done


class AtModem(ModemDriver):
    """A modem with AT commands. Subclasses give INIT, CODES, `is_answer`, `on_line`, `on_urc`,
    `on_lost`.
    """

    INIT: "tuple[bytes, ...]" = ()
    URCS: "tuple[tuple[bytes, bool], ...]" = ()

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        ModemDriver.__init__(self, port, settings)
        self.reader = AtReader(self.is_answer, self.URCS)
        self._queue: list[AtCommand] = []
        self._current: AtCommand | None = None
        self._timeout_count = 0
        self._answer_due = NEVER
        self._setup_due = NEVER
        self._poll_due = NEVER

    # What subclasses give.

    def is_answer(self, line: bytes) -> bool:
        """Say whether a line is a whole answer."""
        return line in (b"OK", b"ERROR")

    def on_line(self, line: bytes, now: int) -> None:
        """Take a line that is neither OK nor ERROR."""

    def on_urc(self, text: bytes, now: int) -> None:
        """Take an unsolicited code."""

    def on_binary(self, content: bytes, now: int) -> None:
        """Take a binary answer."""

    def poll(self, now: int) -> int:
        """Ask what is asked now and then; return when next."""
        return NEVER

    def on_lost(self, now: int) -> None:
        """The modem was set up and is not any more."""

    # What they call.

    def queue_command(
        self, text: bytes, done: "Done | None" = None, limit: int = _ANSWER_LIMIT
    ) -> None:
        """Queue a command; `done(good, now)` is called when it has ended."""
        self._queue.append(AtCommand(text, limit, done))

    def finish_command(self, succeeded: bool, now: int) -> None:
        """End the present command."""
        command, self._current = self._current, None
        self._answer_due = NEVER
        if command is not None and command.done is not None:
            command.done(succeeded, now)
        self._send_next(now)

    def _send_next(self, now: int) -> None:
        if self._current is None and self._queue and self._is_open:
            self._current = self._queue.pop(0)
            self._answer_due = now + self._current.limit
            if self._current.text:
                self._output.append(self._current.text)
        self._wake_at = min(self._answer_due, self._setup_due, self._poll_due)

    # The port's side.

    def event(self, kind: str, now: int) -> None:
        """Take an event of the port."""
        if kind == "opened":
            self._is_open = True
            self._set_up(now)
        elif kind in ("closed", "failed"):
            self._is_open = False
            self._drop_commands(now)
            self._setup_due = self._poll_due = NEVER
            self._send_next(now)

    def _set_up(self, now: int) -> None:
        self._drop_commands(now)
        self._output = []
        self._setup_due = self._poll_due = NEVER
        for text in self.INIT[:-1]:
            self.queue_command(text, None)
        self.queue_command(self.INIT[-1], self._on_set_up)
        self._send_next(now)

    def _on_set_up(self, succeeded: bool, now: int) -> None:
        if not succeeded:
            self._setup_due = now + _SETUP_PAUSE
            return
        self.ready = True
        self._timeout_count = 0
        if not self._radio_on:
            self.set_radio(False, now)
        self.emit("ready", True)
        self._poll_due = self.poll(now)

    def _drop_commands(self, now: int) -> None:
        """Drop everything that was on its way."""
        self._queue = []
        self._current = None
        self._answer_due = NEVER
        self.reader.reset()
        if self.ready:
            self.ready = False
            self.resets += 1
            self.emit("ready", False)
        self.on_lost(now)
        self.busy = False

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes of the modem."""
        for kind, text in self.reader.feed(data):
            if kind == "code":
                self.on_urc(text, now)
            elif kind == "binary":
                self.on_binary(text, now)
            elif kind == "unknown" and text.startswith(b"AT"):
                if self.ready:  # it echoes again: it has restarted, and has forgotten everything
                    self._set_up(now)
                    return
            elif kind == "unknown":
                self.faults += 1
            elif text in (b"OK", b"ERROR"):
                self._timeout_count = 0
                self.finish_command(text == b"OK", now)
            else:
                self.on_line(text, now)
        self._send_next(now)

    def wake(self, now: int) -> None:
        """Take the passing of a deadline."""
        if now >= self._answer_due:
            self._timeout_count += 1
            if self._timeout_count >= _MAX_TIMEOUTS:
                self._timeout_count = 0
                self._drop_commands(now)
                self._setup_due = now + _SETUP_PAUSE
                self._poll_due = NEVER
            else:
                events = self.reader.resume_lines()
                if events:
                    self.faults += len(events)
                self.finish_command(False, now)
        if now >= self._setup_due and self._is_open:
            self._set_up(now)
        if now >= self._poll_due:
            self._poll_due = self.poll(now) if self.ready else NEVER
        self._send_next(now)


POLL_PERIOD = 10 * SECOND
SHORT = 500 * MILLISECOND
