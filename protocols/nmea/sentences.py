# SPDX-License-Identifier: Apache-2.0
"""NMEA 0183 sentences as objects, and the table of all of them.

`parse` takes the body that the framer found and looks up its three-letter kind in a table. It
returns the sentence or a reason, and never raises. The talker can be any two letters (GP, GL, GA,
BD, GB, PQ, GQ, QZ, GI, GN, ...); the sentence keeps it. An empty field is None, never zero: a
receiver without a fix has no position. In RMC, GGA and ZDA the constructor checks every field that
it reads. GSA and GSV are most of the bytes and few callers need their satellites. They decode them
on demand and then raise `DecodeError`.

This module has RMC, GGA, ZDA, GSA and GSV. GLL, GNS, VTG, GST, GBS and DTM are in
`protocols.nmea.nav_sentences`, TXT and vendor sentences in `protocols.nmea.vendor_sentences`.

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

    from protocols.nmea.nav_sentences import Dtm, Gbs, Gll, Gns, Gst, Vtg
    from protocols.nmea.vendor_sentences import VendorSentence

    GsvEntry = tuple[int | None, int | None, int | None, int | None]


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
        self.quality = fields.parse_unsigned(f[6], 1, "quality")
        self.used = fields.parse_unsigned(f[7], 3, "used")
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


class Gsa:
    """Dilution of precision and the used satellites of one system.

    `body` is kept and decoded on demand.
    """

    __slots__ = ("body",)
    kind = b"GSA"

    def __init__(self, body: bytes) -> None:
        if body.count(b",") < 17:
            raise DecodeError("fields")
        self.body = body

    @property
    def talker(self) -> bytes:
        """The talker."""
        return self.body[:2]

    def decode(self) -> "GsaDetail":
        """Decode all fields; `DecodeError` for a malformed field."""
        return GsaDetail(self.body)


class GsaDetail:
    """A decoded GSA.

    fix         1 none, 2 two-dimensional, 3 three-dimensional, or None
    satellites  ids as sent, in their order
    pdop_centi, hdop_centi, vdop_centi   times 100, or None
    system      NMEA 4.1 system id (1 GPS, 2 GLONASS, 3 Galileo, 4 BeiDou), or None
    """

    __slots__ = ("fix", "hdop_centi", "pdop_centi", "satellites", "system", "vdop_centi")

    def __init__(self, body: bytes) -> None:
        f = body.split(b",")
        # 12 slots and, since NMEA 4.1, a system id; some receivers have more slots and no id
        end = 18 if len(f) == 19 else len(f)
        self.system = fields.parse_hex_digit(f[18]) if len(f) == 19 else None
        self.fix = fields.parse_unsigned(f[2], 1, "fix")
        ids = [fields.parse_unsigned(slot, 4, "satellite") for slot in f[3 : end - 3]]
        self.satellites = [number for number in ids if number is not None]
        self.pdop_centi = fields.parse_decimal(f[end - 3], 2, "dop")
        self.hdop_centi = fields.parse_decimal(f[end - 2], 2, "dop")
        self.vdop_centi = fields.parse_decimal(f[end - 1], 2, "dop")


class Gsv:
    """Satellites in view, one part of a set.

    total, number   parts in the set, number of this part (from 1)
    in_view         satellites in view, repeated in each part; None if not sent
    `body` is kept; its satellites are decoded on demand.
    """

    __slots__ = ("body", "in_view", "number", "total")
    kind = b"GSV"

    def __init__(self, body: bytes) -> None:
        # groups of four, then no signal id or one; Quectel's talker PQ adds a system id
        extra = (body.count(b",") - 3) % 4
        if extra > 1 and not (extra == 2 and body[:2] == b"PQ"):
            raise DecodeError("fields")
        f = body.split(b",", 4)
        if len(f) < 4:
            raise DecodeError("fields")
        short = fields.SHORT_NUMBERS  # a look-up here is half as long as a call
        total, number, in_view = short.get(f[1]), short.get(f[2]), short.get(f[3])
        if total is None or number is None or in_view is None:
            total = fields.parse_unsigned(f[1], 2, "part")
            number = fields.parse_unsigned(f[2], 2, "part")
            in_view = fields.parse_unsigned(f[3], 3, "in view")
        self.in_view = in_view
        if total == 0 and not in_view:  # some receivers report "no satellite" in this form
            total = number = 1
        if total is None or number is None or not 1 <= number <= total:
            raise DecodeError("part")
        self.total = total
        self.number = number
        self.body = body

    @property
    def talker(self) -> bytes:
        """The talker."""
        return self.body[:2]

    def system(self) -> "int | None":
        """Return the NMEA 4.1 system id, which only Quectel's talker PQ adds; else None."""
        f = self.body.rsplit(b",", 1)
        return fields.parse_hex_digit(f[-1]) if self._extra_fields() == 2 else None

    def signal(self) -> "int | None":
        """Return the NMEA 4.1 signal id, 0 to 15, or None. Its meaning depends on the vendor."""
        extra = self._extra_fields()
        return fields.parse_hex_digit(self.body.rsplit(b",", extra)[-extra]) if extra else None

    def _extra_fields(self) -> int:
        """Return the number of fields after the last group of four."""
        return (self.body.count(b",") - 3) % 4

    def satellites(self) -> "list[GsvEntry]":
        """Return (id, elevation in degrees, azimuth in degrees, C/N0 in dBHz) of each; None if
        empty.

        Ids are as sent. Empty slots are left out. `DecodeError` if malformed.
        """
        f = self.body.split(b",")
        found: list[GsvEntry] = []
        for at in range(4, len(f) - 3, 4):
            entry = (
                fields.parse_unsigned(f[at], 4, "satellite"),
                fields.parse_decimal(f[at + 1], 0, "elevation"),
                fields.parse_unsigned(f[at + 2], 3, "azimuth"),
                fields.parse_unsigned(f[at + 3], 2, "cn0"),
            )
            if entry != (None, None, None, None):
                found.append(entry)
        return found


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
    Sentence = (
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


def _parse_text(body: bytes) -> "Sentence":
    from protocols.nmea import vendor_sentences  # noqa: PLC0415 - as above

    return vendor_sentences.parse_txt(body)


KINDS: "dict[bytes, Callable[[bytes], Sentence]]" = {
    b"RMC": Rmc,
    b"GGA": Gga,
    b"ZDA": Zda,
    b"GSA": Gsa,
    b"GSV": Gsv,
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
