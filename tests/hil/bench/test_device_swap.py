# SPDX-License-Identifier: Apache-2.0
"""Replacing emulated devices by real ones: by option, during a run, and with errors."""

import asyncio
import os
import select
import socket
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator

import pytest
import serial
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS
from hil.errors import BenchError
from tests.support.bench_process import BenchProcess, BenchThread
from tests.support.cli_tools import TIMEOUT_S, wait_until
from tests.support.libmodbus import LibmodbusClient, LibmodbusDevice
from tests.support.modbus_master import with_crc
from tests.support.programs import free_port, wait_until_open
from tests.support.repository import ROOT

DRIVE2 = 32  # unit id of the second drive of the row


class Cable:
    """Two connected pseudo-terminals: bytes written to one end are read at the other."""

    def __init__(self) -> None:
        pairs = [os.openpty(), os.openpty()]
        for pair in pairs:
            tty.setraw(pair[1])
        self.ends = [os.ttyname(slave) for _, slave in pairs]
        self._descriptors = [fd for pair in pairs for fd in pair]
        self._stop = threading.Event()
        (a, _), (b, _) = pairs
        self._threads = [threading.Thread(target=self._pump, args=way) for way in ((a, b), (b, a))]
        for thread in self._threads:
            thread.start()

    def _pump(self, source: int, target: int) -> None:
        while not self._stop.is_set():
            if select.select([source], [], [], 0.05)[0]:
                os.write(target, os.read(source, 4096))

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for descriptor in self._descriptors:
            os.close(descriptor)


@pytest.fixture
def cable() -> Iterator[Cable]:
    new_cable = Cable()
    yield new_cable
    new_cable.close()


@pytest.fixture
def bench() -> Iterator[BenchThread]:
    bench_thread = BenchThread()
    yield bench_thread
    bench_thread.stop()


def is_unanswered(client: LibmodbusClient, unit: int) -> bool:
    """Return whether a request gets no reply within 0.3 s."""
    client.wait_at_most(0.3)
    try:
        client.read(unit, 0)
    except OSError as error:
        return "timed out" in str(error)
    finally:
        client.wait_at_most(TIMEOUT_S)
    return False


def test_real_device_by_option(cable: Cable) -> None:
    device = LibmodbusDevice("rtu", cable.ends[1], str(DRIVE2))
    with BenchProcess("--real", f"drive2=serial:{cable.ends[0]}") as process:
        client = LibmodbusClient(process.ports["bus"])
        assert client.read(DRIVE2, 3, 2) == [1003, 1004], "the real device answers"
        assert device.request() == with_crc(bytes((DRIVE2, 3, 0, 3, 0, 2)))
        client.write(DRIVE2, 5, 77)
        assert client.read(DRIVE2, 5) == [77]
        assert client.read(31, 0) == [0x047F], "the emulated devices continue"
        assert client.read(12, 37_888) == [1500]
        client.close()
    device.stop()


def test_swap_and_restore_while_running(bench: BenchThread, cable: Cable) -> None:
    name, unit = "belimo_valve", LINE_UNITS["belimo_valve"]
    device = LibmodbusDevice("rtu", cable.ends[1], str(unit))
    client = LibmodbusClient(bench.ports["bus8"])
    emulated = client.read(unit, 0, 5)
    bench.call(lambda b: b.device_swap.attach_real(name, f"serial:{cable.ends[0]}"))
    assert client.read(unit, 0, 3) == [1000, 1001, 1002]
    assert client.read(LINE_UNITS["orv3_rpu"], 37_888) == [1500]
    rows = {row["name"]: row for row in bench.call(lambda b: b.device_swap.devices())}
    assert rows[name]["real"] == f"serial:{cable.ends[0]}?baud=19200&parity=E"
    assert (rows[name]["up"], rows[name]["sent"], rows[name]["received"]) == (True, 8, 11)
    assert rows["orv3_rpu"] == {"name": "orv3_rpu", "port": "bus8", "unit": 12, "real": None}
    bench.call(lambda b: b.device_swap.restore_emulated(name))
    assert client.read(unit, 0, 1) == emulated[:1]
    device.stop()
    with serial.Serial(cable.ends[0], exclusive=True):
        pass  # the bench has released the port


