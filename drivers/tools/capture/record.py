# SPDX-License-Identifier: Apache-2.0
"""An epoch of `coldloop nmea decode --json` and `coldloop nmea monitor --json` as an object.

Does not decode; see `drivers.gnss.epoch`. For a file without verdicts, `drivers.tools.capture`
writes the same text.
"""

from drivers.gnss.epoch import Epoch
from drivers.tools.capture.json_line import format_utc
from protocols.nmea.satellite_view import SatelliteInView

TYPE_CHECKING = False
if TYPE_CHECKING:  # a short command does not wait for `typing`
    from typing import Any

_NAMES = ("gnss", "sv", "elevation", "azimuth", "used")
_SIGNAL = ("id", "name", "cn0")


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
