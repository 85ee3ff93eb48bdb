# SPDX-License-Identifier: Apache-2.0
"""Protection on a row without a bus: loss of flow, stalled pumps, false sensors, order of a stop.

`test_recorded_faults` compares a record: it shows each change of the results. After an intended
change of the protection, write the new one from the root of the repository:

    python -m tests.portable.agent.safety.test_protection
"""

from agent.safety.drive_watch import DriveWatch
from agent.safety.protection import Protection
from agent.safety.stop_order import StopOrder
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.agent.control.law.trace_tools import PARTS, Noise, Record
from tests.portable.agent.safety.fake_row import (
    TICK,
    UNIT_POINTS,
    DryRow,
    PumpOfSession,
    RecordedLimits,
    SessionOfPoints,
    UnitOfSessions,
)
from tests.portable.support.check import eq, near

NEVER = 9999
FLOATS = 64  # the record of many steps differs with 32 bits


def row(**options):
    """Return a row that has run for 40 s."""
    made = DryRow(Protection, **options)
    made.step(400)
    made.limits.take() if made.limits else None
    eq(
        (made.codes(), made.agent.alarms.calls, made.protection.pump_floor(made.now)),
        ([], [], None),
    )
    return made


def first_orders(made, ticks=120):
    """Return the ticks after which the loads are limited and switched off, or `NEVER`."""
    limited = shed = NEVER
    for i in range(ticks):
        made.step()
        calls = [call[0] for call in made.limits.take()]
        limited = min(limited, i) if "limit" in calls else limited
        shed = min(shed, i) if "shed" in calls else shed
    return limited, shed


def test_a_healthy_row_has_no_order():
    eq(first_orders(row(), 600), (NEVER, NEVER))


def test_blocked_pumps_limit_within_two_seconds_and_switch_off_within_five():
    made = row(pump_count=1)
    made.speeds = [0.0]
    limited, shed = first_orders(made)
    assert limited < 20, limited
    assert limited + 25 <= shed < 50, (limited, shed)
    eq(made.codes(), ["flow_low", "pump_blocked:p0"])
    eq(made.agent.alarms.calls[0][:3], ("flow_low", "", True))
    eq((made.pumps[0].stalled, made.protection.pump_floor(made.now)), (True, 100.0))


def test_a_spare_pump_takes_over_without_a_limit():
    made = row()
    made.speeds = [0.0, 0.0]
    made.step(16)
    eq((made.pumps[0].stalled, made.protection.pump_floor(made.now)), (True, 100.0))
    made.pumps[1].running, made.speeds = True, [0.0, 70.0]
    eq(first_orders(made), (NEVER, NEVER))
    eq((made.codes(), made.protection.pump_floor(made.now)), (["pump_blocked:p0"], None))


def lose_flow(made):
    """The flow ends while the lead pump turns; the spare pump runs up."""
    made.flow_share = made.pressure_share = 0.0
    made.step(25)
    eq((made.pumps[0].stalled, made.pumps[0].is_last), (True, True))
    made.pumps[0].running, made.pumps[1].running = False, True
    made.speeds = [0.0, 100.0]


def test_a_pump_is_not_the_cause_if_its_replacement_gives_no_flow():
    """An isolating valve was shut, not a coupling broken."""
    made = row()
    lose_flow(made)
    made.step(45)
    eq(made.pumps[0].stalled, True)
    made.step(20)
    eq((made.pumps[0].stalled, made.pumps[1].stalled), (False, False))
    made.step(600)
    eq((made.pumps[0].stalled, made.pumps[1].stalled), (False, False))
    made.flow_share = made.pressure_share = 1.0
    made.step(80)
    eq(made.codes(), [])


def test_a_pump_without_flow_is_named_until_it_turns_alone_with_flow():
    made = row()
    lose_flow(made)
    made.flow_share = made.pressure_share = 1.0
    made.step(80)
    eq((made.codes(), made.pumps[0].stalled), (["pump_no_flow:p0"], True))
    made.step(3000)  # available again, and still not proven
    eq((made.codes(), made.pumps[0].stalled), (["pump_no_flow:p0"], False))
    made.pumps[0].running, made.speeds = True, [70.0, 70.0]
    made.step(300)
    eq(made.codes(), ["pump_no_flow:p0"])
    made.pumps[1].running, made.speeds = False, [70.0, 0.0]
    made.step(95)
    eq(made.codes(), ["pump_no_flow:p0"])
    made.step(30)
    eq(made.codes(), [])


