# SPDX-License-Identifier: Apache-2.0
"""The device read by node-bacnet: values, identity, alarms, logs, subscriptions, refused writes."""

from __future__ import annotations

import contextlib
import math
import re
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from deploy.northbound.access.types import (
    FakeWriter,
    Refusal,
    SetPointChange,
    UnitCommand,
)
from deploy.northbound.bacnet.point_objects import UNKNOWN_INTEGER
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.points.point_table import columns, point_table
from deploy.northbound.rate_limit import UNLIMITED, ShareLimits
from deploy.northbound.snapshot import AlarmItem, SetPoint
from tests.deploy.northbound.bacnet.bacnet_rig import (
    DEVICE,
    BacnetRig,
    NodeClient,
    set_limits,
)
from tests.deploy.northbound.bacnet.wire import (
    EVENTS,
    READ,
    READ_RANGE,
    ask,
    confirmed,
    datagram,
    dissect,
    object_id,
)
from tests.support.programs import free_udp_port
from tests.support.repository import ROOT

TYPES = {
    "analog-input": 0,
    "analog-value": 2,
    "binary-input": 3,
    "binary-value": 5,
    "device": 8,
    "multi-state-value": 19,
    "trend-log": 20,
    "positive-integer-value": 48,
}
VALUE, FLAGS, RELIABILITY, STATE, ACKED = 85, 111, 103, 36, 0
LOOPBACK = {"networks": ["127.0.0.0/8"]}


def _objects() -> dict[str, list[int]]:
    result = {}
    for key, column in columns("bacnet").items():
        number = column["instance"] + max(0, point_table()[key].instance - 1)
        result[key] = [TYPES[column["object"]], number]
    return result


def test_object_numbers_are_unique() -> None:
    numbers = [tuple(n) for n in _objects().values()]
    assert len(set(numbers)) == len(numbers)


def test_another_client_reads_all_values() -> None:
    _compare(states=20)


@pytest.mark.soak
def test_another_client_reads_all_values_of_many_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """One client asks without a pause: the limits of datagrams are tested elsewhere."""
    set_limits(monkeypatch, ShareLimits(UNLIMITED))
    _compare(states=1000)


def _compare(states: int) -> None:
    rig = BacnetRig()
    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        for number in range(states):
            rig.next_record(FakeSource.stop if number == states - 1 else FakeSource.step)
            _check_values(rig, client)
            _check_alarms(rig, client)
    assert rig.errors == []


def _many(client: NodeClient, objects: list[list[int]], properties: list[int]) -> list[list[Any]]:
    """Read properties of objects, 25 objects a request."""
    result: list[list[Any]] = []
    for start in range(0, len(objects), 25):
        part = objects[start : start + 25]
        answer = client.ask("many", objects=part, properties=properties)
        result += [[_plain(v["value"]) for v in entry["values"]] for entry in answer["values"]]
    return result


def _plain(values: list[dict[str, Any]]) -> Any:
    return values[0]["value"] if len(values) == 1 else [v["value"] for v in values]


def _check_values(rig: BacnetRig, client: NodeClient) -> None:
    snapshot = rig.source.snapshot
    objects = _objects()
    read = _many(client, list(objects.values()), [VALUE, RELIABILITY, FLAGS])
    for key, (value, reliability, flags) in zip(objects, read, strict=True):
        row, column = point_table()[key], columns("bacnet")[key]
        known = snapshot.points[key].raw is not None
        assert (reliability == 0) == known, key
        assert flags["value"][0] == (0 if known else 2), key  # bit FAULT
        expected = snapshot.value(key)
        kind = column["object"]
        if kind == "binary-input":
            assert value == int(expected or 0)
        elif kind == "multi-state-value":
            assert value == 1 + int(expected or 0)
        elif expected is None:
            wanted = UNKNOWN_INTEGER if kind == "positive-integer-value" else "NaN"
            assert value == wanted, key
        else:
            scale = column.get("factor", 1)
            tolerance = 0.5 if kind.startswith("positive") else abs(expected) * scale * 1e-7
            assert math.isclose(value, expected * scale, rel_tol=0, abs_tol=tolerance), row.key


def _check_alarms(rig: BacnetRig, client: NodeClient) -> None:
    snapshot = rig.source.snapshot
    if snapshot.stale:
        return
    numbers = [101, 102, 103, 104, 106]
    read = _many(client, [[5, n] for n in numbers], [VALUE, STATE, ACKED])
    for number, (value, state, acked) in zip(numbers, read, strict=True):
        found = [a for a in snapshot.alarms if a.number == number]
        live = [a for a in found if a.state != "shelved"]
        assert value == int(any(a.active for a in found))
        assert state == (2 if any(a.active for a in live) else 0)
        waiting = any(a.state.endswith("unacknowledged") for a in live)
        assert acked["value"][0] == (6 if waiting else 7)


