# SPDX-License-Identifier: Apache-2.0
"""Protection: the range of each reading, what an alarm has, exact limits, what is restored."""

from agent.safety.flow_watch import FlowWatch
from agent.safety.protection import Protection
from agent.safety.raw_point import read
from agent.safety.row_resistance import RowResistance
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.agent.safety.fake_row import (
    UNIT_POINTS,
    DryRow,
    PumpOfSession,
    SessionOfPoints,
    UnitOfSessions,
)
from tests.portable.agent.safety.test_flow_watch import WatchedDrive
from tests.portable.support.check import eq, near

START = 50 * SECOND
MAINS = {"device": "meter", "point": "VoltageVolts", "nominal_v": 230.0}
RANGES = (
    ("_flow_lpm", 1, 0.0, 20_000.0),
    ("_supply_c", 0, 3.0, 84.0),
    ("_supply_kpa", 2, -100.0, 1600.0),
    ("_return_kpa", 3, -100.0, 1600.0),
    ("_dp", 4, -50.0, 1000.0),
    ("_mains", 0, 0.0, 100_000.0),
)
"""Reading, its place in its device, and the values between which it counts."""


def test_each_reading_counts_in_its_range_only():
    unit = SessionOfPoints("cdu", UNIT_POINTS + [("DeltaPressurekPa", 10)])
    meter = SessionOfPoints("meter", [("VoltageVolts", 10)])
    agent = UnitOfSessions(unit, [], [meter])
    protection = Protection(agent, {"flow_lpm": 150.0, "mains": MAINS})
    for name, place, low, high in RANGES:
        session = meter if name == "_mains" else unit
        for value, counts in ((low, 1), (high, 1), (low - 0.1, 0), (high + 0.1, 0)):
            values = [50.0] * len(session.points)
            values[place] = value
            session.answer(START, *values)
            found = read(getattr(protection, name), START)
            eq((name, value, found is not None), (name, value, bool(counts)))


def test_a_drive_counts_between_its_speeds():
    for percent, counts in ((-110.0, 1), (-110.1, 0), (160.0, 1), (160.1, 0)):
        made = DryRow(Protection)
        made.pumps[0].session.answer(START, percent)
        drive = made.protection.drives[0]
        drive.update(START)
        eq((percent, drive.speed_pct is not None), (percent, bool(counts)))


def test_an_alarm_has_its_text_its_source_and_its_time():
    made = DryRow(Protection, 1)
    made.step(400)
    made.pumps[0].has_tripped = True
    made.step(10)
    made.pumps[0].has_tripped, made.speeds = False, [70.0]
    made.step(60)
    made.speeds = [0.0]
    made.step(40)
    found = {}
    for (code, source, is_active, at), text in zip(
        made.agent.alarms.calls, made.agent.alarms.texts
    ):
        assert 0 < at <= made.now, at
        found.setdefault((code, source, is_active), text)
    eq(
        found,
        {
            ("pump_trip", "p0", True): "drive has tripped: p0",
            ("pump_trip", "p0", False): "drive has tripped: p0",
            ("pump_blocked", "p0", True): "shaft does not turn: p0",
            ("flow_low", "", True): "",
        },
    )
    texts = [text for code, _, text in made.protection.active_conditions()]
    eq(texts, ["coolant does not flow", "shaft does not turn: p0"])


def test_a_restored_pump_is_tried_again_five_minutes_after_the_restart():
    made = DryRow(Protection)
    protection = made.protection
    eq(protection.restore_stalled("p1", START), True)
    drive = protection.drives[1]
    drive.pump.session.answer(START, 0.0)
    for ms, is_stalled in ((0, True), (299_999, True), (300_000, False)):
        drive.update(START + ms * MILLISECOND)
        eq((ms, drive.pump.stalled, drive.pump.is_first), (ms, is_stalled, not is_stalled))


def test_a_pump_that_gave_no_flow_is_not_the_first_after_its_time():
    made = DryRow(Protection)
    drive = made.protection.drives[0]
    made.step(400)
    drive.mark_failed(made.now)
    eq((drive.pump.stalled, drive.is_suspect), (True, True))
    drive.update(made.now + 300 * SECOND)
    eq((drive.pump.stalled, drive.pump.is_first), (False, False))


