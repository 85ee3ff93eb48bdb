# SPDX-License-Identifier: Apache-2.0
"""Hourly weather of a year, from an EPW file or from a shipped synthetic climate.

EPW is the format of EnergyPlus: 8 header lines, then one line an hour. Columns (1-based): 2 month,
3 day, 4 hour, 7 dry bulb and 8 dew point in degC, 9 relative humidity in %, 10 pressure in Pa.
Column 2 of the first line is the place and column 10 the elevation, m. The text is UTF-8, or
Latin-1 if it is not valid UTF-8. Between two hours the weather is linear.

Each line must be the hour after the line before: a file with gaps or two lines an hour is refused.
The year of a line does not count, because typical years combine months of several years. The values
99.9, 999 and 999999 mean missing. A dew point then follows from the humidity. Otherwise the value
of the hour before replaces it, or the first known one. Without any pressure, that of the elevation
holds; any other column without a value is refused. `notes` has the number of replaced values.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from math import isfinite, isnan, nan
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
_MONTH_ENDS = (31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
_MISSING = (99.9, 99.9, 999.0, 999_999.0)
_HEADER_LINES = 8
_ELEVATION = 9
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
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
    """A year of hours with its name and source; `notes`: what the file did not have.

    `months`: month of each hour, 0 to 11; empty for a year of 365 days from 1 January.
    """

    name: str
    source: str
    hours: list[Hour]
    notes: tuple[str, ...] = ()
    months: tuple[int, ...] = ()

    def month(self, hour: int) -> int:
        """Return the month of an hour, 0 to 11; the year repeats after its end."""
        if self.months:
            return self.months[hour % len(self.months)]
        day = hour // 24 % 365
        return next(i for i, end in enumerate(_MONTH_ENDS) if day < end)

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
        lines = _lines(path.read_bytes())
    except OSError as error:
        raise WeatherError(f"{path}: {error.strerror}") from None
    if not lines or not lines[0].startswith("LOCATION"):
        raise WeatherError(f"{path}:1: not an EPW file: it must begin with LOCATION")
    if any(line[:1].isdigit() for line in lines[:_HEADER_LINES]):
        raise WeatherError(f"{path}: data before line 9: an EPW file has 8 header lines")
    rows: list[tuple[int, list[float]]] = []
    months: list[int] = []
    last: tuple[int, int, int] | None = None
    for number, line in enumerate(lines[_HEADER_LINES:], _HEADER_LINES + 1):
        if line.strip():
            time, values = _row(line, path, number)
            if last is not None and time not in _next_hours(last):
                raise WeatherError(
                    f"{path}:{number}: {_name(time)} follows {_name(last)}: give one line for "
                    "each hour, in order"
                )
            last = time
            rows.append((number, values))
            months.append(time[0] - 1)
    if len(rows) < 24:
        raise WeatherError(f"{path}: {len(rows)} hours: give at least 24")
    location = next(csv.reader(lines[:1]))
    notes = _fill([values for _, values in rows], _elevation_m(location), path)
    hours = [_hour(values, path, number) for number, values in rows]
    place = "".join(c for c in "".join(location[1:2]) if c.isprintable()).strip()
    return Weather(place or path.stem, str(path.name), hours, notes, tuple(months))


def _lines(data: bytes) -> list[str]:
    """Return the lines of a file. Only CR and LF end a line: names of places have other marks."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _row(line: str, path: Path, number: int) -> tuple[tuple[int, int, int], list[float]]:
    """Return month, day and hour (1 to 24) of a line, and its values; NaN: missing."""
    fields = line.split(",")
    try:
        month, day, hour = (int(fields[i]) for i in (1, 2, 3))
    except (ValueError, IndexError):
        raise WeatherError(f"{path}:{number}: columns 2 to 4 are not a date and an hour") from None
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month - 1] and 1 <= hour <= 24):
        raise WeatherError(f"{path}:{number}: columns 2 to 4 are not a date and an hour")
    try:
        values = [float(fields[i]) for i in (6, 7, 8, 9)]
    except (ValueError, IndexError):
        raise WeatherError(f"{path}:{number}: columns 7 to 10 are not numbers") from None
    if not all(isfinite(value) for value in values):
        raise WeatherError(f"{path}:{number}: columns 7 to 10 are not numbers")
    filled = [
        nan if value >= missing else value for value, missing in zip(values, _MISSING, strict=True)
    ]
    return (month, day, hour), filled


def _next_hours(time: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """Return the hours that can follow; a February has 28 or 29 days."""
    month, day, hour = time
    if hour < 24:
        return ((month, day, hour + 1),)
    first = (month % 12 + 1, 1, 1)
    if (month, day) == (2, 28):
        return ((2, 29, 1), first)
    return ((month, day + 1, 1),) if day < _MONTH_DAYS[month - 1] else (first,)


def _name(time: tuple[int, int, int]) -> str:
    """Return a time as text, in the manner of EPW."""
    return f"month {time[0]} day {time[1]} hour {time[2]}"


def _elevation_m(location: list[str]) -> float:
    """Return the elevation of the first line, m; 0 without it."""
    try:
        metres = float(location[_ELEVATION])
    except (ValueError, IndexError):
        return 0.0
    return min(max(metres, -430.0), 6000.0) if isfinite(metres) else 0.0


def _fill(rows: list[list[float]], elevation_m: float, path: Path) -> tuple[str, ...]:
    """Replace missing values in `rows`; return a note for each column with replaced values."""
    notes = []
    standard_pa = STANDARD_PA * (1.0 - 2.25577e-5 * elevation_m) ** 5.2559
    for column, name in enumerate(("dry bulb", "dew point", "humidity", "pressure")):
        missing = [row for row in rows if isnan(row[column])]
        if not missing or name == "humidity":
            continue
        for row in missing:
            if name == "dew point" and 0.0 < row[2] <= 110.0:
                row[column] = dew_point_c(row[0], min(row[2], 100.0))
        known = next((row[column] for row in rows if not isnan(row[column])), None)
        if known is None and name == "pressure":
            known = standard_pa
        if known is None:
            raise WeatherError(f"{path}: no hour has a {name}")
        for row in rows:
            known = row[column] = known if isnan(row[column]) else row[column]
        notes.append(f"{path.name}: {len(missing)} of {len(rows)} hours have no {name}: replaced")
    return tuple(notes)


def _hour(values: list[float], path: Path, number: int) -> Hour:
    """Check the ranges of one line; limit the dew point to the dry bulb."""
    dry, dew, rh, pressure = values
    if not (-70.0 <= dry <= 70.0 and -90.0 <= dew <= 60.0 and 30_000.0 <= pressure <= 120_000.0):
        raise WeatherError(f"{path}:{number}: {dry} degC, {dew} degC, {pressure} Pa: out of range")
    if dew > dry:
        dew = dry if isnan(rh) or rh <= 0.0 else min(dry, dew_point_c(dry, min(rh, 100.0)))
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
