"""Far ends of ports: in virtual time, and the real ones (pseudo-terminals, TCP) that tests open."""

import contextlib
import os
import random
import selectors
import socket
import time
from collections.abc import Iterator

import pytest

from hil.io.endpoints import SerialEnd, SinkEnd, TcpEnd
from hil.io.real_ports import PtyPort, TcpPort
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell
from hil.shells.virtual import VirtualShell
from tests.hil.kernel.test_serial_line import Echo
from tests.hil.kernel.test_world import Script

NEVER = 1 << 62
LATENCY = 20_000
Replies = list[tuple[int, int, bytes | None]]


class Server:
    """A TCP server; it answers each byte with the delay that `delays` has for it."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []
        self.delays: dict[bytes, int] = {}
        self.greeting: bytes | None = b"hello"
        self.due = NEVER
        self.last = 0

    def opened(self, conn: int, now: int) -> Replies:
        self.last = conn
        self.seen.append(("opened", conn, now))
        return [] if self.greeting is None else [(conn, 0, self.greeting)]

    def closed(self, conn: int, now: int) -> Replies:
        self.seen.append(("closed", conn, now))
        return []

    def receive(self, conn: int, data: bytes, now: int) -> Replies:
        self.seen.append(("receive", conn, data, now))
        pieces = [data[i : i + 1] for i in range(len(data))]
        return [(conn, self.delays.get(p, 0), None if p == b"!" else p) for p in pieces]

    def wake(self, now: int) -> Replies:
        self.due = NEVER
        return [(self.last, 0, b"woken")]

    def deadline(self) -> int:
        return self.due


class Virtual:
    """A world, a shell, and a controller whose turns are noted."""

    def __init__(self) -> None:
        self.world = World(1, 0)
        self.dut = Script()
        self.shell = VirtualShell(self.world, self.dut)
        self.shell.start()
        del self.dut.turns[0]

    def after(self, us: int) -> list[tuple[object, ...]]:
        """Let time pass; what the controller was told in it."""
        self.shell.run(self.world.now + us)
        told, self.dut.turns = self.dut.turns, []
        return told


def test_a_serial_port_opens_and_carries_bytes() -> None:
    virtual = Virtual()
    end = SerialEnd(virtual.shell, 4)
    end.line = SerialLine(virtual.world, Echo(), 100, end.to_agent, 4)
    end.write(b"too early")
    end.open(b"")
    assert virtual.after(100_000) == [("event", 4, "opened", 1_000)]
    end.write(b"abc")
    assert virtual.after(10_000) == [("receive", 4, b"abc", 101_000 - 1_000 + 600)]
    end.write(b"lost")
    end.close()
    assert virtual.after(100_000) == []


def test_an_absent_port_fails_and_a_pulled_one_closes() -> None:
    virtual = Virtual()
    end = SerialEnd(virtual.shell, 0)
    end.line = SerialLine(virtual.world, Echo(), 100, end.to_agent, 0)
    end.absent = True
    end.open(b"")
    assert virtual.after(2_000) == [("event", 0, "failed", 1_000)]
    end.pull()  # what is not open cannot close
    assert virtual.after(1_000) == []
    end.absent = False
    end.open(b"")
    assert [turn[2] for turn in virtual.after(2_000)] == ["opened"]
    end.pull()
    end.open(b"")
    assert [turn[2] for turn in virtual.after(2_000)] == ["closed", "failed"]


def test_a_store_takes_every_write() -> None:
    virtual = Virtual()
    taken: list[bytes] = []
    end = SinkEnd(virtual.shell, 2, taken.append)
    end.open(b"")
    assert virtual.after(2_000) == [("event", 2, "opened", 1_000)]
    end.write(b"key\0value")
    end.close()
    assert taken == [b"key\0value"]


def connected(server: Server) -> tuple[Virtual, TcpEnd]:
    virtual = Virtual()
    end = TcpEnd(virtual.shell, 1, server, LATENCY)
    end.open(b"")
    told = virtual.after(4 * LATENCY)
    assert told[0] == ("event", 1, "opened", 2 * LATENCY)
    if server.greeting is not None:
        assert told[1:] == [("receive", 1, server.greeting, 3 * LATENCY)]
    return virtual, end


def test_tcp_takes_the_link_s_latency_each_way() -> None:
    server = Server()
    virtual, end = connected(server)
    end.write(b"a")
    assert virtual.after(3 * LATENCY) == [("receive", 1, b"a", 6 * LATENCY)]
    assert server.seen[-1] == ("receive", 1, b"a", 5 * LATENCY)


def test_tcp_keeps_its_order_when_the_first_answer_is_slow() -> None:
    server = Server()
    server.delays = {b"s": 500_000, b"m": 100_000}
    virtual, end = connected(server)
    end.write(b"s")
    end.write(b"m")
    assert virtual.after(LATENCY) == []
    end.write(b"f")
    told = virtual.after(2_000_000)
    assert [turn[2] for turn in told] == [b"s", b"m", b"f"]
    assert {turn[3] for turn in told} == {4 * LATENCY + LATENCY + 500_000 + LATENCY}


def test_a_link_that_is_down_refuses_and_cuts() -> None:
    server = Server()
    virtual, end = connected(server)
    end.write(b"on its way")
    end.set_down(True)
    told = virtual.after(5 * LATENCY)
    assert told == [("event", 1, "closed", 4 * LATENCY)]
    assert [what[0] for what in server.seen] == ["opened", "closed"]
    end.open(b"")
    assert [turn[2] for turn in virtual.after(5 * LATENCY)] == ["failed"]
    end.set_down(False)
    end.open(b"")
    assert [turn[2] for turn in virtual.after(5 * LATENCY)] == ["opened", b"hello"]
    assert server.last == 2


def test_what_belongs_to_an_older_connection_is_not_delivered() -> None:
    server = Server()
    server.delays = {b"s": 1_000_000}
    virtual, end = connected(server)
    end.write(b"s")
    virtual.after(LATENCY)
    end.close()
    end.open(b"")
    told = virtual.after(3_000_000)
    assert b"s" not in [turn[2] for turn in told]
    assert "opened" in [turn[2] for turn in told]


def test_a_server_that_hangs_up_closes_the_port_in_order() -> None:
    server = Server()
    virtual, end = connected(server)
    end.write(b"a!b")
    told = [turn[2] for turn in virtual.after(5 * LATENCY)]
    assert told == [b"a", "closed"]


def test_a_server_is_woken_at_its_deadline() -> None:
    server = Server()
    server.due = 10 * LATENCY
    virtual, _ = connected(server)
    assert virtual.after(20 * LATENCY) == [("receive", 1, b"woken", 11 * LATENCY)]


# Real ports.


@pytest.fixture
def shell() -> Iterator[RealTimeShell]:
    made = RealTimeShell(World(1, 0))
    yield made
    made.close()


def collect(shell: RealTimeShell, sock: socket.socket, count: int, limit_s: float = 5.0) -> bytes:
    """Turn the shell until `count` bytes have come through the socket."""
    sock.setblocking(False)
    got = b""
    end = time.monotonic() + limit_s
    while len(got) < count and time.monotonic() < end:
        shell.run(shell.now() + 1_000)
        try:
            got += sock.recv(1 << 20)
        except BlockingIOError:
            continue
    return got


def test_real_tcp_keeps_its_order_when_the_first_answer_is_slow(shell: RealTimeShell) -> None:
    server = Server()
    server.delays = {b"s": 150_000}
    port = TcpPort(shell, server, 1_000)
    with socket.create_connection(port.address) as client:
        assert collect(shell, client, 5) == b"hello"
        client.send(b"s")
        shell.run(shell.now() + 20_000)
        client.send(b"ff")
        assert collect(shell, client, 3) == b"sff"
    port.close()


def test_real_tcp_down_cuts_and_refuses(shell: RealTimeShell) -> None:
    server = Server()
    port = TcpPort(shell, server)
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
    assert [what[0] for what in server.seen] == ["opened", "closed", "opened", "closed"]
    port.close()


def test_a_client_that_reads_slowly_loses_nothing(shell: RealTimeShell) -> None:
    server = Server()
    server.greeting = random.Random(1).randbytes(200_000)
    port = TcpPort(shell, server, 30_000)
    with socket.create_connection(port.address) as client:
        shell.run(shell.now() + 10_000)
        # The least buffer that the kernel gives: what is sent goes in many pieces.
        port._clients[1].sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        shell.run(shell.now() + 50_000)
        assert port._clients[1].waiting
        assert collect(shell, client, len(server.greeting), 20) == server.greeting
    port.close()


def test_a_pseudo_terminal_carries_bytes_in_the_line_s_time(shell: RealTimeShell) -> None:
    port = PtyPort(shell)
    port.line = SerialLine(shell.world, Echo(), 1_000, port.to_agent, 4)
    descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    began = shell.now()
    os.write(descriptor, bytes(range(256))[:40])
    shell.run(began + 70_000)
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        assert not selector.select(0)  # 80 characters of 1 ms have not passed
        while not selector.select(0):
            shell.run(shell.now() + 1_000)
    assert shell.now() - began >= 80_000
    assert os.read(descriptor, 100) == bytes(range(40))
    os.close(descriptor)
    port.close()


def drained(descriptor: int) -> bytes:
    """All that can be read now."""
    got = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            got += os.read(descriptor, 65536)
    return got


def test_a_full_pseudo_terminal_loses_bytes_and_counts_them(shell: RealTimeShell) -> None:
    port = PtyPort(shell)
    for _ in range(100):
        port.to_agent(b"x" * 1_000)
    assert 0 < port.lost_bytes < 100_000
    descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    assert len(drained(descriptor)) + port.lost_bytes == 100_000
    os.close(descriptor)
    port.cut = True
    lost = port.lost_bytes
    port.to_agent(b"not even sent")
    assert port.lost_bytes == lost
    port.close()
