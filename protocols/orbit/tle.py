# SPDX-License-Identifier: Apache-2.0
"""Two-line elements: text to `protocols.orbit.sgp4.MeanElements`.

Does not write elements and is not a catalogue. Columns and check digits as in Spacetrack Report 3;
the two-digit year of the epoch is 1957 to 2056.
"""

from math import pi

from protocols.calendar import DAY, utc_from_civil
from protocols.errors import DecodeError
from protocols.orbit.sgp4 import MeanElements

_DEG = pi / 180.0
_LENGTH = 69
_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ .+-"


def parse(line1: str, line2: str) -> MeanElements:
    """Parse two lines; raises `DecodeError` that names the error."""
    for number, line in (("1", line1), ("2", line2)):
        if len(line) < _LENGTH or line[0] != number:
            raise DecodeError("line %s of the elements is not 69 characters" % number)
        if False in [c in _CHARACTERS for c in line[:_LENGTH]]:
            raise DecodeError("line %s of the elements has other characters" % number)
        if not line[68].isdigit() or _check_digit(line[:68]) != int(line[68]):
            raise DecodeError("line %s of the elements has a bad check digit" % number)
    if line1[2:7] != line2[2:7]:
        raise DecodeError("the two lines are not of one satellite")
    try:
        return _parse_elements(line1, line2)
    except (ValueError, OverflowError):
        raise DecodeError("a number of the elements cannot be read")


def _check_digit(text: str) -> int:
    return sum([int(c) if c.isdigit() else int(c == "-") for c in text]) % 10


def _parse_elements(line1: str, line2: str) -> MeanElements:
    ecc = int(line2[26:33].replace(" ", "0")) / 1e7
    motion = _number(line2[52:63]) * 2.0 * pi / 1440.0
    elements = MeanElements(_parse_epoch(line1), motion, ecc, _number(line2[8:16]) * _DEG)
    elements.node = _number(line2[17:25]) * _DEG
    elements.perigee = _number(line2[34:42]) * _DEG
    elements.anomaly = _number(line2[43:51]) * _DEG
    mantissa = line1[53] + "." + line1[54:59].replace(" ", "0")
    elements.bstar = float(mantissa.strip()) * 10.0 ** int(line1[59:61])
    return elements


def _number(text: str) -> float:
    """Convert a field. Raises ValueError, also for the words that `float` knows."""
    if text.strip(" 0123456789.+-"):
        raise ValueError(text)
    return float(text)


def _parse_epoch(line1: str) -> int:
    """Return the epoch as UTC microseconds, in integers (a 32-bit float has errors of an hour)."""
    year = int(line1[18:20])
    year += 1900 if year >= 57 else 2000
    days = int(line1[20:23])
    fraction = int(line1[24:32].replace(" ", "0"))  # 1e-8 days
    return utc_from_civil(year, 1, 1, 0) + (days - 1) * DAY + fraction * (DAY // 100_000) // 1000