def test_the_readings_are_fresh_when_the_loads_go_off():
    """Flow that returns a moment before the order prevents it."""
    made = row(pump_count=1)
    made.flow_share = made.pressure_share = 0.0
    while made.protection.active_conditions() == []:
        made.step()
    asked = made.unit.again
    made.step(22)  # the decision is 2.5 s after the loss; the unit answers once a second
    assert made.unit.again - asked >= 9, made.unit.again - asked
    made.flow_share = made.pressure_share = 1.0
    made.limits.take()
    eq(first_orders(made, 60)[1], NEVER)


def test_a_shut_valve_sheds_also_while_the_pumps_change_over():
    """Their speeds change, so the pressure is only 1.4 times that of the speed for a moment."""
    for share, is_shed in ((1.4, True), (1.0, False)):
        made = row(pump_count=1)
        made.flow_share, made.pressure_share = 0.0, 1.8
        while made.codes() != ["flow_low"]:
            made.step()
        made.limits.take()
        made.pressure_share = share
        eq(first_orders(made, 29)[1] < NEVER, is_shed)


def test_a_change_of_the_pumps_without_flow_makes_no_second_loss():
    made = row(pump_count=1)
    made.flow_share, made.pressure_share = 0.0, 1.8
    assert first_orders(made, 60)[1] < NEVER
    made.pressure_share = 1.4
    made.step(50)
    eq(made.codes(), ["flow_low"])
    made.pressure_share = 1.8
    made.step(300)
    made.flow_share = made.pressure_share = 1.0
    first_orders(made, 60)
    made.step()
    eq((made.codes(), made.limits.take(), made.protection.pump_floor(made.now)), ([], [], None))


def test_a_trip_is_an_alarm_in_the_tick_of_its_reading():
    made = row()
    made.pumps[0].has_tripped = True
    made.step(2)
    eq([call[:3] for call in made.agent.alarms.calls], [("pump_trip", "p0", True)])
    made.pumps[0].has_tripped = False
    made.step(8)
    eq(made.agent.alarms.calls[-1][:3], ("pump_trip", "p0", False))
    made.pumps[0].has_tripped = True
    made.step(10)
    made.silent = ("p0",)
    made.step(60)  # a drive that is not read has not shown that its trip is over
    eq(made.agent.alarms.calls[-1][:3], ("pump_trip", "p0", True))


def test_flow_returns_after_three_steady_seconds():
    made = row(pump_count=1)
    made.flow_share = made.pressure_share = 0.0
    first_orders(made, 60)
    made.flow_share = made.pressure_share = 1.0
    ends = 0
    while made.codes():
        made.step()
        ends += 1
        assert ends < 80, ends
    assert ends >= 30, ends
    made.limits.take()
    eq(first_orders(made), (NEVER, NEVER))


def test_loads_that_went_off_twice_stay_off_for_ten_minutes():
    made = row(pump_count=1)
    for is_held in (False, True):
        made.flow_share = made.pressure_share = 0.0
        assert first_orders(made, 60)[1] < 60
        made.flow_share = made.pressure_share = 1.0
        first_orders(made, 120)
        made.step()
        eq((made.codes(), made.limits.take()), ([], [("limit", "no flow")] * is_held))
    made.step(6000)
    made.limits.take()
    made.step()
    eq(made.limits.take(), [])


def test_loads_that_went_off_without_mains_come_back_with_them():
    mains = {"device": "meter", "point": "VoltageVolts", "nominal_v": 230.0}
    made = row(pump_count=1, mains=mains)
    for volts in (230.0, 0.0, 0.0):
        made.volts, made.flow_share, made.pressure_share = volts, 0.0, 0.0
        assert first_orders(made, 60)[1] < 60
        made.volts, made.flow_share, made.pressure_share = 230.0, 1.0, 1.0
        first_orders(made, 120)
        made.step()
        eq((volts, made.codes(), made.limits.take()), (volts, [], []))


