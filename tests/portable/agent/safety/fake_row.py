# SPDX-License-Identifier: Apache-2.0
"""A unit for the protection without a bus: sessions with readings, pumps, alarms, load limits.

`DryRow` has a hydraulic model of two lines: the flow follows the faster pump, the pressure its
square. Faults are plain attributes.
"""

from protocols.time_units import MILLISECOND, SECOND

TICK = 100 * MILLISECOND


class RawReading:
    def __init__(self):
        self.raw, self.quality, self.read_at = 0, "none", 0


class RawScale:
    def __init__(self, denominator):
        self.numerator, self.denominator = 1, denominator


class SessionOfPoints:
    """A device session; `points`: (name, divisor) of its points. It is also its own device."""

    def __init__(self, name, points):
        self.name, self.names = name, [point for point, _ in points]
        self.device = self.profile = self
        self.points = [RawScale(denominator) for _, denominator in points]
        self.readings = [RawReading() for _ in points]
        self.pump = {"feedback": self.names[0]}
        self.failures = [0]
        self.transactions = self.answered_at = self.again = 0
        self.lost = False
        self.waits = False

    def point_index(self, point):
        return self.names.index(point)

    def has_point(self, point):
        return point in self.names

    def polls_complete(self):
        return not self.waits

    def poll_early(self):
        self.again += 1

    def answer(self, now, *values):
        """Take the values of all points, in their units; None: the point is bad."""
        for reading, point, value in zip(self.readings, self.points, values):
            reading.quality = "bad" if value is None else "good"
            reading.raw = 0 if value is None else int(value * point.denominator)
            reading.read_at = now
        self.answered_at, self.failures = now, [0]
        self.transactions += 1

    def fail(self):
        self.failures = [self.failures[0] + 1]
        self.transactions += 1


class PumpOfSession:
    def __init__(self, name):
        self.session = SessionOfPoints(name, [("PumpSpeedPercent", 100)])
        self.running, self.stalled, self.has_tripped = True, False, False
        self.is_last = self.is_first = False
        self.command_pct = 70.0

    def tripped(self):
        return self.has_tripped

    def set_stalled(self, stalled):
        self.stalled = stalled


class RecordedLimits:
    """Load limits that record the last orders."""

    def __init__(self):
        self.calls = []
        self.devices_warm = None
        self.is_proven = self.is_flow_needed = self.devices_cool = False

    def limit_all(self, reason):
        self.calls.append(("limit", reason))

    def shed_all(self, reason):
        self.calls.append(("shed", reason))

    def report_flow_seen(self, is_flow_seen):
        self.is_flow_seen = is_flow_seen

    def report_shut_branch(self, may_be_shut, is_shut, is_flow_little=False):
        self.is_flow_little = is_flow_little
        self.has_shut_branch, self.is_branch_shut = may_be_shut, is_shut

    def cap(self, permille, reason):
        self.calls.append(("cap", permille, reason))

    def proven_off(self):
        return self.is_proven

    def take(self):
        calls, self.calls = self.calls, []
        return calls


class RecordedAlarms:
    def __init__(self):
        self.calls, self.texts = [], []

    def update(self, record, source, is_active, now, text=""):
        self.calls.append((record.code, source, is_active, now))
        self.texts.append(text)


class SensorName:
    def __init__(self, sensor):
        self.sensor = sensor
        self.setpoint = 80.0


class UnitOfSessions:
    """The agent as the protection uses it."""

    def __init__(self, unit, pumps, others=()):
        self.sessions = [unit] + [pump.session for pump in pumps] + list(others)
        self.pumps, self.alarms = pumps, RecordedAlarms()
        self.config = self.fieldbus = self
        self.supply = self.pressure = SensorName(unit.name)

    def session(self, name):
        return next(session for session in self.sessions if session.name == name)


UNIT_POINTS = [
    ("SupplyTemperatureCelsius", 10),
    ("FlowLitersPerMinute", 10),
    ("SupplyPressurekPa", 10),
    ("ReturnPressurekPa", 10),
]


class DryRow:
    """Two pumps and a unit. `step` runs one tick; each device answers once a second."""

    def __init__(self, make, pump_count=2, limits=True, **settings):
        self.now = 10 * SECOND
        self.unit = SessionOfPoints("cdu", UNIT_POINTS)
        self.meter = SessionOfPoints("meter", [("VoltageVolts", 10)])
        self.pumps = [PumpOfSession("p%d" % i) for i in range(pump_count)]
        self.agent = UnitOfSessions(self.unit, self.pumps, [self.meter])
        self.limits = RecordedLimits() if limits else None
        self.protection = make(self.agent, dict({"flow_lpm": 150.0}, **settings))
        self.protection.use_limits(self.limits)
        self.speeds = [70.0, 0.0][:pump_count]
        self.pumps[-1].running = pump_count == 1
        self.flow_share = self.pressure_share = 1.0
        self.supply_c, self.volts = 32.0, 230.0
        self.flow_lie = self.pressure_lie = None
        self.silent = ()
        self.stopping = False
        self._again = [0] * 4

    def step(self, ticks=1):
        for _ in range(ticks):
            self.now += TICK
            sessions = [self.unit] + [pump.session for pump in self.pumps]
            for i, session in enumerate(sessions):
                if self.now // TICK % 10 == i or session.again > self._again[i]:
                    self._again[i] = session.again
                    self.poll(session)
            if self.now // TICK % 10 == 5:
                self.meter.answer(self.now, self.volts)
            self.protection.step(self.now, self.stopping)

    def poll(self, session):
        if session.name in self.silent:
            session.fail()
            session.lost = session.failures[0] > 3
            return
        session.lost = False
        if session is not self.unit:
            session.answer(self.now, self.speeds[int(session.name[1:])])
            return
        speed = max(self.speeds) / 70.0
        flow, kpa = 150.0 * speed * self.flow_share, 80.0 * speed * speed * self.pressure_share
        flow = flow if self.flow_lie is None else self.flow_lie
        kpa = kpa if self.pressure_lie is None else self.pressure_lie
        session.answer(self.now, self.supply_c, flow, 200.0 + kpa, 200.0)

    def codes(self):
        """Return the active conditions as texts."""
        found = self.protection.active_conditions()
        return [code.code + (":" + source if source else "") for code, source, _ in found]
