"""The bench alone, with programs that are not ours: mbpoll, libmodbus, gpsd, mosquitto's clients.

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

from tests.support.cli_tools import PATIENCE_S, coldloop, ended, started, until
from tests.support.peers import free_port, need, need_library

NOBODY = "65534"
SITE = (25.2048, 55.2708)  # Dubai


class Bench:
    """The running bench and its ports."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        self.first_line = process.stdout.readline()
        self.ports: dict[str, str] = json.loads(self.first_line)["ports"]

    def device(self, name: str) -> str:
        """The path of a serial port's device."""
        return self.ports[name].removeprefix("serial:").split("?")[0]

    @property
    def broker_port(self) -> str:
        return self.ports["broker"].rsplit(":", 1)[1]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with started("bench", "--no-agent", "--json") as process:
        yield Bench(process)


def test_the_first_line_is_the_ports(bench: Bench) -> None:
    assert list(json.loads(bench.first_line)) == ["ports"]
    assert list(bench.ports)[:3] == ["receiver", "bus", "broker"]
    assert {"modem_sbd", "modem_imt", "modem_ntn", "modem_ip"} <= set(bench.ports)
    assert re.fullmatch(r"serial:/dev/pts/\d+\?baud=115200", bench.ports["receiver"])
    assert re.fullmatch(r"serial:/dev/pts/\d+\?baud=19200&parity=E", bench.ports["bus"])
    assert re.fullmatch(r"tcp:127\.0\.0\.1:\d+", bench.ports["broker"])


