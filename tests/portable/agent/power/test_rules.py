# SPDX-License-Identifier: Apache-2.0
"""Rules of the power limits: allocation, ramp, derating, droop, interval, schedule, headroom."""

from agent.power.demand_interval import DemandInterval
from agent.power.detector.headroom import CoolingHeadroom
from agent.power.detector.heat_loss_detector import CONFIRMED, NORMAL, SUSPECTED, HeatLossDetector
from agent.power.frequency_droop import FrequencyDroop
from agent.power.limit.allocator import allocate_power
from agent.power.limit.limit_ramp import LimitRamp
from agent.power.load import Load
from agent.power.load_class import CLASSES, LoadClass, find_class
from agent.power.schedule import MAX_ENTRIES, Schedule
from protocols.time_units import SECOND
from tests.portable.support.check import eq


def detect_heat_loss(
    supplies, backs=(42.0,), inlet_c=24.0, flows=(150.0,), valves=(50.0,), every_s=0.5
):
    detector, found = HeatLossDetector(), NORMAL
    for i in range(12 + len(supplies)):
        k = max(0, i - 11)
        at = int(i * every_s * SECOND)
        supply = supplies[k - 1] if k else 32.0
        back, flow = backs[min(k, len(backs) - 1)], flows[min(k, len(flows) - 1)]
        found = max(
            found,
            detector.add_readings(at, supply, back, inlet_c, flow, valves[min(k, len(valves) - 1)]),
        )
    return found


RISE = (32.1, 32.2, 32.4, 32.7)


def test_rise_from_steady_supply_is_detected():
    eq(detect_heat_loss(RISE), CONFIRMED)
    eq(detect_heat_loss((32.1,)), SUSPECTED)
    eq(detect_heat_loss((32.0, 32.1, 32.0, 32.0)), SUSPECTED)


def test_explained_rise_is_not_detected():
    eq(detect_heat_loss(RISE, backs=(42.0, 42.3)), NORMAL)
    eq(detect_heat_loss(RISE, flows=(150.0, 160.0)), NORMAL)
    eq(detect_heat_loss(RISE, valves=(50.0, 45.0)), NORMAL)
    eq(detect_heat_loss(RISE, valves=(10.0,)), NORMAL)
    eq(detect_heat_loss(RISE, backs=(34.0,)), NORMAL)


def test_sensor_jump_and_step_are_not_detected():
    eq(detect_heat_loss((33.0, 33.1, 33.3, 33.6)), NORMAL)
    eq(detect_heat_loss((32.3, 32.3, 32.3, 32.3, 32.3)), SUSPECTED)


def test_slow_rise_is_not_detected():
    eq(detect_heat_loss([32.0 + i / 30 for i in range(40)]) < CONFIRMED, True)


