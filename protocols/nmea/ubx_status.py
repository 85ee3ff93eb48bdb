# SPDX-License-Identifier: Apache-2.0
"""What a u-blox receiver states about itself in UBX frames: leap seconds, antenna, interference.

Reads NAV-TIMELS, NAV-STATUS, MON-HW and MON-RF. Does not check lengths and checksums of frames; see
`protocols.nmea.framing`. The result is a `VendorSentence`, as for a sentence.

Sources: u-blox M8 receiver description (UBX-13003221), 32.17 and 32.18; F9 HPG 1.32 interface
description, 3.14 and 3.15. pyubx2 1.4 writes the frames of the tests.
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
    return True


def _read_rf_blocks(notice: VendorSentence, payload: bytes) -> bool:
    """Read MON-RF: the worst jamming of all blocks; the antenna of the first block."""
    if len(payload) < 28 or payload[0] != 0 or len(payload) != 4 + 24 * payload[1]:
        return False
    worst = max([payload[at + 1] & 3 for at in range(4, len(payload), 24)])
    notice.state_health(_ANTENNA.get(payload[6]), _LEVELS[worst])
    return True


_READERS: "dict[tuple[int, int], Callable[[VendorSentence, bytes], bool]]" = {
    (0x01, 0x26): _read_leap_seconds,
    (0x01, 0x03): _read_status,
    (0x0A, 0x09): _read_hardware,
    (0x0A, 0x38): _read_rf_blocks,
}
