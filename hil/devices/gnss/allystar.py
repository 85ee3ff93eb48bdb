# SPDX-License-Identifier: Apache-2.0
"""Binary commands of an emulated Allystar receiver; construct describes the frames.

Supported are CFG-PRT, CFG-MSG, CFG-CFG, CFG-NAVSAT and CFG-SIMPLERST, each with an acknowledgement.

Sources: DATAGNSS command files for HD9310 and list of NMEA commands for TAU1201; data sheet of
TAU1113, table 26 (speed).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from construct import Byte, Bytes, Const, Int16ul, StreamError, Struct, this

from hil.devices.gnss.elements import BEIDOU, GALILEO, GLONASS, GPS
from hil.devices.gnss.ublox_frame import checksum

if TYPE_CHECKING:
    from hil.devices.gnss.receiver import GnssReceiver

_SYNC = b"\xf1\xd9"
FRAME: Any = Struct(
    "sync" / Const(_SYNC),
    "kind" / Byte,
    "id" / Byte,
    "size" / Int16ul,
    "payload" / Bytes(this.size),
    "sums" / Bytes(2),
)
_MOST = 256
_KINDS = {0: "GGA", 1: "GLL", 2: "GSA", 4: "GSV", 5: "RMC", 6: "VTG", 7: "ZDA", 8: "GST"}
_SYSTEMS = {0: GPS, 1: GLONASS, 2: BEIDOU, 4: GALILEO}
"""The bits of the first band."""


class AllystarInterpreter:
    """Splits the input into frames and executes them."""

    def __init__(self) -> None:
        self._buffer = b""

    def __call__(self, receiver: GnssReceiver, data: bytes, now: int) -> list[bytes]:
        """Process bytes; return the replies."""
        self._buffer = (self._buffer + data)[-_MOST:]
        answers: list[bytes] = []
        while (at := self._buffer.find(_SYNC)) >= 0:
            receiver.count_ignored(at)
            self._buffer = self._buffer[at:]
            size = int.from_bytes(self._buffer[4:6], "little") + 8
            if len(self._buffer) < size:
                break
            raw, self._buffer = self._buffer[:size], self._buffer[size:]
            if checksum(raw[2:-2]) == raw[-2:]:
                answers += self._execute(receiver, FRAME.parse(raw), now)
        return answers

    def _execute(self, receiver: GnssReceiver, message: Any, now: int) -> list[bytes]:
        handler = _TABLE.get(message.id) if message.kind == 0x06 else None
        if handler is None:
            return []
        receiver.count_command()
        done = receiver.ignores_commands
        if not done:
            try:
                done = handler(receiver, bytes(message.payload), now)
            except (struct.error, IndexError, StreamError):
                done = False
        content = struct.pack("<BBHBB", 0x05, int(done), 2, message.kind, message.id)
        return [_SYNC + content + checksum(content)]


def _set_port(receiver: GnssReceiver, payload: bytes, now: int) -> bool:
    port, baud = struct.unpack("<BxxxI", payload)
    if port != 0 or not 4800 <= baud <= 921_600:
        return False
    receiver.change_baud(baud, now)
    return True


def _set_message(receiver: GnssReceiver, payload: bytes, _: int) -> bool:
    kind, number, rate = struct.unpack("<BBB", payload)
    if kind != 0xF0 or number not in _KINDS:
        return False
    receiver.rate_divisors[_KINDS[number]] = rate
    return True


def _set_systems(receiver: GnssReceiver, payload: bytes, _: int) -> bool:
    (mask,) = struct.unpack("<I", payload)
    chosen = [
        system
        for bit, system in _SYSTEMS.items()
        if mask >> bit & 1 and system in receiver.dialect.signals
    ]
    if not chosen:
        return False
    receiver.select_systems(chosen)
    return True


def _restart(receiver: GnssReceiver, payload: bytes, now: int) -> bool:
    kind = {1: 0, 2: 1, 3: 2}.get(payload[0])
    if kind is None:
        return False
    receiver.restart(kind, now)
    return True


_TABLE = {
    0x00: _set_port,
    0x01: _set_message,
    0x09: lambda _, payload, __: len(payload) == 8,
    0x0C: _set_systems,
    0x12: lambda receiver, payload, _: receiver.timing.set_survey(payload),
    0x14: lambda receiver, payload, _: receiver.timing.set_ecef(payload),
    0x40: _restart,
}
