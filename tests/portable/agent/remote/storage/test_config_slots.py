# SPDX-License-Identifier: Apache-2.0
"""Each single-bit damage and each cut of the records of a configuration."""

from agent.remote.storage.config_slots import (
    FILE,
    SLOTS,
    ConfigSlots,
    copy_key,
    load_slots,
    read_config,
    with_hash,
)
from tests.portable.support.check import eq

SITE_HASH = b"h" * 32
CONFIG = b'{"control":{"supply":{"setpoint_c":33}},"unit":"a","x":"' + b"x" * 200 + b'"}'


def make_records():
    """Return the records of a unit with a confirmed configuration and another one on trial."""
    slots = ConfigSlots(SITE_HASH)
    records = {}
    for counter in (7, 9):
        records.update(slots.start_trial(counter, 600, ["a:b"], CONFIG))
        if counter == 7:
            slots.confirm()
    key, data = slots.record_write()
    records[key] = records[copy_key(key)] = data
    return records


def damages(data):
    """Return `data` with each bit flipped, and each beginning of it."""
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        yield bytes(flipped)
    for size in range(len(data)):
        yield data[:size]


def state_of(records):
    slots = load_slots(SITE_HASH, records.get)
    trial = None if slots.trial is None else slots.trial.to_list()
    return slots.slot, slots.version, slots.counters, trial, slots.last


def test_each_damage_of_a_record_leaves_the_other_one():
    records = make_records()
    good, count = state_of(records), 0
    eq(good, (0, 1, [9, 0, 0], [1, 9, 600, 0, ["a:b"]], (7, "confirmed", "")))
    for key in ("config.record", "config.copy"):
        for bad in damages(records[key]):
            eq((key, state_of(dict(records, **{key: bad}))), (key, good))
            count += 1
    assert count > 1_000, count


def test_each_damage_of_both_records_leaves_the_site_file():
    records = make_records()
    for bad in damages(records["config.record"]):
        found = state_of({"config.record": bad, "config.copy": bad})
        eq(found, (FILE, 0, [0, 0, 0], None, (0, "nothing", "")))


def test_each_damage_of_a_slot_is_found():
    records = make_records()
    count = 0
    for number, key in enumerate(SLOTS):
        eq(read_config(number, records.get), CONFIG)
        for bad in damages(records[key]):
            eq(read_config(number, {key: bad}.get), None)
            count += 1
    eq(count, 2 * 9 * len(with_hash(CONFIG)))
