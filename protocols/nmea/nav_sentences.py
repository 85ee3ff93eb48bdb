# SPDX-License-Identifier: Apache-2.0
"""Six further NMEA 0183 sentences as objects: GLL, GNS, VTG, GST, GBS, DTM.

The table in `protocols.nmea.sentences` refers to this module. A constructor takes the body. An
empty field is None; an invalid one raises `DecodeError` with its name. Errors and deviations are
in millimetres.

Sources: NMEA 0183 / IEC 61162-1 as published by receiver vendors (u-blox M8 and F9 interface
descriptions; Unicore UM980 reference manual).
"""

from protocols.errors import DecodeError
from protocols.nmea import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_KNOT_UM_PER_S = 514_444  # micrometres a second


class Gll:
    """Position: `time_us`, `lat_e7`, `lon_e7`, `status` (b"A", b"V"), `mode` (as RMC, or b"")."""

    __slots__ = ("lat_e7", "lon_e7", "mode", "status", "talker", "time_us")
    kind = b"GLL"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        if not 7 <= len(f) <= 8:
            raise DecodeError("fields")
        self.talker = body[:2]
        self.lat_e7 = fields.parse_angle(f[1], f[2], b"NS", 90)
        self.lon_e7 = fields.parse_angle(f[3], f[4], b"EW", 180)
        self.time_us = fields.parse_time_of_day(f[5])
        self.status = f[6]
        if f[6] not in (b"A", b"V", b""):
            raise DecodeError("status")
        self.mode = f[7] if len(f) > 7 else b""


class Gns:
    """Fix data of several systems.

    time_us, lat_e7, lon_e7, used, hdop_centi, alt_mm   as in GGA
    modes       one letter (as the mode of RMC) for each of GPS, GLONASS, Galileo, BeiDou, QZSS,
                NavIC, as many as the receiver knows
    nav_status  last field of NMEA 4.1, unchanged; b"" if not sent
    """

    __slots__ = (
        "alt_mm",
        "hdop_centi",
        "lat_e7",
        "lon_e7",
        "modes",
        "nav_status",
        "talker",
        "time_us",
        "used",
    )
    kind = b"GNS"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        if not 13 <= len(f) <= 14:
            raise DecodeError("fields")
        self.talker = body[:2]
        self.time_us = fields.parse_time_of_day(f[1])
        self.lat_e7 = fields.parse_angle(f[2], f[3], b"NS", 90)
        self.lon_e7 = fields.parse_angle(f[4], f[5], b"EW", 180)
        self.modes = f[6]
        if f[6] and not f[6].isalpha():
            raise DecodeError("mode")
        self.used = fields.parse_unsigned(f[7], 3, "used")
        self.hdop_centi = fields.parse_decimal(f[8], 2, "hdop")
        self.alt_mm = fields.parse_decimal(f[9], 3, "altitude")
        self.nav_status = f[13] if len(f) > 13 else b""


class Vtg:
    """Course and speed over ground; None if not sent.

    course_centi  0.01 degrees, true north
    speed_mmps    millimetres a second
    mode          as in RMC, or b""
    """

    __slots__ = ("course_centi", "mode", "speed_mmps", "talker")
    kind = b"VTG"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        if len(f) == 5:  # before NMEA 2.3: four numbers without units
            f = [f[0], f[1], b"T", f[2], b"M", f[3], b"N", f[4], b"K"]
        if not 9 <= len(f) <= 10:
            raise DecodeError("fields")
        self.talker = body[:2]
        self.course_centi = fields.parse_decimal(f[1], 2, "course")
        kmh_milli = fields.parse_decimal(f[7], 3, "speed")
        knots_milli = fields.parse_decimal(f[5], 3, "speed")
        self.speed_mmps: int | None = None
        if kmh_milli is not None:
            self.speed_mmps = kmh_milli * 10 // 36
        elif knots_milli is not None:
            self.speed_mmps = knots_milli * _KNOT_UM_PER_S // 1_000_000
        self.mode = f[9] if len(f) > 9 else b""


class Gst:
    """Standard deviations of the fix in millimetres, one sigma: `rms_mm` of the ranges, `lat_mm`,
    `lon_mm`, `alt_mm`; and `time_us`. Does not read the error ellipse.
    """

    __slots__ = ("alt_mm", "lat_mm", "lon_mm", "rms_mm", "talker", "time_us")
    kind = b"GST"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        if len(f) != 9:
            raise DecodeError("fields")
        self.talker = body[:2]
        self.time_us = fields.parse_time_of_day(f[1])
        self.rms_mm = fields.parse_decimal(f[2], 3, "deviation")
        self.lat_mm = fields.parse_decimal(f[6], 3, "deviation")
        self.lon_mm = fields.parse_decimal(f[7], 3, "deviation")
        self.alt_mm = fields.parse_decimal(f[8], 3, "deviation")


class Gbs:
    """Result of the receiver's own integrity monitoring (RAIM).

    lat_mm, lon_mm, alt_mm   expected errors
    satellite   number of the most likely faulty satellite, as sent; None if there is none
    bias_mm     its estimated range error
    system      NMEA 4.1 system id of this satellite; None if not sent
    signal      NMEA 4.1 signal id of this satellite; None if not sent
    """

    __slots__ = (
        "alt_mm",
        "bias_mm",
        "lat_mm",
        "lon_mm",
        "satellite",
        "signal",
        "system",
        "talker",
        "time_us",
    )
    kind = b"GBS"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        if len(f) not in (9, 11):
            raise DecodeError("fields")
        self.talker = body[:2]
        self.time_us = fields.parse_time_of_day(f[1])
        self.lat_mm = fields.parse_decimal(f[2], 3, "error")
        self.lon_mm = fields.parse_decimal(f[3], 3, "error")
        self.alt_mm = fields.parse_decimal(f[4], 3, "error")
        self.satellite = fields.parse_unsigned(f[5], 4, "satellite")
        self.bias_mm = fields.parse_decimal(f[7], 3, "error")
        self.system = fields.parse_hex_digit(f[9]) if len(f) == 11 else None
        self.signal = fields.parse_hex_digit(f[10]) if len(f) == 11 else None


class Dtm:
    """The datum of the positions: `local` and `reference` names, such as b"W84"."""

    __slots__ = ("local", "reference", "talker")
    kind = b"DTM"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        if not 3 <= len(f) <= 9:  # some receivers send only the local datum
            raise DecodeError("fields")
        self.talker = body[:2]
        self.local = f[1]
        self.reference = f[8] if len(f) == 9 else b""


KINDS: "dict[bytes, Callable[[bytes], Gll | Gns | Vtg | Gst | Gbs | Dtm]]" = {
    b"GLL": Gll,
    b"GNS": Gns,
    b"VTG": Vtg,
    b"GST": Gst,
    b"GBS": Gbs,
    b"DTM": Dtm,
}
"""Sentence type (the three letters after the talker) to class."""