def lose_and_return(made, pause):
    """The flow ends for 4 s, returns, and is there for `pause` ticks more after the alarm."""
    made.flow_share = made.pressure_share = 0.0
    made.step(40)
    assert "flow_low" in made.codes()
    made.flow_share = made.pressure_share = 1.0
    while "flow_low" in made.codes():
        made.step()
    made.step(pause)
    return made.protection.pump_floor(made.now)


def test_a_loss_that_comes_back_keeps_the_pumps_at_full_speed():
    made = row(pump_count=1)
    eq(lose_and_return(made, 1100), None)
    eq(lose_and_return(made, 100), 100.0)  # 113 s after the first one
    made.step(5700)
    eq(made.protection.pump_floor(made.now), 100.0)
    made.step(300)
    eq(made.protection.pump_floor(made.now), None)  # after 10 min


def test_a_loss_two_minutes_later_is_a_new_one():
    made = row(pump_count=1)
    eq(lose_and_return(made, 1200), None)
    eq(lose_and_return(made, 100), None)


def test_dips_of_the_mains_keep_no_full_speed():
    made = row(mains={"device": "meter", "point": "VoltageVolts", "nominal_v": 230.0})
    for _ in range(3):
        made.volts = 100.0
        made.step(30)
        assert "flow_low" in made.codes()
        made.volts = 230.0
        made.step(100)
        eq((made.codes(), made.protection.pump_floor(made.now)), ([], None))


def test_one_sensor_alone_limits_nothing_and_is_named():
    for name, value, code in (
        ("flow_lie", 0.0, "gauge_lie:flow"),
        ("pressure_lie", 0.0, "gauge_lie:dp"),
        ("pressure_lie", 300.0, "gauge_lie:dp"),
    ):
        made = row()
        setattr(made, name, value)
        eq((name, first_orders(made)), (name, (NEVER, NEVER)))
        assert code in made.codes(), (name, made.codes())
        setattr(made, name, None)
        made.step(30)
        assert code not in made.codes(), made.codes()


def test_a_broken_coupling_marks_the_pump():
    made = row()
    made.flow_share = made.pressure_share = 0.0
    made.step(30)
    eq([pump.stalled for pump in made.pumps], [True, False])


def test_low_mains_limits_and_does_not_switch_off_with_flow():
    made = row(mains={"device": "meter", "point": "VoltageVolts", "nominal_v": 230.0})
    made.volts = 149.0
    limited, shed = first_orders(made)
    assert limited < 15, limited
    eq((shed, made.codes()), (NEVER, ["flow_low", "mains_low"]))
    made.volts = 150.0
    eq(first_orders(made, 60)[1], NEVER)
    eq((first_orders(made), made.codes()), ((NEVER, NEVER), []))


def test_no_voltage_at_all_is_low():
    made = row(mains={"device": "meter", "point": "VoltageVolts", "nominal_v": 230.0})
    made.volts = 0.0
    assert first_orders(made)[0] < 15
    eq(made.codes(), ["flow_low", "mains_low"])


def test_a_sensor_of_the_difference_is_preferred():
    unit = SessionOfPoints("cdu", UNIT_POINTS + [("DeltaPressurekPa", 10)])
    protection = Protection(UnitOfSessions(unit, []), {"flow_lpm": 150.0})
    unit.answer(SECOND, 32.0, 150.0, 280.0, 200.0, 79.5)
    eq((protection.read_dp(SECOND), protection.read_dp(4 * SECOND)), (79.5, None))


def test_silent_drives_count_while_the_unit_answers():
    made = row()
    made.silent = ("p0", "p1")
    limited, shed = first_orders(made)
    assert limited < 35, limited
    eq(shed, NEVER)  # flow and pressure are good
    made = row()
    made.silent = ("cdu", "p0", "p1")  # the bus
    eq(first_orders(made), (NEVER, NEVER))


