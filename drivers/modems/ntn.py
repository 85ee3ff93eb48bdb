# SPDX-License-Identifier: Apache-2.0
"""A 3GPP NTN modem (NB-IoT by satellite): datagrams by NIDD, or by UDP if `address` is set.

The modem is usable if it is registered, and after it has reported its band: the radio rule can bar
it. A modem that answers ERROR reports none. OK after a datagram means that the network accepted it.
The relay has it only after its own acknowledgement. A datagram has no answer but OK, and a query
that has timed out can answer OK later. So after a time-out nothing is sent until two queries have
their own answers. Sources: see `protocols.modem.ntn`.
"""

from drivers.modems.base import POLL_PERIOD, RADIO_ON, AtModem
from protocols.modem import ntn, sbd
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SEND_TIMEOUT_US = 120 * SECOND


class NtnDriver(AtModem):
    """One modem; `settings["address"]`, HOST:PORT, selects UDP."""

    max_bytes = ntn.MAX_BYTES
    INIT = (b"AT\r", b"ATE0\r", RADIO_ON, b"AT+CPSMS=0\r", b"AT+CEREG=2\r")
    URCS = ((b"+CRTDCP:", False), (b"+QIURC:", False), (b"+QIOPEN:", False))

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        AtModem.__init__(self, port, settings)
        self.registered = False
        self._tag = 0
        self._socket_open = False
        self._attached = False
        """Registered, but the band is perhaps not known yet."""
        self._band_known = False
        self._last_line = b""
        self._is_registration_own = False
        self._is_in_step = True
        """No answer of an earlier command can come."""
        self._address = str(settings.get("address", ""))

    def is_response(self, line: bytes) -> bool:
        """Return True if a line is a complete response."""
        return (
            AtModem.is_response(self, line)
            or (line.startswith(b"+CEREG:") and ntn.parse_registration(line) is not None)
            or (line.startswith(b"+CSQ:") and ntn.parse_bars(line) is not None)
            or line.startswith(b"+QNWINFO:")
            or line == b"SEND OK"
        )

    def on_urc(self, text: bytes, now: int) -> None:
        """Handle a datagram, or a change of the socket."""
        content = ntn.parse_received(text)
        if content:
            self.emit("received", content)
        elif text.startswith(b"+QIOPEN:"):
            self._socket_open = text.split(b",")[-1].strip() == b"0"
        elif text.startswith(b"+QIURC:"):
            self._socket_open = False

    def on_line(self, line: bytes, now: int) -> None:
        """Handle registration, signal and band."""
        self._last_line = line
        if line.startswith(b"+QNWINFO:"):
            band = ntn.parse_band(line)
            if band is not None:
                self._band_known = True
                self.emit("radio", band[0], band[1], None)
        elif line.startswith(b"+CEREG:"):
            is_registered = ntn.parse_registration(line) in ntn.REGISTERED
            if not is_registered:
                self._lose_network()
            elif not self._attached:
                self._attached = True
                self._query_band()
        elif line.startswith(b"+CSQ:"):
            self.emit("signal", ntn.parse_bars(line) or 0)

    def _query_band(self) -> None:
        self._band_known = False
        self.queue_command(b"AT+QNWINFO\r", self._on_band)

    def _on_band(self, succeeded: bool, now: int) -> None:
        has_no_word = not succeeded and not self._timeout_count
        if self._attached and not self.registered and (self._band_known or has_no_word):
            self.registered = True
            self.emit("service", True)

    def _lose_network(self) -> None:
        self._attached = False
        if self.registered:
            self.registered = self._socket_open = False
            self.emit("service", False)

    def poll(self, now: int) -> int:
        """Query registration and signal; open the socket."""
        if not self.busy and self._radio_on:
            self.queue_command(b"AT+CEREG?\r", self._on_registration)
            self.queue_command(b"AT+CSQ\r", self._on_signal)
            if self._attached and not self.registered:
                self._query_band()
            if self._address and self.registered and not self._socket_open:
                host, _, port = self._address.rpartition(":")
                self.queue_command(b'AT+QIOPEN=1,0,"UDP","%s",%d\r' % (host.encode(), int(port)))
        return now + POLL_PERIOD

    def on_timeout(self) -> None:
        """Send nothing until the answers are in step again."""
        self._is_in_step = False

    def _on_registration(self, succeeded: bool, now: int) -> None:
        self._is_registration_own = succeeded and self._last_line.startswith(b"+CEREG:")
        self._last_line = b""

    def _on_signal(self, succeeded: bool, now: int) -> None:
        is_own = succeeded and self._last_line.startswith(b"+CSQ:")
        if is_own and self._is_registration_own:
            self._is_in_step = True

    def set_radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off (+CFUN)."""
        self._radio_on = on
        if not on:
            self._lose_network()
        if self.ready and not self.busy:
            self.queue_command(RADIO_ON if on else b"AT+CFUN=0\r")
            self._send_next(now)

    def on_lost(self, now: int) -> None:
        """Clear the registration and the socket."""
        self._lose_network()
        if self.busy:
            self._finish_send(False, now)

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Start to send one datagram."""
        is_usable = self.ready and self.registered and self._is_in_step
        if self.busy or not is_usable or not content:
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
