"""A modem whose IP side is a network interface: its status by AT, its traffic none of ours.

Not a datagram carrier: MQTT goes through the interface (`broker`). What this driver tells is when
the network is there, so that the agent need not wait for TCP's back-off. Words as in
protocols.modem.ntn.
"""

from drivers.modems.base import AtModem
from protocols.modem import ntn
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_POLL = 2 * SECOND


class Ip(AtModem):
    """One modem; +CEREG codes tell at once, a poll each 2 s what was missed."""

    INIT = (b"AT\r", b"ATE0\r", b"AT+CFUN=1\r", b"AT+CEREG=2\r")

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        AtModem.__init__(self, port, settings)
        self.registered = False

    def known(self, line: bytes) -> bool:
        """Say whether a line is a whole answer."""
        return line in (b"OK", b"ERROR") or (
            ntn.registration(line) is not None or ntn.bars(line) is not None
        )

    def line(self, line: bytes, now: int) -> None:
        """Take registration and signal."""
        if line.startswith(b"+CEREG:"):
            self._register(ntn.registration(line) in ntn.REGISTERED)
        else:
            self.say("signal", ntn.bars(line) or 0)

    def _register(self, state: bool) -> None:
        if state != self.registered:
            self.registered = state
            self.say("service", state)

    def poll(self, now: int) -> int:
        """Ask for registration and signal."""
        if self._radio:
            self.ask(b"AT+CEREG?\r")
            self.ask(b"AT+CSQ\r")
        return now + _POLL

    def radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off (+CFUN)."""
        self._radio = on
        if not on:
            self._register(False)
        if self.ready:
            self.ask(b"AT+CFUN=1\r" if on else b"AT+CFUN=0\r")
            self._next(now)

    def lost(self, now: int) -> None:
        """The registration is gone with the modem."""
        self._register(False)
