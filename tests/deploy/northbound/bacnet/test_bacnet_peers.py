# SPDX-License-Identifier: Apache-2.0
"""Who sends a message: the address of its datagram, apart from the origin that it names.

A client behind a BACnet router gets its answers by the way of its requests, whatever other hosts
say about routes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

import pytest
from bacpypes3.ipv4 import IPv4DatagramProtocol

from deploy.northbound.access.types import FakeWriter
from deploy.northbound.bacnet.subscriptions import MAX_OF_CLIENT
from deploy.northbound.rate_limit import Quantity, ShareLimits
from tests.deploy.northbound.bacnet.bacnet_rig import DEVICE, BacnetRig, set_limits
from tests.deploy.northbound.bacnet.wire import (
    READ,
    WRITE,
    client_socket,
    confirmed,
    dissect,
    object_id,
)

READ_AI = bytes((0, 5, 1, READ)) + object_id(0, 1) + b"\x19\x55"


def unicast(npdu: bytes, function: int = 0x0A) -> bytes:
    return bytes((0x81, function)) + (len(npdu) + 4).to_bytes(2, "big") + npdu


def forwarded(npdu: bytes, host: str, port: int = 47808) -> bytes:
    origin = socket.inet_aton(host) + port.to_bytes(2, "big")
    return b"\x81\x04" + (len(npdu) + 10).to_bytes(2, "big") + origin + npdu


def routed(network: int, address: bytes, apdu: bytes) -> bytes:
    """Return an NPDU of a client behind a router, which expects a reply."""
    return b"\x01\x0c" + network.to_bytes(2, "big") + bytes((len(address),)) + address + apdu


class Host:
    """A socket with an address of the loopback."""

    def __init__(self, rig: BacnetRig, stack: contextlib.ExitStack, host: str) -> None:
        self._device = ("127.0.0.1", rig.port)
        self.sock = stack.enter_context(client_socket(host, rig.port))
        self.sock.settimeout(5)

    def send(self, data: bytes) -> None:
        self.sock.sendto(data, self._device)

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.sock.recv(2000)


def network_messages() -> list[bytes]:
    """Return messages about routes and numbers of networks, as of any host."""
    networks = b"".join(number.to_bytes(2, "big") for number in range(1000, 1064))
    route = b"\x01\x80\x01" + networks
    number = b"\x01\x80\x13\x02\x58\x01"  # Network-Number-Is 600
    mine = b"\x01\x80\x01\x02\x58"  # I-Am-Router-To-Network 600
    other = b"\x01\x80\x03\x00\x02\x58"  # Reject-Message-To-Network 600
    found = [unicast(npdu, code) for npdu in (route, number, mine, other) for code in (10, 11)]
    return found + [forwarded(npdu, "127.0.0.66") for npdu in (route, number, mine, other)]


def test_a_client_behind_a_router_is_served_whatever_others_send() -> None:
    rig = BacnetRig()
    with rig.serve(), contextlib.ExitStack() as stack:
        router, other = (Host(rig, stack, f"127.0.0.{n}") for n in (5, 200))
        for message in network_messages():
            other.send(message)
        for network in range(600, 700):  # also the same client, by another router
            other.ask(unicast(routed(network, b"\x09", READ_AI)))
        for network in (600, 1000, 700):
            answer = router.ask(unicast(routed(network, b"\x09", READ_AI)))
            destination = network.to_bytes(2, "big") + b"\x01\x09"
            assert answer[4:10] == b"\x01\x20" + destination
            assert "Complex-ACK" in dissect(answer)
        cache = rig.device.nsap.router_info_cache
        assert (cache.path_info, cache.router_dnets) == ({}, {})
        assert list(rig.device.nsap.adapters) == [None], "the own network has no number"
    assert rig.errors == []


def test_notifications_go_the_way_of_the_subscription() -> None:
    rig = BacnetRig()
    with rig.serve(), contextlib.ExitStack() as stack:
        router, other = (Host(rig, stack, f"127.0.0.{n}") for n in (5, 200))
        subscribe = b"\x09\x07" + object_id(0, 1, 1) + b"\x29\x00\x39\x3c"
        data = unicast(routed(600, b"\x09", confirmed(5, subscribe)[6:]))
        assert router.ask(data)[-3] == 0x20
        router.sock.recv(2000)  # the first notification
        cancel = b"\x09\x07" + object_id(0, 1, 1)
        other.ask(unicast(routed(600, b"\x09", confirmed(5, cancel)[6:])))
        rig.next_record(lambda s: s.set_point("supply_temperature", 20_000))
        assert struct.pack(">f", 20.0) in router.sock.recv(2000), "others end no subscription"


def test_a_host_has_one_share_of_subscriptions_for_all_that_it_names() -> None:
    rig = BacnetRig()
    with rig.serve(), contextlib.ExitStack() as stack:
        host, other = (Host(rig, stack, f"127.0.0.{n}") for n in (200, 9))
        accepted = 0
        for number in range(140):
            data = bytes((0x09, number)) + object_id(0, 1, 1) + b"\x29\x00\x3a\x0e\x10"
            apdu = confirmed(5, data, number)[6:]
            reply = host.ask(unicast(routed(1000 + number % 3, bytes((number,)), apdu)))
            while (
                reply[-3:] != bytes((0x20, number, 5)) and b"\x50" + bytes((number,)) not in reply
            ):
                reply = host.sock.recv(2000)
            accepted += reply[-3] == 0x20
        assert accepted == MAX_OF_CLIENT
        reply = other.ask(confirmed(5, b"\x09\x01" + object_id(0, 1, 1) + b"\x29\x01\x39\x3c"))
        assert reply[6] == 0x20


def test_a_datagram_above_a_limit_does_not_reach_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would make an address, a message and a task of it."""
    made: list[object] = []
    original = IPv4DatagramProtocol.datagram_received

    def receive(self: Any, data: bytes, source: tuple[str, int]) -> None:
        made.append(source)
        original(self, data, source)

    monkeypatch.setattr(IPv4DatagramProtocol, "datagram_received", receive)
    set_limits(monkeypatch, ShareLimits(Quantity(1e-6, 3, 1e-6, 100, 1e-6)))
    rig = BacnetRig()
    with rig.serve(), contextlib.ExitStack() as stack:
        host, other = (Host(rig, stack, f"127.0.0.{n}") for n in (200, 9))
        for _ in range(3):
            assert host.ask(unicast(b"\x01\x04" + READ_AI))
        for _ in range(20):
            host.send(unicast(b"\x01\x04" + READ_AI))
        assert other.ask(unicast(b"\x01\x04" + READ_AI))
        host.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            host.sock.recv(2000)
    assert made == []


