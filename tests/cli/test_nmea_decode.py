# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea`: exact keys, comparison with gpsd, recorded quirks, unreadable sources."""

import json
import os
import pty
import random
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import coldloop
from benchmarks.gnss.nmea_peers import micropython
from drivers.tools import nmea_decode, nmea_monitor
from drivers.tools.lib.open_port import monotonic_us
from protocols.nmea.framing import Framer
from tests.support import nmea_captures
from tests.support.data import data_file
from tests.support.programs import require_program

ROOT = Path(__file__).resolve().parents[2]
KEYS = [
    "utc",
    "valid",
    "mode",
    "quality",
    "lat",
    "lon",
    "alt_m",
    "used",
    "visible",
    "complete",
    "satellites",
    "antenna",
    "jamming",
    "flags",
]
TOTALS = [
    "sentences",
    "typed",
    "malformed",
    "bad_checksum",
    "no_checksum",
    "unknown",
    "skipped_bytes",
    "epochs",
]


def run_decode(
    stream: bytes, tmp_path: Path, capsys: Any, *options: str, code: int = 0
) -> tuple[list[Any], Any]:
    """Return the epochs and the summary that the command prints for a capture."""
    log = tmp_path / "log.nmea"
    log.write_bytes(stream)
    assert coldloop.main(["nmea", "decode", str(log), "--json", *options]) == code
    rows = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    return rows[:-1], rows[-1]["summary"]


def gpsd_reports(stream: bytes, tmp_path: Path) -> list[Any]:
    gpsdecode = require_program("gpsdecode")
    log = tmp_path / "gpsd.nmea"
    log.write_bytes(stream)
    with log.open("rb") as file:
        done = subprocess.run([gpsdecode], stdin=file, capture_output=True, timeout=60, check=True)
    return [json.loads(text) for text in done.stdout.splitlines()]


def valid_checksums(stream: bytes) -> int:
    """Return the number of sentences that a simple byte-by-byte reader finds."""
    count = 0
    for at, byte in enumerate(stream):
        star = stream.find(b"*", at)
        body = stream[at + 1 : star]
        if byte != 36 or star < 0 or b"$" in body or not all(31 < code < 127 for code in body):
            continue
        total = 0
        for code in body:
            total ^= code
        count += stream[star + 1 : star + 3].upper() == b"%02X" % total
    return count


@pytest.mark.parametrize("dialect", nmea_captures.DIALECTS)
def test_json_has_exactly_these_keys(dialect: str, tmp_path: Path, capsys: Any) -> None:
    stream = nmea_captures.DIALECTS[dialect]()
    epochs, totals = run_decode(stream, tmp_path, capsys)
    assert list(totals) == TOTALS
    assert totals["epochs"] == len(epochs) == 60
    assert totals["sentences"] == totals["typed"] == stream.count(b"$")
    assert sum(totals.values()) == 2 * totals["sentences"] + 60
    for epoch in epochs:
        assert list(epoch) == KEYS
        assert epoch["valid"] is True
        assert epoch["complete"] is True
        assert epoch["used"] <= epoch["visible"] == len(epoch["satellites"])
        assert epoch["flags"] == []
        for satellite in epoch["satellites"]:
            assert list(satellite) == ["gnss", "sv", "elevation", "azimuth", "used", "signals"]
            for signal in satellite["signals"]:
                assert list(signal) == ["id", "name", "cn0"]


@pytest.mark.parametrize("dialect", nmea_captures.DIALECTS)
def test_matches_gpsd(dialect: str, tmp_path: Path, capsys: Any) -> None:
    stream = nmea_captures.DIALECTS[dialect]()
    ours = {epoch["utc"]: epoch for epoch in run_decode(stream, tmp_path, capsys)[0]}
    reports = gpsd_reports(stream, tmp_path)
    fixes = [r for r in reports if r["class"] == "TPV" and "time" in r and "lat" in r]
    # Without the reports of gpsd before it knows the end of an epoch of this receiver.
    assert len(fixes) >= 55
    for theirs in fixes[3:]:
        mine = ours[theirs["time"]]
        assert mine["mode"] == theirs["mode"]
        assert abs(mine["lat"] - theirs["lat"]) < 1.01e-7
        assert abs(mine["lon"] - theirs["lon"]) < 1.01e-7
    sky = [r for r in reports if r["class"] == "SKY" and "satellites" in r][-1]
    names = {0: "GPS", 3: "BDS"}
    theirs_seen = {(names[s["gnssid"]], s["svid"]): s["used"] for s in sky["satellites"]}
    mine_seen = {(s["gnss"], s["sv"]): s["used"] for s in ours[max(ours)]["satellites"]}
    if dialect == "beidou-talker":
        # GN without a system id: gpsd takes all numbers as GPS, ours uses the satellites in view.
        assert set(mine_seen) == set(theirs_seen)
        twin = run_decode(nmea_captures.capture(), tmp_path, capsys)[0][-1]
        theirs_seen = {(s["gnss"], s["sv"]): s["used"] for s in twin["satellites"]}
    assert mine_seen == theirs_seen