def test_a_small_flow_caps_the_power():
    for share, supply_c, cap in (
        (0.44, 32.0, None),
        (0.22, 32.0, 670),
        (0.07, 32.0, 300),
        (0.22, 58.5, 335),
    ):
        made = row(flow_lpm=150.0)
        for i in range(400):  # slowly, as a filter clogs
            made.flow_share = 1.0 - (1.0 - share) * i / 399
            made.pressure_share = made.flow_share * made.flow_share
            made.step()
        made.supply_c = supply_c
        made.step(12)
        made.limits.take()
        made.step()
        caps = [call[1] for call in made.limits.take() if call[0] == "cap"]
        if cap is None:
            assert not caps or caps[0] > 950, (share, caps)
        else:
            assert abs(caps[0] - cap) < 25, (share, caps)


def test_a_stop_is_no_loss_of_flow():
    made = row()
    made.stopping = True
    made.speeds = [0.0, 0.0]
    for pump in made.pumps:
        pump.running = False
    made.step(100)
    eq(
        (made.codes(), made.agent.alarms.calls, made.protection.pump_floor(made.now)),
        ([], [], None),
    )
    eq(made.unit.again, 0)


def test_a_suspect_reading_is_read_again_each_fifth_of_a_second():
    made = row()
    made.flow_lie = 0.0
    made.step(15)
    first = made.unit.again
    assert 2 <= first <= 6, first
    made.step(100)
    assert made.unit.again < first + 12, made.unit.again
    made = row()
    made.unit.waits = True
    made.flow_lie = 0.0
    made.step(30)
    eq(made.unit.again, 0)


def test_without_loads_the_pumps_still_run_at_full_speed():
    made = row(limits=False)
    made.flow_share = made.pressure_share = 0.0
    made.step(30)
    eq((made.codes(), made.protection.pump_floor(made.now)), (["flow_low"], 100.0))


def test_loads_are_off_before_the_pumps_stop():
    order, limits = StopOrder(), RecordedLimits()
    eq((order.may_stop("leak", SECOND), order.is_asked(SECOND)), (True, True))  # no loads
    order = StopOrder()
    order.use_limits(limits)
    eq((order.is_asked(SECOND), order.is_asked(0)), (False, False))
    start = 9 * SECOND
    eq(order.may_stop("leak", start), False)
    eq(limits.take(), [("limit", "leak"), ("shed", "leak")])
    for second in range(1, 5):
        eq((order.may_stop("leak", start + second * SECOND), order.is_late(start)), (False, False))
    eq(order.is_late(start + 5 * SECOND - 1), False)
    eq(order.is_late(start + 5 * SECOND), True)
    eq(order.may_stop("leak", start + 5 * SECOND - 1), False)
    eq(order.may_stop("leak", start + 5 * SECOND), True)
    eq(order.is_late(start + 6 * SECOND), False)
    eq(order.is_asked(start + 8 * SECOND), True)
    eq(order.is_asked(start + 8 * SECOND + 1), False)
    again = start + 20 * SECOND
    eq(order.may_stop("leak", again, 2 * SECOND), False)  # another stop
    for second in (2, 4, 6):
        eq(order.may_stop("leak", again + second * SECOND, 2 * SECOND), False)
    eq(order.may_stop("leak", again + 7 * SECOND, 2 * SECOND), True)
    limits.is_proven = True
    eq(order.may_stop("leak", again + 30 * SECOND), True)
    limits.is_proven = False
    eq(order.may_stop("leak", again + 31 * SECOND), True)  # the proof counts for the whole stop


class PumpAt:
    """A pump with a known speed, percent; None: the speed is not known."""

    def __init__(self, percent, is_lost=False):
        self.session = SessionOfPoints("pump", [("PumpSpeedPercent", 100)])
        self.session.lost = is_lost
        self.percent = percent

    def speed(self):
        return self.percent


def stops_immediately(pumps, pump_pct=0.0):
    """Return whether the pumps may stop in the first cycle of a stop."""
    order, limits = StopOrder(), RecordedLimits()
    order.use_limits(limits, pumps)
    order.expect(SECOND)  # of before the restart: no flow is no surprise
    eq((order.is_asked(SECOND), limits.take()), (True, []))
    stops = order.may_stop("off", 2 * SECOND, 0, pump_pct)
    eq(limits.take(), [("limit", "off"), ("shed", "off")])
    eq(order.may_stop("off", 3 * SECOND, 0, pump_pct), stops)
    return stops


