# SPDX-License-Identifier: Apache-2.0
"""The satellite and the signal that a number in GSA or GSV means.

A receiver gives up to four indications: the talker, the NMEA 4.1 system id, the range of the number
and a signal id. Vendors differ in all four; the tables follow. A number outside all tables stays
unchanged.

Systems: "GPS", "GLO", "GAL", "BDS", "QZS", "IRN" (NavIC) and "SBAS". Numbers are those of the
system itself: BeiDou C19 is 19, whether sent as 19, 219 or 419. GLONASS numbers are slots, SBAS
numbers are PRNs.

Sources: NMEA 0183 4.11 table of satellite ids and of system and signal ids as reprinted in
u-blox F9, Quectel LC29H and Unicore UM980 manuals. gpsd's documentation of `sigid` for Allystar
(legacy ids 2xx and 8xx; own signal ids) and for the table before 4.11.
"""

from protocols.nmea.remember import remember

TYPE_CHECKING = False
if TYPE_CHECKING:
    Ranges = tuple[tuple[int, int, str, int], ...]


_KEPT = 4096

SYSTEMS = (None, "GPS", "GLO", "GAL", "BDS", "QZS", "IRN")
"""System by NMEA 4.1 system id."""

TALKERS = {
    b"GP": "GPS",
    b"GL": "GLO",
    b"GA": "GAL",
    b"BD": "BDS",
    b"GB": "BDS",
    b"GQ": "QZS",
    b"QZ": "QZS",
    b"GI": "IRN",
}
"""System by talker. GN is any system. PQ (Quectel) is BeiDou or QZSS, by system id or number."""

# (first, last, system, offset to subtract): the first match counts
_MIXED_RANGES: "Ranges" = (
    (1, 32, "GPS", 0),
    (33, 64, "SBAS", -87),
    (65, 99, "GLO", 64),
    (120, 158, "SBAS", 0),
    (193, 200, "QZS", 192),
    (201, 263, "BDS", 200),
    (301, 336, "GAL", 300),
    (401, 463, "BDS", 400),
)
_BEIDOU_RANGES: "Ranges" = (
    (1, 63, "BDS", 0),
    (101, 163, "BDS", 100),
    (201, 263, "BDS", 200),
    (401, 463, "BDS", 400),
    (801, 850, "BDS", 800),
    (851, 913, "BDS", 850),
)
_RANGES: "dict[str, Ranges]" = {
    "": _MIXED_RANGES,
    "GPS": _MIXED_RANGES,
    "GLO": ((1, 32, "GLO", 0), (33, 64, "SBAS", -87), (65, 99, "GLO", 64)),
    "GAL": (
        (1, 36, "GAL", 0),
        (101, 136, "GAL", 100),
        (201, 236, "GAL", 200),
        (301, 336, "GAL", 300),
    ),
    "BDS": _BEIDOU_RANGES,
    "QZS": ((1, 10, "QZS", 0), (193, 202, "QZS", 192)),
    "IRN": ((1, 18, "IRN", 0), (901, 918, "IRN", 900)),
    "PQ": _BEIDOU_RANGES[:1] + ((193, 202, "QZS", 192),) + _BEIDOU_RANGES[1:],
}

_SIGNAL_NAMES: "dict[str, tuple[str | None, ...]]" = {
    "GPS": (None, "L1 C/A", "L1 P(Y)", "L1 M", "L2 P(Y)", "L2C-M", "L2C-L", "L5-I", "L5-Q"),
    "GLO": (None, "G1 C/A", "G1 P", "G2 C/A", "G2 P"),
    "GAL": (None, "E5a", "E5b", "E5a+b", "E6-A", "E6-BC", "L1-A", "L1-BC"),
    "BDS": (
        None,
        "B1I",
        "B1Q",
        "B1C",
        "B1A",
        "B2a",
        "B2b",
        "B2a+b",
        "B3I",
        "B3Q",
        "B3A",
        "B2I",
        "B2Q",
    ),
    "QZS": (
        None,
        "L1 C/A",
        "L1C-D",
        "L1C-P",
        "LIS",
        "L2C-M",
        "L2C-L",
        "L5-I",
        "L5-Q",
        "L6D",
        "L6E",
    ),
    "IRN": (None, "L5-SPS", "S-SPS", "L5-RS", "S-RS", "L1-SPS"),
    "SBAS": (None, "L1 C/A", None, None, None, None, None, "L5-I", "L5-Q"),
}
"""Names by NMEA 4.11 signal id. Id 0 is "all signals" and has no name."""

VENDOR_SIGNALS: "dict[tuple[str, str], tuple[str | None, ...]]" = {
    ("allystar", "BDS"): (None, "B1I", "B2I", "B3I", "B2a", None, None, None, None, "B1C"),
    ("telit", "BDS"): (None, "B1", "B2a", "B2", "B3", "B1C"),
    ("mediatek", "BDS"): (None, "B1", "B2a", "B2", "B3", "B1C"),
}
"""Vendors whose ids differ from 4.11; `telit` and `mediatek` have the older table."""

VENDORS = (
    "allystar",
    "casic",
    "furuno",
    "mediatek",
    "quectel",
    "st",
    "telit",
    "trimble",
    "ublox",
    "unicore",
)
"""Vendors that a user can name; a vendor without a table follows NMEA 4.11."""


def system_of(talker: bytes, system_id: "int | None") -> str:
    """Return the system of a sentence: a name, "" for any system, "PQ" for this talker."""
    if system_id and system_id < len(SYSTEMS):
        return SYSTEMS[system_id] or ""
    return "PQ" if talker == b"PQ" else TALKERS.get(talker, "")


@remember(_KEPT)
def identify(system: str, number: int) -> "tuple[str, int]":
    """Return (system, number in the system) of a satellite; `system` as `system_of` returns it.

    A number out of all ranges stays unchanged, with the system of the sentence ("GPS" for "").
    """
    for first, last, name, offset in _RANGES[system]:
        if first <= number <= last:
            return name, number - offset
    return ("BDS" if system == "PQ" else system or "GPS"), number


@remember(_KEPT)
def signal_name(system: str, signal: "int | None", vendor: "str | None") -> "str | None":
    """Return the name of a signal id; None if it has no name or is unknown."""
    if signal is None:
        return None
    names = VENDOR_SIGNALS.get((vendor or "", system)) or _SIGNAL_NAMES.get(system, ())
    return names[signal] if signal < len(names) else None


def implied_signal(system: str, number: int, vendor: "str | None") -> "str | None":
    """Return the signal that older Allystar numbers imply: 8xx is B2a; its 2xx is B1I."""
    if system not in ("BDS", "PQ", ""):
        return None
    if 801 <= number <= 913:
        return "B2a"
    return "B1I" if vendor == "allystar" and 201 <= number <= 263 else None
