# SPDX-License-Identifier: Apache-2.0
"""Differential pressure loop: lead and lag pump, fail-safe speed, no stop without a cause."""

from agent.control.actuator.arbiter import Arbiter
from agent.control.actuator.pump import PumpActuator
from agent.control.loop.pressure_loop import PressureLoop
from agent.core.actuator import AT_LEAST, INTERLOCK
from agent.fieldbus.sensor import pressure_sensor
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import RUN, STOP, FieldbusRig, config
from tests.portable.support.check import eq

TRIP = 8


class PressureBench:
    def __init__(self, pumps=2):
        raw = config()
        raw["control"]["dp"]["pumps"] = ["lead", "lag"][:pumps]
        self.bench = bench = FieldbusRig(raw)
        self.names = raw["control"]["dp"]["pumps"]
        made = [PumpActuator(bench.session(name)) for name in self.names]
        sensor = pressure_sensor(bench.session("cdu"), 5 * SECOND)
        self.arbiter = Arbiter()
        self.loop = PressureLoop(bench.config.pressure, sensor, made, self.arbiter)
        self.set_dp(1000)
        self.set_drive("lead", RUN, 8000)
        self.set_drive("lag", STOP, 0)

    def set_dp(self, tenths):
        self.bench.read("cdu", 320, 400, 2000 + tenths, 2000, 0)

    def set_drive(self, name, word, raw, status=0):
        self.bench.read(name, word, raw, status, raw if word == RUN else 0)

    def apply_requests(self):
        """Set the registers of the drives to the requested values."""
        for name in self.names:
            requested = self.bench.requested(name)
            if requested and not self.bench.session(name).lost:
                self.set_drive(name, requested["ControlWord"], requested["SpeedControlPercent"])

    def step(self, tenths=1000, apply=True):
        self.bench.now += SECOND
        self.set_dp(tenths)
        self.loop.step(self.bench.now, 1.0)
        speeds = self.speeds()
        if apply:
            self.apply_requests()
        return speeds

    def speeds(self):
        """Return the requested speed of each pump, percent; 0 is a stop."""
        found = []
        for name in self.names:
            requested = self.bench.requested(name)
            run = requested.get("ControlWord") == RUN
            found.append(requested["SpeedControlPercent"] / 200 if run else 0)
        return found

    def lose_device(self, name):
        for _ in range(4):
            self.bench.no_reply(name)
        assert self.bench.session(name).lost


def test_start_is_bumpless():
    made = PressureBench()
    eq(made.step(), [40.0, 0])
    both = PressureBench()
    both.set_drive("lag", RUN, 8000)
    eq(both.step(), [40.0, 40.0])  # a restart of the agent does not stop a pump


def test_low_dp_raises_speed_within_the_rate_limit():
    made = PressureBench()
    made.step()
    low = [made.step(800)[0] for _ in range(4)]
    assert 40 < low[0] < low[1] < low[2], low
    assert max([b - a for a, b in zip([40] + low, low)]) <= 5.0 + 0.01
    for _ in range(60):
        high = made.step(1500)
    eq(high, [25.0, 0])


def test_without_a_reading_every_pump_runs_at_the_safe_speed():
    made = PressureBench()
    made.step()
    eq((made.step(16001), made.loop.at_fail_safe), ([80.0, 80.0], True))
    made = PressureBench()
    made.step()
    made.bench.now += 6 * SECOND
    made.loop.step(made.bench.now, 1.0)
    eq((made.speeds(), made.loop.at_fail_safe), ([80.0, 80.0], True))


def test_running_pumps_continue_when_readings_return():
    made = PressureBench()
    made.step()
    made.step(16001)
    eq(made.step(), [80.0, 80.0])
    assert not made.loop.at_fail_safe


def test_staging_timer_restarts_after_a_loss():
    made = PressureBench(1)
    for _ in range(20):
        made.step(500)  # at its limit; after 9 more seconds it would start the lag pump
    made.loop.lag_running, made.loop._stage_since = False, made.bench.now - 8 * SECOND
    made.step(16001)
    made.set_drive("lead", RUN, 20000)
    eq(made.step(500), [100.0])
    assert not made.loop.lag_running


def test_lag_pump_replaces_tripped_lead_and_returns_duty():
    made = PressureBench()
    made.step()
    made.set_drive("lead", RUN, 0, TRIP)
    speeds = made.step(apply=False)
    eq(speeds[0], 0)
    assert speeds[1] >= 25, speeds
    made.set_drive("lead", STOP, 0)
    made.set_drive("lag", RUN, 8000)
    speeds = made.step()
    assert speeds[0] >= 25, speeds
    eq(speeds[1], 0)


def test_lag_pump_replaces_lost_lead():
    made = PressureBench()
    made.step()
    made.lose_device("lead")
    speeds = made.step(apply=False)
    eq(speeds[0], 0)
    assert speeds[1] >= 25, speeds


