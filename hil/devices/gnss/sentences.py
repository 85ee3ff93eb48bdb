# SPDX-License-Identifier: Apache-2.0
"""The sentences of one epoch in a vendor dialect, as text.

Does not observe satellites; see `receiver`. The input is an `EpochReport`. This module adds talker,
digits and order. Checksums come from pynmea2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from time import gmtime

from pynmea2 import NMEASentence

from hil.devices.base import SECOND
from hil.devices.gnss.dialects import SYSTEM_ID, Dialect
from hil.devices.gnss.elements import BEIDOU, GLONASS

_GSA_SLOTS = 12  # satellites in one GSA
_PER_GSV = 4
_MAX_LISTED = 64  # nine parts are sufficient for any sky; the standard allows two digits
_VDOP_OF_PDOP = 0.85  # sqrt(1 - (1 / 1.9)^2), so that PDOP^2 = HDOP^2 + VDOP^2
_ANTENNA = ("ok", "open", "short")
_JAMMING = (None, "ok", "warning", "critical")


def sentence(body: str) -> str:
    """Return a body as a whole sentence with its line end."""
    return f"${body}*{NMEASentence.checksum(body):02X}\r\n"


@dataclass
class ListedSatellite:
    """One satellite in the receiver's list; `strengths` in dBHz by signal id, 0 if not tracked."""

    system: str
    number: int
    elevation: int
    azimuth: int
    used: bool
    strengths: dict[str, int]


@dataclass
class EpochReport:
    """The result of one epoch.

    utc_us      the UTC to send, microseconds since 1970; with `is_leap_second` it is 23:59:60
    knows_time  whether the time is sent
    fix         3, 2 or 1 (none)
    position_e9 latitude and longitude in 1e-9 degrees; altitude_m is above sea level
    """

    utc_us: int
    is_leap_second: bool
    knows_time: bool
    fix: int
    position_e9: tuple[int, int]
    altitude_m: float
    satellites: list[ListedSatellite]
    antenna: str = "ok"
    jamming: str = "ok"
    error_m: float = 1.0
    used_count: int = field(init=False)

    def __post_init__(self) -> None:
        self.used_count = (
            sum(satellite.used for satellite in self.satellites) if self.fix > 1 else 0
        )

    @property
    def hdop(self) -> float:
        """Horizontal dilution of precision by the number of used satellites (assumed)."""
        return 2.6 / sqrt(self.used_count) if self.used_count else 99.99


def _format_angle(e9: int, degree_digits: int, digits: int, signs: str) -> str:
    """Return an angle in 1e-9 degrees in NMEA format (d)ddmm.m…, and its letter."""
    whole, rest = divmod(abs(e9), 1_000_000_000)
    minutes = rest * 60 * 10**digits // 1_000_000_000
    mark, part = divmod(minutes, 10**digits)
    return f"{whole:0{degree_digits}d}{mark:02d}.{part:0{digits}d},{signs[e9 < 0]}"


