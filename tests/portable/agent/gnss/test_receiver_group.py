# SPDX-License-Identifier: Apache-2.0
"""Component `receivers`: which receiver UTC follows, and that the bound contains true UTC."""

import json

from agent.agent import Agent
from agent.clock.estimate.error_budget import StatedErrors
from agent.clock.utc_clock import UtcClock
from agent.config.load import load
from agent.core.errors import ConfigError
from agent.core.json_writer import write
from agent.core.port_link import PortLink
from agent.gnss.group.component import ReceiverGroup
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import config, profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.reference_time import UTC, NoiseSource, ReferenceFix

LONG = (
    "test_main_receiver_with_a_false_time_is_outvoted",
    "test_true_utc_stays_in_the_bound_with_a_minority_of_faults",
    "test_silent_main_receiver_is_replaced_and_returns",
)

LATENCY_ERROR_MS = 10


class GroupConfig:
    """The settings of the agent that the group reads."""

    drift_ppb = 20_000
    tempco_ppb_per_c = 1_000
    position_e7 = None
    position_radius_m = 100
    clock_errors = (LATENCY_ERROR_MS * 1000, None, 0, 0)


class GroupContext:
    """The parts of the agent that the component needs."""

    def __init__(self):
        self.config = GroupConfig()
        self.clock = UtcClock(
            20_000, leap_known=True, stated=StatedErrors(*GroupConfig.clock_errors)
        )


class StubDriver:
    """Gives the fixes that a test has put in."""

    def __init__(self):
        self.fixes = []

    def receive(self, data, now):
        pass

    def take_fixes(self):
        fixes, self.fixes = self.fixes, []
        return fixes


class GroupRig:
    """Receivers under one sky. For each: `shift_us` (false time), `drag_us` a second, `silent`."""

    def __init__(self, count, seed=1, ppm=5.0):
        self.holder = GroupContext()
        self.clock = self.holder.clock
        settings = {"latency_ms": 50, "latency_error_ms": LATENCY_ERROR_MS}
        self.group = ReceiverGroup(self.holder, settings, -1)
        for i in range(1, count):
            self.group.add_link(PortLink(i, "receivers.r%d" % i, "serial:/dev/r%d?baud=9600" % i))
            self.group.members[i].driver = StubDriver()
            self.group.members[i].clock.leap.set_known()
        self.group.members[0].clock.leap.set_known()
        self.noise = NoiseSource(seed)
        self.ppm = ppm
        self.mono = 5_000_000
        self.second = 0
        self.shift_us = [0] * count
        self.drag_us = [0] * count
        self.silent = [False] * count
        self.worst_us = -SECOND
        self.group.start(self.mono)

    def run(self, seconds):
        for _ in range(seconds):
            self._send_fixes()
            for _ in range(10):
                self.mono += 100_000
                self.clock.slew(100_000, self.mono)
                self.group.tick(self.mono)
            self.mono += int(self.ppm)
            self.second += 1
            self._check_bound()

    def _send_fixes(self):
        for i in range(len(self.shift_us)):
            self.shift_us[i] += self.drag_us[i]
            if self.silent[i]:
                continue
            late = int(self.noise.exponential(8_000))
            utc = UTC + self.second * SECOND + self.shift_us[i]
            fix = ReferenceFix(utc, self.mono + late)
            if i:
                self.group.members[i].driver.fixes.append(fix)
                self.group.link_receive(i - 1, b"", self.mono + late)
            else:
                self.clock.add_fix(fix)

    def _check_bound(self):
        utc, bound = self.clock.utc(self.mono), self.clock.bound_us(self.mono)
        if utc is None or bound is None:
            return
        error = abs(utc - UTC - self.second * SECOND)
        self.worst_us = max(self.worst_us, error - bound)
        assert error <= bound, (self.second, error, bound, self.state())

    def state(self):
        return self.clock.state(self.mono)

    def alarms(self):
        return [source for _, source, _ in self.group.active_conditions(self.mono)]


def test_receivers_that_agree_change_nothing():
    for count in (2, 3):
        rig = GroupRig(count)
        rig.run(1_000)
        eq((rig.group.followed, rig.group.changes, rig.state(), rig.alarms()), (0, 0, "sync", []))


def test_main_receiver_with_a_false_time_is_outvoted():
    for step in (50 * SECOND, -400_000, 250_000, SECOND):
        rig = GroupRig(3)
        rig.run(900)
        rig.shift_us[0] = step
        rig.run(60)
        eq((rig.group.followed, rig.state(), rig.alarms()), (1, "sync", ["receiver"]))
        rig.shift_us[0] = 0
        rig.run(2_400)
        eq((rig.group.followed, rig.state(), rig.alarms()), (0, "sync", []))


