# SPDX-License-Identifier: Apache-2.0
"""Second copies of a reply that come in two parts: a model, explored exhaustively.

The bus is that of the product, on a line that delivers in wire time. A unit sends its reply twice.
The copy begins within `_DELAYS_US` of the reply, and our next request goes out meanwhile. An
adapter delivers the copy in two parts, cut at any character, the second one after a pause. The line
echoes our request or not; the echo comes alone, or in one piece with the first part. The request
reaches the unit or is lost. Every combination is tried.

In each, a good result has the values of its own registers. If the request was lost, there is none.

The second part can also come after the time-out of our request. The unit is then one reply behind:
it sends the reply to our request after the next one. The copy must not count as that reply.
"""

from __future__ import annotations

import copy
from itertools import product

import pytest

from drivers.modbus.bus import Bus
from protocols.modbus import ascii_mode, pdu
from protocols.modbus.crc import with_crc

CHAR = 521  # microseconds of 10 bits at 19200 baud, rounded up
TIMEOUT = 100_000
READ = pdu.read_holding(16, 2)
OTHER = pdu.read_holding(99, 2)  # its replies have the same shape
OUR_VALUES, THEIR_VALUES = b"\x03\x04\x00\x01\x00\x02", b"\x03\x04\x00\x63\x00\x64"
UNIT, RESPONSE_US = 5, 6_000
ALONE, JOINED = "alone", "joined"
_DELAYS_US = (0, 500, 1_000, 2_000, 3_000, 4_000)
_PAUSES_US = (0, 20_000, 80_000)
_EXCEPTION = bytes((0x83, 4))
Chunk = tuple[int, bytes]


def build(framing: str, unit: int, body: bytes) -> bytes:
    """Return a frame."""
    if framing == "ascii":
        return ascii_mode.build_frame(unit, body)
    return with_crc(bytes((unit,)) + body)


def make_bus(framing: str) -> Bus:
    """Return an open bus."""
    bus = Bus(4, framing, 19200, 10, TIMEOUT)
    bus.event("opened", 0)
    return bus


def run_until_write(bus: Bus) -> tuple[int, bytes]:
    """Wake the bus until it writes; return (time, frame)."""
    while True:
        now = bus.deadline()
        bus.wake(now)
        for _, _, frame in bus.outbox():
            return now, frame


def exchange(bus: Bus, framing: str, request: bytes, reply: bytes, has_echo: bool) -> int:
    """Send a read and deliver its reply in wire time; return the time of its end."""
    bus.submit(UNIT, request, "exchange", retries=0)
    now, frame = run_until_write(bus)
    if has_echo:
        bus.receive(frame, now + len(frame) * CHAR)
    now += (len(frame) + len(reply)) * CHAR + RESPONSE_US
    bus.receive(reply, now)
    assert [result.status for result in bus.take_results()] in (["ok"], ["exception"])
    return now


def warm_bus(framing: str, has_echo: bool) -> Bus:
    """Return a bus that knows the timing of the line and of the unit."""
    bus = make_bus(framing)
    reply = build(framing, UNIT, THEIR_VALUES)
    for _ in range(20):
        exchange(bus, framing, OTHER, reply, has_echo)
    return bus


def run_chunks(bus: Bus, chunks: list[Chunk]) -> list[tuple[str, object]]:
    """Deliver the chunks in order and let the deadlines between them pass; return the results."""
    found: list[tuple[str, object]] = []
    end = max(at for at, _ in chunks) + 2 * TIMEOUT
    for at, data in [*sorted(chunks), (end, b"")]:
        while bus.deadline() <= at:
            bus.wake(bus.deadline())
            bus.outbox()
        if data:
            bus.receive(data, at)
        found += [(r.status, r.values) for r in bus.take_results() if r.tag == "read"]
    return found


def run_copy(
    bus: Bus, framing: str, cut: int, delay: int, pause: int, echo: str, is_lost: bool, body: bytes
) -> list[tuple[str, object]]:
    """One combination; return the results of our read, which follows the copied reply."""
    copied = build(framing, UNIT, body)
    reply_end = exchange(bus, framing, OTHER, copied, bool(echo))
    bus.submit(UNIT, READ, "read", retries=0)
    sent_at, frame = run_until_write(bus)
    first_at = reply_end + delay + cut * CHAR
    last_at = first_at + pause + (len(copied) - cut) * CHAR
    request_end = sent_at + len(frame) * CHAR
    chunks = [(last_at, copied[cut:])]
    if first_at < sent_at:
        bus.receive(copied[:cut], sent_at)  # the adapter delivers it as our request goes out
    elif echo == JOINED and first_at < request_end + 3_000:
        chunks.append((max(first_at, request_end), frame + copied[:cut]))
    else:
        chunks.append((first_at, copied[:cut]))
    if echo and frame + copied[:cut] not in [data for _, data in chunks]:
        chunks.append((request_end, frame))
    if not is_lost:
        own = build(framing, UNIT, OUR_VALUES)
        chunks.append((max(request_end + RESPONSE_US, last_at) + len(own) * CHAR, own))
    return run_chunks(bus, chunks)


@pytest.mark.parametrize("echo", ["", ALONE, JOINED])
@pytest.mark.parametrize("framing", ["rtu", "ascii"])
@pytest.mark.parametrize("body", [THEIR_VALUES, _EXCEPTION], ids=["reply", "exception"])
def test_no_second_copy_in_two_parts_is_a_reply(framing: str, echo: str, body: bytes) -> None:
    warm = warm_bus(framing, bool(echo))
    cuts = range(1, len(build(framing, UNIT, body)))
    combinations = list(product(cuts, _DELAYS_US, _PAUSES_US, (False, True)))
    good = 0
    for cut, delay, pause, is_lost in combinations:
        results = run_copy(copy.deepcopy(warm), framing, cut, delay, pause, echo, is_lost, body)
        case = (cut, delay, pause, is_lost, results)
        for status, values in results:
            assert status != "exception", case
            assert status != "ok" or (values == (1, 2) and not is_lost), case
        good += ("ok", (1, 2)) in results
    assert good > len(combinations) // 4  # the filter lets the own replies through


