# SPDX-License-Identifier: Apache-2.0
"""Logs of Unicore receivers (`#NAME,header;fields*crc`): leap seconds, gain, interference.

Reads GPSUTCA, BDSUTCA, BD3UTCA, AGCA, JAMSTATUSA and FREQJAMSTATUSA. Other logs are skipped. A log
is a line outside of NMEA sentences; `protocols.nmea.framing` gives the bytes. The result is a
`VendorSentence`, as for a sentence.

The CRC has 32 bits (polynomial 0xEDB88320, start 0, no final inversion) over the text between `#`
and `*`. A fixed header ends with the semicolon.

    GPSUTCA   week, tot, a0, a1, week and day of the event, leap seconds before and after it
    BDSUTCA   the same for BDT, which is 14 s behind GPS time
    AGCA      gain of five bands of two antennas, -1: unused. The manual does not state its scale
    JAMSTATUSA      position, ratio of continuous waves (0 to 255), flag (0 unknown, 1 none,
                    2 warning, 3 critical)
    FREQJAMSTATUSA  the same for three bands: ratio and flag of each

Sources: Unicore reference commands manual, N4, 7.3; logs of a UM980 and a UM482 in public drivers.
"""

from protocols.nmea.vendor_sentences import VendorSentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BDT_BEHIND_GPST_S = 14
_LEVELS = (None, "ok", "warning", "critical")
_POLYNOMIAL = 0xEDB88320


def _build_crc_steps() -> "tuple[int, ...]":
    steps = []
    for value in range(16):
        crc = value
        for _ in range(4):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        steps.append(crc)
    return tuple(steps)


_CRC_STEPS = _build_crc_steps()


def crc32(text: bytes) -> int:
    """Return the CRC of a log: start 0, no final inversion."""
    crc = 0
    for byte in text:
        crc = crc >> 4 ^ _CRC_STEPS[(crc ^ byte) & 15]
        crc = crc >> 4 ^ _CRC_STEPS[(crc ^ byte >> 4) & 15]
    return crc


def parse_log(line: bytes) -> "VendorSentence | None":
    """Parse a line from `#` on; None for another log, a wrong CRC or a bad field."""
    text, _, digits = line[1:].partition(b"*")
    header, _, body = text.partition(b";")
    reader = _READERS.get(header.split(b",", 1)[0])
    try:
        if reader is None or int(digits[:8], 16) != crc32(text):
            return None
        notice = VendorSentence(b"UNICORE", b"", "unicore")
        return notice if reader(notice, body.split(b",")) else None
    except ValueError:
        return None


def _read_gps_leap(notice: VendorSentence, f: "list[bytes]") -> bool:
    notice.state_leap_s(int(f[6]), True)
    return len(f) >= 8


def _read_bds_leap(notice: VendorSentence, f: "list[bytes]") -> bool:
    """Read BDSUTCA and BD3UTCA: the leap seconds are the fourth and third last but one."""
    notice.state_leap_s(int(f[-4]) + _BDT_BEHIND_GPST_S, True)
    return len(f) >= 10


def _read_gain(notice: VendorSentence, f: "list[bytes]") -> bool:
    used = [int(value) for value in f[:10]]
    used = [value for value in used if value >= 0]
    if not used:
        return False
    notice.gain = min(used)
    return True


def _read_interference(notice: VendorSentence, f: "list[bytes]") -> bool:
    pairs = [(int(f[at]), int(f[at + 1])) for at in range(1, len(f) - 1, 2)]
    pairs = pairs[: 1 if len(f) < 7 else 3]
    flag = max([flag for _, flag in pairs])
    if not 0 <= flag < len(_LEVELS):
        return False
    notice.cw_level = max([ratio for ratio, _ in pairs])
    notice.state_health(None, _LEVELS[flag])
    return True


_READERS: "dict[bytes, Callable[[VendorSentence, list[bytes]], bool]]" = {
    b"GPSUTCA": _read_gps_leap,
    b"BDSUTCA": _read_bds_leap,
    b"BD3UTCA": _read_bds_leap,
    b"AGCA": _read_gain,
    b"JAMSTATUSA": _read_interference,
    b"FREQJAMSTATUSA": _read_interference,
}