def test_damaged_capture(tmp_path: Path, capsys: Any) -> None:
    """Every complete sentence is framed, no incomplete one is, and flags name the missing parts."""
    rng = random.Random(5)
    stream = bytearray(nmea_captures.casic(200))
    for _ in range(len(stream) // 400):
        stream[rng.randrange(len(stream))] = rng.randrange(256)
    epochs, totals = run_decode(bytes(stream), tmp_path, capsys)
    assert totals["sentences"] == valid_checksums(bytes(stream))
    assert totals["typed"] + totals["unknown"] >= 0.999 * totals["sentences"]
    assert totals["bad_checksum"] > 100
    assert 195 <= totals["epochs"] <= 230
    broken = [epoch for epoch in epochs if not epoch["complete"] and epoch["satellites"]]
    assert broken
    for epoch in epochs:
        assert epoch["used"] is None or epoch["used"] <= (epoch["visible"] or 99)


def test_recorded_quirks(tmp_path: Path, capsys: Any) -> None:
    quirks = json.loads(data_file("nmea_quirks.json").read_text(encoding="utf-8"))
    stream = "".join(quirk["raw"] + "\r\n" for quirk in quirks).encode("latin-1")
    _, totals = run_decode(stream, tmp_path, capsys)
    # a checksum by the rule of the vendor
    replies = [q for q in quirks if q["raw"].startswith("$command")]
    assert totals["sentences"] == sum(q["checksum_ok"] for q in quirks) + len(replies)
    assert totals["unknown"] == 0
    assert totals["sentences"] - totals["typed"] == 1  # the GSV with a wrong number of fields
    assert totals["bad_checksum"] == sum(not q["checksum_ok"] for q in quirks) - len(replies)


def test_differences_from_gpsd(tmp_path: Path, capsys: Any) -> None:
    """30 February, hour 25 and second 61 are invalid times; gpsd converts some of them."""
    head = "A,2512.5,N,05516.5,E,0.0,0.0"
    lines = [
        nmea_captures.line(f"GNRMC,{time},{head},{date},,,A,V")
        for time, date in (
            ("120000.00", "300226"),
            ("250000.00", "251126"),
            ("120061.00", "251126"),
            ("120000.00", "251126"),
        )
    ]
    epochs, _ = run_decode(b"".join(lines), tmp_path, capsys)
    assert [e["utc"] for e in epochs if e["utc"]] == ["2026-11-25T12:00:00.000Z"]
    leap = nmea_captures.line(f"GNRMC,235960.00,{head},311226,,,A,V")
    assert run_decode(leap, tmp_path, capsys)[0][0]["utc"] == "2026-12-31T23:59:60.000Z"


def test_binary_frames_are_not_lost_bytes(tmp_path: Path, capsys: Any) -> None:
    ubx = b"\xb5\x62\x06\x00\x01\x00\x01\x08\x22"
    stream = nmea_captures.capture(seconds=5).replace(b"\r\n$GNZDA", b"\r\n" + ubx + b"$GNZDA")
    _, totals = run_decode(stream, tmp_path, capsys)
    assert (totals["skipped_bytes"], totals["bad_checksum"], totals["epochs"]) == (0, 0, 5)


def test_vendor_changes_names(tmp_path: Path, capsys: Any) -> None:
    stream = nmea_captures.line("GBGSV,1,1,01,02,65,233,50,4")
    for options, name in (((), "B1A"), (("--vendor", "allystar"), "B2a")):
        epochs, _ = run_decode(stream, tmp_path, capsys, *options)
        assert epochs[0]["satellites"][0]["signals"] == [{"id": 4, "name": name, "cn0": 50}]


def test_text_output(tmp_path: Path, capsys: Any) -> None:
    log = tmp_path / "log.nmea"
    log.write_bytes(nmea_captures.casic(2) + nmea_captures.line("GPTXT,01,01,01,ANTENNA OPEN"))
    assert coldloop.main(["nmea", "decode", str(log)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("2026-11-25T00:00:01.000Z  3D      25.204")
    assert "antenna ok" in out[0]
    assert out[1].endswith("antenna open  [antenna open]")
    assert out[-1].startswith("29 sentences, 29 typed, 0 malformed, 0 bad checksum")


def test_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "coldloop.py"), "nmea", "decode", "-", "--json"],
        input=nmea_captures.capture(seconds=3),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 4


def test_unreadable_sources(tmp_path: Path, capsys: Any) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"nothing\n")
    for argv, code, text in (
        (["decode", str(tmp_path / "none")], 2, "No such file"),
        (["decode", "serial:/dev/none"], 2, "no such port"),
        (["decode", "serial:/dev/none?baud=1"], 2, "baud"),
        (["decode", "store:/tmp"], 2, "name a serial"),
        (["decode", str(empty)], 1, "no sentence"),
        (["monitor", str(empty)], 2, "not a port"),
        (["monitor", "serial:/dev/none"], 2, "no such port"),
    ):
        assert coldloop.main(["nmea", *argv]) == code
        error = capsys.readouterr().err
        assert text in error
        assert error.count("\n") == 1
    assert coldloop.main(["nmea"]) == 2
    assert "decode, monitor" in capsys.readouterr().err
    for argv in (["decode", "x", "--vendor", "nobody"], ["decode", "x", "--seconds", "0"]):
        with pytest.raises(SystemExit) as end:
            coldloop.main(["nmea", *argv])
        assert end.value.code == 2


