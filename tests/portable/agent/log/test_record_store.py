# SPDX-License-Identifier: Apache-2.0
"""The log: order, priority, expiry, bounds, receipts; truncation, bit errors, full disks, kills."""

from agent.log.class_index import ClassIndex
from protocols.telemetry.message import ALARM, BULK, EVENT, LIVE
from protocols.time_units import SECOND
from tests.portable.agent.log.store_rig import payloads, settings
from tests.portable.support.check import eq
from tests.portable.support.flash import GroundModel, LogFlash, LogLcg, LogUnit

# --- Segments -------------------------------------------------------------------------------------


# --- The index ------------------------------------------------------------------------------------


def make_class_index(*firsts, to=100):
    made = ClassIndex(BULK, 0)
    made.load(list(firsts), 1000)
    made.resume(to)
    return made


def test_receipts_in_any_order():
    made = make_class_index(1, 21, 41)
    for first, last, new in ((30, 39, 10), (1, 10, 10), (5, 12, 2), (13, 29, 17), (99, 99, 1)):
        eq(made.ack(first, last), new)
    eq((made.acked_to, made.acked_ranges, made.unacked_count()), (40, [(99, 99)], 59))
    eq([made.release(), made.release(), made.first_ids], [1, 0, [21, 41]])
    eq(made.ack(100, 100), -1)
    eq(made.ack(40, 98), 59)
    eq([made.release(), made.release(), made.unacked_count()], [21, 0, 0])


def test_random_receipts_agree_with_a_set():
    for seed in range(20):
        rng, made, want = LogLcg(seed), make_class_index(1), set()
        for _ in range(60):
            first = 1 + rng.below(99)
            last = min(99, first + rng.below(6))
            made.ack(first, last)
            want.update(range(first, last + 1))
        eq([ident for ident in range(1, 100) if made.is_acked(ident)], sorted(want))
        eq(made.unacked_count(), 99 - len(want))


# --- The whole log --------------------------------------------------------------------------------


def test_classes_are_sent_by_priority_in_order():
    unit, ground = LogUnit(LogFlash()), GroundModel()
    unit.run_until_idle()
    for i in range(40):
        unit.append((BULK, EVENT, LIVE, ALARM)[i % 4], b"%d" % i * 30)
        unit.run_until_idle()
    unit.send(ground)
    eq(
        [number & 3 for number in ground.order],
        [ALARM] * 10 + [LIVE] * 10 + [EVENT] * 10 + [BULK] * 10,
    )
    for at, group in enumerate((BULK, EVENT, LIVE, ALARM)):
        eq(payloads(ground, group), [b"%d" % i * 30 for i in range(at, 40, 4)])


def test_nothing_is_sent_before_it_is_durable():
    unit = LogUnit(LogFlash())
    unit.run_until_idle()
    unit.append(ALARM, b"x")
    eq(unit.sender.next(1000), ([], b""))
    calls = []
    unit.record_store.listeners.append(calls.append)
    unit.step()
    assert calls
    assert unit.sender.next(1000)[0]


def test_only_a_receipt_deletes():
    unit, ground = LogUnit(LogFlash()), GroundModel()
    unit.run_until_idle()
    for i in range(30):
        unit.append(BULK, b"%03d" % i * 50)
        unit.run_until_idle()
    before = len(unit.flash.records)
    messages = []
    while True:
        ids, message = unit.sender.next(600)
        if not ids and not unit.step():
            break
        if ids:
            unit.sender.mark_accepted(ids)
            messages.append(message)
    eq(len(unit.flash.records), before)
    for message in messages:
        unit.sender.on_receipt(ground.receive(message), unit.now)
    unit.run_until_idle()
    eq(len(unit.flash.records), 1)  # the newest one keeps the ids
    eq((len(ground.order), unit.record_store.class_indexes[BULK].unacked_count()), (30, 0))


def test_only_unacknowledged_records_are_resent():
    unit, ground = LogUnit(LogFlash()), GroundModel()
    unit.run_until_idle()
    for i in range(10):
        unit.append(BULK, b"%d" % i * 100)
    unit.run_until_idle()
    unit.sender.on_receipt(ground.receive(unit.sender.next(350)[1]), unit.now)
    while unit.sender.next(350)[0] or unit.step():
        pass
    unit.now = unit.sender.deadline()
    unit.sender.wake(unit.now)
    unit.send(ground)
    eq((payloads(ground, BULK), ground.duplicates), ([b"%d" % i * 100 for i in range(10)], 0))
    eq(unit.sender.deadline() > unit.now, True)


