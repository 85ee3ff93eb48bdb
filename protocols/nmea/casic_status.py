# SPDX-License-Identifier: Apache-2.0
"""What a CASIC receiver states about itself in binary frames: leap seconds, gain, antenna.

Reads MSG-GPSUTC, MSG-BDSUTC, TIM2-LS and MON-HW. Does not check lengths and checksums of frames;
see `protocols.nmea.framing`. The result is a `VendorSentence`, as for a sentence.

Firmware acknowledges messages that it never sends (seen with version 5 and MSG-GPSUTC), so an
acknowledgement is no statement.

Sources: CASIC receiver protocol specification (Zhongke Microelectronics), 2.12 and 2.13; version 6,
3.7.6 and 3.14. The bytes of the tests follow these tables; no capture has these messages.
"""

from protocols.nmea.vendor_sentences import VendorSentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_VALID, _NORMAL = 3, 2
"""`valid` of the UTC parameters; the type of TIM2-LS without an alarm."""
_BDT_BEHIND_GPST_S = 14
_BEIDOU = 1
"""The system number of BeiDou in TIM2-LS; 0 is GPS."""
_ANTENNA = {2: "ok", 3: "short", 4: "open"}


def parse_frame(frame: bytes) -> "VendorSentence | None":
    """Parse a whole CASIC frame with a right checksum; None for another message."""
    reader = _READERS.get((frame[4], frame[5]))
    if reader is None:
        return None
    notice = VendorSentence(b"CASIC", b"", "casic")
    return notice if reader(notice, frame[6:-4]) else None


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _read_gps_utc(notice: VendorSentence, payload: bytes) -> bool:
    if len(payload) != 20:
        return False
    if payload[18] == _VALID:
        notice.state_leap_s(_signed(payload[12]), True)
    return True


def _read_bds_utc(notice: VendorSentence, payload: bytes) -> bool:
    if len(payload) != 20:
        return False
    if payload[18] == _VALID:
        notice.state_leap_s(_signed(payload[12]) + _BDT_BEHIND_GPST_S, True)
    return True


def _read_leap_event(notice: VendorSentence, payload: bytes) -> bool:
    if len(payload) != 16 or payload[8] > _BEIDOU:
        return False
    if payload[11] == _NORMAL:
        behind = _BDT_BEHIND_GPST_S if payload[8] == _BEIDOU else 0
        notice.state_leap_s(_signed(payload[14]) + behind, True)
    return True


def _read_hardware(notice: VendorSentence, payload: bytes) -> bool:
    if len(payload) != 56:
        return False
    notice.gain = payload[12] | payload[13] << 8
    notice.state_health(_ANTENNA.get(payload[20]), None)
    return True


_READERS: "dict[tuple[int, int], Callable[[VendorSentence, bytes], bool]]" = {
    (0x08, 0x05): _read_gps_utc,
    (0x08, 0x00): _read_bds_utc,
    (0x12, 0x07): _read_leap_event,
    (0x0A, 0x09): _read_hardware,
}
