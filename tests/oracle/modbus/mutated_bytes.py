# SPDX-License-Identifier: Apache-2.0
"""Mutated bytes into each state machine of Modbus; each gets its own bytes.

    python -m tests.oracle.modbus.mutated_bytes [--million 100] [--cpu-seconds 600] [--seed 1]

Needs only the standard library, so PyPy runs it too. Half of the frames have a valid checksum and
random contents, so that they reach the parsers behind it. A bus on a serial line also gets the
replies that it waits for: in time or too early, once or several times, behind the start of another
frame. The sniffer also describes each frame, because a description reads every field. An exception
or a buffer above its limit ends the run. The last line is a JSON object with the bytes that each
machine got.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
import time

from drivers.modbus.bus import Bus
from drivers.tools.modbus_sniff import build_record, format_line
from protocols.modbus import ascii_mode, pdu
from protocols.modbus.crc import with_crc
from protocols.modbus.sniffer import MAX_BUFFER, Sniffer

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
_CHAR_US = 573


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

    def replies(self, framing: str, asked: bytes) -> bytes:
        """Return replies to the request `asked`, each as it is or behind the start of a frame."""
        rng = self.rng
        body = asked[:5]
        if asked[0] in pdu.READS:
            body = bytes((asked[0], 2 * asked[4])) + rng.randbytes(2 * asked[4])
        frame = with_crc(bytes((UNIT,)) + body)
        if framing == "ascii":
            frame = ascii_mode.build_frame(UNIT, body)
        start = bytes((rng.choice((UNIT, 77)), 3, rng.randrange(256))) if rng.randrange(2) else b""
        data = (start + frame) * rng.choice((1, 1, 2, 3))
        return data if rng.randrange(4) else data[: rng.randrange(len(data))]


def feed_bus(bus: Bus, source: ByteSource, framing: str, now: int) -> tuple[int, int]:
    """Give one piece to a bus and let it act; return (time, bytes)."""
    rng = source.rng
    if not bus.open:
        bus.event("opened", now)
    if rng.randrange(3) == 0:
        priority = rng.choice((0, 0, 1, 2))
        bus.submit(rng.choice((UNIT, UNIT, 8)), rng.choice(REQUESTS), now, priority)
    data, asked = source.data(framing), bus._transaction
    if asked is not None and asked.unit == UNIT and framing != "tcp" and rng.randrange(2):
        data = source.replies(framing, asked.pdu)
        if rng.randrange(4):
            now = max(now, bus._sent_at + (8 + len(data)) * _CHAR_US + 5_000)
    bus.receive(data, now)
    due = bus.deadline()
    if rng.randrange(4) == 0 and due < now + 10_000_000:
        now = max(now, due)
    bus.wake(now)
    bus.outbox()
    bus.take_results()
    assert len(bus.client.buffer) <= ascii_mode.MAX_BUFFER
    return now, len(data)


def feed_sniffer(sniffer: Sniffer, source: ByteSource, now: int) -> int:
    """Give one piece to a sniffer and describe what it finds; return the bytes."""
    data = source.data("rtu")
    for frame in sniffer.feed(data, now) + sniffer.wake(now):
        build_record(frame, 0)
        format_line(frame, 0)
    assert len(sniffer._buffer) <= MAX_BUFFER
    return len(data)


def run_bytes(total: int, seed: int, cpu_s: float = 1e9) -> dict[str, int]:
    """Give each machine at least `total` bytes; return how many each got."""
    source, now = ByteSource(seed), 0
    buses = {framing: Bus(4, framing, 19200, 11, timeout_us=50_000) for framing in FRAMINGS}
    buses["rtu over tcp"] = network = Bus(4, "rtu", 19200, 11, timeout_us=50_000)
    network.set_gateway(255, True)
    sniffer = Sniffer(573)
    counts = dict.fromkeys((*buses, "sniffer"), 0)
    while min(counts.values()) < total and time.process_time() < cpu_s:
        for name, bus in buses.items():
            for _ in range(2 if name == "tcp" else 1):  # its frames are shorter
                now += source.rng.randrange(30_000)
                now, size = feed_bus(bus, source, name.split(maxsplit=1)[0], now)
                counts[name] += size
        counts["sniffer"] += feed_sniffer(sniffer, source, now)
    return counts


def main(argv: list[str]) -> int:
    """Run and print the counts."""
    parser = argparse.ArgumentParser(prog="tests.oracle.modbus.mutated_bytes")
    parser.add_argument("--million", type=float, default=100, help="bytes of each machine")
    parser.add_argument("--cpu-seconds", type=float, default=1e9, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    counts = run_bytes(int(arguments.million * 1e6), arguments.seed, arguments.cpu_seconds)
    print(json.dumps({"cpu_s": round(time.process_time()), "exceptions": 0, **counts}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
