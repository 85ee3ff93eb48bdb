# SPDX-License-Identifier: Apache-2.0
"""Hourly weather of a year, from an EPW file or from a shipped synthetic climate.

EPW is the format of EnergyPlus: 8 header lines, then one line an hour. Columns (1-based): 7 dry
bulb and 8 dew point in degC, 9 relative humidity in %, 10 pressure in Pa. The values 99.9, 999 and
999999 mean missing; the value of the hour before replaces them. Between two hours the weather is
linear.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hil.plant.air.cooler import Air
from hil.plant.air.psychrometrics import (
    STANDARD_PA,
    density_kg_m3,
    dew_point_c,
    humidity_pct,
    wet_bulb_c,
)
from hil.plant.air.synthetic_climate import CLIMATES, synthesize_hours

HOURS = 8760
_MISSING = (99.9, 99.9, 999.0, 999_999.0)
_DENSITY_15C = 1.225


class WeatherError(ValueError):
    """Unusable weather; the text says what is wrong, where, and what to do."""


@dataclass(slots=True)
class Hour:
    """One hour: dry bulb and dew point in degC, pressure in Pa; wet bulb on demand."""

    dry_c: float
    dew_c: float
    pressure_pa: float = STANDARD_PA
    _wet: float | None = field(default=None, repr=False)

    @property
    def wet_c(self) -> float:
        """Wet bulb, degC."""
        if self._wet is None:
            self._wet = wet_bulb_c(self.dry_c, self.dew_c, self.pressure_pa)
        return self._wet

    @property
    def humidity_pct(self) -> float:
        """Relative humidity, %."""
        return humidity_pct(self.dry_c, self.dew_c)

    def air(self) -> Air:
        """Return the hour as the inlet air of a cooler."""
        density = density_kg_m3(self.dry_c, self.dew_c, self.pressure_pa) / _DENSITY_15C
        return Air(self.dry_c, self.wet_c, density)


@dataclass(slots=True)
class Weather:
    """A year of hours with its name and source."""

    name: str
    source: str
    hours: list[Hour]

    def at(self, hour: float) -> Hour:
        """Return the weather `hour` hours into the year; the year repeats after its end."""
        whole = int(hour)
        a = self.hours[whole % len(self.hours)]
        b = self.hours[(whole + 1) % len(self.hours)]
        x = hour - whole
        if x == 0.0:
            return a
        return Hour(
            a.dry_c + x * (b.dry_c - a.dry_c),
            a.dew_c + x * (b.dew_c - a.dew_c),
            a.pressure_pa + x * (b.pressure_pa - a.pressure_pa),
            a.wet_c + x * (b.wet_c - a.wet_c),
        )


def read_epw(path: Path) -> Weather:
    """Read an EPW file; raises `WeatherError` with file and line."""
    try:
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise WeatherError(f"{path}: {error.strerror}") from None
    if not lines or not lines[0].startswith("LOCATION"):
        raise WeatherError(f"{path}:1: not an EPW file: it must begin with LOCATION")
    hours: list[Hour] = []
    last = [20.0, 10.0, 50.0, STANDARD_PA]
    for number, line in enumerate(lines[8:], 9):
        if not line.strip():
            continue
        fields = line.split(",")
        try:
            values = [float(fields[i]) for i in (6, 7, 8, 9)]
        except (ValueError, IndexError):
            raise WeatherError(f"{path}:{number}: columns 7 to 10 are not numbers") from None
        values = [
            previous if value >= missing else value
            for value, missing, previous in zip(values, _MISSING, last, strict=True)
        ]
        last = values
        hours.append(_hour(values, path, number))
    if len(hours) < 24:
        raise WeatherError(f"{path}: {len(hours)} hours: give at least 24")
    location = lines[0].split(",")
    return Weather(location[1] or path.stem, str(path.name), hours)


def _hour(values: list[float], path: Path, number: int) -> Hour:
    """Check the ranges of one line; limit the dew point to the dry bulb."""
    dry, dew, rh, pressure = values
    if not (-70.0 <= dry <= 70.0 and -90.0 <= dew <= 60.0 and 30_000.0 <= pressure <= 120_000.0):
        raise WeatherError(f"{path}:{number}: {dry} degC, {dew} degC, {pressure} Pa: out of range")
    if dew > dry:
        dew = min(dry, dew_point_c(dry, rh))
    return Hour(dry, dew, pressure)


def load_weather(name: str) -> Weather:
    """Return a shipped climate by name or an EPW file by path; raises `WeatherError` for others."""
    if name in CLIMATES:
        climate = CLIMATES[name]
        hours = [Hour(dry, dew, climate.pressure_pa) for dry, dew in synthesize_hours(name)]
        return Weather(name, climate.source, hours)
    if name.lower().endswith(".epw"):
        return read_epw(Path(name))
    raise WeatherError(f"{name}: no such climate: give {', '.join(CLIMATES)} or FILE.epw")
