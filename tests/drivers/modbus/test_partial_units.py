# SPDX-License-Identifier: Apache-2.0
"""Units that answer only some kinds of disambiguating requests, after a loss of replies.

The bus is that of the product, on RTU. The unit answers its own poll in order. It answers, refuses
or ignores function 8, other functions, longer reads and shorter reads. It loses requests for some
seconds, in one interval or two. If at least one kind of request is a proof, the unit must have a
good value again within `LIMIT_US`.
"""

from __future__ import annotations

from itertools import product

import pytest

from drivers.modbus.bus import Bus
from protocols.modbus import pdu
from protocols.modbus.crc import with_crc

GOOD, REFUSED, IGNORED, SOMETIMES = "good", "refused", "ignored", "sometimes"
UNIT, ADDRESS = 5, 50
SECOND = 1_000_000
TIMEOUT_US = 300_000
RESPONSE_US = 20_000
LIMIT_US = 50 * SECOND
FAULTS = {
    "one loss": ((3.0, 6.0),),
    "two losses": ((3.0, 5.0), (5.2, 8.0)),
}
POLLS = {
    "one register": pdu.read_holding(ADDRESS, 1),
    "a block of registers": pdu.read_holding(ADDRESS, 40),
    "one bit": pdu.read(pdu.READ_DISCRETE, ADDRESS, 1),
}
SEVERAL_POLLS = {
    "one register, inputs": (pdu.read_holding(0, 1), pdu.read(4, 0, 3)),
    "relays, inputs": (pdu.read(1, 0, 2), pdu.read(2, 0, 16)),
    "an input, two blocks of relays": (pdu.read(2, 0, 1), pdu.read(1, 0, 16), pdu.read(1, 16, 16)),
    "replies of one shape": (pdu.read(1, 0, 2), pdu.read(2, 0, 8)),
}
KINDS = tuple(
    product(
        (GOOD, REFUSED, IGNORED, SOMETIMES),
        (GOOD, REFUSED, IGNORED),
        (GOOD, REFUSED, IGNORED),
        (GOOD, REFUSED),
    )
)
Kind = tuple[str, str, str, str]


def count_of(request: bytes) -> int:
    """Return the number of values of a read."""
    return request[3] << 8 | request[4]


def can_be_proven(kind: Kind, poll: bytes) -> bool:
    """Return whether the unit answers one kind of disambiguating request."""
    diagnostics, others, longer, shorter = kind
    has_shorter = count_of(poll) > 1 and shorter == GOOD
    return diagnostics != IGNORED or others != IGNORED or longer == GOOD or has_shorter


class PartialUnit:
    """The unit; `reply` gives the body of the reply, or None."""

    def __init__(self, kind: Kind, poll: bytes) -> None:
        self.kind, self.poll = kind, poll
        self.asked = 0  # requests of function 8

    def verdict(self, request: bytes) -> str:
        diagnostics, others, longer, shorter = self.kind
        if request == self.poll:
            return GOOD
        if request[0] == pdu.DIAGNOSTICS:
            self.asked += 1
            is_good = diagnostics == GOOD or (diagnostics == SOMETIMES and self.asked % 3 == 0)
            return GOOD if is_good else IGNORED if diagnostics == SOMETIMES else diagnostics
        if request[0] != self.poll[0]:
            return others
        return longer if count_of(request) > count_of(self.poll) else shorter

    def reply(self, request: bytes) -> bytes | None:
        verdict = self.verdict(request)
        if verdict == IGNORED:
            return None
        if verdict == REFUSED:
            return bytes((request[0] | 0x80, 1))
        if request[0] == pdu.DIAGNOSTICS:
            return request
        return pdu.reply_prefix(request) + bytes(pdu.reply_length(request) - 2)


class InputModule(PartialUnit):
    """A unit with the values of its polls only. It ignores all functions but those of the polls."""

    def __init__(self, polls: tuple[bytes, ...]) -> None:
        super().__init__((IGNORED, IGNORED, IGNORED, GOOD), polls[0])
        self.polls = polls

    def verdict(self, request: bytes) -> str:
        ends = [poll[2] + count_of(poll) for poll in self.polls if poll[0] == request[0]]
        if not ends:
            return IGNORED
        return GOOD if request[2] + count_of(request) <= max(ends) else REFUSED


def good_again_at(
    unit: PartialUnit, fault: tuple[tuple[float, float], ...], polls: tuple[bytes, ...] = ()
) -> int:
    """Poll each second; return when all polls had a good value after the faults, 0 if too late."""
    polls = polls or (unit.poll,)
    bus = Bus(1, "rtu", 19200, 11, TIMEOUT_US)
    bus.event("opened", 0)
    now, ready_at, end = 0, 0, int(fault[-1][1] * SECOND)
    arriving: list[tuple[int, bytes]] = []
    pending: set[bytes] = set()
    good: set[bytes] = set()
    while now < end + LIMIT_US:
        if now >= ready_at and not pending:
            pending = {poll for poll in polls if bus.submit(UNIT, poll, poll, retries=1)}
            ready_at += SECOND
        due = min(bus.deadline(), arriving[0][0] if arriving else bus.deadline())
        if not pending:
            due = min(due, ready_at)
        now = max(now, due)
        if arriving and arriving[0][0] <= now:
            bus.receive(arriving.pop(0)[1], now)
        elif bus.deadline() <= now:
            bus.wake(now)
        for result in bus.take_results():
            pending.discard(result.tag)
            if result.status == "ok" and now > end:
                good.add(result.tag)
        if len(good) == len(polls):
            return now
        for _, _, frame in bus.outbox():
            if not [1 for begin, until in fault if begin * SECOND <= now < until * SECOND]:
                body = unit.reply(frame[1:-2])
                if body is not None:
                    reply = with_crc(bytes((UNIT,)) + body)
                    wire_us = bus.wire_time.chars_us(len(frame) + len(reply))
                    arriving.append((now + wire_us + RESPONSE_US, reply))
    return 0


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", POLLS)
def test_each_kind_of_unit_is_good_again(name: str, fault: str) -> None:
    poll, count, stuck = POLLS[name], 0, []
    for kind in KINDS:
        if can_be_proven(kind, poll) and (count_of(poll) > 1 or kind[3] == GOOD):
            count += 1
            if not good_again_at(PartialUnit(kind, poll), FAULTS[fault]):
                stuck.append(kind)
    assert stuck == []
    assert count == (71 - 1 if count_of(poll) > 1 else 34)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SEVERAL_POLLS)
def test_a_part_of_each_poll_is_tried(name: str, fault: str) -> None:
    """Only a part of one poll, or a read by a function of another poll, has an answer."""
    polls = SEVERAL_POLLS[name]
    assert good_again_at(InputModule(polls), FAULTS[fault], polls)


def test_a_unit_that_answers_its_poll_only_cannot_be_proven() -> None:
    kind = (IGNORED, IGNORED, IGNORED, REFUSED)
    assert not can_be_proven(kind, POLLS["one register"])
    assert good_again_at(PartialUnit(kind, POLLS["one register"]), FAULTS["one loss"]) == 0
