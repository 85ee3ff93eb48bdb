# SPDX-License-Identifier: Apache-2.0
"""The satellites of an epoch as JSON text: `SatelliteView` without an object for each satellite."""

from drivers.tools.capture.sky_entry import SkyEntry, SkyTable
from protocols.nmea.satellite_id import system_of
from protocols.nmea.satellite_sentences import Gsa, GsaDetail, Gsv
from protocols.nmea.satellite_view import SatelliteView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.nmea.satellite_view import Key

_MAX_SATELLITES = 160


class SkyText(SatelliteView):
    """As `SatelliteView`, with `text` in place of `satellites`, which stays empty."""

    def __init__(
        self,
        sentences: "list[Gsv | Gsa]",
        table: SkyTable,
        open_sets: "dict[bytes, list[Gsv]] | None",
        expected: "set[tuple[bytes, int | None]] | None",
        truncated: bool,
        sent: "dict[str, int] | None",
    ) -> None:
        self._table = table
        self._sky: dict[Key | int, SkyEntry] = {}
        self._used_keys: set[Key | int] = set()
        SatelliteView.__init__(self, sentences, table.vendor, open_sets, expected, truncated, sent)

    @property
    def visible(self) -> int:
        """Number of listed satellites."""
        return len(self._sky)

    @property
    def used(self) -> int:
        """Number of satellites in the fix."""
        return len(self._used_keys)

    @property
    def text(self) -> str:
        """The JSON objects of all satellites, separated by commas."""
        used = self._used_keys
        return ", ".join(
            [
                (entry.used_text or entry.write(True))
                if key in used
                else (entry.unused_text or entry.write(False))
                for key, entry in self._sky.items()
            ]
        )

    def _add_satellites(self, part: Gsv) -> None:
        table, sky = self._table, self._sky
        body = part.body
        content = table.parts.get(body) or table.read_part(part)
        bits, by_key = content.bits, content.by_key
        talker = body[:2]
        count = len(content.entries)
        self._listed_counts[talker] = self._listed_counts.get(talker, 0) + count
        if len(sky) + count > _MAX_SATELLITES:
            bits = self._add_until_full(content.entries)
        elif by_key and sky.keys().isdisjoint(by_key):
            sky.update(by_key)  # the usual case, in one step
        else:
            for entry in content.entries:
                self._add_entry(entry)
        if bits and content.system:
            self.sent[content.system] = self.sent.get(content.system, 0) | bits

    def _add_entry(self, entry: SkyEntry) -> None:
        # a satellite without a number is never the same as another one
        key = len(self._sky) if entry.key is None else entry.key
        kept = self._sky.get(key)
        self._sky[key] = entry if kept is None else self._table.join(kept, entry)

    def _add_until_full(self, entries: "list[SkyEntry]") -> int:
        """Add entries as long as there is room; return the bits of those added."""
        bits = 0
        for entry in entries:
            if entry.key not in self._sky and len(self._sky) >= _MAX_SATELLITES:
                self.complete = False
                break
            self._add_entry(entry)
            bits |= entry.bit
        return bits

    def _mark_used(self, detail: GsaDetail, talker: bytes) -> None:
        system = system_of(talker, detail.system) or self._guess_system(detail.satellites)
        keys = self._table.used_keys(detail, system)
        sky, used = self._sky, self._used_keys
        if sky.keys() >= keys.keys():
            used.update(keys)
            return
        for key in keys:
            if key not in sky:
                if len(sky) >= _MAX_SATELLITES:
                    continue
                sky[key] = SkyEntry(key[0], key)
            used.add(key)
