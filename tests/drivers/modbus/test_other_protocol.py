# SPDX-License-Identifier: Apache-2.0
"""The blocking client at the port of another program: a result or an error, and no endless wait."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.tools.lib.modbus_client import BlockingModbusClient
from protocols.modbus.pdu import read, write_single
from protocols.time_units import MILLISECOND


@contextmanager
def _server(greeting: bytes, answer: bytes) -> Iterator[int]:
    """Serve connections one after the other; yields the port."""

    def serve(server: socket.socket) -> None:
        with suppress(OSError):  # the test has ended
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.sendall(greeting)
                    while connection.recv(260):
                        connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _ask(client: BlockingModbusClient, request_: bytes) -> str:
    """Return the status of the result, or what the error names."""
    try:
        return client.request(1, request_).status
    except PortError as error:
        return "another program" if "another program" in str(error) else str(error)


@pytest.mark.parametrize("request_", [read(3, 0, 1), write_single(0, 1)], ids=["read", "write"])
@pytest.mark.parametrize(
    ("greeting", "answer"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n", b""),
        (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        (b"", b"\0\1\0\1\0\5\1\3\2\0\1"),  # protocol id 1
        (b"", b"\0\1\0\0\0\0\1\3\2\0\1"),  # length 0
    ],
    ids=["ssh", "http", "protocol", "length"],
)
def test_no_modbus_on_the_port(greeting: bytes, answer: bytes, request_: bytes) -> None:
    with _server(greeting, answer) as port:
        address = parse_address(f"tcp:127.0.0.1:{port}")
        with BlockingModbusClient(address, timeout_us=300 * MILLISECOND) as client:
            for _ in range(2):  # the next request opens the port again
                assert _ask(client, request_) in {"lost", "timeout", "another program"}
