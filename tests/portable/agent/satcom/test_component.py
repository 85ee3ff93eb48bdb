"""The carrier's pieces: budget and purse, ladder, queue, messages, memory. No modem, no agent."""

from agent.satcom.backoff import Ladder
from agent.satcom.budget import Budget, Price
from agent.satcom.downlink import Downward
from agent.satcom.persistence import KEYS, NUMBERS, Memory, Record, read
from agent.satcom.ram_queue import MemQueue
from agent.satcom.spend_guard import Purse
from agent.satcom.transfer import MOST_WAITING, Messages
from protocols import datagram
from protocols.datagram import ALARM, BULK, LIVE
from protocols.time_units import SECOND
from tests.portable.support.check import eq

DAY = 86_400 * SECOND
START = 20_780 * DAY + 6 * 3_600 * SECOND
KEY = bytes(range(32))


def test_a_price_is_what_is_billed():
    price = Price(50, 50, 0)
    eq([price.of(n) for n in (1, 50, 51, 340)], [50, 50, 100, 350])
    eq(Price(1, 1, 28).of(10), 38)


def test_a_day_begins_with_utc_and_only_once():
    budget = Budget(1000, 0, 20)
    budget.day, budget.spent = START // DAY, 700
    eq(budget.roll(None, 0), False)
    eq(budget.roll(START, 5 * SECOND), False)
    eq(budget.room(False), 100)
    eq(budget.room(True), 300)
    eq(budget.roll(START + 400 * DAY, 10 * SECOND), False)  # led astray by a year
    eq(budget.roll(START + DAY, 10 * 3_600 * SECOND), False)  # or by hours
    eq(budget.roll(START + 18 * 3_600 * SECOND - 1, 18 * 3_600 * SECOND + 5), False)
    eq(budget.roll(START + 18 * 3_600 * SECOND + 10, 18 * 3_600 * SECOND + 5 * SECOND + 10), True)
    eq(budget.spent, 0)
    eq(budget.roll(START + 18 * 3_600 * SECOND + 20, 18 * 3_600 * SECOND + 5 * SECOND + 20), False)


def test_a_day_begins_without_utc_too():
    budget = Budget(1000, 0, 0)
    budget.spend(500)
    eq(budget.roll(None, 0), False)
    eq(budget.roll(None, 23 * 3_600 * SECOND), False)
    eq(budget.roll(None, DAY + SECOND), True)
    eq(budget.spent, 0)


def test_what_was_sent_before_utc_was_known_counts_today():
    budget = Budget(1000, 0, 0)
    budget.day, budget.spent = START // DAY - 3, 900
    budget.roll(None, 0)
    budget.spend(50)
    eq(budget.roll(START, SECOND), True)
    eq(budget.spent, 50)


def test_a_window_has_a_budget_of_its_own():
    budget = Budget(1000, 100, 0)
    budget.spend(100)
    eq(budget.room(False), 0)
    eq(budget.room(True), 900)
    budget.new_window()
    eq(budget.room(False), 100)


def test_the_ladder_is_short_first():
    ladder = Ladder(7)
    pauses = [ladder.pause() for _ in range(8)]
    assert pauses[0] < SECOND
    assert all(p < 5 * SECOND for p in pauses[:2])
    assert all(p < 30 * SECOND for p in pauses[:4])
    assert all(60 * SECOND <= p < 180 * SECOND for p in pauses[4:])
    eq(pauses, [Ladder(7).pause()] + pauses[1:])
    ladder.reset()
    assert ladder.pause() < SECOND


def test_the_queue_keeps_what_matters():
    queue = MemQueue()
    queue.put(ALARM, b"a", 5)
    for i in range(40):
        queue.put(LIVE, b"%d" % i, i)
    eq(queue.dropped, 9)
    eq(queue.since(ALARM), 5)
    queue.put(ALARM, b"b", 50)
    eq(queue.next(340, (ALARM,))[1], b"ab")
    eq(queue.since(ALARM), None)
    ids, content = queue.next(340, (LIVE,))
    eq(content, b"10")  # the oldest that is left
    queue.acknowledged(ids)
    eq(queue.waiting(), [0, 29, 0, 0])


