# SPDX-License-Identifier: Apache-2.0
"""The log over MQTT: alarms first, receipts, and a send window that fits the link."""

from agent.log.component import LogComponent
from protocols.telemetry import block, message, receipt
from protocols.telemetry.message import ALARM, BULK, LIVE
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.support.agent_rig import BROKER, AgentRig, config
from tests.portable.support.check import eq
from tests.portable.support.flash import GroundModel, LogFlash
from tests.portable.support.power_rig import make_models

LONG = ("test_queued_blocks_are_compacted_without_loss",)

PORT = 5


class LogRig(AgentRig):
    """A unit with a log; its store needs 2 ms for each request."""

    def __init__(self, flash=None, raw=None, models=None, **changed):
        self.flash = flash or LogFlash()
        self.ground = GroundModel()
        self.hold = False
        made = raw or config()
        made["log"] = {"port": "store:/var/lib/log", "at_risk_s": 10}
        made["log"].update(changed)
        AgentRig.__init__(self, made, models=models)

    @property
    def log(self):
        (log,) = [part for part in self.agent.components if isinstance(part, LogComponent)]
        return log

    def perform(self, port, op, data):
        if port != PORT or op == "open":
            AgentRig.perform(self, port, op, data)
            return
        answer = self.flash.execute(op, data)
        if answer:
            self.schedule(2 * MILLISECOND, "receive", port, answer)
        self.schedule(2 * MILLISECOND, "event", port, "drained")

    def take_messages(self):
        """Take the messages published since the last call, and send their receipts."""
        messages = [body for _, topic, body in self.broker.published if topic.endswith("/tele")]
        self.broker.published = []
        for body in messages:
            reply = self.ground.receive(body)
            if not self.hold:
                self.log.sender.on_receipt(reply, self.now)
        return messages


def numbers(packed):
    return [record[0] for record in message.parse_message(packed)[1]]


def test_rows_leave_as_blocks_and_not_as_json():
    rig = LogRig()
    rig.run(35)
    messages = rig.take_messages()
    assert messages
    eq([packed[0] for packed in messages], [message.PACK] * len(messages))
    rig.run(30)
    rig.take_messages()
    kinds = [rig.ground.received[number][0] for number in rig.ground.order]
    eq(kinds[:2], [message.JSON_EVENT, message.SCHEMA])  # the note of the start
    blocks = [
        rig.ground.received[n][1]
        for n in rig.ground.order
        if rig.ground.received[n][0] == message.ROWS
    ]
    width = len(rig.log._schema.entries)
    seqs = []
    for data in blocks:
        found = block.decode(data, width)
        eq(found.schema, rig.log._schema.number)
        seqs.append((found.seq, len(found.columns[0])))
    eq([seq + count for seq, count in seqs][:-1], [seq for seq, _ in seqs][1:])
    eq(len(rig.agent.telemetry.queue), 0)


def test_blocks_have_the_points_of_the_components():
    raw = config()
    raw["cooling"] = {"facility": "valve"}
    rig = LogRig(raw=raw, models=make_models())
    rig.run(65)
    births = [body for _, topic, body in rig.broker.published if topic.endswith("/state")]
    eq(births, [b'{"online":true,"log":true}'])
    rig.take_messages()
    names = [entry[0] for entry in rig.log._schema.entries]
    eq(names[-2:], ["ValveHolderRank", "PumpHolderRank"])
    received = [rig.ground.received[number] for number in rig.ground.order]
    blocks = [record[1] for record in received if record[0] == message.ROWS]
    found = block.decode(blocks[-1], len(names))
    eq(found.columns[-2:], [[10] * 10, [10] * 10])


def test_connect_subscribe_and_first_message_in_one_flight():
    rig = LogRig()
    rig.broker.is_silent = True
    rig.run(20)
    rig.broker.published, rig.broker.topics = [], []
    rig.deliver("event", BROKER, "closed")
    flights = []
    usual = rig.perform

    def act(port, op, data):
        if port == BROKER and op == "write":
            flights.append((rig.now, data[0] >> 4))
        usual(port, op, data)

    rig.perform = act
    rig.run(3)
    first = [kind for at, kind in flights if at == flights[0][0]]
    eq(first[0], 1)
    assert 3 in first
    assert 8 in first
    eq([topic for topic in rig.broker.topics if topic.endswith("/ack")], ["coldloop/v1/s1/u1/ack"])


def test_alarms_and_live_before_the_backlog_after_an_outage():
    rig = LogRig()
    rig.run(5)
    rig.absent.add(BROKER)
    rig.deliver("event", BROKER, "closed")
    rig.run(100)
    rig.take_messages()
    rig.devices.registers[1][4] = 1  # a leak
    rig.run(3)
    rig.absent.clear()
    rig.run(40)
    order = []
    for packed in rig.take_messages():
        order.extend([number & 3 for number in numbers(packed)])
    first_bulk = order.index(BULK)
    assert ALARM in order[:first_bulk]
    eq(order[:first_bulk].count(ALARM), order.count(ALARM))
    rig.run(20)
    rig.take_messages()
    assert LIVE in [number & 3 for number in rig.ground.order]


