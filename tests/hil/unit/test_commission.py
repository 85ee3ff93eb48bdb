# SPDX-License-Identifier: Apache-2.0
"""`coldloop commission` from a CDU that it has never seen to a signed report."""

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.errors import BenchError
from hil.io.regular_file import write_whole
from hil.record.record import read
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.inputs.argument_values import check_range, parse_number
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.inputs.register_table import parse_table
from hil.tools.commission.outputs import write_test
from hil.tools.commission.outputs.endpoint_lock import PortLocks
from hil.tools.commission.outputs.journal import FORMAT, lock_folder
from hil.tools.commission.outputs.pending import OldWords
from hil.tools.commission.profile_draft import draft_profile
from protocols.modbus import pdu
from tests.hil.unit.foreign_cdu import ForeignCdu, SkippedTime

_PAUSING = ("steps", "outputs.output_watch", "outputs.way_back", "outputs.write_test",
            "tuning.loop_tuning", "tuning.step_test")  # fmt: skip
TABLE = """\
address;name;type;scale;unit;access;bits
0;Supply temperature;i16;0.1;°C;R;
1;Return temperature;i16;0.1;°C;R;
2;Flow;u16;0.1;L/min;R;
3;Differential pressure;i16;0.1;kPa;R;
4;Pump speed command;u16;0.1;%;RW;
5;Valve command;u16;0.1;%;RW;
6;Status;u16;;;R;0=running / 1=remote
7;Alarm word;u16;;;R;0=leak / 1=pump fault / 2=low level
"""
_GAUGES = ("SupplyTemperatureCelsius=36.2", "ReturnTemperatureCelsius=41.8",
           "DeltaPressurekPa=50", "FlowLitersPerMinute=none",
           "PumpSpeedControlPercent=60", "ValvePositionControlPercent=40")  # fmt: skip


def foreign_cdu(faults: str, monkeypatch: pytest.MonkeyPatch) -> ForeignCdu:
    """Return a foreign CDU with these faults.

    The pauses of the commissioning in this process are skipped, and have passed for the CDU.
    """
    clock = SkippedTime()
    for module in _PAUSING:
        monkeypatch.setattr(f"hil.tools.commission.{module}.time", clock)
    return ForeignCdu(faults.split(), clock.monotonic)


