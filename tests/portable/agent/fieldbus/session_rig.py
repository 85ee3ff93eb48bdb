# SPDX-License-Identifier: Apache-2.0
"""A device session with its bus and a drive with a register table, in virtual time."""

from agent.core.config_records import DeviceConfig
from agent.fieldbus.capacity import make_poll_plans
from agent.fieldbus.device_session import DeviceSession
from drivers.device.profile import DeviceProfile
from drivers.modbus.bus import Bus
from drivers.modbus.wire_time import WireTime
from protocols.modbus.crc import with_crc
from protocols.time_units import SECOND

CYCLE = SECOND


def profile_json(**more):
    profile = {
        "model": "toy",
        "title": "A pump of the tests",
        "source": "made up",
        "met_hardware": False,
        "points": [
            {
                "name": "ControlWord",
                "address": 0,
                "type": "u16",
                "unit": "1",
                "write": True,
                "limits": [0, 9],
            },
            {
                "name": "SpeedControlPercent",
                "address": 1,
                "type": "u16",
                "unit": "%",
                "write": True,
                "limits": [0, 100],
            },
            {"name": "PumpSpeedPercent", "address": 4, "type": "u16", "unit": "%"},
        ],
    }
    profile.update(more)
    return profile


class FakeDrive:
    """A server with a register table; reads of `holes` are rejected.

    With `ignores_writes` it acknowledges and ignores writes. With `rejects_all` it answers every
    request with an exception.
    """

    def __init__(self):
        self.table = {}
        self.holes = []
        self.ignores_writes = False
        self.is_silent = False
        self.busy = 0
        self.rejects_all = False
        self.requests = []

    def answer(self, frame):
        self.requests.append((frame[1], frame[2] << 8 | frame[3], frame[4] << 8 | frame[5]))
        function, address, count = self.requests[-1]
        if self.busy:
            self.busy -= 1
            return with_crc(bytes((frame[0], function | 0x80, 6)))
        if self.rejects_all:
            return with_crc(bytes((frame[0], function | 0x80, 3)))
        if function not in (3, 6, 16):
            return with_crc(bytes((frame[0], function | 0x80, 1)))
        if function == 3:
            if [1 for hole in self.holes if address <= hole < address + count]:
                return with_crc(bytes((frame[0], 0x83, 2)))
            words = [self.table.get(address + i, 0) for i in range(count)]
            data = b"".join([bytes((w >> 8, w & 255)) for w in words])
            return with_crc(frame[:2] + bytes((2 * count,)) + data)
        if not self.ignores_writes:
            if function == 6:
                self.table[address] = count
            else:
                for i in range(count):
                    self.table[address + i] = frame[7 + 2 * i] << 8 | frame[8 + 2 * i]
        return with_crc(frame[:6])

    def writes(self):
        return [r for r in self.requests if r[0] not in (3, 8)]


class SessionRig:
    """A device session, its bus and its drive."""

    def __init__(self, profile=None):
        self.bus = Bus(4, "rtu", 19200, 11, timeout_us=200_000)
        self.bus.event("opened", 0)
        self.drive = FakeDrive()
        config = DeviceConfig("pump", "bus", 9, DeviceProfile(profile or profile_json()))
        plans = make_poll_plans(config.profile, WireTime(19200, 11), True)
        self.session = DeviceSession(0, config, self.bus, plans)
        self.now = 0
        self.pending_replies = []

    def cycle(self, count=1):
        for _ in range(count):
            self.bus.expect_cycle(self.now + CYCLE)
            self.session.poll(self.now, CYCLE)
            end = self.now + CYCLE
            while True:
                self.pending_replies.sort()
                due = self.bus.deadline()
                at = self.pending_replies[0][0] if self.pending_replies else end
                if min(due, at) >= end:
                    break
                self.now = max(self.now, min(due, at))
                if self.pending_replies and at <= due:
                    self.bus.receive(self.pending_replies.pop(0)[1], self.now)
                else:
                    self.bus.wake(self.now)
                for _, _, frame in self.bus.outbox():
                    if not self.drive.is_silent:
                        reply = self.drive.answer(frame)
                        delay = (len(frame) + len(reply)) * 573 + 5_000
                        self.pending_replies.append((self.now + delay, reply))
                for result in self.bus.take_results():
                    self.session.handle_result(result)
                if self.session.wants_poll:
                    self.session.send_early_poll()
            self.now = end
        return self

    def request(self, *values, stop=False):
        self.session.request_outputs(list(enumerate(values)), stop)
