# SPDX-License-Identifier: Apache-2.0
"""Slow watch of the loop: lost coolant, filter, supply far from its set-point."""

from agent.safety.loop_watch import LoopWatch
from protocols.time_units import SECOND
from tests.portable.agent.safety.test_interlock import CDU, make_rig
from tests.portable.support.check import eq


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