def test_a_stop_starts_no_pump_that_stands():
    eq(stops_immediately([PumpAt(0.0), PumpAt(0.0)]), True)
    eq(stops_immediately([PumpAt(0.0), PumpAt(40.0)]), False)
    eq(stops_immediately([PumpAt(30.2)], 30.0), True)  # the mode is in force already
    eq(stops_immediately([PumpAt(40.0)], 30.0), False)


def test_pumps_of_unknown_speed_do_not_count_as_standing():
    eq(stops_immediately([PumpAt(None), PumpAt(0.0)]), False)
    eq(stops_immediately([PumpAt(None, True), PumpAt(0.0)]), True)  # a lost drive gets no command
    eq(stops_immediately([PumpAt(None, True)]), False)
    eq(stops_immediately([]), False)


def watch():
    pump = PumpOfSession("p0")
    return DriveWatch(pump), pump


def feed(drive, pump, *readings):
    """Feed (ms, speed, percent); return the times at which the shaft is found blocked."""
    found = []
    for ms, speed in readings:
        pump.session.answer(SECOND + ms * MILLISECOND, speed)
        if drive.update(SECOND + ms * MILLISECOND):
            found.append(ms)
    return found


def test_a_turning_pump_that_stands_is_blocked_after_two_readings():
    drive, pump = watch()
    eq(feed(drive, pump, (0, 70.0), (100, 1.9), (249, 0.0)), [])
    eq((feed(drive, pump, (250, 0.0)), pump.stalled, drive.is_dead), ([250], True, True))
    eq((feed(drive, pump, (900, 10.0)), pump.stalled), ([], True))
    eq((feed(drive, pump, (1000, 10.1)), pump.stalled, drive.is_dead), ([], False, False))


def test_a_pump_has_eight_seconds_to_start():
    drive, pump = watch()
    eq(feed(drive, pump, (0, 0.0), (7999, 0.0)), [])
    eq(feed(drive, pump, (8000, 0.0)), [8000])
    eq((feed(drive, pump, (307_999, 0.0)), pump.stalled), ([], True))
    eq((feed(drive, pump, (308_000, 0.0)), pump.stalled), ([], False))  # it is tried again
    eq((drive.is_blocked, drive.is_shown_blocked), (False, True))  # its alarm stays until it turns
    feed(drive, pump, (309_000, 10.0))
    eq(drive.is_shown_blocked, True)
    feed(drive, pump, (310_000, 10.1))
    eq(drive.is_shown_blocked, False)
    drive, pump = watch()
    pump.running = False
    eq((feed(drive, pump, (0, 0.0), (9000, 0.0)), drive.is_dead, drive.is_spare), ([], False, True))


def test_silent_or_tripped_drives_are_away():
    drive, pump = watch()
    feed(drive, pump, (0, 70.0))
    pump.session.fail()
    drive.update(2 * SECOND)
    eq((drive.is_silent, drive.is_away, drive.speed_pct), (False, False, 70.0))
    pump.session.fail()
    drive.update(3 * SECOND)
    eq((drive.is_silent, drive.is_away, drive.speed_pct), (True, True, None))
    eq((drive.silent_at, drive.is_dead, drive.is_spare), (3 * SECOND, True, False))
    drive.update(4 * SECOND)
    eq(drive.silent_at, 3 * SECOND)
    drive, pump = watch()
    pump.has_tripped = True
    feed(drive, pump, (0, 0.0))
    eq((drive.is_away, drive.is_dead, drive.is_silent), (True, True, False))
    never = watch()[0]
    never.pump.session.failures = [5]
    never.update(SECOND)
    eq(never.is_silent, False)  # it has never answered


def test_a_failed_pump_is_marked_after_ten_steady_seconds():
    drive, pump = watch()
    for ms in range(0, 10_001, 500):
        feed(drive, pump, (ms, 70.0))
    drive.mark_failed(SECOND + 10_000 * MILLISECOND)
    eq(pump.stalled, False)
    drive.mark_failed(SECOND + 10_001 * MILLISECOND)
    eq(pump.stalled, True)
    eq((feed(drive, pump, (11_000, 70.0)), pump.stalled, drive.is_dead), ([], True, False))
    feed(drive, pump, (310_002, 70.0))
    eq(pump.stalled, False)


