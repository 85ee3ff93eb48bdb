# SPDX-License-Identifier: Apache-2.0
"""The emulated basic receiver: time, satellites, faults; decoded by gpsd and pynmea2."""

from __future__ import annotations

import json
import shutil
import subprocess
from random import Random
from typing import Any

import pynmea2
import pytest

from hil.devices.gnss.basic_receiver import BasicReceiver, NmeaStyle
from hil.devices.gnss.basic_sky import BEIDOU, GPS, ORBITS, BasicSky

SECOND = 1_000_000
SITE = (252_048_000, 552_708_000)
START = 1_793_836_800  # 2026-11-05 00:00:00 UTC


def utc_of(now: int) -> int:
    """Return UTC; monotonic time 0 is shortly after a whole second."""
    return START * SECOND + 250_000 + now


def receiver(seed: int = 1, **options: Any) -> BasicReceiver:
    return BasicReceiver(SITE, utc_of, Random(seed), **options)


def run(device: BasicReceiver, count: int) -> list[tuple[int, bytes]]:
    """Return the output of the next `count` wakes as (time, bytes)."""
    epochs = []
    for _ in range(count):
        now = device.deadline()
        replies = device.wake(now)
        epochs += [(now + delay, data) for delay, data in replies]
    return epochs


def sentences(data: bytes) -> list[Any]:
    """Parse every line with pynmea2, including checksums."""
    text = data.decode("ascii")
    assert text.endswith("\r\n")
    return [pynmea2.parse(line, check=True) for line in text.split("\r\n")[:-1]]


def sentence_types(data: bytes) -> list[str]:
    return [line[1:6].decode() for line in data.split(b"\r\n")[:-1]]


def decoded(data: bytes) -> list[dict[str, Any]]:
    """Return what gpsd reports."""
    tool = shutil.which("gpsdecode")
    if tool is None:
        pytest.skip("program missing: gpsd-clients")
    done = subprocess.run([tool], input=data, capture_output=True, check=True, timeout=30)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]


def test_epoch_is_sent_after_its_second() -> None:
    device = receiver()
    delays = []
    for when, data in run(device, 300):
        stamp = sentences(data)[0].timestamp
        second = START + stamp.hour * 3600 + stamp.minute * 60 + stamp.second
        delays.append(utc_of(when) - second * SECOND)
    assert min(delays) >= 60_000
    assert max(delays) <= 80_000
    assert sum(delays) / len(delays) == pytest.approx(62_000, abs=500)


def test_epochs_follow_true_utc_over_a_drifting_clock() -> None:
    device = BasicReceiver(
        SITE, lambda now: START * SECOND + now + now * 50 // 1_000_000, Random(1), jitter_us=0
    )
    times = [when for when, _ in run(device, 1000)]
    assert times[-1] - times[0] == pytest.approx(999 * SECOND / (1 + 50e-6), abs=3)


def test_sentences_of_an_epoch() -> None:
    ((_, data),) = run(receiver(), 1)
    kinds = sentence_types(data)
    assert kinds[:4] == ["GNRMC", "GNGGA", "GNGSA", "GNGSA"]
    assert kinds[-1] == "GNZDA"
    assert set(kinds[4:-1]) == {"GBGSV", "GPGSV"}
    assert 10 <= len(kinds) <= 13
    assert max(len(line) for line in data.split(b"\r\n")) <= 80  # NMEA 0183: 82 with CR and LF
    rmc, gga, *_, zda = sentences(data)
    assert (rmc.status, gga.gps_qual, rmc.datestamp.isoformat()) == ("A", 1, "2026-11-05")
    assert rmc.timestamp == gga.timestamp == zda.timestamp
    systems = [line.data[-1] for line in sentences(data) if line.sentence_type == "GSA"]
    assert systems == ["4", "1"]  # NMEA 4.11: BeiDou, GPS
    assert rmc.latitude == pytest.approx(25.2048, abs=1e-5)
    assert gga.longitude == pytest.approx(55.2708, abs=1e-5)


