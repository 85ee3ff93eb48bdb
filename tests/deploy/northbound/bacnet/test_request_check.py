# SPDX-License-Identifier: Apache-2.0
"""Reject reasons (ANSI/ASHRAE 135, clause 18.8): bytes written here, replies read by tshark."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from deploy.northbound.access.types import FakeWriter
from deploy.northbound.bacnet.request_check import (
    INVALID_TAG,
    UNRECOGNIZED,
    RejectError,
    check_request,
)
from tests.deploy.northbound.bacnet.bacnet_rig import BacnetRig, NodeClient
from tests.deploy.northbound.bacnet.test_bacnet_hostile import SEEDS
from tests.deploy.northbound.bacnet.wire import (
    ACKNOWLEDGE,
    EVENTS,
    READ,
    READ_RANGE,
    WRITE,
    ask,
    confirmed,
    datagram,
    dissect,
    object_id,
)
from tests.support.programs import free_udp_port

EXECUTED = (0, 5, 12, 14, 15, 16, 26, 29)
SUBSCRIBE, READ_MULTIPLE, WRITE_MULTIPLE = 5, 14, 16
CONTROL, REINITIALIZE = 17, 20
OBJECT, PROPERTY = object_id(0, 1), b"\x19\x55"
REAL = b"\x3e\x44" + struct.pack(">f", 33.0) + b"\x3f"
ALARM_1 = b"\x09\x01" + object_id(5, 103, 1)
STAMP_3, STAMP_5 = b"\x3e\x19\x05\x3f", b"\x5e\x19\x05\x5f"
TEXT_4 = b"\x4c\x00bms"
SUBSCRIBER = b"\x09\x01" + object_id(0, 1, 1)

REASONS = {
    "inconsistent-parameters": [
        (SUBSCRIBE, SUBSCRIBER + b"\x39\x3c"),  # a lifetime, but not the kind of notification
    ],
    "invalid-parameter-data-type": [
        (READ, b"\x0b\x00\x00\x01" + PROPERTY),  # an object identifier of 3 bytes
        (READ, OBJECT + b"\x18"),  # an enumeration of no byte
        (READ, OBJECT + PROPERTY + b"\x28"),
        (SUBSCRIBE, SUBSCRIBER + b"\x2a\x00\x00\x39\x3c"),  # a Boolean of 2 bytes
        (SUBSCRIBE, SUBSCRIBER + b"\x29\x02\x39\x3c"),
        (WRITE, OBJECT + PROPERTY + REAL + b"\x48"),
        (EVENTS, b"\x0a\x00\x01"),
        (ACKNOWLEDGE, ALARM_1 + b"\x29\x02" + STAMP_3 + b"\x48" + STAMP_5),
    ],
    "invalid-tag": [
        (READ, b"\xff\xff"),
        (READ, b"\xc4\x00\x00\x00\x01\x19\x55"),  # application tag
        (READ, b"\x0c\x00\x00\x01"),  # truncated
        (READ, OBJECT + b"\x1e\x09\x55"),  # not closed
        (READ, OBJECT + b"\x1f"),
        (READ, OBJECT + b"\x1e\x09\x55\x2f"),
        (READ, OBJECT + b"\x1e\x09\x55\x1f"),  # constructed instead of primitive
        (READ, OBJECT + b"\x06"),  # reserved length
        (READ, OBJECT + PROPERTY + PROPERTY),
        (READ_MULTIPLE, OBJECT + b"\x19\x55"),
        (WRITE, OBJECT + PROPERTY + b"\x39\x05"),
        (READ, OBJECT + b"\x1d\xfe\x00"),
    ],
    "missing-required-parameter": [
        (READ, b""),
        (READ, OBJECT),
        (READ, PROPERTY),
        (READ_MULTIPLE, b""),
        (READ_MULTIPLE, OBJECT),
        (READ_MULTIPLE, OBJECT + b"\x1e\x1f"),
        (READ_MULTIPLE, OBJECT + b"\x1e\x09\x55\x1f" + OBJECT),
        (WRITE, OBJECT + PROPERTY),
        (WRITE, OBJECT + REAL),
        (WRITE, OBJECT + PROPERTY + b"\x3e\x3f"),
        (WRITE_MULTIPLE, OBJECT + b"\x1e\x09\x55\x1f"),
        (SUBSCRIBE, b"\x09\x01"),
        (READ_RANGE, object_id(20, 1)),
        (ACKNOWLEDGE, ALARM_1 + b"\x29\x02"),
    ],
    "parameter-out-of-range": [
        (READ, OBJECT + PROPERTY + b"\x2d\x05\x01\x00\x00\x00\x00"),  # index 2^32
        (SUBSCRIBE, b"\x0d\x05\x01\x00\x00\x00\x00" + object_id(0, 1, 1) + b"\x29\x00\x39\x3c"),
    ],
    "too-many-arguments": [
        (READ, OBJECT + PROPERTY + b"\x29\x01\x39\x01"),
        (EVENTS, object_id(5, 103) + b"\x19\x01"),
        (SUBSCRIBE, SUBSCRIBER + b"\x29\x00\x39\x3c\x49\x01"),
        (WRITE, OBJECT + PROPERTY + REAL + b"\x49\x08\x59\x01"),
    ],
    "undefined-enumeration": [
        (READ, OBJECT + b"\x1b\x40\x00\x00"),  # property 4194304
        (READ_MULTIPLE, OBJECT + b"\x1e\x0b\x40\x00\x00\x1f"),
        (ACKNOWLEDGE, ALARM_1 + b"\x29\x06" + STAMP_3 + TEXT_4 + STAMP_5),
    ],
    "unrecognized-service": [
        (CONTROL, b"\x09\x01\x19\x01"),
        (REINITIALIZE, b"\x09\x00"),
        (99, b""),
    ],
}  # fmt: skip
NUMBERS = {
    "inconsistent-parameters": 2, "invalid-parameter-data-type": 3, "invalid-tag": 4,
    "missing-required-parameter": 5, "parameter-out-of-range": 6, "too-many-arguments": 7,
    "undefined-enumeration": 8, "unrecognized-service": 9,
}  # fmt: skip


def test_each_reason_of_a_reject() -> None:
    """The reply is a Reject with the number of the reason; tshark reads the first of each."""
    rig = BacnetRig()
    with rig.serve():
        for reason, requests in REASONS.items():
            for number, (service, data) in enumerate(requests):
                reply = ask(rig.port, confirmed(service, data, 7))
                assert reply[6:] == bytes((0x60, 7, NUMBERS[reason])), (reason, service, data)
                if number == 0:
                    text = dissect(reply).lower()
                    assert reason.removesuffix("-data-type") in text.replace(" ", "-")
        assert len(rig.device.asap.serverTransactions) == 0
    assert rig.errors == []


def test_services_that_are_not_executed_are_not_recognized() -> None:
    """All 256 service choices; attempts to change the device are in the audit log."""
    rig = BacnetRig()
    with rig.serve():
        for service in set(range(256)) - set(EXECUTED):
            data = (b"", b"\x09\x01", b"\xff\xff", bytes(64))[service % 4]
            source = f"127.0.0.{1 + service % 100}"  # below the limit of one address
            reply = ask(rig.port, confirmed(service, data, service), source)
            assert reply[6:] == bytes((0x60, service, 9)), (service, data)
        actions = {entry[3] for entry in rig.audit.entries}
        assert actions == {
            "atomic-write-file", "add-list-element", "remove-list-element", "create-object",
            "delete-object", "device-communication-control", "reinitialize-device",
            "life-safety-operation",
        }  # fmt: skip
        assert {entry[0] for entry in rig.audit.entries} >= {"127.0.0.8", "127.0.0.28"}
    assert rig.errors == []


def test_each_attempt_to_change_has_an_entry() -> None:
    """Malformed, of several properties, in segments, without a reply; none of them is sent."""
    writer = FakeWriter()
    rig = BacnetRig(writer, networks=["127.0.0.0/8"])
    setpoint = object_id(2, 11)
    one = b"\x09\x55\x2e\x44\x42\x04\x00\x00\x2f"
    attempts = {
        "two objects": (WRITE_MULTIPLE, (setpoint + b"\x1e" + one + b"\x1f") * 2),
        "two properties": (WRITE_MULTIPLE, setpoint + b"\x1e" + one * 2 + b"\x1f"),
        "no list": (WRITE_MULTIPLE, setpoint),
        "no value": (WRITE, setpoint + b"\x19\x55\x3e\x3f"),
        "one more argument": (WRITE, setpoint + PROPERTY + REAL + b"\x49\x08\x59\x01"),
        "no bytes": (WRITE, b""),
        "not decoded": (WRITE, setpoint + b"\x19\x55\x3e\x4f\x3f"),
        "of bytes": (WRITE, setpoint + b"\x19\x55\x3e\x61\x00\x3f"),
        "acknowledge": (ACKNOWLEDGE, b"\x09\x01"),
        "time stamp": (ACKNOWLEDGE, ALARM_1 + b"\x29\x02\x3e\x09\x01\x0f" + TEXT_4 + STAMP_5),
    }
    with rig.serve():
        for name, (service, data) in attempts.items():
            before = len(rig.audit.entries)
            reply = ask(rig.port, confirmed(service, data))
            assert reply[6] in (0x50, 0x60, 0x70), name
            assert len(rig.audit.entries) == before + 1, (name, rig.audit.entries[before:])
            user, address, protocol, action, _, result = rig.audit.entries[-1]
            assert (user, address, protocol) == ("127.0.0.1", "127.0.0.1", "bacnet")
            assert action == ("acknowledge" if service == ACKNOWLEDGE else "write"), name
            assert result.startswith("refused: "), name
        before = len(rig.audit.entries)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            for apdu in (
                bytes((0x0C, 5, 9, 0, 1, WRITE)) + setpoint,
                b"\x10\x06\xa4\x7e\x0b\x1c\x06\xb4\x08\x00\x00\x00",
                b"\x10\x09\xa4\x7e\x0b\x1c\x06\xb4\x08\x00\x00\x00",
                b"\x10\x0a\x09\x01",
            ):
                sock.sendto(datagram(apdu), ("127.0.0.1", rig.port))
            assert ask(rig.port, confirmed(READ, OBJECT + PROPERTY))[6] == 0x30
        actions = [entry[3] for entry in rig.audit.entries[before:]]
        assert actions == ["write", "time-synchronization", "time-synchronization", "write-group"]
        before = len(rig.audit.entries)
        assert ask(rig.port, confirmed(READ, b""))[6] == 0x60
        assert len(rig.audit.entries) == before, "a read is no attempt"
    assert writer.requests == []


def test_another_client_reads_the_reason() -> None:
    """node-bacnet: Reject with reason 9; and what it sends for executed services is accepted."""
    rig = BacnetRig()
    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        for do in ("control", "reinitialize"):
            assert client.ask(do) == "error: BacnetAbort - Reason:9"  # of a Reject too
        assert "values" in client.ask("read", object=[0, 1], property=85)
        assert "values" in client.ask("many", objects=[[0, 1], [2, 11]], properties=[85, 111])
        assert client.ask("cov", object=[0, 1], lifetime=60) is None
        assert "ACCESS_DENIED" in client.ask("write", object=[2, 11], property=85, type=4, value=33)
        assert "DENIED" in client.ask("acknowledge", object=[5, 103], state=2, at=0)
        assert "error" not in str(client.ask("range", object=[20, 1], first=1, count=2))


def test_accepted_requests() -> None:
    """Requests with all optional parameters; the empty ones of services without mandatory ones."""
    check_request(EVENTS, b"")
    check_request(EVENTS, object_id(5, 103))
    check_request(SUBSCRIBE, SUBSCRIBER)  # the end of a subscription
    check_request(SUBSCRIBE, SUBSCRIBER + b"\x29\x01\x3a\x0e\x10")
    check_request(READ, OBJECT + PROPERTY + b"\x29\x00")
    check_request(
        READ_MULTIPLE, OBJECT + b"\x1e\x09\x55\x09\x57\x19\x03\x1f" + OBJECT + b"\x1e\x09\x08\x1f"
    )
    nested = b"\x3e\x0e\x1e\x29\x01\x1f\x0f\x11\x3f"  # any value: constructed, a Boolean
    check_request(WRITE, OBJECT + PROPERTY + b"\x29\x01" + nested + b"\x49\x10")
    check_request(WRITE, OBJECT + PROPERTY + REAL + b"\x49\xff")  # the service answers an error
    check_request(WRITE_MULTIPLE, OBJECT + b"\x1e\x09\x55\x2e\x00\x2f\x39\x08\x1f")
    for choice in (b"\x3e\x21\x01\x31\x0a\x3f", b"\x6e\x21\x01\x31\x0a\x6f", b"\x7e\x21\x01\x7f"):
        check_request(READ_RANGE, object_id(20, 1) + b"\x19\x83" + choice)
    text = b"\x4d\x14\x00" + b"x" * 19
    data = ALARM_1 + b"\x29\x02" + STAMP_3 + text + STAMP_5
    check_request(ACKNOWLEDGE, data)
    with pytest.raises(RejectError):
        check_request(ACKNOWLEDGE, data[:-1])


def test_any_bytes_have_a_reason_or_none() -> None:
    """No other exception comes out of the check, and deep or long input ends."""
    rng = random.Random(5)
    counts: dict[int, int] = {}
    for _ in range(20_000):
        data = bytearray(rng.choice(SEEDS)[10:])
        for _ in range(rng.randrange(4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        reason = 0
        try:
            check_request(rng.choice(EXECUTED), bytes(data))
        except RejectError as error:
            reason = error.reason
        counts[reason] = counts.get(reason, 0) + 1
    assert set(counts) <= {0, *range(2, 9)}
    for deep in (
        b"\x3e" * 1400,
        b"\x3e" * 700 + b"\x3f" * 700,
        OBJECT + b"\x1e" + b"\x09\x55" * 700,
    ):
        with pytest.raises(RejectError) as caught:
            check_request(READ_MULTIPLE, deep)
        assert caught.value.reason == INVALID_TAG
    with pytest.raises(RejectError) as caught:
        check_request(6, b"")
    assert caught.value.reason == UNRECOGNIZED
