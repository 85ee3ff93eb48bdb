# SPDX-License-Identifier: Apache-2.0
"""The common interface of all modem drivers, and the command queue of AT modems.

    send(content, tag, now) -> bool    start to send one datagram; False while busy or not ready
    fetch(now) -> bool                 collect the queued datagrams of the gateway (can be billed)
    set_radio(on, now)                 transmit and listen, or sleep
    take_events() -> list              the events since the last call, in order:

        ("ready", True | False)            the modem responds and is set up, or it is lost
        ("signal", bars) ("service", bool) 0 to 5 bars; the network is available
        ("transmitting", begins: bool)     a transmission starts, or has ended
        ("sent", tag)                      the gateway has the datagram
        ("send_failed", tag, outcome, reason, may_be_billed)   outcome: see protocols.modem.sbd
        ("fetched", succeeded, reason, may_be_billed)          the end of a `fetch`
        ("downlink", size)                 a datagram of `size` bytes arrives, and is billed
        ("received", content)              a datagram from the ground
        ("ring_alert",)                    the network reports a queued datagram
        ("waiting", count)                 number of queued datagrams at the gateway
        ("time", utc_us, mono_us)          network time
        ("radio", low_khz, high_khz, mw)   band and power of the uplink; power None if unknown

Does not decide when to send and does not count costs; see `agent.satcom`. A driver never stops: it
sets up an unresponsive modem again and again, with pauses. `AtModem` is the base class for modems
with AT commands. It runs one command at a time, each with its own timeout. After three timeouts in
sequence the modem is lost.
"""

from protocols.modem.at import AtReader
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Actions = list[tuple[int, str, bytes]]
    CommandCallback = Callable[[bool, int], None]

_MAX_EVENTS = 64
_MAX_TIMEOUTS = 3
_SETUP_PAUSE_US = 5 * SECOND
_RESPONSE_TIMEOUT_US = 3 * SECOND
RADIO_ON = b"AT+CFUN=1\r"
"""In INIT: left out while the radio must be off."""


class ModemDriver:
    """The interface above. `max_bytes` of a datagram, 0 for none; `approx_utc_us`: a rough UTC."""

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
        """Return and clear the events."""
        events, self._events = self._events, []
        return events

    def outbox(self) -> "Actions":
        """Return and clear the actions of the port."""
        output, self._output = self._output, []
        return [(self.port, "write", data) for data in output]

    def deadline(self) -> int:
        """Return the time of the next `wake`."""
        return self._wake_at

    def set_utc(self, utc_us: int) -> None:
        """Set the approximate UTC in microseconds, 0 if unknown."""
        self.approx_utc_us = utc_us

    def emit(self, *event: "Any") -> None:
        """Add an event; drops the oldest above `_MAX_EVENTS`."""
        self._events.append(event)
        if len(self._events) > _MAX_EVENTS:
            self._events.pop(0)

    def event(self, kind: str, now: int) -> None:
        """Handle `opened`, `closed` or `failed` of the port."""
        if kind == "opened":
            self._is_open = True
            self._set_up(now)
        elif kind in ("closed", "failed"):
            self._is_open = False
            self._on_closed(now)

    def _set_up(self, now: int) -> None:
        """Begin the set-up on an opened port."""

    def _on_closed(self, now: int) -> None:
        """Drop what the closed port cannot finish."""

    def receive(self, data: bytes, now: int) -> None:
        """Handle received bytes."""

    def wake(self, now: int) -> None:
        """Handle the deadline."""

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Start to send a datagram."""
        return False

    def fetch(self, now: int) -> bool:
        """Start to collect queued datagrams."""
        return False

    def set_radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off."""


class AtCommand:
    """One command: its bytes, its timeout, and the callback for its end."""

    def __init__(self, text: bytes, timeout_us: int, callback: "CommandCallback | None") -> None:
        self.text = text
        self.timeout_us = timeout_us
        self.callback = callback


