# SPDX-License-Identifier: Apache-2.0
"""The satellites of one epoch, from its GSV and GSA sentences.

One satellite is one entry, independent of its number of signals, sentences and numbering schemes.
A satellite that GSA lists as used and no GSV lists is an entry too, so that `used` never exceeds
`visible`. `complete` is False if something is missing: a part of a set, satellites that a set
counts but does not list, or a whole set of the last epoch that can be among the damaged sentences.

A set is the parts 1 to n of one talker in order. The part numbers can continue over several signals
(Allystar) or restart with each signal (Unicore, u-blox). Garmin spreads a set over epochs:
`SatelliteView` continues the sets that the last epoch left open.
"""

from protocols.errors import DecodeError
from protocols.nmea.satellite_id import identify, implied_signal, signal_name, system_of
from protocols.nmea.satellite_sentences import Gsa, GsaDetail, Gsv

TYPE_CHECKING = False
if TYPE_CHECKING:
    Signal = tuple[int | None, str | None, int]
    Key = tuple[str, int]

_MAX_SATELLITES = 160
_MAX_SIGNALS = 16
_MAX_SHARED = 63
"""Up to this number, several systems have the same numbers."""


class SatelliteInView:
    """One satellite.

    gnss, sv    system and number in it; `sv` is None if the receiver does not send it (GLONASS)
    elevation, azimuth   degrees; None if unknown (0 and 0 together also mean unknown)
    used        in the fix
    signals     (id, name, C/N0 in dBHz) of each received signal; id and name can be None
    """

    __slots__ = ("azimuth", "elevation", "gnss", "signals", "sv", "used")

    def __init__(self, gnss: str, sv: "int | None") -> None:
        self.gnss = gnss
        self.sv = sv
        self.elevation: int | None = None
        self.azimuth: int | None = None
        self.used = False
        self.signals: list[Signal] = []

    @property
    def cn0(self) -> "int | None":
        """The C/N0 of the strongest signal in dBHz; None without a signal."""
        return max([signal[2] for signal in self.signals]) if self.signals else None


