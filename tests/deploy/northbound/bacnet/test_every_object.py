# SPDX-License-Identifier: Apache-2.0
"""Each object with each service: no fault of the library ends the server or a subscription."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
from bacpypes3.basetypes import PropertyIdentifier

from deploy.northbound.bacnet.subscriptions import ChangeCriteria
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.rate_limit import UNLIMITED, ShareLimits
from tests.deploy.northbound.bacnet.bacnet_rig import DEVICE, BacnetRig, set_limits
from tests.deploy.northbound.bacnet.wire import (
    READ,
    READ_RANGE,
    ask,
    client_socket,
    confirmed,
    object_id,
)
from tests.support.programs import free_udp_port

SUBSCRIBE, SUBSCRIBE_PROPERTY, READ_MULTIPLE = 5, 28, 14
ACK, ERROR, REJECT, COMPLEX, UNCONFIRMED = 0x20, 0x50, 0x60, 0x30, 0x10
SUBSCRIBED = {0, 2, 3, 5, 19, 48}
"""AI, AV, BI, BV, MSV, positive integer value (table 13-1); the device has no other of them."""
MSV_UNIT_STATE = 1


def _identifiers(rig: BacnetRig) -> list[tuple[int, int]]:
    return sorted((int(i[0]), int(i[1])) for i in rig.device.objectIdentifier)


def _subscribe(number: int, target: tuple[int, int], lifetime: int = 600) -> bytes:
    data = bytes((0x09, number)) + object_id(*target, 1) + b"\x29\x00\x3a"
    return confirmed(SUBSCRIBE, data + lifetime.to_bytes(2, "big"))


def _is_fault(reply: bytes) -> bool:
    """Return whether a handler has raised: the error device, operational-problem."""
    return reply[6] == ERROR and reply[9:] == b"\x91\x00\x91\x19"


@pytest.fixture(autouse=True)
def _no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One client asks for everything: the limits of datagrams are tested elsewhere."""
    set_limits(monkeypatch, ShareLimits(UNLIMITED))


def test_each_object_has_an_answer_to_each_service() -> None:
    rig = BacnetRig()
    with rig.serve():
        for kind, instance in _identifiers(rig):
            target = (kind, instance)
            requests = {
                "read": (READ, object_id(*target) + b"\x19\x4d", COMPLEX),  # object-name
                "all": (READ_MULTIPLE, object_id(*target) + b"\x1e\x09\x08\x1f", COMPLEX),
                "range": (READ_RANGE, object_id(*target) + b"\x1a\x00\x83", COMPLEX),
                "property": (SUBSCRIBE_PROPERTY, b"\x09\x01" + object_id(*target, 1), REJECT),
            }
            for name, (service, data, wanted) in requests.items():
                reply = ask(rig.port, confirmed(service, data))
                assert not _is_fault(reply), (target, name)
                if name != "range" or kind == 20:
                    assert reply[6] & 0xF0 == wanted, (target, name, reply.hex())
    assert rig.errors == []
    assert rig.device.faults.count == 0


def test_each_object_type_is_subscribed() -> None:
    rig = BacnetRig()
    with rig.serve():
        for target in _identifiers(rig):
            if target[0] == 5 and target[1] > 110:  # the alarms have one class
                continue
            reply = ask(rig.port, _subscribe(1, target))
            assert not _is_fault(reply), target
            assert (reply[6] == ACK) == (target[0] in SUBSCRIBED), (target, reply.hex())
            if reply[6] == ACK:
                rig.call(_end_all(rig.device))
    assert rig.errors == []
    assert rig.device.faults.count == 0


async def _end_all(device: Any) -> None:
    for cov in device._held():
        device.cancel_subscription(cov)


def test_each_property_is_read() -> None:
    rig = BacnetRig()
    with rig.serve():
        one: dict[int, int] = {}
        for kind, instance in _identifiers(rig):
            one.setdefault(kind, instance)
        for kind, instance in one.items():
            found = rig.device.get_object_id((kind, instance))
            for name in found._elements:
                number = _number(name)
                for index in (b"", b"\x29\x00", b"\x29\x01"):
                    data = object_id(kind, instance) + _property(number) + index
                    reply = ask(rig.port, confirmed(READ, data))
                    assert not _is_fault(reply), (kind, name, index)
    assert rig.errors == []


def _number(name: str) -> int:
    return int(PropertyIdentifier(name))


def _property(number: int) -> bytes:
    if number < 256:
        return bytes((0x19, number))
    return b"\x1a" + number.to_bytes(2, "big")


def _changes(rig: BacnetRig) -> None:
    """Change all values, make them unknown, make the record stale and current again."""
    for _ in range(6):
        rig.next_record()
    rig.next_record(FakeSource.stop)
    rig.next_record(FakeSource.step)