@pytest.fixture
def receiver_port() -> Any:
    """A pseudo-terminal with one epoch every 0.3 s and increasing seconds."""
    near, far = pty.openpty()
    stream = nmea_captures.casic(60)
    epochs = [b"$GNGGA" + part for part in stream.split(b"$GNGGA")[1:]]
    stop = threading.Event()

    def write() -> None:
        for epoch in epochs:
            if stop.wait(0.3):
                return
            if select.select([], [near], [], 0)[1]:
                os.write(near, epoch)

    thread = threading.Thread(target=write)
    thread.start()
    yield os.ttyname(far)
    stop.set()
    thread.join()
    os.close(near)
    os.close(far)


def test_live_port(receiver_port: str, capsys: Any) -> None:
    port = f"serial:{receiver_port}?baud=115200"
    assert coldloop.main(["nmea", "decode", port, "--json", "--seconds", "1.4"]) == 0
    rows = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert rows[-1]["summary"]["epochs"] == len(rows) - 1 >= 3
    assert all(row["valid"] and row["antenna"] == "ok" for row in rows[1:-1])


def test_monitor(receiver_port: str, capsys: Any) -> None:
    port = f"serial:{receiver_port}?baud=115200"
    assert coldloop.main(["nmea", "monitor", port, "--seconds", "1.2"]) == 0
    out = capsys.readouterr().out
    assert "fix        3D fix  25.204" in out
    assert "18 of 21 used" in out
    assert "system clock" in out
    assert "C20 *" in out
    assert "#####" in out
    assert "B1I:" in out
    assert "findings   " in out


def test_monitor_as_json(receiver_port: str, capsys: Any) -> None:
    port = f"serial:{receiver_port}?baud=115200"
    assert coldloop.main(["nmea", "monitor", port, "--seconds", "1.2", "--json"]) == 0
    rows = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert rows
    assert all("findings" in row and "valid" in row for row in rows)


def test_monitor_measures_the_system_clock() -> None:
    receiver = nmea_decode.make_receiver("serial:/dev/none?baud=115200", None)
    second = time.time_ns() // 1_000_000_000
    at = time.gmtime(second - 5)
    stamp, date = time.strftime("%H%M%S.00", at), time.strftime("%d%m%y", at)
    receiver.receive(
        nmea_captures.line(f"GNRMC,{stamp},A,2512.5,N,05516.5,E,0.0,0.0,{date},,,A,V"),
        monotonic_us(),
    )
    epoch = receiver.finish_stream()[0]
    error = nmea_monitor.clock_error_us(epoch)
    assert error is not None
    assert 4_900_000 < error < 6_500_000
    assert any("system clock +" in text for text in nmea_monitor.render(epoch, receiver, error))


def test_framer_matches_line_reader() -> None:
    rng = random.Random(9)
    for _ in range(30):
        stream = bytearray(nmea_captures.casic(3))
        for _ in range(40):
            at = rng.randrange(len(stream))
            stream[at : at + rng.randrange(3)] = rng.choice(
                [b"", b"$", b"\r", b"*", b"\xb5\x62\0\0\x09\0"]
            )
        framer = Framer()
        count = 0
        for at in range(0, len(stream), 100):
            count += len([1 for _, body in framer.feed(bytes(stream[at : at + 100]))])
        count += len(framer.feed(b"", True))
        assert count == valid_checksums(bytes(stream))


def test_memory_does_not_grow_on_micropython(tmp_path: Path) -> None:
    """The live memory after 16,000 sentences with all satellites is that after the first epochs."""
    require_program("micropython")
    log = tmp_path / "long.nmea"
    log.write_bytes(nmea_captures.casic(60) * 20)
    rates, growth = micropython(log, 1)
    assert growth is not None
    assert growth <= 16 * 1024
    assert len(rates) == 3