def test_southern_and_western_sites() -> None:
    device = BasicReceiver((-339_249_000, -704_000_000), utc_of, Random(1))
    rmc = sentences(run(device, 1)[0][1])[0]
    assert (rmc.lat_dir, rmc.lon_dir) == ("S", "W")
    assert rmc.latitude == pytest.approx(-33.9249, abs=1e-5)
    assert rmc.longitude == pytest.approx(-70.4, abs=1e-5)


def test_midnight_changes_date_in_all_sentences() -> None:
    device = BasicReceiver(SITE, lambda now: (START - 2) * SECOND + now, Random(1))
    dates = []
    for _, data in run(device, 3):
        rmc, *_, zda = sentences(data)
        dates.append((str(rmc.datestamp), rmc.data[0], zda.day, zda.month, zda.year))
    assert dates[0] == ("2026-11-04", "235959.000", 4, 11, 2026)
    assert dates[1] == ("2026-11-05", "000000.000", 5, 11, 2026)


@pytest.mark.parametrize(
    ("style", "first", "view"),
    [
        (NmeaStyle(), "GNRMC", "GBGSV"),
        (NmeaStyle(beidou="BD", extended=False), "GNRMC", "BDGSV"),
        (NmeaStyle(talker="GB", systems=(BEIDOU,), max_listed=(16,)), "GBRMC", "GBGSV"),
        (NmeaStyle("BD", "BD", False, (BEIDOU,), (16,)), "BDRMC", "BDGSV"),
    ],
)
def test_gpsd_reads_every_style(style: NmeaStyle, first: str, view: str) -> None:
    epochs = run(receiver(style=style), 12)
    assert sentence_types(epochs[0][1])[0] == first
    assert view in sentence_types(epochs[0][1])
    reports = decoded(b"".join(data for _, data in epochs))
    fixes = [r for r in reports if r["class"] == "TPV" and r.get("mode") == 3]
    assert len(fixes) >= 9
    assert fixes[-1]["lat"] == pytest.approx(25.2048, abs=1e-5)
    assert fixes[-1]["lon"] == pytest.approx(55.2708, abs=1e-5)
    assert fixes[-1]["time"].startswith("2026-11-05T00:00:1")
    skies = [r for r in reports if r["class"] == "SKY" and r.get("satellites")]
    systems = {s["gnssid"] for s in skies[-1]["satellites"]}
    assert systems == ({0, 3} if GPS in style.systems else {3})
    used = [s for s in skies[-1]["satellites"] if s["used"]]
    assert len(used) >= 8


def test_sky_is_plausible() -> None:
    sky = BasicSky(25.2, 55.3, Random(1))
    for hour in range(0, 240, 5):
        seen = sky.visible(START + hour * 3600)
        assert 8 <= sum(s.system == BEIDOU for s in seen) <= 25
        assert 5 <= sum(s.system == GPS for s in seen) <= 13
        assert len({(s.system, s.number) for s in seen}) == len(seen)
        assert all(5 <= s.elevation <= 90 and 0 <= s.azimuth < 360 for s in seen)
        assert all(33 <= s.cn0 <= 54 for s in seen)


def test_geostationary_satellite_has_fixed_position() -> None:
    # C05 at 58.75 E, seen from 25.2 N 55.27 E: elevation about 60, slightly east of south.
    sky = BasicSky(25.2048, 55.2708, Random(1))
    c05 = next(o for o in ORBITS if (o.system, o.number) == (BEIDOU, 5))
    for hours in (0, 7, 100):
        elevation, azimuth = sky.look_angle(c05, START + hours * 3600)
        assert elevation == pytest.approx(60.2, abs=0.5)
        assert azimuth == pytest.approx(171.9, abs=0.7)


def test_inclined_synchronous_satellite_has_fixed_longitude() -> None:
    sky = BasicSky(0.0, 118.0, Random(1))
    c08 = next(o for o in ORBITS if (o.system, o.number) == (BEIDOU, 8))
    day = [sky.look_angle(c08, START + t)[0] for t in range(0, 86_400, 300)]
    assert max(day) > 88.0
    assert min(day) > 20.0


