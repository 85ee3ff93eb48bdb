# SPDX-License-Identifier: Apache-2.0
"""Parts of the clock alone: disputes, states, evidence, site, whole seconds, oscillator.

Each table has a value on both sides of a limit.
"""

from agent.clock import clock_state as states
from agent.clock.dispute import StepDispute
from agent.clock.estimate.holdover import Holdover, mean_distance, ramp_mean
from agent.clock.estimate.line_end import BlockMean, line_end, mean_changes
from agent.clock.estimate.temperature_model import TempcoModel
from agent.clock.evidence import CHECKS, EvidenceLog, alarm_for, update_alarms
from agent.clock.leap_second import (
    UNCERTAIN_FOR,
    LeapSecondTracker,
    may_have_leap_second,
    next_month,
    time_scale_name,
    whole_seconds,
)
from agent.clock.position_check import PositionCheck
from agent.core.alarm_list import AlarmList
from protocols.calendar import utc_from_civil
from protocols.time_units import SECOND
from tests.portable.support.check import eq, raises
from tests.portable.support.reference_time import ReferenceFix

START, HOUR, DAY = 1000 * SECOND, 3600 * SECOND, 86_400 * SECOND
JULY = utc_from_civil(2027, 7, 1)
LIMIT = 200_000


def dispute(ppb=50_000, set_at=0):
    return StepDispute(ppb, set_at)


def contradict(made, step_us, seconds, start=START):
    """Add a fix each second; return whether the clock must follow the last one."""
    found = False
    for second in range(seconds + 1):
        found = made.add(step_us, LIMIT, start + second * SECOND)
    return found


def test_the_clock_follows_after_twenty_minutes_of_consistent_fixes():
    made = dispute()
    eq(contradict(made, 5 * SECOND, 1199), False)
    eq(made.add(5 * SECOND, LIMIT, START + 1200 * SECOND - 1), False)
    eq(made.add(5 * SECOND, LIMIT, START + 1200 * SECOND), True)
    made = dispute()
    found = [made.add(5 * SECOND, LIMIT, START + at * SECOND) for at in (0, 1200, 2400)]
    eq(found, [False, False, True])  # three fixes at least


def test_another_step_or_an_agreeing_fix_begins_the_dispute_again():
    made = dispute(0)
    contradict(made, 5 * SECOND, 1100)
    eq(
        (made.add(5 * SECOND + LIMIT, LIMIT, START + 1101 * SECOND), made.step_us),
        (False, 5 * SECOND),
    )
    moved = 5 * SECOND + LIMIT + 1
    eq((made.add(moved, LIMIT, START + 1300 * SECOND), made.step_us), (False, moved))
    eq(contradict(made, moved, 1199, START + 1300 * SECOND), False)
    made.clear()
    eq((made.step_us, made.bound_us(START)), (None, 0))
    drifting = dispute(1_000_000)  # 1 ms a second
    drifting.add(SECOND, LIMIT, START)
    drifting.add(SECOND + LIMIT + 10_000, LIMIT, START + 10 * SECOND)
    eq(drifting.step_us, SECOND)
    drifting.add(SECOND + LIMIT + 10_002, LIMIT, START + 10 * SECOND)
    eq(drifting.step_us, SECOND + LIMIT + 10_002)


def test_the_bound_has_both_times():
    made = dispute(1_000_000)
    made.add(-5 * SECOND, LIMIT, START)
    eq(made.bound_us(START), 5 * SECOND + 2 * LIMIT)
    eq(made.bound_us(START + 10 * SECOND), 5 * SECOND + 2 * LIMIT + 10_000)


def followed(set_at=0):
    """Return a dispute after which the clock has moved by 5 s, at `START` + 1200 s."""
    made = dispute(1_000_000, set_at)
    contradict(made, 5 * SECOND, 1200)
    made.follow(5 * SECOND, 3000, START + 1200 * SECOND)
    eq((made.step_us, made.former_us), (None, -5 * SECOND))
    return made, START + 1200 * SECOND


def test_the_former_time_stays_in_the_bound_as_long_as_it_was_supported():
    for set_at, support_s in ((START, 2400), (START - 2500 * SECOND, 2500)):
        made, now = followed(set_at)
        end = START + support_s * SECOND
        eq((made.bound_us(end - 1) > 0, made.former_us), (True, -5 * SECOND))
        eq((made.bound_us(end), made.former_us), (0, None))
    made, now = followed(START - 90_000 * SECOND)  # at most a day
    eq(made.bound_us(now), 5 * SECOND + 3000)
    eq(made.bound_us(now + SECOND), 5 * SECOND + 3000 + 2000)
    eq(made.bound_us(START + 86_400 * SECOND - 1) > 0, True)
    eq(made.bound_us(START + 86_400 * SECOND), 0)


