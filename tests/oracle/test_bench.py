# SPDX-License-Identifier: Apache-2.0
"""The bench with independent programs: mbpoll, libmodbus, gpsd, the clients of mosquitto.

One `coldloop bench --no-agent --json` serves all these tests; a second one runs with its agent.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_tools import (
    TIMEOUT_S,
    run_coldloop,
    running_command,
    wait_for_exit,
    wait_until,
)
from tests.support.programs import free_port, require_library, require_program

NOBODY_UID = "65534"
SITE = (25.2048, 55.2708)  # Dubai


class RunningBench:
    """The running bench and its ports."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        self.first_line = process.stdout.readline()
        self.ports: dict[str, str] = json.loads(self.first_line)["ports"]

    def device(self, name: str) -> str:
        """Return the device path of a serial port."""
        return self.ports[name].removeprefix("serial:").split("?")[0]

    @property
    def broker_port(self) -> str:
        return self.ports["broker"].rsplit(":", 1)[1]


@pytest.fixture(scope="module")
def bench() -> Iterator[RunningBench]:
    with running_command("bench", "--no-agent", "--json") as process:
        yield RunningBench(process)


def test_first_line_lists_the_ports(bench: RunningBench) -> None:
    assert list(json.loads(bench.first_line)) == ["ports"]
    assert list(bench.ports)[:3] == ["receiver", "bus", "broker"]
    assert {"modem_sbd", "modem_imt", "modem_ntn", "modem_ip"} <= set(bench.ports)
    assert re.fullmatch(r"serial:/dev/pts/\d+\?baud=115200", bench.ports["receiver"])
    assert re.fullmatch(r"serial:/dev/pts/\d+\?baud=19200&parity=E", bench.ports["bus"])
    assert re.fullmatch(r"tcp:127\.0\.0\.1:\d+", bench.ports["broker"])


