# SPDX-License-Identifier: Apache-2.0
"""Clients of others against the emulated broker: paho and mosquitto."""

from __future__ import annotations

import selectors
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy.ops.mqtt_session import disconnect
from hil.devices.mqtt.broker import Broker, TcpReplies
from tests.support.cli_tools import TIMEOUT_S


class ServedBroker:
    """The broker at a loopback TCP port, in a thread."""

    def __init__(self) -> None:
        self.broker = Broker()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, 0)
        self._sockets: dict[int, socket.socket] = {}
        self._scheduled: list[tuple[int, int, bytes | None]] = []
        self._stop = False
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    @staticmethod
    def now() -> int:
        return time.monotonic_ns() // 1000

    def _loop(self) -> None:
        while not self._stop:
            for key, _ in self._selector.select(0.01):
                self._accept() if key.data == 0 else self._read(key.data)
            if self.broker.deadline() <= self.now():
                self._schedule_output(self.broker.wake(self.now()))
            due = [item for item in self._scheduled if item[0] <= self.now()]
            self._scheduled = [item for item in self._scheduled if item not in due]
            for _, conn, data in due:
                self._send(conn, data)

    def _accept(self) -> None:
        conn = len(self._sockets) + 1
        self._sockets[conn] = self._listener.accept()[0]
        self._selector.register(self._sockets[conn], selectors.EVENT_READ, conn)
        self._schedule_output(self.broker.opened(conn, self.now()))

    def _read(self, conn: int) -> None:
        try:
            data = self._sockets[conn].recv(65536)
        except ConnectionError:
            data = b""
        if data:
            self._schedule_output(self.broker.receive(conn, data, self.now()))
        else:
            self._send(conn, None)
            self._schedule_output(self.broker.closed(conn, self.now()))

    def _schedule_output(self, out: TcpReplies) -> None:
        for conn, delay, data in out:
            if delay:
                self._scheduled.append((self.now() + delay, conn, data))
            else:
                self._send(conn, data)

    def _send(self, conn: int, data: bytes | None) -> None:
        sock = self._sockets[conn]
        if sock.fileno() < 0:
            return
        if data is None:
            self._selector.unregister(sock)
            sock.close()
            return
        try:
            sock.sendall(data)
        except ConnectionError:
            self._selector.unregister(sock)
            sock.close()
            self._schedule_output(self.broker.closed(conn, self.now()))

    def close(self) -> None:
        self._stop = True
        self._thread.join()
        self._selector.close()
        self._listener.close()
        for sock in self._sockets.values():
            sock.close()


@pytest.fixture
def served() -> Iterator[ServedBroker]:
    server = ServedBroker()
    yield server
    server.close()


def wait_for(condition: Any, seconds: float = TIMEOUT_S) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def paho_client(served: ServedBroker, client_id: str, clean: bool = True) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", served.port, keepalive=5)
    client.loop_start()
    return client


def test_paho_both_ways(served: ServedBroker) -> None:
    messages: list[tuple[str, bytes, int]] = []
    client = paho_client(served, "p1")
    client.on_message = lambda _c, _u, m: messages.append((m.topic, bytes(m.payload), m.qos))
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.subscribe("row/#", qos=1)
    assert ready.wait(TIMEOUT_S)
    for i in range(50):
        client.publish("row/a", str(i), qos=1)
    last = client.publish("row/b", b"z" * 20_000, qos=2)
    last.wait_for_publish(TIMEOUT_S)
    assert wait_for(lambda: len(messages) == 51)
    assert [payload for _, payload, _ in messages[:50]] == [str(i).encode() for i in range(50)]
    assert messages[50] == ("row/b", b"z" * 20_000, 1)
    disconnect(client)
    assert wait_for(lambda: served.broker.client_ids == [])
    assert served.broker.counters.published == 51


def test_paho_survives_dropped_acknowledgements_and_restart(served: ServedBroker) -> None:
    client = paho_client(served, "p2", clean=False)
    served.broker.drop_next_acks = 1
    lost = client.publish("a", b"1", qos=1)
    assert wait_for(lambda: served.broker.counters.published == 1)
    assert not lost.is_published()
    served.broker.down = True
    assert wait_for(lambda: served.broker.client_ids == [])
    served.broker.down = False
    lost.wait_for_publish(TIMEOUT_S)
    assert lost.is_published()
    assert [m.payload for m in served.broker.recent_messages["a"]] == [b"1", b"1"]
    disconnect(client)


def mosquitto(tool: str, served: ServedBroker, *arguments: str) -> subprocess.Popen[bytes]:
    path = shutil.which(tool)
    if path is None:
        pytest.skip("program missing: mosquitto-clients")
    command = [path, "-h", "127.0.0.1", "-p", str(served.port), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_mosquitto_clients(served: ServedBroker) -> None:
    listener = mosquitto("mosquitto_sub", served, "-t", "site/+/tele", "-q", "1", "-C", "3", "-v")
    assert wait_for(lambda: len(served.broker.client_ids) == 1)
    sessions = served.broker._sessions
    assert wait_for(lambda: any(each.subscriptions for each in list(sessions.values())))
    for qos in ("0", "1", "2"):
        sender = mosquitto(
            "mosquitto_pub", served, "-t", "site/u1/tele", "-m", f"hello {qos}", "-q", qos
        )
        assert sender.communicate(timeout=TIMEOUT_S)[0] == b""
        assert sender.returncode == 0
    output, _ = listener.communicate(timeout=TIMEOUT_S)
    assert output.splitlines() == [b"site/u1/tele hello %d" % i for i in range(3)]


def test_mosquitto_receives_retained_messages_and_will(served: ServedBroker) -> None:
    sender = mosquitto("mosquitto_pub", served, "-t", "s/state", "-m", "up", "-r", "-q", "1")
    sender.communicate(timeout=TIMEOUT_S)
    killed_client = mosquitto(
        "mosquitto_sub", served, "-t", "none", "-i", "rude",
        "--will-topic", "s/state", "--will-payload", "down", "--will-retain",
    )  # fmt: skip
    assert wait_for(lambda: "rude" in served.broker.client_ids)
    first = mosquitto("mosquitto_sub", served, "-t", "s/#", "-C", "1")
    assert first.communicate(timeout=TIMEOUT_S)[0] == b"up\n"
    killed_client.kill()
    killed_client.communicate(timeout=TIMEOUT_S)
    assert wait_for(lambda: served.broker.retained["s/state"].payload == b"down")
