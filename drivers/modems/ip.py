# SPDX-License-Identifier: Apache-2.0
"""A modem with an IP network interface: reads its status by AT commands.

Does not send datagrams: MQTT uses the network interface (`broker`). The driver reports the network
service, so that the agent need not wait for the back-off of TCP. Commands: see
`protocols.modem.ntn`.
"""

from drivers.modems.base import RADIO_ON, AtModem
from protocols.modem import ntn
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_POLL_PERIOD_US = 2 * SECOND


class IpDriver(AtModem):
    """One modem. +CEREG codes report changes immediately; a poll every 2 s finds missed ones."""

    INIT = (b"AT\r", b"ATE0\r", RADIO_ON, b"AT+CEREG=2\r")

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        AtModem.__init__(self, port, settings)
        self.registered = False

    def is_response(self, line: bytes) -> bool:
        """Return True if a line is a complete response."""
        return AtModem.is_response(self, line) or (
            ntn.parse_registration(line) is not None or ntn.parse_bars(line) is not None
        )

    def on_line(self, line: bytes, now: int) -> None:
        """Handle registration and signal."""
        if line.startswith(b"+CEREG:"):
            self._set_registered(ntn.parse_registration(line) in ntn.REGISTERED)
        else:
            self.emit("signal", ntn.parse_bars(line) or 0)

    def _set_registered(self, is_registered: bool) -> None:
        if is_registered != self.registered:
            self.registered = is_registered
            self.emit("service", is_registered)

    def poll(self, now: int) -> int:
        """Query registration and signal."""
        if self._radio_on:
            self.queue_command(b"AT+CEREG?\r")
            self.queue_command(b"AT+CSQ\r")
        return now + _POLL_PERIOD_US

    def set_radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off (+CFUN)."""
        self._radio_on = on
        if not on:
            self._set_registered(False)
        if self.ready:
            self.queue_command(RADIO_ON if on else b"AT+CFUN=0\r")
            self._send_next(now)

    def on_lost(self, now: int) -> None:
        """Clear the registration."""
        self._set_registered(False)
