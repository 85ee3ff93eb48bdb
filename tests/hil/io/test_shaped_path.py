# SPDX-License-Identifier: Apache-2.0
"""The shaped TCP path: outages that hold data, half-open links, a cut at any byte."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from hil.io.shaped_path import ShapedPath
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell

TIMEOUT_S = 20.0
_WORDS = b"0123456789"


class EchoSink:
    """A server that stores its input and answers each piece with `ok`."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        threads = []
        while True:
            client, _ = self._listener.accept()
            if self._closing.is_set():
                client.close()
                break
            self.received.append(b"")
            threads.append(
                threading.Thread(target=self._receive, args=(client, len(self.received) - 1))
            )
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _receive(self, client: socket.socket, at: int) -> None:
        with client, contextlib.suppress(ConnectionError):  # the path may reset a connection
            while data := client.recv(4096):
                self.received[at] += data
                client.sendall(b"ok")

    def close(self) -> None:
        self._closing.set()
        with socket.create_connection(self.address):
            pass
        self._thread.join()
        self._listener.close()


class ShapedPathRig:
    """A fast path to a sink; `run_until` runs the shell."""

    def __init__(self) -> None:
        self.sink = EchoSink()
        self.shell = RealTimeShell(World(1, 0))
        self.path = ShapedPath(self.shell, self.sink.address, 1_000, 10_000_000, 10_000_001)
        self._clients: list[socket.socket] = []

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.path.address, timeout=TIMEOUT_S)
        self._clients.append(client)
        client.setblocking(False)
        count = self.path.connections
        self.run_until(lambda: self.path.connections > count)
        return client

    def run_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < end, self.sink.received
            self.shell.run(self.shell.now() + 5_000)

    def run_pending(self) -> None:
        """Run until all bytes under way have arrived."""
        self.shell.run(self.shell.now() + 100_000)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.path.close()
        self.sink.close()
        self.shell.close()


@pytest.fixture
def rig() -> Iterator[ShapedPathRig]:
    path = ShapedPathRig()
    yield path
    path.close()


def _read_answer(client: socket.socket) -> bytes:
    try:
        return client.recv(100)
    except BlockingIOError:
        return b""


def test_outage_delays_sent_bytes(rig: ShapedPathRig) -> None:
    client = rig.connect()
    client.sendall(_WORDS)
    rig.run_until(lambda: rig.sink.received == [_WORDS])
    rig.path.set_link_up(False)
    client.sendall(_WORDS)
    rig.run_pending()
    assert rig.sink.received == [_WORDS]
    rig.path.set_link_up(True)
    rig.run_until(lambda: rig.sink.received == [2 * _WORDS])


def test_half_open_connection_stays_dead_and_new_one_works(rig: ShapedPathRig) -> None:
    rig.path.set_lossy(True)
    client = rig.connect()
    client.sendall(_WORDS)
    rig.run_until(lambda: _read_answer(client) == b"ok")
    rig.path.set_link_up(False)
    client.sendall(_WORDS)
    rig.run_pending()
    rig.path.set_link_up(True)
    client.sendall(_WORDS)  # after lost bytes no later byte of a stream arrives
    rig.run_pending()
    assert rig.sink.received == [_WORDS]
    assert _read_answer(client) == b""  # and no event is sent
    again = rig.connect()
    again.sendall(b"new")
    rig.run_until(lambda: rig.sink.received == [_WORDS, b"new"])


@pytest.mark.parametrize("lossy", [True, False])
def test_link_cut_at_any_byte(rig: ShapedPathRig, lossy: bool) -> None:
    rig.path.set_lossy(lossy)
    for at in range(1, len(_WORDS) + 1):
        client = rig.connect()
        rig.path.set_cut_after(at)
        client.sendall(_WORDS)
        rig.run_until(lambda: not rig.path.is_up)
        rig.run_pending()
        assert rig.sink.received[-1] == _WORDS[:at]
        rig.path.set_link_up(True)
        if lossy:
            rig.run_pending()
        else:
            rig.run_until(lambda: rig.sink.received[-1] == _WORDS)
        assert rig.sink.received[-1] == (_WORDS[:at] if lossy else _WORDS)
