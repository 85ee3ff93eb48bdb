# SPDX-License-Identifier: Apache-2.0
"""Slow watch of the loop: lost coolant, filter, supply far from its set-point."""

from agent.safety.loop_watch import LoopWatch
from protocols.time_units import SECOND
from tests.portable.agent.safety.fake_row import (
    UNIT_POINTS,
    RecordedLimits,
    SessionOfPoints,
    UnitOfSessions,
)
from tests.portable.agent.safety.fake_unit import FakeLoop
from tests.portable.agent.safety.test_interlock import CDU, make_rig
from tests.portable.support.check import eq, near


def make():
    rig = make_rig()
    return rig, LoopWatch(rig.agent)


def feed(watch, values):
    """Give readings of the static pressure; return how many it takes until the alarm, or 0."""
    for i, kpa in enumerate(values):
        watch._add_static(kpa)
        if watch.is_low:
            return i + 1
    return 0


def test_leak_without_detector_is_found_by_the_static_pressure():
    for litres_min, most in ((0.5, 60), (5.0, 10), (30.0, 4)):
        _, watch = make()
        eq(feed(watch, [150.0] * 60), 0)
        fall = 8.0 * litres_min / 60.0
        seconds = feed(watch, [150.0 - fall * i for i in range(1, 120)])
        eq(0 < seconds <= most, True)


def test_step_noise_and_slow_change_are_no_leak():
    _, watch = make()
    eq(feed(watch, [150.0] * 30 + [0.0] * 30 + [400.0] * 30 + [150.0] * 30), 0)
    eq(feed(watch, [150.0 + (0.8 if i % 2 else -0.8) for i in range(200)]), 0)
    eq(feed(watch, [150.0 - i / 1000.0 for i in range(3000)]), 0)


def test_alarm_ends_after_the_refill():
    _, watch = make()
    feed(watch, [150.0] * 60)
    eq(feed(watch, [150.0 - i for i in range(9)]) > 0, True)
    for kpa in [142.0 + i for i in range(9)] + [150.0] * 20:
        watch._add_static(kpa)
    eq(watch.is_low, False)


def test_a_step_of_the_pressure_is_no_refill():
    for step in ([0.0] * 30, [150.0 + 40.0] * 30, [400.0] * 2, [149.8] * 4, [400.0, 120.0] * 9):
        _, watch = make()
        feed(watch, [150.0] * 60)
        eq(feed(watch, [150.0 - i for i in range(15)]) > 0, True)
        for kpa in step + [135.0] * 20:
            watch._add_static(kpa)
            eq((step[0], watch.is_low), (step[0], True))
    for kpa in [150.0] * 5:
        eq(watch.is_low, True)
        watch._add_static(kpa)
    eq(watch.is_low, False)


def eq_words(watch, word, kpa):
    """Compare the words with `word` and the usual pressure."""
    found, number = watch.words().split(" ")
    eq(found, word)
    near(int(number) / 1000.0 - 100.0, kpa, 0.05)


def after_a_loss(words):
    """Return a watch after a restart, which has read `words` after its first readings."""
    watch = make()[1]
    feed(watch, [135.0] * 3)
    eq(watch.restore(words.split(" ")), True)
    return watch


def test_coolant_that_was_lost_in_a_gap_of_the_readings_is_lost():
    for gap_kpa, is_low in ((133.0, True), (147.5, False), (146.5, True), (165.0, False)):
        _, watch = make()
        feed(watch, [150.0] * 60)
        watch._add_static(None)
        watch._add_static(gap_kpa)
        eq((gap_kpa, watch.is_low), (gap_kpa, is_low))
        watch._add_static(gap_kpa - 12.0)  # with readings it is a step
        eq((gap_kpa, watch.is_low), (gap_kpa, is_low))
        for _ in range(20):
            watch._add_static(150.0)
        eq((gap_kpa, watch.is_low), (gap_kpa, False))


def test_lost_coolant_is_known_after_a_restart():
    watch = make()[1]
    feed(watch, [150.0] * 60)
    eq(watch.words(), "")
    feed(watch, [150.0 - i for i in range(15)])
    eq_words(watch, "low", 150.0)
    watch = after_a_loss(watch.words())
    feed(watch, [135.0] * 60)
    eq([record.code for record, _, _ in watch.active_conditions()], ["level_low"])
    eq_words(watch, "low", 150.0)
    for kpa in [150.0] * 5:
        eq(watch.is_low, True)
        watch._add_static(kpa)
    eq((watch.is_low, watch.words()), (False, ""))


