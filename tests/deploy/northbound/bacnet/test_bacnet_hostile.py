# SPDX-License-Identifier: Apache-2.0
"""Hostile datagrams: no exception out of the stack, no write, bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import resource
import socket
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.pdu import PDU, IPv4Address

from deploy.northbound.access.types import FakeAudit, FakeWriter
from deploy.northbound.bacnet.datagram_filter import DatagramFilter
from deploy.northbound.bacnet.device import make_device
from deploy.northbound.bacnet.subscriptions import MAX_OF_CLIENT, MAX_SUBSCRIPTIONS
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.rate_limit import UNLIMITED, ShareLimits
from tests.deploy.northbound.bacnet.bacnet_rig import DEVICE, BacnetRig, set_limits
from tests.deploy.northbound.bacnet.wire import (
    ACKNOWLEDGE,
    EVENTS,
    READ,
    READ_RANGE,
    WRITE,
    ask,
    client_socket,
    confirmed,
    datagram,
    object_id,
)
from tests.support.programs import free_udp_port

SEEDS = (
    confirmed(READ, object_id(0, 1) + b"\x19\x55"),
    confirmed(READ, object_id(8, 4194303) + b"\x19\x4c"),
    confirmed(14, object_id(0, 1) + b"\x1e\x09\x55\x09\x08\x1f"),
    confirmed(WRITE, object_id(2, 11) + b"\x19\x55\x3e\x44\x42\x04\x00\x00\x3f\x49\x08"),
    confirmed(16, object_id(2, 11) + b"\x1e\x09\x55\x2e\x44\x42\x04\x00\x00\x2f\x1f"),
    confirmed(READ_RANGE, object_id(20, 1) + b"\x19\x83\x3e\x21\x01\x31\x0a\x3f"),
    confirmed(EVENTS, b""),
    confirmed(ACKNOWLEDGE, b"\x09\x01" + object_id(5, 103, 1) + b"\x29\x02\x3e\x19\x05\x3f"),
    confirmed(5, b"\x09\x01" + object_id(0, 1, 1) + b"\x29\x01\x39\x3c"),
    confirmed(17, b"\x09\x01\x19\x01"),
    confirmed(20, b"\x09\x00"),
    datagram(b"\x08\x0c" + object_id(0, 1) + b"\x19\x55"),  # segmented
    b"\x81\x0b\x00\x0c\x01\x20\xff\xff\x00\xff\x10\x08",
    b"\x81\x0b\x00\x08\x01\x00\x10\x00",
    b"\x81\x04\x00\x0e\x7f\x00\x00\x01\xba\xc0\x01\x00\x10\x08",
    b"\x81\x0a\x00\x09\x01\x80\x01\x00\x05",  # I-Am-Router-To-Network
    b"\x81\x0a\x00\x0b\x01\x80\x06\x01\x00\x05\x01",
)


def _mutate(rng: random.Random, data: bytes) -> bytes:
    result = bytearray(data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(4, len(result) + 1)
        kind = rng.randrange(4)
        if kind == 0 and at < len(result):
            result[at] = rng.randrange(256)
        elif kind == 1:
            result[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 2:
            del result[at:]
        elif at < len(result):
            result[at] ^= 1 << rng.randrange(8)
    if rng.random() < 0.95:
        result[2:4] = len(result).to_bytes(2, "big")
    return bytes(result)


class _Silent:
    """A transport that counts replies."""

    sent = 0

    def sendto(self, data: bytes, address: object) -> None:
        self.sent += 1

    def close(self) -> None:
        pass


def _memory() -> tuple[int, int]:
    """Return the allocated blocks and the resident bytes. tracemalloc takes 4 times the CPU."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return sys.getallocatedblocks(), pages * resource.getpagesize()


