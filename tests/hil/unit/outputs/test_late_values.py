# SPDX-License-Identifier: Apache-2.0
"""An output that takes its tested value up again, seconds or steps after the test."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from drivers.device.device import ModbusDevice
from hil.errors import BenchError
from hil.tools.commission import command as command_module
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.output_tests import OutputTests
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.pending_index import VARIABLE
from hil.tools.commission.outputs.tested_values import check_tested_outputs
from tests.hil.unit.outputs.test_way_back import open_device
from tests.hil.unit.test_commission import cdu, command, site, words_of
from tests.hil.unit.test_signal_at_every_step import _DEVICE, _OLD, RegisterClient, registers

__all__ = ["cdu", "registers", "site"]  # fixtures

_PUMP = "cdu.PumpSpeedControlPercent"
_TWINS = {"verdict": "pass", "failures": {}, "open": [], "files": ["x"]}


@pytest.fixture(autouse=True)
def own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests have pending outputs of the same device."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "pending"))


def write_test_results(
    folder: Path, devices: list[dict[str, Any]]
) -> tuple[list[Any], OutputGuard]:
    """Return the results of the write test."""
    guard = OutputGuard(Journal(folder).pending, print, open_device)
    arguments = argparse.Namespace(write_test=True)
    dialogue = Dialogue(assume_yes=True, as_json=False)
    tests = OutputTests(arguments, dialogue, open_device, guard, lambda _: "", lambda *_: "")
    return tests.run(devices), guard


@pytest.mark.parametrize("late_s", [0.3, 1.5, 4.0])
def test_a_value_that_comes_back_seconds_later_fails_its_test(
    registers: RegisterClient, tmp_path: Path, late_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = 0.0

    def sleep(pause_s: float) -> None:
        nonlocal passed_s
        if passed_s < late_s <= passed_s + pause_s:
            registers.words[4] = 620
        passed_s += pause_s

    monkeypatch.setattr("hil.tools.commission.outputs.output_watch.time.sleep", sleep)
    results, guard = write_test_results(tmp_path, [_DEVICE])
    assert [result["state"] for result in results] == ["failed", "done"]
    assert "has moved from [600] to [620]" in results[0]["reason"]
    assert registers.words == _OLD
    assert guard.problems() == []


@pytest.mark.parametrize(
    ("held", "problem", "line"),
    [
        (600, "", ""),
        (620, "had its tested value [620] again after its test; it has its old words again", ""),
        (650, "", "holds [650]; the write test has left [600]: another master has it"),
    ],
)
def test_an_output_is_compared_before_it_is_moved_again(
    registers: RegisterClient,
    tmp_path: Path,
    held: int,
    problem: str,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hil.tools.commission.outputs.output_watch.time.sleep", lambda _: None)
    results, guard = write_test_results(tmp_path, [_DEVICE])
    assert {result["state"] for result in results} == {"done"}
    registers.words[4] = held
    lines: list[str] = []
    problems = check_tested_outputs(results, [_DEVICE], open_device, guard, lines.append)
    assert registers.words[4] == (650 if held == 650 else 600)
    assert len(problems) == bool(problem)
    assert problem in "".join(problems)
    assert line in "".join(lines)
    assert results[0]["state"] == ("failed" if problem else "done")
    assert guard.problems() == []


def test_an_output_that_cannot_be_read_is_not_moved(
    registers: RegisterClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.tools.commission.outputs.output_watch.time.sleep", lambda _: None)
    results, guard = write_test_results(tmp_path, [_DEVICE])
    monkeypatch.setattr(ModbusDevice, "register_value", lambda *_: None)
    with pytest.raises(BenchError, match=f"{_PUMP}: cannot be read"):
        check_tested_outputs(results, [_DEVICE], open_device, guard, print)


def test_the_write_test_is_repeated_before_the_tuning(
    cdu: str, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_module, "run_twins", lambda *_: _TWINS)
    words = command(cdu, site, "--write-test")
    assert main([*words, "--to", "twin-acceptance"]) == 0
    assert main(["modbus", "write", cdu, "7", "4", "620", "--yes"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--to", "tune"])
    error = capsys.readouterr().err
    assert f"{_PUMP}: it had its tested value [620] again after its test" in error
    assert "the next call repeats the step `write-test`" in error
    assert words_of(cdu, capsys, 4, 2) == [600, 400]
    control = json.loads((site / "unit.json").read_text())["control"]
    assert [set(loop) for loop in control.values()] == [{"sensor"}, {"sensor"}]
    assert main([*words, "--to", "tune"]) == 0
    assert "pumps" in json.loads((site / "unit.json").read_text())["control"]["dp"]
    assert "step `write-test` has failed before: it is repeated" in capsys.readouterr().out