def test_a_present_contradiction_keeps_the_former_time():
    made, now = followed(START)
    made.add(9 * SECOND, LIMIT, now)
    eq((made.bound_us(now) > 9 * SECOND, made.former_us), (True, -5 * SECOND))
    made.clear()
    eq(made.bound_us(now) > 0, True)
    eq((made.bound_us(now + 1200 * SECOND), made.former_us), (0, None))


def test_a_smaller_contradiction_keeps_the_former_time_too():
    made, now = followed(START)
    made.contradicted(now + 600 * SECOND)
    eq(made.bound_us(now + 1799 * SECOND) > 0, True)
    eq(made.bound_us(now + 1800 * SECOND), 0)


def test_three_fixes_return_to_the_former_time():
    made, now = followed()
    for step, returns in (
        (-5 * SECOND, (False, False, True)),
        (-5 * SECOND - LIMIT - 3000, (False, False, True)),
        (-5 * SECOND - LIMIT - 3001, (False, False, False)),
    ):
        made.clear()
        eq([made.add(step, LIMIT, now) for _ in range(3)], list(returns))
    made.clear()
    steps = (-5 * SECOND, -5 * SECOND, 2 * SECOND, -5 * SECOND, -5 * SECOND)
    eq([made.add(step, LIMIT, now) for step in steps], [False] * 5)
    eq(made.add(-5 * SECOND, LIMIT, now), True)
    made.follow(-5 * SECOND, 3000, now)
    eq((made.former_us, made.bound_us(now)), (None, 0))


def test_the_former_time_does_not_slew_with_the_clock():
    made, _ = followed()
    made.track(-3000)
    eq(made.former_us, -5 * SECOND + 3000)
    made.track(-1000)
    eq(made.former_us, -5 * SECOND + 1000)


def test_a_wide_bound_of_the_former_time_is_no_return():
    made, now = followed()
    later = now + 3_000_000 * SECOND  # its bound is 6000 s
    eq([made.add(2 * SECOND, LIMIT, later) for _ in range(4)], [False] * 4)


def test_a_second_move_keeps_the_first_time_and_a_reference_ends_it():
    made, now = followed()
    contradict(made, 2 * SECOND, 1200, now)
    made.follow(2 * SECOND, 9, now + 1200 * SECOND)
    eq(made.former_us, -7 * SECOND)
    eq(made.bound_us(now + 2399 * SECOND) > 7 * SECOND, True)  # as long again
    bound = made.bound_us(now + 2399 * SECOND) - 7 * SECOND
    # a reference that is as near to the former time as its bounds excludes nothing
    made.exclude_former(-7 * SECOND + bound + 1000, 1000, now + 2399 * SECOND)
    eq(made.former_us, -7 * SECOND)
    made.exclude_former(-7 * SECOND + bound + 1001, 1000, now + 2399 * SECOND)
    eq(made.former_us, None)


def test_a_reference_matches_within_both_uncertainties():
    made = dispute()
    eq(made.matches(0, 9 * SECOND), False)
    made.add(5 * SECOND, LIMIT, START)
    for difference, matches in (
        (5 * SECOND + LIMIT + 1000, True),
        (5 * SECOND + LIMIT + 1001, False),
        (5 * SECOND - LIMIT - 1001, False),
    ):
        eq(made.matches(difference, 1000), matches)


def test_events_that_the_table_does_not_name_keep_the_state():
    changes = {(before, event): after for before, event, after in states.TABLE}
    eq(len(changes), 11)
    events = (states.SET, states.SET_COARSELY, states.GOOD, states.SILENT, states.CONTRADICTED)
    for state in (states.FREE, states.SYNC, states.HOLDOVER, states.UNTRUSTED):
        for event in events + (states.AGREED, states.RESET):
            eq(states.next_state(state, event), changes.get((state, event), state))