async def _attack(count: int) -> dict[str, Any]:
    """Pass mutated datagrams to a device with writes on, for other networks."""
    faults: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: faults.append(context))
    writer, audit = FakeWriter(), FakeAudit()
    audit.record = lambda *_: None  # type: ignore[method-assign]
    settings = {"address": "127.0.0.1/24", "port": free_udp_port(), "device": 1}
    settings["networks"] = ["192.0.2.0/24"]
    app: Any = make_device(settings, FakeSource(1).read(), audit, writer)
    app.update(FakeSource(1).read())
    (link,) = app.link_layers.values()
    await link.server._local_transport_ready.wait()
    link.server.local_transport.close()
    silent = link.server.local_transport = _Silent()
    rng = random.Random(3)
    start = (0, 0)
    for number in range(count):
        data = _mutate(rng, rng.choice(SEEDS))
        source = IPv4Address((f"10.0.{rng.randrange(99)}.{rng.randrange(1, 99)}", 47808))
        await link.server.confirmation(PDU(data, source=source))
        if number % 200 == 0:
            await asyncio.sleep(0.02)
        if number == count // 5:
            start = _memory()
    blocks, resident = (now - then for now, then in zip(_memory(), start, strict=True))
    result = {
        "faults": faults,
        "blocks": blocks,
        "resident": resident,
        "writes": len(writer.requests),
        "transactions": len(app.asap.serverTransactions),
        "subscriptions": app.subscriptions(),
        "replies": silent.sent,
    }
    app.close()
    tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return result


