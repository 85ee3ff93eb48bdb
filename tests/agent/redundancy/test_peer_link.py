# SPDX-License-Identifier: Apache-2.0
"""The link between both controllers of a pair: what it takes and what it refuses."""

import copy
import random

import pytest

from agent.redundancy.line_watch import LineWatch
from agent.redundancy.pair_table import (
    NO_COMMAND,
    NO_WORD,
    WORD_ACTIVE,
    WORD_OFFER,
    WORD_OTHER,
    WORD_READY,
)
from protocols.modbus.pdu import read_holding
from protocols.modbus.rtu import build_frame
from protocols.signing.link_message import LinkMessage, build_line, parse_line
from protocols.signing.peer_link import MAX_AGE_US, PeerLink

KEY = bytes(range(32))
MS = 1000
FIELDS = [name for name in LinkMessage._fields if name not in ("node", "data")]


def make_pair(boots: int = 1) -> tuple[PeerLink, PeerLink]:
    links = PeerLink("a", "b", KEY), PeerLink("b", "a", KEY)
    for link in links:
        link.start(boots, 0)
    return links


def record_sessions() -> list[bytes]:
    """Return messages of both controllers from three earlier starts."""
    lines = []
    for boots in (1, 2, 3):
        a, b = make_pair(boots)
        for link in (a, b):
            link.set_state(bytes([boots]) * 600)
        for step in range(8):
            now = step * 100 * MS
            lines += [a.next_line(WORD_OFFER, 7, True, now), b.next_line(WORD_OTHER, 9, False, now)]
            b.receive(lines[-2], now)
            a.receive(lines[-1], now)
    return lines


def receive_all(link: PeerLink, lines: list[bytes], now: int) -> None:
    for line in lines:
        link.receive(line, now)


def view_of(link: PeerLink, now: int) -> tuple[object, ...]:
    """Return all that the owner can ask, and the next message."""
    line = copy.deepcopy(link).next_line(WORD_READY, 1, True, now)
    flags = (link.is_up(now), link.peer_fit, link.peer_epoch, link.is_in_sync())
    return (*flags, link.replica(now), link.replica_age_us(now), link.deadline(), line)


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


def make_fresh_pair() -> tuple[PeerLink, PeerLink]:
    """Return a pair that takes no old words."""
    a, b = [PeerLink(*names, KEY, max_age_us=MAX_AGE_US) for names in ("ab", "ba")]
    links = a, b
    for link in links:
        link.start(1, 0)
    return links


def test_each_side_knows_that_one_direction_is_cut() -> None:
    a, b = make_fresh_pair()
    now = exchange(a, b, 5, 0)
    assert (a.is_up(now), b.is_up(now)) == (True, True)
    for _ in range(10):
        now += 100 * MS
        a.next_line(WORD_ACTIVE, 3, True, now)
        a.receive(b.next_line(WORD_READY, 3, True, now), now)
    assert (a.is_up(now), b.is_up(now)) == (False, False)
    now = exchange(a, b, 3, now)
    assert (a.is_up(now), b.is_up(now)) == (True, True)


def exchange_late(a: PeerLink, b: PeerLink, delay_ms: int, count: int, now: int) -> int:
    """Exchange messages; those of `a` come `delay_ms` late. Return the time after them."""
    waiting: list[tuple[int, bytes]] = []
    for _ in range(count):
        now += 100 * MS
        waiting.append((now + delay_ms * MS, a.next_line(WORD_ACTIVE, 3, True, now)))
        while waiting and waiting[0][0] <= now:
            b.receive(waiting.pop(0)[1], now)
        a.receive(b.next_line(WORD_READY, 3, True, now), now)
    return now


@pytest.mark.parametrize(("delay_ms", "is_up"), [(200, True), (800, False), (30_000, False)])
def test_a_delay_in_one_direction_is_seen_at_both_sides(delay_ms: int, is_up: bool) -> None:
    links = a, b = make_fresh_pair()
    now = exchange(a, b, 20, 0)
    assert all(link.is_up(now) for link in links)
    now = exchange_late(a, b, delay_ms, 20, now)
    a.take_word()
    b.take_word()
    now = exchange_late(a, b, delay_ms, 400, now)
    assert [link.is_up(now) for link in links] == [is_up, is_up]
    assert [link.take_word() != NO_WORD for link in links] == [is_up, is_up]
    now = exchange(a, b, 150, now)
    assert all(link.is_up(now) for link in links)


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


@pytest.mark.parametrize("acknowledges", [True, False])
def test_a_state_arrives_that_changes_faster_than_it_is_sent(acknowledges: bool) -> None:
    """Also while no message of the other side arrives any more."""
    a, b = make_pair()
    now = exchange(a, b, 3, 0)
    for count in range(200):
        now += 100 * MS
        if count % 10 == 0:
            a.set_state(bytes(4000) + b"%04d" % count)
        b.receive(a.next_line(WORD_ACTIVE, 3, True, now), now)
        if acknowledges:
            a.receive(b.next_line(WORD_READY, 3, True, now), now)
    assert int(b.replica(now)[-4:]) >= (150 if acknowledges else 50)


def test_a_new_state_replaces_one_on_its_way_at_once() -> None:
    a, b = make_pair()
    a.set_state(b"1" * 4000)
    now = exchange(a, b, 25, 0)
    a.set_state(b"2" * 4000)
    now = exchange(a, b, 3, now)
    a.set_state(b"3" * 4000)
    now = exchange(a, b, 17, now)
    assert b.replica(now) == b"3" * 4000


