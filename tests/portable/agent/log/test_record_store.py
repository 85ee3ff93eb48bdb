"""The log: order, priority, expiry, bounds, receipts; torn tails, flips, full disks, kills."""

from agent.log import segment
from agent.log.class_index import Shelf
from protocols.telemetry import receipt
from protocols.telemetry.message import ALARM, BULK, EVENT, LIVE
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.flash import SETTINGS, WHERE, Flash, Ground, Lcg, Unit

LIFE = b"\x01\x02\x03"


def payloads(ground, group):
    return [ground.kept[number][1] for number in ground.order if number & 3 == group]


def settings(**changed):
    made = dict(SETTINGS)
    made.update(changed)
    return made


# --- Segments -------------------------------------------------------------------------------------


def frames(count):
    records = [segment.Record(10 + i, i, 3, b"payload %d" % i * (i + 1)) for i in range(count)]
    return [segment.frame(LIFE, BULK, record) for record in records]


def idents(data):
    return [record.ident for record in segment.scan(data, LIFE, BULK).records]


def test_segment_there_and_back():
    found = segment.scan(b"".join(frames(5)), LIFE, BULK)
    eq([record.payload for record in found.records][:2], [b"payload 0", b"payload 1" * 2])
    eq([(r.ident, r.stamp, r.kind) for r in found.records][4], (14, 4, 3))
    eq((found.damaged, found.tail), (0, 0))


def test_names():
    name = segment.name(LIFE, BULK, 0x1F)
    eq((name, segment.parse_name(name)), ("log.010203.3.0000001f", (LIFE, BULK, 31)))
    for bad in ("", "log.schema", name + "0", name.replace("3.0", "7.0"), name.replace("1f", "zz")):
        eq(segment.parse_name(bad), None)


def test_torn_at_every_byte():
    data = b"".join(frames(3))
    ends = [len(b"".join(frames(3)[:i])) for i in range(4)]
    for cut in range(len(data)):
        whole = len([end for end in ends[1:] if end <= cut])
        found = segment.scan(data[:cut], LIFE, BULK)
        eq([r.ident for r in found.records], [10, 11, 12][:whole])
        eq(found.tail, cut - ends[whole])


