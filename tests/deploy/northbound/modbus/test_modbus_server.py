# SPDX-License-Identifier: Apache-2.0
"""The server: functions, exceptions, limits of connections, slow and hostile clients."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
import tracemalloc

import pytest
from pymodbus.client import ModbusTcpClient

from deploy.northbound.access.types import FakeWriter
from deploy.northbound.modbus import layout
from deploy.northbound.modbus.server import ModbusClient, ModbusLimits
from deploy.northbound.rate_limit import RequestBudget
from tests.deploy.northbound.modbus.modbus_rig import (
    ModbusRig,
    ask,
    frame,
    is_closed,
    read_reply,
    wait_for,
)

_READER = ModbusClient("192.0.2.1")
READ = struct.pack(">BHH", 3, 0, 2)


def test_other_functions_are_refused() -> None:
    rig = ModbusRig()
    before = rig.registers.registers()
    for code in (*range(3), 5, *range(7, 16), *range(17, 43), *range(44, 256)):
        for data in (b"", b"\0\0\0\1", b"\0\1\0\0", b"\0\0\0\1\2\0\0"):
            reply = rig.requests.answer(bytes((code,)) + data, _READER)
            assert reply == bytes((code | 0x80, 1)), code
    assert rig.registers.registers() == before


def test_writes_are_refused_and_recorded() -> None:
    rig = ModbusRig()
    with rig.serve() as port, socket.create_connection(("127.0.0.1", port)) as sock:
        for address in (0, layout.KEEP_ALIVE, layout.slot_address(0, "wanted"), 5000):
            assert ask(sock, struct.pack(">BHH", 6, address, 3000)) == b"\x86\x01"
            assert ask(sock, struct.pack(">BHHBH", 16, address, 1, 2, 3000)) == b"\x90\x01"
    assert len(rig.audit.entries) == 8
    assert rig.audit.entries[0][1:4] == ("127.0.0.1", "modbus", "write")


@pytest.mark.parametrize(
    ("pdu", "reply"),
    [
        (READ, b"\x03\x04SunS"),
        (struct.pack(">BHH", 4, 0, 2), b"\x04\x04SunS"),
        (struct.pack(">BHH", 3, 0, 0), b"\x83\x03"),
        (struct.pack(">BHH", 3, 0, 126), b"\x83\x03"),
        (struct.pack(">BHH", 3, layout.MAP_SIZE, 1), b"\x83\x02"),
        (struct.pack(">BHH", 3, layout.MAP_SIZE - 1, 1), b"\x03\x02\0\0"),
        (struct.pack(">BHH", 3, layout.MAP_SIZE - 1, 2), b"\x83\x02"),
        (struct.pack(">BHH", 3, 0xFFFF, 1), b"\x83\x02"),
        (b"\x03", b"\x83\x03"),
        (struct.pack(">BHHB", 3, 0, 2, 0), b"\x83\x03"),
        (b"\x2b", b"\xab\x01"),
        (b"\x2b\x0d\0\0", b"\xab\x01"),
        (b"\x2b\x0e\x05\0", b"\xab\x03"),
        (b"\x2b\x0e\x04\x09", b"\xab\x02"),
        (b"\x10\0\0\0\1\2\0", b"\x90\x03"),
        (b"\x10\0\0\0\2\4\0\0\0\0", b"\x90\x02"),
        (b"\x06\0\0", b"\x86\x03"),
    ],
)
def test_replies_at_the_edges(pdu: bytes, reply: bytes) -> None:
    assert ModbusRig().requests.answer(pdu, _READER) == reply


def test_identification() -> None:
    rig = ModbusRig()
    with rig.serve() as port, ModbusTcpClient("127.0.0.1", port=port) as client:
        basic = client.read_device_information(read_code=1, object_id=0)
        assert basic.information == {0: b"Example", 1: b"P-1", 2: b"coldloop 0.2.0"}
        regular = client.read_device_information(read_code=2, object_id=0)
        assert regular.information[5] == b"CDU-100"
        assert regular.information[6] == b"demo/row1-cdu1"


def test_another_unit_id_gets_a_gateway_exception() -> None:
    rig = ModbusRig()
    with rig.serve() as port, socket.create_connection(("127.0.0.1", port)) as sock:
        for unit in (0, 1, 255):
            assert ask(sock, READ, unit)[:1] == b"\x03"
        assert ask(sock, READ, 2) == b"\x83\x0b"


def test_frames_in_pieces_and_together() -> None:
    rig = ModbusRig()
    read = frame(READ)
    with rig.serve() as port, socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in read:
            sock.sendall(bytes((byte,)))
        assert read_reply(sock) == b"\x03\x04SunS"
        sock.sendall(read * 20)
        assert [read_reply(sock) for _ in range(20)] == [b"\x03\x04SunS"] * 20


@pytest.mark.parametrize("header", ["00070001000601", "00070000000101", "0007000000ff01"])
def test_a_bad_header_ends_the_connection(header: str) -> None:
    rig = ModbusRig()
    with rig.serve() as port, socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(bytes.fromhex(header) + bytes(10))
        assert is_closed(sock)
        assert rig.server is not None
        assert rig.server.counters.bad_frames == 1


def test_connections_are_limited_and_idle_ones_end() -> None:
    rig = ModbusRig()
    limits = ModbusLimits(connections=3, per_address=3, idle_s=0.6)
    with rig.serve(limits) as port, _Clients(port) as clients:
        socks = [clients.connect() for _ in range(3)]
        assert all(_is_answered(sock) for sock in socks)
        assert not _is_answered(clients.connect())
        assert all(is_closed(sock) for sock in socks)
        assert _is_answered(clients.connect())


class _Clients(contextlib.ExitStack):
    """Connections to a port; all are closed at the end."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def connect(self, host: int = 1) -> socket.socket:
        """Connect from 127.0.0.`host`."""
        target, source = ("127.0.0.1", self._port), (f"127.0.0.{host}", 0)
        return self.enter_context(socket.create_connection(target, 5, source))