@pytest.mark.parametrize("period", [2, 3, 4])
@pytest.mark.parametrize("parts", [2, 3, 4, 6, 12])
def test_a_regular_loss_only_delays_the_state(parts: int, period: int) -> None:
    a, b = make_pair()
    a.set_state(bytes(240 * parts))
    now = exchange(a, b, 1, 0)
    for count in range(250):
        now += 100 * MS
        line = a.next_line(WORD_ACTIVE, 3, True, now)
        if count % period == 0:
            b.receive(line, now)
        a.receive(b.next_line(WORD_READY, 3, True, now), now)
    assert a.is_in_sync()


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


def test_a_recorded_message_changes_nothing_on_a_link_that_is_up() -> None:
    """Neither one of an earlier start, nor of this one, repeated, late, or of the own side."""
    recorded = record_sessions()
    a, b = make_pair(9)
    for link, size in ((a, 700), (b, 500)):
        link.set_state(bytes(size))
    now = exchange(a, b, 12, 0)
    held = a.next_line(WORD_ACTIVE, 3, True, now)
    last = a.next_line(WORD_ACTIVE, 3, True, now)
    recorded += [b.next_line(WORD_READY, 3, True, now), held, last]
    b.receive(last, now)
    b.take_word()
    for line in recorded:
        before = view_of(b, now)
        b.receive(line, now)
        assert view_of(b, now) == before
        assert b.take_word() == NO_WORD


@pytest.mark.parametrize("name", FIELDS)
def test_a_message_of_another_start_changes_nothing_whatever_its_fields_are(name: str) -> None:
    a, b = make_pair(9)
    now = exchange(a, b, 12, 0)
    message = parse_line(KEY, a.next_line(WORD_ACTIVE, 3, True, now).strip())
    assert message is not None
    old = message._replace(echo=bytes(8))
    before = view_of(b, now)
    b.take_word()
    values = (b"\x01" * 8,) if name in ("nonce", "echo") else (0, 1, 7, 255)
    for value in values:
        b.receive(build_line(KEY, old._replace(**{name: value})), now)
        assert view_of(b, now) == before
        assert b.take_word() == NO_WORD


@pytest.mark.parametrize("is_after", [False, True])
def test_a_link_that_is_up_stays_up_between_recorded_messages(is_after: bool) -> None:
    """They come after each message, or before it, in both directions."""
    recorded = record_sessions()
    a, b = make_pair(9)
    now = exchange(a, b, 3, 0)
    for count in range(30):
        now += 100 * MS
        for sender, receiver in ((a, b), (b, a)):
            lines = [recorded[count % len(recorded)], sender.next_line(WORD_ACTIVE, 3, True, now)]
            receiver.take_word()
            receive_all(receiver, lines[::-1] if is_after else lines, now)
            assert receiver.take_word() == WORD_ACTIVE


@pytest.mark.parametrize("pause_s", [0, 5, 30])
def test_a_link_comes_up_between_recorded_messages(pause_s: int) -> None:
    """After each message comes one of each earlier start, in both directions."""
    recorded = record_sessions()
    a, b = make_pair(9)
    now = 0
    if pause_s:
        now = exchange(a, b, 3, now) + pause_s * 1000 * MS
        for link in (a, b):
            receive_all(link, recorded, now)
    for _ in range(4):
        now += 100 * MS
        for sender, receiver in ((a, b), (b, a)):
            receiver.receive(sender.next_line(WORD_ACTIVE, 3, True, now), now)
            receive_all(receiver, recorded, now)
    assert a.is_up(now)
    assert b.is_up(now)


@pytest.mark.parametrize("boots", [1, 9])
def test_a_controller_that_starts_again_is_received_at_once(boots: int) -> None:
    """Also one whose store is new, when the link was down for a moment."""
    a, b = make_pair(8)
    now = exchange(a, b, 3, 0) + (0 if boots > 8 else 11_000 * MS)
    new = PeerLink("a", "b", KEY)
    new.start(boots, now)
    now = exchange(new, b, 3, now)
    assert new.is_up(now)
    assert b.is_up(now)


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


def test_a_controller_without_a_count_of_its_starts_is_received_soon() -> None:
    """Each start has the same session, as in a group: one message each second, lost after 3.5 s."""
    timing = (1000 * MS, 3500 * MS, 3500 * MS)
    a, b = PeerLink("a", "b", KEY, *timing), PeerLink("b", "a", KEY, *timing)
    a.start(0, 0)
    b.start(0, 0)
    recorded: list[bytes] = []
    up: list[bool] = []
    for second in range(60):
        now = second * 1000 * MS
        if second == 20:
            b = PeerLink("b", "a", KEY, *timing)
            b.start(0, now)
        for sender, receiver in ((a, b), (b, a)):
            recorded.append(sender.next_line(WORD_READY, 1, True, now))
            receiver.receive(recorded[-1], now)
            receive_all(receiver, recorded[-40:-1:7], now)
        up.append(a.is_up(now) and b.is_up(now))
    down = [second for second, is_up in enumerate(up) if not is_up and second > 5]
    assert min(down) == 20
    assert max(down) <= 26  # before the next new nonce, which comes after 10 s


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