def test_every_flipped_bit_costs_one_record_at_most():
    data = b"".join(frames(3))
    for bit in range(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        got = idents(bytes(bad))
        assert len(got) == 2, (bit, got)


def test_nothing_is_found_in_noise_or_in_another_log():
    chance = Lcg(5)
    noise = bytes([chance.below(256) for _ in range(3000)]) + b"\xc7\x1d" * 300
    eq(segment.scan(noise, LIFE, BULK).records, [])
    eq(segment.scan(frames(1)[0], b"\x01\x02\x04", BULK).records, [])
    eq(segment.scan(frames(1)[0], LIFE, LIVE).records, [])


# --- The count ------------------------------------------------------------------------------------


def shelf(*firsts, to=100):
    made = Shelf(BULK, 0)
    made.firsts = list(firsts)
    made.sizes = [1000] * len(firsts)
    made.resume(to)
    return made


def test_receipts_in_any_order():
    made = shelf(1, 21, 41)
    for first, last, new in ((30, 39, 10), (1, 10, 10), (5, 12, 2), (13, 29, 17), (99, 99, 1)):
        eq(made.ack(first, last), new)
    eq((made.acked_to, made.acked, made.waiting()), (40, [(99, 99)], 59))
    eq([made.done(), made.done(), made.firsts], [1, 0, [21, 41]])
    eq(made.ack(100, 100), -1)
    eq(made.ack(40, 98), 59)
    eq([made.done(), made.done(), made.waiting()], [21, 0, 0])


def test_random_receipts_agree_with_a_set():
    for seed in range(20):
        chance, made, want = Lcg(seed), shelf(1), set()
        for _ in range(60):
            first = 1 + chance.below(99)
            last = min(99, first + chance.below(6))
            made.ack(first, last)
            want.update(range(first, last + 1))
        eq([ident for ident in range(1, 100) if made.has(ident)], sorted(want))
        eq(made.waiting(), 99 - len(want))


# --- The whole log --------------------------------------------------------------------------------


def test_classes_by_priority_each_in_its_order():
    unit, ground = Unit(Flash()), Ground()
    unit.settle()
    for i in range(40):
        unit.put((BULK, EVENT, LIVE, ALARM)[i % 4], b"%d" % i * 30)
        unit.settle()
    unit.send(ground)
    eq(
        [number & 3 for number in ground.order],
        [ALARM] * 10 + [LIVE] * 10 + [EVENT] * 10 + [BULK] * 10,
    )
    for at, group in enumerate((BULK, EVENT, LIVE, ALARM)):
        eq(payloads(ground, group), [b"%d" % i * 30 for i in range(at, 40, 4)])


def test_nothing_is_sent_before_it_is_durable():
    unit = Unit(Flash())
    unit.settle()
    unit.put(ALARM, b"x")
    eq(unit.sender.next(1000), ([], b""))
    heard = []
    unit.keeper.listeners.append(heard.append)
    unit.step()
    assert heard
    assert unit.sender.next(1000)[0]


def test_only_a_receipt_deletes():
    unit, ground = Unit(Flash()), Ground()
    unit.settle()
    for i in range(30):
        unit.put(BULK, b"%03d" % i * 50)
        unit.settle()
    before = len(unit.flash.records)
    messages = []
    while True:
        ids, message = unit.sender.next(600)
        if not ids and not unit.step():
            break
        if ids:
            unit.sender.accepted(ids)
            messages.append(message)
    eq(len(unit.flash.records), before)
    for message in messages:
        unit.sender.receipt(ground.take(message), unit.now)
    unit.settle()
    eq(len(unit.flash.records), 1)  # the newest keeps the count
    eq((len(ground.order), unit.keeper.shelves[BULK].waiting()), (30, 0))


def test_what_has_no_receipt_is_sent_again_and_only_that():
    unit, ground = Unit(Flash()), Ground()
    unit.settle()
    for i in range(10):
        unit.put(BULK, b"%d" % i * 100)
    unit.settle()
    unit.sender.receipt(ground.take(unit.sender.next(350)[1]), unit.now)
    while unit.sender.next(350)[0] or unit.step():
        pass
    unit.now = unit.sender.deadline()
    unit.sender.wake(unit.now)
    unit.send(ground)
    eq((payloads(ground, BULK), ground.twice), ([b"%d" % i * 100 for i in range(10)], 0))
    eq(unit.sender.deadline() > unit.now, True)


def test_a_ground_that_is_silent_is_asked_less_and_less_often():
    unit, ground = Unit(Flash()), Ground()
    unit.settle()
    unit.put(BULK, b"x")
    unit.settle()
    times = []
    for _ in range(9):
        assert unit.sender.next(350)[0]
        times.append(unit.sender.deadline() - unit.now)
        unit.now = unit.sender.deadline()
        unit.sender.wake(unit.now)
    eq([time // (60 * SECOND) for time in times], [1, 2, 4, 8, 16, 32, 64, 64, 64])
    unit.send(ground)
    unit.put(BULK, b"y")
    unit.settle()
    assert unit.sender.next(350)[0]
    eq(unit.sender.deadline() - unit.now, 60 * SECOND)


def test_long_records_come_in_pieces():
    unit, ground = Unit(Flash(), settings=settings(segment_bytes=4096)), Ground()
    unit.settle()
    long = bytes(range(256)) * 10
    unit.put(BULK, long)
    unit.put(BULK, b"short")
    unit.settle()
    count = unit.send(ground, limit=340)
    eq((payloads(ground, BULK), count), ([long, b"short"], 9))
    for size in (100, 321, 322, 323, 643, 644, 645):
        unit.put(BULK, bytes(size))
        unit.settle()
        unit.send(ground, limit=340)
        eq(payloads(ground, BULK)[-1], bytes(size))


def test_pieces_count_only_when_the_ground_has_all_of_them():
    unit, ground = Unit(Flash()), Ground()
    unit.settle()
    unit.put(BULK, bytes(700))
    unit.put(BULK, b"short")
    unit.settle()
    sent = [unit.sender.next(340) for _ in range(4)]
    eq(len(sent[3][0]), 1)
    for ids, _ in (sent[0], sent[2], sent[0], sent[3]):
        unit.sender.accepted(ids)
        unit.sender.acknowledged(ids)
    eq(unit.keeper.shelves[BULK].waiting(), 1)
    unit.sender.again()  # cut otherwise, which begins the count anew
    ids = unit.sender.next(700)[0]
    unit.sender.acknowledged(ids + sent[1][0])
    eq(unit.keeper.shelves[BULK].waiting(), 1)
    unit.sender.acknowledged(unit.sender.next(700)[0])
    eq(unit.keeper.shelves[BULK].waiting(), 0)
    unit.send(ground)
    eq(ground.order, [])


def test_an_alarm_goes_between_pieces():
    unit, ground = Unit(Flash()), Ground()
    unit.settle()
    unit.put(BULK, bytes(900))
    unit.settle()
    unit.send(ground, limit=340, most=1)
    unit.put(ALARM, b"leak")
    unit.settle()
    unit.send(ground, limit=340, most=1)
    eq(payloads(ground, ALARM), [b"leak"])
    unit.send(ground, limit=340)
    eq(payloads(ground, BULK), [bytes(900)])


def test_time_to_live_is_the_logs_own():
    unit, ground = Unit(Flash(), settings=settings(live_ttl_s=100)), Ground()
    unit.settle()
    unit.put(LIVE, b"old")
    unit.put(BULK, b"kept")
    unit.settle()
    unit.now += 60 * SECOND
    unit.kill(0)  # the next life's clock begins anew; the age does not
    unit.settle()
    unit.put(LIVE, b"young")
    unit.settle()
    unit.keeper.now = unit.now = unit.now + 50 * SECOND
    unit.put(LIVE, b"new")
    unit.settle()
    unit.send(ground)
    eq(sorted(payloads(ground, LIVE)), [b"new", b"old", b"young"])
    unit.put(LIVE, b"late")
    unit.settle()
    unit.keeper.now = unit.now = unit.now + 101 * SECOND
    unit.send(ground)
    eq((payloads(ground, LIVE)[-1], unit.keeper.shelves[LIVE].expired), (b"new", 1))


def test_the_oldest_of_the_lowest_class_makes_room():
    unit, ground = Unit(Flash(), settings=settings(bytes=8192)), Ground()
    unit.settle()
    for i in range(12):
        unit.put(ALARM, b"alarm %d" % i)
    for i in range(100):
        unit.put(BULK, b"%03d" % i * 60)
        unit.settle()
    lost = unit.keeper.shelves[BULK].lost
    assert 0 < unit.keeper.size() <= 8192
    unit.send(ground)
    got = payloads(ground, BULK)
    eq(got, [b"%03d" % i * 60 for i in range(lost, 100)])
    assert 30 < lost < 90, lost
    eq(len(payloads(ground, ALARM)), 12)


def test_full_disk_costs_the_backlog_not_the_alarms():
    flash = Flash()
    unit, ground = Unit(flash), Ground()
    unit.settle()
    for i in range(20):
        unit.put(BULK, b"%03d" % i * 60)
        unit.settle()
    flash.capacity = sum([len(record) for record in flash.records.values()]) + 10
    for i in range(30):
        unit.put(ALARM, b"alarm %d" % i * 5)
        unit.settle()
        if not unit.keeper._open:
            unit.keeper.event("opened", unit.now)
        unit.settle()
    unit.send(ground)
    eq(len(payloads(ground, ALARM)), 30)
    lost = unit.keeper.shelves[BULK].lost
    eq(payloads(ground, BULK), [b"%03d" % i * 60 for i in range(lost, 20)])
    assert 0 < lost < 20, lost


def test_a_disk_that_stays_full_costs_memory_no_more_than_agreed():
    unit = Unit(Flash())
    unit.settle()
    unit.flash.capacity = 0
    for i in range(200):
        unit.put(BULK if i % 10 else ALARM, bytes(500 if i % 10 else 100))
        if not unit.keeper._open:
            unit.keeper.event("opened", unit.now)
        unit.settle()
    assert unit.keeper._fresh_size <= 6144
    shelves = unit.keeper.shelves
    eq(shelves[ALARM].lost, 0)
    assert shelves[BULK].lost > 100
    unit.flash.capacity = None
    unit.keeper.event("opened", unit.now)
    ground = Ground()
    unit.settle()
    unit.send(ground)
    eq(len(payloads(ground, ALARM)), 20)


# --- The ground's word ----------------------------------------------------------------------------


def sent_one(key=b""):
    unit, ground = Unit(Flash(), key=key), Ground(key)
    unit.settle()
    for i in range(3):
        unit.put(BULK, b"%d" % i)
    unit.settle()
    return unit, ground.take(unit.sender.next(1000)[1])


def test_forged_receipts_change_nothing():
    key = b"k" * 16
    unit, good = sent_one(key)
    for bit in range(0, 8 * len(good), 5):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        unit.sender.receipt(bytes(bad), unit.now)
    said = receipt.Receipt(unit.keeper.life, 0, [(BULK, 1, 3)])
    for forged in (
        b"",
        b"\xa1",
        receipt.write(said, WHERE, b""),
        receipt.write(said, WHERE, b"x" * 16),
        receipt.write(said, "s1/u2", key),
    ):
        unit.sender.receipt(forged, unit.now)
    eq(unit.keeper.shelves[BULK].waiting(), 3)
    assert unit.sender.forged > 20
    unit.sender.receipt(good, unit.now)
    eq(unit.keeper.shelves[BULK].waiting(), 0)


def test_replayed_and_foreign_receipts_change_nothing():
    unit, good = sent_one()
    unit.sender.receipt(good, unit.now)
    unit.sender.receipt(good, unit.now)
    eq((unit.sender.idle, unit.keeper.shelves[BULK].waiting()), (1, 0))
    unit.put(BULK, b"4")
    unit.settle()
    unit.sender.receipt(good, unit.now)
    eq((unit.sender.idle, unit.keeper.shelves[BULK].waiting()), (2, 1))
    life = unit.keeper.life
    other = bytes([life[0] ^ 1]) + life[1:]
    for said in (
        receipt.Receipt(other, 0, [(BULK, 4, 4)]),
        receipt.Receipt(life, 0, [(BULK, 4, 4)]),  # not sent yet
        receipt.Receipt(life, 0, [(BULK, 4, 1 << 40)]),
    ):
        unit.sender.receipt(receipt.write(said, WHERE, b""), unit.now)
    eq((unit.sender.foreign, unit.sender.unsent), (1, 2))
    eq(unit.keeper.shelves[BULK].waiting(), 1)


def test_hmac_is_the_one_of_the_standard():
    # RFC 4231, test cases 2 and 6
    want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    eq(receipt.hmac(b"Jefe", b"what do ya want for nothing?"), bytes.fromhex(want))
    want = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    text = b"Test Using Larger Than Block-Size Key - Hash Key First"
    eq(receipt.hmac(b"\xaa" * 131, text), bytes.fromhex(want))


# --- Kills ----------------------------------------------------------------------------------------


def campaign(seed, kills):
    """Log, send and kill; judge that nothing durable is lost and nothing comes twice."""
    chance, flash, ground = Lcg(seed), Flash(), Ground()
    unit = Unit(flash)
    durable, written, count = set(), {}, 0
    for _ in range(kills):
        for _ in range(chance.below(12)):
            if chance.below(3):
                payload = b"%d." % count * (1 + chance.below(30))
                unit.put(chance.below(4), payload)
                count += 1
            for _ in range(chance.below(4)):
                unit.step()
            if chance.below(4) == 0:
                unit.send(ground, 100 + chance.below(900), most=chance.below(5))
            note_durable(unit, durable)
        unit.kill(chance.below(257))
    unit.settle()
    note_durable(unit, durable)
    unit.send(ground)
    got = [payload for _, payload in ground.kept.values()]
    eq(len(set(got)), len(got))
    missing = durable - set(got)
    assert not missing, (seed, missing)
    for group in (ALARM, LIVE, EVENT, BULK):
        serials = [int(payload.split(b".")[0]) for payload in payloads(ground, group)]
        eq(serials, sorted(serials))
    return written


def note_durable(unit, durable):
    """Remember what the log says is durable: what it may send."""
    for number, record in unit.keeper._recent:
        if record.ident < unit.keeper.shelves[number & 3].durable_to:
            durable.add(record.payload)


def test_kills_at_every_moment_lose_nothing_durable():
    for seed in range(8):
        campaign(seed, 12)


def test_flipped_bits_cost_what_they_hit():
    for seed in range(6):
        chance, flash, ground = Lcg(seed), Flash(), Ground()
        unit = Unit(flash)
        unit.settle()
        for i in range(60):
            unit.put(BULK, b"%02d" % i * 50)
            unit.settle()
        keys = sorted(flash.records)
        for _ in range(3):
            key = keys[chance.below(len(keys) - 1)]
            bad = bytearray(flash.records[key])
            bad[chance.below(len(bad))] ^= 1 << chance.below(8)
            flash.records[key] = bytes(bad)
        unit.kill(0)
        unit.settle()
        unit.send(ground)
        got = payloads(ground, BULK)
        assert 57 <= len(got) < 60, len(got)
        eq(got, sorted(got))
        assert unit.keeper.shelves[BULK].damaged >= 1


def test_numbers_go_on_after_a_bit_flipped_in_the_last_record():
    flash, ground = Flash(), Ground()
    unit = Unit(flash)
    unit.settle()
    for i in range(3):
        unit.put(BULK, b"%d" % i * 30)
        unit.settle()
    unit.send(ground)
    (key,) = flash.records
    bad = bytearray(flash.records[key])
    bad[-1] ^= 1
    flash.records[key] = bytes(bad)
    unit.kill(0)
    unit.settle()
    unit.put(BULK, b"new")
    unit.settle()
    unit.send(ground)
    eq(payloads(ground, BULK)[-1], b"new")


def test_an_emptied_or_foreign_folder_is_no_end():
    flash, ground = Flash(), Ground()
    unit = Unit(flash)
    unit.settle()
    for i in range(30):
        unit.put(BULK, b"%02d" % i * 50)
        unit.settle()
    for key in sorted(flash.records)[1:]:
        del flash.records[key]
    flash.records[b"log.ffffff.0.00000001"] = b"of another"
    unit.send(ground)
    unit.put(BULK, b"on")
    unit.settle()
    unit.send(ground)
    eq(payloads(ground, BULK)[-1], b"on")
    again = Unit(flash)
    again.settle()
    assert again.keeper.ready
    eq(again.keeper.foreign, 1)
