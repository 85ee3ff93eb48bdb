# SPDX-License-Identifier: Apache-2.0
"""What one slot of a GSV says about a satellite, with its JSON text, and the table of all slots.

A slot such as `37,80,332,50` repeats for minutes, although the whole sentence seldom does. So each
slot is read once, and the text of its satellite is made once. `SkyTable.join` adds a later slot of
the same satellite, such as that of its second signal; it remembers the result, too.
"""

from protocols.nmea.fields import parse_hex_digit
from protocols.nmea.satellite_id import identify, implied_signal, signal_name, system_of
from protocols.nmea.satellite_sentences import GsaDetail, Gsv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.nmea.satellite_sentences import GsaDetail, GsvEntry
    from protocols.nmea.satellite_view import Key, Signal

_MAX_SIGNALS = 16
_MAX_SHARED = 63
_EMPTY_SLOT = b",,,"
_SATELLITE = '{"gnss": "%s", "sv": %s, "elevation": %s, "azimuth": %s, "used": %s, "signals": [%s]}'


class SkyEntry:
    """A satellite as one or more slots describe it.

    key         (system, number in the system); None: the receiver does not give the number
    bit         the number as sent, as a bit, if it is from 1 to 63; else 0
    unused_text, used_text   as `write` returns them; "" before the first call
    """

    __slots__ = (
        "_gnss",
        "azimuth",
        "bit",
        "elevation",
        "key",
        "signals",
        "unused_text",
        "used_text",
    )

    def __init__(
        self,
        gnss: str,
        key: "Key | None",
        direction: "tuple[int | None, int | None]" = (None, None),
        signals: "tuple[Signal, ...]" = (),
        bit: int = 0,
    ) -> None:
        self.key = key
        self.bit = bit
        self._gnss = gnss
        self.elevation, self.azimuth = direction
        self.signals = signals
        self.unused_text = self.used_text = ""

    def write(self, is_used: bool) -> str:
        """Return the JSON object of the satellite, and keep it."""
        text = _SATELLITE % (
            self._gnss,
            _text(None if self.key is None else self.key[1]),
            _text(self.elevation),
            _text(self.azimuth),
            "true" if is_used else "false",
            ", ".join([_signal_text(*signal) for signal in self.signals]),
        )
        if is_used:
            self.used_text = text
        else:
            self.unused_text = text
        return text

    def join(self, later: "SkyEntry") -> "SkyEntry":
        """Return this satellite after a later slot of the same epoch."""
        elevation = self.elevation if later.elevation is None else later.elevation
        azimuth = self.azimuth if later.azimuth is None else later.azimuth
        signals = _merge_signals(self.signals, later.signals)
        return SkyEntry(self._gnss, self.key, (elevation, azimuth), signals)


def _text(value: "int | None") -> str:
    return "null" if value is None else str(value)


def _signal_text(number: "int | None", name: "str | None", cn0: int) -> str:
    quoted = "null" if name is None else '"%s"' % name
    return '{"id": %s, "name": %s, "cn0": %d}' % (_text(number), quoted, cn0)


def _merge_signals(
    signals: "tuple[Signal, ...]", later: "tuple[Signal, ...]"
) -> "tuple[Signal, ...]":
    """Return the signals of both; a repeated one replaces the earlier value."""
    merged = list(signals)
    for signal in later:
        same = [old for old in merged if old[:2] == signal[:2]]
        if same:
            merged[merged.index(same[0])] = signal
        elif len(merged) < _MAX_SIGNALS:
            merged.append(signal)
    return tuple(merged)


class SkyPart:
    """The satellites of one GSV.

    system   as `system_of` returns it
    bits     the numbers from 1 to 63 that it sends
    by_key   the entries by key; empty if two have the same key, or one has none
    """

    __slots__ = ("bits", "by_key", "entries", "system")

    def __init__(self, system: str, entries: "list[SkyEntry]") -> None:
        self.system = system
        self.entries = entries
        self.bits = 0
        self.by_key: dict[Key | int, SkyEntry] = {}
        for entry in entries:
            self.bits |= entry.bit
            if entry.key is not None:
                self.by_key[entry.key] = entry
        if len(self.by_key) < len(entries):
            self.by_key = {}


