"""Sharing, holding, derating, droop, profile, schedule, headroom: the throttle's rules alone."""

from agent.power.allocator import share
from agent.power.demand_interval import Profile
from agent.power.frequency_droop import Droop
from agent.power.headroom import Headroom
from agent.power.heat_loss_detector import CALM, SURE, SUSPICIOUS, Onset
from agent.power.limit_ramp import Hold
from agent.power.load import Load
from agent.power.load_class import CLASSES, LoadClass, find
from agent.power.schedule import MOST, Schedule
from protocols.time_units import SECOND
from tests.portable.support.check import eq


def onset(supplies, backs=(42.0,), inlet_c=24.0, flows=(150.0,), valves=(50.0,), every_s=0.5):
    watched, found = Onset(), CALM
    for i in range(12 + len(supplies)):
        k = max(0, i - 11)
        at = int(i * every_s * SECOND)
        supply = supplies[k - 1] if k else 32.0
        back, flow = backs[min(k, len(backs) - 1)], flows[min(k, len(flows) - 1)]
        found = max(
            found, watched.see(at, supply, back, inlet_c, flow, valves[min(k, len(valves) - 1)])
        )
    return found


RISE = (32.1, 32.2, 32.4, 32.7)


def test_a_supply_that_rises_out_of_a_calm_is_an_onset():
    eq(onset(RISE), SURE)
    eq(onset((32.1,)), SUSPICIOUS)
    eq(onset((32.0, 32.1, 32.0, 32.0)), SUSPICIOUS)


def test_what_explains_the_rise_is_no_onset():
    eq(onset(RISE, backs=(42.0, 42.3)), CALM)
    eq(onset(RISE, flows=(150.0, 160.0)), CALM)
    eq(onset(RISE, valves=(50.0, 45.0)), CALM)
    eq(onset(RISE, valves=(10.0,)), CALM)
    eq(onset(RISE, backs=(34.0,)), CALM)


def test_a_leap_and_a_step_are_the_sensor_s():
    eq(onset((33.0, 33.1, 33.3, 33.6)), CALM)
    eq(onset((32.3, 32.3, 32.3, 32.3, 32.3)), SUSPICIOUS)


def test_a_slow_rise_is_none():
    eq(onset([32.0 + i / 30 for i in range(40)]) < SURE, True)


