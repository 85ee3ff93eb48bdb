# SPDX-License-Identifier: Apache-2.0
"""A master that the bus only sees in whole exchanges, then a request of it that is lost: a model.

The bus is that of the product. Another master sends a request and gets its reply, at any place
between our request, our reply and our next poll, in chunks of any division, to our unit or another
one. Then the bus loses its input: the port fails and opens again, or the bus drops what it has
received. Meanwhile the other master sends a request whose reply looks like ours. The unit answers
this one in place of ours, or before it. Every combination is tried.

In each, no value of their registers is a good one. Without the other master, ours is good.
"""

from __future__ import annotations

from itertools import product

import pytest

from drivers.modbus.bus import Bus
from protocols.modbus import pdu
from tests.drivers.modbus.test_second_copies import OTHER, READ, build, make_bus, run_until_write

UNIT, OTHER_UNIT = 5, 9
OUR_REPLY, THEIR_REPLY = b"\x03\x04\x00\x01\x00\x02", b"\x03\x04\x00\x63\x00\x64"
EXCHANGES = (
    (pdu.read_holding(99, 3), b"\x03\x06\x00\x63\x00\x64\x00\x65"),
    (pdu.write_single(7, 1), pdu.write_single(7, 1)),
    (pdu.write_multiple(7, (1, 2)), pdu.write_multiple(7, (1, 2))[:5]),
)
OUR_PLACE = {
    "before our request": 0,
    "before our reply": 2,
    "around our reply": 1,
    "after our reply": 0,
}
"""Place of the exchange of the other master -> index of our reply in the frames."""
DIVISIONS = ((False, False), (True, False), (False, True), (True, True))
"""Whether the second frame comes in one chunk with the first, and the third with the second."""


def divide(frames: list[bytes], joins: tuple[bool, bool]) -> list[bytes]:
    """Join the frames to chunks."""
    chunks = frames[:1]
    for frame, is_joined in zip(frames[1:], joins, strict=False):
        if is_joined:
            chunks[-1] += frame
        else:
            chunks.append(frame)
    return chunks


def exchange(
    framing: str, place: str, theirs: list[bytes], joins: tuple[bool, bool], polls_between: int
) -> tuple[Bus, int]:
    """Return (bus, time) after our exchange and theirs, and some more of ours."""
    bus, ours, now = make_bus(framing), build(framing, UNIT, OUR_REPLY), 1_000
    frames = list(theirs)
    if place == "before our request":
        for chunk in divide(theirs, joins):
            bus.receive(chunk, now)
            now += 20_000
        frames = []
    frames.insert(OUR_PLACE[place], ours)
    chunks = divide(frames, joins)
    for number in range(1 + polls_between):
        bus.submit(UNIT, READ, "first", retries=0)
        now, _ = run_until_write(bus)
        for chunk in chunks:
            now += 20_000
            bus.receive(chunk, now)
        chunks = [ours]
        while bus.deadline() <= now + 30_000:  # the reply can wait for silence
            bus.wake(bus.deadline())
        statuses = [result.status for result in bus.take_results()]
        assert statuses in (["ok"], ["unsure"]), (place, number, statuses)
    return bus, now + 50_000


def lose_request(framing: str, bus: Bus, now: int, loss: str) -> None:
    """Let the bus lose a request of the other master."""
    if loss == "drop":
        bus.receive(build(framing, UNIT, OTHER)[:5], now)
        bus.drop_input(now + 1_000)
    else:
        bus.event("failed", now)
        bus.event("opened", now + 1_000)


def good_values(framing: str, bus: Bus, now: int, answers_both: bool) -> list[object]:
    """Poll 1.5 s; the unit answers the lost request first. Return the good values."""
    good: list[object] = []
    owed = [build(framing, UNIT, THEIR_REPLY)]
    arriving: list[tuple[int, bytes]] = []
    end = now + 1_500_000
    bus.submit(UNIT, READ, "read", retries=0)
    while now < end:
        now += 5_000
        while arriving and arriving[0][0] <= now:
            bus.receive(arriving.pop(0)[1], now)
        while bus.deadline() <= now:
            bus.wake(now)
            for _, op, frame in bus.outbox():
                if op == "write":
                    is_answered = answers_both and frame == build(framing, UNIT, READ)
                    own = [build(framing, UNIT, OUR_REPLY)] if is_answered else []
                    replies, owed = owed + own, []
                    arriving += [(now + 30_000 + 20_000 * i, r) for i, r in enumerate(replies)]
        good += [result.values for result in bus.take_results() if result.status == "ok"]
    return good


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_no_value_of_the_other_master(framing: str) -> None:
    count = 0
    for place, joins, unit, between, loss, answers_both in product(
        OUR_PLACE, DIVISIONS, (UNIT, OTHER_UNIT), (0, 1), ("drop", "reopen"), (False, True)
    ):
        for request, reply in EXCHANGES:
            theirs = [build(framing, unit, request), build(framing, unit, reply)]
            bus, now = exchange(framing, place, theirs, joins, between)
            lose_request(framing, bus, now, loss)
            good = good_values(framing, bus, now, answers_both)
            case = (place, joins, unit, between, loss, answers_both, request, good)
            assert (0x63, 0x64) not in good, case
            count += 1
    assert count == 4 * 4 * 2 * 2 * 2 * 2 * len(EXCHANGES)


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
@pytest.mark.parametrize("loss", ["drop", "reopen"])
def test_alone_on_the_line_the_next_value_is_good(framing: str, loss: str) -> None:
    bus, now = exchange(framing, "after our reply", [], (False, False), 1)
    if loss == "drop":
        bus.drop_input(now)
    else:
        bus.event("failed", now)
        bus.event("opened", now + 1_000)
    bus.submit(UNIT, READ, "read", retries=0)
    now, _ = run_until_write(bus)
    bus.receive(build(framing, UNIT, OUR_REPLY), now + 30_000)
    assert [result.status for result in bus.take_results()] == ["ok"]
