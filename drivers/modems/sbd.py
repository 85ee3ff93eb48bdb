# SPDX-License-Identifier: Apache-2.0
"""Iridium 9602 and 9603: short-burst data at 19200 8N1, up to 340 bytes uplink, 270 downlink.

    send    AT+SBDWB=n -> READY -> content, sum -> 0 -> OK -> AT+SBDIX -> +SBDIX: … -> OK
            -> AT+SBDS, AT+SBDD0 if the gateway has it; else again, without the transfer
    fetch   AT+SBDD0 -> AT+SBDIXA -> …
    receive AT+SBDRB -> binary

A session with an empty buffer costs as much as one with a message, and reports success too. So a
restart of the modem can look like a message that was sent. The driver sends AT+SBDS before a
session without a new transfer: a restarted modem has an empty buffer. It accepts a successful
session only if its number (MOMSN) is not that of the last one, and if AT+SBDS then shows that the
buffer still has the message. Otherwise the result is unknown, and the gateway can already have the
message. The driver sends it again with its old number, and the relay drops the duplicate.
`sbd_state` has the states of a session.

Sources: see `protocols.modem.sbd`.
"""

from drivers.modems import sbd_state
from drivers.modems.base import POLL_PERIOD, AtModem
from protocols.modem import sbd
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SESSION_TIMEOUT_US = 75 * SECOND
_MAX_TRANSFERS = 3
_TRANSFER_TIMEOUT_US = 10 * SECOND
_TIME_PERIOD_US = 600 * SECOND
_DIGITS = (b"0", b"1", b"2", b"3")