class SkyTable:
    """The satellites of each GSV and of each slot so far, for one vendor.

    parts   by the body of the GSV
    """

    def __init__(self, vendor: "str | None") -> None:
        self.vendor = vendor
        self.parts: dict[bytes, SkyPart] = {}
        self._joined: dict[tuple[SkyEntry, SkyEntry], SkyEntry] = {}
        self._used: dict[tuple[GsaDetail, str], dict[Key, None]] = {}
        self._slots: dict[tuple[str, int | None], dict[bytes, SkyEntry]] = {}

    def read_part(self, part: Gsv) -> SkyPart:
        """Read a GSV that `parts` does not have.

        Raises:
            DecodeError: a malformed field.
        """
        f = part.body.split(b",")
        extra = len(f) % 4
        signal = parse_hex_digit(f[-extra]) if extra else None
        system = system_of(part.talker, parse_hex_digit(f[-1]) if extra == 2 else None)
        slots = [b",".join(f[at : at + 4]) for at in range(4, len(f) - 3, 4)]
        if _EMPTY_SLOT in slots:
            slots = [slot for slot in slots if slot != _EMPTY_SLOT]
        known = self._slots.setdefault((system, signal), {})
        try:
            entries = [known[slot] for slot in slots]
        except KeyError:
            for slot, content in zip(slots, part.satellites(), strict=True):
                if slot not in known:
                    known[slot] = _read_slot(system, signal, content, self.vendor)
            entries = [known[slot] for slot in slots]
        found = self.parts[part.body] = SkyPart(system, entries)
        return found

    def join(self, entry: SkyEntry, later: SkyEntry) -> SkyEntry:
        """Return as `SkyEntry.join`."""
        joined = self._joined.get((entry, later))
        if joined is None:
            joined = self._joined[entry, later] = entry.join(later)
        return joined

    def used_keys(self, detail: GsaDetail, system: str) -> "dict[Key, None]":
        """Return the keys of the satellites of a GSA, in order, as those of a dict."""
        kept = self._used.get((detail, system))
        if kept is None:
            numbers = [number for number in detail.satellites if number]
            kept = dict.fromkeys([identify(system, number) for number in numbers])
            self._used[detail, system] = kept
        return kept

    def forget(self, count: int) -> None:
        """Forget all if more than `count` parts or other results are kept."""
        if max(len(self.parts), len(self._joined), len(self._used)) > count:
            self.parts = {}
            self._joined = {}
            self._used = {}
            self._slots = {}


def _read_slot(
    system: str, signal: "int | None", content: "GsvEntry", vendor: "str | None"
) -> SkyEntry:
    """Return a slot as `SatelliteView` reads it."""
    number, elevation, azimuth, cn0 = content
    key = None if number is None else identify(system, number)
    gnss = key[0] if key is not None else "BDS" if system == "PQ" else system or "GPS"
    bit = 1 << number if number is not None and number <= _MAX_SHARED else 0
    signals: tuple[Signal, ...] = ()
    if cn0:
        if signal is not None:
            name = signal_name(gnss, signal, vendor)
        else:
            name = None if number is None else implied_signal(system, number, vendor)
        signals = ((signal, name, cn0),)
    return SkyEntry(gnss, key, _direction(elevation, azimuth), signals, bit)


def _direction(elevation: "int | None", azimuth: "int | None") -> "tuple[int | None, int | None]":
    """Return the valid values; 0 and 0 together mean unknown."""
    if not elevation and not azimuth:
        return None, None
    return (
        elevation if elevation is not None and -90 <= elevation <= 90 else None,
        azimuth % 360 if azimuth is not None and 0 <= azimuth <= 360 else None,
    )
