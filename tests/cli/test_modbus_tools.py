# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus` with the emulated devices of the bench: scan, read, write, poll, errors."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.commands import read_config
from drivers.commands import TOOLS, modbus
from drivers.tools.modbus_scan import UnitScan
from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS
from tests.support.bench_process import BenchThread

VALVE = LINE_UNITS["belimo_valve"]
SETPOINT = "ValvePositionControlPercent"


@pytest.fixture(scope="module")
def bench() -> Iterator[BenchThread]:
    running = BenchThread()
    yield running
    running.stop()


@pytest.fixture
def ports(bench: BenchThread) -> dict[str, str]:
    return bench.ports


def run_command(*words: object) -> int:
    """Return the exit code, also if argparse exits."""
    try:
        return modbus([str(word) for word in words])
    except SystemExit as error:
        return int(error.code or 0)


def only_json(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the only printed JSON object."""
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


def test_scan_finds_devices_and_models(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    units = ",".join(str(unit) for unit in [*LINE_UNITS.values(), 11])
    timeout = ("--timeout-ms", "500")  # the machine can be busy with other tests
    port, selection = ports["bus8"], ("--units", units, "--functions", "3")
    assert run_command("scan", port, *selection, *timeout, "--json") == 0
    found = only_json(capsys)
    models = {device["model"]: device["unit"] for device in found["devices"]}
    assert models == LINE_UNITS
    identifications = {d["model"]: d["identification"] for d in found["devices"]}
    assert identifications["abb_acs580"] == {
        "maker": "ABB",
        "product": "ASCKX",
        "revision": "2.20.0.0",
    }
    assert identifications["schneider_iem3000"]["product"] == "A9MEM3155"
    proven = {d["model"] for d in found["devices"] if d["matches"][0]["how"] == "probe"}
    assert proven == {"abb_acs580", "schneider_iem3000"}  # orv3_rpu: only a register exists
    assert found["tried"][0]["requests"] == len(LINE_UNITS) + 3


def test_scan_of_host_ignores_gateway_exceptions(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    units = ",".join(str(unit) for unit in [*TCP_UNITS.values(), 99])
    port = ports["modbus_tcp"]
    assert run_command("scan", port, "--units", units, "--functions", "3", "--json") == 0
    found = only_json(capsys)
    assert {device["unit"] for device in found["devices"]} == set(TCP_UNITS.values())
    assert found["tried"][0]["gateway_refusals"] == 1


def test_scan_of_units_that_only_some_ports_have(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """TCP has the units 0 to 255; a serial line needs `units=255` for those above 247."""
    words = ("--functions", "3", "--timeout-ms", "20", "--no-identify", "--one-pass", "--json")
    assert run_command("scan", ports["modbus_tcp"], "--units", "0,248,255", *words) == 0
    assert {device["unit"] for device in only_json(capsys)["devices"]} == {0, 255}
    for units in ("0-1", "247-248"):
        assert run_command("scan", ports["bus8"], "--units", units, *words) == 2
        assert "is not 1 to 247 (serial line; units=255 in the" in error_line(capsys)
    assert run_command("scan", ports["bus8"] + "&units=255", "--units", "248", *words) == 1
    assert only_json(capsys)["devices"] == []
    assert run_command("scan", ports["bus8"], "--units", "250-256", *words) == 2
    assert "is not within 0 to 255" in error_line(capsys)
    words = ("--units", "0-1", "--yes", "-o", "unit.json")
    assert run_command("commission", ports["modbus_tcp"], *words) == 2
    assert "unit 0: the agent needs 1 to 255" in error_line(capsys)


@pytest.mark.parametrize("value", ["1_0", "\u0663"])
def test_digits_that_are_no_usual_number_are_not_written(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str], value: str
) -> None:
    """Python reads 1_0 as 10; a person who types it can mean 1.0."""
    port = ports["bus8"]
    for words in (
        (VALVE, SETPOINT, value, "--profile", "belimo_valve"),
        (VALVE, 0, value),
        (VALVE, 0, value, "--type", "f32"),
        (VALVE, value, 1),
    ):
        assert run_command("write", port, *words, "--yes") == 2
        assert value in error_line(capsys)
    assert run_command("scan", port, "--units", value) == 2
    assert value in error_line(capsys)


def test_an_interrupted_scan_names_what_it_has_found(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted(TCP_UNITS.values())[:2]
    show = UnitScan._show_progress

    def interrupt(scan: UnitScan, function: int, unit: int, *rest: Any) -> None:
        if unit == second:
            raise KeyboardInterrupt
        show(scan, function, unit, *rest)

    monkeypatch.setattr(UnitScan, "_show_progress", interrupt)
    words = (ports["modbus_tcp"], "--units", f"{first},{second}", "--functions", "3")
    assert run_command("scan", *words, "--json") == 130
    found = only_json(capsys)
    assert found["interrupted"] is True
    assert [device["unit"] for device in found["devices"]] == [first]
    assert run_command("scan", *words) == 130
    assert "interrupted; found until then:" in capsys.readouterr().out


def test_scan_without_reply_reports_attempts(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--units", "1-2", "--functions", "3,4", "--baud", "9600,19200", "--parity", "N,E")
    assert run_command("scan", ports["bus8"], *words, "--timeout-ms", "20") == 1
    text = capsys.readouterr().out
    assert "no device replied" in text
    assert "functions 3, 4, units 1-2, 20 ms each" in text
    for setting in ("9600 8N1", "9600 8E1", "19200 8N1", "19200 8E1"):
        assert f"{setting}: 8 requests; replies: none" in text
    assert "hint: no bytes: check power" in text


def test_scan_reports_garbled_replies(
    bench: BenchThread, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.call(lambda b: setattr(b.fleet.devices["belimo_valve"], "corrupted_replies", -1))
    words = ("--units", VALVE, "--functions", "3", "--json")
    code = run_command("scan", bench.ports["bus8"], *words)
    bench.call(lambda b: setattr(b.fleet.devices["belimo_valve"], "corrupted_replies", 0))
    assert code == 1
    found = only_json(capsys)
    assert found["tried"][0]["garbled"] == [{"unit": VALVE, "reason": "crc"}]
    assert "check baud rate and parity" in found["hints"][0]


def test_read_decodes(ports: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    unit = LINE_UNITS["eastron_sdm630"]
    words = ("--function", "4", "--type", "f32", "--json")
    assert run_command("read", ports["bus8"], unit, 0, 3, *words) == 0
    found = only_json(capsys)
    assert len(found["raw"]) == 6
    assert all(200 < value < 260 for value in found["values"])


def test_read_reports_missing_reply(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("read", ports["bus8"], 99, 0, "--timeout-ms", "30") == 1
    assert "19200 8E1 unit 99, function 3, address 0: no reply" in error_line(capsys)
    assert run_command("read", ports["bus8"], LINE_UNITS["orv3_rpu"], 0) == 1
    assert "exception 2 (illegal data address)" in error_line(capsys)


def test_write_by_profile_reads_back(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (35, 55):
        words = (SETPOINT, value, "--profile", "belimo_valve", "--yes", "--json")
        assert run_command("write", ports["bus8"], VALVE, *words) == 0
        found = only_json(capsys)
        assert (found["written"], found["readback"], found["verified"]) == (value, value, True)


def test_bit_is_written_by_name(ports: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    target = (ports["bus8"], LINE_UNITS["grundfos_cim"])
    more = ("--profile", "grundfos_cim", "--yes", "--json")
    for word, before, after in (("on", None, 1), ("off", 1, 0), ("1", 0, 1)):
        assert run_command("write", *target, "RemoteControl", word, *more) == 0
        found = only_json(capsys)
        assert (found["written"], found["readback"], found["verified"]) == (after, after, True)
        assert before is None or found["before"] == before
    assert run_command("write", *target, "RemoteControl", "2", *more) == 2
    assert "'2' is not on, off, 1 or 0" in error_line(capsys)
    more = ("--profile", "abb_acs580", "--yes")
    assert (
        run_command("write", ports["bus8"], LINE_UNITS["abb_acs580"], "Tripped", "on", *more) == 2
    )
    assert "Tripped is read-only" in error_line(capsys)


def test_ignored_write_fails(bench: BenchThread, capsys: pytest.CaptureFixture[str]) -> None:
    bench.call(lambda b: setattr(b.fleet.devices["belimo_valve"], "ignore_writes", True))
    code = run_command("write", bench.ports["bus8"], VALVE, 0, 1234, "--yes")
    bench.call(lambda b: setattr(b.fleet.devices["belimo_valve"], "ignore_writes", False))
    assert code == 1
    assert "NOT as written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ((SETPOINT, "100.01", "--profile", "belimo_valve"), "is not 0 to 100 %"),
        ((SETPOINT, "nan", "--profile", "belimo_valve"), "is not 0 to 100 %"),
        (("0", "70000"), "is not 0 to 65535 (u16)"),
        (("0", "-32769", "--type", "i16"), "is not -32768 to 32767 (i16)"),
        (("0", "1e39", "--type", "f32"), "not a number that f32 can hold"),
        (("0", "nan", "--type", "f32"), "not a number that f32 can hold"),
        (("0", "inf", "--type", "f64"), "not a number that f64 can hold"),
    ],
)
def test_write_outside_limits_is_rejected_before_sending(
    bench: BenchThread, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], limit: str
) -> None:
    count_before = bench.call(lambda b: b.fleet.line.request_count)
    assert run_command("write", bench.ports["bus8"], VALVE, *words, "--yes") == 2
    assert limit in error_line(capsys)
    assert bench.call(lambda b: b.fleet.line.request_count) == count_before


def test_wrong_profile_stops_write(bench: BenchThread, capsys: pytest.CaptureFixture[str]) -> None:
    writes = bench.call(lambda b: b.fleet.devices["belimo_valve"].writes)
    words = ("FlowControlLitersPerMinute", "150", "--profile", "orv3_rpu", "--yes")
    assert run_command("write", bench.ports["bus8"], VALVE, *words) == 1
    assert "is not model orv3_rpu: " in error_line(capsys)
    assert bench.call(lambda b: b.fleet.devices["belimo_valve"].writes) == writes


def test_write_needs_terminal_to_ask(
    bench: BenchThread, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    writes = bench.call(lambda b: b.fleet.devices["belimo_valve"].writes)
    assert run_command("write", bench.ports["bus8"], VALVE, 0, 1) == 2
    assert "add --yes" in error_line(capsys)
    assert bench.call(lambda b: b.fleet.devices["belimo_valve"].writes) == writes


def test_poll_prints_line_per_round(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--profile", "orv3_rpu", "--unit", LINE_UNITS["orv3_rpu"], "--period-ms", "50")
    assert run_command("poll", ports["bus8"], *words, "--rounds", "3", "--json") == 0
    rounds = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [found["round"] for found in rounds] == [1, 2, 3]
    points = {point["name"]: point for point in rounds[-1]["points"]}
    supply = points["SupplyTemperatureCelsius"]
    assert 10 < supply["value"] < 60
    assert (supply["unit"], supply["quality"]) == ("Cel", "good")
    assert 0 <= supply["age_s"] < 2


def test_poll_plans_requests_and_learns(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    port = ports["bus8"]
    more = ("--period-ms", "50", "--json", "--timeout-ms", "500")
    unit = LINE_UNITS["orv3_rpu"]
    assert (
        run_command("poll", port, "--profile", "orv3_rpu", "--unit", unit, "--rounds", "1", *more)
        == 0
    )
    assert only_json(capsys)["requests"] == 5
    unit, rounds = (
        LINE_UNITS["eastron_sdm630"],
        ("--rounds", "12"),
    )  # its map has many unreadable ranges
    assert (
        run_command("poll", port, "--profile", "eastron_sdm630", "--unit", unit, *rounds, *more)
        == 0
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["faults"]
    assert not lines[-1]["faults"]
    assert {point["quality"] for point in lines[-1]["points"]} == {"good"}


def test_poll_of_other_model_fails(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--profile", "orv3_rpu", "--unit", VALVE, "--rounds", "1")
    assert run_command("poll", ports["bus8"], *words) == 1
    assert "WRONG MODEL" in capsys.readouterr().out


def test_commission_writes_valid_configuration(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "unit.json"
    words = ("--units", "12,20,31,32", "--functions", "3", "--yes", "--json", "-o", output)
    assert run_command("commission", ports["bus"], *words) == 0
    written = only_json(capsys)
    config = read_config(str(output))
    assert [(d.name, d.profile.model) for d in config.devices] == [
        ("rpu", "orv3_rpu"),
        ("valve", "belimo_valve"),
        ("pump1", "abb_acs580"),
        ("pump2", "abb_acs580"),
    ]
    assert config.pressure.actuators == ["pump1", "pump2"]
    assert written["config"] == json.loads(output.read_text(encoding="utf-8"))
    assert run_command("commission", ports["bus"], *words) == 2
    assert "add --force" in error_line(capsys)


def test_commission_reports_missing_devices(
    ports: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "unit.json"
    words = ("--units", "12", "--functions", "3", "--yes", "--json", "-o", output)
    assert run_command("commission", ports["bus"], *words) == 1
    assert only_json(capsys)["missing"] == ["a valve", "a pump's drive"]
    assert not output.exists()


def test_profile_check_shows_every_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good = {"model": "x", "title": "X", "source": "made up", "met_hardware": False}
    points = [
        {"name": "A", "address": 70000, "type": "u16", "unit": "1"},
        {"name": "B", "address": 1, "type": "u17", "unit": "1"},
    ]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**good, "points": points}), encoding="utf-8")
    assert run_command("profile", "check", path, "orv3_rpu") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(path), str(path), "orv3_rpu"]
    path.write_text('{"model": ', encoding="utf-8")
    assert run_command("profile", "check", path) == 1
    assert f"{path}:1:11: not JSON" in capsys.readouterr().out


def test_profile_show_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("profile", "show", "belimo_valve") == 0
    assert SETPOINT in capsys.readouterr().out
    assert run_command("profile", "show", "nosuch") == 2
    assert "there are abb_acs580" in error_line(capsys)


@pytest.mark.parametrize("name", [*TOOLS["modbus"], ""])
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(*name.split(), "--help") == 0
    assert "example: coldloop modbus " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "no subcommand"),
        (("frob",), "no subcommand 'frob'"),
        (("scan", "nosuch"), "begins with none of"),
        (("scan", "store:/tmp"), "Modbus needs"),
        (("scan", "/dev/nosuch"), "no such port"),
        (("scan", "/dev/null", "--units", "0-5"), "unit 0 is not 1 to 247"),
        (("scan", "/dev/null", "--baud", "9601"), "'9601' is not one of"),
        (("scan", "tcp:127.0.0.1:1", "--baud", "9600"), "need a serial line"),
        (("read", "tcp:127.0.0.1:1", "1", "0"), "refused: nothing listens there"),
        (("read", "/dev/null", "248", "0"), "unit 248 is not 1 to 247"),
        (("read", "/dev/null", "1", "65535", "2"), "ends after address 65535"),
        (("read", "/dev/null", "1", "0", "--order", "ABDC", "--type", "f32"), "is not one of"),
        (("sniff", "tcp:127.0.0.1:1"), "sniff decodes RTU on a serial line"),
        (("commission", "/dev/null", "--setpoint-c", "90"), "90 is not 15 to 45"),
    ],
)
def test_usage_error_is_one_line(
    words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(*words) == 2
    assert text in error_line(capsys)