def _messages(key=b""):
    queue = MemQueue()
    return queue, Messages(queue, 40, key, "s/u")


def test_an_alarm_overtakes_a_long_message():
    queue, messages = _messages()
    queue.put(BULK, bytes(100), 0)
    bulk = messages.pick((BULK,), 9, 200)
    eq(len(bulk.parts), 3)
    eq(messages.part_sent(bulk, 1), False)
    queue.put(ALARM, b"hot", 2)
    alarm = messages.pick((ALARM, LIVE, BULK), 9, 200)
    eq(alarm.parts, [b"\x10\0\0\x01hot"])
    eq(messages.part_sent(alarm, 3), True)
    eq(messages.pick((ALARM, LIVE, BULK), 9, 200) is bulk, True)
    eq(messages.part_sent(bulk, 4), False)
    eq(messages.part_sent(bulk, 5), True)
    eq(messages.acknowledged, 2)


def test_no_number_beyond_what_is_durable():
    queue, messages = _messages()
    queue.put(ALARM, b"x", 0)
    eq(messages.pick((ALARM,), 0, 200), None)
    eq(messages.pick((ALARM,), 1, 200).number, 0)


def test_the_ground_acknowledges_and_nobody_else():
    queue, messages = _messages(KEY)
    messages.number = datagram.NUMBERS - 1
    for content in (b"one", b"two"):
        queue.put(ALARM, content, 0)
        messages.part_sent(messages.pick((ALARM,), datagram.NUMBERS + 5, 200), 0)
    eq([m.number for m in messages.waiting], [datagram.NUMBERS - 1, 0])
    good = datagram.acknowledge(KEY, "s/u", [(datagram.NUMBERS - 1, 1)])
    forged = datagram.acknowledge(bytes(32), "s/u", [(0, 255)])
    for data in (forged, b"", b"\x40", good[:-1], datagram.acknowledge(KEY, "s/v", [(0, 9)])):
        eq(messages.heard(data), b"")
    eq((messages.forged, len(messages.waiting)), (5, 2))
    messages.heard(good)
    eq((messages.acknowledged, len(messages.waiting)), (2, 0))
    messages.heard(good)
    eq(messages.replayed, 1)
    eq(queue.waiting(), [0, 0, 0, 0])


def test_what_is_not_acknowledged_goes_again_under_its_number():
    queue, messages = _messages(KEY)
    queue.put(ALARM, b"one", 0)
    message = messages.pick((ALARM,), 9, 200)
    messages.part_sent(message, 10)
    messages.overdue(100, 91)
    eq(messages.pick((ALARM,), 9, 200), None)
    messages.overdue(101, 91)
    again = messages.pick((ALARM,), 9, 200)
    eq(again.parts, message.parts)
    eq(messages.repeated, 1)


def test_the_ground_may_be_silent_without_end():
    queue, messages = _messages(KEY)
    sent = 0
    for i in range(40):
        queue.put(ALARM, b"x", i)
        message = messages.pick((ALARM,), 99, 200)
        if message is not None:
            messages.part_sent(message, i)
            sent += 1
    eq(sent, MOST_WAITING)


def test_messages_for_the_unit_come_once():
    _, messages = _messages(KEY)
    data = datagram.message(KEY, "s/u", 7, b"do")
    eq(messages.heard(data), b"do")
    eq(messages.heard(data), b"")
    eq(messages.heard(datagram.message(KEY, "s/u", 8, b"more")), b"more")
    eq(messages.replayed, 1)


class _Taker:
    def __init__(self):
        self.got = []

    def message(self, data, now):
        self.got.append(data)


class _Agent:
    def __init__(self):
        self.parts = [_Taker()]


def _downward(store):
    """A unit that has just started on `store`: its messages, its memory, what takes messages."""
    agent = _Agent()
    _, messages = _messages(KEY)
    memory = Memory(None, {}, 3)
    downward = Downward(agent, messages)
    downward.memory = memory
    memory.event("opened", 0)
    store.serve(memory)
    downward.step(0)
    return downward, messages, memory, agent.parts[0].got


