# SPDX-License-Identifier: Apache-2.0
"""The captures of real receivers that gpsd tests with, from Debian's source package.

A parser of this file reads RMC, GGA and GSV line by line. It shares no code with the decoder under
test. Three statements follow for each capture:

    an epoch with a fix has the time and the position of a sentence of the capture
    a fix that RMC and GGA agree on is read
    a satellite is of a system that a sentence of the capture can mean
"""

import io
import json
import os
import re
from contextlib import redirect_stdout
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.firmware.micropython_source import fetch_source
from drivers.tools import nmea_decode
from tests.support.nmea_captures import general_json
from tests.support.programs import require_program

_SENTENCE = re.compile(rb"\$([\x20-\x23\x25-\x29\x2b-\x7e]{5,250})\*([0-9A-Fa-f]{2})")
_TALKERS = {
    "GL": {"GLO", "SBAS"},
    "GA": {"GAL"},
    "GB": {"BDS"},
    "BD": {"BDS"},
    "GQ": {"QZS"},
    "QZ": {"QZS"},
    "GI": {"IRN"},
    "PQ": {"BDS", "QZS"},
}
"""What a talker can mean. GP and GN carry all systems, by the range of the number."""
_RANGES = (
    (1, 32, "GPS"), (33, 64, "SBAS"), (65, 99, "GLO"), (120, 158, "SBAS"), (193, 202, "QZS"),
    (201, 264, "BDS"), (301, 336, "GAL"), (401, 463, "BDS"), (501, 514, "IRN"),
)  # fmt: skip


class StatedFix(NamedTuple):
    """A fix of one sentence: time of day in ms, position in degrees."""

    time_ms: int
    lat: float
    lon: float


def sentences(data: bytes) -> list[list[str]]:
    """Return the fields of the sentences with a correct checksum."""
    found = []
    for body, check in _SENTENCE.findall(data):
        if reduce(xor, body) == int(check, 16):
            found.append(body.decode().split(","))
    return found


def _degrees(field: str, hemisphere: str) -> float:
    whole, minutes = field.lstrip("-").split(".")[0][:-2], field.lstrip("-")
    value = int(whole or "0") + float(minutes[len(whole) :]) / 60.0
    return -value if hemisphere in "SW" else value


def _fix(time: str, position: list[str]) -> StatedFix | None:
    try:
        seconds = int(time[0:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:])
        return StatedFix(
            round(seconds * 1000), _degrees(*position[0:2]), _degrees(*position[2:4])
        )  # fmt: skip
    except (ValueError, IndexError, TypeError):
        return None


def fixes(rows: list[list[str]]) -> tuple[list[StatedFix], list[StatedFix]]:
    """Return all positions with a time, and the fixes on which RMC and GGA of one time agree."""
    stated: list[StatedFix] = []
    good: dict[int, StatedFix] = {}
    bad: set[int] = set()
    for row in rows:
        kind = row[0][2:5]
        fix = None
        if kind == "RMC" and len(row) >= 10:
            fix = _fix(row[1], row[3:7])
            mode = row[12] if len(row) > 12 else "A"
            is_good = row[2] == "A" and mode in ("A", "D", "F", "P", "R", "")
        elif kind == "GGA" and len(row) >= 10:
            fix = _fix(row[1], row[2:6])
            is_good = row[6] in ("1", "2", "3", "4", "5")
        elif kind in ("GNS", "GLL"):
            fix = _fix(row[1], row[2:6]) if kind == "GNS" else _fix(row[5], row[1:5])
            if fix is not None:
                stated.append(fix)
            continue
        else:
            continue
        if fix is None:
            continue
        stated.append(fix)
        if not is_good:
            bad.add(fix.time_ms)
        elif kind == "RMC" and len(row[9]) == 6 and row[9].isdigit():
            good[fix.time_ms] = fix
    return stated, [fix for time_ms, fix in good.items() if time_ms not in bad]


def systems(rows: list[list[str]]) -> set[str]:
    """Return the systems that GSV and GSA can mean."""
    found: set[str] = set()
    for row in rows:
        if row[0][2:5] not in ("GSV", "GSA"):
            continue
        talker = row[0][:2]
        if talker in _TALKERS:
            found |= _TALKERS[talker]
            continue
        numbers = row[4::4] if row[0].endswith("GSV") else row[3:15]
        for number in numbers:
            if number.isdigit():
                found |= {name for low, high, name in _RANGES if low <= int(number) <= high}
        if row[0].endswith("GSA") and len(row) == 19 and row[18] in tuple("123456"):
            found.add(("GPS", "GLO", "GAL", "BDS", "QZS", "IRN")[int(row[18]) - 1])
    return found | ({"GPS"} if found else set())