def test_resend_interval_grows_without_receipts():
    unit, ground = LogUnit(LogFlash()), GroundModel()
    unit.run_until_idle()
    unit.append(BULK, b"x")
    unit.run_until_idle()
    times = []
    for _ in range(9):
        assert unit.sender.next(350)[0]
        times.append(unit.sender.deadline() - unit.now)
        unit.now = unit.sender.deadline()
        unit.sender.wake(unit.now)
    eq([time // (60 * SECOND) for time in times], [1, 2, 4, 8, 16, 32, 64, 64, 64])
    unit.send(ground)
    unit.append(BULK, b"y")
    unit.run_until_idle()
    assert unit.sender.next(350)[0]
    eq(unit.sender.deadline() - unit.now, 60 * SECOND)


def test_long_records_are_sent_in_chunks():
    unit, ground = LogUnit(LogFlash(), settings=settings(segment_bytes=4096)), GroundModel()
    unit.run_until_idle()
    long = bytes(range(256)) * 10
    unit.append(BULK, long)
    unit.append(BULK, b"short")
    unit.run_until_idle()
    count = unit.send(ground, limit=340)
    eq((payloads(ground, BULK), count), ([long, b"short"], 9))
    for size in (100, 321, 322, 323, 643, 644, 645):
        unit.append(BULK, bytes(size))
        unit.run_until_idle()
        unit.send(ground, limit=340)
        eq(payloads(ground, BULK)[-1], bytes(size))


def test_record_is_acknowledged_when_all_chunks_are():
    unit, ground = LogUnit(LogFlash()), GroundModel()
    unit.run_until_idle()
    unit.append(BULK, bytes(700))
    unit.append(BULK, b"short")
    unit.run_until_idle()
    sent = [unit.sender.next(340) for _ in range(4)]
    eq(len(sent[3][0]), 1)
    for ids, _ in (sent[0], sent[2], sent[0], sent[3]):
        unit.sender.mark_accepted(ids)
        unit.sender.mark_acknowledged(ids)
    eq(unit.record_store.class_indexes[BULK].unacked_count(), 1)
    unit.sender.resend_all()  # other chunks: the count starts again
    ids = unit.sender.next(700)[0]
    unit.sender.mark_acknowledged(ids + sent[1][0])
    eq(unit.record_store.class_indexes[BULK].unacked_count(), 1)
    unit.sender.mark_acknowledged(unit.sender.next(700)[0])
    eq(unit.record_store.class_indexes[BULK].unacked_count(), 0)
    unit.send(ground)
    eq(ground.order, [])


def test_alarm_is_sent_between_chunks():
    unit, ground = LogUnit(LogFlash()), GroundModel()
    unit.run_until_idle()
    unit.append(BULK, bytes(900))
    unit.run_until_idle()
    unit.send(ground, limit=340, max_messages=1)
    unit.append(ALARM, b"leak")
    unit.run_until_idle()
    unit.send(ground, limit=340, max_messages=1)
    eq(payloads(ground, ALARM), [b"leak"])
    unit.send(ground, limit=340)
    eq(payloads(ground, BULK), [bytes(900)])


def test_time_to_live_uses_the_log_time():
    unit, ground = LogUnit(LogFlash(), settings=settings(live_ttl_s=100)), GroundModel()
    unit.run_until_idle()
    unit.append(LIVE, b"old")
    unit.append(BULK, b"kept")
    unit.run_until_idle()
    unit.now += 60 * SECOND
    unit.cut_power(0)  # the clock restarts with the process; the age of a record does not
    unit.run_until_idle()
    unit.append(LIVE, b"young")
    unit.run_until_idle()
    unit.now += 50 * SECOND
    unit.record_store.set_time(unit.now)
    unit.append(LIVE, b"new")
    unit.run_until_idle()
    unit.send(ground)
    eq(sorted(payloads(ground, LIVE)), [b"new", b"old", b"young"])
    unit.append(LIVE, b"late")
    unit.run_until_idle()
    unit.now += 101 * SECOND
    unit.record_store.set_time(unit.now)
    unit.send(ground)
    eq((payloads(ground, LIVE)[-1], unit.record_store.class_indexes[LIVE].expired), (b"new", 1))


def test_oldest_of_the_lowest_class_is_evicted():
    unit, ground = LogUnit(LogFlash(), settings=settings(bytes=8192)), GroundModel()
    unit.run_until_idle()
    for i in range(12):
        unit.append(ALARM, b"alarm %d" % i)
    for i in range(100):
        unit.append(BULK, b"%03d" % i * 60)
        unit.run_until_idle()
    lost = unit.record_store.class_indexes[BULK].lost
    assert 0 < unit.record_store.size() <= 8192
    unit.send(ground)
    got = payloads(ground, BULK)
    eq(got, [b"%03d" % i * 60 for i in range(lost, 100)])
    assert 30 < lost < 90, lost
    eq(len(payloads(ground, ALARM)), 12)


def test_full_disk_drops_backlog_before_alarms():
    flash = LogFlash()
    unit, ground = LogUnit(flash), GroundModel()
    unit.run_until_idle()
    for i in range(20):
        unit.append(BULK, b"%03d" % i * 60)
        unit.run_until_idle()
    flash.capacity = sum([len(record) for record in flash.records.values()]) + 10
    for i in range(30):
        unit.append(ALARM, b"alarm %d" % i * 5)
        unit.run_until_idle()
        if not unit.record_store._open:
            unit.record_store.event("opened", unit.now)
        unit.run_until_idle()
    unit.send(ground)
    eq(len(payloads(ground, ALARM)), 30)
    lost = unit.record_store.class_indexes[BULK].lost
    eq(payloads(ground, BULK), [b"%03d" % i * 60 for i in range(lost, 20)])
    assert 0 < lost < 20, lost


def test_full_disk_keeps_memory_bounded():
    unit = LogUnit(LogFlash())
    unit.run_until_idle()
    unit.flash.capacity = 0
    for i in range(200):
        unit.append(BULK if i % 10 else ALARM, bytes(500 if i % 10 else 100))
        if not unit.record_store._open:
            unit.record_store.event("opened", unit.now)
        unit.run_until_idle()
    assert unit.record_store._unwritten.size <= 6144
    class_indexes = unit.record_store.class_indexes
    eq(class_indexes[ALARM].lost, 0)
    assert class_indexes[BULK].lost > 100
    unit.flash.capacity = None
    unit.record_store.event("opened", unit.now)
    ground = GroundModel()
    unit.run_until_idle()
    unit.send(ground)
    eq(len(payloads(ground, ALARM)), 20)


# --- Receipts -------------------------------------------------------------------------------------


# --- Kills ----------------------------------------------------------------------------------------


def campaign(seed, kills):
    """Log, send and kill; check that no durable record is lost or sent twice."""
    rng, flash, ground = LogLcg(seed), LogFlash(), GroundModel()
    unit = LogUnit(flash)
    durable, written, count = set(), {}, 0
    for _ in range(kills):
        for _ in range(rng.below(12)):
            if rng.below(3):
                payload = b"%d." % count * (1 + rng.below(30))
                unit.append(rng.below(4), payload)
                count += 1
            for _ in range(rng.below(4)):
                unit.step()
            if rng.below(4) == 0:
                unit.send(ground, 100 + rng.below(900), max_messages=rng.below(5))
            note_durable(unit, durable)
        unit.cut_power(rng.below(257))
    unit.run_until_idle()
    note_durable(unit, durable)
    unit.send(ground)
    got = [payload for _, payload in ground.received.values()]
    eq(len(set(got)), len(got))
    missing = durable - set(got)
    assert not missing, (seed, missing)
    for group in (ALARM, LIVE, EVENT, BULK):
        serials = [int(payload.split(b".")[0]) for payload in payloads(ground, group)]
        eq(serials, sorted(serials))
    return written


def note_durable(unit, durable):
    """Store which records are durable and can be sent."""
    for number, record in unit.record_store._recent.entries:
        if record.ident < unit.record_store.class_indexes[number & 3].durable_to:
            durable.add(record.payload)


def test_power_cuts_lose_no_durable_record():
    for seed in range(8):
        campaign(seed, 12)


def test_flipped_bit_loses_only_its_record():
    for seed in range(6):
        rng, flash, ground = LogLcg(seed), LogFlash(), GroundModel()
        unit = LogUnit(flash)
        unit.run_until_idle()
        for i in range(60):
            unit.append(BULK, b"%02d" % i * 50)
            unit.run_until_idle()
        keys = sorted(flash.records)
        for _ in range(3):
            key = keys[rng.below(len(keys) - 1)]
            bad = bytearray(flash.records[key])
            bad[rng.below(len(bad))] ^= 1 << rng.below(8)
            flash.records[key] = bytes(bad)
        unit.cut_power(0)
        unit.run_until_idle()
        unit.send(ground)
        got = payloads(ground, BULK)
        assert 57 <= len(got) < 60, len(got)
        eq(got, sorted(got))
        assert unit.record_store.class_indexes[BULK].damaged >= 1


def test_numbers_continue_after_a_damaged_last_record():
    flash, ground = LogFlash(), GroundModel()
    unit = LogUnit(flash)
    unit.run_until_idle()
    for i in range(3):
        unit.append(BULK, b"%d" % i * 30)
        unit.run_until_idle()
    unit.send(ground)
    (key,) = flash.records
    bad = bytearray(flash.records[key])
    bad[-1] ^= 1
    flash.records[key] = bytes(bad)
    unit.cut_power(0)
    unit.run_until_idle()
    unit.append(BULK, b"new")
    unit.run_until_idle()
    unit.send(ground)
    eq(payloads(ground, BULK)[-1], b"new")


def test_empty_or_foreign_folder_is_accepted():
    flash, ground = LogFlash(), GroundModel()
    unit = LogUnit(flash)
    unit.run_until_idle()
    for i in range(30):
        unit.append(BULK, b"%02d" % i * 50)
        unit.run_until_idle()
    for key in sorted(flash.records)[1:]:
        del flash.records[key]
    flash.records[b"log.ffffff.0.00000001"] = b"of another"
    unit.send(ground)
    unit.append(BULK, b"on")
    unit.run_until_idle()
    unit.send(ground)
    eq(payloads(ground, BULK)[-1], b"on")
    again = LogUnit(flash)
    again.run_until_idle()
    assert again.record_store.ready
    eq(again.record_store.foreign_segments, 1)
