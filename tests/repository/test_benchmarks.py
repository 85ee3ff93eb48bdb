# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each runs once with a small size and returns its figures; speed is not checked.

Those whose subject has other tests run in `make soak` only.
"""

import importlib
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from benchmarks import speed
from benchmarks.bench import digests
from benchmarks.mutation.subjects import subjects
from tests.support.programs import require_program
from tests.support.repository import ROOT

NAMES = (
    "bench.digests",
    "bench.page",
    "bench.realtime",
    "bench.speed",
    "control.annual",
    "control.power_limits",
    "control.years",
    "firmware.heap",
    "firmware.image",
    "gnss.clock",
    "gnss.nmea",
    "gnss.sky",
    "modbus.transaction",
    "mutation.run",
    "runtime.startup",
    "speed",
)


def benchmark(name: str, *options: str, code: int = 0) -> "dict[str, Any]":
    """Run a benchmark as a process, and return its record."""
    run = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert run.returncode == code, run.stderr
    record: dict[str, Any] = json.loads(run.stdout)
    assert {"date", "cpu", "cores", "cpython", "micropython", "load"} <= set(record["machine"])
    return record


@pytest.mark.soak
def test_speed() -> None:
    require_program("micropython")
    record = benchmark("bench.speed", "--seconds", "10", "--rounds", "1", "--profile")
    assert [run["dut"] for run in record["runs"]] == [
        "cpython",
        "micropython",
        "micropython, .mpy",
    ]
    assert {tuple(run["digests"]) for run in record["runs"]} == {
        tuple(record["runs"][0]["digests"])
    }
    for run in record["runs"]:
        assert set(run["speed"]) == {"min", "median", "max", "rounds"}
    assert {"protocols", "drivers", "agent", "hil/devices"} <= set(record["packages_pct"])


@pytest.mark.filterwarnings("always:benchmarks.speed")
def test_speed_beside_the_reference() -> None:
    """The notice of a slower change is that of the calls: the load of the machine is not in it."""
    timed = benchmark("speed", "--seconds", "20", "--rounds", "1")
    record = benchmark("speed", "--seconds", "60", "--calls")
    for found in (timed, record):
        assert set(found["ratios"]) == set(speed.SCENARIOS)
        assert all(0.01 < ratio < 2 for ratio in found["ratios"].values())
        assert found["costs"]["reference"] > 0
    for notice in record["notices"]:
        warnings.warn(f"benchmarks.speed: {notice}", stacklevel=1)


def test_much_lower_ratio_is_named() -> None:
    history = [
        {"method": "CPU time", "ratios": {"smoke": 0.5, "full-bench": 0.2}},
        {"method": "CPU time", "ratios": {"smoke": 0.30, "full-bench": 0.2}},
        {"method": "instructions", "ratios": {"smoke": 0.9}},
    ]
    ratios = {"smoke": 0.271, "full-bench": 0.17, "load-step": 0.1}
    (line,) = speed.find_worse(ratios, "CPU time", history)
    assert line.startswith("full-bench: 0.170 of the reference, 15 % below 0.2")
    assert speed.find_worse(ratios, "CPU time", []) == []


def test_kept_ratios_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    machine = dict.fromkeys(("date", "revision", "cpython", "cpu", "load"), "x")
    for ratio in (0.2, 0.3):
        speed.keep({"machine": machine, "method": "m", "ratios": {"smoke": ratio}}, path)
    assert [entry["ratios"]["smoke"] for entry in speed.load_history(path)] == [0.2, 0.3]


def test_calls_are_the_same_in_each_run() -> None:
    first, second = (benchmark("speed", "--seconds", "5", "--calls")["costs"] for _ in range(2))
    assert first == second


def test_kept_history_is_valid() -> None:
    for entry in speed.load_history():
        assert set(entry) == {"date", "revision", "cpython", "cpu", "load", "method", "ratios"}


@pytest.mark.soak
def test_startup() -> None:
    record = benchmark("runtime.startup", "--rounds", "1", "--seconds", "1")
    assert 0 < record["ready_s"]["min"] <= record["control_s"]["min"]
    assert 5 < record["pss_mib"]["max"] <= record["rss_mib"]["max"] <= record["peak_mib"]["max"]


@pytest.mark.soak
def test_throttle() -> None:
    record = benchmark("control.power_limits", "--phases", "1", "--rows", "2")
    assert record["lost"]["with flow"]["told_s"]["max"] <= 2.0
    assert record["lost"]["with flow"]["case_c_3min"] <= 85 + 3
    assert record["kept"]["off_after_s"] is not None
    assert record["kept"]["case_c"] <= 85
    assert record["hall"]["within_one_tick"]


def test_control() -> None:
    """The law with the model moves the valve less than the others; figures need a complete run."""
    record = benchmark("control.laws", "--case", "UA -30 %", "--seconds", "2400")
    trials = {item["law"]: item for item in record["trials"]}
    assert set(trials) == {"coldloop", "coldloop PI", "phosphor", "manual", "simple-pid"}
    assert trials["coldloop"]["settle_s"] <= 60
    assert trials["coldloop"]["over_k"] <= 0.6
    assert trials["coldloop"]["travel_pct"] < trials["phosphor"]["travel_pct"]


def test_table_of_laws() -> None:
    """The shipped loop is not worse than a peer on settling time, deviation and travel.

    The whole table is long (`python -m benchmarks.control.law_table`).
    """
    cases = ("load step", "stiction 5 %", "wave 30 % 5 s", "wave 30 % 60 s", "wave 70 % 40 s")
    chosen = [word for case in cases for word in ("--case", case)]
    record = benchmark("control.law_table", "--seed", "1", *chosen)
    assert len(record["trials"]) == 20
    assert record["worse"] == []


@pytest.mark.soak
def test_digests() -> None:
    require_program("micropython")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    record = benchmark("bench.digests", "--repeats", "2", "--interpreters", here)
    assert record["equal"]
    duts = record["scenarios"]["smoke"]["duts"]
    assert len(duts) == 2
    assert all(dut["passed"] == 2 and len(dut["digests"]) == 1 for dut in duts.values())


def test_a_differing_digest_is_detected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(python: str, dut: str, scenario: str, seed: int, hash_seed: int) -> tuple[str, bool]:
        return f"{hash_seed:064x}", True

    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setattr(digests, "run", run)
    monkeypatch.setattr(sys, "argv", ["x", "--json", "--repeats", "2", "--interpreters", here])
    assert digests.main() == 1
    assert json.loads(capsys.readouterr().out)["equal"] is False


@pytest.mark.soak
def test_realtime() -> None:
    require_program("micropython")
    record = benchmark("bench.realtime", "--seconds", "4")
    assert [run["dut"] for run in record["runs"]] == ["cpython", "micropython"]
    for run in record["runs"]:
        assert run["ticks"] == sum(run["lateness"])
        assert len(run["lateness"]) == len(run["lateness_edges_us"]) + 1
        assert len(run["utc_error_ms"]["bins"]) == len(run["utc_edges_ms"]) + 1
        assert run["modbus"]["transactions"] > 0


def test_heap() -> None:
    require_program("micropython")
    record = benchmark("firmware.heap", "smoke", "--cut", "30", "--long", "12")
    assert record["verdicts"] == {"smoke": "pass"}
    assert 0 < record["code_kib"] < 200
    assert record["peaks"]["smoke"] < record["smallest_heap_kib"] <= 256
    assert [second for second, _ in record["long"]["so_far"]] == list(range(1, 13))


@pytest.mark.soak
def test_firmware() -> None:
    """Half a minute of CPU time; `tests/deploy/firmware` runs the agent on the image."""
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    record = benchmark("firmware.image", "smoke", "--seconds", "3", "--watch", "20")
    assert 100_000 < record["firmware_bytes"] < record["app_bytes"] < 1024 * 1024
    assert record["start_kib"] <= record["peak_kib"] < 192
    assert record["turns"] > 30
    assert record["boot_ms"] < record["agent_ready_ms"] < record["first_write_ms"]


def test_modbus() -> None:
    record = benchmark("modbus.transaction", "--transactions", "50", "--rounds", "1")
    assert set(record["us_per_transaction"]) == set(record["ratio"])
    assert len(record["ratio"]) == 3


def test_nmea() -> None:
    record = benchmark("gnss.nmea", "--epochs", "5", "--rounds", "1")
    assert (
        set(record["thousand_per_s"])
        == set(record["ratio"])
        == {
            "coldloop",
            "pynmea2",
            "pynmea2, fields read",
        }
    )


def test_clock() -> None:
    record = benchmark("gnss.clock", "--runs", "2", "--only", "false_time", "bounds")
    assert [figure["what"] for figure in record["figures"] if not figure["met"]] == []
    assert len(record["figures"]) == 5


@pytest.mark.soak
def test_sky() -> None:
    record = benchmark("gnss.sky", "--days", "0.003")
    assert record["sky"]["alarms"] == []
    assert record["sky"]["believed"] > 200
    record = benchmark("gnss.sky", "--quick", "--days", "0.02", "--dialect", "casic")
    assert (record["sky"]["alarms"], record["sky"]["beyond_bound"]) == ([], False)


@pytest.mark.soak
@pytest.mark.parametrize("subject", sorted(subjects()))
def test_mutants_of_a_subject_are_killed(subject: str) -> None:
    """At least 90 % of a sample; the record names the survivors."""
    record = benchmark("mutation.run", "--subject", subject, "--count", "60", "--seed", "3")
    assert record["subjects"][subject]["sample"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_an_example(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    output = capsys.readouterr().out
    assert ended.value.code == 0
    assert "example: python -m benchmarks." in output
    assert "--json" in output


@pytest.mark.parametrize("name", ["bench.digests", "bench.speed", "firmware.heap"])
def test_usage_error_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    option = ["--scenario", "smok"] if name == "bench.speed" else ["smok"]
    monkeypatch.setattr(sys, "argv", [name, *option])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    output = capsys.readouterr().err
    assert ended.value.code == 2
    assert "did you mean smoke?" in output
    assert len(output.splitlines()) == 1


def test_time_of_nmea_decode(tmp_path: Path) -> None:
    require_program("gpsdecode")
    log = tmp_path / "one.nmea"
    log.write_bytes(b"$GPTXT,01,01,01,ANTENNA OK*35\r\n")
    record = benchmark("gnss.decode_time", "--runs", "1", str(log))
    assert record["ms"]["one.nmea"].keys() == {"gpsdecode", "coldloop", "python"}
    assert record["ms"]["all in turn"] == record["ms"]["one.nmea"]


@pytest.mark.soak
def test_nmea_beside_gpsdecode() -> None:
    """A minute of each vendor dialect, undamaged and damaged: both decoders agree."""
    require_program("gpsdecode")
    record = benchmark("gnss.gpsd", "--seconds", "60")
    assert len(record["captures"]) == 16
    for name, capture in record["captures"].items():
        assert capture["sentences"] == capture["right"], name
        # two changed bytes of a sentence can leave its checksum right and a field unreadable
        assert 0 <= capture["right"] - capture["typed"] <= ("damaged" in name), name
        assert capture["found"] == capture["mode"] == capture["fixes"] > 50, name
        assert capture["worst_e7"] <= 1.0, name
        if "damaged" not in name:  # a damaged capture can have no complete satellite view
            assert abs(capture["gpsd_distinct"] - capture["satellites"]) <= 1, name


@pytest.mark.soak
def test_year() -> None:
    record = benchmark(
        *("control.annual", "--hours", "24", "--start", "4800", "--speed-hours", "1"),
        *("--policies", "coldloop,optimum,fixed:40"),
    )
    shares = {run["policy"]: run["over_optimum"] for run in record["runs"]}
    assert shares["optimum"] == 1.0
    assert 1.0 < shares["coldloop"] < shares["fixed:40"]
    assert record["fine_speed"] > 0


@pytest.mark.soak
def test_table_of_years_runs_each_year_once(tmp_path: Path) -> None:
    options = ("control.years", "--out", str(tmp_path), "--hours", "3")
    record = benchmark(*options, "--cases", "abu_dhabi,cape_town")
    for year, bound in record["years"].values():
        assert (year["policy"], bound["policy"]) == ("coldloop", "optimum")
        assert year["hours"] == bound["hours"] == 3.0
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 4
    assert benchmark(*options, "--cases", "cape_town")["years"]["cape_town"][0]["hours"] == 3.0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files


@pytest.mark.soak
def test_satlink() -> None:
    record = benchmark(
        "satcom.figures", "alarm", "budgets", "tls", "day", "--seeds", "20", "--hours", "4"
    )
    for name, result in record["alarm"].items():
        assert result["within"] >= result["tries"] >= 17, name
        assert result["datagrams"] == 1, name
    for limit, result in record["budgets"].items():
        assert 0 < result["worst_day"] <= int(limit)
    forms = record["tls"]
    assert sum(forms["TLS 1.2, resumed"].values()) < sum(forms["TLS 1.2, certificates"].values())
    for name in ("session kept over windows (TLS 1.3)", "TLS 1.2, resumed, each window"):
        assert 1.0 < record["day"][name] <= 1.2, name


@pytest.mark.soak
def test_codec() -> None:
    require_program("micropython")
    record = benchmark("telemetry.codec", "--seeds", "1-1", "--rows", "600", "--rounds", "1")
    assert record["bits"]["this codec"]["60"] < record["bits"]["differences, zlib -9"]["60"]
    assert record["micropython"]["heap"] == "64wK"


@pytest.mark.soak
def test_link() -> None:
    record = benchmark("telemetry.outage", "--hours", "0.5")
    assert record["alarms_before_backlog"] is True
    assert (record["lost"], record["twice"]) == (0, 0)


@pytest.mark.soak
def test_relay() -> None:
    require_program("mosquitto")
    record = benchmark("telemetry.relay", "--racks", "3", "--blocks", "1", "--relays", "1")
    assert [run["blocks"] for run in record["runs"]] == [3]


@pytest.mark.soak
def test_page() -> None:
    record = benchmark("bench.page", "--clients", "3", "--seconds", "1", "--rounds", "1")
    assert [run["clients"] for run in record["stream"]] == [0, 3]
    assert record["stream"][1]["frames_s"] > 0
    assert record["front_end"]["bytes"] <= 96 * 1024
    assert (record["first_paint_ms"] is None) == (shutil.which("chromium") is None)
