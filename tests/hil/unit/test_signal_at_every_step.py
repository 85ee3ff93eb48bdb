# SPDX-License-Identifier: Apache-2.0
"""A signal at every line of the write test: the texts are true, and the outputs return.

The device is a list of registers in this process. A trace function sends the signal at the n-th
line of the code that keeps, writes and returns outputs; n goes from the first line to the last.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from drivers.modbus.bus import TransactionResult
from drivers.tools.terminal.end_signals import END_SIGNALS, raise_on_end_signals
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.inputs.register_table import parse_table
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.write_test import run_write_test
from hil.tools.commission.profile_draft import draft_profile
from protocols.modbus import pdu
from tests.hil.unit.test_commission import TABLE

_OLD = [360, 420, 600, 500, 600, 400, 3, 0]
_DEVICE = {"name": "cdu", "port": "tcp:127.0.0.1:9", "unit": 7, "profile": "acme"}
_POINT = "PumpSpeedControlPercent"
_RAW = draft_profile(parse_table(TABLE, "t"), "acme", "t")
_TRACED = ("/commission/outputs/",)


class RegisterClient:
    """A client of a device that has these registers. `writes`: the number of requests to write."""

    def __init__(self) -> None:
        self.words, self.writes = list(_OLD), 0

    def __exit__(self, *_: object) -> None:
        pass

    def request(self, unit: int, request: bytes) -> TransactionResult:
        function, address = request[0], request[1] << 8 | request[2]
        if function == pdu.WRITE_SINGLE:
            self.writes += 1
            self.words[address] = request[3] << 8 | request[4]
            return TransactionResult(0, unit, pdu.GOOD, 0, (), 0)
        count = request[3] << 8 | request[4]
        values = tuple(self.words[address : address + count])
        return TransactionResult(0, unit, pdu.GOOD, 0, values, 0)


@pytest.fixture
def registers(monkeypatch: pytest.MonkeyPatch) -> Iterator[RegisterClient]:
    found = RegisterClient()
    module = "hil.tools.commission.device_access"
    monkeypatch.setattr(f"{module}.BlockingModbusClient", lambda *_: found)
    monkeypatch.setattr(f"{module}.probe_device", _identified)
    monkeypatch.setattr("os.fsync", lambda _: None)
    handlers = {number: signal.getsignal(number) for number in END_SIGNALS}
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # pytest below nohup
    yield found
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _identified(_unit: Any, profile: Any) -> Any:
    from drivers.device.device import ModbusDevice  # noqa: PLC0415

    return ModbusDevice("cdu", 7, profile)


def send_at_line(number: int) -> Callable[[FrameType, str, object], Any]:
    """Return a trace function that sends SIGHUP at the n-th traced line."""
    seen = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        if not any(part in frame.f_code.co_filename for part in _TRACED):
            return None
        if event == "line":
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGHUP)
        return trace

    return trace


def interrupted(folder: Path, number: int, lines: list[str]) -> tuple[bool, str]:
    """Run the write test with a signal at a line: whether it was reached, and the last text."""
    guard = OutputGuard(Journal(folder).pending, lines.append, _open)
    raise_on_end_signals()
    was_reached = False
    access = _open(_DEVICE)
    old_trace = sys.gettrace()
    sys.settrace(send_at_line(number))
    try:
        run_write_test(access, _POINT, functools.partial(guard.keep, _DEVICE))
    except KeyboardInterrupt:
        was_reached = True
    finally:
        sys.settrace(old_trace)
    return was_reached, guard.describe()


def _open(device: dict[str, Any]) -> DeviceAccess:
    return DeviceAccess(device["port"], device["unit"], _RAW)


def test_each_line_of_the_write_test(registers: RegisterClient, tmp_path: Path) -> None:
    number, was_reached = 0, True
    while was_reached:
        number += 1
        registers.words, registers.writes = list(_OLD), 0
        lines: list[str] = []
        was_reached, text = interrupted(tmp_path, number, lines)
        assert lines == []
        if registers.writes == 0:
            assert "perhaps" not in text or _is_written(tmp_path), (number, text)
            assert "was written back" not in text, (number, text)
        if "keep their present values" in text:
            assert registers.words == _OLD, number
            assert registers.writes == 0, number
        next_guard = OutputGuard(Journal(tmp_path).pending, lines.append, _open)
        assert next_guard.restore_all() == []
        assert registers.words == _OLD, (number, text)
        assert Journal(tmp_path).pending.entries == []
    assert number > 100


def _is_written(folder: Path) -> bool:
    """Return whether the state of the output says that its write is the next step."""
    return [entry["state"] for entry in Journal(folder).pending.entries] == ["written"]


def test_a_journal_without_ranges_is_one_of_an_earlier_version(
    registers: RegisterClient, tmp_path: Path
) -> None:
    old = {"point": _POINT, "function": 3, "address": 4, "words": [600]}
    journal = Journal(tmp_path)
    journal.pending.entries = [{"device": _DEVICE, "old": old, "state": "written"}]
    journal.put("ports", [])
    registers.words[4] = 620
    assert OutputGuard(Journal(tmp_path).pending, print, _open).restore_all() == []
    assert registers.words == _OLD


@pytest.mark.parametrize("word", [599, 621, 622, 1000])
def test_after_sigkill_the_value_of_another_master_stays(
    word: int, registers: RegisterClient, tmp_path: Path
) -> None:
    def killed(state: str, old: Any) -> None:
        if state in ("intended", "written"):
            guard.keep(_DEVICE, state, old)

    guard = OutputGuard(Journal(tmp_path).pending, print, _open)
    run_write_test(_open(_DEVICE), _POINT, killed)
    registers.words[4] = word
    lines: list[str] = []
    assert OutputGuard(Journal(tmp_path).pending, lines.append, _open).restore_all() == []
    is_ours = word in (599, 621)  # a count of rounding
    assert registers.words[4] == (600 if is_ours else word)
    assert ("another master has changed the output" in lines[0]) != is_ours
    assert Journal(tmp_path).pending.entries == []