def test_the_exact_limits_of_the_row_resistance():
    """Numbers without a rounding error: a resistance of 1 kPa/(L/min)²."""
    for kpa, is_changed in ((192.0, True), (192.5, False), (320.0, True), (319.5, False)):
        row = RowResistance()
        for _ in range(320):
            row.add(16.0, 256.0)
        for _ in range(3):
            row.add(16.0, kpa)
        eq((kpa, row.is_changed), (kpa, is_changed))


def test_an_unknown_speed_counts_as_none():
    """The mean falls to zero while the speed is not known; the other means follow the readings."""
    flow_watch, now = FlowWatch(), START
    for speed in [70.0] * 60 + [None] * 30:
        now += SECOND
        flow_watch.update(150.0, 80.0, [WatchedDrive(speed)], None, now, now, 1.0)
    near(flow_watch._speed, 70.0 * (29 / 30) ** 30, 1e-3)
    eq((flow_watch.is_lost, flow_watch.usual_lpm), (False, 150.0))


def test_nothing_is_read_again_without_a_new_sign():
    made = DryRow(Protection, mains=MAINS)
    made.step(400)
    eq((made.unit.again, made.pumps[0].session.again), (0, 0))
    made.volts = 100.0
    made.step(10)
    assert made.unit.again > 0


def test_a_false_meter_of_the_mains_does_not_limit_for_good():
    """The coolant flows for half a minute without mains: the meter is false, or not needed."""
    made = DryRow(Protection, mains=MAINS)
    made.step(100)
    made.volts = 100.0
    made.step(290)
    eq(made.codes(), ["flow_low", "mains_low"])
    made.step(60)
    eq(made.codes(), ["gauge_lie:mains"])
    made.flow_share = made.pressure_share = 0.0  # now it is true
    made.step(15)
    assert "mains_low" in made.codes(), made.codes()
    made.flow_share = made.pressure_share = 1.0
    made.volts = 230.0
    made.step(100)
    eq(made.codes(), ["pump_no_flow:p0"])


def test_a_meter_that_is_not_read_ends_no_finding_of_the_mains():
    """The coolant that flows for half a minute ends it; the meter is not called false then."""
    made = DryRow(Protection, mains=MAINS)
    made.step(100)
    made.volts = 100.0
    made.step(100)
    made.volts = None
    made.step(150)
    eq(made.codes(), ["flow_low", "mains_low"])
    made.step(150)
    eq(made.codes(), [])
    made.volts = 100.0
    made.step(400)
    eq(made.codes(), ["gauge_lie:mains"])
    made.volts = None
    made.step(400)
    eq(made.codes(), ["gauge_lie:mains"])
    made.volts = 230.0
    made.step(50)
    eq(made.codes(), [])


def test_low_mains_without_a_reading_of_the_flow_stay_a_sign():
    made = DryRow(Protection, mains=MAINS)
    made.step(100)
    made.volts, made.flow_lie = 100.0, 0.0
    made.step(400)
    assert "mains_low" in made.codes(), made.codes()


def test_low_mains_with_one_sign_of_no_flow_stay_a_sign():
    made = DryRow(Protection, mains=MAINS)
    made.step(100)
    made.volts, made.pressure_lie = 100.0, 0.0
    made.step(400)
    eq(made.protection.flow.flow_low, False)
    assert "mains_low" in made.codes(), made.codes()


def test_the_resistance_uses_a_flow_from_a_part_of_the_largest_one():
    for flow, is_changed in ((22.5, True), (22.25, False)):
        row = RowResistance()
        for _ in range(60):
            row.add(150.0, 80.0)
        for _ in range(3):
            row.add(flow, 80.0)
        eq((flow, row.is_changed), (flow, is_changed))


def test_a_lost_device_is_not_read_again():
    made = DryRow(Protection)
    made.step(400)
    made.silent = ("p1",)
    made.step(100)
    assert made.pumps[1].session.lost
    again = made.pumps[1].session.again
    made.flow_lie = 0.0
    made.step(30)
    eq(made.pumps[1].session.again, again)