class SbdDriver(AtModem):
    """One modem; `settings` are those of the section `modem`."""

    max_bytes = sbd.MAX_MO_BYTES
    INIT = (
        b"AT\r",
        b"ATE0\r",
        b"AT&K0\r",
        b"AT+SBDMTA=1\r",
        b"AT+CIER=1,1,1\r",
        b"AT+SBDD2\r",
    )
    URCS = ((sbd.RING_ALERT, True), (b"+CIEV:", False))

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        AtModem.__init__(self, port, settings)
        self.sessions = 0
        self._content = b""
        self._tag = 0
        self._loaded_content = b""
        self.state = sbd_state.IDLE
        self.unconfirmed = 0
        """Sessions that reported success and were not accepted."""
        self._fetching = False
        self._last_number: int | None = None
        self._transfer_count = 0
        self._transfer_result = b""
        self._is_written = False
        """The modem was READY for the present transfer, and has got its content."""
        self._result: list[int] | None = None
        self._mo_loaded = False
        self._transmitting = False
        self._time_due = 0

    def is_response(self, line: bytes) -> bool:
        """Return True if a line is a complete response."""
        if line in (b"OK", b"ERROR", b"READY") or line in _DIGITS:
            return True
        return (
            sbd.parse_session(line) is not None
            or sbd.parse_signal(line) is not None
            or sbd.parse_numbers(line, b"+SBDS:", 4) is not None
            or (line.startswith(b"-MSSTM:") and len(line) >= 15)
        )

    def on_urc(self, text: bytes, now: int) -> None:
        """Handle a ring alert, or a change of signal or service."""
        if text == sbd.RING_ALERT:
            self.emit("ring_alert")
            return
        bars, service = sbd.parse_signal(text), sbd.parse_service(text)
        if bars is not None:
            self.emit("signal", bars)
        elif service is not None:
            self.emit("service", service == 1)

    def on_line(self, line: bytes, now: int) -> None:
        """Handle a line of a response."""
        if line == b"READY":
            if self.state == sbd_state.TRANSFER and not self._is_written:
                self._is_written = True
                self._output.append(sbd.build_transfer(self._content))
        elif line in _DIGITS:
            if self._is_written:  # AT+SBDD0 has the same answer, and it can come late or twice
                self._transfer_result = line
        elif line.startswith(b"+SBDIX:"):
            self._result = sbd.parse_session(line)
        elif line.startswith(b"+SBDS:"):
            values = sbd.parse_numbers(line, b"+SBDS:", 4)
            self._mo_loaded = values is not None and values[0] == 1
        elif line.startswith(b"-MSSTM:"):
            utc_us = sbd.parse_system_time(line, self.approx_utc_us)
            if utc_us is not None:
                self.emit("time", utc_us, now)
        else:
            bars = sbd.parse_signal(line)
            if bars is not None:
                self.emit("signal", bars)

    def poll(self, now: int) -> int:
        """Query signal and time if the modem is idle."""
        if not self.busy and self._radio_on:
            self.queue_command(b"AT+CSQF\r")
            if now >= self._time_due:
                self._time_due = now + _TIME_PERIOD_US
                self.queue_command(b"AT-MSSTM\r")
        return now + POLL_PERIOD

    def set_radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off (AT*R1, AT*R0)."""
        self._radio_on = on
        if self.ready and not self.busy:
            self.queue_command(b"AT*R1\r" if on else b"AT*R0\r")
            self._send_next(now)

    def on_lost(self, now: int) -> None:
        """Handle the loss of the modem: its buffers are empty."""
        self._loaded_content = b""
        if self.busy:
            self._finish_send(sbd.RETRY, "the modem was lost", self._transmitting, now)

    # Datagrams.

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Start to send one datagram."""
        if self.busy or not self.ready or not self._radio_on or not content:
            return False
        self._fetching = False
        self._content, self._tag = content, tag
        same = self._loaded_content == content
        return self._begin(sbd_state.SEND_AGAIN if same else sbd_state.SEND, now)

    def fetch(self, now: int) -> bool:
        """Start to collect queued datagrams; clears the MO buffer first."""
        if self.busy or not self.ready or not self._radio_on:
            return False
        self._fetching = True
        self._content, self._loaded_content = b"", b""
        return self._begin(sbd_state.FETCH, now)

    def _begin(self, event: int, now: int) -> bool:
        self.busy = True
        self._transfer_count = 0
        self._step(event)
        self._send_next(now)
        return True

    def _step(self, event: int) -> None:
        """Change the state by an event, and queue the command of the new state."""
        self.state = sbd_state.next_state(self.state, event)
        if self.state in (sbd_state.CHECK, sbd_state.CONFIRM):
            self._mo_loaded = False
            self.queue_command(b"AT+SBDS\r", self._on_buffer_status)
        elif self.state == sbd_state.TRANSFER:
            self._loaded_content = b""
            self._transfer_result = b""
            self._is_written = False
            self._transfer_count += 1
            command = b"AT+SBDWB=%d\r" % len(self._content)
            self.queue_command(command, self._on_transferred, _TRANSFER_TIMEOUT_US)
        elif self.state == sbd_state.CLEAR:
            self.queue_command(b"AT+SBDD0\r", self._on_buffer_cleared)
        elif self.state == sbd_state.SESSION:
            self.sessions += 1
            self._result = None
            self._transmitting = True
            self.emit("transmitting", True)
            command = b"AT+SBDIXA\r" if self._fetching else b"AT+SBDIX\r"
            self.queue_command(command, self._on_session_end, _SESSION_TIMEOUT_US)

    def _on_buffer_status(self, succeeded: bool, now: int) -> None:
        loaded = succeeded and self._mo_loaded
        if self.state == sbd_state.CHECK:
            self._step(sbd_state.LOADED if loaded else sbd_state.EMPTY)
            return
        self._loaded_content = b""
        self._read_downlink()
        if loaded:
            self.queue_command(b"AT+SBDD0\r")
            self._finish_send(sbd.SENT, "sent", True, now)
        else:
            self.unconfirmed += 1
            self._finish_send(sbd.RETRY, "the modem restarted before the session", True, now)

    def _on_transferred(self, succeeded: bool, now: int) -> None:
        if succeeded and self._transfer_result == b"0":
            self._loaded_content = self._content
            self._step(sbd_state.STORED)
        elif self._transfer_count < _MAX_TRANSFERS:
            self._step(sbd_state.REFUSED)
        else:
            self._finish_send(sbd.RETRY, "the modem does not take the message", False, now)

    def _on_buffer_cleared(self, succeeded: bool, now: int) -> None:
        if succeeded:
            self._step(sbd_state.STORED)
        else:
            self._finish_send(sbd.RETRY, "the buffer is not emptied", False, now)

    def _on_session_end(self, succeeded: bool, now: int) -> None:
        result = self._result
        if result is None or not succeeded:
            self._loaded_content = b""
            self._finish_send(sbd.RETRY, "no answer to the session", True, now)
            return
        outcome, reason = sbd.interpret_status(result[0])
        self.emit("waiting", min(max(0, result[5]), 99))
        if result[2] == 1:
            self.emit("downlink", min(max(0, result[4]), sbd.MAX_MT_BYTES))
        if outcome == sbd.SENT and not self._fetching:
            number, self._last_number = self._last_number, result[1]
            if number != result[1]:
                self._step(sbd_state.SENT)
                return
            self._loaded_content = b""
            outcome, reason = sbd.RETRY, "the number of the session is not new"
            self.unconfirmed += 1
        self._read_downlink()
        self._finish_send(outcome, reason, result[0] not in sbd.NOT_TRANSMITTED, now)

    def _read_downlink(self) -> None:
        """Read the message that came with the session."""
        if self._result is not None and self._result[2] == 1:
            self.reader.expect_binary(sbd.parse_received, 2 * sbd.MAX_MT_BYTES)
            self.queue_command(b"AT+SBDRB\r")

    def on_binary(self, content: bytes, now: int) -> None:
        """Handle a datagram from the ground."""
        if content:
            self.emit("received", content)

    def _finish_send(self, outcome: str, reason: str, may_be_billed: bool, now: int) -> None:
        self.busy = False
        self.state = sbd_state.next_state(self.state, sbd_state.END)
        if self._transmitting:
            self._transmitting = False
            self.emit("transmitting", False)
        if self._fetching:
            self.emit("fetched", outcome == sbd.SENT, reason, may_be_billed)
        elif outcome == sbd.SENT:
            self.emit("sent", self._tag)
        else:
            self.emit("send_failed", self._tag, outcome, reason, may_be_billed)
        if not self._radio_on:
            self.set_radio(False, now)
