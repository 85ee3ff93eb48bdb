# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil run acceptance --unit --real`: however it ends, the outputs are those of before."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from drivers.errors import PortError
from hil.run.unit.unit_file import load_unit
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.agent_outputs import AgentRequests, list_outputs
from hil.tools.commission.outputs.pending import OldWords, OutputFile
from hil.tools.commission.outputs.site_journals import journal_path
from protocols.modbus import pdu
from tests.hil.unit.test_commission import cdu, command, site

__all__ = ["cdu", "site"]  # fixtures

_OLD = [600, 400]
_CODE = "import signal, sys, coldloop; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
_CODE += "sys.exit(coldloop.main(sys.argv[1:]))"  # also below nohup, which ignores SIGHUP


@pytest.fixture
def unit(cdu: str, site: Path) -> Iterator[Path]:
    """The configuration of the foreign CDU."""
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    yield site / "unit.json"
    assert not journal_path(site / "unit.json").exists()


def access(unit: Path) -> DeviceAccess:
    loaded = load_unit(unit)
    device = loaded.raw["devices"][0]
    raw = loaded.raw_profiles[device["profile"]]
    return DeviceAccess(loaded.raw["buses"][device["bus"]], device["unit"], raw, 1000)


def words(unit: Path) -> list[int]:
    with access(unit) as device:
        return device.read_words(pdu.READ_HOLDING, 4, 2)[0]


def write(unit: Path, address: int, word: int) -> None:
    with access(unit) as device:
        assert device.request(pdu.write_single(address, word)).status == pdu.GOOD


def run_command(unit: Path) -> list[str]:
    run = ["hil", "run", "acceptance", "--unit", str(unit), "--real", "--seconds", "30"]
    return [sys.executable, "-c", _CODE, *run]


def wait_until_moved(unit: Path, program: "subprocess.Popen[bytes]") -> None:
    """Wait until the agent has moved both outputs, and the journal has its requests."""
    ends = time.monotonic() + 120
    while True:
        assert program.poll() is None
        assert time.monotonic() < ends
        moved = all(new != old for new, old in zip(words(unit), _OLD, strict=True))
        if moved and '"ours": [' in journal_path(unit).read_text(encoding="utf-8"):
            return
        time.sleep(0.2)


@pytest.mark.realtime
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_returns_the_outputs(unit: Path, number: int) -> None:
    with subprocess.Popen(run_command(unit), stderr=subprocess.PIPE) as program:
        wait_until_moved(unit, program)
        program.send_signal(number)
        program.send_signal(number)  # a shell and the kernel send one each
        assert program.stderr is not None
        error = program.stderr.read().decode()
        assert program.wait(20) == 130, error
    assert words(unit) == _OLD
    assert "PumpSpeedControlPercent, register 4: old words [600] are back" in error
    assert "ValvePositionControlPercent, register 5: old words [400] are back" in error


@pytest.mark.realtime
def test_a_lost_terminal_returns_the_outputs(unit: Path) -> None:
    child, master = pty.fork()
    if child == 0:  # the leader of a session with this terminal
        os.execv(sys.executable, run_command(unit))
    ends = time.monotonic() + 120
    while not all(new != old for new, old in zip(words(unit), _OLD, strict=True)):
        assert time.monotonic() < ends
        time.sleep(0.2)
    os.close(master)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)
    assert words(unit) == _OLD


@pytest.mark.realtime
def test_an_agent_that_ends_returns_the_outputs(unit: Path) -> None:
    with subprocess.Popen(run_command(unit), stderr=subprocess.PIPE) as program:
        wait_until_moved(unit, program)
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert program.stderr is not None
        error = program.stderr.read().decode()
        assert program.wait(20) == 2, error
    assert "the agent has ended" in error
    assert words(unit) == _OLD


@pytest.mark.realtime
@pytest.mark.parametrize("is_changed", [False, True], ids=["untouched", "another master"])
def test_the_next_start_after_sigkill_returns_them(unit: Path, is_changed: bool) -> None:
    with subprocess.Popen(run_command(unit), stderr=subprocess.DEVNULL) as program:
        wait_until_moved(unit, program)
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        program.kill()
        program.wait(20)
    while any(Path(f"/proc/{child}").exists() for child in children):
        time.sleep(0.05)  # the kernel ends the agent with its bench
    if is_changed:
        write(unit, 5, 77)
    with subprocess.Popen(run_command(unit), stderr=subprocess.PIPE) as program:
        assert program.stderr is not None
        lines = [program.stderr.readline().decode() for _ in range(2)]
        program.terminate()
        rest = program.stderr.read().decode()
        program.wait(20)
    assert any("register 4: old words [600] are back" in line for line in lines), (lines, rest)
    if is_changed:
        assert any("another master has changed the output: it holds [77]" in x for x in lines)
    assert words(unit) == ([600, 77] if is_changed else _OLD)


@pytest.mark.realtime
def test_the_value_of_another_master_stays(unit: Path) -> None:
    """It comes after the agent has ended and before the outputs return."""
    with subprocess.Popen(run_command(unit), stderr=subprocess.PIPE) as program:
        wait_until_moved(unit, program)
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        program.send_signal(signal.SIGSTOP)
        os.kill(int(children[0]), signal.SIGKILL)
        write(unit, 5, 77)
        program.send_signal(signal.SIGCONT)
        assert program.stderr is not None
        error = program.stderr.read().decode()
        program.wait(20)
    assert "another master has changed the output: it holds [77]" in error
    assert words(unit) == [600, 77]