def test_a_loss_ends_after_three_seconds_without_a_break():
    made = DryRow(Protection)
    made.step(400)
    made.flow_share = made.pressure_share = 0.0
    made.step(60)
    eq(made.codes()[0], "flow_low")
    protection = made.protection
    protection.flow.is_lost = protection.flow.stays_gone = False
    protection._evaluate = lambda _: None
    steps = 0
    while "flow_low" in made.codes() and steps < 99:
        protection.step(made.now, False)
        made.now += 100 * MILLISECOND
        steps += 1
    eq(steps, 31)


def test_a_shut_branch_is_reported_to_the_loads():
    made = DryRow(Protection)
    made.step(4000)
    eq(made.limits.has_shut_branch, False)
    made.pressure_share = 1.5
    made.step(60)
    eq((made.limits.has_shut_branch, made.codes()), (True, ["row_resistance"]))
    made.stopping = True
    made.step(1)
    eq(made.codes(), ["row_resistance"])
    made.protection.curve.is_weak = True
    eq(made.codes(), ["row_resistance", "impeller"])


def test_power_that_comes_back_lets_the_loop_start_the_pumps():
    for is_away, floor in ((True, None), (False, 100.0)):
        made = DryRow(Protection)
        made.step(400)
        made.flow_share = made.pressure_share = 0.0
        for pump in made.pumps:
            pump.has_tripped = is_away
        made.step(30)
        eq(made.protection.pump_floor(made.now), floor)


def test_a_pump_group_without_a_spare_marks_none_as_failed():
    made = DryRow(Protection, 1)
    made.step(400)
    made.flow_share = made.pressure_share = 0.0
    made.step(100)
    eq([PumpOfSession("x").stalled, made.pumps[0].stalled], [False, False])


def test_an_adopted_resistance_is_learned_again_and_a_changed_one_hides_the_curve():
    made = DryRow(Protection)
    protection, forgotten, added = made.protection, [], []
    made.step(400)
    protection.flow.forget = lambda: forgotten.append(made.now)
    protection.curve.add = lambda flow, kpa, drives: added.append((flow, kpa, drives))
    made.step(10)
    eq((forgotten, len(added), added[0][0], added[0][2]), ([], 1, 150.0, protection.drives))
    protection.resistance.add = lambda flow, kpa: flow == 150.0 and kpa > 79.0
    made.step(10)
    eq((len(forgotten), len(added)), (1, 2))
    protection.resistance.is_changed = True
    made.step(10)
    eq((len(forgotten), len(added)), (2, 2))


def test_a_low_pressure_in_the_first_reading_is_no_proof():
    flow_watch = FlowWatch()
    flow_watch.update(150.0, 0.5, [WatchedDrive(70.0)], None, SECOND, SECOND, 1.0)
    eq((flow_watch.dp_low, flow_watch.is_lost, flow_watch.suspect), (True, False, True))


def test_a_reading_that_is_not_used_adopts_nothing():
    row = RowResistance()
    row.add(100.0, 100.0)
    for flow, kpa in ((None, 80.0), (100.0, None), (100.0, 2.9), (14.9, 80.0), (0.5, 80.0)):
        eq((flow, kpa, row.add(flow, kpa)), (flow, kpa, False))
    eq(RowResistance().add(0.9, 80.0), False)


def test_an_adopted_state_is_no_change_in_the_same_reading():
    row = RowResistance()
    for _ in range(60):
        row.add(150.0, 80.0)
    while not row.add(150.0, 20.0):
        assert row._changed_readings < 99
    eq((row.is_changed, row._mean_count), (False, 1))


def test_a_drive_that_fails_from_the_start_is_a_sign():
    for failures, again in (([0], 0), ([1], 1)):
        made = DryRow(Protection)
        made.pumps[0].session.failures = failures
        made.protection.step(made.now, False)
        eq((failures, made.unit.again), (failures, again))


def test_a_pressure_that_was_too_high_for_the_pumps_proves_no_shut_branch():
    for pressure_share, is_shut in ((1.3, True), (1.8, False)):
        made = DryRow(Protection)
        made.step(1000)
        made.flow_share, made.pressure_share = 0.85, pressure_share
        made.step(60)
        made.pressure_share = 1.3
        made.step(60)
        eq((pressure_share, made.limits.is_branch_shut), (pressure_share, is_shut))