def test_evidence_of_a_minute_is_one_entry():
    log = EvidenceLog()
    log.add("step", START, 5, 2)
    log.add("step", START + 60 * SECOND, 7, 3)
    entry = log.entries[0]
    eq((entry.since, entry.time, entry.count), (START, START + 60 * SECOND, 2))
    eq((entry.first, entry.figure, entry.limit, entry.check), (5, 7, 3, "step"))
    log.add("floor", START + 60 * SECOND, 1, 0)
    log.add("step", START + 120 * SECOND + 1, 9, 4)
    eq([(e.check, e.count) for e in log.entries], [("step", 2), ("floor", 1), ("step", 1)])
    eq(log.counts, {"step": 3, "floor": 1})
    for i in range(20):
        log.add("rate", START + (i + 9) * HOUR, i, 0)
    eq((len(log.entries), log.entries[0].figure, log.entries[-1].figure), (16, 4, 19))


def test_alarms_follow_the_failed_checks():
    alarms, known = AlarmList(), []
    update_alarms(alarms, known, ["step", "rate"], START)
    eq((alarms.codes(), known), (["time_step", "time_rate"], ["step", "rate"]))
    update_alarms(alarms, known, ["rate", "floor"], START + 1)
    eq((alarms.codes(), known), (["time_rate", "time_floor"], ["rate", "floor"]))
    eq(
        alarms.history[-2:],
        [(START + 1, "cleared", "time_step"), (START + 1, "raised", "time_floor")],
    )
    eq([alarm_for(name) for name, _ in CHECKS], [record for _, record in CHECKS])
    eq(raises(KeyError, alarm_for, "no").args, ("no",))


def fix_at(lat, lon):
    fix = ReferenceFix(JULY, START)
    fix.lat_e7, fix.lon_e7 = lat, lon
    return fix


def test_distance_from_the_site():
    check = PositionCheck((0, 0))
    eq((check.radius_m, check.antenna_e7), (100, (0, 0)))
    for lat, lon, metres in (
        (0, 0, 0),
        (90_000, 0, 1001),
        (-90_000, 0, 1001),
        (0, 90_000, 1001),
        (90_000, 45_000, 1001 + 250),
        (45_000, -90_000, 1001 + 250),
        (None, 0, 0),
        (0, None, 0),
    ):
        eq((lat, lon, check.distance_m(fix_at(lat, lon))), (lat, lon, metres))
    for lat, lon, metres in ((600_000_000, 90_000, 500), (750_000_000, 90_000, 258)):
        eq(PositionCheck((lat, 0)).distance_m(fix_at(lat, lon)), metres)
    eq(PositionCheck((-600_000_000, 0)).distance_m(fix_at(-600_000_000, 90_000)), 500)
    date_line = PositionCheck((0, 1_799_990_000))
    eq(date_line.distance_m(fix_at(0, -1_799_990_000)), 222)
    eq(PositionCheck((900_000_000, 0)).distance_m(fix_at(900_000_000, 9)), 0)


def test_the_site_is_the_mean_of_thirty_fixes():
    check = PositionCheck(None, 10)
    for i in range(29):
        eq(check.distance_m(fix_at(600_000_000 + i % 2 * 100, 50_000 + i % 2 * 300)), 0)
        eq(check.antenna_e7, None)
    check.distance_m(fix_at(600_000_100, 50_300))
    eq(check.antenna_e7, (600_000_050, 50_150))
    eq(check.distance_m(fix_at(600_000_050, 140_150)), 500)
    check = PositionCheck(None, 10)
    for lat, lon in ((0, 0), (900, 0), (0, 900), (901, 0), (901, 901), (901, 1802)):
        check.distance_m(fix_at(lat, lon))
    eq(check._survey, [(901, 1802)])


def test_whole_seconds_and_time_scales():
    for step, seconds in (
        (4 * SECOND + 1000, 4),
        (4 * SECOND + 1001, 0),
        (-4 * SECOND - 1000, -4),
        (-4 * SECOND - 1001, 0),
        (999, 0),
    ):
        eq((step, whole_seconds(step, 1000)), (step, seconds))
    for seconds, name in ((14, "BDT as GPST"), (-4, "BDT"), (18, "GPST"), (5, None), (0, None)):
        eq(time_scale_name(seconds * SECOND, 1000), name)
    eq(time_scale_name(5 * SECOND, 1000, 19), "BDT")
    for at, possible in (
        (0, True),
        (HOUR - 1, True),
        (HOUR, False),
        (-1, False),
        (25 * HOUR, False),
    ):
        eq((at, may_have_leap_second(JULY + at)), (at, possible))
    eq(may_have_leap_second(utc_from_civil(2027, 1, 1)), True)
    eq(may_have_leap_second(utc_from_civil(2027, 4, 1)), False)
    eq(next_month(JULY), utc_from_civil(2027, 8, 1))
    eq(next_month(utc_from_civil(2027, 12, 31)), utc_from_civil(2028, 1, 1))
    eq(next_month(JULY - 1), JULY)