def test_slow_drag_of_the_main_receiver_is_outvoted():
    rig = GroupRig(3)
    rig.run(900)
    rig.drag_us[0] = 1_000
    rig.run(600)
    eq((rig.group.followed, rig.state()), (1, "sync"))
    assert abs(rig.clock.utc(rig.mono) - UTC - rig.second * SECOND) < 50_000


def test_false_further_receiver_has_no_effect():
    rig = GroupRig(3)
    rig.run(900)
    rig.shift_us[1] = -18 * SECOND
    rig.run(120)
    eq((rig.group.followed, rig.state(), rig.alarms()), (0, "sync", ["receivers.r1"]))


def test_silent_main_receiver_is_replaced_and_returns():
    for count in (2, 3):
        rig = GroupRig(count)
        rig.run(900)
        rig.silent[0] = True
        rig.run(30)
        eq((rig.group.followed, rig.state(), rig.alarms()), (1, "sync", ["receiver"]))
        rig.run(600)
        eq(rig.state(), "sync")
        rig.silent[0] = False
        rig.run(700)
        eq((rig.group.followed, rig.state(), rig.alarms()), (0, "sync", []))


def test_two_receivers_that_disagree_make_the_clock_untrusted():
    rig = GroupRig(2)
    rig.shift_us[1] = 150_000
    rig.run(300)
    eq((rig.group.followed, rig.state()), (0, "untrusted"))
    assert rig.clock.bound_us(rig.mono) >= 150_000
    rig.shift_us[1] = 0
    rig.run(1_500)
    eq(rig.state(), "sync")


def test_impossible_rate_of_the_followed_receiver_is_noticed_by_its_own_clock():
    rig = GroupRig(2)
    rig.run(900)
    rig.drag_us[0] = 2_000
    rig.run(300)
    eq((rig.group.followed, rig.state()), (1, "sync"))


def test_false_receiver_does_not_replace_a_silent_one():
    rig = GroupRig(2)
    rig.run(900)
    rig.shift_us[1] = 3 * SECOND
    rig.silent[0] = True
    rig.run(60)
    eq((rig.group.followed, rig.state()), (0, "holdover"))


def test_further_receiver_sets_utc_when_the_main_one_is_dead_from_the_start():
    rig = GroupRig(2)
    rig.silent[0] = True
    rig.run(120)
    eq((rig.group.followed, rig.state()), (1, "sync"))


def test_pulses_are_those_of_the_main_receiver():
    rig = GroupRig(2)
    rig.run(900)
    rig.silent[0] = True
    rig.run(60)
    rig.clock.add_pulse(rig.mono)
    eq((rig.clock.pulses, rig.clock.associated_pulses, rig.clock.pps), (1, 0, None))


def test_true_utc_stays_in_the_bound_with_a_minority_of_faults():
    """Drawn: one of three receivers steps, drags or is silent; sometimes it changes in between."""
    noise = NoiseSource(11)
    for seed in range(12):
        rig = GroupRig(3, seed + 1, ppm=noise.below(30) - 15)
        rig.run(300 + noise.below(600))
        victim = noise.below(3)
        for _ in range(3):
            rig.shift_us[victim] += (noise.below(2_000) - 1_000) * 1_000 * noise.below(3)
            rig.drag_us[victim] = (noise.below(400) - 200) * 10 * noise.below(2)
            rig.silent[victim] = noise.below(4) == 0
            rig.run(120 + noise.below(300))
        eq(rig.state(), "sync")


def test_status():
    rig = GroupRig(3)
    rig.run(60)
    status = json.loads(write(rig.group.status(rig.mono)))
    eq(status["followed"], "receiver")
    eq([r["name"] for r in status["receivers"]], ["receiver", "receivers.r1", "receivers.r2"])


def test_section():
    raw = config()
    raw["receivers"] = {"ports": {"b": "serial:/dev/ttyS7?baud=4800"}, "latency_ms": 40}
    controller = Agent(load(raw, profiles()))
    controller.start(0)
    opened = [data for _, op, data in controller.outbox() if op == "open"]
    assert b"serial:/dev/ttyS7?baud=4800" in opened, opened
    for ports in ({"b": "ntp:10.0.0.2:123"}, {}, {"b": "serial:/a", "c": "serial:/a"}):
        raw["receivers"]["ports"] = ports
        raises(ConfigError, load, raw, profiles())
