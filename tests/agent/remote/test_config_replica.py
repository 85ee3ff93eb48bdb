# SPDX-License-Identifier: Apache-2.0
"""The records of two controllers become equal, and each prefix of their writes is a valid state."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agent.remote.message.canonical import HASH_BYTES, hash_config
from agent.remote.storage.config_replica import (
    LIMITS,
    Head,
    decode_head,
    head_of,
    missing_slots,
    writes_to_follow,
)
from agent.remote.storage.config_slots import RECORD, SLOTS, ConfigSlots, load_slots, with_hash
from protocols import cbor
from protocols.signed_message import COMMAND, PATCH

FILE_HASH = hash_config(b"file")


class Node:
    """The store of a controller."""

    def __init__(self, file_hash: bytes = FILE_HASH) -> None:
        self.records: dict[str, bytes] = {}
        self.file_hash = file_hash

    @property
    def head(self) -> Head:
        return head_of(self.records, self.file_hash)

    @property
    def slots(self) -> ConfigSlots:
        return load_slots(self.file_hash, self.records.get)

    def put(self, *writes: tuple[str, bytes]) -> None:
        self.records.update(writes)

    def state(self, peer: Node) -> bytes:
        """Return its report for a peer whose report it has."""
        return self.head.encode(missing_slots(self.head, peer.head, self.records))

    def follow(self, peer: Node, count: int = 99) -> list[tuple[str, bytes]]:
        """Follow a peer; the power fails after `count` writes."""
        report = decode_head(peer.state(self))
        assert report is not None
        writes = writes_to_follow(self.head, report)
        for key, data in writes[:count]:
            self.put((key, data))
            self.check()
        return writes

    def check(self) -> None:
        """The configuration of a start is there."""
        head = self.head
        assert head.slots.slot < 0 or head.confirmed()
        assert head.slots.trial is None or head.on_trial()


def begin_trial(node: Node, counter: int, config: bytes) -> None:
    slots = node.slots
    node.put(*slots.start_trial(counter, 600, ["a"], config))


def test_a_trial_and_its_confirmation_arrive() -> None:
    a, b = Node(), Node()
    begin_trial(a, 5, b"first")
    assert b.follow(a)
    assert b.head.is_equal(a.head)
    assert b.head.to_run() == hash_config(b"first")
    a.put(a.slots.mark_taken(COMMAND, 6))
    a.put(a.slots.confirm())
    b.follow(a)
    assert b.head.is_equal(a.head)
    assert b.slots.last == (5, "confirmed", "")
    assert not b.follow(a)


def test_a_controller_that_was_off_gets_the_confirmed_one_and_the_trial() -> None:
    a, b = Node(), Node()
    for counter, config in ((5, b"x"), (6, b"y"), (7, b"z")):
        begin_trial(a, counter, config)
        a.put(a.slots.confirm())
        if counter == 5:
            b.follow(a)
    begin_trial(a, 8, b"trial")
    for _ in range(2):
        b.follow(a)
    assert b.head.is_equal(a.head)
    assert b.slots.version == 3


def test_the_end_of_a_trial_is_newer_than_the_trial() -> None:
    a, b = Node(), Node()
    begin_trial(a, 5, b"x")
    b.follow(a)
    a.put(a.slots.roll_back("unwell"))
    assert a.head.rank > b.head.rank
    b.follow(a)
    assert b.slots.trial is None
    assert b.head.to_run() == FILE_HASH


def test_more_confirmed_changes_count_more_than_later_commands() -> None:
    a, b = Node(), Node()
    begin_trial(a, 5, b"x")
    a.put(a.slots.confirm())
    b.put(b.slots.mark_taken(COMMAND, 90))
    assert a.head.rank > b.head.rank
    b.follow(a)
    assert b.head.confirmed() == hash_config(b"x")
    a.follow(b)
    assert a.slots.counters == b.slots.counters == [5, 90, 0]


def test_a_remaining_time_only_falls_and_starts_only_rise() -> None:
    a, b = Node(), Node()
    begin_trial(a, 5, b"x")
    b.follow(a)
    a.put(a.slots.save_confirm_time(300))
    b.put(b.slots.count_start()[0])
    b.follow(a)
    trial = b.slots.trial
    assert trial is not None
    assert (trial.confirm_s, trial.starts) == (300, 1)
    assert a.head.is_equal(b.head)


def test_another_file_or_format_is_not_followed() -> None:
    a, b = Node(), Node(hash_config(b"other"))
    begin_trial(a, 5, b"x")
    assert not b.follow(a)
    assert not a.head.is_equal(b.head)
    assert decode_head(b"") is None
    assert decode_head(b"\x81\x02") is None


def test_limits_come_from_the_active_controller() -> None:
    a, b = Node(), Node()
    a.put((LIMITS[1], b"suspended"))
    b.follow(a)
    assert b.records[LIMITS[1]] == b"suspended"


def confirmed_pair() -> tuple[Node, Node]:
    """Return two controllers that have the same confirmed change."""
    a, b = Node(), Node()
    begin_trial(a, 5, b"x")
    a.put(a.slots.confirm())
    b.follow(a)
    return a, b


def test_a_start_that_fell_back_to_the_file_ends_no_confirmed_change() -> None:
    a, b = confirmed_pair()
    b.records[SLOTS[0]] = b"damaged"
    b.put(*b.slots.use_file())
    assert a.head.rank > b.head.rank
    assert not a.follow(b)
    b.follow(a)
    assert b.head.is_equal(a.head)
    assert b.head.confirmed() == hash_config(b"x")


def test_a_slot_that_is_damaged_while_it_runs_is_older_than_a_whole_one() -> None:
    a, b = confirmed_pair()
    b.records[SLOTS[0]] = b"damaged"
    assert not a.follow(b)
    report = decode_head(a.state(b))
    assert report is not None
    b.put(*writes_to_follow(b.head, report))
    assert b.head.is_equal(a.head)


def test_a_change_after_the_fall_back_is_newer() -> None:
    a, b = confirmed_pair()
    b.put(*b.slots.use_file())
    begin_trial(b, 7, b"y")
    b.put(b.slots.confirm())
    assert b.head.rank > a.head.rank
    a.follow(b)
    assert a.head.confirmed() == hash_config(b"y")


def test_more_confirmed_changes_do_not_resume_a_suspended_key() -> None:
    a, b = Node(), Node()
    a.put((LIMITS[1], b"one"))
    b.follow(a)
    begin_trial(a, 5, b"x")
    a.put(a.slots.mark_taken(COMMAND, 6))
    a.put(a.slots.confirm())
    b.put(b.slots.mark_taken(COMMAND, 90))
    b.put((LIMITS[1], b"one, two"))
    b.follow(a)
    a.follow(b)
    assert a.records[LIMITS[1]] == b.records[LIMITS[1]] == b"one, two"
    assert a.head.is_equal(b.head)


_ODD = (None, True, -2, 2, 1 << 60, "x", b"x", [], [1], [b"", b""])


def _altered(value: Any, source: random.Random) -> Any:
    """Return a list in which one value is of another type, or missing, or one more."""
    if type(value) is list and value and source.random() < 0.8:
        changed, place = list(value), source.randrange(len(value))
        changed[place] = _altered(changed[place], source)
        return changed if source.random() < 0.9 else changed[:-1]
    return source.choice(_ODD)


@pytest.mark.parametrize("is_on_trial", [False, True])
def test_no_report_of_other_software_raises(is_on_trial: bool) -> None:
    a, b = Node(), Node()
    begin_trial(a, 5, b"x")
    a.put(a.slots.confirm())
    if is_on_trial:
        begin_trial(a, 6, b"y")
    parts: Any = cbor.decode(a.state(b))
    record: Any = cbor.decode(parts[2][HASH_BYTES:])
    source = random.Random(3)
    taken = 0
    for _ in range(1500):
        if source.random() < 0.5:
            changed = _altered(parts, source)
        else:
            altered = _altered(record, source)  # two values: the record of another file, too
            body = cbor.encode(_altered(altered, source) if source.random() < 0.5 else altered)
            changed = [*parts[:2], with_hash(body), *parts[3:]]
        head = decode_head(cbor.encode(changed))
        if head is None:
            continue
        taken += 1
        b.head.is_equal(head)
        writes = writes_to_follow(b.head, head)
        assert not writes or head.to_run() in (FILE_HASH, hash_config(b"x"), hash_config(b"y"))
    assert 0 < taken < 750


def _change(node: Node, source: random.Random, counter: int) -> None:
    """Do what an agent does with a message, or with the end of a trial."""
    slots = node.slots
    if slots.trial is None:
        if source.random() < 0.3:
            node.put(slots.mark_taken(COMMAND, counter))
        else:
            begin_trial(node, counter, b"config %d" % source.randrange(6))
    elif source.random() < 0.6:
        node.put(slots.mark_taken(COMMAND, counter))
        node.put(node.slots.confirm())
    else:
        node.put(slots.roll_back("unwell"))
    assert node.slots.counters[PATCH - 1] <= counter


@pytest.mark.parametrize("has_forks", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_random_changes_power_cuts_and_swaps_lose_no_confirmed_change(
    seed: int, has_forks: bool
) -> None:
    """With `has_forks` a controller that misses changes can become active, too."""
    source = random.Random(seed)
    active, standby = nodes = Node(), Node()
    for counter in range(1, 250):
        if source.random() < 0.3 and (has_forks or active.head.is_equal(standby.head)):
            active, standby = standby, active
        _change(active, source, counter)
        for _ in range(source.randrange(4)):
            newest = max(nodes, key=lambda node: node.head.rank).head
            standby.follow(active, source.choice((0, 1, 2, 3, 99, 99, 99)))
            assert max(node.slots.version for node in nodes) >= newest.slots.version
            if not has_forks:
                assert newest.confirmed() == active.head.confirmed()
                assert standby.head.rank <= active.head.rank
    for _ in range(3):
        nodes[0].follow(nodes[1])
        nodes[1].follow(nodes[0])
    assert nodes[0].head.is_equal(nodes[1].head)


def test_a_record_without_its_slot_is_no_configuration_to_run() -> None:
    node = Node()
    begin_trial(node, 5, b"x")
    node.records[SLOTS[0]] = b"damaged"
    assert node.head.on_trial() == b""
    assert node.head.to_run() == FILE_HASH
    assert RECORD in node.records
