# SPDX-License-Identifier: Apache-2.0
"""Any bytes into each state machine of Modbus: no exception, bounded buffers.

Half of the frames have a valid checksum and random contents, so that they reach the parsers behind
it. The sniffer also describes each frame, because a description reads every field.
"""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.bus import Bus
from drivers.tools.modbus_sniff import build_record, format_line
from protocols.modbus import ascii_mode, pdu, rtu, tcp
from protocols.modbus.crc import with_crc
from protocols.modbus.sniffer import Sniffer

UNIT = 9
REQUESTS = (
    pdu.read_coils(3, 19),
    pdu.read_discrete(1, 9),
    pdu.read_holding(3, 20),
    pdu.read_input(3, 1),
    pdu.write_coil(3, 1),
    pdu.write_single(3, 7),
    pdu.diagnostics_echo(7),
    pdu.write_coils(3, (1, 0, 1)),
    pdu.write_multiple(3, (1, 2, 3)),
    pdu.report_server_id(),
    pdu.mask_write(3, 1, 2),
    pdu.read_write(3, 2, 9, (7,)),
    pdu.read_device_id(),
    b"\x41\x01\x02",  # a function of the maker
)
FUNCTIONS = (1, 2, 3, 4, 5, 6, 7, 8, 11, 15, 16, 17, 20, 22, 23, 24, 43, 0x41)
FRAMINGS = ("rtu", "ascii", "tcp")


class ByteSource:
    """Frames of one seed: replies, requests, false counts, damaged and joined frames."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def body(self) -> bytes:
        """Return a PDU."""
        rng = self.rng
        function, kind = rng.choice(FUNCTIONS), rng.randrange(6)
        if kind == 0:
            return bytes((function | 0x80, rng.randrange(256)))
        if kind == 1:
            count = rng.randrange(256)
            size = rng.choice((count, rng.randrange(252)))
            return (bytes((function, count)) + rng.randbytes(size))[:253]
        if kind == 2:
            return rng.choice(REQUESTS)
        if kind == 3:
            return b"\x2b\x0e" + rng.randbytes(5 + rng.randrange(100))
        return bytes((function,)) + rng.randbytes(rng.randrange(60) if kind == 4 else 0)

    def frame(self, framing: str) -> bytes:
        """Return a frame with a valid checksum."""
        unit, body = self.rng.choice((UNIT, UNIT, 8, 255)), self.body()
        if framing == "rtu":
            return with_crc(bytes((unit,)) + body)
        if framing == "ascii":
            return ascii_mode.build_frame(unit, body)
        number = self.rng.choice((0, 1, 2, self.rng.randrange(65536)))
        return struct.pack(">HHHB", number, 0, len(body) + 1, unit) + body

    def data(self, framing: str) -> bytes:
        """Return a frame, as it is or damaged, or noise."""
        rng, data = self.rng, bytearray(self.frame(framing))
        kind = rng.randrange(5)
        if kind == 0:
            return rng.randbytes(rng.randrange(1, 80))
        if kind == 1:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data += data[: rng.randrange(len(data))]
        elif kind == 3:
            data[0:0] = rng.randbytes(rng.randrange(9))
        return bytes(data)


def feed_bus(bus: Bus, source: ByteSource, framing: str, now: int) -> tuple[int, int]:
    """Give one piece to a bus and let it act; return (time, bytes)."""
    rng = source.rng
    if not bus.open:
        bus.event("opened", now)
    if rng.randrange(3) == 0:
        priority = rng.choice((0, 0, 1, 2))
        bus.submit(rng.choice((UNIT, UNIT, 8)), rng.choice(REQUESTS), now, priority)
    data = source.data(framing)
    bus.receive(data, now)
    due = bus.deadline()
    if rng.randrange(4) == 0 and due < now + 10_000_000:
        now = max(now, due)
    bus.wake(now)
    bus.outbox()
    bus.take_results()
    assert len(bus.client.buffer) <= ascii_mode.MAX_BUFFER
    return now, len(data)


def run_bytes(total: int, seed: int) -> None:
    source, now, count = ByteSource(seed), 0, 0
    buses = {framing: Bus(4, framing, 19200, 11, timeout_us=50_000) for framing in FRAMINGS}
    sniffer = Sniffer(573)
    while count < total:
        for framing, bus in buses.items():
            now, size = feed_bus(bus, source, framing, now + source.rng.randrange(30_000))
            count += size
        frames = sniffer.feed(source.data("rtu"), now) + sniffer.wake(now)
        for frame in frames:
            build_record(frame, 0)
            format_line(frame, 0)


def test_1_million_bytes() -> None:
    run_bytes(1_000_000, 1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100))
def test_100_million_bytes(seed: int) -> None:
    run_bytes(1_000_000, 100 + seed)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REQUESTS), st.binary(max_size=260))
def test_any_reply_has_a_verdict(request: bytes, reply: bytes) -> None:
    for data in (reply, request[:1] + reply):
        verdict, code, values = pdu.check_reply(request, data)
        assert verdict
        assert 0 <= code <= 255
        assert all(0 <= value <= 65535 for value in values)
        assert pdu.expected_length(request, data) <= pdu.MAX_PDU
    pdu.parse_objects(tuple(reply))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(REQUESTS), st.booleans())
def test_any_chunks_into_each_client(
    chunks: list[bytes], request: bytes, is_ambiguous: bool
) -> None:
    for client in (rtu.RtuClient(), tcp.TcpClient(), ascii_mode.AsciiClient()):
        client.start(UNIT, request, is_ambiguous)
        for chunk in chunks:
            result = client.feed(chunk)
            assert result is None or result[0]
            assert len(client.buffer) <= ascii_mode.MAX_BUFFER
        client.settle()
        client.stop()
        client.pending_requests()
