"""`coldloop doctor`: each thing that may be wrong with a controller is found, and what to do."""

import json
import os
import pty
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.commands import read_config
from deploy.doctor import machine, network, ports
from deploy.doctor.command import run
from deploy.doctor.finding import BAD, GOOD
from drivers.ports.address import parse
from tests.cli.test_agent_command import example
from tests.support.peers import free_port

Raw = dict[str, Any]


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Two serial ports that are there and open to everybody."""
    pairs = [pty.openpty() for _ in range(2)]
    names = [os.ttyname(near) for _, near in pairs]
    for name in names:
        os.chmod(name, 0o666)
    yield names
    for pair in pairs:
        for end in pair:
            os.close(end)


@pytest.fixture
def raw(lines: list[str], tmp_path: Path) -> Raw:
    """A configuration whose ports are all there."""
    found = example()
    found["receiver"] = {"port": f"serial:{lines[0]}?baud=115200"}
    found["buses"] = {"bus": f"serial:{lines[1]}?baud=19200"}
    found["state"] = f"store:{tmp_path}"
    return found


def examined(
    raw: Raw, folder: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, dict[str, Any]]:
    """The exit code, and the findings by where."""
    path = folder / "unit.json"
    path.write_text(json.dumps(raw))
    code = run(["--config", str(path), "--json", *more])
    told = json.loads(capsys.readouterr().out)
    assert told["fit"] == (code == 0)
    return code, {one["where"]: one for one in told["findings"]}


@pytest.fixture(autouse=True)
def no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No unit of this machine plays a part, nor its clock."""
    monkeypatch.setattr(machine, "unit", dict)
    monkeypatch.setattr(machine, "asked", lambda *_: {})


def test_a_fit_machine(raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(raw, tmp_path, capsys, "--no-broker")
    assert code == 0, found
    for where in ("configuration", "port receiver", "port bus", "store state", "clock"):
        assert found[where]["verdict"] == GOOD


def test_a_missing_port(raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw["buses"] = {"bus": "serial:/dev/not-plugged-in?baud=19200"}
    code, found = examined(raw, tmp_path, capsys, "--no-broker")
    assert code == 1
    assert [where for where, one in found.items() if one["verdict"] == BAD] == ["port bus"]
    assert found["port bus"]["text"] == "/dev/not-plugged-in: no such port"
    assert "plugged in" in found["port bus"]["todo"]
    assert run(["--config", str(tmp_path / "unit.json"), "--no-broker"]) == 1
    assert "-> plugged in?" in capsys.readouterr().out


def test_a_port_that_the_agent_may_not_use(
    raw: Raw, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.chmod(lines[1], 0o600)
    code, found = examined(raw, tmp_path, capsys, "--no-broker")
    assert code == 1
    assert "0660" in found["port bus"]["todo"]


def test_no_device_no_folder(raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw["receiver"] = {"port": f"serial:{tmp_path}/unit.json"}
    raw["state"] = f"store:{tmp_path}/none"
    code, found = examined(raw, tmp_path, capsys, "--no-broker")
    assert code == 1
    assert "not a device" in found["port receiver"]["text"]
    assert found["store state"]["todo"].startswith("mkdir")


def test_the_broker(raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        raw["broker"] = {"address": f"tcp:127.0.0.1:{server.getsockname()[1]}"}
        code, found = examined(raw, tmp_path, capsys)
        assert (code, found["broker"]["verdict"]) == (0, GOOD)
    raw["broker"] = {"address": f"tcp:127.0.0.1:{free_port()}"}
    code, found = examined(raw, tmp_path, capsys)
    assert (code, found["broker"]["verdict"]) == (1, BAD)
    raw["broker"] = {"address": f"tls:127.0.0.1:1?ca={tmp_path}/none.pem"}
    code, found = examined(raw, tmp_path, capsys)
    assert (code, "none.pem" in found["broker"]["text"]) == (1, True)


def test_the_fence_of_the_unit() -> None:
    shown = {"IPAddressDeny": "::/0 0.0.0.0/0", "IPAddressAllow": "127.0.0.0/8 192.0.2.0/24"}
    allowed = machine.allowed(shown)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse(f"tcp:127.0.0.1:{server.getsockname()[1]}")
        assert [one.verdict for one in network.broker(address, allowed)] == [GOOD]
        found = network.broker(address, ["192.0.2.0/24"])
        assert found[1].where == "fence"
        assert "IPAddressAllow=127.0.0.1" in found[1].todo
        assert [one.verdict for one in network.broker(address, machine.allowed({}))] == [GOOD]


def test_a_configuration_that_is_not_good(
    raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw["control"]["supply"]["setpoint_c"] = 90
    code, found = examined(raw, tmp_path, capsys)
    assert (code, "outside 15 to 45" in found["configuration"]["text"]) == (1, True)
    assert run(["--config", str(tmp_path / "none.json")]) == 1
    assert "examples/unit.json" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run(["--no-such-option"])
    assert ended.value.code == 2


def test_the_service() -> None:
    calm = {"UnitFileState": "enabled", "ActiveState": "active", "NRestarts": "0"}
    assert [one.verdict for one in machine.service(calm)] == [GOOD]
    worn = {"UnitFileState": "disabled", "ActiveState": "failed", "NRestarts": "7"}
    texts = [one.todo for one in machine.service(worn)]
    assert "enable" in texts[0]
    assert "journalctl" in texts[1]
    assert "journalctl" in texts[2]


def test_a_cycle_longer_than_the_watchdog(raw: Raw, tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    for cycle_ms, wrong in ((1000, False), (5000, False), (6000, True)):
        raw["control"]["cycle_ms"] = cycle_ms
        raw["limits"] = {"stale_s": 20}
        path.write_text(json.dumps(raw))
        assert (machine.pace(read_config(str(path))) is not None) == wrong


def test_a_clock_that_was_never_set() -> None:
    assert (machine.clock(0.0).verdict, machine.clock(machine.BUILT + 1).verdict) == (BAD, GOOD)


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = os.statvfs(tmp_path)
    full = os.statvfs_result((*room[:3], 1, 1, *room[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    (found,) = ports.ports([("log", parse(f"store:{tmp_path}"))], False)
    assert (found.verdict, "make room" in found.todo) == (BAD, True)