def _is_answered(sock: socket.socket) -> bool:
    """Return whether a request has its reply; if not, the server has closed the connection."""
    with contextlib.suppress(OSError):
        return ask(sock, READ) == b"\x03\x04SunS"
    return False


def test_silent_connections_of_other_addresses_keep_no_master_out() -> None:
    """16 places; the oldest silent one is closed for the master, one for each new connection."""
    rig = ModbusRig()
    with rig.serve(ModbusLimits(first_s=60.0)) as port, _Clients(port) as clients:
        silent = [clients.connect(2 + number % 4) for number in range(16)]
        server = rig.server
        assert server is not None
        wait_for(lambda: server.counters.connections == 16)
        master = clients.connect()
        assert _is_answered(master)
        assert is_closed(silent[0])
        silent += [clients.connect(2 + number % 4) for number in range(40)]  # again and again
        wait_for(lambda: server.counters.evicted == 41)
        assert _is_answered(master)
        assert len(server._open) == 16


def test_silent_connections_push_no_new_master_out() -> None:
    """A master that has not sent its first request yet is alone at its address."""
    rig = ModbusRig()
    with rig.serve(ModbusLimits(first_s=60.0)) as port, _Clients(port) as clients:
        master = clients.connect(9)
        for number in range(40):
            clients.connect(2 + number % 4)
        server = rig.server
        assert server is not None
        wait_for(lambda: server.counters.evicted == 25)
        assert _is_answered(master)


def test_half_open_connections_of_a_master_keep_it_not_out() -> None:
    """It has sent requests on four connections, and lost power. Active ones stay."""
    rig = ModbusRig()
    with rig.serve(ModbusLimits(gives_way_s=0.5)) as port, _Clients(port) as clients:
        socks = [clients.connect() for _ in range(4)]
        assert all(_is_answered(sock) for sock in socks)
        assert not _is_answered(clients.connect()), "all four have just had a request"
        time.sleep(0.3)
        assert all(_is_answered(sock) for sock in socks[1:])
        time.sleep(0.3)
        assert _is_answered(clients.connect())
        assert is_closed(socks[0])
        assert all(_is_answered(sock) for sock in socks[1:])


def test_idle_connections_of_many_addresses_keep_no_master_out() -> None:
    """They have sent one request each: the address with the most connections gives way."""
    rig = ModbusRig()
    with rig.serve(ModbusLimits(gives_way_s=0.0)) as port, _Clients(port) as clients:
        lone = clients.connect(9)
        socks = [clients.connect(2 + number % 4) for number in range(15)]
        assert all(_is_answered(sock) for sock in (lone, *socks))
        master = clients.connect()
        assert _is_answered(master)
        assert _is_answered(lone)
        assert is_closed(socks[0])


