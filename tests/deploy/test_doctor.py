# SPDX-License-Identifier: Apache-2.0
"""`coldloop doctor`: each fault of a controller is found, with the next step."""

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
from deploy.doctor.finding import BAD, GOOD, WARNING
from drivers.ports.address import parse_address
from drivers.ports.address_text import KINDS
from tests.cli.test_agent_command import example
from tests.support.programs import free_port

Raw = dict[str, Any]


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Two serial ports that all users can open."""
    pairs = [pty.openpty() for _ in range(2)]
    names = [os.ttyname(terminal) for _, terminal in pairs]
    for name in names:
        os.chmod(name, 0o666)
    yield names
    for pair in pairs:
        for end in pair:
            os.close(end)


@pytest.fixture
def raw(lines: list[str], tmp_path: Path) -> Raw:
    """A configuration of which all ports exist."""
    result = example()
    result["receiver"] = {"port": f"serial:{lines[0]}?baud=115200"}
    result["buses"] = {"bus": f"serial:{lines[1]}?baud=19200"}
    result["state"] = f"store:{tmp_path}"
    return result


def run_doctor(
    raw: Raw, folder: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and the results by place."""
    path = folder / "unit.json"
    path.write_text(json.dumps(raw))
    code = run(["--config", str(path), "--json", *more])
    results = json.loads(capsys.readouterr().out)
    assert results["fit"] == (code == 0)
    return code, {item["where"]: item for item in results["findings"]}