def test_identity_and_object_list() -> None:
    rig = BacnetRig()
    device = [TYPES["device"], DEVICE]
    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        client.ask("whois")
        assert client.event("iAm")["deviceId"] == DEVICE
        texts = {77: "demo/row1-cdu1", 121: "Example", 70: "CDU-100", 44: "coldloop 0.2.0"}
        for number, text in texts.items():
            assert client.ask("read", object=device, property=number)["values"][0]["value"] == text
        listed = client.ask("read", object=device, property=76)["values"]
        objects = [[v["value"]["type"], v["value"]["instance"]] for v in listed]
        assert all(number in objects for number in _objects().values())
        assert client.ask("read", object=[0, 1], property=117)["values"][0]["value"] == 62


def test_requests_at_the_edges() -> None:
    rig = BacnetRig()
    with rig.serve():
        wildcard = object_id(8, 4194303)
        text = dissect(ask(rig.port, confirmed(READ, wildcard + b"\x19\x4d")))
        assert "demo/row1-cdu1" in text
        text = dissect(ask(rig.port, confirmed(14, wildcard + b"\x1e\x09\x4d\x1f")))
        assert "demo/row1-cdu1" in text
        for number in (0, 101, 999):
            assert "present-value" in dissect(
                ask(rig.port, confirmed(14, object_id(5, 103) + b"\x1e\x09\x08\x1f", number % 256))
            )
        segmented = datagram(bytes((0x0C, 5, 9, 0, 1, 12)) + object_id(0, 1) + b"\x19\x55")
        assert "segmentation-not-supported" in dissect(ask(rig.port, segmented))
        for obj, wanted in (((0, 999), "unknown-object"), ((0, 1), "unknown-property")):
            reply = ask(rig.port, confirmed(READ, object_id(*obj) + b"\x1a\x13\x88"))
            assert wanted in dissect(reply)
    assert rig.errors == []


def test_all_objects_are_read_in_200_ms() -> None:
    rig = BacnetRig()
    objects = list(_objects().values())
    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        _many(client, objects, [VALUE])
        times = []
        for _ in range(5):
            start = time.monotonic()
            _many(client, objects, [VALUE])
            times.append(time.monotonic() - start)
        assert min(times) < 0.2


# --- alarms --------------------------------------------------------------------------------------


def _alarm(state: str) -> Any:
    def change(source: FakeSource) -> None:
        now = source.snapshot.utc
        item = AlarmItem(103, "leak_warning", "tray", 2, state, "wet", "Look.", now)
        source.replace(alarms=() if state == "gone" else (item,))

    return change


def test_alarms_are_notified_listed_and_acknowledged() -> None:
    writer = FakeWriter()
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(5)
    port = receiver.getsockname()[1]
    rig = BacnetRig(writer, recipients=[f"127.0.0.1:{port}"], **LOOPBACK)
    with receiver, rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        rig.next_record(_alarm("gone"))
        _ignore_notices(receiver, rig.port)
        rig.next_record(_alarm("active_unacknowledged"))
        notice = _notice(receiver, rig.port)
        assert "Notify Type: alarm" in notice
        assert "binary-value, 103" in notice
        assert "leak_warning:tray: wet" in notice
        assert "To State: offnormal" in notice
        assert re.search("notification class: .*2$", notice, re.IGNORECASE | re.MULTILINE)
        text = dissect(ask(rig.port, confirmed(EVENTS, b"")))
        assert "binary-value, 103" in text
        assert "offnormal" in text
        assert "to-offnormal = FALSE" in text
        at = rig.source.snapshot.alarms[0].raised_utc
        assert at is not None
        milliseconds = at.timestamp() * 1000
        fields = {"object": [5, 103], "state": 2}
        late = client.ask("acknowledge", at=milliseconds + 1000, **fields)
        assert "INVALID_TIMESTAMP" in late
        assert "error" in client.ask("acknowledge", object=[5, 103], state=3, at=milliseconds)
        assert client.ask("acknowledge", at=milliseconds, **fields) is None
        assert [r[0] for r in writer.requests] == [
            UnitCommand("acknowledge", {"code": "leak_warning:tray"})
        ]
        rig.next_record(_alarm("active_acknowledged"))
        assert "ack-notification" in _notice(receiver, rig.port)
        assert "error" in client.ask("acknowledge", at=milliseconds, **fields)
        rig.next_record(_alarm("gone"))
        assert "To State: normal" in _notice(receiver, rig.port)
    assert rig.errors == []


