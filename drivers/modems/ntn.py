# SPDX-License-Identifier: Apache-2.0
"""A 3GPP NTN modem (NB-IoT by satellite): datagrams by NIDD, or by UDP if `address` is set.

The modem is usable if it is registered. OK after a datagram means that the network accepted it. The
relay has it only after its own acknowledgement. Sources: see `protocols.modem.ntn`.
"""

from drivers.modems.base import POLL_PERIOD, AtModem
from protocols.modem import ntn, sbd
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SEND_TIMEOUT_US = 120 * SECOND


class NtnDriver(AtModem):
    """One modem; `settings["address"]`, HOST:PORT, selects UDP."""

    max_bytes = ntn.MAX_BYTES
    INIT = (b"AT\r", b"ATE0\r", b"AT+CFUN=1\r", b"AT+CPSMS=0\r", b"AT+CEREG=2\r")
    URCS = ((b"+CRTDCP:", False), (b"+QIURC:", False), (b"+QIOPEN:", False))

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        AtModem.__init__(self, port, settings)
        self.registered = False
        self._tag = 0
        self._socket_open = False
        self._band_known = False
        self._address = str(settings.get("address", ""))

    def is_response(self, line: bytes) -> bool:
        """Return True if a line is a complete response."""
        return (
            line in (b"OK", b"ERROR")
            or (line.startswith(b"+CEREG:") and ntn.parse_registration(line) is not None)
            or (line.startswith(b"+CSQ:") and ntn.parse_bars(line) is not None)
            or line.startswith(b"+QNWINFO:")
            or line == b"SEND OK"
        )

    def on_urc(self, text: bytes, now: int) -> None:
        """Handle a datagram, or a change of the socket."""
        content = ntn.parse_received(text)
        if content is not None:
            self.emit("received", content)
        elif text.startswith(b"+QIOPEN:"):
            self._socket_open = text.split(b",")[-1].strip() == b"0"
        elif text.startswith(b"+QIURC:"):
            self._socket_open = False

    def on_line(self, line: bytes, now: int) -> None:
        """Handle registration, signal and band."""
        if line.startswith(b"+QNWINFO:"):
            band = ntn.parse_band(line)
            self._band_known = True
            if band is not None:
                self.emit("radio", band[0], band[1], None)
        elif line.startswith(b"+CEREG:"):
            is_registered = ntn.parse_registration(line) in ntn.REGISTERED
            if is_registered != self.registered:
                self.registered = is_registered
                self._band_known = False
                self.emit("service", is_registered)
        elif line.startswith(b"+CSQ:"):
            self.emit("signal", ntn.parse_bars(line) or 0)

    def poll(self, now: int) -> int:
        """Query registration and signal; open the socket."""
        if not self.busy and self._radio_on:
            self.queue_command(b"AT+CEREG?\r")
            self.queue_command(b"AT+CSQ\r")
            if self.registered and not self._band_known:
                self.queue_command(b"AT+QNWINFO\r")
            if self._address and self.registered and not self._socket_open:
                host, _, port = self._address.rpartition(":")
                self.queue_command(b'AT+QIOPEN=1,0,"UDP","%s",%d\r' % (host.encode(), int(port)))
        return now + POLL_PERIOD

    def set_radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off (+CFUN)."""
        self._radio_on = on
        if not on and self.registered:
            self.registered = self._socket_open = False
            self.emit("service", False)
        if self.ready and not self.busy:
            self.queue_command(b"AT+CFUN=1\r" if on else b"AT+CFUN=0\r")
            self._send_next(now)

    def on_lost(self, now: int) -> None:
        """Clear the registration and the socket."""
        self._socket_open = False
        if self.registered:
            self.registered = False
            self.emit("service", False)
        if self.busy:
            self._finish_send(False, now)

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Start to send one datagram."""
        if self.busy or not self.ready or not self.registered or not content:
            return False
        if self._address and not self._socket_open:
            return False
        self.busy = True
        self._tag = tag
        self.emit("transmitting", True)
        text = ntn.build_udp(content) if self._address else ntn.build_nidd(content)
        self.queue_command(text, self._finish_send, _SEND_TIMEOUT_US)
        self._send_next(now)
        return True

    def _finish_send(self, succeeded: bool, now: int) -> None:
        self.busy = False
        self.emit("transmitting", False)
        if succeeded:
            self.emit("sent", self._tag)
        else:
            self.emit("send_failed", self._tag, sbd.RETRY, "the network did not take it", True)
        if not self._radio_on:
            self.set_radio(False, now)