def run_mbpoll(
    bench: RunningBench, unit: int, address: int, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run mbpoll once; numbers among `arguments` are values to write."""
    options = ["-m", "rtu", "-b", "19200", "-P", "even", "-0", "-1", "-t", "4"]
    place = ["-a", str(unit), "-r", str(address)]
    values = [argument for argument in arguments if argument.isdigit()]
    count = [] if values else arguments
    command = [require_program("mbpoll"), *options, *place, *count, bench.device("bus"), *values]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


def read_registers(bench: RunningBench, unit: int, address: int, count: int = 1) -> dict[int, int]:
    """Return the values of mbpoll: register number -> value."""
    process = run_mbpoll(bench, unit, address, f"-c{count}", "-o10")
    assert process.returncode == 0, process.stdout + process.stderr
    matches = re.findall(r"^\[(\d+)\]:\s+(-?\d+)", process.stdout, re.MULTILINE)
    return {int(register): int(value) for register, value in matches}


def test_mbpoll_reads_rpu_registers(bench: RunningBench) -> None:
    registers = read_registers(bench, 12, 36864, 26)
    assert len(registers) == 26
    flow, supply_c, return_c, supply_kpa, return_kpa = (registers[36864 + i] / 10 for i in range(5))
    assert 50 < flow < 300
    assert 25 < supply_c < 40
    assert supply_c < return_c < supply_c + 20
    assert 60 < supply_kpa - return_kpa < 100
    assert 20 < registers[36873] <= 100  # duty of the pumps, %


def test_mbpoll_gets_illegal_data_address(bench: RunningBench) -> None:
    process = run_mbpoll(bench, 12, 99)
    assert process.returncode != 0
    assert "Illegal data address" in process.stdout + process.stderr


def test_mbpoll_moves_the_valve(bench: RunningBench) -> None:
    before = read_registers(bench, 20, 4)[4]
    target = 9_000 if before < 5_000 else 1_000
    assert run_mbpoll(bench, 20, 0, str(target)).returncode == 0
    assert read_registers(bench, 20, 0) == {0: target}

    def has_moved() -> bool:
        return abs(read_registers(bench, 20, 4)[4] - target) < abs(before - target) - 100

    wait_until("the valve moves towards its set-point", has_moved)


LIBMODBUS_PROGRAM = """
#include <stdio.h>
#include <modbus/modbus.h>
int main(int count, char **words) {
    uint16_t got[26];
    modbus_t *line = modbus_new_rtu(words[1], 19200, 'E', 8, 1);
    if (!line || modbus_set_slave(line, 12) || modbus_connect(line)) return 1;
    modbus_set_response_timeout(line, 2, 0);
    if (modbus_read_registers(line, 36864, 26, got) != 26) return 2;
    printf("%u\\n", got[1]);
    modbus_set_slave(line, 20);
    if (modbus_write_register(line, 0, 4321) != 1) return 3;
    if (modbus_read_registers(line, 0, 1, got) != 1) return 4;
    printf("%u\\n", got[0]);
    uint16_t more[1] = {5678};
    if (modbus_write_registers(line, 0, 1, more) != 1) return 5;
    if (modbus_read_registers(line, 0, 1, got) != 1) return 6;
    printf("%u\\n", got[0]);
    if (modbus_write_register(line, 0, 10001) != -1) return 7;
    puts(modbus_strerror(errno));
    modbus_close(line);
    modbus_free(line);
    return 0;
}
"""


def test_libmodbus_program_reads_and_writes(bench: RunningBench, tmp_path: Path) -> None:
    require_library("modbus")
    source = tmp_path / "peer.c"
    source.write_text("#include <errno.h>\n" + LIBMODBUS_PROGRAM, encoding="utf-8")
    program = str(tmp_path / "peer")
    subprocess.run([require_program("cc"), "-o", program, str(source), "-lmodbus"], check=True)
    process = subprocess.run(
        [program, bench.device("bus")],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert process.returncode == 0, (process.returncode, process.stdout, process.stderr)
    supply, first, second, refused = process.stdout.splitlines()
    assert 250 < int(supply) < 400
    assert (first, second, refused) == ("4321", "5678", "Illegal data value")


@contextmanager
def running_gpsd(*devices: str) -> Iterator[int]:
    """Run gpsd on serial devices, without root rights, on loopback only; yield its port."""
    program, port = require_program("gpsd"), free_port()
    command = [program, "-N", "-n", "-b", "-S", str(port), *devices]
    if os.geteuid() == 0:
        drop_rights = [
            require_program("setpriv"),
            "--reuid",
            NOBODY_UID,
            "--regid",
            NOBODY_UID,
            "--clear-groups",
        ]
        command = [*drop_rights, *command]
        for device in devices:
            os.chmod(device, 0o666)
    memory = ntp_segments()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)
            for key in ntp_segments() - memory:  # gpsd does not remove its NTP segments
                subprocess.run(["ipcrm", "-M", key], check=False, capture_output=True)


def ntp_segments() -> set[str]:
    """Return the keys of the shared memory segments that an NTP daemon reads."""
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    keys = {int(row.split()[0]) & 0xFFFFFFFF for row in rows}
    return {hex(key) for key in keys if key >> 8 == 0x4E5450}


def test_gpsd_has_a_fix_at_the_site_with_beidou(bench: RunningBench) -> None:
    require_program("gpsd")
    pipe = require_program("gpspipe")
    fixes: list[dict[str, Any]] = []
    views: list[dict[str, Any]] = []
    with running_gpsd(bench.device("receiver")) as port:
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end and (len(fixes) < 3 or not views):
            process = subprocess.run(
                [pipe, "-w", "-x", "4", f"127.0.0.1:{port}"],
                capture_output=True,
                text=True,
                check=False,
            )
            reports = [json.loads(line) for line in process.stdout.splitlines()]
            fixes += [r for r in reports if r["class"] == "TPV" and r.get("mode") == 3]
            views += [r for r in reports if r["class"] == "SKY" and "satellites" in r]
    assert len(fixes) >= 3
    fix = fixes[-1]
    assert (fix["lat"], fix["lon"]) == (
        pytest.approx(SITE[0], abs=1e-3),
        pytest.approx(SITE[1], abs=1e-3),
    )
    fix_time = datetime.fromisoformat(fix["time"])
    assert abs((datetime.now(UTC) - fix_time).total_seconds()) < TIMEOUT_S
    satellites = {
        (satellite.get("gnssid"), satellite["used"])
        for view in views
        for satellite in view["satellites"]
    }
    assert (3, True) in satellites  # 3 is BeiDou
    assert (0, True) in satellites  # 0 is GPS


def test_mosquitto_clients_use_the_bench_broker(bench: RunningBench) -> None:
    publish, subscribe = require_program("mosquitto_pub"), require_program("mosquitto_sub")
    base = (subscribe, "-p", bench.broker_port, "-q", "1", "-F", "%r %t %p", "-C", "1", "-W", "20")

    def publish_hello(topic: str, *more: str) -> None:
        words = ["-p", bench.broker_port, "-q", "1", "-t", topic, "-m", "hello", *more]
        subprocess.run([publish, *words], check=True, timeout=TIMEOUT_S)

    with running_command(*base, "-t", "peer/+/x") as subscriber:

        def is_received() -> bool:
            publish_hello("peer/b/y")
            publish_hello("peer/a/x")
            return subscriber.poll() is not None

        wait_until("the subscriber hears its topic", is_received)
        assert wait_for_exit(subscriber)[:2] == (0, "0 peer/a/x hello\n")
    publish_hello("peer/c/x", "-r")
    with running_command(*base, "-t", "peer/c/x") as late_subscriber:
        assert wait_for_exit(late_subscriber)[:2] == (0, "1 peer/c/x hello\n")


def test_ctrl_c_ends_the_bench_and_closes_its_ports(bench: RunningBench) -> None:
    """Last: the tests above use the bench."""
    device = bench.device("bus")
    assert os.path.exists(device)
    code, out, err = wait_for_exit(bench.process, signal.SIGINT)
    assert (code, out, err) == (0, "", "")
    assert not os.path.exists(device) or os.stat(device).st_uid == 0  # the number can be reused
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(bench.broker_port)), 2)


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_bench_with_agent_prints_status_command(dut: str) -> None:
    if dut == "micropython":
        require_program("micropython")
    with running_command("bench", "--dut", dut) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split(maxsplit=1)]
        while lines[-1][0] != "agent":
            lines.append(process.stdout.readline().split(maxsplit=1))
        assert [name for name, _ in lines[:3]] == ["receiver", "bus", "broker"]
        arguments = lines[-1][1].split()
        assert arguments[:2] == ["coldloop", "status"]
        status_run = wait_until("the agent is well", lambda: status_when_normal(arguments[2:]))
        assert json.loads(status_run.stdout)["unit"] == "cdu1"
        code, _, err = wait_for_exit(process, signal.SIGTERM)
        assert (code, err) == (0, "")
    assert not Path(arguments[-1]).exists()


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_agent_ends_with_its_bench(dut: str) -> None:
    """Any end of the bench: a remaining agent would open the same pseudo-terminal numbers again."""
    if dut == "micropython":
        require_program("micropython")
    with running_command("bench", "--json", "--dut", dut) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        agent = wait_until("there is an agent", lambda: children.read_text().split())[0]
        wait_until("it runs", lambda: is_agent(Path("/proc", agent, "cmdline").read_bytes()))
        process.kill()
        wait_until("it has ended", lambda: has_ended(agent))


def is_agent(command: bytes) -> bool:
    """Return whether a process is the agent, and not setpriv, which becomes the agent."""
    return b"unit.json" in command and b"--pdeathsig" not in command


def has_ended(pid: str) -> bool:
    """Return True if a process has ended, or is a zombie."""
    try:
        stat = Path("/proc", pid, "stat").read_text()
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


def status_when_normal(arguments: list[str]) -> "subprocess.CompletedProcess[str] | None":
    process = run_coldloop("status", *arguments, "--json")
    return process if process.returncode == 0 else None