def tracker():
    made = LeapSecondTracker(True)
    made.expect_month_end(JULY - HOUR)
    eq(made.month_end_us, JULY)
    return made


def test_a_leap_second_is_possible_from_a_second_before_the_month_ends():
    made = tracker()
    for at, possible in ((-SECOND - 1, False), (-SECOND, True), (0, True)):
        eq(
            (made.is_leap_possible(JULY + at), made.error_us(JULY + at)),
            (possible, SECOND * possible),
        )
    made.confirm(JULY - SECOND, START)  # a receiver that missed a negative one shows it too
    eq(made.is_leap_possible(JULY), True)
    august = utc_from_civil(2027, 8, 1)
    for seen, is_excluded in ((august - SECOND, True), (august - SECOND - 1, False)):
        made = LeapSecondTracker(True)
        made.expect_month_end(august - HOUR)
        made.confirm(seen, START)  # the last second was seen: no negative leap second
        for at, possible in ((0, False), (SECOND - 1, False), (SECOND, True)):
            eq(made.is_leap_possible(august + at), possible or not is_excluded)


def test_utc_steps_when_second_60_is_over_in_june_and_december():
    made = tracker()
    eq(made.is_step_due(JULY + HOUR), False)
    made.on_second_60()
    eq([made.is_step_due(JULY + at) for at in (0, SECOND - 1, SECOND)], [False, False, True])
    eq(made.is_leap_possible(0), True)
    made.on_applied()
    eq((made.second_60_seen, made.applied, made.is_step_due(JULY + HOUR)), (False, True, False))
    eq(made.is_leap_possible(0), True)
    for month, is_due in ((1, True), (2, False), (6, False), (7, True), (8, False)):
        made = LeapSecondTracker(True)
        made.expect_month_end(utc_from_civil(2027, month, 1) - HOUR)
        made.on_second_60()
        eq((month, made.is_step_due(made.month_end_us + SECOND)), (month, is_due))


def test_fixes_after_the_month_confirm_utc():
    made = tracker()
    august, september = utc_from_civil(2027, 8, 1), utc_from_civil(2027, 9, 1)
    made.expect_month_end(august - HOUR)
    made.confirm(august + SECOND - 1, START)
    eq(made.month_end_us, august)
    made.confirm(august + SECOND, START)
    eq((made.month_end_us, made.is_suspect()), (september, False))
    made = tracker()  # in June and December the receiver can have missed the message
    for at, now in ((SECOND - 1, 0), (SECOND, 1), (99 * SECOND, UNCERTAIN_FOR)):
        made.confirm(JULY + at, START + now)
        eq((made.month_end_us, made.is_leap_possible(JULY + at)), (JULY, True))
    eq(made.is_suspect(), True)
    made.confirm(JULY + 100 * SECOND, START + UNCERTAIN_FOR + 1)
    eq((made.month_end_us, made.is_suspect()), (august, False))
    for mark in ("on_second_60", "on_applied"):
        made = tracker()
        getattr(made, mark)()
        for at, now in ((-1, 0), (0, 1), (20 * SECOND, DAY)):
            made.confirm(JULY + at, START + now)
            eq((made.month_end_us, made.is_suspect()), (JULY, True))
        made.confirm(JULY + 30 * SECOND, START + DAY + 1)
        eq((made.month_end_us, made.applied), (utc_from_civil(2027, 8, 1), False))
        eq((made.second_60_seen, made.is_leap_possible(JULY)), (False, False))


def test_a_stated_count_ends_the_wait_but_confirms_no_step():
    for leap_s, at_s, stepped, is_ended in (
        (18, 60, False, True),
        (18, 59, False, False),
        (19, 60, False, False),
        (18, 60, True, False),
    ):
        made = tracker()
        made.confirm(JULY + SECOND, START)
        if stepped:
            made.on_applied(-1)
        made.state_leap_s(leap_s, JULY + at_s * SECOND)
        eq((leap_s, at_s, made.is_leap_possible(JULY + HOUR)), (leap_s, at_s, not is_ended))


