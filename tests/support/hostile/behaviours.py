# SPDX-License-Identifier: Apache-2.0
"""Behaviours of hostile Modbus devices: each returns the chunks that follow a request of the bus.

Not a test. See `case` for the bus, the devices and the judge.
"""

from __future__ import annotations

from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.time_units import MILLISECOND, SECOND
from tests.support.hostile.case import CHAR_US, Behaviour, Chunk, HostileCase, HostileDevice


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