def _notice(receiver: socket.socket, port: int) -> str:
    """Return the next notification, and acknowledge it."""
    data = receiver.recv(2000)
    receiver.sendto(b"\x81\x0a\x00\x09\x01\x00\x20" + data[8:9] + b"\x02", ("127.0.0.1", port))
    return dissect(data)


def _ignore_notices(receiver: socket.socket, port: int) -> None:
    """Acknowledge the notifications of the first record."""
    receiver.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while True:
            data = receiver.recv(2000)
            ack = b"\x81\x0a\x00\x09\x01\x00\x20" + data[8:9] + b"\x02"
            receiver.sendto(ack, ("127.0.0.1", port))
    receiver.settimeout(5)


def test_only_permitted_networks_acknowledge() -> None:
    for writer, networks in ((FakeWriter(), ["192.0.2.0/24"]), (None, ["127.0.0.0/8"])):
        rig = BacnetRig(writer, networks=networks)
        with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
            rig.next_record(_alarm("active_unacknowledged"))
            answer = client.ask("acknowledge", object=[5, 103], state=2, at=0)
            assert "SERVICE_REQUEST_DENIED" in answer
            assert rig.audit.entries[-1][3:] == (
                "acknowledge", "binary-value,103 in the name of 'operator'",
                "refused: serviceRequestDenied",
            )  # fmt: skip


# --- writes --------------------------------------------------------------------------------------


def _real(client: NodeClient, obj: list[int], value: float, prop: int = VALUE) -> str:
    return str(client.ask("write", object=obj, property=prop, type=4, value=value))


def test_read_only_refuses_all_writes() -> None:
    rig = BacnetRig(**LOOPBACK)
    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        before = [point.object.presentValue for point in rig.device.points.by_key.values()]
        for obj in ([2, 11], [2, 1], [0, 1], [3, 1], [19, 1], [5, 103]):
            assert "WRITE_ACCESS_DENIED" in _real(client, obj, 33.0)
        device = [8, DEVICE]
        for prop in (77, 28, 58, 116):
            text = client.ask("write", object=device, property=prop, type=7, value="x")
            assert "WRITE_ACCESS_DENIED" in text
        assert "Reason:9" in client.ask("control")
        assert "Reason:9" in client.ask("reinitialize")
        after = [point.object.presentValue for point in rig.device.points.by_key.values()]
        assert str(after) == str(before)
        assert len(rig.audit.entries) == 12


def test_a_set_point_is_submitted() -> None:
    writer = FakeWriter()
    rig = BacnetRig(writer, **LOOPBACK)

    def configure(source: FakeSource) -> None:
        setpoint = SetPoint("supply_setpoint", 32_000, 15_000, 45_000, True)
        source.replace(setpoints={"supply_setpoint": setpoint})
        source.set_point("supply_setpoint", 32_000)

    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        rig.next_record(configure)
        for value in (14.9, 45.1, math.inf, -1e30):
            text = client.ask("write", object=[2, 11], property=VALUE, type=4, value=str(value))
            assert "error" in str(text) or value == math.inf
        assert "WRITE_ACCESS_DENIED" in _real(client, [0, 1], 33.0)
        assert "WRITE_ACCESS_DENIED" in _real(client, [2, 11], 33.0, 22)  # COV_Increment
        text = client.ask("write", object=[2, 11], property=VALUE, type=7, value="33")
        assert "INVALID_DATA_TYPE" in text
        assert _real(client, [2, 11], 33.25) == "None"
        assert [r[0] for r in writer.requests] == [SetPointChange("supply_setpoint", 33_250)]
        # the old value, until the agent has received the change
        read = client.ask("read", object=[2, 11], property=VALUE)
        assert read["values"][0]["value"] == 32
        writer.refusal = Refusal("busy")
        assert "WRITE_ACCESS_DENIED" in _real(client, [2, 11], 34.0)


# --- subscriptions and logs ----------------------------------------------------------------------


