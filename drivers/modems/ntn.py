"""A 3GPP NTN modem (NB-IoT by satellite): datagrams by NIDD, or by UDP where `address` is given.

Registered means usable; OK to a datagram means that the modem's network has taken it. Whether the
ground has it only an acknowledgement of our own says. Sources: see protocols.modem.ntn.
"""

from drivers.modems.base import POLL, AtModem
from protocols.modem import ntn, sbd
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TAKEN = 120 * SECOND


class Ntn(AtModem):
    """One modem; `settings["address"]`, HOST:PORT, chooses UDP."""

    largest = ntn.LARGEST
    INIT = (b"AT\r", b"ATE0\r", b"AT+CFUN=1\r", b"AT+CPSMS=0\r", b"AT+CEREG=2\r")
    CODES = ((b"+CRTDCP:", False), (b"+QIURC:", False), (b"+QIOPEN:", False))

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        AtModem.__init__(self, port, settings)
        self.registered = False
        self._tag = 0
        self._socket = False
        self._address = str(settings.get("address", ""))

    def known(self, line: bytes) -> bool:
        """Say whether a line is a whole answer."""
        return (
            line in (b"OK", b"ERROR")
            or (line.startswith(b"+CEREG:") and ntn.registration(line) is not None)
            or (line.startswith(b"+CSQ:") and ntn.bars(line) is not None)
            or line == b"SEND OK"
        )

    def code(self, text: bytes, now: int) -> None:
        """Take a datagram, or the news of a socket."""
        content = ntn.received(text)
        if content is not None:
            self.say("received", content)
        elif text.startswith(b"+QIOPEN:"):
            self._socket = text.split(b",")[-1].strip() == b"0"
        elif text.startswith(b"+QIURC:"):
            self._socket = False

    def line(self, line: bytes, now: int) -> None:
        """Take registration and signal."""
        if line.startswith(b"+CEREG:"):
            state = ntn.registration(line) in ntn.REGISTERED
            if state != self.registered:
                self.registered = state
                self.say("service", state)
        elif line.startswith(b"+CSQ:"):
            self.say("signal", ntn.bars(line) or 0)

    def poll(self, now: int) -> int:
        """Ask for registration and signal; open the socket."""
        if not self.busy and self._radio:
            self.ask(b"AT+CEREG?\r")
            self.ask(b"AT+CSQ\r")
            if self._address and self.registered and not self._socket:
                host, _, port = self._address.rpartition(":")
                self.ask(b'AT+QIOPEN=1,0,"UDP","%s",%d\r' % (host.encode(), int(port)))
        return now + POLL

    def radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off (+CFUN)."""
        self._radio = on
        if not on and self.registered:
            self.registered = self._socket = False
            self.say("service", False)
        if self.ready and not self.busy:
            self.ask(b"AT+CFUN=1\r" if on else b"AT+CFUN=0\r")
            self._next(now)

    def lost(self, now: int) -> None:
        """The registration is gone with the modem."""
        self._socket = False
        if self.registered:
            self.registered = False
            self.say("service", False)
        if self.busy:
            self._ended(False, now)

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Begin to send one datagram."""
        if self.busy or not self.ready or not self.registered or not content:
            return False
        if self._address and not self._socket:
            return False
        self.busy = True
        self._tag = tag
        self.say("onair", True)
        text = ntn.udp(content) if self._address else ntn.nidd(content)
        self.ask(text, self._ended, _TAKEN)
        self._next(now)
        return True

    def _ended(self, good: bool, now: int) -> None:
        self.busy = False
        self.say("onair", False)
        if good:
            self.say("sent", self._tag)
        else:
            self.say("unsent", self._tag, sbd.RETRY, "the network did not take it", True)
        if not self._radio:
            self.radio(False, now)
