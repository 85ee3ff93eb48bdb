# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus` with independent slaves, as a sniffer, and on a terminal."""

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.framer import FramerRTU
from pymodbus.server import ModbusTcpServer

from drivers.commands import modbus
from tests.oracle.modbus.test_modbus_wires import serve
from tests.support import cli_tools
from tests.support.bench_process import BenchThread
from tests.support.libmodbus import LibmodbusDevice
from tests.support.programs import free_port
from tests.support.repository import ROOT

COMMAND = [sys.executable, str(ROOT / "coldloop.py"), "modbus"]
UNIT = 7


def with_crc(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


@contextlib.contextmanager
def connect_ptys() -> Iterator[tuple[str, str]]:
    """Join two pseudo-terminals: the input of one is the output of the other."""
    ends = [pty.openpty() for _ in range(2)]
    for _, slave in ends:
        tty.setraw(slave)
    running = threading.Event()
    running.set()

    def transfer() -> None:
        masters = [master for master, _ in ends]
        while running.is_set():
            for ready in select.select(masters, [], [], 0.05)[0]:
                os.write(masters[1 - masters.index(ready)], os.read(ready, 4096))

    thread = threading.Thread(target=transfer)
    thread.start()
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        running.clear()
        thread.join(5)
        for end in ends:
            for descriptor in end:
                os.close(descriptor)


def read_record(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def exercise_device(port: str, unit: str, capsys: pytest.CaptureFixture[str], minimum: int) -> None:
    """Find the unit, read it, write one and two registers, and verify them."""
    assert modbus(["scan", port, "--units", unit, "--json"]) == 0
    (result,) = read_record(capsys)["devices"]
    assert (result["unit"], result["answer"]) == (int(unit), "a value")
    assert modbus(["read", port, unit, "0", "4", "--json"]) == 0
    assert read_record(capsys)["values"] == [minimum, minimum + 1, minimum + 2, minimum + 3]
    assert modbus(["write", port, unit, "1", "77", "--yes", "--json"]) == 0
    assert read_record(capsys)["verified"] is True
    arguments = ["--type", "f32", "--order", "CDAB", "--yes", "--json"]
    assert modbus(["write", port, unit, "2", "-1.5", *arguments]) == 0
    assert read_record(capsys)["readback"] == -1.5
    assert modbus(["read", port, unit, "1", "3", "--json"]) == 0
    assert read_record(capsys)["values"] == [77, 0x0000, 0xBFC0]
    assert modbus(["read", port, unit, "900"]) == 1
    assert "exception 2" in capsys.readouterr().err


def test_libmodbus_slave_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    # No absent unit is read here: libmodbus' slave takes the next frame for the reply of that unit.
    with connect_ptys() as (near, far):
        device = LibmodbusDevice("rtu", far, str(UNIT))
        try:
            exercise_device(f"{near}?baud=19200", str(UNIT), capsys, 1000)
        finally:
            device.stop()


@pytest.mark.parametrize("units", ["6-7", "5-8", "7-8"])
def test_scan_finds_libmodbus_slave_beside_silent_units(
    units: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect_ptys() as (near, far):
        device = LibmodbusDevice("rtu", far, str(UNIT))
        try:
            words = ("--units", units, "--functions", "3", "--no-identify", "--json")
            assert modbus(["scan", f"{near}?baud=19200", *words]) == 0
            assert [found["unit"] for found in read_record(capsys)["devices"]] == [UNIT]
        finally:
            device.stop()


def test_libmodbus_slave_on_tcp(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    device = LibmodbusDevice("tcp", str(port))
    try:
        exercise_device(f"tcp:127.0.0.1:{port}", "1", capsys, 1000)
    finally:
        device.stop()


def test_pymodbus_slave_on_tcp(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(ModbusTcpServer, FramerType.SOCKET, unit=1) as port:
        exercise_device(f"tcp:127.0.0.1:{port}", "1", capsys, 500)


def run_sniff(*chunks: tuple[float, bytes], options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Return the output of `sniff` for (pause in seconds, bytes) chunks."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    port = f"{os.ttyname(slave)}?baud=19200&parity=E"
    command = [*COMMAND, "sniff", port, "--seconds", "4", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        # The command sets the baud rate last, and discards earlier input.
        cli_tools.wait_until("it listens", lambda: termios.tcgetattr(slave)[5] == termios.B19200)
        for pause, data in chunks:
            time.sleep(pause)
            os.write(master, data)
        text, _ = process.communicate(timeout=cli_tools.TIMEOUT_S)
    finally:
        process.kill()
        os.close(master)
        os.close(slave)
    return process.returncode, text.splitlines()


def test_sniff_pairs_requests_and_replies() -> None:
    requested, reported = (
        with_crc(bytes([1, 3, 0, 0, 0, 2])),
        with_crc(bytes([1, 3, 4, 0, 10, 0, 20])),
    )
    code, lines = run_sniff(
        (0, requested),
        (0.02, reported),
        (0.1, with_crc(bytes([8, 4, 0, 0, 0, 1]))),
        (1.0, requested),
        (0.02, reported[:-1] + b"\x00"),
        (0.1, b"\xff\xee\xdd"),
        options=("--json", "--silent-ms", "600"),
    )
    events = [json.loads(line) for line in lines]
    kinds = [event["kind"] for event in events]
    assert code == 0
    assert kinds == ["request", "reply", "request", "silent", "request", "crc", "noise", "summary"]
    assert events[1]["text"] == "10 20"
    assert 0 < events[1]["wait_ms"] < 600  # less than 20 if the reader was late
    assert events[-1]["units"]["8"]["silent"] == 1
    assert events[-1]["units"]["1"]["crc"] == 1
    assert events[-1]["units"]["1"]["replies"] == 1


def test_sniff_reports_a_wrong_baud_rate() -> None:
    code, lines = run_sniff((0, bytes(range(40))))
    assert code == 1
    assert "no valid frame in" in lines[-2]
    assert lines[-1] == "hint: 40 bytes received: check baud rate and parity"


# On a terminal.


def run_on_terminal(*arguments: str, keys: bytes = b"", until: str = "") -> tuple[int, str]:
    """Return exit code and screen of a command on a terminal; types `keys` after `until`."""
    child, master = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [*COMMAND, *arguments])
    screen = b""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        screen += data
        if keys and until.encode() in screen:
            os.write(master, keys)
            keys = b""
    os.close(master)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), screen.decode()


@pytest.fixture(scope="module")
def bench() -> Iterator[BenchThread]:
    running = BenchThread()
    yield running
    running.stop()


def test_scan_shows_and_clears_its_progress(bench: BenchThread) -> None:
    arguments = ("--units", "19-20", "--functions", "3", "--no-identify")
    code, screen = run_on_terminal("scan", bench.ports["bus8"], *arguments)
    assert code == 0
    assert re.search(r"\rserial:\S+ 19200 8E1  function 3  unit 19, 2 left  found 0", screen)
    last = screen.replace("\r\n", "\n").split("\r")[-1]
    assert last.startswith("unit  settings")


def test_write_is_cancelled_by_no(bench: BenchThread) -> None:
    before = bench.call(lambda b: b.fleet.devices["belimo_valve"].writes)
    arguments = ("write", bench.ports["bus8"], "20", "0", "1234")
    code, screen = run_on_terminal(*arguments, keys=b"n\n", until="[y/N]")
    assert (code, "nothing written" in screen) == (1, True)
    assert bench.call(lambda b: b.fleet.devices["belimo_valve"].writes) == before
    code, screen = run_on_terminal(*arguments, keys=b"y\n", until="[y/N]")
    assert (code, "reads back: 1234, as written" in screen) == (0, True)


def test_poll_redraws_in_place(bench: BenchThread) -> None:
    arguments = ("--profile", "orv3_rpu", "--unit", "12", "--period-ms", "50", "--rounds", "3")
    code, screen = run_on_terminal("poll", bench.ports["bus8"], *arguments)
    assert code == 0
    assert screen.count("\x1b[2J") == 1
    assert screen.count("\x1b[H") == 4
    assert screen.count("SupplyTemperatureCelsius") == 3


def test_interrupt_ends_poll(bench: BenchThread) -> None:
    arguments = ("--profile", "orv3_rpu", "--unit", "12", "--period-ms", "50")
    code, screen = run_on_terminal(
        "poll", bench.ports["bus8"], *arguments, keys=b"\x03", until="round 3"
    )
    assert code == 0
    assert "Traceback" not in screen
