# SPDX-License-Identifier: Apache-2.0
"""Endpoints in virtual time, and the real ports (pseudo-terminals, TCP)."""

import contextlib
import os
import random
import selectors
import socket
import time
from collections.abc import Iterator

import pytest

from hil.io import real_ports
from hil.io.endpoints import SerialEndpoint, SinkEndpoint, TcpEndpoint
from hil.io.real_ports import PtyPort, TcpListener
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell
from hil.shells.virtual import VirtualShell
from tests.hil.kernel.test_serial_line import EchoDevice
from tests.hil.kernel.test_world import ScriptedDut

NEVER = 1 << 62
LATENCY = 20_000
TcpReplies = list[tuple[int, int, bytes | None]]


class FakeTcpServer:
    """A TCP server; it replies to each byte with its delay in `delays`."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.delays: dict[bytes, int] = {}
        self.greeting: bytes | None = b"hello"
        self.due = NEVER
        self.last = 0

    def opened(self, conn: int, now: int) -> TcpReplies:
        self.last = conn
        self.calls.append(("opened", conn, now))
        return [] if self.greeting is None else [(conn, 0, self.greeting)]

    def closed(self, conn: int, now: int) -> TcpReplies:
        self.calls.append(("closed", conn, now))
        return []

    def receive(self, conn: int, data: bytes, now: int) -> TcpReplies:
        self.calls.append(("receive", conn, data, now))
        pieces = [data[i : i + 1] for i in range(len(data))]
        return [(conn, self.delays.get(p, 0), None if p == b"!" else p) for p in pieces]

    def wake(self, now: int) -> TcpReplies:
        self.due = NEVER
        return [(self.last, 0, b"woken")]

    def deadline(self) -> int:
        return self.due


class WholeTcpServer(FakeTcpServer):
    """The same; it replies to all bytes together."""

    def receive(self, conn: int, data: bytes, now: int) -> TcpReplies:
        return [(conn, 0, data)]


class VirtualRig:
    """A world, a shell, and a controller that records its inputs."""

    def __init__(self) -> None:
        self.world = World(1, 0)
        self.dut = ScriptedDut()
        self.shell = VirtualShell(self.world, self.dut)
        self.shell.start()
        del self.dut.inputs[0]

    def run_for(self, us: int) -> list[tuple[object, ...]]:
        """Run for a time; return the inputs of the controller in this time."""
        self.shell.run(self.world.now + us)
        turns, self.dut.inputs = self.dut.inputs, []
        return turns


def test_serial_port_opens_and_carries_bytes() -> None:
    virtual = VirtualRig()
    end = SerialEndpoint(virtual.shell, 4)
    end.connect(SerialLine(virtual.world, EchoDevice(), 100, end.to_agent, 4))
    end.write(b"too early")
    end.open(b"")
    assert virtual.run_for(100_000) == [("event", 4, "opened", 1_000)]
    end.write(b"abc")
    assert virtual.run_for(10_000) == [("receive", 4, b"abc", 101_000 - 1_000 + 600)]
    end.write(b"lost")
    end.close()
    assert virtual.run_for(100_000) == []


def test_absent_port_fails_and_unplugged_port_closes() -> None:
    virtual = VirtualRig()
    end = SerialEndpoint(virtual.shell, 0)
    end.connect(SerialLine(virtual.world, EchoDevice(), 100, end.to_agent, 0))
    end.unplug()
    end.open(b"")
    assert virtual.run_for(2_000) == [("event", 0, "failed", 1_000)]
    end.unplug()  # a closed port sends no `closed`
    assert virtual.run_for(1_000) == []
    end.plug()
    end.open(b"")
    assert [turn[2] for turn in virtual.run_for(2_000)] == ["opened"]
    end.unplug()
    end.open(b"")
    assert [turn[2] for turn in virtual.run_for(2_000)] == ["closed", "failed"]


def test_store_receives_every_write() -> None:
    virtual = VirtualRig()
    writes: list[bytes] = []
    end = SinkEndpoint(virtual.shell, 2, writes.append)
    end.open(b"")
    assert virtual.run_for(2_000) == [("event", 2, "opened", 1_000)]
    end.write(b"key\0value")
    end.close()
    assert writes == [b"key\0value"]


def connect(server: FakeTcpServer) -> tuple[VirtualRig, TcpEndpoint]:
    virtual = VirtualRig()
    end = TcpEndpoint(virtual.shell, 1, server, LATENCY)
    end.open(b"")
    turns = virtual.run_for(4 * LATENCY)
    assert turns[0] == ("event", 1, "opened", 2 * LATENCY)
    if server.greeting is not None:
        assert turns[1:] == [("receive", 1, server.greeting, 3 * LATENCY)]
    return virtual, end


def test_tcp_adds_link_latency_each_way() -> None:
    server = FakeTcpServer()
    virtual, end = connect(server)
    end.write(b"a")
    assert virtual.run_for(3 * LATENCY) == [("receive", 1, b"a", 6 * LATENCY)]
    assert server.calls[-1] == ("receive", 1, b"a", 5 * LATENCY)


def test_tcp_keeps_order_after_slow_reply() -> None:
    server = FakeTcpServer()
    server.delays = {b"s": 500_000, b"m": 100_000}
    virtual, end = connect(server)
    end.write(b"s")
    end.write(b"m")
    assert virtual.run_for(LATENCY) == []
    end.write(b"f")
    turns = virtual.run_for(2_000_000)
    assert [turn[2] for turn in turns] == [b"s", b"m", b"f"]
    assert {turn[3] for turn in turns} == {4 * LATENCY + LATENCY + 500_000 + LATENCY}


def test_link_down_refuses_and_closes() -> None:
    server = FakeTcpServer()
    virtual, end = connect(server)
    end.write(b"on its way")
    end.set_down(True)
    turns = virtual.run_for(5 * LATENCY)
    assert turns == [("event", 1, "closed", 4 * LATENCY)]
    assert [call[0] for call in server.calls] == ["opened", "closed"]
    end.open(b"")
    assert [turn[2] for turn in virtual.run_for(5 * LATENCY)] == ["failed"]
    end.set_down(False)
    end.open(b"")
    assert [turn[2] for turn in virtual.run_for(5 * LATENCY)] == ["opened", b"hello"]
    assert server.last == 2


def test_data_of_closed_connection_is_not_delivered() -> None:
    server = FakeTcpServer()
    server.delays = {b"s": 1_000_000}
    virtual, end = connect(server)
    end.write(b"s")
    virtual.run_for(LATENCY)
    end.close()
    end.open(b"")
    turns = virtual.run_for(3_000_000)
    assert b"s" not in [turn[2] for turn in turns]
    assert "opened" in [turn[2] for turn in turns]


def test_server_disconnect_closes_port_in_order() -> None:
    server = FakeTcpServer()
    virtual, end = connect(server)
    end.write(b"a!b")
    turns = [turn[2] for turn in virtual.run_for(5 * LATENCY)]
    assert turns == [b"a", "closed"]


def test_server_wakes_at_its_deadline() -> None:
    server = FakeTcpServer()
    server.due = 10 * LATENCY
    virtual, _ = connect(server)
    assert virtual.run_for(20 * LATENCY) == [("receive", 1, b"woken", 11 * LATENCY)]


# Real ports.


@pytest.fixture
def shell() -> Iterator[RealTimeShell]:
    real_shell = RealTimeShell(World(1, 0))
    yield real_shell
    real_shell.close()


def collect(shell: RealTimeShell, sock: socket.socket, count: int, limit_s: float = 5.0) -> bytes:
    """Run the shell until the socket has received `count` bytes."""
    sock.setblocking(False)
    received = b""
    end = time.monotonic() + limit_s
    while len(received) < count and time.monotonic() < end:
        shell.run(shell.now() + 1_000)
        try:
            received += sock.recv(1 << 20)
        except BlockingIOError:
            continue
    return received


def test_real_tcp_keeps_order_after_slow_reply(shell: RealTimeShell) -> None:
    server = FakeTcpServer()
    server.delays = {b"s": 150_000}
    port = TcpListener(shell, server, 1_000)
    with socket.create_connection(port.address) as client:
        assert collect(shell, client, 5) == b"hello"
        client.send(b"s")
        shell.run(shell.now() + 20_000)
        client.send(b"ff")
        assert collect(shell, client, 3) == b"sff"
    port.close()


def test_real_tcp_down_closes_and_refuses(shell: RealTimeShell) -> None:
    server = FakeTcpServer()
    port = TcpListener(shell, server)
    with socket.create_connection(port.address) as client:
        assert collect(shell, client, 5) == b"hello"
        port.set_down(True)
        client.settimeout(5)
        assert client.recv(10) == b""
    with socket.create_connection(port.address) as client:
        shell.run(shell.now() + 20_000)
        client.settimeout(5)
        assert client.recv(10) == b""
    port.set_down(False)
    with socket.create_connection(port.address) as client:
        assert collect(shell, client, 5) == b"hello"
    shell.run(shell.now() + 20_000)
    assert [call[0] for call in server.calls] == ["opened", "closed", "opened", "closed"]
    port.close()


def test_slow_client_loses_nothing(shell: RealTimeShell) -> None:
    server = FakeTcpServer()
    server.greeting = random.Random(1).randbytes(200_000)
    port = TcpListener(shell, server, 30_000)
    with socket.create_connection(port.address) as client:
        shell.run(shell.now() + 10_000)
        # The smallest buffer of the kernel: the data is sent in many pieces.
        port._clients[1].sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        shell.run(shell.now() + 50_000)
        assert port._clients[1].unsent
        assert collect(shell, client, len(server.greeting), 20) == server.greeting
    port.close()


def test_half_closed_client_gets_its_replies(shell: RealTimeShell) -> None:
    """A client may end its side directly after its requests (`nc -N`): it still waits."""
    server = FakeTcpServer()
    server.delays = {b"s": 50_000}
    port = TcpListener(shell, server, 1_000)
    with socket.create_connection(port.address) as client:
        client.send(b"sf")
        client.shutdown(socket.SHUT_WR)
        assert collect(shell, client, 7) == b"hellosf"
        shell.run(shell.now() + 20_000)
        assert client.recv(10) == b""  # then the server closes too
    assert [call[0] for call in server.calls] == ["opened", "receive", "closed"]
    assert not port._clients
    port.close()


def test_half_closed_client_that_never_reads_is_dropped(
    shell: RealTimeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_ports, "_STUCK_US", 100_000)
    server = FakeTcpServer()
    server.greeting = bytes(20_000_000)
    port = TcpListener(shell, server)
    with socket.create_connection(port.address) as client:
        client.shutdown(socket.SHUT_WR)
        shell.run(shell.now() + 50_000)
        assert port._clients
        shell.run(shell.now() + 200_000)
        assert not port._clients
    port.close()


def test_client_that_never_reads_is_not_read_either(shell: RealTimeShell) -> None:
    """Its requests wait in the kernel, as at a real device; the server holds few replies."""
    server = WholeTcpServer()
    port = TcpListener(shell, server)
    with socket.create_connection(port.address) as client:
        client.setblocking(False)
        shell.run(shell.now() + 20_000)
        port._clients[1].sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sent = 0
        for _ in range(200):
            with contextlib.suppress(BlockingIOError):
                sent += client.send(bytes(100_000))
            shell.run(shell.now() + 1_000)
        assert sent > 1_000_000
        assert len(port._clients[1].unsent) < 100_000
        assert [event[3] for event in shell.world.heap].count(port._send_rest) == 1
        assert len(collect(shell, client, sent + 5, 20)) == sent + 5  # nothing is lost
    port.close()


def test_pseudo_terminal_keeps_line_timing(shell: RealTimeShell) -> None:
    port = PtyPort(shell)
    port.connect(SerialLine(shell.world, EchoDevice(), 1_000, port.to_agent, 4))
    descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    started_us = shell.now()
    os.write(descriptor, bytes(range(256))[:40])
    shell.run(started_us + 70_000)
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        assert not selector.select(0)  # 80 characters of 1 ms have not passed
        while not selector.select(0):
            shell.run(shell.now() + 1_000)
    assert shell.now() - started_us >= 80_000
    assert os.read(descriptor, 100) == bytes(range(40))
    os.close(descriptor)
    port.close()


def read_all(descriptor: int) -> bytes:
    """Read all available bytes."""
    received = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            received += os.read(descriptor, 65536)
    return received


def test_full_pseudo_terminal_counts_lost_bytes(shell: RealTimeShell) -> None:
    port = PtyPort(shell)
    for _ in range(100):
        port.to_agent(b"x" * 1_000)
    assert 0 < port.lost_bytes < 100_000
    descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    assert len(read_all(descriptor)) + port.lost_bytes == 100_000
    os.close(descriptor)
    port.set_disconnected(True)
    lost = port.lost_bytes
    port.to_agent(b"not even sent")
    assert port.lost_bytes == lost
    port.close()