class SentenceWriter:
    """Writes reports in `dialect`."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._day = -1
        self._date = ("", "", "")
        self._time = ""
        self._position = ""
        self._report: EpochReport
        self._systems: list[str] = []
        self._writers = {
            "RMC": self._rmc,
            "GGA": self._gga,
            "GLL": self._gll,
            "GNS": self._gns,
            "VTG": self._vtg,
            "ZDA": self._zda,
            "GST": self._gst,
            "GBS": self._gbs,
            "DTM": lambda: [f"{dialect.talker}DTM,W84,,0.0,N,0.0,E,0.0,W84"],
            "GSA": self._gsa,
            "GSV": self._gsv,
            "ANT": self._antenna,
            "JAM": self._jamming,
            "EPE": self._accuracy,
        }

    @property
    def kinds(self) -> list[str]:
        """All sentence kinds that `write` supports."""
        return list(self._writers)

    def write(self, report: EpochReport, kinds: list[str], systems: list[str]) -> str:
        """Return the sentences of `kinds`, in that order; `systems` are the received systems."""
        self._report = report
        self._systems = systems
        self._format_report(report)
        lines: list[str] = []
        for kind in kinds:
            lines += self._writers[kind]()
        return "".join([sentence(body) for body in lines])

    def _format_report(self, report: EpochReport) -> None:
        digits = self.dialect.time_digits
        seconds, micros = divmod(report.utc_us, SECOND)
        day, of_day = divmod(seconds, 86_400)
        if day != self._day:
            date = gmtime(day * 86_400)
            self._day = day
            self._date = (f"{date.tm_mday:02d}", f"{date.tm_mon:02d}", f"{date.tm_year:04d}")
        minutes, s = divmod(of_day, 60)
        hours, m = divmod(minutes, 60)
        part = micros // 10 ** (6 - digits)
        text = f"{hours:02d}{m:02d}{60 if report.is_leap_second else s:02d}.{part:0{digits}d}"
        self._time = text if report.knows_time else ""
        latitude, longitude = report.position_e9
        digits = self.dialect.position_digits
        self._position = ",,,"
        if report.fix > 1:
            latitude_text = _format_angle(latitude, 2, digits, "NS")
            self._position = f"{latitude_text},{_format_angle(longitude, 3, digits, 'EW')}"

    @property
    def _mode(self) -> str:
        return "A" if self._report.fix > 1 else "N"

    def _rmc(self) -> list[str]:
        day, month, year = self._date
        date = f"{day}{month}{year[2:]}" if self._report.knows_time else ""
        fixed = self._report.fix > 1
        variation = ",".join(self.dialect.variation)
        moves = "0.00," if fixed else ","
        tail = f",{self._mode}" + (",V" if self.dialect.status_field else "")
        return [
            (
                f"{self.dialect.talker}RMC,{self._time},{'A' if fixed else 'V'},{self._position},"
                f"{moves},{date},{variation}{tail}"
            )
        ]

    def _gga(self) -> list[str]:
        report = self._report
        head = f"{self.dialect.talker}GGA,{self._time},{self._position}"
        if report.fix < 2:
            return [f"{head},0,00,99.99,,,,,,"]
        return [
            (
                f"{head},1,{min(report.used_count, 99):02d},{report.hdop:.2f},"
                f"{report.altitude_m:.1f},M,-32.0,M,,"
            )
        ]

    def _gll(self) -> list[str]:
        status = "A" if self._report.fix > 1 else "V"
        return [f"{self.dialect.talker}GLL,{self._position},{self._time},{status},{self._mode}"]

    def _gns(self) -> list[str]:
        report = self._report
        used = {satellite.system for satellite in report.satellites if satellite.used}
        modes = "".join("A" if s in used and report.fix > 1 else "N" for s in SYSTEM_ID)
        high = f"{report.altitude_m:.1f},-32.0" if report.fix > 1 else ","
        return [
            (
                f"{self.dialect.talker}GNS,{self._time},{self._position},{modes},{report.used_count:02d},"
                f"{report.hdop:.2f},{high},,,V"
            )
        ]

    def _vtg(self) -> list[str]:
        moves = "0.00,N,0.00,K" if self._report.fix > 1 else ",N,,K"
        return [f"{self.dialect.talker}VTG,,T,,M,{moves},{self._mode}"]

    def _zda(self) -> list[str]:
        date = ",".join(self._date) if self._report.knows_time else ",,"
        return [f"{self.dialect.talker}ZDA,{self._time},{date},00,00"]

    def _gst(self) -> list[str]:
        e = self._report.error_m
        errors = f"{2 * e:.1f},,,,{e:.1f},{e:.1f},{2 * e:.1f}" if self._report.fix > 1 else ",,,,,,"
        return [f"{self.dialect.talker}GST,{self._time},{errors}"]

    def _gbs(self) -> list[str]:
        e = self._report.error_m
        errors = f"{e:.1f},{e:.1f},{2 * e:.1f}" if self._report.fix > 1 else ",,"
        return [f"{self.dialect.talker}GBS,{self._time},{errors},,,,,,"]

    def _satellite_number(
        self, satellite: ListedSatellite, signal: str = "", in_view: bool = False
    ) -> str:
        number = satellite.number
        if satellite.system == GLONASS:
            number += 64
        elif satellite.system == BEIDOU and self.dialect.numbering == "allystar":
            number += 850 if signal == "4" else 200
        elif satellite.system == BEIDOU and self.dialect.numbering == "gsa200" and not in_view:
            number += 200
        return f"{number:02d}"

    def _gsa(self) -> list[str]:
        report, dialect = self._report, self.dialect
        hdop = min(report.hdop, 52.0)
        dops = ",".join(f"{d:.2f}" for d in (1.9 * hdop, hdop, 1.9 * hdop * _VDOP_OF_PDOP))
        lines = []
        for system in self._systems:
            used = [
                s for s in report.satellites if s.system == system and s.used and report.fix > 1
            ]
            talker = dialect.gsa_talker if dialect.gsa_talker == "GN" else dialect.talkers[system]
            for at in range(0, max(len(used), 1), _GSA_SLOTS):
                numbers = [
                    self._satellite_number(satellite) for satellite in used[at : at + _GSA_SLOTS]
                ]
                numbers += [""] * (_GSA_SLOTS - len(numbers))
                body = f"{talker}GSA,A,{report.fix},{','.join(numbers)},{dops}"
                lines.append(body + (f",{SYSTEM_ID[system]}" if dialect.gsa_system_field else ""))
        return lines

    def _gsv(self) -> list[str]:
        lines: list[str] = []
        for system in self._systems:
            view = [
                satellite for satellite in self._report.satellites if satellite.system == system
            ]
            signals = [signal for signal, _, _ in self.dialect.signals[system]]
            if self.dialect.numbering == "allystar" and system == BEIDOU:
                lines += self._gsv_set(system, [(s, g) for g in signals for s in view], "")
                continue
            for index, signal in enumerate(signals):
                # the first signal lists all satellites in view, the other signals only tracked ones
                tracked = [(s, signal) for s in view if not index or s.strengths.get(signal)]
                if tracked or not index:
                    lines += self._gsv_set(system, tracked, signal)
        return lines

    def _gsv_set(
        self, system: str, entries: list[tuple[ListedSatellite, str]], signal: str
    ) -> list[str]:
        """Return one GSV set."""
        entries = [
            entry for entry in entries if entry[1] == signal or not signal or entry[1] == "0"
        ]
        entries = [entry for entry in entries if entry[1] in entry[0].strengths][:_MAX_LISTED]
        talker = self.dialect.talkers[system]
        tail = f",{signal}" if self.dialect.signal_id_field and signal else ""
        if talker == "PQ":
            tail += f",{SYSTEM_ID[system]}"
        parts = max(1, -(-len(entries) // _PER_GSV))
        lines = []
        for part in range(parts):
            body = f"{talker}GSV,{parts},{part + 1},{len(entries):02d}"
            for satellite, kind in entries[part * _PER_GSV : (part + 1) * _PER_GSV]:
                strength = satellite.strengths[kind]
                text = f"{strength:02d}" if strength else ""
                number = self._satellite_number(satellite, kind, in_view=True)
                body += f",{number},{satellite.elevation:02d},{satellite.azimuth:03d},{text}"
            lines.append(body + tail)
        return lines

    # Vendor reports.

    def _antenna(self) -> list[str]:
        state, number = self._report.antenna, _ANTENNA.index(self._report.antenna)
        return {
            "txt": [f"GPTXT,01,01,01,ANTENNA {state.upper()}"],
            "ublox": [f"GNTXT,01,01,02,ANTSTATUS={state.upper()}"],
            "pqtm": [f"PQTMANTENNASTATUS,3,{number + 1},0,1"],
            "pstm": [f"PSTMANTENNASTATUS,{number},0,0,0"],
            "ptnl": [f"PTNLRBA,1,{number}"],
        }.get(self.dialect.reports, [])

    def _jamming(self) -> list[str]:
        level = _JAMMING.index(self._report.jamming)
        locked = int(level > 1)
        return {
            "pqtm": [f"PQTMJAMMINGSTATUS,1,{level}"],
            "pstm": [f"PSTMNOTCHSTATUS,4092000,{locked},1,1,{locked},0,0,0,0,0"],
        }.get(self.dialect.reports, [])

    def _accuracy(self) -> list[str]:
        e = self._report.error_m if self._report.fix > 1 else 999.0
        return [f"PQTMEPE,2,{e:.3f},{e:.3f},{2 * e:.3f},{1.414 * e:.3f},{2.449 * e:.3f}"]
