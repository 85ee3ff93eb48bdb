# SPDX-License-Identifier: Apache-2.0
"""A request that is interrupted never gives its reply to a later request of the blocking client."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drivers.ports.address import parse_address
from drivers.tools.lib.modbus_client import BlockingModbusClient
from protocols.modbus.crc import crc16
from protocols.modbus.pdu import GOOD, read
from protocols.time_units import MILLISECOND

_REPLY_AFTER_S = 0.1


def _reply(framing: str, frame: bytes) -> bytes:
    """Return the reply of a device whose registers hold their addresses."""
    body = frame[6:] if framing == "tcp" else frame[:-2]
    address, count = int.from_bytes(body[2:4]), int.from_bytes(body[4:6])
    words = b"".join((address + i).to_bytes(2) for i in range(count))
    reply = body[:2] + bytes([2 * count]) + words
    if framing == "tcp":
        return frame[:4] + len(reply).to_bytes(2) + reply
    return reply + crc16(reply).to_bytes(2, "little")


@contextmanager
def _slow_device(framing: str) -> Iterator[int]:
    """Serve one connection after the other; each reply comes late. Yields the port."""
    stop = threading.Event()

    def serve_connection(connection: socket.socket) -> None:
        with connection:
            while frame := connection.recv(260):
                stop.wait(_REPLY_AFTER_S)
                connection.sendall(_reply(framing, frame))

    def serve(server: socket.socket) -> None:
        while not stop.is_set():
            try:
                serve_connection(server.accept()[0])
            except OSError:
                continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        stop.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
def test_the_next_request_gets_its_own_reply(
    framing: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _slow_device(framing) as port:
        kind = "tcp" if framing == "tcp" else "rtu+tcp"
        address = parse_address(f"{kind}:127.0.0.1:{port}")
        with BlockingModbusClient(address, 600 * MILLISECOND) as client:
            assert client.request(7, read(3, 20, 2)).values == (20, 21)
            open_port = client._ensure_open()  # the only place that waits

            def interrupted(_due: int) -> None:
                raise error

            with monkeypatch.context() as patch:
                patch.setattr(open_port, "wait", interrupted)
                with pytest.raises(error):
                    client.request(7, read(3, 0, 2))
            for first in (40, 50):
                result = client.request(7, read(3, first, 2))
                assert (result.status, result.values) == (GOOD, (first, first + 1))