def test_subscriptions_report_values_and_quality() -> None:
    rig = BacnetRig()
    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        rig.next_record(lambda s: s.set_point("supply_temperature", 30_000))
        assert client.ask("cov", object=[0, 1], lifetime=60) is None
        assert _notified(client) == (30.0, 0)
        rig.next_record(lambda s: s.set_point("supply_temperature", 30_050))  # below COV_Increment
        rig.next_record(lambda s: s.set_point("supply_temperature", 31_000))
        assert _notified(client) == (31.0, 0)
        rig.next_record(lambda s: s.set_point("supply_temperature", None, "bad"))
        assert _notified(client) == ("NaN", 2)
        rig.next_record(lambda s: s.set_point("supply_temperature", 31_000))
        assert _notified(client) == (31.0, 0)


def _notified(client: NodeClient) -> tuple[object, int]:
    event = client.event("covNotifyUnconfirmed")
    values = {v["property"]["id"]: v["value"][0]["value"] for v in event["values"]}
    return values[VALUE], values[FLAGS]["value"][0]


def test_subscriptions_are_limited() -> None:
    rig = BacnetRig()
    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        for lifetime in (0, 8 * 3600 + 1):
            text = client.ask("cov", object=[0, 1], lifetime=lifetime)
            assert "VALUE_OUT_OF_RANGE" in text
        objects = [*_objects().values()][:50]
        for obj in objects:
            assert client.ask("cov", object=obj, lifetime=60) is None
        for process in range(100, 114):
            assert client.ask("cov", object=[0, 1], lifetime=60, process=process) is None
        full = client.ask("cov", object=[0, 2], lifetime=60, process=999)
        assert "NO_SPACE_TO_ADD_LIST_ELEMENT" in full
        assert client.ask("cov", object=objects[0], lifetime=90) is None  # renewed
        assert rig.device.subscriptions() == 64


def test_a_trend_log_is_read() -> None:
    rig = BacnetRig()
    with rig.serve(), NodeClient(free_udp_port(), rig.port) as client:
        for number in range(4):
            rig.next_record(lambda s, n=number: _minute(s, n))
        answer = client.ask("range", object=[20, 1], first=1, count=10)
        assert answer["itemCount"] == 5
        count = client.ask("read", object=[20, 1], property=141)["values"][0]["value"]
        assert count == 5
        assert "error" in client.ask("range", object=[0, 1], first=1, count=10)
        assert "error" in client.ask("range", object=[20, 99], first=1, count=10)


def test_records_by_position_sequence_and_time() -> None:
    rig = BacnetRig()
    log = object_id(20, 1) + b"\x19\x83"
    with rig.serve():
        for number in range(4):
            rig.next_record(lambda s, n=number: _minute(s, n))
        at = bytes((126, 11, 28, 255)), bytes((8, 11, 0, 0))
        by_time = b"\x7e\xa4" + at[0] + b"\xb4" + at[1] + b"\x31\x02\x7f"
        requests = {
            b"": (5, "first-item = TRUE", "last-item = TRUE"),
            b"\x3e\x21\x02\x31\x02\x3f": (2, "first-item = FALSE", "last-item = FALSE"),
            b"\x3e\x21\x05\x31\xfe\x3f": (2, "first-item = FALSE", "last-item = TRUE"),
            b"\x6e\x21\x01\x31\x01\x6f": (1, "first-item = TRUE", "first Sequence Number"),
            b"\x3e\x21\x09\x31\x01\x3f": (0, "first-item = FALSE", "last-item = FALSE"),
            by_time: (2, "last-item = FALSE", "more-items = FALSE"),
        }
        for wanted, (count, *facts) in requests.items():
            text = dissect(ask(rig.port, confirmed(READ_RANGE, log + wanted)))
            assert f"item Count: (Unsigned) {count}" in text
            for fact in facts:
                assert fact in text, text
    assert rig.errors == []


def _minute(source: FakeSource, number: int) -> None:
    at = source.snapshot.utc
    assert at is not None
    source.set_point("supply_temperature", None if number == 2 else 30_000 + number)
    source.replace(utc=at.replace(minute=10 + number))


GUIDE = ROOT / "docs" / "operator" / "northbound_bms.md"


def test_the_program_of_the_guide_reads_the_unit() -> None:
    pytest.importorskip("BAC0")  # built on bacpypes3, so not independent
    rig = BacnetRig()
    with rig.serve():
        rig.next_record(lambda s: s.set_point("supply_temperature", 31_250))
        program = GUIDE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
        program = program.replace("port=47808", f"port={free_udp_port()}")
        program = program.replace("10.0.0.9", "127.0.0.1")
        program = program.replace("10.0.0.5:47808", f"127.0.0.1:{rig.port}")
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
        )
    wanted = ["supply_temperature", "31.25", "degrees-celsius"]
    assert [line for line in done.stdout.splitlines() if line in wanted] == wanted