@pytest.fixture
def cdu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the foreign CDU; the parameter of the test is its fault."""
    with foreign_cdu(getattr(request, "param", ""), monkeypatch) as it:
        yield it.address


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without files; the reports have no PDF, because Chromium takes seconds."""
    monkeypatch.setattr("hil.report.write.print_pdf", lambda *_: False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLDLOOP_PROFILES", "")
    monkeypatch.setenv("COLDLOOP_PENDING", str(tmp_path / "pending"))
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path / "site"


def command(cdu: str, site: Path, *options: str) -> list[str]:
    table = ["--table", str(site.parent / "table.csv"), "--model", "acme_cdu"]
    gauges = [word for gauge in _GAUGES for word in ("--gauge", gauge)]
    labels = ["--serial", "SN1", "--operator", "Ada", "--dir", str(site), "--setpoint-kpa", "60"]
    return ["commission", cdu, "--units", "7", *table, *gauges, *labels, "--yes", *options]


def provenance(folder: Path) -> list[tuple[str, str]]:
    record = read(folder / "record.json")
    run = record["runs"][0]["provenance"]
    return [(run["time"], device["kind"]) for device in run["devices"]]


def test_an_unknown_cdu_gets_a_signed_report(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site, "--write-test", "--json")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    results: dict[str, Any] = {line["step"]: line["result"] for line in lines}
    assert results["site-acceptance"]["verdict"] == results["twin-acceptance"]["verdict"] == "pass"
    assert [write["state"] for write in results["write-test"]] == ["done", "done"]
    assert provenance(site / "report") == [("real", "real")]
    assert provenance(site / "report-twin") == [("virtual", "emulated")]
    for folder in ("report", "report-twin"):  # its table has no identification to compare
        run = read(site / folder / "record.json")["runs"][0]
        assert run["provenance"]["devices"][0]["identity"] == "has no identification"
    assert main(["hil", "verify", "--trust", str(site / "report"), str(site / "report-twin")]) == 0
    assert main(["agent", "--config", str(site / "unit.json"), "--check"]) == 0
    # the old values are back
    assert main(["modbus", "read", cdu, "7", "4", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["values"] == [600, 400]


def test_it_continues_where_it_stopped(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site, "--to", "describe")]) == 0
    profile = site / "profiles" / "acme_cdu.json"
    changed = profile.read_text().replace("from a register table", "edited")
    profile.write_text(changed)
    capsys.readouterr()
    assert main([*command(cdu, site)]) == 1  # the write test is not permitted
    text = capsys.readouterr().out
    assert "step 3 of 10, describe: done at" in text
    assert "not answered: cdu.PumpSpeedControlPercent: write test" in text
    assert read(site / "report" / "record.json")["verdict"] == "incomplete"
    assert profile.read_text() == changed
    assert main([*command(cdu, site, "--from", "values", "--write-test")]) == 0


@pytest.mark.parametrize(
    ("gauges", "verdict"),
    [
        (("PumpSpeedControlPercent=60", "ValvePositionControlPercent=40"), "incomplete"),
        ((), "fail"),  # no display proves the scale of an output
        (("SupplyTemperatureCelsius=30",), "fail"),
        (("PumpSpeedControlPercent=6",), "fail"),
    ],
)
def test_an_open_question_or_a_false_gauge_is_no_pass(
    cdu: str, site: Path, gauges: tuple[str, ...], verdict: str
) -> None:
    words = command(cdu, site, "--write-test")
    kept = [w for i, w in enumerate(words) if w != "--gauge" and words[i - 1] != "--gauge"]
    assert main([*kept, *(word for gauge in gauges for word in ("--gauge", gauge))]) == 1
    assert read(site / "report" / "record.json")["verdict"] == verdict


@pytest.mark.parametrize(
    ("cdu", "states", "registers"),
    [
        ("alarm", ["refused", "refused"], [600, 400]),
        ("deaf", ["done", "failed"], [600, 400]),
        ("sticky", ["left", "not tested"], [620, 400]),
    ],
    indirect=["cdu"],
)
def test_the_write_test_is_guarded(
    cdu: str,
    site: Path,
    states: list[str],
    registers: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*command(cdu, site, "--write-test", "--to", "write-test", "--json")]) == 1
    result = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    assert [write["state"] for write in result] == states
    assert main(["modbus", "read", cdu, "7", "4", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["values"] == registers


@pytest.mark.parametrize("cdu", ["sticky"], indirect=True)
def test_an_output_that_did_not_return_keeps_its_old_words(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(cdu, site, "--write-test", "--to", "write-test")
    assert main(words) == 1
    assert "is perhaps not at its old words [600]" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "the old words [600] are not back" in capsys.readouterr().err
    assert main(["modbus", "write", cdu, "7", "5", "400", "--yes"]) == 0  # releases the pump
    assert main(words) in (0, 1)
    assert "old words [600] are back" in capsys.readouterr().out


def test_a_locked_folder_is_left_alone(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock_folder(site), pytest.raises(SystemExit) as ended:
        main(command(cdu, site))
    assert ended.value.code == 2
    assert "another `coldloop commission` works with this folder" in capsys.readouterr().err
    assert not list(site.iterdir())


def test_an_earlier_configuration_is_kept(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.mkdir()
    (site / "unit.json").write_text("{}")
    assert main(command(cdu, site, "--to", "check")) == 0
    assert (site / "unit.json.old1").read_text() == "{}"
    assert "unit.json.old1" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["unit.json", "profiles"])
def test_an_entry_of_another_kind_is_one_line(
    cdu: str, site: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.mkdir()
    (site / name).mkdir() if name == "unit.json" else (site / name).write_text("")
    with pytest.raises(SystemExit) as ended:
        main(command(cdu, site, "--to", "check"))
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert str(site / name) in error
    assert "Traceback" not in error


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "unit.json"
    (tmp_path / ".unit.json.new").symlink_to(tmp_path / "elsewhere")
    write_whole(path, b"old")
    assert list(tmp_path.iterdir()) == [path]

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BenchError, match="No space left on device"):
        write_whole(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_only_a_passed_acceptance_leaves_the_values_of_the_agent(
    cdu: str,
    site: Path,
    verdict: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def moved(*_: object) -> dict[str, Any]:
        assert main(["modbus", "write", cdu, "7", "5", "300", "--yes"]) == 0
        (site / "report").mkdir()
        (site / "report" / "x").write_text("")
        return {"verdict": verdict, "failures": {}, "open": [], "files": ["x"]}

    assert main([*command(cdu, site, "--write-test", "--to", "tune")]) == 0
    monkeypatch.setattr("hil.tools.commission.command.run_real", moved)
    main([*command(cdu, site, "--write-test", "--real")])
    assert words_of(cdu, capsys, 4, 2) == [600, 300 if verdict == "pass" else 400]
    assert "pending-write" not in (site / "commission.json").read_text()


@pytest.mark.parametrize("cdu", ["zero"], indirect=True)
def test_an_early_end_after_a_failed_step_is_no_success(cdu: str, site: Path) -> None:
    assert main(command(cdu, site, "--to", "values")) == 1


def test_a_wrong_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(("9999", "nan", "x", "33"))
    monkeypatch.setattr("hil.tools.commission.inputs.dialogue.prompt", lambda *_: next(answers))
    dialogue = Dialogue(assume_yes=False, as_json=False)

    def parse(text: str) -> float:
        return check_range("set-point", parse_number("set-point", text), (15, 45))

    assert dialogue.ask_valid("set-point", "32", parse) == 33.0
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_control_characters_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for as_json in (False, True):
        dialogue = Dialogue(assume_yes=True, as_json=as_json)
        dialogue.say("a\x1b[2J\x9b\u202e °C")
        dialogue.report("ports", "a\x1b[2J\x9b\u202e °C")
        text = capsys.readouterr().out
        assert text.strip().isprintable()
        assert as_json or "°C" in text


FLOATS = """\
address;name;type;unit;access;order;role
0;Supply temperature;f32;°C;R;ORDER
2;Return temperature;f32;°C;R;ORDER
4;Flow;f32;L/min;R;ORDER
6;Differential pressure;f32;kPa;R;ORDER
8;Pump speed command;f32;%;RW;ORDER
10;Valve command;f32;%;RW;ORDER
12;Status;u16;;R;;monitor
13;Alarm word;u16;;R;
"""


def words_of(cdu: str, capsys: pytest.CaptureFixture[str], first: int, count: int) -> list[int]:
    assert main(["modbus", "read", cdu, "7", str(first), str(count), "--json"]) == 0
    found: list[int] = json.loads(capsys.readouterr().out.splitlines()[-1])["values"]
    return found


@pytest.mark.parametrize("cdu", ["swapped"], indirect=True)
@pytest.mark.parametrize(("order", "state"), [("", "refused"), ("CDAB", "done")])
def test_floats_in_another_word_order_are_bad_and_never_written(
    cdu: str, site: Path, order: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (site.parent / "table.csv").write_text(FLOATS.replace("ORDER", order), encoding="utf-8")
    before = words_of(cdu, capsys, 8, 4)
    main([*command(cdu, site, "--write-test", "--to", "write-test", "--json")])
    lines = [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]
    assert [write["state"] for write in lines[-1]] == [state, state]
    qualities = {quality for _, quality in lines[-2]["devices"][0]["samples"][0].values()}
    assert ("bad" in qualities) == (not order)
    problem = "the type or the word order is wrong"
    assert (problem in str(lines[-2]["devices"][0]["errors"])) == (not order)
    assert words_of(cdu, capsys, 8, 4) == before


@pytest.mark.parametrize(
    ("cdu", "problem"),
    [("no-value", "has no good value"), ("zero", "all measured values are 0")],
    indirect=["cdu"],
)
def test_a_control_sensor_without_a_value_fails_and_the_agent_does_not_run(
    cdu: str, site: Path, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [w.partition("=")[0] + "=none" if "=" in w else w for w in command(cdu, site)]
    assert main([*words, "--write-test", "--real"]) == 1
    text = capsys.readouterr().out
    assert problem in text
    assert "--real: the agent does not control a CDU with these problems" in text
    assert "FAIL on the devices (not controlled by the agent, 0 of " in text


def test_no_gauge_at_all_is_not_complete(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [w.partition("=")[0] + "=none" if "=" in w else w for w in command(cdu, site)]
    assert main(words) == 1
    text = capsys.readouterr().out
    assert "NOT COMPLETE on the devices (not controlled by the agent, 0 of 6 gauges read, " in text
    assert "not answered: at least one value, compared with a gauge" in text


def test_another_argument_than_that_of_the_journal_is_refused(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(cdu, site, "--write-test")
    assert main(words) == 0
    assert main(["commission", "--dir", str(site), "--yes"]) == 0  # from the journal
    (site.parent / "other.csv").write_text(TABLE, encoding="utf-8")
    others = (
        (cdu, "tcp:127.0.0.1:9", "ports: "),
        ("SN1", "SN2", "serial: 'SN2', but the journal has 'SN1'"),
        ("acme_cdu", "other_cdu", "model: "),
        ("7", "8", "units: "),
        (str(site.parent / "table.csv"), str(site.parent / "other.csv"), "table: "),
        ("60", "70", "setpoint_kpa: "),
    )
    capsys.readouterr()
    for old, new, problem in others:
        with pytest.raises(SystemExit) as ended:
            main([new if word == old else word for word in words])
        assert ended.value.code == 2
        text = capsys.readouterr()
        assert problem in text.err
        assert "PASS" not in text.out
    (site.parent / "table.csv").write_text(TABLE.replace("0.1", "0.2"), encoding="utf-8")
    with pytest.raises(SystemExit):
        main(words)
    assert "table: its content has changed" in capsys.readouterr().err


@pytest.fixture
def slow_cdu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForeignCdu]:
    """A foreign CDU that shows a written pump speed 1.5 s later."""
    with foreign_cdu("lag", monkeypatch) as it:
        yield it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_write_test_gives_the_old_words_back(
    slow_cdu: ForeignCdu, site: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cdu = slow_cdu.address
    words = command(cdu, site, "--write-test", "--to", "write-test")
    code = "import signal, sys, coldloop; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    code += "sys.exit(coldloop.main(sys.argv[1:]))"  # also below nohup, which ignores SIGHUP
    journal = site / "commission.json"
    with subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE) as it:
        while slow_cdu.pump_word != 620:  # it shows this word 1.5 s later
            assert it.poll() is None
            time.sleep(0.01)
        assert "pending-write" in journal.read_text(), "the journal is before the write"
        it.send_signal(number)
        assert it.stderr is not None
        error = it.stderr.read().decode()
        assert it.wait(20) == (-number if number == signal.SIGKILL else 130), error
    time.sleep(1.6)
    is_killed = number == signal.SIGKILL
    assert words_of(cdu, capsys, 4, 2) == ([620, 400] if is_killed else [600, 400])
    assert ("pending-write" in journal.read_text()) == is_killed
    if is_killed:
        assert main([*command(cdu, site, "--to", "values")]) == 0
        assert "old words [600] are back" in capsys.readouterr().out
        assert words_of(cdu, capsys, 4, 2) == [600, 400]


def test_a_corrected_fault_is_tested_again(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(cdu, site, "--write-test")
    wrong = [w.replace("=36.2", "=20") for w in words]
    assert main(wrong) == 1
    assert "FAIL on the devices" in capsys.readouterr().out
    assert main(words) == 0
    assert "step `values` has failed before: it is repeated" in capsys.readouterr().out
    assert (site / "report-old1" / "record.json").exists()


def test_a_run_without_labels_is_good(cdu: str, site: Path) -> None:
    words = command(cdu, site, "--to", "scan")
    at = words.index("--serial")
    assert main(words[:at] + words[at + 2 :]) == 0


def test_untested_outputs_are_not_controlled_without_a_question(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site), "--real"]) == 1
    text = capsys.readouterr().out
    assert "cdu.PumpSpeedControlPercent was not tested; add --write-test" in text
    assert "--real: the agent does not control a CDU with these problems" in text
    assert "(not controlled by the agent" in text


@pytest.mark.parametrize("option", ["--serial", "--operator"])
def test_a_label_that_no_report_can_hold_is_refused_first(
    option: str, cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command(cdu, site), option, "x" * 500])
    assert ended.value.code == 2
    assert option in capsys.readouterr().err
    assert not site.exists() or not (site / "commission.json").exists()


def test_an_interrupted_report_leaves_no_older_one(
    cdu: str, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(cdu, site, "--write-test")
    assert main(words) == 0

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hil.tools.commission.acceptance.record_real_unit", interrupted)
    with pytest.raises(SystemExit) as ended:
        main([*words, "--from", "site-acceptance", "--real"])
    assert ended.value.code == 130
    assert not (site / "report").exists()
    assert "the old value was written back" in capsys.readouterr().err


@pytest.mark.parametrize("cdu", ["slow"], indirect=True)
def test_a_slow_cdu_needs_a_longer_timeout_in_all_steps(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command(cdu, site, "--to", "values")])
    assert "A slow device needs a longer --timeout-ms" in capsys.readouterr().err
    words = command(cdu, site, "--to", "values", "--timeout-ms", "1500", "--json")
    assert main(words) == 0
    values = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]["devices"][0]
    assert values["errors"] == []
    assert {quality for _, quality in values["samples"][-1].values()} == {"good"}


def test_monitor_mode_tests_no_output(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(cdu, site, "--mode", "monitor", "--write-test")
    assert main([*words, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert next(line["result"] for line in lines if line["step"] == "write-test") == []


def test_mistakes_are_one_line_each(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = site.parent / "table.csv"
    cases = (
        (TABLE.replace("0.1;°C;R;\n1", "0.1;°F;R;\n1"), "unit '°F' is unknown"),
        (TABLE.replace("7;Alarm", "6;Alarm"), "table.csv:9: address 6 is that of line 8"),
        (TABLE.replace("i16", "i17"), "type 'i17' is none of"),
        (TABLE.replace("0=leak", "16=leak"), "bit '16=leak' is not like 0=leak"),
        (TABLE.replace(";bits", ";order of words"), "column order of words is none of"),
        (TABLE.replace(";RW;", ";WO;"), "access 'WO' is none of"),
        (TABLE.replace("\n7;", "\n40008;"), "references and addresses on the wire are mixed"),
        (TABLE.replace("Flow", "Fl\0ow"), "a character that cannot be printed"),
        ("", "no registers"),
    )
    for text, problem in cases:
        table.write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main([*command(cdu, site)])
        assert ended.value.code == 2
        assert problem in capsys.readouterr().err
    table.write_text(TABLE, encoding="utf-8")
    for options, problem in (
        (["--setpoint-c", "nan"], "--setpoint-c: nan is outside 15 to 45"),
        (["--setpoint-kpa", "-50"], "--setpoint-kpa: -50 is outside 5 to 400"),
        (["--gauge", "SupplyTemperatureCelsius=abc"], "gauge 'abc' is not a number"),
        (["--model", "optics_gateway"], "is a profile of the package"),
        (["--model", "a/b"], "--model 'a/b' is not like acme_cdu"),
        (["--site", "<b>x"], "--site '<b>x' is not like acme_cdu"),
        (["--name", "\x1b[2J"], r"--name '\x1b[2J' is not like acme_cdu"),
        (["--gauge", "DeltaPressurekPa=4"], "--gauge: DeltaPressurekPa is given twice"),
        (["--profile", "7=../../etc/passwd"], "--profile '../../etc/passwd' is not like"),
        (["--profile", "\u0667=belimo_valve"], "is not UNIT=NAME"),
        (["--profile", "300=belimo_valve"], "is not UNIT=NAME"),
        (["--profile", "7=belimo_valve", "--profile", "7=x"], "the unit 7 is given twice"),
        (["--profile", "7=absent_cdu"], "no profile is named absent_cdu"),
        (["--profile", "8=belimo_valve"], "the unit 8 is not among --units"),
    ):
        with pytest.raises(SystemExit):
            main([*command(cdu, site), *options])
        assert problem in capsys.readouterr().err
    for content in ({}, {"format": FORMAT, "steps": {}, "pending-write": [{"device": 5}]}):
        (site / "commission.json").write_text(json.dumps(content))
        with pytest.raises(SystemExit):
            main([*command(cdu, site)])
        assert "not a journal of a commissioning" in capsys.readouterr().err


@pytest.mark.soak
@pytest.mark.realtime
def test_the_agent_controls_the_unknown_cdu(cdu: str, site: Path) -> None:
    assert main([*command(cdu, site, "--write-test", "--real", "--seconds", "90")]) == 0
    record = read(site / "report" / "record.json")
    assert [run["scenario"] for run in record["runs"]] == [
        *("commission", "unit-readings", "unit-control"),
    ]
    assert record["verdict"] == "pass"


@pytest.mark.parametrize("way", ["during the test", "before the way back"])
def test_the_value_of_another_master_stays(
    cdu: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write test does not write its old words over it, now or later."""
    kept: list[tuple[str, OldWords]] = []
    with DeviceAccess(cdu, 7, draft_profile(parse_table(TABLE, "t"), "acme", "t")) as access:
        output = access.outputs()[0]
        point = access.profile.points[access.device.point_index(output)]
        write = write_test.write_count

        def other(*details: Any) -> tuple[str, str]:
            if way == "before the way back":
                result = write(*details)
                change()
                return result
            poll = access.poll

            def change_and_poll() -> None:
                change()
                poll()

            with monkeypatch.context() as patch:
                patch.setattr(access, "poll", change_and_poll)
                result = write(*details)
            assert result == ("failed", write_test.ANOTHER_MASTER)
            return result

        def change() -> None:
            access.request(pdu.write_single(point.address, 300))

        monkeypatch.setattr(write_test, "write_count", other)
        result = write_test.run_write_test(access, output, lambda *entry: kept.append(entry))
        words, _ = access.read_words(point.function, point.address, 1)
    assert result.state == "left"
    assert "another master has changed the output" in result.reason
    assert words == [300]
    assert [state for state, _ in kept] == ["intended", "written", "foreign"]


def test_the_old_value_and_the_old_words_are_of_one_read(
    cdu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[str, OldWords]] = []
    with DeviceAccess(cdu, 7, draft_profile(parse_table(TABLE, "t"), "acme", "t")) as access:
        output = access.outputs()[0]
        find = write_test.find_refusal

        def change(*details: Any) -> str:
            access.request(pdu.write_single(4, 610))
            return find(*details)

        monkeypatch.setattr(write_test, "find_refusal", change)
        result = write_test.run_write_test(access, output, lambda *entry: kept.append(entry))
    assert (kept[0][1].words, result.before) == ([600], 60.0)


def test_one_endpoint_has_one_commissioning(cdu: str, site: Path) -> None:
    """Two folders do not help: the lock is that of the machine."""
    with PortLocks() as locks:
        locks.lock(cdu.replace("127.0.0.1", "localhost"))
        with pytest.raises(SystemExit, match="2"):
            main(command(cdu, site, "--to", "values"))
    assert main(command(cdu, site, "--to", "values")) in (0, 1)
