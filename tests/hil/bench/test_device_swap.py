"""Real devices in the place of emulated ones: by option, while running, when that goes wrong."""

import asyncio
import os
import select
import socket
import subprocess
import sys
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
from tests.support.cli_tools import PATIENCE_S, until
from tests.support.libmodbus import Client, Device
from tests.support.modbus_master import crc
from tests.support.peers import free_port, wait_until_open
from tests.support.repository import ROOT

DRIVE2 = 32  # the unit of the row's second drive


class Cable:
    """Two pseudo-terminals joined back to back: what is written to one end is read at the other."""

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
    joined = Cable()
    yield joined
    joined.close()


@pytest.fixture
def bench() -> Iterator[BenchThread]:
    running = BenchThread()
    yield running
    running.stop()


def unanswered(client: Client, unit: int) -> bool:
    """Say whether nobody answers a request; what comes later than 0.3 s is no answer."""
    client.wait_at_most(0.3)
    try:
        client.read(unit, 0)
    except OSError as error:
        return "timed out" in str(error)
    finally:
        client.wait_at_most(PATIENCE_S)
    return False


def test_a_real_device_by_option(cable: Cable) -> None:
    device = Device("rtu", cable.ends[1], str(DRIVE2))
    with BenchProcess("--real", f"drive2=serial:{cable.ends[0]}") as running:
        client = Client(running.ports["bus"])
        assert client.read(DRIVE2, 3, 2) == [1003, 1004], "the real one answers"
        assert device.request() == crc(bytes((DRIVE2, 3, 0, 3, 0, 2)))
        client.write(DRIVE2, 5, 77)
        assert client.read(DRIVE2, 5) == [77]
        assert client.read(31, 0) == [0x047F], "the emulated rest goes on"
        assert client.read(12, 37_888) == [1500]
        client.close()
    device.stop()


def test_swap_and_restore_while_running(bench: BenchThread, cable: Cable) -> None:
    name, unit = "belimo_valve", LINE_UNITS["belimo_valve"]
    device = Device("rtu", cable.ends[1], str(unit))
    client = Client(bench.ports["bus8"])
    emulated = client.read(unit, 0, 5)
    bench.do(lambda b: b.swaps.swap(name, f"serial:{cable.ends[0]}"))
    assert client.read(unit, 0, 3) == [1000, 1001, 1002]
    assert client.read(LINE_UNITS["orv3_rpu"], 37_888) == [1500]
    rows = {row["name"]: row for row in bench.do(lambda b: b.swaps.devices())}
    assert rows[name]["real"] == f"serial:{cable.ends[0]}?baud=19200&parity=E"
    assert (rows[name]["up"], rows[name]["sent"], rows[name]["received"]) == (True, 8, 11)
    assert rows["orv3_rpu"] == {"name": "orv3_rpu", "port": "bus8", "unit": 12, "real": None}
    bench.do(lambda b: b.swaps.restore(name))
    assert client.read(unit, 0, 1) == emulated[:1]
    device.stop()
    with serial.Serial(cable.ends[0], exclusive=True):
        pass  # it was let go


def test_a_real_device_that_says_nothing_is_not_replaced(bench: BenchThread, cable: Cable) -> None:
    client = Client(bench.ports["bus8"])
    unit = LINE_UNITS["belimo_valve"]
    bench.do(lambda b: b.swaps.swap("belimo_valve", f"serial:{cable.ends[0]}"))
    assert unanswered(client, unit)
    assert len(client.read(LINE_UNITS["orv3_rpu"], 36_864, 26)) == 26


def test_replies_pass_byte_for_byte_even_wrong_ones(bench: BenchThread, cable: Cable) -> None:
    unit = LINE_UNITS["wilo_booster"]
    bench.do(lambda b: b.swaps.swap("wilo_booster", f"serial:{cable.ends[0]}"))
    path = bench.ports["bus8"].removeprefix("serial:").partition("?")[0]
    asked = crc(bytes((unit, 3, 0, 25, 0, 1)))
    strange = bytes(range(256)) + b"\x11\x13\x00\xff"
    with (
        serial.Serial(path, timeout=PATIENCE_S) as master,
        serial.Serial(cable.ends[1], timeout=PATIENCE_S) as real,
    ):
        master.write(asked)
        assert real.read(len(asked)) == asked
        real.write(strange)
        assert master.read(len(strange)) == strange


def test_two_devices_on_one_real_port(bench: BenchThread, cable: Cable) -> None:
    one, two = LINE_UNITS["danfoss_fc"], LINE_UNITS["abb_acs580"]
    device = Device("rtu", cable.ends[1], str(one))
    for name in ("danfoss_fc", "abb_acs580"):
        bench.do(lambda b, name=name: b.swaps.swap(name, f"serial:{cable.ends[0]}"))
    client = Client(bench.ports["bus8"])
    assert client.read(one, 0) == [1000]
    assert unanswered(client, two)
    bench.do(lambda b: b.swaps.restore("danfoss_fc"))
    bench.do(lambda b: b.swaps.restore("abb_acs580"))
    assert client.read(two, 0) == [0x047F]
    device.stop()