FAULTS = (
    ("speeds", [0.0, 0.0], [70.0, 0.0]),
    ("flow_share", 0.0, 1.0),
    ("flow_lie", 0.0, None),
    ("pressure_lie", 0.0, None),
    ("pressure_lie", 200.0, None),
    ("silent", ("p0", "p1"), ()),
    ("silent", ("cdu",), ()),
    ("silent", ("cdu", "p0", "p1"), ()),
    ("volts", 120.0, 230.0),
    ("supply_c", 50.0, 32.0),
    ("speeds", [12.0, 0.0], [70.0, 0.0]),
    ("speeds", [0.0, 70.0], [70.0, 0.0]),
    ("flow_share", 0.3, 1.0),
    ("flow_lie", 1500.0, None),
    ("stopping", True, False),
)
"""Faults of the record: attribute of `DryRow`, value, value afterwards."""


def test_a_pump_that_is_tried_again_has_eight_seconds_to_start():
    for mark in (DriveWatch.mark_failed, DriveWatch.mark_stalled):
        drive, pump = watch()
        feed(drive, pump, (0, 70.0), (10_001, 70.0))
        mark(drive, SECOND + 10_001 * MILLISECOND)
        pump.running = False
        eq((feed(drive, pump, (11_000, 0.0), (310_001, 0.0)), pump.stalled), ([], False))
        pump.running = True
        eq(feed(drive, pump, (310_100, 0.0), (310_600, 0.0), (318_000, 0.0)), [])
        eq(feed(drive, pump, (318_100, 0.0)), [318_100])


def trace_faults():
    noise, out = Noise(), Record()
    mains = {"device": "meter", "point": "VoltageVolts", "nominal_v": 230.0}
    for pair in range(24):
        made = DryRow(Protection, 2 if pair % 6 else 1, mains=mains)
        made.limits.devices_warm = (None, False, None, True)[pair % 4]
        made.step(330)
        made.limits.take()
        chosen = [FAULTS[(pair * 7 + i * 4) % len(FAULTS)] for i in (0, 1)]
        chosen = [c for c in chosen if len(made.speeds) == 2 or c[0] != "speeds"]
        for tick in range(230):
            for i, (name, value, after) in enumerate(chosen):
                if tick == 20 * i:
                    setattr(made, name, value)
                if tick == 130 + 30 * i:
                    setattr(made, name, after)
            if pair % 5 == 0 and tick == 60:
                made.pumps[-1].has_tripped = True
            if pair % 3 == 0 and tick == 40:
                made.pressure_share = noise.number(0.0, 1.0)
            made.step()
            record_row(made, out)
    return out.sums


def record_row(made, out):
    for call in made.limits.take():
        out.add(call[0], *call[1:])
    protection = made.protection
    flow = protection.flow
    out.add(protection.pump_floor(made.now), protection.confirms_dry(), made.unit.again)
    out.add(flow.is_lost, flow.is_gone, flow.suspect, flow.flow_low, flow.outlier, flow.usual_lpm)
    out.add(protection.read_dp(made.now), " ".join(made.codes()), len(made.agent.alarms.calls))
    for drive in protection.drives:
        out.add(drive.is_dead, drive.is_silent, drive.is_away, drive.is_spare, drive.speed_pct)
        out.add(drive.pump.stalled, drive.silent_at // TICK)


RECORD = (
    1143777.115776,
    848973.072764,
    997076.654218,
    450099.721974,
    896060.000816,
    583320.093699,
    1231165.850559,
    580812.748532,
    896812.650092,
    865837.528783,
)


def test_recorded_faults():
    got = trace_faults()
    for i in range(PARTS):
        near(got[i], RECORD[i], 1e-6, 1000)


if __name__ == "__main__":
    print("RECORD = (")
    for value in trace_faults():
        print("    %.6f," % value)
    print(")")
