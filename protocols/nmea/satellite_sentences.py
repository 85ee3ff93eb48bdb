# SPDX-License-Identifier: Apache-2.0
"""NMEA 0183 sentences about satellites: GSA and GSV.

They are most of the bytes of a receiver, and few callers need their satellites. So they are decoded
on demand and then raise `DecodeError`. The satellites in view are in `satellite_view`. Sources: see
`protocols.nmea.sentences`, which loads this module with the first such sentence.
"""

from protocols.errors import DecodeError
from protocols.nmea import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    GsvEntry = tuple[int | None, int | None, int | None, int | None]


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
        return self.content()[0]

    def signal(self) -> "int | None":
        """Return the NMEA 4.1 signal id, 0 to 15, or None. Its meaning depends on the vendor."""
        extra = (self.body.count(b",") - 3) % 4
        return fields.parse_hex_digit(self.body.rsplit(b",", extra)[-extra]) if extra else None

    def satellites(self) -> "list[GsvEntry]":
        """Return the satellites of `content`."""
        return self.content()[2]

    def content(self) -> "tuple[int | None, int | None, list[GsvEntry]]":
        """Return `system`, `signal`, and (id, elevation in degrees, azimuth in degrees, C/N0 in
        dBHz) of each satellite; None if empty.

        Ids are as sent. Empty slots are left out. `DecodeError` if malformed.
        """
        f = self.body.split(b",")
        extra = len(f) % 4
        signal = fields.parse_hex_digit(f[-extra]) if extra else None
        system = fields.parse_hex_digit(f[-1]) if extra == 2 else None
        short, three = fields.SHORT_NUMBERS.get, fields.THREE_DIGITS.get
        found: list[GsvEntry] = []
        for at in range(4, len(f) - 3, 4):
            number, elevation = three(f[at]), three(f[at + 1])
            azimuth, cn0 = three(f[at + 2]), short(f[at + 3])
            if number is None or elevation is None or azimuth is None or cn0 is None:
                number = fields.parse_unsigned(f[at], 4, "satellite")
                elevation = fields.parse_decimal(f[at + 1], 0, "elevation")
                azimuth = fields.parse_unsigned(f[at + 2], 3, "azimuth")
                cn0 = fields.parse_unsigned(f[at + 3], 2, "cn0")
                if number is None and elevation is None and azimuth is None and cn0 is None:
                    continue
            found.append((number, elevation, azimuth, cn0))
        return system, signal, found