def test_other_satellites_move_slowly() -> None:
    sky = BasicSky(25.2, 55.3, Random(1))
    for orbit in ORBITS[5:]:
        one, other = (sky.look_angle(orbit, START + t)[0] for t in (0, 60))
        assert abs(one - other) < 1.0
        day = [sky.look_angle(orbit, START + t)[0] for t in range(0, 86_400, 600)]
        assert max(day) - min(day) > 20.0


def test_outage_is_silent_and_ends_on_time() -> None:
    device = receiver()
    device.outage = True
    assert run(device, 5) == []
    device.outage = False
    ((_, data),) = run(device, 1)
    assert sentences(data)[0].data[0] == "000006.000"


def test_no_fix_has_empty_fields() -> None:
    device = receiver()
    run(device, 3)
    device.no_fix = True
    ((_, data),) = run(device, 1)
    rmc, gga, *_ = sentences(data)
    assert rmc.data == ["", "V", "", "", "", "", "", "", "", "", "", "N", "V"]
    assert gga.data[:7] == ["", "", "", "", "", "0", "00"]
    assert [r["mode"] for r in decoded(data) if r["class"] == "TPV"] in ([], [1])
    device.time_without_fix = True
    ((_, data),) = run(device, 1)
    rmc, *_, zda = sentences(data)
    assert (rmc.status, rmc.data[0], rmc.data[8]) == ("V", "000005.000", "051126")
    assert zda.data[:4] == ["000005.000", "05", "11", "2026"]
    device.no_fix = False
    assert sentences(run(device, 1)[0][1])[0].status == "A"


def test_jamming_lowers_cn0_then_loses_fix() -> None:
    device = receiver()

    def mean_cn0() -> float:
        (_, data) = run(device, 1)[0]
        views = [s for s in sentences(data) if s.sentence_type == "GSV"]
        values = [int(v) for s in views for v in s.data[6:19:4] if v]
        return sum(values) / len(values)

    clear = mean_cn0()
    device.jam_db = 6.0
    assert mean_cn0() == pytest.approx(clear - 6.0, abs=1.0)
    device.jam_db = 25.0
    assert sentences(run(device, 1)[0][1])[0].status == "V"
    device.jam_db = 0.0
    assert sentences(run(device, 1)[0][1])[0].status == "A"


def test_corrupt_epochs_fail_their_checksums() -> None:
    device = receiver()
    clean = receiver()
    device.corrupted_bits = 5
    (_, bad), (_, good) = run(device, 1)[0], run(clean, 1)[0]
    assert len(bad) == len(good)
    assert 1 <= sum(a != b for a, b in zip(bad, good, strict=True)) <= 5


def test_time_offset_changes_printed_time_only() -> None:
    device = receiver()
    device.time_offset_us = 4 * SECOND
    ((when, data),) = run(device, 1)
    assert sentences(data)[0].data[0] == "000005.000"
    assert utc_of(when) // SECOND == START + 1
    device.time_offset_us = -2_340_000
    assert sentences(run(device, 1)[0][1])[0].data[0] == "235959.660"


def test_extra_latency() -> None:
    device = receiver(jitter_us=0)
    device.extra_latency_us = 300_000
    run(device, 1)
    ((when, _),) = run(device, 1)
    assert utc_of(when) % SECOND == 360_000


def test_late_wake_sends_one_epoch_and_skips_missed_ones() -> None:
    device = receiver(jitter_us=0)
    assert device.wake(device.deadline() - 1) == []
    late = device.deadline() + 5 * SECOND
    assert len(device.wake(late)) == 1
    assert late < device.deadline() <= late + SECOND


def test_commands_are_counted_and_ignored() -> None:
    device = receiver()
    assert device.receive(b"$PCAS10,0*1C\r\n", 0) == []
    assert device.commands == 14


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert run(receiver(seed=3), 50) == run(receiver(seed=3), 50)
    assert run(receiver(seed=3), 50) != run(receiver(seed=4), 50)