def test_a_reading_that_is_missing_begins_anew():
    watched = Onset()
    for i in range(20):
        supply = None if i == 14 else 32.0 + max(0, i - 14) / 10
        found = watched.see(i * SECOND // 2, supply, 42.0, 24.0, 150.0, 50.0)
    eq(found, CALM)


def test_enough_for_all_is_all():
    eq(share(1000, [(5, 100, 300), (1, 100, 300)]), ([300, 300], 0))


def test_the_lowest_priority_is_throttled_first():
    eq(share(500, [(5, 100, 300), (1, 100, 300)]), ([300, 200], 0))
    eq(share(350, [(1, 100, 300), (5, 100, 300)]), ([100, 250], 0))


def test_alike_within_a_priority():
    eq(share(600, [(3, 100, 300), (3, 100, 500), (1, 0, 200)]), ([233, 366, 0], 0))


def test_what_is_missing_for_the_least_is_said():
    eq(share(150, [(5, 100, 300), (1, 100, 300)]), ([100, 100], 50))
    eq(share(0, [(5, 0, 300)]), ([0], 0))
    eq(share(0, []), ([], 0))


def test_no_budget_is_ever_exceeded():
    seed = 1
    for _ in range(300):
        seeds = [(seed + i) * 1103515245 + 12345 & 0x7FFFFFFF for i in range(5)]
        claims = [(s % 3, s % 97, s % 97 + s % 1013) for s in seeds]
        seed = seeds[4]
        budget = seed % 4000
        given, missing = share(budget, claims)
        least, most = sum([c[1] for c in claims]), sum([c[2] for c in claims])
        eq(missing, max(0, least - budget))
        assert sum(given) <= max(budget, least)
        assert sum(given) >= min(budget, most) - len(claims), (given, budget)
        for watts, (_, low, high) in zip(given, claims):
            assert low <= watts <= high


def test_curves_stay_below_what_the_case_stands():
    for row in CLASSES:
        kind = LoadClass(*row)
        if kind.name == "optics":
            continue  # its power cannot be limited
        last = 1000
        for tenths in range(200, 750):
            permille = kind.permille(tenths / 10)
            assert permille <= last
            last = permille
            if permille > 10 * kind.curve[-1][1]:
                assert kind.case_c(tenths / 10, permille) <= kind.limit_c, (row[0], tenths)


def test_a_curve_is_linear_between_its_points():
    kind = LoadClass("x", 85, 38, ((40, 100), (50, 50)))
    eq([kind.permille(c) for c in (10, 40, 45, 47.5, 50, 90)], [1000, 1000, 750, 625, 500, 500])
    eq(kind.knee_c(), 40)


def test_the_sites_own_class_comes_first():
    own = LoadClass("gpu", 70, 30, ((30, 100),))
    eq((find("gpu", [own]), find("nothing", [own])), (own, None))


def load(limit=1000):
    made = Load("a", LoadClass(*CLASSES[0]), 5, 300, 1000)
    made.limit_w = limit
    return made


def test_down_at_once_up_after_the_hold_in_steps():
    hold, one = Hold(60 * SECOND, 10, 15 * SECOND), load()
    eq((hold.settle(one, 500, True, 0), one.limit_w), (True, 500))
    seconds = range(1, 200)
    moved = [(s, one.limit_w) for s in seconds if hold.settle(one, 1000, True, s * SECOND)]
    eq(moved, [(60, 600), (72, 700), (84, 800), (96, 900), (108, 1000)])


def test_what_is_small_moves_nothing_unless_it_is_the_end():
    hold, one = Hold(0, 10, 0), load(900)
    eq(hold.settle(one, 885, True, SECOND), False)
    eq(hold.settle(one, 915, True, SECOND), False)
    eq((hold.settle(one, 300, False, SECOND), one.limit_w), (True, 300))
    one = load(995)
    eq((hold.settle(one, 1000, True, SECOND), one.limit_w), (True, 1000))


def test_no_step_up_outside_the_slot():
    hold, one = Hold(0, 10, 0), load(500)
    eq(hold.settle(one, 1000, False, SECOND), False)


def test_droop():
    droop = Droop(50_000, 200, 800, 60)
    given = [droop.permille(mhz) for mhz in (50_000, 49_800, 49_400, 49_000, 48_000, 51_000)]
    eq(given, [1000, 1000, 800, 600, 600, 1000])
    eq([droop.permille(mhz) for mhz in (None, 0, 70_000)], [1000, 1000, 1000])


def test_the_profile_is_of_whole_utc_intervals():
    profile = Profile(60 * SECOND)
    start = 1_795_500_000 * SECOND
    for second in range(30, 300):
        watts = 1000 if second <= 120 else 3000 if second <= 150 else 1000
        profile.take(start + second * SECOND, watts, SECOND)
        if second == 61:
            eq((profile.mean_w, profile.peak_w), (None, None))  # half an interval was seen
        if second == 121:
            eq((profile.mean_w, profile.peak_w), (1000, 1000))
        if second == 181:
            eq((profile.mean_w, profile.peak_w), (2000, 3000))
            eq(profile.began_us, start + 120 * SECOND)


def test_the_schedule_is_done_in_order():
    plan = Schedule()
    eq(plan.add(200, "cap_pct", 50), "")
    eq(plan.add(100, "cap_w", 5000), "")
    eq(plan.add(100, "cap_w", 5000), "")  # once
    eq(plan.due(99), None)
    eq(
        [plan.due(100), plan.due(100), plan.due(300)],
        [(100, "cap_w", 5000), None, (200, "cap_pct", 50)],
    )
    assert "no action" in plan.add(1, "explode", 1)
    assert "outside" in plan.add(1, "cap_pct", 101)
    for i in range(MOST):
        eq(plan.add(i, "cap_w", i), "")
    assert "wait" in plan.add(1000, "cap_w", 1)
    again = Schedule()
    again.read(plan.text() + b"\nnonsense\n1 cap_pct x\n")
    eq(again.entries, plan.entries)
    eq((plan.cancel(), plan.entries), (MOST, []))


def steps(head, supplies, pressed=True, load_w=50_000):
    for i, supply in enumerate(supplies):
        head.step((i * SECOND, supply), 5.0, 60.0, 24.0, pressed, load_w)


def test_heat_and_its_limit_by_hand():
    head = Headroom(45.0)
    steps(head, [32.0])
    eq(head.heat_w, int(66.8 * 60 * 5))
    part = 5.0 / (32.0 + 5.0 - 24.0)
    eq(head.limit_w, int(66.8 * 60 * part * (45.0 - 24.0) / (1 - part)))


def test_the_limit_is_the_heat_when_the_supply_stands_at_the_most():
    head = Headroom(45.0)
    steps(head, [45.0])
    assert abs(head.limit_w - head.heat_w) <= 1


def test_a_fast_rise_is_heat_lost_and_a_slow_one_is_not():
    head = Headroom(45.0)
    steps(head, [32.0, 32.5, 33.1, 33.8, 34.5])
    eq((head.lost, head.why), (True, "supply rises"))
    head = Headroom(45.0)
    steps(head, [32.0, 32.1, 32.2, 32.2, 32.3, 32.4])
    eq(head.lost, False)
    head = Headroom(45.0)
    steps(head, [30.0, 30.5, 31.0, 31.5], False)  # towards the set-point
    eq(head.lost, False)
    steps(head, [32.0, 32.5, 33.1, 33.8, 34.5], True, 30_000)  # 20 kW of 30 leave the coolant
    eq(head.lost, False)


def test_it_stays_lost_until_the_supply_rises_no_more():
    head = Headroom(45.0)
    steps(head, [32.0, 32.5, 33.1, 33.8, 34.5, 34.6, 34.7, 34.75, 34.8])
    eq(head.lost, True)
    steps(head, [34.8, 34.7, 34.6, 34.5])
    eq(head.lost, False)


def test_water_that_stands_still_twice_is_heat_lost():
    head = Headroom(45.0)
    head.facility(80.0, 40.0)
    head.facility(0.0, 40.0)
    steps(head, [32.0])
    eq(head.lost, False)
    head.facility(0.0, 40.0)
    steps(head, [32.0])
    eq((head.lost, head.why), (True, "the facility water stands still"))
    head.facility(70.0, 40.0)
    steps(head, [32.0, 32.0])
    eq(head.lost, False)
    for _ in range(5):
        head.facility(0.0, 5.0)  # a valve that is shut lets nothing through
    eq(head.still, 0)
