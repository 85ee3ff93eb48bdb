# SPDX-License-Identifier: Apache-2.0
"""A unit for the interlock without a bus and without loops: each reading is an attribute."""

from agent.safety.interlock import Interlock
from protocols.time_units import SECOND
from tests.portable.agent.safety.fake_row import UNIT_POINTS, SessionOfPoints, UnitOfSessions


class DeviceOfBits:
    """A device with bits: the names of those that are on."""

    def __init__(self, name):
        self.name, self.lost, self.on = name, False, ()
        self.device = self

    def is_bit_on(self, bit):
        return bit in self.on


class FixedReading:
    """A sensor, a valve and a pump: its value is that of the test."""

    def __init__(self, value=None):
        self.shown = value

    def value(self, now):
        return self.shown

    def position(self):
        return self.shown

    def speed(self):
        return self.shown


class ClaimRecorder:
    """An arbiter that records the claims of a cycle."""

    def __init__(self):
        self.claims = []

    def claim(self, rank, owner, kind, output, reason):
        self.claims.append((rank, owner, kind, output, reason))


class FakeLoop:
    """A loop: its sensor, its set-point and its target, its valve and its pumps."""

    def __init__(self, value):
        self.sensor, self.setpoint, self.target = FixedReading(value), 32.0, 32.0
        self.valve = FixedReading(41.26)
        self.pumps = [FixedReading(70.0), FixedReading()]


class PressureSection:
    """The section of the pressure loop."""

    sensor = "cdu"
    setpoint, min_pct, safe_pct = 80.0, 15.0, 80.0


class FakeUnit(UnitOfSessions):
    """The agent as the component `safety` sees it."""

    def __init__(self, inputs, limits=None, **settings):
        self.unit, self.panel = SessionOfPoints("cdu", UNIT_POINTS), DeviceOfBits("panel")
        UnitOfSessions.__init__(self, self.unit, [], [self.panel, DeviceOfBits("roof")])
        self.pressure = PressureSection()
        self.supply_loop, self.pressure_loop = FakeLoop(32.04), FakeLoop(-0.96)
        self.return_sensor = FixedReading(44.0)
        self.arbiters = {"valve": ClaimRecorder(), "pumps": ClaimRecorder()}
        self.limits = limits
        self.now = 10 * SECOND
        section = {"overheat_c": 55.0, "overheat_s": 2.0, "dry_run_kpa": 10.0, "dry_run_s": 3.0}
        section.update({"flow_lpm": 150.0, "inputs": inputs}, **settings)
        self.interlock = Interlock(self, section, 7)
        self.interlock.start(self.now)
        self.interlock.start_permit.missing = []  # it has run

    def service(self, name):
        assert name == "load_limits", name
        return self.limits

    def step(self, seconds=1.0):
        """Run one cycle later. Return the claims of valve and pumps."""
        self.now += int(seconds * SECOND)
        self.unit.answer(self.now, 32.0, 150.0, 280.0, 200.0)
        return self.claims_of(self.interlock.before_control)

    def claims_of(self, call):
        for arbiter in self.arbiters.values():
            arbiter.claims = []
        call(self.now, 1.0)
        return self.arbiters["valve"].claims, self.arbiters["pumps"].claims

    def conditions(self):
        """Return the codes of the active conditions."""
        found = self.interlock.active_conditions(self.now)
        return [record.code + ":" + source for record, source, _ in found]
