# SPDX-License-Identifier: Apache-2.0
"""The fields of NMEA 0183 sentences, from bytes to integers.

An empty field is None. A field that breaks the standard raises `DecodeError`. The text is the short
reason that is the key of a counter ("time", "latitude", ...). No value is a float: positions are
1e-7 degrees, times of day microseconds, decimals scaled integers.
"""

from protocols import calendar
from protocols.errors import DecodeError
from protocols.nmea.remember import remember
from protocols.time_units import SECOND

_POWERS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000)
_MAX_FRACTION = 7
_ZEROS = b"0000000"
_DEGREE = 1_000_000_000
"""A degree in `dddmm.mmmmmmm` without its point."""
_SIXTY_MINUTES = 600_000_000
_ZERO_FRACTIONS = (b"00", b"000", b"0")
_MAX_DIGITS = 9
_KEPT = 16  # the sentences of an epoch repeat its time, date and position
_HEX_DIGITS = b"0123456789ABCDEF"
_IS_CPYTHON = hasattr(b"", "isascii")
SHORT_NUMBERS = {str(n).encode(): n for n in range(100 if _IS_CPYTHON else 10)}
"""Short numbers by their text: a look-up is faster than a conversion. A board has memory for fewer
of them."""
THREE_DIGITS = SHORT_NUMBERS
"""Numbers of up to three digits; on a board those of `SHORT_NUMBERS`."""
if _IS_CPYTHON:
    SHORT_NUMBERS.update({b"%02d" % n: n for n in range(10)})
    THREE_DIGITS = {b"%03d" % n: n for n in range(1000)}
    THREE_DIGITS.update(SHORT_NUMBERS)


def parse_unsigned(field: bytes, digits: int, reason: str) -> "int | None":
    """Return an unsigned integer of at most `digits` digits."""
    if not field:
        return None
    value = SHORT_NUMBERS.get(field)
    if value is not None and len(field) <= digits:
        return value
    if len(field) > digits or not field.isdigit():
        raise DecodeError(reason)
    return int(field)


def parse_hex_digit(field: bytes) -> "int | None":
    """Return one upper-case hexadecimal digit (NMEA 4.1 system or signal id), else None.

    Never raises: older receivers have other content in this field.
    """
    value = _HEX_DIGITS.find(field)
    return value if len(field) == 1 and value >= 0 else None


def scale_decimal(field: bytes, places: int, reason: str) -> int:
    """Return an unsigned decimal times 10**`places` (at most 7).

    Further digits are cut off. The integer part is required; point and fraction are optional.
    """
    whole, _, fraction = field.partition(b".")
    if not whole.isdigit() or len(whole) > _MAX_DIGITS:
        raise DecodeError(reason)
    if not fraction:
        return int(whole) * _POWERS[places]
    if not fraction.isdigit():
        raise DecodeError(reason)
    return int(whole + (fraction + _ZEROS)[:places])


def parse_decimal(field: bytes, places: int, reason: str) -> "int | None":
    """Return a decimal with optional minus, times 10**`places` (at most 6), truncated to zero."""
    if not field:
        return None
    if len(field) <= _MAX_DIGITS and field.isdigit():  # the usual case: needs no split
        return int(field) * _POWERS[places]
    if field[:1] == b"-":
        return -scale_decimal(field[1:], places, reason)
    return scale_decimal(field, places, reason)


@remember(_KEPT)
def parse_time_of_day(field: bytes) -> "int | None":
    """Return `hhmmss[.f]` as microseconds since midnight; 23:59:60 is 86,400,000,000 or more."""
    if not field:
        return None
    whole, fraction = field[:6], field[7:]
    if len(whole) != 6 or not whole.isdigit() or field[6:7] not in b".":
        raise DecodeError("time")
    minutes, second = divmod(int(whole), 100)
    hour, minute = divmod(minutes, 100)
    if (second > 59 or minute > 59 or hour > 23) and not calendar.is_time(hour, minute, second):
        raise DecodeError("time")
    micros = 0
    if fraction and fraction not in _ZERO_FRACTIONS:
        if not fraction.isdigit():
            raise DecodeError("time")
        micros = int((fraction + _ZEROS)[:6])
    return (hour * 3600 + minute * 60 + second) * SECOND + micros


@remember(_KEPT)
def parse_date(field: bytes) -> "tuple[int, int, int] | None":
    """Return `ddmmyy` as (year, month, day). Years 80 to 99 are 1980 to 1999 (GPS era)."""
    if not field:
        return None
    if len(field) != 6 or not field.isdigit():
        raise DecodeError("date")
    rest, year = divmod(int(field), 100)
    day, month = divmod(rest, 100)
    year += 1900 if year >= 80 else 2000
    if not calendar.is_date(year, month, day):
        raise DecodeError("date")
    return year, month, day


@remember(_KEPT)
def parse_angle(field: bytes, hemisphere: bytes, letters: bytes, limit: int) -> "int | None":
    """Return `dddmm.mmmm` and its hemisphere as 1e-7 degrees, rounded; None if both are empty.

    `letters` are the positive and the negative hemisphere (b"NS", b"EW"); `limit` is in degrees.
    A minus before the digits is ignored: one vendor writes it in addition to the W.
    """
    reason = "latitude" if limit == 90 else "longitude"
    if not field and not hemisphere:
        return None
    sign = letters.find(hemisphere)
    if len(hemisphere) != 1 or sign < 0:
        raise DecodeError(reason)
    if field[:1] == b"-":
        field = field[1:]
    scaled = scale_decimal(field, _MAX_FRACTION, reason)
    degrees, minutes = divmod(scaled, _DEGREE)
    # minutes * 1e7 / 60 degrees, rounded: in units of 1e-7 minutes the factor is 1/60
    value = degrees * 10_000_000 + (minutes + 30) // 60
    if minutes >= _SIXTY_MINUTES or value > limit * 10_000_000:
        raise DecodeError(reason)
    return -value if sign else value
