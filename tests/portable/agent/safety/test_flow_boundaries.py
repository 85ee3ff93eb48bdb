# SPDX-License-Identifier: Apache-2.0
"""Boundaries of the protection's readings: flow, pressure, drives, caps.

Each table has a value on both sides of a limit. The usual values of `usual` are 100 L/min and 80
kPa at 50 % speed.
"""

from agent.safety.drive_watch import DriveWatch
from agent.safety.flow_watch import FlowWatch
from agent.safety.protection import Protection
from agent.safety.raw_point import RawPoint, find_point, read
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.agent.safety.fake_row import DryRow, PumpOfSession, SessionOfPoints
from tests.portable.agent.safety.test_flow_watch import WatchedDrive
from tests.portable.support.check import eq, near

START = 100 * SECOND


def feed(watch, flow, kpa, speed=50.0, now=START, dt=1.0):
    drives = [] if speed is None else [WatchedDrive(speed), WatchedDrive()]
    watch.update(flow, kpa, drives, None, now, now, dt)


def feed_steady(watch, flow, kpa, speed=50.0):
    """Give readings that are steady for long enough to begin the means, until `START`."""
    for now in (START - 2 * SECOND, START):
        feed(watch, flow, kpa, speed, now)


def usual():
    watch = FlowWatch()
    feed_steady(watch, 100.0, 80.0)
    eq((watch._flow, watch._kpa, watch._speed, watch.usual_lpm), (100.0, 80.0, 50.0, 100.0))
    return watch


def test_low_flow():
    watch = usual()
    for flow, speed, low in (
        (50.0, 50.0, False),
        (49.9, 50.0, True),
        (49.9, 80.0, True),
        (50.0, 80.0, False),
        (49.9, None, True),
        (50.0, None, False),
        (25.0, 25.0, False),
        (24.9, 25.0, True),
        (15.1, 10.0, False),
        (14.9, 10.0, True),
        (None, 50.0, None),
    ):
        eq((flow, speed, watch._is_flow_low(flow, speed)), (flow, speed, low))
    watch = FlowWatch()
    eq([watch._is_flow_low(flow, 50.0) for flow in (0.9, 1.0, None)], [True, False, None])


def test_low_and_high_pressure():
    watch = usual()
    for kpa, flow, speed, low in (
        (20.0, 100.0, 50.0, False),
        (19.9, 100.0, 50.0, True),
        (20.0, 100.0, None, False),
        (19.9, 100.0, None, True),
        (5.0, 50.0, 25.0, False),
        (4.9, 50.0, 25.0, True),
        (2.41, 20.0, 10.0, False),
        (2.3, 20.0, 10.0, True),
        (20.0, 100.0, 80.0, False),
        (19.9, 100.0, 80.0, True),
        (125.0, 100.0, 50.0, False),
        (125.1, 100.0, 50.0, True),
        (125.1, None, 50.0, True),
        (125.1, 106.0, 50.0, True),
        (125.1, 106.4, 50.0, False),
        (312.1, 100.0, 80.0, False),
        (312.3, 100.0, 80.0, True),
        (400.0, 100.0, None, False),
        (10.0, 10.0, 5.0, False),
        (10.0, 10.0, 5.05, True),
        (None, 100.0, 50.0, None),
    ):
        eq((kpa, flow, speed, watch._is_dp_low(kpa, flow, speed)), (kpa, flow, speed, low))
    watch = FlowWatch()
    eq([watch._is_dp_low(kpa, 9.0, 50.0) for kpa in (0.9, 1.0, None)], [True, False, None])


def test_almost_no_flow():
    watch = usual()
    for flow, kpa, dp_low, is_gone in (
        (24.9, 80.0, False, True),
        (25.0, 80.0, False, False),
        (24.9, None, None, True),
        (24.9, 80.1, True, True),
        (24.9, 80.1, False, False),
        (25.0, 4.9, True, False),
        (None, 4.9, True, True),
        (None, 5.0, True, False),
        (None, None, None, False),
    ):
        eq((flow, kpa, watch._is_gone(flow, kpa, dp_low)), (flow, kpa, is_gone))
    eq(FlowWatch()._is_gone(100.0, 80.0, False), True)


