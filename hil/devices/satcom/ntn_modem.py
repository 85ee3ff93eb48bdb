# SPDX-License-Identifier: Apache-2.0
"""An emulated NB-IoT modem on a satellite network: registration, signal, NIDD and UDP datagrams.

It follows 3GPP TS 27.007 and Quectel's UDP commands and shares no code with the agent. With
`has_ip`, the IP side of the modem is a network interface, and AT commands report only the status.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from typing import ClassVar

from hil.devices.base import MILLISECOND, SECOND, Replies
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.modem import EmulatedModem
from hil.devices.satcom.radio import Radio

_SKY_CHECK_US = 2 * SECOND
_ATTACH_US = 4 * SECOND


class NtnModem(EmulatedModem):
    """One modem. Faults: `dead`, `registered_as`, `rejected_sends`, `reset_next`.

    `registered_as` is the state that +CEREG shows (None: the true state). `rejected_sends` is the
    number of datagrams that get ERROR. `reset_next` restarts the modem at the next datagram.
    """

    FAULTS: ClassVar = EmulatedModem.FAULTS | {"registered_as", "rejected_sends", "reset_next"}
    boot_us = 5 * SECOND

    def __init__(
        self,
        radio: Radio,
        gateway: MessageGateway,
        has_ip: bool = False,
        serial: str = "867730050000001",
    ) -> None:
        super().__init__(radio, gateway, serial)
        self.registered_as: int | None = None
        self.rejected_sends = 0
        self.reset_next = False
        self.has_ip = has_ip
        self.band_text: str | None = "NB BAND 255"
        """The band that the modem reports; "none": no service; None: it has no such command."""
        self.error_text = b"ERROR"
        """With AT+CMEE=1, the default of some modems: `+CME ERROR: n`."""
        self.sent = 0

    def _clear_state(self) -> None:
        super()._clear_state()
        self._echo = True
        self._reports_state = False
        self._radio_on = False
        self._attached = False
        self._signal_since: int | None = None
        self._socket = False

    @property
    def attached(self) -> bool:
        """Whether the modem is attached to the network; an interface behind it follows this."""
        return self._attached

    def receive(self, data: bytes, now: int) -> Replies:
        """Process received bytes."""
        if self._is_unresponsive(now):
            return []
        self._buffer += data
        replies: Replies = []
        while b"\r" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r")
            if self._echo:
                replies.append((0, line + b"\r"))
            replies += self._command(line.strip(), now)
        self._buffer = self._buffer[-4096:]
        return replies

    def _ok(self, text: bytes = b"", delay: int = 5 * MILLISECOND) -> Replies:
        return [(delay, (b"\r\n" + text + b"\r\n" if text else b"") + b"\r\nOK\r\n")]

    def _command(self, line: bytes, now: int) -> Replies:
        error: Replies = [(5 * MILLISECOND, b"\r\n" + self.error_text + b"\r\n")]
        if line.startswith((b"AT+CSODCP=", b"AT+QISENDEX=")):
            return self._send_datagram(line, now) or error
        if line.startswith(b"AT+CFUN="):
            self._radio_on = line == b"AT+CFUN=1"
            self._attached = self._socket = False
            self._signal_since = None
            self._sky_check_at = now + MILLISECOND
        elif line == b"AT+CEREG?":
            return self._ok(b"+CEREG: 2,%d" % self._registration())
        elif line == b"AT+CSQ":
            bars = self.radio.bars(now) if self._radio_on else 0
            return self._ok(b"+CSQ: %d,99" % (6 * bars if bars else 99))
        elif line == b"AT+QNWINFO":
            return error if self.band_text is None else self._ok(self._network_info(self.band_text))
        elif line.startswith(b"AT+CEREG="):
            self._reports_state = True
        elif line.startswith(b"AT+QIOPEN="):
            self._socket = self._attached
            text = b"+QIOPEN: 0,%d" % (0 if self._socket else 566)
            return [*self._ok(), (50 * MILLISECOND, b"\r\n" + text + b"\r\n")]
        elif line in (b"ATE0", b"ATE1"):
            self._echo = line == b"ATE1"
        elif not line.startswith(b"AT"):
            return error if line else []
        return self._ok()

    @staticmethod
    def _network_info(band: str) -> bytes:
        if band == "none":
            return b"+QNWINFO: No Service"
        return b'+QNWINFO: "NBIoT","90198","%s",7697' % band.encode()

    def _registration(self) -> int:
        if self.registered_as is not None:
            return self.registered_as
        return 5 if self._attached else 2

    def _send_datagram(self, line: bytes, now: int) -> Replies:
        if self.reset_next:
            self.reset_next = False
            self.reset(now)
            return []
        by_udp = line.startswith(b"AT+QISENDEX=")
        text = line.split(b",")[-1].strip(b'"')
        if (
            self.rejected_sends
            or not self._attached
            or self.has_ip
            or (by_udp and not self._socket)
        ):
            self.rejected_sends = max(0, self.rejected_sends - 1)
            return []
        try:
            content = unhexlify(text)
            stated = len(content) if by_udp else int(line.split(b",")[1])
        except (ValueError, IndexError):
            return [(0, b"\r\nERROR\r\n")]
        if stated != len(content):
            return [(0, b"\r\nERROR\r\n")]
        duration = self.radio.random_us(1, 6)
        if not self.radio.try_session(now):
            return [(duration, b"\r\nERROR\r\n")]
        self.sent += 1
        self._gateway.receive(self.serial, self.sent, content, now + duration)
        replies = self._ok(b"SEND OK" if by_udp else b"", duration)
        if self._gateway.queued_count(self.serial):
            downlink, _ = self._gateway.run_session(self.serial, 0, b"", now + duration)
            replies.append((duration + 200 * MILLISECOND, self._downlink_text(downlink, by_udp)))
        return replies

    @staticmethod
    def _downlink_text(content: bytes, by_udp: bool) -> bytes:
        text = b'%d,"%s"' % (len(content), hexlify(content))
        head = b'+QIURC: "recv",0,' if by_udp else b"+CRTDCP: 1,"
        return b"\r\n" + head + text + b"\r\n"

    def wake(self, now: int) -> Replies:
        """Attach or detach according to the signal, and report a change."""
        if now < self._sky_check_at:
            return []
        self._sky_check_at = now + _SKY_CHECK_US
        if self.dead or not self._radio_on:
            return []
        has_signal = self.radio.bars(now) > 0
        if not has_signal:
            self._signal_since = None
        elif self._signal_since is None:
            self._signal_since = now
        before = self._attached
        since = self._signal_since
        self._attached = since is not None and now - since >= _ATTACH_US
        if self._attached != before:
            self._socket = False
            if self._reports_state:
                return [(0, b"\r\n+CEREG: %d\r\n" % self._registration())]
        return []
