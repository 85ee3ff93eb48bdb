# SPDX-License-Identifier: Apache-2.0
"""UBX commands of an emulated u-blox receiver; construct describes the frames.

Supported are CFG-PRT, CFG-MSG, CFG-RATE, CFG-GNSS, CFG-CFG (saving), CFG-RST, CFG-TP5, CFG-TMODE2,
CFG-TMODE3 and CFG-VALSET. The reply to each except CFG-RST is ACK-ACK or ACK-NAK. Other settings
get ACK-NAK, other messages and polls no reply. A port without UBX sends no frame.

Sources: u-blox M8 receiver description, 32 (UBX); F9 interface description (keys of CFG-VALSET).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from construct import Byte, Bytes, Const, Int16ul, Struct, this

from hil.devices.gnss.elements import BEIDOU, GALILEO, GLONASS, GPS
from hil.devices.gnss.ublox_frame import build_frame, checksum
from hil.devices.gnss.ublox_reports import KINDS as REPORTS

if TYPE_CHECKING:
    from hil.devices.gnss.receiver import GnssReceiver

FRAME: Any = Struct(
    "sync" / Const(b"\xb5\x62"),
    "kind" / Byte,
    "id" / Byte,
    "size" / Int16ul,
    "payload" / Bytes(this.size),
    "sums" / Bytes(2),
)
_HEAD = 6
_MAX_BUFFER = 1024
_CFG = 0x06
_NMEA_CLASS = 0xF0
_KINDS = {0: "GGA", 1: "GLL", 2: "GSA", 3: "GSV", 4: "RMC", 5: "VTG", 7: "GST", 8: "ZDA", 13: "GNS"}
_SYSTEMS = {0: GPS, 2: GALILEO, 3: BEIDOU, 6: GLONASS}
_UART1 = 1
_OUT_PROTOCOLS, _UBX = 14, 1
"""CFG-PRT: the byte of the protocols that the port sends, and the bit of UBX."""
_HOT_MASK, _WARM_MASK = 0x0000, 0x0001

_KEY_BAUD, _KEY_RATE = 0x40520001, 0x30210001
_KEY_SENDS_UBX = 0x10740001
"""CFG-UART1OUTPROT-UBX."""
_KEY_REPORTS = {0x2091017E: (0x0D, 0x01), 0x20910180: (0x0D, 0x01)}
"""CFG-MSGOUT of UART1 and USB."""
_KEY_SYSTEMS = {0x1031001F: GPS, 0x10310021: GALILEO, 0x10310022: BEIDOU, 0x10310025: GLONASS}
_KEY_KINDS = {
    0x209100BB: "GGA",
    0x209100CA: "GLL",
    0x209100C0: "GSA",
    0x209100C5: "GSV",
    0x209100AC: "RMC",
    0x209100B1: "VTG",
    0x209100D4: "GST",
    0x209100D9: "ZDA",
    0x209100B6: "GNS",
}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
"""Number of bytes of a key's value, by its highest three bits."""


class UbloxInterpreter:
    """Splits the input into frames and executes them."""

    def __init__(self) -> None:
        self._buffer = b""

    def __call__(self, receiver: GnssReceiver, data: bytes, now: int) -> list[bytes]:
        """Process bytes; return the replies."""
        self._buffer = (self._buffer + data)[-_MAX_BUFFER:]
        answers: list[bytes] = []
        while True:
            at = self._buffer.find(b"\xb5\x62")
            if at < 0:
                receiver.count_ignored(max(0, len(self._buffer) - 1))
                self._buffer = self._buffer[-1:]
                return answers
            receiver.count_ignored(at)
            self._buffer = self._buffer[at:]
            if len(self._buffer) < _HEAD + 2:
                return answers
            size = int.from_bytes(self._buffer[4:6], "little")
            if size > _MAX_BUFFER - 8:
                self._buffer = self._buffer[2:]
                continue
            if len(self._buffer) < size + 8:
                return answers
            raw_frame, self._buffer = self._buffer[: size + 8], self._buffer[size + 8 :]
            if checksum(raw_frame[2:-2]) == raw_frame[-2:]:
                answers += self._execute(receiver, FRAME.parse(raw_frame), now)

    def _execute(self, receiver: GnssReceiver, message: Any, now: int) -> list[bytes]:
        handler = _TABLE.get((message.kind, message.id))
        if handler is None:
            is_setting = message.kind == _CFG and message.size > 0 and receiver.sends_ubx
            return [build_frame(0x05, 0, bytes((_CFG, message.id)))] if is_setting else []
        receiver.count_command()
        done = True
        if not receiver.ignores_commands:
            try:
                done = handler(receiver, bytes(message.payload), now)
            except (struct.error, IndexError):
                done = False
        if (message.kind, message.id) == (_CFG, 0x04) or not receiver.sends_ubx:
            return []
        return [build_frame(0x05, int(done), bytes((message.kind, message.id)))]


def _cfg_prt(receiver: GnssReceiver, payload: bytes, now: int) -> bool:
    if len(payload) != 20 or payload[0] != _UART1:
        return len(payload) == 1  # a poll
    receiver.sends_ubx = bool(payload[_OUT_PROTOCOLS] & _UBX)
    return _set_baud(receiver, struct.unpack_from("<I", payload, 8)[0], now)


