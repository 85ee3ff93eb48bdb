# SPDX-License-Identifier: Apache-2.0
"""A bus with two hostile Modbus devices in virtual time, and the judge of what it makes of them.

Not a test. A device replies in the order of its requests, but it can be one or more replies behind,
late, silent, restarting, or with false counts. Each register shows its own address and the number
of the request that sampled it. So the judge knows of every good value which register it belongs to
and when it was sampled.
"""

from __future__ import annotations

import random
import struct
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.modbus.bus import Bus
from drivers.modbus.transaction import WRITE
from protocols.modbus import pdu
from protocols.modbus.ascii_mode import build_frame, parse_frame
from protocols.modbus.crc import with_crc
from protocols.time_units import MILLISECOND, NEVER, SECOND

CHAR_US = 573  # 8E1 at 19200 baud
TIMEOUT_US = 200 * MILLISECOND
HOSTILE_S, GOOD_S = 25, 50
"""The device is hostile, then it is good, long enough for every guard to end."""
SETTLED_S = 4
"""A case ends early after so many good seconds: nothing is open, and each block had good values."""
UNITS = (3, 9)
_SERVICE_US = 150 * MILLISECOND
_WRITES = bytes((pdu.WRITE_SINGLE, pdu.WRITE_MULTIPLE))
_IDENTITY = {
    pdu.REPORT_ID: bytes((pdu.REPORT_ID, 2, 7, 255)),
    pdu.DEVICE_ID: bytes((pdu.DEVICE_ID, 14, 1, 1, 0, 0, 1, 0, 2)) + b"ab",
}
"""Replies that only another master asks for."""


@dataclass
class Sampled:
    """What a device knows of one request: when it took its values, and whether it wrote."""

    at: int
    pdu: bytes


@dataclass
class HostileDevice:
    """One unit; `behaviour` maps a request to the replies that are sent now."""

    unit: int
    rng: random.Random
    samples: list[Sampled] = field(default_factory=list)
    by_number: dict[int, list[Sampled]] = field(default_factory=dict)  # low byte of the number
    owed: list[bytes] = field(default_factory=list)
    silent_until: int = 0
    behind: int = 0
    busy_until: int = 0

    def reply(self, request: bytes, now: int) -> bytes:
        """Execute a request; return the PDU of the reply."""
        number = len(self.samples)
        sampled = Sampled(now, request)
        self.samples.append(sampled)
        self.by_number.setdefault(number & 0xFF, []).append(sampled)
        function = request[0]
        if function in (*pdu.READS, pdu.READ_WRITE):
            address, count = struct.unpack(">HH", request[1:5])
            words = [((address + i) & 0xFF) << 8 | number & 0xFF for i in range(count)]
            return struct.pack(f">BB{count}H", function, 2 * count, *words)
        if function in pdu.BIT_READS:
            size = (int.from_bytes(request[3:5]) + 7) // 8
            return bytes((function, size)) + bytes(size)
        if function == pdu.DIAGNOSTICS:
            return bytes((0x88, 1)) if self.unit == UNITS[0] else request
        if function in _IDENTITY:
            return _IDENTITY[function]
        return request if function == pdu.MASK_WRITE else request[:5]

    def forget_last(self) -> None:
        """Take the last request back."""
        self.samples.pop()
        self.by_number[len(self.samples) & 0xFF].pop()


Chunk = tuple[int, bytes]  # microseconds after the request, bytes
Behaviour = Callable[["HostileCase", HostileDevice, bytes, int], list[Chunk]]


