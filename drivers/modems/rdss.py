"""A BeiDou RDSS terminal: short messages by sentences, one a minute at most.

Not a link to count on outside 80 to 140 degrees East (see protocols.modem.rdss). `Y` of $BDFKI says
that the terminal has transmitted, not that anybody has heard it.
"""

from drivers.modems.base import POLL, Modem
from protocols.modem import rdss, sbd
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ANSWER = 5 * SECOND
_EVERY = 60 * SECOND
_LONGEST = 2048


class Rdss(Modem):
    """One terminal; `settings["peer"]` is the address that messages go to."""

    largest = rdss.LARGEST

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        Modem.__init__(self, port, settings)
        self._buffer = b""
        self._peer = int(settings.get("peer", 0))
        self._tag = 0
        self._answer_by = NEVER
        self._poll_due = NEVER
        self._rest_until = 0
        self._every = _EVERY

    def event(self, kind: str, now: int) -> None:
        """Take an event of the port."""
        self._open = kind == "opened"
        self._buffer = b""
        self._poll_due = now if self._open else NEVER
        if not self._open:
            self._lose()
        self._arm()

    def _lose(self) -> None:
        if self.ready:
            self.ready = False
            self.resets += 1
            self.say("ready", False)
        if self.busy:
            self._ended(False, sbd.RETRY, "the terminal was lost", True)

    def _arm(self) -> None:
        self._due = min(self._answer_by, self._poll_due)

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes of the terminal; sentences of other devices on the line are passed over."""
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines[-1]
        if len(self._buffer) > _LONGEST:
            self._buffer = b""
            self.faults += 1
        for line in lines[:-1]:
            fields = rdss.opened(line)
            if fields is None:
                self.faults += line.strip() != b""
            else:
                self._sentence(fields, now)
        self._arm()

    def _sentence(self, fields: "list[bytes]", now: int) -> None:
        if fields[0] == b"BDICI" and len(fields) > 5:
            self._identity(fields)
            return
        bars = rdss.beams(fields)
        if bars is not None:
            self.say("signal", bars)
            self.say("service", bars > 0)
            return
        told = rdss.feedback(fields)
        if told is not None and self.busy:
            self._rest_until = now + max(told[1] * SECOND, self._every if told[0] else 0)
            word, why = (sbd.SENT, "") if told[0] else (sbd.WAIT, "too often")
            self._ended(told[0], word, why, told[0])
            return
        content = rdss.received(fields)
        if content:
            self.say("received", content)

    def _identity(self, fields: "list[bytes]") -> None:
        if fields[4].isdigit() and len(fields[4]) < 6:
            self._every = int(fields[4]) * SECOND
        if not self.ready:
            self.ready = True
            self.say("ready", True)

    def wake(self, now: int) -> None:
        """Take the passing of a deadline."""
        if now >= self._answer_by:
            self._answer_by = NEVER
            if self.busy:
                self._ended(False, sbd.RETRY, "no answer", True)
        if now >= self._poll_due:
            self._poll_due = now + POLL
            if not self.ready:
                self._out.append(rdss.sentence(b"CCICA,0,00"))
            elif self._radio and not self.busy:
                self._out.append(rdss.sentence(b"CCRMO,PWI,2,1"))
        self._arm()

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Begin to send one datagram; False too while the terminal must rest."""
        if self.busy or not self.ready or not self._radio or now < self._rest_until:
            return False
        self.busy = True
        self._tag = tag
        self._answer_by = now + _ANSWER
        self.say("onair", True)
        self._out.append(rdss.send(self._peer, content))
        self._arm()
        return True

    def _ended(self, good: bool, word: str, why: str, paid: bool) -> None:
        self.busy = False
        self._answer_by = NEVER
        self.say("onair", False)
        if good:
            self.say("sent", self._tag)
        else:
            self.say("unsent", self._tag, word, why, paid)

    def radio(self, on: bool, now: int) -> None:
        """Only what we ask is transmitted; to sleep is to ask nothing."""
        self._radio = on