def test_two_programs_do_not_share_a_device(
    cdu: str, unit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(run_command(unit), stderr=subprocess.DEVNULL) as program:
        while not journal_path(unit).exists():
            assert program.poll() is None
            time.sleep(0.1)
        with pytest.raises(SystemExit, match="2"):
            main(command(cdu, tmp_path / "other", "--to", "values"))
        assert "another `coldloop commission` or `coldloop hil run" in capsys.readouterr().err
        program.terminate()
        program.wait(20)


def test_a_journal_that_is_no_journal_is_one_line(
    unit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = journal_path(unit)
    path.write_text("{}")
    assert main(run_command(unit)[3:]) == 2
    assert "not a journal of outputs" in capsys.readouterr().err
    path.unlink()
    path.mkdir()
    assert main(run_command(unit)[3:]) == 2
    assert "not a regular file" in capsys.readouterr().err
    path.rmdir()


def test_what_the_agent_can_have_written(unit: Path) -> None:
    loaded = load_unit(unit)
    outputs = list_outputs(loaded)
    assert [output[1] for output in outputs] == [
        "ValvePositionControlPercent",
        "PumpSpeedControlPercent",
    ]
    requests = AgentRequests()
    with access(unit) as opened:
        assert requests.ranges(outputs[0], opened.device) is None
        status = {
            "supply": {"valve_asked_milli_pct": 50_000},
            "dp": {"pumps_asked_milli_pct": [40_000]},
        }
        requests.add(outputs, status)
        valve, pump = (requests.ranges(output, opened.device) or [] for output in outputs)
        requests.add(outputs, None)
        assert requests.ranges(outputs[0], opened.device) is None
    assert valve[0][0] < 500 < valve[0][1] < 800
    assert pump[0][0] < 400 < pump[0][1]


def _status(second: int, valve_pct: float, pump_pct: float) -> dict[str, Any]:
    return {
        "uptime_s": second,
        "supply": {"valve_asked_milli_pct": valve_pct * 1000},
        "dp": {"pumps_asked_milli_pct": [pump_pct * 1000]},
    }


def _is_ours(count: int, ranges: Any) -> bool:
    return ranges is None or any(low <= count <= high for low, high in ranges)


def test_a_device_can_hold_what_it_took_before_it_was_lost(unit: Path) -> None:
    """The agent requests its fail-safe value for a long time; the device holds an earlier one."""
    outputs = list_outputs(load_unit(unit))
    pump = outputs[1]
    requests = AgentRequests()
    with access(unit) as opened:
        for second in range(30):
            requests.add(outputs, _status(second, 30.0, 45.8 if second < 10 else 80.0))
        ranges = requests.ranges(pump, opened.device)
    assert _is_ours(458, ranges)
    assert _is_ours(800, ranges)
    assert not _is_ours(300, ranges)


def test_a_status_that_stands_still_is_not_known(unit: Path) -> None:
    outputs = list_outputs(load_unit(unit))
    requests = AgentRequests()
    with access(unit) as opened:
        for second in (0, 1, 2, 2, 2):
            requests.add(outputs, _status(second, 30.0, 45.0))
        assert requests.ranges(outputs[1], opened.device) is not None
        requests.add(outputs, _status(2, 30.0, 45.0))
        assert requests.ranges(outputs[1], opened.device) is None


def test_unknown_requests_replace_known_ones(tmp_path: Path) -> None:
    """Else the next call would take a value of the agent for that of another master."""
    pending = OutputFile(tmp_path / "outputs")
    device = {"name": "cdu", "port": "tcp:127.0.0.1:9", "unit": 7, "profile": "acme"}
    pending.set_state(device, "intended", OldWords("Pump", 3, 4, [600]))
    pending.set_all("written", lambda *_: [[590, 620]])
    pending.set_all("written", lambda *_: None)
    assert OutputFile(pending.path).entries[0]["old"]["ours"] is None


def test_an_output_that_cannot_be_read_is_not_started(
    unit: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> str:
        raise PortError("no reply")

    monkeypatch.setattr(DeviceAccess, "poll_point", fail)
    assert main(run_command(unit)[3:]) == 2
    assert "no reply; the agent was not started" in capsys.readouterr().err


@pytest.mark.realtime
def test_a_journal_that_cannot_be_written_returns_the_outputs(unit: Path) -> None:
    """As with a full disk: the run ends, each output is written back and named, then the file."""
    path = journal_path(unit)
    with subprocess.Popen(run_command(unit), stderr=subprocess.PIPE) as program:
        wait_until_moved(unit, program)
        path.rename(path.with_suffix(".kept"))
        path.mkdir()
        assert program.stderr is not None
        lines = program.stderr.read().decode().splitlines()
        assert program.wait(20) == 2, lines
    path.rmdir()
    assert words(unit) == _OLD
    assert ["are back" in line for line in lines[-4:]] == [True, True, True, False], lines
    assert "the outputs are back, but their journal cannot be written" in lines[-2]
