# SPDX-License-Identifier: Apache-2.0
"""Parts of the satellite link without modem and agent: budget, back-off, queue, messages, store."""

from agent.satcom import link_state
from agent.satcom.budget import Budget, Price
from agent.satcom.downlink import DownlinkReceiver
from agent.satcom.persistence import (
    NUMBERS_PER_WRITE,
    RECORD_KEYS,
    LinkState,
    SatcomStore,
    decode,
)
from agent.satcom.ram_queue import RamQueue
from agent.satcom.session_timer import Backoff
from agent.satcom.spend_guard import SpendGuard
from agent.satcom.transfer import MAX_UNACKED, MessageTransfer
from protocols import datagram
from protocols.datagram import ALARM, BULK, LIVE
from protocols.time_units import SECOND
from tests.portable.support.check import eq

DAY = 86_400 * SECOND
START = 20_780 * DAY + 6 * 3_600 * SECOND
KEY = bytes(range(32))


def test_price_gives_billed_bytes():
    price = Price(50, 50, 0)
    eq([price.billed_bytes(n) for n in (1, 50, 51, 340)], [50, 50, 100, 350])
    eq(Price(1, 1, 28).billed_bytes(10), 38)


def test_budget_day_starts_with_utc_once():
    budget = Budget(1000, 0, 20)
    budget.restore(START // DAY, 700)
    eq(budget.roll_day(None, 0), False)
    eq(budget.roll_day(START, 5 * SECOND), False)
    eq(budget.available(False), 100)
    eq(budget.available(True), 300)
    eq(budget.roll_day(START + 400 * DAY, 10 * SECOND), False)  # UTC is wrong by a year
    eq(budget.roll_day(START + DAY, 10 * 3_600 * SECOND), False)  # or by hours
    eq(budget.roll_day(START + 18 * 3_600 * SECOND - 1, 18 * 3_600 * SECOND + 5), False)
    eq(
        budget.roll_day(START + 18 * 3_600 * SECOND + 10, 18 * 3_600 * SECOND + 5 * SECOND + 10),
        True,
    )
    eq(budget.spent, 0)
    eq(
        budget.roll_day(START + 18 * 3_600 * SECOND + 20, 18 * 3_600 * SECOND + 5 * SECOND + 20),
        False,
    )


def test_budget_day_starts_without_utc():
    budget = Budget(1000, 0, 0)
    budget.spend(500)
    eq(budget.roll_day(None, 0), False)
    eq(budget.roll_day(None, 23 * 3_600 * SECOND), False)
    eq(budget.roll_day(None, DAY + SECOND), True)
    eq(budget.spent, 0)


def test_bytes_sent_before_utc_count_today():
    budget = Budget(1000, 0, 0)
    budget.restore(START // DAY - 3, 900)
    budget.roll_day(None, 0)
    budget.spend(50)
    eq(budget.roll_day(START, SECOND), True)
    eq(budget.spent, 50)


def test_window_budget():
    budget = Budget(1000, 100, 0)
    budget.spend(100)
    eq(budget.available(False), 0)
    eq(budget.available(True), 900)
    budget.new_window()
    eq(budget.available(False), 100)


def test_bytes_that_came_without_a_session_leave_the_reserve_of_alarms():
    budget = Budget(1000, 0, 20)
    budget.spend_received(100)
    eq(budget.spent, 100)
    for _ in range(50):
        budget.spend_received(4_096)
    eq((budget.available(False), budget.available(True)), (0, 200))
    budget.spend(150)
    budget.spend_received(50)
    eq(budget.available(True), 50)


def test_backoff_starts_short():
    backoff = Backoff(7)
    pauses = [backoff.next_pause() for _ in range(8)]
    assert pauses[0] < SECOND
    assert all(p < 5 * SECOND for p in pauses[:2])
    assert all(p < 30 * SECOND for p in pauses[:4])
    assert all(60 * SECOND <= p < 180 * SECOND for p in pauses[4:])
    eq(pauses, [Backoff(7).next_pause()] + pauses[1:])
    backoff.reset()
    assert backoff.next_pause() < SECOND


def test_queue_drops_lowest_class_first():
    queue = RamQueue()
    queue.put(ALARM, b"a", 5)
    for i in range(40):
        queue.put(LIVE, b"%d" % i, i)
    eq(queue.dropped, 9)
    eq(queue.oldest_queued_at(ALARM), 5)
    queue.put(ALARM, b"b", 50)
    eq(queue.next(340, (ALARM,))[1], b"ab")
    eq(queue.oldest_queued_at(ALARM), None)
    ids, content = queue.next(340, (LIVE,))
    eq(content, b"10")  # the oldest one left
    queue.mark_acknowledged(ids)
    eq(queue.waiting_counts(), [0, 29, 0, 0])


def _make_transfer(key=b""):
    queue = RamQueue()
    return queue, MessageTransfer(queue, 40, key, "s/u")


def test_alarm_is_sent_between_parts_of_a_long_message():
    queue, messages = _make_transfer()
    queue.put(BULK, bytes(100), 0)
    bulk = messages.next_message((BULK,), 9, 200)
    eq(len(bulk.parts), 3)
    eq(messages.on_part_sent(bulk, 1), False)
    queue.put(ALARM, b"hot", 2)
    alarm = messages.next_message((ALARM, LIVE, BULK), 9, 200)
    eq(alarm.parts, [b"\x10\0\0\x01hot"])
    eq(messages.on_part_sent(alarm, 3), True)
    eq(messages.next_message((ALARM, LIVE, BULK), 9, 200) is bulk, True)
    eq(messages.on_part_sent(bulk, 4), False)
    eq(messages.on_part_sent(bulk, 5), True)
    eq(messages.acknowledged, 2)


def test_message_numbers_stay_below_the_durable_limit():
    queue, messages = _make_transfer()
    queue.put(ALARM, b"x", 0)
    eq(messages.next_message((ALARM,), 0, 200), None)
    eq(messages.next_message((ALARM,), 1, 200).number, 0)


def test_only_the_ground_can_acknowledge():
    queue, messages = _make_transfer(KEY)
    messages.next_number = datagram.SEQUENCE_MODULUS - 1
    for content in (b"one", b"two"):
        queue.put(ALARM, content, 0)
        messages.on_part_sent(
            messages.next_message((ALARM,), datagram.SEQUENCE_MODULUS + 5, 200), 0
        )
    eq([m.number for m in messages.unacknowledged], [datagram.SEQUENCE_MODULUS - 1, 0])
    good = datagram.pack_ack(KEY, "s/u", [(datagram.SEQUENCE_MODULUS - 1, 1)])
    forged = datagram.pack_ack(bytes(32), "s/u", [(0, 255)])
    for data in (forged, b"", b"\x40", good[:-1], datagram.pack_ack(KEY, "s/v", [(0, 9)])):
        eq(messages.on_datagram(data), b"")
    eq((messages.forged, len(messages.unacknowledged)), (5, 2))
    messages.on_datagram(good)
    eq((messages.acknowledged, len(messages.unacknowledged)), (2, 0))
    messages.on_datagram(good)
    eq(messages.replayed, 1)
    eq(queue.waiting_counts(), [0, 0, 0, 0])


def test_unacknowledged_message_is_repeated_with_its_number():
    queue, messages = _make_transfer(KEY)
    queue.put(ALARM, b"one", 0)
    message = messages.next_message((ALARM,), 9, 200)
    messages.on_part_sent(message, 10)
    messages.repeat_overdue(100, 91)
    eq(messages.next_message((ALARM,), 9, 200), None)
    messages.repeat_overdue(101, 91)
    again = messages.next_message((ALARM,), 9, 200)
    eq(again.parts, message.parts)
    eq(messages.repeated, 1)


def _send_each(queue, messages, kind, first, count):
    """Queue `count` contents of a class; return how many of them the gateway got."""
    sent = 0
    for i in range(first, first + count):
        queue.put(kind, b"%d" % i, i)
        message = messages.next_message((kind,), 999, 200)
        if message is not None:
            messages.on_part_sent(message, i)
            sent += 1
    return sent


def test_unacknowledged_messages_are_bounded():
    queue, messages = _make_transfer(KEY)
    eq(_send_each(queue, messages, LIVE, 0, 30), MAX_UNACKED)
    eq(len(messages.unacknowledged), MAX_UNACKED)


def test_alarm_is_sent_while_the_ground_acknowledges_nothing():
    queue, messages = _make_transfer(KEY)
    _send_each(queue, messages, LIVE, 0, 20)
    eq(_send_each(queue, messages, ALARM, 100, 50), 50)
    eq(len(messages.unacknowledged), 2 * MAX_UNACKED)
    alarms = [message.number for message in messages.unacknowledged if message.kind == ALARM]
    eq(alarms, list(range(messages.next_number - MAX_UNACKED, messages.next_number)))
    eq(queue.waiting_counts()[ALARM], 0)
    # an acknowledgement of one that is given up is a replay, and changes nothing
    messages.on_datagram(datagram.pack_ack(KEY, "s/u", [(16, 0)]))
    eq((messages.replayed, len(messages.unacknowledged)), (1, 2 * MAX_UNACKED))


def test_downlink_message_is_accepted_once():
    _, messages = _make_transfer(KEY)
    data = datagram.pack_message(KEY, "s/u", 7, b"do")
    eq(messages.on_datagram(data), b"do")
    eq(messages.on_datagram(data), b"")
    eq(messages.on_datagram(datagram.pack_message(KEY, "s/u", 8, b"more")), b"more")
    eq(messages.replayed, 1)


class _MessageSink:
    def __init__(self):
        self.received = []

    def message(self, data, now):
        self.received.append(data)


def _make_downlink(store):
    """Return the parts of a unit that has just started on `store`."""
    sink = _MessageSink()
    _, messages = _make_transfer(KEY)
    satcom_store = SatcomStore(None, {}, 3)
    downlink = DownlinkReceiver(messages)
    downlink.connect(satcom_store, sink.message)
    satcom_store.event("opened", 0)
    store.serve(satcom_store)
    downlink.step(0)
    return downlink, messages, satcom_store, sink.received


def test_downlink_number_is_durable_before_delivery():
    store = _Store()
    data = datagram.pack_message(KEY, "s/u", 7, b"do")
    downlink, messages, satcom_store, got = _make_downlink(store)
    downlink.add(messages.on_datagram(data))
    downlink.step(1)
    eq(got, [])  # not durable yet: a power cut here loses it
    store.serve(satcom_store)
    downlink.step(2)
    eq(got, [b"do"])
    downlink, messages, satcom_store, got = _make_downlink(store)
    eq(messages.on_datagram(data), b"")
    eq(messages.on_datagram(datagram.pack_message(KEY, "s/u", 6, b"older")), b"")
    eq(messages.replayed, 2)
    downlink.add(messages.on_datagram(datagram.pack_message(KEY, "s/u", 8, b"next")))
    store.serve(satcom_store)
    downlink.step(3)
    eq(got, [b"next"])


def test_damaged_downlink_number_is_ignored():
    for bad in (b"", b"7", b"7 0000", b"x 1234", b" 0000"):
        store = _Store()
        store.records[b"link.heard"] = bad
        _, messages, satcom_store, _ = _make_downlink(store)
        eq((satcom_store.loaded, messages.min_number), (True, -1))


class _Place:
    """A permission with a place."""

    def __init__(self, place):
        self.place = place
        self.restored = None

    def restore(self, place):
        self.restored = place


def test_the_place_survives_a_restart():
    store = _Store()
    satcom_store = _make_downlink(store)[2]
    satcom_store.keep_place(_Place(b""))
    store.serve(satcom_store)
    eq(b"link.place" in store.records, False)
    for place in (b"uae 1 2", b"", b"uae 1 2"):
        satcom_store.keep_place(_Place(place))
        store.serve(satcom_store)
    permit = _Place(b"")
    _make_downlink(store)[2].keep_place(permit)
    eq(permit.restored, b"uae 1 2")
    store.records[b"link.place"] = b"uae 1 3 " + store.records[b"link.place"][-4:]
    permit = _Place(b"")
    _make_downlink(store)[2].keep_place(permit)
    eq(permit.restored, b"")


class _Store:
    """Executes the requests for a store immediately."""

    def __init__(self):
        self.records = {}

    def serve(self, satcom_store):
        while True:
            actions = satcom_store.outbox()
            if not actions:
                return
            self._carry_out(satcom_store, actions)

    def _carry_out(self, satcom_store, actions):
        for _, op, data in actions:
            key, _, payload = data.partition(b"\0")
            if op == "write":
                self.records[key] = payload
                satcom_store.event("drained", 0)
            else:
                found = self.records.get(key)
                satcom_store.receive(key if found is None else key + b"\0" + found, 0)


def _make_spend_guard(store, limit=5000):
    satcom_store = SatcomStore(None, {}, 3)
    satcom_store.event("opened", 0)
    for _ in range(4):
        store.serve(satcom_store)
    budget = Budget(limit, 0, 0)
    guard = SpendGuard(budget, satcom_store)
    return guard, satcom_store


def test_bytes_are_reserved_before_they_are_spent():
    store = _Store()
    guard, satcom_store = _make_spend_guard(store)
    eq(guard.restore(START), True)
    guard.budget.roll_day(START, 0)
    eq(guard.may_spend(350, True), False)  # requested, not durable yet
    store.serve(satcom_store)
    eq(guard.may_spend(350, True), True)
    guard.budget.spend(350)
    again, _ = _make_spend_guard(store)
    again.restore(START)
    assert again.budget.spent >= 350
    assert again.first_number >= NUMBERS_PER_WRITE


def test_a_budget_survives_any_number_of_restarts():
    store = _Store()
    spent = 0
    for _ in range(60):
        guard, satcom_store = _make_spend_guard(store, 1000)
        guard.restore(START)
        guard.budget.roll_day(START, 0)
        for _i in range(3):
            if not guard.may_spend(50, True):
                store.serve(satcom_store)
            if guard.may_spend(50, True):
                guard.budget.spend(50)
                spent += 50
    assert 500 <= spent <= 1000, spent


def test_no_spending_without_a_store():
    budget = Budget(5000, 0, 0)
    guard = SpendGuard(budget, None)
    eq(guard.restore(START), False)
    eq(guard.may_spend(50, True), False)


def test_damaged_records_are_detected():
    record = LinkState(7, 20_780, 1234, 99)
    record.offsets = [-3, 0, 12]
    text = record.encode()
    eq(decode(text).offsets, [-3, 0, 12])
    for i in range(len(text)):
        for flip in (1, 0x10):
            eq(decode(text[:i] + bytes((text[i] ^ flip,)) + text[i + 1 :]), None)
    store = _Store()
    guard, satcom_store = _make_spend_guard(store)
    guard.restore(START)
    store.serve(satcom_store)
    good = dict(store.records)
    eq(len(good), 1)
    store.records[RECORD_KEYS[0].encode()] = b"junk"
    guard, _ = _make_spend_guard(store)
    eq(guard.restore(None), False)  # without UTC the number of used numbers is unknown
    eq(guard.restore(START), True)
    assert guard.first_number >= 2 * NUMBERS_PER_WRITE
    store.records = {RECORD_KEYS[0].encode(): b"junk", RECORD_KEYS[1].encode(): b"junk"}
    guard, _ = _make_spend_guard(store)
    eq(guard.restore(START), True)
    eq(guard.budget.available(True), 0)
    assert guard.first_number > 1_000_000


def test_table_of_states_has_a_way_out_of_each_state():
    names = link_state.STATE_NAMES
    eq(len(names), link_state.FETCHING_LAST + 1)
    for state in range(len(names)):
        seen = [state]
        for at in seen:
            for row in link_state.TABLE:
                if row[0] == at and row[2] not in seen:
                    seen.append(row[2])
        eq(len(seen), len(names))
    keys = [row[:2] for row in link_state.TABLE]
    eq(len(set(keys)), len(keys))


def test_session_ends_normally_when_the_radio_is_switched_off():
    step = link_state.next_state
    for begin in (link_state.SEND, link_state.FETCH):
        state = step(link_state.IDLE, begin)
        eq((link_state.in_session(state), link_state.radio_is_on(state)), (True, True))
        eq(step(state, link_state.END), link_state.IDLE)
        last = step(state, link_state.RADIO_OFF)
        eq((link_state.in_session(last), link_state.radio_is_on(last)), (True, False))
        eq(step(last, begin), last)
        eq(step(step(last, link_state.RADIO_ON), link_state.END), link_state.IDLE)
        eq(step(last, link_state.END), link_state.OFF)
    eq(step(link_state.OFF, link_state.SEND), link_state.OFF)
