# SPDX-License-Identifier: Apache-2.0
"""An emulated BeiDou RDSS terminal of protocol 2.1, with a class 3 card: one message a minute.

It follows the public description of the interface and shares no code with the agent. Checksums come
from pynmea2.
"""

from __future__ import annotations

from binascii import unhexlify
from typing import ClassVar

from pynmea2.nmea import NMEASentence

from hil.devices.base import MILLISECOND, NEVER, SECOND, FaultTarget, Replies
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.radio import Radio

_INTERVAL_US = 60 * SECOND


class RdssTerminal(FaultTarget):
    """One terminal. Faults: `dead`, `rejected_sends` (number of messages that get N)."""

    FAULTS: ClassVar = frozenset(("dead", "rejected_sends"))

    def __init__(self, radio: Radio, gateway: MessageGateway, serial: str = "0241234") -> None:
        self.dead = False
        self.rejected_sends = 0
        self.radio = radio
        self.serial = serial
        self.sent = 0
        self._gateway = gateway
        self._buffer = b""
        self._next_send_at = 0

    def receive(self, data: bytes, now: int) -> Replies:
        """Process received bytes."""
        if self.dead:
            return []
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines[-1][-1024:]
        replies: Replies = []
        for line in lines[:-1]:
            body, _, check = line.strip().partition(b"*")
            text = body.decode("ascii", "replace").lstrip("$")
            if check.upper() == b"%02X" % NMEASentence.checksum(text):
                replies += self._handle_sentence(text.split(","), now)
        return replies

    def _message(self, body: str, delay: int = 20 * MILLISECOND) -> tuple[int, bytes]:
        return delay, f"${body}*{NMEASentence.checksum(body):02X}\r\n".encode()

    def _handle_sentence(self, fields: list[str], now: int) -> Replies:
        if fields[0] == "CCICA":
            return [self._message(f"BDICI,{self.serial},0000001,1,60,3,N,0")]
        if fields[0] == "CCRMO":
            power = min(4, self.radio.bars(now))
            return [self._message(f"BDPWI,00000000,{power},0,0,0,0,0")]
        if fields[0] != "CCTXA":
            return []
        try:
            content = unhexlify(fields[4][2:])
        except (IndexError, ValueError):
            return []
        wait = max(0, self._next_send_at - now) // SECOND
        if wait or self.rejected_sends:
            self.rejected_sends = max(0, self.rejected_sends - 1)
            return [self._message(f"BDFKI,TXA,N,N,4,{wait % 3600 // 60 * 100 + wait % 60:06d}")]
        self._next_send_at = now + _INTERVAL_US
        if self.radio.try_session(now):
            self.sent += 1
            self._gateway.receive(self.serial, self.sent, content, now + SECOND)
        return [self._message("BDFKI,TXA,Y,N,0,000000")]

    def wake(self, now: int) -> Replies:
        """Do nothing: the terminal only replies."""
        return []

    def deadline(self) -> int:
        """Return NEVER."""
        return NEVER
