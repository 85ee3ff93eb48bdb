# SPDX-License-Identifier: Apache-2.0
"""Functions 17 and 43 of another master, in frames of pymodbus: recognised, and not taken as ours.

The bus and the sniffer see them. A reply of these functions gives its own length.
"""

from __future__ import annotations

from typing import Any

import pytest
from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.other_message import ReportDeviceIdRequest, ReportDeviceIdResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from drivers.modbus.bus import Bus
from protocols.modbus import pdu
from protocols.modbus.expected_reply import OTHER_MASTER
from protocols.modbus.sniffer import REPLY, REQUEST, Sniffer

UNIT = 5
FRAMERS: dict[str, Any] = {"rtu": FramerRTU, "ascii": FramerAscii}
OBJECTS = {0: b"Maker", 1: b"CDU-5", 2: b"1.0", 3: b"", 4: b"x" * 60}
FUNCTIONS = (17, 43)
CASES = [(framing, function) for framing in FRAMERS for function in FUNCTIONS]


def make_frames(framing: str, function: int) -> tuple[bytes, bytes, bytes]:
    """Return (their request, its reply) as frames, and our request of the same kind as a PDU."""
    framer = FRAMERS[framing](DecodePDU(False))
    if function == 17:
        request: Any = ReportDeviceIdRequest(dev_id=UNIT)
        reply: Any = ReportDeviceIdResponse(identifier=b"CDU five", status=True, dev_id=UNIT)
        own = pdu.report_server_id()
    else:
        request = ReadDeviceInformationRequest(read_code=2, object_id=0, dev_id=UNIT)
        reply = ReadDeviceInformationResponse(read_code=2, information=OBJECTS, dev_id=UNIT)
        own = pdu.read_device_id(2)
    return framer.buildFrame(request), framer.buildFrame(reply), own


def make_bus(framing: str) -> Bus:
    bus = Bus(4, framing, 19200, 11, timeout_us=300_000)
    bus.event("opened", 0)
    return bus


def run_until_write(bus: Bus) -> tuple[int, bytes]:
    """Wake the bus until it writes; return (time, frame)."""
    for _ in range(100):
        now = bus.deadline()
        bus.wake(now)
        for _, op, data in bus.outbox():
            if op == "write":
                return now, data
    raise AssertionError("no request was sent")


@pytest.mark.parametrize(("framing", "function"), CASES)
def test_a_request_on_the_idle_line_gets_time_for_its_reply(framing: str, function: int) -> None:
    request, reply, own = make_frames(framing, function)
    for chunks in ((request,), (request[:2], request[2:])):
        bus = make_bus(framing)
        for chunk in chunks:
            bus.receive(chunk, 50_000)
        bus.submit(UNIT, own, "own", retries=0)
        sent_at, frame = run_until_write(bus)
        assert sent_at >= 140_000, sent_at
    bus = make_bus(framing)
    bus.receive(request, 50_000)
    bus.submit(UNIT, own, "own", retries=0)
    bus.wake(bus.deadline())
    assert bus.outbox() == []
    bus.receive(reply, 80_000)
    sent_at, frame = run_until_write(bus)
    assert frame == request
    bus.receive(reply, sent_at + 100_000)
    assert [result.status for result in bus.take_results()] == ["ok"]


@pytest.mark.parametrize(("framing", "function"), CASES)
def test_their_reply_is_recognised_whole(framing: str, function: int) -> None:
    request, reply, _ = make_frames(framing, function)
    bus = make_bus(framing)
    for data in (request, reply, request + reply):
        bus.receive(data, 50_000)
        bus.client.unanswered_others()
    assert bus.client.counters.discarded_bytes == 0
    assert bus.client.unanswered_others() == []
    assert bus.client.counters.unsolicited == 4


@pytest.mark.parametrize("framing", FRAMERS)
@pytest.mark.parametrize(
    ("own", "status"),
    [
        (pdu.read_device_id(2, 1), "unsure"),  # another first object: the reply looks the same
        (pdu.read_device_id(1), "ok"),  # the reply repeats the code
        (pdu.read_holding(0, 1), "ok"),
    ],
)
def test_a_request_beside_ours(framing: str, own: bytes, status: str) -> None:
    """Theirs came after ours, so the device answers ours first."""
    request, reply, _ = make_frames(framing, 43)
    framer = FRAMERS[framing](DecodePDU(False))
    ours = framer.buildFrame(ReadDeviceInformationResponse(1, {0: b"Maker"}, dev_id=UNIT))
    if status == "unsure":
        ours = reply
    elif own[0] == 3:
        ours = framer.buildFrame(ReadHoldingRegistersResponse(registers=[7], dev_id=UNIT))
    for chunks in ((request, ours, reply), (request + ours, reply), (request + ours + reply,)):
        bus = make_bus(framing)
        bus.submit(UNIT, own, "own", retries=0)
        now, _ = run_until_write(bus)
        for i, chunk in enumerate(chunks):
            bus.receive(chunk, now + 100_000 + 50_000 * i)
        results = bus.take_results()
        assert [result.status for result in results] == [status], (chunks, results[0].reason)
        assert (results[0].reason == OTHER_MASTER) == (status == "unsure")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_sniffer_pairs_them(function: int) -> None:
    request, reply, _ = make_frames("rtu", function)
    sniffer = Sniffer(573)
    events = sniffer.feed(request, 10_000) + sniffer.feed(reply, 60_000)
    assert [event.kind for event in events] == [REQUEST, REPLY]
    assert [event.data for event in events] == [request, reply]
    both = Sniffer(573)
    events = both.feed(request + reply, 60_000)
    assert [event.kind for event in events] == [REQUEST, REPLY]
