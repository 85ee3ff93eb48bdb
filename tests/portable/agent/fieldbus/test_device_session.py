"""One device in the agent, on a line in virtual time: plans that learn, writes that are seen."""

from agent.core.config_records import DeviceConfig
from agent.fieldbus.device_session import Station
from drivers.device.profile import Profile
from drivers.modbus.bus import Bus
from drivers.modbus.wire_time import Wire
from protocols.modbus.crc import sealed
from protocols.time_units import SECOND
from tests.portable.support.check import eq

CYCLE = SECOND


def raw(**more):
    given = {
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
    given.update(more)
    return given


class Drive:
    """A slave with a register table; `holes` refuse, `deaf` writes are acknowledged and ignored.

    `refusing`: it answers, to everything, that it has no such thing.
    """

    def __init__(self):
        self.table = {}
        self.holes = []
        self.deaf = False
        self.dead = False
        self.busy = 0
        self.refusing = False
        self.requests = []

    def answer(self, frame):
        self.requests.append((frame[1], frame[2] << 8 | frame[3], frame[4] << 8 | frame[5]))
        function, address, count = self.requests[-1]
        if self.busy:
            self.busy -= 1
            return sealed(bytes((frame[0], function | 0x80, 6)))
        if self.refusing:
            return sealed(bytes((frame[0], function | 0x80, 3)))
        if function == 3:
            if [1 for hole in self.holes if address <= hole < address + count]:
                return sealed(bytes((frame[0], 0x83, 2)))
            words = [self.table.get(address + i, 0) for i in range(count)]
            data = b"".join([bytes((w >> 8, w & 255)) for w in words])
            return sealed(frame[:2] + bytes((2 * count,)) + data)
        if not self.deaf:
            if function == 6:
                self.table[address] = count
            else:
                for i in range(count):
                    self.table[address + i] = frame[7 + 2 * i] << 8 | frame[8 + 2 * i]
        return sealed(frame[:6])

    def writes(self):
        return [r for r in self.requests if r[0] != 3]


class Row:
    """A station, its bus and its drive."""

    def __init__(self, profile=None):
        self.bus = Bus(4, "rtu", 19200, 11, timeout_us=200_000)
        self.bus.event("opened", 0)
        self.drive = Drive()
        config = DeviceConfig("pump", "bus", 9, Profile(profile or raw()))
        self.station = Station(0, config, self.bus, Wire(19200, 11), True)
        self.now = 0
        self.coming = []

    def cycle(self, count=1):
        for _ in range(count):
            self.bus.idle_until = self.now + CYCLE
            self.station.poll(self.now, CYCLE)
            end = self.now + CYCLE
            while True:
                self.coming.sort()
                due = self.bus.deadline()
                at = self.coming[0][0] if self.coming else end
                if min(due, at) >= end:
                    break
                self.now = max(self.now, min(due, at))
                if self.coming and at <= due:
                    self.bus.receive(self.coming.pop(0)[1], self.now)
                else:
                    self.bus.wake(self.now)
                for _, _, frame in self.bus.outbox():
                    if not self.drive.dead:
                        reply = self.drive.answer(frame)
                        took = (len(frame) + len(reply)) * 573 + 5_000
                        self.coming.append((self.now + took, reply))
                for result in self.bus.results():
                    self.station.result(result)
            self.now = end
        return self

    def want(self, *values, stop=False):
        self.station.want(list(enumerate(values)), stop)


def test_points_are_read_in_one_block_through_the_gap():
    row = Row()
    row.drive.table = {4: 37}
    row.cycle(2)
    eq(row.drive.requests, [(3, 0, 5)] * 2)
    eq((row.station.device.value(2), row.station.lost, row.station.settled()), (37.0, False, True))


def test_a_hole_is_learnt_and_the_readings_come():
    row = Row()
    row.drive.table = {4: 37}
    row.drive.holes = [2]
    row.cycle(4)
    eq(row.drive.requests, [(3, 0, 5)] + [(3, 0, 2), (3, 4, 1)] * 3)
    eq((row.station.device.value(2), row.station.lost), (37.0, False))


def test_a_write_is_made_seen_and_left_alone():
    row = Row().cycle()
    row.want(1, 50)
    row.cycle(5)
    eq((row.drive.table, row.drive.writes()), ({0: 1, 1: 50}, [(16, 0, 2)]))
    eq((row.station.stubborn, row.station._unseen), (False, 0))
    row.drive.table[1] = 0  # rebooted
    row.cycle(4)
    eq((row.drive.table[1], len(row.drive.writes())), (50, 2))


def test_a_write_that_is_not_seen_is_repeated_and_reported():
    row = Row().cycle()
    row.drive.deaf = True
    row.want(1, 50)
    row.cycle(4)
    assert not row.station.stubborn
    assert len(row.drive.writes()) >= 2
    row.cycle(10)
    assert row.station.stubborn
    row.drive.deaf = False
    row.cycle(5)
    assert not row.station.stubborn
    eq(row.drive.table, {0: 1, 1: 50})


def test_what_a_limit_forbids_is_not_sent():
    row = Row().cycle()
    row.want(1, 101)
    row.cycle(12)
    eq(row.drive.writes(), [])
    assert "101 is not 0 to 100" in row.station.refusal, row.station.refusal
    assert row.station.stubborn


def test_identity_comes_before_the_first_write():
    probe = {"identity": [{"function": 3, "address": 40, "words": [77]}]}
    row = Row(raw(**probe))
    row.drive.table = {40: 77}
    row.want(1, 50)
    row.cycle(4)  # wanted before it was heard: the loops may think again
    eq(row.drive.requests[0], (3, 40, 1))
    eq(row.drive.writes(), [(16, 0, 2)])
    eq((row.station.stranger, row.drive.table[1]), (False, 50))


def test_another_model_is_not_written_to_until_the_right_one_is_back():
    probe = {"identity": [{"function": 3, "address": 40, "words": [77]}]}
    row = Row(raw(**probe))
    row.drive.table = {40: 78, 4: 5}
    row.want(1, 50)
    row.cycle(6)
    eq((row.station.stranger, row.drive.writes()), (True, []))
    eq(row.station.device.value(2), 5.0)  # it is read all the same
    row.drive.dead = True
    row.cycle(6)
    assert row.station.lost
    row.drive.dead = False
    row.drive.table[40] = 77
    row.cycle(10)
    eq((row.station.stranger, row.drive.table[1]), (False, 50))


def test_a_device_that_refused_everything_for_a_while_is_written_to_again():
    probe = {"identity": [{"function": 3, "address": 40, "words": [77]}]}
    row = Row(raw(**probe))
    row.drive.table = {40: 77}
    row.want(1, 50)
    row.cycle(4)
    row.drive.refusing = True
    row.cycle(15)
    eq((row.station.stranger, row.station.lost), (True, True))
    row.drive.refusing = False
    row.want(1, 60)
    row.cycle(15)
    eq((row.station.stranger, row.station.lost, row.drive.table[1]), (False, False, 60))


def test_another_model_is_asked_again_seldom_and_never_written_to():
    probes = [{"function": 3, "address": a, "words": [77]} for a in (40, 41)]
    row = Row(raw(identity=probes))
    row.drive.table = {40: 77, 41: 78}
    row.want(1, 50)
    row.cycle(65)
    eq((row.station.stranger, row.drive.writes()), (True, []))
    asked = [r for r in row.drive.requests if r[1] in (40, 41)]
    assert 10 <= len(asked) <= 14, asked


def test_a_dead_device_costs_few_requests_and_is_written_to_when_back():
    row = Row().cycle(2)
    row.drive.dead = True
    row.cycle(3)
    row.want(1, 50)
    row.cycle(10)
    assert row.station.lost
    row.drive.dead = False
    row.cycle(10)
    eq((row.station.lost, row.drive.table[1]), (False, 50))


def test_a_busy_device_is_not_dead_and_gives_no_value():
    row = Row()
    row.drive.table = {4: 37}
    row.drive.busy = 3
    row.cycle(1)
    eq((row.bus.busy, row.bus.health(9).dead), (3, False))
    eq(row.station.device.value(2), 37.0)
    eq(row.station.device.readings[2].quality, "good")


def test_a_watchdog_is_kept_alive():
    points = raw()["points"] + [
        {
            "name": "Watchdog",
            "address": 13,
            "type": "u16",
            "unit": "1",
            "write": True,
            "limits": [0, 5],
        }
    ]
    row = Row(raw(points=points, watchdog={"point": "Watchdog", "value": 2, "period_ms": 4000}))
    row.cycle(20)
    kicks = [r for r in row.drive.writes() if r == (6, 13, 2)]
    assert 8 <= len(kicks) <= 19, len(kicks)


def test_slow_points_come_round_in_their_period():
    points = raw()["points"] + [
        {
            "name": "EnergyKwh",
            "address": 500 + 200 * i,
            "type": "u16",
            "unit": "kW.h",
            "poll": "slow",
        }
        for i in range(3)
    ]
    for i, point in enumerate(points[3:]):
        point["name"] += str(i)
    row = Row(raw(points=points, periods={"fast": 1000, "slow": 6000})).cycle(24)
    slow = [r for r in row.drive.requests if r[1] >= 500]
    assert 11 <= len(slow) <= 13, len(slow)
    eq(len([r for r in row.drive.requests if r[1] == 0]), 24)
