# SPDX-License-Identifier: Apache-2.0
"""NMEA 0183 sentences as objects, and the table of all of them.

`parse` takes the body that the framer found and looks up its three-letter kind in a table. It
returns the sentence or a reason, and never raises. The talker can be any two letters (GP, GL, GA,
BD, GB, PQ, GQ, QZ, GI, GN, ...); the sentence keeps it. An empty field is None, never zero: a
receiver without a fix has no position. The constructor checks every field that it reads.

This module has RMC, GGA and ZDA. GSA and GSV are in `protocols.nmea.satellite_sentences`, GLL, GNS,
VTG, GST, GBS and DTM in `protocols.nmea.nav_sentences`, TXT and vendor sentences in
`protocols.nmea.vendor_sentences`. Each of these modules is loaded with its first sentence.

Does not group sentences to epochs (see `drivers.gnss.epoch`) and does not check the fix (see
`agent.gnss`).

Sources: NMEA 0183 / IEC 61162-1 as published by receiver vendors (u-blox M8 protocol
specification; Unicore UM980 reference manual; CASIC protocol specification).
"""

from protocols import calendar
from protocols.errors import DecodeError
from protocols.nmea import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from protocols.nmea.nav_sentences import Dtm, Gbs, Gll, Gns, Gst, Vtg
    from protocols.nmea.satellite_sentences import Gsa, Gsv
    from protocols.nmea.vendor_sentences import VendorSentence


class Rmc:
    """Recommended minimum: time, status, position, date.

    time_us     time of day in microseconds, or None
    status      b"A" (data valid), b"V" (warning) or b""
    lat_e7, lon_e7   1e-7 degrees, north and east positive, or None
    date        (year, month, day) or None
    mode        b"A" autonomous, b"D" differential, b"F" float, b"P" precise, b"R" fixed; b"E"
                dead reckoning, b"M" manual, b"S" simulator, b"N" none; b"" if not sent
    nav_status  last field of NMEA 4.1, unchanged; b"V" means "not provided", not "void"
    """

    __slots__ = ("date", "lat_e7", "lon_e7", "mode", "nav_status", "status", "talker", "time_us")
    kind = b"RMC"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        count = len(f)
        if not 12 <= count <= 14:
            raise DecodeError("fields")
        self.talker = body[:2]
        self.time_us = fields.parse_time_of_day(f[1])
        self.status = f[2]
        if f[2] not in (b"A", b"V", b""):
            raise DecodeError("status")
        self.lat_e7 = fields.parse_angle(f[3], f[4], b"NS", 90)
        self.lon_e7 = fields.parse_angle(f[5], f[6], b"EW", 180)
        self.date = fields.parse_date(f[9])
        self.mode = f[12] if count > 12 else b""
        self.nav_status = f[13] if count > 13 else b""


class Gga:
    """Fix data.

    time_us     time of day in microseconds, or None
    lat_e7, lon_e7   1e-7 degrees, north and east positive, or None
    quality     0 none, 1 GNSS, 2 differential, 3 PPS, 4 fixed, 5 float, 6 dead reckoning,
                7 manual, 8 simulator; None if not sent
    used        satellites used, or None
    hdop_centi  horizontal dilution of precision times 100, or None
    alt_mm      altitude above mean sea level in millimetres, or None
    """

    __slots__ = (
        "alt_mm",
        "hdop_centi",
        "lat_e7",
        "lon_e7",
        "quality",
        "talker",
        "time_us",
        "used",
    )
    kind = b"GGA"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        # some receivers leave out the last field, or add a comma
        if not (14 <= len(f) <= 15 or (len(f) == 16 and not f[15])):
            raise DecodeError("fields")
        self.talker = body[:2]
        self.time_us = fields.parse_time_of_day(f[1])
        self.lat_e7 = fields.parse_angle(f[2], f[3], b"NS", 90)
        self.lon_e7 = fields.parse_angle(f[4], f[5], b"EW", 180)
        short = fields.SHORT_NUMBERS  # a look-up here is half as long as a call
        quality, used = short.get(f[6]), short.get(f[7])
        if quality is None or len(f[6]) > 1 or used is None:
            quality = fields.parse_unsigned(f[6], 1, "quality")
            used = fields.parse_unsigned(f[7], 3, "used")
        self.quality = quality
        self.used = used
        self.hdop_centi = fields.parse_decimal(f[8], 2, "hdop")
        self.alt_mm = fields.parse_decimal(f[9], 3, "altitude")


