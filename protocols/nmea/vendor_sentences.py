# SPDX-License-Identifier: Apache-2.0
"""Receiver status in TXT and vendor sentences.

Vendors report antenna, interference, identity, accuracy and command replies in different shapes.
One class, `VendorSentence`, holds the values. A table maps the tag of a sentence to its parse
function. A sentence of a known vendor with another tag is a `VendorSentence` with unparsed fields.

    antenna   "ok", "open" or "short"; None if not reported
    jamming   "ok", "warning" or "critical" (ST: "warning" while a notch filter is locked)
    spoofing  "ok", "warning" or "critical"; None if not reported
    leap_s    GPS time minus UTC in s, None if not reported. `leap_known`: from satellites, not from
              the firmware
    gain      of the amplifier before the converter (AGC), in the unit of the vendor; None if not
              reported. Interference makes it fall (u-blox; the others do not state the sense)
    cw_level  strength of continuous waves, 0 to 255
    authenticated   True: signatures prove the navigation data (OSNMA); False: a signature is
              false; None: not reported
    pulse     (second in the week of UTC, ns by which this pulse is early), None if not reported

Sources: CASIC protocol specification (PCAS, TXT); u-blox M8 protocol specification (ANTSTATUS;
PUBX,04); Quectel LC29H, LC76G and LC02H protocol specifications (PQTM, PAIR: 0 unknown, 1 good,
2 warning or open, 3 critical or short; PQTMLS); ST Teseo-LIV3F software manual (PSTM: 0 good, 1
open, 2 short); Trimble Copernicus II manual (PTNLRBA: 1 = known, then 0 good, 1 open, 2 short);
Unicore UM980 commands manual. The fields of Furuno PERDCRJ are not public: kept, not parsed.
"""

from protocols.errors import DecodeError
from protocols.nmea import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TAG_VENDORS = {
    b"PCAS": "casic",
    b"PQTM": "quectel",
    b"PAIR": "quectel",
    b"PSTM": "st",
    b"PTNL": "trimble",
    b"PERD": "furuno",
    b"PFEC": "furuno",
    b"PUBX": "ublox",
}
_TEXT_VENDORS = (
    (b"URANUS", "casic"),
    (b"IC=AT", "casic"),
    (b"MO=G", "casic"),
    (b"U-BLOX", "ublox"),
    (b"HW UBX", "ublox"),
    (b"ALLYSTAR", "allystar"),
    (b"HD8", "allystar"),
)
_ANTENNA_WORDS = ((b"SHORT", "short"), (b"OPEN", "open"), (b"OK", "ok"))
_ANTENNA_NAMES = (b"ANTENNA", b"ANTSTATUS", b"ANT")
_STATE_DIGITS = (b"0", b"1", b"2")
_ANTENNA_STATES = ("ok", "open", "short")
_LEVELS = (None, "ok", "warning", "critical")


class VendorSentence:
    """One TXT or vendor sentence.

    tag        its first field without the `$`, such as b"GPTXT" or b"PQTMEPE"
    vendor     a key of the vendor tables, None if unknown
    antenna, jamming, gain …   see the module
    text       the whole text of TXT; for others the fields after the tag
    severity   third field of TXT (u-blox, CASIC: 0 error, 1 warning, 2 notice, 7 user), else None
    reply      (command, done) if it answers a command
    horizontal_mm, vertical_mm   estimated errors, or None
    """

    __slots__ = (
        "antenna",
        "authenticated",
        "cw_level",
        "gain",
        "horizontal_mm",
        "jamming",
        "leap_known",
        "leap_s",
        "pulse",
        "reply",
        "severity",
        "spoofing",
        "tag",
        "text",
        "vendor",
        "vertical_mm",
    )

    def __init__(self, tag: bytes, text: bytes, vendor: "str | None") -> None:
        self.tag = tag
        self.text = text
        self.vendor = vendor
        self.antenna: str | None = None
        self.jamming: str | None = None
        self.spoofing: str | None = None
        self.leap_s: int | None = None
        self.leap_known = False
        self.gain: int | None = None
        self.cw_level: int | None = None
        self.authenticated: bool | None = None
        self.pulse: tuple[int, int] | None = None
        self.severity: int | None = None
        self.reply: tuple[bytes, bool] | None = None
        self.horizontal_mm: int | None = None
        self.vertical_mm: int | None = None

    def state_health(
        self, antenna: "str | None", jamming: "str | None", spoofing: "str | None" = None
    ) -> None:
        """Set what the receiver states about antenna and interference; None: not stated."""
        self.antenna = antenna
        self.jamming = jamming
        self.spoofing = spoofing

    def state_leap_s(self, leap_s: "int | None", known: bool) -> None:
        """Set the leap seconds; `known`: from satellites."""
        self.leap_s = leap_s
        self.leap_known = known and leap_s is not None

    @property
    def talker(self) -> bytes:
        """The talker of a TXT; the first two letters of the tag for others."""
        return self.tag[:2]

    @property
    def kind(self) -> bytes:
        """`TXT`, or the whole tag of a vendor sentence."""
        return b"TXT" if self.tag[2:] == b"TXT" else self.tag


def parse_txt(body: bytes) -> VendorSentence:
    """Parse TXT: total, number, severity and the text, which can hold commas."""
    f = body.split(b",", 4)
    if len(f) != 5:
        raise DecodeError("fields")
    upper = f[4].upper()
    vendor = None
    for word, name in _TEXT_VENDORS:
        if word in upper:
            vendor = name
    sentence = VendorSentence(f[0], f[4], vendor)
    sentence.severity = fields.parse_unsigned(f[3], 2, "severity")
    if b"ANT" in upper:
        sentence.antenna = _antenna_state(upper)
    return sentence