def test_active_connections_of_others_keep_no_writer_out() -> None:
    """Four addresses with four active connections each; the last places are for writers."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(
            ModbusRig().serve(is_permitted=lambda address: address == "127.0.0.9")
        )

        def open_one(host: int) -> socket.socket:
            address = (f"127.0.0.{host}", 0)
            return stack.enter_context(
                socket.create_connection(("127.0.0.1", port), 5, source_address=address)
            )

        others = [open_one(2 + number % 4) for number in range(16)]
        served = 0
        for sock in others:
            with contextlib.suppress(OSError):
                served += ask(sock, READ) == b"\x03\x04SunS"
        assert served == 12
        for _ in range(4):
            assert ask(open_one(9), READ) == b"\x03\x04SunS"


def test_a_connection_without_a_request_ends_within_seconds() -> None:
    assert ModbusLimits().first_s <= 5
    rig = ModbusRig()
    with rig.serve(ModbusLimits(first_s=0.2)) as port, _Clients(port) as clients:
        silent, active = clients.connect(), clients.connect()
        assert _is_answered(active)
        assert is_closed(silent)
        assert _is_answered(active)


def test_a_thousand_half_open_connections() -> None:
    rig = ModbusRig()
    with rig.serve() as port:
        socks = []
        for _ in range(1000):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(b"\0")
            socks.append(sock)
            if len(socks) > 100:
                socks.pop(0).close()
        for sock in socks:
            sock.close()
        wait_for(lambda: _is_served(port))


def test_a_client_that_does_not_read_is_bounded() -> None:
    rig = ModbusRig()
    read = frame(struct.pack(">BHH", 3, 0, 120))
    with rig.serve() as port, socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            for _ in range(100_000):
                sock.sendall(read * 50)
            pytest.fail("the server took all requests")
        assert rig.server is not None
        (writer,) = rig.server._open
        assert writer.transport.get_write_buffer_size() < 200_000


def _is_served(port: int) -> bool:
    """Return whether a new client gets a reply; connections before it can still be open."""
    with socket.create_connection(("127.0.0.1", port)) as sock, contextlib.suppress(OSError):
        return ask(sock, READ) == b"\x03\x04SunS"
    return False


def test_the_budget_of_requests() -> None:
    budget = RequestBudget(rate=10, burst=5)
    assert [budget.take("a", 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert budget.take("b", 0.0)
    assert [budget.take("a", now) for now in (0.09, 0.1, 0.19, 0.2)] == [False, True, False, True]
    assert [budget.take("a", 1.0) for _ in range(6)] == [True] * 5 + [False]
    for number in range(5000):
        budget.take(str(number), 2.0)
    assert len(budget._buckets) <= 1024


def test_each_attempt_to_change_has_an_entry() -> None:
    """Malformed, of several registers, of other functions, and of a client without a role."""
    writer = FakeWriter()
    rig = ModbusRig(writer)
    slot = layout.slot_address(0, "wanted")
    attempts = [
        struct.pack(">BHHB2H", 16, slot, 2, 4, 3300, 900),
        struct.pack(">BHHB", 16, slot, 1, 2),
        struct.pack(">BHHBHH", 16, slot, 1, 4, 3300, 0),
        struct.pack(">BH", 6, slot),
        bytes((6,)),
        *(bytes((code, 0, 0, 0, 1)) for code in (5, 8, 15, 21, 22, 23)),
    ]
    for number, pdu in enumerate(attempts):
        reply = rig.requests.answer(pdu, _READER)
        assert reply[0] == pdu[0] | 0x80
        assert len(rig.audit.entries) == number + 1, pdu
        user, address, protocol, action, target, result = rig.audit.entries[-1]
        assert (user, address, protocol, action) == ("192.0.2.1", "192.0.2.1", "modbus", "write")
        assert target == f"function {pdu[0]}"
        assert result.startswith("refused: ")
    count = len(rig.audit.entries)
    outsider = ModbusClient("192.0.2.2", "", "CN=x", tls=True)
    rig.requests.answer(struct.pack(">BHH", 6, slot, 3300), outsider)
    assert rig.audit.entries[-1][0] == "CN=x"
    for pdu in (READ, bytes((3,)), bytes((17,)), bytes((43, 14, 1, 0))):
        rig.requests.answer(pdu, _READER)
    assert len(rig.audit.entries) == count + 1
    assert writer.requests == []


def test_random_requests_change_nothing() -> None:
    _fuzz(requests=20_000)


@pytest.mark.soak
def test_a_million_random_requests_change_nothing() -> None:
    _fuzz(requests=1_000_000)


def _fuzz(requests: int) -> None:
    rng = random.Random(4)
    writer = FakeWriter()
    rig = ModbusRig(writer)  # writes are on, but no source is permitted
    before = rig.registers.registers()
    rig.audit.record = lambda *_: None  # type: ignore[method-assign]
    tracemalloc.start()
    start = 0
    for number in range(requests):
        code = rng.choice((3, 4, 6, 16, 43, rng.randrange(256)))
        size = rng.choice((0, 1, 2, 3, 4, 4, 4, 5, 6, 7, rng.randrange(253)))
        data = rng.randbytes(size)
        if rng.random() < 0.5 and size >= 2:
            data = struct.pack(">H", rng.choice((0, 286, 288, 389, 390))) + data[2:]
        client = rng.choice((_READER, ModbusClient("x"), ModbusClient("127.0.0.1", "", "", True)))
        reply = rig.requests.answer(bytes((code,)) + data, client)
        assert 2 <= len(reply) <= 253
        assert reply[0] & 0x7F == code & 0x7F
        if number == requests // 10:
            start = tracemalloc.get_traced_memory()[0]
    grown = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    assert grown < 200_000
    assert writer.requests == []
    assert rig.registers.registers() == before


def test_random_bytes_on_connections() -> None:
    rig = ModbusRig()
    rng = random.Random(5)
    with rig.serve(ModbusLimits(8, 8, requests_per_s=1e6, burst=1e6)) as port:
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(rng.randbytes(rng.randrange(1, 400)))
        wait_for(lambda: _is_served(port))
