# SPDX-License-Identifier: Apache-2.0
"""A BeiDou RDSS terminal: short messages by sentences, at most one a minute.

Does not work outside 80 to 140 degrees East (see `protocols.modem.rdss`). `Y` of $BDFKI means that
the terminal has transmitted. It does not confirm reception.
"""

from drivers.modems.base import POLL_PERIOD, ModemDriver
from protocols.modem import rdss, sbd
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RESPONSE_TIMEOUT_US = 5 * SECOND
_DEFAULT_INTERVAL_US = 60 * SECOND
_MAX_WAIT_S = 3_600
"""The terminal can be wrong about the time until the next message."""
_MAX_LINE = 2048


class RdssDriver(ModemDriver):
    """One terminal; `settings["peer"]` is the destination address of messages."""

    max_bytes = rdss.MAX_BYTES

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        ModemDriver.__init__(self, port, settings)
        self._buffer = b""
        self._peer = int(settings.get("peer", 0))
        self._tag = 0
        self._response_due = NEVER
        self._poll_due = NEVER
        self._next_send_at = 0
        self._interval_us = _DEFAULT_INTERVAL_US

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the port."""
        self._is_open = kind == "opened"
        self._buffer = b""
        self._poll_due = now if self._is_open else NEVER
        if not self._is_open:
            self._drop_session()
        self._update_deadline()

    def _drop_session(self) -> None:
        if self.ready:
            self.ready = False
            self.resets += 1
            self.emit("ready", False)
        if self.busy:
            self._finish_send(False, sbd.RETRY, "the terminal was lost", True)

    def _update_deadline(self) -> None:
        self._wake_at = min(self._response_due, self._poll_due)

    def receive(self, data: bytes, now: int) -> None:
        """Handle received bytes; ignores sentences of other devices on the line."""
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines[-1]
        if len(self._buffer) > _MAX_LINE:
            self._buffer = b""
            self.faults += 1
        for line in lines[:-1]:
            fields = rdss.parse_sentence(line)
            if fields is None:
                self.faults += line.strip() != b""
            else:
                self._on_sentence(fields, now)
        self._update_deadline()

    def _on_sentence(self, fields: "list[bytes]", now: int) -> None:
        if fields[0] == b"BDICI" and len(fields) > 5:
            self._on_identity(fields)
            return
        bars = rdss.parse_beam_power(fields)
        if bars is not None:
            self.emit("signal", bars)
            self.emit("service", bars > 0)
            return
        feedback = rdss.parse_feedback(fields)
        if feedback is not None and self.busy:
            self._next_send_at = now + max(
                min(feedback[1], _MAX_WAIT_S) * SECOND, self._interval_us if feedback[0] else 0
            )
            outcome, reason = (sbd.SENT, "") if feedback[0] else (sbd.WAIT, "too often")
            self._finish_send(feedback[0], outcome, reason, feedback[0])
            return
        content = rdss.parse_received(fields)
        if content:
            self.emit("received", content)

    def _on_identity(self, fields: "list[bytes]") -> None:
        if fields[4].isdigit():
            self._interval_us = min(int(fields[4]), _MAX_WAIT_S) * SECOND
        if not self.ready:
            self.ready = True
            self.emit("ready", True)

    def wake(self, now: int) -> None:
        """Handle a deadline."""
        if now >= self._response_due:
            self._response_due = NEVER
            if self.busy:
                self._finish_send(False, sbd.RETRY, "no answer", True)
        if now >= self._poll_due:
            self._poll_due = now + POLL_PERIOD
            if not self.ready:
                self._output.append(rdss.build_sentence(b"CCICA,0,00"))
            elif self._radio_on and not self.busy:
                self._output.append(rdss.build_sentence(b"CCRMO,PWI,2,1"))
        self._update_deadline()

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Start to send one datagram; False also during the minimum interval of the terminal."""
        if self.busy or not self.ready or not self._radio_on or now < self._next_send_at:
            return False
        self.busy = True
        self._tag = tag
        self._response_due = now + _RESPONSE_TIMEOUT_US
        self.emit("transmitting", True)
        self._output.append(rdss.build_message(self._peer, content))
        self._update_deadline()
        return True

    def _finish_send(self, succeeded: bool, outcome: str, reason: str, may_be_billed: bool) -> None:
        self.busy = False
        self._response_due = NEVER
        self.emit("transmitting", False)
        if succeeded:
            self.emit("sent", self._tag)
        else:
            self.emit("send_failed", self._tag, outcome, reason, may_be_billed)

    def set_radio(self, on: bool, now: int) -> None:
        """Enable or disable requests; the terminal transmits only on request."""
        self._radio_on = on