def test_both_pumps_are_commanded_when_both_are_lost():
    made = PressureBench()
    made.step()
    made.lose_device("lead")
    made.lose_device("lag")
    speeds = made.step(apply=False)
    assert speeds[0] == speeds[1] >= 25, speeds
    made.bench.bus.event("opened", made.bench.now)  # the queued requests are lost
    for session in made.bench.fieldbus.sessions:
        writes = session._write_cycle
        writes._write_active = writes._superseded = False
    made.step(500, apply=False)
    for job in made.bench.bus._urgent:
        eq(job.pdu[6:8], b"\x04\x7f")  # no stop between, because a pump could execute it


def test_lag_pump_starts_after_ten_seconds_at_the_limit_and_stops():
    made = PressureBench()
    seconds = 0
    while made.step(500)[0] < 100:
        seconds += 1
        assert seconds < 60
    alone = 0
    while made.step(500)[1] == 0:
        alone += 1
        assert alone < 60
    eq(alone, 9)  # the second in which the trip is detected also counts
    eq(made.speeds(), [100.0, 100.0])
    below = 0
    while made.step(1100 if below < 20 else 1000)[1] > 0:
        eq(made.speeds()[1], made.speeds()[0])
        below = below + 1 if made.speeds()[0] < 55 else 0
        assert below < 300
    eq(below, 120)


def test_short_dip_does_not_start_the_lag_pump():
    made = PressureBench()
    for _ in range(20):
        made.step(500)
    made.loop.lag_running, made.loop._stage_since = False, None
    for _ in range(4):
        for _ in range(8):
            made.step(500)
        for _ in range(4):
            made.step(1600)
    assert not made.loop.lag_running


def test_one_pump_alone():
    made = PressureBench(1)
    eq(made.step(), [40.0])
    for _ in range(40):
        speeds = made.step(500)
    eq(speeds, [100.0])
    eq(made.step(16001), [80.0])
    made.set_drive("lead", RUN, 0, TRIP)
    assert made.step(apply=False)[0] > 0  # there is no other pump


def test_new_tuning_applies_without_a_step_of_the_output():
    made = PressureBench()
    made.set_drive("lag", RUN, 8000)
    eq(made.step(), [40.0, 40.0])
    raw = config()
    raw["control"]["dp"].update(
        {"setpoint_kpa": 110, "gain_pct_per_kpa": 1, "integral_s": 10, "rate_pct_per_s": 50}
    )
    raw["control"]["dp"].update({"min_pct": 30, "max_pct": 70, "safe_pct": 65})
    made.loop.set_tuning(FieldbusRig(raw).config.pressure)
    eq(made.loop.setpoint, 110)
    eq(made.step()[0], 41.0)  # 10 kPa too low: from 40, and 10 * 1 / 10 s of integral
    eq(made.step(900)[0], 53.0)  # 20 kPa: 10 more, and 2 of integral
    eq([made.step(0)[0], made.step(2500)[0]], [70.0, 30.0])
    eq(made.step(16001), [65.0, 65.0])
    made.loop.set_setpoint(90.0)
    made.loop.set_tuning(FieldbusRig(config()).config.pressure)
    eq((made.loop.setpoint, made.loop.config.setpoint), (90.0, 100))


def raise_speed(made, seconds, tenths=1000):
    """Hold a lower bound of 100 % for `seconds`, as the protection does without flow."""
    for _ in range(seconds):
        made.arbiter.begin_cycle()
        made.arbiter.claim(INTERLOCK, "protection", AT_LEAST, 100.0, "no flow")
        speeds = made.step(tenths)
    made.arbiter.begin_cycle()
    return speeds


def settle(made, speed, is_alone):
    """Hold the set-point at about `speed`, percent, until one pump runs alone, or 10 min."""
    for second in range(600):
        low = made.speeds()[0] < speed
        found = made.step(980 if low else 1020)
        if is_alone(found):
            return second
    return None


def test_lag_pump_that_a_bound_started_stops_when_one_pump_had_been_enough():
    made = PressureBench()
    settle(made, 70.0, lambda speeds: 69 < speeds[0] < 71)
    eq(raise_speed(made, 10), [100.0, 100.0])
    settle(made, 65.0, lambda speeds: speeds[0] < 71)
    taken = settle(made, 65.0, lambda speeds: speeds[1] == 0)
    assert 120 <= (taken or 0) <= 150, taken
    assert made.speeds()[0] > 60  # above the speed at which two pumps always become one


def test_lag_pump_stays_if_two_pumps_need_more_speed_than_one_alone_before():
    made = PressureBench()
    settle(made, 70.0, lambda speeds: 69 < speeds[0] < 71)
    raise_speed(made, 10)
    eq(settle(made, 80.0, lambda speeds: speeds[1] == 0), None)  # the filter is clogged


def test_lag_pump_does_not_alternate_if_one_pump_is_not_enough():
    made = PressureBench()
    settle(made, 70.0, lambda speeds: 69 < speeds[0] < 71)
    for _ in range(60):
        made.step(500)  # the lead alone at its limit
    assert made.loop.lag_running
    eq(settle(made, 65.0, lambda speeds: speeds[1] == 0), None)
