# SPDX-License-Identifier: Apache-2.0
"""An epoch of `coldloop nmea decode --json` as text, and what a long capture need not do twice.

Does not decode; see `drivers.gnss.epoch`. `json.dumps` of nested objects took a third of the time
of a long capture. Here the text of a satellite and of a signal is made once and found again: both
seldom change from one epoch to the next. The text is that of `json.dumps`
(`tests/cli/test_nmea_decode.py` compares them).

A receiver repeats most of its GSV and GSA in the next second, too. `KeptSentences` parses each text
once. The agent does not keep them: a board has no memory for it.
"""

import json

from drivers.gnss.epoch import Epoch
from protocols import calendar
from protocols.nmea.satellite_sentences import Gsa, GsaDetail, Gsv
from protocols.nmea.satellite_view import SatelliteInView
from protocols.nmea.sentences import parse

TYPE_CHECKING = False
if TYPE_CHECKING:  # a short command does not wait for `typing`
    from typing import Any

    from protocols.nmea.satellite_sentences import GsvEntry
    from protocols.nmea.sentences import Sentence

_MAX_KEPT = 20_000
_REPEATED = (b"GSV", b"GSA")
_NAMES = ("gnss", "sv", "elevation", "azimuth", "used")
_SIGNAL = ("id", "name", "cn0")


def format_utc(epoch: Epoch) -> "str | None":
    """Return the UTC of an epoch as ISO 8601; None if it is unknown."""
    return None if epoch.utc_us is None else calendar.iso8601(epoch.utc_us, epoch.in_leap_second)


def build_record(epoch: Epoch) -> "dict[str, Any]":
    """Return an epoch as a JSON object; without a valid fix it has no position."""
    satellites = [
        {
            **dict(zip(_NAMES, _describe(satellite), strict=True)),
            "signals": [dict(zip(_SIGNAL, s, strict=True)) for s in satellite.signals],
        }
        for satellite in epoch.satellite_view.satellites
    ]
    return {**_build_head(epoch), "satellites": satellites}


def _describe(satellite: SatelliteInView) -> "tuple[object, ...]":
    """Return the values of `_NAMES`."""
    return (
        satellite.gnss, satellite.sv, satellite.elevation, satellite.azimuth, satellite.used,
    )  # fmt: skip


def _build_head(epoch: Epoch) -> "dict[str, Any]":
    """Return an epoch without its satellites."""
    valid = epoch.valid
    return {
        "utc": format_utc(epoch),
        "valid": valid,
        "mode": epoch.mode,
        "quality": epoch.quality,
        "lat": _scaled(epoch.lat_e7 if valid else None, 10_000_000),
        "lon": _scaled(epoch.lon_e7 if valid else None, 10_000_000),
        "alt_m": _scaled(epoch.alt_mm if valid else None, 1000),
        "used": epoch.used,
        "visible": epoch.visible,
        "complete": epoch.complete,
        "satellites": None,
        "antenna": epoch.antenna,
        "jamming": epoch.jamming,
        "flags": list(epoch.all_flags()),
    }


def _scaled(value: "int | None", scale: int) -> "float | None":
    return None if value is None else value / scale


class EpochWriter:
    """Writes epochs as JSON, one line each."""

    def __init__(self) -> None:
        self._heads: dict[tuple[object, ...], str] = {}
        self._signals: dict[tuple[object, ...], str] = {}
        self._encode = json.JSONEncoder().encode

    def write(self, epoch: Epoch, verdicts: "list[str] | None") -> str:
        """Return the line of an epoch, without its end. `verdicts`: None leaves them out."""
        record = _build_head(epoch)
        if verdicts is not None:
            record["verdicts"] = verdicts
        text = self._encode(record)
        satellites = ", ".join([self._satellite(s) for s in epoch.satellite_view.satellites])
        return text.replace('"satellites": null', f'"satellites": [{satellites}]', 1)

    def _satellite(self, satellite: SatelliteInView) -> str:
        key = _describe(satellite)
        head = self._heads.get(key)
        if head is None:
            head = self._head(key)
        known = self._signals
        texts = [known.get(signal) or self._signal(signal) for signal in satellite.signals]
        return f"{head}{', '.join(texts)}]}}"

    def _head(self, key: "tuple[object, ...]") -> str:
        text = self._encode({**dict(zip(_NAMES, key, strict=True)), "signals": []})
        return _keep(self._heads, key, text[:-2])

    def _signal(self, signal: "tuple[object, ...]") -> str:
        text = self._encode(dict(zip(_SIGNAL, signal, strict=True)))
        return _keep(self._signals, signal, text)


def _keep(kept: "dict[tuple[object, ...], str]", key: "tuple[object, ...]", text: str) -> str:
    """Keep a text; a capture of many hours must not fill the memory."""
    if len(kept) >= _MAX_KEPT:
        kept.clear()
    kept[key] = text
    return text


class KeptGsv(Gsv):
    """A GSV that keeps its decoded satellites."""

    __slots__ = ("_content", "_signal")

    def __init__(self, body: bytes) -> None:
        Gsv.__init__(self, body)
        self._content: tuple[int | None, int | None, list[GsvEntry]] | None = None
        self._signal = Gsv.signal(self)

    def signal(self) -> "int | None":
        """Return as `Gsv.signal`."""
        return self._signal

    def content(self) -> "tuple[int | None, int | None, list[GsvEntry]]":
        """Return as `Gsv.content`."""
        if self._content is None:
            self._content = Gsv.content(self)
        return self._content


class KeptGsa(Gsa):
    """A GSA that keeps its decoded fields."""

    __slots__ = ("_detail",)

    def __init__(self, body: bytes) -> None:
        Gsa.__init__(self, body)
        self._detail: GsaDetail | None = None

    def decode(self) -> GsaDetail:
        """Return as `Gsa.decode`."""
        if self._detail is None:
            self._detail = Gsa.decode(self)
        return self._detail


class KeptSentences:
    """Parses as `protocols.nmea.sentences.parse`."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[Sentence | None, str]] = {}

    def parse(self, body: bytes) -> "tuple[Sentence | None, str]":
        """Return (sentence, "") or (None, reason), as `protocols.nmea.sentences.parse`."""
        if body[2:5] not in _REPEATED:
            return parse(body)
        found = self._kept.get(body)
        if found is None:
            found = parse(body)
            sentence = found[0]
            if type(sentence) is Gsv:
                found = KeptGsv(body), ""
            elif type(sentence) is Gsa:
                found = KeptGsa(body), ""
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[body] = found
        return found
