# SPDX-License-Identifier: Apache-2.0
"""Independent masters with the emulated devices: mbpoll and libmodbus, over pty and TCP."""

import struct
import subprocess
from collections.abc import Iterator

import pytest

from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS
from tests.support.bench_process import BenchProcess, BenchThread
from tests.support.cli_tools import TIMEOUT_S
from tests.support.libmodbus import LibmodbusClient
from tests.support.programs import require_program


@pytest.fixture(scope="module")
def bench() -> Iterator[BenchThread]:
    running = BenchThread()
    yield running
    running.stop()


@pytest.fixture
def line(bench: BenchThread) -> Iterator[LibmodbusClient]:
    client = LibmodbusClient(bench.ports["bus8"])
    yield client
    client.close()


@pytest.fixture
def host(bench: BenchThread) -> Iterator[LibmodbusClient]:
    client = LibmodbusClient(bench.ports["modbus_tcp"])
    yield client
    client.close()


def mbpoll(bench: BenchThread, port: str, unit: int, address: int, *options: str) -> list[str]:
    """Return the values that mbpoll prints; it counts addresses from 1 without `-0`."""
    kind, _, rest = bench.ports[port].partition(":")
    if kind == "serial":
        place = ["-m", "rtu", "-b", "19200", "-P", "even", rest.partition("?")[0]]
    else:
        address_of_host, _, number = rest.rpartition(":")
        place = ["-m", "tcp", "-p", number, address_of_host]
    command = [
        require_program("mbpoll"),
        "-0",
        "-1",
        "-o",
        "10",
        "-a",
        str(unit),
        "-r",
        str(address),
    ]
    command += [*options, *place]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    rows = [row for row in completed.stdout.splitlines() if row.startswith("[")]
    return [row.partition(":")[2].split()[0] for row in rows]


def test_libmodbus_reads_every_device_of_the_line(line: LibmodbusClient) -> None:
    requested = {
        "orv3_rpu": (36_864, 26, 3),
        "belimo_valve": (0, 80, 3),
        "abb_acs580": (0, 6, 3),
        "danfoss_fc": (50_199, 1, 3),
        "grundfos_cim": (200, 20, 4),
        "wilo_booster": (24, 3, 3),
        "eastron_sdm630": (0, 44, 4),
        "schneider_iem3000": (0x0BB7, 6, 3),
    }
    assert requested.keys() == LINE_UNITS.keys()
    for name, (address, count, function) in requested.items():
        assert len(line.read(LINE_UNITS[name], address, count, function)) == count, name


def test_libmodbus_reads_every_device_of_the_host(host: LibmodbusClient) -> None:
    requested = {
        "kenmec_ls80a": (2_000, 100, 3),
        "liebert_dcd": (110, 54, 4),
        "sunspec_203": (40_000, 2, 3),
        "abb_meter": (0x5B00, 20, 3),
    }
    assert requested.keys() == TCP_UNITS.keys()
    for name, (address, count, function) in requested.items():
        assert len(host.read(TCP_UNITS[name], address, count, function)) == count, name


def test_libmodbus_uses_every_function(line: LibmodbusClient, host: LibmodbusClient) -> None:
    drive = LINE_UNITS["abb_acs580"]
    line.write(drive, 1, 12_000)
    assert line.read(drive, 1) == [12_000]
    line.write(drive, 0, 0x047E, 11_000)
    assert line.read(drive, 0, 2) == [0x047E, 11_000]
    line.write_bit(drive, 0, True)
    assert line.read(drive, 0, 16, 1) == [0x047F >> i & 1 for i in range(16)]
    assert line.read(drive, 9, 1, 2) == [1]
    line.mask_write(drive, 1, 0xFF00, 0x0011)
    assert line.read(drive, 1) == [11_000 & 0xFF00 | 0x11]
    assert line.write_and_read(drive, 1, 10_000, 0, 2) == [0x047F, 10_000]
    host.write(TCP_UNITS["kenmec_ls80a"], 5_000, 280)
    assert host.read(TCP_UNITS["kenmec_ls80a"], 5_000) == [280]
    assert host.read(TCP_UNITS["kenmec_ls80a"], 11_108, 2, 2) == [1, 1]


def test_libmodbus_reports_exceptions_and_timeouts(
    bench: BenchThread, line: LibmodbusClient
) -> None:
    with pytest.raises(OSError, match="Illegal data address"):
        line.read(LINE_UNITS["orv3_rpu"], 36_890)
    with pytest.raises(OSError, match="Illegal function"):
        line.read(LINE_UNITS["orv3_rpu"], 0, 1, 1)
    valve = bench.bench.fleet.devices["belimo_valve"]
    bench.call(lambda _: setattr(valve, "busy", 1))
    with pytest.raises(OSError, match="busy"):
        line.read(LINE_UNITS["belimo_valve"], 0)
    bench.call(lambda _: valve.reboot(bench.bench.shell.now()))
    line.wait_at_most(1.0)
    with pytest.raises(OSError, match="timed out"):
        line.read(LINE_UNITS["belimo_valve"], 0)


def test_mbpoll_over_the_line_and_tcp(bench: BenchThread) -> None:
    sdm = LINE_UNITS["eastron_sdm630"]
    (volts,) = mbpoll(bench, "bus8", sdm, 0, "-t", "3:float", "-B", "-c", "1")
    assert float(volts) == pytest.approx(230.0, abs=3)
    (cabinet,) = mbpoll(bench, "modbus_tcp", TCP_UNITS["liebert_dcd"], 110, "-t", "3:float")
    assert float(cabinet) == pytest.approx(27.0, abs=4)
    assert mbpoll(bench, "bus8", LINE_UNITS["orv3_rpu"], 37_888, "-t", "4") == ["1500"]
    sun = mbpoll(bench, "modbus_tcp", TCP_UNITS["sunspec_203"], 40_000, "-t", "4:hex", "-c", "2")
    assert b"".join(struct.pack(">H", int(word, 16)) for word in sun) == b"SunS"


def test_bench_command_lists_the_fleet() -> None:
    with BenchProcess("--fleet") as running:
        assert {"receiver", "bus", "broker", "bus8", "modbus_tcp"} <= set(running.ports)
        client = LibmodbusClient(running.ports["bus8"])
        result = []
        for unit in (*LINE_UNITS.values(), 99):
            client.wait_at_most(1.0 if unit == 99 else TIMEOUT_S)
            try:
                client.read(unit, 0)
            except OSError as error:
                if "timed out" in str(error):
                    continue
            result.append(unit)
        assert result == list(LINE_UNITS.values())
        client.close()
