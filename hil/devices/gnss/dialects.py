# SPDX-License-Identifier: Apache-2.0
"""Vendor dialects of NMEA: order, talkers, satellite numbers, signals, timing.

This module is data only. Values from captures or manuals are listed below; the other values are
assumed, so that each dialect is complete. No receiver of these vendors was tested on the bench.

From captures of satpulse and gpsd: CASIC's order (time first and last), order of Unicore and
Quectel EG25-G, signal id 0 of CASIC and Quectel, Unicore's hexadecimal ids with one set for each
signal, PQ's two trailing ids, Allystar's 8xx numbers, antenna texts. Latency and jitter from
satpulse's captures: UM980 mean 31.4 ms, sd 1.1 ms; ATGM332D with a USB adapter mean 317 ms, sd 22.7
ms, in steps of 42 ms. Times to first fix from data sheets (32 s for the AT6558, 26 to 45 s for
MAX-M8Q).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hil.devices.base import MILLISECOND
from hil.devices.gnss.elements import BEIDOU, GALILEO, GLONASS, GPS

SYSTEM_ID = {GPS: "1", GLONASS: "2", GALILEO: "3", BEIDOU: "4"}  # NMEA 4.11

ALL, BDS2, BDS3 = (1, 999), (1, 18), (19, 999)
Signals = tuple[tuple[str, float, tuple[int, int]], ...]
"""(sent signal id, dB relative to L1, satellites with the signal: first and last number)."""

_SIGNAL_ONE: dict[str, Signals] = dict.fromkeys((BEIDOU, GPS, GLONASS), (("1", 0.0, ALL),))
_SIGNAL_ONE[GALILEO] = (("7", 0.0, ALL),)
_SIGNAL_ZERO: dict[str, Signals] = dict.fromkeys(
    (BEIDOU, GPS, GLONASS, GALILEO), (("0", 0.0, ALL),)
)
_TALKERS = {GPS: "GP", GLONASS: "GL", GALILEO: "GA", BEIDOU: "GB"}


@dataclass(frozen=True)
class Dialect:
    """The dialect of one vendor.

    order       sentences in their order; `ANT`, `JAM`, `EPE` are the vendor's own reports
    talkers     talker of GSV, by system; `gsa_talker` is for GSA, `talker` for all others
    signals     signals by system
    signal_id_field   a GSV ends with a signal id (PQ: and with the system id)
    gsa_system_field  a GSA ends with the system id
    numbering   "plain"; "gsa200" (BeiDou 201… in GSA only); "allystar" (2xx and 8xx, one set)
    time_digits, position_digits   digits after the decimal point
    status_field      RMC has a navigational status (NMEA 4.1)
    variation   the two fields of magnetic variation in RMC
    latency_us, jitter_us   minimum delay of an epoch's first byte, mean of the exponential part
    usb_us      a USB adapter delivers at multiples of this time (0: immediately)
    chunk       maximum number of bytes in one delivery
    baud        speed as delivered
    first_fix_s time to first fix after a cold, a warm, a hot start
    banner      texts after power-up
    reports     form of `ANT` and `JAM`: "txt", "ublox", "pqtm", "pstm", "ptnl"
    commands    supported command set: "casic", "unicore", "quectel", "ublox", "allystar", "st",
                "trimble", ""
    has_rate_command  the vendor's commands set the rate (public commands only)
    has_zda_command   they switch ZDA on and off
    """

    name: str
    order: tuple[str, ...]
    systems: tuple[str, ...] = (GPS, BEIDOU)
    talker: str = "GN"
    gsa_talker: str = "GN"
    talkers: dict[str, str] = field(default_factory=lambda: dict(_TALKERS))
    signals: dict[str, Signals] = field(default_factory=lambda: dict(_SIGNAL_ONE))
    signal_id_field: bool = True
    numbering: str = "plain"
    gsa_system_field: bool = True
    time_digits: int = 3
    position_digits: int = 5
    status_field: bool = True
    variation: tuple[str, str] = ("", "")
    latency_us: int = 60 * MILLISECOND
    jitter_us: int = 2 * MILLISECOND
    usb_us: int = 0
    chunk: int = 512
    baud: int = 115_200
    first_fix_s: tuple[int, int, int] = (30, 28, 1)
    banner: tuple[str, ...] = ()
    reports: str = "txt"
    lead_us: int = 0
    """Usual transmission time of the bytes before the first sentence with a time."""
    commands: str = ""
    has_rate_command: bool = True
    has_zda_command: bool = True

    @property
    def mean_latency_us(self) -> int:
        """Mean delay of the first sentence with a time, as an agent's configuration states it."""
        return self.latency_us + self.jitter_us + self.usb_us // 2 + self.lead_us


