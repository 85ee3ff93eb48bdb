# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus` against the unit-test-server of libmodbus, on TCP and on a line.

Debian's libmodbus-dev has its source. The server misbehaves at some addresses: a false count, a
false transaction number or unit, a reply after 0.5 s, a reply byte by byte.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.commands import modbus
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from protocols.modbus import pdu
from tests.oracle.modbus.test_modbus_command import connect_ptys
from tests.support.programs import free_port, require_program

SOURCE = Path("/usr/share/doc/libmodbus-dev/examples")
UNIT, ANY_UNIT = 17, 255
REGISTERS, INPUT_REGISTERS, BITS = 0x160, 0x108, 0x130
BUSY, FALSE_NUMBER, SLEEPS, BYTE_BY_BYTE = 0x170, 0x171, 0x172, 0x173
VALUE = 0x022B


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server; its TCP port is the third argument instead of 1502."""
    gcc = require_program("gcc")
    if not (SOURCE / "unit-test-server.c").exists():
        pytest.skip("this system leaves out the examples of libmodbus-dev")
    folder = tmp_path_factory.mktemp("libmodbus")
    text = (SOURCE / "unit-test-server.c").read_text(encoding="utf-8")
    assert text.count("1502)") == 1
    text = text.replace("1502)", "atoi(argv[3]))")
    (folder / "server.c").write_text(text, encoding="utf-8")
    command = [gcc, "-w", f"-I{SOURCE}", "-I/usr/include/modbus", "-o", str(folder / "server")]
    subprocess.run([*command, str(folder / "server.c"), "-lmodbus"], check=True, timeout=60)
    return folder / "server"


@contextlib.contextmanager
def serve(program: Path, kind: str) -> Iterator[str]:
    """Run the server for one connection; yield the address of the port."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        if kind == "tcp":
            arguments = ["tcp", "127.0.0.1", str(port)]
            address = f"tcp:127.0.0.1:{port}"
        else:
            device, other_end = stack.enter_context(connect_ptys())
            arguments = ["rtu", device]
            address = f"serial:{other_end}?baud=115200"
        process = subprocess.Popen(
            [str(program), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            if kind == "tcp":
                wait_until_listening(port)
            yield address
        finally:
            process.kill()
            process.wait(10)


def wait_until_listening(port: int) -> None:
    """Wait without a connection: the server accepts only one."""
    line = f":{port:04X} 00000000:0000 0A"
    end = time.monotonic() + 10
    while line not in Path("/proc/net/tcp").read_text(encoding="ascii"):
        assert time.monotonic() < end, "the server does not listen"
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["tcp", "rtu"])
def test_replies_that_are_no_values(program: Path, kind: str) -> None:
    with serve(program, kind) as address, BlockingModbusClient(port_address(address)) as client:
        result = client.request(UNIT, pdu.write_multiple(REGISTERS, (VALUE, 1, 100)))
        assert result.status in ("ok", "unsure")  # on a line, no read has shown yet what echoes
        result = client.request(UNIT, pdu.read_holding(REGISTERS, 3))
        assert (result.status, result.values) == ("ok", (VALUE, 1, 100))
        assert client.request(UNIT, pdu.read_input(INPUT_REGISTERS, 1)).values == (10,)
        result = client.request(UNIT, pdu.read_holding(BUSY, 1))
        assert (result.status, result.code) == ("busy", 6)
        for request in (pdu.read_holding(REGISTERS, 2), pdu.read_holding(FALSE_NUMBER, 1)):
            result = client.request(UNIT, request, 0)
            assert result.status in ("mismatch", "timeout"), result.status
        assert client.request(UNIT, pdu.read_holding(SLEEPS, 1), 0).status == "timeout"
        # The late reply is a 0, in a frame that fits this request.
        result = client.request(UNIT, pdu.read_holding(REGISTERS, 1), 3)
        assert (result.status, result.values) == ("ok", (VALUE,))
        result = client.request(UNIT, pdu.write_coil(BITS + 2, 1))
        assert (result.status, result.code) == ("exception", 3)
        if kind == "tcp":
            result = client.request(ANY_UNIT, pdu.read_holding(BYTE_BY_BYTE, 1))
            assert (result.status, result.values) == ("ok", (0,))


@pytest.mark.parametrize("kind", ["tcp", "rtu"])
def test_commands(program: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command, code, text in (
        (["read", str(INPUT_REGISTERS), "--function", "4"], 0, "264  10  (000A)"),
        (["read", str(REGISTERS), "2"], 1, ""),
        (["read", str(BUSY)], 1, ""),
        (["write", str(REGISTERS), "555", "--yes"], 0, "done: the device holds the value"),
        (["write", str(BITS + 2), "1", "--function", "5", "--yes"], 1, ""),
        (["raw", "03 01 60 00 01", "--yes"], 0, "reply    03 02 00 00  ok"),
    ):
        with serve(program, kind) as address:
            name, *rest = command
            assert modbus([name, address, str(UNIT), *rest]) == code, command
        printed = capsys.readouterr()
        assert text in printed.out, (command, printed)
        assert bool(printed.err) == (code == 1), printed