def test_silent_real_device_is_not_replaced(bench: BenchThread, cable: Cable) -> None:
    client = LibmodbusClient(bench.ports["bus8"])
    unit = LINE_UNITS["belimo_valve"]
    bench.call(lambda b: b.device_swap.attach_real("belimo_valve", f"serial:{cable.ends[0]}"))
    assert is_unanswered(client, unit)
    assert len(client.read(LINE_UNITS["orv3_rpu"], 36_864, 26)) == 26


def test_invalid_replies_pass_unchanged(bench: BenchThread, cable: Cable) -> None:
    unit = LINE_UNITS["wilo_booster"]
    bench.call(lambda b: b.device_swap.attach_real("wilo_booster", f"serial:{cable.ends[0]}"))
    path = bench.ports["bus8"].removeprefix("serial:").partition("?")[0]
    request = with_crc(bytes((unit, 3, 0, 25, 0, 1)))
    invalid_reply = bytes(range(256)) + b"\x11\x13\x00\xff"
    with (
        serial.Serial(path, timeout=TIMEOUT_S) as master,
        serial.Serial(cable.ends[1], timeout=TIMEOUT_S) as real,
    ):
        master.write(request)
        assert real.read(len(request)) == request
        real.write(invalid_reply)
        assert master.read(len(invalid_reply)) == invalid_reply


def test_two_devices_on_one_real_port(bench: BenchThread, cable: Cable) -> None:
    one, two = LINE_UNITS["danfoss_fc"], LINE_UNITS["abb_acs580"]
    device = LibmodbusDevice("rtu", cable.ends[1], str(one))
    for name in ("danfoss_fc", "abb_acs580"):
        bench.call(lambda b, name=name: b.device_swap.attach_real(name, f"serial:{cable.ends[0]}"))
    client = LibmodbusClient(bench.ports["bus8"])
    assert client.read(one, 0) == [1000]
    assert is_unanswered(client, two)
    bench.call(lambda b: b.device_swap.restore_emulated("danfoss_fc"))
    bench.call(lambda b: b.device_swap.restore_emulated("abb_acs580"))
    assert client.read(two, 0) == [0x047F]
    device.stop()


def test_modbus_tcp_device(bench: BenchThread) -> None:
    port = free_port()
    device = LibmodbusDevice("tcp", str(port))
    bench.call(lambda b: b.device_swap.attach_real("abb_meter", f"tcp:127.0.0.1:{port}"))
    client = LibmodbusClient(bench.ports["modbus_tcp"])
    assert client.read(TCP_UNITS["abb_meter"], 2, 3) == [1002, 1003, 1004]
    assert device.request()[2:] == bytes((0, 0, 0, 6, TCP_UNITS["abb_meter"], 3, 0, 2, 0, 3))
    assert client.read(TCP_UNITS["sunspec_203"], 40_000, 1) == [0x5375]
    client.close()
    device.stop()