@pytest.mark.parametrize("count", [1_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_mutated_datagrams(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, ShareLimits(UNLIMITED))
    result = asyncio.run(_attack(count))
    assert result["faults"] == []
    assert result["writes"] == 0
    assert result["transactions"] <= 64
    assert result["subscriptions"] <= MAX_SUBSCRIPTIONS - MAX_OF_CLIENT
    assert result["blocks"] < 40_000
    assert result["resident"] < 8_000_000
    assert result["replies"] > count / 5


def _subscribe(
    sock: socket.socket, port: int, process: int, wanted: bytes = b"\x29\x01\x39\x3c"
) -> bytes:
    """Ask for confirmed notifications of AI 1 for 60 s; return the reply. No `wanted`: cancel."""
    data = bytes((0x09, process)) + object_id(0, 1, 1) + wanted
    sock.sendto(confirmed(5, data, process), ("127.0.0.1", port))
    while True:
        reply = sock.recv(2000)[6:]
        if reply[0] & 0xF0 != 0:  # not a notification
            return reply


def test_a_late_timer_of_one_subscription_keeps_no_notification_from_others() -> None:
    """The time of a subscription is over and its timer has not run, as on a busy machine."""
    rig = BacnetRig()
    with rig.serve(), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        for process in (1, 2):
            data = bytes((0x09, process)) + object_id(0, 1, 1) + b"\x29\x00\x39\x3c"
            sock.sendto(confirmed(5, data, process), ("127.0.0.1", rig.port))
            assert {sock.recv(2000)[6] & 0xF0 for _ in range(2)} == {0x20, 0x10}

        async def expire() -> None:
            (detection,) = rig.device._cov_detections.values()
            first = next(c for c in detection.cov_subscriptions if c.proc_id == 1)
            late = asyncio.get_running_loop().time() - 5
            timer = first.cancel_handle._timer
            first.cancel_handle._timer = SimpleNamespace(when=lambda: late, cancel=timer.cancel)

        rig.call(expire())
        rig.next_record(lambda s: s.set_point("supply_temperature", 20_000))
        processes = {sock.recv(2000)[9] for _ in range(2)}
        assert processes == {1, 2}
    assert rig.errors == []


def test_a_silent_subscriber_stops_neither_the_device_nor_other_clients() -> None:
    """It has all its subscriptions, and answers no confirmed notification."""
    rig = BacnetRig(networks=["127.0.0.9/32"])
    with rig.serve(), contextlib.ExitStack() as stack:
        hosts = [2, 2, 3, 4, 9]
        made = [client_socket(f"127.0.0.{host}", rig.port) for host in hosts]
        socks = [stack.enter_context(sock) for sock in made]
        for sock in socks:
            sock.settimeout(5)
        silent, port = socks[0], rig.port
        for process in range(64):
            assert _subscribe(silent, port, process)[0] == 0x20
        assert _subscribe(silent, port, 99)[0] == 0x50
        assert _subscribe(socks[1], port, 99)[0] == 0x50, "another port of the same host"
        for process in range(64):
            assert _subscribe(socks[2], port, process)[0] == 0x20
        assert _subscribe(socks[3], port, 1)[0] == 0x50, "the rest is for permitted networks"
        assert _subscribe(socks[4], port, 1)[0] == 0x20
        for number in range(8):  # more than 256 notifications
            raw = 30_000 + 1000 * number
            rig.next_record(lambda s, raw=raw: s.set_point("supply_temperature", raw))
        assert max(len(held) for held in rig.device._requests.values()) <= 64
        assert _subscribe(silent, port, 1)[0] == 0x20, "renewed"
        assert rig.errors == []


def test_subscriptions_that_begin_and_end_leave_no_crowd_of_unanswered_notifications() -> None:
    """Each one leaves a notification without an answer. 256 of them would stop the library."""
    rig = BacnetRig(networks=["127.0.0.9/32"])
    with rig.serve(), contextlib.ExitStack() as stack:
        made = [client_socket(f"127.0.0.{host}", rig.port) for host in (2, 9)]
        silent, other = (stack.enter_context(sock) for sock in made)
        for sock in (silent, other):
            sock.settimeout(5)
        kinds = []
        for process in range(80):
            kinds.append(_subscribe(silent, rig.port, process)[0] & 0xF0)
            assert _subscribe(silent, rig.port, process, b"")[0] == 0x20
        assert kinds == [0x20] * MAX_OF_CLIENT + [0x50] * (80 - MAX_OF_CLIENT)
        assert max(len(held) for held in rig.device._requests.values()) <= MAX_OF_CLIENT
        assert _subscribe(other, rig.port, 1)[0] == 0x20
        assert rig.errors == []


def test_a_renewal_can_ask_for_the_other_kind_of_notification() -> None:
    """A client that starts again with other settings does not confirm any more (clause 13.14)."""
    rig = BacnetRig()
    with rig.serve(), client_socket("127.0.0.2", rig.port) as sock:
        sock.settimeout(5)
        assert _subscribe(sock, rig.port, 1)[0] == 0x20
        assert sock.recv(2000)[6] == 0, "confirmed"
        assert _subscribe(sock, rig.port, 1, b"\x29\x00\x39\x3c")[0] == 0x20
        rig.next_record(lambda s: s.set_point("supply_temperature", 30_000))
        kinds = {sock.recv(2000)[6] & 0xF0 for _ in range(2)}
        assert 0x10 in kinds, "unconfirmed, though the first one has no answer"


def test_the_next_notification_has_the_newest_value() -> None:
    rig = BacnetRig()
    with rig.serve(), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        rig.next_record(lambda s: s.set_point("supply_temperature", 30_000))
        assert _subscribe(sock, rig.port, 1)[0] == 0x20
        first = sock.recv(2000)
        assert struct.pack(">f", 30.0) in first
        for raw in (31_000, 32_000, 33_000):
            rig.next_record(lambda s, raw=raw: s.set_point("supply_temperature", raw))
        answer = b"\x81\x0a\x00\x09\x01\x00\x20" + first[8:9] + b"\x01"
        sock.sendto(answer, ("127.0.0.1", rig.port))
        assert struct.pack(">f", 33.0) in sock.recv(2000)


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (b"\x39\x10", None),
        (b"\x39\x01", None),
        (b"\x39\x11", (5, 80)),
        (b"\x39\x00", (5, 80)),
        (b"\x3a\x01\x00", (5, 80)),
    ],
)
def test_priorities_of_a_write(tail: bytes, error: tuple[int, int] | None) -> None:
    writer = FakeWriter()
    rig = BacnetRig(writer, networks=["127.0.0.0/8"])
    with rig.serve():
        value = b"\x3e\x44" + struct.pack(">f", 33.0) + b"\x3f"
        last = tail.replace(b"\x39", b"\x49").replace(b"\x3a", b"\x4a")
        reply = ask(rig.port, confirmed(WRITE, object_id(2, 11) + b"\x19\x55" + value + last))
        if error is None:
            assert reply[6] == 0x20
        else:
            assert (reply[6], reply[10], reply[12]) == (0x50, *error)
        assert len(writer.requests) == (error is None)
        indexed = b"\x19\x55\x29\x01" + value
        reply = ask(rig.port, confirmed(WRITE, object_id(2, 11) + indexed))
        assert (reply[6], reply[10], reply[12]) == (0x50, 2, 50)


