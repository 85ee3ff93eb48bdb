# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus` on every wire, with the servers of pymodbus: RTU, ASCII and TLS framing.

Write states with servers that echo, reject or stay silent.
"""

import asyncio
import contextlib
import functools
import json
import os
import pty
import socket
import ssl
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.framer import FramerRTU
from pymodbus.server import ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.commands import modbus
from tests.support.programs import free_port, wait_until_open
from tests.support.runtime_rig import CertificateAuthority

UNIT = 250
"""Above 247, so that `units=255` is tested too."""


@contextlib.contextmanager
def serve(kind: Callable[..., Any], framer: FramerType, unit: int = UNIT) -> Iterator[int]:
    """Run a pymodbus server with 20 registers, 500 and up; yield its port."""
    port = free_port()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def run() -> None:
        data = SimData(0, values=list(range(500, 520)), datatype=DataType.REGISTERS)
        device = SimDevice(unit, simdata=[data])
        server = kind(device, framer=framer, address=("127.0.0.1", port))
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.1)
        ready.set()
        await stop.wait()
        await server.shutdown()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(10)
        if kind is not ModbusUdpServer:
            wait_until_open(port)
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


WIRES = {
    "rtu+tcp": (ModbusTcpServer, FramerType.RTU),
    "rtu+udp": (ModbusUdpServer, FramerType.RTU),
    "ascii+tcp": (ModbusTcpServer, FramerType.ASCII),
}


@pytest.mark.parametrize("kind", WIRES)
def test_read_and_write_through_a_gateway(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(*WIRES[kind]) as port:
        address = f"{kind}:127.0.0.1:{port}?baud=115200&units=255"
        words = ("--json", "--timeout-ms", "1000")
        assert modbus(["read", address, str(UNIT), "0", "3", *words]) == 0
        assert json.loads(capsys.readouterr().out)["values"] == [500, 501, 502]
        assert modbus(["write", address, str(UNIT), "1", "77", "--yes", *words]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "done"
        assert modbus(["read", address, str(UNIT), "900", *words]) == 1
        assert "exception 2" in capsys.readouterr().err
        other = address.replace("&units=255", "")
        assert modbus(["read", other, str(UNIT), "0"]) == 2
        assert "units=255 in the address permits more" in capsys.readouterr().err


def test_modbus_tcp_security(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TLS with a certificate of the client, from which a device takes the role."""
    authority = CertificateAuthority(tmp_path)
    server_files, client_files = authority.issue("127.0.0.1", "IP"), authority.issue("operator")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    context.load_cert_chain(*server_files)
    context.verify_mode = ssl.CERT_REQUIRED
    kind = functools.partial(ModbusTlsServer, sslctx=context)
    with serve(kind, FramerType.SOCKET) as port:
        address = f"tls:127.0.0.1:{port}?ca={authority.ca}"
        certificate = f"&cert={client_files[0]}&key={client_files[1]}"
        words = (str(UNIT), "0", "2", "--json", "--timeout-ms", "1000")
        assert modbus(["read", address + certificate, *words]) == 0
        assert json.loads(capsys.readouterr().out)["values"] == [500, 501]
        assert modbus(["read", address, *words]) != 0  # the server demands a certificate


# Write states, with a scripted device on a pseudo-terminal.