class AtModem(ModemDriver):
    """Base class of AT modems. A subclass defines INIT, URCS, `is_response`, `on_line`, `on_urc`
    and `on_lost`.
    """

    INIT: "tuple[bytes, ...]" = ()
    URCS: "tuple[tuple[bytes, bool], ...]" = ()

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        ModemDriver.__init__(self, port, settings)
        self.reader = AtReader(self.is_response, self.URCS)
        self._queue: list[AtCommand] = []
        self._current: AtCommand | None = None
        self._timeout_count = 0
        self._response_due = NEVER
        self._setup_due = NEVER
        self._poll_due = NEVER

    # Defined by subclasses.

    def is_response(self, line: bytes) -> bool:
        """Return True if a line is a complete response."""
        return line in (b"OK", b"ERROR") or line.startswith(b"+CME ERROR:")

    def on_line(self, line: bytes, now: int) -> None:
        """Handle a line other than OK and ERROR."""

    def on_urc(self, text: bytes, now: int) -> None:
        """Handle an unsolicited result code."""

    def on_binary(self, content: bytes, now: int) -> None:
        """Handle a binary response."""

    def poll(self, now: int) -> int:
        """Queue the periodic queries; return the time of the next poll."""
        return NEVER

    def on_lost(self, now: int) -> None:
        """Handle the loss of a modem that was set up."""

    def on_timeout(self) -> None:
        """Handle a command without an answer; the answer can still come."""

    # Called by subclasses.

    def queue_command(
        self,
        text: bytes,
        callback: "CommandCallback | None" = None,
        timeout_us: int = _RESPONSE_TIMEOUT_US,
    ) -> None:
        """Queue a command; its end calls `callback(succeeded, now)`."""
        self._queue.append(AtCommand(text, timeout_us, callback))

    def finish_command(self, succeeded: bool, now: int) -> None:
        """End the current command."""
        command, self._current = self._current, None
        self._response_due = NEVER
        if command is not None and command.callback is not None:
            command.callback(succeeded, now)
        self._send_next(now)

    def _send_next(self, now: int) -> None:
        if self._current is None and self._queue and self._is_open:
            self._current = self._queue.pop(0)
            self._response_due = now + self._current.timeout_us
            if self._current.text:
                self._output.append(self._current.text)
        self._wake_at = min(self._response_due, self._setup_due, self._poll_due)

    # Called by the owner of the port.

    def _on_closed(self, now: int) -> None:
        self._drop_commands(now)
        self._setup_due = self._poll_due = NEVER
        self._send_next(now)

    def _set_up(self, now: int) -> None:
        self._drop_commands(now)
        self._output = []
        self._setup_due = self._poll_due = NEVER
        for text in self.INIT[:-1]:
            if self._radio_on or text != RADIO_ON:
                self.queue_command(text, None)
        self.queue_command(self.INIT[-1], self._on_set_up)
        self._send_next(now)

    def _on_set_up(self, succeeded: bool, now: int) -> None:
        if not succeeded:
            self._setup_due = now + _SETUP_PAUSE_US
            return
        self.ready = True
        self._timeout_count = 0
        if not self._radio_on:
            self.set_radio(False, now)
        self.emit("ready", True)
        self._poll_due = self.poll(now)

    def _drop_commands(self, now: int) -> None:
        """Drop all queued and pending commands."""
        self._queue = []
        self._current = None
        self._response_due = NEVER
        self.reader.reset()
        if self.ready:
            self.ready = False
            self.resets += 1
            self.emit("ready", False)
        self.on_lost(now)
        self.busy = False

    def receive(self, data: bytes, now: int) -> None:
        """Handle received bytes."""
        for kind, text in self.reader.feed(data):
            if kind == "urc":
                self.on_urc(text, now)
            elif kind == "binary":
                self.on_binary(text, now)
            elif kind == "unknown" and text.startswith(b"AT"):
                if self.ready:  # it echoes again: it restarted and lost its settings
                    self._set_up(now)
                    return
            elif kind == "unknown":
                self.faults += 1
            elif AtModem.is_response(self, text):
                self._timeout_count = 0
                self.finish_command(text == b"OK", now)
            else:
                self.on_line(text, now)
        self._send_next(now)

    def wake(self, now: int) -> None:
        """Handle a deadline."""
        if now >= self._response_due:
            self._timeout_count += 1
            self.on_timeout()
            if self._timeout_count >= _MAX_TIMEOUTS:
                self._timeout_count = 0
                self._drop_commands(now)
                self._setup_due = now + _SETUP_PAUSE_US
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