def test_a_fast_loss_is_known_after_a_restart():
    watch = make()[1]
    feed(watch, [150.0] * 60)
    for i in range(7):
        feed(watch, [150.0 - 4.0 * i])
        feed_pressures(watch, [(230.0 - 4.0 * i, 150.0 - 4.0 * i)])
    feed_pressures(watch, [(230.0 - 4.0 * i, 150.0 - 4.0 * i) for i in range(7)])
    eq_words(watch, "loss", 150.0)
    watch = after_a_loss(watch.words())
    eq(max(feed_pressures(watch, [(206.0, 126.0)] * 40)), 0)
    eq([record.code for record, _, _ in watch.active_conditions()], ["level_low", "coolant_loss"])


def test_a_reading_near_zero_is_the_first_one_after_a_restart():
    watch = make()[1]
    eq(watch.restore(["low", "100000"]), True)
    for kpa in [0.0] * 5:
        watch._add_static(kpa)
    eq(watch.is_low, False)


def test_other_words_of_a_restart_are_refused():
    for words in (["low"], ["low", "x"], ["low", "-1"], ["low", "1" * 8], ["high", "1"], []):
        watch = make()[1]
        eq((words, watch.restore(words), watch.is_low), (words, False, False))


def test_a_person_accepts_a_loop_with_another_pressure():
    """It was filled up higher than before, or its sensor was replaced by one with another zero."""
    watch = make()[1]
    eq(watch.accept(), False)
    feed(watch, [150.0] * 60)
    feed(watch, [150.0 - i for i in range(15)] + [165.0] * 600)
    eq((watch.is_low, watch.accept()), (True, True))
    eq((watch.is_low, watch.words()), (False, ""))
    eq(feed(watch, [165.0] * 60), 0)
    eq(feed(watch, [165.0 - i for i in range(15)]) > 0, True)


def test_supply_far_from_its_setpoint_is_an_alarm():
    rig = make_rig()
    rig.set(CDU, 0, 430)
    rig.run(25)
    eq("supply_deviation" in rig.alarm_codes(), True)
    rig.set(CDU, 0, 320)
    rig.run(3)
    eq("supply_deviation" in rig.alarm_codes(), False)


def test_missing_readings_keep_the_state():
    _, watch = make()
    watch.step(1000 * SECOND)
    eq(watch.active_conditions(), [])


def feed_pressures(watch, pairs):
    """Give pressures once a second; return the orders."""
    orders = []
    for i, (supply_kpa, return_kpa) in enumerate(pairs):
        watch._add_pressures(supply_kpa, return_kpa, i * SECOND)
        orders.append(watch.loss_order)
    return orders


def test_fast_loss_of_coolant_limits_then_switches_off():
    _, watch = make()
    orders = feed_pressures(watch, [(230.0 - 4.0 * i, 150.0 - 4.0 * i) for i in range(7)])
    eq(orders, [0, 0, 0, 1, 2, 2, 2])
    eq([record.code for record, _, _ in watch.active_conditions()], ["coolant_loss"])
    orders = feed_pressures(watch, [(200.0, 120.0)] * 30)
    eq((orders[0], orders[-1]), (2, 0))


def test_the_loss_stays_an_alarm_until_the_static_pressure_is_back():
    _, watch = make()
    feed(watch, [150.0] * 60)
    for i in range(7):
        feed(watch, [150.0 - 4.0 * i])
        feed_pressures(watch, [(230.0 - 4.0 * i, 150.0 - 4.0 * i)])
    feed_pressures(watch, [(230.0 - 4.0 * i, 150.0 - 4.0 * i) for i in range(7)])
    eq(feed_pressures(watch, [(206.0, 126.0)] * 40)[-1], 0)
    eq([record.code for record, _, _ in watch.active_conditions()], ["level_low", "coolant_loss"])
    for kpa in (140.0, 145.0, 150.0, 150.0, 150.0, 150.0, 150.0, 150.0, 150.0, 150.0):
        watch._add_static(kpa)
    eq([record.code for record, _, _ in watch.active_conditions()], ["coolant_loss"])
    feed_pressures(watch, [(230.0, 150.0)])
    eq(watch.active_conditions(), [])