def test_least_flow_is_the_higher_of_meter_and_pressure():
    watch = usual()
    for flow, kpa, expected in ((40.0, 20.0, 50.0), (60.0, 20.0, 60.0), (0.0, -1.0, 0.0)):
        near(watch.least_flow(flow, kpa), expected, 1e-3)
    eq((watch.least_flow(None, 20.0), watch.least_flow(40.0, None)), (None, None))
    watch._kpa = 0.0
    eq((watch.least_flow(40.0, 20.0), FlowWatch().least_flow(40.0, 20.0)), (None, None))


def test_dead_drives():
    watch = FlowWatch()
    dead, silent = WatchedDrive(None, True), WatchedDrive(None, True, True, START)
    for drives, expected in (
        ([], (0, False)),
        ([WatchedDrive(50.0)], (0, False)),
        ([dead, WatchedDrive(50.0)], (0, False)),
        ([dead], (1, False)),
        ([dead, dead], (2, False)),
        ([dead] * 4, (2, False)),
        ([silent, dead], (2, True)),
    ):
        eq(watch._dead_drives(drives, START + 1, START), expected)
    eq(watch._silent_since, START)
    for ms, unit_at, expected in (
        (2999, START, (0, True)),
        (2999, START + 1, (2, True)),
        (3000, START + 1, (0, True)),
    ):
        eq(watch._dead_drives([silent], unit_at, START + ms * MILLISECOND), expected)
    later = WatchedDrive(None, True, True, START + 5)
    eq(watch._dead_drives([silent, later], START + 5, START), (0, True))
    watch._dead_drives([WatchedDrive(50.0)], START, START)
    eq(watch._silent_since, None)


VALUES = (None, False, True)