def test_rtu_over_tcp_device_server(bench: BenchThread) -> None:
    unit = LINE_UNITS["eastron_sdm630"]
    request, reply = (
        with_crc(bytes((unit, 4, 0, 0, 0, 1))),
        with_crc(bytes((unit, 4, 2, 0x12, 0x34))),
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        port = listener.getsockname()[1]
        bench.call(lambda b: b.device_swap.attach_real("eastron_sdm630", f"tcp:127.0.0.1:{port}"))
        peer, _ = listener.accept()
    path = bench.ports["bus8"].removeprefix("serial:").partition("?")[0]
    with peer, serial.Serial(path, timeout=TIMEOUT_S) as master:
        peer.settimeout(TIMEOUT_S)
        master.write(request)
        assert peer.recv(100) == request
        for i in range(len(reply)):
            peer.send(reply[i : i + 1])
        assert master.read(len(reply)) == reply


def test_pymodbus_server_as_real_device(bench: BenchThread) -> None:
    port, unit = free_port(), TCP_UNITS["liebert_dcd"]
    started, loops = threading.Event(), []

    async def serve() -> None:
        data = SimData(0, count=20, values=4321, datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(unit, simdata=[data]), address=("127.0.0.1", port))
        loops.append((asyncio.get_running_loop(), server))
        started.set()
        await server.serve_forever()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(TIMEOUT_S)
    wait_until_open(port)
    bench.call(lambda b: b.device_swap.attach_real("liebert_dcd", f"tcp:127.0.0.1:{port}"))
    client = LibmodbusClient(bench.ports["modbus_tcp"])
    assert client.read(unit, 0, 2) == [4321, 4321]
    client.close()
    loop, server = loops[0]
    asyncio.run_coroutine_threadsafe(server.shutdown(), loop).result(5)
    thread.join(5)


def test_lost_connection_is_detected_and_restored(bench: BenchThread) -> None:
    port, unit = free_port(), TCP_UNITS["abb_meter"]
    device = LibmodbusDevice("tcp", str(port))
    bench.call(lambda b: b.device_swap.attach_real("abb_meter", f"tcp:127.0.0.1:{port}"))
    client = LibmodbusClient(bench.ports["modbus_tcp"])
    assert client.read(unit, 0) == [1000]
    device.stop()
    assert is_unanswered(client, unit)
    rows = {row["name"]: row for row in bench.call(lambda b: b.device_swap.devices())}
    assert rows["abb_meter"]["up"] is False
    assert client.read(TCP_UNITS["sunspec_203"], 40_000) == [0x5375]
    device = LibmodbusDevice("tcp", str(port))
    wait_until("the device is found again", lambda: not is_unanswered(client, unit))
    assert client.read(unit, 0) == [1000]
    device.stop()


def bench_error(*real_devices: str) -> str:
    """Return the error line of a command that exits with 2."""
    options = [argument for text in real_devices for argument in ("--real", text)]
    process = subprocess.run(
        [sys.executable, str(ROOT / "coldloop.py"), "bench", "--no-agent", *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.returncode == 2
    assert process.stdout == ""
    return process.stderr.strip()


def test_wrong_names_and_ports_print_one_line(cable: Cable) -> None:
    assert bench_error("drive9=serial:/dev/ttyUSB0") == (
        "coldloop bench: no device 'drive9' on this bench; there are rpu, valve, drive1, drive2"
    )
    assert bench_error("drive2=serial:/dev/not-there") == (
        "coldloop bench: drive2=serial:/dev/not-there: serial:/dev/not-there: no such port"
    )
    with serial.Serial(cable.ends[0], exclusive=True):
        text = bench_error(f"drive2=serial:{cable.ends[0]}")
    assert text.endswith("the port is busy: another program has it open")
    assert "\n" not in text
    assert bench_error("drive2=serial:/dev/null").endswith("not a serial port")
    assert "nothing listens there" in bench_error(f"drive2=tcp:127.0.0.1:{free_port()}")
    assert "which takes serial: or tcp:" in bench_error("drive2=store:/tmp")
    assert "begins with none of" in bench_error("drive2=/dev/ttyUSB0")
    assert "NAME=PORT" in bench_error("drive2")


def test_failed_swap_changes_nothing(bench: BenchThread) -> None:
    with pytest.raises(BenchError, match="no such port"):
        bench.call(lambda b: b.device_swap.attach_real("orv3_rpu", "serial:/dev/not-there"))
    with pytest.raises(BenchError, match="no device 'x'"):
        bench.call(lambda b: b.device_swap.restore_emulated("x"))
    with pytest.raises(BenchError, match="is on modbus_tcp, which takes tcp:"):
        bench.call(lambda b: b.device_swap.attach_real("abb_meter", "serial:/dev/not-there"))
    client = LibmodbusClient(bench.ports["bus8"])
    assert client.read(LINE_UNITS["orv3_rpu"], 37_888) == [1500]


def test_a_port_that_cannot_be_configured_is_one_error(
    bench: BenchThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`termios.error` is no OSError: a port that vanishes while it is opened raises it."""

    def vanish(_address: object) -> None:
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr("hil.io.real_link._open_serial", vanish)
    with pytest.raises(BenchError, match="the other end of the port is closed"):
        bench.call(lambda b: b.device_swap.attach_real("drive2", "serial:/dev/ttyS0"))
    assert bench.call(lambda b: b.device_swap.devices())[3]["real"] is None