def test_each_object_changes_while_it_is_subscribed() -> None:
    """Each subscription gets its notifications, in groups below the limit of subscriptions."""
    rig = BacnetRig()
    with rig.serve():
        targets = [t for t in _identifiers(rig) if t[0] in SUBSCRIBED]
        for start in range(0, len(targets), 60):
            group = targets[start : start + 60]
            with client_socket(f"127.0.9.{1 + start // 60}", rig.port) as sock:
                sock.settimeout(5)
                for number, target in enumerate(group):
                    sock.sendto(_subscribe(number, target), ("127.0.0.1", rig.port))
                    kinds = {sock.recv(2000)[6] & 0xF0 for _ in range(2)}
                    assert kinds == {ACK, UNCONFIRMED}, target
                _changes(rig)
                assert _reported(sock, len(group)) == set(range(len(group)))
            rig.call(_end_all(rig.device))
    assert rig.errors == []
    assert rig.device.faults.count == 0


def _reported(sock: socket.socket, count: int) -> set[int]:
    """Return the processes with a notification; ends when all have one."""
    found: set[int] = set()
    while len(found) < count:
        found.add(sock.recv(2000)[9])
    return found


def test_the_state_of_the_unit_is_notified() -> None:
    rig = BacnetRig()
    with rig.serve(), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        rig.next_record(lambda s: s.set_point("unit_state", 1))
        sock.sendto(_subscribe(1, (19, MSV_UNIT_STATE)), ("127.0.0.1", rig.port))
        assert {sock.recv(2000)[6] & 0xF0 for _ in range(2)} == {ACK, UNCONFIRMED}
        rig.next_record(lambda s: s.set_point("unit_state", 3))
        assert b"\x09\x55\x2e\x21\x04\x2f" in sock.recv(2000)


class _BrokenCriteria(ChangeCriteria):
    """Detection that fails when it is made, after it has bound the object, as in bacpypes3."""

    def __init__(self, target: Any) -> None:
        super().__init__(target)
        raise AttributeError("previously_reported_value")


class _BrokenLater(ChangeCriteria):
    """Detection that fails at each change of the value."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "presentValue" and "cov_subscriptions" in self.__dict__:
            raise TypeError("a fault of the library")
        super().__setattr__(name, value)


@pytest.mark.parametrize("broken", [_BrokenCriteria, _BrokenLater])
def test_a_fault_of_the_library_ends_nothing(
    broken: type[ChangeCriteria], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is counted and logged once; other subscriptions, trend logs and updates go on."""
    rig = BacnetRig()
    with rig.serve(), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        rig.next_record(lambda s: s.set_point("supply_temperature", 30_000))
        sock.sendto(_subscribe(1, (0, 1)), ("127.0.0.1", rig.port))
        assert {sock.recv(2000)[6] & 0xF0 for _ in range(2)} == {ACK, UNCONFIRMED}
        rig.device.get_object_id((19, MSV_UNIT_STATE))._cov_criteria = broken
        reply = ask(rig.port, _subscribe(2, (19, MSV_UNIT_STATE)), "127.0.0.2")
        assert reply[6] == (ERROR if broken is _BrokenCriteria else ACK)
        records = len(rig.device.trends.by_key["heat"].records)

        def change(source: FakeSource) -> None:
            source.set_point("unit_state", 4)
            source.set_point("supply_temperature", 60_000)
            source.replace(utc=source.snapshot.utc.replace(hour=20))  # type: ignore[union-attr]

        rig.next_record(change)
        assert struct.pack(">f", 60.0) in sock.recv(2000)
        assert len(rig.device.trends.by_key["heat"].records) == records + 1
        assert rig.device.subscriptions() >= 1
        assert rig.device.faults.count >= 1
    assert capsys.readouterr().err.count("previously_reported" if broken is _BrokenCriteria
                                         else "a fault of the library") == 1  # fmt: skip


def test_a_part_that_fails_stops_no_other_part() -> None:
    """Each step of an update in turn; the service goes on with the next record."""
    for name in ("points", "trends", "alarms", "events"):
        rig = BacnetRig(recipients=[f"127.0.0.1:{free_udp_port()}"])
        with rig.serve():
            part = getattr(rig.device, name)

            def fail(*_: object) -> None:
                raise RuntimeError("a fault")

            method = {"points": "update", "trends": "add", "alarms": "update", "events": "notify"}
            setattr(part, method[name], fail)
            for _ in range(5):
                rig.next_record()
            assert rig.device.faults.count >= 1, name
            assert int(rig.device.device_object.systemStatus) == 0
            reply = ask(rig.port, confirmed(READ, object_id(8, DEVICE) + b"\x19\x4d"))
            assert reply[6] & 0xF0 == COMPLEX
        assert rig.errors == []


def test_one_subscription_that_fails_stops_no_other() -> None:
    rig = BacnetRig()
    with rig.serve(), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        for number in (1, 2):
            sock.sendto(_subscribe(number, (0, 1)), ("127.0.0.1", rig.port))
            assert {sock.recv(2000)[6] & 0xF0 for _ in range(2)} == {ACK, UNCONFIRMED}

        async def spoil() -> None:
            first = next(c for c in rig.device._held() if c.proc_id == 1)
            first.obj_id = "no identifier"
            await asyncio.sleep(0)

        rig.call(spoil())
        rig.next_record(lambda s: s.set_point("supply_temperature", 20_000))
        assert sock.recv(2000)[9] == 2
        assert rig.device.faults.count == 1
    assert rig.errors == []
