# SPDX-License-Identifier: Apache-2.0
"""No error ends the way back of the outputs: each is written back and named, then the complaint."""

import copy
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import PortError
from drivers.tools.terminal.end_signals import raise_on_end_signals
from hil.errors import BenchError
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs import pending as pending_module
from hil.tools.commission.outputs.output_guard import OutputGuard, restore_and_say
from hil.tools.commission.outputs.pending import INTENDED, NOT_RETURNED, OldWords, OutputFile
from tests.hil.unit.test_signal_at_every_step import _DEVICE, _OLD, _RAW, RegisterClient, registers

__all__ = ["registers"]  # a fixture

_PUMP = OldWords("PumpSpeedControlPercent", 3, 4, [600], [[590, 700]])
_VALVE = OldWords("ValvePositionControlPercent", 3, 5, [400], [[390, 500]])
_OTHER = {**_DEVICE, "name": "other", "port": "tcp:127.0.0.1:10"}


def open_device(device: dict[str, Any]) -> DeviceAccess:
    return DeviceAccess(device["port"], device["unit"], _RAW)


def moved(folder: Path, registers: RegisterClient, *devices: dict[str, Any]) -> OutputFile:
    """Return the journal of outputs that the agent has moved."""
    pending = OutputFile(folder / "unit.json.outputs")
    for device in devices or (_DEVICE,):
        for old in (_VALVE, _PUMP):
            pending.set_state(dict(device), INTENDED, old)
    pending.set_all(NOT_RETURNED)
    registers.words[4:6] = [620, 430]
    return pending


def fail_to_write(*_: object) -> None:
    raise BenchError("unit.json.outputs: No space left on device")


def test_a_file_that_takes_nothing(
    registers: RegisterClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = moved(tmp_path, registers)
    monkeypatch.setattr(pending_module, "write_whole", fail_to_write)
    lines: list[str] = []
    assert OutputGuard(pending, lines.append, open_device).restore_all() == []
    assert registers.words == _OLD
    assert [line.partition(": ")[2].partition(",")[0] for line in lines] == [
        "ValvePositionControlPercent",
        "PumpSpeedControlPercent",
    ]
    assert not pending.path.exists()  # a full disk lets it go


def test_a_file_that_cannot_be_removed_either(
    registers: RegisterClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = moved(tmp_path, registers)
    monkeypatch.setattr(pending, "store", fail_to_write)
    lines: list[str] = []
    problems = OutputGuard(pending, lines.append, open_device).restore_all()
    assert registers.words == _OLD
    assert len(lines) == 2
    assert len(problems) == 1
    assert "No space left on device: the outputs are back, but their journal" in problems[0]


def test_an_entry_without_a_write_does_not_end_it(
    registers: RegisterClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = moved(tmp_path, registers)
    intended = {"device": _OTHER, "old": _PUMP._asdict(), "state": INTENDED}
    pending.entries.insert(0, copy.deepcopy(intended))
    monkeypatch.setattr(pending, "store", fail_to_write)
    assert len(OutputGuard(pending, lambda _: None, open_device).restore_all()) == 1
    assert registers.words == _OLD


@pytest.mark.parametrize("error", [BrokenPipeError("pipe"), ValueError("closed file")])
def test_a_lost_terminal(registers: RegisterClient, tmp_path: Path, error: Exception) -> None:
    def say(_: str) -> None:
        raise error

    pending = moved(tmp_path, registers)
    assert OutputGuard(pending, say, open_device).restore_all() == []
    assert registers.words == _OLD


@pytest.mark.parametrize(
    "error",
    [PortError("no route"), BenchError("acme: this profile is no longer in unit.json"),
     OSError("out of files"), KeyError("setpoint"), EOFError()],
)  # fmt: skip
def test_a_device_that_cannot_be_opened(
    registers: RegisterClient, tmp_path: Path, error: Exception
) -> None:
    def open_second(device: dict[str, Any]) -> DeviceAccess:
        if device["name"] == "other":
            raise error
        return open_device(device)

    pending = moved(tmp_path, registers, _OTHER, _DEVICE)
    problems = OutputGuard(pending, lambda _: None, open_second).restore_all()
    assert registers.words == _OLD
    assert len(problems) == 2
    assert all(p.startswith("tcp:127.0.0.1:10 unit 7: ") and "are not back" in p for p in problems)
    assert [entry["device"]["name"] for entry in pending.entries] == ["other", "other"]


def test_a_point_that_the_profile_no_longer_has(registers: RegisterClient, tmp_path: Path) -> None:
    """The journal names its register, so the words return."""
    pending = moved(tmp_path, registers)
    pending.entries[0]["old"]["point"] = "Renamed"
    problems = OutputGuard(pending, lambda _: None, open_device).restore_all()
    assert problems == []
    assert registers.words == _OLD


def test_a_signal_does_not_hide_an_output_that_is_not_back(
    registers: RegisterClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: dict[str, Any]) -> DeviceAccess:
        os.kill(os.getpid(), signal.SIGTERM)
        raise PortError("no route")

    raise_on_end_signals()
    guard = OutputGuard(moved(tmp_path, registers), lambda _: None, fail)
    with pytest.raises(KeyboardInterrupt):
        restore_and_say(guard)
    assert capsys.readouterr().err.count("are not back after a test: no route") == 2
