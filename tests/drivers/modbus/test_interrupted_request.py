# SPDX-License-Identifier: Apache-2.0
"""A request that is interrupted never gives its reply to a later request of the blocking client."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.tools.lib.modbus_client import BlockingModbusClient
from protocols.modbus.crc import crc16
from protocols.modbus.pdu import GOOD, WRITE_SINGLE, read, write_single
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


@contextmanager
def _closing_device(reset_first: bool) -> Iterator[tuple[int, list[bytes]]]:
    """Close each connection after one reply, or reset the first one without a reply."""
    seen: list[bytes] = []
    stop = threading.Event()

    def serve_connection(connection: socket.socket) -> None:
        with connection:
            frame = connection.recv(260)
            seen.append(frame)
            if reset_first and len(seen) == 1:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            is_write = frame[7] == WRITE_SINGLE
            connection.sendall(frame if is_write else _reply("tcp", frame))

    def serve(server: socket.socket) -> None:
        while not stop.is_set():
            try:
                serve_connection(server.accept()[0])
            except (OSError, IndexError):
                continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        stop.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_device_that_closes_after_each_reply_is_read_and_written() -> None:
    """Each write is sent once."""
    with (
        _closing_device(reset_first=False) as (port, seen),
        BlockingModbusClient(parse_address(f"tcp:127.0.0.1:{port}"), 500 * MILLISECOND) as client,
    ):
        for number in range(20):
            request = write_single(number, 7) if number % 2 else read(3, number, 1)
            assert client.request(7, request).status == GOOD
        assert len([frame for frame in seen if frame[7:8] == bytes([WRITE_SINGLE])]) == 10


@pytest.mark.parametrize("is_write", [True, False])
def test_a_read_is_repeated_after_a_reset_and_a_write_is_not(is_write: bool) -> None:
    with (
        _closing_device(reset_first=True) as (port, seen),
        BlockingModbusClient(parse_address(f"tcp:127.0.0.1:{port}"), 500 * MILLISECOND) as client,
    ):
        if is_write:
            with pytest.raises(PortError):
                client.request(7, write_single(1, 7))
            assert len(seen) == 1
        else:
            assert client.request(7, read(3, 1, 1)).status == GOOD
            assert [frame[11] for frame in seen] == [1, 1, 2]  # the last one confirms the value


def test_a_read_is_repeated_if_the_connection_ends_before_its_reply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of the connection comes after the request was sent, as in a race."""
    with (
        _closing_device(reset_first=False) as (port, seen),
        BlockingModbusClient(parse_address(f"tcp:127.0.0.1:{port}"), 500 * MILLISECOND) as client,
    ):
        monkeypatch.setattr(client, "_drain", lambda _: None)
        for number in range(5):
            assert client.request(7, read(3, number, 1)).status == GOOD
        assert [frame[11] for frame in seen] == [1, 2, 1, 1, 1, 1]  # the second one confirms
