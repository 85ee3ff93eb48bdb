# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus serve`: every shipped profile, read by our tools and by other masters."""

import contextlib
import functools
import json
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.client.base import ModbusBaseSyncClient

from drivers.commands import modbus
from drivers.device.device import ModbusDevice
from drivers.device.number_types import ORDERS
from drivers.device.profile import DeviceProfile
from drivers.tools.lib.arguments import profile_names, raw_profile
from hil.devices.modbus.profile_server import ProfileServer
from hil.tools.modbus_serve import CLIENTS
from tests.oracle.modbus.test_modbus_command import connect_ptys
from tests.support.cli_tools import TIMEOUT_S, running_command
from tests.support.libmodbus import LibmodbusClient
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT


@contextlib.contextmanager
def serve(profile: str, *words: str) -> Iterator[str]:
    """Run the command; yield the address of its server."""
    port = free_port()
    address = f"tcp:127.0.0.1:{port}"
    command = [sys.executable, str(ROOT / "coldloop.py"), "modbus", "serve", profile, address]
    process = subprocess.Popen([*command, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        wait_until_open(port)
        yield address
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("name", profile_names())
def test_tables_of_every_profile(name: str) -> None:
    """Every entry of every shipped profile has its registers, and its identity is complete."""
    server = ProfileServer(raw_profile(name), 5)
    assert server.names
    for function, address, count in server.names.values():
        if function in (1, 2):
            assert server.read_bits(address, count, function == 1) == [False] or server.read_bits(
                address, count, function == 1
            ) == [True]
        else:
            assert isinstance(server.read(address, count, function), list)


@pytest.mark.parametrize("name", ["belimo_valve", "abb_acs580", "sunspec_203", "orv3_rpu"])
def test_poll_identifies_and_reads_all(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(name, "--unit", "7") as address:
        words = ("--profile", name, "--unit", "7", "--rounds", "2", "--period-ms", "50", "--json")
        assert modbus(["poll", address, *words]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["identity"] != "mismatch"
    assert last["faults"] == []


def points_of_all_formats() -> list[dict[str, Any]]:
    """Return a point of each type, byte order and sign whose range leaves 0 out."""
    found: list[dict[str, Any]] = [
        {"type": "u16", "field": [4, 3], "min": 5, "max": 6},
        {"type": "u16", "none": [0, 1], "min": 0, "max": 9},
        {"type": "split", "weights": [10_000, 1], "min": 70_000, "max": 99_999},
        {"type": "split", "weights": [1, 10_000], "bcd": True, "min": 70_000, "max": 99_999},
    ]
    registers = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "f64": 4}
    for data_type, count in [*registers.items(), ("bcd", 1), ("bcd", 2), ("bcd", 4)]:
        for order in ORDERS[count]:
            for low in (20, 70_000 if count > 1 else 7_000, -90):
                if low < 0 and data_type[0] not in "if":
                    continue
                point = {"type": data_type, "order": order, "min": low, "max": low + 60}
                more: dict[str, dict[str, Any]] = {
                    "bcd": {"registers": count},
                    "f": {"step": [1, 100]},
                }
                found.append(
                    point | more.get(data_type, {}) | more.get(data_type.rstrip("3264"), {})
                )
    return [{**point, "name": "Value", "address": 65_532, "unit": "1"} for point in found]


@pytest.mark.parametrize(
    "point", points_of_all_formats(), ids=lambda point: "{type}".format(**point)
)
def test_the_value_at_the_start_is_within_its_range(point: dict[str, Any]) -> None:
    """In each number format and byte order, at the last addresses."""
    raw = {"model": "m", "title": "t", "source": "s", "met_hardware": False, "points": [point]}
    server, device = ProfileServer(raw, 1), ModbusDevice("m", 1, DeviceProfile(raw))
    for request, tag in device.poll_requests():
        address, count = struct.unpack(">HH", request[1:5])
        words = server.read(address, count, request[0])
        assert isinstance(words, list)
        device.store_block(tag, tuple(words), 1)
    assert device.readings[0].quality == "good"
    assert point["min"] <= device.readings[0].raw <= point["max"]


def test_a_profile_with_an_error_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"model": 1}', encoding="utf-8")
    words = ["serve", str(path), f"tcp:127.0.0.1:{free_port()}", "--seconds", "1"]
    assert modbus(words) == 2
    assert "model is not a text; see `profile check`" in capsys.readouterr().err


def test_write_and_mbpoll(capsys: pytest.CaptureFixture[str]) -> None:
    mbpoll = require_program("mbpoll")
    with serve("belimo_valve", "--unit", "20", "--value", "ValvePositionPercent=4321") as address:
        point = "ValvePositionControlPercent"
        words = ("--profile", "belimo_valve", "--yes", "--json")
        modbus(["write", address, "20", point, "40", *words])
        assert json.loads(capsys.readouterr().out)["written"] == 40.0
        assert modbus(["write", address, "20", point, "400", *words]) == 2
        port = address.rpartition(":")[2]
        command = [mbpoll, "-1", "-0", "-a", "20", "-t", "4", "-p", port, "-r"]
        for register, shown in (("0", "4000"), ("4", "4321")):
            text = subprocess.run(
                [*command, register, "-c", "1", "127.0.0.1"],
                check=True,
                capture_output=True,
                text=True,
                timeout=30,
            ).stdout
            assert f"[{register}]: \t{shown}" in text
    assert modbus(["serve", "nothing", "tcp:127.0.0.1:1"]) == 2
    assert modbus(["serve", "belimo_valve", address, "--value", "x=1"]) == 2
    for value in ("ValvePositionPercent=1,2,3", "ValvePositionPercent=65536"):
        assert modbus(["serve", "belimo_valve", address, "--value", value]) == 2


def test_silent_connections_push_no_master_out() -> None:
    """More connections than places: the master that asks again and again keeps its own."""
    ask = bytes((0, 1, 0, 0, 0, 6, 20, 3, 0, 0, 0, 1))
    with serve("belimo_valve", "--unit", "20") as address, contextlib.ExitStack() as stack:
        port = int(address.rpartition(":")[2])

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))

        def exchange(master: socket.socket) -> bytes:
            master.sendall(ask)
            return master.recv(64)

        master = connect()
        for _ in range(8):
            silent = [connect() for _ in range(CLIENTS // 2)]
            assert exchange(master)[:2] == ask[:2]
            assert exchange(silent[-1])[:2] == ask[:2]


@contextlib.contextmanager
def serve_on_a_line(profile: str, *words: str) -> Iterator[str]:
    """Run the command on a serial line; yield the path of the other end."""
    with connect_ptys() as (near, far):
        port = f"serial:{near}?baud=19200&parity=E"
        with running_command("modbus", "serve", profile, port, *words, stdout=-1) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("serves unit")
            yield far


def mbpoll_values(target: list[str], register: int, *written: int) -> list[int]:
    """Write with mbpoll, or read one register."""
    base = [require_program("mbpoll"), "-1", "-0", "-a", "20", "-t", "4", "-r", str(register)]
    command = [*base, *(("-c", "1") if not written else ()), *target]
    command += ["--", *map(str, written)] if written else []
    text = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S
    ).stdout
    return [int(value) for value in re.findall(r"\[\d+\]: \t(\d+)", text)]


def check_pymodbus(client: ModbusBaseSyncClient) -> None:
    """Values, functions 3, 6, 16, 22 and 23, and exception 2."""
    assert client.connect()
    try:
        ask = functools.partial(client.read_holding_registers, count=1, device_id=20)
        assert ask(4).registers == [4321]
        assert not client.write_register(0, 3000, device_id=20).isError()
        assert ask(0).registers == [3000]
        assert not client.write_registers(0, [3100], device_id=20).isError()
        masked = client.mask_write_register(
            address=0, and_mask=0xFFF0, or_mask=0x0003, device_id=20
        )
        assert not masked.isError()
        assert ask(0).registers == [3100 & 0xFFF0 | 3]
        both = client.readwrite_registers(
            read_address=0, read_count=1, write_address=0, values=[3200], device_id=20
        )
        assert both.registers == [3200]
        assert ask(60_000).exception_code == 2
    finally:
        client.close()  # type: ignore[no-untyped-call]


def check_libmodbus(address: str) -> None:
    """The client of libmodbus: values, functions 3, 6 and 16, and exception 2."""
    client = LibmodbusClient(address)
    try:
        assert client.read(20, 4) == [4321]
        client.write(20, 0, 2900)
        assert client.read(20, 0) == [2900]
        client.write(20, 0, 2800)
        with pytest.raises(OSError, match="Illegal data address"):
            client.read(20, 60_000)
    finally:
        client.close()


def test_foreign_masters_on_tcp() -> None:
    with serve("belimo_valve", "--unit", "20", "--value", "ValvePositionPercent=4321") as address:
        port = address.rpartition(":")[2]
        check_pymodbus(ModbusTcpClient("127.0.0.1", port=int(port), timeout=TIMEOUT_S))
        check_libmodbus(address)
        assert mbpoll_values(["-p", port, "127.0.0.1"], 0, 2700) == []
        assert mbpoll_values(["-p", port, "127.0.0.1"], 0) == [2700]


def test_foreign_masters_on_a_line() -> None:
    words = ("--unit", "20", "--value", "ValvePositionPercent=4321")
    with serve_on_a_line("belimo_valve", *words) as path:
        client = ModbusSerialClient(path, baudrate=19_200, parity="N", timeout=TIMEOUT_S)
        check_pymodbus(client)
        check_libmodbus(f"serial:{path}")
        line = ["-m", "rtu", "-b", "19200", "-P", "none", "-o", "10", path]
        assert mbpoll_values(line, 0, 2600) == []
        assert mbpoll_values(line, 0) == [2600]


@pytest.mark.parametrize(
    ("entry", "good", "bad"),
    [
        ({"type": "u16", "field": [4, 4], "limits": [1, 9]}, [[0x90], [0xFF8F]], [[0xA0], [0]]),
        ({"type": "i16", "limits": [-5, 5]}, [[0xFFFB], [5]], [[6], [0xFFFA]]),
        ({"type": "u32", "order": "CDAB", "limits": [0, 70000]}, [[4464, 1]], [[4465, 1]]),
        ({"type": "i64", "limits": [-1, 1]}, [[0xFFFF] * 4, [0, 0, 0, 1]], [[0, 0, 0, 2]]),
        ({"type": "bcd", "registers": 1, "limits": [0, 99]}, [[0x0099]], [[0x0100], [0x000A]]),
        ({"type": "f32", "step": [1, 10], "limits": [0, 99]}, [[0x411E, 0]], [[0x7FC0, 0]]),
        ({"type": "f32", "step": [1, 10], "limits": [0, 99]}, [[0x411E, 0]], [[0x4120, 0]]),
    ],
)  # fmt: skip
def test_limits_of_every_type(
    entry: dict[str, Any], good: list[list[int]], bad: list[list[int]]
) -> None:
    """A limit is that of the number, not of its words; the other bits of a field are free."""
    point = {"name": "A", "address": 0, "write": True, **entry}
    server = ProfileServer({"model": "m", "points": [point]}, 1)
    for words in good:
        assert server.write(0, words, 0) == 0
    before = dict(server.registers)
    for words in bad:
        assert server.write(0, words, 0) == 3
    assert server.registers == before


@pytest.mark.parametrize("value", ["Wide=1", "Text=1", "Text=1,2,3"])
def test_a_value_needs_all_words_of_its_entry(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "words.json"
    file.write_text(json.dumps({
        "model": "words", "title": "t", "source": "s", "met_hardware": False,
        "points": [{"name": "Wide", "address": 0, "type": "u32"}],
        "bits": [{"name": "B", "address": 2, "bit": 3}],
        "texts": [{"name": "Text", "address": 3, "registers": 2}],
    }))  # fmt: skip
    words = ["serve", str(file), f"tcp:127.0.0.1:{free_port()}", "--seconds", "1"]
    assert modbus([*words, "--value", value]) == 2
    assert f"--value {value!r}: " in capsys.readouterr().err
