# SPDX-License-Identifier: Apache-2.0
"""What a u-blox receiver states about itself in UBX frames: leap seconds, antenna, interference.

Reads NAV-TIMELS, NAV-STATUS, NAV-PVT (authentication only), MON-HW, MON-RF, SEC-OSNMA, TIM-TP, ACK-
ACK and ACK-NAK. Does not check lengths and checksums of frames; see `protocols.nmea.framing`. The
result is a `VendorSentence`, as for a sentence.

Sources: u-blox M8 receiver description (UBX-13003221), 32.17 and 32.18; F9 HPG 1.32 interface
description, 3.14, 3.15 and 3.17; F9 HPG 1.51, 3.15.16 and 3.19.1. The sign of the quantisation
error is measured, a positive one is an early pulse: anderswallin.net, "uBlox F9T qErr correction"
(2019). pyubx2 wrote the first frames of the tests. BDSBAS has signatures too, but no known receiver
reports their result.
"""

from protocols.nmea.vendor_sentences import VendorSentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LEVELS = (None, "ok", "warning", "critical")
_ANTENNA = {2: "ok", 3: "short", 4: "open"}
_SPOOFING = (None, "ok", "warning", "critical")
_SATELLITE_SOURCES = (2, 3, 4, 5, 8)
"""GPS, SBAS, BeiDou, Galileo, NavIC. Not: firmware (0), difference to GLONASS (1), aiding (6)."""

_OSNMA_KEY_AT = {2: 12, 3: 20}
"""Version of SEC-OSNMA: where `teslaKey` begins; four bytes later the satellites."""
_PULSE_MASK, _PULSE_UTC = 0x13, 0x03
"""TIM-TP: bit 0 time base UTC, bit 1 UTC is available, bit 4 the quantisation error is invalid."""
_MOST_PS = 1_000_000
"""A period of the receiver's clock is below 1 µs."""
_NMA_FIX, _KEY_FALSE = 0x40, 2
"""Bit 14 of `flags3` of NAV-PVT; `teslaKeyAuthStatus` fail."""


def parse_frame(frame: bytes) -> "VendorSentence | None":
    """Parse a whole UBX frame with a right checksum; None for another message."""
    reader = _READERS.get((frame[2], frame[3]))
    if reader is None:
        return None
    payload = frame[6:-2]
    notice = VendorSentence(b"UBX", b"", "ublox")
    return notice if reader(notice, payload) else None


def _read_leap_seconds(notice: VendorSentence, payload: bytes) -> bool:
    if len(payload) != 24 or payload[4] != 0:
        return False
    leap_s = payload[9] - 256 if payload[9] > 127 else payload[9]
    if payload[23] & 1:
        notice.state_leap_s(leap_s, payload[8] in _SATELLITE_SOURCES)
    return True


def _read_status(notice: VendorSentence, payload: bytes) -> bool:
    if len(payload) != 16:
        return False
    notice.state_health(None, None, _SPOOFING[payload[7] >> 3 & 3])
    return True


def _read_hardware(notice: VendorSentence, payload: bytes) -> bool:
    if len(payload) != 60:
        return False
    notice.state_health(_ANTENNA.get(payload[20]), _LEVELS[payload[22] >> 2 & 3])
    notice.gain, notice.cw_level = payload[18] | payload[19] << 8, payload[45]
    return True


def _read_fix(notice: VendorSentence, payload: bytes) -> bool:
    """Read NAV-PVT. The bit also is 0 if the receiver has no OSNMA: only 1 is a statement."""
    if len(payload) != 92 or not payload[79] & _NMA_FIX:
        return False
    notice.authenticated = True
    return True


def _read_osnma(notice: VendorSentence, payload: bytes) -> bool:
    """Read SEC-OSNMA, version 2 or 3: the state of the TESLA key, and the proven satellites.

    A key that does not fit its chain is a false signature. No proven satellite is no statement.
    """
    at = _OSNMA_KEY_AT.get(payload[0] if payload else 0, len(payload))
    if len(payload) < at + 8 or not payload[2] & 1:
        return False
    key = payload[at] & 7
    general = payload[at + 4]
    if key == _KEY_FALSE:
        notice.authenticated = False
    elif general & 63:
        notice.authenticated = True
    return True


def _read_rf_blocks(notice: VendorSentence, payload: bytes) -> bool:
    """Read MON-RF: the worst jamming of all blocks; the antenna of the first block."""
    if len(payload) < 28 or payload[0] != 0 or len(payload) != 4 + 24 * payload[1]:
        return False
    worst = max([payload[at + 1] & 3 for at in range(4, len(payload), 24)])
    notice.state_health(_ANTENNA.get(payload[6]), _LEVELS[worst])
    blocks = range(4, len(payload), 24)
    notice.gain = min([payload[at + 14] | payload[at + 15] << 8 for at in blocks])
    notice.cw_level = max([payload[at + 16] for at in blocks])
    return True


def _read_pulse(notice: VendorSentence, payload: bytes) -> bool:
    """Read TIM-TP: the next pulse. Only in UTC: of other scales the leap seconds are uncertain."""
    if len(payload) != 16 or payload[14] & _PULSE_MASK != _PULSE_UTC:
        return False
    milliseconds = int.from_bytes(payload[0:4], "little")
    early_ps = int.from_bytes(payload[8:12], "little")
    early_ps -= (early_ps & 0x80000000) << 1
    if milliseconds % 1000 or payload[4:8] != b"\x00\x00\x00\x00" or abs(early_ps) > _MOST_PS:
        return False
    notice.pulse = (milliseconds // 1000, (early_ps + 500) // 1000)
    return True


def _read_accepted(notice: VendorSentence, payload: bytes) -> bool:
    notice.reply = (payload, True)
    return len(payload) == 2


def _read_rejected(notice: VendorSentence, payload: bytes) -> bool:
    notice.reply = (payload, False)
    return len(payload) == 2


_READERS: "dict[tuple[int, int], Callable[[VendorSentence, bytes], bool]]" = {
    (0x01, 0x26): _read_leap_seconds,
    (0x01, 0x03): _read_status,
    (0x0A, 0x09): _read_hardware,
    (0x0A, 0x38): _read_rf_blocks,
    (0x01, 0x07): _read_fix,
    (0x27, 0x0A): _read_osnma,
    (0x0D, 0x01): _read_pulse,
    (0x05, 0x01): _read_accepted,
    (0x05, 0x00): _read_rejected,
}