class UnitBehind:
    """A unit that is one reply behind; its registers show their own addresses."""

    def __init__(self, framing: str) -> None:
        self.framing = framing
        self.owed: list[bytes] = []

    def reply(self, frame: bytes) -> bytes:
        """Take a request; return the reply to the one before it."""
        body = frame[1:-2]
        if self.framing == "ascii":
            body = (ascii_mode.parse_frame(frame[1:-2]) or b"")[1:]
        if body[0] == pdu.READ_HOLDING:
            words = [bytes((0, body[2] + i)) for i in range(body[4])]
            body = bytes((3, 2 * body[4])) + b"".join(words)
        self.owed.append(build(self.framing, UNIT, body))
        return self.owed.pop(0) if len(self.owed) > 1 else b""


def run_behind(bus: Bus, framing: str, cut: int, delay: int, pause: int, echo: str) -> int:
    """Check each good value of 5 s after a copy in two parts; return the number of requests."""
    copied = build(framing, UNIT, THEIR_VALUES)
    first_at = exchange(bus, framing, OTHER, copied, bool(echo)) + delay + cut * CHAR
    now = first_at + pause
    unit, sent = UnitBehind(framing), 0
    chunks = [(first_at, copied[:cut]), (now, copied[cut:])]
    end = now + 5_000_000
    while now < end or sent == 0:
        for address in (16, 50):
            if address not in waiting_of(bus):
                bus.submit(UNIT, pdu.read_holding(address, 2), address, retries=0)
        now = min(bus.deadline(), min((at for at, _ in chunks), default=end))
        if chunks and chunks[0][0] <= now:
            bus.receive(chunks.pop(0)[1], now)
        else:
            bus.wake(now)
        for _, _, frame in bus.outbox():
            sent += 1
            request_end, reply = now + len(frame) * CHAR, unit.reply(frame)
            if echo:
                chunks.append((request_end, frame))
            if reply:
                chunks.append((request_end + RESPONSE_US + len(reply) * CHAR, reply))
            chunks.sort()
        for result in bus.take_results():
            if result.status == "ok":
                values = (result.tag, result.tag + 1)
                assert result.values == values, (cut, delay, pause, result.tag, result.values)
    return sent


def waiting_of(bus: Bus) -> list[object]:
    """Return the tags of the polls that wait or are on the wire."""
    pending = [] if bus._transaction is None else [bus._transaction]
    return [transaction.tag for transaction in [*bus._polls, *pending]]


@pytest.mark.parametrize("echo", ["", ALONE])
@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_no_second_copy_closes_the_request_that_it_cuts(framing: str, echo: str) -> None:
    warm = warm_bus(framing, bool(echo))
    size = len(build(framing, UNIT, THEIR_VALUES))
    pauses = (80_000, 120_000, 300_000, 700_000) if framing == "rtu" else (80_000, 120_000, 300_000)
    for cut, delay, pause in product(range(1, size), _DELAYS_US, pauses):
        assert run_behind(copy.deepcopy(warm), framing, cut, delay, pause, echo) > 4


def test_a_unit_that_delivers_in_parts_loses_no_reply() -> None:
    """The pause inside each reply is part of the time of the last byte, not of the first part."""
    bus = make_bus("rtu")
    reply = build("rtu", UNIT, OUR_VALUES)
    for _ in range(40):
        bus.submit(UNIT, READ, "read", retries=0)
        now, frame = run_until_write(bus)
        start = now + len(frame) * CHAR + RESPONSE_US
        bus.receive(reply[:4], start + 4 * CHAR)
        bus.receive(reply[4:], start + len(reply) * CHAR + 8_000)
        assert [result.status for result in bus.take_results()] == ["ok"]
    assert bus.premature == 0
    assert pdu.reply_length(READ) == len(OUR_VALUES)


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_no_second_copy_behind_noise_is_a_reply(framing: str) -> None:
    """The noise can be the start of a longer frame: the bus decides after later bytes."""
    warm = warm_bus(framing, False)
    warm.unit_health(UNIT).set_fastest(0)  # as after a damaged reply: its copy came too early
    copied, own = build(framing, UNIT, THEIR_VALUES), build(framing, UNIT, OUR_VALUES)
    noises = (b"\x15\x17\xa6\xb8", b"\x05\x03\x14\x00", b"\x11\x10\x00\x01\x00\x10\x20")
    for noise, delay, is_lost in product(noises, _DELAYS_US, (False, True)):
        bus = copy.deepcopy(warm)
        reply_end = exchange(bus, framing, OTHER, copied, False)
        bus.submit(UNIT, READ, "read", retries=0)
        sent_at, frame = run_until_write(bus)
        copy_end = max(sent_at + 500, reply_end + delay + (len(noise) + len(copied)) * CHAR)
        own_end = max(copy_end, sent_at + len(frame) * CHAR + RESPONSE_US) + len(own) * CHAR
        chunks = [(copy_end, noise + copied)] + ([] if is_lost else [(own_end, own)])
        for status, values in run_chunks(bus, chunks):
            assert status != "ok" or (values == (1, 2) and not is_lost), (noise, delay, is_lost)