def _words(upper: bytes) -> "list[bytes]":
    """Return the groups of letters; a space, `=`, `_`, `:` or a comma separates them."""
    found = [b""]
    for at in range(len(upper)):
        letter = upper[at : at + 1]
        if letter.isalpha():
            found[-1] += letter
        elif found[-1]:
            found.append(b"")
    return found


def _antenna_state(upper: bytes) -> "str | None":
    """Return the antenna state that a text names, by whole words."""
    words = _words(upper)
    if not [name for name in _ANTENNA_NAMES if name in words]:
        return None
    for word, state in _ANTENNA_WORDS:
        if word in words:
            return state
    return None


def parse_vendor(body: bytes) -> "VendorSentence | None":
    """Parse a vendor sentence; None for an unknown vendor."""
    tag, _, text = body.partition(b",")
    if tag == b"command":
        return _parse_unicore_reply(text)
    vendor = TAG_VENDORS.get(tag[:4])
    if vendor is None:
        return None
    sentence = VendorSentence(tag, text, vendor)
    reader = _READERS.get(tag)
    if tag == b"PUBX" and text[:3] == b"04,":
        reader = _ublox_time
    if reader is not None:
        reader(sentence, text.split(b","))
    return sentence


def _parse_unicore_reply(text: bytes) -> VendorSentence:
    """Parse `GPRMC 1,response: OK`: the command can hold commas, the response cannot."""
    command, found, response = text.partition(b",response:")
    if not found:
        raise DecodeError("fields")
    sentence = VendorSentence(b"command", text, "unicore")
    sentence.reply = (command, response.strip() == b"OK")
    return sentence


def _parse_level(f: "list[bytes]", at: int) -> "str | None":
    """Return the level of field `at`: None for 0 (unknown), else by `_LEVELS`."""
    if at < len(f) and len(f[at]) == 1 and f[at] in b"123":
        return _LEVELS[int(f[at])]
    return None


def _quectel_antenna(sentence: VendorSentence, f: "list[bytes]") -> None:
    level = _parse_level(f, 1)
    if level is not None:
        sentence.antenna = _ANTENNA_STATES[_LEVELS.index(level) - 1]
    elif len(f) < 2 or not f[1].isdigit():
        sentence.antenna = _antenna_state(b"ANTENNA," + sentence.text.upper())


def _quectel_jamming(sentence: VendorSentence, f: "list[bytes]") -> None:
    sentence.jamming = _parse_level(f, 1)


def _airoha_jamming(sentence: VendorSentence, f: "list[bytes]") -> None:
    sentence.jamming = _parse_level(f, 0)


def _airoha_reply(sentence: VendorSentence, f: "list[bytes]") -> None:
    if len(f) > 1:
        sentence.reply = (f[0], f[1] == b"0")


def _quectel_accuracy(sentence: VendorSentence, f: "list[bytes]") -> None:
    if len(f) < 6:
        raise DecodeError("fields")
    sentence.vertical_mm = fields.parse_decimal(f[3], 3, "error")
    sentence.horizontal_mm = fields.parse_decimal(f[4], 3, "error")


def _quectel_leap(sentence: VendorSentence, f: "list[bytes]") -> None:
    """Parse version, time of week, source (0: firmware), week, leap seconds, forecast."""
    if len(f) != 11 or f[0] != b"1":
        raise DecodeError("fields")
    sentence.leap_s = fields.parse_unsigned(f[4], 2, "leap")
    sentence.leap_known = sentence.leap_s is not None and f[2] not in (b"", b"0")


def _ublox_time(sentence: VendorSentence, f: "list[bytes]") -> None:
    """Parse PUBX,04. A D after the leap seconds means: from the firmware."""
    if len(f) < 6:
        raise DecodeError("fields")
    digits = f[5][:-1] if f[5][-1:] == b"D" else f[5]
    sentence.leap_s = fields.parse_unsigned(digits, 2, "leap")
    sentence.leap_known = sentence.leap_s is not None and digits == f[5]


def _st_antenna(sentence: VendorSentence, f: "list[bytes]") -> None:
    if f[0] in _STATE_DIGITS:
        sentence.antenna = _ANTENNA_STATES[int(f[0])]


def _st_notch(sentence: VendorSentence, f: "list[bytes]") -> None:
    """Parse five fields for GPS and optionally for GLONASS; the second is 1 if the notch is on."""
    locked = [f[at] for at in (1, 6) if at < len(f)]
    if locked:
        sentence.jamming = "warning" if b"1" in locked else "ok"


def _trimble_antenna(sentence: VendorSentence, f: "list[bytes]") -> None:
    if len(f) == 2 and f[0] == b"1" and f[1] in _STATE_DIGITS:
        sentence.antenna = _ANTENNA_STATES[int(f[1])]


_READERS: "dict[bytes, Callable[[VendorSentence, list[bytes]], None]]" = {
    b"PQTMANTENNASTATUS": _quectel_antenna,
    b"PQTMJAMMINGSTATUS": _quectel_jamming,
    b"PQTMEPE": _quectel_accuracy,
    b"PQTMLS": _quectel_leap,
    b"PAIRSPF": _airoha_jamming,
    b"PAIRSPF5": _airoha_jamming,
    b"PAIR001": _airoha_reply,
    b"PSTMANTENNASTATUS": _st_antenna,
    b"PSTMNOTCHSTATUS": _st_notch,
    b"PTNLRBA": _trimble_antenna,
}