def test_two_indications_or_the_only_one_are_a_loss():
    """All combinations, by the rule of the text: two, or all that is known."""
    for number in range(3 * 3 * 3 * 3 * 2):
        flow_low, dp_low = VALUES[number % 3], VALUES[number // 3 % 3]
        is_hot, dead = VALUES[number // 9 % 3], number // 27 % 3
        speed = 50.0 if number >= 81 else None
        watch = usual()
        watch._is_flow_low = lambda *_, found=flow_low: found
        watch._is_dp_low = lambda *_, found=dp_low: found
        watch._dead_drives = lambda *_, found=dead: (found, False)
        watch.update(100.0, 80.0, [WatchedDrive(speed)], is_hot, START, START, 0.0)
        signs = [flow_low, dp_low, is_hot]
        count = signs.count(True) + dead
        against = signs.count(False) + (speed is not None and dead == 0 and is_hot is not True)
        is_lost = count >= 2 or (count == 1 and against == 0)
        case = (flow_low, dp_low, is_hot, dead, speed)
        eq((case, watch.is_lost, watch.suspect), (case, is_lost, count > 0))
        eq((case, watch.is_gone), (case, is_lost and (is_hot is True or dead > 0)))


def test_a_false_reading_is_named_after_a_second():
    for flow, kpa, name in ((100.0, 300.0, "dp"), (100.0, 1.0, "dp"), (1.0, 80.0, "flow")):
        watch, seen = usual(), []
        for ms in (0, 999, 1000, 1001):
            feed(watch, flow, kpa, now=START + ms * MILLISECOND)
            seen.append(watch.outlier)
        eq(seen, ["", "", name, name])
        eq((watch.is_lost, watch.suspect), (False, True))
        feed(watch, 100.0, 80.0)
        eq((watch.outlier, watch._outlier_since), ("", None))
    watch = usual()
    for now in (START, START + 9 * SECOND):
        feed(watch, None, 1.0, now=now)
    eq(watch.outlier, "")


def test_before_the_first_usual_values_the_design_counts():
    for design_lpm, design_kpa, least_lpm, least_kpa in (
        (0.0, 0.0, 1.0, 1.0),
        (4.0, 20.0, 1.0, 1.0),
        (200.0, 100.0, 30.0, 3.0),
    ):
        watch = FlowWatch(design_lpm, design_kpa)
        found = [watch._is_flow_low(least_lpm + more, 50.0) for more in (-0.125, 0.125)]
        eq((design_lpm, found), (design_lpm, [True, False]))
        found = [watch._is_dp_low(least_kpa + more, 9.0, 50.0) for more in (-0.125, 0.125)]
        eq((design_kpa, found), (design_kpa, [True, False]))


def test_first_usual_values_need_flow_pressure_and_speed():
    for flow, kpa, speed in ((1.0, 80.0, 50.0), (100.0, 1.0, 50.0), (100.0, 80.0, 5.0)):
        watch = FlowWatch()
        feed_steady(watch, flow, kpa, speed)
        eq((watch._flow, watch.usual_lpm), (None, 0.0))
    watch = FlowWatch()
    feed_steady(watch, 100.0, 80.0, None)
    eq(watch._flow, None)
    feed_steady(watch, 1.01, 1.01, 5.01)
    eq((watch._flow, watch._kpa, watch._speed), (1.01, 1.01, 5.01))


def test_usual_values_begin_with_steady_readings():
    """A flow that ends, or begins, during a restart is not the usual one."""
    for flow, kpa, is_steady in (
        (110.9, 80.0, True),
        (90.1, 80.0, True),
        (111.2, 80.0, False),
        (89.9, 80.0, False),
        (100.0, 71.9, False),
        (100.0, 89.0, False),
        (100.0, 88.8, True),
    ):
        watch = FlowWatch()
        feed(watch, 100.0, 80.0, now=START - SECOND)
        feed(watch, flow, kpa, now=START)
        feed(watch, flow, kpa, now=START + SECOND)
        eq((flow, kpa, watch._flow), (flow, kpa, flow if is_steady else None))
        feed(watch, flow, kpa, now=START + 2 * SECOND)
        eq((flow, kpa, watch._flow), (flow, kpa, flow))


def test_a_flow_that_ends_during_a_restart_is_a_loss_at_its_least_value():
    watch = FlowWatch(150.0, 80.0)
    now = START
    for flow, kpa in ((55.1, 3.9), (40.0, 3.0), (30.0, 2.5), (17.1, 0.1)):
        eq((watch._flow, watch.is_lost), (None, False))
        now += SECOND
        feed(watch, flow, kpa, 70.0, now)
    eq((watch._flow, watch.is_lost), (None, True))
    for flow, kpa in ((60.0, 30.0), (100.0, 60.0), (150.0, 80.0), (150.0, 80.0), (150.0, 80.0)):
        now += SECOND
        feed(watch, flow, kpa, 70.0, now)
    eq((watch._flow, watch.outlier, watch.is_lost), (150.0, "", False))


def test_usual_values_are_means_of_half_a_minute():
    watch = usual()
    feed(watch, 110.0, 90.0, 60.0, dt=3.0)
    near(watch._flow, 101.0, 1e-3)
    near(watch._kpa, 81.0, 1e-3)
    near(watch._speed, 51.0, 1e-3)
    eq(watch.usual_lpm, watch._flow)
    feed(watch, 90.0, 70.0, 50.0, dt=60.0)
    eq((watch._flow, watch._kpa, watch._speed), (90.0, 70.0, 50.0))
    near(watch.usual_lpm, 101.0, 1e-3)
    feed(watch, 40.0, 70.0, 50.0, dt=60.0)  # suspect
    eq(watch._flow, 90.0)


def test_a_low_flow_is_the_usual_one_after_twenty_seconds():
    watch = usual()
    for ms in (0, 1, 10_000, 19_999):
        feed(watch, 40.0, 15.0, now=START + ms * MILLISECOND)
        eq((watch._flow, watch.is_lost, watch.is_gone), (100.0, True, False))
    feed(watch, 40.0, 15.0, now=START + 20_000 * MILLISECOND)
    eq((watch._flow, watch._kpa, watch.usual_lpm), (40.0, 15.0, 100.0))
    watch = usual()
    for seconds in range(60):
        feed(watch, 20.0, 15.0, now=START + seconds * SECOND)  # gone
    eq((watch._flow, watch.is_gone), (100.0, True))


def test_usual_values_without_a_speed_compare_the_pressure_itself():
    watch = usual()
    for seconds in (0, 21):
        feed(watch, 40.0, 15.0, None, START + seconds * SECOND)
    eq((watch._flow, watch._speed), (40.0, 0.0))
    for kpa, low in ((27.5, False), (27.6, True)):
        eq((kpa, watch._is_dp_low(kpa, 40.0, 50.0)), (kpa, low))


def pump_watch(running=True):
    pump = PumpOfSession("p0")
    pump.running = running
    return DriveWatch(pump), pump


def test_a_pump_that_stands_is_dead_after_four_tenths_of_a_second():
    drive, pump = pump_watch()
    found = []
    for ms, speed in ((0, 0.0), (400, 0.0), (401, 2.0), (402, 1.9)):
        pump.session.answer(START + ms * MILLISECOND, speed)
        drive.update(START + ms * MILLISECOND)
        found.append(drive.is_dead)
    eq(found, [False, False, False, True])


def test_a_pump_that_starts_again_has_its_time_again():
    drive, pump = pump_watch()
    found = []
    for seconds, runs, speed in ((0, True, 70.0), (9, False, 0.0), (20, True, 0.0)):
        pump.running = runs
        pump.session.answer(START + seconds * SECOND, speed)
        drive.update(START + seconds * SECOND)
        found.append(drive.is_dead)
    eq(found, [False, False, False])


def test_a_pump_that_had_failed_can_be_blocked_later():
    drive, pump = pump_watch()
    for seconds in (0, 11):
        pump.session.answer(START + seconds * SECOND, 70.0)
        drive.update(START + seconds * SECOND)
    drive.mark_failed(START + 11 * SECOND)
    later = START + 311 * SECOND
    pump.session.answer(later, 70.0)
    drive.update(later)
    eq((pump.stalled, drive.is_dead), (False, False))
    drive.mark_stalled(later)
    pump.running = False
    pump.session.answer(later + SECOND, 0.0)
    drive.update(later + SECOND)
    eq((pump.stalled, drive.is_dead), (True, True))


def test_a_pump_that_turns_again_is_not_blocked():
    drive, pump = pump_watch()
    found = []
    for ms, speed in ((0, 70.0), (100, 0.0), (200, 2.0), (240, 0.0), (389, 0.0), (390, 0.0)):
        pump.session.answer(START + ms * MILLISECOND, speed)
        if drive.update(START + ms * MILLISECOND):
            found.append(ms)
    eq(found, [390])


def test_a_blocked_pump_that_is_tried_again_has_its_time_to_start():
    drive, pump = pump_watch()
    found = []
    for seconds, speed in (
        (0, 70.0),
        (1, 0.0),
        (2, 0.0),
        (302, 0.0),
        (303, 0.0),
        (310, 0.0),
        (311, 0.0),
    ):
        pump.session.answer(START + seconds * SECOND, speed)
        if drive.update(START + seconds * SECOND):
            found.append(seconds)
    eq(found, [2, 311])


def test_the_mains_are_low_by_their_nominal_voltage():
    mains = {"device": "meter", "point": "VoltageVolts", "nominal_v": 400.0}
    for volts, codes in ((261.0, []), (260.0, []), (259.0, ["flow_low", "mains_low"])):
        made = DryRow(Protection, mains=mains)
        made.volts = volts
        made.step(100)
        eq((volts, made.codes()), (volts, codes))


def test_a_drive_turns_above_ten_percent():
    drive, pump = pump_watch()
    for speed, turns in ((10.0, False), (10.1, True), (10.0, False)):
        pump.session.answer(START, speed)
        drive.update(START)
        eq((speed, drive.is_spare), (speed, not turns))


def test_a_drive_is_silent_after_two_polls_or_when_lost():
    for failures, is_lost, expected in (
        ([1], False, False),
        ([1, 2], False, True),
        ([0], True, True),
    ):
        drive, pump = pump_watch()
        pump.session.answer(START, 70.0)
        pump.session.failures, pump.session.lost = failures, is_lost
        drive.update(START + 5)
        eq((drive.is_silent, drive.is_away, drive.is_dead), (expected,) * 3)
        eq(drive.silent_at, START + 5 if expected else 0)


def test_a_restored_stall_ends_by_turning_or_after_five_minutes():
    for ms, speed, stalled in ((299_999, 10.0, True), (300_000, 0.0, False), (1, 10.1, False)):
        drive, pump = pump_watch()
        drive.mark_stalled(START)
        eq(pump.stalled, True)
        now = START + ms * MILLISECOND
        pump.session.answer(now, speed)
        eq((drive.update(now), pump.stalled), (False, stalled))


def test_full_speed_is_claimed_again_after_a_loss_of_power():
    made = DryRow(Protection)
    made.step(400)
    made.silent = ("p0", "p1")
    made.step(25)
    eq((made.codes(), made.protection.pump_floor(made.now)), (["flow_low"], None))
    made.silent = ()
    made.step(100)
    eq(made.codes(), [])
    made.flow_share = made.pressure_share = 0.0
    made.step(20)
    eq((made.codes(), made.protection.pump_floor(made.now)), (["flow_low"], 100.0))


def test_caps_by_the_flow():
    made = DryRow(Protection, flow_lpm=200.0)
    protection = made.protection
    points = ((0, 300), (8, 300), (13, 440), (18, 580), (22, 670), (26, 760), (35.5, 880))
    for supply_c, share in ((32.0, 1.0), (None, 1.0), (31.0, 1.0), (58.5, 0.5)):
        made.unit.answer(START, supply_c, 150.0, 280.0, 200.0)
        for percent, permille in points:
            protection._update_cap(2.0 * percent, START)
            eq(
                (percent, abs(protection._cap_permille - int(permille * share)) <= 1),
                (percent, True),
            )
        for flow in (90.0, 200.0, None):
            protection._update_cap(flow, START)
            eq(protection._cap_permille, 1000)
        protection._update_cap(89.9, START)
        eq(protection._cap_permille < 1000, True)
    protection._take_over_until = START + 1
    for now, cap in ((START, 1000), (START + 1, 150)):
        protection._update_cap(0.0, now)
        eq(protection._cap_permille, cap)
    made = DryRow(Protection, flow_lpm=0.0)
    made.protection._update_cap(1.0, START)
    eq(made.protection._cap_permille, 1000)


def test_one_pump_of_two_is_restored_as_blocked():
    made = DryRow(Protection)
    protection = made.protection
    eq((protection.restore_stalled("p9", START), protection.stalled_pumps()), (False, []))
    eq((protection.restore_stalled("p1", START), protection.stalled_pumps()), (True, ["p1"]))
    eq((protection.restore_stalled("p0", START), protection.stalled_pumps()), (False, ["p1"]))
    alone = DryRow(Protection, 1).protection
    eq((alone.restore_stalled("p0", START), alone.stalled_pumps()), (False, []))


def test_readings_that_are_no_value():
    session = SessionOfPoints("cdu", [("T", 10)])
    point = RawPoint(session, "T", -100.0, 4000.0)
    reading = session.readings[0]
    for raw, age_ms, quality, value in (
        (320, 0, "good", 32.0),
        (320, 2500, "good", 32.0),
        (320, 2501, "good", None),
        (320, 0, "bad", None),
        (-1000, 0, "good", -100.0),
        (-1001, 0, "good", None),
        (40_000, 0, "good", 4000.0),
        (40_001, 0, "good", None),
        (0x7FFF, 0, "good", None),
        (0x7FFE, 0, "good", 3276.6),
        (0x8000, 0, "good", None),
    ):
        reading.raw, reading.quality, reading.read_at = raw, quality, START
        got = point.value(START + age_ms * MILLISECOND)
        eq((raw, got is None), (raw, value is None))
        near(got or 0.0, value or 0.0, 1e-3)
    wide = RawPoint(session, "T", -1e6, 1e6)
    for raw in (0x7FFF, -0x8000, 0x8000, 0xFFFF):
        reading.raw = raw
        eq((raw, wide.value(START)), (raw, None))
    eq((point.read_at, wide.value(START + 10 * SECOND, 10 * SECOND)), (START, None))
    reading.raw = 10
    eq(wide.value(START + 10 * SECOND, 10 * SECOND), 1.0)
    eq(
        (find_point(session, "U", 0.0, 1.0), read(None, START), read(wide, START)),
        (None, None, 1.0),
    )
    eq(find_point(session, "T", 0.0, 1.0).value(START), 1.0)
