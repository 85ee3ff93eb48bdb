"""Longer blocks for the backlog: the same rows, fewer bytes; no kill loses or doubles any."""

from agent.log.compactor import Merger
from agent.log.segment import scan
from protocols.errors import DecodeError
from protocols.telemetry import block, merged_block
from protocols.telemetry import message as parcel
from protocols.telemetry.message import ALARM, BULK, LIVE
from protocols.time_units import SECOND
from tests.portable.support.check import eq, raises
from tests.portable.support.flash import SETTINGS, Flash, Ground, Lcg, Unit

NUMBER = b"abcd"
WIDTH = 5
ROWS = 12
SMALL = dict(SETTINGS)
SMALL["segment_bytes"] = 400


def block_of(serial, number=NUMBER):
    """Make block `serial`, from 0: 12 rows of a time, gaps, a walk, a constant, noise."""
    first = 1 + ROWS * serial
    chance = Lcg(serial)
    columns = [
        [1000 * (first + i) for i in range(ROWS)],
        [None if (first + i) % 5 == 0 else 7 for i in range(ROWS)],
        [300 + (first + i) // 9 for i in range(ROWS)],
        [5] * ROWS,
        [3000 + chance.below(40) for _ in range(ROWS)],
    ]
    return block.encode(number, first, columns, b"run" + bytes([serial & 127]))


class Merging(Unit):
    """A log that makes longer blocks when its flash has nothing else to do."""

    def start(self):
        Unit.start(self)
        self.merger = self.keeper.merger = Merger(120, NUMBER, WIDTH)

    def step(self):
        if Unit.step(self):
            return True
        if not self.merger.busy():
            return False
        self.merger.step()
        self.keeper.pump(self.now)
        self.collect()
        return True

    def log(self, serial, group=BULK, number=NUMBER):
        self.keeper.put(group, parcel.ROWS, block_of(serial, number), self.now)
        self.collect()


def kinds(flash):
    """Give the kinds of the records on flash, segment by segment of the backlog."""
    found = []
    for key in sorted(flash.records):
        life, group = bytes.fromhex(str(key[4:10], "ascii")), int(key[11:12])
        if group == BULK:
            found.append([record.kind for record in scan(flash.records[key], life, group).records])
    return found


def bulk(ground):
    return [ground.kept[number][1] for number in ground.order if number & 3 == BULK]


def filled(count, settings=None):
    unit = Merging(Flash(), settings=settings or SMALL)
    unit.settle()
    for serial in range(count):
        unit.log(serial)
        unit.settle()
    return unit


def test_blocks_become_one_and_are_the_same_again():
    blocks = [block_of(serial) for serial in range(3, 9)]
    merge = merged_block.Merge(blocks, WIDTH)
    steps = 1
    while not merge.step():
        steps += 1
    content = merge.finish()
    eq(steps, WIDTH * (len(blocks) + 1))  # a column of one block at a time: no tick is late
    eq(merged_block.split(content), blocks)
    assert len(content) < sum([len(each) for each in blocks])
    whole = block.decode(merged_block.longer_block(content), WIDTH)
    eq((whole.seq, len(whole.columns[0])), (1 + 3 * ROWS, 6 * ROWS))


def test_what_is_no_such_content_is_refused():
    blocks = [block_of(0), block_of(1)]
    merge = merged_block.Merge(blocks, WIDTH)
    while not merge.step():
        pass
    good = merge.finish()
    for bad in (b"", b"\x00\x05", b"\x02", good[:-1], b"\x03" + good[1:], good[:1] + b"\x00"):
        raises(DecodeError, merged_block.split, bad)


def test_a_full_segment_is_written_anew():
    plain = Unit(Flash(), settings=SMALL)
    plain.settle()
    for serial in range(30):
        plain.keeper.put(BULK, parcel.ROWS, block_of(serial), plain.now)
        plain.settle()
    unit = filled(30)
    found = kinds(unit.flash)
    assert found.count([parcel.MERGED]) == len(found) - 1, found  # the newest still grows
    eq(unit.keeper.shelves[BULK].firsts, plain.keeper.shelves[BULK].firsts)
    sizes = [sum([len(r) for r in each.flash.records.values()]) for each in (unit, plain)]
    assert sizes[0] < sizes[1] * 9 // 10, sizes
    assert unit.keeper.size() < plain.keeper.size()
    ground = Ground()
    unit.send(ground)
    eq((bulk(ground), ground.twice), ([block_of(serial) for serial in range(30)], 0))
    eq((unit.keeper.shelves[BULK].waiting(), len(unit.flash.records)), (0, 1))


def test_only_what_follows_each_other_becomes_one():
    unit = Merging(Flash(), settings=SMALL)
    unit.settle()
    serials = [0, 1, 2, 9, 10, 4, 5, 6, 7, 8]
    for at, serial in enumerate(serials):
        unit.log(serial, BULK, b"diff" if at == 8 else NUMBER)
        unit.settle()
    ground = Ground()
    unit.send(ground)
    want = [block_of(s, b"diff" if at == 8 else NUMBER) for at, s in enumerate(serials)]
    eq(bulk(ground), want)
    for segment in kinds(unit.flash):
        assert segment != [parcel.MERGED]


def test_live_blocks_and_notes_stay_as_they_are():
    unit = Merging(Flash(), settings=SMALL)
    unit.settle()
    for serial in range(12):
        unit.log(serial, LIVE)
        unit.keeper.put(BULK, parcel.NOTE, b"note %d" % serial * 9, unit.now)
        unit.settle()
    ground = Ground()
    unit.send(ground)
    eq(len([1 for number in ground.order if number & 3 == LIVE]), 12)
    eq(bulk(ground), [b"note %d" % serial * 9 for serial in range(12)])


def test_blocks_have_no_more_rows_than_is_said():
    unit = Merging(Flash(), settings=SETTINGS)
    unit.merger._rows = 36
    unit.settle()
    for serial in range(40):
        unit.log(serial)
        unit.settle()
    assert kinds(unit.flash)[0][:3] == [parcel.MERGED] * 3, kinds(unit.flash)
    key = sorted(unit.flash.records)[0]
    life = bytes.fromhex(str(key[4:10], "ascii"))
    for record in scan(unit.flash.records[key], life, BULK).records[:3]:
        eq(len(merged_block.split(record.payload)), 3)


def test_pieces_of_a_longer_block_do_not_mix_with_those_of_the_first():
    ground = Ground()
    unit = Merging(Flash(), settings=SMALL)
    unit.settle()
    unit.log(0)
    unit.settle()
    ids, message = unit.sender.next(50)  # the first piece of a short block arrives
    eq((len(ids), message[0]), (1, parcel.PIECE))
    ground.take(message)
    unit.sender.again()
    for serial in range(1, 12):
        unit.log(serial)
        unit.settle()
    eq(kinds(unit.flash)[0], [parcel.MERGED])
    unit.send(ground, limit=50)
    eq(bulk(ground), [block_of(serial) for serial in range(12)])


def test_what_came_before_is_not_taken_twice():
    unit = filled(12)
    ground = Ground()
    ground.kept[2 * 4 + BULK] = (parcel.ROWS, block_of(1))  # an earlier life's message had it
    unit.send(ground)
    eq(sorted(bulk(ground)), sorted([block_of(s) for s in range(12) if s != 1]))
    eq((ground.twice, unit.keeper.shelves[BULK].waiting()), (1, 0))


def test_a_segment_that_is_being_sent_stays_as_it_is():
    unit = Merging(Flash(), settings=SMALL)
    unit.settle()
    for serial in range(8):
        unit.log(serial)
        while Unit.step(unit):
            pass
    assert unit.merger.busy()
    while not unit.sender.next(1000)[0]:
        assert Unit.step(unit)
    unit.settle()
    eq([kind for segment in kinds(unit.flash) for kind in segment], [parcel.ROWS] * 8)


def test_a_full_disk_costs_nothing_for_the_sake_of_longer_blocks():
    unit = Merging(Flash(), settings=SMALL)
    unit.settle()
    serial = 0
    while not unit.merger.busy():
        unit.log(serial)
        serial += 1
        while Unit.step(unit):
            pass
    unit.flash.capacity = 10
    unit.settle()
    unit.keeper.event("opened", unit.now)
    unit.flash.capacity = None
    unit.settle()
    ground = Ground()
    unit.send(ground)
    eq(bulk(ground), [block_of(each) for each in range(serial)])
    eq(unit.keeper.shelves[BULK].lost, 0)


def test_a_flipped_bit_costs_the_record_it_is_in():
    for bit in range(100, 2400, 111):
        unit = filled(24)
        key = sorted(unit.flash.records)[1]
        bad = bytearray(unit.flash.records[key])
        bad[bit // 8 % len(bad)] ^= 1 << bit % 8
        unit.flash.records[key] = bytes(bad)
        unit.kill(0)
        unit.settle()
        ground = Ground()
        unit.send(ground)
        firsts = unit.keeper.shelves[BULK].firsts
        assert 24 - 8 < len(bulk(ground)) < 24, (bit, len(bulk(ground)), firsts)
        eq(unit.keeper.shelves[BULK].damaged, 1)


def test_damage_that_is_there_before_is_left_alone_and_counted_once():
    unit = Merging(Flash(), settings=SMALL)
    unit.settle()
    serial = 0
    while not unit.merger.first:
        unit.log(serial)
        serial += 1
        while not unit.merger.first and Unit.step(unit):
            pass
    key = min([key for key in unit.flash.records if b".3." in key])
    bad = bytearray(unit.flash.records[key])
    bad[30] ^= 4
    unit.flash.records[key] = bytes(bad)
    unit.settle()
    eq(parcel.MERGED in kinds(unit.flash)[0], False)
    unit.kill(0)  # what was written last is not in memory any more
    unit.settle()
    ground = Ground()
    unit.send(ground)
    eq(unit.keeper.shelves[BULK].damaged, 1)


def test_kills_at_every_request_lose_and_double_nothing():
    """The power goes at each request of a run in turn, with nothing or most of it done."""
    at = 0
    while True:
        for part in (0, 200):
            unit, ground, left = Merging(Flash(), settings=SMALL), Ground(), at
            durable = set()
            for serial in range(18):
                unit.log(serial)
                while left and unit.step():
                    left -= 1
                    durable.update([r.payload for _, r in unit.keeper._recent])
                if not left:
                    break
                if serial == 9:
                    left -= min(left, unit.send(ground, limit=300, most=2))
            over = left > 0
            unit.kill(part)
            unit.settle()
            unit.send(ground)
            missing = durable - set(bulk(ground))
            assert not missing, (at, part, len(missing))
            eq(len(set(bulk(ground))), len(bulk(ground)))
        if over:
            break
        at += 1
    assert at > 50, at


def test_random_kills_lose_and_double_nothing():
    for seed in range(6):
        chance, flash, ground, serial = Lcg(seed), Flash(), Ground(), 0
        unit, durable, longer = Merging(flash, settings=SMALL), set(), 0
        for _ in range(10):
            for _ in range(chance.below(16)):
                unit.log(serial)
                serial += 1
                if not chance.below(3):
                    unit.keeper.put(ALARM, parcel.NOTE, b"alarm", unit.now)
                for _ in range(chance.below(60)):
                    unit.step()
                if chance.below(4) == 0:
                    unit.send(ground, 100 + chance.below(900), most=chance.below(4))
                durable.update([r.payload for n, r in unit.keeper._recent if n & 3 == BULK])
            longer += parcel.MERGED in [kind for each in kinds(flash) for kind in each]
            unit.kill(chance.below(257))
        unit.settle()
        unit.now += 10 * SECOND
        unit.send(ground)
        missing = durable - set(bulk(ground))
        assert not missing, (seed, len(missing))
        eq(len(set(bulk(ground))), len(bulk(ground)))
        assert longer > 2, longer