def run_mbpoll(
    bench: Bench, unit: int, address: int, *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run mbpoll once; numbers among `words` are values to write."""
    options = ["-m", "rtu", "-b", "19200", "-P", "even", "-0", "-1", "-t", "4"]
    place = ["-a", str(unit), "-r", str(address)]
    values = [word for word in words if word.isdigit()]
    count = [] if values else words
    command = [need("mbpoll"), *options, *place, *count, bench.device("bus"), *values]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def read(bench: Bench, unit: int, address: int, count: int = 1) -> dict[int, int]:
    """What mbpoll reads: register number -> value."""
    done = run_mbpoll(bench, unit, address, f"-c{count}", "-o10")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^\[(\d+)\]:\s+(-?\d+)", done.stdout, re.MULTILINE)
    return {int(register): int(value) for register, value in found}


def test_mbpoll_reads_the_rpu_s_registers(bench: Bench) -> None:
    registers = read(bench, 12, 36864, 26)
    assert len(registers) == 26
    flow, supply, back, supply_kpa, return_kpa = (registers[36864 + i] / 10 for i in range(5))
    assert 50 < flow < 300
    assert 25 < supply < 40
    assert supply < back < supply + 20
    assert 60 < supply_kpa - return_kpa < 100
    assert 20 < registers[36873] <= 100  # duty of the pumps, %


def test_mbpoll_is_told_of_an_address_that_does_not_exist(bench: Bench) -> None:
    done = run_mbpoll(bench, 12, 99)
    assert done.returncode != 0
    assert "Illegal data address" in done.stdout + done.stderr


def test_mbpoll_moves_the_valve(bench: Bench) -> None:
    before = read(bench, 20, 4)[4]
    aim = 9_000 if before < 5_000 else 1_000
    assert run_mbpoll(bench, 20, 0, str(aim)).returncode == 0
    assert read(bench, 20, 0) == {0: aim}

    def moved() -> bool:
        return abs(read(bench, 20, 4)[4] - aim) < abs(before - aim) - 100

    until("the valve moves towards its set-point", moved)


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


def test_a_libmodbus_program_reads_and_writes(bench: Bench, tmp_path: Path) -> None:
    need_library("modbus")
    source = tmp_path / "peer.c"
    source.write_text("#include <errno.h>\n" + LIBMODBUS_PROGRAM, encoding="utf-8")
    program = str(tmp_path / "peer")
    subprocess.run([need("cc"), "-o", program, str(source), "-lmodbus"], check=True)
    done = subprocess.run(
        [program, bench.device("bus")],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    supply, first, second, refused = done.stdout.splitlines()
    assert 250 < int(supply) < 400
    assert (first, second, refused) == ("4321", "5678", "Illegal data value")


@contextmanager
def gpsd(*devices: str) -> Iterator[int]:
    """gpsd on serial devices, without root's rights, on loopback only; gives its port."""
    program, port = need("gpsd"), free_port()
    command = [program, "-N", "-n", "-b", "-S", str(port), *devices]
    if os.geteuid() == 0:
        drop = [need("setpriv"), "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
        command = [*drop, *command]
        for device in devices:
            os.chmod(device, 0o666)
    memory = shared_memory()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
            for key in shared_memory() - memory:  # gpsd leaves its NTP segments behind
                subprocess.run(["ipcrm", "-M", key], check=False, capture_output=True)


def shared_memory() -> set[str]:
    """Keys of the shared memory segments that an NTP daemon reads."""
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    keys = {int(row.split()[0]) & 0xFFFFFFFF for row in rows}
    return {hex(key) for key in keys if key >> 8 == 0x4E5450}


def test_gpsd_has_a_fix_at_the_site_with_beidou(bench: Bench) -> None:
    need("gpsd")
    pipe = need("gpspipe")
    fixes: list[dict[str, Any]] = []
    skies: list[dict[str, Any]] = []
    with gpsd(bench.device("receiver")) as port:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and (len(fixes) < 3 or not skies):
            done = subprocess.run(
                [pipe, "-w", "-x", "4", f"127.0.0.1:{port}"],
                capture_output=True,
                text=True,
                check=False,
            )
            reports = [json.loads(line) for line in done.stdout.splitlines()]
            fixes += [r for r in reports if r["class"] == "TPV" and r.get("mode") == 3]
            skies += [r for r in reports if r["class"] == "SKY" and "satellites" in r]
    assert len(fixes) >= 3
    fix = fixes[-1]
    assert (fix["lat"], fix["lon"]) == (
        pytest.approx(SITE[0], abs=1e-3),
        pytest.approx(SITE[1], abs=1e-3),
    )
    said = datetime.fromisoformat(fix["time"])
    assert abs((datetime.now(UTC) - said).total_seconds()) < PATIENCE_S
    satellites = {
        (satellite.get("gnssid"), satellite["used"])
        for sky in skies
        for satellite in sky["satellites"]
    }
    assert (3, True) in satellites  # 3 is BeiDou
    assert (0, True) in satellites  # 0 is GPS


def test_mosquitto_s_clients_use_the_bench_s_broker(bench: Bench) -> None:
    publish, subscribe = need("mosquitto_pub"), need("mosquitto_sub")
    base = (subscribe, "-p", bench.broker_port, "-q", "1", "-F", "%r %t %p", "-C", "1", "-W", "20")

    def say(topic: str, *more: str) -> None:
        words = ["-p", bench.broker_port, "-q", "1", "-t", topic, "-m", "hello", *more]
        subprocess.run([publish, *words], check=True, timeout=PATIENCE_S)

    with started(*base, "-t", "peer/+/x") as listening:

        def heard() -> bool:
            say("peer/b/y")
            say("peer/a/x")
            return listening.poll() is not None

        until("the subscriber hears its topic", heard)
        assert ended(listening)[:2] == (0, "0 peer/a/x hello\n")
    say("peer/c/x", "-r")
    with started(*base, "-t", "peer/c/x") as later:
        assert ended(later)[:2] == (0, "1 peer/c/x hello\n")


def test_ctrl_c_ends_the_bench_in_order_and_its_ports_are_gone(bench: Bench) -> None:
    """Last: the tests above have used it."""
    device = bench.device("bus")
    assert os.path.exists(device)
    code, out, err = ended(bench.process, signal.SIGINT)
    assert (code, out, err) == (0, "", "")
    assert not os.path.exists(device) or os.stat(device).st_uid == 0  # the number may be reused
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(bench.broker_port)), 2)


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_a_bench_with_its_agent_says_where_its_status_is(dut: str) -> None:
    if dut == "micropython":
        need("micropython")
    with started("bench", "--dut", dut) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split(maxsplit=1)]
        while lines[-1][0] != "agent":
            lines.append(process.stdout.readline().split(maxsplit=1))
        assert [name for name, _ in lines[:3]] == ["receiver", "bus", "broker"]
        words = lines[-1][1].split()
        assert words[:2] == ["coldloop", "status"]
        done = until("the agent is well", lambda: status_when_normal(words[2:]))
        assert json.loads(done.stdout)["unit"] == "cdu1"
        code, _, err = ended(process, signal.SIGTERM)
        assert (code, err) == (0, "")
    assert not Path(words[-1]).exists()


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_an_agent_does_not_outlive_its_bench(dut: str) -> None:
    """However the bench ends: an orphan would open its pseudo-terminals' numbers anew."""
    if dut == "micropython":
        need("micropython")
    with started("bench", "--json", "--dut", dut) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        agent = until("there is an agent", lambda: children.read_text().split())[0]
        until("it runs", lambda: b"unit.json" in Path("/proc", agent, "cmdline").read_bytes())
        process.kill()
        until("it has ended", lambda: has_ended(agent))


def has_ended(pid: str) -> bool:
    """Whether a process is gone, or dead and waiting for an init that does not care."""
    try:
        stat = Path("/proc", pid, "stat").read_text()
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


def status_when_normal(words: list[str]) -> "subprocess.CompletedProcess[str] | None":
    done = coldloop("status", *words, "--json")
    return done if done.returncode == 0 else None
