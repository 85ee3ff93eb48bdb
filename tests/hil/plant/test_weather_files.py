# SPDX-License-Identifier: Apache-2.0
"""EPW files as they come: names in several encodings, ends of lines, leap years, other months."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.plant.air.weather import Weather, load_weather, read_epw

DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def hours(start_month: int, leap: bool, count: int) -> Iterator[str]:
    """Yield lines of hours; from December on to January."""
    for i in range(count):
        month = (start_month - 1 + i) % 12
        for day in range(DAYS[month] + (leap and month == 1)):
            for hour in range(24):
                yield f"2005,{month + 1},{day + 1},{hour + 1},60,x,20.0,10.0,50,101000"


def read(
    folder: Path,
    place: str = "Somewhere",
    encoding: str = "utf-8",
    end: str = "\n",
    start_month: int = 1,
    months: int = 1,
    leap: bool = False,
    elevation: str = "10",
) -> Weather:
    path = folder / "place.epw"
    head = [f"LOCATION,{place},X,Y,Z,1,25.0,55.0,4.0,{elevation}", *["HEADER"] * 7]
    text = end.join([*head, *hours(start_month, leap, months)]) + end
    path.write_bytes(text.encode(encoding))
    return read_epw(path)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("place", ["Ålesund", "São Paulo"])
def test_names_of_places(tmp_path: Path, place: str, encoding: str, end: str) -> None:
    """The second byte of Å in UTF-8 is 0x85, the end of a line in Latin-1."""
    weather = read(tmp_path, place, encoding, end)
    assert weather.name == place
    assert len(weather.hours) == 31 * 24


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ('"Paris, Orly"', "Paris, Orly"),
        ("a\x1b[31mb\x0bc\x1cd\x00", "a[31mbcd"),
        ("\u202eback", "back"),
        ("", "place"),
    ],
)
def test_a_name_is_one_line_without_control_characters(
    tmp_path: Path, place: str, name: str
) -> None:
    assert read(tmp_path, place).name == name


@pytest.mark.parametrize("elevation", ["nan", "inf", "-inf", "", "high"])
def test_an_elevation_that_is_no_number_is_sea_level(tmp_path: Path, elevation: str) -> None:
    path = tmp_path / "place.epw"
    read(tmp_path, elevation=elevation)
    path.write_text(path.read_text().replace(",101000", ",999999"))
    assert {hour.pressure_pa for hour in read_epw(path).hours} == {101_325.0}


def test_months_are_those_of_the_file(tmp_path: Path) -> None:
    leap = read(tmp_path, months=12, leap=True)
    assert len(leap.hours) == 8784
    first = [24 * sum(d + (i == 1) for i, d in enumerate(DAYS[:month])) for month in range(12)]
    assert [leap.month(hour) for hour in first] == list(range(12))
    assert [leap.month(hour - 1) for hour in first] == [11, *range(11)]
    assert leap.month(8784 + 24) == 0
    july = read(tmp_path, months=12, start_month=7)
    assert [july.month(hour) for hour in (0, 8759, 8760)] == [6, 5, 6]
    climate = load_weather("dubai")
    assert [climate.month(hour) for hour in (0, 743, 744, 8759, 8760)] == [0, 0, 1, 11, 0]