_UM980: dict[str, Signals] = {
    GPS: (("1", 0.0, ALL), ("8", 1.0, (1, 11))),
    GLONASS: (("1", 0.0, ALL),),
    GALILEO: (("7", 0.0, ALL), ("1", 0.5, ALL)),
    BEIDOU: (
        ("1", 0.0, ALL),
        ("3", -0.5, BDS3),
        ("5", 1.0, BDS3),
        ("8", 1.5, ALL),
        ("B", 0.5, BDS2),
    ),
}
_L1L5: dict[str, Signals] = {
    GPS: (("1", 0.0, ALL), ("8", -1.0, (1, 11))),
    GLONASS: (("1", 0.0, ALL),),
    GALILEO: (("7", 0.0, ALL), ("1", -0.5, ALL)),
    BEIDOU: (("1", 0.0, ALL), ("5", 0.0, BDS3)),
}
_ALLYSTAR: dict[str, Signals] = {
    GPS: (("1", 0.0, ALL), ("8", -1.0, (1, 11))),
    BEIDOU: (("1", 0.0, ALL), ("4", -0.5, BDS3)),
}
_ALL_FOUR = (GPS, GLONASS, GALILEO, BEIDOU)

DIALECTS: dict[str, Dialect] = {
    d.name: d
    for d in (
        Dialect(
            "casic",
            ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA", "ANT"),
            talkers={GPS: "GP", BEIDOU: "BD", GLONASS: "GL"},
            signals=_SIGNAL_ZERO,
            latency_us=276 * MILLISECOND,
            jitter_us=20 * MILLISECOND,
            usb_us=42 * MILLISECOND,
            chunk=484,
            first_fix_s=(32, 30, 1),
            banner=(
                "SW=URANUS5,V5.3.0.0",
                "HW=ATGM332D,0000000000000",
                "IC=AT6558-5N-31-0C510800",
                "MO=GB",
            ),
            commands="casic",
        ),
        Dialect(
            "unicore",
            ("RMC", "GGA", "GLL", "GSA", "GSV", "VTG"),
            systems=_ALL_FOUR,
            signals=_UM980,
            time_digits=2,
            position_digits=7,
            variation=("0.0", "E"),
            latency_us=30 * MILLISECOND,
            jitter_us=1100,
            reports="none",
            commands="unicore",
        ),
        Dialect(
            "quectel",
            ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA", "EPE", "ANT", "JAM"),
            systems=_ALL_FOUR,
            signals=_L1L5,
            position_digits=6,
            latency_us=120 * MILLISECOND,
            jitter_us=5 * MILLISECOND,
            chunk=64,
            reports="pqtm",
            commands="quectel",
        ),
        Dialect(
            "ublox",
            ("RMC", "VTG", "GGA", "GSA", "GSV", "GLL", "GST", "ZDA"),
            systems=_ALL_FOUR,
            time_digits=2,
            latency_us=50 * MILLISECOND,
            jitter_us=8 * MILLISECOND,
            chunk=64,
            first_fix_s=(26, 25, 1),
            banner=(
                "u-blox AG - www.u-blox.com",
                "HW UBX-M8030 00080000",
                "ANTSUPERV=AC SD PDoS SR",
                "ANTSTATUS=INIT",
                "ANTSTATUS=OK",
            ),
            reports="ublox",
            commands="ublox",
        ),
        Dialect(
            "eg25",
            ("GSV", "GGA", "VTG", "RMC", "GSA"),
            talkers={GPS: "GP", BEIDOU: "PQ"},
            gsa_talker="PQ",
            signals=_SIGNAL_ZERO,
            time_digits=2,
            position_digits=6,
            latency_us=200 * MILLISECOND,
            jitter_us=20 * MILLISECOND,
            reports="none",
            lead_us=55 * MILLISECOND,
        ),
        Dialect(
            "st",
            ("RMC", "GGA", "VTG", "GSA", "GSV", "GLL", "ANT", "JAM"),
            systems=(GPS, GALILEO, BEIDOU),
            numbering="gsa200",
            talkers={GPS: "GP", GALILEO: "GA", BEIDOU: "BD"},
            signal_id_field=False,
            signals=_SIGNAL_ZERO,
            latency_us=90 * MILLISECOND,
            jitter_us=10 * MILLISECOND,
            reports="pstm",
            commands="st",
            has_zda_command=False,
        ),
        Dialect(
            "trimble",
            ("GGA", "GSA", "GSV", "RMC", "VTG", "ZDA", "ANT"),
            systems=(GPS,),
            talker="GP",
            gsa_talker="GP",
            signal_id_field=False,
            gsa_system_field=False,
            time_digits=2,
            status_field=False,
            latency_us=150 * MILLISECOND,
            jitter_us=15 * MILLISECOND,
            baud=9600,
            reports="ptnl",
            commands="trimble",
        ),
        Dialect(
            "allystar",
            ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA"),
            numbering="allystar",
            talkers={GPS: "GP", BEIDOU: "BD"},
            signals=_ALLYSTAR,
            signal_id_field=False,
            gsa_system_field=False,
            gsa_talker="BD",
            latency_us=80 * MILLISECOND,
            jitter_us=10 * MILLISECOND,
            banner=("Allystar Technology", "HD8040"),
            reports="none",
            commands="allystar",
            has_rate_command=False,
        ),
    )
}
"""The dialects by name."""