def test_all_seconds_before_steps_are_in_the_bound():
    for steps, seconds in (
        ((-1,), 1),
        ((-1, -1), 2),
        ((1, 1, 1), 3),
        ((-1, 1), 1),
        ((1, -1, -1), 2),
    ):
        made = tracker()
        for step in steps:
            made.on_applied(step)
        eq((steps, made.error_us(JULY)), (steps, seconds * SECOND))
        made.expect_month_end(JULY + HOUR)
        eq(made.error_us(JULY + HOUR), 0)


def test_a_suspect_second_is_kept_until_another_source_agrees_or_a_day_is_over():
    for is_asked in (True, False):
        made = LeapSecondTracker(True)
        made.restore(19, True)
        eq((made.is_suspect(), made.error_us(JULY - HOUR)), (True, SECOND))
        made.expect_month_end(JULY - HOUR)  # UTC is set
        made.confirm(JULY - HOUR, START)
        eq((made.is_suspect(), made.error_us(JULY - HOUR)), (True, SECOND))
        if is_asked:
            made.agrees(JULY - HOUR)
        else:
            made.confirm(JULY - HOUR + SECOND, START + DAY)
        eq((made.is_suspect(), made.error_us(JULY - HOUR)), (False, 0))


def test_leap_seconds_are_known_after_26_minutes_without_a_gap():
    gaps = ((10 * SECOND, 1, True), (10 * SECOND + 1, 1, False), (29 * SECOND, 10, True))
    for gap, period_s, known in gaps + ((31 * SECOND, 10, False),):
        made = LeapSecondTracker(False)
        eq((made.uncertain, made.max_step_s(JULY), made.error_us(0)), (True, 18, 19 * SECOND))
        made.track(START, SECOND)
        made.track(START + 100 * SECOND, 100 * SECOND)
        made.track(START + 100 * SECOND + gap, period_s * SECOND)
        for second in range(200, 1560, 9):
            made.track(START + second * SECOND, 100 * SECOND)
        made.track(START + 1560 * SECOND - 1, 100 * SECOND)
        eq(made.uncertain, True)
        made.track(START + 1560 * SECOND, 100 * SECOND)
        eq((gap, made.uncertain), (gap, not known))
    made.set_known()
    eq((made.uncertain, made.leap_s), (False, 18))
    eq([made.max_step_s(JULY + at) for at in (0, HOUR)], [1, 0])
    made.set_leap_s(19)
    eq(made.leap_s, 19)


def test_limits_of_the_oscillator():
    holdover = Holdover(50_000, 1_000, 10)
    eq((holdover.limit_ppt, holdover.host_ppt), (50_010_000, 10_000))
    ageing = 2 * 600 + 20_000
    eq(holdover.change_ppt(600 * SECOND, None), 1_000 * 1001 * 10 + ageing)
    eq(holdover.change_ppt(600 * SECOND, 100), 1_000 * 115 * 10 + ageing)
    eq(holdover.change_ppt(1800 * SECOND, 100), 1_000 * 150 * 10 + 3600 + 20_000)
    eq(holdover.change_ppt(1800 * SECOND - 1, 100), 1_000 * 115 * 10 + 3598 + 20_000)
    eq(Holdover(500_000, 1_000).change_ppt(HOUR, None), 1_000 * 5_500 * 10 + 7200)
    eq(holdover.change_ppt(HOUR * 9, 60_000), 2 * 50_010_000)


def test_temperatures_of_the_sensor():
    holdover = Holdover(50_000, 1_000)
    eq((holdover.current_temperature(START), holdover.temperature_integral(START)), (None, 0))
    holdover.add_temperature(2000, START)
    holdover.add_temperature(2100, START + 10 * SECOND)
    eq(holdover.temperature_integral(START + 12 * SECOND), 2000 * 10 * SECOND + 2100 * 2 * SECOND)
    last = START + 10 * SECOND
    eq(holdover.current_temperature(last + 300 * SECOND), 2100)
    eq(holdover.current_temperature(last + 300 * SECOND + 1), None)
    eq((holdover.lag_centi_c(), holdover.change_ppt(0, 0)), (100, 1_000 * 115 * 10))
    holdover.add_temperature(2300, START + 60 * SECOND)
    holdover.add_temperature(2200, START + 61 * SECOND)
    eq(holdover.lag_centi_c(), 200)  # from the minute before
    holdover.add_temperature(2150, START + 361 * SECOND)
    eq((holdover.gaps, holdover.lag_centi_c()), (0, 150))
    holdover.add_temperature(1000, START + 661 * SECOND + 1)
    eq((holdover.gaps, holdover.lag_centi_c()), (1, 0))


