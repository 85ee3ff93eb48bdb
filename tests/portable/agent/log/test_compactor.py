# SPDX-License-Identifier: Apache-2.0
"""Longer blocks for the backlog: the same rows in fewer bytes; no kill loses or duplicates any."""

from agent.log.compactor import BlockCompactor
from agent.log.segment import scan
from protocols.errors import DecodeError
from protocols.telemetry import block, merged_block, message
from protocols.telemetry.message import ALARM, BULK, LIVE
from protocols.time_units import SECOND
from tests.portable.support.check import eq, raises
from tests.portable.support.flash import SETTINGS, GroundModel, LogFlash, LogLcg, LogUnit

LONG = (
    "test_power_cut_at_every_request_loses_and_duplicates_nothing",
    "test_random_power_cuts_lose_and_duplicate_nothing",
    "test_flipped_bit_loses_only_its_record",
)

NUMBER = b"abcd"
WIDTH = 5
ROWS = 12
SMALL = dict(SETTINGS)
SMALL["segment_bytes"] = 400


def block_of(serial, number=NUMBER):
    """Return block `serial`, from 0: 12 rows of a time, gaps, a walk, a constant, noise."""
    first = 1 + ROWS * serial
    rng = LogLcg(serial)
    columns = [
        [1000 * (first + i) for i in range(ROWS)],
        [None if (first + i) % 5 == 0 else 7 for i in range(ROWS)],
        [300 + (first + i) // 9 for i in range(ROWS)],
        [5] * ROWS,
        [3000 + rng.below(40) for _ in range(ROWS)],
    ]
    return block.encode(number, first, columns, b"run" + bytes([serial & 127]))


class CompactingUnit(LogUnit):
    """A log that compacts blocks while its flash is idle."""

    def make_compactor(self):
        self.compactor = BlockCompactor(120, NUMBER, WIDTH)
        return self.compactor

    def step(self):
        if LogUnit.step(self):
            return True
        if not self.compactor.is_coding():
            return False
        self.compactor.step()
        self.record_store.advance(self.now)
        self.collect()
        return True

    def log(self, serial, group=BULK, number=NUMBER):
        self.record_store.append(group, message.ROWS, block_of(serial, number), self.now)
        self.collect()


def kinds(flash):
    """Return the kinds of the records on flash for each segment of the backlog."""
    found = []
    for key in sorted(flash.records):
        generation, group = bytes.fromhex(str(key[4:10], "ascii")), int(key[11:12])
        if group == BULK:
            found.append(
                [record.kind for record in scan(flash.records[key], generation, group).records]
            )
    return found


def bulk(ground):
    return [ground.received[number][1] for number in ground.order if number & 3 == BULK]


def make_filled_flash(count, settings=None):
    unit = CompactingUnit(LogFlash(), settings=settings or SMALL)
    unit.run_until_idle()
    for serial in range(count):
        unit.log(serial)
        unit.run_until_idle()
    return unit


def test_merged_block_decodes_to_the_same_rows():
    blocks = [block_of(serial) for serial in range(3, 9)]
    merge = merged_block.MergedBlockWriter(blocks, WIDTH)
    steps = 1
    while not merge.step():
        steps += 1
    content = merge.finish()
    eq(steps, WIDTH * (len(blocks) + 1))  # one column of one block in each step: no tick is late
    eq(merged_block.split_blocks(content), blocks)
    assert len(content) < sum([len(each) for each in blocks])
    whole = block.decode(merged_block.extract_block(content), WIDTH)
    eq((whole.seq, len(whole.columns[0])), (1 + 3 * ROWS, 6 * ROWS))


def test_invalid_merged_block_is_rejected():
    blocks = [block_of(0), block_of(1)]
    merge = merged_block.MergedBlockWriter(blocks, WIDTH)
    while not merge.step():
        pass
    good = merge.finish()
    for bad in (b"", b"\x00\x05", b"\x02", good[:-1], b"\x03" + good[1:], good[:1] + b"\x00"):
        raises(DecodeError, merged_block.split_blocks, bad)


def test_full_segment_is_rewritten():
    plain = LogUnit(LogFlash(), settings=SMALL)
    plain.run_until_idle()
    for serial in range(30):
        plain.record_store.append(BULK, message.ROWS, block_of(serial), plain.now)
        plain.run_until_idle()
    unit = make_filled_flash(30)
    found = kinds(unit.flash)
    assert found.count([message.MERGED]) == len(found) - 1, found  # the newest one still grows
    eq(
        unit.record_store.class_indexes[BULK].first_ids,
        plain.record_store.class_indexes[BULK].first_ids,
    )
    sizes = [sum([len(r) for r in each.flash.records.values()]) for each in (unit, plain)]
    assert sizes[0] < sizes[1] * 9 // 10, sizes
    assert unit.record_store.size() < plain.record_store.size()
    ground = GroundModel()
    unit.send(ground)
    eq((bulk(ground), ground.duplicates), ([block_of(serial) for serial in range(30)], 0))
    eq((unit.record_store.class_indexes[BULK].unacked_count(), len(unit.flash.records)), (0, 1))


def test_only_consecutive_blocks_are_merged():
    unit = CompactingUnit(LogFlash(), settings=SMALL)
    unit.run_until_idle()
    serials = [0, 1, 2, 9, 10, 4, 5, 6, 7, 8]
    for at, serial in enumerate(serials):
        unit.log(serial, BULK, b"diff" if at == 8 else NUMBER)
        unit.run_until_idle()
    ground = GroundModel()
    unit.send(ground)
    want = [block_of(s, b"diff" if at == 8 else NUMBER) for at, s in enumerate(serials)]
    eq(bulk(ground), want)
    for segment in kinds(unit.flash):
        assert segment != [message.MERGED]


def test_live_blocks_and_notes_are_not_merged():
    unit = CompactingUnit(LogFlash(), settings=SMALL)
    unit.run_until_idle()
    for serial in range(12):
        unit.log(serial, LIVE)
        unit.record_store.append(BULK, message.JSON_EVENT, b"note %d" % serial * 9, unit.now)
        unit.run_until_idle()
    ground = GroundModel()
    unit.send(ground)
    eq(len([1 for number in ground.order if number & 3 == LIVE]), 12)
    eq(bulk(ground), [b"note %d" % serial * 9 for serial in range(12)])


def test_merged_blocks_respect_the_row_limit():
    unit = CompactingUnit(LogFlash(), settings=SETTINGS)
    unit.compactor._rows = 36
    unit.run_until_idle()
    for serial in range(40):
        unit.log(serial)
        unit.run_until_idle()
    assert kinds(unit.flash)[0][:3] == [message.MERGED] * 3, kinds(unit.flash)
    key = sorted(unit.flash.records)[0]
    generation = bytes.fromhex(str(key[4:10], "ascii"))
    for record in scan(unit.flash.records[key], generation, BULK).records[:3]:
        eq(len(merged_block.split_blocks(record.payload)), 3)


def test_chunks_of_merged_and_original_blocks_do_not_mix():
    ground = GroundModel()
    unit = CompactingUnit(LogFlash(), settings=SMALL)
    unit.run_until_idle()
    unit.log(0)
    unit.run_until_idle()
    ids, packed = unit.sender.next(50)  # the first chunk of a short block arrives
    eq((len(ids), packed[0]), (1, message.FRAGMENT))
    ground.receive(packed)
    unit.sender.resend_all()
    for serial in range(1, 12):
        unit.log(serial)
        unit.run_until_idle()
    eq(kinds(unit.flash)[0], [message.MERGED])
    unit.send(ground, limit=50)
    eq(bulk(ground), [block_of(serial) for serial in range(12)])


def test_rows_already_received_are_not_duplicated():
    unit = make_filled_flash(12)
    ground = GroundModel()
    # a message of an earlier process had it
    ground.received[2 * 4 + BULK] = (message.ROWS, block_of(1))
    unit.send(ground)
    eq(sorted(bulk(ground)), sorted([block_of(s) for s in range(12) if s != 1]))
    eq((ground.duplicates, unit.record_store.class_indexes[BULK].unacked_count()), (1, 0))


def test_segment_being_sent_is_not_rewritten():
    unit = CompactingUnit(LogFlash(), settings=SMALL)
    unit.run_until_idle()
    for serial in range(8):
        unit.log(serial)
        while LogUnit.step(unit):
            pass
    assert unit.compactor.is_coding()
    while not unit.sender.next(1000)[0]:
        assert LogUnit.step(unit)
    unit.run_until_idle()
    eq([kind for segment in kinds(unit.flash) for kind in segment], [message.ROWS] * 8)


def test_full_disk_drops_nothing_for_compaction():
    unit = CompactingUnit(LogFlash(), settings=SMALL)
    unit.run_until_idle()
    serial = 0
    while not unit.compactor.is_coding():
        unit.log(serial)
        serial += 1
        while LogUnit.step(unit):
            pass
    unit.flash.capacity = 10
    unit.run_until_idle()
    unit.record_store.event("opened", unit.now)
    unit.flash.capacity = None
    unit.run_until_idle()
    ground = GroundModel()
    unit.send(ground)
    eq(bulk(ground), [block_of(each) for each in range(serial)])
    eq(unit.record_store.class_indexes[BULK].lost, 0)


def test_flipped_bit_loses_only_its_record():
    for bit in range(100, 2400, 111):
        unit = make_filled_flash(24)
        key = sorted(unit.flash.records)[1]
        bad = bytearray(unit.flash.records[key])
        bad[bit // 8 % len(bad)] ^= 1 << bit % 8
        unit.flash.records[key] = bytes(bad)
        unit.cut_power(0)
        unit.run_until_idle()
        ground = GroundModel()
        unit.send(ground)
        firsts = unit.record_store.class_indexes[BULK].first_ids
        assert 24 - 8 < len(bulk(ground)) < 24, (bit, len(bulk(ground)), firsts)
        eq(unit.record_store.class_indexes[BULK].damaged, 1)


def test_existing_damage_is_kept_and_counted_once():
    unit = CompactingUnit(LogFlash(), settings=SMALL)
    unit.run_until_idle()
    serial = 0
    while not unit.compactor.segment_first:
        unit.log(serial)
        serial += 1
        while not unit.compactor.segment_first and LogUnit.step(unit):
            pass
    key = min([key for key in unit.flash.records if b".3." in key])
    bad = bytearray(unit.flash.records[key])
    bad[30] ^= 4
    unit.flash.records[key] = bytes(bad)
    unit.run_until_idle()
    eq(message.MERGED in kinds(unit.flash)[0], False)
    unit.cut_power(0)  # the last written records are not in memory any more
    unit.run_until_idle()
    ground = GroundModel()
    unit.send(ground)
    eq(unit.record_store.class_indexes[BULK].damaged, 1)


def test_power_cut_at_every_request_loses_and_duplicates_nothing():
    """Cut the power at each request of a run, with nothing or most of it done."""
    at = 0
    while True:
        for part in (0, 200):
            unit, ground, left = CompactingUnit(LogFlash(), settings=SMALL), GroundModel(), at
            durable = set()
            for serial in range(18):
                unit.log(serial)
                while left and unit.step():
                    left -= 1
                    durable.update([r.payload for _, r in unit.record_store._recent.entries])
                if not left:
                    break
                if serial == 9:
                    left -= min(left, unit.send(ground, limit=300, max_messages=2))
            over = left > 0
            unit.cut_power(part)
            unit.run_until_idle()
            unit.send(ground)
            missing = durable - set(bulk(ground))
            assert not missing, (at, part, len(missing))
            eq(len(set(bulk(ground))), len(bulk(ground)))
        if over:
            break
        at += 1
    assert at > 50, at


def test_random_power_cuts_lose_and_duplicate_nothing():
    for seed in range(6):
        rng, flash, ground, serial = LogLcg(seed), LogFlash(), GroundModel(), 0
        unit, durable, longer = CompactingUnit(flash, settings=SMALL), set(), 0
        for _ in range(10):
            for _ in range(rng.below(16)):
                unit.log(serial)
                serial += 1
                if not rng.below(3):
                    unit.record_store.append(ALARM, message.JSON_EVENT, b"alarm", unit.now)
                for _ in range(rng.below(60)):
                    unit.step()
                if rng.below(4) == 0:
                    unit.send(ground, 100 + rng.below(900), max_messages=rng.below(4))
                durable.update(
                    [r.payload for n, r in unit.record_store._recent.entries if n & 3 == BULK]
                )
            longer += message.MERGED in [kind for each in kinds(flash) for kind in each]
            unit.cut_power(rng.below(257))
        unit.run_until_idle()
        unit.now += 10 * SECOND
        unit.send(ground)
        missing = durable - set(bulk(ground))
        assert not missing, (seed, len(missing))
        eq(len(set(bulk(ground))), len(bulk(ground)))
        assert longer > 2, longer