def test_one_sensor_a_pump_or_a_slow_leak_is_no_fast_loss():
    for pairs in (
        [(230.0 - 4.0 * i, 150.0) for i in range(9)],
        [(230.0, 150.0 - 4.0 * i) for i in range(9)],
        [(230.0 - 9.0 * i, 150.0 - 2.0 * i) for i in range(9)],
        [(230.0 - 1.4 * i, 150.0 - 1.4 * i) for i in range(9)],
        [(230.0 - (40.0 if i > 4 else 0.0), 150.0 - (40.0 if i > 4 else 0.0)) for i in range(9)],
        [(None if i % 3 == 2 else 230.0 - 4.0 * i, 150.0 - 4.0 * i) for i in range(9)],
    ):
        eq(max(feed_pressures(make()[1], pairs)), 0)


class LoopUnit(UnitOfSessions):
    """A unit with a filter. `step` gives one cycle of readings and returns the active codes."""

    def __init__(self):
        self.unit = SessionOfPoints("cdu", UNIT_POINTS + [("FilterPressurekPa", 10)])
        UnitOfSessions.__init__(self, self.unit, [])
        self.supply_loop, self.now = FakeLoop(32.0), 100 * SECOND
        self.watch = LoopWatch(self)

    def step(
        self,
        count=1,
        supply_c=32.0,
        supply_kpa=280.0,
        return_kpa=200.0,
        filter_kpa=50.0,
        flow=150.0,
    ):
        for _ in range(count):
            self.now += SECOND
            self.unit.answer(self.now, supply_c, flow, supply_kpa, return_kpa, filter_kpa)
            self.watch.step(self.now)
        return [record.code for record, _, _ in self.watch.active_conditions()]


def test_filter_is_an_alarm_after_five_readings():
    for first, then, found in ((100.1, 100.1, True), (100.0, 100.1, False), (None, 100.1, False)):
        unit = LoopUnit()
        eq((unit.step(4, filter_kpa=100.1), unit.watch.is_clogged), ([], False))
        unit = LoopUnit()
        unit.step(1, filter_kpa=first)
        eq((first, unit.step(4, filter_kpa=then)), (first, ["filter_high"] * found))
    unit = LoopUnit()
    unit.step(9, filter_kpa=120.0)
    eq(unit.step(9, filter_kpa=80.1), ["filter_high"])
    eq(unit.step(1, filter_kpa=80.0), [])
    eq(unit.step(4, filter_kpa=120.0), [])
    unit = LoopUnit()
    unit.step(9, filter_kpa=120.0)
    for seconds, count in ((119, 10), (2, 10)):  # an old reading does not count
        unit.now += seconds * SECOND
        unit.watch.step(unit.now)
        eq((seconds, unit.watch._filter_count), (seconds, count))


def test_supply_is_far_by_exact_limits():
    for away_k, is_far in ((4.0, False), (4.1, True), (-4.0, False), (-4.1, True)):
        unit = LoopUnit()
        eq(unit.step(19, supply_c=32.0 + away_k), [])
        eq((away_k, unit.step(1, supply_c=32.0 + away_k)), (away_k, ["supply_deviation"] * is_far))
    eq(unit.step(1, supply_c=34.1), ["supply_deviation"])
    eq(unit.step(1, supply_c=None), ["supply_deviation"])
    eq(unit.step(1, supply_c=34.0), [])
    eq(unit.step(19, supply_c=37.0), [])


def test_a_supply_on_its_way_from_the_coldest_setpoint_to_its_target_is_not_far():
    """Hot loads need the coldest supply; the facility water of the site cannot give it."""
    for setpoint_c, target_c, supply_c, is_far in (
        (20.0, 32.0, 26.0, False),
        (20.0, 32.0, 36.0, False),
        (20.0, 32.0, 36.1, True),
        (20.0, 32.0, 15.9, True),
        (28.0, 20.0, 32.1, True),  # held up by the dew-point limit
        (28.0, 20.0, 23.9, True),
    ):
        unit = LoopUnit()
        unit.supply_loop.setpoint, unit.supply_loop.target = setpoint_c, target_c
        found = unit.step(20, supply_c=supply_c)
        eq((setpoint_c, supply_c, found), (setpoint_c, supply_c, ["supply_deviation"] * is_far))


