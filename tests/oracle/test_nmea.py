"""Our sentences against others' work: pynmea2's writer, recorded lines, gpsd's decoder."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import random
import subprocess
from typing import Any

import pynmea2
import pytest

from drivers.gnss.receiver import Receiver
from protocols import calendar
from protocols.errors import DecodeError
from protocols.nmea.framing import Framer
from protocols.nmea.sentences import Gga, Gsa, Gsv, Rmc, Zda, parse
from tests.support.peers import need

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("COLDLOOP_DATA", ROOT.parent / "shared" / "data"))
TALKERS = ("GP", "BD", "GB", "GN", "GA")


def only(raw: str) -> Any:
    """The one sentence in a line, through our framer and parser."""
    found = Framer().feed(raw.encode("latin-1") + b"\r\n")
    assert len(found) == 1
    sentence, reason = parse(found[0][1])
    assert sentence is not None, reason
    return sentence


def built(kind: str, talker: str, fields: tuple[str, ...]) -> str:
    cls = getattr(pynmea2, kind)
    return str(cls(talker, kind, fields))


def random_position(rng: random.Random) -> tuple[str, str, str, str, float, float]:
    """(lat, N/S, lon, E/W) as fields, and both in degrees as floats."""
    lat, lon = rng.uniform(-90, 90), rng.uniform(-180, 180)
    lat_degrees, lat_minutes = divmod(abs(lat) * 60, 60)
    lon_degrees, lon_minutes = divmod(abs(lon) * 60, 60)
    lat_text = f"{int(lat_degrees):02}{lat_minutes:08.5f}"
    lon_text = f"{int(lon_degrees):03}{lon_minutes:08.5f}"
    if "60.00000" in (lat_text[2:], lon_text[3:]):
        return random_position(rng)
    return lat_text, "NS"[lat < 0], lon_text, "EW"[lon < 0], lat, lon


def test_rmc_and_gga_that_pynmea2_wrote() -> None:
    rng = random.Random(4)
    for turn in range(300):
        at = dt.datetime(2000, 1, 1, tzinfo=dt.UTC) + dt.timedelta(
            milliseconds=rng.randrange(79 * 365 * 86_400_000)
        )
        time = at.strftime("%H%M%S.") + f"{at.microsecond // 1000:03}"
        lat_text, ns, lon_text, ew, lat, lon = random_position(rng)
        position = (lat_text, ns, lon_text, ew)
        talker = TALKERS[turn % len(TALKERS)]
        rmc = only(
            built(
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
        line = built(
            "GGA",
            talker,
            (time, *position, "1", "17", "0.72", f"{alt:.3f}", "M", "-33.1", "M", "", ""),
        )
        gga = only(line)
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


def test_zda_gsa_and_gsv_that_pynmea2_wrote() -> None:
    zda = only(built("ZDA", "BD", ("235959.25", "29", "02", "2024", "00", "00")))
    assert isinstance(zda, Zda)
    assert (zda.date, zda.time_us) == ((2024, 2, 29), calendar.DAY - 750_000)
    ids = ("21", "23", *[""] * 10)
    gsa = only(built("GSA", "GB", ("A", "3", *ids, "1.35", "0.7", "1.1")))
    assert isinstance(gsa, Gsa)
    detail = gsa.decode()
    assert (detail.fix, detail.satellites, detail.pdop_centi) == (3, [21, 23], 135)
    gsv = only(built("GSV", "GB", ("1", "1", "02", "21", "65", "233", "50", "23", "71", "141", "")))
    assert isinstance(gsv, Gsv)
    assert gsv.satellites() == [(21, 65, 233, 50), (23, 71, 141, None)]


def quirks() -> list[dict[str, Any]]:
    path = DATA / "nmea_quirks.json"
    if not path.exists():
        pytest.skip(f"data missing: {path}")
    loaded: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def test_recorded_lines_are_framed_by_their_checksums() -> None:
    for quirk in quirks():
        framer = Framer()
        found = framer.feed(quirk["raw"].encode("latin-1") + b"\r\n")
        # Unicore's replies have a checksum over their `$`, too: right by that maker's rule
        right = quirk["checksum_ok"] or quirk["raw"].startswith("$command")
        assert len(found) == (1 if right else 0), quirk
        if not found:
            assert framer.bad_checksum + framer.spliced + framer.no_checksum >= 1, quirk


def test_recorded_lines_are_read_or_refused() -> None:
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


def by_id(number: int) -> Any:
    for quirk in quirks():
        if quirk["id"] == number:
            return only(quirk["raw"])
    pytest.fail(f"no quirk {number}")


def test_what_recorded_lines_mean() -> None:
    assert by_id(1).satellites()[0] == (1, 0, 0, 45)
    assert by_id(2).decode().satellites == [2, 3, 4]
    assert by_id(2).decode().system is None
    assert [s[0] for s in by_id(4).satellites()] == [214, 206, 212]
    assert by_id(6).satellites() == [(219, None, None, 47)]
    assert (by_id(7).decode().satellites, by_id(7).decode().system) == ([208, 211, 213], 4)
    assert (by_id(9).decode().satellites, by_id(9).decode().system) == ([12], 4)
    assert (by_id(11).signal(), len(by_id(11).satellites())) == (0, 4)
    assert by_id(12).signal() == 11
    assert (by_id(17).in_view, by_id(17).satellites()) == (0, [])
    assert (by_id(19).decode().fix, by_id(19).decode().system) == (1, None)
    assert (by_id(21).status, by_id(21).date, by_id(21).lat_e7) == (b"V", (2026, 4, 4), None)
    assert (by_id(22).status, by_id(22).mode, by_id(22).nav_status) == (b"A", b"A", b"V")
    assert by_id(27).mode == b"A"
    assert (by_id(29).status, by_id(29).date) == (b"V", None)
    assert by_id(31).decode().satellites == [23, 13, 7, 25]
    assert by_id(36).date == (1999, 8, 22)
    assert len(by_id(42).satellites()) == 3
    assert by_id(44).satellites() == [(None, 65, 190, 31)]


def test_random_damage_never_changes_a_value_unseen() -> None:
    """One changed byte is always refused: the checksum sees every error in a single byte."""
    rng = random.Random(8)
    line = built("RMC", "GN", ("010203.5", "A", "2512.5", "N", "05516.5", "E", "0", "0",
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


def test_fixes_agree_with_gpsd(tmp_path: pathlib.Path) -> None:
    gpsdecode = need("gpsdecode")
    stream = b""
    for second in range(20):
        time = f"2359{40 + second}.000"
        place = (f"2512.{second * 777:05}", "N", f"05516.{second * 555:05}", "E")
        for kind, fields in (
            ("GGA", (time, *place, "1", "17", "0.7", "12.3", "M", "-33.1", "M", "", "")),
            ("RMC", (time, "A", *place, "0.0", "0.0", "281226", "", "", "A", "V")),
        ):
            stream += built(kind, "GN", fields).encode() + b"\r\n"
    log = tmp_path / "log.nmea"
    log.write_bytes(stream)
    with log.open("rb") as source:
        done = subprocess.run(
            [gpsdecode], stdin=source, capture_output=True, timeout=30, check=True
        )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    theirs = {
        calendar.parse_iso8601(tpv["time"])[0]: (tpv["lat"], tpv["lon"])
        for tpv in reports
        if tpv["class"] == "TPV" and "lat" in tpv and "time" in tpv
    }
    receiver = Receiver(0, 9600)
    ours = {}
    for at in range(0, len(stream), 64):
        receiver.receive(stream[at : at + 64], at * 1000)
        for fix in receiver.fixes():
            assert fix.valid
            ours[fix.utc_us] = (fix.lat_e7, fix.lon_e7)
    assert len(ours) == 20
    shared = [utc for utc in theirs if utc in ours]
    assert len(shared) >= 15
    for utc in shared:
        lat_e7, lon_e7 = ours[utc]
        assert lat_e7 is not None
        assert lon_e7 is not None
        assert abs(theirs[utc][0] * 1e7 - lat_e7) <= 2
        assert abs(theirs[utc][1] * 1e7 - lon_e7) <= 2
