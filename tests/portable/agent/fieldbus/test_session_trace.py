# SPDX-License-Identifier: Apache-2.0
"""Recorded requests of two device sessions on one bad line, for fixed pseudo-random faults.

They do not say that the requests are right; the other tests of the bus and of this folder do. See
`tests.portable.agent.control.law.test_traces`. After an intended change of the bus or of the
sessions, write the new record from the root of the repository:

    python -m tests.portable.agent.fieldbus.test_session_trace
"""

from agent.core.config_records import DeviceConfig
from agent.fieldbus.capacity import make_poll_plans
from agent.fieldbus.device_session import DeviceSession
from drivers.device.profile import DeviceProfile
from drivers.modbus.bus import Bus
from drivers.modbus.wire_time import WireTime
from protocols.modbus.crc import with_crc
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.agent.control.law.trace_tools import Noise
from tests.portable.agent.fieldbus.session_rig import FakeDrive, profile_json
from tests.portable.support.check import eq

MODULUS = 999_983


def profile():
    points = profile_json()["points"]
    points[1]["ramp"] = 20
    points.append({"name": "Mode", "address": 30, "type": "u16", "unit": "1", "write": True})
    points[-1].update({"limits": [0, 9], "verify": "none", "read": False})
    points.append({"name": "Watchdog", "address": 13, "type": "u16", "unit": "1", "write": True})
    points[-1]["limits"] = [0, 5]
    for i in range(3):
        name = "Energy%d" % i
        points.append({"name": name, "address": 500 + 200 * i, "type": "u16", "unit": "kW.h"})
        points[-1]["poll"] = "slow"
    return profile_json(
        points=points,
        periods={"fast": 1000, "slow": 7000},
        watchdog={"point": "Watchdog", "value": 2, "period_ms": 6000},
        identity=[{"function": 3, "address": 40, "words": [77]}],
    )


class BadLine:
    """Two sessions, their drives, and faults that a pseudo-random number selects."""

    def __init__(self, framing="rtu", baud=19200):
        self.bus = Bus(4, framing, baud, 11, timeout_us=150_000)
        self.bus.event("opened", 0)
        self.noise, self.now, self.replies = Noise(), 0, []
        self.sessions, self.drives = [], {}
        for number, unit in enumerate((9, 21)):
            config = DeviceConfig("pump%d" % unit, "bus", unit, DeviceProfile(profile()))
            plans = make_poll_plans(config.profile, WireTime(baud, 11), True)
            self.sessions.append(DeviceSession(number, config, self.bus, plans))
            self.drives[unit] = drive = FakeDrive()
            drive.table = {40: 77, 4: unit}
        self.total, self.count = [0] * 8, 0

    def add(self, *values):
        """Add integers to the record."""
        for value in values:
            i = self.count % 8
            self.total[i] = (self.total[i] * 31 + int(value) + 7) % MODULUS
            self.count += 1

    def cycle(self, fault):
        self.bus.expect_cycle(self.now + SECOND)
        for session in self.sessions:
            session.poll(self.now, SECOND)
        end = self.now + SECOND
        while True:
            self.replies.sort()
            at = self.replies[0][0] if self.replies else end
            due = min(self.bus.deadline(), at)
            if due >= end:
                break
            self.now = max(self.now, due)
            if self.replies and at <= self.now:
                self.bus.receive(self.replies.pop(0)[1], self.now)
            else:
                self.bus.wake(self.now)
            for _, op, frame in self.bus.outbox():
                self.add(self.now // 1000, len(op), *frame)
                if op == "write":
                    self.answer(frame, fault)
            for result in self.bus.take_results():
                self.add(result.tag.session, result.tag.block, result.code, *result.values)
                self.sessions[result.tag.session].handle_result(result)
        self.now = end
        self.observe()

    def answer(self, frame, fault):
        drive, draw = self.drives[frame[0]], self.noise.below(8)
        reply = drive.answer(frame)
        delay = (len(frame) + len(reply)) * 573 + self.noise.below(9) * MILLISECOND
        if fault == "silent" or (fault == "lossy" and draw < 3):
            return
        if fault == "late" and draw < 3:
            delay += 200 * MILLISECOND
        if fault == "noise" and draw < 3:
            reply = reply[:-1] + bytes((reply[-1] ^ 1,))
        if fault == "other" and draw < 3:
            reply = with_crc(bytes((frame[0] ^ 1,)) + reply[1:-2])
        if fault == "pieces":
            self.replies.append((self.now + delay // 2, reply[:3]))
            reply = reply[3:]
        if fault == "twice" and draw < 3:
            self.replies.append((self.now + delay + 20_000, reply))
        self.replies.append((self.now + delay, reply))

    def observe(self):
        bus = self.bus
        for session in self.sessions:
            self.add(session.lost, session.silent_cycles, session.answered_at // 1000)
            self.add(session.transactions, session.errors, session.write_unverified)
            self.add(len(session.write_error), session.identity_mismatch, session.block_count)
            self.add(session.polls_complete(), bus.unit_health(session.unit).offline)
            for reading in session.device.readings:
                self.add(reading.raw, len(reading.quality))
        self.add(bus.transactions, bus.errors, bus.timeouts, bus.invalid_replies)
        self.add(bus.retries, bus.premature, bus.probes, bus.busy_us, bus.pending_count)


FAULTS = ("", "lossy", "late", "noise", "", "twice", "other", "pieces", "silent", "")


def run(cycles):
    """Return the record of a run in which each fault lasts five cycles."""
    line = BadLine()
    first, second = line.sessions
    for i in range(cycles):
        fault = FAULTS[i // 5 % len(FAULTS)]
        drive = line.drives[9]
        drive.holes = [2] if 30 < i < 34 or i > 120 else []
        drive.rejects_all, drive.ignores_writes = 60 < i < 66, 70 < i < 84
        drive.busy = 2 if i % 17 == 0 else 0
        if i in (90, 100):
            drive.table[40] = 78 if i == 90 else 77
        if i % 4 == 1:
            value, count = first.ramp_limited(1, float(line.noise.below(101)))
            line.add(count, value)
            first.request_outputs([(0, 1), (1, count)])
        if i % 9 == 5:
            first.request_outputs([(0, 0), (1, 0)], stop=True)
        if i % 6 == 2:
            second.request_outputs([(3, i % 10), (1, i % 50)])
        if i % 31 == 30:
            second.withhold_outputs()
        if i % 40 == 39:
            first.request_outputs([(0, 12)])
        if i % 50 == 49:
            line.bus.event("closed", line.now)
            for result in line.bus.take_results():
                line.sessions[result.tag.session].handle_result(result)
            line.bus.event("opened", line.now)
            first.reset()
        line.cycle(fault)
    return line.total


RECORD = [966792, 26104, 164003, 224811, 10790, 575615, 782371, 292444]


def test_a_bad_line():
    eq(run(160), RECORD)


if __name__ == "__main__":
    print("RECORD =", run(160))