class Zda:
    """Time and date: `time_us` (microseconds of the UTC day) and `date` (year, month, day).

    Each is None if unknown. Does not read the local zone; it has no effect on UTC.
    """

    __slots__ = ("date", "talker", "time_us")
    kind = b"ZDA"

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        if len(f) != 7:
            raise DecodeError("fields")
        self.talker = body[:2]
        self.time_us = fields.parse_time_of_day(f[1])
        day, month = fields.SHORT_NUMBERS.get(f[2]), fields.SHORT_NUMBERS.get(f[3])
        if day is None or month is None:
            day = fields.parse_unsigned(f[2], 2, "date")
            month = fields.parse_unsigned(f[3], 2, "date")
        year = fields.parse_unsigned(f[4], 4, "date")
        self.date: tuple[int, int, int] | None = None
        if year is not None and month is not None and day is not None:
            self.date = (year, month, day)
            if not calendar.is_date(year, month, day):
                raise DecodeError("date")
        elif f[2] or f[3] or f[4]:  # an incomplete date is invalid
            raise DecodeError("date")


class SecondAntenna:
    """A Unicore sentence about the second antenna of a heading receiver. `sentence` is equal to
    that of the first antenna; its tag ends with an H. It is not part of the fix.
    """

    __slots__ = ("sentence",)

    def __init__(self, sentence: "Sentence") -> None:
        self.sentence = sentence

    @property
    def talker(self) -> bytes:
        """The talker of the inner sentence."""
        return self.sentence.talker

    @property
    def kind(self) -> bytes:
        """The kind of the inner sentence, with the H."""
        return self.sentence.kind + b"H"


if TYPE_CHECKING:
    Sentence: TypeAlias = (
        Rmc
        | Gga
        | Zda
        | Gsa
        | Gsv
        | Gll
        | Gns
        | Vtg
        | Gst
        | Gbs
        | Dtm
        | VendorSentence
        | SecondAntenna
    )


def _parse_nav(body: bytes) -> "Sentence":
    """Parse an optional kind. Its module is loaded with the first such sentence."""
    from protocols.nmea import nav_sentences  # noqa: PLC0415 - a board has no room for what is not sent

    return nav_sentences.KINDS[body[2:5]](body)


def _parse_satellites(body: bytes) -> "Sentence":
    """Load the classes of GSA and GSV and put them into the tables."""
    from protocols.nmea import satellite_sentences  # noqa: PLC0415 - as above

    for make in (satellite_sentences.Gsa, satellite_sentences.Gsv):
        KINDS[make.kind] = _BY_HEAD[make.kind + b","] = make
    return KINDS[body[2:5]](body)


def _parse_text(body: bytes) -> "Sentence":
    from protocols.nmea import vendor_sentences  # noqa: PLC0415 - as above

    return vendor_sentences.parse_txt(body)


KINDS: "dict[bytes, Callable[[bytes], Sentence]]" = {
    b"RMC": Rmc,
    b"GGA": Gga,
    b"ZDA": Zda,
    b"GSA": _parse_satellites,
    b"GSV": _parse_satellites,
    b"GLL": _parse_nav,
    b"GNS": _parse_nav,
    b"VTG": _parse_nav,
    b"GST": _parse_nav,
    b"GBS": _parse_nav,
    b"DTM": _parse_nav,
    b"TXT": _parse_text,
}
"""The kinds that `parse` knows, by the three letters after the talker; plus vendor sentences."""


_BY_HEAD = {kind + b",": make for kind, make in KINDS.items()}
_COMMON = frozenset((b"GN", b"GP", b"GB", b"BD", b"GL", b"GA", b"GQ"))
"""The usual talkers: a look-up is faster than the check of letters."""


def kind_of(body: bytes) -> bytes:
    """Return the kind of a sentence, such as b"RMC"; b"" if it is not in `KINDS`."""
    kind = body[2:5]
    known = kind in KINDS and body[5:6] == b"," and body[:2].isalpha() and body[:2].isupper()
    return kind if known else b""


def parse(body: bytes) -> "tuple[Sentence | None, str]":
    """Return (sentence, "") or (None, reason) for a body of `Framer.feed`. Never raises.

    The reason is "kind" for a sentence that is not in the table, "fields" for a wrong number of
    fields, else the name of the invalid field. With `kind_of(body)` it is the key of a counter.
    """
    make = _BY_HEAD.get(body[2:6])
    talker = body[:2]
    try:
        if make is not None and (talker in _COMMON or (talker.isalpha() and talker.isupper())):
            return make(body), ""
        sentence = _parse_vendor(body)
    except DecodeError as error:
        return None, str(error)
    return (None, "kind") if sentence is None else (sentence, "")


def _parse_vendor(body: bytes) -> "Sentence | None":
    """Return a vendor sentence, or a Unicore one of the second antenna; None for others."""
    if body[5:7] == b"H,":
        primary = body[:5] + body[6:]
        kind = kind_of(primary)
        return SecondAntenna(KINDS[kind](primary)) if kind else None
    if not (body[:1] == b"P" or body[:7] == b"command"):
        return None
    from protocols.nmea import vendor_sentences  # noqa: PLC0415 - as above

    return vendor_sentences.parse_vendor(body)
