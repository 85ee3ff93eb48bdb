"""An emulated NB-IoT modem on a satellite network: registration, signal, NIDD and UDP datagrams.

By 3GPP TS 27.007 and Quectel's words for UDP, with nothing of ours. With `has_ip` it is a modem
whose IP side is an interface: AT tells the status only.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify

from hil.devices.base import MILLISECOND, SECOND, Replies
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.modem import Modem
from hil.devices.satcom.radio import Radio

_LOOK = 2 * SECOND
_ATTACH = 4 * SECOND


class NtnModem(Modem):
    """One modem. Faults: `dead`, `registered_as` (state that +CEREG shows; None: the true one),
    `refuse` (so many datagrams get ERROR), `reset_next` (restarts at the next datagram).
    """

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
        self.refuse = 0
        self.reset_next = False
        self.has_ip = has_ip
        self.sent = 0

    def _clear(self) -> None:
        super()._clear()
        self._echo = True
        self._report = False
        self._on = False
        self._attached = False
        self._heard_since: int | None = None
        self._socket = False

    @property
    def attached(self) -> bool:
        """Whether the network may be used: what an interface behind it goes by."""
        return self._attached

    def receive(self, data: bytes, now: int) -> Replies:
        """Take bytes."""
        if self._deaf(now):
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
        error: Replies = [(5 * MILLISECOND, b"\r\nERROR\r\n")]
        if line.startswith((b"AT+CSODCP=", b"AT+QISENDEX=")):
            return self._datagram(line, now) or error
        if line.startswith(b"AT+CFUN="):
            self._on = line == b"AT+CFUN=1"
            self._attached = self._socket = False
            self._heard_since = None
            self._look_at = now + MILLISECOND
        elif line == b"AT+CEREG?":
            return self._ok(b"+CEREG: 2,%d" % self._state())
        elif line == b"AT+CSQ":
            bars = self.radio.bars(now) if self._on else 0
            return self._ok(b"+CSQ: %d,99" % (6 * bars if bars else 99))
        elif line.startswith(b"AT+CEREG="):
            self._report = True
        elif line.startswith(b"AT+QIOPEN="):
            self._socket = self._attached
            text = b"+QIOPEN: 0,%d" % (0 if self._socket else 566)
            return [*self._ok(), (50 * MILLISECOND, b"\r\n" + text + b"\r\n")]
        elif line in (b"ATE0", b"ATE1"):
            self._echo = line == b"ATE1"
        elif not line.startswith(b"AT"):
            return error if line else []
        return self._ok()

    def _state(self) -> int:
        if self.registered_as is not None:
            return self.registered_as
        return 5 if self._attached else 2

    def _datagram(self, line: bytes, now: int) -> Replies:
        if self.reset_next:
            self.reset_next = False
            self.reset(now)
            return []
        by_udp = line.startswith(b"AT+QISENDEX=")
        text = line.split(b",")[-1].strip(b'"')
        if self.refuse or not self._attached or self.has_ip or (by_udp and not self._socket):
            self.refuse = max(0, self.refuse - 1)
            return []
        takes = self.radio.seconds(1, 6)
        if not self.radio.through(now):
            return [(takes, b"\r\nERROR\r\n")]
        self.sent += 1
        self._gateway.take(self.serial, self.sent, unhexlify(text), now + takes)
        replies = self._ok(b"SEND OK" if by_udp else b"", takes)
        if self._gateway.queued(self.serial):
            down, _ = self._gateway.session(self.serial, 0, b"", now + takes)
            replies.append((takes + 200 * MILLISECOND, self._down(down, by_udp)))
        return replies

    @staticmethod
    def _down(content: bytes, by_udp: bool) -> bytes:
        text = b'%d,"%s"' % (len(content), hexlify(content))
        head = b'+QIURC: "recv",0,' if by_udp else b"+CRTDCP: 1,"
        return b"\r\n" + head + text + b"\r\n"

    def wake(self, now: int) -> Replies:
        """Attach and detach as the sky allows, and tell."""
        if now < self._look_at:
            return []
        self._look_at = now + _LOOK
        if self.dead or not self._on:
            return []
        heard = self.radio.bars(now) > 0
        if not heard:
            self._heard_since = None
        elif self._heard_since is None:
            self._heard_since = now
        before = self._attached
        since = self._heard_since
        self._attached = since is not None and now - since >= _ATTACH
        if self._attached != before:
            self._socket = False
            if self._report:
                return [(0, b"\r\n+CEREG: %d\r\n" % self._state())]
        return []