def test_a_host_has_one_share_of_long_answers_for_all_that_it_names() -> None:
    rig = BacnetRig()
    objects = object_id(8, DEVICE) + b"\x19\x4c"
    with rig.serve(), contextlib.ExitStack() as stack:
        host = Host(rig, stack, "127.0.0.200")
        for number in range(40):
            apdu = bytes((0x02, 0x70, number, READ)) + objects  # 50 bytes a segment
            host.ask(unicast(routed(1000 + number, b"\x01", apdu)))

        async def count() -> int:
            return len(rig.device.asap.serverTransactions)

        assert rig.call(count()) <= 16


@pytest.mark.parametrize("service", [6, 9, 10])
def test_a_forwarded_attempt_has_the_address_of_its_datagram(service: int) -> None:
    """Time synchronisation and WriteGroup in the name of a permitted client."""
    rig = BacnetRig(FakeWriter(), networks=["127.0.0.7/32"])
    with rig.serve(), contextlib.ExitStack() as stack:
        host, permitted = (Host(rig, stack, f"127.0.0.{n}") for n in (200, 7))
        apdu = bytes((0x10, service)) + b"\xa4\x7e\x0b\x1d\x00\xb4\x06\x00\x00\x00"
        host.send(forwarded(b"\x01\x20\xff\xff\x00\xff" + apdu, "127.0.0.7"))
        host.send(forwarded(b"\x01\x28\xff\xff\x00\x00\x05\x01\x33\xff" + apdu, "127.0.0.7"))
        permitted.send(unicast(b"\x01\x20\xff\xff\x00\xff" + apdu, 0x0B))
        permitted.ask(unicast(b"\x01\x04" + READ_AI))
    assert [entry[:2] for entry in rig.audit.entries] == [
        ("127.0.0.7 via 127.0.0.200", "127.0.0.200"),
        ("5:51@127.0.0.7 via 127.0.0.200", "127.0.0.200"),
        ("127.0.0.7", "127.0.0.7"),
    ]


def test_each_refusal_names_the_same_client_behind_a_router() -> None:
    """Rejected before the service, refused by it, not decoded, segmented."""
    rig = BacnetRig(FakeWriter(), networks=["127.0.0.0/8"])
    value = object_id(2, 11) + b"\x19\x55\x3e\x44" + struct.pack(">f", 33.0) + b"\x3f"
    attempts = [
        bytes((0, 5, 9, 17)) + b"\x09\x01",
        confirmed(WRITE, value)[6:],
        bytes((0, 5, 9, WRITE)) + object_id(2, 11) + b"\x19\x55",
        bytes((0x08, 5, 9, 0, 4, WRITE)) + value,
        bytes((0, 5, 9, 0)) + b"\x09\x01" + object_id(5, 103, 1),
    ]
    with rig.serve(), contextlib.ExitStack() as stack:
        router = Host(rig, stack, "127.0.0.5")
        for apdu in attempts:
            router.ask(unicast(routed(5, b"\x33", apdu)))
    assert len(rig.audit.entries) == len(attempts)
    assert {entry[:2] for entry in rig.audit.entries} == {("5:51 via 127.0.0.5", "127.0.0.5")}
    assert rig.writer is not None
    assert rig.writer.requests == [], "also if the router is in a permitted network"