def decode(path: Path) -> list[Any]:
    """Return our epochs."""
    out = io.StringIO()
    with redirect_stdout(out):
        nmea_decode.print_epochs(str(path), as_json=True)
    return [json.loads(text) for text in out.getvalue().splitlines()][:-1]


def _time_ms(epoch: Any) -> int | None:
    if epoch["utc"] is None:
        return None
    clock = epoch["utc"].split("T")[1].rstrip("Z")
    hour, minute, second = clock.split(":")
    return round((int(hour) * 3600 + int(minute) * 60 + float(second)) * 1000)


def contradictions(path: Path) -> list[str]:
    """Return what is wrong in our epochs of a capture."""
    rows = sentences(path.read_bytes())
    stated, good = fixes(rows)
    positions = {(round(fix.lat, 4), round(fix.lon, 4)) for fix in stated}
    times = {fix.time_ms for fix in stated}
    wrong = []
    read = set()
    allowed = systems(rows)
    for epoch in decode(path):
        time_ms = _time_ms(epoch)
        if epoch["valid"]:
            read.add(time_ms)
            near = {
                (round(epoch["lat"] + a, 4), round(epoch["lon"] + b, 4))
                for a in (-5e-5, 0, 5e-5)
                for b in (-5e-5, 0, 5e-5)
            }
            if not near & positions:
                wrong.append(f"{path.name}: no sentence has {epoch['lat']} {epoch['lon']}")
            if time_ms is not None and time_ms not in times:
                wrong.append(f"{path.name}: no sentence has {epoch['utc']}")
        other = {satellite["gnss"] for satellite in epoch["satellites"]} - allowed
        if other:
            wrong.append(f"{path.name}: {sorted(other)} at {epoch['utc']}, {sorted(allowed)}")
    wrong += [f"{path.name}: not read: {fix}" for fix in good if fix.time_ms not in read]
    return wrong


@pytest.mark.soak
def test_captures_of_gpsd(tmp_path: Path) -> None:
    require_program("dpkg-source")
    folder = Path(os.environ.get("COLDLOOP_GPSD_SOURCE", tmp_path))
    logs = sorted((fetch_source(folder, "gpsd") / "test" / "daemon").glob("*.log"))
    with_nmea = [path for path in logs if sentences(path.read_bytes())]
    assert len(with_nmea) >= 100
    assert [text for path in with_nmea for text in contradictions(path)] == []


@pytest.mark.soak
def test_a_file_has_the_text_of_the_general_way(tmp_path: Path) -> None:
    """Byte for byte, on all captures, also those without NMEA, and all in one file."""
    require_program("dpkg-source")
    folder = Path(os.environ.get("COLDLOOP_GPSD_SOURCE", tmp_path))
    logs = sorted((fetch_source(folder, "gpsd") / "test" / "daemon").glob("*.log"))
    all_in_one = tmp_path / "all.log"
    all_in_one.write_bytes(b"".join(path.read_bytes() for path in logs))
    for path in [*logs, all_in_one]:
        out = io.StringIO()
        with redirect_stdout(out):
            nmea_decode.print_epochs(str(path), as_json=True)
        assert out.getvalue() == general_json(path.read_bytes()), path.name


def test_the_parser_sees_a_wrong_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A position, a time, a system and a missing fix are found."""
    log = tmp_path / "x.log"
    body = b"GNRMC,101112.00,A,2512.0000,N,05512.0000,E,0.0,,051026,,,A"
    log.write_bytes(b"$%s*%02X\r\n" % (body, reduce(xor, body)))
    assert contradictions(log) == []
    (epoch,) = decode(log)
    false = {"gnss": "GAL", "sv": 1}
    for change in (
        {"lat": 25.3}, {"utc": "2026-10-05T10:11:13Z"}, {"satellites": [false]}, {"valid": False},
    ):  # fmt: skip
        monkeypatch.setitem(contradictions.__globals__, "decode", lambda _, c=change: [epoch | c])
        assert contradictions(log) != []