def test_missing_reading_restarts_detection():
    detector = HeatLossDetector()
    for i in range(20):
        supply = None if i == 14 else 32.0 + max(0, i - 14) / 10
        found = detector.add_readings(i * SECOND // 2, supply, 42.0, 24.0, 150.0, 50.0)
    eq(found, NORMAL)


def test_sufficient_budget_gives_every_maximum():
    eq(allocate_power(1000, [(5, 100, 300), (1, 100, 300)]), ([300, 300], 0))


def test_lowest_priority_is_limited_first():
    eq(allocate_power(500, [(5, 100, 300), (1, 100, 300)]), ([300, 200], 0))
    eq(allocate_power(350, [(1, 100, 300), (5, 100, 300)]), ([100, 250], 0))


def test_equal_priority_shares_equally():
    eq(allocate_power(600, [(3, 100, 300), (3, 100, 500), (1, 0, 200)]), ([233, 366, 0], 0))


def test_shortfall_for_minimum_power_is_returned():
    eq(allocate_power(150, [(5, 100, 300), (1, 100, 300)]), ([100, 100], 50))
    eq(allocate_power(0, [(5, 0, 300)]), ([0], 0))
    eq(allocate_power(0, []), ([], 0))


def test_no_budget_is_ever_exceeded():
    seed = 1
    for _ in range(300):
        seeds = [(seed + i) * 1103515245 + 12345 & 0x7FFFFFFF for i in range(5)]
        demands = [(s % 3, s % 97, s % 97 + s % 1013) for s in seeds]
        seed = seeds[4]
        budget = seed % 4000
        given, missing = allocate_power(budget, demands)
        least, most = sum([c[1] for c in demands]), sum([c[2] for c in demands])
        eq(missing, max(0, least - budget))
        assert sum(given) <= max(budget, least)
        assert sum(given) >= min(budget, most) - len(demands), (given, budget)
        for watts, (_, low, high) in zip(given, demands):
            assert low <= watts <= high


def test_derating_curves_stay_below_the_case_limit():
    for row in CLASSES:
        kind = LoadClass(*row)
        if kind.name == "optics":
            continue  # its power cannot be limited
        last = 1000
        for tenths in range(200, 750):
            permille = kind.power_permille(tenths / 10)
            assert permille <= last
            last = permille
            if permille > 10 * kind.curve[-1][1]:
                assert kind.case_c(tenths / 10, permille) <= kind.limit_c, (row[0], tenths)


def test_a_curve_is_linear_between_its_points():
    kind = LoadClass("x", 85, 38, ((40, 100), (50, 50)))
    eq(
        [kind.power_permille(c) for c in (10, 40, 45, 47.5, 50, 90)],
        [1000, 1000, 750, 625, 500, 500],
    )
    eq(kind.derating_start_c(), 40)


def test_site_classes_have_precedence():
    own = LoadClass("gpu", 70, 30, ((30, 100),))
    eq((find_class("gpu", [own]), find_class("nothing", [own])), (own, None))


def make_load(limit=1000):
    made = Load("a", LoadClass(*CLASSES[0]), 5, 300, 1000)
    made.limit_w = limit
    return made


def test_limit_falls_immediately_and_rises_in_steps():
    hold, one = LimitRamp(60 * SECOND, 10, 15 * SECOND), make_load()
    eq((hold.step_limit(one, 500, True, 0), one.limit_w), (True, 500))
    seconds = range(1, 200)
    moved = [(s, one.limit_w) for s in seconds if hold.step_limit(one, 1000, True, s * SECOND)]
    eq(moved, [(60, 600), (72, 700), (84, 800), (96, 900), (108, 1000)])


def test_small_changes_are_ignored_except_at_the_ends():
    hold, one = LimitRamp(0, 10, 0), make_load(900)
    eq(hold.step_limit(one, 885, True, SECOND), False)
    eq(hold.step_limit(one, 915, True, SECOND), False)
    eq((hold.step_limit(one, 300, False, SECOND), one.limit_w), (True, 300))
    one = make_load(995)
    eq((hold.step_limit(one, 1000, True, SECOND), one.limit_w), (True, 1000))


def test_limit_rises_only_in_its_slot():
    hold, one = LimitRamp(0, 10, 0), make_load(500)
    eq(hold.step_limit(one, 1000, False, SECOND), False)


def test_frequency_droop():
    droop = FrequencyDroop(50_000, 200, 800, 60)
    given = [droop.power_permille(mhz) for mhz in (50_000, 49_800, 49_400, 49_000, 48_000, 51_000)]
    eq(given, [1000, 1000, 800, 600, 600, 1000])
    eq([droop.power_permille(mhz) for mhz in (None, 0, 70_000)], [1000, 1000, 1000])


def test_demand_interval_covers_whole_utc_intervals():
    profile = DemandInterval(60 * SECOND)
    start = 1_795_500_000 * SECOND
    for second in range(30, 300):
        watts = 1000 if second <= 120 else 3000 if second <= 150 else 1000
        profile.add_power(start + second * SECOND, watts, SECOND)
        if second == 61:
            eq((profile.mean_w, profile.peak_w), (None, None))  # half of the interval was covered
        if second == 121:
            eq((profile.mean_w, profile.peak_w), (1000, 1000))
        if second == 181:
            eq((profile.mean_w, profile.peak_w), (2000, 3000))
            eq(profile.start_us, start + 120 * SECOND)


def test_schedule_runs_in_order():
    plan = Schedule()
    eq(plan.add(200, "cap_pct", 50), "")
    eq(plan.add(100, "cap_w", 5000), "")
    eq(plan.add(100, "cap_w", 5000), "")  # once
    eq(plan.pop_due(99), None)
    eq(
        [plan.pop_due(100), plan.pop_due(100), plan.pop_due(300)],
        [(100, "cap_w", 5000), None, (200, "cap_pct", 50)],
    )
    assert "no action" in plan.add(1, "explode", 1)
    assert "outside" in plan.add(1, "cap_pct", 101)
    for i in range(MAX_ENTRIES):
        eq(plan.add(1 + i, "cap_w", i), "")
    assert "wait" in plan.add(1000, "cap_w", 1)
    eq(plan.add(0, "cap_pct", 40), "")
    eq(plan.pop_due(0), (0, "cap_pct", 40))
    for i in range(MAX_ENTRIES):
        eq(plan.add(0, "cap_w", i), "")
    assert "wait" in plan.add(0, "cap_w", 1000)
    due = [plan.pop_due(0) for _ in range(MAX_ENTRIES)]
    eq((due[0], due[-1]), ((0, "cap_w", 0), (0, "cap_w", MAX_ENTRIES - 1)))
    again = Schedule()
    again.decode(plan.encode() + b"\nnonsense\n1 cap_pct x\n")
    eq(again.entries, plan.entries)
    eq((plan.cancel(), plan.entries), (MAX_ENTRIES, []))


def configured(text=b"", keeps_setpoints=True):
    plan = Schedule()
    plan.add(100, "cap_w", 5000)
    plan.add(200, "supply_milli_c", 34_000)
    plan.configure(keeps_setpoints)
    plan.add(150, "cap_pct", 50)
    plan.decode(text)
    return plan


def test_entries_of_the_configuration_happen_once():
    plan = configured()
    eq(plan.encode(), b"150 cap_pct 50")
    plan.pop_due(100)
    eq(plan.encode(), b"150 cap_pct 50\n- 100 cap_w 5000")
    eq(configured(plan.encode()).entries, plan.entries)
    eq(configured(plan.encode()).encode(), plan.encode())
    eq(configured(b"- 150 cap_pct 50\n- 7 cap_w 1\n- x\n-").encode(), b"")
    eq(plan.cancel(), 2)
    eq(plan.encode(), b"- 100 cap_w 5000\n- 200 supply_milli_c 34000")
    eq(plan.add(100, "cap_w", 5000), "")  # an operator wants it again
    eq(plan.encode(), b"- 200 supply_milli_c 34000")
    plan.reset()
    eq([entry.at_utc_us for entry in plan.entries], [100, 200])
    plan = configured(keeps_setpoints=False)
    plan.cancel()
    eq(plan.encode(), b"- 100 cap_w 5000")


def run_steps(head, supplies, pressed=True, load_w=44_000, start_s=0):
    """20 kW leave the coolant, 22 kW with the errors of both sensors."""
    for i, supply in enumerate(supplies):
        head.step(((start_s + i) * SECOND, supply), 5.0, 60.0, 24.0, pressed, load_w)


def test_heat_and_limit_against_manual_calculation():
    head = CoolingHeadroom(45.0)
    run_steps(head, [32.0])
    eq(head.heat_w, int(66.8 * 60 * 5))
    part = 5.0 / (32.0 + 5.0 - 24.0)
    eq(head.limit_w, int(66.8 * 60 * part * (45.0 - 24.0) / (1 - part)))


def test_limit_equals_heat_at_maximum_supply():
    head = CoolingHeadroom(45.0)
    run_steps(head, [45.0])
    assert abs(head.limit_w - head.heat_w) <= 1


def test_fast_rise_sets_heat_rejection_lost():
    head = CoolingHeadroom(45.0)
    run_steps(head, [32.0, 32.5, 33.1, 33.8, 34.5])
    eq((head.heat_rejection_lost, head.loss_reason), (True, "supply rises"))
    head = CoolingHeadroom(45.0)
    run_steps(head, [32.0, 32.1, 32.2, 32.2, 32.3, 32.4])
    eq(head.heat_rejection_lost, False)
    head = CoolingHeadroom(45.0)
    run_steps(head, [30.0, 30.5, 31.0, 31.5], False)  # towards the set-point
    eq(head.heat_rejection_lost, False)
    run_steps(head, [32.0, 32.5, 33.1, 33.8, 34.5], True, 30_000)  # 20 of 30 kW leave the coolant
    eq(head.heat_rejection_lost, False)


def test_heat_rejection_lost_until_supply_stops_rising():
    head = CoolingHeadroom(45.0)
    run_steps(head, [32.0, 32.5, 33.1, 33.8, 34.5, 34.6, 34.7, 34.75, 34.8])
    eq(head.heat_rejection_lost, True)
    run_steps(head, [34.8, 34.7, 34.6, 34.5], start_s=9)
    eq(
        head.heat_rejection_lost, True
    )  # 10 s after the last evidence, so the alarm does not chatter
    run_steps(head, [34.4, 34.3, 34.2, 34.1], start_s=13)
    eq(head.heat_rejection_lost, False)


def test_a_warm_supply_that_stands_does_not_end_a_loss_while_heat_is_missing():
    for load_w, is_at_limit, is_lost in (
        (90_000, True, True),
        (44_500, True, True),
        (43_500, True, False),
        (90_000, False, False),
    ):
        head = CoolingHeadroom(44.0)
        run_steps(head, [33.0 + 0.4 * i for i in range(25)], load_w=90_000)
        eq(head.heat_rejection_lost, True)
        run_steps(head, [43.0] * 20, is_at_limit, load_w, start_s=25)
        eq((load_w, is_at_limit, head.heat_rejection_lost), (load_w, is_at_limit, is_lost))


def test_a_warm_supply_that_stands_without_loads_does_not_end_a_loss_without_flow():
    """The loads are off and the valve is shut: nothing shows that heat can leave the coolant."""
    for meter, is_at_limit, is_lost in (
        ((80.0, 0.0), True, True),
        ((0.2, 0.2), True, True),  # no flow since the start
        ((80.0, 80.0), True, False),
        ((80.0, 0.0), False, True),
        ((0.2, 0.2), False, False),
        ((None, None), True, False),
    ):
        head = CoolingHeadroom(44.0)
        head.add_fws_flow(meter[0], 40.0)
        run_steps(head, [33.0 + 0.4 * i for i in range(25)], load_w=90_000)
        eq((meter, head.heat_rejection_lost), (meter, True))
        head.add_fws_flow(meter[1], 0.0)
        for i in range(25, 60):
            head.step((i * SECOND, 42.0), 0.1, 60.0, 24.0, is_at_limit, 0)
        eq((meter, is_at_limit, head.heat_rejection_lost), (meter, is_at_limit, is_lost))
        head.add_fws_flow(80.0, 40.0)
        run_steps(head, [42.0 - 0.1 * i for i in range(20)], True, 0, start_s=60)
        eq((meter, head.heat_rejection_lost), (meter, False))


def test_noise_is_no_rise():
    head = CoolingHeadroom(45.0)
    run_steps(head, [32.0, 31.0, 33.5, 36.0, 38.5, 39.0, 34.0, 31.0, 33.0, 35.5])
    eq((head.heat_rejection_lost, head.rise_k_s), (False, 0.0))
    # the noise is forgotten; then a true rise counts
    run_steps(head, [35.0] * 30 + [35.6, 36.2, 36.8, 37.4, 38.0], start_s=10)
    eq(head.heat_rejection_lost, True)


def test_two_zero_flow_readings_set_heat_rejection_lost():
    head = CoolingHeadroom(45.0)
    head.add_fws_flow(80.0, 40.0)
    head.add_fws_flow(0.0, 40.0)
    run_steps(head, [32.0])
    eq(head.heat_rejection_lost, False)
    head.add_fws_flow(0.0, 40.0)
    run_steps(head, [32.0])
    eq((head.heat_rejection_lost, head.loss_reason), (True, "the facility water stands still"))
    head.add_fws_flow(70.0, 40.0)
    run_steps(head, [32.0, 32.0], start_s=10)
    eq(head.heat_rejection_lost, False)
    for _ in range(5):
        head.add_fws_flow(0.0, 5.0)  # a closed valve has no flow
    eq(head.no_flow_count, 0)


def test_a_valve_that_closes_does_not_end_a_loss_at_once():
    """A false supply that is cold closes the valve; the loss would come and go."""
    head = CoolingHeadroom(45.0)
    for lpm in (80.0, 0.0, 0.0):
        head.add_fws_flow(lpm, 40.0)
    run_steps(head, [32.0])
    head.add_fws_flow(0.0, 5.0)
    for i, is_lost in ((1, True), (59, True), (60, False)):
        head.step((i * SECOND, 32.0), 1.9, 60.0, 24.0, False, 9_000)
        eq((i, head.heat_rejection_lost), (i, is_lost))
    for lpm in (80.0, 0.0, 0.0):
        head.add_fws_flow(lpm, 40.0)
    run_steps(head, [32.0], start_s=100)
    head.add_fws_flow(0.0, 5.0)
    head.add_fws_flow(80.0, 40.0)
    for i, is_lost in ((109, True), (110, False)):
        head.step((i * SECOND, 32.0), 1.9, 60.0, 24.0, False, 9_000)
        eq((i, head.heat_rejection_lost), (i, is_lost))


def with_a_zero_flow_meter():
    """Return a headroom whose facility flow meter shows nothing: 20 kW leave the coolant."""
    head = CoolingHeadroom(45.0)
    for lpm in (80.0, 0.0, 0.0):
        head.add_fws_flow(lpm, 40.0)
    run_steps(head, [32.0] * 60, load_w=25_000)
    eq((head.heat_rejection_lost, head.is_flow_false), (True, False))
    return head


def test_heat_that_is_rejected_shows_a_false_flow_meter():
    head = with_a_zero_flow_meter()
    run_steps(head, [32.0] * 15, load_w=25_000, start_s=60)
    eq((head.heat_rejection_lost, head.is_flow_false), (False, True))
    head.add_fws_flow(0.0, 5.0)  # a closed valve shows nothing new
    head.add_fws_flow(0.0, 40.0)
    head.add_fws_flow(0.0, 40.0)
    run_steps(head, [32.0, 32.1], load_w=50_000, start_s=75)  # the load rises: no loss
    eq((head.heat_rejection_lost, head.is_flow_false), (False, True))
    run_steps(head, [32.0, 32.4, 32.9, 33.4, 33.9], load_w=50_000, start_s=77)  # it is true now
    eq((head.heat_rejection_lost, head.is_flow_false), (True, False))


def test_a_flow_meter_that_shows_flow_again_counts_again():
    head = with_a_zero_flow_meter()
    run_steps(head, [32.0] * 5, load_w=25_000, start_s=60)
    head.add_fws_flow(80.0, 40.0)
    run_steps(head, [32.0] * 2, load_w=25_000, start_s=65)
    eq(head.is_flow_false, False)
    head.add_fws_flow(0.0, 40.0)
    head.add_fws_flow(0.0, 40.0)
    run_steps(head, [32.0], load_w=25_000, start_s=67)
    eq(head.heat_rejection_lost, True)


def test_a_small_heat_between_does_not_hide_a_false_flow_meter():
    """Limits leave a heat that shows nothing; its time does not count, and a gap begins again."""
    for between_s, supply, is_false in ((60, 32.0, True), (0, None, False), (60, 35.1, False)):
        head = with_a_zero_flow_meter()
        for i in range(between_s):
            head.step(((60 + i) * SECOND, supply), 1.9, 60.0, 24.0, False, 10_000)
        if supply is None:
            head.step(None, None, None, None, False, 10_000)
        eq(head.is_flow_false, False)
        run_steps(head, [32.0] * 6, load_w=25_000, start_s=120)
        eq((supply, head.is_flow_false), (supply, is_false))


def test_water_that_stands_is_no_false_flow_meter():
    """The supply rises, or the heat stays in the coolant, or there is too little to say so."""
    head = CoolingHeadroom(45.0)
    for lpm in (80.0, 0.0, 0.0):
        head.add_fws_flow(lpm, 40.0)
    run_steps(head, [32.0 + i / 20 for i in range(200)], load_w=25_000)
    eq((head.heat_rejection_lost, head.is_flow_false), (True, False))
    run_steps(head, [42.0] * 200, load_w=50_000, start_s=200)
    eq((head.heat_rejection_lost, head.is_flow_false), (True, False))
    for i in range(200):
        head.step(((400 + i) * SECOND, 42.0), 1.9, 60.0, 24.0, True, 9_000)
    eq((head.heat_rejection_lost, head.is_flow_false), (True, False))


def test_a_loss_does_not_end_because_the_supply_is_not_read():
    for lpm, is_lost in ((None, True), (0.0, True), (200.0, False)):
        head = CoolingHeadroom(45.0)
        head.add_fws_flow(200.0, 50.0)
        run_steps(head, [32.0, 32.5, 33.1, 33.8, 34.5])
        eq(head.heat_rejection_lost, True)
        head.add_fws_flow(lpm, 50.0)
        head.step(None, None, None, None, False, 90_000)
        eq((lpm, head.heat_rejection_lost), (lpm, is_lost))
    head = CoolingHeadroom(45.0)
    head.step(None, None, None, None, False, 90_000)
    eq(head.heat_rejection_lost, False)