def test_the_filter_drops_what_is_no_bacnet() -> None:
    times = [0.0]
    tested = DatagramFilter([], clock=lambda: times[0])
    for data in (
        b"",
        b"\x81",
        b"\x82\x0a\x00\x04",
        b"\x81\x05\x00\x06\x00\x3c",
        b"\x81\x0a\x00\x05",
    ):
        assert not tested.accepts(data, "10.0.0.1:47808")
    assert tested.counters.malformed == 5
    good = SEEDS[0]
    accepted = sum(tested.accepts(good, "10.0.0.1:47808") for _ in range(1000))
    assert accepted == 200
    accepted += sum(tested.accepts(good, f"10.0.{n}.1:47808") for n in range(1, 1000))
    assert accepted == 500


def forwarded(npdu: bytes, claimed: tuple[str, int]) -> bytes:
    """Return a Forwarded-NPDU that names the address of its sender."""
    address = socket.inet_aton(claimed[0]) + struct.pack(">H", claimed[1])
    return b"\x81\x04" + (len(npdu) + 10).to_bytes(2, "big") + address + npdu


@pytest.mark.parametrize("header", [b"\x01\x04", b"\x01\x00", b"\x01\x24\xff\xff\x00\xff"])
def test_a_forwarded_request_is_not_executed(header: bytes) -> None:
    """Its sender names the address itself, also that of a permitted client."""
    writer = FakeWriter()
    rig = BacnetRig(writer, networks=["127.0.0.7/32"])
    with rig.serve(), client_socket("127.0.0.7", rig.port) as permitted:
        permitted.settimeout(5)
        with client_socket("127.0.0.200", rig.port) as foreign:
            for request in (*SEEDS[:11], b"\x81\x0a\x00\x09\x01\x00\x20\x01\x0f"):  # and an ack
                data = forwarded(header + request[6:], permitted.getsockname())
                foreign.sendto(data, ("127.0.0.1", rig.port))
            who_is = forwarded(b"\x01\x00\x10\x08", permitted.getsockname())
            foreign.sendto(who_is, ("127.0.0.1", rig.port))
        i_am = permitted.recv(2000)  # the first answer is the one to the broadcast
        assert i_am[6:8] == b"\x10\x00"
        assert not writer.requests
        assert not rig.audit.entries
        value = object_id(2, 11) + b"\x19\x55\x3e\x44" + struct.pack(">f", 33.0) + b"\x3f"
        assert ask(rig.port, confirmed(WRITE, value), "127.0.0.7")[6] == 0x20
        assert len(writer.requests) == 1


def test_a_client_behind_a_router_has_its_own_name_and_no_right() -> None:
    """Network number and address are texts of the request."""
    writer = FakeWriter()
    rig = BacnetRig(writer, networks=["127.0.0.0/8"])
    value = object_id(2, 11) + b"\x19\x55\x3e\x44" + struct.pack(">f", 33.0) + b"\x3f"
    with rig.serve():
        for address in (b"\x04\x7f\x00\x00\x01", b"\x06\x7f\x00\x00\x01\xba\xc0", b"\x01\x09"):
            npdu = b"\x01\x0c\x00\x05" + address + confirmed(WRITE, value)[6:]
            header = b"\x81\x0a" + (len(npdu) + 4).to_bytes(2, "big")
            assert b"\x50\x01\x0f" in ask(rig.port, header + npdu)
    assert writer.requests == []
    users = [entry[0] for entry in rig.audit.entries]
    assert len(set(users)) == 3
    assert all(user.startswith("5:") and user.endswith(" via 127.0.0.1") for user in users), users