def test_modbus_tcp_device(bench: BenchThread) -> None:
    port = free_port()
    device = Device("tcp", str(port))
    bench.do(lambda b: b.swaps.swap("abb_meter", f"tcp:127.0.0.1:{port}"))
    client = Client(bench.ports["modbus_tcp"])
    assert client.read(TCP_UNITS["abb_meter"], 2, 3) == [1002, 1003, 1004]
    assert device.request()[2:] == bytes((0, 0, 0, 6, TCP_UNITS["abb_meter"], 3, 0, 2, 0, 3))
    assert client.read(TCP_UNITS["sunspec_203"], 40_000, 1) == [0x5375]
    client.close()
    device.stop()


def test_rtu_over_tcp_as_a_serial_device_server_has_it(bench: BenchThread) -> None:
    unit = LINE_UNITS["eastron_sdm630"]
    asked, reply = crc(bytes((unit, 4, 0, 0, 0, 1))), crc(bytes((unit, 4, 2, 0x12, 0x34)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        port = listener.getsockname()[1]
        bench.do(lambda b: b.swaps.swap("eastron_sdm630", f"tcp:127.0.0.1:{port}"))
        peer, _ = listener.accept()
    path = bench.ports["bus8"].removeprefix("serial:").partition("?")[0]
    with peer, serial.Serial(path, timeout=PATIENCE_S) as master:
        peer.settimeout(PATIENCE_S)
        master.write(asked)
        assert peer.recv(100) == asked
        for i in range(len(reply)):
            peer.send(reply[i : i + 1])
        assert master.read(len(reply)) == reply


def test_pymodbus_server_as_the_real_device(bench: BenchThread) -> None:
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
    assert started.wait(PATIENCE_S)
    wait_until_open(port)
    bench.do(lambda b: b.swaps.swap("liebert_dcd", f"tcp:127.0.0.1:{port}"))
    client = Client(bench.ports["modbus_tcp"])
    assert client.read(unit, 0, 2) == [4321, 4321]
    client.close()
    loop, server = loops[0]
    asyncio.run_coroutine_threadsafe(server.shutdown(), loop).result(5)
    thread.join(5)


def test_an_unplugged_port_is_seen_and_found_again(bench: BenchThread) -> None:
    port, unit = free_port(), TCP_UNITS["abb_meter"]
    device = Device("tcp", str(port))
    bench.do(lambda b: b.swaps.swap("abb_meter", f"tcp:127.0.0.1:{port}"))
    client = Client(bench.ports["modbus_tcp"])
    assert client.read(unit, 0) == [1000]
    device.stop()
    assert unanswered(client, unit)
    rows = {row["name"]: row for row in bench.do(lambda b: b.swaps.devices())}
    assert rows["abb_meter"]["up"] is False
    assert client.read(TCP_UNITS["sunspec_203"], 40_000) == [0x5375]
    device = Device("tcp", str(port))
    until("it is found again", lambda: not unanswered(client, unit))
    assert client.read(unit, 0) == [1000]
    device.stop()


def bench_error(*real: str) -> str:
    """What the command says before it ends with 2."""
    options = [word for text in real for word in ("--real", text)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "coldloop.py"), "bench", "--no-agent", *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr.strip()


def test_wrong_names_and_ports_are_one_clear_line(cable: Cable) -> None:
    assert bench_error("drive9=serial:/dev/ttyUSB0") == (
        "coldloop bench: no device 'drive9' on this bench: one of rpu, valve, drive1, drive2"
    )
    assert bench_error("drive2=serial:/dev/not-there") == (
        "coldloop bench: drive2=serial:/dev/not-there: serial:/dev/not-there: there is no such port"
    )
    with serial.Serial(cable.ends[0], exclusive=True):
        text = bench_error(f"drive2=serial:{cable.ends[0]}")
    assert text.endswith("the port is busy: another program has it open")
    assert "\n" not in text
    assert bench_error("drive2=serial:/dev/null").endswith("this is not a serial port")
    assert "nothing listens there" in bench_error(f"drive2=tcp:127.0.0.1:{free_port()}")
    assert "which takes serial: or tcp:" in bench_error("drive2=store:/tmp")
    assert "begins with none of" in bench_error("drive2=/dev/ttyUSB0")
    assert "NAME=PORT" in bench_error("drive2")


def test_a_failed_swap_changes_nothing(bench: BenchThread) -> None:
    with pytest.raises(BenchError, match="no such port"):
        bench.do(lambda b: b.swaps.swap("orv3_rpu", "serial:/dev/not-there"))
    with pytest.raises(BenchError, match="no device 'x'"):
        bench.do(lambda b: b.swaps.restore("x"))
    with pytest.raises(BenchError, match="is on modbus_tcp, which takes tcp:"):
        bench.do(lambda b: b.swaps.swap("abb_meter", "serial:/dev/not-there"))
    client = Client(bench.ports["bus8"])
    assert client.read(LINE_UNITS["orv3_rpu"], 37_888) == [1500]