def test_the_protection_calls_the_row_usual_without_any_sign():
    for flow_share, pressure_share, is_usual in ((1.0, 1.0, True), (1.0, 1.2, False)):
        made = DryRow(Protection)
        made.step(1000)
        made.flow_share, made.pressure_share = flow_share, pressure_share
        made.step(60)
        found = made.protection.is_row_usual
        eq((flow_share, pressure_share, found), (flow_share, pressure_share, is_usual))
    made = DryRow(Protection)
    made.step(1000)
    made.flow_share = made.pressure_share = 0.05  # the resistance is not read at such a flow
    made.step(20)
    eq((made.protection.resistance.is_usual, made.protection.is_row_usual), (True, False))


def test_a_branch_that_is_certainly_shut_gets_all_flow_while_a_load_is_hot():
    for flow_share, is_shut in ((0.85, True), (1.0, False)):
        made = DryRow(Protection)
        made.step(1000)
        made.flow_share, made.pressure_share = flow_share, 1.3
        made.step(60)
        found = made.limits.has_shut_branch, made.limits.is_branch_shut, made.codes()
        eq((flow_share, found), (flow_share, (True, is_shut, ["row_resistance"])))
    protection = made.protection
    eq(protection.is_branch_starved(), False)
    made.limits.is_flow_needed = True
    eq((protection.is_branch_starved(), made.codes()), (True, ["row_resistance", "branch_shut"]))
    made.stopping = True
    made.step(1)
    found = protection.is_branch_starved(), made.codes()
    eq(found, (False, ["row_resistance", "branch_shut"]))  # the pumps are free, the alarms stay
    protection.use_limits(None)
    made.stopping = False
    made.step(1)
    eq(protection.is_branch_starved(), False)


def test_a_false_flow_far_above_the_usual_one_does_not_hide_the_true_one():
    row = RowResistance()
    for _ in range(60):
        row.add(150.0, 80.0)
    for _ in range(60):
        row.add(1500.0, 80.0)
    eq(row.is_changed, True)
    for _ in range(3):
        row.add(150.0, 80.0)
    eq((row.is_changed, row.is_usual), (False, True))


def test_a_unit_that_starts_with_a_flow_far_too_high_learns_the_true_one():
    row = RowResistance()
    for flow, count in ((1500.0, 60), (150.0, 300)):
        for _ in range(count):
            row.add(flow, 80.0)
    eq((row.is_changed, row.is_usual), (False, True))
    for _ in range(3):
        row.add(60.0, 80.0)
    eq((row.is_changed, row.is_higher), (True, True))


def test_a_stop_of_the_pumps_ends_no_alarm_of_the_row():
    """The pumps stand, so nothing shows that the cause is gone."""

    def stop(made):
        made.stopping, made.speeds = True, [0.0, 0.0]
        for pump in made.pumps:
            pump.running = False
        made.step(100)
        return made.codes()

    def run(made):
        made.stopping, made.speeds, made.pumps[0].running = False, [70.0, 0.0], True
        made.step(100)
        return made.codes()

    for name, value, code in (
        ("flow_share", 0.0, "flow_low"),
        ("flow_lie", 0.0, "gauge_lie:flow"),
        ("pressure_share", 1.5, "row_resistance"),
    ):
        made = DryRow(Protection)
        made.step(1000)
        setattr(made, name, value)
        if code == "flow_low":
            made.pressure_share = 0.0
        made.step(30)
        before = made.codes()
        assert code in before, (code, before)
        assert code in stop(made), (code, made.codes())
        assert code in run(made), (code, made.codes())  # it is still there
        stop(made)
        setattr(made, name, None if name == "flow_lie" else 1.0)
        made.pressure_share = 1.0
        assert code not in run(made), (code, made.codes())


def test_little_flow_is_reported_below_the_flow_of_the_full_power():
    made = DryRow(Protection)
    made.step(400)
    eq(made.limits.is_flow_little, False)
    design = made.protection._design_lpm
    session = made.protection._sessions[0]
    for percent, is_little in ((46, False), (44, True)):
        values = [
            reading.raw / point.denominator
            for reading, point in zip(session.readings, session.points)
        ]
        for i, name in enumerate(session.names):
            if name == "FlowLitersPerMinute":
                values[i] = design * percent / 100
        session.answer(made.now, *values)
        made.protection._evaluate(made.now)
        made.protection._react(made.now)
        eq((percent, made.limits.is_flow_little), (percent, is_little))