@pytest.fixture(autouse=True)
def no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the systemd unit and the clock of this machine."""
    monkeypatch.setattr(machine, "unit_properties", dict)
    monkeypatch.setattr(machine, "query_properties", lambda *_: {})


def test_a_correct_machine(raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result = run_doctor(raw, tmp_path, capsys, "--no-broker")
    assert code == 0, result
    for where in ("configuration", "port receiver", "port bus", "store state", "clock"):
        assert result[where]["verdict"] == GOOD


def test_a_missing_port(raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw["buses"] = {"bus": "serial:/dev/not-plugged-in?baud=19200"}
    code, result = run_doctor(raw, tmp_path, capsys, "--no-broker")
    assert code == 1
    assert [where for where, item in result.items() if item["verdict"] == BAD] == ["port bus"]
    assert result["port bus"]["text"] == "/dev/not-plugged-in: no such port"
    assert "check the cable" in result["port bus"]["todo"]
    assert run(["--config", str(tmp_path / "unit.json"), "--no-broker"]) == 1
    assert "-> check the cable" in capsys.readouterr().out


def test_a_port_without_access_rights(
    raw: Raw, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.chmod(lines[1], 0o600)
    code, result = run_doctor(raw, tmp_path, capsys, "--no-broker")
    assert code == 1
    assert "0660" in result["port bus"]["todo"]


def test_missing_device_and_folder(
    raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw["receiver"] = {"port": f"serial:{tmp_path}/unit.json"}
    raw["state"] = f"store:{tmp_path}/none"
    code, result = run_doctor(raw, tmp_path, capsys, "--no-broker")
    assert code == 1
    assert "not a device" in result["port receiver"]["text"]
    assert result["store state"]["todo"].startswith("mkdir")


def test_the_broker(raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        raw["broker"] = {"address": f"tcp:127.0.0.1:{server.getsockname()[1]}"}
        code, result = run_doctor(raw, tmp_path, capsys)
        assert (code, result["broker"]["verdict"]) == (0, GOOD)
    raw["broker"] = {"address": f"tcp:127.0.0.1:{free_port()}"}
    code, result = run_doctor(raw, tmp_path, capsys)
    assert (code, result["broker"]["verdict"]) == (1, BAD)
    raw["broker"] = {"address": f"tls:127.0.0.1:1?ca={tmp_path}/none.pem"}
    code, result = run_doctor(raw, tmp_path, capsys)
    assert (code, "none.pem" in result["broker"]["text"]) == (1, True)


def test_the_address_filter_of_the_service() -> None:
    properties = {"IPAddressDeny": "::/0 0.0.0.0/0", "IPAddressAllow": "127.0.0.0/8 192.0.2.0/24"}
    allowed = machine.allowed_networks(properties)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_address(f"tcp:127.0.0.1:{server.getsockname()[1]}")
        assert [item.verdict for item in network.check_broker(address, allowed)] == [GOOD]
        result = network.check_broker(address, ["192.0.2.0/24"])
        assert result[1].where == "fence"
        assert "IPAddressAllow=127.0.0.1" in result[1].todo
        assert [
            item.verdict for item in network.check_broker(address, machine.allowed_networks({}))
        ] == [GOOD]


def test_an_invalid_configuration(
    raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw["control"]["supply"]["setpoint_c"] = 90
    code, result = run_doctor(raw, tmp_path, capsys)
    assert (code, "outside 15 to 45" in result["configuration"]["text"]) == (1, True)
    assert run(["--config", str(tmp_path / "none.json")]) == 1
    assert "examples/unit.json" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run(["--no-such-option"])
    assert ended.value.code == 2


def test_the_service() -> None:
    healthy = {"UnitFileState": "enabled", "ActiveState": "active", "NRestarts": "0"}
    assert [item.verdict for item in machine.check_service(healthy)] == [GOOD]
    failed = {"UnitFileState": "disabled", "ActiveState": "failed", "NRestarts": "7"}
    texts = [item.todo for item in machine.check_service(failed)]
    assert "enable" in texts[0]
    assert "journalctl" in texts[1]
    assert "journalctl" in texts[2]


def test_a_cycle_longer_than_the_watchdog(raw: Raw, tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    for cycle_ms, too_long in ((1000, False), (5000, False), (6000, True)):
        raw["control"]["cycle_ms"] = cycle_ms
        raw["limits"] = {"stale_s": 20}
        path.write_text(json.dumps(raw))
        assert (machine.check_watchdog_time(read_config(str(path))) is not None) == too_long


def test_an_unset_clock() -> None:
    assert (
        machine.check_clock(0.0).verdict,
        machine.check_clock(machine.EARLIEST_CLOCK_S + 1).verdict,
    ) == (BAD, GOOD)


def test_switchable_loads_without_a_store(
    raw: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = {"name": "gpu1", "class": "gpu", "max_w": 1000, "min_w": 300}
    load |= {"port": "bmc", "path": "/redfish/v1/Chassis/gpu1/EnvironmentMetrics"}
    raw["throttle"] = {"ports": {"bmc": f"tcp:127.0.0.1:{free_port()}"}, "loads": [load]}
    assert "throttle" not in run_doctor(raw, tmp_path, capsys, "--no-broker")[1]
    load["system"] = "/redfish/v1/Systems/gpu1"
    warned = run_doctor(raw, tmp_path, capsys, "--no-broker")[1]["throttle"]
    assert warned["verdict"] == WARNING
    assert "store:" in warned["todo"]
    (tmp_path / "throttle").mkdir()
    raw["throttle"]["port"] = f"store:{tmp_path}/throttle"
    found = run_doctor(raw, tmp_path, capsys, "--no-broker")[1]
    assert "throttle" not in found
    assert found["store throttle"]["verdict"] == GOOD


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.statvfs(tmp_path)
    full = os.statvfs_result((*status[:3], 1, 1, *status[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    (result,) = ports.check_ports([("log", parse_address(f"store:{tmp_path}"))], False)
    assert (result.verdict, "free at least" in result.todo) == (BAD, True)


def test_each_kind_of_port_has_a_check(lines: list[str]) -> None:
    assert set(ports.CHECKS) == set(KINDS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"127.0.0.1:{server.getsockname()[1]}"
        none = f"127.0.0.1:{free_port()}"
        for address, verdict in (
            (f"rtu+tcp:{here}?baud=19200", GOOD),
            (f"rtu+tcp:{none}", BAD),
            (f"ascii+tcp:{here}", GOOD),
            (f"ascii+tcp:{none}", BAD),
            (f"rtu+udp:{here}", GOOD),
            ("rtu+udp:name.invalid:502", BAD),
            (f"udp:{here}", GOOD),
            (f"ascii:{lines[0]}?baud=9600", GOOD),
            ("ascii:/dev/not-plugged-in", BAD),
            ("uart:1", BAD),
        ):
            (result,) = ports.check_ports([("bus", parse_address(address))], False)
            assert (result.where, result.verdict) == ("port bus", verdict), result
