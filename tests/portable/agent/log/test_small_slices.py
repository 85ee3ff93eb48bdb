# SPDX-License-Identifier: Apache-2.0
"""The log of a small board: a call reads, writes and sends a few records, whatever the log has."""

from agent.log import segment
from agent.log.component import LogComponent
from agent.log.record_store import SMALL_SLICE
from protocols.telemetry import message
from protocols.telemetry.message import ALARM, BULK, EVENT
from protocols.time_units import MILLISECOND
from tests.portable.agent.log.store_rig import payloads, settings
from tests.portable.support.agent_rig import AgentRig, config
from tests.portable.support.check import eq
from tests.portable.support.flash import GroundModel, LogFlash, LogLcg, LogUnit

SEGMENT = settings(bytes=65536, segment_bytes=8192)


class SmallUnit(LogUnit):
    """A log with small slices. `longest`: records that one call has read, written or sent."""

    longest = 0

    def start(self):
        LogUnit.start(self)
        self.record_store.records_per_slice = self.sender.max_records = SMALL_SLICE

    def counted(self, call, *arguments):
        """Call, and count the records that it has read or encoded."""
        calls = []
        read, encode = segment._record_at, segment.frame

        def read_one(*of):
            calls.append(1)
            return read(*of)

        def encode_one(*of):
            calls.append(1)
            return encode(*of)

        segment._record_at, segment.frame = read_one, encode_one
        try:
            return call(*arguments)
        finally:
            segment._record_at, segment.frame = read, encode
            self.longest = max(self.longest, len(calls))

    def step(self):
        did = self.counted(LogUnit.step, self)
        while self.record_store.is_scanning:
            self.counted(self.record_store.step, self.now)
            self.collect()
        return did


def fill(unit, count):
    for i in range(count):
        unit.append((ALARM, EVENT, BULK)[i % 3], b"%d " % i * 10)
    unit.run_until_idle()


def test_no_call_handles_more_than_a_slice():
    unit, ground = SmallUnit(LogFlash(), settings=SEGMENT), GroundModel()
    unit.run_until_idle()
    for _ in range(12):
        fill(unit, 30)
    unit.start()
    unit.run_until_idle()
    eq(unit.record_store.ready, True)
    unit.send(ground, 3000)
    eq(len(ground.order), 360)
    eq(len(payloads(ground, BULK)), 120)
    eq(unit.longest, SMALL_SLICE)


def test_a_message_has_the_records_of_a_slice():
    unit = SmallUnit(LogFlash(), settings=SEGMENT)
    unit.run_until_idle()
    fill(unit, 60)
    packed = unit.sender.next(3000)[1]
    while not packed:  # the store reads the segment first
        unit.step()
        packed = unit.sender.next(3000)[1]
    found = message.parse_message(packed)[1]
    eq(len(found), SMALL_SLICE)


def test_slices_change_nothing_else():
    """The same requests to the store and the same records, over starts and power cuts."""
    for seed in range(6):
        units = [kind(LogFlash(), settings=SEGMENT) for kind in (LogUnit, SmallUnit)]
        grounds = [GroundModel(), GroundModel()]
        for unit, ground in zip(units, grounds):
            rng = LogLcg(seed)
            unit.run_until_idle()
            for i in range(40):
                for _ in range(rng.below(4)):
                    unit.append((ALARM, EVENT, BULK)[rng.below(3)], b"%d " % i * rng.below(90))
                    unit.run_until_idle()
                if rng.below(9) == 0:
                    unit.append(EVENT, b"cut")
                    unit.cut_power(rng.below(256))
                unit.run_until_idle()
            unit.send(ground)
        eq(grounds[0].order, grounds[1].order)
        eq(grounds[0].received, grounds[1].received)


def test_a_failure_of_the_store_ends_a_scan():
    unit = SmallUnit(LogFlash(), settings=SEGMENT)
    unit.run_until_idle()
    fill(unit, 60)
    unit.start()
    while not unit.record_store.is_scanning:
        LogUnit.step(unit)
    unit.record_store.event("failed", unit.now)
    eq(unit.record_store.is_scanning, False)
    unit.record_store.event("opened", unit.now)
    unit.pending = []
    unit.run_until_idle()
    eq(unit.record_store.ready, True)


def test_a_small_board_encodes_one_column_a_slice_and_none_shortly_before_a_tick():
    raw = config()
    raw["log"] = {"port": "store:/log"}
    rig = AgentRig(raw)
    log = next(each for each in rig.agent.components if isinstance(each, LogComponent))
    log.use_small_slices()
    builder = log._builder
    builder.add([0] * len(builder.schema.entries), rig.now)
    builder.close_block()
    log._schedule_slice(rig.now)
    due = rig.agent.ticks.due = rig.now + 50 * MILLISECOND
    log.wake(log.deadline())
    eq((builder._next_column, log.deadline()), (0, due))
    rig.agent.ticks.due += 100 * MILLISECOND
    log.wake(due)
    eq(builder._next_column, 1)