def with_crc(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


Answer = Callable[[bytes], list[bytes]]


@contextlib.contextmanager
def scripted_line(answer: Answer) -> Iterator[str]:
    """Answer each intact request on a pseudo-terminal; yield its path."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    stop = threading.Event()
    os.set_blocking(master, False)

    def run() -> None:
        buffer = b""
        while not stop.wait(0.002):
            with contextlib.suppress(BlockingIOError, OSError):
                buffer += os.read(master, 256)
            if (
                len(buffer) >= 8
                and FramerRTU.compute_CRC(buffer[:-2]).to_bytes(2, "big") == (buffer[-2:])
            ):
                frame, buffer = buffer, b""
                for reply in answer(frame):
                    os.write(master, reply)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        thread.join(5)
        os.close(master)
        os.close(slave)


class Register:
    """Unit 100 with one register; it answers reads and writes by its attributes."""

    def __init__(self, **faults: Any) -> None:
        self.value = 5
        self.faults = faults

    def answer(self, frame: bytes) -> list[bytes]:
        """Return the replies to a request."""
        faults = self.faults
        echo = [frame] if faults.get("echo") else []
        if faults.get("dead"):
            return echo
        if frame[1] == 3:
            if "read_code" in faults:
                return [*echo, with_crc(bytes((100, 0x83, faults["read_code"])))]
            words = self.value.to_bytes(2, "big") * frame[5]
            return [*echo, with_crc(bytes((100, 3, 2 * frame[5])) + words)]
        if frame[1] == 6:
            if "write_code" in faults:
                return [*echo, with_crc(bytes((100, 0x86, faults["write_code"])))]
            if not faults.get("ignore"):
                self.value = int.from_bytes(frame[4:6], "big")
            if faults.get("no_confirmation"):
                return echo
            return [*echo, frame]
        return [*echo, with_crc(bytes((100, frame[1] | 0x80, 1)))]


STATES: dict[str, tuple[dict[str, Any], int]] = {
    "done": ({}, 0),
    "done on an echoing line": ({"echo": True}, 0),
    "done without confirmation": ({"no_confirmation": True}, 0),
    "accepted": ({"read_code": 2}, 1),
    "unknown": ({"read_code": 2, "no_confirmation": True}, 1),
    "refused": ({"write_code": 3}, 1),
    "failed": ({"ignore": True}, 1),
    "failed, nobody there": ({"dead": True}, 1),
    "failed, nobody there, echo": ({"dead": True, "echo": True}, 1),
}


@pytest.mark.parametrize("name", STATES)
def test_state_of_a_write(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    faults, code = STATES[name]
    register = Register(**faults)
    words = ("--yes", "--json", "--timeout-ms", "150")
    with scripted_line(register.answer) as path:
        assert modbus(["write", f"{path}?baud=115200", "100", "141", "7", *words]) == code
    shown = json.loads(capsys.readouterr().out)
    assert shown["state"] == name.split(maxsplit=1)[0].rstrip(",")
    if "dead" in faults:
        assert "nothing written" in shown["error"]


def test_bytes_in_the_kernel_are_no_reply(capsys: pytest.CaptureFixture[str]) -> None:
    """Each reply is followed by a frame that would fit the next request."""
    stale = with_crc(bytes((100, 3, 2)) + b"\xbe\xef")
    register = Register()
    with scripted_line(lambda frame: [*register.answer(frame), stale]) as path:
        port = f"{path}?baud=115200"
        for _ in range(3):
            assert modbus(["read", port, "100", "141", "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["values"] == [5]


def test_refused_connection_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert modbus(["read", f"rtu+tcp:127.0.0.1:{port}", "1", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_device_that_owes_a_reply_to_an_earlier_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A device one reply behind: each command gets its own registers, or an error."""
    owed: list[bytes] = []

    def answer(frame: bytes) -> list[bytes]:
        if frame[1] == 3:
            words = [(frame[3] + i).to_bytes(2, "big") for i in range(frame[5])]
            owed.append(with_crc(bytes((100, 3, 2 * frame[5])) + b"".join(words)))
        else:
            owed.append(frame if frame[1] == 8 else with_crc(bytes((100, frame[1] | 0x80, 1))))
        return [owed.pop(0)] if len(owed) > 1 else []

    with scripted_line(answer) as path:
        for address in (10, 20, 30):
            words = (f"{path}?baud=115200", "100", str(address), "--json", "--timeout-ms", "150")
            code = modbus(["read", *words])
            shown = json.loads(capsys.readouterr().out)
            assert shown["values"] == [address] if code == 0 else "error" in shown
