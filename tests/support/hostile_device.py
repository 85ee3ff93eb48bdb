# SPDX-License-Identifier: Apache-2.0
"""Hostile Modbus devices in virtual time, and the judge of what a bus makes of them.

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
        if function in pdu.READS:
            address, count = struct.unpack(">HH", request[1:5])
            words = [((address + i) & 0xFF) << 8 | number & 0xFF for i in range(count)]
            return struct.pack(f">BB{count}H", function, 2 * count, *words)
        if function == pdu.DIAGNOSTICS:
            return bytes((0x88, 1)) if self.unit == UNITS[0] else request
        return request[:5]

    def forget_last(self) -> None:
        """Take the last request back."""
        self.samples.pop()
        self.by_number[len(self.samples) & 0xFF].pop()


Chunk = tuple[int, bytes]  # microseconds after the request, bytes
Behaviour = Callable[["HostileCase", HostileDevice, bytes, int], list[Chunk]]


class HostileCase:
    """One bus with two devices under one behaviour; `run` returns the judged counts."""

    def __init__(self, framing: str, behaviour: Behaviour, seed: int, sizes: str = "mixed") -> None:
        self.framing = framing
        self.behaviour = behaviour
        self.rng = random.Random(seed)
        self.devices = {unit: HostileDevice(unit, self.rng) for unit in UNITS}
        self.bus = Bus(4, framing, 19200, 11, timeout_us=TIMEOUT_US)
        self.now = 0
        self.order = 0
        self.arriving: list[tuple[int, int, bytes]] = []
        self.asking: dict[int, tuple[HostileDevice, bytes]] = {}  # by the order of arrival
        self.line_free_at = 0
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
            if self.behaviour is _reset_beside_master and cycle < HOSTILE_S:
                self._run_until(self.now + self.rng.randrange(SECOND))
                self._reset()
            self._run_until((cycle + 1) * SECOND)
            if self._is_settled():
                break
        return self

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
        """Count good seconds: no guard, no offline unit, no late reply, and only good values."""
        first = max(HOSTILE_S * SECOND, self.now - SECOND)
        is_good = (
            not (self.arriving or self.bus._stale_replies.units or self.bus.offline_units)
            and all(self.last_good.get(tag, 0) > first for tag in self.blocks)
            and not any(device.owed for device in self.devices.values())
        )
        self.settled = self.settled + 1 if is_good else 0
        return self.settled >= SETTLED_S

    def _submit_write(self) -> None:
        unit, self.written = self.rng.choice(UNITS), self.written + 1
        if self.rng.randrange(2):
            request = pdu.write_single(200, self.rng.randrange(3))
        else:
            request = pdu.write_multiple(201, (self.rng.randrange(3),))
        self.bus.submit(unit, request, ("write", self.now, request), WRITE)

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

    def _serve(self, frame: bytes) -> None:
        is_serial = self.framing != "tcp"
        asked = self.bus._transaction
        assert asked is not None
        if self.asked.get(asked.tag, (None, 0))[0] is not asked:
            self.asked[asked.tag] = (asked, self.now)
        self.transaction = frame[:2]
        unit, request = (frame[0], frame[1:-2]) if self.framing == "rtu" else (frame[6], frame[7:])
        if self.framing == "ascii":
            body = parse_frame(frame[1:-2])
            assert body is not None
            unit, request = body[0], body[1:]
        device = self.devices.get(unit)
        if device is None:
            return
        sent = self.now + (len(frame) * CHAR_US if is_serial else 100)
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
            self._schedule(sent + delay, data)

    def wrap(self, unit: int, body: bytes) -> bytes:
        """Return a PDU as a frame."""
        if self.framing == "rtu":
            return with_crc(bytes((unit,)) + body)
        if self.framing == "ascii":
            return build_frame(unit, body)
        return self.transaction + struct.pack(">HHB", 0, len(body) + 1, unit) + body

    def _schedule(self, start: int, data: bytes) -> None:
        at = max(start, self.line_free_at)
        for offset in range(0, len(data), 16):
            part = data[offset : offset + 16]
            at += len(part) * CHAR_US if self.framing != "tcp" else 10
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


# Behaviours. Each returns the chunks that follow a request.


def _frame(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> bytes:
    return case.wrap(device.unit, device.reply(request, now))


def behind_by(count: int) -> Behaviour:
    """A device that is `count` replies behind."""

    def behave(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
        device.owed.append(_frame(case, device, request, now))
        return [(5000, device.owed.pop(0))] if len(device.owed) > count else []

    return behave


def _sometimes_behind(
    case: HostileCase, device: HostileDevice, request: bytes, now: int
) -> list[Chunk]:
    device.owed.append(_frame(case, device, request, now))
    if case.rng.randrange(6) == 0:
        device.behind = case.rng.randrange(3)
    count = max(0, len(device.owed) - device.behind)
    sent, device.owed = device.owed[:count], device.owed[count:]
    return [(5000 + 3000 * i, frame) for i, frame in enumerate(sent)]


def _late(most_us: int, share: int) -> Behaviour:
    def behave(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
        frame = _frame(case, device, request, now)
        delay = case.rng.randrange(most_us) if case.rng.randrange(share) == 0 else 0
        return [(5000 + delay, frame)]

    return behave


def _late_twice(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    frame = _frame(case, device, request, now)
    delay = 210_000 + case.rng.randrange(200_000) if case.rng.randrange(4) == 0 else 5000
    again = [(delay + case.rng.randrange(4000), frame)] if case.rng.randrange(4) == 0 else []
    return [(delay, frame), *again]


def _copy_in_parts(
    case: HostileCase, device: HostileDevice, request: bytes, now: int
) -> list[Chunk]:
    """A reply, in time or late, and its second copy; a pause can be inside each of them."""
    frame, sent = _frame(case, device, request, now), []
    at = 210_000 + case.rng.randrange(200_000) if case.rng.randrange(4) == 0 else 5000
    for _ in range(2 if case.rng.randrange(3) == 0 else 1):
        cut = case.rng.randrange(1, len(frame)) if case.rng.randrange(3) == 0 else len(frame)
        pause = case.rng.randrange(300_000) if cut < len(frame) else 0
        sent += [(at, frame[:cut]), (at + cut * CHAR_US + pause, frame[cut:])]
        at += len(frame) * CHAR_US + pause + case.rng.randrange(4000)
    return sent


def _copy_in_slow_parts(
    case: HostileCase, device: HostileDevice, request: bytes, now: int
) -> list[Chunk]:
    """The same with long pauses: the second part can come after several of our requests."""
    frame, sent = _frame(case, device, request, now), []
    at = 210_000 + case.rng.randrange(600_000) if case.rng.randrange(4) == 0 else 5000
    for _ in range(2 if case.rng.randrange(2) == 0 else 1):
        cut = case.rng.randrange(1, len(frame)) if case.rng.randrange(2) == 0 else len(frame)
        pause = case.rng.randrange(1_500_000) if cut < len(frame) else 0
        sent += [(at, frame[:cut]), (at + cut * CHAR_US + pause, frame[cut:])]
        at += len(frame) * CHAR_US + pause + case.rng.randrange(4000)
    return sent


def _exception_copies(
    case: HostileCase, device: HostileDevice, request: bytes, now: int
) -> list[Chunk]:
    """Exceptions and replies, in time or late, and second copies of both."""
    frame, sent = _frame(case, device, request, now), []
    if case.rng.randrange(3) == 0:
        frame = case.wrap(device.unit, bytes((request[0] | 0x80, case.rng.choice((1, 2, 4, 6)))))
    at = 210_000 + case.rng.randrange(400_000) if case.rng.randrange(3) == 0 else 5000
    for _ in range(2 if case.rng.randrange(3) == 0 else 1):
        cut = case.rng.randrange(1, len(frame)) if case.rng.randrange(4) == 0 else len(frame)
        pause = case.rng.randrange(300_000) if cut < len(frame) else 0
        sent += [(at, frame[:cut]), (at + cut * CHAR_US + pause, frame[cut:])]
        at += len(frame) * CHAR_US + pause + case.rng.randrange(4000)
    return sent


def _echo_and_parts(
    case: HostileCase, device: HostileDevice, request: bytes, now: int
) -> list[Chunk]:
    case.line_free_at = max(now, case.line_free_at)  # no byte overtakes those before it
    case.deliver(case.line_free_at, case.wrap(device.unit, request))
    return _copy_in_parts(case, device, request, now)


def _drop(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    kind = case.rng.randrange(4)
    if kind == 0:
        return []  # the request is lost
    frame = _frame(case, device, request, now)
    return [] if kind == 1 else [(5000, frame)]


def _dead(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    if now >= device.silent_until and case.rng.randrange(30) == 0:
        device.silent_until = now + case.rng.randrange(8 * SECOND)
        device.owed.clear()
    return [] if now < device.silent_until else [(5000, _frame(case, device, request, now))]


def _exceptions(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    frame = _frame(case, device, request, now)
    if case.rng.randrange(3) == 0:
        frame = case.wrap(device.unit, bytes((request[0] | 0x80, case.rng.choice((1, 2, 4, 6)))))
    delay = 5000 if case.rng.randrange(4) else case.rng.randrange(500_000)
    return [(delay, frame)]


def _false_count(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    body = device.reply(request, now)
    if request[0] in pdu.READS and case.rng.randrange(2):
        count = case.rng.choice((0, 1, 3, 5, body[1] - 1, body[1] + 1, 128, 250, 255))
        body = body[:1] + bytes((count & 0xFF,)) + body[2:]
        if case.rng.randrange(2):
            body = body[: 2 + count]
    return [(5000, case.wrap(device.unit, body))]


def _forged(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    """A foreign frame that contains, as its data, a forged reply to the request."""
    good = _frame(case, device, request, now)
    if request[0] not in pdu.READS or case.rng.randrange(2):
        return [(5000, good)]
    body = bytearray(good[1:-2])
    body[2:] = bytes((0xEE, 0)) * ((len(body) - 2) // 2)
    forged = with_crc(bytes((device.unit,)) + bytes(body))
    lead, tail = case.rng.randrange(2, 9), case.rng.randrange(2, 9)
    data = case.rng.randbytes(lead) + forged + case.rng.randbytes(tail)
    data += b"" if len(data) % 2 == 0 else b"\0"
    foreign = with_crc(bytes((77, 3, len(data))) + data)
    return [(3000, foreign), (60_000, good)] if case.rng.randrange(2) else [(3000, foreign)]


def _echo(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    echo = (-len(request) * CHAR_US, case.wrap(device.unit, request))
    return [echo, *_drop(case, device, request, now)]


def _other_master(
    case: HostileCase, device: HostileDevice, request: bytes, now: int
) -> list[Chunk]:
    """Another master reads other registers with the same reply shape; the order is not known."""
    own = _frame(case, device, request, now)
    if request[0] not in pdu.READS or case.rng.randrange(3) == 0:
        return [(5000, own)]
    address = bytes((case.rng.choice((0, 1)), case.rng.randrange(128, 256)))
    theirs = request[:1] + address + request[3:]
    asked, reply = case.wrap(device.unit, theirs), _frame(case, device, theirs, now)
    kind = case.rng.randrange(4)
    if kind == 0:  # our request was first
        return [(1000, asked), (30_000, own), (30_000, reply)]
    if kind == 1:
        return [(0, asked), (30_000, reply), (30_000, own)]
    if kind == 2:  # our request is lost
        return [(1000, asked), (30_000, reply)]
    return [(5000, own), (20_000, asked), (20_000 + case.rng.randrange(400_000), reply)]


def _reset_beside_master(
    case: HostileCase, device: HostileDevice, request: bytes, now: int
) -> list[Chunk]:
    """Another master, and resets in the middle: the bus loses requests of that master."""
    return _other_master(case, device, request, now)


def _queue(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    """A slow device that serves one request after the other, ours and those of another master.

    Each frame arrives whole, so that none is cut by another.
    """
    case.own_request(device, request, now)
    count = case.rng.choice((0, 0, 1, 1, 2, 12 if case.rng.randrange(8) == 0 else 1))
    asked_at = now
    for _ in range(count if request[0] in pdu.READS else 0):
        words = bytes((1, case.rng.randrange(128, 256), 0, case.rng.choice((1, 2, 3, request[4]))))
        asked_at += case.rng.randrange(9, 90) * MILLISECOND
        case.deliver(asked_at, request[:1] + words, device)
    return []


def _damaged_echo(
    case: HostileCase, device: HostileDevice, request: bytes, now: int
) -> list[Chunk]:
    (start, data), *replies = _echo(case, device, request, now)
    echo = bytearray(data)
    kind = case.rng.randrange(6)
    if kind == 0:
        echo[case.rng.randrange(len(echo))] ^= 1 << case.rng.randrange(8)
    elif kind == 1:
        del echo[: case.rng.randrange(3)]
    return [(start, bytes(echo)), *replies]


def _noise(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    frame = bytearray(_frame(case, device, request, now))
    kind = case.rng.randrange(case.framing == "tcp", 5)  # TCP has no CRC of its own
    if kind == 0:
        frame[case.rng.randrange(len(frame))] ^= 1 << case.rng.randrange(8)
    elif kind == 1:
        frame[:0] = case.rng.randbytes(1 + case.rng.randrange(12))
    elif kind == 2:
        del frame[case.rng.randrange(len(frame)) :]
    return [(5000, bytes(frame))]


def _mix(case: HostileCase, device: HostileDevice, request: bytes, now: int) -> list[Chunk]:
    behave = case.rng.choice(_MIXED)
    if behave is _sometimes_behind:
        return behave(case, device, request, now)
    owed, device.owed = device.owed, []  # a device keeps the order of its replies
    return [(5000, frame) for frame in owed] + behave(case, device, request, now)


_MIXED = (_sometimes_behind, _late(600_000, 2), _late_twice, _drop, _dead, _exceptions, _noise)
BEHAVIOURS: dict[str, Behaviour] = {
    "one behind": behind_by(1),
    "two behind": behind_by(2),
    "sometimes behind": _sometimes_behind,
    "late": _late(600_000, 4),
    "very late": _late(3_000_000, 10),
    "late, twice": _late_twice,
    "dropped": _drop,
    "restarts": _dead,
    "exceptions": _exceptions,
    "false count": _false_count,
    "noise": _noise,
    "mix": _mix,
}
ASCII_BEHAVIOURS = {**BEHAVIOURS, "echo": _echo, "damaged echo": _damaged_echo}
ASCII_BEHAVIOURS |= {"other master": _other_master, "queue": _queue}
ASCII_BEHAVIOURS["resets beside another master"] = _reset_beside_master
ASCII_BEHAVIOURS |= {"copy in parts": _copy_in_parts, "echo, copy in parts": _echo_and_parts}
ASCII_BEHAVIOURS |= {"copy in slow parts": _copy_in_slow_parts}
ASCII_BEHAVIOURS |= {"exceptions, copies": _exception_copies}
RTU_BEHAVIOURS = {**ASCII_BEHAVIOURS, "forged": _forged}
SIZES = ("one", "two", "many", "mixed")
"""Registers of each read: see `HostileCase`."""
