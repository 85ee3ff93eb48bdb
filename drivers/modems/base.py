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

from protocols.modem.at import Reader
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Actions = list[tuple[int, str, bytes]]
    Done = Callable[[bool, int], None]

_MOST_EVENTS = 64
_SILENCES = 3
_PAUSE = 5 * SECOND
_ANSWER = 3 * SECOND


class Modem:
    """The shape above. `largest`: bytes of a datagram, 0: none; `near_us`: UTC, as believed."""

    largest = 0

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        self.port = port
        self.settings = settings
        self.ready = False
        self.busy = False
        self.near_us = 0
        self.resets = 0
        self.faults = 0
        self._open = False
        self._radio = True
        self._events: list[tuple[Any, ...]] = []
        self._out: list[bytes] = []
        self._due = NEVER

    def events(self) -> "list[tuple[Any, ...]]":
        """Hand over what happened."""
        events, self._events = self._events, []
        return events

    def outbox(self) -> "Actions":
        """Hand over what is to be written."""
        out, self._out = self._out, []
        return [(self.port, "write", data) for data in out]

    def deadline(self) -> int:
        """Give the time at which `wake` is wanted."""
        return self._due

    def say(self, *event: "Any") -> None:
        """Note an event; the oldest goes when nobody fetches them."""
        self._events.append(event)
        if len(self._events) > _MOST_EVENTS:
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

    def radio(self, on: bool, now: int) -> None:
        """Wake or sleep."""


class Command:
    """One command: its bytes, its limit in microseconds, who is told how it ended."""

    def __init__(self, text: bytes, limit: int, done: "Done | None") -> None:
        self.text = text
        self.limit = limit
        self.done = done


class AtModem(Modem):
    """A modem with AT commands. Subclasses give INIT, CODES, `known`, `line`, `code`, `lost`."""

    INIT: "tuple[bytes, ...]" = ()
    CODES: "tuple[tuple[bytes, bool], ...]" = ()

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        Modem.__init__(self, port, settings)
        self.reader = Reader(self.known, self.CODES)
        self._queue: list[Command] = []
        self._now_doing: Command | None = None
        self._silences = 0
        self._limit = NEVER
        self._again = NEVER
        self._poll_due = NEVER

    # What subclasses give.

    def known(self, line: bytes) -> bool:
        """Say whether a line is a whole answer."""
        return line in (b"OK", b"ERROR")

    def line(self, line: bytes, now: int) -> None:
        """Take a line that is neither OK nor ERROR."""

    def code(self, text: bytes, now: int) -> None:
        """Take an unsolicited code."""

    def binary(self, content: bytes, now: int) -> None:
        """Take a binary answer."""

    def poll(self, now: int) -> int:
        """Ask what is asked now and then; return when next."""
        return NEVER

    def lost(self, now: int) -> None:
        """The modem was set up and is not any more."""

    # What they call.

    def ask(self, text: bytes, done: "Done | None" = None, limit: int = _ANSWER) -> None:
        """Queue a command; `done(good, now)` is called when it has ended."""
        self._queue.append(Command(text, limit, done))

    def finish(self, good: bool, now: int) -> None:
        """End the present command."""
        doing, self._now_doing = self._now_doing, None
        self._limit = NEVER
        if doing is not None and doing.done is not None:
            doing.done(good, now)
        self._next(now)

    def _next(self, now: int) -> None:
        if self._now_doing is None and self._queue and self._open:
            self._now_doing = self._queue.pop(0)
            self._limit = now + self._now_doing.limit
            if self._now_doing.text:
                self._out.append(self._now_doing.text)
        self._due = min(self._limit, self._again, self._poll_due)

    # The port's side.

    def event(self, kind: str, now: int) -> None:
        """Take an event of the port."""
        if kind == "opened":
            self._open = True
            self._set_up(now)
        elif kind in ("closed", "failed"):
            self._open = False
            self._forget(now)
            self._again = self._poll_due = NEVER
            self._next(now)

    def _set_up(self, now: int) -> None:
        self._forget(now)
        self._out = []
        self._again = self._poll_due = NEVER
        for text in self.INIT[:-1]:
            self.ask(text, None)
        self.ask(self.INIT[-1], self._is_set_up)
        self._next(now)

    def _is_set_up(self, good: bool, now: int) -> None:
        if not good:
            self._again = now + _PAUSE
            return
        self.ready = True
        self._silences = 0
        if not self._radio:
            self.radio(False, now)
        self.say("ready", True)
        self._poll_due = self.poll(now)

    def _forget(self, now: int) -> None:
        """Drop everything that was on its way."""
        self._queue = []
        self._now_doing = None
        self._limit = NEVER
        self.reader.reset()
        if self.ready:
            self.ready = False
            self.resets += 1
            self.say("ready", False)
        self.lost(now)
        self.busy = False

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes of the modem."""
        for kind, text in self.reader.feed(data):
            if kind == "code":
                self.code(text, now)
            elif kind == "binary":
                self.binary(text, now)
            elif kind == "unknown" and text.startswith(b"AT"):
                if self.ready:  # it echoes again: it has restarted, and has forgotten everything
                    self._set_up(now)
                    return
            elif kind == "unknown":
                self.faults += 1
            elif text in (b"OK", b"ERROR"):
                self._silences = 0
                self.finish(text == b"OK", now)
            else:
                self.line(text, now)
        self._next(now)

    def wake(self, now: int) -> None:
        """Take the passing of a deadline."""
        if now >= self._limit:
            self._silences += 1
            if self._silences >= _SILENCES:
                self._silences = 0
                self._forget(now)
                self._again = now + _PAUSE
                self._poll_due = NEVER
            else:
                events = self.reader.text()
                if events:
                    self.faults += len(events)
                self.finish(False, now)
        if now >= self._again and self._open:
            self._set_up(now)
        if now >= self._poll_due:
            self._poll_due = self.poll(now) if self.ready else NEVER
        self._next(now)


POLL = 10 * SECOND
SHORT = 500 * MILLISECOND
