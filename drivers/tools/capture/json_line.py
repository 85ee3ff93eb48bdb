# SPDX-License-Identifier: Apache-2.0
"""An epoch of `coldloop nmea decode --json` as text, without `json`.

The text is that of `json.dumps(build_record(epoch))`; the tests compare them.
"""

from drivers.gnss.epoch import Epoch, EpochDecoder
from drivers.tools.capture.sky_text import SkyText
from protocols import calendar
from protocols.nmea.framing import Framer

_LINE = (
    '{"utc": %s, "valid": %s, "mode": %d, "quality": %s, "lat": %s, "lon": %s, "alt_m": %s, '
    '"used": %s, "visible": %s, "complete": %s, "satellites": [%s], "antenna": %s, '
    '"jamming": %s, "flags": [%s]}\n'
)
_NO_POSITION = ("null", "null", "null")


def write_epoch(epoch: Epoch, sky: SkyText) -> str:
    """Return the line of an epoch; `sky`: its satellites."""
    used = sky.used or epoch.reported_used
    has_satellites = sky.has_gsv or sky.visible
    flags = epoch.flags
    if sky.has_gsv and not sky.complete:
        flags += ("incomplete",)
    return _LINE % (
        _quote(format_utc(epoch)),
        "true" if epoch.valid else "false",
        epoch.mode,
        _number(epoch.quality),
        *(_position(epoch) if epoch.valid else _NO_POSITION),
        _number(used),
        max(sky.visible, used or 0) if has_satellites else "null",
        "true" if sky.complete else "false",
        sky.text,
        _quote(epoch.antenna),
        _quote(epoch.jamming),
        '"%s"' % '", "'.join(flags) if flags else "",
    )


def count_totals(framer: Framer, decoder: EpochDecoder, count: int) -> "dict[str, int]":
    """Return the counters of the whole stream; `count`: its epochs.

    `bad_checksum` includes sentences with an invalid byte. `malformed`: sentences of a known type
    with an invalid field, and GSA and GSV with unreadable satellites.
    """
    return {
        "sentences": framer.sentences,
        "typed": decoder.decoded,
        "malformed": decoder.malformed,
        "bad_checksum": framer.bad_checksum + framer.unprintable,
        "no_checksum": framer.no_checksum,
        "unknown": decoder.unknown,
        "skipped_bytes": framer.skipped_bytes,
        "epochs": count,
    }


def write_summary(totals: "dict[str, int]") -> str:
    """Return the last line."""
    return '{"summary": {%s}}\n' % ", ".join(['"%s": %d' % item for item in totals.items()])


def format_utc(epoch: Epoch) -> "str | None":
    """Return the UTC of an epoch as ISO 8601; None if it is unknown."""
    return None if epoch.utc_us is None else calendar.iso8601(epoch.utc_us, epoch.in_leap_second)


def _position(epoch: Epoch) -> "tuple[str, str, str]":
    return (
        _scaled(epoch.lat_e7, 10_000_000),
        _scaled(epoch.lon_e7, 10_000_000),
        _scaled(epoch.alt_mm, 1000),
    )


def _scaled(value: "int | None", scale: int) -> str:
    return "null" if value is None else repr(value / scale)


def _number(value: "int | None") -> str:
    return "null" if value is None else str(value)


def _quote(text: "str | None") -> str:
    """Quote a word of our own: it has no character to escape."""
    return "null" if text is None else '"%s"' % text