def test_a_message_is_durable_before_it_is_done_and_refused_after_a_restart():
    store = _Store()
    data = datagram.message(KEY, "s/u", 7, b"do")
    downward, messages, memory, got = _downward(store)
    downward.take(messages.heard(data))
    downward.step(1)
    eq(got, [])  # not durable yet: a power cut here loses it
    store.serve(memory)
    downward.step(2)
    eq(got, [b"do"])
    downward, messages, memory, got = _downward(store)
    eq(messages.heard(data), b"")
    eq(messages.heard(datagram.message(KEY, "s/u", 6, b"older")), b"")
    eq(messages.replayed, 2)
    downward.take(messages.heard(datagram.message(KEY, "s/u", 8, b"next")))
    store.serve(memory)
    downward.step(3)
    eq(got, [b"next"])


def test_a_broken_number_of_the_ground_is_none():
    for bad in (b"", b"7", b"7 0000", b"x 1234", b" 0000"):
        store = _Store()
        store.records[b"link.heard"] = bad
        _, messages, memory, _ = _downward(store)
        eq((memory.loaded, messages.floor), (True, -1))


class _Store:
    """Carries out what a memory asks for, at once."""

    def __init__(self):
        self.records = {}

    def serve(self, memory):
        while True:
            actions = memory.outbox()
            if not actions:
                return
            self._carry_out(memory, actions)

    def _carry_out(self, memory, actions):
        for _, op, data in actions:
            key, _, payload = data.partition(b"\0")
            if op == "write":
                self.records[key] = payload
                memory.event("drained", 0)
            else:
                found = self.records.get(key)
                memory.receive(key if found is None else key + b"\0" + found, 0)


def _purse(store, limit=5000):
    memory = Memory(None, {}, 3)
    memory.event("opened", 0)
    for _ in range(4):
        store.serve(memory)
    budget = Budget(limit, 0, 0)
    purse = Purse(budget, memory)
    return purse, memory


def test_bytes_are_durable_before_they_are_spent():
    store = _Store()
    purse, memory = _purse(store)
    eq(purse.load(START), True)
    purse.budget.roll(START, 0)
    eq(purse.may(350, True), False)  # asked for, not durable yet
    store.serve(memory)
    eq(purse.may(350, True), True)
    purse.budget.spend(350)
    again, _ = _purse(store)
    again.load(START)
    assert again.budget.spent >= 350
    assert again.first_number >= NUMBERS


def test_a_budget_survives_any_number_of_restarts():
    store = _Store()
    spent = 0
    for _ in range(60):
        purse, memory = _purse(store, 1000)
        purse.load(START)
        purse.budget.roll(START, 0)
        for _i in range(3):
            if not purse.may(50, True):
                store.serve(memory)
            if purse.may(50, True):
                purse.budget.spend(50)
                spent += 50
    assert 500 <= spent <= 1000, spent


def test_no_store_no_spending():
    budget = Budget(5000, 0, 0)
    purse = Purse(budget, None)
    eq(purse.load(START), False)
    eq(purse.may(50, True), False)


def test_broken_records():
    record = Record(7, 20_780, 1234, 99)
    record.offsets = [-3, 0, 12]
    text = record.text()
    eq(read(text).offsets, [-3, 0, 12])
    for i in range(len(text)):
        for flip in (1, 0x10):
            eq(read(text[:i] + bytes((text[i] ^ flip,)) + text[i + 1 :]), None)
    store = _Store()
    purse, memory = _purse(store)
    purse.load(START)
    store.serve(memory)
    good = dict(store.records)
    eq(len(good), 1)
    store.records[KEYS[0].encode()] = b"junk"
    purse, _ = _purse(store)
    eq(purse.load(None), False)  # how many numbers were used is not known without the time
    eq(purse.load(START), True)
    assert purse.first_number >= 2 * NUMBERS
    store.records = {KEYS[0].encode(): b"junk", KEYS[1].encode(): b"junk"}
    purse, _ = _purse(store)
    eq(purse.load(START), True)
    eq(purse.budget.room(True), 0)
    assert purse.first_number > 1_000_000