def test_a_client_that_acknowledges_no_segment_stops_no_other_client() -> None:
    rig = BacnetRig()
    objects = object_id(8, DEVICE) + b"\x19\x4c"
    with rig.serve(), client_socket("127.0.0.9", rig.port) as slow:
        slow.settimeout(5)

        async def count() -> int:
            return len(rig.device.asap.serverTransactions)

        first = {}
        for invoke in range(100):
            request = datagram(bytes((0x02, 0x70, invoke, READ)) + objects)  # 50 bytes a segment
            slow.sendto(request, ("127.0.0.1", rig.port))
            while (reply := slow.recv(2000))[6] >> 4 == 7:
                first[reply[7]] = reply[8]
        assert first[0] == 3, "the oldest one is aborted: preempted-by-higher-priority-task"
        assert rig.call(count()) <= 16
        for client in range(20, 30):  # with its own addresses
            for invoke in range(16):
                request = datagram(bytes((0x02, 0x70, invoke, READ)) + objects)
                with client_socket(f"127.0.0.{client}", rig.port) as other:
                    other.sendto(request, ("127.0.0.1", rig.port))
                    other.settimeout(5)
                    assert other.recv(2000)[6] >> 4 == 3
        assert rig.call(count()) <= 64
        reply = ask(rig.port, confirmed(READ, object_id(0, 1) + b"\x19\x55"), "127.0.0.8")
        assert reply[6] >> 4 == 3


def test_a_first_segment_without_an_acknowledgement_is_sent_again() -> None:
    rig = BacnetRig()
    objects = object_id(8, DEVICE) + b"\x19\x4c"
    with rig.serve(), client_socket("127.0.0.9", rig.port) as client:
        client.settimeout(20)
        request = datagram(bytes((0x02, 0x70, 7, READ)) + objects)  # 50 bytes a segment
        client.sendto(request, ("127.0.0.1", rig.port))
        first = client.recv(2000)
        assert first[6] >> 4 == 3
        assert client.recv(2000) == first
    assert rig.errors == []


def test_an_address_has_a_share_of_the_processor() -> None:
    """200 requests a second for all properties are more than the processor can answer."""
    times, used, served = [0.0], [0.0], []
    tested = DatagramFilter([], clock=lambda: times[0], work_clock=lambda: used[0])
    server = SimpleNamespace()

    async def answer(pdu: Any) -> None:
        used[0] += 0.05
        served.append(str(pdu.pduSource))

    async def finish() -> None:
        pass

    async def send() -> None:
        for _ in range(100):
            times[0] += 0.01
            for source in ("10.0.0.1:1", "10.0.0.1:2"):
                await server.confirmation(SimpleNamespace(pduData=SEEDS[0], pduSource=source))
        await server.confirmation(SimpleNamespace(pduData=SEEDS[0], pduSource="10.0.0.2:1"))

    server.confirmation = answer
    tested.attach(server, finish)
    asyncio.run(send())
    assert 40 <= len(served) <= 45, "the reserve of 2 s, and 0.1 s in this second"
    assert served[-1] == "10.0.0.2:1"


@pytest.mark.parametrize("error", [ValueError, ErrorRejectAbortNack])
def test_an_error_of_the_library_ends_no_datagram_server(error: type[BaseException]) -> None:
    """Those of bacpypes3 that name an answer are not `Exception`."""
    tested, server = DatagramFilter([]), SimpleNamespace()

    async def fail(_pdu: Any) -> None:
        raise error("of the library")

    async def finish() -> None:
        pass

    server.confirmation = fail
    tested.attach(server, finish)
    pdu = SimpleNamespace(pduData=SEEDS[0], pduSource="10.0.0.1:1")
    asyncio.run(server.confirmation(pdu))
    assert tested.counters.failed == 1
