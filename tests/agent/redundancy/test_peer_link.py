# SPDX-License-Identifier: Apache-2.0
"""The link between both controllers of a pair: what it takes and what it refuses."""

import random

import pytest

from agent.redundancy.line_watch import LineWatch
from agent.redundancy.pair_table import NO_COMMAND, NO_WORD, WORD_ACTIVE, WORD_READY
from protocols.modbus.pdu import read_holding
from protocols.modbus.rtu import build_frame
from protocols.signing.link_message import build_line, parse_line
from protocols.signing.peer_link import PeerLink

KEY = bytes(range(32))
MS = 1000


def make_pair() -> tuple[PeerLink, PeerLink]:
    links = PeerLink("a", "b", KEY), PeerLink("b", "a", KEY)
    for link in links:
        link.start(1, 0)
    return links


def exchange(a: PeerLink, b: PeerLink, count: int, now: int) -> int:
    """Exchange messages each 100 ms; return the time after them."""
    for _ in range(count):
        now += 100 * MS
        b.receive(a.next_line(WORD_ACTIVE, 3, True, now), now)
        a.receive(b.next_line(WORD_READY, 3, True, now), now)
    return now


def test_words_and_state_arrive() -> None:
    a, b = make_pair()
    state = bytes(random.Random(1).randrange(256) for _ in range(4096))
    a.set_state(state)
    now = exchange(a, b, 25, 0)
    assert b.take_word() == WORD_ACTIVE
    assert a.take_word() == WORD_READY
    assert a.is_in_sync()
    assert b.replica(now) == state
    assert b.replica(now + 70_000 * MS) == b""


def test_lost_messages_only_delay_the_state() -> None:
    a, b = make_pair()
    source = random.Random(2)
    a.set_state(bytes(2000))
    now = 0
    for _ in range(120):
        now += 100 * MS
        for sender, receiver in ((a, b), (b, a)):
            line = sender.next_line(WORD_ACTIVE, 1, True, now)
            if source.random() < 0.7:
                receiver.receive(line, now)
    assert a.is_in_sync()
    assert b.replica(now) == bytes(2000)


def test_recorded_messages_are_never_taken() -> None:
    a, b = make_pair()
    recorded = []
    now = 0
    for _ in range(20):
        now += 100 * MS
        line = a.next_line(WORD_ACTIVE, 1, True, now)
        recorded.append(line)
        b.receive(line, now)
        a.receive(b.next_line(WORD_READY, 1, True, now), now)
    b.take_word()
    for line in recorded:
        b.receive(line, now)
    assert b.take_word() == NO_WORD
    # After a restart of the receiver, of the sender, and after a long silence.
    for boots in (2, 3):
        fresh = PeerLink("b", "a", KEY)
        fresh.start(boots, now)
        for line in recorded:
            fresh.receive(line, now)
        assert fresh.take_word() == NO_WORD
    a2 = PeerLink("a", "b", KEY)
    a2.start(2, now)
    now = exchange(a2, b, 5, now)
    b.take_word()
    for line in recorded:
        b.receive(line, now)
    assert b.take_word() == NO_WORD
    b.next_line(WORD_READY, 1, True, now + 20_000 * MS)
    for line in recorded:
        b.receive(line, now + 20_000 * MS)
    assert b.take_word() == NO_WORD


def test_a_replaced_controller_is_accepted_again() -> None:
    a, b = PeerLink("a", "b", KEY), PeerLink("b", "a", KEY)
    a.start(40, 0)
    b.start(7, 0)
    now = exchange(a, b, 5, 0)
    new = PeerLink("a", "b", KEY)
    new.start(1, now)
    now = exchange(new, b, 5, now)
    b.take_word()
    for _ in range(130):
        now = exchange(new, b, 1, now)
    assert b.take_word() == WORD_ACTIVE


def test_altered_bytes_and_noise_are_rejected() -> None:
    a, b = make_pair()
    exchange(a, b, 3, 0)
    b.take_word()
    line = a.next_line(WORD_ACTIVE, 1, True, 0)
    source = random.Random(3)
    for _ in range(2000):
        changed = bytearray(line[:-1])
        changed[source.randrange(len(changed))] ^= 1 << source.randrange(8)
        message = parse_line(KEY, bytes(changed))
        assert message is None or build_line(KEY, message) == line
        b.receive(bytes(source.randrange(256) for _ in range(source.randrange(600))), 0)
    assert b.take_word() == NO_WORD


@pytest.mark.parametrize("rest", [b"x", b"Q1BMAW", b"\x00" * 2000, "truncated"])
def test_bytes_without_an_end_do_not_destroy_the_next_message(rest: bytes | str) -> None:
    """Without the key, such datagrams between the messages would end the link."""
    a, b = make_pair()
    now = exchange(a, b, 3, 0)
    b.take_word()
    for _ in range(5):
        now += 100 * MS
        line = a.next_line(WORD_ACTIVE, 3, True, now)
        b.receive(line[:40] if isinstance(rest, str) else rest, now)
        b.receive(line, now)
        assert b.take_word() == WORD_ACTIVE


def test_the_same_request_of_the_other_controller_is_no_echo() -> None:
    watch = LineWatch(600, 246, 247)
    frame = build_frame(32, read_holding(0, 1))
    watch.sent(frame, 0)
    watch.receive(frame, 8 * 600 + 2000)  # the echo of an adapter
    assert not watch.take_events(0, NO_WORD, NO_COMMAND, True).request
    watch.receive(frame, 500_000)
    watch.wake(600_000)
    assert watch.take_events(0, NO_WORD, NO_COMMAND, True).request