def test_queued_blocks_are_compacted_without_loss():
    rig = LogRig(segment_bytes=1024)
    rig.run(5)
    rig.absent.add(BROKER)
    rig.deliver("event", BROKER, "closed")
    rig.run(600)
    rig.absent.clear()
    rig.run(60)
    kinds = []
    for packed in rig.take_messages():
        kinds.extend([kind for _, kind, _ in message.parse_message(packed)[1]])
    assert kinds.count(message.MERGED) >= 2, kinds
    rig.run(20)
    rig.take_messages()
    eq(rig.log.record_store.class_indexes[BULK].unacked_count(), 0)
    assert len(rig.flash.records) < 10
    seqs = []
    for number in rig.ground.order:
        kind, payload = rig.ground.received[number]
        if kind == message.ROWS:
            found = block.decode(payload, len(rig.log._schema.entries))
            seqs.extend([found.seq + i for i in range(len(found.columns[0]))])
    eq(sorted(seqs), list(range(1, len(seqs) + 1)))
    assert len(seqs) > 640, len(seqs)


def test_few_messages_in_flight_while_broker_is_slow():
    rig = LogRig()
    rig.broker.acknowledges = False
    for i in range(20):
        rig.log.record_store.append(BULK, message.JSON_EVENT, b"%d" % i * 700, rig.now)
        rig.run(0.05)
    rig.run(1)
    eq(len([1 for _, topic, _ in rig.broker.published if topic.endswith("/tele")]), 2)


def test_messages_without_receipt_are_sent_again():
    rig = LogRig()
    rig.hold = True
    rig.run(20)
    rig.take_messages()
    before = len(rig.ground.order)
    assert before
    rig.run(75)
    rig.hold = False
    rig.take_messages()
    assert rig.ground.duplicates >= before
    rig.run(20)
    rig.take_messages()
    eq(rig.log.record_store.class_indexes[ALARM].unacked_count(), 0)


def test_relay_without_schema_gets_it_again():
    rig = LogRig()
    rig.run(20)
    rig.take_messages()
    count = len(
        [1 for number in rig.ground.order if rig.ground.received[number][0] == message.SCHEMA]
    )
    for _ in range(3):
        reply = receipt.Receipt(rig.log.record_store.generation, receipt.SCHEMA_MISSING, [])
        rig.log.sender.on_receipt(receipt.build_receipt(reply, "s1/u1", b""), rig.now)
        rig.run(10)
    rig.run(60)
    rig.take_messages()
    again = len(
        [1 for number in rig.ground.order if rig.ground.received[number][0] == message.SCHEMA]
    )
    eq((count, again), (1, 2))


def test_restart_does_not_repeat_the_schema():
    rig = LogRig()
    rig.run(20)
    rig.take_messages()
    flash, ground = rig.flash, rig.ground
    again = LogRig(flash)
    again.ground = ground
    again.run(20)
    again.take_messages()
    kinds = [ground.received[number][0] for number in ground.order]
    eq(kinds.count(message.SCHEMA), 1)
    assert kinds.count(message.ROWS) >= 2


def test_clock_steps_of_a_year_neither_reorder_nor_expire():
    rig = LogRig(live_ttl_s=3600, bulk_ttl_s=3600)
    year = 365 * 86400 * SECOND
    for step in (0, year, -2 * year, year):
        offset = rig.agent.clock.offset or 0
        rig.agent.clock.offset = offset + step
        rig.run(15)
        rig.take_messages()
    eq(sum([class_index.expired for class_index in rig.log.record_store.class_indexes]), 0)
    seqs = []
    for number in rig.ground.order:
        kind, payload = rig.ground.received[number]
        if kind == message.ROWS:
            seqs.append(block.decode(payload, len(rig.log._schema.entries)).seq)
    eq(seqs, sorted(seqs))
    assert len(seqs) >= 4


def test_status_shows_unsaved_data_age():
    rig = LogRig()
    max_age_s = 0
    for _ in range(30):
        rig.run(1)
        max_age_s = max(max_age_s, rig.log.unsaved_age_s(rig.now))
    assert 8 <= max_age_s <= 11, max_age_s
    shown = dict(rig.log.status(rig.now).pairs)
    eq((shown["ready"], shown["failures"]), (True, 0))


def test_summaries_are_sent_live_while_rows_are_queued():
    rig = LogRig(rows="bulk", summary_s=10, summary_rows=2, summary_bounds=1)
    rig.run(90)
    rig.take_messages()
    kinds = [(number & 3, rig.ground.received[number][0]) for number in rig.ground.order]
    assert kinds.count((LIVE, message.SUMMARY)) >= 3
    assert (LIVE, message.ROWS) not in kinds
    eq(kinds.count((ALARM, message.SCHEMA)), 2)
