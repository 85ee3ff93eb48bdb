# SPDX-License-Identifier: Apache-2.0
"""`coldloop agent` for a technician: wrong configurations, busy, missing or garbled ports, its end.

Wrong use starts nothing. The agent retries a missing port.
"""

import copy
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from agent.commands import agent
from hil.bench.testbed_settings import TestbedSettings
from hil.run.real_bench import RealBench
from tests.support.cli_tools import (
    TIMEOUT_S,
    check_one_line,
    run_coldloop,
    running_command,
    wait_for_exit,
)
from tests.support.programs import free_port

Raw = dict[str, Any]


@pytest.fixture
def bench() -> Iterator[RealBench]:
    """A row behind real ports; the test runs its event loop."""
    with RealBench(TestbedSettings(), seed=1) as made:
        yield made


def run_until(
    bench: RealBench, condition: Callable[[], object], what: str, limit_s: float = 30.0
) -> None:
    """Run the bench until `condition()` is true."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"never: {what}; {bench.status()}"
        bench.shell.run(bench.shell.now() + 100_000)


def write(folder: Path, raw: object) -> str:
    path = folder / "unit.json"
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw), encoding="utf-8")
    return str(path)


# Wrong configurations.


def example() -> Raw:
    """Return a valid configuration whose ports do not exist."""
    names = ("rpu", "valve", "pump1", "spare")
    profiles = ("orv3_rpu", "belimo_valve", "abb_acs580", "abb_acs580")
    return {
        "version": 1,
        "site": "site",
        "unit": "cdu1",
        "receiver": {"port": "serial:/dev/no-receiver?baud=115200"},
        "buses": {"bus": "serial:/dev/no-bus?baud=19200&parity=E"},
        "broker": {"address": "tcp:127.0.0.1:1"},
        "state": "store:/nowhere",
        "devices": [
            {"name": name, "bus": "bus", "unit": 10 + i, "profile": profile}
            for i, (name, profile) in enumerate(zip(names, profiles, strict=True))
        ],
        "control": {
            "supply": {"setpoint_c": 32, "sensor": "rpu", "valve": "valve"},
            "dp": {"setpoint_kpa": 80, "sensor": "rpu", "pumps": ["pump1"]},
        },
    }


REMOVED = object()
MISTAKES: dict[str, tuple[str, object, str]] = {
    # name: (path, value, text of the error after the file name)
    "wrong type": (
        "control.supply.setpoint_c",
        "32",
        "control.supply.setpoint_c: '32' is not a nu",
    ),
    "true is no number": ("bus_timeout_ms", True, "bus_timeout_ms: True is not a whole number"),
    "wrong unit of a key": (
        "control.supply.setpoint_f",
        90,
        "control.supply.setpoint_f: unknown key (did you mean setpoint_c?)",
    ),
    "out of range": (
        "control.supply.setpoint_c",
        90,
        "control.supply.setpoint_c: 90 is outside 15 to 45",
    ),
    "wrong version": ("version", 2, "version: 2 is not one of 1"),
    "unknown key": ("brokr", {}, "brokr: unknown key (did you mean broker?)"),
    "missing": ("site", REMOVED, "site: missing (name of the site)"),
    "no name": ("site", "Dubai 1", "site: 'Dubai 1' is no name"),
    "duplicate name": (
        "devices.3.name",
        "rpu",
        "devices[3].name: rpu is the name of devices[0] too",
    ),
    "duplicate unit": ("devices.1.unit", 10, "devices[1].unit: unit 10 on bus bus is rpu already"),
    "unknown bus": ("devices.2.bus", "bs", "devices[2].bus: no bus is named bs"),
    "unknown profile": ("devices.2.profile", "abb", "devices[2].profile: no profile is named abb;"),
    "unknown sensor": ("control.supply.sensor", "rpx", "control.supply.sensor: "),
    "wrong actuator": ("control.supply.valve", "pump1", "control.supply.valve: pump1 "),
    "unknown kind of port": ("receiver.port", "seral:/dev/x", "receiver.port: "),
    "kind not possible": (
        "receiver.port",
        "store:/x",
        "receiver.port: a port of kind store is not",
    ),
    "wrong baud": ("buses.bus", "serial:/dev/x?baud=fast", "buses.bus: "),
    "wrong option": ("buses.bus", "serial:/dev/x?bauds=9600", "buses.bus: "),
    "one port twice": (
        "receiver.port",
        "serial:/dev/no-bus",
        "serial:/dev/no-bus is already the p",
    ),
    "wrong slot": ("control.slot_ms", 500, "control.slot_ms: 500 is not less than tick_ms (100)"),
    "not an object": ("control", [], "control: [] is not an object"),
}


def changed(raw: Raw, path: str, value: object) -> Raw:
    """Return the configuration with the value at a dotted path replaced, added or removed."""
    result = copy.deepcopy(raw)
    *parents, last = path.split(".")
    node: Any = result
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node[key]
    if value is REMOVED:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value
    return result


@pytest.mark.parametrize("mistake", MISTAKES)
def test_invalid_configuration_is_one_line_and_exit_2(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, value, message = MISTAKES[mistake]
    path = write(tmp_path, changed(example(), place, value))
    assert agent(["--config", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    line = check_one_line(err)
    assert line.startswith(f"{path}: ")
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: Expecting value"),
        ('{"version": 1,\n "site"}', ":2:8: not JSON: "),
        ("[]", "the configuration: [] is not an object"),
        ('{"version": 1, "version": 2}', "the key version is written twice"),
        ("[" * 100_000, "unit.json: not "),
        ('{"version": NaN}', ": "),
    ],
)
def test_file_without_configuration_is_reported(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent(["--config", write(tmp_path, text)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert all(line.startswith(str(tmp_path / "unit.json")) for line in err.splitlines())
    assert "Traceback" not in err


def test_each_error_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = changed(changed(example(), "site", 3), "control.dp.setpoint_kpa", -1)
    assert agent(["--config", write(tmp_path, raw)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert any("site: 3 is not a text" in line for line in lines)
    assert any("control.dp.setpoint_kpa: -1 is outside 5 to 400" in line for line in lines)


def test_unreadable_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    for name, message in (
        ("none.json", "No such file or directory; name the agent's configuration"),
        ("bytes.json", "not UTF-8 text"),
        (".", "Is a directory; name the agent's configuration"),
    ):
        done = run_coldloop("agent", "--config", str(tmp_path / name))
        assert (done.returncode, done.stdout) == (2, "")
        assert check_one_line(done.stderr) == f"{tmp_path / name}: {message}"


@pytest.mark.parametrize("words", [(), ("--confg", "x"), ("--config",)])
def test_wrong_arguments_are_one_line_and_exit_2(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        agent(list(words))
    assert end.value.code == 2
    assert check_one_line(capsys.readouterr().err).startswith("coldloop agent: ")


def test_check_prints_good_and_opens_no_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, example())
    assert agent(["--config", path, "--check"]) == 0
    assert capsys.readouterr().out == f"{path}: good\n"


# Ports with wrong use.


class UnusedPorts:
    """Valid ports for all sections, which must stay unused if the agent does not start."""

    def __init__(self, bench: RealBench, folder: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.state = folder / "state"
        self.state.mkdir()
        self.bus = bench.testbed.bus
        self.raw = bench.config()
        self.raw["broker"]["address"] = f"tcp:127.0.0.1:{self.listener.getsockname()[1]}"
        self.raw["state"] = f"store:{self.state}"

    def check(self, bench: RealBench) -> None:
        bench.shell.run(bench.shell.now() + 200_000)
        with pytest.raises(BlockingIOError):
            self.listener.accept()
        assert list(self.state.iterdir()) == []
        assert self.bus.request_count == 0


@pytest.fixture
def untouched(bench: RealBench, tmp_path: Path) -> Iterator[UnusedPorts]:
    made = UnusedPorts(bench, tmp_path)
    with made.listener:
        yield made


def refusal_line(path: str) -> str:
    """Return the single error line of an agent that does not start."""
    done = run_coldloop("agent", "--config", path)
    assert (done.returncode, done.stdout) == (2, "")
    return check_one_line(done.stderr)


def test_busy_port_is_one_line_without_start(
    bench: RealBench, untouched: UnusedPorts, tmp_path: Path
) -> None:
    with serial.Serial(bench.bus.path, exclusive=True):
        line = refusal_line(write(tmp_path, untouched.raw))
        assert line.startswith(f"coldloop agent: serial:{bench.bus.path}: busy: in use by another")
        untouched.check(bench)


def test_running_agent_blocks_a_second_one(bench: RealBench, tmp_path: Path) -> None:
    bench.start_agent()
    run_until(bench, bench.status, "the first agent runs")
    done = run_coldloop("agent", "--config", str(bench.folder / "unit.json"))
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert all("busy: in use by another program" in line for line in lines)
    assert bench.agent_exit_code() is None


def test_path_without_tty_is_one_line_without_start(
    bench: RealBench, untouched: UnusedPorts, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no tty")
    for path in (str(plain), "/dev/null", str(tmp_path)):
        raw = changed(untouched.raw, "buses.bus", f"serial:{path}?baud=19200")
        line = refusal_line(write(tmp_path, raw))
        assert line == (
            f"coldloop agent: serial:{path}: not a serial port: "
            "name a tty such as /dev/ttyUSB0 or /dev/ttyS0"
        )
    untouched.check(bench)


def test_two_names_of_one_line_are_rejected(
    bench: RealBench, untouched: UnusedPorts, tmp_path: Path
) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(bench.bus.path)
    line = refusal_line(write(tmp_path, changed(untouched.raw, "receiver.port", f"serial:{alias}")))
    assert "named twice: a line belongs to one port only" in line
    untouched.check(bench)


# Missing ports, garbage on ports.


def test_missing_ports_are_reported_and_retried(bench: RealBench, tmp_path: Path) -> None:
    """Receiver and bus appear after some seconds, as after an adapter is plugged in; the broker
    never appears. `coldloop status` shows the state throughout.
    """
    receiver, bus = tmp_path / "ttyReceiver", tmp_path / "ttyBus"
    raw = bench.config()
    raw["receiver"]["port"] = f"serial:{receiver}?baud=115200"
    raw["buses"]["bus"] = f"serial:{bus}?baud=19200&parity=E"
    raw["broker"]["address"] = f"tcp:127.0.0.1:{free_port()}"
    raw["telemetry"] = {"queue": 5}
    path = write(tmp_path, raw)
    assert "No such file or directory; check that the agent runs" in check_one_line(
        status("--config", path, code=2).stderr
    )
    with running_command("agent", "--config", path) as process:
        run_until(bench, bench.status, "it goes on without any port")
        assert status("--config", path, code=1).stdout.startswith("bench/cdu1 is SAFE\n")
        receiver.symlink_to(bench.receiver.path)
        bus.symlink_to(bench.bus.path)
        run_until(bench, lambda: is_normal(bench), "it cools on when its ports appear")
        check_without_broker(bench, path)
        # The queue holds the five newest rows; the agent counts the older ones.
        run_until(bench, lambda: telemetry(bench)["dropped"] > 0, "the queue is bounded")
        assert telemetry(bench)["queued"] == 5
        code, out, err = wait_for_exit(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    messages = err.splitlines()
    assert messages[0].startswith(f"warning: serial:{receiver}: no such port")
    assert messages[1].startswith(f"warning: serial:{bus}: no such port")
    assert sum("Traceback" in line for line in messages) == 0
    assert len(messages) < 60
    check_final_status(bench, path)


def is_normal(bench: RealBench) -> bool:
    now = bench.status()
    assert now is not None
    return now["state"] == "normal" and now["clock"]["state"] == "sync" and not now["alarms"]


def telemetry(bench: RealBench) -> dict[str, int]:
    now = bench.status()
    assert now is not None
    found: dict[str, int] = now["telemetry"]
    return found


def status(*words: str, code: int) -> "subprocess.CompletedProcess[str]":
    done = run_coldloop("status", *words)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def check_without_broker(bench: RealBench, path: str) -> None:
    page = status("--config", path, code=0).stdout
    assert page.startswith("bench/cdu1 is NORMAL\n")
    assert "telemetry  no link, published 0, acknowledged 0, waiting " in page
    assert "alarm      none" in page
    record = json.loads(status("--state", str(bench.folder), "--json", code=0).stdout)
    assert 0 <= record["age_s"] <= 5
    assert record["telemetry"]["connected"] is False


def check_final_status(bench: RealBench, path: str) -> None:
    """Check that an agent that has ended leaves its last status, which is soon stale."""
    left = bench.folder / "status.json"
    snapshot = json.loads(left.read_text())
    snapshot["mono_us"] -= 10_000_000
    left.write_text(json.dumps(snapshot))
    done = status("--config", path, code=1)
    age = next(line for line in done.stdout.splitlines() if line.startswith("age"))
    assert float(age.split()[1]) >= 10


def test_garbage_on_all_ports_is_counted_without_harm(bench: RealBench, tmp_path: Path) -> None:
    chance = random.Random(5)
    raw = bench.config()
    with running_command("agent", "--config", write(tmp_path, raw)) as process:
        run_until(bench, lambda: bench.status() and is_normal(bench), "it runs well")
        before = bench.status()
        assert before is not None
        memory = resident_kb(process.pid)
        for _ in range(50):
            for port in (bench.receiver, bench.bus):
                port.to_agent(garbage(chance, 2_000))
            bench.shell.run(bench.shell.now() + 50_000)
        assert bench.broker is not None
        for conn in list(bench.broker._clients):
            bench.broker._deliver(conn, b"\xf0\xff\xff\xff\xff" + garbage(chance, 1_000))
        run_until(
            bench, lambda: is_normal(bench) and telemetry(bench)["connected"], "it is well again"
        )
        after = bench.status()
        assert after is not None
        assert resident_kb(process.pid) < memory + 2_000
        code, _, err = wait_for_exit(process, signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in err
    assert after["receiver"]["skipped_bytes"] > before["receiver"]["skipped_bytes"] + 20_000
    assert after["modbus"]["dropped_bytes"] > before["modbus"]["dropped_bytes"] + 20_000
    assert after["ticks"]["missed"] == 0
    assert after["clock"]["rejected"] == before["clock"]["rejected"] == 0
    assert telemetry(bench)["acknowledged"] > before["telemetry"]["acknowledged"]


def garbage(chance: random.Random, count: int) -> bytes:
    """Return random bytes with fragments that a framer looks for."""
    pieces = [b"$", b"\r\n", b"$GNRMC,", b"*00\r\n", b"\x0c\x03", b"\0", b"$" * 90]
    return chance.randbytes(count - 200) + b"".join(chance.choices(pieces, k=20))[:200]


def resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_agent_in_order(bench: RealBench, number: int) -> None:
    bench.start_agent(log=bench.folder / "log")
    process = bench._agent
    assert process is not None
    run_until(bench, bench.status, "it runs")
    process.send_signal(number)
    run_until(bench, lambda: process.exit_code() is not None, "it ends", TIMEOUT_S)
    assert process.exit_code() == 0
    assert "Traceback" not in (bench.folder / "log").read_text()
    # Its ports are free again.
    with serial.Serial(bench.bus.path, exclusive=True):
        assert os.path.exists(bench.bus.path)