class HostileCase:
    """One bus with two devices under one behaviour; `run` returns the judged counts."""

    char_us = CHAR_US
    chunk_size = 16

    def __init__(
        self,
        framing: str,
        behaviour: Behaviour,
        seed: int,
        sizes: str = "mixed",
        *,
        has_resets: bool = False,
    ) -> None:
        self.framing = framing
        self.behaviour = behaviour
        self.has_resets = has_resets
        self.rng = random.Random(seed)
        self.devices = {unit: HostileDevice(unit, self.rng) for unit in UNITS}
        self.bus = Bus(4, framing, 19200, 11, timeout_us=TIMEOUT_US)
        self.now = 0
        self.order = 0
        self.arriving: list[tuple[int, int, bytes]] = []
        self.asking: dict[int, tuple[HostileDevice, bytes]] = {}  # by the order of arrival
        self.line_free_at = 0
        self.false_refusal = 0
        self.wrong = self.old = self.false_success = self.good = self.calls = self.ambiguous = 0
        last = 1 + self.rng.randrange(12)
        counts = {
            "mixed": (1, 1, 2, 2, last),
            "one": (1, 1, 1),
            "two": (2, 2, 2),
            "many": (2 + last, 2 + last, 2 + last),
        }[sizes]
        self.blocks = [
            (unit, pdu.read_holding(16 * i + unit, count))
            for unit in UNITS
            for i, count in enumerate(counts)
        ]
        self.submitted: dict[tuple[int, bytes], int] = {}
        self.asked: dict[object, tuple[object, int]] = {}  # tag -> request, its first attempt
        self.last_good: dict[tuple[int, bytes], int] = {}
        self.written = self.settled = 0

    # The bus.

    def run(self) -> HostileCase:
        """Poll through the hostile and the good time."""
        self.bus.event("opened", 0)
        for cycle in range(HOSTILE_S + GOOD_S):
            if not self.bus.open:
                self.arriving.clear()
                self.bus.event("opened", self.now)
            self.bus.expect_cycle((cycle + 1) * SECOND)
            for tag in self.blocks:
                if tag not in self.submitted and self.bus.submit(tag[0], tag[1], tag):
                    self.submitted[tag] = self.now
            if self.rng.randrange(3) == 0:
                self._submit_write()
            if cycle < HOSTILE_S:
                self.disturb()
            self._run_until((cycle + 1) * SECOND)
            if self._is_settled():
                break
        return self

    def disturb(self) -> None:
        """Do in a hostile second what does not follow from a request of the bus."""
        if self.has_resets:
            self._run_until(self.now + self.rng.randrange(SECOND))
            self._reset()

    def _reset(self) -> None:
        """Let the port fail and open again, or the bus drop its input as after an exception."""
        if self.rng.randrange(2):
            self.bus.drop_input(self.now)
            return
        self.bus.event("failed", self.now)
        self.arriving.clear()
        self.bus.event("opened", self.now)
        for result in self.bus.take_results():
            self._judge(result)

    def _is_settled(self) -> bool:
        """Count good seconds: no open read, no offline unit, no late reply, all blocks have values.

        An open write holds no poll. It ends with the next write to its unit.
        """
        first = max(HOSTILE_S * SECOND, self.now - SECOND)
        is_good = (
            not (self.arriving or self._has_open_reads() or self.bus.offline_units)
            and all(self.last_good.get(tag, 0) > first for tag in self.blocks)
            and not any(device.owed for device in self.devices.values())
        )
        self.settled = self.settled + 1 if is_good else 0
        return self.settled >= SETTLED_S

    def _has_open_reads(self) -> bool:
        guards = self.bus._stale_replies.units.values()
        return any(
            not (request.pdu and request.pdu[0] in _WRITES)
            for guard in guards
            for request in guard.requests
        )

    def _submit_write(self, priority: int = WRITE) -> None:
        unit, self.written = self.rng.choice(UNITS), self.written + 1
        if self.rng.randrange(2):
            request = pdu.write_single(200, self.rng.randrange(3))
        else:
            request = pdu.write_multiple(201, (self.rng.randrange(3),))
        self.bus.submit(unit, request, ("write", self.now, request, self.written), priority)

    def stuck(self) -> list[tuple[int, bytes]]:
        """Return the blocks without a good value in the last seconds."""
        end = self.now - 10 * SECOND
        return [tag for tag in self.blocks if self.last_good.get(tag, 0) < end]

    def _run_until(self, until: int) -> None:
        bus = self.bus
        for _ in range(20_000):
            due = bus.deadline()
            at = self.arriving[0][0] if self.arriving else NEVER
            if min(due, at) > until:
                self.now = until
                return
            if at <= due:
                self.now, order, data = self.arriving.pop(0)
                if data:
                    bus.receive(data, self.now)
                if order in self.asking:
                    self.enqueue(*self.asking.pop(order), self.now)
            else:
                self.now = max(self.now, due)
                bus.wake(self.now)
            for result in bus.take_results():  # first: what is sent next has not begun
                self._judge(result)
            for _, op, frame in bus.outbox():
                if op == "write":
                    self._serve(frame)
                else:
                    self.arriving.clear()
        raise AssertionError("the bus does not come to rest")

    def take_request(self, frame: bytes) -> tuple[int, bytes]:
        """Note when a request is sent for the first time; return its unit and PDU."""
        asked = self.bus._transaction
        assert asked is not None
        if self.asked.get(asked.tag, (None, 0))[0] is not asked:
            self.asked[asked.tag] = (asked, self.now)
        if self.framing == "tcp":
            self.transaction = frame[:2]
            return frame[6], frame[7:]
        if self.framing == "ascii":
            body = parse_frame(frame[1:-2])
            assert body is not None
            return body[0], body[1:]
        return frame[0], frame[1:-2]

    def _serve(self, frame: bytes) -> None:
        is_serial = self.framing != "tcp"
        unit, request = self.take_request(frame)
        device = self.devices.get(unit)
        if device is None:
            return
        sent = self.now + (len(frame) * self.char_us if is_serial else 100)
        good = [(5 * MILLISECOND, self.wrap(unit, device.reply(request, sent)))]
        if self.now < HOSTILE_S * SECOND:
            device.forget_last()
            good = self.behaviour(self, device, request, sent)
        elif device.owed:
            device.owed.clear()
        if self.now >= HOSTILE_S * SECOND and device.busy_until:  # it serves its queue first
            device.forget_last()
            self.own_request(device, request, sent)
            return
        for delay, data in good:
            self.schedule(sent + delay, data)

    def wrap(self, unit: int, body: bytes) -> bytes:
        """Return a PDU as a frame."""
        if self.framing == "rtu":
            return with_crc(bytes((unit,)) + body)
        if self.framing == "ascii":
            return build_frame(unit, body)
        return self.transaction + struct.pack(">HHB", 0, len(body) + 1, unit) + body

    def schedule(self, start: int, data: bytes) -> None:
        """Put bytes on the line, after those before them."""
        at = max(start, self.line_free_at)
        for offset in range(0, len(data), self.chunk_size):
            part = data[offset : offset + self.chunk_size]
            at += len(part) * self.char_us if self.framing != "tcp" else 10
            self.order += 1
            insort(self.arriving, (at, self.order, part))
        self.line_free_at = at

    def deliver(self, at: int, data: bytes, asks: HostileDevice | None = None) -> None:
        """Let a whole frame arrive; if it `asks` a device, `data` is the PDU of another master."""
        self.order += 1
        insort(self.arriving, (at, self.order, self.wrap(asks.unit, data) if asks else data))
        if asks:
            self.asking[self.order] = (asks, data)

    def own_request(self, device: HostileDevice, request: bytes, at: int) -> None:
        """Let our request arrive at a device with a queue; the other master waits for its end."""
        for entry in [e for e in self.arriving if e[0] <= at and e[1] in self.asking and e[2]]:
            self.arriving.remove(entry)
            insort(self.arriving, (at + MILLISECOND, *entry[1:]))
        self.order += 1
        insort(self.arriving, (at, self.order, b""))
        self.asking[self.order] = (device, request)

    def enqueue(self, device: HostileDevice, request: bytes, now: int) -> None:
        """Serve a request after those before it."""
        device.busy_until = max(now, device.busy_until) + self.service_us()
        self.deliver(device.busy_until, self.wrap(device.unit, device.reply(request, now)))

    def service_us(self) -> int:
        """Return the time that a device with a queue needs for one request."""
        return _SERVICE_US if self.now < HOSTILE_S * SECOND else 5 * MILLISECOND

    # The judge.

    def _judge(self, result: object) -> None:
        tag, status = result.tag, result.status  # type: ignore[attr-defined]
        values, unit = result.values, result.unit  # type: ignore[attr-defined]
        self.calls += 1
        self.ambiguous += status == "unsure"
        if tag[0] == "write":
            if status == "ok" and not [
                1 for s in self.devices[unit].samples if s.at >= tag[1] and s.pdu == tag[2]
            ]:
                self.false_success += 1
            return
        self.submitted.pop(tag, 0)
        if status != "ok":
            return
        self.good += 1
        self.last_good[tag] = self.now
        address, count = struct.unpack(">HH", tag[1][1:5])
        if [v >> 8 for v in values] != [(address + i) & 0xFF for i in range(count)]:
            self.wrong += 1
            return
        number = values[0] & 0xFF
        fitting = [s for s in self.devices[unit].by_number.get(number, ()) if s.pdu == tag[1]]
        if not fitting or fitting[-1].at < self.asked[tag][1]:  # before the request was first sent
            self.old += 1