class SatelliteView:
    """The satellites of an epoch.

    `sentences` are its GSV and GSA in order. `open_sets` is `self.open_sets` of the last epoch.
    `expected` is `self.gsv_sets` of the last epoch if sentences of this epoch are damaged;
    `truncated`: further sentences of the epoch were dropped. `sent` is `self.sent` of the last
    epoch.

    satellites   in order of first mention
    complete     nothing is missing (see the module); False without any GSV
    fix          the best value of GSA: 1 none, 2, 3; None without GSA
    pdop_centi, hdop_centi, vdop_centi   times 100, or None
    gsv_sets     (talker, signal) of each set that started
    malformed    sentences with unreadable satellites
    sent         the numbers from 1 to 63 that the last GSV of each system sent, as bits
    """

    def __init__(
        self,
        sentences: "list[Gsv | Gsa]",
        vendor: "str | None" = None,
        open_sets: "dict[bytes, list[Gsv]] | None" = None,
        expected: "set[tuple[bytes, int | None]] | None" = None,
        truncated: bool = False,
        sent: "dict[str, int] | None" = None,
    ) -> None:
        self.satellites: list[SatelliteInView] = []
        self.complete = True
        self.fix: int | None = None
        self.pdop_centi: int | None = None
        self.hdop_centi: int | None = None
        self.vdop_centi: int | None = None
        self.gsv_sets: set[tuple[bytes, int | None]] = set()
        self.malformed = 0
        self.sent: dict[str, int] = {}
        self._vendor = vendor
        self._by_key: dict[Key, SatelliteInView] = {}
        self._sets: dict[bytes, list[Gsv]] = {}
        self._listed_counts: dict[bytes, int] = {}
        gsv_parts, gsa_details = self._split_sentences(sentences)
        self.has_gsv = bool(gsv_parts)
        self._resume_sets(gsv_parts, open_sets or {})
        for part in gsv_parts:
            self._add_part(part)
        self._close_sets()
        for system, numbers in (sent or {}).items():
            self.sent.setdefault(system, numbers)
        for detail, talker in gsa_details:
            self._mark_used(detail, talker)
        if not gsv_parts or truncated or (expected and expected - self.gsv_sets):
            self.complete = False

    @property
    def visible(self) -> int:
        """Number of listed satellites."""
        return len(self.satellites)

    @property
    def used(self) -> int:
        """Number of satellites in the fix."""
        return len([1 for satellite in self.satellites if satellite.used])

    def _split_sentences(
        self, sentences: "list[Gsv | Gsa]"
    ) -> "tuple[list[Gsv], list[tuple[GsaDetail, bytes]]]":
        gsv_parts: list[Gsv] = []
        gsa_details: list[tuple[GsaDetail, bytes]] = []
        for sentence in sentences:
            if isinstance(sentence, Gsv):
                gsv_parts.append(sentence)
                continue
            try:
                detail = sentence.decode()
            except DecodeError:
                self.malformed += 1
                continue
            gsa_details.append((detail, sentence.talker))
            if detail.fix is not None and (self.fix is None or detail.fix > self.fix):
                self.fix = detail.fix
            if detail.hdop_centi is not None:
                self.pdop_centi = detail.pdop_centi
                self.hdop_centi = detail.hdop_centi
                self.vdop_centi = detail.vdop_centi
        return gsv_parts, gsa_details

    def _resume_sets(self, gsv_parts: "list[Gsv]", open_sets: "dict[bytes, list[Gsv]]") -> None:
        """Add the parts of a set from the last epoch if this epoch has its next part."""
        for part in gsv_parts:
            earlier = open_sets.get(part.talker)
            if part.talker in self._sets:
                continue
            self._sets[part.talker] = []
            if earlier and (part.number, part.total) == (len(earlier) + 1, earlier[0].total):
                for old in earlier:
                    self._add_part(old)

    def _add_part(self, part: Gsv) -> None:
        """Add one part: check its position in its set, then list its satellites."""
        parts = self._sets.setdefault(part.talker, [])
        if part.number == 1:
            self._end_set(part.talker)
            parts = self._sets[part.talker] = []
            self.gsv_sets.add((part.talker, part.signal()))
        elif part.number != len(parts) + 1 or (parts and parts[0].total != part.total):
            self.complete = False
        parts.append(part)
        try:
            self._add_satellites(part)
        except DecodeError:
            self.malformed += 1
            self.complete = False

    def _end_set(self, talker: bytes) -> None:
        parts = self._sets.get(talker)
        if not parts:
            return
        last = parts[-1]
        if last.number != last.total or self._listed_counts.get(talker, 0) < (last.in_view or 0):
            self.complete = False
        self._listed_counts[talker] = 0

    def _close_sets(self) -> None:
        """Check the sets of this epoch, and keep the unfinished ones for the next epoch."""
        self.open_sets: dict[bytes, list[Gsv]] = {}
        for talker, parts in self._sets.items():
            self._end_set(talker)
            if parts and parts[0].number == 1 and len(parts) < parts[0].total:
                self.open_sets[talker] = parts

    def _add_satellites(self, part: Gsv) -> None:
        talker = part.talker
        system_id, signal, entries = part.content()
        system = system_of(talker, system_id)
        self._listed_counts[talker] = self._listed_counts.get(talker, 0) + len(entries)
        by_key, vendor = self._by_key, self._vendor
        sent = 0
        named = ""
        name: str | None = None
        for number, elevation, azimuth, cn0 in entries:
            key = None if number is None else identify(system, number)
            satellite = None if key is None else by_key.get(key)
            if satellite is None:
                satellite = self._create(system, key)
            if satellite is None:
                self.complete = False
                break
            if number is not None and number <= _MAX_SHARED:
                sent |= 1 << number
            if satellite.elevation != elevation or satellite.azimuth != azimuth:
                _set_direction(satellite, elevation, azimuth)
            if not cn0:
                continue
            if signal is None:
                name = None if number is None else implied_signal(system, number, vendor)
            elif satellite.gnss != named:
                named = satellite.gnss
                name = signal_name(named, signal, vendor)
            if satellite.signals:
                _add_signal(satellite, (signal, name, cn0))
            else:
                satellite.signals.append((signal, name, cn0))
        if system and sent:
            self.sent[system] = self.sent.get(system, 0) | sent

    def _find(self, system: str, number: int) -> "SatelliteInView | None":
        """Return the entry of a satellite; creates it if needed. None above the maximum number."""
        key = identify(system, number)
        return self._by_key.get(key) or self._create(system, key)

    def _create(self, system: str, key: "Key | None") -> "SatelliteInView | None":
        """Add a satellite; `key` is None if the receiver does not give its number."""
        if len(self.satellites) >= _MAX_SATELLITES:
            return None
        if key is None:
            satellite = SatelliteInView("BDS" if system == "PQ" else system or "GPS", None)
        else:
            satellite = self._by_key[key] = SatelliteInView(key[0], key[1])
        self.satellites.append(satellite)
        return satellite

    def _mark_used(self, detail: GsaDetail, talker: bytes) -> None:
        system = system_of(talker, detail.system)
        if not system:
            system = self._guess_system(detail.satellites)
        for number in detail.satellites:
            satellite = self._find(system, number) if number else None
            if satellite is not None:
                satellite.used = True

    def _guess_system(self, numbers: "list[int]") -> str:
        """Return the system of a GN sentence without a system id: the best match with GSV.

        A GSV sends the same numbers as a GSA. Numbers above 63 identify the system by their range.
        On a tie the first counts: GPS.
        """
        best, best_count = "", 0
        if [number for number in numbers if number > _MAX_SHARED]:
            return ""
        for system in ("GPS", "BDS", "GAL", "GLO"):
            bits = self.sent.get(system, 0)
            count = len([1 for number in numbers if bits >> number & 1])
            if count > best_count:
                best, best_count = system, count
        return best


def _set_direction(
    satellite: SatelliteInView, elevation: "int | None", azimuth: "int | None"
) -> None:
    if not elevation and not azimuth:
        return
    if elevation is not None and -90 <= elevation <= 90:
        satellite.elevation = elevation
    if azimuth is not None and 0 <= azimuth <= 360:
        satellite.azimuth = azimuth % 360


def _add_signal(satellite: SatelliteInView, signal: "Signal") -> None:
    """Add a signal; a repeated one replaces the earlier value."""
    signals, (number, name, _) = satellite.signals, signal
    for old in signals:
        if old[0] == number and old[1] == name:
            signals[signals.index(old)] = signal
            return
    if len(signals) < _MAX_SIGNALS:
        signals.append(signal)
