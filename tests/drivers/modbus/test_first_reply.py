# SPDX-License-Identifier: Apache-2.0
"""The first replies of a device or a gateway that is one reply behind, to the blocking client.

The device answers each request with the reply to the request before. On TCP it is a gateway that
gives such a late reply the newest transaction number. Each register holds its address.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from drivers.ports.address import parse_address
from drivers.tools.lib.modbus_client import BlockingModbusClient, read_values
from protocols.modbus.crc import with_crc
from protocols.modbus.pdu import read
from protocols.time_units import MILLISECOND

MISSING = range(200, 300)
KINDS = ("rtu+tcp", "tcp")


class LateDevice:
    """Registers 0 to 999 without `MISSING`; reads of more than `longest` are refused."""

    def __init__(self, kind: str, owed: list[bytes], longest: int = 125) -> None:
        self._kind = kind
        self._longest = longest
        self._owed = [self._reply(request) for request in owed]
        self.requests: list[bytes] = []
        self.drops = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _reply(self, request: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", request[:5])
        asked = range(address, address + count)
        if any(register in MISSING for register in asked) or count > self._longest:
            return bytes((function | 0x80, 2))
        if function in (1, 2):
            return bytes((function, (count + 7) // 8)) + bytes((count + 7) // 8)
        return struct.pack(f">BB{count}H", function, 2 * count, *asked)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                with connection, suppress(OSError):
                    while frame := connection.recv(260):
                        self._answer(connection, frame)

    def _answer(self, connection: socket.socket, frame: bytes) -> None:
        request = frame[7:] if self._kind == "tcp" else frame[1:-2]
        self.requests.append(request)
        reply = bytes((0x88, 1)) if request[0] == 8 else self._reply(request)
        self._owed.append(reply)
        if self.drops:
            self.drops -= 1
            return
        reply = self._owed.pop(0)
        if self._kind == "tcp":
            head = frame[:4] + struct.pack(">HB", len(reply) + 1, frame[6])
            connection.sendall(head + reply)
        else:
            connection.sendall(with_crc(frame[:1] + reply))

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def connect(
    kind: str, owed: list[bytes], longest: int = 125
) -> Iterator[tuple[BlockingModbusClient, LateDevice]]:
    device = LateDevice(kind, owed, longest)
    address = parse_address(f"{kind}:127.0.0.1:{device.port}")
    try:
        with BlockingModbusClient(address, 150 * MILLISECOND) as client:
            yield client, device
    finally:
        device.close()


def check(client: BlockingModbusClient, request: bytes) -> str:
    """Return "good", "refused" or the status; a wrong result fails."""
    address, count = struct.unpack(">HH", request[1:5])
    result = client.request(1, request)
    is_missing = any(register in MISSING for register in range(address, address + count))
    if result.status == "ok":
        assert result.values == tuple(range(address, address + count)), result.values
        assert not is_missing
        return "good"
    if result.status == "exception":
        assert is_missing, f"exception {result.code} for {address}"
        return "refused"
    return result.status


OWED = {
    "in step": [],
    "a value": [read(3, 20, 1)],
    "two values": [read(3, 20, 2)],
    "an exception": [read(3, 200, 1)],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("longest", [125, 1])
@pytest.mark.parametrize("owed", OWED)
@pytest.mark.parametrize("addresses", [(30, 200, 40), (200, 30, 201), (200, 201, 30, 200)], ids=str)
def test_a_device_that_is_one_reply_behind(
    kind: str, longest: int, owed: str, addresses: tuple[int, ...]
) -> None:
    """Each result is one of its own request."""
    with connect(kind, OWED[owed], longest) as (client, _):
        for address in addresses:
            status = check(client, read(3, address, 1))
            if owed == "in step":
                assert status == ("refused" if address in MISSING else "good")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("owed", ["a value", "two values"])
def test_good_values_come_from_a_device_that_is_one_behind(
    kind: str, count: int, owed: str
) -> None:
    with connect(kind, OWED[owed]) as (client, _):
        assert [check(client, read(3, address, count)) for address in (30, 40)] == ["good"] * 2


def test_a_gateway_that_comes_behind_by_a_lost_reply() -> None:
    """Its first reply is missing; then each reply has the number of the request after it."""
    with connect("tcp", []) as (client, device):
        device.drops = 1
        values, failed = read_values(client, 1, 3, 300, 375)
        assert (values, failed) == (list(range(300, 675)), None)
    with connect("tcp", []) as (client, device):
        assert check(client, read(3, 10, 2)) == "good"
        device.drops = 1
        for address in (20, 30, 40):
            assert check(client, read(3, address, 2)) == "good"


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_in_step_needs_one_more_request(kind: str) -> None:
    with connect(kind, []) as (client, device):
        for address in (10, 20, 30):
            assert check(client, read(3, address, 1)) == "good"
        assert len(device.requests) == 4


@pytest.mark.parametrize("code", [10, 11])
def test_a_scan_asks_once_for_a_unit_that_the_gateway_does_not_reach(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway waits for its own time-out first."""
    monkeypatch.setattr(LateDevice, "_reply", lambda _, request: bytes((request[0] | 0x80, code)))
    with connect("tcp", []) as (client, device):
        assert client.request(1, read(3, 0, 1), retries=0).code == code
        assert len(device.requests) == 1
        assert client.request(1, read(3, 0, 1)).code == code
        assert len(device.requests) == 3
