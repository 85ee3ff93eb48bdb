# SPDX-License-Identifier: Apache-2.0
"""The NMEA sentences against independent work: pynmea2's writer, recorded lines, gpsd's decoder."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import random
import subprocess
from typing import Any

import pynmea2
import pytest

from drivers.gnss.receiver import ReceiverDriver
from protocols import calendar
from protocols.errors import DecodeError
from protocols.nmea.framing import Framer
from protocols.nmea.satellite_sentences import Gsa, Gsv
from protocols.nmea.sentences import Gga, Rmc, Zda, parse
from tests.support.data import data_file
from tests.support.programs import require_program

TALKERS = ("GP", "BD", "GB", "GN", "GA")


def parse_single(raw: str) -> Any:
    """Return the one sentence of a line, through the framer and the parser."""
    result = Framer().feed(raw.encode("latin-1") + b"\r\n")
    assert len(result) == 1
    sentence, reason = parse(result[0][1])
    assert sentence is not None, reason
    return sentence


def write_sentence(kind: str, talker: str, fields: tuple[str, ...]) -> str:
    cls = getattr(pynmea2, kind)
    return str(cls(talker, kind, fields))


def random_position(rng: random.Random) -> tuple[str, str, str, str, float, float]:
    """Return (lat, N/S, lon, E/W) as fields, and both in degrees as floats."""
    lat, lon = rng.uniform(-90, 90), rng.uniform(-180, 180)
    lat_degrees, lat_minutes = divmod(abs(lat) * 60, 60)
    lon_degrees, lon_minutes = divmod(abs(lon) * 60, 60)
    lat_text = f"{int(lat_degrees):02}{lat_minutes:08.5f}"
    lon_text = f"{int(lon_degrees):03}{lon_minutes:08.5f}"
    if "60.00000" in (lat_text[2:], lon_text[3:]):
        return random_position(rng)
    return lat_text, "NS"[lat < 0], lon_text, "EW"[lon < 0], lat, lon


def test_rmc_and_gga_from_pynmea2() -> None:
    rng = random.Random(4)
    for turn in range(300):
        at = dt.datetime(2000, 1, 1, tzinfo=dt.UTC) + dt.timedelta(
            milliseconds=rng.randrange(79 * 365 * 86_400_000)
        )
        time = at.strftime("%H%M%S.") + f"{at.microsecond // 1000:03}"
        lat_text, ns, lon_text, ew, lat, lon = random_position(rng)
        position = (lat_text, ns, lon_text, ew)
        talker = TALKERS[turn % len(TALKERS)]
        rmc = parse_single(
            write_sentence(
                "RMC",
                talker,
                (time, "A", *position, "0.1", "45.0", at.strftime("%d%m%y"), "", "", "A", "V"),
            )
        )
        assert isinstance(rmc, Rmc)
        assert rmc.date is not None
        assert rmc.time_us is not None
        year, month, day = rmc.date
        utc = calendar.utc_from_civil(year, month, day, rmc.time_us)
        assert utc == round(at.timestamp() * 1000) * 1000
        alt = rng.uniform(-400, 9000)
        line = write_sentence(
            "GGA",
            talker,
            (time, *position, "1", "17", "0.72", f"{alt:.3f}", "M", "-33.1", "M", "", ""),
        )
        gga = parse_single(line)
        assert isinstance(gga, Gga)
        oracle = pynmea2.parse(line)
        for got in (rmc, gga):
            assert got.lat_e7 is not None
            assert got.lon_e7 is not None
            assert abs(got.lat_e7 - oracle.latitude * 1e7) <= 1
            assert abs(got.lon_e7 - oracle.longitude * 1e7) <= 1
            assert abs(got.lat_e7 / 1e7 - lat) < 2e-7
            assert abs(got.lon_e7 / 1e7 - lon) < 2e-7
            assert got.talker.decode() == talker
        assert gga.alt_mm == round(oracle.altitude * 1000)
        assert (gga.quality, gga.used, gga.hdop_centi) == (1, 17, 72)


def test_zda_gsa_and_gsv_from_pynmea2() -> None:
    zda = parse_single(write_sentence("ZDA", "BD", ("235959.25", "29", "02", "2024", "00", "00")))
    assert isinstance(zda, Zda)
    assert (zda.date, zda.time_us) == ((2024, 2, 29), calendar.DAY - 750_000)
    ids = ("21", "23", *[""] * 10)
    gsa = parse_single(write_sentence("GSA", "GB", ("A", "3", *ids, "1.35", "0.7", "1.1")))
    assert isinstance(gsa, Gsa)
    detail = gsa.decode()
    assert (detail.fix, detail.satellites, detail.pdop_centi) == (3, [21, 23], 135)
    gsv = parse_single(
        write_sentence(
            "GSV", "GB", ("1", "1", "02", "21", "65", "233", "50", "23", "71", "141", "")
        )
    )
    assert isinstance(gsv, Gsv)
    assert gsv.satellites() == [(21, 65, 233, 50), (23, 71, 141, None)]


def quirks() -> list[dict[str, Any]]:
    text = data_file("nmea_quirks.json").read_text(encoding="utf-8")
    loaded: list[dict[str, Any]] = json.loads(text)
    return loaded


def test_recorded_lines_are_framed_by_their_checksums() -> None:
    for quirk in quirks():
        framer = Framer()
        result = framer.feed(quirk["raw"].encode("latin-1") + b"\r\n")
        # Unicore replies have a checksum that includes the `$`: valid by the rule of this vendor
        right = quirk["checksum_ok"] or quirk["raw"].startswith("$command")
        assert len(result) == (1 if right else 0), quirk
        if not result:
            assert framer.bad_checksum + framer.spliced + framer.no_checksum >= 1, quirk


def test_recorded_lines_are_parsed_or_rejected() -> None:
    refused = {}
    for quirk in quirks():
        for _, body in Framer().feed(quirk["raw"].encode("latin-1")):
            sentence, reason = parse(body)
            if sentence is None:
                if reason != "kind":
                    refused[quirk["id"]] = reason
                continue
            if isinstance(sentence, Gsv):
                sentence.satellites()
            if isinstance(sentence, Gsa):
                sentence.decode()
    assert refused == {47: "fields"}


def find_quirk(number: int) -> Any:
    for quirk in quirks():
        if quirk["id"] == number:
            return parse_single(quirk["raw"])
    pytest.fail(f"no quirk {number}")


def test_meaning_of_recorded_lines() -> None:
    assert find_quirk(1).satellites()[0] == (1, 0, 0, 45)
    assert find_quirk(2).decode().satellites == [2, 3, 4]
    assert find_quirk(2).decode().system is None
    assert [s[0] for s in find_quirk(4).satellites()] == [214, 206, 212]
    assert find_quirk(6).satellites() == [(219, None, None, 47)]
    assert (find_quirk(7).decode().satellites, find_quirk(7).decode().system) == (
        [208, 211, 213],
        4,
    )
    assert (find_quirk(9).decode().satellites, find_quirk(9).decode().system) == ([12], 4)
    assert (find_quirk(11).signal(), len(find_quirk(11).satellites())) == (0, 4)
    assert find_quirk(12).signal() == 11
    assert (find_quirk(17).in_view, find_quirk(17).satellites()) == (0, [])
    assert (find_quirk(19).decode().fix, find_quirk(19).decode().system) == (1, None)
    assert (find_quirk(21).status, find_quirk(21).date, find_quirk(21).lat_e7) == (
        b"V",
        (2026, 4, 4),
        None,
    )
    assert (find_quirk(22).status, find_quirk(22).mode, find_quirk(22).nav_status) == (
        b"A",
        b"A",
        b"V",
    )
    assert find_quirk(27).mode == b"A"
    assert (find_quirk(29).status, find_quirk(29).date) == (b"V", None)
    assert find_quirk(31).decode().satellites == [23, 13, 7, 25]
    assert find_quirk(36).date == (1999, 8, 22)
    assert len(find_quirk(42).satellites()) == 3
    assert find_quirk(44).satellites() == [(None, 65, 190, 31)]


def test_random_damage_is_always_detected() -> None:
    """One changed byte is always rejected: the checksum detects every error in a single byte."""
    rng = random.Random(8)
    line = write_sentence("RMC", "GN", ("010203.5", "A", "2512.5", "N", "05516.5", "E", "0", "0",
                               "251126", "", "", "A", "V")).encode() + b"\r\n"  # fmt: skip
    for at in range(1, len(line) - 2):
        for _ in range(20):
            damaged = bytearray(line)
            damaged[at] = rng.randrange(256)
            if damaged[at : at + 1].upper() == line[at : at + 1]:
                continue
            for _, body in Framer().feed(bytes(damaged)):
                assert parse(body)[0] is None
    with pytest.raises(DecodeError):
        calendar.utc_from_civil(2026, 2, 30)


def test_fixes_match_gpsd(tmp_path: pathlib.Path) -> None:
    gpsdecode = require_program("gpsdecode")
    stream = b""
    for second in range(20):
        time = f"2359{40 + second}.000"
        place = (f"2512.{second * 777:05}", "N", f"05516.{second * 555:05}", "E")
        for kind, fields in (
            ("GGA", (time, *place, "1", "17", "0.7", "12.3", "M", "-33.1", "M", "", "")),
            ("RMC", (time, "A", *place, "0.0", "0.0", "281226", "", "", "A", "V")),
        ):
            stream += write_sentence(kind, "GN", fields).encode() + b"\r\n"
    log = tmp_path / "log.nmea"
    log.write_bytes(stream)
    with log.open("rb") as source:
        completed = subprocess.run(
            [gpsdecode], stdin=source, capture_output=True, timeout=30, check=True
        )
    reports = [json.loads(line) for line in completed.stdout.splitlines()]
    reference = {
        calendar.parse_iso8601(tpv["time"])[0]: (tpv["lat"], tpv["lon"])
        for tpv in reports
        if tpv["class"] == "TPV" and "lat" in tpv and "time" in tpv
    }
    receiver = ReceiverDriver(0, 9600)
    actual = {}
    for at in range(0, len(stream), 64):
        receiver.receive(stream[at : at + 64], at * 1000)
        for fix in receiver.take_fixes():
            assert fix.valid
            actual[fix.utc_us] = (fix.lat_e7, fix.lon_e7)
    assert len(actual) == 20
    shared = [utc for utc in reference if utc in actual]
    assert len(shared) >= 15
    for utc in shared:
        lat_e7, lon_e7 = actual[utc]
        assert lat_e7 is not None
        assert lon_e7 is not None
        assert abs(reference[utc][0] * 1e7 - lat_e7) <= 2
        assert abs(reference[utc][1] * 1e7 - lon_e7) <= 2