def test_a_cycle_takes_the_pressures_of_the_unit():
    unit = LoopUnit()
    unit.step(20)
    found = [unit.step(1, return_kpa=200.0 - 2.0 * i) for i in range(9)]
    eq((found[0], found[-1]), ([], ["level_low"]))
    unit = LoopUnit()
    unit.step(20)
    orders = []
    for i in range(1, 7):
        unit.step(1, supply_kpa=280.0 - 4.0 * i, return_kpa=200.0 - 4.0 * i)
        orders.append(unit.watch.loss_order)
    eq(orders, [0, 0, 1, 2, 2, 2])
    assert "coolant_loss" in unit.step(1, supply_kpa=256.0, return_kpa=176.0)


def test_a_second_loss_begins_with_the_limit():
    watch = make()[1]
    falls = [(230.0 - 4.0 * i, 150.0 - 4.0 * i) for i in range(7)]
    orders = feed_pressures(watch, falls + [(206.0, 126.0)] * 40 + falls)
    eq((orders[6], orders[46]), (2, 0))
    eq(orders[49:], [0, 1, 2, 2, 2])


def test_a_missing_pressure_begins_the_readings_again():
    falls = [(230.0 - 4.0 * i, 150.0 - 4.0 * i) for i in range(8)]
    for missing in ((None, 150.0), (230.0, None), (None, None)):
        watch = make()[1]
        eq(feed_pressures(watch, [falls[0], missing] + falls[1:]), [0] * 5 + [1, 2, 2, 2])


def test_a_fall_that_is_exactly_the_limit_is_no_loss():
    for fall, order in ((1.5, 0), (1.625, 2)):
        watch = make()[1]
        pairs = [(230.0 - fall * i, 150.0 - fall * i) for i in range(6)]
        eq((fall, feed_pressures(watch, pairs)[-1]), (fall, order))


def test_a_fall_of_the_difference_is_another_speed():
    for more, order in ((3.0, 2), (5.0, 0)):
        watch = make()[1]
        pairs = [(230.0 - (4.0 + more) * i, 150.0 - 4.0 * i) for i in range(6)]
        eq((more, feed_pressures(watch, pairs)[-1]), (more, order))


def test_the_order_of_a_loss_is_limit_then_shed():
    watch, found = make()[1], []
    for left, count, orders in (
        (0, 5, []),
        (3, 0, ["limit"]),
        (3, 1, ["limit"]),
        (3, 2, ["limit", "shed"]),
    ):
        watch._loss_left, watch.fast_count = left, count
        limits = RecordedLimits()
        watch.order_loads(limits)
        found.append((limits.take(), [(order, "coolant_loss") for order in orders]))
    for got, expected in found:
        eq(got, expected)


def test_the_mean_of_the_static_pressure():
    watch = make()[1]
    for kpa, usual in ((100.0, 100.0), (95.0, 99.25), (120.0, 120.0), (115.0, 119.25)):
        watch._add_static(kpa)
        near(watch._usual, usual, 1e-4)
    watch._add_static(125.0)  # the smoothed value is 120.45, above the mean: the mean follows it
    near(watch._usual, 119.25 + 1.2 / 60, 1e-3)
    for _ in range(8):
        watch._add_static(120.45)
    eq(watch._number, 2)
    watch = make()[1]
    for _ in range(2000):
        watch._add_static(100.0)
    before = watch._usual
    watch._add_static(99.0)
    near(before - watch._usual, 0.3 / 1800, 1e-4)


def test_a_filter_is_not_clean_because_less_coolant_flows():
    for flow, kpa, codes in (
        (0.0, 0.0, ["filter_high"]),
        (0.9, 0.0, ["filter_high"]),
        (None, 0.0, ["filter_high"]),
        (75.0, 30.0, ["filter_high"]),  # as clogged as before
        (75.0, 24.0, ["filter_high"]),
        (75.0, 23.9, []),
        (150.0, 80.0, []),
    ):
        unit = LoopUnit()
        unit.step(9, filter_kpa=120.0)
        unit.step(1, filter_kpa=kpa, flow=flow)
        eq((flow, kpa, unit.step(5, filter_kpa=kpa, flow=flow)), (flow, kpa, codes))
    unit = LoopUnit()
    unit.step(9, filter_kpa=120.0, flow=None)  # found without a flow: the drop alone ends it
    eq(unit.step(1, filter_kpa=80.0, flow=None), [])