def test_the_coefficient_needs_pairs_spread_and_significance():
    def learn(count, spread, slope=500, noise=0, gap=64, most=1000):
        model = TempcoModel(most)
        for i in range(count):
            t = 2500 + (spread if i % 2 else -spread)
            rate = 7000 + slope * (t - 2500) // 100 + (noise if i // 2 % 2 else -noise)
            model.add_pair(t, rate, START + i * gap * SECOND)
        return model.slope

    eq((learn(16, 100), learn(15, 100), learn(16, 50), learn(16, 49)), (500, None, 500, None))
    eq((learn(16, 100, gap=63), learn(31, 100, gap=63)), (None, None))
    eq((learn(16, 100, 2_000_000, most=1500), learn(16, 100, -2_000_000)), (1_500_000, -1_000_000))
    eq((learn(2100, 100), learn(16, 100, 500, 100), learn(16, 100, 500, 900)), (500, 500, None))
    model = TempcoModel(1000)
    model.restore(77)
    eq(model.slope, 77)


def test_end_of_a_line_contains_the_truth():
    """A rate that changes by at most `change`: the end is within the stated error."""
    noise, n, spacing = 1_000, 16, 100_000_000
    for change in (0, 40_000, 900_000):  # ppt
        for kind in range(4):
            blocks = []
            y = rate = 0
            for i in range(n):
                sign = 1 if (i * 7 + kind) % 3 else -1
                blocks.append(BlockMean(i * spacing, y + sign * noise, 0, 0))
                rate = change * (kind * i % 5) // 4 if kind < 3 else change * i // n
                if i < n - 1:
                    y += rate * spacing // 1_000_000_000
            found = line_end(blocks, noise, [change] * n)
            assert found is not None
            lo, hi, end = found
            # the noise of this test is systematic: its weights have one sum of 2.4 at most
            eq((lo - 3 * noise <= y <= hi + 3 * noise, end), (True, (n - 1) * spacing))
    eq(line_end([BlockMean(5, 1, 0, 0)] * 4, 1, [1] * 4), None)


def test_end_of_an_exact_line():
    blocks = [BlockMean(i * 1_000_000, 7_000 * i, 0, 0) for i in range(16)]
    lo, hi, end = line_end(blocks, 0, [0] * 16)
    eq((lo <= 105_000 <= hi, hi - lo < 200, end), (True, True, 15_000_000))


def test_mean_changes_are_those_until_the_last_block():
    """Without a sensor 1 degree a minute; with one, half of a steady warming, and the sensor."""
    holdover = Holdover(50_000, 1_000)
    far = 1 << 29
    unsensed = [BlockMean(i * 60 * SECOND, 0, -far, far) for i in range(3)]
    eq(mean_changes(unsensed, holdover), [1_010_000 + 120, 510_000 + 60, 0])
    warm = [BlockMean(i * 60 * SECOND, 0, 10 * i - 10, 10 * i) for i in range(5)]
    eq(mean_changes(warm, holdover), [400_000 + 240, 350_000 + 180, 300_000 + 120, 250_000 + 60, 0])


def test_mean_of_a_ramp():
    eq((ramp_mean(10, 100), ramp_mean(100, 100), ramp_mean(200, 100)), (5, 50, 75))


def test_mean_distance_is_that_of_the_farthest_values():
    """Values in a range and with a mean: all at both ends are the farthest."""
    eq((mean_distance(0, 100, 30, 0), mean_distance(0, 100, 30, -10)), (30, 40))
    eq((mean_distance(0, 100, 30, 100), mean_distance(5, 5, 5, 5)), (70, 0))
    for values in ((0, 0, 0, 100), (0, 50, 100), (100, 90, 0), (10, 20, 80)):
        for reference in range(-20, 130, 10):
            mean = sum(values) // len(values)
            distance = sum([abs(value - reference) for value in values]) // len(values)
            farthest = mean_distance(min(values), max(values), mean, reference)
            assert distance - 1 <= farthest <= 121, (values, reference)


def test_lag_of_the_sensor_counts_for_two_minutes():
    holdover = Holdover(50_000, 1_000)
    for minute in range(11):  # 1 degree a minute
        holdover.add_temperature(2_500 + 100 * minute, minute * 60 * SECOND)
    eq(holdover.lag_excess(0, 600 * SECOND), 1_000 * 120 // 600)
    eq(holdover.lag_excess(0, 6_000 * SECOND), 20)