def _set_baud(receiver: GnssReceiver, baud: int, now: int) -> bool:
    if not 9600 <= baud <= 921_600:
        return False
    receiver.change_baud(baud, now)
    return True


def _cfg_msg(receiver: GnssReceiver, payload: bytes, _: int) -> bool:
    if len(payload) not in (3, 8):
        return False
    rate = payload[2] if len(payload) == 3 else payload[2 + _UART1]
    report = (payload[0], payload[1])
    if report in REPORTS:
        receiver.request_report(report, rate > 0)
        return True
    if payload[0] != _NMEA_CLASS or payload[1] not in _KINDS:
        return False
    receiver.rate_divisors[_KINDS[payload[1]]] = rate
    return True


def _cfg_rate(receiver: GnssReceiver, payload: bytes, now: int) -> bool:
    return _set_rate(receiver, struct.unpack_from("<H", payload)[0], now)


def _set_rate(receiver: GnssReceiver, ms: int, now: int) -> bool:
    if not 50 <= ms <= 10_000:
        return False
    receiver.change_period(ms * 1000, now)
    return True


def _cfg_gnss(receiver: GnssReceiver, payload: bytes, now: int) -> bool:
    systems = list(receiver.systems)
    for at in range(4, len(payload) - 7, 8):
        system = _SYSTEMS.get(payload[at])
        if system is None:
            continue
        systems = [s for s in systems if s != system]
        if payload[at + 4] & 1:
            systems.append(system)
    return _select_systems(receiver, systems, now)


def _select_systems(receiver: GnssReceiver, systems: list[str], now: int) -> bool:
    if not systems:
        return False
    receiver.select_systems([signal for signal in receiver.dialect.signals if signal in systems])
    receiver.restart(2, now)  # a change of systems restarts the GNSS part
    return True


def _cfg_rst(receiver: GnssReceiver, payload: bytes, now: int) -> bool:
    mask = struct.unpack_from("<H", payload)[0]
    receiver.restart(2 if mask == _HOT_MASK else 1 if mask == _WARM_MASK else 0, now)
    return True


def _knows_all_keys(receiver: GnssReceiver, payload: bytes) -> bool:
    """Return whether all keys are known: the receiver takes all of them or none."""
    at = 4
    while at + 5 <= len(payload):
        key = struct.unpack_from("<I", payload, at)[0]
        at += 4 + _SIZES.get(key >> 28, 0)
        if key not in _OWN_KEYS and not receiver.timing.knows_key(key):
            return False
    return True


def _cfg_valset(receiver: GnssReceiver, payload: bytes, now: int) -> bool:
    at, done = 4, _knows_all_keys(receiver, payload)
    if not done:
        return False
    systems = list(receiver.systems)
    while at + 5 <= len(payload):
        key = struct.unpack_from("<I", payload, at)[0]
        size = _SIZES.get(key >> 28, 0)
        if not size:
            return False
        value = int.from_bytes(payload[at + 4 : at + 4 + size], "little")
        at += 4 + size
        if key in _KEY_SYSTEMS:
            systems = [system for system in systems if system != _KEY_SYSTEMS[key]]
            systems += [_KEY_SYSTEMS[key]] if value else []
        else:
            done = _set_key(receiver, key, value, now) and done
    receiver.timing.apply_keys()
    if systems != receiver.systems:
        done = _select_systems(receiver, systems, now) and done
    return done


def _set_key(receiver: GnssReceiver, key: int, value: int, now: int) -> bool:
    if key == _KEY_BAUD:
        return _set_baud(receiver, value, now)
    if key == _KEY_RATE:
        return _set_rate(receiver, value, now)
    if key == _KEY_SENDS_UBX:
        receiver.sends_ubx = value > 0
        return True
    if key in _KEY_REPORTS:
        receiver.request_report(_KEY_REPORTS[key], value > 0)
        return True
    if receiver.timing.knows_key(key):
        receiver.timing.set_key(key, value, _SIZES[key >> 28])
        return True
    kind = _KEY_KINDS.get(key)
    if kind is not None:
        receiver.rate_divisors[kind] = value
    return kind is not None


_OWN_KEYS = {_KEY_BAUD, _KEY_RATE, _KEY_SENDS_UBX, *_KEY_SYSTEMS, *_KEY_KINDS, *_KEY_REPORTS}
_OWN_KEYS |= {kind + port for kind in _KEY_KINDS for port in (1, 2)}
"""The keys of UART2 and USB follow that of UART1."""

_TABLE = {
    (_CFG, 0x31): lambda receiver, payload, _: receiver.timing.set_tp5(payload),
    (_CFG, 0x3D): lambda receiver, payload, _: receiver.timing.set_tmode2(payload),
    (_CFG, 0x71): lambda receiver, payload, _: receiver.timing.set_tmode3(payload),
    (_CFG, 0x00): _cfg_prt,
    (_CFG, 0x01): _cfg_msg,
    (_CFG, 0x04): _cfg_rst,
    (_CFG, 0x08): _cfg_rate,
    (_CFG, 0x09): lambda _, payload, __: len(payload) in (12, 13),  # save
    (_CFG, 0x3E): _cfg_gnss,
    (_CFG, 0x8A): _cfg_valset,
}
