"""Iridium 9602 and 9603: short-burst data over 19200 8N1, up to 340 bytes up and 270 down.

    send    AT+SBDWB=n -> READY -> content, sum -> 0 -> OK -> AT+SBDIX -> +SBDIX: … -> OK
            -> AT+SBDD0 when the gateway has it; again without the transfer when it has not
    fetch   AT+SBDD0 -> AT+SBDIXA -> …
    down    AT+SBDRB -> binary

A session with an empty buffer costs as much as one with a message. So before a session without a
fresh transfer AT+SBDS is asked: a modem that was reset meanwhile has forgotten the message. After a
session whose end was not heard the message may be at the gateway already; it is sent again under
its old number, and the ground drops the second one.

Sources: see protocols.modem.sbd.
"""

from drivers.modems.base import POLL, AtModem
from protocols.modem import sbd
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SESSION = 75 * SECOND
_TRANSFERS = 3
_TRANSFER = 10 * SECOND
_TIME_EVERY = 600 * SECOND
_DIGITS = (b"0", b"1", b"2", b"3")


class Sbd(AtModem):
    """One modem; `settings` are those of the section `modem`."""

    largest = sbd.LARGEST_MO
    INIT = (
        b"AT\r",
        b"ATE0\r",
        b"AT&K0\r",
        b"AT+SBDMTA=1\r",
        b"AT+CIER=1,1,1\r",
        b"AT+SBDD2\r",
    )
    CODES = ((sbd.RING, True), (b"+CIEV:", False))

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        AtModem.__init__(self, port, settings)
        self.sessions = 0
        self._content = b""
        self._tag = 0
        self._loaded = b""
        self._fetching = False
        self._transfers = 0
        self._digit = b""
        self._result: list[int] | None = None
        self._mo_there = False
        self._on_air = False
        self._time_due = 0

    def known(self, line: bytes) -> bool:
        """Say whether a line is a whole answer."""
        if line in (b"OK", b"ERROR", b"READY") or line in _DIGITS:
            return True
        return (
            sbd.session(line) is not None
            or sbd.signal(line) is not None
            or sbd.numbers(line, b"+SBDS:", 4) is not None
            or (line.startswith(b"-MSSTM:") and len(line) >= 15)
        )

    def code(self, text: bytes, now: int) -> None:
        """Take a ring, a change of signal or of service."""
        if text == sbd.RING:
            self.say("ring")
            return
        bars, service = sbd.signal(text), sbd.service(text)
        if bars is not None:
            self.say("signal", bars)
        elif service is not None:
            self.say("service", service == 1)

    def line(self, line: bytes, now: int) -> None:
        """Take a line of an answer."""
        if line == b"READY":
            self._out.append(sbd.transfer(self._content))
        elif line in _DIGITS:
            self._digit = line
        elif line.startswith(b"+SBDIX:"):
            self._result = sbd.session(line)
        elif line.startswith(b"+SBDS:"):
            values = sbd.numbers(line, b"+SBDS:", 4)
            self._mo_there = values is not None and values[0] == 1
        elif line.startswith(b"-MSSTM:"):
            utc = sbd.system_time(line, self.near_us)
            if utc is not None:
                self.say("time", utc, now)
        else:
            bars = sbd.signal(line)
            if bars is not None:
                self.say("signal", bars)

    def poll(self, now: int) -> int:
        """Ask for signal and time while nothing else is done."""
        if not self.busy and self._radio:
            self.ask(b"AT+CSQF\r")
            if now >= self._time_due:
                self._time_due = now + _TIME_EVERY
                self.ask(b"AT-MSSTM\r")
        return now + POLL

    def radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off (AT*R1, AT*R0)."""
        self._radio = on
        if self.ready and not self.busy:
            self.ask(b"AT*R1\r" if on else b"AT*R0\r")
            self._next(now)

    def lost(self, now: int) -> None:
        """Nothing is in its buffers any more."""
        self._loaded = b""
        if self.busy:
            self._ended(sbd.RETRY, "the modem was lost", self._on_air, now)

    # A datagram.

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Begin to send one datagram."""
        if self.busy or not self.ready or not self._radio or not content:
            return False
        self.busy = True
        self._fetching = False
        self._content, self._tag, self._transfers = content, tag, 0
        if self._loaded == content:
            self._mo_there = False
            self.ask(b"AT+SBDS\r", self._asked)
        else:
            self._transfer()
        self._next(now)
        return True

    def fetch(self, now: int) -> bool:
        """Begin to collect what waits; the buffer for what goes up is emptied first."""
        if self.busy or not self.ready or not self._radio:
            return False
        self.busy = True
        self._fetching = True
        self._content, self._loaded = b"", b""
        self.ask(b"AT+SBDD0\r", self._emptied)
        self._next(now)
        return True

    def _asked(self, good: bool, now: int) -> None:
        if good and self._mo_there:
            self._session()
        else:
            self._transfer()

    def _transfer(self) -> None:
        self._loaded = b""
        self._digit = b""
        self._transfers += 1
        self.ask(b"AT+SBDWB=%d\r" % len(self._content), self._transferred, _TRANSFER)

    def _transferred(self, good: bool, now: int) -> None:
        if good and self._digit == b"0":
            self._loaded = self._content
            self._session()
        elif self._transfers < _TRANSFERS:
            self._transfer()
        else:
            self._ended(sbd.RETRY, "the modem does not take the message", False, now)

    def _emptied(self, good: bool, now: int) -> None:
        if good:
            self._session()
        else:
            self._ended(sbd.RETRY, "the buffer is not emptied", False, now)

    def _session(self) -> None:
        self.sessions += 1
        self._result = None
        self._on_air = True
        self.say("onair", True)
        self.ask(b"AT+SBDIXA\r" if self._fetching else b"AT+SBDIX\r", self._session_over, _SESSION)

    def _session_over(self, good: bool, now: int) -> None:
        result = self._result
        if result is None:
            self._loaded = b""
            self._ended(sbd.RETRY, "no answer to the session", True, now)
            return
        word, why = sbd.status(result[0])
        self.say("waiting", min(result[5], 99))
        if result[2] == 1:
            self.say("down", result[4])
            self.reader.take(sbd.received, 2 * sbd.LARGEST_MT)
            self.ask(b"AT+SBDRB\r")
        if word == sbd.SENT and not self._fetching:
            self._loaded = b""
            self.ask(b"AT+SBDD0\r")
        self._ended(word, why, result[0] not in sbd.NEVER_ON_AIR, now)

    def binary(self, content: bytes, now: int) -> None:
        """Take a datagram from the ground."""
        if content:
            self.say("received", content)

    def _ended(self, word: str, why: str, paid: bool, now: int) -> None:
        self.busy = False
        if self._on_air:
            self._on_air = False
            self.say("onair", False)
        if self._fetching:
            self.say("fetched", word == sbd.SENT, why, paid)
        elif word == sbd.SENT:
            self.say("sent", self._tag)
        else:
            self.say("unsent", self._tag, word, why, paid)
        if not self._radio:
            self.radio(False, now)
